#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Neighbours: being found, keys, liveness, and what is measured."""

import errno
import struct
import time

from ratman import (
    Fake, Genl, M32, Mesh, Net, Ns, Pinger, SLOW, TIMER_STATS, Wire, address, bench, between,
    check, cleanup, equal, flags_up, many, netem, refused, run_tests, test, until)
from ratman import frames
from frames import CONTROL, DATA, ECHO, HELLO, digest
from uapi import RATMAN_LINK_UP, RATMAN_NEIGH_ALIVE, RATMAN_NEIGH_DEAD, RATMAN_NEIGH_REMOVED

EVERYBODY = b'\xff' * 6
FAR = address('far away')


# ------------------------------------------------------------ HELLO, sent

@test
def hello_sent():
    """HELLO says who we are, to everybody on every link, without key, index or number"""
    mesh, wires = bench(2, hello_ms=200)
    for wire in wires:
        got = wire.receive()
        check(got, 'no HELLO on %s', wire.name)
        frame = frames.parse(got[2])
        equal(got[0], EVERYBODY, 'destination')
        equal(got[1], mesh.ns.rt.get(wire.name.replace('w', 'l')).address, 'source')
        equal((frame.version, frame.type, frame.length), (1, HELLO, 48), 'version, type and length')
        equal((frame.neigh, frame.seq, frame.tag), (0, 0, bytes(8)), 'index, sequence number and tag')
        hello = frames.parse_hello(frame)
        equal(hello.router, mesh.router, 'router address')
        equal(hello.boot_id, mesh.boot_id, 'boot id')
        equal(hello.interval_ms, 200, 'interval')
        equal(hello.capabilities, 0, 'capabilities')


@test
def hello_periodic():
    """HELLO comes at its interval, and at a new one after it is set"""
    mesh, (wire,) = bench(hello_ms=200)
    time.sleep(1.2)             # some quick ones at the start are fine
    wire.drain()
    started = time.monotonic()
    for _ in range(10):
        check(wire.receive(), 'no HELLO')
    between(time.monotonic() - started, 1.2, 3.0 + SLOW, 'seconds for ten')
    mesh.dev_set(hello_ms=1000)
    time.sleep(0.5)
    wire.drain()
    started = time.monotonic()
    while True:
        got = wire.receive()
        check(got, 'no HELLO')
        if frames.parse_hello(frames.parse(got[2])).interval_ms == 1000 and time.monotonic() - started > 0.5:
            break
    equal(mesh.dev_get()['hello_ms'], 1000, 'hello_ms')
    check(wire.receive(), 'no HELLO')


@test
def hello_needs_a_name():
    """no HELLO before a daemon said who we are, nor on a link that is down"""
    ns, outside = Ns(), Ns()
    ns.rt.veth('l0', 'w0', outside)
    mesh = Mesh(ns, links=['l0'], claim=False)
    wire = Wire(outside, 'w0')
    time.sleep(0.5)
    equal(wire.drain(), [], 'frames')
    mesh.dev_set(router=mesh.router, boot_id=mesh.boot_id, claim=True, hello_ms=100)
    check(wire.receive(), 'no HELLO')
    ns.rt.link_set('ratman0', up=False)
    time.sleep(0.15)
    wire.drain()
    time.sleep(0.5)
    equal(wire.drain(), [], 'frames of a device that is down')
    ns.rt.link_set('ratman0', up=True)
    check(wire.receive(), 'no HELLO after it came up again')
    ns.rt.link_set('l0', master=0)
    time.sleep(0.15)
    wire.drain()
    time.sleep(0.5)
    equal(wire.drain(), [], 'frames on a link that left')


@test
def hello_interval_range():
    """HELLO intervals from 100 ms to 60 s only"""
    mesh, _ = bench()
    for value in (0, 99, 60001, 0xffffffff):
        refused(mesh.dev_set, hello_ms=value, code=(errno.ERANGE, errno.EINVAL))
    equal(mesh.dev_get()['hello_ms'], 60000, 'hello_ms')
    for value in (100, 60000):
        mesh.dev_set(hello_ms=value)
        equal(mesh.dev_get()['hello_ms'], value, 'hello_ms')


