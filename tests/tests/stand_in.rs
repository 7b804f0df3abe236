//! The stand-in of AWS takes what AWS takes and refuses what AWS refuses: boto3 is the client that asks it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use keyfob_tests::home::Home;
use keyfob_tests::stand_in::{Fault, StandIn};
use keyfob_tests::{http, tool};
use serde_json::{Value, json};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// boto3 in a process.
struct Boto {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    endpoint: String,
}

/// What a call is signed with.
#[derive(Clone)]
struct Credentials {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Credentials {
    /// A user's.
    fn of(aws: &StandIn, user: &str) -> Self {
        let key = aws.key(user).unwrap();
        Self { id: key.id, secret: key.secret, token: None }
    }

    /// Those in an answer of STS.
    fn made(answer: &Value) -> Self {
        let part = |name: &str| answer["Credentials"][name].as_str().unwrap().to_owned();
        Self { id: part("AccessKeyId"), secret: part("SecretAccessKey"), token: Some(part("SessionToken")) }
    }
}

impl Boto {
    fn start(aws: &StandIn) -> Self {
        let home = Home::new().unwrap();
        let mut child = home
            .command(tool("KEYFOB_PYTHON").unwrap())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/boto3_calls.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .current_dir("/")
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout, endpoint: aws.endpoint() }
    }

    /// Calls; gives the answer, or AWS's code and message.
    fn ask(
        &mut self,
        who: &Credentials,
        call: &str,
        parameters: &Value,
        more: &Value,
    ) -> Result<Value, String> {
        let (service, operation) = call.split_once('.').unwrap();
        let mut ask = json!({
            "endpoint": self.endpoint, "service": service, "operation": operation, "parameters": parameters,
            "id": who.id, "secret": who.secret, "token": who.token,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            ask[name] = value.clone();
        }
        writeln!(self.stdin.as_mut().unwrap(), "{ask}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        match answer["code"].as_str() {
            Some(code) => Err(format!("{code}: {}", answer["message"].as_str().unwrap())),
            None => Ok(answer["ok"].take()),
        }
    }

    #[track_caller]
    fn takes(&mut self, who: &Credentials, call: &str, parameters: &Value) -> Value {
        self.ask(who, call, parameters, &json!({})).unwrap()
    }

    #[track_caller]
    fn refuses(&mut self, who: &Credentials, call: &str, parameters: &Value, said: &str) {
        let refusal = self.ask(who, call, parameters, &json!({})).unwrap_err();
        assert!(refusal.starts_with(said), "{refusal}");
    }
}

impl Drop for Boto {
    fn drop(&mut self) {
        // It reads the end of it, and ends.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

const WHO: &str = "sts.get_caller_identity";
const SESSION: &str = "sts.get_session_token";
const ASSUME: &str = "sts.assume_role";
const INVALID: &str = "InvalidClientTokenId: ";
const WRONG_CODE: &str =
    "AccessDenied: MultiFactorAuthentication failed with invalid MFA one time pass code. ";

fn with_code(aws: &StandIn, steps: i64) -> Value {
    let serial = StandIn::serial("alice");
    json!({ "SerialNumber": serial, "TokenCode": aws.code(&serial, steps) })
}

fn role(name: &str, more: &Value) -> Value {
    let mut parameters = json!({ "RoleArn": StandIn::role_arn(name), "RoleSessionName": "me" });
    for (name, value) in more.as_object().into_iter().flatten() {
        parameters[name] = value.clone();
    }
    parameters
}

/// A time at which the step of the codes does not end at once.
fn in_a_step(aws: &StandIn) {
    let left = aws.left_in_step();
    if left < 15 {
        aws.turn_clock(left);
    }
}

#[test]
fn signatures_are_verified() {
    let aws = StandIn::start(|world| {
        world.user("alice");
    })
    .unwrap();
    let mut boto = Boto::start(&aws);
    let alice = Credentials::of(&aws, "alice");
    let who = boto.takes(&alice, WHO, &json!({}));
    assert_eq!(who["Arn"], "arn:aws:iam::123456789012:user/alice");
    assert_eq!(who["Account"], "123456789012");

    let wrong = Credentials { secret: format!("{}x", alice.secret), ..alice.clone() };
    boto.refuses(&wrong, WHO, &json!({}), "SignatureDoesNotMatch: The request signature we calculated");
    let nobody = Credentials { id: "AKIAIOSFODNN7EXAMPLE".to_owned(), ..alice.clone() };
    boto.refuses(&nobody, WHO, &json!({}), INVALID);
    let with_token = Credentials { token: Some("token".to_owned()), ..alice.clone() };
    boto.refuses(&with_token, WHO, &json!({}), INVALID);
    let changed = boto.ask(&alice, WHO, &json!({}), &json!({ "body_suffix": "&a=b" })).unwrap_err();
    assert!(changed.starts_with("SignatureDoesNotMatch: "), "{changed}");

    // Five minutes, either way.
    for (turn, said) in [
        (290, None),
        (310, Some("SignatureDoesNotMatch: Signature expired: ")),
        (-290, None),
        (-310, Some("SignatureDoesNotMatch: Signature not yet current: ")),
    ] {
        aws.fail_next("*", 1, Fault::Skew(turn));
        match said {
            None => drop(boto.takes(&alice, WHO, &json!({}))),
            Some(said) => boto.refuses(&alice, WHO, &json!({}), said),
        }
    }
    let right: Vec<bool> = aws.requests().iter().map(|request| request.verified).collect();
    assert_eq!(right, [true, false, false, false, false, true, false, true, false]);

    let unsigned = http::send(
        aws.endpoint().rsplit(':').next().unwrap().parse().unwrap(),
        "POST",
        &aws.endpoint(),
        &[("content-type", "application/x-www-form-urlencoded")],
        b"Action=GetCallerIdentity&Version=2011-06-15",
    )
    .unwrap();
    assert_eq!(unsigned.status, 403);
    assert!(unsigned.text().contains("<Code>MissingAuthenticationToken</Code>"), "{}", unsigned.text());
}

#[test]
fn sessions() {
    let aws = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
        world.user("bob").device("bob", SECRET).may(&["iam:GetUser"]);
        world.role("ops").max_duration(7200);
        world.role("vault").needs_mfa().external_id("42").trusts(&["alice", "ops"]);
    })
    .unwrap();
    let mut boto = Boto::start(&aws);
    let (alice, bob) = (Credentials::of(&aws, "alice"), Credentials::of(&aws, "bob"));
    in_a_step(&aws);

