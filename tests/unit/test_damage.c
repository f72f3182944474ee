// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Damaged database files: whatever byte is wrong, the store either refuses to
 * open and says why, or opens without the damaged records and reports them;
 * never a crash, never a wrong value.
 *
 * DAMAGE_ALL=1 flips a bit in every byte instead of a sample.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "ratmand/store/store.h"

#define RECORDS 60
#define BLOCKS 6
#define PAGE 4096

static char dir[64];
static uv_loop_t loop;
static char why[512];
static uint8_t *image;
static size_t image_len;

static int setup(void **state)
{
	(void)state;
	/* In memory: thousands of files are written. */
	strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/test_damage.XXXXXX" : "/dev/shm/damage.XXXXXX");
	assert_non_null(mkdtemp(dir));
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	char cmd[96];

	(void)state;
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	free(image);
	image = NULL;
	return system(cmd);
}

static void close_store(struct store *s)
{
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
}

/* Record @i: its table, key and value follow from the number. */
static enum store_table record(uint32_t i, uint8_t key[48], size_t *key_len, uint8_t *value,
			       size_t *value_len)
{
	static const enum store_table tables[] = { STORE_SEEN, STORE_DONE, STORE_OUTBOX, STORE_INBOX };
	uint8_t seed[randombytes_SEEDBYTES] = { 0 };

	memcpy(seed, &i, sizeof(i));
	randombytes_buf_deterministic(key, 48, seed);
	seed[31] = 1;
	if (i < BLOCKS) {
		*key_len = 48;
		*value_len = i % 2 ? 9000 : 1024;
		randombytes_buf_deterministic(value, *value_len, seed);
		return STORE_BLOCKS;
	}
	*key_len = 32;
	*value_len = i % 4 < 2 ? 8 : 40 + i * 3;
	randombytes_buf_deterministic(value, *value_len, seed);
	return tables[i % 4];
}

static int put_record(struct store *s, uint32_t i)
{
	size_t key_len, value_len;
	enum store_table table;
	uint8_t key[48], value[9000];

	table = record(i, key, &key_len, value, &value_len);
	return store_put(s, table, key, key_len, value, value_len);
}

/* 0 right, otherwise what store_get() said; a wrong value fails the test. */
static int check_record(struct store *s, uint32_t i)
{
	uint8_t key[48], value[9000], got[9000];
	size_t key_len, value_len;
	enum store_table table;
	ssize_t n;

	table = record(i, key, &key_len, value, &value_len);
	n = store_get(s, table, key, key_len, got, sizeof(got));
	if (n < 0)
		return (int)n;
	assert_int_equal(n, value_len);
	assert_memory_equal(got, value, value_len);
	return 0;
}

static void read_image(const char *name)
{
	char path[96];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	image_len = (size_t)st.st_size;
	image = malloc(image_len);
	assert_int_equal(read(fd, image, image_len), image_len);
	close(fd);
}

static void write_file(const char *name, const uint8_t *data, size_t len)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* A store with a little of everything, written in several transactions and with pages freed. */
static void make_store(void)
{
	struct store *s;

	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
	for (uint32_t i = 0; i < RECORDS + 20; i++) {
		assert_int_equal(put_record(s, i), 0);
		if (i % 20 == 19)
			assert_int_equal(store_flush(s), 0);
	}
	for (uint32_t i = RECORDS; i < RECORDS + 20; i++) {
		uint8_t key[48], value[9000];
		size_t key_len, value_len;
		enum store_table table = record(i, key, &key_len, value, &value_len);

		assert_int_equal(store_del(s, table, key, key_len), 0);
	}
	assert_int_equal(store_flush(s), 0);
	close_store(s);
	read_image("state/data.mdb");
}

struct outcome {
	unsigned int refused, damaged, whole;
};

/* Every record right, or gone and reported. */
static void check_all(struct store *s, unsigned int *missing)
{
	*missing = 0;
	for (uint32_t i = 0; i < RECORDS; i++) {
		int err = check_record(s, i);

		if (err) {
			assert_true(err == -EBADMSG || err == -ENOENT);
			++*missing;
		}
	}
	if (*missing)
		assert_true(store_damaged(s) >= 1);
}

/* Opens what the directory holds and looks at everything; @write: goes on working with it. */
static void try_store(struct outcome *out, bool write)
{
	unsigned int missing, after;
	struct store *s = NULL;
	int err;

	why[0] = 0;
	err = store_open(&s, &loop, dir, NULL, why, sizeof(why));
	if (err) {
		assert_true(err == -EBADMSG || err == -EPROTO);
		assert_true(strlen(why) > 10);
		out->refused++;
		return;
	}
	check_all(s, &missing);
	if (missing)
		out->damaged++;
	else
		out->whole++;
	if (write) {
		for (uint32_t i = 1000; i < 1020; i++)
			assert_int_equal(put_record(s, i), 0);
		assert_int_equal(store_flush(s), 0);
		check_all(s, &after);
		assert_int_equal(after, missing);
		for (uint32_t i = 1000; i < 1020; i++)
			assert_int_equal(check_record(s, i), 0);
		close_store(s);
		assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
		check_all(s, &after);
		assert_int_equal(after, missing);
	}
	close_store(s);
}

