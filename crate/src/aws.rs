//! What is known of AWS's names and sign-in pages: account names, sign-in hosts, MFA fields.
//!
//! Every such fact stands in a table of this file. The extension's content script and the manifest's match
//! patterns are generated from these tables, or checked against them, by the tests below.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::message::{Account, AccountKind, AwsFlow, AwsLogin};
use crate::oath::{CredentialId, Kind};
use crate::partition::is_region;

/// A domain whose pages ask for MFA codes: the domain itself and everything under it.
#[derive(Debug, PartialEq, Eq)]
pub struct SignInHost {
    /// The domain; a host belongs to it if it is equal, or ends in it after a dot.
    pub suffix: &'static str,
    /// The partition that signs in there, as ARNs spell it.
    pub partition: &'static str,
    /// Who signs in there, unless the path says otherwise.
    pub flow: AwsFlow,
    /// Whether the extension asks for this host when it is first needed rather than at installation.
    pub optional: bool,
}

impl SignInHost {
    fn match_pattern(&self) -> String {
        ["https://*.", self.suffix, "/*"].concat()
    }
}

/// Every domain on which a code may be filled.
pub const SIGN_IN_HOSTS: &[SignInHost] = &[
    SignInHost { suffix: "signin.aws.amazon.com", partition: "aws", flow: AwsFlow::Iam, optional: false },
    SignInHost { suffix: "signin.aws", partition: "aws", flow: AwsFlow::IdentityCenter, optional: false },
    SignInHost { suffix: "signin.amazonaws.cn", partition: "aws-cn", flow: AwsFlow::Iam, optional: true },
    SignInHost {
        suffix: "signin.amazonaws-us-gov.com",
        partition: "aws-us-gov",
        flow: AwsFlow::Iam,
        optional: true,
    },
    SignInHost {
        suffix: "signin.amazonaws-eusc.eu",
        partition: "aws-eusc",
        flow: AwsFlow::Iam,
        optional: true,
    },
];

/// Identity Center's pages start so; where it shares a host with IAM (GovCloud), the path tells them apart.
const IDENTITY_CENTER_PATH: &str = "/platform/";

/// How the code's field is told from others.
#[derive(Debug, PartialEq, Eq)]
pub enum MfaField {
    /// By a CSS selector that names it exactly.
    Selector(&'static str),
    /// By its accessible name, which holds one of [`MFA_WORDING`]: its id is made up at every load.
    Labelled,
}

/// The MFA step of one generation of pages.
#[derive(Debug, PartialEq, Eq)]
pub struct MfaPage {
    /// Which pages.
    pub generation: &'static str,
    /// Where the code goes.
    pub field: MfaField,
    /// CSS selector of what submits it, in the same form.
    pub submit: &'static str,
    /// How long, in ms, the page's own script takes to be ready for that.
    pub submit_after: u16,
}

/// Every MFA step seen so far, newest first.
pub const MFA_PAGES: &[MfaPage] = &[
    MfaPage {
        generation: "IAM and root, from 2024",
        field: MfaField::Selector("input#mfaCode"),
        submit: "[data-testid=mfa-submit-button]",
        submit_after: 0,
    },
    MfaPage {
        generation: "IAM, before 2024",
        field: MfaField::Selector("#mfacode"),
        submit: "#submitMfa_button",
        submit_after: 0,
    },
    MfaPage {
        generation: "root, about 2021",
        field: MfaField::Selector("#mfaCode"),
        submit: "#mfa_submit_button",
        submit_after: 0,
    },
    MfaPage {
        generation: "root, oldest",
        field: MfaField::Selector("#ap_tokenCode"),
        submit: "#signInSubmit-input",
        submit_after: 0,
    },
    MfaPage {
        generation: "Identity Center",
        field: MfaField::Labelled,
        submit: "[data-testid=test-primary-button]",
        // It puts a token against bots into the form after about 1.5 s.
        submit_after: 2000,
    },
];

/// The page that asks which of several MFA devices to use.
#[derive(Debug, PartialEq, Eq)]
pub struct DeviceChoice {
    /// CSS selector of the radio button "Authenticator app".
    pub radio: &'static str,
    /// CSS selector of the button that goes on.
    pub submit: &'static str,
}

/// The page of several devices, IAM and root, from 2022.
pub const DEVICE_CHOICE: DeviceChoice =
    DeviceChoice { radio: "[value=SWHW]", submit: "[data-testid=mfa-continue-button]" };

/// What a field of an earlier step holds, as the content script spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginField {
    /// The account's id or alias; on the first step, root's email address may be in its place.
    Account,
    /// The name of the user.
    User,
}

/// Fields of the steps before, as CSS selectors: who signs in, which chooses the code.
pub const LOGIN_FIELDS: &[(LoginField, &str)] = &[
    // IAM, until now.
    (LoginField::Account, "#account"),
    (LoginField::User, "#username"),
    // The first step, for root and for users of any account.
    (LoginField::Account, "#resolving_input"),
    // Identity Center and Builder ID: the component's input, and that of generations before.
    (LoginField::User, "#username-input,#username-input input"),
    (LoginField::User, "#awsui-input-0"),
    (LoginField::User, "[autocomplete~=username i]"),
];

/// What the accessible name of a field for the code holds, in lower case: one of these is enough. Translations keep "MFA".
pub const MFA_WORDING: &[&str] = &["mfa"];

/// Or one of these with one of [`CODE_WORDING`]: the authenticator app, in the languages of AWS's pages.
pub const AUTHENTICATOR_WORDING: &[&str] = &[
    "authenticat",
    "authentificat",
    "authentifizier",
    "authentifik",
    "autenticador",
    "autenticaci",
    "autenticaç",
    "autenticator",
    "autenticazion",
    "autentika",
    "kimlik doğrula",
    "認証",
    "认证",
    "認證",
    "身份验证",
    "驗證器",
    "인증",
    "مصادقة",
];

