#include "tests/bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

enum {
    MESSAGES_EACH = 700,
    SPAN_US = 6000000,
    FAN_US = 10000000,
    BACK_US = 40000000,
    MEMORY_US = 60000000,
    AGENT_US = 60000000,
    WARM_US = 2000000,
    MEMORY_RATE = 18000, /* below the 20 a second and agent */
    ROWS = 32,
    FEW = 1000,
    MANY = 10000
};
static const double report_rate_per_s = 667;

struct row {
    char figure[96];
    char target[32];
    char unit[16];
    double measured, bare; /* NAN: not measured */
    bool more_is_better;
    char note[192];
};
static struct row rows[ROWS];
static size_t row_n;

static struct row *row_add(const char *figure, const char *target, const char *unit)
{
    if (row_n == ROWS)
        bench_die("more than %d rows", ROWS);
    struct row *row = &rows[row_n++];
    *row = (struct row){.measured = (double)NAN, .bare = (double)NAN};
    (void)snprintf(row->figure, sizeof row->figure, "%s", figure);
    (void)snprintf(row->target, sizeof row->target, "%s", target);
    (void)snprintf(row->unit, sizeof row->unit, "%s", unit);
    return row;
}

static void value_text(double value, char ret_text[32])
{
    if (!cas_is_number(value))
        (void)snprintf(ret_text, 32, "-");
    else
        (void)snprintf(ret_text, 32, value < 100 ? "%.1f" : "%.0f", value);
}

static void table_print(void)
{
    (void)printf("\n%-66s %10s %10s %10s %8s\n", "figure", "target", "measured", "libzmq", "ratio");
    for (size_t i = 0; i < row_n; i++) {
        const struct row *row = &rows[i];
        char measured[32];
        char bare[32];
        char ratio[32];
        char figure[128];
        value_text(row->measured, measured);
        value_text(row->bare, bare);
        value_text(row->measured / row->bare, ratio);
        (void)snprintf(figure, sizeof figure, "%s, %s", row->figure, row->unit);
        (void)printf("%-66s %10s %10s %10s %8s\n", figure, row->target, measured, bare, ratio);
        if (row->note[0] != '\0')
            (void)printf("    %s\n", row->note);
    }
}

static void say(const char *words, size_t n, bool is_bare)
{
    (void)fprintf(stderr, "bench: %s, %zu peers, %s\n", words, n, is_bare ? "libzmq" : "casfleet");
}

/* ---- one figure each; measured by the same steps for both servers ---- */

struct results {
    double idle_us_per_s, report_us, report_gross_us;
    double full_per_s, full_us, full_main_us, full_peers_us;
    double back_ms, back_cpu_us;
    double fan_claim_ms, fan_grant_ms, fan_done_ms;
    double kib_before, kib_after, kib_messages;
};

static double cpu_us(struct bench_cpu before, struct bench_cpu after)
{
    return (double)(after.all_us - before.all_us);
}

static void
measure_rate(struct bench_farm *farm, struct bench_peers *peers, struct results *results)
{
    const double span_s = SPAN_US / 1e6;
    say("heartbeats alone", peers->n, peers->is_bare);
    struct bench_cpu cpu = bench_cpu_of(&farm->process);
    bench_peers_for(peers, SPAN_US);
    results->idle_us_per_s = cpu_us(cpu, bench_cpu_of(&farm->process)) / span_s;

    say("667 reports a second", peers->n, peers->is_bare);
    bench_peers_rate(peers, report_rate_per_s, WARM_US);
    uint64_t before = peers->ack_n;
    cpu = bench_cpu_of(&farm->process);
    bench_peers_rate(peers, report_rate_per_s, SPAN_US);
    double spent_us = cpu_us(cpu, bench_cpu_of(&farm->process));
    double acked = (double)(peers->ack_n - before);
    results->report_gross_us = spent_us / acked;
    results->report_us = (spent_us - results->idle_us_per_s * span_s) / acked;
}

