/* message_rows.h - how does messages.def look to a loop?
 *
 * Private to this room: rows for encoder, decoder, printer and golden frames, and the checks they
 * share. Nothing here knows a single message. */
#ifndef PROTO_WIRE_MESSAGE_ROWS_H
#define PROTO_WIRE_MESSAGE_ROWS_H

#include "proto/wire/message.h"

enum {
    WIRE_TAG_MOST = 255, /* of any version: a larger key is refused */
    WIRE_LEVELS = 2,     /* a message or record, and the records in its lists */
    WIRE_OWNER_BYTES = 512,
};

enum wire_kind {
    WIRE_NO_ROW = 0, /* a tag never given */
    WIRE_U64,
    WIRE_I64,
    WIRE_F64,
    WIRE_FLAG,
    WIRE_NAME,
    WIRE_TEXT,
    WIRE_BYTES,
    WIRE_ID,
    WIRE_KEY,
    WIRE_SIGN,
    WIRE_LIST,
    WIRE_RETIRED, /* a tag given once, never again; skipped like an unknown one */
};

struct wire_row {
    const char *name;
    const char *words;
    int64_t least; /* of the value, the length in bytes, or the list's count */
    int64_t most;
    uint16_t offset; /* of the member */
    uint16_t beside; /* of has_<name> for MAY, of <name>_n for a list; not used otherwise */
    enum wire_kind kind;
    enum record_type record; /* a list's */
    bool is_must;
};

struct wire_owner {
    const char *name;
    const char *words;
    const struct wire_row *rows; /* [row_n], at their tags; rows[0] is empty */
    size_t row_n;
    size_t bytes;                     /* of the struct */
    enum message_direction direction; /* a message's */
};

/* NULL when the number is not in the table. */
const struct wire_owner *wire_message(uint64_t number);
const struct wire_owner *wire_record(enum record_type type);
size_t wire_message_end(void); /* one more than the highest number */
size_t wire_record_end(void);

static inline bool wire_is_field(const struct wire_row *row)
{
    return row->kind != WIRE_NO_ROW && row->kind != WIRE_RETIRED;
}
static inline bool wire_is_slice(const struct wire_row *row)
{
    return row->kind == WIRE_NAME || row->kind == WIRE_TEXT || row->kind == WIRE_BYTES;
}
const char *wire_kind_name(enum wire_kind kind);
size_t wire_kind_bytes(enum wire_kind kind); /* of ID, KEY and SIGN; 0 for the others */

/* Where a value stands, for reasons: "report.entries[3].kind". */
struct wire_path {
    const struct wire_owner *owner; /* NULL: the frame as a whole */
    size_t depth;                   /* lists entered */
    struct {
        const struct wire_row *list;
        size_t index;
    } step[WIRE_LEVELS];
};
/* row may be NULL. Always returns err, with why as "<path>: <text>". */
enum cas_err wire_fail(const struct wire_path *path,
                       const struct wire_row *row,
                       struct cas_why *why,
                       enum cas_err err,
                       const char *fmt,
                       ...) CAS_PRINTF(5, 6);

/* The one validator: is this member within its row's limits? value points to the member; a list's
 * points to its count. CAS_ERR_RANGE, CAS_ERR_TOO_LONG, CAS_ERR_TOO_MANY, CAS_ERR_FORMAT (text that
 * is not clean, a name that is none). */
CAS_CHECK enum cas_err wire_check(const struct wire_row *row,
                                  const void *value,
                                  const struct wire_path *path,
                                  struct cas_why *why);

/* message_scan, and how many objects there are. what: "frame", or a record's name. */
CAS_CHECK enum cas_err
wire_scan(struct cas_slice bytes, const char *what, size_t *ret_object_n, struct cas_why *why);

#endif
