#!/bin/sh
# Installs the servers that the bench compares with, and leaves none of them
# running or enabled.
#
# usage: bench/peers.sh [PACKAGE...]
#
# The authoritative servers and the forwarders from Debian, and every PACKAGE
# named besides.
# quiet-install.sh forbids their services to start while apt runs, puts back the
# policy that stood there before, and disables their units. `./dev bench` does
# the same by itself.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec bash "$here/../tests/lib/quiet-install.sh" gdnsd knot nsd \
    unbound bind9 dnsdist dnsmasq knot-resolver "$@"
