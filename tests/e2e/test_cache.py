"""Answers that are kept: how long, for whom, and what they are good for when nobody answers."""

import threading
import time

from lib import dns, patience
from lib.dns import AAAA, PTR, TXT
from lib.forwarding import DOMAIN, Stage, index_of, start
from lib.world import config, long, tsan

STALE_ANSWER, CACHED_ERROR, STALE_NXDOMAIN = 3, 13, 19


def alone(w, **options):
    """A stage on which nobody asks twice out of impatience."""
    return Stage(w, rule={"hedge": "off"}, **options)


def kept(server, pattern):
    """What the cache holds of a name, "*.tree" or "all"."""
    return server.get("/api/v1/cache", name=pattern)["entries"]


def expired(server, name):
    """Wait until all that is kept of a name has had its time."""
    patience.until(lambda: kept(server, name) and not any(e["fresh"] for e in kept(server, name)),
                   lambda: f"{name} expires: {kept(server, name)}", pause_s=0.05)
    time.sleep(0.05)  # those who answer have a clock that is a few milliseconds late


def is_stale(answer, ede=STALE_ANSWER):
    return answer.ede is not None and answer.ede[0] == ede and "expired" in answer.ede[1]


# ---- hits


@tsan
def test_what_is_kept_is_asked_once(w):
    stage = alone(w)
    name = stage.name()
    first = stage.ask(name)
    for tcp in (False, True, False):
        for asked in (name, name.upper()):
            answer = stage.ask(asked, tcp=tcp)
            assert answer.addresses == first.addresses and answer.has(dns.RA), answer
            assert answer.answer[0].name == asked, "in the client's letters"
            assert not answer.has(dns.AA) and answer.ede is None, answer
    assert stage.seoul.asked_over(name) == {"queries": 1, "udp": 1, "tcp": 0, "tls": 0}
    assert stage.tokyo.asked(name) == 0


def test_a_hit_without_edns_carries_none(w):
    stage = alone(w)
    name = stage.name()
    assert stage.ask(name).opt is not None
    assert stage.ask(name, edns=None).opt is None
    assert stage.seoul.asked(name) == 1


def test_a_large_answer_is_kept_whole_and_cut_for_who_cannot_take_it(w):
    stage = alone(w)
    name = "big." + stage.name()
    assert stage.ask(name, TXT).has(dns.TC)
    assert len(stage.ask(name, TXT, tcp=True).data(TXT)) == 13
    assert stage.ask(name, TXT, edns=512).has(dns.TC)
    assert stage.seoul.asked_over(name, "TXT")["tcp"] == 1


def test_the_ttl_ages(w):
    stage = alone(w)
    name = stage.name()
    stage.seoul.do(f"record {name} 20 A 10.1.2.3")
    begin = time.monotonic()
    ttls = [stage.ask(name).ttl]
    assert ttls[0] == 20
    patience.until(lambda: ttls.append(stage.ask(name).ttl) or ttls[-1] <= 18, "it ages",
                   pause_s=0.1)
    assert ttls == sorted(ttls, reverse=True), ttls
    assert ttls[-1] >= 20 - (time.monotonic() - begin) - 1, "no faster than time goes by"
    assert stage.seoul.asked(name) == 1


def test_the_shortest_ttl_of_a_chain_is_that_of_all(w):
    stage = alone(w)
    name, end = stage.name(), stage.name()
    stage.seoul.do(f"record {name} 300 CNAME {end}")
    stage.seoul.do(f"record {end} 1 A 10.1.2.3")
    stage.ask(name)
    expired(stage.server, name)
    answer = stage.ask(name)
    assert answer.data(dns.CNAME) == [end] and answer.addresses == {"10.1.2.3"}, answer
    assert stage.seoul.asked(name) == 2


def test_do_and_cd_have_answers_of_their_own(w):
    stage = alone(w)
    name = stage.name()
    for count, parts in enumerate(({}, {"do": True}, {"flags": dns.CD},
                                   {"do": True, "flags": dns.CD}), 1):
        for _ in range(2):
            answer = stage.ask(name, **parts)
            assert answer.addresses and answer.opt.do == parts.get("do", False), answer
            assert stage.seoul.asked(name) == count, parts
    assert len(kept(stage.server, name)) == 4


