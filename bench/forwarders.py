"""The forwarders that the benches compare: how each is told whom to ask.

Every one has a cache of 64 MiB (dnsdist and dnsmasq count answers, and get more
room than a bench has names), one thread that answers, neither log nor validation,
and, where it has the choice, the settings under which it suffered least when a
resolver failed. Everything they write stays in the directory they are given.
"""
import json
import os

import contestants
from contestants import Contestant, write

DOMAIN = "away.example.com"
CACHE_MIB = 64
CACHE_ANSWERS = 200000
STALE_S = 3 * 86400


class Plan:
    """What a forwarder is told."""

    def __init__(self, upstreams, stale=False):
        self.upstreams = upstreams  # (address, port) of resolvers, the preferred one first
        self.stale = stale  # to answer from what has expired while no resolver answers


class Forwarder(Contestant):
    ready_name = f"ready.{DOMAIN}"
    own_address = True  # it can listen on any address of 127.0.0.0/8

    @property
    def at(self):
        return f"{self.address}:{self.port}"


class Leeward(Forwarder):
    """The regions have no checks: it finds out by itself. serve_stale is on by default."""

    name = "leeward"
    find = contestants.Leeward.find

    def configure(self, directory, port, workload):
        names = [f"r{number}" for number in range(1, len(workload.upstreams) + 1)]
        configuration = {
            "node": {"name": "bench", "region": names[0], "threads": 1,
                     "state_directory": f"{directory}/state"},
            "listen": [f"{self.address}:{port}"],
            "regions": {name: {"minimum_healthy": 0} for name in names},
            "forward": {".": {"upstreams": [
                {"region": name, "address": f"{address}:{there}"}
                for name, (address, there) in zip(names, workload.upstreams)]}},
            "cache": {"size": f"{CACHE_MIB}MiB"},
            "api": {"socket": f"{directory}/api.sock"},
        }
        os.makedirs(f"{directory}/state", exist_ok=True)
        write(f"{directory}/leeward.yaml", json.dumps(configuration, indent=1) + "\n")
        return [self.find(), "run", "-c", f"{directory}/leeward.yaml"]


class Unbound(Forwarder):
    """Without serve-expired while resolvers are compared: with it and infra-host-ttl 1
    it was never again as fast as before the fault."""

    name = "unbound"
    program = "unbound"
    package = "unbound"

    def configure(self, directory, port, workload):
        lines = [
            "server:",
            f"  interface: {self.address}@{port}",
            f"  directory: \"{directory}\"",
            "  chroot: \"\"",
            "  username: \"\"",
            "  pidfile: \"\"",
            "  use-syslog: no",
            "  logfile: \"\"",
            "  verbosity: 0",
            "  num-threads: 1",
            "  do-daemonize: no",
            "  do-not-query-localhost: no",
            "  access-control: 127.0.0.0/8 allow",
            "  module-config: \"iterator\"",
            f"  msg-cache-size: {CACHE_MIB // 2}m",
            f"  rrset-cache-size: {CACHE_MIB // 2}m",
            "  minimal-responses: yes",
        ]
        if workload.stale:
            # 1.8 s, what RFC 8767 proposes, is above the limit of this bench.
            lines += ["  serve-expired: yes", f"  serve-expired-ttl: {STALE_S}",
                      "  serve-expired-client-timeout: 0"]
        lines += ["remote-control:", "  control-enable: no", "forward-zone:", "  name: \".\""]
        lines += [f"  forward-addr: {address}@{there}" for address, there in workload.upstreams]
        write(f"{directory}/unbound.conf", "\n".join(lines) + "\n")
        return [self.find(), "-d", "-p", "-c", f"{directory}/unbound.conf"]


