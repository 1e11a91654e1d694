"""Static zones from master files, services laid over them, and files that are wrong."""

from lib import dns
from lib.dns import A, AAAA, ANY, AXFR, CNAME, IXFR, MX, NS, SOA, SRV, TXT
from lib.world import config, service, tsan

ZONE = """\
$ORIGIN zone.test.
$TTL 3600
@       IN SOA ns1 hostmaster (
                2018112201 ; serial
                7200 900 1209600
                300 )
        NS ns1
        NS ns2.zone.test.
        MX 10 mail
        TXT "hello" "two strings"
ns1     A 192.0.2.1
        AAAA 2001:db8::1
ns2     A 192.0.2.2
mail    A 192.0.2.25
www     300 A 192.0.2.80
        300 A 192.0.2.81
        AAAA 2001:db8::80
alias   CNAME www
chain   CNAME alias
toapi   CNAME api.svc
away    CNAME www.elsewhere.test.
lost    CNAME nothing.here
_sip._tcp SRV 10 5 5060 mail
leaf.of.a.deep.tree A 192.0.2.99
"""

BIG = "".join(f'big TXT "{i:02d}{"x" * 180}"\n' for i in range(20))
MEDIUM = "".join(f'medium TXT "{i:02d}{"y" * 180}"\n' for i in range(5))
API = "api.svc.zone.test"


def start(w, text=ZONE + BIG + MEDIUM):
    regions = w.three_regions()
    path = w.write_file("zone.test.zone", text)
    server = w.start(config(regions, {API: service(regions)}, zones={"zone.test": {"file": path}}))
    return server, regions


def test_exact_names(w):
    server, _ = start(w)
    www = server.ask("www.zone.test")
    assert www.addresses == {"192.0.2.80", "192.0.2.81"} and www.has(dns.AA), www
    assert www.ttl == 300
    assert server.ask("www.zone.test", AAAA).addresses == {"2001:db8::80"}
    assert server.ask("zone.test", TXT).data(TXT) == [["hello", "two strings"]]
    soa = server.ask("zone.test", SOA).data(SOA)[0]
    assert soa[:3] == ("ns1.zone.test", "hostmaster.zone.test", 2018112201), soa


def test_a_name_without_the_type_is_nodata_with_soa(w):
    server, _ = start(w)
    for name, rtype in (("www.zone.test", MX), ("ns2.zone.test", AAAA), ("mail.zone.test", 65)):
        answer = server.ask(name, rtype)
        assert answer.rcode == dns.NOERROR and not answer.answer, answer
        assert answer.soa.name == "zone.test" and answer.soa.ttl == 300, answer


def test_a_missing_name_is_nxdomain_with_soa(w):
    server, _ = start(w)
    for name in ("missing.zone.test", "a.b.missing.zone.test", "x.www.zone.test"):
        answer = server.ask(name)
        assert answer.rcode == dns.NXDOMAIN and answer.has(dns.AA), answer
        assert answer.soa.name == "zone.test" and answer.soa.ttl == 300, answer


def test_a_name_that_only_has_names_below_it_exists(w):
    server, _ = start(w)
    for name in ("of.a.deep.tree.zone.test", "tree.zone.test", "_tcp.zone.test"):
        answer = server.ask(name)
        assert answer.rcode == dns.NOERROR and not answer.answer and answer.soa, answer


def test_aliases_are_followed_inside_our_data(w):
    server, _ = start(w)
    answer = server.ask("chain.zone.test")
    assert answer.data(CNAME) == ["alias.zone.test", "www.zone.test"], answer
    assert answer.addresses == {"192.0.2.80", "192.0.2.81"}, answer
    only = server.ask("chain.zone.test", CNAME)
    assert only.data(CNAME) == ["alias.zone.test"] and len(only.answer) == 1, only


