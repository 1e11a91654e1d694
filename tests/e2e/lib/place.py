"""A region of strangers: a network, a resolver in it and, where wanted, nginx."""

import socket

from lib import dns, patience
from lib.network import Network
from lib.process import Program, tail
from lib.resolvers import CANARY

# Without a master, so that one signal stops all of it; as the only user there may be.
NGINX = """
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen {http}:80;
    location = / {{ return 200 "region {name}\\n"; }}
    location = /healthz {{ return 200 "ok\\n"; }}
  }}
}}
"""


class Nginx(Program):
    name = "nginx"
    ports = (80,)

    def command(self):
        conf = self.write("nginx.conf", NGINX.format(
            folder=self.folder, name=self.network.name, http=self.network.http))
        return ["nginx", "-e", "stderr", "-p", self.folder, "-c", conf]


class Place:
    """`kind` is a class of resolvers.py. Addresses below 192.0.2.0/24 tell places apart."""

    def __init__(self, name, index, folder, kind, *, endpoint=False, certificate=None):
        self.name = name
        self.network = Network(name, index)
        self.dns, self.http = self.network.dns, self.network.http
        self.answer = f"192.0.2.{index}"
        self.resolver = kind(self.network, folder, self.answer, certificate)
        self.endpoint = Nginx(self.network, folder) if endpoint else None

    @property
    def programs(self):
        return [self.resolver] + ([self.endpoint] if self.endpoint else [])

    def start(self):
        self.network.make()
        for program in self.programs:
            program.start()

    def wait_started(self):
        patience.until(self.answers,
                       lambda: f"{self.name} answers\n" + tail(self.resolver.log))
        if self.endpoint:
            patience.until(self.accepts,
                           lambda: f"{self.name} accepts\n" + tail(self.endpoint.log))

    def answers(self):
        try:
            return dns.ask((self.dns, 53), CANARY, timeout_s=0.5).addresses
        except (dns.NoAnswer, OSError):
            return False

    def accepts(self):
        try:
            socket.create_connection((self.http, 80), 0.5).close()
            return True
        except OSError:
            return False
