#!/usr/bin/env python3
"""What a forwarded lookup costs, cached and not, beside other forwarders.

All of them ask the same resolver, which is never the limit (bench-upstream). In
each round every one is asked for the same time, one after the other: names it
knows, then names nobody has asked for before. See bench/README.md.
"""
import argparse
import os
import signal
import statistics
import struct
import sys
import tempfile
import time

import contestants
import cpu
import forwarders
import interleave
import lab

NAMES = 10000
OWN_LIMIT = 1.15  # cached answer beside an answer of our own
PEER_LIMIT = 0.5  # cached answer beside named's and unbound's
MEMORY_LIMIT_MIB = 4
# More queries than this share lost means that the window did not stay full.
LOST_LIMIT = 0.001
# A cache that asks for more than this share of what it is asked does not keep it.
ASKED_LIMIT = 0.001
WARM_TRIES = 5
UNCACHED_TIMEOUT_MS = 1000
# A slow machine gets fewer repetitions, then fewer rounds, not a longer run.
RETRY_UNTIL_S, ROUNDS_UNTIL_S = 150, 240

CACHED, UNCACHED = "cached", "uncached"


class Upstream(contestants.Contestant):
    """The resolver that all of them ask; asked directly, it is a row of its own."""

    name = "resolver"
    ready_name = forwarders.Forwarder.ready_name

    def find(self):
        return lab.program(self.options, "bench-upstream")

    def configure(self, directory, port, workload):
        self.count_path = os.path.join(directory, "count")
        return [self.find(), "--port", str(port), "--count", self.count_path]

    @property
    def queries(self):
        """How many have arrived so far."""
        with open(self.count_path, "rb") as file:
            return struct.unpack("=Q", file.read(8))[0]


class Echo(contestants.Echo):
    ready_name = forwarders.Forwarder.ready_name


class Own(contestants.Leeward):
    """leeward answering the same names from a zone of its own."""

    name = "own"
    ready_name = forwarders.Forwarder.ready_name

    def configure(self, directory, port, workload):
        lines = [f"$ORIGIN {forwarders.DOMAIN}.", "$TTL 86400",
                 "@ SOA ns1 hostmaster 1 7200 900 1209600 300", "@ NS ns1", "ns1 A 127.0.0.1"]
        lines += [f"{name}. A {hashed_address(name)}" for name in [self.ready_name, *names()]]
        contestants.write(f"{directory}/zone", "\n".join(lines) + "\n")
        contestants.write(f"{directory}/leeward.yaml", "\n".join([
            f"node: {{name: bench, threads: 1, state_directory: {directory}/state}}",
            f"listen: [127.0.0.1:{port}]",
            f"api: {{socket: {directory}/api.sock}}",
            f"zones: {{{forwarders.DOMAIN}: {{file: zone}}}}"]) + "\n")
        os.makedirs(f"{directory}/state", exist_ok=True)
        return [self.find(), "run", "-c", f"{directory}/leeward.yaml"]


FORWARDERS = [kind for kind in forwarders.ALL if kind is not forwarders.DnsmasqAll]
KINDS = {CACHED: [Echo, Own, *FORWARDERS], UNCACHED: FORWARDERS}


def names():
    return [f"n{number}.{forwarders.DOMAIN}" for number in range(NAMES)]


