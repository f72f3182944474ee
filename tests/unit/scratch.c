// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "unit/scratch.h"

void scratch_make(char dir[SCRATCH_LEN])
{
	snprintf(dir, SCRATCH_LEN, "/tmp/%.40s.XXXXXX", program_invocation_short_name);
	assert_non_null(mkdtemp(dir));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void scratch_remove(const char *dir)
{
	while (!umount2(dir, MNT_DETACH))
		;	/* a disk that a failed test left */
	assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_MOUNT | FTW_PHYS), 0);
}

uint16_t scratch_port(void)
{
	const int on = 1;
	struct sockaddr_in6 at;
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* It stays open: bound and not listening it bars all but those who bind it on purpose. */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	uv_ip6_addr("::1", 0, &at);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin6_port);
}

void scratch_store(struct store **store, uv_loop_t *loop, const char *dir)
{
	char why[256] = "";

	if (store_open(store, loop, dir, NULL, why, sizeof(why)))
		fail_msg("%s", why);
}

void scratch_begin(char dir[SCRATCH_LEN], uv_loop_t *loop, struct store **store)
{
	scratch_make(dir);
	assert_int_equal(uv_loop_init(loop), 0);
	scratch_store(store, loop, dir);
}

int scratch_end(const char *dir, uv_loop_t *loop, struct store *store)
{
	if (store)
		store_close(store);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
	scratch_remove(dir);
	return 0;
}
