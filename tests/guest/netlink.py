#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The netlink interface from the side of a clumsy, an unprivileged and a hostile program."""

import errno
import os
import random
import signal
import struct
import time

from ratman import (
    Failure, Genl, Mesh, NLMSG_DONE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkError, Ns, Rt, Skip,
    address, attr, bench, between, check, cleanup, decode_message, encode, equal, flags_up,
    ipv6_of, many, nest, refused, run_tests, test, u32, until)
from ratman import cmd, u8
from frames import CONTROL, digest
from uapi import (
    NAMES, RATMAN_A_HOP_METRIC, RATMAN_A_HOP_MTU, RATMAN_A_HOP_NEIGH, RATMAN_A_IFINDEX, RATMAN_A_MAX,
    RATMAN_CMD_CANDIDATE_NTF, RATMAN_CMD_FRAME_RX, RATMAN_CMD_FRAME_TX, RATMAN_CMD_LINK_NTF,
    RATMAN_CMD_MAX, RATMAN_CMD_NEIGH_NTF, RATMAN_CMD_SESSION_WANT, RATMAN_LINK_UP)

ME, FAR, PEER = address('me'), address('far away'), address('peer')
KEYS = [digest('secret', i, 32) for i in range(4)]


class Bed:
    """A device with one of everything, and a valid request for every command"""

    known = None                # state() at the first refusal: from then on nothing may change

    def __init__(self):
        self.mesh, (self.wire,) = bench()
        self.fake = self.mesh.add_fake(self.wire, 'l0')
        self.mesh.addr_set(ME)
        self.mesh.route_set(FAR, [(self.fake.index, 1)], cookie=b'cookie')
        self.mesh.route_set(PEER, [(self.fake.index, 1)])
        self.session = dict(local=ME, peer=PEER, local_ipv6=ipv6_of(ME), peer_ipv6=ipv6_of(PEER), index=77, peer_index=78,
                            rx_key=KEYS[0], tx_key=KEYS[1], initiator=True)
        self.mesh.do('SESSION_SET', 'SESSION', self.session)
        f = self.fake
        # command -> (set, values, names of those that are needed)
        self.requests = {
            'DEV_SET': ('DEV', dict(router=self.mesh.router, boot_id=self.mesh.boot_id, hello_ms=1000, routes_max=100000), ()),
            'NEIGH_SET': ('NEIGH', dict(link=f.link_index, lladdr=f.mac, router=f.router, index=f.index + 1, peer_index=5,
                                        rx_key=KEYS[2][:16], tx_key=KEYS[3][:16], boot_id=bytes(8)),
                          ('link', 'lladdr', 'router', 'index', 'peer_index', 'rx_key', 'tx_key')),
            'NEIGH_DEL': ('NEIGH', dict(link=f.link_index, router=f.router), ('link', 'router')),
            'ROUTE_SET': ('ROUTE', dict(dest=FAR, ipv6=ipv6_of(FAR), hop=[(f.index, 7)], expires_ms=60000, cookie=b'c'),
                          ('dest', 'ipv6', 'hop')),
            'ROUTE_DEL': ('ROUTE', dict(dest=FAR), ('dest',)),
            'ROUTE_GET': ('ROUTE', dict(dest=FAR), ('dest',)),
            'ADDR_SET': ('ADDR', dict(address=address('new'), ipv6=ipv6_of(address('new')), policy=0), ('address', 'ipv6')),
            'ADDR_DEL': ('ADDR', dict(address=ME), ('address',)),
            'SESSION_SET': ('SESSION', dict(self.session, index=79), ('local', 'peer', 'index', 'peer_index', 'rx_key', 'tx_key')),
            'SESSION_DEL': ('SESSION', dict(local=ME, peer=PEER), ('local', 'peer')),
            'FRAME_TX': ('FRAME', dict(type=CONTROL, neigh=f.index, body=b'x'), ('type', 'neigh', 'body')),
        }

    def state(self):
        """Everything that can be read back, but what moves by itself"""
        moving = ('silent_ms', 'age_ms', 'idle_ms', 'expires_ms', 'rx_frames', 'tx_frames', 'rx_bytes', 'tx_bytes', 'state',
                  'rtt_us', 'loss')

        def still(values):
            return sorted((k, str(v)) for k, v in values.items() if k not in moving)
        m = self.mesh
        return [still(m.dev_get())] + [sorted(still(x) for x in m.dump(c + '_GET'))
                                       for c in ('LINK', 'NEIGH', 'ROUTE', 'ADDR', 'SESSION')]

    def unchanged(self, f, *args, **kw):
        self.known = self.known or self.state()
        result = f(*args, **kw)
        equal(self.state(), self.known, 'state after a refusal')
        return result


