//! The programs for the documents' commands on a test's machine. `PATH` has only what this table names: any
//! other command fails as unknown.

/// Programs that run as they are.
pub(crate) const REAL: &[&str] = &[
    "cat", "chmod", "cp", "grep", "ln", "mkdir", "mktemp", "openssl", "sed",
];

/// A command in whose place something else is run.
pub(crate) struct Instead {
    /// The program, or how the command begins. The first entry that fits counts.
    pub(crate) command: &'static str,
    /// Why it is not run as it stands.
    pub(crate) why: &'static str,
    /// What is run, by bash: `"$@"` has the arguments.
    pub(crate) script: &'static str,
}

const fn instead(command: &'static str, why: &'static str, script: &'static str) -> Instead {
    Instead {
        command,
        why,
        script,
    }
}

pub(crate) const INSTEAD: &[Instead] = &[
    // The program itself.
    instead(
        "medialift provision",
        "at a terminal it asks for the master key",
        r#"B2_APPLICATION_KEY_ID=$ACCOUNT B2_APPLICATION_KEY=$MASTER exec "$MEDIALIFT" "$@""#,
    ),
    instead(
        "medialift env",
        "Mastodon's alias is a name with TLS, which the worker of a test has not",
        r#"FILES_URL=https://files.example.com exec "$MEDIALIFT" "$@""#,
    ),
    instead(
        "medialift purge --everything",
        "only Cloudflare's own cache can do it; `tests/tests/purge.rs` has a stand-in of that",
        r#"output=$("$MEDIALIFT" "$@" 2>&1) || true
grep -q 'the worker is in engine mode' <<<"$output" || { echo "$output" >&2; exit 1; }"#,
    ),
    instead(
        "medialift",
        "it is not installed: the one that was built",
        r#"exec "$MEDIALIFT" "$@""#,
    ),
    // The Mastodon host.
    instead(
        "systemctl",
        "there is no systemd, and no Mastodon but a simulated one",
        e2e::stand_ins::SYSTEMCTL,
    ),
    instead(
        "docker compose exec web",
        "no container runs: the file is that of the simulated installation",
        r#"cd "$HOME/live" && "${@:4}""#,
    ),
    instead("docker volume ls", "there is no Docker", "true"),
    instead("docker", "there is no Docker", e2e::stand_ins::DOCKER),
    instead(
        "nginx -t",
        "the nginx of a test has another configuration than `/etc/nginx/nginx.conf`",
        r#"real "$NGINX_PROGRAM" -t -q ${NGINX_CONF:+-c "$NGINX_CONF" -e "$HOME/nginx-t.log"} || test -z "$NGINX_CONF""#,
    ),
    instead(
        "certbot",
        "Let's Encrypt must reach the host by its name",
        r#"test "$*" = "certonly --nginx -d files.example.com""#,
    ),
    instead("tootctl", "it comes with Mastodon, in Ruby", "true"),
    instead("timedatectl", "the clock is the machine's", "true"),
    // Cloudflare and Backblaze.
    instead(
        "cargo xtask deploy",
        "no domain leads to the worker that a stand-in of Cloudflare's API is given",
        r#"real "$XTASK" deploy --no-verify --config "$PWD/wrangler.toml" "${@:3}""#,
    ),
    instead(
        "npx wrangler login",
        "it opens Cloudflare in a browser",
        "understood \"${@:2}\"",
    ),
    instead(
        "npx wrangler tail --env= --format json",
        "it listens to a deployed worker: one line of its log instead",
        r#"understood "${@:2}"
echo '{"logs":[{"level":"error","message":["{\"event\":\"origin_failed\",\"subject\":\"a.png\",\"reason\":\"timeout\"}"]},{"level":"log","message":["no JSON"]}]}'"#,
    ),
    instead(
        "npx wrangler tail",
        "it listens to a deployed worker",
        "understood \"${@:2}\"",
    ),
    instead(
        "npx wrangler versions deploy",
        "it asks a person for versions and shares",
        "understood \"${@:2}\"",
    ),
    instead(
        "npx wrangler rollback",
        "there is no former version at the stand-in of Cloudflare's API",
        "understood \"${@:2}\"",
    ),
    instead(
        "npx wrangler dev",
        "it does not end; the suite `edge` runs it",
        "understood \"${@:2}\"",
    ),
    instead(
        "npx wrangler queues create",
        "the other way of deploying has created it in the same account",
        r#"output=$(wrangler-here "${@:2}" 2>&1) || [[ "$output" == *"already taken"* ]]"#,
    ),
    instead(
        "npx wrangler queues purge",
        "it asks a person whether it shall",
        "wrangler-here \"${@:2}\" --force",
    ),
    instead(
        "npx wrangler",
        "the pinned one, before a stand-in of Cloudflare's API",
        "wrangler-here \"${@:2}\"",
    ),
    instead(
        "wrangler",
        "written so, it names a command: whether wrangler has it",
        "understood \"$@\"",
    ),
    instead(
        "npm ci",
        "the packages that are installed already",
        r#"grep -q '"wrangler": "' package.json && ln -sfn "$NODE_MODULES" node_modules"#,
    ),
    instead(
        "npm install --package-lock-only --omit-lockfile-registry-resolved --prefix deploy",
        "npm's registry has newer packages; a test compares the lock",
        r#"test -f "$ROOT/deploy/package-lock.json""#,
    ),
    instead(
        "b2",
        "the account is Backblaze's model of its API",
        r#"B2_APPLICATION_KEY_ID=$ACCOUNT B2_APPLICATION_KEY=$MASTER B2_ACCOUNT_INFO=$HOME/account.db exec "$PYTHON/b2" "$@""#,
    ),
    instead(
        "rclone lsf",
        "it names a command: whether rclone has it",
        r#"exec "$PYTHON/rclone" lsf --help"#,
    ),
    // Packages: `tests/tests/packages.rs` installs, uses and removes them.
    instead(
        "dpkg",
        "it takes root; the suite `packages` runs it",
        "true",
    ),
    instead("man", "the suite `packages` shows the page", "true"),
    instead(
        "tar xzf medialift-0.2.0-x86_64-unknown-linux-musl.tar.gz",
        "it takes root; the suite `packages` unpacks one so, elsewhere",
        "true",
    ),
    instead("tar", "the system's", "real tar \"$@\""),
    instead(
        "sha256sum --check",
        "the files of a release are made by its workflow",
        "test \"$2\" = SHA256SUMS",
    ),
    instead(
        "git tag --sign",
        "there is no key to sign with",
        "test \"$3 $4\" = 'v0.2.0 --message'",
    ),
    instead("git", "the system's", "real git \"$@\""),
    // From the system, or Debian's package.
    instead(
        "curl",
        "an answer that is an error is a failure",
        r#"exec "$CURL" --fail "$@""#,
    ),
    instead(
        "jq",
        "the system's, or that of Debian's package",
        r#"exec "$JQ" "$@""#,
    ),
    // This repository.
    instead(
        "cargo xtask package-worker",
        "it writes below `target` of the repository",
        r#"real "$XTASK" package-worker && mkdir -p target/package/release
cp "$PACKAGES"/medialift-worker-*.tar.gz target/package/release/ && cp target/package/release/* ."#,
    ),
    instead(
        "cargo xtask package",
        "it takes minutes; the release workflow runs it: whether it is understood",
        r#"real "$XTASK" package --help > /dev/null"#,
    ),
    instead(
        "cargo update --workspace --offline",
        "it writes into the repository: what it would change",
        r#"cd "$ROOT" && real cargo update --workspace --offline --dry-run --quiet"#,
    ),
    instead(
        "cargo install --locked --path host-cli",
        "it compiles for minutes: whether there is such a package",
        r#"test -f "$ROOT/host-cli/Cargo.toml""#,
    ),
    instead("cargo binstall", "no release is published", "true"),
    instead(
        "cargo xtask test",
        "tests that run tests have no end: whether there are such tests",
        r#"real "$XTASK" "${@:2}" --help > /dev/null && there-are-tests "${@:3}""#,
    ),
    instead(
        "cargo xtask",
        "they take minutes, and CI runs each; `tests/tests/demo.rs` runs `demo`: here, whether it is understood",
        r#"real "$XTASK" "${@:2}" --help > /dev/null"#,
    ),
    instead(
        "cargo test --workspace --test",
        "as `cargo xtask test`",
        r#"there-are-tests "$4" --only "${5-}""#,
    ),
    instead(
        "cargo run -p e2e --bin screenshots",
        "it runs the demonstration and writes into the repository",
        r#"test -f "$ROOT/tests/src/bin/screenshots.rs""#,
    ),
    instead(
        "cargo run -p e2e --bin observe --",
        "it is built already",
        r#"cd "$ROOT" && real "$OBSERVE" "${@:6}" > /dev/null"#,
    ),
    instead(
        "cargo build --release -p medialift",
        "a release takes minutes to build: the one of the tests",
        r#"mkdir -p target/release && ln -sf "$MEDIALIFT" target/release/"#,
    ),
];

/// What all scripts may use, beside the programs of the host's stand-ins.
pub(crate) const HELPERS: &[(&str, &str)] = &[
    ("ask-instance", e2e::stand_ins::ASK_INSTANCE),
    // A program that looks for others by itself.
    ("real", "PATH=$REAL_PATH HOME=$REAL_HOME exec \"$@\"\n"),
    (
        "wrangler-here",
        "real \"$NODE\" --no-warnings \"$WRANGLER\" \"$@\"\n",
    ),
    // Whether wrangler's help knows a command and its flags. Each help is asked for once.
    (
        "understood",
        r#"words=() flags=()
for argument; do
  case "$argument" in
    -*) flags+=("${argument%%=*}") ;;
    *) [ ${#flags[@]} -gt 0 ] || words+=("$argument") ;;
  esac
done
file=$HOME/help/${words[*]}
if [ ! -e "$file" ]; then
  mkdir -p "$HOME/help"
  wrangler-here "${words[@]}" --help > "$file" || { rm "$file"; exit 1; }
fi
help=$(cat "$file")
[[ "$help" == *"wrangler ${words[0]}"* ]]
for flag in "${flags[@]}"; do
  grep -q -e "$flag " <<< "$help" || { echo "wrangler ${words[*]}: no flag $flag" >&2; exit 1; }
done
"#,
    ),
    // Whether there are suites of these names, and a test with that in its name.
    (
        "there-are-tests",
        r#"cd "$ROOT"
only=
while [ $# -gt 0 ]; do
  case "$1" in
    unit | wasm | e2e) ;;
    --only) only=$2; shift ;;
    *) compgen -G "tests/tests/$1*" > /dev/null || { echo "no suite $1" >&2; exit 1; } ;;
  esac
  shift
done
case "$only" in
  '') ;;
  # Scenarios of a file.
  */) test -f "tests/scenarios/${only%/}.toml" ;;
  *) grep -rqE "(fn|mod) \w*$only" tests worker/src worker/tests host-cli/src host-cli/tests xtask/src ;;
