#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files from outside, on one daemon: pack, list, get, announce, request, send, update, delete.

RATMAND=… RATCTL=… tests/e2e/test_file.py [case…]      (TAP on standard output)
"""
import hashlib
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import schema  # noqa: E402
from harness import test, wait_until  # noqa: E402
from microframe import NAMESPACE, dial  # noqa: E402
from service import (ADVERTISED, AVAILABLE, BAD_SERIALISE, FILE, IN_PROGRESS, INVALID_PAYLOAD,  # noqa: E402
                     INVALID_QUERY, LOCAL, NO_DATA, Service, ServiceError, refused, text)
from tools import Home, watches  # noqa: E402

HOME = Home()
ACCEPT = 1 << 20
NOBODY = bytes(range(1, 33))


def file_id(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def content(n, seed=b""):
    """@n bytes that no other test has."""
    return hashlib.shake_128(b"%d" % n + seed + os.urandom(8)).digest(n)


def user():
    c = Service(harness.DAEMON.bind)
    c.id, c.token = c.create()
    c.up(c.id, c.token)
    return c


def has(c, ident, state):
    try:
        return c.file_status(ident)["state"] == state
    except ServiceError as e:
        assert e.code == NO_DATA
        return False


def arrives(c, ident, state):
    wait_until("file in state %d" % state, lambda: has(c, ident, state), 20)
    return c.file_status(ident)


def begin_pack(c, name, size=0):
    """The socket of a pack that is under way."""
    f = c.ask(0x0c01, c.id + text(name) + struct.pack(">Q", size) + b"\0", c.token)
    return dial(c.answer(f, 0x0c01, mf.SEND_SOCKET, c.token)[:-1].decode())


def records():
    """Bytes of the store's file that are in use, roughly."""
    return os.stat(os.path.join(harness.DAEMON.directory, "state", "state", "data.mdb")).st_blocks * 512


@test
def sizes():
    c = user()
    for n in (1, 1023, 1024, 16383, 16384, 16385, 32767, 32768, 32769, 65536, 10 << 20):
        data = content(n)
        for size in (n, 0):
            assert c.file_pack(b"a file", data, size) == (file_id(data), n)
        meta = c.file_status(file_id(data))
        assert (meta["owner"], meta["name"], meta["size"], meta["have"], meta["state"]) == \
            (c.id, b"a file", n, n, LOCAL)
        assert not meta["stalled"] and meta["previous"] is None
        assert c.file_get(file_id(data)) == data
    assert len(c.files()) == 11


@test
def no_bytes():
    c = user()
    refused(INVALID_PAYLOAD, c.file_pack, b"empty", b"")
    refused(INVALID_PAYLOAD, c.file_pack, b"empty", b"", 5)
    assert c.files() == []


@test
def other_size_than_said():
    c = user()
    for n, said in ((5, 6), (70000, 70001), (5, 4)):
        data = content(n)
        refused(INVALID_PAYLOAD, c.file_pack, b"x", data, said)
        refused(NO_DATA, c.file_get, file_id(data))
    # More than said is refused before the end, and the line goes on.
    s = begin_pack(c, b"x", 100000)
    try:
        s.sendall(bytes(200000))
    except OSError:
        pass
    refused(INVALID_PAYLOAD, c.answer, c.frame(), 0x0c01, FILE, c.token)
    s.close()
    assert c.files() == []
    refused(INVALID_PAYLOAD, c.call, 0x0c01, c.id + text(b"x") + struct.pack(">Q", 1 << 41) + b"\0",
            FILE)


