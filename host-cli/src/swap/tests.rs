//! Tests of `swap`.

use std::collections::BTreeMap;

use super::mover::exists;
use super::*;

/// A media directory with two files, and one that Mastodon writes after the cutover.
struct Fixture {
    dir: tempfile::TempDir,
    paths: MediaPaths,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("public/system");
    fs::create_dir_all(live.join("accounts")).unwrap();
    fs::write(live.join("accounts/a.png"), "a").unwrap();
    fs::write(live.join("b.png"), "b").unwrap();
    fs::set_permissions(&live, fs::Permissions::from_mode(0o750)).unwrap();
    let paths = MediaPaths::of(&live).unwrap();
    Fixture { dir, paths }
}

/// Every file below `root`, by name and content.
fn files(root: &Path) -> BTreeMap<String, String> {
    fn into(directory: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                into(&path, found);
            } else {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    into(root, &mut found);
    found.remove(".system.medialift.json");
    found
}

fn never(_: &'static str) -> Result<()> {
    Ok(())
}

/// Stops after the step of this number.
fn stop_after(number: usize) -> impl FnMut(&'static str) -> Result<()> {
    let mut seen = 0;
    move |step| {
        seen += 1;
        if seen > number {
            Err(Error::new(format!("go on after `{step}`")))
        } else {
            Ok(())
        }
    }
}

fn mover<'a>(paths: &'a MediaPaths, atomic: bool, after: AfterStep<'a>) -> Mover<'a> {
    Mover {
        paths,
        atomic,
        after,
    }
}

#[track_caller]
fn assert_cut(fixture: &Fixture) {
    let paths = &fixture.paths;
    assert!(paths.live().is_dir());
    let metadata = fs::metadata(paths.live()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o750);
    assert_eq!(files(&paths.kept()).len(), 2);
    assert!(!exists(&paths.staging()));
    assert_eq!(paths.state().unwrap().unwrap().phase, Phase::Moved);
}

#[track_caller]
fn assert_returned(fixture: &Fixture, expected: usize) {
    let paths = &fixture.paths;
    assert_eq!(files(&paths.live()).len(), expected);
    assert!(!exists(&paths.kept()), "system_ is gone");
    assert!(!exists(&paths.staging()));
    assert_eq!(paths.state().unwrap(), None);
}

#[test]
fn a_cutover_and_its_rollback() {
    let fixture = fixture();
    let paths = &fixture.paths;
    assert_eq!(cut_over(paths, &mut never).unwrap(), CutoverResult::Done);
    assert_cut(&fixture);
    assert_eq!(
        cut_over(paths, &mut never).unwrap(),
        CutoverResult::AlreadyDone
    );
    fs::write(paths.live().join("new.png"), "n").unwrap();
    let result = roll_back(
        paths,
        false,
        &fixture.dir.path().join("conflicts"),
        &mut never,
    )
    .unwrap();
    assert_eq!(result.merged.moved, 1);
    assert_eq!(result.conflicts_dir, None);
    assert_returned(&fixture, 3);
    assert!(roll_back(paths, false, &fixture.dir.path().join("c"), &mut never).is_err());
}

/// Stopped after every step, with either kind of renaming: no file is lost, the same command completes
/// it, and a rollback undoes it.
#[test]
fn stopped_after_any_step_of_a_cutover_it_is_completed_or_undone() {
    for atomic in [true, false] {
        let mut steps = 0;
        loop {
            let interrupted = |fixture: &Fixture| {
                let mut stop = stop_after(steps);
                let ended = mover(&fixture.paths, atomic, &mut stop).cut_over();
                assert_eq!(files(fixture.dir.path()).len(), 2, "step {steps}");
                ended.is_ok()
            };
            let completed = fixture();
            let whole = interrupted(&completed);
            mover(&completed.paths, atomic, &mut never)
                .cut_over()
                .unwrap();
            assert_cut(&completed);

            let undone = fixture();
            interrupted(&undone);
            mover(&undone.paths, atomic, &mut never)
                .roll_back(false, &undone.dir.path().join("conflicts"))
                .unwrap();
            assert_returned(&undone, 2);
            if whole {
                break;
            }
            steps += 1;
        }
        assert!(steps >= 4, "{steps}");
    }
}

#[test]
fn stopped_after_any_step_of_a_rollback_the_next_completes_it() {
    for atomic in [true, false] {
        let mut steps = 0;
        loop {
            let fixture = fixture();
            let paths = &fixture.paths;
            cut_over(paths, &mut never).unwrap();
            fs::create_dir(paths.live().join("accounts")).unwrap();
            fs::write(paths.live().join("accounts/new.png"), "n").unwrap();
            let conflicts = fixture.dir.path().join("conflicts");
            let mut stop = stop_after(steps);
            let ended = mover(paths, atomic, &mut stop).roll_back(false, &conflicts);
            assert_eq!(files(fixture.dir.path()).len(), 3, "step {steps}");
            if ended.is_ok() {
                break;
            }
            if paths.state().unwrap().is_some() {
                mover(paths, atomic, &mut never)
                    .roll_back(false, &conflicts)
                    .unwrap();
            }
            assert_returned(&fixture, 3);
            steps += 1;
        }
        assert!(steps >= 4, "{steps}");
    }
}

#[test]
fn a_directory_that_no_cutover_has_made_is_not_touched() {
    let fixture = fixture();
    fs::create_dir(fixture.paths.kept()).unwrap();
    let error = cut_over(&fixture.paths, &mut never).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("exists, and was not created by a cutover"),
        "{error}"
    );
    assert_eq!(fixture.paths.state().unwrap(), None);
    assert_eq!(files(&fixture.paths.live()).len(), 2);
}

