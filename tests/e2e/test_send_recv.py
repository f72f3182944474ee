#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Send and Recv line by line (microframe.md 3.6, 3.7), beyond what test_microframe.py has."""
import os
import shutil
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
from harness import (Ratmand, Skip, connect, is_silent, refused, test, user,  # noqa: E402
                     wait_until)
from microframe import Client, frame  # noqa: E402


def descriptors():
    return len(os.listdir("/proc/%d/fd" % harness.DAEMON.process.pid))


def nothing_waits(c, a, t):
    """No stream waits for @a but the one sent here."""
    c.send_many(a, t, [a], b"marker")
    assert c.recv_one(a, t)[1] == b"marker"


@test
def inline_is_silent():
    """Mode 2: exactly N bytes are taken, and nothing is said."""
    c, a, t = user()
    for size in (1, 5, 1023, 1024, 4096, 16400, 100000):
        data = os.urandom(size)
        c.send(frame(0x0632, mf.letterhead(a, a, size), t) + data)
        assert is_silent(c.sock)
        assert c.recv_one(a, t)[1] == data
    # Byte by byte, the next request behind the last one.
    for byte in frame(0x0632, mf.letterhead(a, a, 7), t) + b"slowly!" + frame(0x0034):
        c.send(bytes([byte]))
    assert c.frame().kind == mf.STATUS
    head, data = c.recv_one(a, t)
    assert data == b"slowly!" and head.size == 7
    # Many of them, one behind the other.
    c.send(b"".join(frame(0x0632, mf.letterhead(a, a, 2), t) + b"%02d" % i for i in range(30)))
    assert [c.recv_one(a, t)[1] for _ in range(30)] == [b"%02d" % i for i in range(30)]


@test
def inline_with_aux():
    c, a, t = user()
    c.send(frame(0x0632, mf.letterhead(a, a, 3, aux=[(b"time-sent", b"2024-10-21 UTC")]), t) + b"abc")
    assert c.recv_one(a, t)[1] == b"abc"


@test
def inline_cut_short():
    """End before N: the stream is dropped."""
    c, a, t = user()
    for how in ("close", "reset", "shutdown"):
        d = connect()
        d.send(frame(0x0632, mf.letterhead(a, a, 10), t) + b"123456789")
        if how == "close":
            d.close()
        elif how == "reset":
            d.reset()
        else:
            d.sock.shutdown(socket.SHUT_WR)
            assert d.at_eof()
    nothing_waits(c, a, t)


@test
def inline_refused():
    """Whatever is wrong: N bytes are swallowed, one Error is said, the connection closes."""
    c, a, t = user()
    bad = b"\x02" + b"\0" * 31             # not on the curve
    for head, token, code in ((mf.letterhead(a, a, 6), None, mf.INVALID_AUTH),
                              (mf.letterhead(a, a, 6), b"\x44" * 32, mf.INVALID_AUTH),
                              (mf.letterhead(bad, a, 6), t, mf.INVALID_AUTH),
                              (mf.letterhead(a, bad, 6), t, mf.USER),
                              (mf.letterhead(a, None, 6), t, mf.USER),
                              (mf.letterhead(a, a, 6) + b"x", t, mf.USER)):
        d = connect()
        d.send(frame(0x0632, head, token) + b"12345")
        assert is_silent(d.sock)      # not before the last byte
        d.send(b"6")
        refused(code, lambda: d.frame().ping())
        assert d.at_eof()
    nothing_waits(c, a, t)


@test
def grace_fallback():
    """Mode 3: nothing for 2 s, then a data socket; late bytes inline are still taken."""
    c, a, t = user()
    d = connect()
    start = time.monotonic()
    d.send(frame(0x0632, mf.letterhead(a, a, 4), t))
    c.send(frame(0x0632, mf.letterhead(a, a, 99), t))
    f = c.frame()
    assert time.monotonic() - start > 1.8
    s = c.data_socket(f, t)
    s.sendall(b"of another length")        # the socket's end counts, not what was announced
    s.close()
    assert c.frame().payload == b"\1"
    head, data = c.recv_one(a, t)
    assert data == b"of another length" and head.size == 17
    d.frame().ping(mf.SEND_SOCKET)
    d.send(b"late")
    assert c.recv_one(a, t)[1] == b"late"


