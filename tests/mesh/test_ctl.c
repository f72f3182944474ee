// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The commands of ratctl that ask the kernel, over a fake one: what they print for
 * people and for programs (against Documentation/ratctl-schema.json), and what they say
 * when the kernel refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/kern_fake.h"
#include "ratmand/api/server.h"

#define SCHEMA "Documentation/ratctl-schema.json"
#define NOBODY "127.0.0.1:1"	/* no daemon there: the kernel must do */
#define ROUTER "1011-1213-1415-1617-1819-1A1B-1C1D-1E1F-2021-2223-2425-2627-2829-2A2B-2C2D-2E2F"
#define PEER "3031-3233-3435-3637-3839-3A3B-3C3D-3E3F-4041-4243-4445-4647-4849-4A4B-4C4D-4E4F"
#define LOCAL "5051-5253-5455-5657-5859-5A5B-5C5D-5E5F-6061-6263-6465-6667-6869-6A6B-6C6D-6E6F"
#define ARGS_MAX 24

int ratctl_main(int argc, char **argv);

static uv_loop_t loop;
static struct fake_node *node;
static struct fake_link *wire;
static char keys_path[] = "/tmp/test_ctl.XXXXXX";
static char out[65536], err[65536];

static void from_file(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
}

/* Takes the place of @stream until restore(); returns where the text goes. */
static int divert(FILE *stream, int *saved)
{
	FILE *f = tmpfile();
	int fd = dup(fileno(f));

	fclose(f);
	fflush(stream);
	*saved = dup(fileno(stream));
	assert_true(fd >= 0 && *saved >= 0);
	assert_true(dup2(fd, fileno(stream)) >= 0);
	return fd;
}

static void restore(FILE *stream, int saved)
{
	fflush(stream);
	assert_true(dup2(saved, fileno(stream)) >= 0);
	close(saved);
}

/* Runs ratctl with the words of @line and the daemon at @bind; what it prints is in out and err. */
static void ctl_at(const char *bind, int status, const char *line)
{
	static char name[] = "ratctl", option[] = "-b";
	char copy[1024], where[128], *argv[ARGS_MAX + 1] = { name, option, where }, *save = NULL;
	int argc = 3, got, saved_out, saved_err, fd_out, fd_err;

	assert_true(strlen(line) < sizeof(copy) && strlen(bind) < sizeof(where));
	strcpy(copy, line);
	strcpy(where, bind);
	for (char *w = strtok_r(copy, " ", &save); w && argc < ARGS_MAX; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	fd_out = divert(stdout, &saved_out);
	fd_err = divert(stderr, &saved_err);
	got = ratctl_main(argc, argv);
	restore(stdout, saved_out);
	restore(stderr, saved_err);
	from_file(fd_out, out, sizeof(out));
	from_file(fd_err, err, sizeof(err));
	if (got != status)
		fail_msg("ratctl %s: status %d, wanted %d\n%s%s", line, got, status, out, err);
}

static void ctl(int status, const char *line)
{
	ctl_at(NOBODY, status, line);
}

static struct json_object *member(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(o, name, &value))
		fail_msg("there is no %s in %s", name, json_object_to_json_string(o));
	return value;
}

static bool has_type(struct json_object *v, const char *type)
{
	const char *text = json_object_get_string(v);
	struct address a;

	if (!strcmp(type, "number"))
		return json_object_is_type(v, json_type_int) ||
		       json_object_is_type(v, json_type_double);
	if (!strcmp(type, "bool"))
		return json_object_is_type(v, json_type_boolean);
	if (!json_object_is_type(v, json_type_string))
		return false;
	if (!strcmp(type, "address"))
		return !address_parse(text, &a) && strlen(text) == ADDRESS_TEXT_LEN - 1;
	if (!strcmp(type, "time"))
		return strlen(text) == strlen("2024-10-21T17:25:26.123456789Z");
	return true;
}

/* Every member that the schema names, each of its type, and no other. */
static void check_row(struct json_object *fields, struct json_object *row)
{
	assert_int_equal(json_object_object_length(fields), json_object_object_length(row));
	json_object_object_foreach(fields, name, type) {
		const char *t = json_object_get_string(type);
		bool optional = t[strlen(t) - 1] == '?';
		char bare[32];
		struct json_object *v = member(row, name);

		snprintf(bare, sizeof(bare), "%.*s", (int)(strlen(t) - optional), t);
		if (!(optional && !v) && !has_type(v, bare))
			fail_msg("%s is no %s: %s", name, t, json_object_to_json_string(row));
	}
}

