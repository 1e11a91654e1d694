"""The operator's hand: drains, forces, reviews, simulations, and what is kept of them."""

import json
import os
import re
import signal

from lib import dns, patience
from lib.world import (SERVICE, answers_with, config, dns_check, http_check, service, timing, tsan,
                       watch)

OTHER = "db.svc.example.com"
WHY = ("--reason", "a test")


def done(server, *arguments):
    """The command's output; it must say yes."""
    result = server.run_cli(*arguments)
    assert result.returncode == 0, f"{arguments}: {result.returncode} {result.stderr}"
    return result.stdout


def refused(server, *arguments, code=1):
    """What the command complains of; it must say no."""
    result = server.run_cli(*arguments)
    assert result.returncode == code, f"{arguments}: {result.returncode} {result.stdout}"
    return result.stdout + result.stderr


def history(server, *arguments):
    """The entries of the journal once they are on disk."""
    return json.loads(done(server, "history", "--json", *arguments))["entries"]


def rung(server):
    return server.status_of_service(SERVICE)["answer"]["A"]["rung"]


def two_services(regions, **changes):
    return config(regions, {SERVICE: service(regions), OTHER: service(regions, **changes)})


@tsan
def test_a_drained_region_is_left_and_taken_again(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions))
    answers_with(server, seoul)
    with watch(server) as client:
        said = done(server, "drain", "seoul", *WHY, "--for", "1h")
        assert "seoul" in said and "a test" in said, said
        answers_with(server, tokyo)
        assert server.status_of_region("seoul")["state"] == "drained"
        why = done(server, "why", SERVICE)
        assert "drained" in why, why
        done(server, "undrain", "seoul")
        answers_with(server, seoul)
        patience.until(lambda: client.changes() == 2, client.answers)
    patience.until(lambda: len(history(server, "seoul")) >= 2, "both are in the journal")
    entries = [e for e in history(server) if e["kind"] == "override"]
    assert [e["from"] for e in entries] == ["set", "released"], entries
    assert "uid" in entries[0]["author"], entries


