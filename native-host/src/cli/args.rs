//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use keyfob_core::message::SignatureVersion;
use keyfob_core::softkey::Firmware;

use super::complete;
use super::time;

const EXAMPLES: &str = "\
Examples:
  keyfob oath list                                  accounts on the key
  keyfob code aws                                   the code of the account whose name begins with \"aws\"
  keyfob oath uri < uri.txt                         put an account on the key
  keyfob aws add AKIAIOSFODNN7EXAMPLE               put an AWS access key's secret on the key
  keyfob presign s3://bucket/file.pdf --region eu-west-1 --expires 1h
  keyfob browser install                            let the browser extension use this program

Exit codes: 0 ok, 1 other, 2 usage, 3 no key, 4 ambiguous, 5 locked, 6 touch timed out, 7 not found,
8 AWS refused.";

/// AWS secrets on a YubiKey: MFA codes, presigned S3 links, and the browser extension's host.
#[derive(Debug, Parser)]
#[command(name = "keyfob", version, after_help = EXAMPLES, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Key to use: its serial number, a name from config.toml, or soft:NAME for a software key. Needed when there are
    /// several; more than once to put an account on several
    #[arg(short, long, global = true, env = crate::config::KEY_ENV, value_name = "SERIAL|NAME|soft:NAME", action = ArgAction::Append, add = complete::keys())]
    pub(super) key: Vec<String>,
    /// Whether it was typed: then it comes before what a profile names.
    #[arg(skip)]
    pub(super) key_is_typed: bool,
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Do not use the agent: this process alone holds the key
    #[arg(long, global = true, env = "KEYFOB_NO_AGENT", value_parser = clap::builder::FalseyValueParser::new())]
    pub(super) no_agent: bool,
    /// Wait for a key to be plugged in, if there is none
    #[arg(long, global = true)]
    pub(super) wait: bool,
    /// Give up after so long, be it a touch, a key or a server that is waited for: 5s, 1m
    #[arg(long, global = true, value_name = "DURATION", value_parser = time::duration)]
    pub(super) timeout: Option<Duration>,
    /// Say who holds the key, and how long it took
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,
    /// Say nothing on stderr but errors and the touch prompt
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it is not moved about")]
pub(super) enum Command {
    /// List the keys that are plugged in
    List,
    /// Tell about one key: version, password, accounts
    Info,
    /// Find out what keeps Keyfob from working here, and how to mend it: exit code 1 if there is anything
    Doctor(Doctor),
    /// Print the code of an account, or of all that want no touch
    Code(Code),
    /// Manage the accounts on the key
    #[command(subcommand)]
    Oath(Oath),
    /// Manage the AWS access keys whose secret is on the key
    #[command(subcommand)]
    Aws(Aws),
    /// Run a program with the credentials of a profile in its environment
    Exec(super::exec::Options),
    /// Print the credentials of a profile, for a shell or a file
    Env(super::environment::Options),
    /// Print the credentials of a profile as AWS's tools want them of a credential_process
    CredentialProcess(super::credential_process::Options),
    /// Hand out the credentials of a profile as a container's endpoint does, renewed in time
    Serve(super::serve::Options),
    /// Sign in to the AWS console with the session of a profile's role
    Login(super::login::Options),
    /// Manage the sessions that the agent keeps
    #[command(subcommand)]
    Sessions(super::sessions::Sessions),
    /// Sign any request to AWS, or to a server that takes its signatures: print the headers or a curl command, or send it
    Sign(super::sign::Options),
    /// Print presigned S3 links, signed by the key: one, those of a list, or those of all objects under a prefix
    Presign(super::presign::Options),
    /// Print a form, or its fields, by which a browser uploads to S3 until it expires
    PresignPost(super::presign_post::Options),
    /// Let browsers start this program for the extension
    #[command(subcommand)]
    Browser(Browser),
    /// Manage software keys: encrypted files in place of a card, for trying out and for tests
    #[command(subcommand)]
    Soft(Soft),
    /// Forget all passwords and passphrases, and cancel whatever waits for a touch
    Lock,
    /// Manage the agent: the process that holds the key for all programs. It starts by itself
    #[command(subcommand)]
    Agent(Agent),
    /// Print completions for a shell, to be put where it looks for them
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// Folder; it is made if it is not there
        #[arg(add = complete::files())]
        folder: PathBuf,
    },
    /// What a shell's script asks for at every TAB
    #[command(hide = true)]
    Complete {
        shell: complete::Dialect,
        /// Words up to the cursor
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// What `code --clip` leaves behind: holds the text of stdin on the clipboard for a while
    #[command(name = super::clip::HOLD, hide = true)]
    HoldClipboard {
        /// How long
        #[arg(long, value_name = "TIME", value_parser = time::duration, default_value = "30s")]
        clear_after: Duration,
    },
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Compare the clock with a server's, by its HTTPS Date header; AWS's unless another one is named
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = crate::doctor::clock::DEFAULT_URL)]
    pub(super) clock: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Code {
    /// Accounts: full names, or the beginning of a name or issuer if only one fits
    #[arg(add = complete::accounts())]
    pub(super) accounts: Vec<String>,
    /// The code after this one
    #[arg(long, conflicts_with_all = ["at", "fresh", "watch"])]
    pub(super) next: bool,
    /// A code that AWS has not seen yet: waits for the next one if it has
    #[arg(long, conflicts_with = "at")]
    pub(super) fresh: bool,
    /// For another time than now: RFC 3339 (2026-11-21T12:00:00Z) or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(super) at: Option<u64>,
    /// Copy the code to the clipboard rather than print it; it is cleared there after 30 seconds
    #[arg(short, long)]
    pub(super) clip: bool,
    /// Show all accounts and their codes as they change, until q is pressed
    #[arg(short, long, conflicts_with_all = ["accounts", "at", "clip"])]
    pub(super) watch: bool,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Account, as for `code`; a time-based one
    #[arg(add = complete::accounts())]
    pub(super) account: String,
    /// Code to verify; without it, it is asked for or read from stdin
    pub(super) code: Option<String>,
    /// How many steps before and after are right too
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=10))]
    pub(super) window: u8,
    /// At another time than now: RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(super) at: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct Hmac {
    /// Account, as for `code`; never an identity
    #[arg(add = complete::accounts())]
    pub(super) account: String,
    /// Challenge in hexadecimal digits, 1 to 64 bytes; some keys take 8 at most
    pub(super) challenge: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Access {
    /// Set the password, or change it; the new one is asked for, or read from stdin
    Change {
        /// Remove the password
        #[arg(long)]
        clear: bool,
    },
    /// Keep the password in the system's keychain, so that it is not asked for again
    Remember,
    /// Remove the password from the system's keychain
    Forget,
}

