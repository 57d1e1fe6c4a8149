#include <stdio.h>

#include "agent/agent_program.h"
#include "agent/agent_words.h"
#include "agent/service.h"
#include "proto/base/args.h"
#include "proto/base/log.h"
#include "proto/base/log_source.h"

/* What the body of the service is handed: a command line that may not have been understood. */
struct start {
    struct agent_call call;
    enum cas_err err;
    struct cas_why why;
};

static int not_understood(const struct cas_why *why)
{
    if (service_is_managed())
        return agent_not_started(why);
    (void)fprintf(stderr, "casfleet-agent: %s\n", why->text);
    return AGENT_EXIT_REFUSED;
}

static int help_print(const struct agent_call *call)
{
    static char help[OPTIONS_HELP_BYTES];
    static char usage[AGENT_SHOW_BYTES];
    struct cas_text text = CAS_TEXT(help);
    cas_text_clear(&text);
    for (int i = 1; i < call->argc; i++) {
        enum agent_word word = AGENT_WORD_run;
        if (!agent_word_find(call->argv[i], &word))
            continue;
        agent_word_help(word, &text);
        (void)fputs(help, stdout);
        return AGENT_EXIT_FINE;
    }
    struct cas_text words = CAS_TEXT(usage);
    struct options_program program = *agent_program();
    cas_text_clear(&words);
    cas_text_add(&words, "%s\n\n", program.usage);
    agent_words_help(&words);
    if (words.used > 2)
        words.data[words.used - 2] = '\0'; /* options_help ends the paragraph itself */
    program.usage = usage;
    options_help(&program, &text);
    (void)fputs(help, stdout);
    return AGENT_EXIT_FINE;
}

static int fingerprint_print(const struct agent_options *options)
{
    struct cas_why why = {.text = ""};
    struct agent_paths paths;
    agent_paths_of(options, &paths);
    CAS_AUTO(keys) keys = NULL;
    if (agent_key_open(options, &paths, &keys, &why) != CAS_OK)
        return agent_refused(&why);
    agent_key_show(keys);
    return AGENT_EXIT_FINE;
}

/* Reads the file, then does what the word says. */
static int loaded_run(struct agent_call *call, int (*word)(const struct agent_call *))
{
    struct cas_why why = {.text = ""};
    if (options_load(agent_program(), call->argc, call->argv, call->options, &call->ask, &why) !=
        CAS_OK)
        return not_understood(&why);
    if (keys_start(&why) != CAS_OK)
        return agent_refused(&why);
    if (call->ask.wish == OPTIONS_CHECK)
        return agent_check_config(call);
    if (call->options->fingerprint)
        return fingerprint_print(call->options);
    return word(call);
}

static int service_begin(void *context)
{
    struct start *start = context;
    struct cas_why why = {.text = ""};
    if (service_is_managed() && log_source_start(&why) != CAS_OK)
        log_event(EVENT_LOG_FAILED, "%s", why.text);
    return start->err == CAS_OK ? loaded_run(&start->call, agent_run) : not_understood(&start->why);
}

static int word_run(struct start *start, enum agent_word word)
{
    switch (word) {
    case AGENT_WORD_check:
        return loaded_run(&start->call, agent_check);
    case AGENT_WORD_selftest:
        return loaded_run(&start->call, agent_selftest);
    case AGENT_WORD_hold:
        return loaded_run(&start->call, agent_hold);
    case AGENT_WORD_release:
        return loaded_run(&start->call, agent_release);
    case AGENT_WORD_install:
        return agent_install(&start->call);
    case AGENT_WORD_uninstall:
        return agent_uninstall(&start->call);
    case AGENT_WORD_start:
        return agent_start(&start->call);
    case AGENT_WORD_stop:
        return agent_stop(&start->call);
    case AGENT_WORD_run:
    case AGENT_WORD_N:
        break;
    }
    if (start->call.ask.wish == OPTIONS_CHECK || start->call.options->fingerprint)
        return loaded_run(&start->call, agent_run);
    return service_run(service_begin, start);
}

int main(int argc, char **argv)
{
    static struct agent_options options;
    static bool is_given[OPTIONS_ROWS];
    static struct start start;
    struct cas_why *why = &start.why;
    enum agent_word word = AGENT_WORD_run;
    service_prepare();
    start.err = args_utf8(&argc, &argv, why);
    start.call =
        (struct agent_call){.argc = argc, .argv = argv, .options = &options, .is_given = is_given};
    struct options_ask *ask = &start.call.ask;
    if (start.err == CAS_OK)
        start.err = options_flags(agent_program(), argc, argv, &options, is_given, ask, why);
    if (start.err == CAS_OK && ask->wish == OPTIONS_HELP)
        return help_print(&start.call);
    if (start.err == CAS_OK && ask->wish == OPTIONS_VERSION) {
        (void)printf("casfleet-agent %s\n", CASFLEET_VERSION);
        return AGENT_EXIT_FINE;
    }
    if (start.err == CAS_OK)
        start.err = agent_word_of(ask, service_has_manager(), &word, why);
    /* A start by the service manager is answered whatever was said: else it waits for us in vain.
     */
    return start.err == CAS_OK ? word_run(&start, word) : service_run(service_begin, &start);
}
