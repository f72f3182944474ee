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
	assert_int_equal(c.node_key, NODEKEY_AUTO);
	assert_string_equal(c.key_file, "");
	assert_int_equal(c.file_accept, 16 << 20);
	assert_int_equal(c.file_accept_total, 1 << 30);
	assert_string_equal(c.api_socket, "/run/ratman/api.sock");
	assert_int_equal(c.api_socket_mode, 0666);
	assert_true(c.api_socket_gid == (gid_t)-1);
	assert_int_equal(c.limits.clients, 1024);
	assert_int_equal(c.limits.idle_ms, 120000);
	assert_int_equal(c.limits.first_frame_ms, 5000);
	assert_int_equal(c.limits.auth_failures, 8);
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
			      "idle_timeout = 9\nephemeral = true\napi_socket = \"/x/y\"\n"
			      "api_socket_mode = \"0640\"\napi_socket_group = \"root\"\n"
			      "node_key = \"passphrase\"\nkey_file = \"/k\"\n"
			      "file_accept = 5\nfile_accept_total = 5000000000\n",
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
	assert_int_equal(c.node_key, NODEKEY_PASSPHRASE);
	assert_string_equal(c.key_file, "/k");
	assert_int_equal(c.file_accept, 5);
	assert_true(c.file_accept_total == 5000000000);
	assert_int_equal(c.limits.clients, 7);
	assert_int_equal(c.limits.idle_ms, 9000);
	assert_string_equal(c.api_socket, "/x/y");
	assert_int_equal(c.api_socket_mode, 0640);
	assert_int_equal(c.api_socket_gid, 0);
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
		{ "\nmax_payload = 65537\n", ":2: max_payload = 65537: must be from 512 to 65536 bytes" },
		{ "max_header = 38\n", "from 39 to 64 bytes" },
		{ "send_grace = -1\n", "from 0 to 60 seconds" },
		{ "max_write_queue_total = 99999999999\n", "max_write_queue_total" },
		{ "api_socket = \"run/here\"\n", "absolute path, or a name in runtime_dir" },
		{ "api_socket_mode = \"rw\"\n", "octal" },
		{ "api_socket_mode = \"1777\"\n", "octal" },
		{ "api_socket_group = \"no such group\"\n", "no such group" },
		{ "idle_timeout = 100000\n", "from 1 to 86400" },
		{ "node_key = \"cloud\"\n", "\"credential\"" },
		{ "key_file = \"here\"\n", "absolute" },
		{ "file_accept = -1\n", "0 or more" },
		{ "file_accept_total = -1\n", "0 or more" },
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

/* One below and one above each limit is refused by name and range; both ends are taken. */
static void test_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < API_LIMIT_KEYS; i++) {
		const struct api_limit_key *key = &api_limit_keys[i];
		const long values[] = { (long)key->min - 1, key->min, key->max, (long)key->max + 1 };
		struct config c;

		for (size_t k = 0; k < 4; k++) {
			bool good = k == 1 || k == 2;
			char line[64], range[64], why[256];

			snprintf(line, sizeof(line), "%s = %ld\n", key->name, values[k]);
			snprintf(range, sizeof(range), "from %u to %u %s", key->min, key->max,
				 key->unit);
			assert_int_equal(load(&c, line, why, sizeof(why)), good ? 0 : -EINVAL);
			if (good) {
				assert_int_equal(*api_limit_value(&c.limits, key),
						 values[k] * key->scale);
				config_free(&c);
			} else {
				assert_non_null(strstr(why, key->name));
				assert_non_null(strstr(why, range));
				assert_non_null(strstr(why, ":1:"));
			}
		}
	}
}

/* No Unix socket when it is switched off; in the runtime directory when it has a bare name. */
static void test_socket_path(void **state)
{
	struct config c;
	char why[256];

	(void)state;
	assert_int_equal(load(&c, "api_socket = \"\"\n", why, sizeof(why)), 0);
	assert_null(c.api_socket);
	config_free(&c);
	assert_int_equal(load(&c, "runtime_dir = \"/r\"\napi_socket = \"s\"\n", why, sizeof(why)), 0);
	assert_string_equal(c.api_socket, "/r/s");
	config_free(&c);
}

static char *slurp(const char *file)
{
	FILE *f = fopen(file, "r");
	char *text = calloc(1, 1 << 16);

	if (!f)
		fail_msg("%s: run from the top of the tree", file);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	return text;
}

struct pages {
	char *manual, *sample;
};

static void is_written_down(void *ctx, const char *key, const char *value)
{
	struct pages *pages = ctx;
	char line[256];

	snprintf(line, sizeof(line), "\n# %s = %s\n", key, value);
	if (!strstr(pages->sample, line) && strcmp(key, "links"))
		fail_msg("scripts/package/ratmand.conf lacks the line: %s", line + 1);
	if (value[0] == '"')
		snprintf(line, sizeof(line), ".It Cm %s No = Qq %.*s\n", key,
			 (int)strlen(value) - 2, value + 1);
	else if (value[0] == '{')
		snprintf(line, sizeof(line), ".It Cm %s No = Brq\n", key);
	else
		snprintf(line, sizeof(line), ".It Cm %s No = %s\n", key, value);
	for (char *end = line + strlen(line); end - 2 > line && end[-2] == ' '; end--)
		strcpy(end - 2, "\n");
	if (!strstr(pages->manual, line))
		fail_msg("ratmand.conf(5) lacks the line: %s", line);
}

/* Every key stands in the manual and in the sample file, with its default. */
static void test_documented(void **state)
{
	struct pages pages = {
		.manual = slurp("Documentation/man/ratmand.conf.5"),
		.sample = slurp("scripts/package/ratmand.conf"),
	};

	(void)state;
	config_each_key(is_written_down, &pages);
	free(pages.manual);
	free(pages.sample);
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
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_socket_path),
		cmocka_unit_test(test_documented),
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
