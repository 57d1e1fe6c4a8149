#include "agent/host/capture.h"

#include <string.h>

enum {
    SHOWN = 60,
    ERROR_LINES = 16, /* lines an error message may run over */
    HOUR_MS = 3600000,
    MINUTE_MS = 60000,
    SECOND_MS = 1000,
    DAY_MS = 24 * HOUR_MS
};

static int shown(struct cas_slice text)
{
    return (int)(text.size > SHOWN ? SHOWN : text.size);
}

static void drop(struct cas_slice *text, size_t count)
{
    text->data += count;
    text->size -= count;
}

static struct cas_slice between(const char *from, const char *to)
{
    return (struct cas_slice){.data = from, .size = (size_t)(to - from)};
}

void capture_appcmd_init(struct capture_appcmd *appcmd, struct capture_input input)
{
    *appcmd = (struct capture_appcmd){.is_tree = false};
    capture_lines_init(&appcmd->lines, input);
}

static enum cas_err refuse_line(const struct capture_lines *lines,
                                struct cas_slice where,
                                const char *expected,
                                struct cas_why *why)
{
    return capture_refuse(lines,
                          where.data,
                          CAS_ERR_FORMAT,
                          why,
                          "\"%.*s\" is not of the form %s",
                          shown(where),
                          where.data,
                          expected);
}

/* Splits `WP "3676" (rest)` into its quoted name and what the outer parentheses hold. */
static bool
split_object(struct cas_slice text, struct cas_slice *ret_name, struct cas_slice *ret_inner)
{
    struct cas_slice head;
    struct cas_slice rest;
    struct cas_slice name;
    if (!capture_cut(text, '"', &head, &rest) || !capture_cut(rest, '"', &name, &rest))
        return false;
    rest = capture_trim(rest);
    if (rest.size < 2 || rest.data[0] != '(' || rest.data[rest.size - 1] != ')')
        return false;
    drop(&rest, 1);
    rest.size--;
    *ret_name = name;
    *ret_inner = rest;
    return true;
}

static enum cas_err read_worker(const struct capture_lines *lines,
                                struct cas_slice text,
                                struct capture_item *item,
                                struct cas_why *why)
{
    static const char form[] = "WP \"3676\" (applicationPool:NAME)";
    struct cas_slice name;
    struct cas_slice inner;
    struct cas_slice key;
    uint64_t pid = 0;
    if (!split_object(text, &name, &inner) || !capture_cut(inner, ':', &key, &item->pool) ||
        (!capture_same(key, "applicationPool") && !capture_same(key, "apppool")) ||
        item->pool.size == 0)
        return refuse_line(lines, text, form, why);
    if (!capture_digits(capture_trim(name), UINT32_MAX, &pid) || pid == 0)
        return refuse_line(lines, name, "a process id", why);
    item->kind = CAPTURE_ITEM_WORKER;
    item->pid = (uint32_t)pid;
    return CAS_OK;
}

/* Takes "key:value" up to the next comma off the front. */
static bool take_pair(struct cas_slice *rest, const char *key, struct cas_slice *ret_value)
{
    struct cas_slice pair;
    struct cas_slice tail;
    if (!capture_cut(*rest, ',', &pair, &tail)) {
        pair = *rest;
        tail = (struct cas_slice){.data = rest->data + rest->size, .size = 0};
    }
    struct cas_slice name;
    struct cas_slice value;
    if (!capture_cut(pair, ':', &name, &value) || !capture_same(capture_trim(name), key))
        return false;
    *ret_value = capture_trim(value);
    *rest = tail;
    return true;
}

static enum cas_err read_pool(const struct capture_lines *lines,
                              struct cas_slice text,
                              struct capture_item *item,
                              struct cas_why *why)
{
    static const char form[] =
        "APPPOOL \"NAME\" (MgdVersion:v4.0,MgdMode:Integrated,state:Started)";
    struct cas_slice inner;
    if (!split_object(text, &item->pool, &inner) ||
        !take_pair(&inner, "MgdVersion", &item->version) ||
        !take_pair(&inner, "MgdMode", &item->mode) || !take_pair(&inner, "state", &item->state))
        return refuse_line(lines, text, form, why);
    item->kind = CAPTURE_ITEM_POOL;
    return CAS_OK;
}

/* The URL comes from a client and may hold commas and even ",time:"; a blank it cannot hold, so the
 * last " msec" is the tool's own. False when there is none. */
