#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Services and what they keep for users (service-api.md R29 to R31), from outside.

RATMAND=path/to/ratmand tests/e2e/test_service.py   (TAP)
"""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import service as sv  # noqa: E402
from harness import connect, daemon, needs_root, test, wait_until  # noqa: E402
from logins import PASSWORD  # noqa: E402
from people import as_user, client, person  # noqa: E402
from service import (INVALID_PAYLOAD, NO_DATA, NO_SERVICE, NOT_AUTHORISED, SERVICE_EXISTS,  # noqa: E402
                     Service, refused, text)

NAME = b"net.example.chat"


def registered(name, d=None):
    """The socket of a service, registered by a client that lives as long."""
    asker = client(d)
    events = asker.service_register(name)
    events.asker = asker
    return events


def gone(name):
    wait_until("the service is gone", lambda: name not in client().services()[1])


# Registering ------------------------------------------------------------------------------


@test
def bytes_of_registering_and_events():
    c = connect(mf.HELLO)
    f = c.ask(0x0b01, b"a.b\0" b"\1text\0")
    assert f.mode == 0x0b01 and f.token is None and f.payload[:1] == b"\6"
    assert f.payload[-1:] == b"\0" and 0 not in f.payload[1:33]
    events = mf.Line(f.payload[33:-1].decode())
    f = c.ask(0x0b34)
    assert (f.mode, f.token, f.payload) == (0x0b34, None, b"\x27\0\0\1a.b\0")
    u = person()
    assert events.exactly(42 + 33) == mf.frame(0x0b34, b"\1" + u.id, u.token)
    first, (_, second) = u.token, u.login(u.id, PASSWORD)
    assert events.exactly(42 + 33) == mf.frame(0x0b34, b"\1" + u.id, second)
    u.call(0x0911, u.id, token=first)
    assert events.exactly(42 + 33) == mf.frame(0x0b34, b"\2" + u.id, first)
    u.user_destroy()
    assert events.exactly(42 + 33) == mf.frame(0x0b34, b"\2" + u.id, second)
    f = c.ask(0x0b02, b"a.b\0")
    assert (f.mode, f.token, f.payload) == (0x0b02, None, b"\1")
    assert events.at_eof()
    f = c.ask(0x0b02, b"a.b\0")
    assert f.payload[:2] == b"\x20\x0d" and f.payload[-1:] == b"\0"
    f = c.ask(0x0b34)
    assert f.payload == b"\x27\0\0\0"


@test
def names():
    c = client()
    for bad in (b"", b".", b"a.", b".a", b"a..b", b"a b", b"a\tb", b"a\x7f", b"x" * 129, b"\xff",
                b"a\xc2\x85", b"a\xc2\xa0"):
        refused(INVALID_PAYLOAD, c.service_register, bad)
        refused(INVALID_PAYLOAD, c.service_unregister, bad)
    for ours in (b"libqaul._int.announcer", b"ratman._int.x"):
        assert "routers' own" in refused(NOT_AUTHORISED, c.service_register, ours)
    refused(INVALID_PAYLOAD, c.service_register, b"a", b"d" * 257)
    refused(INVALID_PAYLOAD, c.call, 0x0b01, b"a\0\0x", mf.SUBSCRIPTION)
    good = [b"x" * 128, "net.größe.チャット".encode(), b"plain", b"libqaul._int", b"ratman.int.x"]
    sockets = [c.service_register(name) for name in good]
    assert c.services() == (False, sorted(good))
    for s in sockets:
        s.close()
    wait_until("all are gone", lambda: c.services()[1] == [])


@test
def one_of_a_name():
    c, d = client(), client()
    events = c.service_register(NAME)
    refused(SERVICE_EXISTS, d.service_register, NAME)
    refused(SERVICE_EXISTS, c.service_register, NAME)
    events.close()
    gone(NAME)
    # The connection that asked may go: the socket is what counts.
    events = d.service_register(NAME)
    d.services()                                # by now we are connected
    d.close()
    u = person()
    assert events.session() == (1, u.id)
    assert c.services()[1] == [NAME]
    c.service_unregister(NAME)
    assert events.at_eof()
    refused(NO_SERVICE, c.service_unregister, NAME)


@test
def registrations_nobody_connects_for():
    with daemon("helper_timeout = 1\n") as d:
        c, other = client(d), client(d)
        c.call(0x0b01, text(NAME) + b"\0", mf.SUBSCRIPTION)
        assert other.services()[1] == [NAME]
        wait_until("its time is over", lambda: other.services()[1] == [])
        c.call(0x0b01, text(NAME) + b"\0", mf.SUBSCRIPTION)
        c.close()
        wait_until("it goes with its client", lambda: other.services()[1] == [])


@test
def events_before_the_connection_are_kept():
    c = client()
    body = c.call(0x0b01, text(NAME) + b"\0", mf.SUBSCRIPTION)
    u = person()
    token = u.token
    u.logout()
    events = sv.Events(body[32:-1].decode())
    assert events.session() == (1, u.id) and events.token == token
    assert events.session() == (2, u.id) and events.token == token
    u.login(u.id, PASSWORD)
    assert events.session() == (1, u.id) and events.token == u.token
    events.close()
    gone(NAME)


@test
def all_services_are_told():
    sockets = [registered(b"s%d" % i) for i in range(5)]
    u = person()
    for s in sockets:
        assert s.session() == (1, u.id)
    sockets[2].close()
    gone(b"s2")
    u.logout()
    for i in (0, 1, 3, 4):
        assert sockets[i].session() == (2, u.id)
        sockets[i].close()
        gone(b"s%d" % i)


@test
def the_end_of_a_session_by_time_is_told():
    with daemon("session_timeout = 1\n") as d:
        events = registered(NAME, d)
        u = person(d)
        assert events.session() == (1, u.id)
        assert events.session() == (2, u.id) and events.token == u.token


@test
@needs_root
def tokens_only_for_those_who_may_have_them():
    with daemon() as d:
        os.chmod(d.directory, 0o755)
        os.chmod(os.path.join(d.directory, "run"), 0o755)

        def stranger(bind):
            c = Service(bind)
            events = c.service_register(b"spy" + bind[:1].encode())
            os.write(ready, b"x")
            return [events.next(0x0b34, lambda r: (r.number("B"), r.take(32)))[0] and events.token
                    for _ in range(2)]

        def own(bind):
            c = Service(bind)
            events = c.service_register(b"own")
            c.user_create(b"pw")
            events.session()
            return events.token == c.token and c.token is not None

        for bind in (d.bind, d.socket):
            wait, ready = os.pipe()
            pid = os.fork()
            if not pid:
                os.read(wait, 1)
                c = person(d)
                c.logout()
                c.close()
                os._exit(0)
            assert as_user(65534, stranger, bind) == "[None, None]"
            os.waitpid(pid, 0)
            assert as_user(65533, own, bind) == "True"
        # Nor may strangers end it.
        events = registered(NAME, d)

        def end(bind):
            refused(NOT_AUTHORISED, Service(bind).service_unregister, NAME)
            return "refused"

        assert as_user(65534, end, d.bind) == as_user(65534, end, d.socket) == "refused"
        # The superuser's sees all.
        as_user(65534, lambda: Service(d.bind).user_create(b"pw")[0].hex())
        assert events.session()[0] == 1 and events.token


@test
def too_many_services():
    with daemon() as d:
        c = client(d)
        sockets = [c.service_register(b"s%d" % i) for i in range(64)]
        assert "too many" in refused(NOT_AUTHORISED, c.service_register, b"one.more")
        sockets.pop().close()
        wait_until("there is room", lambda: len(c.services()[1]) == 63)
        c.service_register(b"one.more")


@test
def god_mode_is_said():
    with daemon("god_mode = true\n") as d:
        assert client(d).services() == (True, [])
    assert client().services()[0] is False


# What they keep --------------------------------------------------------------------------------


@test
def bytes_of_values():
    events = registered(NAME)
    c = person()
    key = c.id + text(NAME) + b"ns\0" + b"key\0"
    f = c.ask(0x0b20, key + b"\0\0\0\3a\0b", c.token)
    assert (f.mode, f.token, f.payload) == (0x0b20, c.token, b"\1")
    f = c.ask(0x0b31, key, c.token)
    assert (f.mode, f.token, f.payload) == (0x0b31, c.token, b"\x25ns\0key\0\0\0\0\3a\0b")
    f = c.ask(0x0b30, c.id + text(NAME) + b"\0", c.token)
    assert (f.mode, f.token, f.payload) == (0x0b30, c.token, b"\x26\0\1ns\0key\0")
    f = c.ask(0x0b21, key, c.token)
    assert (f.mode, f.token, f.payload) == (0x0b21, c.token, b"\1")
    f = c.ask(0x0b31, key, c.token)
    assert f.token == c.token and f.payload[:2] == b"\x20\5"
    events.close()
    gone(NAME)


@test
def values_are_put_replaced_and_deleted():
    events, other = registered(NAME), registered(b"other")
    c = person()
    c.put(NAME, b"k", b"one")
    c.put(NAME, b"k", b"two", ns=b"n")
    c.put(b"other", b"k", b"three")
    assert (c.get(NAME, b"k"), c.get(NAME, b"k", b"n"), c.get(b"other", b"k")) == \
        (b"one", b"two", b"three")
    c.put(NAME, b"k", b"")
    assert c.get(NAME, b"k") == b""
    big = os.urandom(65536 - 32 - len(NAME) - 1 - 1 - 2 - 4)
    c.put(NAME, b"k", big)
    assert c.get(NAME, b"k") == big
    c.delete(NAME, b"k")
    c.delete(NAME, b"k")
    c.delete(NAME, b"never")
    refused(NO_DATA, c.get, NAME, b"k")
    assert c.get(NAME, b"k", b"n") == b"two" and c.get(b"other", b"k") == b"three"
    # Not registered, not there.
    other.close()
    gone(b"other")
    for call in ((c.put, b"other", b"k", b"v"), (c.get, b"other", b"k"), (c.delete, b"other", b"k"),
                 (c.keys, b"other")):
        refused(NO_SERVICE, *call)
    other = registered(b"other")
    assert c.get(b"other", b"k") == b"three"
    for s, name in ((events, NAME), (other, b"other")):
        s.close()
        gone(name)


@test
def keys_are_listed_in_order():
    events = registered(NAME)
    c = person()
    names = [(b"", b"b"), (b"", b"a"), (b"n", b"z"), (b"n2", b"a"), (b"n", b"A"),
             (b"\xc3\xa9", b"k"), (b"n", b"z.z")]
    random.shuffle(names)
    for ns, key in names:
        c.put(NAME, key, b"v", ns)
    assert c.keys(NAME) == sorted(names)
    assert c.keys(NAME, b"n") == sorted(k for k in names if k[0] == b"n")
    assert c.keys(NAME, b"") == [(b"", b"a"), (b"", b"b")]
    assert c.keys(NAME, b"none") == []
    c.logout()
    c.login(c.id, PASSWORD)
    assert c.keys(NAME) == sorted(names)
    events.close()
    gone(NAME)


@test
def bad_keys():
    events = registered(NAME)
    c = person()
    for ns, key in ((b"", b""), (b"a#b", b"k"), (b"", b"k#"), (b"x" * 129, b"k"), (b"", b"x" * 257),
                    (b"\xff", b"k"), (b"", b"\xff")):
        refused(INVALID_PAYLOAD, c.put, NAME, key, b"v", ns)
        refused(INVALID_PAYLOAD, c.get, NAME, key, ns)
        refused(INVALID_PAYLOAD, c.delete, NAME, key, ns)
    refused(INVALID_PAYLOAD, c.keys, NAME, b"a#")
    refused(INVALID_PAYLOAD, c.call, 0x0b20, c.id + text(NAME) + b"\0k\0" b"\0\0\0\2x")
    refused(INVALID_PAYLOAD, c.call, 0x0b31, c.id + text(NAME) + b"\0k\0x", sv.VALUE)
    c.put(NAME, b"x" * 256, b"v", b"x" * 128)
    assert c.keys(NAME) == [(b"x" * 128, b"x" * 256)]
    events.close()
    gone(NAME)


@test
def users_do_not_see_each_others():
    events = registered(NAME)
    a, b = person(), person()
    a.put(NAME, b"k", b"of a")
    assert b.keys(NAME) == []
    refused(NO_DATA, b.get, NAME, b"k")
    b.delete(NAME, b"k")
    b.put(NAME, b"k", b"of b")
    assert a.get(NAME, b"k") == b"of a" and b.get(NAME, b"k") == b"of b"
    for mode, rest in ((0x0b20, b"\0k\0" + sv.blob(b"evil")), (0x0b21, b"\0k\0"), (0x0b31, b"\0k\0"),
                       (0x0b30, b"\0")):
        refused(None, b.call, mode, a.id + text(NAME) + rest)
    a.user_destroy()
    assert b.get(NAME, b"k") == b"of b"
    events.close()
    gone(NAME)


@test
def what_is_kept_has_limits():
    with daemon() as d:
        sockets = [registered(b"s%d" % i, d) for i in range(6)]
        c = person(d)
        for i in range(1024):
            c.put(b"s0", b"k%d" % i, b"v")
        assert "1024" in refused(INVALID_PAYLOAD, c.put, b"s0", b"more", b"v")
        c.put(b"s0", b"k5", b"replaced")
        c.delete(b"s0", b"k6")
        c.put(b"s0", b"more", b"v")
        assert len(c.keys(b"s0")) == 1024
        big = bytes(65000)
        for i in range((8 << 20) // len(big)):
            c.put(b"s1", b"k%d" % i, big)
        assert "8 MiB" in refused(INVALID_PAYLOAD, c.put, b"s1", b"more", big)
        c.put(b"s1", b"k5", big)
        c.delete(b"s1", b"k5")
        c.put(b"s1", b"more", big)
        # All of one user's together; another's are others.
        for s in (b"s2", b"s3", b"s4", b"s5"):
            for i in range((8 << 20) // len(big)):
                try:
                    c.put(s, b"k%d" % i, big)
                except sv.ServiceError as e:
                    assert s == b"s5" and "together" in e.text, e
                    break
        assert s == b"s5" and len(c.keys(s)) < 129
        person(d).put(s, b"k", big)
        for s in sockets:
            s.close()


@test
def values_survive_a_crash():
    with daemon() as d:
        rng, model = random.Random(4), {}
        c, events = person(d), registered(NAME, d)
        for turn in range(4):
            for _ in range(60):
                ns, key = rng.choice((b"", b"n")), b"k%d" % rng.randrange(20)
                if rng.random() < 0.7:
                    model[ns, key] = rng.randbytes(rng.randrange(3000))
                    c.put(NAME, key, model[ns, key], ns)
                else:
                    model.pop((ns, key), None)
                    c.delete(NAME, key, ns)
            d.kill()
            d.start()
            user, c = c.id, client(d)
            assert c.services() == (False, [])
            events.close()
            events = registered(NAME, d)
            c.login(user, PASSWORD)
            assert c.keys(NAME) == sorted(model), "turn %d" % turn
            for (ns, key), value in model.items():
                assert c.get(NAME, key, ns) == value


@test
def values_of_an_address_that_is_up():
    events = registered(NAME)
    low, address, token = harness.user()
    c = client()
    c.id, c.token = address, token
    c.put(NAME, b"k", b"v")
    low.ask(0x0111, address, token).ping()
    refused(None, c.get, NAME, b"k")
    low.up(address, token)
    assert c.get(NAME, b"k") == b"v"
    events.close()
    gone(NAME)


if __name__ == "__main__":
    sys.exit(harness.main())
