// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The missing-block walk of eris.h: which blocks of a tree are not held yet.
 */
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/flow/eris.h"
#include "ratmand/flow/eris_node.h"

/*
 * Missing walk
 *
 * The nodes being walked form a stack indexed by level: only the lowest one is
 * stepped, and a node is loaded only below all of them. A missing internal
 * node is put on a list, the walk goes on with its sibling, and its subtree is
 * walked once it has arrived and its level is free. The list holds @window
 * nodes and one more for each level further down, so that the walk of a lower
 * node never waits for the room that only it could make.
 */

struct eris_wanted_node {
	uint8_t ref[ERIS_REF_LEN];
	uint8_t key[ERIS_KEY_LEN];
	uint64_t first_leaf;
	uint8_t level;
	bool last;
	bool arrived;
};

enum step {
	STEP_ON,	/* something was done */
	STEP_STUCK,	/* nothing can be done before blocks arrive */
	STEP_FULL,	/* the caller's buffer is full */
};

/* The caller's buffer. */
struct asked {
	uint8_t (*refs)[ERIS_REF_LEN];
	size_t n;
	size_t max;
};

int eris_missing_init(struct eris_missing *m, const struct eris_capability *cap,
		      int (*has)(void *ctx, const uint8_t ref[ERIS_REF_LEN]),
		      int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf,
				   size_t size),
		      void *ctx, uint32_t window, uint64_t max_len)
{
	int rc;

	memset(m, 0, sizeof(*m));
	if (!window || window > ERIS_MAX_WINDOW)
		return -EINVAL;
	rc = eris_tree_init(&m->tree, cap, fetch, ctx, max_len);
	if (rc)
		return rc;
	m->has = has;
	m->window = window;
	m->nodes = calloc(window + ERIS_MAX_LEVEL, sizeof(*m->nodes));
	m->leaves = calloc(window, sizeof(*m->leaves));
	if (!m->nodes || !m->leaves) {
		eris_missing_free(m);
		return -ENOMEM;
	}
	return 0;
}

void eris_missing_free(struct eris_missing *m)
{
	if (m->nodes)
		sodium_memzero(m->nodes, m->n_nodes * sizeof(*m->nodes));
	free(m->nodes);
	free(m->leaves);
	eris_tree_free(&m->tree);
	sodium_memzero(m, sizeof(*m));
}

static bool is_wanted(const struct eris_missing *m, const uint8_t ref[static ERIS_REF_LEN])
{
	for (uint32_t i = 0; i < m->n_leaves; i++)
		if (!memcmp(m->leaves[i], ref, ERIS_REF_LEN))
			return true;
	for (uint32_t i = 0; i < m->n_nodes; i++)
		if (!m->nodes[i].arrived && !memcmp(m->nodes[i].ref, ref, ERIS_REF_LEN))
			return true;
	return false;
}

bool eris_missing_arrived(struct eris_missing *m, const uint8_t ref[static ERIS_REF_LEN])
{
	bool found = false;

	for (uint32_t i = 0; i < m->n_nodes; i++) {
		if (m->nodes[i].arrived || memcmp(m->nodes[i].ref, ref, ERIS_REF_LEN))
			continue;
		m->nodes[i].arrived = true;
		found = true;
	}
	/* A leaf is on the list once; @ref may point into it, so it goes last. */
	for (uint32_t i = 0; i < m->n_leaves; i++) {
		if (memcmp(m->leaves[i], ref, ERIS_REF_LEN))
			continue;
		memmove(m->leaves[i], m->leaves[i + 1],
			(m->n_leaves - i - 1) * sizeof(*m->leaves));
		m->n_leaves--;
		found = true;
		break;
	}
	if (found)
		m->waiting--;
	return found;
}

