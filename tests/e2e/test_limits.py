#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every limit of the client protocol is met and counted; the Unix socket; browsers.

RATMAND=path/to/ratmand tests/e2e/test_limits.py      (TAP on standard output)
"""
import contextlib
import grp
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import microframe as mf  # noqa: E402
import schema  # noqa: E402
from harness import needs_root, refused, test, wait_until  # noqa: E402
from microframe import Client, Closed, frame  # noqa: E402

NOBODY = 65534
PATH = harness.program("RATMAND", "ratmand")
STREAM = 300000


@contextlib.contextmanager
def daemon(extra="", clean=True):
    """A ratmand with these lines in its configuration."""
    directory = tempfile.mkdtemp(prefix="limits.", dir="/tmp")
    os.chmod(directory, 0o755)
    d = harness.Ratmand(PATH, directory, extra=extra)
    try:
        yield d
        good, text = d.stop() if clean else (True, "")
        assert good, text
        assert not os.path.exists(d.socket), "the socket is left behind"
    finally:
        if d.alive():
            d.process.kill()
            d.process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def extended(d):
    return Client(d.bind, mf.HELLO_EXTENDED)


def hits(d, name):
    with contextlib.closing(extended(d)) as c:
        return c.limits()[name][2]


def used(d, name):
    with contextlib.closing(extended(d)) as c:
        return c.limits()[name][1]


def user(bind):
    c = Client(bind)
    address, token = c.create()
    c.up(address, token)
    return c, address, token


def is_closed(c):
    try:
        return c.sock.recv(65536) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


def timed_out(c):
    assert c.frame().kind == mf.TIMEOUT
    assert c.at_eof()


# The exchange ------------------------------------------------------------------

@test
def limits_for_extended_clients_only():
    with daemon("max_clients = 77\nidle_timeout = 300\n") as d:
        for hello in (mf.HELLO, mf.HELLO + b"\1\3"):
            c = Client(d.bind, hello)
            refused(mf.NOT_SUPPORTED, lambda: c.ask(0x0036, b"x").ping())
            assert c.status()
            c.close()
        c = extended(d)
        table = c.limits()
        assert table["max_clients"][0] == 77 and table["idle_timeout"][0] == 300
        assert all(h == 0 for _, _, h in table.values())
        assert c.ask(0x0036, b"stray").kind == mf.LIMITS
    with open(os.path.join(harness.TOP, "scripts/package/ratmand.conf")) as f:
        limits = f.read().split("# Limits of the client protocol")[1]
        keys = re.findall(r"^# ([a-z_]+) = [0-9]+$", limits, re.M)
    assert sorted(keys) == sorted(table), "the sample configuration and the daemon differ"


@test
def ratctl_shows_them():
    ratctl = harness.program("RATCTL", "ratctl")
    with daemon("max_clients = 77\n") as d:
        text = subprocess.run([ratctl, "-b", d.bind, "status", "--limits"], check=True,
                              capture_output=True, text=True).stdout
        assert re.search(r"^max_clients +77 +clients +[1-9]\d* +0$", text, re.M), text
        rows = schema.check("status --limits", subprocess.run(
            [ratctl, "-b", d.bind, "status", "--limits", "--json"], check=True,
            capture_output=True, text=True).stdout)
        assert {"name": "max_payload", "limit": 65536, "unit": "bytes", "used": 0,
                "hits": 0} in rows


# Who is let in -----------------------------------------------------------------

@test
def max_clients():
    with daemon("max_clients = 4\n") as d:
        inside = [Client(d.bind) for _ in range(4)]
        assert is_closed(Client(d.bind, None)), "a fifth was let in"
        assert all(c.status() for c in inside)
        # The administrator still gets in, and sees why nobody else does.
        with contextlib.closing(Client(d.socket, mf.HELLO_EXTENDED)) as admin:
            assert admin.limits()["max_clients"] == (4, 5, 1)
        inside.pop().close()
        wait_until("there is room again", lambda: not is_refused(d))


def is_refused(d):
    try:
        with contextlib.closing(Client(d.bind)):
            return False
    except (Closed, ConnectionResetError, BrokenPipeError):
        return True


@test
def the_silent_make_room():
    with daemon("max_clients = 4\nfirst_frame_timeout = 60\n") as d:
        inside = [Client(d.bind) for _ in range(2)]
        silent = [Client(d.bind, None) for _ in range(2)]
        wait_until("both are in", lambda: used_by_admin(d, "max_clients") == 5)
        time.sleep(0.2)		# who has just come is given a moment
        c = Client(d.bind)
        assert is_closed(silent[0]), "who came first and said nothing goes"
        assert c.status() and all(c.status() for c in inside)
        silent[1].send(frame(0x0010, mf.HELLO))
        silent[1].frame().ping()


def used_by_admin(d, name):
    with contextlib.closing(Client(d.socket, mf.HELLO_EXTENDED)) as c:
        return c.limits()[name][1]


def as_nobody(f):
    """What f() returns when nobody calls it: lines of text."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(w, "\n".join(f()).encode())
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r) as pipe:
        lines = pipe.read().splitlines()
    os.waitpid(pid, 0)
    return lines


