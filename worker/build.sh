#!/bin/sh
# Builds the worker with `worker-build`. `[build]` in wrangler.toml and `cargo xtask build` both run this.
#
#   worker/build.sh [DIRECTORY [ARGUMENT…]]    into DIRECTORY (worker/build); arguments go to cargo
#   worker/build.sh --tools                    only installs the tools
#
# `worker-build` and the `wasm-bindgen` command are compiled from crates.io once, into a cache outside the
# checkout, in the versions of `worker` and `wasm-bindgen` in Cargo.lock. esbuild and wasm-opt are from npm.
# By default `worker-build` downloads all of them from GitHub, which not every network allows.
set -eu
cd "$(dirname "$0")"

fail() {
    printf 'error: %s\n\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

cache=${MEDIALIFT_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/medialift}

# Installs the package $1 in the version of the crate $3 in Cargo.lock. Sets `tool` to its program $2.
install() {
    version=$(sed -n "/^name = \"$3\"\$/{n;s/^version = \"\(.*\)\"\$/\1/p;}" ../Cargo.lock)
    tool=$cache/$1-$version/bin/$2
    [ -x "$tool" ] && return
    echo "build: installing $1 $version (minutes, once)" >&2
    # Optimising takes longer than it saves.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        cargo install --quiet --locked --root "$cache/$1-$version" "$1@$version" ||
        fail "cannot install $1 $version" \
            "it needs cargo's registry, a C compiler, pkg-config and OpenSSL's headers (Debian: \`libssl-dev\`)"
}

install worker-build worker-build worker
worker_build=$tool
install wasm-bindgen-cli wasm-bindgen wasm-bindgen
[ "${1-}" = --tools ] && exit

output=${1:-build}
[ $# = 0 ] || shift
mkdir -p "$output"
sources='../Cargo.lock ../Cargo.toml ../package-lock.json ../rust-toolchain.toml Cargo.toml build.sh src'
# shellcheck disable=SC2086 # a list of names without spaces
if [ -e "$output/index.js" ] && [ "$(cat "$output/.built" 2>/dev/null)" = "with $*" ] &&
    [ -z "$(find $sources -newer "$output/.built" -print)" ]; then
    exit
fi

npm=$(cd .. && pwd)/node_modules/.bin
for name in esbuild wasm-opt; do
    [ -x "$npm/$name" ] || fail "there is no $name in \`node_modules\`" "run \`npm ci\`"
done
export WASM_BINDGEN_BIN="$tool" ESBUILD_BIN="$npm/esbuild" WASM_OPT_BIN="$npm/wasm-opt"
# The last two may be scripts for Node.js.
export PATH="$npm:$PATH"

# SHA-256 in its small form: a signature hashes some hundred bytes. And panic messages without this machine's
# paths.
flags='--cfg=sha2_backend_soft="compact"'
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
    flags=$(printf '%s\037--remap-path-prefix=%s=/' "$flags" "$registry")
done
export CARGO_ENCODED_RUSTFLAGS="$flags"

# A file that changes after this causes the next build.
started=$output/.started.$$
optimised=$output/.optimised.$$
trap 'rm -f "$started" "$optimised"' EXIT
echo "with $*" >"$started"
"$worker_build" --profile worker --out-dir "$output" --locked "$@"
# `worker-build` keeps the names of functions, a fifth of the size. A second pass of `wasm-opt` saves some
# more.
"$npm/wasm-opt" "$output/index_bg.wasm" --strip-debug --strip-producers -Oz -o "$optimised"
mv "$optimised" "$output/index_bg.wasm"
mv "$started" "$output/.built"
