/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/*
 * Generic netlink family "ratman": names and numbers, nothing else.
 * Described in Documentation/netlink/specs/ratman.yaml; numbers are only
 * ever appended.
 *
 * Every command needs CAP_NET_ADMIN in the network namespace of the device.
 * Every request names the mesh device with RATMAN_A_IFINDEX, except a
 * DEV_GET dump.
 */
#ifndef _UAPI_LINUX_RATMAN_H
#define _UAPI_LINUX_RATMAN_H

#define RATMAN_FAMILY_NAME	"ratman"
/* 2: RATMAN_A_HOP_MTU, and RATMAN_CMD_LINK_NTF when an MTU changes. */
#define RATMAN_FAMILY_VERSION	2

/* Multicast group: candidates, neighbours, links and sessions as they change. */
#define RATMAN_MCGRP_EVENTS	"events"

/* Ceilings, also enforced by the kernel. */
#define RATMAN_ROUTE_HOPS_MAX	4
#define RATMAN_COOKIE_MAX	32
#define RATMAN_FRAME_MAX	1400

enum ratman_cmd {
	RATMAN_CMD_UNSPEC,
	RATMAN_CMD_DEV_GET,	/* do, dump */
	RATMAN_CMD_DEV_SET,	/* router address, boot id; claims the device for this socket */
	RATMAN_CMD_LINK_GET,	/* dump */
	RATMAN_CMD_NEIGH_SET,
	RATMAN_CMD_NEIGH_DEL,
	RATMAN_CMD_NEIGH_GET,	/* dump */
	RATMAN_CMD_ROUTE_SET,
	RATMAN_CMD_ROUTE_DEL,
	RATMAN_CMD_ROUTE_GET,	/* do, dump */
	RATMAN_CMD_ADDR_SET,
	RATMAN_CMD_ADDR_DEL,
	RATMAN_CMD_ADDR_GET,	/* dump */
	RATMAN_CMD_SESSION_SET,
	RATMAN_CMD_SESSION_DEL,
	RATMAN_CMD_SESSION_GET,	/* dump */
	RATMAN_CMD_STATS_GET,	/* do */
	RATMAN_CMD_FRAME_TX,	/* LINK, CONTROL or HANDSHAKE from the daemon */
	RATMAN_CMD_FRAME_RX,	/* the same, punted to the daemon (unicast) */
	RATMAN_CMD_CANDIDATE_NTF,	/* HELLO heard (unicast to the daemon, and events) */
	RATMAN_CMD_NEIGH_NTF,	/* state changed (unicast to the daemon, and events) */
	RATMAN_CMD_LINK_NTF,	/* link added, removed, carrier or MTU changed */
	RATMAN_CMD_SESSION_WANT,	/* packets wait for a session, or one is due for renewal */
	__RATMAN_CMD_MAX
};

#define RATMAN_CMD_MAX (__RATMAN_CMD_MAX - 1)

enum ratman_attr {
	RATMAN_A_UNSPEC,
	RATMAN_A_PAD,
	RATMAN_A_IFINDEX,	/* u32: the mesh device */
	RATMAN_A_DEV,		/* nest ratman_dev_attr */
	RATMAN_A_LINK,		/* nest ratman_link_attr */
	RATMAN_A_NEIGH,		/* nest ratman_neigh_attr */
	RATMAN_A_ROUTE,		/* nest ratman_route_attr */
	RATMAN_A_ADDR,		/* nest ratman_addr_attr */
	RATMAN_A_SESSION,	/* nest ratman_session_attr */
	RATMAN_A_FRAME,		/* nest ratman_frame_attr */
	RATMAN_A_STAT,		/* nest ratman_stat_attr, repeated */
	__RATMAN_A_MAX
};

#define RATMAN_A_MAX (__RATMAN_A_MAX - 1)

enum ratman_dev_attr {
	RATMAN_A_DEV_UNSPEC,
	RATMAN_A_DEV_PAD,
	RATMAN_A_DEV_NAME,	/* string, get only */
	RATMAN_A_DEV_ROUTER,	/* binary 32: router address */
	RATMAN_A_DEV_BOOT_ID,	/* binary 8 */
	RATMAN_A_DEV_CLAIM,	/* flag in DEV_SET: punts and unicast events go to this socket;
				 * in DEV_GET: a daemon is attached */
	RATMAN_A_DEV_HELLO_MS,	/* u32: HELLO interval, 100 to 60000 */
	RATMAN_A_DEV_NEIGHS,	/* u32, get only */
	RATMAN_A_DEV_ROUTES,	/* u32, get only */
	RATMAN_A_DEV_ADDRS,	/* u32, get only */
	RATMAN_A_DEV_SESSIONS,	/* u32, get only */
	RATMAN_A_DEV_ROUTES_MAX,	/* u32: cap of the FIB */
	__RATMAN_A_DEV_MAX
};