/* Runs "@line --json" and holds the list (or the line) against the schema; @n rows. */
static struct json_object *list(const char *command, size_t n)
{
	struct json_object *schema = json_object_from_file(SCHEMA);
	struct json_object *value, *fields;
	char line[128];

	if (!schema)
		fail_msg("cannot read %s: run the tests from the top of the tree", SCHEMA);
	snprintf(line, sizeof(line), "%s --json", command);
	ctl(0, line);
	value = json_tokener_parse(out);
	fields = member(member(schema, command), "fields");
	assert_true(json_object_is_type(value, json_type_array));
	assert_int_equal(json_object_array_length(value), n);
	for (size_t i = 0; i < n; i++)
		check_row(fields, json_object_array_get_idx(value, i));
	json_object_put(schema);
	return value;
}

static const char *text_of(struct json_object *rows, size_t i, const char *name)
{
	return json_object_get_string(member(json_object_array_get_idx(rows, i), name));
}

static int64_t number_of(struct json_object *rows, size_t i, const char *name)
{
	return json_object_get_int64(member(json_object_array_get_idx(rows, i), name));
}

static int setup(void **state)
{
	int fd = mkstemp(keys_path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(uv_loop_init(&loop), 0);
	fake_begin(&loop, 1);
	node = fake_node_new();
	wire = fake_link_new(node, fake_node_new());
	fake_enter(node);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_end();
	assert_int_equal(uv_loop_close(&loop), 0);
	unlink(keys_path);
	strcpy(keys_path, "/tmp/test_ctl.XXXXXX");
	return 0;
}

/* Two lines with a key each, of @bytes bytes. */
static void write_keys(int bytes)
{
	FILE *f = fopen(keys_path, "w");

	assert_non_null(f);
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < bytes; k++)
			fprintf(f, "%02x", 0xa0 + i);
		fputc('\n', f);
	}
	fclose(f);
}

static void set_neighbour(void)
{
	char line[512];

	write_keys(RATMAN_SIPHASH_KEY_LEN);
	snprintf(line, sizeof(line),
		 "neigh set %s " ROUTER " --mac 02:00:00:00:00:07 --index 4097 --peer-index 9 --keys %s",
		 fake_link_name(node, wire), keys_path);
	ctl(0, line);
	assert_string_equal(out, "ok\n");
}

static void links(void **state)
{
	struct json_object *rows = list("link list", 1);
	char line[128];

	(void)state;
	assert_string_equal(text_of(rows, 0, "link"), fake_link_name(node, wire));
	assert_string_equal(text_of(rows, 0, "state"), "up");
	json_object_put(rows);
	ctl(0, "link list");
	assert_non_null(strstr(out, "LINK"));
	snprintf(line, sizeof(line), "link del %s", fake_link_name(node, wire));
	ctl(0, line);
	json_object_put(list("link list", 0));
	ctl(1, line);
	assert_non_null(strstr(err, "is not a link"));
	snprintf(line, sizeof(line), "link add %s --json", fake_link_name(node, wire));
	ctl(0, line);
	assert_string_equal(out, "{\"ok\":true}\n");
	ctl(1, "link add nothing0");
	assert_non_null(strstr(err, "no interface"));
}

/* A daemon that only writes down what links it is to make and to take away. */

static int orders = -1;		/* a pipe from it */

static int note_link(void *be, enum backend_link_change what, const char *name, char *why, size_t size)
{
	int n = dprintf(*(int *)be, "%s %s\n", what == BACKEND_LINK_CREATE ? "create" : "destroy", name);

	(void)why;
	(void)size;
	return n > 0 ? 0 : -EIO;
}

static int refuse_link(void *be, enum backend_link_change what, const char *name, char *why,
		       size_t size)
{
	(void)be;
	(void)what;
	(void)name;
	snprintf(why, size, "the switch is off");
	return -EIO;
}

/* Serves on the Unix socket @path in a process of its own. */
static pid_t serve(const char *path, bool willing)
{
	const struct backend_ops ops = { .link_change = willing ? note_link : refuse_link };
	struct api_config cfg;
	struct api_server *server;
	int ready[2], order[2];
	char why[256], byte;
	uv_loop_t own;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(order), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		signal(SIGPIPE, SIG_IGN);
		api_config_defaults(&cfg);
		cfg.bind = "127.0.0.1:0";
		cfg.socket = path;
		cfg.socket_mode = 0600;
		if (uv_loop_init(&own) ||
		    api_server_new(&server, &own, &cfg, &ops, &order[1], why, sizeof(why)))
			_exit(1);
		dprintf(ready[1], "x");
		uv_run(&own, UV_RUN_DEFAULT);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(order[1]);
	orders = order[0];
	return pid;
}

