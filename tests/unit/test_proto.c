// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Microframe codecs: the golden frames in both directions, acceptance tables,
 * truncation at every length, strings and date-times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "golden.h"
#include "proto/field.h"
#include "proto/header.h"
#include "proto/ops.h"
#include "proto/payload.h"
#include "proto/ping.h"

#define N_GOLDEN (sizeof(golden) / sizeof(golden[0]))

static struct address A, B;
static struct ident T, S;

static int setup(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < 32; i++) {
		A.b[i] = (uint8_t)(0x01 + i);
		B.b[i] = (uint8_t)(0x41 + i);
		T.b[i] = (uint8_t)(0xa1 + i);
		S.b[i] = (uint8_t)(0xd1 + i);
	}
	return 0;
}

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };

		out[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

static const struct golden *find(const char *name)
{
	for (size_t i = 0; i < N_GOLDEN; i++) {
		if (!strcmp(golden[i].name, name))
			return &golden[i];
	}
	fail_msg("no golden frame '%s'", name);
	return NULL;
}

static void golden_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_GOLDEN; i++) {
		uint8_t raw[64], payload[512], again[HEADER_WRITE_MAX];
		size_t n = unhex(golden[i].header, raw), used;
		struct header_parser p;
		struct frame_header h;

		/* Whole, then byte by byte. */
		header_parser_init(&p);
		assert_int_equal(header_parser_feed(&p, raw, n, &used, &h), 1);
		assert_int_equal(used, n);
		assert_int_equal(h.payload_len, unhex(golden[i].payload, payload));
		for (size_t k = 0; k < n; k++)
			assert_int_equal(header_parser_feed(&p, raw + k, 1, &used, &h), k + 1 == n);
		assert_int_equal(h.has_token, n == 42);
		if (h.has_token)
			assert_memory_equal(h.token.b, T.b, 32);
		assert_int_equal(header_write(again, &h), n);
		assert_memory_equal(again, raw, n);
	}
}

