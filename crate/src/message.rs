//! The protocol between every front end (command line, browser extension, agents' clients) and the host.
//!
//! JSON objects: a [`Request`] goes in; any number of [`Reply::Event`] and exactly one [`Reply::Done`] or
//! [`Reply::Failed`] with the request's `id` come out. Over stdio each is framed as browsers do it
//! (4-byte native-endian length); in process it is a function call.
//!
//! The TypeScript types of the extension are generated from this file (`extension/src/generated/message.ts`;
//! a test fails when they are stale), and `docs/protocol.md` describes the whole by example.
//!
//! What a *browser* may ask is the host's policy (`native-host/src/policy.rs`), not this file's.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Version of the protocol. A host answers a request of another version with
/// [`ErrorCode::UnsupportedVersion`].
pub const VERSION: u16 = 1;

/// One question to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub v: u16,
    /// Chosen at random by the asker, 1 to 64 characters; every reply carries it.
    pub id: String,
    /// The key to ask: a serial number, `soft:NAME`, or none for the only one there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub key: Option<String>,
    /// What is asked.
    pub op: Op,
}

/// What can be asked. `at` is Unix time in seconds; without it the host's clock rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Op {
    /// Who is there? Answered by [`Answer::Hello`] without touching any key.
    Hello {},
    /// Which keys are plugged in, whichever is chosen? And the software key, if one is. [`Answer::Keys`].
    Keys {},
    /// Which key is it that would be asked? It need not be unlocked. [`Answer::Info`].
    Info {},
    /// The accounts on the key, identities never among them. [`Answer::Accounts`].
    Accounts {
        /// Also calculate the codes of those that want no touch.
        #[serde(default)]
        codes: bool,
        /// For which time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional, type = "number"))]
        at: Option<u64>,
    },
    /// As [`Op::Accounts`], without a word on the key, which is not asked for it: two commands, however many accounts there
    /// are. [`Answer::Listing`].
    Listing {
        /// Also calculate the codes of those that want no touch.
        #[serde(default)]
        codes: bool,
        /// For which time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional, type = "number"))]
        at: Option<u64>,
    },
    /// The code of one account. [`Answer::Code`].
    Code {
        /// Full name of the account, exactly as [`Account::name`] gives it.
        account: String,
        /// For which time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional, type = "number"))]
        at: Option<u64>,
        /// What it is for, to be shown in the prompt (a browser: the host name of the page).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        purpose: Option<String>,
        /// Not one that was submitted already ([`Op::Submitted`]): the next step is waited for.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
        fresh: bool,
        /// The code after that, as for a server whose clock is ahead. Nothing of a counter-based account.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
        next: bool,
    },
    /// A code was given to AWS: none will take it again. [`Answer::Noted`].
    Submitted {
        /// Full name of the account.
        account: String,
        /// The code's [`Code::valid_from`].
        #[cfg_attr(test, ts(type = "number"))]
        valid_from: u64,
    },
    /// The code of an account, for a program that gives it to AWS at once: it is a fresh one, and counts as submitted as it is given,
    /// so that no two who ask at the same time get the same. [`Answer::Code`].
    SubmitCode {
        /// Full name of the account.
        account: String,
        /// What it is for, to be shown in the prompt.
        purpose: String,
    },
    /// Nobody waits for the answer to an earlier request any more: it fails with [`ErrorCode::Cancelled`], and a touch
    /// that is still to come buys nothing. One that is not known, or done, is none to cancel. [`Answer::Withdrawn`].
    Cancel {
        /// The request's id.
        request: String,
    },
    /// Forget all passwords and passphrases, and cancel whatever waits. [`Answer::Locked`].
    Lock {},
    /// The AWS access keys whose secret is on the key. [`Answer::Identities`].
    Identities {},
    /// The signature of a presigned S3 request. [`Answer::Presigned`].
    Presign {
        /// The canonical request of SigV4, whole, `X-Amz-*` parameters included. The host parses it,
        /// rebuilds it from its own parse, and demands equal bytes; the identity, the time, the expiry and
        /// the scope are read from it.
        canonical_request: Password,
        /// `https` (default) or `http`, for servers that are not AWS.
        #[serde(default)]
        scheme: Scheme,
        /// Whether a server that is not AWS has the bucket before its host's name: the bytes do not say. Not for
        /// browsers.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
        virtual_hosted: bool,
    },
    /// The signatures of several presigned S3 requests, with one touch. [`Answer::PresignedMany`].
    PresignMany {
        /// As [`Op::Presign`] has one; at most [`MAX_LINKS`]. They differ in the object's key and version alone: identity,
        /// method, endpoint, bucket, date and expiry are one for all, for the prompt says them once.
        canonical_requests: Vec<Password>,
        /// `https` (default) or `http`, for servers that are not AWS.
        #[serde(default)]
        scheme: Scheme,
    },
    /// Whether a presigned link works: its first byte is fetched, from here. [`Answer::LinkChecked`].
    CheckLink {
        /// A link to fetch an object, signed by query parameters; of a browser one that it could have had signed.
        url: Password,
    },
    /// The signature of a request that carries it in its header Authorization. [`Answer::Signed`]. Not for browsers.
    Sign {
        /// `AKIA…`.
        access_key_id: String,
        /// Such as `eu-west-1`.
        region: String,
        /// Such as `sts`.
        service: String,
        /// The canonical request of SigV4, whole. The host parses and rebuilds it; its `x-amz-date` is the time.
        canonical_request: Password,
        /// The body, if it is text and not long: the prompt says what it asks for, if its hash is the one that is signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        body: Option<Password>,
    },
    /// The signature of a form that uploads to S3. [`Answer::Signed`]. Not for browsers.
    SignPolicy {
        /// `AKIA…`.
        access_key_id: String,
        /// By which signature.
        signature: SignatureVersion,
        /// The policy, JSON in base64: what is signed. The prompt is written from it.
        policy: String,
    },
    /// The signature of a request by Signature Version 2 of S3. [`Answer::Signed`]. Not for browsers.
    SignV2 {
        /// `AKIA…`.
        access_key_id: String,
        /// The string to sign, whole. It does not name the server.
        string_to_sign: Password,
        /// The server, as the front end says: for the prompt.
        host: String,
    },
    /// The signing keys of one operation that has many signatures to make: a batch, an upload in chunks, a program of its
    /// own. One touch for all. [`Answer::SigningKeys`]. Not for browsers.
    SigningKeys {
        /// `AKIA…`.
        access_key_id: String,
        /// Unix time in seconds: the keys are good for its UTC day.
        #[cfg_attr(test, ts(type = "number"))]
        at: u64,
        /// What they are to sign for, at most [`MAX_SCOPES`].
        scopes: Vec<SigningScope>,
        /// What will be signed, as the front end says: for the prompt, which adds what the keys can do.
        purpose: String,
    },
    /// Unlock a password-protected key, or a software key, until it is locked again. [`Answer::Unlocked`].
    Unlock {
        /// The password or passphrase.
        password: Password,
    },
    /// Put an account on the key. [`Answer::Written`].
    AddAccount {
        /// `otpauth://` URI.
        uri: Password,
        /// Whether every code wants a touch.
        touch: bool,
        /// Whether an account of the same name may be replaced. Not for browsers.
        #[serde(default)]
        overwrite: bool,
        /// Under which full name, if not the URI's: for a second account of the same name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        account: Option<String>,
    },
    /// Whether the key calculates for a time-based account what its secret gives, as an enrolment needs to know before AWS
    /// is told the codes. One touch, where one is wanted. [`Answer::Confirmed`].
    ConfirmAccount {
        /// Full name of the account.
        account: String,
        /// `otpauth://` URI, with the secret and all that codes depend on; its name does not matter.
        uri: Password,
    },
    /// Put an AWS access key's secret on the key. [`Answer::Written`].
    AddIdentity {
        /// `AKIA…`.
        access_key_id: String,
        /// For which signature.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<SignatureVersion>"))]
        signature: SignatureVersion,
        /// The secret access key.
        secret_access_key: Password,
        /// Whether every signature wants a touch.
        touch: bool,
        /// Whether an identity of the same name may be replaced.
        #[serde(default)]
        overwrite: bool,
    },
    /// Remove an account from the key. [`Answer::Deleted`]. A browser has to have it touched first, where its codes want a
    /// touch.
    DeleteAccount {
        /// Full name of the account.
        account: String,
    },
    /// Remove an identity from the key. [`Answer::Deleted`].
    DeleteIdentity {
        /// `AKIA…`.
        access_key_id: String,
    },
    /// Give an account another name; never that of one that is there. [`Answer::Written`].
    RenameAccount {
        /// Its full name now.
        account: String,
        /// Its full name then.
        to: String,
    },
    /// Set the password of the key, or remove it. [`Answer::PasswordChanged`].
    ChangePassword {
        /// The new password; none removes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        new: Option<Password>,
    },
    /// Keep the key's password in the system's keychain, or in an encrypted file where there is none.
    /// [`Answer::PasswordRemembered`].
    RememberPassword {},
    /// Remove it from there. [`Answer::PasswordForgotten`].
    ForgetPassword {},
    /// Whether a code is that of a time-based account. [`Answer::Verified`].
    Verify {
        /// Name of the account.
        account: String,
        /// The code.
        code: Password,
        /// How many steps before and after are right too, at most 10. Each is a touch, where one is wanted.
        #[serde(default)]
        window: u8,
        /// For which time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional, type = "number"))]
        at: Option<u64>,
    },
    /// The whole HMAC over a challenge, by an account that is no identity. [`Answer::Hmac`].
    Hmac {
        /// Name of the account.
        account: String,
        /// 1 to 64 bytes in hexadecimal digits; some keys take 8 at most.
        challenge: String,
    },
    /// Erase the OATH applet: accounts, identities, password. [`Answer::Reset`].
    Reset {},
    /// A kept set of temporary AWS credentials, or the right to make it: [`Answer::Session`], or
    /// [`Answer::MakeSession`] for one of all who ask for it; the others wait for what that one makes. Not for browsers.
    TakeSession {
        /// SHA-256 over all that the session depends on (every request parameter, identity, endpoint), in hexadecimal
        /// digits: equal questions have one session.
        question: String,
        /// What it is, for lists.
        label: SessionLabel,
        /// How many seconds it must last at least; one that ends before is made anew.
        #[cfg_attr(test, ts(type = "number"))]
        lasting: u64,
    },
    /// What came of [`Answer::MakeSession`]: it is kept until it ends, and given to all who wait. [`Answer::Noted`]. Not for
    /// browsers.
    KeepSession {
        /// As it was given.
        #[cfg_attr(test, ts(type = "number"))]
        lease: u64,
        /// The session.
        session: Session,
    },
    /// Nothing came of [`Answer::MakeSession`]: all who wait get this failure, or, where it is this front end's alone
    /// ([`ErrorCode::Cancelled`], its time is up), one of them is to make it. [`Answer::Noted`]. Not for browsers.
    FailSession {
        /// As it was given.
        #[cfg_attr(test, ts(type = "number"))]
        lease: u64,
        /// Why.
        error: Failure,
        /// Whether that is no reason for the others: the next of them tries.
        own: bool,
    },
    /// The sessions that are kept. [`Answer::Sessions`]. Not for browsers.
    Sessions {},
    /// Forget sessions: all, or those that were made for a profile. [`Answer::SessionsCleared`]. Not for browsers.
    ClearSessions {
        /// Name of the profile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        profile: Option<String>,
    },
    /// A login to the AWS console, for the browser that names its ticket: it is given once. [`Answer::Noted`] follows when it
    /// has been; [`Event::Waiting`] says that it can be. It is there for a minute at most, and as long as whoever offers it.
    /// Not for browsers.
    OfferLogin {
        /// 128 random bits, in 32 hexadecimal digits of lower case.
        ticket: Password,
        /// The console's URL: whoever has it is signed in.
        url: Password,
        /// Name of the browser's container that it is to be opened in.
        container: String,
    },
    /// The login of that ticket. [`Answer::Login`]; [`ErrorCode::NotFound`] where there is none, none any more, or it was given.
    TakeLogin {
        /// As it was offered.
        ticket: Password,
    },
}

