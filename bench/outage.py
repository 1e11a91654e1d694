#!/usr/bin/env python3
"""What lookups suffer while the near region's resolver fails, through each forwarder.

All contestants run side by side, each with two simulated regions of its own, the
second 10 ms away, and with clients of its own: the C library's getaddrinfo, a UDP
client that never asks twice, both for names nobody has asked for before, and one
that asks for a name that is in the cache. Each fault meets processes that have
just begun. See bench/README.md.
"""
import argparse
import os
import socket
import sys
import tempfile
import time

import contestants
import forwarders
import lab
import namespace
import scene
from lab import percentile

LIMIT_MS = 100        # no lookup may take longer, and none may fail
EXTRA_LIMIT = 0.05    # queries above one for each question, while nothing is wrong
BACK_LIMIT_S = 2      # the near region is used again after its cure
STALE_LIMIT_MS = 5    # an expired answer while every resolver is dead, after the first
STEADY_S, SETTLE_S = 15, 1
DISTURBED_MS = 40     # the floor's worst lookup: it should take 10
STALE_WAITED_MS = 20  # in line for a core: then the machine took the time
STALE_NAMES, STALE_TTL_S, STALE_FIRST_S, STALE_FOR_S = 200, 1, 3, 5
BACK_WINDOW_S, BACK_SHARE = 0.5, 0.9
FAULTS = [
    ("killed", "dns die"),
    ("blackhole", "dns blackhole"),
    ("SERVFAIL", "dns servfail"),
    ("slow 2 s", "dns slow 2000"),
    ("30% loss", "dns lossy 30"),
]
QUICK_FAULTS = ("blackhole", "SERVFAIL")
STEADY = "no fault"
DEATHS = [("killed", "dns die"), ("blackhole", "dns blackhole")]


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench outage", description="Lookups while the near region's resolver fails.")
    add = parser.add_argument
    lab.add_common(add)
    add("--before", type=int, default=3, help="seconds before a fault (default 3)")
    add("--during", type=int, default=8, help="seconds of it (default 8)")
    add("--after", type=int, default=5, help="seconds after its cure (default 5)")
    add("--steady", type=int, default=STEADY_S,
        help=f"seconds without any fault, to count queries (default {STEADY_S})")
    add("--faults", default="", metavar="A,B",
        help="only these: " + ", ".join(name.replace("%", "%%") for name, _ in FAULTS) + ", none")
    add("--only", default="", metavar="A,B", help="only these contestants (the floor always "
        "runs): " + ", ".join(kind.name for kind in scene.KINDS))
    add("--retries", type=int, default=1,
        help="how often a fault that the machine disturbed is repeated (default 1)")
    add("--timeline", action="store_true", help="every second's p50, p99, worst and failures")
    add("--inside", action="store_true", help=argparse.SUPPRESS)
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 also when a lookup through leeward took more than {LIMIT_MS} ms, it asked "
        f"{EXTRA_LIMIT:.0%}% more than it had to, came back after {BACK_LIMIT_S} s, or an expired "
        f"answer took {STALE_LIMIT_MS} ms; without it only when one failed")
    options = lab.parse(parser)
    if options.quick:
        options.before, options.during, options.after, options.steady = 1, 2, 3, 0
        options.retries = 0
    if min(options.before, options.during, options.after) < 1:
        parser.error("--before, --during and --after must be at least 1")
    options.kinds = pick(parser, scene.KINDS, lambda kind: kind.name, options.only)
    faults = [fault for fault in FAULTS if not options.quick or fault[0] in QUICK_FAULTS]
    options.fault_list = [] if options.faults == "none" else pick(
        parser, FAULTS if options.faults else faults, lambda fault: fault[0], options.faults)
    if scene.Floor not in options.kinds:
        options.kinds.append(scene.Floor)
    return options


def pick(parser, known, name_of, text):
    """Those of `known` that a text lists, all when it is empty."""
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in [name_of(one) for one in known]:
            parser.error(f"no {name}: " + ", ".join(name_of(one) for one in known))
    return [one for one in known if not names or name_of(one) in names]


# ---- a fault


def run_fault(options, folder, problems, name, command):
    """What became of every lookup, summarized by contestant."""
    spans = (SETTLE_S, options.steady, 0) if command is None else (
        options.before, options.during, options.after)
    stage = scene.Scene(options, folder, options.kinds, problems)
    try:
        for line in stage.lines:
            line.ask(sum(spans))
        begin = time.monotonic()
        for line in stage.lines:
            line.mark()
        sleep_until(begin + spans[0])
        for line in stage.lines:
            line.mark()
            if command is not None:
                line.break_near(command)
        sleep_until(begin + spans[0] + spans[1])
        for line in stage.lines:
            line.mark()
            line.break_near("dns heal")
        answers = {line.name: line.finish(sum(spans) + 60) for line in stage.lines}
        return {line.name: summarize(line, answers[line.name], is_fault=command is not None)
                for line in stage.lines}
    except AssertionError as problem:
        raise lab.Failed(f"{name}: {problem}") from problem
    finally:
        stage.close()


