#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that wait for a key from a password: how many, whose, in which order; and that
none of them leaves a user behind whom nobody knows.

RATMAND=path/to/ratmand tests/e2e/test_passwords.py   (TAP)
"""
import contextlib
import os
import select
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import service as sv  # noqa: E402
from harness import daemon, needs_root, test, wait_until  # noqa: E402
from logins import PASSWORD  # noqa: E402
from people import acting, client, person  # noqa: E402
from service import refused, text  # noqa: E402

EACH, ALL = 8, 64       # places: of one Unix user, of all


@contextlib.contextmanager
def standing(d):
    """What is sent meanwhile comes in one turn of the daemon's loop."""
    d.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        d.process.send_signal(signal.SIGCONT)


def login(ident):
    return mf.frame(0x0910, ident + text(PASSWORD))


def crowd(d, n, uid):
    with acting(uid):
        return [client(d) for _ in range(n)]


def answers(clients, n, seconds=60):
    """The first @n of the replies the clients get, in order: (client, True when it worked)."""
    waiting, got, end = {c.sock: c for c in clients}, [], time.monotonic() + seconds
    while len(got) < n and time.monotonic() < end:
        for sock in select.select(list(waiting), [], [], 1)[0]:
            c = waiting.pop(sock)
            f = c.frame()
            good = f.payload[:1] == b"\x21"
            assert good or f.payload[:2] == b"\x20" + bytes([sv.COMM_FAULT]), f.payload
            assert good or b"too many logins" in f.payload
            got.append((c, good))
    assert len(got) >= n, "%d answers" % len(got)
    return got


@test
@needs_root
def one_user_keeps_nobody_from_logging_in():
    """… neither by taking all places, nor by having many in front of others."""
    with daemon() as d:
        c = person(d)
        greedy, (modest,) = crowd(d, ALL + 6, 65534), crowd(d, 1, 65533)
        with standing(d):
            for g in greedy:
                g.send(login(c.id))
            modest.send(login(c.id))
        got = answers(greedy + [modest], ALL + 7)
        assert sum(good for g, good in got if g is not modest) == EACH
        order = [g is modest for g, good in got if good]
        # One was worked on already, and one was first in its round.
        assert order.index(True) <= 2, order
        # Afterwards there is room as before.
        for g in greedy[:3]:
            g.login(c.id, PASSWORD)


@test
@needs_root
def turns_go_around():
    """Somebody who asks again and again is not in front of those who wait, either."""
    with daemon() as d:
        c = person(d)
        many, (one,) = crowd(d, EACH, 65534), crowd(d, 1, 65533)
        with standing(d):
            for g in many:
                g.send(login(c.id))
            one.send(login(c.id))
        order = []
        while order.count(many) < EACH - 2:
            for g, good in answers([g for g in many if g not in order] + [one], 1):
                assert good
                order.append(g if g is one else many)
                if g is one:
                    one.send(login(c.id))
                else:
                    many.remove(g)
        # What one asks while another's is worked on comes after one more of that one's.
        alone = [g is one for g in order]
        assert not any(alone[i:i + 2] == [True, True] for i in range(len(alone))), alone
        assert all(any(alone[i:i + 3]) for i in range(len(alone) - 2)), alone


@test
@needs_root
def all_places_are_sixty_four():
    with daemon() as d:
        c = person(d)
        crowds = [crowd(d, EACH, 60000 + i) for i in range(ALL // EACH + 1)]
        everybody = [g for part in crowds for g in part]
        with standing(d):
            for g in everybody:
                g.send(login(c.id))
        # Refusals come at once, keys one by one: the last refusal is before the last key.
        got, wanted = [], EACH
        while wanted:
            left = [g for g in everybody if g not in got]
            for g, good in answers(left, 1):
                got.append(g)
                wanted -= not good
        assert len(got) < len(everybody) - EACH
        # Those who go leave their places at once.
        for g in everybody:
            g.reset()
        client(d).login(c.id, PASSWORD)


# Nobody is made in vain -----------------------------------------------------------------------


@test
def sessions_are_counted_before_anybody_is_made():
    """… those, too, that others are about to get."""
    with daemon("max_sessions = 2\n") as d:
        c, rivals = person(d), [client(d) for _ in range(3)]
        before = set(c.addresses())
        with standing(d):
            for r in rivals:
                r.send(mf.frame(0x0901, text(PASSWORD) + b"\0"))
        got = [r.frame().payload for r in rivals]
        assert sorted(g[:2] == b"\x20\x00" for g in got) == [False, True, True], got
        new = set(c.addresses()) - before
        assert new == {g[1:] for g in got if g[:1] == b"\x21"}


def leave_while_made(d, c, begun):
    """A client asks for a user and is gone before the answer, before or after work on it began."""
    while True:
        gone = client(d)
        gone.send(mf.frame(0x0901, text(PASSWORD) + b"\1nobody\0"))
        if begun:
            c.is_authenticated()
        with standing(d):
            told = select.select([gone.sock], [], [], 0)[0]
            if not told:
                gone.reset()
                return
        # We were too slow.
        f = gone.frame()
        gone.id, gone.token = f.payload[1:], f.token
        gone.user_destroy()


@test
def who_cannot_be_told_of_is_removed():
    """The client leaves while its user is made."""
    with daemon() as d:
        c = person(d)
        before, profiles = set(c.addresses()), len(c.users(2))
        for begun in (False, True, True):
            leave_while_made(d, c, begun)
            # One after the other: when this is answered that is over.
            c.login(c.id, PASSWORD)
            wait_until("he is gone", lambda: set(c.addresses()) == before)
        assert len(c.users(2)) == profiles
        d.kill()
        d.start()
        c = client(d)
        assert set(c.addresses()) == before and len(c.users(2)) == profiles


@test
@needs_root
def a_refusal_as_busy_takes_nothing_of_what_one_may_make():
    with daemon("max_creations = 1\n") as d:
        c = person(d)
        busy, (maker,) = crowd(d, EACH, 65534), crowd(d, 1, 65534)
        for b in busy:
            b.send(login(c.id))
        for _ in range(3):
            c.is_authenticated()            # a turn of the loop: those have been read
        maker.send(mf.frame(0x0901, text(PASSWORD) + b"\0"))
        assert maker.frame().payload[:2] == b"\x20" + bytes([sv.COMM_FAULT])
        answers(busy, EACH)
        maker.user_create(PASSWORD)
        assert "minute" in refused(sv.NOT_AUTHORISED, maker.user_create, PASSWORD)


if __name__ == "__main__":
    sys.exit(harness.main())
