//! One seed, one life: people write while everything goes wrong; then everything is mended, and all must come to rest,
//! equal and silent.

use super::fault::{self, Trick};
use super::options::{Fault, Shape};
use super::oracle::EditRecord;
use super::tally::Tally;
use super::verdict::judge;
use super::workload::{self, Intent, draw};
use super::world::{Happening, World};
use crate::harness::mirror::Mirror;
use driftline_core::base::id::{DocumentId, MirrorId};
use driftline_core::doc::edit::Edit;
use driftline_core::engine::config::Role;
use driftline_core::engine::input::{Command, Input, Stamp};

/// How long after the last fault all replicas may take to become equal, in milliseconds. A black hole is noticed after a
/// ping and a silence, and the longest wait before dialling again is half a minute.
const CALM_MS_MAX: u64 = 180_000;
/// How long they are then watched for not being silent, in milliseconds.
const SILENCE_MS: u64 = 60_000;
/// How long after becoming equal all must see each other, in milliseconds.
const PRESENCE_MS: u64 = 110_000;
/// How long after becoming equal they may still have something to say, in milliseconds.
const LAST_WORDS_MS_MAX: u64 = 40_000;

/// What came of a life.
#[derive(Clone, Debug)]
pub struct Report {
    /// The hash of its trace.
    pub hash: u64,
    /// Inputs and effects.
    pub steps: u64,
    /// What happened, counted.
    pub tally: Tally,
    /// How long after the faults all were equal, in milliseconds.
    pub calm_ms: u64,
    /// The hash after each step, where they were wanted.
    pub marks: Option<Vec<u64>>,
}

impl World {
    /// Lives the whole life.
    ///
    /// # Panics
    ///
    /// When something does not hold that must.
    pub fn live(&mut self) -> Report {
        self.begin();
        let faults_end = self.now_ms + self.options.faulty_ms;
        self.run_until(faults_end);
        self.heal();
        let healed_ms = self.now_ms;
        for index in 0..self.replicas.len() {
            self.open_everything(index);
        }
        self.undo_the_forgery();
        self.come_to_rest(healed_ms);
        let calm_ms = self.now_ms - healed_ms;
        let rest_ms = self.now_ms;
        self.run_until(rest_ms + SILENCE_MS);
        assert!(
            self.busy_ms <= rest_ms + LAST_WORDS_MS_MAX,
            "L1: all are equal since {rest_ms} and still not silent at {}",
            self.busy_ms
        );
        // A replica whose wall clock went back is not believed to be here before its old presence has expired.
        self.run_until(rest_ms + PRESENCE_MS);
        self.final_judgement();
        Report {
            hash: self.trace.hash(),
            steps: self.trace.steps,
            tally: std::mem::take(&mut self.tally),
            calm_ms,
            marks: self.trace.marks.take(),
        }
    }

    fn begin(&mut self) {
        for (from, to) in fault::edges(&self.options) {
            self.replicas[from].endpoints.insert(Self::endpoint(to));
        }
        for index in 0..self.replicas.len() {
            let at = self.now_ms + self.app_dice.below(500);
            self.plan(at, Happening::Start(index));
        }
        for (at, fault, trick) in fault::draw(&self.options) {
            self.plan(self.now_ms + at, Happening::Trick(fault, trick));
        }
        // Twice as many turns as edits: some turns only open a document, and some find nobody at home.
        for _ in 0..self.options.edits * 2 {
            let at = self.now_ms + self.app_dice.below(self.options.faulty_ms);
            self.plan(at, Happening::Act);
        }
        if self.options.letting_go {
            self.tally.count("life that may let go of documents");
        }
        if self.options.sealed {
            self.tally.count("life in a sealed space");
        }
        self.plan_end();
        for fault in self.options.faults.clone() {
            self.tally.count(&format!("life with {fault}"));
        }
    }

    /// A replica's app opens every document.
    pub fn open_everything(&mut self, index: usize) {
        if self.replicas[index].ready && self.replicas[index].role == Role::Client {
            for document in self.documents.clone() {
                if self.replicas[index].app.open.insert(document) {
                    self.command(index, Command::OpenDocument { space: self.space, document });
                }
            }
        }
    }

