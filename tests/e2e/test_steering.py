"""Each way to choose among what is well, as clients in different places see it."""

from collections import Counter

from lib import dns, patience
from lib.told import Told
from lib.world import SERVICE, answers_with, config, http_check, service, timing, tsan

# One address in each of three regions.
SEOUL, TOKYO, SINGAPORE = "192.0.2.1", "192.0.2.2", "192.0.2.3"
THREE = {"seoul": [SEOUL], "tokyo": [TOKYO], "singapore": [SINGAPORE]}

# Clients of these prefixes stand in these regions; the server asked is 127.0.0.1 all the same.
IN_TOKYO, IN_SINGAPORE, ELSEWHERE = "127.0.5.1", "127.0.5.200", "127.0.9.1"
CLIENTS = [{"prefix": "127.0.5.0/24", "region": "tokyo"},
           {"prefix": "127.0.5.128/25", "regions": ["singapore", "tokyo"]}]


def steered(endpoints=None, sections=None, **of):
    """A configuration without servers behind it, with one service."""
    endpoints = endpoints or THREE
    return {"node": {"region": next(iter(endpoints))},
            "regions": {name: {"minimum_healthy": 0} for name in endpoints},
            "services": {SERVICE: {"minimum_healthy": 1, "endpoints": endpoints, **of}},
            **(sections or {})}


def told_all(w, endpoints):
    return Told(w, *(address_of(e) for pool in endpoints.values() for e in pool))


def address_of(endpoint):
    return endpoint["address"] if isinstance(endpoint, dict) else endpoint


def answer_to(server, source, name=SERVICE):
    return server.ask(name, source=source).addresses


def leads(server, source, *addresses):
    """Wait until a client gets exactly these."""
    patience.until(lambda: answer_to(server, source) == set(addresses),
                   lambda: f"{source} is led to {addresses}, but to {answer_to(server, source)}; "
                           f"{server.get('/api/v1/why', name=SERVICE, client=source)}")


def first_shares(server, count, source=None):
    """Which address came first in how much of so many answers."""
    seen = Counter(server.ask(SERVICE, source=source).data(dns.A)[0] for _ in range(count))
    return {address: number / count for address, number in seen.items()}


def is_about(shares, address, wanted, off=0.1):
    """Bounds that chance does not leave: more than six standard deviations."""
    assert abs(shares.get(address, 0) - wanted) < off, (address, wanted, shares)


# ---- the order of regions


@tsan
def test_clients_are_led_to_the_region_nearest_to_them(w):
    told = told_all(w, THREE)
    server = w.start(steered(sections={"clients": CLIENTS}, policy="nearest", check=told.check))
    leads(server, IN_TOKYO, TOKYO)
    leads(server, IN_SINGAPORE, SINGAPORE)  # of two prefixes the longer one
    leads(server, ELSEWHERE, SEOUL)  # as far as is known it is where this node is
    for source, wanted in ((IN_TOKYO, TOKYO), (IN_SINGAPORE, SINGAPORE), (ELSEWHERE, SEOUL)):
        why = server.get("/api/v1/why", name=SERVICE, client=source)
        assert wanted in str(why["answer"]), why
    told.say(SINGAPORE, "down")
    leads(server, IN_SINGAPORE, TOKYO)  # the next one on its own list
    leads(server, IN_TOKYO, TOKYO)
    told.say(TOKYO, "down")
    leads(server, IN_SINGAPORE, SEOUL)
    told.say(SINGAPORE, "up")
    leads(server, IN_SINGAPORE, SINGAPORE)
    leads(server, IN_TOKYO, SEOUL)


def slowed(region, usual_ms):
    region.do(f"http slow {round(patience.seconds(usual_ms))}")


def test_the_quickest_region_answers_and_near_equals_go_by_order(w):
    seoul, tokyo, singapore = regions = w.three_regions()
    quick = timing(interval=patience.ms(50), timeout=patience.ms(3000))
    of = service(regions, steer=[{"latency": {"band": patience.ms(100)}}],
                 check=http_check(quick))
    slowed(seoul, 300)
    server = w.start(config(regions, {SERVICE: of}, gates=False))
    answers_with(server, tokyo)
    slowed(tokyo, 500)
    answers_with(server, singapore)
    seoul.heal()
    answers_with(server, seoul)
    why = server.run_cli("why", SERVICE).stdout
    assert "latency: passes seoul" in why, why


def test_all_regions_together_answer_without_the_dead(w):
    told = told_all(w, THREE)
    server = w.start(steered(policy="all", check=told.check))
    leads(server, None, SEOUL, TOKYO, SINGAPORE)
    told.say(TOKYO, "down")
    leads(server, None, SEOUL, SINGAPORE)


