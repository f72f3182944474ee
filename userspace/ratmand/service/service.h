/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Service API behind the client protocol: users, messages, services and
 * files, between the store and the streams on one side, api/ on the other.
 */
#ifndef RATMAND_SERVICE_SERVICE_H
#define RATMAND_SERVICE_SERVICE_H

#include <uv.h>

#include "ratmand/flow/flow.h"
#include "ratmand/service/files.h"
#include "ratmand/service/online.h"

/* For the files of service/ and the node that owns it. */
struct service {
	uv_loop_t *loop;	/* borrowed, as store and flow */
	struct store *store;
	struct flow *flow;
	struct online *online;	/* owned */
	struct files *files;	/* owned */
};

struct service_options {
	uint64_t file_accept;	/* bytes: files that are sent unasked, taken up to */
};

/* @store and @flow are borrowed and outlive it. -ENOMEM, storage errors. */
int service_new(struct service **out, uv_loop_t *loop, struct store *store, struct flow *flow,
		const struct service_options *options);
/* Lets go of the flow: before flow_free(). Nothing may be asked of it any more. */
void service_stop(struct service *s);
void service_free(struct service *s);

/*
 * A local address (no namespace) is online from here on; @key, its own, is copied.
 * 0 also when it was. Errors of online_add().
 */
int service_address_up(struct service *s, const struct address *address,
		       const uint8_t key[static ADDRESS_KEY_LEN]);
void service_address_down(struct service *s, const struct address *address);

/*
 * Queues the removal of everything that is kept for @address alone, before its key
 * is destroyed. @key may be NULL when it is online.
 */
int service_address_forget(struct service *s, const struct address *address,
			   const uint8_t *key);

#endif
