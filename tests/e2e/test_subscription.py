#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stream/Sub, Resub, Unsub, List and Addr/Sub, Resub, Unsub (microframe.md 3.7, 3.8)."""
import os
import select
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
from harness import connect, is_silent, refused, settle, test, user, wait_until  # noqa: E402
from microframe import Closed, Subscriber, frame  # noqa: E402


def closed(sock):
    """The daemon closed it, after whatever was under way."""
    try:
        while sock.sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


@test
def bytes_of_it_all():
    c, a, t = user()
    f = c.ask(0x0703, a + b"\1" + a, t)
    assert f.mode == 0 and f.token == t and f.payload[0] == 6
    ident, bind = f.payload[1:33], f.payload[33:-1].decode()
    assert 0 not in ident and f.payload[-1] == 0
    assert bind.startswith("127.0.0.1:")
    s = Subscriber(bind)
    c.send_many(a, t, [a], b"hello")
    head = mf.letterhead(a, a, 5)
    assert s.exactly(42 + len(head) + 5) == frame(0x0332, head, t) + b"hello"
    assert c.ask(0x0730, a, t).payload == b"\2\0\1" + ident
    assert c.ask(0x0705, ident + a, t).payload == b"\1"
    assert closed(s)
    assert c.ask(0x0730, a, t).payload == b"\2\0\0"


@test
def a_second_sub_is_the_same():
    c, a, t = user()
    ident, s = c.sub(a, t)
    again, s2 = c.sub(a, t)
    assert again == ident and c.subscriptions(a, t) == [ident]
    assert closed(s)                       # the new socket has taken over
    c.send_many(a, t, [a], b"once")
    assert s2.next()[1] == b"once"
    assert is_silent(s2.sock)
    c.unsub(ident, a, t)


@test
def no_recipient_means_the_own_address():
    c, a, t = user()
    ident, bind = c.subscription(0x0703, a + b"\0", t)
    s = Subscriber(bind)
    c.send_many(a, t, [a], b"mine")
    assert s.next()[1] == b"mine"


@test
def refusals():
    c, a, t = user()
    d, b, u = user()
    wrong = b"\x66" * 32
    refused(mf.INVALID_AUTH, c.sub, a, None)
    refused(mf.INVALID_AUTH, c.sub, a, wrong)
    refused(mf.INVALID_AUTH, c.sub, b, t)
    refused(mf.USER, c.sub, a, t, b)
    refused(mf.INVALID_AUTH, d.subscriptions, a, u)
    refused(mf.INVALID_AUTH, d.subscriptions, a, None)
    ident, s = c.sub(a, t)
    assert d.subscriptions(b, u) == []
    for call in (c.resub, c.unsub):
        try:
            call(b"\x99" * 32, a, t)
            raise AssertionError("not refused")
        except mf.Error as e:
            assert e.code == mf.NO_SUBSCRIPTION and e.text == "99" * 32
        refused(mf.INVALID_AUTH, call, ident, a, u)
        refused(mf.INVALID_AUTH, call, ident, b, t)
    refused(mf.NO_ADDRESS, d.resub, ident, b, u)
    refused(mf.NO_ADDRESS, d.unsub, ident, b, u)
    for mode in (0x0104, 0x0105):          # that one is no subscription to events
        refused(mf.NO_SUBSCRIPTION, lambda m=mode: c.ask(m, ident + a, t).ping())
    for mode, payload in ((0x0703, a), (0x0703, a + b"\1" + a[:31]), (0x0704, ident + a[:31]),
                          (0x0705, ident + a + b"x"), (0x0730, a + b"x"), (0x0103, a),
                          (0x0103, a + b"\1"), (0x0104, ident), (0x0105, ident)):
        refused(mf.USER if len(payload) >= 32 and payload[:32] == a or mode in (0x0704, 0x0705,
                0x0104, 0x0105) else mf.INVALID_AUTH, lambda m=mode, p=payload: c.ask(m, p, t).ping())
    assert c.status()
    c.send_many(a, t, [a], b"still")
    assert s.next()[1] == b"still"


@test
def buffered_before_the_connection():
    c, a, t = user()
    ident, bind = c.subscription(0x0703, a + b"\1" + a, t)
    for i in range(100):
        c.send_many(a, t, [a], b"%d" % i)
    s = Subscriber(bind)
    assert [s.next()[1] for _ in range(100)] == [b"%d" % i for i in range(100)]
    c.unsub(ident, a, t)


