"""What a server costs: CPU time of a process, its threads and its descendants."""
import os

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _stat_fields(path):
    """The fields of a stat file from the third on: the name may hold anything."""
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def members(leader):
    """The pids of `leader`'s session and of all that descends from it."""
    parents = {}
    found = {leader}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = _stat_fields(f"/proc/{entry}/stat")
        except OSError:
            continue  # it ended meanwhile
        parents[int(entry)] = int(fields[1])
        if int(fields[3]) == leader:
            found.add(int(entry))
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


class Spent:
    """CPU time in nanoseconds: in all, its two parts, and the time spent waiting
    for a core that was busy with something else."""

    def __init__(self, total=0, user=0, system=0, waited=0):
        self.total, self.user, self.system, self.waited = total, user, system, waited

    def __add__(self, other):
        return Spent(self.total + other.total, self.user + other.user,
                     self.system + other.system, self.waited + other.waited)

    def __sub__(self, other):
        return Spent(self.total - other.total, self.user - other.user,
                     self.system - other.system, self.waited - other.waited)


def _thread(directory):
    """What one thread has spent."""
    fields = _stat_fields(f"{directory}/stat")
    user, system = int(fields[11]) * TICK_NS, int(fields[12]) * TICK_NS
    try:
        with open(f"{directory}/schedstat", encoding="ascii") as file:
            total, waited, _ = (int(field) for field in file.read().split())
    except OSError:
        total, waited = user + system, 0  # a kernel without SCHED_INFO: ticks only
    return Spent(total, user, system, waited)


def spent(leader):
    """What the living threads of a server have spent so far. The total is exact;
    the kernel splits it by sampling in ticks, so the split is worth something over
    seconds only."""
    result = Spent()
    for pid in members(leader):
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                result += _thread(f"/proc/{pid}/task/{thread}")
            except OSError:
                continue
    return result
