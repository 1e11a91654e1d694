"""Each kind of check against the real thing: nginx, unbound, openssl, servers of a few lines."""

import os
import socket
import threading

from lib import dns, patience
from lib.certificates import Authority
from lib.others import Nginx, TlsServer, Unbound
from lib.told import Told
from lib.world import (SERVICE, answers_with, config, http_check, service, timing, tsan)

# What a stranger takes long for on a busy machine is not what these tests are about.
PATIENT = {**timing(), "interval": patience.ms(200), "timeout": patience.ms(4000),
           "silent_fall": 10, "rise": 1, "hold_down": "0s"}


def judged(endpoints, **checks):
    """A configuration in which each check judges these addresses; services are named after them."""
    for check in checks.values():
        for kind in check.keys() & {"http", "tcp"}:
            check[kind].setdefault("port", 80)  # that of each endpoint counts
    return {"regions": {"seoul": {"minimum_healthy": 0}},
            "services": {f"{name}.example": {
                "minimum_healthy": 1, "check": {**PATIENT, **check},
                "endpoints": {"seoul": endpoints}} for name, check in checks.items()}}


def becomes(server, name, address, state, said=""):
    """Wait until a check's service has the address in this state, for a reason in these words."""
    def look():
        pools = server.get(f"/api/v1/services/{name}.example")["pools"]
        found = next(e for pool in pools for e in pool["endpoints"]
                     if e["address"].rsplit(":", 1)[0] == address)
        return found["state"], found["checks"][0]["reason"]

    patience.until(lambda: look()[0] == state and said in look()[1],
                   lambda: f"{name}: {address} is {state}, {said}, but {look()}")


# ---- http


def test_nginx_is_sent_the_method_the_headers_and_the_host_it_wants(w):
    nginx = Nginx(w, """
        server { listen 127.0.1.1:PORT default_server; return 403; }
        server {
          listen 127.0.1.1:PORT;
          server_name inner.example;
          if ($request_method != HEAD) { return 405; }
          if ($http_x_probe != "of leeward") { return 401; }
          location = /fine { return 204; }
        }""", "127.0.1.1").start()
    wanted = {"method": "HEAD", "host": "inner.example", "path": "/fine",
              "headers": {"X-Probe": "of leeward"}}
    server = w.start(judged(
        [nginx.at()], right={"http": wanted},
        host={"http": {**wanted, "host": "outer.example"}},
        method={"http": {**wanted, "method": "GET"}},
        header={"http": {**wanted, "headers": {"X-Probe": "of nobody"}}},
        path={"http": {**wanted, "path": "/lost"}},
        listed={"http": {**wanted, "path": "/lost", "expect": {"status": [200, "404-410"]}}}))
    for name, status in (("host", 403), ("method", 405), ("header", 401), ("path", 404)):
        becomes(server, name, "127.0.1.1", "down", f"status {status}")
    becomes(server, "right", "127.0.1.1", "up")
    becomes(server, "listed", "127.0.1.1", "up")
    nginx.kill()
    becomes(server, "right", "127.0.1.1", "down", "refused")
    assert nginx.start_again()
    becomes(server, "right", "127.0.1.1", "up")


def test_a_redirect_is_not_followed(w):
    nginx = Nginx(w, """
        server {
          listen 127.0.1.1:PORT;
          location = / { return 301 /elsewhere; }
          location = /elsewhere { return 200; }
        }""", "127.0.1.1").start()
    server = w.start(judged([nginx.at()], usual={"http": {}},
                            wanted={"http": {"expect": {"status": 301}}}))
    becomes(server, "usual", "127.0.1.1", "down", "status 301")
    becomes(server, "wanted", "127.0.1.1", "up")
    assert set(nginx.requests()) == {"GET / HTTP/1.1"}, set(nginx.requests())


HEALTH = '{"release": "4.2.1", "parts": {"db/main": {"ok": %s, "lag": 3}}}\n'


