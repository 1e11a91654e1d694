"""Resolvers as they may be configured: TLS, TCP, a budget, a file, a circle; and fair shares."""

import os
import socket
import threading
import time

from lib import dns, patience
from lib.forwarding import DOMAIN, Stage, index_of, state_of
from lib.load import Load
from lib.world import tsan

TLS_NAME = "dns.leeward.test"


def one_rule(w, upstreams, regions=("seoul", "tokyo"), node="seoul", **rule):
    """A server with this rule for everything."""
    return w.start({"regions": {name: {"minimum_healthy": 0} for name in regions},
                    "node": {"region": node},
                    "forward": {".": {"upstreams": upstreams, **rule}}})


class Secure:
    """Seoul over TLS, and Tokyo in plain words."""

    def __init__(self, w):
        self.world = w
        self.folder = os.path.join(w.folder, "tls")
        os.mkdir(self.folder)
        self.seoul = w.region("seoul", "127.0.1.1", 1, "--tls-dir", self.folder)
        self.tokyo = w.region("tokyo", "127.0.2.1", 2)
        with open(os.path.join(self.folder, "pin"), encoding="utf-8") as file:
            self.pin = file.read().strip()
        self.numbers = iter(range(10 ** 6))

    def start(self, tls=None, **rule):
        usual = {"name": TLS_NAME, "ca_file": os.path.join(self.folder, "ca.pem")}
        return one_rule(self.world, [
            {"region": "seoul", "address": self.seoul.tls, "tls": tls or usual},
            {"region": "tokyo", "address": self.tokyo.dns}], **rule)

    def name(self):
        return f"n{next(self.numbers)}.{DOMAIN}"

    def trusts(self, server):
        patience.until(lambda: index_of(server.ask(self.name())) == 1,
                       lambda: f"Seoul answers; {state_of(server, self.seoul)}", pause_s=0.05)

    def refuses(self, server):
        """Wait until status says why Seoul is not trusted; Tokyo answers all the while."""
        patience.until(lambda: index_of(server.ask(self.name())) == 2
                       and state_of(server, self.seoul)["state"] in ("suspect", "down")
                       and state_of(server, self.seoul)["reason"],
                       lambda: f"refused: {state_of(server, self.seoul)}", pause_s=0.05)
        assert self.seoul.counts()["tls"] == 0, "a question was told to whoever it was"
        return state_of(server, self.seoul)["reason"]


# ---- TLS


@tsan
def test_over_tls_everything_goes_over_tls(w):
    secure = Secure(w)
    server = secure.start(hedge="off")
    secure.trusts(server)
    name = secure.name()
    assert index_of(server.ask(name)) == 1
    assert secure.seoul.asked_over(name) == {"queries": 1, "udp": 0, "tcp": 0, "tls": 1}
    counts = secure.seoul.counts()
    assert counts["udp"] == counts["tcp"] == 0 and counts["tls_handshakes"] == 1, counts
    shown = state_of(server, secure.seoul)
    assert shown["transport"] == "tls" and shown["tls_name"] == TLS_NAME, shown
    assert shown["address"] == secure.seoul.tls, shown


def test_a_pin_is_as_good_as_a_name(w):
    secure = Secure(w)
    server = secure.start({"pins": [secure.pin]})
    secure.trusts(server)
    assert secure.seoul.counts()["tls"] > 0


def test_a_certificate_that_is_not_good_is_refused_with_the_reason(w):
    secure = Secure(w)
    reasons = {}
    for kind in ("expired", "future", "wrongname", "selfsigned"):
        secure.seoul.do(f"trick certificate {kind}")
        server = secure.start()
        reasons[kind] = secure.refuses(server)
        server.stop()
    for kind, word in (("expired", "expired"), ("wrongname", "name"), ("selfsigned", "sign")):
        assert word in reasons[kind], reasons
    assert len(set(reasons.values())) == 4, reasons


def test_another_name_another_pin_or_unknown_authorities_are_refused(w):
    secure = Secure(w)
    other = os.path.join(w.folder, "other")
    os.mkdir(other)
    w.region("stranger", "127.0.3.1", 3, "--tls-dir", other)
    authority = os.path.join(secure.folder, "ca.pem")
    for tls in ({"name": "dns.other.test", "ca_file": authority},
                {"pins": ["A" * 43 + "="]},
                {"name": TLS_NAME, "ca_file": authority, "pins": ["A" * 43 + "="]},
                {"name": TLS_NAME, "ca_file": os.path.join(other, "ca.pem")},
                {"name": TLS_NAME}):
        server = secure.start(tls)
        assert secure.refuses(server), tls
        server.stop()


