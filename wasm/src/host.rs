//! One engine and its store, as JavaScript drives them.

use crate::owned::{self, Act};
use crate::panic;
use crate::query::{self, Question};
use crate::shelf::Shelf;
use driftline_core::base::id::{ConnectionId, DocumentId, SpaceId, TaskId};
use driftline_core::base::time::Now;
use driftline_core::doc::assembly::Assembly;
use driftline_core::doc::value::TextUnit;
use driftline_core::engine::Engine;
use driftline_core::engine::config::{EngineConfig, Previews, PushPace, Role};
use driftline_core::engine::effect::Effect;
use driftline_core::engine::input::Input;
use driftline_core::store::task::{StoreError, StoreErrorKind};
use std::collections::VecDeque;
use wasm_bindgen::prelude::{JsError, wasm_bindgen};

#[wasm_bindgen(typescript_custom_section)]
const DRIVER: &str = r#"
/** Carries out what an engine wants. Bytes are views into the module's memory: copy what outlives the call. */
export interface Driver {
  send(connection: number, frame: Uint8Array): void;
  disconnect(connection: number, reason: string): void;
  dial(endpoint: string): void;
  /** Drop an area's bytes from `at` on, write these there, make it durable, and then say `handleStored`. */
  store(area: 0 | 1, at: number, bytes: Uint8Array): void;
  /** An event of the core's, as JSON. */
  event(json: string): void;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// Carries out what an engine wants.
    #[wasm_bindgen(typescript_type = "Driver")]
    pub type Driver;
    #[wasm_bindgen(method)]
    fn send(this: &Driver, connection: f64, frame: &[u8]);
    #[wasm_bindgen(method)]
    fn disconnect(this: &Driver, connection: f64, reason: &str);
    #[wasm_bindgen(method)]
    fn dial(this: &Driver, endpoint: &str);
    #[wasm_bindgen(method)]
    fn store(this: &Driver, area: u8, at: f64, bytes: &[u8]);
    #[wasm_bindgen(method)]
    fn event(this: &Driver, json: &str);

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn monotonic_ms() -> f64;
    #[wasm_bindgen(js_namespace = Date, js_name = now)]
    fn unix_ms() -> f64;
}

/// One engine and its store. No method may be called while another runs: a driver only takes notes and sends.
#[wasm_bindgen]
pub struct EngineHost {
    engine: Engine,
    pub(crate) shelf: Shelf,
    /// The secret key, where the store does not keep it.
    pub(crate) identity: Option<[u8; 32]>,
    /// What is to be put together, in order.
    assemblies: VecDeque<(TaskId, Box<Assembly>)>,
}

#[wasm_bindgen]
impl EngineHost {
    /// An engine seeded with 32 bytes, on the bytes of a medium's two areas, or in memory only when there are none to be; one
    /// that serves others where `is_relay` says so. The secret key of 32 bytes is the store's own where none is given.
    #[wasm_bindgen(constructor)]
    pub fn new(
        seed: &[u8],
        first: Option<Vec<u8>>,
        second: Option<Vec<u8>>,
        is_relay: bool,
        identity: Option<Vec<u8>>,
    ) -> Result<EngineHost, JsError> {
        panic::keep_messages();
        let seed = seed.try_into().map_err(|_| JsError::new("a seed is 32 bytes"))?;
        let identity = identity.map(|secret| secret.try_into().map_err(|_| JsError::new("a secret key is 32 bytes")));
        let identity: Option<[u8; 32]> = identity.transpose()?;
        let mut config = EngineConfig::new(if is_relay { Role::Relay } else { Role::Client }, seed);
        config.text_unit = TextUnit::Utf16;
        config.identity = identity;
        config.previews = Some(Previews::default());
        config.push_pace = PushPace::WATCHED;
        let shelf = Shelf::new(first.map(|first| [first, second.unwrap_or_default()]));
        Ok(Self { engine: Engine::new(config, now()), shelf, identity, assemblies: VecDeque::new() })
    }

    /// A connection is open: to this endpoint when it was dialled.
    #[wasm_bindgen(js_name = handleConnected)]
    pub fn handle_connected(&mut self, connection: f64, endpoint: Option<String>) {
        self.engine.handle(now(), Input::Connected { connection: to_connection(connection), endpoint });
    }

    /// Dialling came to nothing.
    #[wasm_bindgen(js_name = handleDialFailed)]
    pub fn handle_dial_failed(&mut self, endpoint: String, reason: String) {
        self.engine.handle(now(), Input::DialFailed { endpoint, reason });
    }

    /// A frame arrived.
    #[wasm_bindgen(js_name = handleFrame)]
    pub fn handle_frame(&mut self, connection: f64, frame: &[u8]) {
        self.engine.handle(now(), Input::Frame { connection: to_connection(connection), bytes: frame.into() });
    }

    /// So many bytes of frames have left.
    #[wasm_bindgen(js_name = handleWritten)]
    pub fn handle_written(&mut self, connection: f64, bytes: usize) {
        self.engine.handle(now(), Input::Written { connection: to_connection(connection), bytes });
    }

    /// A connection is gone.
    #[wasm_bindgen(js_name = handleDisconnected)]
    pub fn handle_disconnected(&mut self, connection: f64, reason: String) {
        self.engine.handle(now(), Input::Disconnected { connection: to_connection(connection), reason });
    }

