"""What tests of forwarding work with: a region's resolver, another's, and who answered."""

import itertools
import time

from lib import dns, patience
from lib.world import config, forwarding

DOMAIN = "elsewhere.org"

# An answer that needs another region's help is there long before this.
SOON_S = 1.0


def index_of(answer):
    """The number of the region that answered: the second byte of its address."""
    assert answer.rcode == dns.NOERROR and answer.addresses, answer
    return int(next(iter(answer.addresses)).split(".")[1])


def start(w, regions, *, rules=None, rule=None, **sections):
    """A server without services; the first region is its own, one called public is public."""
    upstreams = [(region.name, region.dns) for region in regions]
    own = [region for region in regions if region.name != "public"]
    whole = config(own, {}, gates=False, node={"region": regions[0].name},
                   forward=rules or forwarding(upstreams, **(rule or {})), **sections)
    return w.start(whole)


def state_of(server, region):
    """What status says of a region's resolver."""
    return next(u for u in server.status()["upstreams"] if u["region"] == region.name)


class Stage:
    """
    Seoul, the own region, whose resolver may lie; Tokyo, whose resolver does
    not; and a server that asks them. Each question is a new name in DOMAIN.
    """

    def __init__(self, w, seoul=(), **options):
        self.seoul = w.region("seoul", "127.0.1.1", 1, *seoul)
        self.tokyo = w.region("tokyo", "127.0.2.1", 2)
        self.regions = [self.seoul, self.tokyo]
        self.numbers = itertools.count()
        self.server = start(w, self.regions, **options)

    def name(self, below=""):
        return f"n{next(self.numbers)}.{below}{DOMAIN}"

    def ask(self, name=None, rtype=dns.A, **parts):
        """The answer, which must come soon."""
        begin = time.monotonic()
        answer = self.server.ask(name or self.name(), rtype, **parts)
        spent = time.monotonic() - begin
        assert spent < patience.seconds(SOON_S), f"{spent:.3f} s: {answer}"
        return answer

    def right(self, answer):
        """It is what a region says of the name; returns the region's number."""
        index = index_of(answer)
        honest = dns.ask(self.tokyo.at("dns"), answer.questions[0][0]).addresses
        want = frozenset("10." + str(index) + address[len("10.2"):] for address in honest)
        assert answer.addresses == want, f"{want} expected: {answer}"
        return index

    def trick(self, *tricks):
        for trick in tricks:
            self.seoul.do(f"trick {trick}")

    def rest(self):
        """The lies end, and Seoul is trusted again."""
        self.seoul.heal("dns")
        self.trusts(self.seoul)

    def trusts(self, region):
        patience.until(lambda: index_of(self.server.ask(self.name())) == region.index
                       and state_of(self.server, region)["state"] == "up",
                       lambda: f"{region.name} answers; {self.server.status()['upstreams']}",
                       pause_s=0.03)

    def outage(self, fault="blackhole"):
        """No resolver answers any more, and the server has seen that."""
        for region in self.regions:
            region.do(f"dns {fault}")

        def is_down():
            with dns.udp_socket(self.server.at) as sock:  # somebody asks, and does not wait
                sock.send(dns.make_query(self.name()))
            return all(state_of(self.server, r)["state"] == "down" for r in self.regions)

        patience.until(is_down, lambda: f"all are down: {self.server.status()['upstreams']}",
                       pause_s=0.05)

    def cure(self):
        for region in self.regions:
            region.heal("dns")
