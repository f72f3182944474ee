/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a new name last.
 */
#ifndef RATMAN_TOOLS_SYNC_H
#define RATMAN_TOOLS_SYNC_H

/*
 * Brings the directory of @path to the disk: after a power cut a file that was
 * renamed to @path has that name. Directories that cannot be opened or synced
 * are left as they are.
 */
void sync_parent(const char *path);

#endif