esac
"#,
    ),
];

/// Placeholders of the pages, and what the tests put in their place.
pub(crate) const PLACEHOLDERS: &[(&str, &str)] = &[
    ("verify --html", "verify --html verify.html"),
    (
        "purge KEY…",
        "purge accounts/avatars/1.png accounts/avatars/2.png",
    ),
    ("purge KEY", "purge accounts/avatars/1.png"),
    ("--from FILE", "--from purges.txt"),
    ("--bucket NEW-NAME", "--bucket another-example-social-media"),
    ("queues create NAME", "queues create medialift-extra"),
    (
        "secret put NAME --env=\"\"",
        "secret put PURGE_SECRET --env=\"\" < purge.secret",
    ),
    ("example.com/…", "example.com/.well-known/medialift-health"),
    ("WHAT --only NAME", "sync --only killed_fifty"),
];

/// Code that looks like a command but is not to be typed. `…` stands for any rest.
pub(crate) const NO_COMMANDS: &[(&str, &str)] = &[
    (
        "tar xzf … --strip-components 1 -C /usr/local",
        "a command that is in README, in short",
    ),
    ("git clean", "what would delete files"),
    ("git clean -fd", "what would delete files"),
    ("git add", "what would commit secrets"),
    ("docker run --env-file", "how others read a file"),
    (
        "up -d --force-recreate",
        "the end of a command that is on the page",
    ),
    (
        "npx wrangler secret put",
        "the beginning of a command that is on the page",
    ),
    ("medialift purge", "the command by its name"),
    ("medialift completions", "the command by its name"),
    ("b2 sync", "how others have uploaded"),
    ("rclone b2:", "how others have uploaded"),
    ("nginx cannot sign requests…", "a message"),
];

/// Commands in the text with another exit code than 0. Those of the host are run with the media uploaded, the
/// worker running, and Mastodon not yet switched.
pub(crate) const ENDS: &[(&str, i32, &str)] = &[
    ("medialift provision --public", 3, "the bucket is private"),
    (
        "medialift nginx",
        2,
        "nginx cannot sign requests to a private bucket",
    ),
    (
        "medialift rollback --dry-run --verbose",
        3,
        "new media are in the bucket only",
    ),
    ("medialift rollback", 3, "new media are in the bucket only"),
];

/// Commands in the text that change whether Mastodon uses the bucket, and what follows upon that. They are
/// run after all others, in this order.
pub(crate) const SWITCH: &[&str] = &[
    "medialift env --purge-method post",
    "medialift env --undo --dry-run",
    "medialift env --undo",
    "medialift env --no-quotes",
    "medialift env",
    "systemctl restart 'mastodon-*.service'",
    "medialift sync",
    "medialift cutover",
    "medialift sync /home/mastodon/live/public/system_ --include-hidden --include 'accounts/avatars/000/000/042/**'",
    "medialift rollback --dry-run --verbose",
    "medialift rollback",
    "medialift cutover --allow-skipped",
    "medialift prune --prove head",
];
