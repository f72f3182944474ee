# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks for values in files, in every form somebody could have written them in."""
import base64
import os
import re
import tempfile

ENDS = 24       # characters of a form's beginning and end that are looked for


def in_groups(value):
    """As we write addresses: 1A2B-3C4D-…"""
    return "-".join(re.findall("....", value.hex())).encode()


def utf16(order):
    return lambda value: value.decode().encode("utf-16-" + order)


ENCODINGS = {
    "raw": lambda value: value,
    "hex": lambda value: value.hex().encode(),
    "HEX": lambda value: value.hex().upper().encode(),
    "groups": in_groups,
    "GROUPS": lambda value: in_groups(value).upper(),
    "base32": lambda value: base64.b32encode(value).rstrip(b"="),
    "base32, small": lambda value: base64.b32encode(value).rstrip(b"=").lower(),
    "base64": lambda value: base64.b64encode(value).rstrip(b"="),
    "base64, for URLs": lambda value: base64.urlsafe_b64encode(value).rstrip(b"="),
    "UTF-16, little endian": utf16("le"),
    "UTF-16, big endian": utf16("be"),
}


def encoded(value):
    """encoding -> the whole value in it; not those it has no form in"""
    out = {}
    for name, encode in ENCODINGS.items():
        if "groups" in name.lower() and len(value) != 32:
            continue
        try:
            out[name] = encode(value)
        except UnicodeDecodeError:
            pass
    return out


def forms(value):
    """What to look for: the beginning and the end of the value in each encoding."""
    assert len(value) >= 6, "%r is too short to be looked for" % value
    return {part for whole in encoded(value).values() for part in (whole[:ENDS], whole[-ENDS:])}


def files(directory, leave_out=()):
    """(path, content) of each file below it"""
    for top, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(top, name)
            if name not in leave_out and os.path.isfile(path):
                with open(path, "rb") as f:
                    yield path, f.read()


def found_in(content, values):
    """The names of the values that stand in @content."""
    return [what for what, value in values.items() if any(f in content for f in forms(value))]


def found(directory, values, leave_out=()):
    """(file, name) for each of the named values that stands in a file below @directory."""
    return [(os.path.basename(path), what) for path, content in files(directory, leave_out)
            for what in found_in(content, values)]


def finds_what_was_planted(values):
    """Puts each value, in each form, in the middle of a file of its own kind of noise, and looks."""
    with tempfile.TemporaryDirectory(prefix="planted.") as directory:
        noise = os.urandom(5000)
        path = os.path.join(directory, "file")
        for what, value in values.items():
            for encoding, text in encoded(value).items():
                with open(path, "wb") as f:
                    f.write(noise + text + noise[::-1])
                assert ("file", what) in found(directory, {what: value}), \
                    "%s is not found in %s" % (what, encoding)
        with open(path, "wb") as f:
            f.write(noise)
        assert not found(directory, values)