@test
def resub_replays_oldest_first():
    c, a, t = user()
    ident, s = c.sub(a, t)
    c.send_many(a, t, [a], b"seen")
    assert s.next()[1] == b"seen"
    s.close()
    sent = [os.urandom(1 + i * 1000) for i in range(20)]
    for data in sent:
        c.send_many(a, t, [a], data)
    s = c.resub(ident, a, t)
    assert [s.next()[1] for _ in range(20)] == sent
    s.close()
    s = c.resub(ident, a, t)               # and never again
    assert is_silent(s.sock)
    c.send_many(a, t, [a], b"new")
    assert s.next()[1] == b"new"


@test
def a_broken_socket_loses_nothing():
    c, a, t = user()
    ident, s = c.sub(a, t)
    big = os.urandom(6 << 20)
    c.send_many(a, t, [a], big)
    c.send_many(a, t, [a], b"after")
    for _ in range(2):
        s.exactly(100000)
        s.reset()
        s = c.resub(ident, a, t)
    assert s.next()[1] == big
    assert s.next()[1] == b"after"
    c.unsub(ident, a, t)


@test
def what_was_not_read_comes_again():
    """Small streams all fit into the socket; whoever dies with them unread has not had them."""
    c, a, t = user()
    ident, s = c.sub(a, t)
    for read in (0, 1, 2, 3):
        for how in ("close", "reset", "half"):
            if how == "reset" and read == 3:
                continue                   # a reset does not say that all was read
            sent = [b"%d%s%d" % (read, how.encode(), i) for i in range(3)]
            for data in sent:
                c.send_many(a, t, [a], data)
            for data in sent[:read]:
                assert s.next()[1] == data
            if read < 3:
                s.sock.recv(1, socket.MSG_PEEK)    # there, and not read
            if how == "half":
                s.sock.shutdown(socket.SHUT_WR)
                wait_until("the daemon has noticed", lambda: not is_open(s))
                s.close()
            else:
                getattr(s, how)()
            s = c.resub(ident, a, t)
            assert [s.next()[1] for _ in sent[read:]] == sent[read:]
            assert is_silent(s.sock)
    c.destroy(a, t, b"\1")


def is_open(s):
    """False when the daemon has closed its side, too; what it sent stays unread."""
    port = s.sock.getsockname()[1]
    with open("/proc/net/tcp") as f:
        states = [x.split()[3] for x in f.readlines()[1:]
                  if int(x.split()[1].rsplit(":", 1)[1], 16) == port]
    return any(state in ("01", "04", "05") for state in states)    # before FIN both ways


@test
def subscribers_and_receivers():
    """Each gets what completes while he is there; nothing comes twice; the rest waits for Recv."""
    c, a, t = user()
    c.send_many(a, t, [a], b"before")      # nobody there: waits for a receiver, not for Sub
    ident, s = c.sub(a, t)
    assert is_silent(s.sock)
    c.send_many(a, t, [a], b"to s")
    assert s.next()[1] == b"to s"
    r = connect()
    r.begin_recv(a, t, many=True)
    assert r.stream(0x0533)[1] == b"before"
    c.send_many(a, t, [a], b"both")
    assert s.next()[1] == b"both" and r.stream(0x0533)[1] == b"both"
    r2 = connect()
    r2.begin_recv(a, t, many=True)         # receivers share
    c.send_many(a, t, [a], b"shared")
    assert s.next()[1] == b"shared"
    ready, _, _ = select.select([r.sock, r2.sock], [], [], 30)
    got, other = (r, r2) if r.sock in ready else (r2, r)
    assert got.stream(0x0533)[1] == b"shared"
    assert is_silent(other.sock) and is_silent(got.sock)
    r.close()
    r2.close()
    settle()
    c.send_many(a, t, [a], b"s alone")
    assert s.next()[1] == b"s alone"
    d = connect()
    d.begin_recv(a, t, many=True)
    assert is_silent(d.sock)


@test
def unsub_leaves_the_rest_to_receivers():
    c, a, t = user()
    ident, s = c.sub(a, t)
    s.close()
    for i in range(5):
        c.send_many(a, t, [a], b"%d" % i)
    c.unsub(ident, a, t)
    refused(mf.NO_SUBSCRIPTION, c.resub, ident, a, t)
    assert [c.recv_one(a, t)[1] for _ in range(5)] == [b"%d" % i for i in range(5)]
    again, s = c.sub(a, t)
    assert again != ident


