"""Endpoints given as host names: resolved, followed, and kept when resolvers take them away."""

import threading

from lib import dns, patience
from lib.held import Held
from lib.server import free_port
from lib.world import (SERVICE, answers_with, config, forwarding, has_ipv6, http_check, long,
                       service, tsan)

NAME = "api.elb.example"


def two_regions(w):
    """Seoul with a second host of the same port, and Tokyo; both resolvers know NAME."""
    port = free_port("127.0.1.1", "127.0.4.1")
    seoul = w.region("seoul", "127.0.1.1", 1, "--http-port", str(port))
    busan = w.region("busan", "127.0.4.1", 4, "--http-port", str(port))
    tokyo = w.region("tokyo", "127.0.2.1", 2)
    for region in (seoul, tokyo):
        region.do(f"record {NAME} 5 A {seoul.address}")
    for region in (seoul, busan):
        region.do("http body this is the api")
    return seoul, busan, tokyo


def set_records(region, addresses, name=NAME):
    region.do(f"unrecord {name}")
    for address in addresses:
        region.do(f"record {name} 5 {'AAAA' if ':' in address else 'A'} {address}")


def named(seoul, tokyo, body="this is the api", **endpoint):
    """A configuration whose service has NAME in Seoul, and Tokyo behind it."""
    port = int(seoul.ready["http"])
    more = {} if body is None else {"expect": {"body": body}}
    tokyo.do("http body this is the api")
    api = service([seoul, tokyo], endpoints={
        "seoul": [{"hostname": NAME, "port": port, **endpoint}],
        "tokyo": [tokyo.http],
    }, check=http_check(**more))
    return config([seoul, tokyo], {SERVICE: api}, gates=False, node={"region": "seoul"},
                  forward=forwarding([("seoul", seoul.dns), ("tokyo", tokyo.dns)]))


def hostname(server, rtype="A", name=SERVICE):
    found = server.status_of_service(name)["hostnames"]
    return next(h for h in found if h["type"] == rtype)


def reads(server, condition, what):
    return patience.until(lambda: condition(hostname(server)),
                          lambda: f"{what}: {hostname(server)}\n{server.log_tail(20)}", 30)


def test_a_name_is_resolved_before_the_server_is_ready(w):
    seoul, _, tokyo = two_regions(w)
    server = w.start(named(seoul, tokyo))
    assert server.addresses_of(SERVICE) == {seoul.address}
    told = hostname(server)
    assert told["addresses"] == [seoul.address] and told["last_answer"] == "positive", told
    assert told["from"].startswith("seoul"), told
    endpoint = server.endpoint(SERVICE, seoul.address)
    assert endpoint["hostname"] == NAME and endpoint["kept_ms_ago"] is None, endpoint
    assert endpoint["state"] == "up", endpoint


@long
def test_a_name_that_nobody_knows_stops_nothing(w):
    seoul, _, tokyo = two_regions(w)
    for region in (seoul, tokyo):
        region.do(f"delete {NAME}")
    server = w.start(named(seoul, tokyo))
    assert server.addresses_of(SERVICE) == {tokyo.address}
    for region in (seoul, tokyo):
        region.do(f"undelete {NAME}")
    answers_with(server, seoul)


def test_without_any_address_the_answer_is_servfail_and_never_empty(w):
    seoul, _, tokyo = two_regions(w)
    for region in (seoul, tokyo):
        region.do("dns servfail")
    whole = named(seoul, tokyo)
    del whole["services"][SERVICE]["endpoints"]["tokyo"]
    whole["services"][SERVICE]["order"] = ["seoul"]
    server = w.start(whole)
    assert server.ask(SERVICE).rcode == dns.SERVFAIL
    for region in (seoul, tokyo):
        region.heal("dns")
    answers_with(server, seoul)


@tsan
def test_a_change_is_followed_when_the_ttl_ends(w):
    seoul, busan, tokyo = two_regions(w)
    server = w.start(named(seoul, tokyo))
    generation = server.status()["generation"]
    for region in (seoul, tokyo):
        set_records(region, [seoul.address, busan.address])
    answers_with(server, seoul, busan)
    assert server.status()["generation"] > generation
    busan.do("http die")
    answers_with(server, seoul)


def test_both_families_are_each_their_own(w):
    if not has_ipv6():
        return
    seoul, _, tokyo = two_regions(w)
    for region in (seoul, tokyo):
        set_records(region, [seoul.address, "::1"])
    server = w.start(named(seoul, tokyo))
    told = hostname(server, "AAAA")
    assert told["addresses"] == ["::1"], told
    assert hostname(server)["addresses"] == [seoul.address]


@long
def test_nxdomain_takes_nothing_away_while_the_check_passes(w):
    seoul, _, tokyo = two_regions(w)
    server = w.start(named(seoul, tokyo))
    for region in (seoul, tokyo):
        region.do(f"delete {NAME}")
    told = reads(server, lambda h: h["kept_ms_ago"] is not None and h, "kept")
    assert told["last_answer"] == "NXDOMAIN" and told["addresses"] == [seoul.address], told
    assert "check passes" in told["reason"] and "tokyo" in told["reason"], told
    assert server.endpoint(SERVICE, seoul.address)["kept_ms_ago"] is not None
    assert server.addresses_of(SERVICE) == {seoul.address}
    steps = "\n".join(server.get("/api/v1/why", name=SERVICE)["steps"])
    assert "kept: the upstream" in steps and "NXDOMAIN" in steps, steps
    # somebody else stands at the address now
    seoul.do("http body a parking page")
    answers_with(server, tokyo)
    reads(server, lambda h: h["addresses"] == [] and h["kept_ms_ago"] is None, "let go")
    # and the name comes back
    seoul.do("http body this is the api")
    for region in (seoul, tokyo):
        region.do(f"undelete {NAME}")
    answers_with(server, seoul)


