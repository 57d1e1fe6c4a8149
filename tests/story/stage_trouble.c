#include <string.h>

#include "agent/journal/ledger.h"
#include "proto/base/failpoint.h"
#include "tests/story/stage.h"
#include "tests/story/stage_disk.h"
#include "tests/story/stage_sql.h"

void story_fails(struct story *s, const char *name, const char *failure)
{
    struct cas_why why = {.text = ""};
    stage_need(host_sim_set_failure(stage_find(s, name)->model, failure, &why), &why, failure);
}

void story_kill_worker(struct story *s, const char *name)
{
    struct stage_server *server = stage_find(s, name);
    struct cas_why why = {.text = ""};
    struct cas_now now = stage_now(s, &server->clock);
    stage_need(host_sim_kill_worker(server->model, now, &why), &why, name);
    stage_effects(server);
}

void story_jump_wall(struct story *s, const char *name, int64_t span_ms)
{
    s->has_clock_fault = true;
    if (name == NULL)
        s->controller_clock.wall_off_ms += span_ms;
    else
        stage_find(s, name)->clock.wall_off_ms += span_ms;
    stage_line_add(s, false, "the clock of %s jumps", name == NULL ? "the controller" : name);
}

void story_controller_disk(struct story *s, bool is_full)
{
    s->is_disk_full = is_full;
    stage_disk_story(s->number);
    stage_sql_full(s->uri, is_full);
    if (s->controller != NULL)
        store_page_limit(controller_store(s->controller), is_full ? 1 : 0);
}

void story_agents_disk(bool is_full)
{
    failpoint_set(is_full
                      ? "ledger.commit:1+:enospc,ledger.reserve:1+:enospc,outbox.commit:1+:enospc"
                      : NULL);
}

void story_disk(struct story *s, const char *name, bool is_full)
{
    stage_disk_story(s->number);
    stage_disk_fill(stage_find(s, name)->disk, is_full);
}

void story_stops(struct story *s, const char *name, int64_t span_ms)
{
    int64_t until_ms = s->now_ms + span_ms;
    if (name == NULL && s->controller != NULL)
        s->controller_stopped_until_ms = until_ms;
    if (name != NULL && stage_find(s, name)->agent != NULL)
        stage_find(s, name)->stopped_until_ms = until_ms;
    stage_line_add(s, false, "stopped: %s", name == NULL ? "the controller" : name);
}

void story_jump_mono(struct story *s, const char *name, int64_t span_ms)
{
    CAS_ASSERT(span_ms >= 0);
    if (name == NULL) {
        s->controller_clock.mono_base_ms -= span_ms;
        s->controller_due_ms = s->now_ms;
        check_slept(s->check);
    } else {
        stage_find(s, name)->clock.mono_base_ms -= span_ms;
        stage_find(s, name)->due_ms = s->now_ms;
    }
    stage_line_add(s, false, "%s has slept", name == NULL ? "the controller" : name);
}

/* Revoked and acknowledged, so that the next row drives out the first. */
void story_old_journal(struct story *s, const char *name, uint64_t rollout)
{
    struct stage_server *server = stage_find(s, name);
    CAS_AUTO(ledger) ledger = NULL;
    struct cas_why why = {.text = ""};
    CAS_ASSERT(server->agent == NULL);
    stage_disk_story(s->number);
    stage_need(ledger_open(server->ledger_path, &ledger, &why), &why, name);
    for (uint64_t i = 0; ledger_rollout_floor(ledger) < rollout; i++) {
        struct ledger_row row = {.state = COMMAND_REVOKED,
                                 .rollout_seq = rollout + (i > 0 ? 1 : 0)};
        memcpy(row.cmd_id, &i, sizeof i);
        stage_need(ledger_write(ledger, &row, &why), &why, name);
        stage_need(ledger_acknowledge(ledger, row.cmd_id, row.seq, &why), &why, name);
    }
    stage_line_add(s, false, "the journal of %s begins anew", name);
}
