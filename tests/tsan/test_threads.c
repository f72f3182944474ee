// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What ratman.h says of threads, under ThreadSanitizer: a handle for each
 * thread, and one handle behind a lock. The daemon is a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../unit/mini_daemon.h"
#include "ratman/ratman.h"

#define THREADS 8
#define ROUNDS 30

static const struct ratman_id address = { "an address of thirty-two bytes.." };
static const struct ratman_id token = { "a token of thirty-two good bytes" };

struct work {
	pthread_t thread;
	const char *bind;
	struct ratman *shared;
	pthread_mutex_t *lock;
	int err;		/* first failure */
};

static int setup(void **state)
{
	static pid_t pid;
	static struct mini *m;

	alarm(240);
	m = mini_new(NULL);
	m->stream_size = 100000;
	pid = fork();
	if (pid < 0)
		return -1;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			mini_turn(m, 1000);
	}
	state[0] = m;
	return 0;
}

static int send_stream(struct ratman *r)
{
	const struct ratman_recipient to = { .id = address };
	char buf[30000];
	struct ratman_send *s;
	int err = ratman_send_begin(r, &address, &token, &to, 1, &s);

	memset(buf, 0, sizeof(buf));
	if (!err)
		err = ratman_send_write(s, buf, sizeof(buf));
	return err ? err : ratman_send_end(s);
}

static int recv_stream(struct ratman *r)
{
	struct ratman_letterhead head;
	struct ratman_recv *v;
	uint64_t got = 0;
	char buf[30000];
	ssize_t n = -1;
	int err = ratman_recv_begin(r, &address, &token, NULL, 1, &v);

	if (err)
		return err;
	err = ratman_recv_next(v, &head, -1);
	while (err == 1 && (n = ratman_recv_read(v, buf, sizeof(buf))) > 0)
		got += (uint64_t)n;
	ratman_recv_end(v);
	return err == 1 && !n && got == head.stream_size ? 0 : -1;
}

static int questions(struct ratman *r)
{
	struct ratman_status status;
	struct ratman_id *ids, made, secret;
	struct ratman_peer *peers;
	char text[80];
	size_t n;
	int err = ratman_status(r, &status);

	if (!err)
		err = ratman_addr_create(r, "name", &made, &secret);
	if (!err)
		err = ratman_addr_list(r, &ids, &n);
	if (!err) {
		ratman_id_format(&ids[0], text);
		err = ratman_id_parse(text, &made);
		ratman_free(ids);
	}
	if (!err)
		err = ratman_peer_list(r, &peers, &n);
	if (!err)
		ratman_free(peers);
	/* Refused, with a text that is borrowed from this handle alone. */
	return err ? err : strlen(ratman_strerror(RATMAN_EAUTH)) + strlen(ratman_error_text(r)) ? 0 : -1;
}

static void *own_handle(void *arg)
{
	struct work *w = arg;
	struct ratman *r;

	for (int i = 0; i < ROUNDS && !w->err; i++) {
		w->err = ratman_open(&r, w->bind, 60000);
		if (w->err)
			break;
		w->err = questions(r);
		if (!w->err)
			w->err = send_stream(r);
		if (!w->err)
			w->err = recv_stream(r);
		ratman_close(r);
	}
	return NULL;
}

static void *shared_handle(void *arg)
{
	struct work *w = arg;

	for (int i = 0; i < ROUNDS && !w->err; i++) {
		pthread_mutex_lock(w->lock);
		w->err = i % 3 ? questions(w->shared) : send_stream(w->shared);
		pthread_mutex_unlock(w->lock);
	}
	return NULL;
}

static void run(void *(*body)(void *), struct work *model)
{
	struct work work[THREADS];

	for (size_t i = 0; i < THREADS; i++) {
		work[i] = *model;
		assert_int_equal(pthread_create(&work[i].thread, NULL, body, &work[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(work[i].thread, NULL);
		assert_int_equal(work[i].err, 0);
	}
}

static void a_handle_for_each_thread(void **state)
{
	struct mini *m = *state;

	run(own_handle, &(struct work){ .bind = m->bind });
}

static void one_handle_behind_a_lock(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct mini *m = *state;
	struct work model = { .lock = &lock };

	assert_int_equal(ratman_open(&model.shared, m->bind, 60000), 0);
	run(shared_handle, &model);
	ratman_close(model.shared);
}

/* A handle may go from thread to thread, each after the other. */
static void *close_it(void *arg)
{
	struct work *w = arg;

	w->err = questions(w->shared);
	ratman_close(w->shared);
	return NULL;
}

static void handed_over(void **state)
{
	struct mini *m = *state;
	struct work w = { 0 };

	assert_int_equal(ratman_open(&w.shared, m->bind, 60000), 0);
	assert_int_equal(questions(w.shared), 0);
	assert_int_equal(pthread_create(&w.thread, NULL, close_it, &w), 0);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.err, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handle_for_each_thread),
		cmocka_unit_test(one_handle_behind_a_lock),
		cmocka_unit_test(handed_over),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
