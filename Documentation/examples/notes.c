// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * notes: keeps notes as messages to oneself, subscribes to them, and reads them back by tag.
 *
 *   cc notes.c $(pkg-config --cflags --libs libratman) -o notes && ./notes
 */
#include <ratman/ratman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE "org.example.notes"

static struct ratman *r;

/* Ends the program when @err says that a call failed. */
static void must(const char *what, int err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "notes: %s: %s %s\n", what, ratman_strerror(err), r ? ratman_error_text(r) : "");
	ratman_close(r);
	exit(1);
}

static void note(const struct ratman_id *me, const struct ratman_id *token, const char *text,
		 const char *where)
{
	struct ratman_message_tag tag = { "where", where, strlen(where) };
	struct ratman_message_out m = {
		.to = me, .n_to = 1, .service = SERVICE, .tags = &tag, .n_tags = 1,
		.data = text, .len = strlen(text),
	};

	must("noting", ratman_message_send(r, me, token, &m, NULL));
}

int main(void)
{
	struct ratman_message_tag kitchen = { "where", "kitchen", 7 };
	struct ratman_message_filter all = { .service = SERVICE };
	struct ratman_message_filter some = { .service = SERVICE, .tags = &kitchen, .n_tags = 1 };
	struct ratman_subscription where;
	struct ratman_message *list;
	struct ratman_id me, token;
	struct ratman_sub *sub;
	size_t n;

	must("connecting", ratman_open(&r, getenv("RATMAN_BIND"), 10000));
	must("making an address", ratman_addr_create(r, "notes", &me, &token));
	must("announcing it", ratman_addr_up(r, &me, &token));

	must("subscribing", ratman_message_sub(r, &me, &token, &all, &where));
	must("subscribing", ratman_sub_open(r, &where, &sub));
	note(&me, &token, "buy salt", "kitchen");
	note(&me, &token, "fix the lamp", "hall");
	note(&me, &token, "sharpen knives", "kitchen");
	for (int i = 0; i < 3; i++) {
		must("waiting", ratman_sub_message(sub, &list, 10000));
		printf("noted: %.*s\n", (int)list->len, (const char *)list->data);
		ratman_free(list);
	}
	ratman_sub_close(sub);

	must("looking", ratman_message_query(r, &me, &token, &some, 0, 0, &list, &n, NULL));
	for (size_t i = 0; i < n; i++)
		printf("kitchen: %.*s\n", (int)list[i].len, (const char *)list[i].data);
	ratman_free(list);

	must("removing it", ratman_addr_destroy(r, &me, &token, true));
	ratman_close(r);
	return 0;
}
