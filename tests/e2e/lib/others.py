"""Servers of others on loopback: nginx, unbound, openssl s_server."""

import os
import shutil
import socket
import subprocess

from lib import patience
from lib.process import tail
from lib.server import STARTS, free_port
from lib.world import Skip


class Other:
    """
    One that serves on a free port of all its addresses. It ends with the test,
    whose processes are killed as a group.
    """

    name = "other"

    def __init__(self, w, *addresses):
        if shutil.which(self.name) is None:
            raise Skip(f"there is no {self.name}")
        self.w, self.addresses = w, addresses
        self.folder = os.path.join(w.folder, f"{self.name}-{addresses[0]}")
        self.log = os.path.join(self.folder, "log")
        self.port = self.process = None
        os.mkdir(self.folder)

    def command(self):
        """What runs it in the foreground on self.port, its files written."""
        raise NotImplementedError

    def choose_ports(self):
        self.port = free_port(*self.addresses)

    def start(self):
        for _ in range(STARTS):
            self.choose_ports()
            if self.start_again():
                return self
        raise AssertionError(f"{self.name} does not start:\n{tail(self.log)}")

    def start_again(self):
        """On the same ports. Returns whether it runs."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder)
        patience.until(lambda: self.accepts() or self.process.poll() is not None,
                       lambda: f"{self.name} accepts:\n{tail(self.log)}")
        return self.process.poll() is None

    def accepts(self):
        try:
            for address in self.addresses:
                socket.create_connection((address, self.port), 1).close()
            return True
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def at(self, address=None):
        return f"{address or self.addresses[0]}:{self.port}"

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)
        return path


# Without a master there is one process, which a signal ends.
NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  root {folder};
{servers}
}}
"""


class Nginx(Other):
    """`servers`: its server blocks, PORT standing for the port and FOLDER for the test's."""

    name = "nginx"

    def __init__(self, w, servers, *addresses):
        super().__init__(w, *addresses)
        self.servers = servers

    def command(self):
        servers = self.servers.replace("PORT", str(self.port)).replace("FOLDER", self.w.folder)
        conf = self.write("nginx.conf", NGINX.format(folder=self.folder, servers=servers))
        return [self.name, "-e", "stderr", "-p", self.folder, "-c", conf]

    def requests(self):
        """The first lines of what was asked: ["GET / HTTP/1.1"]."""
        with open(os.path.join(self.folder, "access"), encoding="utf-8") as file:
            return [line.split('"')[1] for line in file]


class Unbound(Other):
    """Answers `data`, lines like local-data's, over UDP and TCP, and on a port of its own TLS."""

    name = "unbound"

    def __init__(self, w, data, certificate, *addresses):
        super().__init__(w, *addresses)
        self.data, self.certificate = data, certificate
        self.tls_port = None

    def choose_ports(self):
        super().choose_ports()
        self.tls_port = free_port(*self.addresses)

    def command(self):
        program = os.path.join(self.folder, self.name)
        if not os.path.exists(program):  # AppArmor knows it by its path, and lets it read /etc only
            shutil.copy(shutil.which(self.name), program)
        interfaces = [f"{address}@{port}" for address in self.addresses
                      for port in (self.port, self.tls_port)]
        lines = ["server:", *(f"  interface: {i}" for i in interfaces),
                 "  access-control: 127.0.0.0/8 allow", "  do-daemonize: no", '  chroot: ""',
                 '  username: ""', f'  directory: "{self.folder}"',
                 f'  pidfile: "{self.folder}/pid"', "  use-syslog: no", '  logfile: ""',
                 "  num-threads: 1", '  module-config: "iterator"', '  local-zone: "." static',
                 f"  tls-port: {self.tls_port}",
                 f'  tls-service-pem: "{self.certificate}.crt"',
                 f'  tls-service-key: "{self.certificate}.key"',
                 *(f"  local-data: '{line}'" for line in self.data),
                 "remote-control:", "  control-enable: no"]
        return [program, "-d", "-c", self.write("unbound.conf", "\n".join(lines) + "\n")]

    def at_tls(self):
        return f"{self.addresses[0]}:{self.tls_port}"


class TlsServer(Other):
    """openssl s_server with the certificate of FILE.crt and FILE.key."""

    name = "openssl"

    def __init__(self, w, certificate, address):
        super().__init__(w, address)
        self.certificate = certificate

    def command(self):
        return [self.name, "s_server", "-accept", self.at(), "-cert", self.certificate + ".crt",
                "-key", self.certificate + ".key", "-www", "-quiet"]
