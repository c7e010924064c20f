//! `cutover` and `rollback` on the real binary.

mod bucket;
mod comparison;
mod directories;
mod installation;
mod key;
mod meanwhile;

use anyhow::Result;
use e2e::media::Media;

const FILES: &[(&str, &str)] = &[
    ("accounts/avatars/000/000/001/original/a.png", "avatar"),
    ("cache/accounts/avatars/1/original/b.png", "cached avatar"),
    ("media_attachments/files/1/original/c d é.jpg", "attachment"),
    ("media_attachments/files/1/original/empty", ""),
    ("media_attachments/files/1/small/c.jpg", "thumbnail"),
];

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
