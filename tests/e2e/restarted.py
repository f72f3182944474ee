# SPDX-License-Identifier: GPL-2.0-or-later
"""A ratmand that is killed and started over and over."""
import os
import random
import socket

from harness import Ratmand, wait_until
from microframe import Client, Closed

# Below the ports that the kernel gives to anybody who asks for one: nobody else comes by here.
PORTS = range(12000, 32000)


def quiet_port():
    while True:
        port = random.choice(PORTS)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Restarted(Ratmand):
    """Is up when it talks, and it is this one that talks."""

    def start(self, environment=None):
        self.wanted_bind = "127.0.0.1:%d" % quiet_port()
        begin = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        super().start(environment)
        wait_until("the daemon talks", self.talks, 30)
        with open(self.log_path, "rb") as log:
            log.seek(begin)
            assert ("clients on %s" % self.bind).encode() in log.read(), "another one talks"

    def talks(self):
        assert self.alive(), "the daemon ended with status %d" % self.process.returncode
        try:
            Client(self.bind).close()
            return True
        except (OSError, Closed):
            return False
