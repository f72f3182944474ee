#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The short version of everything, for slow kernels: addresses, ping, a transfer, a web page,
the module unloaded under its daemons.

    scripts/vm --kernel debug-x86 --topology line:3 -- tests/guest/smoke
"""
import hashlib
import os
import signal
import subprocess

from lib import Mesh, Ping, Web, fetch, need, reachable, transfer
from ratman import check, diag, equal, module_loaded, run_tests, test, until

mesh = Mesh()
r1, r2, r3 = mesh[1], mesh[2], mesh[3]


def ready():
    need(r1.address and r3.address and r1.route(r3), 'there are no addresses with routes')


@test(timeout=60)
def addresses():
    """Addresses on routers 1 and 3 and the routes between them"""
    mesh.addresses(1, 3)


@test(timeout=60)
def ping():
    """ping6 from router 1 to router 3"""
    ready()
    check(reachable(r1, r3) is not None, 'no answer')
    equal(Ping(r1, r3, 10, 0.1).result(), (10, 10), 'sent and answered')


@test(timeout=120)
def file():
    """1 MB from router 1 to router 3, SHA-256 equal"""
    ready()
    with open('/run/megabyte', 'wb') as f:
        f.write(os.urandom(1 << 20))
    same, took = transfer(r1, r3, '/run/megabyte')
    check(same, 'the content differs')
    diag('%.1f s' % took)


@test(timeout=60)
def web():
    """curl fetches a page of router 3"""
    ready()
    page = hashlib.shake_256(b'page').digest(100000)
    check(fetch(r1, Web(r3, page)) == page, 'curl got another page')


@test(timeout=60)
def restart():
    """All daemons killed and started: not one ping is lost"""
    ready()
    running = Ping(r1, r3, 60, 0.1, 10)
    mesh.restart_all(signal.SIGKILL)
    equal(running.result(), (60, 60), 'sent and answered')


@test(timeout=60)
def unload():
    """The module unloaded under its daemons, which stay and then stop in order"""
    done = subprocess.run(['rmmod', 'ratman'], capture_output=True, text=True)
    equal((done.returncode, done.stderr), (0, ''), 'rmmod')
    check(not module_loaded(), 'the module is still there')
    check(until(lambda: r1.json('status')['mesh'] != 'on', 15, 0.2), 'the status says that the mesh is on')
    mesh.all_alive()
    for router in mesh:
        router.stop()


run_tests()
