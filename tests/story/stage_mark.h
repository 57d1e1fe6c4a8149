/* stage_mark.h - what has happened at all in a story, so that a sweep can show that everything
 * does?
 *
 * A mark is set once a story: counts over many seeds are seeds, not occurrences. */
#ifndef TESTS_STORY_STAGE_MARK_H
#define TESTS_STORY_STAGE_MARK_H

#include "controller/core/rollout.h"

enum stage_fault {
#define FAULT(name, words) FAULT_##name,
#include "tests/story/faults.def"
#undef FAULT
    FAULT_END
};
enum {
    MARK_STATES = STEP_SKIPPED + 1,
    MARK_REASONS = REASON_END,
    MARK_NACKS = NACK_HELD + 1,
    MARK_ROLLOUTS = ROLLOUT_MISSED + 1
};
struct stage_marks {
    uint8_t fault[FAULT_END];
    uint8_t edge[MARK_STATES][MARK_STATES]; /* of steps: from, to */
    uint8_t reason[MARK_REASONS];
    uint8_t nack[MARK_NACKS];
    uint8_t rollout[MARK_ROLLOUTS];
};
/* Sums over seeds. */
struct stage_mark_sums {
    uint64_t seed_n;
    uint32_t fault[FAULT_END];
    uint32_t edge[MARK_STATES][MARK_STATES];
    uint32_t reason[MARK_REASONS];
    uint32_t nack[MARK_NACKS];
    uint32_t rollout[MARK_ROLLOUTS];
};
void stage_marks_add(struct stage_mark_sums *sums, const struct stage_marks *marks);
/* All counts that are not 0, a line a kind; then each mark of marks.def that has fewer than 100
 * per 100,000 seeds (at least 1). Returns how many those are. */
size_t stage_marks_tell(const struct stage_mark_sums *sums);

struct story;
void stage_mark_fault(struct story *s, enum stage_fault fault);
void stage_mark_reason(struct story *s, enum rollout_reason reason);
void stage_mark_nack(struct story *s, enum nack_reason reason);
/* Looks at all steps. */
void stage_mark_steps(struct story *s);

/* The story's trace: all lines, effects and frames delivered. Equal for one seed, wherever built.
 */
void stage_trace(struct story *s, const void *bytes, size_t size);
void stage_trace_number(struct story *s, uint64_t number);

#endif
