#!/usr/bin/env python3
"""What one answer costs: CPU time per answered query, against a bare echo.

Every server runs on one core, the load generator on another. In each round
every contestant is asked for the same time, one after the other, and its cost
is divided by the echo's cost in the same round: the machine's own drift falls
out of the ratio. See bench/README.md.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile

import contestants
import interleave
import lab

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAMES = 1000
LIMIT = 1.08
# More queries than this share lost means that the window did not stay full.
LOST_LIMIT = 0.001


class Workload:
    """The questions of one table."""

    def __init__(self, name, title, negative_share):
        self.name = name
        self.title = title
        self.names = NAMES
        self.negative = negative_share > 0
        self.negative_share = negative_share

    def lines(self):
        services = [f"{contestants.service_name(n)} A NOERROR" for n in range(self.names)]
        if not self.negative:
            return services
        # Each service many times, so that every missing name is another one.
        repeat = 19
        missing = round(repeat * self.names * self.negative_share / (1 - self.negative_share))
        return services * repeat + [
            f"none{n}.{contestants.DOMAIN} A NXDOMAIN" for n in range(missing)]


WORKLOADS = [
    Workload("services", "1,000 services, A", 0),
    Workload("nxdomain", "1,000 services, A, and 5% names that do not exist", 0.05),
]


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench answer", description="CPU time per answered query, against a bare echo.")
    add = parser.add_argument
    add("--quick", action="store_true", help="a smoke run: 1 round of 0.5 s")
    interleave.add_options(add, 7, 3.0, 2)
    add("--workload", choices=[w.name for w in WORKLOADS] + ["all"], default="all")
    add("--contestants", default="", metavar="A,B", help="only these (echo always runs): "
        + ", ".join(kind.name for kind in contestants.ALL))
    add("--build", default=os.path.join(ROOT, "build"), help="where bench/bench-load is built")
    add("--leeward", default="", help="the program (default BUILD/leeward)")
    add("--json", metavar="FILE", help="write every round's figures")
    add("--assert", dest="limit", type=float, nargs="?", const=LIMIT, metavar="RATIO",
        help=f"exit 1 when leeward's median paired ratio is above RATIO (default {LIMIT}), "
        "or when it answered wrongly")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.retries = 1, 0.5, 0
    interleave.check_options(parser, options)
    options.leeward = options.leeward or os.path.join(options.build, "leeward")
    known = [kind.name for kind in contestants.ALL]
    options.wanted = [name for name in options.contestants.split(",") if name] or known
    for name in options.wanted:
        if name not in known:
            parser.error(f"no contestant {name}: {', '.join(known)}")
    return options


def start_all(options, workload, directory, names_path, problems):
    """Start and warm up whoever can be; `problems` gets the reasons of the others."""
    running = []
    try:
        for kind in contestants.ALL:
            if kind.name not in options.wanted and kind is not contestants.Echo:
                continue
            contestant = kind(options)
            try:
                contestant.start(os.path.join(directory, kind.name), workload, options.server_cpu)
                running.append(contestant)
                interleave.ask(options, contestant, names_path, min(options.seconds, 1.0), 1)
            except contestants.NotInstalled as problem:
                problems[kind.name] = ("missing", str(problem))
            except contestants.StartError as problem:
                problems[kind.name] = ("failed", str(problem))
                contestant.stop()
                running = [other for other in running if other is not contestant]
    except BaseException:
        stop_all(running)
        raise
    return running


def stop_all(running):
    for contestant in running:
        contestant.stop()


def run_workload(options, workload, directory, problems):
    names_path = os.path.join(directory, "names")
    contestants.write(names_path, "\n".join(workload.lines()) + "\n")
    running = start_all(options, workload, directory, names_path, problems)
    rounds, distances = [], []
    try:
        for number in range(options.rounds if running else 0):
            taken = {}
            distances.append(interleave.core_distance(options))
            for contestant in interleave.order_of(running, number):
                lab.progress(f"{workload.name}: round {number + 1}/{options.rounds}, "
                             f"{contestant.name}")
                try:
                    taken[contestant.name] = interleave.measure(options, contestant, names_path,
                                                                number + 1)
                except contestants.StartError as problem:
                    problems[contestant.name] = ("failed", str(problem))
                    contestant.stop()
                    running.remove(contestant)
            rounds.append(taken)
    finally:
        lab.progress("")
        stop_all(running)
    return rounds, distances


def summarize(rounds):
    """Medians for those who took part in every round, by name."""
    summary = {}
    for name in rounds[0] if rounds else []:
        row = interleave.medians(rounds, name)
        if row is None:
            continue
        ratios = interleave.ratios(rounds, name, "echo")
        if ratios:
            over = [taken[name]["us"] - taken["echo"]["us"] for taken in rounds]
            row.update(over_us=statistics.median(over), ratio=statistics.median(ratios),
                       ratio_min=min(ratios), ratio_max=max(ratios))
        summary[name] = row
    return summary


def print_table(options, workload, summary, problems):
    print(f"\nanswer: {workload.title}; {options.rounds} rounds of {options.seconds:g} s, "
          f"{options.window} in flight")
    print(f"{'':9}{'us/answer':>10}{'user':>7}{'system':>8}{'k/s':>7}{'busy':>6}"
          f"{'+ echo':>8}{'x echo':>8}"
          f"  {'(min-max)':12}{'lost':>6}{'wrong':>6}{'empty':>6}{'rcode':>6}")
    for kind in contestants.ALL:
        row = summary.get(kind.name)
        if row is not None:
            spread = f"({row['ratio_min']:.2f}-{row['ratio_max']:.2f})" if "ratio" in row else ""
            ratio = f"{row['ratio']:.3f}" if "ratio" in row else "-"
            over = f"{row['over_us']:+.2f}" if "ratio" in row else "-"
            print(f"{kind.name:9}{row['us']:10.2f}{row['user_us']:7.2f}{row['system_us']:8.2f}"
                  f"{row['qps'] / 1000:7.0f}{row['busy']:6.2f}{over:>8}{ratio:>8}  {spread:12}"
                  f"{row['lost']:6}{row['wrong'] + row['stray']:6}{row['empty']:6}"
                  f"{row['badrcode']:6}")
        elif kind.name in problems:
            print(f"{kind.name:9} {problems[kind.name][1]}")


def print_notes(summary, distances):
    known = [distance for distance in distances if distance is not None]
    if known:
        print(f"a cache line went from core to core and back in {min(known)}-{max(known)} ns")
        if max(known) > 2 * min(known):
            print("note: the host moved the cores during the run: compare rounds of one distance")
    disturbed = sum(row["disturbed"] for row in summary.values())
    taken = sum(row["rounds"] for row in summary.values())
    if disturbed:
        print(f"note: {disturbed} of {taken} measurements were disturbed: something else used "
              "the cores; these are not the figures of an idle machine")


def verdict(options, workload, summary):
    """What is wrong with leeward's row, as a list of sentences."""
    row = summary.get("leeward")
    if row is None:
        return [f"{workload.name}: leeward was not measured"]
    found = []
    if not row.get("ratio", float("inf")) <= options.limit:
        found.append(f"{workload.name}: leeward costs {row.get('ratio', float('nan')):.3f} "
                     f"times the echo, more than {options.limit}")
    if row["lost"] > row["sent"] * LOST_LIMIT:
        found.append(f"{workload.name}: leeward lost {row['lost']} of {row['sent']} queries")
    bad = [f"{row[count]} {count}" for count in interleave.COUNTS
           if count != "lost" and row[count] > 0]
    if bad:
        found.append(f"{workload.name}: leeward gave bad answers: {', '.join(bad)}")
    return found


