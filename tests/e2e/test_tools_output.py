#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where commands write: files that appear whole, devices and FIFOs that stay what they are.

RATMAND=… RATCTL=… RATCAT=… tests/e2e/test_tools_output.py [case…]      (TAP on standard output)
"""
import os
import signal
import stat
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import needs_root, test  # noqa: E402
from tools import ADDRESS, Person  # noqa: E402

DATA = bytes(range(256)) * 300


class Writer:
    """Somebody with DATA as a file and a part of it as a picture."""

    def __init__(self):
        self.me = Person()
        out = self.me.ctl("file", "add", "-", "--name", "data", input=DATA)[0]
        self.ident = ADDRESS.search(out).group()
        self.me.ctl("user", "set", "--avatar", self.me.file("picture", DATA[:30000]))

    def ways(self):
        """Name, how to write to a path, and what stands there then."""
        def get(path, *args, **kw):
            return self.me.ctl("file", "get", self.ident, "-o", path, *args, **kw)

        def recv(path, *args, **kw):
            if kw.get("status", 0) == 0:
                self.me.cat("-q", "send", "-a", self.me.address, input=DATA)
            return self.me.cat("-q", "recv", "-o", path, *args, **kw)

        def avatar(path, *args, **kw):
            return self.me.ctl("user", "show", "--avatar", path, *args, **kw)

        return ("get", get, DATA), ("recv", recv, DATA), ("avatar", avatar, DATA[:30000])


def content(path):
    with open(path, "rb") as f:
        return f.read()


def beside(path):
    """What stands beside @path with its name as the beginning."""
    top, name = os.path.split(path)
    return [n for n in os.listdir(top) if n.startswith(name) and n != name]


@test
def a_file_is_replaced_with_force_only():
    w = Writer()
    for name, write, data in w.ways():
        path = w.me.file("file." + name, "mine")
        _, err = write(path, status=1)
        assert "--force" in err and content(path) == b"mine", err
        write(path, "--force")
        assert content(path) == data and not beside(path)
        write(w.me.file("new." + name))
        assert content(w.me.file("new." + name)) == data
        _, err = write(w.me.file("no/where"), status=1)
        assert "cannot write" in err, err


@test
def a_link_stays_a_link():
    w = Writer()
    for name, write, data in w.ways():
        target, link = w.me.file("target." + name, "mine"), w.me.file("link." + name)
        os.symlink(target, link)
        write(link, status=1)
        write(link, "--force")
        assert os.path.islink(link) and content(target) == data, name
        os.unlink(target)
        _, err = write(link, "--force", status=1)
        assert "leads nowhere" in err and os.path.islink(link), err


@test
def a_fifo_stays_a_fifo():
    w = Writer()
    for name, write, data in w.ways():
        path, seen = w.me.file("fifo." + name), []
        os.mkfifo(path)
        for force in ([], ["--force"]):
            reader = threading.Thread(target=lambda: seen.append(content(path)))
            reader.start()
            write(path, *force)
            reader.join(30)
            assert stat.S_ISFIFO(os.stat(path).st_mode) and seen.pop() == data, name


@test
@needs_root
def a_device_stays_a_device():
    w = Writer()
    for name, write, _ in w.ways():
        path = w.me.file("null." + name)
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        try:
            open(path, "wb").close()
        except PermissionError:
            raise harness.Skip("devices do not work below " + w.me.path) from None
        for force in ([], ["--force"]):
            write(path, *force)
            assert stat.S_ISCHR(os.stat(path).st_mode) and not beside(path), name
    # An identity could not be read from there again.
    path = w.me.file("null.get")
    out, err = w.me.ctl("-i", path, "addr", "create", "--force", status=1)
    assert "not a regular file" in err and ADDRESS.search(out), (out, err)
    assert stat.S_ISCHR(os.stat(path).st_mode)


@test
def standard_output_and_descriptors():
    w = Writer()
    for name, words, data in (("ratctl", ["-q", "file", "get", w.ident, "-o"], DATA),
                              ("ratctl", ["user", "show", "--avatar"], DATA[:30000]),
                              ("ratcat", ["-q", "recv", "-o"], DATA)):
        for path in ("-", "/dev/stdout", "/dev/fd/1"):
            if name == "ratcat":
                w.me.cat("-q", "send", "-a", w.me.address, input=DATA)
            p = w.me.popen(name, *words, path)
            out, err = p.communicate(timeout=60)
            assert p.returncode == 0 and out == data, (words, path, err)
            assert not os.path.exists(w.me.file("-"))
        # Behind what is there already: a descriptor is not opened anew.
        path = w.me.file("log", "before ")
        with open(path, "ab") as f:
            if name == "ratcat":
                w.me.cat("-q", "send", "-a", w.me.address, input=DATA)
            p = w.me.popen(name, *words, "/dev/fd/%d" % f.fileno(), pass_fds=[f.fileno()])
            _, err = p.communicate(timeout=60)
            assert p.returncode == 0 and content(path) == b"before " + data, (words, err)


@test
def an_identity_behind_a_link():
    """Whoever keeps the file elsewhere keeps it there."""
    me = Person()
    target, link = me.file("elsewhere"), me.file("linked")
    me.ctl("-i", target, "addr", "create")
    before = content(target)
    os.symlink(target, link)
    _, err = me.ctl("-i", link, "addr", "create", status=1)
    assert "holds an identity already" in err
    me.ctl("-i", link, "addr", "create", "--force")
    assert os.path.islink(link) and content(target) != before
    assert os.stat(target).st_mode & 0o777 == 0o600


@test
def a_signal_leaves_nothing():
    me = Person()
    me.ctl("file", "add", "-", "--name", "big", input=os.urandom(8 << 20))
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for attempt in range(20):
            path = me.file("broken%d.%d" % (sig, attempt))
            p = me.popen("ratctl", "file", "get", "big", "-o", path)
            while not beside(path) and p.poll() is None:
                pass
            p.send_signal(sig)
            p.communicate(timeout=60)
            if p.returncode:
                break
        assert p.returncode == 128 + sig and not os.path.exists(path) and not beside(path), p.returncode


if __name__ == "__main__":
    sys.exit(harness.main())
