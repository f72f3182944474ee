// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client protocol server against what loopback TCP allows: requests a
 * second on one pipelined connection and on 100, latency idle and under the
 * load of 1,000 clients, bytes a second of Send and Recv, memory of idle
 * clients. Beside each figure stands the limit: a server that reads the same
 * frames and answers with as many bytes, doing nothing else, in the same run.
 *
 * One JSON object a line. cpu_us is the server's CPU time a request: other load
 * on the machine moves it little. Usage: bench_api [stream MiB, default 1024]
 * RATMAND names the daemon; default ../ratmand beside this program.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/wire.h"
#include "proto/header.h"
#include "proto/payload.h"
#include "ratman/ratman.h"

#define SECONDS 3
#define WINDOW 2048		/* requests under way on a pipelined connection */
#define MANY 100
#define SAMPLES 20000
#define CROWD 800		/* well-behaved clients of the 1,000 */
#define SLOW 100		/* read nothing */
#define GARBAGE 100		/* send what is no request, and come again */
#define REQUEST_MAX 256
#define REPLY_MAX 256

static const uint8_t hello[] = { 0, 0, 0, 7, 0, 0x10, 0, 0, 0, 0, 3, 1, 0, 1 };

struct request {
	const char *name;
	uint8_t bytes[REQUEST_MAX];
	size_t len;
};

struct server {
	const char *name;
	pid_t pid;
	uint16_t port;
};

static char dir[] = "/tmp/bench-api-XXXXXX";

static void die(const char *what)
{
	fprintf(stderr, "bench_api: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(int bad, const char *what)
{
	if (bad)
		die(what);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds on a CPU, of all threads that live. */
static double cpu_s(const struct server *s)
{
	char path[512];
	double total = 0;
	struct dirent *e;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", s->pid);
	tasks = opendir(path);
	must(!tasks, path);
	while ((e = readdir(tasks))) {
		unsigned long long ns = 0;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", s->pid, e->d_name);
		f = fopen(path, "r");
		if (f && fscanf(f, "%llu", &ns) == 1)
			total += (double)ns / 1e9;
		if (f)
			fclose(f);
	}
	closedir(tasks);
	return total;
}

/* "VmRSS", or "RssAnon": without the mapped database. */
static long memory_kib(const struct server *s, const char *what)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", s->pid);
	f = fopen(path, "r");
	must(!f, path);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kib = strtol(line + strlen(what) + 1, NULL, 10);
	fclose(f);
	return kib;
}

static int listen_any(uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) || listen(fd, 1024), "listen");
	getsockname(fd, (struct sockaddr *)&in, &len);
	*port = ntohs(in.sin_port);
	return fd;
}

static int try_dial(uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof(in))) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void read_fully(int fd, uint8_t *buf, size_t len)
{
	for (size_t have = 0; have < len;) {
		ssize_t n = read(fd, buf + have, len - have);

		must(n <= 0, "the server closed");
		have += (size_t)n;
	}
}

static size_t read_frame(int fd)
{
	uint8_t buf[REPLY_MAX];
	size_t header, payload;

	read_fully(fd, buf, 4);
	header = buf[3];
	read_fully(fd, buf + 4, header);
	payload = (size_t)buf[4 + header - 2] << 8 | buf[4 + header - 1];
	must(4 + header + payload > sizeof(buf), "reply too long");
	read_fully(fd, buf + 4 + header, payload);
	return 4 + header + payload;
}

static int dial(const struct server *s)
{
	int fd = try_dial(s->port);

	must(fd < 0, "connect");
	must(write(fd, hello, sizeof(hello)) != sizeof(hello), "hello");
	read_frame(fd);
	return fd;
}

/* The limit: same framing, no work ------------------------------------------- */

struct echo_conn {
	int fd;
	size_t have;
	uint8_t buf[65536];
};

