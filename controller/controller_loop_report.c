#include "controller/controller_loop_room.h"

#include <string.h>

/* The bodies above upto that mean something to the inventory, decoded; of samples only the newest.
 * A body that cannot be read spoils the report: it is not acknowledged, so that nothing is lost
 * unseen. */
static enum cas_err bodies_decode(struct controller *c,
                                  const struct message_report *report,
                                  uint64_t upto,
                                  size_t *ret_n,
                                  struct record_sample *ret_sample,
                                  int64_t *ret_sample_ms,
                                  struct cas_why *why)
{
    const struct record_entry *newest = NULL;
    size_t n = 0;
    cas_arena_clear(c->body_arena);
    for (size_t i = 0; i < report->entries_n; i++) {
        const struct record_entry *entry = &report->entries[i];
        struct loop_body *body = &c->body[n];
        enum cas_err err = CAS_OK;
        if (entry->seq <= upto)
            continue;
        body->kind = (enum entry_kind)entry->kind;
        body->at_ms = entry->at_ms;
        switch (entry->kind) {
        case ENTRY_SAMPLE:
            newest = entry;
            continue;
        case ENTRY_EVENT:
            err = record_decode(RECORD_event, entry->body, c->body_arena, &body->as.event, why);
            break;
        case ENTRY_FACT:
            err = record_decode(RECORD_fact, entry->body, c->body_arena, &body->as.fact, why);
            break;
        case ENTRY_GAP:
            err = record_decode(RECORD_gap, entry->body, c->body_arena, &body->as.gap, why);
            break;
        default: /* a newer agent's: kept, and read by who knows it */
            continue;
        }
        if (err != CAS_OK)
            return err;
        n++;
    }
    *ret_n = n;
    *ret_sample_ms = newest != NULL ? newest->at_ms : 0;
    ret_sample->readings_n = 0;
    if (newest == NULL)
        return CAS_OK;
    return record_decode(RECORD_sample, newest->body, c->body_arena, ret_sample, why);
}

static void dirty_mark(struct controller *c, uint32_t server_id, enum peer_dirt dirt)
{
    struct loop_peer *peer = &c->peer[server_id];
    if (peer->dirt == PEER_CLEAN && loop_list_add(&c->dirty, server_id) != CAS_OK) {
        c->spoiled = CAS_ERR_NOMEM;
        return;
    }
    peer->dirt |= dirt;
}

static void bodies_fold(struct controller *c, struct inventory_server *server, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct loop_body *body = &c->body[i];
        uint64_t before = server->event_4227_n + server->event_4231_n;
        switch (body->kind) {
        case ENTRY_EVENT:
            inventory_record_event(server, &body->as.event, body->at_ms);
            if (server->event_4227_n + server->event_4231_n != before)
                dirty_mark(c, server->id, PEER_EVENTS);
            break;
        case ENTRY_FACT:
            if (inventory_record_fact(server, &body->as.fact, body->at_ms))
                dirty_mark(c, server->id, PEER_FACTS);
            break;
        case ENTRY_SAMPLE:
        case ENTRY_GAP:
            break;
        }
    }
}

static void
ack_note(struct controller *c, uint32_t server_id, const uint8_t *spool_id, uint64_t upto)
{
    struct loop_peer *peer = &c->peer[server_id];
    if (!peer->has_ack && loop_list_add(&c->acks, server_id) != CAS_OK)
        return; /* not acknowledged, so it comes again */
    peer->has_ack = true;
    peer->ack_upto = upto;
    memcpy(peer->ack_spool, spool_id, CAS_ID_BYTES);
}

static uint64_t upto_now(const struct controller *c, uint32_t server_id, const uint8_t *spool_id)
{
    struct store_spool spool;
    bool is_same = store_spool_of(c->store, server_id, &spool) &&
                   memcmp(spool.spool_id, spool_id, CAS_ID_BYTES) == 0;
    return is_same ? spool.upto_seq : 0;
}

static void refuse(struct controller *c,
                   const struct inventory_server *server,
                   struct hub_peer *peer,
                   struct cas_now now,
                   const struct cas_why *why)
{
    c->counts.reports_refused++;
    log_event(EVENT_REPORT_REFUSED, "server=%s %s", server->name, why->text);
    loop_violation(c, peer, now, why);
}

void loop_on_report(struct controller *c,
                    struct inventory_server *server,
                    struct hub_peer *peer,
                    const struct message_report *report,
                    struct cas_now now)
{
    if (!loop_is_taking(c, now.mono_ms)) {
        c->counts.reports_not_now++;
        return;
    }
    struct cas_why why = {0};
    struct record_sample sample = {0};
    int64_t sample_ms = 0;
    size_t n = 0;
    uint64_t upto = upto_now(c, server->id, report->spool_id), reached = 0;
    enum cas_err err = bodies_decode(c, report, upto, &n, &sample, &sample_ms, &why);
    if (err != CAS_OK) {
        refuse(c, server, peer, now, &why);
        return;
    }
    loop_gather(c, now);
    err = store_report_add(c->store, server->id, report, now, &reached, &why);
    if (err == CAS_ERR_FORMAT || err == CAS_ERR_TOO_LONG) {
        refuse(c, server, peer, now, &why);
        return;
    }
    if (err != CAS_OK) {
        c->spoiled = err;
        return;
    }
    c->counts.reports++;
    c->counts.report_entries += report->entries_n;
    c->report_n++;
    /* A spool seen before may be further than this run knew: then nothing here is new. */
    if (report->entries[report->entries_n - 1].seq == reached && reached > upto) {
        bodies_fold(c, server, n);
        if (sample.readings_n > 0)
            inventory_record_sample(server, &sample, sample_ms);
    }
    ack_note(c, server->id, report->spool_id, reached);
}
