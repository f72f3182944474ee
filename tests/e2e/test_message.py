#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespace 0A, Message (service-api.md sections 7.2, R17 to R25, and 7.3)."""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
from harness import daemon, program, test, wait_until  # noqa: E402
from microframe import Closed, frame  # noqa: E402
from restarted import Restarted  # noqa: E402
from service import (FLOOD, INVALID_PAYLOAD, INVALID_QUERY, NO_DATA, NOT_AUTHORISED,  # noqa: E402
                     STD, TRUSTED, Service, ServiceError, blob, refused, tags, text)

CHAT, NEWS = b"org.example.chat", b"org.example.news"
UNREAD = (b"libqaul._int.unread", b"")
WRONG = b"\x66" * 32


def person(bind=None):
    """Somebody with an address that is up."""
    c = Service(bind or harness.DAEMON.bind)
    c.id, c.token = c.create()
    c.up(c.id, c.token)
    return c


def again(p):
    """A second connection of the same user."""
    c = Service(harness.DAEMON.bind)
    c.id, c.token = p.id, p.token
    return c


def seen(c, service=CHAT, **query):
    """What the user sees: all pages."""
    out, more = [], True
    while more:
        try:
            found, more = c.messages(service, skip=len(out), take=0, **query)
        except ServiceError as e:
            assert e.code == NO_DATA and not out
            return []
        out += found
    return out


def arrived(c, n, service=CHAT, **query):
    """Waits until there are @n."""
    wait_until("%d messages" % n, lambda: len(seen(c, service, **query)) >= n, 30)
    out = seen(c, service, **query)
    assert len(out) == n, "%d messages, wanted %d" % (len(out), n)
    return out


def data_of(messages):
    return [m["data"] for m in messages]


# Bytes ----------------------------------------------------------------------------


@test
def bytes_of_it_all():
    a, b = person(), person()
    ident = b"\x77" * 32
    a.send(frame(0x0a32, a.id + b"\1" + b.id + b"\1" + ident + CHAT + b"\0" + b"\0\1k\0\0\1v" +
                 b"\0\0\0\2hi", a.token))
    assert a.exactly(42 + 33) == frame(0x0a32, b"\x23" + ident, a.token)
    arrived(b, 1)
    b.send(frame(0x0a31, b.id + b"\1" + CHAT + b"\0" + b"\0\0" + b"\0\0" + struct.pack(">II", 0, 9),
                 b.token))
    f = b.frame()
    assert f.mode == 0x0a31 and f.token == b.token
    head = b"\x24\0\1" + b"\1" + ident + a.id + b"\1\1" + b.id + CHAT + b"\0" + \
        b"\0\2" + b"k\0\0\1v" + UNREAD[0] + b"\0\0\0"
    assert f.payload.startswith(head)
    rest = f.payload[len(head):]
    assert rest[35:] == b"\0" + b"\0\0\0\2hi" + b"\0"
    b.send(frame(0x0a22, b.id + ident + tags(()) + tags((UNREAD,)), b.token))
    assert b.exactly(42 + 1) == frame(0x0a22, b"\1", b.token)
    b.send(frame(0x0a21, b.id + ident, b.token))
    assert b.exactly(42 + 1) == frame(0x0a21, b"\1", b.token)
    b.send(frame(0x0a21, b.id + ident, b.token))
    f = b.frame()
    assert f.mode == 0x0a21 and f.payload[:2] == b"\x20\5" and f.payload[-1] == 0
    # Many, and what the sender sees of it.
    a.send(frame(0x0a33, a.id + b"\0\2" + a.id + b.id + NEWS + b"\0" + b"\0\0" + b"\0\0\0\0",
                 a.token))
    f = a.frame()
    assert (f.mode, f.payload[0], len(f.payload)) == (0x0a33, 0x23, 33)
    mine, = seen(a, NEWS)
    assert mine["id"] == f.payload[1:] and mine["to"] is None and mine["data"] == b""


