"""A reload changes what it should and nothing else; a bad file changes nothing."""

import os
import signal
import time

from lib import dns, patience
from lib.server import free_port
from lib.world import (SERVICE, answers_with, config, forwarding, http_check, service, timing,
                       tsan, watch)

OTHER = "other.svc.example.com"
FREE = {"removal_limit": "off"}  # what is taken away needs no consent


def generation(server):
    return server.status()["generation"]


def test_a_reload_adds_a_service_and_takes_it_away(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    whole = config(regions, guards=FREE)
    server = w.start(whole)
    assert server.ask(OTHER).rcode == dns.REFUSED
    with watch(server) as client:
        more = dict(whole, services={SERVICE: service(regions), OTHER: service([tokyo, seoul])})
        before = generation(server)
        server.reload_with(more)
        assert generation(server) == before + 1
        assert server.addresses_of(OTHER) == {tokyo.address}
        server.reload_with(whole)
        assert server.ask(OTHER).rcode == dns.REFUSED
        assert client.changes() == 0, client.answers()


@tsan
def test_state_and_history_survive(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    whole = config(regions, guards=FREE)
    server = w.start(whole)
    with watch(server) as client:
        seoul.do("http die")
        answers_with(server, tokyo)
        begin = time.monotonic()
        before = server.endpoint(SERVICE, seoul.address)
        for number in range(5):
            more = dict(whole, services={SERVICE: service(regions),
                                         f"n{number}.svc.example.com": service(regions)})
            server.reload_with(more)
            assert server.addresses_of(SERVICE) == {tokyo.address}, "down stays down"
        after = server.endpoint(SERVICE, seoul.address)
        spent_ms = (time.monotonic() - begin) * 1000
        assert after["state"] == "down", after
        assert after["since_ms_ago"] >= before["since_ms_ago"] + spent_ms * 0.9 - 50, (
            f"the time did not go on: {before} {after} {spent_ms}")
        assert client.changes() == 1, client.answers()


def test_a_gate_survives(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    whole = config(regions)
    server = w.start(whole)
    seoul.do("dns die")
    answers_with(server, tokyo)
    before = server.status_of_region("seoul")
    with watch(server) as client:
        server.reload_with(dict(whole, log={"level": "debug"}))
        after = server.status_of_region("seoul")
        assert after["state"] == "gated", after
        assert after["since_ms_ago"] >= before["since_ms_ago"], (before, after)
        assert client.changes() == 0, client.answers()


def test_other_settings_of_a_service_take_effect(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions))
    server.reload_with(config(regions, {SERVICE: service([tokyo, seoul], ttl="7s")}))
    answers_with(server, tokyo)
    assert server.ask(SERVICE).ttl == 7


def test_a_new_endpoint_is_probed_before_it_answers(w):
    """Its region comes first in the order, but it is dead: nobody ever hears of it."""
    regions = w.three_regions()
    seoul = regions[0]
    busan = w.region("busan", "127.0.4.1", 4)
    busan.do("http die")
    server = w.start(config(regions))
    with watch(server) as client:
        everywhere = [busan, *regions]
        server.reload_with(config(everywhere, {SERVICE: service(everywhere)}))
        patience.until(lambda: server.endpoint(SERVICE, busan.address)["state"] == "down",
                       "the new endpoint was probed")
        assert client.changes() == 0, client.answers()
        busan.heal()
        answers_with(server, busan)
    assert seoul.address


@tsan
def test_twenty_reloads_lose_no_answer(w):
    regions = w.three_regions()
    whole = config(regions, guards=FREE)
    server = w.start(whole)
    with watch(server) as client:
        for number in range(20):
            more = dict(whole, services={SERVICE: service(regions),
                                         **{f"n{i}.svc.example.com": service(regions)
                                            for i in range(number % 4)}})
            server.reload_with(more)
        assert client.changes() == 0, client.answers()


def bad_file_changes_nothing(w, spoil):
    """spoil(text) makes the file bad; returns the server and what the client was told."""
    regions = w.three_regions()
    server = w.start(config(regions))
    before = generation(server)
    with open(server.config_path, encoding="utf-8") as file:
        text = file.read()
    with watch(server) as client:
        with open(server.config_path, "w", encoding="utf-8") as file:
            file.write(spoil(text))
        status, body = server.reload()
        assert status == 409, (status, body)
        done = server.run_cli("reload")
        said = done.stdout + done.stderr
        assert done.returncode == 1, (done.returncode, said)
        assert generation(server) == before
        assert client.changes() == 0, client.answers()
    assert f"{server.config_path}:" in server.log_text(), "the log names the place"
    # the good file is taken again as if nothing had been
    server.reload_with(server.config)
    return server, said


@tsan
def test_an_unknown_key_changes_nothing_and_is_explained(w):
    server, said = bad_file_changes_nothing(
        w, lambda text: text.replace('"minimum_healthy"', '"minimum_healty"', 1))
    assert "minimum_healty" in said and "minimum_healthy" in said, f"the nearest key: {said}"
    with open(server.config_path, encoding="utf-8") as file:
        line = 1 + next(n for n, text in enumerate(file) if "minimum_healthy" in text)
    assert f"{server.config_path}:{line}:" in said, said


def test_broken_yaml_changes_nothing(w):
    bad_file_changes_nothing(w, lambda text: text[:-20] + "\n\t]]]")


def test_an_empty_file_changes_nothing(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    with open(server.config_path, "w", encoding="utf-8"):
        pass
    status, body = server.reload()
    # an empty file may be valid YAML; that it would take everything away is the point
    assert status == 409 or server.addresses_of(SERVICE), (status, body)


def test_a_file_that_is_gone_changes_nothing(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    os.unlink(server.config_path)
    done = server.run_cli("reload")
    assert done.returncode == 1 and "leeward.yaml" in done.stdout + done.stderr, done
    assert server.addresses_of(SERVICE) == {regions[0].address}


def test_all_errors_are_told_not_only_the_first(w):
    _, said = bad_file_changes_nothing(
        w, lambda text: text.replace('"seoul"', '"soul"', 1).replace('"fall": 3', '"fall": "3s"'))
    assert said.count("leeward.yaml:") >= 2, said


@tsan
def test_sighup_reloads(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    before = generation(server)
    server.write_config(config(regions, {SERVICE: service(regions), OTHER: service(regions)}))
    server.send_signal(signal.SIGHUP)
    patience.until(lambda: generation(server) == before + 1, "the next generation")
    assert server.addresses_of(OTHER)
    # and a bad file is told in the log
    with open(server.config_path, "a", encoding="utf-8") as file:
        file.write("\n}}}\n")
    server.send_signal(signal.SIGHUP)
    patience.until(lambda: f"{server.config_path}:" in server.log_text(), "the place in the log")
    assert generation(server) == before + 1
    assert server.addresses_of(OTHER)


def test_a_reload_takes_a_changed_zone_file(w):
    regions = w.three_regions()
    head = "@ 60 SOA ns hostmaster 1 2 3 4 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
    path = w.write_file("zone", head + "www 60 A 192.0.2.10\n")
    server = w.start(config(regions, zones={"zone.test": {"file": path}}))
    assert server.addresses_of("www.zone.test") == {"192.0.2.10"}
    w.write_file("zone", head + "www 60 A 192.0.2.11\n")
    assert server.addresses_of("www.zone.test") == {"192.0.2.10"}, "only a reload takes it"
    server.reload_with(server.config)
    assert server.addresses_of("www.zone.test") == {"192.0.2.11"}
    w.write_file("zone", head + "www 60 A 192.0.2.12.13\n")
    done = server.run_cli("reload")
    said = done.stdout + done.stderr
    assert done.returncode == 1 and f"{path}:4:" in said, said
    assert server.addresses_of("www.zone.test") == {"192.0.2.11"}


@tsan
def test_a_reload_changes_where_it_listens(w):
    regions = w.three_regions()
    whole = config(regions)
    server = w.start(whole)
    old = f"127.0.0.1:{server.port}"
    other = free_port("127.0.0.3")
    server.reload_with(dict(whole, listen=[old, f"127.0.0.3:{other}"]))
    for tcp in (False, True):
        assert dns.ask(("127.0.0.3", other), SERVICE, tcp=tcp).addresses == {regions[0].address}
        assert server.ask(SERVICE, tcp=tcp).addresses == {regions[0].address}
    server.reload_with(dict(whole, listen=[old]))

    def is_gone():
        try:
            dns.ask(("127.0.0.3", other), SERVICE, timeout_s=0.2)
            return False
        except (dns.NoAnswer, OSError):
            return True

    patience.until(is_gone, "the second address is closed")
    assert server.ask(SERVICE).addresses == {regions[0].address}


def test_a_port_that_is_taken_refuses_the_reload(w):
    import socket
    regions = w.three_regions()
    whole = config(regions)
    server = w.start(whole)
    before = generation(server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        server.write_config(dict(whole, listen=[f"127.0.0.1:{server.port}", taken]))
        status, body = server.reload()
        assert status == 409 and taken in body, (status, body)
    assert generation(server) == before
    assert server.addresses_of(SERVICE) == {regions[0].address}


def test_a_reload_changes_who_may_recurse_and_whom_is_asked(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    whole = config(regions, gates=False)
    server = w.start(dict(whole, forward=forwarding([("seoul", seoul.dns)])))
    assert server.ask("www.elsewhere.example").addresses
    server.reload_with(dict(whole, forward=forwarding([("tokyo", tokyo.dns)])))
    answer = server.ask("www2.elsewhere.example")
    assert next(iter(answer.addresses)).startswith("10.2."), answer
    server.reload_with(dict(whole, access={"recursion": ["127.0.0.9/32"]},
                            forward=forwarding([("tokyo", tokyo.dns)])))
    assert server.ask("www.elsewhere.example").rcode == dns.REFUSED
    server.reload_with(whole)
    assert server.ask("www.elsewhere.example").rcode == dns.REFUSED


@tsan
def test_reloads_that_come_together_all_end(w):
    regions = w.three_regions()
    whole = config(regions)
    server = w.start(whole)
    before = generation(server)
    # a new endpoint that is silent, so that each reload takes its time
    busan = w.region("busan", "127.0.4.1", 4)
    busan.do("http blackhole")
    slow = http_check(timing(timeout=patience.ms(700)))
    server.write_config(config([*regions, busan], {SERVICE: service([*regions, busan]),
                                                   OTHER: service([busan], check=slow)}))
    for _ in range(5):
        server.send_signal(signal.SIGHUP)
    status, body = server.reload()
    assert status in (200, 409), (status, body)
    patience.until(lambda: generation(server) > before, "one of them is in force")
    assert server.addresses_of(SERVICE) == {regions[0].address}
    assert server.addresses_of(OTHER) == {busan.address}
