// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests and records of namespace 0A, and bodies as other daemons send them: whatever is
 * read keeps to the limits, and what is written of it is read as the same and written as the
 * same bytes. Tags are sets: they may come in any order, twice, and are written in one.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t once[1 << 18], twice[1 << 18];
static struct wire_writer w;

static void must_be(bool right)
{
	if (!right)
		abort();
}

static void begin(uint8_t *buf)
{
	wire_write_init(&w, buf, sizeof(once));
}

/* What was written to @once; no longer than what was read. */
static size_t written(size_t size)
{
	must_be(!w.failed && wire_len(&w) <= size);
	return wire_len(&w);
}

static void same(size_t len)
{
	must_be(!w.failed && wire_len(&w) == len && !memcmp(once, twice, len));
}

/* Sorted, none twice, found again, and gone when removed. */
static void tags_hold(const struct message_tags *tags)
{
	static struct message_tags rest;
	struct message_tag tag;
	uint16_t n = 0;
	size_t at = 0;

	must_be(tags->len <= MESSAGE_TAG_BYTES_MAX && tags->n <= MESSAGE_TAGS_MAX);
	rest = *tags;
	while (message_tags_next(tags, &at, &tag)) {
		must_be(tag.key[0] && message_tags_has(tags, &tag));
		must_be(message_tags_remove(&rest, &tag) && !message_tags_has(&rest, &tag));
		n++;
	}
	must_be(n == tags->n && rest.n == 0 && rest.len == 0);
}

static void body(const uint8_t *data, size_t size)
{
	static struct message m, back;
	struct message_signature s, again;
	size_t len;

	if (message_body_read(data, size, &m, &s))
		return;
	must_be(size <= MESSAGE_BODY_MAX && s.covers < size && m.len <= LIMIT_MESSAGE_PAYLOAD);
	tags_hold(&m.tags);
	begin(once);
	message_body_write(&w, &m);
	wire_put_u8(&w, 0);
	len = written(size);
	must_be(!message_body_read(once, len, &back, &again) && !again.present);
	begin(twice);
	message_body_write(&w, &back);
	wire_put_u8(&w, 0);
	same(len);
}

static void record(const uint8_t *data, size_t size)
{
	static struct message m, back;
	struct wire_reader r;
	size_t len;

	wire_read_init(&r, data, size);
	if (message_read(&r, &m))
		return;
	must_be(m.trust <= MESSAGE_INVALID && m.mode <= MESSAGE_STD && m.len <= size);
	tags_hold(&m.tags);
	begin(once);
	message_write(&w, &m);
	must_be(!w.failed);
	len = wire_len(&w);
	must_be(len == message_written_len(&m) && len <= MESSAGE_RECORD_MAX);
	wire_read_init(&r, once, len);
	must_be(!message_read(&r, &back) && wire_done(&r));
	begin(twice);
	message_write(&w, &back);
	same(len);
}

static void sends(const uint8_t *data, size_t size)
{
	static struct message_send s, back;
	size_t len;

	if (!message_send_read(data, size, &s)) {
		must_be(s.n == (s.mode == MESSAGE_STD) && s.len <= LIMIT_MESSAGE_PAYLOAD);
		tags_hold(&s.tags);
		begin(once);
		message_send_write(&w, &s);
		len = written(size);
		must_be(!message_send_read(once, len, &back));
		begin(twice);
		message_send_write(&w, &back);
		same(len);
	}
	if (!message_many_read(data, size, &s)) {
		must_be(s.n && s.n <= LIMIT_RECIPIENTS && s.mode == MESSAGE_STD);
		tags_hold(&s.tags);
		begin(once);
		message_many_write(&w, &s);
		len = written(size);
		must_be(!message_many_read(once, len, &back));
		begin(twice);
		message_many_write(&w, &back);
		same(len);
	}
}

static void asks(const uint8_t *data, size_t size)
{
	static struct message_query q, q2;
	static struct message_filter f, f2;
	static struct message_change c, c2;
	struct address user;
	size_t len;

	if (!message_query_read(data, size, &q)) {
		tags_hold(&q.filter.tags);
		begin(once);
		message_query_write(&w, &q);
		len = written(size);
		must_be(!message_query_read(once, len, &q2));
		begin(twice);
		message_query_write(&w, &q2);
		same(len);
	}
	if (!message_sub_read(data, size, &user, &f)) {
		tags_hold(&f.tags);
		begin(once);
		message_sub_write(&w, &user, &f);
		len = written(size);
		must_be(!message_sub_read(once, len, &user, &f2));
		begin(twice);
		message_sub_write(&w, &user, &f2);
		same(len);
	}
	if (!message_change_read(data, size, &c)) {
		tags_hold(&c.add);
		tags_hold(&c.remove);
		begin(once);
		message_change_write(&w, &c);
		len = written(size);
		must_be(!message_change_read(once, len, &c2));
		begin(twice);
		message_change_write(&w, &c2);
		same(len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	body(data, size);
	record(data, size);
	sends(data, size);
	asks(data, size);
	return 0;
}
