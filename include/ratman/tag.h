/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tags, and terms that look for them, of contacts and of users. Of libratman: see ratman.h. */
#ifndef RATMAN_TAG_H
#define RATMAN_TAG_H

/* A key and a value, UTF-8. No contact has a key twice, none is empty. */
struct ratman_tag {
	const char *key;
	const char *value;
};

enum ratman_match {
	RATMAN_MATCH_EXACT,
	RATMAN_MATCH_SUBSTRING,
	RATMAN_MATCH_FUZZY,	/* a part, or every word like one there */
	RATMAN_MATCH_PREFIX,
};

/* Of a search for contacts or users. */
struct ratman_user_term {
	const char *attribute;	/* what is looked at; "" or NULL: any of it */
	const char *pattern;	/* UTF-8, at most 256 bytes; case does not count */
	enum ratman_match match;
};

#endif
