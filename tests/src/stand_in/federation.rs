//! The console's sign-in with temporary credentials.
//!
//! Source: "Enable custom identity broker access to the AWS console", IAM User Guide.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::http::{HttpRequest, Reply};
use super::state::{Outcome, Parameters, State, Who};

/// How long a sign-in token is good, in seconds.
const TOKEN: i64 = 15 * 60;

impl State {
    pub(super) fn federation(&mut self, request: &HttpRequest, parameters: &Parameters) -> Outcome {
        let result = match (parameters.get("Action"), request.method.as_str()) {
            (Some("getSigninToken"), "GET" | "POST") => self.sign_in_token(parameters),
            (Some("login"), "GET" | "POST") => self.login(parameters),
            _ => Err("no such action"),
        };
        let verified = result.is_ok();
        let (reply, code) = match result {
            Ok(reply) => (reply, String::new()),
            Err(why) => (Reply::new(400, "text/html", format!("<html>{why}</html>")), why.to_owned()),
        };
        Outcome { reply, code, verified, mfa: false }
    }

    fn sign_in_token(&mut self, parameters: &Parameters) -> Result<Reply, &'static str> {
        let session: Value = serde_json::from_str(parameters.get("Session").ok_or("no Session")?)
            .map_err(|_| "the Session is no JSON")?;
        let part = |name: &str| session.get(name).and_then(Value::as_str).ok_or("the Session is not whole");
        let known = self.sessions.get(part("sessionId")?).ok_or("no such session")?;
        if known.secret != part("sessionKey")? || known.token != part("sessionToken")? {
            return Err("these are not the session's");
        }
        if known.expires <= self.now {
            return Err("the session has ended");
        }
        let is_role = match known.who {
            Who::Role { .. } => true,
            Who::Federated { .. } => false,
            Who::User(_) => return Err("a session of GetSessionToken does not sign in"),
        };
        if let Some(duration) = parameters.get("SessionDuration") {
            if !is_role || known.chained {
                return Err("SessionDuration is for roles that a user has assumed");
            }
            if !duration.parse().is_ok_and(|seconds: u32| (900..=43_200).contains(&seconds)) {
                return Err("SessionDuration is out of bounds");
            }
        }
        let token = BASE64URL_NOPAD.encode(&super::random::<192>());
        let answer = json!({ "SigninToken": token });
        self.sign_in_tokens.insert(token, self.now + TOKEN);
        Ok(Reply::new(200, "application/json", answer.to_string()))
    }

    fn login(&mut self, parameters: &Parameters) -> Result<Reply, &'static str> {
        let token = parameters.get("SigninToken").ok_or("no SigninToken")?;
        let destination = parameters.get("Destination").ok_or("no Destination")?;
        if !destination.starts_with("https://") || destination.contains(['\r', '\n']) {
            return Err("the Destination is no page of the console");
        }
        if self.sign_in_tokens.get(token).is_none_or(|&end| end <= self.now) {
            return Err("no such SigninToken");
        }
        let mut reply = Reply::new(302, "text/html", String::new());
        reply.headers.push(("location", destination.to_owned()));
        reply.headers.push(("set-cookie", format!("aws-creds={token}")));
        Ok(reply)
    }
}
