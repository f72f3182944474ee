// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/ping.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* bincode 1.x: little-endian numbers, u64 lengths, enum variants as u32. */
static void put_le(struct wire_writer *w, uint64_t v, size_t len)
{
	for (; len; len--, v >>= 8)
		wire_put_u8(w, (uint8_t)v);
}

static uint64_t get_le(struct wire_reader *r, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)wire_get_u8(r) << (8 * i);
	return v;
}

static void put_blob_text(struct wire_writer *w, const char *text)
{
	size_t len = strnlen(text, PING_TEXT_MAX - 1);

	put_le(w, len, 8);
	wire_put(w, text, len);
}

static void get_blob_text(struct wire_reader *r, char out[static PING_TEXT_MAX])
{
	uint64_t len = get_le(r, 8);
	struct field_text t = { NULL, 0 };

	if (len > wire_left(r)) {
		r->failed = true;
	} else {
		t.at = (const char *)wire_get_ref(r, (size_t)len);
		t.len = (size_t)len;
	}
	field_copy_text(t, out, PING_TEXT_MAX);
}

void ping_write_ok(struct wire_writer *w)
{
	wire_put_u8(w, PING_OK);
}

void ping_write_ids(struct wire_writer *w, enum ping_kind kind, const struct payload_ids *ids)
{
	wire_put_u8(w, (uint8_t)kind);
	wire_put_be16(w, (uint16_t)ids->n);
	wire_put(w, ids->ids, ids->n * 32);
}

static void write_user_error(struct wire_writer *w, const struct ping_error *e)
{
	put_le(w, e->user, 4);
	switch (e->user) {
	case PING_USER_INPUT:
		put_blob_text(w, e->text);
		wire_put_u8(w, e->has_text2);
		if (e->has_text2)
			put_blob_text(w, e->text2);
		break;
	case PING_USER_MISSING:
		put_blob_text(w, e->text);
		break;
	case PING_USER_LIMIT:
		break;
	}
}

void ping_write_error(struct wire_writer *w, const struct ping_error *e)
{
	uint8_t blob[PING_ERROR_MAX];
	struct wire_writer b;

	wire_write_init(&b, blob, sizeof(blob));
	put_le(&b, e->code, 4);
	switch (e->code) {
	case PING_E_VERSION:
		put_blob_text(&b, e->text);
		put_blob_text(&b, e->text2);
		break;
	case PING_E_INTERNAL:
		put_blob_text(&b, e->text);
		break;
	case PING_E_NO_SUBSCRIPTION:
		put_le(&b, sizeof(e->id.b), 8);
		wire_put(&b, e->id.b, sizeof(e->id.b));
		break;
	case PING_E_USER:
		write_user_error(&b, e);
		break;
	case PING_E_AUTH:
	case PING_E_CONNECTION_LOST:
	case PING_E_NOT_SUPPORTED:
	case PING_E_NO_ADDRESS:
	case PING_E_DUPLICATE:
		break;
	}
	wire_put_u8(w, PING_ERROR);
	wire_put_be32(w, (uint32_t)wire_len(&b));
	wire_put(w, blob, wire_len(&b));
}

void ping_write_timeout(struct wire_writer *w)
{
	wire_put_u8(w, PING_TIMEOUT);
}

void ping_write_version(struct wire_writer *w, const char *router, const char *client)
{
	wire_put_u8(w, PING_VERSION);
	field_put_text(w, router);
	field_put_text(w, client);
}

void ping_write_subscription(struct wire_writer *w, const struct ident *id, const char *bind)
{
	wire_put_u8(w, PING_SUBSCRIPTION);
	wire_put(w, id->b, sizeof(id->b));
	field_put_text(w, bind);
}

void ping_write_peers(struct wire_writer *w, uint16_t n)
{
	wire_put_u8(w, PING_PEER_LIST);
	wire_put_be16(w, n);
}

void ping_write_peer(struct wire_writer *w, const struct ping_peer *peer)
{
	wire_put(w, peer->address.b, ADDRESS_LEN);
	field_put_datetime(w, peer->first_seen_ns);
	field_put_datetime(w, peer->last_seen_ns);
	wire_put_u8(w, peer->active);
}

void ping_write_send_socket(struct wire_writer *w, const char *bind)
{
	wire_put_u8(w, PING_SEND_SOCKET);
	field_put_text(w, bind);
}

void ping_write_status(struct wire_writer *w, const struct ping_status *s)
{
	wire_put_u8(w, PING_STATUS);
	wire_put_be64(w, s->peers);
	wire_put_be64(w, s->locals);
	wire_put_be64(w, s->tokens);
	wire_put_be64(w, s->workers);
}

void ping_write_anycast(struct wire_writer *w, uint16_t n)
{
	wire_put_u8(w, PING_ANYCAST);
	wire_put_be16(w, n);
}

void ping_write_anycast_entry(struct wire_writer *w, const struct address *a, uint64_t ms)
{
	wire_put(w, a->b, ADDRESS_LEN);
	wire_put_be64(w, ms);
}

