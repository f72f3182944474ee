/* SPDX-License-Identifier: GPL-2.0-only */
/* Just enough of <linux/types.h> to compile the pure headers in userspace tests. */
#ifndef RATMAN_KSHIM_H
#define RATMAN_KSHIM_H

#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#endif
