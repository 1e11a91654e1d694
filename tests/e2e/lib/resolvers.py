"""
unbound, named and dnsmasq as a region's resolver, all serving the same names:

  CANARY            A 192.0.2.53
  *.OTHER           A, another address in each region: it tells who has answered
  LARGE             TXT, more than fits into a datagram
  SIGNED            A, with signatures (named only)
"""

import os
import shutil

from lib.process import Program, run

CANARY = "canary.corp.example"
OTHER = "other.example"
LARGE = "large.example"
SIGNED = "signed.example"

CERTIFICATE_NAME = "resolver.test"
LARGE_TEXTS = [f"{number:02} " + "abcdefghi " * 20 for number in range(14)]


def make_certificate(folder):
    """(certificate, key) of CERTIFICATE_NAME; its own authority."""
    certificate, key = (os.path.join(folder, "resolver" + ext) for ext in (".crt", ".key"))
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
        "-subj", "/CN=" + CERTIFICATE_NAME, "-addext", "subjectAltName=DNS:" + CERTIFICATE_NAME)
    return certificate, key


class Resolver(Program):
    """`answer` is what it says of all names below OTHER; certificate: see make_certificate."""

    speaks_tls = True

    def __init__(self, network, folder, answer, certificate=None):
        super().__init__(network, folder)
        self.answer, self.certificate = answer, certificate
        self.ports = (53, 853) if certificate and self.speaks_tls else (53,)


class Unbound(Resolver):
    name = "unbound"

    def command(self):
        lines = [
            "server:",
            f"  interface: {self.network.dns}",
            "  access-control: 10.77.0.0/16 allow",
            "  do-daemonize: no",
            "  do-not-query-localhost: no",
            '  chroot: ""',
            '  username: ""',
            f'  directory: "{self.folder}"',
            f'  pidfile: "{self.folder}/unbound.pid"',
            "  use-syslog: no",
            '  logfile: ""',
            "  log-queries: yes",
            "  num-threads: 1",
            '  module-config: "iterator"',
            '  local-zone: "." refuse',
            '  local-data: ". 60 SOA ns.example. root.example. 1 60 60 60 60"',
            '  local-zone: "corp.example." static',
            f'  local-data: "{CANARY}. 5 A 192.0.2.53"',
            f'  local-zone: "{OTHER}." redirect',
            f'  local-data: "{OTHER}. 5 A {self.answer}"',
            f'  local-zone: "{LARGE}." static',
            *(f"  local-data: '{LARGE}. 5 TXT \"{text}\"'" for text in LARGE_TEXTS),
        ]
        if self.certificate:
            lines += [f"  interface: {self.network.dns}@853",
                      f'  tls-service-pem: "{self.certificate[0]}"',
                      f'  tls-service-key: "{self.certificate[1]}"']
        lines += ["remote-control:", "  control-enable: no"]
        conf = self.write("unbound.conf", "\n".join(lines) + "\n")
        return [self.own_copy(), "-d", "-c", conf]


class Named(Resolver):
    name = "named"

    def zone_text(self):
        texts = "".join(f'{LARGE}. 5 TXT "{text}"\n' for text in LARGE_TEXTS)
        return (". 60 SOA ns.example. root.example. 1 60 60 60 60\n"
                ". 60 NS ns.example.\n"
                f"ns.example. 60 A {self.network.dns}\n"
                f"{CANARY}. 5 A 192.0.2.53\n"
                f"*.{OTHER}. 5 A {self.answer}\n" + texts)

    def command(self):
        tls = listen = ""
        if self.certificate:
            tls = (f'tls own {{ cert-file "{self.certificate[0]}";'
                   f' key-file "{self.certificate[1]}"; }};\n')
            listen = f"  listen-on port 853 tls own {{ {self.network.dns}; }};\n"
        self.write("root.zone", self.zone_text())
        self.write("signed.zone", (
            f"$ORIGIN {SIGNED}.\n@ 5 SOA ns.example. root.example. 1 60 60 60 60\n"
            "@ 5 NS ns.example.\n@ 5 A 192.0.2.54\n"))
        conf = self.write("named.conf", tls + (
            "options {\n"
            f'  directory "{self.folder}";\n'
            f'  key-directory "{self.folder}";\n'
            f"  listen-on port 53 {{ {self.network.dns}; }};\n" + listen +
            "  listen-on-v6 { none; };\n"
            "  pid-file none;\n"
            "  session-keyfile none;\n"
            "  recursion yes;\n"
            "  allow-query { any; };\n"
            "  allow-recursion { any; };\n"
            "  dnssec-validation no;\n"
            "  empty-zones-enable no;\n"
            "  querylog yes;\n"
            "};\n"
            "controls { };\n"
            "logging { channel here { stderr; severity info; };"
            " category default { here; }; category queries { here; };"
            " category lame-servers { null; }; };\n"
            'zone "." { type primary; file "root.zone"; };\n'
            f'zone "{SIGNED}" {{ type primary; file "signed.zone"; dnssec-policy default;'
            " inline-signing yes; };\n"))
        return [self.own_copy(), "-f", "-n", "1", "-c", conf]


class Dnsmasq(Resolver):
    name = "dnsmasq"
    speaks_tls = False

    def command(self):
        return [self.own_copy(), "--keep-in-foreground", "--conf-file=/dev/null", "--user=root",
                "--group=", f"--pid-file={self.folder}/pid", "--no-resolv", "--no-hosts",
                "--no-poll", "--log-facility=-", "--log-queries", "--bind-interfaces",
                f"--listen-address={self.network.dns}", "--cache-size=0", "--local-ttl=5",
                f"--host-record={CANARY},192.0.2.53", f"--address=/{OTHER}/{self.answer}",
                *(f"--txt-record={LARGE},{text}" for text in LARGE_TEXTS)]


KINDS = {kind.name: kind for kind in (Unbound, Named, Dnsmasq)}


def missing():
    """Programs that are not installed."""
    return [name for name in (*KINDS, "openssl") if shutil.which(name) is None]
