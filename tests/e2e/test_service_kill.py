#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 under the Service API, a full disk, and a disk that cannot be written.

16 clients write messages, floods, values, profiles and files at once. After each kill what was
acknowledged is there, and once; what was not may be there, whole. 40 rounds, or fewer if 50
seconds are over; SERVICE_KILL_ROUNDS=1000 does so many.
"""
import contextlib
import errno
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import program, run_tests, small_disk, test, wait_until  # noqa: E402
from microframe import Closed  # noqa: E402
from restarted import LEAST, Restarted, killed  # noqa: E402
from service import IO_FAULT, LOCAL, NO_DATA, NO_USER, Service, ServiceError  # noqa: E402

ROUNDS = int(os.environ.get("SERVICE_KILL_ROUNDS", "0"))
CLIENTS = 16
CHAT, NEWS = b"org.example.chat", b"org.example.news"


def body(name):
    """What belongs to a name, in sizes on both sides of what a page and a block hold."""
    size = random.Random(name).choice((0, 40, 1024, 5000, 40000))
    return name.encode() + b" " + random.Random(name).randbytes(size)


def content(name):
    """A file's; of every four one is the same as somebody else's."""
    number, sequence = name.split("/")
    return body(("all" if int(sequence) % 4 == 0 else number) + "-" + sequence) * 3


def file_name(name):
    return name.replace("/", " of ").encode()


def file_id(name):
    return hashlib.blake2b(content(name), digest_size=32).digest()


def tags_of(name):
    return [(b"n", name.encode()), (b"odd" if int(name.split("/")[1]) % 2 else b"even", b"")]


def name_of(data):
    return data.split(b" ", 1)[0].decode()


def pages(c, service):
    """All messages of a service that a user sees."""
    out, more = [], True
    while more:
        try:
            found, more = c.messages(service, skip=len(out), take=0)
        except ServiceError as e:
            assert e.code == NO_DATA and not out, e
            break
        out += found
    return out


class Cell:
    """What may be there where there is one value at a time."""

    def __init__(self, value=None):
        self.may = {value}

    def begin(self, value):
        """Asked for: from now on it is either."""
        self.may.add(value)

    def done(self, value):
        self.may = {value}

    def settle(self, value):
        """It is this one, as we see."""
        assert value in self.may, "%r is there, wanted one of %r" % (value, self.may)
        self.may = {value}


class Writer:
    """One user's writes over all rounds. Messages and files have names: whose/which."""

    def __init__(self, number):
        self.number, self.sequence = number, 0
        self.random = random.Random(number)
        self.id = self.token = self.everybody = self.events = None
        self.keeper = b"org.example.keeper%d" % number      # the service that values are kept for
        self.sent = {CHAT: set(), NEWS: set()}      # names, acknowledged
        self.read = {CHAT: set(), NEWS: set()}      # seen, and their deletion acknowledged
        self.kept = []                              # (name, id) of some to be deleted later
        self.doubtful = set()                       # names whose deletion nobody answered
        self.files = set()                          # names, acknowledged
        self.doubtful_files = set()                 # packed or deleted without an answer
        self.values = {b"key %d" % i: Cell() for i in range(6)}
        self.name = Cell(b"nobody")
        self.password = Cell(b"0")
        self.counts = dict.fromkeys(("messages", "floods", "values", "profiles", "files"), 0)

    def client(self, bind):
        c = Service(bind, timeout=60)
        c.id, c.token = self.id, self.token
        c.up(c.id, c.token)
        return c

    def prepare(self, bind):
        c = Service(bind, timeout=60)
        self.id, self.token = c.id, c.token = c.create()
        c.up(self.id, self.token)
        c.user_update(name=b"nobody")
        if self.number == 0:
            c.change_password(b"0")
        c.close()

    def write(self, bind):
        """Writes until the daemon is gone."""
        acts = [self.message] * 6 + [self.flood] + [self.value] * 4 + [self.profile] + \
            [self.file] * 2 + [self.drop_file] + [self.drop_message]
        if self.number == 0:
            acts += [self.new_password]
        try:
            c = self.client(bind)
            self.events = c.service_register(self.keeper)
            while True:
                self.sequence += 1
                self.random.choice(acts)(c, "%d/%d" % (self.number, self.sequence))
        except (OSError, Closed):
            pass

    def message(self, c, name):
        to = self.everybody[(self.number + 1) % CLIENTS].id
        if self.sequence % 4:
            c.message_send(to, CHAT, body(name), tags_of(name))
        else:
            c.message_send_many([to, self.id], CHAT, body(name), tags_of(name))
        self.sent[CHAT].add(name)
        self.counts["messages"] += 1

    def flood(self, c, name):
        c.message_send(None, NEWS, body(name), tags_of(name))
        self.sent[NEWS].add(name)
        self.counts["floods"] += 1

    def drop_message(self, c, name):
        del name
        if self.kept:
            name, ident = self.kept.pop()
            self.doubtful.add(name)
            self.drop(c, CHAT, name, ident)

    def value(self, c, name):
        key = self.random.choice(list(self.values))
        cell, new = self.values[key], None if self.random.random() < 0.2 else body(name)
        cell.begin(new)
        if new is None:
            c.delete(self.keeper, key)
        else:
            c.put(self.keeper, key, new)
        cell.done(new)
        self.counts["values"] += 1

    def profile(self, c, name):
        self.name.begin(name.encode())
        c.user_update(name=name.encode(), bio=((b"which", name.encode()),))
        self.name.done(name.encode())
        self.counts["profiles"] += 1

    def new_password(self, c, name):
        self.password.begin(name.encode())
        c.change_password(name.encode())
        self.password.done(name.encode())

    def file(self, c, name):
        if len(self.files) > 5:
            self.drop_file(c, name)
            return
        self.doubtful_files.add(name)
        c.file_pack(file_name(name), content(name))
        self.doubtful_files.remove(name)
        self.files.add(name)
        self.counts["files"] += 1

    def drop_file(self, c, name):
        del name
        if self.files:
            name = self.files.pop()
            self.doubtful_files.add(name)
            c.file_delete(file_id(name))
            self.doubtful_files.remove(name)

    # What is there ---------------------------------------------------------------

    def check(self, bind):
        c = self.client(bind)
        self.events = c.service_register(self.keeper)
        self.check_messages(c, CHAT, [self, self.everybody[self.number - 1]])
        if self.number < 4:
            self.check_messages(c, NEWS, self.everybody)
        self.check_files(c)
        self.check_profile(c)
        for key, cell in self.values.items():
            try:
                value = c.get(self.keeper, key)
            except ServiceError as e:
                assert e.code == NO_DATA, e
                value = None
            cell.settle(value)
        assert {key for _, key in c.keys(self.keeper)} == \
            {key for key, cell in self.values.items() if cell.may != {None}}
        if self.number == 0 and len(self.password.may) > 1 or self.random.random() < 0.05:
            self.check_password(bind)
        self.events.close()
        c.close()

    def seen(self, c, service):
        """name -> message"""
        out = pages(c, service)
        names = [name_of(m["data"]) for m in out]
        assert len({m["id"] for m in out}) == len(out) and len(set(names)) == len(out), "twice"
        again = self.read[service] & set(names)
        assert not again, "back, or there twice: %r" % sorted(again)
        return dict(zip(names, out))

    def check_messages(self, c, service, senders):
        wanted = set().union(*(w.sent[service] for w in senders)) - self.read[service]
        wanted -= self.doubtful
        wait_until("user %d has all of %r" % (self.number, service),
                   lambda: wanted <= set(self.seen(c, service)), 60)
        there = self.seen(c, service)
        for name, m in there.items():
            sender, = [w for w in senders if w.number == int(name.split("/")[0])]
            assert m["sender"] == sender.id and m["data"] == body(name), name
            assert set(tags_of(name)) <= set(m["tags"])
        odd = [name for name, m in there.items() if (b"odd", b"") in m["tags"]]
        if odd:
            # One that nobody waits for may have come meanwhile.
            found, _ = c.messages(service, tagged=((b"odd", b""),), take=1000)
            found = [n for n in (name_of(m["data"]) for m in found) if n in there]
            assert found == odd[:len(found)] and found
        if service == CHAT:
            self.read[CHAT] |= self.doubtful - set(there)
            self.doubtful.clear()
            self.kept = [(name, m["id"]) for name, m in list(there.items())[:5]]
        for name, m in there.items():
            if service == NEWS or (name, m["id"]) not in self.kept:
                self.drop(c, service, name, m["id"])

    def drop(self, c, service, name, ident):
        c.message_delete(ident)
        self.read[service].add(name)
        self.doubtful.discard(name)

    def check_files(self, c):
        there = {f["name"].decode().replace(" of ", "/"): f for f in c.files(LOCAL)}
        assert self.files <= set(there) <= self.files | self.doubtful_files, \
            "files %r, wanted %r and perhaps %r" % (set(there), self.files, self.doubtful_files)
        for name in there:
            assert there[name]["id"] == file_id(name) and c.file_get(file_id(name)) == content(name)
        self.files = set(there)
        self.doubtful_files.clear()

    def check_profile(self, c):
        p = c.user(self.id)
        self.name.settle(p["name"])
        if p["name"] != b"nobody":
            assert p["bio"] == [(b"which", p["name"])], "half a change"

    def check_password(self, bind):
        c = Service(bind, timeout=60)
        good = []
        for password in self.password.may:
            try:
                c.login(self.id, password)
                good.append(password)
            except ServiceError as e:
                assert e.code == NO_USER and self.number == 0 or self.number, e
        if self.number == 0:
            self.password.settle(*good)
        else:
            assert not good, "a password nobody made"
        c.close()


