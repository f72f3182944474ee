/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The node key: what unlocks the store when the daemon starts. It comes from
 * systemd's credentials, a file, or a passphrase.
 */
#ifndef RATMAND_STORE_NODEKEY_H
#define RATMAND_STORE_NODEKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODEKEY_LEN 32

/* Names below $CREDENTIALS_DIRECTORY, and of the file beside the store. */
#define NODEKEY_CREDENTIAL "ratmand.key"
#define NODEKEY_CREDENTIAL_PASSPHRASE "ratmand.passphrase"
#define NODEKEY_CREDENTIAL_NEW "ratmand.passphrase.new"	/* db rekey */
#define NODEKEY_FILE_NAME "node.key"

enum nodekey_source {
	NODEKEY_AUTO,		/* a credential if there is one, else the file */
	NODEKEY_CREDENTIAL_ONLY,
	NODEKEY_FILE,
	NODEKEY_PASSPHRASE,	/* the credential ratmand.passphrase, else asked for */
};

struct nodekey_options {
	enum nodekey_source source;
	const char *file;	/* NULL or empty: node.key in the state directory */
	const char *credential;	/* of the passphrase; NULL: ratmand.passphrase */
	/*
	 * Asks for a passphrase into @out; with @fresh for a new one, twice. 0 or
	 * -ENOKEY when nobody can be asked. May be NULL.
	 */
	int (*ask)(void *ctx, bool fresh, char *out, size_t size);
	void *ctx;
};

struct nodekey {
	uint8_t *key;		/* NODEKEY_LEN bytes of guarded memory, or NULL */
	char *passphrase;	/* guarded, or NULL; one of the two is set */
	char name[256];		/* where it came from, for messages */
};

/*
 * Loads the key. With @fresh (the store is new) a file that is not there is made
 * (0600, durable on return); otherwise its absence is an error. Files that
 * others may read are refused. -ENOKEY (none there), -EACCES (open to others),
 * -EINVAL (not a key), or the errno of a system call; @why gets a sentence.
 */
int nodekey_load(struct nodekey *out, const struct nodekey_options *options, const char *state_dir,
		 bool fresh, char *why, size_t size);

/* Wipes and frees. */
void nodekey_free(struct nodekey *key);

#endif
