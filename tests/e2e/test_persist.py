"""The cache on disk: what survives the end of the process, and what does no harm."""

import os

from lib import dns, patience
from lib.forwarding import Stage, index_of
from lib.world import tsan


def path_of(server):
    return os.path.join(server.state_path, "cache")


def aside(server):
    return path_of(server) + ".damaged"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def entries(server):
    return server.status()["cache"]["entries"]


def of_seoul(stage):
    """A new name that Seoul has answered: on a busy machine Tokyo may have been quicker."""
    for _ in range(20):
        name = stage.name()
        if index_of(stage.ask(name)) == 1:
            return name
    raise AssertionError("Seoul is never the quicker one")


def fill(stage, count=20):
    """Names that are in the cache now, for an hour and for a second in turn."""
    names = [None] * count
    stage.trick("ttl 3600")
    names[0::2] = [of_seoul(stage) for _ in names[0::2]]
    stage.trick("ttl 1")
    names[1::2] = [of_seoul(stage) for _ in names[1::2]]
    return names


def is_saved(server, names):
    """Wait until the file on disk holds all of them."""
    wires = [dns.name_wire(name) for name in names]
    patience.until(lambda: os.path.exists(path_of(server)) and
                   all(wire in read(path_of(server)) for wire in wires),
                   lambda: "the cache is on disk\n" + server.log_tail(), limit_s=25, pause_s=0.05)


@tsan
def test_a_server_killed_in_an_outage_comes_back_with_what_it_knew(w):
    stage = Stage(w)
    names = fill(stage)
    is_saved(stage.server, names)
    for region in stage.regions:
        region.do("dns die")
    stage.server.kill()
    stage.server.restart()
    patience.until(lambda: entries(stage.server) >= len(names), "it is loaded")
    for name in names[0::2]:
        answer = stage.ask(name)
        assert index_of(answer) == 1 and 3000 < answer.ttl <= 3600, answer
        assert answer.ede is None, "that has time left"
    patience.until(lambda: stage.server.ask(names[-1]).ede, "the last has expired, too")
    for name in names[1::2]:
        answer = stage.ask(name)
        assert index_of(answer) == 1 and answer.ttl == 30, answer
        assert answer.ede[0] == 3, answer.ede
    assert stage.server.ask(stage.name()).rcode == dns.SERVFAIL
    stage.cure()
    stage.trick("ttl 60")
    patience.until(lambda: stage.server.ask(names[1]).ede is None, "fresh data is back")


def test_the_first_question_does_not_wait_for_the_file(w):
    stage = Stage(w)
    names = fill(stage, 10)
    is_saved(stage.server, names)
    stage.server.stop()
    record = read(path_of(stage.server))
    stage.server.restart()
    assert index_of(stage.ask()) == 1
    assert stage.ask(names[0]).addresses
    assert len(record) > 0 and not os.path.exists(aside(stage.server))


@tsan
def test_a_clean_stop_saves_what_came_last(w):
    stage = Stage(w)
    names = fill(stage, 6)
    stage.server.restart()
    patience.until(lambda: entries(stage.server) >= len(names), "it is loaded")
    for region in stage.regions:
        region.do("reset")
    for name in names[0::2]:
        assert stage.ask(name).ede is None
        assert stage.seoul.asked(name) == 0 and stage.tokyo.asked(name) == 0, name
    stage.server.restart()  # nothing came: what is there stays
    patience.until(lambda: entries(stage.server) >= len(names) // 2, "it is loaded again")


def test_it_is_nobody_elses_business(w):
    stage = Stage(w)
    fill(stage, 2)
    stage.server.stop()
    assert os.stat(path_of(stage.server)).st_mode & 0o007 == 0


def is_set_aside(stage, data):
    """The server starts in spite of this file, says so, and keeps it for whoever wants to look."""
    server = stage.server
    server.stop()
    write(path_of(server), data)
    if os.path.exists(aside(server)):
        os.remove(aside(server))
    before = len(server.log_text())
    server.restart()
    patience.until(lambda: os.path.exists(aside(server)), lambda: server.log_tail())
    assert read(aside(server)) == data
    assert "cache" in server.log_text()[before:] and "warning" in server.log_text()[before:]
    assert stage.server.ask(stage.name()).rcode == dns.NOERROR


def test_a_damaged_file_is_set_aside(w):
    stage = Stage(w)
    names = fill(stage)
    stage.server.stop()
    good = read(path_of(stage.server))
    stage.server.restart()
    for place in (0, 9, 31, 40, len(good) // 2, len(good) - 30, len(good) - 1):
        damaged = bytearray(good)
        damaged[place] ^= 0x40
        is_set_aside(stage, bytes(damaged))
    for length in (1, 31, 32, len(good) // 2, len(good) - 1):
        is_set_aside(stage, good[:length])
    is_set_aside(stage, good + b"more")
    assert stage.ask(names[0]).addresses


def test_a_foreign_file_is_set_aside(w):
    stage = Stage(w)
    fill(stage, 2)
    for data in (b"nameserver 10.0.0.1\n", b"\0" * 5000, b"\xff" * 70000, os.urandom(3000)):
        is_set_aside(stage, data)


def test_what_was_read_before_the_damage_stays(w):
    stage = Stage(w)
    names = fill(stage)
    stage.server.stop()
    good = bytearray(read(path_of(stage.server)))
    good[-30] ^= 1
    is_set_aside(stage, bytes(good))
    for region in stage.regions:
        region.do("reset")
    for name in names[0::2]:
        assert stage.ask(name).addresses
    assert sum(stage.seoul.asked(name) for name in names[0::2]) <= 2


def test_a_state_directory_that_cannot_be_written_is_a_warning(w):
    stage = Stage(w)
    server = stage.server
    server.stop()
    os.rename(server.state_path, server.state_path + ".away")
    write(server.state_path, b"no directory")
    before = len(server.log_text())
    server.restart()
    assert "warning" in server.log_text()[before:], server.log_tail()
    for _ in range(3):
        assert index_of(stage.ask()) in (1, 2)  # hedged on a busy machine
    server.restart()


def test_persist_off_leaves_nothing_behind(w):
    stage = Stage(w, cache={"persist": False})
    fill(stage, 4)
    stage.server.restart()
    assert not os.path.exists(path_of(stage.server))
    assert entries(stage.server) == 0
