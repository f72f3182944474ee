// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/passphrase.h"

#include <errno.h>

#include "base/prompt.h"

int ask_passphrase(void *ctx, bool fresh, char *out, size_t size)
{
	int err = prompt_secret(fresh ? "New passphrase of the store: " : "Passphrase of the store: ",
				fresh, out, size);

	(void)ctx;
	return err == -EINVAL || err == -ENXIO ? -ENOKEY : err;
}
