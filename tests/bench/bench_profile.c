// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Searches among 100,000 profiles in a store below BENCH_DIR (default the working
 * directory), one JSON object a line:
 *   per_s            searches a second, one after the other, first 100 hits of each
 *   hits             of one search, on average
 *   worst_turn_us    the longest that one turn of the loop took: how long another
 *                    client waits at most
 * for each kind of match (by_id: User/Query of one user), and of the whole
 *   fill_per_s       announcements merged a second
 *   load_ms          how long a start takes for them
 *   rss_kib_per_1000 memory for a thousand profiles
 *   disk_per_profile bytes of cache/ for one
 *
 * bench_profile fill DIR only fills the store in DIR.
 */
#include <errno.h>
#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "bench/bench.h"
#include "ratmand/service/users.h"

#define PROFILES 100000
#define HITS 100

static uv_loop_t loop;
static struct store *store;
static struct users *users;

static void open_all(void)
{
	char why[256] = "";
	int err = store_open(&store, &loop, dir, NULL, why, sizeof(why));

	if (err)
		die(why, err);
	err = users_new(&users, &loop, store, LIMIT_PROFILES, NULL, NULL);
	if (!err)
		err = users_ready(users);
	if (err)
		die("users", err);
}

static void close_all(void)
{
	users_free(users);
	store_close(store);
	uv_run(&loop, UV_RUN_DEFAULT);
}

/* Names as people have them: syllables. */
static const char *const syllables[] = {
	"an", "ba", "co", "dra", "el", "fi", "gu", "ha", "is", "jo", "ka", "li", "mo", "na", "or",
	"pe", "qui", "ro", "sa", "ti", "ul", "va", "wen", "xa", "yo", "zu", "ber", "den", "mar", "nor",
};

static void name(char *out, unsigned int n, unsigned int parts)
{
	*out = '\0';
	for (; parts; parts--, n = n * 1103515245u + 12345u)
		strcat(out, syllables[(n >> 8) % (sizeof(syllables) / sizeof(syllables[0]))]);
}

static struct address number(unsigned int n)
{
	struct address a;

	crypto_generichash(a.b, sizeof(a.b), (const uint8_t *)&n, sizeof(n), NULL, 0);
	return a;
}

/* About 250 bytes: handle, full name, city, a line about oneself, two services. */
static void make(struct profile *p, unsigned int n)
{
	const struct address id = number(n);
	char text[256], word[64];

	profile_init(p, &id);
	p->has_handle = p->has_display_name = true;
	name(p->handle, n * 7u, 3);
	snprintf(p->handle + strlen(p->handle), 16, "%u", n % 100);
	name(word, n * 13u, 3);
	name(text, n * 29u, 4);
	snprintf(p->display_name, sizeof(p->display_name), "%s %s", word, text);
	name(word, n % 2000, 3);
	profile_bio_set(&p->bio, "city", word);
	*text = '\0';
	for (unsigned int i = 0; i < 12; i++) {
		name(word, n * 31u + i * 977u, 1 + i % 3);
		strcat(strcat(text, word), " ");
	}
	profile_bio_set(&p->bio, "about", text);
	profile_services_add(&p->services, "org.example.chat");
	if (n % 10 == 0)
		profile_services_add(&p->services, "org.example.files");
	p->updated_ns = 1;
}

static void wait_idle(void)
{
	for (int i = 0; i < 100000 && uv_run(&loop, UV_RUN_NOWAIT); i++)
		;
}

static void fill(void)
{
	struct profile p;
	double start = now_s();

	for (unsigned int i = 0; i < PROFILES; i++) {
		make(&p, i);
		users_merge(users, &p.id, 1, &p);
		if (i % 500 == 0)
			uv_run(&loop, UV_RUN_NOWAIT);
	}
	wait_idle();
	if (users_stats(users)->merged != PROFILES)
		die("merging", EIO);
	printf("{\"bench\":\"profile\",\"case\":\"fill\",\"profiles\":%d,\"fill_per_s\":%.0f}\n",
	       PROFILES, PROFILES / (now_s() - start));
}

static long rss_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "RssAnon:", 8))
			kib = atol(line + 8);
	if (f)
		fclose(f);
	return kib;
}

static void load(void)
{
	struct stat st = { .st_size = 0 };
	char path[300];
	double start;
	long before;

	close_all();
	malloc_trim(0);
	before = rss_kib();
	start = now_s();
	open_all();
	start = now_s() - start;
	malloc_trim(0);
	snprintf(path, sizeof(path), "%s/cache/data.mdb", dir);
	stat(path, &st);
	printf("{\"bench\":\"profile\",\"case\":\"load\",\"profiles\":%zu,\"load_ms\":%.0f,"
	       "\"rss_kib_per_1000\":%.0f,\"disk_per_profile\":%.0f}\n",
	       users_count(users), start * 1e3, (double)(rss_kib() - before) * 1000 / PROFILES,
	       (double)st.st_size / PROFILES);
}