size_t eris_missing_waiting(const struct eris_missing *m, uint8_t (*refs)[ERIS_REF_LEN], size_t max)
{
	size_t n = 0;

	for (uint32_t i = 0; i < m->n_nodes && n < max; i++) {
		bool repeated = m->nodes[i].arrived;

		for (uint32_t k = 0; k < i && !repeated; k++)
			repeated = !memcmp(m->nodes[i].ref, m->nodes[k].ref, ERIS_REF_LEN);
		if (!repeated)
			memcpy(refs[n++], m->nodes[i].ref, ERIS_REF_LEN);
	}
	for (uint32_t i = 0; i < m->n_leaves && n < max; i++)
		memcpy(refs[n++], m->leaves[i], ERIS_REF_LEN);
	return n;
}

/* Asks for @ref, which is not wanted yet. */
static enum step ask(struct eris_missing *m, const uint8_t ref[static ERIS_REF_LEN],
		     struct asked *asked)
{
	if (m->waiting >= m->window)
		return STEP_STUCK;
	if (asked->n == asked->max)
		return STEP_FULL;
	memcpy(asked->refs[asked->n++], ref, ERIS_REF_LEN);
	m->waiting++;
	return STEP_ON;
}

static enum step want_leaf(struct eris_missing *m, const struct eris_link *link,
			   struct asked *asked)
{
	if (!is_wanted(m, link->ref)) {
		enum step step = ask(m, link->ref, asked);

		if (step != STEP_ON)
			return step;
		memcpy(m->leaves[m->n_leaves++], link->ref, ERIS_REF_LEN);
	}
	m->seen++;
	return STEP_ON;
}

/* The places in a full subtree whose root is of @level. */
static uint64_t full_size(const struct eris_missing *m, unsigned int level)
{
	unsigned int bits = eris_arity_bits(m->tree.cap.block_size);
	uint64_t sum = 0;

	for (unsigned int i = 0; i <= level; i++)
		sum += UINT64_C(1) << bits * i;
	return sum;
}

static enum step want_node(struct eris_missing *m, const struct eris_link *link,
			   struct asked *asked)
{
	struct eris_wanted_node *node;

	/* The same full subtree elsewhere in the content is walked once. */
	for (uint32_t i = 0; i < m->n_nodes && !link->last; i++) {
		node = &m->nodes[i];
		if (node->last || node->level != link->level ||
		    memcmp(node->ref, link->ref, ERIS_REF_LEN) ||
		    memcmp(node->key, link->key, ERIS_KEY_LEN))
			continue;
		m->seen += full_size(m, link->level);
		return STEP_ON;
	}
	if (m->n_nodes >= m->window + ERIS_MAX_LEVEL - link->level)
		return STEP_STUCK;
	if (!is_wanted(m, link->ref)) {
		enum step step = ask(m, link->ref, asked);

		if (step != STEP_ON)
			return step;
	}
	node = &m->nodes[m->n_nodes++];
	memcpy(node->ref, link->ref, ERIS_REF_LEN);
	memcpy(node->key, link->key, ERIS_KEY_LEN);
	node->first_leaf = link->first_leaf;
	node->level = link->level;
	node->last = link->last;
	node->arrived = false;
	return STEP_ON;
}

/* Loads an internal node that is held, to be walked next. */
static int enter(struct eris_missing *m, const struct eris_link *link)
{
	int rc = eris_tree_load(&m->tree, link);

	if (!rc)
		m->seen++;
	return rc;
}

/* Looks at one place of the tree. Returns a step or an error. */
static int visit(struct eris_missing *m, const struct eris_link *link, struct asked *asked)
{
	int held = m->has(m->tree.ctx, link->ref);

	if (held < 0)
		return held;
	if (!held)
		return link->level ? want_node(m, link, asked) : want_leaf(m, link, asked);
	if (link->level)
		return enter(m, link);
	m->seen++;
	return STEP_ON;
}

/* The node being stepped; 0 when there is none. */
static unsigned int lowest_level(const struct eris_missing *m)
{
	for (unsigned int level = 1; level <= m->tree.cap.level; level++)
		if (m->tree.nodes[level].valid)
			return level;
	return 0;
}

