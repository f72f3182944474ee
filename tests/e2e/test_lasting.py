#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Subscriptions that outlast their sockets: sessions that end, clients that forget, restarts.

RATMAND=path/to/ratmand tests/e2e/test_lasting.py   (TAP)
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import service as sv  # noqa: E402
from harness import daemon, test, wait_until  # noqa: E402
from logins import PASSWORD  # noqa: E402
from people import client, person  # noqa: E402
from restarted import Restarted  # noqa: E402
from service import refused  # noqa: E402

CHAT, NEWS = b"net.example.chat", b"net.example.news"
MOST = 64               # of one user


def is_over(s):
    """The daemon closes the socket @s; what it had said before is thrown away."""
    try:
        while s.sock.recv(65536):
            pass
    except ConnectionResetError:
        pass


def gone(c, sub):
    for call in (c.message_resub, c.message_unsub):
        try:
            call(sub)
        except mf.Error as e:
            assert e.code == mf.NO_SUBSCRIPTION and e.text == sub.hex()
        else:
            raise AssertionError("it is still there")


def closed(c, service):
    """A subscription nobody listens to, and the daemon knows."""
    sub, s = c.message_sub(service)
    s.close()
    # A turn of the loop: it has seen that.
    c.is_authenticated()
    return sub


# Sessions end --------------------------------------------------------------------------------


def outlasts(d, end):
    """@end(c) ends the session of c, in which all was subscribed to."""
    b = person(d)
    # Hers is no session, and lasts.
    low = mf.Client(d.bind)
    address, token = low.create()
    low.up(address, token)
    sub, messages = b.message_sub(CHAT)
    stream, streams = b.sub(b.id, b.token)
    event, events = b.subscription(0x0103, b.id + b"\0", b.token)
    events = mf.Subscriber(events)
    end(b)
    for s in (messages, streams, events):
        is_over(s)
    refused(None, b.is_authenticated)
    for mode, ident in ((0x0a04, sub), (0x0704, stream), (0x0104, event)):
        harness.refused(mf.INVALID_AUTH, b.ask(mode, ident + b.id, b.token).ping)
    # What comes meanwhile waits for the next login.
    writer = client(d)
    writer.id, writer.token = address, token
    sent = writer.message_send(b.id, CHAT, b"while away")
    low.send_many(address, token, [b.id], b"a stream")
    b.login(b.id, PASSWORD)
    m = b.message_resub(sub).message()
    assert (m["id"], m["data"]) == (sent, b"while away")
    head, data = b.resub(stream, b.id, b.token).next()
    assert (head.sender, data) == (address, b"a stream")
    same, events = b.subscription(0x0104, event + b.id, b.token)
    assert same == event
    b.message_unsub(sub)
    b.unsub(stream, b.id, b.token)
    gone(b, sub)


@test
def a_logout_ends_sockets_and_no_subscription():
    with daemon() as d:
        outlasts(d, lambda c: c.logout())


@test
def so_does_the_end_of_a_session_nobody_used():
    """Listening alone is no use of it."""
    with daemon("session_timeout = 1\n") as d:
        outlasts(d, lambda c: None)


@test
def another_session_goes_on_where_the_first_was():
    a, b = person(), person()
    sub, s = b.message_sub(CHAT)
    first, (_, second) = b.token, b.login(b.id, PASSWORD)
    a.message_send(b.id, CHAT, b"one")
    assert s.message()["data"] == b"one"
    # The socket is of the session that opened it.
    b.call(0x0911, b.id, token=first)
    is_over(s)
    a.message_send(b.id, CHAT, b"two")
    s = b.message_resub(sub)
    m = s.message()
    assert m["data"] == b"two" and s.token == second
    b.message_unsub(sub)


# Clients forget --------------------------------------------------------------------------------


@test
def the_one_that_was_closed_longest_makes_room():
    with daemon(kind=Restarted) as d:
        a, b = person(d), person(d)
        first = closed(b, CHAT)
        kept, s = b.message_sub(CHAT)
        second = closed(b, NEWS)
        b.message_resub(first).close()
        b.is_authenticated()
        many = [closed(b, NEWS) for _ in range(MOST - 3)]
        a.message_send(b.id, NEWS, b"news")
        # One more: the second is closed since before the first was closed again.
        extra = closed(b, CHAT)
        gone(b, second)
        a.message_send(b.id, CHAT, b"chat")
        assert s.message()["data"] == b"chat"
        assert b.message_resub(first).message()["data"] == b"chat"
        # What it would have told of is where it was.
        wait_until("it is there", lambda: b.is_authenticated() or
                   b.messages(NEWS)[0][0]["data"] == b"news")
        assert b.message_resub(many[0]).message()["data"] == b"news"
        # In order, over a restart: those that were open until then were closed last.
        ident = b.id
        good, text = d.stop()
        assert good, text
        d.start()
        b = client(d)
        b.login(ident, PASSWORD)
        for sub in many[1:4]:
            fresh = closed(b, CHAT)
            gone(b, sub)
        for sub in (*many[4:], extra):
            b.message_resub(sub).close()
            b.is_authenticated()
        # Now they are.
        for _ in range(3):
            fresh = closed(b, CHAT)
        for sub in (first, kept, many[0]):
            gone(b, sub)
        b.message_unsub(fresh)


@test
def what_is_listened_to_is_not_taken_away():
    with daemon() as d:
        b = person(d)
        listening = [b.message_sub(CHAT) for _ in range(MOST)]
        assert "listened to" in refused(sv.IO_FAULT, b.message_sub, CHAT)
        sub, s = listening[17]
        s.close()
        wait_until("there is room", lambda: room(b, listening))
        gone(b, sub)
        for sub, s in listening[:3]:
            b.message_unsub(sub)
            is_over(s)
        for _ in range(3):
            listening.append(b.message_sub(CHAT))
        assert "listened to" in refused(sv.IO_FAULT, b.message_sub, CHAT)


def room(c, listening):
    try:
        listening.append(c.message_sub(CHAT))
        return True
    except sv.ServiceError:
        return False


if __name__ == "__main__":
    sys.exit(harness.main())
