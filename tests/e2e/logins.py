# SPDX-License-Identifier: GPL-2.0-or-later
"""Logins that fail, each for another reason, of which nobody may learn."""
import os
import time

from service import NO_USER, refused

PASSWORD = b"correct horse"


def failing(c):
    """{why: (user, password)}; @c makes the users. At most one of them is online."""
    c.user_create(PASSWORD)
    known = c.id
    c.user_create(PASSWORD)
    away = c.id
    c.logout()
    c.user_create(PASSWORD)
    destroyed = c.id
    c.user_destroy()
    plain, _ = c.create()
    return {
        "wrong password": (known, b"wrong"),
        "wrong password, offline": (away, b"wrong"),
        "unknown user": (bytes(range(1, 33)), PASSWORD),
        "no key at all": (b"\xff" * 32, PASSWORD),
        "another unknown user": (os.urandom(32).replace(b"\0", b"\1"), PASSWORD),
        "destroyed user": (destroyed, PASSWORD),
        "address without password": (plain, PASSWORD),
        "empty password": (known, b""),
        "address without password, empty password": (plain, b""),
        "long password": (known, b"x" * 1024),
        "too long a password": (known, b"x" * 4000),
    }


def guess(c, ident, password):
    """How long the refusal took, in seconds."""
    begin = time.perf_counter()
    refused(NO_USER, c.enter, 0x0910, ident + password + b"\0")
    return time.perf_counter() - begin
