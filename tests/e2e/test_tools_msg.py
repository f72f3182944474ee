#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ratctl msg send, list, show, read, tag, del and watch."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import tools  # noqa: E402
from harness import test, wait_until  # noqa: E402
from tools import ADDRESS, watches  # noqa: E402


class Person(tools.Person):
    def json(self, verb, *args, **kw):
        return super().json("msg", verb, *args, **kw)

    def have(self, n, *args):
        wait_until("%d messages" % n, lambda: len(self.json("list", *args)) == n)
        return self.json("list", *args)


@test
def send_list_show_read():
    a, b = Person(), Person()
    out = a.ctl("msg", "send", b.address, "--text", "hello\nthere", "--tag", "room=kitchen", "--tag", "x")[0]
    ident = ADDRESS.search(out).group()
    m, = b.have(1)
    assert m["id"] == ident and m["from"] == a.address and m["to"] == b.address
    assert m["text"] == "hello\nthere" and m["hex"] is None and m["service"] == "ratman.msg"
    assert m["tags"] == ["room=kitchen", "x"] and m["unread"] and not m["flood"]
    assert m["trust"] == "signed" and m["bytes"] == 11
    table = b.ctl("msg", "list")[0]
    assert "hello there" in table and "room=kitchen, x" in table and "UNREAD" in table
    for how in (ident, ident[:9], ident.lower()):
        assert b.json("show", how)["id"] == ident
    assert b.json("show", ident)["unread"]
    assert b.ctl("msg", "read", ident)[0] == "hello\nthere"
    assert not b.json("show", ident)["unread"]
    assert b.json("list", "--unread") == [] and len(b.json("list")) == 1
    assert not a.json("list")[0]["unread"]
    assert "nobody" not in b.ctl("msg", "show", ident)[0]
    assert ident in b.ctl("msg", "show", ident[:4] + "…" + ident[-4:])[0]      # as tables show it


@test
def files_standard_input_and_bytes():
    a, b, c = Person(), Person(), Person()
    blob = bytes(range(256)) * 4
    path = a.file("blob", blob)
    a.ctl("msg", "send", b.address, c.address, "--file", path)
    a.ctl("msg", "send", b.address, input=b"from stdin")
    a.ctl("msg", "send", b.address, "--file", "-", "--service", "org.other", input=b"other")
    messages = b.have(2)
    first = next(m for m in messages if m["hex"])
    assert bytes.fromhex(first["hex"]) == blob and first["text"] is None
    assert {m["text"] for m in messages} == {None, "from stdin"}
    assert [m["text"] for m in b.have(1, "--service", "org.other")] == ["other"]
    raw = b.popen("ratctl", "msg", "read", first["id"])
    assert raw.communicate()[0] == blob and raw.returncode == 0
    assert len(c.have(1)) == 1
    big = a.file("big", b"x" * 65001)
    assert "at most 65000 bytes" in a.ctl("msg", "send", b.address, "--file", big, status=1)[1]
    assert "cannot read" in a.ctl("msg", "send", b.address, "--file", a.file("none"), status=1)[1]


@test
def filters_and_pages():
    a, b = Person(), Person()
    for i in range(5):
        (a if i % 2 else b).ctl("msg", "send", b.address, "--text", "%d" % i, "--tag", "n=%d" % (i % 3))
        b.have(i + 1)

    def texts(*args):
        return [m["text"] for m in b.json("list", *args)]

    assert texts() == ["0", "1", "2", "3", "4"]
    assert texts("--skip", "1", "--take", "2") == ["1", "2"]
    assert texts("--skip", "9") == []
    assert texts("--from", a.address) == ["1", "3"] and texts("--tag", "n=0") == ["0", "3"]
    assert texts("--from", a.address, "--tag", "n=0", "--unread") == ["3"]
    _, err = b.ctl("msg", "list", "--all", status=2)
    assert "god" in err


