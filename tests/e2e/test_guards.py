"""What automation never does, and what does act: cascades, isolation, maintenance, ramps."""

import json
import time

from lib import patience
from lib.paths import Paths
from lib.told import Told
from lib.world import (CANARY, SERVICE, answers_with, config, http_check, service, timing, tsan,
                       watch)


def guard_says(server, name):
    """What a guard did, in order, as the journal has it: ["isolated", "connected"]."""
    done = server.run_cli("history", "--json")
    assert done.returncode == 0, done.stderr
    return [entry["to"] for entry in json.loads(done.stdout)["entries"]
            if entry["kind"] == "guard" and entry["target"] == name]


def rung(server):
    return server.status_of_service(SERVICE)["answer"]["A"]["rung"]


# ---- the cascade window


@tsan
def test_a_region_silent_after_another_one_left_shares_its_answers(w):
    seoul, tokyo, singapore = regions = w.three_regions()
    server = w.start(config(regions, guards={"cascade_window": "1h"}))
    answers_with(server, seoul)
    with watch(server) as client:
        seoul.do("dns servfail")
        answers_with(server, tokyo)
        tokyo.do("dns blackhole")
        answers_with(server, tokyo, singapore)
        shared = server.status_of_region("tokyo")
        assert shared["state"] == "shared", shared
        assert "silence just after another region left" in shared["reason"], shared
        why = server.run_cli("why", SERVICE).stdout
        assert "shares its answers" in why and "cascade window: passes tokyo, singapore" in why, why
        assert server.ask(SERVICE).ttl == 5, "the short TTL: it may soon change"
        tokyo.heal()
        answers_with(server, tokyo)
        tokyo.do("dns blackhole")
        answers_with(server, tokyo, singapore)
        tokyo.do("dns servfail")  # that is no silence
        answers_with(server, singapore)
        assert client.changes() <= 5, client.answers()
    patience.until(lambda: guard_says(server, "cascade_window") ==
                   ["shared", "in", "shared", "gated"],
                   lambda: guard_says(server, "cascade_window"))


def test_endpoints_silent_after_another_region_left_share_their_answers(w):
    seoul, tokyo, singapore = regions = w.three_regions()
    server = w.start(config(regions, gates=False, guards={"cascade_window": "1h"}))
    answers_with(server, seoul)
    with watch(server):
        seoul.do("http die")
        answers_with(server, tokyo)
        tokyo.do("http hang")
        answers_with(server, tokyo, singapore)
        assert server.endpoint(SERVICE, tokyo.address)["state"] == "shared"
        tokyo.do("http die")
        answers_with(server, singapore)


def test_when_the_cascade_window_is_over_silence_counts_again(w):
    seoul, tokyo, singapore = regions = w.three_regions()
    server = w.start(config(regions, gates=False, guards={"cascade_window": patience.ms(3000)}))
    answers_with(server, seoul)
    with watch(server) as client:
        seoul.do("http die")
        answers_with(server, tokyo)
        tokyo.do("http blackhole")
        both = frozenset({tokyo.address, singapore.address})
        patience.until(lambda: client.answers()[-2:] == [both, {singapore.address}],
                       client.answers)


def test_a_region_silent_by_itself_is_left(w):
    seoul, tokyo, _ = regions = w.three_regions()
    server = w.start(config(regions, guards={"cascade_window": "1h"}))
    answers_with(server, seoul)
    with watch(server) as client:
        seoul.do("dns blackhole")
        answers_with(server, tokyo)
        assert client.changes() <= 1, client.answers()


# ---- isolation


class Node:
    """One whose every way to somebody else can be cut."""

    def __init__(self, w, cascade_window="off", **changes):
        self.regions = w.three_regions()
        self.witness = w.region("elsewhere", "127.0.4.1", 4)
        self.paths = Paths()
        of = service(self.regions, check=http_check(timing(**changes)), endpoints={
            r.name: [self.paths.to(r, "http")] for r in self.regions})
        whole = config(self.regions, {SERVICE: of}, gates=False, guards={
            "cascade_window": cascade_window,
            "isolation": {"witnesses": [self.paths.to(self.witness, "dns")]}})
        for region in self.regions:
            whole["regions"][region.name] = {"minimum_healthy": 1, "checks": [
                {"dns": {"server": self.paths.to(region, "dns"), "name": CANARY},
                 **timing(**changes)}]}
        self.server = w.start(whole)
        answers_with(self.server, self.regions[0])
        patience.until(lambda: 'target="witness' in self.server.log_text(),
                       "the witness has answered: one that never did does not count")

    def cut_off(self):
        self.paths.cut(self.witness, *self.regions)

    def is_isolated(self):
        return self.server.status()["guards"]["isolated"] is not None


