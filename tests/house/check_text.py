#!/usr/bin/env python3
"""The text of the tree: widths, tabs, blanks, unfinished work, somebody's own paths."""

import re

import tree

WIDTH = 100

# In two parts, so that this file does not report itself.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
OWN_PATH = re.compile(r"(?<![\w.$}\-/])/(home|Users|work|farm)/\w")

# What a test feeds to the program may look as it likes.
FED = re.compile(r"^tests/.*(\.seeds|/data|/seeds)/|^LICENSE|\.dict$")


def check(root):
    found = []
    for path in tree.files(root):
        source = None if FED.search(path) else tree.text(root, path)
        if source is not None:
            is_c = path.endswith((".c", ".h"))
            for number, line in enumerate(source.split("\n"), 1):
                found += [f"{path}:{number}: {fault}" for fault in faults(line, is_c)]
    return found


def faults(line, is_c):
    if is_c and "\t" in line:
        yield "tab"
    if is_c and len(line) > WIDTH:
        yield f"{len(line)} columns, more than {WIDTH}"
    if line != line.rstrip():
        yield "blank at the end of the line"
    if UNFINISHED.search(line):
        yield "unfinished: " + UNFINISHED.search(line).group(0)
    if OWN_PATH.search(line):
        yield "a path of somebody's own machine: " + OWN_PATH.search(line).group(0)


CASES = [
    ("clean", {"base/a.c": "/* " + "x" * 90 + " */\n", "a.mk": "\tok " + "x" * 120 + "\n",
               "b.sh": "mktemp -d /tmp/a.XXXXXX; cat tests/unit/work/x; curl http://a/work/b\n"},
     None),
    ("tab", {"base/a.c": "int\n\ta;\n"}, "base/a.c:2: tab"),
    ("width", {"base/a.h": "/" * 101 + "\n"}, "base/a.h:1: 101 columns"),
    ("blank", {"docs/a.md": "one \n"}, "docs/a.md:1: blank"),
    ("carriage return", {"docs/a.md": "one\r\n"}, "docs/a.md:1: blank"),
    ("unfinished", {"dev": "# TO" + "DO: later\n"}, "dev:1: unfinished"),
    ("own path", {"docs/a.md": "see /wo" + "rk/notes\n"}, "docs/a.md:1: a path of"),
    ("own path quoted", {"a.py": 'open("/ho' + 'me/me/x")\n'}, "a.py:1: a path of"),
    ("fed to the fuzzer", {"tests/fuzz/zone.seeds/a": "a \t \nTO" + "DO"}, None),
]

if __name__ == "__main__":
    tree.main(__doc__, check, CASES)
