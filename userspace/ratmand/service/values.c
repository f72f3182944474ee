// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/values.h"

#include <errno.h>
#include <stdlib.h>

#define OPEN_MAX_USERS 16

struct catalogue {
	struct address user;
	struct services *services;	/* owned; NULL: free */
	uint64_t failures;		/* of the store, when it was read */
	uint64_t used;
};

struct values {
	struct store *store;
	const struct online *online;
	struct catalogue all[OPEN_MAX_USERS];
	uint64_t uses;
};

struct values *values_new(struct store *store, const struct online *online)
{
	struct values *v = calloc(1, sizeof(*v));

	if (v) {
		v->store = store;
		v->online = online;
	}
	return v;
}

static void catalogue_close(struct catalogue *c)
{
	services_close(c->services);
	c->services = NULL;
	c->used = 0;
}

void values_free(struct values *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < OPEN_MAX_USERS; i++)
		catalogue_close(&v->all[i]);
	free(v);
}

/* That of @user, or the one to be read in its place. */
static struct catalogue *pick(struct values *v, const struct address *user)
{
	struct catalogue *oldest = &v->all[0];

	for (size_t i = 0; i < OPEN_MAX_USERS; i++) {
		struct catalogue *c = &v->all[i];

		if (c->services && address_equal(&c->user, user))
			return c;
		if (c->used < oldest->used)
			oldest = c;
	}
	catalogue_close(oldest);
	oldest->user = *user;
	return oldest;
}

int values_of(struct values *v, const struct address *user, struct services **out)
{
	const struct records *records = online_records(v->online, user);
	uint64_t failures = store_failures(v->store);
	struct catalogue *c;
	int err;

	if (!records)
		return -EACCES;
	c = pick(v, user);
	/* What a failed commit took with it may stand there, or be missing. */
	if (c->services && c->failures != failures)
		catalogue_close(c);
	if (!c->services) {
		err = services_open(&c->services, records);
		if (err)
			return err;
		c->failures = failures;
	}
	c->used = ++v->uses;
	*out = c->services;
	return 0;
}

void values_close(struct values *v, const struct address *user)
{
	for (size_t i = 0; i < OPEN_MAX_USERS; i++)
		if (v->all[i].services && address_equal(&v->all[i].user, user))
			catalogue_close(&v->all[i]);
}