static void header_table(void **state)
{
	static const struct {
		const char *hex;
		int ret;
		bool token;
		uint32_t len;
	} rows[] = {
#define T32 "a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0"
#define Z32 "0000000000000000000000000000000000000000000000000000000000000000"
		{ "00000007" "0110" "00" "00000005", 1, false, 5 },
		{ "00000007" "0110" "01" "00000005", -EPROTO, false, 0 },
		{ "00000026" "0110" T32 "00000020", 1, true, 32 },
		{ "00000026" "0110" Z32 "00000020", 1, false, 32 },
		{ "00000027" "0110" T32 "00" "00000020", 1, true, 32 },
		{ "00000027" "0110" T32 "0000002000", 1, true, 0x2000 },
		{ "00000027" "0110" T32 "01000020ff", 1, true, 0x01000020 },
		{ "00000008" "0110" "0000" "00000007", 1, false, 7 },
		{ "00000008" "0110" "00" "01000007" "ff", 1, false, 0x01000007 },
		{ "00000008" "0110" "01" "0000000700", -EPROTO, false, 0 },
		{ "00000028" "0110" T32 "00000009" "ffff", 1, true, 9 },
		{ "00000009" "0110" "00" "00000009" "ffff", 1, false, 9 },
		{ "00000006" "0110" "00" "000000", -EPROTO, false, 0 },
		{ "00000041", -EMSGSIZE, false, 0 },
		{ "000000ff" T32, -EMSGSIZE, false, 0 },
		{ "00000000", -EPROTO, false, 0 },
		{ "47", -EPROTO, false, 0 },
		{ "0001", -EPROTO, false, 0 },
		{ "000001", -EPROTO, false, 0 },
		{ "16030100", -EPROTO, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct header_parser p;
		struct frame_header h;
		uint8_t raw[80];
		size_t used, n = unhex(rows[i].hex, raw);

		/* A byte at a time ends as all at once does. */
		int ret = 0;

		header_parser_init(&p);
		for (size_t k = 0; k < n && !ret; k++)
			ret = header_parser_feed(&p, raw + k, 1, &used, &h);
		assert_int_equal(ret, rows[i].ret);
		header_parser_init(&p);
		assert_int_equal(header_parser_feed(&p, raw, n, &used, &h), rows[i].ret);
		if (rows[i].ret < 0)
			continue;
		assert_int_equal(used, n);
		assert_int_equal(h.has_token, rows[i].token);
		assert_int_equal(h.payload_len, rows[i].len);
	}
}

/* A server may allow less than the protocol. */
static void header_limit(void **state)
{
	uint8_t raw[80];
	size_t used, n = unhex("00000027" "0110" T32 "00" "00000020", raw);
	struct header_parser p;
	struct frame_header h;

	(void)state;
	for (size_t max = 38; max < 41; max++) {
		header_parser_init(&p);
		p.max = max;
		assert_int_equal(header_parser_feed(&p, raw, n, &used, &h), max < 39 ? -EMSGSIZE : 1);
		/* Refused when the length is known, not when the rest has come. */
		header_parser_init(&p);
		p.max = max;
		assert_int_equal(header_parser_feed(&p, raw, 4, &used, &h), max < 39 ? -EMSGSIZE : 0);
	}
}

/* Runs @encode into a buffer and compares with the payload of golden @name. */
#define ASSERT_ENCODES(name, call) \
	do { \
		uint8_t buf_[512], want_[512]; \
		size_t n_ = unhex(find(name)->payload, want_); \
		struct wire_writer w_, *w = &w_; \
		wire_write_init(w, buf_, sizeof(buf_)); \
		call; \
		assert_false(w->failed); \
		assert_int_equal(wire_len(w), n_); \
		if (n_) \
			assert_memory_equal(buf_, want_, n_); \
		/* A buffer too small at any length fails instead of overrunning. */ \
		for (size_t k_ = 0; k_ < n_; k_++) { \
			uint8_t *tight_ = malloc(k_ + 1); \
			wire_write_init(w, tight_, k_); \
			call; \
			assert_true(w->failed); \
			free(tight_); \
		} \
	} while (0)

static void golden_encode(void **state)
{
	const struct payload_hello hello = { .minor = 1 };
	const struct ping_status status = { 2, 3, 1, 0 };
	const struct ping_peer peer = { B, 1729531526123456789, 1729531800000000001, true };
	uint8_t ab[64];
	const struct payload_ids subs = { S.b, 1 };
	struct letterhead head = { .from = A, .to = { RECIPIENT_ADDRESS, B }, .stream_size = 5,
				   .aux_len = 2 };
	struct payload_recv recv = { .address = A, .to = { RECIPIENT_ADDRESS, A } };
	const struct payload_recv sub = { .address = A, .to = { RECIPIENT_NAMESPACE, B } };
	const struct payload_subscriber subscriber = { S, A };
	struct payload_anycast anycast = { A, B, 1500 };
	struct payload_space_create space = { .space = B };

	(void)state;
	memcpy(ab, A.b, 32);
	memcpy(ab + 32, B.b, 32);
	ASSERT_ENCODES("handshake request", payload_write_hello(w, &hello));
	ASSERT_ENCODES("Ok, no auth", ping_write_ok(w));
	ASSERT_ENCODES("incompatible (router 0.1, client 0.2)", ping_write_version(w, "0.1", "0.2"));
	ASSERT_ENCODES("Timeout", ping_write_timeout(w));
	ASSERT_ENCODES("Status reply 2,3,1,0", ping_write_status(w, &status));
	ASSERT_ENCODES("Addr/Create, no name", payload_write_create(w, NULL));
	ASSERT_ENCODES("Addr/Create \"bob\" (HEAD form)", payload_write_create(w, "bob"));
	ASSERT_ENCODES("Peer/List reply", (ping_write_peers(w, 1), ping_write_peer(w, &peer)));
	ASSERT_ENCODES("Anycast reply <B> 12 ms",
		       (ping_write_anycast(w, 1), ping_write_anycast_entry(w, &B, 12)));
	for (size_t i = 0; i < sizeof(space.key); i++)
		space.key[i] = (uint8_t)(0xd1 + i);
	ASSERT_ENCODES("Space/Create (layout only, not a real key pair)",
		       payload_write_space_create(w, &space));
	ASSERT_ENCODES("Space/Up", payload_write_space(w, &A, &B));
	ASSERT_ENCODES("Space/Down", payload_write_space(w, &A, &B));
	ASSERT_ENCODES("Space/Anycast 1500 ms", payload_write_anycast(w, &anycast));
	ASSERT_ENCODES("Subscription reply", ping_write_subscription(w, &S, "127.0.0.1:40001"));
	ASSERT_ENCODES("Update reply", ping_write_ids(w, PING_UPDATE, &subs));
	ASSERT_ENCODES("SendSocket reply", ping_write_send_socket(w, "127.0.0.1:40002"));
	ASSERT_ENCODES("Stream/Sub namespace <B>", payload_write_recv(w, false, &sub));
	ASSERT_ENCODES("Stream/Resub", payload_write_subscriber(w, &subscriber));
	ASSERT_ENCODES("Stream/Unsub", payload_write_subscriber(w, &subscriber));
	ASSERT_ENCODES("Stream/List", wire_put(w, A.b, ADDRESS_LEN));
	ASSERT_ENCODES("letterhead on subscription socket", letterhead_write(w, &head, true));
	ASSERT_ENCODES("letterhead of Recv/One", letterhead_write(w, &head, false));
	ASSERT_ENCODES("letterhead of Recv/Many", letterhead_write(w, &head, true));
	ASSERT_ENCODES("Send/One, 5 bytes to <B>", letterhead_write(w, &head, false));
	head.aux_len = 6;
	memcpy(head.aux, "\0\1k\0v\0", 6);
	ASSERT_ENCODES("Send/One with aux k=v", letterhead_write(w, &head, false));
	ASSERT_ENCODES("Send/One, 5 bytes to <B>", letterhead_write(w, &head, true));
	head.stream_size = 0;
	ASSERT_ENCODES("Send/Many, one letterhead",
		       (wire_put_be16(w, 1), letterhead_write(w, &head, true)));
	ASSERT_ENCODES("Recv/One", payload_write_recv(w, false, &recv));
	ASSERT_ENCODES("Recv/Many unlimited", payload_write_recv(w, true, &recv));
	recv.has_limit = true;
	recv.limit = 1;
	ASSERT_ENCODES("Recv/Many limit 1", payload_write_recv(w, true, &recv));
}

/* The golden payload, in memory of exactly its size so that ASan sees any overrun. */
static uint8_t *payload_of(const char *name, size_t *n)
{
	uint8_t buf[512], *exact;

	*n = unhex(find(name)->payload, buf);
	exact = malloc(*n + 1);
	memcpy(exact, buf, *n);
	return exact;
}

static void golden_decode_pings(void **state)
{
	struct address a;
	struct ping_peer peer;
	struct ping p;
	uint8_t *d;
	uint64_t ms;
	size_t n;

	(void)state;
#define DECODE(name) (d = payload_of(name, &n), assert_int_equal(ping_read(d, n, &p), 0))
	DECODE("Ok, auth");
	assert_int_equal(p.kind, PING_OK);
	free(d);
	DECODE("incompatible (router 0.1, client 0.2)");
	assert_string_equal(p.version.router, "0.1");
	assert_string_equal(p.version.client, "0.2");
	free(d);
	DECODE("Timeout");
	assert_int_equal(p.kind, PING_TIMEOUT);
	free(d);
	DECODE("Status reply 2,3,1,0");
	assert_int_equal(p.status.peers, 2);
	assert_int_equal(p.status.locals, 3);
	assert_int_equal(p.status.tokens, 1);
	free(d);
	DECODE("Peer/List reply");
	assert_int_equal(p.peers.n, 1);
	assert_int_equal(ping_next_peer(&p, &peer), 0);
	assert_true(address_equal(&peer.address, &B) && peer.active);
	assert_int_equal(peer.first_seen_ns, 1729531526123456789);
	assert_int_equal(peer.last_seen_ns, 1729531800000000001);
	free(d);
	DECODE("Anycast reply <B> 12 ms");
	assert_int_equal(ping_next_anycast(&p, &a, &ms), 0);
	assert_int_equal(ms, 12);
	free(d);
	DECODE("Subscription reply");
	assert_memory_equal(p.subscription.id.b, S.b, 32);
	assert_string_equal(p.subscription.bind, "127.0.0.1:40001");
	free(d);
	DECODE("Update reply");
	assert_int_equal(p.ids.n, 1);
	assert_memory_equal(p.ids.ids, S.b, 32);
	free(d);
	DECODE("SendSocket reply");
	assert_string_equal(p.send_socket, "127.0.0.1:40002");
	free(d);
	/* Unknown kinds are told apart from broken ones. */
	assert_int_equal(ping_read((const uint8_t *)"\x1f", 1, &p), -ENOTSUP);
	assert_int_equal(ping_read((const uint8_t *)"", 0, &p), -EPROTO);
}

static int count_heads(void *ctx, const struct letterhead *head)
{
	assert_true(address_equal(&head->from, &A));
	assert_true(address_equal(&head->to.address, &B));
	++*(int *)ctx;
	return 0;
}

static void golden_decode_requests(void **state)
{
	struct payload_subscriber subscriber;
	struct payload_recv recv;
	struct payload_hello hello;
	struct letterhead head;
	struct wire_reader r;
	struct payload_space_create create;
	struct payload_anycast anycast;
	struct payload_ids ids;
	struct address a, b;
	uint16_t count;
	int heads = 0;
	bool force;
	uint8_t *d;
	size_t n;

	(void)state;
	d = payload_of("handshake request", &n);
	assert_int_equal(payload_read_hello(d, n, &hello), 0);
	assert_true(payload_version_fits(&hello) && !hello.has_capabilities);
	free(d);
	d = payload_of("Addr/Destroy", &n);
	assert_int_equal(payload_read_destroy(d, n, &a, &force), 0);
	assert_true(address_equal(&a, &A) && !force);
	assert_int_equal(payload_read_destroy(d, 32, &a, &force), 0);
	assert_int_equal(payload_read_destroy(d, 31, &a, &force), -EINVAL);
	free(d);
	d = payload_of("Addr/Destroy force", &n);
	assert_int_equal(payload_read_destroy(d, n, &a, &force), 0);
	assert_true(force);
	free(d);
	d = payload_of("Space/Create (layout only, not a real key pair)", &n);
	assert_int_equal(payload_read_space_create(d, n, &create), 0);
	assert_true(address_equal(&create.space, &B) && create.key[0] == 0xd1 &&
		    create.key[31] == 0xf0);
	for (size_t k = 0; k < n; k++)
		assert_int_equal(payload_read_space_create(d, k, &create), -EINVAL);
	free(d);
	d = payload_of("Space/Up", &n);
	assert_int_equal(payload_read_space(d, n, &a, &b), 0);
	assert_true(address_equal(&a, &A) && address_equal(&b, &B));
	for (size_t k = 0; k < n; k++)
		assert_int_equal(payload_read_space(d, k, &a, &b), -EINVAL);
	free(d);
	d = payload_of("Space/Anycast 1500 ms", &n);
	assert_int_equal(payload_read_anycast(d, n, &anycast), 0);
	assert_true(address_equal(&anycast.self, &A) && address_equal(&anycast.space, &B) &&
		    anycast.timeout_ms == 1500);
	for (size_t k = 0; k < n; k++)
		assert_int_equal(payload_read_anycast(d, k, &anycast), -EINVAL);
	d[64 + 7] = 1;		/* 2^64 ms and more */
	assert_int_equal(payload_read_anycast(d, n, &anycast), 0);
	assert_true(anycast.timeout_ms == UINT64_MAX);
	free(d);
	d = payload_of("Recv/One", &n);
	assert_int_equal(payload_read_recv(d, n, false, &recv), 0);
	assert_true(address_equal(&recv.to.address, &A) && recv.to.kind == RECIPIENT_ADDRESS);
	for (size_t k = 0; k < n; k++)
		assert_int_equal(payload_read_recv(d, k, false, &recv), -EINVAL);
	free(d);
	d = payload_of("Stream/Sub namespace <B>", &n);
	assert_int_equal(payload_read_recv(d, n, false, &recv), 0);
	assert_true(address_equal(&recv.address, &A) && address_equal(&recv.to.address, &B));
	assert_int_equal(recv.to.kind, RECIPIENT_NAMESPACE);
	free(d);
	d = payload_of("Stream/Resub", &n);
	assert_int_equal(n, PAYLOAD_SUBSCRIBER_LEN);
	payload_read_subscriber(d, &subscriber);
	assert_true(ident_equal(&subscriber.id, &S) && address_equal(&subscriber.address, &A));
	free(d);
	d = payload_of("letterhead on subscription socket", &n);
	wire_read_init(&r, d, n);
	letterhead_read(&r, &head);
	assert_true(wire_done(&r) && head.stream_size == 5 && address_equal(&head.to.address, &B));
	free(d);
	d = payload_of("Recv/Many limit 1", &n);
	assert_int_equal(payload_read_recv(d, n, true, &recv), 0);
	assert_true(recv.has_limit && recv.limit == 1);
	for (size_t k = 0; k < n; k++)	/* 65: the limit left out */
		assert_int_equal(payload_read_recv(d, k, true, &recv), k == 65 ? 0 : -EINVAL);
	free(d);
	d = payload_of("Send/Many, one letterhead", &n);
	assert_int_equal(payload_read_heads(d, n, &count, count_heads, &heads), 0);
	assert_int_equal(heads, 1);
	for (size_t k = 0; k < n; k++)
		assert_int_equal(payload_read_heads(d, k, &count, count_heads, &heads), -EINVAL);
	free(d);
	d = payload_of("Send/One with aux k=v", &n);
	wire_read_init(&r, d, n);
	letterhead_read(&r, &head);
	assert_true(wire_done(&r));
	assert_int_equal(head.aux_len, 6);
	assert_memory_equal(head.aux, "\0\1k\0v\0", 6);
	for (size_t k = 0; k < n; k++) {
		wire_read_init(&r, d, k);
		letterhead_read(&r, &head);
		assert_true(r.failed);
	}
	free(d);
	d = payload_of("Addr/List reply <A><B>", &n);
	wire_read_init(&r, d, n);
	assert_int_equal(payload_read_ids(&r, &ids), 0);
	assert_int_equal(ids.n, 2);
	free(d);
}

/* Every golden ping and request cut at every length: an answer, never an overrun. */
static void truncations(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_GOLDEN; i++) {
		uint8_t buf[512];
		size_t n = unhex(golden[i].payload, buf);

		for (size_t k = 0; k <= n; k++) {
			uint8_t *cut = malloc(k + 1);
			struct payload_create create;
			struct payload_hello hello;
			struct ping_peer peer;
			struct address a;
			uint64_t ms;
			struct ping p;

			memcpy(cut, buf, k);
			if (!ping_read(cut, k, &p)) {
				for (size_t j = 0; p.kind == PING_PEER_LIST && j < p.peers.n; j++)
					ping_next_peer(&p, &peer);
				for (size_t j = 0; p.kind == PING_ANYCAST && j < p.anycast.n; j++)
					ping_next_anycast(&p, &a, &ms);
			}
			payload_read_create(cut, k, &create);
			payload_read_hello(cut, k, &hello);
			free(cut);
		}
	}
}

