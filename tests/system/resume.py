#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A file in the middle of its way: the receiving daemon is killed, the sending one, the link cut.
The transfer goes on where it was, and hardly a block crosses the link twice.

    scripts/vm --topology line:3 -- tests/system/resume.py
"""
import os
import signal
import time

from lib import Mesh, Receiver, need, reachable, send, sha256_file
from ratman import SLOW, between, check, diag, equal, run_tests, test, until

mesh = Mesh()
r1, r2, r3 = mesh[1], mesh[2], mesh[3]

SIZE = (16 << 20) - 12345
BLOCK = 32 << 10
TWICE = 0.05                    # of the blocks may be sent twice
RATE = '20mbit' if SLOW < 8 else '4mbit'
once = 0                        # bytes that cross the link when nothing happens


class Received:
    """Bytes of DATA frames that come in at router 3"""

    def __init__(self):
        self.start = self.total()

    @staticmethod
    def total():
        return r3.ns.rt.get('v2').stats['rx_bytes']

    def __call__(self):
        return self.total() - self.start


def begin():
    """A new file, its way to router 3 begun -> (path, Received)"""
    need(r1.address and r3.address, 'there are no addresses')
    mesh.routes(r1, r3)
    check(reachable(r1, r3) is not None, 'no answer to a ping')
    path = '/run/file'
    with open(path, 'wb') as f:
        f.write(os.urandom(SIZE))
    received = Received()
    send(r1, r3, path)
    return path, received


def half_way(received, share=0.4):
    check(until(lambda: received() > share * SIZE, 60, 0.02), 'only %d bytes came through', received())


def finish(path, received, what):
    """Waits for the file and counts"""
    at = received()
    digest = Receiver(r3, '/run/out').wait(180)
    equal(digest, sha256_file(path), 'SHA-256 of the file received')
    total = received()
    check(at < SIZE, 'the transfer was over before the failure: %d bytes', at)
    if not once:
        return total
    extra = total - once
    diag('%s: %d bytes crossed the link, %+d compared with a transfer without failure: %.1f blocks of %d, %.1f %%'
         % (what, total, extra, extra / BLOCK, SIZE // BLOCK, 100 * extra / once))
    check(extra <= TWICE * once, '%s: %d bytes sent twice, %.1f %% of the file', what, extra, 100 * extra / once)
    check(total > 0.98 * once, '%s: fewer bytes than the file has', what)
    return total


@test(timeout=120)
def whole():
    """Without any failure: how many bytes cross the link"""
    global once
    mesh.addresses(1, 3)
    for router, name in ((r1, 'v2'), (r2, 'v3')):
        router.tc('add', 'dev', name, 'root', 'netem', 'rate', RATE, 'limit', '60')
    path, received = begin()
    once = finish(path, received, 'no failure')
    diag('%d bytes for a file of %d' % (once, SIZE))
    between(once / SIZE, 1.0, 1.15, 'bytes on the link for each byte of the file')


@test(timeout=240)
def receiver_killed():
    """The receiving daemon is killed in mid-file"""
    need(once, 'the transfer without failure')
    path, received = begin()
    half_way(received)
    r3.stop(signal.SIGKILL)
    time.sleep(1)
    r3.start()
    finish(path, received, 'receiver killed')


@test(timeout=240)
def receiver_killed_reading():
    """The same while ratcat recv waits: its reader says so, and the next one gets the file"""
    need(once, 'the transfer without failure')
    path, received = begin()
    reader = Receiver(r3, '/run/interrupted')
    half_way(received)
    r3.stop(signal.SIGKILL)
    _, errors = reader.process.communicate(timeout=30 * SLOW)
    check(reader.process.returncode not in (0, None), 'ratcat recv ends with status 0 without a file')
    check(errors.strip(), 'ratcat recv says nothing')
    equal(os.path.getsize('/run/interrupted'), 0, 'bytes that ratcat recv wrote before the stream was whole')
    r3.start()
    finish(path, received, 'receiver killed, reader waiting')


@test(timeout=240)
def sender_killed():
    """The sending daemon is killed in mid-file"""
    need(once, 'the transfer without failure')
    path, received = begin()
    half_way(received)
    r1.stop(signal.SIGKILL)
    time.sleep(1)
    r1.start()
    finish(path, received, 'sender killed')


@test(timeout=300)
def link_cut():
    """The link is cut for 20 seconds"""
    need(once, 'the transfer without failure')
    path, received = begin()
    half_way(received)
    r2.link('v3', False)
    time.sleep(20)
    r2.link('v3', True)
    finish(path, received, 'link cut')


@test(timeout=300)
def often():
    """Both daemons in turn, four times in one file"""
    need(once, 'the transfer without failure')
    path, received = begin()
    for n, router in enumerate((r3, r1, r3, r1)):
        half_way(received, 0.15 + 0.15 * n)
        router.stop(signal.SIGKILL)
        router.start()
    digest = Receiver(r3, '/run/out').wait(180)
    equal(digest, sha256_file(path), 'SHA-256 of the file received')
    extra = received() - once
    diag('four kills: %.1f %% sent twice' % (100 * extra / once))
    check(extra <= 4 * TWICE * once, '%d bytes sent twice', extra)
    mesh.all_alive()


run_tests()
