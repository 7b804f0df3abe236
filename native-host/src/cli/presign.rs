//! `keyfob presign`: from what is typed to a link.

use std::time::Duration;

use clap::{ArgAction, Args};
use keyfob_core::message::{ErrorCode, Failure, Scheme, SignatureVersion};
use keyfob_core::s3::{
    self, EndpointKind, KeyError, LIST_PARAMETERS, ParsedPresign, PresignRequest, REQUEST_PAYER, Target,
    VERSION_ID,
};
use keyfob_core::sigv4::AmzDate;
use serde_json::json;

use super::args::Global;
use super::client::Client;
use super::output;
use super::upload::{self, given};
use super::{batch, credentials, place, time};
use crate::check;
use crate::error::failure;
use crate::http::Http;
use crate::service;
use crate::signing::V2;

/// A link, as it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// s3://BUCKET/KEY, or s3://ARN/KEY with the ARN of an access point; the key is taken as it is, without any decoding. Of
    /// a batch: the bucket, and the prefix
    #[arg(required_unless_present = "stdin")]
    pub(super) url: Option<String>,
    #[command(flatten)]
    pub(super) batch: batch::Options,
    /// HTTP method
    #[arg(short = 'X', long, default_value = "GET")]
    pub(super) method: String,
    /// How long the link works: 900, 15m, 1h, 7d
    #[arg(short, long, default_value = "1h", value_parser = time::duration)]
    pub(super) expires: Duration,
    #[command(flatten)]
    pub(super) place: place::Options,
    #[command(flatten)]
    pub(super) signer: credentials::Options,
    /// List the bucket (ListObjectsV2); what stands after it in the URL is the prefix
    #[arg(long)]
    pub(super) list: bool,
    /// Version of the object
    // Servers begin them with dashes too.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(super) version_id: Option<String>,
    /// Multipart upload that the request is for: PUT with --part-number uploads a part, GET lists the parts, POST completes,
    /// DELETE aborts
    // Servers begin them with dashes too.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(super) upload_id: Option<String>,
    /// Part to upload, or to get: 1 to 10000
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(super) part_number: Option<u16>,
    /// Whoever uses the link pays for it, as the bucket wants it (requester pays)
    #[arg(long)]
    pub(super) request_payer: bool,
    /// Another query parameter, such as delimiter=/ and max-keys=100 with --list, or uploads= with POST
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub(super) query: Vec<String>,
    /// Set a header of the answer, such as content-disposition='attachment; filename="a.txt"'
    #[arg(long, value_name = "HEADER=VALUE", action = ArgAction::Append)]
    pub(super) response: Vec<String>,
    /// Header that the request will carry, such as content-type=text/plain
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    pub(super) header: Vec<String>,
    /// Sign by Signature Version 2 (HMAC-SHA1), for servers other than AWS that want it; the secret must be on the key for it
    /// (`aws add --signature v2`)
    #[arg(long)]
    pub(super) sigv2: bool,
    /// Try the link, and say what is there: gets the first byte by it. For GET
    #[arg(long)]
    pub(super) check: bool,
    /// Sign as of another time than now, for a reproducible link: RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(super) at: Option<u64>,
    // From here on all is under this heading.
    #[command(flatten, next_help_heading = UPLOAD)]
    pub(super) upload: upload::Options,
    /// Its exact length in bytes
    #[arg(long, value_name = "BYTES")]
    pub(super) content_length: Option<u64>,
    /// Its checksum: sha256=BASE64; also sha1, crc32, crc32c and crc64nvme
    #[arg(long, value_name = "ALGORITHM=BASE64")]
    pub(super) checksum: Option<String>,
    /// Storage class: STANDARD_IA, GLACIER, …
    #[arg(long, value_name = "CLASS")]
    pub(super) storage_class: Option<String>,
    /// How S3 encrypts it: AES256, aws:kms or aws:kms:dsse
    #[arg(long, value_name = "ALGORITHM")]
    pub(super) sse: Option<String>,
    /// Key of KMS with which it does
    #[arg(long, value_name = "KEY")]
    pub(super) sse_kms_key_id: Option<String>,
}

const UPLOAD: &str = "What is uploaded";

