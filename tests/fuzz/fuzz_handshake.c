// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: everything that a stranger can say to linkauth and session.
 *
 * The input is a list of records {op, length, bytes} played to two routers with
 * fixed keys. Beside raw messages, an op can repair mac1 (which anybody can
 * compute), so that the parts behind it are reached, and can hand over what the
 * other side really sent, whole or with one byte changed. Random numbers come from
 * a counter, so that a finding repeats itself.
 *
 *   clang -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -Iuserspace \
 *	tests/fuzz/fuzz_handshake.c userspace/ratmand/session/ *.c userspace/base/ *.c -lsodium
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/session/cookie.h"
#include "ratmand/session/linkauth.h"
#include "ratmand/session/session.h"

enum op {
	OP_LINK_RAW,		/* bytes to linkauth_input */
	OP_LINK_MAC1,		/* the same with mac1 made right */
	OP_SESSION_RAW,		/* bytes to session_input */
	OP_SESSION_MAC1,
	OP_HELLO,		/* of the other; one byte of boot id */
	OP_STRANGER,		/* HELLO of an address out of the bytes */
	OP_WANT,		/* a session to the other, or to an address out of the bytes */
	OP_LINK_RELAY,		/* what the other sent last; {offset, xor} if there are two bytes */
	OP_SESSION_RELAY,
	OP_TIME,		/* bytes[0] * bytes[1] ms pass */
	OP_KERNEL,		/* gone, rekey, restore, closed, by bytes[0] */
	OP_COUNT,
};

struct side {
	struct linkauth *la;
	struct session_mgr *mgr;
	struct address router;
	uint8_t sk[64];
	uint8_t mac1_key[COOKIE_KEY_LEN];
	uint8_t mac[6];
	uint64_t stamp;
	uint8_t link_out[LINKAUTH_MSG_MAX];
	size_t link_len;
	uint8_t session_out[SESSION_MSG_MAX];
	size_t session_len;
	struct linkauth_neigh neigh;
	uint32_t session_index;
};

static uint64_t counter;

static const char *counter_name(void)
{
	return "counter";
}

static void counter_buf(void *buf, const size_t size)
{
	uint8_t seed[randombytes_SEEDBYTES] = { 0 };

	counter++;
	memcpy(seed, &counter, sizeof(counter));
	randombytes_buf_deterministic(buf, size, seed);
}

static uint32_t counter_random(void)
{
	uint32_t v;

	counter_buf(&v, sizeof(v));
	return v;
}

static struct randombytes_implementation counter_implementation = {
	.implementation_name = counter_name,
	.random = counter_random,
	.buf = counter_buf,
};

static void link_send(void *ctx, uint32_t ifindex, const uint8_t mac[6], const uint8_t *bytes,
		      size_t len)
{
	struct side *s = ctx;

	(void)ifindex;
	(void)mac;
	memcpy(s->link_out, bytes, len);
	s->link_len = len;
}

static void link_established(void *ctx, const struct linkauth_neigh *n)
{
	((struct side *)ctx)->neigh = *n;
}

static uint64_t link_stamp(void *ctx)
{
	return ++((struct side *)ctx)->stamp;
}

static void session_send(void *ctx, const struct address *dest, const uint8_t *bytes, size_t len)
{
	struct side *s = ctx;

	(void)dest;
	memcpy(s->session_out, bytes, len);
	s->session_len = len;
}

static void session_install(void *ctx, const struct session_keys *keys)
{
	((struct side *)ctx)->session_index = keys->local_index;
}

static void session_failed(void *ctx, const struct address *local, const struct address *peer)
{
	(void)ctx;
	if (address_equal(local, peer))
		abort();
}

static uint64_t session_stamp(void *ctx, const struct address *local)
{
	(void)local;
	return ++((struct side *)ctx)->stamp;
}

static const struct linkauth_ops link_ops = { link_send, link_established, link_stamp };
static const struct session_ops session_ops = { session_send, session_install, session_failed,
						session_stamp };

static void side_init(struct side *s, uint8_t seed_byte)
{
	struct linkauth_config c = { .boot_id = seed_byte, .load_threshold = 20 };
	uint8_t seed[crypto_sign_SEEDBYTES], pk[32];

	memset(s, 0, sizeof(*s));
	memset(seed, seed_byte, sizeof(seed));
	crypto_sign_seed_keypair(s->router.b, s->sk, seed);
	if (crypto_sign_ed25519_pk_to_curve25519(pk, s->router.b))
		abort();
	cookie_mac1_key(s->mac1_key, pk, NULL);
	s->mac[0] = 2;
	s->mac[5] = seed_byte;
	c.router = s->router;
	c.router_sk = s->sk;
	s->la = linkauth_new(&c, &link_ops, s);
	s->mgr = session_mgr_new(&session_ops, s);
	if (!s->la || !s->mgr || session_local_add(s->mgr, &s->router, s->sk))
		abort();
}

