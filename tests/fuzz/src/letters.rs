//! Letters, and what is inside of them: the first byte says which of the two the rest is.
//!
//! Chance seals nothing and signs nothing, so the inside is sealed here, and what reads of it must have been signed.

use driftline_core::base::codec::Writer;
use driftline_core::base::id::PeerId;
use driftline_core::trust::key::SecretKey;
use driftline_core::trust::letter::Letter;
use driftline_core::trust::sealed_box::{Unsealer, seal};

const OUTSIDE: u8 = 0;
const EXPIRES: u64 = 1_800_000_000;
const SIZES: [usize; 3] = [0, 300, 3_000];

fn bens() -> Unsealer {
    Unsealer::new(&[2; 32])
}

/// What reads has one encoding.
pub(crate) fn read(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    if *kind % 2 == OUTSIDE {
        let Ok(letter) = Letter::decode(rest) else { return };
        assert_eq!(letter.to_bytes(), rest);
        let _ = letter.open(&bens());
    } else {
        let letter = sealed(rest);
        if let Ok(content) = letter.open(&bens()) {
            assert!(content.bytes.len() + content.kind.len() < rest.len());
        }
    }
}

fn context(recipient: &PeerId) -> Vec<u8> {
    let mut w = Writer::new();
    w.put(b"driftline letter 1\0");
    w.put(&recipient.0);
    w.uint(EXPIRES);
    w.finish()
}

fn sealed(inside: &[u8]) -> Letter {
    let recipient = bens().recipient();
    let body = seal(&recipient, [3; 32], &context(&recipient), inside).expect("it is a key");
    Letter { recipient, expires: EXPIRES, body }
}

/// Letters of several sizes, and the insides of them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let written = |size: usize| {
        let content: Vec<u8> = (0..size).map(|at| at as u8).collect();
        Letter::write(&SecretKey::new(&[1; 32]), bens().recipient(), EXPIRES, "invitation", &content, [3; 32])
            .expect("it goes in")
    };
    let outside = SIZES.map(|size| [&[OUTSIDE][..], &written(size).to_bytes()].concat());
    let inside = SIZES.map(|size| {
        let letter = written(size);
        let inside = bens().open(&context(&letter.recipient), &letter.body).expect("it is his");
        [&[OUTSIDE + 1][..], &inside].concat()
    });
    outside.into_iter().chain(inside).collect()
}