static void
measure_full(struct bench_farm *farm, struct bench_peers *peers, struct results *results)
{
    say("as many reports as it takes", peers->n, peers->is_bare);
    peers->is_chain = true;
    bench_peers_kick(peers);
    bench_peers_for(peers, WARM_US);
    uint64_t before = peers->ack_n;
    int64_t start_us = bench_now_us();
    struct bench_cpu cpu = bench_cpu_of(&farm->process);
    int64_t peers_us = clock_cpu_us();
    bench_peers_for(peers, SPAN_US);
    struct bench_cpu now = bench_cpu_of(&farm->process);
    double acked = (double)(peers->ack_n - before);
    results->full_per_s = acked / ((double)(bench_now_us() - start_us) / 1e6);
    results->full_us = cpu_us(cpu, now) / acked;
    results->full_peers_us = (double)(clock_cpu_us() - peers_us) / acked;
    results->full_main_us = (double)(now.main_us - cpu.main_us) / acked;
    peers->is_chain = false;
    bench_peers_for(peers, WARM_US);
}

static void
measure_back(struct bench_farm *farm, struct bench_peers *peers, struct results *results)
{
    say("killed and started again", peers->n, peers->is_bare);
    int64_t start_us = bench_now_us();
    bench_kill(&farm->process);
    bench_farm_launch(farm);
    bench_peers_lost(peers);
    bench_peers_back(peers, start_us + BACK_US);
    results->back_cpu_us = (double)bench_cpu_of(&farm->process).all_us / (double)peers->n;
    results->back_ms =
        peers->welcome_n == peers->n ? (double)(peers->welcome_us - start_us) / 1000 : (double)NAN;
    if (peers->welcome_n < peers->n)
        (void)fprintf(stderr, "bench: %zu of %zu came back\n", peers->welcome_n, peers->n);
}

