//! What kind of life it is: drawn from the seed, printed with a failure, and changed one by one while shrinking.

use super::dice::Dice;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Everything that can go wrong, each on or off for a whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A path carries nothing for a while, then everything.
    Stall,
    /// A connection dies, and what was under way on it with it.
    Reset,
    /// Two replicas hear nothing of each other for a while, and are not told.
    Partition,
    /// One replica is heard and hears nothing.
    OneWay,
    /// Paths are cut one by one and come back in another order.
    Swizzle,
    /// Both sides dial each other.
    DuplicateDial,
    /// A reader takes its time, and what is sent to it is not reported as written.
    SlowReader,
    /// Someone works offline for a while.
    Offline,
    /// A process is killed, at some moment between two inputs.
    Crash,
    /// A process is killed between two effects of one drain.
    CrashInDrain,
    /// A crash takes with it what was not synced.
    LostWrites,
    /// A crash leaves a part of what was not synced, ending anywhere.
    TornWrites,
    /// Writes fail for a while.
    WriteFails,
    /// There is no room for a while.
    DiskFull,
    /// Syncs fail for a while.
    SyncFails,
    /// Syncs take long for a while.
    SlowSync,
    /// The wall clock jumps.
    ClockJump,
    /// A replica comes back with an earlier state of its disk.
    OldBackup,
    /// A bit of what is stored flips while a replica is down.
    BitFlip,
    /// Reads fail for a while.
    ReadFails,
}

impl Fault {
    /// Those that every life may have.
    pub const USUAL: &[Self] = &[
        Self::Stall,
        Self::Reset,
        Self::Partition,
        Self::OneWay,
        Self::Swizzle,
        Self::DuplicateDial,
        Self::SlowReader,
        Self::Offline,
        Self::Crash,
        Self::CrashInDrain,
        Self::LostWrites,
        Self::TornWrites,
        Self::WriteFails,
        Self::DiskFull,
        Self::SyncFails,
        Self::SlowSync,
        Self::ClockJump,
        Self::ReadFails,
    ];

    /// Those that no store promises to undo: what they destroy may be lost where it was nowhere else.
    pub const DESTRUCTIVE: &[Self] = &[Self::OldBackup, Self::BitFlip];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::USUAL
            .iter()
            .chain(Self::DESTRUCTIVE)
            .find(|fault| fault.to_string().eq_ignore_ascii_case(text))
            .copied()
            .ok_or_else(|| format!("{text} is no fault: the faults are {:?} and {:?}", Self::USUAL, Self::DESTRUCTIVE))
    }
}

/// What sort of lives they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The usual ones.
    Usual,
    /// Those with faults that destroy what a disk has promised to keep.
    Destructive,
    /// Those with a relay that cheats.
    Cheating,
    /// Those in owned spaces that someone is shut out of.
    ShuttingOut,
}

impl Sort {
    /// The variable of the environment that asks for a life of this sort alone.
    pub fn variable(self) -> Option<&'static str> {
        match self {
            Self::Usual => None,
            Self::Destructive => Some("DRIFTLINE_SIM_DESTRUCTIVE"),
            Self::Cheating => Some("DRIFTLINE_SIM_CHEATING"),
            Self::ShuttingOut => Some("DRIFTLINE_SIM_SHUT_OUT"),
        }
    }
}

/// How someone's part in an owned space ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// They are shut out.
    Revoked,
    /// What they were granted ends, so many seconds after the life's beginning.
    Expires(u64),
}

/// Who dials whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Replica 0 is a relay, and all others dial it.
    Star,
    /// As a star, and some of the others dial each other too.
    StarWithEdges,
    /// Replicas dial each other, all connected, none a relay.
    Mesh,
    /// Each dials the one before it: what the ends write goes through all others.
    Chain,
}

/// What kind of life it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number everything else was drawn from.
    pub seed: u64,
    /// How many replicas.
    pub replicas: usize,
    /// Who dials whom.
    pub shape: Shape,
    /// How many documents.
    pub documents: usize,
    /// How many edits.
    pub edits: usize,
    /// How long the faults last, in milliseconds.
    pub faulty_ms: u64,
    /// What can go wrong.
    pub faults: BTreeSet<Fault>,
    /// The usual delay of a path at most, in milliseconds.
    pub delay_ms_max: u64,
    /// The usual time of a storage task at most, in milliseconds.
    pub disk_ms_max: u64,
    /// How often in a hundred an engine is told more before it is drained.
    pub coalesce_percent: u64,
    /// How often in a hundred an edit goes through a mirror.
    pub view_percent: u64,
    /// Whether bounds are small enough to be reached.
    pub small_limits: bool,
    /// Whether most replicas compact their logs, which then are short and begin with snapshots.
    pub compacting: bool,
    /// Whether what documents say is stored, and shown before they are loaded.
    pub previews: bool,
    /// Whether some of the replicas speak the version of the protocol before this one.
    pub mixed_versions: bool,
    /// Whether replicas let go of documents, all but at once.
    pub letting_go: bool,
    /// Whether mirrors outlive their engine, as other tabs do when the one that ran it is closed.
    pub tabs_stay: bool,
    /// Whether some of the replicas count text in UTF-16, as browsers do.
    pub mixed_text_units: bool,
    /// Whether the space is owned, and everyone joins it by a link that its owner made and went away.
    pub owned: bool,
    /// What sort of life it is.
    pub sort: Sort,
    /// With how many frames in a hundred the relay meddles.
    pub cheating: u64,
    /// Whether such a relay is gone in the end, and the others meet each other.
    pub relay_goes: bool,
    /// Whether the owned space is sealed; then its owner is one of the replicas, too.
    pub sealed: bool,
    /// How someone's part in the space ends; then its owner is one of the replicas.
    pub end: Option<End>,
}

