/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Services and what they keep for users (service-api.md section 7.3, namespace 0B).
 *
 * Readers take a whole payload, check names and keys against base/limits.h, and return 0 or
 * say what is wrong: -EPROTO malformed, -EINVAL a name that is none, -ENAMETOOLONG. How
 * large values may be the store knows. Texts and values are borrowed from the payload. Writers leave a sticky
 * error in the cursor.
 */
#ifndef RATMAN_PROTO_SERVICE_H
#define RATMAN_PROTO_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/wire.h"

/* Where a value is. */
struct service_key {
	const char *service;
	const char *ns;		/* may be empty */
	const char *key;
};

/*
 * True for a service's name, in the style of a reversed domain: labels joined by dots, none empty,
 * UTF-8 without blanks and control characters, at most LIMIT_SERVICE_NAME bytes.
 */
bool service_name_is_valid(const char *name);

/* True for names that belong to the routers themselves. */
bool service_name_is_reserved(const char *name);

/* Service/Create. @text is NULL when there is none. */
struct service_create {
	const char *name;
	const char *text;
};
int service_create_read(const uint8_t *data, size_t len, struct service_create *out);
void service_create_write(struct wire_writer *w, const struct service_create *c);

/* Service/Destroy. */
int service_destroy_read(const uint8_t *data, size_t len, const char **name);

/* Service/Add, and without a value Delete and Query. */
struct service_value {
	struct address user;
	struct service_key key;
	const uint8_t *data;
	size_t len;
};
int service_value_read(const uint8_t *data, size_t len, bool has_value,
		       struct service_value *out);
void service_value_write(struct wire_writer *w, const struct service_value *v, bool has_value);

/* Service/List; @ns is NULL for all. */
struct service_list {
	struct address user;
	const char *service;
	const char *ns;
};
int service_list_read(const uint8_t *data, size_t len, struct service_list *out);
void service_list_write(struct wire_writer *w, const struct service_list *l);

/* The frames of a registration: a session of a user was opened, or has ended. */
#define SERVICE_EVENT_LEN (1 + ADDRESS_LEN)
enum service_event_kind {
	SERVICE_OPEN = 1,
	SERVICE_CLOSE = 2,
};
int service_event_read(const uint8_t *data, size_t len, enum service_event_kind *kind,
		       struct address *user);
void service_event_write(struct wire_writer *w, enum service_event_kind kind,
			 const struct address *user);

/*
 * Bodies of pings. A value: namespace, key and value. Keys and names: a count, and one
 * after another by the _next functions, 0 or -EPROTO.
 */
int service_body_value(struct wire_reader body, const char **ns, const char **key,
		       const uint8_t **data, size_t *len);
int service_next_key(struct wire_reader *at, const char **ns, const char **key);
int service_next_name(struct wire_reader *at, const char **name);

#endif
