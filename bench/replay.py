#!/usr/bin/env python3
"""What our own code costs for one answer: instructions, time, allocations.

Recorded queries go through the query path without sockets (bench-replay), once
for the time and once under callgrind for the instructions. Besides, the system
calls of the real server's answerer are counted while it is under load. See
bench/README.md.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import contestants
import lab
from answer import Workload

INSTRUCTIONS, NANOSECONDS, ALLOCATIONS, CALLS_A_BATCH = 700, 250, 0, 2
HITS = ("service hit", "zone hit")  # what the limit of instructions is for
PLAIN = "plain.example.com"
NAMES = 1000
ALLOCATORS = ("malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc", "memalign")
STRACE_SECONDS = 3


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench replay", description="Instructions, time and allocations of one answer.")
    add = parser.add_argument
    lab.add_common(add)
    add("--answers", type=int, default=2_000_000, help="for each timed run (default 2,000,000)")
    add("--runs", type=int, default=7, help="timed runs, of which the median counts (default 7)")
    add("--counted", type=int, default=20_000, help="answers under callgrind (default 20,000)")
    add("--top", type=int, default=0, metavar="N",
        help="also show the N functions with most instructions")
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 above {INSTRUCTIONS} instructions for a hit, {NANOSECONDS} ns, {ALLOCATIONS} "
        f"allocations or {CALLS_A_BATCH} system calls a batch")
    options = lab.parse(parser)
    if options.quick:
        options.answers, options.runs, options.counted = 100_000, 1, 2_000
    if min(options.answers, options.runs, options.counted) < 1:
        parser.error("--answers, --runs and --counted must be at least 1")
    return options


# ---- what is asked


def write_files(options, directory):
    """The configuration of 1,000 services and a zone of 1,000 names, and three lists of
    questions; returns the configuration's path and the lists by name."""
    workload = Workload("replay", "", 0.05)
    server = contestants.Leeward(options)
    command = server.configure(directory, contestants.free_port(), workload)
    services_path = command[command.index("-c") + 1]
    hosts = "\n".join(f"h{n} A 192.0.2.{n % 250 + 1}" for n in range(NAMES))
    contestants.write(f"{directory}/{PLAIN}.zone", (
        f"$ORIGIN {PLAIN}.\n$TTL 30\n@ SOA ns1 hostmaster 1 7200 900 1209600 300\n"
        f"@ NS ns1\nns1 A 192.0.2.251\n{hosts}\n"))
    config_path = f"{directory}/replay.yaml"
    contestants.write(config_path, (
        f"include: [{os.path.basename(services_path)}]\n"
        f"zones: {{{PLAIN}: {{file: {PLAIN}.zone}}}}\n"
        "forward: {\".\": {upstreams: [\"127.0.0.1:1\"]}}\n"))
    asked = {
        "service hit": [f"{contestants.service_name(n)} A" for n in range(workload.names)],
        "zone hit": [f"h{n}.{PLAIN} A" for n in range(NAMES)],
        "NXDOMAIN": [f"none{n}.{PLAIN} A" for n in range(NAMES)],
        "cache hit": [f"host{n}.elsewhere.example A" for n in range(NAMES)],
    }
    paths = {}
    for number, (name, lines) in enumerate(asked.items()):
        paths[name] = f"{directory}/queries{number}"
        contestants.write(paths[name], "\n".join(lines) + "\n")
    return config_path, paths


# ---- our own code


def replay(options, config_path, queries_path, answers, *down):
    done = subprocess.run([lab.program(options, "bench-replay"), config_path, queries_path,
                           str(answers), *down], capture_output=True, text=True, check=False,
                          timeout=600)
    if done.returncode != 0:
        raise lab.Failed(f"bench-replay: {done.stderr.strip()}")
    return json.loads(done.stdout)


def instructions(options, config_path, queries_path, *down):
    """Instructions for each call of query_answer with all it calls, and the functions they
    are spent in, with the region `down` if one is named; None without valgrind."""
    if shutil.which("valgrind") is None:
        return None
    done = subprocess.run(
        [sys.executable, os.path.join(lab.ROOT, "bench", "callgrind.py"), "--json", "--top", "1000",
         lab.program(options, "bench-replay"), "query_answer", str(options.counted), "--",
         config_path, queries_path, str(options.counted), *down],
        capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != 0:
        raise lab.Failed(done.stderr.strip())
    return json.loads(done.stdout)


def measure(options, config_path, queries_path):
    runs = [replay(options, config_path, queries_path, options.answers)
            for _ in range(options.runs)]
    times = [run["ns_per_answer"] for run in runs]
    row = {"ns": statistics.median(times), "ns_min": min(times), "ns_max": max(times),
           "allocations": max(run["allocations"] for run in runs),
           "service": runs[0]["service"], "zone": runs[0]["zone"]}
    counted = instructions(options, config_path, queries_path)
    if counted is not None:
        row["instructions"] = counted["ir_per_call"]
        row["functions"] = counted["top"]
        # bench-replay itself counts malloc only
        row["allocators"] = sorted(name for name in counted["top"]
                                   if re.split(r"[@']", name)[0] in ALLOCATORS)
    return row


# ---- system calls of the real server


def thread_of(pid, name):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="utf-8") as file:
            if file.read().strip() == name:
                return int(thread)
    raise lab.Failed(f"the server has no thread {name}")