@test
def announced_nothing():
    """Mode 4: N = 0 and another request: no stream at all; silence: a data socket."""
    c, a, t = user()
    c.send(frame(0x0632, mf.letterhead(a, a, 0), t))
    c.send(frame(0x0034))
    assert c.frame().kind == mf.STATUS
    c.send(frame(0x0632, mf.letterhead(a, a, 0), t))
    s = c.data_socket(c.frame(), t)
    s.close()
    refused(mf.INTERNAL, lambda: c.frame().ping())       # 0 bytes
    nothing_waits(c, a, t)


@test
def capability_means_data_socket():
    """Mode 1: at once, whatever size is announced, and with a final answer."""
    ours, a, t = user(b"\1\0\1\1\2")
    for size in (0, 5, 1 << 50):
        start = time.monotonic()
        s = ours.open_send(a, t, [a], 0x0632, size)
        assert time.monotonic() - start < 1.5
        s.sendall(b"abc")
        s.close()
        assert ours.frame().payload == b"\1"
        head, data = ours.recv_one(a, t)
        assert data == b"abc" and head.size == 3
    refused(mf.INVALID_AUTH, ours.open_send, a, b"\x44" * 32, [a], 0x0632, 5)
    refused(mf.USER, ours.open_send, a, t, [None], 0x0632, 5)
    assert ours.status()                   # the session goes on


@test
def refused_before_any_socket():
    c, a, t = user()
    d, b, u = user()
    bad = b"\x02" + b"\0" * 31
    before = descriptors()
    for heads in ([mf.letterhead(a, bad)], [mf.letterhead(a, a), mf.letterhead(a, bad)],
                  [mf.letterhead(a, a), mf.letterhead(a, None)],
                  [mf.letterhead(a, a), mf.letterhead(b, a)],
                  [mf.letterhead(a, os.urandom(32)) for _ in range(64)] + [mf.letterhead(a, bad)]):
        payload = len(heads).to_bytes(2, "big") + b"".join(heads)
        refused(mf.USER, lambda p=payload: c.ask(0x0633, p, t).ping())
    refused(mf.INVALID_AUTH, lambda: c.ask(0x0633, b"\0\1" + mf.letterhead(b, a), t).ping())
    assert descriptors() == before
    nothing_waits(c, a, t)


@test
def duplicates_get_one():
    c, a, t = user()
    d, b, u = user()
    c.send_many(a, t, [b, a, b, b, a], b"once each")
    assert c.recv_one(a, t)[1] == b"once each"
    assert d.recv_one(b, u)[1] == b"once each"
    nothing_waits(c, a, t)
    d.send_many(b, u, [b], b"last")
    assert d.recv_one(b, u)[1] == b"last"


@test
def bytes_of_send_many():
    c, a, t = user()
    f = c.ask(0x0633, b"\0\1" + mf.letterhead(a, a, 12345), t)
    assert f.mode == 0 and f.token == t and f.payload[:1] == b"\x09" and f.payload[-1:] == b"\0"
    s = c.data_socket(f, t)
    s.sendall(b"size is what came")
    assert is_silent(c.sock)
    s.close()
    assert c.exactly(43) == frame(0, b"\1", t)
    head, data = c.recv_one(a, t)
    assert head.size == len(data) == 17 and head.aux_count == 0


@test
def strangers_are_turned_away():
    """Only from the host of the main connection, and only one."""
    c, a, t = user()
    f = c.ask(0x0633, b"\0\1" + mf.letterhead(a, a), t)
    host, port = f.payload[1:-1].decode().rsplit(":", 1)
    stranger = socket.socket()
    stranger.bind(("127.0.0.2", 0))
    stranger.settimeout(10)
    stranger.connect((host, int(port)))
    try:
        assert stranger.recv(1) == b""
    except ConnectionResetError:
        pass
    s = c.data_socket(f, t)
    s.sendall(b"mine")
    s.close()
    c.frame().ping()
    assert c.recv_one(a, t)[1] == b"mine"
    ident, bind = c.subscription(0x0703, a + b"\1" + a, t)
    stranger = socket.socket()
    stranger.bind(("127.0.0.2", 0))
    stranger.settimeout(10)
    stranger.connect(("127.0.0.1", int(bind.rsplit(":", 1)[1])))
    try:
        assert stranger.recv(1) == b""
    except ConnectionResetError:
        pass
    sub = mf.Subscriber(bind)
    c.send_many(a, t, [a], b"to me")
    assert sub.next()[1] == b"to me"