def sleep_until(moment):
    time.sleep(max(0, moment - time.monotonic()))


def summarize(line, by_client, is_fault):
    """From the fault on, its cure included; without a fault, of the time that is counted."""
    begin, fault, cure = line.marks
    row = {"clients": {}, "timeline": {}, "marks": line.marks,
           "region_queries": line.counts}
    for client, answers in by_client.items():
        late = [answer for answer in answers if answer.sent >= fault]
        row["clients"][client] = figures(late)
        row["clients"][client]["failed_before"] = sum(
            not answer.is_good for answer in answers if answer.sent < fault)
        row["timeline"][client] = timeline(answers, fault)
    new = [answer for client in ("getaddrinfo", "udp") for answer in by_client.get(client, [])]
    bad = [answer.sent for answer in new
           if answer.sent >= fault and (not answer.is_good or answer.ms > LIMIT_MS)]
    row["settled"] = max(bad) - fault if bad else 0.0
    row["extra_before"] = extra(line, by_client, begin, fault, 0)
    row["extra_during"] = extra(line, by_client, fault, cure, 1)
    row["back"] = back(new, cure) if is_fault else None
    return row


def figures(answers):
    times = [answer.ms for answer in answers if answer.is_good]
    return {"lookups": len(answers), "failed": len(answers) - len(times),
            "slow": sum(ms > LIMIT_MS for ms in times), "p50": percentile(times, 0.5),
            "p99": percentile(times, 0.99), "max": max(times, default=float("nan"))}


