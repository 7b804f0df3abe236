// Generated from crate/src/aws.rs by `KEYFOB_UPDATE=1 cargo test -p keyfob-core`. Do not edit.

const KEYFOB_MFA_FIELDS = {
  exact: "input#mfaCode,#mfacode,#mfaCode,#ap_tokenCode",
  radio: "[value=SWHW]",
  goOn: "[data-testid=mfa-continue-button]",
  account: "#account,#resolving_input",
  user: "#username,#username-input,#username-input input,#awsui-input-0,[autocomplete~=username i]",
  submits: [
    ["[data-testid=mfa-submit-button]", 0],
    ["#submitMfa_button", 0],
    ["#mfa_submit_button", 0],
    ["#signInSubmit-input", 0],
    ["[data-testid=test-primary-button]", 2000],
  ] as [selector: string, after: number][],
  wording: "mfa",
  authenticators: "authenticat|authentificat|authentifizier|authentifik|autenticador|autenticaci|autenticaç|autenticator|autenticazion|autentika|kimlik doğrula|認証|认证|認證|身份验证|驗證器|인증|مصادقة",
  codes: "code|código|codigo|codice|kode|kod|コード|代码|代碼|验证码|驗證碼|코드|رمز",
};
