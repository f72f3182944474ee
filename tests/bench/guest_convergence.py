#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""From the start of all daemons to routes between all routers; what an idle mesh sends; memory.

    scripts/vm --kernel fast --topology grid:5x5 -- tests/bench/guest_convergence.py [NAME [IDLE SECONDS]]

Every router has one address. The daemons are stopped, the kernel's devices made anew, and all
daemons started at once (that is the 0 of the clock; the addresses come up by themselves). Routes
are read through netlink, in one process. Idle: bytes of all frames other than DATA that each router
sends, after a rest. Prints one JSON object.
"""

import json
import os
import re
import signal
import statistics
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, '../system'))
from lib import Mesh  # noqa: E402
from ratman import check, until  # noqa: E402
from ratman import Genl, NAMES, u32  # noqa: E402

NAME = sys.argv[1] if len(sys.argv) > 1 else "?"
IDLE = float(sys.argv[2]) if len(sys.argv) > 2 else 20
LIMIT = 180


def links(router):
    return [link for link in router.ns.rt.links().values() if re.match(r'v\d+$', link.name)]


def anew(router):
    """ratman0 without any memory of before"""
    names = [link.name for link in links(router)]
    router.ns.rt.delete('ratman0')
    router.ns.rt.add('ratman0', 'ratman')
    for name in names:
        router.ns.rt.link_set(name, master='ratman0', up=True)
    router.ns.rt.link_set('ratman0', up=True)


class Watch:
    """The routes of one router, by netlink"""

    def __init__(self, router):
        self.router = router
        self.nl = Genl(router.ns)
        self.head = u32(NAMES['RATMAN_A_IFINDEX'], router.ns.rt.index('ratman0'))

    def reaches(self, wanted):
        rows = self.nl.dump_all('ROUTE_GET', self.head)
        have = {row['dest'] for row in rows if row.get('hop')}
        return wanted <= have


def sent(mesh):
    """Bytes on the wire by all links of each router"""
    return {router: sum(link.stats['tx_bytes'] for link in links(router)) for router in mesh}


def control(mesh):
    """Bytes of frames other than DATA: those of DATA are none while nobody talks, which is checked"""
    return {router: router_counters(router) for router in mesh}


def router_counters(router):
    nl = Genl(router.ns)
    try:
        payload = u32(NAMES['RATMAN_A_IFINDEX'], router.ns.rt.index('ratman0'))
        return nl.do('STATS_GET', payload)[0].values['stats']
    finally:
        nl.close()


def main():
    mesh = Mesh()
    for router in mesh:
        router.address_up()
    everybody = {router.raw for router in mesh}
    mesh.routes(mesh[1], mesh[len(mesh)])
    for router in mesh:
        os.kill(router.pid, signal.SIGTERM)
    for router in mesh:
        check(until(lambda: not router.alive(), 20), 'the daemon of %s does not stop', router)
        anew(router)
    watches = [Watch(router) for router in mesh]

    begin = time.monotonic()
    for router in mesh:
        router.start(wait=False)
    started = time.monotonic() - begin
    waiting = list(watches)
    while waiting:
        waiting = [watch for watch in waiting if not watch.reaches(everybody - {watch.router.raw})]
        check(time.monotonic() - begin < LIMIT, '%d routers of %d lack routes after %d s', len(waiting), len(mesh), LIMIT)
        if waiting:
            time.sleep(0.05)
    converged = time.monotonic() - begin

    time.sleep(20)                          # what converging left behind
    before, data_before = sent(mesh), control(mesh)
    begin = time.monotonic()
    time.sleep(IDLE)
    after, data_after = sent(mesh), control(mesh)
    took = time.monotonic() - begin
    for router in mesh:
        for name in 'tx_packets', 'fwd_frames', 'tx_keepalive':
            moved = data_after[router][name] - data_before[router][name]
            check(not moved, '%s of %s moved by %d in an idle mesh', name, router, moved)
    rates = [(after[router] - before[router]) / took for router in mesh]
    kinds = {name: round(sum(data_after[r][name] - data_before[r][name] for r in mesh) / took / len(mesh), 2)
             for name in ('tx_hello', 'tx_echo', 'tx_link', 'tx_control', 'tx_handshake')}
    memory = [router.rss() for router in mesh]
    mesh.all_alive()
    print(json.dumps(dict(bench='convergence', kernel=os.environ.get('RATMAN_KERNEL', '?'), routers=len(mesh),
                          topology=NAME,
                          converged_s=round(converged, 2), starting_s=round(started, 2),
                          idle_bytes_s=round(statistics.mean(rates), 1), idle_lo=round(min(rates), 1),
                          idle_hi=round(max(rates), 1), idle_frames_s=kinds,
                          rss_kib=round(statistics.median(memory) / 1024), rss_max_kib=max(memory) // 1024)), flush=True)


main()