@test
def as_many_tags_as_there_may_be():
    a = Person()
    many = [word for i in range(64) for word in ("--tag", "t%02d" % i)]
    a.ctl("msg", "send", a.address, "--text", "many", *many)
    assert len(a.have(1)[0]["tags"]) == 64
    _, err = a.ctl("msg", "send", a.address, "--text", "more", *many, "--tag", "one", status=1)
    assert "at most 64 of --tag" in err, err


@test
def tags_and_deletion():
    a, b = Person(), Person()
    out = a.ctl("msg", "send", b.address, "--text", "x", "--tag", "k=1")[0]
    ident = ADDRESS.search(out).group()
    b.have(1)
    assert b.json("tag", ident, "--tag", "k=2", "--tag", "done", "--untag", "k=1", "--read") is True
    m = b.json("show", ident)
    assert m["tags"] == ["done", "k=2"] and not m["unread"]
    assert a.json("show", ident)["tags"] == ["k=1"]
    assert b.json("del", ident[:14]) is True
    assert b.json("list") == [] and len(a.json("list")) == 1
    assert "no message" in b.ctl("msg", "show", ident, status=2)[1]
    assert "no message" in b.ctl("msg", "show", ident[:9], status=1)[1]
    assert "nothing to change" in a.ctl("msg", "tag", ident, status=1)[1]
    assert "libqaul._int." in a.ctl("msg", "tag", ident, "--tag", "libqaul._int.mine", status=2)[1]


@test
def groups_and_floods():
    a, b, c = Person(), Person(), Person()
    group = "AB" * 32
    a.ctl("msg", "send", b.address, "--text", "one", "--group", group)
    a.ctl("msg", "send", c.address, "--text", "two", "--group", group)
    assert [m["text"] for m in a.have(1)] == ["one"]
    assert [m["text"] for m in c.have(1)] == ["two"]
    out = a.ctl("msg", "send", "--flood", "--text", "everybody!", "--service", "org.flood")[0]
    m, = b.have(1, "--service", "org.flood")
    assert m["flood"] and m["to"] is None and m["id"] == ADDRESS.search(out).group()
    assert "yes" in b.ctl("msg", "list", "--service", "org.flood")[0]


@test
def what_is_wrong_is_said():
    a, away = Person(), Person(up=False)
    for args, words, status in (
            (("send",), "to whom", 1), (("send", "--flood", a.address), "no recipient besides", 1),
            (("send", a.address, "--text", "x", "--file", "y"), "one of --text and --file", 1),
            (("send", a.address, "--text", "x", "--group", "12"), "64 hex digits", 1),
            (("send", a.address, "--text", "x", "--tag", "=v"), "KEY=VALUE", 1),
            (("send", a.address, "--text", "x", "--service", ""), "a service has a name", 1),
            (("send", a.address, "--text", "x", "--service", "s" * 129), "128 bytes", 1),
            (("show", "nonsense"), "no id of a message", 1),
            (("list", "--skip", "x"), "--skip", 1)):
        _, err = a.ctl("msg", *args, status=status)
        assert words in err, (args, err)
    for args in (("send", a.address, "--text", "x"), ("list",), ("watch",)):
        _, err = away.ctl("msg", *args, status=2)
        assert "not up" in err and "ratctl addr up" in err, err


@test
def watch():
    a, b = Person(), Person()
    p = b.popen("ratctl", "--json", "msg", "watch")
    try:
        watches(p)
        a.ctl("msg", "send", b.address, "--text", "word")
        line = p.stdout.readline().decode()
        assert '"text":"word"' in line and a.address in line, line
        p.send_signal(signal.SIGINT)
        assert p.wait(10) == 128 + signal.SIGINT
    finally:
        p.kill()
        p.wait()
    # It left no subscription behind: more of them than are allowed come and go.
    for _ in range(66):
        p = b.popen("ratctl", "msg", "watch")
        watches(p)
        p.send_signal(signal.SIGTERM)
        p.wait(10)
    p = b.popen("ratctl", "msg", "watch")
    watches(p)
    p.send_signal(signal.SIGTERM)
    assert p.wait(10) == 128 + signal.SIGTERM


if __name__ == "__main__":
    sys.exit(harness.main())
