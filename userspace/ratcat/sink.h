/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a received stream goes: standard output, or a file that appears under
 * its name only when it is whole.
 */
#ifndef RATCAT_SINK_H
#define RATCAT_SINK_H

#include <limits.h>

#include "ratcat/ratcat.h"

struct sink {
	int fd;
	bool in_directory;
	char path[PATH_MAX];	/* the final name; "" for standard output, or not known yet */
	char part[PATH_MAX];	/* what is written until it is whole; "": path itself (a device, a FIFO) */
};

/* True when the output is a directory: each stream becomes a file of its own. */
bool sink_is_directory(const struct cat *cat);

/*
 * Opens the place before the daemon is asked for a stream: what it hands over
 * cannot be given back. EXIT_OK or reports.
 */
int sink_open(const struct cat *cat, struct sink *s);

/* False, having reported, when the file system has no room for the stream. */
bool sink_has_room(const struct cat *cat, const struct sink *s, uint64_t size);

/* Writes all of it. 0 or a negative errno. */
int sink_write(const struct sink *s, const char *buf, size_t len);

/*
 * Keeps what was written, safe on the disk; names it after the stream of @head
 * in a directory. 0 or a negative errno; nothing is left then.
 */
int sink_keep(const struct cat *cat, const struct ratman_letterhead *head, struct sink *s);

/* Removes what was written. */
void sink_discard(struct sink *s);

#endif
