#!/usr/bin/env python3
"""What choosing costs: instructions and time of an answer, for each policy.

Services of 5 regions with 4 endpoints each are asked through the query path
without sockets (bench-replay), once for the time and twice under callgrind for
the instructions, with all regions up and with the second one down; what a policy
adds is the difference to the first region in order with the same number of
addresses in the answer. See bench/README.md.
"""
import argparse
import shutil
import statistics
import sys
import tempfile

import contestants
import lab
import replay

ADDED = 300  # instructions that a policy may add
SERVICES = 200
REGIONS, ENDPOINTS = 5, 4
LOAD = "{" + ", ".join(f"r{r}: {90 + 10 * r}" for r in range(REGIONS)) + "}"
DOWN = "r1"  # not the first in order: what that costs is the order's, not the policy's
# the filters, and how many addresses an answer holds
POLICIES = {
    "order": ("[region_order]", 4),
    "order, limit 1": ("[region_order, {limit: 1}]", 1),
    "all": ("[all]", 8),
    "nearest": ("[nearest]", 4),
    "latency": ("[latency]", 4),
    "weight": ("[region_order, weight]", 4),
    "all, weight": ("[all, weight]", 8),
    "all, weight, limit 1": ("[all, weight, {limit: 1}]", 1),
    "sticky": ("[region_order, sticky]", 4),
    "all, sticky, limit 2": ("[all, sticky, {limit: 2}]", 2),
    "weight, sticky": ("[region_order, weight, sticky]", 4),
    "shuffle": ("[region_order, shuffle]", 4),
    "trickle": ("[region_order, {trickle: 1%}]", 4),
    "capacity": ("[nearest, capacity]", 4),
    "capacity by load": ("[nearest, {capacity: {load: " + LOAD + "}}]", 4),
    "capacity, weight": ("[nearest, capacity, weight]", 4),
}
# What several filters add together: more than the limit for one of them.
TOGETHER = {
    "all, weight, sticky": ("[all, weight, sticky]", 4),
    "nearest, weight": ("[nearest, weight]", 4),
    "nearest, sticky": ("[nearest, sticky]", 4),
    "nearest, weight, sticky": ("[nearest, weight, sticky]", 4),
    "latency, weight": ("[latency, weight]", 4),
    "latency, sticky": ("[latency, sticky]", 4),
    "latency, weight, sticky": ("[latency, weight, sticky]", 4),
    "capacity, sticky": ("[nearest, capacity, sticky]", 4),
    "capacity, weight, sticky": ("[nearest, capacity, weight, sticky]", 4),
    "load, weight": ("[nearest, {capacity: {load: " + LOAD + "}}, weight]", 4),
    "load, weight, sticky": ("[nearest, {capacity: {load: " + LOAD + "}}, weight, sticky]", 4),
}
BASES = {4: "order", 1: "order, limit 1"}


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench steer", description="Instructions and time of an answer by policy.")
    add = parser.add_argument
    lab.add_common(add)
    add("--answers", type=int, default=1_000_000, help="for each timed run (default 1,000,000)")
    add("--runs", type=int, default=5, help="timed runs, of which the median counts (default 5)")
    add("--counted", type=int, default=10_000, help="answers under callgrind (default 10,000)")
    add("--policy", metavar="NAME", help="only this one, and the orders")
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 when a policy adds more than {ADDED} instructions")
    options = lab.parse(parser)
    if options.quick:
        options.answers, options.runs, options.counted = 100_000, 1, 1_000
    if min(options.answers, options.runs, options.counted) < 1:
        parser.error("--answers, --runs and --counted must be at least 1")
    return options


