// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/password.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define OPS_DEFAULT 3
#define OPS_MAX 64
#define MEM_MIN_KIB 8
#define MEM_LOW_KIB (8u << 10)
#define MEM_HIGH_KIB (64u << 10)
#define MEM_MAX_KIB (1u << 20)

static struct password_cost fake;
static bool faked;

void password_cost_fake(const struct password_cost *cost)
{
	faked = cost;
	if (cost)
		fake = *cost;
}

void password_cost_default(struct password_cost *out)
{
	uint64_t kib = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;

	if (faked) {
		*out = fake;
		return;
	}
	kib /= 8;
	out->ops = OPS_DEFAULT;
	out->mem_kib = kib > MEM_HIGH_KIB ? MEM_HIGH_KIB : kib < MEM_LOW_KIB ? MEM_LOW_KIB :
								       (uint32_t)kib;
}

int password_derive(const struct password_cost *cost, const uint8_t salt[static PASSWORD_SALT_LEN],
		    const char *password, uint8_t key[static PASSWORD_KEY_LEN])
{
	if (!cost->ops || cost->ops > OPS_MAX || cost->mem_kib < MEM_MIN_KIB ||
	    cost->mem_kib > MEM_MAX_KIB)
		return -EBADMSG;
	if (crypto_pwhash(key, PASSWORD_KEY_LEN, password, strlen(password), salt, cost->ops,
			  (size_t)cost->mem_kib * 1024, crypto_pwhash_ALG_ARGON2ID13))
		return -ENOMEM;
	return 0;
}

/* In guarded memory. */
struct job {
	uv_work_t work;
	struct password_cost cost;
	uint8_t salt[PASSWORD_SALT_LEN];
	char password[PASSWORD_MAX + 1];
	uint8_t key[PASSWORD_KEY_LEN];
	password_cb cb;
	void *ctx;
	uv_loop_t *loop;
	struct job *next;
	int err;
};

/*
 * One at a time, so that a flood of logins leaves a thread of the pool to the
 * commits; those that wait stand here, the running one in front. Loop thread only.
 */
static struct job *first, **end = &first;

static void in_pool(uv_work_t *work)
{
	struct job *j = work->data;

	j->err = password_derive(&j->cost, j->salt, j->password, j->key);
	sodium_memzero(j->password, sizeof(j->password));
}

static void on_derived(uv_work_t *work, int status);

/* Starts the job in front; those that cannot be started fail. */
static void start(void)
{
	while (first && uv_queue_work(first->loop, &first->work, in_pool, on_derived)) {
		struct job *j = first;

		first = j->next;
		if (!first)
			end = &first;
		j->cb(j->ctx, -ENOMEM, NULL);
		sodium_free(j);
	}
}

static void on_derived(uv_work_t *work, int status)
{
	struct job *j = work->data;
	int err = status ? -ECANCELED : j->err;

	first = j->next;
	if (!first)
		end = &first;
	start();
	j->cb(j->ctx, err, err ? NULL : j->key);
	sodium_free(j);
}

int password_derive_async(uv_loop_t *loop, const struct password_cost *cost,
			  const uint8_t salt[static PASSWORD_SALT_LEN], const char *password,
			  password_cb cb, void *ctx)
{
	size_t len = strlen(password);
	struct job *j;

	if (len > PASSWORD_MAX)
		return -EINVAL;
	/* Guarded memory ends at a page's end: a multiple of 16 keeps the members aligned. */
	j = sodium_malloc((sizeof(*j) + 15) & ~(size_t)15);
	if (!j)
		return -ENOMEM;
	memset(j, 0, sizeof(*j));
	j->work.data = j;
	j->cost = *cost;
	memcpy(j->salt, salt, sizeof(j->salt));
	memcpy(j->password, password, len);
	j->cb = cb;
	j->ctx = ctx;
	j->loop = loop;
	*end = j;
	end = &j->next;
	if (first == j)
		start();
	return 0;
}
