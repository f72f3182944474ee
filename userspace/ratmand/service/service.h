/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Service API behind the client protocol: users, messages, services and
 * files, between the store and the streams on one side, api/ on the other.
 */
#ifndef RATMAND_SERVICE_SERVICE_H
#define RATMAND_SERVICE_SERVICE_H

#include <uv.h>

#include "ratmand/flow/flow.h"
#include "ratmand/service/announce.h"
#include "ratmand/service/files.h"
#include "ratmand/service/online.h"
#include "ratmand/service/registry.h"
#include "ratmand/service/users.h"
#include "ratmand/service/values.h"

/* For the files of service/ and the node that owns it. */
struct service {
	uv_loop_t *loop;	/* borrowed, as store and flow */
	struct store *store;
	struct flow *flow;
	struct online *online;	/* owned */
	struct messages *messages;	/* owned; messages.h. NULL before messages_new() */
	struct files *files;	/* owned */
	struct users *users;	/* owned */
	struct announce *announce;	/* owned */
	struct registry *registry;	/* owned */
	struct values *values;	/* owned */
	bool (*reachable)(void *ctx, const struct address *peer);	/* NULL: nobody is */
	void *reachable_ctx;
};

/* @store and @flow are borrowed and outlive it. -ENOMEM, storage errors. */
int service_new(struct service **out, uv_loop_t *loop, struct store *store, struct flow *flow);
/* Before the flow ends: nothing goes to it any more. */
void service_stop(struct service *s);
void service_free(struct service *s);

/* Who has a route just now is asked of @reachable. */
void service_set_reachable(struct service *s,
			   bool (*reachable)(void *ctx, const struct address *peer), void *ctx);

/*
 * A local address (no namespace) is online from here on; @key, its own, is copied.
 * 0 also when it was. Errors of online_add().
 */
int service_address_up(struct service *s, const struct address *address,
		       const uint8_t key[static ADDRESS_KEY_LEN]);
void service_address_down(struct service *s, const struct address *address);

/* A handle a user may have, or NULL: 0, -ENAMETOOLONG, -EILSEQ. */
int service_user_check(const char *handle);

/*
 * Queues an empty profile with @handle (or NULL) for a local address, which is a
 * user once the next commit is durable. -EEXIST, storage errors. The other one
 * does nothing for an address that is a user already.
 */
int service_user_create(struct service *s, const struct address *id, const char *handle);
int service_user_make(struct service *s, const struct address *id);

/* Before service_address_forget(): queues that others hear of it. As announce_goodbye(). */
int service_user_goodbye(struct service *s, const struct address *id, const uint8_t *secret);

/*
 * Queues the removal of everything that is kept for @address alone, before its key
 * is destroyed. @key may be NULL when it is online.
 */
int service_address_forget(struct service *s, const struct address *address,
			   const uint8_t *key);

#endif
