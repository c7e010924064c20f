#!/bin/sh
# Runs a command of this repository as somebody without root, with an empty home directory, in a
# minimal Debian that has Rust, Node.js, Python, git and a C compiler, and nothing that the tests use.
#
#   tests/rootless.sh [--keep] COMMAND…        for example: tests/rootless.sh cargo xtask demo
#
# Root runs it, since making that system takes root: `debootstrap` fills `$MEDIALIFT_ROOTLESS`
# (/var/tmp/medialift-rootless) the first time. The command sees a clone of what is committed here.
# `--keep` leaves the home directory and what was built from the last time.
set -eu

fail() {
    printf 'error: %s\n\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

keep=false
if [ "${1-}" = --keep ]; then
    keep=true
    shift
fi
[ $# -gt 0 ] || fail "no command" "$0 cargo xtask demo"
[ "$(id -u)" = 0 ] || fail "making a system takes root" "run this as root; the command itself runs as another user"
checkout=$(cd "$(dirname "$0")/.." && pwd)
base=${MEDIALIFT_ROOTLESS:-/var/tmp/medialift-rootless}
root=$base/root

# What a person has who works on Rust: a linker, OpenSSL's headers, git, Python.
suite=bookworm
include=ca-certificates,gcc,git,libc6-dev,libssl-dev,pkg-config,python3,python3-venv
ready=$base/ready-$(printf '%s %s' "$suite" "$include" | cksum | cut -d ' ' -f 1)

# This machine's Rust and Node.js, from their own directories; npm is a script in its package.
rust=$(cd "$checkout" && rustc --print sysroot)
node=$(readlink -f "$(command -v node)")
npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
case "$npm $(ldd "$node")" in
/usr/share/* | *libnode.so*)
    fail "Debian's Node.js does not run from a copy of its program: it has parts all over the system" \
        "put a Node.js from nodejs.org first on \`PATH\`"
    ;;
esac

# Two at once would build over each other.
mkdir -p "$base"
exec 9>"$base/lock"
flock --nonblock 9 || fail "another run uses $base" "set \`MEDIALIFT_ROOTLESS\` to another directory"

if [ ! -e "$ready" ]; then
    command -v debootstrap >/dev/null || fail "there is no \`debootstrap\`" "apt-get install --no-install-recommends debootstrap"
    rm -rf "$root" "$base"/ready*
    echo "rootless: making a minimal Debian in $root (2 minutes, once)" >&2
    debootstrap --variant=minbase --include="$include" "$suite" "$root" >"$base/debootstrap.log" 2>&1 ||
        fail "debootstrap failed, see $base/debootstrap.log" "let it reach a mirror of Debian"
    touch "$ready"
fi

mkdir -p "$root/opt/rust" "$root/opt/node/bin" "$root/opt/node/lib/node_modules/npm" "$root/old"
cp "$node" "$root/opt/node/bin/node"
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/opt/node/bin/npm"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
# A network may have a certificate of its own.
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

$keep || rm -rf "$root/home/tester" "$root/home/medialift"
mkdir -p "$root/home/tester"
if [ -e "$root/home/medialift/.git" ]; then
    # Its files belong to another user now: what has not changed is not written again, nor built.
    clone() {
        git -c safe.directory='*' -c core.trustctime=false -c core.checkStat=minimal \
            -C "$root/home/medialift" "$@"
    }
    clone fetch --quiet "$checkout" HEAD
    clone reset --quiet --hard FETCH_HEAD
else
    git clone --quiet --no-local "$checkout" "$root/home/medialift"
fi
chown -R 1000:1000 "$root/home/tester" "$root/home/medialift"

echo "rootless: $* ($(rustc --version), Node.js $("$node" --version))" >&2
# A mount namespace with another root, not `chroot`: in that, tests could make no user namespace.
export root rust npm
# shellcheck disable=SC2016 # the inner shell expands it
exec unshare --mount --pid --fork --kill-child sh -euc '
    mount --bind "$root" "$root"
    mount --bind "$rust" "$root/opt/rust"
    mount -o remount,bind,ro "$root/opt/rust"
    mount --bind "$npm" "$root/opt/node/lib/node_modules/npm"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
    mount -t tmpfs -o mode=1777 tmp "$root/tmp"
    cd "$root"
    pivot_root . old
    umount -l /old
    cd /home/medialift
    exec setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs env -i \
        HOME=/home/tester USER=tester LANG=C.UTF-8 PATH=/opt/rust/bin:/opt/node/bin:/usr/bin:/bin \
        SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
        NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
        "$@"' sh "$@"
