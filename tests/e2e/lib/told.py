"""Endpoints behind which nothing runs: a file each says how they are."""

import os

from lib import patience

# A word in the file is believed within a tenth of a second, in both directions.
TIMES = {"interval": patience.ms(100), "confirm_interval": patience.ms(10), "fall": 1, "rise": 1,
         "hold_down": "0s"}


class Told:
    """`check`: what a service has, so that say() decides over its endpoints."""

    def __init__(self, world, *addresses, mark="state"):
        self.world, self.mark = world, mark
        self.check = {"file": {"path": os.path.join(world.folder, f"{{address}}.{mark}")}, **TIMES}
        for address in addresses:
            self.say(address, "up")

    def say(self, address, word):
        """up, degraded or down."""
        name = f"{address}.{self.mark}"
        path = self.world.write_file(name + ".new", word + "\n")
        os.rename(path, os.path.join(self.world.folder, name))