    fn come_to_rest(&mut self, healed_ms: u64) {
        loop {
            match self.unrest() {
                None => return,
                Some(why) => {
                    assert!(self.now_ms < healed_ms + CALM_MS_MAX, "L1: {CALM_MS_MAX} ms after the last fault {why}");
                }
            }
            self.run_until(self.now_ms + 250);
        }
    }

    /// Why not all is at rest yet.
    fn unrest(&self) -> Option<String> {
        if self.is_shutting_out {
            return Some("the owner does not know yet that someone is shut out".to_owned());
        }
        for (index, replica) in self.replicas.iter().enumerate().filter(|(_, replica)| !replica.out) {
            if !replica.ready {
                return Some(format!("replica {index} is not ready"));
            }
            if !replica.disk.tasks.is_empty() || replica.undrained {
                return Some(format!("replica {index} still writes"));
            }
            if !replica.app.to_engine.is_empty() || !replica.app.to_screen.is_empty() {
                return Some(format!("replica {index} and its screen still talk"));
            }
            if let Some(mirror) = replica.app.mirrors.values().find(|mirror| !mirror.is_quiet()) {
                return Some(format!("replica {index}'s mirror {} is not answered", mirror.view.0));
            }
        }
        if !self.oracle.disks_agree(&self.members(), &self.documents) {
            let held: Vec<Vec<usize>> = (0..self.replicas.len())
                .map(|index| self.documents.iter().map(|document| self.oracle.held(index, document).len()).collect())
                .collect();
            let lacking = self.oracle.lacking(&self.members(), &self.documents);
            return Some(format!("the disks do not hold the same: {held:?}; lacking: {lacking:?}"));
        }
        self.unsaved()
    }

    /// Why someone does not know yet that all is saved.
    fn unsaved(&self) -> Option<String> {
        let star = matches!(self.options.shape, Shape::Star | Shape::StarWithEdges) && !self.options.relay_goes;
        let went_back = self.oracle.tampered || self.oracle.cheated;
        let clients = self.replicas.iter().enumerate().filter(|(_, replica)| replica.role == Role::Client && !replica.out);
        for (index, replica) in clients {
            let engine = replica.engine.as_ref()?;
            for document in &self.documents {
                if self.oracle.held(index, document).is_empty() {
                    continue;
                }
                let Some(saved) = engine.saved(document) else {
                    return Some(format!("replica {index} does not say how saved {document} is"));
                };
                let enough = saved.device
                    && saved.unsaved == 0
                    && saved.replicas >= 1
                    && (!star || saved.relays == 1 || went_back && saved.relays > 1);
                if !enough {
                    return Some(format!("replica {index} does not know that all is saved: {saved:?}"));
                }
            }
        }
        None
    }

    fn final_judgement(&mut self) {
        // Someone may just be answering a ping.
        let late = self.now_ms;
        while let Some(why) = self.unrest() {
            assert!(self.now_ms < late + 5_000, "L1: all were equal, and {PRESENCE_MS} ms later {why}");
            self.run_until(self.now_ms + 100);
        }
        for index in 0..self.replicas.len() {
            let logs = self.replicas[index].disk.logs(self.oracle.keys.as_ref());
            self.oracle.on_recovered(index, &logs);
            for document in &self.documents {
                if self.replicas[index].role == Role::Client && !self.replicas[index].out {
                    assert!(self.replicas[index].document(document).is_some(), "L1: replica {index} has not opened {document}");
                }
            }
        }
        for document in self.documents.clone() {
            let changes = judge(&self.oracle, (&self.replicas, &self.members()), document);
            self.tally.add("changes judged", changes as u64);
        }
        self.judge_presence();
        self.judge_seals();
        self.judge_economy();
        let let_go = self.replicas.iter().map(super::replica::Replica::let_go).sum();
        self.tally.add("documents let go", let_go);
        self.tally.add("changes replayed", self.replicas.iter().map(super::replica::Replica::replayed).sum());
        if self.tally.of("documents let go") > 0 {
            self.tally.count("life that let go of documents");
        }
        let made = self.oracle.made.len() as u64;
        self.tally.add("edits made twice because a disk refused or lost the first", self.oracle.doubled.len() as u64);
        self.tally.add("edits told", self.oracle.edits.len() as u64);
        self.tally.add("edits that became changes", made);
        self.tally.add("edits said to be saved", self.oracle.saved_edits().len() as u64);
    }

