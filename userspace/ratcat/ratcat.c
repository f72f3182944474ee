// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratcat: send and receive streams, like netcat.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/limits.h"
#include "ratman/ratman.h"
#include "tools/identity.h"
#include "tools/print.h"
#include "tools/report.h"
#include "tools/resolve.h"
#include "tools/suggest.h"
#include "tools/term.h"

#ifndef RATMAN_VERSION
#define RATMAN_VERSION "0.1.0"
#endif

#define PROGRAM "ratcat"
#define TIMEOUT_MS 15000
#define CHUNK 65536

struct options {
	const char *bind;
	const char *identity;
	const char *profile;
	bool quiet;
	struct print_style style;
	enum term_when progress;
	/* send */
	const char *addresses;
	const char *namespaces;
	/* recv */
	uint32_t count;
	const char *output;
};

static struct options opt = {
	.bind = RATMAN_DEFAULT_BIND,
	.profile = IDENTITY_PROFILE_DEFAULT,
	.count = 1,
};

/* The file being received, for the signal handler; "" when there is none. */
static char part_path[PATH_MAX];

static const char usage_text[] =
	"Usage: ratcat [OPTIONS] send [-a LIST | -s LIST] [FILE]\n"
	"       ratcat [OPTIONS] recv [-c N] [-o FILE|DIR|-] [TO]\n"
	"       ratcat [OPTIONS] idpath\n"
	"\n"
	"Sends a file (or standard input) to addresses, and receives what was sent.\n"
	"\n"
	"  send  -a, --addr LIST      recipients: addresses, separated by commas\n"
	"        -s, --space LIST     recipients: namespaces\n"
	"  recv  -c, --count N        how many streams to wait for (default 1; 0: for ever)\n"
	"        -o, --output WHERE   a file, a directory (one file for each), or - (default)\n"
	"        TO                   own address (default) or a namespace\n"
	"  idpath                     prints where the identity file is\n"
	"\n"
	"An address is written in full, as a unique prefix, or as its IPv6 address.\n"
	"\n"
	"Options:\n"
	"  -b, --bind IP:PORT         where ratmand listens (default " RATMAN_DEFAULT_BIND ")\n"
	"  -i, --cid FILE             identity file\n"
	"  -p, --prof NAME            identity $XDG_CONFIG_HOME/ratcat/NAME (default id)\n"
	"  -o, --out lines|json       form of the output (before the command)\n"
	"      --json                 the same as --out json\n"
	"      --progress WHEN        auto, always or never\n"
	"  -q, --quiet                nothing on standard error but errors\n"
	"  -h, --help   -V, --version\n"
	"\n"
	"Examples:\n"
	"  ratcat send -a 0102-0304 holiday.jpg\n"
	"  ratcat recv -c 0 -o inbox/\n"
	"\n"
	"Exit status: 0 done, 1 wrong usage, 2 refused by the daemon, 3 daemon not\n"
	"reachable, 4 no answer in time.\n";

static const struct option common_options[] = {
	{ "bind", required_argument, NULL, 'b' },
	{ "cid", required_argument, NULL, 'i' },
	{ "prof", required_argument, NULL, 'p' },
	{ "out", required_argument, NULL, 'O' },
	{ "json", no_argument, NULL, 'J' },
	{ "progress", required_argument, NULL, 'P' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "addr", required_argument, NULL, 'a' },
	{ "space", required_argument, NULL, 's' },
	{ "count", required_argument, NULL, 'c' },
	{ "output", required_argument, NULL, 'o' },
	{ NULL, 0, NULL, 0 },
};

#define user_error(...) (print_failure(&opt.style, PROGRAM, EXIT_USER, __VA_ARGS__), EXIT_USER)

static int usage_hint(void)
{
	fprintf(stderr, "Try: ratcat --help\n");
	return EXIT_USER;
}

static int set_out(const char *text)
{
	if (strcmp(text, "lines") && strcmp(text, "json"))
		return user_error("--out takes lines or json, not '%s'", text);
	opt.style.json = !strcmp(text, "json");
	return 0;
}

static int set_count(const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || n >= RATMAN_NO_LIMIT)
		return user_error("--count takes a number, not '%s'", text);
	opt.count = (uint32_t)n;
	return 0;
}

