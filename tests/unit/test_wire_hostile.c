/* The wire's promises about bytes: whatever arrives costs little, never crashes, and is refused
 * with a reason or is a message like any other. */
#include "proto/wire/message.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/test_heap.h"
#include "tests/unit/test_wire_raw.h"

enum {
    HOSTILE_HEAP_BYTES = 65536, /* what any frame may cost */
    MUTATE_WHOLE_BYTES = 1200   /* golden frames up to here are mutated at every byte */
};

static struct raw raw;

static enum cas_err scan(struct cas_why *why)
{
    /* Exactly so many bytes, so that the sanitizer sees a read past their end. */
    uint8_t *exact = malloc(raw.size > 0 ? raw.size : 1);
    EXPECT_NOT_NULL(exact);
    memcpy(exact, raw.data, raw.size);
    enum cas_err err = message_scan((struct cas_slice){(char *)exact, raw.size}, why);
    free(exact);
    return err;
}

/* Decodes what is in raw as a message and as every record; none may cost more than the bound. */
static void expect_cheap(struct cas_arena *arena)
{
    struct message message;
    union raw_record record;
    for (size_t type = 0; type < wire_record_end(); type++) {
        struct cas_why why = {{0}};
        cas_arena_clear(arena);
        test_heap_watch();
        enum cas_err err =
            type == 0
                ? message_decode(raw_slice(&raw), arena, &message, &why)
                : record_decode((enum record_type)type, raw_slice(&raw), arena, &record, &why);
        struct test_heap heap = test_heap_seen();
        EXPECT_TRUE(heap.most_bytes + cas_arena_used(arena) <= HOSTILE_HEAP_BYTES);
        EXPECT_TRUE(heap.piece_n <= 1);
        EXPECT_TRUE(heap.piece_n == 1 || err != CAS_OK);
        EXPECT_UINT_EQ(0, heap.left_bytes);
        EXPECT_TRUE((err == CAS_OK) == (why.text[0] == '\0'));
    }
}

static void expect_refused_free(enum cas_err expected, const char *reason)
{
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &arena), NULL);
    struct message message = {.type = MESSAGE_NONE};
    struct cas_why why = {{0}};
    test_heap_watch();
    enum cas_err err = message_decode(raw_slice(&raw), arena, &message, &why);
    struct test_heap heap = test_heap_seen();
    EXPECT_ERR(expected, err);
    EXPECT_UINT_EQ(0, heap.piece_n);
    EXPECT_UINT_EQ(0, cas_arena_used(arena));
    EXPECT_TEXT_HAS(reason, why.text);
    EXPECT_INT_EQ(MESSAGE_NONE, message.type);
}

static void raw_from(const void *bytes, size_t size)
{
    raw.size = 0;
    raw_put(&raw, bytes, size);
}

/* Why: the tests below mean nothing when the watch sees nothing. */
TEST(wire, the_watch_sees_what_is_taken_and_given_back)
{
    test_heap_watch();
    char *volatile kept = malloc(1000);
    char *volatile given = calloc(30, 100);
    free(given);
    struct test_heap heap = test_heap_seen();
    EXPECT_NOT_NULL(kept);
    free(kept);
    EXPECT_UINT_EQ(2, heap.piece_n);
    EXPECT_UINT_EQ(3000, heap.biggest_bytes);
    EXPECT_TRUE(heap.most_bytes >= 4000);
    EXPECT_TRUE(heap.left_bytes >= 1000);
    EXPECT_TRUE(heap.left_bytes < 1100);
}

/* Why: five bytes once made msgpack-c ask for gigabytes (W14). How: each of the frames named there;
 * refused without one allocation. */
TEST(wire, frames_that_lie_about_size_cost_nothing)
{
    raw_from("\xdd\x10\x00\x00\x00", 5);
    expect_refused_free(CAS_ERR_FORMAT,
                        "frame: byte 0 announces 268435456 values, 0 bytes are left");
    raw_from("\xdf\x10\x00\x00\x00", 5);
    expect_refused_free(CAS_ERR_FORMAT, "announces 536870912 values");
    raw_from("\xdf\xff\xff\xff\xff", 5);
    expect_refused_free(CAS_ERR_FORMAT, "announces 8589934590 values");
    raw_from("\xdb\x10\x00\x00\x00", 5);
    expect_refused_free(CAS_ERR_FORMAT, "announces 268435456 bytes, 0 are left");
    raw_from("\xc6\xff\xff\xff\xff", 5);
    expect_refused_free(CAS_ERR_FORMAT, "announces 4294967295 bytes");

    raw_from("\x92\xa2\x41", 3);
    expect_refused_free(CAS_ERR_FORMAT, "frame: byte 1 announces 2 bytes, 1 are left");

    raw.size = 0;
    for (size_t at = 0; at < 33; at++)
        raw_byte(&raw, 0x91);
    raw_byte(&raw, 0x01);
    expect_refused_free(CAS_ERR_FORMAT, "frame: nested deeper than 6 at byte 6");
    raw.size = 0;
    for (size_t at = 0; at < WIRE_FRAME_BYTES; at++)
        raw_byte(&raw, 0x91);
    expect_refused_free(CAS_ERR_FORMAT, "nested deeper than 6");
    raw.size = 0;
    for (size_t at = 0; at < 28; at++) {
        raw_byte(&raw, 0xdd);
        raw_number(&raw, 1 << 28, 4);
    }
    expect_refused_free(CAS_ERR_FORMAT, "announces 268435456 values");
}

