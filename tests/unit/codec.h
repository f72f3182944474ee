/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Codecs held against golden bytes, in both directions. Include <cmocka.h> before. */
#ifndef TESTS_UNIT_CODEC_H
#define TESTS_UNIT_CODEC_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

/* <A>, <B> and <S> of the protocol's examples. */
#define A "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10" \
	  "\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20"
#define B "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
#define S "\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xdb\xdc\xdd\xde\xdf\xe0" \
	  "\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xeb\xec\xed\xee\xef\xf0"

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

/* What @w wrote is @want. */
static inline void expect(const struct wire_writer *w, const uint8_t *want, size_t len)
{
	assert_false(w->failed);
	assert_int_equal(wire_len(w), len);
	assert_memory_equal(w->start, want, len);
}

/* Writing to "w" by @call gives exactly these bytes, and fails in any smaller buffer. */
#define ENCODES(call, literal)                                              \
	do {                                                                \
		static uint8_t out_[8192];                                  \
		struct wire_writer w_, *w = &w_;                            \
		wire_write_init(w, out_, sizeof(out_));                     \
		call;                                                       \
		expect(w, BYTES(literal));                                  \
		for (size_t k_ = 0; k_ < sizeof(literal) - 1; k_++) {       \
			uint8_t *tight_ = malloc(k_ + 1);                   \
			wire_write_init(w, tight_, k_);                     \
			call;                                               \
			assert_true(w->failed);                             \
			free(tight_);                                       \
		}                                                           \
	} while (0)

/*
 * Of all cuts of @literal, and of it with a byte more, only the whole is read by @call
 * from the "len" bytes at "data".
 */
#define ONLY_WHOLE(call, literal)                                            \
	do {                                                                 \
		for (size_t len = 0; len <= sizeof(literal); len++) {        \
			uint8_t *data = malloc(len + 1);                     \
			memcpy(data, literal, len);                          \
			if (len == sizeof(literal) - 1)                      \
				assert_int_equal(call, 0);                   \
			else                                                 \
				assert_int_equal(call, -EINVAL);             \
			free(data);                                          \
		}                                                            \
	} while (0)

#endif
