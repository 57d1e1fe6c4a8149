#include "tests/unit/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/host/scene_raw.h"

#define POOL "MSExchangeSyncAppPool"

enum {
    NAME_UNITS = 512
};

/* Items as PDH hands them over, from ASCII names. */
struct array {
    uint16_t unit[16][NAME_UNITS];
    struct scene_item item[16];
    size_t item_n;
};

static void array_add(struct array *array, const char *name, double value)
{
    size_t size = strlen(name);
    uint16_t *unit = array->unit[array->item_n];

    for (size_t i = 0; i < size; i++)
        unit[i] = (unsigned char)name[i];
    array->item[array->item_n++] = (struct scene_item){unit, size, value};
}

static struct scene_counters *counters_new(void)
{
    struct scene_counters *counters = malloc(sizeof *counters);

    EXPECT_TRUE(counters != NULL);
    scene_counters_clear(counters);
    return counters;
}

static double
value_of(const struct scene_counters *counters, enum capture_counter kind, const char *instance)
{
    for (size_t i = 0; i < counters->row_n; i++)
        if (counters->row[i].kind == kind && strcmp(counters->row[i].instance, instance) == 0)
            return counters->row[i].value;
    return -1;
}

/* Why: a path that Windows does not know gives no value, ever, and a pool's name in one would be
 * taken apart. */
TEST(scene_counters, paths_are_english_and_ask_for_every_instance)
{
    char path[128];
    struct cas_text text = CAS_TEXT(path);

    scene_counters_path(CAPTURE_WORKER_ACTIVE, &text);
    EXPECT_TEXT_EQ("\\W3SVC_W3WP(*)\\Active Requests", path);
    cas_text_clear(&text);
    scene_counters_path(CAPTURE_CLR_HEAP, &text);
    EXPECT_TEXT_EQ("\\.NET CLR Memory(*)\\# Bytes in all Heaps", path);
    cas_text_clear(&text);
    scene_counters_path(CAPTURE_QUEUE_REJECTED, &text);
    EXPECT_TEXT_EQ("\\HTTP Service Request Queues(*)\\RejectedRequests", path);
    cas_text_clear(&text);
    scene_counters_path(CAPTURE_CPU, &text);
    EXPECT_TEXT_EQ("\\Processor(_Total)\\% Processor Time", path);
    cas_text_clear(&text);
    scene_counters_path(CAPTURE_EAS_PINGS, &text);
    EXPECT_TEXT_EQ("\\MSExchange ActiveSync\\Ping Commands Pending", path);

    EXPECT_TRUE(scene_counters_is_array(CAPTURE_PROCESS_PID));
    EXPECT_FALSE(scene_counters_is_array(CAPTURE_CPU));
    EXPECT_FALSE(scene_counters_is_array(CAPTURE_MEMORY_BYTES));
}

/* Why: in an array PDH gives every worker process the name w3wp; without the numbers that paths
 * carry, the memory of one worker would be told of another.
 * How: three workers among other processes, in the same order for two counters. */
TEST(scene_counters, equal_names_are_numbered_the_same_for_every_counter)
{
    struct array pid = {0};
    struct array bytes = {0};
    struct scene_counters *counters = counters_new();

    array_add(&pid, "Idle", 0);
    array_add(&pid, "w3wp", 4120);
    array_add(&pid, "svchost", 700);
    array_add(&pid, "w3wp", 7788);
    array_add(&pid, "W3WP", 9001);
    array_add(&pid, "_Total", 0);
    array_add(&bytes, "Idle", 1);
    array_add(&bytes, "w3wp", 100e6);
    array_add(&bytes, "svchost", 2);
    array_add(&bytes, "w3wp", NAN);
    array_add(&bytes, "W3WP", 300e6);
    array_add(&bytes, "_Total", 3);

    EXPECT_INT_EQ(
        3,
        scene_counters_add_array(counters, CAPTURE_PROCESS_PID, POOL, pid.item, pid.item_n));
    EXPECT_INT_EQ(3,
                  scene_counters_add_array(counters,
                                           CAPTURE_PROCESS_PRIVATE,
                                           POOL,
                                           bytes.item,
                                           bytes.item_n));
    EXPECT_INT_EQ(6, counters->row_n);
    EXPECT_TRUE(value_of(counters, CAPTURE_PROCESS_PID, "w3wp") == 4120);
    EXPECT_TRUE(value_of(counters, CAPTURE_PROCESS_PID, "w3wp#1") == 7788);
    EXPECT_TRUE(value_of(counters, CAPTURE_PROCESS_PID, "W3WP#2") == 9001);
    EXPECT_TRUE(value_of(counters, CAPTURE_PROCESS_PRIVATE, "w3wp") == 100e6);
    EXPECT_TRUE(isnan(value_of(counters, CAPTURE_PROCESS_PRIVATE, "w3wp#1")));
    EXPECT_TRUE(value_of(counters, CAPTURE_PROCESS_PRIVATE, "W3WP#2") == 300e6);
    free(counters);
}

