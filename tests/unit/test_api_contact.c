// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespaces Contact, Link and Peer over the backend in memory: byte by byte on
 * a socket, and through libratman.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "api_fake.h"
#include "ratman/ratman.h"
#include "ratmand/api/client.h"

static struct daemon {
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t stop, promote, refuse;
	uv_sem_t done;
	struct fake *fake;
	struct api_server *server;
	int err;
	char bind[32];
} d;

static void on_stop(uv_async_t *async)
{
	(void)async;
	api_server_free(d.server, NULL, NULL);
	uv_close((uv_handle_t *)&d.stop, NULL);
	uv_close((uv_handle_t *)&d.promote, NULL);
	uv_close((uv_handle_t *)&d.refuse, NULL);
}

/* Everybody who is connected becomes an administrator. */
static void on_promote(uv_async_t *async)
{
	(void)async;
	for (struct client *c = d.server->clients; c; c = c->next)
		c->admin = true;
	uv_sem_post(&d.done);
}

static void on_refuse(uv_async_t *async)
{
	(void)async;
	fake_refuse_contact(d.fake, d.err);
	uv_sem_post(&d.done);
}

static void *run(void *arg)
{
	uv_run(&d.loop, UV_RUN_DEFAULT);
	return arg;
}

static int setup(void **state)
{
	struct api_config cfg;
	char why[128];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	api_config_defaults(&cfg);
	cfg.bind = "127.0.0.1:0";
	uv_loop_init(&d.loop);
	uv_async_init(&d.loop, &d.stop, on_stop);
	uv_async_init(&d.loop, &d.promote, on_promote);
	uv_async_init(&d.loop, &d.refuse, on_refuse);
	uv_sem_init(&d.done, 0);
	d.fake = fake_new();
	if (api_server_new(&d.server, &d.loop, &cfg, &fake_ops, d.fake, why, sizeof(why)))
		fail_msg("%s", why);
	snprintf(d.bind, sizeof(d.bind), "127.0.0.1:%u", api_server_port(d.server));
	return pthread_create(&d.thread, NULL, run, NULL);
}

static int teardown(void **state)
{
	(void)state;
	uv_async_send(&d.stop);
	pthread_join(d.thread, NULL);
	assert_int_equal(uv_loop_close(&d.loop), 0);
	uv_sem_destroy(&d.done);
	fake_free(d.fake);
	return 0;
}

static void promote(void)
{
	uv_async_send(&d.promote);
	uv_sem_wait(&d.done);
}

static void refuse_next(int err)
{
	d.err = err;
	uv_async_send(&d.refuse);
	uv_sem_wait(&d.done);
}

/* A conversation by hand. */