@tsan
def test_cut_off_from_everything_the_answers_stay_and_thaw_with_the_first_success(w):
    node = Node(w)
    seoul, tokyo, singapore = node.regions
    server = node.server
    with watch(server):
        node.cut_off()
        patience.until(node.is_isolated, "it knows that it is cut off itself")
        answers_with(server, seoul)
        patience.holds(lambda: server.addresses_of(SERVICE) == {seoul.address} and
                       rung(server) == 1, "the answers stay", 0.7)
        assert all(r["state"] == "in" for r in server.status()["regions"]), server.status()
        assert "this node is cut off" in server.log_text()
        assert "this node is cut off" in server.run_cli("why", SERVICE).stdout
        done = server.run_cli("drain", "seoul", "--reason", "a test")
        assert done.returncode == 0, done.stderr
        answers_with(server, tokyo)  # the operator's hand acts meanwhile
        assert server.run_cli("undrain", "seoul").returncode == 0
        answers_with(server, seoul)
        assert node.is_isolated()
        node.paths.mend(singapore)
        patience.until(lambda: not node.is_isolated(), "the first success ends it")
        answers_with(server, singapore)  # now it is the others that are silent
        node.paths.mend()
        answers_with(server, seoul)
    patience.until(lambda: guard_says(server, "isolation") == ["isolated", "connected"],
                   lambda: guard_says(server, "isolation"))


def test_an_episode_that_is_seen_in_time_moves_no_answer(w):
    node = Node(w, timeout=patience.ms(4000))  # long enough for the witness to be missed first
    with watch(node.server) as client:
        node.cut_off()
        patience.until(node.is_isolated, "it knows that it is cut off itself")
        patience.holds(lambda: True, "", 1)
        node.paths.mend()
        patience.until(lambda: not node.is_isolated(), "it is over")
        patience.holds(lambda: client.changes() == 0, lambda: client.answers(), 0.5)
    states = {r["state"] for r in node.server.status()["regions"]}
    assert states == {"in"}, states


def test_what_left_while_cut_off_opens_no_cascade_window(w):
    node = Node(w, cascade_window="1h")
    seoul, tokyo, _ = node.regions
    node.cut_off()
    patience.until(node.is_isolated, "it knows that it is cut off itself")
    node.paths.mend()
    patience.until(lambda: not node.is_isolated(), "it is over")
    node.paths.cut(seoul)
    answers_with(node.server, tokyo)


def test_while_a_witness_answers_it_is_the_targets_that_are_dead(w):
    node = Node(w)
    server = node.server
    node.paths.cut(*node.regions)
    patience.until(lambda: rung(server) == 6, "nothing is up")
    patience.until(lambda: all(r["lifted"] for r in server.status()["regions"]), "every gate lifts")
    assert guard_says(server, "isolation") == []
    node.paths.mend()
    answers_with(server, node.regions[0])


# ---- maintenance


def rfc3339(at_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def test_a_maintenance_window_drains_and_gives_back(w):
    seoul, tokyo, _ = regions = w.three_regions()
    whole = config(regions, gates=False)
    server = w.start(whole)
    answers_with(server, seoul)
    end = time.time() + patience.seconds(3)
    server.reload_with(dict(whole, maintenance=[
        {"target": "seoul", "reason": "new cables", "from": rfc3339(time.time() - 60),
         "to": rfc3339(end)}]))
    answers_with(server, tokyo)
    assert server.status_of_region("seoul")["state"] == "drained"
    why = server.run_cli("why", SERVICE).stdout
    assert "drained" in why, why
    answers_with(server, seoul)
    assert time.time() >= int(end), "not before its time"
    entries = json.loads(server.run_cli("history", "--json", "seoul").stdout)["entries"]
    assert any("new cables" in entry["reason"] for entry in entries), entries


# ---- the ramp


def shares_over(client, address, begin, end):
    """Of the answers between two times: how many, and which part was this address."""
    seen = [address in m.addresses for at, m in list(client.seen) if begin <= at < end]
    return len(seen), sum(seen) / max(1, len(seen))


def test_a_region_that_came_back_takes_its_share_little_by_little(w):
    endpoints = {"seoul": "192.0.2.1", "tokyo": "192.0.2.2"}
    told = Told(w, *endpoints.values())
    ramp_s = 4
    server = w.start({
        "regions": {name: {"minimum_healthy": 0} for name in endpoints},
        "services": {SERVICE: {"minimum_healthy": 1, "check": told.check, "ramp": f"{ramp_s}s",
                               "endpoints": {name: [a] for name, a in endpoints.items()}}}})
    with watch(server, pause_s=0.002) as client:
        told.say("192.0.2.1", "down")
        patience.until(lambda: server.addresses_of(SERVICE) == {"192.0.2.2"}, "Tokyo answers")
        told.say("192.0.2.1", "up")
        patience.until(lambda: server.addresses_of(SERVICE) == {"192.0.2.1"}, "Seoul answers some")
        begin = time.monotonic()
        assert "of its answers" in server.run_cli("why", SERVICE).stdout
        patience.holds(lambda: True, "", ramp_s)
        patience.until(lambda: shares_over(client, "192.0.2.1", time.monotonic() - 0.3,
                                           time.monotonic())[1] == 1, "in the end it answers all")
    early_count, early = shares_over(client, "192.0.2.1", begin, begin + ramp_s / 3)
    late_count, late = shares_over(client, "192.0.2.1", begin + ramp_s / 2, begin + ramp_s)
    assert min(early_count, late_count) < 30 or early < late, (early, late)
    assert early_count < 30 or early < 0.7, early
