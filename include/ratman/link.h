/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Links: interfaces that carry the router's frames. Everybody may look; changes
 * are for the administrator (RATMAN_EAUTH for others) and hold until the daemon
 * is started anew. A Rust daemon knows none of it: RATMAN_ENOTSUPPORTED.
 * Of libratman: see ratman.h.
 */
#ifndef RATMAN_LINK_H
#define RATMAN_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ratman/handle.h>
#include <ratman/id.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ratman_link {
	char driver[16];		/* "eth" */
	char address[256];		/* name of the interface */
	bool has_neighbour;		/* one entry for each; without: for the link alone */
	struct ratman_id neighbour;	/* router address */
	bool up;			/* carries frames; the neighbour is alive */
	uint64_t rx_bytes, tx_bytes;	/* from and to the neighbour, or of the link */
};

/* *@out (owned, ratman_free) holds *@n. */
int ratman_link_list(struct ratman *r, struct ratman_link **out, size_t *n);

/*
 * @line is "driver:address", for example "eth:eth0". create makes an interface a
 * link, destroy an ordinary one again; down stops a link from carrying frames, up
 * lets it go on. All are idempotent. -EINVAL for what is no such line,
 * RATMAN_EINPUT when there is no such interface or link.
 */
int ratman_link_create(struct ratman *r, const char *line);
int ratman_link_destroy(struct ratman *r, const char *line);
int ratman_link_up(struct ratman *r, const char *line);
int ratman_link_down(struct ratman *r, const char *line);

#ifdef __cplusplus
}
#endif

#endif
