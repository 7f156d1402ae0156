//! A command's own replica: opened, synced as far as it can be, closed.

use super::failure::{Failure, FailureKind};
use super::options::{ClientOptions, Wait};
use super::output::Output;
use super::waiting;
use crate::dial::without_token;
use crate::repo::{ConnectionState, DocHandle, Level, Repo, RepoError, RepoOptions, Space};
use driftline_core::base::id::DocumentId;
use driftline_core::engine::effect::{Saved, Trouble, TroubleKind};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often connections and troubles are looked at; a person does not notice it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A command's own replica.
pub(crate) struct Client<'a> {
    /// What was typed.
    pub options: &'a ClientOptions,
    /// Where results go.
    pub output: &'a Output,
    /// The replica.
    pub repo: Repo,
    /// The space worked in.
    pub space: Space,
    /// Nothing is kept on this device: what the relay does not have is lost when the command ends.
    pub in_memory: bool,
}

impl<'a> Client<'a> {
    /// Opens the replica in its data directory, or in memory when that is wanted, or is all that is possible.
    pub(crate) async fn open(options: &'a ClientOptions, output: &'a Output) -> Result<Self, Failure> {
        let online = |data| RepoOptions { data, relays: options.dialled(), ..RepoOptions::default() };
        if options.memory {
            if options.relays.is_empty() {
                return Err(Failure::new(
                    FailureKind::Usage,
                    "--memory keeps nothing on this device, so it needs a --relay to keep it",
                ));
            }
            let repo = Repo::open(online(None)).await?;
            return Ok(Self::with(options, output, repo, true));
        }
        let folder = data_folder(options)?;
        let (repo, in_memory) = match Repo::open(online(Some(folder.clone()))).await {
            Err(RepoError::InUse { .. }) if !options.relays.is_empty() => {
                output
                    .note(&format!("note: {} is in use by another driftline; working through the relay alone", folder.display()));
                (Repo::open(online(None)).await?, true)
            }
            repo => (repo.map_err(in_use)?, false),
        };
        Ok(Self::with(options, output, repo, in_memory))
    }

    fn with(options: &'a ClientOptions, output: &'a Output, repo: Repo, in_memory: bool) -> Self {
        let space = repo.space(options.space());
        Self { options, output, repo, space, in_memory }
    }

    /// Takes in what the relay has, before something is read: as far as `--wait` demands and the network allows.
    pub(crate) async fn catch_up(&self) -> Result<(), Failure> {
        if self.options.relays.is_empty() {
            return match self.options.wait {
                Some(Wait::Relay) => Err(self.no_relay()),
                _ => Ok(()),
            };
        }
        if matches!(self.options.wait, Some(Wait::Device | Wait::None)) && !self.in_memory {
            return Ok(());
        }
        let reached = tokio::select! {
            biased;
            reached = self.reach(self.repo.when_synced(&self.space)) => reached,
            why = self.forbidden(None) => return Err(Failure::new(FailureKind::Refused, why)),
        };
        match reached {
            Some(synced) => synced.map(drop).map_err(Failure::from),
            None if self.options.wait == Some(Wait::Relay) || self.in_memory => {
                Err(Failure::new(FailureKind::NotSynced, format!("could not sync with the relay: {}", self.why())))
            }
            None => {
                self.output.note(&format!("offline: this is what is held on this device ({})", self.why()));
                Ok(())
            }
        }
    }

    /// Opens a document, after catching up.
    pub(crate) async fn find(&self, document: DocumentId) -> Result<DocHandle, Failure> {
        // Open already it is asked for first, and what comes of it is loaded once. Whether it may be opened is seen below.
        let _ahead = self.space.open_ahead(document).await;
        self.catch_up().await?;
        if self.space.waits_for_key().await? {
            let why =
                "the space is sealed, and this device has not been given its key yet: it comes from a member by way of a relay";
            return Err(Failure::new(FailureKind::Refused, why));
        }
        let finding = self.space.find_within(document, self.options.timeout);
        Ok(waiting::while_shown(self.output, &self.space, finding).await?)
    }

    /// Waits until a document that was written is saved as far as `--wait` demands, and answers how saved it is.
    pub(crate) async fn settle(&self, handle: &DocHandle) -> Result<Saved, Failure> {
        if self.options.wait == Some(Wait::None) {
            return Ok(handle.saved().await?);
        }
        if !self.in_memory {
            handle.when_saved_within(Level::Device, self.options.timeout).await.map_err(|error| self.not_saved(error))?;
        }
        let wants_relay = self.options.wait == Some(Wait::Relay) || self.in_memory;
        if self.options.relays.is_empty() || (self.options.wait == Some(Wait::Device) && !self.in_memory) {
            return if wants_relay { Err(self.no_relay()) } else { Ok(handle.saved().await?) };
        }
        let reached = tokio::select! {
            biased;
            reached = self.reach(handle.when_saved(Level::Relay)) => reached,
            why = self.forbidden(Some(handle.id())) => {
                let kept = if self.in_memory { "" } else { "saved on this device, and nowhere else: " };
                return Err(Failure::new(FailureKind::Refused, format!("{kept}{why}")));
            }
        };
        match reached {
            Some(saved) => Ok(saved?),
            None if self.in_memory => Err(Failure::new(
                FailureKind::NotSynced,
                format!("the relay has not acknowledged it, and it is kept nowhere else: {}", self.why()),
            )),
            None if wants_relay => Err(Failure::new(
                FailureKind::NotSynced,
                format!("saved on this device, but the relay has not acknowledged it: {}", self.why()),
            )),
            None => {
                self.output.note(&format!(
                    "offline: saved on this device; it goes to the relay with the next command that reaches it ({})",
                    self.why()
                ));
                Ok(handle.saved().await?)
            }
        }
    }

