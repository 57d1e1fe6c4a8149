#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/hold/hold.h"
#include "proto/trust/sign.h"
#include "tests/story/stage.h"

void stage_operator_frame(struct story *s, struct cas_slice bytes)
{
    CAS_AUTO(cas_arena) arena = NULL;
    struct message message;
    struct cas_why why = {.text = ""};
    stage_need(cas_arena_open(WIRE_ARENA_BYTES, &arena), &why, "answer");
    stage_need(message_decode(bytes, arena, &message, &why), &why, "answer");
    const struct message_answer *answer = &message.as.answer;
    if (message.type != MESSAGE_answer || answer->id != s->ask_id)
        return;
    s->document = realloc(s->document, s->document_n + answer->document.size + 1);
    CAS_ASSERT(s->document != NULL);
    if (answer->document.size > 0)
        memcpy(s->document + s->document_n, answer->document.data, answer->document.size);
    s->document_n += answer->document.size;
    s->document[s->document_n] = '\0';
    if (answer->has_error)
        stage_need(cas_slice_copy(answer->error, s->error, sizeof s->error), &why, "answer");
    s->answer_exit = (int)answer->exit;
    s->has_answer = !answer->is_more;
}

struct question {
    struct record_argument argument[STORY_ARGS];
    size_t n;
    char time[STORY_ARGS][64];
};

/* "at=01:00" would be read in the machine's own zone: it is told in UTC. */
static void argument_add(const struct story *s, struct question *question, const char *text)
{
    size_t size = strcspn(text, "=");
    CAS_ASSERT(question->n < STORY_ARGS);
    struct record_argument *argument = &question->argument[question->n];
    argument->key = (struct cas_slice){text, size};
    argument->value = cas_slice_of(text[size] == '=' ? text + size + 1 : "");
    bool is_time = (cas_slice_is(argument->key, "at") || cas_slice_is(argument->key, "until")) &&
                   argument->value.size == 5 && argument->value.data[2] == ':';
    if (is_time) {
        struct cas_text utc = CAS_TEXT(question->time[question->n]);
        cas_text_clear(&utc);
        cas_text_utc(&utc, stage_clock_next(s, argument->value.data));
        argument->value = (struct cas_slice){utc.data, utc.used};
    }
    question->n++;
}

static void arguments_add(struct story *s, struct question *question, va_list list)
{
    for (const char *text = va_arg(list, const char *); text != NULL;
         text = va_arg(list, const char *))
        argument_add(s, question, text);
}

/* Who is admitted is an operator's word, so it is taken from where that word went. */
void stage_admissions(struct story *s)
{
    for (size_t i = 0; i < s->server_n && s->controller != NULL; i++) {
        struct stage_server *server = s->server[i];
        const struct inventory_server *known =
            inventory_by_id(controller_inventory(s->controller), server->server_id);
        server->is_revoked = known != NULL && known->admission == ADMISSION_REVOKED;
        check_revoked(s->check, i, server->is_revoked, s->now_ms);
    }
}

static uint64_t seq_of(struct cas_slice text)
{
    int64_t seq = 0;
    if (text.size > 2 && text.data[0] == 'r' && text.data[1] == '-')
        text = (struct cas_slice){text.data + 2, text.size - 2};
    return cas_parse_i64(text, 1, INT64_MAX, &seq, NULL) == CAS_OK ? (uint64_t)seq : 0;
}

/* What an operator was answered. Without an answer it may have been done. */
static void word_check(struct story *s, const char *verb, const struct question *question, int code)
{
    uint64_t seq = 0;
    const struct stage_server *target = NULL;
    bool is_done = code == 0, is_maybe = code <= 0;
    for (size_t i = 0; i < question->n; i++) {
        const struct record_argument *argument = &question->argument[i];
        if (cas_slice_is(argument->key, "id"))
            seq = seq_of(argument->value);
        for (size_t k = 0; k < s->server_n && cas_slice_is(argument->key, "target"); k++) {
            if (cas_slice_is(argument->value, s->server[k]->name))
                target = s->server[k];
        }
    }
    if (is_maybe && strcmp(verb, "schedule.add") == 0)
        s->has_schedule = true;
    if (seq == 0)
        return;
    if (is_done && (strcmp(verb, "recycle.pause") == 0 || strcmp(verb, "recycle.end") == 0))
        check_stopped(s->check, seq, true, s->now_ms);
    if (is_maybe && (strcmp(verb, "recycle.resume") == 0 || strcmp(verb, "recycle.retry") == 0))
        check_stopped(s->check, seq, false, s->now_ms);
    if (is_maybe && strcmp(verb, "recycle.retry") == 0 && target != NULL)
        check_retried(s->check, seq, target->index);
}

