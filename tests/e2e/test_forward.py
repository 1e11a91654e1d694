"""Other names: which region's resolver is asked, and what never reaches a client."""

import itertools
import threading
import time

from lib import dns, patience
from lib.dns import AAAA, SOA, TXT
from lib.world import config, dns_check, forwarding, timing, tsan

NAME = "www.elsewhere.example"
FRESH = itertools.count()


def start(w, regions, *, gates=False, node=None, rules=None, **rule):
    upstreams = [(region.name, region.dns) for region in regions]
    whole = config([r for r in regions if r.name != "public"], {}, gates=gates,
                   forward=rules or forwarding(upstreams, **rule))
    if node:
        whole["node"] = node
    return w.start(whole)


def index_of(answer):
    """The number of the region that answered: the second byte of its address."""
    assert answer.rcode == dns.NOERROR and answer.addresses, answer
    return int(next(iter(answer.addresses)).split(".")[1])


def asks(server, region, domain="elsewhere.example"):
    """Wait until questions nobody asked before are answered by this region."""
    patience.until(lambda: index_of(server.ask(f"t{next(FRESH)}.{domain}")) == region.index,
                   lambda: f"{region.name} answers; {server.status()['upstreams']}", pause_s=0.05)


def test_the_first_region_in_the_order_is_asked(w):
    seoul, tokyo, singapore = w.three_regions()
    server = start(w, [seoul, tokyo, singapore], hedge="off")
    answer = server.ask(NAME)
    assert index_of(answer) == 1, answer
    assert answer.has(dns.RA) and not answer.has(dns.AA), answer
    assert seoul.asked(NAME) == 1
    assert tokyo.asked(NAME) == 0 and singapore.asked(NAME) == 0


def test_the_own_region_comes_first(w):
    seoul, tokyo, singapore = w.three_regions()
    server = start(w, [seoul, tokyo, singapore], node={"region": "tokyo"}, hedge="off")
    assert index_of(server.ask(NAME)) == tokyo.index
    tokyo.do("dns servfail")
    others = (seoul.index, singapore.index)  # whichever is nearer
    assert index_of(server.ask("other.elsewhere.example")) in others


def test_the_longest_rule_decides(w):
    seoul, tokyo, _ = w.three_regions()
    rules = {".": {"upstreams": [seoul.dns]},
             "corp.example": {"upstreams": [tokyo.dns]}}
    server = start(w, [seoul, tokyo], rules=rules)
    assert index_of(server.ask("www.example.net")) == seoul.index
    assert index_of(server.ask("a.b.corp.example")) == tokyo.index
    assert index_of(server.ask("corp.example")) == tokyo.index
    assert index_of(server.ask("notcorp.example")) == seoul.index


def test_no_rule_for_a_name_is_refused(w):
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo], rules={"corp.example": {"upstreams": [tokyo.dns]}})
    assert server.ask("www.corp.example").rcode == dns.NOERROR
    assert server.ask("www.example.net").rcode == dns.REFUSED


@tsan
def test_a_blackholed_resolver_is_hedged_to_the_next_region(w):
    seoul, tokyo, singapore = w.three_regions()
    server = start(w, [seoul, tokyo, singapore])
    seoul.do("dns blackhole")
    for i in range(10):
        begin = time.monotonic()
        answer = server.ask(f"h{i}.elsewhere.example")
        spent = time.monotonic() - begin
        assert index_of(answer) in (tokyo.index, singapore.index), answer
        # 100 ms and a little; the limit is for a busy machine
        assert spent < patience.seconds(1), f"{spent:.3f} s"
    assert seoul.asked("h0.elsewhere.example") >= 1, "the first region was asked first"
    seoul.heal()
    asks(server, seoul)


def goes_on_at_once(w, fault):
    seoul, tokyo, singapore = w.three_regions()
    server = start(w, [seoul, tokyo, singapore], hedge="off")
    seoul.do(f"dns {fault}")
    for i in range(5):
        begin = time.monotonic()
        answer = server.ask(f"n{i}.elsewhere.example")
        assert index_of(answer) == tokyo.index, answer
        assert time.monotonic() - begin < patience.seconds(1)
    seoul.heal()
    asks(server, seoul)


@tsan
def test_servfail_goes_on_at_once(w):
    goes_on_at_once(w, "servfail")


