#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/controller_loop.h"
#include "controller/controller_posix.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/base/options.h"

enum {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,  /* while running */
    EXIT_REFUSED = 2, /* not started: configuration, keys, state folder */
    FRAMES_A_ROUND = CONTROLLER_COMMIT_REPORTS,
    NAP_MS = 5, /* frames that come meanwhile are taken together: one wake-up, one commit */
    SHOW_BYTES = 16384,
    OPERATORS_BYTES = 256 * 1024,
};

struct controller_options {
#define OPTION(name, kind, preset, least, most, words) OPTIONS_MEMBER_##kind(name)
#include "controller/controller_options.def"
#undef OPTION
};
static const struct options_row rows[] = {
#define OPTION(name, kind, preset, least, most, words) \
    OPTIONS_ROW(struct controller_options, name, kind, preset, least, most, words),
#include "controller/controller_options.def"
#undef OPTION
};
static const struct options_program program = {
    .name = "casfleet-controller",
    .words = "keeps the fleet's state and rolls recycles through it, proof by proof",
    .usage = "[run | init --state DIR | operator add NAME ROLE KEY] [OPTION...]",
    .config = "/etc/casfleet/casfleet-controller.conf",
    .row = rows,
    .row_n = CAS_COUNT(rows),
};

struct state_paths {
    char store[OPTIONS_PATH_BYTES];
    char curve[OPTIONS_PATH_BYTES];
    char command[OPTIONS_PATH_BYTES];
    char public[OPTIONS_PATH_BYTES];
    char operators[OPTIONS_PATH_BYTES];
    char endpoints[OPTIONS_PATH_BYTES];
    char config[OPTIONS_PATH_BYTES];
};

/* Owned by main, in the order they are opened. */
struct run {
    const struct controller_options *options;
    struct state_paths paths;
    struct keys *curve, *command;
    struct controller *controller;
    struct channel_server *server;
    struct cas_now now; /* of this round: frames that come together have one time */
    size_t frame_n;     /* of this round */
};

static void path_in(const struct controller_options *options,
                    const char *name,
                    char ret_path[OPTIONS_PATH_BYTES])
{
    struct cas_text text = {.data = ret_path, .cap = OPTIONS_PATH_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text, "%s/%s", options->state, name);
}

static struct state_paths paths_of(const struct controller_options *options)
{
    struct state_paths paths;
    path_in(options, "controller.db", paths.store);
    path_in(options, "curve.key", paths.curve);
    path_in(options, "command.key", paths.command);
    path_in(options, "controller.pub", paths.public);
    path_in(options, "operators", paths.operators);
    path_in(options, "endpoints", paths.endpoints);
    path_in(options, "casfleet-controller.conf", paths.config);
    if (options->operators_file[0] != '\0') {
        struct cas_text text = CAS_TEXT(paths.operators);
        cas_text_clear(&text);
        cas_text_add(&text, "%s", options->operators_file);
    }
    return paths;
}

static int refused(const struct cas_why *why)
{
    log_event(EVENT_REFUSED, "%s", why->text);
    return EXIT_REFUSED;
}

static enum cas_err endpoint_check(const char *name, const char *value, struct cas_why *why)
{
    if (strncmp(value, "tcp://", strlen("tcp://")) == 0)
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_CONFIG,
                    "%s: \"%s\": an endpoint is needed, as tcp://0.0.0.0:5670",
                    name,
                    value);
}

static enum cas_err config_check(const struct controller_options *options, struct cas_why *why)
{
    enum log_level level;
    enum cas_err err = endpoint_check("agents", options->agents, why);
    if (err == CAS_OK)
        err = endpoint_check("operators", options->operators, why);
    if (err == CAS_OK && log_level_from(cas_slice_of(options->log_level), &level) != CAS_OK)
        err = cas_fail(why,
                       CAS_ERR_CONFIG,
                       "log_level: %s: not one of error, warn, info, debug",
                       options->log_level);
    return err;
}

/* Keys are made by init only: a controller with new keys would be a stranger to all its agents. */
static enum cas_err keys_open(struct run *run, struct cas_why *why)
{
    enum cas_err err = keys_load(run->paths.curve, KEYS_CURVE, &run->curve, why);
    if (err == CAS_OK)
        err = keys_load(run->paths.command, KEYS_SIGN, &run->command, why);
    return err;
}

/* ---- init ---- */