/// The usual faults that are drawn first.
const EARLIER: &[Fault] = Fault::USUAL.split_last().expect("there are some").1;

impl Options {
    /// The life that `seed` stands for, of a sort.
    pub fn draw(seed: u64, sort: Sort) -> Self {
        let mut options = Self::draw_usual(seed, sort == Sort::Destructive);
        options.sort = sort;
        match sort {
            Sort::Usual | Sort::Destructive => {}
            Sort::Cheating => options.have_the_relay_cheat(),
            Sort::ShuttingOut => options.have_someone_shut_out(),
        }
        let is_asked = std::env::var("DRIFTLINE_SIM_SEALED").is_ok();
        // What a relay that cheats alters under a seal it keeps, and nothing heals that yet: see docs/testing.md.
        let is_drawn = sort != Sort::Cheating && Dice::new(seed, "sealed").percent(30);
        if options.owned && (is_asked || is_drawn) {
            options.seal();
        }
        options
    }

    /// Has the space sealed. Under the smallest limits no sealed change fits.
    pub fn seal(&mut self) {
        self.sealed = true;
        self.small_limits = false;
        self.relay_goes |= self.cheating > 0;
    }

    fn have_the_relay_cheat(&mut self) {
        let mut dice = Dice::new(self.seed, "cheating");
        self.shape = *dice.pick(&[Shape::Star, Shape::StarWithEdges]);
        self.replicas = self.replicas.max(3);
        self.cheating = *dice.pick(&[1, 3, 10]);
        self.relay_goes = dice.percent(50);
        self.owned = dice.percent(50);
        self.mixed_versions &= !self.owned;
        self.have_disks_take_all();
        if dice.percent(60) {
            self.faults.insert(Fault::OldBackup);
        }
    }

    fn have_someone_shut_out(&mut self) {
        let mut dice = Dice::new(self.seed, "shutting out");
        self.replicas = self.replicas.max(4);
        (self.owned, self.mixed_versions) = (true, false);
        self.have_disks_take_all();
        self.end = Some(if dice.percent(70) {
            End::Revoked
        } else {
            // Whose clock is wrong is wrong about that, too.
            self.faults.remove(&Fault::ClockJump);
            // What a relay passed on and then lost, someone whose grant has ended meanwhile cannot bring again.
            self.faults
                .retain(|fault| !matches!(fault, Fault::Crash | Fault::CrashInDrain | Fault::LostWrites | Fault::TornWrites));
            End::Expires(1 + dice.below(self.faulty_ms / 1_000))
        });
    }

    /// Without the faults in which a disk refuses to write.
    fn have_disks_take_all(&mut self) {
        self.faults.retain(|fault| !matches!(fault, Fault::WriteFails | Fault::DiskFull | Fault::SyncFails));
    }

    fn draw_usual(seed: u64, destructive: bool) -> Self {
        let mut dice = Dice::new(seed, "options");
        let replicas = dice.between(2, 6) as usize;
        let shape = *dice.pick(&[Shape::Star, Shape::Star, Shape::StarWithEdges, Shape::Mesh, Shape::Chain]);
        let mut faults: BTreeSet<_> = EARLIER.iter().copied().filter(|_| dice.percent(40)).collect();
        if dice.percent(5) {
            faults.clear();
        }
        if destructive {
            faults.extend(Fault::DESTRUCTIVE.iter().filter(|_| dice.percent(50)));
        }
        let mut options = Self {
            seed,
            replicas,
            shape,
            documents: dice.between(1, 3) as usize,
            edits: dice.between(10, 80) as usize,
            faulty_ms: *dice.pick(&[2_000, 20_000, 60_000, 120_000]),
            faults,
            delay_ms_max: *dice.pick(&[1, 20, 300, 2_000]),
            disk_ms_max: *dice.pick(&[0, 5, 50]),
            coalesce_percent: *dice.pick(&[0, 20, 80]),
            view_percent: *dice.pick(&[0, 40, 90]),
            small_limits: dice.percent(30),
            mixed_text_units: dice.percent(50),
            tabs_stay: dice.percent(40),
            compacting: dice.percent(60),
            mixed_versions: dice.percent(20),
            letting_go: dice.percent(60),
            previews: dice.percent(60),
            owned: false,
            sort: Sort::Usual,
            cheating: 0,
            relay_goes: false,
            end: None,
            sealed: false,
        };
        // Drawn last, so that what was drawn before stays what it was.
        if dice.percent(40) && !options.faults.is_empty() {
            options.faults.insert(Fault::ReadFails);
        }
        // Who speaks an older version is not served owned spaces; and what nobody vouched for before a disk lost it cannot be had from members again.
        options.owned = dice.percent(30) && !options.mixed_versions && !destructive;
        options
    }

    /// Whether `fault` can happen in this life.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}