static void say(const char *what, const struct outcome *o)
{
	printf("# %s: %u refused, %u without damaged records, %u harmless\n", what, o->refused,
	       o->damaged, o->whole);
}

static void test_flipped_bytes(void **state)
{
	struct outcome o = { 0 };
	size_t step, at;

	(void)state;
	make_store();
	/* A sample that comes by every offset within a page; the heads in full. */
	step = getenv("DAMAGE_ALL") ? 1 : image_len / 2500 | 1;
	for (at = 0; at < image_len; at += at % PAGE < 200 && at < 2 * PAGE ? 1 : step) {
		uint8_t was = image[at];

		image[at] ^= (uint8_t)(1u << at % 8);
		write_file("state/data.mdb", image, image_len);
		try_store(&o, at % 5 == 0);
		image[at] = was;
	}
	say("bits flipped", &o);
	assert_true(o.refused > 100 && o.damaged > 100 && o.whole > 100);
}

/* Bytes of page headers and entry offsets, where LMDB would follow anything. */
static void test_flipped_structure(void **state)
{
	struct outcome o = { 0 };

	(void)state;
	make_store();
	for (size_t page = 0; page < image_len / PAGE; page++) {
		for (size_t i = 0; i < 32; i += getenv("DAMAGE_ALL") ? 1 : 3) {
			size_t at = page * PAGE + (i + page) % 32;
			uint8_t was = image[at];

			for (unsigned int round = 0; round < 2; round++) {
				image[at] = (uint8_t)(round ? ~was : was + 1);
				write_file("state/data.mdb", image, image_len);
				try_store(&o, true);
			}
			image[at] = was;
		}
	}
	say("structure", &o);
	assert_true(o.refused > 100);
}

static void test_pages_mixed_up(void **state)
{
	size_t pages;
	struct outcome o = { 0 };
	uint8_t *copy;

	(void)state;
	make_store();
	pages = image_len / PAGE;
	copy = malloc(image_len);
	for (size_t i = 0; i < pages; i++) {
		size_t j = (i * 7 + 3) % pages;

		memcpy(copy, image, image_len);
		memcpy(copy + i * PAGE, image + j * PAGE, PAGE);
		write_file("state/data.mdb", copy, image_len);
		try_store(&o, true);
		memcpy(copy + i * PAGE, image + j * PAGE, PAGE);
		memcpy(copy + j * PAGE, image + i * PAGE, PAGE);
		write_file("state/data.mdb", copy, image_len);
		try_store(&o, true);
		memcpy(copy, image, image_len);
		memset(copy + i * PAGE, 0, PAGE);
		write_file("state/data.mdb", copy, image_len);
		try_store(&o, true);
		randombytes_buf(copy + i * PAGE, PAGE);
		write_file("state/data.mdb", copy, image_len);
		try_store(&o, true);
	}
	free(copy);
	say("pages mixed up", &o);
	assert_true(o.refused > pages);
}

static void test_cut_short(void **state)
{
	struct outcome o = { 0 };

	(void)state;
	make_store();
	for (size_t len = 1; len < image_len; len += 1021) {
		write_file("state/data.mdb", image, len);
		try_store(&o, true);
	}
	say("cut short", &o);
	assert_int_equal(o.damaged, 0);
	assert_true(o.refused > image_len / 1021 / 2);
}

/* A damaged cache costs nothing but the cache. */
static void test_cache(void **state)
{
	uint8_t value[16];
	struct store *s;

	(void)state;
	for (int round = 0; round < 3; round++) {
		assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
		assert_int_equal(store_get(s, STORE_PEERS, "peer", 4, value, sizeof(value)), -ENOENT);
		assert_int_equal(store_put(s, STORE_PEERS, "peer", 4, "seen", 4), 0);
		if (!round)
			assert_int_equal(put_record(s, 7), 0);
		close_store(s);
		assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
		assert_int_equal(store_get(s, STORE_PEERS, "peer", 4, value, sizeof(value)), 4);
		assert_int_equal(check_record(s, 7), 0);
		close_store(s);
		read_image("cache/data.mdb");
		if (round == 0)
			memset(image + 2 * PAGE, 0, image_len - 2 * PAGE);
		else
			memset(image, 0x5a, image_len / 2);
		write_file("cache/data.mdb", image, image_len);
		free(image);
		image = NULL;
	}
}

static void test_node_key(void **state)
{
	struct store *s;
	char path[96];

	(void)state;
	make_store();
	free(image);
	read_image("node.key");
	assert_int_equal(image_len, 65);
	image[11] = image[11] == 'a' ? 'b' : 'a';
	write_file("node.key", image, image_len);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -EKEYREJECTED);
	assert_non_null(strstr(why, "node.key"));
	image[11] = 'x';
	write_file("node.key", image, image_len);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -EINVAL);
	write_file("node.key", image, 10);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -EINVAL);
	snprintf(path, sizeof(path), "%s/node.key", dir);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -EACCES);
	assert_non_null(strstr(why, "open to others"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -ENOKEY);
	assert_non_null(strstr(why, "missing"));
	/* Nothing was made in its place. */
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flipped_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped_structure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages_mixed_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(test_node_key, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
