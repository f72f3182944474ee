#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a relay does with frames: passes on what is right, counts and drops everything else."""

import collections
import struct
import time

from ratman import (
    Fake, Net, Pinger, SLOW, Wire, address, bench, between, check, equal, flags_up, run_tests,
    test, until)
from ratman import frames
from frames import CONTROL, DATA, ECHO, HANDSHAKE, HELLO, LINK, build, digest
from uapi import RATMAN_NEIGH_ALIVE, RATMAN_NEIGH_DEAD, RATMAN_SEQ_MASK

FAR = address('far away')


class Relay:
    """A router with three links and a keyed neighbour on each; FAR is behind b."""

    def __init__(self, hops='b', **kw):
        self.mesh, self.wires = bench(3, **kw)
        self.a, self.b, self.c = (self.mesh.add_fake(wire, 'l%d' % i, name)
                                  for i, (wire, name) in enumerate(zip(self.wires, 'abc')))
        self.fakes = dict(a=self.a, b=self.b, c=self.c)
        self.route(hops)

    def route(self, hops, dest=FAR):
        self.mesh.route_set(dest, [(self.fakes[name].index, 10 + i) for i, name in enumerate(hops)])

    def nothing_sent(self):
        for fake in self.fakes.values():
            fake.silent(timeout=0)

    def drops(self, **want):
        """The body makes these counters move, no others, and nothing is sent."""
        return _Drops(self, want)


class _Drops:
    def __init__(self, relay, want):
        self.relay, self.context = relay, relay.mesh.counts(**want)

    def __enter__(self):
        self.relay.nothing_sent()
        return self.context.__enter__()

    def __exit__(self, *exception):
        result = self.context.__exit__(*exception)
        if exception[0] is None:
            self.relay.nothing_sent()
        return result


def data(n=100, name='payload', dest=FAR):
    """A DATA body with n bytes of ciphertext and tag"""
    return frames.data_body(dest, 0x01020304, 7, digest('sealed', name, n))


# ------------------------------------------------------------ what is right

@test
def rewritten():
    """a frame is passed on with a new hop header and its body untouched"""
    r = Relay()
    last = None
    for n in (16, 17, 33, 64, 100, 500, 1000, 1436):
        body = data(n, n)
        with r.mesh.counts(fwd_frames=1):
            r.a.send(DATA, body, hop_limit=17)
            out = r.b.expect(DATA)          # checks index and tag
        equal(out.hop_limit, 16, 'hop limit')
        equal(out.length, len(body), 'length')
        check(out.body == body, 'the body changed')
        if last is not None:
            equal(out.seq >> 28, last >> 28, 'lane')
            check(out.seq > last, 'sequence %#x after %#x', out.seq, last)
        last = out.seq
    r.nothing_sent()


@test
def link_layer():
    """the frame on the wire goes from the link's address to the neighbour's and has no byte too many"""
    r = Relay()
    for n in (16, 400):
        r.a.send(DATA, data(n))
        got = r.wires[1].receive(lambda _d, _s, p: frames.parse(p).type == DATA)
        check(got, 'nothing was sent')
        equal(got[0], r.b.mac, 'destination')
        equal(got[1], r.b.their_mac, 'source')
        equal(len(got[2]), 20 + 44 + n, 'bytes')


@test
def hop_limits():
    """hop limits of 255 and 2 are taken one down; 1 and 0 are dropped"""
    r = Relay()
    for limit in (255, 64, 2):
        r.a.send(DATA, data(), hop_limit=limit)
        equal(r.b.expect(DATA).hop_limit, limit - 1, 'hop limit')
    with r.drops(rx_hop_limit=2):
        r.a.send(DATA, data(), hop_limit=1)
        r.a.send(DATA, data(), hop_limit=0)
    with r.drops(rx_hop_limit=2):
        r.a.send(HANDSHAKE, FAR + b'noise', hop_limit=1)
        r.a.send(HANDSHAKE, FAR + b'noise', hop_limit=0)


@test
def handshake():
    """a HANDSHAKE for somebody else is passed on in the same way"""
    r = Relay()
    for n in (1, 96, 1400):
        body = FAR + digest('noise', n, n)
        with r.mesh.counts(fwd_handshake=1):
            r.a.send(HANDSHAKE, body, hop_limit=9)
            out = r.b.expect(HANDSHAKE)
        equal(out.hop_limit, 8, 'hop limit')
        check(out.body == body, 'the body changed')
    r.nothing_sent()


