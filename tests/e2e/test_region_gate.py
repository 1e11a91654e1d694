"""A region's DNS fails in each way it can: the whole region is left, and taken again."""

from lib import patience
from lib.world import (CANARY, SERVICE, answers_with, config, dns_check, http_check, service,
                       timing, tsan, watch)


def gate_moves_and_returns(w, fault, check=None):
    """Seoul's resolver gets the fault, its endpoint lives: the answer still moves."""
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    whole = config(regions)
    if check:
        whole["regions"]["seoul"]["checks"] = [check(seoul)]
    server = w.start(whole)
    answers_with(server, seoul)
    with watch(server):
        seoul.do(f"dns {fault}")
        answers_with(server, tokyo)
        gated = server.status_of_region("seoul")
        assert gated["state"] == "gated" and gated["reason"], gated
        assert server.endpoint(SERVICE, seoul.address)["state"] == "up", "its endpoint lives"
        seoul.heal("dns")
        answers_with(server, seoul)
    assert server.status_of_region("seoul")["state"] == "in"


@tsan
def test_dead_dns_gates_the_region(w):
    gate_moves_and_returns(w, "die")


def test_silent_dns_gates_the_region(w):
    gate_moves_and_returns(w, "blackhole")


def test_servfail_gates_the_region(w):
    gate_moves_and_returns(w, "servfail")


def test_refused_gates_the_region(w):
    gate_moves_and_returns(w, "refused")


def test_a_wrong_answer_gates_the_region(w):
    def check(region):
        return dns_check(region, "canary.pinned.example", expect={"address": "10.9.8.7"})

    def prepared(region):
        region.do("record canary.pinned.example A 10.9.8.7")
        return check(region)

    gate_moves_and_returns(w, "wrong", prepared)


def test_a_name_with_another_rcode_than_expected_gates_the_region(w):
    def check(region):
        return dns_check(region, "nx.corp.example", expect={"rcode": "NXDOMAIN"})

    gate_moves_and_returns(w, "nodata", check)


def test_dns_slower_than_the_timeout_gates_the_region(w):
    gate_moves_and_returns(w, f"slow {round(patience.seconds(2000))}")


def test_garbage_from_dns_gates_the_region(w):
    gate_moves_and_returns(w, "garbage")


def test_answers_with_the_wrong_id_gate_the_region(w):
    gate_moves_and_returns(w, "wrongid")


def test_a_random_name_defeats_caches(w):
    regions = w.three_regions()
    whole = config(regions)
    whole["regions"]["seoul"]["checks"] = [dns_check(regions[0], "{random}." + CANARY)]
    server = w.start(whole)
    patience.until(lambda: regions[0].stats()["dns_queries"] >= 5, "some probes")
    assert regions[0].asked("{random}." + CANARY) == 0
    assert server.status_of_region("seoul")["state"] == "in"


def test_half_of_the_checks_is_enough_where_half_is_the_minimum(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    second = w.region("seoul-b", "127.0.1.2", 11)
    whole = config(regions)
    whole["regions"]["seoul"] = {"minimum_healthy": "50%",
                                 "checks": [dns_check(seoul), dns_check(second)]}
    server = w.start(whole)
    answers_with(server, seoul)
    with watch(server) as client:
        second.do("dns die")
        patience.until(lambda: server.status_of_region("seoul")["up"] == 1, "one check fails")
        assert server.status_of_region("seoul")["state"] == "in"
        assert client.changes() == 0, client.answers()
        seoul.do("dns die")
        answers_with(server, tokyo)
        second.heal()
        answers_with(server, seoul)


def test_a_gated_region_stands_before_a_dead_end(w):
    """Rung 3: the others' endpoints are dead, the gated region's pass their own checks."""
    regions = w.three_regions()
    seoul, tokyo, singapore = regions
    server = w.start(config(regions))
    with watch(server):
        seoul.do("dns servfail")
        answers_with(server, tokyo)
        tokyo.do("http die")
        singapore.do("http die")
        answers_with(server, seoul)
        # rung 4 until a probe sent after the gate has passed
        patience.until(lambda: server.status_of_service(SERVICE)["answer"]["A"]["rung"] == 3,
                       lambda: server.status_of_service(SERVICE)["answer"]["A"])
        assert server.status_of_service(SERVICE)["answer"]["A"]["regions"] == ["seoul"]
        singapore.heal()
        answers_with(server, singapore)


def test_a_gate_over_dead_endpoints_is_no_rung(w):
    regions = w.three_regions()
    seoul, tokyo, singapore = regions
    server = w.start(config(regions))
    with watch(server):
        seoul.do("all die")
        answers_with(server, tokyo)
        tokyo.do("http die")
        answers_with(server, singapore)


@tsan
def test_prove_keeps_the_endpoints_that_pass(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    whole = config(regions)
    whole["regions"]["seoul"]["on_dns_failure"] = "prove"
    server = w.start(whole)
    answers_with(server, seoul)
    with watch(server):
        seoul.do("dns die")
        patience.until(lambda: server.status_of_region("seoul")["state"] == "gated",
                       "the region is gated")
        answers_with(server, seoul)
        patience.holds(lambda: server.addresses_of(SERVICE) == {seoul.address},
                       "its endpoints pass", 1)
        assert server.status_of_service(SERVICE)["answer"]["A"]["rung"] == 1
        seoul.do("http die")
        answers_with(server, tokyo)


def test_when_every_region_would_be_gated_none_is(w):
    regions = w.three_regions()
    seoul = regions[0]
    server = w.start(config(regions))
    answers_with(server, seoul)
    with watch(server):
        for region in regions:
            region.do("dns servfail")
        patience.until(lambda: all(r["up"] == 0 for r in server.status()["regions"]),
                       "all checks fail")
        answers_with(server, seoul)
        for region in server.status()["regions"]:
            assert region["state"] == "in" and region["lifted"], region
        for region in regions:
            region.heal()
        patience.until(lambda: all(r["up"] == 1 for r in server.status()["regions"]),
                       "all checks pass again")
        answers_with(server, seoul)


def test_minimum_regions_lifts_gates_early(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions, guards={"minimum_regions": 2}))
    with watch(server):
        seoul.do("dns die")
        answers_with(server, tokyo)
        tokyo.do("dns die")  # one region would stay, two must
        answers_with(server, seoul)
        assert all(r["state"] == "in" for r in server.status()["regions"])


def test_one_deleted_canary_gates_where_it_is_gone(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions))
    answers_with(server, seoul)
    with watch(server):
        seoul.do(f"delete {CANARY}")
        answers_with(server, tokyo)
        check = server.status_of_region("seoul")["checks"][0]
        assert check["misconfigured"], check
        seoul.do(f"undelete {CANARY}")
        answers_with(server, seoul)
    patience.until(lambda: not server.status_of_region("seoul")["checks"][0]["misconfigured"],
                   "the alert ends")