/* The extension Intrinsic/Limits, as Documentation/protocol-extensions.md describes it. */
static void limits_reply(void **state)
{
	static const char hex[] = "2c0002"
		"6d61785f6100" "627974657300" "0000000000000007" "0000000000000003" "0000000000000001"
		"6200" "00" "0000000100000000" "0000000000000000" "ffffffffffffffff";
	static const struct ping_limit limits[] = {
		{ "max_a", "bytes", 7, 3, 1 }, { "b", "", 1ull << 32, 0, UINT64_MAX },
	};
	uint8_t want[256], buf[256];
	size_t n = unhex(hex, want);
	struct ping_limit l;
	struct wire_writer w;
	struct ping p;

	(void)state;
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_limits(&w, 2);
	ping_write_limit(&w, &limits[0]);
	ping_write_limit(&w, &limits[1]);
	assert_int_equal(wire_len(&w), n);
	assert_memory_equal(buf, want, n);
	assert_int_equal(ping_read(want, n, &p), 0);
	assert_int_equal(p.kind, PING_LIMITS);
	assert_int_equal(p.limits.n, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ping_next_limit(&p, &l), 0);
		assert_string_equal(l.name, limits[i].name);
		assert_string_equal(l.unit, limits[i].unit);
		assert_true(l.limit == limits[i].limit && l.used == limits[i].used &&
			    l.hits == limits[i].hits);
	}
	/* Cut anywhere it is refused, at once or at the entry that is cut. */
	for (size_t k = 1; k < n; k++) {
		int err = ping_read(want, k, &p);

		for (size_t i = 0; !err && i < p.limits.n; i++)
			err = ping_next_limit(&p, &l);
		assert_int_equal(err, -EPROTO);
	}
	/* A name longer than any of ours is no name. */
	memset(want + 3, 'x', 60);
	assert_int_equal(ping_read(want, n, &p), 0);
	assert_int_equal(ping_next_limit(&p, &l), -EPROTO);
}

