/* The wire's promises about values: what goes in comes out, every limit holds at its edge, every
 * refusal says which field, which value, which limit. */
#include "proto/wire/message.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test_wire_raw.h"

enum {
    RANDOM_ROUNDS = 20000
};

static uint8_t frame[WIRE_FRAME_BYTES];
static uint8_t again[WIRE_FRAME_BYTES];

static struct cas_arena *arena_of(size_t bytes)
{
    struct cas_arena *arena = NULL;
    EXPECT_OK(cas_arena_open(bytes, &arena), NULL);
    return arena;
}

/* Least and most of a row, between, and what a human would call typical; never outside. */
static int64_t random_between(struct test_dice *dice, int64_t least, int64_t most)
{
    switch (test_below(dice, 4)) {
    case 0:
        return least;
    case 1:
        return most;
    case 2:
        return least +
               (int64_t)test_below(dice, (uint64_t)(most - least < 300 ? most - least + 1 : 300));
    default:
        return (int64_t)((uint64_t)least + test_below(dice, (uint64_t)most - (uint64_t)least + 1));
    }
}

static struct cas_slice
random_slice(struct test_dice *dice, struct cas_arena *arena, const struct wire_row *row)
{
    /* "é€" in UTF-8 and letters for texts, which may not be cut inside a letter. */
    static const char *const pieces[] = {"a", "Z", "-", "\xc3\xa9", "\xe2\x82\xac", "0", " "};
    size_t most = row->most < 600 ? (size_t)row->most : 600;
    size_t size = (size_t)random_between(dice, row->least, (int64_t)most);
    char *data = cas_arena_take(arena, size + 4, 1);
    EXPECT_NOT_NULL(data);
    size_t used = 0;
    while (used < size) {
        if (row->kind == WIRE_BYTES) {
            data[used++] = (char)(uint8_t)test_below(dice, 256);
            continue;
        }
        size_t kinds = row->kind == WIRE_NAME ? (used == 0 ? 2 : 3) : CAS_COUNT(pieces);
        const char *piece = pieces[test_below(dice, kinds)];
        if (used + strlen(piece) > size)
            piece = "b";
        memcpy(data + used, piece, strlen(piece));
        used += strlen(piece);
    }
    return (struct cas_slice){data, size};
}

static double random_double(struct test_dice *dice)
{
    static const double edges[] = {0.0, -0.0, 1.0, -1.5, 1e308, -1e308, 5e-324, 9007199254740993.0};
    if (test_below(dice, 2) == 0)
        return edges[test_below(dice, CAS_COUNT(edges))];
    return (double)(int64_t)test_throw(dice) / 1000.0;
}

