//! How a command that runs on is told to stop.

/// Waits until the system tells the process to stop, and answers how.
#[cfg(unix)]
pub(super) async fn told_to_stop() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        tracing::error!("the system does not tell of signals: only kill -9 will stop this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}

/// Waits until the system tells the process to stop, and answers how.
#[cfg(not(unix))]
pub(super) async fn told_to_stop() -> &'static str {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "Ctrl-C",
        Err(_) => std::future::pending().await,
    }
}