static void id_read(const char *json, char ret_id[32])
{
    const char *at = strstr(json, "\"r-");
    if (at == NULL)
        bench_die("no plan was made: %.300s", json);
    (void)snprintf(ret_id, 32, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
}

static void fan_ask(struct bench_farm *farm, struct bench_peers *peers)
{
    static char text[1024 * 1024];
    char id[32];
    char at_once[16];
    (void)snprintf(at_once, sizeof at_once, "%zu", peers->n);
    const char *plan[] = {
        "recycle",     "plan",        "all",     "--verb", "probe",    "--at", "now",
        "--at-once",   at_once,       "--gap",   "0s",     "--settle", "0s",   "--no-drain",
        "--no-canary", "--fixed-too", "--floor", "0",      "-o",       "json", NULL};
    bench_farm_ask(farm, peers, plan, text, sizeof text);
    id_read(text, id);
    const char *start[] = {"recycle", "run", id, "--reason", "bench", NULL};
    bench_farm_ask(farm, peers, start, text, sizeof text);
}

static void measure_fan(struct bench_farm *farm, struct bench_peers *peers, struct results *results)
{
    say("one command to each", peers->n, peers->is_bare);
    if (farm->is_bare)
        bench_peers_fan(peers);
    else
        fan_ask(farm, peers);
    int64_t until_us = bench_now_us() + FAN_US;
    while (peers->done_n < peers->n && bench_now_us() < until_us)
        bench_peers_serve(peers, 5);
    if (peers->offer_n == peers->n)
        results->fan_claim_ms = (double)(peers->claim_us - peers->offer_us) / 1000;
    if (peers->grant_n == peers->n)
        results->fan_grant_ms = (double)(peers->grant_us - peers->offer_us) / 1000;
    if (peers->done_n == peers->n)
        results->fan_done_ms = (double)(peers->done_us - peers->offer_us) / 1000;
    if (peers->done_n != peers->n)
        (void)fprintf(stderr,
                      "bench: %zu offers, %zu grants, %zu results acknowledged of %zu\n",
                      peers->offer_n,
                      peers->grant_n,
                      peers->done_n,
                      peers->n);
}

static void
measure_memory(struct bench_farm *farm, struct bench_peers *peers, struct results *results)
{
    say("700 messages each", peers->n, peers->is_bare);
    int64_t until_us = bench_now_us() + MEMORY_US;
    uint64_t wanted = (uint64_t)MESSAGES_EACH * peers->n;
    while (peers->report_n + peers->hb_n < wanted && bench_now_us() < until_us)
        bench_peers_rate(peers, peers->is_bare ? 2 * MEMORY_RATE : MEMORY_RATE, SPAN_US / 20);
    bench_peers_for(peers, WARM_US / 2);
    results->kib_after = (double)bench_rss_kib(&farm->process);
    results->kib_messages = (double)(peers->report_n + peers->hb_n) / (double)peers->n;
}

static void measure_few(const char *bin, bool is_bare, struct results *results)
{
    struct bench_peers peers;
    struct bench_farm farm;
    bench_peers_open(&peers, FEW);
    peers.is_bare = is_bare;
    if (is_bare)
        bench_bare_make(&farm);
    else
        bench_farm_make(&farm, bin, &peers);
    bench_farm_start(&farm);
    results->kib_before = (double)bench_rss_kib(&farm.process);
    say("connecting", peers.n, is_bare);
    bench_peers_connect(&peers, farm.endpoint, &farm.server);
    measure_rate(&farm, &peers, results);
    measure_fan(&farm, &peers, results);
    measure_memory(&farm, &peers, results);
    bench_peers_close(&peers);
    bench_farm_end(&farm);
}

static void measure_many(const char *bin, bool is_bare, struct results *results)
{
    struct bench_peers peers;
    struct bench_farm farm;
    bench_peers_open(&peers, MANY);
    peers.is_bare = is_bare;
    if (is_bare)
        bench_bare_make(&farm);
    else
        bench_farm_make(&farm, bin, &peers);
    bench_farm_start(&farm);
    results->kib_before = (double)bench_rss_kib(&farm.process);
    say("connecting", peers.n, is_bare);
    bench_peers_connect(&peers, farm.endpoint, &farm.server);
    measure_rate(&farm, &peers, results);
    measure_full(&farm, &peers, results);
    results->kib_after = (double)bench_rss_kib(&farm.process);
    results->kib_messages = (double)(peers.report_n + peers.hb_n) / (double)peers.n;
    measure_back(&farm, &peers, results);
    bench_peers_close(&peers);
    bench_farm_end(&farm);
}

/* ---- the table ---- */

static void rate_rows(size_t n, const struct results *ours, const struct results *bare)
{
    char figure[96];
    (void)snprintf(figure, sizeof figure, "%zu agents: controller CPU per report at 667/s", n);
    struct row *row = row_add(figure, "<= 50", "us");
    row->measured = ours->report_us;
    row->bare = bare->report_us;
    (void)snprintf(row->note,
                   sizeof row->note,
                   "decoded, stored, acknowledged; with heartbeats %.1f us, which alone take %.2f "
                   "%% of a processor",
                   ours->report_gross_us,
                   ours->idle_us_per_s / 1e4);
}

static void memory_rows(size_t n, const struct results *ours, const struct results *bare)
{
    char figure[96];
    (void)snprintf(figure, sizeof figure, "%zu agents: controller RSS per 1,000", n);
    struct row *row = row_add(figure, "<= 100", "MiB");
    double thousands = (double)n / 1000;
    row->measured = ours->kib_after / 1024 / thousands;
    row->bare = bare->kib_after / 1024 / thousands;
    (void)snprintf(row->note,
                   sizeof row->note,
                   "after %.0f messages from each (libzmq %.0f); %.1f MiB before the first",
                   ours->kib_messages,
                   bare->kib_messages,
                   ours->kib_before / 1024);
}

static void few_rows(const struct results *ours, const struct results *bare)
{
    rate_rows(FEW, ours, bare);
    struct row *row = row_add("1000 agents: first OFFER seen to last CLAIM sent", "<= 60", "ms");
    row->measured = ours->fan_claim_ms;
    row->bare = bare->fan_claim_ms;
    (void)snprintf(row->note,
                   sizeof row->note,
                   "an operator runs a probe of all at once: the commands out, the replies back");
    row = row_add("1000 agents: first OFFER seen to last GRANT seen", "", "ms");
    row->measured = ours->fan_grant_ms;
    row->bare = bare->fan_grant_ms;
    (void)snprintf(row->note,
                   sizeof row->note,
                   "and the CLAIMs checked, written to disk, each answered by a signed GRANT");
    row = row_add("1000 agents: first OFFER seen to last RESULT acknowledged", "", "ms");
    row->measured = ours->fan_done_ms;
    row->bare = bare->fan_done_ms;
    memory_rows(FEW, ours, bare);
}

static void many_rows(const struct results *ours, const struct results *bare)
{
    rate_rows(MANY, ours, bare);
    struct row *row = row_add("10000 agents: reports acknowledged", ">= 25000", "per s");
    row->measured = ours->full_per_s;
    row->bare = bare->full_per_s;
    (void)snprintf(row->note,
                   sizeof row->note,
                   "one under way each; controller CPU %.1f us a report, %.1f of it in its main "
                   "thread (libzmq %.1f, %.1f); peers %.1f us (%.1f)",
                   ours->full_us,
                   ours->full_main_us,
                   bare->full_us,
                   bare->full_main_us,
                   ours->full_peers_us,
                   bare->full_peers_us);
    row = row_add("10000 agents: all back after kill -9 and start", "<= 12", "s");
    row->measured = ours->back_ms / 1000;
    row->bare = bare->back_ms / 1000;
    (void)snprintf(row->note,
                   sizeof row->note,
                   "from the kill to the last WELCOME; controller CPU %.0f us a peer (libzmq %.0f)",
                   ours->back_cpu_us,
                   bare->back_cpu_us);
    memory_rows(MANY, ours, bare);
}

static void agent_rows(const char *bin, int64_t span_us)
{
    struct bench_agent agent = {0};
    (void)fprintf(stderr, "bench: an agent that samples every second\n");
    bench_agent_run(bin, span_us, &agent);
    struct row *row = row_add("agent: RSS", "<= 8", "MB");
    row->measured = (double)agent.rss_kib * 1024 / 1e6;
    (void)snprintf(row->note,
                   sizeof row->note,
                   "its own %.1f MB, pages of programs and libraries %.1f MB; peak %.1f MB",
                   (double)agent.anon_kib * 1024 / 1e6,
                   (double)agent.file_kib * 1024 / 1e6,
                   (double)agent.peak_kib * 1024 / 1e6);
    row = row_add("agent: CPU per sample", "<= 300", "us");
    row->measured = agent.sample_us;
    (void)snprintf(row->note,
                   sizeof row->note,
                   "all it used while it sampled %llu times, heartbeats and reports included",
                   (unsigned long long)agent.sample_n);
}

static const char usage[] =
    "usage: bench BIN [few] [many] [agent]    BIN: a build folder; none of the words: all three\n";

static bool is_wished(int argc, char **argv, const char *word)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], word) == 0)
            return true;
    }
    return argc == 2;
}

