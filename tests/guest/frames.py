# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames as they travel on a link, built and taken apart without the kernel's help.

SipHash-2-4 and ChaCha20-Poly1305 are written out here on purpose: they are
oracles, so they share no code with the module. selfcheck() holds them against
the published vectors.
"""

import hashlib
import struct
from collections import namedtuple

from uapi import (
    RATMAN_ADDR_LEN, RATMAN_CONTROL, RATMAN_DATA, RATMAN_ECHO, RATMAN_ETHERTYPE,
    RATMAN_HANDSHAKE, RATMAN_HELLO, RATMAN_HOP_LIMIT, RATMAN_LINK, RATMAN_SEQ_SHIFT,
    RATMAN_VERSION)

TAGGED_HDR = 12
HOP_LEN = 20
DATA_HDR = 44
AEAD_TAG = 16
M32 = 0xffffffff
M64 = 0xffffffffffffffff


# ------------------------------------------------------------ SipHash-2-4

def siphash24(key, data):
    """-> 8 bytes, least significant first"""
    k0, k1 = struct.unpack('<QQ', key)
    v0 = k0 ^ 0x736f6d6570736575
    v1 = k1 ^ 0x646f72616e646f6d
    v2 = k0 ^ 0x6c7967656e657261
    v3 = k1 ^ 0x7465646279746573
    data = bytes(data)
    last = data[len(data) & ~7:]
    data += bytes(7 - len(last)) + bytes([len(data) & 0xff])

    def rounds(n):
        nonlocal v0, v1, v2, v3
        for _ in range(n):
            v0 = (v0 + v1) & M64
            v1 = ((v1 << 13 | v1 >> 51) & M64) ^ v0
            v0 = (v0 << 32 | v0 >> 32) & M64
            v2 = (v2 + v3) & M64
            v3 = ((v3 << 16 | v3 >> 48) & M64) ^ v2
            v0 = (v0 + v3) & M64
            v3 = ((v3 << 21 | v3 >> 43) & M64) ^ v0
            v2 = (v2 + v1) & M64
            v1 = ((v1 << 17 | v1 >> 47) & M64) ^ v2
            v2 = (v2 << 32 | v2 >> 32) & M64

    for word in struct.unpack('<%dQ' % (len(data) // 8), data):
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xff
    rounds(4)
    return struct.pack('<Q', v0 ^ v1 ^ v2 ^ v3)


# ------------------------------------------------------------ ChaCha20-Poly1305 (RFC 8439)

def _chacha_block(key_words, counter, nonce_words):
    state = (0x61707865, 0x3320646e, 0x79622d32, 0x6b206574) + key_words + (counter,) + nonce_words
    x = list(state)
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            xa, xb, xc, xd = x[a], x[b], x[c], x[d]
            xa = (xa + xb) & M32
            xd ^= xa
            xd = (xd << 16 | xd >> 16) & M32
            xc = (xc + xd) & M32
            xb ^= xc
            xb = (xb << 12 | xb >> 20) & M32
            xa = (xa + xb) & M32
            xd ^= xa
            xd = (xd << 8 | xd >> 24) & M32
            xc = (xc + xd) & M32
            xb ^= xc
            xb = (xb << 7 | xb >> 25) & M32
            x[a], x[b], x[c], x[d] = xa, xb, xc, xd
    return struct.pack('<16I', *((a + b) & M32 for a, b in zip(x, state)))


def chacha20(key, counter, nonce, data):
    key_words = struct.unpack('<8I', key)
    nonce_words = struct.unpack('<3I', nonce)
    stream = b''.join(_chacha_block(key_words, counter + i, nonce_words)
                      for i in range((len(data) + 63) // 64))
    n = len(data)
    return (int.from_bytes(data, 'little') ^ int.from_bytes(stream[:n], 'little')).to_bytes(n, 'little')


def poly1305(key, data):
    r = int.from_bytes(key[:16], 'little') & 0x0ffffffc0ffffffc0ffffffc0fffffff
    s = int.from_bytes(key[16:], 'little')
    acc = 0
    for i in range(0, len(data), 16):
        acc = (acc + int.from_bytes(data[i:i + 16] + b'\x01', 'little')) * r % ((1 << 130) - 5)
    return ((acc + s) & ((1 << 128) - 1)).to_bytes(16, 'little')


def _aead_tag(key, nonce, ad, ct):
    def pad(b):
        return bytes(-len(b) % 16)
    otk = _chacha_block(struct.unpack('<8I', key), 0, struct.unpack('<3I', nonce))[:32]
    return poly1305(otk, ad + pad(ad) + ct + pad(ct) + struct.pack('<QQ', len(ad), len(ct)))


def aead_seal(key, nonce, plain, ad=b''):
    ct = chacha20(key, 1, nonce, plain)
    return ct + _aead_tag(key, nonce, ad, ct)


def aead_open(key, nonce, sealed, ad=b''):
    ct, tag = sealed[:-16], sealed[-16:]
    if _aead_tag(key, nonce, ad, ct) != tag:
        return None
    return chacha20(key, 1, nonce, ct)


def nonce_of(counter):
    """As Noise and WireGuard: four zero bytes, then the counter, least significant byte first."""
    return bytes(4) + struct.pack('<Q', counter)


def selfcheck():
    key = bytes(range(16))
    assert siphash24(key, b'') == bytes.fromhex('310e0edd47db6f72')
    assert siphash24(key, bytes(range(15))) == bytes.fromhex('e545be4961ca29a1')
    assert siphash24(key, bytes(range(63))) == bytes.fromhex('724506eb4c328a95')
    # RFC 8439, 2.8.2
    key = bytes(range(0x80, 0xa0))
    nonce = bytes.fromhex('070000004041424344454647')
    ad = bytes.fromhex('50515253c0c1c2c3c4c5c6c7')
    text = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
            b"future, sunscreen would be it.")
    sealed = aead_seal(key, nonce, text, ad)
    assert sealed[:16].hex() == 'd31a8d34648e60db7b86afbc53ef7ec2'
    assert sealed[-16:].hex() == '1ae10b594f09e26a7e902ecbd0600691'
    assert aead_open(key, nonce, sealed, ad) == text


# ------------------------------------------------------------ names for things

def digest(kind, name, n):
    """Bytes that look random, are the same in every run and differ for every name."""
    return hashlib.shake_256(('%s %s' % (kind, name)).encode()).digest(n)


def address(name):
    return digest('address', name, RATMAN_ADDR_LEN)


def ipv6_of(addr):
    """An IPv6 address in 2001:20::/28 for an address. The kernel takes it from the daemon as it is."""
    b = bytearray(b'\x20\x01\x00\x20' + hashlib.sha256(addr).digest()[:12])
    b[3] |= addr[0] & 0x0f
    return bytes(b)


# ------------------------------------------------------------ frames

Frame = namedtuple('Frame', 'version type hop_limit length neigh seq tag body raw')


def hop_header(type, hop_limit, length, neigh, seq, tag=bytes(8), version=RATMAN_VERSION):
    return struct.pack('>BBHII', version << 4 | type, hop_limit, length, neigh, seq) + tag


def tagged_part(header12, type, body):
    return header12 + (body[:DATA_HDR] if type == RATMAN_DATA else body)


def build(type, body, key=None, neigh=0, seq=0, hop_limit=RATMAN_HOP_LIMIT, length=None, tag=None,
          version=RATMAN_VERSION):
    """One frame; correct unless told otherwise. Without a key the tag is zero."""
    if length is None:
        length = len(body)
    head = hop_header(type, hop_limit, length, neigh, seq, b'', version)
    if tag is None:
        tag = siphash24(key, tagged_part(head, type, body)) if key else bytes(8)
    return head + tag + body


def parse(raw):
    """Padding is cut off; AssertionError when it is no frame."""
    assert len(raw) >= HOP_LEN, 'shorter than a hop header: %s' % raw.hex()
    ver_type, hop_limit, length, neigh, seq = struct.unpack('>BBHII', raw[:TAGGED_HDR])
    assert len(raw) >= HOP_LEN + length, 'length field %d, but %d bytes follow' % (length, len(raw) - HOP_LEN)
    raw = raw[:HOP_LEN + length]
    return Frame(ver_type >> 4, ver_type & 15, hop_limit, length, neigh, seq, raw[12:20], raw[20:], raw)


def tag_valid(frame, key):
    return siphash24(key, tagged_part(frame.raw[:TAGGED_HDR], frame.type, frame.body)) == frame.tag


def hello(router, boot_id, interval_ms=1000, capabilities=0, extra=b''):
    return build(RATMAN_HELLO, router + boot_id + struct.pack('>II', interval_ms, capabilities) + extra,
                 hop_limit=1)


Hello = namedtuple('Hello', 'router boot_id interval_ms capabilities')


def parse_hello(frame):
    assert frame.type == RATMAN_HELLO and frame.length >= 48
    interval, capabilities = struct.unpack('>II', frame.body[40:48])
    return Hello(frame.body[:32], frame.body[32:40], interval, capabilities)


Echo = namedtuple('Echo', 'count seen_count seen_total held_us stamp_us echo_us interval_ms reserved')
ECHO_FORMAT = '>IIIIQQII'


def echo_body(count, seen_count=0, seen_total=0, held_us=0, stamp_us=0, echo_us=0, interval_ms=1000):
    return struct.pack(ECHO_FORMAT, count & M32, seen_count & M32, seen_total & M32, held_us & M32,
                       stamp_us & M64, echo_us & M64, interval_ms, 0)


def parse_echo(frame):
    assert frame.type == RATMAN_ECHO and frame.length >= 40
    return Echo(*struct.unpack(ECHO_FORMAT, frame.body[:40]))


Data = namedtuple('Data', 'dest session counter sealed')


def data_body(dest, session, counter, sealed):
    return dest + struct.pack('>IQ', session, counter) + sealed


def parse_data(frame):
    assert frame.type == RATMAN_DATA and frame.length >= DATA_HDR + AEAD_TAG
    session, counter = struct.unpack('>IQ', frame.body[32:44])
    return Data(frame.body[:32], session, counter, frame.body[44:])


def seq_of(lane, counter):
    return lane << RATMAN_SEQ_SHIFT | counter


# ------------------------------------------------------------ inner packets

def checksum(data):
    if len(data) & 1:
        data += b'\0'
    total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv6(src, dst, proto, payload, hop_limit=64):
    return struct.pack('>IHBB', 6 << 28, len(payload), proto, hop_limit) + src + dst + payload


def _with_checksum(src, dst, proto, segment, offset):
    pseudo = src + dst + struct.pack('>II', len(segment), proto)
    value = checksum(pseudo + segment)
    if proto == 17 and value == 0:
        value = 0xffff
    return segment[:offset] + struct.pack('>H', value) + segment[offset + 2:]


def udp(src, dst, sport, dport, payload):
    segment = struct.pack('>HHHH', sport, dport, 8 + len(payload), 0) + payload
    return ipv6(src, dst, 17, _with_checksum(src, dst, 17, segment, 6))


SYN, ACK, RST = 0x02, 0x10, 0x04


def tcp(src, dst, sport, dport, flags, seq=1, ack=0):
    segment = struct.pack('>HHIIBBHHH', sport, dport, seq, ack, 5 << 4, flags, 8192, 0, 0)
    return ipv6(src, dst, 6, _with_checksum(src, dst, 6, segment, 16))


def icmp(src, dst, type, code=0, rest=bytes(4), payload=b''):
    segment = struct.pack('>BBH', type, code, 0) + rest + payload
    return ipv6(src, dst, 58, _with_checksum(src, dst, 58, segment, 2))


def ping(src, dst, ident=1, seq=1, payload=b''):
    return icmp(src, dst, 128, 0, struct.pack('>HH', ident, seq), payload)


ETHERTYPE = RATMAN_ETHERTYPE
CONTROL, DATA, ECHO, HANDSHAKE, HELLO, LINK = (RATMAN_CONTROL, RATMAN_DATA, RATMAN_ECHO,
                                               RATMAN_HANDSHAKE, RATMAN_HELLO, RATMAN_LINK)
