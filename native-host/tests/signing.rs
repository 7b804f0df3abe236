//! What the host signs for a front end, how often it wants a touch, and what it tells the person.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;

use data_encoding::HEXLOWER;
use keyfob::client::{Cancel, Client};
use keyfob::config::Config;
use keyfob::key::{Keys, SoftKeys};
use keyfob::passwords::Passwords;
use keyfob::policy::Caller;
use keyfob::service::{Outcome, Service};
use keyfob::signing::{Ask, Credentials, Request, V2};
use keyfob::soft::{self, Unlock};
use keyfob_core::message::{
    self, Answer, ErrorCode, Event, Failure, Op, Password, SignatureVersion, SigningScope,
};
use keyfob_core::s3::{Condition, Endpoint, PostKey, PostPolicy};
use keyfob_core::secret::Secret;
use keyfob_core::sigv2::{S3Request, When};
use keyfob_core::sigv4::{AmzDate, DateKey, Payload, Query, SignableRequest, Signer};
use keyfob_core::softkey::SoftKey;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// A service with a software key that wants a touch, and what it told whoever asks.
struct Host {
    service: Service,
    client: Client,
    prompts: Vec<String>,
    /// Whether everybody goes away when the key blinks.
    leaves: bool,
    _folder: tempfile::TempDir,
}

impl Host {
    fn new(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let passphrase = folder.path().join("passphrase");
        std::fs::write(&passphrase, "correct horse").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let files = || soft::SoftKeys::new(folder.path().join("soft"));
        let state = SoftKey::new(90_000_000, [7; 8]).to_bytes().unwrap();
        let protect = Unlock::Passphrase(&Secret::from("correct horse".to_owned()));
        drop(files().create(&"test".parse().unwrap(), protect, &state).unwrap());
        let service =
            Service::new(Keys::new(SoftKeys::new(files())), Passwords::new(folder.path().join("passwords")));
        let client = Self::client(Caller::CommandLine, config, &passphrase);
        let mut host = Self { service, client, prompts: Vec::new(), leaves: false, _folder: folder };
        for signature in [SignatureVersion::SigV4, SignatureVersion::HmacV1] {
            host.ask(Op::AddIdentity {
                access_key_id: ID.to_owned(),
                signature,
                secret_access_key: Password(SECRET.to_owned()),
                touch: true,
                overwrite: false,
            })
            .unwrap();
        }
        host
    }

    fn client(caller: Caller, config: Config, passphrase: &Path) -> Client {
        let config = Config { key: Some("soft:test".to_owned()), ..config };
        let mut client = Client::new(caller, config, |name| {
            (name == "KEYFOB_PASSPHRASE_FILE").then(|| passphrase.as_os_str().to_owned())
        });
        client.asker = "terraform".to_owned();
        client
    }

    /// The prompts since this was last called.
    fn prompts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.prompts)
    }
}

impl Ask for Host {
    fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
        let request = message::Request { v: message::VERSION, id: "1".to_owned(), key: None, op };
        let (prompts, leaves, cancel) = (&mut self.prompts, self.leaves, Cancel::default());
        let outcome = self.service.handle(&self.client, &request, &cancel, &mut |event| {
            if let Event::TouchRequired { prompt, .. } = event {
                prompts.push(prompt);
                if leaves {
                    cancel.set();
                }
            }
        })?;
        match outcome {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Later { why, .. } => panic!("{why}"),
        }
    }
}

fn date() -> AmzDate {
    AmzDate::parse("20150830T123600Z").unwrap()
}

fn date_key() -> DateKey {
    DateKey::from_secret(SECRET.as_bytes(), date())
}

fn key() -> Credentials {
    Credentials::Key { access_key_id: ID.to_owned() }
}

const HEADERS: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];

fn request() -> SignableRequest<'static> {
    SignableRequest {
        method: "POST",
        host: "sts.us-east-1.amazonaws.com",
        path: "/",
        query: Query::Sent(""),
        headers: &HEADERS,
        payload: Payload::Bytes(BODY.as_bytes()),
    }
}

