// SPDX-License-Identifier: GPL-2.0-or-later
/* Notices from others: what they announce, and what they ask for. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ratmand/service/files_priv.h"

/* How far a catalog's stamp, seconds << 20, may be ahead of our clock. */
#define STAMP_AHEAD_S 86400

/* Catalogs --------------------------------------------------------------------- */

struct fresh {
	struct files *files;
	const struct recipient *group;
	const struct address *owner;
	const struct notice_file *file;
};

static void tell_fresh(void *ctx, const struct records *r)
{
	const struct fresh *n = ctx;
	struct files_entry e;

	if (!address_equal(&r->address, n->owner) &&
	    files_in_group(n->files, &r->address, n->group) &&
	    files_get(r, &n->file->id, &e) == -ENOENT)
		files_tell_advert(n->files, &r->address, n->owner, n->file);
}

int filenotice_catalog(struct files *f, const struct recipient *group,
		       const struct address *owner, bool own, const uint8_t *data, size_t len)
{
	const struct catalog *c = catalogs_find(&f->catalogs, group, owner);
	uint64_t now_s = (uint64_t)(clock_wall_ns() / 1000000000);
	bool fresh[LIMIT_FILE_CATALOG];
	struct notice notice, walk;
	struct notice_file file;
	int got = notice_read(data, len, &notice);

	if (got || notice.kind != NOTICE_CATALOG || notice.stamp >> 20 > now_s + STAMP_AHEAD_S)
		return -EINVAL;
	walk = notice;
	for (size_t i = 0; i < notice.n; i++) {
		notice_next(&walk, &file);
		fresh[i] = f->watches && !(c && catalog_file(c, &file.id));
	}
	got = catalogs_put(&f->catalogs, group, owner, own, &notice, data, len);
	if (got != 1)
		return got;
	walk = notice;
	for (size_t i = 0; i < notice.n; i++) {
		struct fresh n = { f, group, owner, &file };

		notice_next(&walk, &file);
		if (fresh[i])
			online_each(f->online, tell_fresh, &n);
	}
	return 0;
}

/* Announcements to one user ------------------------------------------------------ */

static int take_announcement(struct files *f, const struct records *r, const struct address *from,
			     const struct notice *notice)
{
	struct files_entry e, old;
	int err = files_get(r, &notice->id, &e);

	if (notice->file.has_previous && !files_get(r, &notice->file.previous, &old) &&
	    old.meta.state == FILE_ADVERTISED && address_equal(&old.meta.owner, from))
		(void)files_del(r, &notice->file.previous);
	/* Only what is not known is remembered. */
	if (err != -ENOENT && err != -EBADMSG && !(!err && e.meta.state == FILE_ANY))
		return err;
	err = files_make_room(f, r);
	files_entry_init(&e, from, &notice->file, FILE_ADVERTISED);
	if (!err)
		err = files_put(r, &e);
	if (!err)
		files_tell(f, &r->address, &e);
	return err;
}

static int take_withdrawal(struct files *f, const struct records *r, const struct address *from,
			   const struct ident *id)
{
	struct files_entry e;
	int err = files_get(r, id, &e);

	if (err || e.meta.state != FILE_ADVERTISED || !address_equal(&e.meta.owner, from))
		return err == -ENOENT || err == -EBADMSG ? 0 : err;
	err = files_del(r, id);
	files_tell_now(f, &r->address, id);
	return err;
}

/* Requests ------------------------------------------------------------------------- */

/* The account of @from; a new one takes the place of that unused for the longest time. */
static struct files_asker *find_asker(struct files *f, const struct address *from)
{
	struct files_asker *oldest = &f->askers[0];

	for (size_t i = 0; i < ASKERS_MAX; i++) {
		if (f->askers[i].at && address_equal(&f->askers[i].address, from))
			return &f->askers[i];
		if (f->askers[i].at < oldest->at)
			oldest = &f->askers[i];
	}
	*oldest = (struct files_asker){ *from, uv_now(f->loop), ASKER_BURST };
	return oldest;
}

/* Pays for an answer. False when @from asks too much. */
static bool may_ask(struct files *f, const struct address *from)
{
	struct files_asker *a = find_asker(f, from);
	uint64_t more = (uv_now(f->loop) - a->at) * ASKER_RATE / 1000;

	if (more) {
		a->tokens = more < ASKER_BURST - a->tokens ? a->tokens + (uint32_t)more : ASKER_BURST;
		a->at = uv_now(f->loop);
	}
	if (!a->tokens)
		return false;
	a->tokens--;
	return true;
}

/* True when the user has given the file to @from, or to a group @from shows to belong to. */
static bool is_allowed(const struct records *r, const struct files_entry *e,
		       const struct address *from, const uint8_t grant[static NOTICE_GRANT_LEN])
{
	uint8_t own[FILES_GRANT_LEN];
	bool ok = false;

	for (size_t i = 0; i < e->n_shares; i++) {
		const struct files_share *s = &e->shares[i];

		if (s->to.kind == RECIPIENT_ADDRESS)
			ok = ok || address_equal(&s->to.address, from);
		else if (s->announced && s->to.kind == RECIPIENT_NONE)
			ok = true;
		else if (s->announced && !files_grant(r, &s->to, own))
			ok = ok || !sodium_memcmp(own, grant, sizeof(own));
	}
	sodium_memzero(own, sizeof(own));
	return ok;
}

/*
 * Somebody asks the user for a file. Whoever may not have it hears what he would hear if
 * there were none; a request to everybody is answered by those only who would give it.
 */
