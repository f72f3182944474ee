// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ratman for Linux: a mesh whose addresses are public keys.
 *
 * Order of life: what everything uses, then devices, then the door to
 * userspace last; on the way out exactly the reverse.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <net/rtnetlink.h>

#include "dev.h"
#include "link.h"
#include "main.h"
#include "nl.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

hsiphash_key_t ratman_hash_key __ro_after_init;
__be16 ratman_ethertype __ro_after_init;
struct ratman_scratch __percpu *ratman_scratch;

static ushort ethertype = RATMAN_ETHERTYPE;
module_param(ethertype, ushort, 0444);
MODULE_PARM_DESC(ethertype, "Ethernet protocol number of our frames (default 0x88B5)");

static int __init ratman_init(void)
{
	int err;

	if (!eth_proto_is_802_3(htons(ethertype))) {
		pr_err("ratman: ethertype must be at least 0x0600, not 0x%04x\n", ethertype);
		return -EINVAL;
	}
	ratman_ethertype = htons(ethertype);
	get_random_bytes(&ratman_hash_key, sizeof(ratman_hash_key));

	ratman_scratch = alloc_percpu(struct ratman_scratch);
	if (!ratman_scratch)
		return -ENOMEM;

	err = ratman_link_register();
	if (err)
		goto err_scratch;
	err = ratman_dev_register();
	if (err)
		goto err_link;
	err = ratman_nl_register();
	if (err)
		goto err_dev;
	return 0;

err_dev:
	ratman_dev_unregister();
err_link:
	ratman_link_unregister();
	rcu_barrier();
err_scratch:
	free_percpu(ratman_scratch);
	return err;
}

static void __exit ratman_exit(void)
{
	ratman_nl_unregister();
	ratman_dev_unregister();
	ratman_link_unregister();
	/* Keys, neighbours, links and sessions are freed by RCU callbacks in here. */
	rcu_barrier();
	free_percpu(ratman_scratch);
}

module_init(ratman_init);
module_exit(ratman_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Ratman mesh routing");
MODULE_VERSION(RATMAN_MODULE_VERSION);
MODULE_ALIAS_RTNL_LINK("ratman");
MODULE_ALIAS_GENL_FAMILY(RATMAN_FAMILY_NAME);
