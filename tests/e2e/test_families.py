"""IPv4 and IPv6 apart: each family is answered by the first region that has it."""

from lib import dns, patience
from lib.dns import AAAA, A
from lib.world import SERVICE, answers_with, http_check, needs_ipv6


def start(w, endpoints, regions=("seoul", "tokyo")):
    of = {"order": list(regions), "minimum_healthy": 1, "check": http_check(),
          "ttl": {"normal": "30s", "suspect": "4s"}, "endpoints": endpoints}
    return w.start({"regions": {name: {"minimum_healthy": 0} for name in regions},
                    "services": {SERVICE: of}})


def is_short_nodata(server, rtype):
    answer = server.ask(SERVICE, rtype)
    return (answer.rcode == dns.NOERROR and not answer.answer and answer.soa is not None
            and answer.soa.ttl <= 4)


def test_aaaa_comes_from_the_region_that_has_it(w):
    needs_ipv6()
    seoul, tokyo = w.region("seoul", "127.0.1.1", 1), w.region("tokyo", "127.0.2.1", 2)
    tokyo6 = w.region("tokyo6", "::1", 3)
    server = start(w, {"seoul": [seoul.http], "tokyo": [tokyo.http, tokyo6.http]})
    answers_with(server, seoul)
    answers_with(server, tokyo6, rtype=AAAA)


def test_no_living_address_of_one_family_is_a_short_nodata(w):
    needs_ipv6()
    seoul, tokyo = w.region("seoul", "127.0.1.1", 1), w.region("tokyo", "127.0.2.1", 2)
    tokyo6 = w.region("tokyo6", "::1", 3)
    server = start(w, {"seoul": [seoul.http], "tokyo": [tokyo.http, tokyo6.http]})
    tokyo6.do("http die")
    patience.until(lambda: is_short_nodata(server, AAAA),
                   lambda: f"NODATA with a short TTL, but {server.ask(SERVICE, AAAA)}")
    answers_with(server, seoul)
    tokyo6.heal()
    answers_with(server, tokyo6, rtype=AAAA)


def test_v4_down_v6_up_in_one_region(w):
    needs_ipv6()
    seoul, tokyo = w.region("seoul", "127.0.1.1", 1), w.region("tokyo", "127.0.2.1", 2)
    seoul6 = w.region("seoul6", "::1", 3)
    server = start(w, {"seoul": [seoul.http, seoul6.http], "tokyo": [tokyo.http]})
    answers_with(server, seoul)
    answers_with(server, seoul6, rtype=AAAA)
    seoul.do("http die")
    answers_with(server, tokyo)
    answers_with(server, seoul6, rtype=AAAA)
    tokyo.do("http die")
    patience.until(lambda: is_short_nodata(server, A),
                   lambda: f"no IPv4 lives: NODATA, but {server.ask(SERVICE)}")
    answers_with(server, seoul6, rtype=AAAA)
    seoul6.do("http die")  # no family is up: on_all_down keeps what was answered last
    patience.until(lambda: server.status_of_service(SERVICE)["answer"]["AAAA"]["rung"] == 6,
                   "nothing is up")
    answers_with(server, seoul6, rtype=AAAA)
    tokyo.heal()
    answers_with(server, tokyo)


def test_listening_on_ipv6(w):
    needs_ipv6()
    seoul = w.region("seoul", "127.0.1.1", 1)
    of = {"endpoints": {"seoul": [seoul.http]}, "minimum_healthy": 1}
    server = w.start({"regions": {"seoul": {"minimum_healthy": 0}}, "services": {SERVICE: of}},
                     addresses=("::1", "127.0.0.1"))
    for address in ("::1", "127.0.0.1"):
        for tcp in (False, True):
            answer = dns.ask((address, server.port), SERVICE, tcp=tcp)
            assert answer.addresses == {seoul.address}, answer