@test
def padding():
    """what Ethernet pads is cut off"""
    r = Relay()
    for pad in (1, 30, 200):
        body = data(16)
        r.a.put(r.a.build(DATA, body) + b'\xaa' * pad)
        got = r.wires[1].receive(lambda _d, _s, p: frames.parse(p).type == DATA)
        check(got, 'nothing was sent')
        equal(len(got[2]), 20 + len(body), 'bytes sent')
        check(frames.parse(got[2]).body == body, 'the body changed')
        check(frames.tag_valid(frames.parse(got[2]), r.b.their_key), 'wrong tag')


@test
def cloned():
    """frames that somebody else looks at (tcpdump) are not changed under his eyes"""
    r = Relay()
    taps = [Wire(r.mesh.ns, 'l0', None), Wire(r.mesh.ns, 'l1', None, outgoing=True),
            Wire(r.mesh.ns, 'l0', frames.ETHERTYPE)]
    sent = []
    for i in range(60):
        sent.append(r.a.send(DATA, data(60 + 20 * i, i), hop_limit=40))
    for raw in sent:
        out = r.b.expect(DATA)
        check(out.body == raw[20:], 'the body changed')
        equal(out.hop_limit, 39, 'hop limit')
    for tap in (taps[0], taps[2]):
        seen = [p for p in tap.drain() if len(p) > 20 and p[0] == 1 << 4 | DATA]
        equal(len(seen), len(sent), 'frames seen on the first link')
        check(seen == sent, 'a frame was changed while somebody else held it')
    seen = [p for p in taps[1].drain() if len(p) > 20 and p[0] == 1 << 4 | DATA]
    equal([p[1] for p in seen], [39] * len(sent), 'hop limits seen on the second link')


@test
def other_protocols():
    """IPv6 on the link itself goes on working"""
    r = Relay()
    here, there = bytes.fromhex('fd00' + '00' * 13 + '01'), bytes.fromhex('fd00' + '00' * 13 + '02')
    r.mesh.outside.sysctl('net/ipv6/conf/w0/disable_ipv6', 0)
    r.mesh.ns.rt.address_add('l0', here, 64)
    r.mesh.outside.rt.address_add('w0', there, 64)
    with Pinger(r.mesh.ns, here, there) as p:
        check(p.once(), 'no answer over the link')


@test
def all_lanes():
    """each of the sixteen lanes counts for itself"""
    r = Relay()
    r.a.quiet()             # its ECHO frames have a lane, too
    with r.mesh.counts(fwd_frames=32):
        for lane in range(16):
            for counter in (1000 * (16 - lane), 1000 * (16 - lane) + 1):
                r.a.send(DATA, data(), seq=frames.seq_of(lane, counter))
    with r.mesh.counts(rx_replay=32):
        for lane in range(16):
            for counter in (1000 * (16 - lane), 1000 * (16 - lane) + 1):
                r.a.send(DATA, data(), seq=frames.seq_of(lane, counter))


@test
def reordered():
    """frames out of order within the window are taken once each"""
    r = Relay()
    order = [100] + list(range(99, 36, -1)) + list(range(200, 130, -3)) + [133, 132, 201]
    with r.mesh.counts(fwd_frames=len(order)):
        for counter in order:
            r.a.send(DATA, data(), seq=frames.seq_of(0, counter))
    for _ in order:
        r.b.expect(DATA)
    again = [c for c in order if c > 201 - 64]
    with r.drops(rx_replay=len(again)):
        for counter in again:
            r.a.send(DATA, data(), seq=frames.seq_of(0, counter))


@test
def in_order():
    """frames in order, hundreds: each once, and none of them again"""
    r = Relay()
    raws = [r.a.build(DATA, data(), seq=frames.seq_of(1, counter)) for counter in range(300)]
    with r.mesh.counts(fwd_frames=300):
        for raw in raws:
            r.a.put(raw)
    for _ in raws:
        r.b.expect(DATA)
    with r.drops(rx_replay=300):
        for raw in raws:
            r.a.put(raw)


@test
def too_old():
    """frames from before the window are dropped, however new they are to us"""
    r = Relay()
    r.a.send(DATA, data(), seq=frames.seq_of(2, 1000000))
    r.b.expect(DATA)
    with r.drops(rx_replay=4):
        for counter in (1, 1000, 500000, 1000000 - 65536):
            r.a.send(DATA, data(), seq=frames.seq_of(2, counter))


