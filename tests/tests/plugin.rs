//! The configuration of awscli-plugin-yubikeytotp, as its readme has it, with this program in its place: profiles stay as they are.

use std::fs;

use keyfob_tests::home::{Home, Told, told};
use keyfob_tests::stand_in::StandIn;
use keyfob_tests::{terminal, tool};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

struct Fixture {
    server: StandIn,
    home: Home,
}

/// A user whose access key is in the credentials file, and whose MFA device is nowhere yet.
fn fixture() -> Fixture {
    fixture_in(Home::with_software_key().unwrap())
}

fn fixture_in(mut home: Home) -> Fixture {
    let server = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
        world.role("admin").needs_mfa();
    })
    .unwrap();
    server.configure(&mut home);
    fs::create_dir(home.path().join(".aws")).unwrap();
    let key = server.key("alice").unwrap();
    let (role, mfa) = (StandIn::role_arn("admin"), StandIn::serial("alice"));
    home.write(
        ".aws/credentials",
        &format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", key.id, key.secret),
    )
    .unwrap();
    home.write(
        ".aws/config",
        &format!(
            "[default]\nregion = eu-west-1\n\n\
             [profile myprofile]\nrole_arn = {role}\nmfa_serial = {mfa}\nsource_profile = default\n\n\
             [profile aliased]\nrole_arn = {role}\nmfa_serial = {mfa}\nmfa_alias = Work:me\nsource_profile = default\n\n\
             [profile plain]\nregion = eu-central-1\nsource_profile = default\nrole_arn = {}\n",
            StandIn::role_arn("open"),
        ),
    )
    .unwrap();
    Fixture { server, home }
}

impl Fixture {
    /// Who the AWS CLI is, as a profile of it, started by this program.
    fn whoami(&self, profile: &str) -> Told {
        let mut exec = self.home.keyfob().unwrap();
        exec.args(["exec", profile, "--"]).arg(tool("KEYFOB_AWS").unwrap());
        // Older ones read no AWS_ENDPOINT_URL.
        exec.args(["sts", "get-caller-identity", "--query", "Arn", "--output", "text"]);
        exec.args(["--endpoint-url", &self.server.endpoint()]);
        told(&exec.output().unwrap()).unwrap()
    }
}

#[test]
fn the_code_comes_from_the_key() {
    let fixture = fixture();
    fixture.home.succeed(&["oath", "add", &StandIn::serial("alice"), "--touch"], SECRET).unwrap();
    let (code, out, err) = fixture.whoami("myprofile");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains(":assumed-role/admin/"), "{out}");
    // One touch, and it says for what.
    assert_eq!(err.matches("Touch your key").count(), 1, "{err}");
    assert!(err.contains(&StandIn::serial("alice")), "{err}");
    // The next program needs none.
    let (code, _, err) = fixture.whoami("myprofile");
    assert_eq!((code, err.matches("Touch your key").count()), (Some(0), 0), "{err}");
    // `session-env` of the plugin: lines to export, and how long they are good.
    let output = fixture.home.run(&["env", "myprofile"], "").unwrap();
    let (lines, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(lines.contains("export AWS_SESSION_TOKEN='"), "{lines}");
    assert!(said.contains("Good for "), "{said}");
}

#[test]
fn an_alias_names_the_account() {
    let fixture = fixture();
    fixture.home.succeed(&["oath", "add", "Work:me"], SECRET).unwrap();
    // Under the device's own name it is another one's secret.
    fixture.home.succeed(&["oath", "add", &StandIn::serial("alice")], "MFRGGZDFMZTWQ2LK").unwrap();
    let (code, out, err) = fixture.whoami("aliased");
    assert!(code == Some(0) && out.contains(":assumed-role/admin/"), "{err}");
    let (code, _, err) = fixture.whoami("myprofile");
    // One session of the user's does for both: its MFA was shown.
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(fixture.server.calls("GetSessionToken"), 1);
}

#[test]
fn without_a_key_the_code_is_typed() {
    let fixture = fixture_in(Home::new().unwrap());
    let serial = StandIn::serial("alice");
    let mut keyfob = fixture.home.keyfob().unwrap();
    keyfob.args(["exec", "myprofile", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID"]);
    let typed = fixture.server.code(&serial, 0);
    let session = terminal::run(&keyfob, &[("Enter the MFA code", &typed)]).unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&session.output.stdout).into_owned(),
        String::from_utf8_lossy(&session.output.stderr).into_owned(),
    );
    assert!(session.output.status.success() && out.starts_with("ASIA"), "{err}{}", session.screen);
    assert!(session.screen.contains(&serial), "{}", session.screen);
    // What was typed is not shown.
    assert!(!session.screen.contains(&typed), "{}", session.screen);
    // Where nobody can be asked, it says what to do.
    fixture.home.succeed(&["sessions", "clear"], "").unwrap();
    let output = fixture.home.run(&["exec", "myprofile", "--", "true"], "").unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&serial) && said.contains("pcscd"), "{said}");
}

#[test]
fn profiles_without_mfa_are_left_alone() {
    let fixture = fixture();
    // Long-term credentials are handed on as they are: nobody asked for a session.
    let (code, out, err) = fixture.whoami("default");
    assert!(code == Some(0) && out.contains(":user/alice"), "{err}");
    assert_eq!(fixture.server.calls("GetSessionToken"), 0);
    let key = fixture.server.key("alice").unwrap().id;
    let lines = fixture.home.succeed(&["env", "default"], "").unwrap();
    assert!(lines.contains(&format!("export AWS_ACCESS_KEY_ID='{key}'")), "{lines}");
    assert!(lines.contains("unset AWS_SESSION_TOKEN"), "{lines}");
    // A role that wants no MFA is assumed without.
    let (_, _, err) = fixture.whoami("plain");
    assert!(err.contains("AWS refused") || err.contains("AccessDenied"), "{err}");
    assert_eq!((fixture.server.calls("AssumeRole"), fixture.server.calls("GetSessionToken")), (1, 0));
}
