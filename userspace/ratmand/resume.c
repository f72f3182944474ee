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
static const uint8_t spaces_magic[8] = { 'r', 'a', 't', 'm', 's', 'p', 0, 1 };

/* A file is the magic and then at most @max entries as they are. Returns how many it has. */
static size_t load(const char *path, const uint8_t *head, void *entries, size_t each, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t size = sizeof(magic) + max * each;
	size_t body, found = 0;
	uint8_t *buf;
	struct stat st;
	ssize_t n;

	if (fd < 0) {
		if (errno != ENOENT)
			log_warn("cannot read %s: %s", path, strerror(errno));
		return 0;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_mode & 077) {
		log_warn("ignoring %s: it is not ours alone", path);
		close(fd);
		return 0;
	}
	buf = sodium_malloc(size + 1);
	n = buf ? read(fd, buf, size + 1) : -1;
	close(fd);
	body = n < (ssize_t)sizeof(magic) ? 0 : (size_t)n - sizeof(magic);
	if (n < (ssize_t)sizeof(magic) || (size_t)n > size || memcmp(buf, head, sizeof(magic)) ||
	    body % each) {
		log_warn("ignoring %s: it is damaged", path);
	} else {
		memcpy(entries, buf + sizeof(magic), body);
		found = body / each;
	}
	sodium_free(buf);
	return found;
}

static int set_path(char *out, size_t size, const char *dir, const char *name)
{
	int n = snprintf(out, size, "%s/%s", dir, name);

	/* Room for ".new" as well. */
	return n < 0 || (size_t)n + 8 > size ? -ENAMETOOLONG : 0;
}

int resume_open(struct resume *r, const char *runtime_dir)
{
	r->n = r->n_spaces = 0;
	r->entries = NULL;
	r->spaces = NULL;
	if (set_path(r->path, sizeof(r->path), runtime_dir, "up") ||
	    set_path(r->spaces_path, sizeof(r->spaces_path), runtime_dir, "spaces"))
		return -ENAMETOOLONG;
	/* Others come to the daemon's socket in there, whatever the umask; the file is for us alone. */
	if (!mkdir(runtime_dir, 0755))
		chmod(runtime_dir, 0755);
	else if (errno != EEXIST)
		return -errno;
	r->entries = sodium_malloc(LIMIT_LOCAL_ADDRESSES * sizeof(*r->entries));
	r->spaces = calloc(LIMIT_SPACE_MEMBERSHIPS, sizeof(*r->spaces));
	if (!r->entries || !r->spaces)
		return -ENOMEM;
	r->n = load(r->path, magic, r->entries, sizeof(*r->entries), LIMIT_LOCAL_ADDRESSES);
	r->n_spaces = load(r->spaces_path, spaces_magic, r->spaces, sizeof(*r->spaces),
			   LIMIT_SPACE_MEMBERSHIPS);
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
static int save_file(const char *path, const uint8_t *head, const void *entries, size_t len)
{
	char tmp[sizeof(((struct resume *)0)->path) + 8];
	int fd, err;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
	} else {
		err = write_all(fd, head, sizeof(magic));
		if (!err)
			err = write_all(fd, entries, len);
		if (close(fd) && !err)
			err = -errno;
		if (!err && rename(tmp, path))
			err = -errno;
		if (err)
			unlink(tmp);
	}
	if (err)
		log_warn("cannot write %s: %s; after a crash the addresses must be brought up by hand",
			 path, strerror(-err));
	return err;
}

static int save(const struct resume *r)
{
	return save_file(r->path, magic, r->entries, r->n * sizeof(*r->entries));
}

static int save_spaces(const struct resume *r)
{
	return save_file(r->spaces_path, spaces_magic, r->spaces, r->n_spaces * sizeof(*r->spaces));
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

static struct resume_space *find_space(const struct resume *r, const struct address *space,
				       const struct address *member)
{
	for (size_t i = 0; i < r->n_spaces; i++)
		if (address_equal(&r->spaces[i].space, space) &&
		    address_equal(&r->spaces[i].member, member))
			return &r->spaces[i];
	return NULL;
}

bool resume_space_has(const struct resume *r, const struct address *space,
		      const struct address *member)
{
	return find_space(r, space, member);
}

int resume_space_add(struct resume *r, const struct address *space, const struct address *member)
{
	if (find_space(r, space, member))
		return 0;
	if (r->n_spaces == LIMIT_SPACE_MEMBERSHIPS)
		return -ENOSPC;
	r->spaces[r->n_spaces++] = (struct resume_space){ *space, *member };
	return save_spaces(r);
}

int resume_space_remove(struct resume *r, const struct address *space,
			const struct address *member)
{
	struct resume_space *e = find_space(r, space, member);

	if (!e)
		return 0;
	*e = r->spaces[--r->n_spaces];
	return save_spaces(r);
}

void resume_close(struct resume *r)
{
	sodium_free(r->entries);
	r->entries = NULL;
	r->n = 0;
	free(r->spaces);
	r->spaces = NULL;
	r->n_spaces = 0;
}
