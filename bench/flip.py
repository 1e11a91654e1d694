#!/usr/bin/env python3
"""From the verdict on a region to answers that know it, with a million services.

First inside one process (bench-flip), then the real server, asked for many of
its services at once (bench-flip-ask) while its first region fails. See
bench/README.md.
"""
import argparse
import re
import socket
import subprocess
import threading
import time

import contestants
import lab

LIMIT_US = 1000
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
SHARED = 900  # services whose endpoints others share: YAML anchors are limited
START_LIMIT_S = 300
BEAT_MS = 10  # the interval of the check that shows whether the loop is busy


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench flip",
        description="From the verdict on a region to changed answers, with a million services.")
    add = parser.add_argument
    lab.add_common(add)
    add("--services", type=int, default=1_000_000, help="how many (default 1,000,000)")
    add("--own", type=int, default=3000, help="of them with pools of their own (default 3000)")
    add("--rounds", type=int, default=20, help="flips inside, each down and up (default 20)")
    add("--flips", type=int, default=3, help="flips of the real server (default 3)")
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 when an old answer is given later than {LIMIT_US} us after the verdict")
    options = lab.parse(parser)
    if options.quick:
        options.services, options.own, options.rounds, options.flips = 20_000, 500, 3, 1
    if not SHARED + options.own <= options.services <= 36 ** 4 or options.own > 10_000:
        parser.error("--services up to 1,679,616, --own up to 10,000 and all that fits in them")
    return options


# ---- what is asked


