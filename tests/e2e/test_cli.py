"""The commands: what they print and the codes they end with."""

import json
import os
import time

from lib import patience
from lib.world import SERVICE, answers_with, config, forwarding, service, tsan


def write(w, text):
    return w.write_file("leeward.yaml", text)


GOOD = """\
regions:
  seoul: {minimum_healthy: 0}
  tokyo: {minimum_healthy: 0}
services:
  api.svc.example.com:
    minimum_healthy: 1
    endpoints:
      seoul: [203.0.113.10]
      tokyo: [198.51.100.10]
"""


def refused(w, text, *words):
    """`leeward check` refuses the text and says all the words; returns what it said."""
    path = write(w, text)
    done = w.cli("check", "-c", path)
    said = done.stdout + done.stderr
    assert done.returncode == 1, f"{done.returncode}: {said}"
    assert f"{path}:" in said, said
    for word in words:
        assert word in said, f"{word!r} is not said: {said}"
    return said


def line_of(text, part):
    return 1 + next(n for n, line in enumerate(text.splitlines()) if part in line)


def test_version(w):
    done = w.cli("version")
    assert done.returncode == 0 and done.stdout.startswith("leeward "), done


def test_wrong_usage_is_two(w):
    for arguments in ((), ("nonsense",), ("run", "--nonsense"), ("why",), ("version", "extra"),
                      ("--color", "blue", "version"), ("status", "-c")):
        done = w.cli(*arguments)
        assert done.returncode == 2 and done.stderr, f"{arguments}: {done}"


def test_help_is_zero(w):
    for arguments in (("--help",), ("help",), ("help", "run"), ("check", "--help")):
        done = w.cli(*arguments)
        assert done.returncode == 0 and "usage: leeward" in done.stdout, f"{arguments}: {done}"


def test_a_near_miss_is_suggested(w):
    assert "status" in w.cli("statsu").stderr


def test_without_a_server_it_is_three(w):
    path = os.path.join(w.folder, "nobody.sock")
    for command in (("status",), ("why", SERVICE), ("reload",)):
        done = w.cli(*command, "--socket", path)
        assert done.returncode == 3 and path in done.stderr, f"{command}: {done}"


def test_check_accepts_a_good_file(w):
    done = w.cli("check", "-c", write(w, GOOD))
    assert done.returncode == 0, done


def test_check_print_is_a_config_that_means_the_same(w):
    done = w.cli("check", "--print", "-c", write(w, GOOD))
    assert done.returncode == 0 and "203.0.113.10" in done.stdout, done
    again = w.write_file("printed.yaml", done.stdout)
    twice = w.cli("check", "--print", "-c", again)
    assert twice.returncode == 0 and twice.stdout == done.stdout, twice


def test_check_timing_tells_the_worst_case(w):
    seoul, tokyo, _ = w.three_regions()
    server = w.server(config([seoul, tokyo]))
    server.port = 5300
    server.write_config(server.config)
    done = w.cli("check", "--timing", "-c", server.config_path)
    assert done.returncode == 0 and SERVICE in done.stdout and "ms" in done.stdout, done


def test_minimum_healthy_is_required(w):
    text = GOOD.replace("    minimum_healthy: 1\n", "")
    said = refused(w, text, "minimum_healthy is required", "hint", SERVICE)
    assert f":{line_of(text, SERVICE)}:" in said, said
    assert "^" in said and "api.svc.example.com:" in said, f"no line and caret: {said}"


def test_a_missing_region_is_named(w):
    text = GOOD.replace("      tokyo:", "      tokio:")
    refused(w, text, f":{line_of(text, 'tokio')}:", "tokio", "tokyo")


def test_a_region_in_order_without_endpoints_is_named(w):
    text = GOOD + "    order: [seoul, osaka]\n"
    refused(w, text, f":{line_of(text, 'order')}:", "osaka")


def test_a_missing_check_is_named(w):
    text = GOOD + "    check: wbe\nchecks:\n  web: {http: {port: 80}}\n"
    refused(w, text, f":{line_of(text, 'wbe')}:", "wbe", "web")


