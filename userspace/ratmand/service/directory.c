// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

/* Holes are closed when they are more than this and a quarter of all. */
#define HOLES 64

/* What a search looks at, side by side in memory. By order. */
struct slot {
	uint64_t order;
	struct directory_entry *entry;	/* NULL: a hole */
	struct fold_sum sum;
};

struct directory_watch {
	struct directory_watch *prev, *next;
	struct directory_entry *at;	/* the next change; NULL: none */
	directory_ready_cb ready;
	void *ctx;
};

struct directory {
	struct directory_entry *entries;	/* by id; owned */
	struct directory_entry *empty, *filled;	/* not local, longest not seen first */
	struct directory_entry *locals;
	struct directory_entry *changes;	/* oldest first */
	struct directory_watch *watches;	/* owned */
	struct slot *slots;			/* owned */
	size_t n_slots, room, holes;
	size_t remote, most;
	uint64_t last_order;
	directory_evicted_cb evicted;
	void *ctx;
};

struct directory *directory_new(size_t most, directory_evicted_cb evicted, void *ctx)
{
	struct directory *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->most = most;
	d->evicted = evicted;
	d->ctx = ctx;
	return d;
}

void directory_free(struct directory *d)
{
	struct directory_entry *e, *next;
	struct directory_watch *w, *next_watch;

	if (!d)
		return;
	HASH_ITER(hh, d->entries, e, next) {
		HASH_DEL(d->entries, e);
		free(e);
	}
	DL_FOREACH_SAFE(d->watches, w, next_watch)
		free(w);
	free(d->slots);
	free(d);
}

size_t directory_count(const struct directory *d)
{
	return HASH_COUNT(d->entries);
}

struct directory_entry *directory_find(const struct directory *d, const struct address *id)
{
	struct directory_entry *e;

	HASH_FIND(hh, d->entries, id, sizeof(*id), e);
	return e;
}

/* The first slot behind @order. */
static size_t slot_after(const struct directory *d, uint64_t order)
{
	size_t low = 0, high = d->n_slots;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->slots[middle].order <= order)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct slot *slot_of(const struct directory *d, const struct directory_entry *e)
{
	return &d->slots[slot_after(d, e->order - 1)];
}

static void close_holes(struct directory *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_slots; i++)
		if (d->slots[i].entry)
			d->slots[n++] = d->slots[i];
	d->n_slots = n;
	d->holes = 0;
}

static struct slot *new_slot(struct directory *d)
{
	size_t room = d->room ? 2 * d->room : 64;
	struct slot *slots;

	if (d->n_slots == d->room) {
		slots = reallocarray(d->slots, room, sizeof(*slots));
		if (!slots)
			return NULL;
		d->slots = slots;
		d->room = room;
	}
	return &d->slots[d->n_slots];
}

static void use_list_remove(struct directory *d, struct directory_entry *e)
{
	if (e->local)
		DL_DELETE2(d->locals, e, use_prev, use_next);
	else if (e->filled)
		DL_DELETE2(d->filled, e, use_prev, use_next);
	else
		DL_DELETE2(d->empty, e, use_prev, use_next);
}

static void use_list_append(struct directory *d, struct directory_entry *e)
{
	if (e->local)
		DL_APPEND2(d->locals, e, use_prev, use_next);
	else if (e->filled)
		DL_APPEND2(d->filled, e, use_prev, use_next);
	else
		DL_APPEND2(d->empty, e, use_prev, use_next);
}

static void changes_remove(struct directory *d, struct directory_entry *e)
{
	struct directory_watch *w;

	if (!e->changed)
		return;
	DL_FOREACH(d->watches, w)
		if (w->at == e)
			w->at = e->change_next;
	DL_DELETE2(d->changes, e, change_prev, change_next);
	e->changed = false;
}

void directory_remove(struct directory *d, struct directory_entry *e)
{
	struct slot *slot = slot_of(d, e);

	changes_remove(d, e);
	use_list_remove(d, e);
	d->remote -= !e->local;
	slot->entry = NULL;
	d->holes++;
	HASH_DEL(d->entries, e);
	free(e);
	if (d->holes > HOLES && d->holes > d->n_slots / 4)
		close_holes(d);
}

static bool evict(struct directory *d, struct directory_entry *e)
{
	if (!e)
		return false;
	d->evicted(d->ctx, e);
	directory_remove(d, e);
	return true;
}

bool directory_evict_filled(struct directory *d)
{
	return evict(d, d->filled);
}

