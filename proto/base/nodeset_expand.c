#include "proto/base/nodeset.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of one bracket: first, first + step, ... last, each printed with at least width digits.
 */
struct set_range {
    int64_t first;
    int64_t last;
    int64_t step;
    int width;
};

/* A bracket and the text before it; the last piece of a part has text only. */
struct set_piece {
    struct cas_slice text;
    size_t range_first; /* in set_reader.range */
    size_t range_n;
    size_t range_now;
    int64_t value_now;
};

struct set_reader {
    struct cas_slice text;
    size_t at;
    struct set_range *range; /* of the part being read; as many as the text could hold */
    size_t range_n;
    struct set_piece piece[NODESET_BRACKETS + 1];
    size_t piece_n;
    size_t mention_n;
    struct nodeset *set;
    uint16_t *slot; /* [SET_SLOTS], open addressing: 1 + place in set->name, 0 is free */
    struct cas_why *why;
};

enum {
    SET_SLOTS = 32768
}; /* a power of two, over twice FLEET_SERVERS */

static enum cas_err
set_fail(const struct set_reader *reader, size_t at, enum cas_err err, const char *fmt, ...)
    CAS_PRINTF(4, 5);
static enum cas_err
set_fail(const struct set_reader *reader, size_t at, enum cas_err err, const char *fmt, ...)
{
    char words[128];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    return cas_fail(reader->why, err, "node set, column %zu: %s", at + 1, words);
}

static bool set_is(const struct set_reader *reader, const char *bytes)
{
    return reader->at < reader->text.size && strchr(bytes, reader->text.data[reader->at]) != NULL &&
           reader->text.data[reader->at] != '\0';
}

static bool set_take(struct set_reader *reader, char byte)
{
    bool is_there = reader->at < reader->text.size && reader->text.data[reader->at] == byte;
    reader->at += is_there ? 1 : 0;
    return is_there;
}

/* A number; ret_width is how many digits it must keep, 0 when it has no leading zero. */
static enum cas_err
set_number(struct set_reader *reader, int64_t *ret_value, int *ret_digits, bool *ret_is_padded)
{
    size_t start = reader->at;
    while (set_is(reader, "0123456789"))
        reader->at++;
    struct cas_slice digits = {reader->text.data + start, reader->at - start};
    if (digits.size == 0)
        return set_fail(reader, start, CAS_ERR_FORMAT, "a number is expected here");
    if (digits.size > NODESET_DIGITS)
        return set_fail(reader,
                        start,
                        CAS_ERR_RANGE,
                        "a number may have %d digits",
                        NODESET_DIGITS);
    *ret_digits = (int)digits.size;
    *ret_is_padded = digits.size > 1 && digits.data[0] == '0';
    return cas_parse_i64(digits, 0, INT64_MAX, ret_value, reader->why);
}

/* "7" "01-16" "0-8/2" */
static enum cas_err set_range(struct set_reader *reader, struct set_range *ret_range)
{
    size_t start = reader->at;
    struct set_range range = {.step = 1};
    int first_digits = 0;
    bool is_padded = false;
    enum cas_err err = set_number(reader, &range.first, &first_digits, &is_padded);
    if (err != CAS_OK)
        return err;
    range.last = range.first;
    range.width = is_padded ? first_digits : 0;
    if (set_take(reader, '-')) {
        int last_digits = 0;
        bool is_last_padded = false;
        err = set_number(reader, &range.last, &last_digits, &is_last_padded);
        if (err != CAS_OK)
            return err;
        if (last_digits < range.width || (is_last_padded && last_digits != range.width))
            return set_fail(reader,
                            start,
                            CAS_ERR_FORMAT,
                            "both ends of a range need the same zero padding");
        if (range.last < range.first)
            return set_fail(reader, start, CAS_ERR_RANGE, "this range goes backwards");
        if (set_take(reader, '/')) {
            err = set_number(reader, &range.step, &last_digits, &is_last_padded);
            if (err != CAS_OK)
                return err;
            if (range.step == 0)
                return set_fail(reader, start, CAS_ERR_RANGE, "a step of 0 never ends");
        }
    }
    *ret_range = range;
    return CAS_OK;
}

