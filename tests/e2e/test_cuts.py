#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client killed at any byte of any exchange leaves nothing behind.

Each exchange of the table is cut at every byte it writes and at every byte it
reads, once by a close and once by a reset. Then the daemon's descriptors, its
clients, its status and the number of records in each table of its store are
what they were. A new exchange is one line of the table.
"""
import ctypes
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
from harness import connect, test  # noqa: E402
from microframe import frame  # noqa: E402

# What is remembered on purpose: counters that only grow, deliveries, addresses that were seen.
GROWING = {"meta", "stamps", "seen", "done"}


class Store:
    """Counts the records of each table, from outside, while the daemon runs."""

    def __init__(self):
        self.lmdb = ctypes.CDLL("liblmdb.so.0")

    def check(self, rc):
        assert rc == 0, "lmdb: error %d" % rc

    def counts(self):
        lmdb, env, txn = self.lmdb, ctypes.c_void_p(), ctypes.c_void_p()
        path = os.path.join(harness.DAEMON.directory, "state", "state").encode()
        readonly, notls = 0x20000, 0x200000
        self.check(lmdb.mdb_env_create(ctypes.byref(env)))
        self.check(lmdb.mdb_env_set_maxdbs(env, 64))
        try:
            self.check(lmdb.mdb_env_open(env, path, readonly | notls, 0o600))
            self.check(lmdb.mdb_txn_begin(env, None, readonly, ctypes.byref(txn)))
            try:
                return {name: self.entries(txn, name) for name in self.names(txn)}
            finally:
                lmdb.mdb_txn_abort(txn)
        finally:
            lmdb.mdb_env_close(env)

    def entries(self, txn, name):
        dbi, stat = ctypes.c_uint(), (ctypes.c_size_t * 6)()
        self.check(self.lmdb.mdb_dbi_open(txn, name and name.encode(), 0, ctypes.byref(dbi)))
        self.check(self.lmdb.mdb_stat(txn, dbi, stat))
        return stat[5]                     # two unsigned int, then five size_t: entries last

    def names(self, txn):
        """Tables are the keys of the unnamed one."""
        dbi, cursor = ctypes.c_uint(), ctypes.c_void_p()
        key, value = (ctypes.c_size_t * 2)(), (ctypes.c_size_t * 2)()
        self.check(self.lmdb.mdb_dbi_open(txn, None, 0, ctypes.byref(dbi)))
        self.check(self.lmdb.mdb_cursor_open(txn, dbi, ctypes.byref(cursor)))
        out = []
        first, following = 0, 8
        while self.lmdb.mdb_cursor_get(cursor, key, value, following if out else first) == 0:
            out.append(ctypes.string_at(key[1], key[0]).decode())
        self.lmdb.mdb_cursor_close(cursor)
        return [name for name in out if name not in GROWING]


STORE = None


def state():
    """All that a client could leave behind."""
    c = connect()
    peers, locals_, tokens, workers = c.status()
    c.close()
    fds = [os.readlink("/proc/%d/fd/%s" % (harness.DAEMON.process.pid, n)).split(":")[0]
           for n in descriptors()]
    return {"descriptors": sorted(fds), "locals": locals_, "tokens": tokens, "workers": workers,
            "records": STORE.counts()}


def descriptors():
    """Those that stay: one may close while we look."""
    path = "/proc/%d/fd" % harness.DAEMON.process.pid
    return [n for n in os.listdir(path) if os.path.lexists(os.path.join(path, n))]


def baseline():
    """The state when nothing of earlier clients is left to be closed."""
    last = None
    for _ in range(200):
        try:
            now = state()
        except FileNotFoundError:
            continue
        if now == last:
            return now
        last = now
        time.sleep(0.1)
    raise AssertionError("the daemon does not come to rest")


def settled(before, what):
    """Waits until everything is as it was; says what is not."""
    now = None
    end = time.monotonic() + 20            # before a helper socket's time is up
    while time.monotonic() < end:
        try:
            now = state()
        except FileNotFoundError:
            continue
        if now == before:
            return
        time.sleep(0.05)
    differs = {k: (before[k], now[k]) for k in before if before[k] != now[k]}
    raise AssertionError("%s leaves: %r" % (what, differs))


# Clients that die at a given byte ------------------------------------------------

class Cut(Exception):
    """The client is dead."""


class Budget:
    """How many bytes may still be written and read, on all its sockets; counts those that were."""

    def __init__(self, left):
        self.left, self.used = left, 0

    def spend(self, n):
        n = min(n, self.left)
        self.left -= n
        self.used += n
        return n


class Mortal:
    """Mixed into a connection: raises Cut when the budget is used up."""

    budget = None

    def send(self, data):
        if self.budget is None:
            return super().send(data)
        n = self.budget.spend(len(data))
        super().send(data[:n])
        if n < len(data):
            raise Cut
        return None

    def exactly(self, n):
        if self.budget is None:
            return super().exactly(n)
        can = self.budget.spend(n)
        data = super().exactly(can)
        if can < n:
            raise Cut
        return data


class Helper(Mortal, mf.Subscriber):
    pass


class Client(Mortal, mf.Client):
    def __init__(self, hello=mf.HELLO):
        super().__init__(harness.DAEMON.bind, hello)
        self.helpers = []

    def helper(self, bind):
        """Connects to a helper socket, which dies with this client."""
        h = Helper(bind)
        h.budget = self.budget
        self.helpers.append(h)
        return h

    def die(self, how):
        """Main connection first, as the kernel closes them."""
        for line in [self, *self.helpers]:
            getattr(line, how)()


class User:
    """An address that is up, and what the exchanges of the table use besides."""

    def __init__(self):
        self.c = connect()
        self.a, self.t = self.c.create()
        self.c.up(self.a, self.t)
        self.id = self.other = None

    def gone(self):
        """Takes everything of it away again, also what an exchange brought down."""
        c = connect()
        c.up(self.a, self.t)
        c.destroy(self.a, self.t, b"\1")
        destroy_other(self)
        c.close()
        self.c.close()


# What has to be there before each cut ----------------------------------------------

def nothing(u):
    del u


def is_up(u):
    u.c.up(u.a, u.t)


def has_another_address(u):
    destroy_other(u)
    u.other = u.c.create()
    u.c.up(*u.other)


def destroy_other(u):
    if u.other and u.other[0] in u.c.addresses():
        u.c.destroy(*u.other, b"\1")


def stream_waits(u):
    u.c.send_many(u.a, u.t, [u.a], b"0123456789" * 5)


def two_streams_wait(u):
    stream_waits(u)
    stream_waits(u)


def subscribed(u):
    u.id, bind = u.c.subscription(0x0703, u.a + b"\1" + u.a, u.t)
    mf.dial(bind).close()


def stream_is_due(u):
    subscribed(u)
    stream_waits(u)


def subscribed_to_events(u):
    u.id, bind = u.c.subscription(0x0103, u.a + b"\0", u.t)
    mf.dial(bind).close()


def events_are_due(u):
    subscribed_to_events(u)
    u.c.down(u.a, u.t)
    u.c.up(u.a, u.t)


# The exchanges, each as a client goes through it ------------------------------------

def handshake(c, u):
    c.send(frame(0x0010, b"\1\0\1\1\7"))
    c.frame().ping()


def send(c, u, f):
    data = c.helper(f.ping(mf.SEND_SOCKET)[:-1].decode())
    data.send(b"d" * 60)


def subscription(c, u, mode, payload, frames=0):
    """Sub or Resub, and what is due, frame by frame with the stream behind it."""
    s = c.helper(c.subscription(mode, payload, u.t)[1])
    for _ in range(frames):
        if mode >> 8 == 7:
            s.next()
        else:
            s.event()


def recv(c, u, many, streams):
    c.begin_recv(u.a, u.t, many=many)
    for _ in range(streams):
        c.stream(0x0533 if many else 0x0532)
    if streams and not many:
        c.frame().ping()


def head(u, size=0):
    return mf.letterhead(u.a, u.a, size)


# Name, what is needed before, the exchange.
TABLE = [
    ("handshake", nothing, handshake),
    ("Intrinsic/Down", nothing, lambda c, u: c.send(frame(0x0011))),
    ("Intrinsic/Status", nothing, lambda c, u: c.status()),
    ("Addr/Destroy", has_another_address, lambda c, u: c.destroy(*u.other)),
    ("Addr/Sub", nothing, lambda c, u: subscription(c, u, 0x0103, u.a + b"\0")),
    ("Addr/Resub", events_are_due, lambda c, u: subscription(c, u, 0x0104, u.id + u.a, 2)),
    ("Addr/Unsub", subscribed_to_events, lambda c, u: c.ask(0x0105, u.id + u.a, u.t).ping()),
    ("Addr/Up", nothing, lambda c, u: c.up(u.a, u.t)),
    ("Addr/Down", is_up, lambda c, u: c.down(u.a, u.t)),
    ("Addr/List", nothing, lambda c, u: c.addresses()),
    ("Peer/List", nothing, lambda c, u: c.peers()),
    ("Recv/One, nothing there", nothing, lambda c, u: recv(c, u, False, 0)),
    ("Recv/One", stream_waits, lambda c, u: recv(c, u, False, 1)),
    ("Recv/Many", two_streams_wait, lambda c, u: recv(c, u, True, 2)),
    ("Send/One inline", nothing,
     lambda c, u: c.send(frame(0x0632, head(u, 20), u.t) + b"x" * 20)),
    ("Send/One refused", nothing,
     lambda c, u: c.send(frame(0x0632, head(u, 20), b"\x44" * 32) + b"x" * 20)),
    ("Send/Many", nothing, lambda c, u: send(c, u, c.ask(0x0633, b"\0\1" + head(u), u.t))),
    ("Stream/Sub", nothing, lambda c, u: subscription(c, u, 0x0703, u.a + b"\1" + u.a)),
    ("Stream/Resub", stream_is_due, lambda c, u: subscription(c, u, 0x0704, u.id + u.a, 1)),
    ("Stream/Unsub", stream_is_due, lambda c, u: c.unsub(u.id, u.a, u.t)),
    ("Stream/List", subscribed, lambda c, u: c.subscriptions(u.a, u.t)),
]

# After the whole request the address is there for good: cut before its last byte only.
CREATE = frame(0x0101, b"\0" + os.urandom(32))


def play(exchange, u, budget, how):
    """The exchange up to the cut; True when it ended before."""
    c = Client(None if exchange is handshake else mf.HELLO)
    c.budget = budget
    try:
        exchange(c, u)
        return True
    except Cut:
        return False
    finally:
        c.die(how)


def cut_everywhere(name, prepare, exchange):
    before = baseline()
    for how in ("close", "reset"):
        u = User()
        cut = 0
        while True:
            prepare(u)
            budget = Budget(cut)
            if play(exchange, u, budget, how):
                break
            assert budget.used == cut
            cut += 1
        assert cut > 10, "%s has %d bytes?" % (name, cut)
        u.gone()
    settled(before, name)


def register(name, prepare, exchange):
    def run():
        cut_everywhere(name, prepare, exchange)
    run.__name__ = name.replace(" ", "_")
    test(run)


for line in TABLE:
    register(*line)


@test
def Addr_Create():
    before = baseline()
    for how in ("close", "reset"):
        for cut in range(len(CREATE)):
            c = Client()
            c.send(CREATE[:cut])
            c.die(how)
    settled(before, "Addr/Create")


@test
def Send_One_with_a_data_socket():
    """As Send/Many, behind 2 s of silence: all cuts wait side by side."""
    before = baseline()
    u = User()
    clients = []
    for how in ("close", "reset"):
        for cut in range(61):
            c = Client()
            c.send(frame(0x0632, head(u, 60), u.t))
            clients.append((c, how, cut))
    for c, how, cut in clients:
        h = c.helper(c.frame().ping(mf.SEND_SOCKET)[:-1].decode())
        h.send(b"d" * cut)
        c.die(how)
    u.gone()
    settled(before, "Send/One")


@test
def nothing_was_stored():
    """A send that was cut is no stream, however the sockets went down."""
    c, a, t = harness.user()
    for how in ("close", "reset"):
        for cut in range(61):
            d = Client()
            f = d.ask(0x0633, b"\0\1" + mf.letterhead(a, a), t)
            d.helper(f.ping(mf.SEND_SOCKET)[:-1].decode()).send(b"d" * cut)
            d.die(how)
            d = Client()
            d.send(frame(0x0632, mf.letterhead(a, a, 61), t) + b"i" * cut)
            d.die(how)
    c.send_many(a, t, [a], b"marker")
    assert c.recv_one(a, t)[1] == b"marker"
    c.destroy(a, t, b"\1")


@test
def what_was_not_delivered_is_delivered_once():
    """Receivers and subscribers that die on the way: every stream comes, whole, to one who lives."""
    c, a, t = harness.user()
    big = os.urandom(3 << 20)
    ident, bind = c.subscription(0x0703, a + b"\1" + a, t)
    mf.dial(bind).close()
    r = connect()
    r.begin_recv(a, t, many=True)
    c.send_many(a, t, [a], big)
    r.reset()
    for how in ("close", "reset"):
        for part in (0, 1, 41, 42, 117, 118, 119, 5000, 1 << 20):
            d = Client()
            d.begin_recv(a, t)
            d.budget = Budget(part)
            try:
                d.stream(0x0532)
            except Cut:
                pass
            d.die(how)
            e = connect()
            s = e.resub(ident, a, t)
            s.exactly(part)
            getattr(s, how)()
            e.close()
    assert c.recv_one(a, t)[1] == big
    s = c.resub(ident, a, t)
    assert s.next()[1] == big
    assert s.is_silent()
    c.send_many(a, t, [a], b"end")
    assert s.next()[1] == b"end"
    c.destroy(a, t, b"\1")


def main():
    global STORE
    try:
        STORE = Store()
    except OSError:
        print("1..0 # SKIP liblmdb.so.0 cannot be loaded")
        return 0
    return harness.main()


if __name__ == "__main__":
    sys.exit(main())
