#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of tests/bench (JSON lines, in the files named) as tables, with the ratio to their peers."""

import collections
import json
import sys


def rows_of(paths):
    for path in paths:
        with open(path) as f:
            for line in f:
                try:
                    yield json.loads(line)
                except ValueError:
                    sys.exit('%s: not JSON: %s' % (path, line.strip()))


def table(title, header, rows):
    rows = [[str(cell) for cell in row] for row in [header] + rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    print('\n' + title)
    for row in rows:
        print('  ' + '  '.join(cell.ljust(w) if i == 0 else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip())


def forward(kernel, rows, key, title):
    unit = rows[0]['unit']
    sizes = sorted({row['size'] for row in rows})
    value = {(row['path'], row['size']): row for row in rows}
    lines = []
    for path in dict.fromkeys(row['path'] for row in rows):
        if path == 'direct' or not all((path, size) in value for size in sizes):
            continue
        ours = [value['ratman', size][key] for size in sizes] if ('ratman', sizes[0]) in value else None
        lines.append([path] + ['%.0f' % value[path, size][key] for size in sizes] +
                     (['%.2f' % (our / value[path, size][key]) if value[path, size][key] > 0 else '-'
                       for our, size in zip(ours, sizes)] if ours else ['-'] * len(sizes)) +
                     [sum(value[path, size]['lost'] for size in sizes)])
    table('Forwarding in router B, %s a frame, %s (kernel "%s"); ratio = ratman to it, below 1 is better'
          % (unit, title, kernel),
          ['path'] + ['%d B' % size for size in sizes] + ['ratio %d' % size for size in sizes] + ['lost'], lines)


def throughput(rows):
    value = {(row['path'], row['what']): row for row in rows}
    lines = []
    for path in dict.fromkeys(row['path'] for row in rows):
        ours, theirs = value.get((path, 'ratman')), value.get((path, 'wireguard'))
        if ours and theirs:
            lines.append([path] + ['%d (%d-%d)' % (x['mbps'], x['lo'], x['hi']) for x in (ours, theirs)] +
                         ['%.2f' % (ours['mbps'] / theirs['mbps'])])
    table('TCP, encrypted end to end, Mbit/s (kernel "%s"); ratio above 1 is better' % rows[0]['kernel'],
          ['path', 'ratman0', 'WireGuard', 'ratio'], lines)


def convergence(rows):
    table('Mesh from daemon start to all routes; idle control traffic; memory of a daemon',
          ['topology', 'routers', 'all routes s', 'of that starting s', 'idle B/s a router', 'least-most', 'RSS KiB',
           'most'],
          [[row['topology'], row['routers'], row['converged_s'], row['starting_s'], row['idle_bytes_s'],
            '%g-%g' % (row['idle_lo'], row['idle_hi']), row['rss_kib'], row['rss_max_kib']] for row in rows])


def main():
    groups = collections.defaultdict(list)
    for row in rows_of(sys.argv[1:]):
        kind = row.get('bench', '?')
        groups[kind, row.get('kernel', '') if kind == 'forward' else ''].append(row)
    for (kind, kernel), rows in groups.items():
        if kind == 'forward':
            forward(kernel, rows, 'b_only', 'median of %d' % rows[0]['repeats'])
            if kernel != 'exact':
                forward(kernel, rows, 'b_only_best', 'fastest of %d' % rows[0]['repeats'])
        elif kind == 'throughput':
            throughput(rows)
        elif kind == 'convergence':
            convergence(rows)
        else:
            keys = list(dict.fromkeys(key for row in rows for key in row if key != 'bench'))
            table(kind, keys, [[row.get(key, '-') for key in keys] for row in rows])


main()