#[derive(Debug, Subcommand)]
pub(super) enum Oath {
    /// List the accounts on the key
    List,
    /// Print the code of an account, or of all that want no touch
    Code(Code),
    /// Add an account; its secret (base32) is asked for, or read from stdin
    Add(Add),
    /// Add an account from an otpauth:// URI, which is asked for or read from stdin
    Uri(Uri),
    /// Add the accounts of another app: its export, pictures of QR codes, otpauth:// URIs. All of them, or none
    Import(Import),
    /// Delete an account
    Delete(Delete),
    /// Give an account another name
    Rename {
        /// Full name of the account
        #[arg(add = complete::accounts())]
        name: String,
        /// New name, as ISSUER:ACCOUNT or ACCOUNT
        to: String,
    },
    /// Say whether a code is right: exit code 0 if it is, 7 if not
    Verify(Verify),
    /// Print the whole HMAC over a challenge, in hexadecimal digits
    Hmac(Hmac),
    /// Erase the key's OATH applet: all accounts, identities, and the password
    Reset {
        /// Do not ask
        #[arg(short, long)]
        force: bool,
    },
    /// Manage the key's password
    #[command(subcommand)]
    Access(Access),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Name, as ISSUER:ACCOUNT or ACCOUNT
    pub(super) name: String,
    #[arg(long, value_enum, default_value_t = Algorithm::Sha1, ignore_case = true)]
    pub(super) algorithm: Algorithm,
    /// Digits of a code
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(6..=8))]
    pub(super) digits: u8,
    /// Seconds a code lasts
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) period: u32,
    /// Counter-based (HOTP), beginning with this counter
    #[arg(long, value_name = "COUNTER", num_args = 0..=1, default_missing_value = "0", conflicts_with = "period")]
    pub(super) hotp: Option<u32>,
    #[command(flatten)]
    pub(super) write: Write,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl From<Algorithm> for keyfob_core::oath::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1,
            Algorithm::Sha256 => Self::Sha256,
            Algorithm::Sha512 => Self::Sha512,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Uri {
    /// Take it from the clipboard: its text, or a picture of a QR code
    #[arg(long)]
    pub(super) clipboard: bool,
    #[command(flatten)]
    pub(super) write: Write,
}

#[derive(Debug, Args)]
pub(super) struct Write {
    /// Every code wants a touch
    #[arg(short, long)]
    pub(super) touch: bool,
    /// Replace an account of the same name
    #[arg(short, long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) copies: Copies,
}

