#!/usr/bin/env python3
"""What lookups of other names suffer while the first region's resolver fails.

leeward forwards to three simulated regions; the second is 10 ms away, the third
20 ms. The clients are the C library's getaddrinfo (bench-lookup) and a UDP client
that never asks twice (bench-ask); each lookup is of a name nobody has asked for
before. See bench/README.md.

getaddrinfo asks port 53 of what /etc/resolv.conf names, so all of it runs in
network and mount namespaces of its own; where these are not permitted only the
UDP client runs.
"""
import argparse
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import lab

DOMAIN = "elsewhere.test"
RESOLVER = "127.53.53.53"  # what resolv.conf names, inside the namespaces
LOOKUPS_A_SECOND = 50
EVERY_US = 1_000_000 // LOOKUPS_A_SECOND
SLOW_MS, LIMIT_MS = 100, 250
DELAYS_MS = (0, 10, 20)
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# The best peers in each mode, failed or above 100 ms of 600 lookups.
FAULTS = [
    ("killed", "dns die", "dnsmasq --all-servers, named 0; dnsmasq 21 lost, dnsdist 36"),
    ("blackhole", "dns blackhole", "dnsmasq --all-servers 0; unbound 21 of 1.2 s, dnsdist 30 lost"),
    ("SERVFAIL", "dns servfail", "unbound, named 0; dnsdist 22, dnsmasq all 600"),
    ("slow 2 s", "dns slow 2000", "dnsmasq --all-servers 0; unbound 21 of 1.2 s, dnsdist 28"),
]
QUICK_FAULTS = ("killed", "blackhole")


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench forward", description="Lookups while the first region's resolver fails.")
    add = parser.add_argument
    lab.add_common(add)
    add("--before", type=float, default=3, help="seconds before the fault (default 3)")
    add("--after", type=float, default=10, help="seconds after it (default 10)")
    add("--client", choices=["getaddrinfo", "udp", "all"], default="all")
    add("--inside", action="store_true", help=argparse.SUPPRESS)
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 also when a lookup took more than {LIMIT_MS} ms, not only when one failed")
    options = lab.parse(parser)
    if options.quick:
        options.before, options.after = 1, 2
    if options.before < 1 or options.after < 1:
        parser.error("--before and --after must be at least 1")
    return options


# ---- a network and an /etc/resolv.conf of its own


