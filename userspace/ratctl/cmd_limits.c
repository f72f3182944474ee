// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl status --limits: what the daemon allows its clients, how much of it is
 * used and how often it was met.
 */
#include <stdlib.h>

#include "ratctl/ratctl.h"

struct limit_row {
	const char *name, *unit;	/* borrowed from the list */
	uint64_t limit, used, hits;
};

int cmd_limits(struct ctl *ctl)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct limit_row, name, "name", "LIMIT", PRINT_TEXT, 0),
		PRINT_COLUMN(struct limit_row, limit, "limit", "ALLOWED", PRINT_U64, 0),
		PRINT_COLUMN(struct limit_row, unit, "unit", "UNIT", PRINT_TEXT, 0),
		PRINT_COLUMN(struct limit_row, used, "used", "NOW", PRINT_U64, 0),
		PRINT_COLUMN(struct limit_row, hits, "hits", "TIMES MET", PRINT_U64, 0),
	};
	struct ratman_limit *limits;
	struct limit_row *rows;
	size_t n;
	int err, status = ctl_need_api(ctl);

	if (status)
		return status;
	err = ratman_limits(ctl->api, &limits, &n);
	if (err)
		return ctl_api_failed(ctl, "asking for the limits", err);
	rows = calloc(n + 1, sizeof(*rows));
	for (size_t i = 0; rows && i < n; i++)
		rows[i] = (struct limit_row){ limits[i].name, limits[i].unit, limits[i].limit,
					      limits[i].used, limits[i].hits };
	if (rows)
		print_rows(stdout, &ctl->style, columns, sizeof(columns) / sizeof(columns[0]), rows,
			   n, sizeof(*rows));
	free(rows);
	ratman_free(limits);
	return rows ? CTL_OK : ctl_fail(ctl, CTL_REFUSED, "out of memory");
}
