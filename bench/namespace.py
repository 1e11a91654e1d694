"""A network and an /etc/resolv.conf of one's own, for what asks through the C library.

getaddrinfo asks port 53 of what /etc/resolv.conf names. A bench that needs it runs
itself again in network and mount namespaces of its own, where every port is free,
nothing else is reachable, and a file laid over another is seen by nobody else.
"""
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

import lab

RESOLV, NSSWITCH = "/etc/resolv.conf", "/etc/nsswitch.conf"
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def enter_or_return():
    """Runs this program again, with --inside, in namespaces; returns where that is not
    permitted."""
    command = unshare_command()
    if command is not None:
        os.execvp(command[0], [*command, sys.executable, *sys.argv, "--inside"])


def unshare_command():
    """What runs a program in namespaces of its own, or None where that is not permitted."""
    if shutil.which("unshare") is None or not os.path.exists(RESOLV):
        return None
    for more in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *more, "--mount", "--net", "--"]
        done = subprocess.run([*command, "mount", "--bind", "/etc", "/etc"], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            return command
    return None


def furnish(folder):
    """Inside: loopback is up, and the C library looks into /etc/hosts and asks resolvers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    if os.path.exists(NSSWITCH):
        path = write(folder, "nsswitch.conf", "hosts: files dns\n")
        done = subprocess.run(["mount", "--bind", path, os.path.realpath(NSSWITCH)],
                              check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise lab.Failed(f"{NSSWITCH}: {done.stderr.strip()}")


def prefix_for(folder, name, text):
    """Inside: the command that runs a program for which /etc/resolv.conf holds `text`."""
    path = write(folder, f"{name}.resolv.conf", text)
    script = 'mount --bind "$0" "$1" && shift && exec "$@"'
    return ["unshare", "--mount", "--", "sh", "-c", script, path, os.path.realpath(RESOLV)]


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
