#include "proto/base/cas.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_BYTES = 60
};

/* The value as a reason shows it: at most SHOWN_BYTES of it. */
static int shown(struct cas_slice text)
{
    return text.size > SHOWN_BYTES ? SHOWN_BYTES : (int)text.size;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static enum cas_err refuse(struct cas_slice text, const char *words, struct cas_why *why)
{
    return cas_fail(why,
                    CAS_ERR_FORMAT,
                    "\"%.*s\" %s",
                    shown(text),
                    text.size ? text.data : "",
                    words);
}

enum cas_err cas_parse_i64(struct cas_slice text,
                           int64_t least,
                           int64_t most,
                           int64_t *ret_value,
                           struct cas_why *why)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    size_t i = is_negative ? 1 : 0;
    if (i == text.size)
        return refuse(text, "is not a whole number", why);
    uint64_t limit = is_negative ? (uint64_t)1 << 63 : INT64_MAX;
    uint64_t size = 0;
    bool is_too_big = false;
    for (; i < text.size; i++) {
        if (!is_digit(text.data[i]))
            return refuse(text, "is not a whole number", why);
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        is_too_big = is_too_big || size > (limit - digit) / 10;
        size = size * 10 + digit;
    }
    int64_t value = is_negative ? (int64_t)((uint64_t)0 - size) : (int64_t)size;
    if (is_too_big || value < least || value > most)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "%.*s is outside %lld .. %lld",
                        shown(text),
                        text.data,
                        (long long)least,
                        (long long)most);
    *ret_value = value;
    return CAS_OK;
}

static size_t digits_from(struct cas_slice text, size_t at)
{
    while (at < text.size && is_digit(text.data[at]))
        at++;
    return at;
}

/* [+-] digits [. digits] [e [+-] digits]: strtod alone would take "inf", "0x1p3" and leading blanks
 * too. */
static bool is_decimal(struct cas_slice text)
{
    size_t at = 0;
    if (at < text.size && (text.data[at] == '-' || text.data[at] == '+'))
        at++;
    size_t end = digits_from(text, at);
    if (end == at)
        return false;
    at = end;
    if (at < text.size && text.data[at] == '.') {
        end = digits_from(text, at + 1);
        if (end == at + 1)
            return false;
        at = end;
    }
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        if (at < text.size && (text.data[at] == '-' || text.data[at] == '+'))
            at++;
        end = digits_from(text, at);
        if (end == at)
            return false;
        at = end;
    }
    return at == text.size;
}

enum cas_err cas_parse_f64(struct cas_slice text, double *ret_value, struct cas_why *why)
{
    char copy[400]; /* the longest double written without an exponent has 309 digits before its
                       point */
    if (!is_decimal(text) || cas_slice_copy(text, copy, sizeof copy) != CAS_OK)
        return refuse(text, "is not a number", why);
    double value = strtod(copy, NULL);
    if (!cas_is_number(value))
        return cas_fail(why, CAS_ERR_RANGE, "%.*s is too large a number", shown(text), text.data);
    *ret_value = value;
    return CAS_OK;
}

static const struct {
    const char *name;
    int64_t ms;
} span_units[] = {
    {"d", 86400000},
    {"h", 3600000},
    {"m", 60000},
    {"s", 1000},
    {"ms", 1},
};

/* Index into span_units, CAS_COUNT(span_units) when it is none of them. */
static size_t span_unit(struct cas_slice name)
{
    size_t unit = 0;
    while (unit < CAS_COUNT(span_units) && !cas_slice_is(name, span_units[unit].name))
        unit++;
    return unit;
}

static enum cas_err
span_range(struct cas_slice text, int64_t least_ms, int64_t most_ms, struct cas_why *why)
{
    char words[64];
    struct cas_text limits = CAS_TEXT(words);
    cas_text_span(&limits, least_ms);
    cas_text_add(&limits, " .. ");
    cas_text_span(&limits, most_ms);
    return cas_fail(why, CAS_ERR_RANGE, "%.*s is outside %s", shown(text), text.data, words);
}

