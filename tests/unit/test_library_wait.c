// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libratman where it waits: calls that block, their timeouts, signals that
 * interrupt them, and what can be connected to. The daemon turns in a child.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "mini_daemon.h"
#include "ratman/ratman.h"
#include "unit/scratch.h"

static const struct ratman_id address = { "an address of thirty-two bytes.." };
static const struct ratman_id token = { "a token of thirty-two good bytes" };
static const struct ratman_recipient to = { .id = { "another address of thirty-two b." } };

static pid_t daemon_child(struct mini *m)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		mini_turn(m, 1000);
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void blocking_calls(void **state)
{
	struct mini *m = *state;
	struct ratman_letterhead head;
	struct ratman_status status;
	struct ratman_send *s;
	struct ratman_recv *v;
	static uint8_t buf[1000000];
	struct ratman *r;
	uint64_t got = 0;
	ssize_t n;
	pid_t pid;

	m->stream_size = 3000000;
	pid = daemon_child(m);
	assert_int_equal(ratman_open(&r, m->bind, 30000), 0);
	assert_int_equal(ratman_status(r, &status), 0);
	assert_int_equal(ratman_send_begin(r, &address, &token, &to, 1, &s), 0);
	assert_int_equal(ratman_send_write(s, buf, sizeof(buf)), 0);
	assert_int_equal(ratman_send_end(s), 0);
	assert_int_equal(ratman_recv_begin(r, &address, &token, NULL, 1, &v), 0);
	assert_int_equal(ratman_recv_next(v, &head, -1), 1);
	while ((n = ratman_recv_read(v, buf, sizeof(buf))) > 0)
		got += (uint64_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(got, 3000000);
	assert_int_equal(ratman_recv_next(v, &head, -1), 0);
	ratman_recv_end(v);
	assert_int_equal(ratman_status(r, &status), 0);
	ratman_close(r);
	end_child(pid);
}

static void timeouts_of_blocking_calls(void **state)
{
	struct mini *m = *state;
	struct ratman_letterhead head;
	struct ratman_status status;
	struct ratman_recv *v;
	struct ratman *r;
	uint64_t start;
	pid_t pid;

	m->mute = 0x0034;
	m->streams = 0;
	pid = daemon_child(m);
	assert_int_equal(ratman_open(&r, m->bind, 30000), 0);
	ratman_set_timeout(r, 60);
	start = clock_ms();
	assert_int_equal(ratman_status(r, &status), RATMAN_ETIMEOUT);
	assert_true(clock_ms() - start >= 60);
	ratman_set_timeout(r, 30000);
	assert_int_equal(ratman_recv_begin(r, &address, &token, NULL, 1, &v), 0);
	start = clock_ms();
	assert_int_equal(ratman_recv_next(v, &head, 40), RATMAN_ETIMEOUT);
	assert_true(clock_ms() - start >= 40);
	assert_int_equal(ratman_recv_next(v, &head, 0), RATMAN_ETIMEOUT);
	ratman_recv_end(v);
	assert_int_equal(ratman_addr_up(r, &address, &token), 0);
	ratman_close(r);
	end_child(pid);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Every 50 ms, so that one of them meets a call that waits; false stops it. */
static void ring(bool on)
{
	const struct timeval every = { .tv_usec = on ? 50000 : 0 };
	const struct itimerval t = { .it_value = every, .it_interval = every };

	setitimer(ITIMER_REAL, &t, NULL);
}

static void signals(void **state)
{
	const struct sigaction catch = { .sa_handler = on_alarm };	/* no SA_RESTART */
	struct mini *m = *state;
	struct ratman_letterhead head;
	struct ratman_status status;
	struct sigaction before;
	struct ratman_send *s;
	struct ratman_recv *v;
	static uint8_t buf[65536];
	struct ratman *r;
	uint64_t sent = 0;
	ssize_t n;
	pid_t pid;

	m->mute = 0x0034;
	m->streams = 0;
	m->stall = true;
	pid = daemon_child(m);
	sigaction(SIGALRM, &catch, &before);
	assert_int_equal(ratman_open(&r, m->bind, 30000), 0);
	/* A request is lost, and the next call connects anew. */
	ring(true);
	assert_int_equal(ratman_status(r, &status), -EINTR);
	ring(false);
	assert_int_equal(ratman_addr_up(r, &address, &token), 0);
	/* Waiting for a stream goes on. */
	assert_int_equal(ratman_recv_begin(r, &address, &token, NULL, 1, &v), 0);
	ring(true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ratman_recv_next(v, &head, -1), -EINTR);
	ring(false);
	assert_int_equal(ratman_recv_next(v, &head, 1), RATMAN_ETIMEOUT);
	ratman_recv_end(v);
	/* ratman_send_some() says exactly what went. */
	assert_int_equal(ratman_send_begin(r, &address, &token, &to, 1, &s), 0);
	ring(true);
	while ((n = ratman_send_some(s, buf, sizeof(buf))) > 0)
		sent += (uint64_t)n;
	ring(false);
	assert_int_equal(n, -EINTR);
	assert_true(sent > 0);
	ratman_set_timeout(r, 20);
	while ((n = ratman_send_some(s, buf, sizeof(buf))) > 0)
		sent += (uint64_t)n;
	assert_int_equal(n, RATMAN_ETIMEOUT);
	/* After ratman_send_write() nobody knows: the stream cannot end well. */
	assert_int_equal(ratman_send_write(s, buf, sizeof(buf)), RATMAN_ETIMEOUT);
	assert_int_equal(ratman_send_end(s), RATMAN_ETIMEOUT);
	ratman_set_timeout(r, 30000);
	assert_int_equal(ratman_addr_up(r, &address, &token), 0);
	ratman_close(r);
	sigaction(SIGALRM, &before, NULL);
	alarm(120);
	end_child(pid);
}

/* A Unix socket whose queue is full does not become writable: there is no waiting for it. */
static void unix_socket_that_is_full(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), taken = -1;
	char dir[SCRATCH_LEN];
	struct ratman *r;
	uint64_t start;

	(void)state;
	scratch_make(dir);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 0), 0);
	taken = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(taken, (struct sockaddr *)&un, sizeof(un)), 0);
	start = clock_ms();
	assert_int_equal(ratman_open(&r, un.sun_path, 50), RATMAN_ETIMEOUT);
	assert_true(clock_ms() - start >= 50);
	assert_int_equal(ratman_new(&r, un.sun_path), 0);
	ratman_set_nonblocking(r, true);
	assert_int_equal(ratman_connect(r), RATMAN_ETIMEOUT);
	ratman_close(r);
	close(taken);
	close(fd);
	scratch_remove(dir);
}

