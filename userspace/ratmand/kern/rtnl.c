// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rtnetlink side of kern.h: addresses and routes on ratman0, links' masters.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <string.h>

#include "ratmand/kern/kern_priv.h"

static int request(struct kern *k, struct nl_msg *msg, int put_err)
{
	if (put_err) {
		nlmsg_free(msg);
		return kern_finish(k, &k->route, -EMSGSIZE);
	}
	return kern_finish(k, &k->route, nlsock_request(&k->route, msg, NULL, NULL));
}

static int change_ip(struct kern *k, int type, int flags, uint32_t ifindex,
		     const struct in6_addr *ip)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_ACK | flags);
	struct ifaddrmsg ifa = {
		.ifa_family = AF_INET6,
		.ifa_prefixlen = 128,
		.ifa_flags = IFA_F_NODAD,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = ifindex,
	};
	int err;

	if (!msg)
		return -ENOMEM;
	err = nlmsg_append(msg, &ifa, sizeof(ifa), NLMSG_ALIGNTO);
	err |= nla_put(msg, IFA_LOCAL, sizeof(*ip), ip);
	err |= nla_put(msg, IFA_ADDRESS, sizeof(*ip), ip);
	return request(k, msg, err);
}

int kern_ip_add(struct kern *k, uint32_t ifindex, const struct in6_addr *ip)
{
	return change_ip(k, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ifindex, ip);
}

int kern_ip_del(struct kern *k, uint32_t ifindex, const struct in6_addr *ip)
{
	int err = change_ip(k, RTM_DELADDR, 0, ifindex, ip);

	return err == -EADDRNOTAVAIL ? 0 : err;
}

bool kern_ip_has(struct kern *k, uint32_t ifindex, const struct in6_addr *ip)
{
	struct ifaddrs *list, *ifa;
	bool found = false;

	(void)k;
	if (getifaddrs(&list))
		return false;
	for (ifa = list; ifa && !found; ifa = ifa->ifa_next) {
		const struct sockaddr_in6 *sin6 = (const void *)ifa->ifa_addr;

		found = sin6 && sin6->sin6_family == AF_INET6 &&
			if_nametoindex(ifa->ifa_name) == ifindex &&
			!memcmp(&sin6->sin6_addr, ip, sizeof(*ip));
	}
	freeifaddrs(list);
	return found;
}

int kern_prefix_route(struct kern *k, uint32_t ifindex)
{
	static const struct in6_addr prefix = { .s6_addr = { 0x20, 0x01, 0x00, 0x20 } };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
	struct rtmsg rtm = {
		.rtm_family = AF_INET6,
		.rtm_dst_len = 28,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	int err;

	if (!msg)
		return -ENOMEM;
	err = nlmsg_append(msg, &rtm, sizeof(rtm), NLMSG_ALIGNTO);
	err |= nla_put(msg, RTA_DST, sizeof(prefix), &prefix);
	err |= nla_put_u32(msg, RTA_OIF, ifindex);
	return request(k, msg, err);
}

static int change_link(struct kern *k, const struct ifinfomsg *ifi, int attr, uint32_t value)
{
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_ACK);
	int err;

	if (!msg)
		return -ENOMEM;
	err = nlmsg_append(msg, (void *)ifi, sizeof(*ifi), NLMSG_ALIGNTO);
	if (attr)
		err |= nla_put_u32(msg, attr, value);
	return request(k, msg, err);
}

int kern_dev_create(struct kern *k, const char *name)
{
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg ifi = { 0 };
	struct nlattr *info;
	int err;

	if (!msg)
		return -ENOMEM;
	err = nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO);
	err |= nla_put_string(msg, IFLA_IFNAME, name);
	info = nla_nest_start(msg, IFLA_LINKINFO);
	err |= !info || nla_put_string(msg, IFLA_INFO_KIND, "ratman");
	if (info)
		nla_nest_end(msg, info);
	return request(k, msg, err);
}

int kern_dev_up(struct kern *k, uint32_t ifindex)
{
	struct ifinfomsg ifi = {
		.ifi_index = (int)ifindex,
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP,
	};

	return change_link(k, &ifi, 0, 0);
}

int kern_link_master(struct kern *k, uint32_t link, uint32_t ifindex)
{
	struct ifinfomsg ifi = { .ifi_index = (int)link };

	return change_link(k, &ifi, IFLA_MASTER, ifindex);
}
