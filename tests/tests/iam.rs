//! IAM's calls, by servers that are not ours: moto, which verifies signatures and policies, and the tests' own AWS for lists of
//! several pages.

use keyfob::aws_call::Refused;
use keyfob::http::Http;
use keyfob::iam::{Iam, Status, code};
use keyfob::profile::Endpoint;
use keyfob::signing::{Ask, Credentials, Session};
use keyfob_core::message::{Answer, ErrorCode, Failure, Op};
use keyfob_core::secret::Secret;
use keyfob_tests::moto::{Moto, User};
use keyfob_tests::stand_in::StandIn;

/// Temporary credentials, and those that are given, sign without a key.
struct Nobody;

impl Ask for Nobody {
    fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
        panic!("{op:?} is asked of a key");
    }
}

fn given(access_key_id: &str, secret: &str) -> Credentials {
    Credentials::Session(Session {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: Secret::from(secret.to_owned()),
        session_token: None,
        expires_at: None,
    })
}

fn of_user(user: &User) -> Credentials {
    given(&user.access_key_id, &user.secret_access_key)
}

fn at(url: String) -> Endpoint {
    Endpoint { url, region: "us-east-1".to_owned() }
}

#[track_caller]
fn code_of<T: std::fmt::Debug>(result: Result<T, Refused>) -> String {
    let refused = result.unwrap_err();
    assert_eq!(refused.failure.code, ErrorCode::AwsRefused, "{refused:?}");
    refused.code
}

#[test]
fn access_keys_and_devices_by_moto() {
    let moto = Moto::start(&[("alice", &["iam:*"]), ("bob", &["iam:GetUser"])]).unwrap();
    let http = Http::new().unwrap();
    let endpoint = at(moto.endpoint());
    let [alice, bob] = [0, 1].map(|n| of_user(&moto.users()[n]));
    let first = moto.users()[0].access_key_id.clone();
    let iam = Iam { http: &http, endpoint: &endpoint, credentials: &alice };
    let ask = &mut Nobody;
    let me = Some("alice");

    let user = iam.user(ask, me).unwrap();
    assert_eq!((user.name.as_str(), user.arn.ends_with(":user/alice")), ("alice", true));
    assert_eq!(code_of(iam.user(ask, Some("nobody"))), code::NONE);

    let made = iam.create_access_key(ask, me).unwrap();
    assert_eq!(made.user, "alice");
    assert!(!format!("{made:?}").contains(&made.secret_access_key.0));
    assert_eq!(code_of(iam.create_access_key(ask, me)), code::LIMIT);
    // It signs.
    let new = given(&made.access_key_id, &made.secret_access_key.0);
    let by_new = Iam { credentials: &new, ..iam };
    assert_eq!(by_new.user(ask, me).unwrap(), user);
    let keys = iam.list_access_keys(ask, me).unwrap();
    let mut ids: Vec<_> = keys.iter().map(|key| (key.access_key_id.as_str(), key.status)).collect();
    ids.sort_unstable_by_key(|(id, _)| *id != first);
    assert_eq!(ids, [(first.as_str(), Status::Active), (made.access_key_id.as_str(), Status::Active)]);
    assert!(keys.iter().all(|key| key.created.is_some()));
    assert_eq!(by_new.access_key_last_used(ask, &made.access_key_id).unwrap().user, "alice");

    by_new.update_access_key(ask, me, &first, Status::Inactive).unwrap();
    let status = |id: &str| {
        let keys = by_new.list_access_keys(&mut Nobody, me).unwrap();
        keys.into_iter().find(|key| key.access_key_id == id).map(|key| key.status)
    };
    assert_eq!((status(&first), status(&made.access_key_id)), (Some(Status::Inactive), Some(Status::Active)));
    by_new.update_access_key(ask, me, &first, Status::Active).unwrap();
    by_new.delete_access_key(ask, me, &first).unwrap();
    assert_eq!(status(&first), None);
    assert_eq!(code_of(by_new.delete_access_key(ask, me, &first)), code::NONE);

    let device = by_new.create_virtual_mfa_device(ask, "d").unwrap();
    assert!(device.serial.ends_with(":mfa/d") && device.seed.0.len() >= 32, "{device:?}");
    assert!(!format!("{device:?}").contains(&device.seed.0));
    assert_eq!(code_of(by_new.create_virtual_mfa_device(ask, "d")), code::EXISTS);
    assert_eq!(by_new.list_mfa_devices(ask, me).unwrap(), []);
    by_new.enable_mfa_device(ask, "alice", &device.serial, ("123456", "654321")).unwrap();
    let devices = by_new.list_mfa_devices(ask, me).unwrap();
    assert_eq!((devices.len(), devices[0].serial == device.serial), (1, true));
    by_new.deactivate_mfa_device(ask, "alice", &device.serial).unwrap();
    by_new.delete_virtual_mfa_device(ask, &device.serial).unwrap();
    assert_eq!(code_of(by_new.delete_virtual_mfa_device(ask, &device.serial)), code::NONE);

    // What the policies do not allow.
    let by_bob = Iam { credentials: &bob, ..iam };
    let refused = by_bob.create_access_key(ask, Some("bob")).unwrap_err();
    assert!(code::DENIED.contains(&refused.code.as_str()), "{refused:?}");
    assert!(refused.failure.hint.unwrap().contains("iam:CreateAccessKey"));
}

#[test]
fn lists_are_read_to_their_end() {
    let aws = StandIn::start(|world| {
        let user = world.user("alice");
        for n in 0..5 {
            user.device(&format!("d{n}"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        }
    })
    .unwrap();
    aws.page(2);
    let http = Http::new().unwrap();
    let endpoint = at(aws.endpoint());
    let key = aws.key("alice").unwrap();
    let credentials = given(&key.id, &key.secret);
    let iam = Iam { http: &http, endpoint: &endpoint, credentials: &credentials };
    let devices = iam.list_mfa_devices(&mut Nobody, None).unwrap();
    let mut serials: Vec<_> = devices.iter().map(|device| device.serial.clone()).collect();
    serials.sort_unstable();
    assert_eq!(serials, [0, 1, 2, 3, 4].map(|n| StandIn::serial(&format!("d{n}"))));
    assert!(devices.iter().all(|device| device.user == "alice"));
    assert_eq!(aws.calls("ListMFADevices"), 3);
    assert_eq!(iam.list_access_keys(&mut Nobody, None).unwrap().len(), 1);
}
