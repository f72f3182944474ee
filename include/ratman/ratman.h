/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libratman: talk to the Ratman daemon (or any daemon that speaks Microframe 0.1).
 *
 * One handle is one conversation. The library keeps no state outside its
 * handles: different handles may be used by different threads at the same time.
 * One handle (with the send or receive that is open on it) belongs to one thread
 * at a time; threads that share it must lock around every call and around the
 * use of what is borrowed from it. ratman_strerror(), ratman_free(),
 * ratman_id_parse() and ratman_id_format() may be called by anybody at any time.
 *
 * Calls block, at most as long as the handle's timeout (ratman_set_timeout)
 * unless they say otherwise, or never (ratman_set_nonblocking). The library
 * never prints, never exits, never starts a thread, and never raises SIGPIPE.
 *
 * Every call that returns int gives 0 (or a stated positive value) on success
 * and a negative code on failure: a RATMAN_E* below or a negated errno.
 * -EINTR means that a signal came while waiting. After it, and after
 * RATMAN_ETIMEOUT, ratman_send_some(), ratman_recv_next(), ratman_recv_read(),
 * ratman_file_get_read() and what waits on or reads from a struct ratman_sub
 * may be called again and lose nothing; of any other call it is not known whether
 * the daemon has done it, and the next call makes the connection anew.
 *
 * The daemon closes a connection that was idle for two minutes. The next call
 * makes a new one without a word.
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
	RATMAN_EBUSY = -1012,		/* another call, send or receive is under way */
	RATMAN_EAGAIN = -1013,		/* not yet: see ratman_set_nonblocking() */
	/* Of the Service API; ratman_error_text() has the daemon's words. */
	RATMAN_ENOTAUTHORISED = -1100,	/* not allowed */
	RATMAN_ENOUSER = -1101,		/* no such user, or wrong password */
	RATMAN_ECONTACTEXISTS = -1102,
	RATMAN_ENOCONTACT = -1103,
	RATMAN_EQUERY = -1104,		/* the query is wrong */
	RATMAN_ENODATA = -1105,		/* nothing there, or no more */
	RATMAN_EPAYLOAD = -1106,	/* the request's contents are wrong */
	RATMAN_ECALLBACK = -1107,
	RATMAN_ENOSIGN = -1108,
	RATMAN_EBADSIGN = -1109,
	RATMAN_ENETWORK = -1110,
	RATMAN_ENOROUTE = -1111,
	RATMAN_ESERIALISE = -1112,
	RATMAN_ENOSERVICE = -1113,	/* no such service is registered */
	RATMAN_ESERVICEEXISTS = -1114,
	RATMAN_ECOMM = -1115,
	RATMAN_EIO = -1116,		/* the daemon's storage failed or is full */
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

