#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A client killed at any byte of any exchange leaves nothing behind.

Each exchange of the table is cut at every byte it writes and at every byte it
reads, once by a close and once by a reset. Then the daemon's descriptors, its
clients, its status and the number of records in each table of its store are
what they were. Then each of its requests is sent with every byte wrong in turn: all
counts and lengths inside lie, and those of the header besides. A new exchange is
one line of the table; one without a line fails.
"""
import ctypes
import os
import re
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import service as sv  # noqa: E402
from harness import connect, is_silent, test, wait_until  # noqa: E402
from microframe import frame  # noqa: E402
from service import blob, opt, tags, text  # noqa: E402

# What is remembered on purpose: counters that only grow, deliveries, addresses that were seen,
# whom one has heard of.
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


class Client(Mortal, sv.Service):
    """Over the Unix socket, where one may do everything; knows all extensions, unless told."""

    def __init__(self, hello=mf.HELLO_EXTENDED):
        self.said = b""
        super().__init__(harness.DAEMON.socket, hello)
        self.said = b""
        self.helpers = []

    def send(self, data):
        self.said += data
        return super().send(data)

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
        self.c = sv.Service(harness.DAEMON.bind)
        self.id = self.other = self.file = None
        self.sockets = []
        self.begin()

    def begin(self):
        self.a, self.t = self.c.id, self.c.token = self.c.create()
        self.c.up(self.a, self.t)

    def gone(self):
        """Takes everything of it away again, also what an exchange brought down."""
        c = connect()
        c.up(self.a, self.t)
        c.destroy(self.a, self.t, b"\1")
        destroy_other(self)
        c.close()
        self.c.close()
        for s in self.sockets:
            s.close()


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


CONTACT = bytes(range(0x41, 0x61))
NOTES = b"hi\0" + b"\0\1k\0v\0" + b"\5"
SPACE = None


def has_a_contact(u):
    u.c.ask(0x0220, CONTACT + NOTES, u.t).ping()


def is_a_member(u):
    u.c.ask(0x0810, u.a + SPACE, u.t).ping()


def is_no_member(u):
    is_a_member(u)
    u.c.ask(0x0811, u.a + SPACE, u.t).ping()


SERVICE, FILE_DATA, FILE_NEW = b"org.example.cuts", b"content of a file" * 3, b"new content" * 3
KEY = text(SERVICE) + text(b"ns") + text(b"key")
MESSAGE = bytes(range(0x71, 0x91))
TAGS = ((b"colour", b"red"), (b"empty", b""))


def is_a_user(u):
    u.c.user_update(handle=b"cut", bio=((b"k", b"v"),))


def another_is_a_user(u):
    has_another_address(u)
    c = sv.Service(harness.DAEMON.bind)
    c.id, c.token = u.other
    c.user_update(handle=b"another")
    c.close()


def has_a_session(u):
    """A password costs time on purpose: one login, as long as it lives."""
    if u.other and u.other[0] == u.a:
        d = sv.Service(harness.DAEMON.bind)
        alive = d.ask(0x0934, u.a, u.other[1]).kind == 1
        d.close()
        if alive:
            return
    else:
        u.c.change_password(b"pass")
    d = sv.Service(harness.DAEMON.bind)
    u.other = d.login(u.a, b"pass")
    d.close()


def watches_users(u):
    """It lasts as long as its socket."""
    while u.sockets:
        u.sockets.pop().close()
    u.id, s = u.c.user_sub()
    u.sockets.append(s)


def somebody_new(u):
    """Who has no subscriptions yet: nobody can end those whose id was never heard."""
    u.c.destroy(u.a, u.t, b"\1")
    u.begin()


def watches_messages(u):
    if u.id:
        u.c.ask(0x0a05, u.id + u.a, u.t)
    u.id, s = u.c.message_sub(SERVICE)
    s.close()


def has_no_message(u):
    try:
        u.c.message_delete(MESSAGE)
    except sv.ServiceError as e:
        assert e.code == sv.NO_DATA


def has_a_message(u):
    if not u.c.ask(0x0a31, QUERY(u), u.t).kind == sv.MESSAGES:
        u.c.message_send(u.a, SERVICE, b"data", TAGS, MESSAGE)
        wait_until("it is there", lambda: u.c.ask(0x0a31, QUERY(u), u.t).kind == sv.MESSAGES)


def QUERY(u):
    """Message/Query with everything in it."""
    return u.a + opt(SERVICE) + b"\1" + MESSAGE + b"\1" + u.a + tags(TAGS) + struct.pack(">II", 0, 5)


def message_is_due(u):
    has_no_message(u)
    watches_messages(u)
    u.c.message_send(u.a, SERVICE, b"data", TAGS, MESSAGE)


def nobody_registered(u):
    wait_until("the last one's service is gone", lambda: not u.c.services()[1])


def service_is_there(u):
    if SERVICE not in u.c.services()[1]:
        u.sockets.append(u.c.service_register(SERVICE))


def keeps_a_value(u):
    service_is_there(u)
    u.c.put(SERVICE, b"key", b"value", b"ns")


def has_no_file(u):
    for f in u.c.files():
        try:
            u.c.file_delete(f["id"])
        except sv.ServiceError as e:
            # Whom it was asked of said just now that there is none.
            assert e.code == sv.NO_DATA


def has_a_file(u):
    """No other, and not announced."""
    if [f["name"] for f in u.c.files()] != [b"old"] or u.file is None:
        has_no_file(u)
        u.file, _ = u.c.file_pack(b"old", FILE_DATA)


def has_the_old_file(u):
    if u.file not in [f["id"] for f in u.c.files()]:
        has_no_file(u)
        u.file, _ = u.c.file_pack(b"old", FILE_DATA)


def has_a_file_and_a_friend(u):
    if not u.other:
        has_another_address(u)
    has_a_file(u)


def friend_knows_of_it(u):
    has_a_file_and_a_friend(u)
    u.c.file_announce(u.file, u.other[0])


def wants_nothing(u):
    if not u.other:
        has_another_address(u)
    has_no_file(u)


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


def asked(c, u, mode, payload=b"", token=True):
    """A request with one reply, whatever it says."""
    return c.ask(mode, payload, u.t if token else None)


def watch(c, u, mode, payload, frames=0):
    """Sub or Resub of the Service API, or Service/Create, and what is due."""
    body = asked(c, u, mode, payload).ping(mf.SUBSCRIPTION)
    s = c.helper(body[32:-1].decode())
    for _ in range(frames):
        s.frame()


def pack(c, u, mode, payload, data):
    h = c.helper(asked(c, u, mode, payload).ping(mf.SEND_SOCKET)[:-1].decode())
    h.send(data)
    if c.budget and c.budget.left:
        h.close()
        c.frame()


def get(c, u):
    body = asked(c, u, 0x0c36, u.a + u.file).ping(sv.FILE)
    c.exactly(struct.unpack(">Q", body[32:])[0])
    c.frame().ping()


def head(u, size=0):
    return mf.letterhead(u.a, u.a, size)


# Name, what is needed before, the exchange.
TABLE = [
    ("Intrinsic/Up", nothing, handshake),
    ("Intrinsic/Down", nothing, lambda c, u: c.send(frame(0x0011))),
    ("Intrinsic/Status", nothing, lambda c, u: c.status()),
    ("Addr/Destroy", has_another_address, lambda c, u: c.destroy(*u.other)),
    ("Addr/Sub", nothing, lambda c, u: subscription(c, u, 0x0103, u.a + b"\0")),
    ("Addr/Resub", events_are_due, lambda c, u: subscription(c, u, 0x0104, u.id + u.a, 2)),
    ("Addr/Unsub", subscribed_to_events, lambda c, u: c.ask(0x0105, u.id + u.a, u.t).ping()),
    ("Addr/Up", nothing, lambda c, u: c.up(u.a, u.t)),
    ("Addr/Down", is_up, lambda c, u: c.down(u.a, u.t)),
    ("Addr/List", nothing, lambda c, u: c.addresses()),
    ("Contact/Add", nothing, lambda c, u: c.ask(0x0220, CONTACT + NOTES, u.t).ping()),
    ("Contact/Delete", has_a_contact, lambda c, u: c.ask(0x0221, CONTACT, u.t).ping()),
    ("Contact/List", has_a_contact, lambda c, u: c.ask(0x0230, b"", u.t)),
    ("Peer/List", nothing, lambda c, u: c.peers()),
    ("Peer/Status", nothing, lambda c, u: c.ask(0x0434, b"\0", u.t)),
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
    ("Space/Up", is_no_member, lambda c, u: c.ask(0x0810, u.a + SPACE, u.t).ping()),
    ("Space/Down", is_a_member, lambda c, u: c.ask(0x0811, u.a + SPACE, u.t).ping()),
    ("Space/Anycast", is_a_member,
     lambda c, u: c.ask(0x0835, u.a + SPACE + (30).to_bytes(16, "big"), u.t)),
    ("Intrinsic/Limits", nothing, lambda c, u: asked(c, u, 0x0036, token=False)),
    ("Contact/Modify", has_a_contact,
     lambda c, u: asked(c, u, 0x0222, b"\0\1k\0w\0" + b"\0\1x\0" + CONTACT + b"\1\3")),
    ("Contact/Query", has_a_contact,
     lambda c, u: asked(c, u, 0x0231, b"\0\1" + CONTACT + b"h\0" + b"\0\1k\0v\0" + b"\1\2")),
    ("Contact/Query with terms", has_a_contact,
     lambda c, u: asked(c, u, 0x0231, b"\0\0" + b"\0" + b"\0\0" + b"\3\4\2" + b"\1\0\1" + text(b"k") +
                        text(b"v") + b"\2")),
    ("Link/Create", nothing, lambda c, u: asked(c, u, 0x0301, b"eth:none0\0", False)),
    ("Link/Destroy", nothing, lambda c, u: asked(c, u, 0x0302, b"eth:none0\0", False)),
    ("Link/Up", nothing, lambda c, u: asked(c, u, 0x0310, b"eth:none0\0", False)),
    ("Link/Down", nothing, lambda c, u: asked(c, u, 0x0311, b"eth:none0\0", False)),
    ("Link/List", nothing, lambda c, u: asked(c, u, 0x0330, token=False)),
    ("Peer/Query", nothing, lambda c, u: asked(c, u, 0x0431, b"n\0" + b"\0\1k\0" + b"\1\2")),
    ("Stream/Up", has_a_file, lambda c, u: asked(c, u, 0x0710, u.file + u.a)),
    ("Stream/Down", has_a_file, lambda c, u: asked(c, u, 0x0711, u.file + u.a)),
    ("User/Destroy", another_is_a_user,
     lambda c, u: c.ask(0x0902, u.other[0] + b"\1", u.other[1])),
    ("User/Sub", is_a_user, lambda c, u: watch(c, u, 0x0903, u.a)),
    ("User/Unsub", watches_users, lambda c, u: asked(c, u, 0x0905, u.id + u.a)),
    ("User/Down", has_a_session, lambda c, u: c.ask(0x0911, u.a, u.other[1])),
    ("User/Modify", is_a_user,
     lambda c, u: asked(c, u, 0x0922, u.a + b"\0" + sv.update(
         handle=b"h", name=b"n", avatar=b"png", bio=((b"k", b"v"),), rm_bio=(b"x",),
         services=(b"a.b",), rm_services=(b"c.d",)))),
    ("User/List", is_a_user, lambda c, u: asked(c, u, 0x0930, b"\2", False)),
    ("User/Query one", is_a_user, lambda c, u: asked(c, u, 0x0931, b"\0" + u.a, False)),
    ("User/Query", is_a_user,
     lambda c, u: asked(c, u, 0x0931, b"\1\0\2" + text(b"handle") + text(b"cut") + b"\1" +
                        text(b"") + text(b"v") + b"\2" + struct.pack(">II", 0, 5), False)),
    ("User/Status", nothing, lambda c, u: asked(c, u, 0x0934, u.a)),
    ("Message/One", has_no_message,
     lambda c, u: asked(c, u, 0x0a32, u.a + b"\1" + u.a + b"\1" + MESSAGE + text(SERVICE) +
                        tags(TAGS) + blob(b"data"))),
    ("Message/Query", has_a_message, lambda c, u: asked(c, u, 0x0a31, QUERY(u))),
    ("Message/Modify", has_a_message,
     lambda c, u: asked(c, u, 0x0a22, u.a + MESSAGE + tags(TAGS) + tags(((b"x", b"y"),)))),
    ("Message/Delete", has_a_message, lambda c, u: asked(c, u, 0x0a21, u.a + MESSAGE)),
    ("Message/Sub", somebody_new, lambda c, u: watch(c, u, 0x0a03, u.a + opt(SERVICE) + tags(TAGS))),
    ("Message/Resub", message_is_due, lambda c, u: watch(c, u, 0x0a04, u.id + u.a, 1)),
    ("Message/Unsub", watches_messages, lambda c, u: asked(c, u, 0x0a05, u.id + u.a)),
    ("Message/Many", nothing,
     lambda c, u: asked(c, u, 0x0a33, u.a + b"\0\1" + u.a + text(SERVICE) + tags(TAGS) +
                        blob(b"data"))),
    ("Service/Create", nobody_registered,
     lambda c, u: watch(c, u, 0x0b01, text(SERVICE) + opt(b"what it does"))),
    ("Service/Destroy", service_is_there,
     lambda c, u: asked(c, u, 0x0b02, text(SERVICE), False)),
    ("Service/Add", service_is_there, lambda c, u: asked(c, u, 0x0b20, u.a + KEY + blob(b"value"))),
    ("Service/Delete", keeps_a_value, lambda c, u: asked(c, u, 0x0b21, u.a + KEY)),
    ("Service/List", keeps_a_value,
     lambda c, u: asked(c, u, 0x0b30, u.a + text(SERVICE) + opt(b"ns"))),
    ("Service/Query", keeps_a_value, lambda c, u: asked(c, u, 0x0b31, u.a + KEY)),
    ("Service/Status", service_is_there, lambda c, u: asked(c, u, 0x0b34, token=False)),
    ("File/Create", has_no_file,
     lambda c, u: pack(c, u, 0x0c01, u.a + text(b"new") + struct.pack(">Q", 33) + opt(b"text/x"),
                       FILE_NEW)),
    ("File/Modify", has_the_old_file,
     lambda c, u: pack(c, u, 0x0c22, u.a + u.file + struct.pack(">Q", 33), FILE_NEW)),
    ("File/Sub", nothing, lambda c, u: watch(c, u, 0x0c03, u.a)),
    ("File/Up", has_a_file_and_a_friend,
     lambda c, u: asked(c, u, 0x0c10, u.a + u.file + b"\1" + u.other[0])),
    ("File/Down", friend_knows_of_it,
     lambda c, u: asked(c, u, 0x0c11, u.a + u.file + b"\1" + u.other[0])),
    ("File/Add", wants_nothing, lambda c, u: asked(c, u, 0x0c20, u.a + MESSAGE + b"\1" + u.other[0])),
    ("File/Delete", has_a_file, lambda c, u: asked(c, u, 0x0c21, u.a + u.file)),
    ("File/List", has_a_file, lambda c, u: asked(c, u, 0x0c30, u.a + b"\0" + text(b"*"))),
    ("File/Query", has_a_file, lambda c, u: asked(c, u, 0x0c31, u.a + b"\1" + text(b"old"))),
    ("File/One", has_a_file_and_a_friend,
     lambda c, u: asked(c, u, 0x0c32, u.a + u.file + b"\0\1\1" + u.other[0])),
    ("File/Many", has_a_file_and_a_friend,
     lambda c, u: asked(c, u, 0x0c33, u.a + u.file + b"\0\1\1" + u.other[0])),
    ("File/Status", has_a_file, lambda c, u: asked(c, u, 0x0c34, u.a + u.file)),
    ("File/Get", has_a_file, get),
]

# After the whole request the address is there for good: cut before its last byte only.
CREATE = frame(0x0101, b"\0" + os.urandom(32))


def player(exchange, kind=Client):
    return kind(None) if exchange is handshake else kind()


def play(exchange, u, budget, how):
    """The exchange up to the cut; True when it ended before."""
    c = player(exchange)
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


# Lies --------------------------------------------------------------------------------

PINGS = set(range(1, 0x2c))


def ask(request, header=None):
    """
    The reply to a request as bytes, None when the daemon hung up; @header: with another
    length in it, which the connection does not survive.
    """
    c = Client()
    try:
        if header is None:
            c.send(request)
        else:
            at = 4 + struct.unpack(">I", request[:4])[0]
            c.send(request[:at - 4] + struct.pack(">I", header) + request[at:])
            c.sock.shutdown(1)
        return c.frame()
    except (mf.Closed, OSError):
        return None
    finally:
        c.close()


def lie_everywhere(name, prepare, exchange):
    """Every byte of the payload becomes 0, 255 and one more; then the header's length."""
    before = baseline()
    u = User()
    prepare(u)
    c = Client()
    try:
        exchange(c, u)
    except (mf.Error, AssertionError):
        pass                # an exchange that ends with an error: the request counts
    c.die("close")
    head_len = 4 + struct.unpack(">I", c.said[:4])[0]
    size, = struct.unpack(">I", c.said[head_len - 4:head_len])
    request = c.said[:head_len + size]
    assert len(request) == head_len + size, "%s: half a request" % name
    mode, = struct.unpack(">H", request[4:6])
    for at in range(head_len, len(request)):
        for byte in {0, 255, (request[at] + 1) % 256} - {request[at]}:
            f = ask(request[:at] + bytes([byte]) + request[at + 1:])
            assert f is not None, "%s: byte %d is %d: no answer" % (name, at - head_len, byte)
            assert f.mode in (0, mode), "%s: the reply has mode %04x" % (name, f.mode)
            # A ping, or of Recv a letterhead.
            assert f.payload and f.kind in PINGS or f.mode >> 8 == 5, "%s: %r" % (name, f.payload[:1])
    for length in (0, size - 1, size + 1, size + 65536, 0x7fffffff, 0xffffffff):
        if length != size and length >= 0:
            ask(request, length)
    u.gone()
    settled(before, name + " with lies")


