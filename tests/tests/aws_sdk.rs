//! aws-sdk-rust with Keyfob's signer: equal to the SDK's own byte for byte, taken by real servers that verify, one touch
//! for all, and what is said where there is no signature.
//!
//! What asks a key runs in a process of its own, which knows a temporary home alone: the same program, with a test that is
//! ignored otherwise.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_runtime::auth::sigv4::SigV4Signer;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, Delete, ObjectIdentifier};
use aws_smithy_async::time::{SharedTimeSource, StaticTimeSource, TimeSource};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, Sign};
use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::display::DisplayErrorContext;
use keyfob_aws::{Builder, KeySigner};
use keyfob_core::message::{ErrorCode, Event, Failure};
use keyfob_core::sigv4::{AmzDate, DateKey, SigningKey};
use keyfob_tests::home::Home;
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::moto::Moto;
use keyfob_tests::s3s::S3s;
use keyfob_tests::tool;

const REGION: &str = "eu-west-1";
const BUCKET: &str = "test-bucket";
/// 2026-03-01T23:59:00Z.
const NOW: u64 = 1_772_409_540;

/// Signing keys of a secret at hand.
fn keys(secret: &str, date: &AmzDate, scopes: &[(&str, &str)]) -> Vec<SigningKey> {
    let day = DateKey::from_secret(secret.as_bytes(), *date);
    scopes.iter().map(|(region, service)| day.signing_key(region, service).unwrap()).collect()
}

/// A signer that needs no key; how often it asks is counted.
fn signer(scopes: &[(&str, &str)]) -> (KeySigner, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let builder = declare(KeySigner::builder(ACCESS_KEY_ID), scopes).keys_from(move |date, scopes| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(keys(SECRET_ACCESS_KEY, date, scopes))
    });
    (builder.build().unwrap(), asked)
}

fn declare(builder: Builder, scopes: &[(&str, &str)]) -> Builder {
    scopes.iter().fold(builder, |builder, (region, service)| builder.scope(region, service))
}

/// An HTTP client that sends nothing, answers each request as it is told, and keeps the headers that would have been sent.
#[derive(Debug, Clone)]
struct Recorder {
    answer: &'static str,
    sent: Arc<Mutex<Vec<HashMap<String, String>>>>,
}

impl Recorder {
    fn new(answer: &'static str) -> Self {
        Self { answer, sent: Arc::default() }
    }

    fn client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    fn sent(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.sent.lock().unwrap().push(headers.collect());
        let response = HttpResponse::new(200.try_into().unwrap(), SdkBody::from(self.answer));
        HttpConnectorFuture::ready(Ok(response))
    }
}

const IDENTITY: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/alice</Arn><UserId>X</UserId>\
    <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

/// Its own client, for the real servers.
fn http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

/// With credentials besides, that nobody is to use.
fn sts(signer: &KeySigner, http: SharedHttpClient) -> aws_sdk_sts::config::Builder {
    aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("AKIAI44QH8DHBEXAMPLE", "another", None, None, "test"))
        .http_client(http)
        .push_auth_scheme(signer.clone())
}

fn s3(scheme: impl AuthScheme + 'static, http: SharedHttpClient) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .http_client(http)
        .push_auth_scheme(scheme)
}

