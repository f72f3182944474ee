# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs ratctl and ratcat as somebody would type them, with a home and, if wanted, a terminal."""
import atexit
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

import harness
import schema
from harness import program
from service import Service

ADDRESS = re.compile(r"[0-9A-F]{4}(-[0-9A-F]{4}){15}")
SECRET = "tr0ub4dor und mehr"


class Home:
    """A user: a home directory until we end, and the daemon at @bind; without, the one under test."""

    def __init__(self, bind=None):
        self.own_bind = bind
        self.path = tempfile.mkdtemp(prefix="tools.")
        atexit.register(shutil.rmtree, self.path, ignore_errors=True)
        self.programs = {"ratctl": os.path.abspath(program("RATCTL", "ratctl")),
                         "ratcat": os.path.abspath(program("RATCAT", "ratcat"))}
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            self.env.pop(name, None)
        self.env.update(HOME=self.path, TERM="xterm", LC_ALL="C.UTF-8")

    @property
    def bind(self):
        return self.own_bind or harness.DAEMON.bind

    def file(self, name, text=None, mode=0o600):
        """A path in the home; with @text the file is written."""
        path = os.path.join(self.path, name)
        if text is not None:
            with open(path, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
            os.chmod(path, mode)
        return path

    def argv(self, name, args, bind=True):
        where = ["-b", self.bind] if bind else []
        return [self.programs[name]] + where + [str(a) for a in args]

    def popen(self, name, *args, bind=True, env=None, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        kw.setdefault("cwd", self.path)
        return subprocess.Popen(self.argv(name, args, bind), env={**self.env, **(env or {})}, **kw)

    def run(self, name, *args, status=0, input=None, timeout=60, **kw):
        """Runs it; (stdout, stderr) as text. Its exit status must be @status."""
        if input is not None:
            kw["stdin"] = subprocess.PIPE
        p = self.popen(name, *args, **kw)
        try:
            out, err = p.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise AssertionError("%s %s: no end; %r %r" % (name, args, out, err))
        out = (out or b"").decode(errors="replace")
        err = (err or b"").decode(errors="replace")
        assert p.returncode == status, "%s %s: status %d, wanted %d\n%s%s" % (
            name, " ".join(map(str, args)), p.returncode, status, out, err)
        return out, err

    def ctl(self, *args, **kw):
        return self.run("ratctl", *args, **kw)

    def cat(self, *args, **kw):
        return self.run("ratcat", *args, **kw)

    def identity(self, name="id1"):
        """Makes an address that is up, with its identity in a file; (path, address)."""
        path = self.file(name)
        out, _ = self.ctl("-q", "-i", path, "addr", "create")
        self.ctl("-i", path, "addr", "up")
        return path, out.strip()


class Person(Home):
    """Somebody with an identity that is up, where ratctl looks for it."""

    def __init__(self, up=True):
        super().__init__()
        path = self.ctl("idpath")[0].strip()
        os.makedirs(os.path.dirname(path), 0o700)
        self.ctl("-i", path, "addr", "create")
        with open(path) as f:
            self.address = ADDRESS.search(f.read()).group()
        self.id = bytes.fromhex(self.address.replace("-", ""))
        if up:
            self.ctl("addr", "up")

    def json(self, noun, verb, *args, **kw):
        return schema.check(noun + " " + verb, self.ctl("--json", noun, verb, *args, **kw)[0])


def client(person):
    """A Microframe client with the identity of @person."""
    c = Service(person.bind)
    c.id = person.id
    with open(person.ctl("idpath")[0].strip()) as f:
        address, token = (bytes.fromhex(m.group().replace("-", "")) for m in ADDRESS.finditer(f.read()))
    assert address == person.id
    c.token = token
    return c


def watches(p):
    """Waits until @p, ratctl … watch, has its subscription's socket beside its client's."""
    def has_both():
        fds = "/proc/%d/fd" % p.pid
        try:
            return sum("socket" in os.readlink(os.path.join(fds, fd)) for fd in os.listdir(fds)) >= 2
        except OSError:
            return False
    harness.wait_until("it watches", has_both, 30)


class Terminal:
    """A program on a pseudo-terminal of 80x24; what it wrote is in .text."""

    def __init__(self, argv, env, rows=24, columns=80, **kw):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        streams = {"stdin": slave, "stdout": slave, "stderr": slave, **kw}
        # A terminal of its own: keys become signals, as they do for people.
        self.process = subprocess.Popen(argv, env=env, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
                                        **streams)
        self.slave = slave
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """Reads for at most @seconds; True when something came."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            self.text += os.read(self.master, 65536).decode(errors="replace")
            return True
        except OSError:
            return False

    def until(self, pattern, seconds=30):
        """Reads until @pattern is in the text; returns the match."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.text)
            if found:
                return found
            self.read(0.1)
        raise AssertionError("never %r in %r" % (pattern, self.text))

    def type(self, keys):
        os.write(self.master, keys.encode())

    def wait(self, seconds=30):
        """Reads to its end; the exit status, negative for a signal."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > end:
                self.process.kill()
                raise AssertionError("no end; %r" % self.text)
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode

    def restored(self):
        """True when the terminal is as it was."""
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


class Account(Home):
    """Somebody who has nothing yet, but a password in a file."""

    def __init__(self, bind=None):
        super().__init__(bind or harness.DAEMON.bind)
        self.password = self.file("password", SECRET + "\nnot this\n")
        self.id_path = self.ctl("idpath")[0].strip()

    def create(self, *args):
        out, _ = self.ctl("user", "create", "--password-file", self.password, *args)
        return ADDRESS.search(out).group()

    def identity_text(self):
        with open(self.id_path) as f:
            return f.read()

    def terminal(self, *args):
        return Terminal(self.argv("ratctl", args), self.env, cwd=self.path)
