// Generated from crate/src/enrolment.rs by `KEYFOB_UPDATE=1 cargo test -p keyfob-core`. Do not edit.

const KEYFOB_ENROLMENT = {
  code: ["mfa","authenticator code","authenticator-code","认证器","認証アプリ"],
  reveal: ["qr code","qr-code","qrコード","qr コード","código qr","code qr","codice qr","kode qr","qr kodu","karekod","qr 코드","qr 码","qr码","二维码","qr 代码","qr 碼","secret key","geheimen schlüssel","geheimschlüssel","geheimer schlüssel","clave secreta","clé secrète","clé secrete","kunci rahasia","chiave segreta","シークレットキー","シークレット キー","보안 키","비밀 키","chave secreta","gizli anahtar","密钥","密鑰","私有密钥"],
  device: ["device name","device-name","devicename","gerätename","gerätenamen","nombre del dispositivo","nombre de dispositivo","nom de l'appareil","nom du dispositif","nama perangkat","nome del dispositivo","nome dispositivo","デバイス名","디바이스 이름","장치 이름","nome do dispositivo","cihaz adı","设备名称","裝置名稱"],
  secret: ".secret-key,[data-testid*=secret-key],[data-testid*=secretkey]",
  account: "[data-testid=account-detail-menu],[data-testid=awsc-account-info-tile],#nav-usernameMenu,#menu--account",
  base32: "^(?:[A-Z2-7]{64}|[A-Z2-7]{32})$",
};
