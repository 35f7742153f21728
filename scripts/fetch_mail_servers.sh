#!/usr/bin/env bash
# Fetches Exim and OpenSMTPD with their libraries for tests/interop and unpacks them under node_modules/.cache. They are not installed:
# Debian's mail servers exclude each other and Postfix. From Debian 13 also on Debian 12, whose OpenSMTPD cannot do TLS. Nothing of the
# system changes: apt gets state and sources of its own. The tests run them in a root folder of their own (tests/interop/jail.ts).
set -euo pipefail
cd "$(dirname "$0")/.."
suite=trixie
cache=$PWD/node_modules/.cache/mail_servers
[ -f "$cache/complete" ] && exit 0
rm -rf "$cache"
mkdir -p "$cache"/{root,state/lists/partial,archives/partial,sources.d}
: >"$cache/state/status"

# The system's own mirrors, with the other suite.
own=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
for list in /etc/apt/sources.list /etc/apt/sources.list.d/debian*; do
  [ -f "$list" ] && sed "s/\b$own\b/$suite/g" "$list" >"$cache/sources.d/$(basename "$list")"
done
options=(-qq -o Dir::State="$cache/state" -o Dir::State::status="$cache/state/status" -o Dir::Cache::archives="$cache/archives"
  -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$cache/sources.d"
  -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
apt-get "${options[@]}" update
for package in exim4-daemon-light opensmtpd dash; do
  apt-get "${options[@]}" install --yes --no-install-recommends --download-only "$package" >/dev/null
done

for archive in "$cache"/archives/*.deb; do dpkg-deb --extract "$archive" "$cache/root"; done
rm -rf "$cache"/{archives,state,root/usr/share}
for program in exim4 smtpd; do
  [ -x "$cache/root/usr/sbin/$program" ] || { echo "Cannot find $program in the packages that were fetched"; exit 1; }
done
touch "$cache/complete"
