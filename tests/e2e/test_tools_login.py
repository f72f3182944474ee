#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ratctl user create, login, logout, status, passwd, destroy; ratctl service."""
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import schema  # noqa: E402
from harness import test, wait_until  # noqa: E402
from service import Service  # noqa: E402
from tools import ADDRESS, SECRET, Account, Home  # noqa: E402

class Registered:
    """ratctl service register in the foreground."""

    def __init__(self, home, name, *args):
        self.home, self.name = home, name
        self.process = home.popen("ratctl", "service", "register", name, *args, text=True)
        wait_until("it is registered", self.is_there)

    def is_there(self):
        return self.name in self.home.ctl("-o", "lines", "service", "list")[0].split("\n")

    def __enter__(self):
        return self

    def line(self):
        return self.process.stdout.readline()

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate()
        wait_until("it is gone", lambda: not self.is_there())


@test
def make_log_in_and_out():
    me = Account()
    address = me.create("anna")
    assert os.stat(me.id_path).st_mode & 0o777 == 0o600 and address in me.identity_text()
    assert me.ctl("user", "status")[0] == "ok\n"
    p = schema.check("user show", me.ctl("--json", "user", "show")[0])
    assert p["addr"] == address and p["handle"] == "anna" and p["online"]
    # Every other command works with the session.
    me.ctl("user", "set", "--bio", "city=Ghent")
    me.ctl("contact", "add", address, "--nick", "myself")
    me.ctl("addr", "up")
    me.cat("send", "-a", address, input=b"to myself")
    first = me.identity_text()
    # Another session takes its place; the first stands until its own end.
    old = me.file("old", first)
    me.ctl("user", "login", "--password-file", me.password)
    assert me.identity_text() != first and address in me.identity_text()
    assert schema.check("user logout", me.ctl("--json", "user", "logout")[0])
    _, err = me.ctl("user", "status", status=2)
    assert "ratctl user login" in err
    for args in (("user", "set", "--handle", "x"), ("file", "list"), ("msg", "list"), ("stream", "list"),
                 ("service", "keys", "kv")):
        _, err = me.ctl(*args, status=2)
        assert "the session has ended" in err and "ratctl user login" in err, err
    me.ctl("-i", old, "user", "status")
    me.ctl("-i", old, "user", "logout")
    assert not json.loads(me.ctl("--json", "user", "show", address)[0])["online"]
    # By the handle, and for somebody without an identity file.
    other = Home(me.bind)
    out = other.ctl("--json", "-i", other.file("id"), "user", "login", "ANNA", "--password-file", "-",
                    input=SECRET.encode())[0]
    assert schema.check("user login", out)["addr"] == address
    other.ctl("-i", other.file("id"), "user", "status")
    # A handle of hex digits is one, too; who is not there is said to be not here.
    beads = Account()
    theirs = beads.create("beadfeedcafe")
    beads.ctl("user", "login", "beadfeedcafe", "--password-file", beads.password)
    assert theirs in beads.identity_text()
    for who in ("deadfeedcafe", "nobody"):
        _, err = beads.ctl("user", "login", who, "--password-file", beads.password, status=1)
        assert "no user of this router has the handle" in err, err


@test
def what_is_wrong_is_said():
    me = Account()
    _, err = me.ctl("user", "login", "--password-file", me.password, status=1)
    assert "no identity" in err
    for name, text in (("empty", ""), ("blank", "\nx\n"), ("long", "x" * 1025), ("nul", "a\0b\n")):
        _, err = me.ctl("user", "create", "--password-file", me.file(name, text), status=1)
        assert "no password" in err, err
    _, err = me.ctl("user", "create", "--password-file", me.file("none"), status=1)
    assert "cannot read" in err
    _, err = me.ctl("user", "create", "h" * 65, "--password-file", me.password, status=1)
    assert "64 bytes" in err
    _, err = me.ctl("user", "create", status=1, start_new_session=True)
    assert "--password-file" in err and not os.path.exists(me.id_path)
    mine = me.create()
    _, err = me.ctl("user", "create", "--password-file", me.password, status=1)
    assert "holds an identity already" in err
    wrong = me.file("wrong", "guess\n")
    out, _ = me.ctl("--json", "user", "login", "--password-file", wrong, status=2)
    assert "no such user, or the password is wrong" in schema.check_error(out, 2)
    me.ctl("user", "status")                    # and the session is still in the file
    theirs = Account().create()
    _, err = me.ctl("user", "login", theirs, "--password-file", me.password, status=1)
    assert "another address" in err and mine in me.identity_text()
    me.ctl("user", "login", theirs, "--password-file", me.password, "--force")
    assert theirs in me.identity_text()
    # The user is there, but the session cannot be kept: it is said who it is.
    _, err = me.ctl("-i", me.password + "/a", "user", "create", "--password-file", me.password, status=1)
    assert ADDRESS.search(err) and "ratctl user login" in err, err


