"""Programs of others on both sides, in networks of their own: each script is one test."""

import os
import re
import subprocess
import sys

from lib.world import Skip, long

HERE = os.path.dirname(os.path.abspath(__file__))
COUNT = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")


def play(w, name):
    command = [sys.executable, os.path.join(HERE, name + ".py"), os.path.dirname(w.leeward)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    *lines, last = done.stdout.splitlines() or [""]
    counted = COUNT.fullmatch(last)
    if counted and int(counted[3]) > 0:
        raise Skip(" ".join(lines).replace(f"SKIP {name}: ", ""))
    print(done.stdout, end="")
    assert done.returncode == 0, f"{name}.py ended with {done.returncode}"
    assert counted and int(counted[1]) > 0, f"nothing passed: {last!r}"


@long
def test_strangers_on_both_sides_see_every_failover(w):
    play(w, "strangers")


@long
def test_strangers_as_upstreams_are_cut_off_and_restored(w):
    play(w, "strangers_forward")