static void error_blobs(void **state)
{
	static const struct {
		const char *hex;
		struct ping_error e;
	} rows[] = {
		{ "030000001a0000000003000000000000 00302e310300000000000000302e32",
		  { .code = PING_E_VERSION, .text = "0.1", .text2 = "0.2" } },
		{ "030000000401000000", { .code = PING_E_AUTH } },
		{ "030000000403000000", { .code = PING_E_NOT_SUPPORTED } },
		{ "030000000404000000", { .code = PING_E_NO_ADDRESS } },
		{ "030000000405000000", { .code = PING_E_DUPLICATE } },
		{ "0300000010060000000400000000000000626f6f6d",
		  { .code = PING_E_INTERNAL, .text = "boom" } },
		{ "030000001208000000000000000100000000000000 7800",
		  { .code = PING_E_USER, .text = "x" } },
		{ "030000001b080000000000000001000000000000007801010000000000000079",
		  { .code = PING_E_USER, .text = "x", .has_text2 = true, .text2 = "y" } },
		{ "03000000110800000001000000 01000000000000007a",
		  { .code = PING_E_USER, .user = PING_USER_MISSING, .text = "z" } },
		{ "03000000080800000002000000", { .code = PING_E_USER, .user = PING_USER_LIMIT } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char hex[128];
		uint8_t want[64], buf[PING_ERROR_MAX];
		struct wire_writer w;
		struct ping p;
		size_t n = 0, h = 0;

		for (const char *c = rows[i].hex; *c; c++) {
			if (*c != ' ')
				hex[h++] = *c;
		}
		hex[h] = '\0';
		n = unhex(hex, want);
		wire_write_init(&w, buf, sizeof(buf));
		ping_write_error(&w, &rows[i].e);
		assert_int_equal(wire_len(&w), n);
		assert_memory_equal(buf, want, n);
		assert_int_equal(ping_read(want, n, &p), 0);
		assert_int_equal(p.error.code, rows[i].e.code);
		assert_int_equal(p.error.user, rows[i].e.user);
		assert_string_equal(p.error.text, rows[i].e.text);
		assert_string_equal(p.error.text2, rows[i].e.text2);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(ping_read(want, k, &p), -EPROTO);
	}
}

static void create_table(void **state)
{
	uint8_t key[33], buf[400];
	struct payload_create c;

	(void)state;
#define CREATE(n) payload_read_create(buf, n, &c)
	assert_int_equal(payload_read_create(NULL, 0, &c), 0);
	memset(key, 0x5a, sizeof(key));
	memset(buf, 0, sizeof(buf));
	assert_int_equal(CREATE(1), 0);
	assert_true(!c.name[0] && !c.has_key);
	assert_int_equal(CREATE(2), 0);
	assert_int_equal(CREATE(3), -EINVAL);
	memcpy(buf + 1, key, 32);
	assert_int_equal(CREATE(33), 0);
	assert_true(c.has_key && !c.name[0]);
	memcpy(buf, "bob", 4);
	assert_int_equal(CREATE(3), 0);
	assert_string_equal(c.name, "bob");
	assert_int_equal(CREATE(4), 0);
	assert_string_equal(c.name, "bob");
	assert_false(c.has_key);
	buf[4] = 0;
	assert_int_equal(CREATE(5), 0);
	assert_false(c.has_key);
	memcpy(buf + 4, key, 32);
	assert_int_equal(CREATE(36), 0);
	assert_true(c.has_key && !strcmp(c.name, "bob"));
	assert_memory_equal(c.key, key, 32);
	assert_int_equal(CREATE(35), -EINVAL);
	assert_int_equal(CREATE(37), -EINVAL);
	/* 0.6.0: name and key with nothing between. */
	memset(buf + 3, 0xff, 32);
	assert_int_equal(CREATE(35), 0);
	assert_true(c.has_key && !strcmp(c.name, "bob"));
	/* Names: UTF-8, at most 255 bytes. */
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(CREATE(255), 0);
	assert_int_equal(CREATE(256), -EINVAL);
	buf[0] = 0xc0;
	assert_int_equal(CREATE(2), -EINVAL);
}

static void hello_rules(void **state)
{
	struct payload_hello h;

	(void)state;
#define HELLO(s) payload_read_hello((const uint8_t *)(s), sizeof(s) - 1, &h)
	assert_int_equal(HELLO("\1\0\1\1\7"), 0);
	assert_true(h.has_capabilities && h.capabilities == 7);
	assert_int_equal(HELLO("\1\0\1\2\3\4"), 0);
	assert_true(h.has_capabilities && h.capabilities == 3);
	assert_int_equal(HELLO("\1\0\1\5\3"), 0);	/* leftover bytes, no suffix of ours */
	assert_false(h.has_capabilities);
	assert_int_equal(HELLO("\1\0\1\0"), 0);
	assert_false(h.has_capabilities);
	assert_int_equal(HELLO("\1\0\2"), 0);
	assert_false(payload_version_fits(&h));
	assert_int_equal(HELLO("\1\1\1"), 0);
	assert_false(payload_version_fits(&h));
	assert_int_equal(HELLO("\2\0\1"), -EINVAL);
	assert_int_equal(HELLO("\1\0"), -EINVAL);
	assert_int_equal(HELLO(""), -EINVAL);
}

static void strings(void **state)
{
	struct wire_reader r;
	struct field_text t;
	uint32_t v = 0;

	(void)state;
	wire_read_init(&r, "ab\0c\0\0last", 10);
	t = field_get_text(&r);
	assert_true(t.len == 2 && !memcmp(t.at, "ab", 2));
	t = field_get_text(&r);
	assert_true(t.len == 1 && t.at[0] == 'c');
	assert_int_equal(field_get_text(&r).len, 0);
	assert_int_equal(field_get_text(&r).len, 4);	/* no terminator at the very end */
	assert_true(wire_done(&r));
	field_get_text(&r);
	assert_true(r.failed);
	wire_read_init(&r, "last", 4);
	field_get_terminated(&r);
	assert_true(r.failed);
	/* Options: one byte other than 01 is none, and only it is consumed. */
	wire_read_init(&r, "\2\1\0\0\1\0\0", 7);
	assert_false(field_get_option_u32(&r, &v));
	assert_true(field_get_option_u32(&r, &v));
	assert_int_equal(v, 256);
	assert_false(field_get_option_u32(&r, &v));
	assert_true(wire_done(&r));
	assert_true(field_is_utf8((const uint8_t *)"gr\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x80", 11));
	assert_false(field_is_utf8((const uint8_t *)"\xed\xa0\x80", 3));
	assert_false(field_is_utf8((const uint8_t *)"\xf4\x90\x80\x80", 4));
	assert_false(field_is_utf8((const uint8_t *)"\xe2\x82", 2));
	assert_false(field_is_utf8((const uint8_t *)"\xc1\xbf", 2));
}

static int64_t datetime(const char *text, bool *ok)
{
	struct wire_reader r;
	int64_t v;

	wire_read_init(&r, text, strlen(text));
	v = field_get_datetime(&r);
	*ok = wire_done(&r);
	return v;
}

/* The primitives of the Service API have one encoding; every other is refused. */
static void service_primitives(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
		bool good;
	} opt_str[] = {
		{ { 0 }, 1, true },			/* none */
		{ { 1, 0 }, 2, true },			/* "" */
		{ { 1, 'a', 'b', 0 }, 4, true },
		{ { 1, 'a', 'b', 'c', 0 }, 5, false },	/* over the limit of 2 */
		{ { 1, 'a', 'b' }, 3, false },		/* no terminator */
		{ { 1, 0xff, 0 }, 3, false },		/* no UTF-8 */
		{ { 2, 'a', 0 }, 3, false },		/* no presence byte */
		{ { 0 }, 0, false },
	};
	uint8_t buf[64];
	struct wire_reader r;
	struct wire_writer w;
	struct field_text t;
	struct ident id;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(opt_str) / sizeof(opt_str[0]); i++) {
		wire_read_init(&r, opt_str[i].bytes, opt_str[i].len);
		field_get_opt_str(&r, 2, &t);
		assert_int_equal(wire_done(&r), opt_str[i].good);
	}
	wire_write_init(&w, buf, sizeof(buf));
	field_put_opt_str(&w, "x");
	field_put_opt_str(&w, NULL);
	field_put_opt_ident(&w, NULL);
	field_put_opt_ident(&w, (const struct ident *)&A);
	field_put_blob(&w, "123", 3);
	field_put_blob(&w, NULL, 0);
	assert_int_equal(wire_len(&w), 3 + 1 + 1 + 33 + 7 + 4);
	wire_read_init(&r, buf, wire_len(&w));
	assert_true(field_get_opt_str(&r, 1, &t) && t.len == 1 && t.at[0] == 'x');
	assert_false(field_get_opt_str(&r, 1, &t));
	assert_false(field_get_opt_ident(&r, &id));
	assert_true(field_get_opt_ident(&r, &id) && !memcmp(id.b, A.b, sizeof(id.b)));
	assert_memory_equal(field_get_blob(&r, 3, &len), "123", 3);
	assert_int_equal(len, 3);
	assert_non_null(field_get_blob(&r, 0, &len));
	assert_true(wire_done(&r));
	/* A length beyond the limit, or beyond what is there. */
	wire_read_init(&r, "\0\0\0\3" "123", 7);
	assert_null(field_get_blob(&r, 2, &len));
	wire_read_init(&r, "\0\0\0\4" "123", 7);
	assert_null(field_get_blob(&r, 9, &len));
	assert_true(r.failed && !len);
}

