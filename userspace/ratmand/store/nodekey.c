// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/nodekey.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "ratmand/store/password.h"

/* A secret's file has at most this many bytes, the line end included. */
#define SECRET_MAX (PASSWORD_MAX + 2)
/* A key as we write it: hex and a line end. */
#define TEXT_LEN (2 * NODEKEY_LEN + 1)

/* Reads a secret into @buf (SECRET_MAX bytes); returns its length or a negative errno. */
static ssize_t read_secret(const char *path, bool ours, uint8_t *buf, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | (ours ? O_NOFOLLOW : 0));
	struct stat st;
	ssize_t n;
	int err;

	if (fd < 0) {
		err = errno;
		snprintf(why, size, "cannot read %s: %s", path, strerror(err));
		return -err;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    (ours && ((st.st_uid != geteuid() && geteuid()) || st.st_mode & 077))) {
		close(fd);
		snprintf(why, size, "%s is open to others: make it ours alone (chmod 600, chown)", path);
		return -EACCES;
	}
	n = read(fd, buf, SECRET_MAX);
	err = errno;
	close(fd);
	if (n < 0) {
		snprintf(why, size, "cannot read %s: %s", path, strerror(err));
		return -err;
	}
	return n;
}

/* Takes 32 raw bytes, or 64 hex digits with or without a line end. */
static int parse_key(const uint8_t *text, size_t len, uint8_t *key)
{
	size_t n;

	if (len == NODEKEY_LEN) {
		memcpy(key, text, NODEKEY_LEN);
		return 0;
	}
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	if (len != 2 * NODEKEY_LEN ||
	    sodium_hex2bin(key, NODEKEY_LEN, (const char *)text, len, NULL, &n, NULL) ||
	    n != NODEKEY_LEN)
		return -EINVAL;
	return 0;
}

static int load_key(struct nodekey *out, const char *path, bool ours, char *why, size_t size)
{
	uint8_t *buf = sodium_malloc(SECRET_MAX);
	ssize_t n;
	int err;

	out->key = sodium_malloc(NODEKEY_LEN);
	if (!buf || !out->key) {
		sodium_free(buf);
		snprintf(why, size, "not enough memory for the node key");
		return -ENOMEM;
	}
	n = read_secret(path, ours, buf, why, size);
	err = n < 0 ? (int)n : parse_key(buf, (size_t)n, out->key);
	if (err == -EINVAL)
		snprintf(why, size, "%s holds no key (32 bytes, or 64 hex digits)", path);
	sodium_free(buf);
	return err;
}

/* The passphrase is the file's first line. */
static int load_passphrase(struct nodekey *out, const char *path, char *why, size_t size)
{
	uint8_t *buf = sodium_malloc(SECRET_MAX);
	const uint8_t *end;
	ssize_t n;
	size_t len;

	out->passphrase = sodium_malloc(PASSWORD_MAX + 1);
	if (!buf || !out->passphrase) {
		sodium_free(buf);
		snprintf(why, size, "not enough memory for the passphrase");
		return -ENOMEM;
	}
	n = read_secret(path, false, buf, why, size);
	end = n < 0 ? NULL : memchr(buf, '\n', (size_t)n);
	len = end ? (size_t)(end - buf) : n < 0 ? 0 : (size_t)n;
	if (n >= 0 && (!len || len > PASSWORD_MAX || memchr(buf, 0, len))) {
		snprintf(why, size, "%s holds no passphrase (1 to %d bytes in one line)", path,
			 PASSWORD_MAX);
		n = -EINVAL;
	}
	if (n >= 0) {
		memcpy(out->passphrase, buf, len);
		out->passphrase[len] = 0;
	}
	sodium_free(buf);
	return n < 0 ? (int)n : 0;
}

/* Makes a file's name durable. */
static int sync_parent(const char *path)
{
	char dir[4096];
	char *slash;
	int fd, err;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) ? -errno : 0;
	close(fd);
	return err;
}

/* Makes the key file: whole or not at all, also when the power goes. */
static int make_file(const char *path, char *why, size_t size)
{
	uint8_t *key = sodium_malloc(NODEKEY_LEN + TEXT_LEN + 1);
	char *text = key ? (char *)key + NODEKEY_LEN : NULL;
	char tmp[4096 + 8];
	int fd, err = 0;

	if (!key)
		return -ENOMEM;
	randombytes_buf(key, NODEKEY_LEN);
	sodium_bin2hex(text, TEXT_LEN, key, NODEKEY_LEN);
	text[TEXT_LEN - 1] = '\n';
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
	} else {
		errno = EIO;
		if (write(fd, text, TEXT_LEN) != TEXT_LEN || fsync(fd))
			err = -errno;
		if (close(fd) && !err)
			err = -errno;
		if (!err && rename(tmp, path))
			err = -errno;
		if (!err)
			err = sync_parent(path);
		else
			unlink(tmp);
	}
	sodium_free(key);
	if (err)
		snprintf(why, size, "cannot make the key file %s: %s", path, strerror(-err));
	return err;
}

