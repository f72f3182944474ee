/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Microframe header (microframe.md sections 1.2 and 1.3).
 */
#ifndef RATMAN_PROTO_HEADER_H
#define RATMAN_PROTO_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/limits.h"

struct frame_header {
	uint16_t mode;		/* namespace << 8 | method */
	bool has_token;
	struct ident token;	/* secret; zero without has_token */
	uint32_t payload_len;	/* bytes that follow; not limited here */
};

/* Length field and the longer of the two forms we write. */
#define HEADER_WRITE_MAX 42

/*
 * Writes the length field and the 7 or 38 header bytes. A token of zeroes only
 * cannot be expressed and is written as none. Returns the bytes written.
 */
size_t header_write(uint8_t out[static HEADER_WRITE_MAX], const struct frame_header *h);

/* Collects length field and header from a byte stream, holding no more than LIMIT_HEADER. */
struct header_parser {
	uint8_t buf[4 + LIMIT_HEADER];
	size_t have;
	size_t max;		/* header bytes allowed, at most LIMIT_HEADER */
};

/* Ready for the first frame, with p->max at LIMIT_HEADER: the caller may lower it. */
void header_parser_init(struct header_parser *p);

/* True while no byte of the next frame has come. */
bool header_parser_empty(const struct header_parser *p);

/*
 * Takes what it needs of the @len bytes at @data and stores the count in @used.
 * Returns 1 when *@out is complete (and starts over), 0 when more is needed,
 * -EPROTO for a header no rule of section 1.3 accepts, -EMSGSIZE for one longer
 * than p->max. A length over 255 is refused at its first impossible byte, so
 * "GET " does not get to a second.
 */
int header_parser_feed(struct header_parser *p, const uint8_t *data, size_t len, size_t *used,
		       struct frame_header *out);

#endif
