// SPDX-License-Identifier: LGPL-2.1-or-later
#include "clock.h"

#include <stdbool.h>
#include <time.h>

static bool faked;
static uint64_t fake_ms;
static int64_t fake_wall_ns;

static int64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t clock_ms(void)
{
	return faked ? fake_ms : (uint64_t)read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_wall_ns(void)
{
	return faked ? fake_wall_ns : read_ns(CLOCK_REALTIME);
}

void clock_fake(uint64_t ms, int64_t wall_ns)
{
	faked = true;
	fake_ms = ms;
	fake_wall_ns = wall_ns;
}
