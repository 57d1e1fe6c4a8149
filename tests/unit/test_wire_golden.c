/* The wire's promises about what is kept in the tree: golden frames, the manual, the dictionary,
 * and the small tables printed with them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/asks.h"
#include "proto/wire/message.h"
#include "tests/unit/test_wire_raw.h"

enum {
    PRINTED_BYTES = 256 * 1024
};

static uint8_t bytes[WIRE_FRAME_BYTES];

static char *golden_read(struct raw_target target, int which, size_t *ret_size)
{
    char path[256];
    (void)snprintf(path,
                   sizeof path,
                   "%s/tests/golden/%s%s-%s.bin",
                   CASFLEET_SOURCE_DIR,
                   target.is_record ? "record-" : "",
                   target.owner->name,
                   which == 0 ? "smallest" : "largest");
    return test_read(path, ret_size);
}

static enum cas_err golden_make(struct raw_target target,
                                int which,
                                struct cas_arena *arena,
                                size_t *ret_size,
                                struct cas_why *why)
{
    if (target.is_record) {
        enum record_type type = (enum record_type)target.number;
        return record_golden(type, which, arena, bytes, ret_size, why);
    }
    enum message_type type = (enum message_type)target.number;
    return message_golden(type, which, arena, bytes, ret_size, why);
}

/* Decodes and encodes into bytes. */
static enum cas_err there_and_back(struct raw_target target,
                                   struct cas_slice from,
                                   struct cas_arena *arena,
                                   size_t *ret_size,
                                   struct cas_why *why)
{
    if (target.is_record) {
        enum record_type type = (enum record_type)target.number;
        union raw_record record;
        enum cas_err err = record_decode(type, from, arena, &record, why);
        if (err != CAS_OK)
            return err;
        return record_encode(type, &record, bytes, sizeof bytes, ret_size, why);
    }
    struct message message;
    enum cas_err err = message_decode(from, arena, &message, why);
    if (err != CAS_OK)
        return err;
    EXPECT_INT_EQ(target.number, message.type);
    return message_encode(&message, bytes, sizeof bytes, ret_size, why);
}

/* Why: what an older release sent, or stored, must be read for ever.
 * How: the frames kept in tests/golden decode, and encode to the same bytes. */
TEST(wire_golden, kept_frames_decode_and_encode_to_the_same_bytes)
{
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &arena), NULL);
    struct raw_target target;
    for (size_t at = 0; (target = raw_target(at)).owner != NULL; at++) {
        for (int which = 0; which < 2; which++) {
            size_t kept_n = 0;
            char *kept = golden_read(target, which, &kept_n);
            size_t size = 0;
            struct cas_why why = {{0}};
            cas_arena_clear(arena);
            struct cas_slice from = {kept, kept_n};
            EXPECT_OK(there_and_back(target, from, arena, &size, &why), &why);
            EXPECT_UINT_EQ(kept_n, size);
            EXPECT_BYTES_EQ(kept, bytes, size);
            free(kept);
        }
    }
}

/* Why: a limit or a number changed by mistake shows here, before it shows in a farm of mixed
 * releases. How: the frames the table makes today are those kept. Where a limit was widened on
 * purpose, remove the file and run wire_print with the top of the source tree. */
TEST(wire_golden, kept_frames_are_those_the_table_makes)
{
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(GOLDEN_ARENA_BYTES, &arena), NULL);
    struct raw_target target;
    size_t target_n = 0;
    for (; (target = raw_target(target_n)).owner != NULL; target_n++) {
        for (int which = 0; which < 2; which++) {
            size_t kept_n = 0;
            char *kept = golden_read(target, which, &kept_n);
            size_t size = 0;
            struct cas_why why = {{0}};
            cas_arena_clear(arena);
            EXPECT_OK(golden_make(target, which, arena, &size, &why), &why);
            EXPECT_UINT_EQ(size, kept_n);
            EXPECT_BYTES_EQ(bytes, kept, size);
            free(kept);
        }
    }
    EXPECT_TRUE(target_n >= 28);
    size_t size = 0;
    EXPECT_ERR(CAS_ERR_NOT_FOUND,
               message_golden((enum message_type)99, 0, arena, bytes, &size, NULL));
    EXPECT_ERR(CAS_ERR_NOT_FOUND,
               record_golden((enum record_type)99, 0, arena, bytes, &size, NULL));
}