def test_types_have_answers_of_their_own(w):
    stage = alone(w)
    name = stage.name()
    for _ in range(2):
        assert stage.ask(name).addresses and stage.ask(name, AAAA).addresses
        assert stage.ask(name, TXT).data(TXT) == [["seoul"]]
    assert stage.seoul.stats(name) == {"queries": 3, "a": 1, "aaaa": 1, "other": 1}


# ---- negatives and failures


def test_no_such_name_is_kept_as_long_as_the_soa_says(w):
    stage = alone(w)
    stage.trick("minimum 2")
    for name, rcode in (("nx." + stage.name(), dns.NXDOMAIN), ("nodata." + stage.name(), 0)):
        begin = time.monotonic()
        for _ in range(3):
            answer = stage.ask(name)
            assert answer.rcode == rcode and not answer.answer and answer.soa.ttl <= 2, answer
        if time.monotonic() - begin < 1.5:
            assert stage.seoul.asked(name) == 1
        patience.until(lambda: stage.ask(name).soa.ttl and stage.seoul.asked(name) >= 2,
                       "it is asked anew", pause_s=0.05)
        assert time.monotonic() - begin > 1.5, "not before its time"


def test_no_such_data_is_kept_by_type(w):
    stage = alone(w)
    name = stage.name()
    stage.seoul.do(f"record {name} TXT here")
    for _ in range(2):
        for rtype in (dns.A, AAAA):
            answer = stage.ask(name, rtype)
            assert answer.rcode == 0 and not answer.answer and answer.soa, answer
        assert stage.ask(name, TXT).data(TXT) == [["here"]]
    assert stage.seoul.stats(name) == {"queries": 3, "a": 1, "aaaa": 1, "other": 1}


def test_a_failure_is_remembered_for_a_second(w):
    stage = alone(w)
    name = "fail." + stage.name()
    for region in stage.regions:
        region.do(f"trick rcode servfail name={name}")
    assert stage.ask(name).rcode == dns.SERVFAIL
    begin, before = time.monotonic(), stage.seoul.asked(name)
    answer = stage.ask(name)
    asked = stage.seoul.asked(name)
    if time.monotonic() - begin < 0.8:
        assert answer.rcode == dns.SERVFAIL and answer.ede[0] == CACHED_ERROR, answer
        assert asked == before, "it was asked again at once"
    stage.cure()
    patience.until(lambda: stage.ask(name).rcode == dns.NOERROR, "it is asked anew")
    assert time.monotonic() - begin < patience.seconds(5)


# ---- renewal


@long
def test_what_is_asked_often_is_renewed_before_it_expires(w):
    """Nobody ever waits for it: the only miss is the first."""
    stage = alone(w)
    for _ in range(3):
        name, pauses = stage.name(), [0.0]
        stage.seoul.do(f"record {name} 10 A 10.1.2.3")
        stage.server.ask(name)
        begin = last = time.monotonic()
        misses = stage.server.status()["cache"]["misses"]
        while last - begin < 10.5:
            assert stage.server.ask(name).addresses
            time.sleep(0.05)
            pauses.append(time.monotonic() - last)
            last = time.monotonic()
        if max(pauses) < 0.4:
            break  # else this machine stood still when it mattered
    cache = stage.server.status()["cache"]
    assert stage.seoul.asked(name) == 2 and cache["refreshed"] >= 1, cache
    assert cache["misses"] == misses, cache


def test_what_is_not_asked_is_not_renewed(w):
    stage = alone(w)
    name = stage.name()
    stage.seoul.do(f"record {name} 1 A 10.1.2.3")
    stage.ask(name)
    expired(stage.server, name)
    patience.holds(lambda: stage.seoul.asked(name) == 1, "it is left alone", 0.5)


# ---- stale


