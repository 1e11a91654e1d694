"""A file that does not let itself be opened, as on a disk that has gone away."""

import fcntl
import os
import signal

from lib.world import Skip


class Held:
    """Whoever opens the file waits until it is let go: the kernel's own lease on it."""

    def __init__(self, path):
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # that somebody waits
        self.fd = os.open(path, os.O_RDWR)
        try:
            fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as refused:
            os.close(self.fd)
            raise Skip(f"no lease on a file here: {refused}") from None

    def is_wanted(self):
        """Does somebody wait for it?"""
        return fcntl.fcntl(self.fd, fcntl.F_GETLEASE) != fcntl.F_WRLCK

    def let_go(self):
        fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(self.fd)
