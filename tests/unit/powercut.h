/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that loses its power: what LMDB wrote and did not sync may be lost or torn.
 *
 * Every write to the file that is watched and every sync of it is recorded, by standing
 * before libc's functions. Then the file is built as a power cut at any moment could have
 * left it: what was synced is there; of what was written since, each sector of 512 bytes
 * is there or not, by lot.
 *
 * Errors of the disk are made up here, too: writes and syncs that fail. Linked with the tests
 * that want it only (Makefile).
 */
#ifndef TESTS_UNIT_POWERCUT_H
#define TESTS_UNIT_POWERCUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes and syncs of the watched file fail with this errno; 0: they do not. */
extern int powercut_errno;
/* So many writes of it are let through first. */
extern unsigned int powercut_errno_after;
/* As JFFS2 does it: no shared mapping of a file that is open for writing. */
extern bool powercut_no_shared_maps;

/* Watches the file at @path, which is there, from here on. */
void powercut_watch(const char *path);

/* Keeps the file as it is now, and records what happens to it from here on. */
void powercut_begin(void);
void powercut_end(void);
/* Forgets what was recorded. */
void powercut_reset(void);

/* Something that must survive every cut after this moment; @n says what. */
void powercut_acknowledge(uint32_t n);

/* Moments between which the power can be cut; at least 1. */
size_t powercut_moments(void);

/*
 * Writes the file as a cut at the moment @cut can have left it, when of each 100 sectors that
 * were not synced @keep come through; calls @acknowledged for what was before that.
 */
void powercut_make(size_t cut, unsigned int keep, void (*acknowledged)(void *ctx, uint32_t n),
		   void *ctx);

/* Writes the file as it was at powercut_begin(), but for one bit in one of its pages that are not heads. */
void powercut_flip(void);

#endif
