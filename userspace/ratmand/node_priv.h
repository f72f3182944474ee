/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What node.c (life), node_backend.c and node_contact.c (the client protocol's
 * backend) share.
 */
#ifndef RATMAND_NODE_PRIV_H
#define RATMAND_NODE_PRIV_H

#include "ratmand/api/file_backend.h"
#include "ratmand/api/server.h"
#include "ratmand/flow/flow.h"
#include "ratmand/mesh.h"
#include "ratmand/node.h"
#include "ratmand/resume.h"
#include "ratmand/service/messages.h"
#include "ratmand/service/service.h"
#include "ratmand/store/addresses.h"
#include "ratmand/store/contacts.h"
#include "ratmand/store/spaces.h"

struct node {
	uv_loop_t *loop;
	const struct config *config;
	struct store *store;
	struct mesh *mesh;
	struct flow *flow;
	struct service *service;
	struct api_server *server;
	struct resume resume;
	uv_timer_t *farewell;		/* owned; while the stand-in is in the commons, or NULL */
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* What is remembered of a peer; times are 0 when the cache was lost. */
struct node_seen {
	uint64_t sequence;
	int64_t first_ns;
	int64_t last_ns;
};

/* node.c */
bool node_seen_get(struct node *node, const struct address *address, struct node_seen *out);
int node_addr_up(struct node *node, const struct address *address, const struct ident *token);
/*
 * Brings an address, no namespace, up without a line in the resume file: @secret and @key are
 * its own (borrowed). 0 also when it was; on an error it is as it was.
 */
int node_online(struct node *node, const struct address *address, const uint8_t *secret,
		const uint8_t *key);

/* node_space.c */

/* As addr_up and addr_down of the backend, for a namespace that has a token. */
int node_namespace_up(struct node *node, const struct address *space, const uint8_t *secret);
void node_namespace_down(struct node *node, const struct address *space);

/*
 * A user was destroyed and somebody has to pass on that he said good-bye: when no user is
 * online here, an address of this router takes part in the commons for a while.
 */
void node_farewell(struct node *node);
/* At the end: takes it down. */
void node_farewell_end(struct node *node);

/* The secret key of an address, or of a namespace, that is up (borrowed until it goes down), or NULL. */
const uint8_t *node_owner_secret(const struct node *node, const struct address *owner);

/* The namespace of everybody: its key is no client's. */
bool node_is_commons(const struct address *space);

int node_space_up(struct node *node, const struct address *space, const struct address *member);
void node_space_down(struct node *node, const struct address *space, const struct address *member);
/* Ends every membership of @address, and of others in it. */
void node_spaces_leave(struct node *node, const struct address *address);
/* After a restart: what the resume file says. */
void node_spaces_again(struct node *node);

void node_space_create(void *be, const struct address *space, const uint8_t *key,
		       backend_done_cb cb, void *ctx);
void node_space_join(void *be, const struct address *client, const struct address *space,
		     backend_done_cb cb, void *ctx);
void node_space_leave(void *be, const struct address *client, const struct address *space,
		      backend_done_cb cb, void *ctx);
int node_anycast(void *be, const struct address *self, const struct address *space,
		 backend_answer_cb answer, void *ctx, struct backend_anycast **out);
void node_anycast_stop(struct backend_anycast *a);

/* node_backend.c */
extern const struct backend_ops node_backend_ops;
/* Takes an address down, however it came up. */
void node_addr_down(struct node *node, const struct address *address);

/* node_session.c, node_service.c: the Service API's part of the backend. */
extern const struct backend_session_ops node_session_ops;
extern const struct backend_service_ops node_service_ops;

/* node_message.c */
extern const struct backend_message_ops node_message_ops;
/* node_profile.c */
extern const struct backend_profile_ops node_profile_ops;

/* node_file.c */
extern const struct file_backend node_file_backend;

/* node_contact.c: ops of the backend, and what the mesh asks. */
void node_contact_put(void *be, const struct address *owner, const struct contact *contact,
		      backend_done_cb cb, void *ctx);
void node_contact_del(void *be, const struct address *owner, const struct address *contact,
		      backend_done_cb cb, void *ctx);
void node_contact_modify(void *be, const struct address *owner,
			 const struct contact_change *change, backend_touched_cb cb, void *ctx);
int node_contact_list_open(void *be, const struct address *owner,
			   const struct contact_filter *filter, struct backend_contacts **out);
int node_contact_list_step(struct backend_contacts *list, backend_contact_cb cb, void *ctx);
void node_contact_list_close(struct backend_contacts *list);
bool node_is_contact(void *ctx, const struct address *local, const struct address *peer);

#endif
