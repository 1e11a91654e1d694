#!/usr/bin/env python3
"""What ten thousand checks a second cost: CPU, lateness, memory.

The real server and one process that is all the targets. See bench/README.md.
"""
import argparse
import re
import subprocess
import time

import lab

PER_SERVICE = 50
START_LIMIT_S = 60
KINDS = {
    "tcp": {"tcp": {}},
    "http": {"http": {"path": "/healthz"}},
}
CPU_LIMITS = {"tcp": 0.50, "http": 0.60}
LATE_LIMIT_MS = 50
MEMORY_LIMIT = 1024


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench checks", description="What ten thousand checks a second cost.")
    add = parser.add_argument
    lab.add_common(add)
    add("--targets", type=int, default=10000, help="each checked every second (default 10000)")
    add("--seconds", type=float, default=20, help="how long CPU is measured (default 20)")
    add("--settle", type=float, default=20,
        help="seconds from ready to the measurement: the start is forgotten (default 20)")
    add("--kinds", default="tcp,http", help="of tcp, http (default both)")
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 above {CPU_LIMITS['tcp']:.0%}% of a core for tcp, {CPU_LIMITS['http']:.0%}% "
        f"for http, {LATE_LIMIT_MS} ms late (p99) or {MEMORY_LIMIT} bytes for a check")
    options = lab.parse(parser)
    options.kinds = options.kinds.split(",")
    if options.quick:
        options.targets, options.seconds, options.settle = 1000, 3, 2
    if not 1 <= options.targets <= 60000 or not set(options.kinds) <= set(KINDS):
        parser.error("--targets 1 to 60000, --kinds of tcp and http")
    return options


class Targets:
    """bench-targets, running."""

    def __init__(self, options):
        self.process = subprocess.Popen([lab.program(options, "bench-targets")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            raise lab.Failed("bench-targets does not start")
        self.port = int(line)

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


def address(number):
    return f"127.{16 + number // 62500}.{number // 250 % 250 + 1}.{number % 250 + 1}"


def configuration(count, port, kind):
    """`kind` None: the same services without a check."""
    services = {}
    for first in range(0, count, PER_SERVICE):
        name = f"s{first // PER_SERVICE}.svc.example.com"
        services[name] = {
            "order": ["seoul"], "minimum_healthy": 1,
            "endpoints": {"seoul": [address(number) for number
                                    in range(first, min(first + PER_SERVICE, count))]}}
        if kind is not None:
            test = {key: {**value, "port": port} for key, value in KINDS[kind].items()}
            services[name]["check"] = {**test, "interval": "1s"}
    return {"node": {"region": "seoul"}, "regions": {"seoul": {"minimum_healthy": 0}},
            "services": services}


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024


def measure(options, targets, kind):
    stage = lab.Stage(options)
    try:
        server = stage.start(configuration(options.targets, targets.port, kind))
        pid = server.process.pid
        lab.progress(f"{kind or 'no check'}: settling")
        time.sleep(options.settle if kind is not None else min(options.settle, 2))
        before = started(server, kind)
        ran, waited = lab.times_ms(pid)
        begin = time.monotonic()
        lab.progress(f"{kind or 'no check'}: measuring")
        time.sleep(options.seconds if kind is not None else 0.1)
        took = time.monotonic() - begin
        ran, waited = [after - before for after, before
                       in zip(lab.times_ms(pid), (ran, waited))]
        anonymous = anonymous_bytes(pid)
        status = server.status() if kind is not None else {}
        sent = started(server, kind) - before
        down = sum(endpoint["state"] != "up" for service in status.get("services", [])
                   for pool in service["pools"] for endpoint in pool["endpoints"])
        return {"kind": kind, "cpu": ran / 1000 / took, "waited": waited / 1000 / took,
                "per_s": sent / took, "us": ran * 1000 / sent if sent else float("nan"),
                "anonymous": anonymous, "checks": status.get("probing"), "not_up": down}
    finally:
        lab.progress("")
        stage.close()


def started(server, kind):
    """How many checks it has sent so far."""
    return server.status().get("probing", {}).get("started", 0) if kind is not None else 0


def print_row(row):
    checks = row["checks"] or {}
    late = [checks.get(key, "-") for key in ("late_p50_ms", "late_p99_ms", "late_most_ms")]
    print(f"{row['kind']:6}{row['cpu']:9.1%}{row['us']:10.1f}{row['per_s']:9.0f}"
          f"{late[0]:>9}{late[1]:>6}{late[2]:>6}{row['per_check']:10.0f}{row['not_up']:8}"
          + (f"  in line for a core {row['waited']:.0%} of the time"
             if row["waited"] > 0.05 else ""), flush=True)


def too_much(rows):
    found = []
    for row in rows:
        late = (row["checks"] or {}).get("late_p99_ms")
        if row["cpu"] > CPU_LIMITS[row["kind"]]:
            found.append(f"{row['kind']}: {row['cpu']:.1%} of a core")
        if late is None or late > LATE_LIMIT_MS:
            found.append(f"{row['kind']}: p99 of lateness {late} ms")
        if row["per_check"] > MEMORY_LIMIT:
            found.append(f"{row['kind']}: {row['per_check']:.0f} bytes a check")
    return found


def main():
    options = parse_arguments()
    lab.print_machine()
    print(f"\n{options.targets} targets, each checked once a second")
    print(f"{'':6}{'core':>9}{'us/check':>10}{'a second':>9}{'late p50':>9}{'p99':>6}{'max':>6}"
          f"{'B/check':>10}{'not up':>8}")
    targets = Targets(options)
    rows = []
    try:
        bare = measure(options, targets, None)
        for kind in options.kinds:
            row = measure(options, targets, kind)
            row["per_check"] = (row["anonymous"] - bare["anonymous"]) / options.targets
            rows.append(row)
            print_row(row)
    finally:
        targets.stop()
    wrong = [f"{row['kind']}: {row['not_up']} targets are not up"
             for row in rows if row["not_up"] > 0]
    lab.write_json(options, {"bare": bare, "rows": rows})
    return lab.report(wrong + (too_much(rows) if options.is_gate else []))


if __name__ == "__main__":
    lab.run(main)
