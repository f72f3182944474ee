# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles on the wire (service-api.md 7.3, namespace 09), written from the description alone."""
import re
import struct

import microframe as mf

PROFILES, SERVICE_ERROR = 0x22, 0x20
NO_USER, INVALID_QUERY, INVALID_PAYLOAD = 1, 4, 6
EXACT, SUBSTRING, FUZZY, PREFIX = 0, 1, 2, 3
LOCAL, REMOTE, BOTH = 0, 1, 2
KEEP, UNSET = b"\0", b"\2"


def blob(data):
    return struct.pack(">I", len(data)) + data


def string(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def put(text):
    return b"\1" + string(text)


def update(handle=KEEP, name=KEEP, avatar=KEEP, bio=(), unbio=(), services=()):
    """A UserUpdate; @bio pairs, @services (1 or 2, name)."""
    return (handle + name + avatar +
            struct.pack(">H", len(bio)) + b"".join(string(k) + string(v) for k, v in bio) +
            struct.pack(">H", len(unbio)) + b"".join(string(k) for k in unbio) +
            struct.pack(">H", len(services)) + b"".join(bytes([w]) + string(s) for w, s in services))


def query(*terms, skip=0, take=1000):
    return (b"\1" + struct.pack(">H", len(terms)) +
            b"".join(string(a) + string(p) + bytes([m]) for a, p, m in terms) +
            struct.pack(">II", skip, take))


class Profile:
    def __init__(self, r):
        assert r.number("B") == 1, "version of the record"
        self.id = r.take(32)
        self.handle, self.name = r.option(), r.option()
        self.bio = [(r.string(), r.string()) for _ in range(r.number("H"))]
        self.services = [r.string() for _ in range(r.number("H"))]
        self.avatar = r.take(r.number("I"))
        flags = r.number("B")
        assert flags < 4
        self.local, self.online = bool(flags & 1), bool(flags & 2)
        self.time = r.take(35)
        assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00", self.time)
        assert self.bio == sorted(self.bio) and self.services == sorted(self.services)


def profiles_in(body):
    r = mf.Reader(body)
    out = [Profile(r) for _ in range(r.number("H"))]
    r.done()
    return out


class ServiceError(Exception):
    def __init__(self, code, text):
        super().__init__("service error %d %s" % (code, text))
        self.code, self.text = code, text


def ping(f, want):
    if f.kind == SERVICE_ERROR:
        assert f.payload[-1:] == b"\0" and b"\0" not in f.payload[2:-1]
        raise ServiceError(f.payload[1], f.payload[2:-1].decode())
    return f.ping(want)


def ask(c, mode, payload=b"", token=None, want=mf.OK):
    """An exchange of the Service API: the reply echoes mode and token."""
    f = c.ask(mode, payload, token)
    assert f.mode == mode and f.token == token, "mode %04x" % f.mode
    return ping(f, want)


def listed(c, payload=b""):
    return profiles_in(ask(c, 0x0930, payload, None, PROFILES))


def found(c, *terms, **paging):
    return profiles_in(ask(c, 0x0931, query(*terms, **paging), None, PROFILES))


def get(c, ident):
    one, = profiles_in(ask(c, 0x0931, b"\0" + ident, None, PROFILES))
    assert one.id == ident
    return one


def modify(c, ident, token, **changes):
    ask(c, 0x0922, ident + b"\0" + update(**changes), token)


class Watch(mf.Line):
    """The socket of User/Sub."""

    def __init__(self, c, ident, token):
        body = ask(c, 0x0903, ident, token, mf.SUBSCRIPTION)
        assert body[-1] == 0
        self.ident, self.token, self.bind = body[:32], token, body[32:-1].decode()

    def connect(self):
        super().__init__(self.bind)
        return self

    def next(self):
        f = self.frame()
        assert f.mode == 0x0922 and f.token == self.token
        r = mf.Reader(f.payload)
        p = Profile(r)
        r.done()
        return p