@tsan
def test_when_all_are_down_what_has_expired_is_answered_at_once(w):
    stage = Stage(w, cache={"stale_wait": "5s"})
    good, bad = [stage.name() for _ in range(5)], "nx." + stage.name()
    stage.trick("minimum 1", "ttl 1")
    for name in good + [bad]:
        stage.ask(name)
    stage.outage()
    for name in good + [bad]:
        expired(stage.server, name)
    spent = []
    for name in good * 2:
        begin = time.monotonic()
        answer = stage.server.ask(name)
        spent.append(time.monotonic() - begin)
        assert index_of(answer) == 1 and answer.ttl == 30, answer
        assert answer.ede[0] == STALE_ANSWER, answer.ede
    assert min(spent[:5]) < 0.5 and min(spent[5:]) < 0.5, spent
    answer = stage.ask(bad)
    assert answer.rcode == dns.NXDOMAIN and answer.soa.ttl == 30, answer
    assert is_stale(answer, STALE_NXDOMAIN), answer.ede
    assert stage.server.status()["cache"]["stale"] >= 11


@tsan
def test_fresh_data_comes_back_by_itself(w):
    stage = Stage(w)
    name = stage.name()
    for region in stage.regions:
        region.do(f"record {name} 1 A 10.1.2.3")
    stage.ask(name)
    stage.outage("die")
    expired(stage.server, name)
    for _ in range(3):
        answer = stage.server.ask(name)
        assert answer.addresses == {"10.1.2.3"} and answer.ttl == 30, answer
    for region in stage.regions:
        region.do(f"unrecord {name}")
        region.do(f"record {name} 60 A 10.9.9.9")
    stage.cure()
    patience.until(lambda: stage.server.ask(name).addresses == {"10.9.9.9"}, "fresh data is back",
                   pause_s=0.05)
    assert stage.server.ask(name).ede is None


def test_slow_upstreams_are_waited_for_a_moment_only(w):
    stage = Stage(w, cache={"stale_wait": "200ms"})
    name = stage.name()
    for region in stage.regions:
        region.do(f"record {name} 1 A 10.1.2.3")
    stage.ask(name)
    expired(stage.server, name)
    for region in stage.regions:
        region.do(f"unrecord {name}")
        region.do(f"record {name} 60 A 10.9.9.9")
        region.do(f"trick delay 1000 name={name}")
    answer = stage.ask(name)
    assert answer.addresses == {"10.1.2.3"} and is_stale(answer), answer
    # nobody asks any more, and what was asked behind comes in
    patience.until(lambda: kept(stage.server, name)[0]["fresh"], "the answer is kept")
    answer = stage.ask(name)
    assert answer.addresses == {"10.9.9.9"} and answer.ede is None, answer


def test_upstreams_that_answer_in_time_are_better_than_stale(w):
    stage = alone(w, cache={"stale_wait": "5s"})
    name = stage.name()
    stage.seoul.do(f"record {name} 1 A 10.1.2.3")
    stage.ask(name)
    expired(stage.server, name)
    stage.seoul.do(f"unrecord {name}")
    stage.seoul.do(f"record {name} 60 A 10.9.9.9")
    answer = stage.ask(name)
    assert answer.addresses == {"10.9.9.9"} and answer.ede is None, answer


def test_an_old_address_is_better_than_another_regions_no(w):
    stage = Stage(w)
    name, never = stage.name(), stage.name()
    for lost in (name, never):
        stage.tokyo.do(f"delete {lost}")
    stage.seoul.do(f"record {name} 1 A 10.1.2.3")
    stage.ask(name)
    expired(stage.server, name)
    stage.seoul.do("dns die")
    for _ in range(5):
        answer = stage.server.ask(name)
        assert answer.addresses == {"10.1.2.3"} and is_stale(answer) or (
            answer.ede and answer.ede[0] == STALE_ANSWER), answer
    assert stage.server.ask(never).rcode == dns.NXDOMAIN, "without an old one it is an answer"
    stage.rest()
    stage.seoul.do(f"delete {name}")
    patience.until(lambda: stage.server.ask(name).rcode == dns.NXDOMAIN,
                   "the own region's no is a no", pause_s=0.05)


def test_stale_can_be_switched_off(w):
    stage = Stage(w, cache={"serve_stale": "off"})
    name = stage.name()
    stage.trick("ttl 1")
    stage.ask(name)
    stage.trick("ttl 60")
    stage.outage("die")
    patience.until(lambda: stage.server.ask(name).rcode == dns.SERVFAIL, "it is gone", pause_s=0.1)


