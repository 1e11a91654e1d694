#!/usr/bin/env python3
"""What the server weighs with the demo's configuration, and how soon it answers.

One address, so one answerer; three simulated regions. See bench/README.md.
"""
import argparse
import ctypes
import mmap
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time

import contestants
import lab
from lib import patience  # lab has put its folder on the path

SERVICE = "api.svc.example.com"
ANON_MIB, CHARGED_MIB, START_MS = 4, 12, 30
START_LIMIT_S = 10
KERNEL_STACK = 16 * 1024  # of each thread
MIB = 1024 * 1024
STATES = [
    ("all targets alive", "all heal"),
    ("all targets dead", "all die"),
    ("all targets silent", "all blackhole"),
]


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench memory",
        description="Memory when idle, and the time to the first answer.")
    add = parser.add_argument
    lab.add_common(add)
    add("--runs", type=int, default=20, help="starts for each state of the targets (default 20)")
    add("--idle", type=float, default=5, help="seconds from ready to the measurement (default 5)")
    add("--cgroup", metavar="DIR", help="make the server's control group in this one (default: the "
        "root of cgroup v2 when it has the memory controller and may be written)")
    add("--assert", dest="is_gate", action="store_true",
        help=f"exit 1 above {ANON_MIB} MiB RssAnon, {CHARGED_MIB} MiB charged or a median of "
        f"{START_MS} ms to the first answer")
    options = lab.parse(parser)
    if options.quick:
        options.runs, options.idle = 2, 0.5
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def configuration(regions):
    """What `leeward demo` serves."""
    return {
        "node": {"name": "demo", "region": "seoul"},
        "regions": {region.name: {"minimum_healthy": 1, "checks": [
            {"dns": {"server": region.dns, "name": "{random}.canary.example"}}]}
            for region in regions},
        "checks": {"web": {"http": {"port": 80, "path": "/healthz",
                                    "expect": {"status": "200-299", "body": "ok"}}}},
        "services": {SERVICE: {
            "order": [region.name for region in regions],
            "ttl": {"normal": "30s", "suspect": "5s"}, "check": "web", "minimum_healthy": 1,
            "max_failover": "2s",
            "endpoints": {region.name: [region.http] for region in regions}}},
        "forward": {".": {"upstreams": [{"region": region.name, "address": region.dns}
                                        for region in regions]}},
    }


# ---- a copy of the program, whose page cache is nobody else's


def libraries(path):
    """The shared libraries that a program is linked with."""
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    return re.findall(r"=> (/\S+) ", done.stdout)


