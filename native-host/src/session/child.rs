//! The environment of a program that gets credentials: those, and nothing that comes before them.
//!
//! Source: "Environment variables", AWS SDKs and Tools Reference Guide; "Environment variables to configure the AWS CLI",
//! AWS CLI User Guide.

use std::process::Command;

use keyfob_core::message::{ErrorCode, Failure, Session};
use keyfob_core::sigv4::AmzDate;
use zeroize::Zeroizing;

use crate::error::failure;
use crate::profile::Profile;

/// What credentials, and who they are of, are known by: taken away from a child, and from a shell, before new ones are given.
pub(crate) const REPLACED: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ACCOUNT_ID",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Takes all other credentials away from a program, and sets the profile's region.
pub(crate) fn clear(command: &mut Command, profile: &Profile) {
    for name in REPLACED {
        command.env_remove(name);
    }
    if let Some(region) = &profile.region {
        command.env("AWS_REGION", region).env("AWS_DEFAULT_REGION", region);
    }
}

/// Gives credentials to a program, in its environment.
///
/// # Errors
/// [`ErrorCode::AwsRefused`] if they are none that a variable can hold.
pub(crate) fn give(command: &mut Command, session: &Session) -> Result<(), Failure> {
    for (name, value) in variables(session, None) {
        if value.contains('\0') {
            return Err(failure(ErrorCode::AwsRefused, "AWS gave credentials that no variable can hold", ""));
        }
        command.env(name, value.as_str());
    }
    Ok(())
}

/// The variables of credentials, and of a region.
pub(crate) fn variables(session: &Session, region: Option<&str>) -> Vec<(&'static str, Zeroizing<String>)> {
    let end = session.expires_at.and_then(|end| AmzDate::from_unix(end).ok()).map(|end| end.to_iso8601());
    let values = [
        ("AWS_ACCESS_KEY_ID", Some(session.access_key_id.clone())),
        ("AWS_SECRET_ACCESS_KEY", Some(session.secret_access_key.0.clone())),
        ("AWS_SESSION_TOKEN", session.session_token.as_ref().map(|token| token.0.clone())),
        ("AWS_CREDENTIAL_EXPIRATION", end),
        ("AWS_ACCOUNT_ID", session.account_id.clone()),
        ("AWS_REGION", region.map(str::to_owned)),
        ("AWS_DEFAULT_REGION", region.map(str::to_owned)),
    ];
    values.into_iter().filter_map(|(name, value)| Some((name, Zeroizing::new(value?)))).collect()
}

#[cfg(test)]
mod tests {
    use keyfob_core::message::Password;

    use super::*;

    #[test]
    fn what_is_given_is_what_was_taken_away() {
        let session = Session {
            access_key_id: "ASIA".to_owned(),
            secret_access_key: Password("secret".to_owned()),
            session_token: Some(Password("token".to_owned())),
            expires_at: Some(1_440_938_160),
            account_id: Some("123456789012".to_owned()),
        };
        let variables = variables(&session, Some("eu-west-1"));
        let value =
            |name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str());
        assert_eq!(value("AWS_CREDENTIAL_EXPIRATION"), Some("2015-08-30T12:36:00Z"));
        assert_eq!(value("AWS_DEFAULT_REGION"), Some("eu-west-1"));
        for (name, _) in &variables {
            assert!(REPLACED.contains(name) || name.ends_with("REGION"), "{name}");
        }
    }
}