static void get(int fd, void *to, size_t len)
{
	for (size_t have = 0; have < len;) {
		ssize_t n = read(fd, (char *)to + have, len - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
}

struct answer {
	struct frame_header header;
	uint8_t payload[8192];
	size_t len;
};

static struct answer last;

/* Sends one request; the answer is in last. */
static uint8_t ask_len(int fd, uint16_t mode, const struct ratman_id *token, const void *payload,
		       size_t len)
{
	struct frame_header h = { .mode = mode, .payload_len = (uint32_t)len };
	uint8_t frame[HEADER_WRITE_MAX];
	struct header_parser p;
	size_t n, used;
	int got = 0;

	if (token) {
		h.has_token = true;
		memcpy(h.token.b, token->b, 32);
	}
	n = header_write(frame, &h);
	assert_int_equal(write(fd, frame, n), n);
	assert_int_equal(write(fd, payload, len), len);
	header_parser_init(&p);
	while (!got) {
		get(fd, frame, 1);
		got = header_parser_feed(&p, frame, 1, &used, &last.header);
	}
	assert_int_equal(got, 1);
	last.len = last.header.payload_len;
	assert_in_range(last.len, 1, sizeof(last.payload));
	get(fd, last.payload, last.len);
	assert_int_equal(last.header.mode, 0);
	return last.payload[0];
}

#define ASK(fd, mode, token, literal) ask_len(fd, mode, token, literal, sizeof(literal) - 1)
#define BODY(literal)                                                \
	do {                                                         \
		assert_int_equal(last.len, sizeof(literal));         \
		assert_memory_equal(last.payload + 1, literal, last.len - 1); \
	} while (0)

/* The error variant in last; errors carry no token. */
static unsigned int error_code(void)
{
	assert_int_equal(last.payload[0], PING_ERROR);
	assert_false(last.header.has_token);
	return last.payload[5];
}

static bool echoed(const struct ratman_id *token)
{
	return last.header.has_token && !memcmp(last.header.token.b, token->b, 32);
}

static int dial(uint8_t capabilities)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct timeval limit = { .tv_sec = 20 };
	uint8_t hello[] = { 1, 0, 1, 1, capabilities };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons(api_server_port(d.server));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(ask_len(fd, 0x0010, NULL, hello, capabilities ? 5 : 3), PING_OK);
	return fd;
}

/* A handle, and an address that is up. */
static struct ratman *user(struct ratman_id *address, struct ratman_id *token)
{
	struct ratman *r;

	assert_int_equal(ratman_open(&r, d.bind, 20000), 0);
	assert_int_equal(ratman_addr_create(r, NULL, address, token), 0);
	assert_int_equal(ratman_addr_up(r, address, token), 0);
	return r;
}

#define A "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10" \
	  "\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20"
#define B "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
/* Peers that the backend in memory knows: 32 times 41, 42, 43. */
#define PEER_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define PEER_C "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"

/* The bytes of section 3.8, with and without the extensions. */
static void contact_bytes(void **state)
{
	struct ratman_id a, t;
	struct ratman *r = user(&a, &t);
	int plain = dial(0), extended = dial(CAPABILITY_EXTENDED);

	(void)state;
	assert_int_equal(ASK(plain, 0x0230, &t, ""), PING_ADDR_LIST);
	BODY("\0\0");
	assert_int_equal(ASK(plain, 0x0220, &t, B "hi\0" "\0\1" "k\0v\0" "\5"), PING_OK);
	assert_true(echoed(&t));
	assert_int_equal(last.len, 1);
	assert_int_equal(ASK(plain, 0x0220, &t, A "\0" "\0\0" "\1"), PING_OK);
	assert_int_equal(ASK(plain, 0x0220, &t, A "\0" "\0\0" "\1"), PING_OK);
	assert_int_equal(ASK(plain, 0x0230, &t, "stray payload"), PING_ADDR_LIST);
	BODY("\0\2" A B);
	assert_true(echoed(&t));
	/* Query: records for those who read them, addresses for others. */
	assert_int_equal(ASK(plain, 0x0231, &t, "\0\0" "\0" "\0\0" "\0\0"), PING_ADDR_LIST);
	BODY("\0\2" A B);
	assert_int_equal(ASK(extended, 0x0231, &t, "\0\0" "\0" "\0\0" "\0\0"), PING_CONTACTS);
	assert_true(echoed(&t));
	BODY("\0\2" A "\0" "\1" "\0" "\0" "\0" "\0\0"
	     B "\0" "\5" "\0" "\0" "\1" "hi\0" "\0\1" "k\0v\0");
	assert_int_equal(ASK(plain, 0x0231, &t, "\0\0" "h\0" "\0\0" "\0\0"), PING_ADDR_LIST);
	BODY("\0\1" B);
	assert_int_equal(ASK(plain, 0x0231, &t, "\0\0" "\0" "\0\1" "k\0v\0" "\0\0"), PING_ADDR_LIST);
	BODY("\0\1" B);
	assert_int_equal(ASK(plain, 0x0231, &t, "\0\0" "\0" "\0\0" "\2\5"), PING_ADDR_LIST);
	BODY("\0\1" A);
	assert_int_equal(ASK(plain, 0x0231, &t, "\0\1" B "\0" "\0\0" "\2\5"), PING_ADDR_LIST);
	BODY("\0\0");
	/* Modify. */
	assert_int_equal(ASK(plain, 0x0222, &t, "\0\1" "x\0y\0" "\0\1" "k\0" B "\1\7"),
			 PING_ADDR_LIST);
	BODY("\0\1" B);
	assert_true(echoed(&t));
	assert_int_equal(ASK(plain, 0x0222, &t, "\0\0" "\0\0" "\0" "\1\2"), PING_ADDR_LIST);
	BODY("\0\2" A B);
	assert_int_equal(ASK(extended, 0x0231, &t, "\0\1" B "\0" "\0\0" "\0\0"), PING_CONTACTS);
	BODY("\0\1" B "\0" "\2" "\0" "\0" "\1" "hi\0" "\0\1" "x\0y\0");
	/* Delete. */
	assert_int_equal(ASK(plain, 0x0221, &t, B), PING_OK);
	assert_true(echoed(&t));
	ASK(plain, 0x0221, &t, B);
	assert_int_equal(error_code(), PING_E_NO_ADDRESS);
	ASK(plain, 0x0222, &t, "\0\0" "\0\0" B "\0");
	assert_int_equal(error_code(), PING_E_NO_ADDRESS);
	assert_int_equal(ASK(plain, 0x0230, &t, ""), PING_ADDR_LIST);
	BODY("\0\1" A);
	close(plain);
	close(extended);
	ratman_close(r);
}

static void expect_input(const char *part)
{
	assert_int_equal(error_code(), PING_E_USER);
	assert_int_equal(last.payload[9], PING_USER_INPUT);
	if (!memmem(last.payload, last.len, part, strlen(part)))
		fail_msg("the error does not say '%s'", part);
}

static void contact_refusals(void **state)
{
	static uint8_t big[32 + LIMIT_CONTACT_NOTE + 1 + 1 + 2 + 1];
	struct ratman_id a, t;
	struct ratman *r = user(&a, &t);
	int fd = dial(0);

	(void)state;
	ASK(fd, 0x0220, &t, B "\0" "\0\0" "\0");
	expect_input("1 to 7");
	ASK(fd, 0x0220, &t, B "\0" "\0\0" "\10");
	expect_input("1 to 7");
	ASK(fd, 0x0220, &t, B "\xff\0" "\0\0" "\1");
	expect_input("UTF-8");
	ASK(fd, 0x0220, &t, B "\0" "\0\2" "k\0v\0k\0w\0" "\1");
	expect_input("each key once");
	ASK(fd, 0x0220, &t, B "\0" "\0\2" "k\0v\0" "\1");
	expect_input("Contact/Add");
	ASK(fd, 0x0220, &t, B "\0" "\0\0");
	expect_input("Contact/Add");
	memset(big, 'n', sizeof(big) - 4);
	big[sizeof(big) - 1] = 1;
	ask_len(fd, 0x0220, &t, big, sizeof(big));
	expect_input("1024 bytes");
	memset(big, 0, 32);
	ask_len(fd, 0x0220, &t, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
		"\0\0\0\1", 36);
	expect_input("an address");
	ASK(fd, 0x0221, &t, B "\0");
	expect_input("Contact/Delete");
	ASK(fd, 0x0222, &t, "\0\0\0\0\0\1\0");
	expect_input("1 to 7");
	ASK(fd, 0x0231, &t, "\0\2" B "\0" "\0\0" "\0\0");
	expect_input("Contact/Query");
	ASK(fd, 0x0431, &t, "\0" "\0\0" "\4\1");
	expect_input("Peer/Query");
	/* What the backend refuses. */
	refuse_next(-E2BIG);
	ASK(fd, 0x0220, &t, B "\0" "\0\0" "\1");
	expect_input("2048");
	refuse_next(-EDQUOT);
	ASK(fd, 0x0220, &t, B "\0" "\0\0" "\1");
	assert_int_equal(error_code(), PING_E_INTERNAL);
	assert_int_equal(ASK(fd, 0x0220, &t, B "\0" "\0\0" "\1"), PING_OK);
	refuse_next(-EBADMSG);
	ASK(fd, 0x0222, &t, "\0\0" "\0\0" B "\0");
	assert_int_equal(error_code(), PING_E_INTERNAL);
	assert_non_null(memmem(last.payload, last.len, "damaged", 7));
	assert_int_equal(ASK(fd, 0x0230, &t, ""), PING_ADDR_LIST);
	BODY("\0\1" B);
	close(fd);
	ratman_close(r);
}

/* Wrong, missing, foreign and expired tokens: InvalidAuth and nothing else. */
static void contact_tokens(void **state)
{
	static const struct {
		uint16_t mode;
		const char *payload;
		size_t len;
	} asks[] = {
		{ 0x0220, B "\0\0\0\1", 36 }, { 0x0221, B, 32 },
		{ 0x0222, "\0\0\0\0\0\0", 6 }, { 0x0230, "", 0 },
		{ 0x0231, "\0\0\0\0\0\0\0", 7 }, { 0x0431, "\0\0\0\0\0", 5 },
	};
	struct ratman_id a, t, b, u, wrong, *list;
	struct ratman *r = user(&a, &t), *q = user(&b, &u);
	size_t n;
	int fd;

	(void)state;
	wrong = t;
	wrong.b[9] ^= 0x80;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		fd = dial(CAPABILITY_EXTENDED);
		ask_len(fd, asks[i].mode, NULL, asks[i].payload, asks[i].len);
		assert_int_equal(error_code(), PING_E_AUTH);
		ask_len(fd, asks[i].mode, &wrong, asks[i].payload, asks[i].len);
		assert_int_equal(error_code(), PING_E_AUTH);
		close(fd);
	}
	/* Each token sees its own address' contacts only. */
	fd = dial(0);
	assert_int_equal(ASK(fd, 0x0220, &t, A "\0" "\0\0" "\1"), PING_OK);
	assert_int_equal(ASK(fd, 0x0220, &u, B "\0" "\0\0" "\1"), PING_OK);
	ASK(fd, 0x0230, &t, "");
	BODY("\0\1" A);
	ASK(fd, 0x0230, &u, "");
	BODY("\0\1" B);
	ASK(fd, 0x0221, &t, B);
	assert_int_equal(error_code(), PING_E_NO_ADDRESS);
	/* Down: the token stands for nobody. Up again: all is there. */
	assert_int_equal(ratman_addr_down(r, &a, &t), 0);
	ASK(fd, 0x0230, &t, "");
	assert_int_equal(error_code(), PING_E_AUTH);
	assert_int_equal(ratman_contact_list(r, &t, &list, &n), RATMAN_EAUTH);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	ASK(fd, 0x0230, &t, "");
	BODY("\0\1" A);
	assert_int_equal(ratman_addr_destroy(r, &a, &t, false), 0);
	ASK(fd, 0x0230, &t, "");
	assert_int_equal(error_code(), PING_E_AUTH);
	ASK(fd, 0x0230, &u, "");
	BODY("\0\1" B);
	close(fd);
	ratman_close(r);
	ratman_close(q);
}

