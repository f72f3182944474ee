// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/overlay.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "ratmand/store/tables.h"

/* What a record costs beside its key and value. */
#define RECORD_COST (sizeof(struct overlay_record) + 16)

static void record_free(struct overlay_record *r)
{
	if (r && store_tables[r->data[0]].secret)
		sodium_memzero(r->data, 1u + r->key_len + r->value_len);
	free(r);
}

static size_t record_cost(const struct overlay_record *r)
{
	return RECORD_COST + r->key_len + r->value_len;
}

/* The segment that takes the next record, or NULL when memory is short. */
static struct overlay_segment *open_segment(struct overlay *o)
{
	struct overlay_segment *s = o->newest;

	if (s && !s->sealed && (o->together || (s->bytes < OVERLAY_SEGMENT_BYTES &&
						HASH_COUNT(s->records) < OVERLAY_SEGMENT_RECORDS)))
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->waiters_end = &s->waiters;
	if (o->newest)
		o->newest->newer = s;
	else
		o->oldest = s;
	o->newest = s;
	return s;
}

/* What was put together stays: what it replaced goes for good. */
static void forget_undo(struct overlay *o)
{
	struct overlay_record *next;

	for (struct overlay_record *r = o->undo; r; r = next) {
		struct overlay_record *old = r->replaced;

		next = r->undo;
		r->undo = r->replaced = NULL;
		r->undoable = false;
		/* Those that are on the list themselves go when it is their turn. */
		if (old && old->undoable)
			old->outdated = true;
		else
			record_free(old);
		if (r->outdated)
			record_free(r);
	}
	o->undo = NULL;
}

void overlay_take_back(struct overlay *o)
{
	struct overlay_segment *s = o->newest;
	struct overlay_record *next;

	for (struct overlay_record *r = o->undo; r; r = next) {
		struct overlay_record *old = r->replaced;

		next = r->undo;
		HASH_DEL(s->records, r);
		s->bytes -= record_cost(r);
		o->bytes -= record_cost(r);
		/* The key is back as it was: the same table has room for it again. */
		if (old) {
			HASH_ADD_KEYPTR(hh, s->records, old->data, 1 + old->key_len, old);
			s->bytes += record_cost(old);
			o->bytes += record_cost(old);
		}
		record_free(r);
	}
	o->undo = NULL;
}

void overlay_together(struct overlay *o, bool on)
{
	forget_undo(o);
	/* A full one is left behind now; without memory for another it just grows. */
	if (on && o->newest)
		(void)open_segment(o);
	o->together = on;
}

static struct overlay_record *record_new(enum store_table table, const void *key, size_t key_len,
					 const void *value, size_t value_len, bool deleted)
{
	struct overlay_record *r = malloc(sizeof(*r) + 1 + key_len + value_len);

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->key_len = (uint16_t)key_len;
	r->value_len = (uint32_t)value_len;
	r->deleted = deleted;
	r->data[0] = (uint8_t)table;
	memcpy(r->data + 1, key, key_len);
	if (value_len)
		memcpy(r->data + 1 + key_len, value, value_len);
	return r;
}

uint64_t overlay_order(const struct overlay_record *r)
{
	struct wire_reader reader;

	wire_read_init(&reader, overlay_key(r) + store_tables[r->data[0]].prefix, TABLES_ORDER_LEN);
	return wire_get_be64(&reader);
}

/* Of an order as much as tells parts of a large group apart. */
#define PART_SHIFT 48

/* A bit of a segment's marks: of a group (@part NULL), or of a part of it. */
static unsigned int mark_of(enum store_table table, const void *prefix, const uint64_t *part)
{
	size_t len = store_tables[table].prefix;
	uint8_t text[1 + STORE_KEY_MAX + 2];
	struct wire_writer w;

	wire_write_init(&w, text, sizeof(text));
	wire_put_u8(&w, (uint8_t)table);
	wire_put(&w, prefix, len);
	if (part)
		wire_put_be16(&w, (uint16_t)(*part >> PART_SHIFT));
	return keyhash(text, wire_len(&w)) % OVERLAY_MARKS;
}

static void set_marks(struct overlay_segment *s, const struct overlay_record *r)
{
	enum store_table table = r->data[0];
	unsigned int bit;
	uint64_t order;

	if (!store_tables[table].ordered)
		return;
	bit = mark_of(table, overlay_key(r), NULL);
	s->marks[bit / 64] |= 1ull << bit % 64;
	order = overlay_order(r);
	bit = mark_of(table, overlay_key(r), &order);
	s->marks[bit / 64] |= 1ull << bit % 64;
}

