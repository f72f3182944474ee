/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ratcat: its options, and what its commands share.
 */
#ifndef RATCAT_H
#define RATCAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ratman/ratman.h"
#include "tools/print.h"
#include "tools/report.h"
#include "tools/term.h"

#define CAT_CHUNK 65536		/* bytes that are moved at once */

/* What becomes of a stream that we could not take: the protocol has no word for "not read". */
#define CAT_KEPT "the daemon keeps it unless all of it was on its way already"

struct cat {
	/* Options; strings borrowed from argv. */
	const char *bind;
	const char *identity_path;	/* NULL: by profile */
	const char *profile;
	bool quiet;
	bool help, version;
	const char *completion;		/* shell to write one for */
	struct print_style style;
	enum term_when progress;
	/* send */
	const char *addresses;
	const char *namespaces;
	uint64_t chunk_size;		/* bytes of each stream; 0: one stream holds all */
	/* recv */
	uint32_t count;			/* 0: for ever */
	const char *output;		/* file, directory, "-" or NULL */
	bool force;

	/* Opened by cat_open(). */
	struct ratman *r;		/* owned */
	struct ratman_id address;
	struct ratman_id token;		/* secret */
};

/* Reports to the user; returns @status, so that callers end with return cat_fail(…). */
int cat_fail(const struct cat *cat, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Reports a failed library call; returns the status for it. */
int cat_api_failed(const struct cat *cat, const char *what, int err);

/* Writes the path of the identity file, or reports why there is none. */
int cat_identity_path(const struct cat *cat, char *path, size_t size);

/* Loads the identity, connects, brings its address up. EXIT_OK or reports. */
int cat_open(struct cat *cat);
void cat_close(struct cat *cat);

/* An address as somebody typed it. EXIT_OK or reports. */
int cat_resolve(const struct cat *cat, const char *text, struct ratman_id *out);

/* send.c, recv.c */
int cmd_send(struct cat *cat, int argc, char **argv);
int cmd_recv(struct cat *cat, int argc, char **argv);

#endif
