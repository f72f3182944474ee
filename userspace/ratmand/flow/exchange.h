/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol two daemons speak over TCP on ratman0: bytes in, messages out.
 *
 * Sans-I/O. A frame is a be32 length of what follows, a type byte and a body.
 * Documentation/streams.md has the bytes and the rules.
 */
#ifndef RATMAND_FLOW_EXCHANGE_H
#define RATMAND_FLOW_EXCHANGE_H

#include "base/address.h"
#include "ratmand/flow/eris.h"
#include "ratmand/flow/manifest.h"

#define EXCHANGE_VERSION 1
/* Most bytes that follow the length field. */
#define EXCHANGE_FRAME_MAX ((64u << 10) + 64)
#define EXCHANGE_HEAD 5			/* length and type */
#define EXCHANGE_WANT_MAX 64		/* references in one WANT */
#define EXCHANGE_HAVE_MAX 1024		/* ids in one HAVE */
#define EXCHANGE_NONCE_LEN 32
#define EXCHANGE_SUM_LEN 32
/* No message that exchange_put_*() writes, but OFFER, ITEM, HAVE and BLOCK, is longer. */
#define EXCHANGE_SMALL_MAX (EXCHANGE_HEAD + 34 + EXCHANGE_WANT_MAX * ERIS_REF_LEN)

enum exchange_type {
	EXCHANGE_HELLO = 1,
	EXCHANGE_OFFER = 2,
	EXCHANGE_WANT = 3,
	EXCHANGE_BLOCK = 4,
	EXCHANGE_MISSING = 5,
	EXCHANGE_RECEIPT = 6,
	EXCHANGE_REFUSE = 7,
	EXCHANGE_PING = 8,
	EXCHANGE_PONG = 9,
	/* Namespaces; each body begins with the namespace. */
	EXCHANGE_JOIN = 10,	/* I am a member; prove that you are */
	EXCHANGE_PROVE = 11,
	EXCHANGE_LEAVE = 12,	/* I am not, or no more */
	EXCHANGE_SUM = 13,	/* what I hold, in short */
	EXCHANGE_HAVE = 14,	/* what I hold, a page of it */
	EXCHANGE_ITEM = 15,	/* an OFFER to the namespace */
	EXCHANGE_PROBE = 16,	/* are you there? */
	EXCHANGE_ANSWER = 17,
	EXCHANGE_LAST = EXCHANGE_ANSWER,
};

enum exchange_reason {
	EXCHANGE_BUSY = 1,	/* too much at once, or no space: offer again later */
	EXCHANGE_ABSENT = 2,	/* the recipient is not up here: offer again later */
	EXCHANGE_BAD = 3,	/* the manifest does not open or check: never again */
	EXCHANGE_TOO_BIG = 4,	/* the stream is longer than what is taken: never again */
	EXCHANGE_BROKEN = 5,	/* the blocks are no such stream, or one is lost: never again */
	EXCHANGE_OLD = 6,	/* a namespace's stream past its time: never again */
	EXCHANGE_UNWANTED = 7,	/* a parcel the recipient does not want: never again */
};

/* Streams of a namespace are ordered by their time, then their id. */
struct exchange_mark {
	uint64_t created_s;
	struct ident id;
};

