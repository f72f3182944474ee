// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 11, Service (service-api.md section 7.3): programs register as services and
 * are told over a socket of their own who logs in and out; and they keep small
 * values for users.
 *
 * A registration lasts as long as its socket. The token of a session that is told of goes
 * only to programs that may have it anyhow: the superuser's, and those of the Unix
 * user who logged in. Else any local program could gather everybody's tokens by registering.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/limits.h"
#include "proto/service.h"
#include "ratmand/api/watcher.h"

/* Something that a service was not told yet. */
struct event {
	struct event *prev, *next;
	bool open;
	struct token_session session;
};

struct registration {
	struct registration *prev, *next;	/* server->registrations */
	struct api_server *server;
	struct backend_service *service;	/* owned */
	char name[LIMIT_SERVICE_NAME + 1];
	struct origin origin;		/* whose program has registered it */
	uint64_t by;			/* client->serial of the connection it came over */
	struct watcher *watcher;
	struct event *events;		/* owned; oldest first */
	size_t n_events;
};

static bool need_services(struct client *c)
{
	if (c->server->ops->service)
		return true;
	client_reply_code(c, PING_E_NOT_SUPPORTED);
	return false;
}

/* Registrations ------------------------------------------------------------------- */

static void drop_event(struct registration *r, struct event *event)
{
	DL_DELETE(r->events, event);
	r->n_events--;
	sodium_memzero(event, sizeof(*event));
	free(event);
}

static void registration_end(void *ctx)
{
	struct registration *r = ctx;
	struct api_server *s = r->server;

	s->ops->service->remove(s->be, r->service);
	DL_DELETE(s->registrations, r);
	while (r->events)
		drop_event(r, r->events);
	free(r);
}

static bool may_have_token(struct client *c, uid_t of)
{
	uid_t uid = client_uid(c);

	return uid != TOKEN_NO_UID && (!uid || uid == of);
}

static bool write_event(void *ctx, struct client *c)
{
	struct registration *r = ctx;
	const struct event *event = r->events;
	uint8_t payload[SERVICE_EVENT_LEN];
	struct wire_writer w;

	if (!event)
		return false;
	wire_write_init(&w, payload, sizeof(payload));
	service_event_write(&w, event->open ? SERVICE_OPEN : SERVICE_CLOSE,
			    &event->session.address);
	c->header.has_token = may_have_token(c, event->session.uid);
	if (c->header.has_token)
		c->header.token = event->session.token;
	drop_event(r, r->events);
	client_frame(c, op_get(OP_SERVICE_STATUS)->mode, true, payload, sizeof(payload));
	sodium_memzero(&c->header.token, sizeof(c->header.token));
	c->header.has_token = false;
	return true;
}

static const struct watcher_ops watcher_ops = {
	.next = write_event,
	.end = registration_end,
};

void service_tell(struct api_server *s, bool open, const struct token_session *session)
{
	struct registration *r, *next;

	DL_FOREACH_SAFE(s->registrations, r, next) {
		struct event *event = r->n_events < LIMIT_SERVICE_EVENTS ? malloc(sizeof(*event)) : NULL;

		if (!event) {
			/* He has to know that he missed something. */
			watcher_stop(r->watcher);
			continue;
		}
		event->open = open;
		event->session = *session;
		DL_APPEND(r->events, event);
		r->n_events++;
		watcher_ready(r->watcher);
	}
}

static size_t count_of(const struct api_server *s, const struct origin *origin)
{
	const struct registration *r;
	size_t n = 0;

	DL_FOREACH(s->registrations, r)
		n += origin_equal(&r->origin, origin);
	return n;
}

static int registration_new(struct client *c, const struct service_create *create,
			    struct registration **out)
{
	struct api_server *s = c->server;
	struct origin origin = origin_of(c);
	struct registration *r;
	int err;

