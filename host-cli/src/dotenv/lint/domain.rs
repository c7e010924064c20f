//! The files domain: the alias host, and the hosts that the security policy allows.

use super::super::settings::{hosts, masked, same_origin};
use super::{Lint, bare_host};

impl Lint<'_> {
    pub(super) fn alias_host(&mut self) {
        // Mastodon reads the old name where the new one is not set.
        let key = if self.is_set("S3_ALIAS_HOST") {
            "S3_ALIAS_HOST"
        } else {
            "S3_CLOUDFRONT_HOST"
        };
        let unresolved = self.exact_value(key).is_none() && self.is_set(key);
        let Some(alias) = self.value(key) else {
            if unresolved || !self.is_enabled() {
                return;
            }
            self.warning(
                "alias-host",
                "S3_ALIAS_HOST",
                "`S3_ALIAS_HOST` is not set: every reader is sent to the bucket itself, without the cache",
                "set it to the files domain, e.g. `S3_ALIAS_HOST=files.example.com`",
            );
            return;
        };
        let shown = masked(key, &alias);
        let host = bare_host(&alias).to_ascii_lowercase();
        if alias.contains("://") || alias.ends_with('/') {
            self.error(
                "alias-host",
                key,
                format!("`{key}` is `{shown}`: it must have no scheme and no slash at its end"),
                format!("write `{key}={}`", masked(key, &host)),
            );
        } else if alias.contains('/') {
            self.warning(
                "alias-path",
                key,
                format!("`{key}` is `{shown}`, a host with a path: Mastodon allows that since 4.2"),
                "remove the path, or let the worker remove it with `STRIP_PREFIX`",
            );
        }
        if host.ends_with(".backblazeb2.com") {
            self.warning(
                "alias-host",
                key,
                format!("`{key}` is the bucket itself: every reader is served without the cache"),
                "set it to the files domain",
            );
        }
        for own in ["LOCAL_DOMAIN", "WEB_DOMAIN"] {
            if self
                .value(own)
                .is_some_and(|domain| domain.eq_ignore_ascii_case(&host))
            {
                self.warning(
                    "alias-host",
                    key,
                    format!("`{key}` is the instance's own `{own}`: uploaded files would share its origin"),
                    "use a separate domain for files",
                );
            }
        }
        if let Some(known) = self.context.files_host.clone()
            && host != known
        {
            self.error(
                "alias-host",
                key,
                format!("`{key}` is `{shown}`, and the files domain is `{known}`"),
                format!("write `{key}={known}`"),
            );
        }
    }

    pub(super) fn extra_media_hosts(&mut self) {
        let key = "EXTRA_MEDIA_HOSTS";
        let alias = self.value("S3_ALIAS_HOST").unwrap_or_default();
        let host = bare_host(&alias).to_ascii_lowercase();
        for extra in hosts(&self.value(key).unwrap_or_default()) {
            if !host.is_empty() && !extra.contains("://") && same_origin(extra, &host) {
                self.warning(
                    "extra-media-hosts",
                    key,
                    format!("`{key}` names `{}` without `https://`", masked(key, extra)),
                    format!("write `https://{}` there", masked(key, &host)),
                );
            }
        }
    }
}
