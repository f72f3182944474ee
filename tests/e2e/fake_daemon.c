// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client protocol server over the backend in memory, with the command line
 * of ratmand as far as tests use it: -c FILE with a line api_bind = "IP:PORT".
 * For trying the tests and clients without the rest of the daemon.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ratmand/api/server.h"
#include "../unit/api_fake.h"

static struct api_server *server;
static uv_signal_t term;
static uv_timer_t turn;

static void on_term(uv_signal_t *handle, int sig)
{
	(void)sig;
	uv_close((uv_handle_t *)handle, NULL);
	uv_close((uv_handle_t *)&turn, NULL);
	api_server_free(server, NULL, NULL);
}

static void on_turn(uv_timer_t *timer)
{
	fake_turn(timer->data);
}

int main(int argc, char **argv)
{
	char line[256], bind[128] = "127.0.0.1:5852", why[256];
	struct fake *fake = fake_new();
	struct api_config cfg;
	int c;

	signal(SIGPIPE, SIG_IGN);
	api_config_defaults(&cfg);
	while ((c = getopt(argc, argv, "c:")) != -1) {
		FILE *f = c == 'c' ? fopen(optarg, "r") : NULL;

		while (f && fgets(line, sizeof(line), f))
			sscanf(line, " api_bind = \"%127[^\"]\"", bind);
		if (f)
			fclose(f);
	}
	cfg.bind = bind;
	if (!fake || api_server_new(&server, uv_default_loop(), &cfg, &fake_ops, fake, why,
				    sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	fake_set_slow(fake, 5);
	uv_signal_init(uv_default_loop(), &term);
	uv_signal_start(&term, on_term, SIGTERM);
	uv_timer_init(uv_default_loop(), &turn);
	turn.data = fake;
	uv_timer_start(&turn, on_turn, 1, 1);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	uv_loop_close(uv_default_loop());
	fake_free(fake);
	return 0;
}
