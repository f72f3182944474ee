// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/announce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/wire.h"
#include "ratmand/flow/parcel.h"

#define ANNOUNCEMENT_VERSION 1
#define GOODBYE_VERSION 2

/* Changes that follow each other closely are announced together. */
#define GAP_MS 1000
/* What could not be sent is tried again. */
#define AGAIN_MS 60000
#define EVERY_MS (LIMIT_PROFILE_ANNOUNCE_S * 1000ull)

/* A user who is online, or was a moment ago. */
struct announced {
	struct address id;
	bool used;
	uint64_t due;		/* ms of uv_now(); OFFLINE */
	uint64_t earliest;	/* not sooner after the last */
};

#define OFFLINE UINT64_MAX

struct announce {
	struct flow *flow;
	struct users *users;
	struct store *store;
	uv_timer_t timer;
	struct announced list[LIMIT_LOCAL_ADDRESSES];
};

size_t announce_write(uint8_t *buf, size_t size, uint64_t version, const struct profile *profile)
{
	struct profile bare;
	struct wire_writer w;

	wire_write_init(&w, buf, size);
	wire_put_u8(&w, profile ? ANNOUNCEMENT_VERSION : GOODBYE_VERSION);
	wire_put_be64(&w, version);
	if (profile) {
		bare = *profile;
		bare.flags = 0;
		profile_write(&w, &bare);
	}
	return w.failed ? 0 : wire_len(&w);
}

int announce_read(const uint8_t *data, size_t len, uint64_t *version, bool *goodbye,
		  struct profile *out)
{
	struct wire_reader r;
	uint8_t kind;

	wire_read_init(&r, data, len);
	kind = wire_get_u8(&r);
	*version = wire_get_be64(&r);
	*goodbye = kind == GOODBYE_VERSION;
	if ((kind != ANNOUNCEMENT_VERSION && !*goodbye) || !*version)
		return -EINVAL;
	if (!*goodbye && (profile_read(&r, out) || out->flags))
		return -EINVAL;
	return wire_done(&r) ? 0 : -EINVAL;
}

/* Sending ------------------------------------------------------------------------------- */

static int send_profile(struct announce *a, const struct address *id)
{
	static uint8_t buf[ANNOUNCEMENT_MAX], avatar[LIMIT_AVATAR];
	struct profile_record record;
	size_t len;
	int err = users_get(a->users, id, &record, avatar);

	if (err)
		return err;
	/* Before it was up there was nobody to take part for. */
	err = flow_commons_up(a->flow, id);
	if (err)
		return err;
	len = announce_write(buf, sizeof(buf), record.version, &record.profile);
	return flow_parcel_send(a->flow, PARCEL_PROFILE, id, flow_everybody(), NULL, 0, buf, len,
				NULL, NULL);
}

int announce_goodbye(struct announce *a, const struct address *id, const uint8_t *secret)
{
	uint8_t buf[1 + 8];
	uint64_t version;

	if (!users_has_local(a->users, id))
		return 0;
	version = store_next_stamp(a->store, id);
	if (!version)
		return -EIO;
	return flow_commons_goodbye(a->flow, id, secret, buf,
				    announce_write(buf, sizeof(buf), version, NULL));
}

static void arm(struct announce *a);

static void on_timer(uv_timer_t *timer)
{
	struct announce *a = timer->data;
	uint64_t now = uv_now(a->timer.loop);

	for (size_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++) {
		struct announced *n = &a->list[i];
		int err;

		if (!n->used || n->due > now)
			continue;
		err = send_profile(a, &n->id);
		if (err)
			log_debug("a profile cannot be announced now: %s", strerror(-err));
		n->earliest = now + GAP_MS;
		n->due = now + (err ? AGAIN_MS : EVERY_MS);
	}
	arm(a);
}

static void arm(struct announce *a)
{
	uint64_t due = UINT64_MAX, now = uv_now(a->timer.loop);

	for (size_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++)
		if (a->list[i].used && a->list[i].due < due)
			due = a->list[i].due;
	if (due == UINT64_MAX)
		uv_timer_stop(&a->timer);
	else
		uv_timer_start(&a->timer, on_timer, due > now ? due - now : 0, 0);
}

static struct announced *find(struct announce *a, const struct address *id)
{
	for (size_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++)
		if (a->list[i].used && address_equal(&a->list[i].id, id))
			return &a->list[i];
	return NULL;
}

/* A place for one more; of those who are offline only when nobody else's is free. */
static struct announced *find_free(struct announce *a)
{
	struct announced *offline = NULL;

	for (size_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++) {
		struct announced *n = &a->list[i];

		if (!n->used)
			return n;
		if (n->due == OFFLINE && (!offline || n->earliest < offline->earliest))
			offline = n;
	}
	return offline;
}

int announce_user(struct announce *a, const struct address *id)
{
	struct announced *n = find(a, id);
	uint64_t now = uv_now(a->timer.loop);

	if (!users_has_local(a->users, id))
		return 0;
	if (!n) {
		n = find_free(a);
		if (!n)
			return -EDQUOT;
		*n = (struct announced){ .id = *id, .used = true };
	}
	n->due = n->earliest > now ? n->earliest : now;
	arm(a);
	return 0;
}

void announce_offline(struct announce *a, const struct address *id)
{
	struct announced *n = find(a, id);

	if (!n)
		return;
	/* Whoever comes and goes is not announced each time. */
	n->due = OFFLINE;
	n->used = n->earliest > uv_now(a->timer.loop);
	flow_commons_down(a->flow, id);
	arm(a);
}

/* Receiving -------------------------------------------------------------------------------- */

static void on_parcel(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	static uint8_t buf[ANNOUNCEMENT_MAX];
	struct announce *a = ctx;
	struct profile profile;
	struct address from = info->from;
	uint64_t version;
	bool goodbye;
	size_t len = 0;
	ssize_t n = 1;

	/* One that is too large is none. */
	if (info->size <= sizeof(buf))
		while (len < sizeof(buf) && (n = flow_parcel_read(p, buf + len, sizeof(buf) - len)) > 0)
			len += (size_t)n;
	if (n >= 0 && len && !announce_read(buf, len, &version, &goodbye, &profile))
		users_merge(a->users, &from, version, goodbye ? NULL : &profile);
	else if (n != -ESTALE)
		users_malformed(a->users);
	flow_parcel_close(p, true);
}

/* Life -------------------------------------------------------------------------------------- */

int announce_new(struct announce **out, uv_loop_t *loop, struct store *store, struct flow *flow,
		 struct users *users)
{
	struct announce *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	err = uv_timer_init(loop, &a->timer);
	if (err) {
		free(a);
		return err;
	}
	a->timer.data = a;
	a->flow = flow;
	a->users = users;
	a->store = store;
	flow_parcel_handler(flow, PARCEL_PROFILE, on_parcel, a);
	*out = a;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void announce_stop(struct announce *a)
{
	uv_timer_stop(&a->timer);
	flow_parcel_handler(a->flow, PARCEL_PROFILE, NULL, NULL);
}

void announce_free(struct announce *a)
{
	if (!a)
		return;
	uv_close((uv_handle_t *)&a->timer, on_closed);
}
