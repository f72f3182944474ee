// SPDX-License-Identifier: GPL-2.0-or-later
/* The codec of messages: golden bytes, limits, sets of tags, every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/field.h"
#include "proto/message.h"

static struct address address_a, address_b;
static struct ident ident_s;

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++) {
		address_a.b[i] = (uint8_t)(0x01 + i);
		address_b.b[i] = (uint8_t)(0x41 + i);
		ident_s.b[i] = (uint8_t)(0xd1 + i);
	}
	return 0;
}

#define A "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define B "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60"
#define S "d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0"

static void expect_hex(const struct wire_writer *w, const char *hex)
{
	char *text = malloc(2 * wire_len(w) + 1);

	assert_false(w->failed);
	for (size_t i = 0; i < wire_len(w); i++)
		sprintf(text + 2 * i, "%02x", w->start[i]);
	text[2 * wire_len(w)] = '\0';
	assert_string_equal(text, hex);
	free(text);
}

static struct message_tag tag(const char *key, const char *value)
{
	return (struct message_tag){ key, (const uint8_t *)value, strlen(value) };
}

static void add(struct message_tags *tags, const char *key, const char *value)
{
	struct message_tag t = tag(key, value);

	assert_int_equal(message_tags_add(tags, &t), 0);
}

static void test_tags(void **state)
{
	struct message_tags tags = { .n = 0 }, again;
	struct message_tag t;
	struct wire_writer w;
	struct wire_reader r;
	uint8_t buf[256];
	size_t at = 0;

	(void)state;
	add(&tags, "k", "2");
	add(&tags, "k", "10");
	add(&tags, "b", "");
	add(&tags, "k", "2");
	add(&tags, "kk", "");
	assert_int_equal(tags.n, 4);
	wire_write_init(&w, buf, sizeof(buf));
	message_tags_write(&w, &tags);
	expect_hex(&w, "0004" "62000000" "6b0000023130" "6b00000132" "6b6b000000");
	/* Any order and repetition is the same set. */
	{
		static const uint8_t other[] = "\0\5kk\0\0\0k\0\0\1" "2k\0\0\2" "10k\0\0\1" "2b\0\0";

		wire_read_init(&r, other, sizeof(other));
		assert_int_equal(message_tags_read(&r, &again), 0);
		assert_true(wire_done(&r));
		assert_int_equal(again.len, tags.len);
		assert_memory_equal(again.bytes, tags.bytes, tags.len);
	}
	t = tag("k", "2");
	assert_true(message_tags_has(&tags, &t));
	assert_true(message_tags_remove(&tags, &t));
	assert_false(message_tags_remove(&tags, &t));
	assert_false(message_tags_has(&tags, &t));
	assert_true(message_tags_next(&tags, &at, &t));
	assert_string_equal(t.key, "b");
	assert_true(message_tags_next(&tags, &at, &t));
	assert_memory_equal(t.value, "10", 2);
	assert_true(message_tags_next(&tags, &at, &t));
	assert_string_equal(t.key, "kk");
	assert_false(message_tags_next(&tags, &at, &t));
	/* Values are bytes, keys text. */
	t = (struct message_tag){ "raw", (const uint8_t *)"\0\xff", 2 };
	assert_int_equal(message_tags_add(&tags, &t), 0);
	t = tag("", "v");
	assert_int_equal(message_tags_add(&tags, &t), -EINVAL);
	t = tag("\xff", "v");
	assert_int_equal(message_tags_add(&tags, &t), -EILSEQ);
	assert_int_equal(tags.n, 4);
}

