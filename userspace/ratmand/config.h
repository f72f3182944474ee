/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ratmand.conf: parsed wholly and checked before the daemon does anything.
 */
#ifndef RATMAND_CONFIG_H
#define RATMAND_CONFIG_H

#include <linux/ratman.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/log.h"
#include "ratmand/api/limits.h"
#include "ratmand/store/nodekey.h"

struct config {
	char *state_dir;
	char *runtime_dir;
	char *device;
	char *api_bind;
	enum log_level verbosity;
	char **links;			/* interfaces to make links, n_links */
	size_t n_links;
	bool closed;			/* membership */
	struct address *members;
	size_t n_members;
	bool has_group_secret;
	uint8_t group_secret[32];
	enum ratman_policy inbound;
	struct address *contacts;
	size_t n_contacts;
	char *api_socket;		/* absolute path, or NULL for none */
	mode_t api_socket_mode;
	gid_t api_socket_gid;		/* (gid_t)-1: the daemon's own */
	struct api_limits limits;
	bool ephemeral;
	bool god_mode;			/* messages of all services may be asked for at once */
	enum nodekey_source node_key;
	uint64_t file_accept;		/* bytes: files that are sent unasked, taken up to */
	uint64_t file_accept_total;	/* … all of them together */
	char *key_file;			/* empty: node.key in the state directory */
	bool discard_unknown_services;	/* messages of services nobody has registered are dropped */
};

#define CONFIG_DEFAULT_PATH "/etc/ratmand/ratmand.conf"

/*
 * Reads @path, or with NULL the default file if there is one and the defaults
 * otherwise. On failure returns -EINVAL or the errno of reading, and @why
 * (borrowed, size bytes) says file, line and what to write instead.
 */
int config_load(struct config *out, const char *path, char *why, size_t size);

/*
 * Calls @each with every key and its default as it would be written in the
 * file, both borrowed for the call.
 */
void config_each_key(void (*each)(void *ctx, const char *key, const char *value), void *ctx);

/* Frees what config_load() allocated and wipes the group secret. */
void config_free(struct config *config);

#endif
