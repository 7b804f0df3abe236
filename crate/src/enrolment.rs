//! What is known of the pages on which AWS sets up an authenticator app: their hosts, their wording, and how what is
//! saved there is named.
//!
//! Neither the ids of the IAM console's fields nor the form of its QR code is documented, so fields are told by their names,
//! and the set-up by what it says. As in [`crate::aws`], each fact stands in a table of this file; the extension's
//! content script and the manifest are generated from these tables, or checked against them, by the tests below.

use alloc::string::{String, ToString as _};

use crate::aws::{self, sign_in_page};
use crate::message::AwsFlow;
use crate::s3::console_host;

/// A domain whose pages set up authenticator apps, besides the sign-in hosts ([`aws::SIGN_IN_HOSTS`]), which can ask for one
/// while somebody signs in.
#[derive(Debug, PartialEq, Eq)]
pub struct EnrolmentHost {
    /// The domain.
    pub domain: &'static str,
    /// Which hosts belong to it.
    pub hosts: Hosts,
    /// What the path of its pages begins with.
    pub path: &'static str,
    /// Whose device is set up there.
    pub flow: AwsFlow,
    /// The partition, as ARNs spell it.
    pub partition: &'static str,
    /// Whether the extension asks for this host when it is first needed rather than at installation.
    pub optional: bool,
}

/// The hosts of an [`EnrolmentHost`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// The domain alone.
    Domain,
    /// One label before the domain: the portal's name.
    Portals,
    /// The console's: `[ACCOUNT-RANDOM.][REGION.]DOMAIN`.
    Console,
}

/// Every domain besides the sign-in hosts.
pub const ENROLMENT_HOSTS: &[EnrolmentHost] = &[
    console("console.aws.amazon.com", "aws", false),
    console("console.amazonaws.cn", "aws-cn", true),
    console("console.amazonaws-us-gov.com", "aws-us-gov", true),
    console("console.amazonaws-eusc.eu", "aws-eusc", true),
    // The access portal of Identity Center.
    EnrolmentHost {
        domain: "awsapps.com",
        hosts: Hosts::Portals,
        path: "/",
        flow: AwsFlow::IdentityCenter,
        partition: "aws",
        optional: true,
    },
    // AWS Builder ID.
    EnrolmentHost {
        domain: "profile.aws.amazon.com",
        hosts: Hosts::Domain,
        path: "/",
        flow: AwsFlow::IdentityCenter,
        partition: "aws",
        optional: true,
    },
];

const fn console(domain: &'static str, partition: &'static str, optional: bool) -> EnrolmentHost {
    EnrolmentHost { domain, hosts: Hosts::Console, path: "/iam/", flow: AwsFlow::Iam, partition, optional }
}

impl EnrolmentHost {
    /// The match pattern of its pages, as the manifest spells it.
    fn match_pattern(&self) -> String {
        let any = if self.hosts == Hosts::Domain { "" } else { "*." };
        ["https://", any, self.domain, self.path, "*"].concat()
    }

    /// The match pattern of the permission for it: permissions are for whole hosts.
    fn permission(&self) -> String {
        let any = if self.hosts == Hosts::Domain { "" } else { "*." };
        ["https://", any, self.domain, "/*"].concat()
    }

    /// The row of a host.
    fn of(host: &str) -> Option<&'static Self> {
        ENROLMENT_HOSTS.iter().find(|row| {
            let Some(before) = host.strip_suffix(row.domain) else { return false };
            match row.hosts {
                Hosts::Domain => before.is_empty(),
                Hosts::Portals => before.strip_suffix('.').is_some_and(|portal| {
                    !portal.is_empty()
                        && portal.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                }),
                Hosts::Console => is_plain(host) && console_host(host).is_some(),
            }
        })
    }
}

