// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl user: profiles, ours and those of others.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ratctl/export.h"
#include "ratctl/pairs.h"
#include "ratctl/watch.h"
#include "tools/output.h"
#include "tools/resolve.h"

#define PAGE 1000	/* asked for at once */

/* Printing. */

struct profile_row {
	int64_t time_ns;	/* of a line of user watch */
	struct address address;
	const char *handle, *display_name;
	bool local, online;
	struct print_pairs bio;
	struct print_words services;
	uint64_t avatar_bytes;
	int64_t updated_ns;
};

#define N_COLUMNS 9

/* The time of a line stands in front of the others. */
static const struct print_column columns[1 + N_COLUMNS] = {
	PRINT_COLUMN(struct profile_row, time_ns, "time", "TIME", PRINT_TIME, 0),
	PRINT_COLUMN(struct profile_row, address, "addr", "ADDRESS", PRINT_ADDRESS, 0),
	PRINT_COLUMN(struct profile_row, handle, "handle", "HANDLE", PRINT_TEXT, 0),
	PRINT_COLUMN(struct profile_row, display_name, "display_name", "NAME", PRINT_TEXT,
		     PRINT_OPTIONAL),
	PRINT_COLUMN(struct profile_row, local, "local", "LOCAL", PRINT_BOOL, 0),
	PRINT_COLUMN(struct profile_row, online, "online", "ONLINE", PRINT_BOOL, 0),
	PRINT_COLUMN(struct profile_row, bio, "bio", "BIO", PRINT_PAIRS, PRINT_OPTIONAL),
	PRINT_COLUMN(struct profile_row, services, "services", "SERVICES", PRINT_WORDS,
		     PRINT_OPTIONAL),
	PRINT_COLUMN(struct profile_row, avatar_bytes, "avatar_bytes", "AVATAR", PRINT_BYTES,
		     PRINT_OPTIONAL),
	PRINT_COLUMN(struct profile_row, updated_ns, "updated", "CHANGED", PRINT_AGE, PRINT_OPTIONAL),
};

/* @pairs has room for the bio. */
static void fill_row(struct profile_row *row, const struct ratman_profile *p,
		     struct print_pair *pairs)
{
	memcpy(row->address.b, p->id.b, sizeof(row->address.b));
	row->handle = p->handle;
	row->display_name = p->display_name;
	row->local = p->local;
	row->online = p->online;
	row->avatar_bytes = p->avatar_len;
	row->updated_ns = p->updated_ns;
	for (size_t i = 0; i < p->n_bio; i++)
		pairs[i] = (struct print_pair){ p->bio[i].key, p->bio[i].value };
	row->bio = (struct print_pairs){ pairs, p->n_bio };
	row->services = (struct print_words){ p->services, p->n_services };
}

/* Pages of profiles, gathered for one list; each is owned. */
struct pages {
	struct ratman_profile **list;
	size_t *n;
	size_t n_pages, total;
};

static int pages_add(struct pages *pages, struct ratman_profile *page, size_t n)
{
	size_t room = pages->n_pages + 1;
	struct ratman_profile **list = reallocarray(pages->list, room, sizeof(*list));
	size_t *counts;

	if (list)
		pages->list = list;
	counts = list ? reallocarray(pages->n, room, sizeof(*counts)) : NULL;
	if (!counts) {
		ratman_free(page);
		return -ENOMEM;
	}
	pages->n = counts;
	pages->list[pages->n_pages] = page;
	pages->n[pages->n_pages++] = n;
	pages->total += n;
	return 0;
}

static void pages_free(struct pages *pages)
{
	for (size_t i = 0; i < pages->n_pages; i++)
		ratman_free(pages->list[i]);
	free(pages->list);
	free(pages->n);
}

