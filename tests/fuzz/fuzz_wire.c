/* Any bytes as a message, or by the first byte as one record: no crash, and what decodes encodes to
 * bytes that decode and encode to themselves. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/message.h"
#include "tests/fuzz/fuzz.h"

union any_record {
#define MESSAGE(name, number, direction, words)
#define RECORD(name, words) struct record_##name name;
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

static uint8_t once[WIRE_FRAME_BYTES];
static uint8_t twice[WIRE_FRAME_BYTES];

/* Our own encoding may be longer than what came (a float for an integer), never by more than this:
 * then the frame is too long to send, and that is all right. */
static bool is_too_long(enum cas_err err)
{
    return err == CAS_ERR_TOO_LONG;
}

static void check_message(struct cas_slice bytes, struct cas_arena *arena)
{
    struct message message;
    struct cas_why why = {{0}};
    if (message_decode(bytes, arena, &message, &why) != CAS_OK) {
        CAS_ASSERT(why.text[0] != '\0');
        return;
    }
    size_t once_n = 0;
    enum cas_err err = message_encode(&message, once, sizeof once, &once_n, &why);
    if (is_too_long(err))
        return;
    CAS_ASSERT(err == CAS_OK);
    err = message_decode((struct cas_slice){(const char *)once, once_n}, arena, &message, &why);
    CAS_ASSERT(err == CAS_OK);
    size_t twice_n = 0;
    err = message_encode(&message, twice, sizeof twice, &twice_n, &why);
    CAS_ASSERT(err == CAS_OK);
    CAS_ASSERT(once_n == twice_n);
    CAS_ASSERT(memcmp(once, twice, once_n) == 0);
}

static void check_record(enum record_type type, struct cas_slice bytes, struct cas_arena *arena)
{
    union any_record record;
    struct cas_why why = {{0}};
    if (record_decode(type, bytes, arena, &record, &why) != CAS_OK) {
        CAS_ASSERT(why.text[0] != '\0');
        return;
    }
    size_t once_n = 0;
    enum cas_err err = record_encode(type, &record, once, sizeof once, &once_n, &why);
    if (is_too_long(err))
        return;
    CAS_ASSERT(err == CAS_OK);
    struct cas_slice again = {(const char *)once, once_n};
    err = record_decode(type, again, arena, &record, &why);
    CAS_ASSERT(err == CAS_OK);
    size_t twice_n = 0;
    err = record_encode(type, &record, twice, sizeof twice, &twice_n, &why);
    CAS_ASSERT(err == CAS_OK);
    CAS_ASSERT(once_n == twice_n);
    CAS_ASSERT(memcmp(once, twice, once_n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static struct cas_arena *arena;
    if (arena == NULL && cas_arena_open(WIRE_ARENA_BYTES, &arena) != CAS_OK)
        abort();
    cas_arena_clear(arena);

    struct cas_slice bytes = {(const char *)data + 1, size - 1};
    enum record_type type = (enum record_type)data[0];
    if (record_name(type) != NULL)
        check_record(type, bytes, arena);
    else
        check_message(bytes, arena);
    return 0;
}
