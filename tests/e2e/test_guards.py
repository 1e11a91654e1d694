"""What automation never does, and what does act: cascades, isolation, maintenance, ramps."""

import json
import time

from lib import patience
from lib.paths import Paths
from lib.told import Told
from lib.world import (CANARY, SERVICE, answers_with, config, http_check, service, timing, tsan,
                       watch)


def history(server, kind, target):
    """What the journal has on disk of one thing, in order."""
    done = server.run_cli("history", "--json")
    assert done.returncode == 0, done.stderr
    return [entry for entry in json.loads(done.stdout)["entries"]
            if entry["kind"] == kind and entry["target"] == target]


def guard_says(server, name):
    """What a guard did: ["isolated", "connected"]."""
    return [entry["to"] for entry in history(server, "guard", name)]


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
        # on a slow machine the first check may have been too late, and its endpoint in hold_down
        patience.until(lambda: rung(self.server) == 1, "all is well")

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


# ---- minimum_regions


def test_gates_lift_when_too_few_regions_would_stay_and_fall_again(w):
    seoul, tokyo, _ = regions = w.three_regions()
    server = w.start(config(regions, guards={"minimum_regions": 2, "cascade_window": "off"}))
    answers_with(server, seoul)
    with watch(server):
        seoul.do("dns servfail")
        answers_with(server, tokyo)
        tokyo.do("dns servfail")  # one would be left
        answers_with(server, seoul)
        assert server.status_of_region("tokyo")["lifted"]
        assert "minimum_regions" in server.status_of_region("tokyo")["reason"]
        seoul.heal()
        patience.until(lambda: server.status_of_region("tokyo")["state"] == "gated",
                       "two are well again, and Tokyo is not of them")
        answers_with(server, seoul)
    patience.until(lambda: [e["to"] for e in history(server, "region", "tokyo")] ==
                   ["lifted", "gated"], lambda: history(server, "region", "tokyo"))


def test_what_passes_while_its_gate_is_lifted_is_proof_when_it_falls(w):
    seoul, tokyo, _ = regions = w.three_regions()
    only = service([tokyo], check=http_check(timing(interval=patience.ms(50))))
    server = w.start(config(regions, {SERVICE: only},
                            guards={"minimum_regions": 2, "cascade_window": "off"}))
    answers_with(server, tokyo)

    def sent():
        (pool,) = server.get("/api/v1/why", name=SERVICE)["pools"]
        return pool["endpoints"][0]["checks"][0]["sent"]

    patience.until(lambda: sent() >= 20, "its latency is known and moves no more")
    seoul.do("dns servfail")
    patience.until(lambda: server.status_of_region("seoul")["state"] == "gated", "Seoul is gated")
    tokyo.do("dns servfail")
    patience.until(lambda: server.status_of_region("tokyo")["lifted"], "Tokyo's gate is lifted")
    before = sent()
    patience.until(lambda: sent() > before + 1, "its endpoint passes meanwhile")
    seoul.heal()
    patience.until(lambda: server.status_of_region("tokyo")["state"] == "gated", "it falls")
    assert rung(server) == 3
    # at once: never on rung 4, as if nothing had passed
    patience.until(lambda: [e["reason"] for e in history(server, "service", SERVICE)] ==
                   ["region gated, endpoints proven since"],
                   lambda: history(server, "service", SERVICE))


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
    patience.until(lambda: [(e["from"], e["reason"]) for e in history(server, "override", "seoul")]
                   == [(f"a maintenance window {what}", "new cables")
                       for what in ("opens", "closes")],
                   lambda: history(server, "override", "seoul"))


# ---- the ramp


def share_of(client, address, begin, end):
    """How many answers there were between two times, and which part of them was this address."""
    seen = [address in m.addresses for at, m in list(client.seen) if begin <= at < end]
    return len(seen), sum(seen) / max(1, len(seen))


def test_a_region_that_came_back_takes_its_share_little_by_little(w):
    seoul, tokyo = "192.0.2.1", "192.0.2.2"
    told = Told(w, seoul, tokyo)
    ramp_s = 4
    server = w.start({
        "regions": {name: {"minimum_healthy": 0} for name in ("seoul", "tokyo")},
        "services": {SERVICE: {"minimum_healthy": 1, "check": told.check, "ramp": f"{ramp_s}s",
                               "endpoints": {"seoul": [seoul], "tokyo": [tokyo]}}}})
    told.say(seoul, "down")
    patience.until(lambda: server.addresses_of(SERVICE) == {tokyo}, "Tokyo answers")
    with watch(server, pause_s=0.002) as client:
        told.say(seoul, "up")
        patience.until(lambda: frozenset({seoul}) in client.answers(), "Seoul answers some")
        why = server.run_cli("why", SERVICE).stdout
        now = time.monotonic()
        begin = next(at for at, m in list(client.seen) if seoul in m.addresses)
        assert "of its answers" in why or now - begin >= ramp_s, why
        patience.until(lambda: time.monotonic() > begin + ramp_s, "the ramp is over", 30)
        patience.until(lambda: share_of(client, seoul, time.monotonic() - 0.3,
                                        time.monotonic())[1] == 1, "in the end it answers all")
    early_count, early = share_of(client, seoul, begin, begin + ramp_s / 3)
    late_count, late = share_of(client, seoul, begin + ramp_s / 2, begin + ramp_s)
    # a client that was hardly let ask has seen nothing
    assert min(early_count, late_count) < 30 or early < late, (early, late)
