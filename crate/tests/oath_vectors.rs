//! The RFCs' vectors, through the whole conversation: URI → PUT → CALCULATE → code. `tests/wasm` runs the same in
//! wasm.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use keyfob_core::oath::{Calculate, CredentialId, Exchange, Kind, OtpAuth, Request, Session, Single, Step};
use keyfob_core::softkey::{Environment, SoftKey};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    hotp: Hotp,
    totp: Vec<Totp>,
}

#[derive(Deserialize)]
struct Hotp {
    uri: String,
    id: String,
    codes: Vec<String>,
}

#[derive(Deserialize)]
struct Totp {
    uri: String,
    id: String,
    codes: BTreeMap<u64, String>,
}

struct Willing;

impl Environment for Willing {
    fn touch(&mut self, _id: &[u8]) -> bool {
        true
    }
    fn random(&mut self) -> [u8; 8] {
        [0; 8]
    }
}

fn run<E: Exchange>(card: &mut SoftKey, mut exchange: E) -> E::Output {
    let mut step = exchange.step(None).unwrap();
    loop {
        match step {
            Step::Done(output) => return output,
            Step::Transmit(command) => {
                let response = card.transmit(command.as_bytes(), &mut Willing);
                step = exchange.step(Some(&response)).unwrap();
            }
        }
    }
}

fn one<R: Request>(card: &mut SoftKey, request: R) -> R::Answer {
    run(card, Single::new(request))
}

#[test]
fn codes_are_those_of_the_rfcs() {
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/oath.json")).unwrap();
    let mut card = SoftKey::new(1, [0; 8]);
    run(&mut card, Session::select());
    let mut check = |uri: &str, id: &str, kind, challenges: &[(u64, &str)]| {
        one(&mut card, OtpAuth::parse(uri).unwrap().put(false).unwrap());
        for (challenge, expected) in challenges {
            let id = CredentialId::from_bytes(id.as_bytes()).unwrap();
            let code = one(&mut card, Calculate { id, kind, challenge: *challenge }).code();
            assert_eq!(code, *expected, "{uri} {challenge}");
        }
    };
    let codes: Vec<_> = vectors.hotp.codes.iter().map(|code| (0, code.as_str())).collect();
    assert_eq!(codes.len(), 10);
    check(&vectors.hotp.uri, &vectors.hotp.id, Kind::Hotp, &codes);
    assert_eq!(vectors.totp.len(), 3);
    for totp in &vectors.totp {
        let codes: Vec<_> = totp.codes.iter().map(|(time, code)| (time / 30, code.as_str())).collect();
        assert_eq!(codes.len(), 6);
        check(&totp.uri, &totp.id, Kind::Totp, &codes);
    }
}
