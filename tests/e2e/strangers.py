#!/usr/bin/env python3
"""
Strangers on both sides of the server: unbound, named and dnsmasq are the regions'
resolvers and nginx their endpoint, each region in a network of its own; glibc's
getaddrinfo and curl are the clients, through a resolv.conf that names leeward.

  strangers.py [--demo] [BUILD_DIR]

The region preferred loses its resolver, then its endpoint, by SIGSTOP, by SIGKILL
and by a packet filter. Each time curl must come out in the next region, no lookup of
any name may fail, and after healing curl must come out in the first region again.
--demo tells the same as a story. The last line counts what passed; where such
networks cannot be made (see lib/stage.py) it says why and counts one skipped.
"""

import argparse
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from lib import patience, resolvers, stage  # noqa: E402
from lib.clients import Lookups, curl, curl_until  # noqa: E402
from lib.cut import DROPPED, KILLED, STOPPED, Cut  # noqa: E402
from lib.place import Place  # noqa: E402
from lib.process import read, tail  # noqa: E402
from lib.resolvers import CANARY, OTHER  # noqa: E402
from lib.server import Server  # noqa: E402

SERVICE = "api.svc.example.com"

MOVE_LIMIT_S = 10.0
BACK_LIMIT_S = 15.0
WHOLE_LIMIT_S = 90.0

INTERVAL_MS, TIMEOUT_MS, CONFIRM_MS, FALL, SILENT_FALL = 200, 200, 50, 3, 4
HOLD_DOWN_MS = 1000

TOOLS = ("unbound", "named", "dnsmasq", "nginx", "curl")


# ---- what is said on the terminal


class Terminal:
    def __init__(self, demo):
        self.demo = demo
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def say(self, text=""):
        print(text, flush=True)

    def tell(self, text=""):
        """A sentence of the story; a test has none."""
        if self.demo:
            self.say(text)

    def heading(self, text):
        self.tell()
        self.tell(self.paint("1", text))

    def prompt(self, command, output):
        self.tell(self.paint("36", "   $ " + command))
        for line in output.splitlines():
            self.tell("   " + line)


def ms(seconds):
    return f"{round(seconds * 1000)} ms"


# ---- faults


class Fault:
    """One of a region's two servers, and one of three ways to lose it."""

    def __init__(self, place, part, way):
        self.place, self.part, self.way = place, part, way
        self.program = place.resolver if part == "resolver" else place.endpoint
        self.cut = Cut(way, self.program)

    def __str__(self):
        return f"{self.part} {self.way}"

    def story(self):
        name = f"{self.place.name.capitalize()}'s {self.program.name}"
        return {STOPPED: f"{name} is stopped: its kernel still takes what comes, nobody answers.",
                KILLED: f"{name} is killed: the port refuses.",
                DROPPED: f"A packet filter drops all that comes for {name}."}[self.way]

    def bound_ms(self):
        """The computed worst case, without the round trip, of config.md's --timing."""
        interval, timeout, confirm = (round(patience.seconds(value)) for value in
                                      (INTERVAL_MS, TIMEOUT_MS, CONFIRM_MS))
        if self.way == KILLED:
            return 11 * interval // 10 + (FALL - 1) * confirm
        return 11 * interval // 10 + max(timeout, (SILENT_FALL - 1) * confirm)


# ---- the play


def configuration(places):
    timing = {"interval": patience.ms(INTERVAL_MS), "timeout": patience.ms(TIMEOUT_MS),
              "confirm_interval": patience.ms(CONFIRM_MS), "fall": FALL,
              "silent_fall": SILENT_FALL, "rise": 2, "hold_down": f"{HOLD_DOWN_MS}ms",
              "hold_down_max": f"{HOLD_DOWN_MS}ms"}  # several faults follow each other here
    return {
        "node": {"region": places[0].name},
        "regions": {p.name: {"minimum_healthy": 1, "checks": [
            {"dns": {"server": p.dns, "name": CANARY}, **timing}]} for p in places},
        "services": {SERVICE: {
            "order": [p.name for p in places],
            "ttl": {"normal": "1s", "suspect": "1s"},
            "check": {"http": {"port": 80, "path": "/healthz"}, **timing},
            "minimum_healthy": 1,
            "endpoints": {p.name: [p.http] for p in places}}},
        "forward": {".": {"upstreams": [{"region": p.name, "address": p.dns} for p in places]}},
    }


