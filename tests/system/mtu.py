#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Four routers in a line; the link between the two relays is smaller than the others, as a
tunnel or a DSL line would be, and gets smaller. Programs at the ends get through all the same.

    scripts/vm --topology line:4 -- tests/system/mtu.py
"""
import os
import re
import threading

from lib import Mesh, Web, fetch, need, pinger, reachable, transfer
from ratman import SLOW, Failure, check, diag, equal, netem, run_tests, test, until

mesh = Mesh()
r1, r2, r3, r4 = mesh[1], mesh[2], mesh[3], mesh[4]


def ready():
    need(r1.address and r4.address and r1.route(r4) and r4.route(r1), 'there are no addresses with routes')


def set_mtu(mtu, far=None):
    """Of the link between the relays; the far end may have another one"""
    r2.ns.rt.link_set('v3', mtu=mtu)
    r3.ns.rt.link_set('v2', mtu=far or mtu)


def mtus():
    """As the ends know them: there, and back"""
    return [route and route['mtu'] for route in (r1.route(r4), r4.route(r1))]


def wait_mtu(mtu):
    check(until(lambda: mtus() == [mtu, mtu], 15, 0.1), 'path MTUs %r, not %d', mtus(), mtu)


def relays_lost():
    return sum(r.counters()['fwd_too_big'] for r in (r2, r3))


@test(timeout=90)
def known():
    """ratctl shows the path MTU at both ends, and what becomes of it"""
    mesh.addresses(1, 4)
    check(reachable(r1, r4) is not None, 'no answer')
    wait_mtu(1420)
    set_mtu(1400)
    wait_mtu(1320)
    # the ends' own link is no smaller
    equal(r1.ns.rt.get('ratman0').mtu, 1420, 'MTU of the device')
    set_mtu(1500, far=1410)
    wait_mtu(1330)
    set_mtu(1400)
    wait_mtu(1320)


@test(timeout=60)
def pings():
    """Pings of any size"""
    ready()
    for a, b in ((r1, r4), (r4, r1)):
        with pinger(a, b) as p:
            # whichever end a size teaches something may lose one ping
            for size in 1320 - 48, 1321 - 48, 1420 - 48, 3000:
                check(any(p.once(size, 0.3) for _ in range(3)), 'no answer to pings with %d bytes', size)
            for size in 1420 - 48, 3000:
                check(p.once(size), 'no answer to a ping with %d bytes', size)


@test(timeout=60)
def told():
    """A program that wants no fragments is told the size"""
    ready()
    said = r1.run('ping', '-n', '-M', 'do', '-c', '3', '-i', '0.2', '-s', str(1421 - 48 - 1), '-I', r1.ipv6, r4.ipv6, ok=False)
    check(re.search('(?i)mtu[ =:]+1320', said.stdout + said.stderr), 'ping said: %s%s', said.stdout, said.stderr)


@test(timeout=180)
def programs():
    """Web pages and streams of some megabytes, both ways: the relays drop nothing"""
    ready()
    before = relays_lost()
    page = os.urandom(4000000 if SLOW < 8 else 1000000)
    for a, b in ((r1, r4), (r4, r1)):
        check(fetch(a, Web(b, page)) == page, 'curl got another page')
    with open('/run/stream', 'wb') as f:
        f.write(page)
    same, took = transfer(r1, r4, '/run/stream')
    check(same, 'the stream differs')
    diag('a stream of %d bytes: %.1f s' % (len(page), took))
    equal(relays_lost() - before, 0, 'frames that relays dropped')


@test(timeout=240)
def shrinking():
    """The link shrinks under a running transfer, which goes on"""
    ready()
    set_mtu(1500)
    wait_mtu(1420)
    page = os.urandom(8000000)
    web = Web(r4, page)
    # Some 16 s of it, so that it is under way all the time.
    netem(r3.ns, 'v2', 'rate', '4mbit', 'limit', '100')
    got = []
    thread = threading.Thread(target=lambda: got.append(fetch(r1, web, timeout=200)), daemon=True)
    packets = r1.counters()['rx_packets']
    thread.start()
    for mtu in 1440, 1400, 1360:
        check(until(lambda: r1.counters()['rx_packets'] > packets + 100 or got, 30, 0.01), 'nothing arrives')
        check(not got, 'the transfer was too short to see anything')
        packets = r1.counters()['rx_packets']
        set_mtu(mtu)
        wait_mtu(mtu - 80)
    r3.ns.run('tc', 'qdisc', 'del', 'dev', 'v2', 'root')
    thread.join(200)
    if not got:
        raise Failure('the transfer hangs')
    check(got[0] == page, 'curl got another page')


@test(timeout=90)
def too_small():
    """A link that cannot carry IPv6 is no way: no route, and the log says why; it comes back"""
    ready()
    set_mtu(1359)
    check(until(lambda: not r1.route(r4) and not r4.route(r1), 15, 0.1), 'there is still a route')
    check('MTU 1359' in open(r2.log, errors='replace').read(), 'the log of router 2:\n%s', r2.log_tail())
    set_mtu(1360)
    mesh.routes(r1, r4)
    wait_mtu(1280)
    check(reachable(r1, r4) is not None, 'no answer')
    set_mtu(1500)
    wait_mtu(1420)


@test(timeout=120)
def restart():
    """Daemons that are killed and start again know the path MTU, and the kernel keeps it meanwhile"""
    ready()
    set_mtu(1400)
    wait_mtu(1320)
    mesh.restart_all()
    mesh.routes(r1, r4)
    check(reachable(r1, r4) is not None, 'no answer')
    wait_mtu(1320)
    mesh.all_alive()


run_tests()