void ping_write_contacts(struct wire_writer *w, uint16_t n)
{
	wire_put_u8(w, PING_CONTACTS);
	wire_put_be16(w, n);
}

void ping_write_service_error(struct wire_writer *w, enum service_error_code code, const char *text)
{
	wire_put_u8(w, PING_SERVICE_ERROR);
	wire_put_u8(w, (uint8_t)code);
	wire_put(w, text, strnlen(text, PING_TEXT_MAX - 1));
	wire_put_u8(w, 0);
}

void ping_write_links(struct wire_writer *w, uint16_t n)
{
	wire_put_u8(w, PING_LINKS);
	wire_put_be16(w, n);
}

void ping_write_limits(struct wire_writer *w, uint16_t n)
{
	wire_put_u8(w, PING_LIMITS);
	wire_put_be16(w, n);
}

void ping_write_limit(struct wire_writer *w, const struct ping_limit *l)
{
	field_put_text(w, l->name);
	field_put_text(w, l->unit);
	wire_put_be64(w, l->limit);
	wire_put_be64(w, l->used);
	wire_put_be64(w, l->hits);
}

static void read_user_error(struct wire_reader *b, struct ping_error *out)
{
	uint64_t user = get_le(b, 4);

	if (user > PING_USER_LIMIT) {
		b->failed = true;
		return;
	}
	out->user = (enum ping_user_code)user;
	switch (out->user) {
	case PING_USER_INPUT:
		get_blob_text(b, out->text);
		out->has_text2 = wire_get_u8(b) == 1;
		if (out->has_text2)
			get_blob_text(b, out->text2);
		break;
	case PING_USER_MISSING:
		get_blob_text(b, out->text);
		break;
	case PING_USER_LIMIT:
		break;
	}
}

static void read_error(struct wire_reader *r, struct ping_error *out)
{
	uint32_t len = wire_get_be32(r);
	const uint8_t *blob = wire_get_ref(r, len);
	struct wire_reader b;
	uint64_t code;

	memset(out, 0, sizeof(*out));
	wire_read_init(&b, blob, blob ? len : 0);
	code = get_le(&b, 4);
	if (r->failed || b.failed || code > PING_E_USER) {
		r->failed = true;
		return;
	}
	out->code = (enum ping_error_code)code;
	switch (out->code) {
	case PING_E_VERSION:
		get_blob_text(&b, out->text);
		get_blob_text(&b, out->text2);
		break;
	case PING_E_INTERNAL:
		get_blob_text(&b, out->text);
		break;
	case PING_E_NO_SUBSCRIPTION:
		if (get_le(&b, 8) != sizeof(out->id.b))
			b.failed = true;
		wire_get(&b, out->id.b, sizeof(out->id.b));
		break;
	case PING_E_USER:
		read_user_error(&b, out);
		break;
	case PING_E_AUTH:
	case PING_E_CONNECTION_LOST:
	case PING_E_NOT_SUPPORTED:
	case PING_E_NO_ADDRESS:
	case PING_E_DUPLICATE:
		break;
	}
	r->failed |= b.failed;
}

/* Checks that @n entries of @entry bytes are there. */
static void check_list(struct wire_reader *r, size_t n, size_t entry)
{
	if (wire_left(r) / entry < n)
		r->failed = true;
}

/* A text of a fixed field; longer ones fail. */
static void read_short_text(struct wire_reader *r, char *out, size_t size)
{
	struct field_text t = field_get_text(r);

	if (t.len >= size)
		r->failed = true;
	field_copy_text(t, out, size);
}

