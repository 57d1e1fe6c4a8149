#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli.h"
#include "proto/base/args.h"

struct cli_flag {
    const char *name;
    char letter;
    const char *key;   /* of the ASK; "" for what is done here */
    const char *value; /* "" takes none */
    const char *words;
};
static const struct cli_flag flags[] = {
#define FLAG(name, letter, key, value, words) {name, letter, key, value, words},
#include "controller/cli/casfleet_flags.def"
#undef FLAG
};

#define TARGETS_NONE          CLI_NONE
#define TARGETS_SERVERS       CLI_SERVERS
#define TARGETS_ID            CLI_ID
#define TARGETS_ID_SERVERS    CLI_ID_SERVERS
#define TARGETS_SUBJECT       CLI_SUBJECT
#define TARGETS_NAME          CLI_NAME_NEW
#define TARGETS_NAMED         CLI_NAMED
#define TARGETS_NAMED_MAYBE   CLI_NAMED_MAYBE
#define TARGETS_NAMED_SERVERS CLI_NAMED_SERVERS
#define TARGETS_SITE_ZONE     CLI_SITE_ZONE
#define TARGETS_FILE          CLI_FILE
#define TARGETS_PLAN          CLI_PLAN
static const struct cli_verb verbs[] = {
#define VERB(noun, verb, ask, targets, flags, words) \
    {noun, verb, ask, TARGETS_##targets, flags, words},
#include "controller/cli/casfleet_verbs.def"
#undef VERB
};
static const char *const target_words[] = {"",
                                           "[TARGET...]",
                                           "ID",
                                           "ID SERVER",
                                           "SERVER|SCHEDULE|ID [SERVER]",
                                           "NAME",
                                           "NAME",
                                           "[NAME]",
                                           "NAME [TARGET...]",
                                           "SITE ZONE",
                                           "FILE",
                                           "ID|SCHEDULE"};

static const struct options_row rows[] = {
#define OPTION(name, kind, preset, least, most, words) \
    OPTIONS_ROW(struct cli_options, name, kind, preset, least, most, words),
#include "controller/cli/cli_options.def"
#undef OPTION
};
enum {
    CLI_GLOBALS = 2 * CAS_COUNT(rows) + 4
};

/* argv, sorted into what the options table takes and what the verb takes. */
struct cli_words {
    char *global[CLI_GLOBALS];
    int global_n;
    const char *word[OPTIONS_WORDS];
    size_t word_n;
};

static bool lists(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word)) {
        bool begins = at == list || at[-1] == ' ';
        if (begins && (at[size] == ' ' || at[size] == '\0'))
            return true;
    }
    return false;
}

static const struct cli_flag *flag_named(const char *text, size_t size)
{
    for (size_t i = 0; i < CAS_COUNT(flags); i++) {
        bool is_long = size == strlen(flags[i].name) && memcmp(flags[i].name, text, size) == 0;
        bool is_short = size == 1 && flags[i].letter == text[0];
        if (is_long || is_short)
            return &flags[i];
    }
    return NULL;
}

/* A global option is written with - or _ between its words. */
static bool is_global(const char *text, size_t size)
{
    static const char *const own[] = {"config"};
    for (size_t i = 0; i < CAS_COUNT(rows) + CAS_COUNT(own); i++) {
        const char *name = i < CAS_COUNT(rows) ? rows[i].name : own[i - CAS_COUNT(rows)];
        bool is_same = strlen(name) == size;
        for (size_t k = 0; k < size && is_same; k++)
            is_same = name[k] == text[k] || (name[k] == '_' && text[k] == '-');
        if (is_same)
            return true;
    }
    return false;
}

static enum cas_err format_of(const char *text, enum cli_format *ret_format, struct cas_why *why)
{
    static const char *const names[] = {"table", "wide", "json", "csv", "name"};
    for (size_t i = 0; i < CAS_COUNT(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_format = (enum cli_format)i;
            return CAS_OK;
        }
    }
    return cas_fail(why, CAS_ERR_RANGE, "-o %s: table, wide, json, csv or name", text);
}

static enum cas_err
add_argument(struct cli_command *command, const char *key, const char *value, struct cas_why *why)
{
    for (size_t i = 0; i < command->argument_n; i++) {
        if (cas_slice_is(command->argument[i].key, key))
            return cas_fail(why, CAS_ERR_EXISTS, "--%s: given twice", key);
    }
    if (command->argument_n == WIRE_ARGS)
        return cas_fail(why, CAS_ERR_TOO_MANY, "more than %d arguments", WIRE_ARGS);
    if (strlen(value) > WIRE_ARG_BYTES - 1)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "--%s: longer than %d bytes",
                        key,
                        WIRE_ARG_BYTES - 1);
    struct record_argument *added = &command->argument[command->argument_n++];
    added->key = cas_slice_of(key);
    added->value = cas_slice_of(value);
    return CAS_OK;
}

