"""The servers that the benches compare: how each is configured and started.

All of those in this file serve the same names of svc.example.com on a free port of
127.0.0.1, in the foreground, as the current user, with one thread that answers
UDP, logging and rate limiting off, receive buffers as they are by default.
Everything they write stays in the directory they are given.
"""
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

DOMAIN = "svc.example.com"
START_LIMIT_S = 30
STOP_LIMIT_S = 10
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class StartError(Exception):
    """A server did not start, or does not answer; the text says why."""


class NotInstalled(StartError):
    """A server's program is not on this machine; the text says how to get it."""


def adopt_orphans():
    """Makes this process the parent of what its servers leave behind, so that
    stop() can wait for it. Call it once, before the first start()."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def service_name(number):
    return f"s{number}.{DOMAIN}"


def addresses(number):
    """A service's address in region r1 and in r2 (RFC 2544's test networks)."""
    high, low = number >> 8 & 0xFF, number & 0xFF
    return f"198.18.{high}.{low}", f"198.19.{high}.{low}"


def zone_text(names, apex_only=False):
    lines = [
        f"$ORIGIN {DOMAIN}.",
        "$TTL 30",
        "@ SOA ns1 hostmaster 1 7200 900 1209600 300",
        "@ NS ns1",
        "ns1 A 127.0.0.1",
    ]
    if not apex_only:
        lines += [f"s{number} A {addresses(number)[0]}" for number in range(names)]
    return "\n".join(lines) + "\n"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def free_port():
    """A port that is free for UDP and TCP on 127.0.0.1."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            udp.bind(("127.0.0.1", 0))
            port = udp.getsockname()[1]
            try:
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise StartError("no port is free for both UDP and TCP on 127.0.0.1")