    /// The medium has made durable what `store` handed it, or (with a sentence why) could not, and has dropped it. `full` when there is no room.
    #[wasm_bindgen(js_name = handleStored)]
    pub fn handle_stored(&mut self, failure: Option<String>, full: bool) {
        let kind = if full { StoreErrorKind::Full } else { StoreErrorKind::Unavailable };
        self.shelf.handle_written(failure.map_or(Ok(()), |message| Err(StoreError { kind, message })));
    }

    /// The app wants something: a command of the core's, as JSON.
    #[wasm_bindgen(js_name = handleCommand)]
    pub fn handle_command(&mut self, json: &str) -> Result<(), JsError> {
        let command = serde_json::from_str(json)?;
        self.engine.handle(now(), Input::Command(command));
        Ok(())
    }

    /// Time passed.
    #[wasm_bindgen(js_name = handleTick)]
    pub fn handle_tick(&mut self) {
        self.engine.handle(now(), Input::Tick);
    }

    /// Has `driver` carry out everything the engine wants. Answers whether it must be called again, once what it was told is on
    /// its way: what comes next may take long, such as loading a document of which a preview was told.
    pub fn poll(&mut self, driver: &Driver) -> Result<bool, JsError> {
        loop {
            let mut has_told = false;
            while let Some(effect) = self.engine.poll_effect() {
                has_told |= matches!(effect, Effect::Event(_));
                self.carry_out(effect, driver)?;
            }
            self.shelf.advance(|write| driver.store(write.area as u8, write.at as f64, write.bytes));
            let has_work = self.shelf.has_answers() || !self.assemblies.is_empty();
            if has_told && has_work {
                return Ok(true);
            }
            if !has_work {
                return Ok(false);
            }
            for (task, result) in self.shelf.take_answers() {
                self.engine.handle(now(), Input::StoreDone { task, result });
            }
            // A worker has one thread: what is put together is put together here.
            if let Some((task, assembly)) = self.assemblies.pop_front() {
                let result = assembly.run().map(Box::new);
                self.engine.handle(now(), Input::Assembled { task, result });
            }
        }
    }

    /// When `handleTick` must be called at the latest, on the clock of `performance.now()`.
    #[wasm_bindgen(js_name = nextDeadline)]
    pub fn next_deadline(&self) -> Option<f64> {
        self.engine.next_deadline().map(|deadline| deadline as f64)
    }

    /// Whether something is on its way to the medium, or may come to be when the engine is polled again.
    #[wasm_bindgen(js_name = isStoring)]
    pub fn is_storing(&self) -> bool {
        self.shelf.is_busy() || self.shelf.has_answers() || !self.assemblies.is_empty()
    }

    /// The spaces of which documents are held, or that are open, as JSON.
    pub fn spaces(&self) -> Result<String, JsError> {
        Ok(serde_json::to_string(&self.engine.spaces())?)
    }

    /// The documents held in a space, as JSON.
    pub fn documents(&self, space: &str) -> Result<String, JsError> {
        let space: SpaceId = space.parse()?;
        Ok(serde_json::to_string(&self.engine.documents(&space))?)
    }

    /// Has `driver` write a little of what the journal is when it is written again without what is dead in it: to be called when there is
    /// nothing else to do, once for each answer of true, and not before that was stored.
    pub fn tidy(&mut self, driver: &Driver) -> bool {
        self.shelf.step(|write| driver.store(write.area as u8, write.at as f64, write.bytes))
    }

    /// How saved a document is, as JSON; nothing when it is not known.
    pub fn saved(&self, document: &str) -> Result<Option<String>, JsError> {
        let document: DocumentId = document.parse()?;
        Ok(self.engine.saved(&document).map(|saved| serde_json::to_string(&saved)).transpose()?)
    }

    /// Answers a question about an open document: JSON both ways.
    pub fn ask(&self, question: &str) -> Result<String, JsError> {
        let question: Question = serde_json::from_str(question)?;
        Ok(serde_json::to_string(&query::answer(&self.engine, question)?)?)
    }

    /// Does what a person asked for in an owned space, and answers: JSON both ways. Afterwards there is something to poll.
    pub fn act(&mut self, act: &str) -> Result<String, JsError> {
        let act: Act = serde_json::from_str(act)?;
        Ok(serde_json::to_string(&owned::act(&mut self.engine, now(), act)?)?)
    }

    /// An open document as an `.automerge` file.
    #[wasm_bindgen(js_name = exportDocument)]
    pub fn export_document(&self, document: &str) -> Result<Vec<u8>, JsError> {
        Ok(query::open_document(&self.engine, &document.parse()?)?.save())
    }
}

impl EngineHost {
    fn carry_out(&mut self, effect: Effect, driver: &Driver) -> Result<(), JsError> {
        match effect {
            Effect::Send { connection, frame } => driver.send(connection.0 as f64, &frame),
            Effect::Disconnect { connection, reason } => driver.disconnect(connection.0 as f64, &reason),
            Effect::Dial { endpoint } => driver.dial(&endpoint),
            Effect::Store { task, work } => self.shelf.push(task, work),
            Effect::Assemble { task, assembly } => self.assemblies.push_back((task, assembly)),
            Effect::Event(event) => driver.event(&serde_json::to_string(&event)?),
        }
        Ok(())
    }
}

/// The moment, by JavaScript's clocks.
pub(crate) fn now() -> Now {
    Now { monotonic_ms: monotonic_ms() as u64, unix_ms: unix_ms() as i64 }
}

/// JavaScript counts connections in numbers that a double holds exactly.
fn to_connection(number: f64) -> ConnectionId {
    ConnectionId(number as u64)
}
