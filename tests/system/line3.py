#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Three routers in a line carry a file and ordinary programs, and the one between learns nothing.

    scripts/vm --topology line:3 -- tests/system/line3.py
"""
import hashlib
import json
import os
import re
import socket
import time

from lib import (
    Capture, Mesh, Ping, Receiver, Web, check_leak_detector, distinct, fetch, frames, has_bytes,
    leaked, need, pinger, reachable, real_file, send, sha256, transfer)
from ratman import Failure, SLOW, check, diag, equal, run_tests, test, until

mesh = Mesh()
r1, r2, r3 = mesh[1], mesh[2], mesh[3]


def ready():
    need(r1.address and r3.address and r1.route(r3) and r3.route(r1), 'there are no addresses with routes')


@test(timeout=60)
def addresses():
    """Addresses on both ends of the line find each other over router 2"""
    mesh.addresses(1, 3)
    equal([n['link'] for n in r1.neighbours()], ['v2'], 'links with neighbours of router 1')
    equal([n['link'] for n in r2.neighbours()], ['v1', 'v3'], 'links with neighbours of router 2')
    route = r1.route(r3)
    equal(route['ipv6'], r3.ipv6, 'IPv6 address in the route')
    check(route['via'].endswith('on v2'), 'the route goes via %s', route['via'])
    # router 2 forwards, and has both
    check(until(lambda: r2.route(r1) and r2.route(r3), 10, 0.1), 'router 2 does not know both')


@test(timeout=60)
def ping():
    """ping6 from router 1 to router 3"""
    ready()
    check(reachable(r1, r3) is not None, 'no answer')
    p = Ping(r1, r3, 20, 0.02)
    equal(p.result(), (20, 20), 'sent and answered')


@test(timeout=60)
def big_packets():
    """Packets up to the MTU go through, longer ones in fragments"""
    ready()
    with pinger(r1, r3) as p:
        for size in 1, 500, 1420 - 48, 3000:
            check(p.once(size), 'no answer to a ping with %d bytes', size)


@test(timeout=60)
def file_one_byte():
    """Streams of 1 byte and of 20 kB arrive as they were sent"""
    ready()
    for n, size in enumerate((1, 1023, 20000)):
        path = '/run/small'
        with open(path, 'wb') as f:
            f.write(os.urandom(size))
        same, took = transfer(r1, r3, path)
        check(same, '%d bytes: the content differs', size)
        diag('%d bytes: %.2f s' % (size, took))


@test(timeout=60)
def back():
    """A stream the other way"""
    ready()
    with open('/run/back', 'wb') as f:
        f.write(os.urandom(100000))
    same, _ = transfer(r3, r1, '/run/back')
    check(same, 'the content differs')


@test(timeout=240)
def secret():
    """A real file, a web page and pings cross router 2, which sees neither content nor sender"""
    ready()
    check_leak_detector()
    path = real_file()
    with open(path, 'rb') as f:
        content = f.read()
    page = b'<html>' + b''.join(b'<p>A line of the page, number %d: %s</p>\n'
                                % (i, hashlib.sha256(b'%d' % i).hexdigest().encode()) for i in range(600))
    capture = Capture(r2, 'v1', 'v3')
    web = Web(r3, page)
    check(fetch(r1, web) == page, 'curl got another page')
    same, took = transfer(r1, r3, path)
    check(same, 'SHA-256 of the file differs')
    equal(Ping(r1, r3, 10, 0.02).result(), (10, 10), 'pings')
    got = capture.stop()
    diag('%s, %d bytes, in %.1f s: %.1f MB/s' % (path, len(content), took, len(content) / took / 1e6))
    for name in 'v1', 'v3':
        total = sum(len(data) for data in got[name])
        check(total > len(content) + len(page), 'the capture on %s has only %d bytes', name, total)
        for data in got[name]:
            equal(data[12:14], b'\x88\xb5', 'ethertype on ' + name)
    everything = got['v1'] + got['v3']
    # the detector on real frames: the receiver's address has to be there
    check(has_bytes(got['v1'], r3.raw) and has_bytes(got['v3'], r3.raw), 'the capture does not show the destination')
    toward_3 = [data for data in everything if r3.raw in data[34:66]]
    check(len(toward_3) > 5000, 'only %d frames towards router 3', len(toward_3))
    for what, value in (('address', r1.raw), ('IPv6 address', r1.raw_ipv6)):
        check(not has_bytes(toward_3, value), 'a frame to router 3 shows the sender\'s %s', what)
    # The sender's address is a destination, too (answers), and announced; nowhere else may it be.
    kinds = {data[14] & 15 for data in has_bytes(everything, r1.raw)}
    check(kinds <= {frames.DATA, frames.HANDSHAKE, frames.CONTROL}, 'types of frames with the sender\'s address: %r', kinds)
    for data in has_bytes(everything, r1.raw):
        if data[14] & 15 in (frames.DATA, frames.HANDSHAKE):
            check(data[34:66] == r1.raw and r1.raw not in data[66:], 'the sender\'s address inside a frame')
    check(not has_bytes(everything, r1.raw_ipv6), 'the sender\'s IPv6 address is on the link')
    piece = leaked(distinct(everything), content + page)
    check(piece is None, 'on the link in clear: %r', piece)


@test(timeout=60)
def once():
    """What was delivered is not delivered again"""
    ready()
    path = '/run/again'
    Receiver(r3, path)
    time.sleep(2 * min(SLOW, 5))
    equal(os.path.getsize(path), 0, 'bytes delivered a second time')


@test(timeout=60)
def waiting():
    """A stream waits for its reader, and several come in order"""
    ready()
    sent = []
    for n in range(3):
        with open('/run/queue%d' % n, 'wb') as f:
            f.write(b'stream %d\n' % n * (n * 5000 + 1))
        send(r1, r3, '/run/queue%d' % n)
        sent.append(open('/run/queue%d' % n, 'rb').read())
    got = Receiver(r3, '/run/queue', count=3)
    got.wait()
    with open('/run/queue', 'rb') as f:
        equal(sha256(f.read()), sha256(b''.join(sent)), 'SHA-256 of three streams')


@test(timeout=60)
def lists():
    """ratctl shows status, links, neighbours, routes, peers, sessions and counters"""
    ready()
    status = r1.json('status')
    equal({k: status[k] for k in ('mesh', 'device', 'daemon_attached', 'num_links', 'num_neighbours', 'num_local',
                                  'num_auth') if k in status},
          {k: v for k, v in dict(mesh='on', device='ratman0', daemon_attached=True, num_links=1, num_neighbours=1,
                                 num_local=1, num_auth=1).items() if k in status}, 'status of router 1')
    check(status['num_routes'] >= 1 and status['num_sessions'] >= 1 and status['num_peers'] >= 1,
          'status of router 1: %r', status)
    links = r2.json('link', 'list')
    equal([(row['link'], row['state'], row['mtu'], row['neighbours']) for row in links],
          [('v1', 'up', 1500, 1), ('v3', 'up', 1500, 1)], 'links of router 2')
    check(all(row['rx_bytes'] > 1000 and row['tx_bytes'] > 1000 for row in links), 'links of router 2: %r', links)
    routers = {r.number: r.json('status')['router'] for r in mesh}
    equal(len(set(routers.values())), 3, 'different router addresses')
    neighbours = r2.json('neigh', 'list')
    equal([(n['link'], n['router'], n['state']) for n in neighbours],
          [('v1', routers[1], 'alive'), ('v3', routers[3], 'alive')], 'neighbours of router 2')
    check(all(0 < n['rtt_ms'] < 1000 * SLOW and n['loss_percent'] < 50 for n in neighbours),
          'round trips and losses: %r', neighbours)
    peers = r1.json('peers', 'list')
    equal([p['addr'] for p in peers], [r3.address], 'peers of router 1')
    check(peers[0]['active'] and re.match(r'20\d\d-\d\d-\d\dT.*Z$', peers[0]['last_connection']), 'peer: %r', peers[0])
    sessions = r1.json('session', 'list')
    equal([(s['local'], s['peer']) for s in sessions], [(r1.address, r3.address)], 'sessions of router 1')
    check(sessions[0]['tx_bytes'] > 1000 and sessions[0]['rx_bytes'] > 1000, 'session: %r', sessions)
    equal(r2.json('session', 'list'), [], 'sessions of the router between')
    counters = r2.counters()
    check(counters['fwd_frames'] > 100, 'router 2 has forwarded %d frames', counters['fwd_frames'])
    equal((counters['rx_bad_tag'], counters['rx_replay'], counters['rx_short']), (0, 0, 0), 'bad frames')


@test(timeout=60)
def tables():
    """The same lists for people: a header, a line for each row, names instead of numbers"""
    ready()
    for words, header, rows in ((('link', 'list'), 'LINK', 2), (('neigh', 'list'), 'ROUTER', 2),
                                (('route', 'list'), 'ADDRESS', 2), (('session', 'list'), 'LOCAL', 0)):
        lines = r2.ctl(*words).stdout.splitlines()
        check(lines and lines[0].startswith(header), 'ratctl %s: %r', ' '.join(words), lines)
        check(len(lines) - 1 >= rows, 'ratctl %s: %r', ' '.join(words), lines)
    text = r1.ctl('addr', 'list').stdout
    check(r1.address in text and r1.ipv6 in text, 'ratctl addr list: %r', text)
    text = r1.ctl('status').stdout
    check('on' in text and 'ratman0' in text, 'ratctl status: %r', text)
    text = r1.ctl('route', 'list').stdout
    check(' on v2' in text, 'ratctl route list: %r', text)
    check('fwd_frames' in r2.ctl('counters', 'list').stdout, 'ratctl counters list')
    equal(r1.ctl('idpath').stdout.strip(), r1.identity, 'ratctl idpath')


@test(timeout=60)
def mistakes():
    """Mistakes get an answer that says what to do, and the right status"""
    ready()

    def wrong(status, word, *argv, **kw):
        done = r1.ctl(*argv, ok=False, **kw)
        equal(done.returncode, status, 'status of ratctl ' + ' '.join(argv))
        check(word in done.stderr, 'ratctl %s says: %r, not %r', ' '.join(argv), done.stderr, word)
        equal(done.stdout, '', 'stdout of ratctl ' + ' '.join(argv))

    wrong(1, "did you mean 'neigh'", 'neihg', 'list')
    wrong(1, 'did you mean', 'route', 'lsit')
    wrong(1, 'ratctl --help', 'xyzzy')
    wrong(1, 'no interface', 'link', 'add', 'nothing0')
    wrong(1, 'holds an identity already', '-i', r1.identity, 'addr', 'create')
    wrong(1, '--force', 'addr', 'destroy')
    wrong(3, 'Is it running', '-b', '127.0.0.1:5999', 'status')
    done = r1.ctl('-b', '127.0.0.1:5999', 'status', '--json', ok=False)
    equal(done.returncode, 3, 'status without a daemon')
    check(json.loads(done.stdout)['error']['code'], 'no error in JSON: %r', done.stdout)
    done = r1.run('ratcat', 'send', '-a', 'nonsense', ok=False)
    equal(done.returncode, 1, 'status of ratcat send to nonsense')
    check(done.stderr, 'ratcat says nothing about a wrong address')
    done = r1.run('ratcat', '-b', '127.0.0.1:5999', 'send', '-a', r3.address, ok=False)
    equal(done.returncode, 3, 'status of ratcat without a daemon: %r' % done.stderr)


@test(timeout=60)
def unreachable():
    """Packets to an address that is nowhere get an ICMPv6 error, not silence"""
    ready()
    before = r1.counters()['tx_no_route']
    with r1.ns:
        s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.settimeout(10 * SLOW)
    s.bind((r1.ipv6, 0))
    started = time.monotonic()
    try:
        s.connect(('2001:20::dead:beef', 80))
        raise Failure('connected to nobody')
    except OSError as e:
        took = time.monotonic() - started
        check(not isinstance(e, TimeoutError), 'no error within %.0f s', took)
    finally:
        s.close()
    check(r1.counters()['tx_no_route'] > before, 'tx_no_route does not count')


@test(timeout=60)
def link_by_hand():
    """A link is taken away and made again by the daemon"""
    ready()
    links = r1.json('link', 'list')
    for verb, wanted in (('del', []), ('add', [row['link'] for row in links])):
        done = r1.ctl('-b', r1.home + '/api.sock', 'link', verb, 'v2')
        # There is a sentence when the kernel was asked instead.
        equal((done.stdout, done.stderr), ('ok\n', ''), 'ratctl link ' + verb)
        equal([row['link'] for row in r1.json('link', 'list')], wanted, 'links after link ' + verb)
    mesh.routes(r1, r3)
    mesh.all_alive()


@test(timeout=60)
def leave():
    """An address that goes down disappears at the other end, and comes back"""
    ready()
    r1.ctl('addr', 'down')
    check(until(lambda: not r3.route(r1), 15, 0.1), 'router 3 keeps its route to an address that is down')
    check(reachable(r3, r1, 1) is None, 'an address that is down answers')
    r1.ctl('addr', 'up')
    mesh.routes(r1, r3)
    check(reachable(r3, r1) is not None, 'no answer after the address came back')
    mesh.all_alive()


run_tests()