static int print_pages(struct ctl *ctl, const struct pages *pages)
{
	struct profile_row *rows = calloc(pages->total + 1, sizeof(*rows));
	struct print_pair *pairs;
	size_t n_pairs = 0, row = 0, at = 0;

	for (size_t i = 0; i < pages->n_pages; i++)
		for (size_t k = 0; k < pages->n[i]; k++)
			n_pairs += pages->list[i][k].n_bio;
	pairs = calloc(n_pairs + 1, sizeof(*pairs));
	if (!rows || !pairs) {
		free(rows);
		free(pairs);
		return ctl_fail(ctl, CTL_REFUSED, "out of memory");
	}
	for (size_t i = 0; i < pages->n_pages; i++) {
		for (size_t k = 0; k < pages->n[i]; k++) {
			fill_row(&rows[row++], &pages->list[i][k], pairs + at);
			at += pages->list[i][k].n_bio;
		}
	}
	print_rows(stdout, &ctl->style, columns + 1, N_COLUMNS, rows, row, sizeof(*rows));
	free(rows);
	free(pairs);
	return CTL_OK;
}

/* Asking. */

/* What to ask for: a list or a search. */
struct question {
	enum ratman_user_scope scope;
	const struct ratman_user_term *terms;	/* NULL: a list */
	size_t n_terms;
};

static int ask_page(struct ctl *ctl, const struct question *q, uint32_t skip, uint32_t take,
		    struct ratman_profile **out, size_t *n)
{
	if (q->terms)
		return ratman_user_search(ctl->api, q->terms, q->n_terms, skip, take, out, n);
	return ratman_user_list(ctl->api, q->scope, skip, take, out, n);
}

/* Asks on until there is no more, or as many as are wanted. */
static int ask_all(struct ctl *ctl, const struct question *q, uint32_t skip, uint32_t take,
		   struct pages *pages)
{
	while (take) {
		struct ratman_profile *page;
		size_t n;
		int err = ask_page(ctl, q, skip, take < PAGE ? take : PAGE, &page, &n);

		if (err)
			return err;
		if (!n) {
			ratman_free(page);
			return 0;
		}
		err = pages_add(pages, page, n);
		if (err)
			return err;
		skip += (uint32_t)n;
		take -= n < take ? (uint32_t)n : take;
	}
	return 0;
}

static int show_all(struct ctl *ctl, const struct question *q)
{
	struct pages pages = { .n_pages = 0 };
	uint32_t skip = 0, take = UINT32_MAX;
	int err, status = CTL_OK;

	if (ctl->skip)
		status = ctl_number(ctl, "--skip", ctl->skip, UINT32_MAX, &skip);
	if (!status && ctl->take)
		status = ctl_number(ctl, "--take", ctl->take, UINT32_MAX, &take);
	if (!status)
		status = ctl_need_api(ctl);
	if (status)
		return status;
	err = ask_all(ctl, q, skip, take, &pages);
	status = err ? ctl_api_failed(ctl, "asking for users", err) : print_pages(ctl, &pages);
	pages_free(&pages);
	return status;
}

int cmd_user_list(struct ctl *ctl, int argc, char **argv)
{
	struct question q = { .scope = ctl->all ? RATMAN_USERS_ALL : ctl->remote ?
				       RATMAN_USERS_REMOTE : RATMAN_USERS_LOCAL };

	(void)argc;
	(void)argv;
	return show_all(ctl, &q);
}

int ctl_match(struct ctl *ctl, enum ratman_match *out)
{
	if (ctl->exact + ctl->prefix + ctl->fuzzy > 1)
		return ctl_fail(ctl, CTL_USER, "give one of --exact, --prefix and --fuzzy");
	*out = ctl->exact ? RATMAN_MATCH_EXACT : ctl->prefix ? RATMAN_MATCH_PREFIX :
	       ctl->fuzzy ? RATMAN_MATCH_FUZZY : RATMAN_MATCH_SUBSTRING;
	return CTL_OK;
}

