// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/peerlink.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/log.h"
#include "ratmand/store/keyhash.h"

#define TICK_MS 250
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 60000
#define GREET_MS 10000		/* from the connect to the peer's HELLO */
#define PING_MS 5000		/* of silence */
#define DEAD_MS 15000		/* of silence */
#define IDLE_MS 60000		/* with nothing to do */
#define YOUNG_MS 2000		/* a simultaneous connect may still be about */
#define PROVEN_MS 10000		/* up this long or useful: the next pause is short again */
#define LISTEN_RETRY_MS 2000
#define MAX_LINKS 512
#define MAX_QUEUED (4u << 20)	/* bytes; a peer that makes us write and does not read */

struct pair_key {
	struct address local, peer;
};

/* Exists while it is wanted or has a connection. */
struct pair {
	UT_hash_handle hh;
	struct pair_key key;
	struct peerlink *link;		/* up, or our own attempt */
	bool wanted;
	uint64_t backoff_ms;
	uint64_t retry_at;		/* loop time */
};

struct listener {
	struct listener *prev, *next;
	struct peerlinks *owner;
	struct address local;
	uv_tcp_t tcp;
	bool open;			/* the handle exists */
	bool gone;			/* free when it is closed */
	uint64_t retry_at;
};

struct peerlink {
	struct peerlink *prev, *next;
	struct peerlinks *owner;
	struct pair *pair;		/* NULL for an incoming one that has not greeted */
	struct address local;
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct exchange exchange;
	void *data;
	bool outgoing, connected, up, busy, paused, failed, closing;
	bool useful;			/* something was moved over it */
	uint64_t opened_at, up_at;
	uint64_t alive_at;		/* last sign of life */
	uint64_t used_at;		/* last message either way that was no ping */
	uint64_t ping_at;
	uint64_t sent, acked;		/* bytes; acknowledged by the peer's TCP */
};

struct peerlinks {
	uv_loop_t *loop;
	const struct peerlink_ops *ops;
	void *ctx;
	struct pair *pairs;
	struct peerlink *links;
	size_t n_links;
	struct listener *listeners;
	uv_timer_t timer;
	size_t handles;			/* not closed yet */
	bool closing;
	void (*closed)(void *ctx);
	void *closed_ctx;
	struct peerlink_stats stats;
};

static void on_tick(uv_timer_t *timer);

int peerlinks_new(struct peerlinks **out, uv_loop_t *loop, const struct peerlink_ops *ops,
		  void *ctx)
{
	struct peerlinks *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->ops = ops;
	p->ctx = ctx;
	uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	p->handles = 1;
	*out = p;
	return 0;
}

const struct peerlink_stats *peerlinks_stats(const struct peerlinks *p)
{
	return &p->stats;
}

/* One handle less; the last one ends a free. */
static void handle_closed(struct peerlinks *p)
{
	if (--p->handles || !p->closing)
		return;
	p->closed(p->closed_ctx);
	free(p);
}

static void ensure_ticking(struct peerlinks *p)
{
	if (!p->closing && !uv_is_active((uv_handle_t *)&p->timer))
		uv_timer_start(&p->timer, on_tick, TICK_MS, TICK_MS);
}

/* ---- pairs ---- */

static struct pair *pair_find(struct peerlinks *p, const struct address *local,
			      const struct address *peer)
{
	struct pair_key key = { *local, *peer };
	struct pair *pair;

	HASH_FIND(hh, p->pairs, &key, sizeof(key), pair);
	return pair;
}

static struct pair *pair_get(struct peerlinks *p, const struct address *local,
			     const struct address *peer)
{
	struct pair *pair = pair_find(p, local, peer);

	if (pair)
		return pair;
	pair = calloc(1, sizeof(*pair));
	if (!pair)
		return NULL;
	pair->key.local = *local;
	pair->key.peer = *peer;
	HASH_ADD_KEYPTR(hh, p->pairs, &pair->key, sizeof(pair->key), pair);
	if (!pair->hh.tbl) {
		free(pair);
		return NULL;
	}
	ensure_ticking(p);
	return pair;
}