/* Why: 65,536 bytes are a frame, 65,537 and none are not (W15). How: the largest ASK fills a frame.
 */
TEST(wire, a_frame_has_at_most_65536_bytes_and_at_least_one)
{
    raw.size = 0;
    expect_refused_free(CAS_ERR_FORMAT, "frame: 0 bytes, nothing to read");

    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(GOLDEN_ARENA_BYTES, &arena), NULL);
    size_t size = 0;
    struct cas_why why = {{0}};
    EXPECT_OK(message_golden(MESSAGE_ask, 1, arena, raw.data, &size, &why), &why);
    EXPECT_UINT_EQ(WIRE_FRAME_BYTES, size);
    raw.size = size;
    struct message message;
    EXPECT_OK(message_decode(raw_slice(&raw), arena, &message, &why), &why);
    raw_byte(&raw, 0x00);
    expect_refused_free(CAS_ERR_TOO_LONG, "frame: 65537 bytes, at most 65536");
}

/* Why: one message a frame: what follows it would be read by nobody, or by somebody. */
TEST(wire, nothing_follows_a_message)
{
    raw.size = 0;
    raw_message(&raw, MESSAGE_revoke, (struct raw_change){.act = RAW_KEEP});
    size_t size = raw.size;
    struct cas_why why = {{0}};
    EXPECT_OK(scan(&why), &why);
    raw_byte(&raw, 0xc0);
    expect_refused_free(CAS_ERR_FORMAT, "1 more follow");
    raw.size = size;
    raw_put(&raw, raw.data, size);
    expect_refused_free(CAS_ERR_FORMAT, "more follow");
}

/* Why: the scan decides what msgpack-c gets to see. How: each lead byte, with just enough behind
 * it, one byte too few, and one too many. */
TEST(wire, each_lead_byte_is_scanned_by_the_specification)
{
    /* What each of 0xc0..0xdf needs behind it when all of it is zero; -1: refused. */
    static const int behind[32] = {0, -1, 0, 0, 1,  2,  4,  -1, -1, -1, 4, 8, 1, 2, 4, 8,
                                   1, 2,  4, 8, -1, -1, -1, -1, -1, 1,  2, 4, 2, 4, 2, 4};
    for (unsigned lead = 0; lead < 256; lead++) {
        int needed = 0;
        if (lead >= 0xc0 && lead < 0xe0)
            needed = behind[lead - 0xc0];
        else if (lead >= 0x80 && lead < 0x90)
            needed = 2 * (int)(lead & 0x0f);
        else if (lead >= 0x90 && lead < 0xa0)
            needed = (int)(lead & 0x0f);
        else if (lead >= 0xa0 && lead < 0xc0)
            needed = (int)(lead & 0x1f);
        for (int given = 0; given <= needed + 1 || given == 0; given++) {
            raw.size = 0;
            raw_byte(&raw, lead);
            for (int at = 0; at < given; at++)
                raw_byte(&raw, 0x00);
            struct cas_why why = {{0}};
            enum cas_err err = scan(&why);
            EXPECT_INT_EQ(given == needed ? CAS_OK : CAS_ERR_FORMAT, err);
        }
    }
}

