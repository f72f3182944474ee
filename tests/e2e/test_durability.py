#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at random moments under writes: what was acknowledged is there, and once.

Rounds for 45 seconds with 4 clients; DURABILITY_ROUNDS=1000 does so many with 16.
"""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import microframe as mf  # noqa: E402
from harness import run_tests, test  # noqa: E402
from microframe import Client  # noqa: E402
from restarted import LEAST, killed  # noqa: E402

ROUNDS = int(os.environ.get("DURABILITY_ROUNDS", "0"))
CLIENTS = 16 if ROUNDS else 4
SECONDS = 45


class Writer:
    """One client's writes over all rounds: streams to its own address, and addresses."""

    def __init__(self, number):
        self.number, self.sequence = number, 0
        self.address = self.token = None
        self.promised = set()       # stream ids acknowledged, and not received yet
        self.received = set()
        self.fresh = set()          # read, and nothing was acknowledged since: may come again
        self.made = set()           # addresses acknowledged
        self.gone = set()           # destructions acknowledged

    def prepare(self, bind):
        c = Client(bind, timeout=60)
        self.address, self.token = c.create()
        c.up(self.address, self.token)
        c.close()

    def body(self, stream):
        size = random.Random(stream).choice((40, 1024, 5000, 40000))
        return stream.encode() + b" " + b"x" * size

    def write(self, bind):
        """Writes until the daemon is gone."""
        try:
            c = Client(bind, timeout=60)
            while True:
                self.sequence += 1
                stream = "%d/%d" % (self.number, self.sequence)
                c.send_many(self.address, self.token, [self.address], self.body(stream))
                self.promised.add(stream)
                self.fresh.clear()          # a later change is on the disk
                if self.sequence % 7 == 0 and len(self.made) < 12:
                    self.make(c)
                elif self.sequence % 7 == 3 and len(self.made) > 6:
                    # Without an answer it may be there or not.
                    address, token = self.made.pop()
                    c.destroy(address, token)
                    self.gone.add(address)
        except (OSError, mf.Closed):
            pass

    def make(self, c):
        try:
            address, token = c.create(b"name %d" % self.sequence)
            self.made.add((address, token))
        except mf.Error as e:
            # Those made without an answer have tokens nobody knows, and add up.
            assert "full" in e.text, e

    def check(self, bind):
        c = Client(bind, timeout=60)
        there = set(c.addresses())
        assert self.address in there
        for address, token in self.made:
            assert address in there, "an address that was acknowledged is gone"
            c.up(address, token)
            c.down(address, token)
        assert not self.gone & there, "an address came back"
        c.up(self.address, self.token)
        # The streams come in order: everything before this one is what there is.
        self.sequence += 1
        end = "end %d %d" % (self.number, self.sequence)
        c.send_many(self.address, self.token, [self.address], self.body(end))
        again, self.fresh = self.fresh, set()
        while True:
            _, data = c.recv_one(self.address, self.token)
            stream = data.split(b" x", 1)[0].decode()
            assert data == self.body(stream), "a stream with other content"
            assert stream not in self.received or stream in again, "twice: " + stream
            self.received.add(stream)
            self.fresh.add(stream)
            if stream == end:
                break
        missing = self.promised - self.received
        assert not missing, "acknowledged and gone: %s" % sorted(missing)[:5]
        self.promised.clear()
        c.close()


@test
def killed_at_random_points():
    writers = [Writer(i) for i in range(CLIENTS)]
    rounds = killed(writers, ROUNDS, 0 if ROUNDS else SECONDS)
    done = sum(len(w.received) for w in writers)
    print("# %d rounds, %d clients, %d streams" % (rounds, CLIENTS, done))
    assert rounds >= min(ROUNDS or LEAST, LEAST) and done > 2 * rounds


if __name__ == "__main__":
    sys.exit(run_tests())