def register(name, prepare, exchange):
    def run():
        cut_everywhere(name, prepare, exchange)
        if name.split(",")[0].split(" ")[0] not in UNTOLD:
            lie_everywhere(name, prepare, exchange)
    run.__name__ = name.replace(" ", "_")
    test(run)


# No lies in these: no payload to lie in, nothing is answered before what follows it, or only
# after a time that is told.
UNTOLD = {"Intrinsic/Up", "Intrinsic/Down", "Intrinsic/Status", "Intrinsic/Limits", "Addr/List",
          "Contact/List", "Link/List", "Peer/List", "Service/Status", "Send/One", "User/Down",
          "Space/Anycast"}


@test
def every_exchange_is_here():
    """Those the daemon knows are in userspace/proto/ops.c."""
    with open(os.path.join(harness.TOP, "userspace/proto/ops.c")) as f:
        known = set(re.findall(r'^\tOP\(.*"(\w+/\w+)"\),$', f.read(), flags=re.M))
    assert len(known) > 60
    here = {re.match(r"\w+/\w+", name).group() for name, _, _ in TABLE}
    here |= {f.__name__.replace("_", "/", 1) for f in harness.TESTS}
    assert not known - here, "no line for %s" % sorted(known - here)
    assert UNTOLD <= known


@test
def Space_Create():
    """Cut before its last byte: the whole request makes something for good, for the table."""
    global SPACE
    seed = os.urandom(32)
    c = connect()
    SPACE, token = c.create(b"\0" + seed)      # tells the public key
    c.up(SPACE, token)
    c.destroy(SPACE, token, b"\1")
    create = frame(0x0801, SPACE + seed)
    before = baseline()
    for how in ("close", "reset"):
        for cut in range(len(create)):
            d = Client()
            d.send(create[:cut])
            d.die(how)
    settled(before, "Space/Create")
    c.ask(0x0801, SPACE + seed).ping()
    c.close()