static void stop_serving(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(orders);
}

static void expect_order(const char *what)
{
	char text[128], wanted[128];
	ssize_t n = read(orders, text, sizeof(text) - 1);

	assert_true(n > 0);
	text[n] = '\0';
	snprintf(wanted, sizeof(wanted), "%s %s\n", what, fake_link_name(node, wire));
	assert_string_equal(text, wanted);
}

/* The device is held, as by a daemon, until the door is closed. */
static struct kern *claim(void)
{
	const struct address router = { .b = { 1 } };
	const uint8_t boot[8] = { 1 };
	struct kern_dev dev;
	struct kern *kern;
	char why[256];

	assert_int_equal(kern_open(&kern, why, sizeof(why)), 0);
	assert_int_equal(kern_dev_find(kern, NULL, &dev), 0);
	assert_int_equal(kern_claim(kern, dev.ifindex, &router, boot), 0);
	return kern;
}

static void links_through_the_daemon(void **state)
{
	char path[64], add[128], del[128];
	struct kern *holder;
	pid_t pid;

	(void)state;
	snprintf(path, sizeof(path), "%s.sock", keys_path);
	snprintf(add, sizeof(add), "link add %s --json", fake_link_name(node, wire));
	snprintf(del, sizeof(del), "link del %s", fake_link_name(node, wire));
	pid = serve(path, true);
	/* Nobody holds the device: whoever listens there is not its daemon. */
	ctl_at(path, 0, add);
	assert_non_null(strstr(err, "no daemon was asked"));
	holder = claim();
	ctl_at(path, 0, add);
	assert_string_equal(out, "{\"ok\":true}\n");
	assert_string_equal(err, "");
	expect_order("create");
	ctl_at(path, 0, del);
	assert_string_equal(out, "ok\n");
	assert_string_equal(err, "");
	expect_order("destroy");
	/* Carried out by the daemon, or not at all. */
	json_object_put(list("link list", 1));
	stop_serving(pid);
	unlink(path);
	pid = serve(path, false);
	ctl_at(path, 2, del);
	assert_non_null(strstr(err, "the switch is off"));
	json_object_put(list("link list", 1));
	stop_serving(pid);
	/* It is gone: the kernel does it, and that is said. */
	ctl_at(path, 0, del);
	assert_non_null(strstr(err, "no daemon was asked"));
	json_object_put(list("link list", 0));
	kern_close(holder);
	unlink(path);
}

static void neighbours(void **state)
{
	struct json_object *rows;
	char line[256];

	(void)state;
	json_object_put(list("neigh list", 0));
	set_neighbour();
	rows = list("neigh list", 1);
	assert_string_equal(text_of(rows, 0, "router"), ROUTER);
	assert_string_equal(text_of(rows, 0, "mac"), "02:00:00:00:00:07");
	assert_int_equal(number_of(rows, 0, "index"), 4097);
	assert_int_equal(number_of(rows, 0, "peer_index"), 9);
	json_object_put(rows);
	ctl(0, "neigh list");
	assert_non_null(strstr(out, ROUTER));
	assert_null(strstr(out, "PEER INDEX"));
	ctl(0, "neigh list --wide");
	assert_non_null(strstr(out, "PEER INDEX"));
	/* By its beginning, which nobody but the kernel knows here. */
	snprintf(line, sizeof(line), "neigh del %s 1011-1214", fake_link_name(node, wire));
	ctl(1, line);
	assert_non_null(strstr(err, "did you mean 1011-1213…2E2F?"));
	snprintf(line, sizeof(line), "neigh del %s 1011-12", fake_link_name(node, wire));
	ctl(0, line);
	json_object_put(list("neigh list", 0));
	ctl(1, line);
	snprintf(line, sizeof(line), "--json neigh del %s " ROUTER, fake_link_name(node, wire));
	ctl(2, line);
	assert_non_null(strstr(err, "There is no such neighbour"));
	assert_non_null(strstr(out, "{\"error\":{\"code\":2,"));
}

static void routes(void **state)
{
	struct json_object *rows;

	(void)state;
	ctl(2, "route set " PEER " 4097");
	assert_non_null(strstr(err, "set the neighbour first"));
	set_neighbour();
	ctl(0, "route set " PEER " 4097:300");
	rows = list("route list", 1);
	assert_string_equal(text_of(rows, 0, "addr"), PEER);
	assert_int_equal(number_of(rows, 0, "metric"), 300);
	assert_int_equal(number_of(rows, 0, "next_hops"), 1);
	assert_int_equal(number_of(rows, 0, "mtu"), 0);
	assert_non_null(strstr(text_of(rows, 0, "via"), "1011-1213 on "));
	json_object_put(rows);
	ctl(0, "route list -o lines");
	assert_int_equal(strncmp(out, PEER "\t300\t", strlen(PEER "\t300\t")), 0);
	ctl(1, "route set " PEER " 4097:x");
	ctl(1, "route set " PEER);
	ctl(0, "route del 3031");
	ctl(2, "route del " PEER);
}

