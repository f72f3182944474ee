#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Destroying an address while others act for it: afterwards nobody can, and nothing is left of it.

RATMAND=path/to/ratmand tests/e2e/test_destroy.py   (TAP)
"""
import json
import os
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import service as sv  # noqa: E402
from harness import daemon, program, test, wait_until  # noqa: E402
from people import client, person  # noqa: E402

LOTS = "max_auth_failures = 1000000\n"


def written(a):
    """What puts something of @a on the disk, but what is everybody's: mode and payload."""
    i32, z = bytes(range(1, 33)), b"\0"
    return [
        (0x0a32, a + b"\1" + a + z + b"s\0" + sv.tags([]) + sv.blob(b"a note")),
        (0x0a33, a + struct.pack(">H", 1) + i32 + b"s\0" + sv.tags([]) + sv.blob(b"far")),
        (0x0a03, a + b"\1s\0" + sv.tags([])),
        (0x0220, i32 + b"a contact\0" + b"\0\0\1"),
        (0x0222, b"\0\1k\0v\0" + b"\0\0" + z + z),
        (0x0922, a + b"\0" + sv.update(handle=b"back", bio=[(b"k", b"v")])),
        (0x0922, a + b"\1password\0"),
        (0x0b20, a + b"s\0" b"\0" b"key\0" + sv.blob(b"value")),
        (0x0703, a + b"\1" + a),
        (0x0103, a + z),
        (0x0c20, a + i32 + z),
        (0x0c10, a + i32 + z),
    ]


def tables(d):
    """How many records each table of what must not be lost has; @d does not run."""
    out = subprocess.run([program("RATCTL", "ratctl"), "db", "stat", "--json",
                          os.path.join(d.directory, "state")], capture_output=True, text=True,
                         timeout=60, check=True).stdout
    return {r["table"]: r["records"] for r in json.loads(out) if r["environment"] == "state"}


def stopped(d):
    good, text = d.stop()
    assert good, text
    have = tables(d)
    d.start()
    return have


def nothing_left(d, before):
    """… but what is on its way to others, as the profile that was announced to everybody."""
    changed = {}

    def is_so():
        after = stopped(d)
        changed.clear()
        changed.update({t: (n, after[t]) for t, n in before.items()
                        if after[t] != n and t not in ("stamps", "outbox", "inbox", "blocks", "done")})
        return not changed
    # What a mailbox held goes in pieces, over restarts.
    try:
        wait_until("nothing is left", is_so, 10)
    except AssertionError:
        raise AssertionError("records before and after: %s" % changed) from None


def doomed(d):
    """A user with something of everything, and the socket of a service."""
    c = person(d)
    services = c.service_register(b"s")
    # What needs others to be there may fail.
    for mode, payload in written(c.id):
        c.ask(mode, payload, c.token)
    return c, services


@test
def what_comes_behind_it_on_the_same_connection():
    with daemon(LOTS) as d:
        before = stopped(d)
        c, services = doomed(d)
        c.send(mf.frame(0x0902, c.id + b"\0", c.token) +
               b"".join(mf.frame(mode, payload, c.token) for mode, payload in written(c.id)))
        c.frame().ping()
        for mode, _ in written(c.id):
            f = c.frame()
            assert f.mode in (mode, 0), "%04x" % f.mode
            harness.refused(mf.INVALID_AUTH, f.ping)
        services.close()
        nothing_left(d, before)


@test
def what_others_ask_in_the_same_moment():
    """Others have the user's token, too: some are earlier, some wait for an answer, some are later."""
    with daemon(LOTS) as d:
        before = stopped(d)
        for n in range(6):
            c, services = doomed(d)
            others = [client(d) for _ in range(4)]
            query = mf.frame(0x0a31, c.id + b"\1s\0\0\0" + sv.tags([]) + b"\0" * 8, c.token)
            burst = b"".join(mf.frame(mode, p, c.token) for mode, p in written(c.id))
            d.process.send_signal(signal.SIGSTOP)       # all of it comes in one turn
            for i, o in enumerate(others):
                if i == n % len(others):
                    c.send(mf.frame(0x0902, c.id + b"\0", c.token))
                o.send(query + burst)
            d.process.send_signal(signal.SIGCONT)
            c.frame().ping()
            for o in others:
                gone = o.frame().payload[:1] == b"\3"
                for mode, _ in written(c.id):
                    f = o.frame()
                    denied = f.payload[:1] == b"\3" and \
                        mf.parse_error(f.payload).code == mf.INVALID_AUTH
                    # From the first that is refused for it on, all are.
                    assert denied or not gone, "%04x %r" % (mode, f.payload)
                    gone = gone or denied
            services.close()
        nothing_left(d, before)


if __name__ == "__main__":
    sys.exit(harness.main())