def test_refused_goes_on_at_once(w):
    goes_on_at_once(w, "refused")


def test_a_dead_socket_goes_on_at_once(w):
    goes_on_at_once(w, "die")


def test_a_slow_resolver_is_overtaken(w):
    seoul, tokyo, singapore = w.three_regions()
    server = start(w, [seoul, tokyo, singapore])
    seoul.do("dns slow 2000")
    for i in range(5):
        begin = time.monotonic()
        assert index_of(server.ask(f"s{i}.elsewhere.example")) == tokyo.index
        assert time.monotonic() - begin < patience.seconds(1)
    seoul.heal()
    asks(server, seoul)


def test_garbage_is_as_good_as_silence(w):
    seoul, tokyo, singapore = w.three_regions()
    server = start(w, [seoul, tokyo, singapore])
    seoul.do("dns garbage")
    assert index_of(server.ask(NAME)) == tokyo.index


def is_never_accepted(w, lie):
    """With another region to ask it answers; without one there is no answer at all."""
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo])
    seoul.do(f"dns {lie}")
    for i in range(3):
        answer = server.ask(f"l{i}.elsewhere.example")
        assert index_of(answer) == tokyo.index, answer
    tokyo.do("dns die")
    alone = server.ask("alone.elsewhere.example")
    assert alone.rcode == dns.SERVFAIL and not alone.records, alone
    tokyo.heal()
    asks(server, tokyo)


def test_an_answer_with_another_id_is_never_accepted(w):
    is_never_accepted(w, "wrongid")


def test_an_answer_to_another_question_is_never_accepted(w):
    is_never_accepted(w, "wrongquestion")


def test_an_answer_from_another_port_is_never_accepted(w):
    is_never_accepted(w, "wrongsource")


def test_records_nobody_asked_for_are_left_behind(w):
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo])
    seoul.do("dns poison")
    for name in (NAME, "nx.elsewhere.example", "nodata.elsewhere.example"):
        answer = server.ask(name)
        assert answer.rcode == (dns.NXDOMAIN if name.startswith("nx") else dns.NOERROR), answer
        for record in answer.records:
            text = f"{record.name} {record.data}"
            assert "bank" not in text and "attacker" not in text, answer
            assert "192.0.2.66" not in text, answer
    bank = server.ask("www.bank.example")
    assert bank.addresses != {"192.0.2.66"}, bank


@tsan
def test_truncation_leads_to_tcp(w):
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo], hedge="off")
    seoul.do("dns truncate")
    assert index_of(server.ask(NAME)) == seoul.index
    assert seoul.stats()["dns_tcp"] >= 1


def test_a_large_answer_is_truncated_for_udp_and_whole_over_tcp(w):
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo])
    short = server.ask("big.elsewhere.example", TXT)
    assert short.has(dns.TC) and len(short.wire) <= 1232, short
    whole = server.ask("big.elsewhere.example", TXT, tcp=True)
    assert not whole.has(dns.TC) and len(whole.data(TXT)) == 13, whole


def test_negative_answers_come_with_their_soa(w):
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo], hedge="off")
    missing = server.ask("nx.elsewhere.example")
    assert missing.rcode == dns.NXDOMAIN and missing.soa, missing
    empty = server.ask("nodata.elsewhere.example")
    assert empty.rcode == dns.NOERROR and not empty.answer and empty.soa, empty
    assert tokyo.asked("nx.elsewhere.example") == 0, "the best region's no is a no"


def test_aliases_are_followed_by_the_upstream_and_kept(w):
    seoul, tokyo, _ = w.three_regions()
    seoul.do("record alias.elsewhere.example CNAME www.elsewhere.example")
    server = start(w, [seoul, tokyo], hedge="off")
    answer = server.ask("alias.elsewhere.example")
    assert answer.data(dns.CNAME) == ["www.elsewhere.example"] and len(answer.addresses) == 1, answer


