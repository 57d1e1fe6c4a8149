#include "controller/core/inventory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test.h"

static const struct cas_now base_now = {.wall_ms = 1700000000000, .mono_ms = 1000000};

static void add(struct inventory *inventory, uint32_t id, const char *name, const char *site)
{
    struct inventory_server server = {.id = id};
    (void)snprintf(server.name, sizeof server.name, "%s", name);
    (void)snprintf(server.label[LABEL_SITE], LABEL_BYTES, "%s", site);
    memcpy(server.key, &id, sizeof id);
    server.key[31] = 1;
    EXPECT_OK(inventory_add(inventory, &server), NULL);
}

static struct inventory_server *named(const struct inventory *inventory, const char *name)
{
    struct inventory_server *server = inventory_by_name(inventory, cas_slice_of(name));
    EXPECT_NOT_NULL(server);
    return server;
}

static void give_build(struct inventory *inventory, const char *name, const char *build)
{
    struct record_fact fact = {.key = cas_slice_of("exchange.build"),
                               .has_value = true,
                               .value = cas_slice_of(build)};
    (void)inventory_record_fact(named(inventory, name), &fact, 1);
}

static struct message_hb good_hb(const struct record_worker *worker)
{
    return (struct message_hb){.boot_id = {1},
                               .health = HEALTH_GOOD,
                               .workers = worker,
                               .workers_n = 1,
                               .probe_seq = 1,
                               .is_journal_writable = true,
                               .has_active_requests = true,
                               .active_requests = 100,
                               .wall_ms = 1700000000000};
}

/* Six servers: LON with an Exchange of each kind, FRA one that says nothing. */
static struct inventory *small_farm(void)
{
    struct inventory *inventory = NULL;
    EXPECT_OK(inventory_open(&inventory), NULL);
    add(inventory, 6, "FRA-CAS1", "FRA");
    add(inventory, 3, "LON-CAS10", "LON");
    add(inventory, 1, "LON-CAS1", "LON");
    add(inventory, 2, "LON-CAS2", "LON");
    add(inventory, 4, "LON-CAS11", "LON");
    add(inventory, 5, "LON-EDGE", "LON");
    give_build(inventory, "LON-CAS1", "15.1.1466.3");
    give_build(inventory, "LON-CAS2", "15.1.1591.10");
    give_build(inventory, "LON-CAS10", "15.0.1497.2");
    give_build(inventory, "LON-CAS11", "15.2.1118.7");
    return inventory;
}

static enum cas_err choose(const struct inventory *inventory,
                           const char *targets,
                           const char *selector,
                           const char *exclude,
                           char ret_names[256],
                           struct cas_why *why)
{
    size_t at[64];
    size_t n = 0;
    struct inventory_choice choice = {cas_slice_of(targets),
                                      cas_slice_of(selector),
                                      cas_slice_of(exclude)};
    enum cas_err err = inventory_choose(inventory, &choice, base_now.mono_ms, at, &n, why);
    struct cas_text text = {.data = ret_names, .cap = 256};
    cas_text_clear(&text);
    if (err == CAS_OK)
        inventory_fold(inventory, at, n, &text);
    return err;
}

#define EXPECT_CHOSEN(expected, inventory, targets, selector, exclude)                          \
    do {                                                                                        \
        char names_[256];                                                                       \
        struct cas_why why_ = {.text = ""};                                                     \
        EXPECT_OK(choose((inventory), (targets), (selector), (exclude), names_, &why_), &why_); \
        EXPECT_TEXT_EQ((expected), names_);                                                     \
    } while (0)

/* Why: people read CAS2 before CAS10, and every list, plan and page is in this order. */
TEST(inventory, servers_stand_in_the_order_people_count)
{
    CAS_AUTO(inventory) inventory = small_farm();
    static const char *const order[] =
        {"FRA-CAS1", "LON-CAS1", "LON-CAS2", "LON-CAS10", "LON-CAS11", "LON-EDGE"};
    EXPECT_UINT_EQ(CAS_COUNT(order), inventory_size(inventory));
    for (size_t i = 0; i < CAS_COUNT(order); i++)
        EXPECT_TEXT_EQ(order[i], inventory_at(inventory, i)->name);
    EXPECT_NULL(inventory_at(inventory, CAS_COUNT(order)));
    /* Zeros in front make another name, next to it. */
    add(inventory, 7, "LON-CAS02", "LON");
    EXPECT_TEXT_EQ("LON-CAS2", inventory_at(inventory, 2)->name);
    EXPECT_TEXT_EQ("LON-CAS02", inventory_at(inventory, 3)->name);
    EXPECT_UINT_EQ(7, named(inventory, "lon-cas02")->id);
}

