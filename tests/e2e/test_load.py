#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A thousand clients at once, some of them slow, some of them talking nonsense: everybody else is
served, and the memory comes back. How fast is measured by tests/bench/bench_api, not here.

RATMAND=path/to/ratmand tests/e2e/test_load.py      (TAP on standard output)
"""
import os
import random
import resource
import selectors
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
from harness import test, wait_until  # noqa: E402
from microframe import Client, frame  # noqa: E402

CLIENTS, SLOW, GARBAGE = 1000, 100, 100
ROUNDS = 3
PATIENCE = 30		# seconds until the last of a round is answered, on a machine that does more
STATUS = frame(0x0034)
STATUS_LEN = 4 + 7 + 33
DAEMON = None


def used(name):
    c = Client(DAEMON.bind, mf.HELLO_EXTENDED)
    value = c.limits()[name][1]
    c.close()
    return value


def all_answered(clients):
    """Asks all at once; every one gets its answer, whole and alone."""
    with selectors.DefaultSelector() as ready:
        for c in clients:
            c.send(STATUS)
            ready.register(c.sock, selectors.EVENT_READ, [c, b""])
        end = time.monotonic() + PATIENCE
        waiting = len(clients)
        while waiting:
            events = ready.select(max(0, end - time.monotonic()))
            assert events, "%d of %d have no answer after %d s" % (waiting, len(clients), PATIENCE)
            for key, _ in events:
                c, have = key.data
                got = c.sock.recv(STATUS_LEN - len(have))
                assert got, "the daemon closed a good client"
                key.data[1] = have = have + got
                if len(have) == STATUS_LEN:
                    assert have[11] == mf.STATUS
                    ready.unregister(c.sock)
                    waiting -= 1


class Slow:
    """Asks as fast as it can and never reads."""

    def __init__(self):
        self.client = Client(DAEMON.bind)
        self.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.client.sock.setblocking(False)

    def push(self):
        try:
            while True:
                self.client.sock.send(STATUS * 1000)
        except BlockingIOError:
            pass


class Nonsense(threading.Thread):
    """Clients that send what is no request, and come again when they are thrown out."""

    def __init__(self, n):
        super().__init__()
        self.n, self.rounds, self.stop, self.rng = n, 0, False, random.Random(7)

    def run(self):
        socks = [None] * self.n
        while not self.stop:
            for i in range(self.n):
                if socks[i]:
                    socks[i].close()
                    socks[i] = None
                if self.stop:
                    break
                try:
                    host, port = DAEMON.bind.rsplit(":", 1)
                    s = socks[i] = socket.create_connection((host, int(port)), 5)
                    hello = frame(0x0010, mf.HELLO) * self.rng.randrange(2)
                    s.sendall(hello + self.rng.randbytes(self.rng.randrange(1, 300)))
                except OSError:
                    pass
            self.rounds += 1
        for s in socks:
            if s:
                s.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop = True
        self.join()


def crowd(n):
    return [Client(DAEMON.bind) for _ in range(n)]


def go_away(clients):
    for c in clients:
        c.close()
    wait_until("the daemon has forgotten them", lambda: used("max_clients") == 1, 30)


def held_back(slow):
    for s in slow:
        s.push()
    c = Client(DAEMON.bind, mf.HELLO_EXTENDED)
    limits = c.limits()
    c.close()
    return limits["max_write_queue"][2] + limits["max_write_queue_total"][2] >= SLOW


@test
def a_thousand_clients():
    # Once without measuring: the first time fills caches that stay.
    go_away(crowd(CLIENTS - 1))
    before = DAEMON.rss()
    good = crowd(CLIENTS - SLOW - GARBAGE - 1)
    slow = [Slow() for _ in range(SLOW)]
    with Nonsense(GARBAGE) as nonsense:
        for _ in range(ROUNDS):
            for s in slow:
                s.push()
            all_answered(good)
        wait_until("nonsense was talked", lambda: nonsense.rounds >= 2, 60)
        wait_until("the slow are held back", lambda: held_back(slow), 60)
        all_answered(good)
    # New clients get in and are served, streams go through.
    c = Client(DAEMON.bind)
    a, t = c.create()
    c.up(a, t)
    c.send_many(a, t, [a], b"in the crowd")
    assert c.recv_one(a, t)[1] == b"in the crowd"
    c.destroy(a, t)
    most = DAEMON.rss()
    go_away(good + [s.client for s in slow] + [c])
    print("# KiB: before %d, among them %d" % (before, most))
    assert most < before + (160 << 10), "%d KiB for a thousand clients" % (most - before)
    wait_until("it is given back", lambda: DAEMON.rss() < before + (4 << 10))


@test
def a_slow_reader_gets_everything_in_the_end():
    c = Client(DAEMON.bind)
    n = 20000
    sender = threading.Thread(target=c.send, args=(STATUS * n,))
    sender.start()
    time.sleep(0.5)
    assert Client(DAEMON.bind).status()
    data = c.exactly(n * STATUS_LEN)
    sender.join()
    assert all(data[i * STATUS_LEN + 11] == mf.STATUS for i in range(n))
    c.close()


@test
def many_streams_at_once():
    """Forty senders and as many receivers; all get what is theirs, and somebody else is served."""
    n, size = 40, 300000
    people = []
    for _ in range(n):
        c = Client(DAEMON.bind, timeout=60)
        people.append((c, *c.create()))
        c.up(*people[-1][1:])
    failed = []

    def life(i):
        try:
            c, a, t = people[i]
            data = bytes([i]) * size
            c.send_many(a, t, [people[(i + 1) % n][1]], data)
            head, got = c.recv_one(a, t)
            assert got == bytes([(i - 1) % n]) * size
            c.destroy(a, t)
            c.close()
        except Exception as e:  # noqa: BLE001
            failed.append("%d: %r" % (i, e))

    threads = [threading.Thread(target=life, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    other = Client(DAEMON.bind)
    while any(thread.is_alive() for thread in threads):
        assert other.status()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert not failed, failed
    other.close()


def stops_cleanly():
    """the daemon stops cleanly"""
    return DAEMON.stop()


def main():
    global DAEMON
    path = os.environ.get("RATMAND")
    if not path:
        print("1..0 # SKIP set RATMAND to the daemon")
        return 0
    # Memory is that of the daemon people run: the sanitizers' keeps what was freed.
    plain = os.path.join(harness.TOP, "build", "ratmand")
    if os.path.exists(plain):
        path = plain
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    directory = tempfile.mkdtemp(prefix="load.")
    # No slow reader is thrown out for it while the test takes its time.
    DAEMON = harness.Ratmand(path, directory,
                             extra="write_timeout = 300\nfirst_frame_timeout = 60\n")
    status = harness.run_tests(ending=stops_cleanly)
    shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main())
