#include "controller/view/view.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "tests/unit/test.h"

static const struct cas_now base_now = {.wall_ms = 1800000000000, .mono_ms = 5000000};

struct stage {
    struct inventory *inventory;
    struct rollout_book *book;
    struct view_scene scene;
};

static void derive_nothing(const uint8_t plan_hash[CAS_HASH_BYTES],
                           uint64_t step,
                           uint64_t server_id,
                           uint64_t attempt,
                           uint8_t ret_cmd_id[CAS_ID_BYTES])
{
    memset(ret_cmd_id, (int)(plan_hash[0] + step + server_id + attempt), CAS_ID_BYTES);
}

static struct stage stage_open(void)
{
    struct stage stage = {.scene = {.now = base_now}};
    EXPECT_OK(inventory_open(&stage.inventory), NULL);
    EXPECT_OK(rollout_book_open(derive_nothing, &stage.book), NULL);
    stage.scene.inventory = stage.inventory;
    stage.scene.book = stage.book;
    return stage;
}

static void stage_done(struct stage *stage)
{
    rollout_book_free(stage->book);
    inventory_free(stage->inventory);
}

/* A server in service, healthy a second ago, of that build ("" not read). */
static struct inventory_server *
server_add(struct stage *stage, const char *name, const char *site, const char *build)
{
    static uint32_t id;
    struct inventory_server server = {.id = ++id, .admission = ADMISSION_APPROVED};
    (void)snprintf(server.name, sizeof server.name, "%s", name);
    (void)snprintf(server.label[LABEL_SITE], LABEL_BYTES, "%s", site);
    memcpy(server.key, &id, sizeof id);
    EXPECT_OK(inventory_add(stage->inventory, &server), NULL);
    struct inventory_server *added = inventory_by_name(stage->inventory, cas_slice_of(name));
    added->live = (struct inventory_live){.is_connected = true,
                                          .heard_ms = base_now.wall_ms - 1000,
                                          .proof_mono_ms = base_now.mono_ms - 1000,
                                          .health = HEALTH_GOOD,
                                          .is_journal_writable = true,
                                          .pid = 4000 + id,
                                          .start_ms = base_now.wall_ms - 3600000};
    struct record_fact fact = {.key = cas_slice_of("exchange.build")};
    fact.has_value = build[0] != '\0';
    fact.value = cas_slice_of(build);
    fact.has_reason = !fact.has_value;
    fact.reason = cas_slice_of("access denied");
    (void)inventory_record_fact(added, &fact, base_now.wall_ms - 1000);
    return added;
}

static void value_set(struct inventory_server *server, enum symptom symptom, double value)
{
    server->value[symptom] = (struct inventory_value){.is_known = true,
                                                      .value = value,
                                                      .at_ms = base_now.wall_ms - 1000};
}

static json_t *parsed(char *document)
{
    for (const char *at = document; *at != '\0'; at++)
        EXPECT_TRUE((unsigned char)*at < 128);
    json_t *json = json_loads(document, 0, NULL);
    free(document);
    EXPECT_NOT_NULL(json);
    EXPECT_TEXT_EQ("casfleet/v1", json_string_value(json_object_get(json, "apiVersion")));
    return json;
}

static int64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *words(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "(null)" : text;
}

static json_t *status_of(struct stage *stage, bool *ret_attention)
{
    char *document = NULL;
    EXPECT_OK(view_status(&stage->scene, &document, ret_attention), NULL);
    return parsed(document);
}

/* The class and words under which a server stands in the status; "healthy" when in none. */
static const char *class_of(const json_t *status, const char *name)
{
    static char found[256];
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(json_object_get(status, "items"), i, item)
    {
        if (strstr(words(item, "servers"), name) == NULL)
            continue;
        (void)snprintf(found, sizeof found, "%s: %s", words(item, "class"), words(item, "words"));
        return found;
    }
    return "healthy";
}

/* Why: the first look of the day decides what is done; each threshold is told at its edge, and what
 * is not known is never counted as fine. */
