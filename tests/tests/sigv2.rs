//! Signature Version 2: links against Ceph's gateway, equal to botocore's; identities of it, and those that exile's users have.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use keyfob_core::sigv2::{self, S3Request, When};
use keyfob_core::sigv4::AmzDate;
use keyfob_tests::ceph::Ceph;
use keyfob_tests::home::Home;
use keyfob_tests::http::{self, Answer};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::{botocore, tool};
use serde_json::{Value, json};
use sha1::Sha1;

const BUCKET: &str = "test-bucket";

#[track_caller]
fn add(home: &Home, options: &[&str]) {
    home.succeed(&[&["aws", "add", ACCESS_KEY_ID], options].concat(), SECRET_ACCESS_KEY).unwrap();
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A gateway, and a key with the secret of one of its users.
struct Fixture {
    server: Ceph,
    home: Home,
}

impl Fixture {
    fn new() -> Self {
        let server = Ceph::with_bucket(BUCKET).unwrap();
        let home = Home::with_software_key().unwrap();
        add(&home, &["--signature", "v2", "--no-touch"]);
        Self { server, home }
    }

    /// A PUT of a sub-resource of the bucket, signed in its headers.
    #[track_caller]
    fn put_signed(&self, parameter: &str, body: &[u8]) {
        let path = format!("/{BUCKET}");
        let date = AmzDate::from_unix(now()).unwrap().to_http_date();
        let request = S3Request {
            method: "PUT",
            bucket: "",
            path: &path,
            query: &[(parameter, None)],
            headers: &[],
            session_token: None,
        };
        let mut mac = Hmac::<Sha1>::new_from_slice(SECRET_ACCESS_KEY.as_bytes()).unwrap();
        mac.update(request.string_to_sign(When::Date(&date)).unwrap().as_bytes());
        let authorization = sigv2::authorization(ACCESS_KEY_ID, &mac.finalize().into_bytes().into());
        let headers = [("date", date.as_str()), ("authorization", &authorization)];
        let url = format!("{}{path}?{parameter}", self.server.endpoint());
        let answer = http::send(self.server.port(), "PUT", &url, &headers, body).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    #[track_caller]
    fn presign(&self, key: &str, options: &[&str]) -> String {
        self.presign_at(key, &[&["--endpoint", &self.server.endpoint()], options].concat())
    }

    #[track_caller]
    fn presign_at(&self, key: &str, options: &[&str]) -> String {
        let object = format!("s3://{BUCKET}/{key}");
        let args = [&["presign", &object, "--sigv2"], options].concat();
        self.home.succeed(&args, "").unwrap().trim().to_owned()
    }

    #[track_caller]
    fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::send(self.server.port(), method, url, headers, body).unwrap()
    }

    #[track_caller]
    fn get(&self, url: &str) -> Answer {
        self.send("GET", url, &[], b"")
    }
}

#[test]
fn a_gateway_takes_links_as_they_are_signed() {
    let fixture = Fixture::new();
    for key in
        ["plain.txt", "a b/ü+%~.txt", "a//b/./c", "!*'()&=?#;:@,$[]{}|^`\"<>", "日本語/🔑", "%20 and %2F"]
    {
        let content = format!("content of {key}");
        let put = fixture.presign(key, &["-X", "PUT"]);
        let answer = fixture.send("PUT", &put, &[], content.as_bytes());
        assert_eq!(answer.status, 200, "{put}: {}", answer.text());
        let get = fixture.presign(key, &[]);
        let answer = fixture.get(&get);
        assert_eq!((answer.status, answer.text()), (200, content), "{get}");
        // A link to fetch does not store.
        assert_eq!(fixture.send("PUT", &get, &[], b"other").status, 403, "{get}");
    }
    let head = fixture.presign("plain.txt", &["-X", "HEAD"]);
    assert_eq!(fixture.send("HEAD", &head, &[], b"").status, 200);

    // What it binds whoever uploads to.
    let options =
        ["-X", "PUT", "--content-type", "text/x-test", "--acl", "private", "--header", "x-amz-meta-a=b"];
    let put = fixture.presign("bound", &options);
    let status = |kind, meta| {
        let headers = [("content-type", kind), ("x-amz-acl", "private"), ("x-amz-meta-a", meta)];
        fixture.send("PUT", &put, &headers, b"content").status
    };
    assert_eq!(
        (status("text/html", "b"), status("text/x-test", "c"), status("text/x-test", "b")),
        (403, 403, 200)
    );
    assert_eq!(fixture.send("PUT", &put, &[], b"content").status, 403);

    // What the answer is to say, and sub-resources.
    let disposition = "attachment; filename=\"ü +.txt\"";
    let link = fixture.presign("bound", &["--response", &format!("content-disposition={disposition}")]);
    let answer = fixture.get(&link);
    assert_eq!((answer.status, answer.text().as_str()), (200, "content"), "{link}");
    assert_eq!(fixture.get(&link.replace("attachment", "inline")).status, 403);
    let acl = fixture.presign("bound", &["--query", "acl="]);
    let answer = fixture.get(&acl);
    assert!(
        answer.status == 200 && answer.text().contains("<AccessControlPolicy"),
        "{acl}: {}",
        answer.text()
    );
    assert_eq!(fixture.get(&acl.replace("?acl&", "?tagging&")).status, 403);

    // A list, whose parameters are not signed: that is said.
    let object = format!("s3://{BUCKET}/a");
    let endpoint = fixture.server.endpoint();
    let list = ["presign", &object, "--sigv2", "--list", "--endpoint", &endpoint];
    let output = fixture.home.run(&list, "").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("does not sign prefix: whoever has the link can change it"), "{said}");
    assert!(said.contains("It works until "), "{said}");
    let list = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let answer = fixture.get(&list);
    assert!(answer.status == 200 && answer.text().contains("<Key>a//b/./c</Key>"), "{}", answer.text());
    assert!(!answer.text().contains("plain.txt"), "{}", answer.text());

    // Versions.
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    fixture.put_signed("versioning", versioning.as_bytes());
    let put = fixture.presign("v", &["-X", "PUT"]);
    let versions = ["first", "second"].map(|content| {
        let answer = fixture.send("PUT", &put, &[], content.as_bytes());
        answer.header("x-amz-version-id").to_owned()
    });
    let first = fixture.presign("v", &["--version-id", &versions[0]]);
    assert_eq!(fixture.get(&first).text(), "first");
    assert_eq!(fixture.get(&fixture.presign("v", &[])).text(), "second");
    assert_eq!(fixture.get(&first.replace(&versions[0], &versions[1])).status, 403);

    // The bucket before the host, whose name is not signed, but the bucket is.
    let port = fixture.server.port();
    let domain = format!("http://{}:{port}", Ceph::DOMAIN);
    let hosted = fixture.presign_at("a b/ü+%~.txt", &["--endpoint", &domain, "--addressing", "virtual"]);
    assert!(hosted.starts_with(&format!("http://{BUCKET}.{}:{port}/a%20b/", Ceph::DOMAIN)), "{hosted}");
    assert_eq!(fixture.get(&hosted).text(), "content of a b/ü+%~.txt");

    let delete = fixture.presign("plain.txt", &["-X", "DELETE"]);
    assert_eq!(fixture.send("DELETE", &delete, &[], b"").status, 204);
    assert_eq!(fixture.get(&fixture.presign("plain.txt", &[])).status, 404);

    // Tried by the program itself.
    let check = |key: &str| {
        let object = format!("s3://{BUCKET}/{key}");
        let args = ["presign", &object, "--sigv2", "--check", "--endpoint", &endpoint];
        // Its end alone is signed: it works from now on.
        let later = (now() + 600).to_string();
        let output = fixture.home.run(&[&args[..], &["--at", &later]].concat(), "").unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = check("bound");
    assert!(code == 0 && said.contains("It was tried, and works: 7 bytes, text/x-test."), "{said}");
    let (code, said) = check("nothing");
    assert!(code == 8 && said.contains("NoSuchKey"), "{said}");
}

#[test]
fn a_link_is_refused_once_a_byte_is_changed_or_its_time_is_over() {
    let fixture = Fixture::new();
    for key in ["a b", "b b"] {
        assert_eq!(fixture.send("PUT", &fixture.presign(key, &["-X", "PUT"]), &[], b"content").status, 200);
    }
    let link = fixture.presign("a b", &[]);
    assert_eq!(fixture.get(&link).status, 200);
    #[track_caller]
    fn refused(fixture: &Fixture, link: &str) {
        let answer = fixture.get(link);
        assert!(matches!(answer.status, 400 | 403), "{link}: {} {}", answer.status, answer.text());
    }
    refused(&fixture, &link.replace("/a%20b?", "/b%20b?"));
    refused(&fixture, &link.replace("?AWS", "?acl&AWS"));
    refused(&fixture, &link.replace(ACCESS_KEY_ID, "AKIAIOSFODNN7EXAMPLF"));
    let (before, expires) = link.split_once("&Expires=").unwrap();
    refused(&fixture, &format!("{before}&Expires={}", expires.parse::<u64>().unwrap() + 1));
    refused(&fixture, before);
    // Every character of the signature but the last, whose last bits count for nothing (RFC 4648, section 3.5).
    let (before, rest) = link.split_once("&Signature=").unwrap();
    let (signature, after) = rest.split_once("%3D&").unwrap();
    for (at, byte) in signature.bytes().enumerate().take(signature.len() - 1) {
        if byte.is_ascii_alphanumeric() {
            let other = if byte == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &signature[..at], &signature[at + 1..]);
            // Not the digits of an encoded character.
            if !signature[..at].ends_with('%') && !signature[..at.saturating_sub(1)].ends_with('%') {
                refused(&fixture, &format!("{before}&Signature={changed}%3D&{after}"));
            }
        }
    }
    let at = |ago: u64, expires: &str| {
        fixture.get(&fixture.presign("a b", &["--at", &(now() - ago).to_string(), "-e", expires])).status
    };
    assert_eq!((at(60, "10m"), at(60, "50"), at(7 * 86_400 + 60, "7d")), (200, 403, 403));
}