static void sessions(void **state)
{
	struct address local;
	struct json_object *rows;
	char line[512];

	(void)state;
	assert_int_equal(address_parse(LOCAL, &local), 0);
	fake_put_addr(node, &local);
	set_neighbour();
	ctl(0, "route set " PEER " 4097");
	write_keys(RATMAN_SESSION_KEY_LEN);
	snprintf(line, sizeof(line),
		 "session set 5051 3031 --index 77 --peer-index 88 --initiator --keys %s", keys_path);
	ctl(0, line);
	rows = list("session list", 1);
	assert_string_equal(text_of(rows, 0, "local"), LOCAL);
	assert_string_equal(text_of(rows, 0, "peer"), PEER);
	assert_int_equal(number_of(rows, 0, "index"), 77);
	json_object_put(rows);
	ctl(1, "session set 5051 3031 --index 77 --peer-index 88");
	assert_non_null(strstr(err, "--keys FILE is missing"));
	write_keys(RATMAN_SESSION_KEY_LEN - 1);
	ctl(1, line);
	assert_non_null(strstr(err, "hex digits"));
	assert_null(strstr(err, "a0a0"));
	ctl(0, "session del 5051 3031");
	json_object_put(list("session list", 0));
}

static void counters_and_top(void **state)
{
	struct json_object *schema = json_object_from_file(SCHEMA), *row;

	(void)state;
	json_object_put(list("counters list", 1));
	set_neighbour();
	ctl(0, "top --json --count 1");
	row = json_tokener_parse(out);
	check_row(member(member(schema, "top"), "fields"), row);
	assert_int_equal(json_object_get_int(member(row, "num_links")), 1);
	assert_int_equal(json_object_get_int(member(row, "num_neighbours")), 1);
	assert_false(json_object_get_boolean(member(row, "daemon")));
	assert_string_equal(json_object_get_string(member(row, "device")), "ratman0");
	json_object_put(row);
	json_object_put(schema);
}

/* It never ends by itself: a child runs it (with a copy of the kernel) until its first line is there. */
static void monitor(void **state)
{
	static char words[][16] = { "ratctl", "monitor", "--json" };
	char *argv[] = { words[0], words[1], words[2], NULL };
	struct json_object *schema = json_object_from_file(SCHEMA), *row;
	int pipes[2], status;
	pid_t child;
	FILE *f;

	(void)state;
	set_neighbour();
	fflush(NULL);
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (!child) {
		dup2(pipes[1], STDOUT_FILENO);
		_exit(ratctl_main(3, argv));
	}
	close(pipes[1]);
	f = fdopen(pipes[0], "r");
	assert_non_null(fgets(out, sizeof(out), f));
	row = json_tokener_parse(out);
	check_row(member(member(schema, "monitor"), "fields"), row);
	assert_string_equal(json_object_get_string(member(row, "change")), "=");
	assert_string_equal(json_object_get_string(member(row, "what")), "neighbour");
	assert_string_equal(json_object_get_string(member(row, "addr")), ROUTER);
	assert_null(member(row, "peer"));
	assert_int_equal(waitpid(child, &status, WNOHANG), 0);	/* it waits for more */
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	fclose(f);
	json_object_put(row);
	json_object_put(schema);
}

/* The kernel is there, but says no, or has no module any more. */
static void refusals(void **state)
{
	static const char *const commands[] = {
		"link list", "neigh list", "route list", "session list", "counters list",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		/* The first dump finds the device. */
		fake_refuse(node, FAKE_DUMP, -EPERM, 1);
		ctl(2, commands[i]);
		assert_non_null(strstr(err, "run it as root"));
		assert_string_equal(out, "");
	}
	ctl(3, "link list --device other0");
	assert_non_null(strstr(err, "ip link add"));
	fake_module(node, false);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		ctl(3, commands[i]);
		assert_non_null(strstr(err, "modprobe ratman"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links, setup, teardown),
		cmocka_unit_test_setup_teardown(links_through_the_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(routes, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(counters_and_top, setup, teardown),
		cmocka_unit_test_setup_teardown(monitor, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
