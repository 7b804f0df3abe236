// The wasm of qr/ as the extension sees it. What each function does stands in qr/src/wasm.rs.

import type { AwsLogin } from "./generated/message.js";

/** Once it has resolved, the functions below can be called. Does nothing a second time. */
export default function init(input: { module_or_path: string }): Promise<unknown>;

/** Texts of the QR codes in a picture: shades of grey, row by row. */
export function read_qr(luma: Uint8Array, width: number): string[];

/** A QR code: `size` × `size` modules row by row, 1 where it is dark. It needs a margin of four modules. */
export interface Drawing {
  size: number;
  modules: Uint8Array;
}

/** Throws if the text is too long for a QR code. */
export function draw_qr(text: string): Drawing;

/** What an app is to be set up with. */
export interface Setup {
  /** `otpauth` URI: it holds the secret. */
  uri: string;
  /** Full name, `ISSUER:ACCOUNT` or `ACCOUNT`, not shortened. */
  name: string;
  /** Absent where there is none. */
  issuer?: string;
  account: string;
  /** Accounts with a counter are refused. */
  kind: "totp";
  digits: number;
  /** Seconds. */
  period: number;
  algorithm: "SHA1" | "SHA256" | "SHA512";
  /** The login that the name speaks of, if it is one of AWS's. */
  aws?: AwsLogin;
}

/** Throws an `Error` whose `code` says what it is instead: see `SetupError`. */
export function read_setup(text: string, given?: { issuer?: string; account?: string }): Setup;

/** What a text is instead of a set-up. */
export interface SetupError extends Error {
  /** `migration`: several accounts, as Google Authenticator exports them. */
  code: "not-otpauth" | "migration" | "hotp" | "no-account" | "invalid";
}

/** `name` if it is free, else one that is like it and free, of the same login. */
export function names_for(name: string, taken: string[]): string;
