// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of limits: what configuration and "ratctl status --limits" know of
 * them, and the exchange Intrinsic/Limits (Documentation/protocol-extensions.md).
 */
#include "ratmand/api/limits.h"

#include <stdio.h>

#include "base/limits.h"
#include "ratmand/api/client.h"

enum limit_id {
	L_CLIENTS,
	L_CLIENTS_PER_UID,
	L_HEADER,
	L_PAYLOAD,
	L_RECIPIENTS,
	L_FIRST_FRAME,
	L_FRAME,
	L_IDLE,
	L_SEND_GRACE,
	L_HELPERS,
	L_HELPER,
	L_WRITE_STALL,
	L_WRITE_QUEUE,
	L_WRITE_QUEUE_TOTAL,
	L_TURN_REQUESTS,
	L_TURN_BYTES,
	L_AUTH_FAILURES,
	L_SESSION,
	L_SESSIONS,
	L_SESSIONS_PER_USER,
	L_CREATIONS,
	L_COUNT,
};

_Static_assert(L_COUNT == API_LIMIT_KEYS, "API_LIMIT_KEYS");

#define KEY(name_, unit_, min_, max_, fallback_, scale_, member, counter)           \
	{                                                                          \
		.name = (name_), .unit = (unit_), .min = (min_), .max = (max_),    \
		.fallback = (fallback_), .scale = (scale_),                        \
		.at = offsetof(struct api_limits, member),                         \
		.hits = offsetof(struct api_counters, counter),                    \
	}
#define PLAIN(name, unit, min, max, fallback, member, counter) \
	KEY(name, unit, min, max, fallback, 1, member, counter)
#define TIME(name, min, max, fallback_ms, member, counter) \
	KEY(name, "seconds", min, max, (fallback_ms) / 1000, 1000, member, counter)

const struct api_limit_key api_limit_keys[API_LIMIT_KEYS] = {
	[L_CLIENTS] = PLAIN("max_clients", "clients", 1, 65536, LIMIT_CLIENTS, clients,
			    refused_full),
	[L_CLIENTS_PER_UID] = PLAIN("max_clients_per_uid", "clients", 1, 65536,
				    LIMIT_CLIENTS_PER_UID, clients_per_uid, refused_uid),
	[L_HEADER] = PLAIN("max_header", "bytes", 39, LIMIT_HEADER, LIMIT_HEADER, header,
			   refused_header),
	[L_PAYLOAD] = PLAIN("max_payload", "bytes", 512, LIMIT_CONTROL_PAYLOAD,
			    LIMIT_CONTROL_PAYLOAD, payload, refused_payload),
	[L_RECIPIENTS] = PLAIN("max_recipients", "recipients", 1, LIMIT_RECIPIENTS,
			       LIMIT_RECIPIENTS, recipients, refused_recipients),
	[L_FIRST_FRAME] = TIME("first_frame_timeout", 1, 3600, LIMIT_FIRST_FRAME_MS,
			       first_frame_ms, timeout_first),
	[L_FRAME] = TIME("frame_timeout", 1, 3600, LIMIT_FRAME_MS, frame_ms, timeout_frame),
	[L_IDLE] = TIME("idle_timeout", 1, 86400, LIMIT_IDLE_MS, idle_ms, timeout_idle),
	[L_SEND_GRACE] = TIME("send_grace", 0, 60, LIMIT_SEND_GRACE_MS, send_grace_ms,
			      timeout_grace),
	[L_HELPERS] = PLAIN("max_helpers", "sockets", 1, 1024, LIMIT_HELPERS, helpers,
			    refused_helpers),
	[L_HELPER] = TIME("helper_timeout", 1, 3600, LIMIT_HELPER_ACCEPT_MS, helper_accept_ms,
			  timeout_helper),
	[L_WRITE_STALL] = TIME("write_timeout", 1, 3600, LIMIT_WRITE_STALL_MS, write_stall_ms,
			       timeout_write),
	[L_WRITE_QUEUE] = PLAIN("max_write_queue", "bytes", 4096, 1u << 30, LIMIT_WRITE_QUEUE,
				write_queue, held_queue),
	[L_WRITE_QUEUE_TOTAL] = PLAIN("max_write_queue_total", "bytes", 65536, INT32_MAX,
				      LIMIT_WRITE_QUEUE_TOTAL, write_queue_total, held_total),
	[L_TURN_REQUESTS] = PLAIN("turn_requests", "requests", 1, 1000000, LIMIT_TURN_REQUESTS,
				  turn_requests, yielded_requests),
	[L_TURN_BYTES] = PLAIN("turn_bytes", "bytes", 32768, 1u << 30, LIMIT_TURN_BYTES,
			       turn_bytes, yielded_bytes),
	[L_AUTH_FAILURES] = PLAIN("max_auth_failures", "per minute", 1, 1000000,
				  LIMIT_AUTH_FAILURES, auth_failures, auth_closed),
	[L_SESSION] = TIME("session_timeout", 1, 604800, LIMIT_SESSION_MS, session_ms,
			   expired_sessions),
	[L_SESSIONS] = PLAIN("max_sessions", "sessions", 1, 65536, LIMIT_SESSIONS, sessions,
			     refused_sessions),
	[L_SESSIONS_PER_USER] = PLAIN("max_sessions_per_user", "sessions", 1, 65536,
				      LIMIT_SESSIONS_PER_USER, sessions_per_user,
				      refused_user_sessions),
	[L_CREATIONS] = PLAIN("max_creations", "per minute", 1, 1000000, LIMIT_CREATIONS, creations,
			      refused_creations),
};