@test
def over_ipv6():
    """Helper sockets are bound to the address the client reached, and named [ip6]:port."""
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
            port = s.getsockname()[1]
    except OSError:
        raise Skip("no IPv6 on this machine") from None
    directory = tempfile.mkdtemp(prefix="ratman-e2e.")
    daemon = Ratmand(harness.DAEMON.path, directory, "[::1]:%d" % port)
    try:
        c = Client(daemon.bind)
        a, t = c.create()
        c.up(a, t)
        f = c.ask(0x0633, b"\0\1" + mf.letterhead(a, a), t)
        assert f.payload[1:].startswith(b"[::1]:")
        s = c.data_socket(f, t)
        s.sendall(b"six")
        s.close()
        c.frame().ping()
        ident, bind = c.subscription(0x0703, a + b"\1" + a, t)
        assert bind.startswith("[::1]:")
        sub = mf.Subscriber(bind)
        assert c.recv_one(a, t)[1] == b"six"
        c.send_many(a, t, [a], b"again")
        assert sub.next()[1] == b"again"
    finally:
        good, text = daemon.stop()
        shutil.rmtree(directory)
        assert good, text


@test
def bytes_of_recv():
    c, a, t = user()
    for text in (b"one", b"two", b"three"):
        c.send_many(a, t, [a], text)
    c.send(frame(0x0532, a + b"\1" + a, t))
    want = (frame(0, b"\1", t) + frame(0x0532, mf.letterhead(a, a, 3), t) + b"one" +
            frame(0, b"\1", t))
    assert c.exactly(len(want)) == want
    c.send(frame(0x0533, a + b"\1" + a + b"\1\0\0\0\2", t))
    want = (frame(0, b"\1", t) + frame(0x0533, mf.letterhead(a, a, 3), t) + b"two" +
            frame(0x0533, mf.letterhead(a, a, 5), t) + b"three")
    assert c.exactly(len(want)) == want
    assert is_silent(c.sock)
    c.send(frame(0x0533, a + b"\1" + a + b"\1\0\0\0\0", t) + frame(0x0034))
    assert c.exactly(43) == frame(0, b"\1", t)
    assert c.frame().kind == mf.STATUS


@test
def request_behind_a_recv_waits():
    c, a, t = user()
    c.send(frame(0x0533, a + b"\1" + a + b"\1\0\0\0\1", t) + frame(0x0034))
    assert c.frame().payload == b"\1"
    assert is_silent(c.sock)
    d = connect()
    d.send_many(a, t, [a], b"now")
    assert c.stream(0x0533)[1] == b"now"
    assert c.frame().kind == mf.STATUS


@test
def waiting_receivers_that_leave_are_noticed():
    c, a, t = user()
    before = descriptors()
    for how in ("close", "reset"):
        for one in (True, False):
            d = connect()
            d.begin_recv(a, t, many=not one)
            getattr(d, how)()
    wait_until("they are gone", lambda: descriptors() == before)
    nothing_waits(c, a, t)


@test
def one_of_many_receivers_gets_each():
    c, a, t = user()
    receivers = [connect() for _ in range(5)]
    for r in receivers:
        r.begin_recv(a, t)
    for i in range(5):
        c.send_many(a, t, [a], b"%d" % i)
    got = [r.stream(0x0532)[1] for r in receivers]
    assert sorted(got) == [b"%d" % i for i in range(5)]
    for r in receivers:
        r.frame().ping()


if __name__ == "__main__":
    sys.exit(harness.main())