static enum cas_err take_every(struct cli_command *command, const char *value, struct cas_why *why)
{
    struct cas_why inner = {.text = ""};
    enum cas_err err =
        cas_parse_span(cas_slice_of(value), 100, 3600000, &command->every_ms, &inner);
    return err == CAS_OK ? CAS_OK : cas_fail(why, err, "--every: %s", inner.text);
}

static enum cas_err take_flag(struct cli_command *command,
                              const struct cli_flag *flag,
                              const char *value,
                              struct cas_why *why)
{
    if (flag->key[0] != '\0')
        return add_argument(command, flag->key, value == NULL ? "" : value, why);
    if (strcmp(flag->name, "now") == 0)
        return add_argument(command, "at", "now", why);
    if (strcmp(flag->name, "watch") == 0)
        command->is_watched = true;
    else if (strcmp(flag->name, "yes") == 0)
        command->is_yes = true;
    else
        return take_every(command, value, why);
    return CAS_OK;
}

/* One word that begins with '-'. *at stands on it and is left on the last word used. */
static enum cas_err take_dash(struct cli_command *command,
                              struct cli_words *words,
                              int argc,
                              char *const *argv,
                              int *at,
                              struct cas_why *why)
{
    char *text = argv[*at];
    const char *name = text[1] == '-' ? text + 2 : text + 1;
    const char *equals = text[1] == '-' ? strchr(name, '=') : NULL;
    size_t size = equals == NULL ? strlen(name) : (size_t)(equals - name);
    bool is_format = cas_slice_is((struct cas_slice){name, size}, "o") ||
                     cas_slice_is((struct cas_slice){name, size}, "output");
    const struct cli_flag *flag = is_format ? NULL : flag_named(name, size);
    bool is_option = !is_format && flag == NULL && is_global(name, size);
    if (!is_format && flag == NULL && !is_option)
        return cas_fail(why,
                        CAS_ERR_UNSUPPORTED,
                        "%s: no such flag; casfleet --help lists them",
                        text);
    bool takes_value = is_format || is_option || flag->value[0] != '\0';
    const char *value = equals == NULL ? NULL : equals + 1;
    if (!takes_value && equals != NULL)
        return cas_fail(why, CAS_ERR_FORMAT, "--%s takes no value", flag->name);
    if (is_option && words->global_n + 2 >= CLI_GLOBALS)
        return cas_fail(why, CAS_ERR_TOO_MANY, "%s: too many options", text);
    if (is_option)
        words->global[words->global_n++] = text;
    if (takes_value && value == NULL) {
        if (*at + 1 >= argc)
            return cas_fail(why, CAS_ERR_MISSING, "%s: its value is missing", text);
        value = argv[++*at];
        if (is_option)
            words->global[words->global_n++] = argv[*at];
    }
    if (is_format)
        return format_of(value, &command->format, why);
    return is_option ? CAS_OK : take_flag(command, flag, value, why);
}

static enum cas_err sort_words(struct cli_command *command,
                               struct cli_words *words,
                               int argc,
                               char *const *argv,
                               struct cas_why *why)
{
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
            command->is_help = true;
        } else if (strcmp(text, "--version") == 0) {
            command->is_version = true;
        } else if (text[0] == '-' && text[1] != '\0') {
            enum cas_err err = take_dash(command, words, argc, argv, &i, why);
            if (err != CAS_OK)
                return err;
        } else if (words->word_n == OPTIONS_WORDS) {
            return cas_fail(why,
                            CAS_ERR_TOO_MANY,
                            "more than %d words: write node sets, as LON-CAS[01-16]",
                            OPTIONS_WORDS);
        } else {
            words->word[words->word_n++] = text;
        }
    }
    return CAS_OK;
}

/* noun verb, or a shortcut of one word. *ret_used says how many words that took. */
static const struct cli_verb *find_verb(const struct cli_words *words, size_t *ret_used)
{
    const char *noun = words->word_n > 0 ? words->word[0] : "";
    const char *verb = words->word_n > 1 ? words->word[1] : "";
    if (strcmp(noun, "help") == 0) { /* casfleet help recycle plan */
        noun = verb;
        verb = words->word_n > 2 ? words->word[2] : "";
    }
    for (size_t i = 0; i < CAS_COUNT(verbs); i++) {
        if (strcmp(verbs[i].noun, noun) != 0)
            continue;
        if (verbs[i].verb[0] != '\0' && strcmp(verbs[i].verb, verb) != 0)
            continue;
        *ret_used = verbs[i].verb[0] == '\0' ? 1 : 2;
        return &verbs[i];
    }
    return NULL;
}

