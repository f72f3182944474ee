// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client protocol server as a state machine. The input is a list of
 * actions on a few connections: golden frames with good and bad tokens, raw
 * bytes, splits anywhere, closes and resets, time that passes, data sockets,
 * and a backend that is slow, late or fails. Whatever happens, nothing may be
 * left when all connections are gone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/api_fake.h"
#include "../unit/api_late.h"
#include "../unit/golden.h"
#include "base/log.h"
#include "ratmand/api/server.h"

#define SLOTS 4
#define N_GOLDEN (sizeof(golden) / sizeof(golden[0]))
#define MAX_TIMERS 256

#define A_HEX "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define T_HEX "a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0"
#define B_HEX "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60"
#define S_HEX "d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0"

/* What a client that knows our extensions says. */
static const struct golden extended[] = {
	{ "handshake with all capabilities", "0000000700100000000005", "0100010107" },
	{ "Intrinsic/Limits", "0000000700360000000000", "" },
	{ "Addr/Sub", "000000260103" T_HEX "00000021", A_HEX "00" },
	{ "Addr/Resub", "000000260104" T_HEX "00000040", S_HEX A_HEX },
	{ "Addr/Unsub", "000000260105" T_HEX "00000040", S_HEX A_HEX },
	{ "Contact/Add", "000000260220" T_HEX "0000002a", B_HEX "686900" "0001" "6b00" "7600" "05" },
	{ "Contact/Delete", "000000260221" T_HEX "00000020", B_HEX },
	{ "Contact/Modify", "000000260222" T_HEX "0000002a",
	  "0001" "6b00" "7700" "0000" B_HEX "0103" },
	{ "Contact/List", "000000260230" T_HEX "00000000", "" },
	{ "Contact/Query", "000000260231" T_HEX "00000007", "0000" "00" "0000" "0000" },
	{ "Link/List", "0000000703300000000000", "" },
	{ "Link/Up", "0000000703100000000005", "6574683000" },
	{ "Peer/Query", "000000260431" T_HEX "00000005", "00" "0000" "0000" },
	{ "Peer/Status", "0000000704340000000020", B_HEX },
};

#define TOKEN(mode, len) "00000026" mode T_HEX len
#define BARE(mode, len) "00000007" mode "00" len
#define NAME_HEX "612e6200"	/* a.b */
#define TAGS_HEX "0001" "6b00" "000176"

