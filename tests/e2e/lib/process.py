"""Programs of others: run to their end, or started and left running."""

import os
import shutil
import signal
import subprocess


def run(*command, text=None):
    """Run a command that must succeed; its output."""
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


def spawn(command, log, **options):
    """A session of its own: what a terminal interrupts is the script, not its cast."""
    with open(log, "ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                start_new_session=True, **options)


def read(path, offset=0):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return ""


def tail(path, lines=25):
    return "".join(read(path).splitlines(keepends=True)[-lines:])


class Program:
    """One that serves from a folder in a network (see network.py); subclasses say how."""

    name = "program"
    ports = ()

    def __init__(self, network, folder):
        self.network = network
        self.folder = os.path.join(folder, f"{network.name}-{self.name}")
        self.log = os.path.join(folder, f"{network.name}-{self.name}.log")
        self.process = None
        os.mkdir(self.folder)

    def command(self):
        """What runs it in the foreground, its files written."""
        raise NotImplementedError

    def own_copy(self):
        """AppArmor knows servers by their paths, and lets them read their /etc only."""
        program = os.path.join(self.folder, self.name)
        if not os.path.exists(program):
            shutil.copy(shutil.which(self.name), program)
        return program

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self):
        self.process = spawn([*self.network.enter(), *self.command()], self.log)

    def kill(self):
        """And whatever it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.killpg(self.process.pid, signal.SIGCONT)
