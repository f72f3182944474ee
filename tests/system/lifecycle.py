#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Links, devices, namespaces and the module come and go under daemons and traffic.

scripts/vm fails the run when the kernel complains about any of it, or leaks.

    scripts/vm --kernel debug --topology line:3 -- tests/system/lifecycle.py
"""

import ctypes
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

from lib import Mesh, need, reachable, transfer
import ratman
from ratman import Failure, SLOW, check, cleanup, diag, equal, load_module, run_tests, test, until

ROUNDS = int(os.environ.get('RATMAN_ROUNDS', 30))
mesh = Mesh()
r1, r2, r3 = mesh[1], mesh[2], mesh[3]
libc = ctypes.CDLL(None, use_errno=True)


def ready():
    need(r1.address and r3.address, 'there are no addresses')


class Traffic:
    """UDP both ways and pings, from a thread, whatever happens to the routers"""

    running = None

    def __init__(self):
        self.stopping = False
        self.sent = 0
        self.left = set()               # routers whose namespace we must not hold by a socket
        self.lock = threading.Lock()
        self.sockets = {}
        Traffic.running = self
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        cleanup(self.stop)

    def _run(self):
        while not self.stopping:
            for a, b in ((r1, r3), (r3, r1)):
                with self.lock:
                    self._packets(a, b)
            time.sleep(0.01)
        for s in self.sockets.values():
            s.close()

    def _packets(self, a, b):
        if a in self.left:
            return
        try:
            if a not in self.sockets:
                self.sockets[a] = self._open(a)
                self.sockets[a].bind((a.ipv6, 0))
            for size in 10, 1300, 4000:
                self.sockets[a].sendto(bytes(size), (b.ipv6, 9))
                self.sent += 1
        except OSError:
            if a in self.sockets:
                self.sockets.pop(a).close()

    @staticmethod
    def _open(router):
        """A socket in a router's namespace, from this thread (router.ns belongs to the main one)"""
        own = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        try:
            ratman._syscall('setns', router.ns.fd, ratman.CLONE_NEWNET)
            try:
                return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            finally:
                ratman._syscall('setns', own, ratman.CLONE_NEWNET)
        finally:
            os.close(own)

    def leave(self, router):
        """Closes what would keep its namespace alive; packets from elsewhere go on"""
        with self.lock:
            self.left.add(router)
            if router in self.sockets:
                self.sockets.pop(router).close()

    def come_back(self, router):
        with self.lock:
            self.left.discard(router)

    def stop(self):
        self.stopping = True
        self.thread.join()
        Traffic.running = None


def rejoined(timeout=45):
    """Traffic between the ends flows again, and every daemon is there -> seconds"""
    mesh.all_alive()
    took = reachable(r1, r3, timeout)
    check(took is not None, 'no traffic again within %.0f s; neighbours of r1 %r, r2 %r, r3 %r; route %r', timeout * SLOW,
          r1.json('neigh', 'list'), r2.json('neigh', 'list'), r3.json('neigh', 'list'), r1.json('route', 'list'))
    return took


def link_leaves():
    """A link leaves ratman0 and comes back"""
    r2.ns.rt.link_set('v3', master=0)
    r2.ns.rt.link_set('v3', master='ratman0')


def link_down():
    """A link goes down and up"""
    r1.link('v2', False)
    r1.link('v2', True)


def veth_anew():
    """A link is removed and another one put in its place"""
    r1.ns.rt.delete('v2')
    cable(r1, r2)


def device_anew():
    """ratman0 is deleted and made again"""
    router = random.choice((r1, r2, r3))
    links = [link.name for link in router.ns.rt.links().values() if re.match(r'v\d', link.name)]
    router.ns.rt.delete('ratman0')
    device(router, links)


def daemon_killed():
    """A daemon is killed and started"""
    router = random.choice((r1, r2, r3))
    router.stop(signal.SIGKILL)
    router.start()


