#include "controller/core/need.h"

#include "tests/unit/test.h"

enum {
    WALL_MS = 1800000000
};

static void set(struct inventory_server *server, enum symptom symptom, double value, int64_t age_ms)
{
    server->value[symptom] =
        (struct inventory_value){.is_known = true, .value = value, .at_ms = WALL_MS - age_ms};
}

static char said[256];

static enum need_ram ram_of(const struct inventory_server *server)
{
    struct cas_text words = CAS_TEXT(said);
    cas_text_clear(&words);
    enum need_ram ram = need_ram_of(server, WALL_MS, &words);
    EXPECT_INT_EQ(ram, need_ram_of(server, WALL_MS, NULL));
    return ram;
}

static enum need_leak leak_of(const struct inventory_server *server)
{
    struct cas_text words = CAS_TEXT(said);
    cas_text_clear(&words);
    enum need_leak leak = need_leak_of(server, WALL_MS, &words);
    EXPECT_INT_EQ(leak, need_leak_of(server, WALL_MS, NULL));
    return leak;
}

/* Why: an overlapped recycle holds two workers at once; a server that swaps is no cure. What is not
 * known or too old is its own answer, never "fits". */
TEST(need, two_workers_fit_do_not_or_it_is_not_known)
{
    struct inventory_server server = {.id = 1};
    EXPECT_INT_EQ(RAM_UNKNOWN, ram_of(&server));
    EXPECT_TEXT_EQ("whether two workers fit in memory is not known: memory_available was never "
                   "reported",
                   said);
    set(&server, SYMPTOM_memory_available, 3.1e9, 12000);
    EXPECT_INT_EQ(RAM_UNKNOWN, ram_of(&server));
    EXPECT_TEXT_HAS("private_bytes was never reported", said);
    set(&server, SYMPTOM_private_bytes, 3.1e9, 5000);
    EXPECT_INT_EQ(RAM_FITS, ram_of(&server));
    EXPECT_TEXT_EQ("two workers fit in memory: 3.1 GB free, the worker has 3.1 GB (12 s old)",
                   said);
    EXPECT_NEAR(0, need_ram_spare(&server), 1);
    set(&server, SYMPTOM_memory_available, 3.1e9 - 1, 12000);
    EXPECT_INT_EQ(RAM_SHORT, ram_of(&server));
    EXPECT_TEXT_HAS("two workers do not fit in memory: 3.1 GB free", said);

    set(&server, SYMPTOM_memory_available, 9e9, NEED_FRESH_MS);
    EXPECT_INT_EQ(RAM_FITS, ram_of(&server));
    set(&server, SYMPTOM_memory_available, 9e9, NEED_FRESH_MS + 1);
    EXPECT_INT_EQ(RAM_UNKNOWN, ram_of(&server));
    EXPECT_TEXT_HAS("memory_available too old (10 min old)", said);
    set(&server, SYMPTOM_memory_available, 9e9, -CLOCK_SKEW_MS - 1);
    EXPECT_INT_EQ(RAM_UNKNOWN, ram_of(&server));
    set(&server, SYMPTOM_memory_available, 9e9, 0);
    server.value[SYMPTOM_private_bytes].is_known = false;
    EXPECT_INT_EQ(RAM_UNKNOWN, ram_of(&server));
    EXPECT_TEXT_HAS("private_bytes not read", said);
}

/* Why: who leaks is recycled although it has the fix, who does not is left alone; each edge, and
 * what an earlier worker left behind is no sign. */