BINARY = dict(router=32, boot_id=8, lladdr=6, rx_key=0, tx_key=0, dest=32, ipv6=16, address=32, local=32, peer=32,
              local_ipv6=16, peer_ipv6=16)


@test
def valid_requests():
    """the valid request of every command is taken"""
    for name in Bed().requests:
        bed = Bed()
        set_name, values, _ = bed.requests[name]
        bed.mesh.do(name, set_name, values)


@test
def missing_attributes():
    """each needed attribute left out: refused in words, nothing changed"""
    bed = Bed()
    for name, (set_name, values, needed) in bed.requests.items():
        for key in needed:
            less = {k: v for k, v in values.items() if k != key}
            try:
                bed.unchanged(refused, bed.mesh.do, name, set_name, less)
            except Failure as e:
                raise Failure('%s without %s: %s' % (name, key, e))
        try:
            if needed:
                bed.unchanged(refused, bed.mesh.do, name, set_name, {})
                bed.unchanged(refused, bed.mesh.do, name)
            bed.unchanged(refused, bed.mesh.nl.do, name, encode(set_name, values))      # no device named
        except Failure as e:
            raise Failure('%s: %s' % (name, e))


@test
def wrong_lengths():
    """each binary and number with one byte less, one more, and none: refused in words, nothing changed"""
    bed = Bed()
    for name, (set_name, values, _) in bed.requests.items():
        for key, value in values.items():
            if key == 'hop':
                bad = [[b''], [attr(RATMAN_A_HOP_NEIGH, b'123')], [u32(RATMAN_A_HOP_METRIC, 1)],
                       [attr(RATMAN_A_HOP_NEIGH, bytes(5))], [u32(RATMAN_A_HOP_NEIGH, 1) + u8(RATMAN_A_HOP_METRIC, 1)],
                       [u32(RATMAN_A_HOP_NEIGH, bed.fake.index) + attr(RATMAN_A_HOP_MTU, b'\x78\x05')]]
            elif isinstance(value, bytes) and key in BINARY:
                bad = [value[:-1], value + b'x', b'', value * 2]
            elif isinstance(value, int) and not isinstance(value, bool):
                bad = [b'', b'x', b'xxx', bytes(5), bytes(8)]
            else:
                continue
            for wrong in bad:
                try:
                    bed.unchanged(refused, bed.mesh.do, name, set_name, dict(values, **{key: wrong}))
                except Failure as e:
                    raise Failure('%s with %s = %r: %s' % (name, key, wrong, e))


@test
def out_of_range():
    """values out of their range: refused in words, nothing changed"""
    bed = Bed()
    f = bed.fake
    hop = (f.index, 1)
    for name, changes in (
            ('DEV_SET', [dict(hello_ms=99), dict(hello_ms=60001), dict(router=address('x'), boot_id=None)]),
            ('NEIGH_SET', [dict(index=0), dict(index=0x10000), dict(link=1), dict(link=0), dict(link=99999),
                           dict(lladdr=bytes(6)), dict(lladdr=b'\xff' * 6), dict(lladdr=b'\x01\0\x5e\0\0\1')]),
            ('ROUTE_SET', [dict(hop=[]), dict(hop=[hop] * 5), dict(hop=[(f.index + 9, 1)]), dict(hop=[(0, 1)]),
                           dict(hop=[(f.index, 65536)]), dict(hop=[(f.index, 1, 0)]), dict(hop=[(f.index, 1, 1359)]),
                           dict(hop=[(f.index, 1, 65536)]), dict(cookie=bytes(33)), dict(hop=[hop, (f.index ^ 1 << 20, 1)])]),
            ('ADDR_SET', [dict(policy=3), dict(policy=0xffffffff)]),
            ('SESSION_SET', [dict(local=address('not ours')), dict(peer=ME)]),
            ('FRAME_TX', [dict(type=255), dict(neigh=0), dict(body=bytes(1401))])):
        set_name, values, _ = bed.requests[name]
        for change in changes:
            try:
                bed.unchanged(refused, bed.mesh.do, name, set_name, dict(values, **change))
            except Failure as e:
                raise Failure('%s with %r: %s' % (name, change, e))


