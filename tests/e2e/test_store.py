#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the state directory tells a thief, how it is unlocked, and ratctl db."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import disk  # noqa: E402
import microframe as mf  # noqa: E402
from disk import found  # noqa: E402
from harness import program, run_tests, test, wait_until  # noqa: E402
from microframe import Client  # noqa: E402
from restarted import Restarted  # noqa: E402
from service import ADVERTISED, AVAILABLE, NO_DATA, Service, ServiceError  # noqa: E402

RATMAND = program("RATMAND", "ratmand")
RATCTL = program("RATCTL", "ratctl")


class Directory:
    """A directory for one case, and a daemon in it."""

    def __init__(self, extra=""):
        self.extra = extra

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="store.")
        self.state = os.path.join(self.path, "state")
        self.daemon = Restarted(RATMAND, self.path, extra=self.extra)
        return self

    def __exit__(self, *exc):
        self.daemon.process.kill()
        self.daemon.process.wait()
        shutil.rmtree(self.path)

    def stop(self):
        good, text = self.daemon.stop()
        assert good, text
        return text

    def db(self, *words, status=0):
        """ratctl db WORDS: (standard output, standard error)"""
        p = subprocess.run([RATCTL, "db", *words], capture_output=True, text=True, timeout=60,
                           env=dict(os.environ, RATMAND=RATMAND))
        assert p.returncode == status, "%s: status %d\n%s%s" % (words, p.returncode, p.stdout,
                                                                p.stderr)
        return p.stdout, p.stderr

    def refuses(self, config="", environment=None):
        """Starts a daemon that must not start; what it says."""
        path = os.path.join(self.path, "refused.conf")
        with open(path, "w") as f:
            f.write('state_dir = "%s"\nruntime_dir = "%s/run"\napi_bind = "%s"\n%s\n'
                    % (self.state, self.path, self.daemon.bind, config))
        p = subprocess.run([RATMAND, "-c", path], capture_output=True, text=True, timeout=60,
                           stdin=subprocess.DEVNULL, start_new_session=True,
                           env=dict(os.environ, **(environment or {})))
        assert p.returncode == 255, "status %d\n%s" % (p.returncode, p.stderr)
        return p.stderr


def write_everything(bind):
    """Addresses, names, streams delivered and not, to here and elsewhere; every value by name."""
    values, c = {}, Client(bind)
    people = []
    for name in (b"Rosalind the first", b"Benvolio's lamp on the roof", b"Capulet router no 3"):
        address, token = c.create(name)
        c.up(address, token)
        people.append((address, token))
        values.update({"name " + name.decode(): name, "address of " + name.decode(): address,
                       "token of " + name.decode(): token})
    seed = os.urandom(32)
    space, token = c.create(b"the namespace\0" + seed)
    values.update({"space": space, "token of space": token, "seed": seed, "name": b"the namespace"})
    stranger, token = c.create(b"somebody who left")
    c.destroy(stranger, token)
    values["stranger"] = stranger
    for i, (to, kept) in enumerate(((0, True), (1, True), (2, False), (None, True))):
        text = b"the words of stream %d: not to be found by anybody " % i
        data = text + os.urandom(30000 * i) + b" and these are the last words of %d" % i
        file_name, tag = b"letter-to-verona-%d.odt" % i, b"tag value number %d of many" % i
        values.update({"data %d" % i: data, "file %d" % i: file_name, "tag %d" % i: tag})
        target = stranger if to is None else people[to][0]
        head = mf.letterhead(people[0][0], target, aux=((b"file_name_%d" % i, file_name),
                                                        (b"some_tag", tag)))
        f = c.ask(0x0633, b"\0\1" + head, people[0][1])
        s = c.data_socket(f, people[0][1])
        s.sendall(data)
        s.close()
        c.frame().ping()
        if not kept:
            d = Client(bind)
            assert d.recv_one(*people[to])[1] == data
            d.close()
    c.close()
    return values, people