static bool find_age(struct cas_slice inner,
                     struct cas_slice *ret_url,
                     struct cas_slice *ret_digits,
                     struct cas_slice *ret_rest)
{
    static const char mark[] = " msec";
    size_t size = strlen(mark);
    for (size_t at = inner.size; at >= size; at--) {
        const char *unit = inner.data + at - size;
        if (memcmp(unit, mark, size) != 0)
            continue;
        const char *digits = unit;
        while (digits > inner.data && digits[-1] >= '0' && digits[-1] <= '9')
            digits--;
        struct cas_slice front = between(inner.data, digits);
        static const char key[] = "time:";
        if (front.size < strlen(key) ||
            memcmp(front.data + front.size - strlen(key), key, strlen(key)) != 0)
            continue;
        front.size -= strlen(key);
        front = capture_trim(front);
        if (front.size == 0 || front.data[front.size - 1] != ',')
            continue;
        front.size--;
        *ret_url = front;
        *ret_digits = between(digits, unit);
        *ret_rest = between(unit + size, inner.data + inner.size);
        return true;
    }
    return false;
}

static enum cas_err read_request(const struct capture_lines *lines,
                                 struct cas_slice text,
                                 struct capture_item *item,
                                 struct cas_why *why)
{
    static const char form[] = "REQUEST \"id\" (url:GET /path,time:4276 msec,client:address)";
    struct cas_slice inner;
    struct cas_slice url;
    struct cas_slice digits;
    struct cas_slice rest;
    uint64_t age_ms = 0;
    if (!split_object(text, &item->id, &inner) || !capture_starts(inner, "url:") ||
        !find_age(inner, &url, &digits, &rest) || url.size < strlen("url:"))
        return refuse_line(lines, text, form, why);
    if (!capture_digits(digits, INT64_MAX, &age_ms))
        return refuse_line(lines, digits, "a time in ms", why);
    drop(&url, strlen("url:"));
    item->id = capture_trim(item->id);
    if (!capture_cut(url, ' ', &item->method, &item->url)) {
        item->method = (struct cas_slice){.data = url.data, .size = 0};
        item->url = url;
    }
    if (!capture_starts(rest, ","))
        return refuse_line(lines, text, form, why);
    drop(&rest, 1);
    item->stage = (struct cas_slice){.data = rest.data, .size = 0};
    item->module = item->stage;
    if (!take_pair(&rest, "client", &item->client))
        return refuse_line(lines, text, form, why);
    /* IIS 7.5 and later only. */
    (void)take_pair(&rest, "stage", &item->stage);
    (void)take_pair(&rest, "module", &item->module);
    item->kind = CAPTURE_ITEM_REQUEST;
    item->age_ms = (int64_t)age_ms;
    return CAS_OK;
}

/* "ERROR ( message:Configuration error", further lines, ". )". The message is borrowed with its
 * line breaks. */
static void
read_error(struct capture_lines *lines, struct cas_slice text, struct capture_item *item)
{
    struct cas_slice key;
    struct cas_slice message;
    item->kind = CAPTURE_ITEM_ERROR;
    item->value = text;
    if (!capture_cut(text, ':', &key, &message))
        return;
    const char *from = message.data;
    struct cas_slice last = text;
    for (size_t i = 0; i < ERROR_LINES; i++) {
        last = capture_trim(last);
        if (last.size > 0 && last.data[last.size - 1] == ')')
            break;
        struct capture_lines before = *lines;
        if (!capture_lines_next(lines) || lines->line.size > CAPTURE_LINE_BYTES) {
            *lines = before;
            break;
        }
        last = lines->line;
    }
    struct cas_slice whole = between(from, last.data + last.size);
    if (whole.size > 0 && whole.data[whole.size - 1] == ')')
        whole.size--;
    item->value = capture_trim(whole);
}

/* ---- the text form of one pool's settings ---- */

static size_t indent_of(struct cas_slice line)
{
    size_t indent = 0;
    while (indent < line.size && line.data[indent] == ' ')
        indent++;
    return indent;
}

static void leave_sections(struct capture_appcmd *appcmd, size_t indent)
{
    while (appcmd->section_n > 0 && appcmd->indent[appcmd->section_n - 1] >= indent)
        appcmd->section_n--;
}