def verify(daemon):
    p = subprocess.run([program("RATCTL", "ratctl"), "db", "verify", daemon.directory + "/state"],
                       capture_output=True, text=True, timeout=60,
                       env=dict(os.environ, RATMAND=daemon.path))
    assert p.returncode == 0 and p.stdout == "ok\n", p.stdout + p.stderr


@test
def killed_at_random_points():
    writers = [Writer(i) for i in range(CLIENTS)]
    for w in writers:
        w.everybody = writers
    rounds = killed(writers, ROUNDS or 40, 0 if ROUNDS else 50, verify)
    total = {what: sum(w.counts[what] for w in writers) for what in writers[0].counts}
    print("# %d rounds, %d clients, acknowledged: %r" % (rounds, CLIENTS, total))
    assert rounds >= min(ROUNDS or LEAST, LEAST) and min(total.values()) > 2 * rounds


# Disks ------------------------------------------------------------------------------------


class SmallDisk:
    """A daemon whose state is on a file system of its own."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            path = tempfile.mkdtemp(prefix="disk.")
            stack.callback(shutil.rmtree, path)
            self.state = stack.enter_context(small_disk(os.path.join(path, "state"), "24m"))
            self.daemon = Restarted(program("RATMAND", "ratmand"), path)
            stack.callback(self.daemon.kill)
            self.stack = stack.pop_all()
        return self

    def remount(self, how):
        subprocess.run(["mount", "-o", "remount," + how, self.state], check=True)

    def fill(self):
        """Leaves room for nothing."""
        with open(os.path.join(self.state, "filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError as e:
                assert e.errno == errno.ENOSPC, e

    def free(self):
        os.unlink(os.path.join(self.state, "filler"))

    def restart(self):
        good, text = self.daemon.stop()
        # What it says of the disk are errors, and are meant to be.
        assert good or "runtime error" not in text and "status 0" in text, text
        verify(self.daemon)
        self.daemon.start()

    def __exit__(self, *exc):
        self.stack.close()


class Desk:
    """Two users, and what they were told is kept."""

    def __init__(self, bind):
        self.kept, self.n = [], 0
        self.people = []
        for _ in range(2):
            c = Service(bind, timeout=60)
            c.id, c.token = c.create()
            c.up(c.id, c.token)
            self.people.append(c)
        self.values, self.name = {}, None
        self.keeper = self.people[0].service_register(CHAT)

    def again(self, bind):
        for i, p in enumerate(self.people):
            c = Service(bind, timeout=60)
            c.id, c.token = p.id, p.token
            c.up(c.id, c.token)
            self.people[i] = c
        self.keeper = self.people[0].service_register(CHAT)

    def writes(self):
        """(what it is called, a call that writes one more of it, what notes its success)"""
        a, b = self.people
        self.n += 1
        name, key = "0/%d" % self.n, b"%d" % (self.n % 4)
        data = body(name) + bytes(1000)

        def put_name():
            self.name = name.encode()
        return [
            ("message", lambda: a.message_send(b.id, CHAT, data),
             lambda: self.kept.append((CHAT, data))),
            ("flood", lambda: a.message_send(None, NEWS, data),
             lambda: self.kept.append((NEWS, data))),
            ("value", lambda: a.put(CHAT, key, data), lambda: self.values.update({key: data})),
            ("profile", lambda: a.user_update(name=name.encode()), put_name),
            ("file", lambda: a.file_pack(file_name(name), data),
             lambda: self.kept.append((None, data))),
        ]

    def write(self, n):
        """@n of each; the names of those that were refused, with IoFault each."""
        out = set()
        for _ in range(n):
            for what, call, done in self.writes():
                try:
                    call()
                    done()
                except ServiceError as e:
                    assert e.code == IO_FAULT and len(e.text) > 10, "%s: %s" % (what, e)
                    out.add(what)
        return out

    def read(self):
        """All that was acknowledged is there."""
        a, b = self.people
        for kind, data in self.kept:
            if kind is None:
                assert a.file_get(hashlib.blake2b(data, digest_size=32).digest()) == data
        for service in (CHAT, NEWS):
            wanted = [data for kind, data in self.kept if kind == service]
            for c in (a, b):
                have = [m["data"] for m in pages(c, service)]
                assert len(set(have)) == len(have), "twice"
                if c is a:
                    assert set(wanted) <= set(have)
        for key, value in self.values.items():
            assert a.get(CHAT, key) == value
        assert a.user(a.id)["name"] == self.name

    def delivered(self):
        """... and has come to the other one."""
        wanted = {data for kind, data in self.kept if kind}
        wait_until("it all arrives", lambda: wanted <= {
            m["data"] for s in (CHAT, NEWS) for m in pages(self.people[1], s)}, 60)


WRITES = {"message", "flood", "value", "profile", "file"}


@test
def full_disk():
    with SmallDisk() as d:
        desk = Desk(d.daemon.bind)
        assert not desk.write(3)
        desk.delivered()
        d.fill()
        refused = set()
        wait_until("the disk is full", lambda: refused.update(desk.write(3)) or refused, 60)
        # From then on, for a time, nothing is taken.
        assert desk.write(1) == WRITES
        desk.read()
        try:
            Service(d.daemon.bind).user_create(b"one who comes at the wrong time")
            raise AssertionError("a user without a place")
        except ServiceError as e:
            assert e.code == IO_FAULT, e
        d.free()
        wait_until("it recovers", lambda: not desk.write(1), 60)
        desk.read()
        desk.delivered()
        # Killed while it is full.
        d.fill()
        wait_until("the disk is full", lambda: desk.write(3), 60)
        d.daemon.kill()
        d.free()
        verify(d.daemon)
        d.daemon.start()
        desk.again(d.daemon.bind)
        assert not desk.write(1)
        desk.read()
        desk.delivered()
        d.restart()
        desk.again(d.daemon.bind)
        desk.read()
        assert "damaged" not in open(d.daemon.log_path).read()


@test
def disk_that_cannot_be_written():
    with SmallDisk() as d:
        desk = Desk(d.daemon.bind)
        assert not desk.write(5)
        desk.delivered()
        good, text = d.daemon.stop()
        assert good, text
        d.remount("ro")
        d.daemon.start()
        desk.again(d.daemon.bind)
        desk.read()
        assert desk.write(2) == WRITES
        desk.read()
        d.daemon.stop()
        d.remount("rw")
        d.daemon.start()
        desk.again(d.daemon.bind)
        desk.read()
        assert not desk.write(2)
        desk.delivered()


if __name__ == "__main__":
    sys.exit(run_tests())
