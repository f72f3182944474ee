#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The SDK as it is installed: symbols, header, pkg-config, pages, examples that run
against a ratmand, and streams far larger than the memory. (TAP on standard output)
"""
import glob
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import TOP, test, wait_until  # noqa: E402
from rust_daemon import RustDaemon, Session  # noqa: E402
from sdk import Stage  # noqa: E402

STAGE = None
HEADERS = os.path.join(TOP, "include/ratman")
MAP = os.path.join(TOP, "userspace/libratman/libratman.map")
EXAMPLES = os.path.join(TOP, "Documentation/examples")
LAYOUT = os.path.join(TOP, "tests/e2e/sdk_layout.txt")
STRICT = (("c", "gcc", ["-std=c11", "-pedantic-errors", "-Wstrict-prototypes", "-Wconversion"]),
          ("c", "clang", ["-std=c11", "-pedantic-errors", "-Weverything",
                          "-Wno-documentation", "-Wno-padded"]),
          ("c", "gcc", ["-std=c99", "-pedantic-errors"]),
          ("cc", "g++", ["-std=c++11", "-pedantic-errors", "-Wold-style-cast"]))
GIB = 1 << 30
ADDRESS = r"(?:[0-9A-F]{4}-){15}[0-9A-F]{4}"


def read(path):
    with open(path) as f:
        return f.read()


def headers():
    """The names of what is installed: ratman.h and all that it includes."""
    return ["ratman.h"] + re.findall(r"^#include <ratman/(\w+\.h)>",
                                     read(os.path.join(HEADERS, "ratman.h")), flags=re.M)


def code():
    """All of them without comments."""
    return "\n".join(re.sub(r"/\*.*?\*/", "", read(os.path.join(HEADERS, name)), flags=re.S)
                     for name in headers())


def declared():
    """The functions of ratman.h."""
    return set(re.findall(r"^[a-z][\w\s]*?\**(ratman_\w+)\(", code(), flags=re.M))


def struct_members():
    """{struct: [member…]} of ratman.h."""
    return {name: [re.search(r"(\w+)\s*(\[[^]]*\])?$", declarator)[1]
                   for line in body.split(";")[:-1] for declarator in line.split(",")]
            for name, body in re.findall(r"^struct (\w+) {\n(.*?)^}", code(), flags=re.M | re.S)}


def enumerators():
    return [name for body in re.findall(r"^enum \w+ {\n(.*?)^}", code(), flags=re.M | re.S)
            for name in re.findall(r"^\t(\w+)", body, flags=re.M)]


def example(name, *args, data=None, program_path=None):
    path = program_path or STAGE.compile(os.path.join(EXAMPLES, name + ".c"), "-std=gnu11", "-O1")
    done = subprocess.run([*([path] if isinstance(path, str) else path), *args], input=data,
                          env=dict(STAGE.env, RATMAN_BIND=harness.DAEMON.bind), timeout=60, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, (name, done.returncode, done.stdout, done.stderr)
    return done.stdout


def start(name, *args):
    path = STAGE.compile(os.path.join(EXAMPLES, name + ".c"), "-std=gnu11", "-O1")
    return subprocess.Popen([path, *args], env=dict(STAGE.env, RATMAN_BIND=harness.DAEMON.bind),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@test
def symbols_map_and_header_agree():
    exported = {}
    out = subprocess.run(["nm", "-D", "--defined-only", os.path.join(STAGE.library, "libratman.so.0")],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in out.splitlines():
        name, _, version = line.split()[-1].partition("@@")
        exported[name] = version
    versions = {v for v in exported if exported[v] == ""}       # the version nodes themselves
    assert versions == {"RATMAN_0"}, versions
    symbols = set(exported) - versions
    assert all(exported[s] == "RATMAN_0" for s in symbols), exported
    mapped = set(re.findall(r"^\t(ratman_\w+);", read(MAP), flags=re.M))
    assert symbols == mapped, symbols ^ mapped
    assert symbols == declared(), symbols ^ declared()


@test
def every_function_is_in_a_page():
    pages = glob.glob(os.path.join(TOP, "Documentation/man/*.3"))
    named = {}
    for page in pages:
        head, _, rest = read(page).partition(".Sh DESCRIPTION")
        for name in re.findall(r"^\.F[no] (ratman_\w+)", head, flags=re.M):
            assert re.search(r"^\.F[no] %s\b" % name, rest, flags=re.M), \
                "%s: %s is not described" % (page, name)
            assert re.search(r"^\.Nm %s( ,)?$" % name, head, flags=re.M), \
                "%s: %s is not in NAME" % (page, name)
            named[name] = page
    assert set(named) == declared(), set(named) ^ declared()
    errors = {name for name in enumerators() if name.startswith("RATMAN_E")}
    page = read(os.path.join(TOP, "Documentation/man/libratman.3"))
    listed = {name for line in re.findall(r"^\.It Dv .*", page, flags=re.M)
              for name in re.findall(r"RATMAN_E\w+", line)}
    assert errors == listed, errors ^ listed


@test
def pages_are_found_by_function():
    for name in sorted(declared()):
        page = STAGE.find(name + ".3")
        text = read(page)
        if text.startswith(".so "):
            assert os.path.exists(os.path.join(os.path.dirname(page), "..", text[4:].strip())), text


@test
def headers_installed_are_those_of_ratman_h():
    installed = os.listdir(os.path.join(STAGE.root, "usr/include/ratman"))
    assert sorted(installed) == sorted(headers()), installed


@test
def header_in_strict_c_and_in_cpp():
    source = os.path.join(STAGE.root, "strict")
    program = "#include <ratman/ratman.h>\nint main(void)\n{\n\tstruct ratman *r = 0;\n" \
              "\tratman_close(r);\n\treturn 0;\n}\n"
    for name, compiler, flags in STRICT:
        with open(source + "." + name, "w") as f:
            f.write(program)
        path = STAGE.compile(source + "." + name, *flags, compiler=compiler)
        subprocess.run([path], env=STAGE.env, check=True)


@test
def every_header_alone_in_strict_c_and_in_cpp():
    """Twice, with nothing else before it."""
    for header in headers():
        source = os.path.join(STAGE.root, "alone")
        for name, compiler, flags in STRICT:
            with open(source + "." + name, "w") as f:
                f.write("#include <ratman/%s>\n#include <ratman/%s>\n"
                        "int main(void)\n{\n\treturn 0;\n}\n" % (header, header))
            STAGE.compile(source + "." + name, *flags, compiler=compiler)


@test
def layout_is_stable():
    """
    What a compiled program relies on: every struct's size, every member's offset, every
    enumerator's number. sdk_layout.txt may get lines, but no line of it may change.
    """
    lines = []
    for struct, members in struct_members().items():
        lines += [("struct %s" % struct, "sizeof(struct %s)" % struct)]
        lines += [("%s.%s" % (struct, m), "offsetof(struct %s, %s)" % (struct, m)) for m in members]
    lines += [(e, e) for e in enumerators()]
    path = os.path.join(STAGE.root, "layout.c")
    with open(path, "w") as f:
        f.write("#include <ratman/ratman.h>\n#include <stdio.h>\nint main(void)\n{\n")
        f.write("".join('\tprintf("%s %%lld\\n", (long long)%s);\n' % line for line in lines))
        f.write("\treturn 0;\n}\n")
    out = subprocess.run([STAGE.compile(path)], env=STAGE.env, stdout=subprocess.PIPE, check=True,
                         text=True)
    got, want = set(out.stdout.splitlines()), set(read(LAYOUT).splitlines())
    assert len(got) == len(lines) > 200
    assert not want - got, "gone or changed: %s" % sorted(want - got)
    assert not got - want, "new: to be written into %s: %s" % (LAYOUT, sorted(got - want))


@test
def aborted_stream_is_not_delivered():
    client = STAGE.compile(os.path.join(TOP, "tests/e2e/sdk_client.c"), "-std=gnu11", "-O1")
    out = subprocess.run([client, harness.DAEMON.bind, "extended", "create", "up",
                          "abort:300000", "abort:0",
                          "send:7", "recv:1", "send:8,2", "recv:2,1", "destroy:f"],
                         env=STAGE.env, timeout=60, check=True, stdout=subprocess.PIPE, text=True)
    words = [line.split(" ", 2) for line in out.stdout.splitlines()]
    assert all(w[1] == "0" for w in words), out.stdout
    assert words[1][2].strip() == "yes"
    assert [w[2].strip() for w in words if w[0] == "recv"] == ["7", "8"], out.stdout


@test
def pkg_config_file():
    version = re.search(r"^VERSION := (\S+)", read(os.path.join(TOP, "Makefile")), flags=re.M)[1]
    assert STAGE.pkg_config("--modversion") == [version]
    assert "-lratman" in STAGE.pkg_config("--libs")
    assert "-lsodium" not in STAGE.pkg_config("--libs")


@test
def example_hello():
    assert example("hello") == "Hello, mesh!\n"


@test
def example_notes():
    assert example("notes") == "noted: buy salt\nnoted: fix the lamp\nnoted: sharpen knives\n" \
        "kitchen: buy salt\nkitchen: sharpen knives\n"


@test
def example_hello_in_python():
    out = example("hello.py", program_path=[sys.executable, os.path.join(EXAMPLES, "hello.py")])
    assert out == "Hello from Python\n", repr(out)


@test
def example_loop():
    assert example("loop", "25") == "25 messages\n"


@test
def example_peers():
    receiver = start("recvfile", "/dev/null")
    address = receiver.stdout.readline().strip()
    assert re.fullmatch(ADDRESS, address)
    assert "here   " + address + "\n" in example("peers")
    receiver.kill()
    receiver.communicate()


@test
def example_files():
    with tempfile.TemporaryDirectory() as directory:
        there, back = os.path.join(directory, "there"), os.path.join(directory, "back")
        data = os.urandom(3 << 20)
        with open(there, "wb") as f:
            f.write(data)
        receiver = start("recvfile", back)
        example("sendfile", receiver.stdout.readline().strip(), there)
        receiver.communicate(timeout=60)
        assert receiver.returncode == 0
        with open(back, "rb") as f:
            assert f.read() == data


@test
def example_chat():
    one = start("chat")
    address = re.fullmatch(r"You are (%s)\n" % ADDRESS, one.stdout.readline())[1]
    two = start("chat", address)
    two.stdout.readline()
    two.stdin.write("hello there\n")
    two.stdin.flush()
    assert re.fullmatch(r"<.{9}> hello there\n", one.stdout.readline())
    one.stdin.write("and hello to you\n")           # to whoever wrote last
    one.stdin.flush()
    assert two.stdout.readline() == "<%s> and hello to you\n" % address[:9]
    for process in (one, two):
        process.communicate(timeout=60)
        assert process.returncode == 0


class Endless(RustDaemon):
    """Takes streams of any size and hands out one of 1 GiB, keeping nothing."""

    received = 0

    def __init__(self):
        super().__init__()
        self.up = Everybody()


class Everybody(dict):
    def get(self, key, default=None):
        return b"\x11" * 32


def swallow(session, token, heads):
    import socket
    with socket.create_server(("127.0.0.1", 0)) as helper:
        session.write(b"\x09127.0.0.1:%d\0" % helper.getsockname()[1], token)
        data, _ = helper.accept()
    buf = bytearray(1 << 20)
    with data:
        while n := data.recv_into(buf):
            session.daemon.received += n
    session.write(b"\1", token)


@test
def a_gibibyte_in_32_mebibytes():
    """Both ways, by a program whose address space is far smaller than the stream."""
    client = STAGE.compile(os.path.join(TOP, "tests/e2e/sdk_client.c"), "-std=gnu11", "-O1")
    d = Endless()
    send, Session.send = Session.send, swallow
    identity = "identity:%s/%s" % ("-".join(["2222"] * 16), "-".join(["1111"] * 16))
    try:
        process = subprocess.Popen(
            [client, d.bind, identity, "send:%d" % GIB, "recv:1"], env=STAGE.env,
            stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (32 << 20, 32 << 20)))
        wait_until("it listens", lambda: d.listening(b"\x22" * 32) or process.poll() is not None,
                   120)
        feeder = threading.Thread(target=lambda: d.deliver(b"\x33" * 32, b"\x22" * 32,
                                                           memoryview(bytearray(GIB))))
        feeder.start()
        out, _ = process.communicate(timeout=120)
        feeder.join()
    finally:
        Session.send = send
    assert process.returncode == 0, (process.returncode, out)
    assert "\nsend 0" in out and "\nrecv 0 %d" % GIB in out, out
    assert d.received == GIB


if __name__ == "__main__":
    STAGE = Stage()
    sys.exit(harness.main())
