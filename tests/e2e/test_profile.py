#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""User/List, Query, Modify of a profile, Sub and Unsub (service-api.md R5, R12 to R16)."""
import calendar
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import profiles as pr  # noqa: E402
import service  # noqa: E402
from harness import Bystander, connect, refused, test, user, wait_until  # noqa: E402
from profiles import UNSET, put  # noqa: E402
from service import EXACT, FUZZY, PREFIX, SUBSTRING  # noqa: E402


def service_refused(code, words, call, *args, **more):
    try:
        call(*args, **more)
    except service.ServiceError as e:
        assert e.code == code, "service error %d (%s), wanted %d" % (e.code, e.text, code)
        assert words in e.text, e.text
        return
    raise AssertionError("not refused")


def person(**changes):
    """A client with an address that has a profile."""
    c, a, t = user()
    pr.modify(c, a, t, **changes)
    return c, a, t


def handles(profiles):
    return [p.handle for p in profiles]


@test
def bytes_of_a_profile():
    c, a, t = user()
    # Not a user until there is a profile.
    f = c.ask(0x0931, b"\0" + a)
    assert f.mode == 0x0931 and f.token is None and f.payload[:2] == b"\x20\x01"
    f = c.ask(0x0922, a + b"\0" + b"\1ali\0" b"\1\0" b"\1\0\0\0\2\xff\0" b"\0\1k\0v\0" b"\0\0"
              b"\0\2\1b.s\0\1a.s\0", t)
    assert f.mode == 0x0922 and f.token == t and f.payload == b"\1"
    f = c.ask(0x0931, b"\0" + a)
    assert f.mode == 0x0931 and f.token is None
    body = f.payload
    assert body[:-35] == (b"\x22\0\1" b"\1" + a + b"\1ali\0" b"\1\0" b"\0\1k\0v\0"
                          b"\0\2a.s\0b.s\0" b"\0\0\0\2\xff\0" b"\3")
    assert abs(seconds(body[-35:]) - time.time()) < 60


def seconds(stamp):
    return calendar.timegm(time.strptime(stamp[:19].decode(), "%Y-%m-%dT%H:%M:%S"))


@test
def fields_are_set_kept_and_unset():
    c, a, t = person(handle=put("ali"), name=put("Ali A."), avatar=b"\1" + service.blob(b"png"),
                     bio=[("city", "Bonn"), ("zip", "5")], services=[(1, "x"), (1, "y")])
    first = pr.get(c, a)
    pr.modify(c, a, t, name=UNSET, bio=[("zip", "53111"), ("new", "")], unbio=["city", "none"],
              services=[(2, "x"), (1, "z"), (2, "none")])
    p = pr.get(c, a)
    assert p.handle == b"ali" and p.name is None and p.avatar == b"png"
    assert p.bio == [(b"new", b""), (b"zip", b"53111")]
    assert p.services == [b"y", b"z"]
    assert p.local and p.online and p.updated > first.updated
    # The text may be there and empty.
    pr.modify(c, a, t, handle=put(""), avatar=UNSET)
    p = pr.get(c, a)
    assert p.handle == b"" and p.avatar == b""
    pr.modify(c, a, t, handle=UNSET)
    assert pr.get(c, a).handle is None


@test
def all_or_nothing():
    c, a, t = person(handle=put("whole"), bio=[("k%d" % i, "v") for i in range(64)])
    full = [("one more", "v")]
    service_refused(service.INVALID_PAYLOAD, "bio 64 pairs", pr.modify, c, a, t, handle=put("half"),
                    bio=full)
    assert pr.get(c, a).handle == b"whole"
    pr.modify(c, a, t, handle=put("room"), bio=full, unbio=["k0"])
    assert pr.get(c, a).handle == b"room" and len(pr.get(c, a).bio) == 64


@test
def limits_are_said():
    c, a, t = person(handle=put("h" * 64), name=put("n" * 128), avatar=b"\1" + service.blob(bytes(32768)),
                     bio=[("%03d" % i, "v" * 123) for i in range(64)],
                     services=[(1, "%02d" % i + "s" * 61) for i in range(64)])
    assert len(pr.get(c, a).avatar) == 32768 and len(pr.get(c, a).bio) == 64
    for changes in ({"handle": put("h" * 65)}, {"name": put("n" * 129)},
                    {"avatar": b"\1" + service.blob(bytes(32769))}, {"bio": [("x", "")]},
                    {"services": [(1, "x")]}):
        service_refused(service.INVALID_PAYLOAD, "too large", pr.modify, c, a, t, **changes)
    for changes in ({"handle": put(b"\xff")}, {"bio": [("", "v")]}, {"bio": [("k", b"\xc3")]},
                    {"services": [(1, "")]}, {"services": [(3, "s")]}, {"avatar": b"\3"}):
        service_refused(service.INVALID_PAYLOAD, "UTF-8", pr.modify, c, a, t, **changes)
    service_refused(service.INVALID_PAYLOAD, "once", pr.modify, c, a, t, bio=[("d", "1"), ("d", "2")])
    service_refused(service.INVALID_PAYLOAD, "UserUpdate", pr.ask, c, 0x0922,
                    a + b"\0" + pr.update() + b"x", t)
    assert pr.get(c, a).handle == b"h" * 64


