//! STS.

use super::ACCOUNT;
use super::http::HttpRequest;
use super::state::{Caller, Parameters, Session, State, Who, no_action};
use super::xml::{Refusal, Xml};

/// The longest session of a role that a session has assumed, in seconds.
const CHAINED: u32 = 3600;

impl State {
    pub(super) fn sts(
        &mut self,
        request: &HttpRequest,
        caller: &Caller,
        action: &str,
        parameters: &Parameters,
    ) -> Result<Xml, Refusal> {
        match action {
            "GetCallerIdentity" => self.get_caller_identity(request, caller),
            "GetSessionToken" => self.get_session_token(caller, parameters),
            "AssumeRole" => self.assume_role(caller, parameters),
            "GetFederationToken" => self.get_federation_token(caller, parameters),
            _ => Err(no_action(action, "2011-06-15")),
        }
    }

    fn get_caller_identity(&self, request: &HttpRequest, caller: &Caller) -> Result<Xml, Refusal> {
        if !caller.session {
            self.second_opinion(request, caller)?;
        }
        let id = match &caller.who {
            Who::User(name) => self.users.get(name).map(|user| user.id.clone()).unwrap_or_default(),
            Who::Role { arn, session } => {
                let id = self.roles.get(arn).map(|role| role.id.as_str()).unwrap_or_default();
                format!("{id}:{session}")
            }
            Who::Federated { name } => format!("{ACCOUNT}:{name}"),
        };
        let arn = self.arn(&caller.who);
        Ok(Xml::default().text("Arn", &arn).text("UserId", &id).text("Account", ACCOUNT))
    }

    fn get_session_token(&mut self, caller: &Caller, parameters: &Parameters) -> Result<Xml, Refusal> {
        if caller.session {
            return Err(Refusal::denied("Cannot call GetSessionToken with session credentials"));
        }
        let duration = duration(parameters, 43_200, 129_600)?;
        let mfa = self.mfa(caller, parameters)?;
        let session = self.session_for(caller.who.clone(), duration, mfa);
        let credentials = self.new_session(session);
        Ok(Xml::default().inside("Credentials", &credentials))
    }

    fn get_federation_token(&mut self, caller: &Caller, parameters: &Parameters) -> Result<Xml, Refusal> {
        if caller.session {
            return Err(Refusal::denied("Cannot call GetFederationToken with session credentials"));
        }
        let name = parameters.must("Name")?.to_owned();
        check_name(&name, "name", 2, 32)?;
        let duration = duration(parameters, 43_200, 129_600)?;
        let arn = format!("arn:aws:sts::{ACCOUNT}:federated-user/{name}");
        self.allow(caller, "sts:GetFederationToken", &arn)?;
        let session = self.session_for(Who::Federated { name: name.clone() }, duration, false);
        let credentials = self.new_session(session);
        let user = Xml::default().text("FederatedUserId", &format!("{ACCOUNT}:{name}")).text("Arn", &arn);
        Ok(Xml::default()
            .inside("Credentials", &credentials)
            .inside("FederatedUser", &user)
            .text("PackedPolicySize", "0"))
    }

