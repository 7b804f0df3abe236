// What AWS's pages say at the MFA step, by language. `code` is the label of IAM's and root's field and of Identity Center's newer
// one; `authenticator` the other label that Identity Center has. Documentation in the language has the first; the second is
// presumed where marked, from how the same documentation calls the app.

/** @type {Record<string, Record<"lang" | "title" | "hint" | "code" | "submit" | "authenticator" | "enter" | "signIn", string>>} */
export const TEXTS = Object.fromEntries(
  [
    ["en", "Multi-factor authentication", "Enter the code from your MFA device", "MFA code", "Submit", "Authenticator code", "Enter code", "Sign in"],
    ["de", "Multi-Faktor-Authentifizierung", "Geben Sie den Code Ihres MFA-Geräts ein", "MFA-Code", "Absenden", "Authentifikator-Code", "Code eingeben", "Anmelden"],
    ["ja", "多要素認証", "MFA デバイスのコードを入力してください", "MFA コード", "送信", "認証アプリのコード", "コードを入力", "サインイン"],
    ["pt-BR", "Autenticação multifator", "Insira o código do seu dispositivo de MFA", "Código de MFA", "Enviar", "Código do autenticador", "Insira o código", "Fazer login"],
    ["zh-CN", "多重身份验证", "请输入 MFA 设备上的代码", "MFA 代码", "提交", "身份验证器代码", "输入代码", "登录"],
    ["zh-TW", "多重要素驗證", "輸入 MFA 裝置的代碼", "MFA 代碼", "提交", "驗證器代碼", "輸入代碼", "登入"],
    ["ko", "멀티 팩터 인증", "MFA 디바이스의 코드를 입력하세요", "MFA 코드", "제출", "인증 앱 코드", "코드 입력", "로그인"],
    ["fr", "Authentification multifactorielle", "Saisissez le code de votre dispositif MFA", "Code MFA", "Envoyer", "Code d'authentification", "Saisir le code", "Se connecter"],
    ["es", "Autenticación multifactor", "Introduzca el código de su dispositivo MFA", "Código MFA", "Enviar", "Código del autenticador", "Introducir código", "Iniciar sesión"],
    ["it", "Autenticazione a più fattori", "Inserisci il codice del dispositivo MFA", "Codice MFA", "Invia", "Codice dell'autenticatore", "Inserisci il codice", "Accedi"],
    ["id", "Autentikasi multi-faktor", "Masukkan kode dari perangkat MFA Anda", "Kode MFA", "Kirim", "Kode pengautentikasi", "Masukkan kode", "Masuk"],
    ["tr", "Çok faktörlü kimlik doğrulama", "MFA cihazınızdaki kodu girin", "MFA kodu", "Gönder", "Kimlik doğrulayıcı kodu", "Kodu girin", "Oturum aç"],
    ["ar", "المصادقة متعددة العوامل", "أدخل الرمز من جهاز MFA", "رمز MFA", "إرسال", "رمز المصادقة", "أدخل الرمز", "تسجيل الدخول"],
  ].map(([lang, title, hint, code, submit, authenticator, enter, signIn]) =>
    [lang, { lang, title, hint, code, submit, authenticator, enter, signIn }]),
);