static void pair_drop_unused(struct peerlinks *p, struct pair *pair)
{
	if (pair->wanted || pair->link)
		return;
	HASH_DEL(p->pairs, pair);
	free(pair);
}

/* Sets the next try: half to one and a half of the pause, which doubles. */
static void pair_back_off(struct peerlinks *p, struct pair *pair, bool proven)
{
	if (proven || !pair->backoff_ms)
		pair->backoff_ms = BACKOFF_MIN_MS;
	else if (pair->backoff_ms * 2 <= BACKOFF_MAX_MS)
		pair->backoff_ms *= 2;
	else
		pair->backoff_ms = BACKOFF_MAX_MS;
	pair->retry_at = uv_now(p->loop) + pair->backoff_ms / 2 +
			 randombytes_uniform((uint32_t)pair->backoff_ms);
}

/* ---- connections ---- */

static void on_link_closed(uv_handle_t *handle)
{
	struct peerlink *link = handle->data;
	struct peerlinks *p = link->owner;

	exchange_free(&link->exchange);
	free(link);
	handle_closed(p);
}

/* Closes; the pair, if it still is this link's, tries again later. */
static void link_close(struct peerlink *link)
{
	struct peerlinks *p = link->owner;
	struct pair *pair = link->pair;
	uint64_t now = uv_now(p->loop);

	if (link->closing)
		return;
	link->closing = true;
	DL_DELETE(p->links, link);
	p->n_links--;
	link->pair = NULL;
	if (pair && pair->link == link) {
		pair->link = NULL;
		pair_back_off(p, pair, link->useful || (link->up && now - link->up_at >= PROVEN_MS));
	}
	if (link->up)
		p->ops->down(p->ctx, link);
	else if (link->outgoing && !p->closing)
		p->stats.connects_failed++;
	if (pair && !pair->link)
		pair_drop_unused(p, pair);
	uv_close((uv_handle_t *)&link->tcp, on_link_closed);
}

static struct peerlink *link_new(struct peerlinks *p, bool outgoing)
{
	struct peerlink *link;

	if (outgoing && p->n_links >= MAX_LINKS)
		return NULL;
	link = calloc(1, sizeof(*link));
	if (!link)
		return NULL;
	if (exchange_init(&link->exchange) ||
	    uv_tcp_init_ex(p->loop, &link->tcp, outgoing ? AF_INET6 : AF_UNSPEC)) {
		exchange_free(&link->exchange);
		free(link);
		return NULL;
	}
	link->owner = p;
	link->outgoing = outgoing;
	link->tcp.data = link;
	link->opened_at = link->alive_at = link->used_at = uv_now(p->loop);
	p->handles++;
	p->n_links++;
	DL_APPEND(p->links, link);
	ensure_ticking(p);
	return link;
}

