#!/usr/bin/env python3
"""
Strangers on both sides of the server: unbound is each region's resolver and nginx
its endpoint, each region in a network of its own; glibc's getaddrinfo and curl are
the clients, through a resolv.conf that names leeward.

  strangers.py [--demo] [BUILD_DIR]

The region preferred loses its resolver, then its endpoint, by SIGSTOP, by SIGKILL
and by a packet filter. Each time curl must come out in the next region, no lookup of
any name may fail, and after healing curl must come out in the first region again.
--demo tells the same as a story. The last line counts what passed; where such
networks cannot be made it says why and counts one skipped.

Everything runs inside namespaces (network, mounts, processes) that hold no other
process: what is mounted there, a private /etc/resolv.conf among it, is seen nowhere
else, no packet leaves, and the kernel takes all of it away with the first process,
however that ends. It needs root, or a kernel that lets users make namespaces.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from lib import dns, patience  # noqa: E402
from lib.server import REPORTS  # noqa: E402

SERVICE = "api.svc.example.com"
CANARY = "canary.corp.example"
OTHER = "other.example"

MOVE_LIMIT_S = 10.0
BACK_LIMIT_S = 15.0
WHOLE_LIMIT_S = 90.0

INTERVAL_MS, TIMEOUT_MS, CONFIRM_MS, FALL, SILENT_FALL = 200, 200, 50, 3, 4
HOLD_DOWN_MS = 1000

PR_SET_PDEATHSIG = 1
TOOLS = ("unshare", "nsenter", "mount", "ip", "nft", "unbound", "nginx", "curl")


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


def count(passed, failed, skipped):
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)


def ms(seconds):
    return f"{round(seconds * 1000)} ms"


# ---- processes


def run(*command, text=None):
    """Run a command that must succeed; its output."""
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


def spawn(command, log, **options):
    """A session of its own: what a terminal interrupts is this script, not its cast."""
    with open(log, "ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                start_new_session=True, **options)


def tail(path, lines=25):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])
    except FileNotFoundError:
        return ""


# ---- a region: a network, unbound, nginx

UNBOUND = """
server:
  interface: {dns}
  access-control: 10.77.0.0/16 allow
  do-daemonize: no
  do-not-query-localhost: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  logfile: ""
  num-threads: 1
  module-config: "iterator"
  local-zone: "." refuse
  local-zone: "corp.example." static
  local-data: "{canary}. 5 A 192.0.2.53"
  local-zone: "{other}." redirect
  local-data: "{other}. 5 A {answer}"
remote-control:
  control-enable: no
