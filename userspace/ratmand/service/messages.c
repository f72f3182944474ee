// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/messages_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/wire.h"
#include "ratmand/flow/parcel.h"

/* Of a turn of the loop: floods taken by one mailbox, messages of one removed. */
#define TURN_FLOODS 16
#define TURN_REMOVALS 16
/* Bytes that wait for the disk; above it what is done in the background pauses. */
#define BACKLOG_MAX (4u << 20)
#define PAUSE_MS 20
/* When the store takes no writes. */
#define RETRY_MS 5000

/* Mailboxes to be emptied, in STORE_META: their keys. */
static const char errand_prefix[] = "mailbox to be emptied/";

#define ERRAND_PREFIX_LEN (sizeof(errand_prefix) - 1)

_Static_assert(sizeof(((struct message_errand *)0)->key) == ERRAND_PREFIX_LEN + 16,
	       "name of a mailbox to be emptied");

/* ---- mailboxes ---- */

static int write_cursor(const struct message_box *box, const struct records *records)
{
	const char key = MESSAGES_KEY_FLOODS;
	uint8_t value[8];
	struct wire_writer w;

	wire_write_init(&w, value, sizeof(value));
	wire_put_be64(&w, box->floods);
	return records_put(records, RECORD_MESSAGE, &key, 1, value, sizeof(value));
}

/* -ENOENT when the user has no mailbox yet. A damaged one says 0: floods that are there are no news. */
static int read_cursor(struct message_box *box, const struct records *records)
{
	const char key = MESSAGES_KEY_FLOODS;
	struct wire_reader r;
	uint8_t value[8];
	ssize_t n = records_get(records, RECORD_MESSAGE, &key, 1, value, sizeof(value));

	box->floods = 0;
	box->failures = store_failures(records->store);
	if (n < 0 && n != -EBADMSG)
		return (int)n;
	if (n == sizeof(value)) {
		wire_read_init(&r, value, sizeof(value));
		box->floods = wire_get_be64(&r);
	}
	return 0;
}

static void box_close(struct message_box *box)
{
	/* What is told of it may lead to anything: nobody must find it any more. */
	DL_DELETE(box->messages->boxes, box);
	messages_query_box_gone(box->messages, box);
	messages_sub_box_gone(box);
	mailbox_close(&box->mailbox);
	free(box);
}

static struct message_box *box_open(struct messages *m, const struct records *records, bool make,
				    int *err)
{
	struct message_box *box = calloc(1, sizeof(*box));
	uint8_t key[MAILBOX_KEY_LEN];

	if (!box) {
		*err = -ENOMEM;
		return NULL;
	}
	box->messages = m;
	box->user = records->address;
	*err = read_cursor(box, records);
	if (*err == -ENOENT && make)
		*err = write_cursor(box, records);
	if (!*err) {
		mailbox_key(records, key);
		*err = mailbox_open(&box->mailbox, &m->bodies, key);
		sodium_memzero(key, sizeof(key));
	}
	if (*err) {
		free(box);
		return NULL;
	}
	DL_APPEND(m->boxes, box);
	*err = messages_sub_load(box, records);
	if (*err) {
		box_close(box);
		return NULL;
	}
	messages_wake(m);
	return box;
}

static struct message_box *box_find(const struct messages *m, const struct address *user)
{
	struct message_box *box;

	DL_FOREACH(m->boxes, box)
		if (address_equal(&box->user, user))
			return box;
	return NULL;
}

struct message_box *messages_box(struct messages *m, const struct address *user, bool make, int *err)
{
	const struct records *records = online_records(m->service->online, user);
	struct message_box *box;

	*err = records ? 0 : -EACCES;
	if (!records)
		return NULL;
	box = box_find(m, user);
	return box ? box : box_open(m, records, make, err);
}

void messages_user_up(struct messages *m, const struct address *user)
{
	int err;

	if (!messages_box(m, user, false, &err) && err != -ENOENT)
		log_warn("messages of an address that came up cannot be read: %s", strerror(-err));
}