/* Why: a name, a number and a key each stand for one server; an admitted copy of a key would let
 * two hosts act as one. Names are compared blind to case. */
TEST(inventory, one_name_one_number_one_key)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server server = {.id = 99, .name = "lon-cas10", .key = {9}};
    EXPECT_ERR(CAS_ERR_EXISTS, inventory_add(inventory, &server));
    server = (struct inventory_server){.id = 3, .name = "NEW", .key = {9}};
    EXPECT_ERR(CAS_ERR_EXISTS, inventory_add(inventory, &server));
    server = (struct inventory_server){.id = 99, .name = "NEW"};
    memcpy(server.key, named(inventory, "LON-CAS1")->key, CAS_KEY_BYTES);
    EXPECT_ERR(CAS_ERR_EXISTS, inventory_add(inventory, &server));
    EXPECT_UINT_EQ(6, inventory_size(inventory));
}

/* Why: pointers are held by connections; they must not move as the farm grows to its limit.
 * How: 12,000 servers in an order that shuffles names, ids and keys; one more is refused. */
TEST(inventory, finds_each_of_a_full_farm_and_takes_no_more)
{
    CAS_AUTO(inventory) inventory = NULL;
    EXPECT_OK(inventory_open(&inventory), NULL);
    char name[CAS_NAME_BYTES];
    add(inventory, 1, "CAS1", "A");
    const struct inventory_server *first = named(inventory, "CAS1");
    for (uint32_t i = 1; i < FLEET_SERVERS; i++) {
        uint32_t id = i * 7919U % FLEET_SERVERS + 1;
        (void)snprintf(name, sizeof name, "CAS%u", id);
        add(inventory, id, name, "A");
    }
    EXPECT_TRUE(first == named(inventory, "CAS1"));
    struct inventory_server more = {.id = 77777, .name = "ONE-MORE", .key = {3}};
    EXPECT_ERR(CAS_ERR_TOO_MANY, inventory_add(inventory, &more));
    for (uint32_t id = 1; id <= FLEET_SERVERS; id++) {
        const struct inventory_server *server = inventory_by_id(inventory, id);
        EXPECT_NOT_NULL(server);
        EXPECT_TRUE(server == inventory_by_key(inventory, server->key));
        EXPECT_TRUE(server == named(inventory, server->name));
        EXPECT_TRUE(server == inventory_at(inventory, id - 1));
    }
    EXPECT_NULL(inventory_by_id(inventory, FLEET_SERVERS + 1));
}

/* Why: after a revocation or a new key, the old key must open nothing. */
TEST(inventory, a_changed_key_is_found_and_the_old_one_is_not)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    uint8_t old_key[CAS_KEY_BYTES];
    uint8_t new_key[CAS_KEY_BYTES] = {8, 8, 8};
    memcpy(old_key, server->key, CAS_KEY_BYTES);
    server->live.is_connected = true;
    server->live.proof_mono_ms = base_now.mono_ms;

    EXPECT_OK(inventory_set_key(inventory, server->id, new_key, ADMISSION_APPROVED), NULL);
    EXPECT_NULL(inventory_by_key(inventory, old_key));
    EXPECT_TRUE(server == inventory_by_key(inventory, new_key));
    EXPECT_FALSE(server->live.is_connected);
    EXPECT_INT_EQ(SERVICE_SILENT, inventory_service_of(server, base_now.mono_ms));
    EXPECT_ERR(CAS_ERR_EXISTS,
               inventory_set_key(inventory,
                                 server->id,
                                 named(inventory, "LON-CAS2")->key,
                                 ADMISSION_APPROVED));
    EXPECT_ERR(CAS_ERR_NOT_FOUND, inventory_set_key(inventory, 99, new_key, ADMISSION_REVOKED));
    EXPECT_OK(inventory_set_key(inventory, server->id, new_key, ADMISSION_REVOKED), NULL);
    EXPECT_INT_EQ(SERVICE_REVOKED, inventory_service_of(server, base_now.mono_ms));
    for (uint32_t id = 1; id <= 6; id++)
        EXPECT_NOT_NULL(inventory_by_key(inventory, inventory_by_id(inventory, id)->key));
}

