// Generated from crate/src/message.rs by `KEYFOB_UPDATE=1 cargo test -p keyfob-core`. Do not edit.

/** Version of the protocol. */
export const VERSION = 1;

export type Request = { 
/**
 * [`VERSION`].
 */
v: number, 
/**
 * Chosen at random by the asker, 1 to 64 characters; every reply carries it.
 */
id: string, 
/**
 * The key to ask: a serial number, `soft:NAME`, or none for the only one there is.
 */
key?: string, 
/**
 * What is asked.
 */
op: Op, };
export type Op = { "name": "hello", } | { "name": "keys", } | { "name": "info", } | { "name": "accounts", 
/**
 * Also calculate the codes of those that want no touch.
 */
codes: boolean, 
/**
 * For which time.
 */
at?: number, } | { "name": "listing", 
/**
 * Also calculate the codes of those that want no touch.
 */
codes: boolean, 
/**
 * For which time.
 */
at?: number, } | { "name": "code", 
/**
 * Full name of the account, exactly as [`Account::name`] gives it.
 */
account: string, 
/**
 * For which time.
 */
at?: number, 
/**
 * What it is for, to be shown in the prompt (a browser: the host name of the page).
 */
purpose?: string, 
/**
 * Not one that was submitted already ([`Op::Submitted`]): the next step is waited for.
 */
fresh?: boolean, 
/**
 * The code after that, as for a server whose clock is ahead. Nothing of a counter-based account.
 */
next?: boolean, } | { "name": "submitted", 
/**
 * Full name of the account.
 */
account: string, 
/**
 * The code's [`Code::valid_from`].
 */
valid_from: number, } | { "name": "submit-code", 
/**
 * Full name of the account.
 */
account: string, 
/**
 * What it is for, to be shown in the prompt.
 */
purpose: string, } | { "name": "cancel", 
/**
 * The request's id.
 */
request: string, } | { "name": "lock", } | { "name": "identities", } | { "name": "presign", 
/**
 * The canonical request of SigV4, whole, `X-Amz-*` parameters included. The host parses it,
 * rebuilds it from its own parse, and demands equal bytes; the identity, the time, the expiry and
 * the scope are read from it.
 */
canonical_request: Password, 
/**
 * `https` (default) or `http`, for servers that are not AWS.
 */
scheme: Scheme, 
/**
 * Whether a server that is not AWS has the bucket before its host's name: the bytes do not say. Not for
 * browsers.
 */
virtual_hosted?: boolean, } | { "name": "presign-many", 
/**
 * As [`Op::Presign`] has one; at most [`MAX_LINKS`]. They differ in the object's key and version alone: identity,
 * method, endpoint, bucket, date and expiry are one for all, for the prompt says them once.
 */
canonical_requests: Array<Password>, 
/**
 * `https` (default) or `http`, for servers that are not AWS.
 */
scheme: Scheme, } | { "name": "check-link", 
/**
 * A link to fetch an object, signed by query parameters; of a browser one that it could have had signed.
 */
url: Password, } | { "name": "sign", 
/**
 * `AKIA…`.
 */
access_key_id: string, 
/**
 * Such as `eu-west-1`.
 */
region: string, 
/**
 * Such as `sts`.
 */
service: string, 
/**
 * The canonical request of SigV4, whole. The host parses and rebuilds it; its `x-amz-date` is the time.
 */
canonical_request: Password, 
/**
 * The body, if it is text and not long: the prompt says what it asks for, if its hash is the one that is signed.
 */
body?: Password, } | { "name": "sign-policy", 
/**
 * `AKIA…`.
 */
access_key_id: string, 
/**
 * By which signature.
 */
signature: SignatureVersion, 
/**
 * The policy, JSON in base64: what is signed. The prompt is written from it.
 */
policy: string, } | { "name": "sign-v2", 
/**
 * `AKIA…`.
 */
access_key_id: string, 
/**
 * The string to sign, whole. It does not name the server.
 */
string_to_sign: Password, 
/**
 * The server, as the front end says: for the prompt.
 */
host: string, } | { "name": "signing-keys", 
/**
 * `AKIA…`.
 */
access_key_id: string, 
/**
 * Unix time in seconds: the keys are good for its UTC day.
 */
at: number, 
/**
 * What they are to sign for, at most [`MAX_SCOPES`].
 */
scopes: Array<SigningScope>, 
/**
 * What will be signed, as the front end says: for the prompt, which adds what the keys can do.
 */
purpose: string, } | { "name": "unlock", 
/**
 * The password or passphrase.
 */
password: Password, } | { "name": "add-account", 
/**
 * `otpauth://` URI.
 */
uri: Password, 
/**
 * Whether every code wants a touch.
 */
touch: boolean, 
/**
 * Whether an account of the same name may be replaced. Not for browsers.
 */
overwrite: boolean, 
/**
 * Under which full name, if not the URI's: for a second account of the same name.
 */
account?: string, } | { "name": "confirm-account", 
/**
 * Full name of the account.
 */
account: string, 
/**
 * `otpauth://` URI, with the secret and all that codes depend on; its name does not matter.
 */
uri: Password, } | { "name": "add-identity", 
/**
 * `AKIA…`.
 */
access_key_id: string, 
/**
 * For which signature.
 */
signature?: SignatureVersion, 
/**
 * The secret access key.
 */
secret_access_key: Password, 
/**
 * Whether every signature wants a touch.
 */
touch: boolean, 
/**
 * Whether an identity of the same name may be replaced.
 */
overwrite: boolean, } | { "name": "delete-account", 
/**
 * Full name of the account.
 */
account: string, } | { "name": "delete-identity", 
/**
 * `AKIA…`.
 */
access_key_id: string, } | { "name": "rename-account", 
/**
 * Its full name now.
 */
account: string, 
/**
 * Its full name then.
 */
to: string, } | { "name": "change-password", 
/**
 * The new password; none removes it.
 */
new?: Password, } | { "name": "remember-password", } | { "name": "forget-password", } | { "name": "verify", 
/**
 * Name of the account.
 */
account: string, 
/**
 * The code.
 */
code: Password, 
/**
 * How many steps before and after are right too, at most 10. Each is a touch, where one is wanted.
 */
window: number, 
/**
 * For which time.
 */
at?: number, } | { "name": "hmac", 
/**
 * Name of the account.
 */
account: string, 
/**
 * 1 to 64 bytes in hexadecimal digits; some keys take 8 at most.
 */
challenge: string, } | { "name": "reset", } | { "name": "take-session", 
/**
 * SHA-256 over all that the session depends on (every request parameter, identity, endpoint), in hexadecimal
 * digits: equal questions have one session.
 */
question: string, 
/**
 * What it is, for lists.
 */
label: SessionLabel, 
/**
 * How many seconds it must last at least; one that ends before is made anew.
 */
lasting: number, } | { "name": "keep-session", 
/**
 * As it was given.
 */
lease: number, 
/**
 * The session.
 */
session: Session, } | { "name": "fail-session", 
/**
 * As it was given.
 */
lease: number, 
/**
 * Why.
 */
error: Failure, 
/**
 * Whether that is no reason for the others: the next of them tries.
 */
own: boolean, } | { "name": "sessions", } | { "name": "clear-sessions", 
/**
 * Name of the profile.
 */
profile?: string, } | { "name": "offer-login", 
/**
 * 128 random bits, in 32 hexadecimal digits of lower case.
 */
ticket: Password, 
/**
 * The console's URL: whoever has it is signed in.
 */
url: Password, 
/**
 * Name of the browser's container that it is to be opened in.
 */
container: string, } | { "name": "take-login", 
/**
 * As it was offered.
 */
ticket: Password, };
export type Password = string;
export type SigningScope = { 
/**
 * Such as `eu-west-1`.
 */
region: string, 
/**
 * Such as `s3`.
 */
service: string, };
export type Scheme = "https" | "http";
export type Reply = { "type": "event", 
/**
 * The request's id.
 */
id: string, 
/**
 * What happened.
 */
event: Event, } | { "type": "done", 
/**
 * The request's id.
 */
id: string, 
/**
 * What was asked for.
 */
answer: Answer, } | { "type": "failed", 
/**
 * The request's id; empty if it could not be read.
 */
id: string, 
/**
 * Why.
 */
error: Failure, };
export type Event = { "name": "touch-required", 
/**
 * What the touch will do, in the host's own words.
 */
prompt: string, 
/**
 * Perhaps it waits: whether this account wants a touch cannot be known beforehand. Worth showing when no answer
 * has come for a moment.
 */
maybe?: boolean, } | { "name": "waiting", 
/**
 * For what, in the host's own words.
 */
why: string, };
export type Answer = { "name": "hello", 
/**
 * The host's version.
 */
version: string, 
/**
 * The protocol's version, [`VERSION`].
 */
protocol: number, } | { "name": "keys", 
/**
 * Every key, cards first.
 */
keys: Array<Key>, } | { "name": "info", 
/**
 * The key.
 */
key: Key, } | { "name": "accounts", 
/**
 * The key that was asked.
 */
key: Key, 
/**
 * In the key's order.
 */
accounts: Array<Account>, } | { "name": "listing", 
/**
 * In the key's order.
 */
accounts: Array<Account>, } | { "name": "code", 
/**
 * Full name of the account.
 */
account: string, 
/**
 * The code.
 */
code: Code, } | { "name": "identities", 
/**
 * The key that was asked.
 */
key: Key, 
/**
 * In the key's order.
 */
identities: Array<Identity>, } | { "name": "presigned", 
/**
 * The whole link: whoever has it may use it.
 */
url: Password, 
/**
 * When it stops working, Unix time in seconds.
 */
expires_at: number, } | { "name": "presigned-many", 
/**
 * The whole links, in the order of the requests.
 */
urls: Array<Password>, 
/**
 * When they stop working, Unix time in seconds.
 */
expires_at: number, } | { "name": "link-checked", 
/**
 * 200, or 206 from a server that sends parts.
 */
status: number, 
/**
 * How long the object is in bytes, if the server says so.
 */
bytes?: number, 
/**
 * `text/plain`, if the server says so.
 */
content_type?: string, } | { "name": "confirmed", 
/**
 * The previous code, the current one and the next, by the host's own calculation.
 */
codes: Array<Code>, } | { "name": "signed", 
/**
 * 32 bytes in hexadecimal digits; of Signature Version 2 20 bytes.
 */
signature: string, } | { "name": "signing-keys", 
/**
 * 32 bytes each in hexadecimal digits, in the order of the scopes.
 */
keys: Array<Password>, } | { "name": "unlocked", } | { "name": "written", 
/**
 * The name on the key.
 */
written: string, 
/**
 * Whether something was replaced.
 */
replaced: boolean, } | { "name": "deleted", 
/**
 * The name that was on the key.
 */
deleted: string, } | { "name": "password-changed", } | { "name": "password-remembered", 
/**
 * In an encrypted file, for there is no keychain.
 */
in_file?: boolean, } | { "name": "password-forgotten", 
/**
 * Whether it was remembered.
 */
was_remembered: boolean, } | { "name": "verified", 
/**
 * How many steps away from the time the code is right; none if it is not within the window.
 */
steps?: number, } | { "name": "hmac", 
/**
 * 20, 32 or 64 bytes in hexadecimal digits.
 */
response: Password, } | { "name": "reset", } | { "name": "session", 
/**
 * It.
 */
session: Session, } | { "name": "make-session", 
/**
 * What they are to name.
 */
lease: number, } | { "name": "sessions", 
/**
 * In the order in which they end.
 */
sessions: Array<KeptSession>, } | { "name": "sessions-cleared", 
/**
 * How many.
 */
cleared: number, } | { "name": "login", 
/**
 * The console's URL: whoever has it is signed in.
 */
url: Password, 
/**
 * Name of the container that it is to be opened in.
 */
container: string, } | { "name": "noted", } | { "name": "withdrawn", } | { "name": "locked", };
export type Key = { 
/**
 * What [`Request::key`] takes: `soft:NAME`, a serial number, or the device id where there is none.
 */
id: string, 
/**
 * The name that the user gave it.
 */
name?: string, 
/**
 * What it is.
 */
kind: KeyKind, 
/**
 * The reader's name, or the software key's.
 */
label: string, 
/**
 * The applet's version, as `5.7.1`; empty when not known.
 */
version: string, 
/**
 * Whether it wants a password now.
 */
locked: boolean, 
/**
 * The serial number, of a card that tells one.
 */
serial?: number, 
/**
 * The key's own firmware, as `5.7.1`, where it tells it; on a YubiKey from 4 on the applet has the same version.
 */
firmware?: string, 
/**
 * What it is built as, for people: `Keychain (USB-C)`.
 */
form_factor?: string, 
/**
 * Which of its applications are switched on over the interface that it is asked through, in Yubico's words:
 * `Yubico OTP`, `OATH`. Empty when not known.
 */
enabled?: Array<string>, 
/**
 * How many accounts and identities fit, where the firmware tells.
 */
slots?: number, };
export type KeyKind = "smart-card" | "software";
export type Account = { 
/**
 * Full name, `ISSUER:ACCOUNT` or `ACCOUNT`, without the period prefix. Keyfob never makes two of one name on a
 * key; other programs may have.
 */
name: string, 
/**
 * Issuer, if the name has one.
 */
issuer?: string, 
/**
 * What moves.
 */
kind: AccountKind, 
/**
 * Seconds a code lasts (TOTP), 0 for HOTP.
 */
period: number, 
/**
 * Digits of a code; not known from LIST alone.
 */
digits?: number, 
/**
 * Whether it wants a touch; not known for HOTP.
 */
touch?: boolean, 
/**
 * The login it belongs to, if its name is one of AWS's.
 */
aws?: AwsLogin, 
/**
 * Its code, if it was asked for and wants no touch.
 */
code?: Code, };
export type AccountKind = "hotp" | "totp";
export type AwsLogin = { 
/**
 * 12-digit account id, or the account's alias; none where the name has neither.
 */
account?: string, 
/**
 * Name of the MFA device, or of the user (Identity Center).
 */
device: string, 
/**
 * Which sign-in it is for.
 */
flow: AwsFlow, };
export type AwsFlow = "iam" | "identity-center";
export type Code = { 
/**
 * The digits, leading zeros included.
 */
value: string, 
/**
 * First second in which it is right (TOTP).
 */
valid_from?: number, 
/**
 * First second in which it is right no more (TOTP).
 */
valid_until?: number, 
/**
 * It was submitted to AWS already, which takes none twice: see [`Op::Submitted`].
 */
submitted?: boolean, };
export type Identity = { 
/**
 * `AKIA…`.
 */
access_key_id: string, 
/**
 * What it can sign.
 */
signature: SignatureVersion, 
/**
 * Whether a signature wants a touch.
 */
touch?: boolean, };
export type SignatureVersion = "SigV4" | "HmacV1";
export type SessionLabel = { 
/**
 * The profile that it was first made for.
 */
profile: string, 
/**
 * The role's ARN, or the access key id of the identity whose session it is.
 */
of: string, 
/**
 * The API call that makes it: `GetSessionToken`, `AssumeRole`.
 */
made_by: string, };
export type Session = { 
/**
 * `ASIA…`.
 */
access_key_id: string, 
/**
 * The secret access key.
 */
secret_access_key: Password, 
/**
 * The session token; none where they are long-term credentials after all.
 */
session_token?: Password, 
/**
 * When they end: Unix time in seconds.
 */
expires_at?: number, 
/**
 * The account's 12 digits, where they are known.
 */
account_id?: string, };
export type KeptSession = { 
/**
 * What it is.
 */
label: SessionLabel, 
/**
 * All profiles that it was given for.
 */
profiles: Array<string>, 
/**
 * `ASIA…`.
 */
access_key_id: string, 
/**
 * When it ends: Unix time in seconds.
 */
expires_at: number, };
export type Failure = { 
/**
 * Stable, for programs.
 */
code: ErrorCode, 
/**
 * What happened, for people: a sentence without the full stop.
 */
message: string, 
/**
 * What to do next, for people.
 */
hint?: string, 
/**
 * What there is to choose from, where there is too much.
 */
candidates?: Array<string>, 
/**
 * What would open the key, where it is locked: [`Op::Unlock`] takes it.
 */
wants?: Wants, };
export type Wants = { 
/**
 * Which key: [`Request::key`] of the [`Op::Unlock`].
 */
key: string, 
/**
 * What a person is to give: completes "enter …".
 */
what: string, };
export type ErrorCode = "no-key" | "ambiguous" | "locked" | "wrong-password" | "touch-timeout" | "cancelled" | "not-found" | "exists" | "no-space" | "unsupported" | "key-removed" | "busy" | "no-pcsc" | "bad-answer" | "bad-request" | "unsupported-version" | "forbidden" | "invalid-input" | "io" | "aws-refused" | "internal";