/* The Service API: one of each request. */
static const struct golden services[] = {
	{ "Stream/Up", TOKEN("0710", "00000040"), S_HEX A_HEX },
	{ "Stream/Down", TOKEN("0711", "00000040"), S_HEX A_HEX },
	{ "User/Create", BARE("0901", "00000008"), "70617373" "00" "01" "6800" },
	{ "User/Destroy", TOKEN("0902", "00000021"), A_HEX "01" },
	{ "User/Sub", TOKEN("0903", "00000020"), A_HEX },
	{ "User/Unsub", TOKEN("0905", "00000040"), S_HEX A_HEX },
	{ "User/Up", BARE("0910", "00000025"), A_HEX "70617373" "00" },
	{ "User/Down", TOKEN("0911", "00000020"), A_HEX },
	{ "User/Modify", TOKEN("0922", "00000030"),
	  A_HEX "00" "016800" "02" "00" "0001" "6b00" "7600" "0000" "0000" },
	{ "User/Modify, password", TOKEN("0922", "00000023"), A_HEX "01" "7000" },
	{ "User/List", BARE("0930", "00000001"), "02" },
	{ "User/Query, one", BARE("0931", "00000021"), "00" A_HEX },
	{ "User/Query", BARE("0931", "0000000f"), "01" "0001" "00" "6100" "02" "00000000" "00000005" },
	{ "User/Status", TOKEN("0934", "00000020"), A_HEX },
	{ "Message/Sub", TOKEN("0a03", "0000002c"), A_HEX "01" NAME_HEX TAGS_HEX },
	{ "Message/Resub", TOKEN("0a04", "00000040"), S_HEX A_HEX },
	{ "Message/Unsub", TOKEN("0a05", "00000040"), S_HEX A_HEX },
	{ "Message/Delete", TOKEN("0a21", "00000040"), A_HEX S_HEX },
	{ "Message/Modify", TOKEN("0a22", "00000049"), A_HEX S_HEX TAGS_HEX "0000" },
	{ "Message/Query", TOKEN("0a31", "00000036"),
	  A_HEX "01" NAME_HEX "00" "00" TAGS_HEX "00000000" "00000005" },
	{ "Message/One", TOKEN("0a32", "00000052"),
	  A_HEX "01" B_HEX "00" NAME_HEX TAGS_HEX "00000001" "78" },
	{ "Message/Many", TOKEN("0a33", "00000052"),
	  A_HEX "0001" B_HEX NAME_HEX TAGS_HEX "00000001" "78" },
	{ "Service/Create", BARE("0b01", "00000005"), NAME_HEX "00" },
	{ "Service/Destroy", BARE("0b02", "00000004"), NAME_HEX },
	{ "Service/Add", TOKEN("0b20", "0000002c"), A_HEX NAME_HEX "00" "6b00" "00000001" "76" },
	{ "Service/Delete", TOKEN("0b21", "00000027"), A_HEX NAME_HEX "00" "6b00" },
	{ "Service/List", TOKEN("0b30", "00000025"), A_HEX NAME_HEX "00" },
	{ "Service/Query", TOKEN("0b31", "00000027"), A_HEX NAME_HEX "00" "6b00" },
	{ "Service/Status", BARE("0b34", "00000000"), "" },
	{ "File/Create", TOKEN("0c01", "0000002b"), A_HEX "6600" "0000000000000003" "00" },
	{ "File/Sub", TOKEN("0c03", "00000020"), A_HEX },
	{ "File/Up", TOKEN("0c10", "00000041"), A_HEX S_HEX "00" },
	{ "File/Down", TOKEN("0c11", "00000041"), A_HEX S_HEX "00" },
	{ "File/Add", TOKEN("0c20", "00000041"), A_HEX S_HEX "00" },
	{ "File/Delete", TOKEN("0c21", "00000040"), A_HEX S_HEX },
	{ "File/Modify", TOKEN("0c22", "00000048"), A_HEX S_HEX "0000000000000000" },
	{ "File/List", TOKEN("0c30", "00000022"), A_HEX "00" "00" },
	{ "File/Query", TOKEN("0c31", "00000023"), A_HEX "01" "6600" },
	{ "File/One", TOKEN("0c32", "00000063"), A_HEX S_HEX "0001" "01" B_HEX },
	{ "File/Many", TOKEN("0c33", "00000063"), A_HEX S_HEX "0001" "01" B_HEX },
	{ "File/Status", TOKEN("0c34", "00000040"), A_HEX S_HEX },
	{ "File/Get", TOKEN("0c36", "00000040"), A_HEX S_HEX },
};

#define N_EXTENDED (sizeof(extended) / sizeof(extended[0]))
#define N_SERVICES (sizeof(services) / sizeof(services[0]))
#define N_FRAMES (N_GOLDEN + N_EXTENDED + N_SERVICES)
/* In the input; golden frames count from 0. */
#define FIRST_SERVICE 0x80
#define FIRST_EXTENDED 0xf0

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Time: stands still until the input lets it pass ------------------------------- */

static struct fake_timer {
	uv_timer_t *handle;
	uv_timer_cb cb;
	uint64_t due;
	bool active;
} timers[MAX_TIMERS];
static size_t n_timers;
static uint64_t now_ms;

int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_stop(uv_timer_t *handle);
uint64_t __wrap_uv_timer_get_due_in(const uv_timer_t *handle);
int __wrap_uv_is_active(const uv_handle_t *handle);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
void __wrap_uv_close(uv_handle_t *handle, uv_close_cb cb);
int __real_uv_is_active(const uv_handle_t *handle);
void __real_uv_close(uv_handle_t *handle, uv_close_cb cb);

static struct fake_timer *timer_find(const void *handle)
{
	for (size_t i = 0; i < n_timers; i++)
		if (timers[i].handle == handle)
			return &timers[i];
	return NULL;
}

int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
	struct fake_timer *t = timer_find(handle);

	if (uv_is_closing((uv_handle_t *)handle) || repeat || n_timers == MAX_TIMERS)
		abort();
	if (!t)
		t = &timers[n_timers++];
	*t = (struct fake_timer){ handle, cb, now_ms + timeout, true };
	return 0;
}

int __wrap_uv_timer_stop(uv_timer_t *handle)
{
	struct fake_timer *t = timer_find(handle);

	if (t)
		t->active = false;
	return 0;
}