/* Answers every whole frame in the buffer with @len bytes at @reply; false when it is no frame. */
static bool echo_frames(struct echo_conn *c, const uint8_t *reply, size_t len)
{
	static uint8_t out[1u << 20];
	size_t at = 0, filled = 0;

	while (c->have - at >= 11) {
		size_t header = c->buf[at + 3];
		const uint8_t *size;
		size_t whole;

		if (header < 7 || header > 64 || c->buf[at])
			return false;
		if (c->have - at < 4 + header)
			break;
		size = c->buf + at + 4 + header - 4;
		whole = 4 + header + ((size_t)size[2] << 8 | size[3]);
		if (c->have - at < whole)
			break;
		at += whole;
		memcpy(out + filled, reply, len);
		filled += len;
	}
	memmove(c->buf, c->buf + at, c->have - at);
	c->have -= at;
	for (size_t sent = 0; sent < filled;) {
		ssize_t n = write(c->fd, out + sent, filled - sent);

		/* The pipelined client is waited for; who reads nothing for long is cut off. */
		if (n < 0 && errno == EAGAIN &&
		    poll(&(struct pollfd){ .fd = c->fd, .events = POLLOUT }, 1, 10) > 0)
			continue;
		if (n < 0)
			return false;
		sent += (size_t)n;
	}
	return true;
}

static void echo_serve(int listener, size_t reply_len)
{
	uint8_t reply[REPLY_MAX] = { 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, (uint8_t)(reply_len - 11) };
	struct epoll_event e = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
	while (epoll_wait(ep, &e, 1, -1) == 1) {
		struct echo_conn *c = e.data.ptr;
		ssize_t n;

		if (!c) {
			c = calloc(1, sizeof(*c));
			c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
			e = (struct epoll_event){ .events = EPOLLIN, .data.ptr = c };
			epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
			continue;
		}
		n = read(c->fd, c->buf + c->have, sizeof(c->buf) - c->have);
		c->have += n > 0 ? (size_t)n : 0;
		if (n <= 0 || !echo_frames(c, reply, reply_len)) {
			close(c->fd);
			free(c);
		}
	}
}

static void start_echo(struct server *s, size_t reply_len)
{
	int listener = listen_any(&s->port);

	s->name = "echo";
	s->pid = fork();
	if (!s->pid) {
		echo_serve(listener, reply_len);
		_exit(0);
	}
	close(listener);
}

/* The daemon ------------------------------------------------------------------ */

static void start_daemon(struct server *s, const char *self)
{
	char config[128], program[512], *copy = strdup(self);
	const char *given = getenv("RATMAND");
	FILE *f;
	int fd;

	snprintf(program, sizeof(program), "%s/../ratmand", dirname(copy));
	free(copy);
	must(!mkdtemp(dir), dir);
	close(listen_any(&s->port));
	snprintf(config, sizeof(config), "%s/conf", dir);
	f = fopen(config, "w");
	must(!f, config);
	fprintf(f,
		"state_dir = \"%s/state\"\nruntime_dir = \"%s/run\"\napi_bind = \"127.0.0.1:%u\"\n"
		"max_clients = 4096\n", dir, dir, s->port);
	fclose(f);
	s->name = "ratmand";
	s->pid = fork();
	if (!s->pid) {
		execl(given ? given : program, "ratmand", "-v", "error", "-c", config, NULL);
		die(given ? given : program);
	}
	for (int i = 0; i < 1000; i++, usleep(10000)) {
		fd = try_dial(s->port);
		if (fd >= 0) {
			close(fd);
			return;
		}
	}
	errno = ETIMEDOUT;
	die("the daemon");
}

static void stop_server(const struct server *s)
{
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
}

static void handle_open(const struct server *s, struct ratman **r, struct ratman_id *a,
			struct ratman_id *t)
{
	char bind_text[32];

	snprintf(bind_text, sizeof(bind_text), "127.0.0.1:%u", s->port);
	errno = EIO;
	must(ratman_open(r, bind_text, 60000) || ratman_addr_create(*r, NULL, a, t) ||
	     ratman_addr_up(*r, a, t), "an address");
}

static void make_request(struct request *q, const char *name, uint16_t mode,
			 const struct ratman_id *token, const void *payload, size_t len)
{
	struct frame_header h = { .mode = mode, .has_token = token, .payload_len = (uint32_t)len };

	if (token)
		memcpy(h.token.b, token->b, sizeof(h.token.b));
	q->name = name;
	q->len = header_write(q->bytes, &h);
	memcpy(q->bytes + q->len, payload, len);
	q->len += len;
}

/* Requests a second ------------------------------------------------------------- */

struct rate {
	double rps, cpu_us;
	size_t reply_len;
};

static size_t reply_length(const struct server *s, const struct request *q)
{
	int fd = dial(s);
	size_t len;

	must(write(fd, q->bytes, q->len) != (ssize_t)q->len, "request");
	len = read_frame(fd);
	close(fd);
	return len;
}

