/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libratman: talk to the Ratman daemon (or any daemon that speaks Microframe 0.1).
 *
 * One handle is one conversation: use it from one thread at a time, and open
 * several handles for several conversations. All calls block, at most as long
 * as the handle's timeout (ratman_set_timeout) unless they say otherwise. The
 * library never prints, never exits, and never raises SIGPIPE.
 *
 * Every call that returns int gives 0 (or a stated positive value) on success
 * and a negative code on failure: a RATMAN_E* below or a negated errno.
 * -EINTR means that a signal came while waiting; what was under way is lost
 * and the connection is made anew by the next call.
 *
 * Addresses, tokens and namespaces are RATMAN_ID_LEN raw bytes. The text form
 * is 16 groups of 4 hex digits joined by '-'.
 */
#ifndef RATMAN_RATMAN_H
#define RATMAN_RATMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RATMAN_ID_LEN 32
#define RATMAN_DEFAULT_BIND "127.0.0.1:5852"

/* Errors of our own; texts from ratman_strerror(). */
enum ratman_error {
	RATMAN_EUNREACHABLE = -1000,	/* nothing listens there, or it refused */
	RATMAN_ETIMEOUT = -1001,	/* no answer in time */
	RATMAN_ECLOSED = -1002,		/* the daemon closed the connection */
	RATMAN_EPROTOCOL = -1003,	/* the answer is not Microframe */
	RATMAN_EVERSION = -1004,	/* the daemon speaks another version */
	RATMAN_EAUTH = -1005,		/* token missing, wrong, or not for this address */
	RATMAN_ENOADDRESS = -1006,	/* the daemon does not hold this address */
	RATMAN_EDUPLICATE = -1007,	/* the address exists already */
	RATMAN_ENOTSUPPORTED = -1008,	/* the daemon does not know this request */
	RATMAN_EINPUT = -1009,		/* the daemon found the request wrong */
	RATMAN_EINTERNAL = -1010,	/* the daemon failed; see ratman_error_text() */
	RATMAN_ENOSUBSCRIPTION = -1011,	/* no such subscription */
	RATMAN_EBUSY = -1012,		/* a send or receive is open on this handle */
};

/* A conversation with one daemon. */
struct ratman;
/* One stream being sent. */
struct ratman_send;
/* A wish for streams, and the one being read. */
struct ratman_recv;

struct ratman_id {
	uint8_t b[RATMAN_ID_LEN];
};

/* A remote address the daemon knows. Times are nanoseconds since 1970, UTC. */
struct ratman_peer {
	struct ratman_id address;
	int64_t first_seen_ns;
	int64_t last_seen_ns;
	bool active;
};

struct ratman_status {
	uint64_t peers;		/* remote addresses known */
	uint64_t locals;	/* local addresses, namespaces included */
	uint64_t tokens;	/* addresses up */
	uint64_t workers;	/* transfers under way */
};

struct ratman_recipient {
	struct ratman_id id;
	bool is_namespace;
};

/* Metadata of a received stream. */
struct ratman_letterhead {
	struct ratman_id from;
	struct ratman_recipient to;
	uint64_t stream_size;		/* bytes */
};

/* A short English text without final full stop; never NULL. Static. */
const char *ratman_strerror(int err);

/*
 * What the daemon said about the last failure on @r, or "" when it said
 * nothing. Borrowed; valid until the next call on @r.
 */
const char *ratman_error_text(const struct ratman *r);

/*
 * Connects and shakes hands. @bind is "ip:port", "[ip6]:port" or
 * "localhost:port"; NULL for RATMAN_DEFAULT_BIND. @timeout_ms bounds this and
 * every later call; negative waits for ever. On success *@out is owned by the
 * caller, to be given to ratman_close(). -EINVAL for a malformed @bind.
 */
int ratman_open(struct ratman **out, const char *bind, int timeout_ms);

/* Says goodbye and frees; ends an open send or receive first. NULL is fine. */
void ratman_close(struct ratman *r);

/* Changes the bound of later calls, in milliseconds; negative waits for ever. */
void ratman_set_timeout(struct ratman *r, int timeout_ms);

/* True when the daemon announced our extensions (it is not the Rust one). */
bool ratman_is_extended(const struct ratman *r);

/* Frees what ratman_addr_list() and ratman_peer_list() returned. */
void ratman_free(void *p);

/* Text form to bytes and back; @text has room for 80 bytes. -EINVAL. */
int ratman_id_parse(const char *text, struct ratman_id *out);
void ratman_id_format(const struct ratman_id *id, char *text);

/*
 * Makes an address. @name is a private label or NULL; no NUL inside, UTF-8.
 * Fills @address and @token: whoever holds the token owns the address.
 */
int ratman_addr_create(struct ratman *r, const char *name, struct ratman_id *address,
		       struct ratman_id *token);