@test
def names():
    c = user()
    for name in (b"a", b"x" * 255, "Grüße 😀.txt".encode(), b"...", b".profile", b" "):
        data = content(10)
        c.file_pack(name, data)
        assert c.file_status(file_id(data))["name"] == name
    for name in (b"", b"x" * 256, b".", b"..", b"/", b"a/b", b"a\nb", b"\x7f", b"\xc2\x85",
                 b"\xe2\x80\xaegnp.exe"):
        refused(INVALID_PAYLOAD, c.call, 0x0c01, c.id + text(name) + bytes(8) + b"\0", FILE)
    for tail in (b"\2", b"\1text", b"\0x", b""):
        refused(BAD_SERIALISE, c.call, 0x0c01, c.id + text(b"name") + bytes(8) + tail, FILE)
    refused(INVALID_PAYLOAD, c.call, 0x0c01, c.id + text(b"name") + bytes(8) + b"\1text\0", FILE)
    c.file_pack(b"with type", content(5), mime=b"text/plain")


@test
def abort():
    c = user()
    data = content(3 << 20)
    s = begin_pack(c, b"cut")
    s.sendall(data[:2 << 20])
    # A client that dies is no end of a file.
    c.reset()
    s.close()
    c2 = Service(harness.DAEMON.bind)
    c2.id, c2.token = c.id, c.token
    assert c2.files() == []
    refused(NO_DATA, c2.file_status, file_id(data[:2 << 20]))
    c2.file_pack(b"whole", data)
    assert c2.file_get(file_id(data)) == data


@test
def lists():
    c = user()
    ids = {}
    for name in (b"a.txt", b"b.TXT", b"c.png"):
        ids[name] = c.file_pack(name, content(100))[0]
    for mode in (0x0c30, 0x0c31):
        assert sorted(f["name"] for f in c.files(mode=mode)) == sorted(ids)
    assert sorted(f["name"] for f in c.files(pattern=b"*.txt")) == [b"a.txt", b"b.TXT"]
    assert [f["name"] for f in c.files(pattern=b"png")] == [b"c.png"]
    assert [f["name"] for f in c.files(pattern=b"?.png")] == [b"c.png"]
    assert c.files(pattern=b"nothing") == []
    assert len(c.files(LOCAL)) == 3 and c.files(AVAILABLE) == []
    refused(BAD_SERIALISE, c.call, 0x0c31, c.id + b"\5\0", 0x2b)
    c.file_delete(ids[b"a.txt"])
    refused(NO_DATA, c.file_delete, ids[b"a.txt"])
    refused(NO_DATA, c.file_status, ids[b"a.txt"])
    assert len(c.files()) == 2


@test
def many():
    """More than one step of the list, while another client works."""
    c, other = user(), user()
    want = {c.file_pack(b"%d" % i, b"%d" % i + c.id)[0] for i in range(300)}
    c.send(mf.frame(0x0c30, c.id + b"\0\0", c.token))
    other.status()
    f = c.frame()
    found, r = c.listed(f.ping(0x2b), lambda r: r.file())
    r.done()
    assert {m["id"] for m in found if m["state"] == LOCAL} == want


@test
def strangers():
    """Nobody sees another's files, or whether there are any."""
    c, other = user(), user()
    data = content(5000)
    ident, _ = c.file_pack(b"mine", data)
    for call in (other.file_status, other.file_get, other.file_delete, other.file_announce):
        for unknown in (ident, NOBODY):
            refused(NO_DATA, call, unknown)
    assert other.files() == []
    # With the wrong token nothing at all, and with another's address neither.
    for mode in (0x0c34, 0x0c36, 0x0c21):
        refused(None, c.call, mode, c.id + ident, token=other.token)
        refused(None, c.call, mode, c.id + ident, token=None)
    assert c.file_get(ident) == data


@test
def same_content():
    """Two users pack the same: kept once, and nobody can tell."""
    c, other = user(), user()
    data = content(8 << 20)
    first = c.file_pack(b"one", data)
    before = records()
    again = other.file_pack(b"two", data)
    assert first == again == (file_id(data), len(data))
    assert other.file_status(first[0])["owner"] == other.id
    assert other.file_status(first[0])["name"] == b"two"
    # The blocks of the second go in the background, and their pages are used again.
    for i in range(3):
        other.file_pack(b"other", content(1 << 20, b"%d" % i))
    assert records() - before < 13 << 20, records() - before
    c.file_delete(first[0])
    assert other.file_get(first[0]) == data
    refused(NO_DATA, c.file_get, first[0])
    other.file_delete(first[0])
    refused(NO_DATA, other.file_get, first[0])
    # And again from nothing.
    assert c.file_pack(b"three", data)[0] == first[0]
    assert c.file_get(first[0]) == data


