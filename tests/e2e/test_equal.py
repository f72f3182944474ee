#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What must not be told apart (service-api.md R2, R8): wrong passwords and unknown users, and
tokens that are over, unknown, or another's, which get nowhere.

RATMAND=path/to/ratmand tests/e2e/test_equal.py   (TAP)
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
from exchanges import exchanges, table  # noqa: E402
from harness import daemon, test, wait_until  # noqa: E402
from logins import PASSWORD, failing, guess  # noqa: E402
from people import person  # noqa: E402
from service import (LOCAL, NO_DATA, NO_USER, NOT_AUTHORISED, SERVICE_ERROR, Service,  # noqa: E402
                     refused, text)

CHAT = b"org.example.chat"
NOBODY = bytes(range(1, 33))


# Passwords ----------------------------------------------------------------------------


@test
def replies_to_failed_logins_are_the_same_bytes():
    with daemon("max_auth_failures = 1000000\n") as d:
        c = Service(d.bind)
        replies = {}
        for what, (ident, password) in failing(c).items():
            f = c.ask(0x0910, ident + text(password))
            replies[what] = f.mode, f.token, f.payload
        assert len(set(replies.values())) == 1, replies
        mode, token, payload = replies["wrong password"]
        assert mode == 0x0910 and token is None and payload[:2] == bytes([0x20, NO_USER])
        # With a token in the header, ours or not, it is the same.
        c.user_create(PASSWORD)
        for given in (c.token, NOBODY):
            got = {(f.mode, f.token, f.payload) for f in
                   (c.ask(0x0910, i + text(p), given) for i, p in failing(c).values())}
            assert len(got) == 1, got


def worked(d):
    """Seconds the daemon has computed, with all its threads."""
    with open("/proc/%d/stat" % d.process.pid) as f:
        ticks = f.read().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


@test
def failed_logins_are_as_much_work():
    """Whatever else this machine does; tests/bench/login.py has the times."""
    with daemon("max_auth_failures = 1000000\n") as d:
        c = Service(d.bind)
        cases = failing(c)
        work = dict.fromkeys(cases, 0)
        for _ in range(8):
            for what, (ident, password) in cases.items():
                before = worked(d)
                guess(c, ident, password)
                work[what] += worked(d) - before
        assert min(work.values()) > 0.2 and max(work.values()) <= 1.5 * min(work.values()), work


# Tokens -------------------------------------------------------------------------------


class Owner:
    """A user with one of everything, and what is seen of it."""

    def __init__(self, d, other):
        c = self.c = person(d, password=PASSWORD, handle=b"owner")
        c.user_update(name=b"Owner", avatar=b"png", bio=((b"city", b"bonn"),), services=(CHAT,))
        c.ask(0x0220, other + b"note\0" + mf.pairs({b"k": b"v"}) + b"\5", c.token).ping()
        c.put(CHAT, b"ant", b"mine", b"")
        self.message = c.message_send(c.id, CHAT, b"mine", ((b"red", b"1"),))
        self.file, _ = c.file_pack(b"mine", b"content of a file")
        c.file_announce(self.file, other)
        self.old, _ = c.file_pack(b"old", b"of another")
        self.sub, self.events = c.message_sub(CHAT)
        self.profiles = c.user_sub()

    def fingerprint(self):
        c = self.c
        contacts = c.ask(0x0231, b"\0\0\0\0\0\0\0", c.token)
        return (c.user(c.id), contacts.payload, c.keys(CHAT), c.get(CHAT, b"ant"),
                c.messages(CHAT), sorted(c.files(), key=lambda f: f["id"]), c.file_get(self.file),
                c.services(), c.addresses(), [p["id"] for p in c.users()])


@test
def every_exchange_with_a_token_is_tried():
    """One that is new in userspace/proto/ops.c is missing in exchanges.py until it is there."""
    rows = table()
    assert {0x0130, 0x0901, 0x0910, 0x0c36} <= set(rows) and len(rows) > 60
    tried = {mode for mode, _ in exchanges(NOBODY, NOBODY, CHAT)}
    wanted = {mode for mode, auth in rows.items() if mode >> 8 in (9, 10, 11, 12) and auth != "NONE"}
    assert tried == wanted, "missing %s, too many %s" % (
        [hex(m) for m in wanted - tried], [hex(m) for m in tried - wanted])


