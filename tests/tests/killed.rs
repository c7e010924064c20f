//! `cutover`, `rollback` and `prune` killed at random moments: nothing is lost, and the next run
//! completes what was begun.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use e2e::media::{FILES, Media, files, write};
use e2e::medialift::Killer;
use serde_json::json;

/// The number of kills of running commands that the test needs.
const CUTOVERS: u32 = 50;
const ROLLBACKS: u32 = 10;
const PRUNES: u32 = 50;
/// The largest number of runs for that.
const MOST_POINTS: u32 = 500;

/// What Mastodon writes between the cutover and the way back: new files, one that is there already,
/// one that is there and other.
const NEWER: &[(&str, &str)] = &[
    ("accounts/avatars/000/000/001/original/a.png", "avatar"),
    ("accounts/avatars/000/000/002/original/new.png", "new"),
    ("cache/accounts/avatars/1/original/b.png", "another avatar"),
    ("cache/accounts/avatars/1/original/new.png", "newer"),
    ("new/1.png", "newest"),
];

type Found = BTreeSet<(String, Vec<u8>)>;

fn set(of: &[(&str, &str)]) -> Found {
    of.iter()
        .map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec()))
        .collect()
}

/// Every file of the directories beside each other, by its path in there.
fn everything(media: &Media) -> Result<Found> {
    let mut all = Found::new();
    for entry in fs::read_dir(media.path().join("public"))? {
        all.extend(files(&entry?.path())?);
    }
    Ok(all)
}

/// Directories of what could not be put back.
fn conflicts(media: &Media) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(media.path().join("public"))? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("system.conflicts-")
        {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The phase of the state file; empty where there is none.
fn phase(media: &Media) -> Result<String> {
    let path = media.path().join("public/.system.medialift.json");
    if !path.exists() {
        return Ok(String::new());
    }
    let state: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    Ok(state["phase"].as_str().unwrap_or_default().to_owned())
}

fn uploaded() -> Result<Media> {
    let media = Media::switched(FILES)?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 3 }))?;
    Ok(media)
}

/// Half of the kills are at any moment, half near the exchange of the directories.
#[test]
fn a_cutover_killed_at_any_point_is_completed_or_undone() -> Result<()> {
    let seed = e2e::seed();
    let media = uploaded()?;
    let begun = Instant::now();
    media.run("cutover", &[])?.expect(0);
    let whole = begun.elapsed();
    media.run("rollback", &[])?.expect(0);
    let mut anywhere = Killer::new(seed, whole);
    let mut aimed = Killer::new(seed + 1, whole);
    let (mut killed, mut moving, mut point) = (0, 0, 0);
    while killed < CUTOVERS || moving == 0 {
        point += 1;
        let at = format!("seed {seed}, point {point}");
        assert!(
            point <= MOST_POINTS,
            "{at}: {killed} killed, {moving} of them moving"
        );
        let mut command = media.command(&["cutover", "public/system", "--quiet"])?;
        let struck = if point % 2 == 0 {
            anywhere.strike(&mut command, |part| part)?
        } else {
            aimed.strike_around(&mut command, || Ok(phase(&media)? == "moved"))?
        };
        killed += u32::from(struck);
        moving += u32::from(struck && phase(&media)? == "moving");
        assert_eq!(everything(&media)?, set(FILES), "{at}");
        if point % 4 < 2 {
            media.run("cutover", &[])?.expect(0);
            assert_eq!(Found::from_iter(files(&media.kept())?), set(FILES), "{at}");
            assert!(files(&media.live())?.is_empty(), "{at}");
        }
        let undone = media.run("rollback", &[])?;
        // A cutover that had not begun has nothing to roll back.
        assert!(matches!(undone.code, Some(0 | 1)), "{at}: {undone:?}");
        assert_eq!(Found::from_iter(files(&media.live())?), set(FILES), "{at}");
        assert_eq!(
            fs::read_dir(media.path().join("public"))?.count(),
            1,
            "{at}"
        );
    }
    Ok(())
}

