#include "proto/base/options_parts.h"

#include <stdlib.h>
#include <string.h>

bool options_is_key(struct cas_slice key, const char *name)
{
    if (key.size != strlen(name))
        return false;
    for (size_t i = 0; i < key.size; i++) {
        if ((key.data[i] == '-' ? '_' : key.data[i]) != name[i])
            return false;
    }
    return true;
}

struct cas_slice options_trimmed(struct cas_slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = (struct cas_slice){text.data + 1, text.size - 1};
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static size_t utf8_put(uint32_t point, char *at)
{
    static const struct {
        uint32_t below;
        uint32_t head;
    } sizes[] = {{0x80, 0}, {0x800, 0xc0}, {0x10000, 0xe0}, {0x110000, 0xf0}};
    size_t more = 0;
    while (point >= sizes[more].below)
        more++;
    at[0] = (char)(sizes[more].head | (point >> (6 * more)));
    for (size_t i = 1; i <= more; i++)
        at[i] = (char)(0x80 | ((point >> (6 * (more - i))) & 0x3f));
    return more + 1;
}

static uint32_t unit_at(struct cas_slice units, size_t at, bool is_big)
{
    uint32_t first = (uint8_t)units.data[at];
    uint32_t second = (uint8_t)units.data[at + 1];
    return is_big ? (first << 8) | second : (second << 8) | first;
}

/* What a reason calls the place of a byte. */
static enum cas_err
text_fail(const char *name, struct cas_slice text, const char *words, struct cas_why *why)
{
    int line = 1;
    int column = 1;
    for (size_t i = 0; i < text.size; i++) {
        column = text.data[i] == '\n' ? 1 : column + ((text.data[i] & 0xc0) == 0x80 ? 0 : 1);
        line += text.data[i] == '\n' ? 1 : 0;
    }
    return cas_fail(why, CAS_ERR_CONFIG, "%s:%d:%d: %s", name, line, column, words);
}

/* Half a surrogate pair is damage, and a setting must not be guessed. */
static enum cas_err wide_text(const char *name,
                              struct cas_slice units,
                              bool is_big,
                              char *text,
                              size_t *ret_size,
                              struct cas_why *why)
{
    size_t used = 0;
    for (size_t at = 0; at + 1 < units.size; at += 2) {
        uint32_t point = unit_at(units, at, is_big);
        uint32_t low = 0;
        if (point >= 0xd800 && point < 0xdc00 && at + 3 < units.size)
            low = unit_at(units, at + 2, is_big);
        if (low >= 0xdc00 && low < 0xe000) {
            point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
            at += 2;
        }
        if (point >= 0xd800 && point < 0xe000)
            return text_fail(name,
                             (struct cas_slice){text, used},
                             "half a character of UTF-16",
                             why);
        used += utf8_put(point, text + used);
    }
    *ret_size = used;
    return CAS_OK;
}

/* How many bytes of UTF-8 begin here; 0: none. */
static size_t utf8_size(struct cas_slice text)
{
    for (size_t size = 1; size <= 4 && size <= text.size; size++) {
        if (cas_is_clean_text((struct cas_slice){text.data, size}))
            return size;
    }
    return 0;
}

/* Bytes beyond ASCII that are no UTF-8 come from an editor that saved its own code page. Other
 * control bytes are left to the readers of lines, which name the option. */
static enum cas_err plain_check(const char *name, struct cas_slice text, struct cas_why *why)
{
    for (size_t at = 0; at < text.size;) {
        struct cas_slice before = {text.data, at};
        if (text.data[at] == '\0')
            return text_fail(name, before, "has a zero byte; it is not a text file", why);
        size_t size = 1;
        if (((uint8_t)text.data[at] & 0x80) != 0)
            size = utf8_size((struct cas_slice){text.data + at, text.size - at});
        if (size == 0) {
            char words[128];
            struct cas_text out = CAS_TEXT(words);
            cas_text_clear(&out);
            cas_text_add(&out,
                         "byte 0x%02x is not UTF-8 text; in Notepad save it with the encoding "
                         "UTF-8",
                         (unsigned)(uint8_t)text.data[at]);
            return text_fail(name, before, words, why);
        }
        at += size;
    }
    return CAS_OK;
}

static bool is_marked(struct cas_slice bytes, const char *mark)
{
    size_t size = strlen(mark);
    return bytes.size >= size && memcmp(bytes.data, mark, size) == 0;
}

enum cas_err options_text(const char *name,
                          struct cas_slice bytes,
                          char **ret_text,
                          size_t *ret_size,
                          struct cas_why *why)
{
    bool is_big = is_marked(bytes, "\xfe\xff");
    bool is_wide = is_big || is_marked(bytes, "\xff\xfe");
    size_t skip = is_wide ? 2 : is_marked(bytes, "\xef\xbb\xbf") ? 3 : 0;
    bool is_bare_wide = !is_wide && bytes.size >= 2 && (bytes.data[0] == 0) != (bytes.data[1] == 0);
    if (is_bare_wide)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "%s: is UTF-16 text without its mark: save it as UTF-8",
                        name);
    if (bytes.size > CONFIG_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: has %zu bytes, at most %d are read",
                        name,
                        bytes.size,
                        CONFIG_BYTES);
    struct cas_slice rest = {skip > 0 ? bytes.data + skip : bytes.data, bytes.size - skip};
    /* A unit of two bytes becomes three at most. */
    char *text = malloc(rest.size / 2 * 3 + rest.size % 2 + 1);
    if (text == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for its text", name);
    size_t used = rest.size;
    enum cas_err err = CAS_OK;
    if (is_wide)
        err = wide_text(name, rest, is_big, text, &used, why);
    else if (rest.size > 0)
        memcpy(text, rest.data, rest.size);
    if (err == CAS_OK && is_wide && rest.size % 2 != 0)
        err = text_fail(name, (struct cas_slice){text, used}, "half a character of UTF-16", why);
    if (err == CAS_OK)
        err = plain_check(name, (struct cas_slice){text, used}, why);
    if (err != CAS_OK) {
        free(text);
        return err;
    }
    text[used] = '\0';
    *ret_text = text;
    *ret_size = used;
    return CAS_OK;
}
