// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/output.h"

#define FILE_MAX 4096	/* bytes of an identity file we are willing to read */

/* Two values, each as an address is written, under two names. */
struct form {
	const char *first, *second;
	const char *what;	/* "there is no …" */
	const char *make;	/* how to get one */
	const char *secret;	/* what others get who can open the file */
	/* What is wrong with a file. */
	const char *no_first, *no_second, *bad_first, *bad_second;
	const char *other;	/* a name that only another form has, … */
	const char *is_other;	/* … and what the file then is */
	const char *mark;	/* a third name, with "yes", of a second value that is a session's; or NULL */
};

static const struct form identity_form = {
	.first = "addr", .second = "auth", .what = "identity", .make = "ratctl addr create",
	.secret = "token",
	.no_first = "the address (addr) is missing",
	.no_second = "the token (auth) is missing",
	.bad_first = "the address (addr) is damaged: it must be 64 hex digits",
	.bad_second = "the token (auth) is damaged: it must be 64 hex digits",
	.other = "pubkey", .is_other = "it holds the keys of a namespace",
	.mark = "session",
};

static const struct form space_form = {
	.first = "pubkey", .second = "privkey", .what = "namespace",
	.make = "ratctl space register -f FILE", .secret = "key",
	.no_first = "the public key (pubkey) is missing",
	.no_second = "the private key (privkey) is missing",
	.bad_first = "the public key (pubkey) is damaged: it must be 64 hex digits",
	.bad_second = "the private key (privkey) is damaged: it must be 64 hex digits",
	.other = "auth", .is_other = "it holds an identity",
};

void identity_wipe(struct identity *id)
{
	sodium_memzero(id, sizeof(*id));
}

int identity_default_path(const char *profile, char *out, size_t size)
{
	const char *base = getenv("XDG_CONFIG_HOME");
	const char *middle = "";
	int n;

	if (!*profile || strchr(profile, '/'))
		return -EINVAL;
	if (!base || base[0] != '/') {
		base = getenv("HOME");
		middle = "/.config";
	}
	if (!base || !*base)
		return -ENOENT;
	n = snprintf(out, size, "%s%s/ratcat/%s", base, middle, profile);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

void space_key_wipe(struct space_key *key)
{
	sodium_memzero(key, sizeof(*key));
}

static const char *format_pair(const struct form *form, const struct identity *id, bool json,
			       char out[static IDENTITY_TEXT_LEN])
{
	char addr[ADDRESS_TEXT_LEN], auth[ADDRESS_TEXT_LEN], mark[32] = "";
	struct address token;

	/* A token has the same text form as an address. */
	memcpy(token.b, id->token.b, sizeof(token.b));
	address_format(&id->address, addr);
	address_format(&token, auth);
	if (form->mark && id->session)
		snprintf(mark, sizeof(mark), json ? ",\n  \"%s\": \"yes\"" : "%s=yes\n", form->mark);
	snprintf(out, IDENTITY_TEXT_LEN,
		 json ? "{\n  \"%s\": \"%s\",\n  \"%s\": \"%s\"%s\n}\n" : "%s=%s\n%s=%s\n%s",
		 form->first, addr, form->second, auth, mark);
	sodium_memzero(auth, sizeof(auth));
	sodium_memzero(&token, sizeof(token));
	return out;
}

const char *identity_format(const struct identity *id, bool json,
			    char out[static IDENTITY_TEXT_LEN])
{
	return format_pair(&identity_form, id, json, out);
}

/* All parsers: NULL when @out is filled, else what is wrong with the file. */
static const char *parse_pair(const struct form *form, const char *first, const char *second,
			      const char *mark, struct identity *out)
{
	struct address token;

	if (!first)
		return form->no_first;
	if (!second)
		return form->no_second;
	if (address_parse(first, &out->address))
		return form->bad_first;
	if (address_parse(second, &token))
		return form->bad_second;
	memcpy(out->token.b, token.b, sizeof(token.b));
	out->session = mark && !strcmp(mark, "yes");
	sodium_memzero(&token, sizeof(token));
	return NULL;
}

/* The string in member @key, or NULL; borrowed from @root. */
static const char *json_text(struct json_object *root, const char *key)
{
	struct json_object *o;

	return json_object_object_get_ex(root, key, &o) && json_object_is_type(o, json_type_string) ?
		       json_object_get_string(o) : NULL;
}

static const char *parse_json(const struct form *form, const char *text, struct identity *out)
{
	struct json_object *root = json_tokener_parse(text);
	const char *wrong = "it begins like JSON, but is none";

	if (json_object_is_type(root, json_type_object))
		wrong = parse_pair(form, json_text(root, form->first),
				   json_text(root, form->second),
				   form->mark ? json_text(root, form->mark) : NULL, out);
	json_object_put(root);
	return wrong;
}

/* "key=value" lines; the key may be missing, as only the part after '=' counts elsewhere. */
static bool is_named(const char *line, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(line, name, len) && line[len] == '=';
}

static const char *parse_lines(const struct form *form, char *text, struct identity *out)
{
	const char *value[2] = { NULL, NULL }, *mark = NULL;
	char *save = NULL;
	int n = 0;

	for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		char *eq = strrchr(line, '=');
		const char *v = eq ? eq + 1 : line;

		if (is_named(line, form->other))
			return form->is_other;
		if (is_named(line, form->first))
			value[0] = v;
		else if (is_named(line, form->second))
			value[1] = v;
		else if (form->mark && is_named(line, form->mark))
			mark = v;
		else if (n < 2)
			value[n] = v;
		n++;
	}
	return parse_pair(form, value[0], value[1], mark, out);
}

