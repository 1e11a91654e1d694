"""Contestants of an outage, side by side: each with two regions and with clients of its own.

The near region's resolver answers at once, the far one's after a while. Where the
bench has namespaces of its own (see namespace.py) everybody listens on port 53 of
an address of 127.0.0.0/8, elsewhere on free ports, and nobody uses the C library.
"""
import os
import tempfile
import time

import contestants
import forwarders
import lab
import namespace

DOMAIN = forwarders.DOMAIN
NEAR_MS, FAR_MS = 0, 10
LOOKUPS_A_SECOND, QUESTIONS_A_SECOND, CACHED_A_SECOND = 50, 100, 20


class Alone:
    """No forwarder: the C library with two nameservers."""

    name, more = "glibc", ""


class AloneRotating:
    """The options under which the fewest of its lookups are slow."""

    name, more = "glibc-rotate", "options timeout:1 rotate\n"


class Floor:
    """No forwarder, no fault: the far region asked directly. What it suffers, the machine did."""

    name = "floor"


BARE = (Alone, AloneRotating, Floor)
KINDS = [*forwarders.ALL, *BARE]
STALE_KINDS = [kind for kind in forwarders.ALL if kind is not forwarders.DnsmasqAll]


class Line:
    """A contestant, its two regions, and those who ask it."""

    def __init__(self, options, folder, kind, index, ttl_s):
        self.options, self.folder, self.kind, self.index = options, folder, kind, index
        self.name, self.ttl_s = kind.name, ttl_s
        self.regions, self.clients, self.server = [], {}, None
        self.counts = []  # how often each region has been asked: at each mark
        self.marks = []

    def start(self, stale=False):
        port = ["--dns-port", "53"] if self.options.inside else []
        for number, delay in ((1, NEAR_MS), (2, FAR_MS)):
            self.regions.append(lab.Region(
                lab.program(self.options, "leeward-region"), self.folder,
                f"{self.name}-{number}", f"127.{60 + number}.{self.index}.1", number,
                ["--delay", f"{delay}ms", "--ttl", str(self.ttl_s), *port]))
        if self.kind not in BARE:
            self.server = self.kind(self.options)
            if self.kind.own_address:
                self.server.address = f"127.53.{self.index}.1"
            self.server.port = 53 if self.options.inside else 0
            plan = forwarders.Plan([region.at("dns") for region in self.regions], stale)
            self.server.start(os.path.join(self.folder, self.name), plan)

    @property
    def asked_directly(self):
        """(address, port) of whom the UDP clients ask, None when they have nobody."""
        if self.kind is Floor:
            return self.regions[1].at("dns")
        return (self.server.address, self.server.port) if self.server else None

    def resolv_conf(self):
        if self.server is not None:
            return f"nameserver {self.server.address}\nsearch .\n"
        regions = self.regions[1:] if self.kind is Floor else self.regions
        return "".join(f"nameserver {region.address}\n" for region in regions) + \
            f"search .\n{getattr(self.kind, 'more', '')}"

    def ask(self, seconds):
        """All clients begin."""
        if self.options.inside:
            prefix = namespace.prefix_for(self.folder, self.name, self.resolv_conf())
            self.clients["getaddrinfo"] = lab.Client(
                self.options, self.folder, "bench-lookup", DOMAIN,
                1_000_000 // LOOKUPS_A_SECOND, seconds, prefix=prefix)
        if self.asked_directly is not None:
            self.clients["udp"] = lab.Client(
                self.options, self.folder, "bench-ask", *self.asked_directly, DOMAIN,
                1_000_000 // QUESTIONS_A_SECOND, seconds, "fresh")
            self.clients["cached"] = lab.Client(
                self.options, self.folder, "bench-ask", *self.asked_directly,
                f"cached.{DOMAIN}", 1_000_000 // CACHED_A_SECOND, seconds)

    def mark(self):
        """Remembers how often its regions were asked until now."""
        self.marks.append(time.monotonic())
        self.counts.append([region.stats()["dns_queries"] for region in self.regions])

    def break_near(self, command):
        if self.kind is not Floor:
            self.regions[0].do(command)

    def break_all(self, command):
        for region in self.regions:
            region.do(command)

    def finish(self, limit_s):
        """All answers, by client."""
        return {name: client.finish(limit_s) for name, client in self.clients.items()}

    def stop(self):
        for one in [*self.clients.values(), self.server, *self.regions]:
            if one is not None:
                one.stop()


class Scene:
    """All contestants of a fault, started anew; close() ends them."""

    def __init__(self, options, folder, kinds, problems, ttl_s=3600, stale=False):
        self.lines = []
        self.folder = tempfile.mkdtemp(prefix="s", dir=folder)
        try:
            for kind in kinds:
                if kind.name in problems or not can_take_part(options, kind):
                    continue
                line = Line(options, self.folder, kind, KINDS.index(kind) + 1, ttl_s)
                self.lines.append(line)
                try:
                    line.start(stale)
                except contestants.StartError as problem:
                    problems[kind.name] = (isinstance(problem, contestants.NotInstalled),
                                           str(problem))
                    self.lines.remove(line)
                    line.stop()
        except BaseException:
            self.close()
            raise

    def close(self):
        for line in self.lines:
            line.stop()


def can_take_part(options, kind):
    return options.inside or kind in (Floor, *forwarders.ALL)
