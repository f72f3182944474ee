#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs router B to pass on a frame from A to C: ratman, a bridge, plain IPv6 and batman-adv.

    scripts/vm --kernel fast --with tests/bench/kgen -- tests/bench/guest_forward.py [REPEATS [COUNT]]
    scripts/vm --kernel exact --with tests/bench/kgen -- tests/bench/guest_forward.py 3 2000

All paths exist at the same time in one guest, and each repeat measures every path once, so that
load on the host hits them alike. The value is the median over the repeats of nanoseconds for one
frame (instructions on the kernel "exact", whose clock counts them); "B only" is that less the same
frames over a veth straight from A to C; "b_only_best" is the same of the fastest runs, which
a busy host disturbs less. Frames come from kgen, prebuilt, with valid tags, on A's
side of the link; ratman's and batman-adv's carry SIZE bytes of a user's Ethernet frame and so are
longer on the wire (80 and 24 bytes). Prints one JSON object a line.
"""

import json
import os
import re
import statistics
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '../guest'))
import ratman                                                           # noqa: E402
from ratman import Net, Ns, until  # noqa: E402
import frames                                                           # noqa: E402
from frames import digest                                               # noqa: E402

KERNEL = os.environ.get('RATMAN_KERNEL', '?')
REPEATS = int(sys.argv[1]) if len(sys.argv) > 1 else 7
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 100000
SIZES = (78, 512, 1400)
WINDOW = 64
LANE = 15                       # A's own frames use lanes from 0 up


def emit(**values):
    print(json.dumps(dict(bench='forward', kernel=KERNEL, **values)), flush=True)


def ethernet(destination, source, ethertype):
    return destination + source + struct.pack('>H', ethertype)


def udp6(source, destination, size):
    """An IPv6/UDP packet of that size to port 9, its first 48 bytes"""
    payload = size - 40
    return (struct.pack('>IHBB', 6 << 28, payload, 17, 64) + source + destination +
            struct.pack('>HHHH', 9, 9, payload, 0x1234))


def ip(text):
    import socket
    return socket.inet_pton(socket.AF_INET6, text)


class Path:
    """One way from A to C: where to send, what, and where it arrives"""

    extra = 0                   # bytes on the wire beyond those of the user's frame

    def mac(self, ns, name):
        return ns.rt.get(name).address

    def order(self, size, count):
        header = self.header(size)
        return 'gen %s %d %d %d 14 %s' % (self.device, count, WINDOW, size + self.extra, header.hex())

    def run(self, size, count):
        """-> (nanoseconds for a frame, lost)"""
        return kgen(self.a, self.order(size, count))


def kgen(ns, order=None):
    with open('/proc/kgen') as f:
        before = int(f.read().split()[1])
    with ns, open('/proc/kgen', 'w') as f:
        f.write(order)
    with open('/proc/kgen') as f:
        sent, arrived, refused, stalls, nanoseconds = map(int, f.read().split())
    arrived -= before
    return nanoseconds / arrived if arrived else None, sent - arrived


def line():
    a, b, c = Ns(), Ns(), Ns()
    a.rt.veth('ab', 'ba', b)
    b.rt.veth('bc', 'cb', c)
    return a, b, c


class Direct(Path):
    name = 'direct'

    def __init__(self):
        self.a, self.c = Ns(), Ns()
        self.a.rt.veth('ab', 'cb', self.c)
        self.device, self.sink = 'ab', 'cb'

    def header(self, size):
        return ethernet(self.mac(self.c, 'cb'), self.mac(self.a, 'ab'), 0x86dd) + \
            udp6(ip('fd00:1::1'), ip('fd00:1::3'), size - 14)


class Bridge(Direct):
    name = 'bridge'

    def __init__(self):
        self.a, self.b, self.c = line()
        self.b.rt.add('br0', 'bridge')
        for port in 'ba', 'bc':
            self.b.rt.link_set(port, master='br0')
        self.b.rt.link_set('br0', up=True)
        # the bridge has to have seen C once; any frame from there will do
        with self.c:
            import socket
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.bind(('cb', 0))
        until(lambda: self._teach(s), 40, 0.2)
        s.close()
        self.device, self.sink = 'ab', 'cb'

    def _teach(self, s):
        s.send(ethernet(b'\xff' * 6, self.mac(self.c, 'cb'), 0x88b6) + bytes(46))
        with self.b:
            done = subprocess.run(['bridge', 'fdb', 'show', 'br', 'br0'], capture_output=True, text=True)
        mac = ':'.join('%02x' % x for x in self.mac(self.c, 'cb'))
        return any(mac in row and 'permanent' not in row for row in done.stdout.splitlines())


class Ip6(Path):
    name = 'ip6'

    def __init__(self):
        self.a, self.b, self.c = line()
        self.b.sysctl('net/ipv6/conf/all/forwarding', 1)
        self.b.rt.address_add('ba', ip('fd00:1::2'), 64)
        self.b.rt.address_add('bc', ip('fd00:2::2'), 64)
        self.c.rt.address_add('cb', ip('fd00:2::3'), 64)
        self.b.run('ip', '-6', 'neigh', 'replace', 'fd00:2::3', 'dev', 'bc', 'nud', 'permanent', 'lladdr',
                   ':'.join('%02x' % x for x in self.mac(self.c, 'cb')))
        self.device, self.sink = 'ab', 'cb'

    def header(self, size):
        return ethernet(self.mac(self.b, 'ba'), self.mac(self.a, 'ab'), 0x86dd) + \
            udp6(ip('fd00:1::1'), ip('fd00:2::3'), size - 14)


class Batman(Path):
    extra = 24                  # Ethernet and batman-adv unicast header

    def __init__(self, algorithm):
        self.name = {'BATMAN_IV': 'batman-iv', 'BATMAN_V': 'batman-v'}[algorithm]
        ratman.modprobe('batman-adv')
        with open('/sys/module/batman_adv/parameters/routing_algo', 'w') as f:
            f.write(algorithm)
        self.a, self.b, self.c = line()
        for ns, links in ((self.a, ['ab']), (self.b, ['ba', 'bc']), (self.c, ['cb'])):
            ns.rt.add('bat0', 'batadv')
            ns.rt.link_set('bat0', up=True)
            for link in links:
                ns.rt.link_set(link, master='bat0')
        self.device, self.sink = 'ab', 'cb'
        self.prefix = None

    def ready(self):
        """When A knows what version C's table has, B knows the way to C as well."""
        mac = ':'.join('%02x' % x for x in self.mac(self.c, 'bat0'))
        done = self.a.run('batctl', 'meshif', 'bat0', 'tg', '-H', ok=False)
        for row in done.stdout.splitlines():
            versions = re.findall(r'\(\s*(\d+)\)', row)
            if mac in row and len(versions) > 1:
                self.prefix = ethernet(self.mac(self.b, 'ba'), self.mac(self.a, 'ab'), 0x4305) + \
                    bytes((0x40, 15, 50, int(versions[1]))) + self.mac(self.c, 'cb')
                return True
        return False

    def header(self, size):
        return self.prefix + ethernet(self.mac(self.c, 'bat0'), self.mac(self.a, 'bat0'), 0x86dd) + \
            udp6(ip('fd00:9::1'), ip('fd00:9::3'), size - 14)


