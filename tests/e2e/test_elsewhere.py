#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs on other hosts: nobody knows whose they are, so they are let do what needs no knowing.

RATMAND=path/to/ratmand tests/e2e/test_elsewhere.py   (TAP)
"""
import contextlib
import functools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import service as sv  # noqa: E402
from elsewhere import hosts  # noqa: E402
from harness import Ratmand, daemon, free_port, needs_root, test, wait_until  # noqa: E402
from logins import PASSWORD  # noqa: E402
from people import acting  # noqa: E402
from service import NOT_AUTHORISED, Service, refused, text  # noqa: E402


@contextlib.contextmanager
def reachable(n, extra=""):
    """A daemon for everybody, and @n other hosts with where it is for each."""
    with hosts(n) as others:
        port = free_port()
        with daemon(extra, functools.partial(Ratmand, bind="0.0.0.0:%d" % port)) as d:
            yield d, [(h, "%s:%d" % (h.here, port)) for h in others]


def come(host, bind, n=1):
    with host.acting():
        return [Service(bind) for _ in range(n)]


@test
@needs_root
def services_end_by_who_registered_them_and_nobody_unknown():
    with reachable(2) as (d, ((one, bind), (two, other))):
        with one.acting():
            c, same_host = Service(bind), Service(bind)
            events = [c.service_register(name) for name in (b"a", b"b", b"c")]
        stranger, = come(two, other)
        with acting(65534):
            local = Service("127.0.0.1:" + d.bind.rsplit(":", 1)[1])
        # Not even from the same host: there, too, it may be another's.
        for somebody in (stranger, same_host, local):
            for name in (b"a", b"b", b"c"):
                refused(NOT_AUTHORISED, somebody.service_unregister, name)
        with acting(65534):
            mine = local.service_register(b"d")
        for somebody in (stranger, same_host, c):
            refused(NOT_AUTHORISED, somebody.service_unregister, b"d")
        # Over the connection it came by, by the superuser, and by its end.
        c.service_unregister(b"a")
        Service(d.socket).service_unregister(b"b")
        assert events[0].at_eof() and events[1].at_eof()
        events[2].close()
        wait_until("it is gone", lambda: stranger.services()[1] == [b"d"])
        local.service_unregister(b"d")
        mine.close()


@test
@needs_root
def the_token_of_nobody_goes_to_services_of_other_hosts():
    with reachable(1) as (d, ((one, bind),)):
        with one.acting():
            c, curious = Service(bind), Service(bind)
            events = curious.service_register(b"curious")
            c.user_create(PASSWORD)
        assert events.session() == (1, c.id) and events.token is None
        c.logout()
        assert events.session() == (2, c.id) and events.token is None


@test
@needs_root
def hosts_have_shares_as_users_have():
    with reachable(2, "max_creations = 2\n") as (d, ((one, bind), (two, other))):
        a, b = come(one, bind)[0], come(two, other)[0]
        for c in (a, b):
            c.user_create(PASSWORD)
            c.user_create(PASSWORD)
            assert "minute" in refused(NOT_AUTHORISED, c.user_create, PASSWORD)
        many = come(one, bind, 20)
        for c in many:
            c.send(mf.frame(0x0910, a.id + text(PASSWORD)))
        b.login(b.id, PASSWORD)
        busy = [c.frame().payload[:2] == b"\x20" + bytes([sv.COMM_FAULT]) for c in many]
        assert busy.count(False) >= 8 and busy.count(True)


if __name__ == "__main__":
    sys.exit(harness.main())