@test
def end_of_lane():
    """the last sequence number of a lane is still taken; going back to the first is not"""
    r = Relay()
    with r.mesh.counts(fwd_frames=2):
        r.a.send(DATA, data(), seq=frames.seq_of(5, RATMAN_SEQ_MASK - 1))
        r.a.send(DATA, data(), seq=frames.seq_of(5, RATMAN_SEQ_MASK))
    r.b.expect(DATA), r.b.expect(DATA)
    with r.drops(rx_replay=3):
        for counter in (0, 1, RATMAN_SEQ_MASK):
            r.a.send(DATA, data(), seq=frames.seq_of(5, counter))


# ------------------------------------------------------------ what is wrong

@test
def forged():
    """an unkeyed host on the link gets nothing through, whatever index it guesses"""
    r = Relay()
    with r.drops(rx_bad_tag=16, rx_neigh_unknown=16):
        for i in range(16):
            r.a.put(build(DATA, data(), neigh=r.a.index, seq=1000 + i, tag=digest('guess', i, 8)))
            r.a.put(build(DATA, data(), neigh=r.a.index + (i + 1 << 12), seq=2000 + i, tag=bytes(8)))
    # a forged sequence number from the future must not push the window
    with r.mesh.counts(fwd_frames=1):
        r.a.send(DATA, data())


@test
def unknown_index():
    """indices that belong to nobody"""
    r = Relay()
    indices = [0, 1, 4095, 4096, r.a.index & 0xfff, r.a.index ^ 1 << 31, r.a.index ^ 1 << 12, 0xffffffff, 0x51fff]
    with r.drops(rx_neigh_unknown=len(indices)):
        for index in indices:
            r.a.put(r.a.build(DATA, data(), neigh=index))


@test
def replayed():
    """a replayed frame of every tagged type"""
    r = Relay()
    bodies = [(DATA, data()), (HANDSHAKE, FAR + b'noise'), (CONTROL, b'route'), (ECHO, frames.echo_body(9))]
    raws = [r.a.send(type, body) for type, body in bodies]
    r.b.expect(DATA)
    r.b.expect(HANDSHAKE)
    r.mesh.nl.wait_event('FRAME_RX', type=CONTROL)
    with r.drops(rx_replay=3 * len(raws)):
        for _ in range(3):
            for raw in raws:
                r.a.put(raw)
    equal([e for e in r.mesh.nl.events() if e.name == 'FRAME_RX'], [], 'punted again')


@test
def wrong_tag():
    """wrong tags of every tagged type: none at all, another key's, one over other bytes"""
    r = Relay()
    bodies = [(DATA, data()), (HANDSHAKE, FAR + b'noise'), (CONTROL, b'route'), (ECHO, frames.echo_body(9))]
    r.a.quiet()             # its ECHO frames would be counted
    before = r.a.state()
    with r.drops(rx_bad_tag=3 * len(bodies)):
        for type, body in bodies:
            r.a.send(type, body, tag=bytes(8))
            r.a.send(type, body, key=r.b.key)
            raw = r.a.build(type, body)
            r.a.put(raw[:20] + body[:-1] + bytes([body[-1] ^ 1]) if type != DATA else
                    raw[:20] + bytes([body[0] ^ 1]) + body[1:])
    equal([e for e in r.mesh.nl.events() if e.name == 'FRAME_RX'], [], 'punted')
    equal(r.a.state()['rx_frames'], before['rx_frames'], 'frames counted for the neighbour')


def flipped(raw, bit):
    b = bytearray(raw)
    b[bit >> 3] ^= 0x80 >> (bit & 7)
    return bytes(b)


