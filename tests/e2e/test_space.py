#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespaces from outside, on one daemon: Space/*, streams to a namespace, ratctl space, restarts.

RATMAND=… RATCTL=… RATCAT=… tests/e2e/test_space.py      (TAP on standard output)
"""
import hashlib
import json
import os
import stat
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import schema  # noqa: E402
from harness import connect, is_silent, refused, test, user  # noqa: E402
from microframe import Client, Error  # noqa: E402
from tools import ADDRESS, Home  # noqa: E402

HOME = Home()
CREATE, UP, DOWN, ANYCAST = 0x0801, 0x0810, 0x0811, 0x0835


def text(ident):
    h = ident.hex().upper()
    return "-".join(h[i:i + 4] for i in range(0, 64, 4))


def key_pair():
    """(namespace, private key): made by ratctl, as Python's library has no ed25519."""
    path = os.path.join(HOME.path, "key.%s" % os.urandom(4).hex())
    HOME.ctl("-q", "space", "register", "-f", path)
    lines = dict(line.split("=") for line in open(path).read().split())
    return tuple(bytes.fromhex(lines[k].replace("-", "")) for k in ("pubkey", "privkey"))


def ok(c, mode, payload, token=None):
    f = c.ask(mode, payload, token)
    f.ping()
    assert f.token is None, "Space/* but Anycast carry no auth"


def anycast(c, address, token, space, ms, wide=0):
    f = c.ask(ANYCAST, address + space + struct.pack(">QQ", wide, ms), token)
    body = f.ping(mf.ANYCAST)
    assert f.token == token, "auth not echoed"
    n, = struct.unpack(">H", body[:2])
    assert len(body) == 2 + 40 * n
    return [(body[2 + 40 * i:34 + 40 * i], struct.unpack(">Q", body[34 + 40 * i:42 + 40 * i])[0])
            for i in range(n)]


def send_to_space(c, address, token, space, data):
    f = c.ask(0x0633, b"\0\1" + mf.letterhead(address, space, 0, mf.NAMESPACE), token)
    s = c.data_socket(f, token)
    s.sendall(data)
    s.close()
    c.frame().ping()


def receive(address, token, space, n=1):
    """The next @n streams to the namespace."""
    c = connect()
    c.begin_recv(address, token, space, mf.NAMESPACE, True, n)
    out = []
    for _ in range(n):
        head, data = c.stream(0x0533)
        assert head.kind == mf.NAMESPACE and head.to == space
        out.append(data)
    c.close()
    return out


def nothing_waits(address, token, space):
    c = connect()
    c.begin_recv(address, token, space, mf.NAMESPACE, True, 1)
    assert is_silent(c.sock), "a stream came twice"
    c.close()


@test
def create():
    c = connect()
    space, key = key_pair()
    other, other_key = key_pair()
    before = c.addresses()
    assert space in before and before == sorted(before), "namespaces are listed"
    for _ in range(2):                                    # idempotent, no token
        ok(c, CREATE, space + key)
    refused(mf.USER, lambda: c.ask(CREATE, space + other_key).ping())
    refused(mf.USER, lambda: c.ask(CREATE, space + bytes(32)).ping())
    # A token that is sent must be valid.
    refused(mf.INVALID_AUTH, lambda: c.ask(CREATE, space + key, b"\x77" * 32).ping())
    d, a, t = user()
    ok(d, CREATE, space + key, t)
    for bad in (b"", space, space + key[:31], space + key + b"\0"):
        refused(mf.USER, lambda b=bad: c.ask(CREATE, b).ping())
    assert c.addresses() == sorted(before + [a])
    golden = bytes(range(0x41, 0x61)) + bytes(range(0xd1, 0xf1))   # Appendix A: no real pair
    refused(mf.USER, lambda: c.ask(CREATE, golden, t).ping())
    assert other in c.addresses()


@test
def commons():
    """The key of the commons is everybody's (streams.md section 9), but no client's."""
    c, a, t = user()
    seed = hashlib.blake2b(b"ratman commons v1\0\0", digest_size=32).digest()
    everybody = bytes.fromhex("7699ecef08c7e3739ef2543efadfac10e6d0b58846b6bbda3263f31359853cda")
    before = c.addresses()
    for token in (None, t):
        refused(mf.USER, lambda k=token: c.ask(CREATE, everybody + seed, k).ping())
    refused(mf.USER, c.create, b"\0" + seed)
    refused(mf.NO_ADDRESS, lambda: c.ask(UP, a + everybody, t).ping())
    assert c.addresses() == before
    # Nothing goes there, and nothing comes from there.
    refused(mf.USER, lambda: send_to_space(c, a, t, everybody, b"to all"))
    c.begin_recv(a, t, everybody, mf.NAMESPACE, True, 1)
    c.close()
    nothing_waits(a, t, everybody)


