/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel knows about the other end of a TCP connection inside this host.
 */
#ifndef RATMAND_KERN_SOCKDIAG_H
#define RATMAND_KERN_SOCKDIAG_H

#include <stdint.h>
#include <sys/types.h>

/* A descriptor to ask with, owned; close(2) it. Negative errno where the kernel has none. */
int sockdiag_open(void);

/*
 * Bytes sent over the connection @fd that the program at its other end has not
 * read yet. 0, -ENOENT when the other end is closed or on another host, or
 * another negative errno when the kernel does not say.
 */
int sockdiag_unread(int diag, int fd, uint32_t *unread);

/*
 * The Unix user of the program at the other end of @fd. Errors as above; -ENOENT also
 * when the socket there belongs to no program any more.
 */
int sockdiag_uid(int diag, int fd, uid_t *uid);

#endif
