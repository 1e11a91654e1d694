#!/usr/bin/env python3
"""How long answers lead to a region that has failed, for each way to fail.

The real server, three simulated regions, a client that asks all the while.
Faults are injected at phases spread over the whole check interval, so that the
worst one is among them. See bench/README.md.
"""
import argparse
import sys
import time

import lab

SERVICE = "api.svc.example.com"
CANARY = "canary.corp.example"
SLACK_MS = 50  # what the worst may be above the computed bound
EVERY_US = 2000
MOVE_LIMIT_S = 20
BACK_LIMIT_S = 60
SETTLE_S = 0.05
DISTURBED_MS = 10
RATES = (1, 5, 30)


class Profile:
    """One set of check timings, in ms; `given` is what the configuration writes."""

    def __init__(self, name, phases, interval, timeout, confirm, fall, silent_fall, is_default):
        self.name, self.phases, self.interval = name, phases, interval
        self.timeout, self.confirm = timeout, confirm
        self.fall, self.silent_fall, self.is_default = fall, silent_fall, is_default

    def given(self):
        """hold_down delays only the return; it is short so that rounds are."""
        short = {"hold_down": "300ms", "hold_down_max": "300ms"}
        if self.is_default:
            return short
        return {"interval": f"{self.interval}ms", "timeout": f"{self.timeout}ms",
                "confirm_interval": f"{self.confirm}ms", "fall": self.fall,
                "silent_fall": self.silent_fall, **short}

    def bound_ms(self, is_silent):
        """The computed worst case, as `leeward check --timing` has it."""
        first = 1.1 * self.interval
        if is_silent:
            return first + max(self.timeout, (self.silent_fall - 1) * self.confirm)
        return first + (self.fall - 1) * self.confirm

    def title(self):
        fall = "auto" if self.is_default else self.fall  # auto: as 3 where nothing is lost
        return (f"{self.name}: interval {self.interval} ms, confirm_interval {self.confirm} ms, "
                f"timeout {self.timeout} ms, fall {fall}, silent_fall {self.silent_fall}")


PROFILES = [
    Profile("fast", 20, 200, 200, 50, 3, 4, False),
    Profile("defaults", 5, 1000, 500, 50, 3, 10, True),
]


class Fault:
    def __init__(self, name, target, command, is_silent, peers):
        self.name, self.target, self.command = name, target, command
        self.is_silent, self.peers = is_silent, peers

    @property
    def count(self):
        """Which of the region's counts tells that a probe came."""
        return "http_requests" if self.target == "http" else "dns_queries"


# `peers`: the best median of the health-aware servers we compare with, in ms.
FAULTS = [
    Fault("endpoint refused", "http", "die", False, 340),
    Fault("endpoint HTTP 500", "http", "status 500", False, 860),
    Fault("endpoint hangs", "http", "hang", True, None),
    Fault("endpoint blackhole", "http", "blackhole", True, 1400),
    Fault("endpoint slow 2 s", "http", "slow 2000", True, 1860),
    Fault("resolver refused", "dns", "die", False, None),
    Fault("resolver SERVFAIL", "dns", "servfail", False, None),
    Fault("resolver blackhole", "dns", "blackhole", True, None),
    Fault("resolver slow 2 s", "dns", "slow 2000", True, None),
]
QUICK_FAULTS = ("endpoint refused", "resolver blackhole")


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench failover", description="From a fault to the first good answer.")
    add = parser.add_argument
    lab.add_common(add)
    add("--phases", type=int, default=0, help="faults of a kind (default 20; defaults: 5)")
    add("--profile", choices=[p.name for p in PROFILES] + ["all"], default="all")
    add("--faults", default="", metavar="TEXT",
        help="only those whose name has this in it; none: only the loss")
    add("--retries", type=int, default=2,
        help="how often a fault is injected again when something else had the cores (default 2)")
    add("--loss-seconds", type=int, default=60,
        help="how long answers are lost at each rate; 0: not at all (default 60)")
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 above the computed bound + {SLACK_MS} ms")
    options = lab.parse(parser)
    options.profiles = [p.name for p in PROFILES if options.profile in (p.name, "all")]
    if options.quick:
        options.phases, options.loss_seconds, options.retries = 1, 0, 0
        options.profiles = ["fast"]
    options.chosen = [fault for fault in FAULTS if options.faults in fault.name
                      and (not options.quick or fault.name in QUICK_FAULTS)]
    if not options.chosen and options.faults != "none":
        parser.error("no such fault: " + ", ".join(fault.name for fault in FAULTS))
    return options