# ------------------------------------------------------------ HELLO, received

def candidates(mesh, timeout=0.05):
    return [e.values for e in mesh.nl.events(timeout) if e.name == 'CANDIDATE_NTF']


@test
def candidate():
    """a HELLO makes a candidate, told to the daemon and to listeners, with all it said"""
    mesh, (wire,) = bench()
    listener = Genl(mesh.ns)
    cleanup(listener.close)
    listener.subscribe()
    router, boot = address('stranger'), digest('boot', 'stranger', 8)
    mac = b'\x02\0\0\0\0\x11'
    wire.send(EVERYBODY, frames.hello(router, boot), source=mac)
    want = dict(link=mesh.link_index('l0'), lladdr=mac, router=router, boot_id=boot)
    for nl in (mesh.nl, listener):
        event = nl.wait_event('CANDIDATE_NTF')
        equal(event.ifindex, mesh.index, 'device')
        equal({k: event.values.get(k) for k in want}, want, 'candidate')
    equal(mesh.neighs(), {}, 'neighbours: a candidate is none yet')
    # unicast to us, and longer (from a newer version), is a HELLO, too
    wire.send(mesh.ns.rt.get('l0').address, frames.hello(address('newer'), boot, capabilities=0xffffffff, extra=b'x' * 20),
              source=b'\x02\0\0\0\0\x12')
    equal(mesh.nl.wait_event('CANDIDATE_NTF').values['router'], address('newer'), 'router address')


@test
def candidate_once():
    """the same HELLO again and again is told about once a second"""
    mesh, (wire,) = bench()
    hello = frames.hello(address('stranger'), bytes(8))
    started = time.monotonic()
    n = told = 0
    while time.monotonic() - started < 2.5:
        wire.send(EVERYBODY, hello, source=b'\x02\0\0\0\0\x11')
        n += 1
        told += len(candidates(mesh, 0))
        time.sleep(0.005)
    told += len(candidates(mesh))
    between(told, 2, 4 + SLOW, 'times told for %d HELLO frames in 2.5 s' % n)


@test
def own_hello():
    """our own HELLO that comes back is no candidate"""
    mesh, (wire,) = bench()
    with mesh.counts(rx_hello_own=1):
        wire.send(EVERYBODY, frames.hello(mesh.router, mesh.boot_id))
    equal(candidates(mesh), [], 'candidates')


