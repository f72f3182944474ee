// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Codecs of namespace 0C (service-api.md section 7.3): golden bytes in both
 * directions, cuts at every length, names, patterns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/file.h"
#include "proto/ops.h"
#include "proto/ping.h"
#include "unit/codec.h"

static void test_create(void **state)
{
	static const char golden[] = A "a b.txt\0" "\0\0\0\0\0\0\4\0" "\1text/plain\0";
	static const char no_mime[] = A "x\0" "\0\0\0\0\0\0\0\0" "\0";
	struct file_create c, back;

	(void)state;
	memset(&c, 0, sizeof(c));
	memcpy(c.user.b, A, 32);
	strcpy(c.name, "a b.txt");
	c.size = 1024;
	strcpy(c.mime, "text/plain");
	ENCODES(file_write_create(w, &c), A "a b.txt\0" "\0\0\0\0\0\0\4\0" "\1text/plain\0");
	ONLY_WHOLE(file_read_create(data, len, &back), A "a b.txt\0" "\0\0\0\0\0\0\4\0" "\1text/plain\0");
	assert_int_equal(file_read_create(BYTES(golden), &back), 0);
	assert_memory_equal(back.user.b, A, 32);
	assert_string_equal(back.name, "a b.txt");
	assert_int_equal(back.size, 1024);
	assert_string_equal(back.mime, "text/plain");
	assert_int_equal(file_read_create(BYTES(no_mime), &back), 0);
	assert_string_equal(back.mime, "");
	assert_int_equal(back.size, 0);
	/* An optional that is neither there nor not, names and types that are none. */
	assert_int_equal(file_read_create(BYTES(A "x\0" "\0\0\0\0\0\0\0\0" "\2"), &back), -EINVAL);
	assert_int_equal(file_read_create(BYTES(A "\0" "\0\0\0\0\0\0\0\0" "\0"), &back), -EILSEQ);
	assert_int_equal(file_read_create(BYTES(A "a/b\0" "\0\0\0\0\0\0\0\0" "\0"), &back), -EILSEQ);
	assert_int_equal(file_read_create(BYTES(A "\xff\0" "\0\0\0\0\0\0\0\0" "\0"), &back), -EILSEQ);
	assert_int_equal(file_read_create(BYTES(A "x\0" "\0\0\0\0\0\0\0\0" "\1text\0"), &back), -EDOM);
}

static void test_requests(void **state)
{
	struct file_update u, u2;
	struct file_ref ref, ref2;
	struct file_share sh, sh2;
	struct file_request q, q2;
	struct file_query l, l2;

	(void)state;
	memcpy(u.user.b, A, 32);
	memcpy(u.old.b, S, 32);
	u.size = 0x0102030405060708;
	ENCODES(file_write_update(w, &u), A S "\1\2\3\4\5\6\7\10");
	ONLY_WHOLE(file_read_update(data, len, &u2), A S "\1\2\3\4\5\6\7\10");
	assert_memory_equal(&u, &u2, sizeof(u));

	memcpy(ref.user.b, A, 32);
	memcpy(ref.id.b, S, 32);
	ENCODES(file_write_ref(w, &ref), A S);
	ONLY_WHOLE(file_read_ref(data, len, &ref2), A S);
	assert_memory_equal(&ref, &ref2, sizeof(ref));

	memset(&sh, 0, sizeof(sh));
	memcpy(sh.user.b, A, 32);
	memcpy(sh.id.b, S, 32);
	ENCODES(file_write_share(w, &sh), A S "\0");
	ONLY_WHOLE(file_read_share(data, len, &sh2), A S "\0");
	assert_int_equal(sh2.to.kind, RECIPIENT_NONE);
	sh.to.kind = RECIPIENT_NAMESPACE;
	memcpy(sh.to.address.b, B, 32);
	ENCODES(file_write_share(w, &sh), A S "\2" B);
	ONLY_WHOLE(file_read_share(data, len, &sh2), A S "\2" B);
	assert_true(recipient_equal(&sh.to, &sh2.to));
	assert_int_equal(file_read_share(BYTES(A S "\3" B), &sh2), -EINVAL);

	memset(&q, 0, sizeof(q));
	memcpy(q.user.b, A, 32);
	memcpy(q.id.b, S, 32);
	ENCODES(file_write_request(w, &q), A S "\0");
	ONLY_WHOLE(file_read_request(data, len, &q2), A S "\0");
	assert_false(q2.has_owner);
	q.has_owner = true;
	memcpy(q.owner.b, B, 32);
	ENCODES(file_write_request(w, &q), A S "\1" B);
	ONLY_WHOLE(file_read_request(data, len, &q2), A S "\1" B);
	assert_memory_equal(q2.owner.b, B, 32);

	memset(&l, 0, sizeof(l));
	memcpy(l.user.b, A, 32);
	l.state = FILE_ADVERTISED;
	strcpy(l.pattern, "*.txt");
	ENCODES(file_write_query(w, &l), A "\4*.txt\0");
	ONLY_WHOLE(file_read_query(data, len, &l2), A "\4*.txt\0");
	assert_string_equal(l2.pattern, "*.txt");
	assert_int_equal(file_read_query(BYTES(A "\5\0"), &l2), -EINVAL);
	assert_int_equal(file_read_query(BYTES(A "\0\xff\0"), &l2), -EINVAL);
}