@test
@needs_root
def max_clients_per_uid():
    with daemon("max_clients_per_uid = 3\n") as d:
        # Root is the administrator: not bound.
        mine = [Client(d.socket) for _ in range(8)]
        assert all(c.status() for c in mine)

        def is_let_in():
            try:
                Client(d.socket).close()
                return True
            except (Closed, OSError):
                return False

        def crowd():
            theirs = [Client(d.socket, mf.HELLO_EXTENDED) for _ in range(3)]
            yield str(is_let_in())
            yield " ".join(map(str, theirs[0].limits()["max_clients_per_uid"]))
            theirs.pop().close()
            wait_until("there is room for one", is_let_in)

        assert as_nobody(crowd) == ["False", "3 3 1"]
        assert Client(d.bind).status(), "TCP is another door"


@test
def the_administrator_is_who_the_kernel_says():
    """Link/Up steers the router: only for root and the daemon's user, over the Unix socket."""
    up = frame(0x0310, b"no-such-device\0")

    def is_denied(bind):
        with contextlib.closing(Client(bind)) as c:
            c.send(up)
            try:
                c.frame().ping()
                return False
            except mf.Error as e:
                return e.code == mf.INVALID_AUTH

    with daemon() as d:
        assert not is_denied(d.socket)
        assert is_denied(d.bind), "TCP does not say who calls"
        if not os.geteuid():
            assert as_nobody(lambda: [str(is_denied(d.socket))]) == ["True"]


# What a request may be ------------------------------------------------------------

@test
def max_header():
    with daemon("max_header = 40\n") as d:
        c = Client(d.bind)
        c.send(struct.pack(">I", 39) + struct.pack(">H", 0x34) + b"\x55" * 32 + b"\0" * 5)
        assert c.frame().kind == mf.STATUS
        c.send(struct.pack(">I", 41))
        refused(mf.INTERNAL, lambda: c.frame().ping())
        assert c.at_eof()
        assert hits(d, "max_header") == 1


@test
def max_payload():
    with daemon("max_payload = 600\n") as d:
        c = Client(d.bind)
        assert c.ask(0x0034, b"x" * 600).kind == mf.STATUS
        c.send(frame(0x0034, b"x" * 601))
        refused(mf.USER, lambda: c.frame().ping())
        assert is_closed(c)
        assert hits(d, "max_payload") == 1


@test
def max_recipients():
    with daemon("max_recipients = 2\n") as d:
        c, a, t = user(d.bind)
        others = [c.create()[0] for _ in range(2)]
        c.send_many(a, t, [a, others[0]], b"to two")
        refused(mf.USER, lambda: c.open_send(a, t, [a] + others))
        assert hits(d, "max_recipients") == 1
        assert c.status()


