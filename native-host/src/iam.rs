//! The calls of IAM that make, change and remove MFA devices and access keys.
//!
//! Source: AWS Identity and Access Management API Reference, version 2010-05-08.

use data_encoding::BASE64;
use keyfob_core::message::{ErrorCode, Failure, Password};
use quick_xml::Reader;
use quick_xml::events::Event;
use zeroize::Zeroizing;

use crate::aws_call::{Refused, xml_text};
use crate::cli::time;
use crate::error::failure;
use crate::http::Http;
use crate::profile::Endpoint;
use crate::query::{Repeat, Server};
use crate::signing::{Ask, Credentials};

/// Of the API.
pub const VERSION: &str = "2010-05-08";
/// More pages than any list of a user's has.
const MAX_PAGES: usize = 100;
/// More than any path of elements that is kept has, in elements.
const MAX_DEPTH: usize = 16;

/// IAM's own codes of refusals that something is decided by.
pub mod code {
    /// There is one of that name already.
    pub const EXISTS: &str = "EntityAlreadyExists";
    /// There is none of that name.
    pub const NONE: &str = "NoSuchEntity";
    /// It cannot be deleted, for somebody has it.
    pub const IN_USE: &str = "DeleteConflict";
    /// The codes are not those that the device has now.
    pub const WRONG_CODE: &str = "InvalidAuthenticationCode";
    /// It was changed a moment ago, and cannot be changed again yet.
    pub const NOT_YET: &str = "EntityTemporarilyUnmodifiable";
    /// There are as many as there may be.
    pub const LIMIT: &str = "LimitExceeded";
    /// The policies do not allow it.
    pub const DENIED: [&str; 2] = ["AccessDenied", "AccessDeniedException"];
}

/// IAM at one place, asked with one set of credentials.
#[derive(Clone, Copy)]
pub struct Iam<'a> {
    /// By what it is reached.
    pub http: &'a Http,
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// Who signs: of a session of GetSessionToken only one that was made with MFA may call IAM.
    pub credentials: &'a Credentials,
}

/// A virtual MFA device that has just been made, and that nobody has yet.
#[derive(Debug)]
pub struct NewDevice {
    /// Its ARN: `arn:aws:iam::123456789012:mfa/alice`.
    pub serial: String,
    /// The secret, in base32.
    pub seed: Password,
}

/// An MFA device that a user has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// A virtual one's ARN, a hardware one's serial number.
    pub serial: String,
    /// Whose it is.
    pub user: String,
}

/// An access key that has just been made.
#[derive(Debug)]
pub struct NewAccessKey {
    /// `AKIA…`.
    pub access_key_id: String,
    /// The secret access key, which is told once.
    pub secret_access_key: Password,
    /// Whose it is.
    pub user: String,
}

/// Whether an access key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Active,
    /// It does not, until it is made active again.
    Inactive,
}

impl Status {
    /// As IAM spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }
}

/// What a list tells of an access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA…`.
    pub access_key_id: String,
    /// Whether it works.
    pub status: Status,
    /// When it was made, Unix time in seconds, where that is told.
    pub created: Option<u64>,
}

/// When an access key was used last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUsed {
    /// Whose it is.
    pub user: String,
    /// Unix time in seconds; none if it was never used, as far as IAM knows.
    pub at: Option<u64>,
    /// For which service, `N/A` for none.
    pub service: String,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name, without the path.
    pub name: String,
    /// `arn:aws:iam::123456789012:user/team/alice`.
    pub arn: String,
    /// `AIDA…`.
    pub id: String,
}