@tsan
def test_what_nginx_serves_must_match(w):
    nginx = Nginx(w, "server { listen 127.0.1.1:PORT; }", "127.0.1.1")
    nginx.write("health", HEALTH % "true")
    nginx.start()

    def expecting(**what):
        return {"http": {"path": "/health", "expect": what}}

    server = w.start(judged(
        [nginx.at()],
        text=expecting(body='"release"'), other_text=expecting(body="released"),
        match=expecting(match='"release": "4\\.[0-9]+\\.[0-9]+"'),
        other_match=expecting(match='"release": "5\\.'),
        pointer=expecting(json={"pointer": "/parts/db~1main/ok", "value": True}),
        number=expecting(json={"pointer": "/parts/db~1main/lag", "value": 3}),
        no_pointer=expecting(json={"pointer": "/parts/cache"})))
    for name in ("text", "match", "pointer", "number"):
        becomes(server, name, "127.0.1.1", "up")
    for name in ("other_text", "other_match", "no_pointer"):
        becomes(server, name, "127.0.1.1", "down")
    nginx.write("health", HEALTH % "false")
    becomes(server, "pointer", "127.0.1.1", "down", "/parts/db~1main/ok")
    nginx.write("health", "{")
    becomes(server, "number", "127.0.1.1", "down", "JSON")
    nginx.write("health", HEALTH % "true")
    becomes(server, "pointer", "127.0.1.1", "up")


# ---- https


def test_nginx_must_have_a_good_certificate(w):
    authority = Authority(w.folder)
    authority.signed("good", "strict.example")
    authority.signed("expired", "strict.example", days=-1)
    authority.signed("other", "other.example")
    authority.self_signed("own", "strict.example")
    authority.signed("soon", "strict.example", days=5)
    files = ("good", "expired", "other", "own", "soon")
    addresses = [f"127.0.1.{i}" for i in range(1, 6)]
    nginx = Nginx(w, "".join(f"""
        server {{
          listen {address}:PORT ssl;
          ssl_certificate FOLDER/{file}.crt;
          ssl_certificate_key FOLDER/{file}.key;
          return 200;
        }}""" for address, file in zip(addresses, files)), *addresses).start()
    server = w.start(judged([nginx.at(a) for a in addresses],
                            strict={"https": {"ca_file": authority.path}},
                            loose={"https": {"verify": False, "days_left": 0}}))
    good, expired, other, own, soon = addresses
    becomes(server, "strict", good, "up", "status 200")
    becomes(server, "strict", expired, "down", "expired")
    becomes(server, "strict", other, "down", "another name")
    becomes(server, "strict", own, "down", "not signed by a trusted authority")
    becomes(server, "strict", soon, "degraded", "certificate expires in")
    for address in addresses:
        becomes(server, "loose", address, "up")
    assert server.addresses_of("strict.example") == {good}
    assert server.addresses_of("loose.example") == set(addresses)
    authority.signed("expired", "strict.example")
    nginx.kill()
    assert nginx.start_again()
    becomes(server, "strict", expired, "up", "status 200")


def test_nginx_is_told_the_name_before_it_shows_a_certificate(w):
    authority = Authority(w.folder)
    for name in ("well.example", "ill.example"):
        authority.signed(name, name)
    nginx = Nginx(w, "".join(f"""
        server {{
          listen 127.0.1.1:PORT ssl;
          server_name {name};
          ssl_certificate FOLDER/{name}.crt;
          ssl_certificate_key FOLDER/{name}.key;
          return {status};
        }}""" for name, status in (("ill.example", 503), ("well.example", 200))),
                  "127.0.1.1").start()

    def asking(host, name):
        return {"https": {"ca_file": authority.path, "host": host, "name": name}}

    server = w.start(judged(
        [nginx.at()], both_well=asking("well.example", "well.example"),
        both_ill=asking("ill.example", "ill.example"),
        neither=asking("well.example", "nobody.example"),
        of_host={"https": {"ca_file": authority.path, "host": "well.example"}},
        well={"https": {"ca_file": authority.path}}))
    for name in ("both_well", "of_host", "well"):
        becomes(server, name, "127.0.1.1", "up", "status 200")
    becomes(server, "both_ill", "127.0.1.1", "down", "status 503")
    becomes(server, "neither", "127.0.1.1", "down", "another name")


# ---- dns


RECORDS = ["corp.example. 5 MX 10 mail.corp.example.", "corp.example. 5 NS ns1.corp.example.",
           'corp.example. 5 TXT "v=spf1 -all"', "www.corp.example. 5 A 192.0.2.80",
           "www.corp.example. 5 A 192.0.2.81",
           "_sip._tcp.corp.example. 5 SRV 1 2 5060 sip.example."]