/// What a session is, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct SessionLabel {
    /// The profile that it was first made for.
    pub profile: String,
    /// The role's ARN, or the access key id of the identity whose session it is.
    pub of: String,
    /// The API call that makes it: `GetSessionToken`, `AssumeRole`.
    pub made_by: String,
}

/// Temporary AWS credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// `ASIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Password,
    /// The session token; none where they are long-term credentials after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub session_token: Option<Password>,
    /// When they end: Unix time in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "number"))]
    pub expires_at: Option<u64>,
    /// The account's 12 digits, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub account_id: Option<String>,
}

/// A session that is kept, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct KeptSession {
    /// What it is.
    pub label: SessionLabel,
    /// All profiles that it was given for.
    pub profiles: Vec<String>,
    /// `ASIA…`.
    pub access_key_id: String,
    /// When it ends: Unix time in seconds.
    #[cfg_attr(test, ts(type = "number"))]
    pub expires_at: u64,
}

/// Most links that are signed with one touch for a front end that asks for each of them.
pub const MAX_LINKS: usize = 100;

/// Most scopes that one operation may declare.
pub const MAX_SCOPES: usize = 128;

/// What a signing key signs for, besides a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct SigningScope {
    /// Such as `eu-west-1`.
    pub region: String,
    /// Such as `s3`.
    pub service: String,
}

