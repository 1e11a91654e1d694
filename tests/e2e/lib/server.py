"""The server under test: configured, started, asked, stopped."""

import errno
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.parse

from lib import dns, patience

STARTS = 8  # another program may take a free port before the server does

# Printed by a sanitizer; the exit code tells too, unless the test killed the server.
REPORTS = ("runtime error: ", "ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
           "WARNING: ThreadSanitizer")


def free_port(*addresses):
    """A port that is free just now, UDP and TCP, on all these addresses."""
    for _ in range(200):
        with socket.socket(dns.family_of(addresses[0]), socket.SOCK_STREAM) as first:
            first.bind((addresses[0], 0))
            port = first.getsockname()[1]
            if all(is_free(address, port, kind) for address in addresses
                   for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
                   if (address, kind) != (addresses[0], socket.SOCK_STREAM)):
                return port
    raise AssertionError(f"no port is free on {addresses}")


def is_free(address, port, kind):
    with socket.socket(dns.family_of(address), kind) as sock:
        try:
            sock.bind((address, port))
            return True
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
            return False


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("leeward", timeout=patience.seconds(patience.LIMIT_S))
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    """
    One `leeward run` in a folder of its own. The configuration is a dictionary,
    written as JSON, which YAML includes, with listen, api and state_directory
    filled in; or text in which LISTEN, SOCKET, STATE and FOLDER in @ signs stand
    for them.
    """

    def __init__(self, binary, folder, config, *, addresses=("127.0.0.1",), arguments=(),
                 environment=None):
        self.binary, self.folder, self.config = binary, folder, config
        self.addresses, self.arguments = addresses, arguments
        self.environment = dict(os.environ, **(environment or {}))
        self.config_path = os.path.join(folder, "leeward.yaml")
        self.socket_path = os.path.join(folder, "api.sock")
        self.state_path = os.path.join(folder, "state")
        self.log_path = os.path.join(folder, "log")
        self.port = None
        self.process = None
        self.exit_code = None
        self.crash_wanted = False

    # ---- start and stop

    @property
    def at(self):
        return self.addresses[0], self.port

    def listen_texts(self):
        return [f"[{a}]:{self.port}" if ":" in a else f"{a}:{self.port}" for a in self.addresses]

    def config_text(self, config):
        if isinstance(config, str):
            for word, value in (("LISTEN", self.listen_texts()[0]), ("SOCKET", self.socket_path),
                                ("STATE", self.state_path), ("FOLDER", self.folder)):
                config = config.replace(f"@{word}@", value)
            return config
        filled = dict(config)
        filled.setdefault("listen", self.listen_texts())
        filled.setdefault("api", {"socket": self.socket_path})
        filled["node"] = {"state_directory": self.state_path, **filled.get("node", {})}
        return json.dumps(filled, indent=2)

    def write_config(self, config):
        """Write the file; a reload takes it."""
        self.config = config
        temporary = self.config_path + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(self.config_text(config))
        os.rename(temporary, self.config_path)

    def write_file(self, name, text):
        """A file beside the configuration; returns its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def spawn(self):
        """Start it once; whether it lives the caller finds out."""
        self.exit_code = None
        command = [self.binary, "run", "-c", self.config_path, *self.arguments]
        setpriv = shutil.which("setpriv")
        if setpriv is not None:
            command = [setpriv, "--pdeathsig", "KILL", "--", *command]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder, env=self.environment)

    def start(self, ready=True):
        """
        Start it on a free port and wait until it answers; with `ready` also
        until the first verdicts are in.
        """
        for _ in range(STARTS):
            self.port = free_port(*self.addresses)
            self.write_config(self.config)
            size = len(self.log_text())
            self.spawn()
            patience.until(lambda: self.is_listening() or self.has_ended(),
                           lambda: "the server answers\n" + self.log_tail())
            if not self.has_ended():
                break
            if "in use" not in self.log_text()[size:]:
                raise AssertionError("the server did not start, " + self.ending())
        else:
            raise AssertionError("no free port: " + self.ending())
        if ready:
            self.wait_ready()
        return self

    def start_at(self, port):
        """Start it on this port, in a network where nobody else takes it, until it answers."""
        self.port = port
        self.write_config(self.config)
        self.spawn()
        patience.until(lambda: self.is_listening() or self.has_ended(),
                       lambda: "the server answers\n" + self.log_tail())
        assert not self.has_ended(), "the server did not start, " + self.ending()
        return self

    def restart(self):
        """The same again: port, files, state."""
        self.stop()
        self.spawn()
        patience.until(lambda: self.is_listening() or self.has_ended(),
                       lambda: "the server answers again\n" + self.log_tail())
        assert not self.has_ended(), "the server did not start again, " + self.ending()
        self.wait_ready()

    def is_listening(self):
        """Does it answer anything at all?"""
        try:
            dns.udp_exchange(self.at, dns.make_query("alive.invalid", dns.SOA, rd=False), 0.1)
            return True
        except (dns.NoAnswer, OSError):
            return False

    def wait_ready(self):
        patience.until(lambda: self.readyz()[0] == 200 or self.has_ended(),
                       lambda: f"ready, but {self.readyz()}")
        assert not self.has_ended(), self.ending()

    def has_ended(self):
        if self.process is not None and self.exit_code is None:
            self.exit_code = self.process.poll()
        return self.exit_code is not None

    def wait_end(self, limit_s=patience.LIMIT_S):
        """The exit code once it has ended by itself."""
        patience.until(self.has_ended, "the server ends", limit_s)
        return self.exit_code

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, number=signal.SIGTERM):
        """Stop it and say what was wrong with its end; nothing if it had none."""
        if self.process is None:
            return
        if not self.has_ended():
            self.send_signal(number)
            try:
                self.exit_code = self.process.wait(patience.seconds(patience.LIMIT_S))
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the server does not stop when asked") from None
        self.process = None
        assert self.exit_code == 0 or self.crash_wanted, self.ending()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def ending(self):
        return f"it ended with {self.exit_code}:\n{self.log_tail()}"

    # ---- what it says

    def log_text(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def log_tail(self, lines=40):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def reports(self):
        """Lines of a sanitizer's report in the log."""
        text = self.log_text()
        return text[-6000:] if any(word in text for word in REPORTS) else ""

    def request(self, method, path):
        """(status, body) of the api."""
        connection = UnixConnection(self.socket_path)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def readyz(self):
        try:
            return self.request("GET", "/readyz")
        except (OSError, http.client.HTTPException) as exc:
            return 0, str(exc)

    def get(self, path, **arguments):
        """A page that is JSON."""
        if arguments:
            path += "?" + urllib.parse.urlencode(arguments)
        status, body = self.request("GET", path)
        assert status == 200, f"{path}: {status} {body}"
        return json.loads(body)

    def status(self):
        return self.get("/api/v1/status")

    def status_of_region(self, name):
        return next(r for r in self.status()["regions"] if r["name"] == name)

    def status_of_service(self, name):
        return next(s for s in self.status()["services"] if s["name"] == name)

    def endpoint(self, service, address):
        """What status says of an endpoint, by its address without the port."""
        for pool in self.status_of_service(service)["pools"]:
            for endpoint in pool["endpoints"]:
                if endpoint["address"].rsplit(":", 1)[0].strip("[]") == address:
                    return endpoint
        raise AssertionError(f"{service} has no endpoint {address}")

    def reload(self):
        """(status, body) of POST /api/v1/reload."""
        return self.request("POST", "/api/v1/reload")

    def reload_with(self, config):
        """Write the file and have it taken; it must be accepted."""
        self.write_config(config)
        status, body = self.reload()
        assert status == 200, f"the reload was refused: {status} {body}"

    def ask(self, name, rtype=dns.A, **parts):
        return dns.ask(self.at, name, rtype, **parts)

    def addresses_of(self, name, rtype=dns.A):
        return self.ask(name, rtype).addresses

    def run_cli(self, *arguments, **options):
        """leeward ARGUMENTS --socket ...; the finished process with text output."""
        return run_cli(self.binary, *arguments, "--socket", self.socket_path,
                       cwd=self.folder, **options)


def run_cli(binary, *arguments, **options):
    return subprocess.run([binary, *arguments], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=patience.seconds(patience.LIMIT_S), **options)
