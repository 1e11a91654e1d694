#!/usr/bin/env python3
"""
leeward in front of unbound, named and dnsmasq, which are resolvers of regions in
networks of their own.

  strangers_forward.py [--compare] [--way WAY]... [--hold SECONDS] [BUILD_DIR]

First what each of them is told, and how: letter case, EDNS, cookies, TCP after a
truncated answer, signatures, TLS with a certificate that is checked. Then every path
to them is cut and restored while names are looked up that nobody has asked for before:
SIGSTOP, SIGKILL, a packet filter, loss, delay, a link that is cut, an interface that is
down. No lookup may fail, and the near resolver must be used again. At last all paths
are cut at once, and must be found again. One leeward stands in front of each of them,
one asks over TCP only, one over TLS.

--compare puts unbound, named and dnsmasq as forwarders beside it, and prints what all
clients saw in a table. The last line counts what passed; where such networks cannot be
made (see lib/stage.py) it says why and counts one skipped.
"""

import argparse
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from lib import cut, dns, forwarders, patience, resolvers, stage  # noqa: E402
from lib.clients import Lookups  # noqa: E402
from lib.cut import Cut  # noqa: E402
from lib.place import Place  # noqa: E402
from lib.process import read, run, tail  # noqa: E402
from lib.resolvers import LARGE, LARGE_TEXTS, OTHER, SIGNED  # noqa: E402
from lib.server import Server  # noqa: E402

BACK_LIMIT_S = 15.0   # leeward's, on a machine that is busy with other things
WATCHED_S = 6.0       # after healing, when forwarders are compared
WHOLE_LIMIT_S = 85.0
COMPARE_LIMIT_S = 200.0
HOLD_S = 2.0          # how long a path is cut, unless --hold says so
ROW = 10              # lookups in a row that the near resolver answers: it is used again
PAUSE_S = 0.02
SLOWEST_S = 2.0       # a lookup through leeward, on a machine that is busy with other things

RRSIG = 46
TOOLS = ("unbound", "named", "dnsmasq", "openssl")


# ---- who forwards


class Contestant:
    """A forwarder at an address of this machine, and a client that asks it all the while."""

    is_leeward = False

    def __init__(self, label, number, near, far):
        self.label, self.address = label, f"127.0.0.{number}"
        self.near, self.far = near, far
        self.lookups = None

    def look_up(self, folder):
        self.lookups = Lookups(folder, self.label, "n{}." + OTHER, PAUSE_S, self.address)

    def is_steady(self):
        return self.lookups.last_are(self.near.answer, ROW)

    def back_s(self, healed):
        """Seconds until the near resolver was in use again, or None."""
        at = self.lookups.settled(self.near.answer, ROW, healed)
        return None if at is None else at - healed

    def ask(self, name, rtype=dns.A, **parts):
        return dns.ask((self.address, 53), name, rtype, **parts)


class Leeward(Contestant):
    """`near_by` says of the near upstream how it is asked."""

    is_leeward = True

    def __init__(self, play, label, near, **near_by):
        super().__init__(label, play.next_number(), near, play.far)
        folder = os.path.join(play.folder, label)
        os.mkdir(folder)
        self.server = Server(play.binary, folder, {
            "node": {"region": near.name},
            "regions": {place.name: {"minimum_healthy": 0} for place in (near, play.far)},
            "forward": {".": {"upstreams": [
                {"region": near.name, "address": near.dns, **near_by},
                {"region": play.far.name, "address": play.far.dns}]}},
        }, addresses=(self.address,))

    def start(self):
        self.server.start_at(53)

    def state(self):
        """What it says of its upstreams."""
        return self.server.status()["upstreams"]

    def log_tail(self):
        return self.server.log_tail(25)


class Peer(Contestant):
    """`kind` is one of forwarders.py."""

    def __init__(self, play, kind, near):
        super().__init__(kind.name + "-peer", play.next_number(), near, play.far)
        self.program = kind(play.folder, self.address, (near.dns, play.far.dns))

    def start(self):
        run("ip", "addr", "add", self.address + "/8", "dev", "lo")  # named insists on it
        self.program.start()

        def answers():
            try:
                return self.ask("ready." + OTHER, timeout_s=0.5).addresses
            except (dns.NoAnswer, OSError):
                return False

        patience.until(answers, lambda: f"{self.label} answers\n" + self.log_tail())

    def log_tail(self):
        return tail(self.program.log)


