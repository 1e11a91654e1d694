"""Simulated regions: leeward-region started, its faults switched."""

import os
import select
import socket
import subprocess
import time

from lib import patience


class Region:
    """
    One leeward-region. `dns`, `http`, `tcp` and, with --tls-dir, `tls` are
    "ADDRESS:PORT" texts as a configuration takes them.
    """

    def __init__(self, binary, folder, name, address, index, options=()):
        self.name, self.address, self.index = name, address, index
        self.control_path = os.path.join(folder, f"{name}.sock")
        self.log = open(os.path.join(folder, f"{name}.log"), "w+b")
        self.connection = None
        self.process = subprocess.Popen(
            [binary, "--name", name, "--address", address, "--index", str(index),
             "--control", self.control_path, "--with-parent", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        try:
            self.ready = self.read_ready()
        except BaseException:
            self.stop()
            raise

    def read_ready(self):
        """{"dns": "41001", ...} from the line that says it listens."""
        end = time.monotonic() + patience.seconds(patience.LIMIT_S)
        line = b""
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError(f"region {self.name} does not become ready")
            part = os.read(self.process.stdout.fileno(), 4096)
            if part == b"":
                raise AssertionError(f"region {self.name} ended: {self.log_text()}")
            line += part
        return dict(word.split("=", 1) for word in line.decode().split()[1:])

    def at(self, target):
        """(address, port) of dns, http, tcp or tls."""
        return self.address, int(self.ready[target])

    def text_of(self, target):
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.ready[target]}"

    @property
    def dns(self):
        return self.text_of("dns")

    @property
    def http(self):
        return self.text_of("http")

    @property
    def tcp(self):
        return self.text_of("tcp")

    @property
    def tls(self):
        return self.text_of("tls")

    def do(self, command):
        """Give a command and return the reply; an error is one of the test."""
        if self.connection is None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(patience.seconds(patience.LIMIT_S))
            sock.connect(self.control_path)
            self.connection = sock
        self.connection.sendall(command.encode() + b"\n")
        reply = b""
        while not reply.endswith(b"\n"):
            part = self.connection.recv(4096)
            assert part, f"region {self.name} hung up on '{command}'"
            reply += part
        reply = reply.decode().rstrip("\n")
        assert not reply.startswith("error"), f"{self.name}: {command}: {reply}"
        return reply

    def heal(self, target="all"):
        self.do(f"{target} heal")

    def stats(self, name=None):
        """Counts as {"dns_queries": 3, ...}, or of one name as {"queries": 3, ...}."""
        reply = self.do("stats" if name is None else f"stats {name}")
        return {key: int(value) for key, value in (word.split("=") for word in reply.split())}

    def asked(self, name):
        """How often its resolver was asked for a name."""
        return self.stats(name)["queries"]

    def asked_over(self, name, rtype="A"):
        """The same of one type as {"queries": 2, "udp": 1, "tcp": 1, "tls": 0}."""
        return self.stats(f"{name} {rtype}")

    def counts(self):
        """What queries carried and what became of connections."""
        return {key: int(value) for key, value in
                (word.split("=") for word in self.do("counts").split())}

    def used(self, trick):
        """How often a trick was played."""
        return int(self.do(f"used {trick}").split("=")[1])

    def log_text(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        if self.connection is not None:
            self.connection.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(patience.seconds(patience.LIMIT_S))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.log.close()
