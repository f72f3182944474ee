#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host without keys puts on a link between two routers: counted by name, without effect.

Records with an older sequence travel inside tagged CONTROL frames, so a host without keys cannot
offer one; the unit tests and the simulation (tests/unit, tests/sim) hold the routing core to that.

    scripts/vm --topology line:3 -- tests/system/forged.py
"""
import hashlib
import os
import re
import select
import socket
import struct

from lib import Mesh, Ping, need, pinger, reachable, transfer
import ratman
from ratman import SLOW, check, equal, run_tests, test, until
from lib import frames

mesh = Mesh()
r1, r2, r3 = mesh[1], mesh[2], mesh[3]

DROPS = ('rx_short', 'rx_version', 'rx_type', 'rx_length', 'rx_neigh_unknown', 'rx_neigh_wrong_link', 'rx_bad_tag',
         'rx_replay', 'rx_bad_dest', 'rx_other_host')


class Attacker:
    """Sends on the link from router 1 to router 2, and hears what travels there"""

    def __init__(self):
        with r1.ns:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.sock.bind(('v2', ratman.ETH_P_ALL))
        self.mac = self.sock.getsockname()[4]
        self.target = r2.ns.rt.get('v1').address
        self.stranger = b'\x02\x00\x00\x00\x66\x66'

    def drain(self):
        while select.select([self.sock], [], [], 0)[0]:
            self.sock.recv(1 << 17)

    def hear(self, type, timeout=10, content=b''):
        """The next whole frame of a type and with a content from router 1 to router 2, of those that
        come from now on or since drain()"""
        def look():
            while select.select([self.sock], [], [], 0.01)[0]:
                data = self.sock.recv(1 << 17)
                if data[:6] == self.target and data[12:14] == b'\x88\xb5' and data[14] & 15 == type and \
                        content in data:
                    return data[14:]
        frame = until(look, timeout, 0)
        check(frame, 'no frame of type %d%s on the link within %.0f s', type, ' with that content' if content else '',
              timeout * SLOW)
        return frames.parse(frame)

    def put(self, raw, source=None):
        self.sock.send(self.target + (source or self.mac) + b'\x88\xb5' + raw)


attacker = None


class Expect:
    """The body moves these drop counters of router 2 by these amounts, no other drop counter, and
    no neighbour, route or session; a ping that runs meanwhile loses nothing."""

    def __init__(self, **want):
        self.want = want

    def __enter__(self):
        self.before = r2.counters()
        for name in self.want:
            check(name in self.before, 'there is no counter %s', name)
        self.state = self.snapshot()
        self.ping = Ping(r1, r3, 30, 0.03)

    @staticmethod
    def snapshot():
        return (sorted((n['router'], n['link'], n['mac'], n['index'], n['state']) for n in r2.json('neigh', 'list')),
                sorted((r['addr'], r['via']) for r in r2.json('route', 'list')),
                r2.json('session', 'list'))

    def moved(self):
        after = r2.counters()
        return {name: after[name] - self.before[name] for name in DROPS if after[name] != self.before[name]}

    def __exit__(self, kind, *_):
        if kind:
            return
        check(until(lambda: self.moved() == self.want, 3, 0.1), 'drop counters moved by %r, expected %r',
              self.moved(), self.want)
        equal(self.ping.result(), (30, 30), 'pings sent and answered meanwhile')
        equal(self.moved(), self.want, 'drop counters in the end')
        equal(self.snapshot(), self.state, 'neighbours, routes and sessions')
        mesh.all_alive()


@test(timeout=60)
def prepare():
    """The mesh is up"""
    global attacker
    mesh.addresses(1, 3)
    check(reachable(r1, r3) is not None, 'no answer to a ping')
    attacker = Attacker()


def data_frame():
    """A DATA frame as it crosses the link just now"""
    need(attacker, 'no mesh')
    with pinger(r1, r3) as p:
        attacker.drain()
        p.send(200)
        frame = attacker.hear(frames.DATA)
        check(until(lambda: p.collect(0.02), 5, 0), 'no answer to the ping')
    return frame


def control_frame(name):
    """A CONTROL frame as it crosses the link just now, with the record of a new address. Unasked
    one comes every minute or so only, and need not hold a record."""
    need(attacker, 'no mesh')
    identity = '%s/config/ratcat/%s' % (r1.home, name)
    r1.ctl('-i', identity, 'addr', 'create')
    with open(identity) as f:
        fresh = bytes.fromhex(re.search(r'addr=(\S+)', f.read()).group(1).replace('-', ''))
    attacker.drain()
    r1.ctl('-i', identity, 'addr', 'up')
    frame = attacker.hear(frames.CONTROL, 30, fresh)
    for router in r2, r3:
        check(until(lambda: any(row['addr'].replace('-', '') == fresh.hex().upper()
                                for row in router.json('route', 'list')), 20, 0.1),
              '%s did not get the new address', router)
    return frame


@test(timeout=60)
def forged():
    """Frames with the right neighbour index and a guessed tag"""
    real = data_frame()
    with Expect(rx_bad_tag=80):
        for i in range(20):
            for source in attacker.mac, attacker.stranger:
                for type, body in ((frames.DATA, real.body), (frames.CONTROL, bytes(40 + i))):
                    attacker.put(frames.build(type, body, neigh=real.neigh, seq=real.seq + 1000 + i,
                                              tag=hashlib.sha256(b'%d' % i).digest()[:8]), source)


@test(timeout=60)
def unkeyed():
    """Frames for neighbour indices that nobody has"""
    real = data_frame()
    with Expect(rx_neigh_unknown=30):
        for i in range(30):
            attacker.put(frames.build(frames.DATA, real.body, neigh=real.neigh ^ (1 << (i % 28 + 4)), seq=1 + i,
                                      tag=bytes(8)), attacker.stranger)


@test(timeout=60)
def replayed():
    """A frame from the wire, sent again"""
    real = data_frame()
    with Expect(rx_replay=50):
        for i in range(25):
            attacker.put(real.raw)
            attacker.put(real.raw, attacker.stranger)


@test(timeout=120)
def replayed_control():
    """A CONTROL frame from the wire, sent again: the daemon never sees it"""
    real = control_frame('replayed')
    before = r2.counters()['rx_control']
    with Expect(rx_replay=20):
        for _ in range(20):
            attacker.put(real.raw)
    check(r2.counters()['rx_control'] - before < 20, 'replayed CONTROL frames went to the daemon')


@test(timeout=120)
def flipped():
    """Each bit of a record in a CONTROL frame, and of its hop header, flipped in turn"""
    real = control_frame('flipped')
    check(real.length > 100, 'the CONTROL frame has only %d bytes: no record in it', real.length)
    bits = list(range(0, min(len(real.raw), 120) * 8, 7))
    bits = [bit for bit in bits if bit // 8 not in (0, 2, 3, 4, 5, 6, 7)]    # version, type, length, index: below
    # hop limit is under the tag, too; a sequence far ahead keeps the replay window out of it
    raw = real.raw
    with Expect(rx_bad_tag=len(bits)):
        for n, bit in enumerate(bits):
            damaged = bytearray(raw)
            struct.pack_into('>I', damaged, 8, (real.seq & 0xf0000000) | (real.seq + 100000 + n & 0x0fffffff))
            damaged[bit // 8] ^= 1 << bit % 8
            attacker.put(bytes(damaged))


@test(timeout=120)
def truncated():
    """Truncated frames of every length, of each type"""
    real = data_frame()
    cuts = [real.raw[:n] for n in range(len(real.raw))]
    with Expect(rx_short=len(cuts)):
        for cut in cuts:
            attacker.put(cut)
    attacker.drain()
    echo = attacker.hear(frames.ECHO, 30)
    cuts = [echo.raw[:n] for n in range(len(echo.raw))]
    with Expect(rx_short=len(cuts)):
        for cut in cuts:
            attacker.put(cut)


@test(timeout=60)
def lies():
    """Wrong versions, unknown types, lengths that do not fit their type"""
    real = data_frame()
    with Expect(rx_version=15):
        for version in [v for v in range(16) if v != 1]:
            attacker.put(frames.build(frames.DATA, real.body, neigh=real.neigh, seq=real.seq + 5000, version=version))
    with Expect(rx_type=10):
        for type in range(6, 16):
            attacker.put(frames.build(type, real.body, neigh=real.neigh, seq=real.seq + 5000))
    with Expect(rx_length=60):
        for n in range(60):
            attacker.put(frames.build(frames.DATA, real.body[:n], neigh=real.neigh, seq=real.seq + 5000))


@test(timeout=60)
def hello():
    """HELLO of a hundred invented routers makes no neighbour, and LINK garbage nothing at all"""
    need(attacker, 'no mesh')
    with Expect():
        for i in range(100):
            attacker.put(frames.hello(hashlib.sha256(b'router %d' % i).digest(), struct.pack('>Q', i + 1)),
                         b'\x02\x00\x00\x01' + struct.pack('>H', i))
        for i in range(50):
            attacker.put(frames.build(frames.LINK, hashlib.shake_256(b'link %d' % i).digest(i * 20 + 1), hop_limit=1),
                         attacker.stranger)


@test(timeout=60)
def afterwards():
    """And a file still goes through"""
    need(attacker, 'no mesh')
    with open('/run/after', 'wb') as f:
        f.write(os.urandom(300000))
    same, _ = transfer(r1, r3, '/run/after')
    check(same, 'the content differs')


run_tests()