@test
def two_owners():
    """an IPv6 address or an index that belongs to another object is refused"""
    bed = Bed()
    m = bed.mesh
    other = address('other')
    bed.unchanged(refused, m.route_set, other, [(bed.fake.index, 1)], ipv6=ipv6_of(FAR))
    bed.unchanged(refused, m.addr_set, other, ipv6=ipv6_of(FAR))
    bed.unchanged(refused, m.addr_set, other, ipv6=ipv6_of(ME))
    bed.unchanged(refused, m.route_set, other, [(bed.fake.index, 1)], ipv6=ipv6_of(ME))
    bed.unchanged(refused, m.session_set, **dict(bed.session, peer=FAR, peer_ipv6=ipv6_of(FAR)))
    bed.unchanged(refused, m.session_set, **dict(bed.session, index=80, peer_ipv6=ipv6_of(FAR)))
    bed.unchanged(refused, m.session_set, **dict(bed.session, index=80, local_ipv6=ipv6_of(FAR)))
    bed.unchanged(refused, m.neigh_set, **dict(bed.requests['NEIGH_SET'][1], router=other, index=bed.fake.index))


@test
def not_there():
    """what is not there cannot be deleted or got"""
    bed = Bed()
    nobody = address('nobody')
    gone = (errno.ENOENT, errno.ESRCH)
    bed.unchanged(refused, bed.mesh.route_del, nobody, code=gone)
    bed.unchanged(refused, bed.mesh.route_get, nobody, code=gone)
    bed.unchanged(refused, bed.mesh.addr_del, nobody, code=gone)
    bed.unchanged(refused, bed.mesh.session_del, ME, nobody, code=gone)
    bed.unchanged(refused, bed.mesh.session_del, nobody, PEER, code=gone)
    bed.unchanged(refused, bed.mesh.neigh_del, link=bed.fake.link_index, router=nobody, code=gone)


@test
def unknown_device():
    """every command for an interface that is none, or no mesh device"""
    bed = Bed()
    commands = list(bed.requests) + ['DEV_GET', 'STATS_GET']
    for ifindex, codes in ((0, None), (0x7fffffff, errno.ENODEV), (0xffffffff, None), (bed.fake.link_index, None), (1, None)):
        for name in commands:
            set_name, values, _ = bed.requests.get(name, (None, None, None))
            payload = u32(RATMAN_A_IFINDEX, ifindex) + (encode(set_name, values) if set_name else b'')
            try:
                bed.unchanged(refused, bed.mesh.nl.do, name, payload, code=codes)
            except Failure as e:
                raise Failure('%s for interface %d: %s' % (name, ifindex, e))
    for name in ('LINK_GET', 'NEIGH_GET', 'ROUTE_GET', 'ADDR_GET', 'SESSION_GET'):
        refused(bed.mesh.nl.dump_all, name, u32(RATMAN_A_IFINDEX, 0x7fffffff), code=errno.ENODEV)
        refused(bed.mesh.nl.dump_all, name)


@test
def not_commands():
    """commands that do not exist, and those that are only ever sent by the kernel"""
    bed = Bed()
    for number in (0, RATMAN_CMD_FRAME_RX, RATMAN_CMD_CANDIDATE_NTF, RATMAN_CMD_NEIGH_NTF, RATMAN_CMD_LINK_NTF,
                   RATMAN_CMD_SESSION_WANT, RATMAN_CMD_MAX + 1, 255):
        try:
            bed.mesh.nl.do(number, bed.mesh.head())
        except NetlinkError as e:
            equal(e.errno, errno.EOPNOTSUPP, 'errno')       # genetlink's own answer: no text
        else:
            raise Failure('command %d was taken' % number)


