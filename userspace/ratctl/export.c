// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/export.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/sync.h"

/* What is written until it is whole; removed when a signal ends us. */
static char part[PATH_MAX];

static void on_signal(int sig)
{
	if (part[0])
		unlink(part);
	_exit(128 + sig);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

int export_open(struct ctl *ctl, int *fd)
{
	struct stat st;

	*fd = STDOUT_FILENO;
	if (!strcmp(ctl->output, "-"))
		return CTL_OK;
	if (!lstat(ctl->output, &st) && !ctl->force)
		return ctl_fail(ctl, CTL_USER, "%s exists already; replace it with --force",
				ctl->output);
	if ((size_t)snprintf(part, sizeof(part), "%s.XXXXXX", ctl->output) >= sizeof(part)) {
		part[0] = '\0';
		return ctl_fail(ctl, CTL_USER, "the name of the file is too long");
	}
	catch_signals();
	*fd = mkostemp(part, O_CLOEXEC);
	if (*fd >= 0)
		return CTL_OK;
	part[0] = '\0';
	return ctl_fail(ctl, CTL_USER, "cannot write %s: %s", ctl->output, strerror(errno));
}

int export_keep(struct ctl *ctl, int fd)
{
	int err = 0;

	if (fd == STDOUT_FILENO)
		return CTL_OK;
	if (fsync(fd) && errno != EINVAL && errno != EROFS)
		err = errno;
	if (!err && ctl->force && rename(part, ctl->output))
		err = errno;
	if (!err && !ctl->force && renameat2(AT_FDCWD, part, AT_FDCWD, ctl->output, RENAME_NOREPLACE))
		err = errno;
	/* A file system that cannot promise it: the same with a second name. */
	if (!ctl->force && (err == EINVAL || err == ENOSYS)) {
		err = link(part, ctl->output) ? errno : 0;
		if (!err)
			unlink(part);
	}
	if (err)
		return ctl_fail(ctl, CTL_USER, "cannot write %s: %s", ctl->output, strerror(err));
	part[0] = '\0';
	sync_parent(ctl->output);
	return CTL_OK;
}

int export_write(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

void export_end(void)
{
	if (part[0])
		unlink(part);
	part[0] = '\0';
}