def test_without_a_cache_everything_is_asked(w):
    stage = alone(w, cache="off")
    name = stage.name()
    for count in (1, 2, 3):
        stage.ask(name)
        assert stage.seoul.asked(name) == count
    shown = stage.server.run_cli("status")
    assert shown.returncode == 0, shown.stderr


def test_what_public_says_is_kept_half_a_minute_at_most(w):
    seoul, public = w.region("seoul", "127.0.1.1", 1), w.region("public", "127.0.9.1", 9)
    server = start(w, [seoul, public])
    name = f"www.{DOMAIN}"
    public.do(f"record {name} 300 A 10.9.2.3")
    seoul.do("dns servfail")
    for _ in range(2):
        answer = server.ask(name)
        assert answer.addresses == {"10.9.2.3"} and 25 <= answer.ttl <= 30, answer
    assert public.asked(name) == 1
    assert [entry["origin"] for entry in kept(server, name)] == ["public"]


# ---- what the operator sees and does


@tsan
def test_the_cache_is_shown_and_flushed_by_name_tree_and_all(w):
    stage = alone(w)
    names = [f"{name}.{DOMAIN}" for name in ("www", "a.tree", "b.tree", "tree")]
    for name in names:
        stage.ask(name)

    def cache(*arguments, code=0):
        done = stage.server.run_cli("cache", *arguments)
        assert done.returncode == code, done
        return done.stdout

    shown = cache("show", names[0])
    assert f"{names[0]} A positive" in shown and " of 1m" in shown and "10.1." in shown, shown
    assert "3 in the cache" in cache("show", f"*.tree.{DOMAIN}")
    assert "4 in the cache" in cache("show", "all")
    assert '"kind"' in cache("show", "all", "--json")
    assert "1 forgotten" in cache("flush", names[1])
    assert "0 in the cache" in cache("show", names[1], code=1)
    assert "2 forgotten" in cache("flush", f"*.tree.{DOMAIN}")
    assert stage.seoul.asked(names[0]) == 1 and stage.ask(names[0]).addresses
    assert stage.seoul.asked(names[0]) == 1, "others stay"
    assert "1 forgotten" in cache("flush", "all")
    for name in names:
        stage.ask(name)
        assert stage.seoul.asked(name) == 2, name
    cache("flush", "not..a.name", code=1)
    cache("forget", "all", code=2)


def test_status_counts_what_the_cache_does(w):
    stage = alone(w)
    before = stage.server.status()["cache"]
    for name in (stage.name(), stage.name()):
        for _ in range(5):
            stage.ask(name)
    after = stage.server.status()["cache"]
    assert after["entries"] - before["entries"] == 2, after
    assert after["misses"] - before["misses"] == 2 and after["hits"] - before["hits"] == 8, after
    assert 0 < after["bytes"] <= after["size_bytes"] == 64 << 20, after
    assert "cache: " in stage.server.run_cli("status").stdout