# ---- the regions and the server


def configuration(regions, profile):
    timing = profile.given()
    dns = [{"dns": {"server": region.dns, "name": CANARY}, **timing} for region in regions]
    return {
        "node": {"region": regions[0].name},
        "regions": {region.name: {"minimum_healthy": 1, "checks": [check]}
                    for region, check in zip(regions, dns)},
        "services": {SERVICE: {
            "order": [region.name for region in regions],
            "check": {"http": {"port": 80, "path": "/healthz"}, **timing},
            "minimum_healthy": 1,
            "endpoints": {region.name: [region.http] for region in regions}}},
    }


class Scene:
    """Regions, a server, and a client that asks for the service all the while."""

    def __init__(self, options, profile, every_us=EVERY_US, seconds=7200, seed=1):
        self.options, self.profile = options, profile
        self.stage = lab.Stage(options)
        self.client = None
        try:
            regions = [self.stage.region(name, index, "--seed", str(seed + index))
                       for index, name in enumerate(("seoul", "tokyo", "singapore"), 1)]
            self.first = regions[0]
            self.server = self.stage.start(configuration(regions, profile))
            self.client = lab.Client(options, self.stage.folder, "bench-ask", *self.server.at,
                                     SERVICE, every_us, seconds)
        except BaseException:
            self.close()
            raise

    def is_home(self, answer):
        return answer.is_good and answer.address == self.first.address

    def is_moved(self, answer):
        return answer.is_good and answer.address != self.first.address

    def is_steady(self):
        status = self.server.status()
        home = self.server.endpoint(SERVICE, self.first.address)
        return (home["state"] == "up"
                and next(r for r in status["regions"] if r["name"] == "seoul")["state"] == "in")

    def await_steady(self):
        """The first region answers and nothing is suspected."""
        self.until(self.is_home, time.monotonic(), BACK_LIMIT_S, "the first region answers")
        end = time.monotonic() + BACK_LIMIT_S
        while not self.is_steady():
            if time.monotonic() > end:
                raise lab.Failed(f"the first region does not come up: {self.server.log_tail(5)}")
            time.sleep(0.01)

    def until(self, wanted, since, limit_s, what):
        place = self.client.until(wanted, since, limit_s, self.begin(since))
        if place is None:
            raise lab.Failed(f"not within {limit_s} s: {what}\n{self.server.log_tail(10)}")
        return self.client.answers[place]

    def begin(self, since):
        """Where answers to questions asked after `since` may begin."""
        answers = self.client.read()
        place = len(answers)
        # answers come nearly in order: go back well past the moment
        while place > 0 and answers[place - 1].sent > since - 6:
            place -= 1
        return place

    def close(self):
        if self.client is not None:
            self.client.stop()
        self.stage.close()


# ---- one fault


def await_probe(region, count):
    """Returns just after a probe has reached the region."""
    before = region.stats()[count]
    end = time.monotonic() + 10
    while region.stats()[count] == before:
        if time.monotonic() > end:
            raise lab.Failed(f"no probe comes to {region.name}")
        time.sleep(0.001)
    return time.monotonic()