class Named(Forwarder):
    """It listens only on addresses that an interface has."""

    own_address = False
    name = "named"
    program = "named"
    package = "bind9"

    def configure(self, directory, port, workload):
        stale = (f"  stale-answer-enable yes; stale-cache-enable yes; max-stale-ttl {STALE_S};\n"
                 "  stale-answer-client-timeout 0;\n") if workload.stale else ""
        resolvers = " ".join(f"{address} port {there};" for address, there in workload.upstreams)
        write(f"{directory}/named.conf", (
            "options {\n"
            f"  directory \"{directory}\";\n"
            f"  listen-on port {port} {{ {self.address}; }};\n"
            "  listen-on-v6 { none; };\n"
            "  pid-file none;\n"
            "  session-keyfile none;\n"
            "  recursion yes;\n"
            "  allow-query { any; };\n"
            "  allow-recursion { any; };\n"
            "  allow-query-cache { any; };\n"
            "  dnssec-validation no;\n"
            "  empty-zones-enable no;\n"
            "  minimal-responses yes;\n"
            f"  max-cache-size {CACHE_MIB}m;\n"
            "  recursive-clients 10000;\n"
            "  forward only;\n"
            f"  forwarders {{ {resolvers} }};\n"
            f"{stale}"
            "};\n"
            "controls { };\n"
            "logging { category default { null; }; category unmatched { null; }; };\n"))
        return [self.find(), "-f", "-n", "1", "-c", f"{directory}/named.conf"]


class Dnsdist(Forwarder):
    """The shortest interval of its checks, and the first resolver while that is up."""

    name = "dnsdist"
    program = "dnsdist"
    package = "dnsdist"

    def configure(self, directory, port, workload):
        lines = [
            f"setLocal(\"{self.address}:{port}\")",
            "setACL({\"127.0.0.0/8\"})",
            "setSecurityPollSuffix(\"\")",
            "setServerPolicy(firstAvailable)",
            f"pc = newPacketCache({CACHE_ANSWERS}, {{maxTTL=86400, minTTL=0}})",
            "getPool(\"\"):setCache(pc)",
        ]
        if workload.stale:
            lines.append(f"setStaleCacheEntriesTTL({STALE_S})")
        for order, (address, there) in enumerate(workload.upstreams, 1):
            lines.append(
                f"newServer({{address=\"{address}:{there}\", order={order}, checkInterval=1, "
                f"checkTimeout=200, maxCheckFailures=1, checkName=\"check.{DOMAIN}.\"}})")
        write(f"{directory}/dnsdist.conf", "\n".join(lines) + "\n")
        return [self.find(), "--supervised", "--disable-syslog", "-C", f"{directory}/dnsdist.conf"]


class Dnsmasq(Forwarder):
    name = "dnsmasq"
    program = "dnsmasq"
    package = "dnsmasq-base"
    more = ()

    def configure(self, directory, port, workload):
        command = [
            self.find(), "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--group=",
            f"--pid-file={directory}/pid", "--no-resolv", "--no-hosts", "--no-poll",
            "--log-facility=-", "--bind-interfaces", f"--listen-address={self.address}",
            f"--port={port}", f"--cache-size={CACHE_ANSWERS}", "--dns-forward-max=10000",
            *self.more]
        if os.geteuid() != 0:
            command.remove("--user=root")
        if workload.stale:
            command.append(f"--use-stale-cache={STALE_S}")
        return command + [f"--server={address}#{there}" for address, there in workload.upstreams]


class DnsmasqAll(Dnsmasq):
    """Asks every resolver always, and passes the first answer on."""

    name = "dnsmasq-all"
    more = ("--all-servers",)


class Kresd(Forwarder):
    """Its cache is a file that it maps, none of it anonymous memory. When that is full it
    forgets everything, its collector being another program: so it gets room for a run."""

    name = "kresd"
    program = "kresd"
    package = "knot-resolver"

    def configure(self, directory, port, workload):
        resolvers = ", ".join(f"'{address}@{there}'" for address, there in workload.upstreams)
        lines = [
            f"net.listen('{self.address}', {port}, {{ kind = 'dns' }})",
            "net.ipv6 = false",
            "trust_anchors.remove('.')",
            "log_level('crit')",
            f"cache.open({4 * CACHE_MIB} * MB, 'lmdb://{directory}/cache')",
            f"policy.add(policy.all(policy.STUB({{ {resolvers} }})))",
        ]
        if workload.stale:
            lines.insert(0, "modules = { 'serve_stale < cache' }")
            lines.append("cache.min_ttl(0)")  # else nothing expires within 5 s
        os.makedirs(f"{directory}/cache", exist_ok=True)
        write(f"{directory}/kresd.conf", "\n".join(lines) + "\n")
        return [self.find(), "-n", "-c", f"{directory}/kresd.conf", directory]


ALL = [Leeward, Unbound, Named, Dnsdist, Dnsmasq, DnsmasqAll, Kresd]
