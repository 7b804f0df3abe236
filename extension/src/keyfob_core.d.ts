// The wasm of crate/ as the extension sees it. What each function does stands in crate/src/wasm/mod.rs.
// Every one of them throws an `Error` with a `code` of the protocol.

import type { Account, AwsFlow, ErrorCode, Scheme } from "./generated/message.js";

/** Once it has resolved, the functions below can be called. Does nothing a second time. */
export default function init(input: { module_or_path: string }): Promise<unknown>;

export interface CoreError extends Error {
  code: ErrorCode;
}

export function signin_flow(origin: string): AwsFlow | undefined;

export function is_lookalike(url: string): boolean;

export function match_pattern(url: string): string | undefined;

export interface ChosenAccounts {
  /** Those that fit, the likeliest first. */
  accounts: Account[];
  /** So many of them fit what the person told the page equally well. */
  likely: number;
  /** What is known of the login, to remember a choice by. */
  login?: string;
}

export function choose_accounts(accounts: Account[], url: string, login: { account?: string; user?: string }): ChosenAccounts;

export interface ConsoleLocation {
  kind: "object" | "bucket" | "prefix" | "directory";
  bucket: string;
  key?: string;
  versionId?: string;
  region?: string;
  partition: string;
  account?: string;
}

export function parse_console_url(url: string): ConsoleLocation;

/** Match patterns of the S3 console's pages, in every partition. */
export function console_patterns(): string[];

/** Longest life of a link, in seconds. */
export function max_expires(): number;

/** A shell's command that uploads the object `key` by a link, with the type that was signed. */
export function curl_upload(url: string, contentType: string | undefined, key: string): string;

export interface PresignParams {
  method: string;
  bucket: string;
  key: string;
  region: string;
  accessKeyId: string;
  /** Seconds. */
  expires: number;
  /** Unix time in seconds. */
  at: number;
  versionId?: string;
  /** The name of a file, under which browsers save it. */
  downloadName?: string;
  /** Of what is uploaded; else the answer's. */
  contentType?: string;
  /** `https://HOST[:PORT]` of a server that is not AWS. */
  endpoint?: string;
}

export interface PresignPreview {
  canonicalRequest: string;
  scheme: Scheme;
  method: string;
  host: string;
  bucket: string;
  key: string;
  region: string;
  accessKeyId: string;
  versionId?: string;
  downloadName?: string;
  contentType?: string;
  /** Unix time in seconds. */
  expiresAt: number;
  /** Whether browsers would ask for another object: there is `.` or `..` between the key's slashes. */
  dotSegments: boolean;
}

export function presign_preview(params: PresignParams): PresignPreview;

export interface PresignList {
  bucket: string;
  keys: string[];
  /** Lines that say something, perhaps more than `most`. */
  count: number;
  most: number;
  /** What is wrong with lines. */
  faults: { line: number; message: string }[];
  /** Of a list that is clean, in the order of the keys; else none. */
  canonicalRequests: string[];
  /** What the first one says, of a list that is clean. */
  first?: PresignPreview;
  dotSegments: boolean;
}

/** `list` has a key or `s3://BUCKET/KEY` a line; `bucket` may be empty where it says it. */
export function presign_list(params: Omit<PresignParams, "key">, list: string): PresignList;

/** Whether pages of an origin may set up authenticator apps. */
export function is_enrolment_origin(origin: string): boolean;

/** What an address says of an enrolment there. */
export interface EnrolmentPage {
  flow: AwsFlow;
  /** The account's id or alias, where the host names it. */
  account?: string;
  /** The IAM user whose page it is. */
  user?: string;
}

export function enrolment_page(url: string): EnrolmentPage | undefined;

/** The issuer and the account's name that AWS's own QR code would have; none if the names cannot be AWS's. */
export function enrolment_names(url: string, device: string, account: string): [issuer: string, account: string] | undefined;

/** The one account id that stands in a text. */
export function account_in(text: string): string | undefined;