@test
def known_hello():
    """a neighbour's HELLO is no candidate; with a new boot id it is"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', install=False)
    fake.install(boot_id=fake.boot_id)
    equal(fake.state()['boot_id'], fake.boot_id, 'boot id')
    same = frames.hello(fake.router, fake.boot_id)
    started, n = time.monotonic(), 0
    told = []
    while time.monotonic() - started < 2.5:
        fake.echo()
        wire.send(EVERYBODY, same, source=fake.mac)
        n += 1
        told += candidates(mesh, 0)
        time.sleep(0.05)
    told += candidates(mesh)
    between(len(told), 0, 1, 'times told for %d HELLO frames of a living neighbour' % n)
    other = frames.hello(fake.router, digest('boot', 'again', 8))

    def new():
        wire.send(EVERYBODY, other, source=fake.mac)
        return [c for c in candidates(mesh, 0.02) if c['boot_id'] == digest('boot', 'again', 8)]
    check(until(new, 3, 0.1), 'a new boot id is not told')


@test(timeout=120)
def hello_flood():
    """HELLO from ten thousand stations (fewer on slow kernels): few are told, nothing is kept, all are counted"""
    mesh, (wire,) = bench()
    n = many(10000)
    before, memory = mesh.stats(), slab()
    told = 0
    for i in range(n):
        mac = struct.pack('>HI', 0x0200, i)
        wire.send(EVERYBODY, frames.hello(digest('flood', i, 32), bytes(8)), source=mac)
        if i % 1000 == 0:
            told += len(candidates(mesh, 0))
    moved = {}

    def counted():
        moved.clear()
        moved.update({k: v - before[k] for k, v in mesh.stats().items() if v != before[k] and k.startswith(('rx_', 'punt_'))})
        return moved.get('rx_hello', 0) == n
    check(until(counted), 'counters: %r', moved)
    told += len(candidates(mesh))
    between(told, 1, 500 + 100 * SLOW, 'candidates told')
    equal(moved.get('punt_rate_hello', 0) + told, n, 'HELLO frames told or limited; %r' % moved)
    equal(mesh.neighs(), {}, 'neighbours')
    check(slab() - memory < 4000, 'the kernel took %d kB', slab() - memory)
    # one station that means it is still heard soon
    hello = frames.hello(address('honest'), bytes(8))

    def heard():
        wire.send(EVERYBODY, hello, source=b'\x02\0\0\0\x77\x77')
        return any(c['router'] == address('honest') for c in candidates(mesh, 0.05))
    check(until(heard, 10, 0.2), 'a candidate after the flood is never told')


def slab():
    with open('/proc/meminfo') as f:
        return sum(int(line.split()[1]) for line in f if line.startswith(('SUnreclaim', 'Percpu')))


# ------------------------------------------------------------ the table

@test
def dump():
    """a neighbour that is set can be read back whole, without its keys"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    info = fake.state()
    want = dict(link=fake.link_index, lladdr=fake.mac, router=fake.router, index=fake.index, peer_index=fake.peer_index,
                state=RATMAN_NEIGH_ALIVE)
    equal({k: info.get(k) for k in want}, want, 'neighbour')
    check('rx_key' not in info and 'tx_key' not in info, 'a key was dumped')
    equal(mesh.dev_get()['neighs'], 1, 'neighs of the device')
    equal(mesh.dump('LINK_GET')[0]['neighs'], 1, 'neighs of the link')
    mesh.neigh_del(link=fake.link_index, router=fake.router)
    equal(mesh.neighs(), {}, 'neighbours')
    refused(mesh.neigh_del, link=fake.link_index, router=fake.router, code=(errno.ENOENT, errno.ESRCH))


