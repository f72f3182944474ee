#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ratctl against a running daemon: every command, every mistake, all forms of the output.

RATMAND=… RATCTL=… RATCAT=… tests/e2e/test_tools.py      (TAP on standard output)
"""
import glob
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import schema  # noqa: E402
from harness import TOP, Ratmand, free_port, needs_root, small_disk, test, wait_until  # noqa: E402
from tools import ADDRESS, Home, Terminal  # noqa: E402

HOME = Home()

# What the kernel answers; here it is not there, and every one of them says so.
KERNEL = [("link", "list"), ("link", "add", "lo"), ("link", "del", "lo"), ("neigh", "list"),
          ("neigh", "del", "lo", "AB" * 32), ("route", "list"), ("route", "del", "AB" * 32),
          ("route", "set", "AB" * 32, "1"), ("session", "list"),
          ("session", "del", "AB" * 32, "CD" * 32), ("counters", "list"), ("monitor",),
          ("neigh", "set", "lo", "AB" * 32, "--mac", "02:00:00:00:00:01", "--index", "1",
           "--peer-index", "1", "--keys", "/dev/null"),
          ("session", "set", "AB" * 32, "CD" * 32, "--index", "1", "--peer-index", "1", "--keys",
           "/dev/null")]


def commands():
    """[("addr", "create"), ("status",)…]: what ratctl has, as its help says."""
    out, _ = HOME.ctl("--help")
    body = out.split("\n\n")[2]
    found = [tuple(w for w in line[:41].split() if w.islower()) for line in body.splitlines()]
    assert ("addr", "create") in found and ("status",) in found, found
    return found


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# Identities ------------------------------------------------------------------

@test
def life_of_an_address():
    path = HOME.file("life")
    out, err = HOME.ctl("-i", path, "addr", "create", "--name", "laptop")
    assert ADDRESS.fullmatch(out.strip()) and "ratctl addr up" in err and "auth" not in out + err
    address = out.strip()
    assert mode(path) == 0o600
    lines = open(path).read().splitlines()
    assert lines[0] == "addr=" + address and lines[1].startswith("auth=") and len(lines) == 2
    assert address in HOME.ctl("addr", "list")[0]
    assert HOME.ctl("-i", path, "addr", "up")[0] == "ok\n"
    assert HOME.ctl("-i", path, "addr", "up", "-o", "json")[0] == '{"ok":true}\n'
    assert HOME.ctl("addr", "down", "-i", path)[0] == "ok\n"
    assert HOME.ctl("-i", path, "addr", "destroy", "-f")[0] == "ok\n"
    assert address not in HOME.ctl("addr", "list")[0]
    _, err = HOME.ctl("-i", path, "addr", "up", status=2)
    assert "ratctl addr list" in err or "token" in err, err


@test
def identity_in_both_forms():
    made = {}
    for form in ("lines", "json"):
        path = HOME.file("form." + form)
        with open(path, "w") as f:
            os.fchmod(f.fileno(), 0o644)      # as a shell does
            HOME.ctl("-o", form, "addr", "create", stdout=f)
        assert mode(path) == 0o600
        made[form] = open(path).read()
    m = re.fullmatch(r"addr=(\S+)\nauth=(\S+)\n", made["lines"])
    assert m and ADDRESS.fullmatch(m[1]) and ADDRESS.fullmatch(m[2])
    keys = json.loads(made["json"])
    assert list(keys) == ["addr", "auth"]
    assert made["json"] == '{\n  "addr": "%s",\n  "auth": "%s"\n}\n' % (keys["addr"], keys["auth"])
    # Read in either form whatever -o says; and by its place, as the existing tools do.
    bare = HOME.file("bare", m[1] + "\n" + m[2] + "\n")
    crlf = HOME.file("crlf", "addr=%s\r\nauth=%s\r\n" % m.groups())
    for path in (HOME.file("form.lines"), HOME.file("form.json"), bare, crlf):
        for form in ("lines", "json"):
            HOME.ctl("-o", form, "-i", path, "addr", "up")


@test
def identity_others_can_read():
    path, _ = HOME.identity("readable")
    os.chmod(path, 0o644)
    out, err = HOME.ctl("-i", path, "addr", "up")
    assert out == "ok\n" and "chmod 600" in err and "warning" in err, err
    token = open(path).read().split("auth=")[1].strip()
    assert token not in err
    assert HOME.ctl("-q", "-i", path, "addr", "up")[1] == ""


@test
def damaged_identities():
    good = open(HOME.identity("good")[0]).read()
    token = good.split("auth=")[1].strip()
    for text, said in (("", "empty"), ("addr=" + good[5:84] + "\n", "token (auth) is missing"),
                       (good[:-20], "token (auth) is damaged"),
                       (good.replace("addr=", "addr=X"), "address (addr) is damaged"),
                       ('{"addr": "%s"' % good[5:84], "JSON"), (b"\0" * 100, "text"),
                       ("x" * 100000, "too long"), ("pubkey=1\nprivkey=2\n", "namespace")):
        path = HOME.file("damaged", text)
        _, err = HOME.ctl("-i", path, "addr", "up", status=1)
        assert said in err and path in err and token[:20] not in err, err
    _, err = HOME.ctl("-i", HOME.path, "addr", "up", status=1)
    assert "not a regular file" in err
    _, err = HOME.ctl("-i", HOME.file("nowhere"), "addr", "up", status=1)
    assert "ratctl addr create" in err


@test
def profiles():
    config = HOME.file(".config/ratcat/")
    assert HOME.ctl("idpath")[0] == config + "id\n"
    assert HOME.ctl("-p", "work", "idpath")[0] == config + "work\n"
    assert HOME.cat("--prof=work", "idpath")[0] == config + "work\n"
    assert HOME.ctl("-i", "/some/where", "idpath")[0] == "/some/where\n"
    xdg = {"XDG_CONFIG_HOME": HOME.file("xdg")}
    assert HOME.ctl("idpath", env=xdg)[0] == HOME.file("xdg/ratcat/id\n")
    # Not absolute is as good as not there (XDG base directory specification).
    assert HOME.ctl("idpath", env={"XDG_CONFIG_HOME": "$XDG_CONFIG_HOME"})[0] == config + "id\n"
    assert schema.check("idpath", HOME.ctl("--json", "idpath")[0]) == {"path": config + "id"}
    _, err = HOME.ctl("idpath", env={"HOME": ""}, status=1)
    assert "HOME" in err
    for name in ("../id", "", "a/b"):
        HOME.ctl("-p", name, "addr", "up", status=1)
        HOME.cat("-p", name, "idpath", status=1)


@test
def create_keeps_what_is_there():
    path, address = HOME.identity("keep")
    before = open(path).read()
    _, err = HOME.ctl("-i", path, "addr", "create", status=1)
    assert "--force" in err and open(path).read() == before
    out, _ = HOME.ctl("-i", path, "addr", "create", "--force")
    assert out.strip() != address and open(path).read() != before
    assert glob.glob(path + ".*") == [], "temporary files stay"


@test
def create_without_a_place():
    """An address whose token cannot be kept is not lost: the identity is printed."""
    if os.geteuid():
        blocked = HOME.file("readonly")
        os.mkdir(blocked, 0o500)
    else:
        blocked = "/proc/self"         # root may write anywhere else
    out, err = HOME.ctl("-i", blocked + "/id", "addr", "create", status=1)
    assert out.startswith("addr=") and "auth=" in out and "keep it" in err, (out, err)
    HOME.file("file", "")
    out, err = HOME.ctl("-i", HOME.file("file") + "/id", "addr", "create", status=1)
    assert "auth=" in out


@test
@needs_root
def create_on_a_full_disk():
    with small_disk(HOME.file("full"), "16k") as full:
        with open(full + "/filler", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        out, err = HOME.ctl("-i", full + "/id", "addr", "create", status=1)
        assert "auth=" in out and "space" in err, (out, err)
        assert os.listdir(full) == ["filler"]


@test
def destroy_asks():
    path, address = HOME.identity("asked")
    _, err = HOME.ctl("-i", path, "addr", "destroy", status=1)
    assert "--force" in err
    for answer, status in (("n\r", 1), ("\r", 1), ("y\r", 0)):
        t = Terminal(HOME.argv("ratctl", ["-i", path, "addr", "destroy"]), HOME.env)
        t.until(r"for ever\? \[y/N\]")
        assert address in t.text
        t.type(answer)
        assert t.wait() == status, t.text
        t.close()
    assert address not in HOME.ctl("addr", "list")[0]


@test
def token_stays_off_the_screen():
    t = Terminal(HOME.argv("ratctl", ["-p", "screen", "addr", "create"]), HOME.env)
    assert t.wait() == 0, t.text
    path = HOME.file(".config/ratcat/screen")
    token = open(path).read().split("auth=")[1].strip()
    assert mode(path) == 0o600 and mode(os.path.dirname(path)) == 0o700
    assert ADDRESS.search(t.text) and token not in t.text and path in t.text
    t.close()
    t = Terminal(HOME.argv("ratctl", ["addr", "create", "--show-secrets"]), HOME.env)
    assert t.wait() == 0 and "auth=" in t.text
    t.close()


@test
def wrong_tokens():
    path, address = HOME.identity("wrong")
    good = open(path).read()
    other = HOME.file("other", good[:-3] + ("00\n" if good[-3:] != "00\n" else "11\n"))
    for verb in (("up",), ("down",), ("destroy", "--force")):
        out, err = HOME.ctl("-i", other, "addr", *verb, status=2)
        assert out == "" and "option -i" in err, err
        out, _ = HOME.ctl("--json", "-i", other, "addr", *verb, status=2)
        schema.check_error(out, 2)
    assert address in HOME.ctl("addr", "list")[0]


# Forms of the output -----------------------------------------------------------

@test
def lists_and_status():
    _, address = HOME.identity("listed")
    rows = schema.check("addr list", HOME.ctl("--json", "addr", "list")[0])
    assert address in [r["addr"] for r in rows]
    exact = json.loads(HOME.ctl("-o", "json", "addr", "list")[0])
    assert exact == [r["addr"] for r in rows] and exact == sorted(exact)
    assert HOME.ctl("-o", "lines", "addr", "ls")[0].split("\n") == exact + [""]
    table = HOME.ctl("addr", "list")[0].splitlines()
    assert table[0].split() == ["ADDRESS", "IPV6"] and len(table) == len(exact) + 1
    assert HOME.ctl("--no-header", "addr", "list")[0].splitlines() == table[1:]
    assert all(line == line.rstrip() for line in table)

    assert schema.check("peers list", HOME.ctl("--json", "peers", "list")[0]) == []
    assert HOME.ctl("-o", "json", "peers", "list")[0] == "[]\n"
    assert HOME.ctl("-o", "lines", "peers", "list")[0] == "\n"

    st = schema.check("status", HOME.ctl("status", "--json")[0])
    assert st["mesh"].startswith("off: ") and st["num_local"] == len(exact)
    keys = ["num_peers", "num_local", "num_auth", "num_collector_workers"]
    exact = HOME.ctl("-o", "json", "status", "system")[0]
    assert exact == "{\n%s\n}\n" % ",\n".join('  "%s": %d' % (k, st[k]) for k in keys)
    line = HOME.ctl("status", "system", "-o", "lines")[0]
    assert line == ("known peers: %d, local addrs: %d, active auths: %d, collector workers: %d\n"
                    % tuple(st[k] for k in keys))
    text = HOME.ctl()[0]
    assert text == HOME.ctl("status")[0] and len(text.splitlines()) <= 12
    assert "mesh: off: " in text and "modprobe" in text


@test
def created_in_every_form():
    path = HOME.file("created")
    row = schema.check("addr create", HOME.ctl("--json", "-i", path, "addr", "create")[0])
    assert row["file"] == path and "auth" not in row
    row = schema.check("addr create", HOME.ctl("--json", "addr", "create")[0])
    assert row["auth"]
    for verb in (("addr", "up"), ("addr", "down"), ("addr", "destroy", "--force")):
        schema.check(" ".join(verb[:2]), HOME.ctl("--json", "-i", path, *verb)[0])


@test
def the_schema_has_every_command():
    known = schema.load()
    ours = {" ".join(c) for c in commands()}
    commands_known = {c for c in known if not c.startswith("ratcat ") and " --" not in c}
    assert ours == commands_known, ours ^ commands_known
    page = open(os.path.join(TOP, "Documentation", "ratctl-json.md")).read()
    for command, row in known.items():
        assert command in page, "ratctl-json.md does not mention " + command
        for name in row.get("fields", {}):
            assert "`%s`" % name in page, "ratctl-json.md: %s of %s" % (name, command)


@test
def the_schema_and_the_columns_agree():
    """Also of commands that cannot run here: members and their types, from the source."""
    kinds = {"PRINT_TEXT": "text", "PRINT_ADDRESS": "address", "PRINT_IPV6": "ipv6",
             "PRINT_BOOL": "bool", "PRINT_ACTIVE": "bool", "PRINT_TIME": "time",
             "PRINT_AGE": "time", "PRINT_PAIRS": "map"}
    source = "".join(open(f).read() for f in glob.glob(TOP + "/userspace/ratctl/*.c"))
    functions = {f: noun + (" " + verb if verb else "") for noun, verb, f in re.findall(
        r'\{ "(\w+)", (?:"(\w+)"|NULL), [^{]*?\b(cmd_\w+),', source)}
    column = re.compile(r"PRINT_COLUMN\(struct \w+, \w+, \"(\w+)\",\s*\"[^\"]*\",\s*(PRINT_\w+),"
                        r"\s*([^)]*)\)")

    def definition(name):
        """The body of a function, or a table of columns."""
        m = re.search(r"\n(?:static )?int %s\([^;{]*?\)\n\{.*?\n\}\n"
                      r"|\nstatic const struct print_column %s\[\] = \{.*?\n\};\n" % (name, name),
                      source, re.S)
        return m.group(0) if m else ""

    def columns_of(name, depth=3):
        body = definition(name)
        found = column.findall(body)
        for called in re.findall(r"\b(?:\w+(?=\()|\w+_columns)", body.partition("{")[2]):
            if found or not depth:
                break
            found = columns_of(called, depth - 1)
        return found

    checked = 0
    for function, command in functions.items():
        columns = columns_of(function)
        if not columns:
            continue
        fields = schema.load()[command]["fields"]
        assert [c[0] for c in columns if "PRINT_TABLE" not in c[2]] == list(fields), command
        for key, kind, _ in columns:
            assert kinds.get(kind, "number") == fields[key].rstrip("?"), (command, key)
        checked += 1
    assert checked >= 12, checked


@test
def the_tables_are_sound():
    """Ids and names of options are unique, and so are the letters that one command takes."""
    for path in ("ratctl/options.c", "ratcat/ratcat.c"):
        source = open(os.path.join(TOP, "userspace", path)).read()
        rows = re.findall(r"\{ '(.)', ('.'|0), \"([a-z-]+)\",", source)
        common = re.search(r'\.common = "(\w+)"', source)[1]
        assert len(rows) > 10
        for what in (0, 2):
            seen = [r[what] for r in rows]
            assert len(seen) == len(set(seen)), (path, [x for x in seen if seen.count(x) > 1])
        letters = {r[0]: r[1] for r in rows}
        assert set(common) <= set(letters), path
        source += open(os.path.join(TOP, "userspace/ratctl/ratctl.c")).read()
        for own in re.findall(r'\{ "\w+", (?:"\w+"|NULL), "[^"]*", \d+, \d+, "(\w*)", cmd_', source):
            if path.startswith("ratctl"):
                assert set(own) <= set(letters), own
                used = [letters[i] for i in own if letters[i] != "0"]
                assert len(used) == len(set(used)), own


@test
def the_kernels_commands_without_a_kernel():
    for words in KERNEL:
        out, err = HOME.ctl(*words, status=3)
        assert out == "" and "modprobe" in err, (words, out, err)
        out, _ = HOME.ctl("--json", *words, status=3)
        schema.check_error(out, 3)


# Mistakes ------------------------------------------------------------------------

@test
def daemon_not_there():
    nobody = "127.0.0.1:%d" % free_port()
    path, address = HOME.identity("nobody")
    for words in (("status",), ("addr", "list"), ("peers", "list"), ("addr", "create"),
                  ("-i", path, "addr", "up"), ("top", "--count", "1")):
        out, err = HOME.ctl("-b", nobody, *words, bind=False, status=3)
        assert out == "" and "Is it running" in err and nobody in err, err
        out, _ = HOME.ctl("--json", "-b", nobody, *words, bind=False, status=3)
        assert nobody in schema.check_error(out, 3)
    for bind in ("nonsense", "1.2.3.4", "127.0.0.1:0", "127.0.0.1:99999", ":5852"):
        _, err = HOME.ctl("-b", bind, "status", bind=False, status=1)
        assert "IP:PORT" in err


@test
def somebody_else_on_the_port():
    """What answers is no ratmand, or does not answer at all: status 3 or 4, and a word about it."""
    server = subprocess.Popen(
        [sys.executable, "-c", "import socket,time\ns=socket.create_server(('127.0.0.1',0))\n"
         "print(s.getsockname()[1],flush=True)\nc,_=s.accept()\n"
         "c.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n')\ntime.sleep(60)"],
        stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().strip()
        _, err = HOME.ctl("-b", "127.0.0.1:" + port, "status", bind=False, status=3)
        assert "ratmand" in err
    finally:
        server.kill()
        server.wait()


@test
def daemon_that_is_stuck():
    directory = tempfile.mkdtemp(prefix="tools.")
    daemon = Ratmand(os.environ["RATMAND"], directory)
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        out, err = HOME.ctl("--json", "-b", daemon.bind, "addr", "list", bind=False, status=4)
        assert "no answer in time" in err
        schema.check_error(out, 4)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    good, text = daemon.stop()
    assert good, text
    shutil.rmtree(directory)


@test
def words_nearly_right():
    for words, said in ((("adr", "list"), "'addr'"), (("addr", "lsit"), "'addr list'"),
                        (("staus",), "'status'"), (("--jsn", "status"), "--json"),
                        (("addr", "create", "--fore"), "--force"),
                        (("--widee", "status"), "--wide")):
        _, err = HOME.ctl(*words, status=1)
        assert "did you mean " + said + "?" in err, err
    for words in (("xyzzy",), ("addr", "xyzzy"), ("--xyzzy",), ("-x",), ("addr",), ("addr", "create", "-x")):
        out, err = HOME.ctl(*words, status=1)
        assert out == "" and err.count("\n") == 1, err
    _, err = HOME.ctl("ev\033[31mil\n", status=1)
    assert "'ev?[31mil?'" in err and "\033" not in err
    assert HOME.ctl("a", "li")[0] == HOME.ctl("addr", "list")[0]


@test
def options_where_they_do_nothing():
    for words, said in ((("addr", "list", "--force"), "--force does nothing for ratctl addr list"),
                        (("status", "--keys", "x"), "--keys"), (("--name", "x", "addr", "up"), "--name"),
                        (("monitor", "--count", "1"), "--count")):
        _, err = HOME.ctl(*words, status=1)
        assert said in err, err
    for words, said in ((("-o", "xml", "status"), "lines or json"), (("--color", "x", "status"), "auto"),
                        (("--json=1", "status"), "takes no argument"), (("-b",), "needs an argument"),
                        (("addr", "create", "--name"), "needs an argument"),
                        (("addr", "up", "more"), "usage: ratctl addr up"),
                        (("route", "del"), "ADDRESS"), (("status", "more"), "no argument"),
                        (("top", "--interval", "x"), "seconds"), (("top", "-c", "x"), "number")):
        _, err = HOME.ctl(*words, status=1)
        assert said in err, err
    out, _ = HOME.ctl("--jsn", "status", "--json", status=1)
    assert "did you mean" in schema.check_error(out, 1)


@test
def options_anywhere():
    """In front of the noun, between the words, behind them, with or without '='."""
    expected = HOME.ctl("--json", "addr", "list")[0]
    for words in (("addr", "--json", "list"), ("addr", "list", "--json"), ("--js", "addr", "list"),
                  ("addr", "list", "--no-header", "--json")):
        assert HOME.ctl(*words)[0] == expected
    assert HOME.ctl("--bind=" + HOME.bind, "addr", "list", "--json", bind=False)[0] == expected
    path = HOME.file("anywhere")
    HOME.ctl("--name=x", "-qi", path, "addr", "create")
    HOME.ctl("--force", "-qi", path, "addr", "create")
    HOME.ctl("addr", "create", "-fq", "-i" + path)


@test
def addresses_nearly_right():
    _, address = HOME.identity("near")
    # Found through the daemon; then the kernel is missing.
    for text in (address, address[:14], address.lower(), address[:9] + "…" + address[-4:]):
        _, err = HOME.ctl("route", "del", text, status=3)
        assert "modprobe" in err
    for text, said in (("zz", "is no address"), (address[:13] + "z", "did you mean " + address[:9])):
        _, err = HOME.cat("-i", HOME.file("near"), "send", "-a", text, status=1)
        assert said in err, err


@test
def ambiguous_addresses():
    seen = {}
    while True:
        _, address = HOME.identity("ambiguous")
        os.unlink(HOME.file("ambiguous"))
        if address[0] in seen:
            break
        seen[address[0]] = address
    path, _ = HOME.identity("asker")
    _, err = HOME.cat("-i", path, "send", "-a", address[0], status=1)
    assert "fits several addresses" in err and "write more of it" in err
    assert address[:9] in err or seen[address[0]][:9] in err, err


@test
def closed_standard_output():
    for words in (("status",), ("addr", "list"), ("--help",), ("--completion", "bash"),
                  ("--json", "status"), ("top", "--count", "2", "--interval", "0.1")):
        with open("/dev/full", "w") as full:
            HOME.ctl(*words, stdout=full, status=1)
        r, w = os.pipe()
        os.close(r)
        p = HOME.popen("ratctl", *words, stdout=w)
        os.close(w)
        p.communicate(timeout=30)
        # Whoever reads has gone: an error or the usual signal, never a crash.
        assert p.returncode in (1, -signal.SIGPIPE), (words, p.returncode)


@test
def help_everywhere():
    out, _ = HOME.ctl("--help")
    assert all(len(line) <= 100 for line in out.splitlines())
    for words in commands():
        out, _ = HOME.ctl(*words, "--help")
        assert out.startswith("Usage: ratctl [OPTIONS] " + " ".join(words)), out
        out, _ = HOME.ctl(words[0], "-h")
        assert words[-1] in out
    assert re.fullmatch(r"ratctl \d+\.\d+\.\d+\n", HOME.ctl("-V")[0])


# Terminal ------------------------------------------------------------------------

@test
def colours():
    escape = "\033["
    plain, _ = HOME.ctl("status")
    assert escape not in plain
    assert escape in HOME.ctl("--color", "always", "status")[0]
    assert escape in HOME.ctl("--color", "always", "status", env={"NO_COLOR": "1"})[0]
    assert escape not in HOME.ctl("--color", "always", "--json", "status")[0]
    for env, args, coloured in (({}, [], True), ({"NO_COLOR": "1"}, [], False), ({"NO_COLOR": ""}, [], True),
                                ({"TERM": "dumb"}, [], False), ({}, ["--color", "never"], False)):
        t = Terminal(HOME.argv("ratctl", args + ["status"]), {**HOME.env, **env})
        assert t.wait() == 0
        assert (escape in t.text) == coloured, (env, args, t.text)
        t.close()


@test
def top_as_lines():
    out, _ = HOME.ctl("--json", "top", "--count", "3", "--interval", "0.1")
    rows = schema.check("top", out)
    assert len(rows) == 3 and all(r["daemon"] for r in rows)
    assert [r["time"] for r in rows] == sorted(r["time"] for r in rows)
    lines = HOME.ctl("-o", "lines", "top", "-c", "2", "--interval", "0.1")[0].splitlines()
    assert len(lines) == 2 and all(line.count("\t") == 14 for line in lines)
    lines = HOME.ctl("top", "-c", "2", "--interval", "0.1")[0].splitlines()
    assert len(lines) == 3 and lines[0].startswith("TIME")


class Screen:
    """What stands on the terminal after the escapes that ratctl top uses."""

    def __init__(self, text):
        self.alternate = text.rfind("\033[?1049h") > text.rfind("\033[?1049l")
        self.cursor = text.rfind("\033[?25h") > text.rfind("\033[?25l")
        drawn = text.split("\033[?1049h")[-1].split("\033[?1049l")[0]
        self.lines = [re.sub(r"\033\[[^a-zA-Z]*[a-zA-Z]", "", x).rstrip("\r")
                      for x in drawn.split("\033[H")[-1].split("\n")]


@test
def top_on_a_terminal():
    for key in ("q", "\x04"):
        t = Terminal(HOME.argv("ratctl", ["top", "--interval", "0.2"]), HOME.env)
        t.until(r"addresses \d+ \(\d+ up\)")
        t.until(r"(?s)\033\[H.*\033\[H.*\033\[J")
        screen = Screen(t.text)
        assert screen.alternate and not screen.cursor and not t.restored()
        assert len(screen.lines) <= 24 and all(len(x) <= 80 for x in screen.lines), screen.lines
        assert "mesh off" in screen.lines[0], screen.lines
        t.resize(10, 40)
        t.process.send_signal(signal.SIGWINCH)
        t.type("x")                                # not a key of ours
        time.sleep(0.3)
        t.type(key)
        assert t.wait() == 0
        screen = Screen(t.text)
        assert not screen.alternate and screen.cursor and t.restored()
        t.close()


@test
def top_gives_the_terminal_back():
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        t = Terminal(HOME.argv("ratctl", ["top"]), HOME.env)
        t.until(r"addresses \d+")
        if sig == signal.SIGINT:
            t.type("\x03")
        else:
            t.process.send_signal(sig)
        assert t.wait() == 128 + sig, (sig, t.process.returncode)
        screen = Screen(t.text)
        assert not screen.alternate and screen.cursor and t.restored(), sig
        t.close()
    # Stopped and continued: the shell has an ordinary terminal meanwhile.
    t = Terminal(HOME.argv("ratctl", ["top"]), HOME.env)
    t.until(r"addresses \d+")
    t.process.send_signal(signal.SIGTSTP)
    t.until(r"\033\[\?1049l")
    wait_until("it stops", lambda: "T" in open("/proc/%d/stat" % t.process.pid).read().split()[2])
    assert t.restored()
    t.process.send_signal(signal.SIGCONT)
    t.until(r"(?s)1049l.*1049h.*addresses")
    t.type("q")
    assert t.wait() == 0 and t.restored()
    t.close()


@test
def top_sees_the_daemon_come_and_go():
    directory = tempfile.mkdtemp(prefix="tools.")
    daemon = Ratmand(os.environ["RATMAND"], directory)
    t = Terminal(HOME.argv("ratctl", ["-b", daemon.bind, "top", "--interval", "0.1"], bind=False),
                 HOME.env)
    t.until(r"addresses 0 \(0 up\)")
    good, text = daemon.stop()
    assert good, text
    t.until(r"daemon: cannot reach")
    t.type("q")
    assert t.wait() == 0 and t.restored()
    t.close()
    shutil.rmtree(directory)


# Completion ------------------------------------------------------------------------

def complete(program, line, env=None):
    """What bash offers behind @line."""
    path = HOME.file("completion." + program)
    if not os.path.exists(path):
        with open(path, "w") as f:
            HOME.run(program, "--completion", "bash", stdout=f)
    links = HOME.file("bin")
    os.makedirs(links, exist_ok=True)
    for name, target in HOME.programs.items():
        if not os.path.islink(links + "/" + name):
            os.symlink(os.path.abspath(target), links + "/" + name)
    script = """source "$1"; COMP_LINE=$2 COMP_POINT=${#2}
        "_$3"; ((${#COMPREPLY[@]})) && printf '%s\\n' "${COMPREPLY[@]}"; complete -p "$3" >&2"""
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", path, line, program],
                          env={**HOME.env, "PATH": links + ":" + os.environ["PATH"], **(env or {})},
                          cwd=HOME.path, capture_output=True, text=True, timeout=60)
    assert "complete -F _%s %s" % (program, program) in done.stderr, done.stderr
    return done.stdout.split("\n")[:-1]


@test
def completion_of_words():
    nouns = sorted({c[0] for c in commands()})
    assert sorted(complete("ratctl", "ratctl ")) == nouns
    assert complete("ratctl", "ratctl ad") == ["addr"]
    verbs = sorted(c[1] for c in commands() if c[0] == "addr")
    for line in ("ratctl addr ", "ratctl --json addr ", "ratctl -b 127.0.0.1:1 addr ",
                 "ratctl --bind=127.0.0.1:1 addr ", "ratctl addr --wide "):
        assert sorted(complete("ratctl", line)) == verbs, line
    assert complete("ratctl", "ratctl addr cr") == ["create"]
    assert complete("ratctl", "ratctl addr up ") == []
    assert complete("ratctl", "ratctl xyzzy ") == []


@test
def completion_of_options():
    common = complete("ratctl", "ratctl --")
    assert {"--json", "--bind", "--help"} <= set(common) and "--force" not in common
    create = complete("ratctl", "ratctl addr create --")
    assert {"--name", "--force", "--json"} <= set(create) and "--keys" not in create
    assert complete("ratctl", "ratctl --colo") == ["--color"]
    assert complete("ratctl", "ratctl --color ") == ["auto", "always", "never"]
    assert complete("ratctl", "ratctl --color=n") == ["never"]
    assert complete("ratctl", "ratctl -o j") == ["json"]
    assert "lo" in complete("ratctl", "ratctl link add ")
    assert "lo" in complete("ratctl", "ratctl neigh set l")
    HOME.file("some file", "")
    assert "some file" in complete("ratctl", "ratctl -i some")
    assert complete("ratcat", "ratcat send som") == ["some file"]
    HOME.ctl("-p", "profile1", "-q", "addr", "create", "--force", "-i",
             HOME.file(".config/ratcat/profile1"))
    assert "profile1" in complete("ratctl", "ratctl -p prof")


@test
def completion_of_addresses():
    _, one = HOME.identity("complete1")
    _, two = HOME.identity("complete2")
    where = "ratctl -b %s " % HOME.bind
    offered = complete("ratctl", where + "route del ")
    assert one in offered and two in offered
    assert complete("ratctl", where + "route del " + one[:12]) == [one]
    assert complete("ratctl", where + "route del " + one + " ") == []
    assert complete("ratcat", "ratcat -b %s send -a %s" % (HOME.bind, two[:12])) == [two]
    assert complete("ratcat", "ratcat -b %s send -a %s,%s" % (HOME.bind, one, two[:12])) == \
        [one + "," + two]
    # -o is the form in front of recv, and a place behind it.
    assert complete("ratcat", "ratcat -o ") == ["lines", "json"]
    assert complete("ratcat", "ratcat recv -o some") == ["some file"]
    assert complete("ratcat", "ratcat re") == ["recv"]


@test
def completion_is_installed():
    makefile = open(os.path.join(TOP, "Makefile")).read()
    assert "--completion bash > $(DESTDIR)$(COMPLETIONDIR)" in makefile
    for program in ("ratctl", "ratcat"):
        script, _ = HOME.run(program, "--completion", "bash")
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        HOME.run(program, "--completion", "fish", status=1)


def ending():
    """the daemon stops cleanly, and told no token"""
    good, text = harness.DAEMON.stop()
    return good and "auth=" not in text, text


if __name__ == "__main__":
    sys.exit(harness.main(ending))