def dns_checks(transport, **more):
    def asking(rtype, name="corp.example", **expect):
        return {"dns": {"name": name, "type": rtype, "transport": transport, "expect": expect,
                        **more}}

    right = {"mx": asking("MX", match="^10 mail\\.corp\\.example\\.$"),
             "ns": asking("NS", match="^ns1\\."),
             "txt": asking("TXT", match="v=spf1 .*-all"),
             "srv": asking("SRV", "_sip._tcp.corp.example", match="5060 sip"),
             "typed": asking("TYPE15", match="mail"),
             "address": asking("A", "www.corp.example", address=["192.0.2.80", "192.0.2.81"]),
             "absent": asking("A", "gone.corp.example", rcode="NXDOMAIN")}
    wrong = {"other-mx": asking("MX", match="^20 "),
             "other-txt": asking("TXT", match="redirect="),
             "other-address": asking("A", "www.corp.example", address="192.0.2.82"),
             "present": asking("A", "www.corp.example", rcode="NXDOMAIN")}
    return right, wrong


def unbound_is_judged(w, transport, only=(), **more):
    authority = Authority(w.folder)
    authority.signed("resolver", "resolver.test")
    unbound = Unbound(w, RECORDS, authority.file("resolver"), "127.0.1.1").start()
    right, wrong = ({name: check for name, check in checks.items() if not only or name in only}
                    for checks in dns_checks(transport, **more))
    at = unbound.at_tls() if transport == "tls" else unbound.at()
    server = w.start(judged([at], **right, **wrong))
    for name in right:
        becomes(server, name, "127.0.1.1", "up")
    for name in wrong:
        becomes(server, name, "127.0.1.1", "down")
    unbound.kill()
    for name in right:
        becomes(server, name, "127.0.1.1", "down", "refused")
    assert unbound.start_again()
    for name in right:
        becomes(server, name, "127.0.1.1", "up")


def test_unbound_answers_every_type_over_udp(w):
    unbound_is_judged(w, "udp")


def test_unbound_answers_every_type_over_tcp(w):
    unbound_is_judged(w, "tcp")


def test_unbound_answers_over_tls(w):
    unbound_is_judged(w, "tls", ("mx", "txt", "absent", "other-mx"),
                      tls={"name": "resolver.test",
                           "ca_file": os.path.join(w.folder, "authority.crt")})


# ---- tls


def test_a_tls_server_must_show_a_good_certificate(w):
    authority = Authority(w.folder)
    authority.signed("good", "mail.example")
    authority.signed("soon", "mail.example", days=5)
    authority.signed("expired", "mail.example", days=-1)
    good, soon, expired = (TlsServer(w, authority.file(file), f"127.0.1.{i}").start()
                           for i, file in enumerate(("good", "soon", "expired"), 1))
    plain = w.region("plain", "127.0.1.4", 4)
    shown = {"tls": {"name": "mail.example", "ca_file": authority.path}}
    server = w.start(judged([good.at(), soon.at(), expired.at(), plain.tcp], shown=shown))
    becomes(server, "shown", "127.0.1.1", "up", "certificate good for")
    becomes(server, "shown", "127.0.1.2", "degraded", "certificate expires in")
    becomes(server, "shown", "127.0.1.3", "down", "expired")
    becomes(server, "shown", "127.0.1.4", "down")  # it greets, but not in TLS
    assert server.addresses_of("shown.example") == {"127.0.1.1"}
    good.kill()
    becomes(server, "shown", "127.0.1.1", "down", "refused")
    assert server.addresses_of("shown.example") == {"127.0.1.2"}, "better than nothing"
    assert good.start_again()
    becomes(server, "shown", "127.0.1.1", "up")


# ---- tcp


class Talker:
    """Answers each line with `reply` and what the line was."""

    def __init__(self, address, reply):
        self.reply = reply
        self.listener = socket.create_server((address, 0))
        self.at = f"{address}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        try:
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    stream.write(self.reply + line)
                    stream.flush()
        except OSError:
            pass


def test_a_conversation_over_tcp_must_go_as_expected(w):
    talker = Talker("127.0.1.1", b"+PONG for ")
    region = w.region("seoul", "127.0.1.2", 2)
    # what is not as expected may still become it, until the time is up
    soon = {"timeout": patience.ms(500)}
    ping = {"tcp": {"send": "PING\r\n", "expect": "+PONG for PING\r\n"}, **soon}
    greeting = {"tcp": {"expect": "leeward-region seoul"}, **soon}
    server = w.start(judged([talker.at, region.tcp], ping=ping, greeting=greeting))
    becomes(server, "ping", "127.0.1.1", "up")
    becomes(server, "greeting", "127.0.1.2", "up")
    talker.reply = b"-LOADING "
    becomes(server, "ping", "127.0.1.1", "down", "reply not as expected")
    talker.reply = b"+PONG for "
    becomes(server, "ping", "127.0.1.1", "up")
    region.do("tcp garbage")
    becomes(server, "greeting", "127.0.1.2", "down")
    region.do("tcp die")
    becomes(server, "greeting", "127.0.1.2", "down", "refused")
    region.heal()
    becomes(server, "greeting", "127.0.1.2", "up")


