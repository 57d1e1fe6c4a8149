/* ask.h - an operator asked: is it allowed, what is done, what is the answer?
 *
 * One handler a verb (asks.def); the role is checked before the handler sees the question. Handlers
 * read inventory, book and store, change them only through scene->commit, and answer with a
 * document made by view. Used by the controller's loop. */
#ifndef CONTROLLER_ASK_ASK_H
#define CONTROLLER_ASK_ASK_H

#include "controller/store/store.h"
#include "controller/view/view.h"
#include "proto/base/cas.h"
#include "proto/wire/asks.h"

enum ask_exit { /* the exit-code contract of the command line */
    ASK_EXIT_OK = 0,
    ASK_EXIT_ATTENTION = 1, /* a target failed or needs attention */
    ASK_EXIT_USAGE = 2,
    ASK_EXIT_UNREACHABLE = 3, /* the command line's own: no controller */
    ASK_EXIT_DENIED = 4,
    ASK_EXIT_NOTHING = 5, /* nothing matched */
    ASK_EXIT_GUARD = 6,   /* floor, window, stale plan */
    ASK_EXIT_STOPPED = 7, /* stopped or declined */
    ASK_EXIT_WORK = 10,   /* plan --exit-code: there is work */
};
struct ask_operator {
    char name[CAS_NAME_BYTES];
    enum ask_role role;
};
/* Everything a handler may look at or change. Borrowed for one call. */
struct ask_scene {
    struct cas_now now;
    int64_t started_ms; /* wall: when this controller started */
    struct inventory *inventory;
    struct rollout_book *book;
    struct store *store;
    const struct view_waiting *waiting; /* [waiting_n] */
    size_t waiting_n;
    uint64_t refused_n;  /* handshakes refused since the start */
    const char *trouble; /* why nothing can be stored now; NULL: it can */
    int64_t trouble_ms;  /* wall: since when */
    void *context;
    /* Saves and notes all actions in one commit with an audit row by the operator, then sends; on
     * an error the book is as before and nothing was sent. */
    enum cas_err (*commit)(void *context,
                           const struct rollout_actions *actions,
                           const struct store_audit *audit,
                           struct cas_why *why);
    /* Admission changes: saved, audited, in force for the next message and handshake when they
     * return. */
    enum cas_err (*approve)(void *context,
                            const char *name,
                            const uint8_t key[CAS_KEY_BYTES],
                            char label[LABEL_N][LABEL_BYTES],
                            const struct store_audit *audit,
                            struct cas_why *why);
    enum cas_err (*revoke)(void *context,
                           uint32_t server_id,
                           const struct store_audit *audit,
                           struct cas_why *why);
    enum cas_err (*label)(void *context,
                          uint32_t server_id,
                          enum inventory_label label,
                          const char *value,
                          const struct store_audit *audit,
                          struct cas_why *why);
};
struct ask_reply {
    enum ask_exit exit;
    char error[512]; /* "" none */
    char *document;  /* JSON, ASCII; caller frees; NULL none */
    size_t size;
};
/* Never fails: what goes wrong is in the reply. Audits denials. */
void ask_answer(struct ask_scene *scene,
                const struct ask_operator *who,
                const struct message_ask *ask,
                struct ask_reply *ret_reply);
void ask_reply_done(struct ask_reply *reply);

#endif