    // Codes: of the window, of the user's own device, once.
    boto.refuses(&alice, SESSION, &with_code(&aws, 3), WRONG_CODE);
    boto.refuses(&alice, SESSION, &with_code(&aws, -3), WRONG_CODE);
    let serial = StandIn::serial("alice");
    boto.refuses(
        &bob,
        SESSION,
        &with_code(&aws, 0),
        "AccessDenied: MultiFactorAuthentication failed, unable",
    );
    boto.refuses(
        &alice,
        SESSION,
        &json!({ "SerialNumber": serial }),
        "AccessDenied: MultiFactorAuthentication",
    );
    let mut asked = with_code(&aws, 0);
    let made = boto.takes(&alice, SESSION, &asked);
    boto.refuses(&alice, SESSION, &asked, WRONG_CODE);
    asked["DurationSeconds"] = json!(899);
    boto.refuses(&alice, SESSION, &asked, "ValidationError: 1 validation error detected: Value '899'");
    let mfa = Credentials::made(&made);
    let plain = Credentials::made(&boto.takes(&alice, SESSION, &json!({})));

    // What sessions are good for.
    assert_eq!(boto.takes(&mfa, WHO, &json!({}))["Arn"], "arn:aws:iam::123456789012:user/alice");
    assert!(aws.requests().last().unwrap().mfa);
    boto.refuses(
        &mfa,
        SESSION,
        &json!({}),
        "AccessDenied: Cannot call GetSessionToken with session credentials",
    );
    boto.takes(&mfa, "iam.get_user", &json!({}));
    boto.refuses(&plain, "iam.get_user", &json!({}), INVALID);
    let other_token = Credentials { token: plain.token.clone(), ..mfa.clone() };
    boto.refuses(&other_token, WHO, &json!({}), INVALID);
    let no_token = Credentials { token: None, ..mfa.clone() };
    boto.refuses(&no_token, WHO, &json!({}), INVALID);
    let changed = Credentials { secret: plain.secret.clone(), ..mfa.clone() };
    boto.refuses(&changed, WHO, &json!({}), "SignatureDoesNotMatch: ");

