use super::*;

const CONFIG: &str = "config";

/// Resolves against these files and variables, which may have `FOLDER` in them.
fn resolved(credentials: &str, config: &str, name: &str, env: &[(&str, &str)]) -> Result<Profile, Failure> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(CONFIG), config).unwrap();
    std::fs::write(folder.path().join("credentials"), credentials).unwrap();
    let env = |variable: &str| match variable {
        "AWS_CONFIG_FILE" => Some(folder.path().join(CONFIG).into()),
        "AWS_SHARED_CREDENTIALS_FILE" => Some(folder.path().join("credentials").into()),
        _ => env.iter().find(|(name, _)| *name == variable).map(|(_, value)| value.into()),
    };
    let within = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    resolve(name, &env).map_err(|error| Failure { message: within(error.message), ..error })
}

/// What decides a profile's credentials, in a line: base, device, seconds, roles.
fn line(profile: &Profile) -> String {
    let base = match &profile.base {
        Base::Key { access_key_id, key } => {
            let key = key.as_deref().map(|key| format!("@{key}")).unwrap_or_default();
            format!("key {}{key}", access_key_id.as_deref().unwrap_or("-"))
        }
        Base::Given(session) => {
            format!(
                "given {}{}",
                session.access_key_id,
                if session.session_token.is_some() { "+token" } else { "" }
            )
        }
        Base::Exported { profile } => format!("exported {profile}"),
        Base::Process { command, profile } => format!("process {profile}: {command}"),
    };
    let mfa = profile.mfa.as_ref().map(|mfa| {
        let account = mfa.account.as_deref().map(|name| format!(" as {name}")).unwrap_or_default();
        let others = mfa.others.iter().map(|other| format!(" or {other}")).collect::<String>();
        format!("; mfa {}{account}{others}", mfa.serial)
    });
    let seconds = profile.duration.map(|seconds| format!("; {seconds} s"));
    let roles = profile.roles.iter().map(|role| {
        let some = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!(" {name}={value}")).unwrap_or_default()
        };
        let tags: Vec<_> = role.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!(
            "; {}→{}{}{}{}{}{}{}",
            role.profile,
            role.arn.rsplit('/').next().unwrap(),
            some("name", &role.session_name),
            some("id", &role.external_id),
            some("seconds", &role.duration.map(|seconds| seconds.to_string())),
            some("identity", &role.source_identity),
            some("tags", &Some(tags.join("+")).filter(|tags| !tags.is_empty())),
            some("pass", &Some(role.transitive_tags.join("+")).filter(|tags| !tags.is_empty())),
        )
    });
    [base, mfa.unwrap_or_default(), seconds.unwrap_or_default(), roles.collect()].concat()
}

const KEYS: &str = "aws_access_key_id = AKIAEXAMPLE000000000\naws_secret_access_key = secret\n";