@tsan
def test_an_alias_leads_into_a_service_and_moves_with_it(w):
    server, (seoul, tokyo, _) = start(w)
    answer = server.ask("toapi.zone.test")
    assert answer.data(CNAME) == [API] and answer.addresses == {seoul.address}, answer
    assert answer.answer[-1].name == API, answer
    seoul.do("http die")
    server_moves(server, tokyo)
    answer = server.ask("toapi.zone.test", tcp=True)
    assert answer.addresses == {tokyo.address}, answer


def server_moves(server, region):
    from lib import patience
    patience.until(lambda: server.addresses_of(API) == {region.address}, "the service moves")


def test_an_alias_that_leads_away_is_given_as_it_is(w):
    server, _ = start(w)
    answer = server.ask("away.zone.test")
    assert answer.rcode == dns.NOERROR and answer.data(CNAME) == ["www.elsewhere.test"], answer
    assert len(answer.answer) == 1


def test_an_alias_to_nothing_is_nxdomain_behind_the_alias(w):
    server, _ = start(w)
    answer = server.ask("lost.zone.test")
    assert answer.rcode == dns.NXDOMAIN and answer.data(CNAME) == ["nothing.here.zone.test"], answer
    assert answer.soa is not None


def test_addresses_of_targets_come_along(w):
    server, _ = start(w)
    for name, rtype, targets in (("zone.test", NS, {"192.0.2.1", "2001:db8::1", "192.0.2.2"}),
                                 ("zone.test", MX, {"192.0.2.25"}),
                                 ("_sip._tcp.zone.test", SRV, {"192.0.2.25"})):
        answer = server.ask(name, rtype)
        assert {r.data for r in answer.additional} == targets, answer


def test_a_service_inside_a_zone_is_laid_over_it(w):
    server, (seoul, _, _) = start(w)
    assert server.ask(API).addresses == {seoul.address}
    text = server.ask(API, TXT)
    assert text.rcode == dns.NOERROR and text.soa.name == "zone.test", text
    between = server.ask("svc.zone.test")
    assert between.rcode == dns.NOERROR and not between.answer, between


def test_the_letter_case_of_the_question_is_kept(w):
    server, _ = start(w)
    assert server.ask("WWW.zoNE.test").answer[0].name == "WWW.zoNE.test"
    assert server.ask("MISSing.ZONE.test").rcode == dns.NXDOMAIN


def test_any_is_answered_with_something_small(w):
    server, _ = start(w)
    for name in ("zone.test", "www.zone.test", "chain.zone.test", API):
        answer = server.ask(name, ANY)
        assert answer.rcode in (dns.NOERROR, dns.NOTIMP, dns.REFUSED), answer
        assert len(answer.wire) <= 512, answer
        assert answer.rcode != dns.NOERROR or answer.answer or answer.soa, answer


def test_other_classes_and_transfers_are_refused(w):
    server, _ = start(w)
    assert server.ask("version.bind", TXT, rclass=dns.CH).rcode == dns.REFUSED
    assert server.ask("www.zone.test", A, rclass=dns.CH).rcode == dns.REFUSED
    for tcp in (False, True):
        for rtype in (AXFR, IXFR):
            answer = server.ask("zone.test", rtype, tcp=tcp)
            assert answer.rcode in (dns.REFUSED, dns.NOTIMP) and not answer.records, answer


def test_truncation_at_512_and_at_1232(w):
    server, _ = start(w)
    plain = server.ask("medium.zone.test", TXT, edns=None)
    assert plain.has(dns.TC) and len(plain.wire) <= 512, plain
    fits = server.ask("medium.zone.test", TXT, edns=1232)
    assert not fits.has(dns.TC) and len(fits.data(TXT)) == 5, fits
    small = server.ask("medium.zone.test", TXT, edns=600)
    assert small.has(dns.TC) and len(small.wire) <= 600, small
    for size in (1232, 4096, 65535):
        large = server.ask("big.zone.test", TXT, edns=size)
        assert large.has(dns.TC) and len(large.wire) <= 1232, large
    whole = server.ask("big.zone.test", TXT, tcp=True)
    assert not whole.has(dns.TC) and len(whole.data(TXT)) == 20, whole
    tiny = server.ask("www.zone.test", edns=0)
    assert tiny.rcode == dns.NOERROR and tiny.addresses, "a size below 512 means 512"


