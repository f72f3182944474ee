#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Random steps of users, contacts, services, messages and files against a model (model.py, steps.py).

RATMAND=path/to/ratmand tests/e2e/test_model.py   (TAP)

RATMAN_MODEL_SEED    the seed of the steps; else a new one each time, which is printed
RATMAN_MODEL_STEPS   how many; else 10,000, and 3,000 of a daemon with sanitizers
RATMAN_MODEL_REPLAY  "word:number …" as a failure prints them: these steps and no others

A failure is replayed with fewer steps as long as it fails, and the shortest list is printed.
"""
import os
import random
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import model  # noqa: E402
from harness import comment, program, run_tests, test  # noqa: E402
from model import SERVICES, UNREAD  # noqa: E402
from steps import WEIGHTS, draw, world  # noqa: E402

SANITIZED = "/san/" in program("RATMAND", "ratmand")
STEPS = int(os.environ.get("RATMAN_MODEL_STEPS") or (3000 if SANITIZED else 10000))
SEED = int(os.environ.get("RATMAN_MODEL_SEED") or random.SystemRandom().randrange(1 << 30))
SHRINK_S = 120      # how long to look for a shorter list
SHRINK_PATIENCE_S = 4   # in each replay: what never comes must not use up all of that
LAST = 15


def said(steps):
    return " ".join("%s:%d" % s for s in steps)


def run(steps):
    """None, or how many steps were done when one failed, where, and what it said."""
    with world(program("RATMAND", "ratmand")) as w:
        n = 0
        try:
            for n, (kind, seed) in enumerate(steps, 1):
                w.step(kind, seed)
            w.check_all(random.Random(SEED))
            good, log = w.daemon.stop()
            assert good, log[-6000:]
        except Exception as e:  # noqa: BLE001
            says = traceback.format_exc()
            where = type(e), traceback.extract_tb(e.__traceback__)[-1].lineno
            w.daemon.kill()
            with open(w.daemon.log_path, errors="replace") as log:
                lines = [x for x in log.read().splitlines() if "ERROR" in x or "runtime error" in x]
            return n, where, says + "\n".join(lines[-10:])
    return None


def shorter(steps, where):
    """The shortest list found in time of which a replay fails in the same place, and how."""
    end, best, says = time.monotonic() + SHRINK_S, steps, None
    size = len(steps) // 2
    model.PATIENCE_S = SHRINK_PATIENCE_S
    while size and time.monotonic() < end:
        at = 0
        while at < len(best) and time.monotonic() < end:
            attempt = best[:at] + best[at + size:]
            failed = run(attempt) if attempt else None
            if failed and failed[1] == where:
                best, says = attempt[:failed[0]], failed[2]
            else:
                at += size
        size //= 2
    return best, says


@test
def random_steps():
    steps = draw(SEED, STEPS)
    if os.environ.get("RATMAN_MODEL_REPLAY"):
        steps = [(k, int(n)) for k, n in
                 (s.split(":") for s in os.environ["RATMAN_MODEL_REPLAY"].split())]
    print("# RATMAN_MODEL_SEED=%d RATMAN_MODEL_STEPS=%d" % (SEED, len(steps)), flush=True)
    begin = time.monotonic()
    failed = run(steps)
    print("# %.0f s" % (time.monotonic() - begin), flush=True)
    if not failed:
        return
    n, where, says = failed
    print(comment("step %d of seed %d failed; the last were\n%s\n%s" %
                  (n, SEED, said(steps[max(0, n - LAST):n]), says)), flush=True)
    best, again = shorter(steps[:n], where)
    if again:
        print(comment("%d steps are enough:\nRATMAN_MODEL_REPLAY=\"%s\"\n%s" %
                      (len(best), said(best), again)), flush=True)
    else:
        print(comment("it did not fail again"), flush=True)
    raise AssertionError("the daemon and the model do not agree after %d steps, seed %d" % (n, SEED))


@test
def steps_are_drawn_alike():
    """The same seed, the same steps; and each kind comes."""
    assert draw(7, 500) == draw(7, 500) != draw(8, 500)
    assert {k for k, _ in draw(7, 20000)} == set(WEIGHTS)


@test
def the_model_notices():
    """Whatever is not as it should be is found by the check after the step."""
    def lose_message(u):
        u.box.pop()

    def another_tag(u):
        u.box[-1].tags ^= {UNREAD}

    def lose_contact(u):
        u.contacts[bytes(32)] = {}

    def lose_value(u):
        u.values[SERVICES[0], b"", b"k"] = b"another"

    def lose_file(u):
        u.files.clear()

    def rename(u):
        u.handle = b"nobody"

    def swap(u):
        one, other = [i for i, e in enumerate(u.box) if e.service == u.box[-1].service][-2:]
        u.box[one], u.box[other] = u.box[other], u.box[one]

    def has_two(u):
        return u.box and sum(e.service == u.box[-1].service for e in u.box) > 1

    with world(program("RATMAND", "ratmand")) as w:
        rng = random.Random(1)
        for kind in ("create", "create", "register", "register", "register", "register"):
            w.step(kind, rng.randrange(1 << 30))
        user = w.users[0]
        w.act(user).put(SERVICES[0], b"k", b"v")
        user.values[SERVICES[0], b"", b"k"] = b"v"
        while not has_two(user) or not user.files:
            w.step(rng.choice(("send", "pack", "contact")), rng.randrange(1 << 30))
        w.check_user(user, rng)
        for change in (lose_message, another_tag, lose_contact, lose_value, lose_file, rename, swap):
            kept = (list(user.box), [set(e.tags) for e in user.box], dict(user.contacts),
                    dict(user.values), dict(user.files), user.handle)
            change(user)
            try:
                w.check_user(user, rng)
            except AssertionError:
                pass
            else:
                raise AssertionError("%s goes unnoticed" % change.__name__)
            user.box, _, user.contacts, user.values, user.files, user.handle = kept
            for e, tagged in zip(user.box, kept[1]):
                e.tags = tagged
            w.check_user(user, rng)
        good, log = w.daemon.stop()
        assert good, log


if __name__ == "__main__":
    if not os.environ.get("RATMAND"):
        print("1..0 # SKIP set RATMAND to the daemon")
        sys.exit(0)
    sys.exit(run_tests())