# ---- the play


class Play:
    def __init__(self, build, folder, compare, hold_s):
        self.binary, self.folder = os.path.join(build, "leeward"), folder
        self.compare, self.hold_s = compare, hold_s
        self.certificate = resolvers.make_certificate(folder)
        self.near = [Place(name, index, folder, kind, certificate=self.certificate)
                     for index, (name, kind) in enumerate(resolvers.KINDS.items(), 1)]
        self.far = Place("far", len(self.near) + 1, folder, resolvers.Unbound)
        self.number = 0
        self.unbound, self.named, self.dnsmasq = (
            Leeward(self, place.name, place) for place in self.near)
        unbound, named = self.near[:2]
        self.tcp = Leeward(self, "tcp", named, tcp=True)
        self.tls = Leeward(self, "tls", unbound, tls=self.tls_of(resolvers.CERTIFICATE_NAME))
        self.contestants = [self.unbound, self.named, self.dnsmasq, self.tcp, self.tls]
        if compare:
            self.contestants += [Peer(self, kind, unbound) for kind in forwarders.KINDS]

    def next_number(self):
        self.number += 1
        return self.number

    def tls_of(self, name):
        return {"name": name, "ca_file": self.certificate[0]}

    @property
    def leewards(self):
        return [one for one in self.contestants if one.is_leeward]

    def start(self):
        for place in [*self.near, self.far]:
            place.start()
        for place in [*self.near, self.far]:
            place.wait_started()
        for contestant in self.contestants:
            contestant.start()
            contestant.look_up(self.folder)
        self.wait_steady()

    def wait_steady(self):
        """Every leeward has its answers from the near resolver."""
        for one in self.leewards:
            patience.until(one.is_steady,
                           lambda one=one: f"{one.label}: its near resolver answers; "
                           f"{one.lookups.since(time.monotonic() - 1)[-3:]}; {one.state()}",
                           BACK_LIMIT_S)

    def log_of(self, contestant):
        return read(contestant.near.resolver.log)

    # ---- what resolvers are told

    def letter_case_differs_from_question_to_question(self):
        """0x20: the names were asked in small letters."""
        for one in (self.unbound, self.named, self.dnsmasq):
            asked = re.findall(r"\bn\d+\.other\.example\b", self.log_of(one), re.I)
            mixed = [name for name in asked if name != name.lower()]
            assert len(mixed) > len(asked) // 2, f"{one.label} was asked for {asked[-5:]}"

    def named_is_shown_its_own_cookie(self):
        flags = re.findall(r"query: \S+\.other\.example IN A (\S+) ", self.log_of(self.named), re.I)
        udp = [flag for flag in flags if "T" not in flag]
        assert udp and all("E(0)" in flag for flag in udp), f"without EDNS: {udp[-5:]}"
        good = [flag for flag in udp if "V" in flag]
        assert len(good) > len(udp) // 2, f"without a good cookie: {udp[-5:]}"

    def truncated_answers_are_fetched_over_tcp(self):
        for one in self.leewards:
            answer = one.ask(LARGE, dns.TXT, tcp=True)
            texts = [texts[0] for texts in answer.data(dns.TXT)]
            assert sorted(texts) == sorted(text.strip() for text in LARGE_TEXTS) or \
                sorted(texts) == LARGE_TEXTS, f"{one.label}: {answer}"
            short = one.ask(LARGE, dns.TXT)
            assert short.has(dns.TC), f"{one.label} is no datagram's size: {short}"

    def signatures_come_when_asked_for(self):
        for one in (self.named, self.tcp):
            signed = one.ask(SIGNED, do=True)
            types = [record.type for record in signed.answer]
            assert dns.A in types and RRSIG in types, f"{one.label}: {signed}"
            plain = one.ask(SIGNED)
            assert [record.type for record in plain.answer] == [dns.A], f"{one.label}: {plain}"

    def another_name_in_the_certificate_is_refused(self):
        """The far one answers, which is asked in the clear."""
        wrong = Leeward(self, "wrong", self.near[0], tls=self.tls_of("somebody.else.test"))
        wrong.start()
        try:
            for number in range(5):
                answer = wrong.ask(f"w{number}." + OTHER)
                assert answer.addresses == {self.far.answer}, f"{answer}; {wrong.state()}"
            reason = str([one.get("reason") for one in wrong.state()])
            assert "certificate" in reason or "certificate" in wrong.server.log_text(), (
                f"nobody says why: {wrong.state()}")
        finally:
            wrong.server.stop()
        assert not wrong.server.reports(), wrong.server.reports()

    def a_start_while_the_near_one_is_silent_costs_no_lookup(self):
        silence = Cut(cut.DROPPED, self.near[0].resolver)
        silence.inject()
        late = Leeward(self, "late", self.near[0])
        try:
            late.start()
            for number in range(5):
                answer = late.ask(f"s{number}." + OTHER, timeout_s=SLOWEST_S)
                assert answer.addresses == {self.far.answer}, f"{answer}; {late.state()}"
        finally:
            silence.heal()
            late.server.stop()
        assert not late.server.reports(), late.server.reports()

    def words(self):
        return [self.letter_case_differs_from_question_to_question,
                self.named_is_shown_its_own_cookie,
                self.truncated_answers_are_fetched_over_tcp,
                self.signatures_come_when_asked_for,
                self.another_name_in_the_certificate_is_refused,
                self.a_start_while_the_near_one_is_silent_costs_no_lookup]

    # ---- what they suffer

    def act(self, way):
        """All near resolvers are lost in one way, from the steady state back to it."""
        self.wait_steady()
        preferring = [one for one in self.contestants if one.is_steady()]
        cuts = [Cut(way, place.resolver) for place in self.near]
        begin = time.monotonic()
        try:
            for one in cuts:
                one.inject()
            time.sleep(self.hold_s)
            self.all_moved(way, begin)
        finally:
            for one in cuts:
                one.heal()
        for place in self.near:
            place.wait_started()
        healed = time.monotonic()
        self.wait_back(healed)
        end = time.monotonic()
        rows = [self.row(one, begin, healed, end, one in preferring) for one in self.contestants]
        for row in rows:
            if row["contestant"].is_leeward:
                self.check(row)
        return rows

    def all_moved(self, way, begin):
        """The far resolver was asked, except where the near one can still be used."""
        for one in self.leewards:
            if way != cut.LOSSY and not (way == cut.SLOW and one in (self.tcp, self.tls)):
                patience.until(lambda one=one: one.lookups.first(one.far.answer, begin) is not None,
                               lambda one=one: f"{one.label}: the far resolver is asked; "
                               f"{one.state()}")

    def wait_back(self, healed):
        for one in self.leewards:
            patience.until(lambda one=one: one.back_s(healed) is not None,
                           lambda one=one: f"{one.label}: the near resolver is used again; "
                           f"{one.state()}", BACK_LIMIT_S)
        if self.compare:
            time.sleep(max(0.0, healed + WATCHED_S - time.monotonic()))

    @staticmethod
    def row(one, begin, healed, end, preferring):
        """What its client saw from the cut to the end."""
        seen = [lookup for lookup in one.lookups.since(begin) if lookup["end"] <= end]
        took = [lookup["end"] - lookup["begin"] for lookup in seen]
        return {"contestant": one, "begin": begin, "count": len(seen), "preferring": preferring,
                "back_s": one.back_s(healed), "slowest_s": max(took, default=0.0),
                "slow": sum(seconds > 0.1 for seconds in took),
                "failed": [lookup for lookup in seen if "error" in lookup],
                "strange": [lookup for lookup in seen if "error" not in lookup and not
                            set(lookup["addresses"]) <= {one.near.answer, one.far.answer}]}

    @staticmethod
    def check(row):
        one = row["contestant"]
        assert not row["failed"], (
            f"{one.label}: {len(row['failed'])} of {row['count']} lookups failed, the first "
            f"{row['failed'][0]['begin'] - row['begin']:.3f} s after the cut: "
            f"{row['failed'][0]['error']}; {one.state()}")
        assert not row["strange"], f"{one.label}: strange answers: {row['strange'][:3]}"
        assert row["slowest_s"] < patience.seconds(SLOWEST_S), (
            f"{one.label}: a lookup took {row['slowest_s']:.3f} s; {one.state()}")
        assert row["count"], f"{one.label}: nobody looked anything up"

    def lose_all(self, way):
        """Nobody answers, so lookups may fail; but no restart is needed afterwards."""
        self.wait_steady()
        cuts = [Cut(way, place.resolver) for place in [*self.near, self.far]]
        try:
            for one in cuts:
                one.inject()
            time.sleep(self.hold_s)
        finally:
            for one in cuts:
                one.heal()
        for place in [*self.near, self.far]:
            place.wait_started()
        healed = time.monotonic()
        self.wait_back(healed)
        return max(one.back_s(healed) for one in self.leewards)

    # ---- the end

    def show_logs(self, number=8):
        for contestant in self.leewards:
            lines = contestant.log_tail().splitlines()[-number:]
            print(f"---- the end of the log of {contestant.label}", *lines, sep="\n", flush=True)

    def stop(self):
        """What was wrong with the servers' ends."""
        complaints = []
        for one in self.leewards:
            try:
                one.server.stop()
            except AssertionError as exc:
                complaints.append(f"{one.label}: {exc}")
            if one.server.reports():
                complaints.append(f"{one.label}: {one.server.reports()}")
        return complaints


