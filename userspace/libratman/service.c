// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Services: registering one, and what it keeps for users (service-api.md section 7.3,
 * namespace 0B).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "libratman/subscription.h"
#include "proto/field.h"
#include "proto/service.h"

#define CREATE_MAX (LIMIT_SERVICE_NAME + 1 + 1 + LIMIT_SERVICE_TEXT + 1)
#define KEY_MAX (RATMAN_ID_LEN + LIMIT_SERVICE_NAME + 1 + LIMIT_SERVICE_NS + 1 + LIMIT_SERVICE_KEY + 1)

/* The daemon says what is wrong with a request; a cursor that failed is too long for one. */
static int checked(const struct wire_writer *w)
{
	return w->failed ? -E2BIG : 0;
}

PUBLIC int ratman_service_register(struct ratman *r, const char *name, const char *text,
				   struct ratman_subscription *out)
{
	const struct service_create create = { name, text };
	uint8_t payload[CREATE_MAX];
	struct wire_writer w;
	int err;

	wire_write_init(&w, payload, sizeof(payload));
	service_create_write(&w, &create);
	err = checked(&w);
	return err ? err : subscription_ask(r, OP_SERVICE_CREATE, NULL, payload, wire_len(&w), out);
}

PUBLIC int ratman_service_unregister(struct ratman *r, const char *name)
{
	size_t len = strlen(name);

	return len > LIMIT_SERVICE_NAME ? -E2BIG :
					  handle_command(r, OP_SERVICE_DESTROY, NULL, name, len + 1);
}

PUBLIC int ratman_sub_service(struct ratman_sub *s, struct ratman_service_event *out, int timeout_ms)
{
	enum service_event_kind kind;
	struct address user;
	struct reply reply;
	int err = subscription_frame(s, op_get(OP_SERVICE_STATUS)->mode, &reply, timeout_ms);

	if (err)
		return err;
	if (service_event_read(reply.payload, reply.header.payload_len, &kind, &user)) {
		err = subscription_fail(s);
	} else {
		*out = (struct ratman_service_event){ .open = kind == SERVICE_OPEN };
		memcpy(out->user.b, user.b, sizeof(out->user.b));
		out->has_token = reply.header.has_token;
		memcpy(out->token.b, reply.header.token.b, sizeof(out->token.b));
	}
	explicit_bzero(&reply.header, sizeof(reply.header));
	reply_free(&reply);
	return err ? err : 1;
}

/* An array of @n structures of @size and, behind it, all the text of @body: one piece of memory. */
static void *list_new(struct wire_reader *body, size_t n, size_t size)
{
	size_t len = wire_left(body);
	char *list = malloc(n * size + len + 1);

	if (list && len)
		memcpy(list + n * size, body->pos, len);
	if (list)
		wire_read_init(body, list + n * size, len);
	return list;
}

PUBLIC int ratman_service_list(struct ratman *r, bool *god_mode, const char ***out, size_t *n)
{
	struct wire_reader body;
	const char **list = NULL;
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, OP_SERVICE_STATUS, NULL, NULL, 0, PING_SERVICES, &reply, &ping);

	if (!err) {
		body = ping.body;
		*god_mode = field_get_bool(&body);
		*n = wire_get_be16(&body);
		list = list_new(&body, *n, sizeof(*list));
		err = list ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !err && i < *n; i++)
		err = service_next_name(&body, &list[i]);
	if (!err && !wire_done(&body))
		err = -EPROTO;
	reply_free(&reply);
	if (err) {
		free(list);
		return err == -EPROTO ? handle_fail(r, RATMAN_EPROTOCOL) : err;
	}
	*out = list;
	return 0;
}

static struct service_value to_value(const struct ratman_id *id, const struct ratman_service_key *key)
{
	struct service_value v = {
		.key = { key->service, key->ns ? key->ns : "", key->key },
	};

	memcpy(v.user.b, id->b, sizeof(v.user.b));
	return v;
}

