#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ratctl user list, show, search, set and watch."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import profiles as pr  # noqa: E402
import schema  # noqa: E402
import service  # noqa: E402
from harness import connect, test  # noqa: E402
from profiles import put  # noqa: E402
from tools import Person, watches  # noqa: E402


@test
def set_and_show():
    me = Person()
    _, err = me.ctl("user", "show", status=2)
    assert "no profile yet" in err and "ratctl user set" in err
    picture = me.file("face.png", os.urandom(5000))
    assert me.ctl("user", "set", "--handle", "anna", "--display-name", "Anna Ö.", "--bio", "city=Ghent",
                  "--bio", "note=a=b", "--service", "+org.chat", "--service", "+org.mail", "--avatar",
                  picture)[0] == "ok\n"
    p = me.json("user", "show")
    assert p["addr"] == me.address and p["handle"] == "anna" and p["display_name"] == "Anna Ö."
    assert p["bio"] == {"city": "Ghent", "note": "a=b"} and p["services"] == ["org.chat", "org.mail"]
    assert p["local"] and p["online"] and p["avatar_bytes"] == 5000 and p["updated"]
    out = me.ctl("user", "show")[0]
    assert "Anna Ö." in out and "city=Ghent, note=a=b" in out and "org.chat, org.mail" in out
    # The picture comes back as it was; by address, beginning of it, or handle.
    saved = me.file("saved")
    for who in (me.address, me.address[:9], me.address[:4] + "…" + me.address[-4:], "anna", "ANNA"):
        me.ctl("user", "show", who, "--avatar", saved)
        assert open(saved, "rb").read() == open(picture, "rb").read()
        os.unlink(saved)
    me.ctl("user", "set", "--display-name", "", "--unbio", "note", "--service", "-org.mail", "--avatar", "",
           "--bio", "city=Gent")
    p = me.json("user", "show", "anna")
    assert p["display_name"] is None and p["bio"] == {"city": "Gent"} and p["services"] == ["org.chat"]
    assert p["avatar_bytes"] == 0 and p["handle"] == "anna"
    _, err = me.ctl("user", "show", "anna", "--avatar", saved, status=2)
    assert "no picture" in err and not os.path.exists(saved)
    assert me.json("user", "set", "--handle", "") is True
    assert me.json("user", "show", me.address)["handle"] is None


@test
def what_is_wrong_is_said():
    me = Person()
    for args, words, status in (
            ((), "nothing to change", 1),
            (("--bio", "novalue"), "KEY=VALUE", 1),
            (("--bio", "=v"), "KEY=VALUE", 1),
            (("--service", "name"), "+NAME", 1),
            (("--service", "+a", "--service", "-a"), "not both", 1),
            (("--handle", "h" * 65), "at most 64 bytes", 1),
            (("--avatar", me.file("big", bytes(32769))), "at most 32768 bytes", 1),
            (("--avatar", me.file("empty", b"")), "is empty", 1),
            (("--avatar", me.file("none")), "cannot read", 1)):
        _, err = me.ctl("user", "set", *args, status=status)
        assert words in err, (args, err)
    me.ctl("user", "set", *sum((["--bio", "k%d=v" % i] for i in range(64)), []))
    _, err = me.ctl("user", "set", "--bio", "more=v", status=2)
    assert "64 pairs" in err
    out, _ = me.ctl("--json", "user", "set", "--bio", "more=v", status=2)
    schema.check_error(out, 2)
    me.ctl("addr", "down")
    _, err = me.ctl("user", "set", "--handle", "x", status=2)
    assert "ratctl addr up" in err
    _, err = me.ctl("user", "show", "nobody of this name", status=1)
    assert "--fuzzy" in err
    _, err = me.ctl("user", "search", "x", "--exact", "--fuzzy", status=1)
    assert "one of" in err
    _, err = me.ctl("user", "search", "x" * 257, status=1)
    assert "256" in err


@test
def lists_and_searches():
    me = Person()
    ids = []
    for i in range(30):
        c = connect()
        a, t = c.create()
        c.up(a, t)
        pr.modify(c, a, t, handle=put("row %02d" % i), bio=[("city", "Köln" if i % 2 else "Bonn")],
                  avatar=b"\1" + service.blob(bytes(20000)))
        ids.append(a)
        c.close()
    rows = [r for r in me.json("user", "list") if (r["handle"] or "").startswith("row")]
    # More than one answer holds, all of them, in order.
    assert [r["handle"] for r in rows] == ["row %02d" % i for i in range(30)]
    assert bytes.fromhex(rows[0]["addr"].replace("-", "")) == ids[0]
    every = me.json("user", "list", "--all")
    assert me.json("user", "list", "--remote") == [] and len(every) >= 30
    assert me.json("user", "list", "--skip", "3", "--take", "20") == every[3:23]
    assert me.json("user", "list", "--take", "0") == []

    def handles(*args):
        return [r["handle"] for r in me.json("user", "search", *args)]
    assert handles("city=köln") == ["row %02d" % i for i in range(1, 30, 2)]
    assert handles("city=KÖLN", "handle=row 1", "--prefix") == ["row %02d" % i for i in range(11, 20, 2)]
    assert handles("row 07") == ["row 07"] and handles("handle=row 7") == []
    assert handles("bnn", "--exact") == [] and len(handles("bnon", "--fuzzy")) == 15
    assert handles("city=bonn", "--skip", "2", "--take", "3") == ["row 04", "row 06", "row 08"]
    table = me.ctl("user", "search", "row 07")[0].splitlines()
    assert len(table) == 2 and table[0].split()[:2] == ["ADDRESS", "HANDLE"] and "city=Köln" in table[1]
    # Two of one handle: said, not guessed.
    c = connect()
    for _ in range(2):
        a, t = c.create()
        c.up(a, t)
        pr.modify(c, a, t, handle=put("twice"))
    _, err = me.ctl("user", "show", "twice", status=1)
    assert "more than one" in err


@test
def watched():
    me, other = Person(), Person()
    for form in (["--json"], []):
        p = me.popen("ratctl", *form, "user", "watch", *([] if form else ["-t"]))
        watches(p)
        other.ctl("user", "set", "--handle", "change %d" % len(form))
        seen = p.stdout.readline().decode()
        p.send_signal(signal.SIGTERM)
        p.communicate()
        if form:
            row, = schema.check("user watch", seen)
            assert row["addr"] == other.address and row["handle"].startswith("change")
        else:
            assert re.match(r"\d{4}-\d\d-\d\d\S* ", seen) and "change" in seen, seen
    p = me.popen("ratctl", "user", "watch")
    try:
        watches(p)
        me.ctl("addr", "down")
        _, err = p.communicate(timeout=30)
        assert p.returncode == 2 and b"ended it" in err, err
    finally:
        p.kill()


if __name__ == "__main__":
    sys.exit(harness.main())
