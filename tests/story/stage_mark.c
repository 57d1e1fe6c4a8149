#include "tests/story/stage_mark.h"

#include <stdio.h>
#include <string.h>

#include "tests/story/stage.h"

static const char *const fault_words[FAULT_END] = {
#define FAULT(name, words) [FAULT_##name] = #name,
#include "tests/story/faults.def"
#undef FAULT
};

/* ---- within one story ---- */

void stage_mark_fault(struct story *s, enum stage_fault fault)
{
    s->marks.fault[fault] = 1;
}

void stage_mark_reason(struct story *s, enum rollout_reason reason)
{
    s->marks.reason[reason] = 1;
}

void stage_mark_nack(struct story *s, enum nack_reason reason)
{
    if ((size_t)reason < MARK_NACKS)
        s->marks.nack[reason] = 1;
}

static void rollout_mark(struct story *s, size_t nth, const struct rollout *rollout)
{
    s->marks.rollout[rollout->state] = 1;
    s->marks.reason[rollout->reason] = 1;
    for (size_t i = 0; i < rollout->step_n && i < STORY_SERVERS; i++) {
        uint8_t *seen = &s->edge[nth * STORY_SERVERS + i];
        uint8_t state = (uint8_t)rollout->step[i].state;
        if ((size_t)rollout->step[i].reason < MARK_REASONS)
            s->marks.reason[rollout->step[i].reason] = 1;
        if (*seen == state)
            continue;
        s->marks.edge[*seen][state] = 1;
        *seen = state;
    }
}

void stage_mark_steps(struct story *s)
{
    if (s->controller == NULL)
        return;
    const struct rollout_book *book = controller_book(s->controller);
    for (size_t i = 0; i < rollout_book_size(book); i++) {
        const struct rollout *rollout = rollout_at(book, i);
        const struct stage_rollout *kept = stage_rollout_of(s, rollout->seq);
        rollout_mark(s, (size_t)(kept - s->rollout), rollout);
    }
}

/* FNV-1a, 64 bits. */
void stage_trace(struct story *s, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++)
        s->trace = (s->trace ^ at[i]) * 0x100000001b3u;
}

void stage_trace_number(struct story *s, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        s->trace = (s->trace ^ (number >> (8 * i) & 0xff)) * 0x100000001b3u;
}

/* ---- over many ---- */

static void add(uint32_t *sum, const uint8_t *mark, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += mark[i];
}

void stage_marks_add(struct stage_mark_sums *sums, const struct stage_marks *marks)
{
    sums->seed_n++;
    add(sums->fault, marks->fault, FAULT_END);
    for (size_t i = 0; i < MARK_STATES; i++)
        add(sums->edge[i], marks->edge[i], MARK_STATES);
    add(sums->reason, marks->reason, MARK_REASONS);
    add(sums->nack, marks->nack, MARK_NACKS);
    add(sums->rollout, marks->rollout, MARK_ROLLOUTS);
}

struct telling {
    size_t column, missing;
    uint32_t least;
    char few[4096];
    struct cas_text few_text;
};

static void tell(struct telling *telling, const char *name, uint32_t count, bool is_wanted)
{
    char item[160];
    if (is_wanted && count < telling->least) {
        telling->missing++;
        cas_text_add(&telling->few_text, "  too few: %s, %u times\n", name, count);
    }
    if (count == 0)
        return;
    int size = snprintf(item, sizeof item, "%s %u", name, count);
    if (telling->column + (size_t)size > 110) {
        (void)printf("\n     ");
        telling->column = 5;
    }
    (void)printf(" %s;", item);
    telling->column += (size_t)size + 2;
}

static void kind_tell(struct telling *telling, const char *kind)
{
    (void)printf("%s%s:", telling->column > 0 ? "\n" : "", kind);
    telling->column = strlen(kind) + 1;
}

/* What a sweep must have seen; all else that happens is told as well. */
static const struct {
    enum rollout_step_state from, to;
} wanted_edges[] = {
#define EDGE(from, to) {STEP_##from, STEP_##to},
#include "tests/story/marks.def"
#undef EDGE
#undef WHY
#undef REFUSAL
};
static const enum rollout_reason wanted_reasons[] = {
#define WHY(name) REASON_##name,
#include "tests/story/marks.def"
#undef EDGE
#undef WHY
#undef REFUSAL
};
static const enum nack_reason wanted_nacks[] = {
#define REFUSAL(name) NACK_##name,
#include "tests/story/marks.def"
#undef EDGE
#undef WHY
#undef REFUSAL
};

static bool is_wanted_edge(size_t from, size_t to)
{
    for (size_t i = 0; i < CAS_COUNT(wanted_edges); i++) {
        if (wanted_edges[i].from == from && wanted_edges[i].to == to)
            return true;
    }
    return false;
}

static bool is_wanted_reason(size_t reason)
{
    for (size_t i = 0; i < CAS_COUNT(wanted_reasons); i++) {
        if (wanted_reasons[i] == reason)
            return true;
    }
    return false;
}

static bool is_wanted_nack(size_t reason)
{
    for (size_t i = 0; i < CAS_COUNT(wanted_nacks); i++) {
        if (wanted_nacks[i] == reason)
            return true;
    }
    return false;
}

static void edges_tell(struct telling *telling, const struct stage_mark_sums *sums)
{
    kind_tell(telling, "steps");
    for (size_t from = 1; from < MARK_STATES; from++) {
        for (size_t to = 1; to < MARK_STATES; to++) {
            char name[96];
            (void)snprintf(name,
                           sizeof name,
                           "%s > %s",
                           rollout_step_words((enum rollout_step_state)from),
                           rollout_step_words((enum rollout_step_state)to));
            tell(telling, name, sums->edge[from][to], is_wanted_edge(from, to));
        }
    }
}

size_t stage_marks_tell(const struct stage_mark_sums *sums)
{
    /* Less than a thousand seeds say nothing of what happens once in a thousand. */
    struct telling telling = {.least = (uint32_t)(sums->seed_n / 1000)};
    telling.few_text = (struct cas_text)CAS_TEXT(telling.few);
    cas_text_clear(&telling.few_text);
    kind_tell(&telling, "faults");
    for (size_t i = 0; i < FAULT_END; i++)
        tell(&telling, fault_words[i], sums->fault[i], true);
    kind_tell(&telling, "rollouts");
    for (size_t i = 1; i < MARK_ROLLOUTS; i++)
        tell(&telling,
             rollout_state_words((enum rollout_state)i),
             sums->rollout[i],
             i != ROLLOUT_MISSED && i != ROLLOUT_SCHEDULED);
    edges_tell(&telling, sums);
    kind_tell(&telling, "reasons");
    for (size_t i = 1; i < MARK_REASONS; i++)
        tell(&telling,
             rollout_reason_words((enum rollout_reason)i),
             sums->reason[i],
             is_wanted_reason(i));
    kind_tell(&telling, "refusals");
    for (size_t i = 1; i < MARK_NACKS; i++)
        tell(&telling, nack_words((enum nack_reason)i), sums->nack[i], is_wanted_nack(i));
    (void)printf("\n%s%s",
                 telling.few,
                 telling.least == 0 ? "  not judged: less than 1,000 seeds\n" : "");
    return telling.missing;
}