def test_a_canary_deleted_everywhere_changes_nothing(w):
    regions = w.three_regions()
    seoul = regions[0]
    server = w.start(config(regions))
    answers_with(server, seoul)
    with watch(server) as client:
        for region in reversed(regions):
            region.do(f"delete {CANARY}")
        patience.until(lambda: all(r["checks"][0]["misconfigured"]
                                   for r in server.status()["regions"]),
                       "every check is misconfigured")
        patience.until(lambda: all(r["state"] == "in" for r in server.status()["regions"]),
                       "no region is gated")
        patience.holds(lambda: server.status_of_region("seoul")["state"] == "in",
                       "a name that is gone everywhere gates nothing", 1.5)
        assert client.changes() == 0, client.answers()
    assert "misconfigured" in server.log_text(), "the alert stands in the log"


def test_a_canary_that_was_never_there_gates_nothing(w):
    regions = w.three_regions()
    seoul = regions[0]
    seoul.do(f"delete {CANARY}")
    server = w.start(config(regions))
    patience.until(lambda: server.status_of_region("seoul")["checks"][0]["misconfigured"],
                   "the alert")
    patience.holds(lambda: server.status_of_region("seoul")["state"] == "in"
                   and server.addresses_of(SERVICE) == {seoul.address},
                   "it never passed, so it proves nothing", 1)


def test_an_empty_canary_is_misconfigured_too(w):
    regions = w.three_regions()
    for region in regions:
        region.do(f"empty {CANARY}")
    server = w.start(config(regions))
    patience.until(lambda: all(r["checks"][0]["misconfigured"]
                               for r in server.status()["regions"]), "every check alerts")
    assert server.addresses_of(SERVICE) == {regions[0].address}


def test_a_gate_moves_every_service_of_the_region(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    services = {f"s{i}.svc.example.com": service(regions, check=http_check(host="x.example"))
                for i in range(30)}
    server = w.start(config(regions, services))
    for name in services:
        answers_with(server, seoul, name=name)
    seoul.do("dns die")
    for name in services:
        answers_with(server, tokyo, name=name)


def test_a_region_without_checks_is_as_healthy_as_its_endpoints(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions, gates=False))
    seoul.do("dns die")
    patience.holds(lambda: server.addresses_of(SERVICE) == {seoul.address},
                   "nobody asks its DNS", 0.7)
    seoul.do("http die")
    answers_with(server, tokyo)


def test_a_region_that_returns_waits_for_hold_down(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    whole = config(regions)
    whole["regions"]["seoul"]["checks"] = [dns_check(seoul, times=timing(hold_down="1h"))]
    server = w.start(whole)
    seoul.do("dns die")
    answers_with(server, tokyo)
    seoul.heal()
    patience.until(lambda: server.status_of_region("seoul")["state"] == "held",
                   "the region is held")
    assert server.addresses_of(SERVICE) == {tokyo.address}
