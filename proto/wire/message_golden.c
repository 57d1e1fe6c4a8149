#include "proto/wire/message.h"

#include <float.h>
#include <string.h>

#include "proto/wire/message_rows.h"

enum {
    GOLDEN_OWNERS = 1 + 128, /* one message or record, and all records in its lists */
    GOLDEN_SLICES = 1024,
};

/* A value whose length can grow until the frame is full. */
struct golden_slice {
    char *member;
    const struct wire_row *row;
};

struct golden {
    bool is_largest;
    struct cas_arena *arena;
    const char *letters; /* [WIRE_FRAME_BYTES], a name and a clean text at any length */
    const char *bytes;   /* [WIRE_FRAME_BYTES], every byte */
    size_t owner_n;
    struct {
        const struct wire_owner *owner;
        char *base;
    } owners[GOLDEN_OWNERS];
    size_t slice_n;
    struct golden_slice slices[GOLDEN_SLICES];
};

static struct cas_slice
golden_content(const struct golden *golden, const struct wire_row *row, size_t size)
{
    return (struct cas_slice){row->kind == WIRE_BYTES ? golden->bytes : golden->letters, size};
}

static enum cas_err golden_list(struct golden *golden, const struct wire_row *row, char *base)
{
    size_t count = (size_t)(golden->is_largest ? row->most : row->least);
    if (count == 0)
        return CAS_OK;

    const struct wire_owner *owner = wire_record(row->record);
    char *items = cas_arena_take(golden->arena, count, owner->bytes);
    if (items == NULL)
        return CAS_ERR_NOMEM;
    memcpy(base + row->offset, &items, sizeof items);
    memcpy(base + row->beside, &count, sizeof count);
    for (size_t at = 0; at < count; at++) {
        CAS_ASSERT(golden->owner_n < GOLDEN_OWNERS);
        golden->owners[golden->owner_n].owner = owner;
        golden->owners[golden->owner_n].base = items + at * owner->bytes;
        golden->owner_n++;
    }
    return CAS_OK;
}

