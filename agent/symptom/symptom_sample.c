#include "agent/symptom/symptom.h"

#include <string.h>

enum {
    TEXT_EVENT_BYTES = 500, /* most of record event's text, without an end */
    EVENT_ID_MASK = 0xffff, /* the full id carries severity and facility above */
    FACT_AGAIN_MS = 86400000
};

struct unit_limit {
    double least;
    double most;
    const char *words;
};
/* Beyond these a counter is broken: no server has a pebibyte, a worker runs no ten years. */
static const struct unit_limit unit_limits[] = {
    [UNIT_COUNT] = {0, 1e9, "0 to 1000000000"},
    [UNIT_BYTES] = {0, 1125899906842624.0, "0 to 1 PiB"},
    [UNIT_PERCENT] = {0, 100, "0 to 100 %"},
    [UNIT_PER_S] = {0, 1e7, "0 to 10000000 a second"},
    [UNIT_MS] = {0, 315360000000.0, "0 to 10 years"},
    [UNIT_FLAG] = {0, 1, "0 or 1"},
};

bool symptom_is_absurd(enum symptom symptom, double value, char ret_reason[REASON_BYTES])
{
    const struct unit_limit *limit = &unit_limits[symptom_unit(symptom)];
    bool is_fine = cas_is_number(value) && value >= limit->least && value <= limit->most;
    if (is_fine)
        return false;
    struct cas_text text = {.data = ret_reason, .cap = REASON_BYTES};
    cas_text_clear(&text);
    if (cas_is_number(value))
        cas_text_add(&text, "not known: read %g, possible is %s", value, limit->words);
    else
        cas_text_add(&text, "not known: what was read is no number");
    return true;
}

/* Text as the wire takes it: at most `most` bytes, cut at a character, foreign bytes shown as '?'.
 * An empty one becomes instead. ret_text holds most + 1 bytes. */
static struct cas_slice
wire_text(const char *text, const char *instead, size_t most, char *ret_text)
{
    if (text[0] == '\0')
        text = instead;
    size_t size = strlen(text);
    if (size > most) {
        size = most;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
            size--;
    }
    memcpy(ret_text, text, size);
    ret_text[size] = '\0';
    struct cas_slice slice = {ret_text, size};
    if (cas_is_clean_text(slice))
        return slice;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)ret_text[i];
        if (byte < 0x20 || byte >= 0x7f)
            ret_text[i] = '?';
    }
    return slice;
}

struct sample_words {
    char reason[SYMPTOM_END][REASON_BYTES];
};

static bool reading_put(const struct host_reading *from,
                        struct record_reading *reading,
                        char ret_reason[REASON_BYTES])
{
    bool is_known = from->is_known && !symptom_is_absurd(from->symptom, from->value, ret_reason);
    reading->has_pid = from->pid != 0;
    reading->pid = from->pid;
    reading->has_value = is_known;
    reading->value = is_known ? from->value : 0;
    reading->has_reason = !is_known;
    if (!from->is_known)
        reading->reason =
            wire_text(from->reason, "no reason was given", REASON_BYTES - 1, ret_reason);
    else if (!is_known)
        reading->reason = cas_slice_of(ret_reason);
    return is_known;
}

/* One reading each, in the order of symptoms.def; the host's first one counts. */
static size_t readings_put(const struct host_reading *from,
                           size_t from_n,
                           const char *missing,
                           struct record_reading *reading,
                           size_t *ret_known_n,
                           struct sample_words *words)
{
    const struct host_reading *by_symptom[SYMPTOM_END] = {0};
    for (size_t i = 0; i < from_n; i++) {
        size_t number = (size_t)from[i].symptom;
        if (number < SYMPTOM_END && by_symptom[number] == NULL)
            by_symptom[number] = &from[i];
    }
    size_t n = 0;
    size_t known_n = 0;
    for (size_t number = 1; number < SYMPTOM_END; number++) {
        if (symptom_name((enum symptom)number) == NULL)
            continue;
        struct record_reading *one = &reading[n++];
        *one = (struct record_reading){.symptom = number};
        if (by_symptom[number] != NULL) {
            known_n += reading_put(by_symptom[number], one, words->reason[number]) ? 1 : 0;
            continue;
        }
        one->has_reason = true;
        one->reason = wire_text(missing,
                                "the host does not read it",
                                REASON_BYTES - 1,
                                words->reason[number]);
    }
    *ret_known_n = known_n;
    return n;
}

