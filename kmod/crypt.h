/* SPDX-License-Identifier: GPL-2.0-only */
/* Authenticated encryption of packets: ChaCha20-Poly1305, the nonce is the counter. */
#ifndef RATMAN_CRYPT_H
#define RATMAN_CRYPT_H

#include <linux/skbuff.h>

#include <ratman/frame.h>

int ratman_crypt_room(struct sk_buff *skb, unsigned int head, unsigned int tail);
void ratman_crypt_seal(struct sk_buff *skb, const u8 key[RATMAN_SESSION_KEY_LEN], u64 nonce);
bool ratman_crypt_open(struct sk_buff *skb, const u8 key[RATMAN_SESSION_KEY_LEN], u64 nonce);

#endif
