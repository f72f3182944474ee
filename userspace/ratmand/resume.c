// SPDX-License-Identifier: GPL-2.0-or-later
#include "resume.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"

static const uint8_t magic[8] = { 'r', 'a', 't', 'm', 'u', 'p', 0, 1 };

/* The file is the magic and then the entries as they are. */
static void load(struct resume *r)
{
	int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t max = sizeof(magic) + LIMIT_LOCAL_ADDRESSES * sizeof(*r->entries);
	size_t body;
	uint8_t *buf;
	struct stat st;
	ssize_t n;

	if (fd < 0) {
		if (errno != ENOENT)
			log_warn("cannot read %s: %s", r->path, strerror(errno));
		return;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_mode & 077) {
		log_warn("ignoring %s: it is not ours alone", r->path);
		close(fd);
		return;
	}
	buf = sodium_malloc(max + 1);
	n = buf ? read(fd, buf, max + 1) : -1;
	close(fd);
	body = n < (ssize_t)sizeof(magic) ? 0 : (size_t)n - sizeof(magic);
	if (n < (ssize_t)sizeof(magic) || (size_t)n > max || memcmp(buf, magic, sizeof(magic)) ||
	    body % sizeof(*r->entries)) {
		log_warn("ignoring %s: it is damaged", r->path);
	} else {
		memcpy(r->entries, buf + sizeof(magic), body);
		r->n = body / sizeof(*r->entries);
	}
	sodium_free(buf);
}

int resume_open(struct resume *r, const char *runtime_dir)
{
	int n = snprintf(r->path, sizeof(r->path), "%s/up", runtime_dir);

	r->n = 0;
	r->entries = NULL;
	/* Room for ".new" as well. */
	if (n < 0 || (size_t)n + 8 > sizeof(r->path))
		return -ENAMETOOLONG;
	/* Others come to the daemon's socket in there, whatever the umask; the file is for us alone. */
	if (!mkdir(runtime_dir, 0755))
		chmod(runtime_dir, 0755);
	else if (errno != EEXIST)
		return -errno;
	r->entries = sodium_malloc(LIMIT_LOCAL_ADDRESSES * sizeof(*r->entries));
	if (!r->entries)
		return -ENOMEM;
	load(r);
	return 0;
}

static int write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A daemon killed at any point leaves the old file or the new one, whole. */
static int save(const struct resume *r)
{
	char tmp[sizeof(r->path) + 8];
	int fd, err;

	snprintf(tmp, sizeof(tmp), "%s.new", r->path);
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
	} else {
		err = write_all(fd, magic, sizeof(magic));
		if (!err)
			err = write_all(fd, r->entries, r->n * sizeof(*r->entries));
		if (close(fd) && !err)
			err = -errno;
		if (!err && rename(tmp, r->path))
			err = -errno;
		if (err)
			unlink(tmp);
	}
	if (err)
		log_warn("cannot write %s: %s; after a crash the addresses must be brought up by hand",
			 r->path, strerror(-err));
	return err;
}

static struct resume_entry *find(struct resume *r, const struct address *address)
{
	for (size_t i = 0; i < r->n; i++)
		if (address_equal(&r->entries[i].address, address))
			return &r->entries[i];
	return NULL;
}

int resume_add(struct resume *r, const struct address *address, const struct ident *token)
{
	struct resume_entry *e = find(r, address);

	if (e && !sodium_memcmp(e->token.b, token->b, sizeof(token->b)))
		return 0;
	if (!e && r->n == LIMIT_LOCAL_ADDRESSES)
		return -ENOSPC;
	if (!e)
		e = &r->entries[r->n++];
	e->address = *address;
	e->token = *token;
	return save(r);
}

int resume_remove(struct resume *r, const struct address *address)
{
	struct resume_entry *e = find(r, address);

	if (!e)
		return 0;
	*e = r->entries[--r->n];
	sodium_memzero(&r->entries[r->n], sizeof(*e));
	return save(r);
}

void resume_close(struct resume *r)
{
	sodium_free(r->entries);
	r->entries = NULL;
	r->n = 0;
}
