/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files: requests and records of namespace 0C (service-api.md section 7.3).
 *
 * A file is content with a name; its id is the BLAKE2b-256 of the content. The
 * readers take a whole payload and return 0 or say what is wrong: -EINVAL bytes
 * that are no such payload, -EILSEQ a name that is none, -EDOM a media type that
 * is none, -E2BIG too many recipients. The writers go into a cursor whose sticky error the caller asks.
 */
#ifndef RATMAN_PROTO_FILE_H
#define RATMAN_PROTO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/letterhead.h"

/* On the wire; FILE_ANY only as a filter. */
enum file_state {
	FILE_ANY,
	FILE_LOCAL,		/* packed by this user */
	FILE_AVAILABLE,		/* another's, all of it here */
	FILE_IN_PROGRESS,	/* another's, asked for or arriving */
	FILE_ADVERTISED,	/* another's, known by its announcement */
	FILE_STATES
};

/* One file as one user sees it: the record FileMeta. */
struct file_meta {
	struct ident id;
	struct address owner;		/* who packed, announced or sent it */
	char name[LIMIT_FILE_NAME + 1];
	uint64_t size;			/* bytes */
	uint64_t local_bytes;		/* of them, how many are here */
	enum file_state state;
	bool stalled;			/* in progress, and nothing moves */
	bool has_previous;
	struct ident previous;		/* the content this one replaced */
	int64_t time_ns;		/* since 1970: packed, announced or arrived */
};

/* Longest record. */
#define FILE_META_MAX (1 + 32 + 32 + LIMIT_FILE_NAME + 1 + 8 + 8 + 1 + 1 + 33 + 35)

/* Reads one record of a list; on failure @r is failed. Writes it. */
void file_meta_read(struct wire_reader *r, struct file_meta *out);
void file_meta_write(struct wire_writer *w, const struct file_meta *meta);

/*
 * True for what may name a file: 1 to LIMIT_FILE_NAME bytes of UTF-8 without
 * control characters (also those that turn text around), no '/', and neither "."
 * nor "..".
 */
bool file_name_is_valid(const char *name, size_t len);

/* True for a media type: 1 to LIMIT_FILE_MIME printable ASCII characters with a '/' among them. */
bool file_mime_is_valid(const char *mime, size_t len);

/* File/Create: pack. */
struct file_create {
	struct address user;
	char name[LIMIT_FILE_NAME + 1];
	uint64_t size;			/* bytes that will come; 0 = not known */
	char mime[LIMIT_FILE_MIME + 1];	/* "" = none */
};

int file_read_create(const uint8_t *data, size_t len, struct file_create *out);
void file_write_create(struct wire_writer *w, const struct file_create *in);

/* File/Modify: other content under the same name. */
struct file_update {
	struct address user;
	struct ident old;
	uint64_t size;			/* as above */
};

int file_read_update(const uint8_t *data, size_t len, struct file_update *out);
void file_write_update(struct wire_writer *w, const struct file_update *in);

/* File/Delete, Status and Get. */
struct file_ref {
	struct address user;
	struct ident id;
};

int file_read_ref(const uint8_t *data, size_t len, struct file_ref *out);
void file_write_ref(struct wire_writer *w, const struct file_ref *in);

/* File/Up and Down: announce, and stop that. */
struct file_share {
	struct address user;
	struct ident id;
	struct recipient to;		/* RECIPIENT_NONE: everybody */
};

int file_read_share(const uint8_t *data, size_t len, struct file_share *out);
void file_write_share(struct wire_writer *w, const struct file_share *in);

/* File/One and Many: send. */
struct file_send {
	struct address user;
	struct ident id;
	size_t n;			/* at least 1 */
	struct recipient to[LIMIT_RECIPIENTS];	/* addresses and namespaces, none twice */
};

/* -EILSEQ here: an empty list, or a recipient that is none. */
int file_read_send(const uint8_t *data, size_t len, struct file_send *out);
void file_write_send(struct wire_writer *w, const struct file_send *in);

/* File/Add: request. */
struct file_request {
	struct address user;
	struct ident id;
	bool has_owner;			/* else: whoever has it */
	struct address owner;
};

int file_read_request(const uint8_t *data, size_t len, struct file_request *out);
void file_write_request(struct wire_writer *w, const struct file_request *in);

/* File/List and Query. */
struct file_query {
	struct address user;
	enum file_state state;		/* FILE_ANY: of every one */
	char pattern[LIMIT_FILE_NAME + 1];	/* "": every name */
};

int file_read_query(const uint8_t *data, size_t len, struct file_query *out);
void file_write_query(struct wire_writer *w, const struct file_query *in);

/*
 * True when @name fits @pattern: '*' stands for any characters, '?' for one; a
 * pattern without either is looked for anywhere in the name. ASCII letters are
 * the same in either case; an empty pattern fits every name. Time: their product.
 */
bool file_name_fits(const char *name, const char *pattern);

/* Body of ping 0x2A: what was packed, or follows. */
struct file_done {
	struct ident id;
	uint64_t size;			/* bytes */
};

#define FILE_DONE_LEN (1 + 32 + 8)

void file_write_done(struct wire_writer *w, const struct file_done *in);
/* Behind the kind byte, to the last one. -EINVAL. */
int file_read_done(struct wire_reader *r, struct file_done *out);

/* Head of ping 0x2B; @n calls of file_meta_write() follow. */
void file_write_list(struct wire_writer *w, uint16_t n);
/* Behind the kind byte: how many calls of file_meta_read() follow; -EINVAL when they cannot. */
int file_read_list(struct wire_reader *r, uint16_t *n);

#endif