/* The list after a "[", with its "]". */
static enum cas_err set_bracket(struct set_reader *reader, struct set_piece *piece)
{
    size_t start = reader->at - 1;
    piece->range_first = reader->range_n;
    do {
        enum cas_err err = set_range(reader, &reader->range[reader->range_n]);
        if (err != CAS_OK)
            return err;
        reader->range_n++;
        piece->range_n++;
    } while (set_take(reader, ','));
    if (reader->at == reader->text.size)
        return set_fail(reader, start, CAS_ERR_FORMAT, "this [ has no ]");
    if (!set_take(reader, ']'))
        return set_fail(reader,
                        reader->at,
                        CAS_ERR_FORMAT,
                        "inside [ ] only numbers, ranges and commas");
    return CAS_OK;
}

/* One part, up to a comma, a blank or the end, into pieces. */
static enum cas_err set_part(struct set_reader *reader)
{
    reader->range_n = 0;
    reader->piece_n = 0;
    for (bool is_more = true; is_more;) {
        struct set_piece *piece = &reader->piece[reader->piece_n];
        *piece = (struct set_piece){.text = {reader->text.data + reader->at, 0}};
        while (reader->at < reader->text.size && !set_is(reader, ", \t\r\n[]")) {
            reader->at++;
            piece->text.size++;
        }
        reader->piece_n++;
        is_more = set_take(reader, '[');
        if (is_more && reader->piece_n > NODESET_BRACKETS)
            return set_fail(reader,
                            reader->at - 1,
                            CAS_ERR_TOO_MANY,
                            "a part may have %d lists in brackets",
                            NODESET_BRACKETS);
        enum cas_err err = is_more ? set_bracket(reader, piece) : CAS_OK;
        if (err != CAS_OK)
            return err;
    }
    if (set_is(reader, "]"))
        return set_fail(reader, reader->at, CAS_ERR_FORMAT, "this ] has no [");
    return CAS_OK;
}

/* Source: Fowler, Noll and Vo, hash FNV-1a, 32 bits. Names chosen to collide slow down their own
 * sender only: to NODESET_MENTIONS searches. */
static uint32_t set_hash(struct cas_slice name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * 16777619u;
    return hash;
}

static enum cas_err set_enter(struct set_reader *reader, struct cas_slice name, size_t part_at)
{
    if (name.size >= CAS_NAME_BYTES)
        return set_fail(reader,
                        part_at,
                        CAS_ERR_FORMAT,
                        "a name may have %d characters",
                        CAS_NAME_BYTES - 1);
    if (name.size == 0)
        return set_fail(reader, part_at, CAS_ERR_FORMAT, "a name is missing here");
    if (!cas_is_name(name))
        return set_fail(
            reader,
            part_at,
            CAS_ERR_FORMAT,
            "\"%.*s\" is no name: letters, digits, dot, _ and -, a letter or digit first",
            (int)name.size,
            name.data);
    if (++reader->mention_n > NODESET_MENTIONS)
        return set_fail(reader,
                        part_at,
                        CAS_ERR_TOO_MANY,
                        "more than %d names, doubles counted",
                        NODESET_MENTIONS);
    struct nodeset *set = reader->set;
    size_t slot = set_hash(name) % SET_SLOTS;
    for (; reader->slot[slot] != 0; slot = (slot + 1) % SET_SLOTS) {
        if (cas_slice_is(name, set->name[reader->slot[slot] - 1]))
            return CAS_OK;
    }
    if (set->name_n == FLEET_SERVERS)
        return set_fail(reader, part_at, CAS_ERR_TOO_MANY, "more than %d names", FLEET_SERVERS);
    CAS_ASSERT(cas_slice_copy(name, set->name[set->name_n], CAS_NAME_BYTES) == CAS_OK);
    set->name_n++;
    reader->slot[slot] = (uint16_t)set->name_n;
    return CAS_OK;
}

