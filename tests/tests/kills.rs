//! `aws rotate` and `aws import`, killed at random instants: an access key works at every one of them, and the next run leaves one and
//! nothing else. `aws enroll` is killed in its own tests.

use std::time::Instant;

use keyfob_tests::home::Home;
use keyfob_tests::kills::Kills;
use keyfob_tests::stand_in::{KnownKey, StandIn};
use serde_json::Value;

const KEYS: [&str; 2] = ["soft:demo", "soft:backup"];
const ROTATE: &[&str] =
    &["--key", KEYS[0], "--key", KEYS[1], "--json", "aws", "rotate", "--grace", "0", "--force"];
/// Where nobody says otherwise.
const ROUNDS: usize = 40;

struct Fixture {
    aws: StandIn,
    home: Home,
}

fn fixture() -> Fixture {
    let aws = StandIn::start(|world| {
        world.user("alice");
    })
    .unwrap();
    let mut home = Home::with_software_key().unwrap();
    home.succeed(&["soft", "create", "backup"], "").unwrap();
    aws.configure(&mut home);
    Fixture { aws, home }
}

impl Fixture {
    fn succeed(&self, args: &[&str]) -> Value {
        self.home.json(args).unwrap()
    }

    fn on(&self, key: &str) -> Vec<String> {
        let listed = self.succeed(&["--key", key, "--json", "aws", "identities"]);
        let identities = listed["identities"].as_array().unwrap().iter();
        identities.map(|identity| identity["access_key_id"].as_str().unwrap().to_owned()).collect()
    }

    /// Whether a key signs with an access key as AWS wants it.
    fn signs(&self, key: &str, id: &str) -> bool {
        let args = ["--key", key, "--json", "aws", "whoami", "--identity", id];
        self.home.run(&args, "").unwrap().status.success()
    }

    /// An access key is active at AWS, and on a key.
    fn one_works(&self) -> bool {
        let known = self.aws.keys("alice");
        let mut active = known.iter().filter(|key| key.active);
        active.any(|known| {
            KEYS.iter().any(|key| self.on(key).contains(&known.id) && self.signs(key, &known.id))
        })
    }

    fn rotations(&self) -> usize {
        self.succeed(&["--json", "aws", "rotate", "--status"])["rotations"].as_array().unwrap().len()
    }

    /// The only access key that there is, on both keys.
    #[track_caller]
    fn only(&self) -> KnownKey {
        let known = self.aws.key("alice").unwrap();
        for key in KEYS {
            assert_eq!(self.on(key), std::slice::from_ref(&known.id), "{key}");
            assert!(known.active && self.signs(key, &known.id), "{key}");
        }
        known
    }
}

#[test]
fn a_rotation_that_is_killed_leaves_an_access_key_that_works() {
    let it = fixture();
    let first = it.aws.key("alice").unwrap();
    for key in KEYS {
        it.home.succeed(&["--key", key, "aws", "add", &first.id, "--no-touch"], &first.secret).unwrap();
    }
    let begin = Instant::now();
    it.succeed(ROTATE);
    let mut kills = Kills::new(ROUNDS, begin.elapsed());
    let mut old = it.only();
    while kills.goes_on() {
        let mut keyfob = it.home.keyfob().unwrap();
        keyfob.args(ROTATE);
        let killed = kills.run(keyfob).unwrap();
        assert!(it.one_works());
        // It is over, was never begun, or goes on or back; whichever, the next rotation is a whole one.
        let mut runs = 0;
        while killed && it.rotations() > 0 {
            // Where it goes back, it says so, and begins anew when it is told to.
            let output = it.home.run(ROTATE, "").unwrap();
            runs += 1;
            assert!(runs < 4, "{}", String::from_utf8_lossy(&output.stderr));
            assert!(it.one_works());
        }
        let new = it.only();
        assert!(killed || new.id != old.id);
        old = new;
    }
    kills.check().unwrap();
}

#[test]
fn an_import_that_is_killed_loses_nothing() {
    let it = fixture();
    let known = it.aws.key("alice").unwrap();
    std::fs::create_dir(it.home.path().join(".aws")).unwrap();
    let lines = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = eu-west-1\n",
        known.id, known.secret
    );
    let endpoint = it.aws.endpoint();
    let import = [
        "--key",
        KEYS[0],
        "--key",
        KEYS[1],
        "--json",
        "aws",
        "import",
        "--no-touch",
        "--endpoint",
        &endpoint,
    ];
    let file = || std::fs::read_to_string(it.home.path().join(".aws/credentials")).unwrap();
    let restore = || {
        it.home.write(".aws/credentials", &lines).unwrap();
        for key in KEYS {
            if it.on(key).contains(&known.id) {
                it.home.succeed(&["--key", key, "aws", "delete", "--force", &known.id], "").unwrap();
            }
        }
    };
    restore();
    let begin = Instant::now();
    it.succeed(&import);
    let mut kills = Kills::new(ROUNDS, begin.elapsed());
    assert_eq!(file(), "[default]\nregion = eu-west-1\n");
    it.only();
    while kills.goes_on() {
        restore();
        let mut keyfob = it.home.keyfob().unwrap();
        keyfob.args(import);
        let killed = kills.run(keyfob).unwrap();
        // The file is whole, or rid of the access key, and then both keys have it.
        if file() == lines {
            assert!(killed);
            it.succeed(&import);
        }
        assert_eq!(file(), "[default]\nregion = eu-west-1\n");
        it.only();
    }
    kills.check().unwrap();
}
