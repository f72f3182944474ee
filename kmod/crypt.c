// SPDX-License-Identifier: GPL-2.0-only
/*
 * Authenticated encryption of packets.
 *
 * Synchronous, in the CPU that has the packet, and linear: segments of what
 * local programs send come out of segmentation in one piece, and a received
 * frame that is not in one would have to be copied to become writable anyway.
 */
#include <crypto/chacha20poly1305.h>

#include "crypt.h"

static_assert(RATMAN_SESSION_KEY_LEN == CHACHA20POLY1305_KEY_SIZE);
static_assert(RATMAN_AEAD_TAG_LEN == CHACHA20POLY1305_AUTHTAG_SIZE);

/**
 * ratman_crypt_room - make a packet writable, linear and give it room
 * @skb: the packet, not shared
 * @head: bytes needed in front of it
 * @tail: bytes needed after it
 *
 * Copies the data once at most, and not at all in the usual case. The socket
 * keeps being charged. Warning: may reallocate the data.
 *
 * Return: 0 or a negative errno.
 */
int ratman_crypt_room(struct sk_buff *skb, unsigned int head, unsigned int tail)
{
	int more_head = (int)head - (int)skb_headroom(skb);
	int more_tail = (int)(skb->data_len + tail) -
			(int)(skb_end_pointer(skb) - skb_tail_pointer(skb));

	if (more_head > 0 || more_tail > 0 || skb_cloned(skb)) {
		int err = pskb_expand_head(skb, max(more_head, 0), max(more_tail, 0), GFP_ATOMIC);

		if (err)
			return err;
	}
	return skb_linearize(skb);
}

/**
 * ratman_crypt_seal - encrypt a packet in place and append the tag
 * @skb: the packet, after ratman_crypt_room()
 * @key: the key
 * @nonce: never used before with this key
 */
void ratman_crypt_seal(struct sk_buff *skb, const u8 key[RATMAN_SESSION_KEY_LEN], u64 nonce)
{
	unsigned int len = skb->len;

	skb_put(skb, RATMAN_AEAD_TAG_LEN);
	chacha20poly1305_encrypt(skb->data, skb->data, len, NULL, 0, nonce, key);
}

/**
 * ratman_crypt_open - verify and decrypt a packet in place, remove the tag
 * @skb: ciphertext and tag, linear and writable
 * @key: the key
 * @nonce: as it was sent with
 *
 * Return: false when it was not encrypted with this key and nonce.
 */
bool ratman_crypt_open(struct sk_buff *skb, const u8 key[RATMAN_SESSION_KEY_LEN], u64 nonce)
{
	if (skb->len < RATMAN_AEAD_TAG_LEN ||
	    !chacha20poly1305_decrypt(skb->data, skb->data, skb->len, NULL, 0, nonce, key))
		return false;
	__skb_trim(skb, skb->len - RATMAN_AEAD_TAG_LEN);
	return true;
}
