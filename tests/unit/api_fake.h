/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A backend in memory for the client protocol server: addresses, tokens, contacts,
 * two interfaces, and streams that go to local addresses at once. For tests.
 */
#ifndef TESTS_API_FAKE_H
#define TESTS_API_FAKE_H

#include "ratmand/api/backend.h"

struct fake;

extern const struct backend_ops fake_ops;

struct fake *fake_new(void);
void fake_free(struct fake *f);

/* Every @n-th send_write answers -EAGAIN first and drains at the next fake_turn(). 0 = never. */
void fake_set_slow(struct fake *f, unsigned int n);

/* Calls the drain callbacks that wait. */
void fake_turn(struct fake *f);

/* An address that is up, with a token that is known beforehand. */
void fake_put_address(struct fake *f, const struct address *address, const struct ident *token);

/* The next change of a contact fails with @err. */
void fake_refuse_contact(struct fake *f, int err);

/* Something happened, for whoever subscribed to events. */
void fake_event(struct fake *f, enum payload_event_kind kind, const struct address *address);

/* Streams stored and not delivered. */
size_t fake_waiting(const struct fake *f);

/* api_fake_file.c: its files, and their end with it. */
extern const struct file_backend fake_files;
void fake_file_forget(const void *be);

#endif
