// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <confuse.h>
#include <errno.h>
#include <net/if.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

#define MEMBERS_MAX 65536
#define CONTACTS_MAX 65536
#define LINKS_MAX 256

/* libconfuse reports through a callback without context; loading happens once, in one thread. */
static char *why_buf;
static size_t why_size;

static char no_entries[] = "{}";	/* libconfuse wants it writable */

static void keep_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	/* The first error is the cause; what follows are its consequences. */
	if (why_buf[0])
		return;
	if (cfg && cfg->filename && cfg->line)
		snprintf(why_buf, why_size, "%s:%d: %s", cfg->filename, cfg->line, text);
	else
		snprintf(why_buf, why_size, "%s", text);
}

static int one_of(cfg_t *cfg, cfg_opt_t *opt, const char *const *words)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	char list[128] = "";

	for (size_t i = 0; words[i]; i++) {
		if (!strcmp(value, words[i]))
			return 0;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s\"%s\"",
			 i ? ", " : "", words[i]);
	}
	cfg_error(cfg, "%s = \"%s\": must be one of %s", cfg_opt_name(opt), value, list);
	return -1;
}

static int check_verbosity(cfg_t *cfg, cfg_opt_t *opt)
{
	static const char *const words[] = { "trace", "debug", "info", "warn", "error", NULL };

	return one_of(cfg, opt, words);
}

static int check_membership(cfg_t *cfg, cfg_opt_t *opt)
{
	static const char *const words[] = { "open", "closed", NULL };

	return one_of(cfg, opt, words);
}

static int check_inbound(cfg_t *cfg, cfg_opt_t *opt)
{
	static const char *const words[] = { "open", "contacts", "none", NULL };

	return one_of(cfg, opt, words);
}

static int check_node_key(cfg_t *cfg, cfg_opt_t *opt)
{
	static const char *const words[] = { "auto", "credential", "file", "passphrase", NULL };

	return one_of(cfg, opt, words);
}

static int check_key_file(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (!value[0] || value[0] == '/')
		return 0;
	cfg_error(cfg, "%s = \"%s\": must be an absolute path", cfg_opt_name(opt), value);
	return -1;
}

static int check_address(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	struct address a;

	if (!address_parse(value, &a))
		return 0;
	cfg_error(cfg, "%s: \"%s\" is not an address (16 groups of 4 hex digits joined by -)",
		  cfg_opt_name(opt), value);
	return -1;
}

static int check_interface(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (value[0] && strlen(value) < IFNAMSIZ && !strpbrk(value, "/ \t"))
		return 0;
	cfg_error(cfg, "%s: \"%s\" is not an interface name (1 to %d characters, no / or blank)",
		  cfg_opt_name(opt), value, IFNAMSIZ - 1);
	return -1;
}

static int check_directory(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (value[0] == '/')
		return 0;
	cfg_error(cfg, "%s = \"%s\": must be an absolute path", cfg_opt_name(opt), value);
	return -1;
}

static int check_range(cfg_t *cfg, cfg_opt_t *opt, long min, long max)
{
	long value = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	if (value >= min && value <= max)
		return 0;
	cfg_error(cfg, "%s = %ld: must be from %ld to %ld", cfg_opt_name(opt), value, min, max);
	return -1;
}

static int check_max_clients(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 1, 65536);
}

static int check_idle(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 1, 86400);
}

static int check_group_secret(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (!value[0] || (strlen(value) == 64 && strspn(value, "0123456789abcdefABCDEF") == 64))
		return 0;
	cfg_error(cfg, "%s: must be 64 hex digits; make one with: openssl rand -hex 32",
		  cfg_opt_name(opt));
	return -1;
}

