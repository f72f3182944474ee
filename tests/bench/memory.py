#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How much memory ratmand takes: with many users of its own, and with many elsewhere.

    [RATMAND=build/ratmand] tests/bench/memory.py [users…]

Users are made and stay logged in, each with 10 contacts and 100 messages (default 1, 100 and 250
users; a router has 256 addresses at most). Then a daemon that starts with 100,000 profiles of
others in its cache (build/bench/bench_profile fill). One JSON object a line, in KiB:
    rss   VmRSS: all that is in memory, of it
    anon  the daemon's own, and
    file  pages of files, most of them of the database: what the system can take back
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
from harness import Ratmand, program  # noqa: E402
from service import Service  # noqa: E402

CONTACTS, MESSAGES, WORKERS = 10, 100, 4
CONTACT_ADD = 0x0220
PROFILES = 100000


def report(daemon, case, **more):
    time.sleep(2)       # what is under way ends
    with open("/proc/%d/status" % daemon.process.pid) as f:
        status = dict(line.split(":", 1) for line in f)
    kib = {name: int(status[field].split()[0])
           for name, field in (("rss", "VmRSS"), ("anon", "RssAnon"), ("file", "RssFile"))}
    print(json.dumps({"bench": "memory", "case": case, **more, **kib}), flush=True)


def live(bind):
    """A user who does what users do, and stays."""
    c = Service(bind, timeout=120)
    c.user_create(b"correct horse", b"somebody")
    for i in range(CONTACTS):
        peer = bytes([i + 1]) * 32
        c.ask(CONTACT_ADD, peer + b"met on the train\0" + b"\0\0" + b"\1", c.token).ping()
    for i in range(MESSAGES):
        c.message_send(c.id, b"chat", b"message %d " % i * 20)
    return c


def live_all(bind, n):
    users, errors, todo = [], [], list(range(n))

    def work():
        try:
            while True:
                todo.pop()
                users.append(live(bind))
        except IndexError:
            pass
        except Exception as e:      # noqa: BLE001: told by who started us
            errors.append(e)

    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    if errors:
        raise errors[0]
    return users


def with_users(wanted):
    directory = tempfile.mkdtemp(prefix="ratman-memory.")
    daemon = Ratmand(program("RATMAND", "ratmand"), directory, extra="max_creations = 100000\n")
    users = []
    try:
        report(daemon, "users", users=0)
        for n in wanted:
            users += live_all(daemon.bind, n - len(users))
            report(daemon, "users", users=n)
    finally:
        daemon.stop()
        shutil.rmtree(directory)


def with_profiles():
    directory = tempfile.mkdtemp(prefix="ratman-memory.")
    fill = os.path.join(TOP, "build", "bench", "bench_profile")
    subprocess.run([fill, "fill", os.path.join(directory, "state")], check=True,
                   stdout=subprocess.DEVNULL)
    daemon = Ratmand(program("RATMAND", "ratmand"), directory)
    try:
        report(daemon, "profiles", profiles=PROFILES)
    finally:
        daemon.stop()
        shutil.rmtree(directory)


def main():
    with_users([int(n) for n in sys.argv[1:]] or [1, 100, 250])
    with_profiles()
    return 0


if __name__ == "__main__":
    sys.exit(main())
