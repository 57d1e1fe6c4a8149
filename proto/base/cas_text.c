#include "proto/base/cas.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS
};
#define DAY_MS ((int64_t)24 * HOUR_MS)

struct cas_slice cas_slice_of(const char *text)
{
    return (struct cas_slice){.data = text, .size = text == NULL ? 0 : strlen(text)};
}

bool cas_slice_is(struct cas_slice slice, const char *text)
{
    size_t size = strlen(text);
    return slice.size == size && (size == 0 || memcmp(slice.data, text, size) == 0);
}

enum cas_err cas_slice_copy(struct cas_slice slice, char *ret_text, size_t cap)
{
    if (slice.size >= cap)
        return CAS_ERR_TOO_LONG;
    if (slice.size > 0)
        memcpy(ret_text, slice.data, slice.size);
    ret_text[slice.size] = '\0';
    return CAS_OK;
}

/* Where text cut at used must end so that no UTF-8 sequence is left half. */
static size_t whole_end(const char *data, size_t used)
{
    size_t start = used;
    while (start > 0 && used - start < 3 && ((unsigned char)data[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return used;
    unsigned char lead = (unsigned char)data[start - 1];
    size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return need > used - start + 1 ? start - 1 : used;
}

void cas_text_add(struct cas_text *text, const char *fmt, ...)
{
    CAS_ASSERT(text->cap > 0);
    CAS_ASSERT(text->used < text->cap);
    if (text->is_cut)
        return;
    size_t room = text->cap - text->used;
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(text->data + text->used, room, fmt, args);
    va_end(args);
    if (size < 0) {
        text->data[text->used] = '\0';
        text->is_cut = true;
    } else if ((size_t)size >= room) {
        text->used = whole_end(text->data, text->cap - 1);
        text->data[text->used] = '\0';
        text->is_cut = true;
    } else {
        text->used += (size_t)size;
    }
}

void cas_text_clear(struct cas_text *text)
{
    CAS_ASSERT(text->cap > 0);
    text->used = 0;
    text->is_cut = false;
    text->data[0] = '\0';
}

void cas_text_span(struct cas_text *text, int64_t span_ms)
{
    uint64_t ms = span_ms < 0 ? (uint64_t)0 - (uint64_t)span_ms : (uint64_t)span_ms;
    const char *sign = span_ms < 0 ? "-" : "";
    unsigned long long minutes = ms / MINUTE_MS;
    if (ms > 0 && ms < SECOND_MS) {
        cas_text_add(text, "%s%llu ms", sign, (unsigned long long)ms);
    } else if (ms < MINUTE_MS) {
        cas_text_add(text, "%s%llu s", sign, (unsigned long long)(ms / SECOND_MS));
    } else if (ms < HOUR_MS) {
        cas_text_add(text, "%s%llu min", sign, minutes);
    } else if (ms < (uint64_t)DAY_MS && minutes % 60 != 0) {
        cas_text_add(text, "%s%llu h %llu min", sign, minutes / 60, minutes % 60);
    } else if (ms < 2 * (uint64_t)DAY_MS) {
        cas_text_add(text, "%s%llu h", sign, minutes / 60);
    } else {
        cas_text_add(text, "%s%llu d", sign, (unsigned long long)(ms / (uint64_t)DAY_MS));
    }
}

/* Days before the first of March of a year counted from March, in the proleptic Gregorian calendar:
 * counting years from March puts the leap day last, so that months have a fixed place in the year.
 */
static int64_t days_before_year(int64_t year)
{
    return year * 365 + year / 4 - year / 100 + year / 400;
}

void cas_text_utc(struct cas_text *text, int64_t wall_ms)
{
    int64_t day = wall_ms / DAY_MS;
    int64_t rest_ms = wall_ms % DAY_MS;
    if (rest_ms < 0) {
        rest_ms += DAY_MS;
        day--;
    }
    day += 719468; /* 1970-01-01, counted from 0000-03-01 */
    if (day < 306 || day > 3652364) {
        cas_text_add(text, "%lld ms", (long long)wall_ms); /* outside the years 1..9999 */
        return;
    }
    int64_t year =
        day * 400 / 146097 + 1; /* the average length of a year; right or up to one too many */
    while (days_before_year(year) > day)
        year--;
    int64_t day_of_year = day - days_before_year(year);
    int64_t month = (day_of_year * 5 + 2) / 153; /* 0 is March; five months take 153 days */
    int64_t day_of_month = day_of_year - (month * 153 + 2) / 5 + 1;
    if (month >= 10)
        year++;
    cas_text_add(text,
                 "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld.%03lldZ",
                 (long long)year,
                 (long long)(month < 10 ? month + 3 : month - 9),
                 (long long)day_of_month,
                 (long long)(rest_ms / HOUR_MS),
                 (long long)(rest_ms / MINUTE_MS % 60),
                 (long long)(rest_ms / SECOND_MS % 60),
                 (long long)(rest_ms % SECOND_MS));
}

void cas_hex(const uint8_t *bytes, size_t size, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        ret_hex[2 * i] = digits[bytes[i] >> 4];
        ret_hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_hex[2 * size] = '\0';
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

enum cas_err cas_unhex(struct cas_slice hex, uint8_t *ret_bytes, size_t size)
{
    if (hex.size % 2 != 0 || hex.size / 2 != size)
        return CAS_ERR_FORMAT;
    for (size_t i = 0; i < hex.size; i++) {
        if (hex_digit(hex.data[i]) < 0)
            return CAS_ERR_FORMAT;
    }
    for (size_t i = 0; i < size; i++)
        ret_bytes[i] = (uint8_t)(hex_digit(hex.data[2 * i]) * 16 + hex_digit(hex.data[2 * i + 1]));
    return CAS_OK;
}

static bool is_letter_or_digit(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9');
}

bool cas_is_name(struct cas_slice text)
{
    if (text.size < 1 || text.size >= CAS_NAME_BYTES || !is_letter_or_digit(text.data[0]))
        return false;
    for (size_t i = 1; i < text.size; i++) {
        char byte = text.data[i];
        if (!is_letter_or_digit(byte) && byte != '.' && byte != '_' && byte != '-')
            return false;
    }
    return true;
}

/* Length of the UTF-8 sequence at the start of text, 0 when it is not a well-formed, printable one.
 */
static size_t clean_sequence(const unsigned char *text, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = text[0];
    if (lead < 0x80)
        return lead >= 0x20 && lead != 0x7f ? 1 : 0;
    size_t need = lead >= 0xf8 ? 0 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
    if (need == 0 || need > size)
        return 0;
    uint32_t point = lead & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (text[i] & 0x3fu);
    }
    bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    bool is_control = point < 0xa0; /* 0x80..0x9f; below that it is overlong */
    return point < least[need] || point > 0x10ffff || is_surrogate || is_control ? 0 : need;
}

bool cas_is_clean_text(struct cas_slice text)
{
    for (size_t i = 0; i < text.size;) {
        size_t step = clean_sequence((const unsigned char *)text.data + i, text.size - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

bool cas_is_number(double value)
{
    return value - value == 0.0; /* NAN and infinities give NAN */
}