def namespace_anew():
    """Router 3's daemon is killed, its namespace vanishes under traffic, and both are made again"""
    r3.stop(signal.SIGKILL)
    if Traffic.running:
        Traffic.running.leave(r3)
    r3.ns.close()
    if libc.umount2(b'/run/netns/r3', 2):
        raise Failure('umount: ' + os.strerror(ctypes.get_errno()))
    os.unlink('/run/netns/r3')
    check(until(lambda: not r2.ns.rt.exists('v3'), 30), 'the namespace of router 3 does not go')
    pin('/run/netns/r3')
    r3.enter()
    r3.ns.rt.link_set('lo', up=True)
    r3.ns.rt.add('ratman0', 'ratman')
    cable(r2, r3)
    r3.ns.rt.link_set('ratman0', up=True)
    r3.start()
    if Traffic.running:
        Traffic.running.come_back(r3)


def cable(a, b):
    """A veth between two routers, both ends links of their ratman0"""
    near, far = 'v%d' % b.number, 'v%d' % a.number
    a.ns.rt.veth(near, far, b.ns)
    for router, name in ((a, near), (b, far)):
        router.ns.sysctl('net/ipv6/conf/%s/disable_ipv6' % name, 1)
        router.ns.rt.link_set(name, master='ratman0', up=True)


def device(router, links):
    router.ns.rt.add('ratman0', 'ratman')
    for name in links:
        router.ns.rt.link_set(name, master='ratman0', up=True)
    router.ns.rt.link_set('ratman0', up=True)


def pin(path):
    """A new network namespace under that name"""
    def make():
        ratman._syscall('unshare', ratman.CLONE_NEWNET)
        for which in 'all', 'default':
            for name in 'accept_dad', 'dad_transmits':
                ratman.Ns.sysctl_here('net/ipv6/conf/%s/%s' % (which, name), 0)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o444))
        ratman._syscall('mount', b'/proc/thread-self/ns/net', path.encode(), b'none', 4096, None)   # MS_BIND
    problem = []

    def guarded():
        try:
            make()
        except Exception as e:
            problem.append(e)
    thread = threading.Thread(target=guarded)       # a thread of its own leaves ours where it is
    thread.start()
    thread.join()
    if problem:
        raise problem[0]


EVENTS = (link_leaves, link_down, veth_anew, device_anew, daemon_killed, namespace_anew)


@test(timeout=90)
def prepare():
    """Addresses and traffic between the ends"""
    mesh.addresses(1, 3)
    rejoined()


def one(event):
    ready()
    traffic = Traffic()
    check(until(lambda: traffic.sent > 20), 'no traffic is sent')
    for _ in range(2):
        event()
        diag('%s: traffic again after %.1f s' % (event.__name__, rejoined()))


for _event in EVENTS:
    def _case(event=_event):
        one(event)
    _case.__name__, _case.__doc__ = _event.__name__, _event.__doc__
    test(_case, 240)


@test(timeout=1200)
def mixed():
    """Many rounds of all that, in random order"""
    ready()
    seed = int(os.environ.get('RATMAN_SEED', time.time()))
    random.seed(seed)
    traffic = Traffic()
    longest = (0, '')
    for n in range(ROUNDS):
        event = random.choice(EVENTS)
        try:
            event()
            took = rejoined()
        except Exception as e:
            raise Failure('round %d of RATMAN_SEED=%d, %s: %s' % (n, seed, event.__name__, e))
        longest = max(longest, (took, event.__name__))
    diag('%d rounds, longest wait for traffic %.1f s after %s; %d packets sent' % (ROUNDS, *longest, traffic.sent))


@test(timeout=60)
def afterwards():
    """And a file still goes through"""
    ready()
    with open('/run/after', 'wb') as f:
        f.write(os.urandom(300000))
    same, _ = transfer(r1, r3, '/run/after')
    check(same, 'the content differs')


@test(timeout=120)
def unload():
    """The module goes under daemons and traffic, and comes back"""
    ready()
    Traffic()
    for _ in range(2):
        done = subprocess.run(['rmmod', 'ratman'], capture_output=True, text=True)
        equal((done.returncode, done.stderr), (0, ''), 'rmmod')
        mesh.all_alive()
        check(until(lambda: all(r.json('status') and r.json('status')['mesh'] != 'on' for r in mesh), 15, 0.1),
              'a daemon does not notice that the module is gone')
        done = load_module()
        equal((done.returncode, done.stderr), (0, ''), 'insmod')
        for router, links in ((r1, ['v2']), (r2, ['v1', 'v3']), (r3, ['v2'])):
            device(router, links)
        diag('traffic again after %.1f s' % rejoined())


run_tests()
