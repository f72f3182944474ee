// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/export.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tools/output.h"

/* One at a time. */
static struct output out;
static const char *name;	/* as the user calls it; NULL: nothing is open */
static bool to_stdout;

static void on_signal(int sig)
{
	if (out.part[0])
		unlink(out.part);
	_exit(128 + sig);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

int export_open(struct ctl *ctl, const char *path, bool secret)
{
	unsigned int flags = (ctl->force ? OUTPUT_REPLACE : 0) | (secret ? 0 : OUTPUT_PUBLIC);
	char why[512];

	to_stdout = output_is_stdout(path);
	if (!to_stdout) {
		catch_signals();
		if (output_open(&out, path, flags, why, sizeof(why)))
			return ctl_fail(ctl, CTL_USER, "%s", why);
	}
	name = to_stdout ? "to standard output" : path;
	return CTL_OK;
}

int export_write(struct ctl *ctl, const void *data, size_t len)
{
	int err = output_write(to_stdout ? STDOUT_FILENO : out.fd, data, len);

	return err ? ctl_fail(ctl, CTL_USER, "cannot write %s: %s", name, strerror(-err)) : CTL_OK;
}

int export_keep(struct ctl *ctl)
{
	const char *path = name;
	int err;

	name = NULL;
	err = to_stdout ? 0 : output_keep(&out);
	return err ? ctl_fail(ctl, CTL_USER, err == -EEXIST ? "cannot write %s: %s; replace it with --force" :
			      "cannot write %s: %s", path, strerror(-err)) : CTL_OK;
}

void export_end(void)
{
	if (name && !to_stdout)
		output_discard(&out);
	name = NULL;
}