void messages_user_down(struct messages *m, const struct address *user)
{
	struct message_box *box = box_find(m, user);

	if (box)
		box_close(box);
	/* Who waits for it is told in the next turn. */
	messages_wake(m);
}

/* ---- floods ---- */

bool messages_box_behind(const struct message_box *box)
{
	return box->floods < box->messages->floods.next;
}

/* One flood of the log. 0, or why it has to come again. */
static int take_flood(struct message_box *box, const struct flood *flood)
{
	struct messages *m = box->messages;
	struct body body = { .number = flood->ref.number, .key = flood->ref.key, .data = m->body };
	struct message_signature signature;
	struct message message;
	ssize_t n;
	int err;

	/* One's own is in the mailbox since it was sent, or was deleted again. */
	if (address_equal(&flood->sender, &box->user))
		return 0;
	n = bodies_read(&m->bodies, &flood->ref, m->body, MESSAGE_BODY_MAX);
	if (n < 0)
		return n == -ENOMEM ? -ENOMEM : 0;
	if (message_body_read(m->body, (size_t)n, &message, &signature))
		return 0;
	message.trust = flood->trust;
	body.len = (size_t)n;
	err = messages_deliver(box, &message, &body);
	return err == -EEXIST ? 0 : err;
}

/* Takes some of those the mailbox has not seen. Storage errors. */
static int catch_up(struct message_box *box, const struct records *records)
{
	struct messages *m = box->messages;
	uint64_t before;
	int err = 0;

	if (box->failures != store_failures(records->store))
		err = read_cursor(box, records);
	before = box->floods;
	for (int i = 0; i < TURN_FLOODS && !err && messages_box_behind(box); i++) {
		struct flood flood;
		uint64_t order;
		int found = floods_next(&m->floods, box->floods, &order, &flood);

		if (!found)
			order = m->floods.next - 1;
		else if (found < 0 && found != -EBADMSG)
			err = found;
		else if (found > 0)
			err = take_flood(box, &flood);
		if (!err)
			box->floods = order + 1;
	}
	/* Behind the floods themselves: after a crash some come again, and are known. */
	if (box->floods == before)
		return err;
	return err ? err : write_cursor(box, records);
}

/* ---- waiting ---- */

void messages_wait(struct messages *m, struct message_wait *w)
{
	int err;
	struct message_box *box = messages_box(m, &w->user, true, &err);

	if (!box || !messages_box_behind(box)) {
		w->ready(w, m, box);
		return;
	}
	DL_APPEND(m->waits, w);
	messages_wake(m);
}

/* @stuck: the store takes nothing, so that what is there has to do. */
static void end_waits(struct messages *m, bool stuck)
{
	struct message_wait *w, *next;

	DL_FOREACH_SAFE(m->waits, w, next) {
		struct message_box *box = box_find(m, &w->user);

		if (box && !stuck && messages_box_behind(box))
			continue;
		DL_DELETE(m->waits, w);
		w->ready(w, m, box);
	}
}

/* ---- turns ---- */

static void on_turn(uv_idle_t *idle);

static void on_later(uv_timer_t *timer)
{
	messages_wake(timer->data);
}

void messages_wake(struct messages *m)
{
	if (m->turn && !m->stopped)
		uv_idle_start(m->turn, on_turn);
}

/* What a turn found. */
struct turn {
	bool busy;	/* there is more to do at once */
	bool paused;	/* … when the disk has caught up */
	bool stuck;	/* … when the store takes writes again */
};

static void turn_box(struct message_box *box, struct turn *t)
{
	struct messages *m = box->messages;
	const struct records *records = online_records(m->service->online, &box->user);

	if (!records)
		return;
	if (!box->joined)
		box->joined = !flow_commons_up(m->service->flow, &box->user);
	if (!messages_box_behind(box))
		return;
	if (store_backlog(m->service->store) > BACKLOG_MAX)
		t->paused = true;
	else if (catch_up(box, records))
		t->stuck = true;
	else
		t->busy = t->busy || messages_box_behind(box);
}

