#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The mesh device and its links, as ip(8) and ethtool see them."""

import array
import errno
import fcntl
import socket
import struct

from ratman import (
    Failure, Genl, IFF_UP, Mesh, Net, NetlinkError, Ns, Peer, Skip, Wire, address, bench, check,
    cleanup, equal, flags_up, ipv6_of, many, modprobe, nest, refused, run_tests, string, test,
    text, u32, until)
from ratman import frames
from uapi import RATMAN_A_IFINDEX, RATMAN_LINK_DOWN, RATMAN_LINK_REMOVED, RATMAN_LINK_UP

ARPHRD_NONE = 0xfffe
IFF_NOARP, IFF_BROADCAST, IFF_MULTICAST = 0x80, 0x2, 0x1000
OVERHEAD = 80


def with_dummies(*names, mtu=None):
    ns = Ns()
    for name in names:
        ns.rt.add(name, 'dummy', up=True)
        if mtu:
            ns.rt.link_set(name, mtu=mtu)
    return ns


@test
def create():
    """a device is made, is what it should be, and goes"""
    ns = Ns()
    index = ns.rt.add('ratman0', 'ratman')
    link = ns.rt.get('ratman0')
    equal(link.kind, 'ratman', 'kind')
    equal(link.type, ARPHRD_NONE, 'hardware type')
    equal(link.address, b'', 'hardware address')
    check(link.flags & IFF_NOARP, 'no IFF_NOARP')
    check(not link.flags & IFF_BROADCAST, 'IFF_BROADCAST')
    check(not link.flags & IFF_UP, 'it is up from the start')
    equal(link.mtu, 1420, 'MTU')
    nl = Genl(ns)
    equal([(d['device'], d['name']) for d in nl.dump_all('DEV_GET')], [(index, 'ratman0')], 'devices')
    ns.rt.delete('ratman0')
    check(not ns.rt.exists('ratman0'), 'it is still there')
    equal(nl.dump_all('DEV_GET'), [], 'devices')
    nl.close()


@test
def rename():
    """renamed with links, and renamed links, keep working"""
    mesh, (wire,) = bench()
    mesh.ns.rt.link_set('ratman0', up=False)
    mesh.ns.rt.link_set('ratman0', new_name='mesh-a')
    mesh.ns.rt.link_set('mesh-a', up=True)
    equal(mesh.dev_get()['name'], 'mesh-a', 'name of the device')
    mesh.ns.rt.link_set('l0', up=False)
    mesh.ns.rt.link_set('l0', new_name='uplink')
    mesh.ns.rt.link_set('uplink', up=True)
    equal([link['name'] for link in mesh.dump('LINK_GET')], ['uplink'], 'links')
    fake = mesh.add_fake(wire, 'uplink')
    with mesh.counts(rx_bad_tag=1):
        fake.send(frames.CONTROL, b'x', tag=b'\1' * 8)


@test
def addresses_are_not_made():
    """the device gives itself no IPv6 address"""
    mesh, _ = bench()
    with mesh.ns, open('/proc/net/if_inet6') as f:
        equal([line for line in f if line.split()[-1] == 'ratman0'], [], 'addresses')


@test
def mtu_follows_links():
    """the MTU follows the smallest link, and a chosen one is kept"""
    ns = with_dummies('d0', 'd1')
    mesh = Mesh(ns)
    mesh.enslave('d0')
    equal(ns.rt.get('ratman0').mtu, 1500 - OVERHEAD, 'MTU with a link of 1500')
    ns.rt.link_set('d1', mtu=1400)
    mesh.enslave('d1')
    equal(ns.rt.get('ratman0').mtu, 1400 - OVERHEAD, 'MTU with links of 1500 and 1400')
    ns.rt.link_set('d1', mtu=1450)
    equal(ns.rt.get('ratman0').mtu, 1450 - OVERHEAD, 'MTU after the link grew to 1450')
    ns.rt.link_set('d1', master=0)
    equal(ns.rt.get('ratman0').mtu, 1500 - OVERHEAD, 'MTU after that link left')
    ns.rt.link_set('ratman0', mtu=1300)
    mesh.enslave('d1')
    equal(ns.rt.get('ratman0').mtu, 1300, 'a chosen MTU after a link came')
    ns.rt.link_set('d1', master=0)
    equal(ns.rt.get('ratman0').mtu, 1300, 'a chosen MTU after a link left')


