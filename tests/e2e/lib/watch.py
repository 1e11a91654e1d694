"""A client that asks all the while, and what it saw."""

import threading
import time

from lib import dns


class Watch:
    """
    Asks one name over and over in a thread of its own. As a context manager it
    ends with the block, and then everything seen must have been a good answer:
    NOERROR, never empty, never lost.
    """

    def __init__(self, at, name, rtype=dns.A, pause_s=0.005):
        self.at, self.name, self.rtype, self.pause_s = at, name, rtype, pause_s
        self.seen = []  # (monotonic time, message or an exception)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stopping.is_set():
            begin = time.monotonic()
            try:
                result = dns.ask(self.at, self.name, self.rtype)
            except (OSError, AssertionError, dns.NoAnswer, dns.Malformed) as exc:
                result = exc
            self.seen.append((begin, result))
            self.stopping.wait(self.pause_s)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            self.check()

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def bad(self):
        return [(at, result) for at, result in self.seen
                if isinstance(result, Exception) or result.rcode != dns.NOERROR
                or not result.addresses]

    def check(self):
        assert self.seen, "the client never came to ask"
        bad = self.bad()
        assert not bad, (f"{len(bad)} of {len(self.seen)} lookups of {self.name} went wrong, "
                         f"the first: {bad[0][1]!r}")

    def answers(self):
        """The address sets in the order seen, equal ones in a row once."""
        runs = []
        for _, result in list(self.seen):
            addresses = None if isinstance(result, Exception) else result.addresses
            if not runs or runs[-1] != addresses:
                runs.append(addresses)
        return runs

    def changes(self):
        return len(self.answers()) - 1
