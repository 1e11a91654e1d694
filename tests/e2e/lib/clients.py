#!/usr/bin/env python3
"""
Clients that are no part of this tree, curl and getaddrinfo, and one that is.

  clients.py NAME PAUSE_S [ADDRESS]

looks NAME up again and again, a {} in it being a number that counts up, and
prints a line of JSON for each: through getaddrinfo, one after the other; or,
given an address, over UDP, never asking twice and never waiting.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(HERE))

from lib import dns, patience  # noqa: E402

GIVEN_UP_S = 5.0  # a question unanswered for so long has failed


def environment():
    """Nothing of the user's own that turns lookups or requests elsewhere."""
    return {name: value for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and name not in ("RES_OPTIONS", "LOCALDOMAIN",
                                                                    "HOSTALIASES")}


# ---- curl


def curl_command(host):
    return ["curl", "-q", "--silent", "--show-error", "--max-time", "2", f"http://{host}/"]


def curl(host):
    """One request; its body, or what went wrong."""
    done = subprocess.run(curl_command(host), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, env=environment(), stdin=subprocess.DEVNULL)
    return done.stdout.strip()


def curl_until(host, wanted, since, limit_s):
    """
    Start a curl every 50 ms, whether or not those before have ended, until the body
    of one is the line wanted; the seconds from `since` to then.
    """
    running, last = [], "nothing"
    end = time.monotonic() + patience.seconds(limit_s)
    start_next, env = 0.0, environment()
    try:
        while True:
            now = time.monotonic()
            late = now > end
            if now >= start_next:
                start_next = now + 0.05
                running.append(subprocess.Popen(curl_command(host), stdin=subprocess.DEVNULL,
                                                text=True, stdout=subprocess.PIPE,
                                                stderr=subprocess.STDOUT, env=env))
            for one in [one for one in running if one.poll() is not None]:
                running.remove(one)
                last = one.communicate()[0].strip()
                if last == wanted:
                    return time.monotonic() - since
            if late:
                raise AssertionError(f"curl did not say {wanted!r} within "
                                     f"{patience.seconds(limit_s):g} s, but {last!r}")
            time.sleep(0.004)
    finally:
        for one in running:
            one.kill()
            one.communicate()


# ---- lookups, in a process of their own


def say(begin, **result):
    print(json.dumps({"begin": begin, "end": time.monotonic(), **result}), flush=True)


def look_up_forever(name, pause_s):
    number = 0
    while True:
        number += 1
        asked = name.replace("{}", str(number))
        begin = time.monotonic()
        try:
            found = socket.getaddrinfo(asked, 80, type=socket.SOCK_STREAM)
            say(begin, addresses=sorted({entry[4][0] for entry in found}))
        except OSError as exc:
            say(begin, error=f"{asked}: {exc}")
        time.sleep(pause_s)


class Asker:
    """Asks at a steady pace, whatever comes back."""

    def __init__(self, name, pause_s, address):
        self.name, self.pause_s = name, pause_s
        self.sock = dns.udp_socket((address, 53))
        self.sock.setblocking(False)
        self.number = 0
        self.waiting = {}  # id: (when it was asked, name, query); the oldest first

    def run(self):
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= due:
                due = max(due + self.pause_s, now - 1.0)
                self.ask(now)
            if select.select([self.sock], [], [], max(0.0, due - time.monotonic()))[0]:
                self.receive()
            self.give_up()

    def ask(self, now):
        self.number += 1
        name = self.name.replace("{}", str(self.number))
        query = dns.make_query(name, qid=self.number & 0xFFFF)
        self.waiting[self.number & 0xFFFF] = (now, name, query)
        try:
            self.sock.send(query)
        except ConnectionRefusedError:
            pass  # of an earlier one; silence fails it

    def receive(self):
        try:
            data = self.sock.recv(65535)
        except (BlockingIOError, ConnectionRefusedError):
            return
        begin, name, query = self.waiting.pop(int.from_bytes(data[:2], "big"), (None, "", b""))
        if begin is None:
            return
        try:
            answer = dns.check_response(query, data)
        except (AssertionError, dns.Malformed) as exc:
            say(begin, error=f"{name}: {exc}")
            return
        if answer.rcode == dns.NOERROR and answer.addresses:
            say(begin, addresses=sorted(answer.addresses))
        else:
            say(begin, error=f"{name}: rcode {answer.rcode}, {answer.ede}")

    def give_up(self):
        for qid, (begin, name, _) in list(self.waiting.items()):
            if time.monotonic() - begin < GIVEN_UP_S:
                return
            del self.waiting[qid]
            say(begin, error=f"{name}: no answer within {GIVEN_UP_S:g} s")


class Lookups:
    """That process, and what it has seen."""

    def __init__(self, folder, label, name, pause_s, address=None):
        self.path = os.path.join(folder, "lookups-" + label)
        self.seen, self.offset = [], 0
        command = [sys.executable, os.path.abspath(__file__), name, str(pause_s)]
        with open(self.path, "wb") as file:
            self.process = subprocess.Popen(
                command + ([address] if address else []), stdin=subprocess.DEVNULL, stdout=file,
                start_new_session=True, env=environment())

    def since(self, begin):
        """Those that ended since, the last at the end."""
        if self.process.poll() is not None:
            raise AssertionError("the process that looks names up has ended")
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            whole = file.read()
        whole = whole[:whole.rfind(b"\n") + 1]
        self.offset += len(whole)
        self.seen += map(json.loads, whole.splitlines())
        first = len(self.seen)
        while first > 0 and self.seen[first - 1]["end"] >= begin:
            first -= 1
        return self.seen[first:]

    def first(self, address, since):
        """Seconds until the first answer was this address alone; None if there is none."""
        for one in self.since(since):
            if one.get("addresses") == [address]:
                return one["end"] - since
        return None

    def last_are(self, address, count=1):
        """Were the last few of the last two seconds this address alone?"""
        last = self.since(time.monotonic() - 2.0)[-count:]
        return len(last) == count and all(one.get("addresses") == [address] for one in last)

    def settled(self, address, count, since):
        """When the first of `count` in a row, all asked since, was answered so; or None."""
        row = []
        for one in self.since(since):
            if one["begin"] < since:
                continue
            row = row + [one] if one.get("addresses") == [address] else []
            if len(row) >= count:
                return row[0]["end"]
        return None

    def stop(self):
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    if len(sys.argv) > 3:
        Asker(sys.argv[1], float(sys.argv[2]), sys.argv[3]).run()
    look_up_forever(sys.argv[1], float(sys.argv[2]))