@test
def tokens_of_others_and_of_nobody_change_nothing():
    with daemon("max_auth_failures = 1000000\nsession_timeout = 3\n") as d:
        gone = person(d, password=PASSWORD)
        gone_token = gone.token
        low = mf.Client(d.bind)
        keeper, keeper_token = low.create()         # one whose token never ends
        low.up(keeper, keeper_token)
        asker = Service(d.bind)
        services = asker.service_register(CHAT)
        foreign = person(d, password=PASSWORD)
        owner = Owner(d, foreign.id)
        ended = owner.c.token                       # a session that was logged out
        owner.c.login(owner.c.id, PASSWORD)
        owner.c.call(0x0911, owner.c.id, token=ended)
        _, owner.events = owner.sub, owner.c.message_resub(owner.sub)
        owner.profiles = owner.c.user_sub()

        def over():
            for c in (owner.c, foreign):
                c.is_authenticated()
            return not owner.c.user(gone.id)["online"]

        wait_until("a session is over", over, 20)
        before = owner.fingerprint()
        theirs = foreign.files(), foreign.users(0)
        answers = set()
        for what, token in (("over", gone_token), ("ended", ended), ("foreign", foreign.token),
                            ("of an address", keeper_token), ("unknown", NOBODY), ("none", None)):
            for ident in (owner.message, owner.file, owner.old, owner.sub, owner.profiles[0]):
                for mode, payload in exchanges(owner.c.id, ident, CHAT):
                    f = owner.c.ask(mode, payload, token)
                    assert f.mode == mode and f.token == token, "%04x: %04x" % (mode, f.mode)
                    try:
                        f.ping()
                    except mf.Error as e:
                        assert e.code == mf.INVALID_AUTH, "%s, %04x: %s" % (what, mode, e)
                    else:
                        raise AssertionError("%s, %04x was allowed" % (what, mode))
                    answers.add(f.payload)
                over()
            now = owner.fingerprint()
            assert now == before, "a token that is %s changed\n%r\nto\n%r" % (what, before, now)
        # One answer for all of it.
        assert len(answers) == 1, answers
        assert (foreign.files(), foreign.users(0)) == theirs
        # Nothing was told on the owner's sockets, either: what happens now is the first thing.
        foreign.message_send(owner.c.id, CHAT, b"a marker")
        assert owner.events.message()["data"] == b"a marker"
        foreign.user_update(handle=b"marked")
        assert owner.profiles[1].profile()["handle"] == b"marked"
        # And the owner's password and sessions are what they were.
        owner.c.login(owner.c.id, PASSWORD)
        assert [f["state"] for f in owner.c.files(LOCAL)] == [LOCAL, LOCAL]
        for c in (gone, owner.c):
            refused(NO_USER, c.login, c.id, b"stolen")
        low.ask(0x0230, b"", keeper_token).ping(mf.ADDR_LIST)
        services.close()
        asker.close()


@test
def with_the_right_token_they_are_no_invalid_auth():
    """So that the case above cannot pass because its requests are bad in another way."""
    with daemon() as d:
        asker = Service(d.bind)
        services = asker.service_register(CHAT)
        for i in range(len(exchanges(NOBODY, NOBODY, CHAT))):
            c = person(d, password=PASSWORD)
            mode, payload = exchanges(c.id, NOBODY, CHAT)[i]
            f = c.ask(mode, payload, c.token)
            if f.kind == mf.ERROR:
                code = mf.parse_error(f.payload).code
                assert code == mf.NO_SUBSCRIPTION, "%04x: error %d" % (mode, code)
            elif f.kind == SERVICE_ERROR:
                # There is no such message, or file, and all services at once are not to be had.
                assert f.payload[1] in (NOT_AUTHORISED, NO_DATA), "%04x: %r" % (mode, f.payload)
            c.close()
        services.close()
        asker.close()


if __name__ == "__main__":
    sys.exit(harness.main())
