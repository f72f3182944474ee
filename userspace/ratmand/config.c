// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration is described by two tables: keys[] here for words, texts
 * and lists, and api_limit_keys[] for the limits, which are all numbers.
 */
#include "config.h"

#include <confuse.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMBERS_MAX 65536
#define CONTACTS_MAX 65536
#define LINKS_MAX 256

/* libconfuse reports through a callback without context; loading happens once, in one thread. */
static char *why_buf;
static size_t why_size;

static char no_entries[] = "{}";	/* libconfuse wants it writable */

enum key_type {
	KEY_TEXT,
	KEY_WORD,	/* a text that is one of `words` */
	KEY_LIST,	/* of texts; its default is empty */
	KEY_SWITCH,
	KEY_SIZE,	/* bytes */
};

struct key {
	const char *name;
	enum key_type type;
	const char *fallback;
	cfg_validate_callback_t check;	/* of each text; may be NULL */
	const char *const *words;
};

static const struct key *find_key(const char *name);

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

static int check_word(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	const char *const *words = find_key(cfg_opt_name(opt))->words;
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

static int check_key_file(cfg_t *cfg, cfg_opt_t *opt)
{
	return cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1)[0] ? check_directory(cfg, opt) : 0;
}

static int check_socket(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (value[0] == '/' || !strchr(value, '/'))
		return 0;
	cfg_error(cfg, "%s = \"%s\": must be an absolute path, or a name in runtime_dir",
		  cfg_opt_name(opt), value);
	return -1;
}

static int check_mode(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	size_t len = strlen(value);

	if (len && len < 8 && strspn(value, "01234567") == len && strtoul(value, NULL, 8) <= 0777)
		return 0;
	cfg_error(cfg, "%s = \"%s\": must be octal, from \"0000\" to \"0777\"", cfg_opt_name(opt),
		  value);
	return -1;
}

static int check_group(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (!value[0] || getgrnam(value))
		return 0;
	cfg_error(cfg, "%s = \"%s\": there is no such group", cfg_opt_name(opt), value);
	return -1;
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

static int check_size(cfg_t *cfg, cfg_opt_t *opt)
{
	if (cfg_opt_getnint(opt, cfg_opt_size(opt) - 1) >= 0)
		return 0;
	cfg_error(cfg, "%s: must be a number of bytes, 0 or more", cfg_opt_name(opt));
	return -1;
}

static const char *const verbosity_words[] = { "trace", "debug", "info", "warn", "error", NULL };
static const char *const membership_words[] = { "open", "closed", NULL };
static const char *const inbound_words[] = { "open", "contacts", "none", NULL };

static const char *const node_key_words[] = { "auto", "credential", "file", "passphrase", NULL };

static const struct key keys[] = {
	{ "state_dir", KEY_TEXT, "/var/lib/ratmand", check_directory, NULL },
	{ "runtime_dir", KEY_TEXT, "/run/ratman", check_directory, NULL },
	{ "device", KEY_TEXT, "ratman0", check_interface, NULL },
	{ "api_bind", KEY_TEXT, "127.0.0.1:5852", NULL, NULL },
	{ "api_socket", KEY_TEXT, "api.sock", check_socket, NULL },
	{ "api_socket_mode", KEY_TEXT, "0666", check_mode, NULL },
	{ "api_socket_group", KEY_TEXT, "", check_group, NULL },
	{ "verbosity", KEY_WORD, "info", check_word, verbosity_words },
	{ "links", KEY_LIST, NULL, check_interface, NULL },
	{ "membership", KEY_WORD, "open", check_word, membership_words },
	{ "members", KEY_LIST, NULL, check_address, NULL },
	{ "group_secret", KEY_TEXT, "", check_group_secret, NULL },
	{ "inbound", KEY_WORD, "contacts", check_word, inbound_words },
	{ "contacts", KEY_LIST, NULL, check_address, NULL },
	{ "ephemeral", KEY_SWITCH, "false", NULL, NULL },
	{ "node_key", KEY_WORD, "auto", check_word, node_key_words },
	{ "key_file", KEY_TEXT, "", check_key_file, NULL },
	{ "file_accept", KEY_SIZE, "16777216", check_size, NULL },
	{ "file_accept_total", KEY_SIZE, "1073741824", check_size, NULL },
	{ "god_mode", KEY_SWITCH, "false", NULL, NULL },
	{ "discard_unknown_services", KEY_SWITCH, "false", NULL, NULL },
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	}
	return NULL;
}