@test
def unknown_attributes():
    """attributes that do not exist are refused, not passed over"""
    bed = Bed()
    for name, (set_name, values, _) in bed.requests.items():
        good = encode(set_name, values)
        for payload in (bed.mesh.head() + good + u32(RATMAN_A_MAX + 1, 0),
                        bed.mesh.head() + nest(NAMES['RATMAN_A_' + set_name], good[4:], u32(200, 1)),
                        bed.mesh.head() + good + b'junk'):
            try:
                bed.unchanged(refused, bed.mesh.nl.do, name, payload)
            except Failure as e:
                raise Failure('%s: %s' % (name, e))


def in_child(f):
    """Runs it in a process of its own; -> what it returned, as text"""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            os.write(writer, str(f()).encode())
        except BaseException as e:
            os.write(writer, ('exception: %r' % e).encode())
        finally:
            os._exit(0)
    os.close(writer)
    result = b''.join(iter(lambda: os.read(reader, 65536), b''))
    os.close(reader)
    os.waitpid(pid, 0)
    return result.decode()


@test
def unprivileged():
    """an ordinary user may do nothing, not even look"""
    bed = Bed()
    before = bed.state()

    def attempt():
        bed.mesh.ns.__enter__()         # and never back: that needs privileges
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        nl = Genl()
        wrong = []
        requests = [(name, encode(*bed.requests[name][:2])) for name in bed.requests]
        for name, payload in requests + [('DEV_GET', b''), ('STATS_GET', b'')]:
            try:
                nl.do(name, bed.mesh.head() + payload)
                wrong.append(name)
            except NetlinkError as e:
                if e.errno != errno.EPERM:
                    wrong.append((name, e.errno))
        for name in ('DEV_GET', 'LINK_GET', 'NEIGH_GET', 'ROUTE_GET', 'ADDR_GET', 'SESSION_GET'):
            try:
                nl.dump_all(name, bed.mesh.head())
                wrong.append(name + ' dump')
            except NetlinkError as e:
                if e.errno != errno.EPERM:
                    wrong.append((name + ' dump', e.errno))
        return wrong
    equal(in_child(attempt), '[]', 'commands that were not refused with EPERM')
    equal(bed.state(), before, 'state')


@test
def user_namespace():
    """in a user and network namespace of one's own everything may be done"""
    def attempt():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        import ctypes
        if ctypes.CDLL(None, use_errno=True).unshare(0x50000000):       # CLONE_NEWUSER | CLONE_NEWNET
            return 'skip: %s' % os.strerror(ctypes.get_errno())
        rt = Rt(None)
        index = rt.add('ratman0', 'ratman')
        nl = Genl()
        head = u32(RATMAN_A_IFINDEX, index)
        nl.do('DEV_SET', head + encode('DEV', dict(router=ME, boot_id=bytes(8), claim=True)))
        nl.do('ADDR_SET', head + encode('ADDR', dict(address=ME, ipv6=ipv6_of(ME))))
        return [a['address'] == ME for a in nl.dump_all('ADDR_GET', head)]
    result = in_child(attempt)
    if result.startswith('skip'):
        raise Skip('no user namespaces: ' + result[6:])
    equal(result, '[True]', 'addresses')


@test
def claim():
    """one daemon at a time; it may claim again; when its socket closes, another may"""
    bed = Bed()
    m = bed.mesh
    check(m.dev_get().get('claim'), 'not claimed')
    second = Genl(m.ns)
    cleanup(second.close)
    claim_ = m.head() + encode('DEV', dict(claim=True))
    error = bed.unchanged(refused, second.do, 'DEV_SET', claim_, code=errno.EBUSY)
    check(error.text, 'no text')
    refused(second.do, 'DEV_SET', m.head() + encode('DEV', dict(router=address('thief'), boot_id=bytes(8), claim=True)),
            code=errno.EBUSY)
    equal(m.dev_get()['router'], m.router, 'router address')
    m.dev_set(claim=True, router=m.router, boot_id=digest('boot', 'again', 8))
    equal(m.dev_get()['boot_id'], digest('boot', 'again', 8), 'boot id')
    m.nl.close()
    m.nl = second
    check(until(lambda: 'claim' not in m.dev_get()), 'still claimed')
    equal(m.dev_get()['router'], m.router, 'router address, kept without a daemon')
    equal(len(m.neighs()), 1, 'neighbours, kept without a daemon')
    second.do('DEV_SET', claim_)
    check(m.dev_get().get('claim'), 'not claimed')


