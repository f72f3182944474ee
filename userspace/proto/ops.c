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
	OP(STREAM_UP, 0x0710, 64, 64, SUBSCRIBER, PING, true, "Stream/Up"),
	OP(STREAM_DOWN, 0x0711, 64, 64, SUBSCRIBER, PING, true, "Stream/Down"),
	OP(STREAM_LIST, 0x0730, 32, 32, ADDRESS, PING, true, "Stream/List"),
	OP(SPACE_CREATE, 0x0801, 64, 64, OPTIONAL, PING, false, "Space/Create"),
	OP(SPACE_UP, 0x0810, 64, 64, ADDRESS, PING, false, "Space/Up"),
	OP(SPACE_DOWN, 0x0811, 64, 64, ADDRESS, PING, false, "Space/Down"),
	OP(SPACE_ANYCAST, 0x0835, 80, 80, ADDRESS, PING, true, "Space/Anycast"),
	OP(USER_CREATE, 0x0901, 2, LIMIT_CONTROL_PAYLOAD, NONE, PING, true, "User/Create"),
	OP(USER_DESTROY, 0x0902, 33, 33, ADDRESS, PING, true, "User/Destroy"),
	OP(USER_SUB, 0x0903, 32, 32, ADDRESS, PING, true, "User/Sub"),
	OP(USER_UNSUB, 0x0905, 64, 64, SUBSCRIBER, PING, true, "User/Unsub"),
	OP(USER_UP, 0x0910, 33, LIMIT_CONTROL_PAYLOAD, NONE, PING, true, "User/Up"),
	OP(USER_DOWN, 0x0911, 32, 32, ADDRESS, PING, true, "User/Down"),
	OP(USER_MODIFY, 0x0922, 34, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "User/Modify"),
	OP(USER_LIST, 0x0930, 0, 9, NONE, PING, true, "User/List"),
	OP(USER_QUERY, 0x0931, 11, LIMIT_CONTROL_PAYLOAD, NONE, PING, true, "User/Query"),
	OP(USER_STATUS, 0x0934, 32, 32, ADDRESS, PING, true, "User/Status"),
	OP(MESSAGE_SUB, 0x0a03, 35, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Message/Sub"),
	OP(MESSAGE_RESUB, 0x0a04, 64, 64, SUBSCRIBER, PING, true, "Message/Resub"),
	OP(MESSAGE_UNSUB, 0x0a05, 64, 64, SUBSCRIBER, PING, true, "Message/Unsub"),
	OP(MESSAGE_DELETE, 0x0a21, 64, 64, ADDRESS, PING, true, "Message/Delete"),
	OP(MESSAGE_MODIFY, 0x0a22, 68, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Message/Modify"),
	OP(MESSAGE_QUERY, 0x0a31, 45, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Message/Query"),
	OP(MESSAGE_ONE, 0x0a32, 41, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Message/One"),
	OP(MESSAGE_MANY, 0x0a33, 41, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Message/Many"),
	OP(SERVICE_CREATE, 0x0b01, 2, LIMIT_CONTROL_PAYLOAD, NONE, PING, true, "Service/Create"),
	OP(SERVICE_DESTROY, 0x0b02, 1, LIMIT_CONTROL_PAYLOAD, NONE, PING, true, "Service/Destroy"),
	OP(SERVICE_ADD, 0x0b20, 39, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Service/Add"),
	OP(SERVICE_DELETE, 0x0b21, 35, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Service/Delete"),
	OP(SERVICE_LIST, 0x0b30, 34, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Service/List"),
	OP(SERVICE_QUERY, 0x0b31, 35, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "Service/Query"),
	OP(SERVICE_STATUS, 0x0b34, 0, LIMIT_CONTROL_PAYLOAD, NONE, PING, true, "Service/Status"),
	OP(FILE_CREATE, 0x0c01, 42, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "File/Create"),
	OP(FILE_SUB, 0x0c03, 32, 32, ADDRESS, PING, true, "File/Sub"),
	OP(FILE_UP, 0x0c10, 65, 64 + RECIPIENT_LEN, ADDRESS, PING, true, "File/Up"),
	OP(FILE_DOWN, 0x0c11, 65, 64 + RECIPIENT_LEN, ADDRESS, PING, true, "File/Down"),
	OP(FILE_ADD, 0x0c20, 65, 97, ADDRESS, PING, true, "File/Add"),
	OP(FILE_DELETE, 0x0c21, 64, 64, ADDRESS, PING, true, "File/Delete"),
	OP(FILE_MODIFY, 0x0c22, 72, 72, ADDRESS, PING, true, "File/Modify"),
	OP(FILE_LIST, 0x0c30, 34, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "File/List"),
	OP(FILE_QUERY, 0x0c31, 34, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "File/Query"),
	OP(FILE_ONE, 0x0c32, 66, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "File/One"),
	OP(FILE_MANY, 0x0c33, 66, LIMIT_CONTROL_PAYLOAD, ADDRESS, PING, true, "File/Many"),
	OP(FILE_STATUS, 0x0c34, 64, 64, ADDRESS, PING, true, "File/Status"),
	OP(FILE_GET, 0x0c36, 64, 64, ADDRESS, PING, true, "File/Get"),
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