/// A secret inside a message: never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(transparent)]
pub struct Password(pub String);

impl core::fmt::Debug for Password {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How a presigned link is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// With TLS.
    #[default]
    Https,
    /// In the clear: local test servers.
    Http,
}

impl Scheme {
    /// The scheme as a URL has it, without `://`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

/// One message from the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reply {
    /// Progress; the answer is still to come.
    Event {
        /// The request's id.
        id: String,
        /// What happened.
        event: Event,
    },
    /// The answer.
    Done {
        /// The request's id.
        id: String,
        /// What was asked for.
        answer: Answer,
    },
    /// There is none.
    Failed {
        /// The request's id; empty if it could not be read.
        id: String,
        /// Why.
        error: Failure,
    },
}

/// Progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The key waits for a touch.
    TouchRequired {
        /// What the touch will do, in the host's own words.
        prompt: String,
        /// Perhaps it waits: whether this account wants a touch cannot be known beforehand. Worth showing when no answer
        /// has come for a moment.
        #[serde(default, skip_serializing_if = "is_false")]
        #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
        maybe: bool,
    },
    /// The request waits for something else than a touch; one must not touch the key now.
    Waiting {
        /// For what, in the host's own words.
        why: String,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Answer {
    /// To [`Op::Hello`].
    Hello {
        /// The host's version.
        version: String,
        /// The protocol's version, [`VERSION`].
        protocol: u16,
    },
    /// To [`Op::Keys`].
    Keys {
        /// Every key, cards first.
        keys: Vec<Key>,
    },
    /// To [`Op::Info`].
    Info {
        /// The key.
        key: Key,
    },
    /// To [`Op::Accounts`].
    Accounts {
        /// The key that was asked.
        key: Key,
        /// In the key's order.
        accounts: Vec<Account>,
    },
    /// To [`Op::Listing`].
    Listing {
        /// In the key's order.
        accounts: Vec<Account>,
    },
    /// To [`Op::Code`] and [`Op::SubmitCode`].
    Code {
        /// Full name of the account.
        account: String,
        /// The code.
        code: Code,
    },
    /// To [`Op::Identities`].
    Identities {
        /// The key that was asked.
        key: Key,
        /// In the key's order.
        identities: Vec<Identity>,
    },
    /// To [`Op::Presign`].
    Presigned {
        /// The whole link: whoever has it may use it.
        url: Password,
        /// When it stops working, Unix time in seconds.
        #[cfg_attr(test, ts(type = "number"))]
        expires_at: u64,
    },
    /// To [`Op::PresignMany`].
    PresignedMany {
        /// The whole links, in the order of the requests.
        urls: Vec<Password>,
        /// When they stop working, Unix time in seconds.
        #[cfg_attr(test, ts(type = "number"))]
        expires_at: u64,
    },
    /// To [`Op::CheckLink`]: it works. One that does not is a failure that says why.
    LinkChecked {
        /// 200, or 206 from a server that sends parts.
        status: u16,
        /// How long the object is in bytes, if the server says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional, type = "number"))]
        bytes: Option<u64>,
        /// `text/plain`, if the server says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        content_type: Option<String>,
    },
    /// To [`Op::ConfirmAccount`]: the key calculates what it should. (Another code is a failure, `bad-answer`.)
    Confirmed {
        /// The previous code, the current one and the next, by the host's own calculation.
        codes: Vec<Code>,
    },
    /// To [`Op::Sign`], [`Op::SignPolicy`] and [`Op::SignV2`].
    Signed {
        /// 32 bytes in hexadecimal digits; of Signature Version 2 20 bytes.
        signature: String,
    },
    /// To [`Op::SigningKeys`].
    SigningKeys {
        /// 32 bytes each in hexadecimal digits, in the order of the scopes.
        keys: Vec<Password>,
    },
    /// To [`Op::Unlock`].
    Unlocked {},
    /// To [`Op::AddAccount`], [`Op::AddIdentity`] and [`Op::RenameAccount`].
    Written {
        /// The name on the key.
        written: String,
        /// Whether something was replaced.
        replaced: bool,
    },
    /// To [`Op::DeleteAccount`] and [`Op::DeleteIdentity`].
    Deleted {
        /// The name that was on the key.
        deleted: String,
    },
    /// To [`Op::ChangePassword`].
    PasswordChanged {},
    /// To [`Op::RememberPassword`].
    PasswordRemembered {
        /// In an encrypted file, for there is no keychain.
        #[serde(default, skip_serializing_if = "is_false")]
        #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
        in_file: bool,
    },
    /// To [`Op::ForgetPassword`].
    PasswordForgotten {
        /// Whether it was remembered.
        was_remembered: bool,
    },
    /// To [`Op::Verify`].
    Verified {
        /// How many steps away from the time the code is right; none if it is not within the window.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        steps: Option<i8>,
    },
    /// To [`Op::Hmac`].
    Hmac {
        /// 20, 32 or 64 bytes in hexadecimal digits.
        response: Password,
    },
    /// To [`Op::Reset`].
    Reset {},
    /// To [`Op::TakeSession`]: there is one.
    Session {
        /// It.
        session: Session,
    },
    /// To [`Op::TakeSession`]: there is none, and this front end is to make it. [`Op::KeepSession`] or [`Op::FailSession`]
    /// follows; a front end that goes away without leaves it to the next.
    MakeSession {
        /// What they are to name.
        #[cfg_attr(test, ts(type = "number"))]
        lease: u64,
    },
    /// To [`Op::Sessions`].
    Sessions {
        /// In the order in which they end.
        sessions: Vec<KeptSession>,
    },
    /// To [`Op::ClearSessions`].
    SessionsCleared {
        /// How many.
        cleared: u32,
    },
    /// To [`Op::TakeLogin`].
    Login {
        /// The console's URL: whoever has it is signed in.
        url: Password,
        /// Name of the container that it is to be opened in.
        container: String,
    },
    /// To [`Op::Submitted`], [`Op::KeepSession`], [`Op::FailSession`] and [`Op::OfferLogin`].
    Noted {},
    /// To [`Op::Cancel`].
    Withdrawn {},
    /// To [`Op::Lock`].
    Locked {},
}

impl Answer {
    /// The keys that it tells of.
    pub fn keys_mut(&mut self) -> &mut [Key] {
        match self {
            Self::Keys { keys } => keys,
            Self::Info { key } | Self::Accounts { key, .. } | Self::Identities { key, .. } => {
                core::slice::from_mut(key)
            }
            _ => &mut [],
        }
    }
}

/// A key: the token in the hand, or a software key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Key {
    /// What [`Request::key`] takes: `soft:NAME`, a serial number, or the device id where there is none.
    pub id: String,
    /// The name that the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub name: Option<String>,
    /// What it is.
    pub kind: KeyKind,
    /// The reader's name, or the software key's.
    pub label: String,
    /// The applet's version, as `5.7.1`; empty when not known.
    pub version: String,
    /// Whether it wants a password now.
    pub locked: bool,
    /// The serial number, of a card that tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub serial: Option<u32>,
    /// The key's own firmware, as `5.7.1`, where it tells it; on a YubiKey from 4 on the applet has the same version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub firmware: Option<String>,
    /// What it is built as, for people: `Keychain (USB-C)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub form_factor: Option<String>,
    /// Which of its applications are switched on over the interface that it is asked through, in Yubico's words:
    /// `Yubico OTP`, `OATH`. Empty when not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub enabled: Vec<String>,
    /// How many accounts and identities fit, where the firmware tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub slots: Option<u8>,
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyKind {
    /// A card in a reader, or a token that is both.
    SmartCard,
    /// An encrypted file: an explicit choice, and said to be one wherever it shows.
    Software,
}

/// An OATH credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Account {
    /// Full name, `ISSUER:ACCOUNT` or `ACCOUNT`, without the period prefix. Keyfob never makes two of one name on a
    /// key; other programs may have.
    pub name: String,
    /// Issuer, if the name has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub issuer: Option<String>,
    /// What moves.
    pub kind: AccountKind,
    /// Seconds a code lasts (TOTP), 0 for HOTP.
    pub period: u32,
    /// Digits of a code; not known from LIST alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub digits: Option<u8>,
    /// Whether it wants a touch; not known for HOTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub touch: Option<bool>,
    /// The login it belongs to, if its name is one of AWS's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub aws: Option<AwsLogin>,
    /// Its code, if it was asked for and wants no touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub code: Option<Code>,
}

