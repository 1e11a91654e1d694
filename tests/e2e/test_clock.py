"""Clocks that jump: the civil one while the server runs or is stopped, uptime from boot to boot."""

from lib import dns, patience
from lib.clock import CivilClock, OtherUptime
from lib.world import answers_with, config, forwarding, long, watch

NAME = "kept.elsewhere.example.com"
ADDRESS = "192.0.2.77"
HOUR_S, DAY_S = 3600, 86400
YEARS_S = 10 * 365 * DAY_S
STALE_EDE = 3
STALE_TTL_S = 30


def forwarder(w, ttl_s, **options):
    """(region, server): NAME has this TTL, and is not asked for before it has passed."""
    region = w.region("seoul", "127.0.1.1", 1)
    region.do(f"record {NAME} {ttl_s} A {ADDRESS}")
    whole = config([region], {}, gates=False, forward=forwarding([("seoul", region.dns)]),
                   cache={"prefetch": False})
    return region, w.start(whole, **options)


def kept(server):
    answer = server.ask(NAME)
    assert answer.rcode == dns.NOERROR and answer.addresses == {ADDRESS}, answer
    return answer


def restart_with(server, region, clock, offset_s, fault):
    """Stopped, the civil clock moved, the resolver lost or healed, started again."""
    server.stop()
    clock.jump_to(offset_s)
    region.do(fault)
    server.restart()


@long
def test_answers_age_the_same_whatever_the_civil_clock_does(w):
    clock = CivilClock(w.folder)
    ttl_s = round(8 * patience.factor())
    region, server = forwarder(w, ttl_s, environment=clock.environment)
    kept(server)
    last = ttl_s
    for offset_s in (HOUR_S, YEARS_S, -YEARS_S, -HOUR_S, 0):
        clock.jump_to(offset_s)
        answer = kept(server)
        assert 0 < answer.ttl <= last, f"TTL {answer.ttl} after {last}, jump {offset_s}"
        assert region.asked(NAME) == 1, f"asked again after a jump by {offset_s} s"
        last = answer.ttl
    clock.jump_to(-YEARS_S)
    patience.until(lambda: kept(server) and region.asked(NAME) == 2,
                   "the answer expires when its TTL has passed", limit_s=ttl_s + 15, pause_s=0.1)


def test_no_service_moves_when_the_civil_clock_jumps(w):
    clock = CivilClock(w.folder)
    regions = w.three_regions()
    server = w.start(config(regions), environment=clock.environment)
    answers_with(server, regions[0])
    with watch(server) as seen:
        for offset_s in (YEARS_S, -YEARS_S, DAY_S, 0):
            clock.jump_to(offset_s)
            patience.holds(lambda: server.addresses_of("api.svc.example.com") ==
                           {regions[0].address}, f"nothing moves after a jump by {offset_s} s", 0.6)
    assert seen.seen, "nobody looked"
    states = {check["state"] for region in server.status()["regions"] for check in region["checks"]}
    assert states == {"up"}, states


def test_what_was_saved_is_stale_after_a_day_and_after_a_clock_set_back(w):
    clock = CivilClock(w.folder)
    region, server = forwarder(w, 300, environment=clock.environment)
    kept(server)
    for offset_s in (HOUR_S, DAY_S, -DAY_S):
        restart_with(server, region, clock, offset_s, "dns die")
        answer = kept(server)
        assert answer.ede and answer.ede[0] == STALE_EDE, f"jump {offset_s}: {answer}"
        assert answer.ttl == STALE_TTL_S, f"jump {offset_s}: {answer}"


def test_what_was_saved_is_gone_after_longer_than_stale_answers_are_kept(w):
    clock = CivilClock(w.folder)
    region, server = forwarder(w, 300, environment=clock.environment)
    kept(server)
    restart_with(server, region, clock, YEARS_S, "dns die")
    answer = server.ask(NAME)
    assert answer.rcode == dns.SERVFAIL, answer


def test_what_was_saved_is_asked_for_again_when_its_resolver_lives(w):
    clock = CivilClock(w.folder)
    region, server = forwarder(w, 300, environment=clock.environment)
    kept(server)
    restart_with(server, region, clock, -DAY_S, "dns heal")
    patience.until(lambda: kept(server).ttl > STALE_TTL_S and region.asked(NAME) == 2,
                   "the answer is asked for again")


def test_saved_answers_keep_their_age_under_another_uptime(w):
    """As after a boot: the monotonic clock is another one, forward and then back."""
    region, server = forwarder(w, 300)
    before = kept(server).ttl
    binary = server.binary
    with OtherUptime(w.folder, 40 * DAY_S) as uptime:
        for program in (uptime.wrap(binary), binary):
            server.stop()
            server.binary = program
            server.restart()
            assert uptime.holds(server.process.pid) == (program != binary), "in the wrong time"
            answer = kept(server)
            assert answer.ede is None, answer
            assert 300 - patience.seconds(60) < answer.ttl <= before, answer
            assert region.asked(NAME) == 1, "it was asked for again"
            before = answer.ttl
        server.stop()
