"""What one test works with: a folder, regions, servers; all of it goes with the test."""

import os
import socket

from lib import patience
from lib.region import Region
from lib.server import Server, run_cli
from lib.watch import Watch

SERVICE = "api.svc.example.com"
CANARY = "canary.corp.example"


class Skip(Exception):
    """The test cannot run here; the text says why."""


def in_subset(name):
    """Decorator: the test is in the subset of that name, see run.py --subset."""
    def mark(test):
        test.subsets = getattr(test, "subsets", set()) | {name}
        return test
    return mark


tsan = in_subset("tsan")


def long(test):
    """Decorator: the test is started among the first, so that nothing waits for it at the end."""
    test.long = True
    return test


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


def needs_ipv6():
    if not has_ipv6():
        raise Skip("there is no ::1 here")


class World:
    """build: where the programs are; folder: for what the test writes, removed by the runner."""

    def __init__(self, build, folder):
        self.leeward = os.path.join(build, "leeward")
        self.leeward_region = os.path.join(build, "leeward-region")
        self.folder = folder
        self.regions = {}
        self.servers = []

    # ---- things that are started

    def region(self, name, address, index, *options):
        region = Region(self.leeward_region, self.folder, name, address, index, options)
        self.regions[name] = region
        return region

    def three_regions(self):
        """Seoul, Tokyo and Singapore, in this order everywhere below."""
        return [self.region("seoul", "127.0.1.1", 1), self.region("tokyo", "127.0.2.1", 2),
                self.region("singapore", "127.0.3.1", 3)]

    def server(self, config, **options):
        """A server that is not started yet."""
        folder = os.path.join(self.folder, f"server{len(self.servers)}")
        os.mkdir(folder)
        server = Server(self.leeward, folder, config, **options)
        self.servers.append(server)
        return server

    def start(self, config, ready=True, **options):
        return self.server(config, **options).start(ready)

    def cli(self, *arguments, **options):
        return run_cli(self.leeward, *arguments, cwd=self.folder, **options)

    def write_file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # ---- the end

    def close(self):
        """Stop everything; returns what was wrong with that."""
        complaints = []
        for server in self.servers:
            try:
                server.stop()
            except AssertionError as exc:
                complaints.append(str(exc))
            except OSError as exc:
                complaints.append(f"stopping the server: {exc}")
            if server.reports():
                complaints.append("a sanitizer reported:\n" + server.reports())
        for region in self.regions.values():
            region.stop()
        return complaints


# ---- configurations


def timing(**changes):
    """The short times of most tests, in which a failover takes less than half a second."""
    return {"interval": patience.ms(200), "timeout": patience.ms(200),
            "confirm_interval": patience.ms(50), "fall": 3, "silent_fall": 4, "rise": 2,
            "hold_down": "500ms", **changes}


def dns_check(region, name=CANARY, times=None, **more):
    return {"dns": {"server": region.dns, "name": name, **more}, **(times or timing())}


def http_check(times=None, **more):
    """The port is that of each endpoint."""
    return {"http": {"port": 80, "path": "/healthz", **more}, **(times or timing())}


def service(regions, **changes):
    """A service with one endpoint per region, checked over HTTP, preferred as listed."""
    return {"order": [region.name for region in regions],
            "ttl": {"normal": "30s", "suspect": "5s"},
            "check": http_check(),
            "minimum_healthy": 1,
            "endpoints": {region.name: [region.http] for region in regions},
            **changes}


def config(regions, services=None, gates=True, **sections):
    """
    A whole configuration: with `gates` each region has one dns check of its own.
    Without `services` there is one, SERVICE.
    """
    if gates:
        parts = {r.name: {"minimum_healthy": 1, "checks": [dns_check(r)]} for r in regions}
    else:
        parts = {r.name: {"minimum_healthy": 0} for r in regions}
    return {"regions": parts,
            "services": {SERVICE: service(regions)} if services is None else services,
            **sections}


def forwarding(upstreams, **more):
    """A forward section: every name, to these (region name or None, address) in order."""
    return {".": {"upstreams": [address if name is None else {"region": name, "address": address}
                                for name, address in upstreams], **more}}


# ---- what most tests say


def answers_with(server, *regions, name=SERVICE, rtype=1):
    """Wait until the answer is exactly these regions' addresses."""
    wanted = frozenset(region.address for region in regions)
    patience.until(lambda: server.addresses_of(name, rtype) == wanted,
                   lambda: f"{name} leads to {sorted(wanted)}, but to "
                           f"{sorted(server.addresses_of(name, rtype))}; "
                           f"{server.get('/api/v1/why', name=name)}")


def watch(server, name=SERVICE, **options):
    return Watch(server.at, name, **options)
