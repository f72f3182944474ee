// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratcat/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "ratcat/interrupt.h"
#include "tools/output.h"
#include "tools/sync.h"

#define PART ".part"
#define NAMES_MAX 10000		/* that we try in one directory and second */

static bool to_stdout(const struct cat *cat)
{
	return !cat->output || output_is_stdout(cat->output);
}

bool sink_is_directory(const struct cat *cat)
{
	struct stat st;

	return !to_stdout(cat) && !stat(cat->output, &st) && S_ISDIR(st.st_mode);
}

/* What can be said before anything is tried. EXIT_OK or reports. */
static int check(const struct cat *cat)
{
	struct stat st;
	size_t len;

	if (to_stdout(cat))
		return EXIT_OK;
	len = strlen(cat->output);
	if (!len || len > PATH_MAX - 128)
		return cat_fail(cat, EXIT_USER, "--output needs the name of a file or directory");
	if (stat(cat->output, &st)) {
		if (cat->output[len - 1] == '/')
			return cat_fail(cat, EXIT_USER, "there is no directory %s; try: mkdir %s",
					cat->output, cat->output);
		return EXIT_OK;
	}
	if (S_ISDIR(st.st_mode) && access(cat->output, W_OK | X_OK))
		return cat_fail(cat, EXIT_USER, "cannot write to directory %s: %s", cat->output,
				strerror(errno));
	return EXIT_OK;
}

/*
 * Opens s->part, which nobody else must be writing. One that was left behind
 * is used again. -EBUSY, or another negative errno.
 */
static int open_part(struct sink *s)
{
	struct stat held, named = { 0 };
	int err;

	for (;;) {
		s->fd = open(s->part, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
			     0666);
		if (s->fd < 0)
			return -errno;
		if (flock(s->fd, LOCK_EX | LOCK_NB)) {
			err = errno == EWOULDBLOCK ? -EBUSY : -errno;
			break;
		}
		/* The one who had the lock may have renamed it just now. */
		if (fstat(s->fd, &held) || (stat(s->part, &named) && errno != ENOENT)) {
			err = -errno;
			break;
		}
		if (held.st_nlink && held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
			err = S_ISREG(held.st_mode) ? 0 : -EEXIST;
			if (!err && ftruncate(s->fd, 0))
				err = -errno;
			break;
		}
		close(s->fd);
	}
	if (err)
		close(s->fd);
	return err;
}

/* The name comes with the stream; until then it is ours alone. */
static int open_in_directory(const struct cat *cat, struct sink *s)
{
	int n = snprintf(s->part, sizeof(s->part), "%s/ratcat-XXXXXX" PART, cat->output);

	s->in_directory = true;
	if (n < 0 || (size_t)n >= sizeof(s->part))
		return -ENAMETOOLONG;
	s->fd = mkostemps(s->part, (int)strlen(PART), O_CLOEXEC);
	return s->fd < 0 ? -errno : 0;
}

/* -ENOTUNIQ: there is a file, which is not to be replaced; -EBUSY, or another negative errno. */
static int open_file(const struct cat *cat, struct sink *s)
{
	struct output_place place;
	int err = output_find(cat->output, &place);

	snprintf(s->path, sizeof(s->path), "%s", place.path);
	s->fd = place.fd;
	if (err || place.kind == OUTPUT_OPENED)
		return err;
	if (place.kind == OUTPUT_FILE && !cat->force)
		return -ENOTUNIQ;
	snprintf(s->part, sizeof(s->part), "%.*s" PART, PATH_MAX - 8, s->path);
	return open_part(s);
}

/* True when the file system says that @size bytes will not fit. */
static bool too_full(int fd, uint64_t size, uint64_t *room)
{
	struct statvfs fs;

	if (fstatvfs(fd, &fs) || !fs.f_blocks)
		return false;
	*room = (uint64_t)(geteuid() ? fs.f_bavail : fs.f_bfree) * fs.f_frsize;
	return *room < size;
}

