#include "proto/wire/message.h"

#include <inttypes.h>
#include <string.h>

#include <msgpack.h>

#include "proto/wire/message_rows.h"

/* A message or record half read: the pair reached, and the items of a list half read. */
struct decode_level {
    const struct wire_owner *owner;
    char *base;
    const msgpack_object_map *map;
    size_t pair_at;
    uint64_t seen[WIRE_TAG_MOST / 64 + 1]; /* a bit for each tag */
    const struct wire_owner *item_owner;
    const msgpack_object *item_objects;
    char *items;
    size_t item_n;
    size_t item_at;
};

struct decode_run {
    struct cas_arena *arena;
    struct cas_why *why;
    struct wire_path path;
    size_t depth;
    struct decode_level levels[WIRE_LEVELS];
};

/* Any record, with the alignment of the strictest. */
union decode_block {
    max_align_t align;
    char bytes[WIRE_OWNER_BYTES];
};

static const char *decode_kind_words(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return "nil";
    case MSGPACK_OBJECT_BOOLEAN:
        return "a flag";
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return "an integer";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return "a float";
    case MSGPACK_OBJECT_STR:
        return "text";
    case MSGPACK_OBJECT_ARRAY:
        return "a list";
    case MSGPACK_OBJECT_MAP:
        return "a record";
    case MSGPACK_OBJECT_BIN:
        return "bytes";
    case MSGPACK_OBJECT_EXT:
        return "an ext type";
    }
    return "something unknown";
}

static enum cas_err
decode_wrong(struct decode_run *run, const struct wire_row *row, const msgpack_object *object)
{
    return wire_fail(&run->path,
                     row,
                     run->why,
                     CAS_ERR_FORMAT,
                     "%s where %s belongs",
                     decode_kind_words(object),
                     wire_kind_name(row->kind));
}

static enum cas_err decode_u64(struct decode_run *run,
                               const struct wire_row *row,
                               const msgpack_object *object,
                               void *value)
{
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        return wire_fail(&run->path,
                         row,
                         run->why,
                         CAS_ERR_RANGE,
                         "%" PRId64 " is below %" PRId64,
                         object->via.i64,
                         row->least);
    }
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return decode_wrong(run, row, object);
    *(uint64_t *)value = object->via.u64;
    return CAS_OK;
}

static enum cas_err decode_i64(struct decode_run *run,
                               const struct wire_row *row,
                               const msgpack_object *object,
                               void *value)
{
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *(int64_t *)value = object->via.i64;
        return CAS_OK;
    }
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return decode_wrong(run, row, object);
    if (object->via.u64 > INT64_MAX) {
        return wire_fail(&run->path,
                         row,
                         run->why,
                         CAS_ERR_RANGE,
                         "%" PRIu64 " is above %" PRId64,
                         object->via.u64,
                         row->most);
    }
    *(int64_t *)value = (int64_t)object->via.u64;
    return CAS_OK;
}

/* Integers are welcome as floats as far as a double holds them exactly. */
static enum cas_err decode_f64(struct decode_run *run,
                               const struct wire_row *row,
                               const msgpack_object *object,
                               void *value)
{
    switch (object->type) {
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        *(double *)value = object->via.f64;
        return CAS_OK;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (object->via.u64 > WIRE_INT_MOST)
            return wire_fail(&run->path, row, run->why, CAS_ERR_RANGE, "integer above 2^53");
        *(double *)value = (double)object->via.u64;
        return CAS_OK;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        if (object->via.i64 < -WIRE_INT_MOST)
            return wire_fail(&run->path, row, run->why, CAS_ERR_RANGE, "integer below -2^53");
        *(double *)value = (double)object->via.i64;
        return CAS_OK;
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_BOOLEAN:
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_ARRAY:
    case MSGPACK_OBJECT_MAP:
    case MSGPACK_OBJECT_BIN:
    case MSGPACK_OBJECT_EXT:
        break;
    }
    return decode_wrong(run, row, object);
}

/* ID, KEY and SIGN: copied, so that they outlive the frame with their message. */
static enum cas_err decode_array(struct decode_run *run,
                                 const struct wire_row *row,
                                 const msgpack_object *object,
                                 void *value)
{
    if (object->type != MSGPACK_OBJECT_BIN)
        return decode_wrong(run, row, object);
    size_t bytes = wire_kind_bytes(row->kind);
    if (object->via.bin.size != bytes) {
        return wire_fail(&run->path,
                         row,
                         run->why,
                         CAS_ERR_FORMAT,
                         "%" PRIu32 " bytes, exactly %zu",
                         object->via.bin.size,
                         bytes);
    }
    memcpy(value, object->via.bin.ptr, bytes);
    return CAS_OK;
}