TEST(view, status_sorts_each_server_by_its_worst)
{
    struct stage stage = stage_open();
    struct inventory_server *server = NULL;
    (void)server_add(&stage, "GOOD", "LON", "15.1.1466.3");
    server = server_add(&stage, "PORTS-50", "LON", "15.1.1466.3");
    value_set(server, SYMPTOM_ports_total, 1000);
    value_set(server, SYMPTOM_ports_used, 500);
    server = server_add(&stage, "PORTS-49", "LON", "15.1.1466.3");
    value_set(server, SYMPTOM_ports_total, 1000);
    value_set(server, SYMPTOM_ports_used, 499);
    server = server_add(&stage, "PORTS-85", "LON", "15.1.1466.3");
    value_set(server, SYMPTOM_ports_total, 1000);
    value_set(server, SYMPTOM_ports_used, 850);
    server = server_add(&stage, "SILENT", "LON", "15.1.1466.3");
    server->live.proof_mono_ms = base_now.mono_ms - FRESH_MS - 1;
    server->live.heard_ms = base_now.wall_ms - 3 * 3600000;
    server = server_add(&stage, "NEVER", "LON", "15.1.1466.3");
    server->live = (struct inventory_live){.is_connected = false};
    server = server_add(&stage, "SICK", "LON", "15.1.1466.3");
    server->live.health = HEALTH_BAD;
    (void)snprintf(server->live.health_reason, REASON_BYTES, "503");
    server = server_add(&stage, "UNPROBED", "LON", "15.1.1466.3");
    server->live.health = HEALTH_UNKNOWN;
    server = server_add(&stage, "DRAINED", "LON", "15.1.1466.3");
    server->live.is_drained = true;
    server = server_add(&stage, "JOURNAL", "LON", "15.1.1466.3");
    server->live.is_journal_writable = false;
    server = server_add(&stage, "SKEWED", "LON", "15.1.1466.3");
    server->live.skew_ms = CLOCK_SKEW_MS + 1;
    server = server_add(&stage, "REVOKED", "LON", "15.1.1466.3");
    server->admission = ADMISSION_REVOKED;

    bool needs_attention = false;
    json_t *status = status_of(&stage, &needs_attention);
    EXPECT_TRUE(needs_attention);
    EXPECT_TEXT_EQ("healthy", class_of(status, "GOOD"));
    EXPECT_TEXT_EQ("watch: 50 % of its ports used", class_of(status, "PORTS-50"));
    EXPECT_TEXT_EQ("healthy", class_of(status, "PORTS-49"));
    EXPECT_TEXT_EQ("need: running out of ports: 85 % used", class_of(status, "PORTS-85"));
    EXPECT_TEXT_EQ("need: silent 3 h", class_of(status, "SILENT"));
    EXPECT_TEXT_EQ("need: approved, never heard", class_of(status, "NEVER"));
    EXPECT_TEXT_EQ("need: unhealthy: 503", class_of(status, "SICK"));
    EXPECT_TEXT_EQ("need: health not known", class_of(status, "UNPROBED"));
    EXPECT_TEXT_EQ("maintenance: drained by casfleet", class_of(status, "DRAINED"));
    EXPECT_TEXT_EQ("need: cannot act: its journal cannot be written", class_of(status, "JOURNAL"));
    EXPECT_TEXT_EQ("need: clock is 30 s off", class_of(status, "SKEWED"));
    EXPECT_TEXT_EQ("healthy", class_of(status, "REVOKED"));
    EXPECT_INT_EQ(11, number(status, "servers"));
    EXPECT_INT_EQ(2, number(status, "healthy"));
    json_decref(status);
    stage_done(&stage);
}

