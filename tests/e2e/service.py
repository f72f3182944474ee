# SPDX-License-Identifier: GPL-2.0-or-later
"""
A byte-level client of the Service API (namespaces 09 to 0C), written from the protocol
description alone: encoders of every request, strict decoders of every reply.
"""
import re
import struct

from microframe import HELLO_EXTENDED, SEND_SOCKET, SUBSCRIPTION, Client, Error, Line, Reader, dial, \
    recipient

SERVICE_ERROR, USER_ID, PROFILES, MESSAGE_ID, MESSAGES = 0x20, 0x21, 0x22, 0x23, 0x24
VALUE, KEYS, SERVICES, FILE, FILES = 0x25, 0x26, 0x27, 0x2a, 0x2b

(NOT_AUTHORISED, NO_USER, CONTACT_EXISTS, NO_CONTACT, INVALID_QUERY, NO_DATA, INVALID_PAYLOAD,
 CALLBACK_TIMEOUT, NO_SIGN, BAD_SIGN, NETWORK_FAULT, NO_ROUTE, BAD_SERIALISE, NO_SERVICE,
 SERVICE_EXISTS, COMM_FAULT, IO_FAULT) = range(17)

EXACT, SUBSTRING, FUZZY, PREFIX = 0, 1, 2, 3
FLOOD, STD = 0, 1
TRUSTED, UNVERIFIED, INVALID = 0, 1, 2
LOCAL, AVAILABLE, IN_PROGRESS, ADVERTISED = 1, 2, 3, 4

KEEP = object()     # of an update: leave the field as it is


class ServiceError(Exception):
    """A ServiceError: code is the number, text what came with it."""

    def __init__(self, code, text):
        super().__init__("service error %d %s" % (code, text))
        self.code, self.text = code, text


def text(value):
    return value + b"\0"


def opt(value):
    return b"\0" if value is None else b"\1" + text(value)


def opt_id(value):
    return b"\0" if value is None else b"\1" + value


def blob(value):
    return struct.pack(">I", len(value)) + value


def tags(pairs):
    """u16 count of (str key, Vec<u8> value)"""
    out = struct.pack(">H", len(pairs))
    for key, value in pairs:
        out += text(key) + struct.pack(">H", len(value)) + value
    return out


def update(handle=KEEP, name=KEEP, avatar=KEEP, bio=(), rm_bio=(), services=(), rm_services=()):
    """A UserUpdate; None unsets a field."""
    out = b""
    for value, form in ((handle, text), (name, text), (avatar, blob)):
        out += b"\0" if value is KEEP else b"\2" if value is None else b"\1" + form(value)
    out += struct.pack(">H", len(bio)) + b"".join(text(k) + text(v) for k, v in bio)
    out += struct.pack(">H", len(rm_bio)) + b"".join(text(k) for k in rm_bio)
    out += struct.pack(">H", len(services) + len(rm_services))
    out += b"".join(b"\1" + text(s) for s in services)
    return out + b"".join(b"\2" + text(s) for s in rm_services)


class Fields(Reader):
    """Reader with the primitives of section 7.3; each has one encoding."""

    def flag(self):
        value = self.number("B")
        assert value < 2, "presence byte %d" % value
        return bool(value)

    def str(self):
        value = self.string()
        value.decode()
        return value

    def opt(self):
        return self.str() if self.flag() else None

    def opt_id(self):
        return self.take(32) if self.flag() else None

    def blob(self):
        return self.take(self.number("I"))

    def time(self):
        stamp = self.take(35)
        assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00", stamp), stamp
        return stamp

    def tags(self):
        return [(self.str(), self.take(self.number("H"))) for _ in range(self.number("H"))]

    def version(self):
        assert self.number("B") == 1, "record version"

    def profile(self):
        self.version()
        p = {"id": self.take(32), "handle": self.opt(), "name": self.opt()}
        p["bio"] = [(self.str(), self.str()) for _ in range(self.number("H"))]
        p["services"] = [self.str() for _ in range(self.number("H"))]
        p["avatar"] = self.blob()
        flags = self.number("B")
        assert flags < 4, "unknown flags"
        p["local"], p["online"] = bool(flags & 1), bool(flags & 2)
        p["updated"] = self.time()
        return p

    def message(self):
        self.version()
        m = {"id": self.take(32), "sender": self.take(32), "mode": self.number("B")}
        assert m["mode"] < 2
        m["to"] = self.opt_id()
        assert m["to"] is None or m["mode"] == STD
        m["service"], m["tags"], m["time"] = self.str(), self.tags(), self.time()
        m["trust"], m["data"] = self.number("B"), self.blob()
        assert m["trust"] < 3
        return m

    def file(self):
        self.version()
        f = {"id": self.take(32), "owner": self.take(32), "name": self.str(),
             "size": self.number("Q"), "have": self.number("Q"), "state": self.number("B"),
             "stalled": self.flag(), "previous": self.opt_id(), "time": self.time()}
        assert 1 <= f["state"] <= 4
        return f


