#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli_json.h"
#include "proto/base/args.h"
#include "proto/trust/keys.h"

static enum cli_exit exit_of(enum cas_err err)
{
    if (err == CAS_ERR_UNREACHABLE)
        return CLI_UNREACHABLE;
    if (err == CAS_ERR_DENIED)
        return CLI_DENIED;
    enum cas_reaction reaction = cas_err_reaction(err);
    bool is_ours = reaction == CAS_REACTION_REFUSE || reaction == CAS_REACTION_OPERATOR;
    return is_ours ? CLI_USAGE : CLI_ATTENTION;
}

static enum cli_exit complain(enum cas_err err, const struct cas_why *why)
{
    fprintf(stderr, "casfleet: %s\n", why->text[0] == '\0' ? cas_err_words(err) : why->text);
    return exit_of(err);
}

/* casfleet key new FILE */
static enum cli_exit key_new(const char *path)
{
    struct cas_why why = {0};
    CAS_AUTO(keys) keys = NULL;
    enum cas_err err = keys_start(&why);
    if (err == CAS_OK)
        err = keys_make(KEYS_CURVE, &keys);
    if (err == CAS_OK)
        err = keys_save(keys, path, &why);
    if (err != CAS_OK)
        return complain(err, &why);
    struct keys_public key = keys_public_of(keys);
    char text[KEYS_TEXT_BYTES], fingerprint[KEYS_FINGERPRINT_BYTES];
    keys_text(&key, text);
    keys_fingerprint(&key, fingerprint);
    printf("%s\n", text);
    fprintf(stderr,
            "Wrote %s (keep it secret).  Fingerprint %s.\nOn the controller:  casfleet-controller "
            "operator add "
            "NAME ROLE %s\n",
            path,
            fingerprint,
            text);
    return CLI_OK;
}

/* Without --agent-key: shows the one key that waits and asks back; without a terminal --yes is
 * needed. */
static enum cli_exit confirm_key(struct cli_link *link, const struct cli_command *command)
{
    struct record_argument pending = {.key = cas_slice_of("pending"), .value = cas_slice_of("")};
    struct cli_answer answer = {0};
    struct cas_why why = {0};
    enum cas_err err = cli_ask(link, "agent.list", &pending, 1, &answer, &why);
    if (err != CAS_OK)
        return complain(err, &why);
    json_t *document = answer.document == NULL ? NULL : json_loads(answer.document, 0, NULL);
    const json_t *items = json_object_get(document, "items");
    size_t n = json_array_size(items);
    enum cli_exit exit = CLI_OK;
    if (n != 1) {
        fprintf(stderr,
                "casfleet: %zu keys wait: say which with --agent-key; casfleet agent list "
                "--pending shows them\n",
                n);
        exit = n == 0 ? CLI_NOTHING : CLI_USAGE;
    } else {
        const json_t *item = json_array_get(items, 0);
        fprintf(stderr,
                "Key %s, waiting from %s, as %s.\n",
                cli_text(item, "fingerprint"),
                cli_text(item, "address"),
                command->name);
        char line[16] = "";
        bool is_asked = !command->is_yes && cli_term_is_terminal(stdin);
        if (is_asked)
            fprintf(stderr,
                    "Is it what `casfleet-agent --fingerprint` shows on that server? [y/N] ");
        bool is_answered = is_asked && fgets(line, sizeof line, stdin) != NULL;
        bool is_agreed = command->is_yes || (is_answered && (line[0] == 'y' || line[0] == 'Y'));
        if (!is_agreed)
            fprintf(stderr,
                    is_asked ? "Not approved.\n"
                             : "casfleet: no terminal to ask: --yes or --agent-key\n");
        exit = is_agreed ? CLI_OK : CLI_STOPPED;
    }
    json_decref(document);
    cli_answer_done(&answer);
    return exit;
}

static bool has_argument(const struct cli_command *command, const char *key)
{
    for (size_t i = 0; i < command->argument_n; i++) {
        if (cas_slice_is(command->argument[i].key, key))
            return true;
    }
    return false;
}

static enum cli_exit ask_once(struct cli_link *link, const struct cli_command *command)
{
    struct cli_answer answer = {0};
    struct cas_why why = {0};
    enum cas_err err =
        cli_ask(link, command->verb->ask, command->argument, command->argument_n, &answer, &why);
    /* What is then followed is not shown twice. */
    if (err == CAS_OK && answer.document != NULL && !command->is_watched)
        err = cli_print(stdout, command->format, answer.document, &why);
    if (err != CAS_OK) {
        cli_answer_done(&answer);
        return complain(err, &why);
    }
    if (answer.error[0] != '\0')
        fprintf(stderr, "casfleet: %s\n", answer.error);
    enum cli_exit exit = answer.exit;
    cli_answer_done(&answer);
    return exit;
}

static enum cli_exit run(const struct cli_command *command)
{
    struct cas_why why = {0};
    CAS_AUTO(cli_link) link = NULL;
    enum cas_err err = cli_link_open(&command->options, &link, &why);
    if (err != CAS_OK)
        return complain(err, &why);
    bool is_watch = strcmp(command->verb->verb, "watch") == 0;
    if (is_watch)
        return cli_watch(link, command);
    if (command->verb->targets == CLI_NAME_NEW && !has_argument(command, "key")) {
        enum cli_exit agreed = confirm_key(link, command);
        if (agreed != CLI_OK)
            return agreed;
    }
    enum cli_exit exit = ask_once(link, command);
    if (exit == CLI_OK && command->is_watched)
        return cli_watch(link, command);
    return exit;
}

int main(int argc, char **argv)
{
    static struct cli_command command;
    struct cas_why why = {0};
    enum cas_err err = args_utf8(&argc, &argv, &why);
    if (err == CAS_OK)
        err = cli_parse(argc, argv, &command, &why);
    bool has_file = err == CAS_OK && command.verb != NULL && command.verb->targets == CLI_FILE;
    if (has_file && !command.is_help && !command.is_version)
        err = cli_take_file(&command, &why);
    if (err != CAS_OK) {
        fprintf(stderr, "casfleet: %s\n", why.text);
        return CLI_USAGE;
    }
    if (command.is_version) {
        printf("casfleet %s\n", CASFLEET_VERSION);
        return CLI_OK;
    }
    if (command.is_help) {
        cli_help(stdout, command.verb);
        return CLI_OK;
    }
    if (command.verb->ask[0] == '\0')
        return (int)key_new(command.name);
    return (int)run(&command);
}
