//! What the agent keeps of the memory that it needed.

use keyfob_tests::home::Home;
use keyfob_tests::memory::mib;

/// A software key's passphrase is derived in 19 MiB. The agent opens keys again and again, after each lock.
#[test]
fn opening_a_software_key_leaves_the_agent_as_small_as_before() {
    let home = Home::with_software_key().unwrap();
    let open = || {
        home.succeed(&["--quiet", "lock"], "").unwrap();
        home.succeed(&["oath", "list"], "").unwrap();
        let status = home.succeed(&["--json", "agent", "status"], "").unwrap();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let pid = status["pid"].as_u64().unwrap();
        (pid, mib(pid, "RssAnon").unwrap())
    };
    let (agent, first) = open();
    let sizes: Vec<f64> = (0..5)
        .map(|_| {
            let (same, size) = open();
            assert_eq!(same, agent);
            size
        })
        .collect();
    assert!(mib(agent, "VmHWM").unwrap() > 19.0, "nothing was derived");
    assert!(sizes.iter().all(|size| size - first < 10.0), "{first} MiB, then {sizes:?}");
}
