/* message.h - what do the bytes of a frame say, and are they allowed to?
 *
 * One table (messages.def) makes the structs below, one encoder, one decoder and one validator,
 * each a loop over rows. Pure: memory only. msgpack-c lives behind this door. Used by hub, agent
 * loop, cli, store, tests. */
#ifndef PROTO_WIRE_MESSAGE_H
#define PROTO_WIRE_MESSAGE_H

#include "proto/base/cas.h"

#define WIRE_VERSION 1
/* 2^53: exact in every language that reads our documents. */
#define WIRE_INT_MOST 9007199254740992

enum command_state {
    COMMAND_NONE = 0,
    COMMAND_CLAIMED = 1,
    COMMAND_INTENT = 2,
    COMMAND_DONE = 3,    /* the act took place: the host said so and the evidence fits */
    COMMAND_FAILED = 4,  /* the host refused, or the worker did not change */
    COMMAND_UNKNOWN = 5, /* the agent died between INTENT and outcome; nothing shows which */
    COMMAND_REVOKED = 6,
};
enum entry_kind {
    ENTRY_SAMPLE = 1,
    ENTRY_EVENT = 2,
    ENTRY_FACT = 3,
    ENTRY_GAP = 4
};
enum pool_health {
    HEALTH_UNKNOWN = 0,
    HEALTH_GOOD = 1,
    HEALTH_BAD = 2
};
enum nack_reason {
    NACK_STALE_EPOCH = 1,
    NACK_BAD_SIGNATURE = 2,
    NACK_NOT_MINE = 3,
    NACK_BUSY = 4,
    NACK_UNKNOWN_VERB = 5,
    NACK_POOL_NOT_ALLOWED = 6,
    NACK_NONCE = 7, /* not the last one given, or older than 15 s on one of the agent's clocks */
    NACK_IN_JOURNAL = 8, /* known already; a RESULT follows */
    NACK_JOURNAL = 9,    /* the journal cannot be written: the agent will not act */
    NACK_ROLLOUT_OLD = 10,
    NACK_NO_PLAN = 11, /* send PLAN first */
    NACK_VERSION = 12,
    NACK_WINDOW = 13, /* the window has closed */
    NACK_HELD = 14,   /* held by the server's own people; the text says by whom and why */
};
/* What a plan wants to know of memory before a recycle, in which two workers overlap. */
enum plan_ram {
    PLAN_RAM_FIT = 0,   /* a server on which they are known not to fit waits; not known is told */
    PLAN_RAM_KNOWN = 1, /* not known waits as well */
    PLAN_RAM_ANY = 2,   /* nobody waits for it */
};
enum verb {
    VERB_NONE = 0,
#define VERB(name, number, words) VERB_##name = (number),
#include "proto/wire/verbs.def"
#undef VERB
};
enum symptom {
    SYMPTOM_NONE = 0,
#define SYMPTOM(name, number, unit, words) SYMPTOM_##name = (number),
#include "proto/wire/symptoms.def"
#undef SYMPTOM
    SYMPTOM_END, /* one more than the highest */
};
enum unit {
    UNIT_COUNT,
    UNIT_BYTES,
    UNIT_PERCENT,
    UNIT_PER_S,
    UNIT_MS,
    UNIT_FLAG
};
/* Names and words, all NULL for a number that is not in the tables. */
const char *verb_name(enum verb verb);
const char *verb_words(enum verb verb);
enum verb verb_from(struct cas_slice name); /* VERB_NONE when unknown */
const char *symptom_name(enum symptom symptom);
const char *symptom_words(enum symptom symptom);
enum unit symptom_unit(enum symptom symptom);     /* UNIT_COUNT when unknown */
enum symptom symptom_from(struct cas_slice name); /* SYMPTOM_NONE when unknown */
const char *unit_name(enum unit unit);            /* "count" "bytes" "percent" "per s" "ms" */
const char *nack_words(enum nack_reason reason);  /* for people */
const char *command_state_name(enum command_state state); /* "intent" */
const char *entry_kind_name(enum entry_kind kind);        /* "sample"; also its record's name */
const char *pool_health_name(enum pool_health health);    /* "unknown" "good" "bad" */

/* struct message_hello ..., struct record_tail ... */
#define WIRE_MEMBER_U64(name)   uint64_t name
#define WIRE_MEMBER_I64(name)   int64_t name
#define WIRE_MEMBER_F64(name)   double name
#define WIRE_MEMBER_FLAG(name)  bool name
#define WIRE_MEMBER_NAME(name)  struct cas_slice name
#define WIRE_MEMBER_TEXT(name)  struct cas_slice name
#define WIRE_MEMBER_BYTES(name) struct cas_slice name
#define WIRE_MEMBER_ID(name)    uint8_t name[CAS_ID_BYTES]
#define WIRE_MEMBER_KEY(name)   uint8_t name[CAS_KEY_BYTES]
#define WIRE_MEMBER_SIGN(name)  uint8_t name[CAS_SIGN_BYTES]
#define WIRE_HAS_MUST(name)
#define WIRE_HAS_MAY(name)                      bool has_##name;
#define MESSAGE(name, number, direction, words) struct message_##name {
#define RECORD(name, words)                     struct record_##name {
#define FIELD(owner, tag, name, kind, least, most, need, words) \
    WIRE_MEMBER_##kind(name);                                   \
    WIRE_HAS_##need(name)
#define LIST(owner, tag, name, record, least, most, need, words) \
    const struct record_##record *name;                          \
    size_t name##_n;