def copy_program(path, folder):
    """Copies of a program, without its debug information as packages install it, and of its
    libraries, none of it in memory; returns the paths, the program's first. What others have
    read already would be charged to them."""
    copies = []
    for source in [path, *libraries(path)]:
        copy = os.path.join(folder, os.path.basename(source))
        shutil.copy(os.path.realpath(source), copy)
        if source == path:
            subprocess.run(["strip", "--strip-unneeded", copy], check=True)
        with open(copy, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        copies.append(copy)
    return copies


def cached_bytes(path):
    """How much of a file the page cache holds."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int,
                          ctypes.c_int, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    size = os.path.getsize(path)
    pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
    vector = ctypes.create_string_buffer(pages)
    with open(path, "rb") as file:
        at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if at == ctypes.c_void_p(-1).value:
            raise lab.Failed(f"{path}: mmap: {os.strerror(ctypes.get_errno())}")
        failed = libc.mincore(at, size, vector)
        libc.munmap(at, size)
    if failed:
        raise lab.Failed(f"{path}: mincore: {os.strerror(ctypes.get_errno())}")
    return sum(byte & 1 for byte in vector.raw) * mmap.PAGESIZE


# ---- control groups


def group_parent(options):
    """The group to make ours in, or None."""
    if options.cgroup:
        return options.cgroup
    with open("/proc/self/mounts", encoding="utf-8") as file:
        roots = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
    for root in roots:
        try:
            with open(f"{root}/cgroup.subtree_control", encoding="ascii") as file:
                if "memory" in file.read().split() and os.access(root, os.W_OK):
                    return root
        except OSError:
            continue
    return None


def make_group(options):
    """(path, None), or (None, why there is none)."""
    parent = group_parent(options)
    if parent is None:
        return None, "no cgroup v2 with the memory controller that may be written"
    path = os.path.join(parent, f"leeward-bench-{os.getpid()}")
    try:
        os.mkdir(path)
    except OSError as problem:
        return None, str(problem)
    return path, None


def read_group(path):
    """What a group is charged with, in bytes; v2, or v1 whose names differ."""
    if os.path.exists(f"{path}/memory.current"):
        return {"total": read_number(f"{path}/memory.current"), **read_stat(path, (
            "anon", "file", "kernel", "sock", "slab", "pagetables", "kernel_stack"))}
    return {"total": read_number(f"{path}/memory.usage_in_bytes"),
            **read_stat(path, ("rss", "cache", "mapped_file")),
            "kernel": read_number(f"{path}/memory.kmem.usage_in_bytes")}


def read_number(path):
    with open(path, encoding="ascii") as file:
        return int(file.read())


def read_stat(path, names):
    with open(f"{path}/memory.stat", encoding="ascii") as file:
        values = dict(line.split() for line in file)
    return {name: int(values[name]) for name in names if name in values}


# ---- memory


def wrap(folder, program, group):
    """A script that starts the copied program, in the group if there is one."""
    path = os.path.join(folder, "start")
    join = f"echo $$ >{group}/cgroup.procs || exit 1\n" if group else ""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{join}LD_LIBRARY_PATH={folder} exec {program} \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def read_status(pid):
    """The sizes of /proc/PID/status in bytes, and the number of threads."""
    values = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if rest.strip().endswith("kB"):
                values[name] = int(rest.split()[0]) * 1024
            elif name == "Threads":
                values[name] = int(rest)
    return values


def weigh(pid, copies, group):
    """What the running server weighs, in bytes."""
    status = read_status(pid)
    row = {"anon": status["RssAnon"], "mapped": status["RssFile"], "shared": status["RssShmem"],
           "tables": status["VmPTE"], "threads": status["Threads"],
           "cached": {os.path.basename(path): cached_bytes(path) for path in copies}}
    row["estimate"] = (row["anon"] + row["shared"] + row["tables"] + sum(row["cached"].values())
                       + row["threads"] * KERNEL_STACK)
    row["charged"] = read_group(group) if group else None
    return row


class QuietServer(lab.Server):
    """A server whose api nobody has asked: the first call loads its HTTP library."""

    def wait_ready(self):
        patience.until(lambda: " info ready " in self.log_text() or self.has_ended(),
                       lambda: "ready\n" + self.log_tail())
        assert not self.has_ended(), self.ending()


def refuse_loaded_api(pid):
    """The figures are those of an idle server only while the api's library is not there."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        if "libmicrohttpd" in file.read():
            raise lab.Failed("somebody has asked the api: its library is loaded")


def measure_memory(options):
    """(figures idle, the reason for which there is no group)."""
    stage = lab.Stage(options)
    group, problem = make_group(options)
    # Where the build is, there is a disk: on a tmpfs nothing leaves memory.
    folder = tempfile.mkdtemp(prefix="memory-", dir=options.build)
    try:
        regions = start_regions(stage)
        copies = copy_program(options.leeward, folder)
        left = sum(cached_bytes(path) for path in copies)
        options.leeward, original = wrap(folder, copies[0], group), options.leeward
        server = stage.start(configuration(regions), kind=QuietServer)
        options.leeward = original
        if not server.addresses_of(SERVICE):
            raise lab.Failed(f"{SERVICE} has no address")
        time.sleep(options.idle)
        refuse_loaded_api(server.process.pid)
        row = weigh(server.process.pid, copies, group)
        row["cached_before"] = left
        return row, problem
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)
        if group:
            os.rmdir(group)


def start_regions(stage):
    return [stage.region(name, index)
            for index, name in enumerate(("seoul", "tokyo", "singapore"), 1)]


# ---- the first answer


def query():
    labels = b"".join(bytes([len(part)]) + part.encode() for part in SERVICE.split("."))
    return struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def first_answer(command, folder, port, is_canned):
    """Milliseconds from before fork to the first good answer; of them on a core, and in line
    for one."""
    wire = query()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.001)
        with open(os.path.join(folder, "log"), "ab") as log:
            begin = time.monotonic()
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log)
            try:
                while time.monotonic() < begin + START_LIMIT_S:
                    try:
                        sock.send(wire)
                        answer = sock.recv(1500)
                    except OSError:
                        time.sleep(0.0002)
                        continue
                    records = struct.unpack("!H", answer[6:8])[0]
                    if is_canned or (answer[3] & 0x0F == 0 and records > 0):
                        return {"ms": (time.monotonic() - begin) * 1000,
                                **dict(zip(("ran", "waited"), lab.times_ms(process.pid)))}
                raise lab.Failed(f"no answer within {START_LIMIT_S} s from {command[0]}")
            finally:
                process.terminate()
                process.wait(START_LIMIT_S)