@test
def up_and_down():
    c, a, t = user()
    space, _ = key_pair()
    wrong = bytes([t[0] ^ 1 or 2]) + t[1:]
    for mode in (UP, DOWN):
        refused(mf.INVALID_AUTH, lambda m=mode: c.ask(m, a + space, wrong).ping())
        refused(mf.INVALID_AUTH, lambda m=mode: c.ask(m, a + space).ping())
        refused(mf.INVALID_AUTH, lambda m=mode: c.ask(m, b"\x01" * 32 + space, t).ping())
        refused(mf.NO_ADDRESS, lambda m=mode: c.ask(m, a + b"\x09" * 32, t).ping())
        refused(mf.USER, lambda m=mode: c.ask(m, a + space[:31], t).ping())
    refused(mf.USER, lambda: c.ask(DOWN, a + space, t).ping())      # not up: session goes on
    for _ in range(2):
        ok(c, UP, a + space, t)
    ok(c, DOWN, a + space, t)
    refused(mf.USER, lambda: c.ask(DOWN, a + space, t).ping())
    ok(c, UP, a + space, t)
    c.down(a, t)                                          # takes its memberships along
    refused(mf.INVALID_AUTH, lambda: c.ask(UP, a + space, t).ping())
    c.up(a, t)
    refused(mf.USER, lambda: c.ask(DOWN, a + space, t).ping())


@test
def streams_reach_every_member_once():
    space, _ = key_pair()
    (c1, a1, t1), (c2, a2, t2), (c3, a3, t3) = user(), user(), user()
    ok(c1, UP, a1 + space, t1)
    ok(c2, UP, a2 + space, t2)
    send_to_space(c3, a3, t3, space, b"from a stranger")
    send_to_space(c1, a1, t1, space, b"from a member" * 5000)
    expected = sorted([b"from a stranger", b"from a member" * 5000])
    for a, t in ((a1, t1), (a2, t2)):
        assert sorted(receive(a, t, space, 2)) == expected
        nothing_waits(a, t, space)
    # Who joins later gets what is kept; who only listens, too.
    c4, a4, t4 = user()
    ok(c4, UP, a4 + space, t4)
    assert sorted(receive(a4, t4, space, 2)) == expected
    c5, a5, t5 = user()
    assert sorted(receive(a5, t5, space, 2)) == expected
    nothing_waits(a4, t4, space)


@test
def subscribers():
    """Subscriptions to a namespace: each subscriber gets each stream, member or not."""
    space, _ = key_pair()
    (c1, a1, t1), (c2, a2, t2), (c3, a3, t3) = user(), user(), user()
    ok(c1, UP, a1 + space, t1)
    sockets = []
    for c, a, t in ((c1, a1, t1), (c2, a2, t2)):
        body = c.ask(0x0703, a + mf.recipient(space, mf.NAMESPACE), t).ping(mf.SUBSCRIPTION)
        sockets.append(body[32:-1].decode())
    send_to_space(c3, a3, t3, space, b"to subscribers")
    for bind in sockets:
        s = Client(bind, None)
        head, data = s.stream(0x0332)
        assert head.to == space and data == b"to subscribers"
        s.close()
    # What a subscriber had is not to be received as well; others still can.
    nothing_waits(a1, t1, space)
    assert receive(a3, t3, space) == [b"to subscribers"]


@test
def nobody_there_yet():
    space, key = key_pair()
    c, a, t = user()
    send_to_space(c, a, t, space, b"waits for a member")
    d, b, u = user()
    ok(d, UP, b + space, u)
    assert receive(b, u, space) == [b"waits for a member"]


@test
def one_and_many_recipients():
    """Send/One and a Send/Many to an address and a namespace."""
    space, _ = key_pair()
    (c, a, t), (d, b, u) = user(), user()
    ok(d, UP, b + space, u)
    extended = Client(harness.DAEMON.bind, mf.HELLO + b"\1\7")
    f = extended.ask(0x0632, mf.letterhead(a, space, 0, mf.NAMESPACE), t)
    s = extended.data_socket(f, t)
    s.sendall(b"by Send/One")
    s.close()
    extended.frame().ping()
    assert receive(b, u, space) == [b"by Send/One"]
    f = c.ask(0x0633, b"\0\2" + mf.letterhead(a, space, 0, mf.NAMESPACE) + mf.letterhead(a, b), t)
    s = c.data_socket(f, t)
    s.sendall(b"to both")
    s.close()
    c.frame().ping()
    assert receive(b, u, space) == [b"to both"]
    assert d.recv_one(b, u)[1] == b"to both"


