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
	{ 'n', 0, "name", "TEXT", TEXT(name), "a private label; of a file its name" },
	{ 'f', 'f', "force", NULL, FLAG(force), "no question; replace what is there" },
	{ 'S', 0, "show-secrets", NULL, FLAG(show_secrets), "print a token even on a terminal" },
	{ 'k', 0, "keys", "FILE", TEXT(keys), "two lines of hex: receive key, send key; - is stdin" },
	{ 'm', 0, "mac", "MAC", TEXT(mac), "link address of the neighbour" },
	{ 'x', 0, "index", "N", TEXT(index), "our index" },
	{ 'y', 0, "peer-index", "N", TEXT(peer_index), "the other side's index" },
	{ 'I', 0, "initiator", NULL, FLAG(initiator), "we began the handshake" },
	{ 'L', 0, "limits", NULL, FLAG(limits), "what clients may do, and how often it was too little" },
	{ 't', 't', "timestamps", NULL, FLAG(stamps), "the time of each line" },
	{ 'a', 'a', "addr", "ADDRESS", TEXT(addr), "streams to this address, the identity's own" },
	{ 's', 's', "space", "ADDRESS", TEXT(space), "streams to this namespace" },
	{ 'v', 0, "interval", "SECONDS", TEXT(interval), "from one look to the next, default 1" },
	{ 'F', 'f', "file", "FILE", TEXT(file), "a namespace's key, a message's text; - is stdin" },
	{ 'W', 't', "timeout", "MS", TEXT(ask_ms), "how long to wait: for answers 1000, for a file for ever" },
	{ 'c', 'c', "count", "N", TEXT(count), "how many looks, 0: for ever" },
	{ 'N', 0, "note", "TEXT", TEXT(note), "free text; in queries a part of it" },
	{ 'K', 0, "nick", "NAME", TEXT(nick), "what we call the contact" },
	{ 'O', 0, "location", "TEXT", TEXT(location), "where the contact is" },
	{ 'M', 0, "met", NULL, FLAG(met), "we met in person" },
	{ '!', 0, "not-met", NULL, FLAG(not_met), "only whom we never met" },
	{ 'T', 0, "trust", "1..7", TEXT(trust), "how far we trust; in queries at least so" },
	{ 'U', 0, "trust-below", "1..7", TEXT(trust_below), "only who is trusted less" },
	{ '%', 0, "trust-within", "0..6", TEXT(trust_within), "only who is so near to --trust, above or below" },
	{ 'g', 0, "tag", "KEY[=VALUE]", OTHER, "a note of our own; can be repeated" },
	{ 'u', 0, "untag", "KEY", OTHER, "takes a tag away; can be repeated" },
	{ 'A', 0, "all", NULL, FLAG(all), "all of them" },
	{ 'P', 0, "handle", "TEXT", TEXT(handle), "short name; '' takes it away" },
	{ 'Q', 0, "display-name", "TEXT", TEXT(display_name), "name in full; '' takes it away" },
	{ 'R', 0, "avatar", "FILE", TEXT(avatar), "picture of the profile, from or to a file; '' takes it away" },
	{ 'X', 0, "bio", "KEY=VALUE", OTHER, "an entry of the bio; can be repeated" },
	{ 'Y', 0, "unbio", "KEY", OTHER, "takes an entry away; can be repeated" },
	{ 'Z', 0, "service", "NAME", OTHER,
	  "of a message; of a profile +NAME or -NAME, repeated" },
	{ '1', 0, "exact", NULL, FLAG(exact), "the whole value" },
	{ '2', 0, "prefix", NULL, FLAG(prefix), "how the value begins" },
	{ '3', 0, "fuzzy", NULL, FLAG(fuzzy), "also what is spelt nearly so" },
	{ '4', 0, "remote", NULL, FLAG(remote), "users of other routers" },
	{ '5', 0, "skip", "N", TEXT(skip), "leave out the first N" },
	{ '6', 0, "take", "N", TEXT(take), "at most N" },
	{ '@', 0, "password-file", "FILE", TEXT(password_file), "the password is its first line; - is stdin" },
	{ '~', 0, "purge", NULL, FLAG(purge), "also streams that are stored for the address" },
	{ 'd', 0, "description", "TEXT", TEXT(description), "what the service does" },
	{ 'E', 0, "text", "TEXT", TEXT(text), "the message itself" },
	{ 'G', 0, "flood", NULL, FLAG(flood), "to everybody: public" },
	{ 'J', 0, "group", "ID", TEXT(group), "send under this id; we keep what was sent first" },
	{ 'z', 0, "from", "ADDRESS", TEXT(sender), "only of this sender" },
	{ 'l', 0, "unread", NULL, FLAG(unread), "only what was not read" },
	{ 'r', 0, "read", NULL, FLAG(seen), "mark it as read" },
	{ 'e', 0, "everybody", NULL, FLAG(all), "whoever there is in the mesh" },
	{ '7', 'o', "output", "FILE", TEXT(output), "where the content goes; - is standard output" },
	{ '8', 0, "mime", "TYPE", TEXT(mime), "media type, like text/plain" },
	{ '9', 0, "state", "STATE", TEXT(state), "only local, available, arriving or advertised ones" },
	{ '0', 0, "wait", NULL, FLAG(wait), "until it is here, or cannot be had" },
	{ 0 },
};

/* Keeps one of several words. Of contacts, whose limit is lower, the library knows what is too much. */
static int keep_word(const struct ctl *ctl, struct ctl_words *words, const struct option_row *row,
		     const char *value)
{
	_Static_assert(CTL_WORDS_MAX == LIMIT_BIO_PAIRS && CTL_WORDS_MAX == LIMIT_PROFILE_SERVICES &&
			       CTL_WORDS_MAX == LIMIT_MESSAGE_TAGS && CTL_WORDS_MAX >= LIMIT_CONTACT_TAGS,
		       "all that may be fits, and no more");
	if (words->n == CTL_WORDS_MAX)
		return ctl_fail(ctl, CTL_USER, "at most %d of --%s at once", CTL_WORDS_MAX, row->name);
	words->list[words->n++] = value;
	return CTL_OK;
}

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
	case 'g':
		return keep_word(ctl, &ctl->tags, row, value);
	case 'u':
		return keep_word(ctl, &ctl->untags, row, value);
	case 'X':
		return keep_word(ctl, &ctl->bio, row, value);
	case 'Y':
		return keep_word(ctl, &ctl->unbio, row, value);
	case 'Z':
		return keep_word(ctl, &ctl->services, row, value);
	}
	return CTL_OK;
}

const struct options_table ctl_options = {
	.program = "ratctl", .rows = rows, .common = "bipojwHCDqhVB", .apply = apply,
};