impl Iam<'_> {
    /// Makes a virtual MFA device that nobody has yet (CreateVirtualMFADevice). It is not made twice: where the answer is lost, it
    /// may be there.
    ///
    /// # Errors
    /// [`Refused`]; [`code::EXISTS`] where there is one of that name.
    pub fn create_virtual_mfa_device(&self, ask: &mut dyn Ask, name: &str) -> Result<NewDevice, Refused> {
        const ACTION: &str = "CreateVirtualMFADevice";
        let answer = self.call(ask, ACTION, &[("VirtualMFADeviceName", name)], Repeat::Harmful)?;
        let serial = self.server().part(ACTION, &answer, "SerialNumber")?;
        // In base64, as all binary data is, though base32 is text.
        let blob = Zeroizing::new(self.server().part(ACTION, &answer, "Base32StringSeed")?);
        let seed = BASE64.decode(blob.trim().as_bytes()).ok().map(Zeroizing::new);
        let seed = seed.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let seed = seed.map(str::trim).filter(|seed| !seed.is_empty()).ok_or_else(|| {
            let text = format!("{ACTION} gives a device whose secret is none");
            failure(ErrorCode::AwsRefused, text, "see that the endpoint is the right one")
        })?;
        Ok(NewDevice { serial, seed: Password(seed.to_owned()) })
    }

    /// Gives a device to a user, who has shown to have it by two codes in a row (EnableMFADevice).
    ///
    /// # Errors
    /// [`Refused`]; [`code::WRONG_CODE`] where the codes are not right, not in a row, or too old. It is not sent twice by itself,
    /// for a code that was taken once is refused then.
    pub fn enable_mfa_device(
        &self,
        ask: &mut dyn Ask,
        user: &str,
        serial: &str,
        codes: (&str, &str),
    ) -> Result<(), Refused> {
        self.with_codes(ask, "EnableMFADevice", user, serial, codes)
    }

    /// Tells IAM where the clock of a user's device is, by two codes in a row (ResyncMFADevice).
    ///
    /// # Errors
    /// As [`Iam::enable_mfa_device`].
    pub fn resync_mfa_device(
        &self,
        ask: &mut dyn Ask,
        user: &str,
        serial: &str,
        codes: (&str, &str),
    ) -> Result<(), Refused> {
        self.with_codes(ask, "ResyncMFADevice", user, serial, codes)
    }

    fn with_codes(
        &self,
        ask: &mut dyn Ask,
        action: &str,
        user: &str,
        serial: &str,
        (first, second): (&str, &str),
    ) -> Result<(), Refused> {
        let parameters = [
            ("UserName", user),
            ("SerialNumber", serial),
            ("AuthenticationCode1", first),
            ("AuthenticationCode2", second),
        ];
        self.call(ask, action, &parameters, Repeat::Harmful).map(drop)
    }

    /// Takes a device from a user (DeactivateMFADevice). It is there still, as nobody's.
    ///
    /// # Errors
    /// [`Refused`]; [`code::NONE`] where the user has none such.
    pub fn deactivate_mfa_device(&self, ask: &mut dyn Ask, user: &str, serial: &str) -> Result<(), Refused> {
        let parameters = [("UserName", user), ("SerialNumber", serial)];
        self.call(ask, "DeactivateMFADevice", &parameters, Repeat::Harmless).map(drop)
    }

    /// Deletes a virtual device that nobody has (DeleteVirtualMFADevice).
    ///
    /// # Errors
    /// [`Refused`]; [`code::NONE`] where there is none such, `DeleteConflict` where a user has it.
    pub fn delete_virtual_mfa_device(&self, ask: &mut dyn Ask, serial: &str) -> Result<(), Refused> {
        self.call(ask, "DeleteVirtualMFADevice", &[("SerialNumber", serial)], Repeat::Harmless).map(drop)
    }

    /// The devices of a user; without a name, of whoever signs (ListMFADevices).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn list_mfa_devices(&self, ask: &mut dyn Ask, user: Option<&str>) -> Result<Vec<Device>, Refused> {
        let members = self.list(ask, "ListMFADevices", "MFADevices", user)?;
        let device = |member: &Member| {
            Some(Device { serial: member.get("SerialNumber")?, user: member.get("UserName")? })
        };
        Ok(self.each("ListMFADevices", &members, device)?)
    }

    /// Makes an access key for a user; without a name, for whoever signs (CreateAccessKey). It is not made twice: where the answer
    /// is lost, it may be there.
    ///
    /// # Errors
    /// [`Refused`]; [`code::LIMIT`] where the user has two.
    pub fn create_access_key(&self, ask: &mut dyn Ask, user: Option<&str>) -> Result<NewAccessKey, Refused> {
        const ACTION: &str = "CreateAccessKey";
        let answer = self.call(ask, ACTION, &named(user), Repeat::Harmful)?;
        let part = |name| self.server().part(ACTION, &answer, name);
        Ok(NewAccessKey {
            access_key_id: part("AccessKeyId")?,
            secret_access_key: Password(part("SecretAccessKey")?),
            user: part("UserName")?,
        })
    }

    /// The access keys of a user; without a name, of whoever signs (ListAccessKeys).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn list_access_keys(&self, ask: &mut dyn Ask, user: Option<&str>) -> Result<Vec<AccessKey>, Refused> {
        let members = self.list(ask, "ListAccessKeys", "AccessKeyMetadata", user)?;
        let key = |member: &Member| {
            Some(AccessKey {
                access_key_id: member.get("AccessKeyId")?,
                status: match member.get("Status")?.as_str() {
                    "Active" => Status::Active,
                    // Whatever else there may be one day: it does not work.
                    _ => Status::Inactive,
                },
                created: member.get("CreateDate").and_then(|text| time::parse(&text).ok()),
            })
        };
        Ok(self.each("ListAccessKeys", &members, key)?)
    }

    /// Makes an access key work, or not (UpdateAccessKey).
    ///
    /// # Errors
    /// [`Refused`]; [`code::NONE`] where the user has none such.
    pub fn update_access_key(
        &self,
        ask: &mut dyn Ask,
        user: Option<&str>,
        access_key_id: &str,
        status: Status,
    ) -> Result<(), Refused> {
        let mut parameters = named(user);
        parameters.extend([("AccessKeyId", access_key_id), ("Status", status.as_str())]);
        self.call(ask, "UpdateAccessKey", &parameters, Repeat::Harmless).map(drop)
    }

    /// Deletes an access key, for good (DeleteAccessKey).
    ///
    /// # Errors
    /// [`Refused`]; [`code::NONE`] where the user has none such.
    pub fn delete_access_key(
        &self,
        ask: &mut dyn Ask,
        user: Option<&str>,
        access_key_id: &str,
    ) -> Result<(), Refused> {
        let mut parameters = named(user);
        parameters.push(("AccessKeyId", access_key_id));
        self.call(ask, "DeleteAccessKey", &parameters, Repeat::Harmless).map(drop)
    }

    /// When an access key was used last (GetAccessKeyLastUsed); IAM knows some hours later.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn access_key_last_used(&self, ask: &mut dyn Ask, access_key_id: &str) -> Result<LastUsed, Refused> {
        const ACTION: &str = "GetAccessKeyLastUsed";
        let answer = self.call(ask, ACTION, &[("AccessKeyId", access_key_id)], Repeat::Harmless)?;
        Ok(LastUsed {
            user: self.server().part(ACTION, &answer, "UserName")?,
            at: xml_text(&answer, "LastUsedDate").and_then(|text| time::parse(&text).ok()),
            service: xml_text(&answer, "ServiceName").unwrap_or_default(),
        })
    }

    /// A user; without a name, whoever signs (GetUser).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn user(&self, ask: &mut dyn Ask, user: Option<&str>) -> Result<User, Refused> {
        const ACTION: &str = "GetUser";
        let answer = self.call(ask, ACTION, &named(user), Repeat::Harmless)?;
        let part = |name| self.server().part(ACTION, &answer, name);
        Ok(User { name: part("UserName")?, arn: part("Arn")?, id: part("UserId")? })
    }

    fn server(&self) -> Server<'_> {
        Server {
            http: self.http,
            endpoint: &self.endpoint.url,
            region: &self.endpoint.region,
            service: "iam",
            version: VERSION,
        }
    }

    /// Calls an action. The answer may have a secret in it.
    fn call(
        &self,
        ask: &mut dyn Ask,
        action: &str,
        parameters: &[(&str, &str)],
        repeat: Repeat,
    ) -> Result<Zeroizing<String>, Refused> {
        self.server()
            .call(ask, self.credentials, action, parameters, repeat)
            .map_err(|refused| self.explained(refused, action))
    }

    /// What a refusal means here.
    fn explained(&self, mut refused: Refused, action: &str) -> Refused {
        let hint = match refused.code.as_str() {
            denied if code::DENIED.contains(&denied) => {
                let by = match self.credentials {
                    Credentials::Key { .. } => {
                        "; if they ask for MFA, name a device that the user has in the profile (mfa_serial)"
                    }
                    Credentials::Session(_) => "",
                };
                Some(format!("the user's policies do not allow iam:{action}{by}"))
            }
            code::WRONG_CODE => Some(
                "see that the clock is right (`keyfob doctor --clock`), and try again with the next codes"
                    .to_owned(),
            ),
            code::NOT_YET => {
                Some("IAM is still busy with the change before: wait a minute, and try again".to_owned())
            }
            code::LIMIT => Some("delete one that is used no more, or have the limit raised".to_owned()),
            _ => None,
        };
        refused.failure.hint = hint.or(refused.failure.hint);
        refused
    }

    /// All pages of a list.
    fn list(
        &self,
        ask: &mut dyn Ask,
        action: &str,
        list: &str,
        user: Option<&str>,
    ) -> Result<Vec<Member>, Refused> {
        let mut members = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut parameters = named(user);
            parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
            let answer = self.call(ask, action, &parameters, Repeat::Harmless)?;
            let page = Page::read(&answer, list).map_err(|why| no_list(action, &why))?;
            members.extend(page.members);
            marker = page.next;
            if marker.is_none() {
                return Ok(members);
            }
        }
        Err(no_list(action, "it does not end").into())
    }

    fn each<T>(
        &self,
        action: &str,
        members: &[Member],
        read: impl Fn(&Member) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        let read: Option<Vec<T>> = members.iter().map(read).collect();
        read.ok_or_else(|| no_list(action, "something is missing in it"))
    }
}

