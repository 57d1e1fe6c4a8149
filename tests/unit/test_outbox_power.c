/* The power fails at any instant; on a disk that then has what was synced and pieces of the rest.
 */
#include <stdio.h>

#include "agent/journal/outbox.h"
#include "tests/unit/power_disk.h"

enum {
    LIVES = 200,
    STEPS = 40, /* of a life, at most */
    RECORDS = LIVES * STEPS
};

/* What was written at each position, as the agent and as the controller know it; 0: nothing. */
struct model {
    uint64_t mark[RECORDS + 1];
    uint64_t seen[RECORDS + 1];
    uint64_t mark_n;
    uint64_t safe;  /* no loss of power takes a position up to this */
    uint64_t acked; /* by the controller */
    uint64_t lost_n;
};

struct life {
    struct outbox *outbox;
    struct cas_arena *arena;
    struct model *model;
    struct test_dice dice;
    char path[2][512];
    size_t at;
};

static void life_open(struct life *life)
{
    struct cas_why why = {.text = ""};
    EXPECT_OK(outbox_open(life->path[life->at], OUTBOX_BYTES, &life->outbox, &why), &why);
}

static void add(struct life *life, enum entry_kind kind)
{
    struct model *model = life->model;
    struct cas_why why = {.text = ""};
    uint64_t body[60] = {model->mark_n + 1};
    size_t size = sizeof body[0] * (1 + test_below(&life->dice, CAS_COUNT(body)));
    uint64_t seq = 0;
    EXPECT_OK(outbox_add(life->outbox,
                         kind,
                         1000,
                         (struct cas_slice){(const char *)body, size},
                         &seq,
                         &why),
              &why);
    EXPECT_TRUE(seq <= RECORDS);
    model->mark[seq] = ++model->mark_n;
}

static void step_samples(struct life *life)
{
    struct cas_why why = {.text = ""};
    EXPECT_OK(outbox_begin_unsynced(life->outbox, &why), &why);
    add(life, ENTRY_SAMPLE);
    EXPECT_OK(outbox_commit(life->outbox, &why), &why);
}

static void step_event(struct life *life)
{
    struct cas_why why = {.text = ""};
    EXPECT_OK(outbox_begin(life->outbox, &why), &why);
    add(life, ENTRY_SAMPLE);
    add(life, ENTRY_EVENT);
    EXPECT_OK(outbox_commit(life->outbox, &why), &why);
    life->model->safe = outbox_high(life->outbox);
}

static uint64_t mark_of(const struct record_entry *entry)
{
    uint64_t mark = 0;
    EXPECT_TRUE(entry->body.size >= sizeof mark);
    memcpy(&mark, entry->body.data, sizeof mark);
    return mark;
}

/* The report arrives whether or not its ACK does. */
static void step_report(struct life *life)
{
    struct model *model = life->model;
    struct record_entry *entry = NULL;
    size_t n = 0;
    struct cas_why why = {.text = ""};
    cas_arena_clear(life->arena);
    EXPECT_OK(outbox_read(life->outbox, 0, life->arena, &entry, &n, &why), &why);
    for (size_t i = 0; i < n; i++) {
        uint64_t seq = entry[i].seq;
        uint64_t mark = mark_of(&entry[i]);
        EXPECT_UINT_EQ(model->mark[seq], mark);
        if (model->seen[seq] != 0)
            EXPECT_UINT_EQ(model->seen[seq], mark); /* a position is never given twice */
        model->seen[seq] = mark;
        model->acked = seq > model->acked ? seq : model->acked;
        model->safe = seq > model->safe ? seq : model->safe;
    }
    if (n > 0 && test_below(&life->dice, 100) < 60)
        EXPECT_OK(outbox_drop_upto(life->outbox, entry[n - 1].seq, &why), &why);
}

/* Everything up to safe is there, in order, but for what the controller has. */
static void life_check(struct life *life)
{
    struct model *model = life->model;
    uint64_t high = outbox_high(life->outbox);
    uint64_t low = outbox_low(life->outbox);
    EXPECT_TRUE(high >= model->safe);
    EXPECT_TRUE(low == 0 ? high <= model->acked : low <= model->acked + 1);
    while (model->mark[high + 1] != 0) {
        high++;
        EXPECT_UINT_EQ(0, model->seen[high]);
        model->mark[high] = 0;
        model->lost_n++;
        if (high == RECORDS)
            break;
    }
}

static void power_fails(struct life *life)
{
    static const uint64_t keep_pct[] = {0, 0, 50, 90, 100};
    size_t next = 1 - life->at;
    power_disk_image(life->path[life->at],
                     life->path[next],
                     keep_pct[test_below(&life->dice, CAS_COUNT(keep_pct))]);
    outbox_free(life->outbox);
    life->at = next;
    life_open(life);
}

static void life_begin(struct life *life, struct model *model, uint64_t seed)
{
    *life = (struct life){.model = model, .dice = {.state = seed}};
    memset(model, 0, sizeof *model);
    EXPECT_OK(cas_arena_open(1024 * 1024, &life->arena), NULL);
    (void)snprintf(life->path[0], sizeof life->path[0], "%.500s/a.db", test_folder());
    (void)snprintf(life->path[1], sizeof life->path[1], "%.500s/b.db", test_folder());
    power_disk_on(&life->dice);
    life_open(life);
}

static void life_end(struct life *life)
{
    outbox_free(life->outbox);
    cas_arena_free(life->arena);
    power_disk_off();
}

