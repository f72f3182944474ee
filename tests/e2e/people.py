# SPDX-License-Identifier: GPL-2.0-or-later
"""Users of the daemon under test, or of another one: of the protocol, and of the machine."""
import contextlib
import os

import harness
from logins import PASSWORD
from service import Service


def client(d=None):
    return Service((d or harness.DAEMON).bind)


def person(d=None, password=PASSWORD, handle=None):
    """A client whose user was just made, and is online."""
    c = client(d)
    c.user_create(password, handle)
    return c


def as_user(uid, f, *args):
    """Runs @f as another Unix user, in a process of its own; what it returned, as text."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(w, ("=%s" % (f(*args),)).encode())
        except BaseException as e:  # noqa: BLE001
            os.write(w, repr(e).encode())
        os._exit(0)
    os.close(w)
    with os.fdopen(r, "rb") as pipe:
        out = pipe.read().decode()
    os.waitpid(pid, 0)
    assert out.startswith("="), out
    return out[1:]


@contextlib.contextmanager
def acting(uid):
    """What is connected meanwhile is another Unix user's."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
