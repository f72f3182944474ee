#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Users and their client sessions (service-api.md R1 to R11), from outside.

RATMAND=path/to/ratmand tests/e2e/test_user.py   (TAP)
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import service as sv  # noqa: E402
from harness import Bystander, connect, daemon, needs_root, test, user, wait_until  # noqa: E402
from logins import PASSWORD  # noqa: E402
from people import as_user, client, person  # noqa: E402
from service import NO_USER, NOT_AUTHORISED, Service, refused, text  # noqa: E402

def online(c, ident):
    return c.user(ident)["online"]


# Making, in and out ------------------------------------------------------------------


@test
def bytes_of_create_login_logout():
    c = connect(mf.HELLO)
    f = c.ask(0x0901, b"pass\0" + b"\1ali\0")
    assert f.mode == 0x0901 and f.payload[:1] == b"\x21" and len(f.payload) == 33
    ident, token = f.payload[1:], f.token
    assert token and 0 not in token and 0 not in ident
    f = c.ask(0x0934, ident, token)
    assert (f.mode, f.token, f.payload) == (0x0934, token, b"\1")
    f = c.ask(0x0910, ident + b"pass\0")
    assert (f.mode, f.payload) == (0x0910, b"\x21" + ident) and f.token not in (None, token)
    second = f.token
    f = c.ask(0x0911, ident, token)
    assert (f.mode, f.token, f.payload) == (0x0911, token, b"\1")
    f = c.ask(0x0934, ident, token)
    assert (f.mode, f.token) == (0x0934, token)
    harness.refused(mf.INVALID_AUTH, f.ping)
    f = c.ask(0x0934, ident, second)
    assert (f.mode, f.token, f.payload) == (0x0934, second, b"\1")
    f = c.ask(0x0901, b"pass\0")
    assert f.payload[:2] == b"\x20\x06" and f.payload[-1:] == b"\0" and f.token is None


@test
def a_new_user_has_an_empty_profile():
    c = person(handle=b"eve")
    p = c.user(c.id)
    assert p["local"] and p["online"] and p["handle"] == b"eve"
    assert p["name"] is None and not p["bio"] and not p["services"] and p["avatar"] == b""
    d = person()
    assert d.user(d.id)["handle"] is None
    assert {p["id"] for p in d.users()} >= {c.id, d.id}
    assert c.id in connect().addresses()


@test
def bad_requests_are_refused():
    c = client()
    for payload in (b"\0\0", b"x" * 1025 + b"\0\0", b"x\0\2", b"x\0\1\xff\0", b"x\0\0more",
                    b"x\0\1" + b"h" * 65 + b"\0", b"\xff\0\0"):
        says = refused(sv.INVALID_PAYLOAD, c.call, 0x0901, payload, sv.USER_ID)
        assert "password" in says or "handle" in says, says
    c.user_create(b"x" * 1024)
    c.login(c.id, b"x" * 1024)
    assert "0 the profile" in refused(sv.INVALID_PAYLOAD, c.call, 0x0922, c.id + b"\2x")
    for bad in (b"", b"y" * 1025):
        assert "1 to 1024" in refused(sv.INVALID_PAYLOAD, c.change_password, bad)
    refused(sv.INVALID_PAYLOAD, c.call, 0x0922, c.id + b"\1pw\0x")
    refused(sv.INVALID_PAYLOAD, c.call, 0x0902, c.id + b"\2")
    c.login(c.id, b"x" * 1024)
    bare = client()
    harness.refused(mf.USER, bare.call, 0x0901, b"x", sv.USER_ID)
    refused(None, bare.call, 0x0911, c.id)


@test
def wrong_password_and_unknown_user_answer_alike():
    c = person()
    _, address, _ = user()
    answers = set()
    for who, password in ((c.id, b"wrong"), (bytes(range(1, 33)), PASSWORD), (address, PASSWORD),
                          (c.id, b""), (c.id, PASSWORD + b"x" * 2000)):
        f = client().ask(0x0910, who + text(password))
        answers.add((f.mode, f.token, f.payload))
    assert len(answers) == 1, answers
    mode, token, payload = answers.pop()
    assert mode == 0x0910 and token is None and payload[:2] == b"\x20\x01"
    c.login(c.id, PASSWORD)