int overlay_put(struct overlay *o, enum store_table table, const void *key, size_t key_len,
		const void *value, size_t value_len, bool deleted)
{
	struct overlay_record *r = record_new(table, key, key_len, value, value_len, deleted);
	struct overlay_segment *s = r ? open_segment(o) : NULL;
	struct overlay_record *old = NULL;

	if (!s)
		goto fail;
	HASH_FIND(hh, s->records, r->data, 1 + key_len, old);
	if (old) {
		HASH_DEL(s->records, old);
		s->bytes -= record_cost(old);
		o->bytes -= record_cost(old);
	}
	HASH_ADD_KEYPTR(hh, s->records, r->data, 1 + key_len, r);
	if (!r->hh.tbl) {
		/* The key is back as it was: the same table has room for it again. */
		if (old) {
			HASH_ADD_KEYPTR(hh, s->records, old->data, 1 + key_len, old);
			s->bytes += record_cost(old);
			o->bytes += record_cost(old);
		}
		goto fail;
	}
	set_marks(s, r);
	s->bytes += record_cost(r);
	o->bytes += record_cost(r);
	if (o->together) {
		r->undoable = true;
		r->replaced = old;
		r->undo = o->undo;
		o->undo = r;
	} else {
		record_free(old);
	}
	return 0;
fail:
	record_free(r);
	return -ENOMEM;
}

const struct overlay_record *overlay_find(const struct overlay *o, enum store_table table,
					  const void *key, size_t key_len)
{
	const struct overlay_record *best = NULL;
	uint8_t buf[1 + STORE_KEY_MAX];
	unsigned int hash;

	if (!o->oldest || key_len > STORE_KEY_MAX)
		return NULL;
	buf[0] = (uint8_t)table;
	memcpy(buf + 1, key, key_len);
	hash = keyhash(buf, 1 + key_len);
	for (const struct overlay_segment *s = o->oldest; s; s = s->newer) {
		struct overlay_record *r;

		HASH_FIND_BYHASHVALUE(hh, s->records, buf, 1 + key_len, hash, r);
		if (r)
			best = r;
	}
	return best;
}

/* What is asked for, as bits of the marks: one each for group and part, or fewer. */
struct wanted {
	unsigned int bits[2];
	int n;
};

static struct wanted wanted_of(const struct overlay_range *range)
{
	struct wanted w = { .n = 0 };

	if (!range->prefix || !store_tables[range->table].ordered)
		return w;
	w.bits[w.n++] = mark_of(range->table, range->prefix, NULL);
	if (range->from >> PART_SHIFT == range->to >> PART_SHIFT)
		w.bits[w.n++] = mark_of(range->table, range->prefix, &range->from);
	return w;
}

static bool may_have(const struct overlay_segment *s, const struct wanted *w)
{
	for (int i = 0; i < w->n; i++)
		if (!(s->marks[w->bits[i] / 64] >> w->bits[i] % 64 & 1))
			return false;
	return true;
}

static bool in_range(const struct overlay_record *r, const struct overlay_range *range)
{
	const struct table_info *t = &store_tables[range->table];
	uint64_t order;

	if (r->data[0] != range->table)
		return false;
	if (!range->prefix)
		return true;
	if (r->key_len < t->prefix || memcmp(overlay_key(r), range->prefix, t->prefix))
		return false;
	if (!t->ordered)
		return true;
	order = overlay_order(r);
	return order >= range->from && order <= range->to;
}

ssize_t overlay_collect(const struct overlay *o, const struct overlay_range *range,
			const struct overlay_record ***out)
{
	struct wanted wanted = wanted_of(range);
	const struct overlay_record **list;
	size_t n = 0, total = 0;

	for (const struct overlay_segment *s = o->oldest; s; s = s->newer)
		if (may_have(s, &wanted))
			total += HASH_COUNT(s->records);
	list = malloc((total ? total : 1) * sizeof(struct overlay_record *));
	if (!list)
		return -ENOMEM;
	for (const struct overlay_segment *s = o->oldest; s; s = s->newer) {
		if (!may_have(s, &wanted))
			continue;
		for (const struct overlay_record *r = s->records; r; r = r->hh.next)
			if (in_range(r, range) &&
			    (!s->newer ||
			     overlay_find(o, range->table, overlay_key(r), r->key_len) == r))
				list[n++] = r;
	}
	*out = list;
	return (ssize_t)n;
}

struct overlay_waiter *overlay_pop(struct overlay *o)
{
	struct overlay_segment *s = o->oldest;
	struct overlay_record *r, *next;
	struct overlay_waiter *waiters;

	if (!s)
		return NULL;
	o->oldest = s->newer;
	if (!o->oldest)
		o->newest = NULL;
	o->bytes -= s->bytes;
	r = s->records;
	HASH_CLEAR(hh, s->records);
	for (; r; r = next) {
		next = r->hh.next;
		record_free(r);
	}
	waiters = s->waiters;
	free(s);
	return waiters;
}