static void test_tag_limits(void **state)
{
	static struct message_tags tags, most;
	static uint8_t value[LIMIT_MESSAGE_TAG_BYTES];
	struct message_tag t = { "k", value, LIMIT_MESSAGE_TAG_BYTES - 4 };
	char key[16];

	(void)state;
	assert_int_equal(message_tags_add(&tags, &t), 0);
	assert_true(message_tags_fit(&tags));
	assert_false(message_tags_reserved(&tags));
	/* The unread tag finds room besides. */
	add(&tags, MESSAGE_TAG_UNREAD, "");
	assert_true(message_tags_fit(&tags));
	assert_true(message_tags_reserved(&tags));
	t = tag("too much", "of it");
	assert_int_equal(message_tags_add(&tags, &t), -E2BIG);
	assert_int_equal(tags.n, 2);
	for (int i = 0; i < LIMIT_MESSAGE_TAGS; i++) {
		snprintf(key, sizeof(key), "%d", i);
		add(&most, key, "");
	}
	assert_true(message_tags_fit(&most));
	add(&most, "one more", "");
	assert_false(message_tags_fit(&most));
	t = tag("two more", "");
	assert_int_equal(message_tags_add(&most, &t), -E2BIG);
	t = tag("libqaul._int.", "");
	assert_true(message_tag_is_reserved(&t));
	t = tag("libqaul._in", "");
	assert_false(message_tag_is_reserved(&t));
	t = tag(MESSAGE_TAG_UNREAD, "");
	assert_true(message_tag_is_unread(&t));
	t = tag(MESSAGE_TAG_UNREAD, "x");
	assert_false(message_tag_is_unread(&t));
}

static void make_message(struct message *m)
{
	memset(m, 0, sizeof(*m));
	m->id = ident_s;
	m->sender = address_a;
	m->mode = MESSAGE_STD;
	m->has_to = true;
	m->to = address_b;
	strcpy(m->service, "a.b");
	add(&m->tags, "k", "v");
	m->time_ns = 1234567890123456789;
	m->trust = MESSAGE_UNVERIFIED;
	m->data = (const uint8_t *)"hi";
	m->len = 2;
}

#define RECORD_TAIL "612e6200" "0001" "6b00000176" \
	"323030392d30322d31335432333a33313a33302e3132333435363738392b30303a3030" "01" "000000026869"

static void test_record(void **state)
{
	static struct message m, got;
	struct wire_writer w;
	struct wire_reader r;
	uint8_t buf[512];

	(void)state;
	make_message(&m);
	wire_write_init(&w, buf, sizeof(buf));
	message_write(&w, &m);
	expect_hex(&w, "01" S A "01" "01" B RECORD_TAIL);
	assert_int_equal(message_written_len(&m), wire_len(&w));
	wire_read_init(&r, buf, wire_len(&w));
	assert_int_equal(message_read(&r, &got), 0);
	assert_true(wire_done(&r));
	assert_true(ident_equal(&got.id, &m.id) && address_equal(&got.to, &m.to) && got.has_to);
	assert_int_equal(got.time_ns, m.time_ns);
	assert_int_equal(got.trust, MESSAGE_UNVERIFIED);
	assert_string_equal(got.service, "a.b");
	assert_memory_equal(got.data, "hi", 2);
	/* To several, as the sender sees it; and a flood. */
	m.has_to = false;
	memset(m.to.b, 0, sizeof(m.to.b));
	wire_write_init(&w, buf, sizeof(buf));
	message_write(&w, &m);
	expect_hex(&w, "01" S A "01" "00" RECORD_TAIL);
	assert_int_equal(message_written_len(&m), wire_len(&w));
	wire_read_init(&r, buf, wire_len(&w));
	assert_int_equal(message_read(&r, &got), 0);
	assert_false(got.has_to);
	assert_int_equal(got.mode, MESSAGE_STD);
	m.mode = MESSAGE_FLOOD;
	wire_write_init(&w, buf, sizeof(buf));
	message_write(&w, &m);
	expect_hex(&w, "01" S A "00" "00" RECORD_TAIL);
	assert_int_equal(message_written_len(&m), wire_len(&w));
	for (size_t cut = 0; cut < wire_len(&w); cut++) {
		uint8_t *copy = malloc(cut + 1);

		memcpy(copy, buf, cut);
		wire_read_init(&r, copy, cut);
		assert_int_not_equal(message_read(&r, &got), 0);
		free(copy);
	}
	/* A flood to somebody. */
	m.has_to = true;
	wire_write_init(&w, buf, sizeof(buf));
	message_write(&w, &m);
	wire_read_init(&r, buf, wire_len(&w));
	assert_int_equal(message_read(&r, &got), -EINVAL);
}

