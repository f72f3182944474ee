// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/ops.h"

#include "base/limits.h"
#include "proto/link.h"
#include "proto/payload.h"

#define RECIPIENT_LEN 33
#define LETTERHEAD_MIN 44	/* version, from, no recipient, size, no pairs */

#define OP(id_, mode_, min_, max_, auth_, reply_, echo_, name_) \
	[OP_##id_] = { OP_##id_, mode_, min_, max_, OP_AUTH_##auth_, OP_REPLY_##reply_, echo_, name_ }

/*
 * Payloads of methods that take none are consumed whatever they hold: Rust
 * clients never send any, and refusing them would help nobody.
 */
static const struct op ops[OP_COUNT] = {
	OP(INTRINSIC_UP, 0x0010, 3, LIMIT_CONTROL_PAYLOAD, NONE, PING, false, "Intrinsic/Up"),
	OP(INTRINSIC_DOWN, 0x0011, 0, LIMIT_CONTROL_PAYLOAD, NONE, NONE, false, "Intrinsic/Down"),
	OP(INTRINSIC_STATUS, 0x0034, 0, LIMIT_CONTROL_PAYLOAD, NONE, PING, false, "Intrinsic/Status"),
	OP(INTRINSIC_LIMITS, 0x0036, 0, LIMIT_CONTROL_PAYLOAD, NONE, EXTENDED, false, "Intrinsic/Limits"),
	OP(ADDR_CREATE, 0x0101, 0, PAYLOAD_CREATE_MAX, NONE, RAW, true, "Addr/Create"),
	OP(ADDR_DESTROY, 0x0102, 32, 33, OWNER, PING, true, "Addr/Destroy"),
	OP(ADDR_SUB, 0x0103, 33, 33, ADDRESS, PING, true, "Addr/Sub"),
	OP(ADDR_RESUB, 0x0104, 64, 64, SUBSCRIBER, PING, true, "Addr/Resub"),
	OP(ADDR_UNSUB, 0x0105, 64, 64, SUBSCRIBER, PING, true, "Addr/Unsub"),
	OP(ADDR_UP, 0x0110, 32, 32, PRESENT, PING, true, "Addr/Up"),
	OP(ADDR_DOWN, 0x0111, 32, 32, OWNER, PING, true, "Addr/Down"),
	OP(ADDR_LIST, 0x0130, 0, LIMIT_CONTROL_PAYLOAD, NONE, RAW, false, "Addr/List"),
	OP(CONTACT_ADD, 0x0220, 36, LIMIT_CONTROL_PAYLOAD, TOKEN, PING, true, "Contact/Add"),
	OP(CONTACT_DELETE, 0x0221, 32, 32, TOKEN, PING, true, "Contact/Delete"),
	OP(CONTACT_MODIFY, 0x0222, 6, LIMIT_CONTROL_PAYLOAD, TOKEN, PING, true, "Contact/Modify"),
	OP(CONTACT_LIST, 0x0230, 0, LIMIT_CONTROL_PAYLOAD, TOKEN, PING, true, "Contact/List"),
	OP(CONTACT_QUERY, 0x0231, 6, LIMIT_CONTROL_PAYLOAD, TOKEN, PING, true, "Contact/Query"),
	OP(LINK_CREATE, 0x0301, 3, LINK_LINE_MAX, ADMIN, PING, true, "Link/Create"),
	OP(LINK_DESTROY, 0x0302, 3, LINK_LINE_MAX, ADMIN, PING, true, "Link/Destroy"),
	OP(LINK_UP, 0x0310, 3, LINK_LINE_MAX, ADMIN, PING, true, "Link/Up"),
	OP(LINK_DOWN, 0x0311, 3, LINK_LINE_MAX, ADMIN, PING, true, "Link/Down"),
	OP(LINK_LIST, 0x0330, 0, LIMIT_CONTROL_PAYLOAD, NONE, EXTENDED, true, "Link/List"),
	OP(PEER_LIST, 0x0430, 0, LIMIT_CONTROL_PAYLOAD, NONE, PING, false, "Peer/List"),
	OP(PEER_QUERY, 0x0431, 4, LIMIT_CONTROL_PAYLOAD, TOKEN, PING, true, "Peer/Query"),
	OP(PEER_STATUS, 0x0434, 0, 32, NONE, PING, true, "Peer/Status"),
	OP(RECV_ONE, 0x0532, 33, 32 + RECIPIENT_LEN, ADDRESS, PING, true, "Recv/One"),
	OP(RECV_MANY, 0x0533, 33, 32 + RECIPIENT_LEN + 5, ADDRESS, PING, true, "Recv/Many"),
	OP(SEND_ONE, 0x0632, LETTERHEAD_MIN, LIMIT_CONTROL_PAYLOAD, FROM, NONE, true, "Send/One"),
	OP(SEND_MANY, 0x0633, 2, LIMIT_CONTROL_PAYLOAD, FROM, PING, true, "Send/Many"),
	OP(STREAM_SUB, 0x0703, 33, 32 + RECIPIENT_LEN, ADDRESS, PING, true, "Stream/Sub"),
	OP(STREAM_RESUB, 0x0704, 64, 64, SUBSCRIBER, PING, true, "Stream/Resub"),
	OP(STREAM_UNSUB, 0x0705, 64, 64, SUBSCRIBER, PING, true, "Stream/Unsub"),
	OP(STREAM_LIST, 0x0730, 32, 32, ADDRESS, PING, true, "Stream/List"),
	OP(SPACE_CREATE, 0x0801, 64, 64, OPTIONAL, PING, false, "Space/Create"),
	OP(SPACE_UP, 0x0810, 64, 64, ADDRESS, PING, false, "Space/Up"),
	OP(SPACE_DOWN, 0x0811, 64, 64, ADDRESS, PING, false, "Space/Down"),
	OP(SPACE_ANYCAST, 0x0835, 80, 80, ADDRESS, PING, true, "Space/Anycast"),
};

const struct op *op_find(uint16_t mode)
{
	for (size_t i = 0; i < OP_COUNT; i++) {
		if (ops[i].mode == mode)
			return &ops[i];
	}
	return NULL;
}

const struct op *op_get(enum op_id id)
{
	return &ops[id];
}