static void random_value(struct test_dice *dice,
                         struct cas_arena *arena,
                         const struct wire_row *row,
                         void *value)
{
    switch (row->kind) {
    case WIRE_U64:
    case WIRE_I64: {
        int64_t number = random_between(dice, row->least, row->most);
        memcpy(value, &number, sizeof number);
        return;
    }
    case WIRE_F64:
        *(double *)value = random_double(dice);
        return;
    case WIRE_FLAG:
        *(bool *)value = test_below(dice, 2) == 1;
        return;
    case WIRE_NAME:
    case WIRE_TEXT:
    case WIRE_BYTES:
        *(struct cas_slice *)value = random_slice(dice, arena, row);
        return;
    case WIRE_ID:
    case WIRE_KEY:
    case WIRE_SIGN:
        for (size_t at = 0; at < wire_kind_bytes(row->kind); at++)
            ((uint8_t *)value)[at] = (uint8_t)test_below(dice, 256);
        return;
    case WIRE_LIST:
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
    CAS_ASSERT(false);
}

/* All rows but lists; each MAY field with one chance in two. */
static void random_fields(struct test_dice *dice,
                          struct cas_arena *arena,
                          const struct wire_owner *owner,
                          char *base)
{
    for (size_t tag = 1; tag < owner->row_n; tag++) {
        const struct wire_row *row = &owner->rows[tag];
        if (!wire_is_field(row) || row->kind == WIRE_LIST)
            continue;
        if (!row->is_must) {
            bool has = test_below(dice, 2) == 1;
            *(bool *)(base + row->beside) = has;
            if (!has)
                continue;
        }
        random_value(dice, arena, row, base + row->offset);
    }
}

static void random_owner(struct test_dice *dice,
                         struct cas_arena *arena,
                         const struct wire_owner *owner,
                         char *base)
{
    random_fields(dice, arena, owner, base);
    for (size_t tag = 1; tag < owner->row_n; tag++) {
        const struct wire_row *row = &owner->rows[tag];
        if (row->kind != WIRE_LIST)
            continue;
        size_t count = (size_t)random_between(dice, row->least, row->most);
        const struct wire_owner *item_owner = wire_record(row->record);
        char *items = cas_arena_take(arena, count, item_owner->bytes);
        EXPECT_NOT_NULL(items);
        for (size_t item = 0; item < count; item++)
            random_fields(dice, arena, item_owner, items + item * item_owner->bytes);
        memcpy(base + row->offset, &items, sizeof items);
        memcpy(base + row->beside, &count, sizeof count);
    }
}

static void
expect_same_fields(const struct wire_owner *owner, const char *expected, const char *actual)
{
    for (size_t tag = 1; tag < owner->row_n; tag++) {
        const struct wire_row *row = &owner->rows[tag];
        if (!wire_is_field(row) || row->kind == WIRE_LIST)
            continue;
        if (!row->is_must) {
            bool has = *(const bool *)(expected + row->beside);
            EXPECT_INT_EQ(has, *(const bool *)(actual + row->beside));
            if (!has)
                continue;
        }
        const void *one = expected + row->offset;
        const void *other = actual + row->offset;
        if (wire_is_slice(row)) {
            const struct cas_slice *slice = one;
            const struct cas_slice *found = other;
            EXPECT_UINT_EQ(slice->size, found->size);
            EXPECT_BYTES_EQ(slice->data, found->data, slice->size);
        } else if (row->kind == WIRE_FLAG) {
            EXPECT_INT_EQ(*(const bool *)one, *(const bool *)other);
        } else {
            size_t bytes = wire_kind_bytes(row->kind);
            EXPECT_BYTES_EQ(one, other, bytes > 0 ? bytes : 8);
        }
    }
}

static void
expect_same_owner(const struct wire_owner *owner, const char *expected, const char *actual)
{
    expect_same_fields(owner, expected, actual);
    for (size_t tag = 1; tag < owner->row_n; tag++) {
        const struct wire_row *row = &owner->rows[tag];
        if (row->kind != WIRE_LIST)
            continue;
        const struct wire_owner *item_owner = wire_record(row->record);
        size_t count = 0;
        size_t found = 0;
        const char *items = NULL;
        const char *found_items = NULL;
        memcpy(&count, expected + row->beside, sizeof count);
        memcpy(&found, actual + row->beside, sizeof found);
        memcpy(&items, expected + row->offset, sizeof items);
        memcpy(&found_items, actual + row->offset, sizeof found_items);
        EXPECT_UINT_EQ(count, found);
        for (size_t item = 0; item < count; item++) {
            expect_same_fields(item_owner,
                               items + item * item_owner->bytes,
                               found_items + item * item_owner->bytes);
        }
    }
}

/* Why: everything else rests on the codec giving back what it was given.
 * How: random values of every field of every message, limits among them, then there and back. */
TEST(wire, any_message_comes_back_as_it_went)
{
    struct test_dice dice = {.state = 20140914};
    CAS_AUTO(cas_arena) from = arena_of(1024 * 1024);
    CAS_AUTO(cas_arena) to = arena_of(WIRE_ARENA_BYTES);
    size_t sent_n = 0;
    for (size_t round = 0; round < RANDOM_ROUNDS; round++) {
        struct raw_target target = raw_target(round % 16);
        EXPECT_FALSE(target.is_record);
        cas_arena_clear(from);
        cas_arena_clear(to);
        struct message message;
        memset(&message, 0, sizeof message);
        message.type = (enum message_type)target.number;
        random_owner(&dice, from, target.owner, (char *)&message.as);

        struct cas_why why = {{0}};
        size_t size = 0;
        enum cas_err err = message_encode(&message, frame, sizeof frame, &size, &why);
        if (err == CAS_ERR_TOO_LONG)
            continue; /* more than a frame in all, which no field's own limit forbids */
        EXPECT_OK(err, &why);
        sent_n++;

        struct message back;
        EXPECT_OK(message_decode((struct cas_slice){(char *)frame, size}, to, &back, &why), &why);
        EXPECT_INT_EQ(message.type, back.type);
        expect_same_owner(target.owner, (const char *)&message.as, (const char *)&back.as);
        size_t again_n = 0;
        EXPECT_OK(message_encode(&back, again, sizeof again, &again_n, &why), &why);
        EXPECT_UINT_EQ(size, again_n);
        EXPECT_BYTES_EQ(frame, again, size);
    }
    EXPECT_TRUE(sent_n > RANDOM_ROUNDS * 9 / 10);
}

/* Why: report bodies, orders and plans are records by themselves. How: as above. */
TEST(wire, any_record_comes_back_as_it_went)
{
    struct test_dice dice = {.state = 4456227};
    CAS_AUTO(cas_arena) from = arena_of(1024 * 1024);
    CAS_AUTO(cas_arena) to = arena_of(WIRE_ARENA_BYTES);
    for (size_t round = 0; round < RANDOM_ROUNDS / 4; round++) {
        struct raw_target target = raw_target(16 + round % (wire_record_end() - 1));
        EXPECT_TRUE(target.is_record);
        cas_arena_clear(from);
        cas_arena_clear(to);
        union raw_record record;
        memset(&record, 0, sizeof record);
        random_owner(&dice, from, target.owner, record.bytes);

        enum record_type type = (enum record_type)target.number;
        struct cas_why why = {{0}};
        size_t size = 0;
        EXPECT_OK(record_encode(type, &record, frame, sizeof frame, &size, &why), &why);
        union raw_record back;
        struct cas_slice bytes = {(char *)frame, size};
        EXPECT_OK(record_decode(type, bytes, to, &back, &why), &why);
        expect_same_owner(target.owner, record.bytes, back.bytes);
        size_t again_n = 0;
        EXPECT_OK(record_encode(type, &back, again, sizeof again, &again_n, &why), &why);
        EXPECT_UINT_EQ(size, again_n);
        EXPECT_BYTES_EQ(frame, again, size);
    }
}

/* Why: rows, encoder and decoder could agree with each other and all be wrong.
 * How: bytes written by hand after the MessagePack specification. */
TEST(wire, bytes_are_those_of_the_specification)
{
    static const uint8_t expected[] = {0x93, 0x01, 0x0c, 0x84, 0x01, 0x07, 0x02, 0xc4, 0x10,
                                       0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                       0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x03, 0xa3,
                                       'o',  'l',  'd',  0x04, 0xcd, 0x03, 0xe8};
    struct message message = {.type = MESSAGE_nack};
    message.as.nack.reason = NACK_NONCE;
    message.as.nack.has_cmd_id = true;
    for (size_t at = 0; at < CAS_ID_BYTES; at++)
        message.as.nack.cmd_id[at] = (uint8_t)at;
    message.as.nack.has_text = true;
    message.as.nack.text = cas_slice_of("old");
    message.as.nack.has_epoch_max = true;
    message.as.nack.epoch_max = 1000;
    size_t size = 0;
    EXPECT_OK(message_encode(&message, frame, sizeof frame, &size, NULL), NULL);
    EXPECT_UINT_EQ(sizeof expected, size);
    EXPECT_BYTES_EQ(expected, frame, size);

    CAS_AUTO(cas_arena) arena = arena_of(1024);
    struct message back;
    struct cas_slice bytes = {(const char *)expected, sizeof expected};
    EXPECT_OK(message_decode(bytes, arena, &back, NULL), NULL);
    EXPECT_INT_EQ(MESSAGE_nack, back.type);
    EXPECT_UINT_EQ(NACK_NONCE, back.as.nack.reason);
    EXPECT_UINT_EQ(1000, back.as.nack.epoch_max);
    EXPECT_SLICE_EQ("old", back.as.nack.text);
    EXPECT_INT_EQ(15, back.as.nack.cmd_id[15]);
}

/* Why: a field forgotten or sent twice must never be read as zero, or as the last one.
 * How: each field of each message and record left out, then doubled, its tag in another form. */
TEST(wire, each_field_is_there_once)
{
    static struct raw raw;
    struct raw_target target;
    for (size_t at = 0; (target = raw_target(at)).owner != NULL; at++) {
        struct cas_why why = {{0}};
        raw_of(&raw, target, (struct raw_change){.act = RAW_KEEP});
        EXPECT_OK(raw_decode(&raw, target, &why), &why);
        for (size_t tag = 1; tag < target.owner->row_n; tag++) {
            const struct wire_row *row = &target.owner->rows[tag];
            char path[128];
            (void)snprintf(path, sizeof path, "%s.%s: missing", target.owner->name, row->name);
            raw_of(&raw, target, (struct raw_change){.act = RAW_DOUBLE, .tag = tag});
            EXPECT_ERR(CAS_ERR_FORMAT, raw_decode(&raw, target, &why));
            EXPECT_TEXT_HAS("stands twice", why.text);
            if (!row->is_must)
                continue;
            raw_of(&raw, target, (struct raw_change){.act = RAW_OMIT, .tag = tag});
            EXPECT_ERR(CAS_ERR_MISSING, raw_decode(&raw, target, &why));
            EXPECT_TEXT_HAS(path, why.text);
        }
    }
}

/* Tells the value just inside or outside a limit, where the kind has one; false where not. */
static bool raw_edge(struct raw *raw, const struct wire_row *row, bool is_most, bool is_outside)
{
    int64_t value = is_most ? row->most + is_outside : row->least - is_outside;
    raw->size = 0;
    switch (row->kind) {
    case WIRE_U64:
        if (value < 0)
            raw_i64(raw, value);
        else
            raw_u64(raw, (uint64_t)value);
        return true;
    case WIRE_I64:
        raw_i64(raw, value);
        return true;
    case WIRE_NAME:
    case WIRE_TEXT:
    case WIRE_BYTES:
        if (value < 0 || value > WIRE_PLAN_BYTES + 1000)
            return false;
        if (row->kind == WIRE_BYTES)
            raw_bytes(raw, (size_t)value);
        else
            raw_text(raw, (size_t)value);
        return true;
    case WIRE_ID:
    case WIRE_KEY:
    case WIRE_SIGN:
        value = (int64_t)wire_kind_bytes(row->kind);
        raw_bytes(raw, (size_t)(is_most ? value + is_outside : value - is_outside));
        return true;
    case WIRE_F64:
        raw_f64(raw, is_outside ? (is_most ? (double)INFINITY : (double)NAN) : 1e300);
        return true;
    case WIRE_LIST: /* its own test below */
    case WIRE_FLAG:
    case WIRE_NO_ROW:
    case WIRE_RETIRED:
        break;
    }
    return false;
}

/* Why: "each limit is tested at its edge". How: every field of every message and record, on the
 * limit and one beyond, in bytes our encoder would not write. */
TEST(wire, each_limit_holds_at_its_edge)
{
    static struct raw raw;
    static struct raw value;
    size_t tried_n = 0;
    struct raw_target target;
    for (size_t at = 0; (target = raw_target(at)).owner != NULL; at++) {
        for (size_t edge = 0; edge < 4 * target.owner->row_n; edge++) {
            const struct wire_row *row = &target.owner->rows[edge / 4];
            bool is_outside = edge % 2 == 1;
            if (!wire_is_field(row) || !raw_edge(&value, row, edge / 2 % 2 == 1, is_outside))
                continue;
            raw_of(&raw,
                   target,
                   (struct raw_change){.act = RAW_REPLACE, .tag = edge / 4, .value = &value});
            struct cas_why why = {{0}};
            enum cas_err err = raw_decode(&raw, target, &why);
            tried_n++;
            if (!is_outside) {
                EXPECT_OK(err, &why);
                continue;
            }
            char path[128];
            (void)snprintf(path, sizeof path, "%s.%s: ", target.owner->name, row->name);
            EXPECT_TRUE(err == CAS_ERR_RANGE || err == CAS_ERR_TOO_LONG || err == CAS_ERR_FORMAT);
            EXPECT_TEXT_HAS(path, why.text);
        }
    }
    EXPECT_TRUE(tried_n > 300);
}

/* Why: a value of another kind must not be bent into shape. How: nil, and a list, in each field. */
TEST(wire, each_field_keeps_to_its_kind)
{
    static struct raw raw;
    static struct raw nil;
    static struct raw text;
    static struct raw list;
    nil.size = text.size = list.size = 0;
    raw_byte(&nil, 0xc0);
    raw_text(&text, 16);
    raw_byte(&list, 0x91);
    raw_byte(&list, 0x05);
    const struct raw *const values[] = {&nil, &text, &list};
    struct raw_target target;
    for (size_t at = 0; (target = raw_target(at)).owner != NULL; at++) {
        for (size_t tag = 1; tag < target.owner->row_n; tag++) {
            for (size_t i = 0; i < CAS_COUNT(values); i++) {
                enum wire_kind kind = target.owner->rows[tag].kind;
                if (values[i] == &text && (kind == WIRE_TEXT || kind == WIRE_NAME))
                    continue;
                struct cas_why why = {{0}};
                raw_of(&raw,
                       target,
                       (struct raw_change){.act = RAW_REPLACE, .tag = tag, .value = values[i]});
                EXPECT_ERR(CAS_ERR_FORMAT, raw_decode(&raw, target, &why));
                EXPECT_TEXT_HAS(" belongs", why.text);
            }
        }
    }
}

/* Why: a newer agent may say more than this controller knows (W20).
 * How: a tag no table has, holding a nested value, in every message and record; then twice. */
TEST(wire, unknown_tags_are_skipped_but_not_doubled)
{
    static struct raw raw;
    static struct raw value;
    value.size = 0;
    raw_byte(&value, 0x92); /* [[1], {"k": "k"}] */
    raw_byte(&value, 0x91);
    raw_byte(&value, 0x01);
    raw_byte(&value, 0x81);
    raw_text(&value, 1);
    raw_text(&value, 1);
    struct raw_target target;
    for (size_t at = 0; (target = raw_target(at)).owner != NULL; at++) {
        struct cas_why why = {{0}};
        raw_of(&raw, target, (struct raw_change){.act = RAW_ADD, .tag = 255, .value = &value});
        EXPECT_OK(raw_decode(&raw, target, &why), &why);
        raw_of(&raw, target, (struct raw_change){.act = RAW_ADD, .tag = 256, .value = &value});
        EXPECT_ERR(CAS_ERR_FORMAT, raw_decode(&raw, target, &why));
        EXPECT_TEXT_HAS("a key that is not a tag from 1 to 255", why.text);
        raw_of(&raw, target, (struct raw_change){.act = RAW_ADD, .tag = 0, .value = &value});
        EXPECT_ERR(CAS_ERR_FORMAT, raw_decode(&raw, target, &why));
    }
    static const uint8_t doubled[] = {0x93, 0x01, 0x05, 0x82, 0xcc, 0xfe, 0xc0, 0xcc, 0xfe, 0xc0};
    CAS_AUTO(cas_arena) arena = arena_of(1024);
    struct message message;
    struct cas_why why = {{0}};
    struct cas_slice bytes = {(const char *)doubled, sizeof doubled};
    EXPECT_ERR(CAS_ERR_FORMAT, message_decode(bytes, arena, &message, &why));
    EXPECT_TEXT_EQ("ack: tag 254 stands twice", why.text);
}

/* Why: a list's count decides how much memory is taken. How: on the limit and one beyond. */
TEST(wire, lists_hold_as_many_as_the_table_says)
{
    static struct record_entry entries[WIRE_REPORT_RECORDS + 1];
    for (size_t at = 0; at < CAS_COUNT(entries); at++) {
        entries[at] = (struct record_entry){.seq = at + 1,
                                            .kind = ENTRY_EVENT,
                                            .at_ms = 0,
                                            .body = cas_slice_of("x")};
    }
    struct message message = {.type = MESSAGE_report};
    message.as.report.first_seq = 1;
    message.as.report.entries = entries;
    message.as.report.entries_n = WIRE_REPORT_RECORDS;
    struct cas_why why = {{0}};
    size_t size = 0;
    EXPECT_OK(message_encode(&message, frame, sizeof frame, &size, &why), &why);
    message.as.report.entries_n++;
    EXPECT_ERR(CAS_ERR_TOO_MANY, message_encode(&message, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_EQ("report.entries: 65 records, at most 64", why.text);
    message.as.report.entries_n = 0;
    EXPECT_ERR(CAS_ERR_RANGE, message_encode(&message, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_EQ("report.entries: 0 records, at least 1", why.text);

    static struct raw list;
    static struct raw raw;
    struct raw_target report = {.number = MESSAGE_report, .owner = wire_message(MESSAGE_report)};
    struct raw_change change = {.act = RAW_REPLACE, .tag = 3, .value = &list};
    raw_array(&list, WIRE_REPORT_RECORDS + 1);
    for (size_t at = 0; at < WIRE_REPORT_RECORDS + 1; at++)
        raw_byte(&list, 0x80);
    raw_of(&raw, report, change);
    EXPECT_ERR(CAS_ERR_TOO_MANY, raw_decode(&raw, report, &why));
    EXPECT_TEXT_EQ("report.entries: 65 records, at most 64", why.text);
    list.size = 0;
    raw_array(&list, 0);
    raw_of(&raw, report, change);
    EXPECT_ERR(CAS_ERR_RANGE, raw_decode(&raw, report, &why));
    list.size = 0;
    raw_array(&list, 2);
    raw_owner(&list, wire_record(RECORD_entry), (struct raw_change){.act = RAW_KEEP});
    raw_text(&list, 3);
    raw_of(&raw, report, change);
    EXPECT_ERR(CAS_ERR_FORMAT, raw_decode(&raw, report, &why));
    EXPECT_TEXT_EQ("report.entries[1]: text where a record belongs", why.text);
}

/* Why: the reason is all an operator gets to see of a bad frame. How: one of each sort. */
TEST(wire, reasons_name_field_value_and_limit)
{
    struct message message = {.type = MESSAGE_report};
    struct record_entry entries[2] = {
        {.seq = 1, .kind = 1, .body = cas_slice_of("x")},
        {.seq = 2, .kind = 16, .body = cas_slice_of("x")},
    };
    message.as.report.entries = entries;
    message.as.report.entries_n = 2;
    struct cas_why why = {{0}};
    size_t size = 77;
    EXPECT_ERR(CAS_ERR_RANGE, message_encode(&message, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_EQ("report.first_seq: 0 is below 1", why.text);
    message.as.report.first_seq = WIRE_INT_MOST + 1;
    EXPECT_ERR(CAS_ERR_RANGE, message_encode(&message, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_EQ("report.first_seq: 9007199254740993 is above 9007199254740992", why.text);
    message.as.report.first_seq = 1;
    EXPECT_ERR(CAS_ERR_RANGE, message_encode(&message, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_EQ("report.entries[1].kind: 16 is above 15", why.text);
    EXPECT_UINT_EQ(77, size);

    message = (struct message){.type = MESSAGE_offer};
    message.as.offer.epoch = 1;
    message.as.offer.verb = VERB_recycle;
    message.as.offer.pool = cas_slice_of("");
    EXPECT_ERR(CAS_ERR_RANGE, message_encode(&message, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_EQ("offer.pool: 0 bytes, at least 1", why.text);
    message.as.offer.pool = cas_slice_of("pool\x1b[2J");
    EXPECT_ERR(CAS_ERR_FORMAT, message_encode(&message, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_EQ("offer.pool: \"pool\\x1b[2J\" is not UTF-8 without control characters",
                   why.text);

    message = (struct message){.type = MESSAGE_ask};
    message.as.ask.id = 1;
    message.as.ask.verb = cas_slice_of("server list");
    EXPECT_ERR(CAS_ERR_FORMAT, message_encode(&message, frame, sizeof frame, &size, &why));
    EXPECT_TEXT_HAS("ask.verb: \"server list\" is not a name", why.text);
}

/* Why: half a frame must never look like a frame. How: one byte less than needed, then enough. */
TEST(wire, a_frame_that_does_not_fit_is_refused_whole)
{
    struct message message = {.type = MESSAGE_revoke};
    message.as.revoke.epoch = 5;
    struct cas_why why = {{0}};
    size_t size = 0;
    EXPECT_OK(message_encode(&message, frame, sizeof frame, &size, &why), &why);
    size_t needed = size;
    size = 0;
    for (size_t cap = 0; cap < needed; cap++)
        EXPECT_ERR(CAS_ERR_TOO_LONG, message_encode(&message, again, cap, &size, &why));
    EXPECT_TEXT_EQ("revoke: more than 24 bytes", why.text);
    EXPECT_UINT_EQ(0, size);
    EXPECT_OK(message_encode(&message, again, needed, &size, &why), &why);
    EXPECT_UINT_EQ(needed, size);

    static char text[WIRE_FRAME_BYTES];
    memset(text, 'a', sizeof text);
    struct record_argument arguments[8];
    for (size_t at = 0; at < CAS_COUNT(arguments); at++) {
        arguments[at].key = cas_slice_of("k");
        arguments[at].value = (struct cas_slice){text, WIRE_ARG_BYTES};
    }
    message = (struct message){.type = MESSAGE_ask};
    message.as.ask.id = 1;
    message.as.ask.verb = cas_slice_of("status");
    message.as.ask.arguments = arguments;
    message.as.ask.arguments_n = CAS_COUNT(arguments);
    static uint8_t large[4 * WIRE_FRAME_BYTES];
    EXPECT_ERR(CAS_ERR_TOO_LONG, message_encode(&message, large, sizeof large, &size, &why));
    EXPECT_TEXT_EQ("ask: more than 65536 bytes", why.text);
}

/* Why: an unknown message in our own hands is our mistake, but must not be sent. */
TEST(wire, a_type_outside_the_table_is_not_encoded)
{
    struct message message = {.type = (enum message_type)99};
    size_t size = 0;
    EXPECT_ERR(CAS_ERR_VERSION, message_encode(&message, frame, sizeof frame, &size, NULL));
    EXPECT_NULL(message_name((enum message_type)99));
    EXPECT_NULL(message_name(MESSAGE_NONE));
    EXPECT_NULL(record_name(RECORD_NONE));
    EXPECT_TEXT_EQ("hello", message_name(MESSAGE_hello));
    EXPECT_TEXT_EQ("plan_body", record_name(RECORD_plan_body));
    EXPECT_INT_EQ(MESSAGE_UP, message_direction(MESSAGE_hello));
    EXPECT_INT_EQ(MESSAGE_DOWN, message_direction(MESSAGE_grant));
    EXPECT_INT_EQ(MESSAGE_ASKS, message_direction(MESSAGE_ask));
    EXPECT_INT_EQ(MESSAGE_TELLS, message_direction(MESSAGE_answer));
}

/* Why: other languages pick other widths. How: the same value in every form MessagePack has. */
TEST(wire, numbers_are_taken_in_any_width)
{
    static const struct {
        uint8_t bytes[9];
        size_t size;
        double expected;
    } forms[] = {
        {{0x07}, 1, 7},
        {{0xff}, 1, -1},
        {{0xcc, 0x07}, 2, 7},
        {{0xcd, 0x00, 0x07}, 3, 7},
        {{0xce, 0x00, 0x00, 0x00, 0x07}, 5, 7},
        {{0xcf, 0, 0, 0, 0, 0, 0, 0, 0x07}, 9, 7},
        {{0xd0, 0xf9}, 2, -7},
        {{0xd1, 0xff, 0xf9}, 3, -7},
        {{0xd2, 0xff, 0xff, 0xff, 0xf9}, 5, -7},
        {{0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf9}, 9, -7},
        {{0xd3, 0, 0, 0, 0, 0, 0, 0, 0x07}, 9, 7},
        {{0xca, 0x3f, 0xc0, 0x00, 0x00}, 5, 1.5},
        {{0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0}, 9, 1.5},
        {{0xcf, 0x00, 0x20, 0, 0, 0, 0, 0, 0}, 9, 9007199254740992.0},
        {{0xd3, 0xff, 0xe0, 0, 0, 0, 0, 0, 0}, 9, -9007199254740992.0},
    };
    CAS_AUTO(cas_arena) arena = arena_of(1024);
    for (size_t at = 0; at < CAS_COUNT(forms); at++) {
        static struct raw raw;
        raw.size = 0;
        raw_map(&raw, 2);
        raw_byte(&raw, 1);
        raw_byte(&raw, 1);
        raw_byte(&raw, 2);
        raw_put(&raw, forms[at].bytes, forms[at].size);
        struct record_reading reading;
        struct cas_why why = {{0}};
        EXPECT_OK(record_decode(RECORD_reading, raw_slice(&raw), arena, &reading, &why), &why);
        EXPECT_TRUE(reading.has_value);
        EXPECT_NEAR(forms[at].expected, reading.value, 0);
    }
    static const uint8_t beyond[][13] = {
        {0x82, 1, 1, 2, 0xcf, 0x00, 0x20, 0, 0, 0, 0, 0, 1},
        {0x82, 1, 1, 2, 0xd3, 0xff, 0xdf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0x82, 1, 1, 2, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0x82, 1, 1, 2, 0xcb, 0xff, 0xf0, 0, 0, 0, 0, 0, 0},
    };
    for (size_t at = 0; at < CAS_COUNT(beyond); at++) {
        struct record_reading reading = {.symptom = 42};
        struct cas_slice bytes = {(const char *)beyond[at], sizeof beyond[at]};
        EXPECT_ERR(CAS_ERR_RANGE, record_decode(RECORD_reading, bytes, arena, &reading, NULL));
        EXPECT_UINT_EQ(42, reading.symptom);
    }
}

/* Why: 64-bit extremes must be told as they are, not wrapped. */
TEST(wire, extreme_integers_are_refused_by_their_value)
{
    static struct raw raw;
    static struct raw value;
    struct raw_target hello = {.number = MESSAGE_hello, .owner = wire_message(MESSAGE_hello)};
    struct cas_why why = {{0}};
    raw_u64(&value, UINT64_MAX);
    raw_of(&raw, hello, (struct raw_change){.act = RAW_REPLACE, .tag = 9, .value = &value});
    EXPECT_ERR(CAS_ERR_RANGE, raw_decode(&raw, hello, &why));
    EXPECT_TEXT_EQ("hello.wall_ms: 18446744073709551615 is above 9007199254740992", why.text);
    raw_of(&raw, hello, (struct raw_change){.act = RAW_REPLACE, .tag = 3, .value = &value});
    EXPECT_ERR(CAS_ERR_RANGE, raw_decode(&raw, hello, &why));
    EXPECT_TEXT_EQ("hello.epoch_max: 18446744073709551615 is above 9007199254740992", why.text);
    value.size = 0;
    raw_i64(&value, INT64_MIN);
    raw_of(&raw, hello, (struct raw_change){.act = RAW_REPLACE, .tag = 9, .value = &value});
    EXPECT_ERR(CAS_ERR_RANGE, raw_decode(&raw, hello, &why));
    EXPECT_TEXT_EQ("hello.wall_ms: -9223372036854775808 is below -9007199254740992", why.text);
    raw_of(&raw, hello, (struct raw_change){.act = RAW_REPLACE, .tag = 3, .value = &value});
    EXPECT_ERR(CAS_ERR_RANGE, raw_decode(&raw, hello, &why));
    EXPECT_TEXT_EQ("hello.epoch_max: -9223372036854775808 is below 0", why.text);
}

/* Why: encoder and decoder walk WIRE_LEVELS levels and no more. How: no record in a list has a list
 * itself, and tags leave room for the bitmap. */
TEST(wire, the_table_keeps_to_two_levels)
{
    struct raw_target target;
    size_t owner_n = 0;
    for (; (target = raw_target(owner_n)).owner != NULL; owner_n++) {
        EXPECT_TRUE(target.owner->row_n <= WIRE_TAG_MOST);
        for (size_t tag = 1; tag < target.owner->row_n; tag++) {
            if (target.owner->rows[tag].kind != WIRE_LIST)
                continue;
            const struct wire_owner *item = wire_record(target.owner->rows[tag].record);
            for (size_t inner = 1; inner < item->row_n; inner++)
                EXPECT_TRUE(item->rows[inner].kind != WIRE_LIST);
        }
    }
    EXPECT_TRUE(owner_n >= 28);
}

/* Why: an arena too small is the caller's limit, told as such. */
TEST(wire, no_room_in_the_arena_is_said)
{
    struct message message = {.type = MESSAGE_hb};
    struct record_worker worker = {.pid = 1};
    message.as.hb.workers = &worker;
    message.as.hb.workers_n = 1;
    size_t size = 0;
    EXPECT_OK(message_encode(&message, frame, sizeof frame, &size, NULL), NULL);
    CAS_AUTO(cas_arena) arena = arena_of(sizeof worker - 1);
    struct message back = {.type = MESSAGE_NONE};
    struct cas_why why = {{0}};
    struct cas_slice bytes = {(char *)frame, size};
    EXPECT_ERR(CAS_ERR_NOMEM, message_decode(bytes, arena, &back, &why));
    EXPECT_TEXT_EQ("hb.workers: no room for 1 records", why.text);
    EXPECT_INT_EQ(MESSAGE_NONE, back.type);
}
