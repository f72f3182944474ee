// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/route/control.h"

#include <string.h>

static struct control_item *add_item(struct control_message *m, enum control_type type)
{
	struct control_item *item;

	if (m->n_items == CONTROL_ITEMS_MAX)
		return NULL;
	item = &m->items[m->n_items++];
	item->type = type;
	return item;
}

static enum control_error parse_list(struct wire_reader *r, enum control_type type, uint16_t mtu,
				     struct control_message *m)
{
	size_t each = type == CONTROL_UPDATE ? CONTROL_UPDATE_LEN : CONTROL_WANT_LEN;

	if (wire_left(r) % each)
		return CONTROL_TRUNCATED;
	while (wire_left(r)) {
		struct control_item *item = add_item(m, type);

		if (!item)
			return CONTROL_MALFORMED;
		if (type == CONTROL_WANT) {
			item->want = wire_get_ref(r, RECORD_ID_LEN);
			continue;
		}
		item->update.id = wire_get_ref(r, RECORD_ID_LEN);
		item->update.metric = wire_get_be16(r);
		item->update.mtu = mtu;
	}
	return CONTROL_OK;
}

static enum control_error parse_one(struct wire_reader *r, uint8_t type, uint16_t mtu,
				    struct control_message *m)
{
	struct control_item *item = add_item(m, (enum control_type)type);
	uint8_t phase;

	if (!item)
		return CONTROL_MALFORMED;
	switch (type) {
	case CONTROL_RECORD:
		item->record.metric = wire_get_be16(r);
		item->record.remaining_s = wire_get_be32(r);
		item->record.bytes = wire_get_ref(r, RECORD_LEN);
		item->record.mtu = mtu;
		break;
	case CONTROL_SEQREQ:
		item->seqreq.address = wire_get_ref(r, ADDRESS_LEN);
		item->seqreq.sequence = wire_get_be64(r);
		item->seqreq.hops = wire_get_u8(r);
		break;
	case CONTROL_DUMP:
		phase = wire_get_u8(r);
		if (phase > CONTROL_DUMP_END)
			return CONTROL_MALFORMED;
		item->dump = (enum control_dump_phase)phase;
		break;
	case CONTROL_DIGEST:
		item->digest = wire_get_ref(r, CONTROL_DIGEST_LEN);
		break;
	case CONTROL_PRESENCE:
		item->presence.remaining_s = wire_get_be32(r);
		item->presence.bytes = wire_get_ref(r, PRESENCE_LEN);
		break;
	case CONTROL_MEMBER_SUMS:
		item->member_sums = wire_get_ref(r, CONTROL_MEMBER_SUMS_LEN);
		break;
	case CONTROL_MEMBER_ASK:
		item->member_ask = wire_get_be16(r);
		break;
	default:	/* CONTROL_RESYNC: empty */
		break;
	}
	return wire_done(r) ? CONTROL_OK : CONTROL_TRUNCATED;
}

static enum control_error parse_path_mtu(struct wire_reader *r, uint16_t *mtu)
{
	*mtu = wire_get_be16(r);
	if (!wire_done(r))
		return CONTROL_TRUNCATED;
	return *mtu ? CONTROL_OK : CONTROL_MALFORMED;
}

enum control_error control_parse_items(const uint8_t *bytes, size_t len,
				       struct control_message *out)
{
	uint16_t mtu = CONTROL_PATH_MTU_DEFAULT;
	struct wire_reader r;

	out->n_items = 0;
	out->n_unknown = 0;
	wire_read_init(&r, bytes, len);
	while (wire_left(&r)) {
		enum control_error err = CONTROL_OK;
		uint8_t type = wire_get_u8(&r);
		uint16_t tlv_len = wire_get_be16(&r);
		const uint8_t *value = wire_get_ref(&r, tlv_len);
		struct wire_reader v;

		if (r.failed)
			return CONTROL_TRUNCATED;
		wire_read_init(&v, value, tlv_len);
		if (type == CONTROL_UPDATE || type == CONTROL_WANT)
			err = parse_list(&v, (enum control_type)type, mtu, out);
		else if (type == CONTROL_PATH_MTU)
			err = parse_path_mtu(&v, &mtu);
		else if (type == CONTROL_RECORD || (type >= CONTROL_SEQREQ && type <= CONTROL_LAST))
			err = parse_one(&v, type, mtu, out);
		else
			out->n_unknown++;
		if (err != CONTROL_OK)
			return err;
	}
	return r.failed ? CONTROL_TRUNCATED : CONTROL_OK;
}

enum control_error control_parse(const uint8_t *bytes, size_t len, struct control_message *out)
{
	struct control_header *h = &out->header;
	struct wire_reader r;
	uint8_t version;

	if (len < CONTROL_HEADER_LEN || len > CONTROL_MTU_MAX)
		return CONTROL_TRUNCATED;
	wire_read_init(&r, bytes, len);
	version = wire_get_u8(&r);
	h->flags = wire_get_u8(&r);
	h->sack = wire_get_u8(&r);
	wire_get_u8(&r);
	h->epoch = wire_get_be32(&r);
	h->peer_epoch = wire_get_be32(&r);
	h->seq = wire_get_be32(&r);
	h->ack = wire_get_be32(&r);
	if (version != CONTROL_VERSION)
		return CONTROL_BAD_VERSION;
	if (h->epoch == 0)
		return CONTROL_MALFORMED;
	if (h->seq == 0 && len > CONTROL_HEADER_LEN)
		return CONTROL_MALFORMED;
	return control_parse_items(bytes + CONTROL_HEADER_LEN, len - CONTROL_HEADER_LEN, out);
}

