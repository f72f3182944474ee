// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libratman/incoming.h"

#include <string.h>

/* Reads what the caller left of a stream. */
static int skip(struct ratman *r, uint64_t *left, uint64_t deadline)
{
	uint8_t buf[4096];

	while (*left) {
		size_t want = *left < sizeof(buf) ? (size_t)*left : sizeof(buf);
		ssize_t n = handle_read(r, buf, want, deadline);

		if (n <= 0)
			return n ? (int)n : RATMAN_ECLOSED;
		*left -= (uint64_t)n;
	}
	return 0;
}

static void to_public(const struct letterhead *head, struct ratman_letterhead *out)
{
	memcpy(out->from.b, head->from.b, sizeof(out->from.b));
	memcpy(out->to.id.b, head->to.address.b, sizeof(out->to.id.b));
	out->to.is_namespace = head->to.kind == RECIPIENT_NAMESPACE;
	out->stream_size = head->stream_size;
}

struct recipient incoming_recipient(const struct ratman_recipient *to)
{
	struct recipient out = {
		.kind = to->is_namespace ? RECIPIENT_NAMESPACE : RECIPIENT_ADDRESS,
	};

	memcpy(out.address.b, to->id.b, sizeof(out.address.b));
	return out;
}

/* Decodes the frame before a stream; anything else there is the daemon's excuse. */
static int read_head(struct ratman *r, uint16_t mode, const struct reply *reply,
		     struct letterhead *out)
{
	struct wire_reader rd;
	struct ping ping;
	int err;

	if (reply->header.mode == MODE_REPLY) {
		err = handle_ping(r, reply, PING_OK, &ping);
		return handle_fail(r, err ? err : RATMAN_EPROTOCOL);
	}
	wire_read_init(&rd, reply->payload, reply->header.payload_len);
	letterhead_read(&rd, out);
	if (rd.failed || reply->header.mode != mode)
		return handle_fail(r, RATMAN_EPROTOCOL);
	return 0;
}

int incoming_next(struct ratman *r, uint16_t mode, uint64_t *left, struct ratman_letterhead *head,
		  uint64_t deadline)
{
	struct letterhead raw;
	struct reply reply;
	int err = skip(r, left, deadline);

	if (!err)
		err = handle_reply(r, &reply, deadline);
	if (err)
		return handle_may_resume(err) ? err : handle_fail(r, err);
	handle_rest(r);
	err = read_head(r, mode, &reply, &raw);
	reply_free(&reply);
	if (err)
		return err;
	*left = raw.stream_size;
	to_public(&raw, head);
	return 1;
}

ssize_t incoming_read(struct ratman *r, uint64_t *left, void *buf, size_t size, uint64_t deadline)
{
	ssize_t n;

	if (size > *left)
		size = (size_t)*left;
	if (!size)
		return 0;
	n = handle_read(r, buf, size, deadline);
	if (n <= 0) {
		n = n ? n : RATMAN_ECLOSED;
		return handle_may_resume((int)n) ? n : handle_fail(r, (int)n);
	}
	handle_rest(r);
	*left -= (uint64_t)n;
	return n;
}