def name_wire(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def query_wire(name, ident):
    """An A question with RD, which an authoritative server has no use for."""
    return struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + name_wire(name) + b"\0\1\0\1"


class Contestant:
    """One server. Subclasses say what it is; start() and stop() run it."""

    name = ""
    program = ""
    package = ""
    canned = False  # answers without looking: rcodes are not compared
    ready_name = f"s0.{DOMAIN}"  # it is up when it answers this with records

    def __init__(self, options):
        self.options = options
        self.process = None
        self.address = "127.0.0.1"
        self.port = 0  # 0: a free one
        self.directory = ""

    # What subclasses give.

    def configure(self, directory, port, workload):
        """Write the configuration; return the command line."""
        raise NotImplementedError

    def find(self):
        """The path of the program, or NotInstalled."""
        path = shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path is None:
            raise NotInstalled(f"not installed: apt-get install {self.package} "
                               "(or: bench/peers.sh)")
        return path

    def version(self):
        if not self.package or shutil.which("dpkg-query") is None:
            return ""
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", self.package],
                              capture_output=True, text=True, check=False)
        return done.stdout.strip()

    # Running it.

    def start(self, directory, workload, cpu=None):
        """Start it, on that core only when one is given, and wait until it answers."""
        self.find()
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.port = self.port or free_port()
        command = self.configure(directory, self.port, workload)
        prctl = ctypes.CDLL(None).prctl

        def in_child():
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})

        with open(self.log_path(), "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=in_child)
        self.await_answer()

    def log_path(self):
        return os.path.join(self.directory, "log")

    def log_tail(self):
        with open(self.log_path(), encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-12:]).strip()

    def await_answer(self):
        deadline = time.monotonic() + START_LIMIT_S
        query = query_wire(self.ready_name, 0x4C57)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(0.1)
            udp.connect((self.address, self.port))
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    raise StartError(f"ended with status {self.process.returncode}: "
                                     f"{self.log_tail()}")
                try:
                    udp.send(query)
                    answer = udp.recv(4096)
                except OSError:
                    time.sleep(0.02)
                    continue
                if self.is_good(answer):
                    return
                time.sleep(0.02)
        raise StartError(f"no good answer within {START_LIMIT_S} s: {self.log_tail()}")

    @staticmethod
    def is_good(answer):
        if len(answer) < 12:
            return False
        ident, flags, _, records = struct.unpack("!4H", answer[:8])
        return ident == 0x4C57 and flags & 0x800F == 0x8000 and records > 0

    def stop(self):
        """Ends the process, and what it started in its session."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        try:
            while True:
                os.waitpid(-self.process.pid, 0)
        except ChildProcessError:
            pass  # nobody is left of the group
        self.process = None


class Echo(Contestant):
    name = "echo"
    canned = True

    def find(self):
        path = os.path.join(self.options.build, "bench", "bench-echo")
        if not os.path.exists(path):
            raise NotInstalled(f"not built: {path} (./dev build)")
        return path

    def configure(self, directory, port, workload):
        return [self.find(), "--port", str(port), "--batch", str(self.options.batch)]


class Leeward(Contestant):
    name = "leeward"

    def find(self):
        path = os.path.abspath(self.options.leeward)
        if not os.access(path, os.X_OK):
            raise NotInstalled(f"not built: {path} (./dev build)")
        return path

    def configure(self, directory, port, workload):
        lines = [
            f"node: {{name: bench, region: r1, threads: 1, state_directory: {directory}/state}}",
            f"listen: [127.0.0.1:{port}]",
            "regions: {r1: {minimum_healthy: 0}, r2: {minimum_healthy: 0}}",
            f"api: {{socket: {directory}/api.sock}}",
        ]
        if workload.negative:
            # The zone's SOA is what a negative answer needs.
            write(f"{directory}/{DOMAIN}.zone", zone_text(0, apex_only=True))
            lines.append(f"zones: {{{DOMAIN}: {{file: {DOMAIN}.zone}}}}")
        lines.append("services:")
        for number in range(workload.names):
            first, second = addresses(number)
            lines.append(
                f"  {service_name(number)}: {{policy: failover, order: [r1, r2], ttl: 30s, "
                f"minimum_healthy: 1, on_all_down: last_good, "
                f"endpoints: {{r1: [{first}], r2: [{second}]}}}}")
        os.makedirs(f"{directory}/state", exist_ok=True)
        write(f"{directory}/leeward.yaml", "\n".join(lines) + "\n")
        return [self.find(), "run", "-c", f"{directory}/leeward.yaml"]


class Gdnsd(Contestant):
    name = "gdnsd"
    program = "gdnsd"
    package = "gdnsd"

    def configure(self, directory, port, workload):
        write(f"{directory}/etc/zones/{DOMAIN}", zone_text(workload.names))
        write(f"{directory}/etc/config", (
            "options => {\n"
            f"  listen => [ 127.0.0.1:{port} ]\n"
            "  udp_threads => 1\n"
            "  tcp_threads => 1\n"
            "  zones_rfc1035_threads => 1\n"
            f"  run_dir => {directory}/run\n"
            f"  state_dir => {directory}/state\n"
            "}\n"))
        for name in ("run", "state"):
            os.makedirs(f"{directory}/{name}", exist_ok=True)
        return [self.find(), "-c", f"{directory}/etc", "start"]


class Knot(Contestant):
    name = "knot"
    program = "knotd"
    package = "knot"

    def configure(self, directory, port, workload):
        write(f"{directory}/{DOMAIN}.zone", zone_text(workload.names))
        write(f"{directory}/knot.conf", (
            "server:\n"
            f"    rundir: {directory}\n"
            f"    listen: 127.0.0.1@{port}\n"
            "    udp-workers: 1\n"
            "    tcp-workers: 1\n"
            "    background-workers: 1\n"
            "log:\n"
            "  - target: stderr\n"
            "    any: error\n"
            "database:\n"
            f"    storage: {directory}/db\n"
            "zone:\n"
            f"  - domain: {DOMAIN}\n"
            f"    storage: {directory}\n"
            f"    file: {DOMAIN}.zone\n"
            "    zonefile-sync: -1\n"
            "    journal-content: none\n"))
        os.makedirs(f"{directory}/db", exist_ok=True)
        return [self.find(), "-c", f"{directory}/knot.conf"]


class Nsd(Contestant):
    name = "nsd"
    program = "nsd"
    package = "nsd"

    def configure(self, directory, port, workload):
        write(f"{directory}/{DOMAIN}.zone", zone_text(workload.names))
        write(f"{directory}/nsd.conf", (
            "server:\n"
            f"    ip-address: 127.0.0.1@{port}\n"
            "    server-count: 1\n"
            "    username: \"\"\n"
            "    chroot: \"\"\n"
            "    database: \"\"\n"
            f"    zonesdir: \"{directory}\"\n"
            f"    pidfile: \"{directory}/nsd.pid\"\n"
            f"    zonelistfile: \"{directory}/zone.list\"\n"
            f"    xfrdfile: \"{directory}/xfrd.state\"\n"
            f"    xfrdir: \"{directory}\"\n"
            "    minimal-responses: yes\n"
            "    rrl-ratelimit: 0\n"
            "    rrl-whitelist-ratelimit: 0\n"
            "    verbosity: 0\n"
            "remote-control:\n"
            "    control-enable: no\n"
            "zone:\n"
            f"    name: {DOMAIN}\n"
            f"    zonefile: {DOMAIN}.zone\n"))
        return [self.find(), "-d", "-c", f"{directory}/nsd.conf"]


ALL = [Echo, Leeward, Gdnsd, Knot, Nsd]
