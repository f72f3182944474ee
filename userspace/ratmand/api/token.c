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

#define DIGEST_LEN 32

struct entry {
	uint8_t by_address[DIGEST_LEN];	/* keyed hash of the address */
	uint8_t by_token[DIGEST_LEN];	/* keyed hash of the token */
	struct address address;
	bool failed;
	UT_hash_handle hh_address;
	UT_hash_handle hh_token;
};

struct token_table {
	uint8_t key[crypto_generichash_KEYBYTES];
	struct entry *addresses;
	struct entry *tokens;
	size_t count;
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

static struct entry *find_address(const struct token_table *t, const struct address *address)
{
	uint8_t d[DIGEST_LEN];
	struct entry *e;

	digest(t, address->b, d);
	HASH_FIND(hh_address, t->addresses, d, DIGEST_LEN, e);
	return e;
}

static void entry_remove(struct token_table *t, struct entry *e)
{
	HASH_DELETE(hh_address, t->addresses, e);
	HASH_DELETE(hh_token, t->tokens, e);
	sodium_memzero(e, sizeof(*e));
	free(e);
	t->count--;
}

void token_table_free(struct token_table *t)
{
	struct entry *e, *next;

	if (!t)
		return;
	HASH_ITER(hh_address, t->addresses, e, next)
		entry_remove(t, e);
	sodium_memzero(t, sizeof(*t));
	free(t);
}

void token_table_remove(struct token_table *t, const struct address *address)
{
	struct entry *e = find_address(t, address);

	if (e)
		entry_remove(t, e);
}

int token_table_put(struct token_table *t, const struct address *address,
		    const struct ident *token)
{
	struct entry *e;

	token_table_remove(t, address);
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	digest(t, address->b, e->by_address);
	digest(t, token->b, e->by_token);
	e->address = *address;
	HASH_ADD_KEYPTR(hh_address, t->addresses, e->by_address, DIGEST_LEN, e);
	if (e->failed) {
		free(e);
		return -ENOMEM;
	}
	HASH_ADD_KEYPTR(hh_token, t->tokens, e->by_token, DIGEST_LEN, e);
	if (e->failed) {
		HASH_DELETE(hh_address, t->addresses, e);
		free(e);
		return -ENOMEM;
	}
	t->count++;
	return 0;
}

bool token_table_check(const struct token_table *t, const struct address *address,
		       const struct ident *token)
{
	static const uint8_t nobody[DIGEST_LEN];
	const struct entry *e = find_address(t, address);
	uint8_t d[DIGEST_LEN];
	int differs;

	digest(t, token->b, d);
	differs = sodium_memcmp(d, e ? e->by_token : nobody, DIGEST_LEN);
	return e && !differs;
}

bool token_table_find(const struct token_table *t, const struct ident *token,
		      struct address *out)
{
	uint8_t d[DIGEST_LEN];
	struct entry *e;

	digest(t, token->b, d);
	HASH_FIND(hh_token, t->tokens, d, DIGEST_LEN, e);
	if (e)
		*out = e->address;
	return e != NULL;
}

bool token_table_knows(const struct token_table *t, const struct ident *token)
{
	struct address address;

	return token_table_find(t, token, &address);
}

size_t token_table_count(const struct token_table *t)
{
	return t->count;
}