TEST(need, a_leak_is_seen_not_seen_or_not_known)
{
    struct inventory_server server = {.id = 1, .live = {.pid = 7, .start_ms = WALL_MS - 3600000}};
    EXPECT_INT_EQ(LEAK_UNKNOWN, leak_of(&server));
    EXPECT_TEXT_EQ("whether it leaks is not known: stranded_requests was never reported", said);
    set(&server, SYMPTOM_stranded_requests, NEED_STRANDED_N - 1, 1000);
    EXPECT_INT_EQ(LEAK_UNKNOWN, leak_of(&server));
    EXPECT_TEXT_HAS("ports_used was never reported", said);
    set(&server, SYMPTOM_ports_used, 499, 1000);
    EXPECT_INT_EQ(LEAK_UNKNOWN, leak_of(&server));
    EXPECT_TEXT_HAS("ports_total was never reported", said);
    set(&server, SYMPTOM_ports_total, 1000, 1000);
    EXPECT_INT_EQ(LEAK_NONE, leak_of(&server));
    EXPECT_TEXT_EQ("no leak seen: 99 stranded requests, 50 % of its ports (1 s old)", said);
    set(&server, SYMPTOM_ports_used, 500, 1000);
    EXPECT_INT_EQ(LEAK_SIGNS, leak_of(&server));
    set(&server, SYMPTOM_ports_used, 10, 1000);
    set(&server, SYMPTOM_stranded_requests, NEED_STRANDED_N, 1000);
    EXPECT_INT_EQ(LEAK_SIGNS, leak_of(&server));
    EXPECT_TEXT_EQ("it leaks: 100 stranded requests, 1 % of its ports (1 s old)", said);
    set(&server, SYMPTOM_stranded_requests, 0, 1000);
    server.event_4227_ms = server.live.start_ms;
    EXPECT_INT_EQ(LEAK_NONE, leak_of(&server));
    server.event_4227_ms = server.live.start_ms + 1;
    EXPECT_INT_EQ(LEAK_SIGNS, leak_of(&server));
    server.event_4227_ms = 0;
    server.event_4231_ms = WALL_MS - 1000;
    EXPECT_INT_EQ(LEAK_SIGNS, leak_of(&server));
    EXPECT_TEXT_HAS("ports ran short", said);
}

TEST(need, the_age_of_a_worker_is_known_by_clocks_that_agree_alone)
{
    struct inventory_server server = {.id = 1};
    EXPECT_INT_EQ(-1, inventory_worker_age_ms(&server, WALL_MS));
    server.live.pid = 7;
    server.live.start_ms = WALL_MS - 1000;
    EXPECT_INT_EQ(1000, inventory_worker_age_ms(&server, WALL_MS));
    server.live.start_ms = WALL_MS + CLOCK_SKEW_MS;
    EXPECT_INT_EQ(0, inventory_worker_age_ms(&server, WALL_MS));
    server.live.start_ms = WALL_MS + CLOCK_SKEW_MS + 1;
    EXPECT_INT_EQ(-1, inventory_worker_age_ms(&server, WALL_MS));
    server.live.start_ms = WALL_MS - 1000;
    server.live.skew_ms = CLOCK_SKEW_MS + 1;
    EXPECT_INT_EQ(-1, inventory_worker_age_ms(&server, WALL_MS));
}

/* Why: the picture of a halt is looked at later, when it can be had no more: none of it may be cut.
 * How: all that is known at its longest, and then nothing. */
TEST(need, the_longest_picture_of_a_server_fits_a_row)
{
    char text[ROLLOUT_WORDS_BYTES];
    struct cas_text words = CAS_TEXT(text);
    struct cas_now now = {.wall_ms = WALL_MS, .mono_ms = 1000000};
    struct inventory_server server = {.id = 1, .admission = ADMISSION_APPROVED};
    struct inventory_live *live = &server.live;
    static const char before[] = ", not in the plan: ";
    for (int is_known = 0; is_known < 2; is_known++) {
        cas_text_clear(&words);
        live->proof_mono_ms = now.mono_ms;
        live->health = HEALTH_BAD;
        memset(live->health_reason, 'x', sizeof live->health_reason - 1);
        memset(live->held_reason, 'x', sizeof live->held_reason - 1);
        live->pid = is_known ? UINT32_MAX : 0;
        live->start_ms = WALL_MS - (24 * 60 - 1) * 60000;
        live->has_requests = is_known;
        live->active_requests = SCENE_REQUESTS_MOST;
        if (is_known) {
            set(&server, SYMPTOM_stranded_requests, SCENE_REQUESTS_MOST, 0);
            set(&server, SYMPTOM_ports_used, 65536, 0);
            set(&server, SYMPTOM_memory_available, SCENE_GIB_MOST * 1073741824.0, 0);
        }
        need_picture(&server, now, &words);
        EXPECT_FALSE(words.is_cut);
        EXPECT_TEXT_HAS("sick (xxx", text);
        EXPECT_TEXT_HAS("), held", text);
        EXPECT_TEXT_HAS(is_known ? "for 23 h 59 min; requests 10000000; stranded_requests 10000000"
                                 : "; not known: worker, requests, stranded_requests, ports_used, "
                                   "memory_available",
                        text);
        EXPECT_TRUE(words.used + CAS_NAME_BYTES - 1 + sizeof before - 1 < sizeof text);
    }
}