def test_a_missing_included_file_is_named(w):
    text = "include: [nowhere.yaml]\n" + GOOD
    refused(w, text, "nowhere.yaml")


def test_an_unknown_key_suggests_the_nearest(w):
    text = GOOD.replace("endpoints:", "endpoint:")
    refused(w, text, f":{line_of(text, 'endpoint:')}:", "endpoint", "endpoints")


def test_a_bare_number_where_a_unit_is_needed(w):
    text = GOOD + "    ttl: 30\n"
    refused(w, text, f":{line_of(text, 'ttl')}:", "30s")


def test_keys_that_come_later_are_refused_not_ignored(w):
    for more, key in (("fleet: {role: both}\n", "fleet"),
                      ("access: {rate_limit: {responses_per_second: 20}}\n", "rate_limit")):
        refused(w, GOOD + more, key, "not available yet")


def test_a_slower_failover_than_allowed_is_refused(w):
    text = GOOD + "    max_failover: 100ms\n    check: {tcp: {port: 80}}\n"
    refused(w, text, f":{line_of(text, 'max_failover')}:")


def test_every_error_is_told(w):
    text = GOOD.replace("203.0.113.10", "203.0.113.1000").replace(
        "tokyo: {minimum_healthy: 0}", "tokyo: {}").replace("minimum_healthy: 1", "minimum: 1")
    said = refused(w, text)
    for part in ("203.0.113.1000", "tokyo: {}", "minimum: 1"):
        assert f":{line_of(text, part)}:" in said, f"{part}: {said}"


def test_a_key_given_twice_names_both_places(w):
    text = GOOD + "regions: {}\n"
    refused(w, text, f":{line_of(text, 'regions: {}')}:", "twice")


def test_deep_and_huge_yaml_end_soon_and_explained(w):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join(['*a' + str(i - 1)] * 10)}]\n" for i in range(1, 12))
    for text in ("a: " + "[" * 100000, "a: " + "{b: " * 20000, "x" * 5_000_000, bomb,
                 "\0\1\2\3", "a: \xff\xfe", "%YAML 9.9\n---\n", "a: b\n---\na: c\n",
                 "regions: " + "[" * 500 + "]" * 500 + "\n"):
        begin = time.monotonic()
        refused(w, text)
        assert time.monotonic() - begin < patience.seconds(10), text[:40]


def test_a_directory_or_an_unreadable_file_is_told(w):
    os.mkdir(os.path.join(w.folder, "folder"))
    done = w.cli("check", "-c", os.path.join(w.folder, "folder"))
    assert done.returncode == 1 and "folder" in done.stderr, done


# ---- with a server


@tsan
def test_status_shows_regions_services_upstreams(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions, forward=forwarding([(r.name, r.dns) for r in regions])))
    server.ask("www.elsewhere.example")
    done = server.run_cli("status")
    assert done.returncode == 0, done
    for word in ("seoul", "tokyo", "singapore", SERVICE, seoul.dns):
        assert word in done.stdout, f"{word}: {done.stdout}"
    asked = json.loads(server.run_cli("status", "--json").stdout)
    assert {r["name"] for r in asked["regions"]} == {"seoul", "tokyo", "singapore"}
    seoul.do("http status 500")
    answers_with(server, tokyo)
    text = server.run_cli("status").stdout
    assert "down" in text and "500" in text, f"the reason is not shown: {text}"
    asked = server.status()
    gone = asked["services"][0]["pools"][0]["endpoints"][0]
    assert gone["check"] and gone["evidence"], f"not told on what evidence: {gone}"
    assert asked["probing"]["started"] > 0 and asked["guards"]["isolated"] is None, asked


