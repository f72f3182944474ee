// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/tables.h"

/*
 * Padding hides lengths that would tell something: a name's, a manifest's (how
 * many tags it has). What always has one size, or the size of ERIS blocks,
 * needs none.
 */
const struct table_info store_tables[STORE_TABLES] = {
	[STORE_META] = { .name = "meta", .id = 1, .secret = true, .pad = 64 },
	[STORE_ADDRESSES] = { .name = "addresses", .id = 2, .secret = true, .pad = 512 },
	[STORE_STAMPS] = { .name = "stamps", .id = 3, .pad = 1 },
	[STORE_SEEN] = { .name = "seen", .id = 4, .pad = 1 },
	[STORE_BLOCKS] = { .name = "blocks", .id = 5, .prefix = 16, .pad = 1 },
	[STORE_OUTBOX] = { .name = "outbox", .id = 6, .pad = 256 },
	[STORE_INBOX] = { .name = "inbox", .id = 7, .pad = 256 },
	[STORE_DONE] = { .name = "done", .id = 8, .pad = 1 },
	[STORE_CONTACTS] = { .name = "contacts", .id = 11, .prefix = 16, .pad = 64 },
	[STORE_SUBSCRIPTIONS] = { .name = "subscriptions", .id = 12, .pad = 64 },
	[STORE_DUE] = { .name = "due", .id = 13, .prefix = 64, .ordered = true, .pad = 64 },
	[STORE_SPACES] = { .name = "spaces", .id = 14, .secret = true, .pad = 64 },
	[STORE_RECORDS] = { .name = "records", .id = 9, .prefix = ADDRESS_LEN + 1, .pad = 1 },
	[STORE_FILES] = { .name = "files", .id = 21, .prefix = 1, .secret = true, .pad = 256 },
	[STORE_CONTENTS] = { .name = "contents", .id = 20, .pad = 1 },
	/* Lists of messages are many and short: what has to hide its size is filled up inside. */
	[STORE_BODIES] = { .name = "messages", .id = 17, .prefix = 1, .ordered = true, .grows = true,
			   .pad = 64 },
	[STORE_OVERLAY] = { .name = "overlay", .id = 18, .prefix = 16, .ordered = true, .bare = true,
			    .pad = 1 },
	[STORE_FLOODS] = { .name = "floods", .id = 19, .prefix = 1, .ordered = true, .pad = 64 },
	[STORE_PEERS] = { .name = "peers", .id = 10, .cache = true, .pad = 1 },
	[STORE_PROFILES] = { .name = "profiles", .id = 15, .cache = true, .prefix = 1, .pad = 256 },
	[STORE_USERS] = { .name = "users", .id = 16, .prefix = 1, .pad = 256 },
	[STORE_PROFILE_VALUES] = { .name = "profile-values", .id = 23, .cache = true, .prefix = 16,
				   .pad = 1 },
	[STORE_BYGONE] = { .name = "bygone", .id = 24, .cache = true, .pad = 1 },
};
