//! Real PC/SC: a private service, virtual readers, and `ykman` as the other client.

use keyfob_tests::home::Home;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::tool;

#[test]
fn ykman_sees_the_virtual_readers() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER, "Other Maker Reader"]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    let _card = pcscd.insert(0, |_: &[u8]| vec![0x6a, 0x82]).unwrap();
    let output = home.command(tool("KEYFOB_YKMAN").unwrap()).args(["list", "--readers"]).output().unwrap();
    let readers = String::from_utf8(output.stdout).unwrap();
    let expected = format!("{YUBIKEY_READER} 00 00\n{YUBIKEY_READER} 00 01\nOther Maker Reader 00 00\n");
    assert!(readers.starts_with(&expected), "{readers}");
}
