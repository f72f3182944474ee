# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers of the ABI and of the wire, read from the two headers that hold them.

abi.c pins the numbers themselves and spec.py compares them with the YNL
specification, so reading them here does not hide a renumbering.
"""

import os
import re

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def find(path):
    """In the repository, or beside this file when the tests are installed without it."""
    installed = os.path.join(HERE, os.path.basename(path))
    return installed if os.path.exists(installed) else os.path.join(ROOT, path)


UAPI = find('include/uapi/linux/ratman.h')
FRAME = find('include/ratman/frame.h')
SPEC = find('Documentation/netlink/specs/ratman.yaml')


def strip_comments(text):
    text = re.sub(r'/\*.*?\*/', lambda m: '\n' * m.group(0).count('\n'), text, flags=re.S)
    return re.sub(r'//[^\n]*', '', text)


def evaluate(expression, known):
    """A constant C expression: names, integers and operators that C and Python share."""
    expression = re.sub(r'\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b', r'\1', expression)
    if not re.fullmatch(r'[\w\s()+*/<>|&~-]+', expression):
        return None
    try:
        value = eval(expression, {'__builtins__': {}}, known)
    except (NameError, SyntaxError, TypeError):
        return None
    return value if isinstance(value, int) else None


def parse(path):
    """-> ({name: number or string}, {enum name: [members in order]})"""
    with open(path) as f:
        text = strip_comments(f.read()).replace('\\\n', ' ')
    known, enums = {}, {}
    item = re.compile(r'^#define[ \t]+(\w+)[ \t]+([^\n]+)$|\benum[ \t]+(\w+)\s*\{(.*?)\}', re.S | re.M)
    for match in item.finditer(text):
        define, value, enum, body = match.groups()
        if define:
            value = value.strip()
            if re.fullmatch(r'"[^"]*"', value):
                known[define] = value[1:-1]
            else:
                number = evaluate(value, known)
                if number is not None:
                    known[define] = number
            continue
        number, enums[enum] = -1, []
        for member in filter(None, (m.strip() for m in body.split(','))):
            name, _, explicit = (part.strip() for part in member.partition('='))
            number = evaluate(explicit, known) if explicit else number + 1
            known[name] = number
            enums[enum].append(name)
    return known, enums


NAMES, ENUMS = parse(UAPI)
FRAME_NAMES, FRAME_ENUMS = parse(FRAME)
globals().update(FRAME_NAMES)
globals().update(NAMES)
__all__ = sorted(set(NAMES) | set(FRAME_NAMES))
