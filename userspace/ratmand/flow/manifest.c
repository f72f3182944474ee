// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/manifest.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define VERSION_STREAM 1
#define VERSION_PARCEL 2	/* with kind and metadata */

/* What is signed starts with one of these, NUL included, so that no signature serves twice. */
static const char manifest_domain[] = "ratman manifest v1";
static const char receipt_domain[] = "ratman receipt v1";
static const char member_domain[] = "ratman member v1";

void manifest_id(const uint8_t *sealed, size_t len, struct ident *out)
{
	crypto_generichash(out->b, sizeof(out->b), sealed, len, NULL, 0);
}

int manifest_check_recipient(const struct address *address)
{
	uint8_t box_key[crypto_box_PUBLICKEYBYTES];

	return crypto_sign_ed25519_pk_to_curve25519(box_key, address->b) ? -EINVAL : 0;
}

ssize_t manifest_seal(struct manifest *m, const uint8_t *from_secret, uint8_t *out)
{
	uint8_t text[sizeof(manifest_domain) + MANIFEST_MAX - crypto_box_SEALBYTES];
	uint8_t *plain = text + sizeof(manifest_domain);
	uint8_t box_key[crypto_box_PUBLICKEYBYTES];
	struct wire_writer w;
	ssize_t len = -EINVAL;

	if (crypto_sign_ed25519_pk_to_curve25519(box_key, m->head.to.address.b))
		return -EINVAL;
	memcpy(text, manifest_domain, sizeof(manifest_domain));
	wire_write_init(&w, plain, sizeof(text) - sizeof(manifest_domain));
	randombytes_buf(m->random.b, sizeof(m->random.b));
	wire_put_u8(&w, m->kind ? VERSION_PARCEL : VERSION_STREAM);
	wire_put_be64(&w, m->created_s);
	wire_put(&w, m->random.b, sizeof(m->random.b));
	if (m->kind) {
		wire_put_u8(&w, m->kind);
		wire_put_be16(&w, m->meta_len);
		wire_put(&w, m->meta, m->meta_len);
	}
	eris_capability_encode(&m->cap, plain + wire_len(&w));
	wire_put_ref(&w, ERIS_CAPABILITY_LEN);
	letterhead_write(&w, &m->head, false);
	if (!w.failed)
		crypto_sign_detached(plain + wire_len(&w), NULL, text,
				     sizeof(manifest_domain) + wire_len(&w), from_secret);
	wire_put_ref(&w, MANIFEST_SIG_LEN);
	if (w.failed)
		len = -EMSGSIZE;
	else if (!crypto_box_seal(out, plain, wire_len(&w), box_key))
		len = (ssize_t)(wire_len(&w) + crypto_box_SEALBYTES);
	sodium_memzero(text, sizeof(text));
	return len;
}

/* Opens the seal into @plain (MANIFEST_MAX bytes); the plain length or -EBADMSG. */
static ssize_t unseal(const uint8_t *sealed, size_t len, const struct address *local,
		      const uint8_t *local_secret, uint8_t *plain)
{
	uint8_t box_key[crypto_box_PUBLICKEYBYTES], box_secret[crypto_box_SECRETKEYBYTES];
	int err;

	if (len < MANIFEST_MIN || len > MANIFEST_MAX)
		return -EBADMSG;
	if (crypto_sign_ed25519_pk_to_curve25519(box_key, local->b) ||
	    crypto_sign_ed25519_sk_to_curve25519(box_secret, local_secret))
		return -EBADMSG;
	err = crypto_box_seal_open(plain, sealed, len, box_key, box_secret);
	sodium_memzero(box_secret, sizeof(box_secret));
	return err ? -EBADMSG : (ssize_t)(len - crypto_box_SEALBYTES);
}

