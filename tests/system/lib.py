# SPDX-License-Identifier: GPL-2.0-or-later
"""What the system tests share: the routers of the guest, their daemons and programs.

Tests here see what a user sees: ratctl, ratcat, ping, curl and the bytes on the links.
KTAP, polling and netlink come from tests/guest/ratman.py. In contrast to the tests there,
the cases of one file share one mesh and run in the order they are written in; a case that
needs an earlier one says so with need().

    scripts/vm --kernel fast --topology line:3 -- tests/system/line3.py
"""

import array
import contextlib
import hashlib
import http.server
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests/guest'))

import ratman                                                           # noqa: E402
from ratman import (SLOW, Failure, Pinger, Skip, check, cleanup, equal, flags_up,     # noqa: E402
                    until)
import frames                                                           # noqa: E402

PROGRAMS = {name: shutil.which(name) or os.path.join(ROOT, 'build', name)
            for name in ('ratmand', 'ratctl', 'ratcat')}
ORCHID = '2001:2'
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
LETTERS = re.compile(r'^([0-9A-F]{4}-){15}[0-9A-F]{4}$')


def need(condition, what):
    """For cases that build on an earlier one: fails at once instead of after a timeout."""
    check(condition, 'an earlier case has failed: %s', what)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def real_file(minimum=8000000, maximum=16000000):
    """A file of the system that nobody made for this test, such as a kernel image."""
    places = ['/boot/vmlinuz-' + os.uname().release]
    places += sorted(os.path.join('/boot', name) for name in os.listdir('/boot') if name.startswith('vmlinuz-'))
    for folder in '/usr/lib/x86_64-linux-gnu', '/usr/bin':
        places += sorted(os.path.join(folder, name) for name in os.listdir(folder))
    for path in places:
        if os.path.isfile(path) and minimum <= os.path.getsize(path) <= maximum:
            return path
    raise Skip('there is no file of %d to %d bytes here' % (minimum, maximum))


class RouterNs(ratman.Ns):
    """The namespace of a router that scripts/vm made; it is not ours to end with a test."""

    def __init__(self, number):
        self.fd = os.open('/run/netns/r%d' % number, os.O_RDONLY)
        self._rt = None
        self._stack = []


