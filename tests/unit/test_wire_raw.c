#include "tests/unit/test_wire_raw.h"

#include <string.h>

struct cas_slice raw_slice(const struct raw *raw)
{
    return (struct cas_slice){(const char *)raw->data, raw->size};
}

void raw_put(struct raw *raw, const void *bytes, size_t size)
{
    CAS_ASSERT(size <= sizeof raw->data - raw->size);
    if (size > 0)
        memcpy(raw->data + raw->size, bytes, size);
    raw->size += size;
}

void raw_byte(struct raw *raw, unsigned byte)
{
    uint8_t one = (uint8_t)byte;
    raw_put(raw, &one, 1);
}

void raw_number(struct raw *raw, uint64_t value, size_t width)
{
    for (size_t at = width; at > 0; at--)
        raw_byte(raw, (unsigned)(value >> (8 * (at - 1)) & 0xff));
}

void raw_array(struct raw *raw, size_t count)
{
    raw_byte(raw, 0xdc);
    raw_number(raw, count, 2);
}

void raw_map(struct raw *raw, size_t count)
{
    raw_byte(raw, 0xde);
    raw_number(raw, count, 2);
}

void raw_u64(struct raw *raw, uint64_t value)
{
    raw_byte(raw, 0xcf);
    raw_number(raw, value, 8);
}

void raw_i64(struct raw *raw, int64_t value)
{
    raw_byte(raw, 0xd3);
    raw_number(raw, (uint64_t)value, 8);
}

void raw_f64(struct raw *raw, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    raw_byte(raw, 0xcb);
    raw_number(raw, bits, 8);
}

void raw_text(struct raw *raw, size_t size)
{
    raw_byte(raw, 0xdb);
    raw_number(raw, size, 4);
    for (size_t at = 0; at < size; at++)
        raw_byte(raw, 'a');
}

void raw_bytes(struct raw *raw, size_t size)
{
    raw_byte(raw, 0xc6);
    raw_number(raw, size, 4);
    for (size_t at = 0; at < size; at++)
        raw_byte(raw, 0);
}

/* Any value but a list's. */
static void raw_least(struct raw *raw, const struct wire_row *row)
{
    switch (row->kind) {
    case WIRE_U64:
        raw_u64(raw, (uint64_t)row->least);
        return;
    case WIRE_I64:
        raw_i64(raw, row->least);
        return;
    case WIRE_F64:
        raw_f64(raw, 0.5);
        return;
    case WIRE_FLAG:
        raw_byte(raw, 0xc2);
        return;
    case WIRE_NAME:
    case WIRE_TEXT:
        raw_text(raw, (size_t)row->least);
        return;
    case WIRE_BYTES:
        raw_bytes(raw, (size_t)row->least);
        return;
    case WIRE_ID:
    case WIRE_KEY:
    case WIRE_SIGN:
        raw_bytes(raw, wire_kind_bytes(row->kind));
        return;
    case WIRE_LIST:
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
    CAS_ASSERT(false);
}

static size_t raw_must_n(const struct wire_owner *owner)
{
    size_t must_n = 0;
    for (size_t tag = 1; tag < owner->row_n; tag++)
        must_n += wire_is_field(&owner->rows[tag]) && owner->rows[tag].is_must;
    return must_n;
}

static void raw_list(struct raw *raw, const struct wire_row *row)
{
    const struct wire_owner *owner = wire_record(row->record);
    raw_array(raw, (size_t)row->least);
    for (int64_t item = 0; item < row->least; item++) {
        raw_map(raw, raw_must_n(owner));
        for (size_t tag = 1; tag < owner->row_n; tag++) {
            if (!wire_is_field(&owner->rows[tag]) || !owner->rows[tag].is_must)
                continue;
            raw_u64(raw, tag);
            raw_least(raw, &owner->rows[tag]);
        }
    }
}

static void raw_row(struct raw *raw, const struct wire_row *row)
{
    if (row->kind == WIRE_LIST)
        raw_list(raw, row);
    else
        raw_least(raw, row);
}

void raw_owner(struct raw *raw, const struct wire_owner *owner, struct raw_change change)
{
    size_t count = raw_must_n(owner);
    bool is_known =
        change.tag > 0 && change.tag < owner->row_n && wire_is_field(&owner->rows[change.tag]);
    bool is_must = is_known && owner->rows[change.tag].is_must;
    count += change.act == RAW_DOUBLE || change.act == RAW_ADD;
    count -= change.act == RAW_OMIT;
    if (is_known && !is_must)
        count += change.act == RAW_DOUBLE || change.act == RAW_REPLACE;
    raw_map(raw, count);

    for (size_t tag = 1; tag < owner->row_n; tag++) {
        const struct wire_row *row = &owner->rows[tag];
        bool is_changed = tag == change.tag && change.act != RAW_KEEP && change.act != RAW_ADD;
        if (!wire_is_field(row) || (!row->is_must && !is_changed))
            continue;
        if (is_changed && change.act == RAW_OMIT)
            continue;
        raw_u64(raw, tag);
        if (is_changed && change.act == RAW_REPLACE)
            raw_put(raw, change.value->data, change.value->size);
        else
            raw_row(raw, row);
        if (is_changed && change.act == RAW_DOUBLE) {
            raw_byte(raw, 0xcd); /* the same tag in another form */
            raw_number(raw, tag, 2);
            raw_row(raw, row);
        }
    }
    if (change.act == RAW_ADD) {
        raw_u64(raw, change.tag);
        raw_put(raw, change.value->data, change.value->size);
    }
}

void raw_message(struct raw *raw, enum message_type type, struct raw_change change)
{
    raw_array(raw, 3);
    raw_u64(raw, WIRE_VERSION);
    raw_u64(raw, (uint64_t)type);
    raw_owner(raw, wire_message((uint64_t)type), change);
}

struct raw_target raw_target(size_t at)
{
    struct raw_target target = {.is_record = false};
    for (size_t number = 1; number < wire_message_end() + wire_record_end(); number++) {
        target.is_record = number >= wire_message_end();
        target.number = (unsigned)(target.is_record ? number - wire_message_end() : number);
        target.owner = target.is_record ? wire_record((enum record_type)target.number)
                                        : wire_message(target.number);
        if (target.owner != NULL && at-- == 0)
            return target;
    }
    target.owner = NULL;
    return target;
}

void raw_of(struct raw *raw, struct raw_target target, struct raw_change change)
{
    raw->size = 0;
    if (target.is_record)
        raw_owner(raw, target.owner, change);
    else
        raw_message(raw, (enum message_type)target.number, change);
}

enum cas_err raw_decode(const struct raw *raw, struct raw_target target, struct cas_why *why)
{
    CAS_AUTO(cas_arena) arena = NULL;
    enum cas_err err = cas_arena_open(WIRE_ARENA_BYTES, &arena);
    if (err != CAS_OK)
        return err;
    if (!target.is_record) {
        struct message message;
        return message_decode(raw_slice(raw), arena, &message, why);
    }
    union raw_record record;
    enum record_type type = (enum record_type)target.number;
    return record_decode(type, raw_slice(raw), arena, &record, why);
}
