//! Signs one of the SDK's requests, as its options say.
//!
//! What they are and where they stand is as `aws-runtime`'s `auth::sigv4` reads them: the operation's configuration, and
//! over it what the endpoint says, and over both what the client's configuration overrides.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_runtime::auth::sigv4::SigV4Signer;
use aws_runtime::auth::{
    HttpSignatureType, PayloadSigningOverride, SigV4OperationSigningConfig, SigV4SessionTokenNameOverride,
};
use aws_runtime::content_encoding::DeferredSignerSender as ChunkSignerSender;
use aws_sigv4::http_request::SignableBody;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthSchemeEndpointConfig, Sign};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::Document;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::event_stream::DeferredSignerSender as EventSignerSender;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use keyfob_core::sigv4::{
    ALGORITHM, AmzDate, Chunking, ContentHash, PathEncoding, PathNormalization, Payload, Query, Settings,
    SignableRequest, Signer, SigningKey, UNSIGNED_HEADERS, UNSIGNED_PAYLOAD, X_AMZ_DATE, canonical_request,
    encode_query, string_to_sign,
};
use sha2::{Digest as _, Sha256};

use crate::{DAY, DayKeys, KeySigner, KeySignerError, amz_date, day_after};

/// How long after midnight a request may still be signed as of the day before, whose keys it came with. AWS takes
/// requests that are up to five minutes old.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(60);
/// Headers that are not signed in a link besides [`UNSIGNED_HEADERS`], for they are the client's that made it, and whoever
/// has the link sends others.
const UNSIGNED_IN_LINKS: [&str; 2] = ["x-amz-checksum-mode", "x-amz-user-agent"];

impl Sign for KeySigner {
    fn sign_http_request(
        &self,
        request: &mut HttpRequest,
        identity: &Identity,
        endpoint: AuthSchemeEndpointConfig<'_>,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        let day = identity.data::<DayKeys>().ok_or(KeySignerError::Identity)?;
        if config.load::<ChunkSignerSender>().is_some() {
            return Err(KeySignerError::Chunks.into());
        }
        if config.load::<EventSignerSender>().is_some() {
            return Err(KeySignerError::EventStream.into());
        }
        let options = Options::read(&endpoint, config)?;
        let key = day.key(&options)?;
        let target: http::Uri = request.uri().parse().map_err(|_| KeySignerError::Uri)?;
        // A link is a matter of the time that the program gave.
        let time = match options.expires_in {
            Some(_) => components.time_source().unwrap_or_default().now(),
            None => corrected_time(components, config),
        };
        let at = At { access_key_id: &self.0.access_key_id, date: day.date(time)?, key, target: &target };
        let payload = payload(request, config, options.payload.as_ref())?;
        if let Some(expires_in) = options.expires_in {
            let link = at.link(request, expires_in, &payload_hash(payload), options.settings)?;
            request.set_uri(link).map_err(|_| KeySignerError::Uri)?;
        } else {
            for (name, value) in at.headers(request, payload, &options)? {
                request.headers_mut().try_insert(name, value)?;
            }
        }
        Ok(())
    }
}

/// The time by the client's clock, corrected by what the service's clock was found to be. The SDK tells that to its own
/// signer alone: that one signs an empty request for nobody, and says when.
///
/// S3's way to name the header of a session token wants to know the endpoint, and panics before there is one: for S3 the
/// day of the keys is that of the uncorrected clock.
pub(crate) fn corrected_time(components: &RuntimeComponents, config: &ConfigBag) -> SystemTime {
    let now = components.time_source().unwrap_or_default().now();
    if config.load::<SigV4SessionTokenNameOverride>().is_some() && config.load::<Endpoint>().is_none() {
        return now;
    }
    let mut empty = HttpRequest::new(SdkBody::empty());
    let nobody = Identity::from(Credentials::new("nobody", "", None, None, "keyfob"));
    let endpoint = AuthSchemeEndpointConfig::empty();
    let signed = empty.set_uri("http://localhost/").is_ok()
        && config.load::<ChunkSignerSender>().is_none()
        && config.load::<EventSignerSender>().is_none()
        && SigV4Signer::new().sign_http_request(&mut empty, &nobody, endpoint, components, config).is_ok();
    let date = empty.headers().get(X_AMZ_DATE).filter(|_| signed).and_then(|date| AmzDate::parse(date).ok());
    date.map_or(now, |date| UNIX_EPOCH + Duration::from_secs(date.unix()))
}

impl DayKeys {
    fn key(&self, options: &Options) -> Result<&SigningKey, KeySignerError> {
        let is_it = |key: &&SigningKey| {
            key.scope().region() == options.region && key.scope().service() == options.service
        };
        self.keys.iter().find(is_it).ok_or_else(|| KeySignerError::Undeclared {
            region: options.region.clone(),
            service: options.service.clone(),
        })
    }

