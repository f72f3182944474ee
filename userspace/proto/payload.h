/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Request payloads of each exchange (microframe.md sections 3.1 to 3.7). The
 * readers return 0 or -EINVAL and fill *out only then; the writers go into a
 * cursor whose sticky error the caller asks.
 */
#ifndef RATMAN_PROTO_PAYLOAD_H
#define RATMAN_PROTO_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/wire.h"
#include "proto/letterhead.h"

/* Handshake, section 3.1. */
#define PROTOCOL_MAJOR 0
#define PROTOCOL_MINOR 1
#define PROTOCOL_VERSION_TEXT "0.1"

#define CAPABILITY_AUX 1u	/* decodes auxiliary data in letterheads */
#define CAPABILITY_SEND_SOCKET 2u	/* uses the data socket for Send/One */
#define CAPABILITY_EXTENDED 4u	/* understands ping kinds from 0x20 and namespaces from 9 */
#define CAPABILITY_ALL (CAPABILITY_AUX | CAPABILITY_SEND_SOCKET | CAPABILITY_EXTENDED)

struct payload_hello {
	uint8_t major, minor;
	bool has_capabilities;
	uint8_t capabilities;	/* first flag byte; unknown bits kept */
};

int payload_read_hello(const uint8_t *data, size_t len, struct payload_hello *out);
void payload_write_hello(struct wire_writer *w, const struct payload_hello *hello);

/* The suffix alone, as in the Ok reply: count of flag bytes, flag bytes. */
bool payload_read_capabilities(struct wire_reader *r, uint8_t *out);
void payload_write_capabilities(struct wire_writer *w, uint8_t capabilities);

/* True when a client of this version can talk to us. */
bool payload_version_fits(const struct payload_hello *hello);

/* Addr/Create, section 3.3. */
#define PAYLOAD_NAME_MAX 255
#define PAYLOAD_CREATE_MAX (PAYLOAD_NAME_MAX + 1 + 32)

struct payload_create {
	char name[PAYLOAD_NAME_MAX + 1];	/* "" = no name */
	bool has_key;
	uint8_t key[32];	/* secret: ed25519 seed of a namespace */
};

/* The acceptance table; names must be UTF-8. */
int payload_read_create(const uint8_t *data, size_t len, struct payload_create *out);

/* Form of the table that HEAD and we read: 00, or the bare name. */
void payload_write_create(struct wire_writer *w, const char *name);

/* Addr/Destroy: address and an optional force byte (anything but 0 is force). */
int payload_read_destroy(const uint8_t *data, size_t len, struct address *address, bool *force);

/* Recv/One and Recv/Many. */
struct payload_recv {
	struct address address;
	struct recipient to;
	bool has_limit;
	uint32_t limit;
};

int payload_read_recv(const uint8_t *data, size_t len, bool many, struct payload_recv *out);
void payload_write_recv(struct wire_writer *w, bool many, const struct payload_recv *recv);

/* Resub and Unsub of Stream and Addr: subscription and subscriber. */
struct payload_subscriber {
	struct ident id;
	struct address address;
};

#define PAYLOAD_SUBSCRIBER_LEN (32 + ADDRESS_LEN)

void payload_read_subscriber(const uint8_t data[static PAYLOAD_SUBSCRIBER_LEN],
			     struct payload_subscriber *out);
void payload_write_subscriber(struct wire_writer *w, const struct payload_subscriber *sub);

/* Addr/Sub: the address, and no recipient. */
#define PAYLOAD_ADDR_SUB_LEN (ADDRESS_LEN + 1)

/* What a frame of mode 0103 on the socket of Addr/Sub says. */
enum payload_event_kind {
	PAYLOAD_EVENT_UP = 1,	/* a local address came up */
	PAYLOAD_EVENT_DOWN = 2,	/* a local address went down */
	PAYLOAD_EVENT_PEER = 3,	/* a remote address was heard of for the first time */
};

struct payload_event {
	uint8_t kind;		/* an enum payload_event_kind, or one of later versions */
	struct address address;
};

#define PAYLOAD_EVENT_LEN (1 + ADDRESS_LEN)

int payload_read_event(const uint8_t *data, size_t len, struct payload_event *out);
void payload_write_event(struct wire_writer *w, const struct payload_event *event);

/*
 * Send/Many: count and letterheads. Calls @each with every letterhead in turn
 * (borrowed for the call); a non-zero return stops and is returned. -EINVAL
 * for bytes that are no such list. @count gets the announced count.
 */
int payload_read_heads(const uint8_t *data, size_t len, uint16_t *count,
		       int (*each)(void *ctx, const struct letterhead *head), void *ctx);

/* A list of addresses or identifiers: count, then 32 bytes each. At most 65535. */
struct payload_ids {
	const uint8_t *ids;	/* borrowed, 32 bytes each */
	size_t n;
};

int payload_read_ids(struct wire_reader *r, struct payload_ids *out);

/* Space/Create, section 3.5. */
struct payload_space_create {
	struct address space;
	uint8_t key[32];	/* secret: ed25519 seed */
};

int payload_read_space_create(const uint8_t *data, size_t len, struct payload_space_create *out);
void payload_write_space_create(struct wire_writer *w, const struct payload_space_create *create);

/* Space/Up and Space/Down: a client's address and the namespace. */
int payload_read_space(const uint8_t *data, size_t len, struct address *client,
		       struct address *space);
void payload_write_space(struct wire_writer *w, const struct address *client,
			 const struct address *space);

/* Space/Anycast. A timeout past 64 bits reads as UINT64_MAX. */
struct payload_anycast {
	struct address self;
	struct address space;
	uint64_t timeout_ms;
};

int payload_read_anycast(const uint8_t *data, size_t len, struct payload_anycast *out);
void payload_write_anycast(struct wire_writer *w, const struct payload_anycast *anycast);

#endif
