// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The power goes: what LMDB wrote and did not sync may be lost or torn.
 *
 * Every write to the database file and every sync passes through here and is
 * recorded. Then the file is built as a power cut at any moment could have left
 * it: what was synced is there; of what was written since, each sector of 512
 * bytes is there or not, by lot. Such a store must open, hold everything that
 * was acknowledged before the cut, and of the rest a prefix.
 *
 * Errors of the disk are made up here, too: writes and syncs that fail.
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "ratmand/store/store.h"

#define SECTOR 512
#define CUTS 120

/* What happened to the file, in order. */
struct event {
	enum { WRITE, SYNC, ACKNOWLEDGED } kind;
	uint64_t at;		/* WRITE: offset */
	uint8_t *data;		/* WRITE */
	size_t len;
	bool durable;		/* WRITE: through O_DSYNC */
	uint32_t last;		/* ACKNOWLEDGED: highest record */
};

static char dir[64];
static uv_loop_t loop;
static char why[512];
static struct event *events;
static size_t n_events, room;
static uint64_t file_dev, file_ino;
static bool recording;
static int fail_with;		/* errno of the next writes and syncs */
static bool no_shared_maps;

static struct event *add(int kind)
{
	if (n_events == room) {
		room = room ? 2 * room : 1024;
		events = realloc(events, room * sizeof(*events));
		assert_non_null(events);
	}
	events[n_events] = (struct event){ .kind = kind };
	return &events[n_events++];
}

static bool is_watched(int fd)
{
	struct stat st;

	return (recording || fail_with) && !fstat(fd, &st) && st.st_ino == file_ino &&
	       st.st_dev == file_dev;
}

static void note_write(int fd, const void *data, size_t len, uint64_t at)
{
	struct event *e = add(WRITE);

	e->at = at;
	e->len = len;
	e->data = malloc(len);
	memcpy(e->data, data, len);
	e->durable = fcntl(fd, F_GETFL) & O_DSYNC;
}

/* These stand before libc's for liblmdb, too, which must see them. */
#pragma GCC visibility push(default)
ssize_t pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	bool watched = is_watched(fd);
	ssize_t n;

	if (watched && fail_with) {
		errno = fail_with;
		return -1;
	}
	n = syscall(SYS_pwrite64, fd, data, len, at);
	if (watched && recording && n > 0)
		note_write(fd, data, (size_t)n, (uint64_t)at);
	return n;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n_iov, off_t at);
ssize_t pwritev(int fd, const struct iovec *iov, int n_iov, off_t at)
{
	ssize_t total = 0;

	for (int i = 0; i < n_iov; i++) {
		ssize_t n = pwrite(fd, iov[i].iov_base, iov[i].iov_len, at + total);

		if (n < 0)
			return total ? total : n;
		total += n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	return total;
}

ssize_t writev(int fd, const struct iovec *iov, int n_iov);
ssize_t writev(int fd, const struct iovec *iov, int n_iov)
{
	off_t at;
	ssize_t n;

	if (!is_watched(fd))
		return syscall(SYS_writev, fd, iov, n_iov);
	at = lseek(fd, 0, SEEK_CUR);
	n = pwritev(fd, iov, n_iov, at);
	if (n > 0)
		lseek(fd, n, SEEK_CUR);
	return n;
}

int fdatasync(int fd);
int fdatasync(int fd)
{
	bool watched = is_watched(fd);

	if (watched && fail_with) {
		errno = fail_with;
		return -1;
	}
	if (watched && recording)
		add(SYNC);
	/* The real disk does not matter here. */
	return 0;
}

/* As JFFS2 does it: no shared mapping of a file that is open for writing. */
void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at);
void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
	if (no_shared_maps && fd >= 0 && flags & MAP_SHARED &&
	    (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, at);
}
#pragma GCC visibility pop

static int setup(void **state)
{
	(void)state;
	strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/test_powercut.XXXXXX" :
					       "/dev/shm/powercut.XXXXXX");
	assert_non_null(mkdtemp(dir));
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	char cmd[96];

	(void)state;
	recording = false;
	fail_with = 0;
	for (size_t i = 0; i < n_events; i++)
		free(events[i].data);
	free(events);
	events = NULL;
	n_events = room = 0;
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void watch(void)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "%s/state/data.mdb", dir);
	assert_int_equal(stat(path, &st), 0);
	file_dev = st.st_dev;
	file_ino = st.st_ino;
}