fn sign<'c>(
    host: &mut Host,
    credentials: &'c Credentials,
) -> Result<keyfob_core::sigv4::SignedHeaders<'c>, Failure> {
    let request = request();
    let body = Some(BODY.as_bytes());
    credentials
        .sign(host, Request { request: &request, date: &date(), region: "us-east-1", service: "sts", body })
}

#[test]
fn a_request_is_signed_and_the_prompt_says_what_it_asks_for() {
    let mut host = Host::new(Config::default());
    let key = key();
    let signed = sign(&mut host, &key).unwrap();
    let expected = Signer::new(ID, None, "sts")
        .sign(&request(), &date(), &date_key().signing_key("us-east-1", "sts").unwrap())
        .unwrap();
    assert_eq!(signed.authorization(), expected.authorization());
    assert_eq!(
        host.prompts(),
        [format!(
            "terraform asks to sign POST sts.us-east-1.amazonaws.com/ as {ID} (sts in us-east-1, for 20150830T123600Z), \
             Action=GetCallerIdentity"
        )]
    );
    // Each signature is a touch.
    sign(&mut host, &key).unwrap();
    assert_eq!(host.prompts().len(), 1);
}

#[test]
fn what_is_shown_is_what_is_signed() {
    let mut host = Host::new(Config::default());
    let canonical = |body: &[u8]| {
        let request = SignableRequest { payload: Payload::Bytes(body), ..request() };
        let scope = keyfob_core::sigv4::Scope::new(&date(), "us-east-1", "sts").unwrap();
        Signer::new(ID, None, "sts")
            .prepare(&request, &date(), &scope)
            .unwrap()
            .canonical_request()
            .to_owned()
    };
    let mut check = |canonical_request: String, expected: &str| {
        let failure = host
            .ask(Op::Sign {
                access_key_id: ID.to_owned(),
                region: "us-east-1".to_owned(),
                service: "sts".to_owned(),
                canonical_request: Password(canonical_request),
                body: Some(Password(BODY.to_owned())),
            })
            .unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidInput);
        assert!(failure.message.contains(expected), "{}", failure.message);
    };
    check(canonical(b"Action=DeleteUser"), "not the one whose hash");
    check(canonical(BODY.as_bytes()) + "\nmore", "something stands after it");
    check(canonical(BODY.as_bytes()).replacen("\n/\n", "\n/\nX-Amz-Expires=900", 1), "signed in its query");
    check("AWS4-HMAC-SHA256\n20150830T123600Z".to_owned(), "no canonical request");
    assert_eq!(host.prompts().len(), 0, "before a touch");
}

#[test]
fn the_keys_of_an_operation_are_one_touch() {
    let mut host = Host::new(Config::default());
    let scopes = [("us-east-1", "s3"), ("eu-west-1", "s3"), ("us-east-1", "sts")];
    let keys = key().signing_keys(&mut host, &date(), &scopes, "1,000 links").unwrap();
    for ((region, service), key) in scopes.iter().zip(&keys) {
        let expected = date_key().signing_key(region, service).unwrap();
        assert_eq!(key.scope(), expected.scope());
        assert_eq!(key.sign_policy("x"), expected.sign_policy("x"));
    }
    assert_eq!(
        host.prompts(),
        [format!(
            "terraform asks to sign anything for s3 in eu-west-1, us-east-1; sts in us-east-1 as {ID} for the day 20150830 \
             (UTC), which is not today: \"1,000 links\""
        )]
    );
    let mut ask = |scopes: Vec<SigningScope>| {
        let op = Op::SigningKeys {
            access_key_id: ID.to_owned(),
            at: date().unix(),
            scopes,
            purpose: String::new(),
        };
        host.ask(op).map_err(|failure| failure.code)
    };
    let scope = |region: &str| SigningScope { region: region.to_owned(), service: "s3".to_owned() };
    assert_eq!(ask(Vec::new()), Err(ErrorCode::InvalidInput));
    assert_eq!(ask(vec![scope("us-east-1"); message::MAX_SCOPES + 1]), Err(ErrorCode::InvalidInput));
    assert_eq!(ask(vec![scope("us east")]), Err(ErrorCode::InvalidInput));
    assert_eq!(host.prompts().len(), 0);
}

