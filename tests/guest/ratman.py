# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest tests share: KTAP, network namespaces, netlink, wires and hand-set routers.

Only the standard library, no daemon, no shell: a namespace is an open file, so
everything a test makes is gone when its process ends, however it ends.
"""

import atexit
import collections
import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback

import frames
import uapi
from frames import address, digest, ipv6_of
from uapi import NAMES

SKIP = 4            # kselftest's exit status
M32 = 0xffffffff


# ------------------------------------------------------------ how slow is this kernel?

def _measure():
    """How many times slower than a quiet native machine (or User Mode Linux without KASAN)."""
    def loop(n, f, nominal):
        best = min(_timed(f, n) for _ in range(3))
        return best / (n * nominal)

    cpu = loop(20000, lambda: sum((1, 2, 3)), 120e-9)
    call = loop(300, lambda: os.stat('/proc/self/ns/net'), 9e-6)
    factor = max(1.0, cpu, call)
    if os.path.exists('/sys/kernel/debug/kmemleak') or 'debug' in platform.release():
        factor = max(factor, 4.0)
    return min(factor, 30.0)


def _timed(f, n):
    t = time.perf_counter()
    for _ in range(n):
        f()
    return time.perf_counter() - t


SLOW = float(os.environ.get('RATMAN_SLOW') or _measure())
os.environ['RATMAN_SLOW'] = '%.2f' % SLOW       # what we start measures no second time


def until(condition, timeout=5.0, step=0.01):
    """Polls; -> the first true value, or the last one when the (scaled) time is over."""
    end = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def many(n):
    """That many of something costly, fewer on a slow kernel"""
    return n if SLOW < 4 else max(n // 6, 1)


# ------------------------------------------------------------ KTAP

class Skip(Exception):
    pass


class Failure(AssertionError):
    pass


def check(condition, text, *args):
    if not condition:
        raise Failure(text % args if args else text)


def equal(got, want, text='value'):
    if got != want:
        raise Failure('%s: got %r, want %r' % (text, got, want))


def between(value, low, high, text='value'):
    if not low <= value <= high:
        raise Failure('%s: %r is not in %r to %r' % (text, value, low, high))


_tests = []
_cleanups = []


def test(arg=None, timeout=60):
    """Marks a test; its name is the first line of its docstring, its id the function's name."""
    def mark(f):
        _tests.append((f.__name__, (f.__doc__ or f.__name__).strip().splitlines()[0].rstrip('.'), f, timeout))
        return f
    return mark(arg) if callable(arg) else mark


def cleanup(f, *args):
    """Called when the current test ends, last one first."""
    _cleanups.append(functools.partial(f, *args))


def clean_up():
    """What was made since the last time goes; a test with many rounds calls it itself."""
    problem = None
    if Keeper.current:
        Keeper.current.stop()           # before its sockets go
    while _cleanups:
        try:
            _cleanups.pop()()
        except Exception as e:
            problem = problem or e
    if problem:
        raise problem


def diag(text):
    for line in str(text).splitlines():
        print('# ' + line)


def _on_alarm(_signal, _frame):
    raise Failure('took too long')


def run_tests():
    """Runs the tests of the calling file: all, or those named on the command line."""
    chosen = [t for t in _tests if len(sys.argv) < 2 or t[0] in sys.argv[1:]]
    unknown = set(sys.argv[1:]) - {t[0] for t in _tests}
    if unknown:
        sys.exit('no such test: %s; there are: %s' % (' '.join(sorted(unknown)), ' '.join(t[0] for t in _tests)))
    print('TAP version 13', flush=True)
    reason = missing()
    if reason:
        print('1..0 # SKIP ' + reason)
        sys.exit(SKIP)
    frames.selfcheck()
    print('1..%d' % len(chosen), flush=True)
    signal.signal(signal.SIGALRM, _on_alarm)
    failed = skipped = 0
    for number, (name, title, f, timeout) in enumerate(chosen, 1):
        started = time.monotonic()
        result, note = 'ok', ''
        signal.alarm(int(timeout * SLOW) + 1)
        try:
            try:
                f()
            finally:
                signal.alarm(0)
                clean_up()
        except Skip as e:
            skipped += 1
            note = ' # SKIP %s' % e
        except Exception as e:
            failed += 1
            result = 'not ok'
            if isinstance(e, Failure):
                where = [t for t in traceback.extract_tb(e.__traceback__)
                         if os.path.basename(t.filename) == os.path.basename(sys.argv[0])]
                diag('line %d: %s' % (where[-1].lineno if where else 0, e))
            else:
                diag(traceback.format_exc())
        print('%s %d %s: %s%s' % (result, number, name, title, note), flush=True)
        if os.environ.get('RATMAN_TIMES'):
            diag('%.2f s' % (time.monotonic() - started))
    print('# Totals: pass:%d fail:%d xfail:0 xpass:0 skip:%d error:0'
          % (len(chosen) - failed - skipped, failed, skipped), flush=True)
    sys.exit(1 if failed else SKIP if chosen and skipped == len(chosen) else 0)


# ------------------------------------------------------------ the module

def module_loaded():
    return os.path.isdir('/sys/module/ratman')


def module_file():
    """The ratman.ko of the running kernel, or None when modprobe has to find it."""
    release = platform.release()
    folders = [os.environ.get('RATMAN_KMOD', ''), os.path.join(uapi.ROOT, 'build/kmod', release), uapi.ROOT]
    for path in (os.path.join(folder, 'ratman.ko') for folder in folders):
        try:
            with open(path, 'rb') as f:
                if b'vermagic=' + release.encode() + b' ' in f.read():
                    return path
        except OSError:
            pass
    return None


def load_module(*parameters):
    path = module_file()
    if path:
        needs = subprocess.run(['modinfo', '-F', 'depends', path], capture_output=True, text=True).stdout
        modprobe(*filter(None, needs.strip().split(',')))
    return subprocess.run((['insmod', path] if path else ['modprobe', 'ratman']) + list(parameters),
                          capture_output=True, text=True)


def missing():
    """Why nothing can be tested here, or None."""
    if os.geteuid():
        return 'needs root'
    if not module_loaded():
        done = load_module()
        if not module_loaded():
            return 'ratman.ko is not loaded and cannot be: %s' % (done.stderr.strip() or 'no module')
    return None


def modprobe(*names):
    for name in names:
        subprocess.run(['modprobe', '-q', name], check=False)