static enum cas_err decode_value(struct decode_run *run,
                                 const struct wire_row *row,
                                 const msgpack_object *object,
                                 void *value)
{
    struct cas_slice *slice = value;
    switch (row->kind) {
    case WIRE_U64:
        return decode_u64(run, row, object, value);
    case WIRE_I64:
        return decode_i64(run, row, object, value);
    case WIRE_F64:
        return decode_f64(run, row, object, value);
    case WIRE_FLAG:
        if (object->type != MSGPACK_OBJECT_BOOLEAN)
            return decode_wrong(run, row, object);
        *(bool *)value = object->via.boolean;
        return CAS_OK;
    case WIRE_NAME:
    case WIRE_TEXT:
        if (object->type != MSGPACK_OBJECT_STR)
            return decode_wrong(run, row, object);
        *slice = (struct cas_slice){object->via.str.ptr, object->via.str.size};
        return CAS_OK;
    case WIRE_BYTES:
        if (object->type != MSGPACK_OBJECT_BIN)
            return decode_wrong(run, row, object);
        *slice = (struct cas_slice){object->via.bin.ptr, object->via.bin.size};
        return CAS_OK;
    case WIRE_ID:
    case WIRE_KEY:
    case WIRE_SIGN:
        return decode_array(run, row, object, value);
    case WIRE_LIST:
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
    CAS_ASSERT(false); /* a row that is no value */
    return CAS_ERR_BUG;
}

static enum cas_err decode_begin(struct decode_run *run,
                                 const struct wire_owner *owner,
                                 const msgpack_object *object,
                                 char *base)
{
    CAS_ASSERT(run->depth < WIRE_LEVELS);
    run->path.depth = run->depth;
    if (object->type != MSGPACK_OBJECT_MAP) {
        return wire_fail(&run->path,
                         NULL,
                         run->why,
                         CAS_ERR_FORMAT,
                         "%s where a record belongs",
                         decode_kind_words(object));
    }
    run->levels[run->depth++] =
        (struct decode_level){.owner = owner, .base = base, .map = &object->via.map};
    return CAS_OK;
}

/* Takes room for the records of a list; they are read one a turn of the loop. */
static enum cas_err decode_list(struct decode_run *run,
                                struct decode_level *level,
                                const struct wire_row *row,
                                const msgpack_object *object)
{
    if (object->type != MSGPACK_OBJECT_ARRAY)
        return decode_wrong(run, row, object);
    size_t count = object->via.array.size;
    enum cas_err err = wire_check(row, &count, &run->path, run->why);
    if (err != CAS_OK || count == 0)
        return err;

    const struct wire_owner *owner = wire_record(row->record);
    char *items = cas_arena_take(run->arena, count, owner->bytes);
    if (items == NULL) {
        return wire_fail(&run->path,
                         row,
                         run->why,
                         CAS_ERR_NOMEM,
                         "no room for %zu records",
                         count);
    }
    memcpy(level->base + row->offset, &items, sizeof items);
    memcpy(level->base + row->beside, &count, sizeof count);
    level->item_owner = owner;
    level->item_objects = object->via.array.ptr;
    level->items = items;
    level->item_n = count;
    level->item_at = 0;
    run->path.step[run->depth - 1].list = row;
    return CAS_OK;
}

/* One tag and its value. Tags of a later version are skipped: their bytes were scanned already. */
static enum cas_err decode_pair(struct decode_run *run, struct decode_level *level)
{
    const msgpack_object_kv *pair = &level->map->ptr[level->pair_at++];
    if (pair->key.type != MSGPACK_OBJECT_POSITIVE_INTEGER || pair->key.via.u64 == 0 ||
        pair->key.via.u64 > WIRE_TAG_MOST) {
        return wire_fail(&run->path,
                         NULL,
                         run->why,
                         CAS_ERR_FORMAT,
                         "a key that is not a tag from 1 to %d",
                         WIRE_TAG_MOST);
    }
    size_t tag = (size_t)pair->key.via.u64;
    const struct wire_row *row = tag < level->owner->row_n ? &level->owner->rows[tag] : NULL;
    uint64_t bit = UINT64_C(1) << (tag % 64);
    if ((level->seen[tag / 64] & bit) != 0)
        return wire_fail(&run->path, NULL, run->why, CAS_ERR_FORMAT, "tag %zu stands twice", tag);
    level->seen[tag / 64] |= bit;
    if (row == NULL || !wire_is_field(row))
        return CAS_OK;
    if (row->kind == WIRE_LIST)
        return decode_list(run, level, row, &pair->val);

    void *value = level->base + row->offset;
    enum cas_err err = decode_value(run, row, &pair->val, value);
    if (err != CAS_OK)
        return err;
    if (!row->is_must)
        *(bool *)(level->base + row->beside) = true;
    return wire_check(row, value, &run->path, run->why);
}

static enum cas_err decode_end(struct decode_run *run, const struct decode_level *level)
{
    for (size_t tag = 1; tag < level->owner->row_n; tag++) {
        const struct wire_row *row = &level->owner->rows[tag];
        bool is_seen = (level->seen[tag / 64] >> (tag % 64) & 1) != 0;
        if (row->is_must && !is_seen)
            return wire_fail(&run->path, row, run->why, CAS_ERR_MISSING, "missing, tag %zu", tag);
    }
    run->depth--;
    return CAS_OK;
}

static enum cas_err decode_all(struct decode_run *run, const msgpack_object *object, char *base)
{
    enum cas_err err = decode_begin(run, run->path.owner, object, base);
    while (err == CAS_OK && run->depth > 0) {
        struct decode_level *level = &run->levels[run->depth - 1];
        run->path.depth = run->depth - 1;
        if (level->item_at < level->item_n) {
            size_t at = level->item_at++;
            run->path.step[run->depth - 1].index = at;
            err = decode_begin(run,
                               level->item_owner,
                               &level->item_objects[at],
                               level->items + at * level->item_owner->bytes);
        } else if (level->pair_at < level->map->size) {
            err = decode_pair(run, level);
        } else {
            err = decode_end(run, level);
        }
    }
    return err;
}

/* One block for all of msgpack-c's objects: scanned before, they are known to fit. */
static enum cas_err decode_unpack(struct cas_slice bytes,
                                  size_t object_n,
                                  msgpack_zone *zone,
                                  msgpack_object *ret_object,
                                  struct cas_why *why)
{
    if (!msgpack_zone_init(zone, object_n * sizeof(msgpack_object)))
        return cas_fail(why, CAS_ERR_NOMEM, "frame: no memory for %zu values", object_n);

    size_t offset = 0;
    msgpack_unpack_return got = msgpack_unpack(bytes.data, bytes.size, &offset, zone, ret_object);
    if (got == MSGPACK_UNPACK_SUCCESS && offset == bytes.size)
        return CAS_OK;
    msgpack_zone_destroy(zone);
    if (got == MSGPACK_UNPACK_NOMEM_ERROR)
        return cas_fail(why, CAS_ERR_NOMEM, "frame: no memory for %zu values", object_n);
    return cas_fail(why, CAS_ERR_FORMAT, "frame: not msgpack");
}

/* The array around a message's fields: its version, its type, nothing after them. */
static enum cas_err
decode_shell(const msgpack_object *object, enum message_type *ret_type, struct cas_why *why)
{
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 1)
        return cas_fail(why, CAS_ERR_FORMAT, "frame: not an array of version, type and fields");
    const msgpack_object *part = object->via.array.ptr;
    if (part[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "frame: %s where the version belongs",
                        decode_kind_words(&part[0]));
    if (part[0].via.u64 != WIRE_VERSION) {
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "frame: version %" PRIu64 ", this program speaks %d",
                        part[0].via.u64,
                        WIRE_VERSION);
    }
    if (object->via.array.size != 3) {
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "frame: an array of %" PRIu32 ", exactly 3",
                        object->via.array.size);
    }
    if (part[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "frame: %s where the type belongs",
                        decode_kind_words(&part[1]));
    if (wire_message(part[1].via.u64) == NULL) {
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "frame: message type %" PRIu64 " is not known",
                        part[1].via.u64);
    }
    *ret_type = (enum message_type)part[1].via.u64;
    return CAS_OK;
}