/* Why: "recycle it" is only good advice with who carries its users meanwhile. */
TEST(view, status_says_who_carries_a_server_that_runs_out_of_ports)
{
    struct stage stage = stage_open();
    for (int i = 1; i <= 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "LON-CAS%d", i);
        struct inventory_server *server = server_add(&stage, name, "LON", "15.1.1591.10");
        value_set(server, SYMPTOM_ports_total, 1000);
        value_set(server, SYMPTOM_ports_used, i == 1 ? 900 : 10);
    }
    bool needs_attention = false;
    json_t *status = status_of(&stage, &needs_attention);
    const json_t *first = json_array_get(json_object_get(status, "next"), 0);
    EXPECT_TEXT_EQ("casfleet recycle plan LON-CAS1", words(first, "command"));
    EXPECT_TEXT_EQ("3 others can carry it; 1 of 4 may be out, 0 of the others are",
                   words(first, "detail"));
    json_decref(status);

    inventory_by_name(stage.inventory, cas_slice_of("LON-CAS2"))->live.is_drained = true;
    status = status_of(&stage, &needs_attention);
    first = json_array_get(json_object_get(status, "next"), 0);
    EXPECT_TEXT_EQ("2 others can carry it; 1 of the other 3 are out, which is all the floor allows",
                   words(first, "detail"));
    json_decref(status);
    stage_done(&stage);
}

/* Why: a controller that cannot store must not look healthy. */
TEST(view, status_tells_that_nothing_can_be_stored)
{
    struct stage stage = stage_open();
    bool needs_attention = true;
    json_t *status = status_of(&stage, &needs_attention);
    EXPECT_FALSE(needs_attention);
    EXPECT_TRUE(json_is_null(json_object_get(status, "trouble")));
    json_decref(status);
    stage.scene.trouble = "controller.db: disk is full";
    stage.scene.trouble_ms = base_now.wall_ms - 60000;
    status = status_of(&stage, &needs_attention);
    EXPECT_TRUE(needs_attention);
    EXPECT_TEXT_EQ("controller.db: disk is full", words(status, "trouble"));
    EXPECT_INT_EQ(base_now.wall_ms - 60000, number(status, "trouble_ms"));
    json_decref(status);
    stage_done(&stage);
}

/* Why: an old worker without the fix is what fails next; one with the fix never is. */
TEST(view, status_names_the_oldest_worker_without_the_fix_while_nothing_runs)
{
    struct stage stage = stage_open();
    server_add(&stage, "LON-CAS1", "LON", "15.1.1466.3")->live.start_ms =
        base_now.wall_ms - INT64_C(6) * 86400000;
    server_add(&stage, "LON-CAS2", "LON", "15.1.1591.10")->live.start_ms =
        base_now.wall_ms - INT64_C(60) * 86400000;
    server_add(&stage, "LON-CAS3", "LON", "")->live.start_ms =
        base_now.wall_ms - INT64_C(60) * 86400000;
    bool needs_attention = false;
    json_t *status = status_of(&stage, &needs_attention);
    const json_t *due = json_object_get(status, "due");
    EXPECT_TEXT_EQ("LON-CAS1", words(due, "server"));
    EXPECT_INT_EQ(INT64_C(6) * 86400000, number(due, "age_ms"));
    json_decref(status);
    inventory_by_name(stage.inventory, cas_slice_of("LON-CAS1"))->live.start_ms =
        base_now.wall_ms - INT64_C(5) * 86400000 + 1;
    status = status_of(&stage, &needs_attention);
    EXPECT_TRUE(json_is_null(json_object_get(status, "due")));
    json_decref(status);
    stage_done(&stage);
}

