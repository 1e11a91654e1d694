"""The protocol: EDNS, TCP, what is malformed, and clients that misbehave."""

import random
import socket
import struct
import time

from lib import dns, patience
from lib.dns import TXT
from lib.world import SERVICE, config, forwarding, long, tsan


def start(w, **sections):
    regions = w.three_regions()
    return w.start(config(regions, gates=False, **sections)), regions


def raw(server, wire, timeout_s=8):
    return dns.udp_exchange(server.at, wire, timeout_s)


def header(server, wire):
    """(flags, rcode) of the answer to bytes that may be no question at all."""
    data = raw(server, wire)
    assert len(data) >= 12 and data[2] & 0x80, data
    return data[3] & 0xF


def alive(server, regions):
    assert server.addresses_of(SERVICE) == {regions[0].address}


def test_another_edns_version_is_badvers(w):
    server, _ = start(w)
    answer = server.ask(SERVICE, version=1)
    assert answer.rcode == dns.BADVERS and not answer.answer, answer
    assert answer.opt.version == 0, "it says which version it speaks"


def test_do_is_echoed_and_only_when_it_was_set(w):
    server, _ = start(w)
    assert server.ask(SERVICE, do=True).opt.do
    assert not server.ask(SERVICE, do=False).opt.do
    assert server.ask(SERVICE).opt.payload >= 512


def test_without_edns_there_is_no_opt(w):
    server, _ = start(w)
    answer = server.ask(SERVICE, edns=None)
    assert answer.opt is None and answer.addresses, answer


def test_unknown_edns_options_are_ignored(w):
    server, _ = start(w)
    options = struct.pack("!HH8s", 65001, 8, b"whatever") + struct.pack("!HH", 10, 8) + b"cookie!!"
    answer = server.ask(SERVICE, options=options)
    assert answer.rcode == dns.NOERROR and answer.addresses, answer


def test_flags_of_the_question_come_back_as_they_should(w):
    server, _ = start(w)
    with_rd, without = server.ask(SERVICE), server.ask(SERVICE, rd=False)
    assert with_rd.has(dns.RD) and not without.has(dns.RD)
    assert without.addresses, "our own names need no recursion"
    cd = server.ask(SERVICE, flags=dns.CD | dns.AD)
    assert cd.has(dns.CD) and cd.rcode == dns.NOERROR, cd


def test_other_opcodes_are_not_implemented(w):
    server, _ = start(w)
    for opcode in (1, 2, 4, 5, 15):
        assert header(server, dns.make_query(SERVICE, opcode=opcode)) == dns.NOTIMP, opcode