def test_once_the_certificate_is_good_again_so_is_the_resolver(w):
    secure = Secure(w)
    secure.seoul.do("trick certificate expired")
    server = secure.start()
    secure.refuses(server)
    secure.seoul.do("untrick all")
    secure.trusts(server)


@tsan
def test_sessions_are_resumed(w):
    secure = Secure(w)
    secure.seoul.do("trick closeafter 1")
    server = secure.start(hedge="off")
    secure.trusts(server)
    for _ in range(10):
        assert index_of(server.ask(secure.name())) == 1
    counts = secure.seoul.counts()
    assert counts["tls_handshakes"] >= 10, counts
    assert counts["tls_resumed"] >= counts["tls_handshakes"] - 4, counts


def test_both_versions_are_spoken_and_no_ticket_is_needed(w):
    for trick in ("tlsversion 1.2", "tlsversion 1.3", "noresume"):
        secure = Secure(w) if not w.regions else secure
        secure.seoul.do("untrick all")
        secure.seoul.do("trick closeafter 2")
        secure.seoul.do(f"trick {trick}")
        server = secure.start(hedge="off")
        secure.trusts(server)
        for _ in range(5):
            assert index_of(server.ask(secure.name())) == 1
        server.stop()


@tsan
def test_a_stream_that_is_closed_loses_no_question(w):
    secure = Secure(w)
    server = secure.start()
    secure.trusts(server)
    for trick in ("closeafter 3", "idle 5", "closequery close next=5", "closequery reset next=5",
                  "half close next=5", "half reset next=5"):
        secure.seoul.do(f"trick {trick}")
        with Load(server.at, clients=2, per_second=30) as load:
            patience.until(lambda: secure.seoul.used(trick.split()[0]) > 0 and len(load.seen) >= 30,
                           f"{trick} is played")
        assert load.slowest() < patience.seconds(1.5), f"{trick}: {load.slowest():.3f} s"
        secure.seoul.do("untrick all")
    secure.trusts(server)


def test_no_handshake_is_as_good_as_silence(w):
    secure = Secure(w)
    for trick in ("tlssilence", "tlsgarbage", "closeaccept close", "noconnect", "refuse"):
        secure.seoul.do(f"trick {trick}")
        server = secure.start()
        for _ in range(3):
            begin = time.monotonic()
            assert index_of(server.ask(secure.name())) == 2
            assert time.monotonic() - begin < patience.seconds(1), trick
        secure.seoul.do("untrick all")
        secure.trusts(server)
        server.stop()


def test_garbage_in_the_middle_of_a_session_is_no_answer(w):
    secure = Secure(w)
    server = secure.start()
    secure.trusts(server)
    for trick in ("wrongid", "wrongname", "garbage", "empty", "header", "malformed cut"):
        secure.seoul.do(f"trick {trick} name=lie.{DOMAIN}")
        assert index_of(server.ask(f"{trick.split()[0]}.lie.{DOMAIN}")) == 2, trick
        assert secure.seoul.used(trick.split()[0]) > 0, trick
        secure.seoul.do("untrick all")
        secure.trusts(server)


# ---- TCP, addresses, budgets


@tsan
def test_tcp_only_never_asks_over_udp_and_keeps_its_streams(w):
    seoul, tokyo = w.region("seoul", "127.0.1.1", 1), w.region("tokyo", "127.0.2.1", 2)
    server = one_rule(w, [{"region": "seoul", "address": seoul.dns, "tcp": True},
                          {"region": "tokyo", "address": tokyo.dns}], hedge="off")
    for i in range(30):
        assert index_of(server.ask(f"n{i}.{DOMAIN}")) == 1
    counts = seoul.counts()
    assert counts["udp"] == 0 and counts["tcp"] >= 30, counts
    assert counts["tcp_connections"] <= 3, counts
    assert state_of(server, seoul)["transport"] == "tcp"


