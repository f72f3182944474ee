#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Contacts, links and peers from outside: bytes, restarts, what the disk tells, ratctl.

RATMAND=path/to/ratmand RATCTL=path/to/ratctl tests/e2e/test_contact.py   (TAP)
"""
import os
import random
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import schema  # noqa: E402
from harness import connect, test, user  # noqa: E402
from microframe import Error, addresses_in, contacts_in, pairs, words  # noqa: E402
from service import Service  # noqa: E402
from tools import Home  # noqa: E402

EXTENDED = b"\x01\x00\x01\x01\x04"
ADD, DELETE, MODIFY, LIST, QUERY = 0x0220, 0x0221, 0x0222, 0x0230, 0x0231
PEER_QUERY, PEER_STATUS = 0x0431, 0x0434
LINK_CREATE, LINK_DESTROY, LINK_UP, LINK_DOWN, LINK_LIST = 0x0301, 0x0302, 0x0310, 0x0311, 0x0330
A = bytes(range(1, 33))
B = bytes(range(0x41, 0x61))

MAX_CONTACTS, MAX_NOTE, MAX_TAGS, MAX_TAG_BYTES = 2048, 1024, 32, 2048


def contact(address, note=b"", tags=None, trust=1):
    return address + note + b"\0" + pairs(tags or {}) + bytes([trust])


def change(set_tags=None, remove=(), address=None, trust=None):
    return (pairs(set_tags or {}) + words(remove) + (address or b"\0")
            + (b"\0" if trust is None else b"\1" + bytes([trust])))


def query(addresses=(), note=b"", tags=None, test=0, value=0):
    return (struct.pack(">H", len(addresses)) + b"".join(addresses) + note + b"\0"
            + pairs(tags or {}) + bytes([test, value]))


def more(met=0, terms=(), **named):
    """Contact/Query with what only we have behind it; terms: (field, pattern, match) each."""
    return query(**named) + bytes([met]) + struct.pack(">H", len(terms)) + b"".join(
        field + b"\0" + pattern + b"\0" + bytes([match]) for field, pattern, match in terms)


def ok(c, mode, payload, token):
    f = c.ask(mode, payload, token)
    assert f.ping() == b"" and f.token == token and f.mode == 0


def listed(c, mode, payload, token):
    f = c.ask(mode, payload, token)
    body = f.ping(mf.ADDR_LIST)
    assert f.token == token
    return addresses_in(body)


def records(c, payload, token):
    f = c.ask(QUERY, payload, token)
    body = f.ping(mf.CONTACTS)
    assert f.token == token
    return contacts_in(body)


def refused(code, c, mode, payload, token=None, says=""):
    f = c.ask(mode, payload, token)
    try:
        f.ping()
    except Error as e:
        assert e.code == code, "error %d, wanted %d" % (e.code, code)
        assert says in e.text + f.payload.decode(errors="replace"), f.payload
        assert f.token is None, "an error carries no token"
        return
    raise AssertionError("not refused")


# The exchanges -------------------------------------------------------------------

@test
def golden_bytes():
    """Section 3.8 to the letter, the token echoed."""
    c, _, t = user()
    assert contact(B, b"hi", {b"k": b"v"}, 5) == B + bytes.fromhex("686900 0001 6b00 7600 05")
    assert contact(B) == B + bytes.fromhex("00 0000 01")
    ok(c, ADD, contact(B, b"hi", {b"k": b"v"}, 5), t)
    ok(c, ADD, contact(B), t)
    ok(c, ADD, contact(B), t)
    f = c.ask(LIST, b"", t)
    assert f.payload == b"\7\0\1" + B and f.token == t
    ok(c, DELETE, B, t)
    assert c.ask(LIST, b"", t).payload == b"\7\0\0"
    # Everything in one write: answered in order.
    c.send(mf.frame(ADD, contact(A), t) + mf.frame(ADD, contact(B), t) + mf.frame(LIST, b"", t)
           + mf.frame(DELETE, A, t) + mf.frame(LIST, b"", t))
    assert [c.frame().payload for _ in range(5)] == [
        b"\1", b"\1", b"\7\0\2" + A + B, b"\1", b"\7\0\1" + B]


@test
def many_are_gone_through_in_many_turns():
    """A list or search leaves others their turn after a bounded piece of it."""
    c, _, t = user(EXTENDED)
    everybody = sorted(bytes([i]) + A[1:] for i in range(1, 201))
    c.send(b"".join(mf.frame(ADD, contact(address, b"note"), t) for address in everybody))
    for _ in everybody:
        c.frame().ping()
    for ask in (lambda: listed(c, LIST, b"", t), lambda: sorted(records(c, query(), t)),
                lambda: sorted(records(c, more(terms=[(b"note", b"not", 1)]), t)),
                lambda: len(c.ask(PEER_QUERY, b"\0\0" + b"\0" * 3, t).payload)):
        before = c.limits()["turn_bytes"][2]
        found = ask()
        assert found in (everybody, 3), found
        assert c.limits()["turn_bytes"][2] - before >= 5
    # One who leaves in the middle takes it with him.
    for _ in range(5):
        gone = connect(EXTENDED)
        gone.send(mf.frame(QUERY, query(), t))
        gone.reset()
    assert listed(c, LIST, b"", t) == everybody


@test
def modify_and_query():
    plain, _, t = user()
    c = connect(EXTENDED)
    ok(c, ADD, contact(A, b"from the train", {b"nick": b"Anna", b"met": b"1", b"city": b"Ghent"}, 6), t)
    ok(c, ADD, contact(B, "gr\u00fc\u00df".encode(), {b"location": b"here"}, 2), t)
    anna = {"nick": b"Anna", "trust": 6, "met": True, "location": None, "note": b"from the train",
            "tags": {b"city": b"Ghent"}}
    other = {"nick": None, "trust": 2, "met": False, "location": b"here",
             "note": "gr\u00fc\u00df".encode(), "tags": {}}
    assert records(c, query(), t) == {A: anna, B: other}
    # Clients without the extensions get addresses.
    assert listed(plain, QUERY, query(), t) == [A, B]
    for found, q in (([A], query(note=b"train")), ([], query(note=b"Train")),
                     ([A], query(tags={b"city": b"Ghent"})), ([A], query(tags={b"city": b""})),
                     ([], query(tags={b"city": b"Gent"})), ([A], query(test=1, value=6)),
                     ([B], query(test=2, value=6)), ([B], query([B])), ([], query([B], test=1, value=3)),
                     ([A, B], query([B, A])), ([B], query(tags={b"location": b"here"}))):
        assert listed(plain, QUERY, q, t) == found, q
        assert list(records(c, q, t)) == found
    assert listed(c, MODIFY, change({b"city": b"Brugge", b"new": b""}, [b"nick"], A, 7), t) == [A]
    anna.update(nick=None, trust=7, tags={b"city": b"Brugge", b"new": b""})
    assert records(c, query(), t) == {A: anna, B: other}
    assert listed(c, MODIFY, change(remove=[b"new", b"none"], trust=3), t) == [A, B]
    anna.update(trust=3, tags={b"city": b"Brugge"})
    other.update(trust=3)
    assert records(c, query(), t) == {A: anna, B: other}
    unknown = os.urandom(32)
    refused(mf.NO_ADDRESS, c, MODIFY, change(address=unknown), t)
    refused(mf.NO_ADDRESS, c, DELETE, unknown, t)


@test
def query_as_people_remember():
    """R28: parts and misspellings of nick, location and note; met or not; trust within."""
    exact, part, fuzzy, prefix = range(4)
    plain, _, t = user()
    c = connect(EXTENDED)
    ok(c, ADD, contact(A, b"Met on the night train",
                       {b"nick": b"Anna Karenina", b"location": "K\u00f6ln".encode(), b"met": b"1"}, 6), t)
    ok(c, ADD, contact(B, b"", {b"nick": b"Bob", b"hobby": b"Trains"}, 3), t)
    for found, q in (
            ([A], more(terms=[(b"nick", b"KARENINA", part)])), ([], more(terms=[(b"nick", b"karennia", part)])),
            ([A], more(terms=[(b"nick", b"karennia", fuzzy)])), ([A], more(terms=[(b"nick", b"anna", prefix)])),
            ([], more(terms=[(b"nick", b"anna", exact)])), ([B], more(terms=[(b"nick", b"bob", exact)])),
            ([A], more(terms=[(b"location", "K\u00d6L".encode(), part)])),
            ([A], more(terms=[(b"note", b"nihgt", fuzzy)])), ([A, B], more(terms=[(b"", b"train", part)])),
            ([B], more(terms=[(b"hobby", b"", part)])), ([A, B], more(terms=[(b"nick", b"", part)])),
            ([A], more(terms=[(b"", b"train", part), (b"nick", b"anna", part)])),
            ([A], more(met=2)), ([B], more(met=1)), ([A, B], more()),
            ([], more(met=1, terms=[(b"nick", b"anna", part)])),
            ([A], more(met=2, addresses=[A, B]))):
        assert list(records(c, q, t)) == found, q
    for value in range(1, 8):
        for fuzz in range(8):
            near = [a for a, trust in ((A, 6), (B, 3)) if abs(trust - value) <= fuzz]
            assert list(records(c, query(test=3, value=value) + bytes([fuzz]), t)) == near, (value, fuzz)
            assert list(records(c, query(test=3, value=value) + bytes([fuzz]) + b"\2\0\0", t)) == \
                [a for a in near if a == A]
    # Who has not announced the extensions gets none of it, and what is wrong is said.
    for q in (more(met=2), query(test=3, value=4) + b"\1", more(terms=[(b"nick", b"a", part)])):
        refused(mf.USER, plain, QUERY, q, t, "Contact/Query")
    refused(mf.USER, c, QUERY, more(terms=[(b"a", b"b", part)] * 17), t, "16 terms")
    refused(mf.USER, c, QUERY, more(terms=[(b"a", b"p" * 257, part)]), t, "256 bytes")
    refused(mf.USER, c, QUERY, more(terms=[(b"a", b"b", 4)]), t, "Contact/Query")
    # A contact is looked at in one go: no more words than that takes a moment for.
    few, many = b"w " * 16, b"w " * 17
    assert c.ask(QUERY, more(terms=[(b"", few, fuzzy)] * 2), t).payload[:1] != b"\3"
    refused(mf.USER, c, QUERY, more(terms=[(b"", few, fuzzy), (b"", many, fuzzy)]), t, "32 words")
    refused(mf.USER, c, PEER_QUERY, b"\0" * 5 + b"\0\0\1\0" + b"w " * 33 + b"\0\2", t, "32 words")
    assert c.ask(QUERY, more(terms=[(b"", many, part)] * 2), t).payload[:1] != b"\3"
    refused(mf.USER, c, QUERY, more(met=3), t, "Contact/Query")
    refused(mf.USER, c, QUERY, query(test=3, value=8) + b"\1", t, "1 to 7")
    whole = more(met=1, terms=[(b"nick", b"anna", fuzzy)])
    for cut in range(len(query()) + 1, len(whole)):
        refused(mf.USER, c, QUERY, whole[:cut], t, "Contact/Query")
    # Peers are asked for alike; there are none.
    f = c.ask(PEER_QUERY, b"\0\0\0\3\4\1" + b"\2\0\1nick\0ann\0\2", t)
    assert f.ping(mf.PEER_LIST) == b"\0\0"
    refused(mf.USER, plain, PEER_QUERY, b"\0\0\0\0\0" + b"\2\0\0", t, "Peer/Query")


@test
def sessions_have_contacts():
    """A user who is logged in has them, in every session, and nobody has after the last."""
    first, second, other = (Service(harness.DAEMON.bind) for _ in range(3))
    first.user_create(b"password of the first")
    second.login(first.id, b"password of the first")
    other.user_create(b"password of another")
    ok(first, ADD, contact(A, b"mine", {b"nick": b"Anna"}, 6), first.token)
    assert records(second, query(), second.token)[A]["nick"] == b"Anna"
    assert records(other, query(), other.token) == {}
    first.logout()
    refused(mf.INVALID_AUTH, first, LIST, b"", first.token)
    assert listed(second, MODIFY, change({b"nick": b"Nan"}, address=A), second.token) == [A]
    harness.DAEMON.kill()
    harness.DAEMON.start()
    # What was changed last is there; the sessions are not.
    c = Service(harness.DAEMON.bind)
    refused(mf.INVALID_AUTH, c, LIST, b"", second.token)
    c.login(first.id, b"password of the first")
    assert records(c, more(terms=[(b"nick", b"nan", 0)]), c.token)[A]["note"] == b"mine"
    # Another password changes nothing about them.
    c.change_password(b"the next one")
    c.logout()
    c.login(first.id, b"the next one")
    assert list(records(c, query(), c.token)) == [A]
    c.user_destroy()
    refused(mf.INVALID_AUTH, c, LIST, b"", c.token)


@test
def bad_requests():
    c, _, t = user()
    for mode, payload, says in (
            (ADD, contact(B, trust=0), "1 to 7"), (ADD, contact(B, trust=8), "1 to 7"),
            (ADD, contact(B, b"\xff"), "UTF-8"), (ADD, contact(B, tags={b"": b"v"}), "Contact/Add"),
            (ADD, B + b"\0\0\2k\0v\0k\0w\0\1", "each key once"),
            (ADD, contact(bytes(32)), "an address"), (ADD, contact(B) + b"\0", "Contact/Add"),
            (ADD, contact(B)[:-1], "Contact/Add"), (DELETE, B[:31], "Contact/Delete"),
            (MODIFY, change(trust=9), "1 to 7"), (MODIFY, change() + b"\0", "Contact/Modify"),
            (QUERY, query(test=3, value=1), "Contact/Query"), (QUERY, query(test=1, value=0), "1 to 7"),
            (QUERY, struct.pack(">H", 65535) + query()[2:], "Contact/Query"),
            (PEER_QUERY, b"\0\0\0\3\1", "Peer/Query"), (PEER_STATUS, b"\0\0", "address")):
        refused(mf.USER, c, mode, payload, t, says)
    seed = random.Random(220)
    for _ in range(300):
        mode = seed.choice((ADD, MODIFY, QUERY, PEER_QUERY))
        c.ask(mode, seed.randbytes(seed.randrange(80)), t)
    whole = contact(B, b"note", {b"key": b"value"}, 5)
    for cut in range(len(whole)):
        refused(mf.USER, c, ADD, whole[:cut], t)
    assert listed(c, LIST, b"", t) == []


@test
def limits():
    c, _, t = user()
    ok(c, ADD, contact(B, b"n" * MAX_NOTE), t)
    refused(mf.USER, c, ADD, contact(B, b"n" * (MAX_NOTE + 1)), t, str(MAX_NOTE))
    full = {b"%02d" % i: b"" for i in range(MAX_TAGS)}
    ok(c, ADD, contact(B, tags=full), t)
    refused(mf.USER, c, ADD, contact(B, tags={**full, b"more": b""}), t, "%d tags" % MAX_TAGS)
    refused(mf.USER, c, MODIFY, change({b"more": b""}), t, "%d tags" % MAX_TAGS)
    ok(c, ADD, contact(B, tags={b"k": b"v" * (MAX_TAG_BYTES - 3)}), t)
    refused(mf.USER, c, ADD, contact(B, tags={b"k": b"v" * (MAX_TAG_BYTES - 2)}), t)
    # As many as there may be, all as large as they may be, come back in one reply.
    e = connect(EXTENDED)
    big = contact(B, b"n" * MAX_NOTE, {b"k": b"v" * (MAX_TAG_BYTES - 3)}, 7)[32:]
    names = sorted({os.urandom(32) for _ in range(MAX_CONTACTS)})
    ok(c, DELETE, B, t)
    for i in range(0, MAX_CONTACTS, 64):
        c.send(b"".join(mf.frame(ADD, n + big, t) for n in names[i:i + 64]))
        for _ in range(64):
            c.frame().ping()
    refused(mf.USER, c, ADD, contact(B), t, str(MAX_CONTACTS))
    ok(c, ADD, names[0] + big, t)
    assert listed(c, LIST, b"", t) == names
    assert list(records(e, query(), t)) == names
    assert len(listed(c, MODIFY, change(trust=5), t)) == MAX_CONTACTS
    # Others are not hindered.
    o, _, u = user()
    ok(o, ADD, contact(B), u)
    c.destroy(_, u)


# Whose they are ------------------------------------------------------------------

@test
def tokens():
    """Missing, wrong, foreign, expired: InvalidAuth, the same for all, no effect."""
    c, a, t = user()
    d, b, u = user()
    ok(c, ADD, contact(A, b"mine", trust=3), t)
    ok(d, ADD, contact(B), u)
    wrong = bytes([t[0] ^ 1 or 2]) + t[1:]
    asks = ((ADD, contact(B)), (DELETE, A), (MODIFY, change(trust=1)), (LIST, b""), (QUERY, query()),
            (PEER_QUERY, b"\0\0\0\0\0"))
    answers = set()
    for mode, payload in asks:
        for token in (None, wrong, os.urandom(32).replace(b"\0", b"\1")):
            x = connect(EXTENDED)
            f = x.ask(mode, payload, token)
            answers.add((f.mode, f.token, f.payload))
    assert answers == {(0, None, bytes.fromhex("03 00000004 01000000"))}, answers
    # A foreign token is its own address' only.
    refused(mf.NO_ADDRESS, c, DELETE, A, u)
    refused(mf.NO_ADDRESS, d, DELETE, B, t)
    assert listed(c, LIST, b"", u) == [B] and listed(d, LIST, b"", t) == [A]
    assert listed(d, MODIFY, change(trust=7), u) == [B]
    e = connect(EXTENDED)
    assert records(e, query(), t)[A]["trust"] == 3
    # Down, the token is worth nothing here; what was stored is there when it is up again.
    c.down(a, t)
    refused(mf.INVALID_AUTH, e, LIST, b"", t)
    c.up(a, t)
    assert records(e, query(), t)[A]["note"] == b"mine"
    c.destroy(a, t)
    refused(mf.INVALID_AUTH, e, LIST, b"", t)
    assert listed(d, LIST, b"", u) == [B]
    # Too many of them end the connection.
    x = connect()
    for _ in range(7):
        refused(mf.INVALID_AUTH, x, LIST, b"", wrong)
    x.send(mf.frame(LIST, b"", wrong))
    x.frame()
    assert x.at_eof()


@test
def kill_and_restart():
    """What was answered Ok is there after kill -9, for its owner only."""
    c, a, t = user()
    d, b, u = user()
    ok(c, ADD, contact(A, b"kept", {b"nick": b"Anna"}, 6), t)
    ok(c, ADD, contact(B), t)
    listed(c, MODIFY, change({b"k": b"v"}, address=B, trust=2), t)
    gone = os.urandom(32)
    ok(c, ADD, contact(gone), t)
    ok(c, DELETE, gone, t)
    ok(d, ADD, contact(A), u)
    harness.DAEMON.kill()
    harness.DAEMON.start()
    e = connect(EXTENDED)
    # The resume file brought both up.
    got = records(e, query(), t)
    assert sorted(got) == [A, B]
    assert got[A]["note"] == b"kept" and got[A]["nick"] == b"Anna" and got[A]["trust"] == 6
    assert got[B]["tags"] == {b"k": b"v"} and got[B]["trust"] == 2
    assert records(e, query(), u).keys() == {A}
    # In the middle of a stream of changes: a prefix of it survives.
    names = [os.urandom(32) for _ in range(200)]
    c = connect()
    c.send(b"".join(mf.frame(ADD, contact(n), u) for n in names))
    answered = 0
    while answered < 50:
        c.frame().ping()
        answered += 1
    harness.DAEMON.kill()
    harness.DAEMON.start()
    kept = set(listed(connect(), LIST, b"", u)) - {A}
    n = len(kept)
    assert n >= answered and kept == set(names[:n]), "%d kept, %d answered" % (n, answered)
    e = connect()
    e.destroy(a, t)
    e.destroy(b, u)


@test
def destroy_takes_them():
    """A namespace made again from its key has the keys it had: it would find what was left."""
    c, a, t = user()
    ok(c, ADD, contact(A), t)
    seed = os.urandom(32)
    for up in (True, False):
        for force in (b"\0", b"\1"):
            x, tx = c.create(b"\0" + seed)
            c.up(x, tx)
            assert listed(c, LIST, b"", tx) == []
            ok(c, ADD, contact(A), tx)
            ok(c, ADD, contact(B), tx)
            if not up:
                c.down(x, tx)
            c.destroy(x, tx, force)
    x, tx = c.create(b"\0" + seed)
    c.up(x, tx)
    assert listed(c, LIST, b"", tx) == []
    assert listed(c, LIST, b"", t) == [A]
    c.destroy(x, tx)
    c.destroy(a, t)


def state_bytes():
    out = b""
    for directory, _, files in os.walk(os.path.join(harness.DAEMON.directory, "state")):
        for name in files:
            if "lock" not in name:
                with open(os.path.join(directory, name), "rb") as f:
                    out += f.read()
    return out


@test
def nothing_in_clear():
    c, a, t = user()
    peer = os.urandom(32).replace(b"\0", b"\1")
    secrets = [peer, b"a note nobody shall read", b"a nick nobody shall read", b"key nobody shall read",
               b"a value nobody shall read"]
    before = state_bytes()
    for _ in range(3):     # freed pages keep what was there
        ok(c, ADD, contact(peer, secrets[1], {b"nick": secrets[2], secrets[3]: secrets[4]}, 5), t)
        listed(c, MODIFY, change({secrets[3]: secrets[4] + b"!"}), t)
    harness.DAEMON.kill()
    disk = state_bytes()
    harness.DAEMON.start()
    assert disk != before
    for s in secrets:
        for form in (s, s.hex().encode(), s.hex().upper().encode(), s[:8],
                     "-".join(s.hex().upper()[i:i + 4] for i in range(0, 64, 4)).encode()[:19]):
            assert form not in disk, "%r is on the disk" % form


# Links and peers -----------------------------------------------------------------

@test
def links():
    c = connect(EXTENDED)
    assert c.ask(LINK_LIST).ping(mf.LINKS) == b"\0\0"
    refused(mf.NOT_SUPPORTED, connect(), LINK_LIST, b"")
    # Over TCP nobody steers the router, with or without somebody's token.
    _, _, t = user()
    for mode in (LINK_CREATE, LINK_DESTROY, LINK_UP, LINK_DOWN):
        for token in (None, t):
            refused(mf.INVALID_AUTH, connect(EXTENDED), mode, b"eth:lo\0", token)
    refused(mf.USER, c, LINK_CREATE, b"")


@test
def peers():
    c, _, t = user()
    f = c.ask(PEER_STATUS, b"\0", t)
    assert len(f.ping(mf.STATUS)) == 32 and f.token == t
    assert connect().ask(PEER_STATUS).kind == mf.STATUS
    refused(mf.NO_ADDRESS, c, PEER_STATUS, B)
    ok(c, ADD, contact(B), t)
    f = c.ask(PEER_QUERY, b"\0\0\0\0\0", t)
    assert f.ping(mf.PEER_LIST) == b"\0\0" and f.token == t


# ratctl --------------------------------------------------------------------------

def dashed(address):
    h = address.hex().upper()
    return "-".join(h[i:i + 4] for i in range(0, 64, 4))


def with_home(f):
    def run():
        home = Home()
        path, address = home.identity()
        f(home, path, address)
    run.__name__, run.__doc__ = f.__name__, f.__doc__
    return test(run)


@with_home
def ratctl_life(home, path, address):
    """add, list, query, mod, del as people type them; JSON by the schema."""
    def ctl(*words, **kw):
        return home.ctl("-i", path, "contact", *words, **kw)[0]
    out, err = home.ctl("-i", path, "contact", "list")
    assert out.split() == ["ADDRESS", "TRUST"] and "ratctl contact add" in err
    assert ctl("add", dashed(A), "--nick", "Anna", "--note", "from the train", "--tag", "city=Ghent",
               "--tag", "friend", "--met", "--trust", "6") == "ok\n"
    assert schema.check("contact add", ctl("add", dashed(B), "--json"))
    table = ctl("list")
    for word in (dashed(A), "Anna", "6", "from the train", "city=Ghent, friend", "4"):
        assert word in table, table
    rows = schema.check("contact list", ctl("list", "--json"))
    assert [r["addr"] for r in rows] == [dashed(A), dashed(B)]
    assert rows[0]["tags"] == {"city": "Ghent", "friend": ""} and rows[0]["met"]
    assert rows[1]["trust"] == 4 and rows[1]["nick"] is None and not rows[1]["met"]
    # By a beginning, by the short form, by the IPv6 address.
    for name in (dashed(A)[:9], "0102\u20261F20", rows[0]["ipv6"]):
        found = schema.check("contact query", ctl("query", name, "--json"))
        assert [r["addr"] for r in found] == [dashed(A)], name
    for words_, n in ((("--tag", "city"), 1), (("--tag", "city=Gent"), 0), (("--note", "train"), 1),
                      (("--trust", "5"), 1), (("--trust-below", "5"), 1), (("--nick", "Anna", "--met"), 1),
                      (("--trust", "4"), 2), ((dashed(A), dashed(B)), 2), (("--nick", "ANN"), 1),
                      (("--nick", "ann", "--exact"), 0), (("--nick", "anna", "--exact"), 1),
                      (("--nick", "nna", "--prefix"), 0), (("--note", "TRIAN"), 0),
                      (("--note", "from teh train"), 0), (("--note", "form trian", "--fuzzy"), 1),
                      (("--not-met",), 1), (("--met",), 1), (("--trust", "5", "--trust-within", "0"), 0),
                      (("--trust", "5", "--trust-within", "1"), 2),
                      (("--trust", "7", "--trust-within", "1"), 1)):
        assert len(schema.check("contact query", ctl("query", *words_, "--json"))) == n, words_
    # What is noted is not lost by a second add.
    out, err = home.ctl("-i", path, "contact", "add", dashed(A), status=1)
    assert "--force" in err and "contact mod" in err
    assert schema.check("contact mod", ctl("mod", "0102", "--trust", "7", "--untag", "friend", "--note",
                                           "other", "--json")) == [{"addr": dashed(A)}]
    row = schema.check("contact list", ctl("list", "--json"))[0]
    assert (row["trust"], row["note"], row["tags"], row["nick"]) == (7, "other", {"city": "Ghent"}, "Anna")
    assert len(ctl("mod", "--all", "--tag", "k=v=w", "--no-header").split()) == 2
    assert all(r["tags"]["k"] == "v=w" for r in schema.check("contact list", ctl("list", "--json")))
    assert ctl("add", dashed(A), "--force") == "ok\n"
    row = schema.check("contact list", ctl("list", "--json"))[0]
    assert row["nick"] is None and row["tags"] == {} and row["trust"] == 4
    assert ctl("del", "0102") == "ok\n" and schema.check("contact del", ctl("del", "4142", "--json"))
    assert schema.check("contact list", ctl("list", "--json")) == []
    assert schema.check("peers query", home.ctl("-i", path, "peers", "query", "--json", "--tag", "x")[0]) == []


@with_home
def ratctl_mistakes(home, path, address):
    """Each says what to do, with the exit status of its kind."""
    def fails(status, says, *words):
        out, err = home.ctl("-i", path, *words, status=status)
        assert out == "" and says in err, (words, out, err)
        out, _ = home.ctl("--json", "-i", path, *words, status=status)
        schema.check_error(out, status)
    fails(1, "from 1 to 7", "contact", "add", dashed(A), "--trust", "0")
    fails(1, "from 1 to 7", "contact", "add", dashed(A), "--trust", "77")
    fails(1, "KEY=VALUE", "contact", "add", dashed(A), "--tag", "=v")
    fails(1, "given twice", "contact", "add", dashed(A), "--tag", "k=1", "--tag", "k=2")
    fails(1, "given twice", "contact", "add", dashed(A), "--tag", "nick=x", "--nick", "y")
    fails(1, "at most 1024 bytes", "contact", "add", dashed(A), "--note", "n" * 1025)
    fails(1, "UTF-8", "contact", "add", dashed(A), "--note", b"\xff".decode(errors="surrogateescape"))
    fails(1, "unique beginning", "contact", "add", "9999-9999")
    fails(1, "nothing to change", "contact", "mod", dashed(A))
    fails(1, "--all", "contact", "mod", "--trust", "5")
    fails(1, "in place of --all", "contact", "mod", "--all", "--note", "x")
    fails(1, "at once", "contact", "query", "--trust", "5", "--trust-below", "6")
    fails(1, "at once", "contact", "query", "--met", "--not-met")
    fails(1, "needs --trust", "contact", "query", "--trust-within", "1")
    fails(1, "from 0 to 6", "contact", "query", "--trust", "4", "--trust-within", "7")
    fails(1, "at most 256 bytes", "contact", "query", "--nick", "n" * 257)
    fails(1, "--exact, --prefix and --fuzzy", "contact", "query", "--nick", "n", "--exact", "--fuzzy")
    fails(1, "by keys", "peers", "query", "--tag", "k=v")
    fails(2, "ratctl contact list", "contact", "del", dashed(A))
    fails(2, "ratctl contact list", "contact", "mod", dashed(A), "--trust", "5")
    fails(2, "ratctl contact list", "contact", "mod", dashed(A), "--note", "x")
    fails(2, "ratctl peers list", "peers", "status", dashed(A))
    home.ctl("-i", path, "addr", "down")
    fails(2, "ratctl addr up", "contact", "list")
    fails(2, "ratctl addr up", "contact", "add", dashed(A))
    # No token ever shows.
    with open(path) as f:
        token = f.read().split("auth=")[1].strip()
    _, err = home.ctl("-i", path, "contact", "list", status=2)
    assert token not in err and token[:19] not in err
    with open(harness.DAEMON.log_path, errors="replace") as log:
        assert token[:19] not in log.read()


if __name__ == "__main__":
    sys.exit(harness.main())