@test
def disk_tells_nothing():
    with Directory() as d:
        values, _ = write_everything(d.daemon.bind)
        with open(os.path.join(d.state, "node.key"), "rb") as f:
            node_key = f.read().strip()
        assert len(node_key) == 64 and os.stat(f.name).st_mode & 0o777 == 0o600
        values["node key"] = bytes.fromhex(node_key.decode())
        # While it runs, after it was stopped, and after a compaction.
        for when in ("running", "stopped", "compacted"):
            hits = found(d.state, values, leave_out=("node.key",))
            assert not hits, "%s: %s" % (when, hits)
            if when == "running":
                # The search does find what is there.
                names = {what for _, what in found(d.path, values)}
                assert "node key" in names
                assert {w for w in values if w.startswith("token of ") and w != "token of space"} \
                    <= names, "tokens of addresses that are up stand in the runtime directory"
                assert not hits
                text = d.stop()
                told = [what for what in disk.found_in(text.encode(), values)
                        if what.startswith(("token", "seed", "node key", "data", "tag", "file"))]
                assert not told, "in the log: %s" % told
            elif when == "stopped":
                d.db("compact", d.state)
        for top, _, names in os.walk(d.state):
            assert os.stat(top).st_mode & 0o77 == 0, top
            for name in names:
                assert os.stat(os.path.join(top, name)).st_mode & 0o77 == 0, name
        # And all of it is there.
        d.daemon.start()
        c = Client(d.daemon.bind)
        assert set(c.addresses()) == {v for w, v in values.items()
                                      if w.startswith("address of") or w == "space"}


SERVICE_NAME = b"org.example.the-secret-society"


class Person(Service):
    """A user with a password, and something of every kind to lose."""

    def __init__(self, bind, name, values):
        super().__init__(bind)
        self.values, self.name = values, name
        self.password = self.note("password", b"Mellon, said %s at the gate" % name)
        handle = self.note("handle", b"handle-of-%s-the-grey" % name)
        self.user_create(self.password, handle)
        values["id of " + name.decode()] = self.id
        values["session of " + name.decode()] = self.token
        self.handle = handle

    def note(self, what, value):
        self.values["%s %s" % (what, self.name.decode())] = value
        return value

    def describe(self):
        note, name = self.note, self.name
        self.user_update(
            name=note("display name", b"Display %s of the Northern Waste" % name),
            avatar=note("avatar", b"\x89PNG\r\n" + os.urandom(9000)),
            bio=((note("bio key", b"favourite-%s-mountain" % name),
                  note("bio value", b"the one that %s never climbed" % name)),),
            services=(note("profile service", b"org.example.guild-of-%s" % name),))
        other = note("contact", os.urandom(32))
        tags = {b"nick": note("nick", b"Old friend of %s" % name),
                b"location": note("location", b"behind the mill of %s" % name)}
        self.ask(0x0220, other + note("contact note", b"owes %s eleven groats" % name) + b"\0" +
                 mf.pairs(tags) + b"\3", self.token).ping()

    def write_to(self, to):
        note, name = self.note, self.name
        tags = ((note("tag key", b"tag-key-of-%s-letters" % name),
                 note("tag value", b"tag value of %s, urgent" % name)),)
        ids = [self.message_send(to.id, SERVICE_NAME,
                                 note("message", b"Dear friend, %s writes: " % name +
                                      os.urandom(6000)), tags),
               self.message_send_many([to.id, self.id], SERVICE_NAME,
                                      note("many", b"To both of you from %s" % name), tags),
               self.message_send(None, SERVICE_NAME,
                                 note("flood", b"Hear ye, hear ye, says %s" % name), tags)]
        return ids

    def keep(self):
        note, name = self.note, self.name
        self.put(SERVICE_NAME, note("key", b"settings/%s/window" % name),
                 note("value", b"%s likes it 80 by 24 " % name + os.urandom(700)),
                 note("ns", b"namespace-of-%s" % name))

    def pack(self):
        note, name = self.note, self.name
        return self.file_pack(note("file name", b"Map of the cellar of %s.pdf" % name),
                              note("file", b"%%PDF of %s " % name + os.urandom(90000)),
                              mime=note("mime", b"application/x-%s-map" % name))[0]


