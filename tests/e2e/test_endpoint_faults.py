"""An endpoint fails in each way it can: the answer moves, and returns after healing."""

from lib import dns, patience
from lib.watch import Watch
from lib.world import (SERVICE, answers_with, config, http_check, long, service, timing, tsan,
                       watch)


def moves_and_returns(w, fault, check=None, target="http", heal=None):
    """Seoul's endpoint gets the fault; a client asks all the while and never suffers."""
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    of = service(regions, endpoints={r.name: [r.text_of(target)] for r in regions},
                 check=check or http_check())
    server = w.start(config(regions, {SERVICE: of}))
    answers_with(server, seoul)
    with watch(server):
        seoul.do(f"{target} {fault}")
        answers_with(server, tokyo)
        down = server.endpoint(SERVICE, seoul.address)
        assert down["state"] == "down" and down["reason"], down
        seoul.do(heal or f"{target} heal")
        answers_with(server, seoul)
    return server


@tsan
def test_http_500_moves_the_answer(w):
    moves_and_returns(w, "status 500")


def test_a_refused_port_moves_the_answer(w):
    moves_and_returns(w, "die")


@tsan
def test_a_blackhole_moves_the_answer(w):
    moves_and_returns(w, "blackhole")


def test_a_hanging_server_moves_the_answer(w):
    moves_and_returns(w, "hang")


def test_slower_than_the_timeout_moves_the_answer(w):
    moves_and_returns(w, f"slow {round(patience.seconds(2000))}")


def test_garbage_instead_of_http_moves_the_answer(w):
    moves_and_returns(w, "garbage")


def test_a_body_without_the_expected_text_moves_the_answer(w):
    moves_and_returns(w, "body sorry", check=http_check(expect={"body": "ok region"}))


def test_a_redirect_moves_the_answer_where_only_200_passes(w):
    moves_and_returns(w, "status 302", check=http_check(expect={"status": 200}))


def test_a_status_that_is_expected_passes(w):
    regions = w.three_regions()
    of = service(regions, check=http_check(expect={"status": ["200-299", 404]}))
    server = w.start(config(regions, {SERVICE: of}))
    before = regions[0].stats()["http_requests"]
    regions[0].do("http status 404")
    patience.until(lambda: regions[0].stats()["http_requests"] >= before + 8, "eight more probes")
    assert server.endpoint(SERVICE, regions[0].address)["state"] == "up"
    assert server.addresses_of(SERVICE) == {regions[0].address}


def tcp_check():
    return {"tcp": {"port": 80}, **timing()}


def test_a_refused_port_moves_a_service_checked_over_tcp(w):
    moves_and_returns(w, "die", tcp_check(), "tcp")


def test_a_blackhole_moves_a_service_checked_over_tcp(w):
    moves_and_returns(w, "blackhole", tcp_check(), "tcp")


def test_an_endpoint_checked_over_dns_moves_the_answer(w):
    check = {"dns": {"name": "canary.corp.example"}, **timing()}
    moves_and_returns(w, "servfail", check, "dns")


def test_all_checks_of_a_service_must_pass(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    extra = {"tcp": {"server": seoul.tcp}, **timing()}
    of = service([seoul, tokyo], check=[http_check(), extra])
    server = w.start(config(regions, {SERVICE: of}, gates=False))
    answers_with(server, seoul)
    seoul.do("tcp die")  # asked for every endpoint, so all of them are down
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "down",
                   "the second check decides too")
    assert server.endpoint(SERVICE, tokyo.address)["state"] == "down"


@long
def test_flapping_with_hold_down_does_not_flap_the_answers(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    of = service(regions, check=http_check(timing(hold_down=patience.ms(3000))))
    server = w.start(config(regions, {SERVICE: of}))
    answers_with(server, seoul)
    with Watch(server.at, SERVICE) as client:
        seoul.do(f"http flap {round(patience.seconds(700))}")
        answers_with(server, tokyo)
        patience.holds(lambda: client.changes() <= 1, lambda: f"moved: {client.answers()}",
                       patience.seconds(5))
        seoul.heal()
        answers_with(server, seoul)
        assert client.changes() <= 2, client.answers()


def test_an_endpoint_that_came_back_waits_for_hold_down(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    of = service(regions, check=http_check(timing(hold_down="1h")))
    server = w.start(config(regions, {SERVICE: of}))
    seoul.do("http die")
    answers_with(server, tokyo)
    seoul.heal()
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "held",
                   "seoul is held")
    assert server.addresses_of(SERVICE) == {tokyo.address}, "held is second choice"
    # yet a held endpoint stands before any dead end
    tokyo.do("http die")
    regions[2].do("http die")
    answers_with(server, seoul)
    assert server.status_of_service(SERVICE)["answer"]["A"]["rung"] == 2


@long
def test_thirty_percent_loss_is_no_outage(w):
    regions = w.three_regions()
    seoul = regions[0]
    patient = timing(silent_fall=10)
    of = service(regions, check=http_check(patient))
    whole = config(regions, {SERVICE: of})
    for part in whole["regions"].values():
        part["checks"][0].update(patient)
    server = w.start(whole)
    answers_with(server, seoul)
    before = seoul.stats()
    with watch(server) as client:
        for region in regions:
            region.do("http lossy 30")
            region.do("dns lossy 30")
        # ten seconds at least, and long enough that both kinds were probed often
        patience.holds(lambda: True, "", 10)
        patience.until(lambda: seoul.stats()["http_requests"] >= before["http_requests"] + 40
                       and seoul.stats()["dns_queries"] >= before["dns_queries"] + 40,
                       "forty probes of each kind", 30)
        for region in regions:
            region.heal()
        answers_with(server, seoul)
        assert client.changes() <= 2, client.answers()
    assert seoul.stats()["dropped"] > before["dropped"], "something was lost"


def test_one_success_clears_the_suspicion(w):
    regions = w.three_regions()
    seoul = regions[0]
    of = service(regions, check=http_check(timing(fall=100)))
    server = w.start(config(regions, {SERVICE: of}))
    seoul.do("http status 500")
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "suspect",
                   "seoul is suspect")
    assert server.addresses_of(SERVICE) == {seoul.address}, "suspect answers as up does"
    seoul.heal()
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "up",
                   "seoul is up again")


