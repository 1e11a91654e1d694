"""A region's network: a namespace, linked to the one that the script runs in."""

import subprocess

from lib.process import run


class Network:
    """
    Linked by a veth pair that here has the name of the region. In it are two
    addresses, one for a resolver and one for an endpoint. It needs to be root
    in a network namespace of one's own (see stage.py).
    """

    def __init__(self, name, index):
        self.name = name
        self.gateway = f"10.77.{index}.1"
        self.dns, self.http = f"10.77.{index}.53", f"10.77.{index}.80"
        self.holder = None

    def make(self):
        # Keeps the network while no server runs in it.
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo made; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        if not self.holder.stdout.readline():
            raise AssertionError(f"no network for {self.name}")
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0",
            "netns", str(self.holder.pid))
        run("ip", "addr", "add", self.gateway + "/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        self.inside("ip", "link", "set", "lo", "up")
        for address in (self.dns, self.http):
            self.inside("ip", "addr", "add", address + "/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")

    def enter(self):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]

    def inside(self, *command, text=None):
        return run(*self.enter(), *command, text=text)

    @staticmethod
    def outside(*command):
        return run(*command)