/* What the kernel does for us: no delay, and death when nobody acknowledges. */
static void set_socket_options(struct peerlink *link)
{
	unsigned int timeout = DEAD_MS;
	int fd;

	uv_tcp_nodelay(&link->tcp, 1);
	if (!uv_fileno((uv_handle_t *)&link->tcp, &fd))
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

static void on_space(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	struct peerlink *link = handle->data;
	size_t size;

	(void)hint;
	buf->base = (char *)exchange_space(&link->exchange, &size);
	buf->len = size;
}

static void link_up(struct peerlink *link)
{
	struct peerlinks *p = link->owner;

	link->up_at = uv_now(p->loop);
	link->data = p->ops->up(p->ctx, link, &link->pair->key.local, &link->pair->key.peer);
	if (!link->data)
		link_close(link);
	else
		link->up = true;
}

/*
 * Two connections of one pair. When both sides connected at once, both keep the
 * one from the lower address; otherwise the peer has lost the old one.
 * True when @link, which just greeted, is to go.
 */
static bool loses_to(const struct peerlink *old, const struct address *peer, uint64_t now)
{
	return old->outgoing && old->connected && address_compare(&old->local, peer) < 0 &&
	       (!old->up || now - old->up_at < YOUNG_MS);
}

/* False closes the connection. */
static bool greeted_by_caller(struct peerlink *link, const struct exchange_message *m)
{
	struct peerlinks *p = link->owner;
	uint8_t frame[EXCHANGE_SMALL_MAX];
	struct sockaddr_in6 source;
	int len = sizeof(source);
	struct pair *pair;

	memset(&source, 0, sizeof(source));
	if (!address_equal(&m->hello.to, &link->local) ||
	    uv_tcp_getpeername(&link->tcp, (struct sockaddr *)&source, &len) ||
	    !p->ops->speaks_for(p->ctx, &source, &m->hello.from))
		return false;
	pair = pair_get(p, &link->local, &m->hello.from);
	if (!pair)
		return false;
	if (pair->link) {
		struct peerlink *old = pair->link;

		if (loses_to(old, &m->hello.from, uv_now(p->loop)))
			return false;
		pair->link = link;
		link_close(old);
	}
	pair->link = link;
	link->pair = pair;
	peerlink_send(link, frame, exchange_put_hello(frame, &link->local, &pair->key.peer));
	link_up(link);
	return true;
}

static bool greeted(struct peerlink *link, const struct exchange_message *m)
{
	if (!link->outgoing)
		return greeted_by_caller(link, m);
	if (!address_equal(&m->hello.from, &link->pair->key.peer) ||
	    !address_equal(&m->hello.to, &link->local))
		return false;
	link_up(link);
	return true;
}

static bool handle_message(struct peerlink *link, const struct exchange_message *m)
{
	struct peerlinks *p = link->owner;
	uint8_t frame[EXCHANGE_SMALL_MAX];

	switch (m->type) {
	case EXCHANGE_HELLO:
		return greeted(link, m);
	case EXCHANGE_PING:
		peerlink_send(link, frame, exchange_put_bare(frame, EXCHANGE_PONG));
		return true;
	case EXCHANGE_PONG:
		return true;
	case EXCHANGE_OFFER:
	case EXCHANGE_WANT:
	case EXCHANGE_BLOCK:
	case EXCHANGE_MISSING:
	case EXCHANGE_RECEIPT:
	case EXCHANGE_REFUSE:
	case EXCHANGE_JOIN:
	case EXCHANGE_PROVE:
	case EXCHANGE_LEAVE:
	case EXCHANGE_SUM:
	case EXCHANGE_HAVE:
	case EXCHANGE_ITEM:
	case EXCHANGE_PROBE:
	case EXCHANGE_ANSWER:
		break;
	}
	/* An own attempt may still wait for the peer's HELLO: exchange_next() sees to that. */
	link->used_at = uv_now(p->loop);
	if (!p->ops->message(p->ctx, link, m))
		return false;
	link->useful = link->useful || m->type == EXCHANGE_WANT || m->type == EXCHANGE_BLOCK ||
		       m->type == EXCHANGE_RECEIPT || m->type == EXCHANGE_PROVE ||
		       m->type == EXCHANGE_ANSWER;
	return true;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct peerlink *link = stream->data;
	struct exchange_message m;
	int got = 0;

	(void)buf;
	if (n < 0) {
		link_close(link);
		return;
	}
	link->alive_at = uv_now(link->owner->loop);
	exchange_filled(&link->exchange, (size_t)n);
	while (!link->closing && (got = exchange_next(&link->exchange, &m)) > 0)
		if (!handle_message(link, &m) && !link->closing)
			link_close(link);
	if (!link->closing && got < 0) {
		link->owner->stats.protocol_errors++;
		link_close(link);
	}
}

static void on_written(uv_write_t *req, int status)
{
	struct peerlink *link = req->handle->data;

	free(req->data);
	if (status < 0)
		link_close(link);
	else if (link->up && !link->closing)
		link->owner->ops->writable(link->owner->ctx, link);
}

struct peerlink_write *peerlink_write_new(size_t size)
{
	return malloc(sizeof(struct peerlink_write) + size);
}

/* From deep inside a callback: the connection is closed when the loop comes by. */
static void fail_later(struct peerlink *link)
{
	link->failed = true;
	if (!link->owner->closing)
		uv_timer_start(&link->owner->timer, on_tick, 0, TICK_MS);
}

void peerlink_write_send(struct peerlink *link, struct peerlink_write *write, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)write->data, (unsigned int)len);

	write->req.data = write;
	link->used_at = uv_now(link->owner->loop);
	if (link->closing || link->failed || peerlink_queued(link) > MAX_QUEUED) {
		free(write);
		fail_later(link);
		return;
	}
	link->sent += len;
	link->owner->stats.messages_sent++;
	link->owner->stats.bytes_sent += buf.len;
	if (uv_write(&write->req, (uv_stream_t *)&link->tcp, &buf, 1, on_written)) {
		free(write);
		fail_later(link);
	}
}

