// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files: packing, looking, reading, and what others get of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libratman/incoming.h"
#include "libratman/outgoing.h"
#include "libratman/subscription.h"
#include "proto/file.h"

#define FD_CHUNK 65536

struct ratman_file_get {
	struct ratman *r;	/* borrowed */
	uint64_t left;		/* bytes not read */
	bool over;		/* the daemon has said that it was all */
};

static void copy(void *out, const struct ratman_id *id)
{
	memcpy(out, id->b, RATMAN_ID_LEN);
}

/* Records -------------------------------------------------------------------- */

static void to_public(const struct file_meta *m, struct ratman_file *out)
{
	_Static_assert(sizeof(out->name) == sizeof(m->name), "names fit");
	_Static_assert((int)RATMAN_FILE_ADVERTISED == (int)FILE_ADVERTISED, "states agree");
	*out = (struct ratman_file){
		.size = m->size, .local_bytes = m->local_bytes,
		.state = (enum ratman_file_state)m->state, .stalled = m->stalled,
		.has_previous = m->has_previous, .time_ns = m->time_ns,
	};
	memcpy(out->id.b, m->id.b, RATMAN_ID_LEN);
	memcpy(out->owner.b, m->owner.b, RATMAN_ID_LEN);
	memcpy(out->previous.b, m->previous.b, RATMAN_ID_LEN);
	memcpy(out->name, m->name, sizeof(out->name));
}

/* One record that is all of @data. RATMAN_EPROTOCOL. */
static int read_record(const uint8_t *data, size_t len, struct ratman_file *out)
{
	struct wire_reader rd;
	struct file_meta m;

	wire_read_init(&rd, data, len);
	file_meta_read(&rd, &m);
	if (!wire_done(&rd))
		return RATMAN_EPROTOCOL;
	to_public(&m, out);
	return 0;
}

/* Takes the list of ping 0x2B apart. */
static int read_list(struct ping *ping, struct ratman_file **out, size_t *n)
{
	struct ratman_file *list;
	struct file_meta m;
	uint16_t count;

	if (file_read_list(&ping->body, &count))
		return RATMAN_EPROTOCOL;
	list = calloc(count + 1u, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		file_meta_read(&ping->body, &m);
		if (!ping->body.failed)
			to_public(&m, &list[i]);
	}
	if (!wire_done(&ping->body)) {
		free(list);
		return RATMAN_EPROTOCOL;
	}
	*out = list;
	*n = count;
	return 0;
}

static int ask_list(struct ratman *r, enum op_id op, const struct ratman_id *token,
		    const void *payload, size_t len, struct ratman_file **out, size_t *n)
{
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, op, token, payload, len, PING_FILES, &reply, &ping);

	if (!err)
		err = read_list(&ping, out, n);
	reply_free(&reply);
	return err == RATMAN_EPROTOCOL ? handle_fail(r, err) : err;
}

PUBLIC int ratman_file_list(struct ratman *r, const struct ratman_id *user,
			    const struct ratman_id *token, enum ratman_file_state state,
			    const char *pattern, struct ratman_file **out, size_t *n)
{
	struct file_query q = { .state = (enum file_state)state };
	uint8_t payload[sizeof(q) + 2];
	struct wire_writer w;

	if ((unsigned int)state >= FILE_STATES || (pattern && strlen(pattern) > LIMIT_FILE_NAME))
		return -EINVAL;
	copy(q.user.b, user);
	strcpy(q.pattern, pattern ? pattern : "");
	wire_write_init(&w, payload, sizeof(payload));
	file_write_query(&w, &q);
	return ask_list(r, OP_FILE_LIST, token, payload, wire_len(&w), out, n);
}

/* What File/Status, Delete and Get are given. */
static size_t write_ref(const struct ratman_id *user, const struct ratman_id *id,
			uint8_t out[static 2 * RATMAN_ID_LEN])
{
	copy(out, user);
	copy(out + RATMAN_ID_LEN, id);
	return 2 * RATMAN_ID_LEN;
}

PUBLIC int ratman_file_status(struct ratman *r, const struct ratman_id *user,
			      const struct ratman_id *token, const struct ratman_id *id,
			      struct ratman_file *out)
{
	uint8_t payload[2 * RATMAN_ID_LEN];
	struct ratman_file *list;
	size_t n;
	int err = ask_list(r, OP_FILE_STATUS, token, payload, write_ref(user, id, payload), &list,
			   &n);

	if (err)
		return err;
	if (n == 1)
		*out = list[0];
	free(list);
	return n == 1 ? 0 : handle_fail(r, RATMAN_EPROTOCOL);
}

/* Packing -------------------------------------------------------------------- */