#define RATMAN_A_DEV_MAX (__RATMAN_A_DEV_MAX - 1)

enum ratman_link_attr {
	RATMAN_A_LINK_UNSPEC,
	RATMAN_A_LINK_PAD,
	RATMAN_A_LINK_IFINDEX,	/* u32 */
	RATMAN_A_LINK_NAME,	/* string */
	RATMAN_A_LINK_MTU,	/* u32 */
	RATMAN_A_LINK_STATE,	/* u32 ratman_link_state */
	RATMAN_A_LINK_NEIGHS,	/* u32 */
	RATMAN_A_LINK_RX_FRAMES,	/* u64 */
	RATMAN_A_LINK_TX_FRAMES,	/* u64 */
	RATMAN_A_LINK_RX_BYTES,	/* u64 */
	RATMAN_A_LINK_TX_BYTES,	/* u64 */
	__RATMAN_A_LINK_MAX
};

#define RATMAN_A_LINK_MAX (__RATMAN_A_LINK_MAX - 1)

enum ratman_link_state {
	RATMAN_LINK_DOWN,	/* no carrier, or administratively down */
	RATMAN_LINK_UP,
	RATMAN_LINK_REMOVED,	/* in LINK_NTF only */
};

enum ratman_neigh_attr {
	RATMAN_A_NEIGH_UNSPEC,
	RATMAN_A_NEIGH_PAD,
	RATMAN_A_NEIGH_LINK,	/* u32: ifindex of the link */
	RATMAN_A_NEIGH_LLADDR,	/* binary 6: link-layer address */
	RATMAN_A_NEIGH_ROUTER,	/* binary 32: router address; with the link it names the neighbour */
	RATMAN_A_NEIGH_INDEX,	/* u32: our index, what the neighbour puts into frames for us */
	RATMAN_A_NEIGH_PEER_INDEX,	/* u32: its index, what we put into frames for it */
	RATMAN_A_NEIGH_RX_KEY,	/* binary 16, never dumped */
	RATMAN_A_NEIGH_TX_KEY,	/* binary 16, never dumped */
	RATMAN_A_NEIGH_INITIATOR,	/* flag: use the new tx key at once; otherwise after the first
				 * frame that verifies under the new rx key */
	RATMAN_A_NEIGH_STATE,	/* u32 ratman_neigh_state */
	RATMAN_A_NEIGH_BOOT_ID,	/* binary 8, in CANDIDATE_NTF and kept with the neighbour */
	RATMAN_A_NEIGH_RTT_US,	/* u32: smoothed round trip */
	RATMAN_A_NEIGH_LOSS,	/* u32: share of frames lost towards it, 0 to 65535 */
	RATMAN_A_NEIGH_SILENT_MS,	/* u32: since the last valid frame */
	RATMAN_A_NEIGH_RX_FRAMES,	/* u64 */
	RATMAN_A_NEIGH_TX_FRAMES,	/* u64 */
	RATMAN_A_NEIGH_RX_BYTES,	/* u64 */
	RATMAN_A_NEIGH_TX_BYTES,	/* u64 */
	RATMAN_A_NEIGH_AGE_MS,	/* u64: since the current key was set */
	RATMAN_A_NEIGH_REKEY,	/* flag in NEIGH_NTF: a lane nears its end, renew the key */
	__RATMAN_A_NEIGH_MAX
};

#define RATMAN_A_NEIGH_MAX (__RATMAN_A_NEIGH_MAX - 1)

enum ratman_neigh_state {
	RATMAN_NEIGH_DEAD,	/* nothing heard for too long, or carrier lost; keys are kept */
	RATMAN_NEIGH_ALIVE,
	RATMAN_NEIGH_REMOVED,	/* in NEIGH_NTF only: deleted, or its link is gone */
};

enum ratman_route_attr {
	RATMAN_A_ROUTE_UNSPEC,
	RATMAN_A_ROUTE_PAD,
	RATMAN_A_ROUTE_DEST,	/* binary 32: address */
	RATMAN_A_ROUTE_IPV6,	/* binary 16: its IPv6 address */
	RATMAN_A_ROUTE_HOP,	/* nest ratman_hop_attr, repeated, best first */
	RATMAN_A_ROUTE_EXPIRES_MS,	/* u32: removed if not set again before; 0 = never */
	RATMAN_A_ROUTE_COOKIE,	/* binary, at most RATMAN_COOKIE_MAX: opaque, the daemon's memory */
	__RATMAN_A_ROUTE_MAX
};

#define RATMAN_A_ROUTE_MAX (__RATMAN_A_ROUTE_MAX - 1)