/* The next combination, the last bracket fastest; false after the last one. */
static bool set_step(struct set_reader *reader)
{
    for (size_t i = reader->piece_n - 1; i > 0; i--) {
        struct set_piece *piece = &reader->piece[i - 1];
        const struct set_range *range = &reader->range[piece->range_first + piece->range_now];
        if (piece->value_now <= range->last - range->step) {
            piece->value_now += range->step;
            return true;
        }
        piece->range_now = piece->range_now + 1 < piece->range_n ? piece->range_now + 1 : 0;
        piece->value_now = reader->range[piece->range_first + piece->range_now].first;
        if (piece->range_now != 0)
            return true;
    }
    return false;
}

static enum cas_err set_enter_all(struct set_reader *reader, size_t part_at)
{
    for (size_t i = 0; i + 1 < reader->piece_n; i++)
        reader->piece[i].value_now = reader->range[reader->piece[i].range_first].first;
    do {
        char data[CAS_NAME_BYTES + 1]; /* one more, so that 64 characters are seen to be too many */
        struct cas_text name = CAS_TEXT(data);
        cas_text_clear(&name);
        for (size_t i = 0; i < reader->piece_n; i++) {
            const struct set_piece *piece = &reader->piece[i];
            if (piece->text.size > sizeof data)
                return set_enter(reader, piece->text, part_at);
            cas_text_add(&name, "%.*s", (int)piece->text.size, piece->text.data);
            if (piece->range_n == 0)
                continue;
            int width = reader->range[piece->range_first + piece->range_now].width;
            cas_text_add(&name, "%0*lld", width, (long long)piece->value_now);
        }
        enum cas_err err = set_enter(reader, (struct cas_slice){data, name.used}, part_at);
        if (err != CAS_OK)
            return err;
    } while (set_step(reader));
    return CAS_OK;
}

static void set_skip_blanks(struct set_reader *reader)
{
    while (set_is(reader, " \t\r\n"))
        reader->at++;
}

static enum cas_err set_read(struct set_reader *reader)
{
    set_skip_blanks(reader);
    if (reader->at == reader->text.size)
        return cas_fail(reader->why, CAS_ERR_MISSING, "node set: it is empty");
    for (bool is_more = true; is_more;) {
        size_t start = reader->at;
        enum cas_err err = set_part(reader);
        if (err == CAS_OK)
            err = set_enter_all(reader, start);
        if (err != CAS_OK)
            return err;
        set_skip_blanks(reader);
        is_more = set_take(reader, ',');
        set_skip_blanks(reader);
        is_more = is_more || reader->at < reader->text.size;
    }
    return CAS_OK;
}

enum cas_err nodeset_expand(struct cas_slice text, struct nodeset **ret_set, struct cas_why *why)
{
    if (text.size > NODESET_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "node set: has %zu bytes, at most %d are read",
                        text.size,
                        NODESET_BYTES);
    CAS_AUTO(nodeset) set = calloc(1, sizeof *set);
    if (set == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "node set: no memory");
    struct set_reader reader = {.text = text, .set = set, .why = why};
    set->name = malloc(FLEET_SERVERS * sizeof *set->name);
    reader.range = malloc((text.size / 2 + 1) * sizeof *reader.range);
    reader.slot = calloc(SET_SLOTS, sizeof *reader.slot);
    enum cas_err err = CAS_ERR_NOMEM;
    if (set->name != NULL && reader.range != NULL && reader.slot != NULL) {
        err = set_read(&reader);
    } else {
        err = cas_fail(why, err, "node set: no memory");
    }
    free(reader.range);
    free(reader.slot);
    if (err != CAS_OK)
        return err;
    void *fit = realloc(set->name, set->name_n * sizeof *set->name);
    set->name = fit != NULL ? fit : set->name;
    *ret_set = CAS_TAKE(set);
    return CAS_OK;
}

void nodeset_free(struct nodeset *set)
{
    if (set != NULL)
        free(set->name);
    free(set);
}
