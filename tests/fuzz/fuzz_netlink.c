// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Parsers of what the kernel sends: events and every kind of record, from
 * arbitrary attribute bytes.
 */
#include <netlink/genl/genl.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/kern/attrs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_records(struct nlmsghdr *hdr)
{
	struct nlattr *attr;
	int left;

	nlmsg_for_each_attr(attr, hdr, GENL_HDRLEN, left) {
		struct kern_dev dev = { 0 };
		struct kern_link link = { 0 };
		struct kern_neigh neigh = { 0 };
		struct kern_route route = { 0 };
		struct kern_addr addr = { 0 };
		struct kern_session session = { 0 };
		struct kern_frame frame = { 0 };
		char name[64];
		uint64_t value;

		attrs_parse_dev(attr, &dev);
		attrs_parse_link(attr, &link);
		attrs_parse_neigh(attr, &neigh);
		attrs_parse_addr(attr, &addr);
		attrs_parse_session(attr, &session);
		attrs_parse_stat(attr, name, &value);
		if (!attrs_parse_route(attr, &route) &&
		    (route.n_hops > RATMAN_ROUTE_HOPS_MAX || route.cookie_len > RATMAN_COOKIE_MAX))
			abort();
		if (strnlen(link.name, sizeof(link.name)) == sizeof(link.name) ||
		    strnlen(name, sizeof(name)) == sizeof(name))
			abort();
		if (!attrs_parse_frame(attr, &frame) && (!frame.len || !frame.body))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kern_event ev = { 0 };
	struct nlmsghdr *hdr;
	struct genlmsghdr *genl;

	if (size < 1 || size > 8192)
		return 0;
	/* First byte: the command; the rest: attributes. */
	hdr = calloc(1, NLMSG_HDRLEN + GENL_HDRLEN + size);
	if (!hdr)
		return 0;
	hdr->nlmsg_len = (uint32_t)(NLMSG_HDRLEN + GENL_HDRLEN + size - 1);
	genl = nlmsg_data(hdr);
	genl->cmd = data[0];
	genl->version = 1;
	memcpy((uint8_t *)genl + GENL_HDRLEN, data + 1, size - 1);
	if (!attrs_parse_event(hdr, &ev) && ev.cmd == RATMAN_CMD_FRAME_RX && !ev.frame.body)
		abort();
	parse_records(hdr);
	free(hdr);
	return 0;
}