    // Roles.
    let not_authorized = "AccessDenied: User: arn:aws:";
    boto.refuses(&bob, ASSUME, &role("ops", &json!({})), not_authorized);
    boto.refuses(&alice, ASSUME, &role("nothing", &json!({})), not_authorized);
    let ops =
        boto.takes(&alice, ASSUME, &role("ops", &json!({ "DurationSeconds": 7200, "SourceIdentity": "al" })));
    assert_eq!(ops["AssumedRoleUser"]["Arn"], "arn:aws:sts::123456789012:assumed-role/ops/me");
    let ops = Credentials::made(&ops);
    assert_eq!(boto.takes(&ops, WHO, &json!({}))["Arn"], "arn:aws:sts::123456789012:assumed-role/ops/me");
    boto.refuses(
        &alice,
        ASSUME,
        &role("ops", &json!({ "DurationSeconds": 7201 })),
        "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    );
    boto.refuses(
        &mfa,
        ASSUME,
        &role("ops", &json!({ "DurationSeconds": 3601 })),
        "ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role",
    );
    let known = json!({ "ExternalId": "42" });
    boto.refuses(&alice, ASSUME, &role("vault", &known), not_authorized);
    boto.refuses(&plain, ASSUME, &role("vault", &known), not_authorized);
    boto.refuses(&ops, ASSUME, &role("vault", &known), not_authorized);
    boto.refuses(&mfa, ASSUME, &role("vault", &json!({})), not_authorized);
    boto.takes(&mfa, ASSUME, &role("vault", &known));
    let mut direct = with_code(&aws, 1);
    direct["ExternalId"] = json!("42");
    boto.takes(&alice, ASSUME, &role("vault", &direct));
    boto.refuses(&ops, ASSUME, &role("ops", &json!({ "SourceIdentity": "other" })), not_authorized);
    let tags = json!({ "Tags": [{ "Key": "a", "Value": "b" }], "TransitiveTagKeys": ["c"] });
    boto.refuses(&alice, ASSUME, &role("ops", &tags), "InvalidParameterValue: ");
    boto.refuses(
        &alice,
        ASSUME,
        &json!({ "RoleArn": StandIn::role_arn("ops"), "RoleSessionName": "a b" }),
        "ValidationError: ",
    );

    // Their end.
    aws.turn_clock(3 * 3600);
    aws.fail_next("*", 1, Fault::Skew(-3 * 3600));
    boto.takes(&ops, WHO, &json!({}));
    aws.turn_clock(-3 * 3600);
    aws.end_sessions();
    boto.refuses(&ops, WHO, &json!({}), "ExpiredToken: ");
    aws.shorten_sessions(Some(60));
    let short = boto.takes(&alice, SESSION, &json!({}));
    let end: jiff::Timestamp = short["Credentials"]["Expiration"].as_str().unwrap().parse().unwrap();
    let left = end.duration_since(jiff::Timestamp::now()).as_secs();
    // The test may have turned the clock by half a step.
    assert!((1..=75).contains(&left), "{left}");
}

#[test]
fn access_keys_and_devices() {
    let aws = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET).iam_only_with_mfa();
        world.user("bob");
        world.user("carol").may(&["iam:List*"]);
    })
    .unwrap();
    let mut boto = Boto::start(&aws);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| Credentials::of(&aws, user));
    in_a_step(&aws);

    // Policies.
    boto.refuses(
        &carol,
        "iam.create_access_key",
        &json!({}),
        "AccessDenied: User: arn:aws:iam::123456789012:user/carol",
    );
    boto.takes(&carol, "iam.list_access_keys", &json!({}));
    boto.refuses(&alice, "iam.create_access_key", &json!({}), "AccessDenied: ");
    assert!(aws.requests().last().unwrap().code == "AccessDenied");
    boto.takes(&alice, "iam.list_mfa_devices", &json!({}));
    let session = Credentials::made(&boto.takes(&alice, SESSION, &with_code(&aws, 0)));
    boto.takes(&session, "iam.list_access_keys", &json!({ "UserName": "alice" }));
    boto.refuses(&session, "iam.list_access_keys", &json!({}), "ValidationError: Must specify userName");

    // Keys: two at most, good at once unless they are slow, good for nothing once they are inactive or gone.
    aws.slow_keys(2, Duration::ZERO);
    let made = boto.takes(&bob, "iam.create_access_key", &json!({}))["AccessKey"].take();
    let part = |name: &str| made[name].as_str().unwrap().to_owned();
    let new = Credentials { id: part("AccessKeyId"), secret: part("SecretAccessKey"), token: None };
    boto.refuses(&new, WHO, &json!({}), INVALID);
    boto.refuses(&new, WHO, &json!({}), INVALID);
    boto.takes(&new, WHO, &json!({}));
    boto.refuses(
        &bob,
        "iam.create_access_key",
        &json!({}),
        "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2",
    );
    let update = |id: &str, status: &str| json!({ "AccessKeyId": id, "Status": status });
    boto.takes(&new, "iam.update_access_key", &update(&bob.id, "Inactive"));
    boto.refuses(&bob, WHO, &json!({}), INVALID);
    boto.takes(&new, "iam.update_access_key", &update(&bob.id, "Active"));
    boto.takes(&bob, WHO, &json!({}));
    boto.refuses(&bob, "iam.delete_access_key", &json!({ "AccessKeyId": alice.id }), "NoSuchEntity: ");
    let used = boto.takes(&bob, "iam.get_access_key_last_used", &json!({ "AccessKeyId": new.id }));
    assert_eq!(
        (used["UserName"].as_str(), used["AccessKeyLastUsed"]["ServiceName"].as_str()),
        (Some("bob"), Some("iam"))
    );
    aws.page(1);
    let page = boto.takes(&bob, "iam.list_access_keys", &json!({}));
    assert_eq!((page["IsTruncated"].as_bool(), page["Marker"].as_str()), (Some(true), Some("1")));
    let page = boto.takes(&bob, "iam.list_access_keys", &json!({ "Marker": "1" }));
    assert_eq!(page["AccessKeyMetadata"][0]["AccessKeyId"], new.id.as_str());
    boto.takes(&bob, "iam.delete_access_key", &json!({ "AccessKeyId": new.id }));
    boto.refuses(&new, WHO, &json!({}), INVALID);

    // Devices.
    let named = json!({ "VirtualMFADeviceName": "bob" });
    let device = boto.takes(&bob, "iam.create_virtual_mfa_device", &named)["VirtualMFADevice"].take();
    boto.refuses(&bob, "iam.create_virtual_mfa_device", &named, "EntityAlreadyExists: ");
    let serial = device["SerialNumber"].as_str().unwrap().to_owned();
    assert_eq!(serial, StandIn::serial("bob"));
    let known = aws.all_devices().into_iter().find(|device| device.serial == serial).unwrap();
    // boto3 undoes the base64.
    assert_eq!(
        (device["Base32StringSeed"].as_str(), &known.user),
        (Some(format!("b'{}'", known.base32).as_str()), &None)
    );
    let codes = |first: i64, second: i64| {
        let code = |steps| aws.code(&serial, steps);
        json!({ "UserName": "bob", "SerialNumber": serial, "AuthenticationCode1": code(first), "AuthenticationCode2": code(second) })
    };
    let bad = "InvalidAuthenticationCode: Authentication code for device is not valid.";
    boto.refuses(&bob, "iam.enable_mfa_device", &codes(0, 0), bad);
    boto.refuses(&bob, "iam.enable_mfa_device", &codes(0, -1), bad);
    boto.refuses(&bob, "iam.enable_mfa_device", &codes(5, 6), bad);
    boto.takes(&bob, "iam.enable_mfa_device", &codes(-1, 0));
    let mfa = json!({ "SerialNumber": serial, "TokenCode": aws.code(&serial, 0) });
    boto.refuses(&bob, SESSION, &mfa, WRONG_CODE);
    boto.refuses(&bob, "iam.enable_mfa_device", &codes(0, 1), "EntityAlreadyExists: ");
    boto.refuses(
        &bob,
        "iam.delete_virtual_mfa_device",
        &json!({ "SerialNumber": serial }),
        "DeleteConflict: ",
    );
    let listed = boto.takes(&bob, "iam.list_mfa_devices", &json!({}));
    assert_eq!(listed["MFADevices"][0]["SerialNumber"], serial.as_str());

    // Its clock is set by two codes in a row.
    aws.drift(&serial, 20);
    let late = json!({ "SerialNumber": serial, "TokenCode": aws.code(&serial, -20) });
    boto.refuses(&bob, SESSION, &late, WRONG_CODE);
    aws.forget_codes();
    boto.refuses(&bob, "iam.resync_mfa_device", &codes(-20, -21), bad);
    boto.takes(&bob, "iam.resync_mfa_device", &codes(-21, -20));
    let next = json!({ "SerialNumber": serial, "TokenCode": aws.code(&serial, 1) });
    boto.takes(&bob, SESSION, &next);
    let of_bob = json!({ "UserName": "bob", "SerialNumber": serial });
    boto.takes(&bob, "iam.deactivate_mfa_device", &of_bob);
    boto.refuses(&bob, "iam.deactivate_mfa_device", &of_bob, "NoSuchEntity: ");
    let unassigned =
        boto.takes(&bob, "iam.list_virtual_mfa_devices", &json!({ "AssignmentStatus": "Unassigned" }));
    assert_eq!(unassigned["VirtualMFADevices"].as_array().unwrap().len(), 1);
    boto.takes(&bob, "iam.delete_virtual_mfa_device", &json!({ "SerialNumber": serial }));
    assert!(aws.devices("bob").is_empty() && aws.all_devices().len() == 1);
}