@test
def every_cut_of_every_request_is_answered():
    a = person()
    whole = [
        (0x0a32, a.id + b"\1" + a.id + b"\1" + b"\x55" * 32 + text(CHAT) +
         tags(((b"k", b"v"), (b"l", b""))) + blob(b"data")),
        (0x0a33, a.id + b"\0\1" + a.id + text(CHAT) + tags(((b"k", b"v"),)) + blob(b"data")),
        (0x0a31, a.id + b"\1" + text(CHAT) + b"\1" + WRONG + b"\1" + WRONG + tags(((b"k", b"v"),)) +
         struct.pack(">II", 1, 1)),
        (0x0a22, a.id + WRONG + tags(((b"k", b"v"),)) + tags(((b"k", b"v"),))),
        (0x0a03, a.id + b"\1" + text(CHAT) + tags(((b"k", b"v"),))),
    ]
    for mode, payload in whole:
        for cut in range(32, len(payload)):
            f = a.ask(mode, payload[:cut], a.token)
            assert f.kind in (3, 0x20), "mode %04x cut at %d: kind %d" % (mode, cut, f.kind)
        f = a.ask(mode, payload + b"x", a.token)
        assert f.kind in (3, 0x20)
    assert seen(a) == []
    for mode, payload in whole:
        a.ask(mode, payload, a.token)
    assert len(seen(a)) == 2


@test
def tokens_are_asked_for():
    a, b = person(), person()
    ident = a.message_send(b.id, CHAT, b"x")
    sub = b"\x12" * 32
    calls = [(0x0a32, a.id + b"\0\0" + text(CHAT) + tags(()) + blob(b"")),
             (0x0a33, a.id + b"\0\1" + b.id + text(CHAT) + tags(()) + blob(b"")),
             (0x0a31, a.id + b"\0\0\0" + tags(()) + struct.pack(">II", 0, 0)),
             (0x0a22, a.id + ident + tags(()) + tags(())),
             (0x0a21, a.id + ident), (0x0a03, a.id + b"\1" + text(CHAT) + tags(()))]
    for mode, payload in calls:
        for token in (None, WRONG, b.token):
            c = Service(harness.DAEMON.bind)
            refused(None, c.call, mode, payload, None, token=token)
            c.close()
    for mode in (0x0a04, 0x0a05):
        refused(None, Service(harness.DAEMON.bind).call, mode, sub + a.id, None, token=b.token)
    assert len(seen(a)) == 1


# Sending -----------------------------------------------------------------------------


@test
def one_to_one():
    a, b, c = person(), person(), person()
    ident = a.message_send(b.id, CHAT, b"hello", ((b"room", b"kitchen"),))
    m, = arrived(b, 1)
    assert m["id"] == ident and m["sender"] == a.id and m["to"] == b.id and m["data"] == b"hello"
    assert sorted(m["tags"]) == sorted([(b"room", b"kitchen"), UNREAD])
    assert m["trust"] == TRUSTED and m["mode"] == STD and m["service"] == CHAT
    mine, = seen(a)
    assert mine["tags"] == [(b"room", b"kitchen")] and mine["time"] == m["time"]
    assert mine["to"] == b.id and mine["data"] == b"hello"
    assert seen(c) == [] and seen(a, NEWS) == [] and seen(b, NEWS) == []


@test
def a_note_to_oneself():
    a, b = person(), person()
    a.message_send(a.id, CHAT, b"buy milk")
    m, = seen(a)
    assert m["tags"] == [] and m["to"] == a.id
    # Nor does it come once more, with what went behind it.
    a.message_send(b.id, CHAT, b"a marker")
    arrived(b, 1)
    b.message_send(a.id, CHAT, b"and one back")
    assert data_of(arrived(a, 3)) == [b"buy milk", b"a marker", b"and one back"]


@test
def many():
    a, others, stranger = person(), [person() for _ in range(5)], person()
    ident = a.message_send_many([o.id for o in others], CHAT, b"all of you", ((b"t", b""),))
    for o in others:
        m, = arrived(o, 1)
        assert m["id"] == ident and m["to"] == o.id and m["data"] == b"all of you"
    mine, = seen(a)
    assert mine["id"] == ident and mine["mode"] == STD and mine["to"] is None
    assert seen(stranger) == []
    refused(INVALID_PAYLOAD, a.message_send_many, [], CHAT, b"x")
    refused(INVALID_PAYLOAD, a.message_send_many, [others[0].id] * 2, CHAT, b"x")
    refused(INVALID_PAYLOAD, a.message_send_many,
            [bytes([i + 1]) * 32 for i in range(65)], CHAT, b"x")


