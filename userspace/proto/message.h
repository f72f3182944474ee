/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of the Service API (service-api.md sections 7.1 to 7.3), and what a
 * daemon sends another one.
 *
 * The readers return 0 or say what is wrong: -EINVAL bytes that are no such
 * payload, -EILSEQ text that is not UTF-8, -E2BIG more than base/limits.h allows.
 * What they fill in borrows from the payload where it says so. The writers go
 * into a cursor whose sticky error the caller asks.
 */
#ifndef RATMAN_PROTO_MESSAGE_H
#define RATMAN_PROTO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/payload.h"

/* Tags whose keys begin so are the router's (R20). */
#define MESSAGE_TAG_RESERVED "libqaul._int."
#define MESSAGE_TAG_UNREAD "libqaul._int.unread"	/* no value; received, and not read yet */
/* These are no tags of a message, but a filter may ask for them. */
#define MESSAGE_TAG_FLOOD "libqaul._int.flood"		/* no value */
#define MESSAGE_TAG_SENDER "libqaul._int.sender"	/* 32 bytes */
#define MESSAGE_TAG_SERVICE "libqaul._int.service"	/* the name */

/* Room for those a client may set, and for the unread tag besides. */
#define MESSAGE_TAGS_MAX (LIMIT_MESSAGE_TAGS + 1)
#define MESSAGE_TAG_BYTES_MAX (LIMIT_MESSAGE_TAG_BYTES + 32)

/*
 * A set of pairs of key and value; the same key may stand there with several
 * values. Sorted by key, then value, both as bytes.
 */
struct message_tags {
	uint8_t bytes[MESSAGE_TAG_BYTES_MAX];	/* for each: key NUL, u16 length, value */
	size_t len;
	uint16_t n;
};

/* Inside a struct message_tags: borrowed until it changes. */
struct message_tag {
	const char *key;
	const uint8_t *value;
	size_t len;	/* of the value */
};

/* The tag at *@at (0 for the first), which moves on; false behind the last. */
bool message_tags_next(const struct message_tags *tags, size_t *at, struct message_tag *out);

/* True when @tags has this very pair of key and value. */
bool message_tags_has(const struct message_tags *tags, const struct message_tag *tag);

/*
 * Adds the pair unless it is there. -EINVAL (empty key), -EILSEQ (key), -E2BIG
 * (@tags are unchanged).
 */
int message_tags_add(struct message_tags *tags, const struct message_tag *tag);

/* True when it was there. */
bool message_tags_remove(struct message_tags *tags, const struct message_tag *tag);

bool message_tag_is_reserved(const struct message_tag *tag);
/* The unread tag itself. */
bool message_tag_is_unread(const struct message_tag *tag);
/* True when one of @tags is reserved. */
bool message_tags_reserved(const struct message_tags *tags);
/* True when there are no more than a client may set, the unread tag aside. */
bool message_tags_fit(const struct message_tags *tags);

/* Pairs that come twice count once. */
int message_tags_read(struct wire_reader *r, struct message_tags *out);
void message_tags_write(struct wire_writer *w, const struct message_tags *tags);

enum message_mode {
	MESSAGE_FLOOD = 0,	/* public, for everybody */
	MESSAGE_STD = 1,	/* for one user, or for some, each by himself */
};

/* R23, in the order of its words. */
enum message_trust {
	MESSAGE_TRUSTED = 0,	/* the sender's signature verifies */
	MESSAGE_UNVERIFIED = 1,	/* not signed */
	MESSAGE_INVALID = 2,	/* never stored, never sent */
};

/* A message as one user sees it. */
struct message {
	struct ident id;
	struct address sender;
	enum message_mode mode;
	bool has_to;		/* MESSAGE_STD to one; false for one's own that went to several */
	struct address to;
	char service[LIMIT_MESSAGE_SERVICE + 1];
	struct message_tags tags;
	int64_t time_ns;	/* when it was sent, by the sender's clock; since 1970, UTC */
	enum message_trust trust;
	const uint8_t *data;	/* borrowed */
	size_t len;
};