enum cas_err cas_parse_span(struct cas_slice text,
                            int64_t least_ms,
                            int64_t most_ms,
                            int64_t *ret_span_ms,
                            struct cas_why *why)
{
    static const char form[] =
        "is not a span of time; write it as 250ms, 15s, 10m, 24h, 7d or 1h30m";
    int64_t sum_ms = 0;
    size_t next_unit = 0;
    if (text.size == 0)
        return refuse(text, form, why);
    for (size_t at = 0; at < text.size;) {
        size_t letters = digits_from(text, at);
        size_t end = letters;
        while (end < text.size && !is_digit(text.data[end]))
            end++;
        size_t unit = span_unit((struct cas_slice){text.data + letters, end - letters});
        if (letters == at || unit == CAS_COUNT(span_units) || unit < next_unit)
            return refuse(text, form, why);
        int64_t count = 0;
        struct cas_slice number = {text.data + at, letters - at};
        if (cas_parse_i64(number, 0, (INT64_MAX - sum_ms) / span_units[unit].ms, &count, NULL) !=
            CAS_OK)
            return span_range(text, least_ms, most_ms, why);
        sum_ms += count * span_units[unit].ms;
        next_unit = unit + 1;
        at = end;
    }
    if (sum_ms < least_ms || sum_ms > most_ms)
        return span_range(text, least_ms, most_ms, why);
    *ret_span_ms = sum_ms;
    return CAS_OK;
}

/* Reads count digits at *at and steps over them; -1 when they are not all there. */
static int64_t fixed_digits(struct cas_slice text, size_t *at, size_t count)
{
    int64_t value = 0;
    if (text.size - *at < count)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char byte = text.data[*at + i];
        if (!is_digit(byte))
            return -1;
        value = value * 10 + (byte - '0');
    }
    *at += count;
    return value;
}

static bool step_over(struct cas_slice text, size_t *at, char byte)
{
    bool is_there = *at < text.size && text.data[*at] == byte;
    if (is_there)
        ++*at;
    return is_there;
}

static bool is_date(int64_t year, int64_t month, int64_t day)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || month < 1 || month > 12 || day < 1)
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

/* Days since 1970-01-01. Years counted from March, so that the leap day comes last. */
static int64_t date_days(int64_t year, int64_t month, int64_t day)
{
    int64_t from_march = month > 2 ? month - 3 : month + 9;
    int64_t shifted = (month > 2 ? year : year - 1) + 400; /* never below zero */
    return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 +
           (from_march * 153 + 2) / 5 + day - 1 - 719468 - 146097;
}

enum cas_err cas_parse_utc(struct cas_slice text, int64_t *ret_wall_ms, struct cas_why *why)
{
    static const char form[] = "is not an instant in UTC; write it as 2026-10-14T00:00:05.250Z";
    size_t at = 0;
    int64_t year = fixed_digits(text, &at, 4);
    bool is_good = step_over(text, &at, '-');
    int64_t month = fixed_digits(text, &at, 2);
    is_good = is_good && step_over(text, &at, '-');
    int64_t day = fixed_digits(text, &at, 2);
    is_good = is_good && step_over(text, &at, 'T');
    int64_t hour = fixed_digits(text, &at, 2);
    is_good = is_good && step_over(text, &at, ':');
    int64_t minute = fixed_digits(text, &at, 2);
    int64_t second = 0;
    int64_t ms = 0;
    if (step_over(text, &at, ':'))
        second = fixed_digits(text, &at, 2);
    if (second >= 0 && step_over(text, &at, '.')) {
        size_t end = digits_from(text, at);
        int64_t scale = 100;
        is_good = is_good && end > at && end - at <= 9;
        for (; at < end; at++, scale /= 10)
            ms += scale * (text.data[at] - '0');
    }
    is_good = is_good && step_over(text, &at, 'Z') && at == text.size;
    if (!is_good || !is_date(year, month, day) || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 59)
        return refuse(text, form, why);
    *ret_wall_ms =
        ((date_days(year, month, day) * 24 + hour) * 60 + minute) * 60000 + second * 1000 + ms;
    return CAS_OK;
}