static int answer(struct files *f, const struct records *r, const struct address *from,
		  const struct notice *notice, bool to_everybody)
{
	const struct recipient back = { RECIPIENT_ADDRESS, *from };
	struct flow_content content;
	struct files_entry e;
	bool ok;
	int err;

	if (address_equal(from, &r->address))
		return 0;
	err = files_get(r, &notice->id, &e);
	ok = !err && files_is_here(&e) && is_allowed(r, &e, from, notice->grant);
	if (!err && files_content(f, &e, &content) == -ESTALE) {
		/* It has vanished: forgotten, and told to nobody any more. */
		fileshare_withdraw(f, r, &e);
		(void)files_drop(f, r, &e);
		ok = false;
	}
	sodium_memzero(&content, sizeof(content));
	err = 0;
	if (!ok)
		f->stats.requests_refused++;
	if ((ok || !to_everybody) && may_ask(f, from)) {
		if (!ok)
			err = fileshare_say(f, NOTICE_GONE, &r->address, &back, &notice->id, NULL);
		else if (to_everybody)
			err = fileshare_say(f, NOTICE_HAVE, &r->address, &back, &notice->id, NULL);
		else
			err = fileshare_give(f, &e, &r->address, &back);
	}
	sodium_memzero(&e, sizeof(e));
	return err;
}

/* Answers to our requests -------------------------------------------------------------- */

static int take_offer(struct files *f, const struct records *r, const struct address *from,
		      const struct ident *id)
{
	struct files_entry e;
	int err = files_get(r, id, &e);

	if (err || e.meta.state != FILE_IN_PROGRESS || !e.searching)
		return 0;
	return fileshare_ask(f, r, &e, from);
}

static int take_refusal(struct files *f, const struct records *r, const struct address *from,
			const struct ident *id)
{
	struct files_entry e;

	/* Of several who were asked only the last counts: the others were given up. */
	if (!files_get(r, id, &e) && e.meta.state == FILE_IN_PROGRESS && e.n_asked &&
	    address_equal(&e.asked[e.n_asked - 1], from))
		fileshare_holder_failed(f, r, &e, from);
	return 0;
}

/* Reading ------------------------------------------------------------------------------- */

struct everybody {
	struct files *files;
	const struct address *from;
	const struct notice *notice;
};

static void ask_one(void *ctx, const struct records *r)
{
	const struct everybody *q = ctx;

	(void)answer(q->files, r, q->from, q->notice, true);
}

/* To everybody, or to a namespace. */
static int take_group(struct files *f, const struct parcel *info, const struct notice *notice,
		      const uint8_t *data, size_t len)
{
	bool everybody = recipient_equal(&info->to, flow_everybody());
	struct recipient group = info->to;
	struct everybody q = { f, &info->from, notice };

	if (everybody)
		group = (struct recipient){ .kind = RECIPIENT_NONE };
	if (notice->kind == NOTICE_CATALOG)
		return filenotice_catalog(f, &group, &info->from,
					  files_records(f, &info->from) != NULL, data, len);
	if (notice->kind != NOTICE_REQUEST || !everybody)
		return -EINVAL;
	online_each(f->online, ask_one, &q);
	return 0;
}

static int take_personal(struct files *f, const struct parcel *info, const struct notice *notice)
{
	const struct records *r = files_records(f, &info->to.address);

	if (!r)
		return -EACCES;
	switch (notice->kind) {
	case NOTICE_ANNOUNCE:
		return take_announcement(f, r, &info->from, notice);
	case NOTICE_WITHDRAW:
		return take_withdrawal(f, r, &info->from, &notice->id);
	case NOTICE_REQUEST:
		return answer(f, r, &info->from, notice, false);
	case NOTICE_HAVE:
		return take_offer(f, r, &info->from, &notice->id);
	case NOTICE_GONE:
		return take_refusal(f, r, &info->from, &notice->id);
	default:
		return -EINVAL;
	}
}

/* All of a notice into @buf (NOTICE_MAX bytes): its length, -EINVAL (not to be had). */
static ssize_t read_all(struct flow_parcel *p, uint8_t *buf)
{
	size_t len = 0;
	ssize_t n;

	while ((n = flow_parcel_read(p, buf + len, NOTICE_MAX - len)) > 0)
		len += (size_t)n;
	return n < 0 ? -EINVAL : (ssize_t)len;
}

static void on_notice(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	uint8_t *data = info->size <= NOTICE_MAX ? malloc(NOTICE_MAX + 1) : NULL;
	struct files *f = ctx;
	struct notice notice;
	ssize_t len;
	int err = info->size > NOTICE_MAX ? -EINVAL : !data ? -ENOMEM : 0;

	if (!err) {
		len = read_all(p, data);
		err = len < 0 ? (int)len : notice_read(data, (size_t)len, &notice);
		if (!err)
			err = info->to.kind == RECIPIENT_NAMESPACE ?
			      take_group(f, info, &notice, data, (size_t)len) :
			      take_personal(f, info, &notice);
		sodium_memzero(&notice, sizeof(notice));
		sodium_memzero(data, NOTICE_MAX);
	}
	free(data);
	if (err == -EINVAL) {
		f->stats.notices_bad++;
		log_debug("files: a notice that makes no sense is dropped");
	}
	/* Not online now, or no room on the disk: later. A list that is full stays so. */
	flow_parcel_close(p, !err || err == -EINVAL || err == -EMFILE);
}

void filenotice_start(struct files *f)
{
	flow_parcel_handler(f->flow, PARCEL_NOTICE, on_notice, f);
}