static int read_addresses(cfg_t *cfg, const char *key, size_t max, struct address **out, size_t *n)
{
	*n = cfg_size(cfg, key);
	if (*n > max) {
		snprintf(why_buf, why_size, "%s: %zu entries, at most %zu are allowed", key, *n, max);
		return -EINVAL;
	}
	*out = calloc(*n ? *n : 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (size_t i = 0; i < *n; i++)
		address_parse(cfg_getnstr(cfg, key, (unsigned int)i), &(*out)[i]);
	return 0;
}

static int read_links(cfg_t *cfg, struct config *out)
{
	out->n_links = cfg_size(cfg, "links");
	if (out->n_links > LINKS_MAX) {
		snprintf(why_buf, why_size, "links: %zu entries, at most %d are allowed",
			 out->n_links, LINKS_MAX);
		out->n_links = 0;
		return -EINVAL;
	}
	out->links = calloc(out->n_links ? out->n_links : 1, sizeof(*out->links));
	if (!out->links)
		return -ENOMEM;
	for (size_t i = 0; i < out->n_links; i++) {
		out->links[i] = strdup(cfg_getnstr(cfg, "links", (unsigned int)i));
		if (!out->links[i])
			return -ENOMEM;
	}
	return 0;
}

/* Takes the checked values out of libconfuse's tree. */
static int read_values(cfg_t *cfg, struct config *out)
{
	const char *inbound = cfg_getstr(cfg, "inbound");
	const char *secret = cfg_getstr(cfg, "group_secret");
	const char *node_key = cfg_getstr(cfg, "node_key");
	int err;

	out->state_dir = strdup(cfg_getstr(cfg, "state_dir"));
	out->runtime_dir = strdup(cfg_getstr(cfg, "runtime_dir"));
	out->device = strdup(cfg_getstr(cfg, "device"));
	out->api_bind = strdup(cfg_getstr(cfg, "api_bind"));
	out->key_file = strdup(cfg_getstr(cfg, "key_file"));
	if (!out->state_dir || !out->runtime_dir || !out->device || !out->api_bind ||
	    !out->key_file)
		return -ENOMEM;
	log_level_parse(cfg_getstr(cfg, "verbosity"), &out->verbosity);
	out->closed = !strcmp(cfg_getstr(cfg, "membership"), "closed");
	out->inbound = !strcmp(inbound, "open")       ? RATMAN_POLICY_OPEN :
		       !strcmp(inbound, "contacts")   ? RATMAN_POLICY_CONTACTS :
							RATMAN_POLICY_NONE;
	out->max_clients = (uint32_t)cfg_getint(cfg, "max_clients");
	out->idle_timeout_s = (uint32_t)cfg_getint(cfg, "idle_timeout");
	out->node_key = !strcmp(node_key, "credential") ? NODEKEY_CREDENTIAL_ONLY :
			!strcmp(node_key, "file")       ? NODEKEY_FILE :
			!strcmp(node_key, "passphrase") ? NODEKEY_PASSPHRASE :
							  NODEKEY_AUTO;
	out->ephemeral = cfg_getbool(cfg, "ephemeral");
	if (secret[0]) {
		out->has_group_secret = true;
		sodium_hex2bin(out->group_secret, sizeof(out->group_secret), secret, 64, NULL, NULL,
			       NULL);
	}
	err = read_links(cfg, out);
	if (!err)
		err = read_addresses(cfg, "members", MEMBERS_MAX, &out->members, &out->n_members);
	if (!err)
		err = read_addresses(cfg, "contacts", CONTACTS_MAX, &out->contacts,
				     &out->n_contacts);
	if (!err && out->closed && !out->n_members && !out->has_group_secret) {
		snprintf(why_buf, why_size,
			 "membership = \"closed\" needs members = { … } or group_secret");
		err = -EINVAL;
	}
	return err;
}

int config_load(struct config *out, const char *path, char *why, size_t size)
{
	cfg_opt_t options[] = {
		CFG_STR("state_dir", "/var/lib/ratmand", CFGF_NONE),
		CFG_STR("runtime_dir", "/run/ratman", CFGF_NONE),
		CFG_STR("device", "ratman0", CFGF_NONE),
		CFG_STR("api_bind", "127.0.0.1:5852", CFGF_NONE),
		CFG_STR("verbosity", "info", CFGF_NONE),
		CFG_STR_LIST("links", no_entries, CFGF_NONE),
		CFG_STR("membership", "open", CFGF_NONE),
		CFG_STR_LIST("members", no_entries, CFGF_NONE),
		CFG_STR("group_secret", "", CFGF_NONE),
		CFG_STR("inbound", "contacts", CFGF_NONE),
		CFG_STR_LIST("contacts", no_entries, CFGF_NONE),
		CFG_INT("max_clients", LIMIT_CLIENTS, CFGF_NONE),
		CFG_INT("idle_timeout", LIMIT_IDLE_MS / 1000, CFGF_NONE),
		CFG_BOOL("ephemeral", cfg_false, CFGF_NONE),
		CFG_STR("node_key", "auto", CFGF_NONE),
		CFG_STR("key_file", "", CFGF_NONE),
		CFG_END(),
	};
	static const struct {
		const char *key;
		cfg_validate_callback_t check;
	} checks[] = {
		{ "state_dir", check_directory },    { "runtime_dir", check_directory },
		{ "device", check_interface },	     { "verbosity", check_verbosity },
		{ "links", check_interface },	     { "membership", check_membership },
		{ "members", check_address },	     { "group_secret", check_group_secret },
		{ "inbound", check_inbound },	     { "contacts", check_address },
		{ "max_clients", check_max_clients }, { "idle_timeout", check_idle },
		{ "node_key", check_node_key },	     { "key_file", check_key_file },
	};
	cfg_t *cfg;
	int err = 0;

	memset(out, 0, sizeof(*out));
	why_buf = why;
	why_size = size;
	why[0] = 0;

	cfg = cfg_init(options, CFGF_NONE);
	if (!cfg)
		return -ENOMEM;
	cfg_set_error_function(cfg, keep_error);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		cfg_set_validate_func(cfg, checks[i].key, checks[i].check);

	if (path || !access(CONFIG_DEFAULT_PATH, F_OK)) {
		const char *file = path ? path : CONFIG_DEFAULT_PATH;

		switch (cfg_parse(cfg, file)) {
		case CFG_SUCCESS:
			break;
		case CFG_FILE_ERROR:
			err = errno ? -errno : -EIO;
			snprintf(why, size, "cannot read %s: %s", file, strerror(-err));
			break;
		default:
			err = -EINVAL;
			if (!why[0])
				snprintf(why, size, "%s: not understood", file);
		}
	}
	if (!err)
		err = read_values(cfg, out);
	if (err && !why[0])
		snprintf(why, size, "%s", strerror(-err));
	cfg_free(cfg);
	if (err)
		config_free(out);
	return err;
}

void config_free(struct config *c)
{
	free(c->state_dir);
	free(c->runtime_dir);
	free(c->device);
	free(c->api_bind);
	free(c->key_file);
	for (size_t i = 0; i < c->n_links; i++)
		free(c->links[i]);
	free(c->links);
	free(c->members);
	free(c->contacts);
	sodium_memzero(c, sizeof(*c));
}