static int ask_as(struct story *s,
                  const struct keys_public *key,
                  const char *verb,
                  const struct question *question)
{
    static uint8_t frame[WIRE_FRAME_BYTES];
    size_t size = 0;
    struct message message = {.type = MESSAGE_ask};
    message.as.ask = (struct message_ask){.id = ++s->ask_id,
                                          .verb = cas_slice_of(verb),
                                          .arguments = question->argument,
                                          .arguments_n = question->n};
    struct cas_why why = {.text = ""};
    stage_need(message_encode(&message, frame, sizeof frame, &size, &why), &why, verb);
    s->has_answer = false;
    s->document_n = 0;
    s->error[0] = '\0';
    if (s->document != NULL)
        s->document[0] = '\0';
    if (s->controller == NULL || s->controller_stopped_until_ms > s->now_ms)
        return -1;
    struct channel_frame in = {.route = {CHANNEL_OPERATORS, 1},
                               .key = *key,
                               .bytes = {(const char *)frame, size}};
    stage_controller_frame(s, &in);
    for (int i = 0; i < 50 && !s->has_answer && s->controller != NULL; i++)
        story_pass(s, 20);
    stage_admissions(s);
    return s->has_answer ? s->answer_exit : -1;
}

static int ask(struct story *s, const char *verb, const struct question *question)
{
    int code = ask_as(s, &s->operator_key, verb, question);
    word_check(s, verb, question, code);
    return code;
}

int story_ask(struct story *s, const char *verb, ...)
{
    struct question question = {.n = 0};
    va_list list;
    va_start(list, verb);
    arguments_add(s, &question, list);
    va_end(list);
    return ask(s, verb, &question);
}

int story_intrude(struct story *s, const char *verb, ...)
{
    struct question question = {.n = 0};
    va_list list;
    va_start(list, verb);
    arguments_add(s, &question, list);
    va_end(list);
    int code = ask_as(s, &s->viewer_key, verb, &question);
    check_intruded(s->check, "vera", verb, code);
    return code;
}

const char *story_document(const struct story *s)
{
    return s->document == NULL ? "" : s->document;
}

const char *story_error(const struct story *s)
{
    return s->error;
}

static uint64_t planned_seq(const struct story *s)
{
    static const char mark[] = "\"id\":";
    const char *at = strstr(story_document(s), mark);
    if (at == NULL)
        return 0;
    at += sizeof mark - 1;
    at += strspn(at, " \"r-");
    int64_t seq = 0;
    struct cas_slice digits = {at, strspn(at, "0123456789")};
    return cas_parse_i64(digits, 1, INT64_MAX, &seq, NULL) == CAS_OK ? (uint64_t)seq : 0;
}

/* As it was read and run, or made by a schedule that was added: what is committed, before the
 * first OFFER of it, answered or not. */
void stage_run_check(struct story *s, uint64_t seq)
{
    const struct rollout *run = s->controller == NULL ? NULL : story_rollout(s, seq);
    if (run == NULL)
        return;
    struct check_plan plan = {.seq = seq,
                              .verb = (enum verb)run->body.verb,
                              .floor_pct = (uint32_t)run->body.floor_pct,
                              .start_ms = run->body.start_ms,
                              .until_ms = run->body.until_ms,
                              .gap_ms = (int64_t)run->body.gap_ms};
    sign_plan_hash(run->plan, plan.hash);
    for (size_t i = 0; i < run->step_n && plan.step_n < CHECK_SERVERS; i++) {
        for (size_t k = 0; k < s->server_n; k++) {
            if (s->server[k]->server_id == run->step[i].server_id)
                plan.step[plan.step_n] =
                    (struct check_step){.server = k, .wave = run->step[i].wave};
        }
        plan.step_n++;
    }
    check_run(s->check, &plan);
    stage_rollout_of(s, seq)->is_ordered = true;
}

uint64_t story_run(struct story *s, uint64_t seq)
{
    char id[64];
    (void)snprintf(id, sizeof id, "id=r-%04llu", (unsigned long long)seq);
    s->run_seq = seq;
    int code = story_ask(s, "recycle.run", id, "reason=story", NULL);
    if (code <= 0 && s->run_seq != 0)
        stage_run_check(s, seq); /* it has not begun: nothing was noted */
    s->run_seq = 0;
    return code == 0 ? seq : 0;
}

uint64_t story_recycle(struct story *s, const char *target, ...)
{
    char text[512];
    struct question question = {.n = 0};
    (void)snprintf(text, sizeof text, "target=%s", target);
    if (target[0] != '\0')
        argument_add(s, &question, text);
    va_list list;
    va_start(list, target);
    arguments_add(s, &question, list);
    va_end(list);
    if (ask(s, "recycle.plan", &question) != 0)
        return 0;
    uint64_t seq = planned_seq(s);
    return seq == 0 ? 0 : story_run(s, seq);
}

/* ---- a server's own people ---- */

void story_veto(struct story *s, const char *name, const char *reason)
{
    struct stage_server *server = stage_find(s, name);
    struct hold hold = {.is_held = reason != NULL,
                        .by = "alice",
                        .since_ms = stage_now(s, &server->clock).wall_ms};
    struct cas_why why = {.text = ""};
    if (reason != NULL)
        stage_need(cas_slice_copy(cas_slice_of(reason), hold.reason, sizeof hold.reason),
                   &why,
                   name);
    stage_need(hold_write(server->hold_path, &hold, &why), &why, name);
    stage_line_add(s, false, "%s %s", reason != NULL ? "holds" : "releases", name);
}
