# SPDX-License-Identifier: GPL-2.0-or-later
"""A byte-level Microframe client, written from the protocol description alone."""
import re
import socket
import struct

OK, UPDATE, ERROR, TIMEOUT, VERSION, SUBSCRIPTION = 1, 2, 3, 4, 5, 6
ADDR_LIST, PEER_LIST, SEND_SOCKET, STATUS, ANYCAST = 7, 8, 9, 10, 11
CONTACTS, LINKS = 0x28, 0x29

INVALID_AUTH, NOT_SUPPORTED, NO_ADDRESS, INTERNAL, NO_SUBSCRIPTION, USER = 1, 3, 4, 6, 7, 8
EVENT_UP, EVENT_DOWN, EVENT_PEER = 1, 2, 3
ADDRESS, NAMESPACE = 1, 2

HELLO = b"\x01\x00\x01"
HELLO_EXTENDED = HELLO + b"\x01\x07"
LIMITS = 0x2c


def frame(mode, payload=b"", token=None):
    """One frame: length, header (7 or 38 bytes), payload."""
    header = struct.pack(">H", mode) + (token or b"\0") + struct.pack(">I", len(payload))
    return struct.pack(">I", len(header)) + header + payload


def recipient(ident, kind=ADDRESS):
    return b"\0" if ident is None else bytes([kind]) + ident


def letterhead(sender, to, size=0, kind=ADDRESS, aux=()):
    out = b"\x01" + sender + recipient(to, kind) + struct.pack(">QH", size, len(aux))
    for key, value in aux:
        out += key + b"\0" + value + b"\0"
    return out


def pairs(tags):
    """Vec<(CString,CString)> of a dict."""
    return struct.pack(">H", len(tags)) + b"".join(
        k + b"\0" + v + b"\0" for k, v in tags.items())


def words(keys):
    """Vec<CString>"""
    return struct.pack(">H", len(keys)) + b"".join(k + b"\0" for k in keys)


def addresses_in(body):
    """The addresses of ping 7."""
    n, = struct.unpack(">H", body[:2])
    assert len(body) == 2 + 32 * n, "list of %d in %d bytes" % (n, len(body))
    return [body[2 + 32 * i:34 + 32 * i] for i in range(n)]