/// What moves the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum AccountKind {
    /// A counter on the key (RFC 4226).
    Hotp,
    /// Time (RFC 6238).
    Totp,
}

/// What an account's name says about the AWS login it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AwsLogin {
    /// 12-digit account id, or the account's alias; none where the name has neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub account: Option<String>,
    /// Name of the MFA device, or of the user (Identity Center).
    pub device: String,
    /// Which sign-in it is for.
    pub flow: AwsFlow,
}

/// Which of AWS's sign-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AwsFlow {
    /// IAM user or root.
    Iam,
    /// IAM Identity Center or Builder ID.
    IdentityCenter,
}

/// A one-time code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Code {
    /// The digits, leading zeros included.
    pub value: String,
    /// First second in which it is right (TOTP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "number"))]
    pub valid_from: Option<u64>,
    /// First second in which it is right no more (TOTP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "number"))]
    pub valid_until: Option<u64>,
    /// It was submitted to AWS already, which takes none twice: see [`Op::Submitted`].
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(test, ts(optional, as = "Option<bool>"))]
    pub submitted: bool,
}

impl core::fmt::Debug for Code {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Code(… until {:?})", self.valid_until)
    }
}

/// An AWS access key whose secret is on a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Identity {
    /// `AKIA…`.
    pub access_key_id: String,
    /// What it can sign.
    pub signature: SignatureVersion,
    /// Whether a signature wants a touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub touch: Option<bool>,
}