#define RETIRED(owner, tag)
#define END(owner) \
    }              \
    ;
#include "proto/wire/messages.def"
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST
#undef RETIRED
#undef END

enum message_type {
    MESSAGE_NONE = 0,
#define MESSAGE(name, number, direction, words) MESSAGE_##name = (number),
#define RECORD(name, words)
#define FIELD(owner, tag, name, kind, least, most, need, words)
#define LIST(owner, tag, name, record, least, most, need, words)
#define RETIRED(owner, tag)
#define END(owner)
#include "proto/wire/messages.def"
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST
#undef RETIRED
#undef END
};
enum record_type {
    RECORD_NONE = 0,
#define MESSAGE(name, number, direction, words)
#define RECORD(name, words) RECORD_##name,
#define FIELD(owner, tag, name, kind, least, most, need, words)
#define LIST(owner, tag, name, record, least, most, need, words)
#define RETIRED(owner, tag)
#define END(owner)
#include "proto/wire/messages.def"
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST
#undef RETIRED
#undef END
};
enum message_direction {
    MESSAGE_UP,
    MESSAGE_DOWN,
    MESSAGE_ASKS,
    MESSAGE_TELLS
};

/* Any message, decoded. Slices and lists are borrowed from the frame and the arena. */
struct message {
    enum message_type type;
    union {
#define MESSAGE(name, number, direction, words) struct message_##name name;
#define RECORD(name, words)
#define FIELD(owner, tag, name, kind, least, most, need, words)
#define LIST(owner, tag, name, record, least, most, need, words)
#define RETIRED(owner, tag)
#define END(owner)
#include "proto/wire/messages.def"
#undef MESSAGE
#undef RECORD
#undef FIELD
#undef LIST
#undef RETIRED
#undef END
    } as;
};

const char *message_name(enum message_type type);                 /* "hello"; NULL when unknown */
const char *record_name(enum record_type type);                   /* "tail"; NULL when unknown */
enum message_direction message_direction(enum message_type type); /* of a known type */

/* Lengths, counts, depth and trailing bytes over the raw bytes, before anything is allocated.
 * CAS_ERR_FORMAT (what, at which byte), CAS_ERR_TOO_LONG, CAS_ERR_TOO_MANY. */
CAS_CHECK enum cas_err message_scan(struct cas_slice frame, struct cas_why *why);

/* Scan, unpack, check. The arena is not cleared first; it and the frame must outlive *ret_message.
 * Whatever the bytes, memory stays below WIRE_ARENA_BYTES, of which the arena gives the lists; the
 * rest is one block, given back on return. Reasons read "report.entries[3].kind: 16 is above 15".
 * CAS_ERR_VERSION another version or a type not in the table, CAS_ERR_FORMAT, CAS_ERR_RANGE (field,
 * value, limits), CAS_ERR_MISSING, CAS_ERR_TOO_LONG, CAS_ERR_TOO_MANY, CAS_ERR_NOMEM (arena's cap).
 */
CAS_CHECK enum cas_err message_decode(struct cas_slice frame,
                                      struct cas_arena *arena,
                                      struct message *ret_message,
                                      struct cas_why *why);
/* Checks and writes into ret_frame[cap]; *ret_size bytes. Errors as message_decode;
 * CAS_ERR_TOO_LONG also when cap or WIRE_FRAME_BYTES is too small. After an error ret_frame's
 * content means nothing. Fields go in the order of their tags, integers in their shortest form:
 * equal values, equal bytes.
 */
CAS_CHECK enum cas_err message_encode(const struct message *message,
                                      uint8_t *ret_frame,
                                      size_t cap,
                                      size_t *ret_size,
                                      struct cas_why *why);

/* The same for a record by itself: report bodies, orders, plans. record points to struct
 * record_<type>. */
CAS_CHECK enum cas_err record_decode(enum record_type type,
                                     struct cas_slice bytes,
                                     struct cas_arena *arena,
                                     void *ret_record,
                                     struct cas_why *why);
CAS_CHECK enum cas_err record_encode(enum record_type type,
                                     const void *record,
                                     uint8_t *ret_bytes,
                                     size_t cap,
                                     size_t *ret_size,
                                     struct cas_why *why);

/* Printed from the tables: the protocol chapter and libFuzzer's dictionary. out gets whole pieces
 * of text, in order. */
typedef void message_out(void *context, const char *text, size_t size);
void message_print_manual(message_out *out, void *context);
void message_print_dictionary(message_out *out, void *context);

/* The smallest and the largest frame of each message, and of each record by itself: the same bytes
 * on every run. which: 0 least values and no MAY field; 1 most values, all fields, long ones filled
 * up in order as far as a frame (a record: WIRE_PLAN_BYTES) holds. ret_frame[WIRE_FRAME_BYTES]; an
 * arena of GOLDEN_ARENA_BYTES suffices. CAS_ERR_NOT_FOUND no such message, CAS_ERR_NOMEM. */
enum {
    GOLDEN_ARENA_BYTES = 4 * WIRE_FRAME_BYTES
};
CAS_CHECK enum cas_err message_golden(enum message_type type,
                                      int which,
                                      struct cas_arena *arena,
                                      uint8_t *ret_frame,
                                      size_t *ret_size,
                                      struct cas_why *why);
CAS_CHECK enum cas_err record_golden(enum record_type type,
                                     int which,
                                     struct cas_arena *arena,
                                     uint8_t *ret_bytes,
                                     size_t *ret_size,
                                     struct cas_why *why);

#endif