enum cas_err symptom_sample(struct host *host,
                            struct cas_now now,
                            const char *pool,
                            symptom_sink *sink,
                            void *context,
                            bool *ret_is_read,
                            size_t *ret_known_n,
                            struct cas_why *why)
{
    struct host_reading from[WIRE_READINGS];
    struct record_reading reading[WIRE_READINGS];
    struct sample_words words;
    struct cas_why missing = {0};
    size_t from_n = 0;
    if (strlen(pool) >= POOL_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "pool \"%.40s...\": a name has at most %d bytes",
                        pool,
                        POOL_BYTES - 1);
    enum cas_err read_err =
        host->ops->read(host, now, pool, from, CAS_COUNT(from), &from_n, &missing);
    if (read_err != CAS_OK) {
        from_n = 0;
        if (missing.text[0] == '\0')
            (void)cas_fail(&missing, read_err, "%s", cas_err_words(read_err));
    }

    size_t known_n = 0;
    size_t n = readings_put(from, from_n, missing.text, reading, &known_n, &words);
    struct record_sample sample = {.pool = cas_slice_of(pool),
                                   .readings = reading,
                                   .readings_n = n};
    uint8_t bytes[WIRE_BODY_BYTES];
    size_t size = 0;
    enum cas_err err = record_encode(RECORD_sample, &sample, bytes, sizeof bytes, &size, why);
    if (err != CAS_OK)
        return err;
    struct cas_slice body = {(const char *)bytes, size};
    err = sink(context, ENTRY_SAMPLE, now.wall_ms, body, why);
    if (err != CAS_OK)
        return err;
    *ret_is_read = read_err == CAS_OK;
    *ret_known_n = known_n;
    return CAS_OK;
}

static bool is_alike(const struct host_event *a, const struct host_event *b)
{
    return a->id == b->id && a->pid == b->pid && strcmp(a->provider, b->provider) == 0 &&
           strcmp(a->pool, b->pool) == 0;
}

/* Folds alike events into the last of them, in place; the order of the last ones stays. */
static size_t events_fold(struct host_event *event, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t count = event[i].count > 0 ? event[i].count : 1;
        size_t same = 0;
        while (same < kept && !is_alike(&event[same], &event[i]))
            same++;
        if (same < kept) {
            count += event[same].count;
            memmove(&event[same], &event[same + 1], (kept - same - 1) * sizeof event[0]);
            kept--;
        }
        if (kept != i)
            event[kept] = event[i];
        event[kept].count = count < WIRE_INT_MOST ? count : WIRE_INT_MOST;
        kept++;
    }
    return kept;
}

static enum cas_err
event_tell(const struct host_event *from, symptom_sink *sink, void *context, struct cas_why *why)
{
    char provider[sizeof from->provider];
    char pool[POOL_BYTES];
    char text[TEXT_EVENT_BYTES + 1];
    struct record_event event = {
        .id = from->id & EVENT_ID_MASK,
        .provider = wire_text(from->provider, "not named", sizeof provider - 1, provider),
        .count = from->count,
        .has_pid = from->pid != 0,
        .pid = from->pid,
        .has_pool = from->pool[0] != '\0',
        .pool = wire_text(from->pool, "", sizeof pool - 1, pool),
        .has_text = from->text[0] != '\0',
        .text = wire_text(from->text, "", TEXT_EVENT_BYTES, text),
    };
    if (event.id == 0) /* not an event of Windows; nobody could look it up */
        return CAS_OK;
    uint8_t bytes[WIRE_BODY_BYTES];
    size_t size = 0;
    enum cas_err err = record_encode(RECORD_event, &event, bytes, sizeof bytes, &size, why);
    if (err != CAS_OK)
        return err;
    struct cas_slice body = {(const char *)bytes, size};
    return sink(context, ENTRY_EVENT, from->at_ms, body, why);
}

enum cas_err symptom_events(struct host *host,
                            struct cas_now now,
                            struct symptom_plan *plan,
                            symptom_sink *sink,
                            void *context,
                            char bookmark[REASON_BYTES],
                            bool *ret_is_more,
                            struct cas_why *why)
{
    struct host_event event[HOST_EVENTS];
    char next[REASON_BYTES] = "";
    size_t n = 0;
    enum cas_err err =
        host->ops->events(host, now, bookmark, event, CAS_COUNT(event), &n, next, why);
    if (err != CAS_OK)
        return err;
    bool is_more = n == CAS_COUNT(event);
    n = events_fold(event, n);
    for (size_t i = 0; i < n; i++) {
        err = event_tell(&event[i], sink, context, why);
        if (err != CAS_OK)
            return err;
        (void)symptom_plan_event(plan, event[i].id & EVENT_ID_MASK);
    }
    memcpy(bookmark, next, sizeof next);
    *ret_is_more = is_more;
    return CAS_OK;
}