def test_malformed_queries_are_formerr(w):
    server, regions = start(w)
    good = dns.make_query(SERVICE, edns=None)
    opt = b"\0" + struct.pack("!HHIH", dns.OPT, 1232, 0, 0)
    question = dns.name_wire(SERVICE) + struct.pack("!HH", 1, 1)
    head = struct.pack("!HH", 7, dns.RD)
    broken = {
        "no question": head + struct.pack("!HHHH", 0, 0, 0, 0),
        "two questions": head + struct.pack("!HHHH", 2, 0, 0, 0) + question * 2,
        "an answer in it": head + struct.pack("!HHHH", 1, 1, 0, 0) + question,
        "half a name": good[:20],
        "half a question": good[:-2],
        "a pointer to itself": head + struct.pack("!HHHH", 1, 0, 0, 0) + b"\xc0\x0c" + b"\0\1\0\1",
        "pointers in a circle": (head + struct.pack("!HHHH", 1, 0, 0, 0)
                                 + b"\1a\xc0\x10\xc0\x0c\0\1\0\1"),
        "an unknown kind of label": (head + struct.pack("!HHHH", 1, 0, 0, 0)
                                     + b"\x41a\0" + b"\0\1\0\1"),
        "a name over 255 bytes": (head + struct.pack("!HHHH", 1, 0, 0, 0)
                                  + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1"),
        "two OPTs": head + struct.pack("!HHHH", 1, 0, 0, 2) + question + opt * 2,
        "an OPT that is not of the root": (head + struct.pack("!HHHH", 1, 0, 0, 1) + question
                                           + b"\1a" + opt),
        "half an OPT": head + struct.pack("!HHHH", 1, 0, 0, 1) + question + opt[:-3],
        "an option that runs out": (head + struct.pack("!HHHH", 1, 0, 0, 1) + question
                                    + b"\0" + struct.pack("!HHIH", dns.OPT, 1232, 0, 6)
                                    + struct.pack("!HHH", 10, 99, 0)),
        "more records than there are": head + struct.pack("!HHHH", 1, 0, 0, 9) + question,
    }
    for what, wire in broken.items():
        rcode = header(server, wire)
        assert rcode == dns.FORMERR, f"{what}: rcode {rcode}"
    alive(server, regions)


def test_what_is_no_query_is_not_answered(w):
    server, regions = start(w)
    with dns.udp_socket(server.at) as sock:
        for wire in (b"", b"x", b"\0" * 11, dns.make_query(SERVICE, flags=dns.QR)):
            sock.send(wire)
        # A query behind them on the same socket: were they answered, that came first.
        last = dns.make_query(SERVICE, qid=4711)
        sock.send(last)
        sock.settimeout(patience.seconds(8))
        assert sock.recv(4096)[:2] == last[:2]
    alive(server, regions)


def test_two_thousand_packets_of_junk(w):
    server, regions = start(w)
    rng = random.Random(20181122)
    good = dns.make_query(SERVICE)
    with dns.udp_socket(server.at) as sock:
        sock.setblocking(False)
        for number in range(2000):
            if number % 3 == 0:
                wire = rng.randbytes(rng.randrange(0, 600))
            else:
                wire = bytearray(good)
                for _ in range(rng.randrange(1, 6)):
                    wire[rng.randrange(len(wire))] = rng.randrange(256)
                if number % 3 == 2:
                    wire = wire[:rng.randrange(len(wire))] + rng.randbytes(rng.randrange(20))
            sock.send(bytes(wire))
            check_replies(sock)
            if number % 100 == 0:
                alive(server, regions)
        alive(server, regions)
        check_replies(sock)


def check_replies(sock):
    while True:
        try:
            data = sock.recv(65535)
        except BlockingIOError:
            return
        assert len(data) >= 12 and data[2] & 0x80, f"not a response: {data!r}"
        dns.Message(data)


@tsan
def test_junk_to_a_forwarder(w):
    regions = w.three_regions()
    server = w.start(config(regions, gates=False,
                            forward=forwarding([(r.name, r.dns) for r in regions])))
    rng = random.Random(8)
    with dns.udp_socket(server.at) as sock:
        sock.setblocking(False)
        for number in range(500):
            name = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
            wire = (struct.pack("!HHHHHH", number, dns.RD, 1, 0, 0, 0) + bytes([len(name)]) + name
                    + b"\4test\0" + struct.pack("!HH", rng.randrange(65536), 1))
            sock.send(wire)
            if number % 50 == 0:
                alive(server, regions)
    alive(server, regions)
    patience.until(lambda: server.ask("after.elsewhere.example").rcode == dns.NOERROR,
                   "it forwards still", pause_s=0.1)


# ---- TCP


def test_several_queries_in_one_connection(w):
    server, regions = start(w)
    with dns.Stream(server.at) as stream:
        wires = {number: dns.make_query(SERVICE, qid=number) for number in range(1, 41)}
        stream.send(*wires.values())
        while wires:
            data = stream.receive()
            number = struct.unpack("!H", data[:2])[0]
            answer = dns.check_response(wires.pop(number), data, True)
            assert answer.addresses == {regions[0].address}, answer
        # and it goes on afterwards
        last = dns.make_query(SERVICE, qid=999)
        stream.send(last)
        assert dns.check_response(last, stream.receive(), True).addresses


@tsan
def test_pipelined_questions_for_upstreams_are_answered_as_they_come(w):
    regions = w.three_regions()
    server = w.start(config(regions, gates=False,
                            forward=forwarding([(r.name, r.dns) for r in regions])))
    with dns.Stream(server.at) as stream:
        wires = {number: dns.make_query(f"t{number}.elsewhere.example", qid=number)
                 for number in range(1, 101)}
        stream.send(*wires.values())
        while wires:
            data = stream.receive()
            number = struct.unpack("!H", data[:2])[0]
            assert dns.check_response(wires.pop(number), data, True).addresses


def test_a_message_in_pieces(w):
    server, regions = start(w)
    wire = dns.make_query(SERVICE)
    framed = struct.pack("!H", len(wire)) + wire
    with dns.Stream(server.at) as stream:
        stream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(framed)):
            stream.sock.sendall(framed[at:at + 1])
            if at % 8 == 0:
                alive(server, regions)
        assert dns.check_response(wire, stream.receive(), True).addresses


def test_a_client_that_has_finished_sending_still_gets_its_answers(w):
    server, regions = start(w)
    wire = dns.make_query(SERVICE)
    with dns.Stream(server.at) as stream:
        stream.send(wire, wire, wire)
        stream.sock.shutdown(socket.SHUT_WR)
        for _ in range(3):
            answer = dns.check_response(wire, stream.receive(), True)
            assert answer.addresses == {regions[0].address}
        assert stream.is_closed(), "then it is closed"