def measure_starts(options):
    """What it takes to the first answer by state of the targets, and for the echo."""
    stage = lab.Stage(options)
    rows = {}
    try:
        regions = start_regions(stage)
        for name, command in STATES:
            for region in regions:
                region.do(command)
            rows[name] = []
            for _ in range(options.runs):
                server = lab.Server(options.leeward, stage.folder_for("start"),
                                    configuration(regions))
                stage.started.append(server)  # for another folder each time
                server.port = contestants.free_port()
                server.write_config(server.config)
                rows[name].append(first_answer(
                    [options.leeward, "run", "-c", server.config_path], server.folder, server.port,
                    False))
            for region in regions:
                region.heal()
        rows["floor: the echo"] = []
        for _ in range(options.runs):
            port = contestants.free_port()
            rows["floor: the echo"].append(first_answer(
                [lab.program(options, "bench-echo"), "--port", str(port)], stage.folder, port,
                True))
    finally:
        stage.close()
    return rows


# ---- what is printed


def mib(number):
    return f"{number / MIB:.2f} MiB"


def print_memory(row, problem):
    print(f"{'RssAnon':34}{mib(row['anon']):>10}   limit {ANON_MIB} MiB")
    if row["charged"]:
        charged = row["charged"]
        print(f"{'charged to its control group':34}{mib(charged['total']):>10}   limit "
              f"{CHARGED_MIB} MiB")
        print("  of it " + ", ".join(f"{name} {mib(size)}" for name, size in charged.items()
                                     if name != "total"))
    else:
        print(f"not charged to a group: {problem}")
    cached = sum(row["cached"].values())
    print(f"{'estimate of what is charged':34}{mib(row['estimate']):>10}   "
          + ("" if row["charged"] else f"limit {CHARGED_MIB} MiB"))
    print(f"  of it anonymous {mib(row['anon'])}, page cache of the program and its libraries "
          f"{mib(cached)},\n  page tables {mib(row['tables'])}, stacks in the kernel of "
          f"{row['threads']} threads; without slab and socket buffers")
    largest = sorted(row["cached"].items(), key=lambda item: -item[1])[:6]
    print("  largest files: " + ", ".join(f"{name} {mib(size)}" for name, size in largest))
    if row["cached_before"] > cached / 2:
        print("  note: this filesystem keeps files in memory: they are counted whole")
    print(f"  of the page cache {mib(row['mapped'])} are mapped (RssFile)", flush=True)


def print_starts(rows):
    print(f"\n{'ms from fork to the first answer':33}{'min':>8}{'median':>8}{'max':>8}"
          f"{'CPU':>8}{'waited':>8}")
    for name, runs in rows.items():
        times = column(runs, "ms")
        limit = "" if name.startswith("floor") else f"   limit {START_MS}"
        print(f"{name:33}{min(times):8.1f}{lab.median(times):8.1f}{max(times):8.1f}"
              f"{lab.median(column(runs, 'ran')):8.1f}{lab.median(column(runs, 'waited')):8.1f}"
              f"{limit}")


def column(runs, key):
    return [run[key] for run in runs]


def verdict(memory, starts):
    found = []
    if memory["anon"] > ANON_MIB * MIB:
        found.append(f"RssAnon is {mib(memory['anon'])}, more than {ANON_MIB} MiB")
    charged = memory["charged"]["total"] if memory["charged"] else memory["estimate"]
    if charged > CHARGED_MIB * MIB:
        found.append(f"{mib(charged)} are charged, more than {CHARGED_MIB} MiB")
    for name, runs in starts.items():
        median = lab.median(column(runs, "ms"))
        if not name.startswith("floor") and median > START_MS:
            found.append(f"{name}: {median:.0f} ms to the first answer, more than {START_MS}")
    return found


def main():
    options = parse_arguments()
    lab.print_machine()
    print(f"\nmemory: the demo's configuration, one answerer, {options.idle:g} s after it was "
          "ready")
    memory, problem = measure_memory(options)
    print_memory(memory, problem)
    starts = measure_starts(options)
    print_starts(starts)
    lab.write_json(options, {"memory": memory, "no_group": problem, "starts": starts})
    return lab.report(verdict(memory, starts) if options.is_gate else [])


if __name__ == "__main__":
    lab.run(main)