def test_an_alias_of_ours_is_followed_without_a_remark(w):
    seoul, tokyo, _ = w.three_regions()
    path = w.write_file("zone.test.zone", "$ORIGIN zone.test.\n$TTL 60\n@ SOA ns1 host 1 2 3 4 5\n"
                                          " NS ns1\nns1 A 192.0.2.1\naway CNAME www.elsewhere.example.\n")
    whole = config([seoul, tokyo], {}, gates=False,
                   forward=forwarding([(seoul.name, seoul.dns), (tokyo.name, tokyo.dns)],
                                      hedge="off"))
    whole["zones"] = {"zone.test": {"file": path}}
    server = w.start(whole)
    for _ in range(2):  # the second time from the cache
        answer = server.ask("away.zone.test")
        assert answer.data(dns.CNAME) == [NAME] and index_of(answer) == 1, answer
        assert answer.opt is not None and answer.ede is None, answer
    assert seoul.asked(NAME) == 1


def test_other_types_pass_through(w):
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo], hedge="off")
    assert server.ask(NAME, TXT).data(TXT) == [["seoul"]]
    assert server.ask(NAME, AAAA).addresses
    assert server.ask("elsewhere.example", SOA).data(SOA)
    assert server.ask(NAME, 65).rcode == dns.NOERROR


def test_the_letter_case_of_a_forwarded_question_is_kept(w):
    server = start(w, w.three_regions())
    answer = server.ask("WwW.ElseWhere.EXAMPLE")
    assert answer.answer[0].name == "WwW.ElseWhere.EXAMPLE", answer


def test_forwarding_over_tcp_and_without_edns(w):
    server = start(w, w.three_regions())
    assert index_of(server.ask(NAME, tcp=True)) == 1
    assert index_of(server.ask(NAME, edns=None)) == 1
    assert server.ask(NAME, do=True).opt.do


PUBLIC = "elsewhere.org"


def public_world(w, **options):
    seoul, tokyo = w.region("seoul", "127.0.1.1", 1), w.region("tokyo", "127.0.2.1", 2)
    public = w.region("public", "127.0.9.1", 9)
    return start(w, [seoul, tokyo, public], **options), seoul, tokyo, public


def test_public_is_asked_last(w):
    server, seoul, tokyo, public = public_world(w)
    for i in range(5):
        assert index_of(server.ask(f"a{i}.elsewhere.org")) in (seoul.index, tokyo.index)
    seoul.do("dns servfail")
    assert index_of(server.ask("b.elsewhere.org")) == tokyo.index
    assert public.asked("b.elsewhere.org") == 0, "public was asked while a region lived"
    tokyo.do("dns die")
    assert index_of(server.ask("c.elsewhere.org")) == public.index
    seoul.heal()
    asks(server, seoul, PUBLIC)


def test_private_names_never_go_to_public(w):
    server, seoul, tokyo, public = public_world(w)
    seoul.do("dns servfail")
    tokyo.do("dns servfail")
    asks(server, public, PUBLIC)
    for name in ("printer", "printer.local", "router.home.arpa", "1.0.168.192.in-addr.arpa",
                 "x.internal"):
        answer = server.ask(name)
        assert answer.rcode != dns.NOERROR or not answer.answer, answer
        assert public.asked(name) == 0, f"{name} went out"


@tsan
def test_equal_questions_in_flight_are_asked_once(w):
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo], hedge="off")
    assert index_of(server.ask("warm.elsewhere.example")) == seoul.index
    seoul.do(f"dns slow {min(1200, round(patience.seconds(400)))}")
    answers = []

    def client(number):
        name = "MANY.elsewhere.example" if number % 2 else "many.elsewhere.example"
        answers.append(server.ask(name))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20 and all(answer.addresses for answer in answers), answers
    assert seoul.asked("many.elsewhere.example") <= 3, seoul.stats("many.elsewhere.example")


def test_a_stranger_is_refused_recursion_but_not_our_names(w):
    regions = w.three_regions()
    whole = config(regions, gates=False,
                   access={"recursion": ["127.0.0.1/32"]},
                   forward=forwarding([(r.name, r.dns) for r in regions]))
    server = w.start(whole)
    friend = server.ask(NAME, source="127.0.0.1")
    assert index_of(friend) == 1 and friend.has(dns.RA), friend
    for tcp in (False, True):
        stranger = server.ask(NAME, source="127.0.0.2", tcp=tcp)
        assert stranger.rcode == dns.REFUSED and not stranger.records, stranger
        assert not stranger.has(dns.RA), stranger
        ours = server.ask("api.svc.example.com", source="127.0.0.2", tcp=tcp)
        assert ours.addresses == {regions[0].address}, ours