int main(int argc, char **argv)
{
    static struct results ours[2];
    static struct results bare[2];
    struct cas_why why = {.text = ""};
    char machine[512];
    bench_check(keys_start(&why), &why);
    uint64_t files = bench_files_raise();
    if (argc == 5 && strcmp(argv[1], "bare") == 0)
        bench_bare_run(argv[2], argv[3], argv[4]);
    if (argc < 2 || argv[1][0] == '-') {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (files < MANY + 200)
        bench_die("%llu open files are allowed, %d are needed (ulimit -Hn)",
                  (unsigned long long)files,
                  MANY + 200);
    for (size_t i = 0; i < 2; i++) {
        ours[i] = (struct results){.back_ms = (double)NAN,
                                   .fan_claim_ms = (double)NAN,
                                   .fan_grant_ms = (double)NAN,
                                   .fan_done_ms = (double)NAN};
        bare[i] = ours[i];
    }
    if (is_wished(argc, argv, "agent"))
        agent_rows(argv[1], AGENT_US);
    if (is_wished(argc, argv, "few")) {
        measure_few(argv[1], false, &ours[0]);
        measure_few(argv[1], true, &bare[0]);
        few_rows(&ours[0], &bare[0]);
    }
    if (is_wished(argc, argv, "many")) {
        measure_many(argv[1], false, &ours[1]);
        measure_many(argv[1], true, &bare[1]);
        many_rows(&ours[1], &bare[1]);
    }
    table_print();
    int major = 0;
    int minor = 0;
    int patch = 0;
    zmq_version(&major, &minor, &patch);
    bench_machine(machine, sizeof machine);
    (void)printf("\n%s, libzmq %d.%d.%d; peers and server share the processors\n",
                 machine,
                 major,
                 minor,
                 patch);
    return 0;
}
