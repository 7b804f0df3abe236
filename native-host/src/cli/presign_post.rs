//! `keyfob presign-post`: forms that upload.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use keyfob_core::curl::value_of_config;
use keyfob_core::message::{ErrorCode, Failure, Scheme, SignatureVersion};
use keyfob_core::s3::{self, Condition, PostForm, PostKey, PostPolicy, PostPolicyError, Target, escape_html};
use keyfob_core::sigv4::{AmzDate, Url};
use serde_json::json;

use super::args::Global;
use super::client::Client;
use super::presign::{invalid, pairs, refuse_secrets, spelled};
use super::upload::{self, given};
use super::{complete, credentials, output, place, time};
use crate::error::failure;
use crate::prompt::{grouped, shown};
use crate::service;
use crate::signing::V2;

/// A form, as it is typed.
#[derive(Debug, Args)]
#[command(mut_arg("content_type", |arg| arg.help("Its type: text/plain")))]
pub(super) struct Options {
    /// s3://BUCKET/KEY: where the upload goes. With --prefix what its key begins with, which may be nothing
    pub(super) url: String,
    /// Take what is given as the beginning of the key: the name of the uploaded file is put behind it
    #[arg(long)]
    pub(super) prefix: bool,
    /// How long the form works: 900, 15m, 1h, 7d
    #[arg(short, long, default_value = "1h", value_parser = time::duration)]
    pub(super) expires: Duration,
    #[command(flatten)]
    pub(super) place: place::Options,
    #[command(flatten)]
    pub(super) signer: credentials::Options,
    /// What is printed; without it html
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,
    /// File that the command of --format curl uploads
    #[arg(long, value_name = "FILE", add = complete::files())]
    pub(super) file: Option<PathBuf>,
    /// Sign by Signature Version 2 (HMAC-SHA1), for servers other than AWS that want it. A key signs short forms only: bucket,
    /// key and one or two conditions
    #[arg(long)]
    pub(super) sigv2: bool,
    /// Sign as of another time than now, for a reproducible form: RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(super) at: Option<u64>,
    /// Least length of the file in bytes
    #[arg(long, value_name = "BYTES", help_heading = UPLOAD)]
    pub(super) min_bytes: Option<u64>,
    /// Greatest length of the file in bytes
    #[arg(long, value_name = "BYTES", help_heading = UPLOAD)]
    pub(super) max_bytes: Option<u64>,
    // From here on all is under this heading.
    #[command(flatten, next_help_heading = UPLOAD)]
    pub(super) upload: upload::Options,
    /// Another field, with its one value: Cache-Control=no-store, x-amz-meta-who=me
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub(super) field: Vec<String>,
    /// A field that whoever uploads chooses, and that begins so: Content-Type=image/, or x-amz-meta-note= for anything
    #[arg(long, value_name = "NAME=BEGINNING", action = ArgAction::Append)]
    pub(super) starts_with: Vec<String>,
    /// Page that the browser goes to afterwards
    #[arg(long, value_name = "URL", conflicts_with = "status")]
    pub(super) redirect: Option<String>,
    /// Status of the answer to an upload; 204 without it. 201 has a document with the object's place
    #[arg(long, value_parser = ["200", "201", "204"])]
    pub(super) status: Option<String>,
}

const UPLOAD: &str = "What may be uploaded";

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A page with the form, for a browser
    Html,
    /// URL and fields, as boto3's generate_presigned_post returns them
    Json,
    /// A command for the shell that uploads a file
    Curl,
}

/// Fields with the page that the browser goes to afterwards; the second is what the first was called before ("POST Object", Amazon
/// S3 API Reference).
const REDIRECTS: [&str; 2] = ["success_action_redirect", "redirect"];

/// What stands in the curl command for a file that nobody named.
const PLACEHOLDER: &str = "FILE";

/// The most that S3 takes in one request, in bytes: 5 GiB ("Uploading objects", Amazon S3 User Guide).
const MAX_UPLOAD: u64 = 5 << 30;

