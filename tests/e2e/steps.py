# SPDX-License-Identifier: GPL-2.0-or-later
"""
Steps that happen to a daemon and to the model of it (model.py).

A step is a word and a number: the number seeds all choices it makes among what there is just
then, so every part of a list of steps is a list of steps, and can be replayed.
"""
import contextlib
import hashlib
import random
import shutil
import struct
import time

import microframe as mf
import service as sv
from exchanges import exchanges
from model import (HIDDEN, MOST_MESSAGES, MOST_USERS, PATIENCE_S, PREFIX, SERVICES, UNREAD, WORDS,
                   Entry, File, Sub, User, contact_query, drawn, some, World)
from service import (ADVERTISED, AVAILABLE, EXACT, LOCAL, NO_DATA, NO_SERVICE, NO_USER,
                     NOT_AUTHORISED, SERVICE_EXISTS, SUBSTRING, Service, ServiceError, opt, opt_id,
                     refused, tags)


class Steps(World):
    def step(self, kind, seed):
        """Does one, and checks."""
        rng = random.Random(seed)
        if not any(u.online() for u in self.users) and kind not in ("create", "restart", "kill"):
            if not self.users:
                kind = "create"
            else:
                self.log_in(rng.choice(self.users))
        user = getattr(self, "do_" + kind)(rng)
        if user is not None:
            self.check(user, rng)

    def log_in(self, user):
        _, token = self.c.login(user.id, user.password)
        user.sessions.append(token)
        self.told(1, user, token)
        self.settle_files(user)

    def do_create(self, rng):
        if len(self.users) >= MOST_USERS:
            return None
        handle = rng.choice((None, b"", *WORDS))
        password = b"pw%d" % rng.randrange(1000)
        ident, token = self.c.user_create(password, handle)
        user = User(ident, password, handle)
        user.sessions.append(token)
        user.pending = [e.copy(add=(UNREAD,)) for e in self.floods]
        self.users.append(user)
        self.told(1, user, token)
        return user

    def do_login(self, rng):
        user = rng.choice(self.users)
        if len(user.sessions) > 3:
            return None
        self.log_in(user)
        return user

    def do_wrong_password(self, rng):
        user = rng.choice(self.users)
        gone = [i for i, _ in self.dead if i not in [u.id for u in self.users]]
        says = set()
        for ident in (user.id, rng.choice([drawn(rng), *gone])):
            says.add(refused(NO_USER, self.c.login, ident, user.password + b"!"))
        assert len(says) == 1, says
        return user

    def do_logout(self, rng):
        user = self.someone(rng)
        self.settle(user)
        c = self.act(user, rng)
        token = c.token
        c.logout()
        user.sessions.remove(token)
        self.forget_token(user, token)
        self.told(2, user, token)
        # What this session opened closes; with the last one all.
        for sub in user.subs:
            if sub.events and (sub.token == token or not user.online()):
                self.ended(sub)
        return user

    def do_password(self, rng):
        user = self.someone(rng)
        old, user.password = user.password, b"new%d" % rng.randrange(1000)
        self.act(user, rng).change_password(user.password)
        if old != user.password and rng.random() < 0.3:
            refused(NO_USER, self.c.login, user.id, old)
            self.log_in(user)
        return user

    def do_destroy(self, rng):
        user = self.someone(rng)
        rest = [u for u in self.users if u is not user]
        # What is under way from somebody who goes may come or not.
        if len(rest) < 2 or any(e.sender == user.id for u in rest for e in u.pending) or \
                any(u.locked for u in rest):
            for u in rest:
                if u.online():
                    self.settle(u)
            return None
        self.settle(user)
        self.act(user, rng).user_destroy(rng.random() < 0.5)
        self.users.remove(user)
        heard = {}
        for name, events in self.registered.items():
            heard[name] = []
            for _ in user.sessions:
                what, ident = events.session()
                assert (what, ident) == (2, user.id)
                heard[name].append(events.token)
            assert sorted(heard[name]) == sorted(user.sessions), "other sessions ended"
        for token in user.sessions:
            self.forget_token(user, token)
            refused(None, self.c.call, 0x0934, user.id, token=token)
        for sub in user.subs:
            if sub.events:
                self.ended(sub)
        refused(NO_USER, self.c.user, user.id)
        return user

    def do_bad_token(self, rng):
        """Nobody gets anywhere with a token that is over, unknown, or another's."""
        user = rng.choice(self.users)
        other = self.peer(rng, user)
        tokens = [None, drawn(rng)] + [t for _, t in self.dead[-3:]]
        if other:
            tokens += other.sessions
        token = rng.choice(tokens)
        ids = [user.id, *user.files, *[e.id for e in user.box], *[s.id for s in user.subs]]
        for mode, payload in rng.sample(exchanges(user.id, rng.choice(ids), SERVICES[0]), 4):
            f = self.c.ask(mode, payload, token)
            assert f.mode == mode and f.token == token, "%04x" % mode
            try:
                f.ping()
            except mf.Error as e:
                assert e.code == mf.INVALID_AUTH, "%04x: %s" % (mode, e)
                continue
            raise AssertionError("%04x was allowed" % mode)
        self.other = other
        return user

    def do_profile(self, rng):
        user = self.someone(rng)
        fields = {}
        for name, values in (("handle", WORDS), ("name", WORDS), ("avatar", (b"png", b"gif"))):
            if rng.random() < 0.5:
                fields[name] = rng.choice((None, *values))
        if rng.random() < 0.2:
            fields["avatar"] = rng.randbytes(rng.randint(1, 2000))
        bio = {k: rng.choice(WORDS) for k in some(rng, (b"city", b"pet", b"team"))}
        rm_bio = some(rng, (b"city", b"pet", b"none"))
        added = some(rng, SERVICES)
        removed = some(rng, [s for s in SERVICES if s not in added])
        self.act(user, rng).user_update(bio=bio.items(), rm_bio=rm_bio, services=added,
                                        rm_services=removed, **fields)
        self.acked()
        for name, value in fields.items():
            setattr(user, name, b"" if name == "avatar" and value is None else value)
        for key in rm_bio:
            user.bio.pop(key, None)
        user.bio.update(bio)
        user.services = (user.services | set(added)) - set(removed)
        p = self.c.user(user.id)
        assert user.updated is None or p["updated"] > user.updated, "no newer time"
        user.updated = None
        return user

    def do_search(self, rng):
        user = self.someone(rng)
        terms = [(rng.choice((b"handle", b"display_name", b"city", b"pet", b"services", b"")),
                  rng.choice((*WORDS, b"ant", b"be", b"cat", b"org.example", SERVICES[0])),
                  rng.choice((EXACT, SUBSTRING, PREFIX))) for _ in range(rng.choice((1, 1, 2)))]
        want = [u.id for u in self.users if all(u.fits(*t) for t in terms)]
        skip, take = rng.choice(((0, 100), (0, 1), (1, 1), (2, 5)))
        upper = [(a, p.upper() if rng.random() < 0.3 else p, h) for a, p, h in terms]
        got = [p["id"] for p in self.c.user_search(upper, skip, take)]
        assert got == want[skip:skip + take], "found %r, wanted %r" % (got, want)
        assert self.c.users(1) == [], "users of no other router"
        refused(NO_USER, self.c.user, drawn(rng))
        return user

    # Contacts

    def do_contact(self, rng):
        user = self.someone(rng)
        c = self.act(user, rng)
        known = sorted(user.contacts)
        if not known or rng.random() < 0.5:
            address = rng.choice([u.id for u in self.users] + known + [drawn(rng)])
            entry = {"nick": rng.choice((None, b"anna", b"bert")), "trust": rng.randint(1, 7),
                     "met": rng.random() < 0.5, "location": rng.choice((None, b"ghent")),
                     "note": rng.choice((None, b"from the train")), "tags":
                     {k: rng.choice(WORDS) for k in some(rng, (b"k", b"l"))}}
            c.ask(0x0220, address + (entry["note"] or b"") + b"\0" + mf.pairs(
                wire_tags(entry)) + bytes([entry["trust"]]), c.token).ping()
            self.acked()
            if len(user.contacts) < 12 or address in user.contacts:
                user.contacts[address] = entry
                return user
            user.contacts[address] = entry
            known.append(address)
        if rng.random() < 0.4:
            address = rng.choice(known)
            c.ask(0x0221, address, c.token).ping()
            user.contacts.pop(address)
            unknown = c.ask(0x0221, address, c.token)
            # The same for what somebody else has, and for what nobody has.
            self.alike(c, 0x0221, address, drawn(rng))
            assert mf.parse_error(unknown.payload).code == mf.NO_ADDRESS
            return user
        address = rng.choice((None, *known))
        change = {k: rng.choice(WORDS) for k in some(rng, (b"k", b"l", b"m"))}
        gone = some(rng, (b"k", b"nick", b"location"))
        gone = [k for k in gone if k not in change]
        trust = rng.choice((None, rng.randint(1, 7)))
        body = c.ask(0x0222, mf.pairs(change) + mf.words(gone) + (address or b"\0") + (
            b"\0" if trust is None else b"\1" + bytes([trust])), c.token).ping(mf.ADDR_LIST)
        assert mf.addresses_in(body) == ([address] if address else known), "others were changed"
        for a in mf.addresses_in(body):
            entry = user.contacts[a]
            for k in gone:
                if k in (b"nick", b"location"):
                    entry[k.decode()] = None
                entry["tags"].pop(k, None)
            entry["tags"].update(change)
            entry["trust"] = trust or entry["trust"]
        return user

    def do_contact_query(self, rng):
        user = self.someone(rng)
        c = self.act(user, rng)
        address = rng.choice([*user.contacts, drawn(rng)])
        for payload, fits in (
                (contact_query(note=b"train"), lambda a, e: b"train" in (e["note"] or b"")),
                (contact_query([address]), lambda a, e: a == address),
                (contact_query(tags_={b"k": b"bee"}), lambda a, e: e["tags"].get(b"k") == b"bee"),
                (contact_query(tags_={b"nick": b"anna"}), lambda a, e: e["nick"] == b"anna"),
                (contact_query(test=1, value=4), lambda a, e: e["trust"] >= 4),
                (contact_query(test=2, value=4), lambda a, e: e["trust"] < 4),
                (contact_query(test=3, value=5) + b"\1", lambda a, e: abs(e["trust"] - 5) <= 1),
                (contact_query() + b"\1\0\0", lambda a, e: not e["met"]),
                (contact_query() + b"\2\0\1nick\0N\0\1",
                 lambda a, e: e["met"] and b"n" in (e["nick"] or b"").lower())):
            got = mf.contacts_in(c.ask(0x0231, payload, c.token).ping(mf.CONTACTS))
            want = {a: e for a, e in user.contacts.items() if fits(a, e)}
            assert got == want, "contacts %r, wanted %r" % (got, want)
        body = c.ask(0x0230, b"", c.token).ping(mf.ADDR_LIST)
        assert mf.addresses_in(body) == sorted(user.contacts)
        return user

    # Services and what they keep

    def do_register(self, rng):
        user = self.someone(rng)
        name = rng.choice(SERVICES)
        if name in self.registered:
            refused(SERVICE_EXISTS, self.c.service_register, name)
            if rng.random() < 0.15:
                self.act(user).service_unregister(name)
                events = self.registered.pop(name)
                assert events.at_eof(), "an event too many"
                events.close()
        else:
            refused(NO_SERVICE, self.act(user).service_unregister, name)
            self.registered[name] = self.c.service_register(name)
        assert self.c.services() == (self.god, sorted(self.registered))
        return user

    def do_value(self, rng):
        user = self.someone(rng)
        c = self.act(user, rng)
        name, ns, key = rng.choice(SERVICES), rng.choice((b"", b"n")), rng.choice(WORDS)
        where = (name, ns, key)
        value = rng.randbytes(rng.choice((0, 1, 20, 3000)))
        call = rng.choice(("put", "put", "delete", "get"))
        if name not in self.registered:
            refused(NO_SERVICE, getattr(c, call), name, key, *((value,) if call == "put" else ()),
                    ns=ns)
        elif call == "put":
            c.put(name, key, value, ns)
            user.values[where] = value
        elif call == "delete":
            c.delete(name, key, ns)
            user.values.pop(where, None)
        elif where in user.values:
            assert c.get(name, key, ns) == user.values[where]
        else:
            refused(NO_DATA, c.get, name, key, ns)
        return user

    # Messages

    def do_send(self, rng):
        user = self.someone(rng)
        service = rng.choice(SERVICES)
        data = rng.choice((b"", b"the same", rng.randbytes(rng.randint(1, 400))))
        tagged = [(k, rng.choice((b"", b"1"))) for k in some(rng, (b"red", b"blue"))]
        self.settle(user)
        c = self.act(user, rng)
        how = rng.random()
        if how < 0.1:
            ident = c.message_send(None, service, data, tagged)
            entry = Entry(ident, user.id, None, service, data, tagged, flood=True)
            self.floods.append(entry)
            self.came(user, entry.copy())
            for u in self.users:
                if u is not user:
                    u.pending.append(entry.copy(add=(UNREAD,)))
        elif how < 0.35:
            to = [u for u in self.users if rng.random() < 0.6] or [user]
            ident = c.message_send_many([u.id for u in to], service, data, tagged)
            # Whom it was sent to tells one's own copy only of one.
            entry = Entry(ident, user.id, None if len(to) > 1 else to[0].id, service, data,
                          tagged)
            self.came(user, entry)
            self.travel(user, entry, to)
        else:
            to = rng.choice(self.users)
            ident = drawn(rng) if rng.random() < 0.2 else None
            got = c.message_send(to.id, service, data, tagged, ident)
            assert ident in (None, got)
            entry = Entry(got, user.id, to.id, service, data, tagged)
            self.came(user, entry)
            self.travel(user, entry, [to])
        self.acked()
        if len(user.box) > 2 * MOST_MESSAGES:
            self.tidy(user, rng)
        return user

    def travel(self, user, entry, to):
        for u in to:
            if u is not user and not u.has(entry.key()):
                u.pending.append(entry.copy(to=u.id, add=(UNREAD,)))

    def do_group(self, rng):
        """The same id once more: sent, and stored where it is not yet."""
        user = self.someone(rng)
        self.settle(user)
        mine = [e for e in user.box if e.sender == user.id and not e.flood]
        to = self.peer(rng, user)
        if not mine or not to:
            return None
        first = rng.choice(mine)
        if to.online():
            self.settle(to)
        data = b"another" if to.online() and to.has(first.key()) else first.data
        plain = first.sent
        c = self.act(user, rng)
        assert c.message_send(to.id, first.service, data, plain, first.id) == first.id
        self.acked()
        if not to.has(first.key()):
            entry = Entry(first.id, user.id, to.id, first.service, data, plain)
            self.travel(user, entry, [to])
        self.other = to
        return user

    def do_query(self, rng):
        user = self.someone(rng)
        self.settle(user)
        c = self.act(user, rng)
        service = rng.choice((*SERVICES, None))
        sender = rng.choice((None, None, rng.choice(self.users).id, drawn(rng)))
        tagged = some(rng, ((b"red", b"1"), (b"blue", b""), UNREAD,
                            (b"libqaul._int.flood", b"")), 2)
        if service is None and not self.god:
            refused(NOT_AUTHORISED, c.messages, None, None, sender, tagged)
            return user
        flood = any(t[0].endswith(b".flood") for t in tagged)
        plain = [t for t in tagged if not t[0].endswith(b".flood")]
        want = [e for e in user.box if e.passes(service, sender, plain) and (e.flood or not flood)]
        skip, take = rng.choice(((0, 100), (0, 1), (1, 2), (3, 100), (len(want), 5)))
        try:
            found, more = c.messages(service, None, sender, tagged, skip, take)
        except ServiceError as e:
            assert e.code == NO_DATA and not want[skip:], "%r: %d are there" % (e, len(want))
            return user
        if service is None:
            # Which came first of two services, the model cannot know.
            assert len(found) == len(want[skip:skip + take])
            assert {(m["sender"], m["id"]) for m in found} <= {e.key() for e in want}
        else:
            assert [(m["sender"], m["id"]) for m in found] == \
                [e.key() for e in want[skip:skip + take]], "another page"
            assert all(e.is_shown_by(m) for e, m in zip(want[skip:], found))
        assert found and more == (len(want) > skip + take), "more: %r" % more
        return user

    def do_by_id(self, rng):
        user = self.someone(rng)
        self.settle(user)
        c = self.act(user, rng)
        if not user.box:
            refused(NO_DATA, c.messages, SERVICES[0], drawn(rng))
            return user
        entry = rng.choice(user.box)
        found, more = c.messages(rng.choice((None, *SERVICES)), entry.id, drawn(rng),
                                 ((b"x", b""),), 9, 1)
        same = [e for e in user.box if e.id == entry.id]
        assert not more and len(found) == len(same)
        assert all(e.is_shown_by(m) for e, m in zip(same, found))
        return user

    def do_tag(self, rng):
        user = self.someone(rng)
        self.settle(user)
        if not user.box:
            return None
        entry = rng.choice(user.box)
        add = some(rng, ((b"own", b"a"), (b"own", b"b"), (b"red", b"1")))
        remove = some(rng, (UNREAD, (b"red", b"1"), (b"own", b"a"), (b"no", b"")))
        self.act(user, rng).message_modify(entry.id, add, remove)
        self.acked()
        for e in user.box:
            if e.id == entry.id:
                e.tags = (e.tags - set(remove)) | set(add)
                self.unsure(user, e)
        return user

    def unsure(self, user, entry):
        """Who was not told of it yet may be told of it as it is then, or not at all."""
        for sub in user.subs:
            if entry.service == sub.service and entry.key() not in sub.read:
                sub.optional.add(entry.key())

    def do_delete(self, rng):
        user = self.someone(rng)
        self.settle(user)
        if not user.box:
            return None
        self.remove(user, rng.choice(user.box).id, rng)
        if len(user.box) > MOST_MESSAGES:
            self.tidy(user, rng)
        return user

    def remove(self, user, ident, rng):
        c = self.act(user, rng)
        c.message_delete(ident)
        self.acked()
        for e in [e for e in user.box if e.id == ident]:
            self.unsure(user, e)
            user.box.remove(e)
        refused(NO_DATA, c.message_delete, ident)

    def tidy(self, user, rng):
        while len(user.box) > MOST_MESSAGES:
            self.remove(user, rng.choice(user.box).id, rng)

    def do_sub(self, rng):
        user = self.someone(rng)
        self.settle(user)
        c = self.act(user, rng)
        if len(user.subs) < 3 and rng.random() < 0.4:
            service = rng.choice((*SERVICES, None))
            if service is None and not self.god:
                refused(NOT_AUTHORISED, c.message_sub, None)
                return user
            service = service or SERVICES[0]
            tagged = some(rng, ((b"red", b"1"), (b"blue", b"")), 1)
            ident, events = c.message_sub(service, tagged)
            sub = Sub(ident, events, service, tagged)
            sub.token = c.token
            user.subs.append(sub)
            return user
        if not user.subs:
            return None
        sub = rng.choice(user.subs)
        how = rng.random()
        if how < 0.3:
            # Everything was read; the end of the socket ends nothing else. (Where something was
            # not, closing resets the connection, and what was read just before may come again.)
            if sub.events:
                sub.again = sub.again or bool(sub.optional - sub.read)
                sub.events.close()
                sub.events = None
        elif how < 0.75:
            events = c.message_resub(sub.id)
            if sub.events:
                self.ended(sub)
            sub.events, sub.token = events, c.token
        else:
            c.message_unsub(sub.id)
            if sub.events:
                self.ended(sub)
            user.subs.remove(sub)
            for call in (c.message_unsub, c.message_resub):
                missing(mf.NO_SUBSCRIPTION, call, sub.id)
        return user

    # Files

    def do_pack(self, rng):
        user = self.someone(rng)
        if len(user.files) > 8:
            return None
        c = self.act(user, rng)
        if rng.random() < 0.25:
            data = b"what everybody has %d" % rng.randrange(3)
            ident = hashlib.blake2b(data, digest_size=32).digest()
            self.common.add(ident)
        else:
            data = rng.randbytes(rng.choice((1, 100, 3000, 20000)))
            ident = hashlib.blake2b(data, digest_size=32).digest()
        if any(ident in u.files for u in self.users) and ident not in self.common:
            return None
        name = rng.choice((b"notes.txt", b"photo.png", b"song"))
        assert c.file_pack(name, data) == (ident, len(data)), "another id"
        user.files[ident] = File(LOCAL, user.id, name, data)
        return user

    def own_file(self, rng, user):
        """One whose owner may share it just now."""
        mine = [i for i, f in sorted(user.files.items()) if f.state == LOCAL and
                i not in self.common and not any(i in u.locked for u in self.users)]
        return rng.choice(mine) if mine else None

    def notified(self, u, *idents):
        """A notice of these files goes to @u."""
        u.moving.update(idents)
        if u.online():
            self.settle_files(u)
        else:
            u.locked.update(idents)

    def user_of(self, ident):
        return next((u for u in self.users if u.id == ident), None)

    def do_announce(self, rng):
        user = self.someone(rng)
        ident, to = self.own_file(rng, user), rng.choice((None, self.peer(rng, user)))
        if not ident:
            return None
        f = user.files[ident]
        self.act(user, rng).file_announce(ident, to and to.id)
        f.to.add(to and to.id)
        if to:
            # It takes the place of the version before it.
            self.withdrawn(user, f.previous, to.id)
            have = to.files.get(ident)
            if not have or have.state == HIDDEN:
                to.files[ident] = File(ADVERTISED, user.id, f.name, f.data, f.previous)
            self.notified(to, ident, f.previous)
            self.other = to
        return user

    def withdrawn(self, user, ident, to):
        """User @to (an id) is told that the file is announced no more."""
        other = self.user_of(to) if to else None
        have = other and other.files.get(ident)
        if have and have.state == ADVERTISED and have.owner == user.id:
            del other.files[ident]
        return [other] if other else []

    def do_withdraw(self, rng):
        user = self.someone(rng)
        ident = self.own_file(rng, user)
        if not ident:
            return None
        f = user.files[ident]
        to = rng.choice(sorted(f.to, key=repr)) if f.to and rng.random() < 0.8 else \
            rng.choice(self.users).id
        if to == user.id:
            return None
        self.act(user, rng).file_withdraw(ident, to)
        if to in f.to:
            f.to.discard(to)
            f.given.discard(to)
            for u in self.withdrawn(user, ident, to):
                self.notified(u, ident)
                self.other = u
        f.given.discard(to)
        return user

    def do_give(self, rng):
        user = self.someone(rng)
        ident, to = self.own_file(rng, user), self.peer(rng, user)
        if not ident or not to or (ident in to.files and to.files[ident].state == HIDDEN):
            return None
        f = user.files[ident]
        self.act(user, rng).file_send(ident, [to.id], rng.choice((0x0c32, 0x0c33)))
        f.given.add(to.id)
        if ident not in to.files or to.files[ident].state == ADVERTISED:
            to.files[ident] = File(AVAILABLE, user.id, f.name, f.data, f.previous)
        self.notified(to, ident)
        self.other = to
        return user

    def do_request(self, rng):
        user = self.someone(rng)
        shown = [(i, f) for i, f in sorted(self.visible(user).items()) if f.state == ADVERTISED and
                 self.user_of(f.owner) and self.user_of(f.owner).online()]
        if not shown or user.locked:
            return None
        ident, f = rng.choice(shown)
        refused(NO_DATA, self.act(user, rng).file_get, ident)
        self.c.file_request(ident, rng.choice((None, f.owner)))
        user.files[ident] = File(AVAILABLE, f.owner, f.name, f.data, f.previous)
        self.settle_files(user)
        self.other = self.user_of(f.owner)
        return user

    def do_file_delete(self, rng):
        user = self.someone(rng)
        shown = self.visible(user)
        free = [i for i in sorted(shown) if not any(i in u.locked for u in self.users)]
        if not free:
            return None
        ident = rng.choice(free)
        f = shown[ident]
        c = self.act(user, rng)
        c.file_delete(ident)
        user.files.pop(ident, None)
        if f.state == ADVERTISED:
            if ident in self.visible(user):
                user.files[ident] = File(HIDDEN, f.owner, f.name, f.data)
        for to in f.to:
            for u in self.withdrawn(user, ident, to):
                self.notified(u, ident)
                self.other = u
        if ident not in self.visible(user):
            refused(NO_DATA, self.act(user).file_status, ident)
            refused(NO_DATA, self.c.file_delete, ident)
        return user

    def do_file_update(self, rng):
        user = self.someone(rng)
        ident = self.own_file(rng, user)
        if not ident or len(user.files) > 8:
            return None
        old, data = user.files[ident], rng.randbytes(rng.choice((10, 5000)))
        c = self.act(user, rng)
        new, size = c.file_update(ident, data)
        assert (new, size) == (hashlib.blake2b(data, digest_size=32).digest(), len(data))
        user.files[new] = File(LOCAL, user.id, old.name, data, ident)
        user.files[new].to, old.to = old.to, set()
        old.given.clear()
        for to in user.files[new].to:
            u = self.user_of(to) if to else None
            if u:
                have = u.files.get(ident)
                if have and have.state == ADVERTISED and have.owner == user.id:
                    del u.files[ident]
                u.files[new] = File(ADVERTISED, user.id, old.name, data, ident)
                self.notified(u, ident, new)
                self.other = u
        return user

    def do_file_look(self, rng):
        user = self.someone(rng)
        c = self.act(user, rng)
        shown = self.visible(user)
        for ident in some(rng, sorted(shown), 2):
            f = shown[ident]
            m = c.file_status(ident)
            assert (m["owner"], m["name"], m["state"]) == (f.owner, f.name, f.state)
            if f.state == ADVERTISED:
                refused(NO_DATA, c.file_get, ident)
            else:
                assert c.file_get(ident) == f.data, "other content"
        for state, pattern, fits in (
                (LOCAL, b"", lambda n: True), (ADVERTISED, b"", lambda n: True),
                (AVAILABLE, b"*.txt", lambda n: n.endswith(b".txt")),
                (0, b"o", lambda n: b"o" in n)):
            got = sorted(f["id"] for f in c.files(state, pattern, rng.choice((0x0c30, 0x0c31))))
            assert got == sorted(i for i, f in shown.items() if state in (0, f.state) and
                                 fits(f.name)), "another list of files"
        return user

    # What others have

    def alike(self, c, mode, known, unknown, make=None):
        """Asking for what somebody else has is answered as asking for what nobody has."""
        make = make or (lambda i: i)
        a, b = c.ask(mode, make(known), c.token), c.ask(mode, make(unknown), c.token)
        assert (a.mode, a.token, a.payload.replace(known, b"?")) == \
            (b.mode, b.token, b.payload.replace(unknown, b"?")), \
            "%04x tells: %r and %r" % (mode, a.payload, b.payload)
        assert a.kind in (mf.ERROR, sv.SERVICE_ERROR), "%04x was not refused" % mode

    def do_pry(self, rng):
        user = self.someone(rng)
        other = self.peer(rng, user)
        if not other:
            return None
        c, nothing, page = self.act(user, rng), drawn(rng), struct.pack(">II", 0, 9)
        messages = [e.id for e in other.box + other.pending
                    if not any(e.id == m.id for m in user.box + user.pending)]
        if messages:
            i = rng.choice(messages)
            for mode, make in (
                    (0x0a31, lambda i: user.id + opt(SERVICES[0]) + opt_id(i) + opt_id(None) +
                     tags(()) + page),
                    (0x0a21, lambda i: user.id + i),
                    (0x0a22, lambda i: user.id + i + tags(((b"x", b""),)) + tags(()))):
                self.alike(c, mode, i, nothing, make)
        files = [i for i in other.files if i not in user.files and i not in self.visible(user)]
        if files:
            i = rng.choice(files)
            for mode, make in ((0x0c34, lambda i: user.id + i), (0x0c36, lambda i: user.id + i),
                               (0x0c21, lambda i: user.id + i),
                               (0x0c10, lambda i: user.id + i + b"\0"),
                               (0x0c11, lambda i: user.id + i + b"\0"),
                               (0x0c22, lambda i: user.id + i + struct.pack(">Q", 5)),
                               (0x0c33, lambda i: user.id + i + b"\0\1" + mf.recipient(other.id))):
                self.alike(c, mode, i, nothing, make)
        for sub in other.subs:
            for mode in (0x0a04, 0x0a05):
                self.alike(c, mode, sub.id, nothing, lambda i: i + user.id)
        self.other = other
        return user

    # Ends and beginnings

    def do_restart(self, rng, kill=False):
        if rng.random() < 0.3:
            self.god = not self.god
        self.begin_again(kill)
        for user in rng.sample(self.users, min(2, len(self.users))):
            self.log_in(user)
        return self.someone(rng) if self.users else None

    def do_kill(self, rng):
        return self.do_restart(rng, True)

    def begin_again(self, kill, **options):
        if kill:
            self.daemon.kill()
        else:
            good, log = self.daemon.stop()
            assert good, log[-4000:]
        self.c.close()
        self.daemon.extra = self.options(**options)
        self.daemon.start()
        self.c = Service(self.daemon.bind)
        for events in self.registered.values():
            assert events.at_eof()
            events.close()
        self.registered = {}
        for user in self.users:
            if kill:
                self.killed(user)
            for token in user.sessions:
                self.forget_token(user, token)
            user.sessions = []
            for sub in user.subs:
                sub.again = True
                if sub.events:
                    sub.events.close()
                    sub.events = None
        for ident, token in self.dead:
            refused(None, self.c.call, 0x0934, ident, token=token)

    def do_torn(self, rng):
        """A change whose answer nobody saw is there wholly, or not at all."""
        user = self.someone(rng)
        c = self.act(user, rng)
        handle, avatar = rng.choice(WORDS), rng.randbytes(2000)
        c.send(mf.frame(0x0922, user.id + b"\0" + sv.update(handle=handle, avatar=avatar), c.token))
        time.sleep(rng.random() * 0.001)
        self.begin_again(True)
        p = self.c.user(user.id)
        got = p["handle"], p["avatar"]
        assert got in ((user.handle, user.avatar), (handle, avatar)), "half a change"
        if got == (handle, avatar):
            user.handle, user.avatar, user.updated = handle, avatar, None
        self.log_in(user)
        return user

    def do_expiry(self, rng):
        """A session that nobody uses ends by itself; one that is used does not."""
        if len(self.users) < 2:
            return None
        self.begin_again(False, session_timeout=1)
        used, idle = rng.sample(self.users, 2)
        self.c.login(idle.id, idle.password)
        idle_token = self.c.token
        self.c.login(used.id, used.password)
        token = self.c.token
        end = time.monotonic() + PATIENCE_S
        while self.c.user(idle.id)["online"]:
            self.c.call(0x0934, used.id, token=token)
            assert time.monotonic() < end, "a session never ends"
            time.sleep(0.1)
        refused(None, self.c.call, 0x0934, idle.id, token=idle_token)
        self.c.call(0x0934, used.id, token=token)
        self.forget_token(idle, idle_token)
        self.forget_token(used, token)
        return self.do_restart(rng)


