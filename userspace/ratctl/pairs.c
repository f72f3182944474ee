// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/pairs.h"

#include <stdlib.h>
#include <string.h>

char *pairs_split(char *text, char separator)
{
	char *at = strchr(text, separator);

	if (!at)
		return NULL;
	*at = '\0';
	return at + 1;
}

void pairs_free(struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++)
		free(pairs->list[i].key);
	pairs->n = 0;
}

int pairs_read(struct ctl *ctl, const char *option, const struct ctl_words *words, bool whole,
	       struct pairs *out)
{
	int status = CTL_OK;

	out->n = 0;
	for (size_t i = 0; i < words->n && !status; i++) {
		char *key = strdup(words->list[i]);
		const char *value;

		if (!key) {
			status = ctl_fail(ctl, CTL_REFUSED, "out of memory");
			break;
		}
		value = pairs_split(key, '=');
		out->list[out->n].key = key;
		out->list[out->n++].value = value;
		if (!*key || (whole && !value))
			status = ctl_fail(ctl, CTL_USER, "--%s '%s': must be %sKEY=VALUE", option,
					  words->list[i], whole ? "" : "KEY or ");
	}
	if (status)
		pairs_free(out);
	return status;
}
