#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
libratman, ratctl and ratcat against the existing (Rust) daemon, faults included:
each rule of microframe.md section 3.10 is a case. (TAP on standard output)
"""
import json
import os
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import TOP, program, run_tests, test, wait_until  # noqa: E402
from rust_daemon import HEAD, RELEASE, RustDaemon  # noqa: E402
from sdk import Stage  # noqa: E402

RATCTL, RATCAT = program("RATCTL", "ratctl"), program("RATCAT", "ratcat")
CLIENT = STAGE = None

# Numbers of ratman.h.
ECLOSED, EVERSION, EAUTH, EINTERNAL, EINVAL = -1002, -1004, -1005, -1010, -22


class Result:
    """Lines "word result [details]" of sdk_client."""

    def __init__(self, lines):
        self.lines = [line.split(" ", 2) for line in lines]

    def __getitem__(self, word):
        return [int(line[1]) for line in self.lines if line[0] == word]

    def details(self, word):
        return [line[2].strip() for line in self.lines if line[0] == word and len(line) == 3]


def client(daemon, *words, fine=True):
    """Runs the words on one handle; with @fine all must succeed and nothing may panic."""
    done = subprocess.run([CLIENT, daemon.bind, *words], env=STAGE.env, timeout=60, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    result = Result(done.stdout.splitlines())
    if fine:
        assert done.returncode == 0 and all(line[1] == "0" for line in result.lines), done.stdout
        assert daemon.drops == [], daemon.drops
    return result


def tool(daemon, *words, env=None, data=None, status=0):
    done = subprocess.run([words[0], "-b", daemon.bind, *words[1:]], input=data, timeout=60,
                          env=dict(os.environ, **(env or {})), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == status, (words, done.returncode, done.stderr)
    return done


def waiting_client(daemon, *words):
    """A client that waits for streams, and the address it waits for."""
    process = subprocess.Popen([CLIENT, daemon.bind, "create", "up", *words], env=STAGE.env,
                               stdout=subprocess.PIPE, text=True)
    wait_until("somebody listens", lambda: daemon.listeners, 30)
    return process, next(iter(daemon.listeners))


def finished(process):
    out, _ = process.communicate(timeout=60)
    return Result(out.splitlines())


@test
def no_suffix_means_rust():
    d = RustDaemon()
    r = client(d, "extended", "status")
    assert r.details("extended") == ["no"]
    # The handshake alone may carry more than the server reads.
    assert d.hello == b"\1\0\1" + b"\1\7"


@test
def nothing_is_appended_to_requests():
    """All that the library can ask, before a server that asserts that no byte is left."""
    d = RustDaemon()
    client(d, "create:bob", "up", "list", "peers", "status", "send:100", "down", "up", "destroy:f")
    for mode, _, payload in d.requests:
        size = {0x0101: 3, 0x0110: 32, 0x0111: 32, 0x0102: 33, 0x0633: 78}.get(mode, 0)
        assert len(payload) == size, (hex(mode), payload)


@test
def names_without_terminator():
    d = RustDaemon()
    client(d, "create:bob", "create")
    assert [p for m, _, p in d.requests if m == 0x0101] == [b"bob", b"\0"]


@test
def create_retried_in_the_form_of_the_release():
    d = RustDaemon(RELEASE)
    r = client(d, "create:bob", "create", "up", fine=False)
    assert r["create"] == [0, 0] and r["up"] == [0]
    assert [p for m, _, p in d.requests if m == 0x0101] == [b"bob", b"bob\0", b"\0", b"\0\0"]
    assert len(d.drops) == 2


@test
def no_auxiliary_data():
    d = RustDaemon()
    client(d, "create", "up", "send:5")
    payload, = [p for m, _, p in d.requests if m == 0x0633]
    assert payload[-2:] == b"\0\0"


@test
def streams_go_by_send_many():
    d = RustDaemon()
    client(d, "create", "up", "send:1", "send:1000000")
    assert 0x0632 not in d.modes and d.modes.count(0x0633) == 2
    assert all(p[:2] == b"\0\1" for m, _, p in d.requests if m == 0x0633)


@test
def one_recipient_for_each_send():
    d = RustDaemon()
    r = client(d, "create", "up", "send:5,2", "send:5", fine=False)
    assert r["send"] == [EINVAL, 0] and "one recipient" in r.details("send")[0]
    assert d.modes.count(0x0633) == 1 and d.drops == []


@test
def empty_stream_is_told():
    d = RustDaemon()
    r = client(d, "create", "up", "send:0", "status", fine=False)
    assert r["send"] == [EINTERNAL] and r["status"] == [0]
    assert "became invalid" in r.details("send")[0]


@test
def recv_asks_for_one_more():
    """n streams come, no more, and the session goes on."""
    for n in (1, 2, 3):
        d = RustDaemon()
        process, me = waiting_client(d, "recv:%d" % n, "status")
        for i in range(n):
            assert d.deliver(b"\x55" * 32, me, b"x" * (i + 1))
        r = finished(process)
        assert r["recv"] == [0] and r["status"] == [0], r.lines
        assert r.details("recv") == [" ".join(str(i + 1) for i in range(n))]
        request, = [p for m, _, p in d.requests if m == 0x0533]
        assert request[-5:] == b"\1\0\0\0" + bytes([n + 1])
        assert d.sessions == 1


@test
def recv_of_none_is_not_asked():
    d = RustDaemon()
    client(d, "create", "up", "recv:0", "status")
    assert 0x0533 not in d.modes and d.sessions == 1


@test
def recv_given_up_makes_a_new_session():
    d = RustDaemon()
    process, me = waiting_client(d, "recv:5,1", "status")
    assert d.deliver(b"\x55" * 32, me, b"abc")
    r = finished(process)
    assert r["recv"] == [0] and r["status"] == [0]
    assert d.sessions == 2


@test
def recv_whose_place_was_taken():
    """A second listener kills the first: the server's excuse comes where a letterhead is due."""
    d = RustDaemon()
    process, me = waiting_client(d, "recv:1", "status")
    d.listeners[me].put(None)
    r = finished(process)
    assert r["recv"] == [EINTERNAL] and "channel closed" in r.details("recv")[0]
    assert r["status"] == [0]


