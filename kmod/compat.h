/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels we build for. Force-included, and the only
 * place that asks for a version. Code is written for the newest kernel; each
 * block here says when it can go.
 */
#ifndef RATMAN_COMPAT_H
#define RATMAN_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "ratman needs Linux 6.1 or newer"
#endif

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/timer.h>
#include <net/genetlink.h>

/* Remove when the minimum is 6.5: moved out of netdevice.h. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#include <net/gso.h>
#endif

/* Remove when the minimum is 6.12: moved out of asm/. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

/* Remove when the minimum is 6.2; stable 6.1 got it late. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 158)
#define timer_delete_sync del_timer_sync
#endif

/* Remove when the minimum is 6.2: first argument of pre_doit and post_doit. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define genl_split_ops genl_ops
#endif

/*
 * A variable of the hot path that is filled before it is read: the compiler need not clear it
 * (CONFIG_INIT_STACK_ALL_ZERO). Remove when there is a name for it in compiler_attributes.h.
 */
#if __has_attribute(__uninitialized__)
#define __ratman_uninit __attribute__((__uninitialized__))
#else
#define __ratman_uninit
#endif

/* Remove when the minimum is 6.6. */
static inline struct nlattr **ratman_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return genl_dumpit_info(cb)->attrs;
#else
	return genl_info_dump(cb)->attrs;
#endif
}

/* Remove the branches when the minimum is 6.15: feature bits became fields, one of them twice. */
static inline void ratman_compat_setup(struct net_device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	dev->features |= NETIF_F_LLTX | NETIF_F_NETNS_LOCAL;
#else
	dev->lltx = true;
#ifdef RATMAN_HAVE_NETNS_IMMUTABLE
	dev->netns_immutable = true;
#else
	dev->netns_local = true;
#endif
#endif
}

#endif
