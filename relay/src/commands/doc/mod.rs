//! `driftline doc`: documents from the command line, for people and for scripts.

pub(super) mod client;
mod convert;
mod format;
pub(super) mod options;
mod path;
mod read;
mod replay;
mod storage_folder;
mod waiting;
mod watch;
mod write;

pub(super) use options::parse_document;
pub use options::{DocArgs, DocCommand, OwnCommand};

use super::{failure, output};
use clap::Args as _;
use client::Client;
use failure::{Failure, FailureKind};
use output::Output;
use std::process::ExitCode;

/// Runs `driftline doc …` to its end and tells how the process is to exit.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run(args: DocArgs) -> ExitCode {
    let output = Output::new(args.client.json);
    match carry_out(args, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

async fn carry_out(args: DocArgs, output: &Output) -> Result<(), Failure> {
    let command = match args.command {
        None => {
            output.page(&help());
            return Err(Failure::new(FailureKind::Usage, "say what to do: one of the commands above"));
        }
        Some(DocCommand::Replay(replay)) => return replay::run(&replay, &args.client, output).await,
        Some(DocCommand::Own(command)) => command,
    };
    let client = Client::open(&args.client, output).await?;
    let watching = matches!(command, OwnCommand::Watch(_));
    let done = tokio::select! {
        done = work(&client, &command) => done,
        () = interrupted() => if watching {
            Ok(())
        } else {
            let kept = if client.in_memory { "" } else { ": what was changed is kept on this device, and travels with the next command" };
            Err(Failure::new(FailureKind::Failed, format!("interrupted{kept}")))
        },
    };
    client.close().await;
    done
}

async fn work(client: &Client<'_>, command: &OwnCommand) -> Result<(), Failure> {
    match command {
        OwnCommand::Create(create) => write::create(client, create).await,
        OwnCommand::List => read::list(client).await,
        OwnCommand::Show(show) => read::show(client, show).await,
        OwnCommand::Get(get) => read::get(client, get).await,
        OwnCommand::Set(set) => write::set(client, set).await,
        OwnCommand::Splice(splice) => write::splice(client, splice).await,
        OwnCommand::Watch(watch) => watch::run(client, watch).await,
        OwnCommand::History(history) => read::history(client, history).await,
        OwnCommand::Import(import) => convert::import(client, import).await,
        OwnCommand::Export(export) => convert::export(client, export).await,
    }
}

/// The page for someone who has only typed `driftline doc`.
fn help() -> String {
    DocArgs::augment_args(clap::Command::new("driftline doc")).render_help().to_string()
}

/// Ends when someone presses Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without the signal the process ends by itself, or is ended.
        std::future::pending().await
    }
}
