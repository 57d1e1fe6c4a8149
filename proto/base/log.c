#include "proto/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/file.h"
#include "proto/base/log_source.h"

enum {
    LOG_TOKEN =
        1000, /* one line; a gate gains one token a millisecond-thousandth, so one line a second */
    LOG_NUMBER_BYTES = 12 /* behind the path, with its point and terminating byte */
};

static const struct log_event_row rows[] = {
#define EVENT(name, number, level, meaning, remedy) \
    {EVENT_##name, #name, LOG_##level, meaning, remedy},
#include "proto/base/events.def"
#undef EVENT
};

/* How often an event may still be told: a bucket that holds LOG_BURST lines and gains one a second.
 */
struct log_gate {
    int64_t tokens;
    int64_t filled_ms; /* mono */
    uint64_t more_n;   /* counted, not told */
    int64_t more_since_ms;
    bool is_used;
};

static struct log_gate gates[CAS_COUNT(rows)];
static enum log_level level_most = LOG_INFO;
static struct {
    FILE *stream; /* NULL: stderr */
    char path[FILE_PATH_BYTES];
    int64_t bytes;    /* in it */
    int64_t try_more; /* after a failure: bytes beyond the limit before the next try */
    bool is_torn;     /* half a line stands at its end */
} log_file;
static struct {
    int64_t bytes; /* 0: none */
    unsigned file_n;
} limits;
static struct log_stage log_stage;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

const struct log_event_row *log_event_rows(size_t *ret_row_n)
{
    *ret_row_n = CAS_COUNT(rows);
    return rows;
}

uint32_t log_source_id(const struct log_event_row *row)
{
    static const uint32_t severity[] = {3, 2, 1, 1}; /* by level: error, warning, informational */
    return severity[row->level] << 30 | (uint32_t)row->event;
}

bool log_source_is_wanted(const struct log_event_row *row)
{
    return row->level <= LOG_WARN || row->event == EVENT_START || row->event == EVENT_STOP;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

enum cas_err log_level_from(struct cas_slice name, enum log_level *ret_level)
{
    for (size_t i = 0; i < CAS_COUNT(level_names); i++) {
        if (cas_slice_is(name, level_names[i])) {
            *ret_level = (enum log_level)i;
            return CAS_OK;
        }
    }
    return CAS_ERR_FORMAT;
}

static struct cas_now now_here(void)
{
    return log_stage.now != NULL ? log_stage.now(log_stage.arg) : clock_now();
}

/* Adds text; what is not clean UTF-8, and every control character, as \xNN: a line stays one line,
 * and a terminal takes no orders from a peer. */
static void add_escaped(struct cas_text *line, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t step = 1;
        while (step < left && step < 4 && !cas_is_clean_text((struct cas_slice){text, step}))
            step++;
        if (cas_is_clean_text((struct cas_slice){text, step})) {
            cas_text_add(line, "%.*s", (int)step, text);
        } else {
            step = 1;
            cas_text_add(line, "\\x%02x", (unsigned)(unsigned char)text[0]);
        }
        text += step;
        left -= step;
    }
}

/* The line as it is written, with its end; *ret_words: where in it the facts begin. */
static size_t format_line(const struct log_event_row *row,
                          struct cas_now now,
                          const char *words,
                          char ret_line[LOG_LINE_BYTES + 1],
                          size_t *ret_words)
{
    struct cas_text line = {.data = ret_line, .cap = LOG_LINE_BYTES - 3};
    char name[48];
    size_t size = strlen(row->name);
    CAS_ASSERT(size < sizeof name);
    for (size_t i = 0; i <= size; i++)
        name[i] = row->name[i] >= 'A' && row->name[i] <= 'Z' ? (char)(row->name[i] - 'A' + 'a')
                                                             : row->name[i];
    cas_text_clear(&line);
    cas_text_utc(&line, now.wall_ms);
    cas_text_add(&line, " %s %s ", log_level_name(row->level), name);
    *ret_words = line.used;
    add_escaped(&line, words);
    memcpy(ret_line + line.used, line.is_cut ? "..." : "", line.is_cut ? 4 : 1);
    return strlen(ret_line);
}

/* ---- the file ---- */

static enum cas_err file_begin(const char *path, struct cas_why *why)
{
    FILE *stream = NULL;
    enum cas_err err = file_stream_append(path, &stream, why);
    if (err != CAS_OK)
        return err;
    long end = fseek(stream, 0, SEEK_END) == 0 ? ftell(stream) : 0;
    if (log_file.stream != NULL)
        (void)fclose(log_file.stream);
    log_file.stream = stream;
    log_file.bytes = end >= 0 ? end : INT64_MAX / 2; /* more than can be told */
    log_file.try_more = 0;
    log_file.is_torn = false;
    return CAS_OK;
}

static void numbered(unsigned n, char ret_path[FILE_PATH_BYTES])
{
    struct cas_text text = {.data = ret_path, .cap = FILE_PATH_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text, "%s", log_file.path);
    if (n > 0)
        cas_text_add(&text, ".%u", n);
}

/* Up to the first number that is free, each file gets the next one; then a new file is begun. After
 * any error the stream is still the one it was. */
static enum cas_err rotate(struct cas_why *why)
{
    char from[FILE_PATH_BYTES];
    char to[FILE_PATH_BYTES];
    unsigned free_n = 0;
    for (numbered(0, from); free_n < limits.file_n && file_exists(from); numbered(free_n, from))
        free_n++;
    for (; free_n > 0; free_n--) {
        numbered(free_n - 1, from);
        numbered(free_n, to);
        enum cas_err err = file_rename(from, to, why);
        if (err != CAS_OK)
            return err;
    }
    return file_begin(log_file.path, why);
}

/* On stderr where the file does not take it. */
static void put_line(const char *line, size_t size)
{
    FILE *stream = log_file.stream;
    bool is_put = stream != NULL && (!log_file.is_torn || fputc('\n', stream) != EOF) &&
                  fwrite(line, 1, size, stream) == size && fflush(stream) == 0;
    if (is_put) {
        log_file.bytes += (int64_t)size + (log_file.is_torn ? 1 : 0);
        log_file.is_torn = false;
        return;
    }
    (void)fwrite(line, 1, size, stderr);
    (void)fflush(stderr);
    if (stream == NULL)
        return;
    /* Opened anew: the C library would write later what it could not write now. */
    int64_t before = log_file.bytes;
    bool was_torn = log_file.is_torn;
    clearerr(stream);
    if (file_begin(log_file.path, NULL) == CAS_OK)
        log_file.is_torn = was_torn || log_file.bytes > before;
}

static const struct log_event_row *row_of(enum event event)
{
    size_t index = 0;
    while (index < CAS_COUNT(rows) && rows[index].event != event)
        index++;
    CAS_ASSERT(index < CAS_COUNT(rows));
    return &rows[index];
}

static void make_room(size_t size, struct cas_now now)
{
    char line[LOG_LINE_BYTES + 1];
    struct cas_why why = {""};
    size_t words = 0;
    if (log_file.stream == NULL || limits.bytes == 0 || log_file.bytes == 0 ||
        log_file.bytes + (int64_t)size <= limits.bytes + log_file.try_more)
        return;
    if (rotate(&why) == CAS_OK)
        return;
    log_file.try_more = log_file.bytes - limits.bytes + limits.bytes / 16;
    size = format_line(row_of(EVENT_LOG_KEPT), now, why.text, line, &words);
    log_source_tell(row_of(EVENT_LOG_KEPT), line + words);
    line[size++] = '\n';
    put_line(line, size);
}

static void write_line(const struct log_event_row *row, struct cas_now now, const char *words)
{
    static char data[LOG_LINE_BYTES + 1];
    size_t words_at = 0;
    size_t size = format_line(row, now, words, data, &words_at);
    if (log_stage.line != NULL) {
        log_stage.line(log_stage.arg, row->event, data);
        return;
    }
    log_source_tell(row, data + words_at);
    /* In one write: a C library that does not buffer stderr would write byte by byte. */
    data[size++] = '\n';
    make_room(size, now);
    put_line(data, size);
}

/* ---- how often ---- */

static void fill(struct log_gate *gate, int64_t mono_ms)
{
    if (!gate->is_used) {
        *gate = (struct log_gate){.tokens = LOG_BURST * LOG_TOKEN,
                                  .filled_ms = mono_ms,
                                  .is_used = true};
        return;
    }
    int64_t gone_ms = mono_ms - gate->filled_ms;
    if (gone_ms <= 0)
        return;
    int64_t room = LOG_BURST * LOG_TOKEN - gate->tokens;
    gate->tokens += gone_ms < room ? gone_ms : room;
    gate->filled_ms = mono_ms;
}

static void tell_more(size_t index, struct cas_now now)
{
    struct log_gate *gate = &gates[index];
    char words[64];
    struct cas_text text = CAS_TEXT(words);
    cas_text_add(&text, "and %llu more in ", (unsigned long long)gate->more_n);
    cas_text_span(&text, (now.mono_ms - gate->more_since_ms) / 1000 * 1000);
    gate->more_n = 0;
    gate->tokens -= LOG_TOKEN;
    write_line(&rows[index], now, words);
}

/* Whether this one is told; counts it otherwise. */
static bool pass(size_t index, struct cas_now now)
{
    struct log_gate *gate = &gates[index];
    fill(gate, now.mono_ms);
    if (gate->more_n > 0) {
        if (now.mono_ms - gate->more_since_ms < LOG_SUMMARY_MS) {
            gate->more_n++;
            return false;
        }
        tell_more(index, now);
    }
    if (gate->tokens < LOG_TOKEN) {
        gate->more_n = 1;
        gate->more_since_ms = now.mono_ms;
        return false;
    }
    gate->tokens -= LOG_TOKEN;
    return true;
}

void log_event(enum event event, const char *fmt, ...)
{
    size_t index = (size_t)(row_of(event) - rows);
    if (rows[index].level > level_most)
        return;
    struct cas_now now = now_here();
    if (!pass(index, now))
        return;
    char words[LOG_LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    write_line(&rows[index], now, size < 0 ? "" : words);
}

static void tell_due(int64_t age_ms)
{
    struct cas_now now = now_here();
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        if (gates[i].more_n > 0 && now.mono_ms - gates[i].more_since_ms >= age_ms) {
            fill(&gates[i], now.mono_ms);
            tell_more(i, now);
        }
    }
}

void log_tick(void)
{
    tell_due(LOG_SUMMARY_MS);
}

void log_set_level(enum log_level most)
{
    level_most = most;
}

void log_set_limits(int64_t bytes, unsigned file_n)
{
    CAS_ASSERT(bytes == 0 || (bytes >= LOG_LINE_BYTES && file_n > 0));
    limits.bytes = bytes;
    limits.file_n = file_n;
}

static void file_end(void)
{
    if (log_file.stream != NULL)
        (void)fclose(log_file.stream);
    log_file.stream = NULL;
}

enum cas_err log_open(const char *path, struct cas_why *why)
{
    if (path == NULL || path[0] == '\0') {
        file_end();
        return CAS_OK;
    }
    struct cas_why reason = {.text = ""};
    enum cas_err err = strlen(path) < FILE_PATH_BYTES - LOG_NUMBER_BYTES
                           ? file_begin(path, &reason)
                           : cas_fail(&reason,
                                      CAS_ERR_TOO_LONG,
                                      "%.80s...: a path may have %d bytes",
                                      path,
                                      FILE_PATH_BYTES - LOG_NUMBER_BYTES - 1);
    if (err != CAS_OK)
        return cas_fail(why, CAS_ERR_IO, "log: %s", reason.text);
    memcpy(log_file.path, path, strlen(path) + 1);
    return CAS_OK;
}

void log_close(void)
{
    tell_due(0);
    file_end();
    log_source_stop();
    level_most = LOG_INFO;
    limits.bytes = 0;
}

void log_set_stage(const struct log_stage *stage)
{
    log_stage = stage != NULL ? *stage : (struct log_stage){0};
    memset(gates, 0, sizeof gates);
}
