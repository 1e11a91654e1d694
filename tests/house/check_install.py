#!/usr/bin/env python3
"""quiet-install.sh, run against a false dpkg, apt, sudo and systemctl."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest

import tree

SCRIPT = os.path.join(tree.ROOT, "tests", "lib", "quiet-install.sh")

FAKES = {
    # dpkg-query -W -f FORMAT [PACKAGE...] and dpkg-query -L PACKAGE
    "dpkg-query": r"""
if [ "$1" = -L ]; then
    echo /lib/systemd/system/$2.service
    echo /etc/init.d/$2
    exit 0
fi
shift 3
[ $# -gt 0 ] || set -- $(ls "$WORLD/installed")
for package; do
    if [ -e "$WORLD/installed/$package" ]; then echo "$package installed"; fi
done
""",
    "apt-get": r"""
echo "apt-get $*" >>"$WORLD/calls"
case "$*" in *" install "*) ;; *) exit 0 ;; esac
"$POLICY_RC_D" nginx start
echo "policy $?" >>"$WORLD/calls"
case "$MODE" in
fail) exit 100 ;;
hang) touch "$WORLD/hanging"; read -r line <"$WORLD/release" ;;
esac
for package; do :; done
touch "$WORLD/installed/$package"
""",
    "systemctl": 'echo "systemctl $*" >>"$WORLD/calls"',
    "id": 'echo "${FAKE_UID:-0}"',
    "sudo": "exit 1",
}


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.world = folder.name
        os.makedirs(self.path("bin"))
        os.makedirs(self.path("installed"))
        os.mkfifo(self.path("release"))
        for name, body in FAKES.items():
            with open(self.path("bin", name), "w", encoding="utf-8") as file:
                file.write("#!/bin/bash\n" + body + "\n")
            os.chmod(self.path("bin", name), 0o755)
        for package in ("curl", "unbound"):
            open(self.path("installed", package), "w").close()
        self.policy = self.path("policy-rc.d")

    def path(self, *parts):
        return os.path.join(self.world, *parts)

    def environment(self, **more):
        return {**os.environ, "PATH": self.path("bin") + ":" + os.environ["PATH"],
                "WORLD": self.world, "POLICY_RC_D": self.policy, "MODE": "", **more}

    def install(self, *packages, **more):
        return subprocess.run(["bash", SCRIPT, *packages], env=self.environment(**more),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60)

    def calls(self):
        try:
            with open(self.path("calls"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def write_policy(self, content):
        with open(self.policy, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(self.policy, 0o751)

    def test_nothing_is_called_when_all_is_there(self):
        done = self.install("curl", "unbound", FAKE_UID="1000")
        self.assertEqual((done.returncode, done.stdout, self.calls()), (0, "", ""))

    def test_an_ordinary_user_is_told_what_to_type(self):
        done = self.install("curl", "nginx", "gdnsd", "nginx", FAKE_UID="1000")
        self.assertEqual(done.returncode, 1)
        self.assertIn("missing packages: nginx gdnsd\n", done.stdout)
        self.assertIn("sudo apt-get install --no-install-recommends nginx gdnsd\n", done.stdout)
        self.assertEqual(self.calls(), "")

    def test_only_what_is_missing_is_installed_and_disabled(self):
        done = self.install("curl", "nginx", "unbound")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("--no-install-recommends nginx\n", self.calls())
        self.assertIn("systemctl disable --quiet nginx.service\n", self.calls())
        self.assertNotIn("unbound", self.calls())

    def test_starts_are_forbidden_only_while_apt_runs(self):
        self.install("nginx")
        self.assertIn("policy 101\n", self.calls())
        self.assertFalse(os.path.exists(self.policy))

    def test_the_policy_of_before_is_put_back(self):
        for mode, status in (("", 0), ("fail", 1)):
            self.write_policy("#!/bin/sh\nexit 0\n")
            done = self.install("nginx" if status == 0 else "nsd", MODE=mode)
            self.assertEqual(done.returncode, status, done.stdout)
            with open(self.policy, encoding="utf-8") as file:
                self.assertEqual(file.read(), "#!/bin/sh\nexit 0\n")
            self.assertEqual(os.stat(self.policy).st_mode & 0o777, 0o751)
        self.assertEqual(self.calls().count("policy 101\n"), 2)

    def test_an_interrupt_puts_the_policy_back(self):
        self.write_policy("#!/bin/sh\nexit 104\n")
        child = subprocess.Popen(["bash", SCRIPT, "nginx"], env=self.environment(MODE="hang"),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Opening the pipe waits until the false apt reads from it.
        with open(self.path("release"), "w", encoding="utf-8") as release:
            child.send_signal(signal.SIGTERM)
            release.write("\n")
        self.assertEqual(child.wait(timeout=60), 143)
        with open(self.policy, encoding="utf-8") as file:
            self.assertIn("exit 104", file.read())
        self.assertIn("systemctl disable --quiet nginx.service\n", self.calls())

    def test_a_killed_run_is_mended_by_the_next(self):
        self.write_policy("#!/bin/sh\n# quiet-install\nexit 101\n")
        self.install("nginx")
        self.assertFalse(os.path.exists(self.policy))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
