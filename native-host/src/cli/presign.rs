//! `keyfob presign`: from what is typed to a link.

use keyfob_core::message::{Answer, ErrorCode, Failure, Op, Scheme, SignatureVersion};
use keyfob_core::s3::{
    self, Addressing, EndpointError, EndpointKind, ParsedPresign, PresignRequest, REQUEST_PAYER, Target,
    Variant,
};
use keyfob_core::sigv4::AmzDate;
use serde_json::json;

use super::args::{self, AddressingStyle, Global};
use super::client::Client;
use super::commands::unexpected;
use super::output;
use crate::error::failure;
use crate::service;

/// Algorithms of `x-amz-checksum-*`.
const CHECKSUMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

pub(super) fn run(global: &Global, args: &args::Presign) -> Result<(), Failure> {
    let location = args
        .url
        .strip_prefix("s3://")
        .ok_or_else(|| invalid(&format!("{:?} is no S3 URL", args.url), "give s3://BUCKET/KEY"))?;
    let (bucket, key) = s3::split_location(location);
    let Target { endpoint, bucket } = target(args, bucket)?;
    let query = query(args, key)?;
    let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let headers = headers(args)?;
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    // Methods are case-sensitive, and those of S3 are upper-case.
    let method = args.method.to_ascii_uppercase();
    let mut request = PresignRequest {
        method: &method,
        endpoint: &endpoint,
        bucket: &bucket,
        key: if args.list { "" } else { key },
        access_key_id: args.identity.as_deref().unwrap_or("AKIAIOSFODNN7EXAMPLE"),
        time: args.at.unwrap_or_else(service::unix_time),
        expires: args.expires.as_secs(),
        session_token: None,
        version_id: args.version_id.as_deref(),
        query: &query,
        headers: &headers,
    };
    // Before a key is looked for: what cannot be signed, or will not be, is said without one.
    let virtual_hosted = endpoint.kind() == EndpointKind::Other && endpoint.is_virtual_hosted();
    let canonical = |request: &PresignRequest<'_>| {
        let text = request.canonical_request().map_err(|error| invalid(&error, ""))?;
        let parse = if virtual_hosted { ParsedPresign::parse_virtual_hosted } else { ParsedPresign::parse };
        parse(&text).map_err(|error| invalid(&error, ""))?;
        Ok::<_, Failure>(text)
    };
    canonical(&request)?;

    let mut client = Client::new(global)?;
    let identity = match &args.identity {
        Some(identity) => identity.clone(),
        None => only_identity(&mut client)?,
    };
    request.access_key_id = &identity;
    let canonical_request = canonical(&request)?;
    let scheme = endpoint.scheme();
    let (url, expires_at) = match client.ask(Op::Presign { canonical_request, scheme, virtual_hosted })? {
        Answer::Presigned { url, expires_at } => (url, expires_at),
        other => return unexpected(other),
    };
    if global.json {
        let headers: serde_json::Map<_, _> =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).into())).collect();
        return output::json(&json!({
            "url": url,
            "method": method,
            "headers": headers,
            "expires_at": expires_at,
            "identity": identity,
        }));
    }
    let note = |text: &str| output::note(global.quiet, text);
    if scheme == Scheme::Http {
        note("This link is fetched without TLS: whoever is on the way can read it.");
    }
    if endpoint.kind() == EndpointKind::Directory {
        note("A directory bucket: the identity must be allowed s3express:CreateSession there.");
    }
    for (name, value) in &headers {
        note(&format!("Whoever uses the link must send {}: {value}", name.to_ascii_lowercase()));
    }
    if let Ok(date) = AmzDate::from_unix(expires_at) {
        note(&format!("It works until {}.", spelled(&date)));
    }
    output::line(&url)
}

fn invalid(error: &dyn std::fmt::Display, hint: &str) -> Failure {
    failure(ErrorCode::InvalidInput, error, hint)
}

/// `20130524T000000Z` as `2013-05-24 00:00:00 UTC`.
fn spelled(date: &AmzDate) -> String {
    let text = date.as_str();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let (day, time) = ([part(0, 4), part(4, 6), part(6, 8)], [part(9, 11), part(11, 13), part(13, 15)]);
    format!("{} {} UTC", day.join("-"), time.join(":"))
}

/// Name and value of what is typed as `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(invalid(&format!("{text:?} is not NAME=VALUE"), "put an = between them")),
    }
}