def kernel_log():
    """Every line of the kernel's log so far."""
    fd = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)
    lines = []
    try:
        while True:
            try:
                lines.append(os.read(fd, 8192).decode(errors='replace').split(';', 1)[-1].split('\n')[0])
            except BlockingIOError:
                return lines
            except BrokenPipeError:
                continue
    finally:
        os.close(fd)


# ------------------------------------------------------------ network namespaces

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def _syscall(name, *args):
    if getattr(_libc, name)(*args):
        code = ctypes.get_errno()
        raise OSError(code, '%s: %s' % (name, os.strerror(code)))


class Ns:
    """A network namespace that lives as long as this object (or its process)."""

    def __init__(self):
        old = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        try:
            _syscall('unshare', CLONE_NEWNET)
            self.fd = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
            for conf in ('default', 'all'):
                for name, value in (('accept_dad', '0'), ('dad_transmits', '0'), ('router_solicitations', '0')):
                    with open('/proc/sys/net/ipv6/conf/%s/%s' % (conf, name), 'w') as f:
                        f.write(value)
            self.sysctl_here('net/ipv6/icmp/ratelimit', '0')
        finally:
            _syscall('setns', old, CLONE_NEWNET)
            os.close(old)
        self._rt = None
        self._stack = []
        cleanup(self.close)
        self.rt.link_set('lo', up=True)

    @staticmethod
    def sysctl_here(name, value):
        with open('/proc/sys/' + name, 'w') as f:
            f.write(str(value))

    def __enter__(self):
        self._stack.append(os.open('/proc/thread-self/ns/net', os.O_RDONLY))
        _syscall('setns', self.fd, CLONE_NEWNET)
        return self

    def __exit__(self, *_):
        old = self._stack.pop()
        _syscall('setns', old, CLONE_NEWNET)
        os.close(old)

    @property
    def rt(self):
        if self._rt is None:
            self._rt = Rt(self)
        return self._rt

    def sysctl(self, name, value):
        with self:
            self.sysctl_here(name, value)

    def socket(self, *args):
        with self:
            s = socket.socket(*args)
        cleanup(s.close)
        return s

    def run(self, *argv, ok=True, **kw):
        with self:
            done = subprocess.run(argv, capture_output=True, text=True, **kw)
        if ok and done.returncode:
            raise Failure('%s: status %d: %s%s' % (' '.join(argv), done.returncode, done.stdout, done.stderr))
        return done

    def popen(self, *argv, **kw):
        with self:
            p = subprocess.Popen(argv, **kw)

        def stop():
            if p.poll() is None:
                p.kill()
            p.wait()
        cleanup(stop)
        return p

    def close(self):
        """The namespace goes when its last socket and process are gone, too."""
        if self._rt:
            self._rt.close()
            self._rt = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


# ------------------------------------------------------------ netlink

NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_DUMP = 1, 2, 4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLM_F_DUMP_INTR, NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x10, 0x100, 0x200
NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
SO_RCVBUFFORCE = 33
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 1, 10, 11
NLA_F_NESTED, NLA_TYPE = 0x8000, 0x3fff


class NetlinkError(OSError):
    """A refusal: errno, and the kernel's own words in .text"""

    def __init__(self, code, text, missing=None, offset=None):
        super().__init__(code, '%s (%s)' % (errno.errorcode.get(code, code), text or 'no text'))
        self.text = text
        self.missing = missing          # NLMSGERR_ATTR_MISS_TYPE
        self.offset = offset            # NLMSGERR_ATTR_OFFS


def attr(type, payload=b''):
    return struct.pack('=HH', 4 + len(payload), type) + payload + bytes(-len(payload) % 4)


def nest(type, *attrs):
    return attr(type | NLA_F_NESTED, b''.join(attrs))


def u8(type, value):
    return attr(type, struct.pack('=B', value))


def u32(type, value):
    return attr(type, struct.pack('=I', value))


def string(type, value):
    return attr(type, value.encode() + b'\0')


def attrs(data):
    """-> [(type, payload)]"""
    result = []
    while len(data) >= 4:
        length, type = struct.unpack_from('=HH', data)
        if not 4 <= length <= len(data):
            raise Failure('attribute of length %d in %d bytes' % (length, len(data)))
        result.append((type & NLA_TYPE, data[4:length]))
        data = data[(length + 3) & ~3:]
    return result


Message = collections.namedtuple('Message', 'type flags seq payload')


class Netlink:
    def __init__(self, protocol, ns=None):
        with ns or contextlib.nullcontext():
            self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.sock.bind((0, 0))
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        except PermissionError:
            pass
        self.seq = 0
        self.unasked = collections.deque()      # messages that answer nothing: events
        self.interrupted = False

    def close(self):
        self.sock.close()

    def fileno(self):
        return self.sock.fileno()

    def send(self, type, flags, payload, seq=None):
        self.seq += 1
        seq = self.seq if seq is None else seq
        self.sock.send(struct.pack('=IHHII', 16 + len(payload), type, flags, seq, 0) + payload)
        return seq

    def receive(self, timeout=None):
        """One datagram -> [Message]"""
        if timeout is not None and not select.select([self.sock], [], [], timeout)[0]:
            return []
        data = self.sock.recv(1 << 20)
        result = []
        while len(data) >= 16:
            length, type, flags, seq, _ = struct.unpack_from('=IHHII', data)
            check(16 <= length <= len(data), 'netlink message of length %d in %d bytes', length, len(data))
            result.append(Message(type, flags, seq, data[16:length]))
            data = data[(length + 3) & ~3:]
        return result

    def answer(self, seq):
        """The payloads that answer request seq; NetlinkError when it was refused."""
        result = []
        end = time.monotonic() + 30 * SLOW
        while True:
            left = end - time.monotonic()
            check(left > 0, 'the kernel gives no answer')
            for message in self.receive(left):
                if message.seq != seq or message.seq == 0:
                    self.unasked.append(message)
                    continue
                if message.flags & NLM_F_DUMP_INTR:
                    self.interrupted = True
                if message.type in (NLMSG_ERROR, NLMSG_DONE):
                    code = -struct.unpack_from('=i', message.payload)[0] if len(message.payload) >= 4 else 0
                    if code:
                        raise self._refusal(code, message)
                    return result
                result.append(message.payload)

    @staticmethod
    def _refusal(code, message):
        text = missing = offset = None
        if message.flags & NLM_F_ACK_TLVS:
            skip = 4 if message.type == NLMSG_DONE else 20
            if message.type == NLMSG_ERROR and not message.flags & NLM_F_CAPPED:
                skip = 4 + (struct.unpack_from('=I', message.payload, 4)[0] + 3 & ~3)
            for type, payload in attrs(message.payload[skip:]):
                if type == 1:
                    text = payload.rstrip(b'\0').decode()
                elif type == 2:
                    offset = struct.unpack('=I', payload)[0]
                elif type == 5:
                    missing = struct.unpack('=I', payload)[0]
        return NetlinkError(code, text, missing, offset)

    def talk(self, type, flags, payload):
        return self.answer(self.send(type, flags | NLM_F_REQUEST | NLM_F_ACK, payload))

    def dump(self, type, payload):
        self.interrupted = False
        return self.answer(self.send(type, NLM_F_REQUEST | NLM_F_DUMP, payload))


