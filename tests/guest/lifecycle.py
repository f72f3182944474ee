#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything comes and goes in any order, under traffic, and nothing stays behind."""

import errno
import os
import random
import subprocess
import threading
import time

from ratman import (
    Failure, Genl, Net, NetlinkError, Pinger, SLOW, Wire, bench, check, clean_up, cleanup,
    equal, flags_up, load_module, module_loaded, refused, run_tests, test, text, until)
from ratman import frames
from frames import digest
from uapi import RATMAN_HANDSHAKE


def refcount():
    with open('/sys/module/ratman/refcnt') as f:
        return int(f.read())


def rmmod():
    return subprocess.run(['rmmod', 'ratman'], capture_output=True, text=True)


def unload_and_load():
    """Out and in again; -> seconds it took to go"""
    started = time.monotonic()
    done = rmmod()
    took = time.monotonic() - started
    equal((done.returncode, done.stderr), (0, ''), 'rmmod')
    check(not module_loaded(), 'the module is still there')
    done = load_module()
    equal((done.returncode, done.stderr), (0, ''), 'insmod')
    return took


def nothing_left():
    check(until(lambda: refcount() == 0), 'the module\'s reference count is %d', refcount())


class Traffic:
    """Pings and UDP through a line of routers from a thread, as fast as Python goes. Errors are
    part of the game here; that packets do flow is checked by whoever starts it."""

    def __init__(self, net):
        self.net = net
        self.stopping = False
        self.sent = self.answers = 0
        self.problem = None
        last = net.n - 1
        self.sockets = [(net.udp(0), text(net.ip[last])), (net.udp(last), text(net.ip[0]))]
        self.pinger = Pinger(net.mesh[0].ns, net.ip[0], net.ip[last])
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        check(until(lambda: self.answers > 3), 'no traffic flows: %s', self.problem)

    def _run(self):
        payloads = bytes(10), bytes(1300), bytes(4000)
        try:
            while not self.stopping:
                for s, destination in self.sockets:
                    try:
                        s.sendto(payloads[self.sent % 3], (destination, 9))
                    except OSError:
                        pass
                    self.sent += 1
                try:
                    self.pinger.send(500)
                except OSError:
                    pass
                try:
                    self.answers += self.pinger.collect()
                except OSError:
                    pass
                if self.sent % 64 == 0:
                    time.sleep(0)
        except Exception as e:
            self.problem = e

    def stop(self):
        self.stopping = True
        self.thread.join()
        self.pinger.sock.close()
        for s, _ in self.sockets:
            s.close()
        check(self.problem is None, 'traffic: %r', self.problem)


def line(n=3):
    net = Net(n)
    traffic = Traffic(net)
    cleanup(traffic.stop)
    return net, traffic


def leaks():
    """What kmemleak finds of ours; None when the kernel has none"""
    path = '/sys/kernel/debug/kmemleak'
    if not os.path.exists(path):
        return None
    try:
        for _ in range(2):
            with open(path, 'w') as f:
                f.write('scan')
            time.sleep(1)
        with open(path) as f:
            return f.read()
    except OSError:
        return None


@test(timeout=120)
def unload():
    """the module unloaded under traffic, ten times"""
    for _ in range(10):
        net, traffic = line()
        namespaces = [mesh.ns for mesh in net.mesh]
        took = unload_and_load()
        traffic.stop()
        for ns in namespaces:
            check(not ns.rt.exists('ratman0'), 'a device survived its module')
            for name, link in ns.rt.links().items():
                equal(link.master, 0, 'master of %s' % name)
        check(took < 10 * SLOW, 'rmmod took %.1f s', took)
        clean_up()


@test
def reload():
    """a fresh module works after the old one went"""
    unload_and_load()
    net = Net(2)
    check(net.ping(0, 1), 'no ping')
    equal(refcount(), 0, 'reference count')


