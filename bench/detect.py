#!/usr/bin/env python3
"""What probe loss does to a living target, and how soon a dead one is known.

First days of simulated time (bench-detect-days), then the real server: the
answers of a living endpoint are lost at a given rate for a minute, then it
dies, again and again. `fall: 3` (counted) beside `fall: auto`. See
bench/README.md.
"""
import argparse
import subprocess
import time

import failover
import lab

RATES = (0, 1, 5, 30)
MODES = ("counted", "auto")
CHANGE_LIMIT = 2  # a minute, at 30% loss
LEARN_S = 5
DEATHS = [("refused", "die", False), ("silent", "blackhole", True)]


class Profile(failover.Profile):
    """The defaults, counted or weighed."""

    def __init__(self, mode):
        super().__init__(mode, 1, 1000, 500, 50, 3, 10, True)

    def given(self):
        return {**super().given(), "fall": 3 if self.name == "counted" else "auto"}


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench detect", description="Probe loss, false alarms and real deaths.")
    add = parser.add_argument
    lab.add_common(add)
    add("--days", type=int, default=30, help="of simulated time for each row; 0: none "
        "(default 30)")
    add("--seconds", type=int, default=60,
        help="how long answers are lost on the real server; 0: not at all (default 60)")
    add("--deaths", type=int, default=5, help="of each kind, at each rate (default 5)")
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 above {CHANGE_LIMIT} changes of the answer a minute at 30%% loss, or when a "
        "death takes longer than computed")
    options = lab.parse(parser)
    if options.quick:
        options.days, options.seconds, options.deaths = 1, 5, 1
    return options


def open_scenes(options):
    """(rate, mode, scene) for each, all running and steady."""
    scenes = []
    try:
        for rate in RATES:
            for mode in MODES:
                scenes.append((rate, mode, failover.Scene(
                    options, Profile(mode), every_us=20000, seed=len(scenes) * 10 + 1)))
        for _, _, scene in scenes:
            scene.await_steady()
    except BaseException:
        close(scenes)
        raise
    return scenes


def close(scenes):
    for _, _, scene in scenes:
        scene.close()


def lose(scene, rate):
    scene.first.do(f"http lossy {rate}" if rate > 0 else "http heal")


def measure_life(options, scenes):
    """How often the answer changed at each rate, all at once."""
    rows = {}
    begin = time.monotonic()
    for rate, _, scene in scenes:
        lose(scene, rate)
    lab.progress(f"loss for {options.seconds} s")
    time.sleep(options.seconds)
    end = time.monotonic()
    for rate, mode, scene in scenes:
        seen = [a for a in scene.client.read() if begin <= a.sent < end and a.is_good]
        home = [scene.is_home(answer) for answer in seen]
        changes = sum(1 for a, b in zip(home, home[1:]) if a != b)
        rows[rate, mode] = {"rate": rate, "mode": mode, "changes": changes,
                            "per_minute": changes * 60 / (end - begin),
                            "away": home.count(False) / len(home) if home else float("nan"),
                            "deaths": {name: [] for name, _, _ in DEATHS}}
    return rows


def die(scene, rate, command, number, count):
    """From one death to the first answer that leads elsewhere, in ms."""
    lose(scene, rate)
    scene.await_steady()
    time.sleep(LEARN_S / count + number / count)  # any phase of the interval
    waited = lab.times_ms(scene.server.process.pid)[1]
    begin = time.monotonic()
    scene.first.do(f"http {command}")
    moved = scene.until(scene.is_moved, begin, failover.MOVE_LIMIT_S, "the answer moves")
    waited = lab.times_ms(scene.server.process.pid)[1] - waited
    scene.first.heal("http")
    return {"ms": (moved.done - begin) * 1000, "waited_ms": waited}


def measure_deaths(options, scenes, rows):
    for rate, mode, scene in scenes:
        for name, command, _ in DEATHS:
            for number in range(options.deaths):
                lab.progress(f"{rate}% {mode}: {name} {number + 1}/{options.deaths}")
                rows[rate, mode]["deaths"][name].append(
                    die(scene, rate, command, number, options.deaths))


def print_rows(rows):
    lab.progress("")
    print("\nthe real server, defaults; times from a death to the first answer that leads "
          "elsewhere, in ms")
    print(f"{'answers lost':14}{'fall':10}{'changes/min':>12}{'away':>7}"
          f"{'refused median':>16}{'worst':>7}{'silent median':>15}{'worst':>7}")
    for row in rows.values():
        line = (f"{str(row['rate']) + '%':14}{row['mode']:10}{row['per_minute']:12.1f}"
                f"{row['away']:7.1%}")
        for width, (name, _, _) in zip((16, 15), DEATHS):
            times = [death["ms"] for death in row["deaths"][name]]
            line += (f"{lab.median(times):{width}.0f}{max(times):7.0f}" if times
                     else f"{'-':>{width}}{'-':>7}")
        print(line)


def too_much(rows):
    found = []
    for row in rows.values():
        if row["rate"] <= 30 and row["per_minute"] > CHANGE_LIMIT:
            found.append(f"{row['rate']}% lost, {row['mode']}: {row['per_minute']:.1f} changes a "
                         "minute")
        for name, _, is_silent in DEATHS:
            limit = Profile(row["mode"]).bound_ms(is_silent) + failover.SLACK_MS
            worst = max((d["ms"] for d in row["deaths"][name] if d["waited_ms"] <= 10), default=0)
            # known loss asks for more: see docs/detection.md
            if worst > limit + (700 if row["mode"] == "auto" and row["rate"] >= 30 else 0):
                found.append(f"{row['rate']}% lost, {row['mode']}: {name} after {worst:.0f} ms")
    return found


def main():
    options = parse_arguments()
    lab.print_machine()
    if options.days > 0:
        print(f"\n{options.days} simulated days for each row; ms are median / most", flush=True)
        subprocess.run([lab.program(options, "bench-detect-days"), str(options.days)], check=True)
    rows = {}
    if options.seconds > 0:
        scenes = open_scenes(options)
        try:
            rows = measure_life(options, scenes)
            measure_deaths(options, scenes, rows)
        finally:
            lab.progress("")
            close(scenes)
        print_rows(rows)
    lab.write_json(options, {"rows": list(rows.values())})
    return lab.report(too_much(rows) if options.is_gate else [])


if __name__ == "__main__":
    lab.run(main)
