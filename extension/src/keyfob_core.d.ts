// The wasm of crate/ as the extension sees it, for pages. What each function does stands in crate/src/wasm/.
// Every one of them throws an `Error` with a `code` of the protocol.

import type { Account, AwsFlow, ErrorCode } from "./generated/message.js";

/** Once it has resolved, the functions below can be called. Does nothing a second time. */
export default function init(input: { module_or_path: string }): Promise<unknown>;

export interface CoreError extends Error {
  code: ErrorCode;
}

export function signin_flow(origin: string): AwsFlow | undefined;

export function is_lookalike(url: string): boolean;

/** Whether an address signs in to the AWS console with a token, at AWS's own sign-in. */
export function is_console_login(url: string): boolean;

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

/** Where scripts for enrolments run under a permission; none if it is not for them. */
export function enrolment_pattern(permission: string): string | undefined;

/** The one account id that stands in a text. */
export function account_in(text: string): string | undefined;
