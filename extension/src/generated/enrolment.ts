// Generated from crate/src/enrolment.rs by `KEYFOB_UPDATE=1 cargo test -p keyfob-core`. Do not edit.

const KEYFOB_ENROLMENT = {
  code: "mfa|authenticat|authentificat|authentifizier|authentifik|autenticador|autenticaci|autenticaç|autenticator|autenticazion|autentika|kimlik doğrula|認証|认证|認證|身份验证|驗證器|인증|مصادقة",
  reveal: "qr.?(?:code|コード|kodu|코드|代?码|碼)|(?:code|código|codice|kode) qr|karekod|二[维維][码碼]|secret key|geheim\\S* ?schlüssel|c(?:la|ha)ve secreta|clé secr[eè]te|chiave segreta|kunci rahasia|シークレット ?キー|비밀 ?키|gizli anahtar|(?:显示|顯示|秘密|私有)密[钥鑰]",
  device: "device.?name|gerätename|nom(?:e|bre)? (?:d\\S+ )?(?:\\S'|)(?:dispositi|appareil)|nama perangkat|デバイス名|(?:디바이스|장치) 이름|cihaz adı|设备名称|裝置名稱",
  secret: ".secret-key,[data-testid*=secret-key],[data-testid*=secretkey]",
  account: "[data-testid=account-detail-menu],[data-testid=awsc-account-info-tile],#nav-usernameMenu,#menu--account",
  base32: "^(?:[A-Z2-7]{64}|[A-Z2-7]{32})$",
};
