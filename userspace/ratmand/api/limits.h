/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the client protocol server allows, and how often each limit was met.
 * Every limit is a configuration key of the same name (limits.c, config.c).
 */
#ifndef RATMAND_API_LIMITS_H
#define RATMAND_API_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Defaults in base/limits.h, meanings in ratmand.conf(5). */
struct api_limits {
	uint32_t clients;
	uint32_t clients_per_uid;	/* Unix socket; neither root nor our own user */
	uint32_t header;		/* bytes */
	uint32_t payload;		/* bytes */
	uint32_t first_frame_ms;
	uint32_t frame_ms;
	uint32_t idle_ms;
	uint32_t auth_failures;		/* per minute and connection */
	uint32_t helpers;		/* of one client, that nobody has come to yet */
	uint32_t helper_accept_ms;
	uint32_t write_stall_ms;
	uint32_t write_queue;		/* bytes */
	uint32_t write_queue_total;	/* bytes, of all clients together */
	uint32_t recipients;
	uint32_t turn_requests;		/* of one client in one turn of the loop */
	uint32_t turn_bytes;		/* of one stream in one turn of the loop */
	uint32_t send_grace_ms;		/* Send/One: wait for inline bytes */
	uint32_t send_empty_ms;		/* Send/One of size 0: wait for another request */
	uint32_t session_ms;		/* without a request, then a client session ends */
	uint32_t sessions;		/* of all users */
	uint32_t sessions_per_user;
	uint32_t creations;		/* of one Unix user or host, per minute */
	uint32_t linger_ms;		/* after our last word: wait for the client to close */
};

struct api_counters {
	uint64_t accepted;
	uint64_t refused_full;		/* over limits.clients, closed at once */
	uint64_t refused_uid;		/* over limits.clients_per_uid, closed at once */
	uint64_t paused_fds;		/* accepting paused: file descriptors ran low */
	uint64_t refused_web;		/* began like HTTP or TLS: a browser, closed without a word */
	uint64_t refused_garbage;	/* framing no rule accepts */
	uint64_t refused_header;	/* header over the limit */
	uint64_t refused_payload;	/* payload over the limit */
	uint64_t refused_version;
	uint64_t refused_helpers;	/* one more than limits.helpers at once */
	uint64_t refused_recipients;	/* more than limits.recipients in one Send/Many */
	uint64_t timeout_first;		/* no whole handshake in time */
	uint64_t timeout_frame;		/* frame not completed in time */
	uint64_t timeout_idle;
	uint64_t timeout_write;		/* client took nothing off its socket */
	uint64_t timeout_helper;	/* nobody came to a data socket */
	uint64_t timeout_grace;		/* Send/One that got no inline bytes */
	uint64_t helper_strangers;	/* data connections from another host */
	uint64_t auth_failures;
	uint64_t auth_closed;		/* connections closed for too many of them */
	uint64_t held_queue;		/* not read from: its own queue of replies was too long */
	uint64_t held_total;		/* not read from: the queues of all were too long */
	uint64_t yielded_requests;	/* had more requests than one turn of the loop allows */
	uint64_t yielded_bytes;		/* had more bytes of a stream */
	uint64_t expired_sessions;
	uint64_t refused_sessions;	/* more than limits.sessions */
	uint64_t refused_user_sessions;	/* more than limits.sessions_per_user */
	uint64_t refused_creations;	/* addresses and users, beyond limits.creations */
	uint64_t requests;
	uint64_t unsupported;
	uint64_t streams_in;		/* taken from clients */
	uint64_t streams_out;		/* delivered to clients */
	uint64_t clients;		/* now */
	uint64_t queued;		/* bytes the kernel has not taken yet, now */
	uint64_t helpers;		/* data sockets nobody has come to yet, now */
};

/* One limit: its configuration key, and where its value and its counter are. */
struct api_limit_key {
	const char *name;
	const char *unit;
	uint32_t min, max, fallback;	/* in that unit; max below 2^31 */
	uint32_t scale;			/* of the value in struct api_limits: 1000 for seconds */
	size_t at;			/* uint32_t in struct api_limits */
	size_t hits;			/* uint64_t in struct api_counters */
};

#define API_LIMIT_KEYS 21

/* All of them, in the order people read them. Static. */
extern const struct api_limit_key api_limit_keys[API_LIMIT_KEYS];

/* Where @limits holds the value of @key (borrowed). */
uint32_t *api_limit_value(struct api_limits *limits, const struct api_limit_key *key);

/* Sets @limits to the values of base/limits.h. */
void api_limits_defaults(struct api_limits *limits);

#endif