class Router:
    """Router N: its namespace, its daemon, and its ratctl and ratcat as its user would type them."""

    def __init__(self, number):
        self.number = number
        self.home = '/run/ratman/r%d' % number
        self.config = self.home + '/ratmand.conf'
        self.log = self.home + '/ratmand.log'
        self.identity = self.home + '/config/ratcat/id'
        self.env = dict(os.environ, HOME=self.home + '/home', XDG_CONFIG_HOME=self.home + '/config',
                        RATMAN_ROUTER=str(number), LC_ALL='C.UTF-8')
        self.address = self.ipv6 = None
        self.child = None
        self.enter()

    def enter(self):
        """Takes hold of the namespace, again when it was made anew"""
        self.ns = RouterNs(self.number)

    def __str__(self):
        return 'r%d' % self.number

    # --- programs

    def run(self, *argv, ok=True, timeout=30, text=True, **kw):
        """A program of this router -> CompletedProcess; a failure of the test when it fails"""
        argv = [PROGRAMS.get(argv[0], argv[0]), *argv[1:]]
        if 'input' not in kw and 'stdin' not in kw:
            kw['stdin'] = subprocess.DEVNULL
        try:
            with self.ns:
                done = subprocess.run(argv, env=self.env, text=text, timeout=timeout * SLOW,
                                      stdout=kw.pop('stdout', subprocess.PIPE),
                                      stderr=kw.pop('stderr', subprocess.PIPE), **kw)
        except subprocess.TimeoutExpired as e:
            raise Failure('%s on %s: no end after %.0f s: %r %r' % (' '.join(argv), self, e.timeout, e.stdout, e.stderr))
        if ok and done.returncode:
            raise Failure('%s on %s: status %d: %s%s' % (' '.join(argv), self, done.returncode,
                                                         done.stdout, done.stderr))
        return done

    def popen(self, *argv, **kw):
        argv = [PROGRAMS.get(argv[0], argv[0]), *argv[1:]]
        kw.setdefault('stdin', subprocess.DEVNULL)
        with self.ns:
            process = subprocess.Popen(argv, env=self.env, **kw)

        def stop():
            if process.poll() is None:
                process.kill()
            process.wait()
        cleanup(stop)
        return process

    def ctl(self, *argv, **kw):
        return self.run('ratctl', *argv, **kw)

    def json(self, *argv):
        """ratctl ARGV --json -> what it says; None while it cannot say anything"""
        done = self.ctl(*argv, '--json', ok=False)
        if done.returncode:
            return None
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failure('ratctl %s --json on %s is no JSON: %r' % (' '.join(argv), self, done.stdout))

    def counters(self):
        rows = self.json('counters', 'list')
        check(rows, 'ratctl counters list on %s gives nothing', self)
        return {row['name']: row['value'] for row in rows}

    # --- addresses, routes

    def address_up(self):
        """Makes an address, announces it, and asks for its two forms"""
        before = {row['addr'] for row in self.json('addr', 'list') or []}
        os.makedirs(os.path.dirname(self.identity), mode=0o700, exist_ok=True)
        self.ctl('-i', self.identity, 'addr', 'create')
        self.ctl('addr', 'up')
        rows = [row for row in self.json('addr', 'list') if row['addr'] not in before]
        equal(len(rows), 1, 'addresses that came with "ratctl addr create"')
        self.address, self.ipv6 = rows[0]['addr'], rows[0]['ipv6']
        check(LETTERS.match(self.address), 'not an address: %s', self.address)
        check(self.ipv6.startswith(ORCHID), 'not in 2001:20::/28: %s', self.ipv6)
        self.raw = bytes.fromhex(self.address.replace('-', ''))
        self.raw_ipv6 = socket.inet_pton(socket.AF_INET6, self.ipv6)
        return self.address

    def route(self, other):
        """The route to another router's address, or None"""
        rows = self.json('route', 'list') or []
        found = [row for row in rows if row['addr'] == other.address and row['next_hops']]
        return found[0] if found else None

    def neighbours(self):
        return [row for row in self.json('neigh', 'list') or [] if row['state'] == 'alive']

    # --- the daemon

    @property
    def pid(self):
        try:
            with open(self.home + '/ratmand.pid') as f:
                return int(f.read())
        except (FileNotFoundError, ValueError):
            return 0

    def alive(self):
        if self.child is not None:
            return self.child.poll() is None
        try:
            with open('/proc/%d/stat' % self.pid) as f:
                return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
        except (FileNotFoundError, ProcessLookupError):
            return False

    def rss(self):
        with open('/proc/%d/status' % self.pid) as f:
            return int(re.search(r'^VmRSS:\s+(\d+) kB', f.read(), re.M).group(1)) << 10

    def stop(self, number=signal.SIGTERM, timeout=15):
        """-> seconds it took to go"""
        check(self.alive(), 'the daemon of %s does not run; the end of its log:\n%s', self, self.log_tail())
        started = time.monotonic()
        os.kill(self.pid, number)
        check(until(lambda: not self.alive(), timeout), 'the daemon of %s does not end on signal %d', self, number)
        if self.child is not None and number == signal.SIGTERM:
            equal(self.child.returncode, 0, 'exit status of the daemon of %s' % self)
        return time.monotonic() - started

    def start(self, wait=True):
        with self.ns, open(self.log, 'ab') as log:
            self.child = subprocess.Popen([PROGRAMS['ratmand'], '-c', self.config], stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, env=self.env, start_new_session=True)
        with open(self.home + '/ratmand.pid', 'w') as f:
            f.write('%d\n' % self.child.pid)
        if wait:
            self.wait_ready()

    def answers(self):
        with self.ns, socket.socket() as s:
            s.settimeout(1 * SLOW)
            return s.connect_ex(('127.0.0.1', 5852)) == 0

    def wait_ready(self):
        check(until(lambda: not self.alive() or self.answers(), 15), 'the daemon of %s does not answer', self)
        check(self.alive(), 'the daemon of %s ended at once; the end of its log:\n%s', self, self.log_tail())

    def log_tail(self, lines=15):
        try:
            with open(self.log, errors='replace') as f:
                return ''.join(f.readlines()[-lines:])
        except FileNotFoundError:
            return '(there is none)'

    # --- links

    def link(self, name, up):
        flags_up(self.ns, name, up)

    def tc(self, *argv):
        """tc qdisc ARGV; the calling case is skipped where the kernel has no such thing"""
        done = self.run('tc', 'qdisc', *argv, ok=False)
        if done.returncode:
            raise Skip('no netem here: ' + done.stderr.strip())


