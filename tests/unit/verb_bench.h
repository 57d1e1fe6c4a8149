/* verb_bench.h - a command desk on a workbench: a server that does what a test wants, a ledger, a
 * controller's pen. */
#ifndef TESTS_UNIT_VERB_BENCH_H
#define TESTS_UNIT_VERB_BENCH_H

#include "agent/verb/verb.h"
#include "proto/trust/order.h"
#include "tests/unit/test.h"

#define POOL "MSExchangeSyncAppPool"

enum {
    SENT_MOST = 64,
    ACT_MS = 60000,
    START_WALL_MS = 1000000
};

struct fake {
    struct host host;
    struct host_pool pool;
    enum cas_err pool_err;
    enum cas_err begin_err;
    struct host_act act;
    uint32_t begun[8]; /* by enum verb */
    enum verb running;
    bool is_stuck;   /* acts never end */
    bool is_unmoved; /* acts end and change nothing */
};

struct sent {
    enum message_type type;
    uint8_t cmd_id[CAS_ID_BYTES];
    uint8_t nonce[CAS_ID_BYTES];
    uint64_t reason;
    uint64_t state;
    uint64_t seq;
    struct message_result result;
    char text[320];
};
struct bench {
    struct fake fake;
    const char *path;
    struct ledger *ledger;
    struct verb_desk *desk;
    struct keys *command;
    struct keys_public self;
    struct cas_now now;
    struct sent sent[SENT_MOST];
    size_t sent_n;
    uint8_t dice;
    const char *held; /* by whom and why; NULL: not held */
    uint8_t plan_hash[CAS_HASH_BYTES];
    struct record_order order; /* for the next grant */
    unsigned told[VERB_NEWS_STALE + 1];
};

extern const char bench_allowed[2][POOL_BYTES];

/* The agent dies and comes back: nothing is written at the end, all in memory is gone. */
void bench_crash(struct bench *b);
void bench_done(struct bench *b);
/* A plan for one server arrives; the order is for it from now on. */
void bench_plan(struct bench *b, enum verb verb, int64_t until_ms);
void bench_init_at(struct bench *b, const char *path);
/* A server with one worker, a plan for it, and an order that would be taken; the ledger on disk or
 * anywhere. */
void bench_init(struct bench *b);
void bench_pass_ms(struct bench *b, int64_t ms);
/* Ticks as the loop would, for so long. */
void bench_run_ms(struct bench *b, int64_t ms);
struct sent *bench_last(struct bench *b);
void bench_offer(struct bench *b, const uint8_t *cmd_id);
/* OFFER; the CLAIM's nonce goes into the order. */
void bench_claim(struct bench *b);
void bench_grant_by(struct bench *b, const struct keys *keys);
void bench_grant(struct bench *b);
/* GRANT, and time for the tool to answer. */
void bench_act(struct bench *b);
/* Of what was sent last. */
void bench_ack(struct bench *b);
void bench_revoke(struct bench *b);
void bench_expect_result(struct bench *b, enum command_state state, const char *text);

#endif
