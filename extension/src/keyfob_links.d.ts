// The wasm of crate/ as the extension sees it, for links. What each function does stands in crate/src/wasm/links.rs.
// Every one of them throws an `Error` with a `code` of the protocol.

import type { Scheme } from "./generated/message.js";

/** Once it has resolved, the functions below can be called. Does nothing a second time. */
export default function init(input: { module_or_path: string }): Promise<unknown>;

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
