#!/usr/bin/env python3
"""Hit ratios of our cache's way to choose what leaves it, beside those of others.

bench-cache replays traces that are the same in every run, through the program's own code
and through other policies, and tells the ratio of hits of each and the best that
anybody could reach who knew what comes. See bench/README.md.
"""
import argparse
import json
import subprocess

import lab

OURS, FLOOR, OPTIMUM = "leeward", "LRU", "optimum"
WITHIN = 0.02  # of the best policy that does not know what comes
REQUESTS, QUICK_REQUESTS = 2_000_000, 400_000
KINDS = {"plain": "", "scans": "+ scans between", "mixed": "+ scans mixed in",
         "drift": "drifting"}


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench cache", description="Hit ratios of cache policies on Zipf traces.")
    add = parser.add_argument
    lab.add_common(add)
    add("--requests", type=int, default=REQUESTS,
        help="for names that come again, in each trace (default 2,000,000)")
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 where ours is not above {FLOOR}, or more than {WITHIN:.0%}% below the best")
    options = lab.parse(parser)
    if options.quick:
        options.requests = QUICK_REQUESTS
    if options.requests < 1000:
        parser.error("--requests must be at least 1000")
    return options


def replay(options):
    done = subprocess.run([lab.program(options, "bench-cache"), str(options.requests)],
                          capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != 0:
        raise lab.Failed(f"bench-cache: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def title(row):
    return f"Zipf {row['zipf']:.1f} {KINDS[row['kind']]}".strip()


def best_of(ratios):
    return max(ratio for name, ratio in ratios.items() if name not in (OURS, OPTIMUM))


def print_rows(rows):
    names = list(rows[0]["ratios"])
    print(f"{'':26}{'room for':>9}" + "".join(f"{name:>11}" for name in names)
          + f"{'ours/best':>11}")
    for row in rows:
        ratios = row["ratios"]
        print(f"{title(row):26}{row['capacity']:>9}"
              + "".join(f"{ratios[name]:>11.2%}" for name in names)
              + f"{ratios[OURS] / best_of(ratios):>11.3f}")


def verdict(rows):
    for row in rows:
        ours, best = row["ratios"][OURS], best_of(row["ratios"])
        where = f"{title(row)}, room for {row['capacity']}"
        if ours <= row["ratios"][FLOOR]:
            yield f"{where}: {ours:.2%} is not above {FLOOR}'s {row['ratios'][FLOOR]:.2%}"
        if ours < best * (1 - WITHIN):
            yield f"{where}: {ours:.2%} is more than {WITHIN:.0%} below the best, {best:.2%}"


def main():
    options = parse_arguments()
    print(f"cache: {options.requests} requests for 100,000 names; scans: three bursts of a "
          "million other names\n")
    rows = replay(options)
    print_rows(rows)
    lab.write_json(options, {"rows": rows})
    return lab.report(list(verdict(rows)) if options.is_gate else [])


if __name__ == "__main__":
    lab.run(main)
