"""Certificates made by openssl in a test's folder."""

import os

from lib.process import run

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """`path` is what is to be trusted."""

    def __init__(self, folder):
        self.folder = folder
        self.path, self.key = self.file("authority.crt"), self.file("authority.key")
        self.self_signed("authority", "authority.test")

    def file(self, name):
        return os.path.join(self.folder, name)

    def self_signed(self, file, name, days=90):
        """Nobody's but its own; FILE.crt and FILE.key."""
        run("openssl", "req", "-x509", *KEY, "-keyout", self.file(file + ".key"),
            "-out", self.file(file + ".crt"), "-days", str(days), "-subj", "/CN=" + name,
            "-addext", "subjectAltName=DNS:" + name)

    def signed(self, file, name, days=90):
        """With -1 day it has expired yesterday."""
        request = self.file(file + ".csr")
        run("openssl", "req", "-new", *KEY, "-keyout", self.file(file + ".key"), "-out", request,
            "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:" + name)
        run("openssl", "x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self.key,
            "-copy_extensions", "copy", "-days", str(days), "-out", self.file(file + ".new"))
        os.rename(self.file(file + ".new"), self.file(file + ".crt"))