    /// Says goodbye and makes durable what was accepted.
    pub(crate) async fn close(self) {
        self.repo.close().await;
    }

    /// Waits for something of the relay's, until the timeout, or until every relay turned out to be away and nothing demands to go on trying.
    async fn reach<R>(&self, wanted: impl Future<Output = R>) -> Option<R> {
        let patient = self.options.wait == Some(Wait::Relay);
        let reaching = async {
            tokio::select! {
                biased;
                result = wanted => Some(result),
                () = self.all_relays_away(), if !patient => None,
                () = tokio::time::sleep(self.options.timeout) => None,
            }
        };
        waiting::while_shown(self.output, &self.space, reaching).await
    }

    /// Why this replica may not be in the space, or may not write a document; waits until it is told so.
    async fn forbidden(&self, document: Option<DocumentId>) -> String {
        let is_about = |trouble: &Trouble| {
            trouble.kind == TroubleKind::Forbidden && (trouble.document.is_none() || trouble.document == document)
        };
        loop {
            if let Some(trouble) = self.repo.troubles().into_iter().find(is_about) {
                return trouble.message;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn all_relays_away(&self) {
        while !self.repo.connections().iter().all(|connection| matches!(connection.state, ConnectionState::Waiting { .. })) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Why the relay could not do what was wanted of it.
    fn why(&self) -> String {
        let refused = self.repo.troubles().into_iter().rfind(|trouble| trouble.kind == TroubleKind::Refused);
        if let Some(refused) = refused.filter(|_| !self.options.relays.is_empty()) {
            return refused.message;
        }
        let reasons: Vec<String> = self
            .repo
            .connections()
            .into_iter()
            .map(|connection| match connection.state {
                ConnectionState::Connecting => format!("{} does not answer", without_token(&connection.endpoint)),
                ConnectionState::Connected { .. } => {
                    format!(
                        "{} is connected but was not done in {} s",
                        without_token(&connection.endpoint),
                        self.options.timeout.as_secs_f64()
                    )
                }
                ConnectionState::Waiting { reason } => format!("{}: {reason}", without_token(&connection.endpoint)),
            })
            .collect();
        reasons.join("; ")
    }

    fn no_relay(&self) -> Failure {
        Failure::new(FailureKind::Usage, "--wait relay needs a --relay to wait for (or DRIFTLINE_RELAY in the environment)")
    }

    fn not_saved(&self, error: RepoError) -> Failure {
        match self.repo.troubles().last() {
            Some(trouble) => Failure::new(FailureKind::Failed, trouble.message.clone()),
            None => error.into(),
        }
    }
}

/// Where documents are kept.
pub(crate) fn data_folder(options: &ClientOptions) -> Result<PathBuf, Failure> {
    match &options.data {
        Some(folder) => Ok(folder.clone()),
        None => default_data_folder(),
    }
}

/// What to do about a folder that is in use, beside the error.
pub(crate) fn in_use(error: RepoError) -> Failure {
    match error {
        error @ RepoError::InUse { .. } => {
            let advice = "wait until it ends, name another --data directory, or name a --relay to work through";
            Failure::new(FailureKind::InUse, format!("{error}: {advice}"))
        }
        error => error.into(),
    }
}

/// How saved a document is, for scripts.
pub(crate) fn saved_json(saved: &Saved) -> Json {
    json!({ "device": saved.device, "replicas": saved.replicas, "relays": saved.relays })
}

/// How saved a document is, for people.
pub(crate) fn saved_words(saved: &Saved) -> &'static str {
    match (saved.device, saved.relays) {
        (_, 1..) => "on the relay",
        (true, 0) => "on this device",
        (false, 0) => "in memory",
    }
}

/// The platform's place for data of this kind.
fn default_data_folder() -> Result<PathBuf, Failure> {
    let folders = directories::ProjectDirs::from("", "", "driftline");
    let folder = folders.as_ref().map(|folders| folders.data_dir().join("client"));
    folder.ok_or_else(|| {
        Failure::new(FailureKind::Usage, "this system has no home directory to keep documents in: name one with --data")
    })
}

/// Reads a file for a person who named it.
pub(crate) fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| Failure::new(FailureKind::Failed, format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(path).map_err(failed)?.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::new(
            FailureKind::Refused,
            format!("{} is larger than {bytes_max} bytes, the most that is imported", path.display()),
        ));
    }
    Ok(bytes)
}