int sink_open(const struct cat *cat, struct sink *s)
{
	int err, status = check(cat);

	*s = (struct sink){ .fd = STDOUT_FILENO };
	if (status || to_stdout(cat))
		return status;
	err = sink_is_directory(cat) ? open_in_directory(cat, s) : open_file(cat, s);
	if (err == -EBUSY)
		return cat_fail(cat, EXIT_USER, "%s is being written by another ratcat", s->part);
	if (err == -ENOTUNIQ)
		return cat_fail(cat, EXIT_USER, "%s exists already; replace it with --force",
				cat->output);
	if (err == -ELOOP)
		return cat_fail(cat, EXIT_USER,
				"cannot write %s: it is a symbolic link that leads nowhere; remove it first",
				cat->output);
	if (err)
		return cat_fail(cat, EXIT_USER, "cannot write %s: %s",
				s->part[0] ? s->part : cat->output, strerror(-err));
	if (s->part[0])
		interrupt_removes(s->part);
	return EXIT_OK;
}

bool sink_has_room(const struct cat *cat, const struct sink *s, uint64_t size)
{
	char need[TERM_TEXT_LEN], have[TERM_TEXT_LEN];
	uint64_t room;

	if (!s->part[0] || !too_full(s->fd, size, &room))
		return true;
	cat_fail(cat, EXIT_USER, "%s has room for %s, the stream needs %s; " CAT_KEPT, cat->output,
		 term_format_bytes(room, have), term_format_bytes(size, need));
	return false;
}

int sink_write(const struct sink *s, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(s->fd, buf, len);

		if (n < 0 && errno == EINTR && !interrupt_pending())
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Names a file in the directory: time, sender, and a number from the second try on. */
static void name_in_directory(const struct cat *cat, const struct ratman_letterhead *head,
			      unsigned int attempt, char *out, size_t size)
{
	char from[ADDRESS_TEXT_LEN], when[32], number[16] = "";
	size_t dir_len = strlen(cat->output);
	time_t now = time(NULL);
	struct tm tm;

	ratman_id_format(&head->from, from);
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	while (dir_len > 1 && cat->output[dir_len - 1] == '/')
		dir_len--;
	if (attempt > 1)
		snprintf(number, sizeof(number), "-%u", attempt);
	snprintf(out, size, "%.*s/%s-%.4s%s", (int)dir_len, cat->output, when, from, number);
}

static mode_t current_umask(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return mask;
}

static int give_name(const struct cat *cat, const struct ratman_letterhead *head, struct sink *s)
{
	int err = -EEXIST;

	if (!s->in_directory)
		return output_rename(s->part, s->path, cat->force);
	/* mkostemps() is for secrets; these are files like others. */
	if (fchmod(s->fd, 0666 & ~current_umask()))
		return -errno;
	for (unsigned int i = 1; err == -EEXIST && i < NAMES_MAX; i++) {
		name_in_directory(cat, head, i, s->path, sizeof(s->path));
		err = output_rename(s->part, s->path, false);
	}
	return err;
}

int sink_keep(const struct cat *cat, const struct ratman_letterhead *head, struct sink *s)
{
	int err = 0;

	if (s->fd == STDOUT_FILENO)
		return 0;
	if (s->part[0] && fsync(s->fd) && errno != EINVAL && errno != EROFS)
		err = -errno;
	/* The lock goes with the descriptor: give the name first. */
	if (!err && s->part[0])
		err = give_name(cat, head, s);
	if (err && s->part[0])
		unlink(s->part);
	if (close(s->fd) && !err)
		err = -errno;
	if (!err && s->part[0])
		sync_parent(s->path);
	interrupt_removes(NULL);
	return err;
}

void sink_discard(struct sink *s)
{
	if (s->fd == STDOUT_FILENO)
		return;
	if (s->part[0])
		unlink(s->part);
	close(s->fd);
	interrupt_removes(NULL);
}