static void binds(void **state)
{
	static const char *const bad[] = {
		"", "127.0.0.1", "127.0.0.1:", ":5852", "127.0.0.1:0", "127.0.0.1:65536",
		"127.0.0.1:5852x", "127.0.0.1:-1", "host.name:5852", "[::1]", "::1:5852", "[::1:5852",
		"unix:", "unix:relative", "relative/path",
	};
	char long_path[300];
	struct ratman *r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ratman_open(&r, bad[i], 100), -EINVAL);
	memset(long_path, '/', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(ratman_open(&r, long_path, 100), -EINVAL);
	/* Port 1 of this machine: nobody. */
	assert_int_equal(ratman_open(&r, "127.0.0.1:1", 1000), RATMAN_EUNREACHABLE);
	assert_int_equal(ratman_open(&r, "localhost:1", 1000), RATMAN_EUNREACHABLE);
}

static void error_texts(void **state)
{
	(void)state;
	assert_string_equal(ratman_strerror(0), "success");
	for (int err = RATMAN_EAGAIN; err <= RATMAN_EUNREACHABLE; err++) {
		assert_string_not_equal(ratman_strerror(err), "unknown error");
		for (int other = err + 1; other <= RATMAN_EUNREACHABLE; other++)
			assert_string_not_equal(ratman_strerror(err), ratman_strerror(other));
	}
	assert_string_equal(ratman_strerror(-EACCES), "Permission denied");
	assert_string_equal(ratman_strerror(-5000), "unknown error");
	assert_string_equal(ratman_strerror(7), "unknown error");
}

#define CASE(name_) cmocka_unit_test_setup_teardown(name_, mini_setup, mini_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(blocking_calls),
		CASE(timeouts_of_blocking_calls),
		CASE(signals),
		cmocka_unit_test(unix_socket_that_is_full),
		cmocka_unit_test(binds),
		cmocka_unit_test(error_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
