#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Path MTUs: a path that carries less than its first link, and what programs make of it."""

import errno
import select
import socket
import struct
import threading
import time

from ratman import (
    Failure, Net, Peer, Pinger, SLOW, address, bench, between, check, equal, flags_up, ipv6_of,
    run_tests, test, text, transfer, until)
from frames import DATA
from uapi import RATMAN_NEIGH_DEAD

OVERHEAD = 48           # IPv6 and UDP
FRAME = 80              # a packet in a frame
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_DONTFRAG = 23, 24, 62


class Host:
    """A router with some neighbours, an address of its own, and a peer played by the test"""

    def __init__(self, hops, install=True):
        self.mesh, self.wires = bench(len(hops))
        self.fakes = [self.mesh.add_fake(wire, 'l%d' % i, name='n%d' % i) for i, wire in enumerate(self.wires)]
        self.me = address('me')
        self.mesh.use(self.me)
        self.peer = Peer(self.mesh, self.me, 'p', install=False)
        self.route(*hops)
        if install:
            self.install()

    def route(self, *mtus):
        self.mesh.route_set(self.peer.addr, [(fake.index, 1 + i, *([mtu] if mtu else []))
                                             for i, (fake, mtu) in enumerate(zip(self.fakes, mtus))])

    def install(self):
        self.peer.install()

    def socket(self, discover=2):
        s = self.mesh.ns.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0)
        s.bind((text(ipv6_of(self.me)), 0))
        s.connect((text(self.peer.ipv6), 2000))
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, discover)
        return s


def learns(s, host, size, mtu):
    """A packet of @size is dropped, and the program told; the socket knows @mtu afterwards"""
    with host.mesh.counts(tx_too_big=1):
        s.send(bytes(size - OVERHEAD))
    check(told(s), 'the program was told nothing')
    equal(s.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU), mtu, 'path MTU')
    try:
        s.send(bytes(mtu + 1 - OVERHEAD))
    except OSError as e:
        equal(e.errno, errno.EMSGSIZE, 'errno')
    else:
        raise Failure('a packet of %d bytes was taken' % (mtu + 1))


def told(s):
    """The ICMPv6 message has reached the socket"""
    return until(lambda: s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE, 3)


def first_packet(host, fake):
    """The session shows that it has the key"""
    equal(host.peer.open(fake.expect(DATA))[1], b'', 'content of the first packet')


@test
def kept_with_route():
    """a route shows the MTU of each next hop as it was set, and takes a new one"""
    host = Host([1400, None], install=False)
    equal([hop[1:] for hop in host.mesh.route_get(host.peer.addr)['hop']], [(1, 1400), (2,)], 'next hops')
    for mtus in (1400, 65535), (1360, 1361), (None, 1500), (None, None):
        host.route(*mtus)
        # 65535 is as good as none
        expected = [(1 + i,) if mtu in (None, 65535) else (1 + i, mtu) for i, mtu in enumerate(mtus)]
        equal([hop[1:] for hop in host.mesh.route_get(host.peer.addr)['hop']], expected, 'next hops')
        equal([hop[1:] for hop in host.mesh.routes()[host.peer.addr]['hop']], expected, 'next hops in a dump')


@test
def datagrams():
    """a program learns the MTU of the path, not more and not less, and its datagrams fit"""
    host = Host([1400])
    fake = host.fakes[0]
    first_packet(host, fake)
    equal(host.mesh.ns.rt.get('ratman0').mtu, 1420, 'MTU of the device')
    s = host.socket()
    with host.mesh.counts(tx_packets=1):
        s.send(bytes(1320 - OVERHEAD))
    equal(len(fake.expect(DATA).raw), 1400, 'frame')
    learns(s, host, 1321, 1320)
    fake.silent(DATA)
    # One that lets the stack cut gets through now.
    s = host.socket(discover=1)
    s.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, 0)
    with host.mesh.counts(tx_packets=2):
        s.send(bytes(1420 - OVERHEAD))
    lengths = [len(fake.expect(DATA).raw) for _ in range(2)]
    check(max(lengths) <= 1400, 'frames of %r bytes', lengths)


@test
def grows_and_shrinks():
    """the path gets smaller while a program talks: it learns that, too; never less than 1280"""
    host = Host([1450])
    first_packet(host, host.fakes[0])
    s = host.socket()
    learns(s, host, 1420, 1370)
    host.route(1400)
    learns(s, host, 1370, 1320)
    host.route(1360)
    learns(s, host, 1320, 1280)
    host.fakes[0].silent(DATA)
    with host.mesh.counts(tx_packets=1):
        s.send(bytes(1280 - OVERHEAD))
    equal(len(host.fakes[0].expect(DATA).raw), 1360, 'frame')


@test
def spare_has_its_own():
    """the MTU is that of the next hop in use: a smaller spare one counts when it takes over"""
    host = Host([None, 1400])
    first_packet(host, host.fakes[0])
    s = host.socket()
    with host.mesh.counts(tx_packets=1):
        s.send(bytes(1420 - OVERHEAD))
    equal(len(host.fakes[0].expect(DATA).raw), 1500, 'frame')
    flags_up(host.mesh.outside, 'w0', False)
    check(until(lambda: host.fakes[0].state()['state'] == RATMAN_NEIGH_DEAD), 'the neighbour does not die')
    learns(s, host, 1420, 1320)
    with host.mesh.counts(tx_packets=1):
        s.send(bytes(1320 - OVERHEAD))
    equal(len(host.fakes[1].expect(DATA).raw), 1400, 'frame')


