#include "agent/host/capture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    YEAR_LEAST = 1990,
    YEAR_MOST = 2199
};

/* ---- bytes to UTF-8 ---- */

static size_t utf8_put(uint32_t point, char *at)
{
    if (point < 0x80) {
        at[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        at[0] = (char)(0xC0 | (point >> 6));
        at[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        at[0] = (char)(0xE0 | (point >> 12));
        at[1] = (char)(0x80 | ((point >> 6) & 0x3F));
        at[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    at[0] = (char)(0xF0 | (point >> 18));
    at[1] = (char)(0x80 | ((point >> 12) & 0x3F));
    at[2] = (char)(0x80 | ((point >> 6) & 0x3F));
    at[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

static uint32_t utf16_unit(const char *at, bool is_big)
{
    uint32_t first = (uint8_t)at[0];
    uint32_t second = (uint8_t)at[1];
    return is_big ? (first << 8) | second : (second << 8) | first;
}

/* Half a surrogate pair becomes U+FFFD: one odd name must not cost the file. */
static size_t utf16_to_utf8(struct cas_slice units, bool is_big, char *text)
{
    size_t used = 0;
    for (size_t at = 0; at + 1 < units.size; at += 2) {
        uint32_t point = utf16_unit(units.data + at, is_big);
        if (point >= 0xD800 && point < 0xE000) {
            uint32_t low = 0;
            if (point < 0xDC00 && at + 3 < units.size)
                low = utf16_unit(units.data + at + 2, is_big);
            if (low >= 0xDC00 && low < 0xE000) {
                point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
                at += 2;
            } else {
                point = 0xFFFD;
            }
        }
        used += utf8_put(point, text + used);
    }
    return used;
}

static bool begins_with(struct cas_slice bytes, const char *mark, size_t mark_size)
{
    return bytes.size >= mark_size && memcmp(bytes.data, mark, mark_size) == 0;
}

static struct cas_slice behind(struct cas_slice bytes, size_t count)
{
    return (struct cas_slice){.data = bytes.data + count, .size = bytes.size - count};
}

enum cas_err capture_decode(struct capture_input raw,
                            size_t cap_bytes,
                            char **ret_text,
                            size_t *ret_size,
                            struct cas_why *why)
{
    struct cas_slice bytes = raw.bytes;
    bool is_little = begins_with(bytes, "\xFF\xFE", 2);
    bool is_big = begins_with(bytes, "\xFE\xFF", 2);
    if (is_little || is_big)
        bytes = behind(bytes, 2);
    else if (begins_with(bytes, "\xEF\xBB\xBF", 3))
        bytes = behind(bytes, 3);

    if (bytes.size > cap_bytes)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: %zu bytes, at most %zu are read",
                        raw.file,
                        bytes.size,
                        cap_bytes);
    bool is_wide = is_little || is_big;
    if (is_wide && bytes.size % 2 != 0)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s: UTF-16 text of %zu bytes ends within a character",
                        raw.file,
                        bytes.size);

    /* A unit of two bytes becomes three at most. */
    size_t room = is_wide ? bytes.size / 2 * 3 : bytes.size;
    char *text = malloc(room + 1);
    if (text == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for %zu bytes", raw.file, room);
    size_t used = bytes.size;
    if (is_wide)
        used = utf16_to_utf8(bytes, is_big, text);
    else if (bytes.size > 0)
        memcpy(text, bytes.data, bytes.size);
    if (used > cap_bytes) {
        free(text);
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: %zu bytes as UTF-8, at most %zu are read",
                        raw.file,
                        used,
                        cap_bytes);
    }
    text[used] = '\0';
    *ret_text = text;
    *ret_size = used;
    return CAS_OK;
}

/* ---- lines ---- */

void capture_lines_init(struct capture_lines *lines, struct capture_input input)
{
    *lines = (struct capture_lines){.input = input};
    lines->line.data = input.bytes.data;
}

bool capture_lines_next(struct capture_lines *lines)
{
    struct cas_slice bytes = lines->input.bytes;
    if (lines->at >= bytes.size)
        return false;

    const char *from = bytes.data + lines->at;
    size_t left = bytes.size - lines->at;
    const char *end = memchr(from, '\n', left);
    size_t size = end != NULL ? (size_t)(end - from) : left;
    lines->at += end != NULL ? size + 1 : size;
    while (size > 0 && from[size - 1] == '\r')
        size--;
    lines->line = (struct cas_slice){.data = from, .size = size};
    lines->line_n++;
    return true;
}

enum cas_err capture_refuse(const struct capture_lines *lines,
                            const char *where,
                            enum cas_err err,
                            struct cas_why *why,
                            const char *fmt,
                            ...)
{
    char words[CAS_WHY_BYTES];
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    if (used < 0)
        words[0] = '\0';

    size_t column = 1;
    if (where != NULL && where >= lines->line.data)
        column = (size_t)(where - lines->line.data) + 1;
    return cas_fail(why, err, "%s:%zu:%zu: %s", lines->input.file, lines->line_n, column, words);
}

/* ---- pieces of a line ---- */

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

struct cas_slice capture_trim(struct cas_slice text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        text = behind(text, 1);
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

struct cas_slice capture_token(struct cas_slice *rest)
{
    while (rest->size > 0 && is_blank(rest->data[0]))
        *rest = behind(*rest, 1);
    struct cas_slice token = {.data = rest->data, .size = 0};
    while (token.size < rest->size && !is_blank(rest->data[token.size]))
        token.size++;
    *rest = behind(*rest, token.size);
    return token;
}

static char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

bool capture_same(struct cas_slice slice, const char *text)
{
    if (slice.size != strlen(text))
        return false;
    for (size_t i = 0; i < slice.size; i++) {
        if (lower(slice.data[i]) != lower(text[i]))
            return false;
    }
    return true;
}

bool capture_starts(struct cas_slice slice, const char *text)
{
    return begins_with(slice, text, strlen(text));
}

bool capture_cut(struct cas_slice text,
                 char mark,
                 struct cas_slice *ret_head,
                 struct cas_slice *ret_tail)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == mark) {
            *ret_head = (struct cas_slice){.data = text.data, .size = i};
            *ret_tail = behind(text, i + 1);
            return true;
        }
    }
    return false;
}

bool capture_cut_last(struct cas_slice text,
                      char mark,
                      struct cas_slice *ret_head,
                      struct cas_slice *ret_tail)
{
    for (size_t i = text.size; i > 0; i--) {
        if (text.data[i - 1] == mark) {
            *ret_head = (struct cas_slice){.data = text.data, .size = i - 1};
            *ret_tail = behind(text, i);
            return true;
        }
    }
    return false;
}

bool capture_digits(struct cas_slice text, uint64_t most, uint64_t *ret_value)
{
    if (text.size == 0 || text.size > 20)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (digit > most || value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

/* ---- moments ---- */

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

bool capture_moment_ms(const struct capture_moment *moment, int64_t *ret_ms)
{
    static const uint32_t month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    static const uint32_t days_before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    if (moment->year < YEAR_LEAST || moment->year > YEAR_MOST || moment->month < 1 ||
        moment->month > 12 || moment->day < 1 || moment->hour > 23 || moment->minute > 59 ||
        moment->second > 59 || moment->ms > 999)
        return false;
    bool is_leap_year = is_leap(moment->year);
    uint32_t most = month_days[moment->month - 1] + (moment->month == 2 && is_leap_year ? 1 : 0);
    if (moment->day > most)
        return false;

    uint32_t before = moment->year - 1;
    int64_t leaps = (int64_t)(before / 4 - before / 100 + before / 400) -
                    (int64_t)(1969 / 4 - 1969 / 100 + 1969 / 400);
    int64_t days = (int64_t)(moment->year - 1970) * 365 + leaps +
                   (int64_t)days_before[moment->month - 1] +
                   (moment->month > 2 && is_leap_year ? 1 : 0) + (int64_t)moment->day - 1;
    int64_t seconds = ((days * 24 + (int64_t)moment->hour) * 60 + (int64_t)moment->minute) * 60 +
                      (int64_t)moment->second;
    *ret_ms = seconds * 1000 + (int64_t)moment->ms;
    return true;
}