    /// The time to sign for. Just after midnight it is the day's last second.
    fn date(&self, time: SystemTime) -> Result<AmzDate, KeySignerError> {
        let date = amz_date(time)?;
        let end = day_after(&self.day);
        if date.unix() >= end.saturating_sub(DAY) && date.unix() < end {
            return Ok(date);
        }
        if date.unix() >= end && date.unix() < end + AFTER_MIDNIGHT.as_secs() {
            return Ok(AmzDate::from_unix(end - 1)?);
        }
        Err(KeySignerError::OtherDay { day: self.day, date })
    }
}

/// How a request is to be signed.
struct Options {
    region: String,
    service: String,
    settings: Settings,
    content_hash: ContentHash,
    payload: Option<SignableBody<'static>>,
    /// Of a link.
    expires_in: Option<Duration>,
}

impl Options {
    fn read(endpoint: &AuthSchemeEndpointConfig<'_>, config: &ConfigBag) -> Result<Self, KeySignerError> {
        let operation =
            config.load::<SigV4OperationSigningConfig>().ok_or(KeySignerError::Config("operation"))?;
        let text = |field| match endpoint.get(field) {
            Some(Document::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(KeySignerError::Config(field)),
            None => Ok(None),
        };
        let is_disabled = |field| match endpoint.get(field) {
            Some(Document::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(KeySignerError::Config(field)),
            None => Ok(None),
        };
        let region = text("signingRegion")?
            .or(config.load::<SigningRegion>().map(AsRef::as_ref))
            .or(operation.region.as_ref().map(AsRef::as_ref))
            .ok_or(KeySignerError::Config("region"))?;
        let service = text("signingName")?
            .or(config.load::<SigningName>().map(AsRef::as_ref))
            .or(operation.name.as_ref().map(AsRef::as_ref))
            .ok_or(KeySignerError::Config("service"))?;
        let options = &operation.signing_options;
        let once = is_disabled("disableDoubleEncoding")?.unwrap_or(!options.double_uri_encode);
        let as_it_is = is_disabled("disableNormalizePath")?.unwrap_or(!options.normalize_uri_path);
        let is_link = options.signature_type == HttpSignatureType::HttpRequestQueryParams;
        Ok(Self {
            region: region.to_owned(),
            service: service.to_owned(),
            settings: Settings {
                path_encoding: if once { PathEncoding::Once } else { PathEncoding::Twice },
                path_normalization: if as_it_is {
                    PathNormalization::Disabled
                } else {
                    PathNormalization::Enabled
                },
            },
            content_hash: if options.content_sha256_header {
                ContentHash::Always
            } else {
                ContentHash::WhereNeeded
            },
            payload: options.payload_override.clone(),
            expires_in: options.expires_in.filter(|_| is_link),
        })
    }
}

/// What is said of the body. One that is streamed can be hashed by nobody before it is sent.
fn payload<'r>(
    request: &'r HttpRequest,
    config: &ConfigBag,
    of_operation: Option<&SignableBody<'static>>,
) -> Result<Payload<'r>, KeySignerError> {
    let overridden = config.load::<PayloadSigningOverride>().map(|it| it.clone().to_signable_body());
    Ok(match overridden.as_ref().or(of_operation) {
        None => request.body().bytes().map_or(Payload::Unsigned, Payload::Bytes),
        // The operation's own bytes are those of no body.
        Some(SignableBody::Bytes(bytes)) => Payload::Hash(Sha256::digest(bytes).into()),
        Some(SignableBody::UnsignedPayload) => Payload::Unsigned,
        Some(SignableBody::Precomputed(hash)) => {
            Payload::Hash(unhex(hash).ok_or(KeySignerError::PayloadHash)?)
        }
        Some(SignableBody::StreamingUnsignedPayloadTrailer) => Payload::Chunked(Chunking::UnsignedTrailer),
        Some(SignableBody::StreamingSignedPayloadTrailer) => return Err(KeySignerError::Chunks),
        Some(_) => return Err(KeySignerError::PayloadHash),
    })
}

