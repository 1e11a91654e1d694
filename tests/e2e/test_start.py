"""Starting and stopping: with dead targets, bad files, taken ports, unwritable places."""

import os
import pwd
import shutil
import signal
import socket
import time

from lib import dns, patience
from lib.certificates import Authority
from lib.world import (SERVICE, Skip, answers_with, config, dns_check, forwarding, http_check,
                       service, timing, tsan)


def slow_world(w, timeout_ms):
    """Every target is silent from the start, and it takes a while to be sure."""
    regions = w.three_regions()
    for region in regions:
        region.do("all blackhole")
    times = timing(timeout=f"{timeout_ms}ms", interval=f"{timeout_ms}ms")
    whole = config(regions, {SERVICE: service(regions, check=http_check(times),
                                              ttl={"normal": "60s", "suspect": "2s"})})
    for region in regions:
        whole["regions"][region.name]["checks"] = [dns_check(region, times=times)]
    return regions, whole


@tsan
def test_with_all_targets_dead_it_answers_at_once_and_becomes_ready(w):
    timeout_ms = round(patience.seconds(2500))
    regions, whole = slow_world(w, timeout_ms)
    server = w.start(whole, ready=False)
    answer = server.ask(SERVICE)
    # answers come first, the api a moment later
    patience.until(lambda: server.readyz()[0] != 0, "the api is there")
    status, body = server.readyz()
    assert answer.addresses == {regions[0].address}, f"in configured order: {answer}"
    assert answer.ttl == 2, f"with the short TTL, nothing is known yet: {answer}"
    assert status == 503, f"not ready before the first round: {status} {body}"
    server.wait_ready()
    patience.until(lambda: server.status_of_service(SERVICE)["answer"]["A"]["rung"] == 6,
                   "nothing is up")
    assert server.addresses_of(SERVICE), "never empty because of health"
    regions[2].heal()
    answers_with(server, regions[2])


def test_upstreams_that_are_dead_do_not_keep_it_from_starting(w):
    regions, whole = slow_world(w, 500)
    whole["forward"] = forwarding([(r.name, r.dns) for r in regions])
    server = w.start(whole)
    assert server.ask("www.elsewhere.example").rcode == dns.SERVFAIL
    regions[0].heal()
    patience.until(lambda: server.ask("www.elsewhere.example").rcode == dns.NOERROR, "it recovers",
                   pause_s=0.1)


def test_the_first_result_alone_decides(w):
    regions = w.three_regions()
    regions[0].do("http die")
    server = w.start(config(regions))
    assert server.addresses_of(SERVICE) == {regions[1].address}, "when ready, it is known"


@tsan
def test_sigterm_and_sigint_end_it_quickly_with_zero(w):
    regions = w.three_regions()
    whole = config(regions, forward=forwarding([(r.name, r.dns) for r in regions]))
    for number in (signal.SIGTERM, signal.SIGINT):
        server = w.start(whole)
        stream = dns.Stream(server.at)  # an open connection does not hold it up
        regions[0].do("dns blackhole")
        sock = dns.udp_socket(server.at)
        sock.send(dns.make_query("inflight.elsewhere.example"))
        begin = time.monotonic()
        server.stop(number)  # demands 0
        spent = time.monotonic() - begin
        assert spent < patience.seconds(6), f"it took {spent:.1f} s"
        assert not os.path.exists(server.socket_path), "the api's socket goes too"
        stream.close()
        sock.close()
        regions[0].heal()


