#!/usr/bin/env python3
"""
Run the end-to-end tests: run.py BUILD_DIR [NAME...]

Each test_*.py beside this file holds functions test_*(world); each runs in a
process of its own with a world of its own (lib/world.py), within a limit of
time. NAMEs and -k are parts of "file.test". LEEWARD_TEST_PATIENCE stretches
every limit; for sanitized binaries it is larger by default.
"""

import argparse
import glob
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from lib import patience  # noqa: E402
from lib.world import Skip, World  # noqa: E402

LIMIT_S = 60
LONG_LIMIT_S = 150
JOBS_PER_CPU = 2  # tests mostly wait
SKIPPED = 77
TAIL_LINES = 40


def default_patience(binary):
    """Sanitizers make a program slower; they are found by their functions' names."""
    with open(binary, "rb") as file:
        image = file.read()
    if b"__tsan_init" in image:
        return 3
    return 2 if b"__asan_init" in image else 1


def is_long(test):
    return getattr(test, "long", False)


def discover(args):
    """[(name, function)] of what was asked for."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-len(".py")])
        for name, test in vars(module).items():
            if not name.startswith("test_") or not callable(test):
                continue
            full = module.__name__[len("test_"):] + "." + name[len("test_"):]
            if args.subset and args.subset not in getattr(test, "subsets", ()):
                continue
            if args.without_long and is_long(test):
                continue
            if not args.names or any(part in full for part in args.names):
                found.append((full, test))
    return sorted(found, key=lambda entry: not is_long(entry[1]))


# ---- in the process of a test


def run_test(test, build, folder):
    """The exit code; what went wrong is printed."""
    world = World(build, folder)
    code = 0
    try:
        test(world)
    except Skip as exc:
        print(exc)
        code = SKIPPED
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
        code = 1
    if code == 1:
        show_logs(world)
    try:
        for complaint in world.close():
            print(complaint)
            code = 1
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
        code = 1
    return code


def show_logs(world):
    for number, server in enumerate(world.servers):
        print(f"---- the end of the log of server {number}, port {server.port}")
        print(server.log_tail(TAIL_LINES))


def child(test, build, folder, output):
    os.setsid()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = sys.stdout
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    code = 1
    try:
        code = run_test(test, build, folder)
    finally:
        sys.stdout.flush()
        os._exit(code)


# ---- in the runner


class Running:
    def __init__(self, name, test, build):
        self.name = name
        self.output = tempfile.TemporaryFile()
        # Short: the path of a Unix socket in it is limited.
        self.folder = tempfile.mkdtemp(prefix="lwe-", dir="/tmp")
        self.begin = time.monotonic()
        self.limit_s = (LONG_LIMIT_S if is_long(test) else LIMIT_S) * patience.factor()
        self.asked_to_end = False
        self.pid = os.fork()
        if self.pid == 0:
            child(test, build, self.folder, self.output)

    def text(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace").rstrip()

    def enforce_limit(self):
        """First it may say where it stands and clean up; then it is killed."""
        spent = time.monotonic() - self.begin
        if spent > self.limit_s and not self.asked_to_end:
            self.asked_to_end = True
            os.kill(self.pid, signal.SIGTERM)
        elif spent > self.limit_s * 1.5:
            os.kill(self.pid, signal.SIGKILL)

    def clean_up(self):
        """Whatever the test left behind goes with it."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def report(self, status):
        """Print the line of the test; returns "passed", "failed" or "skipped"."""
        code = os.waitstatus_to_exitcode(status)
        spent = time.monotonic() - self.begin
        if code == 0:
            print(f"ok      {self.name:<66} {spent:6.1f} s")
            return "passed"
        if code == SKIPPED:
            print(f"skipped {self.name}: {self.text()}")
            return "skipped"
        print(f"FAILED  {self.name:<66} {spent:6.1f} s")
        if self.asked_to_end:
            print(f"    given up after {self.limit_s:g} s")
        for line in self.text().splitlines():
            print("    " + line)
        return "failed"


def run_all(tests, build, jobs):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    waiting, running = list(tests), {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                started = Running(*waiting.pop(0), build)
                running[started.pid] = started
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                done = running.pop(pid)
                done.clean_up()
                counts[done.report(status)] += 1
                done.output.close()
            elif pid == 0:
                for one in running.values():
                    one.enforce_limit()
                time.sleep(0.01)
            sys.stdout.flush()
    finally:
        for one in running.values():
            one.clean_up()
    return counts


def stop(number, _frame):
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("build", help="where leeward and leeward-region are")
    parser.add_argument("names", nargs="*", help="only tests with this in their name")
    parser.add_argument("-k", dest="patterns", action="append", default=[], metavar="PATTERN",
                        help="the same")
    parser.add_argument("--subset", choices=["tsan"], help="only tests marked for it")
    parser.add_argument("--without-long", action="store_true",
                        help="leave out tests that mostly wait for time to pass")
    parser.add_argument("-j", dest="jobs", type=int, metavar="N",
                        default=JOBS_PER_CPU * len(os.sched_getaffinity(0)),
                        help=f"tests at a time ({JOBS_PER_CPU} per processor)")
    parser.add_argument("-l", "--list", action="store_true", help="list the tests")
    args = parser.parse_args()
    args.names += args.patterns
    build = os.path.abspath(args.build)
    tests = discover(args)
    if args.list:
        for name, _ in tests:
            print(name)
        return 0
    for name in ("leeward", "leeward-region"):
        if not os.access(os.path.join(build, name), os.X_OK):
            print(f"{build} has no {name}: build first")
            return 2
    if not tests:
        print("no test has such a name")
        return 1
    os.environ.setdefault("LEEWARD_TEST_PATIENCE",
                          str(default_patience(os.path.join(build, "leeward"))))
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    counts = run_all(tests, build, args.jobs)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
