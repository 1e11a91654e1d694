"""Clients are led to what is near to them: by prefix, by subnet of whom is asked for, by country."""

import os
import random
import shutil
import signal
import threading

from lib import dns, patience
from lib.held import Held
from lib.told import Told
from lib.world import SERVICE, tsan

SEOUL, TOKYO, FRANKFURT = "192.0.2.1", "192.0.2.2", "192.0.2.3"
POOLS = {"seoul": [SEOUL], "tokyo": [TOKYO], "frankfurt": [FRANKFURT]}
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "geo")

# Sources, as the database has them (tests/data/geo/write.pl).
KOREAN, JAPANESE, TAIWANESE, EUROPEAN, AMERICAN = (f"127.{n}.0.9" for n in (1, 2, 3, 4, 6))
UNKNOWN = "127.9.0.9"

PREFIXES = [{"prefix": "127.1.0.0/16", "region": "seoul"},
            {"prefix": "127.1.128.0/17", "regions": ["tokyo", "seoul"]},
            {"prefix": "2001:db8::/32", "region": "frankfurt"}]


def geo(path):
    return {"geo": path, "countries": {"KR": ["seoul", "tokyo"], "JP": ["tokyo", "seoul"]},
            "continents": {"AS": ["tokyo", "frankfurt"], "EU": "frankfurt"}}


class Stage:
    """A server of Frankfurt's node with one service, its endpoints said to be well."""

    def __init__(self, w, clients, **options):
        self.told = Told(w, SEOUL, TOKYO, FRANKFURT)
        self.clients = clients
        self.server = w.start(self.config(), **options)

    def config(self):
        return {"node": {"region": "frankfurt"},
                "regions": {name: {"minimum_healthy": 0} for name in POOLS},
                "clients": self.clients,
                "services": {SERVICE: {"minimum_healthy": 1, "endpoints": POOLS,
                                       "policy": "nearest", "check": self.told.check}}}

    def answer(self, source=None, at=None, subnet=None):
        options = b"" if subnet is None else dns.client_subnet(subnet)
        return dns.ask((at or self.server.at[0], self.server.port), SERVICE, source=source,
                       options=options)

    def leads(self, wanted, **whom):
        patience.until(lambda: self.answer(**whom).addresses == {wanted},
                       lambda: f"{whom} is led to {wanted}, but to {self.answer(**whom)}")

    def refuses_reload(self, *words):
        status, body = self.server.reload()
        assert status != 200, body
        for word in words:
            assert word in str(body), body


# ---- prefixes


def test_clients_of_prefixes_on_each_listener(w):
    listeners = ("127.0.0.1", "127.0.0.2", "127.0.1.1")
    stage = Stage(w, PREFIXES, addresses=listeners)
    for at in listeners:  # where it is asked does not matter, who asks does
        stage.leads(SEOUL, source="127.1.0.9", at=at)
        stage.leads(TOKYO, source="127.1.200.9", at=at)
        stage.leads(FRANKFURT, source=UNKNOWN, at=at)
    stage.told.say(TOKYO, "down")
    stage.leads(SEOUL, source="127.1.200.9")
    stage.leads(SEOUL, source="127.1.0.9")


# ---- subnets of those who are asked for


@tsan
def test_a_resolver_is_answered_for_whom_it_asks(w):
    stage = Stage(w, PREFIXES)
    for subnet, wanted, scope in (("127.1.5.0/24", SEOUL, 17), ("127.1.200.0/24", TOKYO, 17),
                                  ("127.0.0.0/8", FRANKFURT, 8), ("203.0.113.0/24", FRANKFURT, 1),
                                  ("127.1.128.0/17", TOKYO, 17), ("2001:db8:7::/48", FRANKFURT, 32)):
        stage.leads(wanted, subnet=subnet)
        answer = stage.answer(subnet=subnet)
        assert dns.scope_of(answer) == scope, (subnet, answer.opt.options)
        # the resolver's own address counts for nothing then
        stage.leads(wanted, subnet=subnet, source="127.1.200.9")
    assert dns.scope_of(stage.answer()) is None


# ---- countries


@tsan
def test_clients_of_countries_and_continents(w):
    stage = Stage(w, [geo(os.path.join(DATA, "country.mmdb"))])
    for source, wanted in ((KOREAN, SEOUL), (JAPANESE, TOKYO), (TAIWANESE, TOKYO),
                           (EUROPEAN, FRANKFURT), (AMERICAN, FRANKFURT), (UNKNOWN, FRANKFURT)):
        stage.leads(wanted, source=source)
    # half of a /24 each: what is known of the client decides, and the scope says so
    stage.leads(SEOUL, subnet="127.5.0.0/25")
    stage.leads(TOKYO, subnet="127.5.0.128/25")
    assert dns.scope_of(stage.answer(subnet="127.5.0.128/25")) == 25
    assert dns.scope_of(stage.answer(subnet="127.5.0.0/24")) == 24
    stage.leads(TOKYO, subnet="2001:db8:2::/48")
    stage.leads(SEOUL, subnet="2001:db8:1::/56")
    assert dns.scope_of(stage.answer(subnet="2001:db8:1::/56")) == 48
    stage.told.say(SEOUL, "down")
    stage.leads(TOKYO, source=KOREAN)


