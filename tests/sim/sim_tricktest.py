#!/usr/bin/env python3
"""Play every trick of leeward-region: sim_tricktest.py PATH-OF-BINARY.

Starts a region on loopback, on free ports, and exits with 1 when a trick is
played other than README.md beside this file says, or is not counted.
"""

import base64
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

from sim_selftest import (
    A, AAAA, CNAME, DNAME, FORMERR, MX, NOERROR, NOTIMP, NXDOMAIN, PATIENCE_S, REFUSED, SERVFAIL,
    SILENCE_S, SOA, TXT, Message, Mismatch, Region, attempt_all, expect, expect_true, make_query,
    read_exactly)

BADVERS, BADCOOKIE = 16, 23
COOKIE, ECS, KEEPALIVE = 10, 8, 11
WWW = "www.example.com"
CLIENT_COOKIE = b"\1\2\3\4\5\6\7\10"


# --- talking to the region ---------------------------------------------------


def play(region, *tricks):
    """Only these tricks, with all counts at zero."""
    region.do("dns heal", "reset", *[f"trick {trick}" for trick in tricks])


def used(region, name):
    return region.numbers(f"used {name}")["used"]


def expect_used(region, count, *names):
    for name in names:
        expect(used(region, name), count, f"{name} counted")


def cookie_option(data):
    return struct.pack("!HH", COOKIE, len(data)) + data


def udp(region, wait=PATIENCE_S):
    """A socket that hears everybody."""
    sock = region.socket(socket.SOCK_DGRAM, wait)
    sock.bind((region.address, 0))
    return sock


def ask_all(region, count, name=WWW, rtype=A, qid=7, **how):
    """[(bytes, source)] of so many datagrams that come for one query."""
    with udp(region) as sock:
        sock.sendto(make_query(name, rtype, qid=qid, **how), (region.address, region.dns))
        return [sock.recvfrom(65535) for _ in range(count)]


def frame(data):
    return struct.pack("!H", len(data)) + data


def read_message(sock):
    """The next message of a stream, or None at its end."""
    head = read_exactly(sock, 2)
    if head is None:
        return None
    data = read_exactly(sock, struct.unpack("!H", head)[0])
    return None if data is None else Message(data)