# ---- what is printed


def say_row(row):
    if row["back_s"] is None:
        back = "never" if row["preferring"] else "no order"  # it prefers none
    else:
        back = f"{row['back_s']:.1f} s"
    return (f"{row['contestant'].label:<14} {row['count']:>7} {len(row['failed']):>6} "
            f"{row['slow']:>8} {row['slowest_s'] * 1000:>9.0f} ms {back:>8}")


def say_act(way, rows, compare):
    leewards = [row for row in rows if row["contestant"].is_leeward]
    slowest = max(leewards, key=lambda row: row["slowest_s"])
    print(f"ok      {way:<15} {sum(row['count'] for row in leewards)} lookups, 0 failed, slowest "
          f"{slowest['slowest_s'] * 1000:.0f} ms ({slowest['contestant'].label}); near again at "
          f"most {max(row['back_s'] for row in leewards):.1f} s after healing", flush=True)
    if compare:
        print(f"        {'':<14} {'lookups':>7} {'failed':>6} {'> 100 ms':>8} {'slowest':>12} "
              f"{'back':>8}")
        for row in rows:
            print("        " + say_row(row), flush=True)


def attempt(play, name, what):
    """(1, 0) or (0, 1): passed and failed."""
    try:
        what()
        return 1, 0
    except (AssertionError, OSError, subprocess.TimeoutExpired) as exc:
        print(f"FAILED  {name}: {exc}", flush=True)
        play.show_logs()
        return 0, 1


