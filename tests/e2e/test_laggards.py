"""Why an answer is what it is, said to clients; and which clients have not heard of the new one."""

import json
import re
import struct

from lib import dns, patience
from lib.world import SERVICE, answers_with, config, service, tsan

OLD, NEW = "127.0.0.9", "127.0.0.10"


def laggards(server, name=SERVICE):
    done = server.run_cli("laggards", name, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def clients_of(reply):
    return {(c["client"], c["type"]) for c in reply["clients"]}


def ask_from(server, source):
    wire = dns.make_query(SERVICE)
    return dns.Message(dns.udp_exchange(server.at, wire, source=source)).addresses


@tsan
def test_a_client_with_the_old_answer_is_a_laggard_until_it_asks(w):
    seoul, tokyo, _ = regions = w.three_regions()
    ttl = {"normal": "2s", "suspect": "1s"}
    server = w.start(config(regions, {SERVICE: service(regions, ttl=ttl)}, laggards=1000,
                            node={"threads": 2}))
    answers_with(server, seoul)
    for source in (OLD, NEW):
        assert ask_from(server, source) == {seoul.address}
    before = laggards(server)
    assert before["remembered"] >= 2 and before["lagging"] == 0, before
    seoul.do("http die")
    answers_with(server, tokyo)
    assert ask_from(server, NEW) == {tokyo.address}
    reply = laggards(server)
    assert clients_of(reply) == {(OLD, "A")}, reply
    assert reply["clients"][0]["region"] == "seoul", reply
    patience.until(lambda: laggards(server)["clients"][0]["expired"], "its TTL runs out")
    reply = laggards(server)
    assert reply["expired"] == 1 and reply["clients"][0]["ttl_left_ms"] <= 0, reply
    shown = server.run_cli("laggards", SERVICE).stdout
    assert OLD in shown and "out since" in shown and NEW not in shown, shown
    server.reload_with(dict(server.config, log={"level": "debug"}))  # does not forget them
    assert clients_of(laggards(server)) == {(OLD, "A")}
    assert ask_from(server, OLD) == {tokyo.address}
    assert laggards(server)["lagging"] == 0


def test_over_tcp_too_and_more_or_less_of_them(w):
    seoul, tokyo, _ = regions = w.three_regions()
    whole = config(regions)
    server = w.start(whole)
    answers_with(server, seoul)
    done = server.run_cli("laggards", SERVICE)
    assert done.returncode == 1 and "laggards: 10000" in done.stderr, done
    server.reload_with(dict(whole, laggards=10))
    with dns.Stream(server.at, source=OLD) as stream:
        stream.send(dns.make_query(SERVICE))
        assert dns.Message(stream.receive()).addresses == {seoul.address}
    assert laggards(server)["remembered"] == 1
    seoul.do("http die")
    answers_with(server, tokyo)
    assert clients_of(laggards(server)) == {(OLD, "A")}
    done = server.run_cli("laggards", "nothing.svc.example.com")
    assert done.returncode == 1 and "no service" in done.stderr, done
    server.reload_with(dict(whole, laggards=20))  # another size begins anew
    assert laggards(server)["lagging"] == 0
    server.reload_with(whole)
    assert server.run_cli("laggards", SERVICE).returncode == 1


@tsan
def test_who_asks_why_is_told(w):
    seoul, tokyo, _ = regions = w.three_regions()
    server = w.start(config(regions))
    answers_with(server, seoul)
    wish = struct.pack("!HH", dns.EDE, 0)
    assert server.ask(SERVICE).ede is None
    code, text = server.ask(SERVICE, options=wish).ede
    assert code == 0 and text.startswith(SERVICE) and "rung 1 (in): seoul" in text, text
    seoul.do("http die")
    answers_with(server, tokyo)
    code, text = server.ask(SERVICE, options=wish).ede
    assert "tokyo (in, 1 of 1 up)" in text, text
    # since when, by which check, on what evidence, and what would change it
    assert re.search(r"not seoul \(in, 0 of 1 up; %s down for \d+m?s: seoul http %s:\d+/\S* ?"
                     r".*(refused|reset).*; back \d+m?s after they pass\)" %
                     (re.escape(seoul.address), re.escape(seoul.address)), text), text
    assert "; if tokyo fails: singapore; " in text, text
    shown = server.run_cli("query", SERVICE, "--explain").stdout
    assert "extended error 0 (Other): " + SERVICE in shown and tokyo.address in shown, shown
    for option in ("--json", "-e"), ("--json", "-e", "-t"):
        (error,) = json.loads(server.run_cli("query", SERVICE, *option).stdout)["extended_errors"]
        assert error["code"] == 0 and "tokyo" in error["text"], error
