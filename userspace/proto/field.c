// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/field.h"

#include <stdio.h>
#include <string.h>

static struct field_text get_text(struct wire_reader *r, bool need_terminator)
{
	struct field_text t = { NULL, 0 };
	size_t left = wire_left(r);
	const uint8_t *nul;

	if (!left) {
		r->failed = true;
		return t;
	}
	nul = memchr(r->pos, 0, left);
	if (!nul && need_terminator) {
		r->failed = true;
		return t;
	}
	t.len = nul ? (size_t)(nul - r->pos) : left;
	t.at = (const char *)wire_get_ref(r, t.len);
	if (nul)
		wire_get_u8(r);
	return t;
}

struct field_text field_get_text(struct wire_reader *r)
{
	return get_text(r, false);
}

struct field_text field_get_terminated(struct wire_reader *r)
{
	return get_text(r, true);
}

void field_put_text(struct wire_writer *w, const char *text)
{
	wire_put(w, text, strlen(text) + 1);
}

void field_copy_text(struct field_text text, char *out, size_t size)
{
	size_t len = text.len < size - 1 ? text.len : size - 1;

	if (len)
		memcpy(out, text.at, len);
	out[len] = '\0';
}

bool field_is_utf8(const uint8_t *s, size_t len)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };

	for (size_t i = 0; i < len;) {
		size_t n = s[i] < 0x80 ? 1 : s[i] >> 5 == 6 ? 2 : s[i] >> 4 == 14 ? 3 :
			   s[i] >> 3 == 30 ? 4 : 0;
		uint32_t c;

		if (!n || n > len - i)
			return false;
		c = n == 1 ? s[i] : s[i] & (0x7fu >> n);
		for (size_t k = 1; k < n; k++) {
			if ((s[i + k] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (s[i + k] & 0x3fu);
		}
		if ((n > 1 && c < least[n]) || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
		i += n;
	}
	return true;
}

bool field_get_option_u32(struct wire_reader *r, uint32_t *out)
{
	if (!wire_left(r) || wire_get_u8(r) != 1)
		return false;
	*out = wire_get_be32(r);
	return !r->failed;
}

void field_put_option_u32(struct wire_writer *w, bool present, uint32_t value)
{
	wire_put_u8(w, present);
	if (present)
		wire_put_be32(w, value);
}

struct field_text field_get_str(struct wire_reader *r, size_t max)
{
	struct field_text t = field_get_terminated(r);

	if (t.len > max || !field_is_utf8((const uint8_t *)t.at, t.len))
		r->failed = true;
	if (r->failed)
		t = (struct field_text){ "", 0 };
	return t;
}

bool field_get_bool(struct wire_reader *r)
{
	uint8_t v = wire_get_u8(r);

	if (v > 1)
		r->failed = true;
	return v == 1;
}

bool field_get_opt_str(struct wire_reader *r, size_t max, struct field_text *out)
{
	*out = (struct field_text){ "", 0 };
	if (!field_get_bool(r))
		return false;
	*out = field_get_str(r, max);
	return !r->failed;
}

void field_put_opt_str(struct wire_writer *w, const char *text)
{
	wire_put_u8(w, text != NULL);
	if (text)
		field_put_text(w, text);
}

bool field_get_opt_ident(struct wire_reader *r, struct ident *out)
{
	if (!field_get_bool(r))
		return false;
	wire_get(r, out->b, sizeof(out->b));
	return !r->failed;
}

void field_put_opt_ident(struct wire_writer *w, const struct ident *id)
{
	wire_put_u8(w, id != NULL);
	if (id)
		wire_put(w, id->b, sizeof(id->b));
}

const uint8_t *field_get_blob(struct wire_reader *r, size_t max, size_t *len)
{
	const uint8_t *data;

	*len = wire_get_be32(r);
	if (*len > max)
		r->failed = true;
	data = r->failed ? NULL : wire_get_ref(r, *len);
	if (r->failed)
		*len = 0;
	return data;
}

void field_put_blob(struct wire_writer *w, const void *data, size_t len)
{
	wire_put_be32(w, (uint32_t)len);
	if (len)
		wire_put(w, data, len);
}

bool field_ident_is_clean(const struct ident *id)
{
	return !memchr(id->b, 0, sizeof(id->b));
}

/* Days since 1970-01-01 of a date of the Gregorian calendar; @month is 1 to 12. */
static int64_t days_from_date(int64_t year, unsigned int month, unsigned int day)
{
	int64_t y = month <= 2 ? year - 1 : year;	/* years start in March here */
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int *year, unsigned int *month, unsigned int *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;

	*day = (unsigned int)(doy - (153 * m + 2) / 5 + 1);
	*month = (unsigned int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

void field_put_datetime(struct wire_writer *w, int64_t wall_ns)
{
	int64_t seconds = wall_ns / 1000000000 - (wall_ns % 1000000000 < 0);
	uint32_t ns = (uint32_t)(wall_ns - seconds * 1000000000);
	int64_t days = seconds / 86400 - (seconds % 86400 < 0);
	uint32_t s = (uint32_t)(seconds - days * 86400);
	unsigned int month, day;
	char text[64];
	int year;

	date_from_days(days, &year, &month, &day);
	snprintf(text, sizeof(text), "%04d-%02u-%02uT%02u:%02u:%02u.%09u+00:00", year, month, day,
		 s / 3600, s / 60 % 60, s % 60, ns);
	wire_put(w, text, FIELD_DATETIME_LEN);
}

/* Reads exactly @n decimal digits. */
static uint32_t get_digits(struct wire_reader *r, unsigned int n)
{
	uint32_t v = 0;

	while (n--) {
		uint8_t c = wire_get_u8(r);

		if (c < '0' || c > '9') {
			r->failed = true;
			return 0;
		}
		v = v * 10 + (c - '0');
	}
	return v;
}

static void expect(struct wire_reader *r, const char *any_of)
{
	uint8_t c = wire_get_u8(r);

	if (!c || !strchr(any_of, c))
		r->failed = true;
}

/* Reads ".digits" where it stands; nanoseconds. */
static uint32_t get_fraction(struct wire_reader *r)
{
	uint32_t ns = 0, digits = 0;

	if (!wire_left(r) || *r->pos != '.')
		return 0;
	wire_get_u8(r);
	for (; wire_left(r) && *r->pos >= '0' && *r->pos <= '9'; digits++) {
		uint8_t c = wire_get_u8(r);

		if (digits < 9)
			ns = ns * 10 + (c - '0');
	}
	if (!digits)
		r->failed = true;
	for (; digits < 9; digits++)
		ns *= 10;
	return ns;
}

/* Reads 'Z' or ±HH:MM; seconds east of UTC. */
static int64_t get_zone(struct wire_reader *r)
{
	uint8_t c = wire_get_u8(r);
	uint32_t hours, minutes;

	if (c == 'Z' || c == 'z')
		return 0;
	if (c != '+' && c != '-') {
		r->failed = true;
		return 0;
	}
	hours = get_digits(r, 2);
	expect(r, ":");
	minutes = get_digits(r, 2);
	if (hours > 23 || minutes > 59)
		r->failed = true;
	return (c == '-' ? -1 : 1) * (int64_t)(hours * 3600 + minutes * 60);
}

int64_t field_get_datetime(struct wire_reader *r)
{
	static const uint8_t month_days[13] = { 0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	uint32_t year, month, day, hour, minute, second, ns;
	int64_t seconds, zone, out;
	bool leap;

	year = get_digits(r, 4);
	expect(r, "-");
	month = get_digits(r, 2);
	expect(r, "-");
	day = get_digits(r, 2);
	expect(r, "Tt ");
	hour = get_digits(r, 2);
	expect(r, ":");
	minute = get_digits(r, 2);
	expect(r, ":");
	second = get_digits(r, 2);
	ns = get_fraction(r);
	zone = get_zone(r);

	leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (month < 1 || month > 12 || day < 1 || day > month_days[month] ||
	    (month == 2 && day == 29 && !leap) || hour > 23 || minute > 59 || second > 60)
		r->failed = true;
	if (r->failed)
		return 0;
	if (second == 60)
		second = 59;
	seconds = days_from_date(year, month, day) * 86400 +
		  (int64_t)(hour * 3600 + minute * 60 + second) - zone;
	if (__builtin_mul_overflow(seconds, (int64_t)1000000000, &out) ||
	    __builtin_add_overflow(out, (int64_t)ns, &out)) {
		/* The first second of the range begins before it: -2^63 ns is not on a second. */
		if (seconds != INT64_MIN / 1000000000 - 1 || ns < 145224192) {
			r->failed = true;
			return 0;
		}
		out = INT64_MIN + (int64_t)(ns - 145224192);
	}
	return out;
}