static void link_bytes(void **state)
{
	int fd = dial(CAPABILITY_EXTENDED), plain = dial(0);

	(void)state;
	ASK(plain, 0x0330, NULL, "");
	assert_int_equal(error_code(), PING_E_NOT_SUPPORTED);
	assert_int_equal(ASK(fd, 0x0330, NULL, ""), PING_LINKS);
	BODY("\0\0");
	/* Nobody steers the router over TCP, whatever the peer line. */
	ASK(fd, 0x0301, NULL, "eth:eth0\0");
	assert_int_equal(error_code(), PING_E_AUTH);
	ASK(fd, 0x0302, NULL, "nonsense");
	assert_int_equal(error_code(), PING_E_AUTH);
	ASK(fd, 0x0310, NULL, "eth:eth0\0");
	assert_int_equal(error_code(), PING_E_AUTH);
	ASK(fd, 0x0311, NULL, "eth:eth0\0");
	assert_int_equal(error_code(), PING_E_AUTH);
	assert_int_equal(ASK(fd, 0x0330, NULL, ""), PING_LINKS);
	BODY("\0\0");
	promote();
	assert_int_equal(ASK(fd, 0x0301, NULL, "eth:eth0\0"), PING_OK);
	assert_int_equal(ASK(fd, 0x0301, NULL, "eth:eth1"), PING_OK);
	assert_int_equal(ASK(fd, 0x0311, NULL, "eth:eth1\0"), PING_OK);
	assert_int_equal(ASK(fd, 0x0330, NULL, "stray"), PING_LINKS);
	BODY("\0\2" "eth\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "eth0\0"
	     "\1" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\x10\0\0"
	     "eth\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "eth1\0"
	     "\0" "\0\0\0\0\0\0\0\1" "\0\0\0\0\0\x10\0\0");
	assert_int_equal(ASK(fd, 0x0302, NULL, "eth:eth1\0"), PING_OK);
	/* Errors say what would have been right. */
	ASK(fd, 0x0302, NULL, "eth:eth1\0");
	expect_input("the name of a link");
	ASK(fd, 0x0301, NULL, "eth:eth7\0");
	expect_input("eth7");
	ASK(fd, 0x0301, NULL, "udp:[::1]:1\0");
	expect_input("udp");
	ASK(fd, 0x0301, NULL, "eth0\0");
	expect_input("driver:address");
	ASK(fd, 0x0301, NULL, "eth:broken\0");
	assert_int_equal(error_code(), PING_E_INTERNAL);
	assert_non_null(memmem(last.payload, last.len, "the kernel says no", 18));
	close(fd);
	close(plain);
}