int cmd_user_search(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_user_term terms[LIMIT_QUERY_TERMS];
	struct question q = { .terms = terms, .n_terms = (size_t)argc };
	enum ratman_match match = RATMAN_MATCH_SUBSTRING;
	int status = ctl_match(ctl, &match);

	for (int i = 0; i < argc && !status; i++) {
		const char *pattern = pairs_split(argv[i], '=');

		/* A pattern alone is looked for anywhere. */
		terms[i] = (struct ratman_user_term){ pattern ? argv[i] : "",
						      pattern ? pattern : argv[i], match };
		if (strlen(terms[i].pattern) > LIMIT_QUERY_PATTERN)
			status = ctl_fail(ctl, CTL_USER, "a pattern has at most %d bytes",
					  LIMIT_QUERY_PATTERN);
	}
	return status ? status : show_all(ctl, &q);
}

/* The one user of this handle. */
static int find_handle(struct ctl *ctl, const char *text, bool local, struct ratman_id *out)
{
	const struct ratman_user_term term = { "handle", text, RATMAN_MATCH_EXACT };
	const struct question q = { .terms = &term, .n_terms = 1 };
	struct pages pages = { .n_pages = 0 };
	size_t found = 0;
	int err = ask_all(ctl, &q, 0, local ? UINT32_MAX : 2, &pages);

	for (size_t i = 0; i < pages.n_pages; i++) {
		for (size_t k = 0; k < pages.n[i]; k++) {
			if (local && !pages.list[i][k].local)
				continue;
			found++;
			*out = pages.list[i][k].id;
		}
	}
	pages_free(&pages);
	if (err)
		return ctl_api_failed(ctl, "asking for a user", err);
	if (found == 1)
		return CTL_OK;
	if (found)
		return ctl_fail(ctl, CTL_USER,
				"more than one user has the handle '%s'; name the address, see: ratctl user search handle=%s",
				text, text);
	if (local)
		return ctl_fail(ctl, CTL_USER,
				"no user of this router has the handle '%s'; see: ratctl user list", text);
	return ctl_fail(ctl, CTL_USER,
			"nobody known has the handle '%s'; see: ratctl user search --fuzzy %s", text, text);
}

int ctl_find_user(struct ctl *ctl, const char *text, bool local, struct ratman_id *out)
{
	char why[CTL_WHY_LEN];
	struct address address;
	int err;

	if (!resolve_is_part(text) && !strchr(text, ':'))
		return find_handle(ctl, text, local, out);
	err = ctl_find_address(ctl, text, &address, why);
	/* "Ada" may be either. An address counts first: with a handle nobody takes its place. */
	if (err == -ENOENT || err == -EINVAL)
		return find_handle(ctl, text, local, out);
	if (err)
		return err < 0 ? ctl_fail(ctl, CTL_USER, "%s", why) : err;
	memcpy(out->b, address.b, sizeof(out->b));
	return CTL_OK;
}

/* Writes the picture to a file. */
static int save_avatar(struct ctl *ctl, const struct ratman_profile *p)
{
	int status;

	if (!p->avatar_len)
		return ctl_fail(ctl, CTL_REFUSED, "this profile has no picture");
	status = export_open(ctl, ctl->avatar, false);
	if (!status)
		status = export_write(ctl, p->avatar, p->avatar_len);
	if (!status)
		status = export_keep(ctl);
	export_end();
	return status;
}

static int show(struct ctl *ctl, const struct ratman_profile *p)
{
	struct print_pair *pairs = calloc(p->n_bio + 1, sizeof(*pairs));
	struct profile_row row = { .time_ns = 0 };

	if (!pairs)
		return ctl_fail(ctl, CTL_REFUSED, "out of memory");
	fill_row(&row, p, pairs);
	print_record(stdout, &ctl->style, columns + 1, N_COLUMNS, &row);
	free(pairs);
	return CTL_OK;
}

