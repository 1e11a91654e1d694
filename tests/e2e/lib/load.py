"""Clients that look names up all the while, each name once: what is not in any cache."""

import itertools
import threading
import time

from lib import dns
from lib.forwarding import DOMAIN, index_of

numbers = itertools.count()  # of all loads in this process


class Load:
    """
    `clients` threads, each of which asks for a new name `per_second` times. As
    a context manager it ends with the block, and then no lookup must have
    failed; `seen` holds (when, seconds, answer or exception).
    """

    def __init__(self, at, clients=2, per_second=40, domain=DOMAIN, source=None):
        self.at, self.pause_s, self.domain, self.source = at, 1 / per_second, domain, source
        self.seen = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def run(self):
        while not self.stopping.is_set():
            begin = time.monotonic()
            try:
                result = dns.ask(self.at, f"load{next(numbers)}.{self.domain}", source=self.source)
            except (OSError, AssertionError, dns.NoAnswer, dns.Malformed) as exc:
                result = exc
            spent = time.monotonic() - begin
            self.seen.append((begin, spent, result))
            self.stopping.wait(max(0, self.pause_s - spent))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            self.check()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def bad(self):
        return [entry for entry in self.seen if isinstance(entry[2], Exception)
                or entry[2].rcode != dns.NOERROR or not entry[2].addresses]

    def check(self):
        assert self.seen, "nobody came to ask"
        bad = self.bad()
        assert not bad, (f"{len(bad)} of {len(self.seen)} lookups failed, the first after "
                         f"{bad[0][1]:.3f} s: {bad[0][2]!r} "
                         f"{getattr(bad[0][2], 'ede', '')}")

    def slowest(self):
        return max(spent for _, spent, _ in self.seen)

    def last_index(self, count=10):
        """The region that gave all of the last answers, or None."""
        last = [index_of(result) for _, _, result in self.seen[-count:]
                if not isinstance(result, Exception) and result.addresses]
        return last[0] if len(last) == count and len(set(last)) == 1 else None