#define FIRST_SEEN "2024-10-21T17:25:26.123456789+00:00"
#define LAST_SEEN "2024-10-21T17:30:00.000000001+00:00"

static void peer_bytes(void **state)
{
	struct ratman_id a, t;
	struct ratman *r = user(&a, &t);
	int fd = dial(0);

	(void)state;
	assert_int_equal(ASK(fd, 0x0434, NULL, PEER_A), PING_PEER_LIST);
	BODY("\0\1" PEER_A FIRST_SEEN LAST_SEEN "\0");
	assert_false(last.header.has_token);
	assert_int_equal(ASK(fd, 0x0434, &t, PEER_A), PING_PEER_LIST);
	assert_true(echoed(&t));
	ASK(fd, 0x0434, NULL, B);
	assert_int_equal(error_code(), PING_E_NO_ADDRESS);
	assert_int_equal(ASK(fd, 0x0434, &t, "\0"), PING_STATUS);
	assert_true(echoed(&t));
	assert_int_equal(last.len, 33);
	assert_int_equal(last.payload[8], 3);
	assert_int_equal(ASK(fd, 0x0434, NULL, ""), PING_STATUS);
	ASK(fd, 0x0434, NULL, "\1");
	expect_input("an address");
	ASK(fd, 0x0434, NULL, "\0\0");
	expect_input("an address");
	/* Of the contacts, B is no peer; of the peers, 42… is no contact. */
	assert_int_equal(ASK(fd, 0x0220, &t, PEER_C "from work" "\0" "\0\1" "k\0v\0" "\5"), PING_OK);
	assert_int_equal(ASK(fd, 0x0220, &t, PEER_A "\0" "\0\0" "\1"), PING_OK);
	assert_int_equal(ASK(fd, 0x0220, &t, B "\0" "\0\0" "\5"), PING_OK);
	assert_int_equal(ASK(fd, 0x0431, &t, "\0" "\0\0" "\0\0"), PING_PEER_LIST);
	assert_true(echoed(&t));
	BODY("\0\2" PEER_A FIRST_SEEN LAST_SEEN "\0" PEER_C FIRST_SEEN LAST_SEEN "\0");
	assert_int_equal(ASK(fd, 0x0431, &t, "\0" "\0\1" "k\0" "\0\0"), PING_PEER_LIST);
	BODY("\0\1" PEER_C FIRST_SEEN LAST_SEEN "\0");
	assert_int_equal(ASK(fd, 0x0431, &t, "work\0" "\0\0" "\1\5"), PING_PEER_LIST);
	BODY("\0\1" PEER_C FIRST_SEEN LAST_SEEN "\0");
	assert_int_equal(ASK(fd, 0x0431, &t, "\0" "\0\0" "\2\5"), PING_PEER_LIST);
	BODY("\0\1" PEER_A FIRST_SEEN LAST_SEEN "\0");
	assert_int_equal(ASK(fd, 0x0431, &t, "play\0" "\0\0" "\0"), PING_PEER_LIST);
	BODY("\0\0");
	close(fd);
	ratman_close(r);
}

