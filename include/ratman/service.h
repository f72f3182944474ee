/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Services: programs that register under a name like net.example.chat (at most 128
 * bytes), are told who logs in and out, and keep small values for users. A daemon without the
 * Service API: RATMAN_ENOTSUPPORTED.
 * Of libratman: see ratman.h.
 */
#ifndef RATMAN_SERVICE_H
#define RATMAN_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include <ratman/handle.h>
#include <ratman/id.h>
#include <ratman/subscription.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Registers @name with a description @text (at most 256 bytes, or NULL): fills @out for
 * ratman_sub_open() and ratman_sub_service(), soon and before @r is closed. It lasts
 * as long as that socket. RATMAN_ESERVICEEXISTS; RATMAN_EPAYLOAD: no name;
 * RATMAN_ENOTAUTHORISED: reserved, or too many.
 */
int ratman_service_register(struct ratman *r, const char *name, const char *text,
			    struct ratman_subscription *out);

/* Ends it. RATMAN_ENOSERVICE; RATMAN_ENOTAUTHORISED: another Unix user's program has registered it. */
int ratman_service_unregister(struct ratman *r, const char *name);

struct ratman_service_event {
	bool open;			/* a session of @user: opened, or ended */
	struct ratman_id user;
	bool has_token;			/* only for the Unix user who logged in, and the superuser */
	struct ratman_id token;		/* the session's; secret: wipe it */
};

/* Waits for the next. Returns 1, or as ratman_sub_next(). */
int ratman_sub_service(struct ratman_sub *s, struct ratman_service_event *out, int timeout_ms);

/*
 * Names of those that are registered, in byte order; @god_mode says whether messages
 * of all services may be asked for at once. *@out is one piece of memory (owned, ratman_free).
 */
int ratman_service_list(struct ratman *r, bool *god_mode, const char ***out, size_t *n);

/* Where a value is; shown as ns#key. */
struct ratman_service_key {
	const char *service;
	const char *ns;			/* at most 128 bytes, no '#'; NULL and "" are the same */
	const char *key;		/* 1 to 256 bytes, no '#' */
};

/*
 * What the service of @key, which is registered (else RATMAN_ENOSERVICE), keeps for
 * @id, who is online: nobody else sees it, and on the disk only his key opens it.
 * put replaces what was there; del: also 0 when nothing was. Both are on the disk
 * when they return. RATMAN_EPAYLOAD: too much, or no key; -E2BIG: no request holds it.
 * get: RATMAN_ENODATA; *@value (owned, ratman_free) has @len bytes.
 */
int ratman_service_put(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		       const struct ratman_service_key *key, const void *value, size_t len);
int ratman_service_del(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		       const struct ratman_service_key *key);
int ratman_service_get(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		       const struct ratman_service_key *key, void **value, size_t *len);

/*
 * The keys of @service, of @ns only unless it is NULL, in byte order of ns and key; their
 * .service is NULL. *@out is one piece of memory (owned, ratman_free).
 */
int ratman_service_keys(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
			const char *service, const char *ns, struct ratman_service_key **out,
			size_t *n);

#ifdef __cplusplus
}
#endif

#endif
