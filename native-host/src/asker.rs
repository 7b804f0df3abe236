//! On whose behalf Keyfob runs: the program that started it, for prompts ("aws asks for the code of …").
//!
//! A help to whoever reads the prompt, no protection: any program of the user's can call itself anything.

use crate::program;
use crate::prompt::printable;

/// What a prompt says where a person typed the command, or nothing is known.
const NOBODY: &str = "keyfob";
/// Longest name, in characters.
const MAX_NAME: usize = 40;

/// The nearest ancestor that is no shell, no `sudo` or the like, no terminal and not Keyfob itself; `keyfob` if a
/// person typed the command in a shell, and on systems other than Linux. At most 40 characters, all printable.
///
/// A script is called by its name rather than its interpreter's. A program that uses this library asks for itself.
#[must_use]
pub fn name() -> String {
    if !program::is_keyfob() {
        return shown(program::name().as_deref().unwrap_or(NOBODY));
    }
    #[cfg(target_os = "linux")]
    let name = rustix::process::getppid()
        .map(|parent| nearest(parent.as_raw_nonzero().get(), linux::process))
        .unwrap_or_default();
    #[cfg(not(target_os = "linux"))]
    let name: Option<String> = None;
    shown(name.as_deref().unwrap_or(NOBODY))
}

fn shown(name: &str) -> String {
    let name: String = printable(name.trim()).chars().take(MAX_NAME).collect();
    if name.is_empty() { NOBODY.to_owned() } else { name }
}

#[cfg(any(test, target_os = "linux"))]
mod ancestors {
    use std::path::Path;

    /// Interpreters of command lines. One that leads a session on a terminal is a person's.
    const SHELLS: &[&str] = &[
        "ash", "bash", "busybox", "csh", "dash", "elvish", "fish", "ksh", "mksh", "nu", "pwsh", "sh", "tcsh",
        "xonsh", "yash", "zsh",
    ];
    /// What starts a program for another.
    const WRAPPERS: &[&str] = &[
        "doas", "env", "keyfob", "nice", "nohup", "pkexec", "runuser", "setsid", "stdbuf", "su", "sudo",
        "time", "timeout", "watch", "xargs",
    ];
    /// Where people type. Some start a command without a shell.
    const TERMINALS: &[&str] = &[
        "alacritty",
        "foot",
        "ghostty",
        "gnome-terminal-server",
        "init",
        "kitty",
        "konsole",
        "login",
        "mosh-server",
        "ptyxis-agent",
        "screen",
        "script",
        "sshd",
        "sshd-session",
        "systemd",
        "tilix",
        "tmux",
        "wezterm-gui",
        "xfce4-terminal",
        "xterm",
        "zellij",
    ];
    /// Interpreters whose scripts are what a person knows; versions are written behind them (`python3.13`).
    const INTERPRETERS: &[&str] = &["bun", "deno", "java", "node", "perl", "php", "python", "ruby"];
    /// More ancestors than any process has.
    const MAX_DEPTH: usize = 64;

    /// What is known of a process.
    #[derive(Debug, Clone, Default)]
    pub(super) struct Process {
        pub(super) parent: i32,
        /// It leads a session on a terminal: it is what runs in a window.
        pub(super) leads_terminal: bool,
        /// As it calls itself: of a script, the script's name, cut to 15 bytes.
        pub(super) comm: String,
        /// The program's file; none where that is not ours to know (`sudo`).
        pub(super) exe: Option<String>,
        /// Its command line, the program's own name first.
        pub(super) args: Vec<String>,
    }

    /// The name of the process that asks, from `pid` upwards.
    pub(super) fn nearest(mut pid: i32, process: impl Fn(i32) -> Option<Process>) -> Option<String> {
        for _ in 0..MAX_DEPTH {
            let this = process(pid)?;
            let program = this.exe.as_deref().map_or(this.comm.as_str(), file_name);
            let of = |names: &[&str]| names.contains(&program);
            if of(SHELLS) {
                // A script that names its shell in its first line.
                if !SHELLS.contains(&this.comm.as_str()) {
                    return Some(this.comm);
                }
                // What a terminal started: a person types here. (Its arguments are settings, often files.)
                if this.leads_terminal {
                    return None;
                }
                if let Some(script) = script(&this.args) {
                    return Some(script);
                }
            } else if of(TERMINALS) {
                return None;
            } else if !of(WRAPPERS) {
                let interprets = |name: &&&str| {
                    program.strip_prefix(**name).is_some_and(|rest| {
                        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').is_empty()
                    })
                };
                return match INTERPRETERS.iter().find(interprets) {
                    Some(_) if this.comm.starts_with(program) || program.starts_with(&this.comm) => {
                        script(&this.args).or(Some(program.to_owned()))
                    }
                    Some(_) => Some(this.comm),
                    None => Some(program.to_owned()),
                };
            }
            pid = this.parent;
        }
        None
    }

