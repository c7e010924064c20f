//! Tests of `migration/swap`.

use std::collections::BTreeMap;

use super::*;

/// A media directory with two files, and one that Mastodon writes after the cutover.
struct World {
    dir: tempfile::TempDir,
    site: Site,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("public/system");
    fs::create_dir_all(live.join("accounts")).unwrap();
    fs::write(live.join("accounts/a.png"), "a").unwrap();
    fs::write(live.join("b.png"), "b").unwrap();
    fs::set_permissions(&live, fs::Permissions::from_mode(0o750)).unwrap();
    let site = Site::at(&live).unwrap();
    World { dir, site }
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

fn mover<'a>(site: &'a Site, at_once: bool, after: AfterStep<'a>) -> Mover<'a> {
    Mover {
        site,
        at_once,
        after,
    }
}

#[track_caller]
fn assert_cut(world: &World) {
    let site = &world.site;
    assert!(site.live().is_dir());
    let metadata = fs::metadata(site.live()).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o750);
    assert_eq!(files(&site.kept()).len(), 2);
    assert!(!exists(&site.staging()));
    assert_eq!(site.state().unwrap().unwrap().phase, Phase::Moved);
}

#[track_caller]
fn assert_returned(world: &World, expected: usize) {
    let site = &world.site;
    assert_eq!(files(&site.live()).len(), expected);
    assert!(!exists(&site.kept()), "system_ is gone");
    assert!(!exists(&site.staging()));
    assert_eq!(site.state().unwrap(), None);
}

#[test]
fn there_and_back() {
    let world = world();
    let site = &world.site;
    assert_eq!(cut(site, &mut never).unwrap(), Cut::Done);
    assert_cut(&world);
    assert_eq!(cut(site, &mut never).unwrap(), Cut::AlreadyDone);
    fs::write(site.live().join("new.png"), "n").unwrap();
    let result = back(site, false, &world.dir.path().join("conflicts"), &mut never).unwrap();
    assert_eq!(result.merged.moved, 1);
    assert_eq!(result.conflicts_dir, None);
    assert_returned(&world, 3);
    assert!(back(site, false, &world.dir.path().join("c"), &mut never).is_err());
}

/// Stopped after every step there is, by either way of renaming: no file is lost, and both the
/// same command and the way back complete it.
#[test]
fn stopped_after_any_step_of_a_cutover_it_is_completed_or_undone() {
    for at_once in [true, false] {
        let mut steps = 0;
        loop {
            let interrupted = |world: &World| {
                let mut stop = stop_after(steps);
                let ended = mover(&world.site, at_once, &mut stop).cut();
                assert_eq!(files(world.dir.path()).len(), 2, "step {steps}");
                ended.is_ok()
            };
            let world_forth = world();
            let whole = interrupted(&world_forth);
            mover(&world_forth.site, at_once, &mut never).cut().unwrap();
            assert_cut(&world_forth);

            let world_back = world();
            interrupted(&world_back);
            mover(&world_back.site, at_once, &mut never)
                .back(false, &world_back.dir.path().join("conflicts"))
                .unwrap();
            assert_returned(&world_back, 2);
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
    for at_once in [true, false] {
        let mut steps = 0;
        loop {
            let world = world();
            let site = &world.site;
            cut(site, &mut never).unwrap();
            fs::create_dir(site.live().join("accounts")).unwrap();
            fs::write(site.live().join("accounts/new.png"), "n").unwrap();
            let conflicts = world.dir.path().join("conflicts");
            let mut stop = stop_after(steps);
            let ended = mover(site, at_once, &mut stop).back(false, &conflicts);
            assert_eq!(files(world.dir.path()).len(), 3, "step {steps}");
            if ended.is_ok() {
                break;
            }
            if site.state().unwrap().is_some() {
                mover(site, at_once, &mut never)
                    .back(false, &conflicts)
                    .unwrap();
            }
            assert_returned(&world, 3);
            steps += 1;
        }
        assert!(steps >= 4, "{steps}");
    }
}

#[test]
fn a_system_of_an_earlier_attempt_is_not_touched() {
    let world = world();
    fs::create_dir(world.site.kept()).unwrap();
    let error = cut(&world.site, &mut never).unwrap_err();
    assert!(
        error.to_string().contains("exists, and not from a cutover"),
        "{error}"
    );
    assert_eq!(world.site.state().unwrap(), None);
    assert_eq!(files(&world.site.live()).len(), 2);
}

#[test]
fn conflicting_files_are_both_kept() {
    let world = world();
    let site = &world.site;
    cut(site, &mut never).unwrap();
    fs::write(site.live().join("b.png"), "newer").unwrap();
    let conflicts = site.parent.join("system.conflicts");
    let result = back(site, false, &conflicts, &mut never).unwrap();
    assert_eq!(result.merged.conflicts, [Path::new("b.png")]);
    assert_eq!(result.conflicts_dir.as_deref(), Some(conflicts.as_path()));
    assert_eq!(fs::read_to_string(site.live().join("b.png")).unwrap(), "b");
    assert_eq!(
        fs::read_to_string(conflicts.join("b.png")).unwrap(),
        "newer"
    );
}

#[test]
fn a_run_that_was_killed_after_it_put_conflicts_aside_has_them_told_by_the_next() {
    let world = world();
    let site = &world.site;
    cut(site, &mut never).unwrap();
    fs::write(site.live().join("b.png"), "newer").unwrap();
    let conflicts = world.dir.path().join("conflicts");
    let mut stop = |step: &'static str| match step {
        "newer directory gone" => Err(Error::new("go on")),
        _ => Ok(()),
    };
    back(site, false, &conflicts, &mut stop).unwrap_err();
    let another = world.dir.path().join("another");
    let result = back(site, false, &another, &mut never).unwrap();
    assert_eq!(result.merged.conflicts, [Path::new("b.png")]);
    assert_eq!(result.conflicts_dir, Some(conflicts));
    assert!(!exists(&another));
    assert_returned(&world, 2);
}

/// Files that appear after a merge has looked, as when Mastodon was in the middle of an upload.
#[test]
fn a_file_that_comes_while_files_are_merged_joins_or_is_named() {
    for (steps, moved, left) in [
        (&["files merged"][..], 1, &[][..]),
        (
            &["files merged", "files merged again"],
            1,
            &["a/files merged again"],
        ),
    ] {
        let world = world();
        let site = &world.site;
        cut(site, &mut never).unwrap();
        let conflicts = world.dir.path().join("conflicts");
        let kept = site.kept();
        let mut write = |step: &'static str| {
            if steps.contains(&step) {
                fs::create_dir_all(kept.join("a")).unwrap();
                fs::write(kept.join("a").join(step), "late").unwrap();
            }
            Ok(())
        };
        let result = back(site, false, &conflicts, &mut write).unwrap();
        assert_eq!(result.merged.moved, moved);
        let left: Vec<PathBuf> = left.iter().map(PathBuf::from).collect();
        assert_eq!(result.merged.conflicts, left);
        assert_eq!(result.conflicts_dir.is_some(), !left.is_empty());
        assert_eq!(files(world.dir.path()).len(), 2 + steps.len());
    }
}