def service_error(f):
    """The ServiceError in a frame."""
    r = Fields(f.payload[1:])
    error = ServiceError(r.number("B"), r.str().decode())
    r.done()
    assert error.code <= IO_FAULT and error.text
    return error


class Events(Line):
    """The socket of a subscription in namespaces 09 to 0C."""

    def next(self, mode, read):
        """One frame of @mode, taken apart by @read, a method of Fields; its token in self.token."""
        f = self.frame()
        assert f.mode == mode, "mode %04x" % f.mode
        self.token = f.token
        r = Fields(f.payload)
        value = read(r)
        r.done()
        return value

    def profile(self):
        return self.next(0x0922, Fields.profile)

    def message(self):
        return self.next(0x0a32, Fields.message)

    def file(self):
        return self.next(0x0c03, Fields.file)

    def session(self):
        """(1 open or 2 close, user) of a registered service; the user's token in self.token"""
        return self.next(0x0b34, lambda r: (r.number("B"), r.take(32)))


class Service(Client):
    """A client of the Service API; knows whose id and token it acts with."""

    def __init__(self, bind, hello=HELLO_EXTENDED, timeout=30):
        super().__init__(bind, hello, timeout)
        self.id = self.token = None

    def call(self, mode, payload=b"", kind=None, token=KEEP):
        """Asks, checks that mode and token are echoed; the body of ping @kind (None: Ok)."""
        token = self.token if token is KEEP else token
        return self.answer(self.ask(mode, payload, token), mode, kind, token)

    def answer(self, f, mode, kind, token):
        assert f.mode == mode, "the reply to %04x has mode %04x" % (mode, f.mode)
        if f.kind == SERVICE_ERROR:
            raise service_error(f)
        body = f.ping(1 if kind is None else kind)
        if mode not in (0x0901, 0x0910):
            assert f.token == token, "auth not echoed"
        self.last = f
        return body

    def listed(self, body, read):
        """The u16 counted entries of a reply, and the Fields behind them."""
        r = Fields(body)
        return [read(r) for _ in range(r.number("H"))], r

    def all_of(self, body, read):
        entries, r = self.listed(body, read)
        r.done()
        return entries

    # Users -------------------------------------------------------------------

    def enter(self, mode, payload):
        body = self.call(mode, payload, USER_ID, token=None)
        assert len(body) == 32 and self.last.token and 0 not in self.last.token
        self.id, self.token = body, self.last.token
        return self.id, self.token

    def user_create(self, password, handle=None):
        return self.enter(0x0901, text(password) + opt(handle))

    def login(self, user, password):
        return self.enter(0x0910, user + text(password))

    def logout(self):
        self.call(0x0911, self.id)

    def user_destroy(self, purge=False):
        self.call(0x0902, self.id + bytes([purge]))

    def is_authenticated(self):
        self.call(0x0934, self.id)

    def user_update(self, **fields):
        self.call(0x0922, self.id + b"\0" + update(**fields))

    def change_password(self, password):
        self.call(0x0922, self.id + b"\1" + text(password))

    def users(self, scope=None):
        return self.all_of(self.call(0x0930, b"" if scope is None else bytes([scope]), PROFILES),
                           Fields.profile)

    def user(self, ident):
        profile, = self.all_of(self.call(0x0931, b"\0" + ident, PROFILES), Fields.profile)
        return profile

    def user_search(self, terms, skip=0, take=100):
        """@terms: (attribute, pattern, match) each"""
        payload = b"\1" + struct.pack(">H", len(terms))
        payload += b"".join(text(a) + text(p) + bytes([m]) for a, p, m in terms)
        return self.all_of(self.call(0x0931, payload + struct.pack(">II", skip, take), PROFILES),
                           Fields.profile)

    def subscribe(self, mode, payload):
        """Sub or Resub: the id and the connected socket."""
        body = self.call(mode, payload, SUBSCRIPTION)
        assert body[-1] == 0
        return body[:32], Events(body[32:-1].decode(), timeout=30)

    def user_sub(self):
        return self.subscribe(0x0903, self.id)

    def user_unsub(self, sub):
        self.call(0x0905, sub + self.id)

    # Messages ----------------------------------------------------------------

    def message_send(self, to, service, data, tagged=(), ident=None):
        """@to None: a flood; @ident None: a fresh id. The message's id."""
        payload = self.id + (b"\0" if to is None else b"\1" + to)
        payload += (b"\0" if ident is None else b"\1" + ident) + text(service)
        return self.call(0x0a32, payload + tags(tagged) + blob(data), MESSAGE_ID)

    def message_send_many(self, to, service, data, tagged=()):
        payload = self.id + struct.pack(">H", len(to)) + b"".join(to) + text(service)
        return self.call(0x0a33, payload + tags(tagged) + blob(data), MESSAGE_ID)

    def messages(self, service=None, ident=None, sender=None, tagged=(), skip=0, take=100):
        """(messages, more)"""
        payload = self.id + opt(service) + opt_id(ident) + opt_id(sender) + tags(tagged)
        found, r = self.listed(self.call(0x0a31, payload + struct.pack(">II", skip, take), MESSAGES),
                               Fields.message)
        more = r.flag()
        r.done()
        return found, more

    def message_sub(self, service=None, tagged=()):
        return self.subscribe(0x0a03, self.id + opt(service) + tags(tagged))

    def message_resub(self, sub):
        same, events = self.subscribe(0x0a04, sub + self.id)
        assert same == sub
        return events

    def message_unsub(self, sub):
        self.call(0x0a05, sub + self.id)

    def message_modify(self, ident, add=(), remove=()):
        self.call(0x0a22, self.id + ident + tags(add) + tags(remove))

    def message_delete(self, ident):
        self.call(0x0a21, self.id + ident)

    # Services ----------------------------------------------------------------

    def service_register(self, name, description=None):
        """The socket of Open and Close events."""
        return self.subscribe(0x0b01, text(name) + opt(description))[1]

    def service_unregister(self, name):
        self.call(0x0b02, text(name))

    def put(self, service, key, value, ns=b""):
        self.call(0x0b20, self.id + text(service) + text(ns) + text(key) + blob(value))

    def delete(self, service, key, ns=b""):
        self.call(0x0b21, self.id + text(service) + text(ns) + text(key))

    def get(self, service, key, ns=b""):
        r = Fields(self.call(0x0b31, self.id + text(service) + text(ns) + text(key), VALUE))
        same, value = (r.str(), r.str()), r.blob()
        r.done()
        assert same == (ns, key)
        return value

    def keys(self, service, ns=None):
        return self.all_of(self.call(0x0b30, self.id + text(service) + opt(ns), KEYS),
                           lambda r: (r.str(), r.str()))

    def services(self):
        """(god mode, names)"""
        r = Fields(self.call(0x0b34, b"", SERVICES))
        god = r.flag()
        names = [r.str() for _ in range(r.number("H"))]
        r.done()
        return god, names

    # Files -------------------------------------------------------------------

    def packed(self, mode, f, token, data):
        """Streams @data to the socket that @f names; (file id, size)."""
        bind = self.answer(f, mode, SEND_SOCKET, token)
        assert bind[-1] == 0
        s = dial(bind[:-1].decode())
        s.sendall(data)
        s.close()
        return self.file_head(self.answer(self.frame(), mode, FILE, token))

    def file_head(self, body):
        r = Fields(body)
        head = r.take(32), r.number("Q")
        r.done()
        return head

    def file_pack(self, name, data, size=None, mime=None):
        size = len(data) if size is None else size
        f = self.ask(0x0c01, self.id + text(name) + struct.pack(">Q", size) + opt(mime), self.token)
        return self.packed(0x0c01, f, self.token, data)

    def file_update(self, old, data):
        f = self.ask(0x0c22, self.id + old + struct.pack(">Q", len(data)), self.token)
        return self.packed(0x0c22, f, self.token, data)

    def file_announce(self, ident, to=None, kind=1):
        self.call(0x0c10, self.id + ident + recipient(to, kind))

    def file_withdraw(self, ident, to=None, kind=1):
        self.call(0x0c11, self.id + ident + recipient(to, kind))

    def file_send(self, ident, to, mode=0x0c33):
        self.call(mode, self.id + ident + struct.pack(">H", len(to)) +
                  b"".join(recipient(t) for t in to))

    def file_request(self, ident, owner=None):
        self.call(0x0c20, self.id + ident + opt_id(owner))

    def file_delete(self, ident):
        self.call(0x0c21, self.id + ident)

    def files(self, state=0, pattern=b"", mode=0x0c31):
        return self.all_of(self.call(mode, self.id + bytes([state]) + text(pattern), FILES),
                           Fields.file)

    def file_status(self, ident):
        meta, = self.all_of(self.call(0x0c34, self.id + ident, FILES), Fields.file)
        return meta

    def file_sub(self):
        return self.subscribe(0x0c03, self.id)

    def file_get(self, ident):
        same, size = self.file_head(self.call(0x0c36, self.id + ident, FILE))
        assert same == ident
        data = self.exactly(size)
        self.answer(self.frame(), 0x0c36, None, self.token)
        return data


def refused(code, call, *args, **named):
    """@call meets ServiceError @code, or with None InvalidAuth."""
    try:
        call(*args, **named)
    except ServiceError as e:
        assert e.code == code, "service error %d (%s), wanted %s" % (e.code, e.text, code)
        return e.text
    except Error as e:
        assert code is None and e.code == 1, "error %d %s, wanted %s" % (e.code, e.text, code)
        return e.text
    raise AssertionError("not refused")