@test
def grouped_ids_are_kept_once():
    a, b, c, d = person(), person(), person(), person()
    group = os.urandom(31) + b"\1"
    assert a.message_send(b.id, CHAT, b"first", ident=group) == group
    assert a.message_send(c.id, CHAT, b"second", ident=group) == group
    assert a.message_send(b.id, CHAT, b"third", ident=group) == group
    assert data_of(arrived(b, 1)) == [b"first"] and data_of(arrived(c, 1)) == [b"second"]
    assert data_of(seen(a)) == [b"first"]
    # Others' messages of the same id are others.
    d.message_send(b.id, CHAT, b"mine", ident=group)
    assert sorted(data_of(arrived(b, 2))) == [b"first", b"mine"]
    found, more = b.messages(CHAT, ident=group)
    assert len(found) == 2 and not more
    # "third" does not come behind them, either.
    a.message_send(b.id, CHAT, b"a marker")
    assert sorted(data_of(arrived(b, 3))) == [b"a marker", b"first", b"mine"]


@test
def who_is_away_has_them_later():
    a, b, c = person(), person(), person()
    b.down(b.id, b.token)
    refused(None, b.messages, CHAT)
    sent = [a.message_send(b.id, CHAT, b"%d" % i) for i in range(20)]
    a.message_send(c.id, CHAT, b"a marker")
    arrived(c, 1)
    b.up(b.id, b.token)
    assert sorted(m["id"] for m in arrived(b, 20)) == sorted(sent)


@test
def large_and_small():
    a, b = person(), person()
    big = os.urandom(64000)
    a.message_send(b.id, CHAT, big)
    a.message_send(b.id, CHAT, b"")
    assert sorted(data_of(arrived(b, 2))) == sorted([big, b""])
    for _ in range(30):
        a.message_send(b.id, NEWS, big)
    # More than one reply holds: all pages together are all.
    assert data_of(arrived(b, 30, NEWS)) == [big] * 30
    found, more = b.messages(NEWS, take=0)
    assert more and 10 < len(found) < 20
    refused(INVALID_PAYLOAD, a.message_send, b.id, CHAT, b"x" * 65001)
    refused(INVALID_PAYLOAD, a.message_send, b.id, b"s" * 129, b"x")
    refused(INVALID_PAYLOAD, a.message_send, b.id, b"", b"x")
    refused(INVALID_PAYLOAD, a.message_send, b.id, b"\xff", b"x")


# Tags --------------------------------------------------------------------------------


@test
def tags_are_sets():
    a = person()
    ident = a.message_send(a.id, CHAT, b"x", ((b"k", b"1"), (b"k", b"1"), (b"k", b"2"), (b"b", b"")))
    m, = seen(a)
    assert m["tags"] == [(b"b", b""), (b"k", b"1"), (b"k", b"2")]
    a.message_modify(ident, add=((b"k", b"3"), (b"b", b"")), remove=((b"k", b"1"), (b"no", b"")))
    assert seen(a)[0]["tags"] == [(b"b", b""), (b"k", b"2"), (b"k", b"3")]
    assert seen(a, tagged=((b"k", b"1"),)) == []
    assert len(seen(a, tagged=((b"k", b"2"), (b"k", b"3")))) == 1
    refused(NO_DATA, a.message_modify, WRONG, ((b"k", b"1"),))


@test
def limits_of_tags():
    a, b = person(), person()
    full = tuple((b"key%02d" % i, b"v" * 100) for i in range(64))
    ident = a.message_send(b.id, CHAT, b"x", full)
    m, = arrived(b, 1)
    assert len(m["tags"]) == 65 and UNREAD in m["tags"]
    refused(INVALID_PAYLOAD, a.message_send, b.id, CHAT, b"x", full + ((b"more", b""),))
    refused(INVALID_PAYLOAD, a.message_send, b.id, CHAT, b"x", ((b"k", b"v" * 8192),))
    a.message_send(b.id, CHAT, b"x", ((b"k", b"v" * (8192 - 4)),))
    refused(INVALID_PAYLOAD, b.message_modify, ident, ((b"more", b""),))
    assert sorted(arrived(b, 2)[0]["tags"]) == sorted(m["tags"])
    b.message_modify(ident, ((b"more", b""),), (full[0],))
    refused(INVALID_PAYLOAD, a.message_send, b.id, CHAT, b"x", ((b"", b"v"),))
    refused(INVALID_PAYLOAD, a.message_send, b.id, CHAT, b"x", ((b"\xff", b"v"),))


