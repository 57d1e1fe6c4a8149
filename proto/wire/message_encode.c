#include "proto/wire/message.h"

#include <string.h>

#include <msgpack.h>

#include "proto/wire/message_rows.h"

/* Bytes written so far; what does not fit any more makes it full for good. */
struct encode_sink {
    uint8_t *data;
    size_t cap;
    size_t used;
    bool is_full;
};

/* A message or record half written: the row reached, and the items of a list half written. */
struct encode_level {
    const struct wire_owner *owner;
    const char *base;
    size_t tag;
    const struct wire_owner *item_owner;
    const char *items;
    size_t item_n;
    size_t item_at;
};

struct encode_run {
    struct encode_sink sink;
    msgpack_packer packer;
    struct wire_path path;
    struct cas_why *why;
    size_t depth;
    struct encode_level levels[WIRE_LEVELS];
};

/* msgpack-c's writer: nothing is kept of a piece that does not fit whole. */
static int encode_write(void *context, const char *data, size_t size)
{
    struct encode_sink *sink = context;
    if (size > sink->cap - sink->used) {
        sink->is_full = true;
        return -1;
    }
    if (size > 0)
        memcpy(sink->data + sink->used, data, size);
    sink->used += size;
    return 0;
}

static size_t encode_count(const struct encode_level *level, const struct wire_row *row)
{
    return *(const size_t *)(const void *)(level->base + row->beside);
}

static bool encode_is_present(const struct encode_level *level, const struct wire_row *row)
{
    if (!wire_is_field(row))
        return false;
    if (row->is_must)
        return true;
    if (row->kind == WIRE_LIST)
        return encode_count(level, row) > 0;
    return *(const bool *)(level->base + row->beside);
}

static void encode_begin(struct encode_run *run, const struct wire_owner *owner, const char *base)
{
    CAS_ASSERT(run->depth < WIRE_LEVELS);
    struct encode_level *level = &run->levels[run->depth++];
    *level = (struct encode_level){.owner = owner, .base = base};

    size_t present_n = 0;
    for (size_t tag = 1; tag < owner->row_n; tag++)
        present_n += encode_is_present(level, &owner->rows[tag]);
    (void)msgpack_pack_map(&run->packer, present_n);
}

static void encode_slice(struct encode_run *run, enum wire_kind kind, struct cas_slice slice)
{
    if (kind == WIRE_BYTES)
        (void)msgpack_pack_bin(&run->packer, slice.size);
    else
        (void)msgpack_pack_str(&run->packer, slice.size);
    (void)encode_write(&run->sink, slice.data, slice.size);
}

