// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files: requests and records of namespace 0C, and the notices of other daemons. What a
 * reader takes is written again: it has one form only, where it says so.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/file.h"
#include "proto/notice.h"
#include "proto/ping.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buf[1 << 18];

/* Starts writing again. */
static struct wire_writer again(void)
{
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	return w;
}

static void same(const struct wire_writer *w, const uint8_t *data, size_t size)
{
	if (w->failed || wire_len(w) != size || memcmp(w->start, data, size))
		abort();
}

static void requests(const uint8_t *data, size_t size)
{
	struct wire_writer w = again();
	struct file_create create;
	struct file_update update;
	struct file_request request;
	struct file_share share;
	struct file_query query;
	struct file_send send;
	struct file_ref ref;

	/* An empty type is read as none. */
	if (!file_read_create(data, size, &create) && create.mime[0]) {
		file_write_create(&w, &create);
		same(&w, data, size);
	}
	w = again();
	if (!file_read_update(data, size, &update)) {
		file_write_update(&w, &update);
		same(&w, data, size);
	}
	w = again();
	if (!file_read_request(data, size, &request)) {
		file_write_request(&w, &request);
		same(&w, data, size);
	}
	w = again();
	if (!file_read_share(data, size, &share)) {
		file_write_share(&w, &share);
		same(&w, data, size);
	}
	w = again();
	if (!file_read_query(data, size, &query)) {
		file_write_query(&w, &query);
		same(&w, data, size);
		file_name_fits(query.pattern, query.pattern);
	}
	w = again();
	/* Somebody named twice is written once. */
	if (!file_read_send(data, size, &send)) {
		file_write_send(&w, &send);
		if (w.failed || wire_len(&w) > size)
			abort();
	}
	w = again();
	if (!file_read_ref(data, size, &ref)) {
		file_write_ref(&w, &ref);
		same(&w, data, size);
	}
}

static void replies(const uint8_t *data, size_t size)
{
	struct file_meta meta, back;
	struct file_done done;
	struct wire_reader r;
	struct wire_writer w;
	struct ping ping;
	uint16_t n;

	if (ping_read(data, size, &ping))
		return;
	if (ping.kind == PING_FILE)
		file_read_done(&ping.body, &done);
	if (ping.kind != PING_FILES || file_read_list(&ping.body, &n))
		return;
	while (n-- && !ping.body.failed) {
		file_meta_read(&ping.body, &meta);
		if (ping.body.failed)
			break;
		/* Times have several forms. */
		w = again();
		file_meta_write(&w, &meta);
		wire_read_init(&r, buf, wire_len(&w));
		file_meta_read(&r, &back);
		if (w.failed || wire_len(&w) > FILE_META_MAX || !wire_done(&r) ||
		    memcmp(&meta, &back, sizeof(meta)))
			abort();
	}
}

static void notices(const uint8_t *data, size_t size)
{
	struct notice_file file;
	struct wire_writer w = again();
	struct notice n;

	if (!notice_read(data, size, &n)) {
		if (n.kind == NOTICE_CATALOG)
			notice_write_catalog(&w, n.stamp, n.grant, (uint16_t)n.n);
		else
			notice_write(&w, &n);
		for (size_t i = 0; i < n.n; i++) {
			notice_next(&n, &file);
			notice_file_write(&w, &file);
		}
		same(&w, data, size);
		if (size > NOTICE_MAX)
			abort();
	}
	w = again();
	if (!notice_meta_read(data, size, &file)) {
		notice_meta_write(&w, &file);
		same(&w, data, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	requests(data, size);
	replies(data, size);
	notices(data, size);
	return 0;
}
