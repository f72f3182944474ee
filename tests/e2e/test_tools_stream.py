#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ratctl stream: subscriptions as people type them.

RATMAND=… RATCTL=… RATCAT=… tests/e2e/test_tools_stream.py      (TAP on standard output)
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import schema  # noqa: E402
from harness import test  # noqa: E402
from microframe import Subscriber  # noqa: E402
from tools import ADDRESS, Home  # noqa: E402


def with_home(f):
    def run():
        f(Home(harness.DAEMON.bind))
    run.__name__ = f.__name__
    test(run)


def as_map(out):
    """key=value lines"""
    return dict(line.split("=", 1) for line in out.splitlines())


@with_home
def subscribe_fetch_and_end(home):
    path, address = home.identity()
    out, _ = home.ctl("-o", "lines", "-i", path, "stream", "sub", "-a", address)
    assert list(as_map(out)) == ["sub_id", "socket"], out
    ident, bind = as_map(out)["sub_id"], as_map(out)["socket"]
    assert ADDRESS.fullmatch(ident)
    # The program that asked is gone; its socket is not.
    home.cat("-i", path, "send", "-a", address, input=b"first")
    assert Subscriber(bind).next()[1] == b"first"
    home.cat("-i", path, "send", "-a", address, input=b"missed")
    out, _ = home.ctl("-o", "json", "-i", path, "stream", "resub", ident)
    again = json.loads(out)
    assert list(again) == ["sub_id", "socket"] and again["sub_id"] == ident
    assert out == '{\n  "sub_id": "%s",\n  "socket": "%s"\n}\n' % (ident, again["socket"])
    assert Subscriber(again["socket"]).next()[1] == b"missed"
    assert home.ctl("-o", "lines", "-i", path, "stream", "list")[0] == ident + "\n"
    assert home.ctl("-o", "json", "-i", path, "stream", "ls")[0] == '["%s"]\n' % ident
    for verb in ("unsub", "del"):
        assert home.ctl("-i", path, "stream", verb, ident,
                        status=0 if verb == "unsub" else 2)[0] == ("ok\n" if verb == "unsub" else "")
    assert home.ctl("-o", "lines", "-i", path, "stream", "list")[0] == "\n"
    assert home.ctl("-o", "json", "-i", path, "stream", "list")[0] == "[]\n"


@with_home
def as_the_schema_says(home):
    path, address = home.identity()
    out, err = home.ctl("--json", "-i", path, "stream", "sub")
    schema.check("stream sub", out)
    ident = json.loads(out)["sub_id"]
    assert err == ""
    schema.check("stream list", home.ctl("--json", "-i", path, "stream", "list")[0])
    schema.check("stream resub", home.ctl("--json", "-i", path, "stream", "resub", ident)[0])
    schema.check("stream unsub", home.ctl("--json", "-i", path, "stream", "unsub", ident)[0])


@with_home
def a_namespace(home):
    path, address = home.identity()
    space = home.identity("space")[1]
    ident = as_map(home.ctl("-o", "lines", "-i", path, "stream", "sub", "-s", space)[0])["sub_id"]
    other = as_map(home.ctl("-o", "lines", "-i", path, "stream", "sub")[0])["sub_id"]
    assert ident != other
    assert home.ctl("-o", "lines", "-i", path, "stream", "list")[0] == ident + "\n" + other + "\n"


@with_home
def mistakes(home):
    path, address = home.identity()
    other = home.identity("other")[1]
    for words, status, said in (
            (("sub", "-a", address, "-s", address), 1, "not both"),
            (("sub", "-a", other), 2, "own address"),
            (("unsub", "12-34"), 1, "ratctl stream list"),
            (("resub", other), 2, "subscription"),
            (("unsub", other), 2, "subscription"),
            (("unsub",), 1, "stream unsub"),
            (("lst",), 1, "stream list")):
        out, err = home.ctl("-i", path, "stream", *words, status=status)
        assert out == "" and said in err, (words, out, err)
    _, err = home.ctl("-i", home.file("none"), "stream", "list", status=1)
    assert "addr create" in err
    home.ctl("-i", path, "addr", "down")
    _, err = home.ctl("-i", path, "stream", "list", status=2)
    assert "addr up" in err, err


if __name__ == "__main__":
    sys.exit(harness.main())