/* Why: depth and number of values bound the memory. How: on the limit and one beyond. */
TEST(wire, depth_and_values_are_limited_at_the_edge)
{
    for (size_t depth = 1; depth <= WIRE_DEPTH + 1; depth++) {
        for (size_t kind = 0; kind < 2; kind++) { /* the innermost empty, or with a value */
            raw.size = 0;
            for (size_t at = 1; at < depth; at++)
                raw_byte(&raw, 0x91);
            raw_byte(&raw, kind == 0 ? 0x90 : 0x91);
            if (kind == 1)
                raw_byte(&raw, 0x01);
            EXPECT_INT_EQ(depth <= WIRE_DEPTH ? CAS_OK : CAS_ERR_FORMAT, scan(NULL));
        }
    }
    for (size_t more = 0; more < 2; more++) {
        raw.size = 0; /* two lists in one: 1 + 2 + the rest */
        raw_array(&raw, 2);
        raw_array(&raw, 600);
        for (size_t at = 0; at < 600; at++)
            raw_byte(&raw, 0xc0);
        raw_array(&raw, WIRE_OBJECTS - 603 + more);
        for (size_t at = 0; at < WIRE_OBJECTS - 603 + more; at++)
            raw_byte(&raw, 0xc0);
        struct cas_why why = {{0}};
        EXPECT_INT_EQ(more == 0 ? CAS_OK : CAS_ERR_TOO_MANY, scan(&why));
        if (more == 1)
            EXPECT_TEXT_HAS("frame: 1201 values up to byte 606, at most 1200", why.text);
    }
}

/* Why: "a hostile frame of any bytes costs at most 64 KiB". How: the frames with the most values
 * inside the limits, shaped as lists, maps and both; then dice. */
TEST(wire, any_frame_costs_at_most_64_kib)
{
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &arena), NULL);
    raw.size = 0;
    raw_array(&raw, WIRE_OBJECTS - 1);
    for (size_t at = 0; at < WIRE_OBJECTS - 1; at++)
        raw_byte(&raw, 0x90);
    expect_cheap(arena);
    raw.size = 0;
    raw_map(&raw, (WIRE_OBJECTS - 1) / 2);
    for (size_t at = 0; at < (WIRE_OBJECTS - 1) / 2 * 2; at++)
        raw_byte(&raw, 0x80);
    expect_cheap(arena);
    raw.size = 0; /* the longest list of the largest record, each record empty */
    raw_map(&raw, 1);
    raw_byte(&raw, 2);
    raw_array(&raw, WIRE_OBJECTS - 4);
    for (size_t at = 0; at < WIRE_OBJECTS - 4; at++)
        raw_byte(&raw, 0x80);
    expect_cheap(arena);

    struct test_dice dice = {.state = 64};
    for (size_t round = 0; round < 3000; round++) {
        size_t size = 1 + (size_t)test_below(&dice, 400);
        raw.size = 0;
        for (size_t at = 0; at < size; at++) {
            static const uint8_t likely[] = {0x93, 0x01, 0x81, 0x91, 0x80, 0xdc, 0x00, 0xc4, 0xa1};
            raw_byte(&raw,
                     test_below(&dice, 3) == 0 ? (unsigned)test_below(&dice, 256)
                                               : likely[test_below(&dice, CAS_COUNT(likely))]);
        }
        expect_cheap(arena);
    }
}

/* Why: an honest frame is bounded like a hostile one. How: the largest of each message. */
TEST(wire, the_largest_frames_cost_at_most_64_kib)
{
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(GOLDEN_ARENA_BYTES, &arena), NULL);
    CAS_AUTO(cas_arena) small = NULL;
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &small), NULL);
    for (size_t number = 1; number < wire_message_end(); number++) {
        if (wire_message(number) == NULL)
            continue;
        cas_arena_clear(arena);
        size_t size = 0;
        enum message_type type = (enum message_type)number;
        EXPECT_OK(message_golden(type, 1, arena, raw.data, &size, NULL), NULL);
        raw.size = size;
        expect_cheap(small);
    }
}

