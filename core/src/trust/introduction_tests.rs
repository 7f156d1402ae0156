use super::*;
use crate::base::id::to_hex;
use proptest::prelude::*;

/// Computed in Python by `docs/protocol.md` alone.
const KNOWN_ASK: &str =
    concat!("014df92cf7b814842cbe2123447d418932b2bdfecd09d406e5ab91e129723c567e9429c40248c0d00ca2e880b03ccf05d304", "42c3a96e",);
const KNOWN_IN: &str = concat!(
    "024df92cf7b814842cbe2123447d4189320104040404040404040404040404040404055469646573010677733a2f2f680203",
    "6f6e650374776f01050505050505050505050505050505050505050505050505050505050505050506060606060606060606",
    "06060606060606060606060606060606060606060606",
);
const KNOWN_NOT: &str = "034df92cf7b814842cbe2123447d41893203";
const KNOWN_NEWS: &str = concat!(
    "040103030303030303030303030303030303030303030303030303030303030303030570686f6e6501010101010101010101",
    "0101010101010101010101010101010101010101010101010404040404040404040404040404040405546964657301067773",
    "3a2f2f6802036f6e650374776f01050505050505050505050505050505050505050505050505050505050505050506060606",
    "06060606060606060606060606060606060606060606060606060606",
);

fn card() -> Card {
    let chain = vec![b"one".to_vec(), b"two".to_vec()];
    Card {
        space: SpaceId([4; 16]),
        name: "Tides".to_owned(),
        relays: vec!["ws://h".to_owned()],
        chain,
        key: Some(([5; 32], [6; 32])),
    }
}

#[test]
fn known_answers() {
    let ticket = crate::trust::ticket::Ticket {
        purpose: crate::trust::ticket::Purpose::Device,
        giver: PeerId([1; 32]),
        secret: [2; 32],
        ends: 0,
        from: String::new(),
        relays: Vec::new(),
    };
    let (id, name) = (ticket.id(), "Bén".to_owned());
    let ask = Introduction::Ask { ticket: id, proof: ticket.proof(&PeerId([3; 32]), &name), name };
    let news = News { linked: vec![(PeerId([3; 32]), "phone".to_owned())], lost: vec![PeerId([1; 32])], cards: vec![card()] };
    for (introduction, known) in [
        (ask, KNOWN_ASK),
        (Introduction::In { ticket: id, card: Some(card()) }, KNOWN_IN),
        (Introduction::Not { ticket: id, why: WhyNot::TakenBack }, KNOWN_NOT),
        (Introduction::News(news), KNOWN_NEWS),
    ] {
        let bytes = introduction.to_bytes();
        assert_eq!(to_hex(&bytes), known);
        assert_eq!(Introduction::from_bytes(&bytes), Ok(introduction));
        for end in 0..bytes.len() {
            assert!(Introduction::from_bytes(&bytes[..end]).is_err());
        }
    }
}

#[test]
fn a_reason_has_words_and_a_name_is_cut_between_characters() {
    for byte in 1..=6 {
        let why = WhyNot::from_byte(byte).unwrap();
        assert!(why as u8 == byte && why.words().len() > 20);
    }
    assert_eq!((WhyNot::from_byte(0), WhyNot::from_byte(7)), (None, None));
    assert_eq!(short_name("Ben"), "Ben");
    let long = "ä".repeat(100);
    assert_eq!(short_name(&long), "ä".repeat(NAME_BYTES_MAX / 2));
    assert_eq!(short_name(&format!("x{long}")).len(), NAME_BYTES_MAX - 1);
}

proptest! {
    #[test]
    fn an_introduction_reads_back_and_any_bytes_are_legal_input(
        ticket: [u8; 16], proof: [u8; 32], name in ".{0,30}", key: [u8; 32],
        chain in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..=GRANT_CHAIN_MAX), junk: Vec<u8>,
    ) {
        let ticket = TicketId(ticket);
        let card = Card { name: name.clone(), chain, ..card() };
        let mut w = Writer::new();
        card.encode(&mut w);
        prop_assert!(card.size() >= w.finish().len());
        let news = News { linked: vec![(PeerId(key), name.clone())], lost: vec![PeerId(key)], cards: vec![card.clone()] };
        for introduction in [
            Introduction::Ask { ticket, proof, name },
            Introduction::In { ticket, card: Some(card) },
            Introduction::In { ticket, card: None },
            Introduction::News(news),
        ] {
            prop_assert_eq!(Introduction::from_bytes(&introduction.to_bytes()), Ok(introduction));
        }
        if let Ok(read) = Introduction::from_bytes(&junk) {
            prop_assert_eq!(read.to_bytes(), junk);
        }
    }
}