static const char *parse_text(const struct form *form, char *text, size_t len,
			      struct identity *out)
{
	size_t blank = strspn(text, " \t\r\n");

	if (blank == len)
		return "it is empty";
	if (len == FILE_MAX)
		return "it is far too long";
	if (strlen(text) != len)
		return "it is no text";
	return text[blank] == '{' ? parse_json(form, text + blank, out) :
				    parse_lines(form, text + blank, out);
}

/* Refuses what is no file; warns in @why where others can open it. */
static int check_file(const struct form *form, int fd, const char *path, char *why,
		      size_t why_size)
{
	struct stat st;

	if (fstat(fd, &st)) {
		snprintf(why, why_size, "cannot open %s: %s", path, strerror(errno));
		return -EINVAL;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, why_size, "%s is not a regular file", path);
		return -EINVAL;
	}
	if (st.st_mode & 077)
		snprintf(why, why_size,
			 "%s can be opened by other users (mode %03o), and its %s with it; try: "
			 "chmod 600 %s", path, st.st_mode & 0777, form->secret, path);
	else if (st.st_uid != geteuid())
		snprintf(why, why_size, "%s belongs to another user, who has its %s too", path,
			 form->secret);
	return 0;
}

static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, buf + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static int load_pair(const struct form *form, const char *path, struct identity *out, char *why,
		     size_t why_size)
{
	struct identity id;
	char text[FILE_MAX + 1];
	const char *wrong;
	ssize_t n;
	int err, fd;

	why[0] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		err = -errno;
		if (err == -ENOENT)
			snprintf(why, why_size, "there is no %s at %s; make one with: %s",
				 form->what, path, form->make);
		else
			snprintf(why, why_size, "cannot open %s: %s", path, strerror(-err));
		return err;
	}
	err = check_file(form, fd, path, why, why_size);
	if (!err) {
		n = read_all(fd, text, FILE_MAX);
		if (n < 0) {
			err = (int)n;
			snprintf(why, why_size, "cannot read %s: %s", path, strerror(-err));
		} else {
			text[n] = '\0';
			wrong = parse_text(form, text, (size_t)n, &id);
			if (wrong) {
				err = -EINVAL;
				snprintf(why, why_size, "%s holds no %s: %s; expected are the "
					 "lines %s=… and %s=…, or a JSON object with both", path,
					 form->what, wrong, form->first, form->second);
			}
		}
		sodium_memzero(text, sizeof(text));
	}
	close(fd);
	if (!err)
		*out = id;
	identity_wipe(&id);
	return err;
}

int identity_load(const char *path, struct identity *out, char *why, size_t why_size)
{
	return load_pair(&identity_form, path, out, why, why_size);
}

int space_key_load(const char *path, struct space_key *out, char *why, size_t why_size)
{
	struct identity id;
	int err = load_pair(&space_form, path, &id, why, why_size);

	if (!err) {
		out->space = id.address;
		memcpy(out->key, id.token.b, sizeof(out->key));
		identity_wipe(&id);
	}
	return err;
}

/* Makes the directories above @path that are missing. */
static int make_parents(const char *path)
{
	char dir[PATH_MAX];

	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	strcpy(dir, path);
	for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(dir, 0700) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int save_pair(const struct form *form, const char *path, const struct identity *id,
		     bool json, bool replace, char *why, size_t why_size)
{
	char text[IDENTITY_TEXT_LEN];
	struct output out;
	int err;

	err = make_parents(path);
	if (err) {
		snprintf(why, why_size, "cannot make the directory of %s: %s", path, strerror(-err));
		return err;
	}
	err = output_open(&out, path, replace ? OUTPUT_REPLACE : 0, why, why_size);
	if (err)
		return err;
	/* From what is no file it could not be read again. */
	if (!out.part[0]) {
		output_discard(&out);
		snprintf(why, why_size, "%s is not a regular file", path);
		return -EINVAL;
	}
	format_pair(form, id, json, text);
	err = output_write(out.fd, text, strlen(text));
	sodium_memzero(text, sizeof(text));
	if (err)
		output_discard(&out);
	else
		err = output_keep(&out);
	if (err)
		snprintf(why, why_size, "cannot write %s: %s", path, strerror(-err));
	return err;
}

int identity_save(const char *path, const struct identity *id, bool json, bool replace, char *why,
		  size_t why_size)
{
	return save_pair(&identity_form, path, id, json, replace, why, why_size);
}

int space_key_save(const char *path, const struct space_key *key, bool json, bool replace,
		   char *why, size_t why_size)
{
	struct identity id = { .address = key->space };
	int err;

	memcpy(id.token.b, key->key, sizeof(key->key));
	err = save_pair(&space_form, path, &id, json, replace, why, why_size);
	identity_wipe(&id);
	return err;
}
