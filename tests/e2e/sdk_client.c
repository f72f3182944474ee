// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A program outside the tree: does on one handle what its words say, one line for each.
 *
 *   sdk_client BIND WORD[:ARGUMENT]...
 *
 * A line is "WORD RESULT [DETAILS]"; RESULT is 0 or the error, as ratman.h names its
 * number; what the daemon said follows in brackets.
 */
#include <ratman/ratman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ratman *r;
static struct ratman_id address, token;
static char details[4096];

static int do_create(const char *name)
{
	int err = ratman_addr_create(r, *name ? name : NULL, &address, &token);

	if (!err)
		ratman_id_format(&address, details);
	return err;
}

/* "ADDRESS/TOKEN" */
static int do_identity(const char *text)
{
	char copy[80] = "";

	strncpy(copy, text, 79);
	return ratman_id_parse(copy, &address) | ratman_id_parse(text + 80, &token);
}

static int do_list(const char *arg)
{
	struct ratman_id *ids;
	size_t n;
	int err = ratman_addr_list(r, &ids, &n);

	(void)arg;
	if (!err) {
		sprintf(details, "%zu", n);
		ratman_free(ids);
	}
	return err;
}

static int do_peers(const char *arg)
{
	struct ratman_peer *peers;
	size_t n, at = 0;
	int err = ratman_peer_list(r, &peers, &n);

	(void)arg;
	if (err)
		return err;
	for (size_t i = 0; i < n && at + 128 < sizeof(details); i++)
		at += (size_t)sprintf(details + at, "%lld,%lld,%d ",
				      (long long)peers[i].first_seen_ns,
				      (long long)peers[i].last_seen_ns, peers[i].active);
	ratman_free(peers);
	return 0;
}

static int do_status(const char *arg)
{
	struct ratman_status s;
	int err = ratman_status(r, &s);

	(void)arg;
	if (!err)
		sprintf(details, "%llu %llu", (unsigned long long)s.locals, (unsigned long long)s.tokens);
	return err;
}

/* So many bytes to ourselves, 64 KiB at a time, to one recipient or ("N,2") two. */
static int send_bytes(const char *arg, int abort)
{
	static const char buf[65536];
	struct ratman_recipient to[2] = { { address, false }, { address, false } };
	struct ratman_send *s;
	char *rest;
	unsigned long long left = strtoull(arg, &rest, 10);
	int err = ratman_send_begin(r, &address, &token, to, *rest ? 2 : 1, &s);

	if (err)
		return err;
	while (!err && left) {
		size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);

		err = ratman_send_write(s, buf, n);
		left -= n;
	}
	if (!abort)
		return ratman_send_end(s);
	ratman_send_abort(s);
	return err;
}

static int do_send(const char *arg)
{
	return send_bytes(arg, 0);
}

static int do_abort(const char *arg)
{
	return send_bytes(arg, 1);
}

/* At most LIMIT streams; the details are their sizes: "LIMIT" or "LIMIT,HOW MANY TO READ" */
static int do_recv(const char *arg)
{
	static char buf[65536];
	struct ratman_letterhead head;
	struct ratman_recv *v;
	char *rest;
	unsigned long limit = strtoul(arg, &rest, 10), n = *rest ? strtoul(rest + 1, NULL, 10) : limit;
	size_t at = 0;
	int err = ratman_recv_begin(r, &address, &token, NULL, (uint32_t)limit, &v);

	if (err)
		return err;
	for (unsigned long i = 0; i < n; i++) {
		unsigned long long got = 0;
		ssize_t len = 0;

		err = ratman_recv_next(v, &head, 30000);
		while (err == 1 && (len = ratman_recv_read(v, buf, sizeof(buf))) > 0)
			got += (unsigned long long)len;
		err = len ? (int)len : err;
		if (err != 1)
			break;
		at += (size_t)sprintf(details + at, "%llu ", got);
	}
	if (err == 1 && n == limit)
		err = ratman_recv_next(v, &head, 0);	/* that was all */
	ratman_recv_end(v);
	return err == 1 ? 0 : err;
}

static int do_up(const char *arg)
{
	(void)arg;
	return ratman_addr_up(r, &address, &token);
}

static int do_down(const char *arg)
{
	(void)arg;
	return ratman_addr_down(r, &address, &token);
}

static int do_destroy(const char *arg)
{
	return ratman_addr_destroy(r, &address, &token, *arg != '\0');
}

static int do_extended(const char *arg)
{
	(void)arg;
	strcpy(details, ratman_is_extended(r) ? "yes" : "no");
	return 0;
}

static int do_spoil(const char *arg)
{
	(void)arg;
	token.b[31] ^= 1;
	return 0;
}

static int do_sleep(const char *arg)
{
	return usleep((useconds_t)atoi(arg) * 1000);
}

static const struct {
	const char *name;
	int (*run)(const char *arg);
} words[] = {
	{ "create", do_create }, { "identity", do_identity }, { "list", do_list },
	{ "peers", do_peers }, { "status", do_status }, { "send", do_send }, { "abort", do_abort },
	{ "recv", do_recv },
	{ "up", do_up }, { "down", do_down }, { "destroy", do_destroy },
	{ "extended", do_extended }, { "spoil", do_spoil }, { "sleep", do_sleep },
};

int main(int argc, char **argv)
{
	int err = argc < 2 ? 1 : ratman_open(&r, argv[1], 30000);

	printf("open %d\n", err);
	for (int i = 2; i < argc && !err; i++) {
		size_t len = strcspn(argv[i], ":");

		details[0] = '\0';
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
			if (strlen(words[k].name) == len && !memcmp(words[k].name, argv[i], len))
				printf("%s %d", words[k].name, words[k].run(argv[i] + len + !!argv[i][len]));
		}
		printf(" %s", details);
		if (*ratman_error_text(r))
			printf("[%s]", ratman_error_text(r));
		putchar('\n');
		fflush(stdout);
	}
	ratman_close(r);
	return err ? 1 : 0;
}
