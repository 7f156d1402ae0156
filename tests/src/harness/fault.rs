//! Everything that goes wrong in a life: drawn at its beginning, so that a fault switched off leaves the others in place.

use super::dice::Dice;
use super::options::{Fault, Options, Shape};
use super::world::{Happening, World};
use driftline_core::engine::input::Command;

/// One thing that is done to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trick {
    /// A path is cut.
    Cut(usize, usize),
    /// A cut ends.
    Mend(usize, usize),
    /// A reader is slow.
    Slow(usize, usize),
    /// It no longer is.
    Quicken(usize, usize),
    /// A connection dies; the number chooses which.
    Reset(u64),
    /// A process is killed, and started again after so long.
    Kill(usize, u64),
    /// A process will be killed after so many effects.
    Arm(usize, u64),
    /// A replica goes offline or online.
    SetOnline(usize, bool),
    /// A disk's fault begins or ends.
    Disk(usize, Fault, bool),
    /// A wall clock is off by so much.
    Jump(usize, i64),
    /// The second dials the first too.
    DialBack(usize, usize),
    /// A disk is copied.
    BackUp(usize),
    /// A process is killed, and comes back with the copy.
    Restore(usize),
    /// A process is killed, and comes back with a bit flipped.
    FlipBit(usize),
}

/// Draws the tricks of a life, with their times from its beginning.
pub fn draw(options: &Options) -> Vec<(u64, Fault, Trick)> {
    let mut tricks = Vec::new();
    for fault in &options.faults {
        let mut dice = Dice::new(options.seed, &format!("fault {fault}"));
        let times = dice.between(1, 2 + options.faulty_ms / 20_000);
        for _ in 0..times {
            draw_one(*fault, options, &mut dice, &mut tricks);
        }
    }
    tricks.retain(|(at, _, _)| *at < options.faulty_ms);
    tricks.sort_by_key(|(at, _, _)| *at);
    tricks
}

fn draw_one(fault: Fault, options: &Options, dice: &mut Dice, tricks: &mut Vec<(u64, Fault, Trick)>) {
    let at = dice.below(options.faulty_ms);
    let short = dice.between(100, 5_000);
    let long = dice.between(1_000, 45_000);
    let one = dice.index(options.replicas);
    let (a, b) = edge(options, dice);
    let mut say = |at: u64, trick: Trick| tricks.push((at, fault, trick));
    match fault {
        Fault::Stall => {
            say(at, Trick::Cut(a, b));
            say(at, Trick::Cut(b, a));
            say(at + short, Trick::Mend(a, b));
            say(at + short, Trick::Mend(b, a));
        }
        Fault::Partition => {
            say(at, Trick::Cut(a, b));
            say(at, Trick::Cut(b, a));
            say(at + long, Trick::Mend(a, b));
            say(at + long, Trick::Mend(b, a));
        }
        Fault::OneWay => {
            say(at, Trick::Cut(a, b));
            say(at + long, Trick::Mend(a, b));
        }
        Fault::SlowReader => {
            say(at, Trick::Slow(a, b));
            say(at + long, Trick::Quicken(a, b));
        }
        Fault::Swizzle => {
            let mut others: Vec<_> = (0..options.replicas).filter(|other| *other != one).collect();
            dice.shuffle(&mut others);
            for other in &others {
                let cut = at + dice.below(short);
                say(cut, Trick::Cut(one, *other));
                say(cut, Trick::Cut(*other, one));
            }
            dice.shuffle(&mut others);
            for (turn, other) in others.iter().enumerate() {
                let mend = at + short + turn as u64 * dice.below(short);
                say(mend, Trick::Mend(one, *other));
                say(mend, Trick::Mend(*other, one));
            }
        }
        Fault::Reset => say(at, Trick::Reset(dice.below(1 << 32))),
        Fault::DuplicateDial => say(at, Trick::DialBack(a, b)),
        Fault::Offline => {
            say(at, Trick::SetOnline(one, false));
            say(at + long, Trick::SetOnline(one, true));
        }
        Fault::Crash => {
            let down = if dice.percent(30) { 0 } else { dice.below(20_000) };
            say(at, Trick::Kill(one, down));
        }
        Fault::CrashInDrain => say(at, Trick::Arm(one, dice.below(20))),
        // These show in how a process ends, and want one that does.
        Fault::LostWrites | Fault::TornWrites => say(at, Trick::Kill(one, dice.below(5_000))),
        Fault::WriteFails | Fault::DiskFull | Fault::SyncFails | Fault::SlowSync | Fault::ReadFails => {
            say(at, Trick::Disk(one, fault, true));
            say(at + long, Trick::Disk(one, fault, false));
        }
        Fault::ClockJump => {
            let day = 86_400_000;
            say(at, Trick::Jump(one, dice.below(4 * day) as i64 - 2 * day as i64));
        }
        Fault::OldBackup => {
            // A relay that cheats is the one that goes back.
            let one = if options.cheating > 0 { 0 } else { one };
            say(at, Trick::BackUp(one));
            say(at + long, Trick::Restore(one));
        }
        Fault::BitFlip => say(at, Trick::FlipBit(one)),
    }
}

