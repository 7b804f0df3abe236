//! Forms by which a browser uploads to S3: a policy that says what may be uploaded, signed.
//!
//! A form's fields are exactly those that the policy has conditions for: every field that is given here is bound to its
//! value, and what the person at the browser may choose is said by a [`Condition`].
//!
//! Source: "Browser-Based Uploads Using POST (AWS Signature Version 4)", Amazon S3 API Reference; for Signature Version
//! 2 "Browser-Based Uploads Using POST", Amazon S3 User Guide. The policy's JSON is, byte by byte, what botocore writes.

use core::fmt;

use super::name::{BucketError, KeyError, check_key};
use super::{Endpoint, EndpointKind, MAX_EXPIRES, MAX_KEY};
use crate::sigv2::{SIGNATURE_LEN, base64};
use crate::sigv4::{
    ALGORITHM, AmzDate, DateError, Scope, ScopeError, Signature, SigningKey, check_header, is_access_key_id,
    is_session_token,
};

/// What S3 puts the name of the uploaded file in for.
pub const FILENAME: &str = "${filename}";

/// A form to be signed.
///
/// ```
/// use keyfob_core::s3::{Condition, Endpoint, PostKey, PostPolicy};
/// use keyfob_core::sigv4::{AmzDate, DateKey};
///
/// let endpoint = Endpoint::aws("eu-west-1")?;
/// let time = 1_369_353_600;
/// let policy = PostPolicy {
///     endpoint: &endpoint,
///     bucket: "bucket",
///     key: PostKey::Prefix("uploads/"),
///     access_key_id: "AKIAIOSFODNN7EXAMPLE",
///     time,
///     expires: 3600,
///     session_token: None,
///     fields: &[("success_action_status", "201")],
///     conditions: &[Condition::ContentLengthRange(1, 10_485_760)],
/// };
/// let date_key = DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", AmzDate::from_unix(time)?);
/// let form = policy.sign(&date_key.signing_key("eu-west-1", "s3")?)?;
/// assert_eq!(form.url(), "https://bucket.s3.eu-west-1.amazonaws.com/");
/// assert!(form.to_html("Upload", &[], "Send").contains(r#"<input type="file" name="file">"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct PostPolicy<'a> {
    /// Server and region.
    pub endpoint: &'a Endpoint,
    /// Its name, 3 to 63 bytes.
    pub bucket: &'a str,
    /// Which keys may be uploaded.
    pub key: PostKey<'a>,
    /// `AKIA…`, or another server's: 1 to 128 letters, digits, `-`, `_`, `.` or `~`.
    pub access_key_id: &'a str,
    /// When the form begins to work: Unix time in seconds.
    pub time: u64,
    /// How long it works: 1 to [`MAX_EXPIRES`] seconds.
    pub expires: u64,
    /// That of temporary credentials.
    pub session_token: Option<&'a str>,
    /// Further fields, each with the one value that it may have: `acl`, `Content-Type`, `success_action_redirect`,
    /// `success_action_status`, `x-amz-meta-…`, …
    pub fields: &'a [(&'a str, &'a str)],
    /// What else holds.
    pub conditions: &'a [Condition<'a>],
}

/// Which keys a form may upload to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostKey<'a> {
    /// One.
    Exact(&'a str),
    /// Those that begin so; the form appends the name of the file.
    Prefix(&'a str),
}

/// What a form's fields, or the file, must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// The field begins so; the person may write what follows. An empty beginning allows any value.
    StartsWith(&'a str, &'a str),
    /// The file has at least and at most so many bytes.
    ContentLengthRange(u64, u64),
}

