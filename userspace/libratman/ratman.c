// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls that ask one question and get one answer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "libratman/handle.h"

static const struct {
	int err;
	const char *text;
} texts[] = {
	{ 0, "success" },
	{ RATMAN_EUNREACHABLE, "cannot reach the daemon" },
	{ RATMAN_ETIMEOUT, "no answer in time" },
	{ RATMAN_ECLOSED, "the daemon closed the connection" },
	{ RATMAN_EPROTOCOL, "the answer is not Microframe" },
	{ RATMAN_EVERSION, "the daemon speaks another version of the protocol" },
	{ RATMAN_EAUTH, "wrong or missing token for this address" },
	{ RATMAN_ENOADDRESS, "the daemon does not hold this address" },
	{ RATMAN_EDUPLICATE, "the address exists already" },
	{ RATMAN_ENOTSUPPORTED, "the daemon does not support this" },
	{ RATMAN_EINPUT, "the daemon found the request wrong" },
	{ RATMAN_EINTERNAL, "the daemon failed" },
	{ RATMAN_ENOSUBSCRIPTION, "no such subscription" },
	{ RATMAN_EBUSY, "another call or stream is under way on this handle" },
	{ RATMAN_EAGAIN, "not yet; make the call again when ratman_fd() is readable" },
	{ RATMAN_ENOTAUTHORISED, "not allowed" },
	{ RATMAN_ENOUSER, "no such user, or wrong password" },
	{ RATMAN_ECONTACTEXISTS, "the contact exists already" },
	{ RATMAN_ENOCONTACT, "no such contact" },
	{ RATMAN_EQUERY, "the query is wrong" },
	{ RATMAN_ENODATA, "nothing there" },
	{ RATMAN_EPAYLOAD, "the request's contents are wrong" },
	{ RATMAN_ECALLBACK, "a callback took too long" },
	{ RATMAN_ENOSIGN, "the signature is missing" },
	{ RATMAN_EBADSIGN, "the signature is wrong" },
	{ RATMAN_ENETWORK, "the network failed" },
	{ RATMAN_ENOROUTE, "no route" },
	{ RATMAN_ESERIALISE, "malformed data" },
	{ RATMAN_ENOSERVICE, "no such service is registered" },
	{ RATMAN_ESERVICEEXISTS, "the service is registered already" },
	{ RATMAN_ECOMM, "communication failed" },
	{ RATMAN_EIO, "the router's storage failed or is full" },
};

PUBLIC const char *ratman_strerror(int err)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].err == err)
			return texts[i].text;
	}
	return err < 0 && err > -1000 ? strerrordesc_np(-err) ?: "unknown error" : "unknown error";
}

PUBLIC const char *ratman_error_text(const struct ratman *r)
{
	return r->text;
}

