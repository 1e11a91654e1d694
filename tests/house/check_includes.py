#!/usr/bin/env python3
"""A folder uses only the folders to its right: resolver, policy, zones, base."""

import os
import re

import tree

ROOMS = ["resolver", "policy", "zones", "base"]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)


def check(root):
    found = []
    for path in tree.files(root):
        room = path.split("/")[0]
        if room in ROOMS and path.endswith((".c", ".h")):
            found += check_file(root, path, room)
    return found


def check_file(root, path, room):
    source = tree.text(root, path) or ""
    allowed = ROOMS[ROOMS.index(room):]
    for match in INCLUDE.finditer(source):
        quote, name = match.groups()
        place = f"{path}:{source.count(chr(10), 0, match.start(2)) + 1}"
        top = name.split("/")[0]
        if top in ROOMS and top not in allowed:
            yield f"{place}: {room}/ may not use {top}/: {name}"
        elif top in ("tests", "bench"):
            yield f"{place}: the program may not use {top}/: {name}"
        elif quote == '"' and top not in ROOMS and is_ours(root, path, name):
            yield f"{place}: includes start at the root of the tree: {name}"


def is_ours(root, path, name):
    """True when the name leads to a file of the tree from the file's folder."""
    return os.path.exists(os.path.join(root, os.path.dirname(path), name))


CASES = [
    ("to the right", {"resolver/a.c": '#include "base/b.h"\n#include "policy/p.h"\n',
                      "policy/checks/c.c": '#include "zones/z.h"\n'}, None),
    ("system headers", {"base/a.c": "#include <uv.h>\n#include <stdint.h>\n"}, None),
    ("a test may use all", {"tests/unit/a_test.c": '#include "resolver/a.h"\n'}, None),
    ("to the left", {"zones/a.c": '\n#include "policy/p.h"\n'},
     "zones/a.c:2: zones/ may not use policy/"),
    ("base is the ground", {"base/a.h": '#  include <zones/z.h>\n'},
     "base/a.h:1: base/ may not use zones/"),
    ("a folder within a room", {"policy/checks/a.c": '#include "resolver/r.h"\n'},
     "policy/ may not use resolver/"),
    ("around the corner", {"base/a.c": '#include "../policy/p.h"\n', "policy/p.h": "\n"},
     "includes start at the root"),
    ("a test's header", {"policy/a.c": '#include "tests/unit/clock.h"\n'},
     "may not use tests/"),
]

if __name__ == "__main__":
    tree.main(__doc__, check, CASES)