void control_put_header(struct wire_writer *w, const struct control_header *header)
{
	wire_put_u8(w, CONTROL_VERSION);
	wire_put_u8(w, header->flags);
	wire_put_u8(w, header->sack);
	wire_put_u8(w, 0);
	wire_put_be32(w, header->epoch);
	wire_put_be32(w, header->peer_epoch);
	wire_put_be32(w, header->seq);
	wire_put_be32(w, header->ack);
}

static size_t room(const struct wire_writer *w)
{
	return w->failed ? 0 : (size_t)(w->end - w->pos);
}

/* Opens a TLV of its own, for @len bytes of value. */
static bool open_tlv(struct wire_writer *w, struct control_run *run, enum control_type type,
		     size_t len)
{
	if (room(w) < CONTROL_TLV_LEN + len)
		return false;
	run->tlv = w->pos;
	run->type = type;
	wire_put_u8(w, (uint8_t)type);
	wire_put_be16(w, (uint16_t)len);
	return true;
}

/* Makes room for one more entry of a list: in the open TLV, or in a new one. */
static bool extend_list(struct wire_writer *w, struct control_run *run, enum control_type type,
			size_t each)
{
	uint16_t len;

	if (!run->tlv || run->type != type)
		return open_tlv(w, run, type, each);
	if (room(w) < each)
		return false;
	len = (uint16_t)((run->tlv[1] << 8 | run->tlv[2]) + (int)each);
	run->tlv[1] = (uint8_t)(len >> 8);
	run->tlv[2] = (uint8_t)len;
	return true;
}

bool control_put_path_mtu(struct wire_writer *w, struct control_run *run, uint16_t mtu, size_t left)
{
	if (mtu == (run->mtu ? run->mtu : CONTROL_PATH_MTU_DEFAULT))
		return true;
	if (room(w) < CONTROL_TLV_LEN + CONTROL_PATH_MTU_LEN + left ||
	    !open_tlv(w, run, (enum control_type)CONTROL_PATH_MTU, CONTROL_PATH_MTU_LEN))
		return false;
	wire_put_be16(w, mtu);
	run->mtu = mtu;
	return true;
}

bool control_put_update(struct wire_writer *w, struct control_run *run,
			const uint8_t id[static RECORD_ID_LEN], uint16_t metric)
{
	if (!extend_list(w, run, CONTROL_UPDATE, CONTROL_UPDATE_LEN))
		return false;
	wire_put(w, id, RECORD_ID_LEN);
	wire_put_be16(w, metric);
	return true;
}

bool control_put_want(struct wire_writer *w, struct control_run *run,
		      const uint8_t id[static RECORD_ID_LEN])
{
	if (!extend_list(w, run, CONTROL_WANT, CONTROL_WANT_LEN))
		return false;
	wire_put(w, id, RECORD_ID_LEN);
	return true;
}

bool control_put_record(struct wire_writer *w, struct control_run *run,
			const uint8_t record[static RECORD_LEN], uint32_t remaining_s,
			uint16_t metric)
{
	if (!open_tlv(w, run, CONTROL_RECORD, CONTROL_RECORD_LEN))
		return false;
	wire_put_be16(w, metric);
	wire_put_be32(w, remaining_s);
	wire_put(w, record, RECORD_LEN);
	return true;
}

bool control_put_seqreq(struct wire_writer *w, struct control_run *run,
			const struct address *address, uint64_t sequence, uint8_t hops)
{
	if (!open_tlv(w, run, CONTROL_SEQREQ, CONTROL_SEQREQ_LEN))
		return false;
	wire_put(w, address->b, ADDRESS_LEN);
	wire_put_be64(w, sequence);
	wire_put_u8(w, hops);
	return true;
}

bool control_put_dump(struct wire_writer *w, struct control_run *run,
		      enum control_dump_phase phase)
{
	if (!open_tlv(w, run, CONTROL_DUMP, 1))
		return false;
	wire_put_u8(w, (uint8_t)phase);
	return true;
}

bool control_put_digest(struct wire_writer *w, struct control_run *run,
			const uint8_t digest[static CONTROL_DIGEST_LEN])
{
	if (!open_tlv(w, run, CONTROL_DIGEST, CONTROL_DIGEST_LEN))
		return false;
	wire_put(w, digest, CONTROL_DIGEST_LEN);
	return true;
}

bool control_put_resync(struct wire_writer *w, struct control_run *run)
{
	return open_tlv(w, run, CONTROL_RESYNC, 0);
}

bool control_put_presence(struct wire_writer *w, struct control_run *run,
			  const uint8_t presence[static PRESENCE_LEN], uint32_t remaining_s)
{
	if (!open_tlv(w, run, CONTROL_PRESENCE, CONTROL_PRESENCE_LEN))
		return false;
	wire_put_be32(w, remaining_s);
	wire_put(w, presence, PRESENCE_LEN);
	return true;
}

bool control_put_member_sums(struct wire_writer *w, struct control_run *run,
			     const uint64_t sums[static CONTROL_MEMBER_BUCKETS])
{
	if (!open_tlv(w, run, CONTROL_MEMBER_SUMS, CONTROL_MEMBER_SUMS_LEN))
		return false;
	for (unsigned int i = 0; i < CONTROL_MEMBER_BUCKETS; i++)
		wire_put_be64(w, sums[i]);
	return true;
}

bool control_put_member_ask(struct wire_writer *w, struct control_run *run, uint16_t buckets)
{
	if (!open_tlv(w, run, CONTROL_MEMBER_ASK, CONTROL_MEMBER_ASK_LEN))
		return false;
	wire_put_be16(w, buckets);
	return true;
}