def test_it_starts_again_on_the_same_port_at_once(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    with dns.Stream(server.at) as stream:
        stream.send(dns.make_query(SERVICE))
        stream.receive()
        server.restart()
    assert server.addresses_of(SERVICE) == {regions[0].address}


def test_the_socket_file_of_a_dead_server_is_replaced(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    server.kill()
    assert os.path.exists(server.socket_path)
    server.restart()
    assert server.status()["ready"]


def test_the_socket_of_a_living_server_is_left_alone(w):
    regions = w.three_regions()
    first = w.start(config(regions))
    second = w.server(config(regions, api={"socket": first.socket_path}))
    second.start(ready=False)  # names are answered without an api
    patience.until(lambda: first.socket_path in second.log_text(), "it says so")
    assert second.addresses_of(SERVICE) == {regions[0].address}
    ports = [listener.rsplit(":", 1)[1] for listener in first.status()["listeners"]]
    assert ports == [str(first.port)], "the socket is still the first one's"
    second.stop()
    assert first.status()["ready"], "nor is it removed when the second ends"


def taken(w, kind):
    regions = w.three_regions()
    server = w.server(config(regions))
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        server.port = other.getsockname()[1]
        server.write_config(server.config)
        server.spawn()
        code = server.wait_end()
    server.process = None
    said = server.log_text()
    assert code == 1, f"{code} {said}"
    assert f"127.0.0.1:{server.port}" in said and "in use" in said, said
    assert server.config_path in said, f"where it was asked for is not said: {said}"


def test_a_taken_udp_port_is_told_precisely(w):
    taken(w, socket.SOCK_DGRAM)


def test_a_taken_tcp_port_is_told_precisely(w):
    taken(w, socket.SOCK_STREAM)


def test_an_address_that_is_not_ours_is_told_precisely(w):
    regions = w.three_regions()
    path = w.write_file("leeward.yaml", server_text(regions, listen='["192.0.2.1:5399"]'))
    done = w.cli("run", "-c", path)
    assert done.returncode == 1 and "192.0.2.1:5399" in done.stderr, done


def server_text(regions, **lines):
    return "".join(f"{key}: {value}\n" for key, value in lines.items()) + (
        "regions:\n" + "".join(f"  {r.name}: {{minimum_healthy: 0}}\n" for r in regions))


def test_an_unwritable_state_directory_is_a_warning(w):
    regions = w.three_regions()
    blocker = w.write_file("a-file", "no directory\n")
    whole = config(regions, node={"state_directory": os.path.join(blocker, "state")})
    server = w.start(whole)
    assert server.addresses_of(SERVICE) == {regions[0].address}
    patience.until(lambda: blocker in server.log_text(), "the log names it")
    assert server.status()["ready"]


def test_a_missing_state_directory_is_made_for_the_user_it_becomes(w):
    if os.geteuid() != 0:
        raise Skip("only root becomes somebody else")
    server = w.server(config(w.three_regions(), node={"user": "nobody"}))
    for folder in (server.folder, w.folder, os.path.dirname(w.folder)):
        os.chmod(folder, 0o711)
    shutil.chown(server.folder, "nobody")  # of the socket
    server.start()
    accepted = os.path.join(server.state_path, "accepted.yaml")
    patience.until(lambda: os.path.exists(accepted), "the configuration is kept")
    assert os.stat(accepted).st_uid == pwd.getpwnam("nobody").pw_uid


def test_the_last_accepted_config_is_used_when_the_file_is_bad(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    server.stop()
    with open(server.config_path, "a", encoding="utf-8") as file:
        file.write("\n}}}\n")
    server.restart()
    assert server.addresses_of(SERVICE) == {regions[0].address}
    status, body = server.readyz()
    assert status == 200 and "leeward.yaml" in body, f"/readyz does not warn: {body}"
    assert f"{server.config_path}:" in server.log_text(), "the log names the place"
    assert server.status()["config"]["warning"], "status does not warn"
    # a good file ends it
    server.reload_with(server.config)
    assert not server.status()["config"]["warning"]
    assert "warning" not in server.readyz()[1]


def test_the_last_accepted_config_is_found_for_plain_yaml_too(w):
    seoul = w.region("seoul", "127.0.1.1", 1)
    text = f"""\
node:
  state_directory: @STATE@
listen: ["@LISTEN@"]
api: {{socket: @SOCKET@}}
regions:
  seoul: {{minimum_healthy: 0}}
services:
  {SERVICE}:
    minimum_healthy: 1
    endpoints: {{seoul: ["{seoul.http}"]}}
"""
    server = w.start(text)
    server.stop()
    with open(server.config_path, "a", encoding="utf-8") as file:
        file.write("services: again\n")
    server.restart()
    assert server.addresses_of(SERVICE) == {seoul.address}


def test_a_zone_file_that_went_bad_does_not_keep_the_rest_from_starting(w):
    """The zones of the last accepted config cannot be loaded either; it says file:line."""
    regions = w.three_regions()
    head = "@ 60 SOA ns hostmaster 1 2 3 4 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
    path = w.write_file("zone", head)
    server = w.start(config(regions, zones={"zone.test": {"file": path}}))
    server.stop()
    w.write_file("zone", head + "www 60 A 1.2.3\n")
    server.spawn()
    patience.until(lambda: server.has_ended() or server.is_listening(), "it ends or answers")
    assert f"{path}:4:" in server.log_text(), server.log_tail()
    if server.has_ended():
        assert server.exit_code == 1
        server.process = None


def test_what_a_check_needs_and_is_gone_does_not_keep_it_from_starting(w):
    plugin = w.write_file("plugin", "#!/bin/sh\nexit 0\n")
    os.chmod(plugin, 0o755)
    authorities = Authority(w.folder).path
    seoul = w.region("seoul", "127.0.1.1", 1)
    server = w.start(config([seoul], {
        SERVICE: service([seoul], check={"exec": {"command": [plugin]}}),
        "tls.example": service([seoul], check={"tls": {"ca_file": authorities}})}, gates=False))
    server.stop()
    os.unlink(plugin)
    os.unlink(authorities)
    server.spawn()
    patience.until(lambda: server.is_listening() or server.has_ended(), "it answers")
    assert not server.has_ended(), server.log_tail()
    assert server.addresses_of(SERVICE) == {seoul.address}
    assert "running the last accepted configuration" in server.log_text()
    status = server.run_cli("status").stdout
    assert "NOT the file on disk" in status and "plugin cannot be run" in status, status
    patience.until(lambda: "authorities" in server.run_cli("why", "tls.example").stdout,
                   lambda: server.run_cli("why", "tls.example").stdout)


def test_strict_refuses_a_bad_file(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    server.stop()
    with open(server.config_path, "a", encoding="utf-8") as file:
        file.write("\n}}}\n")
    server.arguments = ("--strict",)
    server.spawn()
    assert server.wait_end() == 1
    server.process = None
    assert f"{server.config_path}:" in server.log_text()


def test_a_bad_file_and_nothing_accepted_yet_is_refused(w):
    server = w.server(config(w.three_regions()) | {"nonsense": 1})
    server.port = 1
    server.write_config(server.config)
    server.spawn()
    assert server.wait_end() == 1
    server.process = None
    assert "nonsense" in server.log_text() and f"{server.config_path}:" in server.log_text()


def test_a_config_that_is_not_there_is_named(w):
    done = w.cli("run", "-c", os.path.join(w.folder, "nowhere.yaml"))
    assert done.returncode == 1 and "nowhere.yaml" in done.stderr, done


def test_environment_variables_in_the_file(w):
    seoul = w.region("seoul", "127.0.1.1", 1)
    text = """\
node: {state_directory: "@STATE@"}
listen: ["@LISTEN@"]
api: {socket: "@SOCKET@"}
regions:
  seoul: {minimum_healthy: 0}
services:
  ${LW_TEST_NAME}.svc.example.com:
    ttl: ${LW_TEST_TTL:-9s}
    minimum_healthy: 1
    endpoints: {seoul: ["${LW_TEST_ADDRESS}"]}
"""
    server = w.start(text, environment={"LW_TEST_NAME": "env", "LW_TEST_ADDRESS": seoul.address})
    answer = server.ask("env.svc.example.com")
    assert answer.addresses == {seoul.address} and answer.ttl == 9, answer


def test_includes_are_merged(w):
    regions = w.three_regions()
    server = w.server(config(regions, {}, include=["services.d/*.yaml"]))
    os.mkdir(os.path.join(server.folder, "services.d"))
    server.write_file("services.d/one.yaml", f"""\
services:
  {SERVICE}:
    minimum_healthy: 1
    endpoints: {{seoul: ["{regions[0].http}"]}}
""")
    del server.config["services"]
    server.start()
    assert server.addresses_of(SERVICE) == {regions[0].address}