#[test]
fn a_signing_key_lives_for_one_operation_unless_the_user_wants_more() {
    let keeping = Config { signing_keep: Some(900), ..Config::default() };
    let mut host = Host::new(keeping.clone());
    let key = key();
    sign(&mut host, &key).unwrap();
    let [prompt] = host.prompts().try_into().unwrap();
    assert!(
        prompt.ends_with(", and then anything for sts in us-east-1 for 15 min without another touch"),
        "{prompt}"
    );
    sign(&mut host, &key).unwrap();
    assert_eq!(host.prompts().len(), 0);
    // What was bought is signatures. The key itself, which is good until midnight, is another touch; one, for all scopes.
    let scopes: Vec<String> = (0..70).map(|n| format!("region-{n}")).collect();
    let scopes: Vec<_> = scopes.iter().map(|r| (r.as_str(), "s3")).chain([("us-east-1", "sts")]).collect();
    key.signing_keys(&mut host, &date(), &scopes, "more").unwrap();
    let [prompt] = host.prompts().try_into().unwrap();
    assert!(prompt.ends_with(": more, and again for 15 min without another touch"), "{prompt}");
    key.signing_keys(&mut host, &date(), &scopes, "more").unwrap();
    sign(&mut host, &key).unwrap();
    assert_eq!(host.prompts().len(), 0);
    // Another scope, another day: another touch.
    key.signing_keys(&mut host, &date(), &[("us-east-1", "s3")], "more").unwrap();
    let tomorrow = AmzDate::from_unix(date().unix() + 86_400).unwrap();
    key.signing_keys(&mut host, &tomorrow, &[("us-east-1", "sts")], "more").unwrap();
    assert_eq!(host.prompts().len(), 2);
    // All that makes it forget.
    let forgets: [fn(&mut Host); 3] = [
        |host| host.service.lock(),
        |host| host.service.removed("a reader"),
        |host| {
            host.service.unlock_cache().clear();
        },
    ];
    for forget in forgets {
        sign(&mut host, &key).unwrap();
        host.prompts();
        forget(&mut host);
        sign(&mut host, &key).unwrap();
        assert_eq!(host.prompts().len(), 1);
    }
    // A touch for which nobody waits any more buys nothing.
    host.service.lock();
    host.leaves = true;
    let _ = sign(&mut host, &key);
    host.leaves = false;
    host.prompts();
    sign(&mut host, &key).unwrap();
    assert_eq!(host.prompts().len(), 1);
    // It is the client's setting that counts: who wants none kept uses none that is kept for another.
    host.client.config.signing_keep = None;
    sign(&mut host, &key).unwrap();
    assert_eq!(host.prompts().len(), 1);
    host.client.config = Config { signing_keep: Some(0), key: host.client.config.key.clone(), ..keeping };
    sign(&mut host, &key).unwrap();
    sign(&mut host, &key).unwrap();
    assert_eq!(host.prompts().len(), 2);
    // And the program: the person has touched for another.
    host.client.config.signing_keep = Some(900);
    sign(&mut host, &key).unwrap();
    host.prompts();
    host.client.asker = "node".to_owned();
    sign(&mut host, &key).unwrap();
    assert_eq!(host.prompts().len(), 1);
}

