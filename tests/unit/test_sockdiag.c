// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel says about the other end of a connection inside this host. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ratmand/kern/sockdiag.h"

#define SOMEBODY 4711

struct pair {
	int diag, ours, theirs;
};

static int setup(void **state)
{
	static struct pair p;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	p.diag = sockdiag_open();
	assert_true(p.diag >= 0 && listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	p.theirs = socket(AF_INET, SOCK_STREAM, 0);
	/* A socket belongs to whoever has made it. */
	if (!geteuid())
		assert_int_equal(fchown(p.theirs, SOMEBODY, (gid_t)-1), 0);
	assert_int_equal(connect(p.theirs, (struct sockaddr *)&at, sizeof(at)), 0);
	p.ours = accept(listener, NULL, NULL);
	assert_true(p.ours >= 0);
	close(listener);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	close(p->diag);
	close(p->ours);
	if (p->theirs >= 0)
		close(p->theirs);
	return 0;
}

static void what_is_not_read_counts(void **state)
{
	struct pair *p = *state;
	uint32_t unread = 1;
	char byte;

	assert_int_equal(sockdiag_unread(p->diag, p->ours, &unread), 0);
	assert_int_equal(unread, 0);
	assert_int_equal(write(p->ours, "abc", 3), 3);
	assert_int_equal(sockdiag_unread(p->diag, p->ours, &unread), 0);
	assert_int_equal(unread, 3);
	assert_int_equal(read(p->theirs, &byte, 1), 1);
	assert_int_equal(sockdiag_unread(p->diag, p->ours, &unread), 0);
	assert_int_equal(unread, 2);
}

/* It must not look like "the kernel does not say", which counts as read. */
static void closed_over_unread_bytes(void **state)
{
	struct pair *p = *state;
	uint32_t unread = 1;

	assert_int_equal(write(p->ours, "abc", 3), 3);
	close(p->theirs);
	p->theirs = -1;
	assert_int_equal(sockdiag_unread(p->diag, p->ours, &unread), -ENOENT);
}

static void whose_it_is(void **state)
{
	struct pair *p = *state;
	uid_t uid = 12345;

	assert_int_equal(sockdiag_uid(p->diag, p->ours, &uid), 0);
	assert_int_equal(uid, geteuid() ? geteuid() : SOMEBODY);
	/* Nobody's any more: not the superuser's, as the kernel has it. */
	uid = 12345;
	close(p->theirs);
	p->theirs = -1;
	assert_true(sockdiag_uid(p->diag, p->ours, &uid) < 0);
	assert_int_equal(uid, 12345);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(what_is_not_read_counts), T(closed_over_unread_bytes),
					     T(whose_it_is) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