	if (count_of(s, &origin) >= LIMIT_SERVICES_PER_UID)
		return -EMFILE;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->server = s;
	r->origin = origin;
	r->by = c->serial;
	strcpy(r->name, create->name);
	err = s->ops->service->add(s->be, create->name, create->text, &r->service);
	if (err) {
		free(r);
		return err;
	}
	DL_APPEND(s->registrations, r);
	*out = r;
	return 0;
}

static void refuse(struct client *c, int err)
{
	switch (err) {
	case -EPROTO:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD, "the request is malformed");
		break;
	case -EINVAL:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "services are named like net.example.chat, up to 128 bytes; keys are not empty, and have no #");
		break;
	case -ENAMETOOLONG:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "too long: descriptions and keys have up to 256 bytes, namespaces 128");
		break;
	case -EEXIST:
		client_reply_service(c, SERVICE_E_SERVICE_EXISTS,
				     "a service of that name is registered");
		break;
	case -EMFILE:
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED, "too many services are registered");
		break;
	case -ENODATA:
		client_reply_service(c, SERVICE_E_NO_DATA, "there is no value of that key");
		break;
	case -E2BIG:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "the service has as many keys as it may keep for a user: 1024");
		break;
	case -EFBIG:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "the service keeps as much as it may for a user: 8 MiB");
		break;
	case -EUSERS:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "all services together keep as much as they may for a user");
		break;
	default:
		client_reply_service_errno(c, err);
	}
}

void service_create(struct client *c)
{
	struct service_create create;
	struct registration *r;
	int err;

	if (!need_services(c))
		return;
	err = service_create_read(c->payload, c->header.payload_len, &create);
	if (!err && service_name_is_reserved(create.name)) {
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "names that begin so are the routers' own");
		return;
	}
	if (!err)
		err = registration_new(c, &create, &r);
	if (err) {
		refuse(c, err);
		return;
	}
	r->watcher = watcher_open(c, NULL, &watcher_ops, r);
	if (!r->watcher)
		registration_end(r);
}

static void reply_no_service(struct client *c)
{
	client_reply_service(c, SERVICE_E_NO_SERVICE, "no service of that name is registered");
}

/*
 * The superuser's programs, those of the Unix user whose program has registered it, and the
 * connection it came over. Of two whose users are not known nobody can say that they are the
 * same, even on one host.
 */
static bool may_unregister(struct client *c, const struct registration *r)
{
	uid_t uid = client_uid(c);

	return c->serial == r->by || (uid != TOKEN_NO_UID && (!uid || uid == r->origin.uid));
}

void service_destroy(struct client *c)
{
	struct api_server *s = c->server;
	struct registration *r;
	const char *name;
	int err;

	if (!need_services(c))
		return;
	err = service_destroy_read(c->payload, c->header.payload_len, &name);
	if (err) {
		refuse(c, err);
		return;
	}
	DL_FOREACH(s->registrations, r)
		if (!strcmp(r->name, name))
			break;
	if (!r) {
		reply_no_service(c);
		return;
	}
	if (!may_unregister(c, r)) {
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "another user's program has registered it, or one on another host");
		return;
	}
	watcher_stop(r->watcher);
	client_reply_ok(c);
}

struct names {
	struct wire_writer w;
	uint16_t n;
};

static void put_name(void *ctx, const char *name)
{
	struct names *names = ctx;

	field_put_text(&names->w, name);
	names->n++;
}

void service_status(struct client *c)
{
	size_t size = 1 + 1 + 2 + LIMIT_SERVICES * (LIMIT_SERVICE_NAME + 1);
	struct api_server *s = c->server;
	struct names names = { .n = 0 };
	uint8_t *buf;

	if (!need_services(c))
		return;
	buf = malloc(size);
	if (!buf) {
		client_reply_internal(c, true, "out of memory");
		return;
	}
	wire_write_init(&names.w, buf, size);
	wire_put_u8(&names.w, PING_SERVICES);
	wire_put_u8(&names.w, s->ops->service->god_mode(s->be));
	wire_put_be16(&names.w, 0);
	s->ops->service->each(s->be, put_name, &names);
	buf[2] = (uint8_t)(names.n >> 8);
	buf[3] = (uint8_t)names.n;
	client_reply(c, true, buf, wire_len(&names.w));
	free(buf);
}

