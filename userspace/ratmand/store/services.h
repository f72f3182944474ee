/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What services keep for one user (service-api.md R30): values under a namespace and a
 * key, in records of the user. Which there are is known in memory, so that counting,
 * listing and looking in vain need no scan.
 */
#ifndef RATMAND_STORE_SERVICES_H
#define RATMAND_STORE_SERVICES_H

#include "proto/service.h"
#include "ratmand/store/records.h"

struct services;

/*
 * Reads which there are, at most LIMIT_SERVICES_KEYS. @records is borrowed and outlives
 * it. -ENOMEM, storage errors. Of no use any more when a commit failed since
 * (store_failures()).
 */
int services_open(struct services **out, const struct records *records);
void services_close(struct services *s);

/*
 * Queues @value (copied) under @key, in place of what was there. -E2BIG: the service has
 * LIMIT_SERVICE_KEYS, -EFBIG: LIMIT_SERVICE_BYTES, -EUSERS: all services together have
 * LIMIT_SERVICES_KEYS or _BYTES; -ENOMEM, storage errors.
 */
int services_put(struct services *s, const struct service_key *key, const void *value, size_t len);

/* Queues the removal; 0 also when there is none. */
int services_del(struct services *s, const struct service_key *key);

/* Copies the value: its length, -ENODATA, -EMSGSIZE, -EBADMSG, storage errors. */
ssize_t services_get(struct services *s, const struct service_key *key, void *value, size_t size);

/* Every key of @service, of @ns only unless it is NULL, in byte order of namespace and key. */
void services_each(const struct services *s, const char *service, const char *ns,
		   void (*cb)(void *ctx, const char *ns, const char *key), void *ctx);

#endif
