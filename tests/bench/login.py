#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a login takes to be refused, by its reason: nobody may learn from it who there is.

    [RATMAND=build/ratmand] tests/bench/login.py [tries]

Tries of all reasons take turns, in another order each round. One JSON object a line: mean and
standard deviation of @tries (200) in ms, the mean's difference to that of a wrong password, and
that difference in standard errors (below 3 it is chance); guessed_pct: how often the reason would
be guessed against a wrong password, by the better of all limits (50 is guessing).
"""
import json
import math
import os
import random
import shutil
import statistics
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
from harness import Ratmand, program  # noqa: E402
from logins import failing, guess  # noqa: E402
from service import Service  # noqa: E402

FIRST = "wrong password"
COMPARED = (FIRST, "wrong password, offline", "unknown user", "no key at all", "destroyed user",
            "address without password", "empty password")


def guessed(one, other):
    """The share in percent of right answers of who takes the best limit between both."""
    both = sorted([(t, 0) for t in one] + [(t, 1) for t in other])
    right = best = len(other)       # all are said to be of the other
    for _, which in both:
        right += -1 if which else 1
        best = max(best, right, len(both) - right)
    return 100 * best / len(both)


def main():
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    directory = tempfile.mkdtemp(prefix="ratman-login.")
    daemon = Ratmand(program("RATMAND", "ratmand"), directory,
                     extra="max_auth_failures = 1000000\nmax_creations = 1000\n")
    try:
        c = Service(daemon.bind)
        cases = {why: case for why, case in failing(c).items() if why in COMPARED}
        took = {why: [] for why in cases}
        for round_ in range(tries + 3):
            order = list(cases)
            random.shuffle(order)
            for why in order:
                seconds = guess(c, *cases[why])
                if round_ >= 3:     # the first ones warm up
                    took[why].append(seconds * 1000)
    finally:
        daemon.stop()
        shutil.rmtree(directory)
    base = took[FIRST]
    for why, ms in took.items():
        differs = statistics.mean(ms) - statistics.mean(base)
        error = math.sqrt((statistics.variance(ms) + statistics.variance(base)) / tries)
        print(json.dumps({
            "bench": "login refused", "why": why, "tries": tries,
            "mean_ms": round(statistics.mean(ms), 3), "sd_ms": round(statistics.stdev(ms), 3),
            "median_ms": round(statistics.median(ms), 3), "differs_ms": round(differs, 3),
            "standard_errors": round(abs(differs) / error, 1) if error and why != FIRST else "-",
            "guessed_pct": round(guessed(base, ms), 1) if why != FIRST else "-"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