/* Why: not known is not compliant, and says why it is not known. */
TEST(view, patch_counts_unknown_apart_and_says_why)
{
    struct stage stage = stage_open();
    (void)server_add(&stage, "LON-CAS1", "LON", "15.1.1466.3");
    (void)server_add(&stage, "LON-CAS2", "LON", "15.1.1591.9");
    (void)server_add(&stage, "LON-CAS3", "LON", "15.1.1591.10");
    (void)server_add(&stage, "LON-CAS4", "LON", "");
    (void)server_add(&stage, "FRA-CAS1", "FRA", "15.2.1544.4");
    (void)server_add(&stage, "NOWHERE", "", "15.0.1497.48");
    size_t at[6] = {0, 1, 2, 3, 4, 5};
    struct compliance_build below;
    EXPECT_OK(compliance_named(cas_slice_of("2016:CU11"), &below, NULL), NULL);
    char *document = NULL;
    EXPECT_OK(view_patch(&stage.scene, at, CAS_COUNT(at), &below, "2016:CU11", &document), NULL);
    json_t *report = parsed(document);
    const json_t *total = json_object_get(report, "total");
    EXPECT_INT_EQ(6, number(total, "servers"));
    EXPECT_INT_EQ(3, number(total, "lacks"));
    EXPECT_INT_EQ(2, number(total, "has"));
    EXPECT_INT_EQ(1, number(total, "unknown"));
    size_t i = 0;
    const json_t *group = NULL;
    json_array_foreach(json_object_get(report, "items"), i, group)
    {
        EXPECT_INT_EQ(number(group, "servers"),
                      number(group, "has") + number(group, "lacks") + number(group, "unknown"));
        if (strcmp(words(group, "group"), "LON") != 0)
            continue;
        EXPECT_TEXT_EQ("LON-CAS[1-2]", words(group, "lacking"));
        const json_t *unknown = json_array_get(json_object_get(group, "unknown_servers"), 0);
        EXPECT_TEXT_EQ("LON-CAS4", words(unknown, "server"));
        EXPECT_TEXT_EQ("up, build not read: access denied", words(unknown, "words"));
    }
    EXPECT_UINT_EQ(3, i);
    json_decref(report);
    stage_done(&stage);
}

/* Why: a farm of more sites than the report has lines must still count every server. */
TEST(view, patch_counts_every_server_of_more_sites_than_it_lists)
{
    struct stage stage = stage_open();
    size_t at[300];
    for (size_t i = 0; i < CAS_COUNT(at); i++) {
        char name[16];
        at[i] = i;
        (void)snprintf(name, sizeof name, "S%03zu", i);
        (void)server_add(&stage, name, name, "15.1.1466.3");
    }
    struct compliance_build below;
    EXPECT_OK(compliance_named(cas_slice_of("2016:CU11"), &below, NULL), NULL);
    char *document = NULL;
    EXPECT_OK(view_patch(&stage.scene, at, CAS_COUNT(at), &below, "2016:CU11", &document), NULL);
    json_t *report = parsed(document);
    EXPECT_INT_EQ(300, number(json_object_get(report, "total"), "lacks"));
    const json_t *items = json_object_get(report, "items");
    EXPECT_UINT_EQ(256, json_array_size(items));
    EXPECT_TEXT_EQ("(other sites)", words(json_array_get(items, 255), "group"));
    EXPECT_INT_EQ(45, number(json_array_get(items, 255), "lacks"));
    json_decref(report);
    stage_done(&stage);
}

/* Why: null is the only honest number for what was never read. */
TEST(view, what_was_never_reported_is_null_and_not_zero)
{
    struct stage stage = stage_open();
    struct inventory_server *server = server_add(&stage, "LON-CAS1", "LON", "15.1.1466.3");
    value_set(server, SYMPTOM_close_wait, 0);
    size_t at = 0;
    char *document = NULL;
    EXPECT_OK(view_server_list(&stage.scene, &at, 1, &document), NULL);
    json_t *list = parsed(document);
    const json_t *row = json_array_get(json_object_get(list, "items"), 0);
    EXPECT_TRUE(json_is_null(json_object_get(row, "private_bytes")));
    EXPECT_TRUE(json_is_null(json_object_get(row, "sample_age_ms")));
    EXPECT_FALSE(json_is_null(json_object_get(row, "close_wait")));
    EXPECT_INT_EQ(1000, number(row, "proof_age_ms"));
    json_decref(list);
    stage_done(&stage);
}
