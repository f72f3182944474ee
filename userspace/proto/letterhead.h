/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Letterhead: the metadata of one stream (microframe.md section 2).
 */
#ifndef RATMAN_PROTO_LETTERHEAD_H
#define RATMAN_PROTO_LETTERHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/wire.h"

enum recipient_kind {
	RECIPIENT_NONE = 0,
	RECIPIENT_ADDRESS = 1,
	RECIPIENT_NAMESPACE = 2,
};

struct recipient {
	enum recipient_kind kind;
	struct address address;
};

/* Auxiliary data as it stands on the wire: count be16, then key NUL value NUL for each. */
#define LETTERHEAD_AUX_MAX 4096

struct letterhead {
	struct address from;
	struct recipient to;
	uint64_t stream_size;	/* bytes */
	uint8_t aux[LETTERHEAD_AUX_MAX];	/* validated wire form, aux_len >= 2 */
	size_t aux_len;
};

/*
 * Reads a version 1 letterhead; on failure @r is failed. Strings in the
 * auxiliary data are terminated; more than LETTERHEAD_AUX_MAX bytes fail.
 */
void letterhead_read(struct wire_reader *r, struct letterhead *out);

/* Writes it; with @strip_aux the auxiliary list is written empty. */
void letterhead_write(struct wire_writer *w, const struct letterhead *head, bool strip_aux);

bool recipient_equal(const struct recipient *a, const struct recipient *b);
void recipient_read(struct wire_reader *r, struct recipient *out);
void recipient_write(struct wire_writer *w, const struct recipient *to);

#endif