"""

# Without a master, so that one signal stops all of it; as the only user there may be.
NGINX = """
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen {http}:80;
    location = / {{ return 200 "region {name}\\n"; }}
    location = /healthz {{ return 200 "ok\\n"; }}
  }}
}}
"""


class Region:
    """Linked to the app server, which is where this script runs, by a veth pair."""

    def __init__(self, name, index, folder):
        self.name, self.folder = name, os.path.join(folder, name)
        self.gateway = f"10.77.{index}.1"
        self.dns, self.http = f"10.77.{index}.53", f"10.77.{index}.80"
        self.answer = f"192.0.2.{index}"  # what its unbound says of all names below OTHER
        self.holder = self.unbound = self.nginx = None
        os.mkdir(self.folder)

    def make_network(self):
        # Keeps the network while no server runs in it.
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo made; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        if not self.holder.stdout.readline():
            raise AssertionError(f"no network for {self.name}")
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0",
            "netns", str(self.holder.pid))
        run("ip", "addr", "add", self.gateway + "/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        self.inside("ip", "link", "set", "lo", "up")
        for address in (self.dns, self.http):
            self.inside("ip", "addr", "add", address + "/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")

    def enter(self):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]

    def inside(self, *command, text=None):
        return run(*self.enter(), *command, text=text)

    def write(self, name, template):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(template.format(canary=CANARY, other=OTHER, **vars(self)))
        return path

    def start_unbound(self):
        # Its own copy: AppArmor knows unbound by its path and lets it read /etc/unbound only.
        program = os.path.join(self.folder, "unbound")
        if not os.path.exists(program):
            shutil.copy(shutil.which("unbound"), program)
        conf = self.write("unbound.conf", UNBOUND)
        self.unbound = spawn([*self.enter(), program, "-d", "-c", conf], self.log("unbound"))

    def start_nginx(self):
        conf = self.write("nginx.conf", NGINX)
        self.nginx = spawn([*self.enter(), "nginx", "-e", "stderr", "-p", self.folder, "-c", conf],
                           self.log("nginx"))

    def log(self, server):
        return os.path.join(self.folder, server + ".log")

    def wait_started(self):
        patience.until(self.answers, lambda: f"{self.name} answers\n" + tail(self.log("unbound")))
        patience.until(self.accepts, lambda: f"{self.name} accepts\n" + tail(self.log("nginx")))

    def answers(self):
        try:
            return dns.ask((self.dns, 53), CANARY, timeout_s=0.5).addresses
        except (dns.NoAnswer, OSError):
            return False

    def accepts(self):
        try:
            socket.create_connection((self.http, 80), 0.5).close()
            return True
        except OSError:
            return False


# ---- faults


class Fault:
    """One of a region's two servers, and one of three ways to lose it."""

    def __init__(self, region, part, way):
        self.region, self.part, self.way = region, part, way
        self.server = {"resolver": "unbound", "endpoint": "nginx"}[part]
        self.port = {"resolver": 53, "endpoint": 80}[part]
        self.process = None

    def __str__(self):
        return f"{self.part} {self.way}"

    def story(self):
        name = f"{self.region.name.capitalize()}'s {self.server}"
        return {"SIGSTOP": f"{name} is stopped: its kernel still takes what comes, nobody answers.",
                "SIGKILL": f"{name} is killed: the port refuses.",
                "nft drop": f"A packet filter drops all that comes for {name}."}[self.way]

    def bound_ms(self):
        """The computed worst case, without the round trip, of config.md's --timing."""
        interval, timeout, confirm = (round(patience.seconds(value)) for value in
                                      (INTERVAL_MS, TIMEOUT_MS, CONFIRM_MS))
        if self.way == "SIGKILL":
            return 11 * interval // 10 + (FALL - 1) * confirm
        return 11 * interval // 10 + max(timeout, (SILENT_FALL - 1) * confirm)

    def inject(self):
        self.process = getattr(self.region, self.server)
        if self.way == "SIGSTOP":
            self.process.send_signal(signal.SIGSTOP)
        elif self.way == "SIGKILL":
            self.process.kill()
            self.process.wait()
        else:
            self.region.inside("nft", "-f", "-", text=(
                "table inet fault { chain input { type filter hook input priority 0;"
                f" meta l4proto {{ udp, tcp }} th dport {self.port} drop\n }}\n }}\n"))

    def heal(self):
        if self.way == "SIGSTOP":
            self.process.send_signal(signal.SIGCONT)
        elif self.way == "SIGKILL":
            getattr(self.region, "start_" + self.server)()
        else:
            self.region.inside("nft", "delete", "table", "inet", "fault")


# ---- clients


def client_environment():
    """Nothing of the user's own that turns lookups or requests elsewhere."""
    return {name: value for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and name not in ("RES_OPTIONS", "LOCALDOMAIN",
                                                                    "HOSTALIASES")}


CURL = ["curl", "-q", "--silent", "--show-error", "--max-time", "2", f"http://{SERVICE}/"]


def curl():
    """One request; its body, or what went wrong."""
    done = subprocess.run(CURL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, env=client_environment(), stdin=subprocess.DEVNULL)
    return done.stdout.strip()


def curl_until(region, since, limit_s):
    """
    Start a curl every 50 ms, whether or not those before have ended, until the body
    of one names the region; the seconds from `since` to then.
    """
    wanted, running, last = f"region {region.name}\n", [], "nothing"
    end = time.monotonic() + patience.seconds(limit_s)
    start_next, environment = 0.0, client_environment()
    try:
        while True:
            now = time.monotonic()
            late = now > end
            if now >= start_next:
                start_next = now + 0.05
                running.append(subprocess.Popen(CURL, stdin=subprocess.DEVNULL, text=True,
                                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                                env=environment))
            for one in [one for one in running if one.poll() is not None]:
                running.remove(one)
                last = one.communicate()[0]
                if last == wanted:
                    return time.monotonic() - since
            if late:
                raise AssertionError(f"curl did not name {region.name} within "
                                     f"{patience.seconds(limit_s):g} s, but said {last.strip()!r}")
            time.sleep(0.004)
    finally:
        for one in running:
            one.kill()
            one.communicate()