/* Announces the address; needed once before send and recv. Idempotent. */
int ratman_addr_up(struct ratman *r, const struct ratman_id *address,
		   const struct ratman_id *token);
int ratman_addr_down(struct ratman *r, const struct ratman_id *address,
		     const struct ratman_id *token);

/* Removes the address and its key for ever; @force: its stored streams too. */
int ratman_addr_destroy(struct ratman *r, const struct ratman_id *address,
			const struct ratman_id *token, bool force);

/* All local addresses in byte order. *@out (owned, ratman_free) holds *@n. */
int ratman_addr_list(struct ratman *r, struct ratman_id **out, size_t *n);

/* All remote addresses known. *@out (owned, ratman_free) holds *@n. */
int ratman_peer_list(struct ratman *r, struct ratman_peer **out, size_t *n);

int ratman_status(struct ratman *r, struct ratman_status *out);

/*
 * Starts one stream from @from, which is up, to @n recipients (at least 1).
 * Until it ends nothing else may be asked of @r (RATMAN_EBUSY). *@out is owned
 * and ended by exactly one of ratman_send_end and ratman_send_abort.
 * A Rust daemon takes one recipient per stream only: -EINVAL for more.
 */
int ratman_send_begin(struct ratman *r, const struct ratman_id *from,
		      const struct ratman_id *token, const struct ratman_recipient *to, size_t n,
		      struct ratman_send **out);

/*
 * Sends all @len bytes, waiting while the daemon is busy. RATMAN_ECLOSED when
 * the daemon gave the stream up: ratman_send_end() then says why.
 */
int ratman_send_write(struct ratman_send *s, const void *data, size_t len);

/* Ends the stream; 0 when the daemon has stored and queued it. Consumes @s. */
int ratman_send_end(struct ratman_send *s);

/* Throws the stream away: the daemon sends nothing. Consumes @s; NULL is fine. */
void ratman_send_abort(struct ratman_send *s);

#define RATMAN_NO_LIMIT UINT32_MAX

/*
 * Asks for streams sent to @to (NULL: to @address itself), at most @limit of
 * them. Until ratman_recv_end nothing else may be asked of @r. *@out is owned.
 */
int ratman_recv_begin(struct ratman *r, const struct ratman_id *address,
		      const struct ratman_id *token, const struct ratman_recipient *to,
		      uint32_t limit, struct ratman_recv **out);

/*
 * Waits for the next stream, at most @timeout_ms (negative: for ever); skips
 * what is left of the one before. Returns 1 and fills @head, 0 when @limit
 * streams were received, RATMAN_ETIMEOUT (and may be called again), or an error.
 */
int ratman_recv_next(struct ratman_recv *v, struct ratman_letterhead *head, int timeout_ms);

/* Reads up to @size bytes of the stream; 0 at its end; negative on error. */
ssize_t ratman_recv_read(struct ratman_recv *v, void *buf, size_t size);

/*
 * Ends receiving; a stream not read to its end stays with the daemon as far as
 * the daemon still holds it. Consumes @v; NULL is fine.
 */
void ratman_recv_end(struct ratman_recv *v);

/*
 * Namespaces: an address whose secret key all instances of an application share.
 * Streams to a namespace reach every member, also those that were away.
 */

/* Draws a key pair: @space is public, @key (32 bytes) is the secret that makes members. */
int ratman_space_generate(struct ratman_id *space, uint8_t *key);

/*
 * Gives the daemon the key (borrowed, 32 bytes) of a namespace, so that its
 * addresses can become members. Idempotent. RATMAN_EINPUT when the two do not
 * belong together.
 */
int ratman_space_create(struct ratman *r, const struct ratman_id *space, const uint8_t *key);

/*
 * Makes @address, which is up, a member of @space. Streams then come by
 * ratman_recv_begin() with @space as recipient. RATMAN_ENOADDRESS when the daemon
 * has no key of it. Idempotent.
 */
int ratman_space_up(struct ratman *r, const struct ratman_id *address,
		    const struct ratman_id *token, const struct ratman_id *space);

/* RATMAN_EINPUT when it is no member. */
int ratman_space_down(struct ratman *r, const struct ratman_id *address,
		      const struct ratman_id *token, const struct ratman_id *space);

/* A member that answered, and how long that took. */
struct ratman_answer {
	struct ratman_id member;
	uint64_t ms;
};

/*
 * Asks every member of @space in the mesh from @address, which is up, and waits
 * @ask_ms (the daemon caps it at a minute) for answers, beside the timeout of the
 * handle. *@out (owned, ratman_free) holds *@n answers, the quickest first.
 */
int ratman_space_anycast(struct ratman *r, const struct ratman_id *address,
			 const struct ratman_id *token, const struct ratman_id *space,
			 uint32_t ask_ms, struct ratman_answer **out, size_t *n);

#ifdef __cplusplus
}
#endif

#endif