# ---- shares


def test_weights_set_the_shares(w):
    endpoints = {"seoul": [{"address": SEOUL, "weight": 3}], "tokyo": [TOKYO],
                 "singapore": [{"address": SINGAPORE, "weight": 0}]}
    told = told_all(w, endpoints)
    server = w.start(steered(endpoints, policy="weighted", check=told.check))
    shares = first_shares(server, 800)
    is_about(shares, SEOUL, 0.75)
    is_about(shares, TOKYO, 0.25)
    assert SINGAPORE not in shares, shares
    assert len(server.addresses_of(SERVICE)) == 1
    told.say(SEOUL, "down")
    leads(server, None, TOKYO)
    told.say(TOKYO, "down")  # weight 0: when nothing else is there
    leads(server, None, SINGAPORE)


def test_an_endpoint_of_weight_0_waits_within_its_region(w):
    endpoints = {"seoul": [SEOUL, {"address": "192.0.2.11", "weight": 0}], "tokyo": [TOKYO]}
    told = told_all(w, endpoints)
    server = w.start(steered(endpoints, check=told.check))
    leads(server, None, SEOUL)
    told.say(SEOUL, "down")
    leads(server, None, "192.0.2.11")
    told.say("192.0.2.11", "down")
    leads(server, None, TOKYO)
    told.say(SEOUL, "up")
    leads(server, None, SEOUL)


def test_what_a_region_cannot_carry_spills_to_spare_capacity(w):
    endpoints = {name: [{"address": pool[0], "capacity": 100}] for name, pool in THREE.items()}
    told = told_all(w, endpoints)
    load = {"seoul": 150, "tokyo": 50}
    server = w.start(steered(endpoints, {"clients": CLIENTS}, check=told.check,
                             steer=["nearest", {"capacity": {"load": load}}]))
    # Seoul keeps 100 of its 150; 50 go where 50 and 100 are free
    shares = first_shares(server, 800)
    is_about(shares, SEOUL, 2 / 3)
    is_about(shares, TOKYO, 1 / 9)
    is_about(shares, SINGAPORE, 2 / 9)
    assert first_shares(server, 200, IN_TOKYO) == {TOKYO: 1}, "its own region carries them"
    told.say(SEOUL, "down")  # what it brought goes to what is free, Tokyo's own stay
    patience.until(lambda: SEOUL not in first_shares(server, 20), "Seoul is left")
    shares = first_shares(server, 800)
    is_about(shares, TOKYO, 1 / 3)
    is_about(shares, SINGAPORE, 2 / 3)
    assert first_shares(server, 200, IN_TOKYO) == {TOKYO: 1}


def test_a_trickle_keeps_the_next_region_proven(w):
    server = w.start(steered(steer=["region_order", {"trickle": "10%"}]))
    shares = first_shares(server, 1000)
    is_about(shares, TOKYO, 0.1, off=0.06)
    assert set(shares) == {SEOUL, TOKYO}, shares


# ---- who gets which


FOUR = {"seoul": ["192.0.2.11", "192.0.2.12"], "tokyo": ["192.0.2.21", "192.0.2.22"]}


def test_a_client_sticks_and_only_those_of_the_dead_move(w):
    told = told_all(w, FOUR)
    sticky = steered(FOUR, check=told.check, steer=["all", {"sticky": {"ipv4": 24}}, {"limit": 1}])
    servers = [w.start(sticky), w.start(dict(sticky, node={"region": "tokyo"}))]
    sources = [f"127.1.{i}.7" for i in range(60)]

    def map_of(server):
        return {source: answer_to(server, source) for source in sources}

    before = map_of(servers[0])
    assert all(len(addresses) == 1 for addresses in before.values()), before
    assert len(set(before.values())) == 4, "every endpoint has clients"
    assert map_of(servers[0]) == before and map_of(servers[1]) == before, "here and on every node"
    near = [answer_to(servers[0], f"127.1.{i}.200") for i in range(60)]
    assert near == list(before.values()), "clients of a prefix are one"
    told.say("192.0.2.12", "down")
    patience.until(lambda: {"192.0.2.12"} not in map_of(servers[0]).values(), "it is left")
    for source, addresses in map_of(servers[0]).items():
        assert addresses == before[source] or before[source] == {"192.0.2.12"}, source
    told.say("192.0.2.12", "up")
    patience.until(lambda: map_of(servers[0]) == before, "all is as it was")


SIX = {"seoul": [f"192.0.2.{i}" for i in range(1, 7)]}


def test_an_answer_holds_no_more_than_its_limit_in_turn(w):
    server = w.start(steered(SIX, steer=["region_order", {"limit": 2}]))
    seen = [server.addresses_of(SERVICE) for _ in range(200)]
    assert {len(addresses) for addresses in seen} == {2}, Counter(seen)
    assert frozenset().union(*seen) == set(SIX["seoul"])