/* A message taken apart; pointers are borrowed until the next call on the exchange. */
struct exchange_message {
	enum exchange_type type;
	struct ident id;		/* WANT, MISSING, RECEIPT, REFUSE */
	struct address space;		/* JOIN and all that follow it */
	union {
		struct {
			struct address from, to;
		} hello;
		struct {
			const uint8_t *sealed;	/* MANIFEST_MIN to MANIFEST_MAX bytes */
			size_t len;
		} offer;			/* ITEM, too */
		struct {
			const uint8_t (*refs)[ERIS_REF_LEN];
			size_t n;		/* 1 to EXCHANGE_WANT_MAX */
		} want;
		struct {
			const uint8_t *data;
			size_t len;		/* ERIS_BLOCK_SMALL or _LARGE */
		} block;
		const uint8_t *missing;		/* reference */
		const uint8_t *receipt;		/* signature, MANIFEST_SIG_LEN bytes */
		enum exchange_reason refuse;
		const uint8_t *join;		/* EXCHANGE_NONCE_LEN bytes */
		const uint8_t *proof;		/* signature, MANIFEST_SIG_LEN bytes */
		struct {
			struct exchange_mark horizon;	/* nothing up to it is wanted or counted */
			uint32_t count;
			const uint8_t *hash;	/* EXCHANGE_SUM_LEN bytes */
		} sum;
		struct {
			struct exchange_mark low, high;	/* all that is held between: low < x <= high */
			const uint8_t (*ids)[32];
			size_t n;		/* 0 to EXCHANGE_HAVE_MAX */
		} have;
		uint64_t probe;			/* PROBE, ANSWER: returned as it came */
	};
};

struct exchange {
	uint8_t *buf;		/* owned */
	size_t size;
	size_t start, end;	/* unread bytes */
	bool greeted;		/* HELLO was seen */
	bool failed;
};

int exchange_init(struct exchange *x);
void exchange_free(struct exchange *x);

/* Room for the next bytes off the wire: never NULL, never empty. Invalidates messages. */
uint8_t *exchange_space(struct exchange *x, size_t *size);

/* @len bytes were put at the start of the space. */
void exchange_filled(struct exchange *x, size_t len);

/*
 * The next message: 1 and @out, 0 when more bytes must come, or -EPROTO (sticky):
 * too long a frame, an unknown type, a body that does not fit its type,
 * anything but HELLO first, a second HELLO, another version.
 */
int exchange_next(struct exchange *x, struct exchange_message *out);

/* Each writes one frame to @out and returns its length. */
size_t exchange_put_hello(uint8_t *out, const struct address *from, const struct address *to);
size_t exchange_put_want(uint8_t *out, const struct ident *id,
			 const uint8_t (*refs)[ERIS_REF_LEN], size_t n);
size_t exchange_put_missing(uint8_t *out, const struct ident *id, const uint8_t *ref);
size_t exchange_put_receipt(uint8_t *out, const struct ident *id, const uint8_t *sig);
size_t exchange_put_refuse(uint8_t *out, const struct ident *id, enum exchange_reason reason);
size_t exchange_put_bare(uint8_t *out, enum exchange_type ping_or_pong);

size_t exchange_put_join(uint8_t *out, const struct address *space, const uint8_t *nonce);
size_t exchange_put_prove(uint8_t *out, const struct address *space, const uint8_t *sig);
size_t exchange_put_leave(uint8_t *out, const struct address *space);
size_t exchange_put_sum(uint8_t *out, const struct address *space,
			const struct exchange_mark *horizon, uint32_t count, const uint8_t *hash);
size_t exchange_put_probe(uint8_t *out, enum exchange_type probe_or_answer,
			  const struct address *space, uint64_t probe);

/* A HAVE up to its ids: EXCHANGE_HAVE_HEAD bytes, to which the caller adds @n ids. */
#define EXCHANGE_HAVE_HEAD (EXCHANGE_HEAD + ADDRESS_LEN + 2 * 40 + 2)
size_t exchange_put_have(uint8_t *out, const struct address *space,
			 const struct exchange_mark *low, const struct exchange_mark *high,
			 size_t n);

/* An ITEM up to its sealed manifest of @len bytes. */
#define EXCHANGE_ITEM_HEAD (EXCHANGE_HEAD + ADDRESS_LEN)
size_t exchange_put_item(uint8_t *out, const struct address *space, size_t len);

/* The first EXCHANGE_HEAD bytes of an OFFER or a BLOCK whose @len bytes follow. */
void exchange_put_head(uint8_t *out, enum exchange_type type, size_t len);

#endif