#[test]
fn faults() {
    let aws = StandIn::start(|world| {
        world.user("alice");
    })
    .unwrap();
    let mut boto = Boto::start(&aws);
    let alice = Credentials::of(&aws, "alice");
    for (fault, said) in [
        (Fault::Throttle, "Throttling: Rate exceeded"),
        (Fault::InternalError, "InternalFailure: "),
        (
            Fault::Status(409, "EntityTemporarilyUnmodifiable", "later"),
            "EntityTemporarilyUnmodifiable: later",
        ),
        (Fault::HangUpBefore, "ConnectionClosedError: "),
        (Fault::HangUpAfter, "ConnectionClosedError: "),
        (Fault::Garbage, "ResponseParserError: "),
    ] {
        let is_done = matches!(fault, Fault::HangUpAfter);
        aws.fail_next("GetCallerIdentity", 1, fault.clone());
        boto.refuses(&alice, WHO, &json!({}), said);
        assert_eq!(aws.requests().last().unwrap().is_done(), is_done, "{fault:?}");
    }
    // A client that tries again gets through; the fault of another action is not its own.
    aws.fail_next("CreateAccessKey", 1, Fault::InternalError);
    aws.fail_next("GetCallerIdentity", 1, Fault::Throttle);
    let before = aws.calls("GetCallerIdentity");
    boto.ask(&alice, WHO, &json!({}), &json!({ "attempts": 2 })).unwrap();
    assert_eq!(aws.calls("GetCallerIdentity"), before + 2);
    aws.fail_no_more();
    boto.takes(&alice, "iam.create_access_key", &json!({}));

    let start = Instant::now();
    aws.fail_next("GetCallerIdentity", 1, Fault::SlowAnswer(Duration::from_millis(300)));
    boto.takes(&alice, WHO, &json!({}));
    assert!(start.elapsed() >= Duration::from_millis(300));
    aws.fail_next("GetCallerIdentity", 1, Fault::HalfOpen);
    boto.refuses(&alice, WHO, &json!({}), "ReadTimeoutError: ");

    let port: u16 = aws.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    drop(aws);
    keyfob_tests::poll("the end", || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(())).unwrap();
}