/* Why: versions will differ in a farm (W20); state must not change on what is not understood. */
TEST(wire, other_versions_and_types_are_refused_as_such)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum cas_err err;
        const char *reason;
    } rows[] = {
        {"\x93\x02\x0a\x80", 4, CAS_ERR_VERSION, "frame: version 2, this program speaks 1"},
        {"\x94\x02\x0a\x80\x80", 5, CAS_ERR_VERSION, "frame: version 2"},
        {"\x91\x00", 2, CAS_ERR_VERSION, "frame: version 0"},
        {"\x93\x01\x63\x80", 4, CAS_ERR_VERSION, "frame: message type 99 is not known"},
        {"\x93\x01\x00\x80", 4, CAS_ERR_VERSION, "frame: message type 0 is not known"},
        {"\x93\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x80", 12, CAS_ERR_VERSION, "is not known"},
        {"\x94\x01\x05\x80\x80", 5, CAS_ERR_FORMAT, "frame: an array of 4, exactly 3"},
        {"\x92\x01\x05", 3, CAS_ERR_FORMAT, "frame: an array of 2, exactly 3"},
        {"\x90", 1, CAS_ERR_FORMAT, "frame: not an array of version, type and fields"},
        {"\x80", 1, CAS_ERR_FORMAT, "frame: not an array"},
        {"\x01", 1, CAS_ERR_FORMAT, "frame: not an array"},
        {"\x93\xa1\x31\x05\x80", 5, CAS_ERR_FORMAT, "frame: text where the version belongs"},
        {"\x93\x01\xff\x80", 4, CAS_ERR_FORMAT, "frame: an integer where the type belongs"},
        {"\x93\x01\x05\x90", 4, CAS_ERR_FORMAT, "ack: a list where a record belongs"},
        {"\x93\x01\x05\x81\xa1\x31\x01", 7, CAS_ERR_FORMAT, "ack: a key that is not a tag"},
        {"\x93\x01\x05\x81\xff\x01", 6, CAS_ERR_FORMAT, "ack: a key that is not a tag"},
    };
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(1024, &arena), NULL);
    for (size_t at = 0; at < CAS_COUNT(rows); at++) {
        struct cas_slice bytes = {rows[at].bytes, rows[at].size};
        struct message message = {.type = MESSAGE_NONE};
        struct cas_why why = {{0}};
        EXPECT_ERR(rows[at].err, message_decode(bytes, arena, &message, &why));
        EXPECT_TEXT_HAS(rows[at].reason, why.text);
        EXPECT_INT_EQ(MESSAGE_NONE, message.type);
    }
}

/* What is in raw is refused with a reason, or is a message that encodes to one that is the same. */
static void expect_sane(struct cas_arena *arena, bool must_fail)
{
    static uint8_t once[WIRE_FRAME_BYTES];
    static uint8_t twice[WIRE_FRAME_BYTES];
    struct message message;
    struct cas_why why = {{0}};
    cas_arena_clear(arena);
    uint8_t *exact = malloc(raw.size > 0 ? raw.size : 1); /* a read past its end is seen */
    EXPECT_NOT_NULL(exact);
    memcpy(exact, raw.data, raw.size);
    struct cas_slice cut = {(char *)exact, raw.size};
    enum cas_err err = message_decode(cut, arena, &message, &why);
    size_t once_n = 0;
    enum cas_err err_again =
        err == CAS_OK ? message_encode(&message, once, sizeof once, &once_n, &why) : CAS_OK;
    free(exact);
    if (err != CAS_OK) {
        EXPECT_TRUE(why.text[0] != '\0');
        return;
    }
    EXPECT_FALSE(must_fail);
    EXPECT_OK(err_again, &why);
    size_t twice_n = 0;
    struct cas_slice bytes = {(char *)once, once_n};
    EXPECT_OK(message_decode(bytes, arena, &message, &why), &why);
    EXPECT_OK(message_encode(&message, twice, sizeof twice, &twice_n, &why), &why);
    EXPECT_UINT_EQ(once_n, twice_n);
    EXPECT_BYTES_EQ(once, twice, once_n);
}

static void mutate_at(struct cas_arena *arena, size_t at)
{
    static const uint8_t others[] =
        {0x00, 0x7f, 0x80, 0x91, 0xa1, 0xc0, 0xc1, 0xc4, 0xcf, 0xdd, 0xff};
    uint8_t kept = raw.data[at];
    for (size_t i = 0; i < 8 + CAS_COUNT(others); i++) {
        unsigned flipped = kept ^ (1u << (i % 8));
        raw.data[at] = (uint8_t)(i < 8 ? flipped : others[i - 8]);
        expect_sane(arena, false);
    }
    raw.data[at] = kept;
}

/* Why: bits flip, cables are pulled, peers lie. How: every golden frame with every byte changed in
 * many ways and cut at every place; large ones at places thrown by dice. */
TEST(wire, changed_and_cut_frames_are_refused_or_whole)
{
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(GOLDEN_ARENA_BYTES, &arena), NULL);
    struct test_dice dice = {.state = 7788};
    for (size_t at = 0; at < 2 * wire_message_end(); at++) {
        if (wire_message(at / 2) == NULL)
            continue;
        size_t size = 0;
        cas_arena_clear(arena);
        enum message_type type = (enum message_type)(at / 2);
        EXPECT_OK(message_golden(type, (int)(at % 2), arena, raw.data, &size, NULL), NULL);
        raw.size = size;
        bool is_whole = size <= MUTATE_WHOLE_BYTES;
        for (size_t turn = 0; turn < (is_whole ? size : 12); turn++)
            mutate_at(arena, is_whole ? turn : (size_t)test_below(&dice, size));
        for (size_t turn = 0; turn < (is_whole ? size : 12); turn++) {
            raw.size = is_whole ? turn : (size_t)test_below(&dice, size);
            expect_sane(arena, true);
        }
    }
}
