"""Nothing is healthy anywhere: what on_all_down says, and never an empty answer."""

from lib import dns, patience
from lib.world import (SERVICE, answers_with, config, dns_check, http_check, service, tsan,
                       watch)


def rung(server):
    return server.status_of_service(SERVICE)["answer"]["A"]["rung"]


def all_die(server, regions):
    for region in regions:
        region.do("http die")
    patience.until(lambda: rung(server) == 6, "nothing is up")


@tsan
def test_last_good_keeps_what_was_answered_last(w):
    regions = w.three_regions()
    seoul, tokyo, singapore = regions
    server = w.start(config(regions))
    answers_with(server, seoul)
    with watch(server):
        seoul.do("http die")
        answers_with(server, tokyo)
        tokyo.do("http die")
        answers_with(server, singapore)
        singapore.do("http die")
        patience.until(lambda: rung(server) == 6, "nothing is up")
        patience.holds(lambda: server.addresses_of(SERVICE) == {singapore.address},
                       "the last good answer stays", 1)
        tokyo.heal()
        answers_with(server, tokyo)


def test_last_good_is_the_default(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    with watch(server):
        all_die(server, regions)
        assert len(server.addresses_of(SERVICE)) == 1


def test_last_good_keeps_the_set_of_endpoints(w):
    several = [w.region(f"seoul{i}", f"127.0.1.{i}", i) for i in range(1, 4)]
    of = {"endpoints": {"seoul": [r.http for r in several]}, "minimum_healthy": 2,
          "check": service(several)["check"]}
    server = w.start({"regions": {"seoul": {"minimum_healthy": 0}}, "services": {SERVICE: of}})
    with watch(server):
        several[0].do("http die")
        answers_with(server, several[1], several[2])
        several[1].do("http die")
        answers_with(server, several[2])  # rung 4: all that is up
        several[2].do("http die")
        patience.until(lambda: rung(server) == 6, "nothing is up")
        answers_with(server, several[1], several[2])  # as it last stood on rung 1


def test_last_good_keeps_several_regions_that_answered_together(w):
    seoul, tokyo, singapore = regions = w.three_regions()
    of = service(regions, policy="all", check={"all": ["own", "common"]})
    server = w.start(config(regions, {SERVICE: of}, gates=False,
                            checks={"own": http_check(), "common": dns_check(singapore)}))
    answers_with(server, *regions)
    tokyo.do("http die")
    answers_with(server, seoul, singapore)
    singapore.do("dns servfail")  # which all are asked for, so that all go at once
    patience.until(lambda: rung(server) == 6, "nothing is up")
    assert server.addresses_of(SERVICE) == {seoul.address, singapore.address}
    server.restart()
    patience.until(lambda: rung(server) == 6, "nothing is up")
    assert server.addresses_of(SERVICE) == {seoul.address, singapore.address}, "kept by name"


def test_all_answers_with_every_endpoint(w):
    regions = w.three_regions()
    server = w.start(config(regions, {SERVICE: service(regions, on_all_down="all")}))
    with watch(server):
        all_die(server, regions)
        answers_with(server, *regions)
        regions[1].heal()
        answers_with(server, regions[1])


def test_servfail_says_so_until_something_lives(w):
    regions = w.three_regions()
    server = w.start(config(regions, {SERVICE: service(regions, on_all_down="servfail")}))
    all_die(server, regions)
    answer = server.ask(SERVICE)
    assert answer.rcode == dns.SERVFAIL and not answer.answer, answer
    regions[2].heal()
    answers_with(server, regions[2])


def test_fallback_answers_with_its_own_addresses(w):
    regions = w.three_regions()
    of = service(regions, on_all_down={"fallback": ["192.0.2.80", "192.0.2.81"]})
    server = w.start(config(regions, {SERVICE: of}))
    with watch(server):
        all_die(server, regions)
        patience.until(lambda: server.addresses_of(SERVICE) == {"192.0.2.80", "192.0.2.81"},
                       "the fallback")
        regions[0].heal()
        answers_with(server, regions[0])


def test_dns_and_endpoints_dead_everywhere_is_all_down_too(w):
    regions = w.three_regions()
    server = w.start(config(regions, guards={"cascade_window": "0s"}))
    answers_with(server, regions[0])
    with watch(server):
        for region in regions:
            region.do("all blackhole")
        patience.until(lambda: rung(server) == 6, "nothing is up")
        patience.holds(lambda: bool(server.addresses_of(SERVICE)), "never empty", 1)
        regions[1].heal()
        answers_with(server, regions[1])


def test_answers_of_all_down_have_the_short_ttl(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    all_die(server, regions)
    assert server.ask(SERVICE).ttl == 5