int cmd_user_show(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_profile *p;
	struct ratman_id id;
	struct identity own;
	int err, status;

	ctl->style.stdout_is_data = ctl->avatar && output_is_stdout(ctl->avatar);
	status = ctl_need_api(ctl);
	if (!status && argc) {
		status = ctl_find_user(ctl, argv[0], false, &id);
	} else if (!status) {
		status = ctl_need_identity(ctl, &own);
		if (!status) {
			memcpy(id.b, own.address.b, sizeof(id.b));
			identity_wipe(&own);
		}
	}
	if (status)
		return status;
	err = ratman_user_get(ctl->api, &id, &p);
	if (err == RATMAN_ENOUSER && !argc)
		return ctl_fail(ctl, CTL_REFUSED,
				"the address of the identity has no profile yet; make one with: ratctl user set --handle NAME");
	if (err)
		return ctl_api_failed(ctl, "asking for a profile", err);
	status = ctl->avatar ? save_avatar(ctl, p) : CTL_OK;
	if (!status && !ctl->style.stdout_is_data)
		status = show(ctl, p);
	ratman_free(p);
	return status;
}

/* Changing. */

/* A change as the command line has it. */
struct change {
	struct ratman_user_change change;
	struct ratman_tag bio[LIMIT_BIO_PAIRS];
	struct pairs pairs;			/* whose texts they are */
	const char *add[LIMIT_PROFILE_SERVICES], *remove[LIMIT_PROFILE_SERVICES];
	uint8_t avatar[LIMIT_AVATAR + 1];
};

static void change_free(struct change *c)
{
	if (c)
		pairs_free(&c->pairs);
	free(c);
}

static int read_avatar(struct ctl *ctl, struct change *c)
{
	FILE *f;
	size_t n;
	int err;

	if (!ctl->avatar)
		return CTL_OK;
	if (!*ctl->avatar) {
		c->change.unset_avatar = true;
		return CTL_OK;
	}
	f = fopen(ctl->avatar, "rbe");
	if (!f)
		return ctl_fail(ctl, CTL_USER, "cannot read %s: %s", ctl->avatar, strerror(errno));
	n = fread(c->avatar, 1, sizeof(c->avatar), f);
	err = ferror(f) ? errno : 0;
	fclose(f);
	if (err)
		return ctl_fail(ctl, CTL_USER, "cannot read %s: %s", ctl->avatar, strerror(err));
	if (n > LIMIT_AVATAR)
		return ctl_fail(ctl, CTL_USER, "%s is too large: a picture has at most %u bytes",
				ctl->avatar, LIMIT_AVATAR);
	if (!n)
		return ctl_fail(ctl, CTL_USER, "%s is empty", ctl->avatar);
	c->change.avatar = c->avatar;
	c->change.avatar_len = n;
	return CTL_OK;
}

static int read_bio(struct ctl *ctl, struct change *c)
{
	int status = pairs_read(ctl, "bio", &ctl->bio, true, &c->pairs);

	for (size_t i = 0; i < c->pairs.n; i++)
		c->bio[i] = (struct ratman_tag){ c->pairs.list[i].key, c->pairs.list[i].value };
	c->change.set_bio = c->bio;
	c->change.n_set_bio = c->pairs.n;
	c->change.unset_bio = ctl->unbio.list;
	c->change.n_unset_bio = ctl->unbio.n;
	return status;
}

static int read_services(struct ctl *ctl, struct change *c)
{
	for (size_t i = 0; i < ctl->services.n; i++) {
		const char *text = ctl->services.list[i];

		if ((*text != '+' && *text != '-') || !text[1])
			return ctl_fail(ctl, CTL_USER,
					"--service '%s': must be +NAME or -NAME", text);
		if (*text == '+')
			c->add[c->change.n_add_services++] = text + 1;
		else
			c->remove[c->change.n_remove_services++] = text + 1;
	}
	c->change.add_services = c->add;
	c->change.remove_services = c->remove;
	return CTL_OK;
}