@test
def claim_of_a_killed_daemon():
    """the claim of a process that is killed is free at once"""
    mesh = Mesh(claim=False)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        nl = Genl(mesh.ns)
        nl.do('DEV_SET', mesh.head() + encode('DEV', dict(claim=True, router=ME, boot_id=bytes(8))))
        os.write(writer, b'x')
        time.sleep(600)
        os._exit(0)
    os.read(reader, 1)
    check(mesh.dev_get().get('claim'), 'not claimed')
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    check(until(lambda: 'claim' not in mesh.dev_get()), 'still claimed')
    mesh.dev_set(claim=True)


@test
def keys_stay_inside():
    """no dump, no answer and no event shows a key"""
    bed = Bed()
    m = bed.mesh
    listener = Genl(m.ns)
    cleanup(listener.close)
    listener.subscribe()
    m.neigh_set(**bed.requests['NEIGH_SET'][1])
    m.do('SESSION_SET', 'SESSION', bed.requests['SESSION_SET'][1])
    flags_up(m.outside, 'w0', False)
    m.nl.wait_event('NEIGH_NTF')
    raw = b''
    for command in ('DEV', 'LINK', 'NEIGH', 'ROUTE', 'ADDR', 'SESSION'):
        raw += b''.join(m.nl.dump(m.nl.family, m.nl.head(cmd(command + '_GET')) + m.head()))
    for nl in (listener, m.nl):
        for message in list(nl.unasked) + nl.receive(0.05) + nl.receive(0.05):
            raw += message.payload
    check(len(raw) > 500, 'only %d bytes were read', len(raw))
    for key in KEYS + [bed.fake.key, bed.fake.their_key]:
        check(key[:16] not in raw and key[-8:] not in raw, 'a key can be read')


