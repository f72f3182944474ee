/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ratctl: the command table and what its commands share.
 */
#ifndef RATCTL_H
#define RATCTL_H

#include <ratman/ratman.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "ratmand/kern/kern.h"
#include "tools/identity.h"
#include "tools/print.h"
#include "tools/report.h"

/* Exit statuses: those of tools/report.h. */
enum {
	CTL_OK = EXIT_OK,
	CTL_USER = EXIT_USER,			/* usage, bad input */
	CTL_REFUSED = EXIT_REFUSED,		/* daemon or kernel said no */
	CTL_UNREACHABLE = EXIT_UNREACHABLE,	/* daemon not running, module not loaded */
};

struct ctl {
	/* Options; strings borrowed from argv. */
	const char *bind;
	const char *identity_path;	/* NULL: by profile */
	const char *profile;
	const char *device;		/* NULL: the only one */
	const char *name;
	const char *keys;		/* file with the rx and the tx key, "-" is stdin */
	const char *mac;
	const char *index, *peer_index;
	bool initiator;
	bool force;
	bool show_secrets;
	bool stamps;
	bool quiet;
	struct print_style style;

	/* Opened when first needed. */
	struct ratman *api;
	struct kern *kern;
	struct kern_dev dev;
};

/* Reports to the user; returns @status, so that commands end with return ctl_fail(…). */
int ctl_fail(const struct ctl *ctl, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Each returns CTL_OK or reports why not and returns another status. */
int ctl_need_api(struct ctl *ctl);
int ctl_need_kern(struct ctl *ctl);
int ctl_need_dev(struct ctl *ctl);
int ctl_need_identity(struct ctl *ctl, struct identity *id);

/* Reports a failed library or kernel call; returns the status for it. */
int ctl_api_failed(struct ctl *ctl, const char *what, int err);
int ctl_kern_failed(struct ctl *ctl, const char *what, int err);

/* Parses what a user typed: an unsigned number, an interface, hex bytes, an address. */
int ctl_number(struct ctl *ctl, const char *what, const char *text, uint32_t max, uint32_t *out);
int ctl_interface(struct ctl *ctl, const char *text, uint32_t *out);
int ctl_hex(struct ctl *ctl, const char *what, const char *text, uint8_t *out, size_t len);
/* Full form, unique prefix, or IPv6 address of one the daemon or the kernel knows. */
int ctl_address(struct ctl *ctl, const char *text, struct address *out);

/* cmd_addr.c, cmd_status.c, cmd_kern.c, cmd_set.c, cmd_db.c, cmd_monitor.c */
int cmd_status(struct ctl *ctl, int argc, char **argv);
int cmd_addr_create(struct ctl *ctl, int argc, char **argv);
int cmd_addr_up(struct ctl *ctl, int argc, char **argv);
int cmd_addr_down(struct ctl *ctl, int argc, char **argv);
int cmd_addr_destroy(struct ctl *ctl, int argc, char **argv);
int cmd_addr_list(struct ctl *ctl, int argc, char **argv);
int cmd_peers_list(struct ctl *ctl, int argc, char **argv);
int cmd_link_list(struct ctl *ctl, int argc, char **argv);
int cmd_link_add(struct ctl *ctl, int argc, char **argv);
int cmd_link_del(struct ctl *ctl, int argc, char **argv);
int cmd_neigh_list(struct ctl *ctl, int argc, char **argv);
int cmd_neigh_set(struct ctl *ctl, int argc, char **argv);
int cmd_neigh_del(struct ctl *ctl, int argc, char **argv);
int cmd_route_list(struct ctl *ctl, int argc, char **argv);
int cmd_route_set(struct ctl *ctl, int argc, char **argv);
int cmd_route_del(struct ctl *ctl, int argc, char **argv);
int cmd_session_list(struct ctl *ctl, int argc, char **argv);
int cmd_session_set(struct ctl *ctl, int argc, char **argv);
int cmd_session_del(struct ctl *ctl, int argc, char **argv);
int cmd_counters_list(struct ctl *ctl, int argc, char **argv);
int cmd_db_verify(struct ctl *ctl, int argc, char **argv);
int cmd_db_stat(struct ctl *ctl, int argc, char **argv);
int cmd_db_backup(struct ctl *ctl, int argc, char **argv);
int cmd_db_compact(struct ctl *ctl, int argc, char **argv);
int cmd_monitor(struct ctl *ctl, int argc, char **argv);
int cmd_idpath(struct ctl *ctl, int argc, char **argv);

#endif