def unshare_command():
    """What runs a program in namespaces of its own, or None where that is not permitted."""
    if shutil.which("unshare") is None:
        return None
    for more in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *more, "--mount", "--net", "--"]
        done = subprocess.run([*command, "mount", "--bind", "/etc", "/etc"], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            return command
    return None


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        wish = struct.pack("16sH14x", b"lo", IFF_UP)
        fcntl.ioctl(sock, SIOCSIFFLAGS, wish)


def point_resolver(folder):
    """From here on the C library asks RESOLVER, and nobody but files and it."""
    replace_file(folder, "/etc/resolv.conf", f"nameserver {RESOLVER}\nsearch .\n")
    if os.path.exists("/etc/nsswitch.conf"):
        replace_file(folder, "/etc/nsswitch.conf", "hosts: files dns\n")


def replace_file(folder, path, text):
    """Another file lies over `path`, in this mount namespace only."""
    name = os.path.join(folder, os.path.basename(path))
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    done = subprocess.run(["mount", "--bind", name, os.path.realpath(path)], check=False,
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise lab.Failed(f"{path}: {done.stderr.strip()}")


class ServerOn53(lab.Server):
    """Listens also where the C library asks."""

    def listen_texts(self):
        return [*super().listen_texts(), f"{RESOLVER}:53"]


# ---- one fault


def configuration(regions):
    """No checks: the forwarder has to find out by itself."""
    return {
        "node": {"region": regions[0].name},
        "regions": {region.name: {"minimum_healthy": 0} for region in regions},
        "forward": {".": {"upstreams": [{"region": region.name, "address": region.dns}
                                        for region in regions]}},
    }


def start_client(options, stage, server, kind, seconds):
    if kind == "udp":
        return lab.Client(options, stage.folder, "bench-ask", *server.at, DOMAIN, EVERY_US,
                          seconds, "fresh")
    return lab.Client(options, stage.folder, "bench-lookup", DOMAIN, EVERY_US, seconds)


def upstream_queries(regions):
    return sum(region.stats()["dns_queries"] for region in regions)


def measure(options, kind, command):
    """One fault for one client; everything is started anew, so that nobody remembers the
    last fault."""
    stage = lab.Stage(options)
    client = None
    try:
        regions = [stage.region(name, index, "--delay", f"{delay}ms")
                   for index, (name, delay) in enumerate(
                       zip(("seoul", "tokyo", "singapore"), DELAYS_MS), 1)]
        inside = ServerOn53 if options.inside else lab.Server
        server = stage.start(configuration(regions), inside)
        counts = [upstream_queries(regions)]
        client = start_client(options, stage, server, kind,
                              round(options.before + options.after))
        time.sleep(options.before)
        counts.append(upstream_queries(regions))
        fault = time.monotonic()
        regions[0].do(command)
        answers = client.finish(options.before + options.after + 30)
        counts.append(upstream_queries(regions))
    finally:
        if client is not None:
            client.stop()
        stage.close()
    return summarize(kind, answers, fault, counts)


def summarize(kind, answers, fault, counts):
    before = [answer for answer in answers if answer.sent < fault]
    after = [answer for answer in answers if answer.sent >= fault]
    times = [answer.ms for answer in after if answer.is_good]
    questions = 2 if kind == "getaddrinfo" else 1  # A and AAAA
    late = [answer.sent for answer in after if not answer.is_good or answer.ms > SLOW_MS]
    dead = sum(1 for answer in after if answer.is_good and answer.address.startswith("10.1."))
    return {
        "lookups": len(after), "before": len(before),
        "failed": sum(1 for answer in answers if not answer.is_good),
        "above_100": sum(1 for ms in times if ms > SLOW_MS),
        "above_250": sum(1 for ms in times if ms > LIMIT_MS),
        "p50": lab.percentile(times, 0.5), "p99": lab.percentile(times, 0.99),
        "max": max(times, default=float("nan")),
        "before_p50": lab.percentile([a.ms for a in before if a.is_good], 0.5),
        "before_max": max((a.ms for a in before if a.is_good), default=float("nan")),
        "settled": max(late, default=fault) - fault,
        "from_first": dead,
        "extra_before": share(counts[1] - counts[0], len(before) * questions),
        "extra_after": share(counts[2] - counts[1], len(after) * questions),
    }


def share(asked, wanted):
    return asked / wanted - 1 if wanted else float("nan")


# ---- what is printed


def print_head(options):
    print(f"\nforward: {LOOKUPS_A_SECOND} lookups a second of new names, {options.before:g} s "
          f"before and {options.after:g} s after the fault of the first region's resolver;\n"
          f"the second region is {DELAYS_MS[1]} ms away, the third {DELAYS_MS[2]} ms")
    print(f"{'':11}{'client':12}{'lookups':>8}{'failed':>7}{'>100ms':>7}{'>250ms':>7}"
          f"{'p50':>7}{'p99':>7}{'max ms':>8}{'settled':>9}{'extra queries':>15}", flush=True)


def print_row(name, kind, row):
    print(f"{name:11}{kind:12}{row['lookups']:8}{row['failed']:7}{row['above_100']:7}"
          f"{row['above_250']:7}{row['p50']:7.1f}{row['p99']:7.1f}{row['max']:8.1f}"
          f"{row['settled']:7.2f} s{row['extra_before']:+8.1%}{row['extra_after']:+7.0%}",
          flush=True)


def print_peers():
    print("extra queries: before and after the fault. Peers, failed or above 100 ms of 600:")
    for name, _, peers in FAULTS:
        print(f"  {name:10} {peers}")


def verdict(options, rows):
    """A lookup must not fail on any machine; how slow it may be only a gate says."""
    found = []
    for key, row in rows.items():
        if row["failed"]:
            found.append(f"{key}: {row['failed']} lookups failed")
        if options.is_gate and row["above_250"]:
            found.append(f"{key}: {row['above_250']} lookups took more than {LIMIT_MS} ms, "
                         f"the slowest {row['max']:.0f} ms")
    return found


def kinds_of(options):
    wanted = ["getaddrinfo", "udp"] if options.client == "all" else [options.client]
    if not options.inside and "getaddrinfo" in wanted:
        print("note: getaddrinfo is skipped: no network and mount namespaces are permitted here")
        wanted.remove("getaddrinfo")
    if options.quick and len(wanted) > 1:
        wanted.remove("udp")
    return wanted


def measure_all(options, kinds):
    rows = {}
    for name, fault, _ in FAULTS:
        for kind in kinds:
            if not options.quick or name in QUICK_FAULTS:
                lab.progress(f"{name}: {kind}")
                row = rows[f"{name}, {kind}"] = measure(options, kind, fault)
                lab.progress("")
                print_row(name, kind, row)
    return rows


def main():
    options = parse_arguments()
    command = None if options.inside or options.client == "udp" else unshare_command()
    if command is not None:
        os.execvp(command[0], [*command, sys.executable, *sys.argv, "--inside"])
    lab.print_machine()
    kinds = kinds_of(options)
    print_head(options)
    with tempfile.TemporaryDirectory(prefix="lwb-", dir="/tmp") as folder:
        if options.inside:
            raise_loopback()
            point_resolver(folder)
        rows = measure_all(options, kinds)
    print_peers()
    lab.write_json(options, {"rows": rows})
    return lab.report(verdict(options, rows))


if __name__ == "__main__":
    lab.run(main)