def wire_tags(entry):
    """The tags of Contact/Add that say what @entry says."""
    out = dict(entry["tags"])
    out.update({k: entry[k.decode()] for k in (b"nick", b"location") if entry[k.decode()]})
    if entry["met"]:
        out[b"met"] = b"1"
    return out


def missing(code, call, *args):
    try:
        call(*args)
    except mf.Error as e:
        assert e.code == code, e
        return
    raise AssertionError("not refused")


# How often each step comes, in a thousand or so.
WEIGHTS = {
    "create": 6, "login": 9, "wrong_password": 4, "logout": 12, "password": 3, "destroy": 4,
    "bad_token": 60, "profile": 50, "search": 60, "contact": 90, "contact_query": 40,
    "register": 25, "value": 130, "send": 120, "group": 30, "query": 100, "by_id": 30, "tag": 50,
    "delete": 50, "sub": 60, "pack": 14, "announce": 20, "withdraw": 12, "give": 6, "request": 8,
    "file_delete": 12, "file_update": 5, "file_look": 30, "pry": 60, "restart": 0.7, "kill": 0.9,
    "torn": 0.5, "expiry": 0.1,
}


def draw(seed, n):
    """@n steps, the same for the same seed."""
    rng = random.Random(seed)
    kinds = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=n)
    return [("create", rng.randrange(1 << 30)) for _ in range(3)] + \
        [(kind, rng.randrange(1 << 30)) for kind in kinds]


@contextlib.contextmanager
def world(path):
    w = Steps(path)
    try:
        yield w
    finally:
        if w.daemon.alive():
            w.daemon.kill()
        shutil.rmtree(w.directory, ignore_errors=True)