PUBLIC int ratman_file_create(struct ratman *r, const struct ratman_id *user,
			      const struct ratman_id *token, const char *name, const char *mime,
			      uint64_t size, struct ratman_send **out)
{
	struct file_create c = { .size = size };
	uint8_t payload[sizeof(c) + 4];
	struct wire_writer w;

	if (!file_name_is_valid(name, strlen(name)) ||
	    (mime && mime[0] && !file_mime_is_valid(mime, strlen(mime))))
		return -EINVAL;
	copy(c.user.b, user);
	strcpy(c.name, name);
	strcpy(c.mime, mime ? mime : "");
	wire_write_init(&w, payload, sizeof(payload));
	file_write_create(&w, &c);
	return outgoing_begin(r, OP_FILE_CREATE, token, payload, wire_len(&w), out);
}

PUBLIC int ratman_file_update(struct ratman *r, const struct ratman_id *user,
			      const struct ratman_id *token, const struct ratman_id *old,
			      uint64_t size, struct ratman_send **out)
{
	struct file_update u = { .size = size };
	uint8_t payload[sizeof(u)];
	struct wire_writer w;

	copy(u.user.b, user);
	copy(u.old.b, old);
	wire_write_init(&w, payload, sizeof(payload));
	file_write_update(&w, &u);
	return outgoing_begin(r, OP_FILE_MODIFY, token, payload, wire_len(&w), out);
}

PUBLIC int ratman_file_finish(struct ratman_send *s, struct ratman_id *id, uint64_t *size)
{
	struct reply reply = { .payload = NULL };
	struct file_done done;
	struct ping ping;
	int err = outgoing_end(s, PING_FILE, &reply, &ping);

	if (!err && file_read_done(&ping.body, &done))
		err = RATMAN_EPROTOCOL;
	if (!err && id)
		memcpy(id->b, done.id.b, sizeof(id->b));
	if (!err && size)
		*size = done.size;
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_file_pack_fd(struct ratman *r, const struct ratman_id *user,
			       const struct ratman_id *token, const char *name, const char *mime,
			       int fd, struct ratman_id *id, uint64_t *size)
{
	struct ratman_send *s;
	uint8_t *buf;
	ssize_t n = 0;
	int err;

	if (r->nonblocking)
		return -EINVAL;
	buf = malloc(FD_CHUNK);
	err = buf ? ratman_file_create(r, user, token, name, mime, 0, &s) : -ENOMEM;
	if (err) {
		free(buf);
		return err;
	}
	while (!err && (n = read(fd, buf, FD_CHUNK)) > 0)
		err = ratman_send_write(s, buf, (size_t)n);
	if (n < 0)
		err = -errno;
	free(buf);
	/* A daemon that gave up tells why at the end. */
	if (!err || err == RATMAN_ECLOSED)
		return ratman_file_finish(s, id, size);
	ratman_send_abort(s);
	return err;
}

/* Reading -------------------------------------------------------------------- */

PUBLIC int ratman_file_get_begin(struct ratman *r, const struct ratman_id *user,
				 const struct ratman_id *token, const struct ratman_id *id,
				 uint64_t *size, struct ratman_file_get **out)
{
	uint8_t payload[2 * RATMAN_ID_LEN];
	struct ratman_file_get *g;
	struct file_done head;
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, OP_FILE_GET, token, payload, write_ref(user, id, payload),
				  PING_FILE, &reply, &ping);

	if (!err && (file_read_done(&ping.body, &head) ||
		     memcmp(head.id.b, id->b, sizeof(head.id.b))))
		err = handle_fail(r, RATMAN_EPROTOCOL);
	reply_free(&reply);
	g = err ? NULL : calloc(1, sizeof(*g));
	if (!g)
		return err ? err : handle_fail(r, -ENOMEM);
	g->r = r;
	g->left = head.size;
	if (size)
		*size = head.size;
	r->busy = true;
	r->get = g;
	*out = g;
	return 0;
}

/* The Ok behind the last byte. */
static int get_verdict(struct ratman_file_get *g)
{
	struct reply reply;
	struct ping ping;
	int err = handle_reply(g->r, &reply, conn_deadline(g->r->timeout_ms));

	if (err)
		return handle_may_resume(err) ? err : handle_fail(g->r, err);
	handle_rest(g->r);
	err = handle_ping(g->r, &reply, PING_OK, &ping);
	reply_free(&reply);
	g->over = !err;
	return err;
}

PUBLIC ssize_t ratman_file_get_read(struct ratman_file_get *g, void *buf, size_t size)
{
	if (g->left)
		return incoming_read(g->r, &g->left, buf, size,
				     conn_deadline(g->r->timeout_ms));
	return g->over ? 0 : get_verdict(g);
}