/* Takes one option; @sub is true behind the command. Exits for --help and --version. */
static int take_option(int c, bool sub)
{
	switch (c) {
	case 'b':
		opt.bind = optarg;
		return 0;
	case 'i':
		opt.identity = optarg;
		return 0;
	case 'p':
		opt.profile = optarg;
		return 0;
	case 'O':
		return set_out(optarg);
	case 'o':
		if (!sub)
			return set_out(optarg);
		opt.output = optarg;
		return 0;
	case 'J':
		opt.style.json = true;
		return 0;
	case 'P':
		if (!term_when_parse(optarg, &opt.progress))
			return user_error("--progress takes auto, always or never, not '%s'", optarg);
		return 0;
	case 'q':
		opt.quiet = true;
		return 0;
	case 'a':
		opt.addresses = optarg;
		return 0;
	case 's':
		opt.namespaces = optarg;
		return 0;
	case 'c':
		return set_count(optarg);
	case 'h':
		fputs(usage_text, stdout);
		exit(print_finish() ? EXIT_USER : EXIT_OK);
	case 'V':
		puts("ratcat " RATMAN_VERSION);
		exit(print_finish() ? EXIT_USER : EXIT_OK);
	}
	return usage_hint();
}

/*
 * Ctrl-C: no half file stays. The kernel closes the connection to the daemon,
 * which then throws away a stream half sent and keeps one half received.
 */
static void on_signal(int sig)
{
	if (part_path[0])
		unlink(part_path);
	_exit(128 + sig);
}

