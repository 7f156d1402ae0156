//! Two people write in one document, through a relay that runs in the same process.

use driftline_relay::repo::{Level, Repo, RepoOptions};
use driftline_relay::server::{Relay, RelayOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let relay = Relay::start(RelayOptions::new(folder.path())).await?;

    // Anna makes a note, and knows when the relay keeps it.
    let anna = Repo::open(RepoOptions::memory().relay(relay.url())).await?;
    let note = anna.space("harbour").create(|tx| tx.put("body", "High water at six.")).await?;
    note.when_saved(Level::Relay).await?;

    // Ben opens it elsewhere, and both write in it at once.
    let ben = Repo::open(RepoOptions::memory().relay(relay.url())).await?;
    let same = ben.space("harbour").find(note.id()).await?;
    same.change(|tx| tx.splice("body", 14, 3, "seven")).await?;
    note.change(|tx| tx.splice("body", 0, 0, "Friday: ")).await?;

    // They come to rest on one line.
    for replica in [note, same] {
        replica.when(|document| document.text("body").as_deref() == Some("Friday: High water at seven.")).await?;
    }
    Ok(())
}
