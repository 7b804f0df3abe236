//! `keyfob presign`: from what is typed to a link.

use keyfob_core::message::{Answer, ErrorCode, Failure, Op, Scheme, SignatureVersion};
use keyfob_core::s3::{Endpoint, EndpointError, PresignRequest};
use serde_json::json;

use super::args::{self, Global};
use super::client::Client;
use super::commands::unexpected;
use super::output;
use crate::error::failure;
use crate::service;

pub(super) fn run(global: &Global, args: &args::Presign) -> Result<(), Failure> {
    let invalid = |error: &dyn std::fmt::Display| failure(ErrorCode::InvalidInput, error, "");
    let (bucket, key) = args
        .url
        .strip_prefix("s3://")
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
        .ok_or_else(|| {
            failure(ErrorCode::InvalidInput, format!("{:?} is no S3 URL", args.url), "give s3://BUCKET/KEY")
        })?;
    let endpoint = endpoint(args)?;
    let endpoint = if args.path_style { endpoint.path_style() } else { endpoint };
    let pair = |text: &str| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(failure(
            ErrorCode::InvalidInput,
            format!("{text:?} is not NAME=VALUE"),
            "put an = between them",
        )),
    };
    let overrides = args
        .response
        .iter()
        .map(|text| {
            pair(text).map(|(name, value)| (format!("response-{}", name.to_ascii_lowercase()), value))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let headers = args.header.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>()?;
    let overrides: Vec<_> = overrides.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    // Methods are case-sensitive, and those of S3 are upper-case.
    let method = args.method.to_ascii_uppercase();
    let mut request = PresignRequest {
        method: &method,
        endpoint: &endpoint,
        bucket,
        key,
        access_key_id: args.identity.as_deref().unwrap_or("AKIAIOSFODNN7EXAMPLE"),
        time: args.at.unwrap_or_else(service::unix_time),
        expires: args.expires.as_secs(),
        session_token: None,
        version_id: args.version_id.as_deref(),
        query: &overrides,
        headers: &headers,
    };
    // Before a key is looked for: what cannot be signed is said without one.
    request.canonical_request().map_err(|error| invalid(&error))?;

    let mut client = Client::new(global)?;
    let identity = match &args.identity {
        Some(identity) => identity.clone(),
        None => only_identity(&mut client)?,
    };
    request.access_key_id = &identity;
    let canonical_request = request.canonical_request().map_err(|error| invalid(&error))?;
    let scheme = endpoint.scheme();
    match client.ask(Op::Presign { canonical_request, scheme, virtual_hosted: false })? {
        Answer::Presigned { url, expires_at } if global.json => {
            output::json(&json!({ "url": url, "expires_at": expires_at, "identity": identity }))
        }
        Answer::Presigned { url, .. } => {
            if scheme == Scheme::Http {
                output::note(
                    global.quiet,
                    "This link is fetched without TLS: whoever is on the way can read it.",
                );
            }
            output::line(&url)
        }
        other => unexpected(other),
    }
}

fn endpoint(args: &args::Presign) -> Result<Endpoint, Failure> {
    let env = |name: &'static str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let region =
        args.region.clone().filter(|region| !region.is_empty()).or_else(|| env("AWS_DEFAULT_REGION"));
    let aws = |region: Option<&str>| match region {
        Some(region) => Endpoint::aws(region).map_err(|error| failure(ErrorCode::InvalidInput, error, "")),
        None => Err(failure(
            ErrorCode::InvalidInput,
            "the bucket's region is not known",
            "give --region, or set AWS_REGION",
        )),
    };
    let custom = |url: &str| Endpoint::custom(url, region.as_deref().unwrap_or("us-east-1"));
    if let Some(url) = &args.endpoint {
        return custom(url).map_err(|error| failure(ErrorCode::InvalidInput, error, ""));
    }
    for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        let Some(url) = env(name) else { continue };
        return match custom(&url) {
            // Said of AWS itself it says nothing more than the region.
            Err(EndpointError::Aws(_)) => aws(region.as_deref()),
            Err(error) => {
                Err(failure(ErrorCode::InvalidInput, format!("{name}: {error}"), "correct it, or unset it"))
            }
            Ok(endpoint) => Ok(endpoint),
        };
    }
    aws(region.as_deref())
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
