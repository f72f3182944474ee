/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What message.c and message_sub.c share. Private to them.
 */
#ifndef RATMAND_API_MESSAGE_H
#define RATMAND_API_MESSAGE_H

#include "ratmand/api/client.h"

/* What the backend says went wrong. */
void message_refuse(struct client *c, int err);

/* What a reader of proto/message.h found wrong in @what, whose form is told. */
void message_refuse_payload(struct client *c, enum service_error_code code, int err,
			    const char *form);

/* False, and answered, when this backend has no messages. */
bool message_needed(struct client *c);

#endif