@test
def counters():
    """frames and bytes of a neighbour are counted exactly, wrong ones not at all"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    before = fake.state()
    sizes = (1, 100, 1400)
    for size in sizes:
        fake.send(CONTROL, bytes(size))
        fake.send(CONTROL, bytes(size), tag=bytes(8))
    after = fake.state()
    equal(after['rx_frames'] - before['rx_frames'], 3, 'rx_frames')
    equal(after['rx_bytes'] - before['rx_bytes'], sum(sizes) + 60, 'rx_bytes')


@test
def removed_with_link():
    """when a link goes, its neighbours go, and the daemon is told"""
    mesh, wires = bench(2)
    a, b = (mesh.add_fake(wire, 'l%d' % i, 'ab'[i], keep=False) for i, wire in enumerate(wires))
    mesh.ns.rt.link_set('l0', master=0)
    event = mesh.nl.wait_event('NEIGH_NTF', state=RATMAN_NEIGH_REMOVED)
    equal(event.values['router'], a.router, 'neighbour')
    equal(list(mesh.neighs()), [b.index], 'neighbours')


@test
def slots():
    """hundreds of neighbours, found and read back; slot 0 and taken slots are refused"""
    mesh, (wire,) = bench()
    link = mesh.link_index('l0')

    def put(i, router=None, **kw):
        values = dict(link=link, lladdr=struct.pack('>HI', 0x0200, i), router=router or address('n%d' % i), index=i,
                      peer_index=i, rx_key=digest('r', i, 16), tx_key=digest('t', i, 16))
        values.update(kw)
        return mesh.neigh_set(**values)
    refused(put, 0)
    refused(put, 4096)
    count = many(600)
    for i in range(1, count + 1):
        put(i)
    equal(sorted(mesh.neighs()), list(range(1, count + 1)), 'neighbours')
    refused(put, 5, router=address('another'))
    refused(put, 4096 + 5, router=address('another'))
    equal(mesh.neighs()[5]['router'], address('n5'), 'router in slot 5')
    mesh.neigh_del(link=link, router=address('n5'))
    put(4096 + 5, router=address('another'))
    equal(mesh.neighs()[4096 + 5]['router'], address('another'), 'router in slot 5')
    with mesh.counts(rx_neigh_unknown=1):
        wire.send(mesh.ns.rt.get('l0').address, frames.build(CONTROL, b'x', key=digest('r', 5, 16), neigh=5, seq=1))


# ------------------------------------------------------------ liveness

@test
def silence():
    """silence makes a neighbour dead within three seconds while traffic flows, and one frame revives it"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    mesh.route_set(FAR, [(fake.index, 1)])
    other = Fake(mesh, wire, 'l0', 'other', mac=b'\x02\0\0\0\0\x22')
    fake.echo()
    started = time.monotonic()

    def dead():
        other.echo()
        other.send(DATA, frames.data_body(FAR, 1, 1, bytes(16)))
        return fake.state()['state'] == RATMAN_NEIGH_DEAD
    check(until(dead, 6, 0.05), 'it does not die')
    took = time.monotonic() - started
    check(took > 0.3, 'dead after %.2f s', took)
    check(took < 3.0 * max(1, SLOW / 2), 'dead after %.2f s only', took)
    equal(mesh.nl.wait_event('NEIGH_NTF', state=RATMAN_NEIGH_DEAD).values['router'], fake.router, 'who died')
    equal(other.state()['state'], RATMAN_NEIGH_ALIVE, 'the other')
    check(fake.state()['silent_ms'] >= 300, 'silent_ms')
    fake.echo()
    event = mesh.nl.wait_event('NEIGH_NTF', state=RATMAN_NEIGH_ALIVE)
    equal(event.values['router'], fake.router, 'who came back')
    equal(fake.state()['state'], RATMAN_NEIGH_ALIVE, 'state')
    with mesh.counts(fwd_frames=1):
        other.send(DATA, frames.data_body(FAR, 1, 2, bytes(16)))


@test
def forged_life():
    """a frame with a wrong tag is no sign of life"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    mesh.route_set(FAR, [(fake.index, 1)])
    other = Fake(mesh, wire, 'l0', 'other', mac=b'\x02\0\0\0\0\x22')
    raw = fake.echo()

    def dead():
        other.echo()
        other.send(DATA, frames.data_body(FAR, 1, 1, bytes(16)))
        fake.send(ECHO, frames.echo_body(1), tag=bytes(8))
        fake.put(raw)
        return fake.state()['state'] == RATMAN_NEIGH_DEAD
    check(until(dead, 10, 0.05), 'forged and replayed frames keep it alive')
    fake.put(raw)
    fake.send(ECHO, frames.echo_body(1), tag=bytes(8))
    time.sleep(0.1)
    equal(fake.state()['state'], RATMAN_NEIGH_DEAD, 'state')


@test
def idle():
    """without traffic a silent neighbour dies, too, only later; two that hear each other live on"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    net = Net(2)
    fake.echo()
    started, died = time.monotonic(), None
    while time.monotonic() - started < 11 or died is None:
        for each in net.mesh:
            equal([n['state'] for n in each.neighs().values()], [RATMAN_NEIGH_ALIVE], 'states')
        if died is None and fake.state()['state'] == RATMAN_NEIGH_DEAD:
            died = time.monotonic() - started
        check(time.monotonic() - started < 40, 'the silent one does not die')
        time.sleep(0.1)
    between(died, 4, 20, 'seconds until it was dead')
    check(net.ping(0, 1), 'no ping')


