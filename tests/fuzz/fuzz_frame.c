// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * frame.h: whatever the bytes are, a frame that passes the check has its whole
 * body inside the buffer, and the part under the tag inside the body.
 */
#include <ratman/frame.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops the fuzzer with a report when a promise of the header is broken. */
static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ratman_hop_hdr hdr;
	size_t avail, len, type;
	volatile uint8_t sum = 0;

	if (size < sizeof(hdr))
		return 0;
	memcpy(&hdr, data, sizeof(hdr));
	avail = size - sizeof(hdr);
	if (ratman_frame_check(&hdr, avail) != RATMAN_FRAME_OK)
		return 0;

	len = be16toh(hdr.len);
	type = hdr.ver_type & 0xf;
	require(len <= avail && hdr.ver_type >> 4 == RATMAN_VERSION);
	require(ratman_frame_tagged_len(&hdr) <= len);
	switch (type) {
	case RATMAN_HELLO:
		require(len >= sizeof(struct ratman_hello));
		break;
	case RATMAN_ECHO:
		require(len >= sizeof(struct ratman_echo));
		break;
	case RATMAN_DATA:
		require(len >= sizeof(struct ratman_data_hdr) + RATMAN_AEAD_TAG_LEN);
		break;
	case RATMAN_HANDSHAKE:
		require(len > sizeof(struct ratman_handshake_hdr));
		break;
	case RATMAN_LINK:
	case RATMAN_CONTROL:
		require(len >= 1 && len <= RATMAN_OPAQUE_MAX);
		break;
	default:
		abort();
	}
	/* Touch every byte it vouches for: the sanitizer watches. */
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[sizeof(hdr) + i]);
	return 0;
}
