#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP throughput, encrypted end to end: ratman0 and WireGuard, one hop and over one relay.

    scripts/vm --kernel fast --topology line:3 -- tests/bench/guest_throughput.py [SECONDS [REPEATS]]

WireGuard runs in the same guest, between namespaces of its own with the same veth links; over a
relay it crosses plain IPv6 forwarding, as an encrypted tunnel would. Repeats alternate between the
two. Prints one JSON object a line: megabits a second of user data, by iperf3's receiving side.
"""

import base64
import json
import os
import socket
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, '../system'))
from lib import Mesh, reachable  # noqa: E402
import ratman  # noqa: E402
from ratman import SLOW, check, until  # noqa: E402
from ratman import Ns  # noqa: E402

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 2
REPEATS = int(sys.argv[2]) if len(sys.argv) > 2 else 7
KERNEL = os.environ.get('RATMAN_KERNEL', '?')


def iperf(a, b, destination, source=None):
    """-> Mbit/s from namespace a to b"""
    server = b.popen('iperf3', '-s', '-1', '-B', destination, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def listening():
        with b, open('/proc/net/tcp6') as f:
            return any(row.split()[1].endswith(':1451') and row.split()[3] == '0A' for row in f.readlines()[1:])
    check(until(listening, 10, 0.02), 'iperf3 does not listen')
    done = a.run('iperf3', '-J', '-c', destination, *(['-B', source] if source else []), '-t', str(SECONDS), ok=False)
    server.wait(timeout=30 * SLOW)
    result = json.loads(done.stdout or '{}')
    check('end' in result and result['end'].get('sum_received'), 'iperf3: %s', result.get('error', done.stderr))
    return result['end']['sum_received']['bits_per_second'] / 1e6


class Wireguard:
    def __init__(self, relay):
        ratman.modprobe('wireguard')
        self.a, self.c = Ns(), Ns()
        if relay:
            b = Ns()
            self.a.rt.veth('ab', 'ba', b)
            b.rt.veth('bc', 'cb', self.c)
            b.sysctl('net/ipv6/conf/all/forwarding', 1)
            b.rt.address_add('ba', ip('fd00:1::2'), 64)
            b.rt.address_add('bc', ip('fd00:2::2'), 64)
            self.a.rt.address_add('ab', ip('fd00:1::1'), 64)
            self.c.rt.address_add('cb', ip('fd00:2::3'), 64)
            self.a.run('ip', '-6', 'route', 'add', 'default', 'via', 'fd00:1::2')
            self.c.run('ip', '-6', 'route', 'add', 'default', 'via', 'fd00:2::2')
            outer = 'fd00:1::1', 'fd00:2::3'
        else:
            self.a.rt.veth('ab', 'cb', self.c)
            self.a.rt.address_add('ab', ip('fd00:1::1'), 64)
            self.c.rt.address_add('cb', ip('fd00:1::3'), 64)
            outer = 'fd00:1::1', 'fd00:1::3'
        keys = []
        for name in 'a', 'c':
            secret = base64.b64encode(os.urandom(32)).decode()
            public = subprocess.run(['wg', 'pubkey'], input=secret, capture_output=True, text=True).stdout.strip()
            with open('/run/wg-' + name, 'w') as f:
                f.write(secret)
            keys.append(public)
        for ns, name, inner, peer, far in ((self.a, 'a', 'fd00:9::1', keys[1], outer[1]),
                                           (self.c, 'c', 'fd00:9::3', keys[0], outer[0])):
            ns.rt.add('wg0', 'wireguard')
            ns.run('wg', 'set', 'wg0', 'listen-port', '51820', 'private-key', '/run/wg-' + name, 'peer', peer,
                   'endpoint', '[%s]:51820' % far, 'allowed-ips', 'fd00:9::/64')
            ns.rt.link_set('wg0', up=True)
            ns.rt.address_add('wg0', ip(inner), 64)

    def measure(self):
        return iperf(self.a, self.c, 'fd00:9::3')


class Ratman:
    def __init__(self, a, b):
        self.a, self.b = a, b
        check(reachable(a, b) is not None, 'no answer from %s to %s', b, a)

    def measure(self):
        return iperf(self.a.ns, self.b.ns, self.b.ipv6, self.a.ipv6)


def ip(text):
    return socket.inet_pton(socket.AF_INET6, text)


def main():
    mesh = Mesh()
    mesh.addresses(1, 2, 3)
    things = {('ratman', 'one hop'): Ratman(mesh[1], mesh[2]), ('wireguard', 'one hop'): Wireguard(False),
              ('ratman', 'one relay'): Ratman(mesh[1], mesh[3]), ('wireguard', 'one relay'): Wireguard(True)}
    values = {key: [] for key in things}
    for repeat in range(REPEATS + 1):
        for key, thing in things.items():
            value = thing.measure()
            if repeat:                      # the first one warms up: sessions, caches
                values[key].append(value)
    for (what, path), runs in values.items():
        print(json.dumps(dict(bench='throughput', kernel=KERNEL, what=what, path=path, mbps=round(statistics.median(runs)),
                              lo=round(min(runs)), hi=round(max(runs)), seconds=SECONDS, repeats=REPEATS)), flush=True)
    mesh.all_alive()


main()