PUBLIC int ratman_new(struct ratman **out, const char *bind)
{
	struct ratman *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fd = r->poll_fd = r->wait_fd = -1;
	r->timeout_ms = -1;
	header_parser_init(&r->parser);
	r->bind = strdup(bind ? bind : RATMAN_DEFAULT_BIND);
	if (!r->bind) {
		free(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

PUBLIC int ratman_connect(struct ratman *r)
{
	return handle_ready(r);
}

PUBLIC int ratman_open(struct ratman **out, const char *bind, int timeout_ms)
{
	struct ratman *r;
	int err = ratman_new(&r, bind);

	if (err)
		return err;
	r->timeout_ms = timeout_ms;
	err = ratman_connect(r);
	if (err) {
		ratman_close(r);
		return err;
	}
	*out = r;
	return 0;
}

PUBLIC void ratman_cancel(struct ratman *r)
{
	if (!r->busy)
		handle_drop(r);
	r->asked_again = r->old_create = false;
}

PUBLIC void ratman_close(struct ratman *r)
{
	if (!r)
		return;
	ratman_send_abort(r->send);
	ratman_recv_end(r->recv);
	ratman_file_get_end(r->get);
	if (r->link == LINK_UP && r->ask == ASK_NONE)
		handle_request(r, OP_INTRINSIC_DOWN, NULL, NULL, 0, conn_deadline(0));
	handle_drop(r);
	if (r->poll_fd >= 0)
		close(r->poll_fd);
	free(r->bind);
	explicit_bzero(r, sizeof(*r));
	free(r);
}

PUBLIC void ratman_set_timeout(struct ratman *r, int timeout_ms)
{
	r->timeout_ms = timeout_ms;
}

PUBLIC void ratman_set_nonblocking(struct ratman *r, bool on)
{
	r->nonblocking = on;
}

PUBLIC bool ratman_is_extended(const struct ratman *r)
{
	return r->extended;
}

PUBLIC void ratman_free(void *p)
{
	free(p);
}

PUBLIC int ratman_id_parse(const char *text, struct ratman_id *out)
{
	struct address a;
	int err = address_parse(text, &a);

	if (!err)
		memcpy(out->b, a.b, sizeof(out->b));
	return err;
}

PUBLIC void ratman_id_format(const struct ratman_id *id, char *text)
{
	struct address a;

	memcpy(a.b, id->b, sizeof(a.b));
	address_format(&a, text);
}

/* One attempt; the reply is an address with its token in the header, not a ping. */
static int create_once(struct ratman *r, const uint8_t *payload, size_t len,
		       struct ratman_id *address, struct ratman_id *token)
{
	struct reply reply;
	struct ping ping;
	int err = handle_ask(r, OP_ADDR_CREATE, NULL, payload, len, &reply);

	if (err)
		return err;
	if (reply.header.has_token && reply.header.payload_len >= RATMAN_ID_LEN) {
		memcpy(address->b, reply.payload, RATMAN_ID_LEN);
		memcpy(token->b, reply.header.token.b, RATMAN_ID_LEN);
	} else {
		/* Without a token only an Error can be meant. */
		err = handle_ping(r, &reply, PING_OK, &ping);
		err = err ? err : handle_fail(r, RATMAN_EPROTOCOL);
	}
	explicit_bzero(&reply.header, sizeof(reply.header));
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_addr_create(struct ratman *r, const char *name, struct ratman_id *address,
			      struct ratman_id *token)
{
	uint8_t payload[PAYLOAD_CREATE_MAX];
	struct wire_writer w;
	int err;

	if (name && strlen(name) > PAYLOAD_NAME_MAX)
		return -EINVAL;
	wire_write_init(&w, payload, sizeof(payload));
	payload_write_create(&w, name);
	err = r->old_create ? RATMAN_ECLOSED : create_once(r, payload, wire_len(&w), address, token);
	if (err == RATMAN_ECLOSED && !r->extended) {
		/* Release 0.6.0 wants one more byte: no namespace key. */
		wire_put_u8(&w, 0);
		r->old_create = true;
		err = create_once(r, payload, wire_len(&w), address, token);
	}
	if (err != RATMAN_EAGAIN)
		r->old_create = false;
	return err;
}

PUBLIC int ratman_addr_up(struct ratman *r, const struct ratman_id *address,
			  const struct ratman_id *token)
{
	return handle_command(r, OP_ADDR_UP, token, address->b, RATMAN_ID_LEN);
}

PUBLIC int ratman_addr_down(struct ratman *r, const struct ratman_id *address,
			    const struct ratman_id *token)
{
	return handle_command(r, OP_ADDR_DOWN, token, address->b, RATMAN_ID_LEN);
}

PUBLIC int ratman_addr_destroy(struct ratman *r, const struct ratman_id *address,
			       const struct ratman_id *token, bool force)
{
	uint8_t payload[RATMAN_ID_LEN + 1];

	memcpy(payload, address->b, RATMAN_ID_LEN);
	payload[RATMAN_ID_LEN] = force;
	return handle_command(r, OP_ADDR_DESTROY, token, payload, sizeof(payload));
}

PUBLIC int ratman_addr_list(struct ratman *r, struct ratman_id **out, size_t *n)
{
	struct payload_ids ids;
	struct wire_reader rd;
	struct ratman_id *list;
	struct reply reply;
	int err = handle_ask(r, OP_ADDR_LIST, NULL, NULL, 0, &reply);

	if (err)
		return err;
	wire_read_init(&rd, reply.payload, reply.header.payload_len);
	if (payload_read_ids(&rd, &ids)) {
		reply_free(&reply);
		return handle_fail(r, RATMAN_EPROTOCOL);
	}
	list = calloc(ids.n + 1, sizeof(*list));
	if (list) {
		for (size_t i = 0; i < ids.n; i++)
			memcpy(list[i].b, ids.ids + i * RATMAN_ID_LEN, RATMAN_ID_LEN);
		*out = list;
		*n = ids.n;
	}
	reply_free(&reply);
	return list ? 0 : -ENOMEM;
}

PUBLIC int ratman_status(struct ratman *r, struct ratman_status *out)
{
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, OP_INTRINSIC_STATUS, NULL, NULL, 0, PING_STATUS, &reply,
				  &ping);

	if (!err)
		*out = (struct ratman_status){
			.peers = ping.status.peers,
			.locals = ping.status.locals,
			.tokens = ping.status.tokens,
			.workers = ping.status.workers,
		};
	reply_free(&reply);
	return err;
}
