// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/pick.h"

#include <string.h>

#include "tools/resolve.h"

#define SHOWN "%.19s…"		/* four groups: more than chance makes equal */

bool pick_begin(struct pick *p, const char *text, struct ratman_id *out)
{
	*p = (struct pick){ .text = text };
	return !ratman_id_parse(text, out);
}

bool pick_take(struct pick *p, const struct ratman_id *id)
{
	if (!p->hits) {
		p->found = *id;
		p->hits = 1;
	} else if (memcmp(&p->found, id, sizeof(*id))) {
		p->other = *id;
		p->hits = 2;
	}
	return p->hits < 2;
}

bool pick_try(struct pick *p, const struct ratman_id *id)
{
	struct address a;

	memcpy(a.b, id->b, sizeof(a.b));
	return !resolve_fits(p->text, &a) || pick_take(p, id);
}

int pick_end(struct ctl *ctl, const struct pick *p, const char *none, const char *see,
	     struct ratman_id *out)
{
	char first[ADDRESS_TEXT_LEN], second[ADDRESS_TEXT_LEN];

	if (!p->hits)
		return ctl_fail(ctl, CTL_USER, "%s '%s'; see: %s", none, p->text, see);
	if (p->hits > 1) {
		ratman_id_format(&p->found, first);
		ratman_id_format(&p->other, second);
		return ctl_fail(ctl, CTL_USER, "'%s' could be " SHOWN " or " SHOWN ": write more of the id",
				p->text, first, second);
	}
	*out = p->found;
	return CTL_OK;
}