#[test]
fn botocore_makes_the_same_links() {
    const TIME: u64 = 1_795_320_000;
    let home = Home::with_software_key().unwrap();
    add(&home, &["--signature", "v2", "--no-touch"]);
    let local = "http://127.0.0.1:9000";
    let get = |key: &str| json!({ "Bucket": BUCKET, "Key": key });
    let with = |name: &str, value: &str| {
        let mut parameters = get("a//../ü b");
        parameters[name] = value.into();
        parameters
    };
    let cases: [(&str, &[&str], &str, &str, Value); 12] = [
        ("k", &[], "path", "get_object", get("k")),
        ("a b/ü+%~!*'();:@&=,?#[]", &[], "path", "get_object", get("a b/ü+%~!*'();:@&=,?#[]")),
        ("a//../ü b", &["--version-id", "a+b/="], "path", "get_object", with("VersionId", "a+b/=")),
        (
            "a//../ü b",
            &["--response", "content-type=a/b; c"],
            "path",
            "get_object",
            with("ResponseContentType", "a/b; c"),
        ),
        (
            "a//../ü b",
            &["--response", "content-disposition=attachment; filename=\"ü +.txt\""],
            "path",
            "get_object",
            with("ResponseContentDisposition", "attachment; filename=\"ü +.txt\""),
        ),
        ("k", &["-X", "HEAD"], "path", "head_object", get("k")),
        ("k", &["-X", "PUT"], "path", "put_object", get("k")),
        ("k", &["-X", "DELETE"], "path", "delete_object", get("k")),
        ("k", &["--query", "acl="], "path", "get_object_acl", get("k")),
        ("k", &["--query", "tagging="], "path", "get_object_tagging", get("k")),
        (
            "k",
            &["--addressing", "virtual", "--endpoint", "https://h.test"],
            "virtual",
            "get_object",
            get("k"),
        ),
        (
            "",
            &["--list", "--query", "max-keys=5", "--query", "encoding-type=url"],
            "path",
            "list_objects_v2",
            json!({ "Bucket": BUCKET, "MaxKeys": 5 }),
        ),
    ];
    let questions = cases.iter().map(|(_, _, addressing, operation, parameters)| {
        let endpoint = if *addressing == "virtual" { "https://h.test" } else { local };
        json!({
            "signature_version": "s3", "endpoint": endpoint, "region": "us-east-1", "addressing": addressing,
            "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY, "session_token": null,
            "time": TIME, "expires": 900, "operation": operation, "parameters": parameters,
        })
    });
    let answers = botocore::client(&questions.collect::<Vec<_>>()).unwrap();
    for ((key, options, _, _, _), theirs) in cases.iter().zip(answers) {
        let (object, at) = (format!("s3://{BUCKET}/{key}"), TIME.to_string());
        let fixed = ["presign", &object, "--sigv2", "--at", &at, "--expires", "900"];
        let endpoint = if options.contains(&"--endpoint") { &[][..] } else { &["--endpoint", local] };
        let ours = home.succeed(&[&fixed, endpoint, options].concat(), "").unwrap();
        // The order of what is not signed is the client's own, and so is that it sends a bucket without the slash at its
        // end, with which it signs it.
        let sorted = |link: &str| {
            let (path, query) = link.trim().split_once('?').unwrap();
            let mut query: Vec<_> = query.split('&').map(str::to_owned).collect();
            if options.contains(&"--list") {
                query.sort();
            }
            (path.trim_end_matches('/').to_owned(), query)
        };
        assert_eq!(sorted(&ours), sorted(theirs["url"].as_str().unwrap()), "{object}");
    }
}

