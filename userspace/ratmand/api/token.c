// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/token.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* The key of the hash table is a keyed BLAKE2b already: nobody outside can choose it. */
#define HASH_FUNCTION(keyptr, keylen, hashv) memcpy(&(hashv), (keyptr), sizeof(hashv))
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->failed = true)
#include <uthash.h>
#include <utlist.h>

#define DIGEST_LEN 32
#define FOR_EVER UINT64_MAX
#define SLOTS_FIRST 16

struct owner;

struct entry {
	uint8_t digest[DIGEST_LEN];	/* keyed hash of the token */
	struct owner *owner;
	struct entry *prev, *next;	/* in owner->entries */
	struct entry *older, *newer;	/* sessions, by deadline */
	uint64_t deadline;		/* FOR_EVER: lasting */
	size_t slot;			/* of a session: where its token is */
	uid_t uid;
	bool failed;
	UT_hash_handle hh;
};

/* An address with a token. */
struct owner {
	uint8_t digest[DIGEST_LEN];	/* keyed hash of the address */
	struct address address;
	struct entry *entries;
	struct entry *lasting;
	size_t sessions;
	bool failed;
	UT_hash_handle hh;
};

struct token_table {
	uint8_t key[crypto_generichash_KEYBYTES];
	struct owner *owners;
	struct entry *tokens;
	struct entry *oldest, *newest;
	size_t count, sessions;
	uint64_t now;
	struct ident *slots;		/* sodium_malloc; all zeroes: free */
	size_t n_slots;
};

struct token_table *token_table_new(void)
{
	struct token_table *t;

	if (sodium_init() < 0)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (t)
		randombytes_buf(t->key, sizeof(t->key));
	return t;
}

static void digest(const struct token_table *t, const uint8_t *in, uint8_t out[static DIGEST_LEN])
{
	crypto_generichash(out, DIGEST_LEN, in, 32, t->key, sizeof(t->key));
}

static struct owner *find_owner(const struct token_table *t, const struct address *address)
{
	uint8_t d[DIGEST_LEN];
	struct owner *o;

	digest(t, address->b, d);
	HASH_FIND(hh, t->owners, d, DIGEST_LEN, o);
	return o;
}

static struct entry *find_token(const struct token_table *t, const struct ident *token)
{
	uint8_t d[DIGEST_LEN];
	struct entry *e;

	digest(t, token->b, d);
	HASH_FIND(hh, t->tokens, d, DIGEST_LEN, e);
	return e;
}

static struct owner *owner_of(struct token_table *t, const struct address *address)
{
	struct owner *o = find_owner(t, address);

	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	digest(t, address->b, o->digest);
	o->address = *address;
	HASH_ADD_KEYPTR(hh, t->owners, o->digest, DIGEST_LEN, o);
	if (o->failed) {
		free(o);
		return NULL;
	}
	return o;
}

static void owner_settle(struct token_table *t, struct owner *o)
{
	if (o->entries)
		return;
	HASH_DELETE(hh, t->owners, o);
	free(o);
}

/* The order of deadlines ------------------------------------------------------ */

static void unqueue(struct token_table *t, struct entry *e)
{
	*(e->older ? &e->older->newer : &t->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &t->newest) = e->older;
	e->older = e->newer = NULL;
}

/* Deadlines are as far away for all, so that a new one is the last, or nearly. */
static void queue(struct token_table *t, struct entry *e)
{
	struct entry *before = t->newest;

	while (before && before->deadline > e->deadline)
		before = before->older;
	e->older = before;
	e->newer = before ? before->newer : t->oldest;
	*(e->older ? &e->older->newer : &t->oldest) = e;
	*(e->newer ? &e->newer->older : &t->newest) = e;
}

/* Tokens of sessions ------------------------------------------------------------ */

static int more_slots(struct token_table *t)
{
	size_t n = t->n_slots ? 2 * t->n_slots : SLOTS_FIRST;
	struct ident *more = sodium_malloc(n * sizeof(*more));

	if (!more)
		return -ENOMEM;
	memset(more, 0, n * sizeof(*more));
	if (t->n_slots)
		memcpy(more, t->slots, t->n_slots * sizeof(*more));
	sodium_free(t->slots);
	t->slots = more;
	t->n_slots = n;
	return 0;
}

static int keep_token(struct token_table *t, const struct ident *token, size_t *slot)
{
	for (;;) {
		for (*slot = 0; *slot < t->n_slots; ++*slot) {
			if (!sodium_is_zero(t->slots[*slot].b, sizeof(token->b)))
				continue;
			t->slots[*slot] = *token;
			return 0;
		}
		if (more_slots(t))
			return -ENOMEM;
	}
}

/* Entries ------------------------------------------------------------------------- */

static struct entry *entry_new(struct token_table *t, const struct address *address,
			       const struct ident *token)
{
	struct owner *o = owner_of(t, address);
	struct entry *e = o ? calloc(1, sizeof(*e)) : NULL;

	if (!e) {
		if (o)
			owner_settle(t, o);
		return NULL;
	}
	digest(t, token->b, e->digest);
	e->owner = o;
	e->deadline = FOR_EVER;
	e->uid = TOKEN_NO_UID;
	HASH_ADD_KEYPTR(hh, t->tokens, e->digest, DIGEST_LEN, e);
	if (e->failed) {
		free(e);
		owner_settle(t, o);
		return NULL;
	}
	DL_APPEND(o->entries, e);
	t->count++;
	return e;
}