class Listener(Client):
    """Keeps the frames that came on the connection itself."""

    def __init__(self, hello=mf.HELLO_EXTENDED):
        self.heard = []
        super().__init__(hello)
        self.heard.clear()

    def frame(self):
        self.heard.append(super().frame())
        return self.heard[-1]


# Refused on purpose; and those that want the kernel module, which tests/system has.
REFUSED, MODULE = {"Send/One refused"}, {"Link/Create", "Link/Destroy", "Link/Up", "Link/Down"}


@test
def what_is_cut_is_no_refusal():
    """Each line as it is, uncut: else it would not be that exchange which is cut."""
    for name, prepare, exchange in TABLE:
        u = User()
        prepare(u)
        c = player(exchange, Listener)
        exchange(c, u)
        for f in c.heard:
            if not f.payload or f.kind not in (mf.ERROR, sv.SERVICE_ERROR):
                continue
            why = str(mf.parse_error(f.payload)) if f.kind == mf.ERROR else f.payload[2:].decode()
            assert name in REFUSED or name in MODULE and "module" in why, "%s: %s" % (name, why)
        c.die("close")
        u.gone()


for line in TABLE:
    register(*line)


def cut_anywhere(data, what):
    """A request of which a part comes leaves nothing behind."""
    before = baseline()
    for how in ("close", "reset"):
        for cut in range(len(data)):
            c = Client()
            c.send(data[:cut])
            c.die(how)
    settled(before, what)


@test
def Addr_Create():
    cut_anywhere(CREATE, "Addr/Create")


@test
def User_Create():
    cut_anywhere(frame(0x0901, text(b"pass") + opt(b"cut")), "User/Create")


@test
def User_Up():
    """The password costs time on purpose: few cuts of the reply."""
    before = baseline()
    u = User()
    u.c.change_password(b"pass")
    login = frame(0x0910, u.a + text(b"pass"))
    for how in ("close", "reset"):
        for cut in (*range(len(login)), len(login), len(login) + 1, len(login) + 40):
            c = Client()
            c.budget = Budget(cut)
            try:
                c.send(login)
                c.frame()
            except Cut:
                pass
            c.die(how)
    u.gone()
    settled(before, "User/Up")


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
    assert is_silent(s.sock)
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
