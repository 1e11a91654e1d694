"""Hooks: whoever is to be told is told, and nobody waits for whoever does not listen."""

import http.server
import json
import os
import threading

from lib import patience
from lib.world import SERVICE, answers_with, config, service, tsan

SECRET = "/services/T0/B0/key"


class Listener(http.server.ThreadingHTTPServer):
    """Takes POSTs on a free port; `answers` are the next statuses, then 200. None: it hangs."""

    daemon_threads = True

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.lock = threading.Lock()
        self.taken = []
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}{SECRET}"

    def documents(self, status=None):
        with self.lock:
            return [d for s, d in self.taken if status is None or s == status]

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        assert self.path == SECRET
        server = self.server
        with server.lock:
            status = server.answers.pop(0) if server.answers else 200
            server.taken.append((status, json.loads(body)))
        if status is None:
            server.over.wait()
            return
        self.send_response(status)
        if status // 100 == 3:
            self.send_header("Location", server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def told(w, regions, *hooks, **sections):
    """A configuration with these hooks."""
    return config(regions, notify=list(hooks), **sections)


def writer(w, name="told"):
    """A program that appends what it reads to a file, and the file."""
    path = os.path.join(w.folder, name)
    script = w.write_file(name + ".sh", f"#!/bin/sh\ncat >>{path}\n")
    os.chmod(script, 0o755)
    return script, path


def lines_of(path):
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def events_in(documents, kind=None, target=None):
    return [e for d in documents for e in d["events"]
            if kind in (None, e["kind"]) and target in (None, e["target"])]


@tsan
def test_a_program_is_told_what_moves(w):
    seoul, tokyo, _ = regions = w.three_regions()
    script, path = writer(w)
    server = w.start(told(w, regions, {"exec": [script], "on": ["region", "service"]},
                          node={"name": "n1", "region": "tokyo"}))
    answers_with(server, seoul)
    seoul.do("dns die")
    answers_with(server, tokyo)
    patience.until(lambda: events_in(lines_of(path), "region", "seoul"), "the region is told")
    patience.until(lambda: events_in(lines_of(path), "service", SERVICE), "the service is told")
    document = lines_of(path)[0]
    assert document["node"] == "n1" and document["region"] == "tokyo", document
    assert document["left_out"] == 0, document
    gated = events_in(lines_of(path), "region", "seoul")[0]
    assert gated["to"] == "gated" and gated["reason"] and gated["time"].endswith("Z"), gated
    assert not events_in(lines_of(path), "override")


def test_overrides_and_reloads_are_told(w):
    regions = w.three_regions()
    script, path = writer(w)
    whole = told(w, regions, {"exec": script, "on": ["override", "reload"]})
    server = w.start(whole)
    done = server.run_cli("drain", "seoul", "--reason", "a test")
    assert done.returncode == 0, done
    (event,) = patience.until(lambda: events_in(lines_of(path), "override", "seoul"), "the drain")
    assert event["reason"] == "a test" and event["author"], event
    server.reload_with(dict(whole, services={SERVICE: service(regions, max_addresses=3)}))
    patience.until(lambda: events_in(lines_of(path), "reload"), "the reload is told")


@tsan
def test_a_webhook_is_tried_until_it_takes(w):
    seoul, tokyo, _ = regions = w.three_regions()
    listener = Listener(500, 500)
    server = w.start(told(w, regions, {"webhook": listener.url, "on": "service"}))
    answers_with(server, seoul)
    seoul.do("http die")
    answers_with(server, tokyo)
    documents = patience.until(lambda: listener.documents(200), "it was taken in the end")
    assert events_in(documents, "service", SERVICE), documents
    refused = listener.documents(500)
    assert len(refused) == 2 and refused[0] == refused[1] == documents[0], listener.taken
    log = patience.until(lambda: server.log_text() if "hook works again" in server.log_text()
                         else None, "the end of the episode is in the log")
    assert log.count("hook failed") == 1 and "status 500" in log, log
    assert "key" not in log.replace("hook", ""), "what follows the host may be a secret"
    assert server.status()["failing_hooks"] == [], "it works again"
    patience.until(lambda: "status 500" in server.run_cli("history", "--json").stdout,
                   "and in the journal")
    listener.close()


def test_one_that_hangs_delays_nobody(w):
    seoul, tokyo, _ = regions = w.three_regions()
    hanging, listening = Listener(*[None] * 20), Listener()
    script, path = writer(w)
    on = {"on": ["service"]}
    server = w.start(told(w, regions, {"webhook": hanging.url, **on},
                          {"webhook": listening.url, **on}, {"exec": script, **on}))
    answers_with(server, seoul)
    seoul.do("http die")
    answers_with(server, tokyo)
    patience.until(lambda: events_in(listening.documents(), "service"), "the other webhook")
    patience.until(lambda: events_in(lines_of(path), "service"), "the program")
    seoul.do("http heal")
    answers_with(server, seoul)
    patience.until(lambda: len(events_in(listening.documents(), "service")) >= 2, "and again")
    patience.until(lambda: hanging.documents(), "the one that hangs was asked")
    assert len(hanging.documents()) == 1, "one run at a time"
    server.stop()  # does not wait for it
    assert "hook was not told" in server.log_text(), server.log_text()
    hanging.close()
    listening.close()


def test_what_nobody_takes_is_given_up(w):
    seoul, tokyo, _ = regions = w.three_regions()
    moved = Listener(302, 302, 302)
    server = w.start(told(w, regions, {"webhook": moved.url, "on": "service", "tries": 2}))
    answers_with(server, seoul)
    seoul.do("http die")
    answers_with(server, tokyo)
    patience.until(lambda: "hook gave up" in server.log_text(), "it is given up")
    assert "redirects are not followed" in server.log_text()
    assert len(moved.documents()) == 2, moved.taken
    patience.until(lambda: "not told" in server.run_cli("history").stdout, "in the journal")
    failing = server.status()["failing_hooks"]
    assert len(failing) == 1 and failing[0]["untold"] >= 1, failing
    assert "redirects are not followed" in failing[0]["reason"], failing
    shown = server.run_cli("status").stdout
    assert f"hook {failing[0]['hook']} fails for " in shown, shown
    moved.close()


def test_the_last_events_are_told_at_the_end(w):
    regions = w.three_regions()
    script, path = writer(w)
    server = w.start(told(w, regions, {"exec": [script], "on": ["override"]}))
    answers_with(server, regions[0])
    done = server.run_cli("drain", "seoul", "--reason", "going home")
    assert done.returncode == 0, done
    server.stop()
    if "hook was not told" not in server.log_text():  # a very slow machine
        assert events_in(lines_of(path), "override", "seoul"), lines_of(path)