struct run {
	uint64_t hits;
	bool done;
};

static bool on_found(void *ctx, const struct profile *p)
{
	(void)p;
	((struct run *)ctx)->hits++;
	return true;
}

static void on_done(void *ctx, int err)
{
	if (err)
		die("lookup", err);
	((struct run *)ctx)->done = true;
}

static void search(const char *label, enum user_match match, const char *attribute,
		   void (*pattern)(char *out, unsigned int i))
{
	double start = now_s(), worst = 0;
	struct run total = { 0 };
	unsigned int n = 0;

	for (; now_s() - start < 2 || n < 3; n++) {
		struct user_query q = { .n = 1, .take = HITS };
		struct run run = { 0 };
		struct lookup *l;
		char text[128];

		pattern(text, n);
		q.terms[0] = (struct user_term){ attribute, text, match };
		if (users_lookup(users, &q, USER_BOTH, on_found, on_done, &run, &l))
			die("lookup", ENOMEM);
		while (!run.done) {
			double turn = now_s();

			uv_run(&loop, UV_RUN_NOWAIT);
			turn = now_s() - turn;
			worst = turn > worst ? turn : worst;
		}
		total.hits += run.hits;
	}
	printf("{\"bench\":\"profile\",\"case\":\"%s\",\"profiles\":%d,\"per_s\":%.1f,"
	       "\"hits\":%.1f,\"worst_turn_us\":%.0f}\n",
	       label, PROFILES, n / (now_s() - start), (double)total.hits / n, worst * 1e6);
	fflush(stdout);
}

static void somebody(char *out, unsigned int i)
{
	struct profile p;

	make(&p, i * 7919u % PROFILES);
	strcpy(out, p.handle);
}

static void part_of_somebody(char *out, unsigned int i)
{
	struct profile p;

	make(&p, i * 7919u % PROFILES);
	snprintf(out, 128, "%.8s", p.display_name + 2);
}

static void misspelt(char *out, unsigned int i)
{
	struct profile p;
	size_t len;
	char c;

	make(&p, i * 7919u % PROFILES);
	len = strcspn(p.display_name, " ");
	snprintf(out, 128, "%.*s", (int)len, p.display_name);
	/* Two neighbours swapped, in the middle. */
	c = out[len / 2];
	out[len / 2] = out[len / 2 - 1];
	out[len / 2 - 1] = c;
}

static void nobody(char *out, unsigned int i)
{
	snprintf(out, 128, "qqxxqq%u", i);
}

static void service(char *out, unsigned int i)
{
	(void)i;
	strcpy(out, "org.example.files");
}

static void by_id(void)
{
	static uint8_t avatar[LIMIT_AVATAR];
	struct profile_record record;
	double start = now_s();
	unsigned int n = 0;

	for (; n % 64 || now_s() - start < 1; n++) {
		const struct address id = number(n * 7919u % PROFILES);
		int err = users_get(users, &id, &record, avatar);

		if (err)
			die("get", err);
	}
	printf("{\"bench\":\"profile\",\"case\":\"by_id\",\"profiles\":%d,\"per_s\":%.0f}\n",
	       PROFILES, n / (now_s() - start));
}

/* A store for others to look at (memory.py). */
static int only_fill(const char *where)
{
	snprintf(dir, sizeof(dir), "%s", where);
	open_all();
	fill();
	close_all();
	return 0;
}

int main(int argc, char **argv)
{
	if (sodium_init() < 0 || uv_loop_init(&loop))
		return 1;
	log_set_level(LOG_ERROR);
	if (argc == 3 && !strcmp(argv[1], "fill"))
		return only_fill(argv[2]);
	fresh_dir();
	open_all();
	fill();
	load();
	by_id();
	search("exact handle", USER_MATCH_EXACT, "handle", somebody);
	search("exact any", USER_MATCH_EXACT, "", somebody);
	search("exact service", USER_MATCH_EXACT, "services", service);
	search("prefix", USER_MATCH_PREFIX, "handle", somebody);
	search("substring", USER_MATCH_SUBSTRING, "display_name", part_of_somebody);
	search("substring, none", USER_MATCH_SUBSTRING, "", nobody);
	search("fuzzy", USER_MATCH_FUZZY, "display_name", misspelt);
	search("fuzzy, none", USER_MATCH_FUZZY, "", nobody);
	close_all();
	remove_dir();
	return 0;
}
