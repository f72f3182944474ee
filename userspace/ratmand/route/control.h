/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CONTROL payloads: the channel header and the items inside.
 *
 * A payload is read completely into a struct control_message before anything
 * acts on it: a message that is damaged anywhere has no effect at all.
 */
#ifndef RATMAND_ROUTE_CONTROL_H
#define RATMAND_ROUTE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/wire.h"
#include "ratmand/route/presence.h"
#include "ratmand/route/record.h"

#define CONTROL_VERSION 1
#define CONTROL_HEADER_LEN 20
#define CONTROL_MTU_MAX 1400
#define CONTROL_TLV_LEN 3		/* type, length */
#define CONTROL_UPDATE_LEN 10
#define CONTROL_WANT_LEN 8
#define CONTROL_RECORD_LEN (6 + RECORD_LEN)
#define CONTROL_SEQREQ_LEN 41
#define CONTROL_DIGEST_LEN 16
#define CONTROL_PRESENCE_LEN (4 + PRESENCE_LEN)
#define CONTROL_MEMBER_BUCKETS 16
#define CONTROL_MEMBER_SUMS_LEN (CONTROL_MEMBER_BUCKETS * 8)
#define CONTROL_MEMBER_ASK_LEN 2
#define CONTROL_PATH_MTU_LEN 2
#define CONTROL_PATH_MTU_DEFAULT 1500u	/* of what stands before any PATH_MTU */

/* Header flags. */
#define CONTROL_ADOPTED 0x01u	/* sender has adopted the epoch in peer_epoch; ack counts */
#define CONTROL_HOLDS 0x02u	/* sender still holds routes from an earlier epoch of the receiver */
#define CONTROL_GRACEFUL 0x04u	/* routes from before this epoch stay usable until END */

enum control_type {
	CONTROL_UPDATE = 1,
	CONTROL_RECORD = 2,
	CONTROL_WANT = 3,
	CONTROL_SEQREQ = 4,
	CONTROL_DUMP = 5,
	CONTROL_DIGEST = 6,
	CONTROL_RESYNC = 7,
	CONTROL_PRESENCE = 8,
	CONTROL_MEMBER_SUMS = 9,
	CONTROL_MEMBER_ASK = 10,
	CONTROL_LAST = CONTROL_MEMBER_ASK,
};

/* No item: it holds for the UPDATEs and RECORDs behind it in the message. */
#define CONTROL_PATH_MTU 11

enum control_dump_phase {
	CONTROL_DUMP_BEGIN = 0,
	CONTROL_DUMP_END = 1,
};

struct control_header {
	uint8_t flags;
	uint8_t sack;		/* bit i: message ack + 1 + i has arrived */
	uint32_t epoch;		/* of the sender, never 0 */
	uint32_t peer_epoch;	/* of the receiver as the sender heard it, 0 unknown */
	uint32_t seq;		/* 1 …; 0: no items */
	uint32_t ack;		/* every message below this one was processed */
};

/* One item. Pointers borrow from the payload. */
struct control_item {
	enum control_type type;
	union {
		struct {
			const uint8_t *id;	/* RECORD_ID_LEN bytes */
			uint16_t metric;
			uint16_t mtu;	/* largest frame for it that the sender passes on */
		} update;
		struct {
			const uint8_t *bytes;	/* RECORD_LEN bytes */
			uint32_t remaining_s;
			uint16_t metric;
			uint16_t mtu;
		} record;
		const uint8_t *want;		/* RECORD_ID_LEN bytes */
		struct {
			const uint8_t *address;	/* ADDRESS_LEN bytes */
			uint64_t sequence;
			uint8_t hops;
		} seqreq;
		enum control_dump_phase dump;
		const uint8_t *digest;		/* CONTROL_DIGEST_LEN bytes */
		struct {
			const uint8_t *bytes;	/* PRESENCE_LEN bytes */
			uint32_t remaining_s;
		} presence;
		const uint8_t *member_sums;	/* CONTROL_MEMBER_SUMS_LEN bytes */
		uint16_t member_ask;		/* a bit for each bucket */
	};
};

/* More than fit into CONTROL_MTU_MAX bytes. */
#define CONTROL_ITEMS_MAX 460

struct control_message {
	struct control_header header;
	size_t n_unknown;	/* items of unknown type, skipped */
	size_t n_items;
	struct control_item items[CONTROL_ITEMS_MAX];
};

enum control_error {
	CONTROL_OK,
	CONTROL_TRUNCATED,
	CONTROL_BAD_VERSION,
	CONTROL_MALFORMED,
};

/* Reads a whole payload (borrowed by @out). *@out is undefined unless CONTROL_OK. */
enum control_error control_parse(const uint8_t *bytes, size_t len, struct control_message *out);

/* Reads the items of a message only (what follows the header). */
enum control_error control_parse_items(const uint8_t *bytes, size_t len,
				       struct control_message *out);

/* Writes the CONTROL_HEADER_LEN bytes of a header. */
void control_put_header(struct wire_writer *w, const struct control_header *header);

/*
 * Appends items. Each returns false, with nothing written, when it does not fit.
 * Updates and wants that follow each other share one TLV: @run holds the start
 * of the open one and the path MTU that holds, and is zeroed at the start of a message.
 */
struct control_run {
	uint8_t *tlv;		/* borrowed: inside the writer's buffer */
	enum control_type type;
	uint16_t mtu;		/* 0: CONTROL_PATH_MTU_DEFAULT */
};

/*
 * Sees to it that the next item has this path MTU (not 0), when there is room for @left
 * bytes of that item, too.
 */
bool control_put_path_mtu(struct wire_writer *w, struct control_run *run, uint16_t mtu,
			  size_t left);
bool control_put_update(struct wire_writer *w, struct control_run *run,
			const uint8_t id[static RECORD_ID_LEN], uint16_t metric);
bool control_put_want(struct wire_writer *w, struct control_run *run,
		      const uint8_t id[static RECORD_ID_LEN]);
bool control_put_record(struct wire_writer *w, struct control_run *run,
			const uint8_t record[static RECORD_LEN], uint32_t remaining_s,
			uint16_t metric);
bool control_put_seqreq(struct wire_writer *w, struct control_run *run,
			const struct address *address, uint64_t sequence, uint8_t hops);
bool control_put_dump(struct wire_writer *w, struct control_run *run,
		      enum control_dump_phase phase);
bool control_put_digest(struct wire_writer *w, struct control_run *run,
			const uint8_t digest[static CONTROL_DIGEST_LEN]);
bool control_put_resync(struct wire_writer *w, struct control_run *run);
bool control_put_presence(struct wire_writer *w, struct control_run *run,
			  const uint8_t presence[static PRESENCE_LEN], uint32_t remaining_s);
bool control_put_member_sums(struct wire_writer *w, struct control_run *run,
			     const uint64_t sums[static CONTROL_MEMBER_BUCKETS]);
bool control_put_member_ask(struct wire_writer *w, struct control_run *run, uint16_t buckets);

#endif