TEST(inventory, chooses_by_names_sets_selector_and_exclusion)
{
    CAS_AUTO(inventory) inventory = small_farm();
    EXPECT_CHOSEN("FRA-CAS1,LON-CAS[1-2,10-11],LON-EDGE", inventory, "", "", "");
    EXPECT_CHOSEN("FRA-CAS1,LON-CAS[1-2,10-11],LON-EDGE", inventory, "all", "", "");
    EXPECT_CHOSEN("LON-CAS[1-2]", inventory, "LON-CAS[1-2]", "", "");
    EXPECT_CHOSEN("FRA-CAS1,LON-CAS1", inventory, "lon-cas1 FRA-CAS1,LON-CAS1", "", "");
    EXPECT_CHOSEN("LON-CAS[10-11],LON-EDGE", inventory, "", "site=lon", "LON-CAS[1-2]");
    EXPECT_CHOSEN("FRA-CAS1", inventory, "", "site!=LON", "");
    EXPECT_CHOSEN("LON-CAS1", inventory, "", "site=LON,build<2016:CU11,product=2016", "");
    EXPECT_CHOSEN("LON-CAS[1,10]", inventory, "", "build<2016:CU11", "");
    EXPECT_CHOSEN("LON-CAS[1-2,10]", inventory, "", "build<=2016:CU11", "");
    EXPECT_CHOSEN("LON-CAS2", inventory, "", "build=15.1.1591.10", "");
    EXPECT_CHOSEN("LON-CAS[1,10-11]", inventory, "", "build!=2016:CU11", "");
    EXPECT_CHOSEN("LON-CAS11", inventory, "", "build>2016:CU11", "");
    EXPECT_CHOSEN("LON-CAS[2,11]", inventory, "", "build>=2016:CU11", "");
    EXPECT_CHOSEN("LON-CAS[2,11]", inventory, "", " fix = has ", "");
    EXPECT_CHOSEN("LON-CAS[1,10]", inventory, "", "fix=lacks", "");
    EXPECT_CHOSEN("FRA-CAS1,LON-EDGE", inventory, "", "fix=unknown", "");
    EXPECT_CHOSEN("LON-CAS11", inventory, "", "product=2019", "");
    EXPECT_CHOSEN("FRA-CAS1,LON-CAS[1-2,10-11],LON-EDGE", inventory, "", "state=silent", "");
}

/* Why: a mistyped name must be told, most of all among those to be left out. */
TEST(inventory, what_matches_nothing_is_named)
{
    CAS_AUTO(inventory) inventory = small_farm();
    char names[256];
    struct cas_why why = {.text = ""};
    EXPECT_ERR(CAS_ERR_NOT_FOUND, choose(inventory, "LON-CAS[1-3]", "", "", names, &why));
    EXPECT_TEXT_HAS("LON-CAS3", why.text);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, choose(inventory, "", "", "LON-CSA1", names, &why));
    EXPECT_TEXT_HAS("LON-CSA1", why.text);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, choose(inventory, "", "site=NYC", "", names, &why));
    EXPECT_TEXT_HAS("site=NYC", why.text);
}

TEST(inventory, a_bad_selector_is_refused_by_column)
{
    CAS_AUTO(inventory) inventory = small_farm();
    static const struct {
        const char *selector;
        enum cas_err err;
        const char *says;
    } bad[] = {{"site", CAS_ERR_FORMAT, "column 1"},
               {"site=LON,colour=red", CAS_ERR_FORMAT, "column 10"},
               {"site=", CAS_ERR_FORMAT, "column 6"},
               {"site<LON", CAS_ERR_FORMAT, "only build has an order"},
               {"state=ill", CAS_ERR_FORMAT, "silent"},
               {"fix=maybe", CAS_ERR_FORMAT, "has, lacks or unknown"},
               {"product=2010", CAS_ERR_FORMAT, "2013"},
               {"build<2016:CU99", CAS_ERR_RANGE, "2016:CU99"},
               {"build<eleven", CAS_ERR_FORMAT, "eleven"},
               {",site=LON", CAS_ERR_FORMAT, "column 1"}};
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        char names[256];
        struct cas_why why = {.text = ""};
        EXPECT_ERR(bad[i].err, choose(inventory, "", bad[i].selector, "", names, &why));
        EXPECT_TEXT_HAS(bad[i].says, why.text);
    }
    char many[256] = "";
    struct cas_text text = CAS_TEXT(many);
    for (int i = 0; i < 17; i++)
        cas_text_add(&text, "%ssite=LON", i == 0 ? "" : ",");
    char names[256];
    struct cas_why why = {.text = ""};
    EXPECT_ERR(CAS_ERR_TOO_MANY, choose(inventory, "", many, "", names, &why));
    many[strlen(many) - strlen(",site=LON")] = '\0';
    EXPECT_OK(choose(inventory, "", many, "", names, &why), &why);
}

