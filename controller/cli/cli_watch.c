#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli_json.h"

/* What was shown last, so that only what is new is printed where lines cannot be taken back. */
struct watch_shown {
    char *line[ROLLOUT_SERVERS];
    size_t line_n;
    char head[640];
    int drawn; /* lines on the terminal to go back over */
};

static bool is_over(const char *state)
{
    static const char *const open[] = {"scheduled", "running"};
    for (size_t i = 0; i < CAS_COUNT(open); i++) {
        if (strcmp(state, open[i]) == 0)
            return false;
    }
    return true;
}

static enum cli_exit exit_of(const json_t *rollout)
{
    const char *state = cli_text(rollout, "state");
    if (strcmp(state, "done") == 0)
        return cli_int(rollout, "failed") + cli_int(rollout, "unknown") > 0 ? CLI_ATTENTION
                                                                            : CLI_OK;
    if (strcmp(state, "halted") == 0 || strcmp(state, "missed") == 0)
        return CLI_ATTENTION;
    return CLI_STOPPED;
}

static void keep_line(struct watch_shown *shown, size_t i, const char *line)
{
    size_t size = strlen(line) + 1;
    char *copy = malloc(size);
    if (copy == NULL)
        return;
    memcpy(copy, line, size);
    free(shown->line[i]);
    shown->line[i] = copy;
}

/* Without a terminal: each step's line when it changes, the head when a wave or count changes. */
static void print_news(struct watch_shown *shown, const json_t *rollout)
{
    char line[640];
    size_t i = 0;
    const json_t *step = NULL;
    json_array_foreach(json_object_get(rollout, "items"), i, step)
    {
        struct cas_text text = CAS_TEXT(line);
        cas_text_clear(&text);
        if (i >= ROLLOUT_SERVERS || strcmp(cli_text(step, "state"), "to go") == 0)
            continue;
        cli_step_line(&text, step, cli_int(rollout, "at_ms"), rollout);
        if (shown->line[i] != NULL && strcmp(shown->line[i], line) == 0)
            continue;
        printf("  %s\n", line);
        keep_line(shown, i, line);
    }
    struct cas_text text = CAS_TEXT(line);
    cas_text_clear(&text);
    cli_rollout_head(&text, rollout);
    char *eta = strstr(line, "  ETA ");
    char without[640];
    struct cas_text compared = CAS_TEXT(without);
    cas_text_add(&compared, "%.*s", eta == NULL ? (int)text.used : (int)(eta - line), line);
    if (strcmp(shown->head, without) != 0)
        printf("%s\n", line);
    memcpy(shown->head, without, sizeof shown->head);
    fflush(stdout);
}

/* On a terminal: the head and the servers under way or done last, drawn over what stood there. */
static void draw(struct watch_shown *shown, const json_t *rollout)
{
    enum {
        STEPS_SHOWN = 16
    };
    char line[640];
    int width = cli_term_width(stdout), lines = 0;
    if (shown->drawn > 0)
        printf("\033[%dA\033[J", shown->drawn);
    struct cas_text text = CAS_TEXT(line);
    cas_text_clear(&text);
    cli_rollout_head(&text, rollout);
    printf("%.*s\n", width, line);
    lines++;
    const json_t *items = json_object_get(rollout, "items");
    size_t begun = 0, i = 0;
    const json_t *step = NULL;
    json_array_foreach(items, i, step) begun += strcmp(cli_text(step, "state"), "to go") != 0;
    size_t left_out = begun > STEPS_SHOWN ? begun - STEPS_SHOWN : 0;
    json_array_foreach(items, i, step)
    {
        if (strcmp(cli_text(step, "state"), "to go") == 0)
            continue;
        if (left_out > 0) {
            left_out--;
            continue;
        }
        cas_text_clear(&text);
        cli_step_line(&text, step, cli_int(rollout, "at_ms"), rollout);
        printf("  %.*s\n", width - 2, line);
        lines++;
    }
    const json_t *hold = json_object_get(rollout, "hold");
    if (hold != NULL && !json_is_null(hold)) {
        char span[48] = "";
        struct cas_text left = CAS_TEXT(span);
        if (cli_int(hold, "left_ms") > 0)
            cas_text_span(&left, cli_int(hold, "left_ms"));
        printf("  waits: %.*s %s\n", width - 30, cli_text(hold, "words"), span);
        lines++;
    }
    fflush(stdout);
    shown->drawn = lines;
}

static enum cas_err look(struct cli_link *link,
                         const struct cli_command *command,
                         struct cli_answer *ret_answer,
                         json_t **ret_rollout,
                         struct cas_why *why)
{
    struct record_argument id = {.key = cas_slice_of("id"), .value = cas_slice_of(command->name)};
    enum cas_err err = cli_ask(link, "recycle.show", &id, 1, ret_answer, why);
    if (err != CAS_OK)
        return err;
    if (ret_answer->document == NULL)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "%s", ret_answer->error);
    *ret_rollout = json_loads(ret_answer->document, 0, NULL);
    if (*ret_rollout == NULL)
        return cas_fail(why, CAS_ERR_FORMAT, "the answer is no JSON");
    return CAS_OK;
}

static enum cli_exit
follow(struct cli_link *link, const struct cli_command *command, struct watch_shown *shown)
{
    bool is_terminal = cli_term_is_terminal(stdout);
    bool was_lost = false;
    cli_term_catch_interrupt();
    while (!cli_term_is_interrupted()) {
        struct cli_answer answer = {0};
        struct cas_why why = {0};
        json_t *rollout = NULL;
        enum cas_err err = look(link, command, &answer, &rollout, &why);
        if (err == CAS_ERR_UNREACHABLE) { /* the rollout goes on without us; so does the watch */
            if (!was_lost)
                fprintf(stderr, "casfleet: %s; trying on\n", why.text);
            was_lost = true;
        } else if (err != CAS_OK) {
            fprintf(stderr, "casfleet: %s\n", why.text);
            enum cli_exit exit =
                answer.document == NULL && answer.exit != CLI_OK ? answer.exit : CLI_ATTENTION;
            cli_answer_done(&answer);
            return exit;
        } else {
            was_lost = false;
            if (is_terminal)
                draw(shown, rollout);
            else
                print_news(shown, rollout);
        }
        bool is_end = rollout != NULL && is_over(cli_text(rollout, "state"));
        enum cli_exit exit = is_end ? exit_of(rollout) : CLI_OK;
        if (is_end)
            cli_print_next(stdout, rollout, "Choose");
        json_decref(rollout);
        cli_answer_done(&answer);
        if (is_end)
            return exit;
        cli_wait(link, command->every_ms);
    }
    fprintf(stderr,
            "\nLeft; the rollout goes on.  Come back:  casfleet recycle watch %s\n",
            command->name);
    return CLI_OK;
}

enum cli_exit cli_watch(struct cli_link *link, const struct cli_command *command)
{
    struct watch_shown *shown = calloc(1, sizeof *shown);
    if (shown == NULL)
        return CLI_ATTENTION;
    enum cli_exit exit = follow(link, command, shown);
    for (size_t i = 0; i < ROLLOUT_SERVERS; i++)
        free(shown->line[i]);
    free(shown);
    return exit;
}
