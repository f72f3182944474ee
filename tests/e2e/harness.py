# SPDX-License-Identifier: GPL-2.0-or-later
"""What the end-to-end tests share: cases, TAP, a running ratmand."""
import contextlib
import ctypes
import functools
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from microframe import HELLO, Client, Error

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TESTS = []
DAEMON = None       # the Ratmand under test, with main()

# A shell that starts us with & has SIGINT ignored, and programs under test would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Skip(Exception):
    """What a case raises that cannot be tried on this machine; says why."""


def needs_root(f):
    """Decorator, below @test: a case that is tried by the superuser only."""
    @functools.wraps(f)
    def case(*args):
        if os.geteuid():
            raise Skip("needs root")
        f(*args)
    return case


def test(f):
    """Decorator: @f is a case; it fails by raising anything but Skip."""
    TESTS.append(f)
    return f


def wait_until(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("never: " + what)


@functools.lru_cache
def own_mounts():
    """Lets the kernel unmount what this program mounts when it ends, however it does."""
    clone_newns = 0x20000
    return not ctypes.CDLL(None).unshare(clone_newns) and \
        not subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL).returncode


@contextlib.contextmanager
def small_disk(path, size):
    """A file system of its own at @path, which is made for it."""
    os.mkdir(path, 0o700)
    if not own_mounts() or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=%s,mode=700" % size, "none", path],
            stderr=subprocess.DEVNULL).returncode:
        os.rmdir(path)
        raise Skip("may not mount")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program(variable, name):
    """The program under test: from the environment, else the ordinary build."""
    return os.environ.get(variable) or os.path.join(TOP, "build", name)


class Ratmand:
    """A ratmand of its own below @directory; keeps its log. @extra are lines of its configuration."""

    def __init__(self, path, directory, bind=None, extra="", args=()):
        self.path, self.directory, self.wanted_bind = path, directory, bind
        self.extra, self.args = extra, args
        self.socket = os.path.join(directory, "run", "api.sock")
        self.log_path = os.path.join(directory, "log")
        self.start()

    def start(self, environment=None):
        self.bind = self.wanted_bind or "127.0.0.1:%d" % free_port()
        config = os.path.join(self.directory, "ratmand.conf")
        with open(config, "w") as f:
            f.write('state_dir = "%s/state"\nruntime_dir = "%s/run"\napi_bind = "%s"\n%s'
                    % (self.directory, self.directory, self.bind, self.extra))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.path, "-c", config, *self.args],
                                            stdout=log, stderr=log,
                                            env={**os.environ, **(environment or {})})
        wait_until("the daemon answers", self.answers, 20)

    def alive(self):
        return self.process.poll() is None

    def answers(self):
        if not self.alive():
            raise AssertionError("the daemon ended with status %d" % self.process.returncode)
        try:
            host, port = self.bind.rsplit(":", 1)
            socket.create_connection((host.strip("[]"), int(port)), 10).close()
            return True
        except OSError:
            return False

    def kill(self):
        """As a crash: at once and without a word."""
        self.process.kill()
        self.process.wait()

    def rss(self):
        """KiB of memory of its own, without the mapped database."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(next(line for line in f if line.startswith("RssAnon")).split()[1])

    def stop(self):
        """(stopped cleanly, what its log says)"""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "none within 20 s"
        with open(self.log_path, errors="replace") as log:
            text = log.read()
        good = status == 0 and "ERROR: " not in text and "runtime error" not in text
        return good, "status %s\n%s" % (status, text)


@contextlib.contextmanager
def daemon(extra="", kind=Ratmand):
    """A daemon of a case's own, which has to end well."""
    directory = tempfile.mkdtemp(prefix="ratman-e2e.")
    d = kind(program("RATMAND", "ratmand"), directory, extra=extra)
    try:
        yield d
        good, text = d.stop()
        assert good, text
    finally:
        if d.alive():
            d.kill()
        shutil.rmtree(directory)