void peerlink_send(struct peerlink *link, const void *data, size_t len)
{
	struct peerlink_write *write = peerlink_write_new(len);

	if (!write) {
		fail_later(link);
		return;
	}
	memcpy(write->data, data, len);
	peerlink_write_send(link, write, len);
}

size_t peerlink_queued(const struct peerlink *link)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&link->tcp);
}

void *peerlink_data(const struct peerlink *link)
{
	return link->data;
}

void peerlink_close(struct peerlink *link)
{
	link_close(link);
}

void peerlink_pause(struct peerlink *link, bool pause)
{
	if (link->closing || pause == link->paused)
		return;
	link->paused = pause;
	link->alive_at = uv_now(link->owner->loop);
	if (pause)
		uv_read_stop((uv_stream_t *)&link->tcp);
	else if (uv_read_start((uv_stream_t *)&link->tcp, on_space, on_read))
		fail_later(link);
}

void peerlink_set_busy(struct peerlink *link, bool busy)
{
	if (busy && !link->busy)
		link->alive_at = uv_now(link->owner->loop);
	link->busy = busy;
}

static void on_connect(uv_connect_t *req, int status)
{
	struct peerlink *link = req->handle->data;
	uint8_t frame[EXCHANGE_SMALL_MAX];

	if (link->closing)
		return;
	if (status || uv_read_start((uv_stream_t *)&link->tcp, on_space, on_read)) {
		link_close(link);
		return;
	}
	link->connected = true;
	set_socket_options(link);
	peerlink_send(link, frame,
		      exchange_put_hello(frame, &link->local, &link->pair->key.peer));
}

/* Binds even before the kernel has given the address to ratman0. */
static int bind_to(uv_tcp_t *tcp, const struct sockaddr_in6 *at)
{
	int on = 1;
	int fd;

	if (!uv_fileno((uv_handle_t *)tcp, &fd))
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
	return uv_tcp_bind(tcp, (const struct sockaddr *)at, 0);
}

static void try_connect(struct peerlinks *p, struct pair *pair)
{
	struct sockaddr_in6 source, target;
	struct peerlink *link;

	if (pair->link || !pair->wanted || p->closing)
		return;
	if (!p->ops->reachable(p->ctx, &pair->key.peer) ||
	    !p->ops->endpoint(p->ctx, &pair->key.local, true, &source) ||
	    !p->ops->endpoint(p->ctx, &pair->key.peer, false, &target)) {
		pair->retry_at = uv_now(p->loop) + BACKOFF_MIN_MS;
		return;
	}
	link = link_new(p, true);
	if (!link) {
		pair_back_off(p, pair, false);
		return;
	}
	p->stats.connects++;
	link->local = pair->key.local;
	link->pair = pair;
	pair->link = link;
	if (bind_to(&link->tcp, &source) ||
	    uv_tcp_connect(&link->connect, &link->tcp, (struct sockaddr *)&target, on_connect))
		link_close(link);
}

