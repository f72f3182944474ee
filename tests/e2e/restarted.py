# SPDX-License-Identifier: GPL-2.0-or-later
"""A ratmand that is killed and started over and over."""
import os
import random
import shutil
import socket
import tempfile
import threading
import time

from harness import Ratmand, program, wait_until
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


LEAST = 20          # rounds of killed() that say something


def killed(writers, rounds, seconds, between=None):
    """
    Lets @writers write until kill -9 at a random moment, starts the daemon again and
    lets each look, over and over: @rounds of it, or as many as @seconds hold when it is
    0 or they are over first, but LEAST, for which there is four times as long. A writer has prepare(bind), write(bind), which ends with the
    daemon, and check(bind). between(daemon) looks at the store while nothing runs. What
    failed is kept. The number of rounds.
    """
    directory = tempfile.mkdtemp(prefix="killed.")
    daemon = Restarted(program("RATMAND", "ratmand"), directory)
    errors = []

    def at_once(calls):
        def run(call):
            try:
                call(daemon.bind)
            except BaseException as e:  # noqa: BLE001
                errors.append(e)
        threads = [threading.Thread(target=run, args=(call,)) for call in calls]
        for t in threads:
            t.start()
        return threads

    def join(threads):
        for t in threads:
            t.join()
        if errors:
            raise errors[0]

    try:
        for w in writers:
            w.prepare(daemon.bind)
        begin, done = time.monotonic(), 0
        while not rounds or done < rounds:
            past = time.monotonic() - begin
            if seconds and past >= seconds and done >= LEAST:
                break
            assert not seconds or past < 4 * seconds, "%d rounds in %d s" % (done, past)
            threads = at_once([w.write for w in writers])
            time.sleep(random.uniform(0.01, 0.6))
            daemon.kill()
            join(threads)
            if between:
                between(daemon)
            daemon.start()
            join(at_once([w.check for w in writers]))
            done += 1
            if done % 100 == 0:
                print("# %d rounds, %d s" % (done, time.monotonic() - begin), flush=True)
        good, text = daemon.stop()
        assert good, text
        assert "damaged" not in text
        shutil.rmtree(directory)
        return done
    finally:
        daemon.process.kill()
        if os.path.exists(directory):
            print("# kept: " + directory)