/// As the canonical request has it.
fn payload_hash(payload: Payload<'_>) -> String {
    let hex = |hash: &[u8]| hash.iter().map(|byte| format!("{byte:02x}")).collect();
    match payload {
        Payload::Bytes(bytes) => hex(&Sha256::digest(bytes)),
        Payload::Hash(hash) => hex(&hash),
        Payload::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
        Payload::Chunked(chunking) => chunking.payload_hash().to_owned(),
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

/// Who signs, when, and where to.
struct At<'a> {
    access_key_id: &'a str,
    date: AmzDate,
    key: &'a SigningKey,
    target: &'a http::Uri,
}

impl At<'_> {
    /// The value of the header Host, as HTTP clients write it: without the scheme's own port.
    fn host(&self) -> Result<String, KeySignerError> {
        let host = self.target.host().ok_or(KeySignerError::Uri)?;
        let own = if self.target.scheme_str() == Some("http") { 80 } else { 443 };
        Ok(match self.target.port_u16() {
            Some(port) if port != own => format!("{host}:{port}"),
            _ => host.to_owned(),
        })
    }

    /// What a request in its headers is to carry besides.
    fn headers(
        &self,
        request: &HttpRequest,
        payload: Payload<'_>,
        options: &Options,
    ) -> Result<Vec<(&'static str, String)>, KeySignerError> {
        let headers: Vec<_> = request.headers().iter().collect();
        let signable = SignableRequest {
            method: request.method(),
            host: &self.host()?,
            path: self.target.path(),
            query: Query::Sent(self.target.query().unwrap_or_default()),
            headers: &headers,
            payload,
        };
        let signer = Signer {
            settings: options.settings,
            content_hash: options.content_hash,
            ..Signer::new(self.access_key_id, None, &options.service)
        };
        let signed = signer.sign(&signable, &self.date, self.key)?;
        Ok(signed.headers().map(|(name, value)| (name, value.to_owned())).collect())
    }

    /// The link of a presigned request.
    fn link(
        &self,
        request: &HttpRequest,
        expires_in: Duration,
        payload_hash: &str,
        settings: Settings,
    ) -> Result<String, KeySignerError> {
        let host = self.host()?;
        let is_signed = |name: &str| !UNSIGNED_HEADERS.contains(&name) && !UNSIGNED_IN_LINKS.contains(&name);
        // Their names are in lower case.
        let mut headers: Vec<_> = request.headers().iter().filter(|(name, _)| is_signed(name)).collect();
        if request.headers().get("host").is_none() {
            headers.push(("host", &host));
        }
        let names: BTreeSet<_> = headers.iter().map(|(name, _)| *name).collect();
        let names: Vec<_> = names.into_iter().collect();
        let own = [
            ("X-Amz-Algorithm", ALGORITHM.to_owned()),
            ("X-Amz-Credential", format!("{}/{}", self.access_key_id, self.key.scope())),
            ("X-Amz-Date", self.date.to_string()),
            ("X-Amz-Expires", expires_in.as_secs().to_string()),
            ("X-Amz-SignedHeaders", names.join(";")),
        ];
        let sent: Vec<_> =
            form_urlencoded::parse(self.target.query().unwrap_or_default().as_bytes()).collect();
        let query: Vec<_> = sent
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .chain(own.iter().map(|(name, value)| (*name, value.as_str())))
            .collect();
        let canonical = canonical_request(
            request.method(),
            self.target.path(),
            &query,
            &headers,
            payload_hash,
            settings,
        )?;
        let signature =
            self.key.sign(&string_to_sign(&self.date, self.key.scope(), canonical.text.as_bytes()));

        let mut link = request.uri().as_bytes().to_vec();
        let signature = ("X-Amz-Signature", signature.to_string());
        for (i, (name, value)) in own.iter().chain([&signature]).enumerate() {
            link.push(if i == 0 && self.target.query().is_none() { b'?' } else { b'&' });
            link.extend_from_slice(name.as_bytes());
            link.push(b'=');
            encode_query(&mut link, value.as_bytes());
        }
        String::from_utf8(link).map_err(|_| KeySignerError::Uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn just_after_midnight_it_is_still_the_day_before() {
        // 2026-03-01.
        const START: u64 = 1_772_323_200;
        #[track_caller]
        fn check(at: u64, expected: Option<&str>) {
            let keys = DayKeys { day: AmzDate::from_unix(START + 1234).unwrap(), keys: Vec::new() };
            let date = keys.date(UNIX_EPOCH + Duration::from_secs(at));
            assert_eq!(date.ok().as_ref().map(AmzDate::as_str), expected);
        }
        check(START - 1, None);
        check(START, Some("20260301T000000Z"));
        check(START + DAY - 1, Some("20260301T235959Z"));
        check(START + DAY, Some("20260301T235959Z"));
        check(START + DAY + 59, Some("20260301T235959Z"));
        check(START + DAY + 60, None);
        check(AmzDate::MAX_UNIX + 1, None);
    }

    #[test]
    fn hashes_are_read() {
        #[track_caller]
        fn check(text: &str, expected: Option<[u8; 32]>) {
            assert_eq!(unhex(text), expected);
            if let Some(hash) = expected {
                assert_eq!(payload_hash(Payload::Hash(hash)), text);
            }
        }
        check(&"0f".repeat(32), Some([15; 32]));
        check(&"0f".repeat(31), None);
        check(&"0g".repeat(32), None);
        check(&"é".repeat(32), None);
        check("UNSIGNED-PAYLOAD", None);
    }
}