    /// The script of an interpreter's command line: its first argument that is no option, or the module after `-m`.
    /// None of a command that was given in the command line (`-c`).
    fn script(args: &[String]) -> Option<String> {
        let mut args = args.iter().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-m" => return args.next().cloned(),
                "-jar" => {}
                option if option.starts_with('-') => {
                    // `-c`, also among others (`-ec`), and `-e`: what follows is a program, no name of one.
                    let letters = !option.starts_with("--") && option.len() <= 4;
                    if letters && option.ends_with(['c', 'e']) {
                        return None;
                    }
                }
                path => return Some(file_name(path).to_owned()),
            }
        }
        None
    }

    fn file_name(path: &str) -> &str {
        Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// From the nearest ancestor up: what it calls itself, its file, its arguments; `$` leads a terminal.
        #[track_caller]
        fn check(ancestors: &[(&str, &str, &str)], name: Option<&str>) {
            let process = |pid: i32| {
                let index = usize::try_from(pid).ok()?;
                let (comm, exe, args) = ancestors.get(index)?;
                Some(Process {
                    parent: pid + 1,
                    leads_terminal: args.starts_with('$'),
                    comm: (*comm).to_owned(),
                    exe: (!exe.is_empty()).then(|| (*exe).to_owned()),
                    args: args.split(' ').map(str::to_owned).collect(),
                })
            };
            assert_eq!(nearest(0, process).as_deref(), name, "{ancestors:?}");
        }

        #[test]
        fn who_asks() {
            let shell = ("zsh", "/usr/bin/zsh", "$zsh");
            // A person.
            check(&[shell, ("code", "/usr/share/code/code", "code")], None);
            check(&[("bash", "/bin/bash", "bash"), shell], None);
            check(&[("env", "/usr/bin/env", "env keyfob"), ("sudo", "", ""), shell], None);
            check(&[("xterm", "/usr/bin/xterm", "xterm -e keyfob")], None);
            check(&[], None);
            // Programs.
            check(&[("terraform", "/opt/terraform", "terraform apply"), shell], Some("terraform"));
            check(
                &[("sh", "/bin/dash", "sh -c keyfob"), ("code", "/usr/share/code/code", "code")],
                Some("code"),
            );
            check(&[("chromium", "/usr/lib/chromium/chromium", "")], Some("chromium"));
            check(&[("Isolated Web Co", "/usr/lib/firefox-esr/firefox-esr", "")], Some("firefox-esr"));
            check(
                &[("bash", "/bin/bash", "bash -ec keyfob"), ("make", "/usr/bin/make", "make"), shell],
                Some("make"),
            );
            let settings = ("bash", "/bin/bash", "$bash --init-file /usr/share/code/integration.sh");
            check(&[settings, ("code", "/usr/share/code/code", "code")], None);
            // Scripts.
            check(&[("deploy.sh", "/bin/bash", "$/bin/bash ./deploy.sh")], Some("deploy.sh"));
            check(&[("deploy.sh", "/bin/bash", "/bin/bash ./deploy.sh"), shell], Some("deploy.sh"));
            check(&[("bash", "/bin/bash", "bash -e ci/deploy.sh x"), shell], None);
            check(&[("bash", "/bin/bash", "bash ci/deploy.sh -c"), shell], Some("deploy.sh"));
            check(&[("aws", "/usr/bin/python3.13", "python3 /usr/bin/aws s3 ls"), shell], Some("aws"));
            check(&[("python3", "/usr/bin/python3.13", "python3 -u tools/job.py"), shell], Some("job.py"));
            check(&[("python3", "/usr/bin/python3.13", "python3 -m awscli"), shell], Some("awscli"));
            check(&[("python3", "/usr/bin/python3.13", "python3 -c import"), shell], Some("python3.13"));
            check(&[("node", "/usr/bin/node", "node"), shell], Some("node"));
            check(&[("pythonista", "/opt/pythonista", "pythonista x"), shell], Some("pythonista"));
        }
    }
}
#[cfg(target_os = "linux")]
use ancestors::nearest;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use super::ancestors::Process;

    /// What `/proc` tells of a process (proc_pid_stat(5)).
    pub(super) fn process(pid: i32) -> Option<Process> {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
        let stat = String::from_utf8_lossy(&read("stat")?).into_owned();
        // The name is in parentheses, and may have any in it.
        let (before, after) = stat.rsplit_once(')')?;
        let comm = before.split_once('(')?.1.to_owned();
        let mut fields = after.split_ascii_whitespace().skip(1).map(|field| field.parse::<i32>().ok());
        let (parent, _group, session, terminal) =
            (fields.next()??, fields.next()??, fields.next()??, fields.next()??);
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok().map(|path| {
            let path = path.to_string_lossy();
            path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned()
        });
        let args = read("cmdline").unwrap_or_default();
        let args = args.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned());
        let leads_terminal = session == pid && terminal != 0;
        Some(Process {
            parent,
            leads_terminal,
            comm,
            exe,
            args: args.filter(|arg| !arg.is_empty()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        assert_eq!(shown(" \x1b[2J "), "\u{fffd}[2J");
        assert_eq!(shown(&"é".repeat(100)), "é".repeat(40));
        assert_eq!(shown(""), "keyfob");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_real_script_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        use std::process::Command;

        const INSIDE: &str = "KEYFOB_TEST_ASKER";
        if std::env::var_os(INSIDE).is_some() {
            program::this_is_keyfob();
            println!("<{}>", name());
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("my-tool");
        let test = "asker::tests::a_real_script_is_named";
        std::fs::write(&script, format!("#!/bin/sh\nenv \"$1\" --exact {test} --nocapture\n:\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        // The test runner's child may still hold the file open for writing between its fork and its exec.
        let output = loop {
            match Command::new(&script).arg(std::env::current_exe().unwrap()).env(INSIDE, "1").output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                output => break output.unwrap(),
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("<my-tool>"), "{text}");
    }
}
