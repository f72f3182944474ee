// SPDX-License-Identifier: GPL-2.0-or-later
/* ratmand.conf: defaults, every key, and every kind of mistake with its message. */
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ratmand/config.h"

static char path[] = "/tmp/test-config-XXXXXX";

static int load(struct config *c, const char *content, char *why, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	return config_load(c, path, why, size);
}

static void test_defaults(void **state)
{
	struct config c;
	char why[256];

	(void)state;
	assert_int_equal(load(&c, "# nothing\n", why, sizeof(why)), 0);
	assert_string_equal(c.device, "ratman0");
	assert_string_equal(c.api_bind, "127.0.0.1:5852");
	assert_int_equal(c.verbosity, LOG_INFO);
	assert_int_equal(c.inbound, RATMAN_POLICY_CONTACTS);
	assert_false(c.closed || c.has_group_secret || c.ephemeral);
	assert_int_equal(c.n_links + c.n_members + c.n_contacts, 0);
	assert_int_equal(c.max_clients, 1024);
	assert_int_equal(c.idle_timeout_s, 120);
	assert_int_equal(c.node_key, NODEKEY_AUTO);
	assert_string_equal(c.key_file, "");
	config_free(&c);
}

#define ADDR_A "0102-0304-0506-0708-090A-0B0C-0D0E-0F10-1112-1314-1516-1718-191A-1B1C-1D1E-1F20"

static void test_every_key(void **state)
{
	struct config c;
	char why[256];

	(void)state;
	assert_int_equal(load(&c,
			      "state_dir = \"/a\"\nruntime_dir = \"/b\"\ndevice = \"mesh1\"\n"
			      "api_bind = \"[::1]:9\"\nverbosity = \"trace\"\nlinks = {\"eth0\", \"w\"}\n"
			      "membership = \"closed\"\nmembers = {\"" ADDR_A "\"}\n"
			      "group_secret = \"00112233445566778899aabbccddeeff"
			      "00112233445566778899AABBCCDDEEFF\"\n"
			      "inbound = \"none\"\ncontacts = {\"" ADDR_A "\"}\nmax_clients = 7\n"
			      "idle_timeout = 9\nephemeral = true\nnode_key = \"passphrase\"\n"
			      "key_file = \"/k\"\n",
			      why, sizeof(why)),
			 0);
	assert_string_equal(c.state_dir, "/a");
	assert_string_equal(c.runtime_dir, "/b");
	assert_int_equal(c.verbosity, LOG_TRACE);
	assert_int_equal(c.n_links, 2);
	assert_string_equal(c.links[1], "w");
	assert_true(c.closed && c.has_group_secret && c.ephemeral);
	assert_int_equal(c.group_secret[1], 0x11);
	assert_int_equal(c.group_secret[31], 0xff);
	assert_int_equal(c.members[0].b[31], 0x20);
	assert_int_equal(c.n_contacts, 1);
	assert_int_equal(c.inbound, RATMAN_POLICY_NONE);
	assert_int_equal(c.max_clients + c.idle_timeout_s, 16);
	assert_int_equal(c.node_key, NODEKEY_PASSPHRASE);
	assert_string_equal(c.key_file, "/k");
	config_free(&c);
}

/* Each names the place and what would be right. */
static void test_mistakes(void **state)
{
	static const struct {
		const char *content, *says;
	} cases[] = {
		{ "verbosty = \"debug\"\n", "verbosty" },
		{ "\n\nverbosity = \"loud\"\n", ":3:" },
		{ "verbosity = \"loud\"\n", "\"trace\", \"debug\"" },
		{ "state_dir = \"here\"\n", "absolute" },
		{ "device = \"a name far too long\"\n", "interface name" },
		{ "links = {\"eth/0\"}\n", "interface name" },
		{ "members = {\"0102\"}\n", "not an address" },
		{ "group_secret = \"abc\"\n", "64 hex digits" },
		{ "inbound = \"some\"\n", "\"contacts\"" },
		{ "membership = \"closed\"\n", "needs members" },
		{ "max_clients = 0\n", "from 1 to 65536" },
		{ "max_clients = many\n", "max_clients" },
		{ "idle_timeout = 100000\n", "from 1 to 86400" },
		{ "node_key = \"cloud\"\n", "\"credential\"" },
		{ "key_file = \"here\"\n", "absolute" },
		{ "links = {\"eth0\"\n", "" },
		{ "\x01\x02\xff", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config c;
		char why[256] = "";

		assert_int_equal(load(&c, cases[i].content, why, sizeof(why)), -EINVAL);
		assert_true(why[0]);
		if (!strstr(why, cases[i].says))
			fail_msg("'%s' gives '%s', expected '%s'", cases[i].content, why,
				 cases[i].says);
	}
}

static void test_missing_file(void **state)
{
	struct config c;
	char why[256] = "";

	(void)state;
	assert_int_equal(config_load(&c, "/nonexistent/ratmand.conf", why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/ratmand.conf"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_missing_file),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0 || sodium_init() < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
