#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ratcat against a running daemon: what is sent arrives, and nothing half done stays.

RATMAND=… RATCTL=… RATCAT=… tests/e2e/test_ratcat.py      (TAP on standard output)
"""
import json
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import schema  # noqa: E402
from harness import Ratmand, free_port, needs_root, small_disk, test, wait_until  # noqa: E402
from microframe import Client  # noqa: E402
from tools import Home, Terminal  # noqa: E402

HOME = Home()
COUNT = 0
BIG = 24 << 20		# more than the sockets between daemon and client hold


def user():
    """(identity file, address) of a fresh address: what waits for others is not in the way."""
    global COUNT
    COUNT += 1
    return HOME.identity("user%d" % COUNT)


def send(path, *args, data=b"x", **kw):
    return HOME.cat("-i", path, "send", *args, input=data, **kw)


def recv(path, *args, **kw):
    """The bytes that ratcat recv writes to standard output."""
    p = HOME.popen("ratcat", "-q", "-i", path, "recv", *args, **kw)
    out, err = p.communicate(timeout=120)
    assert p.returncode == 0, (p.returncode, err)
    return out


def token(path):
    return bytes.fromhex(open(path).read().split("auth=")[1].strip().replace("-", ""))


def waiting(path, address):
    """How many streams wait for the address: takes and counts them."""
    c = Client(HOME.bind)
    c.begin_recv(bytes.fromhex(address.replace("-", "")), token(path), many=True)
    n = 0
    try:
        while True:
            ready, _, _ = select.select([c.sock], [], [], 0.5)
            if not ready:
                return n
            c.stream(0x0533)
            n += 1
    finally:
        c.close()


# Sending ---------------------------------------------------------------------------

@test
def there_and_back():
    path, address = user()
    for size in (1, 1000, 65536, 65537, 3000000):
        data = os.urandom(size)
        assert send(path, "-a", address, data=data)[0] == "ok\n"
        assert recv(path) == data
    name = HOME.file("a file", data)
    assert HOME.cat("-i", path, "send", "-a", address, name)[0] == "ok\n"
    assert recv(path) == data
    assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
    for alias in ("s", "send-to", "sen"):
        HOME.cat("-i", path, "--json", alias, "-a", address, "-", input=b"alias")
        assert recv(path) == b"alias"
    assert schema.check("ratcat send", HOME.cat("-i", path, "-o", "json", "send", "-a", address, name)[0])


@test
def several_recipients():
    users = [user() for _ in range(3)]
    listed = " , ".join(a for _, a in users) + ", "
    send(users[0][0], "--addr", listed, data=b"for all")
    for path, _ in users:
        assert recv(path) == b"for all"
    send(users[0][0], "-a", users[1][1][:19].lower(), data=b"by its beginning")
    assert recv(users[1][0]) == b"by its beginning"


@test
def chunks():
    path, address = user()
    for size, text, sizes in ((300000, "100k", [102400, 102400, 95200]), (5, "2", [2, 2, 1]),
                              (4, "2", [2, 2]), (3 << 20, "1m", [1 << 20] * 3), (7, "1M", [7])):
        data = os.urandom(size)
        send(path, "-a", address, "-z", text, data=data)
        place = HOME.file("chunks")
        shutil.rmtree(place, ignore_errors=True)
        os.mkdir(place)
        out, _ = HOME.cat("-i", path, "recv", "-c", len(sizes), "-o", place)
        files = out.split()
        assert [os.path.getsize(f) for f in files] == sizes, (text, files)
        assert b"".join(open(f, "rb").read() for f in files) == data
        assert waiting(path, address) == 0
    for wrong in ("0", "x", "-1", "4x", "4kk", "", "99999999999999999999", "99999999999g"):
        _, err = send(path, "-a", address, "--chunk-size=" + wrong, status=1)
        assert "chunk-size" in err


@test
def chunks_of_what_comes_slowly():
    """Each chunk goes when it is full, not at the end of the input."""
    path, address = user()
    p = HOME.popen("ratcat", "-i", path, "send", "-a", address, "-z", "3", stdin=subprocess.PIPE)
    p.stdin.write(b"abc")
    p.stdin.flush()
    assert recv(path) == b"abc"
    p.stdin.write(b"de")
    p.stdin.close()
    assert recv(path) == b"de" and p.wait(30) == 0
    assert waiting(path, address) == 0


@test
def nothing_to_send():
    path, address = user()
    for args in ((), ("-z", "10")):
        out, err = send(path, "-a", address, *args, data=b"", status=1)
        assert "empty" in err and out == ""
    assert waiting(path, address) == 0


@test
def wrong_uses():
    path, address = user()
    for args, said in ((("send",), "-a LIST or -s LIST"), (("send", "-a", "x", "-s", "x"), "one of them"),
                       (("send", "-a", " , "), "empty"), (("send", "-a", "nonsense"), "no address"),
                       (("send", "-a", ",".join([address] * 65)), "at most 64"),
                       (("send", "-a", address, HOME.file("missing")), "No such file"),
                       (("send", "-a", address, HOME.path), "directory"),
                       (("send", "-a", address, "x", "y"), "usage"), (("recv", "x", "y"), "usage"),
                       (("recv", "-c", "x"), "number"), (("recv", "-c", "-1"), "number"),
                       (("recv", "-o", HOME.file("no/where/")), "mkdir"),
                       (("recv", "-c", "2", "-o", HOME.file("one")), "need a directory"),
                       (("snd",), "did you mean 'send'"), (("xyzzy",), "ratcat --help"),
                       (("send", "--adr"), "did you mean --addr"), (("recv", "-a", address), "-a"),
                       (("recv", "--addr", address), "--addr does nothing for ratcat recv"),
                       (("-o", "xml", "recv"), "lines or json"), (("--progress", "x", "recv"), "auto")):
        out, err = HOME.cat("-i", path, *args, status=1)
        assert said in err and out == "", (args, err)
        out, err = HOME.cat("--json", "-i", path, *args, status=1)
        assert out == "" and said in schema.check_error(err, 1)
    out, err = HOME.cat(bind=False, status=1)
    assert out == "" and err.startswith("Usage")
    HOME.cat("-i", HOME.file("nobody"), "recv", status=1)


@test
def daemon_says_no_or_nothing():
    path, address = user()
    nobody = "127.0.0.1:%d" % free_port()
    for args in (("send", "-a", address), ("recv",)):
        _, err = HOME.cat("-b", nobody, "-i", path, *args, bind=False, status=3)
        assert "Is it running" in err
        _, err = HOME.cat("--json", "-b", nobody, "-i", path, *args, bind=False, status=3)
        schema.check_error(err, 3)
    text = open(path).read()
    other = HOME.file("othertoken", text[:-3] + ("00\n" if text[-3:] != "00\n" else "11\n"))
    for args in (("send", "-a", address), ("recv",)):
        _, err = HOME.cat("-i", other, *args, status=2)
        assert "option -i" in err


class Feeder(threading.Thread):
    """Writes @size bytes into a pipe, as fast as they are taken."""

    def __init__(self, f, size):
        super().__init__()
        self.f, self.left = f, size
        self.start()

    def run(self):
        block = os.urandom(1 << 20)
        try:
            while self.left > 0:
                self.f.write(block)
                self.left -= len(block)
            self.f.close()
        except BrokenPipeError:
            pass


def peak(process):
    """Most memory the process ever had, in MiB."""
    with open("/proc/%d/status" % process.pid) as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) / 1024


@test
def memory_is_bounded():
    """300 MiB of unknown size through pipes, on both sides."""
    path, address = user()
    size = 300 << 20
    p = HOME.popen("ratcat", "-i", path, "send", "-a", address, stdin=subprocess.PIPE)
    p.stdin.write(b"begin")
    p.stdin.flush()
    wait_until("it runs", lambda: "libratman" in open("/proc/%d/maps" % p.pid).read()
               or peak(p) > 1)
    feeder = Feeder(p.stdin, size)
    most = 0
    while feeder.left > 1 << 20 and p.poll() is None:
        most = max(most, peak(p))
        time.sleep(0.05)
    feeder.join()
    assert p.wait(300) == 0, p.stderr.read()
    assert 0 < most < 64, "ratcat send had %.0f MiB" % most
    r = HOME.popen("ratcat", "-q", "-i", path, "recv", stderr=None)
    got, most = 0, 0
    while True:
        block = r.stdout.read(1 << 20)
        if not block:
            break
        got += len(block)
        if r.poll() is None and got < size:
            most = max(most, peak(r))
    assert r.wait(60) == 0 and got == size + 5
    assert 0 < most < 64, "ratcat recv had %.0f MiB" % most


# Interrupted -----------------------------------------------------------------------

@test
def interrupted_sender_sends_nothing():
    path, address = user()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        p = HOME.popen("ratcat", "-i", path, "send", "-a", address, stdin=subprocess.PIPE)
        p.stdin.write(os.urandom(200000))
        p.stdin.flush()
        time.sleep(0.3)
        p.send_signal(sig)
        _, err = p.communicate(timeout=30)
        assert p.returncode == 128 + sig and b"nothing was sent" in err, (p.returncode, err)
    # While it waits for the daemon instead of its input.
    p = HOME.popen("ratcat", "-i", path, "send", "-a", address, stdin=subprocess.PIPE)
    p.stdin.write(b"begin")
    p.stdin.flush()
    time.sleep(0.3)
    harness.DAEMON.process.send_signal(signal.SIGSTOP)
    try:
        feeder = Feeder(p.stdin, 64 << 20)
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        assert p.wait(30) == 130
    finally:
        harness.DAEMON.process.send_signal(signal.SIGCONT)
    p.stdin.close()
    feeder.join()
    assert waiting(path, address) == 0
    # Those chunks that were whole are sent.
    p = HOME.popen("ratcat", "-i", path, "send", "-a", address, "-z", "1k", stdin=subprocess.PIPE)
    p.stdin.write(b"y" * 2500)
    p.stdin.flush()
    assert recv(path) + recv(path) == b"y" * 2048
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=30)
    assert p.returncode == 130 and b"2 streams were sent before" in err, err
    assert waiting(path, address) == 0


@test
def killed_sender_sends_nothing():
    path, address = user()
    for _ in range(5):
        p = HOME.popen("ratcat", "-i", path, "send", "-a", address, stdin=subprocess.PIPE)
        p.stdin.write(os.urandom(200000))
        p.stdin.flush()
        time.sleep(0.1)
        p.kill()
        p.communicate()
    # The kernel closes its two sockets in either order.
    ours = bytes.fromhex(address.replace("-", ""))
    for data_first in (True, False):
        c = Client(HOME.bind)
        s = c.open_send(ours, token(path), [ours])
        s.sendall(b"half a stream")
        for sock in (s, c) if data_first else (c, s):
            sock.close()
    assert waiting(path, address) == 0


@test
def interrupted_receiver_leaves_no_file():
    path, address = user()
    place = HOME.file("interrupted")
    os.mkdir(place)
    for sig in (signal.SIGINT, signal.SIGTERM):
        p = HOME.popen("ratcat", "-i", path, "recv", "-o", place)
        line = p.stderr.readline()
        assert b"waiting" in line
        p.send_signal(sig)
        p.communicate(timeout=30)
        assert p.returncode == 128 + sig, (sig, p.returncode)
        assert os.listdir(place) == []
    # In the middle of a stream: the output is a FIFO that nobody empties.
    data = os.urandom(BIG)
    send(path, "-a", address, data=data)
    fifo = HOME.file("fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    p = HOME.popen("ratcat", "-i", path, "recv", "-o", fifo)
    select.select([reader], [], [], 30)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=30)
    assert p.returncode == 130 and b"the daemon keeps it" in err, err
    os.close(reader)
    assert stat.S_ISFIFO(os.stat(fifo).st_mode) and not os.path.exists(fifo + ".part")
    assert recv(path) == data


@test
def files_appear_when_they_are_whole():
    """While a stream comes in, only NAME.part is there; and an interrupt removes it."""
    path, address = user()
    data = os.urandom(48 << 20)
    send(path, "-a", address, data=data)
    name = HOME.file("whole")
    p = HOME.popen("ratcat", "-q", "-i", path, "recv", "-o", name)
    wait_until("the part file", lambda: os.path.exists(name + ".part") or p.poll() is not None)
    p.send_signal(signal.SIGSTOP)
    was_part = os.path.exists(name + ".part")
    assert was_part != os.path.exists(name)
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGCONT)
    p.communicate(timeout=60)
    if p.returncode == 130:
        assert not os.path.exists(name) and not os.path.exists(name + ".part")
        p = HOME.popen("ratcat", "-q", "-i", path, "recv", "-o", name)
        p.communicate(timeout=60)
    assert p.returncode == 0 and open(name, "rb").read() == data
    assert not os.path.exists(name + ".part")


@test
def the_daemon_dies():
    """In the middle of a stream, and while one is awaited: status 3, no file, a word about it."""
    directory = tempfile.mkdtemp(prefix="ratcat.")
    daemon = Ratmand(os.environ["RATMAND"], directory)
    home = Home(daemon.bind)
    path, address = home.identity()
    sender = home.popen("ratcat", "-i", path, "send", "-a", address, stdin=subprocess.PIPE)
    receiver = home.popen("ratcat", "-i", path, "recv", "-o", home.file("file"))
    sender.stdin.write(b"x" * 300000)
    sender.stdin.flush()
    receiver.stderr.readline()
    time.sleep(0.5)
    daemon.process.kill()
    daemon.process.wait()
    feeder = Feeder(sender.stdin, 8 << 20)
    for p in (sender, receiver):
        err = p.stderr.read()
        assert p.wait(30) == 3 and err.count(b"\n") == 1, (p.returncode, err)
    feeder.join()
    assert not [n for n in os.listdir(home.path) if n.startswith("file")]
    shutil.rmtree(directory)


# Receiving -------------------------------------------------------------------------

@test
def into_a_directory():
    path, address = user()
    place = HOME.file("inbox")
    os.mkdir(place)
    for i in range(3):
        send(path, "-a", address, data=b"stream %d" % i)
    out, _ = HOME.cat("--json", "-i", path, "recv", "-c", "2", "-o", place + "/")
    rows = schema.check("ratcat recv", out)
    assert [r["from"] for r in rows] == [address] * 2 and rows[0]["to"] == {"Address": address}
    assert [open(r["file"], "rb").read() for r in rows] == [b"stream 0", b"stream 1"]
    out, err = HOME.cat("-i", path, "recv", "-o", place)
    assert open(out.strip()).read() == "stream 2" and address in err and "8 B" in err
    assert len(os.listdir(place)) == 3 and all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9A-F]{4}(-\d+)?", n)
                                               for n in os.listdir(place))


@test
def for_ever():
    path, address = user()
    p = HOME.popen("ratcat", "-q", "-i", path, "recv", "-c", "0")
    for i in range(3):
        send(path, "-a", address, data=b"%d" % i)
        assert os.read(p.stdout.fileno(), 100) == b"%d" % i
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=30)
    assert p.returncode == 143


@test
def nothing_is_overwritten():
    path, address = user()
    name = HOME.file("precious", "precious")
    send(path, "-a", address, data=b"new")
    _, err = HOME.cat("-i", path, "recv", "-o", name, status=1)
    assert "--force" in err and open(name).read() == "precious"
    # One that appears while we wait.
    late = HOME.file("late")
    other, to = user()
    p = HOME.popen("ratcat", "-i", other, "recv", "-o", late)
    p.stderr.readline()
    HOME.file("late", "mine")
    send(path, "-a", to, data=b"yours")
    _, err = p.communicate(timeout=30)
    assert p.returncode == 1 and open(late).read() == "mine" and b"exists" in err, err
    assert not os.path.exists(late + ".part")
    HOME.cat("-i", path, "recv", "-f", "-o", name)
    assert open(name).read() == "new"


@test
def part_files():
    path, address = user()
    target = HOME.file("target", "target")
    # A link in the way is not followed. What cannot be written is not asked for.
    os.symlink(target, HOME.file("linked.part"))
    send(path, "-a", address, data=b"data")
    _, err = HOME.cat("-i", path, "recv", "-o", HOME.file("linked"), status=1)
    assert "cannot write" in err and open(target).read() == "target"
    # One left behind is used again, however long it is.
    HOME.file("stale.part", "much longer than what comes")
    HOME.cat("-i", path, "recv", "-o", HOME.file("stale"))
    assert open(HOME.file("stale")).read() == "data"
    assert not os.path.exists(HOME.file("stale.part"))
    # One that is being written is left alone.
    import fcntl
    with open(HOME.file("busy.part"), "w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        send(path, "-a", address, data=b"data")
        _, err = HOME.cat("-i", path, "recv", "-o", HOME.file("busy"), status=1)
        assert "another ratcat" in err
    assert recv(path) == b"data"


@test
def devices_are_written_as_they_are():
    path, address = user()
    send(path, "-a", address, data=b"away")
    HOME.cat("-i", path, "recv", "-o", "/dev/null")
    assert not os.path.exists("/dev/null.part")
    send(path, "-a", address, data=b"away")
    _, err = HOME.cat("-i", path, "recv", "-o", "/dev/full", status=1)
    assert "space" in err


@test
@needs_root
def no_room():
    path, address = user()
    with small_disk(HOME.file("small"), "256k") as small:
        data = os.urandom(BIG)
        send(path, "-a", address, data=data)
        for where in (small, small + "/file"):
            _, err = HOME.cat("-i", path, "recv", "-o", where, status=1)
            assert "has room for" in err and "the daemon keeps it" in err, err
            assert os.listdir(small) == []
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        HOME.cat("-i", path, "recv", "-o", small + "/file")
        assert open(small + "/file", "rb").read() == data


@test
def closed_standard_output():
    path, address = user()
    data = os.urandom(BIG)
    send(path, "-a", address, data=data)
    p = HOME.popen("ratcat", "-i", path, "recv")
    p.stdout.read(1000)
    p.stdout.close()
    err = p.stderr.read()
    assert p.wait(30) == 1 and b"Broken pipe" in err, err
    assert recv(path) == data
    send(path, "-a", address, data=data)
    with open("/dev/full", "w") as full:
        _, err = HOME.cat("-i", path, "recv", stdout=full, status=1)
        assert "space" in err
        assert recv(path) == data
        _, err = send(path, "-a", address, stdout=full, status=1)
        _, err = HOME.cat("--help", stdout=full, status=1)


@test
def the_form_and_the_place():
    """-o is the form in front of recv, and the place behind it; lines and json are the form always."""
    path, address = user()
    for args in (("-o", "json", "recv"), ("recv", "-o", "json"), ("--json", "recv")):
        send(path, "-a", address, data=b"bytes")
        out, err = HOME.cat("-i", path, *args)
        assert out == "bytes"
        head = json.loads(err.split("\n", 1)[1])
        assert head == {"from": address, "to": {"Address": address}, "stream_size": 5,
                        "auxiliary_data": []}
    send(path, "-a", address, data=b"bytes")
    HOME.cat("-i", path, "recv", "-o", "./json")
    assert open(HOME.file("json")).read() == "bytes"
    send(path, "-a", address, data=b"bytes")
    assert HOME.cat("-q", "-i", path, "recv", address) == ("bytes", "")


# Terminal --------------------------------------------------------------------------

@test
def progress_on_a_terminal():
    path, address = user()
    big = HOME.file("big", os.urandom(30 << 20))
    for args, shown in ((["--progress", "always"], True), (["--progress", "never"], False),
                        (["-q", "--progress", "auto"], False)):
        t = Terminal(HOME.argv("ratcat", ["-i", path] + args + ["send", "-a", address, big]), HOME.env)
        assert t.wait(120) == 0
        assert bool(re.search(r"sending  .* of 30 MiB  \d+ %", t.text)) == shown, (args, t.text)
        assert t.text.endswith("ok\033[0m\r\n") and (not shown or "\r\033[K\033[32mok" in t.text)
        t.close()
    # Only where people see it.
    _, err = HOME.cat("-i", path, "send", "-a", address, big)
    assert err == ""
    # By itself after a second, and without a percentage where the size is not known.
    t = Terminal(HOME.argv("ratcat", ["-i", path, "send", "-a", address]), HOME.env,
                 stdin=subprocess.PIPE)
    for _ in range(16):
        t.process.stdin.write(b"x" * 65536)
        t.process.stdin.flush()
        time.sleep(0.1)
        t.read(0)
    t.process.stdin.close()
    assert t.wait() == 0
    assert re.search(r"sending  \S+ [KM]iB  \S+ \S+/s", t.text) and "%" not in t.text, t.text
    t.close()


@test
def keys_interrupt():
    path, address = user()
    t = Terminal(HOME.argv("ratcat", ["-i", path, "recv"]), HOME.env)
    t.until("waiting")
    t.type("\x03")
    assert t.wait() == 130
    t.close()
    t = Terminal(HOME.argv("ratcat", ["-i", path, "send", "-a", address]), HOME.env)
    t.type("typed\r")
    time.sleep(0.2)
    t.type("\x04")
    assert t.wait() == 0
    t.close()
    assert recv(path) == b"typed\n"


if __name__ == "__main__":
    sys.exit(harness.main())