@test
def max_auth_failures():
    with daemon("max_auth_failures = 3\n") as d:
        c, a, t = user(d.bind)
        for _ in range(2):
            refused(mf.INVALID_AUTH, c.down, a, b"\x77" * 32)
        assert used(d, "max_auth_failures") == 2
        refused(mf.INVALID_AUTH, c.down, a, b"\x77" * 32)
        assert c.at_eof()
        assert hits(d, "max_auth_failures") == 1


# Time -------------------------------------------------------------------------------

@test
def timeouts():
    with daemon("first_frame_timeout = 1\nframe_timeout = 2\nidle_timeout = 3\n") as d:
        start = time.monotonic()
        silent, half, idle = Client(d.bind, None), Client(d.bind), Client(d.bind)
        half.send(b"\0\0\0\x07\1\1")
        timed_out(silent)
        assert time.monotonic() - start > 0.9
        timed_out(half)
        assert time.monotonic() - start > 1.9
        timed_out(idle)
        assert time.monotonic() - start > 2.9
        with contextlib.closing(extended(d)) as c:
            table = c.limits()
        assert table["first_frame_timeout"][2] == 1, table
        assert table["frame_timeout"][2] == 1, table
        assert table["idle_timeout"][2] == 1, table


@test
def helper_timeout_and_grace():
    with daemon("helper_timeout = 1\nsend_grace = 1\n") as d:
        c, a, t = user(d.bind)
        f = c.ask(0x0633, b"\0\1" + mf.letterhead(a, a), t)
        f.ping(mf.SEND_SOCKET)
        assert used(d, "helper_timeout") == 1
        refused(mf.INTERNAL, lambda: c.frame().ping())
        assert c.status()
        c.send(frame(0x0632, mf.letterhead(a, a, 5), t))
        c.frame().ping(mf.SEND_SOCKET)
        refused(mf.INTERNAL, lambda: c.frame().ping())
        assert hits(d, "helper_timeout") == 2
        assert hits(d, "send_grace") == 1
        assert used(d, "helper_timeout") == 0


@test
def max_helpers():
    with daemon("max_helpers = 2\n") as d:
        c, a, t = user(d.bind)
        space = c.create(b"\0" + os.urandom(32))[0]
        sockets = []
        for kind in (mf.ADDRESS, mf.NAMESPACE):
            to = mf.recipient(a if kind == mf.ADDRESS else space, kind)
            sockets.append(c.ask(0x0703, a + to, t))
            sockets[-1].ping(mf.SUBSCRIPTION)
        assert used(d, "max_helpers") == 2 and used(d, "helper_timeout") == 2
        refused(mf.INTERNAL, lambda: c.ask(0x0703, a + mf.recipient(a), t).ping(mf.SUBSCRIPTION))
        assert hits(d, "max_helpers") == 1
        host, port = sockets[0].payload[33:-1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port)), 10):
            wait_until("one is in use", lambda: used(d, "max_helpers") == 1)
            c.ask(0x0703, a + mf.recipient(a), t).ping(mf.SUBSCRIPTION)


def stuff(c, seconds):
    """Asks and never reads, until the daemon takes no more for a while; bytes sent."""
    request = frame(0x0034) * 2000
    sent, end = 0, time.monotonic() + seconds
    c.sock.setblocking(False)
    while time.monotonic() < end:
        try:
            sent += c.sock.send(request)
        except BlockingIOError:
            time.sleep(0.02)
        except (ConnectionResetError, BrokenPipeError):
            break
    return sent


@test
def write_queue_and_timeout():
    with daemon("max_write_queue = 8192\nwrite_timeout = 2\n") as d:
        c = Client(d.bind)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sent = stuff(c, 20)
        assert sent < 64 << 20, "no back-pressure"
        with contextlib.closing(extended(d)) as e:
            table = e.limits()
        assert table["max_write_queue"][2] >= 1, table
        assert table["write_timeout"][2] == 1, table
        assert table["max_write_queue_total"][1] == 0, table