@test
def pack_again():
    c = user()
    data = content(3000)
    ident, _ = c.file_pack(b"old name", data)
    ident2, _ = c.file_pack(b"new name", data)
    assert ident == ident2 and [f["name"] for f in c.files()] == [b"new name"]
    assert c.file_get(ident) == data
    c.file_delete(ident)
    refused(NO_DATA, c.file_get, ident)


@test
def get_while_deleting():
    c = user()
    data = content(10 << 20)
    ident, size = c.file_pack(b"big", data)
    c2 = Service(harness.DAEMON.bind)
    c2.id, c2.token = c.id, c.token
    assert c.file_head(c.call(0x0c36, c.id + ident, FILE)) == (ident, size)
    got = c.exactly(100000)
    c2.file_delete(ident)
    refused(NO_DATA, c2.file_get, ident)
    assert got + c.exactly(size - 100000) == data
    c.answer(c.frame(), 0x0c36, None, c.token)
    assert c.files() == []


@test
def pipelined():
    """Requests behind a Get wait for its end."""
    c = user()
    data = content(3 << 20)
    ident, size = c.file_pack(b"f", data)
    c.send(mf.frame(0x0c36, c.id + ident, c.token) + mf.frame(0x0c34, c.id + ident, c.token) +
           mf.frame(0x0c36, c.id + ident, c.token))
    for last in (False, True):
        assert c.file_head(c.answer(c.frame(), 0x0c36, FILE, c.token)) == (ident, size)
        assert c.exactly(size) == data
        c.answer(c.frame(), 0x0c36, None, c.token)
        if not last:
            c.answer(c.frame(), 0x0c34, 0x2b, c.token)


@test
def slow_reader():
    """Who does not read his file keeps nobody waiting, and holds little memory."""
    c, other = user(), user()
    ident, size = c.file_pack(b"big", content(10 << 20))
    before = harness.DAEMON.rss()
    c.send(mf.frame(0x0c36, c.id + ident, c.token))
    for _ in range(20):
        other.status()
    assert harness.DAEMON.rss() - before < 6000, harness.DAEMON.rss() - before
    c.file_head(c.answer(c.frame(), 0x0c36, FILE, c.token))
    assert len(c.exactly(size)) == size
    c.answer(c.frame(), 0x0c36, None, c.token)


@test
def down_while_getting():
    """A user who goes down in the middle of a Get: the line is closed, no error is taken for content."""
    c = user()
    ident, size = c.file_pack(b"big", content(20 << 20))
    assert c.file_head(c.call(0x0c36, c.id + ident, FILE)) == (ident, size)
    Service(harness.DAEMON.bind).down(c.id, c.token)
    try:
        rest = c.exactly(size)
        raise AssertionError("all came, %d" % len(rest))
    except (mf.Closed, ConnectionResetError):
        pass


