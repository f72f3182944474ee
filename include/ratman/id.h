/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses, tokens, namespaces, and ids of messages, files and subscriptions: raw bytes.
 * The text form is 16 groups of 4 hex digits joined by '-'. Of libratman: see ratman.h.
 */
#ifndef RATMAN_ID_H
#define RATMAN_ID_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RATMAN_ID_LEN 32

struct ratman_id {
	uint8_t b[RATMAN_ID_LEN];
};

/* Text form to bytes and back; @text has room for 80 bytes. -EINVAL. */
int ratman_id_parse(const char *text, struct ratman_id *out);
void ratman_id_format(const struct ratman_id *id, char *text);

#ifdef __cplusplus
}
#endif

#endif