def inject(scene, fault, phase):
    """One fault at this phase of the interval; what came of it."""
    scene.await_steady()
    probe = await_probe(scene.first, fault.count)
    time.sleep(max(0.0, probe + phase * scene.profile.interval / 1000 - time.monotonic()))
    waited = lab.times_ms(scene.server.process.pid)[1]
    begin = time.monotonic()
    scene.first.do(f"{fault.target} {fault.command}")
    injected = time.monotonic()
    # asked after the fault: an earlier answer that leads elsewhere proves nothing
    moved = scene.until(scene.is_moved, begin, MOVE_LIMIT_S, f"the answer moves ({fault.name})")
    waited = lab.times_ms(scene.server.process.pid)[1] - waited
    time.sleep(SETTLE_S)
    heal = time.monotonic()
    scene.first.heal(fault.target)
    back = scene.until(scene.is_home, heal, BACK_LIMIT_S, f"the answer returns ({fault.name})")
    seen = scene.client.answers[scene.begin(begin):]
    return {
        "phase": phase,
        "ms": (moved.done - begin) * 1000,
        "bad": sum(1 for answer in seen
                   if begin <= answer.done < moved.done and scene.is_home(answer)),
        "relapses": sum(1 for answer in seen
                        if moved.sent < answer.sent < heal and scene.is_home(answer)),
        "back_ms": (back.done - heal) * 1000,
        "command_ms": (injected - begin) * 1000,
        "waited_ms": waited,
        "disturbed": max(waited, (injected - begin) * 1000) > DISTURBED_MS,
    }


def inject_calmly(options, scene, fault, phase):
    for _ in range(options.retries):
        result = inject(scene, fault, phase)
        if not result["disturbed"]:
            return result
    return inject(scene, fault, phase)


def measure_profile(options, profile):
    """All faults of one profile; rows by fault, and the answers that must never be."""
    phases = options.phases or profile.phases
    rows = {}
    scene = Scene(options, profile)
    try:
        for fault in options.chosen:
            rows[fault.name] = []
            for number in range(phases):
                lab.progress(f"{profile.name}: {fault.name}: {number + 1}/{phases}")
                rows[fault.name].append(
                    inject_calmly(options, scene, fault, (number + 0.5) / phases))
            lab.progress("")
            print_row(profile, fault, rows[fault.name])
    finally:
        lab.progress("")
        scene.close()
    answers = [a for a in scene.client.answers if a.result != "open"]
    return rows, {"asked": len(answers), "never": never(answers)}


def never(answers):
    """Answers that a service must not get, by kind."""
    kinds = {}
    for answer in answers:
        if not answer.is_good:
            kind = "empty" if answer.result == lab.NOERROR else answer.result
            kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


# ---- loss


def lossy_scenes(options, profile):
    """(rate, target, scene) for each, all running."""
    scenes = []
    try:
        for rate in RATES:
            for target in ("http", "dns"):
                scenes.append((rate, target, Scene(options, profile, every_us=20000,
                                                   seed=len(scenes) * 10 + 1)))
        for _, _, scene in scenes:
            scene.await_steady()
    except BaseException:
        for _, _, scene in scenes:
            scene.close()
        raise
    return scenes


def measure_loss(options, profile):
    rows = []
    scenes = lossy_scenes(options, profile)
    try:
        begin = time.monotonic()
        for rate, target, scene in scenes:
            scene.first.do(f"{target} lossy {rate}")
        lab.progress(f"{profile.name}: loss for {options.loss_seconds} s")
        time.sleep(options.loss_seconds)
        end = time.monotonic()
        for rate, target, scene in scenes:
            seen = [a for a in scene.client.read() if begin <= a.sent < end]
            home = [scene.is_home(answer) for answer in seen if answer.is_good]
            rows.append({
                "percent": rate, "target": target, "seconds": end - begin,
                "moves": sum(1 for a, b in zip(home, home[1:]) if a and not b),
                "changes": sum(1 for a, b in zip(home, home[1:]) if a != b),
                "away": home.count(False) / len(home) if home else float("nan"),
                "never": never(seen)})
    finally:
        lab.progress("")
        for _, _, scene in scenes:
            scene.close()
    return rows


