#!/usr/bin/env bash
# quiet-install.sh - install missing Debian packages without starting anything
#
# usage: quiet-install.sh PACKAGE...
#
# Does nothing, and needs no rights, when every PACKAGE is there. Otherwise apt
# installs the missing ones, as root or through a sudo that asks no password.
#
# Debian's packages start and enable their services. Ours are wanted for their
# programs only, so while apt runs a policy-rc.d that exits 101 forbids every
# start, stop and restart (/usr/share/doc/init-system-helpers), and afterwards
# the units that came with the new packages are disabled. What was installed
# before keeps running as it was. The policy that stood there before is put
# back, also after a failure or an interrupt; after a SIGKILL the next run
# does it.
set -euo pipefail

policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
policy_before=$policy.before-quiet-install
work=
policy_is_ours=

say() {
    printf 'quiet-install: %s\n' "$*" >&2
}

installed() {
    dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
        sed -n 's/ installed$//p' | sort -u || true
}

missing() {
    local -A there=()
    local package
    for package in $(installed "$@"); do
        there[$package]=yes
    done
    for package in "$@"; do
        [ -n "${there[$package]:-}" ] || printf '%s\n' "$package"
        there[$package]=yes
    done
}

put_policy_back() {
    if [ -e "$policy_before" ] || [ -L "$policy_before" ]; then
        mv -f "$policy_before" "$policy"
    elif grep -q '^# quiet-install$' "$policy" 2>/dev/null; then
        rm -f "$policy"
    fi
}

forbid_starts() {
    put_policy_back # a run that was killed may have left its own
    policy_is_ours=yes
    if [ -e "$policy" ] || [ -L "$policy" ]; then
        mv "$policy" "$policy_before"
    fi
    printf '#!/bin/sh\n# quiet-install\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

# disable_unit UNIT - also where systemd itself is not installed (Debian's
# helper wants to hear of a package, but does not look which)
disable_unit() {
    if command -v systemctl >/dev/null; then
        systemctl disable --quiet "$1"
    else
        DPKG_MAINTSCRIPT_PACKAGE=quiet-install deb-systemd-helper disable "$1" || true
        [ ! -e "/etc/init.d/${1%.service}" ] || update-rc.d "${1%.service}" disable
    fi
}

# Units are disabled whether or not systemd runs now: this may be the image of
# a machine that boots later.
disable_new_units() {
    local package unit
    for package in $(installed | comm -13 "$work/before" -); do
        dpkg-query -L "$package" 2>/dev/null
    done | sed -nE 's#^(/usr)?/lib/systemd/system/([^/@]+\.(service|socket|timer))$#\2#p' |
        sort -u | while read -r unit; do
        disable_unit "$unit" >/dev/null 2>&1 </dev/null || true
    done
}

finish() {
    local status=$?
    trap '' INT TERM HUP
    if [ -n "$policy_is_ours" ]; then
        disable_new_units
        put_policy_back
    fi
    rm -rf "$work"
    exit "$status"
}

apt_get() {
    if ! DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold "$@" </dev/null 9<&- >"$work/log" 2>&1; then
        tail -n 40 "$work/log" >&2
        say "apt-get failed: apt-get $*"
        return 1
    fi
}

if [ $# -eq 0 ]; then
    printf 'usage: quiet-install.sh PACKAGE...\n' >&2
    exit 2
fi
if ! command -v dpkg-query >/dev/null; then
    say "this is not Debian; the equivalents of these must be there: $*"
    exit 0
fi
names=$(missing "$@")
if [ -z "$names" ]; then
    exit 0
fi
mapfile -t wanted <<<"$names"
command="apt-get install --no-install-recommends ${wanted[*]}"
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        exec sudo -n bash "$(readlink -f "$0")" "${wanted[@]}"
    fi
    say "missing packages: ${wanted[*]}"
    say "install them with: sudo $command"
    say "or, without starting their services: sudo bash $0 ${wanted[*]}"
    exit 1
fi

# One at a time: two runs would save each other's policy.
exec 9<"${policy%/*}"
flock 9

trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
work=$(mktemp -d)
say "installing ${wanted[*]}"
apt_get update || say "going on with the lists that are here"
installed >"$work/before"
forbid_starts
apt_get install -y --no-install-recommends "${wanted[@]}"
