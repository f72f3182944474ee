# SPDX-License-Identifier: GPL-2.0-or-later
"""A ratmand that is killed and started over and over."""
import os
import random
import socket
import subprocess

from harness import Ratmand, wait_until
from microframe import Client, Closed

# Below the ports that the kernel gives to anybody who asks for one: nobody else comes by here.
PORTS = range(12000, 32000)


class Restarted(Ratmand):
    """Is up when it talks, and it is this one that talks."""

    def start(self):
        while True:
            port = random.choice(PORTS)
            with socket.socket() as s:
                try:
                    s.bind(("127.0.0.1", port))
                    break
                except OSError:
                    pass
        self.bind = "127.0.0.1:%d" % port
        config = os.path.join(self.directory, "ratmand.conf")
        with open(config, "w") as f:
            f.write('state_dir = "%s/state"\nruntime_dir = "%s/run"\napi_bind = "%s"\n'
                    % (self.directory, self.directory, self.bind))
        with open(self.log_path, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen([self.path, "-c", config], stdout=log, stderr=log)
        wait_until("the daemon talks", self.talks, 30)
        with open(self.log_path, "rb") as log:
            log.seek(begin)
            assert ("clients on %s" % self.bind).encode() in log.read(), "another one talks"

    def talks(self):
        if not self.alive():
            raise AssertionError("the daemon ended with status %d" % self.process.returncode)
        try:
            Client(self.bind).close()
            return True
        except (OSError, Closed):
            return False