/// Why a form cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostPolicyError {
    /// An access point, or a directory bucket.
    #[error("forms upload to general purpose buckets only: name the bucket itself, or make a link for PUT")]
    Endpoint(EndpointKind),
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key with `${filename}` in it, for which S3 would put in something else.
    #[error("{0:?} has {FILENAME} in it: give the part before it as the beginning of the key")]
    Filename(String),
    /// Not 1 to [`MAX_EXPIRES`] seconds.
    #[error("a form can last 1 to {MAX_EXPIRES} seconds (7 days), not {0}")]
    Expires(u64),
    /// Not 1 to 128 unreserved characters.
    #[error("{0:?} is no access key id: give one such as AKIAIOSFODNN7EXAMPLE")]
    AccessKeyId(String),
    /// Empty, or anything but printable ASCII. It is a secret, and is not printed.
    #[error("the session token is empty or has characters other than printable ASCII in it")]
    SessionToken,
    /// A field that cannot be given: its name, and why.
    #[error("the field {0:?} cannot be given: {1}")]
    Field(String, FieldFault),
    /// The least length is above the greatest.
    #[error("no file has {0} bytes or more and {1} or fewer")]
    Range(u64, u64),
    /// The time.
    #[error(transparent)]
    Date(#[from] DateError),
    /// The region.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The signing key is for another day, region or service.
    #[error("the signing key is for {key}, and the form for {form}: derive the key for the form")]
    OtherScope {
        /// What the key signs.
        key: String,
        /// What was asked.
        form: String,
    },
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldFault {
    /// The form has it by itself, or no condition may be for it.
    #[error("the form has one of this name itself")]
    Reserved,
    /// In whatever case.
    #[error("it is given twice")]
    Twice,
    /// Not a token of RFC 9110, section 5.6.2, as the names of headers are.
    #[error("its name is to be of ASCII letters, digits, and such as `-`, `_` and `.`")]
    Name,
    /// It would end the field.
    #[error("there are control characters in its value")]
    Value,
}

/// Fields that a form has by itself, or that no condition may be for.
const RESERVED: [&str; 12] = [
    "awsaccesskeyid",
    "bucket",
    "file",
    "key",
    "policy",
    "signature",
    "submit",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];

/// Only that there is a session token is printed, and of fields their names.
impl fmt::Debug for PostPolicy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostPolicy")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .field("key", &self.key)
            .field("access_key_id", &self.access_key_id)
            .field("time", &self.time)
            .field("expires", &self.expires)
            .field("session_token", &self.session_token.map(|_| "…"))
            .field("fields", &self.fields.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("conditions", &self.conditions)
            .finish()
    }
}

impl<'a> PostPolicy<'a> {
    /// The form.
    ///
    /// # Errors
    /// [`PostPolicyError`] if a field breaks a rule, or `key` is for another day, region or service.
    pub fn sign(&self, key: &SigningKey) -> Result<PostForm, PostPolicyError> {
        let scope = self.scope()?;
        if *key.scope() != scope {
            return Err(PostPolicyError::OtherScope {
                key: key.scope().to_string(),
                form: scope.to_string(),
            });
        }
        let draft = self.prepare()?;
        let signature = key.sign_text(draft.string_to_sign().as_bytes());
        Ok(draft.finish(&signature))
    }

    /// What a signing key must be for.
    ///
    /// # Errors
    /// [`PostPolicyError::Date`], [`PostPolicyError::Scope`].
    pub fn scope(&self) -> Result<Scope, PostPolicyError> {
        Ok(Scope::new(&AmzDate::from_unix(self.time)?, self.endpoint.region(), self.endpoint.service())?)
    }

    /// All but the signature.
    ///
    /// # Errors
    /// [`PostPolicyError`] if a field breaks a rule.
    pub fn prepare(&self) -> Result<PreparedForm, PostPolicyError> {
        let date = AmzDate::from_unix(self.time)?;
        let credential = format!("{}/{}", self.access_key_id, self.scope()?);
        let own = [
            ("x-amz-algorithm", ALGORITHM),
            ("x-amz-credential", &credential),
            ("x-amz-date", date.as_str()),
        ];
        Ok(PreparedForm(self.draft(&own, &own)?))
    }