static struct ratman_id id_of(const char *bytes)
{
	struct ratman_id id;

	memcpy(id.b, bytes, 32);
	return id;
}

static size_t matches_of(struct ratman *r, const struct ratman_id *t,
			 const struct ratman_contact_search *search)
{
	struct ratman_contact *found;
	size_t n;

	assert_int_equal(ratman_contact_search(r, t, search, &found, &n), 0);
	ratman_free(found);
	return n;
}

/* Of A (trust 7, nothing noted) or B (nick bob, met, trust 7 or less). */
static void library_terms(struct ratman *r, const struct ratman_id *t)
{
	struct ratman_user_term term[17] = { { "note", "h", RATMAN_MATCH_PREFIX } };
	struct ratman_contact_search search = { .terms = term, .n_terms = 1 };
	struct ratman_contact *found;
	static char text[2100], keys[17][2048];
	struct ratman_id many[1024];
	size_t n;

	assert_int_equal(matches_of(r, t, &search), 1);
	term[0] = (struct ratman_user_term){ NULL, "NOBODY", RATMAN_MATCH_SUBSTRING };
	assert_int_equal(matches_of(r, t, &search), 0);
	search = (struct ratman_contact_search){ .met = true };
	assert_int_equal(matches_of(r, t, &search), 1);
	search = (struct ratman_contact_search){ .not_met = true };
	assert_int_equal(matches_of(r, t, &search), 1);
	search = (struct ratman_contact_search){ .trust_near = 4, .trust_fuzz = 6 };
	assert_int_equal(matches_of(r, t, &search), 2);

	/* What is found wrong before anything is sent. */
	search = (struct ratman_contact_search){ .met = true, .not_met = true };
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -EINVAL);
	search = (struct ratman_contact_search){ .trust_near = 4, .filter = { .trust_below = 4 } };
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -EINVAL);
	search = (struct ratman_contact_search){ .trust_near = 8 };
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -EINVAL);
	search = (struct ratman_contact_search){ .trust_fuzz = 1 };
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -EINVAL);
	search = (struct ratman_contact_search){ .terms = term, .n_terms = 17 };
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -E2BIG);
	search.n_terms = 1;
	term[0].pattern = "\xc3";
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -EILSEQ);
	memset(text, 'x', sizeof(text) - 1);
	term[0].pattern = text;
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -E2BIG);
	term[0] = (struct ratman_user_term){ text, "x", RATMAN_MATCH_EXACT };
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -E2BIG);
	term[0] = (struct ratman_user_term){ "nick", "x", (enum ratman_match)4 };
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -EINVAL);
	/* Each is short enough, all of it together is not. */
	memset(many, 1, sizeof(many));
	for (size_t i = 0; i < 16; i++) {
		memset(keys[i], 'k', sizeof(keys[i]) - 1);
		term[i] = (struct ratman_user_term){ keys[i], "x", RATMAN_MATCH_EXACT };
	}
	search = (struct ratman_contact_search){ .terms = term, .n_terms = 16,
						 .filter = { .addresses = many, .n_addresses = 1024 } };
	assert_int_equal(ratman_contact_search(r, t, &search, &found, &n), -E2BIG);
}

