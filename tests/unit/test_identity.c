// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Identity files, words nearly right, and addresses as people write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/identity.h"
#include "tools/resolve.h"
#include "tools/suggest.h"
#include "unit/scratch.h"

static char dir[SCRATCH_LEN];
static char why[512];

static int setup(void **state)
{
	(void)state;
	scratch_make(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

static const char *path(const char *name)
{
	static char out[PATH_MAX + 64];

	snprintf(out, sizeof(out), "%s/%s", dir, name);
	return out;
}

static struct identity sample(uint8_t first)
{
	struct identity id = { .session = false };

	for (uint8_t i = 0; i < 32; i++) {
		id.address.b[i] = (uint8_t)(first + i);
		id.token.b[i] = (uint8_t)(0xa1 + i);
	}
	return id;
}

static void round_trip(void **state)
{
	struct identity id = sample(1), back;
	struct stat st;

	(void)state;
	for (int i = 0; i < 4; i++) {
		const char *p = path(i % 2 ? "a/b/json" : "a/b/lines");

		/* The second time that of a session takes its place. */
		id.session = i >= 2;
		memset(&back, 0, sizeof(back));
		assert_int_equal(identity_save(p, &id, i % 2, i >= 2, why, sizeof(why)), 0);
		assert_int_equal(stat(p, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(identity_load(p, &back, why, sizeof(why)), 0);
		assert_memory_equal(&back, &id, sizeof(id));
	}
	assert_int_equal(stat(path("a"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void replacing(void **state)
{
	struct identity one = sample(1), two = sample(2), back;
	const char *p = path("keep");

	(void)state;
	assert_int_equal(identity_save(p, &one, false, false, why, sizeof(why)), 0);
	assert_int_equal(identity_save(p, &two, false, false, why, sizeof(why)), -EEXIST);
	assert_int_equal(identity_load(p, &back, why, sizeof(why)), 0);
	assert_memory_equal(&back, &one, sizeof(one));
	assert_int_equal(identity_save(p, &two, true, true, why, sizeof(why)), 0);
	assert_int_equal(identity_load(p, &back, why, sizeof(why)), 0);
	assert_memory_equal(&back, &two, sizeof(two));
}

static void write_file(const char *p, const char *text, mode_t mode)
{
	FILE *f = fopen(p, "w");

	fputs(text, f);
	fclose(f);
	chmod(p, mode);
}

#define ADDR "0102-0304-0506-0708-090A-0B0C-0D0E-0F10-1112-1314-1516-1718-191A-1B1C-1D1E-1F20"
#define AUTH "a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0"

static void forms(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{ "addr=" ADDR "\nauth=" AUTH "\n", 0 },
		{ "addr=" ADDR "\r\nauth=" AUTH, 0 },
		{ "auth=" AUTH "\naddr=" ADDR "\n", 0 },
		{ ADDR "\n" AUTH "\n", 0 },
		{ "\n {\"auth\":\"" AUTH "\", \"x\":[1], \"addr\":\"" ADDR "\"}", 0 },
		{ "", -EINVAL },
		{ "addr=" ADDR "\n", -EINVAL },
		{ "addr=" ADDR "\nauth=zz\n", -EINVAL },
		{ "{\"addr\":\"" ADDR "\"}", -EINVAL },
		{ "{\"addr\":1,\"auth\":null}", -EINVAL },
		{ "{\"addr\":", -EINVAL },
		{ "[]", -EINVAL },
	};
	struct identity id = sample(1), back;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *p = path("form");

		write_file(p, rows[i].text, 0600);
		assert_int_equal(identity_load(p, &back, why, sizeof(why)), rows[i].err);
		if (!rows[i].err)
			assert_memory_equal(&back, &id, sizeof(id));
	}
}

static void refusals(void **state)
{
	struct identity back;
	const char *p = path("open");

	(void)state;
	assert_int_equal(identity_load(path("none"), &back, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "ratctl addr create"));
	write_file(p, "addr=" ADDR "\nauth=" AUTH "\n", 0600);
	assert_int_equal(identity_load(p, &back, why, sizeof(why)), 0);
	assert_string_equal(why, "");
	/* What a shell's redirection makes is usable, with a warning. */
	for (mode_t mode = 01; mode < 0100; mode <<= 1) {
		chmod(p, 0600 | mode);
		assert_int_equal(identity_load(p, &back, why, sizeof(why)), 0);
		assert_non_null(strstr(why, "chmod 600"));
		assert_null(strstr(why, "a1a2"));
	}
	assert_int_equal(identity_load(dir, &back, why, sizeof(why)), -EINVAL);
}

/* What is wrong with a file is said by name, never with its token. */
static void damaged(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{ "", "empty" },
		{ " \n\n", "empty" },
		{ "addr=" ADDR "\n", "token (auth) is missing" },
		{ "auth=" AUTH "\n", "address (addr)" },
		{ "addr=" ADDR "\nauth=a1a2a3\n", "token (auth) is damaged" },
		{ "addr=0102\nauth=" AUTH "\n", "address (addr) is damaged" },
		{ "{\"addr\":\"" ADDR "\"}", "token (auth) is missing" },
		{ "{\"addr\":\"" ADDR "\", \"auth\":\"a1a2a3", "JSON" },
		{ "pubkey=" ADDR "\nprivkey=" AUTH "\n", "namespace" },
	};
	struct identity back;
	const char *p = path("damaged");
	FILE *f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(p, rows[i].text, 0600);
		assert_int_equal(identity_load(p, &back, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, rows[i].said));
		assert_null(strstr(why, "a1a2"));
	}
	f = fopen(p, "w");
	for (int i = 0; i < 5000; i++)
		fputc("addr="[i % 5], f);
	fclose(f);
	assert_int_equal(identity_load(p, &back, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "too long"));
	f = fopen(p, "w");
	fwrite("addr=\0x\n", 1, 8, f);
	fclose(f);
	assert_int_equal(identity_load(p, &back, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "no text"));
}

static void default_path(void **state)
{
	char out[PATH_MAX];

	(void)state;
	setenv("XDG_CONFIG_HOME", "/x", 1);
	setenv("HOME", "/h", 1);
	assert_int_equal(identity_default_path("id", out, sizeof(out)), 0);
	assert_string_equal(out, "/x/ratcat/id");
	unsetenv("XDG_CONFIG_HOME");
	assert_int_equal(identity_default_path("work", out, sizeof(out)), 0);
	assert_string_equal(out, "/h/.config/ratcat/work");
	assert_int_equal(identity_default_path("../x", out, sizeof(out)), -EINVAL);
	assert_int_equal(identity_default_path("", out, sizeof(out)), -EINVAL);
	assert_int_equal(identity_default_path("id", out, 5), -ENAMETOOLONG);
	unsetenv("HOME");
	assert_int_equal(identity_default_path("id", out, sizeof(out)), -ENOENT);
}

#define LONG_WORD "0123456789abcdef0123456789abcdef0123456789abcdef"

static void suggestions(void **state)
{
	static const char *const words[] = { "status", "addr", "link", "neigh", "route", "peers" };

	(void)state;
	assert_string_equal(suggest_nearest("staus", words, 6), "status");
	assert_string_equal(suggest_nearest("PEER", words, 6), "peers");
	assert_string_equal(suggest_nearest("nieghb", words, 6), "neigh");
	assert_null(suggest_nearest("completely", words, 6));
	assert_null(suggest_nearest("x", words, 6));
	/* The longest words that are compared. */
	assert_non_null(suggest_nearest(LONG_WORD, (const char *[]){ LONG_WORD "x" }, 1) ?:
			suggest_nearest(LONG_WORD, (const char *[]){ LONG_WORD }, 1));
	assert_string_equal(suggest_complete("st", words, 6), "status");
	assert_string_equal(suggest_complete("addr", words, 6), "addr");
	assert_null(suggest_complete("z", words, 6));
	assert_null(suggest_complete("", words, 6));
}

static void resolving(void **state)
{
	struct address known[3], out;
	char ip[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	(void)state;
	known[0] = sample(1).address;
	known[1] = sample(1).address;
	known[1].b[1] = 0x77;
	known[2] = sample(0x50).address;
#define RESOLVE(t) resolve_address(t, known, 3, &out, why, sizeof(why))
	assert_int_equal(RESOLVE(ADDR), 0);
	assert_int_equal(resolve_address(ADDR, NULL, 0, &out, why, sizeof(why)), 0);
	assert_int_equal(RESOLVE("50"), 0);
	assert_true(address_equal(&out, &known[2]));
	assert_int_equal(RESOLVE("5"), 0);
	assert_int_equal(RESOLVE("01"), -ENOTUNIQ);
	assert_string_equal(why, "'01' fits several addresses (0102-0304…1F20, 0177-0304…1F20): "
				 "write more of it");
	assert_int_equal(RESOLVE("5051-5352"), -ENOENT);
	assert_non_null(strstr(why, "did you mean 5051-5253…6E6F?"));
	assert_int_equal(RESOLVE("5051…6e6g"), -ENOENT);
	assert_int_equal(RESOLVE("505l-5253-5455"), -EINVAL);
	assert_non_null(strstr(why, "did you mean 5051-5253…6E6F?"));
	assert_int_equal(RESOLVE("0177"), 0);
	assert_int_equal(RESOLVE("0102-03"), 0);
	assert_true(address_equal(&out, &known[0]));
	assert_int_equal(RESOLVE("5051…6e6f"), 0);
	assert_int_equal(RESOLVE("5051..6e6e"), -ENOENT);
	assert_int_equal(RESOLVE("ff"), -ENOENT);
	assert_int_equal(RESOLVE("hello"), -EINVAL);
	assert_null(strstr(why, "did you mean"));
	assert_non_null(strstr(why, "ratctl peers list"));
	assert_int_equal(RESOLVE(""), -EINVAL);
	address_to_ipv6(&known[1], &in6);
	inet_ntop(AF_INET6, &in6, ip, sizeof(ip));
	assert_int_equal(RESOLVE(ip), 0);
	assert_true(address_equal(&out, &known[1]));
	assert_int_equal(RESOLVE("fe80::1"), -ENOENT);
	assert_int_equal(RESOLVE("fe80::zz"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(replacing), cmocka_unit_test(forms),
		cmocka_unit_test(refusals), cmocka_unit_test(damaged), cmocka_unit_test(default_path),
		cmocka_unit_test(suggestions), cmocka_unit_test(resolving),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