@test
def ethertype():
    """the ethertype is a parameter of the module; impossible ones are refused"""
    rmmod()
    try:
        for wrong in ('0x05ff', '0', '1500'):
            check(load_module('ethertype=' + wrong).returncode, 'ethertype %s was taken', wrong)
            check(not module_loaded(), 'the module is loaded all the same')
        equal(load_module('ethertype=0x88b6').stderr, '', 'insmod')
        mesh, (wire,) = bench(hello_ms=100)
        other = Wire(mesh.outside, 'w0', 0x88b6)
        got = other.receive()
        check(got, 'no HELLO under the chosen ethertype')
        equal(frames.parse_hello(frames.parse(got[2])).router, mesh.router, 'router address')
        with mesh.counts(rx_link=1, punt_frames=1):
            other.send(mesh.ns.rt.get('l0').address, frames.build(frames.LINK, b'noise'))
            wire.send(mesh.ns.rt.get('l0').address, frames.build(frames.LINK, b'noise'))
        equal(wire.drain(), [], 'frames under the usual ethertype')
    finally:
        clean_up()
        unload_and_load()


@test(timeout=120)
def link_leaves():
    """links taken out and put back under traffic; frames flow again each time"""
    net, traffic = line()
    for i in range(20):
        ns = net.mesh[1].ns
        name = ('to0', 'to2')[i % 2]
        ns.rt.link_set(name, master=0)
        equal(len(net.mesh[1].dump('LINK_GET')), 1, 'links')
        net.mesh[1].enslave(name)
        # keys and the routes that named the removed neighbour are the daemon's to set again
        restore(net)
        seen = traffic.answers
        check(until(lambda: traffic.answers > seen), 'no traffic after round %d', i)
    traffic.stop()
    nothing_left()


@test(timeout=120)
def link_down():
    """links set down and up under traffic, a hundred times"""
    net, traffic = line()
    rng = random.Random(1)
    for i in range(100):
        mesh = net.mesh[rng.randrange(3)]
        name = 'to%d' % rng.choice(net.near[net.mesh.index(mesh)])
        flags_up(mesh.ns, name, False)
        if i % 3 == 0:
            time.sleep(0.002)
        flags_up(mesh.ns, name, True)
    seen = traffic.answers
    check(until(lambda: traffic.answers > seen + 5, 20), 'no traffic afterwards')
    traffic.stop()
    nothing_left()


@test(timeout=120)
def interface_removed():
    """an interface that is a link disappears under traffic"""
    for i in range(10):
        net, traffic = line()
        net.mesh[1].ns.rt.delete('to%d' % (0, 2)[i % 2])
        check(until(lambda: len(net.mesh[1].dump('LINK_GET')) == 1), 'the link is still there')
        check(until(lambda: len(net.mesh[1].neighs()) == 1), 'its neighbour is still there')
        traffic.stop()
        clean_up()
    nothing_left()


@test(timeout=120)
def device_removed():
    """the mesh device deleted under traffic"""
    for i in range(10):
        net, traffic = line()
        net.mesh[i % 3].ns.rt.delete('ratman0')
        for link in net.mesh[i % 3].ns.rt.links().values():
            equal(link.master, 0, 'master of %s' % link.name)
        refused(net.mesh[i % 3].neighs, code=errno.ENODEV)
        traffic.stop()
        clean_up()
    nothing_left()


@test(timeout=120)
def namespace_removed():
    """a namespace goes with everything in it, under traffic from the others"""
    for i in range(10):
        net = Net(4)
        # the middle one goes: traffic's own sockets would keep an end alive
        middle = net.mesh[1 + i % 2]
        traffic = Traffic(net)
        cleanup(traffic.stop)
        middle.nl.close()
        middle.ns.close()
        neighbour = net.mesh[2 + i % 2]
        name = 'to%d' % (1 + i % 2)
        check(until(lambda: not neighbour.ns.rt.exists(name), 20), 'the other end of its veth is still there')
        traffic.stop()
        clean_up()
    nothing_left()


@test(timeout=60)
def down_and_up():
    """ratman0 set down and up under traffic"""
    net, traffic = line()
    for i in range(30):
        flags_up(net.mesh[i % 3].ns, 'ratman0', False)
        flags_up(net.mesh[i % 3].ns, 'ratman0', True)
        net.mesh[i % 3].ns.rt.route_add(bytes.fromhex('20010020') + bytes(12), 28, 'ratman0')
        try:
            net.mesh[i % 3].ns.rt.address_add('ratman0', net.ip[i % 3], 128)
        except NetlinkError:
            pass
    seen = traffic.answers
    check(until(lambda: traffic.answers > seen + 5, 20), 'no traffic afterwards')
    traffic.stop()