@test
def mtu_limits():
    """MTUs out of range are refused"""
    ns = with_dummies('d0')
    mesh = Mesh(ns)
    mesh.enslave('d0')
    refused(ns.rt.link_set, 'ratman0', mtu=1279, code=errno.EINVAL)
    refused(ns.rt.link_set, 'ratman0', mtu=0, code=errno.EINVAL)
    refused(ns.rt.link_set, 'ratman0', mtu=66000, code=errno.EINVAL)
    equal(ns.rt.get('ratman0').mtu, 1420, 'MTU')
    ns.rt.link_set('ratman0', mtu=1280)
    equal(ns.rt.get('ratman0').mtu, 1280, 'MTU')


@test
def small_links():
    """a link too small for IPv6 is refused; one that shrinks below keeps the MTU at 1280, and loses with a count"""
    ns = with_dummies('d0')
    mesh = Mesh(ns)
    ns.rt.link_set('d0', mtu=1280 + OVERHEAD - 1)
    refused(mesh.enslave, 'd0', word='mtu')
    equal(ns.rt.get('d0').master, 0, 'master')
    ns.rt.link_set('d0', mtu=1280 + OVERHEAD)
    mesh.enslave('d0')
    equal(ns.rt.get('ratman0').mtu, 1280, 'MTU')
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0')
    mesh.use(address('me'))
    peer = Peer(mesh, address('me'), 'p', install=False)
    mesh.route_set(peer.addr, [(fake.index, 1)])
    peer.install()
    fake.expect(frames.DATA)
    mesh.ns.rt.link_set('l0', mtu=1000)
    equal(mesh.ns.rt.get('ratman0').mtu, 1280, 'MTU')
    s = mesh.ns.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0)
    s.bind((text(ipv6_of(address('me'))), 0))
    with mesh.counts(tx_too_big=1, tx_packets=1):
        s.sendto(bytes(1000 - OVERHEAD - 48), (text(peer.ipv6), 9))
        s.sendto(bytes(1000 - OVERHEAD - 47), (text(peer.ipv6), 9))
    # less than our headers alone take
    mesh.ns.rt.link_set('l0', mtu=68)
    equal(mesh.ns.rt.get('ratman0').mtu, 1280, 'MTU with a link of 68')
    mesh.ns.rt.link_set('l0', mtu=1500)
    equal(mesh.ns.rt.get('ratman0').mtu, 1420, 'MTU')


@test
def refuse_loopback():
    """the loopback device is refused"""
    mesh = Mesh()
    refused(mesh.enslave, 'lo', word='ethernet')


@test
def refuse_nested():
    """ratman on ratman is refused, directly and with something between"""
    ns = with_dummies('d0')
    mesh = Mesh(ns)
    Mesh(ns, name='ratman1')
    refused(mesh.enslave, 'ratman1', word='mesh')
    refused(mesh.enslave, 'ratman0', code=(errno.ELOOP, errno.EINVAL, errno.EBUSY, errno.EOPNOTSUPP))
    equal(ns.rt.get('ratman1').master, 0, 'master')


@test
def refuse_no_ethernet():
    """devices without Ethernet headers are refused"""
    ns = Ns()
    mesh = Mesh(ns)
    modprobe('wireguard', 'tun')
    try:
        ns.rt.add('wg0', 'wireguard', up=True)
    except NetlinkError:
        raise Skip('no device without Ethernet here')
    refused(mesh.enslave, 'wg0', word='ethernet')


@test
def refuse_bridge_port():
    """a device that has a master already is refused, and a link cannot become a bridge port"""
    ns = with_dummies('d0', 'd1')
    mesh = Mesh(ns)
    modprobe('bridge')
    try:
        ns.rt.add('br0', 'bridge', up=True)
    except NetlinkError:
        raise Skip('no bridge here')
    ns.rt.link_set('d0', master='br0')
    mesh.enslave('d1')
    try:
        ns.rt.link_set('d1', master='br0')
    except NetlinkError:
        pass
    master = ns.rt.get('d1').master
    links = [link['name'] for link in mesh.dump('LINK_GET')]
    equal('d1' in links, master == mesh.index, 'd1 is a link, and its master is ratman0')
    ns.rt.delete('br0')
    equal(len(mesh.dump('LINK_GET')) > 0, master == mesh.index, 'links after the bridge went')


@test
def refuse_taken():
    """a device whose frames are taken by a handler of another kind is refused"""
    ns = with_dummies('d0')
    mesh = Mesh(ns)
    modprobe('macvlan')
    try:
        ns.rt.talk(16, 0x600, struct.pack('=BxHiII', 0, 0, 0, 0, 0) + string(3, 'mv0') +
                   u32(5, ns.rt.index('d0')) + nest(18, string(1, 'macvlan')))
    except NetlinkError:
        raise Skip('no macvlan here')
    refused(mesh.enslave, 'd0', code=(errno.EBUSY, errno.EINVAL))
    equal(mesh.dump('LINK_GET'), [], 'links')