#[test]
fn version_2_is_signed_by_its_own_credential() {
    let mut host = Host::new(Config::default());
    let request = S3Request {
        method: "GET",
        bucket: "",
        path: "/johnsmith/photos/puppy.jpg",
        query: &[],
        headers: &[],
        session_token: None,
    };
    let string_to_sign = request.string_to_sign(When::Expires(1_175_139_620)).unwrap();
    let what = V2::Request { string_to_sign: &string_to_sign, host: "127.0.0.1:9000" };
    let signature = key().sign_v2(&mut host, what).unwrap();
    // By Python's hmac.
    assert_eq!(HEXLOWER.encode(&signature), "3698028e70f3accf96173a043579a934352c4a7f");
    assert_eq!(
        host.prompts(),
        [format!(
            "terraform asks to sign GET /johnsmith/photos/puppy.jpg, a link until 2007-03-29T03:40:20Z, at 127.0.0.1:9000 \
             as {ID} by Signature Version 2"
        )]
    );
    let long = format!("GET\n\n\n1175139620\n/johnsmith/{}", "a".repeat(300));
    let what = V2::Request { string_to_sign: &long, host: "127.0.0.1:9000" };
    let failure = key().sign_v2(&mut host, what).unwrap_err();
    assert!(failure.message.contains("and the key takes 217 at once"), "{}", failure.message);
    host.ask(Op::DeleteIdentity { access_key_id: ID.to_owned() }).unwrap();
    let secret_access_key = Password(SECRET.to_owned());
    let signature = SignatureVersion::SigV4;
    host.ask(Op::AddIdentity {
        access_key_id: ID.to_owned(),
        signature,
        secret_access_key,
        touch: true,
        overwrite: false,
    })
    .unwrap();
    let what = V2::Request { string_to_sign: &string_to_sign, host: "127.0.0.1:9000" };
    let failure = key().sign_v2(&mut host, what).unwrap_err();
    assert_eq!(failure.code, ErrorCode::NotFound);
    assert!(
        failure.message.ends_with("on this key for SigV4 only, not for Signature Version 2"),
        "{failure:?}"
    );
    assert_eq!(failure.hint.unwrap(), "`keyfob aws add --signature v2` adds it, from the secret itself");
}

#[test]
fn a_form_is_signed_by_what_its_policy_says() {
    let mut host = Host::new(Config::default());
    let endpoint = Endpoint::aws("eu-west-1").unwrap();
    let policy = PostPolicy {
        endpoint: &endpoint,
        bucket: "bucket",
        key: PostKey::Prefix("up/"),
        access_key_id: ID,
        time: date().unix(),
        expires: 3600,
        session_token: None,
        fields: &[("acl", "private")],
        conditions: &[Condition::ContentLengthRange(1, 10)],
    };
    let prepared = policy.prepare().unwrap();
    let (text, scope) = (prepared.string_to_sign().to_owned(), policy.scope().unwrap());
    let signature = key().sign_policy(&mut host, &text, &date(), &scope).unwrap();
    let expected = policy.sign(&date_key().signing_key("eu-west-1", "s3").unwrap()).unwrap();
    assert_eq!(prepared.finish(&signature).fields(), expected.fields());
    let [prompt] = host.prompts().try_into().unwrap();
    assert_eq!(
        prompt,
        format!(
            "terraform asks to sign a form that uploads to whatever begins with s3://bucket/up/ until 2015-08-30T13:36:00Z \
             as {ID} (s3 in eu-west-1), acl: private, 1 to 10 bytes"
        )
    );
}

#[test]
fn a_browser_has_none_of_it() {
    let mut host = Host::new(Config { signing_keep: Some(900), ..Config::default() });
    let key = key();
    sign(&mut host, &key).unwrap();
    host.prompts();
    host.client.caller = Caller::Browser { extension: "x".to_owned() };
    assert_eq!(sign(&mut host, &key).unwrap_err().code, ErrorCode::Forbidden);
    let scopes = [("us-east-1", "sts")];
    let failure = key.signing_keys(&mut host, &date(), &scopes, "links").unwrap_err();
    assert_eq!(failure.code, ErrorCode::Forbidden);
    let what = V2::Request { string_to_sign: "GET\n\n\n1175139620\n/b/k", host: "a" };
    assert_eq!(key.sign_v2(&mut host, what).unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(host.prompts().len(), 0);
}
