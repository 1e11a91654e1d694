"""Interleaved rounds: contestants asked one after the other, the same work for each.

Every contestant's process runs on one core, the load generator on another. In
each round every contestant is asked for the same time, so that what the machine
does meanwhile falls out of the ratio between two of them.
"""
import json
import os
import statistics
import subprocess

import contestants
import cpu

COUNTS = ("lost", "wrong", "empty", "badrcode", "stray")
# A part of a round is disturbed when the server or the generator stood in line
# for its core for more than this share of it.
DISTURBED = 0.05
# Seeds set aside for one measurement and its repetitions.
SEEDS = 8


def add_options(add, rounds, seconds, retries):
    """The options that the functions below read, with a bench's own defaults."""
    add("--rounds", type=int, default=rounds, help=f"interleaved rounds (default {rounds})")
    add("--seconds", type=float, default=seconds,
        help=f"for each contestant in a round (default {seconds:g})")
    add("--retries", type=int, default=retries,
        help=f"how often a disturbed measurement is taken again (default {retries})")
    add("--batch", type=int, default=32, help="the echo's batch: the same as leeward's")
    add("--window", type=int, default=120, help="queries in flight (default 120)")
    add("--sockets", type=int, default=8, help="source ports (default 8)")
    add("--server-cpu", type=int, help="core of the servers (default: the first)")
    add("--load-cpu", type=int, help="core of the generator (default: the second)")


def check_options(parser, options):
    if options.rounds < 1 or not 0 < options.seconds <= 600:
        parser.error("--rounds must be at least 1, --seconds between 0 and 600")
    if not 0 <= options.retries < SEEDS:
        parser.error(f"--retries must be from 0 to {SEEDS - 1}")
    cores = sorted(os.sched_getaffinity(0))
    if options.server_cpu is None:
        options.server_cpu = cores[0]
    if options.load_cpu is None:
        options.load_cpu = cores[min(1, len(cores) - 1)]
    options.load = os.path.join(options.build, "bench", "bench-load")


def ask(options, contestant, names_path, seconds, seed, more=()):
    """What bench-load counted; `more` are further options of it."""
    command = [
        options.load, "--server", f"{contestant.address}:{contestant.port}", "--names", names_path,
        "--seconds", str(seconds), "--window", str(options.window),
        "--sockets", str(options.sockets), "--cpu", str(options.load_cpu),
        "--seed", str(seed), *more]
    if contestant.canned:
        command.append("--any-rcode")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=seconds + 60)
    except subprocess.TimeoutExpired as late:
        raise contestants.StartError("the load generator did not end") from late
    if done.returncode != 0:
        raise contestants.StartError(done.stderr.strip())
    return json.loads(done.stdout)


def measure_once(options, contestant, names_path, seed, more=()):
    """One contestant's part of one round."""
    pid = contestant.process.pid
    before = cpu.spent(pid)
    result = ask(options, contestant, names_path, options.seconds, seed, more)
    used = cpu.spent(pid) - before
    if contestant.process.poll() is not None:
        raise contestants.StartError(f"ended during a round: {contestant.log_tail()}")
    wall_ns = result["seconds"] * 1e9
    answered = result["answered"]
    result.update(
        contestant=contestant.name, cpu_ns=used.total, user_ns=used.user, system_ns=used.system,
        us=used.total / 1000 / answered if answered else float("inf"),
        busy=used.total / wall_ns, waited=used.waited / wall_ns,
        load_waited=result["waited_seconds"] / result["seconds"])
    result["disturbed"] = max(result["waited"], result["load_waited"]) > DISTURBED
    return result


def measure(options, contestant, names_path, seed, more=()):
    """The same, taken again when something else had the cores: whoever is kept
    waiting finds fuller batches afterwards, and looks cheaper than it is. No two
    measurements have a seed in common. `sent_in_all` counts the queries of those
    that were taken again too."""
    sent = 0
    for attempt in range(options.retries + 1):
        result = measure_once(options, contestant, names_path,
                              seed * SEEDS + attempt, more)
        sent += result["sent"]
        if not result["disturbed"]:
            break
    result["sent_in_all"] = sent
    return result


def core_distance(options):
    """Nanoseconds for a cache line to go to the other core and back; None when
    there is no other core."""
    if options.server_cpu == options.load_cpu:
        return None
    done = subprocess.run(
        [os.path.join(options.build, "bench", "bench-cores"), str(options.server_cpu),
         str(options.load_cpu)], capture_output=True, text=True, check=False, timeout=60)
    return int(done.stdout) if done.returncode == 0 else None


def order_of(running, number):
    """Another contestant begins each round, and every other round runs backwards:
    neighbours stay neighbours, and no one is always behind the same one."""
    if not running:
        return []
    turn = number % len(running)
    order = running[turn:] + running[:turn]
    return order[::-1] if number % 2 else order


# ---- what the rounds say; each round is a dictionary of results by name


def medians(rounds, name):
    """A contestant's row, or None when it was not there in every round."""
    if not rounds or not all(name in taken for taken in rounds):
        return None
    own = [taken[name] for taken in rounds]
    us = statistics.median(part["us"] for part in own)
    ticks = sum(part["user_ns"] + part["system_ns"] for part in own)
    user_share = sum(part["user_ns"] for part in own) / ticks if ticks else 0.0
    row = {
        "us": us,
        "user_us": us * user_share,
        "system_us": us * (1 - user_share),
        "qps": statistics.median(part["qps"] for part in own),
        "busy": statistics.median(part["busy"] for part in own),
        "rounds": len(own),
        "sent": sum(part["sent"] for part in own),
        "disturbed": sum(part["disturbed"] for part in own),
    }
    row.update({count: sum(part[count] for part in own) for count in COUNTS})
    return row


def ratios(rounds, name, base):
    """The cost of one divided by another's, round by round; none when one was missing."""
    if not all(name in taken and base in taken for taken in rounds):
        return []
    return [taken[name]["us"] / taken[base]["us"] for taken in rounds]
