/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes that a client sends through a data socket of their own (ping 9), as Send/Many
 * has it: whatever takes them is a sink. Private to api/; send.c has the code.
 */
#ifndef RATMAND_API_DATA_H
#define RATMAND_API_DATA_H

#include "ratmand/api/client.h"

struct data_ops {
	/* Opens the sink that @request asks for; @drain after a write that said -EAGAIN. Unused by streams. */
	int (*open)(struct api_server *s, const void *request, backend_ready_cb drain, void *ctx,
		    void **sink);
	/* As send_write, send_finish and send_abort of the backend; these two end the writing. */
	int (*write)(struct api_server *s, void *sink, const void *data, size_t len);
	void (*finish)(struct api_server *s, void *sink, backend_done_cb cb, void *ctx);
	void (*abort)(struct api_server *s, void *sink);
	/* Frees what finish and abort left of the sink. May be NULL. */
	void (*release)(void *sink);
	/* Answers the client: all went well; or not, -ENODATA when no byte came. */
	void (*done)(struct client *c, void *sink);
	void (*failed)(struct client *c, int err);
};

/* Opens a sink and names the client a socket for it. Answers in the end, one way or the other. */
void data_start(struct client *c, const struct data_ops *ops, const void *request);

#endif