/// `KEYS` and `ROLE x` and `MFA x` stand for lines.
fn spelled(text: &str) -> String {
    text.lines()
        .map(|line| match line.split_once(' ') {
            Some(("ROLE", name)) => format!("role_arn = arn:aws:iam::123456789012:role/{name}\n"),
            Some(("MFA", name)) => format!("mfa_serial = arn:aws:iam::123456789012:mfa/{name}\n"),
            _ if line == "KEYS" => KEYS.to_owned(),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn profiles_are_resolved_as_tools_resolve_them() {
    /// `mfa/` stands for what ARNs of devices begin with.
    #[track_caller]
    fn check_with(credentials: &str, config: &str, env: &[(&str, &str)], expected: Result<&str, &str>) {
        let actual = resolved(&spelled(credentials), &spelled(config), "p", env);
        let actual = actual.map(|profile| line(&profile).replace("arn:aws:iam::123456789012:mfa/", "mfa/"));
        match (actual, expected) {
            (Err(actual), Err(expected)) => assert!(actual.message.contains(expected), "{}", actual.message),
            (actual, expected) => {
                assert_eq!(
                    actual.map_err(|error| error.message),
                    expected.map(str::to_owned).map_err(str::to_owned)
                );
            }
        }
    }
    #[track_caller]
    fn check(credentials: &str, config: &str, expected: Result<&str, &str>) {
        check_with(credentials, config, &[], expected);
    }
    let given = "given AKIAEXAMPLE000000000";
    // Keys: in a file, or on a key.
    check("[p]\nKEYS", "", Ok(given));
    check("[p]\nKEYS\naws_session_token = t", "", Ok("given AKIAEXAMPLE000000000+token"));
    check("", "[profile p]\nKEYS", Ok(given));
    check("", "[profile p]\nregion = eu-west-1", Ok("key -"));
    check("[p]\nKEYS", "[profile p]\nMFA alice", Ok("given AKIAEXAMPLE000000000; mfa mfa/alice"));
    check(
        "",
        "[profile p]\nMFA alice\nmfa_alias = a b\nduration_seconds = 129600",
        Ok("key -; mfa mfa/alice as a b; 129600 s"),
    );
    check(
        "",
        "[profile p]\nkeyfob_access_key_id = AKIAEXAMPLE000000001\nkeyfob_device = 123",
        Ok("key AKIAEXAMPLE000000001@123"),
    );
    check(
        "[p]\nKEYS",
        "[profile p]\nkeyfob_access_key_id = AKIAEXAMPLE000000001",
        Ok("key AKIAEXAMPLE000000001"),
    );
    check(
        "[p]\naws_access_key_id = AKIA",
        "",
        Err("credentials:2: the profile \"p\" has an access key id without its secret"),
    );
    check("[p]\naws_secret_access_key = s", "", Ok("key -"));
    // Roles, and where they begin.
    check("[b]\nKEYS", "[profile p]\nROLE r\nsource_profile = b", Ok("given AKIAEXAMPLE000000000; p→r"));
    check(
        "[b]\nKEYS",
        "[profile p]\nROLE r\nsource_profile = b\nMFA x\n[profile b]\nMFA y",
        Ok("given AKIAEXAMPLE000000000; mfa mfa/x; p→r"),
    );
    check(
        "[b]\nKEYS",
        "[profile p]\nROLE r\nsource_profile = b\n[profile b]\nMFA y\nduration_seconds = 7200",
        Ok("given AKIAEXAMPLE000000000; mfa mfa/y; 7200 s; p→r"),
    );
    let chain = "[profile p]\nROLE r\nMFA last\nsource_profile = q\n[profile q]\nROLE s\nMFA first\nsource_profile = b\n[profile b]\nMFA base";
    check("", chain, Ok("key -; mfa mfa/first; q→s; p→r"));
    check("[q]\nKEYS", chain, Ok("given AKIAEXAMPLE000000000; mfa mfa/last; p→r"));
    check("[p]\nKEYS", "[profile p]\nROLE r\nsource_profile = p", Ok("given AKIAEXAMPLE000000000; p→r"));
    check(
        "",
        "[profile p]\nROLE r\nsource_profile = p\nduration_seconds = 3600",
        Ok("key -; p→r seconds=3600"),
    );
    check("", "[profile p]\nROLE r\nMFA m", Ok("key -; mfa mfa/m; p→r"));
    check(
        "",
        "[profile p]\nROLE r\nsource_profile = q\n[profile q]\nROLE s\nsource_profile = p",
        Err("the profiles lead in a circle: p → q → p"),
    );
    check(
        "",
        "[profile p]\nROLE r\nsource_profile = q",
        Err("there is no profile \"q\" in credentials or config, which config:3 names"),
    );
    check(
        "",
        "[profile p]\nROLE r\nsource_profile = q\ncredential_source = Environment",
        Err("config:3: source_profile = \"q\" of the profile \"p\" stands beside credential_source"),
    );
    let all = "role_session_name = n.1\nexternal_id = e/1\nsource_identity = me\nsession_tags = a=1, b = c=d\ntransitive_session_tags = b,A\nduration_seconds = 900";
    let full = "key -; p→r name=n.1 id=e/1 seconds=900 identity=me tags=a=1+b=c=d pass=b+A";
    check("", &format!("[profile p]\nROLE r\n{all}"), Ok(full));
    // Without a role, as aws-vault.
    check(
        "",
        "[profile p]\nsource_profile = b\nMFA m\n[profile b]\nkeyfob_access_key_id = AKIAEXAMPLE000000001\nduration_seconds = 1000",
        Ok("key AKIAEXAMPLE000000001; mfa mfa/m; 1000 s"),
    );
    check(
        "",
        "[profile p]\nsource_profile = b\n[profile b]\nROLE r\nsource_profile = c\n[profile c]",
        Ok("key -; b→r"),
    );
    check(
        "",
        "[profile p]\ninclude_profile = q\nregion = x\n[profile q]\nROLE r\nMFA m\ncredential_process = /bin/x\nregion = y",
        Ok("process p: /bin/x; mfa mfa/m; p→r"),
    );
    check("[q]\nKEYS", "[profile p]\ninclude_profile = q", Ok("key -"));
    check(
        "",
        "[profile p]\ninclude_profile = q\n[profile q]\ninclude_profile = p",
        Err("config:4: include_profile = \"p\" of the profile \"q\" leads in a circle: p → q → p"),
    );
    check("", "[profile p]\ninclude_profile = q", Err("names a profile that there is not"));
    // The environment's.
    let some = [
        ("AWS_ACCESS_KEY_ID", "AKIAENV0000000000000"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "t"),
    ];
    let from_env = "[profile p]\nROLE r\ncredential_source = Environment\nMFA m";
    check_with("", from_env, &some, Ok("given AKIAENV0000000000000+token; mfa mfa/m; p→r"));
    check("", from_env, Err("config:3: there are no credentials in the environment"));
    check("", "[profile p]\nROLE r\ncredential_source = Ec2InstanceMetadata", Ok("exported p"));
    check(
        "",
        "[profile p]\nROLE r\nsource_profile = q\n[profile q]\nROLE s\ncredential_source = EcsContainer",
        Ok("exported q; p→r"),
    );
    check(
        "",
        "[profile p]\nROLE r\ncredential_source = EcsContainer\nsession_tags = a=b",
        Err("config:4: session_tags = \"a=b\" of the profile \"p\" cannot be sent along"),
    );
    check(
        "",
        "[profile p]\nROLE r\nkeyfob_credential_source = EcsContainer",
        Err("cannot begin with EcsContainer"),
    );
    check("", "[profile p]\nROLE r\ncredential_source = environment", Err("is none that AWS's tools know"));
    let arn = "arn:aws:iam::123456789012:role/env";
    let env = [("AWS_ROLE_ARN", arn), ("AWS_ROLE_SESSION_NAME", "me"), ("AWS_MFA_SERIAL", "GAHT12345678")];
    check_with("", "[profile p]", &env, Ok("key -; mfa GAHT12345678; p→env name=me"));
    check_with(
        "",
        "[profile p]\nROLE r\nMFA m\nrole_session_name = own",
        &env,
        Ok("key -; mfa mfa/m; p→r name=own"),
    );
    check_with("", "[profile p]\nsso_account_id = 1", &env, Ok("exported p"));
    let token = [env[0], ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")];
    check_with("", "[profile p]", &token, Ok("key -"));
    check_with(
        "",
        "[profile p]",
        &[("AWS_ROLE_ARN", "x")],
        Err("the environment: AWS_ROLE_ARN = \"x\" of the profile \"p\" is no role's ARN"),
    );
    // What others give.
    check(
        "",
        "[profile p]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]",
        Ok("exported p"),
    );
    check("[p]\nKEYS", "[profile p]\nsso_session = s", Ok(given));
    check("", "[profile p]\nsso_start_url = s", Ok("exported p"));
    check(
        "",
        "[profile p]\nlogin_session = arn:aws:iam::123456789012:user/a\ncredential_process = x",
        Ok("exported p"),
    );
    check("", "[profile p]\nROLE r\nweb_identity_token_file = /t", Ok("exported p"));
    check(
        "",
        "[profile p]\nROLE r\nsource_profile = s\n[profile s]\nsso_account_id = 1",
        Ok("exported s; p→r"),
    );
    check("", "[profile p]\ncredential_process = \"/opt/a b\" c", Ok("process p: \"/opt/a b\" c"));
    check("[p]\nKEYS", "[profile p]\ncredential_process = x", Ok(given));
    check("", "[profile p]\nKEYS\ncredential_process = x", Ok("process p: x"));
    check(
        "",
        "[profile p]\ncredential_process = 'x",
        Err("config:2: the credential_process has a quote that stays open"),
    );
    // Ourselves.
    let us = "credential_process = /usr/local/bin/keyfob credential-process";
    let own = "keyfob_role_arn = arn:aws:iam::123456789012:role/r\nkeyfob_mfa_serial = arn:aws:iam::123456789012:mfa/m, GAHT12345678,arn:aws:iam::123456789012:mfa/a,b\nkeyfob_oath = name\nkeyfob_duration_seconds = 3600";
    let whole = "key -; mfa mfa/m as name or GAHT12345678 or mfa/a,b; p→r seconds=3600";
    check("", &format!("[profile p]\n{us} p\n{own}"), Ok(whole));
    check("", &format!("[profile p]\n{us} --no-agent p\n{own}\nduration_seconds = 7200"), Ok(whole));
    check("", &format!("[profile p]\n{us}\n{own}"), Ok(whole));
    check("", &format!("[profile p]\n{us} q\n[profile q]\nROLE r\nMFA m"), Ok("key -; mfa mfa/m; q→r"));
    check(
        "",
        &format!("[profile p]\n{us} q\n[profile q]\n{us} p"),
        Err("the profiles lead in a circle: p → q → p"),
    );
    check(
        "",
        &format!(
            "[profile p]\n{us} p\nkeyfob_source_profile = q\nkeyfob_role_arn = arn:aws:iam::123456789012:role/r\n[profile q]\n{us} q\nkeyfob_access_key_id = AKIAEXAMPLE000000001"
        ),
        Ok("key AKIAEXAMPLE000000001; p→r"),
    );
    check(
        "",
        "[profile p]\ncredential_process = keyfob -k 77 credential-process --timeout 5s p",
        Ok("key -@77"),
    );
    check(
        "",
        "[profile p]\ncredential_process = keyfob --key=77 credential-process p\nkeyfob_device = 78",
        Ok("key -@78"),
    );
    check(
        "",
        "[profile p]\ncredential_process = keyfob exec x -- credential-process",
        Ok("process p: keyfob exec x -- credential-process"),
    );
    check(
        "",
        "[profile p]\ncredential_process = sh -c 'keyfob credential-process p'",
        Ok("process p: sh -c 'keyfob credential-process p'"),
    );
    // What is wrong.
    check(
        "",
        "[profile p]\nkeyfob_rol_arn = x",
        Err("config:2: the profile \"p\" has keyfob_rol_arn, which is no setting"),
    );
    check("", "[profile q]", Err("there is no profile \"p\" in credentials or config"));
    for (text, what) in [
        (
            "ROLE r\nduration_seconds = 10",
            "config:3: duration_seconds = \"10\" of the profile \"p\" is no number of seconds from 900 to 43200",
        ),
        ("duration_seconds = 129601", "config:2: duration_seconds = \"129601\""),
        ("region = eu/west", "config:2: region = \"eu/west\" of the profile \"p\" is no region"),
        (
            "ROLE r\nsession_tags = a",
            "config:3: session_tags = \"a\" of the profile \"p\" has a tag without a value",
        ),
        ("ROLE r\nsession_tags = a=1,A=2", "has the tag \"A\" twice"),
        ("ROLE r\nsession_tags = a=1;2", "has a tag that AWS does not take"),
        ("ROLE r\nsession_tags = a=1\ntransitive_session_tags = b", "which is none of the session's tags"),
        ("ROLE r\nrole_session_name = a b", "has ' ' in it"),
        ("ROLE r\nrole_session_name = a", "is not 2 to 64 characters long"),
        ("ROLE r\nexternal_id = a#b", "has '#' in it"),
        ("role_arn = arn:aws:iam::1:role/r", "is no role's ARN"),
        ("role_arn = arn:aws:iam::123456789012:user/r", "is no role's ARN"),
        ("mfa_serial = short", "is not 9 to 256 characters long"),
        ("keyfob_access_key_id = AKIA", "is not 16 to 128 characters long"),
        ("endpoint_url = sts.example.com", "is no server's URL"),
        ("use_fips_endpoint = yes", "is neither true nor false"),
        ("sts_regional_endpoints = old", "is neither regional nor legacy"),
        ("services = s", "names services that there are not"),
    ] {
        check("", &format!("[profile p]\n{text}"), Err(what));
    }
    let tags: Vec<_> = (0..51).map(|i| format!("k{i}=v")).collect();
    check("", &format!("[profile p]\nROLE r\nsession_tags = {}", tags.join(",")), Err("has 51 tags"));
}

#[test]
fn where_services_are() {
    /// Region, STS with its region, IAM.
    #[track_caller]
    fn check(config: &str, env: &[(&str, &str)], expected: [&str; 4]) {
        let profile = resolved("", &format!("[profile p]\n{config}"), "p", env).unwrap();
        let Endpoint { url, region } = &profile.sts;
        let actual = [profile.region.as_deref().unwrap_or("-"), url, region, &profile.iam.url];
        assert_eq!(actual, expected, "{config} {env:?}");
    }
    let iam = "https://iam.amazonaws.com";
    check("", &[], ["-", "https://sts.us-east-1.amazonaws.com", "us-east-1", iam]);
    let west = "region = eu-west-1\n";
    check(west, &[], ["eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1", iam]);
    let both = [("AWS_DEFAULT_REGION", "eu-west-2"), ("AWS_REGION", "eu-west-3")];
    check(west, &both, ["eu-west-3", "https://sts.eu-west-3.amazonaws.com", "eu-west-3", iam]);
    check(west, &both[..1], ["eu-west-2", "https://sts.eu-west-2.amazonaws.com", "eu-west-2", iam]);
    let legacy = format!("{west}sts_regional_endpoints = legacy");
    check(&legacy, &[], ["eu-west-1", "https://sts.amazonaws.com", "us-east-1", iam]);
    let regional = [("AWS_STS_REGIONAL_ENDPOINTS", "regional")];
    check(&legacy, &regional, ["eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1", iam]);
    let variant = format!("{west}use_fips_endpoint = True\nuse_dualstack_endpoint = true");
    let dual =
        ["eu-west-1", "https://sts-fips.eu-west-1.api.aws", "eu-west-1", "https://iam-fips.global.api.aws"];
    check(&variant, &[], dual);
    let not = [("AWS_USE_FIPS_ENDPOINT", "false"), ("AWS_USE_DUALSTACK_ENDPOINT", "no")];
    check(&variant, &not, ["eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1", iam]);
    check(
        "role_arn = arn:aws-cn:iam::123456789012:role/r",
        &[],
        [
            "-",
            "https://sts.cn-north-1.amazonaws.com.cn",
            "cn-north-1",
            "https://iam.cn-north-1.amazonaws.com.cn",
        ],
    );
    let services = "endpoint_url = http://a:1/\nservices = s\n[services s]\nsts =\n  endpoint_url = http://b:2\niam =\n  x = y\n";
    check(services, &[], ["-", "http://b:2", "us-east-1", "http://a:1"]);
    check(services, &[("AWS_ENDPOINT_URL", "http://c:3")], ["-", "http://c:3", "us-east-1", "http://c:3"]);
    let one = [("AWS_ENDPOINT_URL", "http://c:3"), ("AWS_ENDPOINT_URL_IAM", "http://d:4")];
    check(services, &one, ["-", "http://c:3", "us-east-1", "http://d:4"]);
    let ignored = [("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"), one[0]];
    check(services, &ignored, ["-", "https://sts.us-east-1.amazonaws.com", "us-east-1", iam]);
    let off = services.replacen("services", "ignore_configured_endpoint_urls = true\nservices", 1);
    check(&off, &[], ["-", "https://sts.us-east-1.amazonaws.com", "us-east-1", iam]);
}

#[test]
fn services_are_those_of_the_profile_that_a_program_is_started_for() {
    #[track_caller]
    fn check(config: &str, sts: &str, of_role: Option<&str>) {
        let profile = resolved("", config, "p", &[]).unwrap();
        assert_eq!(profile.sts.url, sts);
        assert_eq!(profile.roles.last().map(|role| role.sts.url.as_str()), of_role);
    }
    let role = "[profile p]\nrole_arn = arn:aws:iam::123456789012:role/r\nendpoint_url = http://p:1\nsource_profile = b\n";
    let (p, b) = ("http://p:1", "http://b:2");
    check(&format!("{role}[profile b]\nendpoint_url = {b}"), p, Some(p));
    let us = "credential_process = keyfob credential-process";
    check(&format!("{role}[profile b]\n{us} b\nendpoint_url = {b}"), b, Some(p));
    check(&format!("[profile p]\nendpoint_url = {p}\n{us} b\n[profile b]\nendpoint_url = {b}"), b, None);
}

#[test]
fn without_a_profile() {
    let env = |name: &str| match name {
        "AWS_REGION" => Some("cn-north-1".into()),
        "AWS_MFA_SERIAL" => Some("GAHT12345678".into()),
        "AWS_ROLE_ARN" => Some("arn:aws:iam::123456789012:role/r".into()),
        "AWS_CA_BUNDLE" => Some("/ca.pem".into()),
        _ => None,
    };
    let profile = of_identity(Some("AKIAEXAMPLE000000001"), &env).unwrap();
    assert_eq!(line(&profile), "key AKIAEXAMPLE000000001; mfa GAHT12345678");
    assert_eq!(profile.sts.url, "https://sts.cn-north-1.amazonaws.com.cn");
    assert_eq!(profile.ca_bundle.as_deref(), Some(Path::new("/ca.pem")));
    // The default one need not be written down.
    let default = resolved("", "[profile a]\n", "default", &[]).unwrap();
    assert_eq!((default.name.as_str(), line(&default).as_str()), ("default", "key -"));
    let missing = resolved("[b]\n", "[profile a]\n[default]\n[profile b]", "p", &[]).unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);
    assert_eq!(missing.candidates, ["a", "default", "b"]);
}

#[test]
fn command_lines_of_windows() {
    #[track_caller]
    fn check(command: &str, expected: Option<&[&str]>) {
        assert_eq!(
            windows_words(command).as_deref(),
            expected.map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref()
        );
    }
    check(r#""C:\Program Files\k.exe" a  b\"#, Some(&[r"C:\Program Files\k.exe", "a", r"b\"]));
    check(r#"a "" \"b\" "c\\" d\\"e""#, Some(&["a", "", "\"b\"", r"c\", r"d\e"]));
    check(r#"a "b"#, None);
    check("", Some(&[]));
}

/// Cells of the table in the documentation that begins with that one, without the `…` around names.
fn table(begin: &str) -> Vec<[String; 2]> {
    let text = include_str!("../../../docs/profiles.md");
    let rows = text.lines().skip_while(|line| !line.starts_with(&format!("| {begin} |"))).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
        [cells.next().unwrap(), cells.next().unwrap()]
    })
    .collect()
}

#[test]
fn the_documentation_has_every_setting() {
    let name = |name: Option<&str>| name.unwrap_or_default().to_owned();
    let mut code: Vec<_> =
        setting::SETTINGS.iter().map(|setting| [name(setting.name), name(setting.prefixed)]).collect();
    let mut documented = table("Setting");
    code.sort();
    documented.sort();
    assert_eq!(documented, code);
}

#[test]
fn the_documentation_has_every_variable() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join(CONFIG);
    let env = |variable: &str| {
        asked.borrow_mut().insert(variable.to_owned());
        match variable {
            "AWS_CONFIG_FILE" => Some(config.clone().into()),
            // Not somebody's own.
            "AWS_SHARED_CREDENTIALS_FILE" => Some(folder.path().join("credentials").into()),
            _ => None,
        }
    };
    std::fs::write(&config, "[profile p]\n[profile q]\nrole_arn = arn:aws:iam::123456789012:role/r\n")
        .unwrap();
    resolve("p", &env).unwrap();
    resolve("q", &env).unwrap();
    // Of that it is only known that it is there.
    asked.borrow_mut().remove("AWS_WEB_IDENTITY_TOKEN_FILE");
    let documented: std::collections::BTreeSet<_> =
        table("Variable").into_iter().map(|[name, _]| name).collect();
    assert_eq!(documented, asked.into_inner());
}
