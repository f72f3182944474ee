// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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

int resolve_address(const char *text, const struct address *known, size_t n, struct address *out,
		    char *why, size_t why_size)
{
	const struct address *found = NULL;
	struct pattern p;

	if (!resolve_full(text, out))
		return 0;
	if (parse_pattern(text, &p)) {
		snprintf(why, why_size, "'%s' is no address: write it in full, as a unique prefix, "
			 "or as its IPv6 address", text);
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		if (!fits(&p, &known[i]) || (found && address_equal(found, &known[i])))
			continue;
		if (found) {
			snprintf(why, why_size, "'%s' fits several addresses: write more of it",
				 text);
			return -ENOTUNIQ;
		}
		found = &known[i];
	}
	if (!found) {
		snprintf(why, why_size, "'%s' fits no address this router knows; look at: "
			 "ratctl peers list; or write the address in full", text);
		return -ENOENT;
	}
	*out = *found;
	return 0;
}