static void test_send(void **state)
{
	uint8_t many[66 + (LIMIT_RECIPIENTS + 1) * 33];
	struct file_send s, back;
	struct wire_writer list;

	(void)state;
	memset(&s, 0, sizeof(s));
	memcpy(s.user.b, A, 32);
	memcpy(s.id.b, S, 32);
	s.n = 2;
	s.to[0].kind = RECIPIENT_ADDRESS;
	memcpy(s.to[0].address.b, B, 32);
	s.to[1].kind = RECIPIENT_NAMESPACE;
	memcpy(s.to[1].address.b, S, 32);
	ENCODES(file_write_send(w, &s), A S "\0\2" "\1" B "\2" S);
	ONLY_WHOLE(file_read_send(data, len, &back), A S "\0\2" "\1" B "\2" S);
	assert_int_equal(back.n, 2);
	assert_true(recipient_equal(&back.to[1], &s.to[1]));
	/* Named twice is named once; nobody, or "everybody", is no recipient. */
	assert_int_equal(file_read_send(BYTES(A S "\0\2" "\1" B "\1" B), &back), 0);
	assert_int_equal(back.n, 1);
	assert_int_equal(file_read_send(BYTES(A S "\0\0"), &back), -EILSEQ);
	assert_int_equal(file_read_send(BYTES(A S "\0\1" "\0"), &back), -EILSEQ);
	/* One more than there may be. */
	for (int extra = 0; extra < 2; extra++) {
		wire_write_init(&list, many, sizeof(many));
		wire_put(&list, A S, 64);
		wire_put_be16(&list, (uint16_t)(LIMIT_RECIPIENTS + extra));
		for (int i = 0; i < LIMIT_RECIPIENTS + extra; i++) {
			struct recipient to = { .kind = RECIPIENT_ADDRESS };

			to.address.b[0] = (uint8_t)(i + 1);
			recipient_write(&list, &to);
		}
		assert_false(list.failed);
		assert_int_equal(file_read_send(many, wire_len(&list), &back), extra ? -E2BIG : 0);
	}
}

static struct file_meta make_meta(void)
{
	struct file_meta m = { .size = 5, .local_bytes = 3, .state = FILE_IN_PROGRESS,
			       .stalled = true, .has_previous = true,
			       .time_ns = 1729531526123456789 };

	memcpy(m.id.b, S, 32);
	memcpy(m.owner.b, A, 32);
	memcpy(m.previous.b, B, 32);
	strcpy(m.name, "n");
	return m;
}

#define META "\1" S A "n\0" "\0\0\0\0\0\0\0\5" "\0\0\0\0\0\0\0\3" "\3" "\1" "\1" B \
	     "2024-10-21T17:25:26.123456789+00:00"

static int read_meta(const uint8_t *data, size_t len, struct file_meta *meta)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	file_meta_read(&r, meta);
	return wire_done(&r) ? 0 : -EINVAL;
}

