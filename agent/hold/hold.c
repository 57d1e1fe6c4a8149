#include "agent/hold/hold.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/file.h"

enum {
    HOLD_BYTES = 1024 /* the whole file */
};

static const char head[] = "casfleet hold 1";

static struct hold unreadable(const char *path, const char *what)
{
    struct hold hold = {.is_held = true, .by = "casfleet-agent"};
    struct cas_text text = CAS_TEXT(hold.reason);
    cas_text_clear(&text);
    cas_text_add(&text, "%s%s", what, what[0] != '\0' ? ": " : "");
    cas_text_add(&text, "%s", path);
    for (size_t i = 0; i < text.used; i++) {
        if (hold.reason[i] < ' ' || hold.reason[i] > '~')
            hold.reason[i] = '?';
    }
    return hold;
}

/* The line's value after its key and a blank; false when the line is another. */
static bool line_take(struct cas_slice *rest, const char *key, struct cas_slice *ret_value)
{
    size_t key_n = strlen(key);
    size_t size = 0;
    while (size < rest->size && rest->data[size] != '\n')
        size++;
    if (size == rest->size || size <= key_n || memcmp(rest->data, key, key_n) != 0 ||
        rest->data[key_n] != ' ')
        return false;
    *ret_value = (struct cas_slice){rest->data + key_n + 1, size - key_n - 1};
    *rest = (struct cas_slice){rest->data + size + 1, rest->size - size - 1};
    return true;
}

static bool text_take(struct cas_slice value, char *ret_text, size_t cap)
{
    return cas_is_clean_text(value) && cas_slice_copy(value, ret_text, cap) == CAS_OK;
}

void hold_parse(const char *path, struct cas_slice text, struct hold *ret_hold)
{
    struct hold hold = {.is_held = false};
    struct cas_slice rest = text, version, state, since, by, reason;
    bool is_good = line_take(&rest, "casfleet", &version) && cas_slice_is(version, "hold 1") &&
                   line_take(&rest, "state", &state) && line_take(&rest, "since", &since) &&
                   line_take(&rest, "by", &by) && line_take(&rest, "reason", &reason) &&
                   rest.size == 0 && text_take(by, hold.by, sizeof hold.by) && hold.by[0] != '\0' &&
                   text_take(reason, hold.reason, sizeof hold.reason) &&
                   cas_parse_utc(since, &hold.since_ms, NULL) == CAS_OK;
    hold.is_held = is_good && cas_slice_is(state, "held");
    is_good = is_good && (hold.is_held || cas_slice_is(state, "released")) &&
              hold.is_held == (hold.reason[0] != '\0');
    *ret_hold = is_good ? hold : unreadable(path, "not a hold file");
}

void hold_read(const char *path, struct hold *ret_hold)
{
    char *text = NULL;
    size_t size = 0;
    enum cas_err err = file_read(path, HOLD_BYTES, FILE_PUBLIC, &text, &size, NULL);
    if (err == CAS_ERR_NOT_FOUND)
        *ret_hold = (struct hold){.is_held = false};
    else if (err != CAS_OK)
        *ret_hold = unreadable(path, cas_err_words(err));
    else
        hold_parse(path, (struct cas_slice){text, size}, ret_hold);
    free(text);
}

enum cas_err hold_check_reason(struct cas_slice reason, struct cas_why *why)
{
    size_t blank_n = 0;
    while (blank_n < reason.size && reason.data[blank_n] == ' ')
        blank_n++;
    if (blank_n == reason.size)
        return cas_fail(why,
                        CAS_ERR_MISSING,
                        "reason: missing; say why, as --reason \"replacing a fan\": the operators "
                        "read it");
    if (reason.size >= REASON_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "reason: %zu bytes, 1 to %d",
                        reason.size,
                        (int)REASON_BYTES - 1);
    if (!cas_is_clean_text(reason))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "reason: one line of plain text without control characters");
    return CAS_OK;
}

enum cas_err hold_write(const char *path, const struct hold *hold, struct cas_why *why)
{
    enum cas_err err = hold->is_held ? hold_check_reason(cas_slice_of(hold->reason), why) : CAS_OK;
    if (err != CAS_OK)
        return err;
    char data[HOLD_BYTES];
    struct cas_text text = CAS_TEXT(data);
    cas_text_clear(&text);
    cas_text_add(&text, "%s\nstate %s\nsince ", head, hold->is_held ? "held" : "released");
    cas_text_utc(&text, hold->since_ms);
    cas_text_add(&text, "\nby %s\nreason %s\n", hold->by, hold->is_held ? hold->reason : "");
    return file_write(path, (struct cas_slice){data, text.used}, FILE_PUBLIC, why);
}

void hold_words(const struct hold *hold, struct cas_text *text)
{
    cas_text_add(text, "held by %s: %s", hold->by, hold->reason);
}
