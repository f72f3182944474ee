#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Daemons are killed, stopped and started again; the kernel goes on, and nobody has to log in anew.

    scripts/vm --topology line:3 -- tests/system/restart.py
"""
import os
import re
import signal
import time

from lib import Mesh, Ping, need, reachable, transfer
from ratman import SLOW, check, diag, equal, run_tests, test, until

mesh = Mesh()
r1, r2, r3 = mesh[1], mesh[2], mesh[3]


def ready():
    need(r1.address and r3.address, 'there are no addresses')
    mesh.all_alive()
    mesh.routes(r1, r3)


def works(a=r1, b=r3):
    check(reachable(a, b) is not None, 'no answer from %s to %s', b, a)
    with open('/run/works', 'wb') as f:
        f.write(os.urandom(50000))
    same, _ = transfer(a, b, '/run/works')
    check(same, 'a file from %s to %s differs', a, b)


def nothing_forgotten(routers, before):
    for router in routers:
        status = router.json('status')
        equal((status['num_local'], status['num_auth']), before[router], 'addresses and those up on %s' % router)
        equal(status['mesh'], 'on', 'mesh on %s' % router)


def memory(routers):
    return {router: (router.json('status')['num_local'], router.json('status')['num_auth']) for router in routers}


@test(timeout=90)
def prepare():
    """Addresses on routers 1 and 3"""
    mesh.addresses(1, 3)
    works()


@test(timeout=120)
def killed():
    """All daemons killed during a ping and started 2 s later: not one answer is lost"""
    ready()
    before = memory((r1, r3))
    router_addresses = {r: r.json('status')['router'] for r in mesh}
    flood = Ping(r1, r3, 800, 0.01)
    time.sleep(1)
    mesh.restart_all(signal.SIGKILL, 2.0)
    equal(flood.result(), (800, 800), 'pings sent and answered')
    diag(flood.output.strip().splitlines()[-1])
    for router, address in router_addresses.items():
        equal(router.json('status')['router'], address, 'router address of %s' % router)
    nothing_forgotten((r1, r3), before)
    mesh.routes(r1, r3)
    works()


@test(timeout=120)
def new_peer():
    """After that a new address and a new session work"""
    ready()
    mesh.addresses(1, 2, 3)
    works(r1, r2)
    works(r2, r3)
    equal(len(r1.json('session', 'list')), 2, 'sessions of router 1')


@test(timeout=120)
def killed_again():
    """Killed three times in a row, at once after the start"""
    ready()
    before = memory(mesh)
    flood = Ping(r1, r3, 400, 0.01)
    for _ in range(3):
        mesh.restart_all(signal.SIGKILL)
    equal(flood.result(), (400, 400), 'pings sent and answered')
    nothing_forgotten(mesh, before)
    works()


@test(timeout=120)
def stopped():
    """Stopped by SIGTERM: a clean end, traffic goes on without daemons, and addresses come back"""
    ready()
    before = memory(mesh)
    flood = Ping(r1, r3, 500, 0.01)
    for router in mesh:
        took = router.stop(signal.SIGTERM)
        check(took < 5 * SLOW, '%s took %.1f s to stop', router, took)
    for router in mesh:
        with open(router.log, errors='replace') as f:
            check('stopping on signal 15' in f.read(), 'no word of the stop in the log of %s', router)
    done = r1.ctl('addr', 'list', ok=False)
    equal(done.returncode, 3, 'status of ratctl without a daemon')
    check(len(r1.json('route', 'list')) >= 1, 'the routes in the kernel are gone')
    for router in mesh:
        router.start()
    equal(flood.result(), (500, 500), 'pings sent and answered')
    nothing_forgotten(mesh, before)
    works()


@test(timeout=90)
def idle():
    """A daemon killed while nothing runs"""
    ready()
    before = memory((r2,))
    r2.stop(signal.SIGKILL)
    time.sleep(1)
    r2.start()
    nothing_forgotten((r2,), before)
    works()
    works(r1, r2)


@test(timeout=60)
def down_stays_down():
    """An address that was taken down is not up after a restart"""
    ready()
    r2.ctl('addr', 'down')
    r2.stop(signal.SIGKILL)
    r2.start()
    status = r2.json('status')
    equal((status['num_local'], status['num_auth']), (1, 0), 'addresses and those up on router 2')
    r2.ctl('addr', 'up')
    mesh.routes(r1, r2)


@test(timeout=150)
def lost_keys():
    """A peer that lost its sessions is not a black hole: they are made anew while packets come"""
    ready()
    check(reachable(r1, r3) is not None, 'no answer before')
    r3.ctl('addr', 'down')
    r3.ctl('addr', 'up')
    # something of its own may want to go out already, and wait for a key
    equal([s for s in r3.json('session', 'list') if s['role'] != 'waiting'], [], 'sessions of router 3 with a key')
    took = reachable(r1, r3, max(25, 60 / SLOW))
    check(took is not None and took < 25 + 5 * SLOW, 'no answer %s after the peer lost its keys',
          'for %.0f s' % took if took else 'at all')
    diag('answers again after %.1f s' % took)


@test(timeout=60)
def second():
    """A second daemon on the same state refuses, and says why; the first is unharmed"""
    ready()
    done = r1.run('ratmand', '-c', r1.config, ok=False, timeout=20)
    check(done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT), 'status %d', done.returncode)
    lines = [line for line in done.stderr.splitlines() if line]
    check(lines and r1.home in done.stderr and re.search(r'another|already|use', done.stderr),
          'it says: %r', done.stderr)
    r1.answers() or check(False, 'the first daemon does not answer')
    works()


@test(timeout=120)
def no_device():
    """ratman0 deleted: status says so and why; made again, the daemon joins by itself"""
    ready()
    r3.ns.rt.delete('ratman0')

    def off():
        status = r3.json('status')
        return status and status['mesh'] != 'on' and status
    status = until(off, 15, 0.1)
    check(status, 'the status still says that the mesh is on')
    check(len(status['mesh']) > 8, 'no reason given: %r', status['mesh'])
    diag('status: ' + status['mesh'])
    done = r3.ctl('route', 'list', ok=False)
    equal(done.returncode, 3, 'status of ratctl route list without a device')
    check(done.stderr.strip(), 'no words')
    check(r3.json('addr', 'list'), 'the daemon no longer serves its clients')
    r3.ns.rt.add('ratman0', 'ratman')
    r3.ns.rt.link_set('v2', master='ratman0', up=True)
    r3.ns.rt.link_set('ratman0', up=True)
    check(until(lambda: not off(), 20, 0.1), 'the daemon does not join')
    mesh.routes(r1, r3)
    works()
    mesh.all_alive()


run_tests()