enum cas_err message_decode(struct cas_slice frame,
                            struct cas_arena *arena,
                            struct message *ret_message,
                            struct cas_why *why)
{
    size_t object_n = 0;
    enum cas_err err = wire_scan(frame, "frame", &object_n, why);
    if (err != CAS_OK)
        return err;

    msgpack_zone zone;
    msgpack_object object;
    err = decode_unpack(frame, object_n, &zone, &object, why);
    if (err != CAS_OK)
        return err;

    struct message message = {.type = MESSAGE_NONE};
    err = decode_shell(&object, &message.type, why);
    if (err == CAS_OK) {
        memset(&message.as, 0, sizeof message.as);
        struct decode_run run = {.arena = arena, .why = why};
        run.path.owner = wire_message((uint64_t)message.type);
        err = decode_all(&run, &object.via.array.ptr[2], (char *)&message.as);
    }
    msgpack_zone_destroy(&zone);
    if (err == CAS_OK)
        *ret_message = message;
    return err;
}

enum cas_err record_decode(enum record_type type,
                           struct cas_slice bytes,
                           struct cas_arena *arena,
                           void *ret_record,
                           struct cas_why *why)
{
    const struct wire_owner *owner = wire_record(type);
    CAS_ASSERT(owner != NULL);
    size_t object_n = 0;
    enum cas_err err = wire_scan(bytes, owner->name, &object_n, why);
    if (err != CAS_OK)
        return err;

    msgpack_zone zone;
    msgpack_object object;
    err = decode_unpack(bytes, object_n, &zone, &object, why);
    if (err != CAS_OK)
        return err;

    union decode_block block;
    memset(&block, 0, owner->bytes);
    struct decode_run run = {.arena = arena, .why = why};
    run.path.owner = owner;
    err = decode_all(&run, &object, block.bytes);
    msgpack_zone_destroy(&zone);
    if (err == CAS_OK)
        memcpy(ret_record, block.bytes, owner->bytes);
    return err;
}