@test
def the_permanent_token_is_kept():
    me = Account()
    me.ctl("-i", me.id_path, "addr", "create")
    me.ctl("addr", "up")
    me.ctl("user", "passwd", "--password-file", me.password)
    before = me.identity_text()
    address = ADDRESS.search(before).group()
    for who in ([], [address]):
        _, err = me.ctl("user", "login", *who, "--password-file", me.password, status=1)
        assert "permanent token" in err and "ratctl addr up" in err and "--force" in err, err
        assert me.identity_text() == before
    me.ctl("addr", "down")
    me.ctl("addr", "up")
    # Elsewhere, in either form; what stands there is known for a session, and another takes its place.
    for form in ([], ["--json"]):
        session = me.file("session" + "".join(form))
        me.ctl(*form, "-i", session, "user", "login", address, "--password-file", me.password)
        with open(session) as f:
            first = f.read()
        me.ctl(*form, "-i", session, "user", "login", "--password-file", me.password)
        with open(session) as f:
            assert f.read() != first
        assert "session" in first
        me.ctl("-i", session, "user", "logout")
        _, err = me.ctl("-i", session, "file", "list", status=2)
        assert "the session has ended" in err and "addr up" not in err, err
    me.ctl("user", "login", "--force", "--password-file", me.password)
    assert me.identity_text() != before
    me.ctl("user", "status")


@test
def a_word_that_is_none():
    me = Account()
    for words, says in ((("usr", "list"), "no command 'usr'; did you mean 'user'?"),
                        (("user", "crate"), "no command 'user crate'; did you mean 'user create'?"),
                        (("msg", "xyzzy"), "no command 'msg xyzzy'; see ratctl msg --help")):
        _, err = me.ctl(*words, status=1)
        assert says in err, err


@test
def passwords():
    me = Account()
    me.create()
    fresh = me.file("fresh", "another one\n")
    assert me.ctl("user", "passwd", "--password-file", fresh)[0] == "ok\n"
    me.ctl("user", "status")
    me.ctl("user", "login", "--password-file", me.password, status=2)
    me.ctl("user", "login", "--password-file", fresh)
    # An address gets its first.
    plain, address = me.identity("plain")
    me.ctl("-i", plain, "user", "passwd", "--password-file", fresh)
    me.ctl("-i", me.file("session"), "user", "login", address, "--password-file", fresh)
    me.ctl("-i", me.file("session"), "user", "logout")
    me.ctl("-i", plain, "user", "status")       # it is up besides


@test
def a_terminal_does_not_show_them():
    me = Account()
    t = me.terminal("user", "create")
    t.until("New password: ")
    t.type(SECRET + "\n")
    t.until("The same again: ")
    t.type(SECRET + "\n")
    assert t.wait() == 0 and SECRET not in t.text and t.restored()
    t.close()
    t = me.terminal("user", "login")
    t.until("Password: ")
    t.type(SECRET + "\n")
    assert t.wait() == 0 and SECRET not in t.text and t.restored()
    t.close()
    t = me.terminal("user", "passwd")
    t.until("New password: ")
    t.type("one\n")
    t.until("again: ")
    t.type("two\n")
    assert t.wait() == 1 and "differ" in t.text
    t.close()
    t = me.terminal("user", "login")
    t.until("Password: ")
    t.type("\x03")
    assert t.wait() == -signal.SIGINT and t.restored()
    t.close()
    t = me.terminal("user", "login")
    t.until("Password: ")
    t.type("half a line\x04")       # Ctrl-D: what is there so far is read
    time.sleep(0.3)
    t.type("\x03")
    assert t.wait() == -signal.SIGINT and t.restored()
    t.close()
    me.ctl("user", "login", "--password-file", me.password)