def hashed_address(name):
    """hashed.h's."""
    value = 2166136261
    for byte in contestants.name_wire(name):
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    value &= 0x1FFFF
    return f"198.{18 + (value >> 16)}.{value >> 8 & 255}.{value & 255}"


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench forward",
        description="What a forwarded lookup costs, cached and not, beside other forwarders.")
    add = parser.add_argument
    lab.add_common(add)
    interleave.add_options(add, 5, 2.0, 1)
    add("--rate-seconds", type=float, default=1.0,
        help="how long latency is measured, in each round (default 1)")
    add("--cached-rate", type=int, default=10000, help="queries a second then (default 10000)")
    add("--uncached-rate", type=int, default=2000, help="the same for new names (default 2000)")
    add("--only", default="", metavar="A,B", help="only these (echo, own and leeward always run): "
        + ", ".join(kind.name for kind in FORWARDERS))
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 when a cached answer costs more than {OWN_LIMIT} times our own or "
        f"{PEER_LIMIT} times named's or unbound's, when {NAMES} names take {MEMORY_LIMIT_MIB} MiB, "
        "or when an answer was wrong")
    options = lab.parse(parser)
    if options.quick:
        options.rounds, options.seconds, options.retries = 1, 0.7, 0
        options.rate_seconds = 0.5
    interleave.check_options(parser, options)
    known = [kind.name for kind in FORWARDERS]
    options.wanted = [name for name in options.only.split(",") if name] or known
    for name in options.wanted:
        if name not in known:
            parser.error(f"no forwarder {name}: {', '.join(known)}")
    return options


# ---- the stage: one resolver, all contestants


class Stage:
    """Whoever runs, by name, and the files of names they are asked for."""

    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.running = {}
        self.problems = {}
        self.memory = {}  # name: MiB before and after the cache was filled
        self.known_path = os.path.join(directory, "known")
        self.fresh_path = os.path.join(directory, "fresh")
        contestants.write(self.known_path, "".join(f"{name} A\n" for name in names()))
        contestants.write(self.fresh_path, f"00000000.{forwarders.DOMAIN} A\n")
        self.upstream = Upstream(options)

    def start(self):
        options = self.options
        self.upstream.start(os.path.join(self.directory, "upstream"), None, options.load_cpu)
        plan = forwarders.Plan([("127.0.0.1", self.upstream.port)])
        for kind in KINDS[CACHED]:
            if kind in FORWARDERS and kind.name not in {"leeward", *options.wanted}:
                continue
            contestant = kind(options)
            self.running[kind.name] = contestant
            self.attempt(kind.name, lambda one=contestant: self.start_one(one, plan))

    def start_one(self, contestant, plan):
        contestant.start(os.path.join(self.directory, contestant.name), plan,
                         self.options.server_cpu)
        before = anonymous_mib(contestant)
        self.warm(contestant)
        self.memory[contestant.name] = before, anonymous_mib(contestant)

    def attempt(self, name, action):
        """The action's result; a contestant that fails is stopped, and its reason kept."""
        try:
            return action()
        except contestants.NotInstalled as problem:
            self.problems[name] = ("missing", str(problem))
        except contestants.StartError as problem:
            self.problems[name] = ("failed", str(problem))
        self.running.pop(name).stop()
        return None

    def warm(self, contestant):
        """Ask for every known name until nobody has to be asked for one of them."""
        for seed in range(WARM_TRIES):
            before = self.upstream.queries
            interleave.ask(self.options, contestant, self.known_path, 20, seed + 1,
                           ["--rd", "--hashed", "--count", str(NAMES), "--timeout",
                            str(UNCACHED_TIMEOUT_MS)])
            if self.upstream.queries - before <= NAMES * ASKED_LIMIT:
                break

    def order(self, workload, number):
        """The upstream's own row comes with the uncached ones."""
        wanted = {kind.name for kind in KINDS[workload]}
        those = [one for name, one in self.running.items() if name in wanted]
        if workload == UNCACHED:
            those.append(self.upstream)
        return interleave.order_of(those, number)

    def stop(self):
        for one in [*self.running.values(), self.upstream]:
            one.stop()


def anonymous_mib(contestant):
    """What all processes of a contestant have written into memory of their own."""
    total = 0
    for pid in cpu.members(contestant.process.pid):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))
        except OSError:
            continue  # it ended meanwhile
    return total / 1024


# ---- measuring