@test
def announced_to_everybody():
    a, b = user(), user()
    sub, events = b.file_sub()
    data = content(100000)
    ident, size = a.file_pack(b"for all", data)
    refused(NO_DATA, b.file_status, ident)
    a.file_announce(ident)
    meta = arrives(b, ident, ADVERTISED)
    assert (meta["owner"], meta["name"], meta["size"], meta["have"]) == (a.id, b"for all", size, 0)
    assert events.file()["id"] == ident and events.token == b.token
    refused(NO_DATA, b.file_get, ident)
    assert [f["id"] for f in b.files(ADVERTISED)].count(ident) == 1
    # The announcer has no advertisement of his own.
    assert a.file_status(ident)["state"] == LOCAL
    b.file_request(ident)
    meta = arrives(b, ident, AVAILABLE)
    assert meta["owner"] == a.id and meta["have"] == size
    assert b.file_get(ident) == data
    states = []
    while AVAILABLE not in states:
        states.append(events.file()["state"])
    assert states[0] == IN_PROGRESS
    # Asking for what is here, or is one's own, changes nothing.
    b.file_request(ident)
    a.file_request(ident)
    assert b.file_status(ident)["state"] == AVAILABLE
    # Withdrawn: who has it has it, others lose sight of it.
    late = user()
    assert late.file_status(ident)["state"] == ADVERTISED
    a.file_withdraw(ident)
    wait_until("gone", lambda: not has(late, ident, ADVERTISED))
    assert b.file_get(ident) == data
    a.file_withdraw(ident)
    # Deleted by b it is gone; and deleted by a, announcements go, too.
    b.file_delete(ident)
    refused(NO_DATA, b.file_status, ident)
    a.file_announce(ident)
    arrives(b, ident, ADVERTISED)
    a.file_delete(ident)
    wait_until("gone", lambda: not has(b, ident, ADVERTISED))


@test
def announced_to_one():
    a, b, c = user(), user(), user()
    data = content(40000)
    ident, _ = a.file_pack(b"for b", data)
    a.file_announce(ident, b.id)
    arrives(b, ident, ADVERTISED)
    refused(NO_DATA, c.file_status, ident)
    # Who only knows the id gets nothing, from the owner or from everybody.
    c.file_request(ident, a.id)
    b.file_request(ident)
    arrives(b, ident, AVAILABLE)
    assert b.file_get(ident) == data
    wait_until("given up", lambda: not has(c, ident, IN_PROGRESS))
    c.file_request(ident)
    marker, _ = a.file_pack(b"for all", content(1000))
    a.file_announce(marker)
    arrives(c, marker, ADVERTISED)
    c.file_request(marker)
    arrives(c, marker, AVAILABLE)
    assert c.file_status(ident)["state"] == IN_PROGRESS and c.file_status(ident)["have"] == 0
    refused(NO_DATA, c.file_get, ident)
    # Nor from who has it from the owner.
    c.file_request(ident, b.id)
    wait_until("given up", lambda: not has(c, ident, IN_PROGRESS))
    # b passes it on.
    b.file_announce(ident, c.id)
    assert arrives(c, ident, ADVERTISED)["owner"] == b.id
    c.file_request(ident)
    arrives(c, ident, AVAILABLE)
    refused(INVALID_QUERY, a.file_announce, ident, a.id)
    refused(INVALID_QUERY, a.file_announce, ident, b"\1" * 32)
    a.file_withdraw(ident, b.id)


@test
def search():
    """A request to everybody is answered by who would give the file."""
    a, b = user(), user()
    data = content(2000)
    ident, _ = a.file_pack(b"sought", data)
    a.file_announce(ident, b.id)
    arrives(b, ident, ADVERTISED)
    b.file_delete(ident)
    refused(NO_DATA, b.file_status, ident)
    b.file_request(ident)
    arrives(b, ident, AVAILABLE)
    assert b.file_get(ident) == data
    assert b.file_status(ident)["name"] == b"sought"


@test
def namespace():
    a, b, c = user(), user(), user()
    space, key = space_pair()
    f = b.ask(0x0801, space + key)
    f.ping()
    b.ask(0x0810, b.id + space, b.token).ping()
    data = content(3000)
    ident, _ = a.file_pack(b"for members", data)
    a.file_announce(ident, space, NAMESPACE)
    arrives(b, ident, ADVERTISED)
    refused(NO_DATA, c.file_status, ident)
    c.file_request(ident, a.id)
    wait_until("given up", lambda: not has(c, ident, IN_PROGRESS))
    b.file_request(ident)
    arrives(b, ident, AVAILABLE)
    assert b.file_get(ident) == data
    # A member that comes later sees it; one that leaves does not.
    c.ask(0x0810, c.id + space, c.token).ping()
    assert c.file_status(ident)["state"] == ADVERTISED
    c.file_request(ident)
    arrives(c, ident, AVAILABLE)
    a.file_withdraw(ident, space, NAMESPACE)
    assert c.file_get(ident) == data