/* Writes mac1 where a message of this length has it. */
static void repair(const struct side *to, uint8_t *msg, size_t len, size_t macs)
{
	if (len >= macs)
		cookie_mac1(to->mac1_key, msg, len - macs, msg + len - macs);
}

static void relay(struct side *from, struct side *to, uint64_t now, bool is_link,
		  const uint8_t *bytes, size_t len)
{
	size_t n = is_link ? from->link_len : from->session_len;
	uint8_t msg[256];

	memcpy(msg, is_link ? from->link_out : from->session_out, n);
	if (len >= 2 && n) {
		msg[bytes[0] % n] ^= bytes[1];
		repair(to, msg, n, is_link ? COOKIE_MACS_LEN : COOKIE_MAC_LEN);
	}
	if (is_link)
		linkauth_input(to->la, now, 1, from->mac, msg, n);
	else
		session_input(to->mgr, now, &to->router, 1, msg, n);
}

static void kernel(struct side *s, struct side *other, uint64_t now, uint8_t what)
{
	switch (what % 5) {
	case 0:
		linkauth_gone(s->la, now, 1, &other->router);
		break;
	case 1:
		linkauth_rekey(s->la, now, 1, &other->router);
		break;
	case 2:
		linkauth_restore(s->la, now, &s->neigh, what);
		break;
	case 3:
		session_closed(s->mgr, s->session_index);
		break;
	case 4:
		session_restore(s->mgr, now, &s->router, &other->router, s->session_index, 1, now);
		break;
	}
}

static void play(struct side *to, struct side *from, uint64_t *now, enum op op,
		 const uint8_t *bytes, size_t len)
{
	struct address a = from->router;
	uint8_t msg[256];

	memcpy(msg, bytes, len);
	memcpy(a.b, bytes, len < sizeof(a.b) ? len : sizeof(a.b));
	switch (op) {
	case OP_LINK_MAC1:
		repair(to, msg, len, COOKIE_MACS_LEN);
		/* fallthrough */
	case OP_LINK_RAW:
		linkauth_input(to->la, *now, 1, from->mac, msg, len);
		break;
	case OP_SESSION_MAC1:
		repair(to, msg, len, COOKIE_MAC_LEN);
		/* fallthrough */
	case OP_SESSION_RAW:
		session_input(to->mgr, *now, &to->router, 1, msg, len);
		break;
	case OP_HELLO:
		linkauth_candidate(to->la, *now, 1, from->mac, &from->router, len ? bytes[0] : 0);
		break;
	case OP_STRANGER:
		linkauth_candidate(to->la, *now, 1, from->mac, &a, 1);
		break;
	case OP_WANT:
		session_want(to->mgr, *now, &to->router, &a);
		break;
	case OP_LINK_RELAY:
		relay(from, to, *now, true, bytes, len);
		break;
	case OP_SESSION_RELAY:
		relay(from, to, *now, false, bytes, len);
		break;
	case OP_TIME:
		*now += len >= 2 ? (uint64_t)bytes[0] * bytes[1] : 1;
		linkauth_tick(to->la, *now);
		session_tick(to->mgr, *now);
		break;
	case OP_KERNEL:
		kernel(to, from, *now, len ? bytes[0] : 0);
		break;
	case OP_COUNT:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct side sides[2];
	static bool ready;
	uint64_t now = 1000000;
	unsigned int records = 0;

	if (!ready) {
		if (randombytes_set_implementation(&counter_implementation) || sodium_init() < 0)
			abort();
		ready = true;
	}
	counter = 0;
	side_init(&sides[0], 1);
	side_init(&sides[1], 2);
	while (size >= 2 && records++ < 64) {
		unsigned int to = data[0] & 1;
		enum op op = (enum op)((data[0] >> 1) % OP_COUNT);
		size_t len = data[1];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		play(&sides[to], &sides[!to], &now, op, data, len);
		data += len;
		size -= len;
	}
	for (int i = 0; i < 2; i++) {
		linkauth_free(sides[i].la);
		session_mgr_free(sides[i].mgr);
	}
	return 0;
}