#[test]
fn conflicting_files_are_both_kept() {
    let fixture = fixture();
    let paths = &fixture.paths;
    cut_over(paths, &mut never).unwrap();
    fs::write(paths.live().join("b.png"), "newer").unwrap();
    let conflicts = paths.parent.join("system.conflicts");
    let result = roll_back(paths, false, &conflicts, &mut never).unwrap();
    assert_eq!(result.merged.conflicts, [Path::new("b.png")]);
    assert_eq!(result.conflicts_dir.as_deref(), Some(conflicts.as_path()));
    assert_eq!(fs::read_to_string(paths.live().join("b.png")).unwrap(), "b");
    assert_eq!(
        fs::read_to_string(conflicts.join("b.png")).unwrap(),
        "newer"
    );
}

#[test]
fn conflicts_of_a_killed_rollback_are_reported_by_the_next() {
    let fixture = fixture();
    let paths = &fixture.paths;
    cut_over(paths, &mut never).unwrap();
    fs::write(paths.live().join("b.png"), "newer").unwrap();
    let conflicts = fixture.dir.path().join("conflicts");
    let mut stop = |step: &'static str| match step {
        "newer directory gone" => Err(Error::new("go on")),
        _ => Ok(()),
    };
    roll_back(paths, false, &conflicts, &mut stop).unwrap_err();
    let another = fixture.dir.path().join("another");
    let result = roll_back(paths, false, &another, &mut never).unwrap();
    assert_eq!(result.merged.conflicts, [Path::new("b.png")]);
    assert_eq!(result.conflicts_dir, Some(conflicts));
    assert!(!exists(&another));
    assert_returned(&fixture, 2);
}

/// Files that Mastodon writes after a merge has listed its directory.
#[test]
fn a_file_that_is_written_during_the_merge_is_merged_or_named() {
    for (steps, moved, left) in [
        (&["files merged"][..], 1, &[][..]),
        (
            &["files merged", "files merged again"],
            1,
            &["a/files merged again"],
        ),
    ] {
        let fixture = fixture();
        let paths = &fixture.paths;
        cut_over(paths, &mut never).unwrap();
        let conflicts = fixture.dir.path().join("conflicts");
        let kept = paths.kept();
        let mut write = |step: &'static str| {
            if steps.contains(&step) {
                fs::create_dir_all(kept.join("a")).unwrap();
                fs::write(kept.join("a").join(step), "late").unwrap();
            }
            Ok(())
        };
        let result = roll_back(paths, false, &conflicts, &mut write).unwrap();
        assert_eq!(result.merged.moved, moved);
        let left: Vec<PathBuf> = left.iter().map(PathBuf::from).collect();
        assert_eq!(result.merged.conflicts, left);
        assert_eq!(result.conflicts_dir.is_some(), !left.is_empty());
        assert_eq!(files(fixture.dir.path()).len(), 2 + steps.len());
    }
}

