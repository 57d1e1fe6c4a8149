#include "tests/story/story.h"

/* Why: Managed Availability recycles when it likes. What a plan wanted of that server is done then;
 * the rest of its site rests from there, and nobody is recycled twice in a night.
 * How: a server of a later wave loses its worker while the first ones rest. */
STORY(gate, what_exchange_recycles_by_itself_is_credited_and_restarts_the_gap, "Tue 00:50", 81)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-04]",
                                 "at=01:00",
                                 "until=04:00",
                                 "floor=75",
                                 "gap=10m",
                                 "settle=10m",
                                 "no-drain",
                                 "act=1m",
                                 "proof=3m",
                                 "healthy=2",
                                 NULL);
    static const char *const name[] = {"LON-CAS01", "LON-CAS02", "LON-CAS03", "LON-CAS04"};
    const char *by_itself = NULL;
    for (size_t i = 0; i < CAS_COUNT(name); i++) {
        if (story_step(s, seq, name[i])->wave == 2)
            by_itself = name[i];
    }
    story_until(s, "01:05");
    story_kill_worker(s, by_itself);
    story_until(s, "01:14");
    EXPECT_STEP(s, seq, by_itself, STEP_PENDING);
    EXPECT_THAT(s, story_rollout(s, seq)->reason == REASON_NEIGHBOUR);
    EXPECT_HAS(s, "was recycled by itself");
    EXPECT_THAT(s, story_ask(s, "why", "id=r-0001", NULL) == 0);
    EXPECT_TEXT_HAS("the gap runs from there", story_document(s));
    story_until(s, "01:17");
    EXPECT_STEP(s, seq, by_itself, STEP_SKIPPED);
    EXPECT_THAT(s, story_ask(s, "recycle.show", "id=r-0001", NULL) == 0);
    EXPECT_TEXT_HAS("recycled by itself 10 min ago", story_document(s));
    story_until(s, "02:30");
    EXPECT_STATE(s, seq, ROLLOUT_DONE);
    size_t recycles = 0;
    for (size_t i = 0; i < CAS_COUNT(name); i++)
        recycles += story_recycles(s, name[i]);
    EXPECT_INT_EQ(3, recycles); /* that were ordered */
    EXPECT_UNTOUCHED(s, by_itself);

    /* The next plan of that night leaves out all of them, with who did it. */
    (void)story_ask(s, "recycle.plan", "target=LON-CAS[01-04]", "floor=75", "min-age=12h", NULL);
    EXPECT_TEXT_HAS("ago by itself", story_document(s));
    EXPECT_THAT(s, story_ask(s, "recycle.plan", "target=LON-CAS01", "ram=perhaps", NULL) == 2);
    EXPECT_TEXT_HAS("fit, known or any", story_error(s));
}