def test_a_suspect_endpoint_shortens_the_ttl(w):
    regions = w.three_regions()
    seoul = regions[0]
    of = service(regions, check=http_check(timing(fall=100)), ttl={"normal": "60s", "suspect": "3s"})
    server = w.start(config(regions, {SERVICE: of}))
    patience.until(lambda: server.ask(SERVICE).ttl == 60, "the normal TTL")
    seoul.do("http status 500")
    patience.until(lambda: server.ask(SERVICE).ttl == 3, "the short TTL")
    assert server.addresses_of(SERVICE) == {seoul.address}
    seoul.heal()
    patience.until(lambda: server.ask(SERVICE).ttl == 60, "the normal TTL again")
    # resolvers shall not ask thirty times as often again within five minutes
    seoul.do("http status 500")
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "suspect",
                   "seoul is suspect again")
    assert server.ask(SERVICE).ttl == 60


def test_one_of_several_endpoints_leaves_and_the_others_stay(w):
    several = [w.region(f"seoul{i}", f"127.0.1.{i}", i) for i in range(1, 4)]
    others = [w.region(f"tokyo{i}", f"127.0.2.{i}", 10 + i) for i in (1, 2)]
    of = {"order": ["seoul", "tokyo"], "minimum_healthy": 2, "check": http_check(),
          "endpoints": {"seoul": [r.http for r in several], "tokyo": [r.http for r in others]}}
    server = w.start({"regions": {"seoul": {"minimum_healthy": 0}, "tokyo": {"minimum_healthy": 0}},
                      "services": {SERVICE: of}})
    answers_with(server, *several)
    with watch(server):
        several[1].do("http status 503")
        answers_with(server, several[0], several[2])
        # below minimum_healthy the whole region is left
        several[2].do("http die")
        answers_with(server, *others)
        several[2].heal()
        answers_with(server, several[0], several[2])


def test_minimum_healthy_in_percent_is_rounded_up(w):
    several = [w.region(f"seoul{i}", f"127.0.1.{i}", i) for i in range(1, 4)]
    tokyo = w.region("tokyo", "127.0.2.1", 9)
    of = {"order": ["seoul", "tokyo"], "minimum_healthy": "50%", "check": http_check(),
          "endpoints": {"seoul": [r.http for r in several], "tokyo": [tokyo.http]}}
    server = w.start({"regions": {"seoul": {"minimum_healthy": 0}, "tokyo": {"minimum_healthy": 0}},
                      "services": {SERVICE: of}})
    answers_with(server, *several)
    several[0].do("http die")
    answers_with(server, several[1], several[2])
    several[1].do("http die")  # one of three is less than half
    answers_with(server, tokyo)


def test_below_the_minimum_everywhere_all_that_is_up_answers_together(w):
    pools = {name: [w.region(f"{name}{i}", f"127.0.{number}.{i}", 10 * number + i)
                    for i in (1, 2)]
             for number, name in enumerate(("seoul", "tokyo"), 1)}
    of = {"order": ["seoul", "tokyo"], "minimum_healthy": 2, "check": http_check(),
          "endpoints": {name: [r.http for r in pool] for name, pool in pools.items()}}
    server = w.start({"regions": {name: {"minimum_healthy": 0} for name in pools},
                      "services": {SERVICE: of}})
    answers_with(server, *pools["seoul"])
    with watch(server):
        pools["tokyo"][0].do("http die")
        pools["seoul"][1].do("http die")
        answers_with(server, pools["seoul"][0], pools["tokyo"][1])
        assert server.status_of_service(SERVICE)["answer"]["A"]["rung"] == 4


def test_failures_move_one_region_further_each_time(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    with watch(server):
        for gone, there in zip(regions, regions[1:]):
            answers_with(server, gone)
            gone.do("http die")
            answers_with(server, there)
        for region in reversed(regions[:-1]):
            region.heal()
            answers_with(server, region)


def test_the_log_tells_who_went_why_and_when_it_came_back(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions))
    seoul.do("http status 500")
    answers_with(server, tokyo)
    patience.until(lambda: "500" in server.log_text(), "the reason stands in the log")
    seoul.heal()
    answers_with(server, seoul)
    lines = [line for line in server.log_text().splitlines() if seoul.address in line]
    assert any("down" in line for line in lines) and any("up" in line for line in lines), lines


def test_dead_regions_do_not_slow_the_living(w):
    regions = w.three_regions()
    server = w.start(config(regions, guards={"cascade_window": "0s"}))
    for region in regions[:2]:
        region.do("all blackhole")
    answers_with(server, regions[2])
    for _ in range(50):
        assert dns.ask(server.at, SERVICE, timeout_s=5).addresses == {regions[2].address}
