#include "tests/story/stage.h"

/* ---- what is seen ---- */

struct controller *story_controller(struct story *s)
{
    return s->controller;
}

struct agent *story_agent(struct story *s, const char *name)
{
    return stage_find(s, name)->agent;
}

struct host *story_host(struct story *s, const char *name)
{
    return stage_find(s, name)->model;
}

const struct rollout *story_rollout(struct story *s, uint64_t seq)
{
    CAS_ASSERT(s->controller != NULL);
    return rollout_find(controller_book(s->controller), seq);
}

const struct rollout_step *story_step(struct story *s, uint64_t seq, const char *name)
{
    const struct stage_server *server = stage_find(s, name);
    const struct rollout *rollout = story_rollout(s, seq);
    for (size_t i = 0; i < rollout->step_n; i++) {
        if (rollout->step[i].server_id == server->server_id)
            return &rollout->step[i];
    }
    stage_need(CAS_ERR_NOT_FOUND, &(struct cas_why){""}, name);
    return NULL;
}

size_t story_recycles(struct story *s, const char *name)
{
    return check_recycles(s->check, stage_find(s, name)->index);
}

bool story_is_out(struct story *s, const char *name)
{
    return check_is_out(s->check, stage_find(s, name)->index);
}

const char *story_server_name(const struct story *s, uint32_t server_id)
{
    for (size_t i = 0; i < s->server_n; i++) {
        if (s->server[i]->server_id == server_id)
            return s->server[i]->name;
    }
    return "";
}

uint64_t story_seed(const struct story *s)
{
    return s->settings.seed;
}

uint64_t story_trace(const struct story *s)
{
    return s->trace;
}

const struct stage_marks *story_marks(const struct story *s)
{
    return &s->marks;
}
