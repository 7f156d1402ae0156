//! `driftline doc`: documents from the command line, for people and for scripts.

mod client;
mod convert;
mod failure;
mod format;
mod options;
mod output;
mod path;
mod read;
mod replay;
mod watch;
mod write;

pub use options::{DocArgs, DocCommand};

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
    if let DocCommand::Replay(replay) = &args.command {
        return replay::run(replay, &args.client, output).await;
    }
    let client = Client::open(&args.client, output).await?;
    let work = async {
        match &args.command {
            DocCommand::Create(create) => write::create(&client, create).await,
            DocCommand::List => read::list(&client).await,
            DocCommand::Show(show) => read::show(&client, show).await,
            DocCommand::Get(get) => read::get(&client, get).await,
            DocCommand::Set(set) => write::set(&client, set).await,
            DocCommand::Splice(splice) => write::splice(&client, splice).await,
            DocCommand::Watch(watch) => watch::run(&client, watch).await,
            DocCommand::History(history) => read::history(&client, history).await,
            DocCommand::Import(import) => convert::import(&client, import).await,
            DocCommand::Export(export) => convert::export(&client, export).await,
            DocCommand::Replay(_) => Ok(()),
        }
    };
    let interrupted = async {
        match tokio::signal::ctrl_c().await {
            Ok(()) => {}
            // Without the signal the process still ends by itself, or is ended.
            Err(_) => std::future::pending().await,
        }
    };
    let watching = matches!(args.command, DocCommand::Watch(_));
    let done = tokio::select! {
        done = work => done,
        () = interrupted => if watching {
            Ok(())
        } else {
            Err(Failure::new(FailureKind::Failed, "interrupted; what was changed is kept on this device and travels with the next command"))
        },
    };
    client.close().await;
    done
}
