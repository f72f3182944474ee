// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The format, as LMDB 0.9's own structures lay it out on the machine that wrote it. */
#define MAGIC 0xBEEFC0DEu
#define DATA_VERSION 1
#define NO_PAGE (~(size_t)0)
#define DEPTH_MAX 32
#define PAGE_SIZE_MIN 512
#define PAGE_SIZE_MAX 65536
/* Pages at the end that were taken and given back in one transaction are never written. */
#define UNWRITTEN_MAX 65536

enum page_flags {
	PAGE_BRANCH = 0x01,
	PAGE_LEAF = 0x02,
	PAGE_OVERFLOW = 0x04,
	PAGE_META = 0x08,
};

enum node_flags {
	NODE_BIG = 0x01,	/* the value lies in overflow pages */
	NODE_TABLE = 0x02,	/* the value is a table's root */
};

#define FLAG_INTEGER_KEY 0x08
#define FLAG_NO_SUBDIR 0x4000

struct page_head {
	size_t number;
	uint16_t pad;
	uint16_t flags;
	union {
		struct {
			uint16_t lower;	/* end of the node offsets */
			uint16_t upper;	/* begin of the nodes */
		};
		uint32_t count;		/* of overflow pages */
	};
};

#define PAGE_HEAD (offsetof(struct page_head, lower) + 4)

struct node_head {
	uint16_t lo, hi;	/* size of the value, or number of the child page */
	uint16_t flags;		/* in a branch: the upper bits of that number */
	uint16_t key_len;
};

struct tree_root {
	uint32_t pad;
	uint16_t flags;
	uint16_t depth;
	size_t branches, leaves, overflows, entries;
	size_t root;
};

struct meta {
	uint32_t magic;
	uint32_t version;
	void *address;
	size_t map_size;
	struct tree_root free, main;
	size_t last_page;
	size_t txn;
};

struct text {
	const uint8_t *p;
	size_t len;
};

struct walk {
	const uint8_t *map;
	size_t bytes;
	size_t page_size;
	size_t n_pages;		/* in the file */
	struct meta meta;
	uint8_t *seen;		/* bitmap: pages met */
	uint8_t *cover;		/* bitmap: pairs of bytes of a page that nodes take */
	uint64_t used, free;
	char *why;
	size_t why_size;
};

/* A tree while it is walked. */
struct tree {
	struct tree_root counted;
	bool integers;		/* keys are numbers: the free list */
	bool catalogue;		/* values are tables */
	struct text last;	/* key before the next one */
	bool any;		/* there was one */
	bool bound;		/* it was a branch's: the next may be equal */
};

