/* test_wire_raw.h - how does a test write frames that our own encoder would refuse to write?
 *
 * Bytes one after the other, and whole messages with one field left out, doubled or replaced. It
 * reads the same rows as the codec, but writes with other code. */
#ifndef TESTS_UNIT_TEST_WIRE_RAW_H
#define TESTS_UNIT_TEST_WIRE_RAW_H

#include "proto/wire/message_rows.h"
#include "tests/unit/test.h"

enum {
    RAW_BYTES = 2 * WIRE_FRAME_BYTES
};

struct raw {
    uint8_t data[RAW_BYTES];
    size_t size;
};

struct cas_slice raw_slice(const struct raw *raw);
void raw_put(struct raw *raw, const void *bytes, size_t size);
void raw_byte(struct raw *raw, unsigned byte);
void raw_number(struct raw *raw, uint64_t value, size_t width); /* big-endian */
void raw_array(struct raw *raw, size_t count);
void raw_map(struct raw *raw, size_t count);
void raw_u64(struct raw *raw, uint64_t value); /* always in nine bytes */
void raw_i64(struct raw *raw, int64_t value);  /* always in nine bytes */
void raw_f64(struct raw *raw, double value);
void raw_text(struct raw *raw, size_t size);  /* 'a', size times, as str32 */
void raw_bytes(struct raw *raw, size_t size); /* as bin32 */

enum raw_act {
    RAW_KEEP,
    RAW_OMIT,
    RAW_DOUBLE,
    RAW_REPLACE, /* the value of tag by value */
    RAW_ADD,     /* tag, with value, though the owner may not know it */
};
struct raw_change {
    enum raw_act act;
    size_t tag;
    const struct raw *value;
};

/* Least values, long forms, must fields only, then the change. */
void raw_owner(struct raw *raw, const struct wire_owner *owner, struct raw_change change);
void raw_message(struct raw *raw, enum message_type type, struct raw_change change);

/* Decodes as owner: a message when number is a message's, else a record. */
struct raw_target {
    bool is_record;
    unsigned number;
    const struct wire_owner *owner;
};
/* The at-th of all messages and records; owner is NULL after the last. */
struct raw_target raw_target(size_t at);
void raw_of(struct raw *raw, struct raw_target target, struct raw_change change);
CAS_CHECK enum cas_err
raw_decode(const struct raw *raw, struct raw_target target, struct cas_why *why);

/* What a decoder may write to: any record. */
union raw_record {
    max_align_t align;
    char bytes[WIRE_OWNER_BYTES];
};

#endif
