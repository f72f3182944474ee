#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A namespace over the mesh: five members, one of them away for a while; streams reach all of them,
once; anycast lists those that are there.

    scripts/vm --topology ring:5 -- tests/system/space.py
"""
import os
import signal
import time

from lib import Mesh, Receiver, need, sha256_file
from ratman import check, diag, equal, run_tests, test, until

mesh = Mesh()
KEY = '/run/app.key'
space = None
got = {n: 0 for n in range(1, len(mesh) + 1)}       # streams received by each router


def join(router):
    router.ctl('space', 'register', '-f', KEY)
    router.ctl('space', 'up', '-f', KEY)


def publish(router, size):
    """A stream to the namespace -> its SHA-256"""
    path = '/run/published'
    with open(path, 'wb') as f:
        f.write(os.urandom(size))
    with open(path, 'rb') as f:
        router.run('ratcat', '-q', 'send', '-s', space, stdin=f)
    return sha256_file(path)


def receive(router, timeout=60):
    """The next stream to the namespace -> its SHA-256"""
    digest = Receiver(router, '/run/got-%d' % router.number, 1, space).wait(timeout)
    got[router.number] += 1
    return digest


def nothing_more(*routers):
    """Nobody gets anything twice"""
    readers = [(r, Receiver(r, '/run/none-%d' % r.number, 1, space)) for r in routers]
    time.sleep(3)
    for router, reader in readers:
        check(reader.process.poll() is None, '%s received a stream twice', router)
        reader.process.kill()
        reader.process.wait()


def members(router, ms=2000):
    """ratctl space anycast -> [(address, ms)]"""
    rows = router.json('space', 'anycast', '-f', KEY, '-t', str(ms))
    check(rows is not None, 'space anycast on %s says nothing', router)
    return [(row['addr'], row['ms']) for row in rows]


@test(timeout=120)
def five_members():
    """Everybody joins; the key file is all it takes"""
    global space
    mesh.addresses()
    space = mesh[1].ctl('-q', 'space', 'register', '-f', KEY).stdout.strip()
    for router in mesh:
        join(router)
    mesh.all_alive()


@test(timeout=180)
def anycast():
    """A member learns who the others are, the quickest first"""
    need(space, 'the namespace')
    others = {r.address for r in mesh if r is not mesh[1]}
    found = []

    def complete():
        nonlocal found
        found = members(mesh[1])
        return {a for a, _ in found} == others
    check(until(complete, 60, 0.2), 'anycast finds %r', found)
    equal([ms for _, ms in found], sorted(ms for _, ms in found), 'milliseconds')
    equal(len(found), len(others), 'each member once')
    diag('answers after %s ms' % ', '.join(str(ms) for _, ms in found))


@test(timeout=240)
def reaches_all():
    """Streams of a member reach every member, also itself, whatever their size"""
    need(space, 'the namespace')
    for size, sender in ((1, 1), (5000, 3), (3000000, 5)):
        started = time.monotonic()
        digest = publish(mesh[sender], size)
        for router in mesh:
            equal(receive(router), digest, 'what %s received of %d bytes' % (router, size))
        diag('%d bytes with everybody after %.1f s' % (size, time.monotonic() - started))
    nothing_more(*mesh)


@test(timeout=300)
def away():
    """One member is away while streams are sent, and its sender while it returns"""
    need(space, 'the namespace')
    absent, sender = mesh[4], mesh[1]
    absent.stop(signal.SIGKILL)
    digests = [publish(sender, 10000 + n) for n in range(3)]
    for router in mesh:
        if router is not absent:
            equal(sorted(receive(router) for _ in digests), sorted(digests), 'what %s received' % router)
    left = [a for a, _ in members(mesh[2])]
    check(absent.address not in left, 'a member that is away answers')
    equal(len(left), len(mesh) - 2, 'members that answer')
    sender.stop(signal.SIGKILL)
    started = time.monotonic()
    absent.start()
    equal(sorted(receive(absent, 120) for _ in digests), sorted(digests), 'what it received of others')
    diag('caught up after %.1f s' % (time.monotonic() - started))
    sender.start()
    nothing_more(*mesh)


@test(timeout=180)
def killed_in_the_middle():
    """A member is killed while a big stream arrives"""
    need(space, 'the namespace')
    victim = mesh[3]
    for name in ('v2', 'v4'):
        victim.tc('add', 'dev', name, 'root', 'netem', 'delay', '20ms')
    digest = publish(mesh[1], 8 << 20)
    time.sleep(0.5)
    victim.stop(signal.SIGKILL)
    victim.start()
    for router in mesh:
        equal(receive(router, 120), digest, 'what %s received' % router)
    for name in ('v2', 'v4'):
        victim.tc('del', 'dev', name, 'root')
    nothing_more(*mesh)


@test(timeout=180)
def a_stranger_sends():
    """Who leaves gets no more, and may send all the same"""
    need(space, 'the namespace')
    stranger = mesh[2]
    stranger.ctl('space', 'down', '-f', KEY)
    digest = publish(stranger, 40000)
    for router in mesh:
        if router is not stranger:
            equal(receive(router), digest, 'what %s received' % router)

    def left():
        return stranger.address not in [a for a, _ in members(mesh[1], 1000)]
    check(until(left, 30, 0.2), 'who left still answers')
    nothing_more(*mesh)
    mesh.all_alive()


run_tests()
