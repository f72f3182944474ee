// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/keyhash.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

unsigned int keyhash(const void *data, size_t len)
{
	static unsigned char key[crypto_shorthash_KEYBYTES];
	static bool ready;
	unsigned char out[crypto_shorthash_BYTES];
	unsigned int v;

	if (!ready) {
		crypto_shorthash_keygen(key);
		ready = true;
	}
	crypto_shorthash(out, data, len, key);
	memcpy(&v, out, sizeof(v));
	return v;
}