# ------------------------------------------------------------ rtnetlink

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_GETROUTE = 20, 21, 24, 26
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
IFLA_LINK, IFLA_QDISC, IFLA_STATS64, IFLA_OPERSTATE = 5, 6, 23, 16
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFF_UP, IFF_RUNNING, IFF_LOWER_UP = 1, 0x40, 0x10000
STATS64 = ('rx_packets tx_packets rx_bytes tx_bytes rx_errors tx_errors rx_dropped tx_dropped multicast '
           'collisions rx_length_errors rx_over_errors rx_crc_errors rx_frame_errors rx_fifo_errors '
           'rx_missed_errors tx_aborted_errors tx_carrier_errors tx_fifo_errors tx_heartbeat_errors '
           'tx_window_errors rx_compressed tx_compressed rx_nohandler').split()

Link = collections.namedtuple('Link', 'index name flags mtu master address kind stats type')


class Rt(Netlink):
    """ip link, ip addr and ip route without starting a process"""

    def __init__(self, ns):
        super().__init__(socket.NETLINK_ROUTE, ns)

    @staticmethod
    def _ifinfo(index=0, flags=0, change=0):
        return struct.pack('=BxHiII', 0, 0, index, flags, change)

    def add(self, name, kind, *extra, up=False):
        """-> ifindex"""
        info = [string(IFLA_INFO_KIND, kind)]
        self.talk(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
                  self._ifinfo(0, IFF_UP if up else 0, IFF_UP if up else 0) +
                  string(IFLA_IFNAME, name) + nest(IFLA_LINKINFO, *info) + b''.join(extra))
        return self.index(name)

    def veth(self, name, peer_name, peer_ns=None, mtu=None):
        """Both ends up; -> our ifindex"""
        size = u32(IFLA_MTU, mtu) if mtu else b''
        peer = self._ifinfo() + string(IFLA_IFNAME, peer_name) + size
        if peer_ns:
            peer += u32(IFLA_NET_NS_FD, peer_ns.fd)
        self.talk(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
                  self._ifinfo(0, IFF_UP, IFF_UP) + string(IFLA_IFNAME, name) + size +
                  nest(IFLA_LINKINFO, string(IFLA_INFO_KIND, 'veth'),
                       nest(IFLA_INFO_DATA, attr(VETH_INFO_PEER, peer))))
        (peer_ns.rt if peer_ns else self).link_set(peer_name, up=True)
        return self.index(name)

    def link_set(self, name, up=None, mtu=None, master=None, new_name=None, address=None, ns=None):
        """master: name or ifindex, 0 takes it out of its master"""
        extra = b''
        if mtu is not None:
            extra += u32(IFLA_MTU, mtu)
        if master is not None:
            extra += u32(IFLA_MASTER, self.index(master))
        if new_name:
            extra += string(IFLA_IFNAME, new_name)
        if address:
            extra += attr(IFLA_ADDRESS, address)
        if ns:
            extra += u32(IFLA_NET_NS_FD, ns.fd)
        self.talk(RTM_NEWLINK, 0, self._ifinfo(self.index(name), IFF_UP if up else 0,
                                               0 if up is None else IFF_UP) + extra)

    def delete(self, name):
        self.talk(RTM_DELLINK, 0, self._ifinfo(self.index(name)))

    def index(self, name):
        return name if isinstance(name, int) else self.get(name).index

    @staticmethod
    def _link(payload):
        _, arphrd, index, flags, _ = struct.unpack_from('=BxHiII', payload)
        a = dict(attrs(payload[16:]))
        number = lambda t: struct.unpack('=I', a[t][:4])[0] if t in a else 0       # noqa: E731
        kind = dict(attrs(a[IFLA_LINKINFO])).get(IFLA_INFO_KIND, b'') if IFLA_LINKINFO in a else b''
        values = struct.unpack_from('=%dQ' % (len(a[IFLA_STATS64]) // 8), a[IFLA_STATS64])
        return Link(index, a[IFLA_IFNAME].rstrip(b'\0').decode(), flags, number(IFLA_MTU), number(IFLA_MASTER),
                    a.get(IFLA_ADDRESS, b''), kind.rstrip(b'\0').decode(), dict(zip(STATS64, values)), arphrd)

    def get(self, name):
        """-> Link; NetlinkError ENODEV when there is none"""
        if isinstance(name, int):
            request = self._ifinfo(name)
        else:
            request = self._ifinfo() + string(IFLA_IFNAME, name)
        return self._link(self.talk(RTM_GETLINK, 0, request)[0])

    def links(self):
        return {link.name: link for link in map(self._link, self.dump(RTM_GETLINK, self._ifinfo()))}

    def exists(self, name):
        try:
            return bool(self.get(name))
        except NetlinkError as e:
            if e.errno != errno.ENODEV:
                raise
            return False

    def address_add(self, name, ip, plen):
        self.talk(RTM_NEWADDR, NLM_F_CREATE,
                  struct.pack('=BBBBI', socket.AF_INET6, plen, 2, 0, self.index(name)) +      # 2: no DAD
                  attr(1, ip) + attr(2, ip))

    def is_local(self, ip):
        """The stack takes packets to this address as its own (a moment after it was added)."""
        request = struct.pack('=BBBBBBBBI', socket.AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0) + attr(1, ip)
        return self.talk(RTM_GETROUTE, 0, request)[0][7] == 2           # RTN_LOCAL

    def route_add(self, prefix, plen, name):
        self.talk(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE,
                  struct.pack('=BBBBBBBBI', socket.AF_INET6, plen, 0, 0, 254, 4, 0, 1, 0) +
                  attr(1, prefix) + u32(4, self.index(name)))


# ------------------------------------------------------------ generic netlink "ratman"

# How each attribute is written; the rest are u32.
_KINDS = {
    'str': ['DEV_NAME', 'LINK_NAME', 'STAT_NAME'],
    'flag': ['DEV_CLAIM', 'NEIGH_INITIATOR', 'NEIGH_REKEY', 'SESSION_INITIATOR', 'SESSION_CONTACT'],
    'u64': ['LINK_RX_FRAMES', 'LINK_TX_FRAMES', 'LINK_RX_BYTES', 'LINK_TX_BYTES', 'NEIGH_RX_FRAMES',
            'NEIGH_TX_FRAMES', 'NEIGH_RX_BYTES', 'NEIGH_TX_BYTES', 'NEIGH_AGE_MS', 'SESSION_AGE_MS',
            'SESSION_RX_PACKETS', 'SESSION_TX_PACKETS', 'SESSION_RX_BYTES', 'SESSION_TX_BYTES',
            'SESSION_IDLE_MS', 'STAT_VALUE'],
    'bytes': ['DEV_ROUTER', 'DEV_BOOT_ID', 'NEIGH_LLADDR', 'NEIGH_ROUTER', 'NEIGH_RX_KEY', 'NEIGH_TX_KEY',
              'NEIGH_BOOT_ID', 'ROUTE_DEST', 'ROUTE_IPV6', 'ROUTE_COOKIE', 'ADDR_ADDRESS', 'ADDR_IPV6',
              'SESSION_LOCAL', 'SESSION_PEER', 'SESSION_LOCAL_IPV6', 'SESSION_PEER_IPV6', 'SESSION_RX_KEY',
              'SESSION_TX_KEY', 'FRAME_LLADDR', 'FRAME_DEST', 'FRAME_BODY'],
}
_KIND = {'RATMAN_A_' + name: kind for kind, names in _KINDS.items() for name in names}
SETS = ('DEV', 'LINK', 'NEIGH', 'ROUTE', 'HOP', 'ADDR', 'SESSION', 'FRAME', 'STAT')


def _members(enum):
    return {NAMES[name]: name for name in uapi.ENUMS[enum] if not name.startswith('__')}


_BY_NUMBER = {s: _members('ratman_%s_attr' % s.lower()) for s in SETS}
_NEST_OF = {NAMES['RATMAN_A_' + s]: s for s in SETS if s != 'HOP'}
COMMANDS = _members('ratman_cmd')


def cmd(name):
    return NAMES['RATMAN_CMD_' + name]


def encode(set_name, values):
    """('NEIGH', {'link': 3, 'router': b'...'}) -> the nest; None leaves an attribute out,
    a bytes value is written as it is."""
    out = []
    for key, value in values.items():
        name = 'RATMAN_A_%s_%s' % (set_name, key.upper())
        number = NAMES[name]
        if value is None or value is False:
            continue
        if name == 'RATMAN_A_ROUTE_HOP':
            out += [encode_hop(hop) for hop in value]
        elif _KIND.get(name) == 'flag':
            out.append(attr(number))
        elif isinstance(value, bytes):
            out.append(attr(number, value))
        elif isinstance(value, str):
            out.append(string(number, value))
        else:
            out.append(u32(number, value))
    return nest(NAMES['RATMAN_A_' + set_name], *out)


def encode_hop(hop):
    if isinstance(hop, bytes):
        return nest(NAMES['RATMAN_A_ROUTE_HOP'], hop)
    neigh, metric, *mtu = hop if isinstance(hop, tuple) else (hop, 0)
    return nest(NAMES['RATMAN_A_ROUTE_HOP'], u32(NAMES['RATMAN_A_HOP_NEIGH'], neigh),
                u32(NAMES['RATMAN_A_HOP_METRIC'], metric),
                *(u32(NAMES['RATMAN_A_HOP_MTU'], m) for m in mtu))


def decode(set_name, data):
    result = {}
    for type, payload in attrs(data):
        name = _BY_NUMBER[set_name].get(type)
        check(name, 'attribute %d is not in the set %s', type, set_name)
        key, kind = name[len('RATMAN_A_%s_' % set_name):].lower(), _KIND.get(name, 'u32')
        if key == 'pad':
            continue
        if name == 'RATMAN_A_ROUTE_HOP':
            hop = decode('HOP', payload)
            result.setdefault('hop', []).append(tuple(hop[k] for k in ('neigh', 'metric', 'mtu') if k in hop))
        elif kind == 'flag':
            result[key] = True
        elif kind == 'str':
            check(payload.endswith(b'\0'), '%s is not terminated', name)
            result[key] = payload[:-1].decode()
        elif kind == 'bytes':
            result[key] = payload
        else:
            size = 8 if kind == 'u64' else 4
            equal(len(payload), size, 'length of ' + name)
            result[key] = int.from_bytes(payload, sys.byteorder)
    return result


Event = collections.namedtuple('Event', 'cmd name ifindex values')


def decode_message(payload):
    """A whole ratman message -> Event"""
    command, version = payload[0], payload[1]
    equal(version, NAMES['RATMAN_FAMILY_VERSION'], 'family version')
    ifindex, values = None, {}
    for type, data in attrs(payload[4:]):
        if type == NAMES['RATMAN_A_IFINDEX']:
            ifindex = struct.unpack('=I', data)[0]
        elif type == NAMES['RATMAN_A_STAT']:
            stat = decode('STAT', data)
            values.setdefault('stats', {})[stat['name']] = stat['value']
        elif type in _NEST_OF:
            values.update(decode(_NEST_OF[type], data))
        elif type != NAMES['RATMAN_A_PAD']:
            raise Failure('attribute %d at the top level' % type)
    return Event(command, COMMANDS[command][len('RATMAN_CMD_'):], ifindex, values)


class Genl(Netlink):
    """A socket of the family "ratman", or of another one"""

    _family = {}

    def __init__(self, ns=None, family=None):
        super().__init__(16, ns)         # NETLINK_GENERIC
        self.family_name = family or NAMES['RATMAN_FAMILY_NAME']
        self.queue = collections.deque()        # events nobody has asked for yet
        self.family, self.groups = self._resolve()

    def _resolve(self):
        reply = self.talk(0x10, 0, struct.pack('=BBxx', 3, 1) + string(2, self.family_name))
        a = dict(attrs(reply[0][4:]))
        groups = {}
        for _, group in attrs(a.get(7, b'')):
            g = dict(attrs(group))
            groups[g[1].rstrip(b'\0').decode()] = struct.unpack('=I', g[2])[0]
        self.version = struct.unpack('=I', a[3])[0]
        return struct.unpack('=H', a[1])[0], groups

    def subscribe(self, group='events'):
        self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, self.groups[group])

    @staticmethod
    def head(command, version=1):
        return struct.pack('=BBxx', command, version)

    def do(self, command, payload=b'', flags=0):
        """-> [Event] of the replies"""
        command = cmd(command) if isinstance(command, str) else command
        return [decode_message(p) for p in self.talk(self.family, flags, self.head(command) + payload)]

    def dump_all(self, command, payload=b''):
        """-> [values]; every message names its device"""
        replies = [decode_message(p) for p in self.dump(self.family, self.head(cmd(command)) + payload)]
        return [dict(r.values, device=r.ifindex) for r in replies]

    def _collect(self, timeout=0.0):
        """Moves what has come by itself into the queue."""
        while True:
            messages = self.receive(timeout)
            self.unasked.extend(messages)
            if not messages:
                break
            timeout = 0.0
        self.queue.extend(decode_message(m.payload) for m in self.unasked if m.type == self.family)
        self.unasked.clear()

    def events(self, timeout=0.0):
        """All events so far"""
        self._collect(timeout)
        result = list(self.queue)
        self.queue.clear()
        return result

    def wait_event(self, name, timeout=5.0, **values):
        """The next event with that name and those values; those before it are thrown away."""
        seen = []

        def look():
            self._collect(0.01)
            while self.queue:
                event = self.queue.popleft()
                seen.append((event.name, event.values))
                if event.name == name and all(event.values.get(k) == v for k, v in values.items()):
                    return event
            return None
        event = until(look, timeout, 0)
        check(event, 'no %s with %r; seen: %r', name, values, seen[-10:])
        return event


def refused(f, *args, code=None, word=None, **kw):
    """Calls it, demands a refusal with a text in it; -> the NetlinkError"""
    try:
        f(*args, **kw)
    except NetlinkError as e:
        check(e.text, 'refused with %s, but without a word of why', errno.errorcode.get(e.errno, e.errno))
        if code is not None:
            codes = code if isinstance(code, (tuple, set, list)) else (code,)
            check(e.errno in codes, 'refused with %s (%s), expected %s', errno.errorcode.get(e.errno), e.text,
                  ' or '.join(errno.errorcode[c] for c in codes))
        if word:
            check(word.lower() in e.text.lower(), 'the text %r does not say %r', e.text, word)
        return e
    raise Failure('was not refused')


# ------------------------------------------------------------ wires

ETH_P_ALL = 3
PACKET_OUTGOING = 4


class Wire:
    """An end of a veth in the test's own hands: raw Ethernet frames out and in."""

    def __init__(self, ns, name, ethertype=frames.ETHERTYPE, outgoing=False):
        self.ns, self.name = ns, name
        self.outgoing = outgoing
        protocol = ETH_P_ALL if outgoing or ethertype is None else ethertype
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.sock.bind((name, protocol))
        self.ethertype = ethertype
        self.mac = self.sock.getsockname()[4]
        self.pending = collections.deque()
        self.drain()

    def close(self):
        self.sock.close()

    def send(self, destination, payload, source=None, ethertype=None):
        kind = struct.pack('>H', self.ethertype if ethertype is None else ethertype)
        data = destination + (source or self.mac) + kind + payload
        try:
            self.sock.send(data)
        except OSError as e:
            if e.errno != errno.ENETDOWN:       # perhaps only what was left from when it went down
                raise
            self.sock.send(data)

    def _next(self, timeout):
        if not select.select([self.sock], [], [], timeout)[0]:
            return None
        try:
            data, sender = self.sock.recvfrom(1 << 17)
        except OSError as e:
            if e.errno != errno.ENETDOWN:       # said once when the interface goes down
                raise
            return self._next(timeout)
        if not self.outgoing and sender[2] == PACKET_OUTGOING:
            return self._next(timeout)
        if self.ethertype is not None and data[12:14] != struct.pack('>H', self.ethertype):
            return self._next(timeout)
        return data

    def receive(self, want=None, timeout=2.0):
        """The first frame that want(destination, source, payload) likes, or None. What it does
        not like is kept for others."""
        for i, data in enumerate(self.pending):
            if want is None or want(data[:6], data[6:12], data[14:]):
                del self.pending[i]
                return data[:6], data[6:12], data[14:]
        end = time.monotonic() + timeout * SLOW
        while True:
            data = self._next(max(0, end - time.monotonic()))
            if data is None:
                return None
            if want is None or want(data[:6], data[6:12], data[14:]):
                return data[:6], data[6:12], data[14:]
            self.pending.append(data)

    def drain(self):
        """-> all payloads that are there now"""
        result = [data[14:] for data in self.pending]
        self.pending.clear()
        while True:
            data = self._next(0)
            if data is None:
                return result
            result.append(data[14:])


# ------------------------------------------------------------ a router set by hand

TIMER_STATS = ('tx_hello', 'tx_echo', 'rx_echo', 'rx_hello')


class Mesh:
    """A ratman device and a netlink socket to steer it: what a daemon would be."""

    def __init__(self, ns=None, name='ratman0', links=(), router=None, claim=True, hello_ms=60000, up=True):
        self.ns = ns or Ns()
        self.name = name
        self.fakes = 0                      # neighbours played by the test, ever
        self.index = self.ns.rt.add(name, 'ratman')
        self.nl = Genl(self.ns)
        cleanup(self.nl.close)
        self.router = router or address('router %s %d' % (name, id(self)))
        self.boot_id = digest('boot', self.router.hex(), 8)
        if claim:
            self.dev_set(router=self.router, boot_id=self.boot_id, claim=True, hello_ms=hello_ms)
        if up:
            self.ns.rt.link_set(self.index, up=True)
        for link in links:
            self.enslave(link)

    def enslave(self, link):
        self.ns.rt.link_set(link, master=self.index)

    def link_index(self, name):
        return self.ns.rt.index(name)

    # --- requests; keyword arguments are the attributes' names in small letters

    def head(self):
        return u32(NAMES['RATMAN_A_IFINDEX'], self.index)

    def do(self, command, set_name=None, values=None):
        payload = self.head() + (encode(set_name, values) if set_name else b'')
        return self.nl.do(command, payload)

    def dump(self, command):
        result = self.nl.dump_all(command, self.head())
        check(all(r.pop('device') == self.index for r in result), 'a dump shows another device')
        return result

    def dev_set(self, **values):
        return self.do('DEV_SET', 'DEV', values)

    def dev_get(self):
        return self.do('DEV_GET')[0].values

    def neigh_set(self, **values):
        return self.do('NEIGH_SET', 'NEIGH', values)

    def neigh_del(self, **values):
        return self.do('NEIGH_DEL', 'NEIGH', values)

    def neighs(self):
        return {n['index']: n for n in self.dump('NEIGH_GET')}

    def route_set(self, dest, hops=(), ipv6=None, expires_ms=0, cookie=None):
        return self.do('ROUTE_SET', 'ROUTE', dict(dest=dest, ipv6=ipv6 or ipv6_of(dest), hop=hops,
                                                  expires_ms=expires_ms, cookie=cookie))

    def route_del(self, dest):
        return self.do('ROUTE_DEL', 'ROUTE', dict(dest=dest))

    def route_get(self, dest):
        return self.do('ROUTE_GET', 'ROUTE', dict(dest=dest))[0].values

    def routes(self):
        return {r['dest']: r for r in self.dump('ROUTE_GET')}

    def addr_set(self, addr, policy=None, ipv6=None):
        return self.do('ADDR_SET', 'ADDR', dict(address=addr, ipv6=ipv6 or ipv6_of(addr),
                                                policy=NAMES['RATMAN_POLICY_OPEN'] if policy is None else policy))

    def addr_del(self, addr):
        return self.do('ADDR_DEL', 'ADDR', dict(address=addr))

    def session_set(self, **values):
        values.setdefault('local_ipv6', ipv6_of(values['local']) if values.get('local') else None)
        values.setdefault('peer_ipv6', ipv6_of(values['peer']) if values.get('peer') else None)
        return self.do('SESSION_SET', 'SESSION', values)

    def session_del(self, local, peer):
        return self.do('SESSION_DEL', 'SESSION', dict(local=local, peer=peer))

    def sessions(self):
        return {(s['local'], s['peer']): s for s in self.dump('SESSION_GET')}

    def frame_tx(self, **values):
        return self.do('FRAME_TX', 'FRAME', values)

    def stats(self):
        return self.do('STATS_GET')[0].values['stats']

    def use(self, addr, policy=None):
        """The address is ours, and local programs can use it."""
        self.addr_set(addr, policy)
        self.ns.rt.address_add(self.index, ipv6_of(addr), 128)
        self.ns.rt.route_add(bytes.fromhex('20010020') + bytes(12), 28, self.index)
        check(until(lambda: self.ns.rt.is_local(ipv6_of(addr)), step=0.001), 'the address is not taken by the stack')

    # --- exact counting

    @contextlib.contextmanager
    def counts(self, ignore=(), timeout=3.0, **want):
        """The body changes these counters by these amounts, and no other counter at all."""
        before = self.stats()
        for name in want:
            check(name in before, 'there is no counter %s; there are: %s', name, ' '.join(sorted(before)))
        yield
        quiet = set(TIMER_STATS) - set(want) | set(ignore)
        moved = {}

        def look():
            after = self.stats()
            moved.clear()
            moved.update({n: v - before.get(n, 0) for n, v in after.items()
                          if v != before.get(n, 0) and n not in quiet})
            return moved == {n: v for n, v in want.items() if v}
        check(until(look, timeout), 'counters moved by %r, expected %r', moved,
              {n: v for n, v in want.items() if v})

    # --- a neighbour's two keys, installed

    def add_fake(self, wire, link, name='n1', **kw):
        return Fake(self, wire, link, name, **kw)


class Keeper:
    """Keeps neighbours alive while a test is busy or slow: sends their ECHO frames from a thread,
    in a lane of their own, with a true report of what came."""

    LANE = 15
    current = None

    def __init__(self):
        self.fakes, self.lock, self.stopping = [], threading.Lock(), threading.Event()
        self.sockets = {}
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @classmethod
    def add(cls, fake):
        if not cls.current:
            cls.current = cls()
        with cls.current.lock:
            wire = fake.wire
            if wire.name not in cls.current.sockets:
                cls.current.sockets[wire.name] = Wire(wire.ns, wire.name)
            cls.current.fakes.append(fake)
            cls.current._tend(fake)

    def _tend(self, fake):
        wire = self.sockets[fake.wire.name]
        try:
            while True:
                got = wire.receive(lambda d, _s, p: d == fake.mac and len(p) >= 60 and p[0] == 0x10 | frames.ECHO, 0)
                if not got:
                    break
                frame = frames.parse(got[2])
                if frame.neigh == fake.peer_index:
                    fake.heard(frame)
            wire.pending = collections.deque(d for d in wire.pending if d[14] == 0x10 | frames.ECHO)
            fake.echo(lane=self.LANE)
        except OSError:
            pass                # its link is down, or gone

    def _run(self):
        while not self.stopping.wait(0.25):
            with self.lock:
                for fake in self.fakes:
                    if fake.keep and not self.stopping.is_set():
                        self._tend(fake)

    def stop(self):
        self.stopping.set()
        self.thread.join()
        Keeper.current = None


class Fake:
    """A neighbour played by the test: it has keys, an index on both sides and a wire. With keep
    it stays alive by itself."""

    def __init__(self, mesh, wire, link, name, install=True, mac=None, initiator=True, keep=True):
        self.mesh, self.wire, self.link = mesh, wire, link
        self.link_index = mesh.link_index(link)
        self.their_mac = mesh.ns.rt.get(link).address       # the router's
        self.mac = mac or wire.mac
        self.router = address('neighbour ' + name)
        self.boot_id = digest('boot', name, 8)
        mesh.fakes += 1
        slot = mesh.fakes
        self.index = 0x00051000 | slot                      # what we put into frames for the router
        self.peer_index = 0xa5000000 | slot << 4            # what it puts into frames for us
        self.key = digest('key to router', name, 16)
        self.their_key = digest('key from router', name, 16)
        self.counters = [0] * 16
        self.echo_count = self.seen_count = self.seen_total = 0
        self.keep = keep and install
        if install:
            self.install(initiator=initiator)
        if self.keep:
            Keeper.add(self)

    def install(self, **kw):
        values = dict(link=self.link_index, lladdr=self.mac, router=self.router, index=self.index,
                      peer_index=self.peer_index, rx_key=self.key, tx_key=self.their_key, initiator=True)
        values.update(kw)
        return self.mesh.neigh_set(**values)

    def state(self):
        return self.mesh.neighs().get(self.index)

    def next_seq(self, lane=0):
        self.counters[lane] += 1
        return frames.seq_of(lane, self.counters[lane])

    def build(self, type, body, **kw):
        kw.setdefault('neigh', self.index)
        kw.setdefault('key', self.key)
        if 'seq' not in kw:
            kw['seq'] = self.next_seq(kw.pop('lane', 0))
        return frames.build(type, body, **kw)

    def put(self, raw, **kw):
        """Bytes as they are"""
        self.wire.send(self.their_mac, raw, source=self.mac, **kw)

    def send(self, type, body, **kw):
        raw = self.build(type, body, **kw)
        self.put(raw)
        return raw

    def quiet(self):
        """From now on we are kept alive no more."""
        with Keeper.current.lock:
            self.keep = False

    def heard(self, frame):
        """An ECHO of the router, for the report in ours"""
        self.seen_count = max(self.seen_count, frames.parse_echo(frame).count)
        self.seen_total += 1

    def echo(self, lane=0, **kw):
        """A valid ECHO: keeps us alive in the router's eyes."""
        self.echo_count += 1
        kw = dict(dict(seen_count=self.seen_count, seen_total=self.seen_total), **kw)
        return self.send(frames.ECHO, frames.echo_body(self.echo_count, **kw), lane=lane)

    def receive(self, type=None, timeout=2.0, any_index=False):
        """The router's next frame for us, its tag checked; None when there is none in time"""
        def ours(destination, _source, payload):
            if destination != self.mac or len(payload) < frames.HOP_LEN:
                return False
            frame = frames.parse(payload)
            return (any_index or frame.neigh == self.peer_index) and (type is None or frame.type == type)
        got = self.wire.receive(ours, timeout)
        if got is None:
            return None
        frame = frames.parse(got[2])
        check(frame.version == 1, 'version %d', frame.version)
        check(frames.tag_valid(frame, self.their_key), 'the router sent a frame with a wrong tag: %s', got[2].hex())
        return frame

    def expect(self, type=None, timeout=2.0):
        frame = self.receive(type, timeout)
        check(frame, 'the router sent nothing to this neighbour')
        return frame

    def silent(self, *types, timeout=0.15):
        """The router sends us nothing of these types (all but ECHO) for a while."""
        types = types or (frames.LINK, frames.CONTROL, frames.DATA, frames.HANDSHAKE)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for type in types:
                frame = self.receive(type, 0.0)
                check(not frame, 'the router sent %r', frame)
            time.sleep(0.02)


class Peer:
    """The far end of a session, played by the test."""

    _index = 0x100

    def __init__(self, mesh, local, name, install=True, **kw):
        self.mesh, self.local, self.addr = mesh, local, address('peer ' + name)
        self.ipv6, self.local_ipv6 = ipv6_of(self.addr), ipv6_of(local)
        Peer._index += 1
        self.index = Peer._index                # the router's
        self.peer_index = 0x77000000 | Peer._index
        self.key = digest('session key to router', name, 32)
        self.their_key = digest('session key from router', name, 32)
        self.counter = -1
        if install:
            self.install(**kw)

    def install(self, **kw):
        values = dict(local=self.local, peer=self.addr, index=self.index, peer_index=self.peer_index,
                      rx_key=self.key, tx_key=self.their_key, initiator=True)
        values.update(kw)
        return self.mesh.session_set(**values)

    def seal(self, packet, counter=None, index=None, key=None):
        """-> body of a DATA frame for the router"""
        if counter is None:
            self.counter += 1
            counter = self.counter
        return frames.data_body(self.local, self.index if index is None else index, counter,
                                frames.aead_seal(key or self.key, frames.nonce_of(counter), packet))

    def open(self, frame, key=None):
        """A DATA frame from the router -> (counter, inner packet)"""
        data = frames.parse_data(frame)
        equal(data.dest, self.addr, 'destination')
        equal(data.session, self.peer_index, 'session index')
        packet = frames.aead_open(key or self.their_key, frames.nonce_of(data.counter), data.sealed)
        check(packet is not None, 'the router\'s packet does not decrypt')
        return data.counter, packet


def bench(links=1, wires=True, **kw):
    """A router with links l0, l1 … whose other ends w0, w1 … are in the test's hands.
    -> (Mesh, [Wire])"""
    ns, outside = Ns(), Ns()
    outside.sysctl('net/ipv6/conf/default/disable_ipv6', 1)
    for i in range(links):
        ns.rt.veth('l%d' % i, 'w%d' % i, outside)
    mesh = Mesh(ns, links=['l%d' % i for i in range(links)], **kw)
    mesh.outside = outside
    return mesh, [Wire(outside, 'w%d' % i) for i in range(links)] if wires else []


class Net:
    """Routers joined as edges say, everything set by hand: neighbours, routes along all
    shortest paths and those that lead no further away, addresses and sessions."""

    def __init__(self, n, edges=None, sessions=True, spare_hops=False, mtu=None, policy=None):
        self.n = n
        self.edges = edges or [(i, i + 1) for i in range(n - 1)]
        self.addr = [address('address %d' % i) for i in range(n)]
        self.ip = [ipv6_of(a) for a in self.addr]
        namespaces = [Ns() for _ in range(n)]
        for a, b in self.edges:
            namespaces[a].rt.veth('to%d' % b, 'to%d' % a, namespaces[b], mtu=mtu)
        near = {i: [b if a == i else a for a, b in self.edges if i in (a, b)] for i in range(n)}
        self.near = near
        self.mesh = [Mesh(namespaces[i], links=['to%d' % j for j in near[i]], router=address('router %d' % i))
                     for i in range(n)]
        for i, j in sorted(((i, j) for i in range(n) for j in near[i]), key=lambda pair: pair[0] < pair[1]):
            self.key(i, j)
        distance = [self._distances(i) for i in range(n)]
        for i in range(n):
            self.mesh[i].use(self.addr[i], policy)
            for j in range(n):
                if i == j or distance[j][i] is None:
                    continue
                limit = distance[j][i] + (1 if spare_hops else 0)
                hops = sorted((distance[j][k], k) for k in near[i] if distance[j][k] < limit)
                self.mesh[i].route_set(self.addr[j], [(self.slot(i, k), d + 1) for d, k in hops[:4]])
        if sessions:
            for i in range(n):
                for j in range(n):
                    if i < j and distance[i][j] is not None:
                        self.session(i, j)

    def _distances(self, start):
        """From every router to start"""
        result = [None] * self.n
        result[start], queue = 0, collections.deque([start])
        while queue:
            i = queue.popleft()
            for j in self.near[i]:
                if result[j] is None:
                    result[j] = result[i] + 1
                    queue.append(j)
        return result

    @staticmethod
    def slot(i, j, generation=0):
        """The index router i chose for its neighbour j; every key has a slot of its own"""
        return (i + 1) << 16 | generation % 32 << 7 | (j + 1)

    def key(self, i, j, generation=0, initiator=None):
        """Router i's half of the neighbourhood of i and j"""
        back = self.mesh[j].ns.rt.get('to%d' % i)
        self.mesh[i].neigh_set(link=self.mesh[i].link_index('to%d' % j), lladdr=back.address,
                               router=self.mesh[j].router,
                               index=self.slot(i, j, generation), peer_index=self.slot(j, i, generation),
                               rx_key=digest('hop key', (j, i, generation), 16),
                               tx_key=digest('hop key', (i, j, generation), 16),
                               initiator=(i < j) if initiator is None else initiator)

    def session(self, i, j, generation=0):
        """The responder (the larger number) first: the initiator sends at once."""
        for a, b in ((max(i, j), min(i, j)), (min(i, j), max(i, j))):
            self.half_session(a, b, generation)

    def session_index(self, i, j, generation=0):
        return (generation + 1) << 20 | i << 10 | j

    def half_session(self, a, b, generation=0, initiator=None, **kw):
        self.mesh[a].session_set(local=self.addr[a], peer=self.addr[b],
                                 index=self.session_index(a, b, generation),
                                 peer_index=self.session_index(b, a, generation),
                                 rx_key=digest('session key', (b, a, generation), 32),
                                 tx_key=digest('session key', (a, b, generation), 32),
                                 initiator=(a < b) if initiator is None else initiator, **kw)

    def udp(self, i, port=0):
        s = self.mesh[i].ns.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0)
        s.bind((text(self.ip[i]), port))
        s.settimeout(5 * SLOW)
        return s

    def ping(self, i, j, size=32, timeout=3.0):
        """One echo request and its reply -> seconds; None when it is lost"""
        with Pinger(self.mesh[i].ns, self.ip[i], self.ip[j]) as p:
            return p.once(size, timeout)