uint64_t __wrap_uv_timer_get_due_in(const uv_timer_t *handle)
{
	const struct fake_timer *t = timer_find(handle);

	return t && t->due > now_ms ? t->due - now_ms : 0;
}

int __wrap_uv_is_active(const uv_handle_t *handle)
{
	const struct fake_timer *t = timer_find(handle);

	return t ? t->active : __real_uv_is_active(handle);
}

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return now_ms;
}

void __wrap_uv_close(uv_handle_t *handle, uv_close_cb cb)
{
	struct fake_timer *t = timer_find(handle);

	if (t)
		*t = timers[--n_timers];
	__real_uv_close(handle, cb);
}

/* Calls what is due, in order, and what that makes due. */
static void pass_time(uint64_t ms)
{
	uint64_t end = now_ms + ms;

	for (int i = 0; i < 1000; i++) {
		struct fake_timer *next = NULL;

		for (size_t k = 0; k < n_timers; k++)
			if (timers[k].active && timers[k].due <= end &&
			    (!next || timers[k].due < next->due))
				next = &timers[k];
		if (!next)
			break;
		if (next->due > now_ms)
			now_ms = next->due;
		next->active = false;
		next->cb(next->handle);
	}
	now_ms = end;
}

/* Random numbers: the same for the same input ------------------------------------ */

static uint32_t seed;

static uint32_t even_random(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8 | seed << 24;
}

static void even_buf(void *buf, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)buf)[i] = (uint8_t)even_random();
}

static const char *even_name(void)
{
	return "even";
}

static struct randombytes_implementation even = {
	.implementation_name = even_name, .random = even_random, .buf = even_buf,
};

/* The world ------------------------------------------------------------------------ */

struct slot {
	int fd;			/* -1: none */
	bool tcp;
	int data;		/* data socket */
	uint16_t data_port;	/* named last */
};

static uv_loop_t loop;
static struct api_server *server;
static struct fake *fake;
static struct slot slots[SLOTS];
static struct address addresses[2];
static struct ident tokens[2];
static struct ident subscription;	/* the last that was made */
static uint8_t frames[N_FRAMES][512];
static size_t frame_len[N_FRAMES];

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
		sscanf(hex + 2 * i, "%2hhx", &out[i]);
	return n;
}

static void begin_process(void)
{
	if (frame_len[0])
		return;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR + 1);
	randombytes_set_implementation(&even);
	for (size_t i = 0; i < N_FRAMES; i++) {
		const struct golden *g = i < N_GOLDEN ? &golden[i] :
					 i < N_GOLDEN + N_EXTENDED ? &extended[i - N_GOLDEN] :
					 &services[i - N_GOLDEN - N_EXTENDED];

		frame_len[i] = unhex(g->header, frames[i]);
		if (i >= N_GOLDEN && strtoul(g->header + strlen(g->header) - 8, NULL, 16) !=
		    strlen(g->payload) / 2) {
			fprintf(stderr, "fuzz_server: %s: wrong length\n", g->name);
			abort();
		}
		frame_len[i] += unhex(g->payload, frames[i] + frame_len[i]);
	}
	uv_loop_init(&loop);
}

static void created(void *ctx, int err, const struct address *address, const struct ident *token)
{
	size_t i = *(size_t *)ctx;

	if (err)
		abort();
	addresses[i] = *address;
	tokens[i] = *token;
}

static void up(void *ctx, int err)
{
	(void)ctx;
	if (err)
		abort();
}

static void begin(void)
{
	struct api_config cfg;
	char why[128];

	begin_process();
	seed = 1;
	memset(&subscription, 0, sizeof(subscription));
	now_ms = 1000000;
	api_config_defaults(&cfg);
	cfg.bind = "127.0.0.1:0";
	cfg.limits.clients = SLOTS - 1;
	cfg.limits.write_queue = 4096;
	cfg.limits.write_queue_total = 16384;
	cfg.limits.turn_requests = 3;
	cfg.limits.turn_bytes = 100;
	fake = fake_new();
	if (api_server_new(&server, &loop, &cfg, late_ops(&fake_ops), fake, why, sizeof(why))) {
		fprintf(stderr, "fuzz_server: %s\n", why);
		abort();
	}
	for (size_t i = 0; i < 2; i++) {
		fake_ops.addr_create(fake, NULL, NULL, created, &i);
		fake_ops.addr_up(fake, &addresses[i], &tokens[i], up, NULL);
		if (api_token_restore(server, &addresses[i], &tokens[i]))
			abort();
	}
	for (size_t i = 0; i < SLOTS; i++)
		slots[i] = (struct slot){ .fd = -1, .data = -1 };
}

