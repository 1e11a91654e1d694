"""The ways from one node to the regions: what goes over them is lost for that node only."""

import selectors
import socket
import threading

from lib.server import free_port

KEPT = 256  # conversations; the oldest make room
PIECE = 65536


class Paths:
    """
    Forwards UDP and TCP from ports of its own, on the region's address, to the
    region's. A cut loses everything, as a blackhole does: who connects meets
    silence, and what was under way when it was cut stays silent for good.
    """

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.lost = frozenset()  # names of regions; replaced as a whole: a cut is one moment
        self.open = []  # sockets of conversations, the oldest first
        threading.Thread(target=self.run, daemon=True).start()

    # ---- in the test's thread

    def to(self, region, target):
        """The text for a configuration of a way to a region's dns, http or tcp."""
        port = free_port(region.address)
        door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        door.bind((region.address, port))
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((region.address, port))
        listener.listen(64)
        there = region.at(target)
        self.watch(door, lambda: self.take_datagram(region.name, door, there))
        self.watch(listener, lambda: self.accept(region.name, listener, there))
        return f"{region.address}:{port}"

    def cut(self, *regions):
        self.lost |= {region.name for region in regions}

    def mend(self, *regions):
        """Without regions: all of them."""
        gone = {region.name for region in regions} if regions else self.lost
        self.lost -= gone

    # ---- in the thread that forwards

    def run(self):
        while True:
            for key, _ in self.selector.select(0.05):
                try:
                    key.data()
                except OSError:
                    self.drop(key.fileobj)

    def watch(self, sock, act):
        self.selector.register(sock, selectors.EVENT_READ, act)

    def keep(self, *socks):
        self.open += socks
        while len(self.open) > KEPT:
            self.drop(self.open[0])

    def silence(self, *socks):
        """Nothing is read from them any more, and nothing written."""
        for sock in socks:
            try:
                self.selector.unregister(sock)
            except (KeyError, ValueError):
                pass

    def drop(self, *socks):
        self.silence(*socks)
        for sock in socks:
            if sock in self.open:
                self.open.remove(sock)
            sock.close()

    def take_datagram(self, name, door, there):
        data, client = door.recvfrom(PIECE)
        if name in self.lost:
            return
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.connect(there)
        out.send(data)
        self.keep(out)
        self.watch(out, lambda: self.give_back(name, door, out, client))

    def give_back(self, name, door, out, client):
        data = out.recv(PIECE)
        self.drop(out)
        if name not in self.lost:
            door.sendto(data, client)

    def accept(self, name, listener, there):
        inner, _ = listener.accept()
        if name in self.lost:
            self.keep(inner)
            return
        try:
            outer = socket.create_connection(there, 1)
        except OSError:
            inner.close()
            return
        self.keep(inner, outer)
        self.watch(inner, lambda: self.pass_on(name, inner, outer))
        self.watch(outer, lambda: self.pass_on(name, outer, inner))

    def pass_on(self, name, one, other):
        if name in self.lost:
            self.silence(one, other)
            return
        try:
            data = one.recv(PIECE)
            other.sendall(data)
        except OSError:
            data = b""
        if data == b"":
            self.drop(one, other)
