"""The files of a tree, and the command line that every house check shares."""

import argparse
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(root):
    """Paths relative to root: what git tracks or would add, else every file."""
    # A tree that belongs to somebody else is read all the same: nothing in it
    # is run by ls-files.
    git = ["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z",
           "--cached", "--others", "--exclude-standard"]
    listed = None
    if os.path.exists(os.path.join(root, ".git")):
        try:
            done = subprocess.run(git, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            listed = os.fsdecode(done.stdout).split("\0") if done.returncode == 0 else None
        except FileNotFoundError:
            pass
    if listed is None:
        listed = walk(root)
    return sorted(path for path in set(listed)
                  if path and os.path.isfile(os.path.join(root, path)))


def walk(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders
                      if not name.startswith((".git", "build", "__pycache__"))]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def text(root, path):
    """The text of a file, or None when it holds a NUL byte."""
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    return None if b"\0" in data else data.decode("utf-8", errors="replace")


def report(root, check, violations):
    """
    Build a tree for each case and look whether check() finds what it should.

    A case is (name, files as {path: text}, a part of the message expected or
    None when the tree is clean). Returns the complaints.
    """
    complaints = []
    for name, content, expected in violations:
        with tempfile.TemporaryDirectory() as folder:
            for path, body in content.items():
                full = os.path.join(folder, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(body)
            found = check(folder)
        if expected is None and found:
            complaints.append(f"{name}: a clean tree was reported: {found[0]}")
        elif expected is not None and not any(expected in line for line in found):
            complaints.append(f"{name}: not reported: {expected!r}, but {found}")
    return complaints


def main(doc, check, cases, notes=None):
    """Check the tree, or with --self-test the check; print what is wrong."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--self-test", action="store_true",
                        help="prove that the check can fail")
    parser.add_argument("root", nargs="?", default=ROOT)
    args = parser.parse_args()
    if args.self_test:
        found = report(args.root, check, cases)
    else:
        found = check(args.root)
        for line in notes(args.root) if notes else []:
            print("note: " + line)
    for line in found:
        print(line)
    sys.exit(1 if found else 0)