static enum cas_err golden_value(struct golden *golden, const struct wire_row *row, char *base)
{
    void *value = base + row->offset;
    bool is_largest = golden->is_largest;
    switch (row->kind) {
    case WIRE_U64:
        *(uint64_t *)value = (uint64_t)(is_largest ? row->most : row->least);
        return CAS_OK;
    case WIRE_I64:
        *(int64_t *)value = is_largest ? row->most : row->least;
        return CAS_OK;
    case WIRE_F64:
        *(double *)value = is_largest ? DBL_MAX : -DBL_MAX;
        return CAS_OK;
    case WIRE_FLAG:
        *(bool *)value = is_largest;
        return CAS_OK;
    case WIRE_NAME:
    case WIRE_TEXT:
    case WIRE_BYTES:
        CAS_ASSERT(golden->slice_n < GOLDEN_SLICES);
        golden->slices[golden->slice_n++] = (struct golden_slice){value, row};
        *(struct cas_slice *)value = golden_content(golden, row, (size_t)row->least);
        return CAS_OK;
    case WIRE_ID:
    case WIRE_KEY:
    case WIRE_SIGN:
        memset(value, is_largest ? 0xff : 0, wire_kind_bytes(row->kind));
        return CAS_OK;
    case WIRE_LIST:
        return golden_list(golden, row, base);
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
    return CAS_OK;
}

static enum cas_err golden_fill(struct golden *golden)
{
    for (size_t at = 0; at < golden->owner_n; at++) {
        const struct wire_owner *owner = golden->owners[at].owner;
        char *base = golden->owners[at].base;
        for (size_t tag = 1; tag < owner->row_n; tag++) {
            const struct wire_row *row = &owner->rows[tag];
            if (!wire_is_field(row) || (!row->is_must && !golden->is_largest))
                continue;
            enum cas_err err = golden_value(golden, row, base);
            if (err != CAS_OK)
                return err;
            if (!row->is_must && row->kind != WIRE_LIST)
                *(bool *)(base + row->beside) = true;
        }
    }
    return CAS_OK;
}

/* Bytes of msgpack before a text or bytes of that size; msgpack specification, section Formats. */
static size_t golden_head(const struct wire_row *row, size_t size)
{
    if (row->kind != WIRE_BYTES && size < 32)
        return 1;
    if (size < 256)
        return 2;
    return size < 65536 ? 3 : 5;
}

/* Gives the room left to the slices, first come first served. */
static void golden_grow(struct golden *golden, size_t room)
{
    for (size_t at = 0; at < golden->slice_n; at++) {
        const struct wire_row *row = golden->slices[at].row;
        size_t least = (size_t)row->least;
        size_t base = least + golden_head(row, least);
        size_t size = (size_t)row->most;
        if (size + golden_head(row, size) - base > room) {
            size = least + room;
            while (size > least && size + golden_head(row, size) - base > room)
                size--;
        }
        room -= size + golden_head(row, size) - base;
        *(struct cas_slice *)(void *)golden->slices[at].member = golden_content(golden, row, size);
    }
}

static enum cas_err golden_open(struct cas_arena *arena,
                                int which,
                                const struct wire_owner *owner,
                                void *base,
                                struct golden **ret_golden)
{
    struct golden *golden = cas_arena_take(arena, 1, sizeof *golden);
    char *letters = cas_arena_take(arena, WIRE_FRAME_BYTES, 1);
    char *bytes = cas_arena_take(arena, WIRE_FRAME_BYTES, 1);
    if (golden == NULL || letters == NULL || bytes == NULL)
        return CAS_ERR_NOMEM;
    for (size_t at = 0; at < WIRE_FRAME_BYTES; at++) {
        letters[at] = (char)('a' + at % 26);
        bytes[at] = (char)(uint8_t)(255 - at % 256);
    }
    golden->is_largest = which != 0;
    golden->arena = arena;
    golden->letters = letters;
    golden->bytes = bytes;
    golden->owner_n = 1;
    golden->owners[0].owner = owner;
    golden->owners[0].base = base;
    *ret_golden = golden;
    return golden_fill(golden);
}

enum cas_err message_golden(enum message_type type,
                            int which,
                            struct cas_arena *arena,
                            uint8_t *ret_frame,
                            size_t *ret_size,
                            struct cas_why *why)
{
    const struct wire_owner *owner = wire_message((uint64_t)type);
    if (owner == NULL)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "no message type %d", (int)type);

    struct message message;
    memset(&message, 0, sizeof message);
    message.type = type;
    struct golden *golden;
    enum cas_err err = golden_open(arena, which, owner, &message.as, &golden);
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: no room for its golden frame", owner->name);

    size_t size = 0;
    err = message_encode(&message, ret_frame, WIRE_FRAME_BYTES, &size, why);
    if (err != CAS_OK || which == 0) {
        if (err == CAS_OK)
            *ret_size = size;
        return err;
    }
    golden_grow(golden, WIRE_FRAME_BYTES - size);
    return message_encode(&message, ret_frame, WIRE_FRAME_BYTES, ret_size, why);
}

enum cas_err record_golden(enum record_type type,
                           int which,
                           struct cas_arena *arena,
                           uint8_t *ret_bytes,
                           size_t *ret_size,
                           struct cas_why *why)
{
    const struct wire_owner *owner = wire_record(type);
    if (owner == NULL)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "no record type %d", (int)type);

    void *record = cas_arena_take(arena, 1, owner->bytes);
    struct golden *golden = NULL;
    enum cas_err err =
        record != NULL ? golden_open(arena, which, owner, record, &golden) : CAS_ERR_NOMEM;
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: no room for its golden bytes", owner->name);

    size_t size = 0;
    err = record_encode(type, record, ret_bytes, WIRE_PLAN_BYTES, &size, why);
    if (err != CAS_OK || which == 0) {
        if (err == CAS_OK)
            *ret_size = size;
        return err;
    }
    golden_grow(golden, WIRE_PLAN_BYTES - size);
    return record_encode(type, record, ret_bytes, WIRE_PLAN_BYTES, ret_size, why);
}