def space_pair():
    """A namespace and its key: made by ratctl, as Python's library has no ed25519."""
    path = HOME.file("key.%s" % os.urandom(4).hex())
    HOME.ctl("-q", "space", "register", "-f", path)
    lines = dict(line.split("=") for line in open(path).read().split())
    return tuple(bytes.fromhex(lines[k].replace("-", "")) for k in ("pubkey", "privkey"))


@test
def sent():
    a, b = user(), user()
    small, big = content(ACCEPT), content(ACCEPT + 1)
    for mode, data in ((0x0c32, content(1)), (0x0c33, small)):
        ident, _ = a.file_pack(b"a gift", data)
        a.file_send(ident, [b.id], mode)
        meta = arrives(b, ident, AVAILABLE)
        assert meta["owner"] == a.id and meta["name"] == b"a gift"
        assert b.file_get(ident) == data
    # Too big to be taken unasked: shown, and had for the asking.
    ident, _ = a.file_pack(b"big gift", big)
    a.file_send(ident, [b.id])
    assert arrives(b, ident, ADVERTISED)["size"] == len(big)
    b.file_request(ident)
    arrives(b, ident, AVAILABLE)
    assert b.file_get(ident) == big
    refused(INVALID_QUERY, a.file_send, ident, [])
    refused(INVALID_QUERY, a.file_send, ident, [None])
    refused(INVALID_QUERY, a.file_send, ident, [a.id])
    refused(NO_DATA, a.file_send, NOBODY, [b.id])
    # To somebody who is away it waits.
    c = user()
    c.down(c.id, c.token)
    a.file_send(ident, [c.id, NOBODY_VALID])
    c.up(c.id, c.token)
    arrives(c, ident, ADVERTISED)


# A valid point that nobody has: the base point of the curve.
NOBODY_VALID = bytes([0x58]) + b"\x66" * 31


@test
def update():
    a, b = user(), user()
    old = content(5000)
    first, _ = a.file_pack(b"report", old)
    a.file_announce(first)
    a.file_announce(first, b.id)
    arrives(b, first, ADVERTISED)
    new = content(6000)
    second, size = a.file_update(first, new)
    assert (second, size) == (file_id(new), 6000)
    meta = a.file_status(second)
    assert meta["previous"] == first and meta["name"] == b"report" and meta["state"] == LOCAL
    # The old one is history, and announced no more.
    assert a.file_get(first) == old
    assert arrives(b, second, ADVERTISED)["previous"] == first
    wait_until("replaced", lambda: not has(b, first, ADVERTISED))
    b.file_request(second)
    arrives(b, second, AVAILABLE)
    b.file_request(first, a.id)
    wait_until("given up", lambda: not has(b, first, IN_PROGRESS))
    # The same content again is no update.
    assert a.file_update(second, new)[0] == second
    assert a.file_status(second)["previous"] == first
    refused(NO_DATA, a.file_update, NOBODY, b"x")
    refused(INVALID_PAYLOAD, a.file_update, second, b"")
    assert a.file_get(second) == new


@test
def hidden():
    """An announcement that was deleted stays out of sight of that user alone."""
    a, b, c = user(), user(), user()
    ident, _ = a.file_pack(b"unwanted", content(100))
    a.file_announce(ident)
    arrives(b, ident, ADVERTISED)
    b.file_delete(ident)
    refused(NO_DATA, b.file_status, ident)
    assert ident not in [f["id"] for f in b.files()]
    assert c.file_status(ident)["state"] == ADVERTISED
    b.file_request(ident)
    arrives(b, ident, AVAILABLE)


