#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Who is admitted is an operator's word, so it is taken from where that word went. */
void stage_admissions(struct story *s)
{
    for (size_t i = 0; i < s->server_n && s->controller != NULL; i++) {
        struct stage_server *server = s->server[i];
        const struct inventory_server *known =
            inventory_by_id(controller_inventory(s->controller), server->server_id);
        server->is_revoked = known != NULL && known->admission == ADMISSION_REVOKED;
    }
}

static int ask(struct story *s, const char *verb, const struct question *question)
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
    if (s->controller == NULL)
        return -1;
    struct channel_frame in = {.route = {CHANNEL_OPERATORS, 1},
                               .key = s->operator_key,
                               .bytes = {(const char *)frame, size}};
    stage_controller_frame(s, &in);
    for (int i = 0; i < 50 && !s->has_answer && s->controller != NULL; i++)
        story_pass(s, 20);
    stage_admissions(s);
    return s->has_answer ? s->answer_exit : -1;
}

int story_ask(struct story *s, const char *verb, ...)
{
    struct question question = {.n = 0};
    va_list list;
    va_start(list, verb);
    for (const char *text = va_arg(list, const char *); text != NULL;
         text = va_arg(list, const char *))
        argument_add(s, &question, text);
    va_end(list);
    return ask(s, verb, &question);
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

uint64_t story_recycle(struct story *s, const char *target, ...)
{
    char text[512], id[64];
    struct question question = {.n = 0};
    (void)snprintf(text, sizeof text, "target=%s", target);
    if (target[0] != '\0')
        argument_add(s, &question, text);
    va_list list;
    va_start(list, target);
    for (const char *more = va_arg(list, const char *); more != NULL;
         more = va_arg(list, const char *))
        argument_add(s, &question, more);
    va_end(list);
    if (ask(s, "recycle.plan", &question) != 0)
        return 0;
    uint64_t seq = planned_seq(s);
    (void)snprintf(id, sizeof id, "id=r-%04llu", (unsigned long long)seq);
    return seq > 0 && story_ask(s, "recycle.run", id, "reason=story", NULL) == 0 ? seq : 0;
}