static uint64_t hash_add(uint64_t hash, const char *text)
{
    /* FNV-1a, 64 bits: draft-eastlake-fnv. The end counts, so that "a","b" is not "ab","". */
    for (const char *at = text;; at++) {
        hash = (hash ^ (uint64_t)(unsigned char)*at) * 0x100000001b3u;
        if (*at == '\0')
            return hash;
    }
}

static uint64_t fact_hash(const struct host_fact *fact)
{
    uint64_t hash = hash_add(0xcbf29ce484222325u, fact->is_known ? "known" : "");
    return hash_add(hash, fact->is_known ? fact->value : fact->reason);
}

static enum cas_err fact_tell(const struct host_fact *from,
                              struct cas_now now,
                              symptom_sink *sink,
                              void *context,
                              struct cas_why *why)
{
    char value[sizeof from->value];
    char reason[REASON_BYTES];
    struct record_fact fact = {
        .key = cas_slice_of(from->key),
        .has_value = from->is_known,
        .value = wire_text(from->value, "", sizeof value - 1, value),
        .has_reason = !from->is_known,
        .reason = wire_text(from->reason, "no reason was given", sizeof reason - 1, reason),
    };
    uint8_t bytes[WIRE_BODY_BYTES];
    size_t size = 0;
    enum cas_err err = record_encode(RECORD_fact, &fact, bytes, sizeof bytes, &size, why);
    if (err != CAS_OK)
        return err;
    struct cas_slice body = {(const char *)bytes, size};
    return sink(context, ENTRY_FACT, now.wall_ms, body, why);
}

/* The row of a key; a new one when there is room, counting rows of facts long gone. HOST_FACTS: no
 * room. */
static size_t fact_row(struct symptom_facts *facts, const char *key)
{
    size_t gone = HOST_FACTS;
    for (size_t i = 0; i < facts->row_n; i++) {
        if (strcmp(facts->row[i].key, key) == 0)
            return i;
        if (facts->row[i].is_gone)
            gone = i;
    }
    size_t i = facts->row_n < HOST_FACTS ? facts->row_n++ : gone;
    if (i == HOST_FACTS)
        return i;
    memset(&facts->row[i], 0, sizeof facts->row[i]);
    struct cas_text text = CAS_TEXT(facts->row[i].key);
    cas_text_add(&text, "%s", key);
    facts->row[i].is_gone = true; /* until it is told */
    return i;
}

enum cas_err symptom_facts(struct host *host,
                           struct cas_now now,
                           struct symptom_facts *facts,
                           symptom_sink *sink,
                           void *context,
                           size_t *ret_n,
                           struct cas_why *why)
{
    struct host_fact fact[HOST_FACTS];
    bool is_seen[HOST_FACTS] = {false};
    size_t fact_n = 0;
    size_t told_n = 0;
    enum cas_err err = host->ops->facts(host, now, fact, CAS_COUNT(fact), &fact_n, why);
    for (size_t i = 0; i < fact_n && err == CAS_OK; i++) {
        if (!cas_is_name(cas_slice_of(fact[i].key)))
            continue;
        size_t row = fact_row(facts, fact[i].key);
        if (row == HOST_FACTS || is_seen[row])
            continue;
        is_seen[row] = true;
        uint64_t hash = fact_hash(&fact[i]);
        bool is_told = !facts->row[row].is_gone && facts->row[row].hash == hash &&
                       now.mono_ms - facts->row[row].told_ms < FACT_AGAIN_MS;
        if (is_told)
            continue;
        err = fact_tell(&fact[i], now, sink, context, why);
        if (err != CAS_OK)
            break;
        told_n++;
        facts->row[row].hash = hash;
        facts->row[row].told_ms = now.mono_ms;
        facts->row[row].is_gone = false;
    }
    for (size_t i = 0; i < facts->row_n && err == CAS_OK; i++) {
        if (is_seen[i] || facts->row[i].is_gone)
            continue;
        struct host_fact gone = {.reason = "the host no longer gives it"};
        memcpy(gone.key, facts->row[i].key, sizeof gone.key);
        err = fact_tell(&gone, now, sink, context, why);
        if (err != CAS_OK)
            break;
        told_n++;
        facts->row[i].is_gone = true;
    }
    if (err == CAS_OK)
        *ret_n = told_n;
    return err;
}
