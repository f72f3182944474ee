# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a daemon of the Service API should answer, kept in memory beside a real one: the model of
users, profiles, contacts, services' values, messages and files, and the checks of one against
the other. steps.py has what happens to both.
"""
import contextlib
import struct
import tempfile
import time

import microframe as mf
from restarted import Restarted
from service import (ADVERTISED, EXACT, FLOOD, NO_DATA, NO_SERVICE, STD, SUBSTRING, TRUSTED,
                     Service, ServiceError, refused)

HIDDEN = 0                  # state of a file whose announcement was deleted
UNREAD = (b"libqaul._int.unread", b"")
SERVICES = (b"org.example.chat", b"org.example.news")
WORDS = (b"ant", b"bee", b"cat", b"anthill", b"beeswax", b"bobcat")
MOST_USERS = 5
MOST_MESSAGES = 14          # of one user and service; above it more are deleted
PREFIX = 3
PATIENCE_S = 30             # for what travels


def drawn(rng):
    """An id, as good as unique."""
    return bytes(rng.randrange(1, 256) for _ in range(32))


def some(rng, values, most=3):
    return rng.sample(list(values), rng.randint(0, min(most, len(values))))


def contact_query(addresses=(), note=b"", tags_=None, test=0, value=0):
    return (struct.pack(">H", len(addresses)) + b"".join(addresses) + note + b"\0"
            + mf.pairs(tags_ or {}) + bytes([test, value]))


class Entry:
    """A message as one user has it."""

    def __init__(self, ident, sender, to, service, data, tagged, flood=False):
        self.id, self.sender, self.to, self.flood = ident, sender, to, flood
        self.service, self.data, self.tags, self.time = service, data, set(tagged), None
        self.sent = list(tagged)    # as they were in the beginning
        self.came = None            # World.epoch then

    def key(self):
        return self.sender, self.id

    def copy(self, to=None, add=()):
        return Entry(self.id, self.sender, self.to if to is None else to, self.service, self.data,
                     self.tags | set(add), self.flood)

    def is_shown_by(self, m):
        return (m["id"], m["sender"], m["mode"], m["to"], m["service"], m["data"], m["trust"],
                m["tags"]) == (self.id, self.sender, FLOOD if self.flood else STD,
                               None if self.flood else self.to, self.service, self.data, TRUSTED,
                               sorted(self.tags))

    def passes(self, service, sender, tagged):
        return ((service is None or service == self.service) and sender in (None, self.sender) and
                set(tagged) <= self.tags)

    def __repr__(self):
        return "%s from %s (%s) %s" % (self.id.hex()[:8], self.sender.hex()[:8],
                                       self.service.decode(), sorted(self.tags))


class Sub:
    """A subscription to messages. @events is None while nobody listens."""

    def __init__(self, ident, events, service, tagged):
        self.id, self.events, self.service, self.tagged = ident, events, service, tagged
        self.wanted, self.optional, self.read = [], set(), set()
        self.again = False      # the daemon may not know what was read last


class File:
    """A file as one user has it, or sees it announced."""

    def __init__(self, state, owner, name, data, previous=None):
        self.state, self.owner, self.name, self.data, self.previous = \
            state, owner, name, data, previous
        self.to = set()         # of a local one: whom it is announced to; None is everybody
        self.given = set()      # … or was sent

    def shown(self, ident):
        return (ident, self.owner, self.name, len(self.data),
                0 if self.state == ADVERTISED else len(self.data), self.state, self.previous)


class User:
    def __init__(self, ident, password, handle):
        self.id, self.password, self.sessions = ident, password, []
        self.handle, self.name, self.avatar, self.bio, self.services = handle, None, b"", {}, set()
        self.updated = None
        self.contacts, self.values = {}, {}
        self.box, self.pending, self.subs = [], [], []
        self.files, self.locked = {}, set()
        self.moving = set()     # files of which notices went to the user; each may still change once

    def online(self):
        return bool(self.sessions)

    def texts(self, attribute):
        """What a search for @attribute compares."""
        one = {b"handle": [self.handle], b"display_name": [self.name],
               b"services": self.services}.get(attribute)
        if one is None and attribute:
            one = [self.bio.get(attribute)]
        if one is None:
            one = [self.handle, self.name, *self.services, *self.bio, *self.bio.values()]
        return [v.lower() for v in one if v is not None]

    def fits(self, attribute, pattern, how):
        return any({EXACT: v == pattern, SUBSTRING: pattern in v, PREFIX: v.startswith(pattern)}[how]
                   for v in self.texts(attribute))

    def has(self, key):
        return any(e.key() == key for e in self.box + self.pending)


class World:
    """A daemon of our own and what it should hold."""

    def __init__(self, path):
        self.directory = tempfile.mkdtemp(prefix="ratman-model.")
        self.users, self.floods, self.dead, self.registered = [], [], [], {}
        self.common = set()     # contents that several users have
        self.god, self.other = False, None
        self.epoch = 0          # grows with each write that was acknowledged
        self.daemon = Restarted(path, self.directory, extra=self.options())
        self.c = Service(self.daemon.bind)

    def options(self, session_timeout=1800):
        return ("max_auth_failures = 1000000\nmax_creations = 100000\nsession_timeout = %d\n"
                "god_mode = %s\n" % (session_timeout, "true" if self.god else "false"))

    # Who acts -----------------------------------------------------------------------------

    def act(self, user, rng=None):
        """The client acts for @user from here on, in one of the user's sessions."""
        self.c.id = user.id
        self.c.token = (rng.choice(user.sessions) if rng else user.sessions[-1])
        return self.c

    def someone(self, rng):
        return rng.choice([u for u in self.users if u.online()])

    def peer(self, rng, user):
        """Another user, or None."""
        others = [u for u in self.users if u is not user]
        return rng.choice(others) if others else None

    def told(self, what, user, token):
        """Each registered service hears of a session, and of nothing else."""
        for events in self.registered.values():
            got = events.session()
            assert got == (what, user.id) and events.token == token, \
                "event %r, wanted %r" % (got, (what, user.id))

    def forget_token(self, user, token):
        self.dead.append((user.id, token))
        del self.dead[:-20]

    # Checks -------------------------------------------------------------------------------

    def settle(self, user):
        """Waits until all messages on their way to @user are there; then their order is known."""
        self.act(user)
        end = time.monotonic() + PATIENCE_S
        while not self.messages_agree(user):
            assert time.monotonic() < end, "never came: %r" % user.pending
            time.sleep(0.005)
        for sub in user.subs:
            self.drain(user, sub)

    def seen(self, service):
        out, more = [], True
        while more:
            try:
                found, more = self.c.messages(service, skip=len(out), take=0)
            except ServiceError as e:
                assert e.code == NO_DATA and not out, e
                return []
            out += found
        return out

    def messages_agree(self, user):
        """False when something is still on its way; raises when the daemon shows what is wrong."""
        for service in SERVICES:
            found = self.seen(service)
            old = [e for e in user.box if e.service == service]
            new = {e.key(): e for e in user.pending if e.service == service}
            assert len(found) >= len(old), "%d messages of %s, wanted %r" % (
                len(found), service, old)
            for e, m in zip(old, found):
                assert e.is_shown_by(m), "%r, wanted %r" % (m, e)
                assert e.time in (None, m["time"]), "another time"
                e.time = m["time"]
            for m in found[len(old):]:
                e = new.pop((m["sender"], m["id"]), None)
                assert e, "%r is nothing of %s's" % (m, user.id.hex())
                assert e.is_shown_by(m), "%r, wanted %r" % (m, e)
                self.came(user, e)
            if new:
                return False
        return True

    def acked(self):
        """A write was acknowledged: all that the daemon did before it is on the disk, too."""
        self.epoch += 1

    def killed(self, user):
        """What came since the last of these the daemon may take in anew, in another order."""
        loose = [e for e in user.box if e.came == self.epoch and e.sender != user.id]
        for e in loose:
            user.box.remove(e)
            user.pending.append(e)
            for sub in user.subs:
                sub.optional.add(e.key())
                sub.wanted = [w for w in sub.wanted if w is not e]

    def came(self, user, entry):
        entry.came = self.epoch
        if entry in user.pending:
            user.pending.remove(entry)
        user.box.append(entry)
        for sub in user.subs:
            if entry.passes(sub.service, None, sub.tagged):
                sub.wanted.append(entry)
                sub.read.discard(entry.key())

    def drain(self, user, sub):
        """Reads what a subscription must tell by now."""
        while sub.events and any(e.key() not in sub.optional for e in sub.wanted):
            self.take(sub, sub.events.message())

    def ended(self, sub):
        """A subscription's socket is closed by the daemon, and told nothing it should not."""
        with contextlib.suppress(mf.Closed, ConnectionResetError):
            while True:
                self.take(sub, sub.events.message())
        sub.events.close()
        sub.events = None

    @staticmethod
    def take(sub, m):
        """The subscription told of @m."""
        key = m["sender"], m["id"]
        while sub.wanted and sub.wanted[0].key() != key and sub.wanted[0].key() in sub.optional:
            sub.wanted.pop(0)
        if sub.wanted and sub.wanted[0].key() == key:
            entry = sub.wanted.pop(0)
            assert key in sub.optional or entry.is_shown_by(m), "%r, wanted %r" % (m, entry)
        else:
            assert (sub.again and key in sub.read) or (key in sub.optional and key not in sub.read), \
                "told of %r, wanted %r" % (m, sub.wanted)
        sub.read.add(key)

    def visible(self, user):
        """{file id: File} that @user sees."""
        out = {i: f for i, f in user.files.items() if f.state != HIDDEN}
        for owner in self.users:
            for i, f in owner.files.items():
                if owner is not user and None in f.to and i not in user.files:
                    out[i] = File(ADVERTISED, owner.id, f.name, f.data, f.previous)
        return out

    def files_agree(self, user):
        want = sorted((f.shown(i) for i, f in self.visible(user).items()), key=repr)
        got = sorted(((f["id"], f["owner"], f["name"], f["size"], f["have"], f["state"],
                       f["previous"]) for f in self.act(user).files()), key=repr)
        return (got == want, "files %r, wanted %r" % (got, want),
                {f[0] for f in got + want if f not in got or f not in want})

    def settle_files(self, user, only=None):
        """Waits until @user sees the right files; with @only, at once of all but these."""
        end = time.monotonic() + PATIENCE_S
        good, why, wrong = self.files_agree(user)
        while not good:
            assert time.monotonic() < end and (only is None or wrong <= only), why
            time.sleep(0.005)
            good, why, wrong = self.files_agree(user)
        user.locked.clear()

    def check_profiles(self):
        found = self.c.users()
        assert [p["id"] for p in found] == [u.id for u in self.users], "other users"
        for u, p in zip(self.users, found):
            got = (p["handle"], p["name"], p["avatar"], p["bio"], set(p["services"]), p["local"],
                   p["online"])
            want = (u.handle, u.name, u.avatar, sorted(u.bio.items()), u.services, True, u.online())
            assert got == want, "profile %r, wanted %r" % (got, want)
            assert u.updated in (None, p["updated"]), "a profile has another time"
            u.updated = p["updated"]

    def check_contacts(self, user):
        got = mf.contacts_in(self.c.ask(0x0231, contact_query(), self.c.token).ping(mf.CONTACTS))
        assert list(got.items()) == sorted(user.contacts.items()), \
            "contacts %r, wanted %r" % (got, user.contacts)

    def check_values(self, user, rng):
        for name in SERVICES:
            if name not in self.registered:
                refused(NO_SERVICE, self.c.keys, name)
                continue
            mine = {k[1:]: v for k, v in user.values.items() if k[0] == name}
            assert self.c.keys(name) == sorted(mine), "other keys"
            if mine:
                ns, key = rng.choice(sorted(mine))
                assert self.c.get(name, key, ns) == mine[ns, key], "another value"

    def check_user(self, user, rng):
        """Everything @user sees, against what should be there."""
        self.check_profiles()
        if not user.online():
            for ident, token in self.dead[-5:]:
                if ident == user.id:
                    refused(None, self.c.call, 0x0934, user.id, token=token)
            return
        self.settle(user)
        self.act(user, rng)
        self.check_contacts(user)
        self.check_values(user, rng)
        self.settle_files(user, user.moving)

    def check(self, user, rng):
        """After a step: who acted, and one other, see what they should and no more."""
        assert self.daemon.alive(), "the daemon died"
        if user in self.users:
            self.check_user(user, rng)
        other = self.other or self.peer(rng, user)
        self.other = None
        if other in self.users:
            self.check_user(other, rng)

    def check_all(self, rng):
        for user in self.users:
            if not user.online():
                self.log_in(user)
        for user in self.users:
            self.settle_files(user)
            self.check_user(user, rng)