def measure(stage, contestant, workload, number):
    """Saturated, then the latency at a rate; what the resolver was asked meanwhile."""
    options = stage.options
    more = ["--rd", "--hashed"]
    path, rate = stage.known_path, options.cached_rate
    if workload == UNCACHED:
        more += ["--fresh", "--timeout", str(UNCACHED_TIMEOUT_MS)]
        path, rate = stage.fresh_path, options.uncached_rate
    elif not contestant.canned:
        stage.warm(contestant)
    before = stage.upstream.queries
    result = interleave.measure(options, contestant, path, 2 * number, more)
    slow = interleave.ask(options, contestant, path, options.rate_seconds,
                          (2 * number + 1) * interleave.SEEDS,
                          [*more, "--rate", str(rate)])
    result["asked"] = (stage.upstream.queries - before) / max(
        1, result["sent_in_all"] + slow["sent"])
    result.update(p50_us=slow["p50_us"], p99_us=slow["p99_us"], rate_lost=slow["lost"])
    for count in interleave.COUNTS:
        result[count] += slow[count]
    result["sent"] += slow["sent"]
    return result


def run_rounds(stage):
    """For each workload its rounds, each a dictionary of results by name."""
    options = stage.options
    rounds = {CACHED: [], UNCACHED: []}
    retries, begin = options.retries, time.monotonic()
    for number in range(options.rounds):
        if time.monotonic() - begin > ROUNDS_UNTIL_S:
            break
        for workload, done in rounds.items():
            taken = {}
            for contestant in stage.order(workload, number):
                if time.monotonic() - begin > RETRY_UNTIL_S:
                    options.retries = 0
                lab.progress(f"{workload}: round {number + 1}/{options.rounds}, {contestant.name}")
                result = stage.attempt(contestant.name, lambda one=contestant, work=workload:
                                       measure(stage, one, work, number + 1))
                if result is not None:
                    taken[contestant.name] = result
            done.append(taken)
    lab.progress("")
    options.retries = retries
    return rounds


def summarize(rounds):
    summary = {}
    for name in rounds[0] if rounds else []:
        row = interleave.medians(rounds, name)
        if row is not None:
            own = [taken[name] for taken in rounds]
            for key in ("p50_us", "p99_us", "asked"):
                row[key] = statistics.median(part[key] for part in own)
            for base in ("echo", "own"):
                ratios = interleave.ratios(rounds, name, base)
                row[f"x_{base}"] = statistics.median(ratios) if ratios else None
            summary[name] = row
    return summary


# ---- what is printed


def print_table(options, workload, count, summary, problems):
    rate = options.cached_rate if workload == CACHED else options.uncached_rate
    title = (f"{NAMES} names, asked for before" if workload == CACHED else
             "names that nobody has asked for before")
    print(f"\nforward, {workload}: {title}; {count} rounds of {options.seconds:g} s, "
          f"{options.window} in flight; latency at {rate} a second")
    print(f"{'':9}{'us/answer':>10}{'user':>7}{'system':>8}{'k/s':>7}{'busy':>6}"
          f"{'x echo':>8}{'x own':>7}{'p50 us':>8}{'p99 us':>8}{'asked':>8}"
          f"{'lost':>6}{'wrong':>6}{'empty':>6}{'rcode':>6}")
    for kind in [*KINDS[workload], *([Upstream] if workload == UNCACHED else [])]:
        row = summary.get(kind.name)
        if row is not None:
            echo, own = [f"{row[key]:.2f}" if row[key] else "-" for key in ("x_echo", "x_own")]
            asked = f"{row['asked']:.1%}" if kind in FORWARDERS else "-"
            print(f"{kind.name:9}{row['us']:10.2f}{row['user_us']:7.2f}{row['system_us']:8.2f}"
                  f"{row['qps'] / 1000:7.1f}{row['busy']:6.2f}{echo:>8}{own:>7}"
                  f"{row['p50_us']:8.0f}{row['p99_us']:8.0f}{asked:>8}{row['lost']:6}"
                  f"{row['wrong'] + row['stray']:6}{row['empty']:6}{row['badrcode']:6}")
        elif kind.name in problems:
            print(f"{kind.name:9} {problems[kind.name][1]}")