static void test_requests(void **state)
{
	static struct message_send send, got;
	static struct message_query query, got_query;
	static struct message_change change, got_change;
	struct message_filter filter;
	struct address user;
	struct wire_writer w;
	uint8_t buf[512];

	(void)state;
	memset(&send, 0, sizeof(send));
	send.sender = address_a;
	send.mode = MESSAGE_STD;
	send.to = address_b.b;
	send.n = 1;
	send.grouped = true;
	send.id = ident_s;
	strcpy(send.service, "a.b");
	add(&send.tags, "k", "v");
	send.data = (const uint8_t *)"hi";
	send.len = 2;
	wire_write_init(&w, buf, sizeof(buf));
	message_send_write(&w, &send);
	expect_hex(&w, A "01" B "01" S "612e6200" "0001" "6b00000176" "000000026869");
	assert_int_equal(message_send_read(buf, wire_len(&w), &got), 0);
	assert_true(got.grouped && got.n == 1 && !memcmp(got.to, address_b.b, 32));
	assert_int_equal(message_send_read(buf, wire_len(&w) - 1, &got), -EINVAL);
	send.mode = MESSAGE_FLOOD;
	send.n = 0;
	send.grouped = false;
	send.len = 0;
	send.tags.n = 0;
	send.tags.len = 0;
	wire_write_init(&w, buf, sizeof(buf));
	message_send_write(&w, &send);
	expect_hex(&w, A "00" "00" "612e6200" "0000" "00000000");
	assert_int_equal(message_send_read(buf, wire_len(&w), &got), 0);
	assert_int_equal(got.n, 0);
	buf[32] = 2;
	assert_int_equal(message_send_read(buf, wire_len(&w), &got), -EINVAL);

	send.to = address_b.b;
	send.n = 1;
	wire_write_init(&w, buf, sizeof(buf));
	message_many_write(&w, &send);
	expect_hex(&w, A "0001" B "612e6200" "0000" "00000000");
	assert_int_equal(message_many_read(buf, wire_len(&w), &got), 0);
	assert_int_equal(got.mode, MESSAGE_STD);

	memset(&query, 0, sizeof(query));
	query.user = address_a;
	query.skip = 1;
	query.take = 0x01020304;
	wire_write_init(&w, buf, sizeof(buf));
	message_query_write(&w, &query);
	expect_hex(&w, A "00" "00" "00" "0000" "00000001" "01020304");
	query.filter.has_service = query.filter.has_sender = query.has_id = true;
	strcpy(query.filter.service, "a.b");
	query.filter.sender = address_b;
	query.id = ident_s;
	add(&query.filter.tags, "k", "v");
	wire_write_init(&w, buf, sizeof(buf));
	message_query_write(&w, &query);
	expect_hex(&w, A "01" "612e6200" "01" S "01" B "0001" "6b00000176" "00000001" "01020304");
	assert_int_equal(message_query_read(buf, wire_len(&w), &got_query), 0);
	assert_true(got_query.has_id && got_query.filter.has_sender &&
		    address_equal(&got_query.filter.sender, &address_b));

	wire_write_init(&w, buf, sizeof(buf));
	message_sub_write(&w, &address_a, &query.filter);
	expect_hex(&w, A "01" "612e6200" "0001" "6b00000176");
	assert_int_equal(message_sub_read(buf, wire_len(&w), &user, &filter), 0);
	assert_true(address_equal(&user, &address_a) && !filter.has_sender);

	memset(&change, 0, sizeof(change));
	change.user = address_a;
	change.id = ident_s;
	add(&change.add, "k", "v");
	add(&change.remove, "l", "");
	wire_write_init(&w, buf, sizeof(buf));
	message_change_write(&w, &change);
	expect_hex(&w, A S "0001" "6b00000176" "0001" "6c000000");
	assert_int_equal(message_change_read(buf, wire_len(&w), &got_change), 0);
	assert_int_equal(got_change.add.n, 1);
	assert_int_equal(got_change.remove.n, 1);
}