/// AWS's signature processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[non_exhaustive]
pub enum SignatureVersion {
    /// HMAC-SHA256 over a credential scope.
    #[default]
    SigV4,
    /// HMAC-SHA1 over the string to sign (SigV2 of S3).
    HmacV1,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Failure {
    /// Stable, for programs.
    pub code: ErrorCode,
    /// What happened, for people: a sentence without the full stop.
    pub message: String,
    /// What to do next, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub hint: Option<String>,
    /// What there is to choose from, where there is too much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub candidates: Vec<String>,
    /// What would open the key, where it is locked: [`Op::Unlock`] takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub wants: Option<Box<Wants>>,
}

/// What a locked key wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Wants {
    /// Which key: [`Request::key`] of the [`Op::Unlock`].
    pub key: String,
    /// What a person is to give: completes "enter …".
    pub what: String,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal,)*) => {
        /// Stable codes of failures, spelled in kebab case on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $wire)] $variant,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as it stands on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire),* }
            }
        }
    };
}

error_codes! {
    /// No key is plugged in, and none was chosen.
    NoKey = "no-key",
    /// Several keys or accounts fit; see [`Failure::candidates`].
    Ambiguous = "ambiguous",
    /// The key wants its password, or the software key its passphrase.
    Locked = "locked",
    /// The password or passphrase is wrong.
    WrongPassword = "wrong-password",
    /// Nobody touched the key in time.
    TouchTimeout = "touch-timeout",
    /// The person said no.
    Cancelled = "cancelled",
    /// No such key, account or identity.
    NotFound = "not-found",
    /// There is one already, and it is not overwritten unasked.
    Exists = "exists",
    /// The key is full.
    NoSpace = "no-space",
    /// The key, or its firmware, cannot do that.
    Unsupported = "unsupported",
    /// The key was pulled out, or its reader vanished, in the middle.
    KeyRemoved = "key-removed",
    /// Another program holds the key.
    Busy = "busy",
    /// The PC/SC service does not run, or may not be used.
    NoPcsc = "no-pcsc",
    /// The key answered what no OATH applet would.
    BadAnswer = "bad-answer",
    /// The message is no request of this protocol.
    BadRequest = "bad-request",
    /// Another version of the protocol.
    UnsupportedVersion = "unsupported-version",
    /// The front end may not ask for this.
    Forbidden = "forbidden",
    /// What the user gave cannot be: a bucket, an object key, an expiry, a URI.
    InvalidInput = "invalid-input",
    /// A file or folder could not be read or written.
    Io = "io",
    /// AWS, or the server in its place, refused.
    AwsRefused = "aws-refused",
    /// The host and the extension are not one version, or something in the host broke.
    Internal = "internal",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_strictly() {
        #[track_caller]
        fn check(json: &str, expected: Option<Op>) {
            assert_eq!(serde_json::from_str::<Request>(json).ok().map(|r| r.op), expected, "{json}");
        }
        check(r#"{"v":1,"id":"a","op":{"name":"hello"}}"#, Some(Op::Hello {}));
        check(
            r#"{"v":1,"id":"a","op":{"name":"code","account":"x"}}"#,
            Some(Op::Code { account: "x".into(), at: None, purpose: None, fresh: false, next: false }),
        );
        check(r#"{"v":1,"id":"a","op":{"name":"code"}}"#, None);
        check(r#"{"v":1,"id":"a","op":{"name":"code","account":"x","when":1}}"#, None);
        check(r#"{"v":1,"id":"a","op":{"name":"hello"},"more":1}"#, None);
        check(r#"{"v":1,"id":"a","op":{"name":"transmit","apdu":"00A40400"}}"#, None);
    }

    #[test]
    fn error_codes_are_spelled_once() {
        for &code in ErrorCode::ALL {
            let wire = serde_json::to_string(&code).unwrap();
            assert_eq!(wire, format!("\"{}\"", code.as_str()));
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let op = Op::Unlock { password: Password("hunter2".into()) };
        assert!(!format!("{op:?}").contains("hunter2"));
        let code =
            Code { value: "123456".into(), valid_from: Some(0), valid_until: Some(30), submitted: false };
        assert!(!format!("{code:?}").contains("123456"));
    }
}
