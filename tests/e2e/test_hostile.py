"""Resolvers that lie: what they say never reaches a client, and costs it nothing but a moment."""

import threading

from lib import dns, patience
from lib.dns import TXT
from lib.forwarding import DOMAIN, Stage, index_of
from lib.world import tsan

LIE = f"lie.{DOMAIN}"  # tricks with this condition spare probes and other questions


def played(stage, trick, before=0):
    """Seoul was asked first; where it is slow to lie, the answer was there before."""
    patience.until(lambda: stage.seoul.used(trick) > before, f"{trick} is played")


def outwitted(w, lies, by=(1, 2), also=(), check=None, **options):
    """
    Each lie is told about one name, whose right answer comes from one of these
    regions, soon; then all is as before.
    """
    stage = Stage(w, **options)
    for lie in lies:
        trick = lie.split()[0]
        before = stage.seoul.used(trick)
        stage.trick(f"{lie} name={LIE}", *also)
        answer = stage.ask(stage.name("lie."))
        index = stage.right(answer)
        assert index in by, f"{lie}: region {index} answered"
        played(stage, trick, before)
        if check:
            check(lie, answer)
        stage.rest()
    return stage


# ---- who answers, and what


def test_an_answer_that_is_not_to_the_question_is_never_believed(w):
    outwitted(w, ["wrongid", "wrongname", "wrongtype", "noreplybit"], by=[2])


def test_an_answer_from_elsewhere_is_never_believed(w):
    outwitted(w, ["wrongport", "wrongaddress"], by=[2])


def test_bytes_that_are_no_message_are_never_believed(w):
    outwitted(w, ["garbage", "empty", "header", "malformed cut", "malformed counts",
                  "malformed pointer", "malformed rdlength"], by=[2])


def test_an_answer_without_its_question_or_with_a_tail_does_no_harm(w):
    outwitted(w, ["noquestion", "malformed trailing"])


def test_the_truth_behind_a_lie_is_taken(w):
    stage = Stage(w, rule={"hedge": "off"})
    for lie in ("wrongid", "wrongname", "wrongport", "garbage", "empty"):
        stage.trick(f"{lie} name={LIE}", f"honest 20 name={LIE}")
        assert stage.right(stage.ask(stage.name("lie."))) == 1, lie
        played(stage, lie)
        stage.rest()