class Ratman(Path):
    name = 'ratman'
    extra = 80                  # Ethernet, hop header, data header, tag of the AEAD; the user's Ethernet header goes

    def __init__(self):
        self.net = Net(3)
        self.a, self.b, self.c = (mesh.ns for mesh in self.net.mesh)
        self.device, self.sink = 'to1', 'to1'
        self.key = digest('hop key', (0, 1, 0), 16)
        self.sent = 0
        ratman.check(self.net.ping(0, 2), 'no answer to a ping through the routers set by hand')

    def header(self, size):
        body = size - 14 + 44 + 16          # the user's packet, sealed
        return ethernet(self.mac(self.b, 'to0'), self.mac(self.a, 'to1'), frames.ETHERTYPE) + \
            frames.hop_header(frames.DATA, 64, body, self.net.slot(1, 0), 0) + \
            frames.data_body(self.net.addr[2], self.net.session_index(2, 0), 1 << 32, b'')

    def order(self, size, count):
        first = frames.seq_of(LANE, self.sent + 1)
        self.sent += count
        return 'ratman %s %d %d %d %s %s %d' % (self.device, count, WINDOW, size + self.extra,
                                                self.header(size).hex(), self.key.hex(), first)

    def forwarded(self):
        return self.net.mesh[1].stats()['fwd_frames']


def load_kgen():
    path = os.path.join(os.environ.get('RATMAN_WITH', ''), 'kgen/kgen.ko')
    done = subprocess.run(['insmod', path], capture_output=True, text=True)
    if done.returncode:
        sys.exit('insmod %s: %s(start me with scripts/vm --with tests/bench/kgen)' % (path, done.stderr))


def main():
    load_kgen()
    paths = [Direct(), Bridge(), Ip6(), Ratman()]
    for algorithm in 'BATMAN_IV', 'BATMAN_V':
        try:
            path = Batman(algorithm)
        except OSError as e:
            print('# no %s here: %s' % (algorithm, e), flush=True)
            continue
        if until(path.ready, 60, 0.5):
            paths.append(path)
        else:
            print('# %s: no route within a minute, left out' % algorithm, flush=True)
    values = {(path.name, size): [] for path in paths for size in SIZES}
    lost = dict.fromkeys(values, 0)
    for repeat in range(REPEATS):
        for path in paths:
            with path.c, open('/proc/kgen', 'w') as f:
                f.write('sink ' + path.sink)
            for size in SIZES:
                path.run(size, max(200, COUNT // 20))           # caches, neighbours, branch predictors
                before = path.forwarded() if isinstance(path, Ratman) else 0
                value, missing = path.run(size, COUNT)
                lost[path.name, size] += missing
                if value is None:
                    sys.exit('%s: nothing of %d frames with %d bytes arrived' % (path.name, COUNT, size))
                if isinstance(path, Ratman) and path.forwarded() - before < COUNT - missing:
                    sys.exit('ratman: B did not forward what arrived')
                values[path.name, size].append(value)
    with open('/proc/kgen', 'w') as f:
        f.write('unsink')
    for size in SIZES:
        direct = statistics.median(values['direct', size])
        best = min(values['direct', size])
        for path in paths:
            runs = values[path.name, size]
            middle = statistics.median(runs)
            emit(path=path.name, size=size, ns=round(middle, 1), lo=round(min(runs), 1), hi=round(max(runs), 1),
                 b_only=round(middle - direct, 1), b_only_best=round(min(runs) - best, 1), lost=lost[path.name, size], count=COUNT, repeats=REPEATS,
                 unit='instructions' if KERNEL == 'exact' else 'ns')


main()