uint32_t *api_limit_value(struct api_limits *limits, const struct api_limit_key *key)
{
	return (uint32_t *)((char *)limits + key->at);
}

void api_limits_defaults(struct api_limits *limits)
{
	/* The last two are no keys: nobody meets them but by an accident of timing. */
	*limits = (struct api_limits){ .send_empty_ms = 50, .linger_ms = 1000 };
	for (size_t i = 0; i < API_LIMIT_KEYS; i++)
		*api_limit_value(limits, &api_limit_keys[i]) =
			api_limit_keys[i].fallback * api_limit_keys[i].scale;
}

static void at_least(uint64_t *most, uint64_t value)
{
	if (value > *most)
		*most = value;
}

/* What one client uses: sums, or the most of any. */
static void count_client(const struct client *c, const struct client *asker,
			 uint64_t used[static L_COUNT])
{
	bool between = client_between_frames(c);

	used[L_CLIENTS_PER_UID] += c->local && asker->local && c->uid == asker->uid;
	used[L_FIRST_FRAME] += c->phase == CLIENT_HELLO;
	used[L_FRAME] += c->phase == CLIENT_READY && !between && c != asker;
	used[L_IDLE] += c->phase == CLIENT_READY && between && !c->job && !c->calls;
	used[L_WRITE_STALL] += uv_stream_get_write_queue_size(&c->stream) > 0;
	at_least(&used[L_HELPERS], c->helpers);
	at_least(&used[L_HEADER], c->parser.have);
	at_least(&used[L_PAYLOAD], c->in_payload ? c->payload_have : 0);
	at_least(&used[L_WRITE_QUEUE], client_queued(c));
	if (client_now(c) - c->auth_window < 60000)
		at_least(&used[L_AUTH_FAILURES], c->auth_failures);
}

static void count_use(const struct client *asker, uint64_t used[static L_COUNT])
{
	const struct api_server *s = asker->server;

	used[L_CLIENTS] = s->counters.clients;
	used[L_HELPER] = s->counters.helpers;
	used[L_WRITE_QUEUE_TOTAL] = s->counters.queued;
	used[L_TURN_REQUESTS] = s->n_turns;
	used[L_SESSION] = used[L_SESSIONS] = token_table_sessions(s->tokens);
	used[L_SESSIONS_PER_USER] = token_table_most(s->tokens);
	used[L_CREATIONS] = quota_used(s, client_now(asker));
	for (const struct client *c = s->clients; c; c = c->next)
		count_client(c, asker, used);
}

void intrinsic_limits(struct client *c)
{
	struct api_server *s = c->server;
	uint8_t buf[3 + API_LIMIT_KEYS * sizeof(struct ping_limit)];
	uint64_t used[L_COUNT] = { 0 };
	struct wire_writer w;

	count_use(c, used);
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_limits(&w, API_LIMIT_KEYS);
	for (size_t i = 0; i < API_LIMIT_KEYS; i++) {
		const struct api_limit_key *key = &api_limit_keys[i];
		struct ping_limit l = {
			.limit = *api_limit_value(&s->limits, key) / key->scale,
			.used = used[i],
			.hits = *(uint64_t *)((char *)&s->counters + key->hits),
		};

		snprintf(l.name, sizeof(l.name), "%s", key->name);
		snprintf(l.unit, sizeof(l.unit), "%s", key->unit);
		ping_write_limit(&w, &l);
	}
	client_frame(c, MODE_REPLY, false, buf, wire_len(&w));
}
