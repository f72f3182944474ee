// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Users and their client sessions (service-api.md section 7.3, namespace 09). Profiles
 * are in profile.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "libratman/handle.h"
#include "proto/field.h"

/* What may go into a request beside an id. */
static bool fits(const char *text)
{
	return text[0] && strlen(text) <= RATMAN_PASSWORD_MAX;
}

/* Create and login: the id comes as the payload, the token in the header. */
static int enter(struct ratman *r, enum op_id op, const struct wire_writer *w, struct ratman_id *id,
		 struct ratman_id *token)
{
	struct wire_reader body;
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, op, NULL, w->start, wire_len(w), PING_USER, &reply, &ping);

	if (!err) {
		body = ping.body;
		wire_get(&body, id->b, sizeof(id->b));
		if (!wire_done(&body) || !reply.header.has_token)
			err = handle_fail(r, RATMAN_EPROTOCOL);
		else
			memcpy(token->b, reply.header.token.b, sizeof(token->b));
	}
	explicit_bzero(&reply.header, sizeof(reply.header));
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_user_create(struct ratman *r, const char *password, const char *handle,
			      struct ratman_id *id, struct ratman_id *token)
{
	uint8_t payload[RATMAN_PASSWORD_MAX + 1 + 1 + LIMIT_HANDLE + 1];
	struct wire_writer w;
	int err;

	if (!fits(password))
		return -EINVAL;
	if (handle && strlen(handle) > LIMIT_HANDLE)
		return -E2BIG;
	wire_write_init(&w, payload, sizeof(payload));
	field_put_text(&w, password);
	field_put_opt_str(&w, handle);
	err = enter(r, OP_USER_CREATE, &w, id, token);
	explicit_bzero(payload, sizeof(payload));
	return err;
}

PUBLIC int ratman_user_login(struct ratman *r, const struct ratman_id *id, const char *password,
			     struct ratman_id *token)
{
	uint8_t payload[RATMAN_ID_LEN + RATMAN_PASSWORD_MAX + 1];
	struct ratman_id same;
	struct wire_writer w;
	int err;

	if (!fits(password))
		return -EINVAL;
	wire_write_init(&w, payload, sizeof(payload));
	wire_put(&w, id->b, sizeof(id->b));
	field_put_text(&w, password);
	err = enter(r, OP_USER_UP, &w, &same, token);
	explicit_bzero(payload, sizeof(payload));
	if (!err && memcmp(same.b, id->b, sizeof(id->b)))
		return handle_fail(r, RATMAN_EPROTOCOL);
	return err;
}

PUBLIC int ratman_user_logout(struct ratman *r, const struct ratman_id *id,
			      const struct ratman_id *token)
{
	return handle_command(r, OP_USER_DOWN, token, id->b, sizeof(id->b));
}

PUBLIC int ratman_user_status(struct ratman *r, const struct ratman_id *id,
			      const struct ratman_id *token)
{
	return handle_command(r, OP_USER_STATUS, token, id->b, sizeof(id->b));
}

PUBLIC int ratman_user_destroy(struct ratman *r, const struct ratman_id *id,
			       const struct ratman_id *token, bool purge)
{
	uint8_t payload[RATMAN_ID_LEN + 1];

	memcpy(payload, id->b, sizeof(id->b));
	payload[RATMAN_ID_LEN] = purge;
	return handle_command(r, OP_USER_DESTROY, token, payload, sizeof(payload));
}

PUBLIC int ratman_user_set_password(struct ratman *r, const struct ratman_id *id,
				    const struct ratman_id *token, const char *password)
{
	uint8_t payload[RATMAN_ID_LEN + 1 + RATMAN_PASSWORD_MAX + 1];
	struct wire_writer w;
	int err;

	if (!fits(password))
		return -EINVAL;
	wire_write_init(&w, payload, sizeof(payload));
	wire_put(&w, id->b, sizeof(id->b));
	wire_put_u8(&w, 1);
	field_put_text(&w, password);
	err = handle_command(r, OP_USER_MODIFY, token, payload, wire_len(&w));
	explicit_bzero(payload, sizeof(payload));
	return err;
}