static struct rate pipelined(const struct server *s, const struct request *q)
{
	struct rate rate = { .reply_len = reply_length(s, q) };
	size_t batch = 512 * q->len, sent = 0, got = 0;
	uint8_t *out = malloc(batch), in[65536];
	double start, cpu, end;
	int fd = dial(s);

	for (size_t i = 0; i < 512; i++)
		memcpy(out + i * q->len, q->bytes, q->len);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	cpu = cpu_s(s);
	start = now_s();
	end = start + SECONDS;
	while (now_s() < end) {
		size_t under_way = sent / q->len - got / rate.reply_len;
		size_t room = WINDOW > under_way ? (WINDOW - under_way) * q->len : 0;
		size_t at = sent % q->len, len = batch - at < room ? batch - at : room;
		short events = POLLIN;
		ssize_t n;

		if (len) {
			n = write(fd, out + at, len);
			must(n < 0 && errno != EAGAIN, "write");
			sent += n > 0 ? (size_t)n : 0;
			if (n < 0)
				events |= POLLOUT;
		}
		n = read(fd, in, sizeof(in));
		must(!n || (n < 0 && errno != EAGAIN), "read");
		got += n > 0 ? (size_t)n : 0;
		if (n < 0 && (!len || events & POLLOUT))
			poll(&(struct pollfd){ .fd = fd, .events = events }, 1, 1000);
	}
	rate.rps = (double)(got / rate.reply_len) / (now_s() - start);
	rate.cpu_us = (cpu_s(s) - cpu) * 1e6 / (double)(got / rate.reply_len);
	close(fd);
	free(out);
	return rate;
}

/* One request under way on each of many connections. */
static struct rate spread(const struct server *s, const struct request *q)
{
	struct rate rate = { .reply_len = reply_length(s, q) };
	int ep = epoll_create1(EPOLL_CLOEXEC), fds[MANY];
	struct epoll_event events[MANY];
	double start, cpu, end;
	uint8_t in[REPLY_MAX];
	size_t done = 0;

	for (int i = 0; i < MANY; i++) {
		fds[i] = dial(s);
		events[0] = (struct epoll_event){ .events = EPOLLIN, .data.fd = fds[i] };
		epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &events[0]);
	}
	cpu = cpu_s(s);
	start = now_s();
	end = start + SECONDS;
	for (int i = 0; i < MANY; i++)
		must(write(fds[i], q->bytes, q->len) != (ssize_t)q->len, "request");
	while (now_s() < end) {
		int n = epoll_wait(ep, events, MANY, 1000);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			read_fully(fd, in, rate.reply_len);
			must(write(fd, q->bytes, q->len) != (ssize_t)q->len, "request");
		}
		done += n > 0 ? (size_t)n : 0;
	}
	rate.rps = (double)done / (now_s() - start);
	rate.cpu_us = (cpu_s(s) - cpu) * 1e6 / (double)done;
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	close(ep);
	return rate;
}

static void print_rate(const char *what, const struct request *q, struct rate ours,
		       struct rate limit)
{
	printf("{\"bench\":\"api_requests\",\"connections\":\"%s\",\"request\":\"%s\","
	       "\"per_s\":%.0f,\"limit_per_s\":%.0f,\"cpu_us\":%.2f,\"limit_cpu_us\":%.2f,"
	       "\"per_cpu_s\":%.0f}\n",
	       what, q->name, ours.rps, limit.rps, ours.cpu_us, limit.cpu_us, 1e6 / ours.cpu_us);
	fflush(stdout);
}

static void bench_requests(const struct server *daemon, const struct request *q)
{
	struct server echo;
	struct rate one = pipelined(daemon, q), many = spread(daemon, q);

	start_echo(&echo, one.reply_len);
	print_rate("1 pipelined", q, one, pipelined(&echo, q));
	print_rate("100", q, many, spread(&echo, q));
	stop_server(&echo);
}

/* Latency ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

struct latency {
	double p50_us, p99_us;
};

/* One request under way at a time, on each connection in turn. */
static struct latency ask_in_turn(const int *fds, size_t n, const struct request *q,
				  size_t reply_len)
{
	static float us[SAMPLES];
	uint8_t in[REPLY_MAX];

	for (size_t i = 0; i < SAMPLES; i++) {
		int fd = fds[i % n];
		double start = now_s();

		must(write(fd, q->bytes, q->len) != (ssize_t)q->len, "request");
		read_fully(fd, in, reply_len);
		us[i] = (float)((now_s() - start) * 1e6);
	}
	qsort(us, SAMPLES, sizeof(us[0]), by_value);
	return (struct latency){ us[SAMPLES / 2], us[SAMPLES - SAMPLES / 100] };
}

