#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The router between 1 and 3 of a ring fails in every way a router can, and traffic goes on.

With ring:5 that is router 2, and the way around is longer by one hop. With ring:4 both ways are
equally long, so that the kernel has the second next hop installed and moves without a daemon; it is
whichever of routers 2 and 4 router 1 uses just now.

    scripts/vm --topology ring:5 -- tests/system/ring5.py
    scripts/vm --topology ring:4 -- tests/system/ring5.py
"""

import ctypes
import os
import re
import signal
import time

from lib import Gaps, Mesh, need, reachable, transfer
from ratman import SLOW, check, diag, equal, run_tests, test, until

mesh = Mesh()
r1, r3 = mesh[1], mesh[3]
SILENT = 3.0                # seconds, design.md section 14
CARRIER = 3.0               # a loss of carrier is seen at once; what remains is the routing protocol's …
CARRIER_SPARE = 0.05        # … and nothing remains where a spare next hop is installed (also section 14)
gaps = None


def ready():
    need(gaps, 'there is no traffic')
    check(until(lambda: shortest(), 45, 0.1), 'the short way is not used: %r', r1.route(r3))
    check(gaps.wait(time.monotonic(), 10) < 1 * SLOW, 'traffic does not flow before the failure')
    first = int(re.match(r'\S+ on v(\d+)', r1.route(r3)['via']).group(1))
    check(first in (2, 4), 'the first next hop is router %d', first)
    return mesh[first]


def shortest():
    """Both ends use router 2 first"""
    a, b = r1.route(r3), r3.route(r1)
    if len(mesh) == 4:          # both ways are equally good: each may be first
        return a and b and a['next_hops'] == 2 and b['next_hops'] == 2
    return a and b and a['via'].split(', ')[0].endswith('on v2') and b['via'].split(', ')[0].endswith('on v2')


def spare():
    return r1.route(r3)['next_hops'] > 1 and r3.route(r1)['next_hops'] > 1


def report(what, gap, limit):
    diag('%s: no answers for %.0f ms (limit %.0f ms x %.1f)' % (what, gap * 1000, limit * 1000, SLOW))
    check(gap < limit * SLOW, '%s: no answers for %.2f s', what, gap)


@test(timeout=90)
def traffic():
    """Pings from router 1 to router 3 take the short way"""
    global gaps
    mesh.addresses(1, 3)
    check(reachable(r1, r3) is not None, 'no answer')
    check(until(shortest, 45, 0.1), 'the short way is not used: %r and back %r', r1.route(r3), r3.route(r1))
    gaps = Gaps(r1, r3, lasting=True)
    check(gaps.wait(time.monotonic(), 10) < 1 * SLOW, 'pings are not answered')


@test(timeout=120)
def carrier():
    """Both links of the router between lose their carrier"""
    middle = ready()
    limit = CARRIER_SPARE if spare() else CARRIER
    started = time.monotonic()
    middle.link('v1', False)
    middle.link('v3', False)
    gap = gaps.wait(started)
    middle.link('v1', True)
    middle.link('v3', True)
    # 20 ms between pings and a scheduler tick are in the gap as well
    report('carrier loss', gap, limit + 0.05)
    started = time.monotonic()
    check(until(shortest, 45, 0.1), 'the short way is not used after repair')
    diag('short way again %.1f s after repair' % (time.monotonic() - started))


@test(timeout=120)
def one_way():
    """Only its far link loses the carrier: router 1 sees nothing itself"""
    middle = ready()
    started = time.monotonic()
    middle.link('v3', False)
    gap = gaps.wait(started)
    middle.link('v3', True)
    report('carrier loss one hop away', gap, CARRIER)
    check(until(shortest, 45, 0.1), 'the short way is not used after repair')


@test(timeout=150)
def silent():
    """Its links swallow everything without losing carrier"""
    middle = ready()
    ends = [(r1, 'v%d' % middle.number), (middle, 'v1'), (middle, 'v3'), (r3, 'v%d' % middle.number)]
    for router, name in ends:
        router.tc('add', 'dev', name, 'root', 'netem', 'loss', '0%')
    started = time.monotonic()
    for router, name in ends:
        router.tc('change', 'dev', name, 'root', 'netem', 'loss', '100%')
    gap = gaps.wait(started)
    for router, name in ends:
        router.tc('del', 'dev', name, 'root')
    report('silent loss', gap, SILENT)
    check(until(shortest, 60, 0.1), 'the short way is not used after repair')


@test(timeout=120)
def daemon_only():
    """Its daemon is killed: the kernel goes on forwarding, not one ping is lost"""
    middle = ready()
    middle.stop(signal.SIGKILL)
    started = time.monotonic()
    check(gaps.wait(started, 5) < 0.1 * SLOW, 'a gap after the daemon was killed')
    time.sleep(1)
    middle.start()
    time.sleep(2)
    lost = [seq for seq, moment in gaps.sent.items()
            if seq not in gaps.got and started < moment < time.monotonic() - 1 * SLOW]
    check(not lost, '%d pings lost while it had no daemon', len(lost))


@test(timeout=150)
def gone():
    """It stops entirely: daemon and namespace are gone"""
    middle = ready()
    limit = CARRIER_SPARE if spare() else CARRIER
    middle.stop(signal.SIGKILL)
    middle.ns.close()
    check(ctypes.CDLL(None).umount2(b'/run/netns/r%d' % middle.number, 2) == 0, 'umount of the namespace')
    os.unlink('/run/netns/r%d' % middle.number)
    check(until(lambda: not r1.ns.rt.exists('v%d' % middle.number), 30), 'the namespace does not go')
    started = time.monotonic()
    # the links vanish somewhere before this moment; the namespace's teardown takes its time
    gap = gaps.wait(started)
    report('router gone', gap, limit + 1)
    for router in mesh:
        if router is not middle:
            check(router.alive(), 'the daemon of %s died as well:\n%s', router, router.log_tail())
    around = 'v%d' % (2 if middle.number == len(mesh) else len(mesh))
    equal([n['link'] for n in r1.neighbours()], [around], 'neighbours of router 1')
    check(r1.route(r3)['via'].endswith('on ' + around), 'route of router 1: %r', r1.route(r3))
    gaps.stop()
    with open('/run/around', 'wb') as f:
        f.write(os.urandom(200000))
    same, _ = transfer(r1, r3, '/run/around')
    check(same, 'a file the long way differs')


run_tests()
