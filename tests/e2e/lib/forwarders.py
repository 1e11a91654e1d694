"""unbound, named and dnsmasq as forwarders to the same resolvers, each as it comes."""

from lib.process import Program


class Here:
    """Not a network of its own, but the one that the script runs in."""

    name = "here"

    @staticmethod
    def enter():
        return []


class Forwarder(Program):
    """Listens on port 53 of `address`; asks `upstreams`, the preferred one first."""

    def __init__(self, folder, address, upstreams):
        super().__init__(Here, folder)
        self.address, self.upstreams = address, upstreams


class Unbound(Forwarder):
    name = "unbound"

    def command(self):
        lines = [
            "server:",
            f"  interface: {self.address}",
            "  do-daemonize: no",
            '  chroot: ""',
            '  username: ""',
            f'  directory: "{self.folder}"',
            f'  pidfile: "{self.folder}/unbound.pid"',
            "  use-syslog: no",
            '  logfile: ""',
            "  num-threads: 1",
            '  module-config: "iterator"',
            "remote-control:",
            "  control-enable: no",
            "forward-zone:",
            '  name: "."',
            *(f"  forward-addr: {upstream}" for upstream in self.upstreams),
        ]
        return [self.own_copy(), "-d", "-c", self.write("unbound.conf", "\n".join(lines) + "\n")]


class Named(Forwarder):
    name = "named"

    def command(self):
        upstreams = " ".join(f"{upstream};" for upstream in self.upstreams)
        conf = self.write("named.conf", (
            "options {\n"
            f'  directory "{self.folder}";\n'
            f"  listen-on port 53 {{ {self.address}; }};\n"
            "  listen-on-v6 { none; };\n"
            "  pid-file none;\n"
            "  session-keyfile none;\n"
            "  recursion yes;\n"
            "  dnssec-validation no;\n"
            "  empty-zones-enable no;\n"
            "  forward only;\n"
            f"  forwarders {{ {upstreams} }};\n"
            "};\n"
            "controls { };\n"
            "logging { category default { null; }; };\n"))
        return [self.own_copy(), "-f", "-n", "1", "-c", conf]


class Dnsmasq(Forwarder):
    name = "dnsmasq"

    def command(self):
        return [self.own_copy(), "--keep-in-foreground", "--conf-file=/dev/null", "--user=root",
                "--group=", f"--pid-file={self.folder}/pid", "--no-resolv", "--no-hosts",
                "--no-poll", "--log-facility=-", "--bind-interfaces",
                f"--listen-address={self.address}",
                *(f"--server={upstream}" for upstream in self.upstreams)]


KINDS = (Unbound, Named, Dnsmasq)