/* Why: R12 and R10. A server is in service only while a fresh heartbeat says so, by the age of the
 * tick it echoes. The order decides which word an operator reads. */
TEST(inventory, in_service_needs_fresh_good_health)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    struct record_worker worker = {.pid = 10, .start_ms = 5};
    struct message_hb hb = good_hb(&worker);
    int64_t mono_ms = base_now.mono_ms;

    EXPECT_INT_EQ(SERVICE_SILENT, inventory_service_of(server, mono_ms));
    inventory_heartbeat(server, &hb, 0, base_now); /* echoes a tick of an earlier run */
    EXPECT_INT_EQ(SERVICE_SILENT, inventory_service_of(server, mono_ms));
    inventory_heartbeat(server, &hb, mono_ms, base_now);
    EXPECT_INT_EQ(SERVICE_UP, inventory_service_of(server, mono_ms));
    EXPECT_INT_EQ(SERVICE_UP, inventory_service_of(server, mono_ms + FRESH_MS));
    EXPECT_INT_EQ(SERVICE_SILENT, inventory_service_of(server, mono_ms + FRESH_MS + 1));

    hb.probe_seq++;
    hb.health = HEALTH_UNKNOWN;
    inventory_heartbeat(server, &hb, mono_ms, base_now);
    EXPECT_INT_EQ(SERVICE_UNPROBED, inventory_service_of(server, mono_ms));
    hb.health = HEALTH_BAD;
    inventory_heartbeat(server, &hb, mono_ms, base_now);
    EXPECT_INT_EQ(SERVICE_SICK, inventory_service_of(server, mono_ms));
    hb.has_maintenance = true;
    hb.maintenance = cas_slice_of("CU23 by ops.b");
    inventory_heartbeat(server, &hb, mono_ms, base_now);
    EXPECT_INT_EQ(SERVICE_MAINTENANCE, inventory_service_of(server, mono_ms));
    hb.is_drained = true;
    inventory_heartbeat(server, &hb, mono_ms, base_now);
    EXPECT_INT_EQ(SERVICE_DRAINED, inventory_service_of(server, mono_ms));
    inventory_lost(server);
    EXPECT_INT_EQ(SERVICE_DRAINED, inventory_service_of(server, mono_ms));
}

/* Why: R10. A heartbeat that was held up in the network arrives "now" and says how it was then. */
TEST(inventory, a_late_heartbeat_changes_nothing)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    struct record_worker worker = {.pid = 10, .start_ms = 5};
    struct message_hb hb = good_hb(&worker);
    hb.probe_seq = 7;
    hb.health = HEALTH_BAD;
    inventory_heartbeat(server, &hb, base_now.mono_ms, base_now);

    hb.health = HEALTH_GOOD;
    hb.probe_seq = 8;
    inventory_heartbeat(server, &hb, base_now.mono_ms - 1, base_now);
    EXPECT_INT_EQ(HEALTH_BAD, server->live.health);
    hb.probe_seq = 6;
    inventory_heartbeat(server, &hb, base_now.mono_ms, base_now);
    EXPECT_INT_EQ(HEALTH_BAD, server->live.health);
    hb.probe_seq = 8;
    inventory_heartbeat(server, &hb, base_now.mono_ms, base_now);
    EXPECT_INT_EQ(HEALTH_GOOD, server->live.health);
}