def transfer(net, i, j, size, seed=b'seed'):
    """TCP from i to j -> (digest sent, digest received)"""
    server = net.mesh[j].ns.socket(socket.AF_INET6, socket.SOCK_STREAM, 0)
    server.bind((text(net.ip[j]), 0))
    server.listen(1)
    server.settimeout(20 * SLOW)
    client = net.mesh[i].ns.socket(socket.AF_INET6, socket.SOCK_STREAM, 0)
    client.settimeout(60 * SLOW)
    client.bind((text(net.ip[i]), 0))
    received, sent = hashlib.sha256(), hashlib.sha256()

    def read():
        connection, _ = server.accept()
        connection.settimeout(60 * SLOW)
        with connection:
            while True:
                data = connection.recv(1 << 18)
                if not data:
                    break
                received.update(data)
            connection.send(b'done')
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    client.connect((text(net.ip[j]), server.getsockname()[1]))
    block = hashlib.shake_256(seed).digest(1 << 16)
    left, number = size, 0
    while left:
        chunk = (struct.pack('>Q', number) + block[8:])[:left]
        client.sendall(chunk)
        sent.update(chunk)
        left -= len(chunk)
        number += 1
    client.shutdown(socket.SHUT_WR)
    equal(client.recv(10), b'done', 'answer')
    thread.join(30 * SLOW)
    return sent.digest(), received.digest()