@test
def several_subscribers_of_a_namespace():
    c, a, t = user()
    d, b, u = user()
    n, nt = c.create(b"\0" + os.urandom(32))
    c.up(n, nt)
    ident, s = c.sub(a, t, n, mf.NAMESPACE)
    same, s2 = d.sub(b, u, n, mf.NAMESPACE)
    assert same == ident
    assert c.subscriptions(a, t) == [ident] and d.subscriptions(b, u) == [ident]
    payload = b"\0\1" + mf.letterhead(a, n, 0, mf.NAMESPACE)
    for data in (b"one", b"two"):
        x = c.data_socket(c.ask(0x0633, payload, t), t)
        x.sendall(data)
        x.close()
        c.frame().ping()
        for sock in (s, s2):
            head, got = sock.next()
            assert got == data and head.kind == mf.NAMESPACE and head.to == n
    c.unsub(ident, a, t)
    assert c.subscriptions(a, t) == [] and d.subscriptions(b, u) == [ident]
    x = c.data_socket(c.ask(0x0633, payload, t), t)
    x.sendall(b"three")
    x.close()
    c.frame().ping()
    assert s2.next()[1] == b"three"


@test
def survives_restart_and_crash():
    c, a, t = user()
    ident, s = c.sub(a, t)
    # The second is more than sockets hold: it cannot be handed over unread.
    sent = [os.urandom(6 << 20 if i == 1 else 1 + 5000 * i) for i in range(10)]
    c.send_many(a, t, [a], sent[0])
    assert s.next()[1] == sent[0]
    s.close()
    # Noticed and committed: a delivery is on disk when a later change is.
    wait_until("the socket is gone", lambda: harness_clients() == 1)
    for data in sent[1:]:
        c.send_many(a, t, [a], data)
    for stop in (harness.DAEMON.kill, harness.DAEMON.stop):
        stop()
        harness.DAEMON.start()
        c = connect()
        assert c.subscriptions(a, t) == [ident]
        s = c.resub(ident, a, t)
        first = s.frame()                  # not read to its end: comes again
        assert mf.Letterhead(first.payload).size == len(sent[1])
        s.reset()
    s = c.resub(ident, a, t)
    assert [s.next()[1] for _ in range(9)] == sent[1:]
    assert is_silent(s.sock)
    c.unsub(ident, a, t)
    harness.DAEMON.kill()
    harness.DAEMON.start()
    assert connect().subscriptions(a, t) == []


def harness_clients():
    """Connections of this process that the daemon still has, listeners apart."""
    port = int(harness.DAEMON.bind.rsplit(":", 1)[1])
    n = 0
    with open("/proc/%d/net/tcp" % harness.DAEMON.process.pid) as f:
        for line in f.readlines()[1:]:
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port and fields[3] == "01":
                n += 1
    return n


@test
def down_and_destroy_end_them():
    c, a, t = user()
    ident, s = c.sub(a, t)
    _, bind = c.subscription(0x0704, ident + a, t)
    c.down(a, t)
    assert closed(s)
    s = Subscriber(bind)                   # asked for before; not given after
    assert closed(s)
    refused(mf.INVALID_AUTH, c.resub, ident, a, t)
    c.up(a, t)
    s = c.resub(ident, a, t)               # going down ends no subscription
    c.send_many(a, t, [a], b"back")
    assert s.next()[1] == b"back"
    c.destroy(a, t, b"\1")
    assert closed(s)


@test
def slow_subscriber():
    """Streams wait in the store; the daemon's memory does not grow with them."""
    harness.DAEMON.stop()                  # the sanitizer keeps what was freed, but not so much
    harness.DAEMON.start(environment={"ASAN_OPTIONS": "quarantine_size_mb=4"})
    c, a, t = user()
    ident, s = c.sub(a, t)
    data = os.urandom(4 << 20)
    for _ in range(3):
        c.send_many(a, t, [a], data)
    before = resident()
    for _ in range(12):
        c.send_many(a, t, [a], data)
    grown = resident() - before
    assert grown < 24 << 10, "%d KiB more for 48 MiB that wait" % grown
    for _ in range(15):
        assert s.next()[1] == data
    c.unsub(ident, a, t)


def resident():
    """KiB of anonymous memory: the map of the store is not ours."""
    with open("/proc/%d/status" % harness.DAEMON.process.pid) as f:
        return int([x for x in f if x.startswith("RssAnon")][0].split()[1])