static enum cas_err public_make(const struct run *run, struct cas_why *why)
{
    struct keys_controller public = {.curve = keys_public_of(run->curve),
                                     .command = keys_public_of(run->command)};
    return file_exists(run->paths.public) ? CAS_OK
                                          : keys_controller_save(run->paths.public, &public, why);
}

static enum cas_err text_make(const char *path, const char *text, struct cas_why *why)
{
    return file_exists(path) ? CAS_OK : file_create(path, cas_slice_of(text), FILE_PUBLIC, why);
}

static enum cas_err config_make(const struct run *run, struct cas_why *why)
{
    char text[4 * OPTIONS_PATH_BYTES];
    struct cas_text out = CAS_TEXT(text);
    cas_text_clear(&out);
    cas_text_add(&out,
                 "# casfleet-controller; casfleet-controller --help lists every option\n"
                 "state = .\n"
                 "agents = %s\n"
                 "operators = %s\n",
                 run->options->agents,
                 run->options->operators);
    return text_make(run->paths.config, text, why);
}

static const char operators_text[] =
    "# Who may ask, one a line:  NAME ROLE KEY\n"
    "# ROLE is viewer, operator or admin; KEY is what  casfleet key new FILE  prints.\n";

static int init_run(struct run *run)
{
    struct cas_why why = {0};
    bool is_new = false;
    enum cas_err err = file_folder(run->options->state, &why);
    if (err == CAS_OK)
        err = keys_load_or_make(run->paths.curve, KEYS_CURVE, &run->curve, &is_new, &why);
    if (err == CAS_OK)
        err = keys_load_or_make(run->paths.command, KEYS_SIGN, &run->command, &is_new, &why);
    if (err == CAS_OK)
        err = public_make(run, &why);
    if (err == CAS_OK)
        err = text_make(run->paths.operators, operators_text, &why);
    if (err == CAS_OK)
        err = config_make(run, &why);
    if (err != CAS_OK)
        return refused(&why);
    struct keys_public key = keys_public_of(run->curve);
    char fingerprint[KEYS_FINGERPRINT_BYTES];
    keys_fingerprint(&key, fingerprint);
    (void)printf("state        %s\n"
                 "fingerprint  %s\n"
                 "give %s to every agent and operator; it holds no secret\n"
                 "next         casfleet key new ops.key\n"
                 "             casfleet-controller operator add NAME admin KEY --config %s\n"
                 "             casfleet-controller run --config %s\n",
                 run->options->state,
                 fingerprint,
                 run->paths.public,
                 run->paths.config,
                 run->paths.config);
    return EXIT_FINE;
}

/* ---- operator add ---- */

static enum cas_err
operator_file_with(const char *path, const char *line, char **ret_text, struct cas_why *why)
{
    char *data = NULL;
    size_t size = 0;
    enum cas_err err = file_read(path, OPERATORS_BYTES, FILE_PUBLIC, &data, &size, why);
    if (err != CAS_OK)
        return err;
    size_t cap = size + strlen(line) + 3;
    char *text = malloc(cap);
    if (text != NULL) {
        const char *end = size > 0 && data[size - 1] != '\n' ? "\n" : "";
        (void)snprintf(text, cap, "%s%s%s\n", data, end, line);
    }
    free(data);
    *ret_text = text;
    return text != NULL ? CAS_OK : CAS_ERR_NOMEM;
}

static int operator_add(struct run *run, const char *const word[3])
{
    struct cas_why why = {0};
    char line[512];
    struct cas_text out = CAS_TEXT(line);
    struct ask_operator who;
    struct keys_public key;
    cas_text_clear(&out);
    cas_text_add(&out, "%s %s %s", word[0], word[1], word[2]);
    enum cas_err err = out.is_cut
                           ? cas_fail(&why, CAS_ERR_CONFIG, "more than %zu bytes", sizeof line - 1)
                           : hub_operator_parse(cas_slice_of(line), &who, &key, &why);
    CAS_AUTO(hub) hub = NULL;
    char *text = NULL;
    if (err == CAS_OK)
        err = hub_open(&hub);
    if (err == CAS_OK)
        err = operator_file_with(run->paths.operators, line, &text, &why);
    /* As a whole: the same name or key twice is found here, not by the running controller. */
    if (err == CAS_OK)
        err = hub_operators_take(hub, run->paths.operators, cas_slice_of(text), &why);
    if (err == CAS_OK)
        err = file_write(run->paths.operators, cas_slice_of(text), FILE_PUBLIC, &why);
    free(text);
    if (err != CAS_OK)
        return refused(&why);
    (void)printf("%s may ask as %s; a running controller reads %s again on SIGHUP\n",
                 who.name,
                 ask_role_name(who.role),
                 run->paths.operators);
    return EXIT_FINE;
}

