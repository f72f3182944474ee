// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What programs compiled against today's headers rely on: the numbers of the netlink ABI, the
 * sizes and offsets of the wire structs, and a family in the kernel that agrees with both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <linux/ratman.h>
#include <ratman/frame.h>

#include "kselftest_harness.h"

#define N(name, value) { #name, name, value }

/* Never edited, only appended to. */
static const struct {
	const char *name;
	long now;
	long ever;
} numbers[] = {
	/* enum ratman_cmd */
	N(RATMAN_CMD_UNSPEC, 0),
	N(RATMAN_CMD_DEV_GET, 1),
	N(RATMAN_CMD_DEV_SET, 2),
	N(RATMAN_CMD_LINK_GET, 3),
	N(RATMAN_CMD_NEIGH_SET, 4),
	N(RATMAN_CMD_NEIGH_DEL, 5),
	N(RATMAN_CMD_NEIGH_GET, 6),
	N(RATMAN_CMD_ROUTE_SET, 7),
	N(RATMAN_CMD_ROUTE_DEL, 8),
	N(RATMAN_CMD_ROUTE_GET, 9),
	N(RATMAN_CMD_ADDR_SET, 10),
	N(RATMAN_CMD_ADDR_DEL, 11),
	N(RATMAN_CMD_ADDR_GET, 12),
	N(RATMAN_CMD_SESSION_SET, 13),
	N(RATMAN_CMD_SESSION_DEL, 14),
	N(RATMAN_CMD_SESSION_GET, 15),
	N(RATMAN_CMD_STATS_GET, 16),
	N(RATMAN_CMD_FRAME_TX, 17),
	N(RATMAN_CMD_FRAME_RX, 18),
	N(RATMAN_CMD_CANDIDATE_NTF, 19),
	N(RATMAN_CMD_NEIGH_NTF, 20),
	N(RATMAN_CMD_LINK_NTF, 21),
	N(RATMAN_CMD_SESSION_WANT, 22),
	/* enum ratman_attr */
	N(RATMAN_A_UNSPEC, 0),
	N(RATMAN_A_PAD, 1),
	N(RATMAN_A_IFINDEX, 2),
	N(RATMAN_A_DEV, 3),
	N(RATMAN_A_LINK, 4),
	N(RATMAN_A_NEIGH, 5),
	N(RATMAN_A_ROUTE, 6),
	N(RATMAN_A_ADDR, 7),
	N(RATMAN_A_SESSION, 8),
	N(RATMAN_A_FRAME, 9),
	N(RATMAN_A_STAT, 10),
	/* enum ratman_dev_attr */
	N(RATMAN_A_DEV_UNSPEC, 0),
	N(RATMAN_A_DEV_PAD, 1),
	N(RATMAN_A_DEV_NAME, 2),
	N(RATMAN_A_DEV_ROUTER, 3),
	N(RATMAN_A_DEV_BOOT_ID, 4),
	N(RATMAN_A_DEV_CLAIM, 5),
	N(RATMAN_A_DEV_HELLO_MS, 6),
	N(RATMAN_A_DEV_NEIGHS, 7),
	N(RATMAN_A_DEV_ROUTES, 8),
	N(RATMAN_A_DEV_ADDRS, 9),
	N(RATMAN_A_DEV_SESSIONS, 10),
	N(RATMAN_A_DEV_ROUTES_MAX, 11),
	/* enum ratman_link_attr */
	N(RATMAN_A_LINK_UNSPEC, 0),
	N(RATMAN_A_LINK_PAD, 1),
	N(RATMAN_A_LINK_IFINDEX, 2),
	N(RATMAN_A_LINK_NAME, 3),
	N(RATMAN_A_LINK_MTU, 4),
	N(RATMAN_A_LINK_STATE, 5),
	N(RATMAN_A_LINK_NEIGHS, 6),
	N(RATMAN_A_LINK_RX_FRAMES, 7),
	N(RATMAN_A_LINK_TX_FRAMES, 8),
	N(RATMAN_A_LINK_RX_BYTES, 9),
	N(RATMAN_A_LINK_TX_BYTES, 10),
	/* enum ratman_link_state */
	N(RATMAN_LINK_DOWN, 0),
	N(RATMAN_LINK_UP, 1),
	N(RATMAN_LINK_REMOVED, 2),
	/* enum ratman_neigh_attr */
	N(RATMAN_A_NEIGH_UNSPEC, 0),
	N(RATMAN_A_NEIGH_PAD, 1),
	N(RATMAN_A_NEIGH_LINK, 2),
	N(RATMAN_A_NEIGH_LLADDR, 3),
	N(RATMAN_A_NEIGH_ROUTER, 4),
	N(RATMAN_A_NEIGH_INDEX, 5),
	N(RATMAN_A_NEIGH_PEER_INDEX, 6),
	N(RATMAN_A_NEIGH_RX_KEY, 7),
	N(RATMAN_A_NEIGH_TX_KEY, 8),
	N(RATMAN_A_NEIGH_INITIATOR, 9),
	N(RATMAN_A_NEIGH_STATE, 10),
	N(RATMAN_A_NEIGH_BOOT_ID, 11),
	N(RATMAN_A_NEIGH_RTT_US, 12),
	N(RATMAN_A_NEIGH_LOSS, 13),
	N(RATMAN_A_NEIGH_SILENT_MS, 14),
	N(RATMAN_A_NEIGH_RX_FRAMES, 15),
	N(RATMAN_A_NEIGH_TX_FRAMES, 16),
	N(RATMAN_A_NEIGH_RX_BYTES, 17),
	N(RATMAN_A_NEIGH_TX_BYTES, 18),
	N(RATMAN_A_NEIGH_AGE_MS, 19),
	N(RATMAN_A_NEIGH_REKEY, 20),
	/* enum ratman_neigh_state */
	N(RATMAN_NEIGH_DEAD, 0),
	N(RATMAN_NEIGH_ALIVE, 1),
	N(RATMAN_NEIGH_REMOVED, 2),
	/* enum ratman_route_attr */
	N(RATMAN_A_ROUTE_UNSPEC, 0),
	N(RATMAN_A_ROUTE_PAD, 1),
	N(RATMAN_A_ROUTE_DEST, 2),
	N(RATMAN_A_ROUTE_IPV6, 3),
	N(RATMAN_A_ROUTE_HOP, 4),
	N(RATMAN_A_ROUTE_EXPIRES_MS, 5),
	N(RATMAN_A_ROUTE_COOKIE, 6),
	/* enum ratman_hop_attr */
	N(RATMAN_A_HOP_UNSPEC, 0),
	N(RATMAN_A_HOP_NEIGH, 1),
	N(RATMAN_A_HOP_METRIC, 2),
	N(RATMAN_A_HOP_MTU, 3),
	/* enum ratman_addr_attr */
	N(RATMAN_A_ADDR_UNSPEC, 0),
	N(RATMAN_A_ADDR_PAD, 1),
	N(RATMAN_A_ADDR_ADDRESS, 2),
	N(RATMAN_A_ADDR_IPV6, 3),
	N(RATMAN_A_ADDR_POLICY, 4),
	/* enum ratman_policy */
	N(RATMAN_POLICY_OPEN, 0),
	N(RATMAN_POLICY_CONTACTS, 1),
	N(RATMAN_POLICY_NONE, 2),
	/* enum ratman_session_attr */
	N(RATMAN_A_SESSION_UNSPEC, 0),
	N(RATMAN_A_SESSION_PAD, 1),
	N(RATMAN_A_SESSION_LOCAL, 2),
	N(RATMAN_A_SESSION_PEER, 3),
	N(RATMAN_A_SESSION_LOCAL_IPV6, 4),
	N(RATMAN_A_SESSION_PEER_IPV6, 5),
	N(RATMAN_A_SESSION_INDEX, 6),
	N(RATMAN_A_SESSION_PEER_INDEX, 7),
	N(RATMAN_A_SESSION_RX_KEY, 8),
	N(RATMAN_A_SESSION_TX_KEY, 9),
	N(RATMAN_A_SESSION_INITIATOR, 10),
	N(RATMAN_A_SESSION_CONTACT, 11),
	N(RATMAN_A_SESSION_AGE_MS, 12),
	N(RATMAN_A_SESSION_RX_PACKETS, 13),
	N(RATMAN_A_SESSION_TX_PACKETS, 14),
	N(RATMAN_A_SESSION_RX_BYTES, 15),
	N(RATMAN_A_SESSION_TX_BYTES, 16),
	N(RATMAN_A_SESSION_STAGED, 17),
	N(RATMAN_A_SESSION_IDLE_MS, 18),
	/* enum ratman_frame_attr */
	N(RATMAN_A_FRAME_UNSPEC, 0),
	N(RATMAN_A_FRAME_TYPE, 1),
	N(RATMAN_A_FRAME_LINK, 2),
	N(RATMAN_A_FRAME_LLADDR, 3),
	N(RATMAN_A_FRAME_NEIGH, 4),
	N(RATMAN_A_FRAME_DEST, 5),
	N(RATMAN_A_FRAME_BODY, 6),
	/* enum ratman_stat_attr */
	N(RATMAN_A_STAT_UNSPEC, 0),
	N(RATMAN_A_STAT_PAD, 1),
	N(RATMAN_A_STAT_NAME, 2),
	N(RATMAN_A_STAT_VALUE, 3),
	/* enum ratman_frame_type, on the wire */
	N(RATMAN_HELLO, 0),
	N(RATMAN_LINK, 1),
	N(RATMAN_ECHO, 2),
	N(RATMAN_CONTROL, 3),
	N(RATMAN_DATA, 4),
	N(RATMAN_HANDSHAKE, 5),
	N(RATMAN_FRAGMENT, 6),
};