/// A code, in the languages of AWS's pages.
pub const CODE_WORDING: &[&str] = &[
    "code",
    "código",
    "codigo",
    "codice",
    "kode",
    "kod",
    "コード",
    "代码",
    "代碼",
    "验证码",
    "驗證碼",
    "코드",
    "رمز",
];

/// A page that may ask for a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInPage {
    /// Partition that signs in there, as ARNs spell it.
    pub partition: &'static str,
    /// Who signs in there.
    pub flow: AwsFlow,
    /// The account id or alias that the host name begins with, if it does.
    pub account: Option<String>,
}

/// Which sign-in the origin `https://HOST` belongs to; none if it is not one of AWS's.
#[must_use]
pub fn signin_flow(origin: &str) -> Option<AwsFlow> {
    let host = origin.strip_prefix("https://")?;
    sign_in_host(host).map(|(table, _)| table.flow)
}

/// The match pattern, as the extension's manifest spells it, under which the page at `url` is one of AWS's
/// sign-in pages; none if it is not.
#[must_use]
pub fn match_pattern(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    sign_in_host(host).map(|(table, _)| table.match_pattern())
}

/// What the address of a page says about the sign-in there; none if it is not on one of AWS's sign-in hosts.
#[must_use]
pub fn sign_in_page(url: &str) -> Option<SignInPage> {
    let rest = url.strip_prefix("https://")?;
    let (host, path) = rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    let (table, labels) = sign_in_host(host)?;
    let flow = if path.starts_with(IDENTITY_CENTER_PATH) { AwsFlow::IdentityCenter } else { table.flow };
    // One label before the domain is a region, an account's id or its alias.
    let account = (flow == AwsFlow::Iam && !labels.is_empty() && !labels.contains('.') && !is_region(labels))
        .then(|| labels.to_string());
    Some(SignInPage { partition: table.partition, flow, account })
}

/// How the path and query begin that sign in to the console with a token.
const CONSOLE_LOGIN: &str = "/federation?Action=login&";

/// Whether the address signs in to the console with a token, at AWS's own sign-in and nowhere else.
///
/// Source: "Enabling custom identity broker access to the AWS console", IAM User Guide.
#[must_use]
pub fn is_console_login(url: &str) -> bool {
    let rest = url.strip_prefix("https://").and_then(|rest| rest.find('/').map(|slash| rest.split_at(slash)));
    rest.is_some_and(|(host, path)| {
        sign_in_host(host).is_some_and(|(table, _)| table.flow == AwsFlow::Iam)
            && path.starts_with(CONSOLE_LOGIN)
            && all(path, u8::is_ascii_graphic)
    })
}

/// The row of the table and the labels before its domain. A port, a user, a trailing dot or a capital letter
/// makes it none: browsers' origins have none of these on the default port.
fn sign_in_host(host: &str) -> Option<(&'static SignInHost, &str)> {
    let clean = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !host.split('.').all(clean) {
        return None;
    }
    SIGN_IN_HOSTS.iter().find_map(|table| {
        let before = host.strip_suffix(table.suffix)?;
        let labels = if before.is_empty() { before } else { before.strip_suffix('.')? };
        Some((table, labels))
    })
}

/// Whether the address is made to be taken for one of AWS's sign-in pages, and is none: `https` missing, or a
/// sign-in domain as a mere part of the host. For a warning; nothing is ever filled there anyway.
#[must_use]
pub fn is_lookalike(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let names_one = SIGN_IN_HOSTS.iter().any(|table| {
        // "signin.aws" and "signin-aws" alike.
        let squashed = |text: &str| text.replace(['.', '-'], " ");
        squashed(&authority.to_ascii_lowercase()).contains(&squashed(table.suffix))
    });
    names_one && sign_in_page(url).is_none()
}

/// What the name of an IAM user's or root's account begins with.
const IAM_ISSUER: &str = "Amazon Web Services:";

/// The AWS login that an OATH account's name speaks of: `Amazon Web Services:DEVICE@ACCOUNT`,
/// `AWS SSO:USER`, or the ARN of a virtual MFA device. Any other name is none, and so is an identity's.
///
/// Browsers are shown accounts for which this answers, and no others: a name that only contains one of
/// these shapes is not one. A name that the key keeps cut says no account.
#[must_use]
pub fn login(account_name: &str) -> Option<AwsLogin> {
    if let Some(label) = account_name.strip_prefix(IAM_ISSUER) {
        let whole = without_cut_mark(label);
        let (device, account) = match whole.rsplit_once('@') {
            // What a cut name has lost is its end, and with it the account: another "@" is the device's own.
            Some((device, account)) if whole == label && is_account(account) => {
                (device, Some(account.to_string()))
            }
            _ => (whole, None),
        };
        return is_device(device).then(|| AwsLogin { account, device: device.into(), flow: AwsFlow::Iam });
    }
    if let Some(user) = account_name.strip_prefix("AWS SSO:") {
        let printable = !user.is_empty() && !user.chars().any(char::is_control);
        return printable.then(|| AwsLogin {
            account: None,
            device: without_cut_mark(user).into(),
            flow: AwsFlow::IdentityCenter,
        });
    }
    let arn = MfaArn::parse(account_name)?;
    Some(AwsLogin { account: Some(arn.account.into()), device: arn.device.into(), flow: AwsFlow::Iam })
}

/// `arn:PARTITION:iam::ACCOUNT:mfa/[path/]DEVICE`: a virtual MFA device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MfaArn<'a> {
    /// `aws`, `aws-cn`, …
    pub partition: &'a str,
    /// Twelve digits.
    pub account: &'a str,
    /// The device's name, without its path.
    pub device: &'a str,
}