static enum cas_err enter_section(struct capture_appcmd *appcmd,
                                  struct cas_slice text,
                                  size_t indent,
                                  struct cas_why *why)
{
    leave_sections(appcmd, indent);
    if (appcmd->section_n == CAPTURE_SECTIONS)
        return capture_refuse(&appcmd->lines,
                              text.data,
                              CAS_ERR_TOO_MANY,
                              why,
                              "sections nested deeper than %d",
                              CAPTURE_SECTIONS);
    appcmd->indent[appcmd->section_n] = indent;
    appcmd->section[appcmd->section_n] =
        (struct cas_slice){.data = text.data + 1, .size = text.size - 2};
    appcmd->section_n++;
    return CAS_OK;
}

/* recycling.periodicRestart.time: the outermost [add], the pool itself, is left out. */
static bool path_of(const struct capture_appcmd *appcmd, struct cas_slice name, char *path)
{
    struct cas_text text = {.data = path, .cap = CAPTURE_PATH_BYTES};
    cas_text_clear(&text);
    for (size_t i = 0; i < appcmd->section_n; i++) {
        struct cas_slice section = appcmd->section[i];
        if (i == 0 && cas_slice_is(section, "add"))
            continue;
        cas_text_add(&text, "%.*s.", (int)section.size, section.data);
    }
    cas_text_add(&text, "%.*s", (int)name.size, name.data);
    return !text.is_cut;
}

static struct cas_slice without_quotes(struct cas_slice value)
{
    value = capture_trim(value);
    if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
        value = (struct cas_slice){.data = value.data + 1, .size = value.size - 2};
    return value;
}

/* One line of the tree. *ret_is_item false: a section or the end of the tree. */
static enum cas_err read_tree_line(struct capture_appcmd *appcmd,
                                   struct capture_item *item,
                                   bool *ret_is_item,
                                   struct cas_why *why)
{
    struct cas_slice line = appcmd->lines.line;
    size_t indent = indent_of(line);
    struct cas_slice text = capture_trim(line);
    struct cas_slice name;
    struct cas_slice value;
    *ret_is_item = false;
    if (text.size == 0 || indent == 0) {
        appcmd->is_tree = false;
        return CAS_OK;
    }
    if (text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']')
        return enter_section(appcmd, text, indent, why);
    leave_sections(appcmd, indent);
    if (!capture_cut(text, ':', &name, &value))
        return refuse_line(&appcmd->lines, text, "name:\"value\"", why);
    name = capture_trim(name);
    value = without_quotes(value);
    if (cas_slice_is(name, "APPPOOL.NAME"))
        appcmd->pool = value;
    if (!path_of(appcmd, name, item->path))
        return capture_refuse(&appcmd->lines,
                              text.data,
                              CAS_ERR_TOO_LONG,
                              why,
                              "a setting's name with its sections of more than %d bytes",
                              CAPTURE_PATH_BYTES - 1);
    item->kind = CAPTURE_ITEM_SETTING;
    item->pool = appcmd->pool;
    item->value = value;
    *ret_is_item = true;
    return CAS_OK;
}

/* ---- items ---- */

static bool is_recycled(struct cas_slice text, struct cas_slice *ret_pool)
{
    static const char tail[] = "\" successfully recycled";
    size_t size = strlen(tail);
    if (text.size < size + 1 || text.data[0] != '"' ||
        memcmp(text.data + text.size - size, tail, size) != 0)
        return false;
    *ret_pool = (struct cas_slice){.data = text.data + 1, .size = text.size - size - 1};
    return true;
}

/* A line outside a tree. *ret_is_item false: a prompt, an echo, another kind of object. */
static enum cas_err read_line(struct capture_appcmd *appcmd,
                              struct capture_item *item,
                              bool *ret_is_item,
                              struct cas_why *why)
{
    struct cas_slice text = capture_trim(appcmd->lines.line);
    *ret_is_item = true;
    if (capture_starts(text, "WP \""))
        return read_worker(&appcmd->lines, text, item, why);
    if (capture_starts(text, "APPPOOL \""))
        return read_pool(&appcmd->lines, text, item, why);
    if (capture_starts(text, "REQUEST \""))
        return read_request(&appcmd->lines, text, item, why);
    if (capture_starts(text, "ERROR (")) {
        read_error(&appcmd->lines, text, item);
        return CAS_OK;
    }
    if (is_recycled(text, &item->pool)) {
        item->kind = CAPTURE_ITEM_RECYCLED;
        return CAS_OK;
    }
    if (cas_slice_is(text, "APPPOOL")) {
        appcmd->is_tree = true;
        appcmd->section_n = 0;
        appcmd->pool = (struct cas_slice){.data = text.data, .size = 0};
    }
    *ret_is_item = false;
    return CAS_OK;
}

