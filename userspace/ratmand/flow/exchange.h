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
/* No message that exchange_put_*() writes, but OFFER and BLOCK, is longer. */
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
};

enum exchange_reason {
	EXCHANGE_BUSY = 1,	/* too much at once, or no space: offer again later */
	EXCHANGE_ABSENT = 2,	/* the recipient is not up here: offer again later */
	EXCHANGE_BAD = 3,	/* the manifest does not open or check: never again */
	EXCHANGE_TOO_BIG = 4,	/* the stream is longer than what is taken: never again */
	EXCHANGE_BROKEN = 5,	/* the blocks are no such stream, or one is lost: never again */
};

/* A message taken apart; pointers are borrowed until the next call on the exchange. */
struct exchange_message {
	enum exchange_type type;
	struct ident id;		/* WANT, MISSING, RECEIPT, REFUSE */
	union {
		struct {
			struct address from, to;
		} hello;
		struct {
			const uint8_t *sealed;	/* MANIFEST_MIN to MANIFEST_MAX bytes */
			size_t len;
		} offer;
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

/* The first EXCHANGE_HEAD bytes of an OFFER or a BLOCK whose @len bytes follow. */
void exchange_put_head(uint8_t *out, enum exchange_type type, size_t len);

#endif