#[test]
fn a_rollback_killed_at_any_point_is_completed() -> Result<()> {
    let seed = e2e::seed();
    let media = uploaded()?;
    let mut expected = set(FILES);
    expected.extend(set(NEWER));
    let mut killer: Option<Killer> = None;
    let (mut killed, mut returning, mut point) = (0, 0, 0);
    while killed < ROLLBACKS || returning == 0 {
        point += 1;
        let at = format!("seed {seed}, point {point}");
        assert!(
            point <= MOST_POINTS,
            "{at}: {killed} killed, {returning} of them returning"
        );
        media.run("cutover", &[])?.expect(0);
        for (path, content) in NEWER {
            write(&media.live().join(path), content)?;
        }
        let mut command = media.command(&["rollback", "public/system", "--quiet"])?;
        if let Some(killer) = &mut killer {
            let struck = killer.strike(&mut command, |part| part)?;
            killed += u32::from(struck);
            returning += u32::from(struck && phase(&media)? == "returning");
        } else {
            let begun = Instant::now();
            media.run("rollback", &[])?.expect(4);
            killer = Some(Killer::new(seed, begun.elapsed()));
        }
        assert_eq!(everything(&media)?, expected, "{at}");
        let again = media.run("rollback", &[])?;
        // 4: it names the conflict; 1: all had been done.
        assert!(matches!(again.code, Some(1 | 4)), "{at}: {again:?}");
        assert_eq!(phase(&media)?, "", "{at}");
        assert!(!media.kept().exists(), "{at}");

        let kept_twice = conflicts(&media)?;
        assert_eq!(kept_twice.len(), 1, "{at}: {kept_twice:?}");
        let other = &NEWER[2];
        assert_eq!(
            Found::from_iter(files(&kept_twice[0])?),
            set(&[*other]),
            "{at}"
        );
        let mut back = expected.clone();
        back.remove(&(other.0.to_owned(), other.1.as_bytes().to_vec()));
        assert_eq!(Found::from_iter(files(&media.live())?), back, "{at}");

        fs::remove_dir_all(&kept_twice[0])?;
        fs::remove_dir_all(media.live())?;
        for (path, content) in FILES {
            write(&media.live().join(path), content)?;
        }
    }
    Ok(())
}

/// Killed at 50 random points, what the bucket does not have is there, and the next run completes.
#[test]
fn a_prune_killed_at_any_point_loses_nothing_unproven() -> Result<()> {
    const COUNT: usize = 60;
    let seed = e2e::seed();
    let media = Media::with(&[])?;
    let names: Vec<(String, String)> = (0..COUNT)
        .map(|n| {
            (
                format!("accounts/{}/{n}.png", n % 7),
                format!("content of {n}"),
            )
        })
        .collect();
    let fill = || -> Result<()> {
        for (path, content) in &names {
            write(&media.kept().join(path), content)?;
        }
        Ok(())
    };
    for (path, content) in &names {
        write(&media.live().join(path), content)?;
    }
    media.upload()?;
    media.switch()?;
    media.run("cutover", &[])?.expect(0);
    // Three that the bucket lacks, or has with other content.
    media.delete(&names[5].0)?;
    media.put(&names[20].0, b"other")?;
    media.put(&names[40].0, b"content of 4x")?;
    let unproven: Vec<&(String, String)> = [5, 20, 40].iter().map(|&n| &names[n]).collect();
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 4 }))?;
    let begun = Instant::now();
    media.run("prune", &["--concurrency", "4"])?.expect(4);
    let whole = begun.elapsed();
    let mut killer = Killer::new(seed, whole);
    let (mut killed, mut point) = (0, 0);
    while killed < PRUNES {
        point += 1;
        assert!(
            point <= MOST_POINTS,
            "seed {seed}: {killed} of {point} were killed"
        );
        fill()?;
        let mut command = media.command(&["prune", "public/system", "--concurrency", "4"])?;
        killed += u32::from(killer.strike(&mut command, |at| at)?);
        let left = files(&media.kept())?;
        for (path, content) in &unproven {
            assert_eq!(
                left.get(path).map(Vec::as_slice),
                Some(content.as_bytes()),
                "seed {seed}, point {point}"
            );
        }
        let ran = media.run("prune", &["--json"])?.expect(4).json()?;
        assert_eq!(ran["kept"]["count"], 3, "seed {seed}, point {point}");
        assert_eq!(files(&media.kept())?.len(), 3, "seed {seed}, point {point}");
    }
    Ok(())
}
