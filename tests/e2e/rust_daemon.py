# SPDX-License-Identifier: GPL-2.0-or-later
"""
The existing (Rust) daemon as a client meets it, faults included: everything
microframe.md says of that server in its sections 0 to 3.7, byte for byte. What
makes it panic closes the connection here and is noted in .drops.
"""
import os
import queue
import socket
import struct
import threading
import time

import microframe as mf

RELEASE, HEAD = "0.6.0", "HEAD"


class Drop(Exception):
    """An assertion of the server failed: the connection just closes."""


class Fatal(Exception):
    """Error(Internal(text)), then the server closes."""


class Refused(Exception):
    """A client error: an Error ping without auth, the session goes on."""

    def __init__(self, blob):
        super().__init__(blob)
        self.blob = blob


def text(s):
    return struct.pack("<Q", len(s)) + s


def error_ping(blob):
    return b"\3" + struct.pack(">I", len(blob)) + blob


INVALID_AUTH = struct.pack("<I", mf.INVALID_AUTH)


def internal(message):
    return struct.pack("<I", mf.INTERNAL) + text(message.encode())


class Reader:
    """Reads a payload as the Rust server does: what is left over at the end is fatal."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise Drop("payload too short")
        self.at += n
        return self.data[self.at - n:self.at]

    def option(self, n=32):
        """None = one 00; Some = n bytes without a presence byte."""
        if self.data[self.at:self.at + 1] == b"\0":
            self.at += 1
            return None
        return self.take(n)

    def string(self):
        """The run of bytes that are not 00; the terminator stays in the input."""
        if self.data[self.at:self.at + 1] == b"\0":
            self.at += 1
            return None
        if self.at == len(self.data):
            raise Drop("no string")
        end = self.data.find(b"\0", self.at)
        return self.take((end if end >= 0 else len(self.data)) - self.at)

    def recipient(self):
        tag = self.take(1)[0]
        if tag > 2:
            raise Drop("recipient tag %d" % tag)
        return (tag, self.take(32)) if tag else None

    def letterhead(self):
        if self.take(1) != b"\1":
            raise Drop("letterhead version")
        sender, to = self.take(32), self.recipient()
        size, pairs = struct.unpack(">QH", self.take(10))
        if pairs:
            raise Drop("auxiliary data cannot be decoded")
        return sender, to, size

    def end(self):
        if self.at != len(self.data):
            raise Drop("%d bytes left over" % (len(self.data) - self.at))


class RustDaemon:
    def __init__(self, dialect=HEAD, idle=120, version=(0, 1)):
        self.dialect, self.idle, self.version = dialect, idle, version
        self.drops, self.modes, self.sessions = [], [], 0
        self.requests = []              # (mode, token or None, payload)
        self.hello = None               # the last handshake payload
        self.peers = []                 # (address, first seen, last seen, active)
        self.keys, self.up = {}, {}     # address -> token; those announced
        self.listeners = {}             # recipient -> queue
        self.lock = threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.bind = "127.0.0.1:%d" % self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(sock,), daemon=True).start()

    def close(self):
        self.server.close()

    def session(self, sock):
        with self.lock:
            self.sessions += 1
        try:
            Session(self, sock).run()
        except Drop as e:
            self.drops.append(str(e))
        except (mf.Closed, OSError):
            pass
        finally:
            sock.close()

    def deliver(self, sender, to, data, size=None):
        """A stream arrives from the network: only somebody who listens now gets it."""
        with self.lock:
            listener = self.listeners.get(to)
        if listener:
            listener.put((sender, (1, to), len(data) if size is None else size, data))
        return listener is not None

    def listening(self, to):
        with self.lock:
            return to in self.listeners


class Session:
    def __init__(self, daemon, sock):
        self.daemon, self.sock = daemon, sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exactly(self, n):
        out = b""
        while len(out) < n:
            got = self.sock.recv(n - len(out))
            if not got:
                raise mf.Closed(out)
            out += got
        return out

    def write(self, payload, token=None, mode=0):
        """Length, header and payload in three writes, as they come."""
        header = struct.pack(">H", mode) + (token or b"\0") + struct.pack(">I", len(payload))
        for part in (struct.pack(">I", len(header)), header, payload):
            self.sock.sendall(part)

    def request(self):
        """(mode, token, payload size): the payload is read by whoever wants it."""
        header = self.exactly(struct.unpack(">I", self.exactly(4))[0])
        r = Reader(header)
        mode, = struct.unpack(">H", r.take(2))
        token = r.option()
        size, = struct.unpack(">I", r.take(4))
        return mode, token, size

    def handshake(self):
        _, _, size = self.request()
        payload = self.exactly(size)
        self.daemon.hello = payload
        if payload[:1] != b"\1" or len(payload) < 3:
            raise Drop("handshake format")
        ours = self.daemon.version
        if ours != tuple(payload[1:3]):
            self.write(b"\5%d.%d\0%d.%d\0" % (*ours, payload[1], payload[2]))
            return False
        self.write(b"\1")
        return True

    def run(self):
        if not self.handshake():
            return
        while True:
            self.sock.settimeout(self.daemon.idle)
            try:
                mode, token, size = self.request()
            except socket.timeout:
                self.write(b"\4")
                return
            self.sock.settimeout(None)
            self.daemon.modes.append(mode)
            if mode == 0x0011:
                return
            handler = self.HANDLERS.get(mode)
            if not handler:
                self.write(error_ping(internal("Unsupported frame mode: %s" % bin(mode)[2:])))
                continue
            # Status and the lists do not look at a payload: it would be the next frame.
            data = b"" if handler in self.UNREAD else self.exactly(size)
            self.daemon.requests.append((mode, token, data))
            try:
                handler(self, Reader(data), token)
            except Refused as e:
                self.write(error_ping(e.blob))
            except Fatal as e:
                self.write(error_ping(internal(str(e))))
                time.sleep(0.02)        # a client may well be faster than the close
                return

    def check(self, address, token):
        if token is None or self.daemon.up.get(address) != token:
            raise Refused(INVALID_AUTH)

    # Exchanges -------------------------------------------------------------

    def status(self, _r, _token):
        d = self.daemon
        self.write(b"\x0a" + struct.pack(">4Q", len(d.peers), len(d.keys), len(d.up), 0))

    def addr_list(self, _r, _token):
        keys = sorted(self.daemon.keys)
        self.write(struct.pack(">H", len(keys)) + b"".join(keys))

    def addr_create(self, r, _token):
        r.string()
        if self.daemon.dialect == RELEASE:
            if r.at == len(r.data):
                raise Drop("no namespace key field")
            r.option()
        r.end()
        address, token = (bytes(b or 1 for b in os.urandom(32)) for _ in range(2))
        self.daemon.keys[address] = token
        self.write(address, token)

    def addr_up(self, r, token):
        address = r.option()
        r.end()
        if address not in self.daemon.keys:
            raise Fatal("a frame parsing error: encryption encoding/decoding failed because "
                        "Address key was deleted!")
        if self.daemon.keys[address] != token:
            raise Drop("wrong token in Up")
        self.daemon.up[address] = token
        self.write(b"\1", token)

    def addr_down(self, r, token):
        address = r.option()
        r.end()
        self.check(address, token)
        del self.daemon.up[address]
        self.write(b"\1", token)

    def addr_destroy(self, r, token):
        address = r.option()
        r.take(1)
        r.end()
        self.check(address, token)
        del self.daemon.keys[address]
        self.write(b"\1", token)

    def peer_list(self, _r, _token):
        peers = self.daemon.peers
        self.write(b"\x08" + struct.pack(">H", len(peers)) + b"".join(
            address + first + last + bytes([active]) for address, first, last, active in peers))

    def send(self, token, heads):
        if not heads:
            raise Refused(struct.pack("<II", mf.USER, 1) + text(b"No letterheads provided!"))
        self.check(heads[0][0], token)
        with socket.create_server(("127.0.0.1", 0)) as helper:
            self.write(b"\x09127.0.0.1:%d\0" % helper.getsockname()[1], token)
            data, _ = helper.accept()
        received = b""
        with data:
            while chunk := data.recv(1 << 16):
                received += chunk
        if not received:
            self.write(error_ping(internal("a client API error: internal server error: "
                                           "Sending stream became invalid!")), token)
            return
        # The buffer is not rewound: only the first one gets the data.
        for i, (sender, to, _) in enumerate(heads):
            self.daemon.deliver(sender, to[1], received if i == 0 else b"", len(received))
        self.write(b"\1", token)

    def send_many(self, r, token):
        heads = [r.letterhead() for _ in range(struct.unpack(">H", r.take(2))[0])]
        r.end()
        self.send(token, heads)

    def send_one(self, r, token):
        head = r.letterhead()
        r.end()
        self.send(token, [head])

    def gone(self):
        """The server does not notice a client that leaves while it waits; tests want to end."""
        try:
            self.sock.setblocking(False)
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        finally:
            self.sock.setblocking(True)

    def next_stream(self, mine):
        while True:
            try:
                return mine.get(timeout=0.05)
            except queue.Empty:
                if self.gone():
                    raise mf.Closed() from None

    def recv(self, r, token, many):
        address = r.take(32)
        to = r.recipient()
        limit = None
        if many and r.take(1) == b"\1":
            limit, = struct.unpack(">I", r.take(4))
        r.end()
        self.check(address, token)
        mine = queue.Queue()
        with self.daemon.lock:
            # One listener per recipient: the second one kills the first.
            before = self.daemon.listeners.get(to[1])
            self.daemon.listeners[to[1]] = mine
        if before:
            before.put(None)
        self.write(b"\1", token)
        try:
            self.hand_out(mine, token, many, limit)
        finally:
            with self.daemon.lock:
                if self.daemon.listeners.get(to[1]) is mine:
                    del self.daemon.listeners[to[1]]

    def hand_out(self, mine, token, many, limit):
        while True:
            item = self.next_stream(mine)
            if item is None:
                raise Fatal("channel closed")
            sender, to, size, data = item
            self.write(mf.letterhead(sender, to[1], size, to[0]), token,
                       0x0533 if many else 0x0532)
            self.sock.sendall(data)
            if len(data) != size:
                # Decoding broke: the error stands where bytes of the stream are due.
                raise Fatal("a block is missing")
            if not many:
                self.write(b"\1", token)
                return
            # It stops when one is left to deliver, and below that never.
            if limit is not None:
                limit = (limit - 1) % (1 << 32)
                if limit == 1:
                    return

    def recv_one(self, r, token):
        self.recv(r, token, False)

    def recv_many(self, r, token):
        self.recv(r, token, True)

    UNREAD = (status, addr_list, peer_list)
    HANDLERS = {0x0034: status, 0x0130: addr_list, 0x0101: addr_create, 0x0110: addr_up,
                0x0111: addr_down, 0x0102: addr_destroy, 0x0430: peer_list,
                0x0532: recv_one, 0x0533: recv_many, 0x0632: send_one, 0x0633: send_many}


if __name__ == "__main__":
    print(RustDaemon().bind, flush=True)
    while True:
        time.sleep(3600)