/* Why: a provider may number by itself, or name processes by PID; no two rows may be called the
 * same. */
TEST(scene_counters, names_with_numbers_of_their_own_stay_apart)
{
    struct array array = {0};
    struct scene_counters *counters = counters_new();

    array_add(&array, "w3wp", 1);
    array_add(&array, "w3wp#1", 2);
    array_add(&array, "w3wp", 3);
    array_add(&array, "w3wp_p4120_r3", 4);
    array_add(&array, "w3wpsvc", 5);
    EXPECT_INT_EQ(
        4,
        scene_counters_add_array(counters, CAPTURE_CLR_PID, POOL, array.item, array.item_n));
    EXPECT_TRUE(value_of(counters, CAPTURE_CLR_PID, "w3wp") == 1);
    EXPECT_TRUE(value_of(counters, CAPTURE_CLR_PID, "w3wp#1") == 2);
    EXPECT_TRUE(value_of(counters, CAPTURE_CLR_PID, "w3wp#2") == 3);
    EXPECT_TRUE(value_of(counters, CAPTURE_CLR_PID, "w3wp_p4120_r3") == 4);
    free(counters);
}

TEST(scene_counters, only_the_pool_s_workers_are_kept)
{
    struct array array = {0};
    struct scene_counters *counters = counters_new();

    array_add(&array, "_Total", 90);
    array_add(&array, "4120_msexchangesyncapppool", 10);
    array_add(&array, "4121_MSExchangeSyncAppPool2", 11);
    array_add(&array, "4122_MSExchangeOWAAppPool", 12);
    array_add(&array, "7788_" POOL, 13);
    EXPECT_INT_EQ(
        2,
        scene_counters_add_array(counters, CAPTURE_WORKER_ACTIVE, POOL, array.item, array.item_n));
    EXPECT_TRUE(value_of(counters, CAPTURE_WORKER_ACTIVE, "4120_msexchangesyncapppool") == 10);
    EXPECT_TRUE(value_of(counters, CAPTURE_WORKER_ACTIVE, "7788_" POOL) == 13);
    free(counters);
}

/* Why: ( ) # / \ and * have a meaning in counter paths, so providers write others in instance
 * names; but another pool that has the very name comes first. */
TEST(scene_counters, a_pool_s_name_with_marks_of_paths_is_found)
{
    struct array array = {0};
    struct scene_counters *counters = counters_new();
    const char *pool = "Sync (old) #1/2*";

    array_add(&array, "Sync [old] _1_2_", 5);
    array_add(&array, "Sync (new) #1/2*", 6);
    EXPECT_INT_EQ(
        1,
        scene_counters_add_array(counters, CAPTURE_QUEUE_REJECTED, pool, array.item, array.item_n));
    EXPECT_TRUE(value_of(counters, CAPTURE_QUEUE_REJECTED, pool) == 5);

    scene_counters_clear(counters);
    array_add(&array, "sync (OLD) #1/2*", 7);
    EXPECT_INT_EQ(
        1,
        scene_counters_add_array(counters, CAPTURE_QUEUE_REJECTED, pool, array.item, array.item_n));
    EXPECT_TRUE(value_of(counters, CAPTURE_QUEUE_REJECTED, pool) == 7);
    free(counters);
}

/* Why: a server with more workers than anybody thought of must not write past the rows, and must
 * say that some are missing. */
TEST(scene_counters, rows_beyond_the_limit_are_counted)
{
    struct array array = {0};
    struct scene_counters *counters = counters_new();

    array_add(&array, "w3wp", 1);
    for (size_t i = 0; i < SCENE_COUNTERS - 1; i++)
        scene_counters_add_value(counters, CAPTURE_MEMORY_BYTES, (double)i);
    EXPECT_INT_EQ(SCENE_COUNTERS - 1, counters->row_n);
    EXPECT_INT_EQ(1, scene_counters_add_array(counters, CAPTURE_CLR_PID, POOL, array.item, 1));
    EXPECT_INT_EQ(SCENE_COUNTERS, counters->row_n);
    EXPECT_INT_EQ(0, counters->dropped_n);
    EXPECT_INT_EQ(1, scene_counters_add_array(counters, CAPTURE_CLR_PID, POOL, array.item, 1));
    EXPECT_INT_EQ(SCENE_COUNTERS, counters->row_n);
    EXPECT_INT_EQ(1, counters->dropped_n);
    free(counters);
}