@test
def release_0_6_0():
    """A namespace made by Addr/Create with its key is the same kind of namespace."""
    space, key = key_pair()
    c = connect()
    address, token = c.create(b"\0" + key)
    assert address == space
    assert c.addresses().count(space) == 1
    refused(mf.INVALID_AUTH, c.up, space, b"\x55" * 32)
    c.up(space, token)
    d, b, u = user()
    ok(d, UP, b + space, u)                               # and clients' addresses join it
    send_to_space(d, b, u, space, b"both ways")
    assert receive(b, u, space) == [b"both ways"]
    assert receive(space, token, space) == [b"both ways"]
    # It speaks to its own members, to nobody else.
    send_to_space(c, space, token, space, b"to ourselves")
    assert receive(b, u, space) == [b"to ourselves"]
    f = c.ask(0x0633, b"\0\1" + mf.letterhead(space, b), token)
    try:
        s = c.data_socket(f, token)
        s.sendall(b"x")
        s.close()
        c.frame().ping()
        raise AssertionError("a namespace is no sender")
    except Error as e:
        assert e.code == mf.USER, e
    # Members by either way answer: the daemon's stand-in, and the client's address.
    e, x, y = user()
    found = [m for m, _ in anycast(e, x, y, space, 50)]
    assert b in found and len(found) == 2 and space not in found, found
    c.down(space, token)
    assert [m for m, _ in anycast(e, x, y, space, 50)] == [b]
    c.destroy(space, token, b"\1")
    assert space not in c.addresses()
    refused(mf.NO_ADDRESS, lambda: d.ask(UP, b + space, u).ping())


@test
def anycast_answers():
    space, _ = key_pair()
    asker = user()
    members = [user() for _ in range(4)]
    for c, a, t in members:
        ok(c, UP, a + space, t)
    start = time.monotonic()
    found = anycast(*asker, space, 300)
    assert 0.25 < time.monotonic() - start < 10
    assert sorted(m for m, _ in found) == sorted(a for _, a, _ in members)
    assert [(ms, m) for m, ms in found] == sorted((ms, m) for m, ms in found)
    # A member is not asked by itself; others are not disturbed; two at once both get all.
    c, a, t = members[0]
    assert a not in [m for m, _ in anycast(c, a, t, space, 50)]
    second = Client(harness.DAEMON.bind)
    payload = asker[1] + space + struct.pack(">QQ", 0, 400)
    second.send(mf.frame(ANYCAST, payload, asker[2]))
    assert len(anycast(*asker, space, 400)) == 4
    assert len(second.frame().ping(mf.ANYCAST)) == 2 + 4 * 40
    assert anycast(*asker, b"\x0a" * 32, 20) == []
    assert len(anycast(*asker, space, 0)) == 4
    refused(mf.INVALID_AUTH, lambda: c.ask(ANYCAST, asker[1] + space + bytes(16), t).ping())
    refused(mf.USER, lambda: c.ask(ANYCAST, a + space + bytes(15), t).ping())
    # A huge timeout is cut, not refused; the client may leave before.
    gone = Client(harness.DAEMON.bind)
    gone.send(mf.frame(ANYCAST, asker[1] + space + b"\xff" * 16, asker[2]))
    time.sleep(0.1)
    gone.close()
    # Whoever asks goes down meanwhile.
    waiting = Client(harness.DAEMON.bind)
    waiting.send(mf.frame(ANYCAST, a + space + struct.pack(">QQ", 0, 30000), t))
    time.sleep(0.2)
    c.down(a, t)
    refused(mf.INVALID_AUTH, lambda: waiting.frame().ping(mf.ANYCAST))
    assert waiting.status()


@test
def members_survive_the_daemon():
    space, _ = key_pair()
    (c, a, t), (_, b, u) = user(), user()
    ok(c, UP, a + space, t)
    send_to_space(c, a, t, space, b"before")
    assert receive(a, t, space) == [b"before"]
    nothing_waits(a, t, space)                            # and the delivery is recorded
    harness.DAEMON.kill()
    harness.DAEMON.start()
    e = connect()
    send_to_space(e, b, u, space, b"after")
    assert receive(a, t, space) == [b"after"]
    nothing_waits(a, t, space)
    ok(e, DOWN, a + space, t)
    run = os.path.join(harness.DAEMON.directory, "run", "spaces")
    assert stat.S_IMODE(os.stat(run).st_mode) == 0o600