enum cas_err capture_appcmd_next(struct capture_appcmd *appcmd,
                                 struct capture_item *ret_item,
                                 struct cas_why *why)
{
    while (capture_lines_next(&appcmd->lines)) {
        if (appcmd->lines.line.size > CAPTURE_LINE_BYTES)
            return capture_refuse(&appcmd->lines,
                                  appcmd->lines.line.data,
                                  CAS_ERR_TOO_LONG,
                                  why,
                                  "a line of %zu bytes, at most %d",
                                  appcmd->lines.line.size,
                                  CAPTURE_LINE_BYTES);
        struct capture_item item = {.line_n = appcmd->lines.line_n};
        bool is_item = false;
        enum cas_err err = CAS_OK;
        if (appcmd->is_tree)
            err = read_tree_line(appcmd, &item, &is_item, why);
        /* A line that ends a tree may be an object of its own. */
        if (!appcmd->is_tree)
            err = read_line(appcmd, &item, &is_item, why);
        if (err != CAS_OK)
            return err;
        if (is_item) {
            *ret_item = item;
            return CAS_OK;
        }
    }
    return cas_fail(why, CAS_ERR_NOT_FOUND, "%s: no further item", appcmd->lines.input.file);
}

/* ---- settings ---- */

enum setting_kind {
    KIND_SPAN_MS,
    KIND_COUNT,
    KIND_KILOBYTES,
    KIND_FLAG
};

/* "00:01:30" or "1.05:00:00". */
static bool read_span(struct cas_slice text, int64_t *ret_ms)
{
    struct cas_slice days;
    struct cas_slice hours;
    struct cas_slice minutes;
    struct cas_slice rest = text;
    uint64_t day_n = 0;
    uint64_t hour_n = 0;
    uint64_t minute_n = 0;
    uint64_t second_n = 0;
    struct cas_slice tail;
    if (capture_cut(rest, '.', &days, &tail)) {
        if (!capture_digits(days, 10000, &day_n))
            return false;
        rest = tail;
    }
    if (!capture_cut(rest, ':', &hours, &tail) || !capture_cut(tail, ':', &minutes, &rest) ||
        !capture_digits(hours, 100000, &hour_n) || !capture_digits(minutes, 59, &minute_n) ||
        !capture_digits(rest, 59, &second_n))
        return false;
    *ret_ms = (int64_t)day_n * DAY_MS + (int64_t)hour_n * HOUR_MS + (int64_t)minute_n * MINUTE_MS +
              (int64_t)second_n * SECOND_MS;
    return true;
}

static bool read_setting(enum setting_kind kind, struct cas_slice text, int64_t *ret_value)
{
    uint64_t number = 0;
    switch (kind) {
    case KIND_SPAN_MS:
        return read_span(text, ret_value);
    case KIND_COUNT:
    case KIND_KILOBYTES:
        if (!capture_digits(text, UINT32_MAX, &number))
            return false;
        *ret_value = (int64_t)number;
        return true;
    case KIND_FLAG:
        *ret_value = capture_same(text, "true") ? 1 : 0;
        return *ret_value == 1 || capture_same(text, "false");
    }
    return false;
}

struct setting_row {
    const char *path;
    enum setting_kind kind;
    size_t has_at;
    size_t value_at;
};