@test
def reserved_tags():
    a, b = person(), person()
    ident = a.message_send(b.id, CHAT, b"x")
    arrived(b, 1)
    for tag in (UNREAD, (b"libqaul._int.", b""), (b"libqaul._int.mine", b"x")):
        refused(INVALID_PAYLOAD, a.message_send, b.id, CHAT, b"x", (tag,))
        refused(INVALID_PAYLOAD, a.message_send_many, [b.id], CHAT, b"x", (tag,))
        refused(INVALID_PAYLOAD, b.message_modify, ident, (tag,))
        if tag != UNREAD:
            refused(INVALID_PAYLOAD, b.message_modify, ident, (), (tag,))
    assert len(seen(b, tagged=(UNREAD,))) == 1 and seen(a, tagged=(UNREAD,)) == []
    b.message_modify(ident, remove=(UNREAD,))
    assert seen(b, tagged=(UNREAD,)) == [] and seen(b)[0]["tags"] == []
    b.message_modify(ident, remove=(UNREAD,))
    # What the other reserved ones mean, a filter may ask for.
    assert len(seen(b, tagged=((b"libqaul._int.sender", a.id),))) == 1
    assert seen(b, tagged=((b"libqaul._int.sender", b.id),)) == []
    assert len(seen(b, tagged=((b"libqaul._int.service", CHAT),))) == 1
    assert seen(b, tagged=((b"libqaul._int.flood", b""),)) == []


# Queries --------------------------------------------------------------------------------


@test
def filters_are_all_asked():
    a, b, c = person(), person(), person()
    # Sent one after another, so that their order is known.
    for i in range(12):
        (a if i % 2 else b).message_send(c.id, (CHAT, NEWS)[i % 3 == 0], b"%d" % i,
                                         ((b"n", b"%d" % (i % 4)), (b"all", b"")))
        wait_until("it is there", lambda n=i + 1: len(seen(c, CHAT)) + len(seen(c, NEWS)) == n)

    def numbers(service=CHAT, **query):
        return [int(m["data"]) for m in seen(c, service, **query)]

    assert numbers() == [1, 2, 4, 5, 7, 8, 10, 11]
    assert numbers(NEWS) == [0, 3, 6, 9]
    assert numbers(sender=a.id) == [1, 5, 7, 11]
    assert numbers(tagged=((b"n", b"1"),)) == [1, 5]
    assert numbers(tagged=((b"n", b"2"), (b"all", b""))) == [2, 10]
    assert numbers(sender=b.id, tagged=((b"n", b"2"), (b"all", b""))) == [2, 10]
    assert numbers(sender=a.id, tagged=((b"n", b"2"),)) == []
    assert numbers(tagged=((b"n", b"1"), (b"n", b"2"))) == []
    assert numbers(sender=WRONG) == [] and numbers(b"org.example") == []
    # Pages, oldest first.
    pages = [c.messages(CHAT, skip=s, take=3) for s in (0, 3, 6)]
    assert [[int(m["data"]) for m in p[0]] for p in pages] == [[1, 2, 4], [5, 7, 8], [10, 11]]
    assert [p[1] for p in pages] == [True, True, False]
    assert c.messages(CHAT, skip=5, take=3)[1] is False
    for skip in (8, 9, 2**32 - 1):
        refused(NO_DATA, c.messages, CHAT, skip=skip)
    # The id overrides everything.
    m = seen(c, NEWS)[1]
    found, more = c.messages(CHAT, ident=m["id"], sender=WRONG, tagged=((b"x", b""),), skip=7, take=1)
    assert found == [m] and not more
    assert c.messages(None, ident=m["id"])[0] == [m]
    refused(NO_DATA, c.messages, NEWS, ident=WRONG)


@test
def gods_see_all_services():
    a = person()
    a.message_send(a.id, CHAT, b"1")
    a.message_send(a.id, NEWS, b"2")
    refused(NOT_AUTHORISED, a.messages, None)
    refused(NOT_AUTHORISED, a.message_sub, None)
    with daemon("god_mode = true\n", Restarted) as d:
        g = person(d.bind)
        g.message_send(g.id, CHAT, b"1")
        g.message_send(g.id, NEWS, b"2")
        assert data_of(seen(g, None)) == [b"1", b"2"]
        ident, s = g.message_sub(None)
        g.message_send(g.id, NEWS, b"3")
        assert s.message()["data"] == b"3"
        refused(INVALID_QUERY, g.messages, b"")


# Whose -----------------------------------------------------------------------------------


def raw(c, mode, payload):
    """The reply as it is, but for the token."""
    f = c.ask(mode, payload, c.token)
    return f.mode, f.payload


