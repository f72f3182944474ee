// SPDX-License-Identifier: GPL-2.0-or-later
/* Netlink attributes: what is put can be parsed back, and what is wrong is refused. */
#include <errno.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ratmand/kern/attrs.h"

static struct nl_msg *event(enum ratman_cmd cmd)
{
	struct nl_msg *msg = nlmsg_alloc();

	assert_non_null(msg);
	assert_non_null(genlmsg_put(msg, 0, 0, 30, 0, 0, (uint8_t)cmd, 1));
	assert_int_equal(nla_put_u32(msg, RATMAN_A_IFINDEX, 42), 0);
	return msg;
}

static void test_route(void **state)
{
	struct kern_route in = { .n_hops = 4, .expires_ms = 9, .cookie_len = 32 }, out = { 0 };
	struct nl_msg *msg = event(RATMAN_CMD_ROUTE_SET);

	(void)state;
	memset(in.dest.b, 0xd1, sizeof(in.dest.b));
	memset(&in.ipv6, 0x20, sizeof(in.ipv6));
	memset(in.cookie, 0xcc, sizeof(in.cookie));
	for (uint32_t i = 0; i < 4; i++)
		in.hops[i] = (struct kern_hop){ .neigh = 4096 + i, .metric = i };
	assert_int_equal(attrs_put_route(msg, &in), 0);
	assert_int_equal(attrs_parse_route(attrs_nest(nlmsg_hdr(msg), RATMAN_A_ROUTE, NULL), &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	nlmsg_free(msg);
}

static void test_five_hops_are_too_many(void **state)
{
	struct nl_msg *msg = event(RATMAN_CMD_ROUTE_SET);
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_ROUTE);
	struct kern_route out = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct nlattr *hop = nla_nest_start(msg, RATMAN_A_ROUTE_HOP);

		nla_put_u32(msg, RATMAN_A_HOP_NEIGH, 1);
		nla_nest_end(msg, hop);
	}
	nla_nest_end(msg, nest);
	assert_int_equal(attrs_parse_route(attrs_nest(nlmsg_hdr(msg), RATMAN_A_ROUTE, NULL), &out),
			 -EBADMSG);
	nlmsg_free(msg);
}

static void test_neigh_event(void **state)
{
	struct kern_neigh in = { .link = 3, .index = 4097, .peer_index = 8194 };
	struct nl_msg *msg = event(RATMAN_CMD_NEIGH_NTF);
	struct kern_event ev = { 0 };

	(void)state;
	memset(in.router.b, 0x77, sizeof(in.router.b));
	memset(in.lladdr, 0x02, sizeof(in.lladdr));
	memset(in.boot_id, 0x0b, sizeof(in.boot_id));
	assert_int_equal(attrs_put_neigh(msg, &in), 0);
	assert_int_equal(attrs_parse_event(nlmsg_hdr(msg), &ev), 0);
	assert_int_equal(ev.cmd, RATMAN_CMD_NEIGH_NTF);
	assert_int_equal(ev.ifindex, 42);
	assert_memory_equal(&in, &ev.neigh, sizeof(in));
	nlmsg_free(msg);
}

/* Whether the peer is a contact, with the keys or alone. */
static void test_session_contact(void **state)
{
	struct kern_session in = { .index = 4097, .peer_index = 8194, .contact = true };
	struct nl_msg *msg = event(RATMAN_CMD_SESSION_SET);
	struct nlattr *nest, *tb[RATMAN_A_SESSION_MAX + 1];
	struct kern_session out = { 0 };

	(void)state;
	memset(in.local.b, 0x11, sizeof(in.local.b));
	memset(in.peer.b, 0x22, sizeof(in.peer.b));
	memset(&in.local_ipv6, 0x33, sizeof(in.local_ipv6));
	memset(&in.peer_ipv6, 0x44, sizeof(in.peer_ipv6));
	assert_int_equal(attrs_put_session(msg, &in), 0);
	assert_int_equal(attrs_parse_session(attrs_nest(nlmsg_hdr(msg), RATMAN_A_SESSION, NULL), &out),
			 0);
	assert_memory_equal(&in, &out, sizeof(in));
	nlmsg_free(msg);
	for (int contact = 0; contact < 2; contact++) {
		msg = event(RATMAN_CMD_SESSION_SET);
		in.contact = contact;
		assert_int_equal(attrs_put_session_contact(msg, &in), 0);
		nest = attrs_nest(nlmsg_hdr(msg), RATMAN_A_SESSION, NULL);
		assert_int_equal(nla_parse_nested(tb, RATMAN_A_SESSION_MAX, nest, NULL), 0);
		assert_true(tb[RATMAN_A_SESSION_LOCAL] && tb[RATMAN_A_SESSION_PEER]);
		assert_int_equal(tb[RATMAN_A_SESSION_CONTACT] != NULL, contact);
		/* The kernel would take these for new keys. */
		assert_null(tb[RATMAN_A_SESSION_INDEX]);
		assert_null(tb[RATMAN_A_SESSION_PEER_INDEX]);
		assert_null(tb[RATMAN_A_SESSION_RX_KEY]);
		assert_null(tb[RATMAN_A_SESSION_TX_KEY]);
		nlmsg_free(msg);
	}
}