# ---- conditions


HERE, THERE = "192.0.2.1", "192.0.2.2"


def conditional(w, condition, **sections):
    """Seoul's endpoint is judged by a condition; Tokyo's is behind it and well."""
    return {"regions": {"seoul": {"minimum_healthy": 0}, "tokyo": {"minimum_healthy": 0}},
            "services": {SERVICE: {
                "minimum_healthy": 1, "order": ["seoul", "tokyo"],
                "endpoints": {"seoul": [HERE], "tokyo": [THERE]}, "check": condition}},
            **sections}


def all_marks(w):
    """What is said of both endpoints under a, b and c."""
    return {mark: Told(w, HERE, THERE, mark=mark) for mark in "abc"}


def follows_the_table(w, condition_of, holds):
    """The endpoint goes as the expression says, for all that may be said under a, b and c."""
    marks = all_marks(w)
    server = w.start(conditional(w, condition_of({m: marks[m].check for m in marks})))
    for bits in (7, 3, 1, 5, 4, 6, 2, 0, 7):  # all of them; all change in both directions
        said = {mark: bool(bits >> i & 1) for i, mark in enumerate("abc")}
        for mark, well in said.items():
            marks[mark].say(HERE, "up" if well else "down")
        wanted = HERE if holds(**said) else THERE
        patience.until(lambda: server.addresses_of(SERVICE) == {wanted},
                       lambda: f"{wanted} while {said}: {server.addresses_of(SERVICE)}")
        state = server.endpoint(SERVICE, HERE)["state"]
        assert (state == "down") == (wanted == THERE), (said, state)
    return server, marks


def test_all_of_several_checks(w):
    follows_the_table(w, lambda c: {"all": [c["a"], c["b"], c["c"]]},
                      lambda a, b, c: a and b and c)


def test_any_of_several_checks(w):
    follows_the_table(w, lambda c: {"any": [c["a"], c["b"]]}, lambda a, b, c: a or b)


@tsan
def test_at_least_two_of_three_checks(w):
    server, marks = follows_the_table(
        w, lambda c: {"at_least": 2, "of": [c["a"], c["b"], c["c"]]},
        lambda a, b, c: a + b + c >= 2)
    marks["a"].say(HERE, "down")
    marks["b"].say(HERE, "down: no room left")
    marks["c"].say(HERE, "up")

    def failing():
        return server.endpoint(SERVICE, HERE).get("failing", "")

    def are_a_and_b(said):
        return said.count("does not pass") == 2 and f"{HERE}.c" not in said

    patience.until(lambda: are_a_and_b(failing()), failing)
    assert server.addresses_of(SERVICE) == {THERE}, "two have failed"
    why = server.run_cli("why", SERVICE).stdout
    assert "no room left" in why and "does not pass" in why, why


def test_conditions_within_conditions(w):
    marks = all_marks(w)
    marks["c"].say(THERE, "down")
    server = w.start(conditional(w, {"all": [{"any": [marks["a"].check, marks["b"].check]},
                                             {"not": marks["c"].check}]}))
    for a, b, c in ((1, 1, 0), (0, 1, 0), (0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 1, 0), (0, 1, 1)):
        for mark, well in zip("abc", (a, b, c)):
            marks[mark].say(HERE, "up" if well else "down")
        wanted = HERE if (a or b) and not c else THERE
        patience.until(lambda: server.addresses_of(SERVICE) == {wanted},
                       lambda: f"{wanted} while {(a, b, c)}: {server.addresses_of(SERVICE)}")


def test_a_region_in_a_condition(w):
    seoul, tokyo, _ = regions = w.three_regions()
    of = service(regions, check={"any": [{"region": "tokyo"}, Told(w).check]})
    server = w.start(config(regions, {SERVICE: of}))
    answers_with(server, seoul)
    tokyo.do("dns die")
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] == "down",
                   "Seoul's endpoint counts on Tokyo")
    assert "region tokyo is not in" in server.endpoint(SERVICE, seoul.address)["failing"]
    tokyo.heal()
    patience.until(lambda: server.endpoint(SERVICE, seoul.address)["state"] != "down",
                   "Tokyo is in again")
    answers_with(server, seoul)