class Play:
    def __init__(self, build, folder, terminal):
        self.folder, self.terminal = folder, terminal
        kinds = (resolvers.Unbound, resolvers.Named, resolvers.Dnsmasq)
        self.places = [Place(name, index, folder, kind, endpoint=True) for index, (name, kind) in
                       enumerate(zip(("seoul", "tokyo", "singapore"), kinds), 1)]
        self.first, self.next = self.places[:2]
        self.server = Server(os.path.join(build, "leeward"), folder, configuration(self.places))
        self.service_lookups = self.other_lookups = None

    # ---- the stage

    def build_stage(self):
        stage.resolve_through(self.folder, "127.0.0.1")
        for place in self.places:
            place.start()
        for place in self.places:
            place.wait_started()

    def start_leeward(self):
        self.server.start_at(53)
        self.service_lookups = Lookups(self.folder, "service", SERVICE, 0.01)
        self.other_lookups = Lookups(self.folder, "other", "n{}." + OTHER, 0.02)
        self.wait_steady()

    def curl_from(self, place, since, limit_s):
        return curl_until(SERVICE, f"region {place.name}", since, limit_s)

    def wait_steady(self):
        """Everything from the first region: curl's body, and the other names."""
        self.curl_from(self.first, time.monotonic(), BACK_LIMIT_S)
        patience.until(lambda: self.other_lookups.last_are(self.first.answer),
                       lambda: f"{self.first.name}'s resolver is asked for other names; "
                               f"{self.other_lookups.since(time.monotonic() - 1)[-1:]}",
                       BACK_LIMIT_S)

    def stop_leeward(self):
        """What was wrong with its end, or nothing."""
        try:
            self.server.stop()
        except AssertionError as exc:
            return f"leeward: {exc}"
        return self.server.reports()

    # ---- the acts

    def show_steady(self):
        t = self.terminal
        t.heading("Three regions, each in a network of its own: a resolver, and nginx serves.")
        for place in self.places:
            t.tell(f"   {place.name:<10} {place.resolver.name:<8} {place.dns}   nginx {place.http}")
        t.tell("   This is an app server in Seoul. Its resolver is leeward:")
        t.prompt("cat /etc/resolv.conf", read("/etc/resolv.conf"))
        t.prompt(f"curl http://{SERVICE}/", curl(SERVICE))

    def act(self, fault):
        """One fault, from the steady state back to it; a dictionary of what was measured."""
        size = os.path.getsize(self.server.log_path)
        self.wait_steady()
        self.terminal.tell("   " + fault.story())
        begin = time.monotonic()
        fault.cut.inject()
        try:
            curl_s = self.curl_from(self.next, begin, MOVE_LIMIT_S)
            answers_s = self.service_lookups.first(self.next.http, begin)
            self.terminal.prompt(f"curl http://{SERVICE}/", curl(SERVICE))
            self.stays_moved()
            if fault.part == "resolver":
                self.other_names_moved(begin)
        finally:
            healed = time.monotonic()
            fault.cut.heal()
        back_s = self.curl_from(self.first, healed, BACK_LIMIT_S)
        self.wait_steady()
        others = self.no_failure(self.other_lookups, begin)
        service = self.no_failure(self.service_lookups, begin)
        reason = self.reason(size)
        return {"fault": fault, "curl_s": curl_s, "answers_s": answers_s, "back_s": back_s,
                "reason": reason, "others": len(others), "services": len(service),
                "slowest_s": max(one["end"] - one["begin"] for one in others)}

    def stays_moved(self):
        for _ in range(3):
            body = curl(SERVICE)
            assert body == f"region {self.next.name}", f"curl said {body!r} after it had moved"

    def other_names_moved(self, begin):
        """To either of the others: the nearer one is preferred, and that is measured."""
        patience.until(lambda: any(self.other_lookups.first(place.answer, begin) is not None
                                   for place in self.places[1:]),
                       "another region's resolver is asked for other names")

    def no_failure(self, lookups, begin):
        """Those since, of which none may have failed or found something strange."""
        known = {p.answer for p in self.places} | {p.http for p in self.places}
        all_of_them = lookups.since(begin)
        for one in all_of_them:
            assert "error" not in one, (
                f"a lookup failed {ms(one['end'] - begin)} after the fault: {one['error']}")
            assert set(one["addresses"]) <= known, f"a strange answer: {one}"
        assert all_of_them, "nobody looked anything up"
        return all_of_them

    def reason(self, size):
        """The line in which leeward says why it left."""
        lines = [line.strip() for line in read(self.server.log_path, size).splitlines()
                 if "down" in line.split("target=")[0]]
        return lines[0].split(" ", 1)[-1] if lines else ""  # without the time of day

    def report(self, act):
        t, fault = self.terminal, act["fault"]
        answers_s = act["answers_s"] if act["answers_s"] is not None else act["curl_s"]
        if not t.demo:
            t.say(f"ok      {str(fault):<18} {self.next.name} after {ms(answers_s)}, curl "
                  f"{ms(act['curl_s'])} (computed {fault.bound_ms()} ms); "
                  f"{self.first.name} again {act['back_s']:.1f} s after healing; "
                  f"{act['others']} other lookups, 0 failed, slowest {ms(act['slowest_s'])}")
            return
        if act["reason"]:
            t.tell("   leeward: " + act["reason"])
        t.tell(f"   Answers moved to {self.next.name.capitalize()} after "
               + t.paint("1;32", ms(answers_s)) +
               f" (computed worst case: {fault.bound_ms()} ms), curl arrived after "
               f"{ms(act['curl_s'])}.")
        t.tell(f"   Meanwhile {act['others']} lookups of other names: 0 failed, the slowest took "
               f"{ms(act['slowest_s'])}.")
        t.tell(f"   Healed: curl came out in {self.first.name.capitalize()} again after "
               f"{act['back_s']:.1f} s (hold_down is {HOLD_DOWN_MS // 1000} s).")

    def all_acts(self):
        """(acts that passed, how many failed)"""
        passed, failed, number = [], 0, 0
        for part in ("resolver", "endpoint"):
            for way in (STOPPED, KILLED, DROPPED):
                fault = Fault(self.first, part, way)
                number += 1
                self.terminal.heading(f"{number}. {fault}")
                try:
                    act = self.act(fault)
                    self.report(act)
                    passed.append(act)
                except (AssertionError, OSError, subprocess.TimeoutExpired) as exc:
                    failed += 1
                    self.terminal.say(f"FAILED  {fault}: {exc}")
                    self.show_logs()
        return passed, failed

    def summary(self, passed):
        t = self.terminal
        t.heading("Summary, in ms")
        t.tell(f"   {'':<18} {'answers':>8} {'computed':>9} {'curl':>6} {'back':>6} "
               f"{'lookups':>8} {'failed':>7} {'slowest':>8}")
        for act in passed:
            answers_s = act["answers_s"] if act["answers_s"] is not None else act["curl_s"]
            t.tell(f"   {str(act['fault']):<18} {answers_s * 1000:>8.0f} "
                   f"{act['fault'].bound_ms():>9} {act['curl_s'] * 1000:>6.0f} "
                   f"{act['back_s'] * 1000:>6.0f} {act['others'] + act['services']:>8} {0:>7} "
                   f"{act['slowest_s'] * 1000:>8.0f}")
        t.tell()

    def show_logs(self):
        for path in [self.server.log_path] + [program.log for place in self.places[:2]
                                              for program in place.programs]:
            print(f"---- the end of {os.path.relpath(path, self.folder)}\n{tail(path)}", flush=True)


