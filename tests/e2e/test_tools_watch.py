#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that go on until they are ended: by a signal, by who reads, by the session, by the daemon.

RATMAND=… RATCTL=… RATCAT=… tests/e2e/test_tools_watch.py [case…]      (TAP on standard output)
"""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import test  # noqa: E402
from tools import ADDRESS, Account, Person, client, watches  # noqa: E402

WATCHES = (("msg", "watch"), ("user", "watch"), ("file", "watch"), ("service", "register", "org.watched"))
SUBSCRIPTIONS = 64      # of messages, that a user may have


def started(home, words, **kw):
    p = home.popen("ratctl", *words, text=True, **kw)
    watches(p)
    return p


def ended(p, status, *says):
    out, err = p.communicate(timeout=30)
    assert p.returncode == status, (p.args, p.returncode, err)
    for words in says:
        assert words in err, (p.args, err)
    return out, err


@test
def signals_end_them_all_alike():
    me = Person()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for words in WATCHES:
            p = started(me, words)
            p.send_signal(sig)
            assert ended(p, 128 + sig) == ("", ""), words
        # Without a terminal, too.
        p = me.popen("ratctl", "top", "--interval", "60", text=True)
        assert p.stdout.readline().startswith("TIME") and p.stdout.readline()
        p.send_signal(sig)
        assert ended(p, 128 + sig)[1] == ""


@test
def nobody_reads_any_more():
    me = Person()
    for words in WATCHES:
        p = started(me, words)
        p.stdout.close()
        p.stdout = None
        assert p.wait(30) == -signal.SIGPIPE and p.stderr.read() == "", words


@test
def a_watch_of_messages_leaves_nothing_behind():
    me = Person()
    # More of them than there may be push out the one that nobody has listened to for the longest.
    c = client(me)
    sub, events = c.message_sub(b"ratman.msg")
    events.close()
    for i in range(SUBSCRIPTIONS + 2):
        p = started(me, ("msg", "watch"))
        if i % 3 == 2:
            p.stdout.close()
            p.stdout = None
            p.wait(30)
        else:
            p.send_signal((signal.SIGINT, signal.SIGTERM)[i % 3])
            p.communicate(timeout=30)
        assert p.returncode in (130, 143, -signal.SIGPIPE)
    c.message_unsub(sub)


@test
def the_address_went_down():
    for words in WATCHES[:3]:
        me = Person()
        p = started(me, words)
        me.ctl("addr", "down")
        ended(p, 2, "ended it", "the address went down", "ratctl addr up")


@test
def the_session_has_ended():
    for words in WATCHES[:3]:
        me = Account()
        me.create()
        p = started(me, words)
        me.ctl("user", "logout")
        _, err = ended(p, 2, "the session has ended", "ratctl user login")
        if words[0] != "msg":
            assert "unwatch" not in err
            continue
        # What is left is named, and how to end it.
        left = re.search(r"ratctl msg unwatch (\S+)", err).group(1)
        assert ADDRESS.fullmatch(left)
        _, err = me.ctl("msg", "unwatch", left, status=2)
        assert "ratctl user login" in err, err
        me.ctl("user", "login", "--password-file", me.password)
        assert me.ctl("msg", "unwatch", left)[0] == "ok\n"
        me.ctl("msg", "unwatch", left, status=2)
        _, err = me.ctl("msg", "unwatch", "12", status=1)
        assert "64 hex digits" in err, err


@test
def a_session_that_is_watched_does_not_end():
    with harness.daemon("session_timeout = 2\n") as d:
        me, idle = Account(d.bind), Account(d.bind)
        mine = me.create()
        idle.create()
        p = started(me, ("msg", "watch"))
        time.sleep(5)
        idle.ctl("user", "status", status=2)
        assert p.poll() is None
        me.ctl("msg", "send", mine, "--text", "still here")
        assert "still here" in p.stdout.readline()
        p.send_signal(signal.SIGINT)
        ended(p, 130)


@test
def the_daemon_has_gone():
    with harness.daemon() as d:
        for words in WATCHES:
            me = Account(d.bind)
            me.create()
            p = started(me, words)
            good, text = d.stop()
            assert good, text
            ended(p, 3, "the daemon has stopped", "run the command again")
            # From the start: the same status, and where it was looked for.
            _, err = me.ctl(*words, status=3)
            assert "cannot reach ratmand" in err and d.bind in err, err
            d.start()


if __name__ == "__main__":
    sys.exit(harness.main())
