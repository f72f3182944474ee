// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl link add|del: through the daemon, which would take a configured link back that
 * it knows nothing about; where there is none, straight to the kernel.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ratctl/ratctl.h"

#define SOCKET_DEFAULT "/run/ratman/api.sock"	/* ratmand.conf: runtime_dir and api_socket */
#define API_TIMEOUT_MS 10000
#define NOBODY (-1)		/* there is no daemon to ask */

/* The daemon's Unix socket: over TCP it takes no such orders. NULL: not known. */
static const char *socket_path(const struct ctl *ctl)
{
	if (ctl->bind[0] == '/')
		return ctl->bind;
	if (!strncmp(ctl->bind, "unix:", 5))
		return ctl->bind + 5;
	return strcmp(ctl->bind, RATMAN_DEFAULT_BIND) ? NULL : SOCKET_DEFAULT;
}

/*
 * False when who listens on @path is in another network namespace, whose interfaces may
 * have the names of ours. True when he cannot be seen.
 */
static bool is_near(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);
	struct stat ours, theirs;
	char ns[64];
	int fd;

	if (strlen(path) >= sizeof(un.sun_path))
		return true;
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		peer.pid = 0;
	close(fd);
	snprintf(ns, sizeof(ns), "/proc/%ld/ns/net", (long)peer.pid);
	if (!peer.pid || stat(ns, &theirs) || stat("/proc/self/ns/net", &ours))
		return true;
	return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

typedef int (*link_call)(struct ratman *r, const char *line);

/* What the daemon said, or NOBODY. The device it holds is the only one it knows. */
static int ask_daemon(struct ctl *ctl, const char *name, link_call call)
{
	const char *path = socket_path(ctl);
	struct ratman *api = NULL;
	char line[64];
	int err, status;

	if (ctl->device || !ctl->dev.claimed || !path || !is_near(path))
		return NOBODY;
	snprintf(line, sizeof(line), "eth:%s", name);
	err = ratman_open(&api, path, API_TIMEOUT_MS);
	if (!err)
		err = call(api, line);
	switch (err) {
	case 0:
		status = CTL_OK;
		break;
	case RATMAN_EAUTH:
		status = ctl_fail(ctl, CTL_REFUSED, "%s: not permitted; run it as root", name);
		break;
	case RATMAN_EUNREACHABLE:
	case RATMAN_ECLOSED:
	case RATMAN_ETIMEOUT:
	case RATMAN_ENOTSUPPORTED:
		status = NOBODY;
		break;
	default:
		status = (int)report_failure(&ctl->style, "ratctl", name, api, path, err);
	}
	ratman_close(api);
	return status;
}

/* @master is the device, or 0. */
static int change(struct ctl *ctl, const char *name, uint32_t link, uint32_t master)
{
	int err, status = ask_daemon(ctl, name, master ? ratman_link_create : ratman_link_destroy);

	if (status == NOBODY) {
		err = kern_link_master(ctl->kern, link, master);
		if (err)
			return ctl_kern_failed(ctl, name, err);
		if (!ctl->quiet)
			fputs("no daemon was asked: this holds until one starts, and takes the links of its configuration\n",
			      stderr);
		status = CTL_OK;
	}
	if (status)
		return status;
	return print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}

int cmd_link_add(struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_need_dev(ctl);
	uint32_t link;

	(void)argc;
	if (!status)
		status = ctl_interface(ctl, argv[0], &link);
	return status ? status : change(ctl, argv[0], link, ctl->dev.ifindex);
}

struct is_link {
	uint32_t link;
	bool found;
};

static void check_link(void *ctx, const struct kern_link *l)
{
	struct is_link *is = ctx;

	is->found |= l->ifindex == is->link;
}

int cmd_link_del(struct ctl *ctl, int argc, char **argv)
{
	int err, status = ctl_need_dev(ctl);
	struct is_link is = { 0 };

	(void)argc;
	if (!status)
		status = ctl_interface(ctl, argv[0], &is.link);
	if (status)
		return status;
	/* An interface may belong to a bridge: leave it there. */
	err = kern_links(ctl->kern, ctl->dev.ifindex, check_link, &is);
	if (err)
		return ctl_kern_failed(ctl, argv[0], err);
	if (!is.found)
		return ctl_fail(ctl, CTL_USER, "%s is not a link of %s; see ratctl link list",
				argv[0], ctl->dev.name);
	return change(ctl, argv[0], is.link, 0);
}