    /// All but the signature, for Signature Version 2.
    ///
    /// # Errors
    /// [`PostPolicyError`] if a field breaks a rule.
    pub fn prepare_v2(&self) -> Result<PreparedFormV2, PostPolicyError> {
        Ok(PreparedFormV2(self.draft(&[("AWSAccessKeyId", self.access_key_id)], &[])?))
    }

    /// `own` are the signature's own fields, `own_conditions` those of them that the policy names.
    fn draft(&self, own: &[(&str, &str)], own_conditions: &[(&str, &str)]) -> Result<Draft, PostPolicyError> {
        self.check()?;
        let token = self.session_token.map(|token| ("x-amz-security-token", token));
        let expiration = AmzDate::from_unix(self.time.saturating_add(self.expires))?.to_iso8601();

        let mut policy = Json::new();
        policy.raw("{").string("expiration").raw(": ").string(&expiration).raw(", \"conditions\": [");
        for (name, value) in self.fields {
            policy.equals(name, value);
        }
        for condition in self.conditions {
            match condition {
                Condition::StartsWith(name, prefix) => policy.starts_with(name, prefix),
                Condition::ContentLengthRange(least, most) => {
                    policy.item(&format!("[\"content-length-range\", {least}, {most}]"));
                }
            }
        }
        policy.equals("bucket", self.bucket);
        let key = match self.key {
            PostKey::Exact(key) => {
                policy.equals("key", key);
                key.to_string()
            }
            PostKey::Prefix(prefix) => {
                policy.starts_with("key", prefix);
                [prefix, FILENAME].concat()
            }
        };
        for (name, value) in own_conditions.iter().copied().chain(token) {
            policy.equals(name, value);
        }
        policy.raw("]}");
        let policy = base64(policy.out.as_bytes());

        let given = self.fields.iter().copied().chain([("key", key.as_str())]);
        let fields = given
            .chain(own.iter().copied())
            .chain(token)
            .chain([("policy", policy.as_str())])
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let open = self.conditions.iter().filter_map(|condition| match condition {
            Condition::StartsWith(name, prefix) => Some(((*name).to_string(), (*prefix).to_string())),
            Condition::ContentLengthRange(..) => None,
        });
        let (before, first) = self.endpoint.place(self.bucket);
        let dot = if before.is_empty() { "" } else { "." };
        let authority = self.endpoint.authority();
        let url = [self.endpoint.scheme().as_str(), "://", before, dot, authority, "/", first].concat();
        Ok(Draft { form: PostForm { url, fields, open: open.collect() }, policy })
    }

    fn check(&self) -> Result<(), PostPolicyError> {
        let kind = self.endpoint.kind();
        if !matches!(kind, EndpointKind::Bucket | EndpointKind::Accelerate | EndpointKind::Other) {
            return Err(PostPolicyError::Endpoint(kind));
        }
        self.endpoint.check_bucket(self.bucket)?;
        let (PostKey::Exact(key) | PostKey::Prefix(key)) = self.key;
        if key.contains(FILENAME) {
            return Err(PostPolicyError::Filename(key.into()));
        }
        // The beginning of a key may be empty.
        if matches!(self.key, PostKey::Exact(_)) || key.len() > MAX_KEY {
            check_key(key)?;
        }
        if !(1..=MAX_EXPIRES).contains(&self.expires) {
            return Err(PostPolicyError::Expires(self.expires));
        }
        if !is_access_key_id(self.access_key_id) {
            return Err(PostPolicyError::AccessKeyId(self.access_key_id.into()));
        }
        if self.session_token.is_some_and(|token| !is_session_token(token)) {
            return Err(PostPolicyError::SessionToken);
        }
        let fields = || {
            self.fields.iter().copied().chain(self.conditions.iter().filter_map(
                |condition| match condition {
                    Condition::StartsWith(name, prefix) => Some((*name, *prefix)),
                    Condition::ContentLengthRange(..) => None,
                },
            ))
        };
        for (i, (name, value)) in fields().enumerate() {
            let twice = fields().skip(i + 1).any(|(other, _)| other.eq_ignore_ascii_case(name));
            let reserved = RESERVED.iter().any(|own| name.eq_ignore_ascii_case(own));
            let fault = match () {
                () if reserved => FieldFault::Reserved,
                () if twice => FieldFault::Twice,
                () if check_header(name, "").is_err() => FieldFault::Name,
                () if value.chars().any(char::is_control) => FieldFault::Value,
                () => continue,
            };
            return Err(PostPolicyError::Field(name.into(), fault));
        }
        for condition in self.conditions {
            if let Condition::ContentLengthRange(least, most) = *condition
                && least > most
            {
                return Err(PostPolicyError::Range(least, most));
            }
        }
        Ok(())
    }
}

