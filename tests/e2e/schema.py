# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds what ratctl and ratcat print with --json against Documentation/ratctl-schema.json."""
import json
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

ADDRESS = re.compile(r"[0-9A-F]{4}(-[0-9A-F]{4}){15}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def load():
    with open(os.path.join(TOP, "Documentation", "ratctl-schema.json")) as f:
        return json.load(f)


def is_recipient(v):
    return isinstance(v, dict) and len(v) == 1 and list(v)[0] in ("Address", "Namespace") \
        and all(ADDRESS.fullmatch(x) for x in v.values())


def is_pairs(v):
    return isinstance(v, list) and all(
        len(pair) == 2 and all(isinstance(b, int) and 0 <= b < 256 for part in pair for b in part)
        for pair in v)


TYPES = {
    "text": lambda v: isinstance(v, str),
    "bool": lambda v: isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v >= 0,
    "address": lambda v: isinstance(v, str) and ADDRESS.fullmatch(v),
    "ipv6": lambda v: isinstance(v, str) and re.fullmatch(r"[0-9a-f:]{2,39}", v),
    "time": lambda v: v is None or isinstance(v, str) and TIME.fullmatch(v),
    "recipient": is_recipient,
    "pairs": is_pairs,
    "texts": lambda v: isinstance(v, list) and all(isinstance(x, str) for x in v),
    "map": lambda v: isinstance(v, dict) and all(isinstance(x, str) for x in v.values()),
}


def check_object(what, fields, value):
    """Members that may be missing, or be null, have a '?' in the table."""
    assert isinstance(value, dict), "%s: no object: %r" % (what, value)
    unknown = set(value) - set(fields)
    assert not unknown, "%s: not in the schema: %s" % (what, unknown)
    for name, kind in fields.items():
        if kind.endswith("?") and value.get(name) is None:
            continue
        assert name in value, "%s: %s is missing" % (what, name)
        assert TYPES[kind.rstrip("?")](value[name]), "%s: %s is no %s: %r" % (
            what, name, kind, value[name])


def check(command, text):
    """Checks the output @text of @command ("addr list"); returns what it says."""
    row = load()[command]
    if row["form"] == "ok":
        assert text == '{"ok":true}\n', text
        return True
    if row["form"] == "lines":
        values = [json.loads(line) for line in text.splitlines()]
        for value in values:
            check_object(command, row["fields"], value)
        return values
    value = json.loads(text)
    if row["form"] == "list":
        assert isinstance(value, list) and text.count("\n") == 1, text
        for item in value:
            check_object(command, row["fields"], item)
            assert list(item) == list(row["fields"]), "%s: other order: %s" % (command, list(item))
    else:
        check_object(command, row["fields"], value)
    return value


def check_error(text, code):
    """Checks that the last line of @text is the error object for exit status @code."""
    value = json.loads(text.splitlines()[-1])
    assert list(value) == ["error"] and set(value["error"]) == {"code", "message"}, value
    assert value["error"]["code"] == code and value["error"]["message"], value
    return value["error"]["message"]
