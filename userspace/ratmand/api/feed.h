/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Feeds: a socket of its own on which a client hears what happens, frame by frame, for as
 * long as he keeps it open and reads. Private to api/.
 */
#ifndef RATMAND_API_FEED_H
#define RATMAND_API_FEED_H

#include "ratmand/api/client.h"

struct feed;

struct feed_source {
	uint16_t mode;		/* of the frames */
	/* Somebody has connected for @address: feed_push() until stop. 0, or an error: he is sent away. */
	int (*start)(struct api_server *s, const struct address *address, struct feed *feed,
		     void **out);
	void (*stop)(struct api_server *s, void *source);
};

/* Answers the request with a subscription id and a socket for one connection. */
void feed_offer(struct client *c, const struct address *address, const struct feed_source *source);

/* Queues a frame (copied), from wherever. Who reads too little is sent away. */
void feed_push(struct feed *feed, const void *payload, size_t len);

#endif