#[derive(Debug, Args)]
pub(super) struct Copies {
    /// On so many keys: those that are plugged in, or one after another
    #[arg(long = "copies", value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(super) number: u8,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// Files; without any, or for `-`, stdin. docs/import.md lists the formats
    #[arg(add = complete::files())]
    pub(super) files: Vec<PathBuf>,
    /// Take what is on the clipboard: text, or a picture of QR codes
    #[arg(long, conflicts_with = "files")]
    pub(super) clipboard: bool,
    /// Leave accounts alone that are on the key already
    #[arg(long, conflicts_with = "force")]
    pub(super) skip: bool,
    /// List what would be added, and add nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) write: Write,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// Full name of the account
    #[arg(add = complete::accounts())]
    pub(super) name: String,
    /// Do not ask
    #[arg(short, long)]
    pub(super) force: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Aws {
    /// Put an access key's secret on the key; the secret is asked for, or read from stdin
    Add(AwsAdd),
    /// Move the access key of a profile from the credentials file to the key: proved by a call before the file is changed
    Import(super::aws_import::Options),
    /// List the access keys whose secret is on the key
    Identities,
    /// Ask AWS whose access key it is (GetCallerIdentity)
    Whoami(super::whoami::Options),
    /// Remove an access key's secret from the key
    Delete(AwsDelete),
    /// Write a profile into the AWS config file, by which AWS's tools get their credentials here
    Setup(super::aws_setup::Options),
    /// Make an MFA device for a user: its secret goes from AWS onto the keys, and nowhere else
    Enroll(super::enroll::Options),
    /// Tell AWS where the clock of an MFA device is, by two codes in a row
    Resync(super::resync::Options),
    /// Replace an access key by a new one, on every key that holds it
    Rotate(super::rotate::Options),
}

#[derive(Debug, Args)]
pub(super) struct AwsAdd {
    /// Access key id, AKIA…
    pub(super) access_key_id: String,
    /// Sign without a touch: whoever can use this computer can then use the secret
    #[arg(long)]
    pub(super) no_touch: bool,
    /// Signature that it is to make: v4 for AWS, v2 (HMAC-SHA1) for S3-compatible servers that want it
    #[arg(long, value_enum, default_value_t = Signature::V4)]
    pub(super) signature: Signature,
    /// Replace the secret that is there
    #[arg(short, long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) copies: Copies,
}

/// Which signatures a secret is to make: each takes a slot of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Signature {
    V4,
    V2,
    Both,
}

impl Signature {
    /// As the protocol names them.
    pub(super) fn versions(self) -> &'static [SignatureVersion] {
        match self {
            Self::V4 => &[SignatureVersion::SigV4],
            Self::V2 => &[SignatureVersion::HmacV1],
            Self::Both => &[SignatureVersion::SigV4, SignatureVersion::HmacV1],
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct AwsDelete {
    /// Access key id, AKIA…
    #[arg(add = complete::identities())]
    pub(super) access_key_id: String,
    /// Do not ask
    #[arg(short, long)]
    pub(super) force: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Browser {
    /// Write the manifest that lets a browser start this program
    Install {
        /// Browsers; without any: all that seem to be used here
        browsers: Vec<String>,
        /// Also let in the unpacked extension, for those who build it themselves
        #[arg(long)]
        dev: bool,
    },
    /// Remove the manifest
    Uninstall {
        /// Browsers; without any: all
        browsers: Vec<String>,
    },
    /// Say which browsers can start this program, and what is wrong with the others
    Status,
}

#[derive(Debug, Subcommand)]
pub(super) enum Agent {
    /// Start it, if it does not run
    Start,
    /// End it; passwords are forgotten
    Stop,
    /// Say whether it runs: exit code 0 if it does, 7 if not
    Status,
    /// Be the agent, in the foreground
    Run {
        /// Forget passwords, and end, after so long without a request: 30s, 15m, 8h. By default as config.toml says, or 15m
        #[arg(long, value_name = "DURATION", value_parser = time::duration)]
        idle: Option<Duration>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Soft {
    /// Make a software key, protected by a passphrase
    Create {
        /// Letters, digits, dots, hyphens, underscores
        name: String,
        /// Protect it by the system's keychain rather than by a passphrase
        #[arg(long)]
        keychain: bool,
        /// YubiKey that it stands in for, in a virtual reader above all
        #[arg(long, value_parser = firmware(), default_value_t)]
        firmware: Firmware,
    },
    /// List the software keys
    List,
    /// Delete a software key and all that is on it
    Delete {
        /// Its name
        #[arg(add = complete::soft_keys())]
        name: String,
        /// Do not ask
        #[arg(short, long)]
        force: bool,
    },
    /// Be a card in a virtual PC/SC reader (the vpcd driver of vsmartcard), until stopped
    Serve {
        /// Its name
        #[arg(add = complete::soft_keys())]
        name: String,
        /// Where the reader's driver listens
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:35963")]
        reader: String,
    },
}

fn firmware() -> impl TypedValueParser<Value = Firmware> {
    PossibleValuesParser::new(Firmware::ALL.map(Firmware::name)).try_map(|name| name.parse())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