@test
def bits():
    """each single bit of the tagged part and of the tag, flipped, has its counter"""
    r = Relay()
    raw = r.a.build(DATA, data(300))
    want = collections.Counter()
    for bit in range(8 * (20 + 44)):
        name = 'rx_bad_tag'
        if bit < 4:
            name = 'rx_version'
        elif bit < 8:       # DATA is 0100: 1100 and 0110 are no types, 0000 is a HELLO, too long, 0101 a HANDSHAKE
            name = {4: 'rx_type', 5: 'rx_length', 6: 'rx_type', 7: 'rx_bad_tag'}[bit]
        elif 16 <= bit < 32:
            value = len(raw) - 20 ^ 0x8000 >> (bit - 16)
            name = 'rx_short' if value > len(raw) - 20 else 'rx_length' if value < 60 else 'rx_bad_tag'
        elif 32 <= bit < 64:
            index = r.a.index ^ 1 << 63 - bit
            name = 'rx_neigh_wrong_link' if index in (r.b.index, r.c.index) else 'rx_neigh_unknown'
        want[name] += 1
    with r.drops(**want):
        for bit in range(8 * (20 + 44)):
            r.a.put(flipped(raw, bit))
    with r.mesh.counts(fwd_frames=1):
        r.a.put(raw)


@test
def bits_of_other_types():
    """each single bit of an ECHO, a CONTROL and a HANDSHAKE frame"""
    r = Relay()
    for type, body in ((ECHO, frames.echo_body(9)), (CONTROL, digest('c', 1, 30)), (HANDSHAKE, FAR + digest('h', 1, 30))):
        raw = r.a.build(type, body)
        with r.drops(rx_bad_tag=8 * len(body) + 64 + 32 + 8):
            for bit in list(range(8, 16)) + list(range(64, 8 * len(raw))):
                r.a.put(flipped(raw, bit))
        equal([e for e in r.mesh.nl.events() if e.name == 'FRAME_RX'], [], 'punted')


@test
def truncated():
    """a frame of every type cut at every length"""
    r = Relay()
    for type, body in ((DATA, data(40)), (HANDSHAKE, FAR + bytes(20)), (CONTROL, bytes(20)), (ECHO, frames.echo_body(9)),
                       (LINK, bytes(20)), (HELLO, address('x') + bytes(8) + struct.pack('>II', 1000, 0))):
        raw = r.a.build(type, body)
        if type in (LINK, HELLO):
            raw = build(type, body)
        with r.drops(rx_short=len(raw)):
            for n in range(len(raw)):
                r.a.put(raw[:n])
    equal([e for e in r.mesh.nl.events() if e.name in ('FRAME_RX', 'CANDIDATE_NTF')], [], 'told to the daemon')


@test
def lying_length():
    """length fields that say more than there is, less than the type needs, or more than it may have"""
    r = Relay()
    body = data(100)
    lies = [len(body) + 1, len(body) + 64, 0x7fff, 0x8000, 0xffff]
    with r.drops(rx_short=len(lies)):
        for length in lies:
            r.a.send(DATA, body, length=length)
    with r.drops(rx_length=4):
        for length in (0, 1, 43, 59):
            r.a.send(DATA, body, length=length)
    with r.drops(rx_length=8):
        r.a.send(ECHO, frames.echo_body(1), length=39)
        r.a.send(ECHO, frames.echo_body(1) + bytes(217))
        r.a.send(HANDSHAKE, FAR)
        r.a.send(HANDSHAKE, FAR + bytes(1401))
        r.a.send(CONTROL, bytes(1401))
        r.a.put(build(LINK, b''))
        r.a.put(build(LINK, bytes(1401)))
        r.a.put(build(HELLO, bytes(47)))
    # signed for less than what is there: the rest is padding
    short = data(50)
    r.a.put(r.a.build(DATA, short) + b'more')
    equal(r.b.expect(DATA).body, short, 'body')


@test
def versions_and_types():
    """versions and types that do not exist"""
    r = Relay()
    with r.drops(rx_version=15):
        for version in range(16):
            if version != 1:
                r.a.send(DATA, data(), version=version)
    with r.drops(rx_type=10):
        for type in range(6, 16):
            r.a.send(type, data())


@test
def no_route():
    """a destination without a route"""
    r = Relay()
    with r.drops(rx_no_route=20):
        for i in range(10):
            r.a.send(DATA, data(dest=address('unknown %d' % i)))
            r.a.send(HANDSHAKE, address('unknown %d' % i) + b'noise')
    r.mesh.route_del(FAR)
    with r.drops(rx_no_route=1):
        r.a.send(DATA, data())


@test
def split_horizon():
    """a frame is never sent back to the neighbour it came from"""
    r = Relay(hops='a')
    with r.drops(rx_split_horizon=5):
        for _ in range(5):
            r.a.send(DATA, data())
    r.route('ab')
    with r.mesh.counts(fwd_frames=1):
        r.a.send(DATA, data())
    r.b.expect(DATA)
    with r.mesh.counts(fwd_frames=1):
        r.c.send(DATA, data())
    r.a.expect(DATA)