/* One limit of the daemon; the names are the keys of ratmand.conf(5). */
struct ratman_limit {
	char name[32];
	char unit[16];		/* of limit: "bytes", "seconds", … */
	uint64_t limit;
	uint64_t used;		/* now; of a time: how many clients or sockets it runs for */
	uint64_t hits;		/* how often it was met since the daemon started */
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
 * What is to be said about the last failure on @r beyond its code, mostly in the
 * daemon's words, or "". Borrowed; valid until the next call on @r.
 */
const char *ratman_error_text(const struct ratman *r);

/*
 * Makes a handle without connecting; it has no timeout. @bind is "ip:port",
 * "[ip6]:port", "localhost:port", or a Unix socket: "/path" or "unix:/path"; NULL
 * for RATMAN_DEFAULT_BIND. *@out is owned by the caller, to be given to
 * ratman_close().
 */
int ratman_new(struct ratman **out, const char *bind);

/*
 * Connects and shakes hands unless that stands; every other call does so by
 * itself. -EINVAL for a malformed @bind.
 */
int ratman_connect(struct ratman *r);

/*
 * ratman_new(), ratman_set_timeout() and ratman_connect() in one: @timeout_ms
 * bounds this and every later call; negative waits for ever. *@out is set on
 * success only.
 */
int ratman_open(struct ratman **out, const char *bind, int timeout_ms);

/*
 * Gives up a call that returned RATMAN_EAGAIN: whether the daemon has done it
 * is not known, and the connection is made anew by the next call. Does nothing
 * while a send or receive is open, which has an end of its own.
 */
void ratman_cancel(struct ratman *r);

/* Says goodbye and frees; ends an open send or receive first. NULL is fine. */
void ratman_close(struct ratman *r);

/* Changes the bound of later calls, in milliseconds; negative waits for ever. */
void ratman_set_timeout(struct ratman *r, int timeout_ms);

/*
 * For event loops. With @on, a call that would wait returns RATMAN_EAGAIN
 * instead and is to be made again, with the same arguments, when ratman_fd() is
 * readable. What it has written and read until then is kept; arguments are
 * looked at in the first call only, except those for results. Until it is
 * through, any other request on this handle is RATMAN_EBUSY. Timeouts do not
 * count then: the loop has its own, and ratman_cancel().
 */
void ratman_set_nonblocking(struct ratman *r, bool on);

/*
 * One descriptor for poll(), epoll or libuv: readable (POLLIN) when the last call
 * that returned RATMAN_EAGAIN, or RATMAN_ETIMEOUT from ratman_recv_next(), has
 * something to go on with, be it to read or to write. It means nothing after any
 * other result, so call until RATMAN_EAGAIN before waiting. The same for the
 * whole life of the handle and closed by ratman_close(); not to be read. A
 * negated errno when the system has no more descriptors.
 */
int ratman_fd(struct ratman *r);

/* True when the daemon announced our extensions (it is not the Rust one). */
bool ratman_is_extended(const struct ratman *r);

/* Frees a list that a call of this library returned. */
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

/*
 * Contacts: private notes of the owner of an address about other addresses. The
 * owner is whoever @token belongs to; that address must be up (RATMAN_EAUTH).
 * The daemon keeps them sealed under the owner's key, and lets contacts in where
 * strangers stay outside. A Rust daemon has none: RATMAN_ENOTSUPPORTED.
 */

/* A key and a value, UTF-8. No contact has a key twice, none is empty. */
struct ratman_tag {
	const char *key;
	const char *value;
};

#define RATMAN_TRUST_MIN 1
#define RATMAN_TRUST_MAX 7

struct ratman_contact {
	struct ratman_id address;
	const char *nick;		/* these three: NULL for none */
	const char *location;
	const char *note;		/* at most 1024 bytes */
	bool met;			/* in person */
	uint8_t trust;			/* RATMAN_TRUST_MIN to _MAX */
	const struct ratman_tag *tags;	/* at most 32 with the fields above, 2048 bytes together */
	size_t n_tags;
};

/*
 * Adds a contact (borrowed), or replaces all that was noted about the address.
 * -EINVAL for a bad trust or key, -EEXIST for a key twice, -EILSEQ for text that
 * is not UTF-8, -E2BIG for too much of it; RATMAN_EINPUT beyond 2048 contacts.
 */
int ratman_contact_add(struct ratman *r, const struct ratman_id *token,
		       const struct ratman_contact *contact);

/* RATMAN_ENOADDRESS when it is no contact. */
int ratman_contact_del(struct ratman *r, const struct ratman_id *token,
		       const struct ratman_id *address);

struct ratman_contact_change {
	const struct ratman_id *address;	/* NULL: all contacts */
	const struct ratman_tag *set;		/* added, or replacing the value of the key */
	size_t n_set;
	const char *const *remove;		/* keys; before the others are set */
	size_t n_remove;
	uint8_t trust;				/* 0: leave it as it is */
};

/*
 * Changes one or all contacts, wholly or not at all; nick, location and met are
 * the tags "nick", "location" and "met" ("1"). *@touched (owned, ratman_free;
 * both may be NULL) holds the *@n contacts it was applied to. Errors as above.
 */
int ratman_contact_modify(struct ratman *r, const struct ratman_id *token,
			  const struct ratman_contact_change *change, struct ratman_id **touched,
			  size_t *n);

/* Addresses of all contacts in byte order. *@out (owned, ratman_free) holds *@n. */
int ratman_contact_list(struct ratman *r, const struct ratman_id *token, struct ratman_id **out,
			size_t *n);

/* All that is set must hold; all zeroes (or NULL for the filter) finds everything. */
struct ratman_contact_filter {
	const struct ratman_id *addresses;	/* one of these, at most 1024 */
	size_t n_addresses;
	const char *note;			/* a part of the note */
	const struct ratman_tag *tags;		/* each; value NULL or "": whatever it is */
	size_t n_tags;
	uint8_t trust_at_least, trust_below;	/* at most one of them, 0: no test */
};

/*
 * Contacts in the byte order of their addresses. *@out is one piece of memory
 * with all texts and tags (owned, ratman_free) and holds *@n. -EINVAL, -E2BIG.
 */
int ratman_contact_query(struct ratman *r, const struct ratman_id *token,
			 const struct ratman_contact_filter *filter, struct ratman_contact **out,
			 size_t *n);

enum ratman_match {
	RATMAN_MATCH_EXACT,
	RATMAN_MATCH_SUBSTRING,
	RATMAN_MATCH_FUZZY,	/* a part, or every word like one there */
	RATMAN_MATCH_PREFIX,
};

/* Of a search for contacts or users. */
struct ratman_user_term {
	const char *attribute;	/* what is looked at; "" or NULL: any of it */
	const char *pattern;	/* UTF-8, at most 256 bytes; case does not count */
	enum ratman_match match;
};

/* As people remember. All that is set must hold, and all of the filter. */
struct ratman_contact_search {
	struct ratman_contact_filter filter;
	uint8_t trust_near;			/* no farther than trust_fuzz from it; 0: no test, */
	uint8_t trust_fuzz;			/* else the filter has no trust */
	bool met, not_met;			/* at most one of them */
	const struct ratman_user_term *terms;	/* at most 16; of nick, location, note, tags */
	size_t n_terms;
};

/* As ratman_contact_query(); -EILSEQ for a term that is not UTF-8. */
int ratman_contact_search(struct ratman *r, const struct ratman_id *token,
			  const struct ratman_contact_search *search, struct ratman_contact **out,
			  size_t *n);

/*
 * Links: interfaces that carry the router's frames. Everybody may look; changes
 * are for the administrator (RATMAN_EAUTH for others) and hold until the daemon
 * is started anew. A Rust daemon knows none of it: RATMAN_ENOTSUPPORTED.
 */
struct ratman_link {
	char driver[16];		/* "eth" */
	char address[256];		/* name of the interface */
	bool has_neighbour;		/* one entry for each; without: for the link alone */
	struct ratman_id neighbour;	/* router address */
	bool up;			/* carries frames; the neighbour is alive */
	uint64_t rx_bytes, tx_bytes;	/* from and to the neighbour, or of the link */
};

/* *@out (owned, ratman_free) holds *@n. */
int ratman_link_list(struct ratman *r, struct ratman_link **out, size_t *n);

/*
 * @line is "driver:address", for example "eth:eth0". create makes an interface a
 * link, destroy an ordinary one again; down stops a link from carrying frames, up
 * lets it go on. All are idempotent. -EINVAL for what is no such line,
 * RATMAN_EINPUT when there is no such interface or link.
 */
int ratman_link_create(struct ratman *r, const char *line);
int ratman_link_destroy(struct ratman *r, const char *line);
int ratman_link_up(struct ratman *r, const char *line);
int ratman_link_down(struct ratman *r, const char *line);

/* All remote addresses known. *@out (owned, ratman_free) holds *@n. */
int ratman_peer_list(struct ratman *r, struct ratman_peer **out, size_t *n);

/*
 * Those of them that are contacts of @token's address and fit the filter, in byte
 * order. It may not name addresses, and tags count by their keys: -EINVAL.
 */
int ratman_peer_query(struct ratman *r, const struct ratman_id *token,
		      const struct ratman_contact_filter *filter, struct ratman_peer **out,
		      size_t *n);
/* The same of a search, whose filter has keys of tags only, too (-EINVAL). */
int ratman_peer_search(struct ratman *r, const struct ratman_id *token,
		       const struct ratman_contact_search *search, struct ratman_peer **out,
		       size_t *n);

/* One of them. RATMAN_ENOADDRESS when it is not known. */
int ratman_peer_status(struct ratman *r, const struct ratman_id *address,
		       struct ratman_peer *out);

int ratman_status(struct ratman *r, struct ratman_status *out);

/*
 * The limits of the client protocol. *@out (owned, ratman_free) holds *@n.
 * RATMAN_ENOTSUPPORTED from a daemon without our extensions.
 */
int ratman_limits(struct ratman *r, struct ratman_limit **out, size_t *n);

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
 * the daemon gave the stream up: ratman_send_end() then says why. After any other
 * error bytes are missing, and ratman_send_end() throws the stream away and returns
 * that error. -EINVAL on a handle that must not block.
 */
int ratman_send_write(struct ratman_send *s, const void *data, size_t len);

/*
 * Sends what the system takes at once of @len bytes, waiting until that is at
 * least one (or RATMAN_EAGAIN). Returns the number of bytes, or as ratman_send_write(),
 * but RATMAN_ETIMEOUT, RATMAN_EAGAIN and -EINTR mean that no byte went.
 */
ssize_t ratman_send_some(struct ratman_send *s, const void *data, size_t len);

/*
 * Ends the stream; 0 when the daemon has stored and queued it. Consumes @s,
 * except when it returns RATMAN_EAGAIN.
 */
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
 * Waits for the next stream, at most @timeout_ms (negative: for ever; 0: takes
 * what is there, and never waits for the rest of it); skips what is left of the
 * one before. Returns 1 and fills @head, 0 when @limit streams were received,
 * RATMAN_ETIMEOUT (and may be called again), or an error.
 */
int ratman_recv_next(struct ratman_recv *v, struct ratman_letterhead *head, int timeout_ms);

/* Reads up to @size bytes of the stream; 0 at its end; negative on error. */
ssize_t ratman_recv_read(struct ratman_recv *v, void *buf, size_t size);

/*
 * Ends receiving; a stream not read to its end stays with the daemon as far as
 * the daemon still holds it. Consumes @v; NULL is fine.
 */
void ratman_recv_end(struct ratman_recv *v);

/* A subscription at the daemon, and where what is due to it can be fetched just now. */
struct ratman_subscription {
	struct ratman_id id;		/* keep it: ratman_sub_resume() wants it */
	char socket[64];		/* "ip:port"; for one connection, within 30 s */
};

/*
 * Subscribes @address, which is up, to the streams sent to @to (NULL: to @address
 * itself; else a namespace): every stream that is complete from now on is kept
 * for it by the daemon, over restarts, until it was fetched once. Finds the
 * subscription there is. Fills @out, to be given to ratman_sub_open() or to
 * another program.
 */
int ratman_sub_create(struct ratman *r, const struct ratman_id *address,
		      const struct ratman_id *token, const struct ratman_recipient *to,
		      struct ratman_subscription *out);

/* A socket for a subscription there is. RATMAN_ENOSUBSCRIPTION, RATMAN_ENOADDRESS. */
int ratman_sub_resume(struct ratman *r, const struct ratman_id *id,
		      const struct ratman_id *address, const struct ratman_id *token,
		      struct ratman_subscription *out);

/* Ends it and closes its socket; streams not fetched wait for ratman_recv_begin(). */
int ratman_sub_cancel(struct ratman *r, const struct ratman_id *id,
		      const struct ratman_id *address, const struct ratman_id *token);

/* Ids of the subscriptions of @address to streams. *@out (owned, ratman_free) holds *@n. */
int ratman_sub_list(struct ratman *r, const struct ratman_id *address,
		    const struct ratman_id *token, struct ratman_id **out, size_t *n);

/* The same for events: addresses that come up and go down, and new peers. */
int ratman_addr_sub(struct ratman *r, const struct ratman_id *address,
		    const struct ratman_id *token, struct ratman_subscription *out);
int ratman_addr_resub(struct ratman *r, const struct ratman_id *id,
		      const struct ratman_id *address, const struct ratman_id *token,
		      struct ratman_subscription *out);
int ratman_addr_unsub(struct ratman *r, const struct ratman_id *id,
		      const struct ratman_id *address, const struct ratman_id *token);

/* The socket of a subscription; independent of the handle. */
struct ratman_sub;

/*
 * Connects to the socket of @subscription. Timeout and blocking are those of @r,
 * which may be closed afterwards or go on with something else. *@out is owned.
 * A second socket of one subscription takes over from the first.
 */
int ratman_sub_open(struct ratman *r, const struct ratman_subscription *subscription,
		    struct ratman_sub **out);

/* As ratman_fd(), for the three calls below. Closed by ratman_sub_close(). */
int ratman_sub_fd(struct ratman_sub *s);

/*
 * Waits for the next stream, oldest first, as ratman_recv_next() does. Returns 1
 * and fills @head, RATMAN_ETIMEOUT (and may be called again), or an error:
 * RATMAN_ECLOSED when the daemon ended it (ratman_sub_resume() goes on).
 */
int ratman_sub_next(struct ratman_sub *s, struct ratman_letterhead *head, int timeout_ms);

/* Reads up to @size bytes of the stream; 0 at its end; negative on error. */
ssize_t ratman_sub_read(struct ratman_sub *s, void *buf, size_t size);

enum ratman_event_kind {
	RATMAN_ADDRESS_UP = 1,		/* a local address came up */
	RATMAN_ADDRESS_DOWN = 2,		/* a local address went down */
	RATMAN_NEW_PEER = 3,		/* a remote address was heard of for the first time */
};

struct ratman_event {
	enum ratman_event_kind kind;	/* later daemons may have more */
	struct ratman_id address;
};

/* Waits for the next event of a subscription to events. Returns 1, or as ratman_sub_next(). */
int ratman_sub_event(struct ratman_sub *s, struct ratman_event *out, int timeout_ms);

/* Closes the socket; the subscription stays. NULL is fine. */
void ratman_sub_close(struct ratman_sub *s);

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

/*
 * Files: content with a name, kept by the daemon for @user, an address that is up or
 * logged in. The id of a file is the BLAKE2b-256 of its content. Nobody gets a file whom it
 * was not announced or sent to. The daemon's storage holds nothing of it in clear.
 * A daemon without our extensions: RATMAN_ENOTSUPPORTED. What is wrong with a request is in
 * ratman_error_text(): RATMAN_ENODATA for a file that the user does not have.
 */
enum ratman_file_state {
	RATMAN_FILE_ANY,		/* in a query */
	RATMAN_FILE_LOCAL,		/* packed by this user */
	RATMAN_FILE_AVAILABLE,		/* another's, all of it here */
	RATMAN_FILE_IN_PROGRESS,	/* another's, asked for or arriving */
	RATMAN_FILE_ADVERTISED,		/* another's, known by its announcement */
};

#define RATMAN_FILE_NAME_MAX 255	/* bytes, without the NUL */

struct ratman_file {
	struct ratman_id id;
	struct ratman_id owner;		/* who packed, announced or sent it; zeroes: not known yet */
	char name[RATMAN_FILE_NAME_MAX + 1];
	uint64_t size;			/* bytes; 0 while it is not known */
	uint64_t local_bytes;		/* of them, how many are here */
	enum ratman_file_state state;
	bool stalled;			/* in progress, and nothing moves */
	bool has_previous;
	struct ratman_id previous;	/* the file this one was an update of */
	int64_t time_ns;		/* since 1970, UTC: packed, announced or arrived */
};

/*
 * Begins to pack a file: @name is 1 to 255 bytes of printable UTF-8 without '/', and not
 * "." or ".."; @mime (may be NULL) a media type; @size the bytes that will come, or 0 when
 * that is not known. The bytes go through ratman_send_write() or ratman_send_some(); *@out
 * is ended by exactly one of ratman_file_finish() and ratman_send_abort(). -EINVAL (no such
 * name or media type), RATMAN_EIO (no room).
 */
int ratman_file_create(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const char *name, const char *mime,
		       uint64_t size, struct ratman_send **out);

/*
 * The same for other content under the name of the file @old, which is here: the new file
 * refers to it, and is announced to whom it was announced.
 */
int ratman_file_update(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *old, uint64_t size,
		       struct ratman_send **out);

/*
 * Ends it: 0 when the file is on the daemon's disk, with its id and size (either may be
 * NULL). RATMAN_EPAYLOAD when nothing came, or not as much as was said. Consumes @s, except
 * when it returns RATMAN_EAGAIN.
 */
int ratman_file_finish(struct ratman_send *s, struct ratman_id *id, uint64_t *size);

/* All of it for what can be read from @fd, up to its end. -EINVAL on a handle that must not block. */
int ratman_file_pack_fd(struct ratman *r, const struct ratman_id *user,
			const struct ratman_id *token, const char *name, const char *mime, int fd,
			struct ratman_id *id, uint64_t *size);

/*
 * Files of @state whose names fit @pattern: '*' and '?' as in a shell, else a part of the
 * name, in either case of ASCII letters; NULL: every name. *@out (owned, ratman_free) holds *@n, in no
 * particular order. -EINVAL: no such state, or a pattern longer than any name.
 */
int ratman_file_list(struct ratman *r, const struct ratman_id *user,
		     const struct ratman_id *token, enum ratman_file_state state,
		     const char *pattern, struct ratman_file **out, size_t *n);

/* One of them. RATMAN_ENODATA. */
int ratman_file_status(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id,
		       struct ratman_file *out);

/* A file being read. */
struct ratman_file_get;

/*
 * Begins to read a file that is here, of *@size bytes (may be NULL); else RATMAN_ENODATA. Until
 * ratman_file_get_end() nothing else may be asked of @r. *@out is owned.
 */
int ratman_file_get_begin(struct ratman *r, const struct ratman_id *user,
			  const struct ratman_id *token, const struct ratman_id *id,
			  uint64_t *size, struct ratman_file_get **out);

/* Reads up to @size bytes; 0 at the end, once the daemon has said that it was all; negative on error. */
ssize_t ratman_file_get_read(struct ratman_file_get *g, void *buf, size_t size);

/* Consumes @g, at the end or before; NULL is fine. */
void ratman_file_get_end(struct ratman_file_get *g);

/* All of it into @fd. -EINVAL on a handle that must not block; errors of write(2). */
int ratman_file_get_fd(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id, int fd);

/*
 * Announces a file that is here to @to (NULL: to everybody), who may ask for it from then
 * on; withdraw ends that. RATMAN_EQUERY: nobody to announce it to, or too many (64 for a
 * file, 256 files for everybody or a namespace).
 */
int ratman_file_announce(struct ratman *r, const struct ratman_id *user,
			 const struct ratman_id *token, const struct ratman_id *id,
			 const struct ratman_recipient *to);
int ratman_file_withdraw(struct ratman *r, const struct ratman_id *user,
			 const struct ratman_id *token, const struct ratman_id *id,
			 const struct ratman_recipient *to);

/*
 * Asks @owner (NULL: whoever announced it, or everybody) for a file, which comes in the
 * background: see ratman_file_status(). 0 as well when it is here.
 */
int ratman_file_request(struct ratman *r, const struct ratman_id *user,
			const struct ratman_id *token, const struct ratman_id *id,
			const struct ratman_id *owner);

/*
 * Sends a file that is here to @n recipients, who need not ask for it. -EINVAL: none, or more
 * than 64; RATMAN_EQUERY: one that is none.
 */
int ratman_file_send(struct ratman *r, const struct ratman_id *user,
		     const struct ratman_id *token, const struct ratman_id *id,
		     const struct ratman_recipient *to, size_t n);

/* Removes a file for this user: its announcements end; one that is arriving is called off. */
int ratman_file_delete(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id);

/*
 * Changes of the user's files from here on, until the socket is closed: there is nothing
 * to cancel or resume. A file that is deleted is not told.
 */
int ratman_file_sub(struct ratman *r, const struct ratman_id *user,
		    const struct ratman_id *token, struct ratman_subscription *out);

/* Waits for the next of them. Returns 1, or as ratman_sub_next(). */
int ratman_sub_file(struct ratman_sub *s, struct ratman_file *out, int timeout_ms);

/*
 * Profiles: what users tell everybody about themselves. A user is an address with a
 * profile; whoever was seen in the mesh has one, if only an empty one. No token is
 * needed to read them. A daemon without the Service API: RATMAN_ENOTSUPPORTED.
 */
struct ratman_profile {
	struct ratman_id id;
	const char *handle;		/* these two: NULL when unset; may be "" */
	const char *display_name;
	const struct ratman_tag *bio;	/* by their keys */
	size_t n_bio;
	const char *const *services;	/* in byte order */
	size_t n_services;
	const uint8_t *avatar;		/* NULL: none */
	size_t avatar_len;
	int64_t updated_ns;		/* of the last change, as the user says; 0: there was none */
	bool local;			/* a user of the router that was asked */
	bool online;			/* logged in there, or with a route just now */
};

enum ratman_user_scope {
	RATMAN_USERS_LOCAL,
	RATMAN_USERS_REMOTE,
	RATMAN_USERS_ALL,
};

/*
 * Users in the order in which the router first heard of them, from @skip on, at most
 * @take, and no more than fit one answer: *@n is 0 only at the end, so whoever wants
 * all asks on with what came added to @skip. *@out is one piece of memory with all
 * texts and pictures (owned, ratman_free). -EINVAL: no such scope.
 */
int ratman_user_list(struct ratman *r, enum ratman_user_scope scope, uint32_t skip, uint32_t take,
		     struct ratman_profile **out, size_t *n);

/* One user. *@out as above. RATMAN_ENOUSER. */
int ratman_user_get(struct ratman *r, const struct ratman_id *id, struct ratman_profile **out);

/*
 * Users for whom all of @n_terms terms (at most 16) hold; pages as ratman_user_list().
 * Attributes are handle, display_name, services, id, and keys of the bio. -EINVAL (no such
 * match), -EILSEQ (a term that is not UTF-8), -E2BIG; RATMAN_EQUERY when the daemon finds it
 * wrong.
 */
int ratman_user_search(struct ratman *r, const struct ratman_user_term *terms, size_t n_terms,
		       uint32_t skip, uint32_t take, struct ratman_profile **out, size_t *n);

/* What is NULL or 0 stays as it is. */
struct ratman_user_change {
	const char *handle;		/* at most 64 bytes */
	const char *display_name;	/* at most 128 bytes */
	const uint8_t *avatar;		/* at most 32 KiB */
	size_t avatar_len;
	bool unset_handle, unset_display_name, unset_avatar;
	const struct ratman_tag *set_bio;	/* added, or replacing the value of the key; at most
						   64 and 8 KiB, with what is there */
	size_t n_set_bio;
	const char *const *unset_bio;		/* keys; before the others are set */
	size_t n_unset_bio;
	const char *const *add_services;	/* at most 64 and 4 KiB, with what is there */
	size_t n_add_services;
	const char *const *remove_services;	/* none of those above */
	size_t n_remove_services;
};

/*
 * Changes the profile of @id, which is up and to which @token belongs, wholly or not
 * at all, and makes one if there is none. It is on the disk when this returns, and
 * goes to everybody soon after. -EINVAL (a key or service that is empty or no UTF-8,
 * a service both added and removed), -E2BIG; RATMAN_EPAYLOAD when the profile would become too large.
 */
int ratman_user_modify(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		       const struct ratman_user_change *change);

/*
 * Profiles that change from now on, local ones and others: fills @out for
 * ratman_sub_open() and ratman_sub_profile(). It ends with its socket, with the
 * address, or by ratman_user_unsub() (RATMAN_ENOSUBSCRIPTION).
 */
int ratman_user_sub(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		    struct ratman_subscription *out);
int ratman_user_unsub(struct ratman *r, const struct ratman_id *subscription,
		      const struct ratman_id *id, const struct ratman_id *token);

/*
 * Waits for the next one, as it is now: who changed twice meanwhile comes once.
 * Returns 1, *@out (owned, ratman_free), or as ratman_sub_next().
 */
int ratman_sub_profile(struct ratman_sub *s, struct ratman_profile **out, int timeout_ms);

/*
 * Messages: small things from user to user, or to everybody, kept by the router
 * until they are deleted. A user is an address that is up, acting with its token
 * (else RATMAN_EAUTH). A daemon without the Service API: RATMAN_ENOTSUPPORTED.
 */

/* A key (UTF-8, not empty) and any bytes. The same key may have several values. */
struct ratman_message_tag {
	const char *key;
	const void *value;
	size_t len;
};

/* The tag of what was received and not read: it can be asked for, and removed. */
#define RATMAN_TAG_UNREAD "libqaul._int.unread"

enum ratman_trust {
	RATMAN_TRUSTED,		/* the sender signed it */
	RATMAN_UNVERIFIED,	/* not signed */
};

struct ratman_message {
	struct ratman_id id;
	struct ratman_id sender;
	struct ratman_id to;		/* all zeroes: to everybody, or our own to several */
	bool flood;			/* to everybody: public */
	bool unread;
	enum ratman_trust trust;
	const char *service;
	const struct ratman_message_tag *tags;	/* by key and value, the unread one among them */
	size_t n_tags;
	int64_t time_ns;		/* when it was sent, by the sender's clock */
	const void *data;
	size_t len;
};

struct ratman_message_out {
	const struct ratman_id *to;	/* n_to of them, at most 64; 0: to everybody */
	size_t n_to;
	const struct ratman_id *id;	/* NULL: a new one. Only with at most one recipient; an id
					   that was used is sent again, but not kept twice */
	const char *service;		/* whose message it is: a name like org.example.chat, at
					   most 128 bytes */
	const struct ratman_message_tag *tags;	/* at most 64 and 8 KiB, none of the router's */
	size_t n_tags;
	const void *data;		/* at most 65,000 bytes */
	size_t len;
};

/*
 * Sends a message. When this returns 0 it is on the disk and on its way, however
 * long the recipients are away; @id (may be NULL) gets its id. -EINVAL, -E2BIG;
 * RATMAN_EPAYLOAD, RATMAN_EIO.
 */
int ratman_message_send(struct ratman *r, const struct ratman_id *user,
			const struct ratman_id *token, const struct ratman_message_out *message,
			struct ratman_id *id);

/* All that is given must hold. */
struct ratman_message_filter {
	const char *service;		/* NULL: all, where the router allows it (god_mode) */
	const struct ratman_id *sender;	/* NULL: whoever */
	const struct ratman_message_tag *tags;
	size_t n_tags;
};

/*
 * The user's messages that pass, oldest first, from @skip on, at most @take (0: as
 * many as one answer holds); *@more (may be NULL) tells whether there are others
 * behind them. *@out is one piece of memory with all of them (owned, ratman_free).
 * RATMAN_ENODATA when there are none from there on, RATMAN_ENOTAUTHORISED, -EINVAL, -E2BIG.
 */
int ratman_message_query(struct ratman *r, const struct ratman_id *user,
			 const struct ratman_id *token, const struct ratman_message_filter *filter,
			 uint32_t skip, uint32_t take, struct ratman_message **out, size_t *n,
			 bool *more);

/*
 * Those with this id: one, unless several senders used it. *@out as above.
 * RATMAN_ENODATA.
 */
int ratman_message_get(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id,
		       struct ratman_message **out, size_t *n);

/*
 * Removes tags from a message, then adds some: for this user alone.
 * RATMAN_ENODATA, RATMAN_EPAYLOAD, -EINVAL, -E2BIG.
 */
int ratman_message_tag(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id,
		       const struct ratman_message_tag *add, size_t n_add,
		       const struct ratman_message_tag *remove, size_t n_remove);

/* Deletes it for this user alone. RATMAN_ENODATA. */
int ratman_message_delete(struct ratman *r, const struct ratman_id *user,
			  const struct ratman_id *token, const struct ratman_id *id);

/*
 * Subscribes to what comes from here on and passes @filter, which names no sender
 * (-EINVAL). It outlives connections and restarts: with the socket of _resub comes
 * all that was not read. At most 64 for a user (RATMAN_EIO).
 */
int ratman_message_sub(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_message_filter *filter,
		       struct ratman_subscription *out);
int ratman_message_resub(struct ratman *r, const struct ratman_id *subscription,
			 const struct ratman_id *user, const struct ratman_id *token,
			 struct ratman_subscription *out);
int ratman_message_unsub(struct ratman *r, const struct ratman_id *subscription,
			 const struct ratman_id *user, const struct ratman_id *token);

/* Waits for the next one. Returns 1, *@out (owned, ratman_free), or as ratman_sub_next(). */
int ratman_sub_message(struct ratman_sub *s, struct ratman_message **out, int timeout_ms);

/*
 * Users and their sessions; RATMAN_ENOTSUPPORTED by a daemon without them, who is sent no
 * password. A session's token (secret: wipe it) is as good as the
 * address's own in every call; it ends by ratman_user_logout(), when no call was made
 * with it for the daemon's session_timeout, with the address, and with the daemon. With the
 * last one the user goes offline.
 *
 * A password has 1 to RATMAN_PASSWORD_MAX bytes of UTF-8, else -EINVAL.
 */
#define RATMAN_PASSWORD_MAX 1024

/*
 * Makes an address that only @password opens, a profile for it with @handle (NULL:
 * empty), and a first session: it is on the disk, and online. RATMAN_ENOTAUTHORISED
 * when there may be no more, or not so many in a minute.
 */
int ratman_user_create(struct ratman *r, const char *password, const char *handle,
		       struct ratman_id *id, struct ratman_id *token);

/*
 * Opens a session. RATMAN_ENOUSER for an unknown user and a wrong password alike;
 * RATMAN_ENOTAUTHORISED: too many sessions.
 */
int ratman_user_login(struct ratman *r, const struct ratman_id *id, const char *password,
		      struct ratman_id *token);

/* Ends one. RATMAN_EAUTH when it has ended; RATMAN_ENOTAUTHORISED for the address's own token. */
int ratman_user_logout(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token);

/* 0 while @token stands for @id, else RATMAN_EAUTH. Keeps the session, as every call does. */
int ratman_user_status(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token);

/*
 * Removes the user for ever: sessions, address, key, profile, and what nobody could read
 * without the key. With @purge also streams that are stored for the address.
 */
int ratman_user_destroy(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
			bool purge);

/*
 * Another password, or the first of an address that has none and so becomes a user.
 * Sessions stay. It is on the disk when this returns.
 */
int ratman_user_set_password(struct ratman *r, const struct ratman_id *id,
			     const struct ratman_id *token, const char *password);

/*
 * Services: programs that register under a name like net.example.chat (at most 128
 * bytes), are told who logs in and out, and keep small values for users. A daemon without the
 * Service API: RATMAN_ENOTSUPPORTED.
 */

/*
 * Registers @name with a description @text (at most 256 bytes, or NULL): fills @out for
 * ratman_sub_open() and ratman_sub_service(), soon and before @r is closed. It lasts
 * as long as that socket. RATMAN_ESERVICEEXISTS; RATMAN_EPAYLOAD: no name;
 * RATMAN_ENOTAUTHORISED: reserved, or too many.
 */
int ratman_service_register(struct ratman *r, const char *name, const char *text,
			    struct ratman_subscription *out);

/* Ends it. RATMAN_ENOSERVICE; RATMAN_ENOTAUTHORISED: another Unix user's program has registered it. */
int ratman_service_unregister(struct ratman *r, const char *name);

struct ratman_service_event {
	bool open;			/* a session of @user: opened, or ended */
	struct ratman_id user;
	bool has_token;			/* only for the Unix user who logged in, and the superuser */
	struct ratman_id token;		/* the session's; secret: wipe it */
};

/* Waits for the next. Returns 1, or as ratman_sub_next(). */
int ratman_sub_service(struct ratman_sub *s, struct ratman_service_event *out, int timeout_ms);

/*
 * Names of those that are registered, in byte order; @god_mode says whether messages
 * of all services may be asked for at once. *@out is one piece of memory (owned, ratman_free).
 */
int ratman_service_list(struct ratman *r, bool *god_mode, const char ***out, size_t *n);

/* Where a value is; shown as ns#key. */
struct ratman_service_key {
	const char *service;
	const char *ns;			/* at most 128 bytes, no '#'; NULL and "" are the same */
	const char *key;		/* 1 to 256 bytes, no '#' */
};

/*
 * What the service of @key, which is registered (else RATMAN_ENOSERVICE), keeps for
 * @id, who is online: nobody else sees it, and on the disk only his key opens it.
 * put replaces what was there; del: also 0 when nothing was. Both are on the disk
 * when they return. RATMAN_EPAYLOAD: too much, or no key; -E2BIG: no request holds it.
 * get: RATMAN_ENODATA; *@value (owned, ratman_free) has @len bytes.
 */
int ratman_service_put(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		       const struct ratman_service_key *key, const void *value, size_t len);
int ratman_service_del(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		       const struct ratman_service_key *key);
int ratman_service_get(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		       const struct ratman_service_key *key, void **value, size_t *len);

/*
 * The keys of @service, of @ns only unless it is NULL, in byte order of ns and key; their
 * .service is NULL. *@out is one piece of memory (owned, ratman_free).
 */
int ratman_service_keys(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
			const char *service, const char *ns, struct ratman_service_key **out,
			size_t *n);

#ifdef __cplusplus
}
#endif

#endif