static int check_limit(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *name = cfg_opt_name(opt);
	long value = cfg_opt_getnint(opt, cfg_opt_size(opt) - 1);

	for (size_t i = 0; i < API_LIMIT_KEYS; i++) {
		const struct api_limit_key *key = &api_limit_keys[i];

		if (strcmp(key->name, name) || (value >= key->min && value <= key->max))
			continue;
		cfg_error(cfg, "%s = %ld: must be from %u to %u %s", name, value, key->min, key->max,
			  key->unit);
		return -1;
	}
	return 0;
}

/* libconfuse's description of both tables; cfg_init() copies it. */
static void make_options(cfg_opt_t options[static N_KEYS + API_LIMIT_KEYS + 1])
{
	static const cfg_opt_t end = CFG_END();
	size_t n = 0;

	for (size_t i = 0; i < N_KEYS; i++) {
		const struct key *key = &keys[i];
		cfg_opt_t text = CFG_STR(key->name, key->fallback, CFGF_NONE);
		cfg_opt_t list = CFG_STR_LIST(key->name, no_entries, CFGF_NONE);
		cfg_opt_t bool_ = CFG_BOOL(key->name, cfg_false, CFGF_NONE);
		cfg_opt_t size = CFG_INT(key->name, strtol(key->fallback ? key->fallback : "0",
							   NULL, 10), CFGF_NONE);

		options[n++] = key->type == KEY_LIST   ? list :
			       key->type == KEY_SWITCH ? bool_ :
			       key->type == KEY_SIZE   ? size :
							 text;
	}
	for (size_t i = 0; i < API_LIMIT_KEYS; i++) {
		cfg_opt_t number = CFG_INT(api_limit_keys[i].name, api_limit_keys[i].fallback,
					   CFGF_NONE);

		options[n++] = number;
	}
	options[n] = end;
}

static void set_checks(cfg_t *cfg)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		if (keys[i].check)
			cfg_set_validate_func(cfg, keys[i].name, keys[i].check);
	}
	for (size_t i = 0; i < API_LIMIT_KEYS; i++)
		cfg_set_validate_func(cfg, api_limit_keys[i].name, check_limit);
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

static void read_limits(cfg_t *cfg, struct api_limits *out)
{
	api_limits_defaults(out);
	for (size_t i = 0; i < API_LIMIT_KEYS; i++) {
		const struct api_limit_key *key = &api_limit_keys[i];

		*api_limit_value(out, key) = (uint32_t)cfg_getint(cfg, key->name) * key->scale;
	}
}

/* Where the Unix socket is; *@out is NULL when there shall be none. */
static int read_socket(cfg_t *cfg, struct config *out)
{
	const char *name = cfg_getstr(cfg, "api_socket");
	const char *group = cfg_getstr(cfg, "api_socket_group");
	const struct group *entry = group[0] ? getgrnam(group) : NULL;

	out->api_socket_mode = (mode_t)strtoul(cfg_getstr(cfg, "api_socket_mode"), NULL, 8);
	out->api_socket_gid = entry ? entry->gr_gid : (gid_t)-1;
	if (!name[0])
		return 0;
	if (name[0] == '/')
		out->api_socket = strdup(name);
	else if (asprintf(&out->api_socket, "%s/%s", out->runtime_dir, name) < 0)
		out->api_socket = NULL;
	return out->api_socket ? 0 : -ENOMEM;
}

