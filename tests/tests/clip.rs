//! The clipboard for real: a virtual X server of the test's own, with xclip as the other program.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use keyfob_tests::home::{Home, told};
use keyfob_tests::leash::Leash;
use keyfob_tests::poll;
use tempfile::TempDir;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// An X server; ended when dropped.
struct Display {
    name: String,
    _server: Leash,
    _folder: TempDir,
}

impl Display {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let number = folder.path().join("number");
        // The server chooses a number that is free, and says which. Without -noreset it starts anew, and refuses
        // clients meanwhile, whenever the last one has gone.
        let mut server = Command::new("sh");
        server
            .args(["-c", "exec Xvfb -displayfd 3 -screen 0 64x64x24 -nolisten tcp -noreset 3>\"$1\"", "sh"])
            .arg(&number);
        let server = Leash::start(&server, &folder.path().join("log")).unwrap();
        let number = poll("the X server (Debian's package xvfb)", || {
            fs::read_to_string(&number).ok().filter(|text| text.ends_with('\n'))
        })
        .unwrap();
        Self { name: format!(":{}", number.trim()), _server: server, _folder: folder }
    }

    fn xclip(&self, args: &[&str]) -> Command {
        let mut xclip = Command::new("xclip");
        xclip
            .args(["-selection", "clipboard"])
            .args(args)
            .env("DISPLAY", &self.name)
            .env_remove("WAYLAND_DISPLAY");
        xclip
    }

    /// What is on the clipboard; none if there is nothing.
    fn text(&self) -> Option<String> {
        let output = self.xclip(&["-o"]).output().expect("xclip starts (Debian's package xclip)");
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Another program copies a file. It holds the clipboard in the background until the server ends.
    fn copy(&self, file: &Path, target: &str) {
        let mut xclip = self.xclip(&["-i", "-t", target]);
        let status =
            xclip.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success());
    }
}

fn home(display: Option<&Display>) -> Home {
    let mut home = Home::with_software_key().unwrap();
    home.set("WAYLAND_DISPLAY", "");
    home.set("DISPLAY", display.map_or("", |display| &display.name));
    home
}

/// The processes that hold a clipboard in this home.
fn holders(home: &Home) -> Vec<String> {
    let mark = format!("HOME={}", home.path().display());
    let of = |entry: fs::DirEntry| {
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        let ours = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        (ours && arguments.contains("hold-clipboard")).then_some(arguments)
    };
    fs::read_dir("/proc").unwrap().filter_map(|entry| of(entry.ok()?)).collect()
}

#[test]
fn a_code_is_copied_and_not_printed() {
    let display = Display::start();
    let home = home(Some(&display));
    home.succeed(&["oath", "add", "AWS:alice"], SECRET).unwrap();
    let start = Instant::now();
    let output = home.run(&["code", "AWS", "--at", "59", "--clip"], "").unwrap();
    // It does not wait until the code is cleared.
    assert!(start.elapsed() < Duration::from_secs(25));
    let note = "The code of AWS:alice is on the clipboard, and cleared there after 30 seconds.\n";
    assert_eq!(told(&output).unwrap(), (Some(0), String::new(), note.to_owned()));
    assert_eq!(display.text().as_deref(), Some("287082"));
    // Clipboard managers are told not to keep it.
    let hint = display.xclip(&["-o", "-t", "x-kde-passwordManagerHint"]).output().unwrap();
    assert_eq!(hint.stdout, b"secret");
    // The code is nowhere to be seen.
    let holders_now = holders(&home);
    assert!(holders_now.len() == 1 && !holders_now[0].contains("287082"), "{holders_now:?}");
    // Somebody copies something else: it stays, and the holder goes.
    let other = home.write("other", "something else").unwrap();
    display.copy(&other, "UTF8_STRING");
    poll("the holder's end", || holders(&home).is_empty().then_some(())).unwrap();
    assert_eq!(display.text().as_deref(), Some("something else"));

    let output = home.run(&["--json", "code", "AWS", "--clip"], "").unwrap();
    let json = "{\"account\":\"AWS:alice\",\"cleared_after\":30,\"copied\":true}\n";
    assert_eq!(told(&output).unwrap(), (Some(0), json.to_owned(), String::new()));
}

#[test]
fn it_is_cleared_unless_somebody_copied_something() {
    let display = Display::start();
    let home = home(Some(&display));
    let hold = |text: &str| home.succeed(&["hold-clipboard", "--clear-after", "2s"], text).unwrap();
    let start = Instant::now();
    assert_eq!(hold("287082"), "held\n");
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(display.text(), None);

    let other = home.write("other", "something else").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            poll("the code", || (display.text().as_deref() == Some("123456")).then_some(())).unwrap();
            display.copy(&other, "UTF8_STRING");
        });
        hold("123456");
    });
    // Longer than it would have been held.
    sleep(Duration::from_secs(2));
    assert_eq!(display.text().as_deref(), Some("something else"));
}

#[test]
fn without_a_desktop_that_is_said() {
    let home = home(None);
    home.succeed(&["oath", "add", "AWS:alice"], SECRET).unwrap();
    let (exit, stdout, stderr) = told(&home.run(&["code", "AWS", "--clip"], "").unwrap()).unwrap();
    assert_eq!((exit, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with("keyfob: the clipboard cannot be used: "), "{stderr}");
    assert!(stderr.contains("\n  → run it on a desktop (DISPLAY or WAYLAND_DISPLAY"), "{stderr}");
    poll("the holder's end", || holders(&home).is_empty().then_some(())).unwrap();
    let (exit, _, stderr) = told(&home.run(&["oath", "import", "--clipboard"], "").unwrap()).unwrap();
    assert_eq!(exit, Some(1), "{stderr}");
    // Said before the key is asked.
    let (exit, _, stderr) = told(&home.run(&["code", "nobody", "--clip"], "").unwrap()).unwrap();
    assert!(exit == Some(1) && stderr.contains("there is no desktop"), "{stderr}");
    let (exit, _, stderr) = told(&home.run(&["code", "--clip"], "").unwrap()).unwrap();
    assert!(exit == Some(2) && stderr.contains("name one account with --clip"), "{stderr}");
}

#[test]
fn accounts_come_from_the_clipboard() {
    let display = Display::start();
    let home = home(Some(&display));
    let run = |args: &[&str]| told(&home.run(args, "").unwrap()).unwrap();
    let (exit, _, stderr) = run(&["oath", "uri", "--clipboard"]);
    assert!(exit == Some(7) && stderr.contains("neither text nor a picture"), "{stderr}");

    let uri = format!("otpauth://totp/AWS:bob?secret={SECRET}&issuer=AWS\n");
    display.copy(&home.write("uri", &uri).unwrap(), "UTF8_STRING");
    let note = "The secret is still on the clipboard: copy something else afterwards.\n";
    assert_eq!(
        run(&["oath", "uri", "--clipboard"]),
        (Some(0), String::new(), format!("{note}Added AWS:bob.\n"))
    );
    // A picture of a QR code, as a screenshot brings it.
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../native-host/tests/data/import/one.png");
    display.copy(&picture, "image/png");
    let (exit, _, stderr) = run(&["oath", "import", "--clipboard"]);
    assert!(exit == Some(0) && stderr.starts_with(&format!("{note}Added ")), "{stderr}");
    display.copy(&home.write("nonsense", "nonsense").unwrap(), "UTF8_STRING");
    let (exit, _, stderr) = run(&["oath", "uri", "--clipboard"]);
    assert!(exit == Some(2) && stderr.starts_with("keyfob: the clipboard: "), "{stderr}");
}
