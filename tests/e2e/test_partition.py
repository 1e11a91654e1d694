"""Two nodes and the lines between regions: the table of docs/partition.md, row by row."""

import os

from lib import patience
from lib.paths import Paths
from lib.world import CANARY, answers_with, http_check, long, service, timing, tsan, watch

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/partition.md")
REGIONS = ("seoul", "tokyo", "singapore")
FAILOVER, NEAREST = "failover.example", "nearest.example"

# What each row's first column means: the lines lost by Seoul's node, and by Tokyo's. The witness
# is reached as Singapore is.
CUTS = {
    "nothing": ("", ""),
    "Seoul's node from Tokyo": ("tokyo", ""),
    "Tokyo's node from Seoul": ("", "seoul"),
    "Seoul and Tokyo from each other": ("tokyo", "seoul"),
    "Seoul from everybody else": ("tokyo singapore", "seoul"),
    "Tokyo from everybody else": ("tokyo", "seoul singapore"),
    "the region Seoul from both nodes": ("seoul", "seoul"),
    "Seoul's node from everything": ("seoul tokyo singapore", ""),
    "Tokyo's node from everything": ("", "seoul tokyo singapore"),
    "Seoul's node from everything, and Seoul fails": ("seoul tokyo singapore", "seoul"),
    "both nodes from everything": ("seoul tokyo singapore", "seoul tokyo singapore"),
}

# What a node sees, as the page says it: the regions it can reach.
SEEN = {"all": REGIONS, "nobody": (),
        **{f"no {gone}": tuple(r for r in REGIONS if r != gone) for gone in REGIONS},
        **{f"only {left}": (left,) for left in REGIONS}}


def rows_of_page():
    """{what is cut: its other columns}"""
    with open(PAGE, encoding="utf-8") as file:
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")]
                for line in file if line.startswith("|")]
    return {row[0]: row[1:] for row in rows[2:]}


class Node:
    """A server in a region, with lines of its own to all of them."""

    def __init__(self, w, regions, witness, home):
        self.regions, self.witness, self.paths = regions, witness, Paths()
        times = timing(hold_down="0s", rise=1)
        endpoints = {r.name: [self.paths.to(r, "http")] for r in regions}
        of = service(regions, check=http_check(times, host="web.example"), endpoints=endpoints)
        self.server = w.start({
            "node": {"region": home, "name": home},
            "regions": {r.name: {"minimum_healthy": 1, "checks": [
                {"dns": {"server": self.paths.to(r, "dns"), "name": CANARY}, **times}]}
                        for r in regions},
            "services": {FAILOVER: of, NEAREST: dict(of, policy="nearest")},
            "guards": {"cascade_window": "off",
                       "isolation": {"witnesses": [self.paths.to(witness, "dns")]}}})
        patience.until(lambda: 'target="witness' in self.server.log_text(), "the witness answers")

    def lose(self, names):
        """Exactly these lines, in one moment."""
        lost = names.split() + (["elsewhere"] if "singapore" in names else [])
        self.paths.lost = frozenset(lost)

    def sees(self):
        """The regions whose endpoints and resolvers answer it; none when it is cut off itself."""
        if self.server.status()["guards"]["isolated"] is not None:
            return ()
        return tuple(r.name for r in self.regions
                     if self.server.status_of_region(r.name)["state"] == "in"
                     and self.server.endpoint(FAILOVER, r.address)["state"] == "up")

    def stands(self, sees, failover, nearest):
        """Wait until it sees this, and answers so."""
        by_name = {r.name: r for r in self.regions}
        patience.until(lambda: self.sees() == SEEN[sees],
                       lambda: f"it sees {sees}, but {self.sees()}", pause_s=0.05)
        answers_with(self.server, by_name[failover], name=FAILOVER)
        answers_with(self.server, by_name[nearest], name=NEAREST)


def two_nodes(w):
    regions = w.three_regions()
    witness = w.region("elsewhere", "127.0.4.1", 4)
    return [Node(w, regions, witness, home) for home in ("seoul", "tokyo")]


def rows_hold(w, is_wanted):
    """Row by row, with all lines mended between."""
    rows = rows_of_page()
    assert set(rows) == set(CUTS), set(rows) ^ set(CUTS)
    nodes = two_nodes(w)
    # both clients always have an answer
    with watch(nodes[0].server, FAILOVER), watch(nodes[1].server, NEAREST):
        for name, columns in rows.items():
            if name != "nothing" and not is_wanted(columns):
                continue
            for node, lost in zip(nodes, CUTS[name]):
                node.lose(lost)
            nodes[0].stands(*columns[:3])
            nodes[1].stands(*columns[3:])
            for node, columns in zip(nodes, (rows["nothing"][:3], rows["nothing"][3:])):
                node.lose("")
                node.stands(*columns)


def test_parted_nodes_answer_with_what_they_can_reach(w):
    rows_hold(w, lambda columns: "nobody" not in columns)


@tsan
@long
def test_a_node_cut_off_from_everything_answers_as_before(w):
    rows_hold(w, lambda columns: "nobody" in columns)


def test_a_drain_is_of_the_node_it_was_said_to(w):
    seoul, tokyo = two_nodes(w)
    regions = {r.name: r for r in seoul.regions}
    done = seoul.server.run_cli("drain", "seoul", "--reason", "a test")
    assert done.returncode == 0, done.stderr
    answers_with(seoul.server, regions["tokyo"], name=FAILOVER)
    answers_with(seoul.server, regions["tokyo"], name=NEAREST)
    answers_with(tokyo.server, regions["seoul"], name=FAILOVER)