static int read_texts(cfg_t *cfg, struct config *out)
{
	out->state_dir = strdup(cfg_getstr(cfg, "state_dir"));
	out->runtime_dir = strdup(cfg_getstr(cfg, "runtime_dir"));
	out->device = strdup(cfg_getstr(cfg, "device"));
	out->api_bind = strdup(cfg_getstr(cfg, "api_bind"));
	out->key_file = strdup(cfg_getstr(cfg, "key_file"));
	if (!out->state_dir || !out->runtime_dir || !out->device || !out->api_bind ||
	    !out->key_file)
		return -ENOMEM;
	return read_socket(cfg, out);
}

/* Takes the checked values out of libconfuse's tree. */
static int read_values(cfg_t *cfg, struct config *out)
{
	const char *inbound = cfg_getstr(cfg, "inbound");
	const char *secret = cfg_getstr(cfg, "group_secret");
	const char *node_key = cfg_getstr(cfg, "node_key");
	int err;

	log_level_parse(cfg_getstr(cfg, "verbosity"), &out->verbosity);
	out->closed = !strcmp(cfg_getstr(cfg, "membership"), "closed");
	out->inbound = !strcmp(inbound, "open")       ? RATMAN_POLICY_OPEN :
		       !strcmp(inbound, "contacts")   ? RATMAN_POLICY_CONTACTS :
							RATMAN_POLICY_NONE;
	out->node_key = !strcmp(node_key, "credential") ? NODEKEY_CREDENTIAL_ONLY :
			!strcmp(node_key, "file")       ? NODEKEY_FILE :
			!strcmp(node_key, "passphrase") ? NODEKEY_PASSPHRASE :
							  NODEKEY_AUTO;
	out->ephemeral = cfg_getbool(cfg, "ephemeral");
	out->file_accept = (uint64_t)cfg_getint(cfg, "file_accept");
	out->file_accept_total = (uint64_t)cfg_getint(cfg, "file_accept_total");
	out->god_mode = cfg_getbool(cfg, "god_mode");
	out->discard_unknown_services = cfg_getbool(cfg, "discard_unknown_services");
	if (secret[0]) {
		out->has_group_secret = true;
		sodium_hex2bin(out->group_secret, sizeof(out->group_secret), secret, 64, NULL, NULL,
			       NULL);
	}
	read_limits(cfg, &out->limits);
	err = read_texts(cfg, out);
	if (!err)
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

void config_each_key(void (*each)(void *ctx, const char *key, const char *value), void *ctx)
{
	char value[128];

	for (size_t i = 0; i < N_KEYS; i++) {
		const struct key *key = &keys[i];

		if (key->type == KEY_LIST)
			strcpy(value, "{}");
		else
			snprintf(value, sizeof(value),
				 key->type == KEY_SWITCH || key->type == KEY_SIZE ? "%s" : "\"%s\"",
				 key->fallback);
		each(ctx, key->name, value);
	}
	for (size_t i = 0; i < API_LIMIT_KEYS; i++) {
		snprintf(value, sizeof(value), "%u", api_limit_keys[i].fallback);
		each(ctx, api_limit_keys[i].name, value);
	}
}

int config_load(struct config *out, const char *path, char *why, size_t size)
{
	cfg_opt_t options[N_KEYS + API_LIMIT_KEYS + 1];
	cfg_t *cfg;
	int err = 0;

	memset(out, 0, sizeof(*out));
	why_buf = why;
	why_size = size;
	why[0] = 0;

	make_options(options);
	cfg = cfg_init(options, CFGF_NONE);
	if (!cfg)
		return -ENOMEM;
	cfg_set_error_function(cfg, keep_error);
	set_checks(cfg);

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
	free(c->api_socket);
	for (size_t i = 0; i < c->n_links; i++)
		free(c->links[i]);
	free(c->links);
	free(c->members);
	free(c->contacts);
	sodium_memzero(c, sizeof(*c));
}