static void test_meta(void **state)
{
	struct file_meta m = make_meta(), back;
	char spoilt[sizeof(META)];
	struct ping ping;
	uint16_t n;

	(void)state;
	ENCODES(file_meta_write(w, &m), META);
	ONLY_WHOLE(read_meta(data, len, &back), META);
	assert_memory_equal(&m, &back, sizeof(m));
	/* Version, state (none, one too many), flags that are none. */
	for (int at = 0; at < 4; at++) {
		static const struct {
			size_t offset;
			char value;
		} bad[] = { { 0, 2 }, { 83, 0 }, { 83, 5 }, { 84, 2 } };

		memcpy(spoilt, META, sizeof(spoilt));
		spoilt[bad[at].offset] = bad[at].value;
		assert_int_equal(read_meta(BYTES(spoilt), &back), -EINVAL);
	}
	/* The list, whose count must be possible. */
	ENCODES(file_write_list(w, 1), "\x2b\0\1");
	assert_int_equal(ping_read(BYTES("\x2b\0\1" META), &ping), 0);
	assert_int_equal(ping.kind, PING_FILES);
	assert_int_equal(file_read_list(&ping.body, &n), 0);
	assert_int_equal(n, 1);
	file_meta_read(&ping.body, &back);
	assert_true(wire_done(&ping.body));
	assert_int_equal(ping_read(BYTES("\x2b\0\3" META), &ping), 0);
	assert_int_equal(file_read_list(&ping.body, &n), -EINVAL);
}

static void test_done(void **state)
{
	struct file_done d = { .size = 258 }, back;
	struct ping ping;

	(void)state;
	memcpy(d.id.b, S, 32);
	ENCODES(file_write_done(w, &d), "\x2a" S "\0\0\0\0\0\0\1\2");
	assert_int_equal(ping_read(BYTES("\x2a" S "\0\0\0\0\0\0\1\2"), &ping), 0);
	assert_int_equal(ping.kind, PING_FILE);
	assert_int_equal(file_read_done(&ping.body, &back), 0);
	assert_memory_equal(&d, &back, sizeof(d));
	assert_int_equal(ping_read(BYTES("\x2a" S "\0\0\0\0\0\0\1\2x"), &ping), 0);
	assert_int_equal(file_read_done(&ping.body, &back), -EINVAL);
	assert_int_equal(ping_read(BYTES("\x2a" S "\0\0\0\0\0\0\1"), &ping), 0);
	assert_int_equal(file_read_done(&ping.body, &back), -EINVAL);
}

static bool name_ok(const char *name)
{
	return file_name_is_valid(name, strlen(name));
}

static void test_names(void **state)
{
	char text[LIMIT_FILE_NAME + 2];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[LIMIT_FILE_NAME + 1] = '\0';
	assert_false(name_ok(text));
	text[LIMIT_FILE_NAME] = '\0';
	assert_true(name_ok(text));
	assert_true(name_ok("..."));
	assert_true(name_ok(".profile"));
	assert_true(name_ok("Grüße 😀.txt"));
	assert_true(name_ok("a\\b"));
	assert_false(name_ok(""));
	assert_false(name_ok("."));
	assert_false(name_ok(".."));
	assert_false(name_ok("/"));
	assert_false(name_ok("a/b"));
	assert_false(name_ok("a\nb"));
	assert_false(name_ok("a\x7f"));
	assert_false(name_ok("a\xc2\x85"));
	assert_false(name_ok("\xe2\x80\xaetxt.exe"));
	assert_false(name_ok("\xe2\x81\xa9"));
	assert_false(name_ok("\xed\xa0\x80"));
	assert_false(file_name_is_valid("a\0b", 3));
	assert_true(file_mime_is_valid("a/b; charset=utf-8", 18));
	assert_false(file_mime_is_valid("a/\n", 3));
}

static void test_patterns(void **state)
{
	(void)state;
	assert_true(file_name_fits("report.txt", ""));
	assert_true(file_name_fits("report.txt", "PORT"));
	assert_false(file_name_fits("report.txt", "parrot"));
	assert_true(file_name_fits("report.txt", "*.txt"));
	assert_true(file_name_fits("report.txt", "r*t*t"));
	assert_false(file_name_fits("report.txt", "*.tx"));
	assert_true(file_name_fits("report.txt", "??????.*"));
	assert_false(file_name_fits("report.txt", "?????.*"));
	assert_true(file_name_fits("ä.txt", "?.txt"));
	assert_true(file_name_fits("a", "*"));
	assert_true(file_name_fits("aXbXc", "*Xc*"));
	/* What a naive matcher takes for ever for. */
	assert_false(file_name_fits("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a*a*a*a*a*a*a*a*a*a*a*b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_meta),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