def test_a_drain_of_one_service_leaves_the_others(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(two_services(regions))
    done(server, "drain", "seoul/db", *WHY)
    answers_with(server, tokyo, name=OTHER)
    answers_with(server, seoul)
    done(server, "release", "seoul/db")
    answers_with(server, seoul, name=OTHER)


def test_who_leans_on_a_service_sees_the_hand_on_it(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    leaning = service(regions[1:2], on_all_down="servfail", check={"all": [
        {"service": OTHER}, http_check()]})
    server = w.start(config(regions, {SERVICE: leaning, OTHER: service(regions[:1])}))
    answers_with(server, tokyo)
    complaint = refused(server, "drain", "seoul/db", *WHY)
    assert SERVICE in complaint and "2 services" in complaint, complaint
    for said in (("force", "down", "seoul/db", *WHY), ("drain", "seoul/db", *WHY, "--force")):
        done(server, *said)
        patience.until(lambda: server.ask(SERVICE).rcode == dns.SERVFAIL, "it leans on that")
        done(server, "release", "seoul/db")
        answers_with(server, tokyo)


def test_a_drain_that_leaves_too_little_needs_force(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    assert "minimum_regions" in refused(server, "drain", "*", *WHY)
    done(server, "drain", "seoul", *WHY)
    done(server, "drain", "tokyo", *WHY)
    complaint = refused(server, "drain", "singapore", *WHY)
    assert "only 0 regions would stay in" in complaint, complaint
    done(server, "drain", "singapore", *WHY, "--force")
    answers_with(server, *regions)  # rung 5: what is up in drained regions


def test_what_makes_no_sense_is_explained(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    assert "did you mean 'seoul'?" in refused(server, "drain", "seol", *WHY)
    assert "--reason" in refused(server, "drain", "seoul", code=2)
    assert "nothing was said" in refused(server, "undrain", "seoul")
    assert "up or down" in refused(server, "force", "sideways", "seoul", *WHY, code=2)


def test_force_outranks_drain_and_checks(w):
    regions = w.three_regions()
    seoul, tokyo, singapore = regions
    server = w.start(config(regions))
    answers_with(server, seoul)
    seoul.do("dns die")
    answers_with(server, tokyo)
    done(server, "force", "up", "seoul", *WHY)
    answers_with(server, seoul)
    done(server, "drain", "seoul", *WHY)
    answers_with(server, seoul)
    done(server, "force", "down", "seoul", *WHY)
    answers_with(server, tokyo)
    done(server, "force", "down", f"{tokyo.address}", *WHY)
    answers_with(server, singapore)
    seoul.heal("dns")
    done(server, "release", "seoul")
    answers_with(server, seoul)


def test_a_port_written_does_not_widen_what_is_meant(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    by_tcp = {"tcp": {"port": 80}, **timing()}
    server = w.start(config(regions, {
        SERVICE: service(regions),
        OTHER: service(regions[:1], check=by_tcp, endpoints={"seoul": [seoul.tcp]}),
    }, gates=False))
    answers_with(server, seoul)
    assert seoul.tcp in refused(server, "force", "down", seoul.http, *WHY)
    said = refused(server, "force", "down", f"{seoul.address}:1", *WHY)
    assert f"there is {seoul.address}:" in said, said
    done(server, "force", "down", tokyo.http, *WHY)  # nothing else is there
    done(server, "force", "down", seoul.address, *WHY)
    patience.until(lambda: server.endpoint(OTHER, seoul.address)["state"] == "forced down",
                   "both of Seoul's are meant")


def test_what_is_forced_down_is_never_answered(w):
    regions = w.three_regions()
    seoul, tokyo, singapore = regions
    server = w.start(config(regions, {SERVICE: service(regions, on_all_down="all")}, gates=False))
    answers_with(server, seoul)
    done(server, "force", "down", seoul.address, *WHY)
    answers_with(server, tokyo)
    for region in (singapore, tokyo):
        region.do("http die")
    answers_with(server, tokyo, singapore)  # rung 6: all, without seoul's
    assert rung(server) == 6


def test_what_was_said_outlives_restart_and_kill(w):
    regions = w.three_regions()
    _, tokyo, singapore = regions
    server = w.start(two_services(regions))
    done(server, "drain", "seoul", *WHY)
    done(server, "force", "down", "tokyo/api", *WHY)
    answers_with(server, singapore)
    server.restart()
    answers_with(server, singapore)
    answers_with(server, tokyo, name=OTHER)
    server.kill()
    server.spawn()
    patience.until(server.is_listening, "it answers again")
    server.wait_ready()
    answers_with(server, singapore)
    listed = server.status()["overrides"]
    assert {o["target"] for o in listed} == {"seoul", "tokyo/api"}, listed


def test_a_damaged_file_of_overrides_is_set_aside(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    done(server, "drain", "seoul", *WHY)
    server.stop()
    path = os.path.join(server.state_path, "overrides.json")
    with open(path, "r+b") as file:
        file.seek(20)
        file.write(b"\x00\xff")
    server.spawn()
    patience.until(server.is_listening, "it answers again")
    server.wait_ready()
    answers_with(server, regions[0])
    assert os.path.exists(path + ".damaged")
    assert "overrides cannot be read" in server.log_text()


def test_an_override_ends_when_its_time_is_over(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(config(regions))
    done(server, "drain", "seoul", *WHY, "--for", "2s")
    answers_with(server, tokyo)
    answers_with(server, seoul)
    assert server.status()["overrides"] == []


def test_a_service_with_manual_failback_returns_by_hand(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    whole = two_services(regions, failback="manual")
    server = w.start(whole)
    answers_with(server, seoul, name=OTHER)
    seoul.do("dns die")
    answers_with(server, tokyo)
    answers_with(server, tokyo, name=OTHER)
    seoul.heal("dns")
    answers_with(server, seoul)
    assert server.addresses_of(OTHER) == {tokyo.address}, "it does not move back by itself"
    server.reload_with(dict(whole, log={"level": "debug"}))
    assert server.addresses_of(OTHER) == {tokyo.address}, "nor with a reload"
    server.restart()
    answers_with(server, seoul)
    assert server.addresses_of(OTHER) == {tokyo.address}, "nor with a restart"
    assert "second choice, waits to be released" in done(server, "status")
    assert "`leeward release seoul/" in done(server, "why", OTHER)
    said = done(server, "release", "seoul/db")
    assert said == "released; no override is in force\n", said
    answers_with(server, seoul, name=OTHER)


def test_a_simulation_changes_nothing_and_tells_the_truth(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    server = w.start(two_services(regions))
    answers_with(server, seoul)
    said = done(server, "simulate", "--down", "seoul")
    assert tokyo.address in said and "2 of 2 services" in said, said
    assert server.addresses_of(SERVICE) == {seoul.address}
    everything = refused(server, "simulate", "--down", "seoul", "--down", "tokyo", "--down",
                         "singapore")
    assert "2 without a healthy region" in everything, everything
    done(server, "simulate", "--every-region", "-q")
    assert "did you mean" in refused(server, "simulate", "--down", "seol")
    seoul.do("dns die")
    answers_with(server, tokyo)  # as was foretold


def test_a_simulation_shows_who_answers_how_often_and_the_fallback(w):
    regions = w.three_regions()
    seoul, tokyo, singapore = regions
    weighed = {region.name: {"address": region.http, "capacity": capacity}
               for region, capacity in zip(regions, (1, 3, 4))}
    server = w.start(config(regions, {
        SERVICE: service(regions, steer=["capacity"],
                         endpoints={name: [pool] for name, pool in weighed.items()}),
        OTHER: service(regions, on_all_down={"fallback": ["192.0.2.80"]}),
    }, gates=False))
    answers_with(server, seoul, name=OTHER)
    said = " ".join(done(server, "simulate", "--down", "singapore").split())
    shares = re.search(r"\(seoul ([0-9.]+)%, tokyo ([0-9.]+)%\)", said)
    assert shares and float(shares[1]) < float(shares[2]) < 100, said
    assert ", singapore " in said, f"the shares now: {said}"
    said = refused(server, "simulate", "--down", "*")
    assert "fallback 192.0.2.80" in " ".join(said.split()), said


def test_why_says_what_a_region_waits_for(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    leaning = {"all": [{"region": "tokyo"}, http_check()]}
    parts = config(regions, {SERVICE: service(regions[:1], check=leaning)})
    server = w.start(parts)
    answers_with(server, seoul)
    tokyo.do("dns die")
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "down",
                   "it leans on tokyo")
    why = done(server, "why", SERVICE)
    assert "seoul answers (rung 1) when its condition holds again (now: region tokyo is not in)" \
        in why, why


def test_a_simulation_follows_who_leans_on_whom(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    leaning = service(regions, on_all_down="servfail", check={"all": [
        {"service": OTHER}, {"region": "tokyo"}, http_check()]})
    server = w.start(config(regions, {SERVICE: leaning, OTHER: service(regions[:1])}))
    answers_with(server, seoul)
    lost = {region.name: refused(server, "simulate", "--down", region.name)
            for region in (seoul, tokyo)}
    assert all(f"{SERVICE} seoul" in " ".join(said.split()) for said in lost.values()), lost
    tokyo.do("dns die")
    patience.until(lambda: server.ask(SERVICE).rcode == dns.SERVFAIL, "as was foretold")
    assert "no healthy region" in lost["tokyo"] and "servfail" in lost["tokyo"], lost


def test_a_long_history_says_that_it_is_cut(w):
    server = w.start(config(w.three_regions()))
    assert "not shown" not in done(server, "history")
    server.stop()
    line = json.dumps({"time": "2026-11-22T20:03:50.293Z", "number": 1, "kind": "override",
                       "target": "tokyo/api", "from": "set", "to": "drain", "reason": "x" * 1000})
    with open(os.path.join(server.state_path, "journal.jsonl"), "w", encoding="utf-8") as file:
        file.write((line + "\n") * 5000)
    server.spawn()
    patience.until(server.is_listening, "it answers again")
    server.wait_ready()
    assert "older ones are not shown" in done(server, "history")


def test_history_that_is_not_kept_is_no_peace(w):
    regions = w.three_regions()
    server = w.server(config(regions))
    with open(server.state_path, "w", encoding="utf-8"):
        pass  # no directory
    server.start()
    patience.until(lambda: "the journal is not kept" in server.log_text(), "it cannot be")
    assert "the journal is not kept" in refused(server, "history")


def shrunk(regions, count):
    """Seoul has four addresses in the first, `count` of them in this one."""
    addresses = [f"127.0.1.{i + 1}:{regions[0].http.rsplit(':', 1)[1]}" for i in range(count)]
    pools = {r.name: [r.http] for r in regions}
    return config(regions, {SERVICE: service(regions, check=[], endpoints=dict(
        pools, seoul=addresses))}, gates=False)


def test_a_reload_that_takes_too_much_away_needs_consent(w):
    regions = w.three_regions()
    server = w.start(shrunk(regions, 4))
    assert len(server.addresses_of(SERVICE)) == 4
    server.write_config(shrunk(regions, 1))
    said = refused(server, "review", "-c", server.config_path)
    assert "endpoints in seoul" in said and "accept" in said, said
    status, body = server.reload()
    assert status == 409 and "healthy" in body, body
    assert len(server.addresses_of(SERVICE)) == 4, "the old one goes on"
    identity = json.loads(refused(server, "review", "--json", "-c", server.config_path))["id"]
    server.reload_with(dict(shrunk(regions, 1), guards={"accept": identity}))
    assert len(server.addresses_of(SERVICE)) == 1


def test_a_region_whose_minimum_is_raised_beyond_what_passes_needs_consent(w):
    regions = w.three_regions()

    def asking(minimum):
        whole = shrunk(regions, 4)
        whole["regions"]["seoul"] = {"minimum_healthy": minimum, "checks": [dns_check(regions[0])]}
        return whole

    server = w.start(asking(0))
    regions[0].do("dns die")
    patience.until(lambda: server.status_of_region("seoul")["up"] == 0, "its check fails")
    server.write_config(asking(1))
    status, body = server.reload()
    assert status == 409 and "loses 4 of 6" in body, body
    assert len(server.addresses_of(SERVICE)) == 4, "the old one goes on"


def test_small_removals_add_up(w):
    regions = w.three_regions()
    server = w.start(shrunk(regions, 4))
    server.reload_with(shrunk(regions, 3))  # one of six
    server.write_config(shrunk(regions, 2))
    status, body = server.reload()
    assert status == 409, body
    assert len(server.addresses_of(SERVICE)) == 3


def test_an_older_generation_never_overwrites_a_newer_one(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    new = dict(config(regions), generation=42)
    old = dict(config([tokyo, seoul, regions[2]]), generation=41)
    server = w.start(new)
    server.write_config(old)
    status, body = server.reload()
    assert status == 409 and "older than 42" in body, body
    answers_with(server, seoul)
    server.restart()
    answers_with(server, seoul)  # from what was accepted last, loudly
    assert "older" in server.readyz()[1], server.readyz()
    patience.until(lambda: [e["to"] for e in history(server) if e["kind"] in ("start", "reload")]
                   == ["started", "refused", "stopped", "started", "refused"],
                   lambda: history(server))
    server.reload_with(dict(old, generation=43))
    answers_with(server, tokyo)


def test_after_crashes_in_a_row_it_starts_without_state(w):
    regions = w.three_regions()
    server = w.start(config(regions))
    server.crash_wanted = True
    for _ in range(2):
        server.send_signal(signal.SIGKILL)
        server.wait_end()
        server.spawn()
        patience.until(server.is_listening, "it answers again")
    server.wait_ready()
    assert "starting without restored state" in server.log_text(), server.log_tail()
    assert "ended abnormally" in server.readyz()[1]
    patience.until(lambda: [e["to"] for e in history(server) if e["kind"] == "guard"] ==
                   ["without restored state"], "the decision is in the journal")
    server.stop()
    server.spawn()
    patience.until(server.is_listening, "it answers again")
    server.wait_ready()
    assert "ended abnormally" not in server.readyz()[1], "a clean end ends the count"
    patience.until(lambda: [e["to"] for e in history(server) if e["kind"] == "start"] ==
                   ["started"] * 3 + ["stopped", "started"], lambda: history(server))


def test_health_is_kept_over_a_restart(w):
    regions = w.three_regions()
    seoul, tokyo, _ = regions
    slow = timing(hold_down="1h", hold_down_max="1h")
    whole = config(regions, {SERVICE: service(regions, check={
        "http": {"port": 80, "path": "/healthz"}, **slow})}, gates=False)
    server = w.start(whole)
    seoul.do("http die")
    answers_with(server, tokyo)
    seoul.heal("http")
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "held",
                   "seoul has risen")
    path = os.path.join(server.state_path, "health")
    server.restart()
    assert os.path.exists(path)
    assert server.addresses_of(SERVICE) == {tokyo.address} or \
        server.endpoint(SERVICE, seoul.address)["state"] == "up", "restored, or proved since"


def test_the_last_good_answer_is_kept_over_a_restart(w):
    regions = w.three_regions()
    seoul, tokyo, singapore = regions
    server = w.start(config(regions, gates=False))
    seoul.do("http die")
    answers_with(server, tokyo)
    for region in (singapore, tokyo):
        region.do("http die")
        patience.until(lambda address=region.address: server.endpoint(
            SERVICE, address)["state"] == "down", "it is down")
    assert rung(server) == 6, "nothing is up"
    assert server.addresses_of(SERVICE) == {tokyo.address}
    server.restart()
    patience.until(lambda: rung(server) == 6, "nothing is up")
    assert server.addresses_of(SERVICE) == {tokyo.address}, "as it was before the start"