def inside(build, folder, demo):
    """The first process in the namespaces; the app server is its network."""
    stage.furnish(folder)
    terminal = Terminal(demo)
    play = Play(build, folder, terminal)
    passed, failed = [], 0
    try:
        play.build_stage()
        play.start_leeward()
        play.show_steady()
        passed, failed = play.all_acts()
    except (AssertionError, OSError, subprocess.TimeoutExpired) as exc:
        terminal.say(f"FAILED  strangers: {exc}")
        play.show_logs()
        failed += 1
    complaint = play.stop_leeward()
    if complaint:
        terminal.say("FAILED  " + complaint)
        failed += 1
    if passed:
        play.summary(passed)
    stage.count(len(passed), failed, 0)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description="One play of strangers around the real server.")
    parser.add_argument("build", nargs="?", help="where leeward is (build)")
    parser.add_argument("--demo", action="store_true", help="tell it as a story")
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)
    args = parser.parse_args()
    stage.use_whole_path()
    build = os.path.abspath(args.build or os.path.join(HERE, "..", "..", "build"))
    if args.inside:
        return inside(build, args.inside, args.demo)
    return stage.play(__file__, build, ["--demo"] if args.demo else [], tools=TOOLS,
                      limit_s=WHOLE_LIMIT_S, must=args.demo)  # a story must be told


if __name__ == "__main__":
    sys.exit(main())