@test
def same_link():
    """a frame may leave by the link it came on, to another neighbour"""
    r = Relay()
    d = Fake(r.mesh, r.wires[0], 'l0', 'd', mac=b'\x02\0\0\0\0\x0d')
    r.mesh.route_set(FAR, [(d.index, 1)])
    r.a.send(DATA, data())
    check(d.expect(DATA), 'nothing')


@test
def wrong_link():
    """a neighbour's index and key are good on its own link only"""
    r = Relay()
    with r.drops(rx_neigh_wrong_link=3):
        for body in (data(), data(50)):
            raw = r.a.build(DATA, body)
            r.wires[1].send(r.b.their_mac, raw, source=r.a.mac)
        r.wires[2].send(r.c.their_mac, r.a.build(CONTROL, b'route'), source=r.a.mac)
    equal([e for e in r.mesh.nl.events() if e.name == 'FRAME_RX'], [], 'punted')


@test
def not_for_us():
    """a frame for another station on the link is not touched"""
    r = Relay()
    with r.drops(rx_other_host=2):
        r.wires[0].send(b'\x02\0\0\0\0\x77', r.a.build(DATA, data()), source=r.a.mac)
        r.wires[0].send(b'\x02\0\0\0\0\x77', build(HELLO, address('x') + bytes(16)), source=r.a.mac)
    # only a HELLO may go to everybody
    with r.drops(rx_bad_dest=3):
        r.wires[0].send(b'\xff' * 6, r.a.build(DATA, data()), source=r.a.mac)
        r.wires[0].send(b'\x33\x33\0\0\0\1', r.a.build(CONTROL, b'route'), source=r.a.mac)
        r.wires[0].send(b'\xff' * 6, build(LINK, b'noise'), source=r.a.mac)
    with r.mesh.counts(fwd_frames=1):
        r.a.send(DATA, data())


@test
def too_big_for_next_link():
    """a frame larger than the next link takes is counted, not cut"""
    r = Relay()
    flags = dict(mtu=1400)
    r.mesh.outside.rt.link_set('w1', **flags)
    r.mesh.ns.rt.link_set('l1', **flags)
    with r.mesh.counts(fwd_frames=1):
        r.a.send(DATA, data(1400 - 64))
    r.b.expect(DATA)
    with r.drops(fwd_too_big=2):
        r.a.send(DATA, data(1400 - 63))
        r.a.send(DATA, data(1436))


# ------------------------------------------------------------ several next hops

@test
def failover_carrier():
    """the first next hop loses its carrier: the second takes over at once, and gives back"""
    r = Relay(hops='bc')
    events = r.mesh.nl
    r.a.send(DATA, data())
    r.b.expect(DATA)
    flags_up(r.mesh.outside, 'w1', False)
    # the very next frame: nobody waits for the news to get around
    for _ in range(5):
        r.a.send(DATA, data())
        r.c.expect(DATA)
    events.wait_event('NEIGH_NTF', index=r.b.index, state=RATMAN_NEIGH_DEAD)
    r.a.send(DATA, data())
    r.c.expect(DATA)
    flags_up(r.mesh.outside, 'w1', True)
    check(until(lambda: r.b.state()['state'] == RATMAN_NEIGH_ALIVE), 'the neighbour does not come back')
    r.a.send(DATA, data())
    r.b.expect(DATA)


@test
def failover_silence():
    """the first next hop falls silent: within three seconds the second takes over"""
    r = Relay(hops='bc')
    r.b.quiet()
    started = time.monotonic()

    def arrived():
        r.a.send(DATA, data())
        return r.c.receive(DATA, 0.02)
    check(until(arrived, 6, 0.05), 'the second next hop was never used')
    if SLOW < 2:
        between(time.monotonic() - started, 0.2, 3.0, 'seconds until fail-over')
    equal(r.b.state()['state'], RATMAN_NEIGH_DEAD, 'state of the silent one')


@test
def all_dead():
    """no next hop is left alive"""
    r = Relay(hops='bc')
    flags_up(r.mesh.outside, 'w1', False)
    flags_up(r.mesh.outside, 'w2', False)
    check(until(lambda: all(n['state'] == RATMAN_NEIGH_DEAD for n in r.mesh.neighs().values() if n['index'] != r.a.index)),
          'they do not die')
    with r.mesh.counts(rx_no_hop=3):
        for _ in range(3):
            r.a.send(DATA, data())