static void encode_value(struct encode_run *run, const struct wire_row *row, const void *value)
{
    msgpack_packer *packer = &run->packer;
    switch (row->kind) {
    case WIRE_U64:
        (void)msgpack_pack_uint64(packer, *(const uint64_t *)value);
        return;
    case WIRE_I64:
        (void)msgpack_pack_int64(packer, *(const int64_t *)value);
        return;
    case WIRE_F64:
        (void)msgpack_pack_double(packer, *(const double *)value);
        return;
    case WIRE_FLAG:
        if (*(const bool *)value)
            (void)msgpack_pack_true(packer);
        else
            (void)msgpack_pack_false(packer);
        return;
    case WIRE_NAME:
    case WIRE_TEXT:
    case WIRE_BYTES:
        encode_slice(run, row->kind, *(const struct cas_slice *)value);
        return;
    case WIRE_ID:
    case WIRE_KEY:
    case WIRE_SIGN:
        encode_slice(run, WIRE_BYTES, (struct cas_slice){value, wire_kind_bytes(row->kind)});
        return;
    case WIRE_LIST:
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
    CAS_ASSERT(false); /* a row that is no value */
}

/* Checks and writes the row reached; a list's records follow, one a turn of the loop. */
static enum cas_err encode_row(struct encode_run *run, struct encode_level *level)
{
    const struct wire_row *row = &level->owner->rows[level->tag];
    if (!encode_is_present(level, row))
        return CAS_OK;

    bool is_list = row->kind == WIRE_LIST;
    const void *value = level->base + row->offset;
    enum cas_err err =
        wire_check(row, is_list ? level->base + row->beside : value, &run->path, run->why);
    if (err != CAS_OK)
        return err;

    (void)msgpack_pack_uint8(&run->packer, (uint8_t)level->tag);
    if (!is_list) {
        encode_value(run, row, value);
        return CAS_OK;
    }
    level->item_owner = wire_record(row->record);
    memcpy(&level->items, value, sizeof level->items);
    level->item_n = encode_count(level, row);
    level->item_at = 0;
    CAS_ASSERT(level->items != NULL || level->item_n == 0);
    (void)msgpack_pack_array(&run->packer, level->item_n);
    return CAS_OK;
}

static enum cas_err
encode_all(struct encode_run *run, const struct wire_owner *owner, const char *base)
{
    run->path.owner = owner;
    encode_begin(run, owner, base);
    while (run->depth > 0 && !run->sink.is_full) {
        struct encode_level *level = &run->levels[run->depth - 1];
        run->path.depth = run->depth - 1;
        if (level->item_at < level->item_n) {
            run->path.step[run->depth - 1].list = &level->owner->rows[level->tag];
            run->path.step[run->depth - 1].index = level->item_at;
            const char *item = level->items + level->item_at * level->item_owner->bytes;
            level->item_at++;
            encode_begin(run, level->item_owner, item);
        } else if (++level->tag < level->owner->row_n) {
            enum cas_err err = encode_row(run, level);
            if (err != CAS_OK)
                return err;
        } else {
            run->depth--;
        }
    }
    return CAS_OK;
}

static void encode_open(struct encode_run *run, uint8_t *bytes, size_t cap, struct cas_why *why)
{
    run->sink = (struct encode_sink){
        .data = bytes,
        .cap = cap < WIRE_FRAME_BYTES ? cap : WIRE_FRAME_BYTES,
    };
    run->why = why;
    msgpack_packer_init(&run->packer, &run->sink, encode_write);
}

static enum cas_err
encode_close(const struct encode_run *run, const struct wire_owner *owner, size_t *ret_size)
{
    if (run->sink.is_full) {
        return cas_fail(run->why,
                        CAS_ERR_TOO_LONG,
                        "%s: more than %zu bytes",
                        owner->name,
                        run->sink.cap);
    }
    *ret_size = run->sink.used;
    return CAS_OK;
}

enum cas_err message_encode(const struct message *message,
                            uint8_t *ret_frame,
                            size_t cap,
                            size_t *ret_size,
                            struct cas_why *why)
{
    const struct wire_owner *owner = wire_message((uint64_t)message->type);
    if (owner == NULL)
        return cas_fail(why, CAS_ERR_VERSION, "frame: message type %d", (int)message->type);

    struct encode_run run = {.depth = 0};
    encode_open(&run, ret_frame, cap, why);
    (void)msgpack_pack_array(&run.packer, 3);
    (void)msgpack_pack_uint8(&run.packer, WIRE_VERSION);
    (void)msgpack_pack_uint8(&run.packer, (uint8_t)message->type);
    enum cas_err err = encode_all(&run, owner, (const char *)&message->as);
    if (err != CAS_OK)
        return err;
    return encode_close(&run, owner, ret_size);
}

enum cas_err record_encode(enum record_type type,
                           const void *record,
                           uint8_t *ret_bytes,
                           size_t cap,
                           size_t *ret_size,
                           struct cas_why *why)
{
    const struct wire_owner *owner = wire_record(type);
    CAS_ASSERT(owner != NULL);

    struct encode_run run = {.depth = 0};
    encode_open(&run, ret_bytes, cap, why);
    enum cas_err err = encode_all(&run, owner, record);
    if (err != CAS_OK)
        return err;
    return encode_close(&run, owner, ret_size);
}