def arrives(c, ident, state):
    def there():
        try:
            return c.file_status(ident)["state"] == state
        except ServiceError as e:
            assert e.code == NO_DATA, e
            return False
    wait_until("the file is in state %d" % state, there, 30)


def write_services(d, values):
    """Users and all they have; (the service's socket, the users, the messages, the files)"""
    people = [Person(d.daemon.bind, name, values) for name in (b"Ermintrude", b"Zebedee")]
    a, b = people
    values["service name"] = SERVICE_NAME
    keeper = a.service_register(SERVICE_NAME, values.setdefault("service text", b"Of no concern to you"))
    messages, idents = [], []
    for p, other in ((a, b), (b, a)):
        p.describe()
        messages += p.write_to(other)
        p.keep()
        ident = p.pack()
        idents.append(ident)
        values["file id " + p.name.decode()] = ident
        p.file_announce(ident)
        p.file_announce(ident, other.id)
        arrives(other, ident, ADVERTISED)
        other.file_request(ident)
        arrives(other, ident, AVAILABLE)
    for i, ident in enumerate(messages):
        values["message id %d" % i] = ident
    for p in people:
        wait_until("all messages arrive", lambda p=p: len(p.messages(SERVICE_NAME)[0]) >= 5, 30)
    second = Service(d.daemon.bind)
    second.login(a.id, a.password)
    values["second session"] = second.token
    second.change_password(values.setdefault("new password", b"Friend was too easy a word"))
    a.password = values["new password"]
    return keeper, people, messages, idents


def nothing_but(d, values, when):
    """No value in the state directory, the runtime directory, or the log."""
    hits = disk.found(d.path, values, leave_out=("node.key", "ratmand.conf"))
    assert not hits, "%s: %s" % (when, sorted(set(hits)))


@test
def services_tell_nothing():
    """The same for all that the Service API keeps: at work, restarted, deleted, compacted."""
    values = {}
    with Directory('verbosity = "trace"\n') as d:
        keeper, people, messages, idents = write_services(d, values)
        disk.finds_what_was_planted(values)
        nothing_but(d, values, "running")
        keeper.close()
        assert not disk.found_in(d.stop().encode(), values)
        nothing_but(d, values, "stopped")
        d.daemon.start()
        nothing_but(d, values, "restarted")
        # All of it is still there.
        a, b = Service(d.daemon.bind), Service(d.daemon.bind)
        for c, p in ((a, people[0]), (b, people[1])):
            values["session after the restart of " + p.name.decode()] = \
                c.login(p.id, p.password)[1]
        keeper = a.service_register(SERVICE_NAME)
        for c, p in ((a, people[0]), (b, people[1])):
            name = p.name.decode()
            have = {m["data"] for m in c.messages(SERVICE_NAME)[0]}
            assert have == {values["%s %s" % (what, q.name.decode())] for q in people
                            for what in ("message", "many", "flood")}
            assert c.get(SERVICE_NAME, values["key " + name], values["ns " + name]) == \
                values["value " + name]
            assert c.user(p.id)["avatar"] == values["avatar " + name]
            for ident, other in zip(idents, people):
                assert c.file_get(ident) == values["file " + other.name.decode()]
        nothing_but(d, values, "read")
        for c in (a, b):
            for ident in idents:
                c.file_delete(ident)
            for m in c.messages(SERVICE_NAME)[0]:
                c.message_delete(m["id"])
            for ns, key in c.keys(SERVICE_NAME):
                c.delete(SERVICE_NAME, key, ns)
            c.user_update(handle=None, name=None, avatar=None,
                          rm_bio=[k for k, _ in c.user(c.id)["bio"]])
        nothing_but(d, values, "deleted")
        a.user_destroy()
        b.user_destroy(purge=True)
        nothing_but(d, values, "destroyed")
        keeper.close()
        d.stop()
        d.db("compact", d.state)
        nothing_but(d, values, "compacted")
        d.daemon.start()
        assert not Service(d.daemon.bind).users()
        nothing_but(d, values, "the end")


