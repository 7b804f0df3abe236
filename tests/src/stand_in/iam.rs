//! IAM: access keys and MFA devices of the account's users.

use std::time::Instant;

use data_encoding::{BASE32_NOPAD, BASE64};
use keyfob::aws_call::xml_text;

use super::ACCOUNT;
use super::http::HttpRequest;
use super::state::{AccessKey, Caller, Parameters, State, Who, iso, no_action};
use super::totp::Device;
use super::xml::{Refusal, Xml};

/// "IAM and AWS STS quotas", IAM User Guide.
const MOST_KEYS: usize = 2;
const MOST_DEVICES: usize = 8;
/// A picture of one pixel, in base64: nobody here looks at it.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

impl State {
    pub(super) fn iam(
        &mut self,
        request: &HttpRequest,
        caller: &Caller,
        action: &str,
        parameters: &Parameters,
    ) -> Result<Xml, Refusal> {
        // A session of GetSessionToken reaches IAM with MFA only, one of GetFederationToken never.
        let is_no_iam_session = match caller.who {
            Who::User(_) => caller.session && !caller.mfa,
            Who::Role { .. } => false,
            Who::Federated { .. } => true,
        };
        if is_no_iam_session {
            let message = "The security token included in the request is invalid";
            return Err(Refusal::new(403, "InvalidClientTokenId", message));
        }
        let resource = match (action, parameters.get("UserName"), &caller.who) {
            ("CreateVirtualMFADevice", ..) => {
                let name = parameters.get("VirtualMFADeviceName").unwrap_or_default();
                format!("arn:aws:iam::{ACCOUNT}:mfa/{name}")
            }
            ("DeleteVirtualMFADevice", ..) => parameters.get("SerialNumber").unwrap_or_default().to_owned(),
            ("ListVirtualMFADevices", ..) => format!("arn:aws:iam::{ACCOUNT}:mfa/"),
            (_, Some(name), _) => format!("user {name}"),
            (_, None, Who::User(name)) => format!("user {name}"),
            _ => "*".to_owned(),
        };
        self.allow(caller, &format!("iam:{action}"), &resource)?;
        match action {
            "GetUser" => self.get_user(request, caller, parameters),
            "CreateAccessKey" => self.create_access_key(request, caller, parameters),
            "ListAccessKeys" => self.list_access_keys(request, caller, parameters),
            "UpdateAccessKey" => self.update_access_key(request, caller, parameters),
            "DeleteAccessKey" => self.delete_access_key(request, caller, parameters),
            "GetAccessKeyLastUsed" => self.get_access_key_last_used(parameters),
            "CreateVirtualMFADevice" => self.create_virtual_mfa_device(parameters),
            "EnableMFADevice" => self.enable_mfa_device(caller, parameters),
            "ResyncMFADevice" => self.resync_mfa_device(caller, parameters),
            "DeactivateMFADevice" => self.deactivate_mfa_device(caller, parameters),
            "DeleteVirtualMFADevice" => self.delete_virtual_mfa_device(parameters),
            "ListMFADevices" => self.list_mfa_devices(caller, parameters),
            "ListVirtualMFADevices" => self.list_virtual_mfa_devices(parameters),
            _ => Err(no_action(action, "2010-05-08")),
        }
    }

    /// The user whose access keys a request is about. IAM's reference: "If a temporary access key is used, then UserName is required."
    fn owner(&self, caller: &Caller, parameters: &Parameters) -> Result<String, Refusal> {
        if caller.session && parameters.get("UserName").is_none() {
            return Err(Refusal::invalid("Must specify userName when calling with non-User credentials"));
        }
        self.subject(caller, parameters)
    }

    /// The user that a request is about: the caller, unless one is named.
    fn subject(&self, caller: &Caller, parameters: &Parameters) -> Result<String, Refusal> {
        let name = match (parameters.get("UserName"), &caller.who) {
            (Some(name), _) => name,
            (None, Who::User(name)) => name,
            _ => {
                let message = "Must specify userName when calling with non-User credentials";
                return Err(Refusal::invalid(message));
            }
        };
        if !self.users.contains_key(name) {
            let message = format!("The user with name {name} cannot be found.");
            return Err(Refusal::new(404, "NoSuchEntity", message));
        }
        Ok(name.to_owned())
    }

