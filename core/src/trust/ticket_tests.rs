use super::*;
use proptest::prelude::*;

/// Computed in Python by `docs/protocol.md` alone.
const KNOWN_ONCE: &str = concat!(
    "AQEEBAQEBAQEBAQEBAQEBAQEAwEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAgICAgICAgICAgICAgICAgICAgICAgIC",
    "AgICAgICAgKApKfaBgRBbm5hARF3czovL2hhcmJvdXIvc3luY21jgRc",
);
const KNOWN_DEVICE: &str =
    concat!("AQIBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICgKSn2gYAAHCA", "0pg",);
const KNOWN_ID: &str = "4df92cf7b814842cbe2123447d418932";
const KNOWN_PROOF: &str = "b2bdfecd09d406e5ab91e129723c567e9429c40248c0d00ca2e880b03ccf05d3";
const KNOWN_CODE: &str = "431958";

fn ticket(purpose: Purpose) -> Ticket {
    let relays = vec!["ws://harbour/sync".to_owned()];
    Ticket { purpose, giver: PeerId([1; 32]), secret: [2; 32], ends: 1_800_000_000, from: "Anna".to_owned(), relays }
}

fn to_space() -> Ticket {
    ticket(Purpose::Space { space: SpaceId([4; 16]), level: Level::Write })
}

#[test]
fn a_known_answer() {
    let once = to_space();
    assert_eq!(once.to_text(), format!("{ONCE_PREFIX}{KNOWN_ONCE}"));
    let device = Ticket { from: String::new(), relays: Vec::new(), ..ticket(Purpose::Device) };
    assert_eq!(device.to_text(), format!("{DEVICE_PREFIX}{KNOWN_DEVICE}"));
    assert_eq!(once.id().to_string(), KNOWN_ID);
    let asker = PeerId([3; 32]);
    assert_eq!(crate::base::id::to_hex(&once.proof(&asker, "Bén")), KNOWN_PROOF);
    assert_eq!(once.code(&asker), KNOWN_CODE);
}

#[test]
fn it_is_read_from_links_and_not_taken_for_an_invitation() {
    let once = to_space();
    let fragment = once.to_text().split_once('#').unwrap().1.to_owned();
    for link in [once.to_text(), format!(" https://notes.example/app#once={fragment}\n"), fragment.clone()] {
        assert_eq!(Ticket::from_text(&link), Ok(once.clone()), "{link}");
    }
    assert!(Ticket::is_meant_by(&once.to_text()) && Ticket::is_meant_by("https://notes.example/#device=abc"));
    assert!(!Ticket::is_meant_by("driftline:join#abc") && !Ticket::is_meant_by("https://notes.example/#join=abc"));
    let mistyped = once.to_text().replace("WYW", "WYX").replacen('B', "C", 1);
    assert_eq!(Ticket::from_text(&mistyped), Err(TicketError::Check));
    for other in ["", "driftline:once#", "driftline:once#ä", &"A".repeat(TEXT_MAX + 1)] {
        assert_eq!(Ticket::from_text(other), Err(TicketError::NotOne));
    }
    let mut newer = once.to_bytes();
    newer[0] = VERSION + 1;
    assert_eq!(Ticket::from_bytes(&newer), Err(TicketError::Newer));
}

#[test]
fn a_proof_is_one_keys_under_one_name_and_shows_nothing_of_the_secret() {
    let (once, ben, cat) = (to_space(), PeerId([3; 32]), PeerId([5; 32]));
    let proof = once.proof(&ben, "Ben");
    assert!(once.is_proof(&ben, "Ben", &proof));
    assert!(!once.is_proof(&cat, "Ben", &proof) && !once.is_proof(&ben, "Cat", &proof));
    let other = Ticket { secret: [9; 32], ..once.clone() };
    assert!(!other.is_proof(&ben, "Ben", &proof) && other.id() != once.id());
    assert_ne!(once.code(&ben), once.code(&cat));
    assert!(!format!("{once:?}").contains("secret"));
}

proptest! {
    #[test]
    fn a_ticket_reads_back_and_any_bytes_are_legal_input(
        space: Option<[u8; 16]>, giver: [u8; 32], secret: [u8; 32], ends: u64, from in ".{0,30}",
        relays in proptest::collection::vec(".{0,40}", 0..=INVITATION_RELAYS_MAX), junk: Vec<u8>,
    ) {
        let purpose = space.map_or(Purpose::Device, |space| Purpose::Space { space: SpaceId(space), level: Level::Read });
        let ticket = Ticket { purpose, giver: PeerId(giver), secret, ends, from, relays };
        prop_assert_eq!(Ticket::from_text(&ticket.to_text()), Ok(ticket.clone()));
        prop_assert_eq!(Ticket::from_bytes(&ticket.to_bytes()), Ok(ticket));
        if let Ok(read) = Ticket::from_bytes(&junk) {
            prop_assert_eq!(read.to_bytes(), junk);
        }
    }
}