/* Enters the first arrived node below level @lowest (0: of any level). */
static int enter_arrived(struct eris_missing *m, unsigned int lowest)
{
	struct eris_wanted_node *best = NULL;
	struct eris_link link;
	int rc;

	for (uint32_t i = 0; i < m->n_nodes; i++) {
		struct eris_wanted_node *node = &m->nodes[i];

		if (!node->arrived || (lowest && node->level >= lowest))
			continue;
		if (!best || node->first_leaf < best->first_leaf)
			best = node;
	}
	if (!best)
		return STEP_STUCK;
	link.ref = best->ref;
	link.key = best->key;
	link.first_leaf = best->first_leaf;
	link.level = best->level;
	link.last = best->last;
	rc = enter(m, &link);
	if (!rc)
		*best = m->nodes[--m->n_nodes];
	return rc;
}

static int step(struct eris_missing *m, struct asked *asked)
{
	unsigned int level = lowest_level(m);
	struct eris_node *node = &m->tree.nodes[level];
	struct eris_link link;
	int rc;

	if (!m->started) {
		eris_tree_root(&m->tree, &link);
		rc = visit(m, &link, asked);
		m->started = rc == STEP_ON;
		return rc;
	}
	if (m->n_nodes) {
		rc = enter_arrived(m, level);
		if (rc != STEP_STUCK)
			return rc;
	}
	if (!level)
		return STEP_STUCK;
	if (node->next == node->count) {
		eris_tree_drop(&m->tree, level);
		return STEP_ON;
	}
	eris_tree_child(&m->tree, level, node->next, &link);
	if (node->next && (!link.last || !link.level) &&
	    !memcmp(link.ref - ERIS_PAIR_LEN, link.ref, ERIS_PAIR_LEN)) {
		/* The sibling before it said everything: runs of equal blocks cost nothing. */
		m->seen += full_size(m, link.level);
		rc = STEP_ON;
	} else {
		rc = visit(m, &link, asked);
	}
	if (rc == STEP_ON)
		node->next++;
	return rc;
}

/* Asks the store about everything that is waited for. Returns a step or an error. */
static int poll_waiting(struct eris_missing *m)
{
	enum step result = STEP_STUCK;

	for (uint32_t i = m->n_leaves; i-- > 0;) {
		int held = m->has(m->tree.ctx, m->leaves[i]);

		if (held < 0)
			return held;
		if (held && eris_missing_arrived(m, m->leaves[i]))
			result = STEP_ON;
	}
	for (uint32_t i = 0; i < m->n_nodes; i++) {
		int held = m->nodes[i].arrived ? 0 : m->has(m->tree.ctx, m->nodes[i].ref);

		if (held < 0)
			return held;
		if (held && eris_missing_arrived(m, m->nodes[i].ref))
			result = STEP_ON;
	}
	return result;
}

int eris_missing_next(struct eris_missing *m, uint8_t (*refs)[ERIS_REF_LEN], size_t max,
		      uint32_t budget)
{
	struct asked asked = { refs, 0, max < ERIS_MAX_WINDOW ? max : ERIS_MAX_WINDOW };
	bool polled = false;
	int rc = m->error;

	if (rc)
		return rc;
	while (rc == STEP_ON && budget--) {
		rc = step(m, &asked);
		if (rc == STEP_STUCK && !polled) {
			polled = true;
			rc = poll_waiting(m);
		}
	}
	if (rc == -EBADMSG || rc == -EFBIG)
		m->error = rc;
	if (rc == STEP_STUCK)
		m->state = m->waiting ? ERIS_MISSING_WAITING : ERIS_MISSING_COMPLETE;
	else
		m->state = ERIS_MISSING_MORE;
	return rc < 0 && !asked.n ? rc : (int)asked.n;
}