fn said(error: &(impl std::error::Error + 'static)) -> String {
    DisplayErrorContext(error).to_string()
}

/// Signs each request twice, and wants it to be the same.
#[derive(Debug)]
struct Compared {
    ours: KeySigner,
    count: Arc<AtomicUsize>,
}

impl AuthScheme for Compared {
    fn scheme_id(&self) -> AuthSchemeId {
        self.ours.scheme_id()
    }

    fn identity_resolver(&self, of: &dyn GetIdentityResolver) -> Option<SharedIdentityResolver> {
        self.ours.identity_resolver(of)
    }

    fn signer(&self) -> &dyn Sign {
        self
    }
}

impl Sign for Compared {
    fn sign_http_request(
        &self,
        request: &mut HttpRequest,
        identity: &Identity,
        endpoint: AuthSchemeEndpointConfig<'_>,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        let body = request.body().bytes().map_or_else(SdkBody::taken, SdkBody::from);
        let mut theirs = HttpRequest::new(body);
        theirs.set_method(request.method())?;
        theirs.set_uri(request.uri())?;
        for (name, value) in request.headers() {
            theirs.headers_mut().append(name.to_owned(), value.to_owned());
        }
        let credentials =
            Identity::from(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test"));
        let sign = SigV4Signer::new();
        sign.sign_http_request(&mut theirs, &credentials, endpoint.clone(), components, config)?;
        self.ours.sign_http_request(request, identity, endpoint, components, config)?;
        let sorted = |request: &HttpRequest| {
            let headers = request.headers().iter();
            let mut headers: Vec<_> = headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            headers.sort();
            (request.uri().to_owned(), headers)
        };
        assert_eq!(sorted(request), sorted(&theirs));
        self.count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn it_signs_as_the_sdk_does() {
    let scopes = ["s3", "s3express", "s3-object-lambda", "s3-outposts", "sts", "sqs"].map(|s| (REGION, s));
    let (ours, asked) = signer(&scopes);
    let count = Arc::new(AtomicUsize::new(0));
    let scheme = || Compared { ours: ours.clone(), count: Arc::clone(&count) };
    let recorder = Recorder::new("");
    let time = SharedTimeSource::new(StaticTimeSource::from_secs(NOW));
    let config = |endpoint: &str| {
        let config = s3(scheme(), recorder.client()).time_source(time.clone());
        let config = config.disable_s3_express_session_auth(true);
        if endpoint.is_empty() { config } else { config.endpoint_url(endpoint) }
    };
    let link = || {
        let start = UNIX_EPOCH + Duration::from_secs(NOW);
        PresigningConfig::builder().start_time(start).expires_in(Duration::from_secs(60)).build().unwrap()
    };
    let mut expected = 0;
    for config in [
        config(""),
        config("").use_fips(true),
        config("").use_dual_stack(true),
        config("").accelerate(true),
        config("").force_path_style(true),
        config("https://localhost:9000/base").force_path_style(true),
        config("http://localhost:80").force_path_style(true),
        config("http://[::1]:9000").force_path_style(true),
    ] {
        let client = aws_sdk_s3::Client::from_conf(config.build());
        for key in ["a", "a b/ü+~(1)!*'", "..//./a%2F%zz", "/x?y&z=1#f", &"k".repeat(1024)] {
            let object = client.get_object().bucket(BUCKET).key(key).version_id("a+b/=").range("bytes=0-1");
            drop(object.clone().send().await);
            // The headers of whoever made a link are not those of whoever follows it.
            let object = object.checksum_mode(ChecksumMode::Enabled);
            let object = object.response_content_disposition("attachment; filename=\"ü \"");
            drop(object.presigned(link()).await.unwrap());
            let put = || {
                let put = client.put_object().bucket(BUCKET).key(key).metadata("a", "  two   words ");
                put.content_type("text/plain").tagging("a=b&c=d%20e")
            };
            drop(put().body(ByteStream::from_static(b"content")).send().await);
            drop(put().presigned(link()).await.unwrap());
            let copied = client.copy_object().bucket(BUCKET).key("to").copy_source(format!("{BUCKET}/a%20b"));
            drop(copied.send().await);
            drop(client.head_object().bucket(BUCKET).key(key).send().await);
            expected += 6;
        }
        let id = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
        let delete = Delete::builder().objects(id("a")).objects(id("ü")).build().unwrap();
        drop(client.delete_objects().bucket(BUCKET).delete(delete).send().await);
        let list = client.list_objects_v2().bucket(BUCKET).prefix("a b/ü+").delimiter("/");
        drop(list.continuation_token("a+b/c==").send().await);
        expected += 2;
    }
    // Names of their own, and bodies of unknown content.
    let client = aws_sdk_s3::Client::from_conf(config("").build());
    let arn = |service, rest| format!("arn:aws:{service}:{REGION}:123456789012:{rest}");
    for bucket in [
        arn("s3", "accesspoint/data"),
        arn("s3-object-lambda", "accesspoint/data"),
        arn("s3-outposts", "outpost/op-01234567890123456/accesspoint/data"),
        "data--euw1-az1--x-s3".to_owned(),
    ] {
        drop(client.get_object().bucket(bucket).key("a//b").send().await);
        expected += 1;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, vec![7; 100_000]).unwrap();
    let stream = ByteStream::from_path(&file).await.unwrap();
    drop(client.put_object().bucket(BUCKET).key("stream").body(stream).send().await);
    let stream = ByteStream::from_path(&file).await.unwrap();
    let put = client.put_object().bucket(BUCKET).key("stream").body(stream).customize();
    drop(put.disable_payload_signing().send().await);
    expected += 2;

    // Other rules for paths and payloads.
    let config = sts(&ours, recorder.client()).time_source(time.clone()).push_auth_scheme(scheme());
    let client = aws_sdk_sts::Client::from_conf(config.build());
    drop(client.get_caller_identity().send().await);
    drop(client.assume_role().role_arn("arn:aws:iam::1:role/ü").role_session_name("a b").send().await);
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .http_client(recorder.client())
        .time_source(time)
        .endpoint_url("https://sqs.localhost/a%20b//c/../d/")
        .push_auth_scheme(scheme());
    let client = aws_sdk_sqs::Client::from_conf(config.build());
    drop(client.send_message().queue_url("https://q/1/q").message_body("ü \u{1f511}").send().await);
    expected += 3;
    assert_eq!(count.load(Ordering::SeqCst), expected);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "all of one day, and all clients");
}

#[tokio::test]
async fn nothing_unsigned_is_sent() {
    let recorder = Recorder::new(IDENTITY);
    let (signer, asked) = signer(&[("us-east-1", "sts"), (REGION, "s3")]);
    let client = aws_sdk_sts::Client::from_conf(sts(&signer, recorder.client()).build());
    let error = client.get_caller_identity().send().await.unwrap_err();
    assert!(said(&error).contains(r#"add .scope("eu-west-1", "sts")"#), "{}", said(&error));

    // Chunks that the SDK would sign itself.
    let config = s3(signer.clone(), recorder.client()).endpoint_url("http://127.0.0.1:1").build();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, vec![7; 100_000]).unwrap();
    let put = aws_sdk_s3::Client::from_conf(config).put_object().bucket(BUCKET).key("stream");
    let put = put.body(ByteStream::from_path(&file).await.unwrap());
    let error = put.send().await.unwrap_err();
    assert!(said(&error).contains("use https, or give the body as bytes in memory"), "{}", said(&error));

    // Directory buckets, with sessions.
    let config = s3(signer.clone(), recorder.client()).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let error = client.get_object().bucket("data--euw1-az1--x-s3").key("a").send().await.unwrap_err();
    assert!(said(&error).contains("missing endpoint config"), "{}", said(&error));
    assert_eq!((recorder.sent(), asked.load(Ordering::SeqCst)), (0, 1));

    for scopes in [&[][..], &[("", "s3")], &[("eu west 1", "s3")], &[(REGION, "s/3")]] {
        assert!(declare(KeySigner::builder(ACCESS_KEY_ID), scopes).build().is_err(), "{scopes:?}");
    }
    let text = format!("{signer:?}");
    assert!(text.contains(ACCESS_KEY_ID) && !text.contains("keys"), "{text}");
}

/// A clock that a test sets: Unix time in seconds.
#[derive(Debug, Clone)]
struct Clock(Arc<AtomicU64>);

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_touch_is_good_until_midnight() {
    let recorder = Recorder::new(IDENTITY);
    let (signer, asked) = signer(&[(REGION, "sts"), (REGION, "s3")]);
    let clock = Clock(Arc::new(AtomicU64::new(NOW)));
    let config = sts(&signer, recorder.client()).time_source(clock.clone()).build();
    let client = aws_sdk_sts::Client::from_conf(config);
    let check = async |time: u64, touches: usize, date: &str| {
        clock.0.store(time, Ordering::SeqCst);
        client.get_caller_identity().send().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), touches);
        let sent = recorder.sent.lock().unwrap();
        assert_eq!(sent.last().unwrap()["x-amz-date"], date);
    };
    check(NOW, 1, "20260301T235900Z").await;
    check(NOW + 59, 1, "20260301T235959Z").await;
    check(NOW + 60, 2, "20260302T000000Z").await;
    check(NOW + 3600, 2, "20260302T005900Z").await;

    // A link for another day wants that day's key, and today's is kept.
    let config = s3(signer.clone(), recorder.client()).time_source(clock.clone()).build();
    let s3 = aws_sdk_s3::Client::from_conf(config);
    let start = UNIX_EPOCH + Duration::from_secs(NOW + 3 * 86_400);
    let link =
        PresigningConfig::builder().start_time(start).expires_in(Duration::from_secs(60)).build().unwrap();
    let link = s3.get_object().bucket(BUCKET).key("a").presigned(link).await.unwrap();
    assert!(link.uri().contains("X-Amz-Date=20260304T235900Z"), "{}", link.uri());
    check(NOW + 3600, 3, "20260302T005900Z").await;
    signer.forget().await;
    check(NOW + 3600, 4, "20260302T005900Z").await;
}

#[tokio::test]
async fn all_who_wait_get_one_answer() {
    // The runtime has this one thread: if the question blocked it, nobody could answer.
    let (answers, to_come) = mpsc::channel::<Result<(), Failure>>();
    let to_come = Mutex::new(to_come);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let signer = KeySigner::builder(ACCESS_KEY_ID).scope(REGION, "sts").keys_from(move |date, scopes| {
        count.fetch_add(1, Ordering::SeqCst);
        to_come.lock().unwrap().recv().unwrap().map(|()| keys(SECRET_ACCESS_KEY, date, scopes))
    });
    let signer = signer.build().unwrap();
    let recorder = Recorder::new(IDENTITY);
    let client = aws_sdk_sts::Client::from_conf(sts(&signer, recorder.client()).build());
    let calls = || {
        let call = |client: aws_sdk_sts::Client| async move { client.get_caller_identity().send().await };
        (0..20).map(|_| tokio::spawn(call(client.clone()))).collect::<Vec<_>>()
    };
    let refused = keyfob::error::failure(ErrorCode::TouchTimeout, "nobody touched the key", "touch it");

    let waiting = calls();
    while asked.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    answers.send(Err(refused)).unwrap();
    for call in waiting {
        let error = call.await.unwrap().unwrap_err();
        assert!(said(&error).contains("nobody touched the key: touch it"), "{}", said(&error));
    }
    assert_eq!((asked.load(Ordering::SeqCst), recorder.sent()), (1, 0), "neither asked nor sent again");

    let waiting = calls();
    answers.send(Ok(())).unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!((asked.load(Ordering::SeqCst), recorder.sent()), (2, 20));
}

/// One who answers requests one by one, and says when they were signed.
fn server(answers: Vec<String>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, dates) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = Vec::new();
            let whole = |text: &str| {
                let (head, body) = text.split_once("\r\n\r\n")?;
                let value = |name: &str| {
                    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
                    Some(line[name.len()..].trim().to_owned())
                };
                let length: usize = value("content-length:")?.parse().unwrap();
                (body.len() >= length).then(|| value("x-amz-date:").unwrap())
            };
            let date = loop {
                let mut part = [0; 4096];
                let len = stream.read(&mut part).unwrap();
                assert!(len > 0, "the request is whole");
                text.extend_from_slice(&part[..len]);
                if let Some(date) = whole(&String::from_utf8_lossy(&text)) {
                    break date;
                }
            };
            stream.write_all(answer.as_bytes()).unwrap();
            sender.send(date).unwrap();
        }
    });
    (endpoint, dates)
}