/// JSON as Python's `json.dumps` writes it, in ASCII.
struct Json {
    out: String,
    first: bool,
}

impl Json {
    fn new() -> Self {
        Self { out: String::with_capacity(512), first: true }
    }

    fn raw(&mut self, text: &str) -> &mut Self {
        self.out.push_str(text);
        self
    }

    /// An item of a list.
    fn item(&mut self, text: &str) -> &mut Self {
        if !core::mem::take(&mut self.first) {
            self.raw(", ");
        }
        self.raw(text)
    }

    fn equals(&mut self, name: &str, value: &str) {
        self.item("{").string(name).raw(": ").string(value).raw("}");
    }

    fn starts_with(&mut self, name: &str, prefix: &str) {
        self.item("[\"starts-with\", ").string(&format!("${name}")).raw(", ").string(prefix).raw("]");
    }

    fn string(&mut self, text: &str) -> &mut Self {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.out.extend(['\\', c]),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                ' '..='~' => self.out.push(c),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
        }
        self.raw("\"")
    }
}

/// A form that wants nothing but its signature.
#[derive(Clone)]
struct Draft {
    form: PostForm,
    policy: String,
}

impl Draft {
    fn finish(mut self, name: &str, signature: String) -> PostForm {
        self.form.fields.push((name.into(), signature));
        self.form
    }
}

/// A form that wants nothing but its signature, of Signature Version 4.
#[derive(Debug, Clone)]
pub struct PreparedForm(Draft);

impl PreparedForm {
    /// What is to be signed: the policy in base64.
    #[must_use]
    pub fn string_to_sign(&self) -> &str {
        &self.0.policy
    }

    /// With the signature.
    #[must_use]
    pub fn finish(self, signature: &Signature) -> PostForm {
        self.0.finish("x-amz-signature", signature.to_string())
    }
}

/// A form that wants nothing but its signature, of Signature Version 2.
#[derive(Debug, Clone)]
pub struct PreparedFormV2(Draft);

impl PreparedFormV2 {
    /// What is to be signed by HMAC-SHA1: the policy in base64. A card takes it whole
    /// ([`crate::sigv2::check_challenge`]).
    #[must_use]
    pub fn string_to_sign(&self) -> &str {
        &self.0.policy
    }

    /// With the signature.
    #[must_use]
    pub fn finish(self, signature: &[u8; SIGNATURE_LEN]) -> PostForm {
        self.0.finish("signature", base64(signature))
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.form.fmt(f)
    }
}

/// A signed form.
#[derive(Clone, PartialEq, Eq)]
pub struct PostForm {
    url: String,
    fields: Vec<(String, String)>,
    /// Fields that the person fills in, and what their values begin with.
    open: Vec<(String, String)>,
}

impl PostForm {
    /// Where it is posted to, as `multipart/form-data`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Names and values, in an order that S3 takes; the file comes after them, as the field `file`.
    #[must_use]
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// Fields that whoever posts the form must add before the file: names, and what their values begin with.
    #[must_use]
    pub fn open_fields(&self) -> &[(String, String)] {
        &self.open
    }

