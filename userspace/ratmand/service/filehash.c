// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/filehash.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct filehash {
	uv_work_t work;
	uv_loop_t *loop;
	crypto_generichash_state state;
	void (*ready)(void *ctx);
	void *ctx;
	bool busy;
	bool given_up;		/* to be freed when the pool lets go of it */
	size_t len;
	uint8_t chunk[FILEHASH_CHUNK];
};

static void wipe(struct filehash *h)
{
	sodium_memzero(h, sizeof(*h));
	free(h);
}

struct filehash *filehash_new(uv_loop_t *loop, void (*ready)(void *ctx), void *ctx)
{
	struct filehash *h = malloc(sizeof(*h));

	if (!h)
		return NULL;
	h->loop = loop;
	h->ready = ready;
	h->ctx = ctx;
	h->busy = h->given_up = false;
	h->work.data = h;
	crypto_generichash_init(&h->state, NULL, 0, sizeof(struct ident));
	return h;
}

bool filehash_busy(const struct filehash *h)
{
	return h->busy;
}

static void work(uv_work_t *req)
{
	struct filehash *h = req->data;

	crypto_generichash_update(&h->state, h->chunk, h->len);
}

static void worked(uv_work_t *req, int status)
{
	struct filehash *h = req->data;

	(void)status;	/* never cancelled */
	h->busy = false;
	if (h->given_up)
		wipe(h);
	else
		h->ready(h->ctx);
}

int filehash_push(struct filehash *h, const void *data, size_t len)
{
	int err;

	memcpy(h->chunk, data, len);
	h->len = len;
	err = uv_queue_work(h->loop, &h->work, work, worked);
	h->busy = !err;
	return err;
}

void filehash_finish(struct filehash *h, struct ident *out)
{
	crypto_generichash_final(&h->state, out->b, sizeof(out->b));
}

void filehash_free(struct filehash *h)
{
	if (!h)
		return;
	if (h->busy)
		h->given_up = true;
	else
		wipe(h);
}