@test
def guessing_passwords_closes_the_connection():
    c, d = person(), client()
    for _ in range(8):
        refused(NO_USER, d.login, c.id, b"guess")
    assert d.at_eof()
    client().login(c.id, PASSWORD)


@test
def logins_do_not_stall_others():
    c = person()
    with Bystander():
        for _ in range(3):
            client().login(c.id, PASSWORD)


@test
def a_client_that_leaves_before_the_answer():
    with daemon("session_timeout = 2\n") as d:
        c, other = person(d), client(d)
        for _ in range(3):
            gone = client(d)
            gone.send(mf.frame(0x0910, c.id + text(PASSWORD)))
            gone.send(mf.frame(0x0901, text(PASSWORD) + b"\0"))
            gone.reset()
        c.is_authenticated()
        c.logout()
        # One after the other: when this is answered those are over.
        other.login(c.id, PASSWORD)
        other.logout()
        wait_until("he is offline", lambda: not online(other, c.id))


@test
def the_daemon_stops_in_the_middle():
    for mode in (0x0901, 0x0910, 0x0922):
        with daemon() as d:                     # looks whether it stops cleanly
            c, others = person(d), [client(d) for _ in range(2)]
            payload = {0x0901: text(PASSWORD) + b"\0", 0x0910: c.id + text(PASSWORD),
                       0x0922: c.id + b"\1" + text(PASSWORD)}[mode]
            for other in others:
                other.send(mf.frame(mode, payload, c.token))
            c.is_authenticated()


# Sessions ------------------------------------------------------------------------------


@test
def the_last_logout_takes_the_user_offline():
    c, other = person(), client()
    first, (_, second) = c.token, c.login(c.id, PASSWORD)
    _, third = c.login(c.id, PASSWORD)
    assert len({first, second, third}) == 3
    for token in (second, first):
        c.call(0x0911, c.id, token=token)
        refused(None, c.call, 0x0934, c.id, token=token)
        c.call(0x0934, c.id, token=third)
        assert online(other, c.id)
    c.call(0x0911, c.id, token=third)
    assert not online(other, c.id) and other.user(c.id)["local"]
    refused(None, c.call, 0x0934, c.id, token=third)
    c.login(c.id, PASSWORD)
    assert online(other, c.id)


@test
def a_session_token_is_good_everywhere():
    c = person()
    d, b, u = user()
    c.up(c.id, c.token)                         # nothing to be done
    c.call(0x0934, c.id)
    f = c.ask(0x0220, b + b"a note\0" + b"\0\0\1", c.token)
    assert f.payload == b"\1"
    _, events = c.sub(c.id, c.token)
    d.send_many(b, u, [c.id], b"hello")
    head, data = events.stream(0x0332)
    assert (head.sender, data) == (b, b"hello")
    d.begin_recv(b, u)
    c.send_many(c.id, c.token, [b], b"and back")
    assert d.stream(0x0532)[1] == b"and back"
    d.frame().ping()
    # Not for another.
    refused(None, d.call if isinstance(d, Service) else client().call, 0x0934, b, token=c.token)
    c.logout()
    assert events.at_eof()


@test
def logging_out_closes_only_what_that_session_opened():
    c = person()
    first = c.token
    _, a = c.sub(c.id, first)
    _, second = c.login(c.id, PASSWORD)
    ident, b = c.subscription(0x0103, c.id + b"\0", second)
    b = mf.Line(b)
    c.call(0x0911, c.id, token=first)
    assert a.at_eof()
    _, other, u = user()
    f = b.frame()                               # of his own coming up, or of hers
    assert f.mode == 0x0103 and f.token == second, "%04x" % f.mode
    c.call(0x0911, c.id, token=second)
    while not b.at_eof():
        pass


