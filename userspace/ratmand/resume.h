/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The resume file: which addresses are up, and their tokens, in the runtime
 * directory. A daemon that was killed brings them up again by itself; the
 * directory is in memory (tmpfs), so after a reboot or in the hands of a thief
 * of the disk it is gone and the addresses wait for their owners' tokens. A second
 * file says which of them are members of which namespaces.
 */
#ifndef RATMAND_RESUME_H
#define RATMAND_RESUME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

struct resume_entry {
	struct address address;
	struct ident token;
};

struct resume_space {
	struct address space, member;
};

struct resume {
	char path[4096];
	struct resume_entry *entries;	/* sodium_malloc, LIMIT_LOCAL_ADDRESSES of them */
	size_t n;
	char spaces_path[4096];
	struct resume_space *spaces;	/* LIMIT_SPACE_MEMBERSHIPS of them */
	size_t n_spaces;
};

/*
 * Reads RUNTIME_DIR/up and RUNTIME_DIR/spaces, creating the directory (0700) when it is missing. A
 * file that is damaged, not ours or open to others is ignored with a warning.
 * 0, -ENOMEM, -ENAMETOOLONG or the errno of making the directory.
 */
int resume_open(struct resume *r, const char *runtime_dir);

/* Adds or removes an address and rewrites the file (temporary file, rename). */
int resume_add(struct resume *r, const struct address *address, const struct ident *token);
int resume_remove(struct resume *r, const struct address *address);

/* The same for memberships. */
int resume_space_add(struct resume *r, const struct address *space, const struct address *member);
int resume_space_remove(struct resume *r, const struct address *space,
			const struct address *member);
bool resume_space_has(const struct resume *r, const struct address *space,
		      const struct address *member);

/* Frees and wipes; the files stay. */
void resume_close(struct resume *r);

#endif
