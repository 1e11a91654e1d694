#!/usr/bin/env python3
"""
The docs say what the program does: check_docs.py LEEWARD [--write]

docs/config.md and docs/leeward.schema.json are what the program prints; --write
makes them anew. Every complete configuration in README.md and docs/ (a yaml block
that begins with "# leeward.yaml") and every ops/*.yaml passes `leeward check`. Commands
are there, and so are their options. What is logged above the level of debug has a
row in docs/operating.md. In a
console block, the output below "$ leeward check ..." is that of the program in a
folder with the configuration above it, and with the zone files of the page (zone
blocks that begin with "; NAME"). Links lead to files of the tree.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

import tree

REFERENCE = "docs/config.md"
SCHEMA = "docs/leeward.schema.json"
EVENTS = "docs/operating.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)

# After a prompt, between backquotes, or indented.
COMMAND = re.compile(r"(?:^\$ |`|^    )leeward ([a-z-][^`\n]*)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
EVENT = re.compile(r'log_event\(\s*(LOG_\w+),\s*"([^"]*)"')

# What the examples take from the environment.
VARIABLES = {"REGION": "seoul"}


def run(leeward, *arguments, folder=None):
    done = subprocess.run([os.path.abspath(leeward), *arguments], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **VARIABLES}, timeout=60)
    return done.returncode, done.stdout


def printed(leeward, option):
    status, text = run(leeward, "check", option)
    if status != 0:
        sys.exit(f"leeward check {option}: {text}")
    return text


def generated(leeward):
    """What the two generated files should hold."""
    schema = json.loads(printed(leeward, "--schema"))
    return {REFERENCE: printed(leeward, "--reference"),
            SCHEMA: json.dumps(schema, indent=1) + "\n"}


def check_generated(leeward, root):
    for path, wanted in generated(leeward).items():
        full = os.path.join(root, path)
        if not os.path.exists(full) or tree.text(root, path) != wanted:
            yield f"{path}: is not what the program prints: {sys.argv[0]} LEEWARD --write"


def check_example(leeward, root, path):
    status, output = run(leeward, "check", os.path.join(root, path))
    if status != 0:
        yield f"{path}: {output}"


def check_events(root):
    known = tree.text(root, EVENTS)
    for path in tree.files(root):
        if path.endswith(".c") and path.split("/")[0] in ("base", "zones", "policy", "resolver"):
            for level, event in EVENT.findall(tree.text(root, path)):
                if level != "LOG_DEBUG" and not re.search(f"`{re.escape(event)}[` ]", known):
                    yield f"{path}: logs '{event}', of which {EVENTS} does not tell"


class Helps:
    """What `leeward help COMMAND` says, asked once."""

    def __init__(self, leeward):
        self.leeward, self.known = leeward, {}

    def options(self, command):
        """The options of a command, or None when there is none of that name."""
        if command not in self.known:
            status, text = run(self.leeward, "help", command)
            self.known[command] = set(OPTION.findall(text)) if status == 0 else None
        return self.known[command]


class Page:
    """One Markdown file, read from top to bottom."""

    def __init__(self, leeward, root, path, folder, helps):
        self.leeward, self.root, self.path, self.folder = leeward, root, path, folder
        self.helps = helps
        self.text = tree.text(root, path)
        self.complete = 0

    def check(self):
        blocks = list(FENCE.finditer(self.text))
        for block in blocks:
            self.write_zone(block)
        for block in blocks:
            kind, body = block.groups()
            place = f"{self.path}:{self.text.count(chr(10), 0, block.start()) + 1}"
            if kind == "yaml" and body.startswith("# leeward.yaml"):
                yield from self.check_config(place, body)
            elif kind == "console":
                yield from self.check_console(place, body)
        yield from self.check_commands()
        yield from self.check_links()

    def write(self, name, body):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(body)

    def write_zone(self, block):
        kind, body = block.groups()
        if kind == "zone":
            self.write(body.split("\n")[0].lstrip("; "), body)

    def check_config(self, place, body):
        self.complete += 1
        self.write("leeward.yaml", body)
        status, output = run(self.leeward, "check", folder=self.folder)
        if status != 0:
            yield f"{place}: this configuration is refused:\n{output}"

    def check_console(self, place, body):
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, said = part.partition("\n")
            words = shlex.split(command)
            if words[:2] != ["leeward", "check"]:
                continue
            output = run(self.leeward, *words[1:], folder=self.folder)[1]
            if output.strip() != said.strip():
                yield f"{place}: `{command}` says:\n{output}"

    def check_commands(self):
        for match in COMMAND.finditer(self.text):
            words = re.sub(r"\"[^\"]*\"|'[^']*'", "TEXT", match.group(1)).split("  ")[0].split()
            command = next((word for word in words if not word.startswith("-")), "help")
            options = self.helps.options(command)
            place = f"{self.path}:{self.text.count(chr(10), 0, match.end()) + 1}"
            if options is None:
                yield f"{place}: there is no command '{command}'"
                continue
            for option in OPTION.findall(" ".join(words)):
                if option not in options:
                    yield f"{place}: '{command}' has no option {option}"

    def check_links(self):
        prose = FENCE.sub("", self.text)
        for target, anchor in LINK.findall(prose):
            path = os.path.normpath(os.path.join(os.path.dirname(self.path), target))
            full = os.path.join(self.root, path)
            if not os.path.exists(full):
                yield f"{self.path}: links to {target}, which is not there"
            elif anchor and anchor[1:] not in anchors(tree.text(self.root, path)):
                yield f"{self.path}: links to {target}{anchor}: no such heading"


def anchors(text):
    """The fragments that the headings of a page are reached by."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in HEADING.findall(FENCE.sub("", text))}


def check(leeward, root):
    found = list(check_generated(leeward, root)) + list(check_events(root))
    helps = Helps(leeward)
    complete = 0
    for path in tree.files(root):
        folder, name = os.path.split(path)
        if folder == "ops" and name.endswith(".yaml"):
            found += check_example(leeward, root, path)
        elif path == "README.md" or (folder == "docs" and name.endswith(".md")):
            with tempfile.TemporaryDirectory() as scratch:
                page = Page(leeward, root, path, scratch, helps)
                found += page.check()
                complete += page.complete
    if complete == 0:
        found.append("no complete configuration was found in the docs")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("leeward", help="the program")
    parser.add_argument("--write", action="store_true", help="write the generated files first")
    args = parser.parse_args()
    if args.write:
        for path, body in generated(args.leeward).items():
            with open(os.path.join(tree.ROOT, path), "w", encoding="utf-8") as file:
                file.write(body)
    found = check(args.leeward, tree.ROOT)
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