pub(super) fn run(global: &Global, args: &Options) -> Result<(), Failure> {
    let location = args
        .url
        .strip_prefix("s3://")
        .ok_or_else(|| invalid(&format!("{:?} is no S3 URL", args.url), "give s3://BUCKET/KEY"))?;
    let (bucket, key) = s3::split_location(location);
    let Target { endpoint, bucket } = args.place.target(bucket)?;
    if args.sigv2 {
        place::check_sigv2(&endpoint)?;
    }
    let format = global.printed("--format", args.format, Format::Json, Format::Html)?;
    if format == Format::Html && key.contains(['\r', '\n']) {
        let hint = "take another key, or --format json";
        return Err(invalid(&"browsers change the line breaks in a form, and this key has some", hint));
    }
    let file = match &args.file {
        Some(_) if format != Format::Curl => {
            let hint = "add --format curl, or leave --file out";
            return Err(invalid(&"--file is for the command that uploads it, and none is printed", hint));
        }
        Some(file) => curl_file(file)?,
        None => PLACEHOLDER,
    };
    let fields = fields(args)?;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let open = pairs(&args.starts_with)?;
    refuse_secrets(&open)?;
    let mut conditions: Vec<_> =
        open.iter().map(|(name, beginning)| Condition::StartsWith(name, beginning)).collect();
    if args.min_bytes.is_some() || args.max_bytes.is_some() {
        let (least, most) = (args.min_bytes.unwrap_or(0), args.max_bytes.unwrap_or(MAX_UPLOAD));
        conditions.push(Condition::ContentLengthRange(least, most));
    }
    let policy = PostPolicy {
        endpoint: &endpoint,
        bucket: &bucket,
        key: if args.prefix { PostKey::Prefix(key) } else { PostKey::Exact(key) },
        access_key_id: args.signer.identity.as_deref().unwrap_or("AKIAIOSFODNN7EXAMPLE"),
        time: args.at.unwrap_or_else(service::unix_time),
        expires: args.expires.as_secs(),
        session_token: None,
        fields: &fields,
        conditions: &conditions,
    };
    // Before a key is looked for: what cannot be signed is said without one.
    policy.prepare().map_err(|error| refused(&error))?;

    let mut client = Client::new(global)?;
    let version = if args.sigv2 { SignatureVersion::HmacV1 } else { SignatureVersion::SigV4 };
    let credentials = args.signer.resolve(&mut client, version)?;
    credentials.check_expiry(policy.time, policy.expires)?;
    let (access_key_id, session_token) = (credentials.access_key_id(), credentials.session_token());
    let policy = PostPolicy { access_key_id, session_token, ..policy };
    let form = if args.sigv2 {
        let form = policy.prepare_v2().map_err(|error| refused(&error))?;
        let signature = credentials.sign_v2(&mut client, V2::Policy(form.string_to_sign()))?;
        form.finish(&signature)
    } else {
        let form = policy.prepare().map_err(|error| refused(&error))?;
        let date = AmzDate::from_unix(policy.time).map_err(|error| invalid(&error, ""))?;
        let scope = policy.scope().map_err(|error| refused(&error))?;
        let signature = credentials.sign_policy(&mut client, form.string_to_sign(), &date, &scope)?;
        form.finish(&signature)
    };

    let expires_at = policy.time.saturating_add(policy.expires);
    if global.json {
        let object = |pairs: &[(String, String)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
            pairs.collect::<serde_json::Map<_, _>>()
        };
        return output::json(&json!({
            "url": form.url(),
            "fields": object(form.fields()),
            "open": object(form.open_fields()),
            "expires_at": expires_at,
            "identity": access_key_id,
        }));
    }
    let note = |text: &str| output::note(global.quiet, text);
    if endpoint.scheme() == Scheme::Http {
        note("This form is sent without TLS: whoever is on the way can read it, and upload too.");
    }
    for (name, beginning) in form.open_fields() {
        let what = if beginning.is_empty() {
            "anything".to_owned()
        } else {
            format!("what begins with {beginning}")
        };
        note(&format!("Whoever uploads must give the field {name}: {what}."));
    }
    let until = AmzDate::from_unix(expires_at).map(|date| spelled(&date));
    if let Ok(until) = &until {
        note(&format!("It works until {until}."));
    }
    match format {
        Format::Html => {
            let mut notes = vec![what(args, &args.url)];
            notes.extend(until.map(|until| format!("This form works until {until}.")));
            output::raw(
                form.to_html(&format!("Upload to {}", shown(policy.bucket)), &notes, "Upload").as_bytes(),
            )
        }
        Format::Json => output::line(&form.to_json()),
        Format::Curl => {
            if args.file.is_none() {
                note(&format!("Put the name of your file in place of {PLACEHOLDER}."));
            }
            output::raw(curl(&form, file).as_bytes())
        }
    }
}