/* How: names of 127 and 128 bytes, and two of 128 that are equal, so that the number must fit. */
TEST(scene_counters, a_long_name_is_cut_and_still_numbered)
{
    char name[SCENE_INSTANCE_BYTES + 1] = "w3wp_";
    struct array array = {0};
    struct scene_counters *counters = counters_new();

    memset(name + 5, 'x', SCENE_INSTANCE_BYTES - 1 - 5);
    array_add(&array, name, 1);
    name[SCENE_INSTANCE_BYTES - 1] = 'y';
    array_add(&array, name, 2);
    EXPECT_INT_EQ(2, scene_counters_add_array(counters, CAPTURE_CLR_PID, POOL, array.item, 2));
    EXPECT_INT_EQ(SCENE_INSTANCE_BYTES - 1, strlen(counters->row[0].instance));
    EXPECT_INT_EQ(SCENE_INSTANCE_BYTES - 1, strlen(counters->row[1].instance));
    EXPECT_TEXT_EQ("x#1", counters->row[1].instance + SCENE_INSTANCE_BYTES - 4);
    free(counters);
}

TEST(scene_counters, a_value_that_is_no_number_is_none)
{
    struct scene_counters *counters = counters_new();

    scene_counters_add_value(counters, CAPTURE_CPU, INFINITY);
    scene_counters_add_value(counters, CAPTURE_EAS_REQUESTS, 12.5);
    EXPECT_TRUE(isnan(value_of(counters, CAPTURE_CPU, "_Total")));
    EXPECT_TRUE(value_of(counters, CAPTURE_EAS_REQUESTS, "") == 12.5);
    free(counters);
}

/* Why: counters that were absent are tried again when the pool got another worker. */
TEST(scene_counters, another_worker_changes_the_sum)
{
    struct array one = {0};
    struct array other = {0};
    struct array both = {0};
    struct scene_counters *counters = counters_new();

    EXPECT_TRUE(scene_counters_workers(counters) == 0);
    array_add(&one, "4120_" POOL, 1);
    array_add(&other, "4121_" POOL, 1);
    array_add(&both, "4121_" POOL, 1);
    array_add(&both, "4120_" POOL, 7);
    (void)scene_counters_add_array(counters, CAPTURE_WORKER_ACTIVE, POOL, one.item, 1);
    uint64_t sum_one = scene_counters_workers(counters);
    scene_counters_clear(counters);
    (void)scene_counters_add_array(counters, CAPTURE_WORKER_ACTIVE, POOL, other.item, 1);
    uint64_t sum_other = scene_counters_workers(counters);
    scene_counters_clear(counters);
    (void)scene_counters_add_array(counters, CAPTURE_WORKER_ACTIVE, POOL, both.item, 2);
    uint64_t sum_both = scene_counters_workers(counters);
    EXPECT_TRUE(sum_one != 0 && sum_one != sum_other && sum_both != sum_one &&
                sum_both != sum_other);
    free(counters);
}

/* How: a character of each length, then room for one byte less than each needs. */
TEST(scene_counters, utf16_becomes_utf8_and_is_cut_between_characters)
{
    static const uint16_t all[] = {'a', 0xE4, 0x20AC, 0xD83D, 0xDE00};
    static const uint16_t half[] = {0xD83D, 'x', 0xDE00, 0xD83D};
    char text[32];

    scene_text(all, 5, text, sizeof text);
    EXPECT_TEXT_EQ("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", text);
    scene_text(all, 5, text, 11);
    EXPECT_TEXT_EQ("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", text);
    scene_text(all, 5, text, 10);
    EXPECT_TEXT_EQ("a\xC3\xA4\xE2\x82\xAC", text);
    scene_text(all, 5, text, 6);
    EXPECT_TEXT_EQ("a\xC3\xA4", text);
    scene_text(all, 5, text, 3);
    EXPECT_TEXT_EQ("a", text);
    scene_text(all, 5, text, 1);
    EXPECT_TEXT_EQ("", text);
    scene_text(half, 4, text, sizeof text);
    EXPECT_TEXT_EQ("\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD", text);
}

/* Why: CLOSE_WAIT is what the leak leaves behind; a number of a later Windows must not become
 * one. */
TEST(scene_sockets, numbers_of_the_tcp_table_become_states)
{
    EXPECT_INT_EQ(CAPTURE_STATE_LISTENING, scene_socket_state(2));
    EXPECT_INT_EQ(CAPTURE_STATE_ESTABLISHED, scene_socket_state(5));
    EXPECT_INT_EQ(CAPTURE_STATE_CLOSE_WAIT, scene_socket_state(8));
    EXPECT_INT_EQ(CAPTURE_STATE_TIME_WAIT, scene_socket_state(11));
    EXPECT_INT_EQ(CAPTURE_STATE_CLOSED, scene_socket_state(12));
    EXPECT_INT_EQ(CAPTURE_STATE_BOUND, scene_socket_state(100));
    EXPECT_INT_EQ(CAPTURE_STATE_UNKNOWN, scene_socket_state(0));
    EXPECT_INT_EQ(CAPTURE_STATE_UNKNOWN, scene_socket_state(13));
    EXPECT_INT_EQ(CAPTURE_STATE_UNKNOWN, scene_socket_state(UINT32_MAX));
}

TEST(scene_sockets, a_port_s_upper_half_is_nothing)
{
    EXPECT_INT_EQ(443, scene_socket_port(0xBB01));
    EXPECT_INT_EQ(443, scene_socket_port(0xDEADBB01));
}
