/* The model: every value is a closed function of the model's time, so that a read is cheap and a
 * jump in time costs nothing.
 *
 * What it is shaped after: Microsoft KB 4456227 (Pings strand in the pool for weeks; requests,
 * memory, % Time in GC and CLOSE_WAIT rise until ports run out), the Exchange 2013 performance
 * counter reference, IIS documentation of overlapped recycling (the old worker ends at its
 * shutdownTimeLimit of 90 s), and TCP/IP port exhaustion troubleshooting (events 4227, 4231). The
 * sizes per device and per stranded Ping are round numbers: a server of 3000 devices that strands
 * 400 Pings a day fills 70 % of its ports after about two and a half weeks. */
#include "agent/host/host_sim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double pi = 3.14159265358979323846;
static const double per_stranded_ports = 6;
static const double per_stranded_close_wait = 4;
static const double reconnect_ms = 25000; /* 99 % are back after two minutes */
static const double drain_ms = 60000;     /* 5 % are left after three minutes */
static const double undrain_ms = 45000;
static const double ports_warn = 0.70;

enum {
    SIM_NOISE_MS = 15000,
    SIM_SLOT_MS = 600000, /* at most one Tcpip event in each */
    SIM_READY_LEAST_MS = 4000,
    SIM_READY_SPREAD_MS = 5000,
    SIM_PAGE_MS = 3000, /* a component state set active shows on the page so much later */
};

