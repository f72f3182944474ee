#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Documentation/netlink/specs/ratman.yaml and include/uapi/linux/ratman.h hold the same names,
numbers and types. Needs no module and no guest: also runs as tests/guest/spec.py on any machine."""

import re
import sys
import traceback

import uapi

SKIP = 4
TAIL = re.compile(r'_UNSPEC$|^__')


def c_name(name):
    return name.replace('-', '_').upper()


def numbered(entries, start):
    """Entries of a list in a spec, with their numbers: explicit ones, or the one before plus one"""
    number = start - 1
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {'name': entry}
        number = entry.get('value', number + 1)
        yield entry, number


def spec_numbers(spec):
    """Every C constant the specification describes -> its number"""
    family, numbers = spec['name'], {}
    for definition in spec.get('definitions', []):
        if definition['type'] == 'const':
            numbers[c_name(definition.get('name-prefix', family + '-') + definition['name'])] = definition['value']
        elif definition['type'] in ('enum', 'flags'):
            prefix = definition.get('name-prefix', '%s-%s-' % (family, definition['name']))
            for entry, number in numbered(definition['entries'], definition.get('value-start', 0)):
                numbers[c_name(prefix + entry['name'])] = number
    for group in spec['attribute-sets']:
        if 'subset-of' in group:
            continue
        prefix = group.get('name-prefix', '%s-a-%s-' % (family, group['name']))
        for entry, number in numbered(group['attributes'], 1):
            numbers[c_name(prefix + entry['name'])] = number
    operations = spec['operations']
    prefix = operations.get('name-prefix', '%s-cmd-' % family)
    for entry, number in numbered(operations['list'], 1):
        numbers[c_name(prefix + entry['name'])] = number
    return numbers


def header_numbers():
    # RATMAN_A_MAX and its like only say where an enum ends; each has a twin __RATMAN_A_MAX
    numbers = {name: value for name, value in uapi.NAMES.items()
               if isinstance(value, int) and not TAIL.search(name) and '__' + name not in uapi.NAMES}
    return numbers


def header_types():
    """Attribute -> (type, length or None), from the comments that stand behind them"""
    with open(uapi.UAPI) as f:
        text = f.read()
    types = {}
    for match in re.finditer(r'^\t(RATMAN_A_\w+),\t*/\* *(u32|u64|string|flag|binary(?: (\d+))?|nest)\b', text, re.M):
        kind = match.group(2).split()[0]
        types[match.group(1)] = kind, int(match.group(3)) if match.group(3) else None
    return types


def spec_types(spec):
    types = {}
    for group in spec['attribute-sets']:
        if 'subset-of' in group:
            continue
        prefix = group.get('name-prefix', '%s-a-%s-' % (spec['name'], group['name']))
        for entry in group['attributes']:
            types[c_name(prefix + entry['name'])] = entry['type'], entry.get('checks', {}).get('exact-len')
    return types


def difference(header, spec, what):
    lines = []
    for name in sorted(set(header) | set(spec)):
        if header.get(name) != spec.get(name):
            lines.append('%s %s: the header has %s, the specification %s' % (what, name, header.get(name, 'none'),
                                                                             spec.get(name, 'none')))
    assert not lines, '\n'.join(lines)


def resolve(length, spec):
    """exact-len may name a constant"""
    if isinstance(length, str):
        return next(d['value'] for d in spec['definitions'] if d['name'] == length)
    return length


def test_parses(spec):
    """the specification is one of generic netlink, with this family's name and version"""
    assert spec['protocol'].startswith('genetlink'), spec['protocol']
    assert spec['name'] == uapi.NAMES['RATMAN_FAMILY_NAME'], spec['name']
    assert spec.get('version', 1) == uapi.NAMES['RATMAN_FAMILY_VERSION'], spec.get('version')


def test_numbers(spec):
    """every command, attribute, state and ceiling has the same number in both, and none is missing"""
    header = header_numbers()
    assert len(header) > 100, 'the header was not understood'
    # the family's version is a constant of the header only
    header.pop('RATMAN_FAMILY_VERSION')
    difference(header, spec_numbers(spec), 'number of')


def test_types(spec):
    """every attribute has the type and length that the header's comment says"""
    header, described = header_types(), spec_types(spec)
    assert len(header) > 60, 'the header\'s comments were not understood'
    wrong = []
    for name, (kind, length) in header.items():
        found = described.get(name, ('none', None))
        found = found[0], resolve(found[1], spec)
        if kind == 'u32' and found[0] in ('u32', 's32') or kind == 'u64' and found[0] in ('u64', 'uint') or kind == found[0]:
            if length is None or length == found[1]:
                continue
        wrong.append('%s: the header says %s, the specification %s' % (name, (kind, length), found))
    assert not wrong, '\n'.join(wrong)


def test_group(spec):
    """the multicast group has the same name"""
    names = [group['name'] for group in spec['mcast-groups']['list']]
    assert names == [uapi.NAMES['RATMAN_MCGRP_EVENTS']], names


def test_references(spec):
    """every set, enumeration and attribute that is referred to exists"""
    sets = {group['name']: {a['name'] for a in group['attributes']} for group in spec['attribute-sets']}
    enums = {d['name'] for d in spec.get('definitions', []) if d['type'] in ('enum', 'flags')}
    for group in spec['attribute-sets']:
        if 'subset-of' in group:
            unknown = sets[group['name']] - sets[group['subset-of']]
            assert not unknown, '%s: %s' % (group['name'], unknown)
            continue
        for a in group['attributes']:
            if a['type'] == 'nest':
                assert a['nested-attributes'] in sets, '%s: no set %s' % (a['name'], a['nested-attributes'])
            if 'enum' in a:
                assert a['enum'] in enums, '%s: no enum %s' % (a['name'], a['enum'])
    for operation in spec['operations']['list']:
        used = sets[operation.get('attribute-set', next(iter(sets)))]
        for mode in ('do', 'dump', 'event'):
            parts = operation.get(mode) or {}
            for part in [parts] if mode == 'event' else [parts.get('request') or {}, parts.get('reply') or {}]:
                unknown = set(part.get('attributes', [])) - used
                assert not unknown, '%s: %s' % (operation['name'], unknown)


def main():
    print('TAP version 13')
    try:
        import yaml
    except ImportError:
        print('1..0 # SKIP python3-yaml is not installed')
        return SKIP
    tests = [(name, f) for name, f in globals().items() if name.startswith('test_')]
    print('1..%d' % len(tests))
    failed = 0
    for number, (name, f) in enumerate(tests, 1):
        try:
            with open(uapi.SPEC) as file:
                f(yaml.safe_load(file))
            verdict = 'ok'
        except Exception as e:
            for line in (str(e) if isinstance(e, AssertionError) else traceback.format_exc()).splitlines():
                print('# ' + line)
            verdict = 'not ok'
            failed += 1
        print('%s %d %s: %s' % (verdict, number, name[5:], f.__doc__))
    print('# Totals: pass:%d fail:%d xfail:0 xpass:0 skip:0 error:0' % (len(tests) - failed, failed))
    return 1 if failed else 0


sys.exit(main())
