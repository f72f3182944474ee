// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Namespaces (microframe.md section 3.5).
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "libratman/handle.h"

static struct address to_address(const struct ratman_id *id)
{
	struct address a;

	memcpy(a.b, id->b, sizeof(a.b));
	return a;
}

PUBLIC int ratman_space_generate(struct ratman_id *space, uint8_t *key)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	if (sodium_init() < 0)
		return -ENOSYS;
	/* Without a zero byte, as Rust clients want addresses (microframe.md section 2). */
	do {
		randombytes_buf(key, crypto_sign_SEEDBYTES);
		crypto_sign_seed_keypair(space->b, secret, key);
	} while (memchr(space->b, 0, sizeof(space->b)) || memchr(key, 0, crypto_sign_SEEDBYTES));
	explicit_bzero(secret, sizeof(secret));
	return 0;
}

PUBLIC int ratman_space_create(struct ratman *r, const struct ratman_id *space,
			       const uint8_t *key)
{
	struct payload_space_create p = { .space = to_address(space) };
	uint8_t payload[sizeof(p)];
	struct wire_writer w;
	int err;

	memcpy(p.key, key, sizeof(p.key));
	wire_write_init(&w, payload, sizeof(payload));
	payload_write_space_create(&w, &p);
	err = handle_command(r, OP_SPACE_CREATE, NULL, payload, wire_len(&w));
	explicit_bzero(&p, sizeof(p));
	explicit_bzero(payload, sizeof(payload));
	return err;
}

static int up_or_down(struct ratman *r, enum op_id op, const struct ratman_id *address,
		      const struct ratman_id *token, const struct ratman_id *space)
{
	struct address client = to_address(address), ns = to_address(space);
	uint8_t payload[2 * RATMAN_ID_LEN];
	struct wire_writer w;

	wire_write_init(&w, payload, sizeof(payload));
	payload_write_space(&w, &client, &ns);
	return handle_command(r, op, token, payload, wire_len(&w));
}

PUBLIC int ratman_space_up(struct ratman *r, const struct ratman_id *address,
			   const struct ratman_id *token, const struct ratman_id *space)
{
	return up_or_down(r, OP_SPACE_UP, address, token, space);
}

PUBLIC int ratman_space_down(struct ratman *r, const struct ratman_id *address,
			     const struct ratman_id *token, const struct ratman_id *space)
{
	return up_or_down(r, OP_SPACE_DOWN, address, token, space);
}

/* An upstream daemon may sort otherwise, or not at all. */
static int by_time(const void *a, const void *b)
{
	const struct ratman_answer *x = a, *y = b;

	if (x->ms != y->ms)
		return x->ms < y->ms ? -1 : 1;
	return memcmp(x->member.b, y->member.b, sizeof(x->member.b));
}

static int copy_answers(struct ping *ping, struct ratman_answer *list)
{
	for (size_t i = 0; i < ping->anycast.n; i++) {
		struct address member;

		if (ping_next_anycast(ping, &member, &list[i].ms))
			return RATMAN_EPROTOCOL;
		memcpy(list[i].member.b, member.b, sizeof(list[i].member.b));
	}
	qsort(list, ping->anycast.n, sizeof(*list), by_time);
	return 0;
}

PUBLIC int ratman_space_anycast(struct ratman *r, const struct ratman_id *address,
				const struct ratman_id *token, const struct ratman_id *space,
				uint32_t ask_ms, struct ratman_answer **out, size_t *n)
{
	struct payload_anycast p = {
		.self = to_address(address), .space = to_address(space), .timeout_ms = ask_ms,
	};
	struct ratman_answer *list = NULL;
	uint8_t payload[2 * RATMAN_ID_LEN + 16];
	int err, timeout_ms = r->timeout_ms;
	struct wire_writer w;
	struct reply reply;
	struct ping ping;

	wire_write_init(&w, payload, sizeof(payload));
	payload_write_anycast(&w, &p);
	/* The daemon answers when the time it was given is over. */
	if (timeout_ms >= 0)
		r->timeout_ms = (int64_t)timeout_ms + ask_ms > INT32_MAX ? -1 :
				timeout_ms + (int)ask_ms;
	err = handle_exchange(r, OP_SPACE_ANYCAST, token, payload, wire_len(&w), PING_ANYCAST,
			      &reply, &ping);
	r->timeout_ms = timeout_ms;
	if (!err) {
		list = calloc(ping.anycast.n + 1, sizeof(*list));
		err = list ? copy_answers(&ping, list) : -ENOMEM;
	}
	if (!err) {
		*out = list;
		*n = ping.anycast.n;
	} else {
		free(list);
	}
	reply_free(&reply);
	return err;
}