class Pinger:
    """ICMPv6 echo over a raw socket, from one address to another"""

    def __init__(self, ns, source, destination):
        with ns:
            self.sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.sock.bind((text(source), 0))
        self.destination = (text(destination), 0)
        # echo replies only: the filter holds a set bit for what is blocked
        blocked = [M32] * 8
        blocked[129 >> 5] &= ~(1 << (129 & 31))
        self.sock.setsockopt(socket.IPPROTO_ICMPV6, 1, struct.pack('=8I', *blocked))
        self.ident, self.seq = os.getpid() & 0xffff, 0
        self.seen = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, size=32):
        self.seq += 1
        self.sock.sendto(struct.pack('>BBHHH', 128, 0, 0, self.ident, self.seq & 0xffff) + bytes(size),
                         self.destination)
        return self.seq & 0xffff

    def collect(self, timeout=0.0):
        """Reads what has come -> number of new replies"""
        before = len(self.seen)
        while select.select([self.sock], [], [], timeout)[0]:
            reply = self.sock.recv(65536)
            ident, seq = struct.unpack_from('>HH', reply, 4)
            if ident == self.ident:
                self.seen.add(seq)
            timeout = 0.0
        return len(self.seen) - before

    def lost(self, timeout=5.0):
        """How many requests have no answer yet, after waiting for all"""
        until(lambda: (self.collect(0.02), len(self.seen) == self.seq)[1], timeout, 0)
        return self.seq - len(self.seen)

    def once(self, size=32, timeout=3.0):
        seq, started = self.send(size), time.monotonic()
        until(lambda: (self.collect(0.02), seq in self.seen)[1], timeout, 0)
        return time.monotonic() - started if seq in self.seen else None


def text(ip):
    return socket.inet_ntop(socket.AF_INET6, ip)


def flags_up(ns, name, up):
    """ip link set NAME up|down, without netlink"""
    s = ns.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0)
    request = struct.pack('16sH14x', name.encode(), 0)
    flags = struct.unpack('16xH14x', fcntl.ioctl(s, 0x8913, request))[0]
    fcntl.ioctl(s, 0x8914, struct.pack('16sH14x', name.encode(), flags | 1 if up else flags & ~1))


def netem(ns, dev, *args):
    """tc qdisc replace dev DEV root netem ARGS"""
    modprobe('sch_netem')
    done = ns.run('tc', 'qdisc', 'replace', 'dev', dev, 'root', 'netem', *args, ok=False)
    if done.returncode:
        raise Skip('no netem here: ' + done.stderr.strip())


atexit.register(clean_up)
