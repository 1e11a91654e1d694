"""unbound and nginx as regions, getaddrinfo and curl as clients: strangers.py as one test."""

import os
import re
import subprocess
import sys

from lib.world import Skip

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "strangers.py")
COUNT = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")


def test_strangers_on_both_sides_see_every_failover(w):
    command = [sys.executable, SCRIPT, os.path.dirname(w.leeward)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    *lines, last = done.stdout.splitlines() or [""]
    counted = COUNT.fullmatch(last)
    if counted and int(counted[3]) > 0:
        raise Skip(" ".join(lines).replace("SKIP strangers: ", ""))
    print(done.stdout, end="")
    assert done.returncode == 0, f"strangers.py ended with {done.returncode}"
    assert counted and int(counted[1]) > 0, f"nothing passed: {last!r}"