static void service_errors(void **state)
{
	static const uint8_t bytes[] = { 0x20, 0x01, 'n', 'o', 0 };
	char text[2 * PING_TEXT_MAX];
	uint8_t buf[2 + PING_TEXT_MAX];
	struct wire_writer w;
	struct ping p;

	(void)state;
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_service_error(&w, SERVICE_E_NO_USER, "no");
	assert_int_equal(wire_len(&w), sizeof(bytes));
	assert_memory_equal(buf, bytes, sizeof(bytes));
	assert_int_equal(ping_read(buf, wire_len(&w), &p), 0);
	assert_true(p.kind == PING_SERVICE_ERROR && p.service_error.code == SERVICE_E_NO_USER &&
		    !strcmp(p.service_error.text, "no"));
	for (size_t cut = 1; cut < sizeof(bytes); cut++)
		assert_int_equal(ping_read(bytes, cut, &p), -EPROTO);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_service_error(&w, SERVICE_E_IO_FAULT, text);
	assert_false(w.failed);
	assert_int_equal(ping_read(buf, wire_len(&w), &p), 0);
	assert_int_equal(strlen(p.service_error.text), PING_TEXT_MAX - 1);
}

static void datetimes(void **state)
{
	static const int64_t times[] = { 0, 1, -1, 999999999, 1729531526123456789, -1000000000,
					 951782400000000000, INT64_MAX, INT64_MIN, INT64_MIN + 1 };
	static const struct {
		const char *text;
		int64_t want;
	} good[] = {
		{ "1970-01-01T00:00:00+00:00", 0 },
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01 00:00:00.5z", 500000000 },
		{ "1970-01-01T01:00:00.000001+01:00", 1000 },
		{ "1969-12-31T23:30:00-00:30", 0 },
		{ "2000-02-29T00:00:00.000+00:00", 951782400000000000 },
		{ "1970-01-01T00:00:00.1234567891234Z", 123456789 },
		{ "1970-01-01T00:00:60Z", 59000000000 },
	};
	static const char *const bad[] = {
		"", "1970", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z", "1970-02-30T00:00:00Z",
		"1900-02-29T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
		"1970-01-01T00:00:61Z", "1970-01-01T00:00:00", "1970-01-01T00:00:00.Z",
		"1970-01-01T00:00:00+0000", "1970-01-01X00:00:00Z", "9999-12-31T00:00:00Z",
		"1000-01-01T00:00:00Z", "1970-01-01T00:00:00+24:00", "+970-01-01T00:00:00Z",
	};
	bool ok;

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		char text[FIELD_DATETIME_LEN + 1] = "";
		struct wire_writer w;

		wire_write_init(&w, text, FIELD_DATETIME_LEN);
		field_put_datetime(&w, times[i]);
		assert_int_equal(wire_len(&w), FIELD_DATETIME_LEN);
		assert_true(datetime(text, &ok) == times[i]);
		assert_true(ok);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(datetime(good[i].text, &ok), good[i].want);
		assert_true(ok);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		datetime(bad[i], &ok);
		if (ok)
			fail_msg("accepted '%s'", bad[i]);
	}
}

