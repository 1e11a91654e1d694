"""Every way to lose the own region's resolver while clients ask: none of them notices."""

import os
import signal
import time

from lib import dns, patience
from lib.forwarding import Stage, index_of, state_of
from lib.load import Load
from lib.world import tsan

ROUNDS = 2
BROKEN_S = 1.2  # how long it stays broken: longer than it takes to be believed down

# Generous: that a lookup takes 100 ms at most is for the benchmark to say.
SLOWEST_S = 1.0


def is_used_again(stage, load):
    """The preferred region answers all of the load, and status calls it up."""
    patience.until(lambda: load.last_index() == stage.seoul.index
                   and state_of(stage.server, stage.seoul)["state"] == "up",
                   lambda: f"Seoul is used again: {stage.server.status()['upstreams']}",
                   pause_s=0.02)


def is_left(stage, load):
    patience.until(lambda: load.last_index() == stage.tokyo.index,
                   lambda: f"Tokyo answers: {stage.server.status()['upstreams']}", pause_s=0.02)


def over_tls(w):
    """Seoul is asked over TLS."""
    folder = os.path.join(w.folder, "tls")
    os.mkdir(folder)
    stage = Stage(w, seoul=("--tls-dir", folder))
    tls = {"name": "dns.leeward.test", "ca_file": os.path.join(folder, "ca.pem")}
    stage.server.reload_with(dict(stage.server.config, forward={".": {"upstreams": [
        {"region": "seoul", "address": stage.seoul.tls, "tls": tls},
        {"region": "tokyo", "address": stage.tokyo.dns}]}}))
    return stage


def survives(stage, cut, cure, leaves=True, rounds=ROUNDS):
    """Cut and cured while clients ask for names nobody has kept; no lookup fails, none is slow."""
    with Load(stage.server.at) as load:
        is_used_again(stage, load)
        for _ in range(rounds):
            cut(stage.seoul)
            if leaves:
                is_left(stage, load)
            time.sleep(BROKEN_S)
            cure(stage.seoul)
            is_used_again(stage, load)
    assert load.slowest() < patience.seconds(SLOWEST_S), f"{load.slowest():.3f} s"


def survives_fault(w, fault, stage=None, **options):
    survives(stage or Stage(w), lambda region: region.do(f"dns {fault}"),
             lambda region: region.heal("dns"), **options)


def stop(region):
    os.kill(region.process.pid, signal.SIGSTOP)


def go_on(region):
    os.kill(region.process.pid, signal.SIGCONT)


@tsan
def test_a_resolver_that_dies_is_not_missed(w):
    survives_fault(w, "die")


@tsan
def test_a_resolver_that_falls_silent_is_not_missed(w):
    survives_fault(w, "blackhole")


def test_a_resolver_that_is_slow_is_not_missed(w):
    survives_fault(w, "slow 2000")


def test_a_resolver_that_answers_servfail_is_not_missed(w):
    survives_fault(w, "servfail")


def test_a_resolver_that_loses_a_third_costs_no_lookup(w):
    survives_fault(w, "lossy 30", leaves=False)


def test_a_resolver_that_lies_costs_no_lookup(w):
    survives_fault(w, "garbage", rounds=1)


def test_a_resolver_that_flaps_costs_no_lookup(w):
    survives_fault(w, "flap 200", leaves=False)


def test_a_process_that_is_stopped_is_not_missed(w):
    """What the kernel has taken for it meanwhile is answered late, to nobody."""
    stage = Stage(w)
    survives(stage, stop, go_on)
    assert stage.right(stage.ask()) == 1


@tsan
def test_a_stream_that_dies_is_not_missed(w):
    survives_fault(w, "die", over_tls(w), rounds=1)


def test_a_stream_that_falls_silent_is_not_missed(w):
    survives_fault(w, "blackhole", over_tls(w), rounds=1)


def test_a_stream_that_is_slow_is_not_missed(w):
    survives_fault(w, "slow 2000", over_tls(w), rounds=1)


def test_a_stream_whose_process_is_stopped_is_not_missed(w):
    survives(over_tls(w), stop, go_on, rounds=1)


def test_a_server_that_stood_still_blames_nobody(w):
    """A machine that was suspended: what was in flight is late by our own doing."""
    stage = Stage(w)
    known = stage.name()
    stage.ask(known)
    for _ in range(ROUNDS):
        with dns.udp_socket(stage.server.at) as sock:
            for _ in range(20):
                sock.send(dns.make_query(stage.name()))
            stage.server.send_signal(signal.SIGSTOP)
            time.sleep(2.5)
            stage.server.send_signal(signal.SIGCONT)
        assert stage.ask(known).ede is None
        for _ in range(10):
            assert stage.right(stage.ask()) == stage.seoul.index
        for region in stage.regions:
            assert state_of(stage.server, region)["state"] == "up"


def test_both_regions_cut_in_turn_cost_no_lookup(w):
    stage = Stage(w)
    with Load(stage.server.at) as load:
        is_used_again(stage, load)
        for fault in ("blackhole", "die"):
            stage.seoul.do(f"dns {fault}")
            is_left(stage, load)
            stage.seoul.heal("dns")
            is_used_again(stage, load)
            stage.tokyo.do(f"dns {fault}")
            patience.holds(lambda: load.last_index() == 1, "Seoul goes on", 0.3)
            stage.tokyo.heal("dns")
    assert load.slowest() < patience.seconds(SLOWEST_S), f"{load.slowest():.3f} s"


@tsan
def test_after_everything_was_cut_nothing_needs_a_restart(w):
    stage = Stage(w)
    known = stage.name()
    stage.ask(known)
    for fault in ("blackhole", "die", "servfail"):
        if fault == "servfail":  # it is there, so it is not called down
            for region in stage.regions:
                region.do("dns servfail")
        else:
            stage.outage(fault)
        answer = stage.server.ask(stage.name())
        assert answer.rcode == dns.SERVFAIL and answer.ede is not None, f"{fault}: {answer}"
        assert index_of(stage.ask(known)) == 1, "what is kept is answered"
        stage.cure()
        stage.trusts(stage.seoul)


def test_other_regions_are_not_troubled_while_all_is_well(w):
    """A hedge now and then is all that Tokyo sees: what status counts, and at most a twentieth."""
    stage = Stage(w)
    before = stage.tokyo.stats()["dns_queries"]
    with Load(stage.server.at, clients=2, per_second=100) as load:
        patience.until(lambda: len(load.seen) >= 300, "they ask")
    extra = stage.tokyo.stats()["dns_queries"] - before
    # what a saved-up budget allows at once, and probes
    assert extra <= 0.05 * len(load.seen) + 25, f"{extra} of {len(load.seen)}"
