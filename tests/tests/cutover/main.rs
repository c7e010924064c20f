//! `cutover` and `rollback` on the real binary.

mod bucket;
mod comparison;
mod directories;
mod installation;
mod key;
mod meanwhile;

use anyhow::Result;
use e2e::media::{FILES, Media};

fn uploaded() -> Result<Media> {
    Media::switched(FILES)
}

/// Uploaded by `sync`, and used by Mastodon from then on.
fn synced() -> Result<Media> {
    let media = Media::with(FILES)?;
    media.switch_back()?;
    media.run("sync", &[])?.expect(0);
    media.switch()?;
    std::thread::sleep(std::time::Duration::from_millis(50));
    Ok(media)
}
