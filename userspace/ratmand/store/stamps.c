// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/stamps.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/wire.h"
#include "ratmand/store/keyhash.h"

/* One second of the clock is this many stamps. */
#define SECOND_BITS 20
/*
 * The reserve: ten minutes ahead of the clock, or, when the stamps are ahead of
 * the clock already, one second's worth, so that restarting over and over does
 * not carry them far.
 */
#define RESERVE_S 600
#define RESERVE_MIN (1ull << SECOND_BITS)

struct stamp {
	UT_hash_handle hh;
	struct address address;
	struct stamps *owner;	/* NULL once the stamps are freed, while @pending */
	uint64_t last;		/* given out */
	uint64_t end;		/* durable: stamps up to it may be given out */
	uint64_t wanted_end;	/* queued */
	bool pending;
};

struct stamps {
	struct store *store;
	struct stamp *all;
};

struct stamps *stamps_new(struct store *store)
{
	struct stamps *s = calloc(1, sizeof(*s));

	if (s)
		s->store = store;
	return s;
}

void stamps_free(struct stamps *s)
{
	struct stamp *st, *next;

	if (!s)
		return;
	st = s->all;
	HASH_CLEAR(hh, s->all);
	for (; st; st = next) {
		next = st->hh.next;
		if (st->pending)
			st->owner = NULL;
		else
			free(st);
	}
	free(s);
}

static uint64_t clock_stamp(uint64_t ahead_s)
{
	int64_t ns = clock_wall_ns();

	return ns > 0 ? ((uint64_t)ns / 1000000000 + ahead_s) << SECOND_BITS : 0;
}

static void on_reserved(void *ctx, int err)
{
	struct stamp *st = ctx;

	st->pending = false;
	if (!st->owner)
		free(st);
	else if (!err)
		st->end = st->wanted_end;
}

/* Queues a reserve beyond @next; with @wait it is durable on return. */
static int reserve(struct stamp *st, uint64_t next, bool wait)
{
	struct store *store = st->owner->store;
	struct wire_writer w;
	uint8_t value[8];
	int err;

	/* An end still under way is never undercut: ends only grow. */
	st->wanted_end = clock_stamp(RESERVE_S);
	if (st->wanted_end < next + RESERVE_MIN)
		st->wanted_end = next + RESERVE_MIN;
	wire_write_init(&w, value, sizeof(value));
	wire_put_be64(&w, st->wanted_end);
	err = store_put(store, STORE_STAMPS, st->address.b, ADDRESS_LEN, value, sizeof(value));
	if (err)
		return err;
	if (wait) {
		err = store_flush(store);
		if (!err)
			st->end = st->wanted_end;
		return err;
	}
	st->pending = true;
	store_commit(store, on_reserved, st);
	return 0;
}

static struct stamp *find(struct stamps *s, const struct address *address)
{
	struct wire_reader r;
	struct stamp *st;
	uint8_t value[8];

	HASH_FIND(hh, s->all, address->b, ADDRESS_LEN, st);
	if (st)
		return st;
	st = calloc(1, sizeof(*st));
	if (!st)
		return NULL;
	st->address = *address;
	st->owner = s;
	switch (store_get(s->store, STORE_STAMPS, address->b, ADDRESS_LEN, value, sizeof(value))) {
	case sizeof(value):
		wire_read_init(&r, value, sizeof(value));
		/* Everything up to the old end may have been given out. */
		st->last = wire_get_be64(&r);
		st->end = st->last;
		break;
	case -ENOENT:
	/* Damaged: the clock has most likely gone past what was lost, and peers tell when not. */
	case -EBADMSG:
		break;
	default:
		free(st);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, s->all, st->address.b, ADDRESS_LEN, st);
	if (!st->hh.tbl) {
		free(st);
		return NULL;
	}
	return st;
}

uint64_t stamps_next(struct stamps *s, const struct address *address)
{
	struct stamp *st = find(s, address);
	uint64_t next, low;

	if (!st)
		return 0;
	next = clock_stamp(0);
	if (next <= st->last)
		next = st->last + 1;
	if (next > st->end && reserve(st, next, true))
		return 0;
	low = (uint64_t)RESERVE_S << (SECOND_BITS - 1);
	if (st->end - next < RESERVE_MIN / 2 ||
	    (st->end - next < low && clock_stamp(0) + low > st->end)) {
		/* A failure shows when the reserve has run out. */
		if (!st->pending)
			(void)reserve(st, next, false);
	}
	st->last = next;
	return next;
}
