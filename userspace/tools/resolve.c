// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/suggest.h"

#define DIGITS_MAX 48		/* of a mistyped address that are looked at */
#define CANDIDATES_SHOWN 3	/* where several addresses fit */

int resolve_full(const char *text, struct address *out)
{
	return address_parse(text, out);
}

/* What the text asks for: an IPv6 address, or digits at the front and the end. */
struct pattern {
	bool is_ip;
	struct in6_addr ip;
	struct address prefix;
	unsigned int nibbles;
	char suffix[ADDRESS_TEXT_LEN];	/* "" = any */
};

static int parse_pattern(const char *text, struct pattern *p)
{
	const char *dots = strstr(text, "…");
	size_t dots_len = strlen("…");
	char front[ADDRESS_TEXT_LEN];
	size_t len;

	memset(p, 0, sizeof(*p));
	if (strchr(text, ':')) {
		p->is_ip = true;
		return inet_pton(AF_INET6, text, &p->ip) == 1 ? 0 : -EINVAL;
	}
	if (!dots) {
		dots = strstr(text, "..");
		dots_len = 2;
	}
	len = dots ? (size_t)(dots - text) : strlen(text);
	if (len >= sizeof(front) || (dots && strlen(dots + dots_len) >= sizeof(p->suffix)))
		return -EINVAL;
	memcpy(front, text, len);
	front[len] = '\0';
	if (dots)
		strcpy(p->suffix, dots + dots_len);
	return address_parse_prefix(front, &p->prefix, &p->nibbles);
}

static bool fits(const struct pattern *p, const struct address *a)
{
	char text[ADDRESS_TEXT_LEN];
	struct in6_addr ip;
	size_t len = strlen(p->suffix);

	if (p->is_ip) {
		address_to_ipv6(a, &ip);
		return !memcmp(&ip, &p->ip, sizeof(ip));
	}
	address_format(a, text);
	return address_has_prefix(a, &p->prefix, p->nibbles) &&
	       !strcasecmp(text + strlen(text) - len, p->suffix);
}

bool resolve_is_part(const char *text)
{
	struct pattern p;

	return !parse_pattern(text, &p) && !p.is_ip;
}

bool resolve_fits(const char *text, const struct address *a)
{
	struct pattern p;

	return !parse_pattern(text, &p) && !p.is_ip && fits(&p, a);
}

/* "0102-0304…1F20": long enough to tell addresses apart, and accepted as input. */
static const char *short_form(const struct address *a, char out[static ADDRESS_TEXT_LEN])
{
	char full[ADDRESS_TEXT_LEN];

	address_format(a, full);
	snprintf(out, ADDRESS_TEXT_LEN, "%.9s…%s", full, full + strlen(full) - 4);
	return out;
}

static void copy_digits(const char *text, char out[static DIGITS_MAX + 1])
{
	size_t n = 0;

	for (; *text && n < DIGITS_MAX; text++)
		if (*text != '-')
			out[n++] = *text;
	out[n] = '\0';
}

/* The known address that @text nearly is the beginning of, or NULL. */
static const struct address *nearly(const char *text, const struct address *known, size_t n)
{
	char typed[DIGITS_MAX + 1];
	const struct address *found = NULL;
	const char **words = calloc(n + 1, sizeof(*words));
	char (*digits)[DIGITS_MAX + 1] = calloc(n + 1, sizeof(*digits));
	const char *near = NULL;

	copy_digits(text, typed);
	if (words && digits && strlen(typed) >= 4) {
		for (size_t i = 0; i < n; i++) {
			char full[ADDRESS_TEXT_LEN];

			copy_digits(address_format(&known[i], full), digits[i]);
			digits[i][strlen(typed)] = '\0';
			words[i] = digits[i];
		}
		near = suggest_nearest(typed, words, n);
	}
	for (size_t i = 0; near && i < n && !found; i++)
		if (words[i] == near)
			found = &known[i];
	free(words);
	free(digits);
	return found;
}

/* What to type instead of something that fits nothing. */
static void say_unknown(const char *text, const char *problem, const struct address *known, size_t n,
			char *why, size_t why_size)
{
	const struct address *near = nearly(text, known, n);
	char form[ADDRESS_TEXT_LEN];

	if (near)
		snprintf(why, why_size, "'%s' %s; did you mean %s?", text, problem,
			 short_form(near, form));
	else
		snprintf(why, why_size, "'%s' %s: write it in full, as a unique beginning, or as its "
			 "IPv6 address; known ones: ratctl addr list, ratctl peers list", text,
			 problem);
}

/* Adds an address that also fits; only the first few are named. */
static void name_candidate(char *why, size_t why_size, size_t hits, const struct address *a)
{
	size_t used = strlen(why);
	char form[ADDRESS_TEXT_LEN];

	if (hits <= CANDIDATES_SHOWN)
		snprintf(why + used, why_size - used, "%s%s", hits > 1 ? ", " : " (",
			 short_form(a, form));
}

int resolve_address(const char *text, const struct address *known, size_t n, struct address *out,
		    char *why, size_t why_size)
{
	const struct address *found = NULL;
	size_t hits = 0, used;
	struct pattern p;

	if (!resolve_full(text, out))
		return 0;
	if (parse_pattern(text, &p)) {
		say_unknown(text, "is no address", known, n, why, why_size);
		return -EINVAL;
	}
	snprintf(why, why_size, "'%s' fits several addresses", text);
	for (size_t i = 0; i < n; i++) {
		if (!fits(&p, &known[i]) || (found && address_equal(found, &known[i])))
			continue;
		found = &known[i];
		name_candidate(why, why_size, ++hits, found);
	}
	if (!hits) {
		say_unknown(text, "fits no address this router knows", known, n, why, why_size);
		return -ENOENT;
	}
	if (hits > 1) {
		used = strlen(why);
		snprintf(why + used, why_size - used, "%s): write more of it",
			 hits > CANDIDATES_SHOWN ? " …" : "");
		return -ENOTUNIQ;
	}
	*out = *found;
	return 0;
}
