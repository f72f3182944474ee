#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every disagreement D1 to D20 of microframe.md section 3.9, each as one test.

What another file tests is called from here, not written again.
"""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import test_microframe as exchanges  # noqa: E402
import test_send_recv as streams  # noqa: E402
import test_subscription as subscriptions  # noqa: E402
from harness import connect, is_silent, refused, user  # noqa: E402
from microframe import frame  # noqa: E402

# An ed25519 seed whose public key begins with 00.
SEED = (36).to_bytes(32, "big")
PUBLIC = bytes.fromhex("00001f8bea42b3c74c50aa3589b1aa065f196857db97a75e4a54953f093e6772")


def create_and_list_are_bare():
    """D3: 32 bytes and the token in the header; a list and nothing else; errors without token."""
    c = connect()
    f = c.ask(0x0101, b"bare")
    assert f.mode == 0 and len(f.token) == 32 and len(f.payload) == 32
    address, token = f.payload, f.token
    f = c.ask(0x0130)
    n, = struct.unpack(">H", f.payload[:2])
    assert f.token is None and len(f.payload) == 2 + 32 * n
    assert address in [f.payload[2 + 32 * i:34 + 32 * i] for i in range(n)]
    f = c.ask(0x0101, b"\xff")
    assert f.token is None and f.payload[0] == mf.ERROR
    c.destroy(address, token)


def timestamps():
    """D6: 35 bytes; without a mesh there is no peer, unit/proto has the times themselves."""
    c = connect()
    body = c.ask(0x0430).ping(mf.PEER_LIST)
    n, = struct.unpack(">H", body[:2])
    assert len(body) == 2 + 103 * n
    c.peers()


def addresses_with_zeroes():
    """D7: none is drawn; one that begins with 00 works all the same."""
    c = connect()
    for _ in range(30):
        address, token = c.create()
        assert 0 not in address and 0 not in token
        c.destroy(address, token)
    address, token = c.create(b"\0" + SEED)
    assert address == PUBLIC
    c.up(address, token)
    c.down(address, token)
    c.destroy(address, token)
    assert address not in c.addresses()


def last_ok_left_unread():
    """D11: the final Ok comes, read or not, before the answer to the next request."""
    c, a, t = user()
    c.send_many(a, t, [a], b"data")
    c.begin_recv(a, t)
    assert c.stream(0x0532)[1] == b"data"
    c.send(frame(0x0034))
    f = c.frame()
    assert f.payload == b"\1" and f.token == t
    assert c.frame().kind == mf.STATUS


def wrong_token_keeps_the_session():
    """D12 and D13."""
    c, a, t = user()
    for _ in range(3):
        refused(mf.INVALID_AUTH, c.up, a, b"\x66" * 32)
    c.down(a, t)
    c.down(a, t)
    c.down(a, t)
    assert c.status()


def contacts_are_read_to_the_end():
    """D18: the whole payload of Contact/Add is consumed, whatever comes of it."""
    c, a, t = user()
    payload = a + b"hi\0" + b"\0\1" + b"k\0v\0" + b"\5"
    f = c.ask(0x0220, payload, t)
    if f.kind == mf.ERROR:
        assert mf.parse_error(f.payload).code == mf.NOT_SUPPORTED
    else:
        f.ping()
    assert c.status()


def nothing_but_frames():
    """D19: no byte that is not asked for."""
    c, a, t = user()
    c.send_many(a, t, [a], b"x" * 20000)
    assert is_silent(c.sock)


def authorised():
    """D20: foreign tokens and recipients are refused everywhere."""
    c, a, t = user()
    d, b, u = user()
    refused(mf.USER, c.sub, a, t, b)
    refused(mf.USER, c.begin_recv, a, t, b)
    refused(mf.INVALID_AUTH, c.sub, a, u)
    refused(mf.INVALID_AUTH, c.begin_recv, a, u)
    refused(mf.INVALID_AUTH, c.subscriptions, a, u)
    for mode, payload in ((0x0810, a + b), (0x0811, a + b), (0x0835, a + b + bytes(15) + b"\1")):
        try:
            c.ask(mode, payload, u).ping()
            raise AssertionError("not refused")
        except mf.Error as e:
            assert e.code in (mf.INVALID_AUTH, mf.NOT_SUPPORTED), e.code
    assert c.status()


TABLE = {
    1: [exchanges.headers_accepted],
    2: [exchanges.addr_create_forms],
    3: [create_and_list_are_bare],
    4: [exchanges.version_mismatch],
    5: [exchanges.auxiliary_data, subscriptions.aux_data_by_capability],
    6: [timestamps],
    7: [addresses_with_zeroes],
    8: [exchanges.send_one_modes, streams.inline_is_silent],
    9: [exchanges.send_many_to_several, streams.duplicates_get_one],
    10: [exchanges.recv_many_exact_limit],
    11: [last_ok_left_unread],
    12: [wrong_token_keeps_the_session],
    13: [exchanges.addr_life, wrong_token_keeps_the_session],
    14: [subscriptions.refusals, subscriptions.resub_replays_oldest_first],
    15: [subscriptions.bytes_of_it_all],
    16: [exchanges.unknown_modes],
    # D17 is about a signature that no exchange of the client protocol carries.
    18: [contacts_are_read_to_the_end],
    19: [nothing_but_frames],
    20: [authorised],
}


def as_test(number, functions):
    def run():
        for f in functions:
            f()
    run.__name__ = "D%d" % number
    return run


assert sorted([*TABLE, 17]) == list(range(1, 21))
harness.TESTS[:] = [as_test(number, functions) for number, functions in TABLE.items()]

if __name__ == "__main__":
    sys.exit(harness.main())
