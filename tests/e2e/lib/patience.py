"""How long to wait: limits are generous, and grow with LEEWARD_TEST_PATIENCE."""

import os
import time

LIMIT_S = 15.0


def factor():
    """How much slower than usual this machine and these binaries may be; 1.0 is usual."""
    return float(os.environ.get("LEEWARD_TEST_PATIENCE", "1"))


def seconds(usual):
    return usual * factor()


def ms(usual):
    """A duration for a configuration, longer where everything is slower."""
    return f"{round(usual * factor())}ms"


def until(condition, what, limit_s=LIMIT_S, pause_s=0.01):
    """
    Wait until condition() is true and return what it returned. It is asked once
    more after the limit, so that a machine that stood still does not decide.
    """
    end = time.monotonic() + seconds(limit_s)
    while True:
        late = time.monotonic() > end
        value = condition()
        if value:
            return value
        if late:
            described = what() if callable(what) else what
            raise AssertionError(f"not within {seconds(limit_s):g} s: {described}")
        time.sleep(pause_s)


def holds(condition, what, for_s):
    """condition() stays true for a while, which is not stretched."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        if not condition():
            raise AssertionError(f"did not hold: {what() if callable(what) else what}")
        time.sleep(0.02)