def trace(thread, path, seconds):
    """Follows one thread with strace; returns why that could not be done, or None."""
    tracer = subprocess.Popen(["strace", "-q", "-p", str(thread), "-o", path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    try:
        _, problem = tracer.communicate(timeout=seconds)
        return f"strace: {problem.strip()}"
    except subprocess.TimeoutExpired:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)
        return None


def read_trace(path):
    """Calls by name, and batches: the recvmmsg calls that brought something."""
    calls, batches, packets = {}, 0, 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"(\w+)\(", line)
            if match is None:
                continue
            name = match.group(1)
            calls[name] = calls.get(name, 0) + 1
            result = re.search(r"= (\d+)(?: \(.*\))?$", line)
            if name == "recvmmsg" and result and int(result.group(1)) > 0:
                batches += 1
                packets += int(result.group(1))
    return {"calls": calls, "batches": batches, "packets": packets,
            "each": sum(calls.values()) / batches if batches else float("inf")}


def system_calls(options, directory):
    """The calls of the answerer's thread under load; a sentence when they cannot be counted."""
    if shutil.which("strace") is None:
        return "not counted: strace is not installed (apt-get install strace)"
    workload = Workload("calls", "", 0)
    names_path = os.path.join(directory, "names")
    contestants.write(names_path, "\n".join(workload.lines()) + "\n")
    server = contestants.Leeward(options)
    generator = None
    try:
        server.start(os.path.join(directory, "calls"), workload, min(os.sched_getaffinity(0)))
        generator = subprocess.Popen(
            [lab.program(options, "bench-load"), "--server", f"127.0.0.1:{server.port}",
             "--names", names_path, "--seconds", str(STRACE_SECONDS + 2)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        path = os.path.join(directory, "trace")
        problem = trace(thread_of(server.process.pid, "answerer"), path, STRACE_SECONDS)
        return f"not counted: {problem}" if problem else read_trace(path)
    finally:
        if generator is not None:
            generator.terminate()
            generator.wait()
        server.stop()


# ---- what is printed


def print_row(options, name, row):
    counted = f"{row['instructions']:.0f}" if "instructions" in row else "-"
    print(f"{name:12}{counted:>13}{row['ns']:9.0f}   {row['ns_min']:.0f}-{row['ns_max']:<8.0f}"
          f"{row['allocations']:>8}  {' '.join(row.get('allocators', []))}".rstrip())
    top = sorted(row.get("functions", {}).items(), key=lambda item: -item[1])[:options.top]
    for function, cost in top:
        print(f"    {cost:9.1f}  {function}")


def print_calls(calls):
    if isinstance(calls, str):
        print(f"system calls: {calls}")
        return
    by_name = ", ".join(f"{count} {name}" for name, count in
                        sorted(calls["calls"].items(), key=lambda item: -item[1]))
    print(f"system calls: {calls['each']:.3f} a batch (limit {CALLS_A_BATCH}); {calls['batches']} "
          f"batches of {calls['packets'] / max(1, calls['batches']):.1f} packets: {by_name}")


def verdict(rows, calls):
    found = []
    for name, row in rows.items():
        if "instructions" not in row:
            found.append(f"{name}: instructions were not counted: valgrind is missing")
        elif row["instructions"] > INSTRUCTIONS and name in HITS:
            found.append(f"{name}: {row['instructions']:.0f} instructions, more than "
                         f"{INSTRUCTIONS}")
        if row["ns"] > NANOSECONDS:
            found.append(f"{name}: {row['ns']:.0f} ns, more than {NANOSECONDS}")
        if row["allocations"] > ALLOCATIONS or row.get("allocators"):
            found.append(f"{name}: {row['allocations']} allocations "
                         f"{' '.join(row.get('allocators', []))}")
    if isinstance(calls, dict) and not 0 < calls["each"] <= CALLS_A_BATCH + 0.01:
        found.append(f"{calls['each']:.2f} system calls a batch, more than {CALLS_A_BATCH}")
    return found


def main():
    options = parse_arguments()
    lab.print_machine()
    directory = tempfile.mkdtemp(prefix="leeward-bench-")
    rows = {}
    try:
        config_path, asked = write_files(options, directory)
        print(f"\nreplay: {NAMES} services and a zone of {NAMES} names; {options.runs} runs of "
              f"{options.answers} answers, {options.counted} under callgrind")
        print(f"{'':12}{'instructions':>13}{'ns':>9}   {'(min-max)':11}{'allocations':>5}")
        for name, queries_path in asked.items():
            rows[name] = measure(options, config_path, queries_path)
            print_row(options, name, rows[name])
        print(f"{'limit':12}{INSTRUCTIONS:>13}{NANOSECONDS:>9}   {'':11}{ALLOCATIONS:>5}")
        calls = system_calls(options, directory)
        print_calls(calls)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    lab.write_json(options, {"rows": rows, "system_calls": calls})
    return lab.report(verdict(rows, calls) if options.is_gate else [])


if __name__ == "__main__":
    lab.run(main)