static const struct setting_row setting_rows[] = {
#define SETTING(member, kind, path)                   \
    {(path),                                          \
     KIND_##kind,                                     \
     offsetof(struct capture_settings, has_##member), \
     offsetof(struct capture_settings, member)},
#include "agent/host/capture_settings.def"
#undef SETTING
};

static enum cas_err keep_setting(const struct capture_lines *lines,
                                 const struct capture_item *item,
                                 struct capture_settings *settings,
                                 struct cas_why *why)
{
    if (strcmp(item->path, "recycling.periodicRestart.schedule.add.value") == 0) {
        settings->schedule_n++;
        return CAS_OK;
    }
    for (size_t i = 0; i < CAS_COUNT(setting_rows); i++) {
        const struct setting_row *row = &setting_rows[i];
        if (strcmp(item->path, row->path) != 0)
            continue;
        int64_t value = 0;
        if (!read_setting(row->kind, item->value, &value))
            return capture_refuse(lines,
                                  item->value.data,
                                  CAS_ERR_FORMAT,
                                  why,
                                  "\"%.*s\" cannot be read as %s",
                                  shown(item->value),
                                  item->value.data,
                                  row->path);
        bool yes = true;
        memcpy((char *)settings + row->has_at, &yes, sizeof yes);
        memcpy((char *)settings + row->value_at, &value, sizeof value);
        return CAS_OK;
    }
    return CAS_OK;
}

enum cas_err capture_appcmd_settings(struct capture_input input,
                                     const char *pool,
                                     struct capture_settings *ret_settings,
                                     struct cas_why *why)
{
    struct capture_appcmd appcmd;
    capture_appcmd_init(&appcmd, input);
    struct capture_settings settings = {.schedule_n = 0};
    bool is_found = false;
    for (;;) {
        struct capture_item item;
        struct cas_why refused = {""};
        enum cas_err err = capture_appcmd_next(&appcmd, &item, &refused);
        if (err == CAS_ERR_NOT_FOUND)
            break;
        /* Other lines have their own reader; a setting that is lost would look like one at rest. */
        if (err != CAS_OK && appcmd.is_tree)
            return cas_fail(why, err, "%s", refused.text);
        if (err != CAS_OK || item.kind != CAPTURE_ITEM_SETTING || !capture_same(item.pool, pool))
            continue;
        is_found = true;
        err = keep_setting(&appcmd.lines, &item, &settings, why);
        if (err != CAS_OK)
            return err;
    }
    if (!is_found)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "%s: no settings of pool %s (list apppool /text:*)",
                        input.file,
                        pool);
    *ret_settings = settings;
    return CAS_OK;
}

/* ---- the answer to a recycle ---- */

enum capture_answer
capture_appcmd_answer(struct capture_input input, const char *pool, char *ret_words, size_t cap)
{
    struct capture_appcmd appcmd;
    capture_appcmd_init(&appcmd, input);
    struct cas_text words = {.data = ret_words, .cap = cap};
    cas_text_clear(&words);
    bool is_done = false;
    for (;;) {
        struct capture_item item;
        struct cas_why refused = {""};
        enum cas_err err = capture_appcmd_next(&appcmd, &item, &refused);
        if (err == CAS_ERR_NOT_FOUND)
            break;
        if (err != CAS_OK)
            continue;
        if (item.kind == CAPTURE_ITEM_ERROR) {
            cas_text_add(&words, "%.*s", (int)item.value.size, item.value.data);
            return CAPTURE_ANSWER_REFUSED;
        }
        is_done = is_done || (item.kind == CAPTURE_ITEM_RECYCLED && capture_same(item.pool, pool));
    }
    return is_done ? CAPTURE_ANSWER_DONE : CAPTURE_ANSWER_UNKNOWN;
}

/* ---- stranded requests ---- */

static bool is_activesync(struct cas_slice url)
{
    static const char path[] = "/Microsoft-Server-ActiveSync";
    struct cas_slice head = {.data = url.data, .size = sizeof path - 1};
    return url.size >= sizeof path - 1 && capture_same(head, path);
}

void capture_appcmd_stranded(struct capture_input input, struct capture_stranded *ret_stranded)
{
    const int64_t heartbeat_most_ms = 3540000; /* the longest Ping a device may ask for */
    struct capture_stranded sum = {.request_n = 0};
    struct cas_text words = CAS_TEXT(sum.words);
    struct capture_appcmd appcmd;
    capture_appcmd_init(&appcmd, input);
    for (;;) {
        struct capture_item item;
        struct cas_why refused = {""};
        enum cas_err err = capture_appcmd_next(&appcmd, &item, &refused);
        if (err == CAS_ERR_NOT_FOUND)
            break;
        if (err != CAS_OK) {
            if (sum.refused_n++ == 0 && sum.error_n == 0)
                cas_text_add(&words, "%s", refused.text);
        } else if (item.kind == CAPTURE_ITEM_ERROR) {
            if (sum.error_n++ == 0) {
                cas_text_clear(&words);
                cas_text_add(&words, "%.*s", (int)item.value.size, item.value.data);
            }
        } else if (item.kind == CAPTURE_ITEM_REQUEST) {
            sum.request_n++;
            bool is_stranded = is_activesync(item.url) && item.age_ms > heartbeat_most_ms;
            sum.stranded_n += is_stranded ? 1 : 0;
        }
    }
    *ret_stranded = sum;
}