@test
def an_address_that_is_up_stays_so():
    c, address, token = user()
    s = client()
    s.id, s.token = address, token
    s.change_password(PASSWORD)                 # and it is a user
    assert s.user(address)["local"]
    s.login(address, PASSWORD)
    session = s.token
    s.logout()
    c.ask(0x0230, address, token).ping(mf.ADDR_LIST)
    refused(NOT_AUTHORISED, s.call, 0x0911, address, token=token)
    # Addr/Down ends it all.
    s.login(address, PASSWORD)
    _, events = s.sub(address, s.token)
    c.ask(0x0111, address, token).ping()
    assert events.at_eof()
    for t in (session, s.token, token):
        refused(None, s.call, 0x0934, address, token=t)
    # Session first, then up: the same.
    s.login(address, PASSWORD)
    c.up(address, token)
    s.logout()
    s.call(0x0934, address, token=token)


def with_tokens(a, space):
    """Every exchange that wants the token of an address: mode, payload, and the namespaces ours."""
    i32, z = bytes(range(1, 33)), b"\0"
    head = mf.letterhead(a, i32)
    return [
        (0x0102, a + z), (0x0103, a + z), (0x0104, i32 + a), (0x0105, i32 + a), (0x0111, a),
        (0x0220, i32 + z + b"\0\0\1"), (0x0221, i32), (0x0222, b"\0\0" b"\0\0" + z + z),
        (0x0230, b""), (0x0231, b"\0\0" + z + b"\0\0" b"\0\0"),
        (0x0532, a + b"\1" + a), (0x0533, a + b"\1" + a + z), (0x0633, b"\0\1" + head),
        (0x0703, a + b"\1" + a), (0x0704, i32 + a), (0x0705, i32 + a), (0x0730, a),
        (0x0810, a + space), (0x0811, a + space), (0x0835, a + space + z * 16),
        (0x0902, a + z), (0x0903, a), (0x0905, i32 + a), (0x0911, a), (0x0922, a + b"\1new\0"),
        (0x0922, a + b"\0" + sv.update(handle=b"stolen")), (0x0934, a),
        (0x0a03, a + z + b"\0\0"), (0x0a04, i32 + a), (0x0a05, i32 + a), (0x0a21, a + i32),
        (0x0a22, a + i32 + b"\0\0\0\0"), (0x0a31, a + z * 3 + b"\0\0" + z * 8),
        (0x0a32, a + z + z + b"s\0" + b"\0\0" + z * 4),
        (0x0a33, a + b"\0\1" + i32 + b"s\0" + b"\0\0" + z * 4),
        (0x0b20, a + b"s\0" b"\0" b"k\0" + sv.blob(b"v")), (0x0b21, a + b"s\0" b"\0" b"k\0"),
        (0x0b30, a + b"s\0" + z), (0x0b31, a + b"s\0" b"\0" b"k\0"),
        (0x0c01, a + b"n\0" + z * 8 + z), (0x0c03, a), (0x0c10, a + i32 + z), (0x0c11, a + i32 + z),
        (0x0c20, a + i32 + z), (0x0c21, a + i32), (0x0c22, a + i32 + z * 8),
        (0x0c30, a + z + z), (0x0c31, a + z + z), (0x0c32, a + i32 + b"\0\1\1" + i32),
        (0x0c33, a + i32 + b"\0\1\1" + i32), (0x0c34, a + i32), (0x0c36, a + i32),
    ]


