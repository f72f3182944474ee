// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratcat recv: waits for streams and writes them out.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "ratcat/interrupt.h"
#include "ratcat/ratcat.h"
#include "ratcat/sink.h"
#include "tools/output.h"

/* {"Address":"…"} or {"Namespace":"…"}, as the existing tools write a recipient. */
static struct json_object *json_recipient(const struct ratman_recipient *to)
{
	struct json_object *o = json_object_new_object();
	char text[ADDRESS_TEXT_LEN];

	ratman_id_format(&to->id, text);
	json_object_object_add(o, to->is_namespace ? "Namespace" : "Address",
			       json_object_new_string(text));
	return o;
}

/* The letterhead as one object; the caller releases it. */
static struct json_object *json_head(const struct ratman_letterhead *head)
{
	struct json_object *o = json_object_new_object();
	char from[ADDRESS_TEXT_LEN];

	ratman_id_format(&head->from, from);
	json_object_object_add(o, "from", json_object_new_string(from));
	json_object_object_add(o, "to", json_recipient(&head->to));
	json_object_object_add(o, "stream_size", json_object_new_uint64(head->stream_size));
	json_object_object_add(o, "auxiliary_data", json_object_new_array());
	return o;
}

/* The letterhead, for people or (with JSON) programs, on standard error. */
static void print_head(const struct cat *cat, const struct ratman_letterhead *head)
{
	char from[ADDRESS_TEXT_LEN], to[ADDRESS_TEXT_LEN], size[TERM_TEXT_LEN];
	struct json_object *o;

	if (cat->quiet)
		return;
	if (cat->style.json) {
		o = json_head(head);
		fprintf(stderr, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
								      JSON_C_TO_STRING_SPACED));
		json_object_put(o);
		return;
	}
	ratman_id_format(&head->from, from);
	ratman_id_format(&head->to.id, to);
	fprintf(stderr, "from %s\nto   %s%s\nsize %s (%" PRIu64 " bytes)\n", from, to,
		head->to.is_namespace ? " (namespace)" : "",
		term_format_bytes(head->stream_size, size), head->stream_size);
}

/* Which file a stream went to: a line on standard output, which is free then. */
static int print_saved(const struct cat *cat, const struct ratman_letterhead *head,
		       const struct sink *sink)
{
	struct json_object *o;

	if (sink->fd == STDOUT_FILENO)
		return EXIT_OK;
	if (cat->style.json) {
		o = json_head(head);
		json_object_object_add(o, "file", json_object_new_string(sink->path));
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	} else {
		puts(sink->path);
	}
	/* The stream is safe, whatever becomes of this line. */
	return print_finish() ? cat_fail(cat, EXIT_USER, "%s is saved, but cannot be reported on standard output",
					 sink->path) : EXIT_OK;
}

/* Moves the stream. 0, or a negative errno of @sink, or with *@recv_err a library error. */
static int move(const struct cat *cat, struct ratman_recv *v, const struct ratman_letterhead *head,
		const struct sink *sink, int *recv_err)
{
	struct term_progress progress;
	static char buf[CAT_CHUNK];
	uint64_t done = 0;
	ssize_t n = 0;
	int err = 0;

	*recv_err = 0;
	term_progress_start(&progress, cat->quiet ? TERM_NEVER : cat->progress, "receiving",
			    head->stream_size);
	while (!err && !interrupt_pending() && (n = ratman_recv_read(v, buf, sizeof(buf))) > 0) {
		err = sink_write(sink, buf, (size_t)n);
		done += (uint64_t)n;
		term_progress_update(&progress, done);
	}
	term_progress_end(&progress);
	if (n < 0)
		*recv_err = (int)n;
	else if (!err && interrupt_pending() && done < head->stream_size)
		err = -EINTR;
	return err;
}

/* The stream that has come, into @sink, which is closed afterwards. */
static int recv_stream(const struct cat *cat, struct ratman_recv *v,
		       const struct ratman_letterhead *head, struct sink *sink)
{
	int err, recv_err;

	print_head(cat, head);
	if (!sink_has_room(cat, sink, head->stream_size)) {
		sink_discard(sink);
		return EXIT_USER;
	}
	err = move(cat, v, head, sink, &recv_err);
	if (!err && !recv_err) {
		err = sink_keep(cat, head, sink);
		if (!err)
			return print_saved(cat, head, sink);
	} else {
		sink_discard(sink);
	}
	if (interrupt_pending())
		return cat_fail(cat, EXIT_USER, "interrupted; " CAT_KEPT);
	if (recv_err)
		return cat_api_failed(cat, "receiving (the daemon keeps the stream for the next recv)",
				      recv_err);
	return cat_fail(cat, EXIT_USER, "cannot write %s: %s; " CAT_KEPT,
			sink->path[0] ? sink->path : cat->output ? cat->output : "to standard output",
			strerror(-err));
}

/*
 * Asks for one stream and waits for it. One at a time: what the daemon has
 * handed over to somebody who then stops is lost.
 */
static int recv_one(const struct cat *cat, const struct ratman_recipient *to)
{
	struct ratman_letterhead head;
	struct ratman_recv *v;
	struct sink sink;
	int got, ret = sink_open(cat, &sink);

	if (ret)
		return ret;
	got = ratman_recv_begin(cat->r, &cat->address, &cat->token, to, 1, &v);
	if (!got) {
		got = interrupt_pending() ? -EINTR : ratman_recv_next(v, &head, -1);
		if (got > 0)
			ret = recv_stream(cat, v, &head, &sink);
		ratman_recv_end(v);
	}
	if (got > 0)
		return ret;
	sink_discard(&sink);
	return interrupt_pending() ? cat_fail(cat, EXIT_USER, "interrupted") :
				     cat_api_failed(cat, "receiving", got ? got : RATMAN_EPROTOCOL);
}

int cmd_recv(struct cat *cat, int argc, char **argv)
{
	struct ratman_recipient to = { 0 };
	bool other = false;
	int ret;

	if (cat->count != 1 && cat->output && !output_is_stdout(cat->output) && !sink_is_directory(cat))
		return cat_fail(cat, EXIT_USER, "several streams need a directory: mkdir %s, or -c 1",
				cat->output);
	ret = cat_open(cat);
	if (!ret && argc) {
		ret = cat_resolve(cat, argv[0], &to.id);
		other = !ret && memcmp(to.id.b, cat->address.b, sizeof(to.id.b));
		to.is_namespace = other;
	}
	if (ret)
		return ret;
	if (!cat->quiet)
		fprintf(stderr, "waiting for %s\n", cat->count == 1 ? "a stream" : "streams");
	/* Streams come when they come. */
	ratman_set_timeout(cat->r, -1);
	for (uint32_t n = 0; !ret && (!cat->count || n < cat->count); n++)
		ret = recv_one(cat, other ? &to : NULL);
	return ret;
}
