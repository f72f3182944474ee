// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl msg: messages from user to user, or to everybody.
 */
#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratctl/msg_rows.h"
#include "ratctl/pairs.h"
#include "ratctl/pick.h"
#include "ratctl/watch.h"
#include "tools/resolve.h"

#define SERVICE_DEFAULT "ratman.msg"
#define PART_MIN 4			/* digits of an id that is searched for */
#define LOOK_MAX (UINT64_C(64) << 20)	/* bytes of messages that are looked at for that */

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

/* Tags of the command line. */
struct tags {
	struct ratman_message_tag list[CTL_WORDS_MAX + 1];
	size_t n;
	struct pairs pairs;	/* whose texts they are */
};

/* Of --@option. CTL_OK or reports; the pairs are to be freed in either case. */
static int read_tags(struct ctl *ctl, const char *option, const struct ctl_words *words,
		     struct tags *tags)
{
	int status = pairs_read(ctl, option, words, false, &tags->pairs);

	for (tags->n = 0; tags->n < tags->pairs.n; tags->n++) {
		const char *value = tags->pairs.list[tags->n].value;

		tags->list[tags->n] = (struct ratman_message_tag){
			tags->pairs.list[tags->n].key, value ? value : "", value ? strlen(value) : 0,
		};
	}
	return status;
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
	for (int i = 0; i < argc && !status; i++)
		status = ctl_address_id(ctl, argv[i], &to[i]);
	return status;
}