def test_a_service_in_a_condition(w):
    database = Told(w, "192.0.2.51", "192.0.2.52", mark="db")
    web = Told(w, HERE, THERE)
    whole = conditional(w, {"all": [web.check, {"service": "db.example"}]})
    whole["services"]["db.example"] = {
        "minimum_healthy": 1, "check": database.check,
        "endpoints": {"seoul": ["192.0.2.51"], "tokyo": ["192.0.2.52"]}}
    whole["services"][SERVICE]["on_all_down"] = "servfail"
    server = w.start(whole)
    patience.until(lambda: server.addresses_of(SERVICE) == {HERE}, "all is well")
    database.say("192.0.2.51", "down")
    patience.until(lambda: server.addresses_of("db.example") == {"192.0.2.52"}, "it has moved")
    assert server.addresses_of(SERVICE) == {HERE}, "it stands well in some region"
    database.say("192.0.2.52", "down")
    patience.until(lambda: server.ask(SERVICE).rcode == dns.SERVFAIL, "nothing to stand on")
    assert server.endpoint(SERVICE, HERE)["failing"] == "service db.example is not healthy"
    database.say("192.0.2.52", "up")
    patience.until(lambda: server.addresses_of(SERVICE) == {HERE}, "all is well again")


# ---- degraded


def test_a_slow_endpoint_is_passed_over_while_a_well_one_is_there(w):
    quick, slow = w.region("quick", "127.0.1.1", 1), w.region("slow", "127.0.1.2", 2)
    check = http_check({**PATIENT, "degraded_above": patience.ms(500)})
    server = w.start(judged([quick.http, slow.http], web=check))
    patience.until(lambda: server.addresses_of("web.example") == {"127.0.1.1", "127.0.1.2"},
                   "both answer")
    slow.do(f"http slow {round(patience.seconds(700))}")
    becomes(server, "web", "127.0.1.2", "degraded")
    patience.until(lambda: server.addresses_of("web.example") == {"127.0.1.1"}, "it is passed over")
    patience.until(lambda: "degraded, and others are well" in
                   server.run_cli("why", "web.example").stdout, "why says so")
    quick.do("http die")
    patience.until(lambda: server.addresses_of("web.example") == {"127.0.1.2"},
                   "alone it is used")
    slow.heal()
    becomes(server, "web", "127.0.1.2", "up")


def test_a_program_that_warns_degrades_its_endpoint(w):
    path = w.write_file("check", "#!/bin/sh\nread code text < $LEEWARD_ADDRESS.code\n"
                                 'echo "$text"\nexit $code\n')
    os.chmod(path, 0o755)
    for address in (HERE, THERE):
        w.write_file(f"{address}.code", "0 fine\n")
    script = w.write_file("run", f"#!/bin/sh\ncd {w.folder} && exec ./check\n")
    os.chmod(script, 0o755)
    server = w.start(judged([HERE, THERE], plugin={"exec": {"command": [script]}}))
    patience.until(lambda: server.addresses_of("plugin.example") == {HERE, THERE}, "both are well")
    w.write_file(f"{HERE}.code", "1 WARNING: nearly full\n")
    becomes(server, "plugin", HERE, "degraded", "nearly full")
    patience.until(lambda: server.addresses_of("plugin.example") == {THERE}, "it is passed over")
    w.write_file(f"{THERE}.code", "2 CRITICAL: full\n")
    becomes(server, "plugin", THERE, "down", "full")
    assert server.addresses_of("plugin.example") == {HERE}, "better than nothing"
    w.write_file(f"{THERE}.code", "0 fine\n")
    patience.until(lambda: server.addresses_of("plugin.example") == {THERE}, "well again")


# ---- detection that weighs


def test_a_clean_target_is_left_on_weighed_evidence_as_soon_as_on_counted(w):
    regions = w.three_regions()
    weighed = timing(fall="auto", false_alarm="1/30d")
    del weighed["silent_fall"]
    services = {name: service(regions, check=http_check(times, host="web.example"))
                for name, times in (("weighed.example", weighed), ("counted.example", timing()))}
    server = w.start(config(regions, services, gates=False))
    for name in services:
        answers_with(server, regions[0], name=name)
    regions[0].do("http status 500")
    for name in services:
        answers_with(server, regions[1], name=name)
    downs = sorted(line for line in server.log_text().splitlines() if "check down" in line)
    counted = [line for line in downs if " failed=3/3 " in line]
    weighed = [line for line in downs if " evidence=" in line and " failed=3 " in line]
    assert len(counted) == 1 and len(weighed) == 1 and len(downs) == 2, downs
    regions[0].heal()
    for name in services:
        answers_with(server, regions[0], name=name)
