//! `keyfob login`: from a role's session to the console, without its URL in anybody's arguments.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use keyfob_tests::home::{Home, Told};
use keyfob_tests::stand_in::{Fault, StandIn};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

struct Fixture {
    server: StandIn,
    home: Home,
}

fn fixture() -> Fixture {
    let server = StandIn::start(|world| {
        world.user("alice").device("alice", SECRET);
        world.role("ops").needs_mfa().max_duration(12 * 3600);
    })
    .unwrap();
    let mut home = Home::with_software_key().unwrap();
    server.configure(&mut home);
    server.put_on_key(&home, "alice").unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    let config = format!(
        "[profile alice]\nkeyfob_access_key_id = {}\nkeyfob_mfa_serial = {mfa}\n\
         [profile ops]\nrole_arn = {}\nsource_profile = alice\nmfa_serial = {mfa}\n",
        server.key("alice").unwrap().id,
        StandIn::role_arn("ops"),
        mfa = StandIn::serial("alice"),
    );
    home.write(".aws/config", &config).unwrap();
    Fixture { server, home }
}

impl Fixture {
    fn run(&self, args: &[&str]) -> Told {
        self.home.told(args).unwrap()
    }

    /// Has this be the browser: a script of the shell, whose first argument is the address.
    fn browser(&mut self, script: &str) {
        let file = self.home.write("browser", &format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        self.home.set("BROWSER", file.to_str().unwrap());
    }
}

#[test]
fn the_url_is_printed_where_that_is_asked_for() {
    let fixture = fixture();
    let (code, out, err) = fixture.run(&["login", "ops", "--stdout", "--destination", "s3"]);
    assert_eq!(code, Some(0), "{err}");
    let url = out.trim();
    assert!(url.starts_with(&format!("{}?Action=login&", fixture.server.federation())), "{url}");
    let s3 = "Destination=https%3A%2F%2Feu-west-1.console.aws.amazon.com%2Fs3%2Fhome%3Fregion%3Deu-west-1";
    assert!(url.contains(s3), "{url}");
    // It is good: the server sends whoever has it on.
    let curl = fixture
        .home
        .command("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", url])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "302");
    // The session went in a body, and not in a URL.
    let asked = fixture.server.requests_of("getSigninToken");
    assert_eq!(asked.len(), 1);
    assert!(asked[0].get("Session").unwrap().contains("sessionToken"));
    assert_eq!(asked[0].get("SessionDuration"), None);
    // A role for longer, assumed directly, says how long the console is to last.
    let (code, _, err) = fixture.run(&["login", "ops", "--stdout", "--duration", "4h"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(fixture.server.requests_of("getSigninToken")[1].get("SessionDuration"), Some("14400"));
}

#[test]
fn the_browser_is_sent_there_once() {
    let mut fixture = fixture();
    // Asks twice, and says what it got and was given.
    fixture.browser(
        "echo \"$1\" > \"$HOME/address\"\ncurl -s -D \"$HOME/first\" -o /dev/null \"$1\"\ncurl -s -D \"$HOME/second\" \"$1\"\n",
    );
    let (code, out, err) = fixture.run(&["login", "ops"]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let read = |name: &str| {
        keyfob_tests::poll(name, || {
            fs::read_to_string(fixture.home.path().join(name)).ok().filter(|t| !t.is_empty())
        })
    };
    let (address, first) = (read("address").unwrap(), read("first").unwrap());
    // Nothing secret in the arguments of the browser.
    assert!(address.starts_with("http://127.0.0.1:") && !address.contains("SigninToken"), "{address}");
    assert!(first.starts_with("HTTP/1.1 302") && first.contains("SigninToken="), "{first}");
    assert!(first.to_lowercase().contains("referrer-policy: no-referrer"), "{first}");
    let second = fs::read_to_string(fixture.home.path().join("second")).unwrap_or_default();
    assert!(!second.contains("SigninToken"), "{second}");
}

#[test]
fn other_users_are_not_sent_there() {
    let mut fixture = fixture();
    // Another user can read the address in the arguments of the browser; that takes root to try. By either family of addresses.
    fixture.browser(
        "port=${1#http://127.0.0.1:}; port=${port%%/*}; mapped=\"http://[::ffff:127.0.0.1]:$port/${1##*/}\"\n\
         ask() { \"$@\" -gsD- -o /dev/null -H \"Host: 127.0.0.1:$port\"; }\n\
         if [ \"$(id -u)\" = 0 ]; then\n\
         other='setpriv --reuid=65534 --clear-groups curl'\n\
         ask $other \"$1\" > \"$HOME/other\"; ask $other \"$mapped\" >> \"$HOME/other\"\n\
         else printf 'HTTP/1.1 403\\nHTTP/1.1 403\\n' > \"$HOME/other\"\n\
         fi\n\
         ask curl \"$1\" > \"$HOME/own.new\"; mv \"$HOME/own.new\" \"$HOME/own\"\n",
    );
    let (code, _, err) = fixture.run(&["login", "ops"]);
    assert_eq!(code, Some(0), "{err}");
    let own = fixture.home.path().join("own");
    let own = keyfob_tests::poll("the browser's answer", || fs::read_to_string(&own).ok()).unwrap();
    assert!(own.starts_with("HTTP/1.1 302"), "{own}");
    let other = fs::read_to_string(fixture.home.path().join("other")).unwrap();
    assert_eq!(other.matches("HTTP/1.1 403").count(), 2, "{other}");
    assert!(!other.contains("SigninToken"), "{other}");
}

#[test]
fn what_goes_wrong_says_what_to_do() {
    let mut fixture = fixture();
    fixture.browser("exit 1");
    let (code, _, err) = fixture.run(&["login", "ops"]);
    assert!(code == Some(1) && err.contains("--stdout") && !err.contains("SigninToken"), "{err}");
    // A user's own session is none that the console takes: said before anybody is asked.
    let (code, _, err) = fixture.run(&["login", "alice", "--stdout"]);
    assert!(code == Some(2) && err.contains("role"), "{err}");
    let (code, _, err) = fixture.run(&["login", "ops", "--stdout", "--destination", "https://evil.example/"]);
    assert!(code == Some(2) && err.contains("--destination"), "{err}");
    let (code, _, err) = fixture.run(&["login", "nobody", "--stdout"]);
    assert!(code == Some(7) && err.contains("nobody"), "{err}");
    fixture.server.fail_next("getSigninToken", 1, Fault::Garbage);
    let (code, out, err) = fixture.run(&["login", "ops", "--stdout"]);
    assert!((code, out.as_str()) == (Some(8), "") && err.contains("no token"), "{err}");
    fixture.server.fail_next("getSigninToken", 1, Fault::Status(400, "InvalidRequest", "no"));
    let (code, _, err) = fixture.run(&["login", "ops", "--stdout"]);
    assert!(code == Some(8), "{err}");
}