/// Algorithms of `x-amz-checksum-*`, with their lengths in bytes ("Checking object integrity", Amazon S3 User Guide).
const CHECKSUMS: [(&str, usize); 5] =
    [("crc32", 4), ("crc32c", 4), ("crc64nvme", 8), ("sha1", 20), ("sha256", 32)];

/// What is said of links whose keys have dots between their slashes.
pub(super) const DOTS: &str = "a . or .. between the slashes of the path: browsers, curl (but for --path-as-is) and most programs \
                               resolve it before they ask, and then the signature does not fit.";

pub(super) fn run(global: &Global, args: &Options) -> Result<(), Failure> {
    let url = args.url.as_deref().unwrap_or_default();
    let location = url
        .strip_prefix("s3://")
        .ok_or_else(|| invalid(&format!("{url:?} is no S3 URL"), "give s3://BUCKET/KEY"))?;
    let (bucket, key) = s3::split_location(location);
    let Target { endpoint, bucket } = args.place.target(bucket)?;
    let query = query(args, key)?;
    let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let headers = headers(args)?;
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    // Methods are case-sensitive, and those of S3 are upper-case.
    let method = args.method.to_ascii_uppercase();
    let request = PresignRequest {
        method: &method,
        endpoint: &endpoint,
        bucket: &bucket,
        key: if args.list { "" } else { key },
        access_key_id: args.signer.identity.as_deref().unwrap_or("AKIAIOSFODNN7EXAMPLE"),
        time: args.at.unwrap_or_else(service::unix_time),
        expires: args.expires.as_secs(),
        session_token: None,
        version_id: args.version_id.as_deref(),
        query: &query,
        headers: &headers,
    };
    // Before a key is looked for: what cannot be signed, or will not be, is said without one.
    if request.key.is_empty()
        && !(is_read(&method) && query.iter().any(|(name, _)| LIST_PARAMETERS.contains(name)))
    {
        return Err(match args.list {
            true => invalid(
                &format!("a list is read, and {method} would be for the bucket itself"),
                "leave -X out",
            ),
            false => invalid(&KeyError::Empty, "give s3://BUCKET/KEY; or --list, for the list of the bucket"),
        });
    }
    check_sense(&request).map_err(|why| invalid(&why, ""))?;
    let http = if args.check { Some(checkable(args, &request)?.until(global.deadline())) } else { None };
    let link =
        if args.sigv2 { by_version_2(global, args, &request) } else { by_version_4(global, args, &request) }?;
    let Link { url, expires_at, identity, changeable } = link;
    let note = |text: &str| output::note(global.quiet, text);
    // Of JSON too, for whoever takes the link has no other way to know.
    if s3::has_dot_segments(request.key) {
        note(&format!("The link has {DOTS}"));
    }
    let check = || http.as_ref().map(|http| check::fetch(http, &url, &headers)).transpose();
    if global.json {
        let headers: serde_json::Map<_, _> =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).into())).collect();
        let mut json = json!({
            "url": url,
            "method": method,
            "headers": headers,
            "expires_at": expires_at,
            "identity": identity,
        });
        let checked = check();
        if let (Ok(Some(found)), Some(json)) = (&checked, json.as_object_mut()) {
            json.insert("check".to_owned(), json!(found));
        }
        output::json(&json)?;
        return checked.map(drop);
    }
    if endpoint.scheme() == Scheme::Http {
        note("This link is fetched without TLS: whoever is on the way can read it.");
    }
    if endpoint.kind() == EndpointKind::Directory {
        note("A directory bucket: the identity must be allowed s3express:CreateSession there.");
    }
    for (name, value) in &headers {
        note(&format!("Whoever uses the link must send {}: {value}", name.to_ascii_lowercase()));
    }
    for name in changeable {
        note(&format!("Signature Version 2 does not sign {name}: whoever has the link can change it."));
    }
    if let Ok(date) = AmzDate::from_unix(expires_at) {
        note(&format!("It works until {}.", spelled(&date)));
    }
    output::line(&url)?;
    if let Some(found) = check()? {
        note(&format!("It was tried, and works: {found}."));
    }
    Ok(())
}