fn refused(error: &PostPolicyError) -> Failure {
    use s3::KeyError;
    let hint = match error {
        PostPolicyError::Key(KeyError::Empty) => "give s3://BUCKET/KEY, or --prefix for any key",
        PostPolicyError::Filename(_) => "leave it out, and give --prefix",
        _ => "",
    };
    invalid(error, hint)
}

/// The fields that have one value.
fn fields(args: &Options) -> Result<Vec<(String, String)>, Failure> {
    let mut fields = pairs(&args.field)?;
    refuse_secrets(&fields)?;
    if let Some(tags) = args.upload.tags()? {
        fields.push(("tagging".to_owned(), tagging(&tags)));
    }
    let is_redirect = |name: &str| REDIRECTS.iter().any(|redirect| name.eq_ignore_ascii_case(redirect));
    let redirects =
        fields.iter().filter(|(name, _)| is_redirect(name)).map(|(name, url)| (name.as_str(), url));
    for (option, url) in redirects.chain(args.redirect.iter().map(|url| ("--redirect", url))) {
        Url::parse(url)
            .map_err(|error| invalid(&format!("{option}: {error}"), "give a whole URL, https://…"))?;
    }
    fields.extend(given([
        ("Content-Type", &args.upload.content_type),
        ("acl", &args.upload.acl),
        ("success_action_redirect", &args.redirect),
        ("success_action_status", &args.status),
    ]));
    Ok(fields)
}

/// An object's tags as forms have them, which is not as headers do ("POST Object", Amazon S3 API Reference).
fn tagging(tags: &[(String, String)]) -> String {
    let mut out = String::from("<Tagging><TagSet>");
    for (name, value) in tags {
        // Its character references are XML's too.
        let (name, value) = (escape_html(name), escape_html(value));
        out += &format!("<Tag><Key>{name}</Key><Value>{value}</Value></Tag>");
    }
    out + "</TagSet></Tagging>"
}

/// What may be uploaded, and where it goes, for whoever has the page before them. `url` is S3's.
fn what(args: &Options, url: &str) -> String {
    let length = match (args.min_bytes, args.max_bytes) {
        (None, None) => "any length".to_owned(),
        (None | Some(0), Some(most)) => format!("at most {} bytes", grouped(most)),
        (Some(least), None) => format!("at least {} bytes", grouped(least)),
        (Some(least), Some(most)) => format!("{} to {} bytes", grouped(least), grouped(most)),
    };
    let place = if args.prefix { "under its own name behind" } else { "as" };
    format!("A file of {length}. It will be stored {place} {}.", shown(url))
}

/// The name of a file that a command can upload.
fn curl_file(file: &Path) -> Result<&str, Failure> {
    let refused = |text: &str, hint: &str| Err(failure(ErrorCode::InvalidInput, text, hint));
    match file.to_str() {
        // The command's own stdin has the form, and stdin would be uploaded empty.
        Some("-" | "/dev/stdin") => refused("the command cannot upload its stdin", "name a file"),
        Some(name) if !name.contains(['\r', '\n']) => Ok(name),
        _ => refused(
            "the file's name has line breaks in it, or is no text",
            "name another file, or leave --file out",
        ),
    }
}

/// A command that a shell runs as it is, and that has nothing of the form among its arguments, which other users could read.
fn curl(form: &PostForm, file: &str) -> String {
    let mut out = String::from("curl --fail-with-body --globoff --config - <<'END'\n");
    let mut option = |name: &str, value: &str| out += &format!("{name} = {}\n", value_of_config(value));
    option("url", form.url());
    // Fields have values as they are: `@` and `;` have a meaning for curl's `form` only.
    for (name, value) in form.fields().iter().chain(form.open_fields()) {
        option("form-string", &format!("{name}={value}"));
    }
    option("form", &format!("file=@\"{}\"", file.replace('\\', "\\\\").replace('"', "\\\"")));
    out + "END\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_xml() {
        #[track_caller]
        fn check(tags: &[(&str, &str)], expected: &str) {
            let tags: Vec<_> = tags.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            assert_eq!(tagging(&tags), format!("<Tagging><TagSet>{expected}</TagSet></Tagging>"));
        }
        check(&[("a", "b")], "<Tag><Key>a</Key><Value>b</Value></Tag>");
        check(
            &[("<a>", "&\"'"), ("c", "")],
            "<Tag><Key>&lt;a&gt;</Key><Value>&amp;&quot;&#39;</Value></Tag><Tag><Key>c</Key><Value></Value></Tag>",
        );
    }
}
