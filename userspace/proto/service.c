// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/service.h"

#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "proto/field.h"

bool service_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > LIMIT_SERVICE_NAME || name[0] == '.' || name[len - 1] == '.' ||
	    strstr(name, "..") || !field_is_utf8((const uint8_t *)name, len))
		return false;
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f ||
		    ((unsigned char)*p == 0xc2 && (unsigned char)p[1] < 0xa1))
			return false;	/* with C1 controls and the no-break space */
	return true;
}

bool service_name_is_reserved(const char *name)
{
	static const char *const prefixes[] = { "libqaul._int.", "ratman._int." };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* A text of any length; whether it is too long is asked later. */
static const char *get_text(struct wire_reader *r)
{
	return field_get_str(r, LIMIT_CONTROL_PAYLOAD).at;
}

static const char *get_opt_text(struct wire_reader *r)
{
	struct field_text t;

	return field_get_opt_str(r, LIMIT_CONTROL_PAYLOAD, &t) ? t.at : NULL;
}

int service_create_read(const uint8_t *data, size_t len, struct service_create *out)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	out->name = get_text(&r);
	out->text = get_opt_text(&r);
	if (!wire_done(&r))
		return -EPROTO;
	if (!service_name_is_valid(out->name))
		return -EINVAL;
	return out->text && strlen(out->text) > LIMIT_SERVICE_TEXT ? -ENAMETOOLONG : 0;
}

void service_create_write(struct wire_writer *w, const struct service_create *c)
{
	field_put_text(w, c->name);
	field_put_opt_str(w, c->text);
}

int service_destroy_read(const uint8_t *data, size_t len, const char **name)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	*name = get_text(&r);
	if (!wire_done(&r))
		return -EPROTO;
	return service_name_is_valid(*name) ? 0 : -EINVAL;
}

static int check_key(const struct service_key *key)
{
	if (!service_name_is_valid(key->service) || !key->key[0] || strchr(key->key, '#') ||
	    strchr(key->ns, '#'))
		return -EINVAL;
	return strlen(key->ns) > LIMIT_SERVICE_NS || strlen(key->key) > LIMIT_SERVICE_KEY ?
		       -ENAMETOOLONG : 0;
}

int service_value_read(const uint8_t *data, size_t len, bool has_value, struct service_value *out)
{
	struct wire_reader r;

	memset(out, 0, sizeof(*out));
	wire_read_init(&r, data, len);
	wire_get(&r, out->user.b, ADDRESS_LEN);
	out->key.service = get_text(&r);
	out->key.ns = get_text(&r);
	out->key.key = get_text(&r);
	if (has_value)
		out->data = field_get_blob(&r, LIMIT_CONTROL_PAYLOAD, &out->len);
	return wire_done(&r) ? check_key(&out->key) : -EPROTO;
}

void service_value_write(struct wire_writer *w, const struct service_value *v, bool has_value)
{
	wire_put(w, v->user.b, ADDRESS_LEN);
	field_put_text(w, v->key.service);
	field_put_text(w, v->key.ns);
	field_put_text(w, v->key.key);
	if (has_value)
		field_put_blob(w, v->data, v->len);
}

int service_list_read(const uint8_t *data, size_t len, struct service_list *out)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	wire_get(&r, out->user.b, ADDRESS_LEN);
	out->service = get_text(&r);
	out->ns = get_opt_text(&r);
	if (!wire_done(&r))
		return -EPROTO;
	if (!service_name_is_valid(out->service) || (out->ns && strchr(out->ns, '#')))
		return -EINVAL;
	return out->ns && strlen(out->ns) > LIMIT_SERVICE_NS ? -ENAMETOOLONG : 0;
}

void service_list_write(struct wire_writer *w, const struct service_list *l)
{
	wire_put(w, l->user.b, ADDRESS_LEN);
	field_put_text(w, l->service);
	field_put_opt_str(w, l->ns);
}

int service_event_read(const uint8_t *data, size_t len, enum service_event_kind *kind,
		       struct address *user)
{
	if (len != SERVICE_EVENT_LEN || (data[0] != SERVICE_OPEN && data[0] != SERVICE_CLOSE))
		return -EPROTO;
	*kind = (enum service_event_kind)data[0];
	memcpy(user->b, data + 1, ADDRESS_LEN);
	return 0;
}

void service_event_write(struct wire_writer *w, enum service_event_kind kind,
			 const struct address *user)
{
	wire_put_u8(w, (uint8_t)kind);
	wire_put(w, user->b, ADDRESS_LEN);
}

int service_body_value(struct wire_reader body, const char **ns, const char **key,
		       const uint8_t **data, size_t *len)
{
	*ns = get_text(&body);
	*key = get_text(&body);
	*data = field_get_blob(&body, LIMIT_CONTROL_PAYLOAD, len);
	return wire_done(&body) ? 0 : -EPROTO;
}

int service_next_key(struct wire_reader *at, const char **ns, const char **key)
{
	*ns = get_text(at);
	*key = get_text(at);
	return at->failed ? -EPROTO : 0;
}

int service_next_name(struct wire_reader *at, const char **name)
{
	*name = get_text(at);
	return at->failed ? -EPROTO : 0;
}