@test
def nobody_sees_or_infers_what_others_have():
    a, b, c = person(), person(), person()
    ident = a.message_send(b.id, CHAT, b"secret", ((b"room", b"cellar"),))
    arrived(b, 1)
    page = struct.pack(">II", 0, 10)
    for known, unknown in ((ident, os.urandom(32)),):
        for mode, make in (
                (0x0a31, lambda i: c.id + b"\1" + text(CHAT) + b"\1" + i + b"\0" + tags(()) + page),
                (0x0a22, lambda i: c.id + i + tags(((b"x", b""),)) + tags(())),
                (0x0a21, lambda i: c.id + i),
                (0x0a31, lambda i: c.id + b"\1" + text(CHAT) + b"\0\1" + i + tags(()) + page)):
            assert raw(c, mode, make(known)) == raw(c, mode, make(unknown))
        assert raw(c, 0x0a31, c.id + b"\1" + text(CHAT) + b"\0\1" + a.id + tags(()) + page) == \
            raw(c, 0x0a31, c.id + b"\1" + text(CHAT) + b"\0\1" + unknown + tags(()) + page)
    # Numbers of one's own do not move with those of others: a page is a page.
    c.message_send(c.id, CHAT, b"own")
    before = raw(c, 0x0a31, c.id + b"\1" + text(CHAT) + b"\0\0" + tags(()) + page)
    for i in range(10):
        a.message_send(b.id, CHAT, b"%d" % i)
    assert raw(c, 0x0a31, c.id + b"\1" + text(CHAT) + b"\0\0" + tags(()) + page) == before
    # Nor does a message of theirs take an id from me.
    assert c.message_send(c.id, CHAT, b"same id", ident=ident) == ident
    assert data_of(seen(c)) == [b"own", b"same id"]
    # And a subscription of theirs is none of mine.
    sub, s = b.message_sub(CHAT)
    for mode in (0x0a04, 0x0a05):
        f, g = raw(c, mode, sub + c.id), raw(c, mode, WRONG + c.id)
        assert f[1].replace(sub, b"?") == g[1].replace(WRONG, b"?")
    b.message_unsub(sub)


@test
def deleting_is_for_oneself():
    a, b, c = person(), person(), person()
    ident = a.message_send_many([b.id, c.id], CHAT, b"x")
    arrived(b, 1)
    arrived(c, 1)
    b.message_delete(ident)
    assert seen(b) == [] and len(seen(a)) == 1 and len(seen(c)) == 1
    refused(NO_DATA, b.message_delete, ident)
    a.message_modify(ident, ((b"mine", b""),))
    assert (b"mine", b"") not in seen(c)[0]["tags"]
    a.message_delete(ident)
    assert data_of(seen(c)) == [b"x"]
    c.message_delete(ident)
    refused(NO_DATA, c.messages, CHAT, ident=ident)


# Subscriptions --------------------------------------------------------------------------------


@test
def subscriptions_tell_what_comes():
    a, b = person(), person()
    a.message_send(b.id, CHAT, b"before")
    arrived(b, 1)
    sub, s = b.message_sub(CHAT)
    tagged, t = b.message_sub(CHAT, ((b"red", b""),))
    a.message_send(b.id, CHAT, b"one")
    a.message_send(b.id, NEWS, b"no")
    a.message_send(b.id, CHAT, b"two", ((b"red", b""), (b"other", b"x")))
    m = s.message()
    assert m["data"] == b"one" and s.token == b.token and UNREAD in m["tags"]
    assert s.message()["data"] == b"two" and t.message()["data"] == b"two"
    b.message_send(a.id, CHAT, b"own ones, too")
    assert s.message()["data"] == b"own ones, too"
    b.message_unsub(sub)
    try:
        s.message()
        raise AssertionError("the socket is still open")
    except Closed:
        pass
    for call in (b.message_resub, b.message_unsub):
        try:
            call(sub)
            raise AssertionError("not refused")
        except mf.Error as e:
            assert e.code == mf.NO_SUBSCRIPTION and e.text == sub.hex()
    b.message_unsub(tagged)