def print_head(options, about):
    print(f"machine: {about['cores']} x {about['cpu']}, Linux {about['kernel']}, "
          f"load {about['load']:.2f} at the start; servers on core {options.server_cpu}, "
          f"generator on core {options.load_cpu}")
    if options.server_cpu == options.load_cpu:
        print("note: one core only, server and generator share it: compare nothing but ratios")
    if about["load"] > 0.5:
        print("note: the machine was not idle: expect a wide spread")


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    contestants.adopt_orphans()
    if not os.path.exists(options.load):
        print(f"bench: {options.load} is not built: ./dev build", file=sys.stderr)
        return 1
    about = lab.machine()
    print_head(options, about)
    record = {"machine": about, "options": vars(options), "workloads": {}, "versions": {
        kind.name: kind(options).version() for kind in contestants.ALL}}
    failures = []
    directory = tempfile.mkdtemp(prefix="leeward-bench-")
    try:
        for workload in WORKLOADS:
            if options.workload not in (workload.name, "all"):
                continue
            problems = {}
            rounds, distances = run_workload(
                options, workload, os.path.join(directory, workload.name), problems)
            summary = summarize(rounds)
            print_table(options, workload, summary, problems)
            print_notes(summary, distances)
            record["workloads"][workload.name] = {
                "summary": summary, "rounds": rounds, "core_round_trip_ns": distances,
                "problems": problems}
            failures += [f"{workload.name}: {name}: {text}"
                         for name, (kind, text) in problems.items() if kind == "failed"]
            if options.limit is not None:
                failures += verdict(options, workload, summary)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        contestants.write(os.path.abspath(options.json), json.dumps(record, indent=1) + "\n")
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except contestants.StartError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
