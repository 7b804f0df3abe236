//! Programs of every kind with the credentials of a profile: handed over by `exec`, by `env`, by `credential-process`. Each then
//! makes a call that the server verifies.

use std::fs;
use std::process::Command;

use keyfob_tests::home::{Home, Told, told};
use keyfob_tests::stand_in::StandIn;
use keyfob_tests::{sdk_client, tool};
use serde_json::Value;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// Asks whose credentials it has, with botocore.
const BOTO3: &str = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])";

struct Fixture {
    server: StandIn,
    home: Home,
}

/// A user whose access key and MFA device are on the key, profiles that begin with them, and `tool`, which AWS's tools use.
fn fixture() -> Fixture {
    let server = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
        world.role("ops").needs_mfa();
    })
    .unwrap();
    let mut home = Home::with_software_key().unwrap();
    server.configure(&mut home);
    server.put_on_key(&home, "alice").unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    let (id, role, mfa) =
        (server.key("alice").unwrap().id, StandIn::role_arn("ops"), StandIn::serial("alice"));
    let keyfob = tool("KEYFOB_BIN").unwrap();
    let config = format!(
        "[profile alice]\nkeyfob_access_key_id = {id}\nkeyfob_mfa_serial = {mfa}\nregion = eu-central-1\n\
         [profile ops]\nrole_arn = {role}\nsource_profile = alice\nmfa_serial = {mfa}\n\
         [profile tool]\ncredential_process = {keyfob} credential-process tool\nkeyfob_role_arn = {role}\n\
         keyfob_source_profile = alice\nkeyfob_mfa_serial = {mfa}\nregion = eu-west-1\n",
        keyfob = keyfob.display(),
    );
    home.write(".aws/config", &config).unwrap();
    Fixture { server, home }
}

impl Fixture {
    #[track_caller]
    fn run(&self, args: &[&str]) -> Told {
        self.home.told(args).unwrap()
    }