@test
def what_was_not_read_comes_again():
    a, b = person(), person()
    sub, s = b.message_sub(CHAT)
    for i in range(10):
        a.message_send(b.id, CHAT, b"%d" % i)
        assert s.message()["data"] == b"%d" % i
    # All was read, then it ends; what comes meanwhile waits.
    s.sock.close()
    for i in range(10, 15):
        a.message_send(b.id, CHAT, b"%d" % i)
    arrived(b, 15)
    s = b.message_resub(sub)
    assert [s.message()["data"] for _ in range(5)] == [b"%d" % i for i in range(10, 15)]
    # A reader who takes one and lets the rest lie has the rest again.
    for i in range(15, 20):
        a.message_send(b.id, CHAT, b"%d" % i)
    assert s.message()["data"] == b"15"
    time.sleep(0.5)
    s.sock.close()
    s = b.message_resub(sub)
    assert [s.message()["data"] for _ in range(4)] == [b"%d" % i for i in range(16, 20)]
    # A new socket takes over.
    t = b.message_resub(sub)
    a.message_send(b.id, CHAT, b"20")
    assert t.message()["data"] == b"20"
    try:
        s.message()
        raise AssertionError("the old socket is still open")
    except Closed:
        pass
    b.message_unsub(sub)


@test
def what_lies_unread_when_a_reader_closes_comes_again():
    """At once, many times: a reset can come between any two looks of the daemon."""
    a, b = person(), person()
    sub, s = b.message_sub(CHAT)
    for n in range(30):
        sent = [b"%d.%d" % (n, i) for i in range(3)]
        for data in sent:
            a.message_send(b.id, CHAT, data)
        for data in sent[:n % 3]:
            assert s.message()["data"] == data
        s.sock.recv(1, socket.MSG_PEEK)        # there, and not read
        s.sock.close()
        s = b.message_resub(sub)
        got = []
        # What was read may come once more, what was not must.
        while sent[-1] not in got:
            got.append(s.message()["data"])
        assert got[-3 + n % 3:] == sent[n % 3:], (got, sent)
    b.message_unsub(sub)


@test
def nothing_is_between_subscription_and_query():
    a, b = person(), person()
    stop, sent, errors = threading.Event(), [], []

    def send():
        try:
            c = again(a)
            while not stop.is_set():
                sent.append(c.message_send(b.id, CHAT, b"%d" % len(sent)))
        except Exception as e:  # noqa: BLE001
            errors.append(e)

    thread = threading.Thread(target=send)
    thread.start()
    rounds = []
    for _ in range(10):
        time.sleep(0.05)
        sub, s = b.message_sub(CHAT)
        rounds.append((sub, s, [m["id"] for m in seen(b)]))
    time.sleep(0.2)
    stop.set()
    thread.join()
    assert not errors, errors
    total = [m["id"] for m in arrived(b, len(sent))]
    assert sorted(total) == sorted(sent)
    for sub, s, known in rounds:
        got = []
        while not got or got[-1] != total[-1]:
            got.append(s.message()["id"])
        # What the query showed and what was told are everything, in order, and nothing twice.
        assert len(set(got)) == len(got) and got == total[len(total) - len(got):]
        assert known == total[:len(known)]
        assert len(known) + len(got) >= len(total)
        b.message_unsub(sub)


@test
def slow_readers_lose_nothing():
    a, b = person(), person()
    sub, s = b.message_sub(CHAT)
    s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    big = b"z" * 20000
    for i in range(300):
        a.message_send(b.id, CHAT, b"%05d" % i + big)
    for i in range(300):
        assert s.message()["data"][:5] == b"%05d" % i
    b.message_unsub(sub)


@test
def subscriptions_end_with_the_address_but_stay():
    a, b = person(), person()
    sub, s = b.message_sub(CHAT)
    b.down(b.id, b.token)
    try:
        s.message()
        raise AssertionError("the socket is still open")
    except Closed:
        pass
    a.message_send(b.id, CHAT, b"while away")
    b.up(b.id, b.token)
    assert b.message_resub(sub).message()["data"] == b"while away"


# Floods ---------------------------------------------------------------------------------------