fn named(user: Option<&str>) -> Vec<(&'static str, &str)> {
    user.map(|user| ("UserName", user)).into_iter().collect()
}

fn no_list(action: &str, why: &str) -> Failure {
    let message = format!("what the server answers to {action} is no list: {why}");
    failure(ErrorCode::AwsRefused, message, "see that the endpoint is the right one")
}

/// One thing of a list: the texts in it, by the names of their elements.
#[derive(Debug, Default, PartialEq, Eq)]
struct Member(Vec<(String, String)>);

impl Member {
    fn get(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text.clone()).filter(|text| !text.is_empty())
    }
}

/// A page of a list: `<…Response><…Result><LIST><member>…</member></LIST><IsTruncated/><Marker/>…`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    members: Vec<Member>,
    /// Where the next one begins.
    next: Option<String>,
}

impl Page {
    fn read(xml: &str, list: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().expand_empty_elements = true;
        let mut page = Self::default();
        let mut open: Vec<String> = Vec::new();
        let mut text = String::new();
        let (mut truncated, mut is_list) = (false, false);
        let broken = |error: &dyn std::fmt::Display| format!("its XML is broken: {error}");
        loop {
            match reader.read_event().map_err(|error| broken(&error))? {
                Event::Start(_) if open.len() >= MAX_DEPTH => return Err("it is too deep".to_owned()),
                Event::Start(start) => {
                    open.push(String::from_utf8_lossy(start.local_name().as_ref()).into_owned());
                    text.clear();
                    let names: Vec<&str> = open.iter().map(String::as_str).collect();
                    match names.as_slice() {
                        [_, _, name] if *name == list => is_list = true,
                        [_, _, name, "member"] if *name == list => page.members.push(Member::default()),
                        _ => {}
                    }
                }
                Event::End(_) => {
                    let names: Vec<&str> = open.iter().map(String::as_str).collect();
                    match names.as_slice() {
                        [_, _, "IsTruncated"] => truncated = text.trim() == "true",
                        [_, _, "Marker"] => page.next = Some(text.trim().to_owned()),
                        [_, _, name, "member", part] if *name == list => {
                            if let Some(member) = page.members.last_mut() {
                                member.0.push(((*part).to_owned(), text.trim().to_owned()));
                            }
                        }
                        _ => {}
                    }
                    open.pop();
                    text.clear();
                }
                Event::Text(part) => text += &part.xml10_content().map_err(|error| broken(&error))?,
                Event::CData(part) => text += &part.xml10_content().map_err(|error| broken(&error))?,
                Event::GeneralRef(reference) => {
                    match reference.resolve_char_ref().map_err(|error| broken(&error))? {
                        Some(c) => text.push(c),
                        None => text.push(match &*reference.decode().map_err(|error| broken(&error))? {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            other => return Err(format!("it has an entity {other:?} in it")),
                        }),
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        if !is_list || !open.is_empty() {
            return Err(if is_list { "it breaks off" } else { "it is something else" }.to_owned());
        }
        page.next = page.next.filter(|marker| truncated && !marker.is_empty());
        if truncated && page.next.is_none() {
            return Err("it says that there is more, but not where".to_owned());
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members, each with its names and texts; where the next page begins.
    type Expected<'a> = (&'a [&'a [(&'a str, &'a str)]], Option<&'a str>);

    #[test]
    fn lists_are_read() {
        #[track_caller]
        fn check(xml: &str, expected: Result<Expected<'_>, &str>) {
            match (Page::read(xml, "MFADevices"), expected) {
                (Ok(page), Ok((members, next))) => {
                    let members: Vec<Member> = members
                        .iter()
                        .map(|parts| {
                            Member(parts.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect())
                        })
                        .collect();
                    assert_eq!(page, Page { members, next: next.map(str::to_owned) }, "{xml}");
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (actual, expected) => panic!("{actual:?} is not {expected:?}: {xml}"),
            }
        }
        let answer = |inside: &str| {
            format!(
                "<ListMFADevicesResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\n <ListMFADevicesResult>\
                 {inside}</ListMFADevicesResult>\n <ResponseMetadata><RequestId>x</RequestId></ResponseMetadata>\
                 </ListMFADevicesResponse>"
            )
        };
        // The sample response of the API reference, with a tag behind it.
        check(
            &answer(
                "<MFADevices>\n <member>\n <UserName>Bob</UserName>\n <SerialNumber>R1234</SerialNumber>\n \
                 <Tags><member><Key>k</Key></member></Tags></member></MFADevices><IsTruncated>false</IsTruncated>",
            ),
            Ok((&[&[("UserName", "Bob"), ("SerialNumber", "R1234"), ("Tags", "")]], None)),
        );
        check(&answer("<MFADevices/><IsTruncated>false</IsTruncated>"), Ok((&[], None)));
        check(
            &answer(
                "<MFADevices><member><UserName>a&amp;b</UserName></member></MFADevices>\
                 <IsTruncated>true</IsTruncated><Marker>m/==</Marker>",
            ),
            Ok((&[&[("UserName", "a&b")]], Some("m/=="))),
        );
        // Where there is no next page, its marker says nothing.
        check(&answer("<MFADevices/><Marker>m</Marker>"), Ok((&[], None)));
        check(&answer("<MFADevices/><IsTruncated>true</IsTruncated>"), Err("not where"));
        check(&answer(""), Err("something else"));
        check("<html><body><MFADevices/></body>", Err("breaks off"));
        check("<a><b><MFADevices>", Err("breaks off"));
        check(&"<a>".repeat(100), Err("too deep"));
        check("", Err("something else"));
        check("<a><b><MFADevices><member><c>&x;</c>", Err("entity"));
    }
}