/// Browsers' origins have neither capitals nor the port 443.
fn is_plain(host: &str) -> bool {
    host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

/// Issuers as AWS's own `otpauth` URIs have them; [`aws::login`] reads such names.
const ISSUERS: [(AwsFlow, &str); 2] =
    [(AwsFlow::Iam, "Amazon Web Services"), (AwsFlow::IdentityCenter, "AWS SSO")];

/// What is pressed to see the QR code or the secret, and what stands beside them: regular expressions in the languages of the
/// console (English, German, Spanish, French, Indonesian, Italian, Japanese, Korean, Portuguese, Turkish, Chinese). Access keys
/// and security keys, which the same pages speak of, are none of them.
pub const REVEAL_WORDING: &[&str] = &[
    "qr.?(?:code|コード|kodu|코드|代?码|碼)",
    "(?:code|código|codice|kode) qr",
    "karekod",
    "二[维維][码碼]",
    "secret key",
    "geheim\\S* ?schlüssel",
    "c(?:la|ha)ve secreta",
    "clé secr[eè]te",
    "chiave segreta",
    "kunci rahasia",
    "シークレット ?キー",
    "비밀 ?키",
    "gizli anahtar",
    "(?:显示|顯示|秘密|私有)密[钥鑰]",
];

/// What the name of a field for the device's name holds, as regular expressions: it may speak of MFA as well, and is none for a
/// code.
pub const DEVICE_WORDING: &[&str] = &[
    "device.?name",
    "gerätename",
    "nom(?:e|bre)? (?:d\\S+ )?(?:\\S'|)(?:dispositi|appareil)",
    "nama perangkat",
    "デバイス名",
    "(?:디바이스|장치) 이름",
    "cihaz adı",
    "设备名称",
    "裝置名稱",
];

/// CSS selectors of the secret as text, once the person has had it shown. Identity Center's is known from one tool.
pub const SECRET_SELECTORS: &[&str] =
    &[".secret-key", "[data-testid*=secret-key]", "[data-testid*=secretkey]"];

/// CSS selectors of what names the account in the console's frame.
pub const ACCOUNT_SELECTORS: &[&str] = &[
    "[data-testid=account-detail-menu]",
    "[data-testid=awsc-account-info-tile]",
    "#nav-usernameMenu",
    "#menu--account",
];

/// How many base32 characters the secrets of AWS have: IAM's, and Identity Center's.
pub const SECRET_LENGTHS: [usize; 2] = [64, 32];

/// A page that may set up an authenticator app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentPage {
    /// As ARNs spell it.
    pub partition: &'static str,
    /// Whose device is set up.
    pub flow: AwsFlow,
    /// The account, as an id or alias, where the host names it.
    pub account: Option<String>,
    /// The IAM user whose page it is, where the route names one.
    pub user: Option<String>,
}

/// Whether pages of the origin `https://HOST` may set up authenticator apps.
#[must_use]
pub fn is_enrolment_origin(origin: &str) -> bool {
    let Some(host) = origin.strip_prefix("https://") else { return false };
    aws::signin_flow(origin).is_some() || EnrolmentHost::of(host).is_some()
}

/// What the address of a page says of an enrolment there; none if it is not one of AWS's.
#[must_use]
pub fn enrolment_page(url: &str) -> Option<EnrolmentPage> {
    if let Some(page) = sign_in_page(url) {
        return Some(EnrolmentPage {
            partition: page.partition,
            flow: page.flow,
            account: page.account,
            user: None,
        });
    }
    let row = row_of(url)?;
    let host = url.split('/').nth(2)?;
    let account = if row.hosts == Hosts::Console { console_host(host)?.1 } else { None };
    let user = url.split_once("#/users/details/").and_then(|(_, route)| {
        let name = route.split(['/', '?']).next()?;
        // What IAM allows in names, as it stands: a name that has to be decoded is typed by the person.
        aws::is_device(name).then(|| name.to_string())
    });
    Some(EnrolmentPage { partition: row.partition, flow: row.flow, account, user })
}

/// The match pattern of the permission under which the page at `url` can be helped with an enrolment; none if it is no such page.
#[must_use]
pub fn permission(url: &str) -> Option<String> {
    row_of(url).map(EnrolmentHost::permission)
}

