/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys from passwords: Argon2id, slow on purpose.
 */
#ifndef RATMAND_STORE_PASSWORD_H
#define RATMAND_STORE_PASSWORD_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define PASSWORD_SALT_LEN 16
#define PASSWORD_KEY_LEN 32
#define PASSWORD_MAX 1024	/* bytes, without the zero byte */

/* What a derivation takes; stored beside what it protects. */
struct password_cost {
	uint32_t ops;		/* passes over the memory, 1 to 64 */
	uint32_t mem_kib;	/* 8 to 1 GiB */
};

/* What this machine can afford: 64 MiB or an eighth of its memory, at least 8 MiB. */
void password_cost_default(struct password_cost *out);

/* Tests only: what password_cost_default() says from now on; NULL: the machine's again. */
void password_cost_fake(const struct password_cost *cost);

/* Derives here, which blocks. -ENOMEM; -EBADMSG for a cost out of range. */
int password_derive(const struct password_cost *cost, const uint8_t salt[static PASSWORD_SALT_LEN],
		    const char *password, uint8_t key[static PASSWORD_KEY_LEN]);

/*
 * Derives in the thread pool, one at a time, and calls @cb: 0 and the key
 * (borrowed for the call, wiped after it) or an error. Copies its arguments.
 * Returns -ENOMEM or -EINVAL (password longer than PASSWORD_MAX), and then
 * never calls back. Cannot be cancelled: @ctx outlives it. All calls of a
 * process come from one loop's thread.
 */
typedef void (*password_cb)(void *ctx, int err, const uint8_t *key);
int password_derive_async(uv_loop_t *loop, const struct password_cost *cost,
			  const uint8_t salt[static PASSWORD_SALT_LEN], const char *password,
			  password_cb cb, void *ctx);

#endif