/* ---- run ---- */

static enum channel_admission
on_admit(void *context, enum channel_port port, const struct keys_public *key, const char *address)
{
    struct run *run = context;
    return controller_handshake(run->controller, port, key, address, clock_now());
}

static enum cas_err on_send(void *context, struct channel_route route, struct cas_slice bytes)
{
    struct run *run = context;
    return channel_server_send(run->server, route, bytes);
}

static void on_frame(void *context, const struct channel_frame *frame)
{
    struct run *run = context;
    if (run->frame_n == 0)
        run->now = clock_now();
    run->frame_n++;
    controller_frame(run->controller, frame, run->now);
}

static enum cas_err endpoints_write(const struct run *run, struct cas_why *why)
{
    char text[1024];
    struct cas_text out = CAS_TEXT(text);
    cas_text_clear(&out);
    cas_text_add(&out,
                 "agents=%s\noperators=%s\n",
                 channel_server_endpoint(run->server, CHANNEL_AGENTS),
                 channel_server_endpoint(run->server, CHANNEL_OPERATORS));
    return file_write(run->paths.endpoints, cas_slice_of(text), FILE_PUBLIC, why);
}

static enum cas_err run_open(struct run *run, struct cas_why *why)
{
    const struct controller_options *options = run->options;
    enum cas_err err = keys_open(run, why);
    if (err != CAS_OK)
        return err;
    struct controller_settings settings = {.store_path = run->paths.store,
                                           .operators_path = run->paths.operators,
                                           .command_keys = run->command,
                                           .tick_ms = options->tick_ms,
                                           .keep_ms = options->keep_ms,
                                           .send = on_send,
                                           .context = run};
    keys_random(settings.leader_id, sizeof settings.leader_id);
    err = controller_open(&settings, clock_now(), &run->controller, why);
    if (err != CAS_OK)
        return err;
    struct channel_listen listen = {.keys = run->curve,
                                    .endpoint = {options->agents, options->operators},
                                    .io_threads = 1,
                                    .admit = on_admit,
                                    .context = run};
    err = channel_server_open(&listen, &run->server, why);
    return err == CAS_OK ? endpoints_write(run, why) : err;
}

static void run_close(struct run *run)
{
    channel_server_free(run->server);
    controller_free(run->controller);
    keys_free(run->command);
    keys_free(run->curve);
}

static void operators_reload(struct run *run)
{
    struct cas_why why = {0};
    if (controller_reload_operators(run->controller, &why) == CAS_OK)
        log_event(EVENT_OPERATORS_READ, "file=%s", run->paths.operators);
    else
        log_event(EVENT_OPERATORS_KEPT, "%s", why.text);
}

static enum cas_err run_once(struct run *run, struct cas_why *why)
{
    run->frame_n = 0;
    int64_t wait_ms = controller_wait_ms(run->controller, clock_now());
    enum cas_err err = channel_serve(run->server, wait_ms, FRAMES_A_ROUND, on_frame, run, why);
    if (err != CAS_OK)
        return err;
    err = controller_tick(run->controller, clock_now(), why);
    log_tick();
    if (controller_wants_reload())
        operators_reload(run);
    if (run->frame_n > 0 && run->frame_n < FRAMES_A_ROUND)
        controller_nap(NAP_MS);
    return err;
}

static int run_failed(enum cas_err err, const struct cas_why *why)
{
    log_event(err == CAS_ERR_BUG ? EVENT_ZAP_DIED : EVENT_REFUSED, "%s", why->text);
    return EXIT_FAILED;
}

