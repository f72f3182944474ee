// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does something wrong on purpose, to prove that scripts/vm notices:
 *	scripts/vm --with tests/guest/splat -- sh -c 'insmod $RATMAN_WITH/splat/splat.ko how=warn'
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *how = "none";
module_param(how, charp, 0);
MODULE_PARM_DESC(how, "none, warn, bug, out-of-bounds, use-after-free, leak, deadlock, sleep or hang");

static DEFINE_SPINLOCK(first);
static DEFINE_SPINLOCK(second);
static DEFINE_MUTEX(mutex);

static void out_of_bounds(void)
{
	volatile char *p = kmalloc(100, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);
	if (p)
		p[100] = 1;
	kfree((void *)p);
}

static void use_after_free(void)
{
	volatile char *p = kmalloc(64, GFP_KERNEL);

	kfree((void *)p);
	OPTIMIZER_HIDE_VAR(p);
	if (p)
		p[5] = 1;
}

static void leak(void)
{
	int i;

	/* several: a stale register or stack slot may still point to one */
	for (i = 0; i < 5; i++) {
		void *p = kmalloc(333, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(p);
	}
}

static void deadlock(void)
{
	spin_lock(&first);
	spin_lock(&second);
	spin_unlock(&second);
	spin_unlock(&first);

	spin_lock(&second);
	spin_lock(&first);
	spin_unlock(&first);
	spin_unlock(&second);
}

static void sleep_in_atomic(void)
{
	spin_lock(&first);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	spin_unlock(&first);
}

static void hang(void)
{
	local_bh_disable();
	for (;;)
		cpu_relax();
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
	{ "out-of-bounds", out_of_bounds },
	{ "use-after-free", use_after_free },
	{ "leak", leak },
	{ "deadlock", deadlock },
	{ "sleep", sleep_in_atomic },
	{ "hang", hang },
};

static int __init splat_init(void)
{
	int i;

	if (!strcmp(how, "none"))
		return 0;
	if (!strcmp(how, "warn")) {
		WARN(1, "splat: on purpose\n");
		return 0;
	}
	if (!strcmp(how, "bug"))
		BUG();
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!strcmp(how, ways[i].name)) {
			ways[i].run();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit splat_exit(void)
{
}

module_init(splat_init);
module_exit(splat_exit);
MODULE_DESCRIPTION("Deliberate mistakes");
MODULE_LICENSE("GPL");