static void test_frame_event(void **state)
{
	static const uint8_t body[] = "a body";
	struct kern_frame in = { .type = RATMAN_LINK, .link = 7, .body = body, .len = sizeof(body) };
	struct nl_msg *msg = event(RATMAN_CMD_FRAME_RX);
	struct kern_event ev = { 0 };

	(void)state;
	assert_int_equal(attrs_put_frame(msg, &in), 0);
	assert_int_equal(attrs_parse_event(nlmsg_hdr(msg), &ev), 0);
	assert_int_equal(ev.frame.type, RATMAN_LINK);
	assert_int_equal(ev.frame.link, 7);
	assert_int_equal(ev.frame.len, sizeof(body));
	assert_memory_equal(ev.frame.body, body, sizeof(body));
	nlmsg_free(msg);

	/* The daemon sends three types and no other. */
	msg = event(RATMAN_CMD_FRAME_TX);
	in.type = RATMAN_DATA;
	assert_int_equal(attrs_put_frame(msg, &in), -EINVAL);
	nlmsg_free(msg);
}

static void test_wrong_lengths(void **state)
{
	struct nl_msg *msg = event(RATMAN_CMD_SESSION_WANT);
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_SESSION);
	struct kern_event ev = { 0 };

	(void)state;
	nla_put(msg, RATMAN_A_SESSION_LOCAL, 31, "0123456789012345678901234567890");
	nla_nest_end(msg, nest);
	assert_int_equal(attrs_parse_event(nlmsg_hdr(msg), &ev), -EBADMSG);
	nlmsg_free(msg);

	/* No nest at all, and a command that is no event. */
	msg = event(RATMAN_CMD_LINK_NTF);
	assert_int_equal(attrs_parse_event(nlmsg_hdr(msg), &ev), -EBADMSG);
	nlmsg_free(msg);
	msg = event(RATMAN_CMD_ROUTE_SET);
	assert_int_equal(attrs_parse_event(nlmsg_hdr(msg), &ev), -EBADMSG);
	nlmsg_free(msg);
}

static void test_unknown_attributes_are_skipped(void **state)
{
	struct nl_msg *msg = event(RATMAN_CMD_LINK_NTF);
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_LINK);
	struct kern_event ev = { 0 };

	(void)state;
	nla_put_u32(msg, 99, 1);
	nla_put_string(msg, RATMAN_A_LINK_NAME, "a name that is longer than any interface's");
	nla_put_u32(msg, RATMAN_A_LINK_STATE, RATMAN_LINK_REMOVED);
	nla_nest_end(msg, nest);
	assert_int_equal(attrs_parse_event(nlmsg_hdr(msg), &ev), 0);
	assert_int_equal(ev.link.state, RATMAN_LINK_REMOVED);
	assert_int_equal(strlen(ev.link.name), IFNAMSIZ - 1);
	nlmsg_free(msg);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_five_hops_are_too_many),
		cmocka_unit_test(test_neigh_event),
		cmocka_unit_test(test_session_contact),
		cmocka_unit_test(test_frame_event),
		cmocka_unit_test(test_wrong_lengths),
		cmocka_unit_test(test_unknown_attributes_are_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
