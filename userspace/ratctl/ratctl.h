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
#include "base/limits.h"
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
	CTL_TIMEOUT = EXIT_TIMEOUT,
};

struct options_table;

/* options.c */
extern const struct options_table ctl_options;

/* What an option that can be repeated was given. */
#define CTL_WORDS_MAX 64

struct ctl_words {
	const char *list[CTL_WORDS_MAX];
	size_t n;
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
	const char *file;	/* namespace key file */
	const char *ask_ms;
	const char *interval, *count;
	const char *note, *nick, *location, *trust, *trust_below, *trust_within;
	struct ctl_words tags, untags;
	bool met, not_met, all;
	const char *addr, *space;
	bool quiet;
	/* Of users. */
	const char *handle, *display_name, *avatar;
	struct ctl_words bio, unbio, services;
	bool exact, prefix, fuzzy, remote;
	const char *skip, *take;
	/* Of messages. */
	const char *text, *group, *sender;
	bool flood, unread, seen;
	const char *password_file;	/* "-": stdin; NULL: the terminal */
	const char *description;
	bool purge;
	bool limits;
	bool help, version;
	const char *output, *mime, *state;	/* of files */
	bool wait;
	const char *completion;		/* shell to write one for */
	struct print_style style;

	bool session;			/* the identity's token is that of a session */

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
/* The identity's address and token (wipe it), and the daemon. */
int ctl_need_owner(struct ctl *ctl, struct ratman_id *address, struct ratman_id *token);

/* Reports a failed library or kernel call; returns the status for it. */
int ctl_api_failed(struct ctl *ctl, const char *what, int err);
int ctl_kern_failed(struct ctl *ctl, const char *what, int err);
/* The same of a call with the identity's token: says what to do when that does not count. */
int ctl_owner_failed(struct ctl *ctl, const char *what, int err);

/* Parses what a user typed: an unsigned number, an interface, hex bytes, an address. */
int ctl_number(struct ctl *ctl, const char *what, const char *text, uint32_t max, uint32_t *out);
int ctl_interface(struct ctl *ctl, const char *text, uint32_t *out);
int ctl_hex(struct ctl *ctl, const char *what, const char *text, uint8_t *out, size_t len);
/* Full form, unique prefix, or IPv6 address of one the daemon or the kernel knows. */
int ctl_address(struct ctl *ctl, const char *text, struct address *out);

/* As ctl_address(), as libratman has it. An exit code; reports what is wrong. */
int ctl_address_id(struct ctl *ctl, const char *text, struct ratman_id *out);

/*
 * Whom --addr or --space names; *given says whether one of them was there. Both at once is
 * reported.
 */
int ctl_recipient(struct ctl *ctl, struct ratman_recipient *out, bool *given);

/*
 * The same of a text that may be something else: CTL_OK, as resolve_address() with @why, or
 * (the known ones cannot be asked for) reports and returns the status.
 */
#define CTL_WHY_LEN 512
int ctl_find_address(struct ctl *ctl, const char *text, struct address *out,
		     char why[static CTL_WHY_LEN]);

/* How a pattern is held against a text: --exact, --prefix, --fuzzy, or else a part of it. */
int ctl_match(struct ctl *ctl, enum ratman_match *out);

/*
 * Whom the user means: an address in any form, or the handle of one user; with @local of one of
 * this router, whoever else in the mesh calls himself so. Needs the daemon.
 */
int ctl_find_user(struct ctl *ctl, const char *text, bool local, struct ratman_id *out);

/* Asks whether the identity's address shall be gone for ever, unless --force says so; CTL_OK: yes. */
int ctl_confirm_destroy(struct ctl *ctl);

/* Prints an address whose token went into the file @path. */
void ctl_print_saved(const struct ctl *ctl, const struct address *address, const char *path);

/* Prints what a call of the library returned (borrowed). */
int ctl_print_peers(struct ctl *ctl, const struct ratman_peer *peers, size_t n);

/* cmd_addr.c, cmd_contact.c, cmd_space.c, cmd_status.c, cmd_kern.c, cmd_set.c, cmd_db.c, cmd_monitor.c */
int cmd_status(struct ctl *ctl, int argc, char **argv);
int cmd_limits(struct ctl *ctl);	/* status --limits */
int cmd_addr_create(struct ctl *ctl, int argc, char **argv);
int cmd_addr_up(struct ctl *ctl, int argc, char **argv);
int cmd_addr_down(struct ctl *ctl, int argc, char **argv);
int cmd_addr_destroy(struct ctl *ctl, int argc, char **argv);
int cmd_addr_list(struct ctl *ctl, int argc, char **argv);
int cmd_space_register(struct ctl *ctl, int argc, char **argv);
int cmd_space_up(struct ctl *ctl, int argc, char **argv);
int cmd_space_down(struct ctl *ctl, int argc, char **argv);
int cmd_space_anycast(struct ctl *ctl, int argc, char **argv);
int cmd_peers_list(struct ctl *ctl, int argc, char **argv);
int cmd_peers_query(struct ctl *ctl, int argc, char **argv);
int cmd_peers_status(struct ctl *ctl, int argc, char **argv);
int cmd_contact_add(struct ctl *ctl, int argc, char **argv);
int cmd_contact_del(struct ctl *ctl, int argc, char **argv);
int cmd_contact_mod(struct ctl *ctl, int argc, char **argv);
int cmd_contact_list(struct ctl *ctl, int argc, char **argv);
int cmd_contact_query(struct ctl *ctl, int argc, char **argv);
int cmd_stream_sub(struct ctl *ctl, int argc, char **argv);
int cmd_stream_unsub(struct ctl *ctl, int argc, char **argv);
int cmd_stream_resub(struct ctl *ctl, int argc, char **argv);
int cmd_stream_list(struct ctl *ctl, int argc, char **argv);
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
int cmd_db_rekey(struct ctl *ctl, int argc, char **argv);
int cmd_top(struct ctl *ctl, int argc, char **argv);
int cmd_monitor(struct ctl *ctl, int argc, char **argv);
int cmd_file_add(struct ctl *ctl, int argc, char **argv);
int cmd_file_update(struct ctl *ctl, int argc, char **argv);
int cmd_file_list(struct ctl *ctl, int argc, char **argv);
int cmd_file_show(struct ctl *ctl, int argc, char **argv);
int cmd_file_get(struct ctl *ctl, int argc, char **argv);
int cmd_file_announce(struct ctl *ctl, int argc, char **argv);
int cmd_file_withdraw(struct ctl *ctl, int argc, char **argv);
int cmd_file_request(struct ctl *ctl, int argc, char **argv);
int cmd_file_send(struct ctl *ctl, int argc, char **argv);
int cmd_file_del(struct ctl *ctl, int argc, char **argv);
int cmd_file_watch(struct ctl *ctl, int argc, char **argv);
int cmd_user_create(struct ctl *ctl, int argc, char **argv);
int cmd_user_login(struct ctl *ctl, int argc, char **argv);
int cmd_user_logout(struct ctl *ctl, int argc, char **argv);
int cmd_user_status(struct ctl *ctl, int argc, char **argv);
int cmd_user_passwd(struct ctl *ctl, int argc, char **argv);
int cmd_user_destroy(struct ctl *ctl, int argc, char **argv);
int cmd_service_list(struct ctl *ctl, int argc, char **argv);
int cmd_service_register(struct ctl *ctl, int argc, char **argv);
int cmd_service_keys(struct ctl *ctl, int argc, char **argv);
int cmd_service_get(struct ctl *ctl, int argc, char **argv);
int cmd_service_set(struct ctl *ctl, int argc, char **argv);
int cmd_service_del(struct ctl *ctl, int argc, char **argv);
int cmd_user_list(struct ctl *ctl, int argc, char **argv);
int cmd_user_show(struct ctl *ctl, int argc, char **argv);
int cmd_user_search(struct ctl *ctl, int argc, char **argv);
int cmd_user_set(struct ctl *ctl, int argc, char **argv);
int cmd_user_watch(struct ctl *ctl, int argc, char **argv);
int cmd_msg_send(struct ctl *ctl, int argc, char **argv);
int cmd_msg_list(struct ctl *ctl, int argc, char **argv);
int cmd_msg_show(struct ctl *ctl, int argc, char **argv);
int cmd_msg_read(struct ctl *ctl, int argc, char **argv);
int cmd_msg_tag(struct ctl *ctl, int argc, char **argv);
int cmd_msg_del(struct ctl *ctl, int argc, char **argv);
int cmd_msg_watch(struct ctl *ctl, int argc, char **argv);
int cmd_msg_unwatch(struct ctl *ctl, int argc, char **argv);
int cmd_idpath(struct ctl *ctl, int argc, char **argv);

#endif