static void entry_remove(struct token_table *t, struct entry *e)
{
	struct owner *o = e->owner;

	HASH_DELETE(hh, t->tokens, e);
	DL_DELETE(o->entries, e);
	t->count--;
	if (o->lasting == e)
		o->lasting = NULL;
	if (e->deadline != FOR_EVER) {
		unqueue(t, e);
		sodium_memzero(&t->slots[e->slot], sizeof(t->slots[e->slot]));
		t->sessions--;
		o->sessions--;
	}
	sodium_memzero(e, sizeof(*e));
	free(e);
	owner_settle(t, o);
}

static void session_remove(struct token_table *t, struct entry *e, struct token_session *out)
{
	*out = (struct token_session){ e->owner->address, t->slots[e->slot], e->uid };
	entry_remove(t, e);
}

void token_table_free(struct token_table *t)
{
	struct entry *e, *next;

	if (!t)
		return;
	HASH_ITER(hh, t->tokens, e, next)
		entry_remove(t, e);
	sodium_free(t->slots);
	sodium_memzero(t, sizeof(*t));
	free(t);
}

void token_table_remove(struct token_table *t, const struct address *address)
{
	struct owner *o = find_owner(t, address);

	if (o && o->lasting)
		entry_remove(t, o->lasting);
}

int token_table_put(struct token_table *t, const struct address *address,
		    const struct ident *token)
{
	struct entry *e;

	token_table_remove(t, address);
	e = entry_new(t, address, token);
	if (!e)
		return -ENOMEM;
	e->owner->lasting = e;
	return 0;
}

int token_table_open(struct token_table *t, const struct token_session *s, uint64_t deadline)
{
	struct entry *e;
	size_t slot;

	if (find_token(t, &s->token) || sodium_is_zero(s->token.b, sizeof(s->token.b)))
		return -EEXIST;
	if (keep_token(t, &s->token, &slot))
		return -ENOMEM;
	e = entry_new(t, &s->address, &s->token);
	if (!e) {
		sodium_memzero(&t->slots[slot], sizeof(t->slots[slot]));
		return -ENOMEM;
	}
	e->slot = slot;
	e->uid = s->uid;
	e->deadline = deadline < FOR_EVER ? deadline : FOR_EVER - 1;
	queue(t, e);
	t->sessions++;
	e->owner->sessions++;
	return 0;
}

/* A session that is not over. */
static bool is_open(const struct token_table *t, const struct entry *e)
{
	return e->deadline != FOR_EVER && e->deadline > t->now;
}

void token_table_renew(struct token_table *t, const struct ident *token, uint64_t deadline)
{
	struct entry *e = find_token(t, token);

	if (!e || !is_open(t, e))
		return;
	unqueue(t, e);
	e->deadline = deadline < FOR_EVER ? deadline : FOR_EVER - 1;
	queue(t, e);
}

bool token_table_close(struct token_table *t, const struct ident *token, struct token_session *out)
{
	struct entry *e = find_token(t, token);

	if (!e || e->deadline == FOR_EVER)
		return false;
	session_remove(t, e, out);
	return true;
}

bool token_table_take(struct token_table *t, const struct address *address,
		      struct token_session *out)
{
	struct owner *o = find_owner(t, address);
	struct entry *e = o ? o->entries : NULL;

	while (e && e->deadline == FOR_EVER)
		e = e->next;
	if (!e)
		return false;
	session_remove(t, e, out);
	return true;
}

bool token_table_take_expired(struct token_table *t, struct token_session *out)
{
	if (!t->oldest || is_open(t, t->oldest))
		return false;
	session_remove(t, t->oldest, out);
	return true;
}

void token_table_set_now(struct token_table *t, uint64_t now)
{
	t->now = now;
}

uint64_t token_table_next(const struct token_table *t)
{
	return t->oldest ? t->oldest->deadline : UINT64_MAX;
}

bool token_table_check(const struct token_table *t, const struct address *address,
		       const struct ident *token)
{
	static const struct address nobody;
	const struct entry *e = find_token(t, token);
	int differs = sodium_memcmp((e ? &e->owner->address : &nobody)->b, address->b, ADDRESS_LEN);
	uint64_t deadline = e ? e->deadline : 0;

	return !differs & (deadline > t->now);
}

bool token_table_find(const struct token_table *t, const struct ident *token,
		      struct address *out)
{
	const struct entry *e = find_token(t, token);

	if (!e || e->deadline <= t->now)
		return false;
	*out = e->owner->address;
	return true;
}

bool token_table_knows(const struct token_table *t, const struct ident *token)
{
	struct address address;

	return token_table_find(t, token, &address);
}

bool token_table_is_session(const struct token_table *t, const struct ident *token)
{
	const struct entry *e = find_token(t, token);

	return e && e->deadline != FOR_EVER;
}

bool token_table_has(const struct token_table *t, const struct address *address)
{
	return find_owner(t, address);
}

size_t token_table_count(const struct token_table *t)
{
	return t->count;
}

size_t token_table_sessions(const struct token_table *t)
{
	return t->sessions;
}

size_t token_table_sessions_of(const struct token_table *t, const struct address *address)
{
	const struct owner *o = find_owner(t, address);

	return o ? o->sessions : 0;
}

size_t token_table_most(const struct token_table *t)
{
	size_t most = 0;

	for (const struct owner *o = t->owners; o; o = o->hh.next)
		most = o->sessions > most ? o->sessions : most;
	return most;
}