static void catch_signals(void)
{
	struct sigaction stop = { .sa_handler = on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static int fail(const char *what, const struct ratman *r, int err)
{
	return report_failure(&opt.style, PROGRAM, what, r, opt.bind, err);
}

static int identity_path(char *path, size_t size)
{
	int err;

	if (opt.identity) {
		snprintf(path, size, "%s", opt.identity);
		return 0;
	}
	err = identity_default_path(opt.profile, path, size);
	if (err == -EINVAL)
		return user_error("'%s' is no name for a profile", opt.profile);
	if (err)
		return user_error("neither XDG_CONFIG_HOME nor HOME is set; use option -i");
	return 0;
}

/* Our own identity, with its address up. */
struct self {
	struct ratman *r;	/* owned */
	struct ratman_id address;
	struct ratman_id token;
};

static int self_open(struct self *self)
{
	char path[PATH_MAX], why[PATH_MAX + 256];
	struct identity id;
	int err;

	if (identity_path(path, sizeof(path)))
		return EXIT_USER;
	if (identity_load(path, &id, why, sizeof(why)))
		return user_error("%s", why);
	memcpy(self->address.b, id.address.b, sizeof(self->address.b));
	memcpy(self->token.b, id.token.b, sizeof(self->token.b));
	identity_wipe(&id);
	err = ratman_open(&self->r, opt.bind, TIMEOUT_MS);
	if (err)
		return fail("connecting", NULL, err);
	err = ratman_addr_up(self->r, &self->address, &self->token);
	return err ? fail("bringing the address up", self->r, err) : 0;
}

static void self_close(struct self *self)
{
	ratman_close(self->r);
	explicit_bzero(&self->token, sizeof(self->token));
}

/* Every address the daemon knows, local ones first. *@out is owned. */
static int known_addresses(struct ratman *r, struct address **out, size_t *n)
{
	struct ratman_id *locals = NULL;
	struct ratman_peer *peers = NULL;
	size_t n_locals = 0, n_peers = 0;
	int err;

	err = ratman_addr_list(r, &locals, &n_locals);
	if (!err)
		err = ratman_peer_list(r, &peers, &n_peers);
	*out = err ? NULL : calloc(n_locals + n_peers + 1, sizeof(**out));
	for (size_t i = 0; *out && i < n_locals; i++)
		memcpy((*out)[i].b, locals[i].b, ADDRESS_LEN);
	for (size_t i = 0; *out && i < n_peers; i++)
		memcpy((*out)[n_locals + i].b, peers[i].address.b, ADDRESS_LEN);
	ratman_free(locals);
	ratman_free(peers);
	*n = n_locals + n_peers;
	return err ? err : *out ? 0 : -ENOMEM;
}

static int resolve_one(struct ratman *r, const char *text, struct ratman_id *out)
{
	struct address *known = NULL, a;
	char why[256];
	size_t n = 0;
	int err = 0;

	if (resolve_full(text, &a)) {
		err = known_addresses(r, &known, &n);
		if (err)
			return fail("asking for known addresses", r, err);
		err = resolve_address(text, known, n, &a, why, sizeof(why));
		free(known);
		if (err)
			return user_error("%s", why);
	}
	memcpy(out->b, a.b, sizeof(out->b));
	return 0;
}

/* The comma separated list of -a or -s. */
static int resolve_list(struct ratman *r, const char *list, bool is_namespace,
			struct ratman_recipient *to, size_t *n)
{
	char *copy = strdup(list), *save = NULL;
	int ret = copy ? 0 : user_error("out of memory");

	for (char *s = copy ? strtok_r(copy, ", \t", &save) : NULL; s && !ret;
	     s = strtok_r(NULL, ", \t", &save)) {
		if (*n == LIMIT_RECIPIENTS) {
			ret = user_error("at most %d recipients at once", LIMIT_RECIPIENTS);
			break;
		}
		to[*n].is_namespace = is_namespace;
		ret = resolve_one(r, s, &to[*n].id);
		(*n)++;
	}
	if (!ret && !*n)
		ret = user_error("the list of recipients is empty");
	free(copy);
	return ret;
}

static int send_file(struct self *self, const struct ratman_recipient *to, size_t n, int fd,
		     const char *name)
{
	struct term_progress progress;
	struct ratman_send *send;
	static char buf[CHUNK];
	uint64_t done = 0;
	struct stat st;
	ssize_t got;
	int err;

	err = ratman_send_begin(self->r, &self->address, &self->token, to, n, &send);
	if (err)
		return fail("sending", self->r, err);
	/* From here on the daemon sets the pace; a stuck one is noticed by its connection. */
	ratman_set_timeout(self->r, -1);
	term_progress_start(&progress, opt.quiet ? TERM_NEVER : opt.progress, "sending",
			    !fstat(fd, &st) && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
	while (!err && (got = read(fd, buf, sizeof(buf))) != 0) {
		if (got < 0) {
			err = -errno;
			term_progress_end(&progress);
			ratman_send_abort(send);
			return user_error("cannot read %s: %s; nothing was sent", name,
					  strerror(-err));
		}
		err = ratman_send_write(send, buf, (size_t)got);
		done += (uint64_t)got;
		term_progress_update(&progress, done);
	}
	/* A daemon that gave up tells why at the end. */
	if (!err || err == RATMAN_ECLOSED) {
		int end = ratman_send_end(send);

		err = end ? end : err;
	} else {
		ratman_send_abort(send);
	}
	term_progress_end(&progress);
	return err ? fail("sending", self->r, err) : print_ok(stdout, &opt.style) ? EXIT_USER : 0;
}

static int cmd_send(int argc, char **argv)
{
	struct ratman_recipient to[LIMIT_RECIPIENTS];
	const char *name = argc ? argv[0] : "-";
	struct self self = { 0 };
	int fd = STDIN_FILENO;
	size_t n = 0;
	int ret;

	if (argc > 1)
		return user_error("send takes one file, not %d", argc);
	if (!opt.addresses == !opt.namespaces)
		return user_error("say to whom: -a LIST or -s LIST, one of them");
	if (strcmp(name, "-")) {
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return user_error("cannot open %s: %s", name, strerror(errno));
	}
	ret = self_open(&self);
	if (!ret)
		ret = resolve_list(self.r, opt.addresses ? opt.addresses : opt.namespaces,
				   opt.namespaces != NULL, to, &n);
	if (!ret)
		ret = send_file(&self, to, n, fd, fd == STDIN_FILENO ? "standard input" : name);
	self_close(&self);
	if (fd != STDIN_FILENO)
		close(fd);
	return ret;
}

static void id_text(const struct ratman_id *id, char out[static ADDRESS_TEXT_LEN])
{
	ratman_id_format(id, out);
}

/* The letterhead, for people or (with JSON) programs, on standard error. */
static void print_head(const struct ratman_letterhead *head)
{
	char from[ADDRESS_TEXT_LEN], to[ADDRESS_TEXT_LEN], size[TERM_TEXT_LEN];
	struct json_object *o, *recipient;

	if (opt.quiet)
		return;
	id_text(&head->from, from);
	id_text(&head->to.id, to);
	if (!opt.style.json) {
		fprintf(stderr, "from %s\nto   %s%s\nsize %s (%" PRIu64 " bytes)\n", from, to,
			head->to.is_namespace ? " (namespace)" : "",
			term_format_bytes(head->stream_size, size), head->stream_size);
		return;
	}
	o = json_object_new_object();
	recipient = json_object_new_object();
	json_object_object_add(recipient, head->to.is_namespace ? "Namespace" : "Address",
			       json_object_new_string(to));
	json_object_object_add(o, "from", json_object_new_string(from));
	json_object_object_add(o, "to", recipient);
	json_object_object_add(o, "stream_size", json_object_new_uint64(head->stream_size));
	json_object_object_add(o, "auxiliary_data", json_object_new_array());
	fprintf(stderr, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	json_object_put(o);
}

/* Where one stream goes. */
struct sink {
	int fd;
	char path[PATH_MAX];	/* "" for standard output */
};

/* Names a file in directory opt.output: time, sender, and a number where that is taken. */
static void name_in_directory(const struct ratman_letterhead *head, char *out, size_t size)
{
	char from[ADDRESS_TEXT_LEN], when[32];
	size_t dir_len = strlen(opt.output);
	time_t now = time(NULL);
	struct tm tm;

	id_text(&head->from, from);
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	while (dir_len > 1 && opt.output[dir_len - 1] == '/')
		dir_len--;
	snprintf(out, size, "%.*s/%s-%.4s", (int)dir_len, opt.output, when, from);
	for (unsigned int k = 2; !access(out, F_OK) && k < 10000; k++)
		snprintf(out, size, "%.*s/%s-%.4s-%u", (int)dir_len, opt.output, when, from, k);
}

static bool output_is_directory(void)
{
	struct stat st;

	return opt.output && !stat(opt.output, &st) && S_ISDIR(st.st_mode);
}

static int sink_open(struct sink *s, const struct ratman_letterhead *head)
{
	s->fd = STDOUT_FILENO;
	s->path[0] = '\0';
	if (!opt.output || !strcmp(opt.output, "-"))
		return 0;
	if (output_is_directory())
		name_in_directory(head, s->path, sizeof(s->path) - 8);
	else
		snprintf(s->path, sizeof(s->path) - 8, "%s", opt.output);
	snprintf(part_path, sizeof(part_path), "%.*s.part", PATH_MAX - 8, s->path);
	s->fd = open(part_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (s->fd < 0) {
		int err = errno;

		part_path[0] = '\0';
		return user_error("cannot write %s.part: %s; the stream stays with the daemon",
				  s->path, strerror(err));
	}
	return 0;
}

static int sink_write(const struct sink *s, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(s->fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Keeps (@good) or removes what was written. */
static int sink_close(struct sink *s, bool good)
{
	int err = 0;

	if (!s->path[0])
		return 0;
	if (good && fsync(s->fd) && errno != EINVAL && errno != EROFS)
		err = -errno;
	if (close(s->fd))
		err = err ? err : -errno;
	if (good && !err && rename(part_path, s->path))
		err = -errno;
	if (!good || err)
		unlink(part_path);
	part_path[0] = '\0';
	return err;
}

static int recv_stream(struct self *self, struct ratman_recv *v,
		       const struct ratman_letterhead *head)
{
	struct term_progress progress;
	static char buf[CHUNK];
	uint64_t done = 0;
	struct sink sink;
	ssize_t n = 0;
	int err = 0;

	if (sink_open(&sink, head))
		return EXIT_USER;
	print_head(head);
	term_progress_start(&progress, opt.quiet ? TERM_NEVER : opt.progress, "receiving",
			    head->stream_size);
	while (!err && (n = ratman_recv_read(v, buf, sizeof(buf))) > 0) {
		err = sink_write(&sink, buf, (size_t)n);
		done += (uint64_t)n;
		term_progress_update(&progress, done);
	}
	term_progress_end(&progress);
	if (!err && !n)
		err = sink_close(&sink, true);
	else
		sink_close(&sink, false);
	if (err)
		return user_error("cannot write %s: %s", sink.path[0] ? sink.path : "output",
				  strerror(-err));
	if (n < 0)
		return fail("receiving (the daemon keeps the stream for the next recv)", self->r,
			    (int)n);
	if (sink.path[0] && !opt.quiet)
		fprintf(stderr, "saved as %s\n", sink.path);
	return 0;
}

static int recv_loop(struct self *self, const struct ratman_recipient *to)
{
	uint32_t limit = opt.count ? opt.count : RATMAN_NO_LIMIT;
	struct ratman_letterhead head;
	struct ratman_recv *v;
	int got, ret = 0;

	got = ratman_recv_begin(self->r, &self->address, &self->token, to, limit, &v);
	if (got)
		return fail("receiving", self->r, got);
	/* Streams come when they come. */
	ratman_set_timeout(self->r, -1);
	if (!opt.quiet)
		fprintf(stderr, "waiting for %s\n", opt.count == 1 ? "a stream" : "streams");
	while (!ret && (got = ratman_recv_next(v, &head, -1)) > 0)
		ret = recv_stream(self, v, &head);
	ratman_recv_end(v);
	return ret ? ret : got < 0 ? fail("receiving", self->r, got) : 0;
}

static int cmd_recv(int argc, char **argv)
{
	struct ratman_recipient to = { 0 };
	struct self self = { 0 };
	bool other = false;
	int ret;

	if (argc > 1)
		return user_error("recv takes one address, not %d", argc);
	if (opt.count != 1 && opt.output && strcmp(opt.output, "-") && !output_is_directory())
		return user_error("several streams need a directory: mkdir %s, or -c 1", opt.output);
	ret = self_open(&self);
	if (!ret && argc) {
		ret = resolve_one(self.r, argv[0], &to.id);
		other = !ret && memcmp(to.id.b, self.address.b, sizeof(to.id.b));
		to.is_namespace = other;
	}
	if (!ret)
		ret = recv_loop(&self, other ? &to : NULL);
	self_close(&self);
	return ret;
}

static int cmd_idpath(int argc, char **argv)
{
	char path[PATH_MAX];

	(void)argv;
	if (argc)
		return user_error("idpath takes no arguments");
	if (identity_path(path, sizeof(path)))
		return EXIT_USER;
	puts(path);
	return 0;
}

static const struct command {
	const char *name;
	const char *options;	/* of getopt, behind the command */
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "send", "b:i:p:qhVa:s:", cmd_send },
	{ "send-to", "b:i:p:qhVa:s:", cmd_send },
	{ "s", "b:i:p:qhVa:s:", cmd_send },
	{ "recv", "b:i:p:qhVc:o:", cmd_recv },
	{ "idpath", "b:i:p:qhV", cmd_idpath },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *word)
{
	const char *names[N_COMMANDS];
	const char *meant;

	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i].name, word))
			return &commands[i];
		names[i] = commands[i].name;
	}
	meant = suggest_nearest(word, names, N_COMMANDS);
	if (meant)
		print_failure(&opt.style, PROGRAM, EXIT_USER, "no command '%s'; did you mean '%s'?",
			    word, meant);
	else
		print_failure(&opt.style, PROGRAM, EXIT_USER, "no command '%s'", word);
	usage_hint();
	return NULL;
}

int main(int argc, char **argv)
{
	const struct command *command;
	int c, ret;

	catch_signals();
	while ((c = getopt_long(argc, argv, "+b:i:p:o:qhV", common_options, NULL)) != -1) {
		ret = take_option(c, false);
		if (ret)
			return ret;
	}
	if (optind == argc) {
		fputs(usage_text, stderr);
		return EXIT_USER;
	}
	command = find_command(argv[optind]);
	if (!command)
		return EXIT_USER;
	argc -= optind;
	argv += optind;
	optind = 0;	/* GNU: start over, on the arguments behind the command */
	while ((c = getopt_long(argc, argv, command->options, common_options, NULL)) != -1) {
		ret = take_option(c, true);
		if (ret)
			return ret;
	}
	ret = command->run(argc - optind, argv + optind);
	if (!ret && print_finish())
		ret = user_error("cannot write to standard output");
	return ret;
}