def write_config(directory, number, filters):
    """SERVICES services with these filters; returns the configuration and the questions."""
    regions = "\n".join(f"  r{r}: {{minimum_healthy: 0}}" for r in range(REGIONS))
    lines = []
    for n in range(SERVICES):
        pools = ", ".join(
            f"r{r}: [" + ", ".join(
                f"{{address: 10.{r}.{n % 250}.{e + 1}, weight: {e + 1}, capacity: 40}}"
                for e in range(ENDPOINTS)) + "]" for r in range(REGIONS))
        lines.append(f"  s{n}.steer.example.com: {{steer: {filters}, minimum_healthy: 1, "
                     f"max_addresses: 8, endpoints: {{{pools}}}}}")
    clients = "\n".join(f"  - {{prefix: 127.{c}.0.0/16, region: r{c % REGIONS}}}"
                        for c in range(200))
    config, asked = f"{directory}/steer{number}.yaml", f"{directory}/asked{number}"
    contestants.write(config, (
        "node: {name: bench, region: r2}\n"
        f"regions:\n{regions}\nclients:\n{clients}\nservices:\n" + "\n".join(lines) + "\n"))
    contestants.write(asked, "\n".join(f"s{n}.steer.example.com A" for n in range(SERVICES)) + "\n")
    return config, asked


def measure(options, directory, number, filters):
    config, asked = write_config(directory, number, filters)
    times = [replay.replay(options, config, asked, options.answers)["ns_per_answer"]
             for _ in range(options.runs)]
    row = {"ns": statistics.median(times), "filters": filters}
    counted = replay.instructions(options, config, asked)
    if counted is not None:
        row["instructions"] = counted["ir_per_call"]
        row["down"] = replay.instructions(options, config, asked, DOWN)["ir_per_call"]
    return row


def base_of(rows, addresses):
    """What an answer of so many addresses costs by order alone; of others it is reckoned."""
    if addresses in BASES:
        return rows[BASES[addresses]]["instructions"]
    one, four = (rows[BASES[n]]["instructions"] for n in (1, 4))
    return one + (four - one) / 3 * (addresses - 1)


def print_row(rows, name):
    row, addresses = rows[name], (POLICIES | TOGETHER)[name][1]
    if "instructions" not in row:
        print(f"{name:24}{addresses:>10}{'-':>14}{'-':>8}{'-':>10}{row['ns']:7.0f}")
        return
    base = base_of(rows, addresses)
    row["added"], row["added_down"] = row["instructions"] - base, row["down"] - base
    print(f"{name:24}{addresses:>10}{row['instructions']:14.0f}{row['added']:8.0f}"
          f"{row['added_down']:10.0f}{row['ns']:7.0f}")


def verdict(rows):
    return [f"{name}: adds {row[key]:.0f} instructions{when}, more than {ADDED}"
            for name, row in rows.items() if name in POLICIES
            for key, when in (("added", ""), ("added_down", " while a region is down"))
            if row.get(key, 0) > ADDED]


def main():
    options = parse_arguments()
    lab.print_machine()
    known = POLICIES | TOGETHER
    chosen = [name for name in known if options.policy in (None, name) or name in BASES.values()]
    directory = tempfile.mkdtemp(prefix="leeward-bench-")
    rows = {}
    try:
        print(f"\nsteer: {REGIONS} regions of {ENDPOINTS} endpoints; {options.runs} runs of "
              f"{options.answers} answers, {options.counted} under callgrind")
        print(f"{'policy':24}{'addresses':>10}{'instructions':>14}{'added':>8}{'one down':>10}"
              f"{'ns':>7}")
        for number, name in enumerate(sorted(chosen, key=lambda n: n not in BASES.values())):
            rows[name] = measure(options, directory, number, known[name][0])
        for name in chosen:
            if name in POLICIES:
                print_row(rows, name)
        print(f"{'limit':24}{'':>10}{'':>14}{ADDED:>8}{ADDED:>10}")
        for name in chosen:
            if name in TOGETHER:
                print_row(rows, name)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    lab.write_json(options, {"rows": rows})
    return lab.report(verdict(rows) if options.is_gate else [])


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    lab.run(main)