# ---- what is printed


def print_head(profile, options):
    print(f"\nfailover, {profile.title()}; {options.phases or profile.phases} phases, "
          f"a question every {EVERY_US / 1000:g} ms; times in ms")
    print(f"{'':20}{'bound':>6}{'worst':>7}{'median':>8}{'min':>6}  {'bound+50':8}"
          f"{'bad':>5}  {'back min/median/max':20}{'peers':>6}", flush=True)


def print_row(profile, fault, results):
    times = [result["ms"] for result in results]
    bound = profile.bound_ms(fault.is_silent)
    within = "yes" if max(times) <= bound + SLACK_MS else "NO"
    disturbed = sum(result["disturbed"] for result in results)
    print(f"{fault.name:20}{bound:6.0f}{max(times):7.0f}{lab.median(times):8.0f}{min(times):6.0f}"
          f"  {within:8}{lab.median([result['bad'] for result in results]):5.0f}"
          f"  {lab.spread([result['back_ms'] for result in results]):20}"
          f"{fault.peers if fault.peers and not profile.is_default else '-':>6}"
          + (f"  disturbed {disturbed} of {len(results)}" if disturbed else ""))
    sys.stdout.flush()


def print_never(counted):
    kinds = ", ".join(f"{count} {kind}" for kind, count in counted["never"].items())
    print(f"of {counted['asked']} answers empty, NXDOMAIN, SERVFAIL, wrong or lost: "
          f"{kinds or 'none'}")


def print_loss(profile, rows):
    print(f"\nfalse moves, {profile.title()}; "
          f"{rows[0]['seconds']:.0f} s at each rate, all at once")
    print(f"{'answers lost':30}{'moves':>6}{'changes':>9}{'moves/hour':>12}{'away':>8}")
    for row in rows:
        name = f"{row['percent']}% of the {'endpoint' if row['target'] == 'http' else 'resolver'}'s"
        print(f"{name:30}{row['moves']:6}{row['changes']:9}"
              f"{row['moves'] * 3600 / row['seconds']:12.0f}{row['away']:8.1%}")


def too_slow(record):
    found = []
    for profile in PROFILES:
        for fault in FAULTS:
            results = record.get(profile.name, {}).get("faults", {}).get(fault.name, [])
            limit = profile.bound_ms(fault.is_silent) + SLACK_MS
            worst = max((result["ms"] for result in results), default=0)
            if worst > limit:
                found.append(f"{profile.name}: {fault.name}: {worst:.0f} ms, more than "
                             f"{limit:.0f}")
    return found


def wrong(record):
    """What must not be on any machine."""
    found = []
    for name, part in record.items():
        for fault, results in part["faults"].items():
            if any(result["relapses"] for result in results):
                found.append(f"{name}: {fault}: answers went back during the fault")
        kinds = dict(part["answers"]["never"])
        for row in part.get("loss", []):
            for kind, count in row["never"].items():
                kinds[kind] = kinds.get(kind, 0) + count
        found += [f"{name}: {count} answers were {kind}" for kind, count in kinds.items()]
    return found


def main():
    options = parse_arguments()
    lab.print_machine()
    record = {}
    for profile in PROFILES:
        if profile.name not in options.profiles:
            continue
        part = record[profile.name] = {"faults": {}, "answers": {"asked": 0, "never": {}}}
        if options.chosen:
            print_head(profile, options)
            part["faults"], part["answers"] = measure_profile(options, profile)
            print_never(part["answers"])
        if options.loss_seconds > 0:
            part["loss"] = measure_loss(options, profile)
            print_loss(profile, part["loss"])
    if any("loss" in part for part in record.values()):
        print("\nfalse moves over simulated days: tests/unit/detect_test.c")
    del options.chosen
    lab.write_json(options, {"profiles": record})
    return lab.report(wrong(record) + (too_slow(record) if options.is_gate else []))


if __name__ == "__main__":
    lab.run(main)