def test_shuffled_answers_come_in_every_order(w):
    server = w.start(steered(SIX, steer=["region_order", "shuffle"]))
    orders = [tuple(server.ask(SERVICE).data(dns.A)) for _ in range(200)]
    assert all(set(order) == set(SIX["seoul"]) for order in orders)
    # turned alone there are six
    assert len(set(orders)) > 60, len(set(orders))
    assert {order[0] for order in orders} == set(SIX["seoul"])


# ---- views


INSIDE = {"seoul": ["10.1.0.1"], "tokyo": ["10.2.0.1"]}


def test_clients_of_a_view_get_endpoints_of_their_own(w):
    told = Told(w, *(a for pools in (THREE, INSIDE) for pool in pools.values() for a in pool))
    whole = steered(sections={"views": {"inside": {"clients": ["127.0.7.0/24"]}}},
                    check=told.check, views={"inside": {"endpoints": INSIDE}})
    server = w.start(whole)
    leads(server, "127.0.7.1", "10.1.0.1")
    leads(server, ELSEWHERE, SEOUL)
    told.say("10.1.0.1", "down")
    leads(server, "127.0.7.1", "10.2.0.1")
    leads(server, ELSEWHERE, SEOUL)
    told.say(SEOUL, "down")
    leads(server, ELSEWHERE, TOKYO)
    why = server.get("/api/v1/why", name=SERVICE, client="127.0.7.1")
    assert "the client is in the view inside" in why["steps"], why


def test_a_listener_makes_a_view(w):
    whole = steered()
    server = w.start(whole, addresses=("127.0.0.1", "127.0.0.2"))
    inner = ("127.0.0.2", server.port)
    assert dns.ask(inner, SERVICE).addresses == {SEOUL}
    of = dict(whole["services"][SERVICE], views={"inside": {"endpoints": INSIDE}})
    server.reload_with(dict(whole, services={SERVICE: of},
                            views={"inside": {"listen": [f"127.0.0.2:{server.port}"]}}))
    assert dns.ask(inner, SERVICE).addresses == {"10.1.0.1"}
    assert dns.ask(inner, SERVICE, tcp=True).addresses == {"10.1.0.1"}
    assert dns.ask(server.at, SERVICE).addresses == {SEOUL}
    assert dns.ask(server.at, SERVICE, tcp=True).addresses == {SEOUL}
    at = f"127.0.0.2:{server.port}"
    why = server.get("/api/v1/why", name=SERVICE, listener=at)
    assert "the client is in the view inside" in why["steps"] and "10.1.0.1" in str(why["answer"]), why
    said = server.run_cli("why", SERVICE, "--listener", at)
    assert said.returncode == 0 and "10.1.0.1" in said.stdout, said
    said = server.run_cli("why", SERVICE)
    assert SEOUL in said.stdout and "say which one (--listener)" in said.stdout, said
    said = server.run_cli("why", SERVICE, "--listener", "127.0.0.3")
    assert said.returncode != 0 and "not listened at" in said.stderr, said


# ---- SRV


def test_srv_names_hosts_that_have_addresses(w):
    endpoints = {"seoul": [{"address": SEOUL, "weight": 3}, "192.0.2.11"], "tokyo": [TOKYO]}
    told = told_all(w, endpoints)
    server = w.start(steered(endpoints, check=told.check, srv=8443))
    reply = server.ask(SERVICE, dns.SRV)
    hosts = {target: (weight, port) for _, weight, port, target in reply.data(dns.SRV)}
    assert len(hosts) == 2 and {port for _, port in hosts.values()} == {8443}, reply
    assert sorted(weight for weight, _ in hosts.values()) == [1, 3], hosts
    added = {record.name: record.data for record in reply.additional if record.type == dns.A}
    assert set(added) == set(hosts) and set(added.values()) == {SEOUL, "192.0.2.11"}, reply
    for host, address in added.items():
        assert host == f"ip-{address.replace('.', '-')}.{SERVICE}", host
        assert server.addresses_of(host) == {address}
    told.say(SEOUL, "down")
    patience.until(lambda: len(server.ask(SERVICE, dns.SRV).answer) == 1, "one host is left")
    told.say("192.0.2.11", "down")
    patience.until(lambda: [host for *_, host in server.ask(SERVICE, dns.SRV).data(dns.SRV)] ==
                   [f"ip-192-0-2-2.{SERVICE}"], "then Tokyo's")
    host = f"ip-192-0-2-1.{SERVICE}"
    assert server.addresses_of(host) == {SEOUL}, "a host's name says where, not how it is"