/* ---- listeners ---- */

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;
	struct peerlinks *p = l->owner;

	l->open = false;
	if (l->gone)
		free(l);
	handle_closed(p);
}

static void on_incoming(uv_stream_t *stream, int status)
{
	struct listener *l = stream->data;
	struct peerlinks *p = l->owner;
	struct peerlink *link;

	if (status || p->closing)
		return;
	link = link_new(p, false);
	if (!link)
		return;
	link->local = l->local;
	if (uv_accept(stream, (uv_stream_t *)&link->tcp) || p->n_links > MAX_LINKS ||
	    uv_read_start((uv_stream_t *)&link->tcp, on_space, on_read)) {
		link_close(link);
		return;
	}
	link->connected = true;
	set_socket_options(link);
}

static void listener_open(struct peerlinks *p, struct listener *l)
{
	struct sockaddr_in6 at;
	int err = UV_EADDRNOTAVAIL;

	l->retry_at = uv_now(p->loop) + LISTEN_RETRY_MS;
	if (!p->ops->endpoint(p->ctx, &l->local, false, &at))
		return;
	if (uv_tcp_init_ex(p->loop, &l->tcp, AF_INET6))
		return;
	l->tcp.data = l;
	l->open = true;
	p->handles++;
	err = bind_to(&l->tcp, &at);
	if (!err)
		err = uv_listen((uv_stream_t *)&l->tcp, 64, on_incoming);
	if (err) {
		static struct log_gate gate;

		if (log_gate_open(&gate, uv_now(p->loop), 1, 60000))
			log_warn("streams: cannot listen: %s", uv_strerror(err));
		uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
	} else {
		l->retry_at = 0;
	}
}

static struct listener *listener_find(struct peerlinks *p, const struct address *local)
{
	struct listener *l;

	DL_FOREACH(p->listeners, l)
		if (address_equal(&l->local, local))
			return l;
	return NULL;
}

int peerlinks_listen(struct peerlinks *p, const struct address *local)
{
	struct listener *l = listener_find(p, local);

	if (l)
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->owner = p;
	l->local = *local;
	DL_APPEND(p->listeners, l);
	listener_open(p, l);
	ensure_ticking(p);
	return 0;
}

static void listener_drop(struct peerlinks *p, struct listener *l)
{
	DL_DELETE(p->listeners, l);
	l->gone = true;
	if (!l->open)
		free(l);
	else if (!uv_is_closing((uv_handle_t *)&l->tcp))
		uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
}

void peerlinks_unlisten(struct peerlinks *p, const struct address *local)
{
	struct listener *l = listener_find(p, local);
	struct peerlink *link, *next_link;
	struct pair *pair, *next;

	if (l)
		listener_drop(p, l);
	for (pair = p->pairs; pair; pair = next) {
		next = pair->hh.next;
		if (!address_equal(&pair->key.local, local))
			continue;
		pair->wanted = false;
		if (!pair->link)
			pair_drop_unused(p, pair);
	}
	DL_FOREACH_SAFE(p->links, link, next_link)
		if (address_equal(&link->local, local))
			link_close(link);
}

/* ---- what is wanted ---- */

int peerlinks_want(struct peerlinks *p, const struct address *local, const struct address *peer,
		   bool wanted)
{
	struct pair *pair = wanted ? pair_get(p, local, peer) : pair_find(p, local, peer);

	if (!pair)
		return wanted ? -ENOMEM : 0;
	if (pair->wanted != wanted) {
		pair->wanted = wanted;
		if (wanted && uv_now(p->loop) >= pair->retry_at)
			try_connect(p, pair);
		else if (!wanted)
			pair_drop_unused(p, pair);
	}
	return 0;
}

