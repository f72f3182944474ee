// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * peers: the addresses of this router, and those it has heard of.
 */
#include <inttypes.h>
#include <ratman/ratman.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(void)
{
	struct ratman_peer *peers = NULL;
	struct ratman_id *ids = NULL;
	size_t n_ids = 0, n_peers = 0;
	struct ratman *r;
	char text[80], when[32];
	int err;

	err = ratman_open(&r, getenv("RATMAN_BIND"), 10000);
	if (!err) {
		err = ratman_addr_list(r, &ids, &n_ids);
		if (!err)
			err = ratman_peer_list(r, &peers, &n_peers);
		ratman_close(r);
	}
	if (err) {
		fprintf(stderr, "peers: %s\n", ratman_strerror(err));
		return 1;
	}
	for (size_t i = 0; i < n_ids; i++) {
		ratman_id_format(&ids[i], text);
		printf("here   %s\n", text);
	}
	for (size_t i = 0; i < n_peers; i++) {
		time_t seen = (time_t)(peers[i].last_seen_ns / 1000000000);

		ratman_id_format(&peers[i].address, text);
		strftime(when, sizeof(when), "%F %T", gmtime(&seen));
		printf("%s %s  last seen %s UTC\n", peers[i].active ? "active" : "silent", text, when);
	}
	ratman_free(ids);
	ratman_free(peers);
	return 0;
}