static int send_message(struct ctl *ctl, struct ratman_message_out *m)
{
	struct ratman_id id, group;
	struct user user;
	int err, status = CTL_OK;

	if (ctl->group) {
		if (ratman_id_parse(ctl->group, &group))
			return ctl_fail(ctl, CTL_USER, "--group %s: must be an id, 64 hex digits",
					ctl->group);
		if (m->n_to > 1)
			return ctl_fail(ctl, CTL_USER, "--group goes with one recipient, or --flood");
		m->id = &group;
	}
	status = need_user(ctl, &user);
	if (status)
		return status;
	err = ratman_message_send(ctl->api, &user.address, &user.token, m, &id);
	sodium_memzero(&user, sizeof(user));
	return err ? failed(ctl, "sending the message", err) : msg_print_id(ctl, &id);
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
		status = read_tags(ctl, "tag", &ctl->tags, &tags);
	m.tags = tags.list;
	m.n_tags = tags.n;
	m.data = ctl->text ? ctl->text : buf;
	m.len = ctl->text ? strlen(ctl->text) : 0;
	if (!status && !ctl->text)
		status = read_data(ctl, buf, &m.len);
	if (!status)
		status = send_message(ctl, &m);
	pairs_free(&tags.pairs);
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
		status = read_tags(ctl, "tag", &ctl->tags, tags);
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
	struct ratman_id sender;
	struct user user;
	int err, status = need_user(ctl, &user);

	if (!status && ctl->sender) {
		status = ctl_address_id(ctl, ctl->sender, &sender);
		f->sender = &sender;
	}
	if (!status && ctl->skip)
		status = ctl_number(ctl, "--skip", ctl->skip, UINT32_MAX, &skip);
	if (!status && ctl->take)
		status = ctl_number(ctl, "--take", ctl->take, UINT32_MAX, &take);
	if (!status) {
		err = ask_all(ctl, &user, f, skip, take, &pages);
		status = err ? failed(ctl, "asking for messages", err) :
			       msg_print_list(ctl, pages.list, pages.n);
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
	pairs_free(&tags.pairs);
	return status;
}

/* So many hex digits, as groups or without, are in front of what was left out. */
static size_t digits(const char *text)
{
	size_t n = 0;

	for (; isxdigit((unsigned char)*text) || *text == '-'; text++)
		n += *text != '-';
	return n;
}

/*
 * Looks through the messages of @f for the id that is meant, a page at a time. The protocol
 * gives whole messages only: so it ends when two fit, and when it was too much. A library error.
 */
static int look_for(struct ctl *ctl, const struct user *user, const struct ratman_message_filter *f,
		    struct pick *pick, bool *too_much)
{
	uint64_t looked = 0;
	uint32_t skip = 0;
	bool more = true;

	while (more && pick->hits < 2 && looked < LOOK_MAX) {
		struct ratman_message *page;
		size_t n;
		int err = ratman_message_query(ctl->api, &user->address, &user->token, f, skip, 0, &page,
					       &n, &more);

		if (err)
			return err == RATMAN_ENODATA ? 0 : err;
		for (size_t i = 0; i < n; i++) {
			pick_try(pick, &page[i].id);
			looked += sizeof(page[i]) + page[i].len;
		}
		ratman_free(page);
		skip += (uint32_t)n;
	}
	*too_much = more && pick->hits < 2;
	return 0;
}

/* Which message the user means: an id in full, how one of the service's begins, or as tables show it. */
static int find_id(struct ctl *ctl, const struct user *user, const char *text,
		   struct ratman_id *out)
{
	struct ratman_message_filter f = { .service = NULL };
	bool too_much = false;
	struct pick pick;
	char none[256];
	int err, status;

	if (pick_begin(&pick, text, out))
		return CTL_OK;
	if (!resolve_is_part(text))
		return ctl_fail(ctl, CTL_USER, "'%s' is no id of a message, nor how one begins", text);
	if (digits(text) < PART_MIN)
		return ctl_fail(ctl, CTL_USER,
				"'%s' is too little of an id: write at least its first %d digits", text,
				PART_MIN);
	status = read_service(ctl, &f.service);
	if (status)
		return status;
	err = look_for(ctl, user, &f, &pick, &too_much);
	if (err)
		return failed(ctl, "asking for messages", err);
	if (too_much)
		return ctl_fail(ctl, CTL_USER,
				"'%s': there are too many messages to search them all; write the whole id, which ratctl msg list --wide shows",
				text);
	snprintf(none, sizeof(none), "no message of %s has an id that begins like", f.service);
	return pick_end(ctl, &pick, none, "ratctl msg list", out);
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
	(void)user;
	return msg_print(ctl, m);
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
	int err, status = read_tags(ctl, "tag", &ctl->tags, &add);

	(void)argc;
	if (!status)
		status = read_tags(ctl, "untag", &ctl->untags, &remove);
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
	pairs_free(&add.pairs);
	pairs_free(&remove.pairs);
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

static int next_message(struct ctl *ctl, struct ratman_sub *sub, int timeout_ms, int *status)
{
	struct ratman_message *m;
	int err = ratman_sub_message(sub, &m, timeout_ms);

	if (err == 1) {
		*status = msg_print_line(ctl, m);
		ratman_free(m);
	}
	return err;
}

/* What was subscribed would outlive us, and the daemon. */
static void end_subscription(struct ctl *ctl, const struct user *user,
			     const struct ratman_subscription *where)
{
	int err = ratman_message_unsub(ctl->api, &where->id, &user->address, &user->token);
	char id[ADDRESS_TEXT_LEN];

	if (!err || err == RATMAN_ENOSUBSCRIPTION)
		return;
	ratman_id_format(&where->id, id);
	fprintf(stderr, "ratctl: the daemon keeps the subscription%s; end it with: ratctl msg unwatch %s\n",
		err == RATMAN_EAUTH ? " until somebody who is logged in ends it" : "", id);
}

int cmd_msg_watch(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_message_filter f = { .service = NULL };
	struct ratman_subscription where;
	struct tags tags = { .n = 0 };
	struct user user;
	const struct watch w = {
		.what = "watching messages", .next = next_message,
		.address = &user.address, .token = &user.token,
	};
	int err, status = read_filter(ctl, &f, &tags);

	(void)argc;
	(void)argv;
	if (!status)
		status = need_user(ctl, &user);
	if (!status) {
		watch_signals();
		err = ratman_message_sub(ctl->api, &user.address, &user.token, &f, &where);
		status = err ? failed(ctl, w.what, err) : watch_run(ctl, &w, &where);
		if (!err)
			end_subscription(ctl, &user, &where);
		sodium_memzero(&user, sizeof(user));
	}
	pairs_free(&tags.pairs);
	return status;
}

int cmd_msg_unwatch(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id;
	struct user user;
	int err, status;

	(void)argc;
	if (ratman_id_parse(argv[0], &id))
		return ctl_fail(ctl, CTL_USER,
				"'%s' is not the id of a subscription: 64 hex digits, as msg watch said them",
				argv[0]);
	status = need_user(ctl, &user);
	if (status)
		return status;
	err = ratman_message_unsub(ctl->api, &id, &user.address, &user.token);
	sodium_memzero(&user, sizeof(user));
	if (err)
		return failed(ctl, "ending the subscription", err);
	return print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}