@test(timeout=60)
def daemon_dies():
    """the daemon's socket closes under traffic: nothing is lost while sessions are valid"""
    net = Net(3)
    with Pinger(net.mesh[0].ns, net.ip[0], net.ip[2]) as p:
        for i in range(60):
            for _ in range(5):
                p.send()
            mesh = net.mesh[i % 3]
            mesh.nl.close()
            p.send()
            mesh.nl = Genl(mesh.ns)
            cleanup(mesh.nl.close)
            check('claim' not in mesh.dev_get(), 'still claimed')
            mesh.dev_set(router=mesh.router, boot_id=digest('boot', i, 8), claim=True)
            p.collect()
        equal(p.lost(), 0, 'pings lost')


@test(timeout=60)
def tables_under_traffic():
    """addresses, routes, sessions and neighbours deleted and set again under traffic"""
    net, traffic = line()
    rng = random.Random(2)
    for _ in range(150):
        i = rng.randrange(3)
        mesh = net.mesh[i]
        what = rng.randrange(5)
        other = rng.choice([j for j in range(3) if j != i])
        near = rng.choice(net.near[i])
        try:
            if what == 0:
                mesh.route_del(net.addr[other])
            elif what == 1:
                mesh.session_del(net.addr[i], net.addr[other])
            elif what == 2:
                mesh.neigh_del(link=mesh.link_index('to%d' % near), router=net.mesh[near].router)
            elif what == 3:
                mesh.addr_del(net.addr[i])
            else:
                mesh.frame_tx(type=RATMAN_HANDSHAKE, dest=net.addr[other], body=b'x')
        except NetlinkError:
            pass
        if rng.randrange(3) == 0:
            restore(net)
    restore(net)
    seen = traffic.answers
    check(until(lambda: traffic.answers > seen + 5, 20), 'no traffic afterwards')
    traffic.stop()
    nothing_left()


_generation = 0


def restore(net):
    """All of a line of three as it should be, under new keys"""
    global _generation
    _generation += 1
    for i in range(3):
        for j in net.near[i]:
            net.key(i, j, _generation)
        net.mesh[i].addr_set(net.addr[i])
    for i in range(3):
        for j in range(3):
            if i != j:
                hop = j if j in net.near[i] else 1
                net.mesh[i].route_set(net.addr[j], [(net.slot(i, hop, _generation), 1)])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        net.session(i, j, _generation)


@test(timeout=400)
def mixed():
    """a hundred rounds of all that, mixed, under traffic; then no device, no reference, no leak"""
    rng = random.Random(100)
    rounds = 0
    while rounds < 100:
        net, traffic = line(rng.choice((2, 3)))
        for _ in range(rng.randrange(1, 6)):
            rounds += 1
            what = rng.choice(('nomaster', 'down', 'delete link', 'delete device', 'namespace', 'staged', 'mtu', 'claim',
                               'rename'))
            i = rng.randrange(net.n)
            mesh = net.mesh[i]
            name = 'to%d' % rng.choice(net.near[i])
            try:
                if what == 'nomaster':
                    mesh.ns.rt.link_set(name, master=0)
                    mesh.enslave(name)
                elif what == 'down':
                    flags_up(mesh.ns, name, False)
                    flags_up(mesh.ns, name, True)
                elif what == 'delete link':
                    mesh.ns.rt.delete(name)
                elif what == 'delete device':
                    mesh.ns.rt.delete('ratman0')
                elif what == 'namespace' and 0 < i < net.n - 1:
                    mesh.nl.close()
                    mesh.ns.close()
                elif what == 'staged':
                    mesh.session_del(net.addr[i], net.addr[net.n - 1 - i])
                elif what == 'mtu':
                    mesh.ns.rt.link_set('ratman0', mtu=1280 + rng.randrange(141))
                elif what == 'claim':
                    mesh.nl.close()
                    mesh.nl = Genl(mesh.ns)
                    cleanup(mesh.nl.close)
                elif what == 'rename':
                    mesh.ns.rt.link_set('ratman0', new_name='ratman%d' % rounds)
            except (NetlinkError, OSError, Failure):
                pass                    # it may be gone already
        if rng.randrange(4) == 0:
            unload_and_load()
        traffic.stop()
        clean_up()
    nothing_left()
    unload_and_load()
    nl = Genl()
    equal(nl.dump_all('DEV_GET'), [], 'devices')
    nl.close()
    found = leaks()
    if found:
        ours = [block for block in found.split('unreferenced object')[1:] if 'ratman' in block]
        equal(ours, [], 'memory that leaked')


run_tests()