/* Why: commits of samples do not wait for the disk. What a loss of power takes must be the newest
 * samples and nothing else: no event, no record from the middle, and no position the controller has
 * seen, or it would acknowledge the next record there without having read it. How: 200 lives of one
 * outbox, each of some random steps, ended by a loss of power that leaves what was synced and none,
 * some or all pieces of the rest. */
TEST(outbox_power, only_the_newest_samples_are_lost_and_no_seen_position_is_given_again)
{
    static struct model model;
    struct life life;
    life_begin(&life, &model, 20261122);
    for (int i = 0; i < LIVES; i++) {
        uint64_t step_n = test_below(&life.dice, STEPS / 2);
        for (uint64_t step = 0; step < step_n; step++) {
            uint64_t what = test_below(&life.dice, 100);
            if (what < 80)
                step_samples(&life);
            else if (what < 86)
                step_event(&life);
            else
                step_report(&life);
        }
        power_fails(&life);
        life_check(&life);
    }
    EXPECT_TRUE(model.lost_n > 50); /* the disk did lose what it might */
    EXPECT_TRUE(model.acked > 500);
    life_end(&life);
}

/* Why: a program that ends leaves commits the disk may not have yet; the next one hands them out.
 * How: samples, an end that does not close the file, two reports. */
TEST(outbox_power, what_an_earlier_run_left_is_synced_before_it_is_handed_out)
{
    static struct model model;
    struct life life;
    struct record_entry *entry = NULL;
    size_t n = 0;
    life_begin(&life, &model, 7);
    for (int i = 0; i < 5; i++)
        step_samples(&life);
    power_disk_image(life.path[0], life.path[1], 100); /* as the kernel has it */
    outbox_free(life.outbox);
    life.at = 1;
    life_open(&life);
    uint64_t syncs = power_disk_syncs();
    EXPECT_OK(outbox_read(life.outbox, 0, life.arena, &entry, &n, NULL), NULL);
    EXPECT_UINT_EQ(5, n);
    EXPECT_UINT_EQ(syncs + 1, power_disk_syncs());
    EXPECT_OK(outbox_read(life.outbox, 0, life.arena, &entry, &n, NULL), NULL);
    EXPECT_UINT_EQ(syncs + 1, power_disk_syncs());
    life_end(&life);
}

/* Why: a disk that fails must not have its records handed out, for they may be gone after the next
 * start. How: syncs fail during a report, then they do not; an ACK in between drops nothing. */
TEST(outbox_power, nothing_is_handed_out_while_it_cannot_be_synced)
{
    static struct model model;
    struct life life;
    struct record_entry *entry = NULL;
    struct cas_why why = {.text = ""};
    size_t n = 0;
    life_begin(&life, &model, 9);
    step_report(&life);
    step_samples(&life);
    power_disk_break(true);
    EXPECT_ERR(CAS_ERR_IO, outbox_read(life.outbox, 0, life.arena, &entry, &n, &why));
    EXPECT_TEXT_HAS("a.db", why.text);
    EXPECT_OK(outbox_drop_upto(life.outbox, 1, NULL), NULL);
    EXPECT_UINT_EQ(1, outbox_low(life.outbox));
    power_disk_break(false);
    step_report(&life);
    EXPECT_UINT_EQ(1, model.acked);
    life_end(&life);
}

/* Why: a kernel tells of a failed write once and calls the page clean; the sync after it succeeds
 * and the page is gone with the power. How: one sync fails, the disk is well again, a report or an
 * event goes out, the power fails and leaves only what was synced. */
TEST(outbox_power, a_sync_that_failed_once_is_not_healed_by_the_next)
{
    for (int is_event = 0; is_event < 2; is_event++) {
        static struct model model;
        struct life life;
        struct record_entry *entry = NULL;
        size_t n = 0;
        life_begin(&life, &model, 11);
        step_event(&life);
        for (int i = 0; i < 5; i++)
            step_samples(&life);
        power_disk_break(true);
        EXPECT_ERR(CAS_ERR_IO, outbox_read(life.outbox, 0, life.arena, &entry, &n, NULL));
        power_disk_break(false);
        if (is_event != 0)
            step_event(&life);
        else
            step_report(&life);
        power_disk_image(life.path[0], life.path[1], 0);
        outbox_free(life.outbox);
        life.at = 1;
        life_open(&life);
        life_check(&life);
        life_end(&life);
        (void)remove(life.path[0]);
        (void)remove(life.path[1]);
    }
}

/* Why: this is what it is for: a sample costs no wait, a report one; and a commit that had nothing
 * to write has not waited for what came before. */
TEST(outbox_power, samples_wait_for_the_disk_once_a_report)
{
    static struct model model;
    struct life life;
    life_begin(&life, &model, 8);
    step_report(&life);
    uint64_t syncs = power_disk_syncs();
    for (int i = 0; i < 10; i++)
        step_samples(&life);
    EXPECT_OK(outbox_begin(life.outbox, NULL), NULL);
    EXPECT_OK(outbox_commit(life.outbox, NULL), NULL);
    EXPECT_UINT_EQ(syncs, power_disk_syncs());
    step_report(&life);
    EXPECT_UINT_EQ(syncs + 1, power_disk_syncs());
    step_event(&life);
    EXPECT_TRUE(power_disk_syncs() > syncs + 1);
    life_end(&life);
}