static int read_change(struct ctl *ctl, struct change *c)
{
	int status = read_bio(ctl, c);

	c->change.handle = ctl->handle && *ctl->handle ? ctl->handle : NULL;
	c->change.unset_handle = ctl->handle && !*ctl->handle;
	c->change.display_name = ctl->display_name && *ctl->display_name ? ctl->display_name : NULL;
	c->change.unset_display_name = ctl->display_name && !*ctl->display_name;
	if (!status)
		status = read_services(ctl, c);
	return status ? status : read_avatar(ctl, c);
}

static int failed(struct ctl *ctl, int err)
{
	switch (err) {
	case -E2BIG:
		return ctl_fail(ctl, CTL_USER,
				"changing the profile: too much; a handle has at most %d bytes, a display name %d, the bio %d entries and %u bytes, services are %d and %u bytes",
				LIMIT_HANDLE, LIMIT_DISPLAY_NAME, LIMIT_BIO_PAIRS, LIMIT_BIO_BYTES,
				LIMIT_PROFILE_SERVICES, LIMIT_PROFILE_SERVICE_BYTES);
	case -EINVAL:
		return ctl_fail(ctl, CTL_USER,
				"changing the profile: text must be UTF-8, and a service can be added or removed, not both");
	}
	return ctl_owner_failed(ctl, "changing the profile", err);
}

int cmd_user_set(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id address, token;
	struct change *c;
	int err, status;

	(void)argc;
	(void)argv;
	if (!ctl->handle && !ctl->display_name && !ctl->avatar && !ctl->bio.n && !ctl->unbio.n &&
	    !ctl->services.n)
		return ctl_fail(ctl, CTL_USER,
				"nothing to change: say --handle, --display-name, --avatar, --bio, --unbio or --service");
	c = calloc(1, sizeof(*c));
	status = c ? read_change(ctl, c) : ctl_fail(ctl, CTL_REFUSED, "out of memory");
	if (!status)
		status = ctl_need_owner(ctl, &address, &token);
	if (!status) {
		err = ratman_user_modify(ctl->api, &address, &token, &c->change);
		sodium_memzero(&token, sizeof(token));
		status = err ? failed(ctl, err) : print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
	}
	change_free(c);
	return status;
}

/* Watching. */

static int print_change(struct ctl *ctl, const struct ratman_profile *p)
{
	struct print_pair *pairs = calloc(p->n_bio + 1, sizeof(*pairs));
	struct profile_row row = { .time_ns = clock_wall_ns() };
	size_t skip = ctl->stamps || ctl->style.json ? 0 : 1;
	int err;

	if (!pairs)
		return ctl_fail(ctl, CTL_REFUSED, "out of memory");
	fill_row(&row, p, pairs);
	err = print_line(stdout, &ctl->style, columns + skip, 1 + N_COLUMNS - skip, &row);
	free(pairs);
	return err ? CTL_USER : CTL_OK;
}

static int next_change(struct ctl *ctl, struct ratman_sub *sub, int timeout_ms, int *status)
{
	struct ratman_profile *p;
	int err = ratman_sub_profile(sub, &p, timeout_ms);

	if (err == 1) {
		*status = print_change(ctl, p);
		ratman_free(p);
	}
	return err;
}

int cmd_user_watch(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_subscription where;
	struct ratman_id address, token;
	const struct watch w = {
		.what = "watching profiles", .next = next_change,
		.address = &address, .token = &token,
	};
	int err, status = ctl_need_owner(ctl, &address, &token);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	watch_signals();
	err = ratman_user_sub(ctl->api, &address, &token, &where);
	status = err ? ctl_owner_failed(ctl, w.what, err) : watch_run(ctl, &w, &where);
	sodium_memzero(&token, sizeof(token));
	return status;
}
