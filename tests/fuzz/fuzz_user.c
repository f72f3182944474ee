// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Profiles, changes of them, queries and announcements: whatever is read is written
 * again in its one form, applied, and searched without a difference between the quick
 * look and the thorough one.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/user.h"
#include "ratmand/service/announce.h"
#include "ratmand/service/search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t once[1 << 18], twice[1 << 18];

static size_t write_profile(uint8_t *buf, const struct profile *p)
{
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(once));
	profile_write(&w, p);
	if (w.failed || wire_len(&w) != profile_len(p) || wire_len(&w) > PROFILE_MAX)
		abort();
	return wire_len(&w);
}

/* Written and read again it is the same, byte by byte. */
static void same_again(const struct profile *p)
{
	struct wire_reader r;
	struct profile back;
	size_t len = write_profile(once, p);

	wire_read_init(&r, once, len);
	if (profile_read(&r, &back) || !wire_done(&r) || write_profile(twice, &back) != len ||
	    memcmp(once, twice, len))
		abort();
}

static void try_query(const struct user_query *q, const struct profile *p)
{
	struct fold_sum sum;
	struct search *s;

	if (search_new(&s, q))
		return;
	search_sum(p, &sum);
	if (search_matches(s, p) && !search_may_match(s, &p->id, &sum))
		abort();
	search_free(s);
}

static void update(const uint8_t *data, size_t size, struct profile *p)
{
	static struct user_update u;
	struct wire_writer w;
	struct wire_reader r;

	wire_read_init(&r, data, size);
	if (user_update_read(&r, &u))
		return;
	wire_write_init(&w, once, sizeof(once));
	user_update_write(&w, &u);
	if (w.failed || wire_len(&w) != size || size > USER_UPDATE_MAX)
		abort();
	if (!user_update_apply(&u, p))
		same_again(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct address nobody = { { 1 } };
	static struct profile p;
	struct user_query q;
	struct user_list l;
	struct wire_reader r;
	struct wire_writer w;
	uint64_t version;
	bool goodbye;

	profile_init(&p, &nobody);
	wire_read_init(&r, data, size);
	if (!profile_read(&r, &p)) {
		same_again(&p);
		/* What follows is held against it. */
		if (!user_query_read(r.pos, wire_left(&r), &q))
			try_query(&q, &p);
		update(r.pos, wire_left(&r), &p);
	} else {
		profile_init(&p, &nobody);
	}
	update(data, size, &p);
	if (!user_query_read(data, size, &q)) {
		wire_write_init(&w, once, sizeof(once));
		user_query_write(&w, &q);
		if (w.failed || wire_len(&w) != size || memcmp(once, data, size))
			abort();
		try_query(&q, &p);
	}
	if (!user_list_read(data, size, &l) && l.scope > USER_BOTH)
		abort();
	if (!announce_read(data, size, &version, &goodbye, &p)) {
		/* A date-time has more forms than the one it is written in. */
		size = announce_write(once, sizeof(once), version, goodbye ? NULL : &p);
		if (!size || size > ANNOUNCEMENT_MAX ||
		    announce_read(once, size, &version, &goodbye, &p))
			abort();
	}
	return 0;
}
