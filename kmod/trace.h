/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: /sys/kernel/tracing/events/ratman */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ratman

#if !defined(RATMAN_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define RATMAN_TRACE_H

#include <linux/netdevice.h>
#include <linux/tracepoint.h>

#include "neigh.h"
#include "stats.h"

#ifndef RATMAN_TRACE_STATS
#define RATMAN_TRACE_STAT(name, class, reason) { RATMAN_STAT_##name, #name },
#define RATMAN_TRACE_STATS RATMAN_STATS(RATMAN_TRACE_STAT) { RATMAN_STAT_COUNT, "none" }
#endif

TRACE_EVENT(ratman_drop,
	TP_PROTO(const struct net_device *dev, const struct sk_buff *skb, unsigned int stat),
	TP_ARGS(dev, skb, stat),
	TP_STRUCT__entry(
		__field(int, ifindex)
		__field(const void *, skb)
		__field(unsigned int, len)
		__field(unsigned int, stat)
	),
	TP_fast_assign(
		__entry->ifindex = dev->ifindex;
		__entry->skb = skb;
		__entry->len = skb->len;
		__entry->stat = stat;
	),
	TP_printk("ifindex=%d skb=%p len=%u reason=%s", __entry->ifindex, __entry->skb,
		  __entry->len, __print_symbolic(__entry->stat, RATMAN_TRACE_STATS))
);

TRACE_EVENT(ratman_punt,
	TP_PROTO(const struct net_device *dev, unsigned int type, unsigned int len, int err),
	TP_ARGS(dev, type, len, err),
	TP_STRUCT__entry(
		__field(int, ifindex)
		__field(unsigned int, type)
		__field(unsigned int, len)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->ifindex = dev->ifindex;
		__entry->type = type;
		__entry->len = len;
		__entry->err = err;
	),
	TP_printk("ifindex=%d type=%u len=%u err=%d", __entry->ifindex, __entry->type,
		  __entry->len, __entry->err)
);

TRACE_EVENT(ratman_neigh_state,
	TP_PROTO(const struct ratman_neigh *neigh, unsigned int state, unsigned int silent_ms),
	TP_ARGS(neigh, state, silent_ms),
	TP_STRUCT__entry(
		__field(int, link)
		__field(unsigned int, state)
		__field(unsigned int, silent_ms)
		__array(u8, router, RATMAN_ADDR_LEN)
	),
	TP_fast_assign(
		__entry->link = neigh->link->dev->ifindex;
		__entry->state = state;
		__entry->silent_ms = silent_ms;
		memcpy(__entry->router, neigh->router, RATMAN_ADDR_LEN);
	),
	TP_printk("link=%d router=%s state=%u silent_ms=%u", __entry->link,
		  __print_hex_str(__entry->router, RATMAN_ADDR_LEN), __entry->state,
		  __entry->silent_ms)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
