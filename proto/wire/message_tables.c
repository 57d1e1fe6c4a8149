#include "proto/wire/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/wire/message_rows.h"

/* A field names its owner, not whether that is a message or a record: one name for both. */
#define MESSAGE(owner_, number_, direction_, words_) \
    union wire_##owner_ {                            \
        struct message_##owner_ as;                  \
    };
#define RECORD(owner_, words_)     \
    union wire_##owner_ {          \
        struct record_##owner_ as; \
    };
#define FIELD(owner_, tag_, name_, kind_, least_, most_, need_, words_)
#define LIST(owner_, tag_, name_, record_, least_, most_, need_, words_)
#define RETIRED(owner_, tag_)
#define END(owner_)
#include "proto/wire/messages.def"
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST
#undef RETIRED
#undef END

#define WIRE_IS_MUST                  true
#define WIRE_IS_MAY                   false
#define WIRE_BESIDE_MUST(owner, name) 0
#define WIRE_BESIDE_MAY(owner, name)  offsetof(union wire_##owner, as.has_##name)

/* One array an owner, each row at its tag: the compiler refuses a tag given twice. */
#define MESSAGE(owner_, number_, direction_, words_) \
    static const struct wire_row rows_##owner_[] = {
#define RECORD(owner_, words_) static const struct wire_row rows_##owner_[] = {
#define FIELD(owner_, tag_, name_, kind_, least_, most_, need_, words_) \
    [tag_] = {.name = #name_,                                           \
              .words = (words_),                                        \
              .least = (least_),                                        \
              .most = (most_),                                          \
              .offset = offsetof(union wire_##owner_, as.name_),        \
              .beside = WIRE_BESIDE_##need_(owner_, name_),             \
              .kind = WIRE_##kind_,                                     \
              .is_must = WIRE_IS_##need_},
#define LIST(owner_, tag_, name_, record_, least_, most_, need_, words_) \
    [tag_] = {.name = #name_,                                            \
              .words = (words_),                                         \
              .least = (least_),                                         \
              .most = (most_),                                           \
              .offset = offsetof(union wire_##owner_, as.name_),         \
              .beside = offsetof(union wire_##owner_, as.name_##_n),     \
              .kind = WIRE_LIST,                                         \
              .record = RECORD_##record_,                                \
              .is_must = WIRE_IS_##need_},
#define RETIRED(owner_, tag_) [tag_] = {.kind = WIRE_RETIRED},
#define END(owner_) \
    }               \
    ;
#include "proto/wire/messages.def"
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST
#undef RETIRED
#undef END

#define FIELD(owner_, tag_, name_, kind_, least_, most_, need_, words_)
#define LIST(owner_, tag_, name_, record_, least_, most_, need_, words_)
#define RETIRED(owner_, tag_)
#define END(owner_)
#define RECORD(owner_, words_)
#define MESSAGE(owner_, number_, direction_, words_)       \
    [number_] = {.name = #owner_,                          \
                 .words = (words_),                        \
                 .rows = rows_##owner_,                    \
                 .row_n = CAS_COUNT(rows_##owner_),        \
                 .bytes = sizeof(struct message_##owner_), \
                 .direction = MESSAGE_##direction_},
static const struct wire_owner messages[] = {
#include "proto/wire/messages.def"
};
#undef RECORD
#undef MESSAGE
#define RECORD(owner_, words_)                              \
    [RECORD_##owner_] = {.name = #owner_,                   \
                         .words = (words_),                 \
                         .rows = rows_##owner_,             \
                         .row_n = CAS_COUNT(rows_##owner_), \
                         .bytes = sizeof(struct record_##owner_)},
#define MESSAGE(owner_, number_, direction_, words_)
static const struct wire_owner records[] = {
#include "proto/wire/messages.def"
};
#undef MESSAGE
#undef RECORD
/* The decoder builds a record in a block of its own before it hands it out. */
#define RECORD(owner_, words_) \
    _Static_assert(sizeof(struct record_##owner_) <= WIRE_OWNER_BYTES, "WIRE_OWNER_BYTES");
#define MESSAGE(owner_, number_, direction_, words_) \
    _Static_assert((number_) > 0 && (number_) < 128, "one byte on the wire");
#include "proto/wire/messages.def"
#undef FIELD
#undef LIST
#undef RETIRED
#undef END
#undef MESSAGE
#undef RECORD

const struct wire_owner *wire_message(uint64_t number)
{
    return number < CAS_COUNT(messages) && messages[number].name != NULL ? &messages[number] : NULL;
}

const struct wire_owner *wire_record(enum record_type type)
{
    size_t at = (size_t)type;
    return at < CAS_COUNT(records) && records[at].name != NULL ? &records[at] : NULL;
}

size_t wire_message_end(void)
{
    return CAS_COUNT(messages);
}

size_t wire_record_end(void)
{
    return CAS_COUNT(records);
}

const char *message_name(enum message_type type)
{
    const struct wire_owner *owner = wire_message((uint64_t)type);
    return owner != NULL ? owner->name : NULL;
}

enum message_direction message_direction(enum message_type type)
{
    const struct wire_owner *owner = wire_message((uint64_t)type);
    CAS_ASSERT(owner != NULL);
    return owner->direction;
}

const char *record_name(enum record_type type)
{
    const struct wire_owner *owner = wire_record(type);
    return owner != NULL ? owner->name : NULL;
}

const char *wire_kind_name(enum wire_kind kind)
{
    static const char *const names[] = {
        [WIRE_U64] = "U64",
        [WIRE_I64] = "I64",
        [WIRE_F64] = "F64",
        [WIRE_FLAG] = "FLAG",
        [WIRE_NAME] = "NAME",
        [WIRE_TEXT] = "TEXT",
        [WIRE_BYTES] = "BYTES",
        [WIRE_ID] = "ID",
        [WIRE_KEY] = "KEY",
        [WIRE_SIGN] = "SIGN",
        [WIRE_LIST] = "LIST",
    };
    size_t at = (size_t)kind;
    return at < CAS_COUNT(names) && names[at] != NULL ? names[at] : "-";
}

size_t wire_kind_bytes(enum wire_kind kind)
{
    static const uint8_t bytes[WIRE_RETIRED + 1] = {
        [WIRE_ID] = CAS_ID_BYTES,
        [WIRE_KEY] = CAS_KEY_BYTES,
        [WIRE_SIGN] = CAS_SIGN_BYTES,
    };
    return bytes[kind];
}

enum cas_err wire_fail(const struct wire_path *path,
                       const struct wire_row *row,
                       struct cas_why *why,
                       enum cas_err err,
                       const char *fmt,
                       ...)
{
    if (why == NULL)
        return err;

    char where[160];
    struct cas_text place = CAS_TEXT(where);
    cas_text_add(&place, "%s", path->owner != NULL ? path->owner->name : "frame");
    for (size_t at = 0; at < path->depth; at++)
        cas_text_add(&place, ".%s[%zu]", path->step[at].list->name, path->step[at].index);
    if (row != NULL)
        cas_text_add(&place, ".%s", row->name);

    char text[CAS_WHY_BYTES];
    va_list arguments;
    va_start(arguments, fmt);
    (void)vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    return cas_fail(why, err, "%s: %s", where, text);
}

static enum cas_err check_u64(const struct wire_row *row,
                              uint64_t value,
                              const struct wire_path *path,
                              struct cas_why *why)
{
    if (value < (uint64_t)row->least) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_RANGE,
                         "%" PRIu64 " is below %" PRId64,
                         value,
                         row->least);
    }
    if (value > (uint64_t)row->most) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_RANGE,
                         "%" PRIu64 " is above %" PRId64,
                         value,
                         row->most);
    }
    return CAS_OK;
}

static enum cas_err check_i64(const struct wire_row *row,
                              int64_t value,
                              const struct wire_path *path,
                              struct cas_why *why)
{
    if (value < row->least) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_RANGE,
                         "%" PRId64 " is below %" PRId64,
                         value,
                         row->least);
    }
    if (value > row->most) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_RANGE,
                         "%" PRId64 " is above %" PRId64,
                         value,
                         row->most);
    }
    return CAS_OK;
}

static enum cas_err check_slice(const struct wire_row *row,
                                struct cas_slice value,
                                const struct wire_path *path,
                                struct cas_why *why)
{
    CAS_ASSERT(value.data != NULL || value.size == 0);
    if (value.size < (uint64_t)row->least) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_RANGE,
                         "%zu bytes, at least %" PRId64,
                         value.size,
                         row->least);
    }
    if (value.size > (uint64_t)row->most) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_TOO_LONG,
                         "%zu bytes, at most %" PRId64,
                         value.size,
                         row->most);
    }
    if (row->kind == WIRE_NAME && !cas_is_name(value)) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_FORMAT,
                         "\"%.*s\" is not a name (A-Z a-z 0-9 . _ -, first a letter or digit)",
                         (int)value.size,
                         value.data);
    }
    if (row->kind == WIRE_TEXT && !cas_is_clean_text(value)) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_FORMAT,
                         "\"%.*s\" is not UTF-8 without control characters",
                         (int)(value.size < 200 ? value.size : 200),
                         value.data);
    }
    return CAS_OK;
}

