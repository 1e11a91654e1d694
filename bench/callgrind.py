#!/usr/bin/env python3
"""Instructions for each call of one function, counted by valgrind's callgrind.

    bench/callgrind.py [options] BINARY SYMBOL COUNT [-- ARGUMENT...]

Runs BINARY with its arguments under callgrind, counts instructions only while
SYMBOL runs (with everything it calls), and divides them by COUNT, the number of
calls that the run makes. Unlike times, the figure is the same on every run and
on every machine with the same binary and libraries.

SYMBOL must exist in the binary (not inlined, not static-cloned) and must not
call itself: callgrind switches at each entry.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

COST_LINE = re.compile(r"^[+*-]?\d+ (\d+)$")


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="bench/callgrind.py", description="Instructions for each call of one function.",
        epilog="What follows -- is handed to the binary.")
    add = parser.add_argument
    add("binary")
    add("symbol", help="the function that is one call")
    add("count", type=int, help="how often the run calls it")
    add("--top", type=int, default=0, metavar="N",
        help="also print the N functions that cost most by themselves")
    add("--limit", type=float, metavar="IR", help="exit 1 above so many instructions a call")
    add("--json", action="store_true", help="print one JSON object in place of text")
    add("--keep", metavar="FILE", help="keep callgrind's file, for callgrind_annotate")
    add("--timeout", type=float, default=600, metavar="S", help="give up after S seconds")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = parser.parse_args(sys.argv[1:split])
    options.arguments = sys.argv[split + 1:]
    if options.count < 1:
        parser.error("count must be at least 1")
    return options


def run(options, out_path):
    """Runs the binary under callgrind; returns the reason when that failed."""
    command = [
        "valgrind", "--tool=callgrind", "--collect-atstart=no",
        f"--toggle-collect={options.symbol}", "--compress-strings=no", "--compress-pos=no",
        f"--callgrind-out-file={out_path}", options.binary, *options.arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              check=False, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        return f"{options.binary} was not done after {options.timeout:g} s"
    if done.returncode != 0:
        tail = "\n".join(done.stderr.splitlines()[-10:])
        return f"{options.binary} ended with status {done.returncode}:\n{tail}"
    return None


def self_costs(out_path):
    """Instructions of every function by itself. Together they are everything that
    was collected."""
    costs = {}
    function = None
    skip = False
    with open(out_path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("fn="):
                function = line[3:].strip()
            elif line.startswith("calls="):
                skip = True  # the next line is what the callee cost
            elif function is not None and (match := COST_LINE.match(line)):
                if not skip:
                    costs[function] = costs.get(function, 0) + int(match.group(1))
                skip = False
    return costs


def report(options, costs):
    total = sum(costs.values())
    each = total / options.count
    top = sorted(costs.items(), key=lambda item: -item[1])[:options.top]
    if options.json:
        print(json.dumps({"symbol": options.symbol, "calls": options.count, "ir": total,
                          "ir_per_call": round(each, 2),
                          "top": {name: round(cost / options.count, 2) for name, cost in top}}))
    else:
        print(f"{options.symbol}: {each:.1f} instructions a call ({total} in {options.count})")
        for name, cost in top:
            print(f"  {cost / options.count:10.1f}  {name}")
    return each


def main():
    options = parse_arguments()
    if shutil.which("valgrind") is None:
        print("callgrind: not installed: apt-get install valgrind", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="leeward-callgrind-") as directory:
        out_path = os.path.join(directory, "out")
        problem = run(options, out_path)
        if problem is not None:
            print(f"callgrind: {problem}", file=sys.stderr)
            return 1
        costs = self_costs(out_path)
        if options.keep:
            shutil.copyfile(out_path, options.keep)
    if not costs:
        print(f"callgrind: {options.symbol} was never entered in {options.binary}: "
              "is it inlined or stripped?", file=sys.stderr)
        return 1
    each = report(options, costs)
    if options.limit is not None and each > options.limit:
        print(f"callgrind: {options.symbol}: {each:.1f} is above {options.limit:g} instructions",
              file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