enum ratman_hop_attr {
	RATMAN_A_HOP_UNSPEC,
	RATMAN_A_HOP_NEIGH,	/* u32: our index of the neighbour */
	RATMAN_A_HOP_METRIC,	/* u32: for display, 0 to 65535 */
	RATMAN_A_HOP_MTU,	/* u32: largest frame that gets all the way through this hop,
				 * 1360 to 65535; without it only the link to it counts */
	__RATMAN_A_HOP_MAX
};

#define RATMAN_A_HOP_MAX (__RATMAN_A_HOP_MAX - 1)

enum ratman_addr_attr {
	RATMAN_A_ADDR_UNSPEC,
	RATMAN_A_ADDR_PAD,
	RATMAN_A_ADDR_ADDRESS,	/* binary 32: an address of this router */
	RATMAN_A_ADDR_IPV6,	/* binary 16 */
	RATMAN_A_ADDR_POLICY,	/* u32 ratman_policy */
	__RATMAN_A_ADDR_MAX
};

#define RATMAN_A_ADDR_MAX (__RATMAN_A_ADDR_MAX - 1)

/* What may come in to an address from a peer that started the conversation. */
enum ratman_policy {
	RATMAN_POLICY_OPEN,	/* everything */
	RATMAN_POLICY_CONTACTS,	/* sessions marked CONTACT: everything; others: TCP to and from
				 * port 5853, ICMPv6 echo and ICMPv6 errors */
	RATMAN_POLICY_NONE,	/* only answers: TCP without SYN-only segments, ICMPv6 echo reply
				 * and errors; no UDP */
};

enum ratman_session_attr {
	RATMAN_A_SESSION_UNSPEC,
	RATMAN_A_SESSION_PAD,
	RATMAN_A_SESSION_LOCAL,	/* binary 32: our address */
	RATMAN_A_SESSION_PEER,	/* binary 32: peer's address */
	RATMAN_A_SESSION_LOCAL_IPV6,	/* binary 16 */
	RATMAN_A_SESSION_PEER_IPV6,	/* binary 16 */
	RATMAN_A_SESSION_INDEX,	/* u32: our index */
	RATMAN_A_SESSION_PEER_INDEX,	/* u32: its index */
	RATMAN_A_SESSION_RX_KEY,	/* binary 32, never dumped */
	RATMAN_A_SESSION_TX_KEY,	/* binary 32, never dumped */
	RATMAN_A_SESSION_INITIATOR,	/* flag: as RATMAN_A_NEIGH_INITIATOR */
	RATMAN_A_SESSION_CONTACT,	/* flag: the peer is a contact of LOCAL */
	RATMAN_A_SESSION_AGE_MS,	/* u64: age of the current key */
	RATMAN_A_SESSION_RX_PACKETS,	/* u64 */
	RATMAN_A_SESSION_TX_PACKETS,	/* u64 */
	RATMAN_A_SESSION_RX_BYTES,	/* u64 */
	RATMAN_A_SESSION_TX_BYTES,	/* u64 */
	RATMAN_A_SESSION_STAGED,	/* u32: packets that wait */
	RATMAN_A_SESSION_IDLE_MS,	/* u64: since the last packet in either direction */
	__RATMAN_A_SESSION_MAX
};

#define RATMAN_A_SESSION_MAX (__RATMAN_A_SESSION_MAX - 1)

enum ratman_frame_attr {
	RATMAN_A_FRAME_UNSPEC,
	RATMAN_A_FRAME_TYPE,	/* u32: enum ratman_frame_type of include/ratman/frame.h */
	RATMAN_A_FRAME_LINK,	/* u32: ifindex (LINK) */
	RATMAN_A_FRAME_LLADDR,	/* binary 6: destination in FRAME_TX, source in FRAME_RX (LINK) */
	RATMAN_A_FRAME_NEIGH,	/* u32: our index of the neighbour (CONTROL; HANDSHAKE in FRAME_RX) */
	RATMAN_A_FRAME_DEST,	/* binary 32: destination address (HANDSHAKE) */
	RATMAN_A_FRAME_BODY,	/* binary, 1 to RATMAN_FRAME_MAX */
	__RATMAN_A_FRAME_MAX
};

#define RATMAN_A_FRAME_MAX (__RATMAN_A_FRAME_MAX - 1)

enum ratman_stat_attr {
	RATMAN_A_STAT_UNSPEC,
	RATMAN_A_STAT_PAD,
	RATMAN_A_STAT_NAME,	/* string */
	RATMAN_A_STAT_VALUE,	/* u64 */
	__RATMAN_A_STAT_MAX
};

#define RATMAN_A_STAT_MAX (__RATMAN_A_STAT_MAX - 1)

#endif