def test_a_small_cache_stays_within_its_size(w):
    stage = alone(w, cache={"size": "256KiB"})
    at, limit = stage.server.at, 3000

    def client(number):
        for i in range(limit // 3):
            dns.ask(at, f"x{number}-{i}.{DOMAIN}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache = stage.server.status()["cache"]
    assert cache["evicted"] > 0 and cache["bytes"] <= cache["size_bytes"] == 256 << 10, cache
    assert stage.right(stage.ask()) == 1


ODD = ['quo"te', "back\\slash", "blank blank", "new\nline", "nul\0", "caf\xe9", "st*r", "x" * 63,
       "<b>", "_srv"]


def test_odd_names_are_kept_and_shown(w):
    stage = alone(w)
    for label in ODD + [".".join(["y" * 63] * 3 + ["z" * 40])]:
        name = f"{label}.{DOMAIN}"
        for _ in range(2):
            assert index_of(stage.ask(name)) == 1
    shown = kept(stage.server, "all")
    assert len(shown) == len(ODD) + 1, shown
    for arguments in (("all",), ("all", "--json"), ("-v", "all")):
        done = stage.server.run_cli("cache", "show", *arguments)
        assert done.returncode == 0 and "\0" not in done.stdout, done
    for entry in shown:
        done = stage.server.run_cli("cache", "flush", entry["name"])
        assert done.stdout == "1 forgotten\n", (entry["name"], done)


@tsan
def test_many_threads_share_one_cache_while_it_changes(w):
    """Hits, misses, evictions, flushes and reloads, all at once, over UDP and TCP."""
    stage = Stage(w, cache={"size": "256KiB", "max_ttl": "1s"})
    whole = dict(stage.server.config, node={"region": "seoul", "threads": 4})
    stage.server.config = whole
    stage.server.restart()
    stop, failures = threading.Event(), []

    def client(number):
        count = 0
        while not stop.is_set():
            count += 1
            below = f"{number}-{count}" if count % 4 == 0 else f"hot{count % 7}"
            try:
                stage.right(dns.ask(stage.server.at, f"{below}.{DOMAIN}", tcp=count % 5 == 0))
            except (AssertionError, OSError, dns.NoAnswer) as exc:
                failures.append(exc)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert stage.server.request("DELETE", "/api/v1/cache?name=all")[0] == 200
        assert stage.server.reload()[0] == 200
        kept(stage.server, f"*.{DOMAIN}")
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    cache = stage.server.status()["cache"]
    assert cache["bytes"] <= cache["size_bytes"], cache


def test_a_rule_that_changes_forgets_its_tree_and_no_other(w):
    stage = alone(w)
    rules = {".": {"upstreams": [stage.seoul.dns], "hedge": "off"},
             "corp.org": {"upstreams": [stage.tokyo.dns], "hedge": "off"}}
    whole = dict(stage.server.config, forward=rules)
    stage.server.reload_with(whole)
    for _ in range(2):
        assert index_of(stage.ask("a.corp.org")) == 2
        assert index_of(stage.ask(f"www.{DOMAIN}")) == 1
    rules["corp.org"] = {"upstreams": [stage.seoul.dns], "hedge": "off"}
    stage.server.reload_with(whole)
    patience.until(lambda: index_of(stage.ask("a.corp.org")) == 1, "the other is asked")
    assert index_of(stage.ask(f"www.{DOMAIN}")) == 1
    assert stage.seoul.asked(f"www.{DOMAIN}") == 1, "it was kept"
    del rules["corp.org"]
    stage.server.reload_with(whole)
    patience.until(lambda: stage.ask("a.corp.org") and stage.seoul.asked("a.corp.org") == 2,
                   "it is asked anew")


def test_a_reload_changes_the_size_and_switches_the_cache_off_and_on(w):
    stage = alone(w)
    names = [stage.name() for _ in range(1500)]
    for name in names:
        stage.server.ask(name)
    assert stage.server.status()["cache"]["entries"] == 1500

    def reload(cache):
        stage.server.reload_with(dict(stage.server.config, cache=cache))
        return stage.server.status()["cache"]

    small = reload({"size": "256KiB"})
    assert small["size_bytes"] == 256 << 10, small
    patience.until(lambda: stage.server.status()["cache"]["bytes"] <= 256 << 10, "it shrinks")
    assert stage.server.status()["cache"]["entries"] < 1500
    patience.until(lambda: reload("off")["entries"] == 0, "nothing is kept")
    name = stage.name()
    for count in (1, 2):
        stage.ask(name)
        assert stage.seoul.asked(name) == count
    assert reload({"size": "1MiB"})["size_bytes"] == 1 << 20
    patience.until(lambda: stage.ask(name) and kept(stage.server, name), "it is kept again")


# ---- what is answered without asking anybody


@tsan
def test_the_hosts_file_needs_no_rule_and_goes_before_what_was_kept(w):
    stage = alone(w)
    name = stage.name()
    first = stage.ask(name)
    assert first.addresses and first.addresses != {"10.7.7.7"}, first
    stage.server.stop()  # what it knows is on disk now
    path = w.write_file("hosts", f"10.7.7.7 {name}\n10.7.7.8 db.lan.example\n")
    regions = [stage.seoul, stage.tokyo]
    stage.server.write_config(config(regions, {}, gates=False, hosts=path, forward={
        DOMAIN: {"upstreams": [{"region": "seoul", "address": stage.seoul.dns}]}}))
    stage.server.restart()
    patience.until(lambda: stage.ask(name).addresses == {"10.7.7.7"}, "the hosts file is heard")
    assert stage.ask("db.lan.example").addresses == {"10.7.7.8"}
    assert stage.ask("www.lan.example").rcode == dns.REFUSED


def test_the_hosts_file_answers_first_and_is_read_again(w):
    path = w.write_file("hosts", f"10.7.7.7 db.{DOMAIN} db\n2001:db8::7 db.{DOMAIN}\n")
    stage = alone(w, hosts=path)
    name = f"db.{DOMAIN}"
    for asked in (name, "db"):
        assert stage.ask(asked).addresses == {"10.7.7.7"}, asked
    assert stage.ask(name, AAAA).addresses == {"2001:db8::7"}
    assert stage.ask("7.7.7.10.in-addr.arpa", PTR).data(PTR) == [name]
    other = stage.ask(name, TXT)
    assert other.rcode == dns.NOERROR, other
    assert stage.seoul.asked_over(name)["queries"] == 0
    assert index_of(stage.ask(f"new.{DOMAIN}")) == 1  # kept, until the file says otherwise
    w.write_file("hosts", f"10.7.7.8 db.{DOMAIN}\n10.7.7.9 new.{DOMAIN}\n")
    patience.until(lambda: stage.server.ask(name).addresses == {"10.7.7.8"}, "the file is read",
                   pause_s=0.05)
    assert stage.ask(f"new.{DOMAIN}").addresses == {"10.7.7.9"}
    w.write_file("hosts", "\n")
    patience.until(lambda: stage.server.ask(name).addresses != {"10.7.7.8"}, "it is gone",
                   pause_s=0.05)


LOCAL = [("localhost", dns.A, {"127.0.0.1"}), ("localhost", AAAA, {"::1"}),
         ("x.localhost", dns.A, {"127.0.0.1"})]
EMPTY = ["a.test", "a.invalid", "printer.local", "x.onion", "x.alt", "use-application-dns.net",
         "1.2.0.192.in-addr.arpa", "1.0.254.169.in-addr.arpa", "_dns.resolver.arpa", "printer",
         "wpad"]


def test_special_names_are_answered_here_and_asked_of_nobody(w):
    stage = alone(w)
    for name, rtype, addresses in LOCAL:
        answer = stage.ask(name, rtype)
        assert answer.addresses == addresses, answer
    assert stage.ask("1.0.0.127.in-addr.arpa", PTR).data(PTR) == ["localhost"]
    for name in EMPTY:
        for rtype in (dns.A, TXT):
            answer = stage.ask(name, rtype)
            assert answer.rcode in (dns.NXDOMAIN, dns.NOERROR) and not answer.answer, answer
            assert answer.soa, answer
    for name in EMPTY + [name for name, _, _ in LOCAL] + ["1.0.0.127.in-addr.arpa"]:
        for region in stage.regions:
            assert region.asked(name) == 0, f"{name} went out"


def test_a_rule_of_its_own_makes_a_special_name_a_common_one(w):
    stage = alone(w, rules={"test": {"upstreams": ["127.0.1.1:1"]}})
    stage.server.reload_with(dict(stage.server.config, forward={
        ".": {"upstreams": [stage.tokyo.dns]}, "test": {"upstreams": [stage.seoul.dns]}}))
    assert index_of(stage.ask("a.test")) == 1
    assert stage.ask("a.invalid").rcode == dns.NXDOMAIN


# ---- who may have it


def test_without_recursion_desired_only_what_is_kept_is_answered(w):
    stage = alone(w)
    name = stage.name()
    assert stage.ask(name, rd=False).rcode == dns.REFUSED
    assert stage.seoul.asked(name) == 0
    stage.ask(name)
    answer = stage.ask(name, rd=False)
    assert answer.addresses and not answer.has(dns.RD), answer
    assert stage.seoul.asked(name) == 1


def test_who_may_not_recurse_never_sees_the_cache(w):
    stage = alone(w, access={"recursion": ["127.0.0.1/32"]})
    name = stage.name()
    assert stage.ask(name, source="127.0.0.1").addresses
    for tcp in (False, True):
        for rd in (False, True):
            answer = stage.ask(name, source="127.0.0.2", tcp=tcp, rd=rd)
            assert answer.rcode == dns.REFUSED and not answer.records, answer
    assert stage.ask("localhost", source="127.0.0.2").rcode == dns.REFUSED
