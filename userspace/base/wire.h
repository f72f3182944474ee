/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bounds-checked cursors over byte buffers, network byte order.
 *
 * Both cursors keep a sticky error: after the first access out of bounds every
 * further read gives zeroes and every further write is ignored, so that a
 * parser reads a whole message straight through and asks once at the end.
 */
#ifndef RATMAN_BASE_WIRE_H
#define RATMAN_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_reader {
	const uint8_t *pos;	/* borrowed; next byte to read */
	const uint8_t *end;
	bool failed;
};

struct wire_writer {
	uint8_t *start;		/* borrowed */
	uint8_t *pos;
	uint8_t *end;
	bool failed;
};

/* Starts reading @len bytes at @data (borrowed; may be NULL when @len is 0). */
void wire_read_init(struct wire_reader *r, const void *data, size_t len);

/* Bytes not read yet; 0 after an error. */
size_t wire_left(const struct wire_reader *r);

/* True when nothing failed and every byte was consumed. */
bool wire_done(const struct wire_reader *r);

uint8_t wire_get_u8(struct wire_reader *r);
uint16_t wire_get_be16(struct wire_reader *r);
uint32_t wire_get_be32(struct wire_reader *r);
uint64_t wire_get_be64(struct wire_reader *r);

/* Copies @len bytes to @out; zero-fills @out when they are not there. */
void wire_get(struct wire_reader *r, void *out, size_t len);

/* Returns the next @len bytes inside the buffer (borrowed), or NULL. */
const uint8_t *wire_get_ref(struct wire_reader *r, size_t len);

/* Starts writing into @buf (borrowed), at most @size bytes. */
void wire_write_init(struct wire_writer *w, void *buf, size_t size);

/* Bytes written so far. */
size_t wire_len(const struct wire_writer *w);

void wire_put_u8(struct wire_writer *w, uint8_t v);
void wire_put_be16(struct wire_writer *w, uint16_t v);
void wire_put_be32(struct wire_writer *w, uint32_t v);
void wire_put_be64(struct wire_writer *w, uint64_t v);
void wire_put(struct wire_writer *w, const void *data, size_t len);

/* Reserves @len bytes to be filled by the caller (borrowed), or NULL. */
uint8_t *wire_put_ref(struct wire_writer *w, size_t len);

#endif