static void test_limits(void **state)
{
	static uint8_t buf[80000], data[LIMIT_MESSAGE_PAYLOAD + 1];
	static struct message_send send, got;
	uint8_t many[(LIMIT_RECIPIENTS + 1) * 32];
	struct wire_writer w;

	(void)state;
	memset(&send, 0, sizeof(send));
	strcpy(send.service, "s");
	send.data = data;
	send.len = LIMIT_MESSAGE_PAYLOAD;
	wire_write_init(&w, buf, sizeof(buf));
	message_send_write(&w, &send);
	assert_int_equal(message_send_read(buf, wire_len(&w), &got), 0);
	send.len++;
	wire_write_init(&w, buf, sizeof(buf));
	message_send_write(&w, &send);
	assert_int_equal(message_send_read(buf, wire_len(&w), &got), -E2BIG);
	send.len = 0;
	for (int i = 0; i <= LIMIT_RECIPIENTS; i++)
		memset(many + i * 32, i + 1, 32);
	send.to = many;
	send.n = LIMIT_RECIPIENTS;
	wire_write_init(&w, buf, sizeof(buf));
	message_many_write(&w, &send);
	assert_int_equal(message_many_read(buf, wire_len(&w), &got), 0);
	memcpy(buf + 32 + 2 + 5 * 32, buf + 32 + 2, 32);
	assert_int_equal(message_many_read(buf, wire_len(&w), &got), -EINVAL);
	send.n++;
	wire_write_init(&w, buf, sizeof(buf));
	message_many_write(&w, &send);
	assert_int_equal(message_many_read(buf, wire_len(&w), &got), -E2BIG);
	send.n = 0;
	wire_write_init(&w, buf, sizeof(buf));
	message_many_write(&w, &send);
	assert_int_equal(message_many_read(buf, wire_len(&w), &got), -EINVAL);
	/* No name, one that is too long, one that is no text. */
	send.mode = MESSAGE_FLOOD;
	send.service[0] = '\0';
	wire_write_init(&w, buf, sizeof(buf));
	message_send_write(&w, &send);
	assert_int_equal(message_send_read(buf, wire_len(&w), &got), -EINVAL);
	memset(send.service, 'n', LIMIT_MESSAGE_SERVICE);
	wire_write_init(&w, buf, sizeof(buf));
	message_send_write(&w, &send);
	assert_int_equal(message_send_read(buf, wire_len(&w), &got), 0);
	buf[34] = 0xff;
	assert_int_equal(message_send_read(buf, wire_len(&w), &got), -EILSEQ);
}

static void test_body(void **state)
{
	static struct message m, got;
	struct message_signature signature;
	struct wire_writer w;
	uint8_t buf[512];
	size_t covers;

	(void)state;
	make_message(&m);
	wire_write_init(&w, buf, sizeof(buf));
	message_body_write(&w, &m);
	covers = wire_len(&w);
	wire_put_u8(&w, 0);
	expect_hex(&w, "01" S A "01" "612e6200" "0001" "6b00000176" "112210f47de98115" "000000026869"
		       "00");
	assert_int_equal(message_body_read(buf, wire_len(&w), &got, &signature), 0);
	assert_false(signature.present);
	assert_int_equal(signature.covers, covers);
	assert_int_equal(got.time_ns, m.time_ns);
	assert_int_equal(message_body_read(buf, wire_len(&w) - 1, &got, &signature), -EINVAL);
	buf[covers] = 1;
	assert_int_equal(message_body_read(buf, wire_len(&w), &got, &signature), -EINVAL);
	memset(buf + covers + 1, 0x99, 64);
	assert_int_equal(message_body_read(buf, covers + 65, &got, &signature), 0);
	assert_true(signature.present && signature.b[63] == 0x99);
	assert_int_equal(message_body_read(buf, covers + 66, &got, &signature), -EINVAL);
	for (size_t cut = 0; cut < covers + 65; cut++) {
		uint8_t *copy = malloc(cut + 1);

		memcpy(copy, buf, cut);
		assert_int_not_equal(message_body_read(copy, cut, &got, &signature), 0);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_tags, setup),
		cmocka_unit_test_setup(test_tag_limits, setup),
		cmocka_unit_test_setup(test_record, setup),
		cmocka_unit_test_setup(test_requests, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_body, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
