"""Ways to lose a server that is well, and to get it back."""

import os
import sys

from lib.process import spawn

DELAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "delay.py")
DELAY_PORT = 5399
SLOW_S = 2

STOPPED, KILLED, DROPPED = "SIGSTOP", "SIGKILL", "nft drop"
LOSSY, SLOW = "30% loss", f"slow {SLOW_S} s"
LINK, INTERFACE = "link cut", "interface down"
WAYS = (STOPPED, KILLED, DROPPED, LOSSY, SLOW, LINK, INTERFACE)

# What they need of the kernel beyond lib/stage.py's.
PROBE = """
nft add chain inet probe loss '{ type filter hook input priority 0; }'
nft add rule inet probe loss numgen random mod 100 '<' 30 drop
nft add table ip delay
nft add chain ip delay way '{ type nat hook prerouting priority -100; }'
nft add rule ip delay way udp dport 53 redirect to :5399
"""


class Cut:
    """One of them, for one server and the network it is in."""

    def __init__(self, way, program):
        self.way, self.program, self.network = way, program, program.network
        self.relay = None

    def inject(self):
        if self.way == STOPPED:
            self.program.stop()
        elif self.way == KILLED:
            self.program.kill()
        elif self.way == DROPPED:
            self.filter("filter hook input priority 0", "meta l4proto { udp, tcp } th dport "
                        f"{{ {self.ports()} }} drop")
        elif self.way == LOSSY:
            self.filter("filter hook input priority 0", "meta l4proto { udp, tcp } th dport "
                        f"{{ {self.ports()} }} numgen random mod 100 < 30 drop")
        elif self.way == SLOW:
            self.delay()
        elif self.way == LINK:
            self.network.inside("ip", "link", "set", "eth0", "down")
        else:
            self.network.outside("ip", "link", "set", self.network.name, "down")

    def heal(self):
        if self.way == STOPPED:
            self.program.go_on()
        elif self.way == KILLED:
            self.program.start()
        elif self.way in (DROPPED, LOSSY, SLOW):
            self.network.inside("nft", "delete", "table", "ip", "cut")
        elif self.way == LINK:
            self.network.inside("ip", "link", "set", "eth0", "up")
        else:
            self.network.outside("ip", "link", "set", self.network.name, "up")
        if self.relay is not None:
            self.relay.kill()
            self.relay.wait()

    def ports(self):
        return ", ".join(map(str, self.program.ports))

    def filter(self, chain, rule):
        self.network.inside("nft", "-f", "-", text=(
            f"table ip cut {{ chain cut {{ type {chain};\n {rule}\n }}\n }}\n"))

    def delay(self):
        """What comes over UDP takes a way round; TCP has no such fault."""
        self.relay = spawn([*self.network.enter(), sys.executable, DELAY, self.network.dns,
                            str(DELAY_PORT), "53", str(SLOW_S)], self.program.log)
        self.filter("nat hook prerouting priority -100", f"udp dport 53 redirect to :{DELAY_PORT}")