#[test]
fn the_console_takes_sessions_of_roles() {
    let aws = StandIn::start(|world| {
        world.user("alice");
        world.role("ops");
    })
    .unwrap();
    let mut boto = Boto::start(&aws);
    let alice = Credentials::of(&aws, "alice");
    let ops = Credentials::made(&boto.takes(&alice, ASSUME, &role("ops", &json!({}))));
    let own = Credentials::made(&boto.takes(&alice, SESSION, &json!({})));
    let named = json!({ "Name": "al" });
    let federated = boto.takes(&alice, "sts.get_federation_token", &named);
    assert_eq!(federated["FederatedUser"]["Arn"], "arn:aws:sts::123456789012:federated-user/al");
    let federated = Credentials::made(&federated);
    boto.refuses(&federated, "iam.get_user", &json!({}), INVALID);

    let port: u16 = aws.endpoint().rsplit(':').next().unwrap().parse().unwrap();
    let token = |who: &Credentials, more: &str| {
        let session = json!({ "sessionId": who.id, "sessionKey": who.secret, "sessionToken": who.token });
        let mut url = url::Url::parse(&aws.federation()).unwrap();
        url.query_pairs_mut()
            .append_pair("Action", "getSigninToken")
            .append_pair("Session", &session.to_string());
        let answer = http::send(port, "GET", &format!("{url}{more}"), &[], b"").unwrap();
        let token = serde_json::from_slice::<Value>(&answer.body).ok();
        (answer.status, token.and_then(|token| token["SigninToken"].as_str().map(str::to_owned)))
    };
    assert_eq!(token(&own, ""), (400, None));
    assert_eq!(token(&Credentials { secret: own.secret.clone(), ..ops.clone() }, ""), (400, None));
    assert_eq!(token(&federated, "&SessionDuration=1800"), (400, None));
    assert_eq!(token(&ops, "&SessionDuration=60"), (400, None));
    assert_eq!(token(&federated, "").0, 200);
    let (status, good) = token(&ops, "&SessionDuration=43200");
    assert_eq!(status, 200);
    let login = |token: &str| {
        let url = format!(
            "{}?Action=login&Issuer=&Destination=https%3A%2F%2Fconsole.aws.amazon.com%2F&SigninToken={token}",
            aws.federation()
        );
        http::send(port, "GET", &url, &[], b"").unwrap()
    };
    let answer = login(&good.unwrap());
    assert_eq!((answer.status, answer.header("location")), (302, "https://console.aws.amazon.com/"));
    assert_eq!(login("another").status, 400);
}