#[test]
fn what_version_2_cannot_is_refused_with_its_reason() {
    let home = Home::with_software_key().unwrap();
    add(&home, &["--signature", "v2", "--no-touch"]);
    #[track_caller]
    fn check(home: &Home, object: &str, options: &[&str], code: i32, part: &str) {
        let fixed = ["--json", "presign", object, "--sigv2", "--region", "eu-west-1"];
        let output = home.run(&[&fixed, options].concat(), "").unwrap();
        let error: Value = serde_json::from_slice(&output.stderr).unwrap_or_default();
        let said = format!("{} {}", error["error"]["message"], error["error"]["hint"]);
        assert!(output.stdout.is_empty() && output.status.code() == Some(code), "{said}");
        assert!(said.contains(part), "{said}");
    }
    let aws = "AWS takes Signature Version 2 for no bucket made since June 2020";
    check(&home, "s3://test-bucket/k", &[], 2, aws);
    check(&home, "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/ap-1/k", &[], 2, aws);
    check(&home, "s3://b--euw1-az1--x-s3/k", &[], 2, aws);
    let vpc = ["--endpoint", "https://bucket.vpce-1a2b3c4d-5e6f.s3.eu-west-1.vpce.amazonaws.com"];
    check(&home, "s3://test-bucket/k", &vpc, 2, aws);
    let local = |options: &[&'static str]| [&["--endpoint", "http://127.0.0.1:9000"], options].concat();
    check(&home, "s3://test-bucket/", &local(&[]), 2, "the object key is empty");
    check(&home, "s3://test-bucket/k", &local(&["-e", "8d"]), 2, "604800");
    let unsigned = local(&["-X", "PUT", "--content-length", "7"]);
    check(&home, "s3://test-bucket/k", &unsigned, 2, "does not sign the header");
    // As much as a key takes at once, and a byte more: 217 bytes with the method, the end and the bucket.
    let room = 217 - "GET\n\n\n1795320900\n/test-bucket/".len();
    let at = local(&["--at", "1795320000", "-e", "900"]);
    let object = |len: usize| format!("s3://test-bucket/{}", "k".repeat(len));
    let fitting = ["presign", &object(room), "--sigv2"];
    home.succeed(&[&fitting[..], &at].concat(), "").unwrap();
    check(&home, &object(room + 1), &at, 2, "has 218 bytes, and the key takes 217 at once");
    home.write("session", r#"{"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t"}"#).unwrap();
    let session = local(&["--credentials", "session"]);
    let output =
        home.run(&[&["presign", "s3://test-bucket/k", "--sigv2"][..], &session].concat(), "").unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not for temporary credentials"), "{output:?}");
}

#[test]
fn a_secret_is_there_for_either_signature_or_both() {
    let home = Home::with_software_key().unwrap();
    let v2 = ["presign", "s3://test-bucket/k", "--sigv2", "--endpoint", "http://127.0.0.1:9000"];
    let v4 = ["presign", "s3://test-bucket/k", "--region", "eu-west-1"];
    #[track_caller]
    fn refused(home: &Home, args: &[&str], part: &str) {
        let output = home.run(args, "").unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(7) && output.stdout.is_empty() && said.contains(part), "{said}");
    }
    let info = |home: &Home| {
        let info: Value = serde_json::from_str(&home.succeed(&["--json", "info"], "").unwrap()).unwrap();
        (info["identities"].as_u64().unwrap(), info["used"].as_u64().unwrap())
    };
    let identity = ["--identity", ACCESS_KEY_ID];

    add(&home, &["--signature", "v2", "--no-touch"]);
    assert_eq!(
        home.succeed(&["aws", "identities"], "").unwrap(),
        format!("{ACCESS_KEY_ID}  HmacV1  no touch\n")
    );
    home.succeed(&v2, "").unwrap();
    refused(&home, &v4, "are there for Signature Version 2 only");
    refused(&home, &[&v4[..], &identity].concat(), "for Signature Version 2 only, not for SigV4");
    assert_eq!(info(&home), (1, 1));

    // The other one beside it; what is there is not replaced unasked.
    add(&home, &["--no-touch"]);
    assert_eq!(info(&home), (2, 2));
    for args in [&v2[..], &v4] {
        home.succeed(args, "").unwrap();
    }
    let again = ["aws", "add", ACCESS_KEY_ID, "--no-touch", "--signature", "v2"];
    assert_eq!(home.run(&again, "another secret/").unwrap().status.code(), Some(2));
    assert_eq!(home.run(&again, "anothersecret").unwrap().status.code(), Some(1));
    let listed: Value =
        serde_json::from_str(&home.succeed(&["--json", "aws", "identities"], "").unwrap()).unwrap();
    let mut signatures: Vec<_> =
        listed["identities"].as_array().unwrap().iter().map(|i| i["signature"].as_str().unwrap()).collect();
    signatures.sort_unstable();
    assert_eq!(signatures.len(), 2);
    // Neither is an account.
    assert_eq!(home.succeed(&["oath", "list"], "").unwrap(), "");
    assert_eq!(home.succeed(&["code"], "").unwrap(), "");
    for name in ["exile-AKIAIOSFODNN7EXAMPLE-HmacV1", ACCESS_KEY_ID] {
        assert_eq!(home.run(&["oath", "hmac", name, "00"], "").unwrap().status.code(), Some(7), "{name}");
        assert_eq!(
            home.run(&["oath", "delete", "--force", name], "").unwrap().status.code(),
            Some(7),
            "{name}"
        );
    }

    // Deleted in every form.
    home.succeed(&["aws", "delete", "--force", ACCESS_KEY_ID], "").unwrap();
    assert_eq!(info(&home), (0, 0));
    refused(&home, &v2, "there is no AWS access key for Signature Version 2 on this key");
    add(&home, &["--no-touch"]);
    refused(&home, &v2, "`keyfob aws add --signature v2");
    refused(&home, &[&v2[..], &identity].concat(), "for SigV4 only, not for Signature Version 2");
}

/// What exile's users have on their keys, put there as exile says: by ykman.
#[test]
fn names_of_exile_are_read() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    home.succeed(&["soft", "create", "demo"], "").unwrap();
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    // In base32: the secret itself, and behind `AWS4`.
    let (v2, v4) = (
        "O5FGC3DSLBKXI3SGIVGUSL2LG5GUIRKOI4XWEUDYKJTGSQ2ZIVMECTKQJRCUWRKZ",
        "IFLVGNDXJJQWY4SYKV2G4RSFJVES6SZXJVCEKTSHF5RFA6CSMZUUGWKFLBAU2UCMIVFUKWI=",
    );
    let ykman = |name: &str, algorithm: &str, secret: &str| {
        let mut command = home.command(tool("KEYFOB_YKMAN").unwrap());
        command.args(["--reader", &format!("{YUBIKEY_READER} 00 00"), "oath", "accounts"]);
        let output = command.args(["add", "--force", "--algorithm", algorithm, name, secret]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    ykman(&format!("exile-{ACCESS_KEY_ID}-HmacV1"), "SHA1", v2);
    ykman(&format!("exile-{ACCESS_KEY_ID}-SigV4"), "SHA256", v4);
    let listed = home.succeed(&["aws", "identities"], "").unwrap();
    assert!(listed.contains("HmacV1") && listed.contains("SigV4") && listed.lines().count() == 2, "{listed}");
    assert_eq!(home.succeed(&["oath", "list"], "").unwrap(), "");

    let soft = Home::with_software_key().unwrap();
    add(&soft, &["--signature", "both", "--no-touch"]);
    let at = ["--at", "2026-11-22T04:00:00Z"];
    for link in [
        &["presign", "s3://test-bucket/k", "--sigv2", "--endpoint", "http://127.0.0.1:9000"][..],
        &["presign", "s3://test-bucket/k", "--region", "eu-west-1"],
        &[
            "presign-post",
            "s3://test-bucket/k",
            "--sigv2",
            "--endpoint",
            "http://127.0.0.1:9000",
            "--format",
            "json",
        ],
        &["presign-post", "s3://test-bucket/k", "--region", "eu-west-1", "--format", "json"],
    ] {
        let args = [link, &at].concat();
        assert_eq!(home.succeed(&args, "").unwrap(), soft.succeed(&args, "").unwrap(), "{args:?}");
    }
    // One that is misnamed signs nothing wrong: what it calculates has another length.
    home.succeed(&["aws", "delete", "--force", ACCESS_KEY_ID], "").unwrap();
    ykman(&format!("exile-{ACCESS_KEY_ID}-HmacV1"), "SHA256", v2);
    let args = ["presign", "s3://test-bucket/k", "--sigv2", "--endpoint", "http://127.0.0.1:9000"];
    let output = home.run(&args, "").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("is not one for Signature Version 2"), "{said}");
}
