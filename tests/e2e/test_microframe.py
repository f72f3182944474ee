#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every exchange of the client protocol against a running daemon, and hostile clients.

RATMAND=path/to/ratmand tests/e2e/test_microframe.py      (TAP on standard output)
"""
import os
import random
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
from harness import Bystander, connect, is_silent, refused, test, user  # noqa: E402
from microframe import Closed, Error, frame  # noqa: E402


@test
def handshake():
    assert connect().capabilities == b""
    assert connect(b"\1\0\1\1\7").capabilities == b"\1\7"
    c = connect(None)
    c.send(frame(0x0000, mf.HELLO))
    c.frame().ping()
    assert c.status()


@test
def version_mismatch():
    c = connect(None)
    c.send(frame(0x0010, b"\1\0\2"))
    assert c.frame().payload == b"\x050.1\x000.2\0"
    assert c.at_eof()
    for first in (frame(0x0130), frame(0x0010), frame(0x0010, b"\2\0\1"), frame(0x0010, b"\1")):
        c = connect(None)
        c.send(first)
        assert c.frame().payload == b"\x050.1\0?\0"
        assert c.at_eof()


@test
def intrinsic_down_and_status():
    c = connect()
    peers, local, tokens, workers = c.status()
    assert c.ask(0x0034, b"stray payload").kind == mf.STATUS
    c.send(frame(0x0011))
    assert c.at_eof()


@test
def addr_create_forms():
    c = connect()
    seed = os.urandom(32)
    forms = [b"", b"\0", b"\0\0", b"bob", b"bob\0", b"bob\0\0", b"\0" + os.urandom(32),
             b"bob\0" + seed, "gr\u00fc\u00df".encode()]
    before = set(c.addresses())
    made = [c.create(f) for f in forms]
    assert set(c.addresses()) == before | {a for a, _ in made}
    assert c.addresses() == sorted(c.addresses())
    for address, token in made:
        assert 0 not in token
    for bad in (b"bob\0x", b"\0\1", b"\xff\xfe", b"a\0b\0", b"x" * 300):
        refused(mf.USER, c.create, bad)
    for address, token in made:
        c.destroy(address, token)


@test
def addr_life():
    c = connect()
    a, t = c.create()
    wrong = bytes([t[0] ^ 1 or 2]) + t[1:]
    base = c.status()[2]
    refused(mf.INVALID_AUTH, c.up, a, wrong)
    refused(mf.INVALID_AUTH, lambda: c.ask(0x0110, a).ping())
    refused(mf.NO_ADDRESS, c.up, bytes(range(1, 33)), t)
    c.up(a, t)
    c.up(a, t)
    assert c.status()[2] == base + 1
    connect().begin_recv(a, t)      # tokens are shared by all connections
    refused(mf.INVALID_AUTH, c.down, a, wrong)
    c.down(a, t)
    assert c.status()[2] == base
    c.down(a, t)                       # not announced: still Ok
    refused(mf.INVALID_AUTH, c.begin_recv, a, t)
    refused(mf.INVALID_AUTH, c.destroy, a, wrong)
    c.ask(0x0102, a, t).ping()         # no force byte, not up
    assert a not in c.addresses()
    try:                               # "check" fails, or there is no such address
        c.destroy(a, t)
        raise AssertionError("destroyed twice")
    except Error as e:
        assert e.code in (mf.INVALID_AUTH, mf.NO_ADDRESS)


@test
def bad_lengths_keep_the_session():
    c, a, t = user()
    for mode, payload in ((0x0110, a[:31]), (0x0110, a + b"\0"), (0x0102, a + b"\0\0"),
                          (0x0532, a), (0x0533, a + mf.recipient(a) + b"\1\0")):
        refused(mf.USER, lambda m=mode, p=payload: c.ask(m, p, t).ping())
    assert c.status()


@test
def peer_list():
    c = connect()
    c.peers()
    f = c.ask(0x0430, b"", b"\x55" * 32)
    assert f.token is None, "Peer/List never carries auth"


@test
def unknown_modes():
    c = connect()
    for mode in (0x0330, 0x0223, 0x0433, 0x0706, 0x0712, 0x7fff, 0x0000):
        refused(mf.NOT_SUPPORTED, lambda m=mode: c.ask(m, os.urandom(1000)).ping())
    assert c.status()


@test
def headers_accepted():
    c = connect()
    def raw(header, payload=b""):
        c.send(struct.pack(">I", len(header)) + header + payload)
        return c.frame()
    z = struct.pack(">H", 0x0034)
    assert raw(z + b"\0" + b"\0\0\0\0").kind == mf.STATUS
    assert raw(z + b"\0" * 32 + b"\0\0\0\2", b"xx").kind == mf.STATUS
    assert raw(z + b"\x55" * 32 + b"\0" + b"\0\0\0\1", b"x").kind == mf.STATUS
    assert raw(z + b"\0\0" + b"\0\0\0\3", b"xyz").kind == mf.STATUS
    assert raw(z + b"\0" + b"\0\0\0\1" + b"tail", b"x").kind == mf.STATUS
    assert raw(z + b"\x55" * 32 + b"\0\0\0\0" + b"t" * 26).kind == mf.STATUS
    a, t = c.create()
    f = raw(struct.pack(">H", 0x0110) + t + b"\0" + b"\0\0\0\x20", a)
    f.ping()


@test
def pipelined_in_order():
    c, a, t = user()
    n = 2000
    c.send((frame(0x0034) + frame(0x0110, a, t) + frame(0x0330, b"abc")) * n)
    for _ in range(n):
        assert c.frame().kind == mf.STATUS
        f = c.frame()
        assert f.kind == mf.OK and f.token == t
        assert c.frame().kind == mf.ERROR


@test
def half_closed_client_gets_its_answers():
    c = connect()
    c.send(frame(0x0034) * 3)
    c.sock.shutdown(socket.SHUT_WR)
    for _ in range(3):
        assert c.frame().kind == mf.STATUS
    assert c.at_eof()


@test
def send_many_recv_one():
    c, a, t = user()
    for size in (1, 1000, 16384, 100000, 3000000):
        data = os.urandom(size)
        c.send_many(a, t, [a], data)
        head, got = c.recv_one(a, t)
        assert got == data and head.size == size and head.sender == a and head.to == a
    assert c.status()


@test
def send_many_to_several():
    c, a, t = user()
    d, b, u = user()
    data = os.urandom(70000)
    c.send_many(a, t, [a, b, a], data)
    assert c.recv_one(a, t)[1] == data
    assert d.recv_one(b, u)[1] == data


@test
def send_many_refusals():
    c, a, t = user()
    refused(mf.USER, lambda: c.ask(0x0633, b"\0\0", t).ping())
    refused(mf.INVALID_AUTH, c.open_send, a, None, [a])
    refused(mf.INVALID_AUTH, c.open_send, bytes(range(1, 33)), t, [a])
    two = b"\0\2" + mf.letterhead(a, a) + mf.letterhead(bytes(range(1, 33)), a)
    refused(mf.USER, lambda: c.ask(0x0633, two, t).ping())
    refused(mf.USER, lambda: c.ask(0x0633, b"\0\2" + mf.letterhead(a, a), t).ping())
    refused(mf.USER, lambda: c.ask(0x0633, b"\0\1" + mf.letterhead(a, a) + b"x", t).ping())
    refused(mf.USER, c.open_send, a, t, [None])
    refused(mf.USER, c.open_send, a, t, [b"\x02" + b"\0" * 31])   # not on the curve
    refused(mf.USER, c.open_send, a, t, [b"\xff" * 32])
    s = c.open_send(a, t, [a])
    s.close()
    refused(mf.INTERNAL, lambda: c.frame().ping())                # empty stream
    c.send_many(a, t, [a], b"fine")
    assert c.recv_one(a, t)[1] == b"fine"


@test
def send_reset_is_no_end():
    c, a, t = user()
    s = c.open_send(a, t, [a])
    s.sendall(b"x" * 1000)
    time.sleep(0.05)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    refused(mf.INTERNAL, lambda: c.frame().ping())
    # Main connection first, as when a process is killed.
    d = connect()
    s = d.open_send(a, t, [a])
    s.sendall(b"y" * 1000)
    d.close()
    s.close()
    c.send_many(a, t, [a], b"only this")
    assert c.recv_one(a, t)[1] == b"only this"


@test
def send_one_modes():
    rust, a, t = user()
    ours = connect(b"\1\0\1\1\7")
    # capability bit 2: a data socket at once
    s = ours.open_send(a, t, [a], 0x0632, 5)
    s.sendall(b"hello")
    s.close()
    ours.frame().ping()
    assert rust.recv_one(a, t)[1] == b"hello"
    # inline, silent, then the next request is answered
    rust.send(frame(0x0632, mf.letterhead(a, a, 5), t) + b"12345" + frame(0x0034))
    assert rust.frame().kind == mf.STATUS
    assert rust.recv_one(a, t)[1] == b"12345"
    big = os.urandom(1 << 20)
    rust.send(frame(0x0632, mf.letterhead(a, a, len(big)), t))
    rust.send(big)
    assert rust.recv_one(a, t)[1] == big
    # size 0: a no-op when another request follows
    rust.send(frame(0x0632, mf.letterhead(a, a, 0), t) + frame(0x0034))
    assert rust.frame().kind == mf.STATUS
    # size 0 and silence: a data socket
    s = rust.open_send(a, t, [a], 0x0632, 0)
    s.sendall(b"abc")
    s.close()
    rust.frame().ping()
    assert rust.recv_one(a, t)[1] == b"abc"
    # size and silence: a data socket after the grace period
    s = rust.open_send(a, t, [a], 0x0632, 9)
    s.sendall(b"late data")
    s.close()
    rust.frame().ping()
    assert rust.recv_one(a, t)[1] == b"late data"
    # inline and gone right after
    d = connect()
    d.send(frame(0x0632, mf.letterhead(a, a, 4), t) + b"last" + frame(0x0011))
    d.close()
    assert rust.recv_one(a, t)[1] == b"last"
    # refused: swallowed, answered, closed
    rust.send(frame(0x0632, mf.letterhead(a, a, 5), b"\x66" * 32) + b"12345")
    refused(mf.INVALID_AUTH, lambda: rust.frame().ping())
    assert rust.at_eof()


@test
def auxiliary_data():
    rust, a, t = user()
    ours = connect(b"\1\0\1\1\7")
    head = mf.letterhead(a, a, 0, aux=[(b"k", b"v"), (b"name", b"")])
    for c in (rust, ours):
        f = ours.ask(0x0633, b"\0\1" + head, t)
        s = ours.data_socket(f, t)
        s.sendall(b"data")
        s.close()
        ours.frame().ping()
        got, data = c.recv_one(a, t)
        assert data == b"data"
        assert got.aux_count == (2 if c is ours else 0), got.aux_count
        assert got.rest == (b"k\0v\0name\0\0" if c is ours else b"")


@test
def recv_many_exact_limit():
    c, a, t = user()
    for i in range(4):
        c.send_many(a, t, [a], b"%d" % i)
    c.begin_recv(a, t, many=True, limit=3)
    assert [c.stream(0x0533)[1] for _ in range(3)] == [b"0", b"1", b"2"]
    assert c.status()                      # silently back in the command loop
    c.begin_recv(a, t, many=True, limit=0)
    assert c.status()
    c.begin_recv(a, t, many=True)
    assert c.stream(0x0533)[1] == b"3"
    d = connect()
    d.send_many(a, t, [a], b"later")
    assert c.stream(0x0533)[1] == b"later"


@test
def recv_to_somebody_else():
    c, a, t = user()
    d, b, u = user()
    refused(mf.USER, c.begin_recv, a, t, b)
    refused(mf.INVALID_AUTH, c.begin_recv, b, t)


@test
def undelivered_stream_goes_back():
    c, a, t = user()
    data = os.urandom(8 << 20)
    c.send_many(a, t, [a], data)
    for _ in range(2):
        d = connect()
        d.begin_recv(a, t)
        d.exactly(100000)
        d.close()
    head, got = c.recv_one(a, t)
    assert got == data


@test
def waiting_receiver_that_left_gets_nothing():
    c, a, t = user()
    d = connect()
    d.begin_recv(a, t)
    d.close()
    c.send_many(a, t, [a], b"mine")
    assert c.recv_one(a, t)[1] == b"mine"


@test
def two_receivers_share():
    c, a, t = user()
    d = connect()
    d.begin_recv(a, t, many=True)
    e = connect()
    e.begin_recv(a, t, many=True)
    for i in range(2):
        c.send_many(a, t, [a], b"s%d" % i)
    got = []
    while len(got) < 2:
        ready, _, _ = select.select([d.sock, e.sock], [], [], 30)
        assert ready, got
        got += [x.stream(0x0533)[1] for x in (d, e) if x.sock in ready]
    assert sorted(got) == [b"s0", b"s1"], got
    assert is_silent(d.sock) and is_silent(e.sock)


@test
def down_ends_the_receiver():
    c, a, t = user()
    d = connect()
    d.begin_recv(a, t)
    c.down(a, t)
    assert d.at_eof()


@test
def too_many_failed_auths():
    c, a, t = user()
    with Bystander():
        for i in range(8):
            refused(mf.INVALID_AUTH, c.down, a, b"\x77" * 32)
        assert c.at_eof()
    assert connect().status()


# Hostile clients -------------------------------------------------------------

def garbage_reply(c):
    """An Error or kind 5, or just the end; then the end."""
    try:
        f = c.frame()
        assert f.kind in (mf.ERROR, mf.VERSION, mf.TIMEOUT), f.kind
        assert c.at_eof()
    except (Closed, ConnectionResetError, BrokenPipeError):
        pass


@test
def garbage_at_once():
    rng = random.Random(1)
    with Bystander():
        for first in [b"GET / HTTP/1.1\r\n\r\n", b"POST /api HTTP/1.1\r\nHost: x\r\n\r\n",
                      b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n",
                      b"\xff" * 4, b"\0\0\0\x41", b"\0\0\0\x06", b"\0\0\0\0",
                      b"G", b"\0\0\1"] + [bytes([1]) + rng.randbytes(rng.randrange(1, 5000))
                                          for _ in range(30)]:
            for hello in (None, mf.HELLO):
                c = connect(hello)
                start = time.monotonic()
                try:
                    c.send(first)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                garbage_reply(c)
                assert time.monotonic() - start < 2
                c.close()


@test
def four_gigabytes():
    with Bystander():
        for hello in (None, mf.HELLO):
            for tail in (b"", b"x" * 100000):
                c = connect(hello)
                try:
                    c.send(b"\0\0\0\7\0\x10\0\xff\xff\xff\xff" + tail)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                garbage_reply(c)
        c = connect()
        c.send(b"\0\0\0\7\1\1\0" + struct.pack(">I", (64 << 10) + 1))
        refused(mf.USER, lambda: c.frame().ping())
        assert c.at_eof()


@test
def silence_and_half_headers():
    """The first frame has 5 s, a begun frame 10 s."""
    whole = frame(0x0010, mf.HELLO)
    with Bystander():
        start = time.monotonic()
        early = [connect(None) for _ in range(20)]
        for i, c in enumerate(early):
            c.send(whole[:i % len(whole)])
        late = [connect() for _ in range(5)]
        for i, c in enumerate(late):
            c.sock.settimeout(15)
            c.send(frame(0x0101, b"name")[:i * 3 + 1])
        for c in early:
            assert c.frame().kind == mf.TIMEOUT
            assert c.at_eof()
        assert 4.5 < time.monotonic() - start < 8
        for c in late:
            assert c.frame().kind == mf.TIMEOUT
            assert c.at_eof()
        assert 9.5 < time.monotonic() - start < 13


@test
def slowloris():
    """A byte now and then does not buy more time."""
    with Bystander():
        c = connect(None)
        start = time.monotonic()
        try:
            for byte in frame(0x0010, mf.HELLO):
                c.send(bytes([byte]))
                time.sleep(0.7)
        except (ConnectionResetError, BrokenPipeError):
            pass
        garbage_reply(c)
        assert time.monotonic() - start < 14


@test
def every_cut_of_every_exchange():
    c, a, t = user()
    requests = [frame(0x0010, mf.HELLO), frame(0x0034), frame(0x0101, b"bob"),
                frame(0x0110, a, t), frame(0x0111, a, t), frame(0x0102, a + b"\0", b"\x88" * 32),
                frame(0x0130), frame(0x0430), frame(0x0532, a + mf.recipient(a), t),
                frame(0x0533, a + mf.recipient(a) + b"\1\0\0\0\1", t),
                frame(0x0633, b"\0\1" + mf.letterhead(a, a), t),
                frame(0x0632, mf.letterhead(a, a, 9), t) + b"12345678"]
    with Bystander():
        for request in requests:
            for cut in range(len(request)):
                d = connect()
                d.send(request[:cut])
                if cut % 2:
                    d.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
                d.close()
    c.up(a, t)
    c.send_many(a, t, [a], b"alive")
    assert c.recv_one(a, t)[1] == b"alive"


@test
def client_that_does_not_read():
    c, a, t = user()
    with Bystander():
        greedy = connect()
        greedy.sock.settimeout(1)
        sent = 0
        try:
            while sent < 64 << 20:
                greedy.send(frame(0x0430) * 5000)
                sent += 5000 * 11
        except socket.timeout:
            pass
        assert sent < 64 << 20, "no back-pressure"
        greedy.close()


@test
def a_thousand_idlers():
    idle = []
    try:
        for _ in range(900):
            idle.append(connect(None))
        c, a, t = user()
        c.send_many(a, t, [a], b"room for me")
        assert c.recv_one(a, t)[1] == b"room for me"
    finally:
        for c in idle:
            c.close()


if __name__ == "__main__":
    sys.exit(harness.main())