@test
def four_hops():
    """of four next hops the first living one is used, in the order given"""
    r = Relay()
    others = [Fake(r.mesh, r.wires[i], 'l%d' % i, 'extra %d' % i, mac=bytes([2, 0, 0, 0, 1, i])) for i in (1, 2)]
    r.mesh.route_set(FAR, [(others[0].index, 1), (r.c.index, 2), (r.b.index, 3), (others[1].index, 4)])
    equal([h[0] for h in r.mesh.route_get(FAR)['hop']],
          [others[0].index, r.c.index, r.b.index, others[1].index], 'hops')
    r.a.send(DATA, data())
    others[0].expect(DATA)
    r.mesh.neigh_del(link=others[0].link_index, router=others[0].router)
    r.a.send(DATA, data())
    r.c.expect(DATA)


@test
def ring():
    """in a ring of five, traffic goes the other way round when a router stops, and back"""
    net = Net(5, [(i, (i + 1) % 5) for i in range(5)], spare_hops=True)
    # 0 to 2: by 1, spare by 4
    net.mesh[0].route_set(net.addr[2], [(net.slot(0, 1), 2), (net.slot(0, 4), 3)])
    net.mesh[2].route_set(net.addr[0], [(net.slot(2, 1), 2), (net.slot(2, 3), 3)])
    net.mesh[4].route_set(net.addr[2], [(net.slot(4, 3), 2)])
    net.mesh[3].route_set(net.addr[0], [(net.slot(3, 4), 2)])
    check(net.ping(0, 2), 'no ping in the whole ring')
    for name in ('to0', 'to2'):
        flags_up(net.mesh[1].ns, name, False)
    check(until(lambda: net.ping(0, 2, timeout=0.3), 3), 'no ping round the other way')
    through = net.mesh[3].stats()['fwd_frames']
    check(net.ping(0, 2), 'no ping round the other way')
    check(net.mesh[3].stats()['fwd_frames'] >= through + 2, 'it went another way than expected')
    for name in ('to0', 'to2'):
        flags_up(net.mesh[1].ns, name, True)
    before = net.mesh[1].stats()['fwd_frames']
    check(until(lambda: net.ping(0, 2, timeout=0.3) and net.mesh[1].stats()['fwd_frames'] > before, 10),
          'it does not go back to the short way')


# ------------------------------------------------------------ routes while frames flow

@test
def route_expires():
    """a route that is not set again goes at its time"""
    r = Relay()
    r.mesh.route_set(FAR, [(r.b.index, 1)], expires_ms=300)
    between(r.mesh.route_get(FAR)['expires_ms'], 1, 300, 'remaining time')
    r.a.send(DATA, data())
    r.b.expect(DATA)
    check(until(lambda: FAR not in r.mesh.routes(), 5), 'it is still there')
    with r.drops(rx_no_route=1):
        r.a.send(DATA, data())
    r.mesh.route_set(FAR, [(r.b.index, 1)], expires_ms=300)
    r.mesh.route_set(FAR, [(r.b.index, 1)], expires_ms=0)
    time.sleep(0.5)
    check(FAR in r.mesh.routes(), 'a route set again, without an end, went all the same')


@test
def route_flaps():
    """a route replaced again and again while frames flow loses none"""
    r = Relay()
    n = 600
    with r.mesh.counts(fwd_frames=n):
        for i in range(n):
            if i % 3 == 0:
                r.route('cb' if i % 2 else 'bc')
            r.a.send(DATA, data())
    got = sum(1 for fake in (r.b, r.c) for _ in iter(lambda: fake.receive(DATA, 0.1), None))
    equal(got, n, 'frames that came out')


@test
def neighbour_goes():
    """a neighbour deleted under a route: its frames stop, its index is forgotten"""
    r = Relay(hops='bc')
    r.mesh.neigh_del(link=r.b.link_index, router=r.b.router)
    r.a.send(DATA, data())
    r.c.expect(DATA)
    with r.drops(rx_neigh_unknown=1):
        r.b.send(CONTROL, b'still here')
    r.mesh.neigh_del(link=r.a.link_index, router=r.a.router)
    with r.drops(rx_neigh_unknown=1):
        r.a.send(DATA, data())


run_tests()
