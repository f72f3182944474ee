// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/sealed.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define FORMAT 1
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define TABLE_MAX 32	/* of a table's name */
#define AD_MAX (1 + TABLE_MAX + SEALED_NAME_LEN)

_Static_assert(SEALED_OVERHEAD == 1 + NONCE_LEN + TAG_LEN, "overhead of a sealed record");

static const char context[] = "ratman sealed records v1";

/* A key for @purpose out of the owner's secret. */
static void derive(const uint8_t secret[static 32], const char *table, const char *purpose,
		   uint8_t *out, size_t len)
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, secret, 32, len);
	crypto_generichash_update(&st, (const uint8_t *)context, sizeof(context));
	crypto_generichash_update(&st, (const uint8_t *)table, strlen(table) + 1);
	crypto_generichash_update(&st, (const uint8_t *)purpose, strlen(purpose) + 1);
	crypto_generichash_final(&st, out, len);
	sodium_memzero(&st, sizeof(st));
}

void sealed_init(struct sealed *s, const char *table, const uint8_t secret[static 32])
{
	s->table = table;
	derive(secret, table, "seal", s->seal_key, sizeof(s->seal_key));
	derive(secret, table, "name", s->name_key, sizeof(s->name_key));
	derive(secret, table, "prefix", s->prefix, sizeof(s->prefix));
}

void sealed_wipe(struct sealed *s)
{
	sodium_memzero(s, sizeof(*s));
}

struct sealed_name sealed_name(const struct sealed *s, const void *id, size_t len)
{
	struct sealed_name name;

	memcpy(name.b, s->prefix, SEALED_PREFIX_LEN);
	crypto_generichash(name.b + SEALED_PREFIX_LEN, SEALED_NAME_LEN - SEALED_PREFIX_LEN, id,
			   len, s->name_key, sizeof(s->name_key));
	return name;
}

/* Format, table, name: authenticated with every value. Returns the length. */
static size_t build_ad(const struct sealed *s, const struct sealed_name *name,
		       uint8_t ad[static AD_MAX])
{
	size_t table_len = strnlen(s->table, TABLE_MAX - 1);

	ad[0] = FORMAT;
	memcpy(ad + 1, s->table, table_len);
	ad[1 + table_len] = 0;
	memcpy(ad + 2 + table_len, name->b, SEALED_NAME_LEN);
	return 2 + table_len + SEALED_NAME_LEN;
}

void sealed_close(const struct sealed *s, const struct sealed_name *name, const void *plain,
		  size_t len, uint8_t *out)
{
	uint8_t ad[AD_MAX];
	size_t ad_len = build_ad(s, name, ad);

	out[0] = FORMAT;
	randombytes_buf(out + 1, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE_LEN, NULL, plain, len, ad, ad_len,
						   NULL, out + 1, s->seal_key);
}

ssize_t sealed_open(const struct sealed *s, const struct sealed_name *name, const void *data,
		    size_t len, void *plain, size_t size)
{
	const uint8_t *in = data;
	uint8_t ad[AD_MAX];
	size_t ad_len = build_ad(s, name, ad);

	if (len < SEALED_OVERHEAD || len - SEALED_OVERHEAD > size || in[0] != FORMAT ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, in + 1 + NONCE_LEN,
						       len - 1 - NONCE_LEN, ad, ad_len, in + 1,
						       s->seal_key))
		return -EBADMSG;
	return (ssize_t)(len - SEALED_OVERHEAD);
}
