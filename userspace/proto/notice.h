/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notices: what daemons tell each other about files (Documentation/files.md has the
 * bytes). They travel as parcels, so who says it is proven and who reads it is known.
 */
#ifndef RATMAN_PROTO_NOTICE_H
#define RATMAN_PROTO_NOTICE_H

#include "proto/file.h"

/* On the wire: numbers never change. */
enum notice_kind {
	NOTICE_CATALOG = 1,	/* all that the sender announces to this group, in place of before */
	NOTICE_ANNOUNCE,	/* one file, to one address */
	NOTICE_WITHDRAW,	/* that is no longer so */
	NOTICE_REQUEST,		/* send me that file */
	NOTICE_HAVE,		/* in answer to a request to everybody: I would */
	NOTICE_GONE,		/* in answer to one to me: I have none for you */
	NOTICE_KINDS
};

#define NOTICE_GRANT_LEN 32

/* A file as it is announced, or sent. */
struct notice_file {
	struct ident id;
	char name[LIMIT_FILE_NAME + 1];
	uint64_t size;			/* bytes, not 0 */
	int64_t time_ns;		/* since 1970, by the sender's clock */
	char mime[LIMIT_FILE_MIME + 1];	/* "" = none */
	bool has_previous;
	struct ident previous;
};

#define NOTICE_FILE_MAX (32 + LIMIT_FILE_NAME + 1 + 8 + 8 + LIMIT_FILE_MIME + 1 + 33)
#define NOTICE_MAX (2 + 8 + NOTICE_GRANT_LEN + 2 + LIMIT_FILE_CATALOG * NOTICE_FILE_MAX)

struct notice {
	enum notice_kind kind;
	uint64_t stamp;			/* of a catalog: grows from one to the next */
	uint8_t grant[NOTICE_GRANT_LEN];	/* of a catalog or request; zeroes: none */
	struct ident id;		/* of the last four kinds */
	struct notice_file file;	/* of NOTICE_ANNOUNCE */
	size_t n;			/* of a catalog: files, at most LIMIT_FILE_CATALOG */
	struct wire_reader files;	/* … for notice_next(); borrows from the payload */
};

/* Reads a whole notice, every file of a catalog included. -EINVAL; @out is set on success only. */
int notice_read(const uint8_t *data, size_t len, struct notice *out);

/* The next of out->n files. */
void notice_next(struct notice *n, struct notice_file *out);

/* Writes all kinds but a catalog. */
void notice_write(struct wire_writer *w, const struct notice *in);

/* Head of a catalog; @n calls of notice_file_write() follow. */
void notice_write_catalog(struct wire_writer *w, uint64_t stamp,
			  const uint8_t grant[static NOTICE_GRANT_LEN], uint16_t n);

/* One file, of a catalog; with a version before it, the metadata of a parcel with a file's content. */
void notice_file_write(struct wire_writer *w, const struct notice_file *file);
void notice_meta_write(struct wire_writer *w, const struct notice_file *file);
/* -EINVAL. */
int notice_meta_read(const uint8_t *data, size_t len, struct notice_file *out);

#endif