@test
def write_queue_of_all():
    with daemon("max_write_queue = 1048576\nmax_write_queue_total = 262144\n") as d:
        slow = [Client(d.bind) for _ in range(8)]
        for c in slow:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for c in slow:
            stuff(c, 1)
        with contextlib.closing(extended(d)) as e:
            table = e.limits()
            # One reply more than the bound is possible for each, no more.
            assert 0 < table["max_write_queue_total"][1] < 4 * 262144 + 8 * 70000, table
        assert table["max_write_queue_total"][2] >= 1, table
        c = Client(d.bind)
        assert c.status(), "who reads is served"


# Turns ------------------------------------------------------------------------------

@test
def turns():
    with daemon("turn_requests = 10\nturn_bytes = 32768\n") as d:
        c, a, t = user(d.bind)
        c.send(frame(0x0034) * 1000)
        for _ in range(1000):
            assert c.frame().kind == mf.STATUS
        assert hits(d, "turn_requests") >= 10
        data = os.urandom(STREAM)
        c.send_many(a, t, [a], data)
        assert c.recv_one(a, t)[1] == data
        c.send(frame(0x0632, mf.letterhead(a, a, STREAM), t) + data)
        assert c.recv_one(a, t)[1] == data
        assert hits(d, "turn_bytes") >= 3 * (STREAM // (32768 + 65536))


@test
def a_turn_ends_in_the_middle_of_everything():
    """Half-closed, killed and mixed clients with more requests than a turn takes."""
    with daemon("turn_requests = 1\n") as d:
        c = Client(d.bind)
        c.send(frame(0x0034) * 500)
        c.sock.shutdown(socket.SHUT_WR)
        for _ in range(500):
            assert c.frame().kind == mf.STATUS
        assert c.at_eof()
        for cut in range(1, 12):
            c = Client(d.bind)
            c.send(frame(0x0034) * 300 + frame(0x0034)[:cut])
            c.close()
        c, a, t = user(d.bind)
        c.send(frame(0x0034) * 3 + frame(0x0633, b"\0\1" + mf.letterhead(a, a), t) +
               frame(0x0034) * 3)
        for _ in range(3):
            assert c.frame().kind == mf.STATUS
        s = c.data_socket(c.frame(), t)
        s.sendall(b"between")
        s.close()
        c.frame().ping()
        for _ in range(3):
            assert c.frame().kind == mf.STATUS
        assert c.recv_one(a, t)[1] == b"between"
        wait_until("nobody is left", lambda: used(d, "max_clients") == 2)


# Browsers -----------------------------------------------------------------------------

@test
def no_web_page_talks_to_us():
    starts = [b"GET / HTTP/1.1\r\nHost: 127.0.0.1:5852\r\n\r\n", b"POST /", b"PUT /", b"HEAD /",
              b"OPTIONS *", b"DELETE /", b"PATCH /", b"CONNECT a:1", b"TRACE /",
              b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"get /", b"\x16\x03\x01\x02\x00\x01",
              b"\x16\x03\x03", b"\x80\x2e\x01", b"G", b"P", b"\x16"]
    with daemon() as d:
        for bind in (d.bind, d.socket):
            for start in starts:
                c = Client(bind, None)
                begin = time.monotonic()
                try:
                    c.send(start)
                    said = c.sock.recv(1000)
                except (ConnectionResetError, BrokenPipeError):
                    said = b""
                assert said == b"", "%r was answered with %r" % (start, said)
                assert time.monotonic() - begin < 4, "%r was waited for" % start
                c.close()
        # What a WebRTC or STUN client of a page can begin with is no frame either.
        for start in (b"\0\1\0\0\x21\x12\xa4\x42", b"\0\x58\0\1\0\x44", b"\0\0\1"):
            c = Client(d.bind, None)
            c.send(start)
            try:
                assert c.frame().kind == mf.ERROR
            except (Closed, ConnectionResetError):
                pass
            assert is_closed(c)
        assert Client(d.bind).status()


# The Unix socket ------------------------------------------------------------------------

@test
def unix_socket_speaks_the_same():
    with daemon() as d:
        c, a, t = user(d.socket)
        far, b, u = user(d.bind)
        for k in range(3):
            c.send_many(a, t, [b], b"from the socket %d" % k)
        for k in range(3):
            head, data = far.recv_one(b, u)
            assert data == b"from the socket %d" % k and head.sender == a
        far.send_many(b, u, [a], b"x" * STREAM)
        assert c.recv_one(a, t)[1] == b"x" * STREAM
        # Send/One with a data socket, which is one on 127.0.0.1.
        e = Client(d.socket, mf.HELLO_EXTENDED)
        f = e.ask(0x0632, mf.letterhead(a, b), t)
        assert f.ping(mf.SEND_SOCKET).startswith(b"127.0.0.1:")
        s = e.data_socket(f, t)
        s.sendall(b"aside")
        s.close()
        e.frame().ping()
        assert far.recv_one(b, u)[1] == b"aside"
        # And inline.
        c.send(frame(0x0632, mf.letterhead(a, b, 6), t) + b"inline")
        assert far.recv_one(b, u)[1] == b"inline"


@test
def unix_socket_rights():
    with daemon() as d:
        assert stat.S_IMODE(os.stat(d.socket).st_mode) == 0o666
        assert stat.S_IMODE(os.stat(os.path.dirname(d.socket)).st_mode) == 0o755
    gid = os.getgroups()[0] if os.getgroups() else os.getegid()
    with daemon('api_socket_mode = "0640"\napi_socket_group = "%s"\n' % grp.getgrgid(gid)[0]) as d:
        st = os.stat(d.socket)
        assert stat.S_IMODE(st.st_mode) == 0o640 and st.st_gid == gid
    with daemon('api_socket = ""\n') as d:
        assert not os.path.exists(d.socket)


def second(d, lines):
    """Starts another daemon with its own store and port; its exit status and words."""
    directory = tempfile.mkdtemp(prefix="limits.", dir="/tmp")
    config = os.path.join(directory, "conf")
    with open(config, "w") as f:
        f.write('state_dir = "%s/s"\nruntime_dir = "%s/r"\napi_bind = "127.0.0.1:%d"\n%s'
                % (directory, directory, harness.free_port(), lines))
    try:
        out = subprocess.run([PATH, "-c", config], capture_output=True, text=True, timeout=60)
        return out.returncode, out.stderr
    finally:
        shutil.rmtree(directory)


@test
def a_living_daemons_socket_is_not_taken():
    with daemon() as d:
        status, said = second(d, 'api_socket = "%s"\n' % d.socket)
        assert status == 255 and "another daemon serves " + d.socket in said, said
        assert "runtime error" not in said and "ERROR: " not in said, said
        assert Client(d.socket).status()
        plain = os.path.join(d.directory, "file")
        open(plain, "w").write("precious")
        status, said = second(d, 'api_socket = "%s"\n' % plain)
        assert status == 255 and "is not a socket" in said, said
        assert open(plain).read() == "precious"
        status, said = second(d, 'api_socket = "/%s"\n' % ("x" * 120))
        assert status == 255 and "at most" in said, said


@test
def a_dead_daemons_socket_is_replaced():
    with daemon() as d:
        d.process.kill()
        d.process.wait()
        assert os.path.exists(d.socket)
        d.start()
        assert Client(d.socket).status()
        # A socket that is another's by now is not removed by the one that stops.
        os.rename(d.socket, d.socket + ".old")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(d.socket)
            good, text = d.stop()
            assert good, text
            assert os.path.exists(d.socket)
        os.unlink(d.socket)
        d.start()


if __name__ == "__main__":
    if not os.environ.get("RATMAND"):
        print("1..0 # SKIP set RATMAND to the daemon")
        sys.exit(0)
    sys.exit(harness.run_tests())
