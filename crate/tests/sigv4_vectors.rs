//! Published vectors, stage by stage: a failure names the vector and the stage that broke.

use keyfob_core::s3::{Endpoint, OBJECT_PARAMETERS, ParsedPresign, PresignRequest, RESPONSE_OVERRIDES};
use keyfob_core::sigv4::{
    AmzDate, DateKey, PathEncoding, PathNormalization, Scope, Settings, canonical_request, string_to_sign,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors<T> {
    vectors: Vec<T>,
}

type Pairs = Vec<(String, String)>;

fn borrowed(pairs: &Pairs) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[derive(Deserialize)]
struct Step {
    name: String,
    method: String,
    path: String,
    query: Pairs,
    headers: Pairs,
    payload_hash: String,
    time: u64,
    region: String,
    service: String,
    secret_access_key: Option<String>,
    path_encoding: String,
    path_normalization: String,
    canonical_request: String,
    string_to_sign: String,
    signature: Option<String>,
}

#[test]
fn every_stage_is_as_published() {
    fn check(vector: &Step) {
        let settings = Settings {
            path_encoding: match vector.path_encoding.as_str() {
                "once" => PathEncoding::Once,
                "twice" => PathEncoding::Twice,
                other => panic!("{other}"),
            },
            path_normalization: match vector.path_normalization.as_str() {
                "enabled" => PathNormalization::Enabled,
                "disabled" => PathNormalization::Disabled,
                other => panic!("{other}"),
            },
        };
        let request = canonical_request(
            &vector.method,
            &vector.path,
            &borrowed(&vector.query),
            &borrowed(&vector.headers),
            &vector.payload_hash,
            settings,
        )
        .unwrap();
        assert_eq!(request.text, vector.canonical_request, "{}: canonical request", vector.name);
        let signed_headers = request.text.rsplit('\n').nth(1).unwrap();
        assert_eq!(request.signed_headers, signed_headers, "{}: signed headers", vector.name);

        let date = AmzDate::from_unix(vector.time).unwrap();
        let scope = Scope::new(&date, &vector.region, &vector.service).unwrap();
        let string_to_sign = string_to_sign(&date, &scope, request.text.as_bytes());
        assert_eq!(string_to_sign.as_str(), vector.string_to_sign, "{}: string to sign", vector.name);

        if let (Some(secret), Some(signature)) = (&vector.secret_access_key, &vector.signature) {
            let date_key = DateKey::from_secret(secret.as_bytes(), date);
            let key = date_key.signing_key(&vector.region, &vector.service).unwrap();
            assert_eq!(key.sign(&string_to_sign).to_string(), *signature, "{}: signature", vector.name);
        }
    }
    let vectors: Vectors<Step> = serde_json::from_str(include_str!("vectors/sigv4.json")).unwrap();
    assert!(vectors.vectors.len() > 70);
    vectors.vectors.iter().for_each(check);
}

#[derive(Deserialize)]
struct Presign {
    name: String,
    method: String,
    endpoint: Option<String>,
    region: String,
    path_style: bool,
    bucket: String,
    key: String,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    time: u64,
    expires: u64,
    version_id: Option<String>,
    query: Pairs,
    headers: Pairs,
    canonical_request: String,
    string_to_sign: String,
    url: String,
}

#[test]
fn links_are_as_botocore_makes_them() {
    fn check(vector: &Presign) {
        let name = &vector.name;
        let endpoint = match &vector.endpoint {
            Some(url) => Endpoint::custom(url, &vector.region),
            None => Endpoint::aws(&vector.region),
        }
        .unwrap();
        let endpoint = if vector.path_style { endpoint.path_style() } else { endpoint };
        let request = PresignRequest {
            method: &vector.method,
            endpoint: &endpoint,
            bucket: &vector.bucket,
            key: &vector.key,
            access_key_id: &vector.access_key_id,
            time: vector.time,
            expires: vector.expires,
            session_token: vector.session_token.as_deref(),
            version_id: vector.version_id.as_deref(),
            query: &borrowed(&vector.query),
            headers: &borrowed(&vector.headers),
        };
        let canonical_request = request.canonical_request().unwrap();
        assert_eq!(canonical_request, vector.canonical_request, "{name}: canonical request");

        let date = AmzDate::from_unix(vector.time).unwrap();
        let scope = Scope::new(&date, &vector.region, "s3").unwrap();
        let string_to_sign = string_to_sign(&date, &scope, canonical_request.as_bytes());
        assert_eq!(string_to_sign.as_str(), vector.string_to_sign, "{name}: string to sign");

        let date_key = DateKey::from_secret(vector.secret_access_key.as_bytes(), date);
        let key = date_key.signing_key(&vector.region, "s3").unwrap();
        assert_eq!(request.presign(&key).unwrap(), vector.url, "{name}: link");

        // The host's own reading of it signs the same, where it signs such a request at all.
        let plain = |(name, _): &(String, String)| {
            RESPONSE_OVERRIDES.contains(&name.as_str()) || OBJECT_PARAMETERS.contains(&name.as_str())
        };
        if vector.query.iter().all(plain) {
            let parsed = ParsedPresign::parse(&canonical_request).unwrap();
            assert_eq!(parsed.sign(&key, endpoint.scheme()).unwrap(), vector.url, "{name}: parsed link");
            assert_eq!(parsed.key(), vector.key, "{name}: parsed key");
            assert_eq!(parsed.bucket(), vector.bucket, "{name}: parsed bucket");
        } else {
            assert!(ParsedPresign::parse(&canonical_request).is_err(), "{name}: more than an object request");
        }
    }
    let vectors: Vectors<Presign> = serde_json::from_str(include_str!("vectors/presign.json")).unwrap();
    assert!(vectors.vectors.len() > 25);
    vectors.vectors.iter().for_each(check);
}