/* Keeps their send buffers full; reads nothing, or no more than a trickle. */
static void be_slow(const int *fds, const struct request *q)
{
	for (size_t i = 0; i < SLOW; i++)
		for (int k = 0; k < 16; k++)
			if (send(fds[i], q->bytes, q->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
				break;
}

/* Runs until killed: SLOW clients that do not read, GARBAGE clients that come again and again. */
static pid_t start_load(const struct server *s, const struct request *q)
{
	static const uint8_t garbage[] = "\0\0\0\7\0\x10\0\0\0\0\3nonsense after a header";
	int slow[SLOW], bad[GARBAGE];
	pid_t pid = fork();

	if (pid)
		return pid;
	for (size_t i = 0; i < SLOW; i++)
		slow[i] = dial(s);
	for (size_t i = 0; i < GARBAGE; i++)
		bad[i] = -1;
	for (size_t turn = 0;; turn++) {
		size_t i = turn % GARBAGE;

		if (bad[i] >= 0)
			close(bad[i]);
		bad[i] = try_dial(s->port);
		if (bad[i] >= 0)
			send(bad[i], garbage + turn % 12, sizeof(garbage) - 12, MSG_NOSIGNAL);
		if (turn % 10 == 0)
			be_slow(slow, q);
		usleep(500);
	}
}

/* Latency of the crowd alone, then among clients that do not read and clients that talk nonsense. */
static void crowd(const struct server *s, const struct request *q, struct latency *idle,
		  struct latency *loaded)
{
	size_t reply_len = reply_length(s, q);
	int fds[CROWD];
	pid_t load;

	for (size_t i = 0; i < CROWD; i++)
		fds[i] = dial(s);
	*idle = ask_in_turn(fds, CROWD, q, reply_len);
	load = start_load(s, q);
	sleep(2);
	*loaded = ask_in_turn(fds, CROWD, q, reply_len);
	kill(load, SIGKILL);
	waitpid(load, NULL, 0);
	for (size_t i = 0; i < CROWD; i++)
		close(fds[i]);
}

static void print_latency(const char *load, struct latency ours, struct latency limit,
			  struct latency idle)
{
	printf("{\"bench\":\"api_latency\",\"load\":\"%s\",\"p50_us\":%.0f,\"p99_us\":%.0f,"
	       "\"limit_p50_us\":%.0f,\"limit_p99_us\":%.0f,\"p99_to_idle\":%.2f}\n",
	       load, ours.p50_us, ours.p99_us, limit.p50_us, limit.p99_us,
	       ours.p99_us / idle.p99_us);
	fflush(stdout);
}

static void bench_latency(const struct server *daemon, const struct request *q)
{
	struct latency idle, loaded, idle_limit, loaded_limit;
	struct server echo;

	start_echo(&echo, reply_length(daemon, q));
	crowd(&echo, q, &idle_limit, &loaded_limit);
	stop_server(&echo);
	crowd(daemon, q, &idle, &loaded);
	print_latency("idle", idle, idle_limit, idle);
	print_latency("100 slow, 100 garbage", loaded, loaded_limit, idle);
}

/* Memory -------------------------------------------------------------------------- */

static void bench_memory(const struct server *daemon)
{
	long before = memory_kib(daemon, "VmRSS"), with, after;
	int fds[1000];

	for (size_t i = 0; i < 1000; i++)
		fds[i] = dial(daemon);
	with = memory_kib(daemon, "VmRSS");
	for (size_t i = 0; i < 1000; i++)
		close(fds[i]);
	sleep(1);
	after = memory_kib(daemon, "VmRSS");
	printf("{\"bench\":\"api_memory\",\"idle_clients\":1000,\"rss_kib_before\":%ld,\"rss_kib\":%ld,"
	       "\"bytes_a_client\":%ld,\"rss_kib_after\":%ld}\n",
	       before, with, (with - before) * 1024 / 1000, after);
	fflush(stdout);
}

/* Streams -------------------------------------------------------------------------- */

/* Megabytes a second through one loopback connection to a process that reads and forgets. */
static double loopback_mb_s(uint64_t bytes)
{
	static uint8_t chunk[65536];
	uint64_t left = bytes;
	uint16_t port;
	int fd, listener = listen_any(&port);
	double start;
	pid_t pid = fork();

	if (!pid) {
		fd = accept(listener, NULL, NULL);
		while (read(fd, chunk, 32768) > 0)
			;
		_exit(0);
	}
	close(listener);
	fd = try_dial(port);
	must(fd < 0, "connect");
	start = now_s();
	while (left) {
		ssize_t n = write(fd, chunk, left < sizeof(chunk) ? (size_t)left : sizeof(chunk));

		must(n <= 0, "loopback");
		left -= (uint64_t)n;
	}
	close(fd);
	waitpid(pid, NULL, 0);
	return (double)bytes / 1e6 / (now_s() - start);
}

static void bench_streams(const struct server *daemon, uint64_t bytes)
{
	static uint8_t chunk[65536];
	struct ratman_recipient to = { .is_namespace = false };
	struct ratman_letterhead head;
	struct ratman_id a, b, ta, tb;
	struct ratman *ra, *rb;
	struct ratman_send *s;
	struct ratman_recv *v;
	double start, sent, cpu, cpu_sent, cpu_recv;
	uint64_t got = 0;
	ssize_t n;

	handle_open(daemon, &ra, &a, &ta);
	handle_open(daemon, &rb, &b, &tb);
	ratman_set_timeout(ra, -1);
	ratman_set_timeout(rb, -1);
	to.id = b;
	cpu = cpu_s(daemon);
	start = now_s();
	errno = EIO;
	must(ratman_send_begin(ra, &a, &ta, &to, 1, &s), "send");
	for (uint64_t left = bytes; left; left -= sizeof(chunk)) {
		memcpy(chunk, &left, sizeof(left));	/* no two blocks are equal */
		memcpy(chunk + sizeof(chunk) / 2, &left, sizeof(left));
		must(ratman_send_write(s, chunk, sizeof(chunk)), "send");
	}
	must(ratman_send_end(s), "end of the stream");
	sent = now_s() - start;
	cpu_sent = cpu_s(daemon) - cpu;
	cpu = cpu_s(daemon);
	start = now_s();
	must(ratman_recv_begin(rb, &b, &tb, NULL, 1, &v) || ratman_recv_next(v, &head, 60000) != 1,
	     "receive");
	while ((n = ratman_recv_read(v, chunk, sizeof(chunk))) > 0)
		got += (uint64_t)n;
	start = now_s() - start;
	cpu_recv = cpu_s(daemon) - cpu;
	must(n || got != bytes, "the stream broke off");
	ratman_recv_end(v);
	ratman_close(ra);
	ratman_close(rb);
	printf("{\"bench\":\"api_streams\",\"mib\":%llu,\"send_mb_s\":%.0f,\"recv_mb_s\":%.0f,"
	       "\"limit_mb_s\":%.0f,\"send_mb_cpu_s\":%.0f,\"recv_mb_cpu_s\":%.0f,\"anon_kib\":%ld}\n",
	       (unsigned long long)bytes >> 20, (double)bytes / 1e6 / sent,
	       (double)bytes / 1e6 / start, loopback_mb_s(bytes), (double)bytes / 1e6 / cpu_sent,
	       (double)bytes / 1e6 / cpu_recv, memory_kib(daemon, "RssAnon"));
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 1024;
	struct rlimit files = { 8192, 8192 };
	struct request status, recv;
	struct ratman_id a, t;
	uint8_t payload[32 + 33 + 5];
	struct server daemon;
	struct ratman *r;
	char command[64];

	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	start_daemon(&daemon, argv[0]);
	handle_open(&daemon, &r, &a, &t);
	make_request(&status, "Intrinsic/Status", 0x0034, NULL, NULL, 0);
	/* Checks the token, registers a listener, and is over: no stream is wanted. */
	memcpy(payload, a.b, 32);
	payload[32] = 1;
	memcpy(payload + 33, a.b, 32);
	memcpy(payload + 65, "\1\0\0\0", 5);
	make_request(&recv, "Recv/Many", 0x0533, &t, payload, sizeof(payload));
	bench_memory(&daemon);
	bench_requests(&daemon, &status);
	bench_requests(&daemon, &recv);
	bench_latency(&daemon, &status);
	if (mib)
		bench_streams(&daemon, mib << 20);
	ratman_close(r);
	stop_server(&daemon);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) != 0;
}
