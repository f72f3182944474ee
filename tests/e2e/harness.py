# SPDX-License-Identifier: GPL-2.0-or-later
"""What the end-to-end tests share: cases, TAP, a running ratmand."""
import os
import signal
import socket
import subprocess
import sys
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TESTS = []


def test(f):
    """Decorator: @f is a case; it fails by raising."""
    TESTS.append(f)
    return f


def wait_until(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("never: " + what)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program(variable, name):
    """The program under test: from the environment, else the ordinary build."""
    return os.environ.get(variable) or os.path.join(TOP, "build", name)


class Ratmand:
    """A ratmand of its own below @directory; keeps its log."""

    def __init__(self, path, directory):
        self.path, self.directory = path, directory
        self.log_path = os.path.join(directory, "log")
        self.start()

    def start(self):
        self.bind = "127.0.0.1:%d" % free_port()
        config = os.path.join(self.directory, "ratmand.conf")
        with open(config, "w") as f:
            f.write('state_dir = "%s/state"\nruntime_dir = "%s/run"\napi_bind = "%s"\n'
                    % (self.directory, self.directory, self.bind))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.path, "-c", config], stdout=log, stderr=log)
        wait_until("the daemon answers", self.answers, 20)

    def alive(self):
        return self.process.poll() is None

    def answers(self):
        if not self.alive():
            raise AssertionError("the daemon ended with status %d" % self.process.returncode)
        try:
            socket.create_connection(self.bind.rsplit(":", 1), 10).close()
            return True
        except OSError:
            return False

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
