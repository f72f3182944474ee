#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Router 2 of a ring fails in every way a router can, and traffic between 1 and 3 goes on.

With ring:5 the way around is longer by one hop; with ring:4 both ways are equally long, so that
the kernel has the second next hop installed and moves without a daemon.

    scripts/vm --topology ring:5 -- tests/system/ring5.py
    scripts/vm --topology ring:4 -- tests/system/ring5.py
"""

import ctypes

from lib import *

mesh = Mesh()
r1, r2, r3 = mesh[1], mesh[2], mesh[3]
SILENT = 3.0                # seconds, design.md section 14
CARRIER = 3.0               # a loss of carrier is seen at once; what remains is the routing protocol's …
CARRIER_SPARE = 0.05        # … and nothing remains where a spare next hop is installed (also section 14)
gaps = None


def ready():
    need(gaps, 'there is no traffic')
    check(until(lambda: shortest(), 45, 0.1), 'the short way over router 2 is not used: %r', r1.route(r3))
    check(gaps.wait(time.monotonic(), 10) < 1 * SLOW, 'traffic does not flow before the failure')


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
    """Pings from router 1 to router 3 take the short way over router 2"""
    global gaps
    mesh.addresses(1, 3)
    check(reachable(r1, r3) is not None, 'no answer')
    check(until(shortest, 45, 0.1), 'the short way is not used: %r and back %r', r1.route(r3), r3.route(r1))
    gaps = Gaps(r1, r3, lasting=True)
    check(gaps.wait(time.monotonic(), 10) < 1 * SLOW, 'pings are not answered')


@test(timeout=120)
def carrier():
    """Both links of router 2 lose their carrier"""
    ready()
    limit = CARRIER_SPARE if spare() else CARRIER
    started = time.monotonic()
    r2.link('v1', False)
    r2.link('v3', False)
    gap = gaps.wait(started)
    r2.link('v1', True)
    r2.link('v3', True)
    # 20 ms between pings and a scheduler tick are in the gap as well
    report('carrier loss', gap, limit + 0.05)
    started = time.monotonic()
    check(until(shortest, 45, 0.1), 'the short way is not used after repair')
    diag('short way again %.1f s after repair' % (time.monotonic() - started))


@test(timeout=120)
def one_way():
    """Only the far link of router 2 loses its carrier: router 1 sees nothing itself"""
    ready()
    started = time.monotonic()
    r2.link('v3', False)
    gap = gaps.wait(started)
    r2.link('v3', True)
    report('carrier loss one hop away', gap, CARRIER)
    check(until(shortest, 45, 0.1), 'the short way is not used after repair')


@test(timeout=150)
def silent():
    """Router 2's links swallow everything without losing carrier"""
    ready()
    ends = [(r1, 'v2'), (r2, 'v1'), (r2, 'v3'), (r3, 'v2')]
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
    """Router 2's daemon is killed: its kernel goes on forwarding, not one ping is lost"""
    ready()
    r2.stop(signal.SIGKILL)
    started = time.monotonic()
    check(gaps.wait(started, 5) < 0.1 * SLOW, 'a gap after the daemon was killed')
    time.sleep(1)
    r2.start()
    time.sleep(2)
    lost = [seq for seq, moment in gaps.sent.items()
            if seq not in gaps.got and started < moment < time.monotonic() - 1 * SLOW]
    check(not lost, '%d pings lost while router 2 had no daemon', len(lost))


@test(timeout=150)
def gone():
    """Router 2 stops entirely: daemon and namespace are gone"""
    ready()
    limit = CARRIER_SPARE if spare() else CARRIER
    r2.stop(signal.SIGKILL)
    r2.ns.close()
    check(ctypes.CDLL(None).umount2(b'/run/netns/r2', 2) == 0, 'umount of the namespace')
    os.unlink('/run/netns/r2')
    check(until(lambda: not r1.ns.rt.exists('v2'), 30), 'the namespace does not go')
    started = time.monotonic()
    # the links vanish somewhere before this moment; the namespace's teardown takes its time
    gap = gaps.wait(started)
    report('router 2 gone', gap, limit + 1)
    for router in mesh:
        if router is not r2:
            check(router.alive(), 'the daemon of %s died as well:\n%s', router, router.log_tail())
    equal([n['link'] for n in r1.neighbours()], ['v%d' % len(mesh)], 'neighbours of router 1')
    check(r1.route(r3)['via'].endswith('on v%d' % len(mesh)), 'route of router 1: %r', r1.route(r3))
    gaps.stop()
    with open('/run/around', 'wb') as f:
        f.write(os.urandom(200000))
    same, _ = transfer(r1, r3, '/run/around')
    check(same, 'a file the long way differs')


run_tests()
