//! Which program this process is: `keyfob` itself, or another one that uses this library.
//!
//! The agent is `keyfob`, whoever starts it; and another program is the one on whose behalf is asked, where `keyfob` was
//! started by one.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const NAME: &str = "keyfob";

static IS_KEYFOB: AtomicBool = AtomicBool::new(false);

/// To be said by `keyfob`'s own `main`, first of all. Its file may have any name.
pub fn this_is_keyfob() {
    IS_KEYFOB.store(true, Ordering::Relaxed);
}

pub(crate) fn is_keyfob() -> bool {
    IS_KEYFOB.load(Ordering::Relaxed)
}

/// The file of `keyfob`: of this process if it is that, else beside this process's file, else in `PATH`. None where it is
/// not installed.
pub(crate) fn keyfob() -> Option<PathBuf> {
    let this = this();
    if is_keyfob() {
        return this;
    }
    let beside = this.as_deref().and_then(Path::parent).map(Path::to_owned);
    found(beside.into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())))
}

/// The name of this process's file, without its extension.
pub(crate) fn name() -> Option<String> {
    Some(this()?.file_stem()?.to_string_lossy().into_owned())
}

/// This process's file; where it was replaced under this process, what is in its place.
fn this() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    // Linux's mark of a file that is no longer where it was.
    let path = program.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(Path::new);
    Some(path.filter(|path| path.exists()).map_or_else(|| program.clone(), Path::to_owned))
}

/// In the first of the folders that has it. A relative one depends on where somebody happens to be.
fn found(mut folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.find_map(|folder| {
        let file = folder.join(NAME).with_extension(env::consts::EXE_EXTENSION);
        (folder.is_absolute() && is_program(&file)).then_some(file)
    })
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_program_of_that_name_is_found() {
        let home = tempfile::tempdir().unwrap();
        let folder = |name: &str, mode: Option<u32>| {
            let folder = home.path().join(name);
            fs::create_dir(&folder).unwrap();
            if let Some(mode) = mode {
                fs::write(folder.join("keyfob"), "").unwrap();
                fs::set_permissions(folder.join("keyfob"), fs::Permissions::from_mode(mode)).unwrap();
            }
            folder
        };
        let (empty, data) = (folder("empty", None), folder("data", Some(0o644)));
        let (first, second) = (folder("first", Some(0o755)), folder("second", Some(0o755)));
        let check = |folders: &[&PathBuf], expected: Option<&PathBuf>| {
            let found = found(folders.iter().map(|folder| (*folder).clone()));
            assert_eq!(found, expected.map(|folder| folder.join("keyfob")));
        };
        check(&[&empty, &data, &first, &second], Some(&first));
        check(&[&second, &first], Some(&second));
        check(&[&empty, &data], None);
        check(&[&PathBuf::from("."), &PathBuf::new()], None);
        assert!(!is_keyfob(), "a test is not");
        assert!(name().is_some_and(|name| name.starts_with("keyfob-")), "{:?}", name());
    }
}