    /// `{"url": …, "fields": {…}}`, as boto3's `generate_presigned_post` returns it; and `"open"`, if there are such.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = Json::new();
        let object = |json: &mut Json, name: &str, pairs: &[(String, String)]| {
            json.raw(", ").string(name).raw(": {");
            for (i, (name, value)) in pairs.iter().enumerate() {
                json.raw(if i == 0 { "" } else { ", " }).string(name).raw(": ").string(value);
            }
            json.raw("}");
        };
        json.raw("{").string("url").raw(": ").string(&self.url);
        object(&mut json, "fields", &self.fields);
        if !self.open.is_empty() {
            object(&mut json, "open", &self.open);
        }
        json.raw("}");
        json.out
    }

    /// A page with the form: its title, what there is to say (a line each), what the person may choose, the file, and a button.
    #[must_use]
    pub fn to_html(&self, title: &str, notes: &[String], button: &str) -> String {
        let mut out = String::with_capacity(2048);
        let mut put = |parts: &[&str]| out.extend(parts.iter().copied());
        let title = escape_html(title);
        put(&["<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"]);
        put(&[
            "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
            &title,
            "</title>\n</head>\n",
        ]);
        put(&["<body>\n<h1>", &title, "</h1>\n"]);
        for note in notes {
            put(&["<p>", &escape_html(note), "</p>\n"]);
        }
        put(&["<form action=\"", &escape_html(&self.url)]);
        put(&["\" method=\"post\" enctype=\"multipart/form-data\">\n"]);
        for (name, value) in &self.fields {
            let (name, value) = (escape_html(name), escape_html(value));
            put(&["<input type=\"hidden\" name=\"", &name, "\" value=\"", &value, "\">\n"]);
        }
        for (name, prefix) in &self.open {
            let (label, name, prefix) = (label(name), escape_html(name), escape_html(prefix));
            let begins =
                if prefix.is_empty() { String::new() } else { ["; it begins with ", &prefix].concat() };
            put(&["<p><label>", &escape_html(label), &begins, "<br>\n"]);
            put(&["<input name=\"", &name, "\" value=\"", &prefix, "\"></label></p>\n"]);
        }
        put(&["<p><label>File<br>\n<input type=\"file\" name=\"file\"></label></p>\n"]);
        put(&["<p><button>", &escape_html(button), "</button></p>\n</form>\n</body>\n</html>\n"]);
        out
    }
}

/// What a person calls a field.
fn label(name: &str) -> &str {
    const METADATA: &str = "x-amz-meta-";
    match name.get(..METADATA.len()) {
        Some(start) if start.eq_ignore_ascii_case(METADATA) => name.get(METADATA.len()..).unwrap_or(name),
        _ if name.eq_ignore_ascii_case("content-type") => "Type of the file",
        _ => name,
    }
}

/// Whoever has the fields can upload: only their names are printed.
impl fmt::Debug for PostForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostForm")
            .field("url", &self.url)
            .field("fields", &self.fields.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("open", &self.open)
            .finish()
    }
}

