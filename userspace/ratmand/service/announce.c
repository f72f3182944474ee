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

/* Changes that follow each other closely are announced together. */
#define GAP_MS 1000
/* What could not be sent is tried again. */
#define AGAIN_MS 60000
#define EVERY_MS (LIMIT_PROFILE_ANNOUNCE_S * 1000ull)

/* A user who is online. */
struct announced {
	struct address id;
	bool used;
	uint64_t due;		/* ms of uv_now() */
	uint64_t earliest;	/* not sooner after the last */
};

struct announce {
	struct flow *flow;
	struct users *users;
	uv_timer_t timer;
	struct announced list[LIMIT_LOCAL_ADDRESSES];
};

size_t announce_write(uint8_t *buf, size_t size, uint64_t version, const struct profile *profile)
{
	struct profile bare = *profile;
	struct wire_writer w;

	bare.flags = 0;
	wire_write_init(&w, buf, size);
	wire_put_u8(&w, ANNOUNCEMENT_VERSION);
	wire_put_be64(&w, version);
	profile_write(&w, &bare);
	return w.failed ? 0 : wire_len(&w);
}

int announce_read(const uint8_t *data, size_t len, uint64_t *version, struct profile *out)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	if (wire_get_u8(&r) != ANNOUNCEMENT_VERSION)
		return -EINVAL;
	*version = wire_get_be64(&r);
	if (!*version || profile_read(&r, out) || !wire_done(&r) || out->flags)
		return -EINVAL;
	return 0;
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

static struct announced *find_free(struct announce *a)
{
	for (size_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++)
		if (!a->list[i].used)
			return &a->list[i];
	return NULL;
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
	n->used = false;
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
	size_t len = 0;
	ssize_t n = 1;

	/* One that is too large is none. */
	if (info->size <= sizeof(buf))
		while (len < sizeof(buf) && (n = flow_parcel_read(p, buf + len, sizeof(buf) - len)) > 0)
			len += (size_t)n;
	if (n >= 0 && len && !announce_read(buf, len, &version, &profile))
		users_merge(a->users, &from, version, &profile);
	else if (n != -ESTALE)
		users_malformed(a->users);
	flow_parcel_close(p, true);
}

/* Life -------------------------------------------------------------------------------------- */

int announce_new(struct announce **out, uv_loop_t *loop, struct flow *flow, struct users *users)
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