class Reader:
    """Reads fields one after another."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        assert self.at + n <= len(self.data), "cut short"
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def string(self):
        end = self.data.index(b"\0", self.at)
        return self.take(end + 1 - self.at)[:-1]

    def option(self):
        return self.string() if self.number("?") else None

    def done(self):
        assert self.at == len(self.data), "bytes left over"


def contacts_in(body):
    """The records of ping 0x28: address -> dict."""
    r, out = Reader(body), {}
    for _ in range(r.number("H")):
        address = r.take(32)
        out[address] = {"nick": r.option(), "trust": r.number("b"), "met": r.number("?"),
                        "location": r.option(), "note": r.option(),
                        "tags": {r.string(): r.string() for _ in range(r.number("H"))}}
    r.done()
    return out


class Letterhead:
    def __init__(self, data):
        assert data[0] == 1, "letterhead version"
        self.sender = data[1:33]
        self.kind = data[33]
        at = 34
        self.to = None
        if self.kind:
            self.to = data[34:66]
            at = 66
        self.size, pairs = struct.unpack(">QH", data[at:at + 10])
        self.aux_count = pairs
        self.rest = data[at + 10:]


class Error(Exception):
    """An Error ping: code is the variant, text what came with it."""

    def __init__(self, code, text=""):
        super().__init__("error %d %s" % (code, text))
        self.code, self.text = code, text


class Closed(Exception):
    pass


def parse_error(payload):
    size, = struct.unpack(">I", payload[1:5])
    blob = payload[5:5 + size]
    assert len(blob) == size, "short error blob"
    code, = struct.unpack("<I", blob[:4])
    assert code <= 8, "invented error variant"
    text = ""
    if code == INTERNAL:
        n, = struct.unpack("<Q", blob[4:12])
        text = blob[12:12 + n].decode()
        assert len(text.encode()) == n
    elif code == NO_SUBSCRIPTION:
        assert blob[4:12] == struct.pack("<Q", 32) and len(blob) == 44
        text = blob[12:].hex()
    elif code == USER:
        kind, = struct.unpack("<I", blob[4:8])
        if kind < 2:
            n, = struct.unpack("<Q", blob[8:16])
            text = blob[16:16 + n].decode()
    return Error(code, text)


class Frame:
    def __init__(self, mode, token, payload):
        self.mode, self.token, self.payload = mode, token, payload

    @property
    def kind(self):
        return self.payload[0]

    def ping(self, want=OK):
        if self.kind == ERROR:
            raise parse_error(self.payload)
        assert self.kind == want, "ping kind %d, wanted %d" % (self.kind, want)
        return self.payload[1:]


def dial(bind, timeout=10):
    """A connection to "ip:port", "[ip6]:port" or the path of a Unix socket."""
    if bind.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(bind)
        return sock
    host, port = bind.rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), timeout)


class Line:
    """A connection that frames and streams are read from."""

    def __init__(self, bind, timeout=10):
        self.sock = dial(bind, timeout)

    def send(self, data):
        self.sock.sendall(data)

    def exactly(self, n):
        out = bytearray()
        while len(out) < n:
            got = self.sock.recv(min(65536, n - len(out)))
            if not got:
                raise Closed(bytes(out))
            out += got
        return bytes(out)

    def frame(self):
        size, = struct.unpack(">I", self.exactly(4))
        assert size in (7, 38), "header of %d bytes" % size
        header = self.exactly(size)
        mode, = struct.unpack(">H", header[:2])
        token = header[2:34] if size == 38 else None
        assert size == 38 or header[2] == 0
        length, = struct.unpack(">I", header[-4:])
        return Frame(mode, token, self.exactly(length))

    def stream(self, mode):
        """A letterhead and its stream; the frame they came in is kept in self.last."""
        self.last = self.frame()
        assert self.last.mode == mode, "mode %04x" % self.last.mode
        head = Letterhead(self.last.payload)
        return head, self.exactly(head.size)

    def at_eof(self):
        """True when the daemon closed without another word."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()

    def reset(self):
        """As when the kernel closes for a killed program that left bytes unread."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Subscriber(Line):
    """The socket of a subscription."""

    def next(self):
        head, data = self.stream(0x0332)
        return head, data

    def event(self):
        f = self.frame()
        assert f.mode == 0x0103 and len(f.payload) == 33
        return f.payload[0], f.payload[1:]


class Client(Line):
    """One connection; shakes hands unless told not to."""

    def __init__(self, bind, hello=HELLO, timeout=10):
        super().__init__(bind, timeout)
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.capabilities = None
        if hello is not None:
            self.send(frame(0x0010, hello))
            self.capabilities = self.frame().ping()

    def ask(self, mode, payload=b"", token=None):
        self.send(frame(mode, payload, token))
        return self.frame()

    # Exchanges -------------------------------------------------------------

    def create(self, payload=b"\0"):
        f = self.ask(0x0101, payload)
        if f.token is None:
            raise parse_error(f.payload)
        assert len(f.payload) == 32
        return f.payload, f.token

    def up(self, address, token):
        f = self.ask(0x0110, address, token)
        f.ping()
        assert f.token == token, "auth not echoed"

    def down(self, address, token):
        self.ask(0x0111, address, token).ping()

    def destroy(self, address, token, force=b"\0"):
        self.ask(0x0102, address + force, token).ping()

    def addresses(self):
        f = self.ask(0x0130)
        n, = struct.unpack(">H", f.payload[:2])
        assert len(f.payload) == 2 + 32 * n and f.token is None
        return [f.payload[2 + 32 * i:34 + 32 * i] for i in range(n)]

    def peers(self):
        body = self.ask(0x0430).ping(PEER_LIST)
        n, = struct.unpack(">H", body[:2])
        assert len(body) == 2 + 103 * n
        out = []
        for i in range(n):
            e = body[2 + 103 * i:105 + 103 * i]
            for stamp in (e[32:67], e[67:102]):
                assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00", stamp)
            out.append((e[:32], e[102]))
        return out

    def status(self):
        return struct.unpack(">4Q", self.ask(0x0034).ping(STATUS))

    def limits(self):
        """{name: (limit, used, hits)} of a daemon with our extensions."""
        body = self.ask(0x0036).ping(LIMITS)
        n, = struct.unpack(">H", body[:2])
        out, at = {}, 2
        for _ in range(n):
            name, rest = body[at:].split(b"\0", 1)
            unit = rest.split(b"\0", 1)[0]
            at += len(name) + len(unit) + 2
            out[name.decode()] = struct.unpack(">3Q", body[at:at + 24])
            at += 24
        assert at == len(body)
        return out

    def open_send(self, sender, token, to, mode=0x0633, size=0):
        """Asks for a data socket; returns it connected."""
        if mode == 0x0633:
            payload = struct.pack(">H", len(to)) + b"".join(
                letterhead(sender, t, size) for t in to)
        else:
            payload = letterhead(sender, to[0], size)
        f = self.ask(mode, payload, token)
        return self.data_socket(f, token)

    def data_socket(self, f, token):
        bind = f.ping(SEND_SOCKET)
        assert f.token == token and bind[-1] == 0
        return dial(bind[:-1].decode())

    def send_many(self, sender, token, to, data):
        s = self.open_send(sender, token, to)
        s.sendall(data)
        s.close()
        f = self.frame()
        f.ping()
        assert f.token == token

    def begin_recv(self, address, token, to=None, kind=ADDRESS, many=False, limit=None):
        payload = address + recipient(to or address, kind)
        if many:
            payload += b"\0" if limit is None else b"\1" + struct.pack(">I", limit)
        f = self.ask(0x0533 if many else 0x0532, payload, token)
        f.ping()
        assert f.token == token

    def recv_one(self, address, token):
        self.begin_recv(address, token)
        head, data = self.stream(0x0532)
        self.frame().ping()
        return head, data

    def subscription(self, mode, payload, token):
        """Sub or Resub: the id and where to connect."""
        f = self.ask(mode, payload, token)
        body = f.ping(SUBSCRIPTION)
        assert f.token == token and body[-1] == 0
        return body[:32], body[32:-1].decode()

    def sub(self, address, token, to=None, kind=ADDRESS):
        ident, bind = self.subscription(0x0703, address + recipient(to or address, kind), token)
        return ident, Subscriber(bind)

    def resub(self, ident, address, token):
        same, bind = self.subscription(0x0704, ident + address, token)
        assert same == ident
        return Subscriber(bind)

    def unsub(self, ident, address, token):
        f = self.ask(0x0705, ident + address, token)
        f.ping()
        assert f.token == token

    def subscriptions(self, address, token):
        f = self.ask(0x0730, address, token)
        body = f.ping(UPDATE)
        n, = struct.unpack(">H", body[:2])
        assert len(body) == 2 + 32 * n and f.token == token
        return [body[2 + 32 * i:34 + 32 * i] for i in range(n)]
