//! Exit codes of the command line: what scripts may rely on.

use keyfob_core::message::ErrorCode;

/// How the program ends.
///
/// `keyfob exec` returns its child's code instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// Something else went wrong; the message says what.
    Other = 1,
    /// The command line, a file or a value that the user gave cannot be.
    Usage = 2,
    /// There is no key to ask, and none is made up.
    NoKey = 3,
    /// Several keys or accounts fit.
    Ambiguous = 4,
    /// The key wants a password, or got a wrong one.
    Locked = 5,
    /// Nobody touched the key in time.
    TouchTimeout = 6,
    /// No such key, account or identity.
    NotFound = 7,
    /// AWS, or the server in its place, refused.
    AwsRefused = 8,
}

impl Exit {
    /// Every exit code, with what it means, for `--help` and the manual.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::Ok, "ok"),
        (Self::Other, "another error"),
        (Self::Usage, "wrong usage"),
        (Self::NoKey, "no key"),
        (Self::Ambiguous, "several keys or accounts fit"),
        (Self::Locked, "the key is locked"),
        (Self::TouchTimeout, "the key was not touched in time"),
        (Self::NotFound, "not found"),
        (Self::AwsRefused, "AWS refused"),
    ];

    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            // To a script a key that cannot be reached is none: without the service, or pulled out.
            ErrorCode::NoKey | ErrorCode::NoPcsc | ErrorCode::KeyRemoved => Self::NoKey,
            ErrorCode::Ambiguous => Self::Ambiguous,
            ErrorCode::Locked | ErrorCode::WrongPassword => Self::Locked,
            ErrorCode::TouchTimeout => Self::TouchTimeout,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::InvalidInput | ErrorCode::BadRequest => Self::Usage,
            ErrorCode::AwsRefused => Self::AwsRefused,
            ErrorCode::Exists
            | ErrorCode::Cancelled
            | ErrorCode::NoSpace
            | ErrorCode::Unsupported
            | ErrorCode::Busy
            | ErrorCode::BadAnswer
            | ErrorCode::UnsupportedVersion
            | ErrorCode::Forbidden
            | ErrorCode::Io
            | ErrorCode::Internal => Self::Other,
            // The protocol's codes may grow; the table in the tests makes sure that none is forgotten here.
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_its_exit_code() {
        let table = [
            ("no-key", 3),
            ("ambiguous", 4),
            ("locked", 5),
            ("wrong-password", 5),
            ("touch-timeout", 6),
            ("cancelled", 1),
            ("not-found", 7),
            ("exists", 1),
            ("no-space", 1),
            ("unsupported", 1),
            ("key-removed", 3),
            ("busy", 1),
            ("no-pcsc", 3),
            ("bad-answer", 1),
            ("bad-request", 2),
            ("unsupported-version", 1),
            ("forbidden", 1),
            ("invalid-input", 2),
            ("io", 1),
            ("aws-refused", 8),
            ("internal", 1),
        ];
        let actual: Vec<_> =
            ErrorCode::ALL.iter().map(|&code| (code.as_str(), Exit::from(code).code())).collect();
        assert_eq!(actual, table);
    }

    #[test]
    fn the_table_of_exit_codes_is_in_order() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