/// The access list as the kernel takes it: user 1234 may read and enter.
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
    let world = world();
    let site = &world.site;
    let names = ["system.posix_acl_access", "system.posix_acl_default"];
    let list = access_list();
    for name in names {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(site.live(), name, &list, flags).unwrap();
    }
    cut(site, &mut never).unwrap();
    for name in names {
        let mut found = vec![0; 256];
        let length = rustix::fs::getxattr(site.live(), name, found.as_mut_slice()).unwrap();
        assert_eq!(found[..length], list, "{name}");
    }
    assert_cut(&world);
}

#[test]
fn a_link_is_moved_and_an_empty_directory_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("disk/media")).unwrap();
    fs::create_dir(dir.path().join("public")).unwrap();
    fs::write(dir.path().join("disk/media/a"), "a").unwrap();
    let live = dir.path().join("public/system");
    std::os::unix::fs::symlink("../disk/media", &live).unwrap();
    let site = Site::at(&live).unwrap();
    cut(&site, &mut never).unwrap();
    assert!(fs::symlink_metadata(site.kept()).unwrap().is_symlink());
    assert!(fs::symlink_metadata(&live).unwrap().is_dir());
    assert!(site.kept().join("a").exists());
    fs::write(live.join("new"), "n").unwrap();
    back(&site, false, &dir.path().join("conflicts"), &mut never).unwrap();
    assert!(fs::symlink_metadata(&live).unwrap().is_symlink());
    assert!(dir.path().join("disk/media/new").exists());
}

/// What is written below a mount point is hidden by the mount.
#[test]
fn nothing_is_brought_into_a_directory_whose_disk_is_not_mounted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("disk/media")).unwrap();
    fs::create_dir(at("public")).unwrap();
    fs::write(at("disk/media/a"), "a").unwrap();
    std::os::unix::fs::symlink("../disk/media", at("public/system")).unwrap();
    let site = Site::at(&at("public/system")).unwrap();
    cut(&site, &mut never).unwrap();
    fs::write(site.live().join("new"), "n").unwrap();
    fs::rename(at("disk"), at("unmounted")).unwrap();
    fs::create_dir_all(at("disk/media")).unwrap();
    let error = back(&site, false, &at("conflicts"), &mut never).unwrap_err();
    assert!(error.hint_text().unwrap().contains("is mounted"), "{error}");
    assert!(site.live().join("new").exists());
    fs::remove_dir_all(at("disk")).unwrap();
    fs::rename(at("unmounted"), at("disk")).unwrap();
    back(&site, false, &at("conflicts"), &mut never).unwrap();
    assert!(site.live().join("new").exists());
}

#[test]
fn an_empty_directory_may_be_a_disk_that_is_not_mounted() {
    let world = world();
    let live = world.site.live();
    fs::remove_dir_all(&live).unwrap();
    fs::create_dir(&live).unwrap();
    let error = cut(&world.site, &mut never).unwrap_err();
    assert!(error.hint_text().unwrap().contains("is mounted"), "{error}");
    assert!(!world.site.kept().exists());
}

#[test]
fn after_a_prune_the_way_back_must_be_asked_for() {
    let world = world();
    let site = &world.site;
    cut(site, &mut never).unwrap();
    let mut state = site.state().unwrap().unwrap();
    state.pruned = true;
    site.write_state(&state).unwrap();
    let conflicts = world.dir.path().join("conflicts");
    let error = back(site, false, &conflicts, &mut never).unwrap_err();
    assert!(error.hint_text().unwrap().contains("--after-prune"));
    back(site, true, &conflicts, &mut never).unwrap();
    assert_returned(&world, 2);
}