@test
def recv_cut_short():
    d = RustDaemon()
    process, me = waiting_client(d, "recv:1", "status")
    d.deliver(b"\x55" * 32, me, b"abc", size=1000)
    r = finished(process)
    assert r["recv"] == [ECLOSED] and r["status"] == [0] and d.sessions == 2, (r.lines, d.sessions)


@test
def up_before_all_that_needs_it():
    d = RustDaemon()
    r = client(d, "create", "recv:1", "send:5", "down", "up", "send:5", fine=False)
    assert r["recv"] == [EAUTH] and r["down"] == [EAUTH] and r["send"] == [EAUTH, 0]
    assert d.drops == [] and d.sessions == 1


@test
def tools_bring_the_address_up():
    d = RustDaemon()
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "XDG_CONFIG_HOME": home, "NO_COLOR": "1"}
        identity = os.path.join(home, "me")
        tool(d, RATCTL, "-i", identity, "addr", "create", "--name", "laptop", env=env)
        address, = d.keys
        me = "-".join(address.hex().upper()[i:i + 4] for i in range(0, 64, 4))
        got = []
        receiver = threading.Thread(target=lambda: got.append(
            tool(d, RATCAT, "-i", identity, "recv", "-c", "1", env=env)))
        receiver.start()
        wait_until("somebody listens", lambda: d.listening(address), 30)
        tool(d, RATCAT, "-i", identity, "send", "-a", me, env=env, data=b"over a Rust daemon")
        receiver.join(60)
        assert got and got[0].stdout == b"over a Rust daemon"
        d.peers = [(b"\x41" * 32, b"2024-10-21T17:25:26.123456789+00:00",
                    b"2024-10-21T17:30:00.000000001+00:00", 1)]
        done = tool(d, RATCAT, "-i", identity, "send", "-a", me + "," + me, env=env, data=b"x",
                    status=1)
        assert b"one recipient" in done.stderr, done.stderr
        assert "4141-4141" in tool(d, RATCTL, "peers", "list", env=env).stdout.decode()
        out = tool(d, RATCTL, "--json", "addr", "list", env=env).stdout.decode()
        assert me in out and json.loads(out.splitlines()[0])
        tool(d, RATCTL, "-i", identity, "addr", "down", env=env)
        assert d.drops == [], d.drops


@test
def reconnects_after_idle():
    d = RustDaemon(idle=0.2)
    client(d, "status", "sleep:600", "status", "sleep:600", "create", "up")
    assert d.sessions == 3


@test
def datetimes_by_grammar():
    d = RustDaemon()
    second = 1729531526 * 10 ** 9
    forms = [(b"", 0), (b".5", 500000000), (b".123", 123000000), (b".123456", 123456000),
             (b".123456789", 123456789)]
    d.peers = [(bytes([65 + i]) * 32, b"2024-10-21T17:25:26" + f + b"+00:00",
                b"2024-10-21T17:25:27" + f + b"+00:00", i % 2) for i, (f, _) in enumerate(forms)]
    got, = client(d, "peers").details("peers")
    assert got.split() == ["%d,%d,%d" % (second + ns, second + 10 ** 9 + ns, i % 2)
                           for i, (_, ns) in enumerate(forms)], got


@test
def eof_means_rejected():
    """A wrong token in Up kills the session (D12); the handle is as good as new."""
    d = RustDaemon()
    r = client(d, "create", "spoil", "up", "spoil", "up", "status", fine=False)
    assert r["up"] == [ECLOSED, 0] and r["status"] == [0]
    assert "rejects" in r.details("up")[0]
    assert d.drops == ["wrong token in Up"] and d.sessions == 2


@test
def unknown_address_is_told():
    d = RustDaemon()
    unknown = "-".join(["0102"] * 16) + "/" + "-".join(["0304"] * 16)
    r = client(d, "identity:" + unknown, "up", "status", fine=False)
    assert r["up"] == [EINTERNAL] and "deleted" in r.details("up")[0]
    assert r["status"] == [0] and d.sessions == 2


@test
def another_version_is_told():
    d = RustDaemon(version=(0, 2))
    r = client(d, "status", fine=False)
    assert r["open"] == [EVERSION] and len(r.lines) == 1
    assert b"version" in tool(d, RATCTL, "addr", "list", status=3).stderr


@test
def both_dialects_serve_a_whole_life():
    for dialect in (HEAD, RELEASE):
        d = RustDaemon(dialect)
        process, me = waiting_client(d, "recv:1", "list", "down", "up", "destroy", "list")
        d.deliver(b"\x55" * 32, me, os.urandom(300000))
        r = finished(process)
        assert all(line[1] == "0" for line in r.lines), r.lines
        assert r.details("recv") == ["300000"] and r.details("list") == ["1", "0"]


def main():
    global CLIENT, STAGE
    STAGE = Stage()
    CLIENT = STAGE.compile(os.path.join(TOP, "tests/e2e/sdk_client.c"), "-std=gnu11", "-O1", "-g")
    return run_tests()


if __name__ == "__main__":
    sys.exit(main())