static enum cas_err check_count(const struct wire_row *row,
                                size_t count,
                                const struct wire_path *path,
                                struct cas_why *why)
{
    if (count < (uint64_t)row->least) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_RANGE,
                         "%zu records, at least %" PRId64,
                         count,
                         row->least);
    }
    if (count > (uint64_t)row->most) {
        return wire_fail(path,
                         row,
                         why,
                         CAS_ERR_TOO_MANY,
                         "%zu records, at most %" PRId64,
                         count,
                         row->most);
    }
    return CAS_OK;
}

enum cas_err wire_check(const struct wire_row *row,
                        const void *value,
                        const struct wire_path *path,
                        struct cas_why *why)
{
    switch (row->kind) {
    case WIRE_U64:
        return check_u64(row, *(const uint64_t *)value, path, why);
    case WIRE_I64:
        return check_i64(row, *(const int64_t *)value, path, why);
    case WIRE_F64:
        if (!cas_is_number(*(const double *)value))
            return wire_fail(path, row, why, CAS_ERR_RANGE, "not a finite number");
        return CAS_OK;
    case WIRE_NAME:
    case WIRE_TEXT:
    case WIRE_BYTES:
        return check_slice(row, *(const struct cas_slice *)value, path, why);
    case WIRE_LIST:
        return check_count(row, *(const size_t *)value, path, why);
    case WIRE_FLAG:
    case WIRE_ID:
    case WIRE_KEY:
    case WIRE_SIGN:
        return CAS_OK;
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
    CAS_ASSERT(false); /* a row without a kind */
    return CAS_ERR_BUG;
}

struct name_row {
    const char *name;
    const char *words;
    enum unit unit;
};

static const struct name_row verbs[] = {
#define VERB(name_, number_, words_) [number_] = {.name = #name_, .words = (words_)},
#include "proto/wire/verbs.def"
#undef VERB
};

static const struct name_row symptoms[] = {
#define SYMPTOM(name_, number_, unit_, words_) \
    [number_] = {.name = #name_, .words = (words_), .unit = UNIT_##unit_},
#include "proto/wire/symptoms.def"
#undef SYMPTOM
};

static const struct name_row units[] = {
    [UNIT_COUNT] = {.name = "count"},
    [UNIT_BYTES] = {.name = "bytes"},
    [UNIT_PERCENT] = {.name = "percent"},
    [UNIT_PER_S] = {.name = "per s"},
    [UNIT_MS] = {.name = "ms"},
    [UNIT_FLAG] = {.name = "0 or 1"},
};

static const struct name_row nacks[] = {
    [NACK_STALE_EPOCH] = {.words = "the order comes from an older epoch than one obeyed before"},
    [NACK_BAD_SIGNATURE] = {.words = "the signature does not fit the bytes"},
    [NACK_NOT_MINE] = {.words = "the order is for another agent"},
    [NACK_BUSY] = {.words = "another command is being worked on"},
    [NACK_UNKNOWN_VERB] = {.words = "a verb this agent does not know"},
    [NACK_POOL_NOT_ALLOWED] = {.words = "the pool is not on this agent's own list"},
    [NACK_NONCE] = {.words = "not the nonce given last, or older than 15 s on one of two clocks"},
    [NACK_IN_JOURNAL] = {.words = "the command is in the journal already; its RESULT follows"},
    [NACK_JOURNAL] = {.words = "the journal cannot be written, so the agent will not act"},
    [NACK_ROLLOUT_OLD] = {.words = "the rollout is older than those the journal still knows"},
    [NACK_NO_PLAN] = {.words = "the plan has not arrived yet"},
    [NACK_HELD] = {.words = "the server is held by its own people"},
    [NACK_VERSION] = {.words = "a version or message type this agent does not know"},
    [NACK_WINDOW] = {.words = "the window has closed"},
};

static const struct name_row states[] = {
    [COMMAND_NONE] = {.name = "none"},
    [COMMAND_CLAIMED] = {.name = "claimed"},
    [COMMAND_INTENT] = {.name = "intent"},
    [COMMAND_DONE] = {.name = "done"},
    [COMMAND_FAILED] = {.name = "failed"},
    [COMMAND_UNKNOWN] = {.name = "unknown"},
    [COMMAND_REVOKED] = {.name = "revoked"},
};

static const struct name_row entries[] = {
    [ENTRY_SAMPLE] = {.name = "sample"},
    [ENTRY_EVENT] = {.name = "event"},
    [ENTRY_FACT] = {.name = "fact"},
    [ENTRY_GAP] = {.name = "gap"},
};

static const struct name_row healths[] = {
    [HEALTH_UNKNOWN] = {.name = "unknown"},
    [HEALTH_GOOD] = {.name = "good"},
    [HEALTH_BAD] = {.name = "bad"},
};

/* An empty row for numbers outside the table. */
static struct name_row row_at(const struct name_row *rows, size_t row_n, size_t number)
{
    return number < row_n ? rows[number] : (struct name_row){.name = NULL};
}
#define ROW_AT(rows, number) row_at((rows), CAS_COUNT(rows), (size_t)(number))

static size_t row_from(const struct name_row *rows, size_t row_n, struct cas_slice name)
{
    for (size_t at = 0; at < row_n; at++) {
        if (rows[at].name != NULL && cas_slice_is(name, rows[at].name))
            return at;
    }
    return 0;
}

const char *verb_name(enum verb verb)
{
    return ROW_AT(verbs, verb).name;
}

const char *verb_words(enum verb verb)
{
    return ROW_AT(verbs, verb).words;
}

enum verb verb_from(struct cas_slice name)
{
    return (enum verb)row_from(verbs, CAS_COUNT(verbs), name);
}

const char *symptom_name(enum symptom symptom)
{
    return ROW_AT(symptoms, symptom).name;
}

const char *symptom_words(enum symptom symptom)
{
    return ROW_AT(symptoms, symptom).words;
}

enum unit symptom_unit(enum symptom symptom)
{
    return ROW_AT(symptoms, symptom).unit;
}

enum symptom symptom_from(struct cas_slice name)
{
    return (enum symptom)row_from(symptoms, CAS_COUNT(symptoms), name);
}

const char *unit_name(enum unit unit)
{
    return ROW_AT(units, unit).name;
}

const char *nack_words(enum nack_reason reason)
{
    return ROW_AT(nacks, reason).words;
}

const char *command_state_name(enum command_state state)
{
    return ROW_AT(states, state).name;
}

const char *entry_kind_name(enum entry_kind kind)
{
    return ROW_AT(entries, kind).name;
}

const char *pool_health_name(enum pool_health health)
{
    return ROW_AT(healths, health).name;
}