@tsan
def test_why_tells_the_answer_and_the_steps(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions, forward=forwarding([(r.name, r.dns) for r in regions])))
    done = server.run_cli("why", SERVICE)
    assert done.returncode == 0 and seoul.address in done.stdout and "seoul" in done.stdout, done
    seoul.do("dns die")
    answers_with(server, tokyo)
    done = server.run_cli("why", SERVICE)
    assert tokyo.address in done.stdout and "gated" in done.stdout, done.stdout
    assert "seoul does not answer" in done.stdout, f"not told what is not well: {done.stdout}"
    assert "this would change it" in done.stdout, f"not told what would: {done.stdout}"
    every = server.run_cli("why", "-v", SERVICE)
    assert "tokyo answers; all well" in every.stdout, every.stdout
    why = json.loads(server.run_cli("why", "--json", SERVICE, "A").stdout)
    assert why["choice"]["addresses"] == [tokyo.address] and why["steps"], why
    away = next(p for p in why["pools"] if p["region"] == "seoul")
    assert not away["used"] and any("is gated for" in n for n in away["notes"]), away
    assert any(c.get("if") == "tokyo fails" for c in why["would_change"]), why["would_change"]
    other = server.run_cli("why", "www.elsewhere.example")
    assert other.returncode == 0 and "forward" in other.stdout, other
    wrong = server.run_cli("why", SERVICE, "NONSENSE")
    assert wrong.returncode in (1, 2) and "NONSENSE" in wrong.stderr, wrong


def test_reload_says_that_it_is_done(w):
    server = w.start(config(w.three_regions()))
    done = server.run_cli("reload")
    assert done.returncode == 0 and "2" in done.stdout, done


def test_query_asks_through_the_server(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    done = w.cli("query", SERVICE, "--server", f"127.0.0.1:{server.port}")
    assert done.returncode == 0 and regions[0].address in done.stdout, done
    nobody = w.cli("query", "missing.svc.example.org", "--server", f"127.0.0.1:{server.port}")
    assert nobody.returncode == 1, nobody


def test_the_socket_is_found_through_the_config(w):
    server = w.start(config(w.three_regions()))
    done = w.cli("status", "-c", server.config_path)
    assert done.returncode == 0 and "seoul" in done.stdout, done


def test_the_api_explains_its_errors(w):
    server = w.start(config(w.three_regions()))
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/api/v1/reload", 405),
                                 ("POST", "/api/v1/status", 405), ("GET", "/api/v1/why", 400),
                                 ("GET", "/api/v1/services/ap.svc.example.com", 404),
                                 ("GET", "/metrics", 501)):
        got, body = server.request(method, path)
        assert got == status and json.loads(body)["error"]["message"], (path, got, body)
    assert server.request("GET", "/healthz")[0] == 200
    one = server.get(f"/api/v1/services/{SERVICE}")
    assert one["name"] == SERVICE and one["pools"][0]["endpoints"][0]["checks"], one
    assert "seoul" in server.request("GET", "/api/v1/config")[1]


def test_only_owner_and_group_may_use_the_socket(w):
    server = w.start(config(w.three_regions()))
    mode = os.stat(server.socket_path).st_mode & 0o777
    assert mode == 0o660, oct(mode)


def test_bytes_that_are_no_http_do_not_disturb_the_api(w):
    import socket
    server = w.start(config(w.three_regions()))
    for junk in (b"\0" * 100, b"GET\r\n\r\n", b"A" * 100000, b""):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(server.socket_path)
            try:
                sock.sendall(junk)
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert server.readyz()[0] == 200
    assert server.addresses_of(SERVICE)


def test_counters_in_status_grow_with_the_queries(w):
    regions = w.three_regions()
    server = w.start(config(regions, {SERVICE: service(regions)}))
    before = server.status()["queries"]
    for _ in range(25):
        server.ask(SERVICE)
    server.ask("www.elsewhere.example")
    after = server.status()["queries"]
    assert after["total"] - before["total"] == 26, (before, after)
    assert after["by_source"]["service"] - before["by_source"]["service"] == 25
    assert after["by_rcode"]["REFUSED"] - before["by_rcode"]["REFUSED"] == 1