static int run_run(struct run *run)
{
    struct cas_why why = {0};
    if (!controller_signals_take())
        return refused(&(struct cas_why){"the system does not let signals be handled"});
    controller_files_raise();
    controller_memory_share();
    enum cas_err err = run_open(run, &why);
    if (err != CAS_OK) {
        run_close(run);
        if (err == CAS_ERR_BUG)
            log_event(EVENT_SELFTEST_FAILED, "%s", why.text);
        return refused(&why);
    }
    log_event(EVENT_START,
              "version=%s epoch=%llu servers=%zu agents=%s operators=%s",
              CASFLEET_VERSION,
              (unsigned long long)controller_epoch(run->controller),
              inventory_size(controller_inventory(run->controller)),
              channel_server_endpoint(run->server, CHANNEL_AGENTS),
              channel_server_endpoint(run->server, CHANNEL_OPERATORS));
    while (err == CAS_OK && !controller_is_ending())
        err = run_once(run, &why);
    if (err == CAS_OK)
        err = controller_flush(run->controller, clock_now(), &why);
    run_close(run);
    if (err != CAS_OK)
        return run_failed(err, &why);
    log_event(EVENT_STOP, "all that was acknowledged is stored");
    return EXIT_FINE;
}

/* Changes nothing. */
static int check_run(struct run *run)
{
    struct cas_why why = {0};
    CAS_AUTO(hub) hub = NULL;
    enum cas_err err = keys_open(run, &why);
    if (err == CAS_OK)
        err = hub_open(&hub);
    if (err == CAS_OK)
        err = hub_operators_load(hub, run->paths.operators, &why);
    keys_free(run->command);
    keys_free(run->curve);
    if (err != CAS_OK)
        return refused(&why);
    char shown[SHOW_BYTES];
    struct cas_text text = CAS_TEXT(shown);
    cas_text_clear(&text);
    options_show(&program, run->options, &text);
    (void)fputs(shown, stdout);
    return EXIT_FINE;
}

static int words_run(struct run *run, const struct options_ask *ask)
{
    const char *first = ask->word_n > 0 ? ask->word[0] : "run";
    if (ask->wish == OPTIONS_CHECK)
        return check_run(run);
    if (strcmp(first, "init") == 0 && ask->word_n == 1) {
        int code = init_run(run);
        keys_free(run->command);
        keys_free(run->curve);
        return code;
    }
    if (strcmp(first, "operator") == 0 && ask->word_n == 5 && strcmp(ask->word[1], "add") == 0)
        return operator_add(run, &ask->word[2]);
    if (strcmp(first, "run") == 0 && ask->word_n <= 1)
        return run_run(run);
    struct cas_why why = {0};
    (void)cas_fail(&why, CAS_ERR_CONFIG, "%s: expected %s", first, program.usage);
    return refused(&why);
}

static int wish_run(struct run *run, const struct options_ask *ask)
{
    struct cas_why why = {0};
    enum log_level level = LOG_INFO;
    enum cas_err err = config_check(run->options, &why);
    if (err == CAS_OK)
        err = keys_start(&why);
    if (err == CAS_OK)
        err = log_level_from(cas_slice_of(run->options->log_level), &level);
    if (err != CAS_OK)
        return refused(&why);
    log_set_level(level);
    log_set_limits(run->options->log_bytes, (unsigned)run->options->log_files);
    bool is_running =
        ask->wish == OPTIONS_RUN && (ask->word_n == 0 || strcmp(ask->word[0], "run") == 0);
    if (is_running && run->options->log[0] != '\0' && log_open(run->options->log, &why) != CAS_OK)
        return refused(&why);
    int code = words_run(run, ask);
    log_close();
    return code;
}

static int help_print(void)
{
    static char help[OPTIONS_HELP_BYTES];
    struct cas_text text = CAS_TEXT(help);
    cas_text_clear(&text);
    options_help(&program, &text);
    (void)fputs(help, stdout);
    return EXIT_FINE;
}

int main(int argc, char **argv)
{
    static struct controller_options options;
    static struct run run;
    struct options_ask ask;
    struct cas_why why = {0};
    if (options_load(&program, argc, argv, &options, &ask, &why) != CAS_OK) {
        (void)fprintf(stderr, "casfleet-controller: %s\n", why.text);
        return EXIT_REFUSED;
    }
    switch (ask.wish) {
    case OPTIONS_HELP:
        return help_print();
    case OPTIONS_VERSION:
        (void)printf("casfleet-controller %s\n", CASFLEET_VERSION);
        return EXIT_FINE;
    case OPTIONS_RUN:
    case OPTIONS_CHECK:
        break;
    }
    run.options = &options;
    run.paths = paths_of(&options);
    return wish_run(&run, &ask);
}
