"""
A small DNS client of its own: messages are built and read here, strictly.

It shares no code with the server, so that both cannot be wrong in the same way.
"""

import ipaddress
import random
import socket
import struct
import time

from lib import patience

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41
IXFR, AXFR, ANY = 251, 252, 255
IN, CH = 1, 3
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
SUBNET, EDE = 8, 15

TIMEOUT_S = 8.0


class Malformed(Exception):
    """The bytes are no DNS message."""


class NoAnswer(Exception):
    """Nothing came within the time."""


# ---- names


def labels_of(name):
    return [label.encode("latin-1") for label in name.rstrip(".").split(".") if label]


def name_wire(name):
    return b"".join(bytes([len(label)]) + label for label in labels_of(name)) + b"\0"


def read_name(data, at):
    """The name at `at` as text without the last dot, and where it ends."""
    labels, end, size, least = [], None, 0, at
    while True:
        if at >= len(data):
            raise Malformed("a name runs out of the message")
        length = data[at]
        if length >= 0xC0:
            if at + 2 > len(data):
                raise Malformed("half a pointer")
            end = at + 2 if end is None else end
            at = struct.unpack_from("!H", data, at)[0] & 0x3FFF
            if at >= least:
                raise Malformed("a pointer that does not point back")
            least = at
        elif length >= 0x40:
            raise Malformed("an unknown kind of label")
        elif length == 0:
            return ".".join(labels), at + 1 if end is None else end
        else:
            size += length + 1
            if at + 1 + length > len(data) or size > 254:
                raise Malformed("a name too long")
            labels.append(data[at + 1:at + 1 + length].decode("latin-1"))
            at += 1 + length


# ---- messages


class Record:
    def __init__(self, name, rtype, rclass, ttl, data):
        self.name, self.type, self.rclass, self.ttl, self.data = name, rtype, rclass, ttl, data

    def __repr__(self):
        return f"{self.name} {self.ttl} TYPE{self.type} {self.data}"


class Opt:
    def __init__(self, payload, version, do, options):
        self.payload, self.version, self.do, self.options = payload, version, do, options


class Message:
    """A message that was read. rcode is the whole one, with its bits in OPT."""

    def __init__(self, wire):
        self.wire = wire
        if len(wire) < 12:
            raise Malformed("shorter than a header")
        self.id, self.flags, *counts = struct.unpack_from("!HHHHHH", wire)
        self.rcode = self.flags & 0xF
        self.opcode = self.flags >> 11 & 0xF
        self.questions = []
        at = 12
        for _ in range(counts[0]):
            name, at = read_name(wire, at)
            self.questions.append((name, *unpack("!HH", wire, at)))
            at += 4
        self.opt = None
        sections = []
        for count in counts[1:]:
            section = []
            for _ in range(count):
                record, at = self.read_record(at)
                if record is not None:
                    section.append(record)
            sections.append(section)
        self.answer, self.authority, self.additional = sections
        if at != len(wire):
            raise Malformed(f"{len(wire) - at} bytes behind the last record")

    def read_record(self, at):
        name, at = read_name(self.wire, at)
        rtype, rclass, ttl, size = unpack("!HHIH", self.wire, at)
        at += 10
        if at + size > len(self.wire):
            raise Malformed("a record runs out of the message")
        end = at + size
        if rtype != OPT:
            return Record(name, rtype, rclass, ttl, read_data(self.wire, at, rtype, size)), end
        if self.opt is not None or name != "":
            raise Malformed("a second OPT, or one that is not of the root")
        options = []
        while at < end:
            code, length = unpack("!HH", self.wire, at)
            options.append((code, self.wire[at + 4:at + 4 + length]))
            at += 4 + length
        if at != end:
            raise Malformed("an option runs out of OPT")
        self.opt = Opt(rclass, ttl >> 16 & 0xFF, bool(ttl & 0x8000), options)
        self.rcode |= ttl >> 24 << 4
        return None, end

    def has(self, flag):
        return bool(self.flags & flag)

    @property
    def records(self):
        return self.answer + self.authority + self.additional

    def data(self, rtype):
        """The data of all records of a type in the answer section."""
        return [record.data for record in self.answer if record.type == rtype]

    @property
    def addresses(self):
        """The set of addresses in the answer section."""
        return frozenset(self.data(A) + self.data(AAAA))

    @property
    def ttl(self):
        return min((record.ttl for record in self.answer), default=None)

    @property
    def soa(self):
        """The SOA record of a negative answer, or None."""
        return next((r for r in self.authority if r.type == SOA), None)

    @property
    def ede(self):
        """(code, text) of the Extended DNS Error (RFC 8914), or None."""
        for code, data in self.opt.options if self.opt else []:
            if code == EDE:
                return struct.unpack("!H", data[:2])[0], data[2:].decode()
        return None

    def __repr__(self):
        return (f"<rcode {self.rcode} flags {self.flags:#06x} {self.questions} "
                f"answer {self.answer} authority {self.authority} "
                f"additional {self.additional}>")


def unpack(form, data, at):
    try:
        return struct.unpack_from(form, data, at)
    except struct.error as exc:
        raise Malformed("the message is too short") from exc


