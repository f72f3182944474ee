/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the client protocol needs for services: which are registered, and what they
 * keep for users. As api/backend.h.
 */
#ifndef RATMAND_API_SERVICE_BACKEND_H
#define RATMAND_API_SERVICE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"
#include "proto/service.h"

/* A registration; ended by unregister. */
struct backend_service;

struct backend_service_ops {
	/* Registers @name (borrowed, as @text, which may be NULL). -EEXIST, -EMFILE, -ENOMEM. */
	int (*add)(void *be, const char *name, const char *text, struct backend_service **out);
	void (*remove)(void *be, struct backend_service *service);
	bool (*has)(void *be, const char *name);
	/* Every name (borrowed) in byte order. */
	void (*each)(void *be, void (*cb)(void *ctx, const char *name), void *ctx);
	/* True when all services may be asked for at once. */
	bool (*god_mode)(void *be);

	/*
	 * What the service of @key keeps for @user, who is online (else -EACCES); @key and
	 * values are borrowed. put replaces what was there, del: 0 also when nothing
	 * was; both answer when that is on disk. -E2BIG: more than the keys, -EFBIG: more than the
	 * bytes a service may keep; -EUSERS: more than all of them together. get copies
	 * into @value: its length, -ENODATA, -EMSGSIZE. each goes in the order of
	 * namespace and key, those of @ns only unless it is NULL.
	 */
	void (*put)(void *be, const struct address *user, const struct service_key *key,
		    const void *value, size_t len, void (*done)(void *ctx, int err), void *ctx);
	void (*del)(void *be, const struct address *user, const struct service_key *key,
		    void (*done)(void *ctx, int err), void *ctx);
	ssize_t (*get)(void *be, const struct address *user, const struct service_key *key,
		       void *value, size_t size);
	int (*keys)(void *be, const struct address *user, const char *service, const char *ns,
		    void (*cb)(void *ctx, const char *ns, const char *key), void *ctx);
};

#endif