/// A link that is made.
struct Link {
    url: String,
    /// Unix time in seconds.
    expires_at: u64,
    identity: String,
    /// Parameters that are not signed.
    changeable: Vec<String>,
}

fn by_version_4(global: &Global, args: &Options, request: &PresignRequest<'_>) -> Result<Link, Failure> {
    let text = request.canonical_request().map_err(|error| invalid(&error, ""))?;
    let virtual_hosted =
        request.endpoint.kind() == EndpointKind::Other && request.endpoint.is_virtual_hosted();
    let parse = if virtual_hosted { ParsedPresign::parse_virtual_hosted } else { ParsedPresign::parse };
    parse(&text).map_err(|error| invalid(&error, ""))?;

    let mut client = Client::new(global)?;
    let credentials = args.signer.resolve(&mut client, SignatureVersion::SigV4)?;
    let (url, expires_at) = credentials.presign(&mut client, request)?;
    let identity = credentials.access_key_id().to_owned();
    Ok(Link { url, expires_at, identity, changeable: Vec::new() })
}

fn by_version_2(global: &Global, args: &Options, request: &PresignRequest<'_>) -> Result<Link, Failure> {
    place::check_sigv2(request.endpoint)?;
    request.prepare_v2().map_err(|error| invalid(&error, ""))?;

    let mut client = Client::new(global)?;
    let credentials = args.signer.resolve(&mut client, SignatureVersion::HmacV1)?;
    let (access_key_id, session_token) = (credentials.access_key_id(), credentials.session_token());
    let request = PresignRequest { access_key_id, session_token, ..*request };
    let link = request.prepare_v2().map_err(|error| invalid(&error, ""))?;
    let what = V2::Request { string_to_sign: link.string_to_sign(), host: link.host() };
    let signature = credentials.sign_v2(&mut client, what)?;
    Ok(Link {
        url: link.finish(&signature),
        expires_at: link.expires_at(),
        identity: access_key_id.to_owned(),
        changeable: link.unsigned_parameters().map(str::to_owned).collect(),
    })
}

/// What a link is tried with, if it is one that can be.
fn checkable(args: &Options, request: &PresignRequest<'_>) -> Result<Http, Failure> {
    let refused = |why: &str, hint: &str| Err(failure(ErrorCode::InvalidInput, why, hint));
    if request.method != "GET" {
        let why = format!(
            "the method is signed, so that a {} link can be tried only by doing what it is for",
            request.method
        );
        return refused(&why, "leave --check out: it is for GET");
    }
    // Of Version 2 only the end is signed.
    if request.time > service::unix_time() && !args.sigv2 {
        return refused(
            "the link will work only later, and cannot be tried now",
            "leave --check or --at out",
        );
    }
    Http::new()
}

pub(super) fn invalid(error: &dyn std::fmt::Display, hint: &str) -> Failure {
    failure(ErrorCode::InvalidInput, error, hint)
}

/// Whether a method reads only.
fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// Refuses a link that can be signed, and that S3 refuses whoever uses it.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(super) fn check_sense(request: &PresignRequest<'_>) -> Result<(), String> {
    let parameter =
        |wanted: &str| request.query.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let header = |wanted: &str| {
        request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
    };
    let puts = request.method == "PUT";
    let (version_id, upload_id) =
        (request.version_id.or_else(|| parameter(VERSION_ID)), parameter("uploadId"));
    let refused = [
        (version_id == Some(""), "the version id is empty: leave it out for the newest version"),
        (upload_id == Some(""), "the upload id is empty: give the one that the upload was created with"),
        (
            puts && upload_id.is_none() && parameter("partNumber").is_some(),
            "a part is uploaded to a multipart upload: give its id too (uploadId, --upload-id)",
        ),
        (header("content-type") == Some(""), "the content type is empty: leave it out, or give one"),
        (
            header("x-amz-server-side-encryption") == Some("AES256")
                && header("x-amz-server-side-encryption-aws-kms-key-id").is_some(),
            "AES256 is encryption without KMS: leave KMS's key out, or take aws:kms (--sse aws:kms)",
        ),
        (
            AmzDate::from_unix(request.time.saturating_add(request.expires)).is_err(),
            "it would work beyond the year 9999, which no server can read: take an earlier time",
        ),
    ];
    if let Some((_, why)) = refused.iter().find(|(refused, _)| *refused) {
        return Err((*why).to_owned());
    }
    // Of an upload that is completed it can be one of its parts' checksums, with their number.
    for (algorithm, length) in CHECKSUMS.iter().filter(|_| puts) {
        let name = format!("x-amz-checksum-{algorithm}");
        let Some(value) = header(&name) else { continue };
        if data_encoding::BASE64.decode(value.trim().as_bytes()).map(|bytes| bytes.len()) != Ok(*length) {
            return Err(format!(
                "{name} is {length} bytes in base64, and {value:?} is none such: give it so"
            ));
        }
    }
    Ok(())
}