@test
def only_the_owner_changes_it():
    c, a, t = person(handle=put("mine"))
    d, b, u = person(handle=put("yours"))
    change = a + b"\0" + pr.update(handle=put("stolen"))
    for token in (None, u, b"\1" * 32):
        f = d.ask(0x0922, change, token)
        assert f.mode == 0x0922 and f.token == token
        refused(mf.INVALID_AUTH, f.ping)
    assert pr.get(d, a).handle == b"mine"
    c.down(a, t)
    refused(mf.INVALID_AUTH, c.ask(0x0922, change, t).ping)
    p = pr.get(d, a)
    assert p.handle == b"mine" and p.local and not p.online


@test
def list_has_local_users():
    c, a, _ = person(handle=put("listed"))
    bare = connect()
    ids = [p.id for p in pr.listed(bare)]
    assert a in ids and len(ids) == len(set(ids))
    assert [p.id for p in pr.listed(bare, b"\0")] == ids
    assert [p.id for p in pr.listed(bare, b"\2")] == ids
    assert pr.listed(bare, b"\1") == []
    for wrong in (b"\3", b"\0\0", b"\0" + bytes(7)):
        service_refused(service.INVALID_QUERY, "scope", pr.ask, bare, 0x0930, wrong, None, pr.PROFILES)
    # Pages, in the order of coming.
    page = [pr.listed(bare, b"\0" + struct.pack(">II", i, 1))[0].id for i in range(len(ids))]
    assert page == ids and ids[-1] == a
    assert pr.listed(bare, b"\0" + struct.pack(">II", len(ids), 1)) == []
    assert pr.listed(bare, b"\0" + struct.pack(">II", 0, 0)) == []


@test
def unknown_is_no_user():
    c = connect()
    service_refused(service.NO_USER, "id", pr.get, c, b"\5" * 32)
    # An address without a profile is not a user.
    c, a, _ = user()
    service_refused(service.NO_USER, "id", pr.get, c, a)


@test
def destroyed_is_gone():
    c, a, t = person(handle=put("short-lived"))
    c.destroy(a, t)
    service_refused(service.NO_USER, "id", pr.get, c, a)
    assert pr.found(c, ("handle", "short-lived", EXACT)) == []


def match(c, attribute, pattern, how):
    return sorted(h.decode() for h in handles(pr.found(c, (attribute, pattern, how))) if h)


@test
def matches():
    c, _, _ = person(handle=put("Searched One"), name=put("Erika Mustermann"),
                     bio=[("Location", "Köln-Ehrenfeld"), ("pronouns", "she/her")],
                     services=[(1, "net.example.chat")])
    person(handle=put("searched two"), name=put("Max"), bio=[("location", "KÖLN"), ("car", "")])
    one, two = "Searched One", "searched two"
    for attribute, pattern, how, want in (
            ("handle", "searched one", EXACT, [one]),
            ("HANDLE", "SEARCHED ONE", EXACT, [one]),
            ("handle", "searched", EXACT, []),
            ("handle", "searched", PREFIX, [one, two]),
            ("handle", "earched", PREFIX, []),
            ("handle", "arched o", SUBSTRING, [one]),
            ("handle", "sarched", FUZZY, [one, two]),
            ("handle", "serached tow", FUZZY, []),
            ("handle", "serached two", FUZZY, [two]),
            ("display_name", "musterman", SUBSTRING, [one]),
            ("display_name", "Mustremann", FUZZY, [one]),
            ("display_name", "mutsrman", FUZZY, []),
            ("location", "köln", EXACT, [two]),
            ("location", "KöLN", PREFIX, [one, two]),
            ("Location", "ehrenfelt", FUZZY, [one]),
            ("location", "", SUBSTRING, [one, two]),
            ("car", "", EXACT, [two]),
            ("car", "", SUBSTRING, [two]),
            ("services", "net.example.chat", EXACT, [one]),
            ("services", "EXAMPLE", SUBSTRING, [one]),
            ("", "she/her", EXACT, [one]),
            ("", "pronoun", PREFIX, [one]),
            ("pronoun", "she/her", EXACT, [])):
        got = [h for h in match(c, attribute, pattern, how) if h in (one, two)]
        assert got == want, "%s %s %d: %s" % (attribute, pattern, how, got)