#[tokio::test]
async fn the_sdk_s_correction_of_the_clock_holds() {
    let skewed = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>\
        <Message>Signature expired</Message></Error></ErrorResponse>";
    let date = "Mon, 02 Mar 2026 00:59:00 GMT";
    let answer = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-type: text/xml\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let (endpoint, dates) = server(vec![answer("403 Forbidden", skewed), answer("200 OK", IDENTITY)]);
    let (signer, asked) = signer(&[(REGION, "sts")]);
    let clock = Clock(Arc::new(AtomicU64::new(NOW)));
    let config = sts(&signer, http()).endpoint_url(endpoint).time_source(clock).build();
    aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await.unwrap();
    assert_eq!(dates.recv().unwrap(), "20260301T235900Z");
    // By then it is another day: another key.
    let corrected = dates.recv().unwrap();
    assert!(("20260302T005858Z".."20260302T005903Z").contains(&&*corrected), "{corrected}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// A home with this access key on the software key `demo`. It is touched after so many milliseconds.
fn home(access_key_id: &str, secret: &str, touch: &str) -> Home {
    let mut home = Home::with_software_key().unwrap();
    home.set("KEYFOB_SOFT_TOUCH", touch);
    home.succeed(&["aws", "add", access_key_id], secret).unwrap();
    home
}

/// Runs a test of this file in a process that knows this home alone, and finds `keyfob` in its `PATH`, or not.
fn inside(home: &Home, test: &str, keyfob: bool, values: &[(&str, &str)]) {
    let folder = tool("KEYFOB_BIN").unwrap();
    let path = if keyfob { folder.parent().unwrap() } else { Path::new("/nonexistent") };
    let mut this = home.command(std::env::current_exe().unwrap());
    this.args(["--exact", test, "--ignored", "--nocapture"]).env("PATH", path);
    let output = this.envs(values.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

fn value(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// The signer of what runs inside, with its events.
fn asking(scopes: &[(&str, &str)]) -> (KeySigner, Arc<Mutex<Vec<Event>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&events);
    let builder = KeySigner::builder(&value("TEST_ACCESS_KEY_ID")).purpose("what a test asks for");
    let builder = declare(builder, scopes).on_event(move |event| to.lock().unwrap().push(event.clone()));
    (builder.build().unwrap(), events)
}

#[test]
fn moto_takes_what_the_key_signs() {
    let moto = Moto::start(&[("alice", &["sts:*", "sqs:*"])]).unwrap();
    let user = &moto.users()[0];
    let endpoint = moto.endpoint();
    let values = [("TEST_ACCESS_KEY_ID", user.access_key_id.as_str()), ("TEST_ENDPOINT", &endpoint)];
    let agent = |home: &Home| home.run(&["agent", "status"], "").unwrap().status.success();
    for keyfob in [true, false] {
        let home = home(&user.access_key_id, &user.secret_access_key, "");
        home.succeed(&["agent", "stop"], "").unwrap();
        inside(&home, "many_calls_for_one_touch", keyfob, &values);
        assert_eq!(agent(&home), keyfob, "the agent is started where there is a program for it");
    }
    let other = home(&user.access_key_id, SECRET_ACCESS_KEY, "");
    inside(&other, "another_secret_is_refused", true, &values);
}

#[tokio::test]
#[ignore = "runs inside another test"]
async fn many_calls_for_one_touch() {
    let (signer, events) = asking(&[(REGION, "sts"), (REGION, "sqs")]);
    let client =
        aws_sdk_sts::Client::from_conf(sts(&signer, http()).endpoint_url(value("TEST_ENDPOINT")).build());
    for _ in 0..3 {
        let who = client.get_caller_identity().send().await.unwrap();
        assert_eq!(who.arn().unwrap(), format!("arn:aws:iam::{}:user/alice", Moto::ACCOUNT));
    }
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .http_client(http())
        .endpoint_url(value("TEST_ENDPOINT"))
        .push_auth_scheme(signer);
    let client = aws_sdk_sqs::Client::from_conf(config.build());
    let queue = client.create_queue().queue_name("orders").send().await.unwrap();
    let queue = queue.queue_url().unwrap();
    client.send_message().queue_url(queue).message_body("grüße \u{1f511}").send().await.unwrap();
    let received = client.receive_message().queue_url(queue).send().await.unwrap();
    assert_eq!(received.messages()[0].body(), Some("grüße \u{1f511}"));

    let events = events.lock().unwrap();
    let [Event::TouchRequired { prompt, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(prompt.starts_with("aws_sdk-"), "{prompt}");
    for part in ["sqs in eu-west-1", "sts in eu-west-1", "what a test asks for"] {
        assert!(prompt.contains(part), "{prompt}");
    }
}

#[tokio::test]
#[ignore = "runs inside another test"]
async fn another_secret_is_refused() {
    let (signer, _) = asking(&[(REGION, "sts")]);
    let client =
        aws_sdk_sts::Client::from_conf(sts(&signer, http()).endpoint_url(value("TEST_ENDPOINT")).build());
    let error = client.get_caller_identity().send().await.unwrap_err();
    assert!(said(&error).contains("SignatureDoesNotMatch"), "{}", said(&error));
}

#[test]
fn s3_takes_what_the_key_signs() {
    let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY, "");
    let endpoint = server.endpoint();
    let values = [("TEST_ACCESS_KEY_ID", ACCESS_KEY_ID), ("TEST_ENDPOINT", endpoint.as_str())];
    inside(&home, "objects_come_and_go", true, &values);
    assert_eq!(std::fs::read(server.file(BUCKET, "streamed")).unwrap(), vec![7; 200_000]);
}

/// Sends by http what is meant for https: the SDK's rules for bodies depend on that.
#[derive(Debug, Clone)]
struct WithoutTls(SharedHttpConnector);

impl HttpConnector for WithoutTls {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().replacen("https://", "http://", 1);
        request.set_uri(uri).unwrap();
        self.0.call(request)
    }
}

#[tokio::test]
#[ignore = "runs inside another test"]
async fn objects_come_and_go() {
    let (signer, events) = asking(&[(REGION, "s3")]);
    let config = s3(signer.clone(), http()).endpoint_url(value("TEST_ENDPOINT")).force_path_style(true);
    let client = aws_sdk_s3::Client::from_conf(config.build());
    for key in ["plain", "a b/(ü)+~"] {
        let content = ByteStream::from_static(b"content");
        client.put_object().bucket(BUCKET).key(key).body(content).send().await.unwrap();
        let object = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        assert_eq!(object.body.collect().await.unwrap().to_vec(), b"content");

        let link = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
        let link = client.get_object().bucket(BUCKET).key(key).presigned(link).await.unwrap();
        let uri = link.uri().to_owned();
        let get = |uri: String| ureq::get(uri).call().map(|mut got| got.body_mut().read_to_vec().unwrap());
        assert_eq!(get(uri.clone()).unwrap(), b"content");
        get(uri.replace("X-Amz-Expires=60", "X-Amz-Expires=61")).unwrap_err();
    }
    let list = client.list_objects_v2().bucket(BUCKET).prefix("a b/").send().await.unwrap();
    assert_eq!(list.contents()[0].key(), Some("a b/(ü)+~"));

    // A file in chunks, with its checksum behind it.
    let plain = http();
    let without_tls = http_client_fn(move |settings, components| {
        SharedHttpConnector::new(WithoutTls(plain.http_connector(settings, components)))
    });
    let https = value("TEST_ENDPOINT").replacen("http:", "https:", 1);
    let config = s3(signer, without_tls);
    let client = aws_sdk_s3::Client::from_conf(config.endpoint_url(https).force_path_style(true).build());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, vec![7; 200_000]).unwrap();
    let stream = ByteStream::from_path(&file).await.unwrap();
    client.put_object().bucket(BUCKET).key("streamed").body(stream).send().await.unwrap();
    assert_eq!(events.lock().unwrap().len(), 1, "one touch");
}

#[test]
fn a_touch_for_one_who_went_away_buys_nothing() {
    let home = home(ACCESS_KEY_ID, SECRET_ACCESS_KEY, "1500");
    inside(&home, "a_call_that_is_given_up", true, &[("TEST_ACCESS_KEY_ID", ACCESS_KEY_ID)]);
}

#[tokio::test]
#[ignore = "runs inside another test"]
async fn a_call_that_is_given_up() {
    let (signer, events) = asking(&[(REGION, "sts")]);
    let waiting = signer.ready();
    let asked = async {
        while events.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = waiting => panic!("nobody has touched yet: {result:?}"),
        () = asked => {}
    }
    signer.ready().await.unwrap();
    // Not the answer to the first question, whose touch came meanwhile.
    let events = events.lock().unwrap();
    let [Event::TouchRequired { .. }, Event::Waiting { .. }, Event::TouchRequired { .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
}