PUBLIC void ratman_file_get_end(struct ratman_file_get *g)
{
	struct ratman *r;

	if (!g)
		return;
	r = g->r;
	if (!g->over)
		handle_drop(r);
	handle_rest(r);
	r->busy = false;
	r->get = NULL;
	free(g);
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

PUBLIC int ratman_file_get_fd(struct ratman *r, const struct ratman_id *user,
			      const struct ratman_id *token, const struct ratman_id *id, int fd)
{
	struct ratman_file_get *g;
	uint8_t *buf;
	ssize_t n;
	int err;

	if (r->nonblocking)
		return -EINVAL;
	buf = malloc(FD_CHUNK);
	err = buf ? ratman_file_get_begin(r, user, token, id, NULL, &g) : -ENOMEM;
	if (err) {
		free(buf);
		return err;
	}
	do {
		n = ratman_file_get_read(g, buf, FD_CHUNK);
		err = n < 0 ? (int)n : write_all(fd, buf, (size_t)n);
	} while (n > 0 && !err);
	explicit_bzero(buf, FD_CHUNK);
	free(buf);
	ratman_file_get_end(g);
	return err;
}

/* Others ----------------------------------------------------------------------- */

static int share(struct ratman *r, enum op_id op, const struct ratman_id *user,
		 const struct ratman_id *token, const struct ratman_id *id,
		 const struct ratman_recipient *to)
{
	struct file_share s = { .to = { .kind = RECIPIENT_NONE } };
	uint8_t payload[sizeof(s)];
	struct wire_writer w;

	copy(s.user.b, user);
	copy(s.id.b, id);
	if (to)
		s.to = incoming_recipient(to);
	wire_write_init(&w, payload, sizeof(payload));
	file_write_share(&w, &s);
	return handle_command(r, op, token, payload, wire_len(&w));
}

PUBLIC int ratman_file_announce(struct ratman *r, const struct ratman_id *user,
				const struct ratman_id *token, const struct ratman_id *id,
				const struct ratman_recipient *to)
{
	return share(r, OP_FILE_UP, user, token, id, to);
}

PUBLIC int ratman_file_withdraw(struct ratman *r, const struct ratman_id *user,
				const struct ratman_id *token, const struct ratman_id *id,
				const struct ratman_recipient *to)
{
	return share(r, OP_FILE_DOWN, user, token, id, to);
}

PUBLIC int ratman_file_request(struct ratman *r, const struct ratman_id *user,
			       const struct ratman_id *token, const struct ratman_id *id,
			       const struct ratman_id *owner)
{
	struct file_request q = { .has_owner = owner };
	uint8_t payload[sizeof(q)];
	struct wire_writer w;

	copy(q.user.b, user);
	copy(q.id.b, id);
	if (owner)
		copy(q.owner.b, owner);
	wire_write_init(&w, payload, sizeof(payload));
	file_write_request(&w, &q);
	return handle_command(r, OP_FILE_ADD, token, payload, wire_len(&w));
}

PUBLIC int ratman_file_send(struct ratman *r, const struct ratman_id *user,
			    const struct ratman_id *token, const struct ratman_id *id,
			    const struct ratman_recipient *to, size_t n)
{
	uint8_t payload[2 * RATMAN_ID_LEN + 2 + LIMIT_RECIPIENTS * 33];
	struct file_send s = { .n = n };
	struct wire_writer w;

	if (!n || n > LIMIT_RECIPIENTS)
		return -EINVAL;
	copy(s.user.b, user);
	copy(s.id.b, id);
	for (size_t i = 0; i < n; i++)
		s.to[i] = incoming_recipient(&to[i]);
	wire_write_init(&w, payload, sizeof(payload));
	file_write_send(&w, &s);
	return handle_command(r, n == 1 ? OP_FILE_ONE : OP_FILE_MANY, token, payload,
			      wire_len(&w));
}

PUBLIC int ratman_file_delete(struct ratman *r, const struct ratman_id *user,
			      const struct ratman_id *token, const struct ratman_id *id)
{
	uint8_t payload[2 * RATMAN_ID_LEN];

	return handle_command(r, OP_FILE_DELETE, token, payload, write_ref(user, id, payload));
}

PUBLIC int ratman_file_sub(struct ratman *r, const struct ratman_id *user,
			   const struct ratman_id *token, struct ratman_subscription *out)
{
	return subscription_ask(r, OP_FILE_SUB, token, user->b, RATMAN_ID_LEN, out);
}

PUBLIC int ratman_sub_file(struct ratman_sub *s, struct ratman_file *out, int timeout_ms)
{
	struct reply reply;
	int err = subscription_frame(s, op_get(OP_FILE_SUB)->mode, &reply, timeout_ms);

	if (err)
		return err;
	if (read_record(reply.payload, reply.header.payload_len, out))
		err = subscription_fail(s);
	reply_free(&reply);
	return err ? err : 1;
}