@test
def floods_are_for_everybody():
    a, b = person(), person()
    seen(b)
    sub, s = b.message_sub(NEWS, ())
    first = a.message_send(None, NEWS, b"extra!", ((b"t", b"1"),))
    m = s.message()
    assert m["id"] == first and m["mode"] == FLOOD and m["to"] is None and m["sender"] == a.id
    assert m["data"] == b"extra!" and m["trust"] == TRUSTED
    assert sorted(m["tags"]) == sorted([(b"t", b"1"), UNREAD])
    mine, = [m for m in seen(a, NEWS) if m["id"] == first]
    assert mine["tags"] == [(b"t", b"1")]
    # Who comes later has it, too, and as one that can be deleted for oneself.
    c = person()
    assert first in [m["id"] for m in seen(c, NEWS)]
    assert first in [m["id"] for m in seen(c, NEWS, tagged=((b"libqaul._int.flood", b""),))]
    c.message_delete(first)
    assert first not in [m["id"] for m in seen(c, NEWS)]
    assert first in [m["id"] for m in seen(b, NEWS)]
    # With the same id it is sent again, and is still one.
    assert a.message_send(None, NEWS, b"again", ident=first) == first
    a.message_send(None, NEWS, b"last")
    assert s.message()["data"] == b"last"
    assert [m["id"] for m in seen(c, NEWS)].count(first) == 0
    assert [m["id"] for m in seen(b, NEWS)].count(first) == 1
    # A new user who subscribes is told what comes, not what was.
    d = person()
    other, t = d.message_sub(NEWS)
    a.message_send(None, NEWS, b"news")
    assert t.message()["data"] == b"news"
    for c, sub in ((b, sub), (d, other)):
        c.message_unsub(sub)


@test
def many_floods_and_late_users():
    a = person()
    service = b"org.example.many"
    early = person()
    seen(early, service)
    sent = [a.message_send(None, service, b"%d" % i) for i in range(300)]
    wait_until("all floods", lambda: [m["id"] for m in seen(early, service)] == sent, 30)
    late = [person() for _ in range(3)]
    for c in late:
        assert [m["id"] for m in seen(c, service)] == sent
    late[0].message_delete(sent[7])
    late[0].down(late[0].id, late[0].token)
    more = a.message_send(None, service, b"more")
    late[0].up(late[0].id, late[0].token)
    assert [m["id"] for m in seen(late[0], service)] == sent[:7] + sent[8:] + [more]


# Restarts, crashes, destruction --------------------------------------------------------------------


def back(d, p):
    """The user after a restart: the token is still good."""
    c = Service(d.bind)
    c.id, c.token = p.id, p.token
    return c


@test
def unknown_services_are_discarded_if_asked():
    with daemon("discard_unknown_services = true\n", Restarted) as d:
        a, b = person(d.bind), person(d.bind)
        registered = b.service_register(NEWS)       # while it is connected
        a.message_send(b.id, CHAT, b"x")
        a.message_send(b.id, NEWS, b"a marker")
        assert data_of(arrived(b, 1, NEWS)) == [b"a marker"]
        registered.close()
        assert seen(b) == [] and data_of(seen(a)) == [b"x"]


@test
def everything_survives_a_restart():
    with daemon(kind=Restarted) as d:
        a, b = person(d.bind), person(d.bind)
        sub, s = b.message_sub(CHAT)
        for i in range(5):
            a.message_send(b.id, CHAT, b"%d" % i, ((b"n", b"%d" % i),))
            s.message()
        b.message_delete(seen(b)[1]["id"])
        b.message_modify(seen(b)[0]["id"], ((b"kept", b""),), (UNREAD,))
        flood = a.message_send(None, NEWS, b"flood")
        arrived(b, 1, NEWS)
        before = [seen(p, s) for p in (a, b) for s in (CHAT, NEWS)]
        s.sock.close()
        time.sleep(0.3)
        good, log = d.stop()
        assert good, log
        d.start()
        a, b = back(d, a), back(d, b)
        assert [seen(p, s) for p in (a, b) for s in (CHAT, NEWS)] == before
        a.message_send(b.id, CHAT, b"new")
        assert b.message_resub(sub).message()["data"] == b"new"
        c = person(d.bind)
        assert [m["id"] for m in seen(c, NEWS)] == [flood]