    /// What the programs of this home are, by their names.
    fn clients(&self) -> [(&'static str, Command); 3] {
        let mut aws = self.home.command(tool("KEYFOB_AWS").unwrap());
        // Older ones read no AWS_ENDPOINT_URL.
        aws.args(["sts", "get-caller-identity", "--query", "Arn", "--output", "text"]);
        aws.args(["--endpoint-url", &self.server.endpoint()]);
        let mut python = self.home.command(tool("KEYFOB_PYTHON").unwrap());
        python.args(["-c", BOTO3]);
        let (program, arguments, (name, value)) = sdk_client::program().unwrap();
        let mut rust = self.home.command(program);
        rust.args(arguments).env(name, value);
        [("the AWS CLI", aws), ("boto3", python), ("the SDK for Rust", rust)]
    }
}

/// One of the programs, when it is started as that.
#[test]
fn sdk_client() {
    sdk_client::client().unwrap();
}

#[test]
fn every_tool_gets_them_by_a_credential_process() {
    let fixture = fixture();
    for (name, mut client) in fixture.clients() {
        let (code, out, err) = told(&client.env("AWS_PROFILE", "tool").output().unwrap()).unwrap();
        assert_eq!(code, Some(0), "{name}: {err}");
        assert!(out.contains(":assumed-role/ops/keyfob-"), "{name}: {out}");
    }
    // All with one session of the user's, and one of the role.
    assert_eq!(fixture.server.calls("GetSessionToken"), 1);
    assert_eq!(fixture.server.calls("AssumeRole"), 1);
    assert_eq!(
        fixture.server.requests_of("GetCallerIdentity").iter().filter(|call| call.verified).count(),
        3
    );
    // And nothing else but what such a process prints.
    let (code, out, err) = fixture.run(&["credential-process", "tool"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(printed["Version"], 1);
    assert_eq!(printed["AccountId"], keyfob_tests::stand_in::ACCOUNT);
    assert!(printed["Expiration"].as_str().unwrap().ends_with('Z'), "{printed}");
    assert_eq!(printed.as_object().unwrap().len(), 6);
}

#[test]
fn every_tool_gets_them_by_exec() {
    let fixture = fixture();
    for (name, client) in fixture.clients() {
        let mut exec = fixture.home.keyfob().unwrap();
        // What was there before does not come in between.
        exec.env("AWS_PROFILE", "nonsense").env("AWS_SESSION_TOKEN", "old").env("AWS_SECURITY_TOKEN", "old");
        exec.args(["exec", "ops", "--"]).arg(client.get_program()).args(client.get_args());
        let (variable, value) = sdk_client::program().unwrap().2;
        exec.env(variable, value);
        let (code, out, err) = told(&exec.output().unwrap()).unwrap();
        assert_eq!(code, Some(0), "{name}: {err}");
        assert!(out.contains(":assumed-role/ops/keyfob-"), "{name}: {out}");
    }
    let (_, env, _) = fixture.run(&["exec", "alice", "--", "env"]);
    let value = |name: &str| {
        env.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    assert!(value("AWS_ACCESS_KEY_ID").unwrap().starts_with("ASIA"));
    assert_eq!(value("AWS_PROFILE"), None);
    // The home's AWS_REGION comes before the profile's, as for every tool.
    assert_eq!(value("AWS_REGION").as_deref(), Some("eu-west-1"));
    assert_eq!(value("AWS_DEFAULT_REGION").as_deref(), Some("eu-west-1"));
    assert_eq!(value("AWS_ACCOUNT_ID").as_deref(), Some(keyfob_tests::stand_in::ACCOUNT));
    assert!(value("AWS_CREDENTIAL_EXPIRATION").unwrap().ends_with('Z'));
}

#[test]
fn a_program_is_run_as_by_its_own_name() {
    let fixture = fixture();
    // Its exit code, also that of a signal; its input; a pipe that is closed ends it.
    assert_eq!(fixture.run(&["exec", "alice", "--", "sh", "-c", "exit 42"]).0, Some(42));
    let output = fixture.home.run(&["exec", "alice", "--", "sh", "-c", "kill -TERM $$"], "").unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(15));
    let output = fixture.home.run(&["exec", "alice", "--", "cat"], "as it came").unwrap();
    assert_eq!(told(&output).unwrap().1, "as it came");
    assert_eq!(fixture.run(&["exec", "alice", "--", "sh", "-c", "yes | head -1"]).1, "y\n");
    // Options of its own are its own.
    assert_eq!(fixture.run(&["exec", "alice", "--", "echo", "--help", "-k", "x"]).1, "--help -k x\n");
    // The limit of cores is what it was.
    let limit = |command: &mut Command| told(&command.output().unwrap()).unwrap().1;
    let mut keyfob = fixture.home.keyfob().unwrap();
    keyfob.args(["exec", "alice", "--", "sh", "-c", "ulimit -c; ulimit -H -c"]);
    let mut shell = fixture.home.command("sh");
    assert_eq!(limit(&mut keyfob), limit(shell.args(["-c", "ulimit -c; ulimit -H -c"])));
    // One that is not there, and one that is none.
    let (code, out, err) = fixture.run(&["exec", "alice", "--", "no-such-program"]);
    assert!(
        (code, out.as_str()) == (Some(127), "") && err.contains("there is no program no-such-program"),
        "{err}"
    );
    let (code, _, err) = fixture.run(&["exec", "alice", "--", "/"]);
    assert!(code == Some(126) && err.contains("cannot run /"), "{err}");
    // Nothing is run without credentials.
    let (code, out, err) = fixture.run(&["exec", "no-such-profile", "--", "echo", "run"]);
    assert!((code, out.as_str()) == (Some(7), "") && err.contains("no-such-profile"), "{err}");
    assert_eq!(fixture.run(&["exec", "alice"]).0, Some(2));
    let mut keyfob = fixture.home.keyfob().unwrap();
    let (code, _, err) =
        told(&keyfob.args(["exec", "--", "true"]).env("AWS_PROFILE", "").output().unwrap()).unwrap();
    assert!(code == Some(2) && err.contains("has no name"), "{err}");
}

#[test]
fn shells_and_files_get_them_by_env() {
    let fixture = fixture();
    let keyfob = tool("KEYFOB_BIN").unwrap();
    let whoami = format!("'{}' -c \"{BOTO3}\"", tool("KEYFOB_PYTHON").unwrap().display());
    for shell in ["sh", "bash"] {
        let script = format!("eval \"$('{}' env ops)\" && {whoami}", keyfob.display());
        let mut command = fixture.home.command(shell);
        let (code, out, err) =
            told(&command.args(["-c", &script]).env("AWS_PROFILE", "nonsense").output().unwrap()).unwrap();
        assert_eq!(code, Some(0), "{shell}: {err}");
        assert!(out.contains(":assumed-role/ops/"), "{shell}: {out}");
        assert!(err.contains("Good for 59 min") || err.contains("Good for 1 h"), "{shell}: {err}");
    }
    let (code, json, _) = fixture.run(&["--json", "env", "ops"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(code == Some(0) && json["AWS_SESSION_TOKEN"].is_string(), "{json}");
    // AWS's own tools read the section.
    let (_, section, _) = fixture.run(&["env", "ops", "--format", "ini"]);
    let file = fixture.home.write("section", &section).unwrap();
    let mut python = fixture.home.command(tool("KEYFOB_PYTHON").unwrap());
    python.args(["-c", BOTO3]).env("AWS_SHARED_CREDENTIALS_FILE", file).env("AWS_PROFILE", "ops");
    python.env("AWS_CONFIG_FILE", "/dev/null");
    let (code, out, err) = told(&python.output().unwrap()).unwrap();
    assert!(code == Some(0) && out.contains(":assumed-role/ops/"), "{err}");
    let (_, dotenv, _) = fixture.run(&["env", "ops", "--format", "dotenv", "-q"]);
    assert_eq!(
        dotenv.lines().next(),
        Some(format!("AWS_ACCESS_KEY_ID={}", json["AWS_ACCESS_KEY_ID"].as_str().unwrap())).as_deref()
    );
    for (format, first) in [("fish", "set -e "), ("powershell", "Remove-Item Env:")] {
        let (_, text, _) = fixture.run(&["env", "ops", "--format", format]);
        assert!(text.starts_with(first), "{format}: {text}");
    }
    // What wants JSON gets no lines of a shell, and nothing is printed where there is nothing.
    assert_eq!(fixture.run(&["--json", "env", "ops", "--format", "sh"]).0, Some(2));
    let (code, out, _) = fixture.run(&["env", "no-such-profile"]);
    assert_eq!((code, out.as_str()), (Some(7), ""));
}

#[test]
fn a_session_is_made_anew_where_that_is_asked_for() {
    let fixture = fixture();
    let id = |args: &[&str]| {
        let (code, out, err) = fixture.run(args);
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str::<Value>(&out).unwrap()["AccessKeyId"].as_str().unwrap().to_owned()
    };
    let first = id(&["credential-process", "ops"]);
    assert_eq!(id(&["credential-process", "ops"]), first);
    let (_, list, _) = fixture.run(&["--json", "sessions", "list"]);
    assert!(
        list.contains(&first) && list.contains("AssumeRole") && list.contains("GetSessionToken"),
        "{list}"
    );
    assert!(!list.contains("SecretAccessKey") && !list.contains("secret"), "{list}");
    assert_eq!(fixture.run(&["sessions", "clear", "ops"]).0, Some(0));
    let second = id(&["credential-process", "ops"]);
    assert_ne!(first, second);
    // Another time is another session.
    let (code, _, err) = fixture.run(&["credential-process", "ops", "--duration", "2h"]);
    assert!(code == Some(8) && err.contains("MaxSessionDuration"), "{err}");
    let (code, _, err) = fixture.run(&["credential-process", "ops", "--duration", "1m"]);
    assert!(code == Some(2) && err.contains("--duration"), "{err}");
}