def test_nobody_but_those_listed_may_ask_for_our_names(w):
    regions = w.three_regions()
    server = w.start(config(regions, gates=False, access={"query": ["127.0.0.1/32"]}))
    assert server.ask("api.svc.example.com").addresses
    stranger = server.ask("api.svc.example.com", source="127.0.0.2")
    assert stranger.rcode == dns.REFUSED and not stranger.records, stranger


def test_without_recursion_desired_it_is_refused(w):
    server = start(w, w.three_regions())
    assert server.ask(NAME, rd=False).rcode == dns.REFUSED


@tsan
def test_all_dead_is_servfail_with_a_reason_and_recovers_by_itself(w):
    regions = w.three_regions()
    server = start(w, regions)
    assert index_of(server.ask(NAME)) == 1
    for fault in ("blackhole", "die", "servfail"):
        for region in regions:
            region.do(f"dns {fault}")
        begin = time.monotonic()
        answer = server.ask(f"{fault}.elsewhere.example")
        spent = time.monotonic() - begin
        assert answer.rcode == dns.SERVFAIL and not answer.records, answer
        assert answer.ede is not None, f"no Extended DNS Error: {answer}"
        assert spent < 2.5 * patience.factor(), f"{spent:.3f} s with {fault}"
        for region in regions:
            region.heal()
        patience.until(lambda: server.ask("again.elsewhere.example").rcode == dns.NOERROR,
                       "it recovers without a restart", pause_s=0.1)
    asks(server, regions[0])


@tsan
def test_many_at_once_while_all_are_silent(w):
    """The bound of what is in flight holds, and every client gets some answer."""
    regions = w.three_regions()
    server = start(w, regions)
    for region in regions:
        region.do("dns blackhole")
    answers = []

    def client(number):
        answers.append(server.ask(f"m{number}.elsewhere.example").rcode)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [dns.SERVFAIL] * 100, answers
    for region in regions:
        region.heal()
    asks(server, regions[0])


def test_a_gated_region_is_asked_after_the_others(w):
    """The region's own check fails although its resolver answers: another name is gone."""
    seoul, tokyo, _ = w.three_regions()
    whole = config([seoul, tokyo], {}, forward=forwarding([("seoul", seoul.dns),
                                                           ("tokyo", tokyo.dns)], hedge="off"))
    server = w.start(whole)
    assert index_of(server.ask(NAME)) == seoul.index
    seoul.do("delete canary.corp.example")
    patience.until(lambda: server.status_of_region("seoul")["state"] == "gated", "seoul is gated")
    asks(server, tokyo)
    seoul.do("undelete canary.corp.example")
    asks(server, seoul)


def test_a_dead_resolver_with_a_check_does_not_slow_lookups(w):
    seoul, tokyo, _ = w.three_regions()
    whole = config([seoul, tokyo], {}, forward=forwarding([("seoul", seoul.dns),
                                                           ("tokyo", tokyo.dns)]))
    whole["regions"]["seoul"]["checks"] = [dns_check(seoul, times=timing())]
    server = w.start(whole)
    seoul.do("dns blackhole")
    patience.until(lambda: server.status_of_region("seoul")["state"] == "gated", "seoul is gated")
    for i in range(20):
        assert index_of(server.ask(f"q{i}.elsewhere.example")) == tokyo.index


def test_loss_on_the_way_to_the_resolvers_loses_no_lookup(w):
    regions = w.three_regions()
    server = start(w, regions)
    for region in regions:
        region.do("dns lossy 30")
    for i in range(60):
        answer = server.ask(f"p{i}.elsewhere.example")
        assert answer.rcode == dns.NOERROR and answer.addresses, answer


def test_status_tells_the_state_of_the_upstreams(w):
    seoul, tokyo, _ = w.three_regions()
    server = start(w, [seoul, tokyo])
    seoul.do("dns die")
    server.ask(NAME)
    upstreams = {u["address"]: u for u in server.status()["upstreams"]}
    assert upstreams[seoul.dns]["state"] == "down" and upstreams[seoul.dns]["reason"], upstreams
    assert upstreams[tokyo.dns]["state"] == "up", upstreams