static int from_file(struct nodekey *out, const struct nodekey_options *o, const char *state_dir,
		     bool fresh, char *why, size_t size)
{
	char path[4096];
	int n, err;

	if (o && o->file && o->file[0])
		n = snprintf(path, sizeof(path), "%s", o->file);
	else
		n = snprintf(path, sizeof(path), "%s/" NODEKEY_FILE_NAME, state_dir);
	/* Room for ".new". */
	if (n < 0 || (size_t)n + 8 > sizeof(path)) {
		snprintf(why, size, "the path of the key file is too long");
		return -ENAMETOOLONG;
	}
	if (access(path, F_OK) && errno == ENOENT) {
		if (!fresh) {
			snprintf(why, size,
				 "the key file %.200s is missing: without it the store cannot be opened",
				 path);
			return -ENOKEY;
		}
		err = make_file(path, why, size);
		if (err)
			return err;
		log_info("made the node key %s: keep a copy elsewhere, the store opens with nothing else",
			 path);
	}
	snprintf(out->name, sizeof(out->name), "the key file %.200s", path);
	return load_key(out, path, true, why, size);
}

/* The path of a credential that is there. */
static bool credential(const char *name, char *path, size_t size)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");

	return dir && dir[0] && snprintf(path, size, "%s/%s", dir, name) < (int)size &&
	       !access(path, F_OK);
}

static int from_passphrase(struct nodekey *out, const struct nodekey_options *o, bool fresh,
			   char *why, size_t size)
{
	const char *name = o && o->credential ? o->credential : NODEKEY_CREDENTIAL_PASSPHRASE;
	char path[4096];
	int err;

	snprintf(out->name, sizeof(out->name), "this passphrase");
	if (credential(name, path, sizeof(path)))
		return load_passphrase(out, path, why, size);
	out->passphrase = sodium_malloc(PASSWORD_MAX + 1);
	if (!out->passphrase)
		return -ENOMEM;
	err = o && o->ask ? o->ask(o->ctx, fresh, out->passphrase, PASSWORD_MAX + 1) : -ENOKEY;
	if (!err && !out->passphrase[0])
		err = -ENOKEY;
	if (err)
		snprintf(why, size,
			 "no passphrase: give it as the credential %s or start on a terminal", name);
	return err;
}

int nodekey_load(struct nodekey *out, const struct nodekey_options *o, const char *state_dir,
		 bool fresh, char *why, size_t size)
{
	enum nodekey_source source = o ? o->source : NODEKEY_FILE;
	char path[4096];
	int err;

	memset(out, 0, sizeof(*out));
	why[0] = 0;
	switch (source) {
	case NODEKEY_AUTO:
	case NODEKEY_CREDENTIAL_ONLY:
		if (credential(NODEKEY_CREDENTIAL, path, sizeof(path))) {
			snprintf(out->name, sizeof(out->name), "the credential " NODEKEY_CREDENTIAL);
			err = load_key(out, path, false, why, size);
		} else if (credential(NODEKEY_CREDENTIAL_PASSPHRASE, path, sizeof(path))) {
			err = from_passphrase(out, o, fresh, why, size);
		} else if (source == NODEKEY_AUTO) {
			err = from_file(out, o, state_dir, fresh, why, size);
		} else {
			snprintf(why, size, "there is no credential " NODEKEY_CREDENTIAL
				 " (LoadCredential= of the service)");
			err = -ENOKEY;
		}
		break;
	case NODEKEY_PASSPHRASE:
		err = from_passphrase(out, o, fresh, why, size);
		break;
	default:
		err = from_file(out, o, state_dir, fresh, why, size);
	}
	if (err) {
		if (!why[0])
			snprintf(why, size, "cannot load the node key: %s", strerror(-err));
		nodekey_free(out);
	}
	return err;
}

void nodekey_free(struct nodekey *key)
{
	sodium_free(key->key);
	sodium_free(key->passphrase);
	memset(key, 0, sizeof(*key));
}