TEST(numbers_never_change)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		EXPECT_EQ(numbers[i].ever, numbers[i].now) TH_LOG("%s", numbers[i].name);
	}
}

TEST(names_and_ceilings)
{
	EXPECT_STREQ("ratman", RATMAN_FAMILY_NAME);
	EXPECT_STREQ("events", RATMAN_MCGRP_EVENTS);
	EXPECT_EQ(2, RATMAN_FAMILY_VERSION);
	EXPECT_EQ(4, RATMAN_ROUTE_HOPS_MAX);
	EXPECT_EQ(32, RATMAN_COOKIE_MAX);
	EXPECT_EQ(1400, RATMAN_FRAME_MAX);
	EXPECT_EQ(RATMAN_FRAME_MAX, RATMAN_OPAQUE_MAX);
}

#define FIELD(type, field, at, size) do { \
	EXPECT_EQ(at, offsetof(struct type, field)) TH_LOG(#type "." #field); \
	EXPECT_EQ(size, sizeof(((struct type *)0)->field)) TH_LOG(#type "." #field); \
} while (0)

TEST(wire_structs)
{
	EXPECT_EQ(0x88B5, RATMAN_ETHERTYPE);
	EXPECT_EQ(1, RATMAN_VERSION);

	EXPECT_EQ(20, sizeof(struct ratman_hop_hdr));
	FIELD(ratman_hop_hdr, ver_type, 0, 1);
	FIELD(ratman_hop_hdr, hop_limit, 1, 1);
	FIELD(ratman_hop_hdr, len, 2, 2);
	FIELD(ratman_hop_hdr, neigh, 4, 4);
	FIELD(ratman_hop_hdr, seq, 8, 4);
	FIELD(ratman_hop_hdr, tag, 12, 8);

	EXPECT_EQ(48, sizeof(struct ratman_hello));
	FIELD(ratman_hello, router, 0, 32);
	FIELD(ratman_hello, boot_id, 32, 8);
	FIELD(ratman_hello, interval_ms, 40, 4);
	FIELD(ratman_hello, capabilities, 44, 4);

	EXPECT_EQ(40, sizeof(struct ratman_echo));
	FIELD(ratman_echo, count, 0, 4);
	FIELD(ratman_echo, seen_count, 4, 4);
	FIELD(ratman_echo, seen_total, 8, 4);
	FIELD(ratman_echo, held_us, 12, 4);
	FIELD(ratman_echo, stamp_us, 16, 8);
	FIELD(ratman_echo, echo_us, 24, 8);
	FIELD(ratman_echo, interval_ms, 32, 4);

	EXPECT_EQ(44, sizeof(struct ratman_data_hdr));
	FIELD(ratman_data_hdr, dest, 0, 32);
	FIELD(ratman_data_hdr, session, 32, 4);
	FIELD(ratman_data_hdr, counter, 36, 8);

	EXPECT_EQ(32, sizeof(struct ratman_handshake_hdr));
	EXPECT_EQ(80, RATMAN_DATA_OVERHEAD);
}

/* Every version nibble, type and length against the table of design.md section 6. */
TEST(frame_check_is_exact)
{
	static const struct {
		unsigned int min, max;
	} limits[16] = {
		[RATMAN_HELLO] = { 48, 256 },
		[RATMAN_LINK] = { 1, 1400 },
		[RATMAN_ECHO] = { 40, 256 },
		[RATMAN_CONTROL] = { 1, 1400 },
		[RATMAN_DATA] = { 60, 0xffff },
		[RATMAN_HANDSHAKE] = { 33, 1432 },
	};

	for (unsigned int ver_type = 0; ver_type < 256; ver_type++) {
		for (unsigned int len = 0; len < 0x10000; len += len < 1500 ? 1 : 997) {
			struct ratman_hop_hdr hdr = { .ver_type = ver_type, .len = htobe16(len) };
			enum ratman_frame_error want = RATMAN_FRAME_OK;
			unsigned int type = ver_type & 15;

			if (ver_type >> 4 != 1)
				want = RATMAN_FRAME_VERSION;
			else if (!limits[type].max)
				want = RATMAN_FRAME_TYPE;
			else if (len < limits[type].min || len > limits[type].max)
				want = RATMAN_FRAME_LENGTH;
			ASSERT_EQ(want, ratman_frame_check(&hdr, len))
				TH_LOG("ver_type %#x, length %u", ver_type, len);
			ASSERT_EQ(want, ratman_frame_check(&hdr, len + 46))
				TH_LOG("ver_type %#x, length %u, padded", ver_type, len);
			if (len && want != RATMAN_FRAME_VERSION && want != RATMAN_FRAME_TYPE) {
				ASSERT_EQ(RATMAN_FRAME_SHORT, ratman_frame_check(&hdr, len - 1))
					TH_LOG("ver_type %#x, length %u, cut", ver_type, len);
			}
		}
	}
}

FIXTURE(family)
{
	int sock;
	char answer[16384];
	int len;
};

static struct nlattr *attr_of(void *start, int len, int type)
{
	char *p = start;

	while (len >= NLA_HDRLEN) {
		struct nlattr *attr = (struct nlattr *)p;

		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > len)
			return NULL;
		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		len -= NLA_ALIGN(attr->nla_len);
		p += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

static void *data_of(struct nlattr *attr)
{
	return (char *)attr + NLA_HDRLEN;
}

static __u32 u32_of(struct nlattr *attr)
{
	return *(__u32 *)data_of(attr);
}

/* Asks nlctrl for our family; -> bytes received or -1 */
static int ask_family(int sock, void *answer, size_t size)
{
	struct {
		struct nlmsghdr nl;
		struct genlmsghdr genl;
		struct nlattr attr;
		char name[8];
	} request = {
		.nl = { .nlmsg_len = sizeof(request), .nlmsg_type = GENL_ID_CTRL,
			.nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1 },
		.genl = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
		.attr = { .nla_len = NLA_HDRLEN + 7, .nla_type = CTRL_ATTR_FAMILY_NAME },
		.name = RATMAN_FAMILY_NAME,
	};

	if (send(sock, &request, sizeof(request), 0) != sizeof(request))
		return -1;
	return recv(sock, answer, size, 0);
}

FIXTURE_SETUP(family)
{
	self->sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	ASSERT_GE(self->sock, 0);
	self->len = ask_family(self->sock, self->answer, sizeof(self->answer));
	ASSERT_GT(self->len, (int)(NLMSG_HDRLEN + GENL_HDRLEN));
	ASSERT_EQ(GENL_ID_CTRL, ((struct nlmsghdr *)self->answer)->nlmsg_type);
}

FIXTURE_TEARDOWN(family)
{
	close(self->sock);
}

#define TOP(type) attr_of(self->answer + NLMSG_HDRLEN + GENL_HDRLEN, \
			  self->len - NLMSG_HDRLEN - GENL_HDRLEN, type)

TEST_F(family, version_and_attributes)
{
	ASSERT_NE(NULL, TOP(CTRL_ATTR_VERSION));
	EXPECT_EQ(RATMAN_FAMILY_VERSION, u32_of(TOP(CTRL_ATTR_VERSION)));
	ASSERT_NE(NULL, TOP(CTRL_ATTR_HDRSIZE));
	EXPECT_EQ(0, u32_of(TOP(CTRL_ATTR_HDRSIZE)));
}

TEST_F(family, group_events)
{
	struct nlattr *groups = TOP(CTRL_ATTR_MCAST_GROUPS), *group, *name;

	ASSERT_NE(NULL, groups);
	group = data_of(groups);
	name = attr_of(data_of(group), group->nla_len - NLA_HDRLEN, CTRL_ATTR_MCAST_GRP_NAME);
	ASSERT_NE(NULL, name);
	EXPECT_STREQ(RATMAN_MCGRP_EVENTS, (char *)data_of(name));
	EXPECT_EQ(NLA_HDRLEN + NLA_ALIGN(group->nla_len), groups->nla_len)
		TH_LOG("there are more groups");
}

/* Which commands there are, whether they can be asked and dumped, and who may. */
TEST_F(family, commands)
{
	static const char how[RATMAN_CMD_MAX + 1] = {
		[RATMAN_CMD_DEV_GET] = 'b', [RATMAN_CMD_DEV_SET] = 'd',
		[RATMAN_CMD_LINK_GET] = 'u',
		[RATMAN_CMD_NEIGH_SET] = 'd', [RATMAN_CMD_NEIGH_DEL] = 'd',
		[RATMAN_CMD_NEIGH_GET] = 'u',
		[RATMAN_CMD_ROUTE_SET] = 'd', [RATMAN_CMD_ROUTE_DEL] = 'd',
		[RATMAN_CMD_ROUTE_GET] = 'b',
		[RATMAN_CMD_ADDR_SET] = 'd', [RATMAN_CMD_ADDR_DEL] = 'd',
		[RATMAN_CMD_ADDR_GET] = 'u',
		[RATMAN_CMD_SESSION_SET] = 'd', [RATMAN_CMD_SESSION_DEL] = 'd',
		[RATMAN_CMD_SESSION_GET] = 'u',
		[RATMAN_CMD_STATS_GET] = 'd', [RATMAN_CMD_FRAME_TX] = 'd',
	};
	bool seen[256] = { false };
	struct nlattr *ops = TOP(CTRL_ATTR_OPS);
	char *p, *end;

	ASSERT_NE(NULL, ops);
	p = data_of(ops);
	end = (char *)ops + ops->nla_len;
	while (p + NLA_HDRLEN <= end) {
		struct nlattr *op = (struct nlattr *)p, *id, *flags;
		int len = op->nla_len - NLA_HDRLEN;

		ASSERT_GE(op->nla_len, NLA_HDRLEN);
		id = attr_of(data_of(op), len, CTRL_ATTR_OP_ID);
		flags = attr_of(data_of(op), len, CTRL_ATTR_OP_FLAGS);
		ASSERT_NE(NULL, id);
		ASSERT_NE(NULL, flags);
		ASSERT_LE(u32_of(id), RATMAN_CMD_MAX);
		seen[u32_of(id)] = true;
		char kind = how[u32_of(id)];

		EXPECT_NE(0, kind) TH_LOG("command %u should not be there", u32_of(id));
		EXPECT_EQ(kind != 'u', !!(u32_of(flags) & GENL_CMD_CAP_DO))
			TH_LOG("command %u: do", u32_of(id));
		EXPECT_EQ(kind != 'd', !!(u32_of(flags) & GENL_CMD_CAP_DUMP))
			TH_LOG("command %u: dump", u32_of(id));
		EXPECT_EQ(GENL_UNS_ADMIN_PERM, u32_of(flags) & (GENL_UNS_ADMIN_PERM | GENL_ADMIN_PERM))
			TH_LOG("command %u: permission", u32_of(id));
		EXPECT_NE(0, u32_of(flags) & GENL_CMD_CAP_HASPOL)
			TH_LOG("command %u has no policy", u32_of(id));
		p += NLA_ALIGN(op->nla_len);
	}
	for (int i = 0; i <= RATMAN_CMD_MAX; i++) {
		EXPECT_EQ(!!how[i], seen[i]) TH_LOG("command %d", i);
	}
}

static bool family_is_there(void)
{
	char answer[16384];
	int sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	int len = sock < 0 ? -1 : ask_family(sock, answer, sizeof(answer));

	if (sock >= 0)
		close(sock);
	return len > 0 && ((struct nlmsghdr *)answer)->nlmsg_type == GENL_ID_CTRL;
}

/* No module, no test: the harness knows no such condition for a whole program. */
static void __attribute__((constructor)) need_module(void)
{
	if (family_is_there() || (system("modprobe -q ratman 2>/dev/null") == 0 && family_is_there()))
		return;
	printf("TAP version 13\n1..0 # SKIP ratman.ko is not loaded\n");
	exit(KSFT_SKIP);
}

TEST_HARNESS_MAIN
