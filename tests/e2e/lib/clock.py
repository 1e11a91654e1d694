"""Clocks of a process that differ from the machine's."""

import os
import shutil
import signal
import stat
import struct
import subprocess

from lib import patience
from lib.world import Skip

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "civil_clock.c")


class CivilClock:
    """The civil clock of every server started with `environment`: it jumps when told to."""

    def __init__(self, folder):
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        if compiler is None:
            raise Skip("no compiler for what moves the civil clock")
        library = os.path.join(folder, "civil_clock.so")
        self.path = os.path.join(folder, "civil_clock")
        with open(self.path, "wb") as file:
            file.write(bytes(8))
        subprocess.run([compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o",
                        library, SOURCE], check=True, timeout=patience.seconds(60))
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {"LD_PRELOAD": library, "LEEWARD_TEST_CIVIL_CLOCK": self.path,
                            "ASAN_OPTIONS": (sanitizer + ":verify_asan_link_order=0").lstrip(":")}

    def jump_to(self, seconds):
        """From now on it is so many seconds before (negative) or ahead of the machine's."""
        with open(self.path, "r+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds * 1_000_000_000))


class OtherUptime:
    """A time namespace: in it the monotonic clock is ahead of the machine's."""

    def __init__(self, folder, seconds):
        self.holder, pid, self.enter = self.make(seconds)
        self.namespace = os.readlink(f"/proc/{pid}/ns/time")
        self.folder = folder

    @staticmethod
    def make(seconds):
        """(the process that keeps it, the id of one in it, the command that enters it)"""
        as_root = os.geteuid() == 0
        more = [] if as_root else ["--user", "--map-root-user"]
        try:
            holder = subprocess.Popen(
                ["unshare", *more, "--time", f"--monotonic={seconds}", f"--boottime={seconds}",
                 "--fork", "--kill-child", "sh", "-c", "cat /proc/uptime; echo $$; read nothing"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError as exc:
            raise Skip(f"not installed: {exc.filename}") from None
        up, pid = holder.stdout.readline(), holder.stdout.readline().strip()
        if not pid:
            raise Skip("time namespaces are not permitted here: "
                       + " ".join(holder.communicate()[1].split()))
        assert float(up.split()[0]) >= seconds, f"the machine is up for {up.strip()}"
        user = [] if as_root else ["--user", "--preserve-credentials"]
        return holder, pid, ["nsenter", f"--target={pid}", *user, "--time", "--"]

    def wrap(self, binary):
        """The path of a program that runs `binary` in it."""
        path = os.path.join(self.folder, "other-uptime")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {" ".join(self.enter)} {binary} "$@"\n')
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return path

    def holds(self, pid):
        """Is this process in it?"""
        return os.readlink(f"/proc/{pid}/ns/time") == self.namespace

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.holder.send_signal(signal.SIGKILL)
        self.holder.communicate()
