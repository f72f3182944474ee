# SPDX-License-Identifier: GPL-2.0-or-later
"""Other hosts, whose users the daemon's kernel does not know: network namespaces with a cable to ours."""
import contextlib
import ctypes
import itertools
import os
import subprocess

from harness import Skip

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count()


def run(*command):
    p = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if p.returncode:
        raise Skip("no other hosts here: %s: %s" % (" ".join(command), p.stderr.strip()))


def enter(path):
    with open(path) as f:
        if libc.setns(f.fileno(), CLONE_NEWNET):
            raise Skip("cannot enter another network namespace: " +
                       os.strerror(ctypes.get_errno()))


class Host:
    """One with an address of its own; .here is ours on the cable to it."""

    def __init__(self):
        # Of its own: what was unplugged goes when the kernel likes, and others run these tests, too.
        pid, n = os.getpid(), next(numbers)
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "600"])
        self.cable = "e2e%d.%d" % (pid % 100000, n)
        subnet = "10.%d.%d." % (200 + pid // 250 % 50, pid % 250)
        self.here, self.there = (subnet + "%d" % (4 * n + i) for i in (1, 2))
        self.namespace = "/proc/%d/ns/net" % self.process.pid

    def plug(self):
        own = os.stat("/proc/self/ns/net").st_ino
        while self.process.poll() is None and os.stat(self.namespace).st_ino == own:
            pass        # unshare(1) has not come to it yet
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "up0",
            "netns", str(self.process.pid))
        run("ip", "address", "add", self.here + "/30", "dev", self.cable)
        run("ip", "link", "set", self.cable, "up")
        inside = ("nsenter", "--net=" + self.namespace, "ip")
        run(*inside, "address", "add", self.there + "/30", "dev", "up0")
        run(*inside, "link", "set", "up0", "up")

    @contextlib.contextmanager
    def acting(self):
        """What is connected meanwhile comes from that host."""
        own = "/proc/%d/task/%d/ns/net" % (os.getpid(), libc.gettid())
        with open(own) as back:
            enter(self.namespace)
            try:
                yield
            finally:
                libc.setns(back.fileno(), CLONE_NEWNET)

    def unplug(self):
        # The cable goes with its other end.
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def hosts(n):
    """@n of them; for the superuser only."""
    all_of_them = []
    try:
        for _ in range(n):
            all_of_them.append(Host())
            all_of_them[-1].plug()
        yield all_of_them
    finally:
        for h in all_of_them:
            h.unplug()
