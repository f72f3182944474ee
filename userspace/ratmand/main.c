// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratmand: the Ratman daemon. Arguments, signals, order of start and stop.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "ratmand/config.h"
#include "ratmand/db.h"
#include "ratmand/node.h"

/* Exit statuses users of the existing daemon know (existing-tools.md 8.1), and 2 for usage. */
enum {
	EXIT_USAGE = 2,
	EXIT_FATAL = 255,
};

static const char usage[] =
	"Usage: ratmand [-c FILE] [-d DIR] [-v LEVEL]\n"
	"\n"
	"The daemon of the Ratman mesh. Runs in the foreground and logs to stderr.\n"
	"\n"
	"  -c, --config FILE      configuration, default " CONFIG_DEFAULT_PATH " if it exists\n"
	"  -d, --dir DIR          state directory, instead of the configured one\n"
	"  -v, --verbosity LEVEL  trace, debug, info, warn or error, instead of the configured one\n"
	"  -t, --test             check the configuration and exit\n"
	"      --db WORD [DIR]    verify, stat, backup (into the new DIR), compact or rekey the store\n"
	"                         and exit; what ratctl db calls\n"
	"  -h, --help             this text\n"
	"  -V, --version          print the version\n"
	"\n"
	"Examples:\n"
	"  modprobe ratman && ip link add ratman0 type ratman && ip link set eth0 master ratman0\n"
	"  ratmand -c ./ratmand.conf -v debug\n"
	"\n"
	"See ratmand(8) and ratmand.conf(5).\n";

struct options {
	const char *config;
	const char *dir;
	const char *verbosity;
	const char *db;
	const char *db_target;	/* may be NULL */
	bool test;
};

/* Returns the exit status, or -1 to go on. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "dir", required_argument, NULL, 'd' },
		{ "verbosity", required_argument, NULL, 'v' },
		{ "test", no_argument, NULL, 't' },
		{ "db", required_argument, NULL, 'D' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:d:v:thV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'd':
			o->dir = optarg;
			break;
		case 'v':
			o->verbosity = optarg;
			break;
		case 't':
			o->test = true;
			break;
		case 'D':
			o->db = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("ratmand " RATMAN_PACKAGE_VERSION);
			return 0;
		default:
			fputs("Try: ratmand --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (o->db && optind < argc)
		o->db_target = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "ratmand: unexpected argument '%s'\nTry: ratmand --help\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

/* Applies the command line over the configuration. Returns the exit status, or -1. */
static int apply_options(const struct options *o, struct config *config)
{
	if (o->dir) {
		char *dir = o->dir[0] == '/' ? strdup(o->dir) : NULL;

		if (!dir) {
			fprintf(stderr, "ratmand: --dir %s: must be an absolute path\n", o->dir);
			return EXIT_USAGE;
		}
		free(config->state_dir);
		config->state_dir = dir;
	}
	if (o->verbosity && !log_level_parse(o->verbosity, &config->verbosity)) {
		fprintf(stderr,
			"ratmand: --verbosity %s: must be trace, debug, info, warn or error\n",
			o->verbosity);
		return EXIT_USAGE;
	}
	log_set_level(config->verbosity);
	return -1;
}

/* Tells the service manager, if there is one (sd_notify(3)). */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t len;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, strlen(path));
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (path[0] == '@')
		sun.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sun, len) < 0)
		log_debug("cannot notify the service manager: %s", strerror(errno));
	close(fd);
}

/* Keeps keys out of core files and of other processes' reach, and files to ourselves. */
static void harden(void)
{
	static const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0) || setrlimit(RLIMIT_CORE, &none))
		log_warn("cannot switch off core dumps: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	umask(077);
}

/* Every client may have a data socket and its listener; files and the mesh need some, too. */
static void allow_files(uint32_t clients)
{
	struct rlimit files;
	rlim_t want = 3 * (rlim_t)clients + 256;

	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= want)
		return;
	files.rlim_cur = files.rlim_max < want ? files.rlim_max : want;
	if (setrlimit(RLIMIT_NOFILE, &files))
		log_warn("cannot raise the limit of open files: %s", strerror(errno));
	else if (files.rlim_cur < want)
		log_info("%llu open files allowed: fewer than max_clients may be connected at once",
			 (unsigned long long)files.rlim_cur);
}

struct daemon {
	struct node *node;
	uv_signal_t signals[2];
	uv_timer_t watchdog;
};

static void on_watchdog(uv_timer_t *timer)
{
	(void)timer;
	notify("WATCHDOG=1");
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
	struct daemon *d = handle->data;

	log_info("stopping on signal %d; the kernel goes on forwarding", number);
	notify("STOPPING=1");
	for (size_t i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&d->signals[i], NULL);
	uv_close((uv_handle_t *)&d->watchdog, NULL);
	node_stop(d->node, NULL, NULL);
}

static int run(const struct config *config)
{
	static const int numbers[2] = { SIGTERM, SIGINT };
	uv_loop_t *loop = uv_default_loop();
	const char *watchdog_us = getenv("WATCHDOG_USEC");
	struct daemon d = { 0 };
	char why[512] = "";
	uint64_t period;

	/* First, so that a signal that comes while starting stops the daemon in order, too. */
	for (size_t i = 0; i < 2; i++) {
		uv_signal_init(loop, &d.signals[i]);
		d.signals[i].data = &d;
		uv_signal_start(&d.signals[i], on_stop_signal, numbers[i]);
		uv_unref((uv_handle_t *)&d.signals[i]);
	}
	if (node_start(&d.node, loop, config, why, sizeof(why))) {
		log_error("%s", why);
		return EXIT_FATAL;
	}
	for (size_t i = 0; i < 2; i++)
		uv_ref((uv_handle_t *)&d.signals[i]);
	uv_timer_init(loop, &d.watchdog);
	period = watchdog_us ? strtoull(watchdog_us, NULL, 10) / 2000 : 0;
	if (period)
		uv_timer_start(&d.watchdog, on_watchdog, period, period);
	notify("READY=1");
	log_info("ready, clients on %s%s%s", config->api_bind, config->api_socket ? " and " : "",
		 config->api_socket ? config->api_socket : "");
	uv_run(loop, UV_RUN_DEFAULT);
	uv_loop_close(loop);
	uv_library_shutdown();
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct config config;
	char why[512];
	int status;

	status = parse_options(argc, argv, &o);
	if (status >= 0)
		return status;
	if (sodium_init() < 0) {
		fputs("ratmand: libsodium does not work on this machine\n", stderr);
		return EXIT_FATAL;
	}
	/* Before libuv's first use: commits and slow hashes need no more. */
	setenv("UV_THREADPOOL_SIZE", "2", 0);
	if (config_load(&config, o.config, why, sizeof(why))) {
		fprintf(stderr, "ratmand: %s\n", why);
		return EXIT_USAGE;
	}
	status = apply_options(&o, &config);
	if (status < 0 && o.test)
		status = 0;
	if (status < 0) {
		harden();
		if (!o.db)
			allow_files(config.limits.clients);
		status = o.db ? db_run(&config, o.db, o.db_target) : run(&config);
	}
	config_free(&config);
	return status;
}