static void errand_free(struct messages *m, struct message_errand *e)
{
	DL_DELETE(m->errands, e);
	mailbox_close(&e->mailbox);
	free(e);
}

static void turn_errand(struct messages *m, struct message_errand *e, struct turn *t)
{
	struct store *store = m->service->store;
	int more;

	if (store_backlog(store) > BACKLOG_MAX) {
		t->paused = true;
		return;
	}
	more = mailbox_empty(&e->mailbox, TURN_REMOVALS);
	if (!more)
		more = store_del(store, STORE_META, e->key, sizeof(e->key));
	if (!more)
		errand_free(m, e);
	else if (more < 0)
		t->stuck = true;
	else
		t->busy = true;
}

static void on_turn(uv_idle_t *idle)
{
	struct messages *m = idle->data;
	struct message_errand *e, *next;
	struct message_box *box;
	struct turn t = { 0 };

	DL_FOREACH(m->boxes, box)
		turn_box(box, &t);
	end_waits(m, t.stuck);
	messages_query_turn(m, t.stuck);
	DL_FOREACH_SAFE(m->errands, e, next)
		turn_errand(m, e, &t);
	if (t.busy || m->queries)
		return;
	/* The waits that are left are behind a pause. */
	uv_idle_stop(idle);
	if (t.paused || t.stuck)
		uv_timer_start(m->later, on_later, t.stuck ? RETRY_MS : PAUSE_MS, 0);
}

/* ---- users that go ---- */

static int errand_start(struct messages *m, const uint8_t *name, const uint8_t *key)
{
	struct message_errand *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	memcpy(e->key, name, sizeof(e->key));
	err = mailbox_open(&e->mailbox, &m->bodies, key);
	if (err) {
		free(e);
		return err;
	}
	DL_APPEND(m->errands, e);
	messages_wake(m);
	return 0;
}

int messages_forget_user(struct messages *m, const struct records *records)
{
	struct message_box box;
	uint8_t name[sizeof(((struct message_errand *)0)->key)], key[MAILBOX_KEY_LEN];
	int err;

	messages_user_down(m, &records->address);
	if (read_cursor(&box, records) == -ENOENT)
		return 0;
	mailbox_key(records, key);
	memcpy(name, errand_prefix, ERRAND_PREFIX_LEN);
	randombytes_buf(name + ERRAND_PREFIX_LEN, sizeof(name) - ERRAND_PREFIX_LEN);
	err = store_put(records->store, STORE_META, name, sizeof(name), key, sizeof(key));
	if (!err)
		err = errand_start(m, name, key);
	sodium_memzero(key, sizeof(key));
	return err;
}

static int resume_errand(void *ctx, const void *key, size_t key_len, const void *value,
			 size_t value_len)
{
	struct messages *m = ctx;

	if (key_len != sizeof(((struct message_errand *)0)->key) || value_len != MAILBOX_KEY_LEN ||
	    memcmp(key, errand_prefix, ERRAND_PREFIX_LEN))
		return 0;
	return errand_start(m, key, value);
}

/* ---- changes ---- */

struct change {
	struct message_wait wait;	/* first member */
	struct message_change what;
	bool remove;			/* all of it */
	messages_done_cb cb;
	void *ctx;
};

static void on_changed(void *ctx, int err)
{
	struct change *c = ctx;

	c->cb(c->ctx, err);
	free(c);
}

static void change_ready(struct message_wait *w, struct messages *m, struct message_box *box)
{
	struct change *c = (struct change *)w;
	int err = box ? 0 : -EACCES;

	if (!err && c->remove)
		err = mailbox_remove(&box->mailbox, &c->what.id);
	else if (!err)
		err = mailbox_change(&box->mailbox, &c->what.id, &c->what.add, &c->what.remove);
	if (err)
		on_changed(c, err);
	else
		store_commit(m->service->store, on_changed, c);
}

