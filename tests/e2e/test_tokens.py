#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong, expired, missing and foreign tokens: one answer, no effect, no trace in any log.

RATMAND=path/to/ratmand tests/e2e/test_tokens.py      (TAP on standard output)
"""
import base64
import os
import shutil
import socket
import statistics
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
from harness import test  # noqa: E402
from microframe import Client, frame  # noqa: E402

DENIED = bytes.fromhex("00000007" "00000000000009" "0300000004" "01000000")
GROUP_SECRET = "5c1f" * 16
DAEMON = None
SECRETS = []		# every token and key the tests met


def create(c, payload=b"\0"):
    address, token = c.create(payload)
    SECRETS.append(token)
    return address, token


def user(hello=mf.HELLO_EXTENDED):
    c = Client(DAEMON.bind, hello)
    address, token = create(c)
    c.up(address, token)
    return c, address, token


def bad_tokens(c, token):
    """{name: token or None}; none of them is good for the address of @token."""
    foreign_address, foreign = create(c)
    c.up(foreign_address, foreign)
    expired_address, expired = create(c)
    c.up(expired_address, expired)
    c.down(expired_address, expired)
    c.destroy(expired_address, expired)
    wrong = bytearray(token)
    wrong[31] ^= 0x55 if token[31] != 0x55 else 0x11
    first = bytearray(token)
    first[0] ^= 0x55 if token[0] != 0x55 else 0x11
    SECRETS.extend([bytes(wrong), bytes(first)])
    return {"wrong": bytes(wrong), "wrong at once": bytes(first), "random": os.urandom(31) + b"\1",
            "expired": expired, "missing": None, "foreign": foreign}


def checked(a, other):
    """Requests that need the token of @a, with the mode's name."""
    limit = b"\1" + struct.pack(">I", 1)
    return {
        "Addr/Up": (0x0110, a),
        "Addr/Down": (0x0111, a),
        "Addr/Destroy": (0x0102, a + b"\0"),
        "Addr/Destroy, forced": (0x0102, a + b"\1"),
        "Recv/One": (0x0532, a + mf.recipient(a)),
        "Recv/Many": (0x0533, a + mf.recipient(a) + limit),
        "Send/One": (0x0632, mf.letterhead(a, other, 5)),
        "Send/Many": (0x0633, b"\0\1" + mf.letterhead(a, other)),
        "Stream/Sub": (0x0703, a + mf.recipient(a)),
        "Stream/Resub": (0x0704, b"\x99" * 32 + a),
        "Stream/Unsub": (0x0705, b"\x99" * 32 + a),
        "Stream/List": (0x0730, a),
        "Addr/Sub": (0x0103, a + b"\0"),
        "Addr/Resub": (0x0104, b"\x99" * 32 + a),
        "Addr/Unsub": (0x0105, b"\x99" * 32 + a),
    }


@test
def one_answer_and_no_effect():
    c, a, t = user()
    d, b, u = user()
    d.send_many(b, u, [a], b"still here")
    bad = bad_tokens(c, t)
    subscriptions = c.ask(0x0730, a, t).payload
    before = c.status(), c.addresses(), c.peers()
    for name, (mode, payload) in checked(a, b).items():
        for kind, token in bad.items():
            c.send(frame(mode, payload, token))
            got = c.exactly(len(DENIED))
            assert got == DENIED, "%s with a token that is %s: %s" % (name, kind, got.hex())
    assert (c.status(), c.addresses(), c.peers()) == before
    assert c.ask(0x0730, a, t).payload == subscriptions
    # Nobody listened, nothing was taken, nothing was sent, and the right token is as good as ever.
    c.send_many(a, t, [b], b"from a")
    assert d.recv_one(b, u)[1] == b"from a"
    assert c.recv_one(a, t)[1] == b"still here"


@test
def an_expired_token_is_good_for_nothing():
    c, a, t = user()
    c.down(a, t)
    for mode, payload in ((0x0532, a + mf.recipient(a)), (0x0633, b"\0\1" + mf.letterhead(a, a))):
        c.send(frame(mode, payload, t))
        assert c.exactly(len(DENIED)) == DENIED
    c.up(a, t)
    c.send_many(a, t, [a], b"up again")
    assert c.recv_one(a, t)[1] == b"up again"
    c.destroy(a, t)
    c.send(frame(0x0532, a + mf.recipient(a), t))
    assert c.exactly(len(DENIED)) == DENIED


@test
def unasked_stream_of_a_bad_token_is_swallowed():
    """Send/One of a client that sends its stream unasked: drained, one answer, closed."""
    _, a, t = user()
    for token in (None, b"\x77" * 32):
        c = Client(DAEMON.bind)
        c.send(frame(0x0632, mf.letterhead(a, a, 100000), token) + b"\x10" * 100000)
        assert c.exactly(len(DENIED)) == DENIED
        assert c.at_eof()


