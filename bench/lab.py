"""What the benches of failover, forwarding and memory share: options, regions, clients.

The simulated regions and the server are started with the library of the
end-to-end tests; whatever was started is ended by its own pid.
"""
import json
import os
import platform
import signal
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.dont_write_bytecode = True

from lib.region import Region  # noqa: E402
from lib.server import Server  # noqa: E402

NOERROR = "0"


class Failed(Exception):
    """A bench cannot go on; the text says why."""


# ---- the command line


def add_common(add):
    add("--quick", action="store_true", help="a smoke run of a few seconds")
    add("--build", default=os.path.join(ROOT, "build"), help="where everything is built")
    add("--leeward", default="", help="the program (default BUILD/leeward)")
    add("--json", metavar="FILE", help="write every figure")


def parse(parser):
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    options.leeward = os.path.abspath(options.leeward or os.path.join(options.build, "leeward"))
    if options.json:
        options.json = os.path.abspath(options.json)
    return options


def program(options, name):
    folder = "bench" if name.startswith("bench-") else ""
    path = os.path.join(options.build, folder, name)
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} is not built: ./dev build")
    return path


def run(main):
    """main() as a program: its status, or 1 with the reason."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except (Failed, AssertionError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def report(failures):
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if failures else 0


def write_json(options, record):
    if options.json:
        record = {"machine": machine(), "options": vars(options), **record}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
            file.write("\n")


# ---- the machine


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "load": os.getloadavg()[0]}


def busy_share(seconds=0.5):
    """How much of all cores is used at the moment: the load average is slow to forget."""
    def ticks():
        with open("/proc/stat", encoding="ascii") as file:
            values = [int(word) for word in file.readline().split()[1:9]]
        return sum(values), values[3] + values[4]  # all, idle and waiting for a disk

    total, idle = ticks()
    time.sleep(seconds)
    total_after, idle_after = ticks()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def print_machine():
    about = machine()
    busy = busy_share()
    print(f"machine: {about['cores']} x {about['cpu']}, Linux {about['kernel']}, "
          f"load {about['load']:.2f}, {busy:.0%} busy at the start")
    if busy > 0.1:
        print("note: the machine was not idle: times are worse than they would be")
    sys.stdout.flush()


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


def times_ms(pid):
    """(on a core, in line for one): of all living threads of a process so far, in ms."""
    ran = waited = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                fields = file.read().split()
        except OSError:
            continue  # the thread has ended, or the kernel does not tell
        ran, waited = ran + int(fields[0]), waited + int(fields[1])
    return ran / 1e6, waited / 1e6


# ---- regions and servers


class Stage:
    """Simulated regions and servers in a folder of their own; close() ends them all."""

    def __init__(self, options):
        self.options = options
        self.region_program = program(options, "leeward-region")
        if not os.access(options.leeward, os.X_OK):
            raise Failed(f"{options.leeward} is not built: ./dev build")
        self.folder = tempfile.mkdtemp(prefix="lwb-", dir="/tmp")  # a socket's path is short
        self.started = []

    def region(self, name, index, *arguments):
        region = Region(self.region_program, self.folder, name, f"127.0.{index}.1", index,
                        arguments)
        self.started.append(region)
        return region

    def folder_for(self, name):
        path = os.path.join(self.folder, f"{name}{len(self.started)}")
        os.mkdir(path)
        return path

    def start(self, configuration, kind=Server, **more):
        """A server that answers and has its first verdicts."""
        server = kind(self.options.leeward, self.folder_for("server"), configuration, **more)
        self.started.append(server)
        return server.start()

    def close(self):
        for one in reversed(self.started):
            try:
                one.stop()
            except AssertionError as problem:
                print(f"note: {problem}", file=sys.stderr)
        self.started = []
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- figures


def percentile(values, share):
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def median(values):
    return statistics.median(values) if values else float("nan")


def spread(values):
    """min / median / max as text, in whole units."""
    if not values:
        return "-"
    return f"{min(values):.0f} / {median(values):.0f} / {max(values):.0f}"


# ---- clients


class Answer:
    """One question and what became of it; times in seconds of time.monotonic()."""

    __slots__ = ("sent", "done", "result", "address")

    def __init__(self, line):
        sent, done, self.result, self.address = line.split()
        self.sent, self.done = int(sent) / 1e9, int(done) / 1e9

    @property
    def ms(self):
        return (self.done - self.sent) * 1000

    @property
    def is_good(self):
        return self.result == NOERROR and self.address != "-"


class Client:
    """bench-ask or bench-lookup, running; what it tells is read from its file as it comes."""

    def __init__(self, options, folder, name, *arguments, prefix=()):
        """`prefix` is a command that runs the program, in surroundings of its own."""
        self.path = os.path.join(folder, f"{name}-{time.monotonic_ns()}")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                [*prefix, program(options, name), *[str(word) for word in arguments]],
                stdin=subprocess.DEVNULL, stdout=out)
        self.file = open(self.path, encoding="ascii")
        self.answers = []
        self.rest = ""

    def read(self):
        """All answers so far."""
        lines = (self.rest + self.file.read()).split("\n")
        self.rest = lines.pop()
        self.answers += [Answer(line) for line in lines]
        return self.answers

    def until(self, wanted, since, limit_s, begin=0):
        """Reads on until wanted(answer) of one asked after `since`; returns its place among
        the answers, or None when there was none in time. `begin` is where to look from."""
        end = time.monotonic() + limit_s
        place = begin
        while True:
            late = time.monotonic() > end
            answers = self.read()
            while place < len(answers):
                if answers[place].sent >= since and wanted(answers[place]):
                    return place
                place += 1
            if late:
                return None
            if self.process.poll() is not None:
                raise Failed(f"{self.process.args[0]} ended with {self.process.returncode}")
            time.sleep(0.005)

    def finish(self, limit_s):
        """Waits for its end; all its answers."""
        try:
            status = self.process.wait(limit_s)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{self.process.args[0]} does not end") from late
        if status != 0:
            raise Failed(f"{self.process.args[0]} ended with {status}")
        return self.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if not self.file.closed:
            self.read()
            self.file.close()
