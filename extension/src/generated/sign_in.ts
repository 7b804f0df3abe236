// Generated from crate/src/aws.rs by `KEYFOB_UPDATE=1 cargo test -p keyfob-core`. Do not edit.

const KEYFOB_MFA_FIELDS = {
  selectors: [
    "input#mfaCode",
    "#mfacode",
    "#mfaCode",
    "#ap_tokenCode",
  ],
  wording: [
    "mfa",
    "authenticator code",
    "authenticator-code",
    "认证器",
    "認証アプリ",
  ],
};