static bool is_noun(const char *word)
{
    for (size_t i = 0; i < CAS_COUNT(verbs); i++) {
        if (strcmp(verbs[i].noun, word) == 0)
            return true;
    }
    return false;
}

static enum cas_err join_targets(struct cli_command *command,
                                 const struct cli_words *words,
                                 size_t from,
                                 struct cas_why *why)
{
    struct cas_text text = CAS_TEXT(command->target);
    for (size_t i = from; i < words->word_n; i++)
        cas_text_add(&text, "%s%s", i == from ? "" : ",", words->word[i]);
    if (text.is_cut)
        return cas_fail(why, CAS_ERR_TOO_LONG, "targets: longer than %d bytes", WIRE_ARG_BYTES - 1);
    return text.used == 0 ? CAS_OK : add_argument(command, "target", command->target, why);
}

static enum cas_err take_targets(struct cli_command *command,
                                 const struct cli_words *words,
                                 size_t used,
                                 struct cas_why *why)
{
    enum cli_targets targets = command->verb->targets;
    const char *wanted = target_words[targets];
    size_t left = words->word_n - used;
    bool takes_one = targets != CLI_NONE && targets != CLI_SERVERS;
    if (targets == CLI_NONE && left > 0)
        return cas_fail(why, CAS_ERR_TOO_MANY, "%s: takes no target", words->word[used]);
    bool is_maybe = targets == CLI_NAMED_MAYBE;
    bool takes_more = targets == CLI_ID_SERVERS || targets == CLI_NAMED_SERVERS;
    if (targets == CLI_SUBJECT && left > 2)
        return cas_fail(why, CAS_ERR_TOO_MANY, "%s: one too many", words->word[used + 2]);
    takes_more = takes_more || targets == CLI_SUBJECT;
    if (is_maybe && left == 0)
        return CAS_OK;
    bool takes_two = targets == CLI_SITE_ZONE;
    if ((takes_one && left == 0) || (takes_two && left == 1))
        return cas_fail(why,
                        CAS_ERR_MISSING,
                        "casfleet %s %s: %s is missing",
                        command->verb->noun,
                        command->verb->verb,
                        wanted);
    size_t most = takes_two ? 2 : 1;
    if (takes_one && !takes_more && left > most)
        return cas_fail(why, CAS_ERR_TOO_MANY, "%s: one too many", words->word[used + most]);
    if (takes_one) {
        command->name = words->word[used];
        const char *key = targets == CLI_NAME_NEW ? "name" : "id";
        enum cas_err err = add_argument(command, key, command->name, why);
        if (err != CAS_OK)
            return err;
        used++;
    }
    if (takes_two)
        return add_argument(command, "zone", words->word[used], why);
    return targets == CLI_SERVERS || takes_more ? join_targets(command, words, used, why) : CAS_OK;
}

/* Flags were taken before the verb was known: each must be one of the verb's. */
static enum cas_err
check_flags(int argc, char *const *argv, const struct cli_verb *verb, struct cas_why *why)
{
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        if (text[0] != '-' || text[1] == '\0')
            continue;
        const char *name = text[1] == '-' ? text + 2 : text + 1;
        const struct cli_flag *flag = flag_named(name, strcspn(name, "="));
        if (flag == NULL)
            continue;
        if (!lists(verb->flags, flag->name))
            return cas_fail(why,
                            CAS_ERR_UNSUPPORTED,
                            "casfleet %s %s does not take --%s%s%s",
                            verb->noun,
                            verb->verb,
                            flag->name,
                            verb->flags[0] == '\0' ? "" : "; it takes: ",
                            verb->flags);
        if (flag->value[0] != '\0' && strchr(text, '=') == NULL)
            i++;
    }
    return CAS_OK;
}

static enum cas_err load_options(struct cli_command *command,
                                 const struct cli_words *words,
                                 char *program_name,
                                 struct cas_why *why)
{
    static char config[OPTIONS_PATH_BYTES];
    struct cas_text path = CAS_TEXT(config);
    static const struct {
        const char *variable;
        const char *behind;
    } places[] = {{"CASFLEET_CONFIG", ""},
                  {"HOME", "/.config/casfleet.conf"},
                  {"APPDATA", "/casfleet/casfleet.conf"}}; /* Windows */
    const char *folder = NULL;
    for (size_t i = 0; i < CAS_COUNT(places) && folder == NULL; i++) {
        folder = args_environment(places[i].variable);
        if (folder != NULL)
            cas_text_add(&path, "%s%s", folder, places[i].behind);
    }
    struct options_program program = {.name = "casfleet",
                                      .words = "casfleet",
                                      .usage = "NOUN VERB [TARGET...] [FLAG...]",
                                      .config = config,
                                      .row = rows,
                                      .row_n = CAS_COUNT(rows)};
    char *argv[CLI_GLOBALS + 1] = {program_name};
    for (int i = 0; i < words->global_n; i++)
        argv[i + 1] = words->global[i];
    struct options_ask asked;
    return options_load(&program, words->global_n + 1, argv, &command->options, &asked, why);
}