int ping_read(const uint8_t *data, size_t len, struct ping *out)
{
	struct wire_reader r;

	memset(out, 0, sizeof(*out));
	wire_read_init(&r, data, len);
	out->kind = (enum ping_kind)wire_get_u8(&r);
	if (r.failed)
		return -EPROTO;
	switch (out->kind) {
	case PING_OK:
		out->ok.has_capabilities = payload_read_capabilities(&r, &out->ok.capabilities);
		return 0;
	case PING_UPDATE:
	case PING_ADDR_LIST:
		return payload_read_ids(&r, &out->ids) ? -EPROTO : 0;
	case PING_ERROR:
		read_error(&r, &out->error);
		break;
	case PING_TIMEOUT:
		break;
	case PING_VERSION:
		read_short_text(&r, out->version.router, sizeof(out->version.router));
		read_short_text(&r, out->version.client, sizeof(out->version.client));
		break;
	case PING_SUBSCRIPTION:
		wire_get(&r, out->subscription.id.b, 32);
		read_short_text(&r, out->subscription.bind, sizeof(out->subscription.bind));
		break;
	case PING_PEER_LIST:
		/* Peers may come with date-times shorter than ours: 25 bytes at least. */
		out->peers.n = wire_get_be16(&r);
		check_list(&r, out->peers.n, 32 + 2 * 20 + 1);
		out->peers.at = r;
		break;
	case PING_SEND_SOCKET:
		read_short_text(&r, out->send_socket, sizeof(out->send_socket));
		break;
	case PING_STATUS:
		out->status.peers = wire_get_be64(&r);
		out->status.locals = wire_get_be64(&r);
		out->status.tokens = wire_get_be64(&r);
		out->status.workers = wire_get_be64(&r);
		break;
	case PING_ANYCAST:
		out->anycast.n = wire_get_be16(&r);
		check_list(&r, out->anycast.n, 32 + 8);
		out->anycast.at = r;
		break;
	case PING_CONTACTS:
		out->contacts.n = wire_get_be16(&r);
		check_list(&r, out->contacts.n, CONTACT_RECORD_MIN);
		out->contacts.at = r;
		break;
	case PING_LINKS:
		out->links.n = wire_get_be16(&r);
		check_list(&r, out->links.n, LINK_ENTRY_MIN);
		out->links.at = r;
		break;
	case PING_LIMITS:
		out->limits.n = wire_get_be16(&r);
		check_list(&r, out->limits.n, 2 + 3 * 8);
		out->limits.at = r;
		break;
	case PING_SERVICE_ERROR:
		out->service_error.code = wire_get_u8(&r);
		field_copy_text(field_get_terminated(&r), out->service_error.text,
				sizeof(out->service_error.text));
		break;
	case PING_USER:
	case PING_PROFILES:
	case PING_MESSAGE:
	case PING_MESSAGES:
	case PING_SERVICE_VALUE:
	case PING_SERVICE_KEYS:
	case PING_SERVICES:
	case PING_FILE:
	case PING_FILES:
		out->body = r;
		break;
	default:
		return -ENOTSUP;
	}
	return r.failed ? -EPROTO : 0;
}

int ping_next_peer(struct ping *p, struct ping_peer *out)
{
	struct wire_reader *r = &p->peers.at;
	struct ping_peer peer;

	wire_get(r, peer.address.b, ADDRESS_LEN);
	peer.first_seen_ns = field_get_datetime(r);
	peer.last_seen_ns = field_get_datetime(r);
	peer.active = wire_get_u8(r) == 1;
	if (r->failed)
		return -EPROTO;
	*out = peer;
	return 0;
}

int ping_next_anycast(struct ping *p, struct address *address, uint64_t *ms)
{
	struct wire_reader *r = &p->anycast.at;

	wire_get(r, address->b, ADDRESS_LEN);
	*ms = wire_get_be64(r);
	return r->failed ? -EPROTO : 0;
}

int ping_next_contact(struct ping *p, struct contact *out)
{
	return contact_record_read(&p->contacts.at, out) ? -EPROTO : 0;
}

int ping_next_link(struct ping *p, struct link_entry *out)
{
	return link_entry_read(&p->links.at, out) ? -EPROTO : 0;
}

int ping_next_limit(struct ping *p, struct ping_limit *out)
{
	struct wire_reader *r = &p->limits.at;

	read_short_text(r, out->name, sizeof(out->name));
	read_short_text(r, out->unit, sizeof(out->unit));
	out->limit = wire_get_be64(r);
	out->used = wire_get_be64(r);
	out->hits = wire_get_be64(r);
	return r->failed ? -EPROTO : 0;
}

static const char *describe_user(const struct ping_error *e, char *out, size_t size)
{
	switch (e->user) {
	case PING_USER_INPUT:
		if (e->has_text2)
			snprintf(out, size, "got invalid input '%s' (expected '%s')", e->text,
				 e->text2);
		else
			snprintf(out, size, "got invalid input '%s'", e->text);
		return out;
	case PING_USER_MISSING:
		snprintf(out, size, "required input '%s' was missing", e->text);
		return out;
	case PING_USER_LIMIT:
		break;
	}
	snprintf(out, size, "the limit of streams to receive was reached");
	return out;
}

const char *ping_error_describe(const struct ping_error *e, char *out, size_t size)
{
	switch (e->code) {
	case PING_E_VERSION:
		snprintf(out, size, "router speaks version %s, client %s", e->text, e->text2);
		return out;
	case PING_E_AUTH:
		snprintf(out, size, "wrong or missing token for this address");
		return out;
	case PING_E_CONNECTION_LOST:
		snprintf(out, size, "connection lost");
		return out;
	case PING_E_NOT_SUPPORTED:
		snprintf(out, size, "not supported by this router");
		return out;
	case PING_E_NO_ADDRESS:
		snprintf(out, size, "no such address on this router");
		return out;
	case PING_E_DUPLICATE:
		snprintf(out, size, "address exists already");
		return out;
	case PING_E_INTERNAL:
		snprintf(out, size, "internal server error: %s", e->text);
		return out;
	case PING_E_NO_SUBSCRIPTION:
		snprintf(out, size, "no such subscription");
		return out;
	case PING_E_USER:
		return describe_user(e, out, size);
	}
	snprintf(out, size, "unknown error");
	return out;
}