/* Reads and checks @plain, which follows the domain at @text. */
static int parse(const uint8_t *text, const uint8_t *plain, size_t len,
		 const struct address *local, struct manifest *m)
{
	struct wire_reader r;
	const uint8_t *cap, *sig;
	uint8_t version;

	wire_read_init(&r, plain, len);
	version = wire_get_u8(&r);
	m->created_s = wire_get_be64(&r);
	wire_get(&r, m->random.b, sizeof(m->random.b));
	if (version == VERSION_PARCEL) {
		m->kind = wire_get_u8(&r);
		m->meta_len = wire_get_be16(&r);
		if (!m->kind || m->meta_len > sizeof(m->meta))
			return -EBADMSG;
		wire_get(&r, m->meta, m->meta_len);
	} else if (version != VERSION_STREAM) {
		return r.failed || !version ? -EBADMSG : -EPROTONOSUPPORT;
	}
	cap = wire_get_ref(&r, ERIS_CAPABILITY_LEN);
	letterhead_read(&r, &m->head);
	sig = wire_get_ref(&r, MANIFEST_SIG_LEN);
	if (!wire_done(&r) ||
	    (m->head.to.kind != RECIPIENT_ADDRESS && m->head.to.kind != RECIPIENT_NAMESPACE) ||
	    !address_equal(&m->head.to.address, local))
		return -EBADMSG;
	if (crypto_sign_verify_detached(sig, text, (size_t)(sig - text), m->head.from.b))
		return -EBADMSG;
	if (eris_capability_decode(cap, ERIS_CAPABILITY_LEN, &m->cap) || !m->head.stream_size)
		return -EBADMSG;
	if (m->kind >= PARCEL_KINDS)
		return -EPROTONOSUPPORT;
	return m->head.stream_size > LIMIT_STREAM_BYTES ? -EFBIG : 0;
}

int manifest_open(const uint8_t *sealed, size_t len, const struct address *local,
		  const uint8_t *local_secret, struct manifest *out)
{
	uint8_t text[sizeof(manifest_domain) + MANIFEST_MAX];
	uint8_t *plain = text + sizeof(manifest_domain);
	struct manifest *m = calloc(1, sizeof(*m));
	ssize_t n;
	int err;

	if (!m)
		return -ENOMEM;
	memcpy(text, manifest_domain, sizeof(manifest_domain));
	n = unseal(sealed, len, local, local_secret, plain);
	err = n < 0 ? (int)n : parse(text, plain, (size_t)n, local, m);
	if (!err)
		*out = *m;
	sodium_memzero(text, sizeof(text));
	sodium_memzero(m, sizeof(*m));
	free(m);
	return err;
}

static size_t receipt_text(const struct ident *id,
			   uint8_t text[static sizeof(receipt_domain) + sizeof(id->b)])
{
	memcpy(text, receipt_domain, sizeof(receipt_domain));
	memcpy(text + sizeof(receipt_domain), id->b, sizeof(id->b));
	return sizeof(receipt_domain) + sizeof(id->b);
}

void manifest_sign_receipt(const struct ident *id, const uint8_t *local_secret,
			   uint8_t sig[static MANIFEST_SIG_LEN])
{
	uint8_t text[sizeof(receipt_domain) + sizeof(id->b)];

	crypto_sign_detached(sig, NULL, text, receipt_text(id, text), local_secret);
}

bool manifest_check_receipt(const struct ident *id, const struct address *recipient,
			    const uint8_t sig[static MANIFEST_SIG_LEN])
{
	uint8_t text[sizeof(receipt_domain) + sizeof(id->b)];

	return !crypto_sign_verify_detached(sig, text, receipt_text(id, text), recipient->b);
}

#define MEMBER_TEXT (sizeof(member_domain) + 3 * ADDRESS_LEN + 2 * 32)

static void member_text(const struct address *space, const struct address *member,
			const struct address *to, const uint8_t *to_nonce,
			const uint8_t *member_nonce, uint8_t out[static MEMBER_TEXT])
{
	struct wire_writer w;

	wire_write_init(&w, out, MEMBER_TEXT);
	wire_put(&w, member_domain, sizeof(member_domain));
	wire_put(&w, space->b, ADDRESS_LEN);
	wire_put(&w, member->b, ADDRESS_LEN);
	wire_put(&w, to->b, ADDRESS_LEN);
	wire_put(&w, to_nonce, 32);
	wire_put(&w, member_nonce, 32);
}

void manifest_sign_member(const struct address *space, const uint8_t *space_secret,
			  const struct address *member, const struct address *to,
			  const uint8_t *to_nonce, const uint8_t *member_nonce,
			  uint8_t sig[static MANIFEST_SIG_LEN])
{
	uint8_t text[MEMBER_TEXT];

	member_text(space, member, to, to_nonce, member_nonce, text);
	crypto_sign_detached(sig, NULL, text, sizeof(text), space_secret);
}

bool manifest_check_member(const struct address *space, const struct address *member,
			   const struct address *to, const uint8_t *to_nonce,
			   const uint8_t *member_nonce, const uint8_t sig[static MANIFEST_SIG_LEN])
{
	uint8_t text[MEMBER_TEXT];

	member_text(space, member, to, to_nonce, member_nonce, text);
	return !crypto_sign_verify_detached(sig, text, sizeof(text), space->b);
}