    fn get_user(
        &self,
        request: &HttpRequest,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Xml, Refusal> {
        let name = self.subject(caller, parameters)?;
        self.second_opinion(request, caller)?;
        let (id, created) =
            self.users.get(&name).map(|user| (user.id.as_str(), user.created)).unwrap_or_default();
        let user = Xml::default()
            .text("Path", "/")
            .text("UserName", &name)
            .text("UserId", id)
            .text("Arn", &format!("arn:aws:iam::{ACCOUNT}:user/{name}"))
            .text("CreateDate", &iso(created));
        Ok(Xml::default().inside("User", &user))
    }

    fn create_access_key(
        &mut self,
        request: &HttpRequest,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Xml, Refusal> {
        let user = self.owner(caller, parameters)?;
        if self.keys.values().filter(|key| key.user == user).count() >= MOST_KEYS {
            let message = format!("Cannot exceed quota for AccessKeysPerUser: {MOST_KEYS}");
            return Err(Refusal::new(409, "LimitExceeded", message));
        }
        let (id, secret) = match self.second_opinion(request, caller)? {
            Some(made) => {
                let part = |name| xml_text(&made, name).unwrap_or_default();
                (part("AccessKeyId"), part("SecretAccessKey"))
            }
            None => (super::id("AKIA"), super::secret()),
        };
        let (calls, time) = self.slow_keys;
        let created = self.now;
        let key = AccessKey {
            user: user.clone(),
            secret: secret.clone(),
            active: true,
            created,
            order: self.keys.values().map(|key| key.order + 1).max().unwrap_or_default(),
            last_used: None,
            unknown_for: calls,
            unknown_until: Instant::now() + time,
        };
        self.keys.insert(id.clone(), key);
        let key = Xml::default()
            .text("UserName", &user)
            .text("AccessKeyId", &id)
            .text("Status", "Active")
            .text("SecretAccessKey", &secret)
            .text("CreateDate", &iso(created));
        Ok(Xml::default().inside("AccessKey", &key))
    }

    fn list_access_keys(
        &self,
        request: &HttpRequest,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Xml, Refusal> {
        let user = self.owner(caller, parameters)?;
        self.second_opinion(request, caller)?;
        let mut keys: Vec<_> = self.keys.iter().filter(|(_, key)| key.user == user).collect();
        keys.sort_by_key(|(_, key)| key.order);
        let members = keys.into_iter().map(|(id, key)| {
            Xml::default()
                .text("UserName", &user)
                .text("AccessKeyId", id)
                .text("Status", if key.active { "Active" } else { "Inactive" })
                .text("CreateDate", &iso(key.created))
        });
        self.list("AccessKeyMetadata", members.collect(), parameters)
    }

    fn update_access_key(
        &mut self,
        request: &HttpRequest,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Xml, Refusal> {
        let status = parameters.must("Status")?;
        if !matches!(status, "Active" | "Inactive") {
            let constraint = "Member must satisfy enum value set: [Active, Inactive, Expired]";
            return Err(Refusal::constraint(status, "status", constraint));
        }
        let id = self.key_of(caller, parameters)?;
        self.second_opinion(request, caller)?;
        if let Some(key) = self.keys.get_mut(&id) {
            key.active = status == "Active";
        }
        Ok(Xml::default())
    }

    fn delete_access_key(
        &mut self,
        request: &HttpRequest,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Xml, Refusal> {
        let id = self.key_of(caller, parameters)?;
        self.second_opinion(request, caller)?;
        self.keys.remove(&id);
        Ok(Xml::default())
    }

    fn get_access_key_last_used(&self, parameters: &Parameters) -> Result<Xml, Refusal> {
        let id = parameters.must("AccessKeyId")?;
        // As AWS answers for the keys of others.
        let key = self.keys.get(id).ok_or_else(|| {
            Refusal::denied("User is not authorized to perform: iam:GetAccessKeyLastUsed on resource: *")
        })?;
        let (service, region) = key.last_used.map_or(("N/A", "N/A"), |(_, service)| (service, "us-east-1"));
        let used = Xml::default().text("ServiceName", service).text("Region", region);
        let used = match key.last_used {
            Some((time, _)) => used.text("LastUsedDate", &iso(time)),
            None => used,
        };
        Ok(Xml::default().text("UserName", &key.user).inside("AccessKeyLastUsed", &used))
    }

    /// The access key that a request names, which must be the subject's.
    fn key_of(&self, caller: &Caller, parameters: &Parameters) -> Result<String, Refusal> {
        let id = parameters.must("AccessKeyId")?;
        let user = self.owner(caller, parameters)?;
        if self.keys.get(id).is_none_or(|key| key.user != user) {
            let message = format!("The Access Key with id {id} cannot be found.");
            return Err(Refusal::new(404, "NoSuchEntity", message));
        }
        Ok(id.to_owned())
    }

    fn create_virtual_mfa_device(&mut self, parameters: &Parameters) -> Result<Xml, Refusal> {
        let name = parameters.must("VirtualMFADeviceName")?;
        let is_good = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !name.chars().all(is_good) || name.len() > 226 {
            let constraint = "Member must satisfy regular expression pattern: [\\w+=,.@-]+";
            return Err(Refusal::constraint(name, "virtualMFADeviceName", constraint));
        }
        let path = parameters.get("Path").unwrap_or("/");
        let serial = format!("arn:aws:iam::{ACCOUNT}:mfa{path}{name}");
        if self.devices.contains_key(&serial) {
            let message = "MFADevice entity at the same path and name already exists.";
            return Err(Refusal::new(409, "EntityAlreadyExists", message));
        }
        let base32 = BASE32_NOPAD.encode(&super::random::<40>());
        let device = Device::new(&base32).map_err(|error| Refusal::invalid(error.to_string()))?;
        self.devices.insert(serial.clone(), device);
        let device = Xml::default()
            .text("SerialNumber", &serial)
            .text("Base32StringSeed", &BASE64.encode(base32.as_bytes()))
            .text("QRCodePNG", PICTURE);
        Ok(Xml::default().inside("VirtualMFADevice", &device))
    }

    fn enable_mfa_device(&mut self, caller: &Caller, parameters: &Parameters) -> Result<Xml, Refusal> {
        let user = self.subject(caller, parameters)?;
        let (serial, codes) = (parameters.must("SerialNumber")?, two_codes(parameters)?);
        if self.devices.values().filter(|device| device.user.as_ref() == Some(&user)).count() >= MOST_DEVICES
        {
            let message = format!("Cannot exceed quota for MFADevicesPerUser: {MOST_DEVICES}");
            return Err(Refusal::new(409, "LimitExceeded", message));
        }
        let now = self.now;
        let device = self.devices.get_mut(serial).ok_or_else(|| no_device(serial))?;
        if device.user.is_some() {
            let message = format!("MFA device {serial} is already in use.");
            return Err(Refusal::new(409, "EntityAlreadyExists", message));
        }
        device.take_two(codes, now).map_err(|_| bad_codes())?;
        (device.user, device.enabled) = (Some(user), now);
        Ok(Xml::default())
    }

    fn resync_mfa_device(&mut self, caller: &Caller, parameters: &Parameters) -> Result<Xml, Refusal> {
        let (serial, codes) = (parameters.must("SerialNumber")?.to_owned(), two_codes(parameters)?);
        let now = self.now;
        let device = self.device_of(caller, parameters)?;
        let device = device.ok_or_else(|| no_device(&serial))?;
        device.resync(codes, now).map_err(|_| bad_codes())?;
        Ok(Xml::default())
    }

    fn deactivate_mfa_device(&mut self, caller: &Caller, parameters: &Parameters) -> Result<Xml, Refusal> {
        let device = self.device_of(caller, parameters)?;
        let device =
            device.ok_or_else(|| Refusal::new(404, "NoSuchEntity", "MFA Device invalid for user."))?;
        device.user = None;
        Ok(Xml::default())
    }

    /// The device that a request names, if it is the subject's.
    fn device_of(
        &mut self,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Option<&mut Device>, Refusal> {
        let user = self.subject(caller, parameters)?;
        let serial = parameters.must("SerialNumber")?;
        Ok(self.devices.get_mut(serial).filter(|device| device.user.as_ref() == Some(&user)))
    }

    fn delete_virtual_mfa_device(&mut self, parameters: &Parameters) -> Result<Xml, Refusal> {
        let serial = parameters.must("SerialNumber")?;
        let device = self.devices.get(serial).ok_or_else(|| no_device(serial))?;
        if device.user.is_some() {
            let message = "MFA VirtualDevice in use. Must deactivate first.";
            return Err(Refusal::new(409, "DeleteConflict", message));
        }
        self.devices.remove(serial);
        Ok(Xml::default())
    }

    fn list_mfa_devices(&self, caller: &Caller, parameters: &Parameters) -> Result<Xml, Refusal> {
        let user = self.subject(caller, parameters)?;
        let devices = self.devices.iter().filter(|(_, device)| device.user.as_ref() == Some(&user));
        let members = devices.map(|(serial, device)| {
            Xml::default()
                .text("UserName", &user)
                .text("SerialNumber", serial)
                .text("EnableDate", &iso(device.enabled))
        });
        self.list("MFADevices", members.collect(), parameters)
    }

    fn list_virtual_mfa_devices(&self, parameters: &Parameters) -> Result<Xml, Refusal> {
        let status = parameters.get("AssignmentStatus").unwrap_or("Any");
        let devices = self.devices.iter().filter(|(_, device)| match status {
            "Assigned" => device.user.is_some(),
            "Unassigned" => device.user.is_none(),
            _ => true,
        });
        let members = devices.map(|(serial, device)| {
            let xml = Xml::default().text("SerialNumber", serial);
            let Some(name) = &device.user else { return xml };
            let user = Xml::default()
                .text("UserName", name)
                .text("Arn", &format!("arn:aws:iam::{ACCOUNT}:user/{name}"));
            xml.text("EnableDate", &iso(device.enabled)).inside("User", &user)
        });
        self.list("VirtualMFADevices", members.collect(), parameters)
    }

    /// A page of a list.
    fn list(&self, name: &str, members: Vec<Xml>, parameters: &Parameters) -> Result<Xml, Refusal> {
        let bad = |_| Refusal::invalid("Invalid Marker or MaxItems");
        let from: usize = parameters.get("Marker").map_or(Ok(0), str::parse).map_err(bad)?;
        let most: usize = parameters.get("MaxItems").map_or(Ok(100), str::parse).map_err(bad)?;
        let most = most.min(self.page);
        let is_truncated = members.len() > from + most;
        let page = members.iter().skip(from).take(most);
        let page = page.fold(Xml::default(), |xml, member| xml.inside("member", member));
        let xml = Xml::default().inside(name, &page).text("IsTruncated", &is_truncated.to_string());
        Ok(if is_truncated { xml.text("Marker", &(from + most).to_string()) } else { xml })
    }
}

fn two_codes(parameters: &Parameters) -> Result<[&str; 2], Refusal> {
    let code = |name: &str, small: &str| {
        let code = parameters.must(name)?;
        if code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(code);
        }
        let constraint = "Member must have length 6 and satisfy regular expression pattern: [\\d]+";
        Err(Refusal::constraint(code, small, constraint))
    };
    Ok([
        code("AuthenticationCode1", "authenticationCode1")?,
        code("AuthenticationCode2", "authenticationCode2")?,
    ])
}

fn bad_codes() -> Refusal {
    Refusal::new(403, "InvalidAuthenticationCode", "Authentication code for device is not valid.")
}

fn no_device(serial: &str) -> Refusal {
    let message = format!("VirtualMFADevice with serial number {serial} does not exist.");
    Refusal::new(404, "NoSuchEntity", message)
}