/// The parameters but the version's and the signature's own. `prefix` is what a list is to begin with.
fn query(args: &args::Presign, prefix: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut query = args.query.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>()?;
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

/// The headers but Host.
fn headers(args: &args::Presign) -> Result<Vec<(String, String)>, Failure> {
    let mut headers = args.header.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some((name, _)) = headers.iter().find(|(name, _)| s3::is_secret_header(name)) {
        return Err(invalid(
            &format!("{name} is a secret, which other users of this computer could read here"),
            "leave it out: it is sent with the link, and only its algorithm must be signed \
             (x-amz-server-side-encryption-customer-algorithm=AES256)",
        ));
    }
    if let Some(checksum) = &args.checksum {
        let (algorithm, value) = pair(checksum)?;
        let algorithm = algorithm.to_ascii_lowercase();
        if !CHECKSUMS.contains(&algorithm.as_str()) {
            let hint = format!("give one of {}", CHECKSUMS.join(", "));
            return Err(invalid(&format!("S3 knows no checksum {algorithm:?}"), &hint));
        }
        headers.push((format!("x-amz-checksum-{algorithm}"), value));
    }
    if !args.tag.is_empty() {
        let tags = args.tag.iter().map(|tag| pair(tag)).collect::<Result<Vec<_>, _>>()?;
        headers.push(("x-amz-tagging".to_owned(), s3::tagging(&tags)));
    }
    let length = args.content_length.map(|length| length.to_string());
    let more = [
        ("content-type", &args.content_type),
        ("content-length", &length),
        ("x-amz-acl", &args.acl),
        ("x-amz-storage-class", &args.storage_class),
        ("x-amz-server-side-encryption", &args.sse),
        ("x-amz-server-side-encryption-aws-kms-key-id", &args.sse_kms_key_id),
    ];
    headers.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
    Ok(headers)
}

/// Where `bucket`, or the ARN in its place, is.
fn target(args: &args::Presign, bucket: &str) -> Result<Target, Failure> {
    let env = |name: &'static str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let region =
        args.region.clone().filter(|region| !region.is_empty()).or_else(|| env("AWS_DEFAULT_REGION"));
    let addressing = match args.addressing {
        _ if args.path_style => Addressing::Path,
        AddressingStyle::Auto => Addressing::Auto,
        AddressingStyle::Virtual => Addressing::Virtual,
        AddressingStyle::Path => Addressing::Path,
    };
    let variant =
        Variant { dual_stack: args.dual_stack, fips: args.fips, accelerate: args.accelerate, addressing };
    let aws = || match Target::aws(bucket, region.as_deref(), variant) {
        Err(error @ EndpointError::NoRegion) => Err(invalid(&error, "give --region, or set AWS_REGION")),
        other => other.map_err(|error| invalid(&error, "")),
    };
    let server = |url: &str| {
        let region = region.as_deref().unwrap_or("us-east-1");
        Target::server(url, region, bucket, variant)
    };
    if let Some(url) = &args.endpoint {
        return server(url).map_err(|error| invalid(&error, ""));
    }
    for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        let Some(url) = env(name) else { continue };
        return match server(&url) {
            // Said of AWS itself it says nothing more than the region.
            Err(EndpointError::Aws(_)) => aws(),
            Err(error @ (EndpointError::Url(_) | EndpointError::Scope(_))) => {
                Err(invalid(&format!("{name}: {error}"), "correct it, or unset it"))
            }
            other => other.map_err(|error| invalid(&error, "")),
        };
    }
    aws()
}

fn only_identity(client: &mut Client<'_>) -> Result<String, Failure> {
    let Answer::Identities { identities, .. } = client.ask(Op::Identities {})? else {
        return Err(failure(
            ErrorCode::Internal,
            "the service did not list the identities",
            "please report this",
        ));
    };
    let mut ids: Vec<_> = identities
        .into_iter()
        .filter(|identity| identity.signature == SignatureVersion::SigV4)
        .map(|identity| identity.access_key_id)
        .collect();
    match ids.len() {
        0 => Err(failure(
            ErrorCode::NotFound,
            "there is no AWS access key on this key",
            "put one there with `keyfob aws add AKIA…`",
        )),
        1 => Ok(ids.remove(0)),
        _ => Err(Failure {
            candidates: ids,
            ..failure(
                ErrorCode::Ambiguous,
                "there are several AWS access keys on this key",
                "choose one with --identity",
            )
        }),
    }
}