static void turn(unsigned int n)
{
	while (n--)
		uv_run(&loop, UV_RUN_NOWAIT);
}

static int dial(uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Over TCP, or as if over the Unix socket, with little room for what it does not read. */
static void slot_open(struct slot *s, bool tcp)
{
	int pair[2], little = 4096;

	if (s->fd >= 0)
		return;
	s->tcp = tcp;
	if (tcp) {
		s->fd = dial(api_server_port(server));
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) ||
	    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)) ||
	    api_server_adopt(server, pair[0]))
		abort();
	s->fd = pair[1];
}

static void slot_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Without TIME_WAIT: thousands of these are made a second. */
static void reset(int *fd)
{
	struct linger now = { 1, 0 };

	if (*fd >= 0)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	slot_close(fd);
}

static void slot_end(struct slot *s)
{
	if (s->tcp)
		reset(&s->fd);
	else
		slot_close(&s->fd);
	reset(&s->data);
}

/* Reads up to @size bytes; the port of a data socket and a subscription out of them. */
static void slot_read(struct slot *s, int fd, size_t size)
{
	static const char host[] = "127.0.0.1:";
	static uint8_t buf[65536];
	ssize_t n = fd < 0 ? -1 : recv(fd, buf, size < sizeof(buf) ? size : sizeof(buf),
				       MSG_DONTWAIT);
	const uint8_t *at = n > 0 ? memmem(buf, (size_t)n, host, sizeof(host) - 1) : NULL;

	if (fd != s->fd || !at || at + sizeof(host) + 4 >= buf + n)
		return;
	s->data_port = (uint16_t)strtoul((const char *)at + sizeof(host) - 1, NULL, 10);
	/* Before it, the kind of a Subscription reply and the identifier. */
	if (at - buf > 33 && at[-33] == 6)
		memcpy(subscription.b, at - 32, 32);
}

static void data_connect(struct slot *s)
{
	/* The port of one that is closed may be another process's by now. */
	if (!s->data_port || s->data >= 0 || !api_server_counters(server)->helpers)
		return;
	s->data = dial(s->data_port);
	s->data_port = 0;
}