@test(timeout=120)
def big_dumps():
    """ten thousand routes (fewer on slow kernels): each once in a dump; slow readers, changes meanwhile, two at once"""
    bed = Bed()
    m = bed.mesh
    n = many(10000)
    dests = [digest('dest', i, 32) for i in range(n)]
    payload = [m.head() + encode('ROUTE', dict(dest=d, ipv6=ipv6_of(d), hop=[(bed.fake.index, 1)], cookie=d[:8])) for d in dests]
    head = m.nl.head(cmd('ROUTE_SET'))
    for p in payload:
        m.nl.talk(m.nl.family, 0, head + p)
    equal(m.dev_get()['routes'], n + 2, 'routes of the device')
    routes = m.dump('ROUTE_GET')
    equal(len(routes), n + 2, 'routes dumped')
    got = {r['dest']: r for r in routes}
    equal(set(got), set(dests) | {FAR, PEER}, 'destinations')
    for d in dests[::500]:
        r = got[d]
        equal((r['ipv6'], r['hop'], r['cookie']), (ipv6_of(d), [(bed.fake.index, 1)], d[:8]), 'route')
    # Two readers in turns, and routes that go while they read
    readers = [Genl(m.ns), Genl(m.ns)]
    seen = [[], []]
    seqs = [r.send(r.family, NLM_F_REQUEST | NLM_F_DUMP, r.head(cmd('ROUTE_GET')) + m.head()) for r in readers]
    done, step = [False, False], 0
    doomed = dests[::2]
    while not all(done):
        for k, reader in enumerate(readers):
            if done[k]:
                continue
            for message in reader.receive(5):
                equal(message.seq, seqs[k], 'sequence number')
                if message.type == NLMSG_DONE:
                    done[k] = True
                else:
                    seen[k].append(decode_message(message.payload).values['dest'])
        for d in doomed[step * 200:(step + 1) * 200]:
            m.route_del(d)
        step += 1
    for reader in readers:
        reader.close()
    for d in doomed[step * 200:]:
        m.route_del(d)
    for dumped in seen:
        equal(len(dumped), len(set(dumped)), 'routes dumped, and different ones')
        missing = set(dests[1::2]) - set(dumped)
        equal(len(missing), 0, 'routes that stayed and were not dumped')
    equal(set(m.routes()), set(dests[1::2]) | {FAR, PEER}, 'destinations')
    # a reader that goes away in the middle
    reader = Genl(m.ns)
    reader.send(reader.family, NLM_F_REQUEST | NLM_F_DUMP, reader.head(cmd('ROUTE_GET')) + m.head())
    reader.receive(5)
    reader.close()
    equal(m.dev_get()['routes'], n // 2 + 2, 'routes of the device')


@test
def routes_cap():
    """the cap of the table holds: new routes are refused and counted, known ones still change"""
    bed = Bed()
    m = bed.mesh
    m.dev_set(routes_max=10)
    equal(m.dev_get()['routes_max'], 10, 'routes_max')
    for i in range(8):
        m.route_set(address('cap %d' % i), [(bed.fake.index, 1)])
    with m.counts(route_full=2):
        for i in range(8, 10):
            refused(m.route_set, address('cap %d' % i), [(bed.fake.index, 1)], code=(errno.ENOSPC, errno.ENOBUFS, errno.E2BIG))
    m.route_set(address('cap 1'), [(bed.fake.index, 2)])
    equal(m.route_get(address('cap 1'))['hop'], [(bed.fake.index, 2)], 'hops')
    m.route_del(address('cap 1'))
    m.route_set(address('cap 9'), [(bed.fake.index, 1)])
    equal(m.dev_get()['routes'], 10, 'routes')


@test
def get_one():
    """one route can be got, with its remaining time and its cookie"""
    bed = Bed()
    cookie = bytes(range(32))
    bed.mesh.route_set(FAR, [(bed.fake.index, 65535)], expires_ms=60000, cookie=cookie)
    r = bed.mesh.route_get(FAR)
    equal((r['dest'], r['ipv6'], r['hop'], r['cookie']), (FAR, ipv6_of(FAR), [(bed.fake.index, 65535)], cookie), 'route')
    between(r['expires_ms'], 1, 60000, 'expires_ms')


@test
def dumps_of_the_rest():
    """links, neighbours, addresses and sessions by the hundred are dumped whole"""
    bed = Bed()
    m, f, n = bed.mesh, bed.fake, many(700)
    for i in range(n):
        a = address('many %d' % i)
        m.addr_set(a, policy=i % 3)
        m.route_set(address('peer %d' % i), [(f.index, 1)])
        m.session_set(local=a, peer=address('peer %d' % i), index=1000 + i, peer_index=i, rx_key=KEYS[0], tx_key=KEYS[1])
    for i in range(1, n + 1):
        m.neigh_set(link=f.link_index, lladdr=struct.pack('>HI', 0x0200, i), router=address('router %d' % i), index=4095 - i,
                    peer_index=i, rx_key=KEYS[0][:16], tx_key=KEYS[1][:16])
    equal({a['address']: a['policy'] for a in m.dump('ADDR_GET')},
          {ME: 0} | {address('many %d' % i): i % 3 for i in range(n)}, 'addresses')
    equal(len(m.dump('ADDR_GET')), n + 1, 'addresses')
    sessions = m.dump('SESSION_GET')
    equal(sorted(s['index'] for s in sessions), sorted([77] + list(range(1000, 1000 + n))), 'sessions')
    neighs = m.dump('NEIGH_GET')
    equal(sorted(n['index'] for n in neighs), sorted([f.index] + [4095 - i for i in range(1, n + 1)]), 'neighbours')
    info = m.dev_get()
    equal((info['addrs'], info['sessions'], info['neighs'], info['routes']), (n + 1, n + 1, n + 1, n + 2), 'numbers')


@test
def events_are_public():
    """listeners of the group get neighbour, link and candidate events, but no frames"""
    bed = Bed()
    listener = Genl(bed.mesh.ns)
    cleanup(listener.close)
    listener.subscribe()
    bed.fake.send(CONTROL, b'for the daemon only')
    bed.mesh.nl.wait_event('FRAME_RX')
    flags_up(bed.mesh.outside, 'w0', False)
    names = set()

    def all_here():
        names.update(e.name for e in listener.events(0.02))
        return {'NEIGH_NTF', 'LINK_NTF'} <= names
    check(until(all_here), 'events: %r', names)
    check('FRAME_RX' not in names, 'a frame was shown to everybody')
    # other namespaces hear nothing
    other = Genl(Ns())
    cleanup(other.close)
    other.subscribe()
    flags_up(bed.mesh.outside, 'w0', True)
    listener.wait_event('LINK_NTF', state=RATMAN_LINK_UP)
    equal(other.events(0.05), [], 'events in another namespace')


@test
def policies():
    """the kernel tells its policies: lengths and ranges are what the header says"""
    nl = Genl()
    cleanup(nl.close)
    replies = nl.dump(0x10, struct.pack('=BBxx', 10, 1) + struct.pack('=HHHxx', 6, 1, nl.family))   # CTRL_CMD_GETPOLICY
    check(len(replies) > 20, 'only %d policy entries', len(replies))


# ------------------------------------------------------------ fuzz

def mutate(rng, payload):
    """A random change of a valid request, mostly a small one"""
    b = bytearray(payload)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        kind = rng.randrange(8)
        at = rng.randrange(len(b)) if b else 0
        if not b:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(64)))
        if kind == 0:
            b[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            b[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff))
        elif kind == 2:
            del b[at:]
        elif kind == 3:
            del b[at:at + rng.randrange(1, 9)]
        elif kind == 4:
            b[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 5:                     # an attribute's length or type
            at = at & ~3
            b[at:at + 2] = struct.pack('=H', rng.choice((0, 1, 3, 4, 5, 8, 20, 36, 0x7fff, 0x8000, 0xffff)))
        elif kind == 6:
            at = at & ~3
            b[at + 2:at + 4] = struct.pack('=H', rng.randrange(32) | rng.choice((0, 0, 0x8000, 0x4000)))
        else:                               # twice the same
            b += b[at & ~3:]
    return bytes(b)


def nesting(depth, payload=b''):
    for i in range(depth):
        payload = nest(1 + i % 10, payload)
    return payload


@test(timeout=240)
def fuzz():
    """six thousand mutated requests (fewer on slow kernels): none harms, all refusals of ours have a text, the device works on"""
    bed = Bed()
    m = bed.mesh
    rng = random.Random(0x52415421)
    seeds = [(cmd(name), m.head() + encode(set_name, values)) for name, (set_name, values, _) in bed.requests.items()]
    seeds += [(cmd(name), m.head()) for name in ('DEV_GET', 'STATS_GET', 'LINK_GET', 'NEIGH_GET', 'ROUTE_GET', 'ADDR_GET',
                                                 'SESSION_GET')]
    nl = Genl(m.ns)
    cleanup(nl.close)
    taken, wordless = 0, {}
    for i in range(many(6000)):
        number, payload = rng.choice(seeds)
        payload = mutate(rng, payload)
        if rng.randrange(20) == 0:
            number = rng.randrange(256)
        dump = rng.randrange(6) == 0
        try:
            if dump:
                nl.dump(nl.family, nl.head(number, rng.choice((0, 1, 1, 255))) + payload)
            else:
                nl.talk(nl.family, 0, nl.head(number) + payload)
            taken += 1
        except NetlinkError as e:
            if not e.text and e.errno != errno.EOPNOTSUPP:
                wordless.setdefault((number, e.errno), payload)
        if i % 500 == 0:
            m.stats()
    check(taken > 20, 'only %d were taken: the mutations are too wild', taken)
    check(not wordless, 'refused without a word: %s', sorted(wordless)[:10])
    for i in range(many(3000)):
        payload = bytes(rng.randrange(256) for _ in range(rng.randrange(0, 80)))
        nl.sock.send(struct.pack('=IHHII', 16 + len(payload), nl.family, rng.choice((1, 5, 0x301)), 0, 0) + payload)
        while nl.receive(0):
            pass
    for depth in (1, 5, 50, 500):
        for number in range(1, RATMAN_CMD_FRAME_TX + 1):
            try:
                nl.talk(nl.family, 0, nl.head(number) + m.head() + nesting(depth))
            except NetlinkError:
                pass
    # it still works
    fresh = Bed()
    for name in ('ROUTE_GET', 'DEV_GET'):
        set_name, values, _ = fresh.requests.get(name, (None, None, None))
        fresh.mesh.do(name, set_name, values)
    m.dev_get()
    m.stats()
    for command in ('LINK', 'NEIGH', 'ROUTE', 'ADDR', 'SESSION'):
        m.dump(command + '_GET')


run_tests()