@test
def letters_of_other_alphabets():
    c, _, _ = person(handle=put("alphabets"), bio=[
        ("greek", "ΟΔΥΣΣΕΥΣ"), ("turkish", "ISPARTA İzmir"), ("german", "Straße"), ("russian", "Привет")])
    for key, pattern, how, want in (
            ("greek", "οδυσσευς", EXACT, True),     # final sigma is a sigma
            ("greek", "οδυσσευσ", EXACT, True),
            ("turkish", "ısparta", PREFIX, True),   # the dotless i is an i
            ("turkish", "izmir", SUBSTRING, True),
            ("german", "STRAßE", EXACT, True),
            ("german", "STRASSE", EXACT, False),    # simple folding: one letter for one
            ("german", "strasse", FUZZY, False),
            ("russian", "ПРИВЕТ", EXACT, True),
            ("russian", "привт", FUZZY, True)):
        assert (match(c, key, pattern, how) == ["alphabets"]) == want, (key, pattern, how)


@test
def ids_are_found():
    c, a, _ = person(handle=put("by id"))
    text = a.hex().upper()
    dashed = "-".join(text[i:i + 4] for i in range(0, 64, 4))
    for pattern, how, want in ((dashed, EXACT, True), (text, EXACT, True), (dashed[:12], PREFIX, True),
                               (text[:10].lower(), PREFIX, True), (text[5:25], SUBSTRING, True),
                               (text[5:25], EXACT, False), ("", SUBSTRING, True)):
        assert ("by id" in match(c, "id", pattern, how)) == want, (pattern, how)
    # A whole one is found without saying where, a piece of one is not.
    assert match(c, "", dashed, EXACT) == ["by id"] and match(c, "", text[:20], PREFIX) == []


@test
def terms_and_pages():
    everybody = []
    for i in range(12):
        c, a, _ = person(handle=put("paged %02d" % i), bio=[("parity", "even" if i % 2 == 0 else "odd")])
        everybody.append(a)
    both = (("handle", "paged", PREFIX), ("parity", "odd", EXACT))
    assert [p.id for p in pr.found(c, *both)] == everybody[1::2]
    assert [p.id for p in pr.found(c, *both, skip=2, take=3)] == everybody[5:11:2]
    assert pr.found(c, *both, skip=6) == [] and pr.found(c, *both, take=0) == []
    assert pr.found(c, *both, ("parity", "even", EXACT)) == []
    # No term at all is everybody.
    assert [p.id for p in pr.found(c)][-12:] == everybody


@test
def queries_that_are_none():
    c = connect()
    for payload in (b"\0" * 12, b"\2" + bytes(32), b"\0" + bytes(33),
                    pr.query(("handle", "x", 4)), pr.query(("handle", b"\xff", 0)),
                    pr.query(("handle", "x", 0)) + b"x", pr.query(("handle", "x", 0))[:-1]):
        service_refused(service.INVALID_QUERY, "terms", pr.ask, c, 0x0931, payload, None, pr.PROFILES)
    for payload in (pr.query(*[("handle", "x", 0)] * 17), pr.query(("handle", "x" * 257, 0))):
        service_refused(service.INVALID_QUERY, "at most", pr.ask, c, 0x0931, payload, None, pr.PROFILES)
    assert pr.found(c, *[("handle", "x" * 256, 0)] * 16) == []
    refused(mf.USER, c.ask(0x0931, b"\1" + bytes(9)).ping)


@test
def a_page_has_what_fits():
    ids = []
    for i in range(10):
        c, a, t = person(handle=put("picture"), avatar=b"\1" + service.blob(os.urandom(32768)))
        ids.append(a)
    got, pages = [], 0
    while True:
        page = pr.found(c, ("handle", "picture", EXACT), skip=len(got))
        if not page:
            break
        pages += 1
        assert sum(len(p.avatar) for p in page) <= 256 * 1024
        got += page
    assert [p.id for p in got] == ids and pages == 2
    for p in got:
        assert len(set(q.avatar for q in got)) == 10 and len(p.avatar) == 32768


@test
def changes_are_told():
    c, a, t = person(handle=put("watched"))
    d, b, u = user()
    w = pr.Watch(d, b, u)
    assert 0 not in w.ident
    # From the answer on, whether anybody has connected or not.
    pr.modify(c, a, t, name=put("before"))
    w.connect()
    p = w.next()
    assert p.id == a and p.name == b"before" and p.local and p.online
    for i in range(20):
        pr.modify(c, a, t, name=put("change %d" % i))
        assert w.next().name == b"change %d" % i
    # The own change, too; nothing twice.
    pr.modify(d, b, u, handle=put("watcher"))
    assert w.next().id == b
    f = d.ask(0x0905, w.ident + b, u)
    assert f.mode == 0x0905 and f.token == u and f.payload == b"\1"
    assert w.at_eof()
    f = d.ask(0x0905, w.ident + b, u)
    refused(mf.NO_SUBSCRIPTION, f.ping)
    assert f.mode == 0x0905 and f.token == u