    /// Someone's app has a turn.
    pub fn act(&mut self) {
        if self.healed {
            return;
        }
        let index = self.app_dice.index(self.replicas.len());
        let document = *self.app_dice.pick(&self.documents.clone());
        if self.app_dice.percent(10) {
            return self.show_presence(index);
        }
        if !self.options.faults.is_empty() && self.app_dice.percent(4) {
            return self.change_settings(index);
        }
        let replica = &self.replicas[index];
        if !replica.ready || replica.role == Role::Relay || self.last_edit >= self.options.edits as u64 {
            return;
        }
        // Who has come into a sealed space and not been given its key yet has nothing to write on.
        if replica.engine.as_ref().is_some_and(|engine| engine.waits_for_key(&self.space)) {
            return self.tally.count("waits for a key");
        }
        let views: Vec<_> =
            replica.app.mirrors.values().filter(|mirror| mirror.document == document).map(|mirror| mirror.view).collect();
        if self.app_dice.percent(self.options.view_percent) {
            match views.first() {
                Some(view) if self.replicas[index].app.mirrors[view].open => {
                    if views.len() < 2 && self.app_dice.percent(5) {
                        return self.open_view(index, document);
                    }
                    if self.app_dice.percent(4) {
                        self.replicas[index].app.mirrors.remove(view);
                        return self.command(index, Command::CloseView { view: *view });
                    }
                    let view = *self.app_dice.pick(&views);
                    if self.replicas[index].app.mirrors[&view].open {
                        self.edit_view(index, document, view);
                    }
                }
                Some(_) => {}
                None => self.open_view(index, document),
            }
            return;
        }
        if !self.replicas[index].app.open.contains(&document) {
            self.replicas[index].app.open.insert(document);
            self.command(index, Command::OpenDocument { space: self.space, document });
        } else if self.replicas[index].document(&document).is_some() {
            if self.app_dice.percent(3) {
                self.replicas[index].app.open.remove(&document);
                return self.command(index, Command::CloseDocument { document });
            }
            self.edit_document(index, document);
        }
    }

    fn open_view(&mut self, index: usize, document: DocumentId) {
        let replica = &mut self.replicas[index];
        let view = replica.app.next_view();
        self.last_mirror += 1;
        let id = MirrorId(self.last_mirror);
        replica.app.mirrors.insert(view, Mirror::new(view, id, document, replica.unit));
        self.command(index, Command::OpenView { view, space: self.space, document, resume: Vec::new(), mirror: Some(id) });
    }

    /// Mirrors that outlived their engine go on with the new one, and make again what it may not know.
    pub fn resume_mirrors(&mut self, index: usize) {
        let mut mirrors = std::mem::take(&mut self.replicas[index].app.mirrors);
        for (view, mirror) in &mut mirrors {
            let (resume, again) = mirror.resume();
            let (view, document, id) = (*view, mirror.document, mirror.id);
            self.tally.count("mirror resumed");
            self.command(index, Command::OpenView { view, space: self.space, document, resume, mirror: Some(id) });
            let oldest = again.first().map_or(0, |(number, _)| *number);
            for (number, edit) in again {
                let made = edit.message.as_deref().and_then(workload::number_of).expect("an edit of the workload's names itself");
                self.oracle.on_edit_again(index, made, (view, number));
                let is_held = self.oracle.made.get(&made).is_some_and(|hash| self.oracle.held(index, &document).contains(hash));
                self.tally.count(if is_held { "edit sent again that is held" } else { "edit sent again that is lost" });
                let stamp = Some(Stamp { number, oldest });
                self.command(index, Command::EditView { view, number, seen: 0, edit, stamp });
            }
        }
        self.replicas[index].app.mirrors = mirrors;
    }