@test
def deaf():
    """a neighbour that says it does not hear us is dead, until it says that it does"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    mesh.route_set(FAR, [(fake.index, 1)])
    other = Fake(mesh, wire, 'l0', 'other', mac=b'\x02\0\0\0\0\x22')
    count = frames.parse_echo(asked(fake)).count

    def dead():
        fake.echo(seen_count=count, seen_total=1, interval_ms=500)
        other.send(DATA, frames.data_body(FAR, 1, 1, bytes(16)))
        return fake.state()['state'] == RATMAN_NEIGH_DEAD
    check(until(dead, 8, 0.05), 'it does not die')
    fake.send(CONTROL, b'still here')
    fake.echo(seen_count=count, seen_total=1)
    equal(fake.state()['state'], RATMAN_NEIGH_DEAD, 'state')
    answer(fake, asked(fake))
    check(until(lambda: fake.state()['state'] == RATMAN_NEIGH_ALIVE), 'it does not come back')


@test
def carrier():
    """carrier loss makes all neighbours of the link dead, and no others"""
    mesh, wires = bench(2)
    a, b = (mesh.add_fake(wire, 'l%d' % i, 'ab'[i], keep=False) for i, wire in enumerate(wires))
    a2 = Fake(mesh, wires[0], 'l0', 'a2', mac=b'\x02\0\0\0\0\x33', keep=False)
    for fake in (a, b, a2):
        fake.echo()
    mesh.nl.events()
    flags_up(mesh.outside, 'w0', False)
    dead = {mesh.nl.wait_event('NEIGH_NTF', state=RATMAN_NEIGH_DEAD).values['router'] for _ in range(2)}
    equal(dead, {a.router, a2.router}, 'who died')
    equal(b.state()['state'], RATMAN_NEIGH_ALIVE, 'state of the other link\'s neighbour')
    flags_up(mesh.outside, 'w0', True)
    check(until(lambda: mesh.dump('LINK_GET')[0]['state'] == RATMAN_LINK_UP), 'the link does not come back')

    def alive():
        a.echo()
        return a.state()['state'] == RATMAN_NEIGH_ALIVE
    check(until(alive), 'the neighbour does not come back')


# ------------------------------------------------------------ ECHO

@test
def echo_content():
    """ECHO reports what was received, counts itself and hands the last stamp back"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    for count, stamp in ((1, 111), (2, 222), (5, 555)):
        fake.send(ECHO, frames.echo_body(count, stamp_us=stamp))
    wire.drain()
    fake.send(ECHO, frames.echo_body(6, stamp_us=0x1122334455667788))
    sent = time.monotonic()
    frame = fake.expect(ECHO, timeout=40)
    elapsed = (time.monotonic() - sent) * 1e6
    equal(frame.length, 40, 'length')
    echo = frames.parse_echo(frame)
    equal((echo.seen_count, echo.seen_total), (6, 4), 'what it saw')
    equal(echo.echo_us, 0x1122334455667788, 'stamp that comes back')
    between(echo.held_us, 0, elapsed + 20000, 'held_us')
    check(echo.interval_ms > 0, 'interval')
    equal(echo.reserved, 0, 'reserved')
    again = frames.parse_echo(fake.expect(ECHO, timeout=40))
    equal(again.count, echo.count + 1, 'count')
    check(again.stamp_us > echo.stamp_us, 'stamps do not grow')
    check(again.held_us > echo.held_us or again.echo_us == 0, 'held_us')


def asked(fake):
    """-> the router's ECHO in answer to one of ours that wants it soon"""
    time.sleep(0.13)
    fake.wire.drain()
    fake.echo(interval_ms=500)
    return fake.expect(ECHO, timeout=40)


def answer(fake, frame, count=None, held=0, delay=0.0, **kw):
    """Our ECHO in return"""
    echo = frames.parse_echo(frame)
    time.sleep(delay)
    fake.echo_count += 1
    values = dict(seen_count=echo.count, seen_total=echo.count, echo_us=echo.stamp_us, held_us=held,
                  stamp_us=int(time.monotonic() * 1e6))
    values.update(kw)
    fake.send(ECHO, frames.echo_body(fake.echo_count if count is None else count, **values))


