/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every exchange of the client protocol in one table, compiled into the
 * library and the daemon (microframe.md section 3, service-api.md section 7.3).
 */
#ifndef RATMAN_PROTO_OPS_H
#define RATMAN_PROTO_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What must hold before a handler sees the request. */
enum op_auth {
	OP_AUTH_NONE,		/* anybody */
	OP_AUTH_OPTIONAL,	/* anybody; but a token that is sent must be in the table */
	OP_AUTH_PRESENT,	/* a token is in the header; the handler proves it */
	OP_AUTH_TOKEN,		/* the token is in the table, for whatever address */
	OP_AUTH_ADDRESS,	/* "check": the token is in the table for the payload's first 32 bytes */
	OP_AUTH_SUBSCRIBER,	/* as ADDRESS, for the 32 bytes behind the subscription id */
	OP_AUTH_OWNER,		/* as ADDRESS, or the token opens the stored key of that address */
	OP_AUTH_FROM,		/* as ADDRESS, for the `from` of the (first) letterhead */
	OP_AUTH_ADMIN,		/* who may steer the router, whatever the token (struct client) */
};

enum op_reply {
	OP_REPLY_NONE,
	OP_REPLY_PING,
	OP_REPLY_RAW,		/* a bare value: Addr/Create, Addr/List */
	OP_REPLY_EXTENDED,	/* a ping kind from 0x20: NotSupported without CAPABILITY_EXTENDED */
};

enum op_id {
	OP_INTRINSIC_UP,
	OP_INTRINSIC_DOWN,
	OP_INTRINSIC_STATUS,
	OP_INTRINSIC_LIMITS,
	OP_ADDR_CREATE,
	OP_ADDR_DESTROY,
	OP_ADDR_SUB,
	OP_ADDR_RESUB,
	OP_ADDR_UNSUB,
	OP_ADDR_UP,
	OP_ADDR_DOWN,
	OP_ADDR_LIST,
	OP_CONTACT_ADD,
	OP_CONTACT_DELETE,
	OP_CONTACT_MODIFY,
	OP_CONTACT_LIST,
	OP_CONTACT_QUERY,
	OP_LINK_CREATE,
	OP_LINK_DESTROY,
	OP_LINK_UP,
	OP_LINK_DOWN,
	OP_LINK_LIST,
	OP_PEER_LIST,
	OP_PEER_QUERY,
	OP_PEER_STATUS,
	OP_RECV_ONE,
	OP_RECV_MANY,
	OP_SEND_ONE,
	OP_SEND_MANY,
	OP_STREAM_SUB,
	OP_STREAM_RESUB,
	OP_STREAM_UNSUB,
	OP_STREAM_UP,
	OP_STREAM_DOWN,
	OP_STREAM_LIST,
	OP_SPACE_CREATE,
	OP_SPACE_UP,
	OP_SPACE_DOWN,
	OP_SPACE_ANYCAST,
	OP_USER_CREATE,
	OP_USER_DESTROY,
	OP_USER_SUB,
	OP_USER_UNSUB,
	OP_USER_UP,
	OP_USER_DOWN,
	OP_USER_MODIFY,
	OP_USER_LIST,
	OP_USER_QUERY,
	OP_USER_STATUS,
	OP_MESSAGE_SUB,
	OP_MESSAGE_RESUB,
	OP_MESSAGE_UNSUB,
	OP_MESSAGE_DELETE,
	OP_MESSAGE_MODIFY,
	OP_MESSAGE_QUERY,
	OP_MESSAGE_ONE,
	OP_MESSAGE_MANY,
	OP_SERVICE_CREATE,
	OP_SERVICE_DESTROY,
	OP_SERVICE_ADD,
	OP_SERVICE_DELETE,
	OP_SERVICE_LIST,
	OP_SERVICE_QUERY,
	OP_SERVICE_STATUS,
	OP_FILE_CREATE,
	OP_FILE_SUB,
	OP_FILE_UP,
	OP_FILE_DOWN,
	OP_FILE_ADD,
	OP_FILE_DELETE,
	OP_FILE_MODIFY,
	OP_FILE_LIST,
	OP_FILE_QUERY,
	OP_FILE_ONE,
	OP_FILE_MANY,
	OP_FILE_STATUS,
	OP_FILE_GET,
	OP_COUNT,
};

struct op {
	enum op_id id;
	uint16_t mode;		/* namespace << 8 | method */
	uint32_t min_len;	/* bytes of payload, both ends included */
	uint32_t max_len;
	enum op_auth auth;
	enum op_reply reply;
	bool echo;		/* the reply carries the token of the request */
	const char *name;	/* "Addr/Up" */
};

/* The entry of @mode, or NULL. Borrowed, static. */
const struct op *op_find(uint16_t mode);

/* The entry of @id; never NULL. */
const struct op *op_get(enum op_id id);

/* Modes of frames that are no requests. */
#define MODE_REPLY 0x0000
#define MODE_LETTERHEAD_ONE 0x0532
#define MODE_LETTERHEAD_MANY 0x0533
#define MODE_LETTERHEAD_SUB 0x0332

/*
 * True in the namespaces of the Service API: a reply carries mode and token of its
 * request (service-api.md section 7.3). Elsewhere its mode is MODE_REPLY.
 */
static inline bool mode_is_service(uint16_t mode)
{
	return mode >> 8 >= 0x09;
}

#endif
