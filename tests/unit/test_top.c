// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The screen of ratctl top: what it says, and that it never leaves the terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ratctl/top.h"

static struct top_sample before, now;
static char *text;
static size_t text_len;

static void add_link(struct top_sample *s, const char *name, bool up, uint64_t rx, uint64_t tx)
{
	struct top_link *l = rows_add(&s->links);

	snprintf(l->name, sizeof(l->name), "%s", name);
	l->up = up;
	l->neighs = 2;
	l->rx_bytes = rx;
	l->tx_bytes = tx;
}

static void add_neigh(struct top_sample *s, uint8_t first, bool alive)
{
	struct top_neigh *n = rows_add(&s->neighs);

	for (uint8_t i = 0; i < 32; i++)
		n->router.b[i] = (uint8_t)(first + i);
	snprintf(n->link, sizeof(n->link), "a_name_of_15_by");
	n->alive = alive;
	n->rtt_us = 12345;
	n->loss = 65535 / 4;
	n->silent_ms = 1500;
}

static void add_counter(struct top_sample *s, const char *name, uint64_t value)
{
	struct top_counter *c = rows_add(&s->counters);

	snprintf(c->name, sizeof(c->name), "%s", name);
	c->value = value;
}

static int setup(void **state)
{
	(void)state;
	top_sample_init(&before);
	top_sample_init(&now);
	before.at_ms = 1000;
	now.at_ms = 3000;
	now.wall_ns = 1729531526123456789;
	snprintf(now.mesh, sizeof(now.mesh), "on");
	snprintf(now.device, sizeof(now.device), "ratman0");
	memset(now.router.b, 0xab, sizeof(now.router.b));
	now.daemon = true;
	now.routes = 7;
	now.sessions = 3;
	now.status = (struct ratman_status){ .peers = 5, .locals = 2, .tokens = 1, .workers = 4 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	top_sample_free(&before);
	top_sample_free(&now);
	free(text);
	text = NULL;
	return 0;
}

/* The screen, checked line by line against its size. */
static const char *render(const struct top_sample *was, unsigned int width, unsigned int height)
{
	unsigned int lines = 0, columns = 0;
	FILE *f;

	free(text);
	f = open_memstream(&text, &text_len);
	top_render(f, &now, was, width, height);
	fclose(f);
	for (const char *p = text; *p; p++) {
		if (*p == '\n') {
			assert_true(columns <= width);
			columns = 0;
			lines++;
		} else {
			assert_true((unsigned char)*p >= ' ');
			columns += ((unsigned char)*p & 0xc0) != 0x80;
		}
	}
	assert_int_equal(columns, 0);
	assert_true(lines <= height);
	return text;
}

static void figures(void **state)
{
	const char *t;

	(void)state;
	add_link(&before, "eth0", true, 1000, 2048);
	add_link(&now, "eth0", true, 1000 + 4096, 2048 + 2048);
	add_link(&now, "wlan0", false, 10, 20);
	add_neigh(&now, 0x01, true);
	add_counter(&before, "rx_bad_tag", 10);
	add_counter(&now, "rx_bad_tag", 30);
	add_counter(&now, "rx_packets", 99999);
	t = render(&before, 80, 24);
	assert_non_null(strstr(t, "17:25:26 UTC  mesh on  ratman0  router ABAB-ABAB…ABAB\n"));
	assert_non_null(strstr(t, "addresses 2 (1 up)  peers 5  transfers 4  routes 7  sessions 3\n"));
	assert_non_null(strstr(t, "eth0            up             2      2.0 KiB      1.0 KiB    5.0 KiB "
				  "   4.0 KiB\n"));
	assert_non_null(strstr(t, "wlan0           down           2          0 B          0 B"));
	assert_non_null(strstr(t, "0102-0304…1F20  a_name_of_15_by alive      12.3    25.0       1.5\n"));
	assert_non_null(strstr(t, "rx_bad_tag                         10             30\n"));
	assert_non_null(strstr(t, "of any kind                        10             30\n"));
	assert_null(strstr(t, "rx_packets"));
}

static void totals(void **state)
{
	struct top_totals t;

	(void)state;
	add_link(&before, "eth0", true, 1000, 5000);
	add_link(&now, "eth0", true, 3000, 100);	/* tx began anew */
	add_link(&now, "eth1", true, 1 << 20, 0);	/* a new link is no burst */
	add_neigh(&now, 1, true);
	add_neigh(&now, 2, false);
	add_counter(&now, "some_future_reason", 8);
	t = top_totals(&now, &before);
	assert_int_equal(t.links_up, 2);
	assert_int_equal(t.neighs_alive, 1);
	assert_int_equal(t.rx_bytes_per_s, 1000);
	assert_int_equal(t.tx_bytes_per_s, 0);
	assert_int_equal(t.drops, 8);
	assert_int_equal(t.drops_per_s, 4);
	t = top_totals(&now, NULL);
	assert_int_equal(t.rx_bytes_per_s + t.drops_per_s, 0);
	assert_int_equal(top_rate(5, 9, 1000), 0);
	assert_int_equal(top_rate(9, 5, 0), 0);
}

static void too_much_for_the_screen(void **state)
{
	static const unsigned int sizes[][2] = { { 80, 24 }, { 20, 2 }, { 40, 10 }, { 200, 60 }, { 20, 1 } };
	char name[32];

	(void)state;
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "interface%d", i);
		add_link(&now, name, true, UINT64_MAX, UINT64_MAX);
		add_neigh(&now, (uint8_t)i, i % 2);
		snprintf(name, sizeof(name), "reason_%d", i);
		add_counter(&now, name, UINT64_MAX / 64);
	}
	memset(now.mesh, 'x', sizeof(now.mesh) - 1);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		render(&before, sizes[i][0], sizes[i][1]);
	render(NULL, 80, 24);
	assert_non_null(strstr(text, "more links\n"));
	assert_non_null(strstr(text, "more neighbours\n"));
	assert_non_null(strstr(text, "of any kind"));
}

static void without_a_mesh(void **state)
{
	(void)state;
	now.device[0] = '\0';
	now.daemon = false;
	snprintf(now.mesh, sizeof(now.mesh), "off: a reason");
	snprintf(now.daemon_why, sizeof(now.daemon_why), "cannot reach the daemon");
	render(NULL, 80, 24);
	assert_non_null(strstr(text, "mesh off: a reason"));
	assert_non_null(strstr(text, "daemon: cannot reach the daemon"));
	assert_null(strstr(text, "LINK"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(figures, setup, teardown),
		cmocka_unit_test_setup_teardown(totals, setup, teardown),
		cmocka_unit_test_setup_teardown(too_much_for_the_screen, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_mesh, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