/// With moto behind it, both must agree.
#[test]
fn moto_agrees() {
    let aws = StandIn::start(|world| {
        world.moto().user("alice").device("alice", SECRET).may(&["iam:*", "sts:*"]);
        world.user("carol").may(&["iam:ListAccessKeys"]);
    })
    .unwrap();
    let mut boto = Boto::start(&aws);
    let [alice, carol] = ["alice", "carol"].map(|user| Credentials::of(&aws, user));
    boto.takes(&carol, WHO, &json!({}));
    boto.refuses(&carol, "iam.create_access_key", &json!({}), "AccessDenied: ");
    let made = boto.takes(&alice, "iam.create_access_key", &json!({}));
    let new = made["AccessKey"]["AccessKeyId"].as_str().unwrap();
    assert!(aws.keys("alice").iter().any(|key| key.id == new));
    in_a_step(&aws);
    let session = Credentials::made(&boto.takes(&alice, SESSION, &with_code(&aws, 0)));
    boto.takes(&session, "iam.delete_access_key", &json!({ "UserName": "alice", "AccessKeyId": new }));
    assert_eq!(aws.keys("alice").len(), 1);
}

/// Keyfob's own signatures, by the key, are taken.
#[test]
fn keyfob_gets_in() {
    let aws = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
    })
    .unwrap();
    let mut home = Home::with_software_key().unwrap();
    aws.configure(&mut home);
    aws.put_on_key(&home, "alice").unwrap();
    let who = home.succeed(&["--json", "aws", "whoami"], "").unwrap();
    let who: Value = serde_json::from_str(&who).unwrap();
    assert_eq!(who["arn"], "arn:aws:iam::123456789012:user/alice");
    let code = home.succeed(&["code", &StandIn::serial("alice")], "").unwrap();
    let serial = StandIn::serial("alice");
    let near = [-1, 0, 1].map(|steps| aws.code(&serial, steps));
    assert!(near.contains(&code.trim().to_owned()), "{code} {near:?}");
    let request = aws.requests().pop().unwrap();
    assert_eq!((request.verified, request.region.as_str()), (true, "eu-west-1"));
}
