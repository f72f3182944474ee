# SPDX-License-Identifier: GPL-2.0-or-later
"""A well-formed request of every exchange of namespaces 09 to 0C that needs a token."""
import os
import re
import struct

import microframe as mf
from harness import TOP
from service import blob, opt, opt_id, tags, text, update


def exchanges(user, ident, service):
    """[(mode, payload)]: @user acts, on @ident where one is named, and for @service."""
    name, both = text(service), user + ident
    key = user + name + text(b"") + text(b"ant")
    page = struct.pack(">II", 0, 10)
    others = b"\0\1" + mf.recipient(bytes(range(0x41, 0x61)))
    return [
        (0x0902, user + b"\0"), (0x0903, user), (0x0905, ident + user), (0x0911, user),
        (0x0922, user + b"\0" + update(handle=b"stolen")), (0x0922, user + b"\1" + text(b"stolen")),
        (0x0934, user),
        (0x0a03, user + opt(service) + tags(())), (0x0a04, ident + user), (0x0a05, ident + user),
        (0x0a21, both), (0x0a22, both + tags(((b"stolen", b""),)) + tags(())),
        (0x0a31, user + opt(service) + opt_id(None) + opt_id(None) + tags(()) + page),
        (0x0a31, user + opt(None) + opt_id(ident) + opt_id(None) + tags(()) + page),
        (0x0a32, user + b"\0\0" + name + tags(()) + blob(b"forged")),
        (0x0a33, user + b"\0\1" + user + name + tags(()) + blob(b"forged")),
        (0x0b20, key + blob(b"forged")), (0x0b21, key), (0x0b31, key), (0x0b30, user + name + b"\0"),
        (0x0c01, user + text(b"forged") + struct.pack(">Q", 5) + opt(None)), (0x0c03, user),
        (0x0c10, both + b"\0"), (0x0c11, both + b"\0"), (0x0c20, both + opt_id(None)),
        (0x0c21, both), (0x0c22, both + struct.pack(">Q", 5)),
        (0x0c30, user + b"\0\0"), (0x0c31, user + b"\0\0"), (0x0c32, both + others),
        (0x0c33, both + others), (0x0c34, both), (0x0c36, both),
    ]


def table():
    """{mode: auth class} of userspace/proto/ops.c."""
    with open(os.path.join(TOP, "userspace", "proto", "ops.c")) as f:
        rows = re.findall(r"^\tOP\(\w+, (0x[0-9a-f]{4}), [^,]+, [^,]+, (\w+), ", f.read(), re.M)
    return {int(mode, 16): auth for mode, auth in rows}