impl<'a> MfaArn<'a> {
    /// Reads an ARN; none if it is not one of a virtual MFA device.
    #[must_use]
    pub fn parse(arn: &'a str) -> Option<Self> {
        let (partition, rest) = arn.strip_prefix("arn:")?.split_once(":iam::")?;
        let (account, resource) = rest.split_once(":mfa/")?;
        let resource = without_cut_mark(resource);
        let (path, device) = resource.rsplit_once('/').unwrap_or(("", resource));
        let is_partition = partition == "aws"
            || partition
                .strip_prefix("aws-")
                .is_some_and(|rest| !rest.is_empty() && all(rest, |b| b.is_ascii_lowercase() || *b == b'-'));
        (is_partition && is_account_id(account) && all(path, u8::is_ascii_graphic) && is_device(device))
            .then_some(Self { partition, account, device })
    }
}

/// Names over 64 bytes end in `~` and eight characters of their hash on the key: what stands before.
fn without_cut_mark(name: &str) -> &str {
    match name.rsplit_once('~') {
        Some((prefix, hash)) if hash.len() == 8 && all(hash, u8::is_ascii_alphanumeric) => prefix,
        _ => name,
    }
}

fn all(text: &str, predicate: impl Fn(&u8) -> bool) -> bool {
    text.as_bytes().iter().all(predicate)
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && all(text, u8::is_ascii_digit)
}

/// An account id, or an alias as IAM allows it: 3 to 63 of `a-z0-9-`, no hyphen at either end.
fn is_account(text: &str) -> bool {
    is_account_id(text)
        || ((3..=63).contains(&text.len())
            && all(text, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-'))
}

/// IAM's `[\w+=,.@-]+`.
pub(crate) fn is_device(text: &str) -> bool {
    !text.is_empty() && all(text, |b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(b))
}

/// Who signs in, as far as a person has told the page in an earlier step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// An account's id or alias, as AWS spells it.
    account: Option<String>,
    /// The name of a user.
    user: Option<String>,
    /// An account's root, which signs in with its email address.
    root: bool,
}

/// The name that AWS gives the MFA device of root.
const ROOT_DEVICE: &str = "root-account-mfa-device";

impl Login {
    /// From what the fields of [`LOGIN_FIELDS`] held, as it was typed.
    #[must_use]
    pub fn new(account: Option<&str>, user: Option<&str>) -> Self {
        let account = account.map(|typed| typed.trim().to_ascii_lowercase());
        let root = account.as_ref().is_some_and(|typed| typed.contains('@'));
        let account = account.filter(|_| !root).map(|typed| {
            // People write an id in groups of four.
            let digits = typed.replace(['-', ' '], "");
            if is_account_id(&digits) { digits } else { typed }
        });
        let user = user.map(str::trim).filter(|user| !root && !user.is_empty()).map(str::to_string);
        Self { account: account.filter(|account| is_account(account)), user, root }
    }
}

/// A device's name and the number that follows it where one more was set up beside an old one: `alice-2` is the second of
/// `alice`. A name without a number is the first of itself.
///
/// This is how a free name is found for an account whose own is taken.
#[must_use]
pub fn numbered(device: &str) -> (&str, usize) {
    match device.rsplit_once('-') {
        Some((stem, digits)) if !stem.is_empty() && !digits.starts_with('0') && digits.len() < 3 => {
            digits.parse().map_or((device, 1), |number| (stem, number))
        }
        _ => (device, 1),
    }
}

/// So many devices that were set up one after another under one user's name are looked for.
const MAX_NUMBER: usize = 9;

/// Which of the devices that were set up for `user` an account is, if its name says so: the user's own name, or one with
/// a higher [number](numbered). A name that is cut is compared as the key would cut it.
fn device_of(user: &str, account: &Account, login: &AwsLogin, known: Option<&str>) -> Option<usize> {
    let (device, number) = numbered(&login.device);
    let (stem, first) = numbered(user);
    if login.device.eq_ignore_ascii_case(user) {
        return Some(first);
    }
    if device.eq_ignore_ascii_case(stem) && number > first {
        return Some(number);
    }
    if without_cut_mark(&account.name) == account.name {
        return None;
    }
    (first..=first + MAX_NUMBER).find(|number| {
        let device =
            if *number == first { user.to_string() } else { [stem, "-", &number.to_string()].concat() };
        let full = match (login.flow, known) {
            (AwsFlow::IdentityCenter, _) => ["AWS SSO:", &device].concat(),
            (AwsFlow::Iam, Some(known)) => [IAM_ISSUER, &device, "@", known].concat(),
            (AwsFlow::Iam, None) => return false,
        };
        CredentialId::for_name(Kind::Totp, account.period.max(1), &full)
            .is_ok_and(|id| id.name(Kind::Totp) == account.name)
    })
}

/// The accounts whose code may belong into a page, the likeliest first.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// Those that fit.
    pub accounts: Vec<&'a Account>,
    /// So many of the first fit what is known of the login best, and equally well; none of them if what is known speaks
    /// against all.
    pub likely: usize,
    /// What is known of the login, to remember a choice by; none if that is nothing.
    pub login: Option<String>,
}