/* Events of Addr/Sub have no golden frame: kind and address. */
static void events(void **state)
{
	struct payload_event e = { PAYLOAD_EVENT_PEER, A };
	uint8_t buf[PAYLOAD_EVENT_LEN + 1] = { 0 };
	struct wire_writer w;

	(void)state;
	wire_write_init(&w, buf, sizeof(buf));
	payload_write_event(&w, &e);
	assert_int_equal(wire_len(&w), 33);
	assert_int_equal(buf[0], 3);
	assert_memory_equal(buf + 1, A.b, 32);
	for (size_t k = 0; k < PAYLOAD_EVENT_LEN; k++)
		assert_int_equal(payload_read_event(buf, k, &e), -EINVAL);
	memset(&e, 0, sizeof(e));
	assert_int_equal(payload_read_event(buf, sizeof(buf), &e), 0);
	assert_true(e.kind == PAYLOAD_EVENT_PEER && address_equal(&e.address, &A));
}

static void op_table(void **state)
{
	(void)state;
	for (int i = 0; i < OP_COUNT; i++) {
		const struct op *op = op_get((enum op_id)i);

		assert_int_equal(op->id, i);
		assert_ptr_equal(op_find(op->mode), op);
		assert_true(op->min_len <= op->max_len && op->max_len <= LIMIT_CONTROL_PAYLOAD);
		/* Whoever checks an address needs its 32 bytes there. */
		if (op->auth == OP_AUTH_ADDRESS || op->auth == OP_AUTH_OWNER)
			assert_true(op->min_len >= 32);
		if (op->auth == OP_AUTH_SUBSCRIBER)
			assert_int_equal(op->min_len, PAYLOAD_SUBSCRIBER_LEN);
	}
	assert_null(op_find(0x0331));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_headers), cmocka_unit_test(header_table), cmocka_unit_test(header_limit),
		cmocka_unit_test(golden_encode), cmocka_unit_test(golden_decode_pings),
		cmocka_unit_test(golden_decode_requests), cmocka_unit_test(truncations),
		cmocka_unit_test(limits_reply), cmocka_unit_test(error_blobs), cmocka_unit_test(create_table),
		cmocka_unit_test(hello_rules), cmocka_unit_test(strings),
		cmocka_unit_test(service_primitives), cmocka_unit_test(service_errors),
		cmocka_unit_test(datetimes), cmocka_unit_test(events),
		cmocka_unit_test(op_table),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
