#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What README.md tells people to type for users, messages and files, on a fresh daemon and a terminal.

RATMAND=… RATCTL=… RATCAT=… tests/e2e/test_tools_readme.py      (TAP on standard output)
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import test  # noqa: E402
from tools import ADDRESS, SECRET, Home, Terminal  # noqa: E402


def block(path, first):
    """The indented lines that begin with the one @first."""
    with open(os.path.join(harness.TOP, path)) as f:
        lines = f.read().split("\n")
    at = lines.index("    " + first)
    out = []
    while lines[at].startswith("    "):
        out.append(lines[at].strip())
        at += 1
    return out


@test
def users_messages_and_files():
    home = Home()
    home.file("README.md", "about")
    # A shell in which ratctl is the program under test, at the daemon under test.
    rc = home.file("rc", "PS1='$ '; ratctl() { %s -b %s \"$@\"; }\n" % (home.programs["ratctl"], home.bind))
    t = Terminal(["bash", "--noprofile", "--rcfile", rc, "--noediting", "-i"], home.env, columns=200,
                 cwd=home.path)
    t.until(r"\$ ")
    lines = block("README.md", "ratctl -p anna user create anna")
    assert 3 <= len(lines) <= 4, lines
    for line in lines:
        t.text = ""
        t.type(line + "\n")
        if "create" in line:
            t.until("New password: ")
            t.type(SECRET + "\n")
            t.until("The same again: ")
            t.type(SECRET + "\n")
            t.until("logged in")
        elif "msg" in line:
            t.until(r"Hello Bob(?s:.*)SENT(?s:.*)Hello Bob")
        else:
            t.until(r"ok(?s:.*)FILE(?s:.*)README.md")
        t.until(r"\n\$ $")
        assert "ratctl:" not in t.text, t.text
    t.type("exit\n")
    t.wait()
    t.close()
    me = Home()
    me.env["HOME"] = home.path
    assert ADDRESS.search(me.ctl("-p", "bob", "msg", "list", "--json")[0])


if __name__ == "__main__":
    sys.exit(harness.main())
