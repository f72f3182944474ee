#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages and files by a part of their ids, and waiting for a file.

RATMAND=… RATCTL=… RATCAT=… tests/e2e/test_tools_find.py [case…]      (TAP on standard output)
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import test, wait_until  # noqa: E402
from tools import ADDRESS, Person, client  # noqa: E402

BODY = bytes(65000)
LOOK_MAX = 64 << 20     # bytes of messages that ratctl searches through


def dashed(ident):
    text = ident.hex().upper()
    return "-".join(text[i:i + 4] for i in range(0, 64, 4))


def with_ids(*ids):
    me = Person()
    c = client(me)
    for ident in ids:
        c.message_send(me.id, b"ratman.msg", b"text of " + ident[:3], ident=ident)
    wait_until("they are there", lambda: len(me.json("msg", "list")) == len(ids))
    return me


@test
def a_part_that_fits_two_names_them():
    one, two, three = b"\xab\xcd\x01" + os.urandom(29), b"\xab\xcd\x02" + os.urandom(29), b"\x77" * 32
    me = with_ids(one, two, three)
    for verb in ("show", "read", "del"):
        _, err = me.ctl("msg", verb, "ABCD", status=1)
        assert dashed(one)[:19] in err and dashed(two)[:19] in err and "write more of the id" in err, err
    assert me.json("msg", "show", "ABCD-02")["id"] == dashed(two)
    assert me.json("msg", "show", "7777…7777")["id"] == dashed(three)
    for little in ("7", "777", "77-7", "7…7777"):
        _, err = me.ctl("msg", "show", little, status=1)
        assert "at least its first 4 digits" in err, err
    _, err = me.ctl("msg", "show", "1234", status=1)
    assert "no message of ratman.msg" in err and "ratctl msg list" in err, err


@test
def the_search_has_an_end():
    me = Person()
    c = client(me)
    ids = [bytes([1 + i % 255]) + os.urandom(31) for i in range(LOOK_MAX // len(BODY) + 40)]
    for ident in ids:
        c.message_send(me.id, b"ratman.msg", BODY, ident=ident)
    # What is within reach is found only if it is the only one: nobody looked at the rest.
    _, err = me.ctl("msg", "show", dashed(ids[0])[:9], status=1, timeout=300)
    assert "too many messages" in err and "--wide" in err, err
    assert me.json("msg", "show", dashed(ids[-1]))["id"] == dashed(ids[-1])


@test
def files_by_a_part():
    me = Person()
    one = ADDRESS.search(me.ctl("file", "add", "-", "--name", "same", input=b"one")[0]).group()
    two = ADDRESS.search(me.ctl("file", "add", "-", "--name", "same", input=b"two")[0]).group()
    _, err = me.ctl("file", "show", "same", status=1)
    assert one[:19] in err and two[:19] in err and "write more of the id" in err, err
    assert me.json("file", "show", two[:9])["id"] == two
    _, err = me.ctl("file", "show", "other", status=1)
    assert "no file has this name" in err and "'other'" in err and "ratctl file list" in err, err


@test
def waiting_has_a_limit():
    owner, me = Person(), Person()
    ident = ADDRESS.search(owner.ctl("file", "add", "-", "--name", "late", input=b"content")[0]).group()
    owner.ctl("file", "announce", ident, "--addr", me.address)
    wait_until("it is known", lambda: "advertised" in me.ctl("file", "list")[0])
    owner.ctl("addr", "down")
    start = time.monotonic()
    _, err = me.ctl("file", "request", "late", "--wait", "--timeout", "700", status=4)
    assert "not here after 700 ms" in err and "ratctl file show" in err, err
    assert time.monotonic() - start >= 0.7
    out, _ = me.ctl("--json", "file", "request", "late", "--wait", "-t", "1", status=4)
    assert '"code":4' in out
    _, err = me.ctl("file", "request", "late", "--timeout", "700", status=1)
    assert "--wait" in err, err
    _, err = me.ctl("file", "request", "late", "--wait", "--timeout", "soon", status=1)
    assert "--timeout 'soon'" in err, err
    # It still comes.
    owner.ctl("addr", "up")
    me.ctl("file", "request", "late", "--wait", "--timeout", "60000")
    assert me.json("file", "show", "late")["state"] == "available"


if __name__ == "__main__":
    sys.exit(harness.main())