@test
def leave_for_other_netns():
    """a link that moves to another namespace leaves the mesh"""
    mesh, (wire,) = bench()
    events = Genl(mesh.ns)
    cleanup(events.close)
    events.subscribe()
    other = Ns()
    mesh.ns.rt.link_set('l0', ns=other)
    equal(mesh.dump('LINK_GET'), [], 'links')
    event = events.wait_event('LINK_NTF', state=RATMAN_LINK_REMOVED)
    equal(event.ifindex, mesh.index, 'device')
    equal(other.rt.get('l0').master, 0, 'master')


@test
def device_netns():
    """the device itself cannot be moved away from its links"""
    mesh, _ = bench()
    other = Ns()
    try:
        mesh.ns.rt.link_set('ratman0', ns=other)
    except NetlinkError:
        equal(len(mesh.dump('LINK_GET')), 1, 'links')
        return
    raise Failure('ratman0 moved to another namespace with its link left behind')


@test
def other_netns_is_another_world():
    """a request from another namespace does not find the device"""
    mesh = Mesh()
    other = Ns()
    nl = Genl(other)
    cleanup(nl.close)
    refused(nl.do, 'DEV_GET', mesh.head(), code=errno.ENODEV)
    equal(nl.dump_all('DEV_GET'), [], 'devices')


@test
def not_a_ratman():
    """a request for a device of another kind is refused"""
    ns = with_dummies('d0')
    nl = Genl(ns)
    cleanup(nl.close)
    refused(nl.do, 'DEV_GET', u32(RATMAN_A_IFINDEX, ns.rt.index('d0')))


@test
def several_devices():
    """two devices in a namespace keep their links, neighbours and counters apart"""
    ns, outside = Ns(), Ns()
    ns.rt.veth('l0', 'w0', outside)
    ns.rt.veth('l1', 'w1', outside)
    a, b = Mesh(ns, links=['l0']), Mesh(ns, name='ratman1', links=['l1'])
    wires = Wire(outside, 'w0'), Wire(outside, 'w1')
    equal([link['name'] for link in a.dump('LINK_GET')], ['l0'], 'links of the first')
    equal([link['name'] for link in b.dump('LINK_GET')], ['l1'], 'links of the second')
    fake = a.add_fake(wires[0], 'l0')
    equal(len(a.neighs()), 1, 'neighbours of the first')
    equal(len(b.neighs()), 0, 'neighbours of the second')
    with b.counts():
        with a.counts(rx_bad_tag=3):
            for _ in range(3):
                fake.send(frames.CONTROL, b'x', tag=b'\1' * 8)
    refused(b.neigh_set, link=a.link_index('l0'), lladdr=fake.mac, router=fake.router, index=9, peer_index=9,
            rx_key=bytes(16), tx_key=bytes(16))
    equal({d['name'] for d in a.nl.dump_all('DEV_GET')}, {'ratman0', 'ratman1'}, 'devices')
    ns.rt.delete('ratman1')
    equal(len(a.neighs()), 1, 'neighbours of the first')


@test
def same_names_in_namespaces():
    """thirty namespaces (fewer on slow kernels) with a ratman0 each; each sees its own only"""
    all_ns = [Ns() for _ in range(many(30))]
    meshes = [Mesh(ns, router=address('router %d' % i)) for i, ns in enumerate(all_ns)]
    for i, mesh in enumerate(meshes):
        devices = mesh.nl.dump_all('DEV_GET')
        equal([(d['name'], d['router']) for d in devices], [('ratman0', address('router %d' % i))], 'devices')


