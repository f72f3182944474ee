// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The options of ratctl. Commands name those they take by id, see ratctl.c.
 */
#include <string.h>

#include "ratctl/ratctl.h"
#include "tools/options.h"
#include "tools/term.h"

#define FLAG(member) OPTION_FLAG, offsetof(struct ctl, member)
#define TEXT(member) OPTION_TEXT, offsetof(struct ctl, member)
#define OTHER OPTION_OTHER, 0

static const struct option_row rows[] = {
	{ 'b', 'b', "bind", "IP:PORT", TEXT(bind), "the daemon, default " RATMAN_DEFAULT_BIND },
	{ 'i', 'i', "cid", "FILE", TEXT(identity_path), "identity file; default by profile" },
	{ 'p', 'p', "prof", "PROFILE", TEXT(profile),
	  "profile, default " IDENTITY_PROFILE_DEFAULT "; see ratctl idpath" },
	{ 'o', 'o', "out", "lines|json", OTHER, "exactly the forms of the existing tools" },
	{ 'j', 0, "json", NULL, FLAG(style.json), "output for programs, see ratctl-json.md" },
	{ 'w', 0, "wide", NULL, FLAG(style.wide), "all columns" },
	{ 'H', 0, "no-header", NULL, FLAG(style.no_header), "tables without their first line" },
	{ 'C', 0, "color", "auto|always|never", OTHER, "colours; auto: on a terminal only" },
	{ 'D', 0, "device", "DEVICE", TEXT(device), "mesh device, where there are several" },
	{ 'q', 'q', "quiet", NULL, FLAG(quiet), "no hints on standard error" },
	{ 'h', 'h', "help", NULL, FLAG(help), "this text, or that of a noun or a command" },
	{ 'V', 'V', "version", NULL, FLAG(version), "the version" },
	{ 'B', 0, "completion", "bash", TEXT(completion), "prints what makes the shell complete" },
	{ 'n', 0, "name", "TEXT", TEXT(name), "a private label" },
	{ 'f', 'f', "force", NULL, FLAG(force), "no question; replace what is there" },
	{ 'S', 0, "show-secrets", NULL, FLAG(show_secrets), "print a token even on a terminal" },
	{ 'k', 0, "keys", "FILE", TEXT(keys), "two lines of hex: receive key, send key; - is stdin" },
	{ 'm', 0, "mac", "MAC", TEXT(mac), "link address of the neighbour" },
	{ 'x', 0, "index", "N", TEXT(index), "our index" },
	{ 'y', 0, "peer-index", "N", TEXT(peer_index), "the other side's index" },
	{ 'I', 0, "initiator", NULL, FLAG(initiator), "we began the handshake" },
	{ 't', 't', "timestamps", NULL, FLAG(stamps), "the time of each line" },
	{ 'a', 'a', "addr", "ADDRESS", TEXT(addr), "streams to this address, the identity's own" },
	{ 's', 's', "space", "ADDRESS", TEXT(space), "streams to this namespace" },
	{ 'v', 0, "interval", "SECONDS", TEXT(interval), "from one look to the next, default 1" },
	{ 'F', 'f', "file", "FILE", TEXT(file), "key file of the namespace" },
	{ 'T', 't', "timeout", "MS", TEXT(ask_ms), "how long to wait for answers, default 1000" },
	{ 'c', 'c', "count", "N", TEXT(count), "how many looks, 0: for ever" },
	{ 0 },
};

static int apply(void *target, const struct option_row *row, const char *value)
{
	struct ctl *ctl = target;
	enum term_when when;

	switch (row->id) {
	case 'o':
		if (!print_style_set_form(&ctl->style, value))
			return ctl_fail(ctl, CTL_USER, "--out %s: must be lines or json", value);
		break;
	case 'C':
		if (!term_when_parse(value, &when))
			return ctl_fail(ctl, CTL_USER, "--color %s: must be auto, always or never",
					value);
		term_set_color(when);
		break;
	}
	return CTL_OK;
}

const struct options_table ctl_options = {
	.program = "ratctl", .rows = rows, .common = "bipojwHCDqhVB", .apply = apply,
};