/// An access list in the kernel's format: user 1234 may read and enter.
fn access_list() -> Vec<u8> {
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (0x01u16, 7u16, u32::MAX),
        (0x02, 5, 1234),
        (0x04, 0, u32::MAX),
        (0x10, 5, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

#[test]
fn the_empty_directory_has_the_access_lists_of_the_media() {
    let fixture = fixture();
    let paths = &fixture.paths;
    let names = ["system.posix_acl_access", "system.posix_acl_default"];
    let list = access_list();
    for name in names {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(paths.live(), name, &list, flags).unwrap();
    }
    cut_over(paths, &mut never).unwrap();
    for name in names {
        let mut found = vec![0; 256];
        let length = rustix::fs::getxattr(paths.live(), name, found.as_mut_slice()).unwrap();
        assert_eq!(found[..length], list, "{name}");
    }
    assert_cut(&fixture);
}

#[test]
fn a_link_is_moved_and_an_empty_directory_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("disk/media")).unwrap();
    fs::create_dir(dir.path().join("public")).unwrap();
    fs::write(dir.path().join("disk/media/a"), "a").unwrap();
    let live = dir.path().join("public/system");
    std::os::unix::fs::symlink("../disk/media", &live).unwrap();
    let paths = MediaPaths::of(&live).unwrap();
    cut_over(&paths, &mut never).unwrap();
    assert!(fs::symlink_metadata(paths.kept()).unwrap().is_symlink());
    assert!(fs::symlink_metadata(&live).unwrap().is_dir());
    assert!(paths.kept().join("a").exists());
    fs::write(live.join("new"), "n").unwrap();
    roll_back(&paths, false, &dir.path().join("conflicts"), &mut never).unwrap();
    assert!(fs::symlink_metadata(&live).unwrap().is_symlink());
    assert!(dir.path().join("disk/media/new").exists());
}

/// A mount hides what is below its mount point.
#[test]
fn nothing_is_merged_into_a_directory_whose_disk_is_not_mounted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("disk/media")).unwrap();
    fs::create_dir(at("public")).unwrap();
    fs::write(at("disk/media/a"), "a").unwrap();
    std::os::unix::fs::symlink("../disk/media", at("public/system")).unwrap();
    let paths = MediaPaths::of(&at("public/system")).unwrap();
    cut_over(&paths, &mut never).unwrap();
    fs::write(paths.live().join("new"), "n").unwrap();
    fs::rename(at("disk"), at("unmounted")).unwrap();
    fs::create_dir_all(at("disk/media")).unwrap();
    let error = roll_back(&paths, false, &at("conflicts"), &mut never).unwrap_err();
    assert!(error.hint_text().unwrap().contains("is mounted"), "{error}");
    assert!(paths.live().join("new").exists());
    fs::remove_dir_all(at("disk")).unwrap();
    fs::rename(at("unmounted"), at("disk")).unwrap();
    roll_back(&paths, false, &at("conflicts"), &mut never).unwrap();
    assert!(paths.live().join("new").exists());
}

#[test]
fn an_empty_directory_may_be_a_disk_that_is_not_mounted() {
    let fixture = fixture();
    let live = fixture.paths.live();
    fs::remove_dir_all(&live).unwrap();
    fs::create_dir(&live).unwrap();
    let error = cut_over(&fixture.paths, &mut never).unwrap_err();
    assert!(error.hint_text().unwrap().contains("is mounted"), "{error}");
    assert!(!fixture.paths.kept().exists());
}

#[test]
fn after_a_prune_a_rollback_needs_a_flag() {
    let fixture = fixture();
    let paths = &fixture.paths;
    cut_over(paths, &mut never).unwrap();
    let mut state = paths.state().unwrap().unwrap();
    state.pruned = true;
    paths.write_state(&state).unwrap();
    let conflicts = fixture.dir.path().join("conflicts");
    let error = roll_back(paths, false, &conflicts, &mut never).unwrap_err();
    assert!(error.hint_text().unwrap().contains("--after-prune"));
    roll_back(paths, true, &conflicts, &mut never).unwrap();
    assert_returned(&fixture, 2);
}