def sources(kind, ask):
    """The addresses from which a resolver of this kind of socket is asked; it never answers."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.1.1", 0))
        sock.settimeout(patience.seconds(patience.LIMIT_S))
        if kind == socket.SOCK_STREAM:
            sock.listen(8)
        ask(f"127.0.1.1:{sock.getsockname()[1]}")
        if kind == socket.SOCK_STREAM:
            stream, peer = sock.accept()
            stream.close()
            return {peer[0]}
        return {sock.recvfrom(512)[1][0] for _ in range(3)}


def test_the_source_address_is_the_one_configured(w):
    tokyo = w.region("tokyo", "127.0.2.1", 2)
    for kind, is_tcp in ((socket.SOCK_DGRAM, False), (socket.SOCK_STREAM, True)):
        def ask(address, tcp=is_tcp):
            server = one_rule(w, [
                {"region": "seoul", "address": address, "tcp": tcp, "source": "127.0.0.9"},
                {"region": "tokyo", "address": tokyo.dns}])
            for i in range(3):
                assert index_of(server.ask(f"n{i}.{DOMAIN}")) == 2
            server.stop()

        assert sources(kind, ask) == {"127.0.0.9"}, kind


@tsan
def test_what_is_beyond_the_budget_goes_to_the_next_region(w):
    seoul, tokyo = w.region("seoul", "127.0.1.1", 1), w.region("tokyo", "127.0.2.1", 2)
    server = one_rule(w, [{"region": "seoul", "address": seoul.dns, "max_queries": "60/m"},
                          {"region": "tokyo", "address": tokyo.dns}])
    begin = time.monotonic()
    regions = [index_of(server.ask(f"n{i}.{DOMAIN}")) for i in range(80)]
    spent = time.monotonic() - begin
    most = 15 + spent * 2
    assert regions[0] == 1 and 1 <= regions.count(1) <= most, regions
    assert regions.count(2) >= 80 - most
    shown = state_of(server, seoul)
    assert shown["budget"] == 60 and shown["over_budget"] <= 3, shown  # hedges of a slow machine
    assert shown["state"] == "up", shown


def test_where_nobody_else_is_left_the_budget_is_overdrawn(w):
    seoul = w.region("seoul", "127.0.1.1", 1)
    server = one_rule(w, [{"region": "seoul", "address": seoul.dns, "max_queries": "60/m"}])
    for i in range(40):
        assert index_of(server.ask(f"n{i}.{DOMAIN}")) == 1
    assert state_of(server, seoul)["over_budget"] > 0


# ---- from a file


@tsan
def test_a_file_of_resolvers_is_read_again_when_it_changes(w):
    seoul, tokyo = w.region("seoul", "127.0.1.1", 1), w.region("tokyo", "127.0.2.1", 2)
    path = w.write_file("resolv.conf", f"search corp\nnameserver {seoul.dns}\noptions edns0\n")
    server = w.start({"forward": {".": {"from": path}}})
    numbers = iter(range(10 ** 6))

    def asked():
        return index_of(server.ask(f"n{next(numbers)}.{DOMAIN}"))

    assert asked() == 1
    w.write_file("resolv.conf", f"nameserver {tokyo.dns}\n")
    patience.until(lambda: asked() == 2, "the other is asked", pause_s=0.05)
    w.write_file("resolv.conf", "# nothing for a moment\n")
    patience.holds(lambda: asked() == 2, "what was known stays in force", 1.5)
    w.write_file("resolv.conf", f"nameserver {seoul.dns}\n")
    patience.until(lambda: asked() == 1, "the first is asked again", pause_s=0.05)
    assert [u["address"] for u in server.status()["upstreams"]] == [seoul.dns]


# ---- rebinding


def test_rebinding_refuse_takes_private_addresses_away(w):
    stage = Stage(w, rule={"rebinding": "refuse"})
    public, mixed, private = stage.name(), stage.name(), stage.name()
    for region in stage.regions:
        region.do(f"record {public} A 198.51.100.7")
        region.do(f"record {mixed} A 198.51.100.7")
        region.do(f"record {mixed} A 192.168.1.1")
        region.do(f"record {private} A 127.0.0.1")
        region.do(f"record {private} AAAA ::1")
    for _ in range(2):
        assert stage.ask(public).addresses == {"198.51.100.7"}
        assert stage.ask(mixed).addresses == {"198.51.100.7"}
        for rtype in (dns.A, dns.AAAA):
            answer = stage.ask(private, rtype)
            assert answer.rcode == dns.NOERROR and not answer.answer, answer
    assert stage.ask(private, tcp=True).addresses == frozenset()


# ---- circles


def loops(*servers):
    """What those servers say that lead back to them."""
    return [(server, upstream) for server in servers
            for upstream in server.status()["upstreams"] if upstream["state"] == "loop"]


@tsan
def test_an_upstream_that_leads_back_to_us_is_named_and_left_out(w):
    """One of the two in a circle finds it first, and that ends it for both."""
    tokyo = w.region("tokyo", "127.0.2.1", 2)
    mirror = one_rule(w, [{"region": "tokyo", "address": tokyo.dns}], regions=["tokyo"],
                      node="tokyo")
    at = f"{mirror.at[0]}:{mirror.at[1]}"
    server = one_rule(w, [{"region": "seoul", "address": at},
                          {"region": "tokyo", "address": tokyo.dns}])
    back = f"{server.at[0]}:{server.at[1]}"
    assert index_of(server.ask(f"before.{DOMAIN}")) == 2 and not loops(server, mirror)
    circle = dict(mirror.config, forward={".": {"upstreams": [back]}})
    for one, whole in ((mirror, circle), (server, server.config)):
        one.reload_with(whole)  # circles are looked for whenever rules come into force
    finder, upstream = patience.until(lambda: loops(server, mirror), "it is found")[0]
    assert "back" in upstream["reason"], upstream
    assert upstream["address"] in (at, back) and "leads back to us" in finder.log_text()
    for i in range(5):
        assert index_of(server.ask(f"n{i}.{DOMAIN}")) == 2
    mirror.reload_with(dict(mirror.config, forward={".": {"upstreams": [tokyo.dns]}}))
    server.reload()
    patience.until(lambda: not loops(server, mirror), "it is no circle any more")


def test_a_circle_of_two_ends_in_an_error_and_not_in_a_storm(w):
    tokyo = w.region("tokyo", "127.0.2.1", 2)
    first = one_rule(w, [{"region": "tokyo", "address": tokyo.dns}], regions=["tokyo"],
                     node="tokyo")
    second = one_rule(w, [f"{first.at[0]}:{first.at[1]}"], regions=["tokyo"], node="tokyo")
    first.reload_with(dict(first.config, forward={
        ".": {"upstreams": [f"{second.at[0]}:{second.at[1]}"]}}))
    before = sum(s.status()["queries"]["total"] for s in (first, second))
    for i in range(2):
        answer = first.ask(f"n{i}.{DOMAIN}")
        assert answer.rcode == dns.SERVFAIL, answer
    after = sum(s.status()["queries"]["total"] for s in (first, second))
    assert after - before < 1000, f"{after - before} questions in a circle"


# ---- fairness


def test_a_client_that_floods_does_not_starve_the_others(w):
    """Names that nobody answers, without an end; and somebody who asks for others."""
    stage = Stage(w, access={"in_flight_per_client": 50, "in_flight": 200})
    for region in stage.regions:
        region.do("trick silence name=flood.org")
    stop = threading.Event()

    def flood():
        with dns.udp_socket(stage.server.at, "127.0.0.5") as sock:
            number = 0
            while not stop.is_set():
                for _ in range(20):
                    number += 1
                    sock.send(dns.make_query(f"f{number}.flood.org"))
                stop.wait(0.01)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        patience.until(lambda: stage.server.status()["queries"]["unfair"] > 100, "it floods")
        for _ in range(60):
            stage.right(stage.ask(source="127.0.0.6"))
        refused = stage.server.ask("one.flood.org", source="127.0.0.5")
        assert refused.rcode == dns.SERVFAIL and refused.ede is not None, refused
    finally:
        stop.set()
        thread.join()
    patience.until(lambda: stage.server.ask(stage.name(), source="127.0.0.5").rcode == 0,
                   "the flood is over and forgotten", pause_s=0.05)


@tsan
def test_a_stream_full_of_questions_does_not_starve_the_others(w):
    stage = Stage(w, access={"in_flight_per_client": 50})
    for region in stage.regions:
        region.do("trick silence name=flood.org")
    with dns.Stream(stage.server.at, "127.0.0.5") as stream:
        for number in range(0, 200, 20):
            stream.send(*[dns.make_query(f"f{number + i}.flood.org", qid=number + i)
                          for i in range(20)])
        for tcp in (False, True):
            for _ in range(10):
                stage.right(stage.ask(source="127.0.0.6", tcp=tcp))
        answers = [dns.Message(stream.receive()) for _ in range(200)]
    assert sorted(answer.id for answer in answers) == list(range(200))
    assert {answer.rcode for answer in answers} == {dns.SERVFAIL}
    assert stage.server.status()["queries"]["unfair"] > 0


def test_beyond_what_may_be_in_flight_questions_are_turned_away_at_once(w):
    stage = Stage(w, access={"in_flight": 64})
    known = stage.name()
    stage.ask(known)
    for region in stage.regions:
        region.do("trick silence name=flood.org")
    with dns.udp_socket(stage.server.at) as sock:
        for number in range(300):
            sock.send(dns.make_query(f"f{number}.flood.org"))
        sock.settimeout(patience.seconds(1))
        early = dns.Message(sock.recv(65535))
    assert early.rcode == dns.SERVFAIL and early.ede is not None, early
    assert stage.ask(known).addresses, "what is kept is answered"
    assert stage.server.status()["cache"]["shed"] > 0
    patience.until(lambda: stage.server.ask(stage.name()).rcode == 0, "it passes", pause_s=0.05)
    assert index_of(stage.ask(known)) == 1