static void change(struct messages *m, const struct message_change *what, bool remove,
		   messages_done_cb cb, void *ctx)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c) {
		cb(ctx, -ENOMEM);
		return;
	}
	c->wait.user = what->user;
	c->wait.ready = change_ready;
	c->what = *what;
	c->remove = remove;
	c->cb = cb;
	c->ctx = ctx;
	messages_wait(m, &c->wait);
}

void messages_change(struct messages *m, const struct message_change *what, messages_done_cb cb,
		     void *ctx)
{
	struct message_tag tag;
	bool fine = !message_tags_reserved(&what->add);

	for (size_t at = 0; message_tags_next(&what->remove, &at, &tag);)
		fine = fine && (!message_tag_is_reserved(&tag) || message_tag_is_unread(&tag));
	if (fine)
		change(m, what, false, cb, ctx);
	else
		cb(ctx, -EINVAL);
}

void messages_remove(struct messages *m, const struct address *user, const struct ident *id,
		     messages_done_cb cb, void *ctx)
{
	const struct message_change what = { .user = *user, .id = *id };

	change(m, &what, true, cb, ctx);
}

/* ---- life ---- */

static void on_handle_closed(uv_handle_t *handle)
{
	free(handle);
}

static int open_handles(struct messages *m)
{
	uv_loop_t *loop = m->service->loop;

	m->turn = malloc(sizeof(*m->turn));
	m->later = malloc(sizeof(*m->later));
	if (!m->turn || !m->later) {
		free(m->turn);
		free(m->later);
		m->turn = NULL;
		m->later = NULL;
		return -ENOMEM;
	}
	uv_idle_init(loop, m->turn);
	uv_timer_init(loop, m->later);
	m->turn->data = m;
	m->later->data = m;
	return 0;
}

static int open_stores(struct messages *m)
{
	int err = bodies_open(&m->bodies, m->service->store);

	if (!err)
		err = floods_open(&m->floods, &m->bodies, 0, 0);
	return err ? err : store_each(m->service->store, STORE_META, resume_errand, m);
}

int messages_new(struct messages **out, struct service *s, const struct messages_options *options)
{
	struct messages *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->service = s;
	m->options = *options;
	m->body = malloc(MESSAGE_BODY_MAX);
	err = m->body ? open_handles(m) : -ENOMEM;
	if (!err)
		err = open_stores(m);
	if (err) {
		messages_free(m);
		return err;
	}
	messages_mail_start(m);
	*out = m;
	return 0;
}

void messages_stop(struct messages *m)
{
	if (!m)
		return;
	flow_parcel_handler(m->service->flow, PARCEL_MESSAGE, NULL, NULL);
	flow_parcel_offered(m->service->flow, PARCEL_MESSAGE, NULL, NULL);
	m->stopped = true;
	uv_idle_stop(m->turn);
	uv_timer_stop(m->later);
}

void messages_free(struct messages *m)
{
	struct message_errand *e, *next_errand;
	struct message_box *box, *next_box;

	if (!m)
		return;
	DL_FOREACH_SAFE(m->errands, e, next_errand)
		errand_free(m, e);
	DL_FOREACH_SAFE(m->boxes, box, next_box)
		box_close(box);
	end_waits(m, true);
	bodies_close(&m->bodies);
	if (m->turn) {
		uv_close((uv_handle_t *)m->turn, on_handle_closed);
		uv_close((uv_handle_t *)m->later, on_handle_closed);
	}
	free(m->body);
	free(m);
}

const struct messages_stats *messages_stats(struct messages *m)
{
	m->stats.floods = m->floods.n;
	m->stats.flood_bytes = m->floods.bytes;
	return &m->stats;
}
