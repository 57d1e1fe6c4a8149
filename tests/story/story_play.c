#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/story.h"

enum {
    SHOWN_LINES = 200
};

static void tell(struct story *s, const char *what)
{
    (void)fprintf(stderr, "seed %llu: %s\n", (unsigned long long)story_seed(s), what);
    size_t first = story_lines(s) > SHOWN_LINES ? story_lines(s) - SHOWN_LINES : 0;
    for (size_t i = first; i < story_lines(s); i++)
        (void)fprintf(stderr, "%s %s\n", story_line_is_main(s, i) ? " " : "  .", story_line(s, i));
}

static void differ(struct story *s, struct story *again)
{
    for (size_t i = 0; i < story_lines(s) || i < story_lines(again); i++) {
        const char *first = i < story_lines(s) ? story_line(s, i) : "(end)";
        const char *second = i < story_lines(again) ? story_line(again, i) : "(end)";
        if (strcmp(first, second) == 0)
            continue;
        (void)fprintf(stderr,
                      "seed %llu: two runs differ from line %zu on:\n  %s\n  %s\n",
                      (unsigned long long)story_seed(s),
                      i + 1,
                      first,
                      second);
        test_fail(TEST_PLACE("the same journal twice"), "the runs differ");
    }
}

/* A story whose test fails is left where it stood, and freed before the next one. */
static struct story *played[2];

static void play(const struct story_title *title, story_body *body, struct story **ret_story)
{
    struct story_settings settings = {
        .folder = test_folder(),
        .start = title->start,
        .seed = title->seed,
    };
    struct story *s = story_begin(&settings);
    *ret_story = s;
    body(s);
    if (!story_check(s)) {
        tell(s, story_broken(s));
        test_fail(TEST_PLACE("every promise"), "%s: %s", title->name, story_broken(s));
    }
}

void story_play(const struct story_title *title, story_body *body)
{
    for (size_t i = 0; i < CAS_COUNT(played); i++) {
        story_free(played[i]);
        played[i] = NULL;
    }
    play(title, body, &played[0]);
    play(title, body, &played[1]);
    differ(played[0], played[1]);
    story_free(CAS_TAKE(played[1]));
    story_free(CAS_TAKE(played[0]));
}

void story_expect_journal(struct story *s,
                          const char *const *line,
                          size_t n,
                          const char *file,
                          int at)
{
    struct test_place place = {file, at, "the journal"};
    size_t next = 0;
    for (size_t i = 0; i < story_lines(s); i++) {
        if (!story_line_is_main(s, i))
            continue;
        const char *expected = next < n ? line[next] : "(end)";
        if (strcmp(expected, story_line(s, i)) != 0) {
            tell(s, "the journal differs");
            test_fail(place,
                      "line %zu: expected \"%s\", found \"%s\"",
                      next + 1,
                      expected,
                      story_line(s, i));
        }
        next++;
    }
    if (next < n) {
        tell(s, "the journal ends early");
        test_fail(place, "line %zu: expected \"%s\", found the end", next + 1, line[next]);
    }
}

void story_expect_line(struct story *s, const char *part, bool is_there, const char *file, int at)
{
    struct test_place place = {file, at, part};
    for (size_t i = 0; i < story_lines(s); i++) {
        if (strstr(story_line(s, i), part) == NULL)
            continue;
        if (is_there)
            return;
        tell(s, "a line too much");
        test_fail(place, "found \"%s\"", story_line(s, i));
    }
    if (is_there) {
        tell(s, "a line is missing");
        test_fail(place, "no line has \"%s\"", part);
    }
}

void story_expect_true(struct story *s, bool is_true, const char *words, const char *file, int at)
{
    struct test_place place = {file, at, words};
    if (is_true)
        return;
    tell(s, words);
    test_fail(place,
              "not so: %s (document %.600s, error %s)",
              words,
              story_document(s),
              story_error(s));
}