@test
def streams_up_and_down():
    """0710 and 0711 are File/Up and Down to everybody."""
    a, b = user(), user()
    ident, _ = a.file_pack(b"stream", content(100))
    f = a.ask(0x0710, ident + a.id, a.token)
    f.ping()
    assert f.mode == 0 and f.token == a.token
    arrives(b, ident, ADVERTISED)
    a.ask(0x0711, ident + a.id, a.token).ping()
    wait_until("gone", lambda: not has(b, ident, ADVERTISED))
    for bad in (NOBODY + a.id, ):
        try:
            a.ask(0x0710, bad, a.token).ping()
            raise AssertionError("not refused")
        except mf.Error as e:
            assert e.code == mf.USER
    try:
        a.ask(0x0710, ident + b.id, a.token).ping()
        raise AssertionError("not refused")
    except mf.Error as e:
        assert e.code == mf.INVALID_AUTH


@test
def restart():
    """Everything is there after a crash, but what was being packed."""
    a, b = user(), user()
    data, big = content(50000), content(3 << 20)
    ident, _ = a.file_pack(b"kept", data)
    a.file_announce(ident)
    arrives(b, ident, ADVERTISED)
    s = begin_pack(a, b"lost")
    s.sendall(big)
    time.sleep(0.2)
    harness.DAEMON.kill()
    s.close()
    harness.DAEMON.start()
    for u in (a, b):
        u.close()
    a2, b2 = Service(harness.DAEMON.bind), Service(harness.DAEMON.bind)
    a2.id, a2.token, b2.id, b2.token = a.id, a.token, b.id, b.token
    assert [f["id"] for f in a2.files(LOCAL)] == [ident] and a2.file_get(ident) == data
    assert b2.file_status(ident)["state"] == ADVERTISED
    b2.file_request(ident)
    arrives(b2, ident, AVAILABLE)
    assert b2.file_get(ident) == data
    assert a2.file_pack(b"lost", big)[0] == file_id(big)
    assert a2.file_get(file_id(big)) == big


@test
def destroyed():
    a, b = user(), user()
    data = content(1 << 20)
    ident, _ = a.file_pack(b"f", data)
    b.file_pack(b"f", data)
    a.file_announce(ident)
    c = user()
    arrives(c, ident, ADVERTISED)
    a.destroy(a.id, a.token)
    wait_until("gone", lambda: not has(c, ident, ADVERTISED))
    assert b.file_get(ident) == data


@test
def not_in_clear():
    """No name and no content in the files of the daemon."""
    a, b = user(), user()
    name, data = b"confidential-" + os.urandom(8).hex().encode(), os.urandom(64).hex().encode() * 40
    ident, _ = a.file_pack(name, data)
    a.file_announce(ident, b.id)
    arrives(b, ident, ADVERTISED)
    b.file_request(ident)
    arrives(b, ident, AVAILABLE)
    for path in ("state/state/data.mdb", "state/cache/data.mdb"):
        disk = open(os.path.join(harness.DAEMON.directory, path), "rb").read()
        for secret in (name, data[:32], ident, ident.hex().encode(), a.token):
            assert secret not in disk


# The tools ------------------------------------------------------------------------


def said(*args, **kw):
    return HOME.ctl("-q", "-i", *args, **kw)[0].strip()