def perform(play, ways):
    results = [attempt(play, "start", play.start)]
    if results == [(1, 0)]:
        for word in play.words():
            name = word.__name__.replace("_", " ")
            results.append(attempt(play, name, word))
            if results[-1][0]:
                print(f"ok      {name}", flush=True)
        for way in ways:
            results.append(attempt(
                play, way, lambda way=way: say_act(way, play.act(way), play.compare)))
        for way in (cut.DROPPED, cut.INTERFACE) if set(ways) == set(cut.WAYS) else ():
            name = f"all lost: {way}"
            results.append(attempt(play, name, lambda way=way, name=name: print(
                f"ok      {name:<25} near again at most {play.lose_all(way):.1f} s after healing",
                flush=True)))
    passed, failed = (sum(column) for column in zip(*results))
    for complaint in play.stop():
        print("FAILED  " + complaint, flush=True)
        failed += 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description="Resolvers of strangers, cut off and restored.")
    parser.add_argument("build", nargs="?", help="where leeward is (build)")
    parser.add_argument("--compare", action="store_true", help="other forwarders beside it")
    parser.add_argument("--way", dest="ways", action="append", choices=cut.WAYS, metavar="WAY",
                        help="only these of: " + ", ".join(cut.WAYS).replace("%", "%%"))
    parser.add_argument("--hold", type=float, default=HOLD_S, metavar="SECONDS",
                        help=f"how long a path is cut ({HOLD_S:g})")
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)
    args = parser.parse_args()
    stage.use_whole_path()
    build = os.path.abspath(args.build or os.path.join(HERE, "..", "..", "build"))
    ways = args.ways or cut.WAYS
    if not args.inside:
        arguments = [f"--way={way}" for way in ways] + [f"--hold={args.hold}"]
        limit_s = COMPARE_LIMIT_S if args.compare else WHOLE_LIMIT_S
        return stage.play(__file__, build, arguments + ["--compare"] * args.compare,
                          tools=TOOLS, probe=cut.PROBE, must=args.compare,
                          limit_s=limit_s + len(ways) * max(0.0, args.hold - HOLD_S))
    stage.furnish(args.inside)
    passed, failed = perform(Play(build, args.inside, args.compare, args.hold), ways)
    stage.count(passed, failed, 0)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