void peerlinks_poke(struct peerlinks *p, const struct address *peer)
{
	struct pair *pair, *next;

	for (pair = p->pairs; pair; pair = next) {
		next = pair->hh.next;
		if (!address_equal(&pair->key.peer, peer) || !pair->wanted || pair->link)
			continue;
		pair->backoff_ms = 0;
		/* Connects from the next tick, which may fail without harm to this loop. */
		pair->retry_at = 0;
	}
	if (p->pairs && !p->closing)
		uv_timer_start(&p->timer, on_tick, 0, TICK_MS);
}

struct peerlink *peerlinks_find(struct peerlinks *p, const struct address *local,
				const struct address *peer)
{
	struct pair *pair = pair_find(p, local, peer);

	return pair && pair->link && pair->link->up ? pair->link : NULL;
}

/*
 * True when the peer's TCP took more of what waits to be sent: on a slow path a
 * PONG may be stuck behind seconds of blocks.
 */
static bool makes_progress(struct peerlink *link)
{
	uint64_t before = link->acked;
	int fd, unacked = 0;

	if (uv_fileno((uv_handle_t *)&link->tcp, &fd) || ioctl(fd, SIOCOUTQ, &unacked))
		return false;
	link->acked = link->sent - peerlink_queued(link) - (uint64_t)unacked;
	return link->acked != before && (unacked > 4096 || peerlink_queued(link));
}

static void link_tick(struct peerlink *link, uint64_t now)
{
	uint8_t frame[EXCHANGE_SMALL_MAX];

	if (link->failed) {
		link_close(link);
		return;
	}
	if (!link->up) {
		if (now - link->opened_at > GREET_MS)
			link_close(link);
		return;
	}
	if (!link->busy) {
		if (now - link->used_at > IDLE_MS)
			link_close(link);
		return;
	}
	if (link->paused || makes_progress(link))
		link->alive_at = now;
	if (now - link->alive_at > DEAD_MS) {
		log_debug("streams: a peer fell silent, connection closed");
		link_close(link);
	} else if (now - link->alive_at > PING_MS && now - link->ping_at > PING_MS) {
		uint64_t used_at = link->used_at;

		link->ping_at = now;
		peerlink_send(link, frame, exchange_put_bare(frame, EXCHANGE_PING));
		link->used_at = used_at;
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct peerlinks *p = timer->data;
	struct peerlink *link, *next_link;
	struct pair *pair, *next;
	uint64_t now = uv_now(p->loop);
	struct listener *l;
	bool listening = true;

	DL_FOREACH_SAFE(p->links, link, next_link)
		link_tick(link, now);
	for (pair = p->pairs; pair; pair = next) {
		next = pair->hh.next;
		if (pair->wanted && !pair->link && now >= pair->retry_at)
			try_connect(p, pair);
	}
	DL_FOREACH(p->listeners, l) {
		if (!l->open && now >= l->retry_at)
			listener_open(p, l);
		listening = listening && l->open && !l->retry_at;
	}
	if (!p->links && !p->pairs && listening)
		uv_timer_stop(timer);
}

static void on_timer_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

void peerlinks_free(struct peerlinks *p, void (*closed)(void *ctx), void *ctx)
{
	struct peerlink *link, *next_link;
	struct listener *l, *next_l;
	struct pair *pair, *next;

	p->closing = true;
	p->closed = closed;
	p->closed_ctx = ctx;
	DL_FOREACH_SAFE(p->links, link, next_link)
		link_close(link);
	DL_FOREACH_SAFE(p->listeners, l, next_l)
		listener_drop(p, l);
	pair = p->pairs;
	HASH_CLEAR(hh, p->pairs);
	for (; pair; pair = next) {
		next = pair->hh.next;
		free(pair);
	}
	uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}
