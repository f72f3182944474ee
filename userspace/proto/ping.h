/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pings: the replies of the daemon (microframe.md sections 3.0 and 3.2). One
 * byte of kind, then the body.
 */
#ifndef RATMAN_PROTO_PING_H
#define RATMAN_PROTO_PING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/wire.h"
#include "proto/contact.h"
#include "proto/field.h"
#include "proto/link.h"
#include "proto/payload.h"

enum ping_kind {
	PING_OK = 1,
	PING_UPDATE = 2,
	PING_ERROR = 3,
	PING_TIMEOUT = 4,
	PING_VERSION = 5,
	PING_SUBSCRIPTION = 6,
	PING_ADDR_LIST = 7,
	PING_PEER_LIST = 8,
	PING_SEND_SOCKET = 9,
	PING_STATUS = 10,
	PING_ANYCAST = 11,
	/* From 0x20 on only for clients with CAPABILITY_EXTENDED, or in namespaces from 9 on. */
	PING_SERVICE_ERROR = 0x20,
	PING_USER = 0x21,		/* id 32 */
	PING_PROFILES = 0x22,
	PING_MESSAGE = 0x23,		/* id 32 */
	PING_MESSAGES = 0x24,
	PING_SERVICE_VALUE = 0x25,
	PING_SERVICE_KEYS = 0x26,
	PING_SERVICES = 0x27,
	PING_CONTACTS = 0x28,
	PING_LINKS = 0x29,
	PING_FILE = 0x2a,		/* id 32, size u64 */
	PING_FILES = 0x2b,
	PING_LIMITS = 0x2c,
};

/* What went wrong in the Service API; the order of service-api.md section 7.1. */
enum service_error_code {
	SERVICE_E_NOT_AUTHORISED,
	SERVICE_E_NO_USER,
	SERVICE_E_CONTACT_EXISTS,
	SERVICE_E_NO_CONTACT,
	SERVICE_E_INVALID_QUERY,
	SERVICE_E_NO_DATA,
	SERVICE_E_INVALID_PAYLOAD,
	SERVICE_E_CALLBACK_TIMEOUT,
	SERVICE_E_NO_SIGN,
	SERVICE_E_BAD_SIGN,
	SERVICE_E_NETWORK_FAULT,
	SERVICE_E_NO_ROUTE,
	SERVICE_E_BAD_SERIALISE,
	SERVICE_E_NO_SERVICE,
	SERVICE_E_SERVICE_EXISTS,
	SERVICE_E_COMM_FAULT,
	SERVICE_E_IO_FAULT,
	SERVICE_E_COUNT,
};

/* Variants of the error blob; a Rust client dies of any other. */
enum ping_error_code {
	PING_E_VERSION = 0,	/* text, text2 */
	PING_E_AUTH = 1,
	PING_E_CONNECTION_LOST = 2,
	PING_E_NOT_SUPPORTED = 3,
	PING_E_NO_ADDRESS = 4,
	PING_E_DUPLICATE = 5,
	PING_E_INTERNAL = 6,	/* text */
	PING_E_NO_SUBSCRIPTION = 7,	/* id */
	PING_E_USER = 8,	/* user, then its fields */
};

enum ping_user_code {
	PING_USER_INPUT = 0,	/* text, has_text2 and text2 (what was expected) */
	PING_USER_MISSING = 1,	/* text */
	PING_USER_LIMIT = 2,
};

#define PING_TEXT_MAX 256

struct ping_error {
	enum ping_error_code code;
	enum ping_user_code user;
	char text[PING_TEXT_MAX];	/* cut when longer on the wire */
	char text2[PING_TEXT_MAX];
	bool has_text2;
	struct ident id;
};

/* Longest Error ping we write. */
#define PING_ERROR_MAX (1 + 4 + 8 + 2 * (8 + PING_TEXT_MAX) + 1)

struct ping_status {
	uint64_t peers, locals, tokens, workers;
};

#define PING_PEER_LEN (32 + 2 * FIELD_DATETIME_LEN + 1)

struct ping_peer {
	struct address address;
	int64_t first_seen_ns;	/* since 1970, UTC */
	int64_t last_seen_ns;
	bool active;
};

