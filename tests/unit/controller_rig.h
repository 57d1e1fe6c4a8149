/* controller_rig.h - how does a test run the controller's loop without clock, network and handlers?
 *
 * The real loop, core, store and codec; a virtual clock, frames in a row, agents as small as the
 * protocol allows, and in place of ask a handler that the test names. */
#ifndef TESTS_UNIT_CONTROLLER_RIG_H
#define TESTS_UNIT_CONTROLLER_RIG_H

#include "controller/controller_loop.h"
#include "proto/trust/keys.h"

enum {
    SERVERS = 3,
    SENT_MOST = 4096,
    STEP_MS = 50
};

/* ---- one agent, as small as the protocol allows ---- */

struct mock_agent {
    uint32_t server_id;
    struct keys_public key;
    uint32_t route;
    bool is_mute;         /* hears and says nothing */
    bool is_slow_to_tell; /* acts, and does not say so */
    bool is_held;         /* by its own people */
    bool has_done;
    uint8_t done_id[CAS_ID_BYTES]; /* in its journal */
    uint8_t spool;
    uint64_t journal_head, probe_seq;
    uint32_t pid;
    int64_t start_ms;
    uint8_t nonce;
    bool has_plan;
    int acts;
    int heard[64]; /* messages by type */
    uint64_t ack_upto;
    uint64_t epoch;
};

struct rig {
    struct controller *controller;
    struct store_memory *memory;
    struct keys *command;
    struct cas_now now;
    struct mock_agent agent[SERVERS + 1]; /* by server id */
    struct channel_route operator_route;
    struct keys_public operator_key;
    char operators[256];
    char uri[64]; /* of its own in each test: one that failed leaves its database behind */
    struct {
        struct channel_route route;
        uint8_t *bytes;
        size_t size;
    } sent[SENT_MOST];
    size_t sent_n, sent_at;
    enum cas_err operator_err; /* what sending to the operator yields */
    struct cas_arena *arena;
    char answer[400000];
    size_t answer_size;
    uint64_t answer_exit;
    char answer_error[512];
    bool is_answered;
    int notes;
    bool is_ack_early; /* an ACK was sent while its rows were not committed */
    uint64_t next_ask;
};

/* What an ASK does. */
extern void (*rig_handle)(struct ask_scene *scene,
                          const struct message_ask *ask,
                          struct ask_reply *reply);
void rig_handle_run(struct ask_scene *scene,
                    const struct message_ask *ask,
                    struct ask_reply *reply); /* plans all servers and runs the plan at once */
extern uint32_t rig_handle_server;
void rig_handle_revoke(struct ask_scene *scene,
                       const struct message_ask *ask,
                       struct ask_reply *reply); /* rig_handle_server */
extern struct keys_public rig_handle_key;
void rig_handle_approve(struct ask_scene *scene,
                        const struct message_ask *ask,
                        struct ask_reply *reply); /* rig_handle_server, with rig_handle_key */
void rig_handle_document(struct ask_scene *scene,
                         const struct message_ask *ask,
                         struct ask_reply *reply);
void rig_handle_deny(struct ask_scene *scene,
                     const struct message_ask *ask,
                     struct ask_reply *reply);

struct rig *rig_open(void);
void rig_free(struct rig *rig);
CAS_AUTO_DEFINE(rig);
void rig_start(struct rig *rig); /* a controller on the database as it is */

void rig_put_from(struct rig *rig,
                  const struct keys_public *key,
                  struct channel_route route,
                  const struct message *message);
void rig_put(struct rig *rig, struct mock_agent *agent, const struct message *message);
void rig_hello(struct rig *rig, struct mock_agent *agent, uint64_t epoch_max);
void rig_hb(struct rig *rig, struct mock_agent *agent, uint64_t echo, uint64_t epoch);
/* n events from position first, each of text_size bytes more. */
void rig_report(struct rig *rig,
                struct mock_agent *agent,
                uint64_t first,
                uint64_t n,
                size_t text_size);
/* Its data folder is new: it knows of nothing that it did. */
void rig_wipe(struct mock_agent *agent);
void rig_all_hello(struct rig *rig);
/* Hands out what was sent, in order; what comes back is handed in at once. */
void rig_play(struct rig *rig);
void rig_pass(struct rig *rig, int64_t ms); /* time */
void rig_ask(struct rig *rig, const char *verb);
/* Takes all room there is: what comes next has none. */
void rig_disk_fill(struct rig *rig);

int rig_acts(const struct rig *rig);                       /* of all agents */
size_t rig_entries_n(struct rig *rig);                     /* kept */
size_t rig_audits_n(struct rig *rig, const char *subject); /* "" all */

#endif