@tsan
def test_half_open_clients_do_not_block_others(w):
    server, regions = start(w)
    wire = dns.make_query(SERVICE)
    openings = [b"", b"\0", struct.pack("!H", len(wire)), struct.pack("!H", len(wire)) + wire[:7],
                struct.pack("!H", 500) + b"x" * 20]
    streams = []
    try:
        for number in range(60):
            stream = dns.Stream(server.at)
            stream.sock.sendall(openings[number % len(openings)])
            streams.append(stream)
        for _ in range(20):
            alive(server, regions)
            assert server.ask(SERVICE, tcp=True).addresses == {regions[0].address}
    finally:
        for stream in streams:
            stream.close()


def test_what_is_no_dns_over_tcp_is_hung_up_on(w):
    server, regions = start(w)
    for junk in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\0", b"\0\5abcde",
                 struct.pack("!H", 0xFFFF) + b"z" * 3000):
        with dns.Stream(server.at) as stream:
            stream.sock.sendall(junk)
            assert stream.is_closed(), f"after {junk[:20]!r}"
    alive(server, regions)


def test_malformed_queries_over_tcp_get_formerr(w):
    server, regions = start(w)
    with dns.Stream(server.at) as stream:
        stream.send(dns.make_query(SERVICE, edns=None)[:-2])
        assert stream.receive()[3] & 0xF == dns.FORMERR
        stream.send(dns.make_query(SERVICE, opcode=2))
        assert stream.receive()[3] & 0xF == dns.NOTIMP
    alive(server, regions)


@long
def test_an_idle_connection_is_closed(w):
    server, _ = start(w)
    with dns.Stream(server.at) as stream:
        wire = dns.make_query(SERVICE)
        stream.send(wire)
        assert stream.receive()
        begin = time.monotonic()
        assert stream.is_closed(30), "closed after its idle time"
        assert time.monotonic() - begin > 1, "not at once: the next query may come"


@tsan
def test_the_limit_of_connections(w):
    """Beyond the limit the one idle longest makes room; newcomers are served."""
    server, regions = start(w)
    streams = []
    try:
        for _ in range(600):
            streams.append(dns.Stream(server.at))
        wire = dns.make_query(SERVICE)
        streams[-1].send(wire)
        assert dns.check_response(wire, streams[-1].receive(), True).addresses
        assert server.ask(SERVICE, tcp=True).addresses == {regions[0].address}
        alive(server, regions)
        assert streams[0].is_closed(), "the oldest made room"
    finally:
        for stream in streams:
            stream.close()
    assert server.ask(SERVICE, tcp=True).addresses == {regions[0].address}


def test_a_client_that_never_reads_does_not_block_others(w):
    zone = ("@ 60 SOA ns hostmaster 1 2 3 4 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
            + "".join(f'big 60 TXT "{i:02d}{"x" * 240}"\n' for i in range(100)))
    path = w.write_file("zone", zone)
    server, regions = start(w, zones={"zone.test": {"file": path}})
    wire = dns.make_query("big.zone.test", TXT)
    framed = struct.pack("!H", len(wire)) + wire
    with dns.Stream(server.at) as deaf:
        deaf.sock.setblocking(False)
        try:
            for _ in range(2000):
                deaf.sock.send(framed)
        except (BlockingIOError, ConnectionError):
            pass  # what it could take is full, or it hung up: both are right
        for _ in range(20):
            alive(server, regions)
            assert server.ask(SERVICE, tcp=True).addresses == {regions[0].address}


# ---- listeners


def test_the_answer_comes_from_the_address_that_was_asked(w):
    """On a wildcard listener too, where the kernel would choose the sender."""
    regions = w.three_regions()
    upstreams = [(region.name, region.dns) for region in regions]
    server = w.start(config(regions, gates=False, forward=forwarding(upstreams)),
                     addresses=("0.0.0.0",))
    for address in ("127.0.0.1", "127.0.0.5", "127.1.2.3"):
        at = (address, server.port)
        # ask() uses a connected socket, which takes datagrams of this address only
        assert dns.ask(at, SERVICE).addresses == {regions[0].address}
        assert dns.ask(at, SERVICE, tcp=True).addresses == {regions[0].address}
        assert dns.ask(at, "www.elsewhere.example").rcode == dns.NOERROR, "loopback may recurse"
        over_tcp = dns.ask(at, "www.elsewhere.example", tcp=True)
        assert over_tcp.rcode == dns.NOERROR, f"loopback may recurse over TCP too: {over_tcp}"


@tsan
def test_several_addresses_and_threads(w):
    regions = w.three_regions()
    whole = config(regions, gates=False, node={"threads": 2})
    server = w.start(whole, addresses=("127.0.0.1", "127.0.0.2"))
    for _ in range(20):  # many source ports, so that both threads have some
        for address in ("127.0.0.1", "127.0.0.2"):
            at = (address, server.port)
            assert dns.ask(at, SERVICE).addresses == {regions[0].address}
            assert dns.ask(at, SERVICE, tcp=True).addresses == {regions[0].address}
