#!/usr/bin/env bash
# Builds a Debian package of Aspine: program, service, configuration, manual, completions, tuning.
#
#   scripts/package.sh                            builds the release and packs it into target/package
#   scripts/package.sh --binary PATH --out DIR    packs what is built already
#
# By dpkg-deb alone: it is on every Debian and Ubuntu, while debhelper would bring a build system of its own, and cargo-deb a
# hundred crates, for a tree of a dozen files. What debhelper would generate for the service is in scripts/package/.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "package.sh: $*" >&2
    exit 1
}

binary='' out=target/package
while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=${2:?--binary wants a path} ;;
    --out) out=${2:?--out wants a directory} ;;
    *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit 2 ;;
    esac
    shift 2 || fail "$1 wants a value"
done
for tool in dpkg-deb dpkg-shlibdeps strip; do
    command -v "$tool" >/dev/null || fail "$tool is not there: apt-get install dpkg-dev binutils"
done
if [ -z "$binary" ]; then
    cargo build --release --locked --bin aspine
    binary=${CARGO_TARGET_DIR:-target}/release/aspine
fi
[ -x "$binary" ] || fail "$binary is no program"

# 3.0.0-alpha.1 comes before 3.0.0, which Debian writes with a tilde.
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1 | tr - '~')
architecture=$(dpkg --print-architecture)
# Who builds it answers for it, in the variables that Debian's tools read.
maintainer="${DEBFULLNAME:-Aspine} <${DEBEMAIL:-aspine@localhost}>"
# The same commit gives the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

file() { install -D -m "${3:-644}" "$1" "$root/$2"; }

install -d "$root/usr/bin" "$root/DEBIAN"
strip --strip-unneeded -o "$root/usr/bin/aspine" "$binary"
chmod 755 "$root/usr/bin/aspine"
aspine=$root/usr/bin/aspine
file tuning/aspine.service usr/lib/systemd/system/aspine.service
file tuning/aspine.toml etc/aspine/aspine.toml
file tuning/cpus.sh usr/share/aspine/cpus.sh 755
file tuning/seccomp.json usr/share/aspine/seccomp.json
file tuning/sysctl.conf usr/share/doc/aspine/examples/90-aspine.conf
# The pages lie as in the repository, so that their links hold.
for page in README.md CHANGELOG.md CONTRIBUTING.md tuning/README.md docs/*.md docs/*/*.md docs/plots/*.svg; do
    file "$page" "usr/share/doc/aspine/$page"
done
file LICENSE usr/share/doc/aspine/copyright
install -d "$root/usr/share/lintian/overrides"
cp scripts/package/lintian-overrides "$root/usr/share/lintian/overrides/aspine"
gzip -9n >"$root/usr/share/doc/aspine/changelog.gz" <<CHANGELOG
aspine ($version) unstable; urgency=medium

  * What changed is in CHANGELOG.md.

 -- $maintainer  $(date -Rud "@$SOURCE_DATE_EPOCH")
CHANGELOG

# Manual and completions are the program's own: a page of its own for each command that the first one refers to.
install -d "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions" \
    "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
man=$root/usr/share/man/man1
"$aspine" man >"$man/aspine.1"
sed -n 's/^aspine\\-\([a-z]*\)(1)$/\1/p' "$man/aspine.1" | while read -r command; do
    [ "$command" = help ] || "$aspine" man "$command" >"$man/aspine-$command.1"
done
[ -e "$man/aspine-server.1" ] || fail "aspine man names no page aspine-server(1)"
gzip -9n "$man"/*.1
"$aspine" completions bash >"$root/usr/share/bash-completion/completions/aspine"
"$aspine" completions zsh >"$root/usr/share/zsh/vendor-completions/_aspine"
"$aspine" completions fish >"$root/usr/share/fish/vendor_completions.d/aspine.fish"

# Which packages have the libraries it is linked with, and from which version on; it wants a source package's control file.
mkdir "$work/debian"
printf 'Source: aspine\n\nPackage: aspine\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O root/usr/bin/aspine | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || fail "dpkg-shlibdeps knows no package for the libraries of $binary"

for script in postinst prerm postrm; do install -m 755 "scripts/package/$script" "$root/DEBIAN/$script"; done
echo /etc/aspine/aspine.toml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: aspine
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Section: database
Priority: optional
Depends: adduser, init-system-helpers (>= 1.54~), $depends
Installed-Size: $(du -k --apparent-size -s --exclude=DEBIAN "$root" | cut -f1)
Description: in-memory cache server, one thread per core
 Aspine is a cache for latency-critical deployments on Linux: one process, one
 pinned thread per core, nothing shared between them. It speaks the Redis
 protocol, so existing clients work unmodified, and holds strings with exact
 LRU eviction, expiry, publish and subscribe, client-side caching,
 transactions and snapshots.
 .
 It needs a kernel of 5.8 or newer with io_uring allowed.
CONTROL
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' md5sum >DEBIAN/md5sums)

find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
package=$out/aspine_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"