@test
def rtt():
    """the round trip is what the clock says, less the time the other side held it"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    check(not fake.state().get('rtt_us'), 'a round trip before anything was measured')
    answer(fake, asked(fake), delay=0.08)
    first = fake.state()['rtt_us']
    between(first, 80000, 80000 + 30000 * SLOW, 'rtt_us')
    for _ in range(12):
        answer(fake, asked(fake), delay=0.03, held=28000)
    between(fake.state()['rtt_us'], 1000, first * 0.8, 'rtt_us after twelve quick ones')


@test
def rtt_lies():
    """stamps that were never sent, times held longer than the round trip, and the like, change nothing"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    answer(fake, asked(fake), delay=0.02)
    honest = fake.state()['rtt_us']
    frame = asked(fake)
    stamp = frames.parse_echo(frame).stamp_us
    for lie in (dict(echo_us=1), dict(echo_us=stamp + 1), dict(echo_us=stamp - 1), dict(echo_us=M64), dict(echo_us=stamp, held=M32),
                dict(echo_us=stamp ^ 1 << 63), dict(echo_us=0)):
        answer(fake, frame, **lie)
        between(fake.state()['rtt_us'], 1, honest + 1000000 * SLOW, 'rtt_us after %r' % lie)
    check(fake.state()['rtt_us'] <= max(honest, 200000 * SLOW), 'rtt_us is %d, was %d', fake.state()['rtt_us'], honest)


M64 = (1 << 64) - 1


@test
def rtt_of_a_link():
    """netem delays of 20 ms each way are measured as 40 ms"""
    net = Net(2)
    for mesh, name in ((net.mesh[0], 'to1'), (net.mesh[1], 'to0')):
        netem(mesh.ns, name, 'delay', '20ms')

    def measured():
        for mesh in net.mesh:
            n = next(iter(mesh.neighs().values()))
            if not 36000 <= n.get('rtt_us', 0) <= 40000 + 40000 * SLOW:
                net.ping(0, 1)
                return False
        return True
    check(until(measured, 20, 0.2), 'rtt_us is %r', [next(iter(m.neighs().values())).get('rtt_us') for m in net.mesh])


@test
def loss():
    """the loss is what the other side says it did not get"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    seen = last = 0

    def round_(lose):
        nonlocal seen, last
        frame = asked(fake)
        count = frames.parse_echo(frame).count
        seen += count - last - lose         # there may have been others in between
        last = count
        answer(fake, frame, seen_count=count, seen_total=seen)
    for i in range(10):
        round_(False)
    check(fake.state().get('loss', 0) < 6000, 'loss is %r with none', fake.state().get('loss'))
    for i in range(20):
        round_(i % 2)
    between(fake.state()['loss'], 12000, 48000, 'loss with every other frame lost')
    for i in range(24):
        round_(False)
    check(fake.state()['loss'] < 12000, 'loss is %r, long after the last', fake.state()['loss'])


@test
def loss_lies():
    """reports that cannot be true keep the loss between 0 and all"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    frame = asked(fake)
    count = frames.parse_echo(frame).count
    for seen_count, seen_total in ((0, 0), (M32, M32), (count + 1, 0), (count, M32), (0, count), (count, 0), (count, count),
                                   (M32, 0), (1, 0), (0x80000000, 0x7fffffff)):
        answer(fake, frame, seen_count=seen_count, seen_total=seen_total)
        info = fake.state()
        between(info.get('loss', 0), 0, 65535, 'loss after a report of %d of %d' % (seen_total, seen_count))
    for counter in (0, M32, 1, 0x80000000):
        fake.send(ECHO, frames.echo_body(counter, stamp_us=1))
    for interval in (0, 1, M32, 0x80000000):
        fake.send(ECHO, frames.echo_body(9, stamp_us=1, interval_ms=interval))
    between(fake.state().get('loss', 0), 0, 65535, 'loss')
    equal(fake.state()['state'], RATMAN_NEIGH_ALIVE, 'state')


