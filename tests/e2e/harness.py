# SPDX-License-Identifier: GPL-2.0-or-later
"""What the end-to-end tests share: a daemon, tests registered by name, TAP."""
import os
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

TESTS = []
DAEMON = None


def test(f):
    TESTS.append(f)
    return f


class Daemon:
    """One ratmand with a directory of its own; can be killed and started again."""

    def __init__(self, path, config=""):
        self.path, self.process = path, None
        self.directory = tempfile.mkdtemp(prefix="ratman-e2e.")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.bind = "127.0.0.1:%d" % s.getsockname()[1]
        self.config = os.path.join(self.directory, "ratmand.conf")
        self.log = os.path.join(self.directory, "log")
        with open(self.config, "w") as f:
            f.write('state_dir = "%s/state"\nruntime_dir = "%s/run"\napi_bind = "%s"\n%s'
                    % (self.directory, self.directory, self.bind, config))

    def start(self, environment=None):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.path, "-c", self.config], stdout=log, stderr=log,
                                            env={**os.environ, **(environment or {})})
        wait_until("the daemon answers", self.answers, 30)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("the daemon ended with status %d" % self.process.returncode)
        try:
            Client(self.bind).close()
            return True
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Asks it to stop; its status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return "none within 30 s"

    def alive(self):
        return self.process.poll() is None

    def text(self):
        with open(self.log, errors="replace") as log:
            return log.read()


def connect(hello=HELLO, timeout=10):
    """A connection to the daemon under test."""
    return Client(DAEMON.bind, hello, timeout)


def refused(code, call, *args):
    try:
        call(*args)
    except Error as e:
        assert e.code == code, "error %d, wanted %d" % (e.code, code)
        return
    raise AssertionError("not refused")


def wait_until(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("never: " + what)


def user(hello=HELLO):
    """A client with an address that is up."""
    c = connect(hello)
    address, token = c.create()
    c.up(address, token)
    return c, address, token


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


def run_one(number, f):
    try:
        f()
        assert DAEMON.alive(), "the daemon died"
        print("ok %d - %s" % (number, f.__name__), flush=True)
        return True
    except Exception:  # noqa: BLE001
        print("not ok %d - %s" % (number, f.__name__))
        print("".join("# " + x + "\n" for x in traceback.format_exc().splitlines()), end="",
              flush=True)
        if not DAEMON.alive():
            DAEMON.start()
        return False


def main(config=""):
    """Runs the registered tests, or those named on the command line, against a daemon."""
    global DAEMON
    path = os.environ.get("RATMAND")
    if not path:
        print("1..0 # SKIP set RATMAND to the daemon")
        return 0
    only = sys.argv[1:]
    tests = [f for f in TESTS if not only or f.__name__ in only]
    DAEMON = Daemon(path, config)
    DAEMON.start()
    print("TAP version 13\n1..%d" % (len(tests) + 1))
    failed = sum(not run_one(i, f) for i, f in enumerate(tests, 1))
    status = DAEMON.stop()
    text = DAEMON.text()
    good = status == 0 and "ERROR: " not in text and "runtime error" not in text
    print("%sok %d - the daemon stops cleanly (status %s)" % ("" if good else "not ",
                                                            len(tests) + 1, status))
    if failed or not good:
        print("".join("# " + x + "\n" for x in text.splitlines()[-60:]), end="")
    shutil.rmtree(DAEMON.directory)
    return 1 if failed or not good else 0
