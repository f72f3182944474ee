// SPDX-License-Identifier: GPL-2.0-only
/*
 * kgen: sends frames as fast as they arrive at the other end, for tests/bench/guest_forward.py.
 *
 * A closed loop: at most "window" frames are under way, so nothing is lost to a full queue and
 * what is measured is the path. Every frame is an sk_buff of its own, unshared, as a driver would
 * make it (pktgen's are shared until it has its reference back: who rewrites them must copy).
 *
 * Written to /proc/kgen, in the network namespace of the interface:
 *	sink DEV				count and eat what arrives there
 *	unsink
 *	gen DEV COUNT WINDOW SIZE L2 HEADER	frames of SIZE bytes that begin with HEADER (hex),
 *						L2 bytes of which are the link layer's
 *	ratman DEV COUNT WINDOW SIZE HEADER KEY FIRST
 *						DATA frames: HEADER is Ethernet's, the hop header and
 *						the data header; sequence numbers from FIRST on, and
 *						tags under KEY, computed before the clock starts
 * Read: frames sent, frames arrived, refused by the interface, stalls, nanoseconds.
 */
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/rtnetlink.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/siphash.h>
#include <linux/udp.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif
#include <ratman/frame.h>

#define HEADER_MAX	256
#define WORDS_MAX	8
#define FRAMES_MAX	10000000
#define STALL_NS	(200 * NSEC_PER_MSEC)
#define UDP_DISCARD	9

/* What arrived; written in softirq context, read by the generator. */
static unsigned long rx_frames;
static struct net_device *sink_dev;

/* The latest run; under the lock. */
static DEFINE_MUTEX(kgen_lock);
static unsigned long tx_frames, tx_refused, stalls;
static u64 run_ns;

/* One order to send. */
struct job {
	struct net_device *dev;
	unsigned long count;
	unsigned int window, size, l2;
	u8 header[HEADER_MAX];
	unsigned int header_len;
	u32 first;
	__le64 *tags;		/* of ratman frames, else NULL */
};

/* Our frames among what arrives; the rest (ECHO, neighbour discovery …) goes on. */
static bool is_ours(const struct sk_buff *skb)
{
	u8 buf[48];
	const u8 *b;

	switch (skb->protocol) {
	case htons(ETH_P_IPV6):
		b = skb_header_pointer(skb, skb_network_offset(skb), 44, buf);
		return b && b[6] == IPPROTO_UDP && b[42] == 0 && b[43] == UDP_DISCARD;
	case htons(ETH_P_BATMAN):
		b = skb_header_pointer(skb, 0, 1, buf);
		return b && b[0] == 0x40;	/* BATADV_UNICAST */
	case htons(RATMAN_ETHERTYPE):
		b = skb_header_pointer(skb, 0, 1, buf);
		return b && b[0] == (RATMAN_VERSION << 4 | RATMAN_DATA);
	default:
		return false;
	}
}

static rx_handler_result_t kgen_rx(struct sk_buff **pskb)
{
	if (!is_ours(*pskb))
		return RX_HANDLER_PASS;
	WRITE_ONCE(rx_frames, rx_frames + 1);
	consume_skb(*pskb);
	return RX_HANDLER_CONSUMED;
}

static int kgen_unsink(void)
{
	rtnl_lock();
	if (sink_dev) {
		netdev_rx_handler_unregister(sink_dev);
		dev_put(sink_dev);
		sink_dev = NULL;
	}
	rtnl_unlock();
	return 0;
}

static int kgen_sink(struct net *net, const char *name)
{
	struct net_device *dev;
	int err = -ENODEV;

	kgen_unsink();
	rtnl_lock();
	dev = dev_get_by_name(net, name);
	if (dev) {
		err = netdev_rx_handler_register(dev, kgen_rx, NULL);
		if (err)
			dev_put(dev);
		else
			sink_dev = dev;
	}
	rtnl_unlock();
	return err;
}

/* Waits until less than a window is under way. False when the rest is lost: a stall. */
static bool wait_for_room(unsigned long sent, unsigned long base, unsigned int window)
{
	u64 since = 0;

	while (sent - (READ_ONCE(rx_frames) - base) >= window) {
		if (!since)
			since = ktime_get_ns();
		else if (ktime_get_ns() - since > STALL_NS || fatal_signal_pending(current))
			return false;
		yield();
	}
	return true;
}

static struct sk_buff *make_frame(const struct job *job, unsigned long i)
{
	unsigned int reserve = NET_SKB_PAD + LL_RESERVED_SPACE(job->dev);
	struct sk_buff *skb = alloc_skb(reserve + job->size, GFP_KERNEL);

	if (!skb)
		return NULL;
	skb_reserve(skb, reserve);
	skb_put_data(skb, job->header, job->header_len);
	skb_put_zero(skb, job->size - job->header_len);
	if (job->tags) {
		struct ratman_hop_hdr *hop = (void *)skb->data + ETH_HLEN;

		hop->seq = cpu_to_be32(job->first + i);
		memcpy(hop->tag, &job->tags[i], sizeof(hop->tag));
	}
	skb->dev = job->dev;
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, job->l2);
	skb->protocol = job->l2 ? eth_hdr(skb)->h_proto : htons(ETH_P_IPV6);
	return skb;
}

