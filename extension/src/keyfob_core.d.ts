// The wasm of crate/ as the extension sees it; its bindings are in crate/src/wasm/mod.rs, where what they take and
// return is described. Every function throws an Error with a `code` of the protocol.

import type { Account, AwsFlow } from "./generated/message.js";

export default function init(input?: { module_or_path: BufferSource | URL }): Promise<unknown>;

export function signin_flow(origin: string): AwsFlow | undefined;

export function choose_accounts(accounts: Account[], url: string): Account[];

export interface ConsolePage {
  kind: "object" | "bucket" | "prefix" | "directory";
  bucket: string;
  /** Object key, or prefix; empty for a bucket. */
  key: string;
  region?: string;
  version_id?: string;
  account?: string;
}

export function parse_console_url(url: string): ConsolePage;

export interface PresignParams {
  method: string;
  bucket: string;
  key: string;
  region: string;
  access_key_id: string;
  /** Seconds. */
  expires: number;
  /** Unix time in seconds. */
  at: number;
  version_id?: string;
  /** `https://host[:port]` of a server that is not AWS. */
  endpoint?: string;
}

export interface PresignPreview {
  canonical_request: string;
  scheme: "https" | "http";
  host: string;
  /** Unix time in seconds. */
  expires_at: number;
}

export function presign_preview(params: PresignParams): PresignPreview;