def expect_end(sock, what):
    """The peer has closed; what it said before is passed over."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError as error:
        raise Mismatch(f"{what}: reset, not closed") from error


def expect_reset(sock, what):
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return
    raise Mismatch(f"{what}: closed, not reset")


def expect_silence(sock, what):
    sock.settimeout(SILENCE_S)
    try:
        expect(sock.recv(1), "silence", what)
    except (socket.timeout, ssl.SSLWantReadError):
        pass


def tls_context(region, name=True, **how):
    context = ssl.create_default_context(cafile=os.path.join(region.folder, "ca.pem"))
    context.check_hostname = name
    for key, value in how.items():
        setattr(context, key, value)
    return context


def tls_connect(region, context=None, name="dns.leeward.test", session=None, wait=PATIENCE_S):
    context = context or tls_context(region)
    raw = region.connect(region.tls, wait)
    expect_true(not isinstance(raw, str), f"TLS port: {raw}")
    try:
        return context.wrap_socket(raw, server_hostname=name, session=session)
    except BaseException:
        raw.close()
        raise


def tls_ask(sock, name=WWW, rtype=A, **how):
    sock.sendall(frame(make_query(name, rtype, **how)))
    return read_message(sock)


# --- who answers, and to what ------------------------------------------------


def identities_are_wrong(region):
    play(region, "wrongid")
    for reply in (region.ask(qid=1), region.ask_tcp(qid=1)):
        expect_true(reply.id != 1, "wrong id")
    play(region, "wrongname")
    expect(region.ask().question[0], "wrong.question.invalid", "wrong name")
    play(region, "wrongtype")
    reply = region.ask()
    expect((reply.question[1], len(reply.data(AAAA))), (AAAA, 1), "wrong type")
    play(region, "foldcase")
    expect(region.ask("wWw.Example.com").question[0], WWW, "folded")
    expect(region.ask(WWW).question[0], WWW, "nothing to fold")
    expect_used(region, 1, "foldcase")
    play(region, "noquestion")
    reply = region.ask()
    expect((reply.question, reply.answer[0][0]), (None, WWW), "no question")
    play(region, "noreplybit")
    expect(region.ask().qr, False, "a query as reply")
    expect_used(region, 1, "noreplybit")


def sources_are_wrong(region):
    play(region, "wrongport")
    (data, source), = ask_all(region, 1)
    expect((source[0], source[1] != region.dns), (region.address, True), "another port")
    expect(Message(data).id, 7, "the right id")
    play(region, "wrongaddress")
    (data, source), = ask_all(region, 1)
    expect((source[0] != region.address, source[1]), (True, region.dns), "another address")
    expect_used(region, 1, "wrongaddress")


def a_lie_is_followed_by_the_truth(region):
    right = region.ask(edns=0).data(A)
    play(region, "wrongid", "foreign", "ttl 0", "honest 20ms")
    replies = [Message(data) for data, _ in ask_all(region, 2)]
    expect([reply.id == 7 for reply in replies], [False, True], "ids")
    expect((replies[1].data(A), replies[1].answer[0][2]), (right, 60), "the truth")
    expect_used(region, 1, "honest", "wrongid", "foreign", "ttl")
    play(region, "honest")
    expect(len(ask_all(region, 1)), 1, "no lie, one answer")
    expect_used(region, 0, "honest")
    play(region, "wrongaddress", "honest")
    sources = [source[0] for _, source in ask_all(region, 2)]
    expect((sources[0] != region.address, sources[1]), (True, region.address), "sources")


def guesses_come_before_the_truth(region):
    right = region.ask(edns=0).data(A)
    play(region, "guesses 50")
    replies = [Message(data) for data, _ in ask_all(region, 51)]
    expect_true(7 not in {reply.id for reply in replies[:50]}, "no guess is right")
    expect({reply.data(A)[0] for reply in replies[:50]}, {"192.0.2.66"}, "guesses are wrong")
    expect((replies[50].id, replies[50].data(A)), (7, right), "the truth")


def answers_come_twice_late_or_for_another_question(region):
    play(region, "duplicate 50")
    began = time.monotonic()
    first, second = ask_all(region, 2)
    expect(first, second, "the same again")
    expect_true(time.monotonic() - began >= 0.045, "later")
    with region.connect(region.dns) as sock:
        sock.sendall(frame(make_query(WWW, A, qid=9)))
        expect([read_message(sock).id for _ in range(2)], [9, 9], "twice over TCP")
    expect_used(region, 2, "duplicate")
    play(region)
    region.ask("first.example", qid=1)
    region.do("trick previous")
    reply = region.ask("second.example", qid=2)
    expect((reply.id, reply.question[0]), (1, "first.example"), "instead")
    region.do("trick previous also")
    replies = [Message(data) for data, _ in ask_all(region, 2, "third.example", qid=3)]
    expect([(r.id, r.question[0]) for r in replies],
           [(2, "second.example"), (3, "third.example")], "also")
    expect_used(region, 2, "previous")


def some_answers_are_slow_or_missing(region):
    play(region, "delay 300 name=slow.example")
    with udp(region) as sock:
        for i, name in enumerate(("a.slow.example", "quick.example")):
            sock.sendto(make_query(name, A, qid=i), (region.address, region.dns))
        expect([Message(sock.recv(4096)).id for _ in range(2)], [1, 0], "the quick one first")
    play(region, "lose 100 type=AAAA")
    expect(region.ask(rtype=AAAA, wait=SILENCE_S), None, "lost")
    expect(region.ask().rcode, NOERROR, "not lost")
    play(region, "silence next=2 over=udp")
    expect([region.ask(wait=SILENCE_S) for _ in range(2)], [None, None], "silence")
    expect(region.ask_tcp().rcode, NOERROR, "TCP")
    expect(region.ask().rcode, NOERROR, "the third")
    expect(region.numbers("stats")["dropped"], 2, "dropped")
    expect_used(region, 2, "silence")


# --- what is answered --------------------------------------------------------


def rcodes_come_without_records(region):
    for word, rcode in (("servfail", SERVFAIL), ("refused", REFUSED), ("formerr", FORMERR),
                        ("notimp", NOTIMP), ("nxdomain", NXDOMAIN), ("badvers", BADVERS),
                        ("11", 11)):
        play(region, f"rcode {word} next=1")
        reply = region.ask()
        expect((reply.rcode, reply.answer, reply.authority), (rcode, [], []), word)
        expect(region.ask().rcode, NOERROR, "after it")
        expect_used(region, 1, "rcode")


def negative_answers_are_chosen(region):
    for word, rcode in (("nxdomain", NXDOMAIN), ("nodata", NOERROR)):
        play(region, word, "minimum 7", "ttl 900")
        reply = region.ask()
        expect((reply.rcode, reply.answer, len(reply.authority)), (rcode, [], 1), word)
        name, rtype, ttl, data = reply.authority[0]
        expect((rtype, ttl, struct.unpack("!I", data[-4:])[0]), (SOA, 900, 7), "SOA")
        region.do("trick nosoa")
        reply = region.ask()
        expect((reply.rcode, reply.answer, reply.authority), (rcode, [], []), "no SOA")
    play(region, "ttl 4294967295")
    expect(region.ask().answer[0][2], 4294967295, "a TTL of 2^32 - 1")
    play(region, "ttl 2147483648")
    expect(region.ask("api.corp.example").answer[0][2], 2147483648, "a TTL of 2^31")
    play(region, "ttl 0")
    expect([record[2] for record in region.ask("nx.example").authority], [0], "a TTL of 0")


def aliases_lead_far_or_nowhere(region):
    play(region, "chain 20")
    reply = region.ask_tcp()
    expect((len(reply.data(CNAME)), len(reply.data(A))), (20, 1), "a chain")
    expect(reply.answer[-1][0], "hop20.chain.example", "its end")
    region.do("trick unfinished")
    expect(len(region.ask_tcp().answer), 20, "no end")
    play(region, "loop 3")
    reply = region.ask()
    expect([record[0] for record in reply.answer],
           [WWW, "hop1.loop.example", "hop2.loop.example"], "a loop")
    expect(reply.data(CNAME)[-1], WWW, "that closes")
    play(region, "loop 1")
    expect(region.ask().data(CNAME), [WWW], "an alias of itself")
    play(region, "dname")
    reply = region.ask()
    expect([record[:2] + record[3:] for record in reply.answer[:2]],
           [("example.com", DNAME, "moved.example"), (WWW, CNAME, "www.moved.example")], "DNAME")
    expect(len(reply.data(A)), 1, "and an address")
    expect_used(region, 1, "dname")


def answers_are_huge(region):
    play(region, "many 200")
    expect(region.ask().tc, True, "200 addresses over UDP")
    reply = region.ask_tcp()
    expect((len(set(reply.data(A))), reply.tc), (200, False), "over TCP")
    expect(len(region.ask_tcp(rtype=AAAA).data(AAAA)), 200, "AAAA")
    region.do("trick oversize")
    expect(len(region.ask().data(A)), 200, "in one datagram")
    expect_used(region, 1, "oversize")
    play(region, "text 60")
    reply = region.ask_tcp(rtype=TXT)
    expect((reply.size > 60 * 1024, len(reply.answer)), (True, 1), "60 KiB")


def records_nobody_asked_for_are_added(region):
    for where, sizes in (("all", (2, 1, 2)), ("answer", (2, 0, 0)), ("authority", (1, 1, 0)),
                         ("additional", (1, 0, 2))):
        play(region, f"foreign {where}")
        reply = region.ask()
        expect(tuple(len(section) for section in reply.sections), sizes, where)
    expect(reply.additional[1][:2] + reply.additional[1][3:],
           ("www.bank.example", A, "192.0.2.66"), "the victim")
    play(region, "foreign", "nxdomain")
    expect(len(region.ask().authority), 2, "beside an SOA")


def messages_are_no_messages(region):
    play(region, "empty")
    expect(region.udp_raw(make_query(WWW, A)), b"", "an empty datagram")
    with region.connect(region.dns) as sock:
        sock.sendall(frame(make_query(WWW, A)))
        expect(read_exactly(sock, 2), b"\0\0", "an empty message")
    play(region, "header")
    got = region.udp_raw(make_query(WWW, A, qid=7))
    expect((len(got), got[:2]), (12, b"\0\7"), "a header")
    play(region, "garbage next=1", "honest")
    expect(Message(ask_all(region, 2)[1][0]).rcode, NOERROR, "garbage, then the truth")
    good = region.udp_raw(make_query(WWW, A, qid=7))
    at = good.index(b"\xc0\x0c")
    for how, right in (("cut", lambda got: got == good[: len(got)] and len(got) < len(good)),
                       ("counts", lambda got: got[6] == 255),
                       ("pointer", lambda got: got[at : at + 2] == bytes([0xC0 | at >> 8, at])),
                       ("rdlength", lambda got: got[at + 10 : at + 12] == b"\xff\xff"),
                       ("trailing", lambda got: got == good + b"garbage")):
        play(region, f"malformed {how}")
        expect_true(right(region.udp_raw(make_query(WWW, A, qid=7))), how)
        expect_used(region, 1, "malformed")


def truncation_leads_to_tcp(region):
    play(region, "truncate next=1")
    reply = region.ask()
    expect((reply.tc, reply.answer), (True, []), "truncated")
    expect(len(region.ask().answer), 1, "no more")
    play(region, "truncate full")
    for reply in (region.ask(), region.ask_tcp()):
        expect((reply.tc, len(reply.answer)), (True, 1), "TC and yet complete")
    expect(region.numbers(f"stats {WWW} A"), {"queries": 2, "udp": 1, "tcp": 1, "tls": 0}, "asked")


# --- EDNS and cookies --------------------------------------------------------


def edns_lies(region):
    play(region, "noopt")
    expect(region.ask().opts, [], "no OPT")
    expect(region.ask(edns=0).opts, [], "none anyway")
    expect_used(region, 1, "noopt")
    play(region, "strayopt")
    expect((len(region.ask(edns=0).opts), len(region.ask().opts)), (1, 1), "one nobody asked for")
    expect_used(region, 1, "strayopt")
    play(region, "twoopts")
    expect(len(region.ask().opts), 2, "two")
    play(region, "optsize 65535", "optversion 7", "option 65001", "ecs", "optname")
    reply = region.ask()
    expect((reply.edns_size, reply.opts[0][:2]), (65535, ("opt", 7)), "size, name, version")
    expect(set(reply.options()), {65001, ECS}, "options")
    play(region, "badopt")
    got = region.udp_raw(make_query(WWW, A))
    try:
        Message(got)
        raise AssertionError("the message can be read")
    except Mismatch:
        pass
    expect_used(region, 1, "badopt")
    play(region, "keepalive 2s")
    expect(KEEPALIVE in region.ask().options(), False, "no keepalive over UDP")
    expect(region.ask_tcp().options()[KEEPALIVE], b"\0\x14", "keepalive in tenths of seconds")


def edns_is_not_known(region):
    play(region, "ednsformerr")
    reply = region.ask()
    expect((reply.rcode, reply.opts, reply.answer), (FORMERR, [], []), "FORMERR without OPT")
    expect(region.ask(edns=0).rcode, NOERROR, "without EDNS")
    play(region, "ednsbadvers")
    reply = region.ask()
    expect((reply.rcode, len(reply.opts)), (BADVERS, 1), "BADVERS")
    expect(region.ask(edns=0).rcode, NOERROR, "without EDNS")
    play(region, "ednssilence")
    expect(region.ask(wait=SILENCE_S), None, "silence")
    expect(region.ask(edns=0).rcode, NOERROR, "without EDNS")
    expect_used(region, 1, "ednssilence")


def cookies_are_known(region):
    query = dict(options=cookie_option(CLIENT_COOKIE))
    play(region)
    expect(COOKIE in region.ask(**query).options(), False, "no cookies unless told")
    play(region, "cookies")
    cookie = region.ask(**query).options()[COOKIE]
    expect((cookie[:8], len(cookie)), (CLIENT_COOKIE, 24), "client's and server's")
    expect(region.ask(options=cookie_option(cookie)).options()[COOKIE], cookie, "the same again")
    expect(region.ask(options=cookie_option(b"\1\2\3")).rcode, FORMERR, "three bytes")
    expect(COOKIE in region.ask().options(), False, "none without one")
    counts = region.numbers("counts")
    expect((counts["cookies"], counts["server_cookies"]), (3, 1), "counted")
    region.do("trick cookies 2")
    expect_true(region.ask(**query).options()[COOKIE] != cookie, "another secret")
    for trick in ("cookiewrong", "cookieshort", "cookieabsent"):
        play(region, "cookies", f"{trick} next=1")
        got = region.ask(**query).options().get(COOKIE, b"")
        expect({"cookiewrong": len(got) == 24 and got[:8] != CLIENT_COOKIE,
                "cookieshort": len(got) == 5, "cookieabsent": got == b""}[trick], True, trick)
        expect(region.ask(**query).options()[COOKIE], cookie, "the next is right")
        expect_used(region, 1, trick)


def badcookie_asks_for_another_try(region):
    play(region, "cookies", "badcookie")
    reply = region.ask(options=cookie_option(CLIENT_COOKIE))
    expect((reply.rcode, reply.answer), (BADCOOKIE, []), "BADCOOKIE")
    again = cookie_option(reply.options()[COOKIE])
    expect(region.ask(options=again).rcode, NOERROR, "with the right one")
    expect(region.ask_tcp(options=cookie_option(CLIENT_COOKIE)).rcode, NOERROR, "over TCP")
    expect(region.ask().rcode, NOERROR, "without a cookie")
    region.do("trick badcookie always")
    expect(region.ask(options=again).rcode, BADCOOKIE, "always")
    expect_used(region, 2, "badcookie")


# --- connections -------------------------------------------------------------


def tcp_does_not_connect(region):
    play(region, "refuse")
    expect((region.ask_tcp(), region.ask().rcode), ("refused", NOERROR), "refused")
    play(region, "noconnect")
    expect((region.ask_tcp(wait=SILENCE_S), region.ask().rcode), ("silent", NOERROR), "no SYN")
    play(region)
    expect(region.ask_tcp().rcode, NOERROR, "healed")
    region.do("trick refuse", "untrick refuse")
    expect(region.ask_tcp().rcode, NOERROR, "untricked")


def connections_close_too_early(region):
    for word, ends in (("close", expect_end), ("reset", expect_reset)):
        play(region, f"closequery {word} next=1")
        with region.connect(region.dns) as sock:
            sock.sendall(frame(make_query(WWW, A)))
            ends(sock, f"closequery {word}")
        expect_used(region, 1, "closequery")
        play(region, f"half {word}")
        with region.connect(region.dns) as sock:
            sock.sendall(frame(make_query(WWW, A)))
            ends(sock, f"half {word}")
        expect_used(region, 1, "half")
    play(region, "closeaccept next=1")
    with region.connect(region.dns) as sock:
        expect_end(sock, "closeaccept")
    expect(region.ask_tcp().rcode, NOERROR, "the next one stays")
    expect(region.numbers("counts")["tcp_connections"], 2, "both counted")
    play(region, "closeafter 3")
    with region.connect(region.dns) as sock:
        sock.sendall(b"".join(frame(make_query(WWW, A, qid=i)) for i in range(5)))
        expect([read_message(sock).id for _ in range(3)], [0, 1, 2], "three answers")
        expect(read_message(sock), None, "and the end")
    expect_used(region, 1, "closeafter")
    play(region, "idle 50")
    with region.connect(region.dns) as sock:
        sock.sendall(frame(make_query(WWW, A)))
        expect(read_message(sock).rcode, NOERROR, "an answer")
        expect_end(sock, "idle")
    expect_used(region, 1, "idle")


def answers_come_in_pieces(region):
    play(region, "half silence")
    with region.connect(region.dns) as sock:
        sock.sendall(frame(make_query(WWW, A)) * 2)
        size = struct.unpack("!H", read_exactly(sock, 2))[0]
        expect(len(read_exactly(sock, (size + 2) // 2 - 2)) < size, True, "half")
        expect_silence(sock, "the other half")
    play(region, "trickle 1")
    with region.connect(region.dns) as sock:
        sock.sendall(b"".join(frame(make_query(WWW, A, qid=i)) for i in range(3)))
        pieces = [sock.recv(65536)]
        while sum(map(len, pieces)) < 2:
            pieces.append(sock.recv(65536))
        size = struct.unpack("!H", b"".join(pieces)[:2])[0]
        while sum(map(len, pieces)) < 3 * (2 + size):
            pieces.append(sock.recv(65536))
        expect_true(len(pieces) > 10, f"{len(pieces)} pieces")
        stream = b"".join(pieces)
        expect([Message(stream[i * (2 + size) + 2 : (i + 1) * (2 + size)]).id for i in range(3)],
               [0, 1, 2], "whole in the end")
    expect_used(region, 3, "trickle")


def answers_come_in_another_order(region):
    play(region, "reorder 3")
    with region.connect(region.dns) as sock:
        for i in range(3):
            sock.sendall(frame(make_query(f"n{i}.example", A, qid=i)))
        expect([read_message(sock).id for _ in range(3)], [2, 1, 0], "the last first")
        expect_used(region, 1, "reorder")
        sock.sendall(frame(make_query(WWW, A, qid=9)))
        expect(read_message(sock).id, 9, "a lonely one in the end")


# --- TLS ---------------------------------------------------------------------


def tls_is_served(region):
    play(region)
    with tls_connect(region) as sock:
        expect([tls_ask(sock, qid=i).id for i in range(3)], [0, 1, 2], "answers")
        key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], check=True,
                             input=ssl.DER_cert_to_PEM_cert(sock.getpeercert(True)).encode(),
                             capture_output=True).stdout
    lines = key.decode().split("\n")
    der = base64.b64decode("".join(line for line in lines if not line.startswith("-----")))
    with open(os.path.join(region.folder, "pin"), encoding="ascii") as file:
        expect(file.read().strip(), base64.b64encode(hashlib.sha256(der).digest()).decode(), "pin")
    with tls_connect(region, name=region.address) as sock:
        expect(tls_ask(sock, "big.example.com", TXT).tc, False, "by address")
    counts = region.numbers("counts")
    expect((counts["tls"], counts["tls_connections"], counts["tls_handshakes"]), (4, 2, 2), "TLS")
    expect(region.numbers(f"stats {WWW} A")["tls"], 3, "by name")
    expect(region.numbers("stats")["dns_queries"], 4, "in all")


def certificates_are_bad(region):
    for kind, reason in (("expired", "expired"), ("future", "not yet valid"),
                         ("wrongname", "mismatch"), ("selfsigned", "self-signed")):
        play(region, f"certificate {kind} next=1")
        try:
            tls_connect(region).close()
            raise AssertionError(f"{kind} is taken")
        except ssl.SSLCertVerificationError as error:
            expect_true(reason in str(error).replace("self signed", "self-signed"), str(error))
        expect_used(region, 1, "certificate")
        deadline = time.monotonic() + PATIENCE_S
        while region.numbers("counts")["tls_failed"] + region.numbers("counts")[
                "tls_handshakes"] == 0:
            expect_true(time.monotonic() < deadline, "the end of the handshake is counted")
        with tls_connect(region) as sock:
            expect(tls_ask(sock).rcode, NOERROR, "the next is good")


def sessions_are_resumed(region):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        play(region)
        context = tls_context(region, maximum_version=version, minimum_version=version)
        with tls_connect(region, context) as sock:
            tls_ask(sock)
            session = sock.session
        with tls_connect(region, context, session=session) as sock:
            expect((sock.session_reused, tls_ask(sock).rcode), (True, NOERROR), "resumed")
            session = sock.session
        expect(region.numbers("counts")["tls_resumed"], 1, "counted")
        region.do("trick noresume")
        with tls_connect(region, context, session=session) as sock:
            expect((sock.session_reused, tls_ask(sock).rcode), (False, NOERROR), "forgotten")
        counts = region.numbers("counts")
        expect((counts["tls_resumed"], counts["tls_handshakes"]), (1, 3), "counted")
    for word in ("1.2", "1.3"):
        play(region, f"tlsversion {word}")
        with tls_connect(region) as sock:
            expect(sock.version(), f"TLSv{word}", "version")


def tls_connections_are_played_with(region):
    play(region, "tlssilence next=1")
    try:
        tls_connect(region, wait=SILENCE_S).close()
        raise Mismatch("a handshake")
    except (socket.timeout, ssl.SSLError):
        pass
    play(region, "tlsgarbage next=1")
    try:
        tls_connect(region).close()
        raise Mismatch("a handshake")
    except (ssl.SSLError, ConnectionResetError):
        pass
    expect(region.numbers("counts")["tls_failed"], 1, "failed")
    play(region, "closeafter 2", "wrongid over=tcp")
    with tls_connect(region) as sock:
        expect([tls_ask(sock, qid=i).id for i in range(2)], [0, 1], "two answers")
        expect(sock.recv(1), b"", "and the end")
    play(region, "trickle 1", "reorder 2")
    with tls_connect(region) as sock:
        sock.sendall(b"".join(frame(make_query(WWW, A, qid=i)) for i in range(2)))
        expect([read_message(sock).id for _ in range(2)], [1, 0], "pieces of answers, reversed")
    play(region, "refuse over=tls")
    expect(region.connect(region.tls), "refused", "TLS alone")
    expect(region.ask_tcp().rcode, NOERROR, "TCP is served")
    region.do("dns die")
    expect((region.connect(region.tls), region.ask_tcp()), ("refused", "refused"), "dead")
    region.do("dns heal", "dns slow 200")
    with tls_connect(region) as sock:
        began = time.monotonic()
        expect(tls_ask(sock).rcode, NOERROR, "slow")
        expect_true(time.monotonic() - began >= 0.195, "slow is slow")


def tls_junk_does_no_harm(region):
    play(region)
    for size in (1, 5, 100, 9000, 20000):
        with region.connect(region.tls) as sock:
            try:
                sock.sendall(os.urandom(size))
            except OSError:
                pass
    sock = tls_connect(region)
    try:
        sock.sendall(b"\xff\xff" + os.urandom(20000))
        sock.recv(1)
    except OSError:
        pass
    sock.close()
    with tls_connect(region) as sock:
        expect(tls_ask(sock).rcode, NOERROR, "still answering")


# --- the language ------------------------------------------------------------


def tricks_have_conditions(region):
    play(region, "rcode refused next=2 type=TXT name=corp.example over=udp,tls", "ttl 5")
    expect(region.control("tricks"),
           ["rcode 5 next=2 over=udp,tls name=corp.example. type=TYPE16, ttl 5"], "tricks")
    expect(region.ask("a.corp.example", TXT).rcode, REFUSED, "below the name")
    expect(region.ask("acorp.example", TXT).rcode, NOERROR, "not below it")
    expect(region.ask("corp.example", A).rcode, NOERROR, "another type")
    expect(region.ask_tcp("corp.example", TXT).rcode, NOERROR, "another transport")
    expect(region.ask("corp.example", TXT).rcode, REFUSED, "the name itself")
    expect(region.ask("corp.example", TXT).rcode, NOERROR, "used up")
    expect(region.control("tricks", "used"), ["ttl 5", "rcode=2 ttl=4"], "used")
    region.do("untrick all")
    expect(region.control("tricks", "used rcode"), ["none", "used=2"], "none left")
    region.do("reset")
    expect(region.control("used"), ["none"], "reset")


def wrong_tricks_are_explained(region):
    play(region)
    lines = ["trick", "trick nonsense", "trick wrongid 3", "trick chain x", "trick chain 5 6",
             "trick half sideways", "trick ttl 4294967296", "trick wrongid next=0",
             "trick wrongid over=smoke", "trick wrongid over=", "trick wrongid name=a..b",
             "trick wrongid type=NONE", "trick wrongid colour=red", "trick wrongport over=tcp",
             "trick refuse next=1", "trick delay soon", "untrick", "untrick nonsense",
             "used nonsense", "tricks now", "counts now", "stats a.example NONE",
             "record a.example 5 A", "record a.example SRV 1 2 3", "record a.example TYPE9 abc"]
    for line, reply in zip(lines, region.control(*lines)):
        expect(reply.split(":")[0], "error", f"reply to {line!r}")
    expect(region.control("tricks"), ["none"], "nothing is on")


def records_are_loaded(region):
    region.do("record t.example 5 A 192.0.2.7", "record t.example MX 5 mail.example",
              "record _s._tcp.t.example SRV 1 2 443 api.example",
              "record 7.2.0.192.in-addr.arpa PTR t.example", "record t.example TYPE999 0a0B")
    expect(region.ask("t.example").answer, [("t.example", A, 5, "192.0.2.7")], "its own TTL")
    expect(region.ask("t.example", MX).answer[0][2], 60, "that of all")
    expect(region.ask("_s._tcp.t.example", 33).answer[0][3],
           b"\0\1\0\2\1\xbb\3api\7example\0", "SRV")
    expect(region.ask("t.example", 999).answer[0][3], b"\x0a\x0b", "any type")
    expect(len(region.ask("7.2.0.192.in-addr.arpa", 12).answer), 1, "PTR")


def counts_tell_what_queries_carry(region):
    play(region)
    region.ask("Mixed.example", options=struct.pack("!HHI", ECS, 4, 1 << 16))
    region.ask(flags=0x0030, edns=0)
    region.ask_tcp()
    counts = region.numbers("counts")
    want = {"udp": 2, "tcp": 1, "tls": 0, "tcp_connections": 1, "rd": 2, "ad": 1, "cd": 1, "do": 0,
            "mixed_case": 1, "edns": 2, "ecs": 1, "cookies": 0}
    expect({key: counts[key] for key in want}, want, "counts")


TESTS = [
    identities_are_wrong, sources_are_wrong, a_lie_is_followed_by_the_truth,
    guesses_come_before_the_truth, answers_come_twice_late_or_for_another_question,
    some_answers_are_slow_or_missing, rcodes_come_without_records, negative_answers_are_chosen,
    aliases_lead_far_or_nowhere, answers_are_huge, records_nobody_asked_for_are_added,
    messages_are_no_messages, truncation_leads_to_tcp, edns_lies, edns_is_not_known,
    cookies_are_known, badcookie_asks_for_another_try, tcp_does_not_connect,
    connections_close_too_early, answers_come_in_pieces, answers_come_in_another_order,
    tls_is_served, certificates_are_bad, sessions_are_resumed, tls_connections_are_played_with,
    tls_junk_does_no_harm, tricks_have_conditions, wrong_tricks_are_explained, records_are_loaded,
    counts_tell_what_queries_carry,
]


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        region = Region(binary, directory, "--index", "3", "--tls-dir", directory)
        region.folder = directory
        good = attempt_all(TESTS, region)
    print("all good" if good else "there were mismatches")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