def lookup_forever(name, pause_s):
    """The process of a Lookups: getaddrinfo again and again, a line of JSON for each."""
    number = 0
    while True:
        number += 1
        asked = name.replace("{}", str(number))
        begin = time.monotonic()
        try:
            found = socket.getaddrinfo(asked, 80, type=socket.SOCK_STREAM)
            result = {"addresses": sorted({entry[4][0] for entry in found})}
        except OSError as exc:
            result = {"error": f"{asked}: {exc}"}
        print(json.dumps({"begin": begin, "end": time.monotonic(), **result}), flush=True)
        time.sleep(pause_s)


class Lookups:
    """A client that never stops asking. A {} in the name is a number that counts up."""

    def __init__(self, folder, name, pause_s):
        self.path = os.path.join(folder, "lookups-" + name.replace("{}", "n"))
        with open(self.path, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), "--lookup", name, str(pause_s)],
                stdin=subprocess.DEVNULL, stdout=file, start_new_session=True,
                env=client_environment())

    def since(self, begin):
        """Those that ended since."""
        if self.process.poll() is not None:
            raise AssertionError("the process that looks names up has ended")
        with open(self.path, encoding="utf-8") as file:
            lines = file.read().split("\n")[:-1]
        return [one for one in map(json.loads, lines) if one["end"] >= begin]

    def first(self, address, since):
        """Seconds until the first answer was this address alone; None if there is none."""
        for one in self.since(since):
            if one.get("addresses") == [address]:
                return one["end"] - since
        return None

    def last_is(self, address):
        last = self.since(time.monotonic() - 2.0)[-1:]
        return bool(last) and last[0].get("addresses") == [address]


# ---- the play


def configuration(regions, folder):
    """leeward.yaml as JSON, which YAML includes."""
    timing = {"interval": patience.ms(INTERVAL_MS), "timeout": patience.ms(TIMEOUT_MS),
              "confirm_interval": patience.ms(CONFIRM_MS), "fall": FALL,
              "silent_fall": SILENT_FALL, "rise": 2, "hold_down": f"{HOLD_DOWN_MS}ms",
              "hold_down_max": f"{HOLD_DOWN_MS}ms"}  # several faults follow each other here
    return json.dumps({
        "node": {"region": regions[0].name, "state_directory": os.path.join(folder, "state")},
        "listen": ["127.0.0.1:53"],
        "api": {"socket": os.path.join(folder, "api.sock")},
        "regions": {r.name: {"minimum_healthy": 1, "checks": [
            {"dns": {"server": r.dns, "name": CANARY}, **timing}]} for r in regions},
        "services": {SERVICE: {
            "order": [r.name for r in regions],
            "ttl": {"normal": "1s", "suspect": "1s"},
            "check": {"http": {"port": 80, "path": "/healthz"}, **timing},
            "minimum_healthy": 1,
            "endpoints": {r.name: [r.http] for r in regions}}},
        "forward": {".": {"upstreams": [{"region": r.name, "address": r.dns} for r in regions]}},
    }, indent=2)