/*
 * One record of a list of messages, or the payload of a subscription's frame (section 7.3):
 * mode and recipient stand there as a byte and an optional id. A flood has no recipient,
 * nor has what one sent to several; what one got oneself has.
 */
int message_read(struct wire_reader *r, struct message *out);
void message_write(struct wire_writer *w, const struct message *m);

/* Bytes message_write() takes. */
size_t message_written_len(const struct message *m);

#define MESSAGE_RECORD_MIN (1 + 32 + 32 + 1 + 1 + 1 + 2 + 35 + 1 + 4)
#define MESSAGE_RECORD_MAX (MESSAGE_RECORD_MIN + 32 + LIMIT_MESSAGE_SERVICE + \
			    MESSAGE_TAG_BYTES_MAX + LIMIT_MESSAGE_PAYLOAD)

/* Message/One and Message/Many. */
struct message_send {
	struct address sender;
	enum message_mode mode;
	const uint8_t *to;	/* borrowed; @n addresses, 32 bytes each; none for a flood */
	size_t n;
	bool grouped;		/* the id is given */
	struct ident id;
	char service[LIMIT_MESSAGE_SERVICE + 1];
	struct message_tags tags;
	const uint8_t *data;	/* borrowed */
	size_t len;
};

int message_send_read(const uint8_t *data, size_t len, struct message_send *out);
void message_send_write(struct wire_writer *w, const struct message_send *send);
/* @to holds 1 to LIMIT_RECIPIENTS different addresses (-EINVAL), nothing is grouped. */
int message_many_read(const uint8_t *data, size_t len, struct message_send *out);
void message_many_write(struct wire_writer *w, const struct message_send *send);

/* What a query or a subscription asks for: all of it must hold. */
struct message_filter {
	bool has_service;	/* else all services ("God") */
	char service[LIMIT_MESSAGE_SERVICE + 1];
	bool has_sender;
	struct address sender;
	struct message_tags tags;
};

/* True when the record @m passes. */
bool message_filter_takes(const struct message_filter *f, const struct message *m);

/* Message/Query. */
struct message_query {
	struct address user;
	struct message_filter filter;
	bool has_id;		/* overrides everything else */
	struct ident id;
	uint32_t skip;
	uint32_t take;		/* 0: as many as one reply holds */
};

/* Message/Query (service-api.md 7.3). 0, or -EINVAL: malformed, or past a limit. */
int message_query_read(const uint8_t *data, size_t len, struct message_query *out);
void message_query_write(struct wire_writer *w, const struct message_query *query);

/* Message/Sub; the filter has no sender. */
int message_sub_read(const uint8_t *data, size_t len, struct address *user,
		     struct message_filter *out);
void message_sub_write(struct wire_writer *w, const struct address *user,
		       const struct message_filter *filter);

/* Message/Modify: tags to add, then tags to remove. */
struct message_change {
	struct address user;
	struct ident id;
	struct message_tags add;
	struct message_tags remove;
};

/* As message_query_read(). */
int message_change_read(const uint8_t *data, size_t len, struct message_change *out);
void message_change_write(struct wire_writer *w, const struct message_change *change);

/*
 * What travels between daemons, and is stored once for all who see it: a message
 * without what differs from user to user, and the sender's signature over all
 * before it. Version 1: version, id, sender, mode, service, tags, time (u64, ns
 * since 1970), blob, signed (0 or 1), signature (64) when it is.
 */
#define MESSAGE_BODY_MAX (1 + 32 + 32 + 1 + LIMIT_MESSAGE_SERVICE + 1 + 2 + \
			  LIMIT_MESSAGE_TAG_BYTES + 8 + 4 + LIMIT_MESSAGE_PAYLOAD + 1 + 64)

struct message_signature {
	bool present;
	uint8_t b[64];
	size_t covers;		/* so many bytes of the body are signed */
};

/* Reads all of @len bytes; trust and recipient are left at 0. */
int message_body_read(const uint8_t *data, size_t len, struct message *out,
		      struct message_signature *signature);
/* Everything before "signed"; the caller signs it and puts the rest. */
void message_body_write(struct wire_writer *w, const struct message *m);

#endif
