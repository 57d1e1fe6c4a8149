#include "proto/trust/keys.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "proto/base/file.h"
#include "proto/trust/keys_rest.h"

/* A key file is text: the first line names its kind, then `name = 64 hexadecimal digits` a line;
 * lines that are empty or begin with # are skipped. */
enum {
    FILE_FIELDS = 2,
    FILE_TEXT_BYTES = 1024
};

struct file_form {
    const char *first; /* the line that names the kind */
    const char *field[FILE_FIELDS];
    bool is_secret[FILE_FIELDS]; /* its value is never shown */
};
struct file_values {
    uint8_t byte[FILE_FIELDS][CAS_KEY_BYTES];
    bool has[FILE_FIELDS];
};
/* Where in which file, for the reasons. */
struct file_place {
    const char *path;
    unsigned line;
};

static const struct file_form curve_form = {"casfleet-key curve",
                                            {"public", "secret"},
                                            {false, true}};
static const struct file_form sign_form = {"casfleet-key sign",
                                           {"public", "secret"},
                                           {false, true}};
static const struct file_form controller_form = {"casfleet-controller",
                                                 {"curve", "command"},
                                                 {false, false}};

static const struct file_form *form_of(enum keys_kind kind)
{
    switch (kind) {
    case KEYS_CURVE:
        return &curve_form;
    case KEYS_SIGN:
        return &sign_form;
    }
    CAS_ASSERT(false);
}

static struct cas_slice trim(struct cas_slice text)
{
    while (text.size > 0 && strchr(" \t\r", text.data[0]) != NULL) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && strchr(" \t\r", text.data[text.size - 1]) != NULL)
        text.size--;
    return text;
}

/* The next line, trimmed; false at the end. */
static bool next_line(struct cas_slice *rest, struct cas_slice *ret_line)
{
    if (rest->size == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->size);
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
    *ret_line = trim((struct cas_slice){rest->data, size});
    size += end == NULL ? 0 : 1;
    rest->data += size;
    rest->size -= size;
    return true;
}

static enum cas_err parse_value(const struct file_form *form,
                                struct file_place place,
                                size_t field,
                                struct cas_slice value,
                                struct file_values *values,
                                struct cas_why *why)
{
    if (values->has[field])
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s:%u: \"%s\" stands here a second time",
                        place.path,
                        place.line,
                        form->field[field]);
    if (cas_unhex(value, values->byte[field], CAS_KEY_BYTES) == CAS_OK) {
        values->has[field] = true;
        return CAS_OK;
    }
    bool is_hidden = form->is_secret[field];
    return cas_fail(why,
                    CAS_ERR_FORMAT,
                    "%s:%u: \"%s\" must be %d hexadecimal digits, has %zu characters%s%.*s",
                    place.path,
                    place.line,
                    form->field[field],
                    CAS_KEY_BYTES * 2,
                    value.size,
                    is_hidden ? "" : ": ",
                    is_hidden ? 0 : (int)(value.size > 80 ? 80 : value.size),
                    value.data);
}

/* What a line holds is not shown: a slip may have put a secret into any of them. */
static enum cas_err parse_line(const struct file_form *form,
                               struct file_place place,
                               struct cas_slice line,
                               struct file_values *values,
                               struct cas_why *why)
{
    const char *equals = line.size == 0 ? NULL : memchr(line.data, '=', line.size);
    size_t size = equals == NULL ? 0 : (size_t)(equals - line.data);
    struct cas_slice name = trim((struct cas_slice){line.data, size});
    for (size_t i = 0; i < FILE_FIELDS && equals != NULL; i++) {
        if (!cas_slice_is(name, form->field[i]))
            continue;
        struct cas_slice value = trim((struct cas_slice){equals + 1, line.size - size - 1});
        return parse_value(form, place, i, value, values, why);
    }
    return cas_fail(why,
                    CAS_ERR_FORMAT,
                    "%s:%u: must be \"%s = ...\" or \"%s = ...\" or a # comment",
                    place.path,
                    place.line,
                    form->field[0],
                    form->field[1]);
}