@test
def link_counters():
    """frames and bytes of a link are counted to the byte, in both directions"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0', keep=False)

    def link():
        return mesh.dump('LINK_GET')[0]

    def together():
        """The link's counters and the device's of one moment: it speaks by itself, too"""
        while True:
            first, counters, last = mesh.stats(), link(), mesh.stats()
            if first == last:
                return counters, last

    before = link()
    sizes = [1, 100, 1000, 1400]
    for size in sizes:
        fake.send(frames.CONTROL, bytes(size))
    want = sum(20 + size for size in sizes)
    check(until(lambda: link()['rx_frames'] - before['rx_frames'] == 4), 'rx_frames moved by %d',
          link()['rx_frames'] - before['rx_frames'])
    equal(link()['rx_bytes'] - before['rx_bytes'], want, 'rx_bytes')
    before, stats = together()
    for size in sizes:
        mesh.frame_tx(type=frames.CONTROL, neigh=fake.index, body=bytes(size))
    after, last = together()
    echoes, hellos = (last[name] - stats[name] for name in ('tx_echo', 'tx_hello'))
    equal(after['tx_frames'] - before['tx_frames'], 4 + echoes + hellos, 'tx_frames')
    equal(after['tx_bytes'] - before['tx_bytes'], want + echoes * 60 + hellos * 68, 'tx_bytes')


@test
def packet_counters():
    """ip -s link counts what programs send and receive, in packets and inner bytes"""
    net = Net(2)
    a = net.mesh[0].ns.rt
    check(net.ping(0, 1), 'no ping')
    before = a.get('ratman0').stats
    for _ in range(10):
        check(net.ping(0, 1, size=100), 'no ping')
    after = a.get('ratman0').stats
    moved = {k: after[k] - before[k] for k in after if after[k] != before[k]}
    equal(moved, dict(tx_packets=10, rx_packets=10, tx_bytes=1480, rx_bytes=1480), 'counters')


@test
def carrier():
    """the device's links show their state, and tell when it changes"""
    mesh, (wire,) = bench()
    events = Genl(mesh.ns)
    cleanup(events.close)
    events.subscribe()
    equal(mesh.dump('LINK_GET')[0]['state'], RATMAN_LINK_UP, 'state')
    flags_up(mesh.outside, 'w0', False)
    event = events.wait_event('LINK_NTF', state=RATMAN_LINK_DOWN)
    equal(event.values['name'], 'l0', 'link')
    equal(mesh.dump('LINK_GET')[0]['state'], RATMAN_LINK_DOWN, 'state without carrier')
    flags_up(mesh.outside, 'w0', True)
    events.wait_event('LINK_NTF', state=RATMAN_LINK_UP)
    flags_up(mesh.ns, 'l0', False)
    events.wait_event('LINK_NTF', state=RATMAN_LINK_DOWN)
    equal(mesh.dump('LINK_GET')[0]['state'], RATMAN_LINK_DOWN, 'state when down')
    flags_up(mesh.ns, 'l0', True)
    events.wait_event('LINK_NTF', state=RATMAN_LINK_UP)
    mesh.ns.rt.link_set('l0', mtu=1444)
    event = events.wait_event('LINK_NTF', mtu=1444)
    equal(event.values['state'], RATMAN_LINK_UP, 'state')
    mesh.ns.rt.link_set('l0', master=0)
    events.wait_event('LINK_NTF', state=RATMAN_LINK_REMOVED)
    mesh.enslave('l0')
    event = events.wait_event('LINK_NTF', state=RATMAN_LINK_UP)
    equal(event.values['ifindex'], mesh.link_index('l0'), 'link')


def ethtool(ns, name, command, size, head=b''):
    data = array.array('B', struct.pack('=I', command) + head + bytes(size))
    where, _ = data.buffer_info()
    s = ns.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0)
    fcntl.ioctl(s, 0x8946, struct.pack('16sP16x', name.encode(), where))
    return data.tobytes()


@test
def ethtool_stats():
    """ethtool -S shows the same counters as netlink, and -i the driver"""
    mesh, (wire,) = bench()
    fake = mesh.add_fake(wire, 'l0')
    with mesh.counts(rx_bad_tag=2):
        for _ in range(2):
            fake.send(frames.CONTROL, b'x', tag=b'\1' * 8)
    info = ethtool(mesh.ns, 'ratman0', 3, 192)                  # ETHTOOL_GDRVINFO
    equal(info[4:36].rstrip(b'\0'), b'ratman', 'driver')
    sset = ethtool(mesh.ns, 'ratman0', 0x37, 64, struct.pack('=IQ', 0, 1 << 1))     # GSSET_INFO, ETH_SS_STATS
    n = struct.unpack_from('=I', sset, 16)[0]
    check(0 < n < 500, '%d counters', n)
    raw = ethtool(mesh.ns, 'ratman0', 0x1b, 32 * n, struct.pack('=II', 1, n))       # GSTRINGS
    names = [raw[12 + 32 * i:44 + 32 * i].rstrip(b'\0').decode() for i in range(n)]
    raw = ethtool(mesh.ns, 'ratman0', 0x1d, 8 * n, struct.pack('=I', n))            # GSTATS
    values = dict(zip(names, struct.unpack_from('=%dQ' % n, raw, 8)))
    stats = mesh.stats()
    equal(set(values), set(stats), 'names')
    equal(values['rx_bad_tag'], stats['rx_bad_tag'], 'rx_bad_tag')
    check(values['rx_bad_tag'] >= 2, 'rx_bad_tag is %d', values['rx_bad_tag'])


run_tests()