def comment(text):
    return "".join("# " + line + "\n" for line in text.splitlines())


def run_tests(check=None, ending=None):
    """
    Runs the cases named on the command line, or all; check() after each may
    raise; ending() -> (good, text) is one more case. The exit status.
    """
    only = sys.argv[1:]
    tests = [f for f in TESTS if not only or f.__name__ in only]
    failed = 0
    print("TAP version 13\n1..%d" % (len(tests) + bool(ending)))
    for i, f in enumerate(tests, 1):
        try:
            try:
                f()
            finally:
                if check:
                    check()
            print("ok %d - %s" % (i, f.__name__), flush=True)
        except Skip as e:
            print("ok %d - %s # SKIP %s" % (i, f.__name__, e), flush=True)
        except Exception:  # noqa: BLE001
            failed += 1
            print("not ok %d - %s" % (i, f.__name__))
            print(comment(traceback.format_exc()), end="", flush=True)
    if ending:
        good, text = ending()
        print("%sok %d - %s" % ("" if good else "not ", len(tests) + 1, ending.__doc__))
        if failed or not good:
            print(comment("\n".join(text.splitlines()[-60:])), end="")
        failed += not good
    return 1 if failed else 0


# One daemon for all cases of a file ---------------------------------------------


def connect(hello=HELLO, timeout=10):
    """A connection to the daemon under test."""
    return Client(DAEMON.bind, hello, timeout)


def user(hello=HELLO):
    """A client with an address that is up."""
    c = connect(hello)
    address, token = c.create()
    c.up(address, token)
    return c, address, token


def settle(bind=None):
    """
    What the daemon had begun is done: since then streams have gone into its store, out of it,
    and were noted as delivered, one after the other.
    """
    c = Client(bind or DAEMON.bind)
    address, token = c.create()
    c.up(address, token)
    for marker in (b"a marker", b"and one behind it"):
        c.send_many(address, token, [address], marker)
        assert c.recv_one(address, token)[1] == marker
    c.destroy(address, token)
    c.close()


def is_silent(sock, bind=None):
    """True when nothing has come on an open connection, and nothing is about to."""
    settle(bind)
    return not select.select([sock], [], [], 0)[0]


def refused(code, call, *args):
    try:
        call(*args)
    except Error as e:
        assert e.code == code, "error %d, wanted %d" % (e.code, code)
        return
    raise AssertionError("not refused")


class Bystander:
    """A well-behaved client at work; notes how long its slowest request took."""

    def __enter__(self):
        self.client, self.stop, self.error, self.worst, self.n = connect(), False, None, 0, 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        try:
            while not self.stop:
                start = time.monotonic()
                self.client.status()
                self.worst = max(self.worst, time.monotonic() - start)
                self.n += 1
                time.sleep(0.005)
        except Exception as e:  # noqa: BLE001
            self.error = e

    def __exit__(self, *exc):
        self.stop = True
        self.thread.join()
        self.client.close()
        if exc[0] is None:
            assert self.error is None, "bystander: %r" % self.error
            assert self.n > 0 and self.worst < 2, "bystander waited %.2f s" % self.worst


def still_alive():
    if not DAEMON.alive():
        DAEMON.start()
        raise AssertionError("the daemon died")


def stops_cleanly():
    """the daemon stops cleanly"""
    return DAEMON.stop()


def main(ending=stops_cleanly, extra=""):
    """
    Runs the cases of the file against a daemon of its own. @ending as with run_tests();
    @extra are lines of its configuration.
    """
    global DAEMON
    path = os.environ.get("RATMAND")
    if not path:
        print("1..0 # SKIP set RATMAND to the daemon")
        return 0
    directory = tempfile.mkdtemp(prefix="ratman-e2e.")
    DAEMON = Ratmand(path, directory, extra=extra)
    try:
        return run_tests(still_alive, ending)
    finally:
        shutil.rmtree(directory)
