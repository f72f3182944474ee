/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identity files: an address and the token that owns it, as the existing tools
 * keep them (existing-tools.md section 4.5). Two forms, told apart when read:
 * the lines "addr=…" and "auth=…", or a JSON object with those members. After a login
 * there is a third, which those tools do not look at: "session=yes".
 */
#ifndef RATMAN_TOOLS_IDENTITY_H
#define RATMAN_TOOLS_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

#define IDENTITY_PROFILE_DEFAULT "id"
/* Room for either form. */
#define IDENTITY_TEXT_LEN 256

struct identity {
	struct address address;
	struct ident token;	/* secret: wipe with identity_wipe() */
	bool session;		/* the token is that of a session: it ends, and a password gets another */
};

/*
 * Writes $XDG_CONFIG_HOME/ratcat/@profile, or $HOME/.config/ratcat/@profile
 * without that variable. -ENOENT when neither variable is set, -EINVAL for a
 * profile name with a '/' or none, -ENAMETOOLONG.
 */
int identity_default_path(const char *profile, char *out, size_t size);

/*
 * Reads @path in either form; refuses what is not a regular file. Returns 0,
 * -ENOENT when there is no such file, or another negative errno; @why gets one
 * line for people that says what to do. On success @why is "", or warns that
 * others can open the file, and says what to do about that.
 */
int identity_load(const char *path, struct identity *out, char *why, size_t why_size);

/*
 * Writes @path with mode 0600 (see tools/output.h), making missing directories 0700.
 * Without @replace an existing file gives -EEXIST; what is no regular file is never
 * written: -EINVAL.
 */
int identity_save(const char *path, const struct identity *id, bool json, bool replace, char *why,
		  size_t why_size);

/* The text of the file, with a final newline. Holds the token: wipe it. */
const char *identity_format(const struct identity *id, bool json,
			    char out[static IDENTITY_TEXT_LEN]);

void identity_wipe(struct identity *id);

/*
 * Namespace key files: the same two forms, with "pubkey" and "privkey". The
 * private key is the 32-byte ed25519 seed.
 */
struct space_key {
	struct address space;
	uint8_t key[32];	/* secret: wipe with space_key_wipe() */
};

/* As identity_load() and identity_save(). That the two belong together is the daemon's to check. */
int space_key_load(const char *path, struct space_key *out, char *why, size_t why_size);
int space_key_save(const char *path, const struct space_key *key, bool json, bool replace,
		   char *why, size_t why_size);

void space_key_wipe(struct space_key *key);

#endif