/// Text as it stands in HTML, in attributes with quotes around them too.
#[must_use]
pub fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::{SERVICE, Target, Variant};
    use crate::sigv4::DateKey;

    const TIME: u64 = 1_369_353_600;

    fn key(region: &str) -> SigningKey {
        let date = AmzDate::from_unix(TIME).unwrap();
        DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", date)
            .signing_key(region, SERVICE)
            .unwrap()
    }

    fn plain(endpoint: &Endpoint) -> PostPolicy<'_> {
        PostPolicy {
            endpoint,
            bucket: "bucket",
            key: PostKey::Exact("k"),
            access_key_id: "AKIAIOSFODNN7EXAMPLE",
            time: TIME,
            expires: 60,
            session_token: None,
            fields: &[],
            conditions: &[],
        }
    }

    fn decoded(policy: &str) -> String {
        String::from_utf8(data_encoding::BASE64.decode(policy.as_bytes()).unwrap()).unwrap()
    }

    /// "Example: Browser-Based Upload using HTTP POST", Amazon S3 API Reference: its policy, signed.
    #[test]
    fn example_of_the_reference() {
        let policy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
        let date = AmzDate::parse("20151229T000000Z").unwrap();
        let day = DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", date);
        let signature = day.signing_key("us-east-1", SERVICE).unwrap().sign_text(policy.as_bytes());
        assert_eq!(signature.to_string(), "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e");
    }

    #[test]
    fn policies_say_what_the_form_has() {
        let endpoint = Endpoint::aws("eu-west-1").unwrap();
        let policy = PostPolicy {
            key: PostKey::Prefix("a \"ü😀\\/\n\u{1}"),
            session_token: Some("t+/="),
            fields: &[("acl", "public-read"), ("success_action_status", "201")],
            conditions: &[
                Condition::StartsWith("Content-Type", "image/"),
                Condition::ContentLengthRange(1, 1024),
            ],
            ..plain(&endpoint)
        };
        let form = policy.sign(&key("eu-west-1")).unwrap();
        let names: Vec<_> = form.fields().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "acl",
                "success_action_status",
                "key",
                "x-amz-algorithm",
                "x-amz-credential",
                "x-amz-date",
                "x-amz-security-token",
                "policy",
                "x-amz-signature"
            ]
        );
        let text = decoded(&form.fields()[7].1);
        assert_eq!(
            text,
            r#"{"expiration": "2013-05-24T00:01:00Z", "conditions": [{"acl": "public-read"}, "#.to_owned()
                + r#"{"success_action_status": "201"}, ["starts-with", "$Content-Type", "image/"], "#
                + r#"["content-length-range", 1, 1024], {"bucket": "bucket"}, "#
                + r#"["starts-with", "$key", "a \"\u00fc\ud83d\ude00\\/\n\u0001"], "#
                + r#"{"x-amz-algorithm": "AWS4-HMAC-SHA256"}, "#
                + r#"{"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20130524/eu-west-1/s3/aws4_request"}, "#
                + r#"{"x-amz-date": "20130524T000000Z"}, {"x-amz-security-token": "t+/="}]}"#
        );
        assert_eq!(form.fields()[2].1, "a \"ü😀\\/\n\u{1}${filename}");
        assert_eq!(form.open_fields(), [("Content-Type".to_string(), "image/".to_string())]);
        let json: serde_json::Value = serde_json::from_str(&form.to_json()).unwrap();
        assert_eq!(json["url"], "https://bucket.s3.eu-west-1.amazonaws.com/");
        assert_eq!(json["fields"]["key"], "a \"ü😀\\/\n\u{1}${filename}");
        assert_eq!(json["fields"].as_object().unwrap().len(), 9);
        assert_eq!(json["open"]["Content-Type"], "image/");
        let html = form.to_html("To <b>", &["At most 1 < 2.".to_owned()], "<Go>");
        assert!(html.contains(r#"<input type="hidden" name="key" value="a &quot;ü😀\/"#), "{html}");
        let open = "<p><label>Type of the file; it begins with image/<br>\n<input name=\"Content-Type\" value=\"image/\"></label></p>";
        assert!(html.contains(open), "{html}");
        assert!(
            html.contains("<title>To &lt;b&gt;</title>") && html.contains("<h1>To &lt;b&gt;</h1>"),
            "{html}"
        );
        assert!(html.contains("<p>At most 1 &lt; 2.</p>"), "{html}");
        assert!(html.contains("<button>&lt;Go&gt;</button>"));
        let file = html.find("type=\"file\"").unwrap();
        assert!(html.rfind("name=\"x-amz-signature\"").unwrap() < file, "S3 ignores fields after the file");
        assert!(!format!("{policy:?} {form:?}").contains("t+/="));
    }

    #[test]
    fn fields_have_names_for_people() {
        #[track_caller]
        fn check(name: &str, expected: &str) {
            assert_eq!(label(name), expected);
        }
        check("content-type", "Type of the file");
        check("X-Amz-Meta-Note", "Note");
        check("x-amz-meta", "x-amz-meta");
        check("acl", "acl");
    }

    #[test]
    fn forms_of_version_2() {
        let endpoint = Endpoint::custom("http://127.0.0.1:9000", "us-east-1").unwrap();
        let draft = PostPolicy { bucket: "bbb", ..plain(&endpoint) }.prepare_v2().unwrap();
        assert_eq!(
            decoded(draft.string_to_sign()),
            r#"{"expiration": "2013-05-24T00:01:00Z", "conditions": [{"bucket": "bbb"}, {"key": "k"}]}"#
        );
        // A card can sign this one.
        assert!(draft.string_to_sign().len() < 217);
        let form = draft.finish(&[0; 20]);
        assert_eq!(form.url(), "http://127.0.0.1:9000/bbb");
        let names: Vec<_> = form.fields().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["key", "AWSAccessKeyId", "policy", "signature"]);
    }

    #[test]
    fn forms_that_cannot_be() {
        #[track_caller]
        fn check(policy: PostPolicy<'_>, expected: PostPolicyError) {
            assert_eq!(policy.sign(&key("eu-west-1")), Err(expected));
        }
        let endpoint = Endpoint::aws("eu-west-1").unwrap();
        let plain = plain(&endpoint);
        assert!(plain.sign(&key("eu-west-1")).is_ok());
        assert!(PostPolicy { key: PostKey::Prefix(""), ..plain }.sign(&key("eu-west-1")).is_ok());
        let directory = Target::aws("b--use1-az4--x-s3", Some("eu-west-1"), Variant::default()).unwrap();
        let directory = PostPolicy { endpoint: &directory.endpoint, bucket: &directory.bucket, ..plain };
        assert_eq!(directory.prepare().map(|_| ()), Err(PostPolicyError::Endpoint(EndpointKind::Directory)));
        assert!(matches!(PostPolicy { bucket: "B", ..plain }.prepare(), Err(PostPolicyError::Bucket(_))));
        let long = "k".repeat(1025);
        for key in [PostKey::Exact(""), PostKey::Exact(&long), PostKey::Prefix(&long)] {
            assert!(matches!(PostPolicy { key, ..plain }.prepare(), Err(PostPolicyError::Key(_))), "{key:?}");
        }
        for key in [PostKey::Exact("a${filename}"), PostKey::Prefix("a${filename}")] {
            check(PostPolicy { key, ..plain }, PostPolicyError::Filename("a${filename}".into()));
        }
        for expires in [0, MAX_EXPIRES + 1, u64::MAX] {
            check(PostPolicy { expires, ..plain }, PostPolicyError::Expires(expires));
        }
        check(PostPolicy { access_key_id: "a/b", ..plain }, PostPolicyError::AccessKeyId("a/b".into()));
        check(PostPolicy { session_token: Some("a\n"), ..plain }, PostPolicyError::SessionToken);
        let field = |name: &str, fault| PostPolicyError::Field(name.into(), fault);
        for name in RESERVED.into_iter().chain(["Key"]) {
            check(PostPolicy { fields: &[(name, "v")], ..plain }, field(name, FieldFault::Reserved));
        }
        for name in ["", "a b", "ü", "a\"b", "aä"] {
            check(PostPolicy { fields: &[(name, "v")], ..plain }, field(name, FieldFault::Name));
        }
        check(PostPolicy { fields: &[("a", "\r\n")], ..plain }, field("a", FieldFault::Value));
        check(PostPolicy { fields: &[("a", "1"), ("A", "2")], ..plain }, field("a", FieldFault::Twice));
        let both =
            PostPolicy { fields: &[("a", "1")], conditions: &[Condition::StartsWith("A", "")], ..plain };
        check(both, field("a", FieldFault::Twice));
        let none = PostPolicy { conditions: &[Condition::ContentLengthRange(2, 1)], ..plain };
        check(none, PostPolicyError::Range(2, 1));
        assert_eq!(
            plain.sign(&key("us-east-1")),
            Err(PostPolicyError::OtherScope {
                key: "20130524/us-east-1/s3/aws4_request".into(),
                form: "20130524/eu-west-1/s3/aws4_request".into()
            })
        );
    }
}