/* What services keep ----------------------------------------------------------------- */

static void on_changed(void *ctx, int err)
{
	client_done(ctx, err, refuse);
}

/* Reads the request into @v; false, and answered, when it is bad or of no service. */
static bool read_value(struct client *c, bool has_value, struct service_value *v)
{
	int err;

	if (!need_services(c))
		return false;
	err = service_value_read(c->payload, c->header.payload_len, has_value, v);
	if (err)
		refuse(c, err);
	else if (!c->server->ops->service->has(c->server->be, v->key.service))
		reply_no_service(c);
	else
		return true;
	return false;
}

void service_add(struct client *c)
{
	struct api_server *s = c->server;
	struct service_value v;

	if (!read_value(c, true, &v))
		return;
	client_ask(c);
	s->ops->service->put(s->be, &v.user, &v.key, v.data, v.len, on_changed, c);
}

void service_delete(struct client *c)
{
	struct api_server *s = c->server;
	struct service_value v;

	if (!read_value(c, false, &v))
		return;
	client_ask(c);
	s->ops->service->del(s->be, &v.user, &v.key, on_changed, c);
}

void service_query(struct client *c)
{
	struct api_server *s = c->server;
	uint8_t *value, *reply;
	struct service_value v;
	struct wire_writer w;
	ssize_t len;
	size_t size;

	if (!read_value(c, false, &v))
		return;
	size = 1 + strlen(v.key.ns) + 1 + strlen(v.key.key) + 1 + 4 + LIMIT_CONTROL_PAYLOAD;
	value = malloc(LIMIT_CONTROL_PAYLOAD);
	reply = malloc(size);
	len = value && reply ? s->ops->service->get(s->be, &v.user, &v.key, value,
						    LIMIT_CONTROL_PAYLOAD) : -ENOMEM;
	if (len < 0) {
		refuse(c, (int)len);
	} else {
		wire_write_init(&w, reply, size);
		wire_put_u8(&w, PING_SERVICE_VALUE);
		field_put_text(&w, v.key.ns);
		field_put_text(&w, v.key.key);
		field_put_blob(&w, value, (size_t)len);
		client_reply(c, true, reply, wire_len(&w));
		sodium_memzero(value, (size_t)len);
		sodium_memzero(reply, wire_len(&w));
	}
	free(value);
	free(reply);
}

static void put_key(void *ctx, const char *ns, const char *key)
{
	struct names *names = ctx;

	field_put_text(&names->w, ns);
	field_put_text(&names->w, key);
	names->n++;
}

void service_list(struct client *c)
{
	size_t size = 1 + 2 + LIMIT_SERVICE_KEYS * (LIMIT_SERVICE_NS + LIMIT_SERVICE_KEY + 2);
	struct api_server *s = c->server;
	struct names names = { .n = 0 };
	struct service_list l;
	uint8_t *buf;
	int err;

	if (!need_services(c))
		return;
	err = service_list_read(c->payload, c->header.payload_len, &l);
	if (err) {
		refuse(c, err);
		return;
	}
	if (!s->ops->service->has(s->be, l.service)) {
		reply_no_service(c);
		return;
	}
	buf = malloc(size);
	if (!buf) {
		client_reply_internal(c, true, "out of memory");
		return;
	}
	wire_write_init(&names.w, buf, size);
	wire_put_u8(&names.w, PING_SERVICE_KEYS);
	wire_put_be16(&names.w, 0);
	err = s->ops->service->keys(s->be, &l.user, l.service, l.ns, put_key, &names);
	buf[1] = (uint8_t)(names.n >> 8);
	buf[2] = (uint8_t)names.n;
	if (err)
		refuse(c, err);
	else
		client_reply(c, true, buf, wire_len(&names.w));
	free(buf);
}
