#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Users of three routers in a line: profiles, messages, floods and files over the mesh, by ratctl alone.

    scripts/vm --topology line:3 -- tests/system/service.py
"""
import os
import signal
import subprocess
import time

from lib import Mesh, need, sha256_file
from ratman import check, diag, equal, run_tests, test, until

mesh = Mesh()
PASSWORD = 'correct horse battery'
NAMES = {1: 'anna', 2: 'bert', 3: 'cleo'}
packed = {}         # what file_announced_and_fetched() made


def password_file(router, text=PASSWORD):
    path = '%s/password' % router.home
    with open(path, 'w') as f:
        f.write(text + '\n')
    os.chmod(path, 0o600)
    return path


def user_up(router):
    """A user of the router with a handle; its address becomes the router's"""
    before = {row['addr'] for row in router.json('addr', 'list') or []}
    os.makedirs(os.path.dirname(router.identity), mode=0o700, exist_ok=True)
    router.ctl('user', 'create', NAMES[router.number], '--password-file', password_file(router))
    rows = [row for row in router.json('addr', 'list') if row['addr'] not in before]
    equal(len(rows), 1, 'addresses that came with "ratctl user create"')
    router.address, router.ipv6 = rows[0]['addr'], rows[0]['ipv6']


def profile(router, of):
    """The profile of a router's user as another sees it, or None"""
    return router.json('user', 'show', of.address)


def handle_of(router, of):
    shown = profile(router, of)
    return shown and shown.get('handle')


def messages(router, *words):
    return router.json('msg', 'list', '--service', 'org.example.chat', *words) or []


@test(timeout=120)
def profiles():
    """Everybody learns everybody's profile, and each change of it"""
    for router in mesh:
        user_up(router)
    started = time.monotonic()
    for here in mesh:
        for there in mesh:
            name = NAMES[there.number]
            check(until(lambda: handle_of(here, there) == name, 60, 0.2),
                  '%s does not see the profile of %s', here, there)
    diag('profiles with everybody after %.1f s' % (time.monotonic() - started))
    mesh[1].ctl('user', 'set', '--bio', 'pronouns=she', '--display-name', 'Anna of the hill')
    found = []

    def changed():
        nonlocal found
        found = mesh[3].json('user', 'search', 'pronouns=she') or []
        return [row['addr'] for row in found] == [mesh[1].address]
    check(until(changed, 60, 0.2), 'the change of a profile does not arrive: %r', found)
    mesh.all_alive()


@test(timeout=180)
def away():
    """A router that was down when a profile changed learns it when it is back"""
    need(mesh[3].address, 'users')
    mesh[3].stop(signal.SIGKILL)
    mesh[1].ctl('user', 'set', '--handle', 'annette')
    mesh[3].start()
    login(mesh[3])
    check(until(lambda: handle_of(mesh[3], mesh[1]) == 'annette', 90, 0.2), 'the new handle does not arrive')
    NAMES[1] = 'annette'


def login(router):
    router.ctl('user', 'login', router.address, '--password-file', password_file(router))


@test(timeout=180)
def wrong_password():
    """A wrong password opens nothing, and the token of a session that ended is worth nothing"""
    need(mesh[3].address, 'users')
    bad = mesh[2].ctl('user', 'login', mesh[2].address, '--password-file',
                      password_file(mesh[2], 'wrong horse'), ok=False)
    check(bad.returncode == 2, 'status %d: %s', bad.returncode, bad.stderr)
    mesh[2].ctl('user', 'logout')
    late = mesh[2].ctl('user', 'set', '--handle', 'x', ok=False)
    check(late.returncode == 2, 'status %d: %s', late.returncode, late.stderr)
    login(mesh[2])


@test(timeout=180)
def messages_and_floods():
    """A message for one reaches him alone, one for an absent user waits, a flood reaches all"""
    need(mesh[3].address, 'users')
    one = ('msg', 'send', '--service', 'org.example.chat')
    mesh[1].ctl(*one, mesh[3].address, '--text', 'only for cleo')
    check(until(lambda: len(messages(mesh[3], '--unread')) == 1, 60, 0.2), 'the message does not arrive')
    mesh[3].stop(signal.SIGKILL)
    mesh[1].ctl(*one, mesh[3].address, '--text', 'while you were out')
    mesh[2].ctl(*one, '--flood', '--text', 'to all of you')
    mesh[3].start()
    login(mesh[3])
    check(until(lambda: len(messages(mesh[3], '--unread')) == 3, 90, 0.2),
          'three messages were sent to r3, it has %r', messages(mesh[3]))
    for row in messages(mesh[3]):
        equal(row['trust'], 'signed', 'trust')
    check(until(lambda: len(messages(mesh[1], '--unread')) == 1, 60, 0.2), 'the flood does not reach r1')
    time.sleep(2)
    equal(len(messages(mesh[3])), 3, 'messages of r3')
    equal(len(messages(mesh[2], '--unread')), 0, 'messages others sent to r2')


@test(timeout=240)
def file_announced_and_fetched():
    """A file announced to everybody is asked for by a user two hops away, over a link that is cut"""
    need(mesh[3].address, 'users')
    path = '%s/picture.bin' % mesh[1].home
    with open(path, 'wb') as f:
        f.write(os.urandom(6 << 20))
    packed['digest'] = sha256_file(path)
    packed['id'] = mesh[1].json('file', 'add', path)['id']
    mesh[1].ctl('file', 'announce', packed['id'], '--everybody')
    check(until(lambda: [row['id'] for row in mesh[3].json('file', 'list') or []] == [packed['id']], 60, 0.2),
          'the announcement does not arrive: %r', mesh[3].json('file', 'list'))
    mesh[2].tc('add', 'dev', 'v3', 'root', 'netem', 'rate', '16mbit')
    waiting = mesh[3].popen('ratctl', 'file', 'request', packed['id'], '--wait',
                            stdout=subprocess.DEVNULL)
    time.sleep(1.5)
    mesh[2].link('v3', up=False)
    time.sleep(1)
    mesh[2].link('v3', up=True)
    mesh[2].tc('del', 'dev', 'v3', 'root')
    equal(waiting.wait(120), 0, 'status of file request --wait')
    got = '%s/got.bin' % mesh[3].home
    mesh[3].ctl('file', 'get', packed['id'], '-o', got)
    equal(sha256_file(got), packed['digest'], 'content')
    mesh.all_alive()


@test(timeout=180)
def file_of_nobody():
    """Who only knows the id of a file that was never announced gets nothing"""
    need(packed, 'a file')
    path = '%s/secret.bin' % mesh[1].home
    with open(path, 'wb') as f:
        f.write(os.urandom(20000))
    ident = mesh[1].json('file', 'add', path)['id']
    mesh[2].ctl('file', 'request', ident, '-a', mesh[1].address)
    time.sleep(5)
    got = mesh[2].ctl('file', 'get', ident, '-o', '%s/none' % mesh[2].home, ok=False)
    check(got.returncode == 2, 'status %d', got.returncode)
    mesh.all_alive()


run_tests()
