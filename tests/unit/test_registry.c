// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Services: who is registered, what may be a name, requests on the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "proto/service.h"
#include "ratmand/service/registry.h"

static void collect(void *ctx, const char *name, const char *text)
{
	strcat(ctx, name);
	strcat(ctx, "=");
	strcat(ctx, text);
	strcat(ctx, " ");
}

static void names_that_are_registered(void **state)
{
	struct registry *r = registry_new();
	struct registered *b, *a, *again;
	char all[64] = "", name[16];

	(void)state;
	assert_int_equal(registry_add(r, "b.x", "bee", &b), 0);
	assert_int_equal(registry_add(r, "a.x", NULL, &a), 0);
	assert_int_equal(registry_add(r, "b.x", "other", &again), -EEXIST);
	assert_true(registry_has(r, "a.x") && registry_has(r, "b.x") && !registry_has(r, "b"));
	registry_each(r, collect, all);
	assert_string_equal(all, "a.x= b.x=bee ");
	registry_remove(r, b);
	assert_false(registry_has(r, "b.x"));
	assert_int_equal(registry_add(r, "b.x", "new", &b), 0);
	for (int i = 2; i < LIMIT_SERVICES; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		assert_int_equal(registry_add(r, name, NULL, &again), 0);
	}
	assert_int_equal(registry_add(r, "more", NULL, &again), -EMFILE);
	registry_remove(r, a);
	assert_int_equal(registry_add(r, "more", NULL, &again), 0);
	registry_free(r);
}

static void names_of_services(void **state)
{
	static const char *const good_names[] = { "a", "net.qaul.chat", "größe", "a-b_c.D", "libqaul" };
	static const char *const bad_names[] = { "", ".", "a.", ".a", "a..b", "a b", "a\n", "\x7f",
						 "\xff", "a\xc2\x80", "\xc0\xae" };
	char longest[LIMIT_SERVICE_NAME + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good_names) / sizeof(good_names[0]); i++)
		assert_true(service_name_is_valid(good_names[i]));
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++)
		assert_false(service_name_is_valid(bad_names[i]));
	memset(longest, 'x', sizeof(longest));
	longest[LIMIT_SERVICE_NAME + 1] = '\0';
	assert_false(service_name_is_valid(longest));
	longest[LIMIT_SERVICE_NAME] = '\0';
	assert_true(service_name_is_valid(longest));
	assert_true(service_name_is_reserved("ratman._int.x") &&
		    service_name_is_reserved("libqaul._int."));
	assert_false(service_name_is_reserved("ratman._int") || service_name_is_reserved("x"));
}

/* Requests, cut at every byte and with one more: read as they were written, or refused. */
static void codec(void **state)
{
	const struct service_value value = {
		.user = { { 7 } }, .key = { "a.b", "ns", "key" }, .data = (const uint8_t *)"\0v", .len = 2,
	};
	const struct service_list list = { .user = { { 7 } }, .service = "a.b", .ns = "ns" };
	const struct service_create create = { "a.b", "text" };
	struct service_create create_out;
	struct service_value out;
	struct service_list list_out;
	uint8_t buf[128];
	struct wire_writer w;

	(void)state;
	wire_write_init(&w, buf, sizeof(buf));
	service_value_write(&w, &value, true);
	for (size_t n = 0; n <= wire_len(&w) + 1; n++)
		assert_int_equal(service_value_read(buf, n, true, &out),
				 n == wire_len(&w) ? 0 : -EPROTO);
	assert_int_equal(service_value_read(buf, wire_len(&w), true, &out), 0);
	assert_string_equal(out.key.service, "a.b");
	assert_string_equal(out.key.ns, "ns");
	assert_string_equal(out.key.key, "key");
	assert_true(out.len == 2 && !memcmp(out.data, "\0v", 2) && out.user.b[0] == 7);
	wire_write_init(&w, buf, sizeof(buf));
	service_list_write(&w, &list);
	for (size_t n = 0; n <= wire_len(&w) + 1; n++)
		assert_int_equal(service_list_read(buf, n, &list_out), n == wire_len(&w) ? 0 : -EPROTO);
	assert_int_equal(service_list_read(buf, wire_len(&w), &list_out), 0);
	assert_true(address_equal(&list_out.user, &list.user));
	assert_string_equal(list_out.service, "a.b");
	assert_string_equal(list_out.ns, "ns");
	wire_write_init(&w, buf, sizeof(buf));
	service_create_write(&w, &create);
	for (size_t n = 0; n <= wire_len(&w) + 1; n++)
		assert_int_equal(service_create_read(buf, n, &create_out),
				 n == wire_len(&w) ? 0 : -EPROTO);
	assert_int_equal(service_create_read(buf, wire_len(&w), &create_out), 0);
	assert_string_equal(create_out.name, "a.b");
	assert_string_equal(create_out.text, "text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_are_registered), cmocka_unit_test(names_of_services),
		cmocka_unit_test(codec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