def print_memory(memory):
    print(f"\nmemory: anonymous, MiB, of all processes; with {NAMES} names in the cache")
    print(f"{'':9}{'empty':>8}{'filled':>8}{'grown':>8}")
    for kind in FORWARDERS:
        if kind.name in memory:
            before, after = memory[kind.name]
            print(f"{kind.name:9}{before:8.2f}{after:8.2f}{after - before:8.2f}")


def print_notes(rounds, distance):
    if distance is not None:
        print(f"a cache line goes from core to core and back in {distance} ns")
    parts = [part for taken in rounds[CACHED] + rounds[UNCACHED] for part in taken.values()]
    disturbed = sum(part["disturbed"] for part in parts)
    if disturbed:
        print(f"note: {disturbed} of {len(parts)} measurements were disturbed: something else "
              "used the cores; these are not the figures of an idle machine")


def limits(rounds, memory):
    """(what, measured, limit) of everything that has one; measured is None when missing."""
    def ratio(base):
        found = interleave.ratios(rounds[CACHED], "leeward", base) if rounds[CACHED] else []
        return statistics.median(found) if found else None

    before, after = memory.get("leeward", (None, None))
    return [
        ("a cached answer, times our own", ratio("own"), OWN_LIMIT),
        ("a cached answer, times named's", ratio("named"), PEER_LIMIT),
        ("a cached answer, times unbound's", ratio("unbound"), PEER_LIMIT),
        (f"MiB for {NAMES} names", None if after is None else after - before, MEMORY_LIMIT_MIB),
    ]


def print_limits(found):
    print("\nleeward                                measured   limit")
    for what, measured, limit in found:
        value = "not measured" if measured is None else f"{measured:.3f}"
        print(f"{what:35}{value:>12}{limit:8}")


def verdict(options, summaries, found):
    """A wrong answer fails on any machine; what answers cost only a gate judges."""
    failures = []
    for workload, summary in summaries.items():
        row = summary.get("leeward")
        if row is None:
            failures.append(f"{workload}: leeward was not measured")
            continue
        bad = [f"{row[count]} {count}" for count in interleave.COUNTS
               if count != "lost" and row[count] > 0]
        if bad:
            failures.append(f"{workload}: leeward gave bad answers: {', '.join(bad)}")
        if options.is_gate and row["lost"] > row["sent"] * LOST_LIMIT:
            failures.append(f"{workload}: leeward lost {row['lost']} of {row['sent']} queries")
        if options.is_gate and workload == CACHED and row["asked"] > ASKED_LIMIT:
            failures.append(f"the cache asked for {row['asked']:.1%} of what it had been asked")
    if options.is_gate:
        failures += [f"{what}: {'not measured' if measured is None else f'{measured:.3f}'}, "
                     f"limit {limit}" for what, measured, limit in found
                     if measured is None or measured > limit]
    return failures


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    contestants.adopt_orphans()
    lab.print_machine()
    lab.program(options, "bench-load")
    with tempfile.TemporaryDirectory(prefix="lwb-", dir="/tmp") as directory:
        stage = Stage(options, directory)
        try:
            stage.start()
            distance = interleave.core_distance(options)
            rounds = run_rounds(stage)
        finally:
            stage.stop()
    summaries = {workload: summarize(done) for workload, done in rounds.items()}
    for workload, summary in summaries.items():
        print_table(options, workload, len(rounds[workload]), summary, stage.problems)
    print_memory(stage.memory)
    print_notes(rounds, distance)
    found = limits(rounds, stage.memory)
    print_limits(found)
    lab.write_json(options, {
        "rounds": rounds, "summary": summaries, "memory": stage.memory,
        "problems": stage.problems, "limits": found, "core_round_trip_ns": distance,
        "versions": {kind.name: kind(options).version() for kind in FORWARDERS}})
    failures = [f"{name}: {text}" for name, (kind, text) in stage.problems.items()
                if kind == "failed"]
    return lab.report(failures + verdict(options, summaries, found))


if __name__ == "__main__":
    lab.run(main)