/* Why: smallest and largest must be what they say. How: some values looked at one by one. */
TEST(wire_golden, kept_frames_hold_least_and_most)
{
    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &arena), NULL);
    struct raw_target hb = {.number = MESSAGE_hb, .owner = wire_message(MESSAGE_hb)};
    size_t size = 0;
    char *smallest = golden_read(hb, 0, &size);
    struct message message;
    EXPECT_OK(message_decode((struct cas_slice){smallest, size}, arena, &message, NULL), NULL);
    EXPECT_UINT_EQ(0, message.as.hb.tail_n);
    EXPECT_UINT_EQ(0, message.as.hb.echo);
    EXPECT_FALSE(message.as.hb.has_health_reason);
    EXPECT_FALSE(message.as.hb.is_drained);
    EXPECT_INT_EQ(-WIRE_INT_MOST, message.as.hb.wall_ms);
    free(smallest);
    char *largest = golden_read(hb, 1, &size);
    EXPECT_OK(message_decode((struct cas_slice){largest, size}, arena, &message, NULL), NULL);
    EXPECT_UINT_EQ(WIRE_TAIL, message.as.hb.tail_n);
    EXPECT_UINT_EQ(8, message.as.hb.workers_n);
    EXPECT_UINT_EQ(UINT32_MAX, message.as.hb.workers[7].pid);
    EXPECT_INT_EQ(WIRE_INT_MOST, message.as.hb.tail[15].seq);
    EXPECT_INT_EQ(0xff, message.as.hb.tail[15].cmd_id[15]);
    EXPECT_TRUE(message.as.hb.has_health_reason);
    EXPECT_UINT_EQ(127, message.as.hb.health_reason.size);
    EXPECT_TRUE(message.as.hb.is_drained);
    EXPECT_INT_EQ(WIRE_INT_MOST, message.as.hb.wall_ms);
    free(largest);
}

struct printed {
    char data[PRINTED_BYTES];
    size_t size;
};

static void printed_add(void *context, const char *text, size_t size)
{
    struct printed *printed = context;
    CAS_ASSERT(size < sizeof printed->data - printed->size);
    memcpy(printed->data + printed->size, text, size);
    printed->size += size;
    printed->data[printed->size] = '\0';
}

static void expect_kept(const char *name, void (*print)(message_out *out, void *context))
{
    struct printed *printed = calloc(1, sizeof *printed);
    EXPECT_NOT_NULL(printed);
    print(printed_add, printed);
    size_t size = 0;
    char *kept = test_read(test_source(name), &size);
    bool is_same = size == printed->size && memcmp(kept, printed->data, size) == 0;
    free(kept);
    free(printed);
    if (!is_same)
        test_fail(TEST_PLACE(name), "not what the tables print: run wire_print, look, commit");
}

/* Why: a manual that may differ from the code is worse than none. */
TEST(wire_golden, manual_and_dictionary_are_what_the_tables_print)
{
    expect_kept("proto/PROTOCOL.md", message_print_manual);
    expect_kept("tests/fuzz/wire.dict", message_print_dictionary);
}

/* Why: the manual is for people who write another agent. How: what they would look for. */
TEST(wire_golden, manual_names_every_message_field_verb_and_symptom)
{
    struct printed *printed = calloc(1, sizeof *printed);
    EXPECT_NOT_NULL(printed);
    message_print_manual(printed_add, printed);
    struct raw_target target;
    for (size_t at = 0; (target = raw_target(at)).owner != NULL; at++) {
        EXPECT_TEXT_HAS(target.owner->name, printed->data);
        EXPECT_TEXT_HAS(target.owner->words, printed->data);
        for (size_t tag = 1; tag < target.owner->row_n; tag++)
            EXPECT_TEXT_HAS(target.owner->rows[tag].words, printed->data);
    }
    for (enum ask_verb verb = ASK_NONE + 1; verb < ASK_END; verb++)
        EXPECT_TEXT_HAS(ask_words(verb), printed->data);
    for (enum symptom symptom = SYMPTOM_NONE + 1; symptom < SYMPTOM_END; symptom++)
        EXPECT_TEXT_HAS(symptom_words(symptom), printed->data);
    for (enum nack_reason reason = NACK_STALE_EPOCH; reason <= NACK_HELD; reason++)
        EXPECT_TEXT_HAS(nack_words(reason), printed->data);
    free(printed);
}

/* Why: default deny: each role may do its own and what lower ones may, strangers nothing (S1).
 * How: every verb, and numbers that are none, for every role, and numbers that are none. */