/* Why: an agent that started anew has not been probed yet; what its last run said is not known. */
TEST(inventory, a_new_run_of_the_agent_starts_unknown)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    struct record_worker worker = {.pid = 10, .start_ms = 5};
    struct message_hb hb = good_hb(&worker);
    struct message_hello hello = {.agent_ver = cas_slice_of("0.1.0"),
                                  .boot_id = {1},
                                  .journal_head = 12,
                                  .wall_ms = base_now.wall_ms + 31000};
    inventory_heartbeat(server, &hb, base_now.mono_ms, base_now);
    inventory_hello(server, &hello, base_now); /* the same run, connected anew */
    EXPECT_INT_EQ(SERVICE_UP, inventory_service_of(server, base_now.mono_ms));
    EXPECT_INT_EQ(31000, server->live.skew_ms);
    hello.boot_id[0] = 2;
    inventory_hello(server, &hello, base_now);
    EXPECT_INT_EQ(SERVICE_SILENT, inventory_service_of(server, base_now.mono_ms));
    EXPECT_TRUE(server->live.is_connected);
    EXPECT_UINT_EQ(12, server->live.journal_head);
    EXPECT_TEXT_EQ("0.1.0", server->live.agent_ver);
    EXPECT_INT_EQ(base_now.wall_ms, server->live.heard_ms);
}

static bool settle(struct inventory_server *server, double value, int64_t at_ms, uint32_t pid)
{
    struct record_worker worker = {.pid = pid, .start_ms = pid};
    struct message_hb hb = good_hb(&worker);
    struct cas_now now = {base_now.wall_ms + at_ms, base_now.mono_ms + at_ms};
    hb.probe_seq = server->live.probe_seq + 1;
    hb.active_requests = value;
    hb.has_active_requests = value >= 0;
    inventory_heartbeat(server, &hb, now.mono_ms, now);
    return inventory_is_settled(server, now.mono_ms);
}

/* Why: the next wave waits until those that were moved have found their servers again. Settled is
 * within 10 % for two minutes; not known is not settled. */
TEST(inventory, requests_settle_after_two_quiet_minutes)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    EXPECT_FALSE(settle(server, 1000, 0, 1));
    EXPECT_FALSE(settle(server, 1090, 60000, 1));
    EXPECT_FALSE(settle(server, 1000, 119999, 1));
    EXPECT_TRUE(settle(server, 1050, 120000, 1));
    /* 1000 to 1120 is more than 10 %: from here on anew. */
    EXPECT_FALSE(settle(server, 1120, 130000, 1));
    EXPECT_FALSE(settle(server, 1120, 249999, 1));
    EXPECT_TRUE(settle(server, 1120, 250000, 1));
    /* A new worker, and the count from then on. */
    EXPECT_FALSE(settle(server, 1120, 260000, 2));
    EXPECT_TRUE(settle(server, 1120, 380000, 2));
    EXPECT_FALSE(settle(server, -1, 390000, 2));
    EXPECT_FALSE(settle(server, 1120, 400000, 2));
    EXPECT_TRUE(settle(server, 1120, 520000, 2));
    EXPECT_FALSE(inventory_is_settled(server, base_now.mono_ms + 520000 + FRESH_MS + 1));
}

/* Why: on a quiet night two users more are not a swing. */
TEST(inventory, few_requests_settle_too)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    EXPECT_FALSE(settle(server, 3, 0, 1));
    EXPECT_FALSE(settle(server, 5, 60000, 1));
    EXPECT_TRUE(settle(server, 4, 120000, 1));
    EXPECT_FALSE(settle(server, 6, 130000, 1));
}

TEST(inventory, a_build_fact_becomes_a_build_and_an_unreadable_one_takes_it_back)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "FRA-CAS1");
    struct record_fact fact = {.key = cas_slice_of("exchange.build"),
                               .has_value = true,
                               .value = cas_slice_of("15.01.1591.010")};
    EXPECT_TRUE(inventory_record_fact(server, &fact, 10));
    EXPECT_TRUE(server->has_build);
    EXPECT_UINT_EQ(1591, server->build.part[2]);
    EXPECT_FALSE(inventory_record_fact(server, &fact, 20)); /* the same, later */

    fact = (struct record_fact){.key = cas_slice_of("exchange.build"),
                                .has_reason = true,
                                .reason = cas_slice_of("access denied")};
    EXPECT_TRUE(inventory_record_fact(server, &fact, 30));
    EXPECT_FALSE(server->has_build);
    EXPECT_FALSE(server->fact[0].is_known);
    EXPECT_TEXT_EQ("access denied", server->fact[0].reason);
    EXPECT_TEXT_EQ("15.01.1591.010", server->fact[0].value);
}