/// `20130524T000000Z` as `2013-05-24 00:00:00 UTC`.
pub(super) fn spelled(date: &AmzDate) -> String {
    let text = date.as_str();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let (day, time) = ([part(0, 4), part(4, 6), part(6, 8)], [part(9, 11), part(11, 13), part(13, 15)]);
    format!("{} {} UTC", day.join("-"), time.join(":"))
}

/// Name and value of what is typed as `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(invalid(&format!("{text:?} is not NAME=VALUE"), "put an = between them")),
    }
}

/// The same of several.
pub(super) fn pairs(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    texts.iter().map(|text| pair(text)).collect()
}

/// The parameters but the version's and the signature's own. `prefix` is what a list is to begin with.
pub(super) fn query(args: &Options, prefix: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut query = pairs(&args.query)?;
    for text in &args.response {
        let (name, value) = pair(text)?;
        query.push((format!("response-{}", name.to_ascii_lowercase()), value));
    }
    let part_number = args.part_number.map(|number| number.to_string());
    let list = args.list.then_some(("list-type", "2"));
    let more = [
        list,
        list.filter(|_| !prefix.is_empty()).map(|_| ("prefix", prefix)),
        args.upload_id.as_deref().map(|id| ("uploadId", id)),
        part_number.as_deref().map(|number| ("partNumber", number)),
        args.request_payer.then_some((REQUEST_PAYER, "requester")),
    ];
    query.extend(more.into_iter().flatten().map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(query)
}

/// What must not be typed, for other users can read arguments.
pub(super) fn refuse_secrets(given: &[(String, String)]) -> Result<(), Failure> {
    let Some((name, _)) = given.iter().find(|(name, _)| s3::is_secret_header(name)) else { return Ok(()) };
    Err(invalid(
        &format!("{name} is a secret, which other users of this computer could read here"),
        "leave it out: it is sent with the link, and only its algorithm must be signed \
         (x-amz-server-side-encryption-customer-algorithm=AES256)",
    ))
}

/// The headers but Host.
pub(super) fn headers(args: &Options) -> Result<Vec<(String, String)>, Failure> {
    let mut headers = pairs(&args.header)?;
    refuse_secrets(&headers)?;
    if let Some(checksum) = &args.checksum {
        let (algorithm, value) = pair(checksum)?;
        let algorithm = algorithm.to_ascii_lowercase();
        if !CHECKSUMS.iter().any(|(known, _)| *known == algorithm) {
            let hint = format!("give one of {}", CHECKSUMS.map(|(known, _)| known).join(", "));
            return Err(invalid(&format!("S3 knows no checksum {algorithm:?}"), &hint));
        }
        headers.push((format!("x-amz-checksum-{algorithm}"), value));
    }
    if let Some(tags) = args.upload.tags()? {
        headers.push(("x-amz-tagging".to_owned(), s3::tagging(&tags)));
    }
    let length = args.content_length.map(|length| length.to_string());
    headers.extend(given([
        ("content-type", &args.upload.content_type),
        ("content-length", &length),
        ("x-amz-acl", &args.upload.acl),
        ("x-amz-storage-class", &args.storage_class),
        ("x-amz-server-side-encryption", &args.sse),
        ("x-amz-server-side-encryption-aws-kms-key-id", &args.sse_kms_key_id),
    ]));
    Ok(headers)
}
