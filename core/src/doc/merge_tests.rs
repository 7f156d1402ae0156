//! What documents promise together, whatever is done to them.

use super::chance::{Dice, Replica, dice, units};
use super::patch::Patch;
use super::value::{TextUnit, Value};
use crate::base::id::ChangeHash;
use proptest::prelude::*;

/// A replica's number, its heads at some time, and what it read then.
type Sighting = (usize, Vec<ChangeHash>, Value);

/// Three replicas edit at random and take from each other; returns them with versions seen on the way, each with its value.
fn lives(dice: &mut Dice, unit: TextUnit) -> (Vec<Replica>, Vec<Sighting>) {
    let mut replicas: Vec<_> = (1..=3).map(|number| Replica::new(number, unit)).collect();
    let mut seen = vec![(0, Vec::new(), Value::empty())];
    while !dice.is_over() {
        let number = dice.roll(3);
        if dice.roll(3) == 0 {
            let other = (number + 1 + dice.roll(2)) % 3;
            let count = 1 + dice.roll(4);
            let [to, from] = replicas.get_disjoint_mut([number, other]).unwrap();
            to.take_from(from, count);
        } else {
            let replica = &mut replicas[number];
            let edit = dice.edit(&replica.value(), unit);
            replica.edit(&edit);
        }
        let replica = &replicas[number];
        seen.push((number, replica.document.heads(), replica.value()));
    }
    (replicas, seen)
}

fn patched(mut value: Value, patches: &[Patch], unit: TextUnit) -> Value {
    for patch in patches {
        patch.apply(&mut value, unit).unwrap_or_else(|error| panic!("{error}: {patch:?} on {value:?}"));
    }
    value
}

proptest! {
    /// A mirror that shows an earlier version and does what the patches say shows the later one.
    #[test]
    fn patches_lead_from_any_version_to_any_later_one(mut dice in dice(160), unit in units()) {
        let (replicas, seen) = lives(&mut dice, unit);
        for (number, replica) in replicas.iter().enumerate() {
            let now = (replica.document.heads(), replica.value());
            for (_, before, value) in seen.iter().filter(|(of, _, _)| *of == number) {
                prop_assert_eq!(&replica.document.value_at(before, ()).unwrap(), value);
                let patches = replica.document.diff(before, &now.0);
                prop_assert_eq!(&patched(value.clone(), &patches, unit), &now.1, "from {:?} by {:?}", value, patches);
            }
        }
    }

    /// In whatever order replicas take each other's changes, they end up the same.
    #[test]
    fn replicas_that_hold_the_same_are_the_same(mut dice in dice(160), unit in units()) {
        let (mut replicas, _) = lives(&mut dice, unit);
        for round in 0..2 {
            for number in 0..3 {
                let other = (number + 1 + round) % 3;
                let [to, from] = replicas.get_disjoint_mut([number, other]).unwrap();
                to.take_from(from, usize::MAX);
            }
        }
        let [to, from] = replicas.get_disjoint_mut([0, 2]).unwrap();
        to.take_from(from, usize::MAX);
        let [to, from] = replicas.get_disjoint_mut([1, 0]).unwrap();
        to.take_from(from, usize::MAX);
        let [to, from] = replicas.get_disjoint_mut([2, 0]).unwrap();
        to.take_from(from, usize::MAX);
        prop_assert_eq!(replicas[0].document.heads(), replicas[1].document.heads());
        prop_assert_eq!(replicas[0].document.heads(), replicas[2].document.heads());
        prop_assert_eq!(replicas[0].value(), replicas[1].value());
        prop_assert_eq!(replicas[0].value(), replicas[2].value());
    }
}