@test
def smaller_of_link_and_path():
    """a link that is smaller than the path behind it counts at once"""
    host = Host([1400])
    first_packet(host, host.fakes[0])
    s = host.socket()
    host.mesh.ns.rt.link_set('l0', mtu=1380)
    equal(host.mesh.ns.rt.get('ratman0').mtu, 1300, 'MTU of the device')
    try:
        s.send(bytes(1320 - OVERHEAD))
    except OSError as e:
        equal(e.errno, errno.EMSGSIZE, 'errno')
    equal(s.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU), 1300, 'path MTU')


@test
def staged():
    """a packet that waits for keys while the path shrinks is dropped, and its sender told"""
    host = Host([None], install=False)
    s = host.socket()
    with host.mesh.counts(tx_staged=1):
        s.send(bytes(1420 - OVERHEAD))
    host.route(1400)
    with host.mesh.counts(tx_too_big=1, tx_packets=0):
        host.install()
    host.fakes[0].silent(DATA)
    check(told(s), 'the program was told nothing')
    equal(s.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU), 1320, 'path MTU')


class Line:
    """Four routers, the link between the relays small: neither end's TCP can see that. The
    routes of the ends know it, if told."""

    def __init__(self, mtu, told=True):
        self.net = Net(4)
        self.errors = self.net.mesh[0].ns.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        blocked = [0xffffffff] * 8
        blocked[0] &= ~(1 << 2)
        self.errors.setsockopt(socket.IPPROTO_ICMPV6, 1, struct.pack('=8I', *blocked))
        self.set(mtu, told)

    def set(self, mtu, told=True):
        net = self.net
        net.mesh[1].ns.rt.link_set('to2', mtu=mtu)
        net.mesh[2].ns.rt.link_set('to1', mtu=mtu)
        for i, via, j in ((0, 1, 3), (3, 2, 0)):
            net.mesh[i].route_set(net.addr[j], [(net.slot(i, via), 3, *([mtu] if told else []))])

    def too_big(self):
        """MTUs in the ICMPv6 messages Packet Too Big that the first router's programs got"""
        mtus = set()
        while select.select([self.errors], [], [], 0)[0]:
            kind, _, _, mtu = struct.unpack_from('>BBHI', self.errors.recv(2048))
            if kind == 2:
                mtus.add(mtu)
        return mtus

    def lost(self):
        return sum(self.net.mesh[i].stats()['fwd_too_big'] for i in (1, 2))


@test(timeout=120)
def tcp():
    """4 MB over TCP, both ways, over a link of 1400 between two relays: they drop nothing"""
    line = Line(1400)
    size = 4 << 20 if SLOW < 8 else 1 << 20
    for i, j in ((0, 3), (3, 0)):
        sent, received = transfer(line.net, i, j, size)
        equal(received, sent, 'digest')
    equal(line.lost(), 0, 'frames that relays dropped')
    equal(line.too_big(), {1320}, 'ICMPv6 Packet Too Big')


@test(timeout=60)
def tcp_needs_it():
    """without the path MTU the relay drops what the sender sends (the tests above test something)"""
    line = Line(1400, told=False)
    thread = threading.Thread(target=transfer, args=(line.net, 0, 3, 1 << 20), daemon=True)
    thread.start()
    check(until(lambda: line.lost() > 2, 5), 'the relay drops nothing')
    check(thread.is_alive(), 'the transfer got through')
    # Told at last it goes on.
    line.set(1400)
    thread.join(30 * SLOW)
    check(not thread.is_alive(), 'the transfer hangs')


@test(timeout=120)
def tcp_shrinking():
    """the link between the relays shrinks and shrinks while TCP runs, and it gets through"""
    line = Line(1500)
    result = []
    size = 16 << 20 if SLOW < 8 else 2 << 20
    thread = threading.Thread(target=lambda: result.append(transfer(line.net, 0, 3, size)), daemon=True)
    before = line.net.mesh[3].stats()['rx_packets']
    thread.start()
    for mtu in 1450, 1400, 1360:
        check(until(lambda: line.net.mesh[3].stats()['rx_packets'] > before + 50 or result, 20, 0.005), 'nothing moves')
        before = line.net.mesh[3].stats()['rx_packets']
        line.set(mtu)
    thread.join(60 * SLOW)
    check(result, 'the transfer hangs')
    equal(result[0][0], result[0][1], 'digest')
    seen = line.too_big()
    check(1280 in seen and seen <= {1370, 1320, 1280}, 'ICMPv6 Packet Too Big: %r', seen)


@test(timeout=60)
def large_pings():
    """large pings get through, both ways, and their answers, which the kernel itself sends"""
    line = Line(1400)
    for i, j in ((0, 3), (3, 0)):
        with Pinger(line.net.mesh[i].ns, line.net.ip[i], line.net.ip[j]) as p:
            for size in 1320 - OVERHEAD, 1321 - OVERHEAD, 1420 - OVERHEAD, 3000, 8000:
                # The first of a size may be what teaches this end or the other.
                tries, start = 0, time.monotonic()
                while p.once(size, 1) is None:
                    tries += 1
                    between(tries, 0, 3, 'lost pings of %d bytes' % size)
                check(time.monotonic() - start < 4 * SLOW, 'pings of %d bytes take long', size)
            for size in 1420 - OVERHEAD, 3000:
                check(p.once(size) is not None, 'no answer to a ping with %d bytes', size)
    equal(line.lost(), 0, 'frames that relays dropped')


run_tests()