static void put(int fd, const uint8_t *data, size_t len)
{
	if (fd >= 0 && send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;	/* full, or closed by the server: both are fine */
}

static size_t frame_of(uint8_t which)
{
	if (which < FIRST_SERVICE)
		return which % N_GOLDEN;
	if (which < FIRST_EXTENDED)
		return N_GOLDEN + N_EXTENDED + (which - FIRST_SERVICE) % N_SERVICES;
	return N_GOLDEN + (which - FIRST_EXTENDED) % N_EXTENDED;
}

/* A golden frame of ours: the samples become the addresses that are up, and a token. */
static size_t frame_make(uint8_t which, uint8_t how, uint8_t out[static 512])
{
	size_t frame = frame_of(which), len = frame_len[frame];
	struct ident token = tokens[how & 1];

	memcpy(out, frames[frame], len);
	if (how & 2)
		token.b[31] ^= 0x20;
	for (size_t i = 0; i + 32 <= len; i++) {
		if (out[i] == 0xa1 && out[i + 31] == 0xc0)
			memcpy(out + i, token.b, 32);
		else if (out[i] == 0x01 && out[i + 1] == 0x02 && out[i + 31] == 0x20)
			memcpy(out + i, addresses[how & 1].b, 32);
		else if (out[i] == 0x41 && out[i + 31] == 0x60)
			memcpy(out + i, addresses[!(how & 4)].b, 32);
		else if (out[i] == 0xd1 && out[i + 31] == 0xf0)
			memcpy(out + i, subscription.b, 32);
	}
	return len;
}

/* The input ------------------------------------------------------------------------ */

struct input {
	const uint8_t *at, *end;
};

static uint8_t next(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static const uint8_t *next_bytes(struct input *in, size_t *len)
{
	const uint8_t *at = in->at;

	if (*len > (size_t)(in->end - in->at))
		*len = (size_t)(in->end - in->at);
	in->at += *len;
	return at;
}

static void do_frame(struct slot *s, struct input *in)
{
	uint8_t frame[512], which = next(in), how = next(in), split = next(in);
	size_t len = frame_make(which, how, frame);
	size_t first = split < len ? split : len;

	if (how & 8)
		frame[split % len] ^= next(in);
	put(s->fd, frame, first);
	if (split)
		turn(1);
	put(s->fd, frame + first, len - first);
}

/* The same frame many times over: a client that pipelines. */
static void do_pipeline(struct slot *s, struct input *in)
{
	uint8_t frame[512], which = next(in);
	size_t len = frame_make(which, 0, frame);

	for (int n = next(in); n > 0; n--)
		put(s->fd, frame, len);
}

static void do_bytes(int fd, struct input *in)
{
	size_t len = next(in);
	const uint8_t *data = next_bytes(in, &len);

	put(fd, data, len);
}

static void do_action(uint8_t op, struct input *in)
{
	static const uint32_t times[] = { 1, 60, 400, 2001, 5001, 10001, 31000, 121000 };
	struct slot *s = &slots[op >> 6];

	switch (op & 0x0f) {
	case 0:
		slot_open(s, op & 0x10);
		break;
	case 1:
		do_bytes(s->fd, in);
		break;
	case 2:
		do_frame(s, in);
		break;
	case 3:
		do_pipeline(s, in);
		break;
	case 4:
		if (s->tcp && op & 0x10)
			reset(&s->fd);
		else
			slot_close(&s->fd);
		break;
	case 5:
		if (s->fd >= 0)
			shutdown(s->fd, next(in) & 1 ? SHUT_WR : SHUT_RDWR);
		break;
	case 6:
		pass_time(times[next(in) % 8]);
		break;
	case 7:
		turn(next(in) & 15);
		break;
	case 8:
		late_turn();
		break;
	case 9:
		late_set(next(in) & 1);
		break;
	case 10:
		late_set_failing(next(in) & 15);
		break;
	case 11:
		slot_read(s, op & 0x10 ? s->data : s->fd, (size_t)next(in) << 8);
		break;
	case 12:
		data_connect(s);
		break;
	case 13:
		do_bytes(s->data, in);
		break;
	case 14:
		if (next(in) & 1)
			reset(&s->data);
		else
			slot_close(&s->data);
		break;
	case 15:
		if (op & 0x10)
			fake_event(fake, (enum payload_event_kind)(next(in) % 3 + 1), &addresses[0]);
		else
			fake_set_slow(fake, next(in) & 3);
		fake_turn(fake);
		break;
	}
	turn(1);
}

/* Everybody goes; the server must forget them all. */
static void end_connections(void)
{
	const struct api_counters *n = api_server_counters(server);

	for (size_t i = 0; i < SLOTS; i++) {
		slot_end(&slots[i]);
	}
	late_set_failing(0);
	turn(2);
	late_set(false);
	/* Data sockets of who said goodbye wait their time. */
	for (int i = 0; i < 64 && (n->clients || n->helpers || late_busy()); i++) {
		pass_time(5001);
		fake_turn(fake);
		turn(1);
	}
	if (n->clients || n->queued || n->helpers || late_busy()) {
		fprintf(stderr, "left: %llu clients, %llu bytes, %llu data sockets, %zu in the backend\n",
			(unsigned long long)n->clients, (unsigned long long)n->queued,
			(unsigned long long)n->helpers, late_busy());
		abort();
	}
}

static void closed(void *ctx)
{
	*(bool *)ctx = true;
}

static void end(bool with_clients)
{
	bool is_closed = false;

	if (!with_clients)
		end_connections();
	api_server_free(server, closed, &is_closed);
	late_set_failing(0);
	late_set(false);
	for (int i = 0; i < 64 && !is_closed; i++)
		turn(1);
	turn(2);
	if (!is_closed || uv_loop_alive(&loop) || n_timers || late_busy())
		abort();
	for (size_t i = 0; i < SLOTS; i++) {
		slot_end(&slots[i]);
	}
	fake_free(fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	bool stops_in_the_middle = size && data[0] & 1;

	begin();
	next(&in);
	for (int i = 0; i < 400 && in.at < in.end; i++)
		do_action(next(&in), &in);
	end(stops_in_the_middle);
	return 0;
}
