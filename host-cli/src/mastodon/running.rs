//! Whether the running processes have the settings that were read.

use std::time::Duration;

use super::environment::ReadSettings;
use super::media::MediaSettings;
use super::owner::Running;
use super::process::Process;

/// Compares the environments and ages of the processes with `media`, which is part of `read`.
pub(super) fn running(
    media: &MediaSettings,
    processes: &[&Process],
    read: &ReadSettings,
) -> Running {
    if processes.is_empty() {
        return Running::NotObserved("no process of Mastodon was found on this machine".to_owned());
    }
    let mut uses = None;
    let mut unknown = None;
    for process in processes {
        let mut may_be_older = true;
        if process.in_container {
            let Some(environment) = &process.environment else {
                continue;
            };
            if !MediaSettings::of(&environment.known).is_ok_and(|its| its.owner() == media.owner())
            {
                return Running::NotRestarted(format!(
                    "the container of {} has other media settings than the file",
                    process.name
                ));
            }
            may_be_older = read.from_containers;
        } else if process.environment.is_none() && !read.from_units {
            unknown = Some(format!(
                "the environment of {}, which outranks the settings files, cannot be read, and no unit of systemd defines it",
                process.name
            ));
        }
        if let (Some(started), Some(changed), true) =
            (process.started, read.changed, may_be_older)
            // The time of boot, on which the start is based, has a resolution of one second.
            && started + Duration::from_secs(1) < changed
        {
            return Running::NotRestarted(format!(
                "{} was started before the settings were last changed",
                process.name
            ));
        }
        uses = Some(media.owner().0);
    }
    match (unknown, uses) {
        (Some(why), _) => Running::Unknown(why),
        (None, Some(owner)) => Running::Uses(owner),
        (None, None) => {
            Running::NotObserved("the environment of its containers cannot be read".to_owned())
        }
    }
}