static bool is_first_line_of_ours(struct cas_slice line)
{
    return cas_slice_is(line, curve_form.first) || cas_slice_is(line, sign_form.first) ||
           cas_slice_is(line, controller_form.first);
}

static enum cas_err parse(const struct file_form *form,
                          const char *path,
                          struct cas_slice text,
                          struct file_values *ret_values,
                          struct cas_why *why)
{
    struct file_place place = {path, 0};
    struct cas_slice line = {text.data, 0};
    if (!next_line(&text, &line))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s: is empty, must begin with \"%s\"",
                        path,
                        form->first);
    place.line++;
    if (!cas_slice_is(line, form->first)) {
        if (is_first_line_of_ours(line))
            return cas_fail(why,
                            CAS_ERR_CONFIG,
                            "%s:1: is a \"%.*s\" file, needed is \"%s\"",
                            path,
                            (int)line.size,
                            line.data,
                            form->first);
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s:1: the first line must be \"%s\"",
                        path,
                        form->first);
    }
    while (next_line(&text, &line)) {
        place.line++;
        if (line.size == 0 || line.data[0] == '#')
            continue;
        enum cas_err err = parse_line(form, place, line, ret_values, why);
        if (err != CAS_OK)
            return err;
    }
    for (size_t i = 0; i < FILE_FIELDS; i++) {
        if (!ret_values->has[i])
            return cas_fail(why,
                            CAS_ERR_FORMAT,
                            "%s:%u: ends without \"%s = ...\"",
                            path,
                            place.line,
                            form->field[i]);
    }
    return CAS_OK;
}

/* What rests on disk as a secret is unwrapped first. */
static enum cas_err parse_secret(const struct file_form *form,
                                 const char *path,
                                 struct cas_slice data,
                                 struct file_values *ret_values,
                                 struct cas_why *why)
{
    struct keys_rest rest = {.size = 0};
    enum cas_err err = keys_rest_unwrap(path, data, &rest, why);
    if (err == CAS_OK)
        err = parse(form,
                    path,
                    (struct cas_slice){(const char *)rest.byte, rest.size},
                    ret_values,
                    why);
    keys_rest_clear(&rest);
    return err;
}

static enum cas_err load(const struct file_form *form,
                         const char *path,
                         enum file_privacy privacy,
                         struct file_values *ret_values,
                         struct cas_why *why)
{
    char *data = NULL;
    size_t size = 0;
    enum cas_err err = file_read(path, KEY_FILE_BYTES, privacy, &data, &size, why);
    if (err != CAS_OK)
        return err;
    struct cas_slice text = {data, size};
    err = privacy == FILE_SECRET ? parse_secret(form, path, text, ret_values, why)
                                 : parse(form, path, text, ret_values, why);
    sodium_memzero(data, size);
    free(data);
    return err;
}

static enum cas_err
check_pair(const char *path, const struct keys *keys, const uint8_t *open, struct cas_why *why)
{
    struct keys_public made = keys_public_of(keys);
    if (sodium_memcmp(made.byte, open, sizeof made.byte) == 0)
        return CAS_OK;
    char text[KEYS_TEXT_BYTES];
    keys_text(&made, text);
    return cas_fail(why,
                    CAS_ERR_CONFIG,
                    "%s: \"public\" does not belong to \"secret\", whose public key is %s",
                    path,
                    text);
}

enum cas_err
keys_load(const char *path, enum keys_kind kind, struct keys **ret_keys, struct cas_why *why)
{
    struct file_values values = {0};
    CAS_AUTO(keys) keys = NULL;
    enum cas_err err = load(form_of(kind), path, FILE_SECRET, &values, why);
    if (err == CAS_OK) {
        err = keys_make_from(kind, values.byte[1], &keys);
        if (err != CAS_OK)
            err = cas_fail(why, err, "%s: no memory to keep a secret in", path);
    }
    sodium_memzero(values.byte[1], sizeof values.byte[1]);
    if (err == CAS_OK)
        err = check_pair(path, keys, values.byte[0], why);
    if (err != CAS_OK)
        return err;
    *ret_keys = CAS_TAKE(keys);
    return CAS_OK;
}