/// Where scripts run under a [`permission`]; none if it is that of another host.
#[must_use]
pub fn match_pattern(permission: &str) -> Option<String> {
    let row = ENROLMENT_HOSTS.iter().find(|row| row.permission() == permission);
    row.map(EnrolmentHost::match_pattern)
}

/// The row of a page besides those of the sign-in hosts.
fn row_of(url: &str) -> Option<&'static EnrolmentHost> {
    let rest = url.strip_prefix("https://")?;
    let (host, path) = rest.split_at_checked(rest.find(['/', '?', '#'])?)?;
    EnrolmentHost::of(host).filter(|row| path.starts_with(row.path))
}

/// The issuer and the account that AWS's own QR code would name, for a secret without one: `device` is the device's name (Identity
/// Center: the user), `account` the account's id or alias, which Identity Center does without.
#[must_use]
pub fn names(flow: AwsFlow, device: &str, account: &str) -> Option<(&'static str, String)> {
    let (_, issuer) = ISSUERS.iter().find(|(of, _)| *of == flow)?;
    let label = match flow {
        AwsFlow::Iam => [device, "@", account].concat(),
        AwsFlow::IdentityCenter => device.to_string(),
    };
    let login = aws::login(&[issuer, ":", &label].concat())?;
    let as_meant = login.device == device && login.account.as_deref().unwrap_or_default() == account;
    (as_meant || flow == AwsFlow::IdentityCenter).then_some((*issuer, label))
}

/// The one account id that stands in a text: twelve digits, or `1234-5678-9012` as the console writes them.
#[must_use]
pub fn account_in(text: &str) -> Option<String> {
    let mut found: Option<String> = None;
    for word in text.split(|c: char| !(c.is_ascii_digit() || c == '-')) {
        let groups = word.split('-').map(str::len);
        if !(groups.clone().eq([12]) || groups.eq([4, 4, 4])) {
            continue;
        }
        let id = word.replace('-', "");
        if found.as_ref().is_some_and(|other| *other != id) {
            return None;
        }
        found = Some(id);
    }
    found
}