@test
def no_timing_tells_them_apart():
    """Medians of many rounds, all kinds in every round: other load hits all of them alike."""
    c, a, t = user()
    kinds = bad_tokens(c, t)
    requests = {"Recv/One": (0x0532, a + mf.recipient(a)), "Addr/Down": (0x0111, a)}
    for name, (mode, payload) in requests.items():
        times = {kind: [] for kind in kinds}
        for _ in range(400):
            for kind, token in kinds.items():
                f = frame(mode, payload, token)
                start = time.perf_counter()
                c.send(f)
                c.exactly(len(DENIED))
                times[kind].append(time.perf_counter() - start)
        medians = {kind: statistics.median(list_) * 1e6 for kind, list_ in times.items()}
        low, high = min(medians.values()), max(medians.values())
        print("# %s: %s µs" % (name, {k: round(v) for k, v in medians.items()}))
        assert high < 1.6 * low + 20, "%s takes %s µs" % (name, medians)


@test
def everything_else_is_said_at_trace_level():
    """The rest of the protocol, good and bad, so that the log has a chance to betray something."""
    seed = os.urandom(32)
    SECRETS.append(seed)
    c, a, t = user()
    space, space_token = create(c, b"space\0" + seed)
    c.up(space, space_token)
    c.send_many(a, t, [a], os.urandom(100000))
    c.recv_one(a, t)
    c.send_many(a, t, [a], b"many")
    c.begin_recv(a, t, many=True, limit=1)
    c.stream(0x0533)
    old = Client(DAEMON.bind)
    old.send(frame(0x0632, mf.letterhead(a, a, 6), t) + b"inline")
    old.recv_one(a, t)
    pair = os.urandom(64)
    SECRETS.append(pair[32:])
    private = [(0x0801, pair, t), (0x0801, space + seed, t), (0x0810, a + space, t),
               (0x0811, a + space, t), (0x0703, a + mf.recipient(a), t),
               (0x0704, os.urandom(32) + a, t), (0x0705, os.urandom(32) + a, t),
               (0x0730, a, t), (0x0230, b"", t), (0x0220, a + b"hi\0\0\0\1", t), (0x0221, a, t),
               (0x0330, b"", t), (0x0431, b"", t), (0x0434, a, t), (0x0103, a, t), (0x7777, a, t),
               (0x0101, b"\xff" + seed, t), (0x0102, a[:9], t), (0x0036, t, t)]
    for mode, payload, token in private:
        c.send(frame(mode, payload, token))
        c.frame()
    # Tokens where none belong, and in frames that never end.
    for junk in (t * 4, b"\0\0\0\x26\1\x10" + t, frame(0x0110, a + t, t), b"\0\0\0\x40" + t + t,
                 frame(0x0010, t), b"\0\0\0\7" + t):
        for hello in (None, mf.HELLO):
            e = Client(DAEMON.bind, hello)
            e.send(junk)
            e.sock.shutdown(socket.SHUT_WR)
            while True:
                try:
                    if not e.sock.recv(4096):
                        break
                except ConnectionResetError:
                    break
    c.down(a, t)
    c.destroy(a, t, b"\1")
    # What was up comes up again after a crash: its token was on disk and is read back.
    _, b, u = user()
    DAEMON.process.kill()
    DAEMON.process.wait()
    DAEMON.start()
    d = Client(DAEMON.bind)
    d.begin_recv(b, u)


def forms(secret):
    """Every way in which 8 bytes of it in a row could have been written."""
    for at in range(0, len(secret) - 7):
        piece = secret[at:at + 8]
        yield piece
        yield piece.hex().encode()
        yield piece.hex("-", 2).encode()
        yield piece.hex("-", -2).encode()
        yield piece.hex(":").encode()
        yield piece.hex(" ").encode()
        yield base64.b32encode(piece)[:12]
        yield base64.b64encode(piece)[:10]
        yield base64.urlsafe_b64encode(piece)[:10]
    yield ", ".join(map(str, secret[:8])).encode()


def log_betrays_nothing():
    """no token or key is in the log of the most verbose level"""
    good, text = DAEMON.stop()
    with open(DAEMON.log_path, "rb") as f:
        log = f.read()
    assert log, "an empty log proves nothing"
    raw, folded = log, log.lower()
    for secret in SECRETS + [bytes.fromhex(GROUP_SECRET)]:
        for form in forms(secret):
            if form in raw or form.lower() in folded:
                return False, "the log holds %r" % form
    return good, text


def main():
    global DAEMON
    path = os.environ.get("RATMAND")
    if not path:
        print("1..0 # SKIP set RATMAND to the daemon")
        return 0
    directory = tempfile.mkdtemp(prefix="tokens.")
    DAEMON = harness.Ratmand(path, directory, args=("-v", "trace"), extra=
                             'max_auth_failures = 1000000\ngroup_secret = "%s"\n' % GROUP_SECRET)
    status = harness.run_tests(ending=log_betrays_nothing)
    shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main())
