/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the daemon is doing. Of libratman: see ratman.h. */
#ifndef RATMAN_DAEMON_H
#define RATMAN_DAEMON_H

#include <stddef.h>
#include <stdint.h>

#include <ratman/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ratman_status {
	uint64_t peers;		/* remote addresses known */
	uint64_t locals;	/* local addresses, namespaces included */
	uint64_t tokens;	/* addresses up */
	uint64_t workers;	/* transfers under way */
};

/* One limit of the daemon; the names are the keys of ratmand.conf(5). */
struct ratman_limit {
	char name[32];
	char unit[16];		/* of limit: "bytes", "seconds", … */
	uint64_t limit;
	uint64_t used;		/* now; of a time: how many clients or sockets it runs for */
	uint64_t hits;		/* how often it was met since the daemon started */
};

/* What the daemon counts now. 0, or an error as of any exchange (error.h). */
int ratman_status(struct ratman *r, struct ratman_status *out);

/*
 * The limits of the client protocol. *@out (owned, ratman_free) holds *@n.
 * RATMAN_ENOTSUPPORTED from a daemon without our extensions.
 */
int ratman_limits(struct ratman *r, struct ratman_limit **out, size_t *n);

#ifdef __cplusplus
}
#endif

#endif
