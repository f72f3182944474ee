/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The services that are registered (service-api.md R29): names, in memory only.
 */
#ifndef RATMAND_SERVICE_REGISTRY_H
#define RATMAND_SERVICE_REGISTRY_H

#include <stdbool.h>

struct registry;
struct registered;

/* NULL when out of memory. Owned; all in it end with it. */
struct registry *registry_new(void);
void registry_free(struct registry *r);

/*
 * Registers @name with a description @text (both copied; the text may be NULL), until
 * registry_remove(). -EEXIST, -EMFILE (LIMIT_SERVICES), -ENOMEM.
 */
int registry_add(struct registry *r, const char *name, const char *text, struct registered **out);
void registry_remove(struct registry *r, struct registered *service);

bool registry_has(const struct registry *r, const char *name);

/* Every service in byte order of the names; texts are borrowed for the call, and "" for none. */
void registry_each(const struct registry *r,
		   void (*cb)(void *ctx, const char *name, const char *text), void *ctx);

#endif