class Mesh:
    """The routers of this guest, by number from 1"""

    def __init__(self):
        count = int(os.environ.get('RATMAN_ROUTERS') or 0)
        if not count:
            print('TAP version 13\n1..0 # SKIP needs scripts/vm --topology')
            sys.exit(ratman.SKIP)
        missing = [path for path in PROGRAMS.values() if not os.access(path, os.X_OK)]
        if missing:
            sys.exit('not built: %s; run make userspace' % ' '.join(missing))
        self.routers = {n: Router(n) for n in range(1, count + 1)}
        self._inbound_open()

    def _inbound_open(self):
        """Ordinary servers are to be reached by strangers, which is not the default."""
        changed = []
        for router in self:
            with open(router.config) as f:
                if re.search(r'^\s*inbound\b', f.read(), re.M):
                    continue
            with open(router.config, 'a') as f:
                f.write('inbound = "open"\n')
            router.stop()
            router.start(wait=False)
            changed.append(router)
        for router in changed:
            router.wait_ready()

    def __getitem__(self, number):
        return self.routers[number]

    def __iter__(self):
        return iter(self.routers.values())

    def __len__(self):
        return len(self.routers)

    def addresses(self, *numbers):
        """Addresses up on these routers (default: all), and routes between all of them"""
        routers = [self[n] for n in numbers] or list(self)
        for router in routers:
            if not router.address:
                router.address_up()
        self.routes(*routers)

    def routes(self, *routers, timeout=30):
        """Waits until each of them has a route to each other -> seconds"""
        started = time.monotonic()
        for a in routers:
            for b in routers:
                if a is not b:
                    check(until(lambda: a.route(b), timeout, 0.1), 'no route from %s to %s', a, b)
        return time.monotonic() - started

    def all_alive(self):
        for router in self:
            check(router.alive(), 'the daemon of %s is gone; the end of its log:\n%s', router, router.log_tail(30))

    def restart_all(self, number=signal.SIGKILL, pause=0.0):
        for router in self:
            os.kill(router.pid, number)
        for router in self:
            check(until(lambda: not router.alive(), 15), 'the daemon of %s does not end', router)
        time.sleep(pause)
        for router in self:
            router.start(wait=False)
        for router in self:
            router.wait_ready()


# ------------------------------------------------------------ traffic

def pinger(a, b):
    return Pinger(a.ns, a.raw_ipv6, b.raw_ipv6)


def reachable(a, b, timeout=20):
    """One ping after another until one is answered -> seconds, or None. The address may be missing
    at first: the daemon puts it on a new device when it has found that."""
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        p = None

        def once():
            nonlocal p
            try:
                if p is None:
                    p = stack.enter_context(pinger(a, b))
                p.send()
            except OSError:
                time.sleep(0.05)        # no address, no route yet
            return p and p.collect(0.2)
        return time.monotonic() - started if until(once, timeout, 0.01) else None


