/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the structure of an LMDB 0.9 file, page by page.
 *
 * LMDB trusts what it reads: one wrong byte in a page's header may crash it or
 * make it write over good pages. So nothing is opened before every page it may
 * follow was seen to be in order: headers, sizes, order of keys, each page in
 * one place only. Contents of values are not looked at; they have tags.
 */
#ifndef RATMAND_STORE_PAGES_H
#define RATMAND_STORE_PAGES_H

#include <stddef.h>
#include <stdint.h>

struct pages_usage {
	uint64_t pages;		/* in use, by tree or list */
	uint64_t free;		/* on the free list */
	uint64_t lost;		/* in neither: harmless, gone after compaction */
	size_t page_size;
};

/*
 * Checks the file @path, which nobody may be writing to. 0, -ENOENT (missing or
 * empty), -EBADMSG (damaged), -EPROTO (another version of LMDB), -ENOMEM or the
 * errno of reading; @why (size bytes) says where and what. @usage may be NULL.
 */
int pages_check(const char *path, struct pages_usage *usage, char *why, size_t size);

#endif
