# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles on the wire (service-api.md 7.3, namespace 09), for clients that know no session."""
import struct

import microframe as mf
from service import PROFILES, SERVICE_ERROR, Fields, service_error

KEEP, UNSET = b"\0", b"\2"


def string(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def put(text):
    return b"\1" + string(text)


def update(handle=KEEP, name=KEEP, avatar=KEEP, bio=(), unbio=(), services=()):
    """A UserUpdate of what may be wrong: encoded fields, @bio pairs, @services (1 or 2, name)."""
    return (handle + name + avatar +
            struct.pack(">H", len(bio)) + b"".join(string(k) + string(v) for k, v in bio) +
            struct.pack(">H", len(unbio)) + b"".join(string(k) for k in unbio) +
            struct.pack(">H", len(services)) + b"".join(bytes([w]) + string(s) for w, s in services))


def query(*terms, skip=0, take=1000):
    return (b"\1" + struct.pack(">H", len(terms)) +
            b"".join(string(a) + string(p) + bytes([m]) for a, p, m in terms) +
            struct.pack(">II", skip, take))


class Profile:
    """id, handle, name, bio, services, avatar, local, online, updated; bio and services in order."""

    def __init__(self, r):
        self.__dict__.update(r.profile())
        assert self.bio == sorted(self.bio) and self.services == sorted(self.services)


def profiles_in(body):
    r = Fields(body)
    out = [Profile(r) for _ in range(r.number("H"))]
    r.done()
    return out


def ask(c, mode, payload=b"", token=None, want=mf.OK):
    """An exchange of the Service API: the reply echoes mode and token."""
    f = c.ask(mode, payload, token)
    assert f.mode == mode and f.token == token, "mode %04x" % f.mode
    if f.kind == SERVICE_ERROR:
        raise service_error(f)
    return f.ping(want)


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
        r = Fields(f.payload)
        p = Profile(r)
        r.done()
        return p
