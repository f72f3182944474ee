#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The door between kernel and daemon: frames up, frames down, and floods that stay outside."""

import errno
import socket
import struct
import time

from ratman import (
    Fake, Genl, TIMER_STATS, address, bench, between, check, cleanup, encode, equal, flags_up,
    many, refused, run_tests, test, until)
from ratman import frames
from frames import CONTROL, DATA, ECHO, HANDSHAKE, HELLO, LINK, build, digest
from uapi import RATMAN_HOP_LIMIT, RATMAN_NEIGH_DEAD

ME = address('me')
FAR = address('far away')


def punted(mesh, timeout=0.05):
    return [e.values for e in mesh.nl.events(timeout) if e.name == 'FRAME_RX']


def setup():
    """-> router, its neighbour, with ME ours and FAR behind the neighbour"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0')
    mesh.addr_set(ME)
    mesh.route_set(FAR, [(fake.index, 1)])
    return mesh, fake


# ------------------------------------------------------------ up

@test
def link():
    """LINK from anybody goes up with where it came from"""
    mesh, fake = setup()
    mac = b'\x02\0\0\0\0\x44'
    for n in (1, 60, 1400):
        body = digest('noise', n, n)
        with mesh.counts(rx_link=1, punt_frames=1):
            fake.wire.send(fake.their_mac, build(LINK, body, hop_limit=1), source=mac)
        event = mesh.nl.wait_event('FRAME_RX')
        equal(event.ifindex, mesh.index, 'device')
        equal(event.values, dict(type=LINK, link=fake.link_index, lladdr=mac, body=body), 'frame')


@test
def control():
    """CONTROL of a neighbour goes up with its index"""
    mesh, fake = setup()
    for n in (1, 60, 1400):
        body = digest('route', n, n)
        with mesh.counts(rx_control=1, punt_frames=1):
            fake.send(CONTROL, body)
        equal(mesh.nl.wait_event('FRAME_RX').values, dict(type=CONTROL, neigh=fake.index, body=body), 'frame')


@test
def handshake():
    """HANDSHAKE for an address of ours goes up with the address and the neighbour"""
    mesh, fake = setup()
    for n in (1, 96, 1400):
        body = digest('noise', n, n)
        with mesh.counts(rx_handshake=1, punt_frames=1):
            fake.send(HANDSHAKE, ME + body, hop_limit=1)
        equal(mesh.nl.wait_event('FRAME_RX').values, dict(type=HANDSHAKE, neigh=fake.index, dest=ME, body=body), 'frame')


@test
def nothing_else():
    """other types, and padding, never go up"""
    mesh, fake = setup()
    fake.echo()
    fake.send(DATA, frames.data_body(ME, 5, 5, bytes(16)))
    fake.send(DATA, frames.data_body(FAR, 5, 5, bytes(16)))
    fake.wire.send(b'\xff' * 6, frames.hello(fake.router, fake.boot_id))
    equal(punted(mesh), [], 'frames')
    fake.put(fake.build(CONTROL, b'short') + b'\xee' * 30)
    equal(mesh.nl.wait_event('FRAME_RX').values['body'], b'short', 'body')


@test
def no_daemon():
    """without a daemon frames are counted and dropped"""
    mesh, fake = setup()
    mesh.nl.close()
    mesh.nl = Genl(mesh.ns)
    cleanup(mesh.nl.close)
    check('claim' not in mesh.dev_get(), 'a daemon is attached')
    with mesh.counts(punt_no_daemon=3, rx_link=1, rx_control=1, rx_handshake=1):
        fake.wire.send(fake.their_mac, build(LINK, b'noise'))
        fake.send(CONTROL, b'route')
        fake.send(HANDSHAKE, ME + b'noise')
    # forwarding goes on without one
    other = Fake(mesh, fake.wire, 'l0', 'other', mac=b'\x02\0\0\0\0\x22')
    with mesh.counts(fwd_frames=1):
        other.send(DATA, frames.data_body(FAR, 1, 1, bytes(16)))
    mesh.dev_set(claim=True)
    with mesh.counts(rx_control=1, punt_frames=1):
        fake.send(CONTROL, b'route')
    equal(mesh.nl.wait_event('FRAME_RX').values['body'], b'route', 'body')


def flood(mesh, wire, raws, frame_counter, rate_counter, rate, burst, sources=None):
    """All of these frames, as fast as possible. At most burst, and rate in a second, may come up;
    what does not is counted as limited, to the frame."""
    n = len(raws)
    before, started = mesh.stats(), time.monotonic()
    got = 0
    for i, (destination, raw) in enumerate(raws):
        wire.send(destination, raw, source=sources and sources[i])
        if i % 50 == 0:
            got += len(punted(mesh, 0))
    took = time.monotonic() - started
    moved = {}

    def counted():
        moved.clear()
        moved.update({k: v - before[k] for k, v in mesh.stats().items() if v != before[k] and k not in TIMER_STATS})
        return moved.get(frame_counter) == n
    check(until(counted), 'counters: %r', moved)
    got += len(punted(mesh))
    equal(moved.pop('punt_frames', 0), got, 'punt_frames, and what came up')
    equal(moved.pop(rate_counter, 0), n - got, 'limited')
    moved.pop(frame_counter)
    equal(moved, {}, 'other counters')
    between(got, 1, burst + rate * (took + 0.1), 'frames that came up of %d in %.2f s' % (n, took))
    if n > 2 * (burst + rate * took):
        check(got < n, 'nothing was limited')


@test
def link_flood_one():
    """a LINK flood from one station is limited"""
    mesh, fake = setup()
    raw = fake.their_mac, build(LINK, b'noise' * 20)
    flood(mesh, fake.wire, [raw] * many(4000), 'rx_link', 'punt_rate_link', 200, 400)


@test
def link_flood_many():
    """a LINK flood from thousands of stations is limited as well"""
    mesh, fake = setup()
    n = many(5000)
    raws = [(fake.their_mac, build(LINK, digest('x', i, 90))) for i in range(n)]
    flood(mesh, fake.wire, raws, 'rx_link', 'punt_rate_link', 200, 400, [struct.pack('>HI', 0x0200, i) for i in range(n)])


@test(timeout=120)
def control_flood():
    """a CONTROL flood of one neighbour is limited; another neighbour, and HANDSHAKE and LINK, get through"""
    mesh, (wire, wire1) = bench(2)
    mesh.addr_set(ME)
    fake = mesh.add_fake(wire, 'l0', 'flooder')
    other = mesh.add_fake(wire1, 'l1', 'other')
    raws = [(fake.their_mac, fake.build(CONTROL, b'route')) for _ in range(many(12000))]
    flood(mesh, wire, raws, 'rx_control', 'punt_rate_control', 2500, 5000)
    with mesh.counts(rx_control=1, rx_handshake=2, rx_link=1, punt_frames=4):
        other.send(CONTROL, b'mine')
        other.send(HANDSHAKE, ME + b'noise')
        fake.send(HANDSHAKE, ME + b'noise')
        wire1.send(other.their_mac, build(LINK, b'noise'))
    equal([f['type'] for f in punted(mesh)], [CONTROL, HANDSHAKE, HANDSHAKE, LINK], 'frames')


@test
def handshake_flood():
    """a HANDSHAKE flood of one neighbour is limited; CONTROL of the same one gets through"""
    mesh, fake = setup()
    raws = [(fake.their_mac, fake.build(HANDSHAKE, ME + b'noise' * 20)) for _ in range(many(3000))]
    flood(mesh, fake.wire, raws, 'rx_handshake', 'punt_rate_handshake', 400, 800)
    fake.send(CONTROL, b'route')
    equal([f['type'] for f in punted(mesh)], [CONTROL], 'frames')


@test
def limits_recover():
    """after a flood, frames come through again within seconds"""
    mesh, fake = setup()
    raw = build(LINK, b'noise')
    for _ in range(many(3000)):
        fake.wire.send(fake.their_mac, raw)
    punted(mesh)

    def through():
        fake.wire.send(fake.their_mac, build(LINK, b'honest'))
        return any(f['body'] == b'honest' for f in punted(mesh, 0.05))
    check(until(through, 5, 0.2), 'nothing comes through any more')


@test
def deaf_daemon():
    """a daemon that does not read: frames are dropped and counted, the kernel goes on"""
    mesh, fake = setup()
    small = Genl(mesh.ns)
    cleanup(small.close)
    small.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    mesh.nl.close()
    mesh.nl = Genl(mesh.ns)
    cleanup(mesh.nl.close)
    small.do('DEV_SET', mesh.head() + encode('DEV', dict(claim=True)))
    before = mesh.stats()
    n = 60
    for i in range(n):
        fake.send(CONTROL, bytes(1400))
    moved = {k: v - before[k] for k, v in mesh.stats().items() if v != before[k] and k not in TIMER_STATS}
    equal(moved.pop('rx_control'), n, 'rx_control')
    check(moved.get('punt_overrun', 0) > 0, 'no overrun: %r', moved)
    equal(sum(moved.values()), n, 'frames handed up or dropped: %r' % moved)


# ------------------------------------------------------------ down

@test
def tx_link():
    """FRAME_TX of LINK: to that station on that link, without key, index or number"""
    mesh, fake = setup()
    mac = b'\x02\0\0\0\0\x55'
    for n in (1, 100, 1400):
        body = digest('noise', n, n)
        with mesh.counts(tx_link=1):
            mesh.frame_tx(type=LINK, link=fake.link_index, lladdr=mac, body=body)
        got = fake.wire.receive(lambda _d, _s, p: p[0] == 0x10 | LINK)
        check(got, 'nothing was sent')
        equal(got[0], mac, 'destination')
        equal(got[1], fake.their_mac, 'source')
        frame = frames.parse(got[2])
        equal(frame.body, body, 'body')
        equal((frame.neigh, frame.seq, frame.tag), (0, 0, bytes(8)), 'index, number and tag')


@test
def tx_control():
    """FRAME_TX of CONTROL: tagged and numbered for that neighbour"""
    mesh, fake = setup()
    last = None
    for n in (1, 7, 8, 9, 100, 1400):
        body = digest('route', n, n)
        with mesh.counts(tx_control=1):
            mesh.frame_tx(type=CONTROL, neigh=fake.index, body=body)
        frame = fake.expect(CONTROL)
        equal(frame.body, body, 'body')
        if last is not None:
            check(frame.seq > last, 'sequence number %#x after %#x', frame.seq, last)
        last = frame.seq


@test
def tx_handshake():
    """FRAME_TX of HANDSHAKE: along the route of its address"""
    mesh, fake = setup()
    for n in (1, 96, 1400):
        body = digest('noise', n, n)
        with mesh.counts(tx_handshake=1):
            mesh.frame_tx(type=HANDSHAKE, dest=FAR, body=body)
        frame = fake.expect(HANDSHAKE)
        equal(frame.body, FAR + body, 'body')
        equal(frame.hop_limit, RATMAN_HOP_LIMIT, 'hop limit')


@test
def tx_refused():
    """FRAME_TX of anything else, to nowhere, or with wrong sizes, is refused in words and sends nothing"""
    mesh, fake = setup()
    tx = mesh.frame_tx
    with mesh.counts():
        for type in (HELLO, ECHO, DATA, 6, 7, 255, 0xffffffff):
            refused(tx, type=type, link=fake.link_index, lladdr=fake.mac, neigh=fake.index, dest=FAR, body=b'x')
        for body in (b'', bytes(1401), bytes(20000)):
            refused(tx, type=CONTROL, neigh=fake.index, body=body)
            refused(tx, type=LINK, link=fake.link_index, lladdr=fake.mac, body=body)
            refused(tx, type=HANDSHAKE, dest=FAR, body=body)
        refused(tx, type=CONTROL, neigh=fake.index + 1, body=b'x')
        refused(tx, type=CONTROL, neigh=fake.index ^ 0x1000, body=b'x')
        refused(tx, type=CONTROL, body=b'x')
        refused(tx, type=LINK, link=1, lladdr=fake.mac, body=b'x')
        refused(tx, type=LINK, link=99999, lladdr=fake.mac, body=b'x')
        refused(tx, type=LINK, link=fake.link_index, lladdr=b'\2\0\0\0\0', body=b'x')
        refused(tx, type=LINK, link=fake.link_index, body=b'x')
        refused(tx, type=LINK, lladdr=fake.mac, body=b'x')
        refused(tx, type=HANDSHAKE, body=b'x')
        refused(tx, type=HANDSHAKE, dest=FAR[:31], body=b'x')
        refused(tx, body=b'x')
        refused(tx, type=CONTROL, neigh=fake.index)
    fake.silent()


@test
def tx_handshake_nowhere():
    """FRAME_TX of HANDSHAKE without a route, or along a dead one: refused in words"""
    mesh, fake = setup()
    refused(mesh.frame_tx, type=HANDSHAKE, dest=address('nobody'), body=b'x',
            code=(errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOENT))
    flags_up(mesh.outside, 'w0', False)
    check(until(lambda: fake.state()['state'] == RATMAN_NEIGH_DEAD), 'the neighbour does not die')
    refused(mesh.frame_tx, type=HANDSHAKE, dest=FAR, body=b'x')


@test
def tx_link_down():
    """FRAME_TX over a link that is down is refused in words"""
    mesh, fake = setup()
    mesh.ns.rt.link_set('l0', up=False)
    refused(mesh.frame_tx, type=CONTROL, neigh=fake.index, body=b'x')
    refused(mesh.frame_tx, type=LINK, link=fake.link_index, lladdr=fake.mac, body=b'x')


run_tests()
