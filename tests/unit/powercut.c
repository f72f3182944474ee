// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "unit/powercut.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512
/* Bytes of LMDB's two heads. */
#define HEADS 8192

/* What happened to the file, in order. */
struct event {
	enum { WRITE, SYNC, ACKNOWLEDGED } kind;
	uint64_t at;		/* WRITE: offset */
	uint8_t *data;		/* WRITE; owned */
	size_t len;
	bool durable;		/* WRITE: through O_DSYNC */
	uint32_t n;		/* ACKNOWLEDGED */
};

/* The file, as a cut leaves it. */
struct image {
	uint8_t *data;
	size_t len;
};

int powercut_errno;
unsigned int powercut_errno_after;
bool powercut_no_shared_maps;

static char path[128];
static dev_t file_dev;
static ino_t file_ino;
static bool recording;
static struct image base;
static struct event *events;
static size_t n_events, room;
/* Commits are in the pool, answers on the loop. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void add(struct event e)
{
	pthread_mutex_lock(&lock);
	if (n_events == room) {
		room = room ? 2 * room : 1024;
		events = realloc(events, room * sizeof(*events));
		if (!events)
			abort();
	}
	events[n_events++] = e;
	pthread_mutex_unlock(&lock);
}

static bool is_watched(int fd)
{
	struct stat st;

	return (recording || powercut_errno) && !fstat(fd, &st) && st.st_ino == file_ino &&
	       st.st_dev == file_dev;
}

/*
 * True, and errno says why, when the write at @at (or a sync, SIZE_MAX) is to fail. The heads of the
 * file are in their place since it was made: there is room for them.
 */
static bool fails(uint64_t at)
{
	if (!powercut_errno || (powercut_errno == ENOSPC && at < HEADS))
		return false;
	if (powercut_errno_after) {
		powercut_errno_after--;
		return false;
	}
	errno = powercut_errno;
	return true;
}

static void note_write(int fd, const void *data, size_t len, uint64_t at)
{
	struct event e = { .kind = WRITE, .at = at, .len = len, .data = malloc(len) };

	memcpy(e.data, data, len);
	e.durable = fcntl(fd, F_GETFL) & O_DSYNC;
	add(e);
}

/* These stand before libc's for liblmdb, too, which must see them. */
#pragma GCC visibility push(default)
ssize_t pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	bool watched = is_watched(fd);
	ssize_t n;

	if (watched && fails((uint64_t)at))
		return -1;
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

	if (watched && fails(SIZE_MAX))
		return -1;
	if (watched && recording)
		add((struct event){ .kind = SYNC });
	/* The real disk does not matter here. */
	return 0;
}

int fstatvfs(int fd, struct statvfs *st);
int fstatvfs(int fd, struct statvfs *st)
{
	int (*real)(int fd, struct statvfs *st) = (int (*)(int, struct statvfs *))
						  dlsym(RTLD_NEXT, "fstatvfs");
	int err = real(fd, st);

	/* A write may have been cut short before one was refused. */
	if (powercut_errno == ENOSPC)
		st->f_bavail = 0;
	return err;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at);
void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
	if (powercut_no_shared_maps && fd >= 0 && flags & MAP_SHARED &&
	    (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, at);
}
#pragma GCC visibility pop

void powercut_watch(const char *file)
{
	struct stat st;

	assert_true(strlen(file) < sizeof(path));
	strcpy(path, file);
	assert_int_equal(stat(path, &st), 0);
	file_dev = st.st_dev;
	file_ino = st.st_ino;
}

void powercut_begin(void)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_int_equal(fstat(fd, &st), 0);
	base.len = (size_t)st.st_size;
	base.data = malloc(base.len);
	assert_int_equal(read(fd, base.data, base.len), base.len);
	close(fd);
	recording = true;
}

void powercut_end(void)
{
	recording = false;
}

void powercut_reset(void)
{
	recording = false;
	powercut_errno = 0;
	powercut_errno_after = 0;
	for (size_t i = 0; i < n_events; i++)
		free(events[i].data);
	free(events);
	events = NULL;
	n_events = room = 0;
	free(base.data);
	base = (struct image){ NULL, 0 };
}

void powercut_acknowledge(uint32_t n)
{
	if (recording)
		add((struct event){ .kind = ACKNOWLEDGED, .n = n });
}

size_t powercut_moments(void)
{
	return n_events + 1;
}

static void image_write(struct image *im, uint64_t at, const uint8_t *data, size_t len)
{
	if (at + len > im->len) {
		im->data = realloc(im->data, at + len);
		memset(im->data + im->len, 0, at + len - im->len);
		im->len = at + len;
	}
	memcpy(im->data + at, data, len);
}

/* A write that was not synced: each sector for itself. */
static void image_tear(struct image *im, const struct event *e, unsigned int keep)
{
	for (size_t at = 0; at < e->len;) {
		size_t n = SECTOR - (e->at + at) % SECTOR;

		if (n > e->len - at)
			n = e->len - at;
		if (randombytes_uniform(100) < keep)
			image_write(im, e->at + at, e->data + at, n);
		at += n;
	}
}

static void write_file(const struct image *im)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, im->data, im->len), im->len);
	close(fd);
}

void powercut_make(size_t cut, unsigned int keep, void (*acknowledged)(void *ctx, uint32_t n),
		   void *ctx)
{
	struct image im = { malloc(base.len), base.len };
	size_t synced = 0;

	memcpy(im.data, base.data, base.len);
	for (size_t i = 0; i < cut; i++) {
		if (events[i].kind == SYNC)
			synced = i;
		else if (events[i].kind == ACKNOWLEDGED)
			acknowledged(ctx, events[i].n);
	}
	for (size_t i = 0; i < cut; i++) {
		const struct event *e = &events[i];

		if (e->kind != WRITE)
			continue;
		if (i < synced || e->durable)
			image_write(&im, e->at, e->data, e->len);
		else
			image_tear(&im, e, keep);
	}
	write_file(&im);
	free(im.data);
}

void powercut_flip(void)
{
	size_t at = HEADS + randombytes_uniform((uint32_t)(base.len - HEADS));
	uint8_t bit = (uint8_t)(1u << randombytes_uniform(8));

	base.data[at] ^= bit;
	write_file(&base);
	base.data[at] ^= bit;
}
