// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "ratmand/store/migrate.h"

/* A store up to this size has every record opened at start, so that damage is known then. */
#define SCAN_MAX (64ull << 20)

int layout_path(char *out, const char *dir, const char *name, char *why, size_t size)
{
	if (snprintf(out, 4096, "%s/%s", dir, name) < 4096)
		return 0;
	snprintf(why, size, "the path of the store is too long");
	return -ENAMETOOLONG;
}

int layout_mkdir(const char *path, char *why, size_t size)
{
	int err;

	if (!mkdir(path, 0700) || errno == EEXIST)
		return 0;
	err = errno;
	snprintf(why, size, "cannot make the directory %s: %s", path, strerror(err));
	return err == EACCES ? -EROFS : -err;
}

int layout_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = fsync(fd) ? -errno : 0;
	close(fd);
	return err;
}

int layout_lock(struct layout *l, const char *dir, char *why, size_t size)
{
	char path[4096];
	int err = layout_mkdir(dir, why, size);

	if (!err)
		err = layout_path(path, dir, "ratmand.lock", why, size);
	if (err)
		return err;
	l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* On a file system that cannot be written, a lock that is there can still be held. */
	if (l->lock_fd < 0 && errno == EROFS)
		l->lock_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (l->lock_fd < 0) {
		err = errno == ENOENT ? EROFS : errno;
		snprintf(why, size, "cannot write in %s: %s", dir, strerror(err));
		return err == EACCES ? -EROFS : -err;
	}
	if (flock(l->lock_fd, LOCK_EX | LOCK_NB)) {
		snprintf(why, size, "another ratmand uses the store %s", dir);
		return -EBUSY;
	}
	return 0;
}

int layout_open_state(struct environment *e, struct keyring **keys, const char *path,
		      const struct environment_options *o, const struct nodekey_options *node_key,
		      const char *dir, char *why, size_t size)
{
	uint8_t header[KEYRING_HEADER_LEN * 2];
	struct nodekey node = { 0 };
	uint32_t format;
	bool fresh;
	ssize_t len;
	int err;

	*keys = NULL;
	err = environment_open(e, path, o, why, size);
	if (err)
		return err;
	len = environment_header(e, header, sizeof(header));
	format = keyring_header_format(header, len < 0 ? 0 : (size_t)len);
	fresh = len == -ENOENT;
	if (len == -EBADMSG) {
		snprintf(why, size,
			 "the list of tables in %s is damaged, or a newer ratmand's: restore a backup, or use that",
			 path);
		err = -EBADMSG;
	} else if (len < 0 && !fresh && len != -EMSGSIZE) {
		snprintf(why, size, "cannot read the header of the store in %s: %s", path,
			 strerror((int)-len));
		err = (int)len;
	} else if (fresh && e->read_only) {
		snprintf(why, size, "there is no store in %s, and none can be made", path);
		err = -EROFS;
	} else if (format && format != STORE_FORMAT) {
		/* Said before a key is asked for. */
		err = keyring_open(keys, &node, header, (size_t)len, why, size);
	}
	if (!err)
		err = nodekey_load(&node, node_key, dir, fresh, why, size);
	if (!err && fresh)
		err = keyring_create(keys, &node, header);
	else if (!err)
		err = keyring_open(keys, &node, header, len < 0 ? 0 : (size_t)len, why, size);
	nodekey_free(&node);
	if (!err)
		err = environment_tables(e, *keys, fresh ? header : NULL, KEYRING_HEADER_LEN, why,
					 size);
	if (err) {
		environment_close(e);
		keyring_free(*keys);
		*keys = NULL;
	}
	return err;
}

/* Opens the cache if it is one of this store's. */
static int try_cache(struct environment *e, const struct keyring *keys, const char *path,
		     bool read_only, char *why, size_t size)
{
	struct environment_options o = { .cache = true, .read_only = read_only };
	uint8_t id[STORE_ID_LEN + 1];
	ssize_t len;
	int err;

	err = environment_open(e, path, &o, why, size);
	if (err)
		return err;
	len = environment_header(e, id, sizeof(id));
	if (len == -EBADMSG) {
		snprintf(why, size, "its list of tables is damaged");
		err = -EBADMSG;
	} else if (len != -ENOENT && (len != STORE_ID_LEN || memcmp(id, keys->id, STORE_ID_LEN))) {
		snprintf(why, size, "it belongs to another store");
		err = -EBADMSG;
	} else {
		err = environment_tables(e, keys, e->read_only ? NULL : keys->id, STORE_ID_LEN, why,
					 size);
	}
	if (err)
		environment_close(e);
	return err;
}