static int bad(struct walk *w, size_t page, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int bad(struct walk *w, size_t page, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(w->why, w->why_size, "page %zu: %s", page, text);
	return -EBADMSG;
}

/* Notes that @page is used; a page used twice would be written over. */
static int take(struct walk *w, size_t page, size_t from)
{
	if (page < 2 || page > w->meta.last_page)
		return bad(w, from, "it points to page %zu, which does not exist", page);
	if (w->seen[page / 8] & 1u << page % 8)
		return bad(w, page, "it is used twice");
	w->seen[page / 8] |= (uint8_t)(1u << page % 8);
	return 0;
}

/* As LMDB compares keys of @t. */
static int compare(const struct tree *t, struct text a, struct text b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c;

	if (t->integers) {
		size_t x, y;

		memcpy(&x, a.p, sizeof(x));
		memcpy(&y, b.p, sizeof(y));
		return (x > y) - (x < y);
	}
	c = memcmp(a.p, b.p, n);
	return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* True when @key may come next; it is the last one then. */
static bool in_order(struct tree *t, struct text key, bool bound)
{
	int c = t->any ? compare(t, t->last, key) : -1;

	if (c > 0 || (!c && !t->bound))
		return false;
	t->any = true;
	t->bound = bound;
	t->last = key;
	return true;
}

static int walk_tree(struct walk *w, const struct tree_root *root, struct tree *t);

/* A list of free page numbers: how many, then the numbers, falling. */
static int check_free_list(struct walk *w, size_t page, const uint8_t *data, size_t len)
{
	size_t n, last = NO_PAGE;
	int err = 0;

	if (len < sizeof(n))
		return bad(w, page, "a list of free pages is cut short");
	memcpy(&n, data, sizeof(n));
	if (n > len / sizeof(n) - 1)
		return bad(w, page, "a list of free pages is too long");
	for (size_t i = 0; i < n && !err; i++) {
		size_t number;

		memcpy(&number, data + (i + 1) * sizeof(number), sizeof(number));
		if (number >= last)
			return bad(w, page, "a list of free pages is out of order");
		last = number;
		err = take(w, number, page);
	}
	w->free += n;
	return err;
}

/* Overflow pages of a value of @len bytes beginning at @first. */
static int check_overflow(struct walk *w, struct tree *t, size_t from, size_t first, size_t len,
			  const uint8_t **data)
{
	size_t count = (PAGE_HEAD - 1 + len) / w->page_size + 1;
	struct page_head head;
	int err = 0;

	if (first < 2 || first >= w->n_pages || count > w->n_pages - first)
		return bad(w, from, "a value lies beyond the end of the file");
	memcpy(&head, w->map + first * w->page_size, sizeof(head));
	if (head.number != first || head.flags != PAGE_OVERFLOW || head.count != count)
		return bad(w, first, "it is not the beginning of a value");
	for (size_t i = 0; i < count && !err; i++)
		err = take(w, first + i, from);
	t->counted.overflows += count;
	*data = w->map + first * w->page_size + PAGE_HEAD;
	return err;
}

static int check_table(struct walk *w, size_t page, const uint8_t *data, size_t len)
{
	struct tree sub = { .integers = false };
	struct tree_root root;

	if (len != sizeof(root))
		return bad(w, page, "a table's root has a wrong size");
	memcpy(&root, data, sizeof(root));
	return root.flags || root.pad ? bad(w, page, "a table has unknown properties") :
					walk_tree(w, &root, &sub);
}

/* One entry of a leaf. @end is the end of its page. */
static int check_leaf_node(struct walk *w, struct tree *t, size_t page, const uint8_t *p,
			   const struct node_head *node)
{
	const uint8_t *data = p + sizeof(*node) + node->key_len;
	struct text key = { p + sizeof(*node), node->key_len };
	size_t len = node->lo | (size_t)node->hi << 16;
	int err = 0;

	if (t->integers && key.len != sizeof(size_t))
		return bad(w, page, "a transaction number has a wrong size");
	if (!key.len || !in_order(t, key, false))
		return bad(w, page, "keys are out of order");
	if (t->integers) {
		size_t txn;

		memcpy(&txn, key.p, sizeof(txn));
		if (!txn || txn > w->meta.txn)
			return bad(w, page, "pages were freed by a transaction that never was");
	}
	t->counted.entries++;
	if (node->flags & NODE_BIG) {
		size_t first;

		memcpy(&first, data, sizeof(first));
		err = check_overflow(w, t, page, first, len, &data);
	}
	if (err)
		return err;
	if (node->flags & ~(t->catalogue ? NODE_BIG | NODE_TABLE : NODE_BIG))
		return bad(w, page, "an entry has unknown properties");
	if (t->integers)
		return check_free_list(w, page, data, len);
	if (node->flags & NODE_TABLE)
		return check_table(w, page, data, len);
	return 0;
}

/* Reads entry @i and checks that it lies within its page and over no other. */
static int read_node(struct walk *w, size_t page, const struct page_head *head, size_t i,
		     const uint8_t **out, struct node_head *node, size_t *size)
{
	const uint8_t *base = w->map + page * w->page_size;
	bool leaf = head->flags == PAGE_LEAF;
	uint16_t at;
	size_t len;

	memcpy(&at, base + PAGE_HEAD + i * sizeof(at), sizeof(at));
	if (at < head->upper || at > w->page_size - sizeof(*node) || at % 2)
		return bad(w, page, "entry %zu lies outside", i);
	memcpy(node, base + at, sizeof(*node));
	len = sizeof(*node) + node->key_len;
	if (leaf)
		len += node->flags & NODE_BIG ? sizeof(size_t) : node->lo | (size_t)node->hi << 16;
	if (len > w->page_size - at)
		return bad(w, page, "entry %zu is too long", i);
	len = (len + 1) & ~(size_t)1;
	for (size_t b = at / 2; b < (at + len) / 2; b++) {
		if (w->cover[b / 8] & 1u << b % 8)
			return bad(w, page, "entry %zu lies over another", i);
		w->cover[b / 8] |= (uint8_t)(1u << b % 8);
	}
	*size += len;
	*out = base + at;
	return 0;
}

static int walk_page(struct walk *w, struct tree *t, size_t page, size_t from, unsigned int depth);

static int walk_branch(struct walk *w, struct tree *t, size_t page, size_t i, const uint8_t *p,
		       const struct node_head *node, unsigned int depth)
{
	struct text key = { p + sizeof(*node), node->key_len };
	size_t child = node->lo | (size_t)node->hi << 16;

	if (sizeof(size_t) > 4)
		child |= (size_t)node->flags << 16 << 16;
	/* The first child has everything below the second; its key says nothing. */
	if (i && t->integers && key.len != sizeof(size_t))
		return bad(w, page, "a transaction number has a wrong size");
	if (i && !in_order(t, key, true))
		return bad(w, page, "keys are out of order");
	return walk_page(w, t, child, page, depth + 1);
}

static int walk_page(struct walk *w, struct tree *t, size_t page, size_t from, unsigned int depth)
{
	struct page_head head;
	size_t n, size = 0;
	int err = take(w, page, from);

	if (err)
		return err;
	if (page >= w->n_pages)
		return bad(w, from, "page %zu lies beyond the end of the file", page);
	memcpy(&head, w->map + page * w->page_size, sizeof(head));
	if (head.number != page || (head.flags != PAGE_BRANCH && head.flags != PAGE_LEAF))
		return bad(w, page, "its header is wrong");
	if (head.lower < PAGE_HEAD || head.lower > head.upper || head.upper > w->page_size ||
	    head.lower % 2 || head.upper % 2)
		return bad(w, page, "its sizes are wrong");
	n = (head.lower - PAGE_HEAD) / 2;
	if (!n || (head.flags == PAGE_BRANCH && n < 2 && !t->integers))
		return bad(w, page, "it has too few entries");
	if ((head.flags == PAGE_LEAF) != (depth == t->counted.depth) || depth > DEPTH_MAX)
		return bad(w, page, "it is at a wrong depth");
	if (head.flags == PAGE_LEAF)
		t->counted.leaves++;
	else
		t->counted.branches++;
	/* First all of the page, then what lies below it. */
	memset(w->cover, 0, w->page_size / 16);
	for (size_t i = 0; i < n && !err; i++) {
		struct node_head node;
		const uint8_t *p;

		err = read_node(w, page, &head, i, &p, &node, &size);
	}
	if (!err && size != w->page_size - head.upper)
		return bad(w, page, "its sizes are wrong");
	for (size_t i = 0; i < n && !err; i++) {
		const uint8_t *base = w->map + page * w->page_size;
		struct node_head node;
		uint16_t at;

		memcpy(&at, base + PAGE_HEAD + i * sizeof(at), sizeof(at));
		memcpy(&node, base + at, sizeof(node));
		err = head.flags == PAGE_LEAF ? check_leaf_node(w, t, page, base + at, &node) :
						walk_branch(w, t, page, i, base + at, &node, depth);
	}
	w->used++;
	return err;
}

/* Walks a tree and compares what it says of itself with what is there. */
static int walk_tree(struct walk *w, const struct tree_root *root, struct tree *t)
{
	int err;

	if (root->root == NO_PAGE)
		return root->depth || root->entries || root->branches || root->leaves ||
				       root->overflows ? bad(w, 0, "a table lost its root") : 0;
	if (!root->depth || root->depth > DEPTH_MAX)
		return bad(w, 0, "a table has an impossible depth");
	t->counted.depth = root->depth;
	err = walk_page(w, t, root->root, 0, 1);
	if (err)
		return err;
	if (t->counted.branches != root->branches || t->counted.leaves != root->leaves ||
	    t->counted.overflows != root->overflows || t->counted.entries != root->entries)
		return bad(w, root->root, "a table's counts are wrong");
	w->used += t->counted.overflows;
	return 0;
}

static int read_meta(struct walk *w, size_t i, struct meta *out)
{
	struct page_head head;

	memcpy(&head, w->map + i * w->page_size, sizeof(head));
	memcpy(out, w->map + i * w->page_size + PAGE_HEAD, sizeof(*out));
	if (out->magic == MAGIC && out->version != DATA_VERSION &&
	    (out->version & 0xffff) <= 999) {
		snprintf(w->why, w->why_size, "it was written by another version of LMDB");
		return -EPROTO;
	}
	if (head.flags != PAGE_META || head.number != i || out->magic != MAGIC ||
	    out->version != DATA_VERSION)
		return bad(w, i, "it is no head of a database");
	return 0;
}

/* Finds the newest snapshot; both heads must be in order, since LMDB reads both. */
static int choose_meta(struct walk *w)
{
	struct meta metas[2];
	int err;

	w->page_size = PAGE_SIZE_MIN;
	if (w->bytes < PAGE_HEAD + sizeof(struct meta))
		return bad(w, 0, "the file is cut short");
	memcpy(&metas[0], w->map + PAGE_HEAD, sizeof(metas[0]));
	w->page_size = metas[0].free.pad;
	if (w->page_size < PAGE_SIZE_MIN || w->page_size > PAGE_SIZE_MAX ||
	    w->page_size & (w->page_size - 1) || w->bytes < 2 * w->page_size)
		return bad(w, 0, "it is no head of a database");
	w->n_pages = w->bytes / w->page_size;
	for (size_t i = 0; i < 2; i++) {
		err = read_meta(w, i, &metas[i]);
		if (err)
			return err;
	}
	/*
	 * Transaction N is in head N % 2, beside N - 1: anything else would bring an old snapshot
	 * back as if it were the newest.
	 */
	if (metas[0].txn || metas[1].txn) {
		size_t newest = metas[0].txn > metas[1].txn ? metas[0].txn : metas[1].txn;
		size_t other = metas[0].txn > metas[1].txn ? metas[1].txn : metas[0].txn;

		if (newest - other != 1 || metas[newest % 2].txn != newest)
			return bad(w, 0, "the two heads of the database do not belong together");
	}
	w->meta = metas[metas[0].txn < metas[1].txn];
	if (w->meta.free.pad != w->page_size)
		return bad(w, 0, "the two heads of the database do not belong together");
	if ((w->meta.free.flags & ~FLAG_NO_SUBDIR) != FLAG_INTEGER_KEY || w->meta.main.flags)
		return bad(w, 0, "the database has unknown properties");
	if (w->meta.last_page < 1 || w->meta.last_page > w->n_pages + UNWRITTEN_MAX)
		return bad(w, 0, "the file is cut short");
	return 0;
}

static int walk_file(struct walk *w)
{
	struct tree free_tree = { .integers = true }, main_tree = { .catalogue = true };
	int err = choose_meta(w);

	if (err)
		return err;
	w->seen = calloc(1, w->meta.last_page / 8 + 1);
	w->cover = malloc(w->page_size / 16);
	if (!w->seen || !w->cover) {
		snprintf(w->why, w->why_size, "not enough memory to check it");
		return -ENOMEM;
	}
	err = walk_tree(w, &w->meta.free, &free_tree);
	if (!err)
		err = walk_tree(w, &w->meta.main, &main_tree);
	return err;
}

int pages_check(const char *path, struct pages_usage *usage, char *why, size_t size)
{
	struct walk w = { .why = why, .why_size = size };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;
	int err;

	if (fd < 0 || fstat(fd, &st)) {
		err = -errno;
		snprintf(why, size, "cannot read it: %s", strerror(-err));
		if (fd >= 0)
			close(fd);
		return err;
	}
	if (!st.st_size) {
		close(fd);
		return -ENOENT;
	}
	w.bytes = (size_t)st.st_size;
	map = mmap(NULL, w.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	err = -errno;
	close(fd);
	if (map == MAP_FAILED) {
		snprintf(why, size, "cannot map it: %s", strerror(-err));
		return err;
	}
	w.map = map;
	err = walk_file(&w);
	munmap(map, w.bytes);
	free(w.seen);
	free(w.cover);
	if (!err && usage) {
		usage->pages = w.used + 2;
		usage->free = w.free;
		usage->lost = w.meta.last_page + 1 - usage->pages - usage->free;
		usage->page_size = w.page_size;
	}
	return err;
}