    /// The document's first edit makes its parts; only one replica does it, and only once.
    fn draw_edit(
        &mut self,
        index: usize,
        document: DocumentId,
        value: &driftline_core::doc::value::Value,
        in_view: bool,
    ) -> (u64, Edit, Intent) {
        self.last_edit += 1;
        let number = self.last_edit;
        let at = self.documents.iter().position(|known| *known == document).expect("a document of this world");
        let clients: Vec<_> = (0..self.replicas.len()).filter(|index| self.replicas[*index].role == Role::Client).collect();
        // A mirror may make an edit again, and a document has one beginning.
        // Nothing rests on who is shut out.
        let beginner = if self.options.end.is_some() { super::shutting::OWNER } else { clients[at % clients.len()] };
        let may_begin = beginner == index && !(in_view && self.options.tabs_stay);
        if may_begin && self.begun.insert(document) {
            let edit = Edit { ops: workload::beginning(), message: Some(workload::message(number)) };
            return (number, edit, Intent::default());
        }
        let (edit, intent) = draw(&mut self.app_dice, value, number, self.replicas[index].unit);
        (number, edit, intent)
    }

    /// Someone who is shown a document before it is loaded may begin to write at once.
    pub fn on_preview(&mut self, index: usize, document: DocumentId, view: driftline_core::base::id::ViewId) {
        self.tally.count("preview shown");
        if !self.healed && self.last_edit < self.options.edits as u64 && self.app_dice.percent(50) {
            self.edit_view(index, document, view);
        }
    }

    fn edit_view(&mut self, index: usize, document: DocumentId, view: driftline_core::base::id::ViewId) {
        let value = self.replicas[index].app.mirrors[&view].value.clone();
        let (number, edit, intent) = self.draw_edit(index, document, &value, true);
        let mirror = self.replicas[index].app.mirrors.get_mut(&view).expect("it was just there");
        let seen = mirror.seen;
        let in_view = mirror.edit(&edit);
        let oldest = mirror.unanswered.front().map_or(in_view, |(number, _)| *number);
        self.oracle.on_edit(number, EditRecord { replica: index, document, intent }, Some((view, in_view)));
        self.tally.count("edit through a mirror");
        if self.replicas[index].app.mirrors[&view].is_preview {
            self.tally.count("edit on a preview");
        }
        let stamp = Some(Stamp { number: in_view, oldest });
        self.command(index, Command::EditView { view, number: in_view, seen, edit, stamp });
        // A death soon after is when it matters what the next engine knows of the edit.
        if self.options.tabs_stay && self.options.faults.contains(&Fault::Crash) && self.fault_dice.percent(8) {
            let (soon_ms, down_ms) = (self.fault_dice.between(0, 60), self.fault_dice.between(10, 3_000));
            self.plan(self.now_ms + soon_ms, Happening::Trick(Fault::Crash, Trick::Kill(index, down_ms)));
        }
    }

    pub(super) fn edit_document(&mut self, index: usize, document: DocumentId) {
        let shown =
            self.replicas[index].document(&document).and_then(|held| held.value(())).expect("an open document has a root");
        let as_data = self.app_dice.percent(50);
        // Whoever edits by a closure sees what has just arrived, also when it has been shown to nobody yet.
        let now = self.now(index);
        let seen = match self.replicas[index].engine.as_mut().filter(|_| !as_data) {
            Some(engine) => engine.change(now, document, None, |transaction| Ok(transaction.value(()))).ok().flatten(),
            None => None,
        };
        let (number, edit, intent) = self.draw_edit(index, document, &seen.unwrap_or(shown), false);
        self.oracle.on_edit(number, EditRecord { replica: index, document, intent }, None);
        if as_data {
            self.tally.count("edit as data");
            return self.tell(index, Input::Command(Command::EditDocument { document, number, edit }));
        }
        self.tally.count("edit by a closure");
        self.trace.word(self.now_ms, || format!("{index} changes {document}: {edit:?}"));
        let Some(engine) = self.replicas[index].engine.as_mut() else { return };
        let changed = engine.change(now, document, edit.message.as_deref(), |transaction| {
            edit.ops.iter().try_for_each(|op| transaction.apply(op))
        });
        if let Err(error) = changed {
            self.trace.word(self.now_ms, || format!("{index} refuses: {error}"));
            self.tally.count("change refused");
            self.oracle.on_edit_refused(index, document, number);
        }
        self.told(index);
    }

