"""
Namespaces (network, mounts, processes) in which a script goes on, as their first
process: what is mounted there, a private /etc/resolv.conf among it, is seen nowhere
else, no packet leaves, and the kernel takes all of it away with the first process,
however that ends. It needs root, or a kernel that lets users make namespaces.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys

from lib import patience
from lib.process import run

PR_SET_PDEATHSIG = 1
TOOLS = ("unshare", "nsenter", "mount", "ip", "nft")

# What a stage needs of the kernel, and each step says for itself why it cannot.
PROBE = """
mount -t tmpfs probe "$1"
touch "$1/file"
mount --bind "$1/file" /etc/resolv.conf
ip link set lo up
ip link add probe0 type veth peer name probe1
nft add table inet probe
unshare --net true
"""


def count(passed, failed, skipped):
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)


# ---- outside


def namespaces(*options):
    return ["unshare", *options, "--net", "--mount", "--propagation", "private", "--pid", "--fork",
            "--kill-child", "--mount-proc", "--"]


def spot(*used):
    """
    A folder that every machine has and in which nothing that we use is, rather an empty
    one. A file system in memory is laid over it, for the processes in the namespaces only.
    """
    fit = []
    for folder in ("/media", "/mnt", "/srv", "/opt"):
        inner = os.path.realpath(folder) + os.sep
        if os.path.isdir(folder) and not any(path.startswith(inner) for path in used):
            fit.append(folder)
    return min(fit, key=lambda folder: len(os.listdir(folder)), default=None)


def find_way(folder, probe):
    """The command that makes the namespaces, or None and why there is none."""
    ways = [[]] if os.geteuid() == 0 else []
    ways.append(["--user", "--map-root-user"])
    reasons = []
    for way in ways:
        command = namespaces(*way)
        done = subprocess.run([*command, "sh", "-euc", PROBE + probe, "sh", folder], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=60)
        if done.returncode == 0:
            return command, ""
        said = " ".join(done.stdout.split()) or f"the probe ended with {done.returncode}"
        reasons.append(("as a user: " if way else "as root: ") + said)
    return None, "namespaces are not permitted here; " + "; ".join(reasons)


def find(build, tools, probe):
    """(command, folder, why not)"""
    tools = [*TOOLS, *tools]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        return None, None, "not installed: " + ", ".join(missing)
    if not os.path.exists("/etc/resolv.conf"):
        return None, None, "there is no /etc/resolv.conf that another could be mounted over"
    used = [os.path.realpath(path) for path in
            (build, __file__, sys.executable, "/etc/resolv.conf", *map(shutil.which, tools))]
    folder = spot(*used)
    if folder is None:
        return None, None, "/media, /mnt, /srv and /opt are missing or in use"
    command, reason = find_way(folder, probe)
    return command, folder, reason


def die_with_parent():
    """Before exec: even a SIGKILL of the script ends the namespaces."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def exit_when_asked(*numbers):
    for number in numbers:
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))


def use_whole_path():
    """An ordinary user's PATH often lacks where ip, nft and the servers are."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def play(script, build, arguments, *, tools, limit_s, probe="", must=False):
    """
    Run `script --inside FOLDER ARGUMENTS BUILD` on a stage, and return the exit code.
    Where there can be none it is skipped, or, when it must be played, fails; `probe` are
    lines of shell that it needs to succeed there, too.
    """
    name = os.path.basename(script)[:-len(".py")]
    if not os.access(os.path.join(build, "leeward"), os.X_OK):
        print(f"{build} has no leeward: build first")
        count(0, 1, 0)
        return 2
    command, folder, reason = find(build, tools, probe)
    if command is None:
        print(f"SKIP {name}: {reason}")
        count(0, 0, 1)
        return 1 if must else 0

    exit_when_asked(signal.SIGTERM, signal.SIGHUP)
    process = subprocess.Popen(
        [*command, sys.executable, os.path.abspath(script), "--inside", folder, *arguments, build],
        stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        code = process.wait(patience.seconds(limit_s))
        if code not in (0, 1):
            print(f"FAILED  {name}: the play ended with {code}")
            count(0, 1, 0)
        return 0 if code == 0 else 1
    except subprocess.TimeoutExpired:
        print(f"FAILED  {name}: given up after {patience.seconds(limit_s):g} s")
        count(0, 1, 0)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if process.poll() is None:
            process.kill()  # and the kernel ends what is in the namespaces
            process.wait()


# ---- inside


def mount_over(folder, path, content):
    """Lay a file over one of the machine's, for the processes in here."""
    if os.path.exists(path):
        source = os.path.join(folder, os.path.basename(path))
        with open(source, "w", encoding="utf-8") as file:
            file.write(content)
        run("mount", "--bind", source, path)


def furnish(folder):
    """To be called first: a file system for what is written, and loopback."""
    exit_when_asked(signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    run("mount", "-t", "tmpfs", "-o", "mode=755", "strangers", folder)
    run("ip", "link", "set", "lo", "up")


def resolve_through(folder, address):
    """The C library asks this address, whatever the machine has configured."""
    mount_over(folder, "/etc/resolv.conf", f"nameserver {address}\noptions timeout:1 attempts:2\n")
    mount_over(folder, "/etc/nsswitch.conf", "hosts: files dns\n")
    mount_over(folder, "/etc/hosts", "127.0.0.1 localhost\n")
    if os.path.isdir("/run/nscd"):  # a cache outside would answer for us
        run("mount", "-t", "tmpfs", "none", "/run/nscd")
