// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/limits.h"

struct registered {
	struct registered *prev, *next;
	char *text;		/* in the same piece of memory */
	char name[];
};

struct registry {
	struct registered *first;	/* in byte order */
	size_t n;
};

struct registry *registry_new(void)
{
	return calloc(1, sizeof(struct registry));
}

void registry_free(struct registry *r)
{
	struct registered *s, *next;

	if (!r)
		return;
	DL_FOREACH_SAFE(r->first, s, next)
		free(s);
	free(r);
}

static int by_name(struct registered *a, struct registered *b)
{
	return strcmp(a->name, b->name);
}

int registry_add(struct registry *r, const char *name, const char *text, struct registered **out)
{
	size_t len = strlen(name) + 1;
	struct registered *s;

	if (registry_has(r, name))
		return -EEXIST;
	if (r->n == LIMIT_SERVICES)
		return -EMFILE;
	text = text ? text : "";
	s = malloc(sizeof(*s) + len + strlen(text) + 1);
	if (!s)
		return -ENOMEM;
	memcpy(s->name, name, len);
	s->text = strcpy(s->name + len, text);
	DL_INSERT_INORDER(r->first, s, by_name);
	r->n++;
	*out = s;
	return 0;
}

void registry_remove(struct registry *r, struct registered *s)
{
	DL_DELETE(r->first, s);
	r->n--;
	free(s);
}

bool registry_has(const struct registry *r, const char *name)
{
	const struct registered *s;

	DL_FOREACH(r->first, s)
		if (!strcmp(s->name, name))
			return true;
	return false;
}

void registry_each(const struct registry *r,
		   void (*cb)(void *ctx, const char *name, const char *text), void *ctx)
{
	const struct registered *s;

	DL_FOREACH(r->first, s)
		cb(ctx, s->name, s->text);
}
