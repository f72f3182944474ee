/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a command writes for somebody: a regular file has its name only when it
 * is whole; anything else (a device, a FIFO, a descriptor) is written into, and stays
 * what it is. Symbolic links are followed.
 */
#ifndef RATMAN_TOOLS_OUTPUT_H
#define RATMAN_TOOLS_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* What is at a path. */
enum output_kind {
	OUTPUT_NOTHING,		/* a file can be made there */
	OUTPUT_FILE,		/* a regular file */
	OUTPUT_DIRECTORY,
	OUTPUT_OPENED,		/* a device or a FIFO, or a descriptor of ours: fd is open */
};

struct output_place {
	enum output_kind kind;
	int fd;			/* of OUTPUT_OPENED, owned by the caller; else -1 */
	char path[PATH_MAX];	/* behind all symbolic links */
};

/* True for "-" and for the names that standard output has in the file system. */
bool output_is_stdout(const char *path);

/*
 * Looks what is at @path. 0; a negative errno: -ENAMETOOLONG, -ELOOP for a symbolic link
 * that leads nowhere, and those of open(), which waits for the reader of a FIFO.
 */
int output_find(const char *path, struct output_place *out);

/* rename(); without @replace what has the name already stays: -EEXIST. 0 or a negative errno. */
int output_rename(const char *from, const char *to, bool replace);

/* Writes all of it. 0 or a negative errno. */
int output_write(int fd, const void *data, size_t len);

struct output {
	int fd;			/* write there */
	bool replace;
	char path[PATH_MAX];	/* its name at last */
	char part[PATH_MAX];	/* its name until then; "" for what is written in place */
};

#define OUTPUT_REPLACE 1u	/* a file that is there goes */
#define OUTPUT_PUBLIC 2u	/* for others to read, as the umask allows; else mode 0600 */

/*
 * Opens what is at @path, which is not output_is_stdout(), or a file beside it. 0, then
 * ended by one of output_keep() and output_discard(); or a negative errno and in @why
 * one line that says what to do.
 */
int output_open(struct output *o, const char *path, unsigned int flags, char *why,
		size_t why_size);

/* Safe on the disk, and under its name. 0, or a negative errno: then nothing is left of it. */
int output_keep(struct output *o);

void output_discard(struct output *o);

#endif