struct directory_entry *directory_add(struct directory *d, const struct address *id, bool local,
				      int64_t first_ns, int64_t seen_ns)
{
	struct directory_entry *e = calloc(1, sizeof(*e));
	struct slot *slot;

	if (!e)
		return NULL;
	if (!local && d->remote >= d->most && !evict(d, d->empty))
		evict(d, d->filled);
	slot = new_slot(d);
	if (slot) {
		e->id = *id;
		HASH_ADD(hh, d->entries, id, sizeof(e->id), e);
	}
	if (!slot || !e->hh.tbl) {
		free(e);
		return NULL;
	}
	e->local = local;
	e->first_ns = first_ns;
	e->seen_ns = seen_ns;
	e->order = ++d->last_order;
	*slot = (struct slot){ .order = e->order, .entry = e };
	d->n_slots++;
	d->remote += !local;
	use_list_append(d, e);
	return e;
}

static int compare_first(const void *a, const void *b)
{
	const struct directory_entry *x = ((const struct slot *)a)->entry;
	const struct directory_entry *y = ((const struct slot *)b)->entry;

	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return address_compare(&x->id, &y->id);
}

static int compare_seen(const void *a, const void *b)
{
	const struct directory_entry *x = *(struct directory_entry *const *)a;
	const struct directory_entry *y = *(struct directory_entry *const *)b;

	if (x->seen_ns != y->seen_ns)
		return x->seen_ns < y->seen_ns ? -1 : 1;
	return 0;
}

int directory_sort(struct directory *d)
{
	struct directory_entry **list;

	close_holes(d);
	if (!d->n_slots)
		return 0;
	list = reallocarray(NULL, d->n_slots, sizeof(struct directory_entry *));
	if (!list)
		return -ENOMEM;
	qsort(d->slots, d->n_slots, sizeof(*d->slots), compare_first);
	for (size_t i = 0; i < d->n_slots; i++) {
		list[i] = d->slots[i].entry;
		list[i]->order = d->slots[i].order = i + 1;
	}
	d->last_order = d->n_slots;
	qsort(list, d->n_slots, sizeof(*list), compare_seen);
	d->empty = d->filled = d->locals = NULL;
	for (size_t i = 0; i < d->n_slots; i++)
		use_list_append(d, list[i]);
	free(list);
	return 0;
}

const struct fold_sum *directory_sum(const struct directory *d, const struct directory_entry *e)
{
	return &slot_of(d, e)->sum;
}

void directory_each_local(const struct directory *d,
			  void (*cb)(void *ctx, const struct directory_entry *e), void *ctx)
{
	const struct directory_entry *e;

	DL_FOREACH2(d->locals, e, use_next)
		cb(ctx, e);
}

void directory_seen(struct directory *d, struct directory_entry *e, int64_t now_ns)
{
	e->seen_ns = now_ns;
	use_list_remove(d, e);
	use_list_append(d, e);
}

void directory_fill(struct directory *d, struct directory_entry *e, uint64_t version,
		    const struct fold_sum *sum)
{
	use_list_remove(d, e);
	e->filled = true;
	e->version = version;
	use_list_append(d, e);
	slot_of(d, e)->sum = *sum;
}

const struct directory_entry *directory_next(const struct directory *d, uint64_t *after,
					     size_t *budget, directory_wanted_cb wanted, void *ctx)
{
	for (size_t i = slot_after(d, *after); i < d->n_slots && *budget; i++, --*budget) {
		const struct slot *slot = &d->slots[i];

		*after = slot->order;
		if (slot->entry && wanted(ctx, slot->entry, &slot->sum)) {
			--*budget;
			return slot->entry;
		}
	}
	return NULL;
}

void directory_changed(struct directory *d, struct directory_entry *e)
{
	struct directory_watch *w, *next;

	changes_remove(d, e);
	e->changed = true;
	DL_APPEND2(d->changes, e, change_prev, change_next);
	DL_FOREACH(d->watches, w)
		if (!w->at)
			w->at = e;
	DL_FOREACH_SAFE(d->watches, w, next)
		w->ready(w->ctx);
}

struct directory_watch *directory_watch(struct directory *d, directory_ready_cb ready, void *ctx)
{
	struct directory_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->ready = ready;
	w->ctx = ctx;
	DL_APPEND(d->watches, w);
	return w;
}

void directory_unwatch(struct directory *d, struct directory_watch *w)
{
	DL_DELETE(d->watches, w);
	free(w);
}

const struct directory_entry *directory_watch_next(struct directory_watch *w)
{
	const struct directory_entry *e = w->at;

	if (e)
		w->at = e->change_next;
	return e;
}