@test
def destroying():
    me = Account()
    address = me.create()
    _, err = me.ctl("user", "destroy", status=1)
    assert "--force" in err
    me.ctl("user", "status")
    assert schema.check("user destroy", me.ctl("--json", "user", "destroy", "--force", "--purge")[0])
    me.ctl("user", "status", status=2)
    me.ctl("user", "login", "--password-file", me.password, status=2)
    assert address not in me.ctl("addr", "list")[0]


@test
def being_a_service():
    me = Account()
    with Registered(me, "org.example.chat", "--json", "--show-secrets", "--description", "chat") as s:
        assert {"name": "org.example.chat"} in schema.check("service list",
                                                            me.ctl("--json", "service", "list")[0])
        _, err = me.ctl("service", "register", "org.example.chat", status=2)
        assert "is registered" in err
        address = me.create()
        event, = schema.check("service register", s.line())
        assert event["event"] == "open" and event["addr"] == address
        token = re.search(r"auth=([0-9A-F-]+)", me.identity_text()).group(1)
        assert event["token"] == token.replace("-", "").lower()
        me.ctl("user", "logout")
        assert json.loads(s.line())["event"] == "close"
    with Registered(me, "org.example.plain") as s:
        me.ctl("user", "login", "--password-file", me.password)
        assert s.line().split() == ["open", address]
        Service(me.bind).service_unregister(b"org.example.plain")
        out, err = s.process.communicate()
        assert s.process.returncode == 2 and "ended it" in err
    _, err = me.ctl("service", "register", "not a name", status=2)
    assert "net.example.chat" in err


@test
def what_a_service_keeps():
    me = Account()
    me.create()
    _, err = me.ctl("service", "set", "kv", "key", "value", status=2)
    assert "no service of that name" in err
    with Registered(me, "kv"):
        assert me.ctl("service", "set", "kv", "key", "väl ue")[0] == "ok\n"
        blob = os.urandom(60000)
        me.ctl("service", "set", "kv", "ns#blob", input=blob)
        assert me.ctl("service", "get", "kv", "key")[0] == "väl ue"
        p = me.popen("ratctl", "service", "get", "kv", "ns#blob")
        assert p.communicate()[0] == blob
        assert schema.check("service get", me.ctl("--json", "service", "get", "kv", "key")[0]) == {
            "ns": "", "key": "key", "value": "väl ue".encode().hex()}
        assert schema.check("service keys", me.ctl("--json", "service", "keys", "kv")[0]) == [
            {"ns": "", "key": "key"}, {"ns": "ns", "key": "blob"}]
        assert schema.check("service keys", me.ctl("--json", "service", "keys", "kv", "ns")[0]) == [
            {"ns": "ns", "key": "blob"}]
        assert me.ctl("-o", "lines", "service", "keys", "kv")[0] == "\tkey\nns\tblob\n"
        _, err = me.ctl("service", "set", "kv", "big", input=bytes(70000), status=1)
        assert "64 KiB" in err
        # Input that breaks off is no value: what was there stays.
        with open("/proc/self/mem", "rb") as broken:
            _, err = me.ctl("service", "set", "kv", "key", stdin=broken, status=1)
        assert "cannot read standard input" in err, err
        assert me.ctl("service", "get", "kv", "key")[0] == "väl ue"
        _, err = me.ctl("service", "set", "kv", "a#b#c", "v", status=2)
        assert "no #" in err
        assert schema.check("service del", me.ctl("--json", "service", "del", "kv", "ns#blob")[0])
        me.ctl("service", "del", "kv", "ns#blob")
        _, err = me.ctl("service", "get", "kv", "ns#blob", status=2)
        assert "no value" in err


if __name__ == "__main__":
    sys.exit(harness.main())