static int kgen_send(const struct job *job)
{
	unsigned long i, base = READ_ONCE(rx_frames), lost = 0;
	u64 start = ktime_get_ns();
	int err = 0;

	tx_frames = 0;
	tx_refused = 0;
	stalls = 0;
	for (i = 0; i < job->count; i++) {
		struct sk_buff *skb;

		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		if (!wait_for_room(tx_frames - lost, base, job->window)) {
			lost = tx_frames - (READ_ONCE(rx_frames) - base);
			stalls++;
		}
		skb = make_frame(job, i);
		if (!skb) {
			err = -ENOMEM;
			break;
		}
		if (dev_queue_xmit(skb) != NET_XMIT_SUCCESS)
			tx_refused++;
		tx_frames++;
		if (i % 64 == 63)
			cond_resched();
	}
	if (!wait_for_room(tx_frames - lost, base, 1))
		stalls++;
	run_ns = ktime_get_ns() - start;
	return err;
}

/* The tags of all frames of a job: hop header without its tag, then the data header. */
static int make_tags(struct job *job, const char *key_text)
{
	const u8 *hop = job->header + ETH_HLEN;
	u8 key_bytes[RATMAN_SIPHASH_KEY_LEN];
	siphash_key_t key;
	struct {
		u8 head[RATMAN_TAGGED_HDR];
		u8 data[sizeof(struct ratman_data_hdr)];
	} __aligned(8) covered;
	unsigned long i;

	if (job->header_len != ETH_HLEN + sizeof(struct ratman_hop_hdr) + sizeof(struct ratman_data_hdr) ||
	    strlen(key_text) != 2 * sizeof(key_bytes) || hex2bin(key_bytes, key_text, sizeof(key_bytes)))
		return -EINVAL;
	key.key[0] = get_unaligned_le64(key_bytes);
	key.key[1] = get_unaligned_le64(key_bytes + 8);
	job->tags = vmalloc(array_size(job->count, sizeof(*job->tags)));
	if (!job->tags)
		return -ENOMEM;
	memcpy(covered.head, hop, sizeof(covered.head));
	memcpy(covered.data, hop + sizeof(struct ratman_hop_hdr), sizeof(covered.data));
	for (i = 0; i < job->count; i++) {
		put_unaligned_be32(job->first + i, covered.head + offsetof(struct ratman_hop_hdr, seq));
		job->tags[i] = cpu_to_le64(siphash(&covered, sizeof(covered), &key));
		if (i % 1024 == 1023)
			cond_resched();
	}
	return 0;
}

/* "gen" with 6 words after it, "ratman" with 7. */
static int kgen_job(struct net *net, char **word, int words, bool ratman)
{
	struct job *job;
	const char *header;
	int err;

	if (words != (ratman ? 8 : 7))
		return -EINVAL;
	job = kzalloc(sizeof(*job), GFP_KERNEL);
	if (!job)
		return -ENOMEM;
	err = -EINVAL;
	header = word[ratman ? 5 : 6];
	job->l2 = ETH_HLEN;
	job->header_len = strlen(header) / 2;
	if (kstrtoul(word[2], 0, &job->count) || kstrtouint(word[3], 0, &job->window) ||
	    kstrtouint(word[4], 0, &job->size) || (!ratman && kstrtouint(word[5], 0, &job->l2)) ||
	    (ratman && kstrtou32(word[7], 0, &job->first)) ||
	    job->header_len > sizeof(job->header) || hex2bin(job->header, header, job->header_len) ||
	    !job->count || job->count > FRAMES_MAX || !job->window ||
	    job->size < job->header_len || job->size > 0xffff || job->l2 > job->header_len)
		goto out;
	if (ratman) {
		err = make_tags(job, word[6]);
		if (err)
			goto out;
	}
	err = -ENODEV;
	job->dev = dev_get_by_name(net, word[1]);
	if (!job->dev)
		goto out;
	err = kgen_send(job);
	dev_put(job->dev);
out:
	vfree(job->tags);
	kfree(job);
	return err;
}

static ssize_t kgen_write(struct file *file, const char __user *text, size_t len, loff_t *pos)
{
	struct net *net = current->nsproxy->net_ns;
	char *word[WORDS_MAX], *copy, *rest, *next;
	int words = 0, err = -EINVAL;

	if (len > PAGE_SIZE)
		return -EINVAL;
	copy = memdup_user_nul(text, len);
	if (IS_ERR(copy))
		return PTR_ERR(copy);
	rest = strim(copy);
	while ((next = strsep(&rest, " ")) && words < WORDS_MAX)
		word[words++] = next;
	mutex_lock(&kgen_lock);
	if (next)
		err = -EINVAL;
	else if (words == 2 && !strcmp(word[0], "sink"))
		err = kgen_sink(net, word[1]);
	else if (words == 1 && !strcmp(word[0], "unsink"))
		err = kgen_unsink();
	else if (!strcmp(word[0], "gen") || !strcmp(word[0], "ratman"))
		err = kgen_job(net, word, words, word[0][0] == 'r');
	mutex_unlock(&kgen_lock);
	kfree(copy);
	return err ?: len;
}

static int kgen_show(struct seq_file *s, void *v)
{
	mutex_lock(&kgen_lock);
	seq_printf(s, "%lu %lu %lu %lu %llu\n", tx_frames, READ_ONCE(rx_frames), tx_refused, stalls, run_ns);
	mutex_unlock(&kgen_lock);
	return 0;
}

static int kgen_open(struct inode *inode, struct file *file)
{
	return single_open(file, kgen_show, NULL);
}

static const struct proc_ops kgen_ops = {
	.proc_open = kgen_open,
	.proc_read = seq_read,
	.proc_write = kgen_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

static int __init kgen_init(void)
{
	return proc_create("kgen", 0600, NULL, &kgen_ops) ? 0 : -ENOMEM;
}

static void __exit kgen_exit(void)
{
	remove_proc_entry("kgen", NULL);
	kgen_unsink();
}

module_init(kgen_init);
module_exit(kgen_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Closed-loop frame generator and sink for measurements");
