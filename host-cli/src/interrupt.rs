//! Ctrl-C and SIGTERM in commands that run long: the first signal asks the command to end cleanly, the
//! second ends the process at once, which loses no data either.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::ui::Ui;

/// Whether the command was asked to end.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
    /// Shown after the first signal.
    remaining: Arc<Mutex<&'static str>>,
}

impl Interrupt {
    /// Handles signals from now on. `remaining`: what the command still does after the first one, such as
    /// `removing the probes`.
    ///
    /// # Errors
    /// Fails where signals cannot be handled.
    pub fn watch(ui: Ui, remaining: &'static str) -> Result<Interrupt> {
        let (sender, receiver) = watch::channel(false);
        let failed = |e| Error::new("handle Ctrl-C").cause(e);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let remaining = Arc::new(Mutex::new(remaining));
        let shown = Arc::clone(&remaining);
        tokio::spawn(async move {
            for first in [true, false] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if first {
                    let remaining = *shown.lock().unwrap_or_else(PoisonError::into_inner);
                    ui.say(format!(
                        "\ninterrupted: {remaining} (press Ctrl-C again to end at once)"
                    ));
                    let _ = sender.send(true);
                } else {
                    std::process::exit(i32::from(Exit::Interrupted.code()));
                }
            }
        });
        Ok(Interrupt {
            asked: receiver,
            remaining,
        })
    }

    /// Replaces the text about what the command still does.
    pub fn set_remaining(&self, remaining: &'static str) {
        *self
            .remaining
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = remaining;
    }

    /// Whether the command was asked to end.
    pub fn is_set(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until the command is asked to end.
    pub async fn requested(&mut self) {
        if self.asked.wait_for(|set| *set).await.is_err() {
            // The task that handles signals lives as long as the process.
            std::future::pending::<()>().await;
        }
    }
}