    /// Someone plays with what an app lets them set, and soon sets it back.
    fn change_settings(&mut self, index: usize) {
        if !self.replicas[index].ready || self.replicas[index].role == Role::Relay {
            return;
        }
        let life = self.replicas[index].life;
        let back_ms = self.now_ms + self.app_dice.between(1, 8_000);
        let endpoints: Vec<_> = self.replicas[index].endpoints.iter().cloned().collect();
        let (away, back) = match self.app_dice.below(3) {
            0 => (Command::CloseSpace { space: self.space }, Command::OpenSpace { space: self.space }),
            1 if !endpoints.is_empty() => {
                let endpoint = self.app_dice.pick(&endpoints).clone();
                (Command::RemoveEndpoint { endpoint: endpoint.clone() }, Command::AddEndpoint { endpoint })
            }
            _ => (Command::NetworkChanged, Command::NetworkChanged),
        };
        self.tally.count("settings changed");
        self.command(index, away);
        self.plan(back_ms, Happening::Ask(index, life, back));
    }

    fn show_presence(&mut self, index: usize) {
        if !self.replicas[index].ready || self.replicas[index].role == Role::Relay {
            return;
        }
        let instance = self.app_dice.below(2);
        let key = (self.space, instance);
        let state = if self.app_dice.percent(25) { None } else { Some(format!("at {}", self.now_ms)) };
        match &state {
            Some(state) => _ = self.replicas[index].app.presence.insert(key, state.clone()),
            None => _ = self.replicas[index].app.presence.remove(&key),
        }
        self.command(index, Command::SetPresence { space: self.space, instance, state });
    }

    /// Where nothing went wrong, changes were sent about as often as someone lacked them (L2).
    fn judge_economy(&mut self) {
        let lacked = (self.oracle.changes.len() * (self.replicas.len() - 1)) as u64;
        self.tally.add("changes sent", self.changes_sent);
        self.tally.add("changes that someone lacked", lacked);
        // What a full replica refused is sent again, and that is right.
        if !self.options.faults.is_empty() || self.options.small_limits || self.options.cheating > 0 || self.options.end.is_some()
        {
            return;
        }
        // Where there are several ways to a replica, a change may come both ways at once.
        let bound = match self.options.shape {
            Shape::Star | Shape::Chain => 2 * lacked,
            Shape::StarWithEdges | Shape::Mesh => 2 * (self.oracle.changes.len() * fault::edges(&self.options).len()) as u64,
        };
        // A path may be so slow that its ends take each other for gone: what was under way on it each may send once more.
        let again = self.tally.of("connection gone") * self.oracle.changes.len() as u64;
        assert!(
            self.changes_sent <= bound + again + 20,
            "L2: {} changes were sent where {lacked} were lacked",
            self.changes_sent
        );
        self.tally.count("economy judged");
    }

    /// Everyone sees everyone who is here, and nobody who is not.
    fn judge_presence(&mut self) {
        let peers: Vec<_> =
            self.replicas.iter().map(|replica| replica.engine.as_ref().and_then(|engine| engine.peer_id())).collect();
        let clients = self.replicas.iter().enumerate().filter(|(_, replica)| replica.role == Role::Client && !replica.out);
        for (index, replica) in clients {
            let mut expected = std::collections::BTreeMap::new();
            for (other, peer) in peers.iter().enumerate().filter(|(other, _)| !self.replicas[*other].out) {
                for ((_, instance), state) in &self.replicas[other].app.presence {
                    expected.insert((peer.expect("all are ready"), *instance), state.clone());
                }
            }
            let by_relay = matches!(self.options.shape, Shape::Star | Shape::StarWithEdges) && !self.options.relay_goes;
            if by_relay || self.options.replicas == 2 {
                assert_eq!(replica.app.present, expected, "P1: replica {index} does not see who is here");
            } else {
                for (who, state) in &replica.app.present {
                    assert_eq!(Some(state), expected.get(who), "P1: replica {index} sees a ghost");
                }
            }
            self.tally.add("presences seen", replica.app.present.len() as u64);
        }
    }
}
