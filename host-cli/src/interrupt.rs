//! Ctrl-C and SIGTERM, the same for all commands that run long: the first one asks the command to end
//! cleanly, the second ends the process at once, which loses nothing either.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::Ui;

/// Whether the person has asked the command to end.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
    meanwhile: Arc<Mutex<&'static str>>,
}

impl Interrupt {
    /// Watches from now on. `meanwhile` says what the command still does: "letting the uploads under
    /// way end".
    ///
    /// # Errors
    /// Where signals cannot be watched.
    pub fn watch(ui: Ui, meanwhile: &'static str) -> Result<Interrupt> {
        let (sender, receiver) = watch::channel(false);
        let failed = |e| Error::new("watch for Ctrl-C").cause(e);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let words = Arc::new(Mutex::new(meanwhile));
        let meanwhile = Arc::clone(&words);
        tokio::spawn(async move {
            for first in [true, false] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if first {
                    let meanwhile = *words.lock().unwrap_or_else(PoisonError::into_inner);
                    ui.say(format!(
                        "\ninterrupted: {meanwhile} (once more to end at once)"
                    ));
                    let _ = sender.send(true);
                } else {
                    std::process::exit(i32::from(Exit::Interrupted.code()));
                }
            }
        });
        Ok(Interrupt {
            asked: receiver,
            meanwhile,
        })
    }

    /// What the command still does is another from now on, and so is what is said.
    pub fn now(&self, meanwhile: &'static str) {
        *self
            .meanwhile
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = meanwhile;
    }

    /// Whether it was asked for.
    pub fn is_set(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until it is asked for.
    pub async fn requested(&mut self) {
        if self.asked.wait_for(|set| *set).await.is_err() {
            // The watching task never ends before the process does.
            std::future::pending::<()>().await;
        }
    }
}