# ratctl -----------------------------------------------------------------------

@test
def ratctl_key_files():
    path = HOME.file("app.key")
    out, err = HOME.ctl("space", "register", "-f", path)
    assert ADDRESS.fullmatch(out.strip()) and path in err
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    lines = open(path).read().splitlines()
    assert [line.split("=")[0] for line in lines] == ["pubkey", "privkey"]
    assert lines[0].split("=")[1] == out.strip()
    assert lines[1].split("=")[1] not in out + err
    # The file again: the same namespace. As JSON: the other form, and read alike.
    assert HOME.ctl("-q", "space", "register", "-f", path)[0] == out
    other = HOME.file("other.key")
    row = schema.check("space register",
                       HOME.ctl("--json", "space", "register", "--file", other)[0])
    assert json.load(open(other))["pubkey"] == row["pubkey"] and row["file"] == other
    assert HOME.ctl("-q", "space", "register", "-f", other)[0].strip() == row["pubkey"]
    assert HOME.ctl("-q", "-o", "lines", "space", "register", "-f", path)[0] == \
        "pubkey=" + out
    both = dict(line.split("=") for line in lines)
    both["privkey"] = json.load(open(other))["privkey"]
    mixed = HOME.file("mixed.key", json.dumps(both))
    HOME.ctl("space", "register", "-f", mixed, status=2)
    for bad, why in (("", "empty"), ("pubkey=00\nprivkey=00\n", "pubkey"),
                     ("addr=%s\nauth=%s\n" % (out.strip(), out.strip()), "identity")):
        _, err = HOME.ctl("space", "register", "-f", HOME.file("bad.key", bad), status=1)
        assert why in err, err
    _, err = HOME.ctl("space", "register", status=1)
    assert "-f FILE" in err
    _, err = HOME.ctl("space", "up", "-f", HOME.file("missing.key"), status=1)
    assert "space register" in err


@test
def ratctl_members():
    key = HOME.file("members.key")
    space = HOME.ctl("-q", "space", "register", "-f", key)[0].strip()
    (one, first), (two, second), (three, _) = (HOME.identity("m%d" % i) for i in range(3))
    assert HOME.ctl("-i", one, "space", "up", "-f", key)[0] == "ok\n"
    assert schema.check("space up", HOME.ctl("--json", "-i", two, "space", "up", space)[0])
    assert HOME.ctl("-o", "lines", "-i", two, "space", "up", space)[0] == ""
    rows = schema.check("space anycast", HOME.ctl("--json", "-i", three, "space", "anycast", "-f",
                                                  key, "-t", "100")[0])
    assert sorted(r["addr"] for r in rows) == sorted([first, second])
    out, _ = HOME.ctl("-o", "lines", "-i", three, "space", "anycast", space, "--timeout", "100")
    assert sorted(out.splitlines()) == sorted(["%s=0ms" % first, "%s=0ms" % second])
    out, _ = HOME.ctl("-o", "json", "-i", three, "space", "anycast", space, "-t", "100")
    assert json.loads(out) == {first: "0ms", second: "0ms"}
    out, _ = HOME.ctl("-i", three, "space", "anycast", space, "-t", "100")
    assert first in out and second in out
    HOME.cat("-i", three, "send", "-s", space, input=b"to the namespace")
    for who in (one, two):
        assert HOME.cat("-q", "-i", who, "recv", space)[0] == "to the namespace"
    HOME.ctl("-i", one, "space", "down", "-f", key)
    HOME.ctl("-i", one, "space", "down", "-f", key, status=2)
    assert schema.check("space down", HOME.ctl("--json", "-i", two, "space", "down", space)[0])
    out, err = HOME.ctl("-i", three, "space", "anycast", space, "-t", "50")
    assert "no member answered" in err
    HOME.ctl("-i", one, "space", "up", "AB" * 32, status=2)
    HOME.ctl("-i", one, "space", "up", space, "-f", key, status=1)
    HOME.ctl("-i", one, "space", "up", status=1)
    HOME.ctl("-i", one, "space", "anycast", space, "-t", "60001", status=1)
    HOME.ctl("-i", one, "space", "anycast", space, "-t", "soon", status=1)


if __name__ == "__main__":
    sys.exit(harness.main())