@test(timeout=120)
def loss_of_a_link():
    """netem loses 30 %: so does the estimate, about, on that side only"""
    net = Net(2)
    netem(net.mesh[0].ns, 'to1', 'loss', '30%')
    values = []

    def info():
        return [next(iter(m.neighs().values())) for m in net.mesh]
    with Pinger(net.mesh[0].ns, net.ip[0], net.ip[1]) as p:
        end = time.monotonic() + 9
        while time.monotonic() < end:
            p.send()
            time.sleep(0.02)
            values.append(info()[0].get('loss', 0))
    late = values[len(values) // 2:]
    between(sum(late) / len(late), 6000, 36000, 'mean loss of 65535 (19660 is right)')
    check(info()[1].get('loss', 0) < 9000, 'loss on the other side: %r', info()[1].get('loss'))


# ------------------------------------------------------------ new keys

def renewed(fake):
    """The same neighbour with another index and other keys, not yet installed"""
    new = Fake(fake.mesh, fake.wire, fake.link, 'renewed', install=False, mac=fake.mac)
    new.router, new.boot_id = fake.router, fake.boot_id
    return new


@test
def rekey_initiator():
    """new keys, we began: sent with at once; frames under the old ones are still taken"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    mesh.route_set(FAR, [(fake.index, 1)])
    new = renewed(fake)
    new.install(initiator=True)
    equal(len(mesh.neighs()), 1, 'neighbours')
    equal(list(mesh.neighs()), [new.index], 'index')
    mesh.frame_tx(type=CONTROL, neigh=new.index, body=b'under the new key')
    equal(new.expect(CONTROL).body, b'under the new key', 'body')
    with mesh.counts(rx_control=3, punt_frames=3):
        fake.send(CONTROL, b'old')
        new.send(CONTROL, b'new')
        fake.send(CONTROL, b'old again')
    # the route still leads to this neighbour
    other = Fake(mesh, wire, 'l0', 'other', mac=b'\x02\0\0\0\0\x22')
    other.send(DATA, frames.data_body(FAR, 1, 1, bytes(16)))
    check(new.expect(DATA), 'nothing')


@test
def rekey_responder():
    """new keys, the other side began: sent with only after a frame under the new ones came in"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    mesh.route_set(FAR, [(fake.index, 1)])
    other = Fake(mesh, wire, 'l0', 'other', mac=b'\x02\0\0\0\0\x22')
    body = frames.data_body(FAR, 1, 1, bytes(16))
    new = renewed(fake)
    new.install(initiator=False)
    other.send(DATA, body)
    check(fake.expect(DATA), 'nothing')
    fake.send(CONTROL, b'old')
    new.send(CONTROL, b'new', tag=bytes(8))
    other.send(DATA, body)
    check(fake.expect(DATA), 'nothing')
    new.send(CONTROL, b'new')
    other.send(DATA, body)
    check(new.expect(DATA), 'nothing')
    check(not fake.receive(DATA, 0.1), 'still sent under the old key')


@test
def rekey_replay():
    """old frames cannot be replayed under or after new keys"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    raw = fake.send(CONTROL, b'once')
    new = renewed(fake)
    new.install(initiator=True)
    new.send(CONTROL, b'hello')
    mesh.nl.events(0.05)
    before = mesh.stats()
    fake.put(raw)
    time.sleep(0.05)
    moved = {k: v - before[k] for k, v in mesh.stats().items() if v != before[k] and k not in TIMER_STATS}
    check(moved in ({'rx_replay': 1}, {'rx_neigh_unknown': 1}), 'counters: %r', moved)


@test
def rekey_flood():
    """keys renewed ten times under a flood of pings: none is lost"""
    net = Net(2)
    before = [mesh.stats() for mesh in net.mesh]
    with Pinger(net.mesh[0].ns, net.ip[0], net.ip[1]) as p:
        for generation in range(1, 11):
            for _ in range(4):
                p.send()
            net.key(1, 0, generation, initiator=False)
            for _ in range(2):
                p.send()
            net.key(0, 1, generation, initiator=True)
            # until both have exchanged an ECHO under these keys
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                p.send()
                p.collect()
                time.sleep(0.005)
        equal(p.lost(), 0, 'pings lost')
        check(p.seq > 100, 'only %d pings', p.seq)
    for mesh, old in zip(net.mesh, before):
        equal(len(mesh.neighs()), 1, 'neighbours')
        bad = {k: v for k, v in mesh.stats().items()
               if v != old[k] and k in ('rx_bad_tag', 'rx_replay', 'rx_neigh_unknown', 'neigh_dead')}
        equal(bad, {}, 'dropped')


@test
def rekey_storm():
    """keys renewed faster than ECHO frames report: nobody is taken for deaf, no ping is lost"""
    net = Net(2)
    before = [mesh.stats() for mesh in net.mesh]
    generation, end = 0, time.monotonic() + 4
    with Pinger(net.mesh[0].ns, net.ip[0], net.ip[1]) as p:
        while time.monotonic() < end or generation < 30:
            generation += 1
            for _ in range(2):
                p.send()
            net.key(1, 0, generation, initiator=False)
            p.send()
            net.key(0, 1, generation, initiator=True)
            for _ in range(2):
                p.send()
            equal(p.lost(), 0, 'pings lost in renewal %d' % generation)
            time.sleep(0.03)
    for mesh, old in zip(net.mesh, before):
        bad = {k: v for k, v in mesh.stats().items()
               if v != old[k] and k in ('rx_bad_tag', 'rx_replay', 'rx_neigh_unknown', 'neigh_dead')}
        equal(bad, {}, 'dropped')


@test
def rekey_asked_again():
    """when a lane nears its end the daemon is asked for new keys, again if it missed that, and not once there are some"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0')

    def asked(neigh, seconds):
        """True when new keys are asked for while frames go out"""
        def look():
            mesh.frame_tx(type=CONTROL, neigh=neigh.index, body=b'one of many')
            return any(e.values.get('rekey') for e in mesh.nl.events(0.02) if e.name == 'NEIGH_NTF')
        return until(look, seconds, 0.05)

    parameter = '/sys/module/ratman/parameters/rekey_frames'
    with open(parameter) as f:
        usual = f.read()
    equal(int(usual), (1 << 27) - 1, 'half a lane')
    for wrong in '0', str(1 << 27), '-1', 'many':
        try:
            with open(parameter, 'w') as f:
                f.write(wrong)
            check(False, '%s was taken', wrong)
        except OSError as e:
            check(e.errno in (errno.EINVAL, errno.ERANGE), 'errno %d for %s', e.errno, wrong)
    try:
        with open(parameter, 'w') as f:
            f.write('200')
        mesh.nl.events(0.05)
        mesh.frame_tx(type=CONTROL, neigh=fake.index, body=b'early')
        check(not any(e.values.get('rekey') for e in mesh.nl.events(0.1)), 'asked too early')
        check(asked(fake, 60), 'never asked for new keys')
        check(asked(fake, 10), 'not asked again')
        new = renewed(fake)
        new.install(initiator=False)
        mesh.nl.events(0.05)
        fake.send(CONTROL, b'still there')
        check(not asked(new, 3 / SLOW), 'asked in spite of new keys')
    finally:
        with open(parameter, 'w') as f:
            f.write(usual)


@test
def keys_stay_when_dead():
    """a neighbour that died keeps its keys: one frame is enough to go on"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)
    flags_up(mesh.outside, 'w0', False)
    mesh.nl.wait_event('NEIGH_NTF', state=RATMAN_NEIGH_DEAD)
    flags_up(mesh.outside, 'w0', True)
    check(until(lambda: mesh.dump('LINK_GET')[0]['state'] == RATMAN_LINK_UP), 'the link does not come back')
    fake.send(CONTROL, b'here again')
    equal(mesh.nl.wait_event('FRAME_RX', type=CONTROL).values['body'], b'here again', 'body')
    check(until(lambda: fake.state()['state'] == RATMAN_NEIGH_ALIVE), 'it does not come back')


run_tests()