class NameServer(threading.Thread):
    """The name server of one region, at an address of its own: it answers or refuses, and
    notes when it was asked."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.refuses = False
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                query, client = self.socket.recvfrom(512)
            except OSError:
                return
            self.asked.append(time.monotonic())
            end = 12 + query[12:].index(b"\0") + 5
            rcode, count = (5, 0) if self.refuses else (0, 1)
            answer = (query[:2] + bytes([0x84, rcode, 0, 1, 0, count, 0, 0, 0, 0])
                      + query[12:end])
            if count:
                answer += b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\1"
            try:
                self.socket.sendto(answer, client)
            except OSError:
                return

    def largest_gap_ms(self, since, until):
        times = [at for at in list(self.asked) if since <= at <= until]
        return max((b - a for a, b in zip(times, times[1:])), default=float("nan")) * 1000

    def stop(self):
        self.socket.close()


def service_name(number):
    return "".join(DIGITS[number // 36 ** place % 36] for place in (3, 2, 1, 0)) + ".s"


def pools(number, row):
    return "{" + ", ".join(
        f"r{region}: [127.{16 + region}.{row + number // 250}.{number % 250 + 1}"
        + (f", 127.{16 + region}.{row + 10 + number // 250}.{number % 250 + 1}]"
           if row == 0 else "]") for region in range(3)) + "}"


def service_line(options, number):
    """The first ones are written out, with names for the others to share."""
    name = service_name(number)
    words = "check: *c, minimum_healthy: 1, endpoints: "
    anchor = DIGITS[number % SHARED // 36] + DIGITS[number % SHARED % 36]
    if number < SHARED:
        return f"  {name}: &{anchor} {{{words}{pools(number, 0)}}}\n"
    if number < SHARED + options.own:
        return f"  {name}: {{{words}{pools(number - SHARED, 100)}}}\n"
    return f"  {name}: *{anchor}\n"


def configuration(options, near, beat, targets_port):
    def gate(server, interval):
        return (f"{{minimum_healthy: 1, checks: [{{dns: {{server: \"{server.address}:"
                f"{server.port}\", name: ready.example.com}}, interval: {interval}, fall: 3, "
                "rise: 1, confirm_interval: 50ms, hold_down: 100ms, hold_down_max: 100ms}]}")
    lines = "".join(service_line(options, number) for number in range(options.services))
    return (f"node: {{name: bench, region: r0, threads: 2, state_directory: \"@STATE@\"}}\n"
            "listen: [\"@LISTEN@\"]\napi: {socket: \"@SOCKET@\"}\n"
            f"checks:\n  c: &c {{tcp: {{port: {targets_port}}}, interval: 5s}}\n"
            "regions:\n"
            f"  r0: {gate(near, '200ms')}\n"
            "  r1: {minimum_healthy: 0}\n"
            f"  r2: {gate(beat, f'{BEAT_MS}ms') if beat else '{minimum_healthy: 0}'}\n"
            f"services:\n{lines}")


# ---- inside


def words_of(line):
    words = line.split()
    return {key: float(value) for key, value in zip(words[::2], words[1::2])}


def measure_inside(options, stage, near, port):
    path = stage.folder_for("inside") + "/leeward.yaml"
    text = configuration(options, near, None, port)
    for word in ("STATE", "SOCKET"):
        text = text.replace(f"@{word}@", stage.folder + "/none")
    with open(path, "w", encoding="ascii") as file:
        file.write(text.replace("@LISTEN@", "127.0.0.1:5300"))
    lab.progress("inside")
    done = subprocess.run([lab.program(options, "bench-flip"), path, str(options.rounds)],
                          stdout=subprocess.PIPE, check=False, timeout=600)
    if done.returncode != 0:
        raise lab.Failed(f"bench-flip ended with {done.returncode}")
    world, down, up = done.stdout.decode().splitlines()
    return {"world": words_of(world), "down": words_of(down.partition(" ")[2]),
            "up": words_of(up.partition(" ")[2])}


def print_inside(inside):
    world = inside["world"]
    print(f"\ninside: {world['services']:.0f} services, {world['probes']:.0f} probes; file read in "
          f"{world['load_ms']:.0f} ms, bound in {world['bind_ms']:.0f}, compiled in "
          f"{world['build_ms']:.0f}; {world['resident_kib'] / 1024:.0f} MiB resident")
    print(f"{'':24}{'flips':>6}{'watched':>9}{'the call, us':>14}{'last old answer, us':>21}"
          f"{'left old':>10}")
    for name in ("down", "up"):
        row = inside[name]
        print(f"region {name:17}{row['flips']:6.0f}{row['watched']:9.0f}{row['call_us']:14.1f}"
              f"{row['last_old_us']:21.1f}{row['left']:10.0f}", flush=True)


# ---- the real server


class Asker:
    """bench-flip-ask, running."""

    def __init__(self, options, port, old):
        self.process = subprocess.Popen(
            [lab.program(options, "bench-flip-ask"), str(port), str(options.services), str(old)],
            stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise lab.Failed("bench-flip-ask does not start")

    def finish(self):
        lines = self.process.stdout.read().decode().splitlines()
        if self.process.wait(120) != 0 or len(lines) != 2:
            raise lab.Failed(f"bench-flip-ask ended with {self.process.returncode}")
        return words_of(lines[0]), words_of(lines[1])

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def wait_for(server, pattern, limit_s):
    end = time.monotonic() + limit_s
    while time.monotonic() < end and not server.has_ended():
        if re.search(pattern, server.log_text()):
            return
        time.sleep(0.05)
    raise lab.Failed(f"'{pattern}' is not in the log:\n" + server.log_tail())


def start(options, stage, near, beat, port):
    """The server and the seconds until it was ready; a status page of a million services is
    not asked for."""
    text = configuration(options, near, beat, port)
    server = lab.Server(options.leeward, stage.folder_for("server"), text)
    stage.started.append(server)
    server.port = contestants.free_port()
    server.write_config(text)
    before = time.monotonic()
    server.spawn()
    wait_for(server, " ready services=", START_LIMIT_S)
    return server, time.monotonic() - before


def flip(options, server, near, beat, old):
    """One flip of the region; `old` is the second byte of the addresses before it."""
    quiet = time.monotonic()
    time.sleep(2)
    calm = beat.largest_gap_ms(quiet, time.monotonic())
    asker = Asker(options, server.port, old)
    try:
        time.sleep(1)
        ordered = time.monotonic()
        near.refuses = not near.refuses
        change, everything = asker.finish()
    finally:
        asker.stop()
    if change["first_new_ns"] == 0:
        raise lab.Failed("no answer has changed:\n" + server.log_tail())
    first = change["first_new_ns"] / 1e9
    return {**change, "old": everything["old"], "asked": everything["answered"],
            "all_wrong": everything["wrong"], "all_lost": everything["lost"],
            "after_ms": (first - ordered) * 1000, "calm_gap_ms": calm,
            "gap_ms": beat.largest_gap_ms(first - 0.05, first + 1.9)}


def print_flip(number, row, down):
    print(f"{'down' if down else 'up':>4} {number:<3}{row['answered']:10.0f}"
          f"{row['dense']:10.0f}{row['last_old_us']:10.1f}{row['late']:8.0f}"
          f"{row['late_us']:10.1f}{row['old']:10.0f}{row['calm_gap_ms']:11.0f}"
          f"{row['gap_ms']:8.0f}", flush=True)


def measure_outside(options, stage, near, beat, port):
    lab.progress("the server starts")
    server, took = start(options, stage, near, beat, port)
    lab.progress("")
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
        resident = int(re.search(r"^VmRSS:\s+(\d+) kB", file.read(), re.M).group(1)) // 1024
    print(f"\nthe server: ready after {took:.1f} s, {resident} MiB resident; two answerers")
    print(f"{'':8}{'answers':>10}{'in 1 ms':>10}{'last old':>10}{'late':>8}{'last, us':>10}"
          f"{'left old':>10}{'gap before':>11}{'after':>8}")
    rows = []
    time.sleep(5)
    for number in range(options.flips):
        for down in (True, False):
            rows.append(flip(options, server, near, beat, 16 if down else 17))
            print_flip(number + 1, rows[-1], down)
    return {"ready_s": took, "resident_mib": resident, "flips": rows}


def too_slow(inside, outside):
    found = []
    for name in ("down", "up"):
        row = inside[name]
        if max(row["call_us"], row["last_old_us"]) > LIMIT_US:
            found.append(f"inside, {name}: {row['last_old_us']:.0f} us to the last old answer, "
                         f"{row['call_us']:.0f} us in the call")
    late = max(row["late_us"] for row in outside["flips"])
    if late > LIMIT_US:
        found.append(f"an old answer to a question asked {late:.0f} us after the first new one")
    return found


def main():
    options = parse_arguments()
    lab.print_machine()
    stage = lab.Stage(options)
    near, beat = NameServer("127.0.30.1"), NameServer("127.0.32.1")
    targets = subprocess.Popen([lab.program(options, "bench-targets")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    try:
        port = int(targets.stdout.readline())
        inside = measure_inside(options, stage, near, port)
        lab.progress("")
        print_inside(inside)
        outside = measure_outside(options, stage, near, beat, port)
    finally:
        stage.close()
        near.stop()
        beat.stop()
        targets.stdin.close()
        targets.stdout.close()
        targets.wait(10)
    left = sum(inside[name]["left"] for name in ("down", "up"))
    left += sum(row["old"] + row["wrong"] + row["all_wrong"] for row in outside["flips"])
    wrong = [f"{left:.0f} answers were old or wrong when all should have changed"] if left else []
    lab.write_json(options, {"inside": inside, "outside": outside})
    return lab.report(wrong + (too_slow(inside, outside) if options.is_gate else []))


if __name__ == "__main__":
    lab.run(main)