@test
def tokens_of_nobody_and_of_others_do_nothing():
    with daemon("max_auth_failures = 1000000\nsession_timeout = 2\n") as d:
        gone = person(d)
        seen = gone.user(gone.id)
        time.sleep(3)                           # his session is over
        c = person(d, handle=b"whole")
        services = c.service_register(b"s")
        c.put(b"s", b"k", b"mine")
        foreign = person(d)
        no_owner = {0x0220, 0x0221, 0x0222, 0x0230, 0x0231}     # act for whose token it is
        for ident, tokens in ((gone.id, (gone.token, b"\1" * 32, None, c.token)),
                              (c.id, (gone.token, b"\1" * 32, None, foreign.token))):
            for token in tokens:
                for mode, payload in with_tokens(ident, bytes(range(1, 33))):
                    if mode in no_owner and token in (c.token, foreign.token):
                        continue
                    f = c.ask(mode, payload, token)
                    c.is_authenticated()        # and he goes on, as does
                    foreign.is_authenticated()
                    if mode >> 8 in (0x0a, 0x0c) and f.payload[:1] == b"\3" and \
                            mf.parse_error(f.payload).code == mf.NOT_SUPPORTED:
                        continue
                    try:
                        f.ping()
                    except mf.Error as e:
                        assert e.code in (mf.INVALID_AUTH, mf.NO_ADDRESS if mode == 0x0102 else -1), \
                            "%04x %s" % (mode, e)
                        continue
                    raise AssertionError("%04x was allowed" % mode)
        assert c.get(b"s", b"k") == b"mine" and c.user(c.id)["handle"] == b"whole"
        assert c.user(gone.id) == {**seen, "online": False}
        gone.login(gone.id, PASSWORD)
        c.login(c.id, PASSWORD)
        services.close()


@test
def a_list_whose_user_logs_out_meanwhile():
    """… is refused; and where that is one failed authentication too many, it ends only once."""
    with daemon("max_auth_failures = 1\n") as d:
        for _ in range(3):
            c, other = person(d), client(d)
            d.process.send_signal(signal.SIGSTOP)       # so that both come in one turn
            c.send(mf.frame(0x0c30, c.id + b"\0\0", c.token))
            other.send(mf.frame(0x0911, c.id, c.token))
            d.process.send_signal(signal.SIGCONT)
            assert other.frame().ping() is not None
            f = c.frame()
            assert f.mode == 0x0c30 and mf.parse_error(f.payload).code == mf.INVALID_AUTH
            assert c.at_eof() and d.alive()


@test
def sessions_expire_when_nobody_uses_them():
    with daemon("session_timeout = 1\n") as d:
        c, other = person(d), client(d)
        _, events = c.sub(c.id, c.token)
        for _ in range(6):                      # longer than the timeout
            time.sleep(0.4)
            c.is_authenticated()
        _, second = c.login(c.id, PASSWORD)
        wait_until("he is offline", lambda: not online(other, c.id))
        assert events.at_eof()                  # listening alone is no use of a session
        refused(None, c.is_authenticated)
        assert other.limits()["session_timeout"] == (1, 0, 2)
        # Who is expected back in time comes back to the same.
        c.login(c.id, PASSWORD)
        assert c.token != second and online(other, c.id)


@test
def a_request_that_lasts_keeps_its_session():
    with daemon("session_timeout = 1\n") as d:
        c = person(d)
        c.begin_recv(c.id, c.token)
        time.sleep(2.5)
        b = client(d)
        b.call(0x0934, c.id, token=c.token)
        b.id, b.token = c.id, c.token
        b.send_many(c.id, c.token, [c.id], b"at last")
        assert c.stream(0x0532)[1] == b"at last"
        c.frame().ping()


@test
def too_many_sessions_are_refused():
    with daemon("max_sessions_per_user = 2\nmax_sessions = 3\n") as d:
        c = person(d)
        first = c.token
        c.login(c.id, PASSWORD)
        assert "of this user" in refused(NOT_AUTHORISED, c.login, c.id, PASSWORD)
        b = person(d)
        assert "on this router" in refused(NOT_AUTHORISED, b.login, b.id, PASSWORD)
        limits = c.limits()
        assert limits["max_sessions"] == (3, 3, 1) and limits["max_sessions_per_user"] == (2, 2, 1)
        c.call(0x0911, c.id, token=first)
        c.login(c.id, PASSWORD)
        # Who would get no session is not made at all.
        made, all_of_them = client(d), set(c.addresses())
        refused(NOT_AUTHORISED, made.user_create, PASSWORD, b"late")
        assert not made.user_search([(b"handle", b"late", sv.EXACT)])
        assert set(c.addresses()) == all_of_them
        c.logout()
        made.user_create(PASSWORD, b"late")


