#include <stdlib.h>
#include <string.h>

#include "agent/agent_loop.h"
#include "proto/base/failpoint.h"
#include "proto/base/log.h"
#include "proto/trust/keys.h"
#include "tests/unit/test.h"

static void on_send(void *context, struct cas_slice frame)
{
    (void)context;
    (void)frame;
}

/* How often the log has the part. */
static size_t count(const char *log, const char *part)
{
    size_t size = 0, n = 0;
    size_t part_size = strlen(part);
    char *text = test_read(log, &size);
    for (size_t at = 0; at + part_size <= size; at++)
        n += memcmp(text + at, part, part_size) == 0 ? 1 : 0;
    free(text);
    return n;
}

/* Why: who reads "samples are dropped" looks for a gap that is not there. How: a sample a second;
 * first only the sync that makes sure of them fails, then their commits as well, then all is well;
 * and once more the sync alone. */
TEST(agent_report, a_sync_that_fails_is_no_lost_sample_and_a_lost_one_is_told)
{
    static const struct {
        const char *failpoint;
        size_t trouble_n, dropped_n, back_n; /* lines so far */
        uint64_t lost_n;
    } stages[] = {{"outbox.sync:1+:eio", 1, 0, 0, 0},
                  {"outbox.sync:1+:eio,outbox.commit:1+:eio", 2, 1, 0, 30},
                  {NULL, 2, 1, 1, 30},
                  {"outbox.sync:1+:eio", 3, 1, 1, 30},
                  {NULL, 3, 1, 2, 30}};
    struct cas_why why = {.text = ""};
    struct host_sim_settings sim;
    struct cas_now now = {.wall_ms = 1700000000000, .mono_ms = 1000};
    CAS_AUTO(host) host = NULL;
    const char *log = test_path("log");
    host_sim_settings_init(&sim);
    EXPECT_OK(host_sim_open(&sim, now, &host, &why), &why);
    EXPECT_OK(keys_start(&why), &why);
    EXPECT_OK(log_open(log, &why), &why);
    struct agent_settings settings = {.host = host,
                                      .ledger_path = test_path("ledger.db"),
                                      .outbox_path = test_path("outbox.db"),
                                      .sample_ms = 1000,
                                      .pool = {"MSExchangeSyncAppPool"},
                                      .pool_n = 1,
                                      .send = on_send};
    struct agent *agent = NULL;
    EXPECT_OK(agent_open(&settings, now, &agent, &why), &why);
    for (size_t i = 0; i < CAS_COUNT(stages); i++) {
        failpoint_set(stages[i].failpoint);
        for (int second = 0; second < 30; second++) {
            now.wall_ms += 1000;
            now.mono_ms += 1000;
            (void)agent_tick(agent, now);
        }
        EXPECT_UINT_EQ(stages[i].trouble_n, count(log, " outbox_failed "));
        EXPECT_UINT_EQ(stages[i].dropped_n, count(log, "samples are dropped and counted"));
        EXPECT_UINT_EQ(stages[i].trouble_n - stages[i].dropped_n,
                       count(log, "no sample is lost by it, and it is tried again"));
        EXPECT_UINT_EQ(stages[i].back_n > 0 ? 1 : 0, count(log, " 30 samples were lost"));
        EXPECT_UINT_EQ(stages[i].back_n > 1 ? 1 : 0, count(log, " 0 samples were lost"));
        EXPECT_UINT_EQ(stages[i].lost_n, agent_counts(agent).samples_dropped);
    }
    agent_free(agent);
    log_close();
}