def timeline(answers, fault):
    """{second since the fault: figures}; a second is named by its begin."""
    seconds = {}
    for answer in answers:
        seconds.setdefault(int((answer.sent - fault) // 1), []).append(answer)
    return {second: figures(seconds[second]) for second in sorted(seconds)}


def extra(line, by_client, begin, end, number):
    """Queries to both regions above one for each question about a new name; None without any."""
    wanted = sum(weight * sum(begin <= answer.sent < end for answer in by_client.get(client, []))
                 for client, weight in (("getaddrinfo", 2), ("udp", 1)))  # A and AAAA; A
    asked = sum(line.counts[number + 1]) - sum(line.counts[number])
    return asked / wanted - 1 if wanted else None


def back(answers, cure):
    """Seconds from the cure until the near region answers nearly all for half a second;
    None when that did not happen."""
    later = sorted((a for a in answers if a.sent >= cure and a.is_good), key=lambda a: a.sent)
    near = [answer.address.startswith("10.1.") for answer in later]
    last = later[-1].sent if later else cure
    for place, answer in enumerate(later):
        if answer.sent > last - BACK_WINDOW_S:
            break
        window = [near[at] for at in range(place, len(later))
                  if later[at].sent < answer.sent + BACK_WINDOW_S]
        if near[place] and sum(window) >= BACK_SHARE * len(window):
            return answer.sent - cure
    return None


def disturbed_ms(rows):
    """The floor's worst lookup of all its clients."""
    row = rows.get(scene.Floor.name)
    return max((client["max"] for client in row["clients"].values()), default=0) if row else 0


def run_faults(options, folder, problems):
    steady = [(STEADY, None)] if options.steady > 0 else []
    result = {}
    for name, command in [*steady, *options.fault_list]:
        for _ in range(options.retries + 1):
            lab.progress(name)
            rows = run_fault(options, folder, problems, name, command)
            if disturbed_ms(rows) <= DISTURBED_MS:
                break
        lab.progress("")
        result[name] = rows
        print_fault(options, name, rows)
    return result


# ---- every resolver dead


def run_deaths(options, folder, problems):
    """{death: {contestant: figures}} for names whose answers have expired."""
    kinds = [kind for kind in options.kinds if kind in scene.STALE_KINDS]
    result = {}
    for name, command in DEATHS[:1] if options.quick else DEATHS:
        for _ in range(options.retries + 1):
            lab.progress(f"every resolver {name}")
            result[name] = run_death(options, folder, problems, kinds, command)
            if result[name].get("leeward", {}).get("waited", 0) <= STALE_WAITED_MS:
                break
        lab.progress("")
    return result


def run_death(options, folder, problems, kinds, command):
    stage = scene.Scene(options, folder, kinds, problems, ttl_s=STALE_TTL_S, stale=True)
    try:
        for line in stage.lines:
            for number in range(STALE_NAMES):
                ask_once(line, number, 2)
        time.sleep(STALE_TTL_S + 1)
        return {line.name: die_and_ask(line, command) for line in stage.lines}
    finally:
        stage.close()


def die_and_ask(line, command):
    """All resolvers die, then its names are asked for, one after the other."""
    line.break_all(command)
    first = ask_once(line, 0, STALE_FIRST_S)
    end = time.monotonic() + STALE_FOR_S
    others, waited = [], waited_ms(line)
    for number in range(1, STALE_NAMES):
        if time.monotonic() > end:
            break
        others.append(ask_once(line, number, max(0.1, end - time.monotonic())))
    good = [ms for ms in others if ms is not None]
    return {"first": first, "asked": len(others), "failed": len(others) - len(good),
            "p50": percentile(good, 0.5), "p99": percentile(good, 0.99),
            "max": max(good, default=float("nan")), "waited": waited_ms(line) - waited}


def waited_ms(line):
    """How long the server and this client have stood in line for a core so far."""
    return sum(lab.times_ms(pid)[1] for pid in (line.server.process.pid, os.getpid()))


def ask_once(line, number, limit_s):
    """Milliseconds until a good answer; None when none came or it was another one."""
    query = contestants.query_wire(f"old{number}.{scene.DOMAIN}", 0x4C57)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(limit_s)
        udp.connect(line.asked_directly)
        begin = time.monotonic()
        try:
            udp.send(query)
            answer = udp.recv(4096)
        except OSError:
            return None
        ms = (time.monotonic() - begin) * 1000
    return ms if contestants.Contestant.is_good(answer) else None


# ---- what is printed


def print_head(options):
    print(f"\noutage: for new names {scene.LOOKUPS_A_SECOND} lookups by getaddrinfo and "
          f"{scene.QUESTIONS_A_SECOND} UDP questions a second through each,\n"
          f"{scene.CACHED_A_SECOND} for a cached name; the fault comes after {options.before} s, "
          f"its cure {options.during} s later; the other region\nis {scene.FAR_MS} ms away. Of all "
          f"lookups since the fault: failed, above {LIMIT_MS} ms, and the times of those answered")


def number_text(value, width, form):
    """A figure, or a dash where there is none."""
    return f"{'-' if value is None or value != value else format(value, form):>{width}}"


def print_fault(options, name, rows):
    print(f"\n{name:13}{'getaddrinfo':>33}{'udp':>33}{'cached':>12}{'extra queries':>15}"
          f"{'settled':>9}{'back':>7}")
    columns = f"{'failed':>7}{'>100':>5}{'p50':>7}{'p99':>7}{'max':>7}"
    print(f"{'':13}{columns}{columns}{'bad':>5}{'max':>7}{'before':>8}{'during':>7}"
          f"{'s':>9}{'s':>7}")
    for line, row in rows.items():
        text = f"{line:13}"
        for client in ("getaddrinfo", "udp"):
            found = row["clients"].get(client)
            text += f"{'-':>33}" if found is None else (
                f"{found['failed']:7}{found['slow']:5}{number_text(found['p50'], 7, '.1f')}"
                f"{number_text(found['p99'], 7, '.0f')}{number_text(found['max'], 7, '.0f')}")
        found = row["clients"].get("cached")
        text += f"{'-':>5}{'-':>7}" if found is None else (
            f"{found['failed'] + found['slow']:5}{number_text(found['max'], 7, '.0f')}")
        is_bare = line == scene.Floor.name
        text += number_text(None if is_bare else row["extra_before"], 8, "+.0%")
        text += number_text(None if is_bare else row["extra_during"], 7, "+.0%")
        text += number_text(None if name == STEADY else row["settled"], 9, ".2f")
        text += number_text(None if is_bare else row["back"], 7, ".2f")
        print(text)
    if name != STEADY:
        print_seconds(options, rows)
    if options.timeline:
        print_timeline(rows)
    sys.stdout.flush()


def print_seconds(options, rows):
    """One line for each contestant: the worst of each second."""
    shown = range(-1, options.during + min(3, options.after))
    print(f"  the worst lookup of each second in ms, and how many failed; fault at 0, cure at "
          f"{options.during}")
    print(f"  {'':13}" + "".join(f"{second:>10}" for second in shown))
    for line, row in rows.items():
        cells = []
        for second in shown:
            found = [row["timeline"][client][second] for client in ("getaddrinfo", "udp")
                     if second in row["timeline"].get(client, {})]
            failed = sum(one["failed"] for one in found)
            worst = max((one["max"] for one in found if one["max"] == one["max"]), default=None)
            cells.append(number_text(worst, 1, ".0f") + (f" x{failed}" if failed else ""))
        print(f"  {line:13}" + "".join(f"{cell:>10}" for cell in cells))


def print_timeline(rows):
    for line, row in rows.items():
        for client, seconds in row["timeline"].items():
            print(f"  {line}, {client}: second, lookups, failed, p50, p99, max ms")
            for second, found in seconds.items():
                print(f"  {second:8}{found['lookups']:6}{found['failed']:6}"
                      f"{found['p50']:9.1f}{found['p99']:9.1f}{found['max']:9.1f}")


def print_deaths(deaths):
    for death, rows in deaths.items():
        print(f"\nevery resolver {death}; {STALE_NAMES} names asked for before, expired, one "
              "after the other, ms")
        print(f"{'':15}{'first':>8}{'asked':>7}{'failed':>8}{'p50':>8}{'p99':>8}{'max':>8}"
              f"{'waited':>8}")
        for line, row in rows.items():
            print(f"{line:15}{number_text(row['first'], 8, '.1f')}{row['asked']:7}"
                  f"{row['failed']:8}" + "".join(number_text(row[key], 8, ".2f")
                                                 for key in ("p50", "p99", "max", "waited")))


def print_notes(options, faults, problems):
    for name, (_, text) in problems.items():
        print(f"{name}: {text}")
    for name, rows in faults.items():
        worst = disturbed_ms(rows)
        if worst > DISTURBED_MS:
            print(f"note: {name}: the machine was disturbed: the floor's worst lookup took "
                  f"{worst:.0f} ms in place of {scene.FAR_MS}")
    if not options.inside:
        print("note: no network and mount namespaces are permitted here: without getaddrinfo "
              "and glibc")


def verdict(options, faults, deaths):
    """A lookup must not fail on any machine; the other limits only a gate judges."""
    if not any(kind is forwarders.Leeward for kind in options.kinds):
        return []
    found = []
    for name, rows in faults.items():
        row = rows.get("leeward")
        found += [f"{name}: leeward was not measured"] if row is None else judge(
            options, name, row)
    for death, rows in deaths.items():
        row = rows.get("leeward")
        if row is None or row["first"] is None or row["failed"] > 0:
            found.append(f"every resolver {death}: expired names were not answered: {row}")
        elif options.is_gate and row["p99"] > STALE_LIMIT_MS:
            found.append(f"every resolver {death}: expired names took {row['p99']:.1f} ms (p99), "
                         f"limit {STALE_LIMIT_MS}")
    return found


def judge(options, name, row):
    found = []
    for client, one in row["clients"].items():
        failed = one["failed"] + one["failed_before"]
        if failed:
            found.append(f"{name}, {client}: {failed} lookups failed")
        if options.is_gate and one["slow"]:
            found.append(f"{name}, {client}: {one['slow']} lookups took more than {LIMIT_MS} ms, "
                         f"the slowest {one['max']:.0f} ms")
    if not options.is_gate:
        return found
    extra_queries = row["extra_during"] if name == STEADY else None
    if extra_queries is not None and extra_queries > EXTRA_LIMIT:
        found.append(f"{name}: {extra_queries:+.1%} queries, limit {EXTRA_LIMIT:+.0%}")
    if name != STEADY and (row["back"] is None or row["back"] > BACK_LIMIT_S):
        text = "not" if row["back"] is None else f"{row['back']:.2f} s after its cure"
        found.append(f"{name}: the near region was used again {text}, limit {BACK_LIMIT_S} s")
    return found


def main():
    options = parse_arguments()
    if not options.inside:
        namespace.enter_or_return()
    contestants.adopt_orphans()
    lab.print_machine()
    problems = {}
    with tempfile.TemporaryDirectory(prefix="lwb-", dir="/tmp") as folder:
        if options.inside:
            namespace.furnish(folder)
        print_head(options)
        faults = run_faults(options, folder, problems)
        deaths = run_deaths(options, folder, problems)
    print_deaths(deaths)
    print_notes(options, faults, problems)
    failures = verdict(options, faults, deaths)
    options.kinds = [kind.name for kind in options.kinds]
    lab.write_json(options, {"faults": faults, "deaths": deaths, "problems": problems})
    failures += [f"{name}: {text}" for name, (is_missing, text) in problems.items()
                 if not is_missing]
    return lab.report(failures)


if __name__ == "__main__":
    lab.run(main)