/* A decoded ping; everything borrowed points into the payload. */
struct ping {
	enum ping_kind kind;
	union {
		struct {
			bool has_capabilities;
			uint8_t capabilities;
		} ok;
		struct payload_ids ids;		/* UPDATE, ADDR_LIST */
		struct ping_error error;
		struct {
			char router[16], client[16];
		} version;
		struct {
			struct ident id;
			char bind[64];
		} subscription;
		struct {
			size_t n;
			struct wire_reader at;	/* for ping_next_peer() */
		} peers;
		char send_socket[64];
		struct ping_status status;
		struct {
			size_t n;
			struct wire_reader at;	/* for ping_next_anycast() */
		} anycast;
		struct {
			size_t n;
			struct wire_reader at;	/* for ping_next_contact() */
		} contacts;
		struct {
			size_t n;
			struct wire_reader at;	/* for ping_next_link() */
		} links;
		struct {
			size_t n;
			struct wire_reader at;	/* for ping_next_limit() */
		} limits;
		struct {
			uint8_t code;		/* enum service_error_code, or one we do not know */
			char text[PING_TEXT_MAX];	/* cut when longer on the wire */
		} service_error;
		/* Kinds 0x21 to 0x27, 0x2a and 0x2b: unchecked, for the codec of their noun. */
		struct wire_reader body;
	};
};

void ping_write_ok(struct wire_writer *w);
void ping_write_ids(struct wire_writer *w, enum ping_kind kind, const struct payload_ids *ids);
void ping_write_error(struct wire_writer *w, const struct ping_error *e);
void ping_write_timeout(struct wire_writer *w);
/* @text is cut to PING_TEXT_MAX - 1 bytes. */
void ping_write_service_error(struct wire_writer *w, enum service_error_code code,
			      const char *text);
void ping_write_version(struct wire_writer *w, const char *router, const char *client);
void ping_write_subscription(struct wire_writer *w, const struct ident *id, const char *bind);
#define PING_LIMIT_NAME_MAX 32	/* with NUL */
#define PING_LIMIT_UNIT_MAX 16

/* One limit of the daemon, as in its configuration. */
struct ping_limit {
	char name[PING_LIMIT_NAME_MAX];
	char unit[PING_LIMIT_UNIT_MAX];
	uint64_t limit;
	uint64_t used;		/* now */
	uint64_t hits;		/* since the daemon started */
};

/* Head of a peer list; exactly @n calls of ping_write_peer() follow. */
void ping_write_peers(struct wire_writer *w, uint16_t n);
void ping_write_peer(struct wire_writer *w, const struct ping_peer *peer);
void ping_write_send_socket(struct wire_writer *w, const char *bind);
void ping_write_status(struct wire_writer *w, const struct ping_status *s);
/* Head of an anycast list; @n calls of ping_write_anycast_entry() follow. */
void ping_write_anycast(struct wire_writer *w, uint16_t n);
void ping_write_anycast_entry(struct wire_writer *w, const struct address *a, uint64_t ms);
/* Heads of lists; @n calls of contact_record_write() or link_entry_write() follow. */
void ping_write_contacts(struct wire_writer *w, uint16_t n);
void ping_write_links(struct wire_writer *w, uint16_t n);
/* Head of a list of limits; @n calls of ping_write_limit() follow. */
void ping_write_limits(struct wire_writer *w, uint16_t n);
void ping_write_limit(struct wire_writer *w, const struct ping_limit *l);

/*
 * Decodes a reply payload (borrowed by *@out). Leftover bytes are ignored.
 * Returns 0, -EPROTO for a body that does not parse, -ENOTSUP for an unknown
 * kind. Lists of entries are checked for their size only, entries when read.
 */
int ping_read(const uint8_t *data, size_t len, struct ping *out);

/* The next of out->peers.n entries; -EPROTO when it does not parse. */
int ping_next_peer(struct ping *p, struct ping_peer *out);
int ping_next_anycast(struct ping *p, struct address *address, uint64_t *ms);
int ping_next_contact(struct ping *p, struct contact *out);
int ping_next_link(struct ping *p, struct link_entry *out);
int ping_next_limit(struct ping *p, struct ping_limit *out);

/* One line for people; returns @out. */
const char *ping_error_describe(const struct ping_error *e, char *out, size_t size);

#endif