TEST(ask, roles_rise_and_what_is_not_listed_is_denied)
{
    for (int role = -1; role <= 6; role++) {
        for (int verb = -1; verb <= ASK_END + 1; verb++) {
            bool is_real =
                verb > ASK_NONE && verb < ASK_END && role >= ASK_VIEWER && role <= ASK_ADMIN;
            bool expected = is_real && role >= (int)ask_role((enum ask_verb)verb);
            EXPECT_INT_EQ(expected, ask_is_allowed((enum ask_role)role, (enum ask_verb)verb));
        }
    }
    static const struct {
        enum ask_verb verb;
        enum ask_role role;
    } rows[] = {
        {ASK_status, ASK_VIEWER},
        {ASK_server_list, ASK_VIEWER},
        {ASK_server_show, ASK_VIEWER},
        {ASK_server_label, ASK_OPERATOR},
        {ASK_recycle_plan, ASK_OPERATOR},
        {ASK_recycle_run, ASK_OPERATOR},
        {ASK_recycle_list, ASK_VIEWER},
        {ASK_recycle_show, ASK_VIEWER},
        {ASK_recycle_simulate, ASK_OPERATOR},
        {ASK_recycle_pause, ASK_OPERATOR},
        {ASK_recycle_resume, ASK_OPERATOR},
        {ASK_recycle_retry, ASK_OPERATOR},
        {ASK_recycle_end, ASK_OPERATOR},
        {ASK_patch_report, ASK_VIEWER},
        {ASK_why, ASK_VIEWER},
        {ASK_agent_list, ASK_VIEWER},
        {ASK_agent_approve, ASK_ADMIN},
        {ASK_agent_revoke, ASK_ADMIN},
        {ASK_schedule_add, ASK_OPERATOR},
        {ASK_schedule_list, ASK_VIEWER},
        {ASK_schedule_show, ASK_VIEWER},
        {ASK_schedule_preview, ASK_VIEWER},
        {ASK_schedule_pause, ASK_OPERATOR},
        {ASK_schedule_resume, ASK_OPERATOR},
        {ASK_schedule_remove, ASK_OPERATOR},
        {ASK_schedule_export, ASK_VIEWER},
        {ASK_schedule_import, ASK_OPERATOR},
        {ASK_freeze_on, ASK_OPERATOR},
        {ASK_freeze_off, ASK_OPERATOR},
        {ASK_site_list, ASK_VIEWER},
        {ASK_site_zone, ASK_OPERATOR},
    };
    EXPECT_INT_EQ(ASK_END - 1, CAS_COUNT(rows));
    for (size_t at = 0; at < CAS_COUNT(rows); at++)
        EXPECT_INT_EQ(rows[at].role, ask_role(rows[at].verb));
}

/* Why: a name on the wire must find its row and no other. */
TEST(ask, names_lead_to_their_verbs_and_back)
{
    for (enum ask_verb verb = ASK_NONE + 1; verb < ASK_END; verb++) {
        EXPECT_INT_EQ(verb, ask_from(cas_slice_of(ask_name(verb))));
        EXPECT_TRUE(cas_is_name(cas_slice_of(ask_name(verb))));
    }
    EXPECT_INT_EQ(ASK_server_list, ask_from(cas_slice_of("server.list")));
    EXPECT_INT_EQ(ASK_NONE, ask_from(cas_slice_of("server_list")));
    EXPECT_INT_EQ(ASK_NONE, ask_from(cas_slice_of("server")));
    EXPECT_INT_EQ(ASK_NONE, ask_from(cas_slice_of("")));
    EXPECT_NULL(ask_name(ASK_NONE));
    EXPECT_NULL(ask_name(ASK_END));
    EXPECT_NULL(ask_words(ASK_END));
    for (enum ask_role role = ASK_VIEWER; role <= ASK_ADMIN; role++)
        EXPECT_INT_EQ(role, ask_role_from(cas_slice_of(ask_role_name(role))));
    EXPECT_INT_EQ(ASK_NOBODY, ask_role_from(cas_slice_of("root")));
    EXPECT_NULL(ask_role_name(ASK_NOBODY));
    EXPECT_NULL(ask_role_name(ASK_NEVER));
}

/* Why: names are shown and typed, numbers travel. */
TEST(wire, verbs_symptoms_and_reasons_have_names)
{
    EXPECT_TEXT_EQ("recycle", verb_name(VERB_recycle));
    EXPECT_INT_EQ(VERB_undrain, verb_from(cas_slice_of("undrain")));
    EXPECT_INT_EQ(VERB_NONE, verb_from(cas_slice_of("reboot")));
    EXPECT_NULL(verb_name(VERB_NONE));
    EXPECT_NULL(verb_name((enum verb)200));
    EXPECT_NULL(verb_name((enum verb) - 1));
    EXPECT_TEXT_HAS("changes nothing", verb_words(VERB_probe));
    for (enum symptom symptom = SYMPTOM_NONE + 1; symptom < SYMPTOM_END; symptom++) {
        EXPECT_NOT_NULL(symptom_name(symptom));
        EXPECT_INT_EQ(symptom, symptom_from(cas_slice_of(symptom_name(symptom))));
        EXPECT_NOT_NULL(unit_name(symptom_unit(symptom)));
    }
    EXPECT_NULL(symptom_name(SYMPTOM_NONE));
    EXPECT_NULL(symptom_name(SYMPTOM_END));
    EXPECT_INT_EQ(UNIT_BYTES, symptom_unit(SYMPTOM_private_bytes));
    EXPECT_INT_EQ(UNIT_MS, symptom_unit(SYMPTOM_worker_age));
    EXPECT_NULL(unit_name((enum unit)99));
    for (enum nack_reason reason = NACK_STALE_EPOCH; reason <= NACK_HELD; reason++)
        EXPECT_NOT_NULL(nack_words(reason));
    EXPECT_NULL(nack_words((enum nack_reason)(NACK_HELD + 1)));
    EXPECT_TEXT_EQ("intent", command_state_name(COMMAND_INTENT));
    EXPECT_NULL(command_state_name((enum command_state)7));
    EXPECT_TEXT_EQ("gap", entry_kind_name(ENTRY_GAP));
    EXPECT_NULL(entry_kind_name((enum entry_kind)0));
    EXPECT_TEXT_EQ("bad", pool_health_name(HEALTH_BAD));
}