TEST(inventory, facts_end_at_their_limit)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "FRA-CAS1");
    char key[32];
    for (int i = 0; i <= INVENTORY_FACTS; i++) {
        (void)snprintf(key, sizeof key, "fact.%d", i);
        struct record_fact fact = {.key = cas_slice_of(key),
                                   .has_value = true,
                                   .value = cas_slice_of("1")};
        EXPECT_TRUE(inventory_record_fact(server, &fact, 1) == (i < INVENTORY_FACTS));
    }
    EXPECT_UINT_EQ(INVENTORY_FACTS, server->fact_n);
    struct record_fact known = {.key = cas_slice_of("fact.0"),
                                .has_value = true,
                                .value = cas_slice_of("2")};
    EXPECT_TRUE(inventory_record_fact(server, &known, 2));
}

/* Why: a symptom that cannot be read keeps its reason, never an old number that looks current; and
 * an agent newer than the controller may send symptoms it does not know. */
TEST(inventory, readings_keep_value_time_or_reason)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    struct record_reading readings[] = {
        {.symptom = SYMPTOM_close_wait, .has_value = true, .value = 1904},
        {.symptom = SYMPTOM_END, .has_value = true, .value = 1},
        {.symptom = 255, .has_value = true, .value = 1},
        {.symptom = SYMPTOM_ports_used, .has_reason = true, .reason = cas_slice_of("no netstat")}};
    struct record_sample sample = {.readings = readings, .readings_n = CAS_COUNT(readings)};
    inventory_record_sample(server, &sample, 50);
    EXPECT_TRUE(server->value[SYMPTOM_close_wait].is_known);
    EXPECT_NEAR(1904, server->value[SYMPTOM_close_wait].value, 0);
    EXPECT_INT_EQ(50, server->value[SYMPTOM_close_wait].at_ms);
    EXPECT_FALSE(server->value[SYMPTOM_ports_used].is_known);
    EXPECT_TEXT_EQ("no netstat", inventory_reason(&server->value[SYMPTOM_ports_used]));

    /* The agent's clock was set back: what comes last counts. */
    readings[0].has_value = false;
    inventory_record_sample(server, &sample, 40);
    EXPECT_FALSE(server->value[SYMPTOM_close_wait].is_known);
    EXPECT_INT_EQ(40, server->value[SYMPTOM_close_wait].at_ms);

    /* A reason is cut at its limit, and gone once the value is known. */
    char long_reason[REASON_BYTES + 1];
    memset(long_reason, 'r', sizeof long_reason - 1);
    long_reason[sizeof long_reason - 1] = '\0';
    readings[3].reason = cas_slice_of(long_reason);
    inventory_record_sample(server, &sample, 60);
    EXPECT_UINT_EQ(REASON_BYTES - 1, strlen(inventory_reason(&server->value[SYMPTOM_ports_used])));
    readings[3] = (struct record_reading){.symptom = SYMPTOM_ports_used, .has_value = true};
    inventory_record_sample(server, &sample, 70);
    EXPECT_TEXT_EQ("", inventory_reason(&server->value[SYMPTOM_ports_used]));
}

TEST(inventory, port_events_are_counted)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    struct record_event event = {.id = 4227, .provider = cas_slice_of("Tcpip"), .count = 38};
    inventory_record_event(server, &event, 100);
    inventory_record_event(server, &event, 200);
    event.id = 4231;
    event.count = 2;
    inventory_record_event(server, &event, 300);
    event.id = 4232;
    inventory_record_event(server, &event, 400);
    EXPECT_UINT_EQ(76, server->event_4227_n);
    EXPECT_INT_EQ(200, server->event_4227_ms);
    EXPECT_UINT_EQ(2, server->event_4231_n);
    EXPECT_INT_EQ(300, server->event_4231_ms);
}

/* Why: a recycle by Exchange itself is seen as one, whoever ordered it. */
TEST(inventory, a_new_worker_is_noticed)
{
    CAS_AUTO(inventory) inventory = small_farm();
    struct inventory_server *server = named(inventory, "LON-CAS1");
    (void)settle(server, 10, 0, 1);
    EXPECT_INT_EQ(0, server->recycled_ms);
    (void)settle(server, 10, 5000, 1);
    EXPECT_INT_EQ(0, server->recycled_ms);
    (void)settle(server, 10, 10000, 2);
    EXPECT_INT_EQ(base_now.wall_ms + 10000, server->recycled_ms);
}
