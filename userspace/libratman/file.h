/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files as programs see them. Private to the library.
 */
#ifndef LIBRATMAN_FILE_H
#define LIBRATMAN_FILE_H

#include "libratman/handle.h"
#include "proto/file.h"

/* One record that is all of @data. RATMAN_EPROTOCOL. */
int file_record(const uint8_t *data, size_t len, struct ratman_file *out);

#endif
