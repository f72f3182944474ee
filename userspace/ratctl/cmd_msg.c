// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl msg: messages from user to user, or to everybody.
 */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proto/field.h"
#include "ratctl/ratctl.h"
#include "tools/resolve.h"

#define SERVICE_DEFAULT "ratman.msg"
#define PREVIEW 60	/* bytes of a message's text in a table */

/* Printing ------------------------------------------------------------------------------ */

struct row {
	struct address id, from, to;
	const char *service, *trust;
	bool flood, unread;
	struct print_words tags;
	int64_t time_ns;
	uint64_t bytes;
	const char *preview;	/* owned; what tables show */
	const char *text, *hex;	/* owned; one of them is NULL */
};

static const struct print_column columns[] = {
	PRINT_COLUMN(struct row, id, "id", "ID", PRINT_ADDRESS, 0),
	PRINT_COLUMN(struct row, time_ns, "time", "SENT", PRINT_AGE, 0),
	PRINT_COLUMN(struct row, from, "from", "FROM", PRINT_ADDRESS, 0),
	PRINT_COLUMN(struct row, to, "to", "TO", PRINT_ADDRESS, PRINT_WIDE | PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, flood, "flood", "FLOOD", PRINT_BOOL, PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, service, "service", "SERVICE", PRINT_TEXT, PRINT_WIDE),
	PRINT_COLUMN(struct row, unread, "unread", "UNREAD", PRINT_BOOL, 0),
	PRINT_COLUMN(struct row, trust, "trust", "TRUST", PRINT_TEXT, PRINT_WIDE),
	PRINT_COLUMN(struct row, tags, "tags", "TAGS", PRINT_WORDS, PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, bytes, "bytes", "SIZE", PRINT_BYTES, 0),
	PRINT_COLUMN(struct row, preview, "preview", "TEXT", PRINT_TEXT, PRINT_TABLE | PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, text, "text", "TEXT", PRINT_TEXT, PRINT_JSON),
	PRINT_COLUMN(struct row, hex, "hex", "HEX", PRINT_TEXT, PRINT_JSON),
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static bool is_text(const void *data, size_t len)
{
	return !len || (!memchr(data, 0, len) && field_is_utf8(data, len));
}

static char *to_hex(const void *data, size_t len)
{
	char *out = malloc(2 * len + 1);

	return out ? sodium_bin2hex(out, 2 * len + 1, data, len) : NULL;
}

/* The beginning of a text, on one line. */
static char *make_preview(const char *text, size_t len)
{
	size_t n = len < PREVIEW ? len : PREVIEW;
	char *out;

	while (n < len && n && ((uint8_t)text[n] & 0xc0) == 0x80)
		n--;
	out = malloc(n + 4);
	if (!out)
		return NULL;
	memcpy(out, text, n);
	strcpy(out + n, n < len ? "…" : "");
	for (char *p = out; p < out + n; p++)
		if (*p == '\n' || *p == '\t' || *p == '\r')
			*p = ' ';
	return out;
}

/* "key", "key=value", or "key=0x…" for a value that is no text. Owned. */
static char *tag_text(const struct ratman_message_tag *tag)
{
	bool text = is_text(tag->value, tag->len);
	size_t key_len = strlen(tag->key);
	char *out = malloc(key_len + 2 * tag->len + 4);

	if (!out)
		return NULL;
	strcpy(out, tag->key);
	if (!tag->len)
		return out;
	strcpy(out + key_len, text ? "=" : "=0x");
	key_len = strlen(out);
	if (text) {
		memcpy(out + key_len, tag->value, tag->len);
		out[key_len + tag->len] = '\0';
	} else {
		sodium_bin2hex(out + key_len, 2 * tag->len + 1, tag->value, tag->len);
	}
	return out;
}

static void row_free(struct row *row)
{
	for (size_t i = 0; i < row->tags.n; i++)
		free((char *)row->tags.list[i]);
	free((void *)row->tags.list);
	free((char *)row->preview);
	free((char *)row->text);
	free((char *)row->hex);
}

/* False without memory; row_free() in either case. */
static bool fill_tags(struct row *row, const struct ratman_message *m)
{
	char **list = calloc(m->n_tags + 1, sizeof(*list));

	if (!list)
		return false;
	row->tags.list = (const char *const *)list;
	for (size_t i = 0; i < m->n_tags; i++) {
		if (!strcmp(m->tags[i].key, RATMAN_TAG_UNREAD))
			continue;
		list[row->tags.n] = tag_text(&m->tags[i]);
		if (!list[row->tags.n++])
			return false;
	}
	return true;
}

static bool fill_row(struct row *row, const struct ratman_message *m)
{
	memset(row, 0, sizeof(*row));
	memcpy(row->id.b, m->id.b, sizeof(row->id.b));
	memcpy(row->from.b, m->sender.b, sizeof(row->from.b));
	memcpy(row->to.b, m->to.b, sizeof(row->to.b));
	row->service = m->service;
	row->trust = m->trust == RATMAN_TRUSTED ? "signed" : "unsigned";
	row->flood = m->flood;
	row->unread = m->unread;
	row->time_ns = m->time_ns;
	row->bytes = m->len;
	if (!fill_tags(row, m))
		return false;
	if (!is_text(m->data, m->len)) {
		row->hex = to_hex(m->data, m->len);
		return row->hex;
	}
	row->text = strndup(m->len ? m->data : "", m->len);
	row->preview = row->text ? make_preview(row->text, m->len) : NULL;
	return row->preview;
}

static int print_messages(struct ctl *ctl, const struct ratman_message *list, size_t n)
{
	struct row *rows = calloc(n + 1, sizeof(*rows));
	bool ok = rows;

	for (size_t i = 0; i < n && ok; i++)
		ok = fill_row(&rows[i], &list[i]);
	if (ok)
		print_rows(stdout, &ctl->style, columns, N_COLUMNS, rows, n, sizeof(*rows));
	for (size_t i = 0; i < n && rows; i++)
		row_free(&rows[i]);
	free(rows);
	return ok ? CTL_OK : ctl_fail(ctl, CTL_REFUSED, "out of memory");
}

/* Who asks ------------------------------------------------------------------------------- */

struct user {
	struct ratman_id address, token;
};

static int need_user(struct ctl *ctl, struct user *user)
{
	return ctl_need_owner(ctl, &user->address, &user->token);
}

static int failed(struct ctl *ctl, const char *what, int err)
{
	switch (err) {
	case -E2BIG:
		return ctl_fail(ctl, CTL_USER,
				"%s: too much; a message has at most %d bytes, %d tags of %d bytes in all, %d recipients, and its service %d bytes",
				what, LIMIT_MESSAGE_PAYLOAD, LIMIT_MESSAGE_TAGS, LIMIT_MESSAGE_TAG_BYTES,
				LIMIT_RECIPIENTS, LIMIT_MESSAGE_SERVICE);
	case -EINVAL:
		return ctl_fail(ctl, CTL_USER,
				"%s: a service has a name, a tag a key, and both are UTF-8", what);
	}
	return ctl_owner_failed(ctl, what, err);
}

/* The service of the command line, or ours. */
static int read_service(struct ctl *ctl, const char **out)
{
	if (ctl->services.n > 1)
		return ctl_fail(ctl, CTL_USER, "give one --service");
	*out = ctl->services.n ? ctl->services.list[0] : SERVICE_DEFAULT;
	return CTL_OK;
}

/* Tags of the command line; the texts live in @copy. */
struct tags {
	struct ratman_message_tag list[CTL_WORDS_MAX + 1];
	char *copy[CTL_WORDS_MAX];	/* owned */
	size_t n, n_copies;
};

static void tags_free(struct tags *tags)
{
	for (size_t i = 0; i < tags->n_copies; i++)
		free(tags->copy[i]);
}

/* KEY or KEY=VALUE each. */
static int read_tags(struct ctl *ctl, const struct ctl_words *words, struct tags *tags)
{
	tags->n = tags->n_copies = 0;
	for (size_t i = 0; i < words->n; i++) {
		char *copy = strdup(words->list[i]), *value;

		if (!copy)
			return ctl_fail(ctl, CTL_REFUSED, "out of memory");
		tags->copy[tags->n_copies++] = copy;
		value = strchr(copy, '=');
		if (value)
			*value++ = '\0';
		if (!*copy)
			return ctl_fail(ctl, CTL_USER, "tag '%s': must be KEY or KEY=VALUE",
					words->list[i]);
		tags->list[tags->n++] = (struct ratman_message_tag){ copy, value ? value : "",
								     value ? strlen(value) : 0 };
	}
	return CTL_OK;
}

/* Sending ----------------------------------------------------------------------------------- */

/* The file's or standard input's bytes; @buf has one more than may be. */
static int read_data(struct ctl *ctl, char *buf, size_t *len)
{
	const char *path = ctl->file ? ctl->file : "-";
	bool from_stdin = !strcmp(path, "-");
	FILE *f = from_stdin ? stdin : fopen(path, "rbe");
	int err;

	if (!f)
		return ctl_fail(ctl, CTL_USER, "cannot read %s: %s", path, strerror(errno));
	*len = fread(buf, 1, LIMIT_MESSAGE_PAYLOAD + 1, f);
	err = ferror(f) ? errno : 0;
	if (!from_stdin)
		fclose(f);
	if (err)
		return ctl_fail(ctl, CTL_USER, "cannot read %s: %s", path, strerror(err));
	if (*len > LIMIT_MESSAGE_PAYLOAD)
		return ctl_fail(ctl, CTL_USER,
				"a message has at most %d bytes; for more: ratcat send, or a file",
				LIMIT_MESSAGE_PAYLOAD);
	return CTL_OK;
}

static int read_recipients(struct ctl *ctl, int argc, char **argv, struct ratman_id *to)
{
	int status = CTL_OK;

	if (ctl->flood && argc)
		return ctl_fail(ctl, CTL_USER, "--flood is to everybody: name no recipient besides");
	if (!ctl->flood && !argc)
		return ctl_fail(ctl, CTL_USER, "to whom? Name addresses, or say --flood for everybody");
	for (int i = 0; i < argc && !status; i++) {
		struct address address;

		status = ctl_address(ctl, argv[i], &address);
		memcpy(to[i].b, address.b, sizeof(to[i].b));
	}
	return status;
}

static int print_sent(struct ctl *ctl, const struct ratman_id *id)
{
	static const struct print_column column =
		PRINT_COLUMN(struct row, id, "id", "ID", PRINT_ADDRESS, 0);
	struct row row = { .flood = false };

	memcpy(row.id.b, id->b, sizeof(row.id.b));
	return print_record(stdout, &ctl->style, &column, 1, &row) ? CTL_USER : CTL_OK;
}

static int send_message(struct ctl *ctl, struct ratman_message_out *m)
{
	struct ratman_id id, group;
	struct address parsed;
	struct user user;
	int err, status = CTL_OK;

	if (ctl->group) {
		if (address_parse(ctl->group, &parsed))
			return ctl_fail(ctl, CTL_USER, "--group %s: must be an id, 64 hex digits",
					ctl->group);
		if (m->n_to > 1)
			return ctl_fail(ctl, CTL_USER, "--group goes with one recipient, or --flood");
		memcpy(group.b, parsed.b, sizeof(group.b));
		m->id = &group;
	}
	status = need_user(ctl, &user);
	if (status)
		return status;
	err = ratman_message_send(ctl->api, &user.address, &user.token, m, &id);
	sodium_memzero(&user, sizeof(user));
	return err ? failed(ctl, "sending the message", err) : print_sent(ctl, &id);
}

int cmd_msg_send(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id to[LIMIT_RECIPIENTS];
	struct ratman_message_out m = { .to = to, .n_to = (size_t)argc };
	char *buf = malloc(LIMIT_MESSAGE_PAYLOAD + 1);
	struct tags tags = { .n = 0 };
	int status = buf ? ctl_need_api(ctl) : ctl_fail(ctl, CTL_REFUSED, "out of memory");

	if (!status && ctl->text && ctl->file)
		status = ctl_fail(ctl, CTL_USER, "give one of --text and --file");
	if (!status)
		status = read_recipients(ctl, argc, argv, to);
	if (!status)
		status = read_service(ctl, &m.service);
	if (!status)
		status = read_tags(ctl, &ctl->tags, &tags);
	m.tags = tags.list;
	m.n_tags = tags.n;
	m.data = ctl->text ? ctl->text : buf;
	m.len = ctl->text ? strlen(ctl->text) : 0;
	if (!status && !ctl->text)
		status = read_data(ctl, buf, &m.len);
	if (!status)
		status = send_message(ctl, &m);
	tags_free(&tags);
	free(buf);
	return status;
}

/* Looking ------------------------------------------------------------------------------------ */

/* Pages, gathered for one list: each is owned. */
struct pages {
	struct ratman_message *list;	/* owned: copies of their heads */
	size_t n;
	struct ratman_message **page;	/* owned, as each of them */
	size_t n_pages;
};

static int pages_add(struct pages *p, struct ratman_message *page, size_t n)
{
	struct ratman_message *list = reallocarray(p->list, p->n + n + 1, sizeof(*list));
	struct ratman_message **pages;

	if (list)
		p->list = list;
	pages = list ? reallocarray(p->page, p->n_pages + 1, sizeof(struct ratman_message *)) : NULL;
	if (!pages) {
		ratman_free(page);
		return -ENOMEM;
	}
	p->page = pages;
	p->page[p->n_pages++] = page;
	memcpy(p->list + p->n, page, n * sizeof(*page));
	p->n += n;
	return 0;
}

static void pages_free(struct pages *p)
{
	for (size_t i = 0; i < p->n_pages; i++)
		ratman_free(p->page[i]);
	free(p->page);
	free(p->list);
}

/* All that pass, at most @take. */
static int ask_all(struct ctl *ctl, const struct user *user, const struct ratman_message_filter *f,
		   uint32_t skip, uint32_t take, struct pages *out)
{
	bool more = true;

	while (take && more) {
		struct ratman_message *page;
		size_t n;
		int err = ratman_message_query(ctl->api, &user->address, &user->token, f, skip, take,
					       &page, &n, &more);

		if (err == RATMAN_ENODATA)
			return 0;
		if (!err)
			err = pages_add(out, page, n);
		if (err)
			return err;
		skip += (uint32_t)n;
		take -= n < take ? (uint32_t)n : take;
	}
	return 0;
}

/* What a list or a watch is to show. */
static int read_filter(struct ctl *ctl, struct ratman_message_filter *f, struct tags *tags)
{
	int status = read_service(ctl, &f->service);

	if (!status)
		status = read_tags(ctl, &ctl->tags, tags);
	if (!status && ctl->all)
		f->service = NULL;
	if (!status && ctl->unread)
		tags->list[tags->n++] = (struct ratman_message_tag){ RATMAN_TAG_UNREAD, "", 0 };
	f->tags = tags->list;
	f->n_tags = tags->n;
	return status;
}

static int list_messages(struct ctl *ctl, struct ratman_message_filter *f)
{
	uint32_t skip = 0, take = UINT32_MAX;
	struct pages pages = { .n = 0 };
	struct address sender;
	struct ratman_id id;
	struct user user;
	int err, status = need_user(ctl, &user);

	if (!status && ctl->sender) {
		status = ctl_address(ctl, ctl->sender, &sender);
		memcpy(id.b, sender.b, sizeof(id.b));
		f->sender = &id;
	}
	if (!status && ctl->skip)
		status = ctl_number(ctl, "--skip", ctl->skip, UINT32_MAX, &skip);
	if (!status && ctl->take)
		status = ctl_number(ctl, "--take", ctl->take, UINT32_MAX, &take);
	if (!status) {
		err = ask_all(ctl, &user, f, skip, take, &pages);
		status = err ? failed(ctl, "asking for messages", err) :
			       print_messages(ctl, pages.list, pages.n);
	}
	sodium_memzero(&user, sizeof(user));
	pages_free(&pages);
	return status;
}

int cmd_msg_list(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_message_filter f = { .service = NULL };
	struct tags tags = { .n = 0 };
	int status = read_filter(ctl, &f, &tags);

	(void)argc;
	(void)argv;
	if (!status)
		status = list_messages(ctl, &f);
	tags_free(&tags);
	return status;
}

/* Which message the user means: an id in full, how one of the service's begins, or as tables show it. */
static int find_id(struct ctl *ctl, const struct user *user, const char *text,
		   struct ratman_id *out)
{
	struct ratman_message_filter f = { .service = NULL };
	struct pages pages = { .n = 0 };
	struct address id;
	size_t found = 0;
	int err, status;

	if (!address_parse(text, &id)) {
		memcpy(out->b, id.b, sizeof(out->b));
		return CTL_OK;
	}
	if (!resolve_is_part(text))
		return ctl_fail(ctl, CTL_USER, "'%s' is no id of a message, nor how one begins", text);
	status = read_service(ctl, &f.service);
	if (status)
		return status;
	err = ask_all(ctl, user, &f, 0, UINT32_MAX, &pages);
	for (size_t i = 0; i < pages.n && !err; i++) {
		memcpy(id.b, pages.list[i].id.b, sizeof(id.b));
		if (!resolve_fits(text, &id) ||
		    (found && !memcmp(out->b, id.b, sizeof(out->b))))
			continue;
		found++;
		memcpy(out->b, id.b, sizeof(out->b));
	}
	pages_free(&pages);
	if (err)
		return failed(ctl, "asking for messages", err);
	if (found == 1)
		return CTL_OK;
	return ctl_fail(ctl, CTL_USER, found ? "more than one message of %s has an id like %s" :
					       "no message of %s has an id like %s; see: ratctl msg list",
			f.service, text);
}

/* Calls @each with every message of the id. */
static int with_message(struct ctl *ctl, const char *text,
			int (*each)(struct ctl *ctl, const struct user *user,
				    const struct ratman_message *m))
{
	struct ratman_message *list;
	struct ratman_id id;
	struct user user;
	size_t n;
	int err, status = need_user(ctl, &user);

	if (!status)
		status = find_id(ctl, &user, text, &id);
	if (!status) {
		err = ratman_message_get(ctl->api, &user.address, &user.token, &id, &list, &n);
		status = err ? failed(ctl, "asking for the message", err) : CTL_OK;
		for (size_t i = 0; !err && i < n && !status; i++)
			status = each(ctl, &user, &list[i]);
		if (!err)
			ratman_free(list);
	}
	sodium_memzero(&user, sizeof(user));
	return status;
}

static int show(struct ctl *ctl, const struct user *user, const struct ratman_message *m)
{
	struct row row;
	bool ok = fill_row(&row, m);

	(void)user;
	if (ok)
		print_record(stdout, &ctl->style, columns, N_COLUMNS, &row);
	row_free(&row);
	return ok ? CTL_OK : ctl_fail(ctl, CTL_REFUSED, "out of memory");
}

int cmd_msg_show(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	return with_message(ctl, argv[0], show);
}

/* Its bytes as they are; then it is read. */
static int read_out(struct ctl *ctl, const struct user *user, const struct ratman_message *m)
{
	const struct ratman_message_tag unread = { RATMAN_TAG_UNREAD, "", 0 };
	int err = 0;

	if (m->len && fwrite(m->data, 1, m->len, stdout) != m->len)
		return ctl_fail(ctl, CTL_USER, "cannot write the message: %s", strerror(errno));
	if (fflush(stdout))
		return ctl_fail(ctl, CTL_USER, "cannot write the message: %s", strerror(errno));
	if (m->unread)
		err = ratman_message_tag(ctl->api, &user->address, &user->token, &m->id, NULL, 0,
					 &unread, 1);
	return err ? failed(ctl, "marking the message as read", err) : CTL_OK;
}

int cmd_msg_read(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	return with_message(ctl, argv[0], read_out);
}

/* Changing --------------------------------------------------------------------------------------- */

int cmd_msg_tag(struct ctl *ctl, int argc, char **argv)
{
	struct tags add = { .n = 0 }, remove = { .n = 0 };
	struct ratman_id id;
	struct user user;
	int err, status = read_tags(ctl, &ctl->tags, &add);

	(void)argc;
	if (!status)
		status = read_tags(ctl, &ctl->untags, &remove);
	if (!status && ctl->seen)
		remove.list[remove.n++] = (struct ratman_message_tag){ RATMAN_TAG_UNREAD, "", 0 };
	if (!status && !add.n && !remove.n)
		status = ctl_fail(ctl, CTL_USER, "nothing to change: say --tag, --untag or --read");
	if (!status)
		status = need_user(ctl, &user);
	if (!status) {
		status = find_id(ctl, &user, argv[0], &id);
		err = status ? 0 : ratman_message_tag(ctl->api, &user.address, &user.token, &id, add.list,
						      add.n, remove.list, remove.n);
		sodium_memzero(&user, sizeof(user));
		if (err)
			status = failed(ctl, "tagging the message", err);
	}
	tags_free(&add);
	tags_free(&remove);
	return status ? status : print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}

int cmd_msg_del(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id ids[LIMIT_RECIPIENTS];
	struct user user;
	int err = 0, status = need_user(ctl, &user);

	/* All are found before one goes. */
	for (int i = 0; i < argc && !status; i++)
		status = find_id(ctl, &user, argv[i], &ids[i]);
	for (int i = 0; i < argc && !status; i++) {
		err = ratman_message_delete(ctl->api, &user.address, &user.token, &ids[i]);
		if (err)
			status = failed(ctl, "deleting a message", err);
	}
	sodium_memzero(&user, sizeof(user));
	return status ? status : print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}

/* Watching --------------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

/* Until somebody interrupts us: what was subscribed is to be ended then. */
static void watch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

static int watch(struct ctl *ctl, const struct ratman_subscription *where)
{
	struct ratman_message *m;
	struct ratman_sub *sub;
	int status = CTL_OK, err = ratman_sub_open(ctl->api, where, &sub);

	if (err)
		return ctl_api_failed(ctl, "watching messages", err);
	while (!status && !interrupted) {
		struct row row;

		err = ratman_sub_message(sub, &m, 1000);
		if (err == RATMAN_ETIMEOUT || err == -EINTR)
			continue;
		if (err != 1)
			break;
		if (!fill_row(&row, m))
			status = ctl_fail(ctl, CTL_REFUSED, "out of memory");
		else if (print_line(stdout, &ctl->style, columns, N_COLUMNS, &row))
			status = CTL_USER;
		row_free(&row);
		ratman_free(m);
	}
	ratman_sub_close(sub);
	if (status || interrupted)
		return status;
	if (err == RATMAN_ECLOSED)
		return ctl_fail(ctl, CTL_REFUSED, "the daemon ended it: it stops, or the address went down");
	return ctl_api_failed(ctl, "watching messages", err);
}

int cmd_msg_watch(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_message_filter f = { .service = NULL };
	struct ratman_subscription where;
	struct tags tags = { .n = 0 };
	struct user user;
	int err, status = read_filter(ctl, &f, &tags);

	(void)argc;
	(void)argv;
	if (!status)
		status = need_user(ctl, &user);
	if (!status) {
		watch_signals();
		err = ratman_message_sub(ctl->api, &user.address, &user.token, &f, &where);
		status = err ? failed(ctl, "watching messages", err) : watch(ctl, &where);
		if (!err)
			ratman_message_unsub(ctl->api, &where.id, &user.address, &user.token);
		sodium_memzero(&user, sizeof(user));
	}
	tags_free(&tags);
	return status;
}