void layout_open_cache(struct environment *e, const struct keyring *keys, const char *dir,
		       bool read_only)
{
	char path[4096], file[4096 + 16], why[512];
	int err = layout_path(path, dir, LAYOUT_CACHE, why, sizeof(why));

	if (!err && !read_only)
		err = layout_mkdir(path, why, sizeof(why));
	if (!err)
		err = try_cache(e, keys, path, read_only, why, sizeof(why));
	if (err && !read_only && err != -EROFS && err != -ENOTSUP) {
		log_warn("store: the cache is made anew: %s", why);
		snprintf(file, sizeof(file), "%s/data.mdb", path);
		unlink(file);
		snprintf(file, sizeof(file), "%s/lock.mdb", path);
		unlink(file);
		err = try_cache(e, keys, path, false, why, sizeof(why));
	}
	if (err) {
		memset(e, 0, sizeof(*e));
		e->dir_fd = -1;
		log_warn("store: there is no cache: %s", why);
	}
}

/* Damage is better known at start than met later. */
static void scan(struct environment *e)
{
	struct environment_count count;

	if (e->used > SCAN_MAX)
		return;
	for (int i = 0; i < STORE_TABLES; i++)
		if (store_tables[i].cache == e->cache)
			(void)environment_verify(e, i, environment_note_damage, e, &count);
}

static int open_state(struct layout *l, const char *dir, const struct store_options *options,
		      char *why, size_t size)
{
	struct environment_options o = { .synced = !options->ephemeral, .limit = options->map_size };
	char path[4096];
	int err = layout_path(path, dir, LAYOUT_STATE, why, size);

	if (err)
		return err;
	err = layout_mkdir(path, why, size);
	/* Where nothing can be written, what is there can be read. */
	if (err == -EROFS && !access(path, F_OK))
		err = 0;
	return err ? err : layout_open_state(&l->state, &l->keys, path, &o, options->node_key, dir,
					     why, size);
}

int layout_open(struct layout *l, const char *dir, const struct store_options *options, char *why,
		size_t size)
{
	int err;

	memset(l, 0, sizeof(*l));
	l->state.dir_fd = l->cache.dir_fd = -1;
	l->lock_fd = -1;
	err = layout_lock(l, dir, why, size);
	if (!err)
		err = migrate_format_1(dir, options->node_key, why, size);
	if (!err)
		err = open_state(l, dir, options, why, size);
	if (err) {
		layout_close(l);
		return err;
	}
	if (l->state.read_only)
		log_error("store: %s cannot be written: it is only read", dir);
	layout_open_cache(&l->cache, l->keys, dir, l->state.read_only);
	scan(&l->state);
	if (l->cache.env)
		scan(&l->cache);
	return 0;
}

int layout_open_reader(struct layout *l, const char *dir, const struct nodekey_options *node_key,
		       char *why, size_t size)
{
	struct environment_options o = { .read_only = true, .synced = true };
	char path[4096];
	int err;

	memset(l, 0, sizeof(*l));
	l->state.dir_fd = l->cache.dir_fd = -1;
	l->lock_fd = -1;
	err = layout_path(path, dir, LAYOUT_STATE, why, size);
	if (!err && access(path, F_OK)) {
		err = -errno;
		snprintf(why, size, "there is no store in %s", dir);
	}
	if (!err)
		err = layout_open_state(&l->state, &l->keys, path, &o, node_key, dir, why, size);
	if (!err)
		layout_open_cache(&l->cache, l->keys, dir, true);
	return err;
}

void layout_close(struct layout *l)
{
	environment_close(&l->cache);
	environment_close(&l->state);
	keyring_free(l->keys);
	l->keys = NULL;
	if (l->lock_fd >= 0)
		close(l->lock_fd);
	l->lock_fd = -1;
}