/// Two replicas that are joined.
fn edge(options: &Options, dice: &mut Dice) -> (usize, usize) {
    let edges = edges(options);
    let (a, b) = *dice.pick(&edges);
    if dice.percent(50) { (a, b) } else { (b, a) }
}

/// Who dials whom in this life.
pub fn edges(options: &Options) -> Vec<(usize, usize)> {
    let mut dice = Dice::new(options.seed, "edges");
    let others = 1..options.replicas;
    match options.shape {
        Shape::Star => others.map(|other| (other, 0)).collect(),
        Shape::Chain => others.map(|other| (other, other - 1)).collect(),
        Shape::StarWithEdges => {
            let mut edges: Vec<_> = others.clone().map(|other| (other, 0)).collect();
            edges.extend(others.filter(|other| *other > 1 && dice.percent(60)).map(|other| (other, other - 1)));
            edges
        }
        Shape::Mesh => {
            let mut edges: Vec<_> = others.clone().map(|other| (other, dice.index(other))).collect();
            for a in others {
                for b in 0..a {
                    if !edges.contains(&(a, b)) && dice.percent(40) {
                        edges.push((a, b));
                    }
                }
            }
            edges
        }
    }
}

impl World {
    /// Does one thing to the world.
    pub fn play(&mut self, fault: Fault, trick: Trick) {
        if self.healed {
            return;
        }
        if matches!(trick, Trick::Cut(..) | Trick::Slow(..)) {
            self.tally.count(&format!("fault {fault}"));
        }
        self.trace.word(self.now_ms, || format!("{trick:?}"));
        self.busy_ms = self.now_ms;
        match trick {
            Trick::Cut(from, to) => self.links.cut(from, to),
            Trick::Mend(from, to) => {
                let moving = self.links.mend(from, to);
                self.move_on(moving);
            }
            Trick::Slow(from, to) => self.links.slow(from, to),
            Trick::Quicken(from, to) => {
                let moving = self.links.quicken(from, to);
                self.move_on(moving);
            }
            Trick::Reset(choice) => self.reset_one(choice),
            Trick::Kill(index, down_ms) => {
                if self.replicas[index].is_up() {
                    self.tally.count("fault Crash");
                    let death = self.death();
                    self.kill(index, death);
                    self.plan(self.now_ms + down_ms, Happening::Start(index));
                }
            }
            Trick::Arm(index, effects) => {
                if self.replicas[index].is_up() {
                    self.replicas[index].fuse = Some(effects);
                }
            }
            Trick::SetOnline(index, online) => {
                self.replicas[index].online = online;
                self.tally.count("fault Offline");
                self.command(index, Command::SetOnline { online });
            }
            Trick::Disk(index, fault, on) => self.replicas[index].disk.set_fault(fault, on),
            Trick::Jump(index, by_ms) => {
                self.tally.count("fault ClockJump");
                self.replicas[index].unix_offset_ms = by_ms;
            }
            Trick::DialBack(from, to) => {
                let endpoint = Self::endpoint(to);
                if self.replicas[from].endpoints.insert(endpoint.clone()) {
                    self.tally.count("fault DuplicateDial");
                    self.command(from, Command::AddEndpoint { endpoint });
                }
            }
            Trick::BackUp(index) => self.replicas[index].disk.back_up(),
            Trick::Restore(index) => self.tamper(index, "fault OldBackup", |disk| disk.restore()),
            Trick::FlipBit(index) => self.tamper(index, "fault BitFlip", |disk| disk.flip_bit()),
        }
    }

    /// Ends every fault: paths, disks and people do their part from now on.
    pub fn heal(&mut self) {
        self.healed = true;
        self.trace.word(self.now_ms, || "all faults end".to_owned());
        let moving = self.links.mend_all();
        self.move_on(moving);
        if self.options.cheating > 0 {
            self.expose();
        }
        for index in 0..self.replicas.len() {
            let replica = &mut self.replicas[index];
            replica.disk.heal();
            replica.fuse = None;
            if !replica.online {
                replica.online = true;
                if replica.is_up() {
                    self.command(index, Command::SetOnline { online: true });
                }
            }
            self.start(index);
        }
    }

    fn tamper(&mut self, index: usize, name: &str, with: impl FnOnce(&mut super::disk::Disk) -> bool) {
        if !self.replicas[index].is_up() {
            return;
        }
        self.kill(index, super::disk::Death::Killed);
        if with(&mut self.replicas[index].disk) {
            self.tally.count(name);
            if self.options.cheating > 0 {
                self.oracle.on_set_back(index);
            } else {
                self.oracle.on_tampered(index);
            }
        }
        let delay = self.fault_dice.below(5_000);
        self.plan(self.now_ms + delay, Happening::Start(index));
    }
}