# Restarts --------------------------------------------------------------------------------


@test
def after_a_restart_users_are_offline():
    for crash in (False, True):
        with daemon() as d:
            c = person(d, handle=b"kept")
            low, address, token = mf.Client(d.bind), None, None
            address, token = low.create()
            low.up(address, token)
            with open(os.path.join(d.directory, "run", "up"), "rb") as f:
                kept = f.read()
            assert address in kept and c.id not in kept and c.token not in kept
            if crash:
                d.kill()
            else:
                assert d.stop()[0]
            d.start()
            again = client(d)
            assert not online(again, c.id) and again.user(c.id)["handle"] == b"kept"
            refused(None, again.call, 0x0934, c.id, token=c.token)
            if crash:                           # who was up without a session still is
                again.call(0x0934, address, token=token)
            again.login(c.id, PASSWORD)
            assert online(again, c.id)


@test
def the_new_password_counts_at_once_and_after_a_crash():
    with daemon() as d:
        c = person(d)
        other, token = client(d), c.token
        other.login(c.id, PASSWORD)
        other.change_password(b"new")
        d.kill()                                # the answer was a promise
        d.start()
        c = client(d)
        refused(NO_USER, c.login, other.id, PASSWORD)
        c.login(other.id, b"new")
        first = c.token
        c.login(other.id, b"new")
        c.change_password(b"newer")
        c.call(0x0934, c.id, token=first)       # sessions stay
        c.call(0x0934, c.id)
        refused(NO_USER, c.login, c.id, b"new")
        c.login(c.id, b"newer")
        assert token not in (first, c.token)


@test
def destroyed_users_are_gone():
    for purge in (False, True):
        c, other = person(), client()
        other.login(c.id, PASSWORD)
        _, events = other.sub(c.id, other.token)
        c.user_destroy(purge)
        assert events.at_eof()
        refused(None, c.is_authenticated)
        refused(None, other.is_authenticated)
        refused(NO_USER, other.login, c.id, PASSWORD)
        refused(NO_USER, other.user, c.id)
        assert c.id not in other.addresses() and c.id not in [p["id"] for p in other.users()]


# How many ------------------------------------------------------------------------------------


@test
@needs_root
def one_program_cannot_use_up_all_addresses():
    with daemon() as d:
        os.chmod(d.directory, 0o755)
        os.chmod(os.path.join(d.directory, "run"), 0o755)

        def make(bind, form):
            c, n = Service(bind), 0
            try:
                for n in range(20):
                    if form:
                        c.create()
                    else:
                        c.user_create(b"pw")
            except (mf.Error, sv.ServiceError) as e:
                return n, "minute" in e.text
            return "never"

        # Both ways in and both kinds count together.
        assert as_user(65534, make, d.bind, True) == "(16, True)"
        assert as_user(65534, make, d.socket, True) == "(0, True)"
        assert as_user(65534, make, d.bind, False) == "(0, True)"
        assert as_user(65533, make, d.socket, True) == "(16, True)"
        c = client(d)
        assert c.limits()["max_creations"] == (16, 16, 4)
        for _ in range(20):                     # the administrator may
            c.create()


@test
def no_room_for_one_more_is_said():
    with daemon() as d:
        c = client(d)
        c.user_create(PASSWORD)
        for _ in range(255):
            c.create()
        try:
            c.create()
            raise AssertionError("not refused")
        except mf.Error as e:
            assert e.code == mf.INTERNAL and "as many addresses" in e.text
        assert "as many addresses" in refused(NOT_AUTHORISED, c.user_create, PASSWORD)
        c.login(c.id, PASSWORD)


if __name__ == "__main__":
    sys.exit(harness.main())
