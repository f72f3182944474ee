// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define TICK_MS 500		/* a signal just before we wait is noticed so late */
#define KEEP_MS 20000		/* at most, from one sign of life for the session to the next */

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

void watch_signals(void)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	/* Without SA_RESTART: calls shall return. */
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		sigaction(ending[i], &action, NULL);
}

int watch_ended(void)
{
	return caught ? 128 + caught : 0;
}

void watch_sleep(uint64_t ms)
{
	uint64_t until = clock_ms() + ms;

	for (uint64_t now = clock_ms(); !caught && now < until; now = clock_ms())
		poll(NULL, 0, (int)(until - now < TICK_MS ? until - now : TICK_MS));
}

/* Nobody will read what we print: the next line would tell, but it may be long in coming. */
static bool output_gone(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

/* A session that is used does not end: how often it is to be, from the daemon's limit. */
static uint64_t keep_interval(struct ctl *ctl)
{
	struct ratman_limit *limits;
	uint64_t ms = KEEP_MS;
	size_t n;

	if (ratman_limits(ctl->api, &limits, &n))
		return ms;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(limits[i].name, "session_timeout") && limits[i].limit * 1000 / 3 < ms)
			ms = limits[i].limit * 1000 / 3;
	ratman_free(limits);
	return ms;
}

/* The daemon closed the socket: does it still run, and does our token still count? */
static int report_end(struct ctl *ctl, const struct watch *w)
{
	struct ratman_status status;
	int err = ratman_status(ctl->api, &status);

	if (err)
		return ctl_fail(ctl, CTL_UNREACHABLE,
				"%s: the daemon has stopped; when it runs again, run the command again",
				w->what);
	if (w->address && ratman_user_status(ctl->api, w->address, w->token) == RATMAN_EAUTH)
		return ctl_fail(ctl, CTL_REFUSED,
				ctl->session ?
				"%s: the daemon ended it: the session has ended; log in again: ratctl user login" :
				"%s: the daemon ended it: the address went down; bring it up again: ratctl addr up",
				w->what);
	return ctl_fail(ctl, CTL_REFUSED, "%s: the daemon ended it%s%s; run the command again", w->what,
			w->else_ended ? ": " : "", w->else_ended ? w->else_ended : "");
}

int watch_run(struct ctl *ctl, const struct watch *w, const struct ratman_subscription *where)
{
	bool keeps = w->address && ctl->session;
	uint64_t keep_ms = keeps ? keep_interval(ctl) : 0, kept_ms = clock_ms();
	int status = CTL_OK, err;
	struct ratman_sub *sub;

	err = ratman_sub_open(ctl->api, where, &sub);
	if (err)
		return ctl_api_failed(ctl, w->what, err);
	while (!status && !caught) {
		if (output_gone()) {
			caught = SIGPIPE;
			break;
		}
		err = w->next(ctl, sub, TICK_MS, &status);
		if (err != 1 && err != RATMAN_ETIMEOUT && err != -EINTR)
			break;
		/* What is wrong shows on the socket as well. */
		if (keeps && clock_ms() - kept_ms >= keep_ms) {
			ratman_user_status(ctl->api, w->address, w->token);
			kept_ms = clock_ms();
		}
	}
	ratman_sub_close(sub);
	if (caught)
		return watch_ended();
	if (status)
		return status;
	return err == RATMAN_ECLOSED ? report_end(ctl, w) : ctl_api_failed(ctl, w->what, err);
}