def test_far_fewer_addresses_are_doubted_too(w):
    seoul, busan, tokyo = two_regions(w)
    many = [seoul.address, busan.address, "127.0.9.1"]
    for region in (seoul, tokyo):
        set_records(region, many)
    server = w.start(named(seoul, tokyo))
    answers_with(server, seoul, busan)
    for region in (seoul, tokyo):
        set_records(region, [busan.address])
    told = reads(server, lambda h: h["kept_ms_ago"] is not None and h, "kept")
    assert "1 of 3 addresses" in told["reason"], told
    answers_with(server, seoul, busan)


@long
def test_what_is_not_to_be_kept_goes_at_once(w):
    seoul, busan, tokyo = two_regions(w)
    server = w.start(named(seoul, tokyo, keep_addresses="off"))
    answers_with(server, seoul)
    for region in (seoul, tokyo):
        set_records(region, [busan.address])
    answers_with(server, busan)
    for region in (seoul, tokyo):
        region.do(f"delete {NAME}")
    answers_with(server, tokyo)
    assert hostname(server)["addresses"] == [] and hostname(server)["last_answer"] == "NXDOMAIN"


def test_one_resolver_lies_and_the_other_region_has_the_truth(w):
    seoul, busan, tokyo = two_regions(w)
    server = w.start(named(seoul, tokyo, body=None))
    set_records(tokyo, [seoul.address, busan.address])
    seoul.do(f"empty {NAME}")
    told = reads(server, lambda h: "tokyo" in h["reason"] and h, "overruled")
    assert told["last_answer"] == "NODATA" and told["from"].startswith("seoul"), told
    assert told["kept_ms_ago"] is None, told
    answers_with(server, seoul, busan)


def test_resolvers_that_fail_take_nothing_away(w):
    seoul, _, tokyo = two_regions(w)
    server = w.start(named(seoul, tokyo, body=None))
    for region in (seoul, tokyo):
        region.do("dns servfail")
    told = reads(server, lambda h: "nobody answers" in h["reason"] and h, "silence")
    assert told["addresses"] == [seoul.address] and told["kept_ms_ago"] is None, told
    assert server.addresses_of(SERVICE) == {seoul.address}


@tsan
def test_a_restart_without_any_resolver_knows_the_addresses(w):
    seoul, _, tokyo = two_regions(w)
    server = w.start(named(seoul, tokyo))
    answers_with(server, seoul)
    for region in (seoul, tokyo):
        region.do("dns die")
    server.restart()
    answers_with(server, seoul)


def test_answered_as_cname_with_the_addresses_behind(w):
    seoul, _, tokyo = two_regions(w)
    server = w.start(named(seoul, tokyo, answer="cname"))
    message = server.ask(SERVICE)
    assert [(r.name, r.type, r.data) for r in message.answer] == [
        (SERVICE, dns.CNAME, NAME), (NAME, dns.A, seoul.address)], message
    assert message.ttl == 30, message
    for rtype in (dns.AAAA, dns.TXT, dns.CNAME):
        message = server.ask(SERVICE, rtype)
        assert [(r.type, r.data) for r in message.answer] == [(dns.CNAME, NAME)], message
    seoul.do("http die")
    patience.until(lambda: server.ask(SERVICE).data(dns.CNAME) == [], "it has left Seoul")
    assert server.addresses_of(SERVICE) == {tokyo.address}
    assert server.ask(SERVICE, dns.TXT).answer == []


@tsan
def test_a_reload_brings_a_name_with_its_addresses(w):
    seoul, _, tokyo = two_regions(w)
    whole = named(seoul, tokyo)
    plain = dict(whole, services={SERVICE: service([tokyo])})
    server = w.start(plain)
    assert server.status_of_service(SERVICE)["hostnames"] == []
    server.reload_with(whole)
    assert server.addresses_of(SERVICE) == {seoul.address}
    server.reload_with(plain)
    assert server.addresses_of(SERVICE) == {tokyo.address}


@tsan
def test_a_reload_that_comes_while_addresses_are_taken_goes_before_them(w):
    seoul, busan, tokyo = two_regions(w)
    hosts = w.write_file("hosts", "10.7.7.7 db.lan.example\n")
    server = w.start(dict(named(seoul, tokyo), hosts=hosts))
    answers_with(server, seoul)
    generation = server.status()["generation"]
    held = Held(hosts)
    for region in (seoul, tokyo):
        set_records(region, [seoul.address, busan.address])
    patience.until(held.is_wanted, "the generation with both addresses is being built")
    statuses = []
    askers = [threading.Thread(target=lambda: statuses.append(server.reload()[0]), daemon=True)
              for _ in range(2)]
    for asker in askers:
        asker.start()
    patience.until(lambda: statuses == [409], lambda: f"one of two has to wait: {statuses}")
    assert server.status()["generation"] == generation
    assert server.addresses_of(SERVICE) == {seoul.address}
    held.let_go()
    for asker in askers:
        asker.join()
    assert sorted(statuses) == [200, 409], statuses
    assert server.status()["generation"] > generation
    answers_with(server, seoul, busan)