/* Reads the file as it is, the beginning of what is recorded. */
static uint8_t *read_file(size_t *len)
{
	char path[96];
	struct stat st;
	uint8_t *data;
	int fd;

	snprintf(path, sizeof(path), "%s/state/data.mdb", dir);
	fd = open(path, O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	data = malloc(*len);
	assert_int_equal(read(fd, data, *len), *len);
	close(fd);
	return data;
}

/* Record @i replaces record i - 100 by being put under the same key, too. */
static int put(struct store *s, uint32_t i)
{
	uint32_t slot = i % 100;
	uint8_t value[3000];
	int err;

	memset(value, (int)i, sizeof(value));
	memcpy(value, &i, sizeof(i));
	err = store_put(s, STORE_DONE, &i, sizeof(i), value, 40);
	return err ? err : store_put(s, STORE_OUTBOX, &slot, sizeof(slot), value,
				     100 + i * 37 % 2900);
}

static void on_done(void *ctx, int err)
{
	uint32_t *last = ctx;

	assert_int_equal(err, 0);
	add(ACKNOWLEDGED)->last = *last;
	free(last);
}

struct image {
	uint8_t *data;
	size_t len;
};

static void image_write(struct image *im, uint64_t at, const uint8_t *data, size_t len)
{
	if (at + len > im->len) {
		im->data = realloc(im->data, at + len);
		memset(im->data + im->len, 0, at + len - im->len);
		im->len = at + len;
	}
	memcpy(im->data + at, data, len);
}

/* Applies events before @cut as a disk might have that lost its power then; tells what was promised. */
static int64_t apply(struct image *im, size_t cut, unsigned int keep_percent)
{
	int64_t promised = -1;
	size_t synced = 0;

	for (size_t i = 0; i < cut; i++) {
		if (events[i].kind == SYNC)
			synced = i;
		else if (events[i].kind == ACKNOWLEDGED)
			promised = events[i].last;
	}
	for (size_t i = 0; i < cut; i++) {
		const struct event *e = &events[i];

		if (e->kind != WRITE)
			continue;
		if (i < synced || e->durable) {
			image_write(im, e->at, e->data, e->len);
			continue;
		}
		for (size_t at = 0; at < e->len;) {
			size_t n = SECTOR - (e->at + at) % SECTOR;

			if (n > e->len - at)
				n = e->len - at;
			if (randombytes_uniform(100) < keep_percent)
				image_write(im, e->at + at, e->data + at, n);
			at += n;
		}
	}
	return promised;
}

/* Everything up to @promised is there; of the rest a prefix, and nothing else. */
static void check(int64_t promised, uint32_t total)
{
	struct store *s;
	uint32_t i, there = 0;

	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
	assert_int_equal(store_damaged(s), 0);
	for (i = 0; i < total; i++) {
		uint8_t value[40];
		ssize_t n = store_get(s, STORE_DONE, &i, sizeof(i), value, sizeof(value));

		if (n == -ENOENT)
			break;
		assert_int_equal(n, 40);
		assert_memory_equal(value, &i, sizeof(i));
		there++;
	}
	assert_true((int64_t)there > promised);
	for (; i < total; i++)
		assert_false(store_has(s, STORE_DONE, &i, sizeof(i)));
	for (uint32_t slot = 0; slot < 100 && slot < there; slot++) {
		uint32_t last = (there - 1 - slot) / 100 * 100 + slot, got;
		uint8_t value[3000];

		assert_int_equal(store_get(s, STORE_OUTBOX, &slot, sizeof(slot), value, sizeof(value)),
				 100 + last * 37 % 2900);
		memcpy(&got, value, sizeof(got));
		assert_int_equal(got, last);
	}
	assert_int_equal(put(s, total), 0);
	assert_int_equal(store_flush(s), 0);
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void test_cuts(void **state)
{
	uint32_t total = 0;
	size_t base_len;
	struct store *s;
	char path[96];
	uint8_t *base;

	(void)state;
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
	watch();
	base = read_file(&base_len);
	recording = true;
	for (int round = 0; round < 60; round++) {
		unsigned int n = 1 + randombytes_uniform(20);

		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(put(s, total++), 0);
			if (randombytes_uniform(4) == 0) {
				uint32_t *last = malloc(sizeof(*last));

				*last = total - 1;
				store_commit(s, on_done, last);
			}
		}
		uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(store_flush(s), 0);
	recording = false;
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(n_events > 200);
	snprintf(path, sizeof(path), "%s/state/data.mdb", dir);
	for (int round = 0; round < CUTS; round++) {
		static const unsigned int keep[] = { 0, 30, 70, 100 };
		struct image im = { malloc(base_len), base_len };
		int64_t promised;
		int fd;

		memcpy(im.data, base, base_len);
		promised = apply(&im, randombytes_uniform((uint32_t)n_events + 1), keep[round % 4]);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, im.data, im.len), im.len);
		close(fd);
		free(im.data);
		check(promised, total);
	}
	free(base);
}

static void on_failed(void *ctx, int err)
{
	*(int *)ctx = err;
}

/* A disk that refuses: writes fail, reads go on, nothing that was there is lost. */
static void test_refusals(void **state)
{
	static const struct {
		int refusal, seen;
		bool comes_back;
	} cases[] = {
		{ EIO, -EIO, false },
		{ EROFS, -EROFS, false },
		{ ENOSPC, -ENOSPC, true },
		{ EDQUOT, -ENOSPC, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t key = (uint32_t)i;
		uint8_t value[40];
		struct store *s;
		int done = 1;

		assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
		watch();
		assert_int_equal(put(s, key), 0);
		assert_int_equal(store_flush(s), 0);
		fail_with = cases[i].refusal;
		assert_int_equal(put(s, 1000 + key), 0);
		store_commit(s, on_failed, &done);
		while (done == 1)
			uv_run(&loop, UV_RUN_ONCE);
		assert_int_equal(done, cases[i].seen);
		assert_int_equal(put(s, 2000), cases[i].seen);
		for (uint32_t k = 0; k <= key; k++)
			assert_int_equal(store_get(s, STORE_DONE, &k, sizeof(k), value, 40), 40);
		fail_with = 0;
		key += 1000;
		assert_false(store_has(s, STORE_DONE, &key, sizeof(key)));
		assert_int_equal(put(s, 2000), cases[i].seen);
		store_close(s);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
}

static void test_no_shared_maps(void **state)
{
	struct store *s;

	(void)state;
	no_shared_maps = true;
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -ENOTSUP);
	no_shared_maps = false;
	assert_non_null(strstr(why, "cannot map files"));
	assert_non_null(strstr(why, "ephemeral"));
	/* Nothing is in the way of another try elsewhere. */
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cuts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_shared_maps, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