class Play:
    def __init__(self, build, folder, terminal):
        self.leeward, self.folder, self.terminal = os.path.join(build, "leeward"), folder, terminal
        self.regions = [Region(name, index, folder) for index, name in
                        enumerate(("seoul", "tokyo", "singapore"), 1)]
        self.first, self.next = self.regions[:2]
        self.log = os.path.join(folder, "leeward.log")
        self.server = self.service_lookups = self.other_lookups = None

    # ---- the stage

    def mount(self, path, content):
        """Lay a file over one of the machine's, for the processes in here."""
        if os.path.exists(path):
            source = os.path.join(self.folder, os.path.basename(path))
            with open(source, "w", encoding="utf-8") as file:
                file.write(content)
            run("mount", "--bind", source, path)

    def build_stage(self):
        self.mount("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
        self.mount("/etc/nsswitch.conf", "hosts: files dns\n")
        self.mount("/etc/hosts", "127.0.0.1 localhost\n")
        if os.path.isdir("/run/nscd"):  # a cache outside would answer for us
            run("mount", "-t", "tmpfs", "none", "/run/nscd")
        run("ip", "link", "set", "lo", "up")
        for region in self.regions:
            region.make_network()
            region.start_unbound()
            region.start_nginx()
        for region in self.regions:
            region.wait_started()

    def start_leeward(self):
        conf = os.path.join(self.folder, "leeward.yaml")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(configuration(self.regions, self.folder))
        self.server = spawn([self.leeward, "run", "-c", conf], self.log, cwd=self.folder)

        def asked():
            if self.server.poll() is not None:
                raise AssertionError("leeward did not start:\n" + tail(self.log))
            try:
                return dns.ask(("127.0.0.1", 53), SERVICE, timeout_s=0.5)
            except (dns.NoAnswer, OSError):
                return False

        patience.until(asked, lambda: "leeward answers\n" + tail(self.log))
        self.service_lookups = Lookups(self.folder, SERVICE, 0.01)
        self.other_lookups = Lookups(self.folder, "n{}." + OTHER, 0.02)
        self.wait_steady()

    def wait_steady(self):
        """Everything from the first region: curl's body, and the other names."""
        curl_until(self.first, time.monotonic(), BACK_LIMIT_S)
        patience.until(lambda: self.other_lookups.last_is(self.first.answer),
                       lambda: f"{self.first.name}'s resolver is asked for other names; "
                               f"{self.other_lookups.since(time.monotonic() - 1)[-1:]}",
                       BACK_LIMIT_S)

    def stop_leeward(self):
        """What was wrong with its end, or nothing."""
        if self.server is None:
            return ""
        if self.server.poll() is None:
            self.server.terminate()
            try:
                self.server.wait(patience.seconds(15))
            except subprocess.TimeoutExpired:
                self.server.kill()
                return "leeward does not stop when asked"
        with open(self.log, encoding="utf-8", errors="replace") as file:
            log = file.read()
        if self.server.returncode != 0 or any(word in log for word in REPORTS):
            return f"leeward ended with {self.server.returncode}:\n{log[-6000:]}"
        return ""

    # ---- the acts

    def show_steady(self):
        t = self.terminal
        t.heading("Three regions, each in a network of its own: unbound resolves, nginx serves.")
        for region in self.regions:
            t.tell(f"   {region.name:<10} unbound {region.dns}   nginx {region.http}")
        t.tell("   This is an app server in Seoul. Its resolver is leeward:")
        t.prompt("cat /etc/resolv.conf", open("/etc/resolv.conf", encoding="utf-8").read())
        t.prompt(f"curl http://{SERVICE}/", curl())

    def act(self, fault):
        """One fault, from the steady state back to it; a dictionary of what was measured."""
        size = os.path.getsize(self.log)
        self.wait_steady()
        self.terminal.tell("   " + fault.story())
        begin = time.monotonic()
        fault.inject()
        try:
            curl_s = curl_until(self.next, begin, MOVE_LIMIT_S)
            answers_s = self.service_lookups.first(self.next.http, begin)
            self.terminal.prompt(f"curl http://{SERVICE}/", curl())
            self.stays_moved()
            if fault.part == "resolver":
                self.other_names_moved(begin)
        finally:
            healed = time.monotonic()
            fault.heal()
        back_s = curl_until(self.first, healed, BACK_LIMIT_S)
        self.wait_steady()
        others = self.no_failure(self.other_lookups, begin)
        service = self.no_failure(self.service_lookups, begin)
        reason = self.reason(size)
        return {"fault": fault, "curl_s": curl_s, "answers_s": answers_s, "back_s": back_s,
                "reason": reason, "others": len(others), "services": len(service),
                "slowest_s": max(one["end"] - one["begin"] for one in others)}

    def stays_moved(self):
        for _ in range(3):
            body = curl()
            assert body == f"region {self.next.name}", f"curl said {body!r} after it had moved"

    def other_names_moved(self, begin):
        patience.until(lambda: self.other_lookups.first(self.next.answer, begin) is not None,
                       "another region's resolver is asked for other names")

    def no_failure(self, lookups, begin):
        """Those since, of which none may have failed or found something strange."""
        known = {r.answer for r in self.regions} | {r.http for r in self.regions}
        all_of_them = lookups.since(begin)
        for one in all_of_them:
            assert "error" not in one, (
                f"a lookup failed {ms(one['end'] - begin)} after the fault: {one['error']}")
            assert set(one["addresses"]) <= known, f"a strange answer: {one}"
        assert all_of_them, "nobody looked anything up"
        return all_of_them

    def reason(self, size):
        """The line in which leeward says why it left."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            file.seek(size)
            lines = [line.strip() for line in file if "down" in line.split("target=")[0]]
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
            for way in ("SIGSTOP", "SIGKILL", "nft drop"):
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
        for path in [self.log] + [r.log(s) for r in self.regions[:2] for s in ("unbound", "nginx")]:
            print(f"---- the end of {os.path.relpath(path, self.folder)}\n{tail(path)}", flush=True)


def inside(build, folder, demo):
    """The first process in the namespaces; the app server is its network."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    run("mount", "-t", "tmpfs", "-o", "mode=755", "strangers", folder)
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
    count(len(passed), failed, 0)
    return 1 if failed else 0


# ---- outside

# What the play needs of the kernel, and each step says for itself why it cannot.
PROBE = """
mount -t tmpfs probe "$1"
touch "$1/file"
mount --bind "$1/file" /etc/resolv.conf
ip link set lo up
ip link add probe0 type veth peer name probe1
nft add table inet probe
unshare --net true
"""


def namespaces(*options):
    return ["unshare", *options, "--net", "--mount", "--propagation", "private", "--pid", "--fork",
            "--kill-child", "--mount-proc", "--"]


def spot(*used):
    """
    A folder that every machine has and in which nothing that we use is, rather an empty
    one. A file system in memory is laid over it, for the processes in the namespaces only.
    """
    fit = []
    for folder in ("/media", "/mnt", "/srv", "/opt"):
        inner = os.path.realpath(folder) + os.sep
        if os.path.isdir(folder) and not any(path.startswith(inner) for path in used):
            fit.append(folder)
    return min(fit, key=lambda folder: len(os.listdir(folder)), default=None)


def find_way(folder):
    """The command that makes the namespaces, or None and why there is none."""
    ways = [[]] if os.geteuid() == 0 else []
    ways.append(["--user", "--map-root-user"])
    reasons = []
    for way in ways:
        command = namespaces(*way)
        done = subprocess.run([*command, "sh", "-euc", PROBE, "sh", folder], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=60)
        if done.returncode == 0:
            return command, ""
        said = " ".join(done.stdout.split()) or f"the probe ended with {done.returncode}"
        reasons.append(("as a user: " if way else "as root: ") + said)
    return None, "namespaces are not permitted here; " + "; ".join(reasons)


def find_stage(build):
    """(command, folder, why not)"""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return None, None, "not installed: " + ", ".join(missing)
    if not os.path.exists("/etc/resolv.conf"):
        return None, None, "there is no /etc/resolv.conf that another could be mounted over"
    used = [os.path.realpath(path) for path in
            (build, __file__, sys.executable, "/etc/resolv.conf", *map(shutil.which, TOOLS))]
    folder = spot(*used)
    if folder is None:
        return None, None, "/media, /mnt, /srv and /opt are missing or in use"
    command, reason = find_way(folder)
    return command, folder, reason


def die_with_parent():
    """Before exec: even a SIGKILL of the script ends the namespaces."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def outside(build, demo):
    if not os.access(os.path.join(build, "leeward"), os.X_OK):
        print(f"{build} has no leeward: build first")
        count(0, 1, 0)
        return 2
    command, folder, reason = find_stage(build)
    if command is None:
        print(f"SKIP strangers: {reason}")
        count(0, 0, 1)
        return 1 if demo else 0  # a test may be skipped, a story must be told

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    arguments = ["--inside", folder] + (["--demo"] if demo else []) + [build]
    process = subprocess.Popen([*command, sys.executable, os.path.abspath(__file__), *arguments],
                               stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        code = process.wait(patience.seconds(WHOLE_LIMIT_S))
        if code not in (0, 1):
            print(f"FAILED  strangers: the play ended with {code}")
            count(0, 1, 0)
        return 0 if code == 0 else 1
    except subprocess.TimeoutExpired:
        print(f"FAILED  strangers: given up after {patience.seconds(WHOLE_LIMIT_S):g} s")
        count(0, 1, 0)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if process.poll() is None:
            process.kill()  # and the kernel ends what is in the namespaces
            process.wait()


def main():
    parser = argparse.ArgumentParser(description="One play of strangers around the real server.")
    parser.add_argument("build", nargs="?", help="where leeward is (build)")
    parser.add_argument("--demo", action="store_true", help="tell it as a story")
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--lookup", nargs=2, metavar=("NAME", "PAUSE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.lookup:
        lookup_forever(args.lookup[0], float(args.lookup[1]))
    # An ordinary user's PATH often lacks where ip, nft and the servers are.
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    build = os.path.abspath(args.build or os.path.join(HERE, "..", "..", "build"))
    if args.inside:
        return inside(build, args.inside, args.demo)
    return outside(build, args.demo)


if __name__ == "__main__":
    sys.exit(main())