/// The permissions that the manifest asks for, after those of the sign-in hosts.
#[cfg(test)]
pub(crate) fn permissions(optional: bool) -> std::vec::Vec<String> {
    ENROLMENT_HOSTS.iter().filter(|host| host.optional == optional).map(EnrolmentHost::permission).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::vec::Vec;

    use super::*;
    use crate::partition::PARTITIONS;

    const ID: &str = "123456789012";

    #[test]
    fn pages() {
        #[track_caller]
        fn check(url: &str, expected: Option<(&'static str, AwsFlow, Option<&str>, Option<&str>)>) {
            let expected = expected.map(|(partition, flow, account, user)| EnrolmentPage {
                partition,
                flow,
                account: account.map(str::to_string),
                user: user.map(str::to_string),
            });
            assert_eq!(enrolment_page(url), expected, "{url}");
        }
        let (iam, center) = (AwsFlow::Iam, AwsFlow::IdentityCenter);
        let own = "iam/home?region=us-east-1#/security_credentials/mfa";
        check(&format!("https://us-east-1.console.aws.amazon.com/{own}"), Some(("aws", iam, None, None)));
        check(&format!("https://console.aws.amazon.com/{own}"), Some(("aws", iam, None, None)));
        check(
            &format!("https://123456789012-abc12xyz.us-east-1.console.aws.amazon.com/{own}"),
            Some(("aws", iam, Some(ID), None)),
        );
        check(
            "https://us-east-1.console.aws.amazon.com/iam/home?region=us-east-1#/users/details/alice?section=security_credentials",
            Some(("aws", iam, None, Some("alice"))),
        );
        check(
            "https://us-east-1.console.aws.amazon.com/iam/home#/users/details/a.b+c@example.com/x",
            Some(("aws", iam, None, Some("a.b+c@example.com"))),
        );
        check(
            "https://us-east-1.console.aws.amazon.com/iam/home#/users/details/%E2%80%AEx",
            Some(("aws", iam, None, None)),
        );
        check(&format!("https://cn-north-1.console.amazonaws.cn/{own}"), Some(("aws-cn", iam, None, None)));
        check(&format!("https://console.amazonaws-us-gov.com/{own}"), Some(("aws-us-gov", iam, None, None)));
        check(
            &format!("https://eusc-de-east-1.console.amazonaws-eusc.eu/{own}"),
            Some(("aws-eusc", iam, None, None)),
        );
        check("https://signin.aws.amazon.com/oauth?x", Some(("aws", iam, None, None)));
        check("https://123456789012.signin.aws.amazon.com/x", Some(("aws", iam, Some(ID), None)));
        check("https://us-east-1.signin.aws/platform/d-9067642ac7/login", Some(("aws", center, None, None)));
        check("https://d-1234567890.awsapps.com/start/#/mfa", Some(("aws", center, None, None)));
        check("https://acme.awsapps.com/start", Some(("aws", center, None, None)));
        check("https://profile.aws.amazon.com/#/mfa", Some(("aws", center, None, None)));

        for other in [
            "https://us-east-1.console.aws.amazon.com/s3/home",
            "https://us-east-1.console.aws.amazon.com/iamx/home",
            "https://us-east-1.console.aws.amazon.com",
            "https://us-east-1.console.aws.amazon.com#/iam/",
            "https://us-east-1.console.aws.amazon.com.evil.test/iam/home",
            "https://evil.test/https://console.aws.amazon.com/iam/home",
            "https://console.aws.amazon.com@evil.test/iam/home",
            "https://evilconsole.aws.amazon.com/iam/home",
            "https://evil.console.aws.amazon.com/iam/home",
            "https://console.aws.amazon.com:444/iam/home",
            "https://console.aws.amazon.com:443/iam/home",
            "https://CONSOLE.aws.amazon.com/iam/home",
            "https://console.aws.amazon.com./iam/home",
            "https://console-aws.amazon.com/iam/home",
            "https://console.aws.haqm.com/iam/home",
            "http://console.aws.amazon.com/iam/home",
            "https://awsapps.com/start",
            "https://.awsapps.com/start",
            "https://a.b.awsapps.com/start",
            "https://evilawsapps.com/start",
            "https://acme.awsapps.com.evil.test/start",
            "https://x.profile.aws.amazon.com/",
            "https://profile.aws.amazon.com.evil.test/",
            "about:blank",
            "",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn origins() {
        #[track_caller]
        fn check(origin: &str, expected: bool) {
            assert_eq!(is_enrolment_origin(origin), expected, "{origin}");
        }
        check("https://us-east-1.console.aws.amazon.com", true);
        check("https://123456789012-abc.us-east-1.console.aws.amazon.com", true);
        check("https://signin.aws.amazon.com", true);
        check("https://us-east-1.signin.aws", true);
        check("https://acme.awsapps.com", true);
        check("https://profile.aws.amazon.com", true);
        check("http://console.aws.amazon.com", false);
        check("https://console.aws.amazon.com.evil.test", false);
        check("https://evil.console.aws.amazon.com", false);
        check("https://console.aws.amazon.com:8443", false);
        check("https://aws.amazon.com", false);
        check("https://awsapps.com", false);
        check("null", false);
        check("", false);
    }

    #[test]
    fn permissions() {
        #[track_caller]
        fn check(url: &str, expected: Option<&str>) {
            assert_eq!(permission(url).as_deref(), expected, "{url}");
        }
        check("https://cn-north-1.console.amazonaws.cn/iam/home", Some("https://*.console.amazonaws.cn/*"));
        check("https://d-1.awsapps.com/start", Some("https://*.awsapps.com/*"));
        check("https://profile.aws.amazon.com/#/mfa", Some("https://profile.aws.amazon.com/*"));
        check("https://cn-north-1.console.amazonaws.cn/s3/home", None);
        check("https://profile.aws.amazon.com.evil.test/", None);
        check("http://d-1.awsapps.com/start", None);
        assert_eq!(
            match_pattern("https://*.console.amazonaws.cn/*").as_deref(),
            Some("https://*.console.amazonaws.cn/iam/*")
        );
        assert_eq!(match_pattern("https://*.signin.amazonaws.cn/*"), None);
    }

    #[test]
    fn names_are_those_of_the_qr_code() {
        #[track_caller]
        fn check(flow: AwsFlow, device: &str, account: &str, expected: Option<(&str, &str)>) {
            let found = names(flow, device, account);
            assert_eq!(found.as_ref().map(|(issuer, label)| (*issuer, label.as_str())), expected);
        }
        let aws = "Amazon Web Services";
        check(AwsFlow::Iam, "alice", ID, Some((aws, "alice@123456789012")));
        check(AwsFlow::Iam, "alice", "acme-dev", Some((aws, "alice@acme-dev")));
        check(AwsFlow::Iam, "me@example.com", ID, Some((aws, "me@example.com@123456789012")));
        check(AwsFlow::IdentityCenter, "alice@example.com", "", Some(("AWS SSO", "alice@example.com")));
        for (device, account) in [
            ("", ID),
            ("al ice", ID),
            ("alice", ""),
            ("alice", "x"),
            ("alice", "ACME"),
            ("alice\u{202e}", ID),
            ("a:b", ID),
        ] {
            check(AwsFlow::Iam, device, account, None);
        }
        check(AwsFlow::IdentityCenter, "", "", None);
    }

    #[test]
    fn account_ids_in_texts() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(account_in(text).as_deref(), expected, "{text}");
        }
        check("Account ID: 1234-5678-9012", Some(ID));
        check("alice @ 123456789012 (123456789012)", Some(ID));
        check("アカウント1234-5678-9012、", Some(ID));
        check("Account 123456789012 and 1234-5678-9013", None);
        check("+49 123456789012345", None);
        check("1234-5678-9012-3", None);
        check("12-34567890-12", None);
        check("", None);
    }

    #[test]
    fn consoles_are_those_of_the_partitions() {
        let consoles = ENROLMENT_HOSTS.iter().filter(|row| row.hosts == Hosts::Console);
        let ours: Vec<_> = consoles.map(|row| (row.partition, row.domain)).collect();
        let all: Vec<_> = PARTITIONS.iter().filter_map(|p| Some((p.id, p.console?))).collect();
        assert_eq!(ours.len(), all.len());
        assert!(ours.iter().all(|row| all.contains(row)));
    }

    fn extension() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../extension"))
    }

    /// The watcher must know an enrolment before anything is asked: it has these tables.
    #[test]
    fn content_script_table_is_current() {
        let any = |words: &[&str]| serde_json::to_string(&words.join("|")).unwrap();
        // A field for a code is told from others by the app's name alone: there is no other field beside a set-up.
        let code = [aws::MFA_WORDING, aws::AUTHENTICATOR_WORDING].concat();
        let secrets = SECRET_LENGTHS.map(|length| format!("[A-Z2-7]{{{length}}}"));
        let base32 = format!("^(?:{})$", secrets.join("|"));
        let text = format!(
            "// Generated from crate/src/enrolment.rs by `KEYFOB_UPDATE=1 cargo test -p keyfob-core`. Do not edit.\n\n\
             const KEYFOB_ENROLMENT = {{\n  code: {},\n  reveal: {},\n  device: {},\n  secret: {},\n  account: {},\n  \
             base32: {},\n}};\n",
            any(&code),
            any(REVEAL_WORDING),
            any(DEVICE_WORDING),
            serde_json::to_string(&SECRET_SELECTORS.join(",")).unwrap(),
            serde_json::to_string(&ACCOUNT_SELECTORS.join(",")).unwrap(),
            serde_json::to_string(&base32).unwrap(),
        );
        crate::typescript::assert_current(&extension().join("src/generated/enrolment.ts"), &text);
    }

    #[test]
    fn manifest_matches_the_enrolment_hosts() {
        let text = std::fs::read_to_string(extension().join("static/manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let required = ENROLMENT_HOSTS.iter().filter(|host| !host.optional);
        let patterns: Vec<String> = required.map(EnrolmentHost::match_pattern).collect();
        assert_eq!(manifest["content_scripts"][1]["matches"], serde_json::json!(patterns));
    }
}