    fn assume_role(&mut self, caller: &Caller, parameters: &Parameters) -> Result<Xml, Refusal> {
        let arn = parameters.must("RoleArn")?.to_owned();
        let name = parameters.must("RoleSessionName")?.to_owned();
        check_name(&name, "roleSessionName", 2, 64)?;
        let duration = duration(parameters, 3600, 43_200)?;
        let identity = parameters.get("SourceIdentity").map(str::to_owned);
        if let Some(identity) = &identity {
            check_name(identity, "sourceIdentity", 2, 64)?;
        }
        let denied = || {
            Refusal::denied(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                self.arn(&caller.who)
            ))
        };
        if matches!(caller.who, Who::Federated { .. }) {
            return Err(denied());
        }
        self.allow(caller, "sts:AssumeRole", &arn)?;
        // What a role requires is not told to who may not assume it.
        let role = self.roles.get(&arn).ok_or_else(denied)?.clone();
        let caller_name = match &caller.who {
            Who::User(name) => name.as_str(),
            Who::Role { arn, .. } => arn.rsplit('/').next().unwrap_or_default(),
            Who::Federated { .. } => "",
        };
        let is_trusted = role.trusted.is_empty() || role.trusted.iter().any(|trusted| trusted == caller_name);
        let is_known = role.external_id.as_deref().is_none_or(|id| parameters.get("ExternalId") == Some(id));
        let is_same = match (&caller.source_identity, &identity) {
            (Some(old), Some(new)) => old == new,
            _ => true,
        };
        if !is_trusted || !is_known || !is_same {
            return Err(denied());
        }
        if caller.session && duration > CHAINED {
            let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
            return Err(Refusal::invalid(message));
        }
        if duration > role.max_duration {
            let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return Err(Refusal::invalid(message));
        }
        check_tags(parameters)?;
        let mfa = self.mfa(caller, parameters)?;
        if role.needs_mfa && !mfa && !caller.mfa {
            return Err(Refusal::denied(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                self.arn(&caller.who)
            )));
        }
        let who = Who::Role { arn, session: name.clone() };
        let user =
            Xml::default().text("AssumedRoleId", &format!("{}:{name}", role.id)).text("Arn", &self.arn(&who));
        let mut session = self.session_for(who, duration, mfa);
        session.chained = caller.session;
        session.source_identity = identity.or_else(|| caller.source_identity.clone());
        let identity = session.source_identity.clone();
        let credentials = self.new_session(session);
        let xml = Xml::default().inside("Credentials", &credentials).inside("AssumedRoleUser", &user);
        Ok(match identity {
            Some(identity) => xml.text("SourceIdentity", &identity),
            None => xml,
        })
    }

    fn session_for(&self, who: Who, duration: u32, mfa: bool) -> Session {
        Session {
            who,
            secret: String::new(),
            token: String::new(),
            expires: self.now + i64::from(duration),
            mfa,
            source_identity: None,
            chained: false,
        }
    }

    /// Whether a code of one of the caller's devices comes with the request; a wrong one is refused.
    fn mfa(&mut self, caller: &Caller, parameters: &Parameters) -> Result<bool, Refusal> {
        let (serial, code) = match (parameters.get("SerialNumber"), parameters.get("TokenCode")) {
            (None, None) => return Ok(false),
            (Some(serial), Some(code)) => (serial, code),
            _ => {
                let message = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.";
                return Err(Refusal::denied(message));
            }
        };
        if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
            let constraint = "Member must have length 6 and satisfy regular expression pattern: [\\d]*";
            return Err(Refusal::constraint(code, "tokenCode", constraint));
        }
        let Who::User(user) = &caller.who else {
            let message = "MultiFactorAuthentication failed, the caller has no MFA device.";
            return Err(Refusal::denied(message));
        };
        let now = self.now;
        let device = self.devices.get_mut(serial).filter(|device| device.user.as_ref() == Some(user));
        let Some(device) = device else {
            let message = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA \
                           serial number is valid and associated with this user.";
            return Err(Refusal::denied(message));
        };
        device.take(code, now).map_err(|_| {
            Refusal::denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ")
        })?;
        Ok(true)
    }
}

fn duration(parameters: &Parameters, default: u32, most: u32) -> Result<u32, Refusal> {
    let Some(text) = parameters.get("DurationSeconds") else { return Ok(default) };
    let bad = |side: &str, limit: u32| {
        let constraint = format!("Member must have value {side} than or equal to {limit}");
        Refusal::constraint(text, "durationSeconds", &constraint)
    };
    match text.parse::<u32>() {
        Ok(seconds) if seconds < 900 => Err(bad("greater", 900)),
        Ok(seconds) if seconds > most => Err(bad("less", most)),
        Ok(seconds) => Ok(seconds),
        Err(_) => Err(Refusal::new(400, "MalformedInput", "DurationSeconds is no number")),
    }
}

fn check_name(value: &str, name: &str, least: usize, most: usize) -> Result<(), Refusal> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !value.chars().all(is_good) {
        let constraint = "Member must satisfy regular expression pattern: [\\w+=,.@-]*";
        return Err(Refusal::constraint(value, name, constraint));
    }
    if !(least..=most).contains(&value.len()) {
        let constraint = format!("Member must have length between {least} and {most}");
        return Err(Refusal::constraint(value, name, &constraint));
    }
    Ok(())
}

/// Tags have distinct keys and values, and those that are passed on are among them.
fn check_tags(parameters: &Parameters) -> Result<(), Refusal> {
    let mut keys: Vec<String> = Vec::new();
    for n in 1.. {
        let Some(key) = parameters.get(&format!("Tags.member.{n}.Key")) else { break };
        if parameters.get(&format!("Tags.member.{n}.Value")).is_none() {
            return Err(Refusal::invalid("a tag has no value"));
        }
        if keys.iter().any(|known| known.eq_ignore_ascii_case(key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Refusal::new(400, "InvalidParameterValue", message));
        }
        keys.push(key.to_owned());
    }
    if keys.len() > 50 {
        let constraint = "Member must have length less than or equal to 50";
        return Err(Refusal::constraint("[…]", "tags", constraint));
    }
    for n in 1.. {
        let Some(key) = parameters.get(&format!("TransitiveTagKeys.member.{n}")) else { break };
        if !keys.iter().any(|known| known == key) {
            let message = "The specified transitive tag key must be included in the requested tags.";
            return Err(Refusal::new(400, "InvalidParameterValue", message));
        }
    }
    Ok(())
}