enum cas_err
cli_parse(int argc, char *const *argv, struct cli_command *ret_command, struct cas_why *why)
{
    struct cli_words words = {0};
    memset(ret_command, 0, sizeof *ret_command);
    ret_command->every_ms = 1000;
    enum cas_err err = sort_words(ret_command, &words, argc, argv, why);
    if (err != CAS_OK)
        return err;
    size_t used = 0;
    bool is_help_word = words.word_n > 0 && strcmp(words.word[0], "help") == 0;
    ret_command->verb = find_verb(&words, &used);
    ret_command->is_help |= words.word_n == 0 || is_help_word;
    if (ret_command->is_help || ret_command->is_version)
        return CAS_OK;
    if (ret_command->verb == NULL)
        return cas_fail(why,
                        CAS_ERR_UNSUPPORTED,
                        "casfleet %s%s%s: no such command; casfleet --help lists them",
                        words.word[0],
                        is_noun(words.word[0]) && words.word_n > 1 ? " " : "",
                        is_noun(words.word[0]) && words.word_n > 1 ? words.word[1] : "");
    err = check_flags(argc, argv, ret_command->verb, why);
    if (err == CAS_OK)
        err = take_targets(ret_command, &words, used, why);
    if (err != CAS_OK || ret_command->verb->ask[0] == '\0')
        return err;
    return load_options(ret_command, &words, argv[0], why);
}

static void help_verb(FILE *out, const struct cli_verb *verb)
{
    fprintf(out,
            "casfleet %s%s%s %s [FLAG...]\n  %s\n",
            verb->noun,
            verb->verb[0] == '\0' ? "" : " ",
            verb->verb,
            target_words[verb->targets],
            verb->words);
    for (size_t i = 0; i < CAS_COUNT(flags); i++) {
        const struct cli_flag *flag = &flags[i];
        if (!lists(verb->flags, flag->name))
            continue;
        char left[48], letter[8] = "";
        struct cas_text text = CAS_TEXT(left), short_text = CAS_TEXT(letter);
        if (flag->letter != 0)
            cas_text_add(&short_text, "-%c, ", flag->letter);
        cas_text_add(&text, "%s--%s %s", letter, flag->name, flag->value);
        fprintf(out, "  %-24s %s\n", left, flag->words);
    }
}

static void help_all(FILE *out)
{
    fprintf(out, "casfleet NOUN VERB [TARGET...] [FLAG...]\n\n");
    for (size_t i = 0; i < CAS_COUNT(verbs); i++) {
        char left[64];
        struct cas_text text = CAS_TEXT(left);
        cas_text_add(&text,
                     "%s%s%s %s",
                     verbs[i].noun,
                     verbs[i].verb[0] == '\0' ? "" : " ",
                     verbs[i].verb,
                     target_words[verbs[i].targets]);
        fprintf(out, "  %-32s %s\n", left, verbs[i].words);
    }
    fprintf(out,
            "\nTargets are names and node sets (LON-CAS[01-16]), or all; -l SELECTOR filters, -x "
            "SET leaves "
            "out.\n-o table|wide|json|csv|name   --help after any command says its flags\n\n");
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        char left[40];
        struct cas_text text = CAS_TEXT(left);
        for (const char *at = rows[i].name; *at != '\0'; at++)
            cas_text_add(&text, "%c", *at == '_' ? '-' : *at);
        fprintf(out, "  --%-30s %s\n", left, rows[i].words);
    }
    fprintf(out,
            "These four also stand in a file: --config FILE, $CASFLEET_CONFIG or "
            "~/.config/casfleet.conf.\n\n"
            "Exit codes: 0 done, 1 a target failed or needs attention, 2 usage, 3 controller "
            "unreachable,\n"
            "4 not allowed, 5 nothing matched, 6 refused by a guard (floor, window, stale plan),\n"
            "7 stopped or declined, 10 plan --exit-code: there is work.\n");
}

void cli_help(FILE *out, const struct cli_verb *verb)
{
    if (verb == NULL)
        help_all(out);
    else
        help_verb(out, verb);
}