class Ping:
    """ping(8) from one router to another's address, running in the background"""

    def __init__(self, a, b, count, interval=0.01, patience=5):
        self.count = count
        self.process = a.popen('ping', '-n', '-q', '-i', str(interval), '-c', str(count), '-I', a.ipv6,
                               '-W', str(int(patience * SLOW)), b.ipv6,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.limit = count * interval * 3 + patience

    def result(self):
        """-> (sent, received)"""
        try:
            output = self.process.communicate(timeout=self.limit * SLOW + 10)[0]
        except subprocess.TimeoutExpired:
            raise Failure('ping does not end')
        match = re.search(r'(\d+) packets transmitted, (\d+) received', output)
        check(match, 'ping said: %s', output)
        self.output = output
        return int(match.group(1)), int(match.group(2))


class Gaps:
    """A ping every few milliseconds from a thread; knows when answers stayed away.
    A lasting one goes on when the case ends that began it."""

    def __init__(self, a, b, interval=0.02, lasting=False):
        self.p = pinger(a, b)
        self.interval = interval
        self.sent, self.got = {}, {}
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        if not lasting:
            cleanup(self.stop)

    def _run(self):
        due = time.monotonic()
        while not self.stopping or (len(self.got) < len(self.sent) and time.monotonic() < self.end):
            now = time.monotonic()
            if not self.stopping and now >= due:
                try:
                    self.sent[self.p.send()] = now
                except OSError:
                    pass                # an ICMPv6 error came for an earlier one
                due = max(due + self.interval, now)
            try:
                self.p.collect(max(0.001, min(self.interval, due - time.monotonic())))
            except OSError:
                pass
            now = time.monotonic()
            for seq in self.p.seen - self.got.keys():
                self.got[seq] = now

    def stop(self):
        if not self.stopping:
            self.end = time.monotonic() + 1 * SLOW
            self.stopping = True
            self.thread.join()
            self.p.sock.close()

    def gap(self, since):
        """Seconds from a moment to the first of ten answers in a row; None while there are not ten"""
        later = sorted(seq for seq, moment in self.sent.items() if moment >= since)
        run = []
        for seq in later:
            if seq in self.got:
                run.append(seq)
                if len(run) == 10:
                    return max(0.0, self.sent[run[0]] - since)
            else:
                run = []
        return None

    def wait(self, since, timeout=30):
        """-> the gap; a failure when traffic does not come back"""
        gap = until(lambda: (self.gap(since),) if self.gap(since) is not None else None, timeout, 0.05)
        check(gap, 'no traffic for %.0f s', timeout * SLOW)
        return gap[0]


class Web:
    """An ordinary HTTP server of router b, in a thread"""

    def __init__(self, router, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6
            daemon_threads = True

            def server_bind(self):          # without the base class's look-up of a host name
                self.socket.bind(self.server_address)
                self.server_name, self.server_port = self.server_address[0], self.socket.getsockname()[1]

        with router.ns:
            self.server = Server((router.ipv6, 0), Handler)
        self.url = 'http://[%s]:%d/' % (router.ipv6, self.server.server_port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        cleanup(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def fetch(router, web, timeout=60):
    """curl on a router -> body"""
    return router.run('curl', '-sS', '-g', '--fail', '--max-time', str(int(timeout * SLOW)), web.url,
                      text=False, timeout=timeout + 5).stdout


def send(a, b, path, timeout=60):
    """ratcat send of a file -> seconds until the daemon has it"""
    started = time.monotonic()
    with open(path, 'rb') as f:
        a.run('ratcat', '-q', 'send', '-a', b.address, stdin=f, timeout=timeout)
    return time.monotonic() - started


class Receiver:
    """ratcat recv into a file; of streams to a namespace when that is given"""

    def __init__(self, router, path, count=1, space=None):
        self.path = path
        self.router = router
        with open(path, 'wb') as f:
            self.process = router.popen('ratcat', '-q', 'recv', '-c', str(count),
                                        *([space] if space else []), stdout=f,
                                        stderr=subprocess.PIPE, text=True)

    def wait(self, timeout=120):
        """-> SHA-256 of what came"""
        try:
            _, errors = self.process.communicate(timeout=timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise Failure('ratcat recv on %s: only %d bytes after %.0f s; the end of the log:\n%s'
                          % (self.router, os.path.getsize(self.path), timeout * SLOW, self.router.log_tail()))
        equal((self.process.returncode, errors), (0, ''), 'status and errors of ratcat recv')
        return sha256_file(self.path)


def transfer(a, b, path, timeout=120):
    """A file from a to b -> (bytes received are the file's, seconds)"""
    out = '/run/received-%s-%s' % (a, b)
    started = time.monotonic()
    receiver = Receiver(b, out)
    send(a, b, path, timeout)
    digest = receiver.wait(timeout)
    took = time.monotonic() - started
    equal(os.path.getsize(out), os.path.getsize(path), 'bytes received')
    os.unlink(out)
    return digest == sha256_file(path), took


# ------------------------------------------------------------ what travels on a link

class Capture:
    """Every frame on some interfaces of a router, in both directions, from a thread of its own"""

    def __init__(self, router, *names, keep=True):
        self.frames = {name: [] for name in names}
        self.bytes = dict.fromkeys(names, 0)
        self.keep = keep
        self.sockets = {}
        for name in names:
            with router.ns:
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            s.bind((name, ratman.ETH_P_ALL))
            s.setblocking(False)
            self.sockets[s] = name
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        cleanup(self.stop)

    def _run(self):
        while True:
            ready = select.select(list(self.sockets), [], [], 0.05)[0]
            if not ready and self.stopping:
                return
            for s in ready:
                name = self.sockets[s]
                try:
                    for _ in range(64):
                        data = s.recv(1 << 17)
                        self.bytes[name] += len(data)
                        if self.keep:
                            self.frames[name].append(data)
                except BlockingIOError:
                    pass

    def stop(self):
        """-> {interface: [frame]}; a failure when some were missed"""
        if self.stopping:
            return self.frames
        self.stopping = True
        self.thread.join()
        lost = 0
        for s in self.sockets:
            lost += struct.unpack('=II', s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
            s.close()
        check(not lost, 'the capture missed %d frames', lost)
        return self.frames


def leaked(frames_on_link, secret):
    """A piece of at least 16 bytes that a frame has in common with secret, or None.

    Any 16 bytes of the secret hold one whole aligned word of 8, so its words are looked up in
    the frames at every offset, and what fits is then compared in full. Pieces with fewer than
    six different bytes (paddings, tables of zeros) say nothing and do not count.
    """
    def telling(piece):
        return len(set(piece)) >= 6

    whole = secret[:len(secret) & ~7]
    words = set(array.array('Q', whole))
    everything = bytearray()
    for data in frames_on_link:
        everything += data
        everything += b'\xa5' * 16          # no match across two frames
    everything = bytes(everything)
    for offset in range(8):
        end = offset + ((len(everything) - offset) & ~7)
        view = array.array('Q', everything[offset:end])
        for word in words.intersection(view) if len(words) else ():
            pattern = word.to_bytes(8, sys.byteorder)
            at = -1
            tries = 0
            while telling_word(pattern) and (at := everything.find(pattern, at + 1)) >= 0 and tries < 64:
                tries += 1
                start = -1
                places = 0
                while (start := secret.find(pattern, start + 1)) >= 0 and places < 64:
                    places += 1
                    low = high = 0
                    while (low < 16 and start - low > 0 and at - low > 0
                           and secret[start - low - 1] == everything[at - low - 1]):
                        low += 1
                    while (high < 16 and start + 8 + high < len(secret) and at + 8 + high < len(everything)
                           and secret[start + 8 + high] == everything[at + 8 + high]):
                        high += 1
                    piece = secret[start - low:start + 8 + high]
                    if len(piece) >= 16 and telling(piece):
                        return piece
    return None


def telling_word(word):
    return len(set(word)) >= 3


def check_leak_detector():
    """leaked() finds 16 bytes at an odd place, and finds nothing where there is nothing"""
    secret = hashlib.shake_256(b'secret').digest(4096)
    noise = [hashlib.shake_256(b'noise %d' % i).digest(1001) for i in range(20)]
    check(leaked(noise, secret) is None, 'the leak detector sees what is not there')
    for start in range(100, 108):
        for offset in (3, 500):
            frame = noise[7][:offset] + secret[start:start + 16] + noise[7][offset + 16:]
            check(leaked(noise[:7] + [frame] + noise[8:], secret) is not None,
                  'the leak detector misses 16 bytes from %d at %d', start, offset)


def distinct(frames_on_links):
    """The same frames without the bodies that were seen already: a relay changes the hop header only."""
    seen, result = set(), []
    for data in frames_on_links:
        body = data[14 + frames.HOP_LEN:]
        if body in seen:
            data = data[:14 + frames.HOP_LEN]
        else:
            seen.add(body)
        result.append(data)
    return result


def has_bytes(frames_on_link, what):
    return [data for data in frames_on_link if what in data]