@test
def what_was_acknowledged_survives_kill_9():
    with daemon(kind=Restarted) as d:
        people = [person(d.bind) for _ in range(4)]
        log = [{} for _ in people]         # data -> id, of what was acknowledged
        going = [set() for _ in people]    # ids whose deletion was asked for
        gone = [set() for _ in people]     # … and acknowledged
        for round_ in range(5):
            stop = threading.Event()

            def work(n, round_=round_, stop=stop):
                c = back(d, people[n])
                rest = [p.id for p in people if p.id != c.id]
                i = 0
                try:
                    while not stop.is_set():
                        data = b"%d/%d/%d" % (round_, n, i)
                        i += 1
                        ident = c.message_send_many(rest, CHAT, data, ((b"t", b"%d" % (i % 3)),))
                        log[n][data] = ident
                        if i % 5 == 0:
                            going[n].add(ident)
                            c.message_delete(ident)
                            gone[n].add(ident)
                except (Closed, OSError):
                    pass

            threads = [threading.Thread(target=work, args=(n,)) for n in range(len(people))]
            for t in threads:
                t.start()
            time.sleep(0.4 + 0.2 * round_)
            d.kill()
            stop.set()
            for t in threads:
                t.join()
            d.start()
            sent = {ident for entry in log for ident in entry.values()}
            for n, p in enumerate(people):
                c = back(d, p)
                own = set(log[n].values())
                wait_until("user %d has everything" % n,
                           lambda c=c, own=own: sent - own <= {m["id"] for m in seen(c)}, 60)
                have = [m["id"] for m in seen(c)]
                assert len(have) == len(set(have)), "one is there twice"
                assert own - going[n] <= set(have)
                assert not gone[n] & set(have), "what was deleted is back"
                for t in range(3):
                    with_tag = [m["id"] for m in seen(c, tagged=((b"t", b"%d" % t),))]
                    assert with_tag == [m["id"] for m in seen(c) if (b"t", b"%d" % t) in m["tags"]]
        assert min(len(entry) for entry in log) > 5


def table(d, name):
    """How many records a table has of a store that is not in use."""
    out = subprocess.run([program("RATCTL", "ratctl"), "db", "stat", "--json",
                          os.path.join(d.directory, "state")], capture_output=True, text=True,
                         timeout=60, check=True,
                         env={**os.environ, "RATMAND": os.environ["RATMAND"]}).stdout
    rows = {r["table"]: r for r in json.loads(out)}
    return rows[name]["records"]


def comes_to(d, **wanted):
    """
    Stops @d until it has so many records in these tables, and starts it. What is
    taken away in pieces goes on after each start.
    """
    def is_so():
        good, text_ = d.stop()
        assert good, text_
        have = {name: table(d, name) for name in wanted}
        d.start()
        return have == wanted
    wait_until("%r are left" % wanted, is_so, 60)


@test
def copies_are_stored_once_and_go_with_the_last_reader():
    with daemon(kind=Restarted) as d:
        a, b, c = (person(d.bind) for _ in range(3))
        for i in range(10):
            a.message_send_many([b.id, c.id], CHAT, b"%d" % i + b"x" * 1000)
        arrived(b, 10)
        arrived(c, 10)
        flood = a.message_send(None, NEWS, b"flood")
        arrived(b, 1, NEWS)
        good, text_ = d.stop()
        assert good, text_
        assert table(d, "messages") == 11
        d.start()
        a, b, c = (back(d, p) for p in (a, b, c))
        for m in seen(a):
            a.message_delete(m["id"])
        b.destroy(b.id, b.token)
        arrived(c, 1, NEWS)
        c.message_delete(flood)
        a.message_delete(flood)
        # Of the mailboxes only c's is left, with an entry for each message, that c reads it, and
        # that its first reader has gone; of the flood that the log does, and how to find it.
        comes_to(d, messages=11, overlay=10 * 3 + 3)
        c = back(d, c)
        assert len(seen(c)) == 10
        c.destroy(c.id, c.token)
        # The flood, which the log has, is the last.
        comes_to(d, messages=1, overlay=3)


@test
def a_destroyed_mailbox_is_emptied_after_a_crash_too():
    with daemon(kind=Restarted) as d:
        a, b = person(d.bind), person(d.bind)
        # So many that most are on lists on the disk.
        for i in range(600):
            a.message_send(b.id, CHAT, b"%d" % i)
        arrived(b, 600)
        for m in seen(a):
            a.message_delete(m["id"])
        b.destroy(b.id, b.token)
        d.kill()
        d.start()
        # How far the lists of a go is still known.
        comes_to(d, messages=0, overlay=1)


@test
def queries_of_who_leaves_end():
    a = person()
    for i in range(50):
        a.message_send(a.id, CHAT, b"%d" % i)
    payload = a.id + b"\1" + text(CHAT) + b"\0\0" + tags(()) + struct.pack(">II", 0, 1)
    for _ in range(50):
        c = again(a)
        c.send(frame(0x0a31, payload, a.token) * 20)
        c.sock.close()
    assert len(seen(a)) == 50


if __name__ == "__main__":
    sys.exit(harness.main())