def read_data(wire, at, rtype, size):
    end = at + size
    if rtype in (A, AAAA):
        return str(ipaddress.ip_address(wire[at:end]))
    if rtype in (NS, CNAME, PTR):
        name, stop = read_name(wire, at)
    elif rtype == MX:
        name, stop = read_name(wire, at + 2)
        name = (*unpack("!H", wire, at), name)
    elif rtype == SRV:
        name, stop = read_name(wire, at + 6)
        name = (*unpack("!HHH", wire, at), name)
    elif rtype == SOA:
        primary, stop = read_name(wire, at)
        mail, stop = read_name(wire, stop)
        name = (primary, mail, *unpack("!IIIII", wire, stop))
        stop += 20
    elif rtype == TXT:
        strings = []
        while at < end:
            strings.append(wire[at + 1:at + 1 + wire[at]].decode("latin-1"))
            at += 1 + wire[at]
        return strings
    else:
        return wire[at:end]
    if stop != end:
        raise Malformed(f"the data of a record of type {rtype} does not end where it should")
    return name


def make_query(name, rtype=A, *, qid=None, rd=True, flags=0, opcode=0, rclass=IN, edns=1232,
               do=False, version=0, options=b""):
    """A question as bytes. edns: the payload size, or None for no OPT."""
    qid = random.randrange(65536) if qid is None else qid
    bits = flags | opcode << 11 | (RD if rd else 0)
    wire = struct.pack("!HHHHHH", qid, bits, 1, 0, 0, 0 if edns is None else 1)
    wire += name_wire(name) + struct.pack("!HH", rtype, rclass)
    if edns is not None:
        wire += b"\0" + struct.pack("!HHBBHH", OPT, edns, 0, version, 0x8000 if do else 0,
                                    len(options)) + options
    return wire


def client_subnet(prefix):
    """The option that says for whom is asked: "192.0.2.0/24". RFC 7871, section 6."""
    network = ipaddress.ip_network(prefix)
    data = network.network_address.packed[:(network.prefixlen + 7) // 8]
    return struct.pack("!HHHBB", SUBNET, 4 + len(data), 1 if network.version == 4 else 2,
                       network.prefixlen, 0) + data


def scope_of(message):
    """For how many bits of the subnet the answer is good; None without the option."""
    for code, data in message.opt.options if message.opt else ():
        if code == SUBNET:
            return data[3]
    return None


# ---- transport


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp_socket(at, source=None):
    """A socket connected to at, (address, port); errors of the network show up in it."""
    sock = socket.socket(family_of(at[0]), socket.SOCK_DGRAM)
    if source is not None:
        sock.bind((source, 0))
    sock.connect(at)
    return sock


def udp_exchange(at, wire, timeout_s=None, source=None):
    """
    Send bytes, return the first datagram with the same id. A refused datagram
    is silence: whoever asks decides what silence means.
    """
    limit = patience.seconds(TIMEOUT_S if timeout_s is None else timeout_s)
    end = time.monotonic() + limit
    with udp_socket(at, source) as sock:
        sock.send(wire)
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise NoAnswer(f"nothing came from {at[0]}:{at[1]} within {limit:g} s")
            sock.settimeout(left)
            try:
                data = sock.recv(65535)
            except socket.timeout:
                continue
            except ConnectionRefusedError as exc:
                raise NoAnswer(f"{at[0]}:{at[1]} is closed") from exc
            if data[:2] == wire[:2]:
                return data


class Stream:
    """A TCP connection to a server; messages with their length before them."""

    def __init__(self, at, source=None, timeout_s=TIMEOUT_S):
        self.sock = socket.socket(family_of(at[0]), socket.SOCK_STREAM)
        try:
            self.sock.settimeout(patience.seconds(timeout_s))
            if source is not None:
                self.sock.bind((source, 0))
            self.sock.connect(at)
        except OSError:
            self.sock.close()
            raise

    def send(self, *wires):
        self.sock.sendall(b"".join(struct.pack("!H", len(wire)) + wire for wire in wires))

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            if part == b"":
                raise ConnectionError(f"closed after {len(data)} of {size} bytes")
            data += part
        return data

    def receive(self):
        return self.read_exactly(struct.unpack("!H", self.read_exactly(2))[0])

    def is_closed(self, timeout_s=TIMEOUT_S):
        """Wait for the peer's end of the connection; False when the time is up."""
        self.sock.settimeout(patience.seconds(timeout_s))
        try:
            while self.sock.recv(4096):
                pass
            return True
        except socket.timeout:
            return False
        except ConnectionError:
            return True

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask(at, name, rtype=A, *, tcp=False, timeout_s=None, source=None, **parts):
    """
    Ask and read the answer; it must be a well-formed response to this very
    question, its letter case included. parts: those of make_query.
    """
    wire = make_query(name, rtype, **parts)
    if tcp:
        with Stream(at, source, TIMEOUT_S if timeout_s is None else timeout_s) as stream:
            stream.send(wire)
            data = stream.receive()
    else:
        data = udp_exchange(at, wire, timeout_s, source)
    return check_response(wire, data, tcp)


def check_response(wire, data, tcp=False):
    asked, message = Message(wire), Message(data)
    assert message.has(QR), f"not a response: {message}"
    assert message.id == asked.id, f"another id: {message}"
    assert message.opcode == asked.opcode, f"another opcode: {message}"
    if message.questions or message.rcode not in (FORMERR, NOTIMP):
        assert message.questions == asked.questions, f"not the question asked: {message}"
    assert (message.opt is None) == (asked.opt is None) or message.rcode in (FORMERR, NOTIMP), (
        f"EDNS where none was asked for, or the reverse: {message}")
    if not tcp:
        most = max(512, asked.opt.payload) if asked.opt else 512
        assert len(data) <= most, f"{len(data)} bytes over UDP, at most {most} may come"
    return message
