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

static void expect_waiting(struct story *s, const char *name)
{
    char words[96];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    cas_text_add(&text, "id=%s", name);
    EXPECT_THAT(s, story_ask(s, "why", words, NULL) == 0);
    EXPECT_TEXT_HAS("r-0001 is halted: not touched yet there", story_document(s));
}

/* Why: who is woken by a halt must see how it stood then, by what rule it stopped, what is sure and
 * what is not, and what each way on costs; an hour later the farm looks otherwise.
 * How: the second of four never gets healthy; then its neighbours change. */
STORY(gate, a_halt_keeps_how_the_group_stood_and_says_what_each_way_on_costs, "Tue 00:50", 82)
{
    story_site(s, "LON", "LON-CAS01 LON-CAS02 LON-CAS03 LON-CAS04");
    story_site(s, "FRA", "FRA-CAS01");
    uint64_t seq = story_recycle(s,
                                 "LON-CAS[01-04]",
                                 "at=01:00",
                                 "until=04:00",
                                 "floor=75",
                                 "gap=1m",
                                 "settle=1m",
                                 "no-drain",
                                 "act=1m",
                                 "proof=3m",
                                 "healthy=2",
                                 NULL);
    static const char *const name[] = {"LON-CAS01", "LON-CAS02", "LON-CAS03", "LON-CAS04"};
    const char *failed = NULL, *done = NULL;
    for (size_t i = 0; i < CAS_COUNT(name); i++) {
        if (story_step(s, seq, name[i])->wave == 2)
            failed = name[i];
        if (story_step(s, seq, name[i])->wave == 1)
            done = name[i];
    }
    story_fails(s, failed, "never-healthy");
    story_until(s, "01:15");
    EXPECT_STATE(s, seq, ROLLOUT_HALTED);
    EXPECT_HAS(s, "1 done against 2 not done at that moment: 0 and 0 not in service; 1 failed");
    EXPECT_LACKS(s, "evidence r-0001 FRA-CAS01");
    char words[96];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    cas_text_add(&text, "evidence r-0001 %s, proved: up; worker ", done);
    EXPECT_HAS(s, words);

    story_cut_cable(s, done, WAY_BOTH);
    story_until(s, "02:00");
    EXPECT_THAT(s, story_ask(s, "why", "id=r-0001", NULL) == 0);
    const char *why = story_document(s);
    cas_text_clear(&text);
    cas_text_add(&text, "%s, proved: up; worker ", done);
    EXPECT_TEXT_HAS(words, why); /* as it was, though it is silent now */
    cas_text_clear(&text);
    cas_text_add(&text, "%s, failed: sick", failed);
    EXPECT_TEXT_HAS(words, why);
    EXPECT_TEXT_HAS("rule: halt at 1 failed; 1 failed, 0 of them forgiven", why);
    cas_text_clear(&text);
    cas_text_add(&text, "known      %s: ordered, attempt 1; the agent says done, worker ", failed);
    EXPECT_TEXT_HAS(words, why);
    EXPECT_TEXT_HAS("not known  whether it got healthy by it: 0 of 2 good probes", why);
    EXPECT_TEXT_HAS("once more, alone, then wait for you; 2 of 4 of its site out now, 1 may be",
                    why);
    EXPECT_TEXT_HAS("no further server; 2 wait: ", why);
    EXPECT_TEXT_HAS("oldest worker ", why);
    EXPECT_TEXT_HAS("Perhaps. 1 done against 2 not done, this minute: 1 and 0", why);

    /* One that was not touched says of which plan. */
    const char *left = story_step(s, seq, name[3])->state == STEP_PENDING ? name[3] : name[2];
    expect_waiting(s, left);
}