@test
def tools():
    one, _ = HOME.identity("one")
    two, second = HOME.identity("two")
    data = content(200000)
    path = HOME.file("a report.pdf", data)
    ident = said(one, "file", "add", path, "--mime", "application/pdf")
    assert bytes.fromhex(ident.replace("-", "")) == file_id(data)
    row, = schema.check("file list", HOME.ctl("--json", "-i", one, "file", "list", "*.pdf")[0])
    assert (row["id"], row["name"], row["state"], row["size"], row["local"], row["stalled"]) == \
        (ident, "a report.pdf", "local", len(data), len(data), False)
    assert row["previous"] is None
    assert schema.check("file list", HOME.ctl("--json", "-i", one, "file", "list", "--state",
                                              "available")[0]) == []
    HOME.ctl("-i", one, "file", "list", "--state", "lost", status=1)
    shown = schema.check("file show", HOME.ctl("--json", "-i", one, "file", "show", ident[:9])[0])
    assert shown == row
    assert "a report.pdf" in said(one, "file", "show", "a report.pdf")
    assert "a report.pdf" in said(one, "file", "show", ident[:4] + "…" + ident[-4:])
    # Nothing is written in clear unless it is asked for, and nothing is replaced.
    HOME.ctl("-i", one, "file", "get", ident, status=1)
    out = HOME.file("out")
    assert schema.check("file get", HOME.ctl("--json", "-i", one, "file", "get", ident, "-o", out)[0])
    assert open(out, "rb").read() == data and os.stat(out).st_mode & 0o777 == 0o600
    open(out, "w").write("mine")
    HOME.ctl("-i", one, "file", "get", ident, "-o", out, status=1)
    assert open(out).read() == "mine"
    HOME.ctl("-i", one, "file", "get", ident, "-o", out, "--force")
    assert open(out, "rb").read() == data
    HOME.ctl("-i", one, "file", "get", "00" * 32, "-o", HOME.file("none"), status=2)
    HOME.ctl("-i", one, "file", "get", ident, "-o", HOME.file("no/such/place"), status=1)
    assert not [f for f in os.listdir(HOME.path) if f.startswith(("out.", "none"))]
    p = HOME.popen("ratctl", "-q", "-i", one, "file", "get", ident, "-o", "-")
    assert p.communicate()[0] == data and p.returncode == 0
    # Announced to one, asked for, waited for.
    HOME.ctl("-i", one, "file", "announce", ident, status=1)
    assert schema.check("file announce", HOME.ctl("--json", "-i", one, "file", "announce", ident,
                                                  "--addr", second)[0])
    wait_until("advertised", lambda: "advertised" in said(two, "file", "list"))
    watch = HOME.popen("ratctl", "--json", "-i", two, "file", "watch")
    watches(watch)
    assert schema.check("file request", HOME.ctl("--json", "-i", two, "file", "request", "a report.pdf",
                                                 "--wait")[0])
    said(two, "file", "get", ident[:4], "-o", HOME.file("theirs"))
    assert open(HOME.file("theirs"), "rb").read() == data
    watch.terminate()
    states = [r["state"] for r in schema.check("file watch", watch.communicate()[0].decode())]
    assert "available" in states, states
    HOME.ctl("--json", "-i", one, "file", "withdraw", ident, "--addr", second)
    # Update, sent on; what cannot be had.
    new = content(300)
    fresh = schema.check("file update", HOME.ctl("--json", "-i", one, "file", "update", "a report.pdf",
                                                 HOME.file("new", new))[0])
    assert fresh["size"] == 300
    assert schema.check("file send", HOME.ctl("--json", "-i", one, "file", "send", fresh["id"],
                                              second)[0])
    wait_until("there", lambda: "available" in said(two, "file", "list", "--state", "available") and
               fresh["id"][:4] in said(two, "file", "list", "--wide"))
    HOME.ctl("-i", two, "file", "request", "AB" * 32, "--addr", second, status=2)
    HOME.ctl("-i", one, "file", "send", fresh["id"], status=1)
    assert schema.check("file del", HOME.ctl("--json", "-i", one, "file", "del", fresh["id"])[0])
    HOME.ctl("-i", one, "file", "del", fresh["id"], status=2)
    # Input that is none.
    HOME.ctl("-i", one, "file", "add", HOME.file("empty", b""), status=1)
    HOME.ctl("-i", one, "file", "add", HOME.path, status=1)
    HOME.ctl("-i", one, "file", "add", "-", status=1)
    HOME.ctl("-i", one, "file", "add", HOME.file("missing"), status=1)
    HOME.ctl("-i", one, "file", "add", path, "--name", "a/b", status=1)
    p = schema.check("file add", HOME.ctl("--json", "-i", one, "file", "add", "-", "--name", "piped",
                                          input=b"from a pipe")[0])
    assert p["size"] == 11


if __name__ == "__main__":
    sys.exit(harness.main(extra="file_accept = %d\n" % ACCEPT))