static void library_contacts(void **state)
{
	static const struct ratman_tag tags[] = { { "k", "v" }, { "empty", NULL } };
	static const char *const keys[] = { "k", "none" };
	struct ratman_contact c = { .address = id_of(B), .nick = "bob", .location = "Ghent",
				    .note = "hi", .met = true, .trust = 5, .tags = tags,
				    .n_tags = 2 };
	struct ratman_contact_change change = { .set = tags, .n_set = 1 };
	const struct ratman_user_term like[] = { { "nick", "pere", RATMAN_MATCH_FUZZY } };
	struct ratman_contact_search search = { .trust_near = 4, .trust_fuzz = 1, .not_met = true,
						.terms = like, .n_terms = 1 };
	struct ratman_contact_filter filter = { .note = "h" };
	struct ratman_contact *found;
	struct ratman_id a, t, *list, absent = id_of(PEER_A);
	struct ratman *r = user(&a, &t);
	struct ratman_peer *peers, peer;
	static char text[3000];
	size_t n;

	(void)state;
	assert_int_equal(ratman_contact_add(r, &t, &c), 0);
	c = (struct ratman_contact){ .address = id_of(A), .trust = 1 };
	assert_int_equal(ratman_contact_add(r, &t, &c), 0);
	assert_int_equal(ratman_contact_list(r, &t, &list, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(list, A B, 64);
	ratman_free(list);
	assert_int_equal(ratman_contact_query(r, &t, NULL, &found, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(found[0].address.b, A, 32);
	assert_null(found[0].nick);
	assert_null(found[0].note);
	assert_false(found[0].met);
	assert_int_equal(found[0].n_tags, 0);
	assert_string_equal(found[1].nick, "bob");
	assert_string_equal(found[1].location, "Ghent");
	assert_string_equal(found[1].note, "hi");
	assert_true(found[1].met);
	assert_int_equal(found[1].trust, 5);
	assert_int_equal(found[1].n_tags, 2);
	assert_string_equal(found[1].tags[0].key, "k");
	assert_string_equal(found[1].tags[0].value, "v");
	assert_string_equal(found[1].tags[1].key, "empty");
	assert_string_equal(found[1].tags[1].value, "");
	ratman_free(found);
	assert_int_equal(ratman_contact_query(r, &t, &filter, &found, &n), 0);
	assert_int_equal(n, 1);
	ratman_free(found);
	filter = (struct ratman_contact_filter){ .addresses = &absent, .n_addresses = 1 };
	assert_int_equal(ratman_contact_query(r, &t, &filter, &found, &n), 0);
	assert_int_equal(n, 0);
	ratman_free(found);
	filter = (struct ratman_contact_filter){ .trust_below = 5 };
	assert_int_equal(ratman_contact_query(r, &t, &filter, &found, &n), 0);
	assert_int_equal(n, 1);
	assert_memory_equal(found[0].address.b, A, 32);
	ratman_free(found);

	assert_int_equal(ratman_contact_modify(r, &t, &change, &list, &n), 0);
	assert_int_equal(n, 2);
	ratman_free(list);
	change = (struct ratman_contact_change){ .address = &c.address, .remove = keys,
						 .n_remove = 2, .trust = 7 };
	assert_int_equal(ratman_contact_modify(r, &t, &change, NULL, NULL), 0);
	filter = (struct ratman_contact_filter){ .trust_at_least = 6 };
	assert_int_equal(ratman_contact_query(r, &t, &filter, &found, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(found[0].n_tags, 0);
	ratman_free(found);
	change.address = &absent;
	assert_int_equal(ratman_contact_modify(r, &t, &change, NULL, NULL), RATMAN_ENOADDRESS);
	assert_int_equal(ratman_contact_del(r, &t, &absent), RATMAN_ENOADDRESS);

	/* What is found wrong before anything is sent. */
	c.trust = 0;
	assert_int_equal(ratman_contact_add(r, &t, &c), -EINVAL);
	c.trust = 8;
	assert_int_equal(ratman_contact_add(r, &t, &c), -EINVAL);
	c.trust = 7;
	memset(text, 'x', sizeof(text) - 1);
	c.note = text;
	assert_int_equal(ratman_contact_add(r, &t, &c), -E2BIG);
	c.note = "\xc3";
	assert_int_equal(ratman_contact_add(r, &t, &c), -EILSEQ);
	c.note = NULL;
	c.nick = text;
	assert_int_equal(ratman_contact_add(r, &t, &c), -E2BIG);
	c.nick = "x";
	c.tags = (const struct ratman_tag[]){ { "nick", "y" } };
	c.n_tags = 1;
	assert_int_equal(ratman_contact_add(r, &t, &c), -EEXIST);
	c.tags = (const struct ratman_tag[]){ { "", "y" } };
	assert_int_equal(ratman_contact_add(r, &t, &c), -EINVAL);
	filter = (struct ratman_contact_filter){ .trust_at_least = 6, .trust_below = 7 };
	assert_int_equal(ratman_contact_query(r, &t, &filter, &found, &n), -EINVAL);
	filter = (struct ratman_contact_filter){ .n_addresses = 2000, .addresses = &absent };
	assert_int_equal(ratman_contact_query(r, &t, &filter, &found, &n), -E2BIG);

	library_terms(r, &t);

	/* Peers. */
	c = (struct ratman_contact){ .address = absent, .trust = 3, .nick = "peer" };
	assert_int_equal(ratman_contact_add(r, &t, &c), 0);
	assert_int_equal(ratman_peer_query(r, &t, NULL, &peers, &n), 0);
	assert_int_equal(n, 1);
	assert_memory_equal(peers[0].address.b, PEER_A, 32);
	assert_int_equal(peers[0].first_seen_ns, 1729531526123456789);
	ratman_free(peers);
	filter = (struct ratman_contact_filter){ .tags = (const struct ratman_tag[]){ { "nick", NULL } },
						 .n_tags = 1, .trust_at_least = 3 };
	assert_int_equal(ratman_peer_query(r, &t, &filter, &peers, &n), 0);
	assert_int_equal(n, 1);
	ratman_free(peers);
	filter.tags = (const struct ratman_tag[]){ { "nick", "peer" } };
	assert_int_equal(ratman_peer_query(r, &t, &filter, &peers, &n), -EINVAL);
	assert_int_equal(ratman_peer_search(r, &t, &search, &peers, &n), 0);
	assert_int_equal(n, 1);
	ratman_free(peers);
	search.met = true;
	search.not_met = false;
	assert_int_equal(ratman_peer_search(r, &t, &search, &peers, &n), 0);
	assert_int_equal(n, 0);
	ratman_free(peers);
	search.filter = filter;
	search.trust_near = search.trust_fuzz = 0;
	assert_int_equal(ratman_peer_search(r, &t, &search, &peers, &n), -EINVAL);
	assert_int_equal(ratman_peer_status(r, &absent, &peer), 0);
	assert_memory_equal(peer.address.b, PEER_A, 32);
	absent = id_of(B);
	assert_int_equal(ratman_peer_status(r, &absent, &peer), RATMAN_ENOADDRESS);
	ratman_close(r);
}

static void library_links(void **state)
{
	struct ratman_link *links;
	struct ratman *r;
	size_t n;

	(void)state;
	assert_int_equal(ratman_open(&r, d.bind, 20000), 0);
	assert_int_equal(ratman_link_create(r, "eth:eth0"), RATMAN_EAUTH);
	promote();
	assert_int_equal(ratman_link_create(r, "eth:eth0"), 0);
	assert_int_equal(ratman_link_down(r, "eth:eth0"), 0);
	assert_int_equal(ratman_link_list(r, &links, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(links[0].driver, "eth");
	assert_string_equal(links[0].address, "eth0");
	assert_false(links[0].up || links[0].has_neighbour);
	assert_int_equal(links[0].tx_bytes, 1 << 20);
	ratman_free(links);
	assert_int_equal(ratman_link_up(r, "eth:eth0"), 0);
	assert_int_equal(ratman_link_list(r, &links, &n), 0);
	assert_true(links[0].up);
	ratman_free(links);
	assert_int_equal(ratman_link_destroy(r, "eth:eth0"), 0);
	assert_int_equal(ratman_link_destroy(r, "eth:eth0"), RATMAN_EINPUT);
	assert_int_equal(ratman_link_create(r, "udp:x"), RATMAN_EINPUT);
	assert_int_equal(ratman_link_create(r, "eth0"), -EINVAL);
	assert_int_equal(ratman_link_create(r, "eth:broken"), RATMAN_EINTERNAL);
	assert_non_null(strstr(ratman_error_text(r), "the kernel says no"));
	assert_int_equal(ratman_link_list(r, &links, &n), 0);
	assert_int_equal(n, 0);
	ratman_free(links);
	ratman_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(contact_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(contact_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(contact_tokens, setup, teardown),
		cmocka_unit_test_setup_teardown(link_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(peer_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(library_contacts, setup, teardown),
		cmocka_unit_test_setup_teardown(library_links, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