def test_a_prefix_counts_before_the_country_and_databases_in_their_order(w):
    stage = Stage(w, [geo(os.path.join(DATA, "country4.mmdb")),
                      {"geo": os.path.join(DATA, "many.mmdb"), "continents": {"AS": "frankfurt"}},
                      {"prefix": "127.1.0.0/24", "region": "tokyo"}])
    stage.leads(TOKYO, source=KOREAN)
    stage.leads(SEOUL, source="127.1.1.9")
    stage.leads(SEOUL, subnet="10.1.0.0/24")  # both have it, the first one counts
    stage.leads(FRANKFURT, subnet="10.9.0.0/24")


# ---- files that are not as they should be


def copy_to(w, name="country.mmdb"):
    path = os.path.join(w.folder, "geo.mmdb")
    shutil.copyfile(os.path.join(DATA, name), path + ".new")
    os.rename(path + ".new", path)
    return path


def replace(path, content):
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)


def test_a_changed_database_is_taken_without_being_asked(w):
    path = copy_to(w, "many.mmdb")
    stage = Stage(w, [geo(path)])
    stage.leads(FRANKFURT, source=KOREAN)
    copy_to(w)
    stage.leads(SEOUL, source=KOREAN)


@tsan
def test_a_damaged_database_is_refused_and_the_server_goes_on(w):
    path = copy_to(w)
    with open(path, "rb") as file:
        good = file.read()
    stage = Stage(w, [geo(path)])
    stage.leads(SEOUL, source=KOREAN)
    pid = stage.server.process.pid
    for damaged in (b"", b"no database", good[:len(good) // 3], good[:-3], good[40:]):
        replace(path, damaged)
        stage.refuses_reload("geo.mmdb", "cannot be used")
        stage.leads(SEOUL, source=KOREAN)
        stage.leads(TOKYO, source=JAPANESE)
    checked = w.cli("check", stage.server.config_path)
    assert checked.returncode == 1 and "geo.mmdb" in checked.stderr, checked
    os.unlink(path)
    stage.refuses_reload("geo.mmdb")
    replace(path, good)
    patience.until(lambda: stage.server.reload()[0] == 200, "the good one is taken again")
    stage.leads(SEOUL, source=KOREAN)
    assert stage.server.process.pid == pid and not stage.server.has_ended()


def readers_of(pid):
    """Children of the server that read a database."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = file.read().split()
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            children += file.read().split()
    found = []
    for child in set(children):
        try:
            with open(f"/proc/{child}/cmdline", "rb") as file:
                found += [child] if b"_geo" in file.read().split(b"\0") else []
        except OSError:
            pass  # it has ended meanwhile
    return found


@tsan
def test_a_database_that_is_slow_to_read_holds_nothing_up(w):
    path = copy_to(w, "many.mmdb")
    stage = Stage(w, [geo(path)])
    server = stage.server
    stage.leads(FRANKFURT, source=KOREAN)
    with open(os.path.join(DATA, "country.mmdb"), "rb") as file:
        replace(path, file.read())
    held = Held(path)
    asked = threading.Thread(target=server.reload, daemon=True)
    asked.start()  # or it was begun by the change itself
    patience.until(lambda: readers_of(server.process.pid), "the database is being read")
    generation = server.status()["generation"]
    stage.told.say(FRANKFURT, "down")
    patience.until(lambda: FRANKFURT not in stage.answer(source=KOREAN).addresses,
                   lambda: f"Frankfurt is left, not {stage.answer(source=KOREAN)}")
    status, body = server.reload()
    assert status == 409 and "under way" in str(body), (status, body)
    assert server.status()["generation"] == generation, "it waits for the database"
    assert readers_of(server.process.pid), "which nobody has read meanwhile"
    held.let_go()
    stage.leads(TOKYO, source=JAPANESE)
    assert server.status()["generation"] > generation
    asked.join()


@tsan
def test_a_server_stops_though_a_database_is_slow_to_read(w):
    path = copy_to(w)
    stage = Stage(w, [geo(path)])
    server = stage.server
    copy_to(w)
    held = Held(path)
    server.send_signal(signal.SIGHUP)
    patience.until(lambda: readers_of(server.process.pid), "the database is being read")
    reader = readers_of(server.process.pid)[0]
    server.send_signal(signal.SIGTERM)
    patience.until(server.has_ended, "the server ends")
    assert not os.path.exists(f"/proc/{reader}"), "and its reader with it"
    held.let_go()


def test_flipped_bits_kill_nobody(w):
    path = copy_to(w)
    with open(path, "rb") as file:
        good = file.read()
    stage = Stage(w, [geo(path)])
    dice = random.Random(20181122)
    for _ in range(25):
        wrong = bytearray(good)
        for _ in range(dice.choice((1, 3, 40))):
            wrong[dice.randrange(len(wrong))] ^= 1 << dice.randrange(8)
        replace(path, bytes(wrong))
        stage.server.reload()  # refused, or what it says is used: both may be
        answer = stage.answer(source=KOREAN)
        assert answer.rcode == dns.NOERROR and answer.addresses <= {SEOUL, TOKYO, FRANKFURT}, answer
    replace(path, good)
    patience.until(lambda: stage.server.reload()[0] == 200, "the good one is taken again")
    stage.leads(SEOUL, source=KOREAN)


def test_without_its_database_a_server_starts_all_the_same(w):
    path = copy_to(w)
    replace(path, b"no database")
    stage = Stage(w, [{"prefix": "127.1.0.0/24", "region": "tokyo"}, geo(path)])
    assert "clients are not located by a database" in stage.server.log_text()
    assert "geo.mmdb" in stage.server.log_text()
    stage.leads(TOKYO, source=KOREAN)
    stage.leads(FRANKFURT, source=JAPANESE)
    copy_to(w)
    stage.leads(TOKYO, source=JAPANESE)  # it is taken when it is good