uint64_t sim_hash(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t z = seed ^ (a * 0x9e3779b97f4a7c15u) ^ (b * 0xc2b2ae3d27d4eb4fu);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* -1 .. 1, another one every 15 s. */
static double noise(uint64_t seed, uint64_t what, int64_t at_ms)
{
    uint64_t dice = sim_hash(seed, what, (uint64_t)(at_ms / SIM_NOISE_MS));
    return (double)(dice >> 11) / 4503599627370496.0 - 1.0;
}

static int64_t floor_div(int64_t value, int64_t by)
{
    int64_t whole = value / by;
    return value % by < 0 ? whole - 1 : whole;
}

int64_t sim_slot(int64_t at_ms)
{
    return floor_div(at_ms, SIM_SLOT_MS);
}

/* The next number of a build and the mark behind it. Asked for at every reading: no sscanf. */
static bool part_take(const char **at, char end, unsigned *ret_part)
{
    unsigned part = 0;
    const char *digit = *at;
    for (; *digit >= '0' && *digit <= '9' && digit - *at < 6; digit++)
        part = 10 * part + (unsigned)(*digit - '0');
    if (digit == *at || *digit != end)
        return false;
    *at = digit + (end == '\0' ? 0 : 1);
    *ret_part = part;
    return true;
}

double sim_leak_per_day(const struct host_sim_settings *settings)
{
    unsigned major = 0;
    unsigned minor = 0;
    unsigned build = 0;
    unsigned revision = 0;
    const char *at = settings->build;
    if (!part_take(&at, '.', &major) || !part_take(&at, '.', &minor) ||
        !part_take(&at, '.', &build) || !part_take(&at, '\0', &revision))
        return settings->leak_per_day;
    bool is_cu11 = minor == 1 && (build > 1591 || (build == 1591 && revision >= 10));
    bool is_fixed = major > 15 || (major == 15 && (minor >= 2 || is_cu11));
    return is_fixed ? 0 : settings->leak_per_day;
}

int64_t sim_overlap_ms(const struct host_sim_settings *settings, const struct sim_worker *old)
{
    bool has_stranded =
        sim_leak_per_day(settings) * (double)(old->until_ms - old->since_ms) >= SIM_DAY_MS;
    if (has_stranded)
        return SIM_OVERLAP_MS;
    return SIM_OVERLAP_MS / 2 +
           (int64_t)(sim_hash(settings->seed, 'o', old->pid) % (SIM_OVERLAP_MS / 2));
}

/* 0..1: people at work; highest at 14:30 on a working day. */
static double day_share(int64_t at_ms)
{
    static const double of_day[7] = {0.40, 1, 1, 1, 1, 1, 0.45}; /* Sunday first */
    int64_t day = floor_div(at_ms, SIM_DAY_MS);
    double hour = (double)(at_ms - day * SIM_DAY_MS) / 3600000.0;
    size_t today = (size_t)(((day + 4) % 7 + 7) % 7);
    double week = of_day[today];
    if (hour < 4)
        week += (of_day[(today + 6) % 7] - week) * (4 - hour) / 4;
    return week * (0.5 - 0.5 * cos(2 * pi * (hour - 2.5) / 24));
}

double sim_front(const struct sim_memory *memory, int64_t at_ms)
{
    double target = memory->is_drained ? 0 : 1;
    double span = memory->is_drained ? drain_ms : undrain_ms;
    double since_ms = (double)(at_ms - memory->turned_ms);
    if (since_ms <= 0)
        return memory->front_turned;
    return target + (memory->front_turned - target) * exp(-since_ms / span);
}

static double stranded_of(double leak_per_day, const struct sim_worker *worker, int64_t at_ms)
{
    int64_t until_ms = at_ms < worker->until_ms ? at_ms : worker->until_ms;
    double span_ms = (double)(until_ms - worker->since_ms);
    return span_ms > 0 ? floor(leak_per_day * span_ms / SIM_DAY_MS) : 0;
}

/* What the full queue turned away while a storm came in faster than it was worked off: the area of
 * the storm above that rate. Counted with all devices, so that it never goes down. */
static double rejected_of(uint32_t devices, double age_ms)
{
    static const double worked_per_ms = 0.6;
    double peak_per_ms = 1.6 * devices / reconnect_ms;
    if (peak_per_ms <= worked_per_ms || age_ms <= 0)
        return 0;
    double end_ms = reconnect_ms * log(peak_per_ms / worked_per_ms);
    double span_ms = age_ms < end_ms ? age_ms : end_ms;
    double came = peak_per_ms * reconnect_ms * (1 - exp(-span_ms / reconnect_ms));
    return floor(came - worked_per_ms * span_ms);
}

/* The newest worker that had started by then. */
static size_t worker_at(const struct sim_memory *memory, int64_t at_ms)
{
    size_t i = memory->worker_n - 1;
    while (i > 0 && memory->worker[i].since_ms > at_ms)
        i--;
    return i;
}

static void load_requests(const struct host_sim_settings *settings,
                          const struct sim_memory *memory,
                          int64_t at_ms,
                          struct sim_load *load)
{
    double leak = sim_leak_per_day(settings);
    size_t i = worker_at(memory, at_ms);
    const struct sim_worker *now = &memory->worker[i];
    double half = strcmp(settings->roles, "cas") == 0 ? 1.0 : 0.5;
    double front = sim_front(memory, at_ms);
    double connected = settings->devices * (0.62 + 0.34 * load->day);
    double all = connected * (1 - half + half * front);
    double away = exp(-(double)(at_ms - now->since_ms) / reconnect_ms);

    load->held = floor(all * (1 - away) * (1 + 0.012 * noise(settings->seed, 'h', at_ms)));
    load->stranded = stranded_of(leak, now, at_ms);
    load->stranded_aged = stranded_of(leak, now, at_ms - SIM_HEARTBEAT_MS);
    load->rejected = rejected_of(settings->devices, (double)(at_ms - now->since_ms));
    /* Each device comes back with a Ping and often a Sync. */
    load->storm_per_s = 1.6 * 1000 * all * away / reconnect_ms;
    if (!memory->is_drained)
        load->storm_per_s += 1.6 * 1000 * connected * half * (1 - front) / undrain_ms;
    if (i == 0)
        return;

    const struct sim_worker *old = &memory->worker[i - 1];
    int64_t since_ms = at_ms - old->until_ms;
    if (since_ms >= sim_overlap_ms(settings, old))
        return;
    load->is_overlapped = true;
    load->held_old = floor(all * exp(-(double)since_ms / reconnect_ms));
    load->stranded_old = stranded_of(leak, old, at_ms);
}

void sim_load(const struct host_sim_settings *settings,
              const struct sim_memory *memory,
              int64_t at_ms,
              struct sim_load *ret_load)
{
    struct sim_load load = {.day = day_share(at_ms)};
    load_requests(settings, memory, at_ms, &load);
    double work = settings->devices * (0.08 + 0.92 * load.day);
    double calm_per_s = work / 240 + load.held / 900;
    load.time_wait = 40 + 36 * calm_per_s + 8 * load.storm_per_s;
    load.ports = 640 + 0.5 * (load.held + load.held_old) + 0.3 * load.time_wait +
                 per_stranded_ports * (load.stranded + load.stranded_old);
    /* Without ports the front end reaches no back end: most requests fail before they are counted.
     */
    double served = load.ports < SIM_PORTS_TOTAL ? 1 : 0.2;
    load.requests_per_s = served * (calm_per_s + load.storm_per_s);
    load.syncs_per_s = served * (work / 420 + 0.35 * load.storm_per_s);
    *ret_load = load;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static double heap_of(double held, double stranded)
{
    return 180e6 + 60e3 * held + 250e3 * stranded;
}

static double private_of(double held, double stranded)
{
    return 250e6 + 90e3 * held + 1.6 * heap_of(held, stranded);
}

void sim_values(const struct host_sim_settings *settings,
                const struct sim_load *load,
                int64_t at_ms,
                double *ret_value)
{
    uint64_t seed = settings->seed;
    double both = load->held + load->held_old;
    double stuck = load->stranded + load->stranded_old;
    double heap = heap_of(load->held, load->stranded) * (1 + 0.04 * noise(seed, 'g', at_ms));
    double own = private_of(load->held, load->stranded) * (1 + 0.01 * noise(seed, 'p', at_ms));
    double old = load->is_overlapped ? private_of(load->held_old, load->stranded_old) : 0;
    double gc = (1.1 + 5.5 * pow(heap / 1e9, 1.35)) * (1 + 0.2 * noise(seed, 'c', at_ms));
    double cpu = 4 + 30 * load->day + least(45, load->storm_per_s / 4) + 0.3 * least(gc, 90);
    double ports = least(floor(load->ports), SIM_PORTS_TOTAL);
    double *v = ret_value;

    v[SYMPTOM_active_requests] = load->held + load->stranded;
    v[SYMPTOM_private_bytes] = floor(own);
    v[SYMPTOM_gc_time_pct] = least(gc, 95);
    v[SYMPTOM_close_wait] = floor(0.004 * both + per_stranded_close_wait * stuck);
    v[SYMPTOM_ports_used] = ports;
    v[SYMPTOM_ports_total] = SIM_PORTS_TOTAL;
    v[SYMPTOM_ports_peer_most] = least(floor(0.4 * both + 5 * stuck), ports);
    v[SYMPTOM_pings_pending] = floor(0.86 * load->held) + load->stranded;
    v[SYMPTOM_requests_per_s] = load->requests_per_s * (1 + 0.08 * noise(seed, 'r', at_ms));
    v[SYMPTOM_syncs_per_s] = load->syncs_per_s * (1 + 0.08 * noise(seed, 's', at_ms));
    v[SYMPTOM_working_set] = floor(0.86 * own);
    v[SYMPTOM_handles] = floor(1400 + 0.4 * load->held + 2.5 * load->stranded);
    v[SYMPTOM_time_wait] = floor(load->time_wait * (1 + 0.05 * noise(seed, 't', at_ms)));
    v[SYMPTOM_established] = floor(350 + 2.2 * both + 1.5 * stuck);
    v[SYMPTOM_memory_available] =
        floor(most(256e6, 0.55 * (double)settings->ram_bytes - own - old));
    v[SYMPTOM_cpu_pct] = most(0, least(100, cpu + 2 * noise(seed, 'u', at_ms)));
    v[SYMPTOM_queue_rejected] = load->rejected;
    v[SYMPTOM_stranded_requests] = load->stranded_aged;
    v[SYMPTOM_heap_bytes] = floor(heap);
}

static bool is_foreign_bad(const char *foreign)
{
    return strstr(foreign, "ActiveSyncProxy") != NULL ||
           strstr(foreign, "ServerWideOffline") != NULL;
}

bool sim_is_healthy(const struct host_sim_settings *settings,
                    const struct sim_memory *memory,
                    int64_t at_ms,
                    char ret_reason[REASON_BYTES])
{
    const struct sim_worker *worker = &memory->worker[memory->worker_n - 1];
    int64_t ready_ms = SIM_READY_LEAST_MS +
                       (int64_t)(sim_hash(settings->seed, 'w', worker->pid) % SIM_READY_SPREAD_MS);
    bool is_first = memory->worker_n == 1 && memory->recycle_n == 0;
    struct cas_text why = {.data = ret_reason, .cap = REASON_BYTES};
    cas_text_clear(&why);
    struct sim_load load;
    sim_load(settings, memory, at_ms, &load);

    if (memory->is_drained)
        cas_text_add(&why,
                     "healthcheck.htm answers 503: ActiveSyncProxy is inactive (Maintenance)");
    else if (is_foreign_bad(settings->foreign))
        cas_text_add(&why, "healthcheck.htm answers 503: %s", settings->foreign);
    else if (worker->is_sick)
        cas_text_add(&why, "healthcheck.htm answers 500 since worker %u started", worker->pid);
    else if (load.ports >= SIM_PORTS_TOTAL)
        cas_text_add(&why,
                     "healthcheck.htm does not answer: no port of %d is left",
                     SIM_PORTS_TOTAL);
    else if (!is_first && at_ms - worker->since_ms < ready_ms)
        cas_text_add(&why, "healthcheck.htm does not answer: worker %u is starting", worker->pid);
    else if (memory->front_turned < 1 && at_ms - memory->turned_ms < SIM_PAGE_MS)
        cas_text_add(&why, "healthcheck.htm answers 503: ActiveSyncProxy has just become active");
    return ret_reason[0] == '\0';
}

bool sim_port_event(const struct host_sim_settings *settings,
                    const struct sim_memory *memory,
                    int64_t slot,
                    struct sim_event *ret_event)
{
    uint64_t dice = sim_hash(settings->seed, 'e', (uint64_t)slot);
    int64_t at_ms = slot * SIM_SLOT_MS + (int64_t)(dice % SIM_SLOT_MS);
    if (at_ms < memory->worker[0].since_ms)
        return false;
    struct sim_load load;
    sim_load(settings, memory, at_ms, &load);
    double used = load.ports / SIM_PORTS_TOTAL;
    double chance = 0.5 * (used - ports_warn) / (1 - ports_warn);
    bool is_out = used >= 1;
    double throw =
        (double)(sim_hash(settings->seed, 'f', (uint64_t)slot) >> 11) / 9007199254740992.0;
    if (!is_out && throw >= chance)
        return false;
    *ret_event = (struct sim_event){.at_ms = at_ms, .id = is_out ? 4231 : 4227};
    return true;
}