/// [`candidates`], in the order in which they fit what the person told the page before: the account, then the user, whose
/// name devices often have.
#[must_use]
pub fn choose<'a>(accounts: &'a [Account], page: &SignInPage, login: &Login) -> Choice<'a> {
    let known = page.account.as_ref().or(login.account.as_ref()).filter(|_| page.flow == AwsFlow::Iam);
    let user = login.user.as_deref();
    let root = login.root && page.flow == AwsFlow::Iam;
    /// From here on, what was told speaks against it.
    const AGAINST: u8 = 4;
    // How well it fits, and of those that were set up one after another the newest first.
    let rank = |account: &Account| {
        let Some(ours) = self::login(&account.name) else { return (AGAINST, 0) };
        let is_root = ours.device == ROOT_DEVICE;
        let number = user.and_then(|user| device_of(user, account, &ours, known.map(String::as_str)));
        let is_cut = without_cut_mark(&account.name) != account.name;
        let same_account = match (&ours.account, known) {
            (Some(ours), Some(known)) if ours == known => 0,
            // An alias cannot be told from the id of the same account.
            (Some(ours), Some(known)) if is_account_id(ours) == is_account_id(known) => return (AGAINST, 0),
            // What a cut name was cut from holds the account.
            (None, Some(_)) if is_cut && number.is_some() => 0,
            _ => 2,
        };
        if user.is_some() && is_root && page.flow == AwsFlow::Iam {
            return (AGAINST, 0);
        }
        let same_user = (root && is_root) || number.is_some();
        (same_account + u8::from(!same_user), number.unwrap_or(0))
    };
    let mut ranked: Vec<((u8, usize), &Account)> =
        candidates(accounts, page).into_iter().map(|account| (rank(account), account)).collect();
    ranked.sort_by_key(|((rank, number), _)| (*rank, Reverse(*number)));
    let best = ranked.first().map_or(AGAINST, |((rank, _), _)| *rank);
    let likely =
        if best < AGAINST { ranked.iter().filter(|((rank, _), _)| *rank == best).count() } else { 0 };
    let who = if root { Some("root") } else { user };
    let of = if page.flow == AwsFlow::IdentityCenter {
        "identity-center"
    } else {
        known.map_or("", String::as_str)
    };
    // Whoever has set up one more device chooses anew: what was chosen before it was there may be the one that was lost.
    let numbers = || ranked.iter().take(likely).map(|((_, number), _)| *number);
    let newest = if user.is_some() {
        numbers().max().filter(|max| numbers().any(|number| number < *max))
    } else {
        newest(ranked.iter().take(likely).map(|(_, account)| *account))
    };
    let newest = newest.map(|number| [" (", &number.to_string(), ")"].concat()).unwrap_or_default();
    let login = (known.is_some() || who.is_some())
        .then(|| [page.partition, ":", of, ":", who.unwrap_or_default(), &newest].concat());
    Choice { accounts: ranked.into_iter().map(|(_, account)| account).collect(), likely, login }
}

/// The highest number of a device that has one with a lower number beside it.
fn newest<'a>(accounts: impl Iterator<Item = &'a Account>) -> Option<usize> {
    let logins: Vec<AwsLogin> = accounts.filter_map(|account| self::login(&account.name)).collect();
    let numbers = logins.iter().filter_map(|ours| {
        let (stem, number) = numbered(&ours.device);
        let follows = |other: &AwsLogin| {
            let (theirs, before) = numbered(&other.device);
            other.account == ours.account && theirs == stem && before < number
        };
        logins.iter().any(follows).then_some(number)
    });
    numbers.max()
}

