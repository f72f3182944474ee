// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/sync.h"

#define DESCRIPTOR_MAX 65535

/* The number of our descriptor that @path names, or -1. */
static int descriptor(const char *path)
{
	static const char *const directories[] = { "/dev/fd/", "/proc/self/fd/" };
	char *end;

	if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"))
		return STDOUT_FILENO;
	if (!strcmp(path, "/dev/stderr"))
		return STDERR_FILENO;
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		size_t len = strlen(directories[i]);
		long n;

		if (strncmp(path, directories[i], len) || path[len] < '0' || path[len] > '9')
			continue;
		n = strtol(path + len, &end, 10);
		if (!*end && n <= DESCRIPTOR_MAX)
			return (int)n;
	}
	return -1;
}

bool output_is_stdout(const char *path)
{
	return descriptor(path) == STDOUT_FILENO;
}

/* Opened anew a file would be written from its beginning, and a socket not at all. */
static int find_descriptor(int fd, struct output_place *out)
{
	out->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	out->kind = OUTPUT_OPENED;
	return out->fd < 0 ? -errno : 0;
}

int output_find(const char *path, struct output_place *out)
{
	struct stat link, st;
	int fd = descriptor(path);

	*out = (struct output_place){ .kind = OUTPUT_NOTHING, .fd = -1 };
	if (strlen(path) >= sizeof(out->path))
		return -ENAMETOOLONG;
	strcpy(out->path, path);
	if (fd >= 0)
		return find_descriptor(fd, out);
	if (lstat(path, &link))
		return errno == ENOENT ? 0 : -errno;
	if (S_ISLNK(link.st_mode) && !realpath(path, out->path))
		return errno == ENOENT ? -ELOOP : -errno;
	if (stat(out->path, &st))
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		out->kind = S_ISDIR(st.st_mode) ? OUTPUT_DIRECTORY : OUTPUT_FILE;
		return 0;
	}
	out->kind = OUTPUT_OPENED;
	out->fd = open(out->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return out->fd < 0 ? -errno : 0;
}

int output_rename(const char *from, const char *to, bool replace)
{
	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, replace ? 0 : RENAME_NOREPLACE))
		return 0;
	if (replace || (errno != EINVAL && errno != ENOSYS))
		return -errno;
	/* A file system that cannot promise it: a second name, or if there is no such thing, nearly so. */
	if (!link(from, to))
		return unlink(from) ? -errno : 0;
	if (errno == EEXIST || !access(to, F_OK))
		return -EEXIST;
	return rename(from, to) ? -errno : 0;
}

int output_write(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int refuse(int err, const char *path, char *why, size_t size)
{
	switch (err) {
	case -EEXIST:
		snprintf(why, size, "%s exists already; replace it with --force", path);
		break;
	case -EISDIR:
		snprintf(why, size, "%s is a directory: name a file in it", path);
		break;
	case -ELOOP:
		snprintf(why, size, "cannot write %s: it is a symbolic link that leads nowhere; remove it first",
			 path);
		break;
	default:
		snprintf(why, size, "cannot write %s: %s", path, strerror(-err));
	}
	return err;
}

static mode_t current_umask(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return mask;
}

/* A file of a name nobody can guess beside the place; mkostemp() makes it 0600. */
static int open_part(struct output *o, unsigned int flags)
{
	int n = snprintf(o->part, sizeof(o->part), "%s.XXXXXX", o->path), err = 0;

	if (n < 0 || (size_t)n >= sizeof(o->part))
		return -ENAMETOOLONG;
	o->fd = mkostemp(o->part, O_CLOEXEC);
	if (o->fd < 0)
		err = -errno;
	if (!err && (flags & OUTPUT_PUBLIC) && fchmod(o->fd, 0666 & ~current_umask())) {
		err = -errno;
		output_discard(o);
	}
	if (err)
		o->part[0] = '\0';
	return err;
}

int output_open(struct output *o, const char *path, unsigned int flags, char *why, size_t why_size)
{
	struct output_place place;
	int err = output_find(path, &place);

	*o = (struct output){ .fd = place.fd, .replace = flags & OUTPUT_REPLACE };
	if (err)
		return refuse(err, path, why, why_size);
	strcpy(o->path, place.path);
	switch (place.kind) {
	case OUTPUT_OPENED:
		return 0;
	case OUTPUT_DIRECTORY:
		return refuse(-EISDIR, path, why, why_size);
	case OUTPUT_FILE:
		if (!o->replace)
			return refuse(-EEXIST, path, why, why_size);
		break;
	case OUTPUT_NOTHING:
		break;
	}
	err = open_part(o, flags);
	return err ? refuse(err, path, why, why_size) : 0;
}

int output_keep(struct output *o)
{
	int err = 0;

	if (o->part[0] && fsync(o->fd) && errno != EINVAL && errno != EROFS)
		err = -errno;
	if (close(o->fd) && !err)
		err = -errno;
	if (o->part[0]) {
		if (!err)
			err = output_rename(o->part, o->path, o->replace);
		if (err)
			unlink(o->part);
		else
			sync_parent(o->path);
	}
	o->part[0] = '\0';
	return err;
}

void output_discard(struct output *o)
{
	close(o->fd);
	if (o->part[0])
		unlink(o->part);
	o->part[0] = '\0';
}
