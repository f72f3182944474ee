/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clocks, and a fake one for tests.
 */
#ifndef RATMAN_BASE_CLOCK_H
#define RATMAN_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since an arbitrary start, never set back. */
uint64_t clock_ms(void);

/* Nanoseconds since 1970, as the system believes. */
int64_t clock_wall_ns(void);

/* From now on both clocks stand still at these values until set again. For tests. */
void clock_fake(uint64_t ms, int64_t wall_ns);

#endif