enum cas_err keys_save(const struct keys *keys, const char *path, struct cas_why *why)
{
    char data[FILE_TEXT_BYTES];
    char secret[KEYS_TEXT_BYTES];
    char open[KEYS_TEXT_BYTES];
    char fingerprint[KEYS_FINGERPRINT_BYTES];
    struct keys_public key = keys_public_of(keys);
    keys_text(&key, open);
    keys_fingerprint(&key, fingerprint);
    /* The first half of an Ed25519 secret is its seed, of which the rest is made. */
    cas_hex(keys_secret_of(keys), CAS_KEY_BYTES, secret);

    struct cas_text text = CAS_TEXT(data);
    cas_text_add(&text,
                 "%s\n# Whoever reads this file can speak in its owner's name. Mode 0600.\n"
                 "# fingerprint %s\npublic = %s\nsecret = %s\n",
                 form_of(keys_kind_of(keys))->first,
                 fingerprint,
                 open,
                 secret);
    CAS_ASSERT(!text.is_cut);
    struct keys_rest rest = {.size = 0};
    enum cas_err err = keys_rest_wrap(path, (struct cas_slice){data, text.used}, &rest, why);
    if (err == CAS_OK)
        err = file_create(path,
                          (struct cas_slice){(const char *)rest.byte, rest.size},
                          FILE_SECRET,
                          why);
    keys_rest_clear(&rest);
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(data, sizeof data);
    return err;
}

enum cas_err keys_load_or_make(const char *path,
                               enum keys_kind kind,
                               struct keys **ret_keys,
                               bool *ret_is_new,
                               struct cas_why *why)
{
    if (file_exists(path)) {
        enum cas_err err = keys_load(path, kind, ret_keys, why);
        if (err == CAS_OK)
            *ret_is_new = false;
        return err;
    }
    CAS_AUTO(keys) keys = NULL;
    enum cas_err err = keys_make(kind, &keys);
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: no memory to keep a secret in", path);
    struct cas_why refused = {.text = ""};
    err = keys_save(keys, path, &refused);
    if (err == CAS_ERR_EXISTS) { /* another process was here first, and its key is the one */
        err = keys_load(path, kind, ret_keys, why);
        if (err == CAS_OK)
            *ret_is_new = false;
        return err;
    }
    if (err != CAS_OK)
        return cas_fail(why, err, "%s", refused.text);
    *ret_keys = CAS_TAKE(keys);
    *ret_is_new = true;
    return CAS_OK;
}

enum cas_err
keys_controller_load(const char *path, struct keys_controller *ret_keys, struct cas_why *why)
{
    struct file_values values = {0};
    enum cas_err err = load(&controller_form, path, FILE_PUBLIC, &values, why);
    if (err != CAS_OK)
        return err;
    memcpy(ret_keys->curve.byte, values.byte[0], CAS_KEY_BYTES);
    memcpy(ret_keys->command.byte, values.byte[1], CAS_KEY_BYTES);
    return CAS_OK;
}

enum cas_err
keys_controller_save(const char *path, const struct keys_controller *keys, struct cas_why *why)
{
    char data[FILE_TEXT_BYTES];
    char curve[KEYS_TEXT_BYTES];
    char command[KEYS_TEXT_BYTES];
    char fingerprint[KEYS_FINGERPRINT_BYTES];
    keys_text(&keys->curve, curve);
    keys_text(&keys->command, command);
    keys_fingerprint(&keys->curve, fingerprint);

    struct cas_text text = CAS_TEXT(data);
    cas_text_add(
        &text,
        "%s\n# For agents and operators: the controller they trust. Not a secret, but whoever\n"
        "# changes it chooses whom they obey.\n# fingerprint %s\ncurve = %s\ncommand = %s\n",
        controller_form.first,
        fingerprint,
        curve,
        command);
    CAS_ASSERT(!text.is_cut);
    return file_write(path, (struct cas_slice){data, text.used}, FILE_PUBLIC, why);
}