PUBLIC int ratman_service_put(struct ratman *r, const struct ratman_id *id,
			      const struct ratman_id *token, const struct ratman_service_key *key,
			      const void *value, size_t len)
{
	struct service_value v = to_value(id, key);
	struct wire_writer w;
	uint8_t *payload;
	int err;

	if (len > LIMIT_CONTROL_PAYLOAD)
		return -E2BIG;
	payload = malloc(LIMIT_CONTROL_PAYLOAD);
	if (!payload)
		return -ENOMEM;
	v.data = value;
	v.len = len;
	wire_write_init(&w, payload, LIMIT_CONTROL_PAYLOAD);
	service_value_write(&w, &v, true);
	err = checked(&w);
	if (!err)
		err = handle_command(r, OP_SERVICE_ADD, token, payload, wire_len(&w));
	explicit_bzero(payload, LIMIT_CONTROL_PAYLOAD);
	free(payload);
	return err;
}

PUBLIC int ratman_service_del(struct ratman *r, const struct ratman_id *id,
			      const struct ratman_id *token, const struct ratman_service_key *key)
{
	struct service_value v = to_value(id, key);
	uint8_t payload[KEY_MAX];
	struct wire_writer w;
	int err;

	wire_write_init(&w, payload, sizeof(payload));
	service_value_write(&w, &v, false);
	err = checked(&w);
	return err ? err : handle_command(r, OP_SERVICE_DELETE, token, payload, wire_len(&w));
}

PUBLIC int ratman_service_get(struct ratman *r, const struct ratman_id *id,
			      const struct ratman_id *token, const struct ratman_service_key *key,
			      void **value, size_t *len)
{
	struct service_value v = to_value(id, key);
	const char *ns, *name;
	uint8_t payload[KEY_MAX];
	const uint8_t *data;
	struct wire_writer w;
	struct reply reply;
	struct ping ping;
	int err;

	wire_write_init(&w, payload, sizeof(payload));
	service_value_write(&w, &v, false);
	err = checked(&w);
	if (err)
		return err;
	err = handle_exchange(r, OP_SERVICE_QUERY, token, payload, wire_len(&w), PING_SERVICE_VALUE,
			      &reply, &ping);
	if (!err && service_body_value(ping.body, &ns, &name, &data, len))
		err = handle_fail(r, RATMAN_EPROTOCOL);
	if (!err) {
		*value = malloc(*len + 1);
		err = *value ? 0 : -ENOMEM;
	}
	if (!err && *len)
		memcpy(*value, data, *len);
	if (reply.payload)
		explicit_bzero(reply.payload, reply.header.payload_len);
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_service_keys(struct ratman *r, const struct ratman_id *id,
			       const struct ratman_id *token, const char *service, const char *ns,
			       struct ratman_service_key **out, size_t *n)
{
	struct service_list l = { .service = service, .ns = ns };
	struct ratman_service_key *list = NULL;
	uint8_t payload[KEY_MAX];
	struct wire_reader body;
	struct wire_writer w;
	struct reply reply;
	struct ping ping;
	int err;

	memcpy(l.user.b, id->b, sizeof(l.user.b));
	wire_write_init(&w, payload, sizeof(payload));
	service_list_write(&w, &l);
	err = checked(&w);
	if (err)
		return err;
	err = handle_exchange(r, OP_SERVICE_LIST, token, payload, wire_len(&w), PING_SERVICE_KEYS,
			      &reply, &ping);
	if (!err) {
		body = ping.body;
		*n = wire_get_be16(&body);
		list = list_new(&body, *n, sizeof(*list));
		err = list ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !err && i < *n; i++) {
		list[i].service = NULL;
		err = service_next_key(&body, &list[i].ns, &list[i].key);
	}
	if (!err && !wire_done(&body))
		err = -EPROTO;
	reply_free(&reply);
	if (err) {
		free(list);
		return err == -EPROTO ? handle_fail(r, RATMAN_EPROTOCOL) : err;
	}
	*out = list;
	return 0;
}