@tsan
def test_guessed_answers_are_never_believed(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("guesses 200")
    for _ in range(20):
        assert stage.right(stage.ask()) == 1
    assert stage.seoul.used("guesses") >= 20


@tsan
def test_late_and_repeated_answers_belong_to_no_other_question(w):
    stage = Stage(w, rule={"hedge": "off"})
    for trick in ("duplicate 30", "previous also"):
        stage.trick(trick)
        for _ in range(15):
            stage.right(stage.ask())
        played(stage, trick.split()[0])
        stage.rest()
    stage.trick(f"previous instead name={LIE}")
    assert stage.right(stage.ask(stage.name("lie."))) == 2


def test_an_answer_that_comes_after_another_regions_is_dropped(w):
    stage = Stage(w)
    for _ in range(3):
        stage.trick(f"delay 300 name={LIE} next=1")
        assert stage.right(stage.ask(stage.name("lie."))) == 2
        assert stage.right(stage.ask()) == 1
    stage.rest()


# ---- the letter case of the question (0x20)


def mixed(region):
    return region.counts()["mixed_case"]


@tsan
def test_an_answer_in_other_letters_is_asked_again_over_tcp(w):
    stage = Stage(w, rule={"hedge": "off"})
    for _ in range(3):
        stage.trick("foldcase next=1 over=udp")
        name = stage.name()
        assert stage.right(stage.ask(name)) == 1
        over = stage.seoul.asked_over(name)
        assert over["udp"] == 1 and over["tcp"] == 1, over
    before = mixed(stage.seoul)
    assert stage.right(stage.ask("Abcdefghijklmnop." + stage.name())) == 1
    assert mixed(stage.seoul) > before, "the protection is still there"


def test_who_never_keeps_the_letters_is_asked_without_and_only_he(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("foldcase")
    for _ in range(3):
        assert stage.right(stage.ask()) == 1
    before = mixed(stage.seoul)
    names = [stage.name() for _ in range(10)]
    for name in names:
        assert stage.right(stage.ask(name)) == 1
        assert stage.seoul.asked_over(name) == {"queries": 1, "udp": 1, "tcp": 0, "tls": 0}
    assert mixed(stage.seoul) == before, "it is asked in plain letters"
    stage.trick(f"rcode refused name={LIE}")
    before = mixed(stage.tokyo)
    assert index_of(stage.ask("abcdefghijklmnop." + stage.name("lie."))) == 2
    assert mixed(stage.tokyo) > before, "the other has the protection still"


def test_who_never_keeps_the_letters_and_has_no_tcp_is_asked_without_too(w):
    stage = Stage(w, rule={"hedge": "off"})
    for way in ("refuse", "closeaccept close", "closequery reset"):
        stage.trick("foldcase", way)
        for _ in range(4):
            stage.right(stage.ask())
        assert stage.right(stage.ask()) == 1
        played(stage, "foldcase")
        stage.rest()


def test_the_clients_letters_come_back_whatever_was_sent(w):
    stage = Stage(w)
    stage.trick("foldcase")
    for name in ("WwW.ElSeWhErE.oRg", "wWw2.ElSeWhErE.oRg"):
        answer = stage.ask(name)
        assert answer.answer[0].name == name, answer


# ---- EDNS


def carries_nothing_foreign(lie, answer):
    options = [code for code, _ in answer.opt.options]
    assert set(options) <= {dns.EDE}, f"{lie}: {options}"
    assert answer.opt.version == 0 and 512 <= answer.opt.payload <= 4096, lie


def test_lies_in_edns_change_no_answer_and_go_no_further(w):
    outwitted(w, ["noopt", "optsize 0", "optsize 65535", "option 65001", "ecs", "twoopts",
                  "badopt", "optname", "optversion 1"], check=carries_nothing_foreign)


def test_what_is_odd_in_edns_but_no_fault_is_taken(w):
    outwitted(w, ["noopt", "optsize 65535", "option 65001"], by=[1], rule={"hedge": "off"})


def is_asked_without_edns(w, trick):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick(trick)
    for _ in range(3):
        assert stage.right(stage.ask()) == 1
    played(stage, trick)
    stage.seoul.do("reset")
    stage.trick("strayopt")
    for _ in range(5):
        assert stage.right(stage.ask()) == 1
    counts = stage.seoul.counts()
    assert counts["udp"] >= 5 and counts["edns"] <= 2, counts
    played(stage, "strayopt")


def test_a_resolver_that_finds_no_form_in_edns_is_asked_without(w):
    is_asked_without_edns(w, "ednsformerr")


def test_a_resolver_that_knows_no_version_of_edns_is_asked_without(w):
    is_asked_without_edns(w, "ednsbadvers")


def test_silence_to_edns_is_silence(w):
    outwitted(w, ["ednssilence"], by=[2])


# ---- cookies


@tsan
def test_cookies_are_learned_and_given_back(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("cookies 1")
    for _ in range(5):
        assert stage.right(stage.ask()) == 1
    counts = stage.seoul.counts()
    assert counts["cookies"] >= 5 and counts["server_cookies"] >= 3, counts


def test_an_answer_with_a_wrong_cookie_or_suddenly_none_is_asked_again_over_tcp(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("cookies 1")
    for _ in range(3):
        assert stage.right(stage.ask()) == 1
    for lie in ("cookiewrong", "cookieabsent", "cookieshort"):
        stage.trick(f"{lie} over=udp name={LIE}")
        name = stage.name("lie.")
        assert stage.right(stage.ask(name)) == 1
        over = stage.seoul.asked_over(name)
        assert over["udp"] == 1 and over["tcp"] == 1, f"{lie}: {over}"
        assert stage.seoul.used(lie) == 1, lie
        stage.seoul.do(f"untrick {lie}")
        assert stage.right(stage.ask()) == 1


def test_who_gives_up_cookies_is_asked_without_them(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("cookies 1")
    assert stage.right(stage.ask()) == 1
    stage.seoul.do("untrick cookies")
    for _ in range(3):
        assert stage.right(stage.ask()) == 1
    name = stage.name()
    assert stage.right(stage.ask(name)) == 1
    assert stage.seoul.asked_over(name) == {"queries": 1, "udp": 1, "tcp": 0, "tls": 0}


def test_a_refused_cookie_is_renewed_or_left_out(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("cookies 1")
    assert stage.right(stage.ask()) == 1
    stage.trick("cookies 2", "badcookie once")  # what it gave is stale
    for _ in range(3):
        assert stage.right(stage.ask()) == 1
    played(stage, "badcookie")
    stage.trick("badcookie always")
    for _ in range(4):
        stage.right(stage.ask())
    stage.rest()


# ---- truncation, and TCP after it

# The last one leaves a stream behind that will not be used again for a moment.
BROKEN_TCP = ["closequery close", "closequery reset", "half close", "half reset", "garbage",
              "empty", "header", "wrongid", "wrongname", "malformed cut", "noreplybit",
              "rcode servfail", "silence", "half silence"]


def test_truncation_and_then_tcp_that_fails_leads_to_the_other_region(w):
    stage = Stage(w)
    for way in BROKEN_TCP:
        stage.trick(f"truncate over=udp name={LIE}", f"{way} over=tcp name={LIE}")
        trick = way.split()[0]
        before = stage.seoul.used(trick)
        assert stage.right(stage.ask(stage.name("lie."))) == 2, way
        played(stage, trick, before)
        stage.rest()


def test_truncation_and_then_no_connection_leads_to_the_other_region(w):
    stage = Stage(w)
    for way in ("refuse", "noconnect", "closeaccept close", "closeaccept reset"):
        stage.trick(f"truncate over=udp name={LIE}", way)
        assert stage.right(stage.ask(stage.name("lie."))) == 2, way
        played(stage, "truncate")
        stage.rest()


def test_an_answer_over_tcp_may_come_in_pieces(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("truncate over=udp", "trickle 1")
    assert stage.right(stage.ask()) == 1
    played(stage, "trickle")


def test_marked_as_truncated_even_over_tcp_loses_nothing(w):
    outwitted(w, ["truncate full"])


@tsan
def test_answers_over_tcp_may_come_in_another_order(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("truncate over=udp", "reorder 4")
    names, answers = [stage.name() for _ in range(8)], []
    threads = [threading.Thread(target=lambda n=name: answers.append(stage.server.ask(n)))
               for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    for answer in answers:
        stage.right(answer)
    played(stage, "reorder")


# ---- too large


@tsan
def test_huge_answers_are_whole_over_tcp_and_cut_over_udp(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("text 60 type=TXT", "many 3000 type=A")
    for rtype, count in ((TXT, 1), (dns.A, 3000)):
        name = stage.name()
        short = stage.ask(name, rtype)
        assert short.has(dns.TC) and len(short.wire) <= 1232, short.flags
        whole = stage.ask(name, rtype, tcp=True)
        assert not whole.has(dns.TC) and len(whole.answer) == count, len(whole.answer)
        assert stage.seoul.asked_over(name, "A" if rtype == dns.A else "TXT")["tcp"] == 1
    text = stage.ask(stage.name(), TXT, tcp=True)
    assert sum(len(part) for part in text.data(TXT)[0]) > 60000


def test_what_cannot_fit_a_message_fails_and_nothing_breaks(w):
    stage = Stage(w)
    stage.trick(f"many 4000 name={LIE}")
    for tcp in (False, True):
        answer = stage.ask(stage.name("lie."), tcp=tcp)
        assert answer.rcode == dns.NOERROR, answer
    stage.rest()


def test_a_datagram_larger_than_allowed_does_no_harm(w):
    stage = Stage(w)
    for count in (200, 1500):
        stage.trick(f"many {count} name={LIE}", f"oversize name={LIE}")
        answer = stage.ask(stage.name("lie."), tcp=True)
        assert len(answer.addresses) == count or index_of(answer) == 2, len(answer.addresses)
    played(stage, "oversize")
    stage.rest()


# ---- times


def test_a_ttl_of_nothing_is_answered_and_not_kept(w):
    stage = Stage(w, rule={"hedge": "off"})
    for ttl in (0, 2 ** 31, 2 ** 32 - 1):
        stage.trick(f"ttl {ttl}")
        name = stage.name()
        for count in (1, 2, 3):
            answer = stage.ask(name)
            assert stage.right(answer) == 1 and answer.ttl == 0, f"{ttl}: {answer}"
            assert stage.seoul.asked(name) == count, f"{ttl}: {answer}"


def test_a_ttl_of_years_is_a_day(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick(f"ttl {2 ** 31 - 1}")
    name = stage.name()
    stage.ask(name)
    answer = stage.ask(name)
    assert 86000 < answer.ttl <= 86400, answer
    assert stage.seoul.asked(name) == 1


def test_a_negative_answer_without_soa_is_given_and_not_kept(w):
    stage = Stage(w, rule={"hedge": "off"})
    for trick, rcode in (("nxdomain", dns.NXDOMAIN), ("nodata", dns.NOERROR)):
        stage.trick(trick, "nosoa")
        name = stage.name()
        for count in (1, 2):
            answer = stage.ask(name)
            assert answer.rcode == rcode and not answer.answer, answer
            assert stage.seoul.asked(name) == count
        played(stage, "nosoa")
        stage.rest()


# ---- aliases


def test_aliases_in_a_circle_end_soon(w):
    stage = Stage(w)
    for length in (1, 2, 16, 500):
        stage.trick(f"loop {length} name={LIE}")
        answer = stage.ask(stage.name("lie."))
        assert answer.rcode in (dns.NOERROR, dns.SERVFAIL), answer
        played(stage, "loop")
        stage.rest()


def test_chains_are_given_whole_or_not_at_all(w):
    stage = Stage(w)
    for length in (1, 8, 15, 20, 500):
        stage.trick(f"chain {length} name={LIE}")
        answer = stage.ask(stage.name("lie."), tcp=True)
        assert answer.rcode == dns.NOERROR and answer.addresses, f"{length}: {answer}"
        aliases = answer.data(dns.CNAME)
        assert len(aliases) in (0, length), f"{length}: {len(aliases)}"
        assert (index_of(answer) == 1) == (length <= 15) or aliases, f"{length}: {answer}"
        stage.rest()


def test_dname_and_its_alias_are_kept_together(w):
    stage = Stage(w, rule={"hedge": "off"})
    stage.trick("dname")
    answer = stage.ask()
    assert answer.rcode == dns.NOERROR and answer.addresses, answer
    assert len(answer.data(dns.CNAME)) == 1 and len(answer.data(39)) == 1, answer


def test_a_chain_without_its_end_does_no_harm(w):
    stage = Stage(w)
    for trick in ("chain 3", "dname"):
        stage.trick(f"{trick} name={LIE}", f"unfinished name={LIE}")
        answer = stage.ask(stage.name("lie."))
        assert answer.rcode in (dns.NOERROR, dns.SERVFAIL), answer
        played(stage, "unfinished")
        stage.rest()


# ---- what nobody asked for


def is_clean(answer):
    for record in answer.records:
        text = f"{record.name} {record.data}"
        assert "bank" not in text and "attacker" not in text, answer
        assert "192.0.2.66" not in text, answer


def test_records_of_other_names_reach_neither_client_nor_cache(w):
    stage = Stage(w, rule={"hedge": "off"})
    for where in ("all", "answer", "authority", "additional"):
        stage.trick(f"foreign {where}")
        for name in (stage.name(), "nx." + stage.name(), "nodata." + stage.name()):
            for _ in range(2):
                answer = stage.ask(name, tcp=True)
                assert answer.rcode == (dns.NXDOMAIN if name.startswith("nx.") else 0), answer
                is_clean(answer)
        for asked in ("www.bank.example", "bank.example"):
            assert stage.server.get("/api/v1/cache", name=asked)["matching"] == 0
    played(stage, "foreign")
    stage.rest()
    bank = stage.ask("www.bank.example")
    assert stage.right(bank) == 1, bank
    assert stage.seoul.asked("www.bank.example") == 1


# ---- refusals


def test_every_error_goes_on_to_the_other_region(w):
    outwitted(w, [f"rcode {rcode}" for rcode in ("servfail", "refused", "formerr", "notimp",
                                                  "badcookie", "9", "11")], by=[2])


def test_everybody_lying_is_an_error_with_a_reason_and_nothing_worse(w):
    stage = Stage(w)
    for lie in ("wrongid", "garbage", "loop 2", "rcode refused"):
        for region in stage.regions:
            region.do(f"trick {lie} name={LIE}")
        answer = stage.server.ask(stage.name("lie."))
        assert answer.rcode == dns.SERVFAIL and not answer.records, f"{lie}: {answer}"
        assert answer.ede is not None, f"{lie}: {answer}"
        for region in stage.regions:
            region.heal("dns")
    patience.until(lambda: stage.server.ask(stage.name()).rcode == dns.NOERROR, "it recovers")