def test_two_zones_one_below_the_other(w):
    regions = w.three_regions()
    upper = w.write_file("upper", ZONE)
    lower = w.write_file("lower", "@ 60 SOA ns hostmaster 1 2 3 4 60\n@ 60 NS ns\n"
                                  "ns 60 A 192.0.2.7\nwww 60 A 192.0.2.77\n")
    server = w.start(config(regions, {}, zones={"zone.test": {"file": upper},
                                                "sub.zone.test": {"file": lower}}))
    assert server.addresses_of("www.sub.zone.test") == {"192.0.2.77"}
    assert server.ask("x.sub.zone.test").soa.name == "sub.zone.test"
    assert server.ask("x.zone.test").soa.name == "zone.test"


def bad_zone(w, text, *words, line):
    """`leeward check` refuses the file and names the place; so does `leeward run`."""
    path = w.write_file("bad.zone", text)
    regions = w.three_regions()
    server = w.server(config(regions, {}, zones={"zone.test": {"file": path}}))
    server.port = 1  # never bound
    server.write_config(server.config)
    for command in ("check", "run"):
        done = w.cli(command, "-c", server.config_path)
        said = done.stdout + done.stderr
        assert done.returncode == 1, f"{command}: {done.returncode} {said}"
        assert f"{path}:{line}:" in said, f"{command} does not name {path}:{line}: {said}"
        for word in words:
            assert word in said, f"{command} does not say {word!r}: {said}"


def test_a_bad_address_in_a_zone_is_named_with_its_line(w):
    bad_zone(w, ZONE + "broken A 192.0.2.300\n", line=ZONE.count("\n") + 1)


def test_an_unknown_type_in_a_zone_is_named_with_its_line(w):
    bad_zone(w, ZONE + "\nbroken ADRESS 192.0.2.3\n", line=ZONE.count("\n") + 2)


def test_a_circle_of_aliases_is_named_with_its_line(w):
    bad_zone(w, ZONE + "one CNAME two\ntwo CNAME one\n", line=ZONE.count("\n") + 1)


def test_an_alias_beside_other_data_is_named_with_its_line(w):
    bad_zone(w, ZONE + "www CNAME mail\n", line=ZONE.count("\n") + 1)


def test_a_record_outside_the_zone_is_named_with_its_line(w):
    bad_zone(w, ZONE + "www.other.test. A 192.0.2.3\n", line=ZONE.count("\n") + 1)


def test_a_parenthesis_that_is_never_closed_is_named_with_its_line(w):
    text = ZONE + "broken TXT ( \"a\"\n"
    path = w.write_file("bad.zone", text)
    server = w.server(config(w.three_regions(), {}, zones={"zone.test": {"file": path}}))
    server.port = 1
    server.write_config(server.config)
    done = w.cli("check", "-c", server.config_path)
    assert done.returncode == 1 and f"{path}:" in done.stdout + done.stderr, done


def test_a_zone_without_soa_is_refused(w):
    path = w.write_file("bad.zone", "@ 60 NS ns1.zone.test.\nns1 60 A 192.0.2.1\n")
    server = w.server(config(w.three_regions(), {}, zones={"zone.test": {"file": path}}))
    server.port = 1
    server.write_config(server.config)
    done = w.cli("check", "-c", server.config_path)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "SOA" in said and path in said, said


def test_a_missing_zone_file_is_named(w):
    server = w.server(config(w.three_regions(), {},
                             zones={"zone.test": {"file": w.folder + "/nowhere.zone"}}))
    server.port = 1
    server.write_config(server.config)
    done = w.cli("check", "-c", server.config_path)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "nowhere.zone" in said, said
    assert server.config_path in said, f"where it was named is not said: {said}"