/// The accounts whose code may belong into `page`, in the key's order: those of its flow and partition, and
/// of its account where both sides name it in the same way. Codes that are not six digits of the time are
/// none of AWS's.
#[must_use]
pub fn candidates<'a>(accounts: &'a [Account], page: &SignInPage) -> Vec<&'a Account> {
    let fits = |account: &&Account| {
        let Some(login) = login(&account.name) else { return false };
        let partition = MfaArn::parse(&account.name).is_none_or(|arn| arn.partition == page.partition);
        let digits = account.digits.is_none_or(|digits| digits == 6);
        // An id cannot be told from an alias of the same account, so only equal kinds are compared.
        let same_account = match (&login.account, &page.account) {
            (Some(ours), Some(theirs)) => ours == theirs || is_account_id(ours) != is_account_id(theirs),
            _ => true,
        };
        account.kind == AccountKind::Totp && login.flow == page.flow && partition && digits && same_account
    };
    let fitting: Vec<&Account> = accounts.iter().filter(fits).collect();
    let named: Vec<&Account> = fitting
        .iter()
        .copied()
        .filter(|account| {
            page.account.is_some() && login(&account.name).is_some_and(|login| login.account == page.account)
        })
        .collect();
    if named.is_empty() { fitting } else { named }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    #[test]
    fn sign_in_origins() {
        #[track_caller]
        fn check(origin: &str, expected: Option<AwsFlow>) {
            assert_eq!(signin_flow(origin), expected, "{origin}");
        }
        let (iam, center) = (Some(AwsFlow::Iam), Some(AwsFlow::IdentityCenter));
        check("https://signin.aws.amazon.com", iam);
        check("https://us-east-1.signin.aws.amazon.com", iam);
        check("https://123456789012.signin.aws.amazon.com", iam);
        check("https://my-alias.signin.aws.amazon.com", iam);
        check("https://us-east-1.signin.aws", center);
        check("https://us-east-1.sso.signin.aws", center);
        check("https://cn-north-1.signin.amazonaws.cn", iam);
        check("https://us-gov-west-1.signin.amazonaws-us-gov.com", iam);
        check("https://eusc-de-east-1.signin.amazonaws-eusc.eu", iam);

        check("https://signin.aws.amazon.com.evil.test", None);
        check("https://signin.aws.amazon.com.haqm.com", None);
        check("https://evilsignin.aws.amazon.com", None);
        check("https://signin-aws.amazon.com", None);
        check("https://signinXaws.amazon.com", None);
        check("https://aws.amazon.com", None);
        check("https://console.aws.amazon.com", None);
        check("https://aws", None);
        check("https://evil.aws", None);
        check("http://signin.aws.amazon.com", None);
        check("https://signin.aws.amazon.com:443", None);
        check("https://signin.aws.amazon.com:8443", None);
        check("https://signin.aws.amazon.com.", None);
        check("https://.signin.aws.amazon.com", None);
        check("https://a..signin.aws.amazon.com", None);
        check("https://SIGNIN.aws.amazon.com", None);
        check("https://user@signin.aws.amazon.com", None);
        check("https://evil.test/signin.aws.amazon.com", None);
        check("https://evil.test#.signin.aws.amazon.com", None);
        check("https://evil.test\\.signin.aws.amazon.com", None);
        check("https://ünïcode.signin.aws.amazon.com", None);
        check(" https://signin.aws.amazon.com", None);
        check("HTTPS://signin.aws.amazon.com", None);
        check("https://", None);
        check("null", None);
        check("", None);
    }

    #[test]
    fn sign_in_pages() {
        #[track_caller]
        fn check(url: &str, expected: Option<(&'static str, AwsFlow, Option<&str>)>) {
            let expected = expected.map(|(partition, flow, account)| SignInPage {
                partition,
                flow,
                account: account.map(str::to_string),
            });
            assert_eq!(sign_in_page(url), expected, "{url}");
        }
        let (iam, center) = (AwsFlow::Iam, AwsFlow::IdentityCenter);
        check("https://signin.aws.amazon.com/oauth?client_id=x", Some(("aws", iam, None)));
        check("https://us-east-1.signin.aws.amazon.com/signin?x", Some(("aws", iam, None)));
        check("https://123456789012.signin.aws.amazon.com", Some(("aws", iam, Some("123456789012"))));
        check("https://acme-dev-9x.signin.aws.amazon.com/console", Some(("aws", iam, Some("acme-dev-9x"))));
        check("https://us-east-1.signin.aws/platform/d-9067642ac7/login", Some(("aws", center, None)));
        check("https://us-east-1.sso.signin.aws/x", Some(("aws", center, None)));
        check("https://us-gov-west-1.signin.amazonaws-us-gov.com/", Some(("aws-us-gov", iam, None)));
        check(
            "https://us-gov-west-1.signin.amazonaws-us-gov.com/platform/d-1/login",
            Some(("aws-us-gov", center, None)),
        );
        check("https://eusc-de-east-1.signin.amazonaws-eusc.eu/", Some(("aws-eusc", iam, None)));
        check("https://signin.aws.amazon.com.evil.test/", None);
        check("https://evil.test/https://signin.aws.amazon.com/", None);
        check("https://evil.test?.signin.aws.amazon.com/", None);
        check("https://signin.aws.amazon.com@evil.test/", None);
        check("https://signin.aws.amazon.com:8443/", None);
        check("http://signin.aws.amazon.com/", None);
        check("about:blank", None);
    }

    #[test]
    fn match_patterns() {
        #[track_caller]
        fn check(url: &str, expected: Option<&str>) {
            assert_eq!(match_pattern(url).as_deref(), expected, "{url}");
        }
        check("https://us-east-1.signin.aws/platform/", Some("https://*.signin.aws/*"));
        check("https://signin.amazonaws-us-gov.com", Some("https://*.signin.amazonaws-us-gov.com/*"));
        check("https://signin.aws.amazon.com.evil.test/", None);
        check("http://signin.aws.amazon.com/", None);
    }

    #[test]
    fn lookalikes() {
        #[track_caller]
        fn check(url: &str, expected: bool) {
            assert_eq!(is_lookalike(url), expected, "{url}");
        }
        check("https://signin.aws.amazon.com.evil.test/oauth", true);
        check("https://us-east-1.signin.aws.evil.test/platform/", true);
        check("https://signin-aws-amazon-com.evil.test/", true);
        check("https://signin.aws.haqm.com/", true);
        check("https://signin.aws.amazon.com@evil.test/", true);
        check("http://signin.aws.amazon.com/", true);
        check("https://signin.aws.amazon.com:8443/", true);
        check("https://Signin.AWS.amazon.com.evil.test/", true);
        check("https://signin.aws.amazon.com/", false);
        check("https://us-east-1.signin.aws/platform/d-1/login", false);
        check("https://evil.test/signin.aws.amazon.com", false);
        check("https://docs.aws.amazon.com/signin/", false);
        check("about:blank", false);
    }

    #[test]
    fn logins_to_the_console() {
        #[track_caller]
        fn check(url: &str, expected: bool) {
            assert_eq!(is_console_login(url), expected, "{url}");
        }
        let rest = "/federation?Action=login&Issuer=keyfob&Destination=https%3A%2F%2Fconsole.aws.amazon.com&SigninToken=a-b_c";
        for host in [
            "signin.aws.amazon.com",
            "eu-west-1.signin.aws.amazon.com",
            "signin.amazonaws.cn",
            "signin.amazonaws-us-gov.com",
            "signin.amazonaws-eusc.eu",
        ] {
            check(&format!("https://{host}{rest}"), true);
            check(&format!("http://{host}{rest}"), false);
            check(&format!("https://{host}:8443{rest}"), false);
            check(&format!("https://{host}.evil.test{rest}"), false);
            check(&format!("https://{host}@evil.test{rest}"), false);
            check(&format!("https://evil.test/{host}{rest}"), false);
            check(&format!("https://{host}\\.evil.test{rest}"), false);
            check(&format!("https://{host}?{rest}"), false);
            check(&format!("https://{host}{rest}\n"), false);
            check(&format!("https://{host}{rest}\u{202e}"), false);
            check(&format!("https://{host}/oauth?Action=login&SigninToken=a"), false);
            check(&format!("https://{host}/federation?Action=getSigninToken&Session=a"), false);
        }
        check(&format!("https://evilsignin.aws.amazon.com{rest}"), false);
        // Identity Center has no such tokens.
        check(&format!("https://us-east-1.signin.aws{rest}"), false);
        check("https://signin.aws.amazon.com", false);
        check("javascript:alert(1)", false);
        check("", false);
    }

    #[test]
    fn account_names() {
        #[track_caller]
        fn check(name: &str, expected: Option<(Option<&str>, &str, AwsFlow)>) {
            let expected = expected.map(|(account, device, flow)| AwsLogin {
                account: account.map(str::to_string),
                device: device.into(),
                flow,
            });
            assert_eq!(login(name), expected, "{name}");
        }
        let (iam, center) = (AwsFlow::Iam, AwsFlow::IdentityCenter);
        let id = "123456789012";
        check("Amazon Web Services:alice@123456789012", Some((Some(id), "alice", iam)));
        check(
            "Amazon Web Services:root-account-mfa-device@123456789012",
            Some((Some(id), "root-account-mfa-device", iam)),
        );
        check("Amazon Web Services:a.b+c=d,e_f-g@acme-dev", Some((Some("acme-dev"), "a.b+c=d,e_f-g", iam)));
        check("Amazon Web Services:me@example.com@acme", Some((Some("acme"), "me@example.com", iam)));
        check("Amazon Web Services:me@example.com", Some((None, "me@example.com", iam)));
        check("Amazon Web Services:phone", Some((None, "phone", iam)));
        check(
            "Amazon Web Services:a-very-long-device-name-indeed-it-is~1A2b3C4d",
            Some((None, "a-very-long-device-name-indeed-it-is", iam)),
        );
        // What is cut off is the account, whatever else there is behind an "@".
        check(
            "Amazon Web Services:bartholomew.featherstonehaugh@acmec~7lsis6p2",
            Some((None, "bartholomew.featherstonehaugh@acmec", iam)),
        );
        check("AWS SSO:alice", Some((None, "alice", center)));
        check("AWS SSO:älice@example.com", Some((None, "älice@example.com", center)));
        check("arn:aws:iam::123456789012:mfa/alice", Some((Some(id), "alice", iam)));
        check("arn:aws-us-gov:iam::123456789012:mfa/team/x/alice", Some((Some(id), "alice", iam)));

        check("Evil:Amazon Web Services:x@1", None);
        check("Evil:Amazon Web Services:x@123456789012", None);
        check("Evil:AWS SSO:alice", None);
        check("Evil:arn:aws:iam::123456789012:mfa/alice", None);
        check(" Amazon Web Services:alice@123456789012", None);
        check("amazon web services:alice@123456789012", None);
        check("Amazon Web Services", None);
        check("Amazon Web Services:", None);
        check("Amazon Web Services:@123456789012", None);
        check("Amazon Web Services:al ice@123456789012", None);
        check("Amazon Web Services:alice:x@123456789012", None);
        check("Amazon Web Services Evil:alice@123456789012", None);
        check("Amazon Web Services:álice@123456789012", None);
        check("AWS SSO:", None);
        check("AWS SSO:a\nb", None);
        check("AWS:alice", None);
        check("GitHub:alice", None);
        check("arn:aws:iam::12345678901:mfa/alice", None);
        check("arn:aws:iam::12345678901x:mfa/alice", None);
        check("arn:aws:iam:us-east-1:123456789012:mfa/alice", None);
        check("arn:aws:iam::123456789012:mfa/", None);
        check("arn:aws:iam::123456789012:mfa/alice/", None);
        check("arn:aws:iam::123456789012:u2f/alice", None);
        check("arn:aws:iam::123456789012:user/alice", None);
        check("arn:evil:iam::123456789012:mfa/alice", None);
        check("arn:aws-:iam::123456789012:mfa/alice", None);
        check("exile-AKIAIOSFODNN7EXAMPLE-SigV4", None);
        check("exile-AKIAIOSFODNN7EXAMPLE-HmacV1", None);
        check("", None);
    }

    #[test]
    fn candidates_belong_to_the_page() {
        #[track_caller]
        fn check(url: &str, expected: &[&str]) {
            let totp = |name: &str| Account {
                name: name.into(),
                issuer: None,
                kind: AccountKind::Totp,
                period: 30,
                digits: Some(6),
                touch: Some(true),
                aws: login(name),
                code: None,
            };
            let accounts = [
                totp("Amazon Web Services:alice@123456789012"),
                totp("Amazon Web Services:bob@acme-dev"),
                totp("Amazon Web Services:carol@210987654321"),
                totp("AWS SSO:alice"),
                totp("arn:aws-us-gov:iam::123456789012:mfa/gov"),
                totp("GitHub:alice"),
                totp("exile-AKIAIOSFODNN7EXAMPLE-SigV4"),
                Account { kind: AccountKind::Hotp, period: 0, ..totp("Amazon Web Services:h@123456789012") },
                Account { digits: Some(8), ..totp("Amazon Web Services:e@123456789012") },
            ];
            let page = sign_in_page(url).unwrap();
            let names: Vec<&str> = candidates(&accounts, &page).iter().map(|a| a.name.as_str()).collect();
            assert_eq!(names, expected, "{url}");
        }
        let [alice, bob, carol] = [
            "Amazon Web Services:alice@123456789012",
            "Amazon Web Services:bob@acme-dev",
            "Amazon Web Services:carol@210987654321",
        ];
        check("https://signin.aws.amazon.com/oauth", &[alice, bob, carol]);
        check("https://us-east-1.signin.aws.amazon.com/oauth", &[alice, bob, carol]);
        check("https://123456789012.signin.aws.amazon.com/", &[alice]);
        check("https://acme-dev.signin.aws.amazon.com/", &[bob]);
        // The alias may be of either account with an id, and is certainly not another alias.
        check("https://other.signin.aws.amazon.com/", &[alice, carol]);
        check("https://999999999999.signin.aws.amazon.com/", &[bob]);
        check("https://us-east-1.signin.aws/platform/d-1/login", &["AWS SSO:alice"]);
        check(
            "https://us-gov-west-1.signin.amazonaws-us-gov.com/oauth",
            &[alice, bob, carol, "arn:aws-us-gov:iam::123456789012:mfa/gov"],
        );
    }

    fn extension() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../extension"))
    }

    #[test]
    fn the_earlier_step_chooses() {
        #[track_caller]
        fn check(
            url: &str,
            account: &str,
            user: &str,
            expected: &[&str],
            likely: usize,
            login_is: Option<&str>,
        ) {
            let totp = |name: &str| Account {
                name: name.into(),
                issuer: None,
                kind: AccountKind::Totp,
                period: 30,
                digits: Some(6),
                touch: Some(true),
                aws: login(name),
                code: None,
            };
            let accounts = [
                totp("Amazon Web Services:alice@123456789012"),
                totp("Amazon Web Services:phone@123456789012"),
                totp("Amazon Web Services:root-account-mfa-device@123456789012"),
                totp("Amazon Web Services:alice@acme-dev"),
                totp("Amazon Web Services:bob@210987654321"),
                totp("Amazon Web Services:any"),
                totp("AWS SSO:alice"),
                totp("AWS SSO:bob"),
            ];
            let given = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
            let typed = Login::new(given(account).as_deref(), given(user).as_deref());
            let page = sign_in_page(url).unwrap();
            let choice = choose(&accounts, &page, &typed);
            let short = |name: &str| {
                name.replace("Amazon Web Services:", "").replace("root-account-mfa-device", "root")
            };
            let names: Vec<String> = choice.accounts.iter().map(|a| short(&a.name)).collect();
            assert_eq!(names, expected, "{url} {typed:?}");
            assert_eq!(choice.likely, likely, "{url} {typed:?}");
            assert_eq!(choice.login.as_deref(), login_is, "{url} {typed:?}");
        }
        let [iam, center] =
            ["https://signin.aws.amazon.com/oauth", "https://us-east-1.signin.aws/platform/d-1/login"];
        let (a1, p1, r1) = ("alice@123456789012", "phone@123456789012", "root@123456789012");
        let (a2, b3, any) = ("alice@acme-dev", "bob@210987654321", "any");
        check(iam, "", "", &[a1, p1, r1, a2, b3, any], 6, None);
        check(iam, "123456789012", "alice", &[a1, p1, a2, any, r1, b3], 1, Some("aws:123456789012:alice"));
        check(
            iam,
            "1234-5678-9012",
            " Alice ",
            &[a1, p1, a2, any, r1, b3],
            1,
            Some("aws:123456789012:Alice"),
        );
        // A device that has another name may be the user's all the same.
        check(iam, "123456789012", "carol", &[a1, p1, a2, any, r1, b3], 2, Some("aws:123456789012:carol"));
        check(iam, "210987654321", "carol", &[b3, a2, any, a1, p1, r1], 1, Some("aws:210987654321:carol"));
        check(iam, "ACME-dev", "alice", &[a2, a1, p1, b3, any, r1], 1, Some("aws:acme-dev:alice"));
        // The alias may be of either account with an id.
        check(iam, "other", "bob", &[b3, a1, p1, any, r1, a2], 1, Some("aws:other:bob"));
        check(iam, "", "alice", &[a1, a2, p1, b3, any, r1], 2, Some("aws::alice"));
        check(iam, "me@example.com", "", &[r1, a1, p1, a2, b3, any], 1, Some("aws::root"));
        // What was typed speaks against it: nothing is likely, but all may be chosen.
        check(iam, "999999999999", "x", &[a2, any, a1, p1, r1, b3], 2, Some("aws:999999999999:x"));
        // The host's name goes before.
        check(
            "https://123456789012.signin.aws.amazon.com/",
            "acme-dev",
            "phone",
            &[p1, a1, r1],
            1,
            Some("aws:123456789012:phone"),
        );
        check(
            center,
            "123456789012",
            "ALICE",
            &["AWS SSO:alice", "AWS SSO:bob"],
            1,
            Some("aws:identity-center:ALICE"),
        );
        check(center, "", "", &["AWS SSO:alice", "AWS SSO:bob"], 2, None);
        check(center, "", "carol", &["AWS SSO:alice", "AWS SSO:bob"], 2, Some("aws:identity-center:carol"));
    }

    fn totp(name: &str) -> Account {
        Account {
            name: name.into(),
            issuer: None,
            kind: AccountKind::Totp,
            period: 30,
            digits: Some(6),
            touch: Some(true),
            aws: login(name),
            code: None,
        }
    }

    /// Chooses among accounts, after an account and a user were typed: which are likely, and for which login.
    #[track_caller]
    fn check_likely(names: &[&str], url: &str, typed: (&str, &str), expected: &[&str], login_is: &str) {
        let accounts: Vec<Account> = names.iter().map(|name| totp(name)).collect();
        let choice =
            choose(&accounts, &sign_in_page(url).unwrap(), &Login::new(Some(typed.0), Some(typed.1)));
        let likely: Vec<&str> = choice.accounts.iter().take(choice.likely).map(|a| a.name.as_str()).collect();
        assert_eq!(likely, expected, "{typed:?}");
        assert_eq!(choice.login.as_deref(), Some(login_is), "{typed:?}");
    }

    #[test]
    fn a_second_device_of_the_user_is_as_likely_as_the_first() {
        let [iam, center] =
            ["https://signin.aws.amazon.com/oauth", "https://us-east-1.signin.aws/platform/d-1/login"];
        let id = "123456789012";
        let [one, two, three, other] = ["alice", "alice-2", "alice-3", "alice-x"]
            .map(|device| ["Amazon Web Services:", device, "@123456789012"].concat());
        let (one, two, three, other) = (&*one, &*two, &*three, &*other);
        let all = [one, three, two, other];
        check_likely(&all, iam, (id, "alice"), &[three, two, one], "aws:123456789012:alice (3)");
        check_likely(&all, iam, (id, "alice-2"), &[three, two], "aws:123456789012:alice-2 (3)");
        check_likely(&all, iam, (id, "alice-x"), &[other], "aws:123456789012:alice-x");
        check_likely(&[two, other], iam, (id, "alice"), &[two], "aws:123456789012:alice");
        check_likely(&[one, two], iam, (id, ""), &[one, two], "aws:123456789012: (2)");
        check_likely(&[one, other], iam, (id, ""), &[one, other], "aws:123456789012:");
        let (one, two) = ("AWS SSO:alice", "AWS SSO:alice-2");
        check_likely(&[one, two], center, ("", "alice"), &[two, one], "aws:identity-center:alice (2)");
    }

    #[test]
    fn numbers_of_devices() {
        #[track_caller]
        fn check(device: &str, expected: (&str, usize)) {
            assert_eq!(numbered(device), expected, "{device}");
        }
        check("alice", ("alice", 1));
        check("alice-2", ("alice", 2));
        check("alice-99", ("alice", 99));
        check("alice-1", ("alice", 1));
        for first in ["alice-0", "alice-02", "alice-100", "alice-", "-2", "2", "a-2x", ""] {
            check(first, (first, 1));
        }
    }

    #[test]
    fn names_that_are_cut_fit_their_login_and_no_other() {
        let iam = "https://signin.aws.amazon.com/oauth";
        let kept = |name: &str| CredentialId::for_name(Kind::Totp, 30, name).unwrap().name(Kind::Totp);
        let user = "bartholomew.featherstonehaugh@acmecorp.io";
        let [first, second, of_id] = [
            "bartholomew.featherstonehaugh@acmecorp.io@acme",
            "bartholomew.featherstonehaugh@acmecorp.io-2@acme",
            "bartholomew.featherstonehaugh@acmecorp.io@123456789012",
        ]
        .map(|label| kept(&["Amazon Web Services:", label].concat()));
        let (first, second, of_id) = (&*first, &*second, &*of_id);
        assert!(first.contains("@acmec~"), "{first}");
        let all = ["Amazon Web Services:other@acme", first, second, of_id];
        check_likely(&all, iam, ("acme", user), &[second, first], &format!("aws:acme:{user} (2)"));
        check_likely(&all, iam, ("123456789012", user), &[of_id], &format!("aws:123456789012:{user}"));
        // Nor is it left out where the host is named after the account.
        let accounts: Vec<Account> = [first, of_id].map(totp).into();
        let page = sign_in_page("https://acme.signin.aws.amazon.com/console").unwrap();
        assert_eq!(candidates(&accounts, &page).len(), 2);
        let long = ["AWS SSO:", &"x".repeat(70)].concat();
        let kept = kept(&long);
        let center = "https://us-east-1.signin.aws/platform/d-1/login";
        let user = "x".repeat(70);
        check_likely(
            &["AWS SSO:y", &kept],
            center,
            ("", &user),
            &[&kept],
            &format!("aws:identity-center:{user}"),
        );
    }

    /// The content script cannot load the wasm before it knows that there is a field: it has this table.
    #[test]
    fn content_script_table_is_current() {
        let json = |text: &str| serde_json::to_string(text).unwrap();
        let mut text = String::from(
            "// Generated from crate/src/aws.rs by `KEYFOB_UPDATE=1 cargo test -p keyfob-core`. Do not edit.\n\n\
             const KEYFOB_MFA_FIELDS = {\n",
        );
        let exact = MFA_PAGES.iter().filter_map(|page| match page.field {
            MfaField::Selector(selector) => Some(selector),
            MfaField::Labelled => None,
        });
        let of = |which| {
            let fields = LOGIN_FIELDS.iter().filter(move |(field, _)| *field == which);
            fields.map(|(_, selector)| *selector).collect::<Vec<_>>().join(",")
        };
        for (name, selector) in [
            ("exact", exact.collect::<Vec<_>>().join(",")),
            ("radio", DEVICE_CHOICE.radio.into()),
            ("goOn", DEVICE_CHOICE.submit.into()),
            ("account", of(LoginField::Account)),
            ("user", of(LoginField::User)),
        ] {
            writeln!(text, "  {name}: {},", json(&selector)).unwrap();
        }
        text.push_str("  submits: [\n");
        for MfaPage { submit, submit_after, .. } in MFA_PAGES {
            writeln!(text, "    [{}, {submit_after}],", json(submit)).unwrap();
        }
        text.push_str("  ] as [selector: string, after: number][],\n");
        for (name, words) in
            [("wording", MFA_WORDING), ("authenticators", AUTHENTICATOR_WORDING), ("codes", CODE_WORDING)]
        {
            for word in words {
                assert_eq!(*word, word.to_lowercase());
            }
            writeln!(text, "  {name}: {},", json(&words.join("|"))).unwrap();
        }
        text.push_str("};\n");
        crate::typescript::assert_current(&extension().join("src/generated/sign_in.ts"), &text);
    }

    #[test]
    fn manifest_matches_the_sign_in_hosts() {
        let text = std::fs::read_to_string(extension().join("static/manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let patterns = |optional: bool| -> Vec<String> {
            let rows = SIGN_IN_HOSTS.iter().filter(|host| host.optional == optional);
            rows.map(SignInHost::match_pattern).collect()
        };
        assert_eq!(manifest["content_scripts"][0]["matches"], serde_json::json!(patterns(false)));
        // Those of enrolment come after them: see enrolment.rs.
        for (list, optional) in [("host_permissions", false), ("optional_host_permissions", true)] {
            let expected = [patterns(optional), crate::enrolment::permissions(optional)].concat();
            assert_eq!(manifest[list], serde_json::json!(expected), "{list}");
        }
        assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    }
}
