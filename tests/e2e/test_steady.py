"""With everything healthy: what is answered, and how the client's question comes back."""

from lib import dns, patience
from lib.dns import AAAA, MX, SOA, TXT
from lib.world import SERVICE, answers_with, config, service


def test_the_first_region_of_the_order_answers(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    answer = server.ask(SERVICE)
    assert answer.rcode == dns.NOERROR
    assert answer.addresses == {regions[0].address}, answer
    assert answer.has(dns.AA), "the answer is our own"
    patience.until(lambda: server.ask(SERVICE).ttl == 30, "the normal TTL")


def test_order_decides_not_the_sequence_of_the_endpoints(w):
    seoul, tokyo, singapore = w.three_regions()
    of = service([seoul, tokyo, singapore], order=["singapore", "seoul", "tokyo"])
    server = w.start(config([seoul, tokyo, singapore], {SERVICE: of}))
    answers_with(server, singapore)


def test_without_order_the_endpoints_as_written_decide(w):
    seoul, tokyo, singapore = w.three_regions()
    of = service([tokyo, seoul, singapore])
    del of["order"]
    server = w.start(config([seoul, tokyo, singapore], {SERVICE: of}))
    answers_with(server, tokyo)


def test_a_service_without_a_check_counts_as_up(w):
    regions = w.three_regions()
    of = service(regions)
    del of["check"]
    server = w.start(config(regions, {SERVICE: of}))
    regions[0].do("http die")
    patience.holds(lambda: server.addresses_of(SERVICE) == {regions[0].address},
                   "nobody checks it, so it stays", 1.0)


def test_the_letter_case_of_the_question_is_kept(w):
    server = w.start(config(w.three_regions()))
    # ask() compares the question of the answer with the one asked
    answer = server.ask("aPi.SVC.eXample.COM")
    assert answer.addresses and answer.answer[0].name == "aPi.SVC.eXample.COM"


def test_the_answer_over_tcp_is_the_same(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    assert server.ask(SERVICE, tcp=True).addresses == {regions[0].address}


def test_other_types_of_a_service_are_nodata_with_soa(w):
    server = w.start(config(w.three_regions()))
    for rtype in (AAAA, TXT, MX, 65):
        answer = server.ask(SERVICE, rtype)
        assert answer.rcode == dns.NOERROR and not answer.answer, answer
        assert answer.soa is not None, f"no SOA, so nobody keeps the answer: {answer}"


def test_many_services_each_with_its_own_answer(w):
    seoul, tokyo, singapore = w.three_regions()
    services = {f"s{i}.svc.example.com": service([seoul, tokyo] if i % 2 else [tokyo, seoul])
                for i in range(40)}
    server = w.start(config([seoul, tokyo, singapore], services))
    for i in range(40):
        wanted = seoul if i % 2 else tokyo
        answers_with(server, wanted, name=f"s{i}.svc.example.com")
    with seoul_down(seoul):
        for i in range(40):
            answers_with(server, tokyo, name=f"s{i}.svc.example.com")


class seoul_down:
    def __init__(self, region):
        self.region = region

    def __enter__(self):
        self.region.do("dns servfail")

    def __exit__(self, *_):
        self.region.heal()


def test_addresses_are_rotated_and_at_most_max_addresses(w):
    several = [w.region(f"seoul{i}", f"127.0.1.{i}", i) for i in range(1, 7)]
    of = {"endpoints": {"seoul": [r.http for r in several]}, "minimum_healthy": 1,
          "max_addresses": 4}
    server = w.start({"regions": {"seoul": {"minimum_healthy": 0}}, "services": {SERVICE: of}})
    first = set()
    union = set()
    for _ in range(200):
        answer = server.ask(SERVICE)
        assert len(answer.answer) == 4 and len(answer.addresses) == 4, answer
        first.add(answer.answer[0].data)
        union |= answer.addresses
    assert len(union) == 6 and len(first) == 6, f"not rotated: first {first}, all {union}"


def test_the_made_up_zone_of_a_service_has_soa_and_nxdomain(w):
    server = w.start(config(w.three_regions(), zones={"svc.example.com": {}}))
    assert server.ask("svc.example.com", SOA).data(SOA), "the zone has an SOA"
    missing = server.ask("missing.svc.example.com")
    assert missing.rcode == dns.NXDOMAIN and missing.soa.name == "svc.example.com", missing
    assert missing.has(dns.AA)
    outside = server.ask("www.example.com")
    assert outside.rcode == dns.REFUSED, "nobody forwards here"


def test_a_service_needs_no_zone(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    assert server.addresses_of(SERVICE) == {regions[0].address}
    below = server.ask("x." + SERVICE)
    assert below.rcode == dns.NXDOMAIN and below.soa.name == SERVICE, below
    beside = server.ask("other.svc.example.com")
    assert beside.rcode == dns.REFUSED, beside