@test
def goodbye_leaves_the_socket():
    """Whoever asks and leaves in order may have told another where to connect; a crash takes it back."""
    c, a, t = user()
    d = connect()
    ident, bind = d.subscription(0x0703, a + b"\1" + a, t)
    d.send(frame(0x0011))
    assert d.at_eof()
    c.send_many(a, t, [a], b"for another")
    assert Subscriber(bind).next()[1] == b"for another"
    d = connect()
    ident, bind = d.subscription(0x0704, ident + a, t)
    d.close()
    wait_until("the socket is closed", lambda: not takes(bind))


def takes(bind):
    try:
        mf.dial(bind).close()
        return True
    except ConnectionRefusedError:
        return False


@test
def sockets_that_wait_are_few():
    c, a, t = user()
    binds = []
    for _ in range(16):
        binds.append(c.subscription(0x0703, a + b"\1" + a, t)[1])
    refused(mf.INTERNAL, c.subscription, 0x0703, a + b"\1" + a, t)
    s = [Subscriber(bind) for bind in binds[:2]]
    assert closed(s[0])                    # so the other is there, too
    c.subscription(0x0703, a + b"\1" + a, t)
    # Goodbyes gather none either.
    before = descriptors()
    for _ in range(20):
        d = connect()
        for _ in range(16):
            d.subscription(0x0703, a + b"\1" + a, t)
        d.send(frame(0x0011))
        assert d.at_eof()
    assert descriptors() - before < 80


def descriptors():
    return len(os.listdir("/proc/%d/fd" % harness.DAEMON.process.pid))


@test
def aux_data_by_capability():
    c, a, t = user()
    ours = connect(b"\1\0\1\1\7")
    ident, s = c.sub(a, t)
    for who, pairs in ((c, 0), (ours, 1)):
        s = who.resub(ident, a, t)
        x = c.data_socket(c.ask(0x0633, b"\0\1" + mf.letterhead(a, a, 0, aux=[(b"k", b"v")]), t), t)
        x.sendall(b"data")
        x.close()
        c.frame().ping()
        head, data = s.next()
        assert data == b"data" and head.aux_count == pairs


@test
def events():
    c, a, t = user()
    f = c.ask(0x0103, a + b"\0", t)
    assert f.token == t and f.payload[0] == 6
    ident, bind = f.payload[1:33], f.payload[33:-1].decode()
    s = Subscriber(bind)
    d, b, u = user()                       # creates and brings up
    assert s.exactly(42 + 33) == frame(0x0103, b"\1" + b, t)
    d.up(b, u)                             # up already: nothing happened
    d.down(b, u)
    d.down(b, u)
    d.up(b, u)
    assert [s.event() for _ in range(2)] == [(mf.EVENT_DOWN, b), (mf.EVENT_UP, b)]
    s.close()
    d.destroy(b, u)
    same, bind = c.subscription(0x0104, ident + a, t)
    assert same == ident
    s = Subscriber(bind)                   # replayed
    assert s.event() == (mf.EVENT_DOWN, b)
    assert c.subscription(0x0103, a + b"\0", t)[0] == ident
    assert c.subscriptions(a, t) == []     # streams only
    refused(mf.NO_SUBSCRIPTION, c.resub, ident, a, t)
    d, b, u = user()
    harness.DAEMON.kill()
    harness.DAEMON.start()
    c = connect()
    s = Subscriber(c.subscription(0x0104, ident + a, t)[1])
    c.down(b, u)
    seen = []
    while not seen or seen[-1] != (mf.EVENT_DOWN, b):
        seen.append(s.event())
    assert seen.count((mf.EVENT_DOWN, b)) == 1
    f = c.ask(0x0105, ident + a, t)
    f.ping()
    assert f.token == t and closed(s)
    refused(mf.NO_SUBSCRIPTION, c.subscription, 0x0104, ident + a, t)


@test
def own_down_is_the_last_event():
    c, a, t = user()
    ident, bind = c.subscription(0x0103, a + b"\0", t)
    s = Subscriber(bind)
    c.down(a, t)
    try:
        while True:
            assert s.event()[0] in (mf.EVENT_UP, mf.EVENT_DOWN)
    except (Closed, ConnectionResetError):
        pass


if __name__ == "__main__":
    sys.exit(harness.main())
