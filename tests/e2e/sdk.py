# SPDX-License-Identifier: GPL-2.0-or-later
"""The SDK as a program outside the tree meets it: installed, and found by pkg-config."""
import fcntl
import os
import shlex
import subprocess
import tempfile

from harness import TOP

WARNINGS = ["-Wall", "-Wextra", "-Werror"]


class Stage:
    """`make install` into a directory of its own."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="stage.")
        self.root = self.directory.name
        # Two tests at once must not build the same objects, should there be any to build.
        with open(os.path.join(TOP, "build", "stage.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run(["make", "-s", "-C", TOP, "install", "DESTDIR=" + self.root],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
        assert done.returncode == 0, done.stdout
        self.env = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=self.root,
                        PKG_CONFIG_LIBDIR=self.find("libratman.pc", directory=True))
        self.library = self.find("libratman.so.0", directory=True)
        self.env["LD_LIBRARY_PATH"] = self.library

    def find(self, name, directory=False):
        for here, _, files in os.walk(self.root):
            if name in files:
                return here if directory else os.path.join(here, name)
        raise AssertionError(name + " was not installed")

    def pkg_config(self, *words):
        out = subprocess.run(["pkg-config", *words, "libratman"], env=self.env, check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        return shlex.split(out)

    def compile(self, source, *flags, compiler="cc"):
        """Builds one source file with the flags of pkg-config; the program's path."""
        out = os.path.join(self.root, os.path.basename(source).rsplit(".", 1)[0])
        done = subprocess.run([compiler, *flags, *WARNINGS, *self.pkg_config("--cflags"), source,
                               "-o", out, *self.pkg_config("--libs")],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=self.root, check=False)
        assert done.returncode == 0, done.stdout
        return out
