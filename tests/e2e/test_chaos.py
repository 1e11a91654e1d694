"""All lies at once, in an order of their own: nothing false gets through, and it passes."""

import os
import random
import threading
import time

from lib import dns
from lib.forwarding import DOMAIN, Stage
from lib.world import tsan

SECONDS = 4
CLIENTS = 4

LIES = """wrongid wrongname wrongtype foldcase noquestion noreplybit wrongport wrongaddress
    previous_instead previous_also duplicate_20 guesses_20 honest_20 delay_200 lose_50 silence
    rcode_servfail rcode_refused rcode_3000 nxdomain nodata nosoa minimum_0 ttl_0 ttl_4294967295
    chain_20 chain_500 loop_2 loop_400 dname unfinished many_200 many_4000 text_60 foreign_all
    truncate_empty truncate_full oversize garbage empty header malformed_cut malformed_counts
    malformed_pointer malformed_rdlength malformed_trailing noopt strayopt twoopts badopt optname
    optsize_1 optversion_3 option_10 option_15 ecs keepalive_10 ednsformerr ednsbadvers ednssilence
    cookies_1 cookies_2 cookiewrong cookieabsent cookieshort badcookie_once badcookie_always
    closeaccept_reset closequery_close half_silence half_reset trickle_1 reorder_5 closeafter_2
    idle_20 refuse""".split()
OF_TLS = ["certificate_expired", "tlssilence", "tlsgarbage", "noresume", "tlsversion_1.2"]
LIES += OF_TLS


class Client(threading.Thread):
    """Asks this and that; keeps what was wrong with the answers."""

    def __init__(self, at, number, stop):
        super().__init__(daemon=True)
        self.at, self.number, self.stop = at, number, stop
        self.dice = random.Random(number)
        self.count, self.bad = 0, []

    def run(self):
        while not self.stop.is_set():
            try:
                self.ask()
            except (OSError, AssertionError, dns.NoAnswer, dns.Malformed) as exc:
                self.bad.append(exc)

    def ask(self):
        dice = self.dice
        self.count += 1
        number = self.count if dice.random() < 0.6 else self.count % 9
        name = f"{dice.choice(['', 'nx.', 'nodata.', 'big.'])}c{self.number}-{number}.{DOMAIN}"
        rtype = dice.choice([dns.A, dns.A, dns.AAAA, dns.TXT, dns.ANY, 43])
        answer = dns.ask(self.at, name, rtype, tcp=dice.random() < 0.2, do=dice.random() < 0.2,
                         flags=dice.choice([0, dns.CD, dns.AD]),
                         edns=dice.choice([None, 512, 1232, 4096]))
        assert answer.rcode in (dns.NOERROR, dns.NXDOMAIN, dns.SERVFAIL), answer
        for record in answer.records:
            assert "bank" not in record.name and "192.0.2.66" not in str(record.data), answer


def lie(region, dice):
    """Some of what was on ends, and up to three lies begin."""
    if dice.random() < 0.5:
        region.do("untrick all")
    for _ in range(dice.randrange(4)):
        times = f" next={dice.randrange(1, 20)}" if dice.random() < 0.3 else ""
        word = dice.choice(LIES)
        if word in OF_TLS and "tls" not in region.ready:
            continue
        region.do(f"trick {word.replace('_', ' ')}{'' if word == 'refuse' else times}")


@tsan
def test_all_lies_at_once_deceive_nobody(w):
    folder = os.path.join(w.folder, "tls")
    os.mkdir(folder)
    stage = Stage(w, seoul=("--tls-dir", folder), cache={"size": "512KiB", "stale_wait": "50ms"})
    tls = {"name": "dns.leeward.test", "ca_file": os.path.join(folder, "ca.pem")}
    seoul, tokyo = stage.regions
    stage.server.reload_with(dict(stage.server.config, forward={".": {"upstreams": [
        {"region": "seoul", "address": seoul.dns},
        {"region": "seoul", "address": seoul.tls, "tls": tls},
        {"region": "tokyo", "address": tokyo.dns, "tcp": True}]}}))
    stop, dice = threading.Event(), random.Random(22112018)
    clients = [Client(stage.server.at, number, stop) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for region in stage.regions:
            lie(region, dice)
        if dice.random() < 0.1:
            assert stage.server.reload()[0] == 200
        if dice.random() < 0.1:
            stage.server.request("DELETE", "/api/v1/cache?name=all")
        time.sleep(0.1)
        assert not stage.server.has_ended()
    stop.set()
    for client in clients:
        client.join()
    assert not any(client.bad for client in clients), [client.bad[:2] for client in clients]
    assert sum(client.count for client in clients) > 50
    assert len(seoul.do("used").split()) > 15, "many kinds of lies were really told"
    stage.cure()
    stage.trusts(seoul)