@test
def looking_after():
    with Directory() as d:
        values, people = write_everything(d.daemon.bind)
        rows = {r["table"]: r for r in json.loads(d.db("stat", "--json", d.state)[0])}
        assert rows["addresses"]["records"] == 4 and rows["outbox"]["records"] == 1
        assert rows["inbox"]["records"] == 2 and rows["done"]["records"] == 1
        assert rows["blocks"]["value_bytes"] > 90000 and rows["peers"]["environment"] == "cache"
        out, err = d.db("verify", d.state)
        assert out == "ok\n" and "running" in err
        backup = os.path.join(d.path, "backup")
        d.db("backup", backup, d.state)
        assert "File exists" in d.db("backup", backup, d.state, status=2)[1]
        assert "another ratmand" in d.db("compact", d.state, status=2)[1]
        c = Client(d.daemon.bind)
        c.destroy(*people[1])
        c.close()
        d.stop()
        assert d.db("verify", d.state) == ("ok\n", "")
        sizes = json.loads(d.db("compact", "--json", d.state)[0])
        assert sizes["after_bytes"] < sizes["before_bytes"]
        assert d.db("verify", d.state) == ("ok\n", "")
        assert os.listdir(os.path.join(d.state, "state")).count("data.mdb") == 1
        # The backup is of the moment it was made.
        shutil.copy(os.path.join(d.state, "node.key"), backup)
        shutil.rmtree(d.state)
        shutil.copytree(backup, d.state)
        d.daemon.start()
        c = Client(d.daemon.bind)
        assert people[1][0] in c.addresses()
        c.up(*people[1])
        assert c.recv_one(*people[1])[1] == values["data 1"]
        c.close()
        d.stop()
        assert "no store" in d.db("verify", d.path, status=2)[1]
        assert "No such file" in d.db("stat", d.path + "/none", status=2)[1]


@test
def damage_is_named():
    with Directory() as d:
        write_everything(d.daemon.bind)
        d.stop()
        path = os.path.join(d.state, "state", "data.mdb")
        with open(path, "rb") as f:
            good = f.read()
        refused = named = 0
        started = False
        # In the middle of values, one after the other, until both were seen.
        for at in range(2 * 4096 + 3000, len(good), 3 * 1024 + 7):
            with open(path, "wb") as f:
                f.write(good[:at] + bytes([good[at] ^ 0x40]) + good[at + 1:])
            p = subprocess.run([RATCTL, "db", "verify", "--json", d.state], capture_output=True,
                               text=True, timeout=60, env=dict(os.environ, RATMAND=RATMAND))
            assert p.returncode in (0, 2), p.stderr
            if p.returncode and "error" in p.stdout:
                assert "page" in p.stderr or "header" in p.stderr, p.stderr
                refused += 1
            elif p.returncode:
                (row,) = json.loads(p.stdout)
                assert len(row["record"]) == 64, row
                # Without its router key a daemon does not start.
                if row["table"] == "meta":
                    assert "router key" in d.refuses()
                elif not started:
                    started = True
                    d.daemon.start()
                    text = d.stop()
                    assert "record %s of table %s is damaged" % (row["record"], row["table"]) in text
                named += 1
        assert named > 5 and started, (refused, named)
        with open(path, "wb") as f:
            f.write(good[:4096 + 20] + b"\xff" * 8 + good[4096 + 28:])
        said = d.refuses()
        assert "damaged" in said and "restore a backup" in said, said


@test
def node_keys():
    with Directory() as d:
        c = Client(d.daemon.bind)
        c.create(b"lamp")
        d.stop()
        key = os.path.join(d.state, "node.key")
        with open(key) as f:
            text = f.read()
        os.unlink(key)
        assert "node.key is missing" in d.refuses()
        assert "no credential" in d.refuses('node_key = "credential"')
        assert "locked with a key" in d.refuses('node_key = "passphrase"', passphrase(d, "x"))
        # The same key as systemd hands it over.
        credentials = os.path.join(d.path, "credentials")
        os.mkdir(credentials)
        with open(os.path.join(credentials, "ratmand.key"), "w") as f:
            f.write(text)
        os.environ["CREDENTIALS_DIRECTORY"] = credentials
        try:
            d.daemon.start()
            assert len(Client(d.daemon.bind).addresses()) == 1
            d.stop()
            assert not os.path.exists(key)
            with open(os.path.join(credentials, "ratmand.key"), "w") as f:
                f.write("0" * 64)
            assert "does not open the store" in d.refuses()
        finally:
            del os.environ["CREDENTIALS_DIRECTORY"]


