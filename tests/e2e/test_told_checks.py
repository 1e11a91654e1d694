"""Checks that ask no server: programs, reports from outside, files, echoes."""

import os

from lib import patience
from lib.world import (SERVICE, Skip, answers_with, config, service, timing)

PLUGINS = "/usr/lib/nagios/plugins"


def told(regions, check, **changes):
    """A configuration whose service has this check, with the short times of the tests."""
    of = service(regions, check={**check, **timing(**changes)})
    return config(regions, {SERVICE: of}, gates=False)


def children_of(pid):
    """Process numbers."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if fields and fields[0] != "Z" and fields[1] == str(pid):
            found.append(int(entry))
    return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# ---- programs


def script(w, name, text):
    path = w.write_file(name, "#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def test_a_monitoring_plugin_moves_the_answer(w):
    plugin = os.path.join(PLUGINS, "check_http")
    if not os.access(plugin, os.X_OK):
        raise Skip(f"there is no {plugin}")
    seoul, tokyo, _ = regions = w.three_regions()
    limit = patience.ms(5000)
    command = [plugin, "-I", "{address}", "-p", "{port}", "-u", "/healthz", "-t", "30"]
    server = w.start(told(regions, {"exec": {"command": command}}, timeout=limit))
    answers_with(server, seoul)
    seoul.do("http status 500")
    answers_with(server, tokyo)
    down = server.endpoint(SERVICE, seoul.address)
    assert down["state"] == "down" and "HTTP CRITICAL" in str(down), down
    seoul.do("http heal")
    answers_with(server, seoul)


def test_a_program_without_an_answer_is_killed(w):
    seoul, tokyo, _ = regions = w.three_regions()
    hang = os.path.join(w.folder, "hang")
    path = script(w, "check", f'[ "$LEEWARD_ADDRESS" = {seoul.address} ] && [ -e {hang} ] && '
                              "exec sleep 1000\necho fine\n")
    server = w.start(told(regions, {"exec": {"command": [path]}}, timeout=patience.ms(1000)))
    answers_with(server, seoul)
    (spawner,) = children_of(server.process.pid)
    w.write_file("hang", "")
    answers_with(server, tokyo)
    os.unlink(hang)
    answers_with(server, seoul)
    patience.until(lambda: not any(is_sleeping(pid) for pid in children_of(spawner)),
                   "no program is left of those that hung")
    server.stop()
    patience.until(lambda: not is_alive(spawner), "the spawner ends with the server")


def is_sleeping(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().startswith(b"sleep")
    except OSError:
        return False


def test_a_program_that_is_gone_changes_nothing_and_is_told_of(w):
    seoul = w.region("seoul", "127.0.1.1", 1)
    program = script(w, "plugin", "exit 0\n")
    server = w.start(told([seoul], {"exec": {"command": [program]}}))
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "up", "it is up")
    os.unlink(program)
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "stale",
                   lambda: f"it is stale, but {server.endpoint(SERVICE, seoul.address)}")
    assert server.addresses_of(SERVICE) == {seoul.address}
    assert "No such file" in server.run_cli("status").stdout, server.run_cli("status").stdout
    assert "to=stale" in server.log_text()


def test_without_programs_there_is_no_spawner(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    answers_with(server, regions[0])
    assert children_of(server.process.pid) == []


# ---- reports


def push(server, *arguments):
    done = server.run_cli("push", *arguments)
    assert done.returncode == 0, done
    return done.stdout


def test_a_report_moves_the_answer_and_its_silence_too(w):
    seoul, tokyo, _ = regions = w.three_regions()
    sections = told(regions, {"push": {"ttl": "1h"}})
    server = w.start(sections, ready=False)
    for region in regions:
        push(server, f"{SERVICE}/{region.address}", "up")
    answers_with(server, seoul)
    said = push(server, f"{SERVICE}/{seoul.address}", "down", "--message", "disk full")
    assert "is down for" in said and "1 probe" in said, said
    answers_with(server, tokyo)
    assert "disk full" in str(server.endpoint(SERVICE, seoul.address))
    push(server, f"{SERVICE}/{seoul.address}", "up")
    answers_with(server, seoul)
    push(server, f"{SERVICE}/{seoul.address}", "up", "--ttl", "1s")
    answers_with(server, tokyo)
    assert "no report for" in str(server.endpoint(SERVICE, seoul.address))


def test_a_report_about_nothing_is_refused(w):
    regions = w.three_regions()
    server = w.start(told(regions, {"push": {"ttl": "1h"}}), ready=False)
    done = server.run_cli("push", "api.svc.exampel.com", "up")
    assert done.returncode == 1 and f"did you mean '{SERVICE}'?" in done.stderr, done
    done = server.run_cli("push", SERVICE + "/192.0.2.99", "up")
    assert done.returncode == 1 and "of no endpoint at 192.0.2.99" in done.stderr, done


# ---- files


def test_a_file_moves_the_answer(w):
    seoul, tokyo, _ = regions = w.three_regions()
    for region in regions:
        w.write_file(f"{region.address}.state", "up\n")
    path = os.path.join(w.folder, "{address}.state")
    server = w.start(told(regions, {"file": {"path": path}}))
    answers_with(server, seoul)
    w.write_file(f"{seoul.address}.state", "down: repairs\n")
    answers_with(server, tokyo)
    assert "repairs" in str(server.endpoint(SERVICE, seoul.address))
    w.write_file(f"{seoul.address}.state", "up\n")
    answers_with(server, seoul)
    os.unlink(os.path.join(w.folder, f"{seoul.address}.state"))
    answers_with(server, tokyo)
    assert "no file" in str(server.endpoint(SERVICE, seoul.address))


# ---- echoes


def test_loopback_echoes(w):
    regions = w.three_regions()
    server = w.start(told(regions, {"icmp": {}}))
    patience.until(lambda: "no right to send ICMP" in server.log_text() or
                   server.endpoint(SERVICE, regions[0].address)["state"] == "up",
                   "the endpoint is up, or nobody may ask it")
    if "no right to send ICMP" in server.log_text():
        raise Skip("neither raw nor ping sockets are allowed here")
    answers_with(server, regions[0])