@test
def who_does_not_read_gets_the_newest():
    c, a, t = person(handle=put("busy"))
    d, b, u = user()
    w = pr.Watch(d, b, u).connect()
    picture = [os.urandom(32768) for _ in range(3)]
    for i in range(300):
        pr.modify(c, a, t, name=put("%d" % i), avatar=b"\1" + service.blob(picture[i % 3]))
    n, p = 0, w.next()
    while p.name != b"299":
        n, p = n + 1, w.next()
    assert p.avatar == picture[299 % 3] and n < 299


@test
def subscriptions_end():
    c, a, t = person(handle=put("events"))
    # With its address.
    d, b, u = user()
    w, pending = pr.Watch(d, b, u).connect(), pr.Watch(d, b, u)
    pr.modify(c, a, t, name=put("1"))
    assert w.next().name == b"1"
    d.down(b, u)
    assert w.at_eof()
    try:
        pending.connect()
        assert pending.at_eof()
    except ConnectionError:
        pass
    # By its id before anybody has connected; of another address it is none.
    d.up(b, u)
    w = pr.Watch(d, b, u)
    refused(mf.NO_SUBSCRIPTION, c.ask(0x0905, w.ident + a, t).ping)
    refused(mf.INVALID_AUTH, c.ask(0x0905, w.ident + b, t).ping)
    d.ask(0x0905, w.ident + b, u).ping()
    try:
        w.connect()
        assert w.at_eof()
    except ConnectionError:
        pass
    # With its socket: the daemon lets go.
    w = pr.Watch(d, b, u).connect()
    w.close()
    for i in range(3):
        pr.modify(c, a, t, name=put("again %d" % i))
    wait_until("it is gone", lambda: d.ask(0x0905, w.ident + b, u).kind == mf.ERROR)
    refused(mf.INVALID_AUTH, c.ask(0x0903, b, t).ping)


@test
def who_asks_and_leaves():
    c, a, t = person(handle=put("left behind"))
    for payload in (pr.query(("", "xyz", FUZZY)), pr.query()):
        for _ in range(20):
            d = connect()
            d.send(mf.frame(0x0931, payload))
            d.reset()
    assert pr.get(c, a).handle == b"left behind"


@test
def profiles_survive_a_crash():
    global_ids = []
    for i in range(5):
        c, a, t = person(handle=put("durable %d" % i), avatar=b"\1" + service.blob(b"pic%d" % i),
                         bio=[("i", "%d" % i)], services=[(1, "s%d" % i)])
        global_ids.append((a, t))
    before = [p.id for p in pr.listed(c)]
    harness.DAEMON.kill()
    harness.DAEMON.start()
    c = connect()
    assert [p.id for p in pr.listed(c)] == before      # in the same order
    for i, (a, t) in enumerate(global_ids):
        p = pr.get(c, a)
        assert p.handle == b"durable %d" % i and p.avatar == b"pic%d" % i and p.local
        assert p.bio == [(b"i", b"%d" % i)] and p.services == [b"s%d" % i]
        assert [q.id for q in pr.found(c, ("i", "%d" % i, EXACT), ("handle", "durabel", FUZZY))] == [a]
        c.up(a, t)
        assert pr.get(c, a).online
        pr.modify(c, a, t, avatar=UNSET)
        assert pr.get(c, a).updated > p.updated and pr.get(c, a).avatar == b""


@test
def killed_between_changes():
    """Whatever was confirmed is there, whole: handle and picture belong together."""
    c, a, t = person(handle=put("0"), avatar=b"\1" + service.blob(b"0" * 9000))
    for attempt in range(6):
        done = int(pr.get(c, a).handle)
        sent = done
        for i in range(1 + 7 * attempt):
            sent += 1
            c.send(mf.frame(0x0922, a + b"\0" + pr.update(
                handle=put("%d" % sent), avatar=b"\1" + service.blob(b"%d" % sent * 9000)), t))
        for i in range(3 * attempt):
            c.frame().ping()
            done += 1
        harness.DAEMON.kill()
        harness.DAEMON.start()
        c = connect()
        p = pr.get(c, a)
        assert done <= int(p.handle) <= sent
        assert p.avatar == p.handle * 9000
        c.up(a, t)


@test
def a_search_holds_nobody_up():
    for i in range(150):
        c, a, t = person(handle=put("crowd %d" % i), bio=[("text", "lorem ipsum dolor " * 50)])
    with Bystander():
        for _ in range(10):
            assert len(pr.found(c, ("text", "lorm ipsm", FUZZY))) >= 100


if __name__ == "__main__":
    sys.exit(harness.main())