def passphrase(d, text, name="ratmand.passphrase"):
    """The environment of a service with such a credential."""
    path = os.path.join(d.path, "passphrase")
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name), "w") as f:
        f.write(text + "\n")
    return {"CREDENTIALS_DIRECTORY": path}


@test
def passphrases():
    with Directory() as d:
        d.stop()
        shutil.rmtree(d.state)
        os.environ.update(passphrase(d, "correct horse"))
        try:
            d.daemon.start()
            c = Client(d.daemon.bind)
            address, _ = c.create(b"lamp")
            d.stop()
            assert not os.path.exists(os.path.join(d.state, "node.key"))
            assert d.db("verify", d.state)[0] == "ok\n"
            assert not found(d.state, {"passphrase": b"correct horse"})
            d.daemon.start()
            assert Client(d.daemon.bind).addresses() == [address]
            d.stop()
            passphrase(d, "wrong horse")
            assert "this passphrase does not open the store" in d.refuses()
        finally:
            del os.environ["CREDENTIALS_DIRECTORY"]
        # Without it, and without a terminal to ask on.
        assert "no passphrase" in d.refuses('node_key = "passphrase"')


@test
def rekeyed():
    """From the first key file to another, to a passphrase, to another passphrase, and back to a file."""
    with Directory() as d:
        address, token = Client(d.daemon.bind).create(b"lamp")
        first = os.path.join(d.state, "node.key")
        other = os.path.join(d.path, "other.key")
        err = d.db("rekey", other, d.state, status=2)[1]
        assert "another ratmand uses the store" in err, err
        assert not os.path.exists(other)
        d.stop()
        with open(os.path.join(d.state, "state", "data.mdb"), "rb") as f:
            # The wrapped master key, by its magic: what must not survive in the file.
            before = f.read()
        wrapped = before[before.index(b"ratmand\0"):][:141]
        for bad in ("nowhere", "/nonexistent/dir/key"):
            d.db("rekey", bad, d.state, status=2)
        assert d.db("verify", d.state)[0] == "ok\n"
        out, err = d.db("rekey", other, d.state)
        assert out == "ok\n" and other in err, (out, err)
        assert os.stat(other).st_mode & 0o777 == 0o600
        with open(os.path.join(d.state, "state", "data.mdb"), "rb") as f:
            assert wrapped not in f.read()
        assert "node.key does not open the store" in d.refuses()
        shutil.copy(other, first)
        try:
            os.environ.update(passphrase(d, "one", "ratmand.passphrase.new"))
            assert d.db("rekey", "passphrase", d.state)[0] == "ok\n"
            os.environ.update(passphrase(d, "one"))
            passphrase(d, "two", "ratmand.passphrase.new")
            assert d.db("rekey", "passphrase", d.state)[0] == "ok\n"
            assert "this passphrase does not open the store" in d.refuses()
            passphrase(d, "two")
            d.daemon.start()
            c = Client(d.daemon.bind)
            assert c.addresses() == [address]
            c.up(address, token)
            d.stop()
            os.unlink(first)
            # The compaction that ends it fails: the new key counts, and we are told so.
            blocked = os.path.join(d.state, "state.compact")
            with open(blocked, "w"):
                pass
            err = d.db("rekey", first, d.state, status=2)[1]
            assert "the new key counts" in err and "db compact" in err, err
            os.unlink(blocked)
            d.db("compact", d.state)
        finally:
            del os.environ["CREDENTIALS_DIRECTORY"]
        d.daemon.start()
        assert Client(d.daemon.bind).addresses() == [address]
        d.stop()


if __name__ == "__main__":
    sys.exit(run_tests())
