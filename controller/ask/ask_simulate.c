#include <stdlib.h>
#include <string.h>

#include "controller/ask/ask_room.h"
#include "controller/store/store_load.h"
#include "controller/view/view_schedule.h"
#include "controller/view/view_simulate.h"

enum {
    MINUTE_MS = 60 * 1000,
    EVERY_MS = 50 * 1000, /* reports come once a minute: one reading of each is enough */
    HOLD_MS = 150 * 1000, /* two and a half reports */
    PEEK_MS = 75 * 1000,  /* one look at all servers: each reports in it */
    LOOK_MOST = 100000, /* reports looked through for the time played: nobody else is served then */
    PEAK_MOST = 40000,  /* and for the week */
    ROW_MOST = 8192,
};
static const int64_t week_ms = INT64_C(7) * 24 * 60 * MINUTE_MS;

/* One plan being played. Arrays by the servers' positions in the inventory. */
struct playing {
    struct ask_call *call;
    struct simulate_server *server; /* [server_n]; owned, as the next six */
    int64_t *last_ms;               /* of the reading taken last */
    size_t *unknown;
    bool *is_concerned;                   /* by group: somebody of it goes out */
    const struct simulate_reading **peak; /* by group */
    struct simulate_row *row;             /* [ROW_MOST] */
    uint32_t *place;                      /* position by server id, [place_n] */
    size_t server_n, place_n;
    struct simulate_reading *reading; /* [reading_n]; owned */
    size_t reading_n, reading_cap;
    size_t left; /* readings that may still be taken */
    int64_t every_ms;
    enum cas_err err;
    char pool[POOL_BYTES];
    struct view_simulation shown;
    int64_t until_ms;
};

static void playing_done(struct playing *playing)
{
    free(playing->server);
    free(playing->last_ms);
    free(playing->unknown);
    free(playing->is_concerned);
    free(playing->peak);
    free(playing->row);
    free(playing->place);
    free(playing->reading);
}

/* ---- the farm and the waves ---- */

/* By site. Who is revoked belongs to no group: it carries nothing for others. */
static enum cas_err groups_of(struct playing *playing)
{
    const struct inventory *inventory = playing->call->scene->inventory;
    size_t n = playing->server_n;
    const char **site = calloc(n + 1, sizeof *site);
    uint32_t *group = calloc(n + 1, sizeof *group);
    enum cas_err err = site == NULL || group == NULL ? CAS_ERR_NOMEM : CAS_OK;
    for (size_t i = 0; i < n && err == CAS_OK; i++) {
        const struct inventory_server *server = inventory_at(inventory, i);
        site[i] = server->admission == ADMISSION_REVOKED ? NULL : server->label[LABEL_SITE];
    }
    if (err == CAS_OK)
        err = simulate_groups(site, n, group);
    for (size_t i = 0; i < n && err == CAS_OK; i++)
        playing->server[i].group = group[i];
    free(site);
    free(group);
    return err;
}

static enum cas_err farm_of(struct playing *playing)
{
    const struct inventory *inventory = playing->call->scene->inventory;
    size_t n = inventory_size(inventory);
    uint32_t id_most = 0;
    for (size_t i = 0; i < n; i++)
        id_most =
            inventory_at(inventory, i)->id > id_most ? inventory_at(inventory, i)->id : id_most;
    playing->server_n = n;
    playing->place_n = (size_t)id_most + 1;
    playing->server = calloc(n + 1, sizeof *playing->server);
    playing->last_ms = calloc(n + 1, sizeof *playing->last_ms);
    playing->unknown = calloc(n + 1, sizeof *playing->unknown);
    playing->is_concerned = calloc(n + 1, sizeof *playing->is_concerned);
    playing->peak = calloc(n + 1, sizeof *playing->peak);
    playing->row = calloc(ROW_MOST, sizeof *playing->row);
    playing->place = calloc(playing->place_n, sizeof *playing->place);
    if (playing->server == NULL || playing->last_ms == NULL || playing->unknown == NULL ||
        playing->is_concerned == NULL || playing->peak == NULL || playing->row == NULL ||
        playing->place == NULL)
        return CAS_ERR_NOMEM;
    for (size_t i = 0; i < playing->place_n; i++)
        playing->place[i] = UINT32_MAX;
    for (size_t i = 0; i < n; i++)
        playing->place[inventory_at(inventory, i)->id] = (uint32_t)i;
    return groups_of(playing);
}

/* The steps of a plan nobody has run: waves parted by ';'. */
static enum cas_err waves_of_draft(struct playing *playing, const struct record_plan_body *body)
{
    const struct ask_scene *scene = playing->call->scene;
    struct cas_slice left = body->steps;
    size_t *at = calloc(playing->server_n + 1, sizeof *at);
    enum cas_err err = at == NULL ? CAS_ERR_NOMEM : CAS_OK;
    uint32_t wave = 0;
    while (err == CAS_OK && left.size > 0) {
        const char *end = memchr(left.data, ';', left.size);
        size_t size = end == NULL ? left.size : (size_t)(end - left.data), n = 0;
        struct inventory_choice choice = {.targets = {left.data, size}};
        err = inventory_choose(scene->inventory,
                               &choice,
                               scene->now.mono_ms,
                               at,
                               &n,
                               &playing->call->why);
        wave++;
        for (size_t i = 0; err == CAS_OK && i < n; i++)
            playing->server[at[i]].wave = wave;
        size_t used = size + (end == NULL ? 0 : 1);
        left = (struct cas_slice){left.data + used, left.size - used};
    }
    free(at);
    playing->shown.wave_n = wave;
    return err;
}

/* Of a rollout: what is still to go. */
static enum cas_err waves_of_rollout(struct playing *playing, const struct rollout *rollout)
{
    uint32_t first = UINT32_MAX;
    for (size_t i = 0; i < rollout->step_n; i++) {
        const struct rollout_step *step = &rollout->step[i];
        bool is_left = step->state == STEP_PENDING || step->state == STEP_CANCELLED;
        if (!is_left || step->server_id >= playing->place_n ||
            playing->place[step->server_id] == UINT32_MAX)
            continue;
        first = step->wave < first ? step->wave : first;
        uint32_t wave = step->wave - first + 1;
        playing->server[playing->place[step->server_id]].wave = wave;
        playing->shown.wave_n = wave > playing->shown.wave_n ? wave : playing->shown.wave_n;
    }
    if (first == UINT32_MAX || rollout->state == ROLLOUT_DONE || rollout->state == ROLLOUT_ENDED ||
        rollout->state == ROLLOUT_MISSED)
        return cas_fail(
            &playing->call->why,
            CAS_ERR_GUARD,
            "r-%04llu is %s, nothing of it is to go: casfleet why r-%04llu says what it "
            "came to",
            (unsigned long long)rollout->seq,
            rollout_state_words(rollout->state),
            (unsigned long long)rollout->seq);
    return CAS_OK;
}

/* The timetable, and as many whole weeks back as it takes for all of it to be over. */
static enum cas_err pace_of(struct playing *playing, const struct record_plan_body *body)
{
    struct view_simulation *shown = &playing->shown;
    int64_t now_ms = playing->call->scene->now.wall_ms;
    if (body->verb != VERB_recycle)
        return cas_fail(&playing->call->why,
                        CAS_ERR_UNSUPPORTED,
                        "%s: only a recycle is played: it takes servers out and puts them back",
                        verb_name((enum verb)body->verb));
    shown->seq = body->rollout_seq;
    shown->verb = (enum verb)body->verb;
    shown->start_ms = body->start_ms > now_ms ? body->start_ms : now_ms;
    playing->until_ms = body->until_ms;
    int64_t p95_ms = rollout_p95_ms(playing->call->scene->book, shown->verb);
    int64_t limits_ms = CLAIM_WAIT_MS + (int64_t)(body->drain_ms + body->act_ms + body->proof_ms);
    shown->is_p95 = p95_ms > 0;
    shown->pace.wave_ms = p95_ms > 0 ? p95_ms : limits_ms;
    shown->pace.rest_ms = (int64_t)body->gap_ms;
    return cas_slice_copy(body->pool, playing->pool, sizeof playing->pool);
}

/* Waves that would begin after the window's end do not; then their servers stay. */
static void fit_window(struct playing *playing)
{
    struct view_simulation *shown = &playing->shown;
    const struct simulate_pace *pace = &shown->pace;
    uint32_t wave_n = shown->wave_n;
    while (wave_n > 0 &&
           shown->start_ms + (int64_t)(wave_n - 1) * (pace->wave_ms + pace->rest_ms) >=
               playing->until_ms)
        wave_n--;
    shown->cut_n = shown->wave_n - wave_n;
    shown->wave_n = wave_n;
    for (size_t i = 0; i < playing->server_n; i++)
        playing->server[i].wave = playing->server[i].wave > wave_n ? 0 : playing->server[i].wave;
    int64_t all_ms = (int64_t)wave_n * (pace->wave_ms + pace->rest_ms);
    shown->back_ms = week_ms;
    while (shown->start_ms + all_ms - shown->back_ms > playing->call->scene->now.wall_ms)
        shown->back_ms += week_ms;
    shown->pace.start_ms = shown->start_ms - shown->back_ms;
}

/* ---- the record ---- */

static bool on_wants(void *context, uint32_t server_id, int64_t at_ms)
{
    struct playing *playing = context;
    uint32_t at = server_id < playing->place_n ? playing->place[server_id] : UINT32_MAX;
    if (at == UINT32_MAX || playing->last_ms[at] == INT64_MAX || playing->left == 0)
        return false;
    int64_t since_ms = at_ms - playing->last_ms[at];
    if (since_ms > -playing->every_ms && since_ms < playing->every_ms)
        return false;
    playing->last_ms[at] = at_ms;
    playing->left--;
    return true;
}

static void on_tell(void *context, uint32_t server_id, int64_t at_ms, double requests)
{
    struct playing *playing = context;
    if (playing->reading_n == playing->reading_cap) {
        size_t cap = playing->reading_cap == 0 ? 1024 : 2 * playing->reading_cap;
        struct simulate_reading *grown = realloc(playing->reading, cap * sizeof *grown);
        if (grown == NULL) {
            playing->err = CAS_ERR_NOMEM;
            return;
        }
        playing->reading = grown;
        playing->reading_cap = cap;
    }
    playing->reading[playing->reading_n++] =
        (struct simulate_reading){.server = playing->place[server_id],
                                  .at_ms = at_ms,
                                  .requests = requests};
}

static int compare_readings(const void *left, const void *right)
{
    const struct simulate_reading *a = left, *b = right;
    if (a->server != b->server)
        return a->server < b->server ? -1 : 1;
    return a->at_ms < b->at_ms ? -1 : a->at_ms > b->at_ms;
}

/* INT64_MAX in last_ms: of no interest. Returns how many are. */
static size_t begin_reading(struct playing *playing, int64_t every_ms, size_t most)
{
    size_t n = 0;
    playing->every_ms = every_ms;
    playing->left = most;
    for (size_t i = 0; i < playing->server_n; i++) {
        if (playing->server[i].wave > 0)
            playing->is_concerned[playing->server[i].group] = true;
    }
    for (size_t i = 0; i < playing->server_n; i++) {
        bool is_wanted = playing->is_concerned[playing->server[i].group];
        playing->last_ms[i] = is_wanted ? INT64_MIN / 2 : INT64_MAX;
        n += is_wanted;
    }
    return n;
}

static enum cas_err
read_loads(struct playing *playing, int64_t from_ms, int64_t to_ms, int64_t late_ms)
{
    const struct store_load load = {.pool = playing->pool,
                                    .context = playing,
                                    .wants = on_wants,
                                    .tell = on_tell};
    enum cas_err err = store_loads_read(playing->call->scene->store,
                                        &load,
                                        from_ms,
                                        to_ms,
                                        late_ms,
                                        &playing->call->why);
    return err == CAS_OK ? playing->err : err;
}

static void take_readings(struct playing *playing, struct simulate_record *record)
{
    if (playing->reading_n > 1)
        qsort(playing->reading, playing->reading_n, sizeof *playing->reading, compare_readings);
    *record = (struct simulate_record){.server = playing->server,
                                       .server_n = playing->server_n,
                                       .reading = playing->reading,
                                       .reading_n = playing->reading_n,
                                       .hold_ms = HOLD_MS};
}

static int64_t span_ms(const struct view_simulation *shown)
{
    return (int64_t)shown->wave_n * (shown->pace.wave_ms + shown->pace.rest_ms);
}

/* Each wave each minute where the farm and the plan are small enough; else as often as the limit
 * allows. Sets step_ms; *ret_whole: all of the time may be read, and not only what is looked at. */
static enum cas_err pace_looks(struct playing *playing, bool *ret_whole)
{
    struct view_simulation *shown = &playing->shown;
    struct simulate_pace *pace = &shown->pace;
    int64_t n = (int64_t)playing->server_n, wave_n = shown->wave_n;
    int64_t whole_ms = span_ms(shown) + HOLD_MS + STORE_LOAD_LATE_MS;
    pace->step_ms = MINUTE_MS;
    *ret_whole = n * (whole_ms / MINUTE_MS) <= LOOK_MOST;
    if (*ret_whole)
        return CAS_OK;
    const int64_t waves_most = LOOK_MOST * (int64_t)MINUTE_MS / (n * PEEK_MS);
    while (wave_n * simulate_moments(pace) > waves_most && simulate_moments(pace) > 1)
        pace->step_ms *= 2;
    if (wave_n * simulate_moments(pace) > waves_most)
        return cas_fail(&playing->call->why,
                        CAS_ERR_GUARD,
                        "%lld waves in a farm of %lld servers: only plans of up to %lld waves are "
                        "played there, as nobody else is served meanwhile; plan a part of it",
                        (long long)wave_n,
                        (long long)n,
                        (long long)waves_most);
    return CAS_OK;
}

static enum cas_err read_looks(struct playing *playing)
{
    const struct simulate_pace *pace = &playing->shown.pace;
    enum cas_err err = CAS_OK;
    for (uint32_t wave = 0; wave < playing->shown.wave_n; wave++) {
        int64_t start_ms = pace->start_ms + (int64_t)wave * (pace->wave_ms + pace->rest_ms);
        for (int64_t i = 0; i < simulate_moments(pace) && err == CAS_OK; i++) {
            int64_t after_ms = i * pace->step_ms;
            int64_t at_ms = start_ms + (after_ms < pace->wave_ms ? after_ms : pace->wave_ms);
            err = read_loads(playing, at_ms - PEEK_MS, at_ms, 0);
        }
    }
    return err;
}

static enum cas_err play(struct playing *playing)
{
    struct view_simulation *shown = &playing->shown;
    const struct simulate_pace *pace = &shown->pace;
    bool is_whole = false;
    enum cas_err err = pace_looks(playing, &is_whole);
    if (err != CAS_OK)
        return err;
    (void)begin_reading(playing, EVERY_MS, 2 * LOOK_MOST);
    err = is_whole ? read_loads(playing,
                                pace->start_ms - HOLD_MS,
                                pace->start_ms + span_ms(shown),
                                STORE_LOAD_LATE_MS)
                   : read_looks(playing);
    if (err != CAS_OK)
        return err;
    take_readings(playing, &shown->record);
    shown->row = playing->row;
    shown->unknown = playing->unknown;
    err = simulate_play(&shown->record,
                        pace,
                        ROW_MOST,
                        playing->row,
                        &shown->row_n,
                        playing->unknown);
    if (err == CAS_ERR_TOO_MANY)
        return cas_fail(&playing->call->why,
                        CAS_ERR_GUARD,
                        "its waves touch more than %d sites, counted wave by wave; plan a part of "
                        "it",
                        ROW_MOST);
    return err;
}

/* The group's own peak: looks at all servers once in a while, over the last 7 days. */
static enum cas_err read_week(struct playing *playing)
{
    int64_t now_ms = playing->call->scene->now.wall_ms, step_ms = 15 * MINUTE_MS;
    size_t n = begin_reading(playing, 5 * MINUTE_MS, PEAK_MOST);
    while (step_ms < week_ms && (int64_t)n * (week_ms / step_ms) > PEAK_MOST)
        step_ms *= 2;
    enum cas_err err = CAS_OK;
    for (int64_t at_ms = now_ms - week_ms; at_ms < now_ms && err == CAS_OK; at_ms += step_ms)
        err = read_loads(playing, at_ms, at_ms + PEEK_MS, 0);
    playing->shown.look_ms = step_ms;
    struct simulate_record week;
    take_readings(playing, &week);
    simulate_peaks(&week, playing->peak);
    playing->shown.peak = playing->peak;
    return err;
}

static enum cas_err simulate(struct playing *playing)
{
    bool is_attention = false;
    fit_window(playing);
    enum cas_err err = play(playing);
    if (err == CAS_OK)
        err = read_week(playing);
    if (err == CAS_OK)
        err = store_loads_since(playing->call->scene->store,
                                &playing->shown.since_ms,
                                &playing->call->why);
    if (err == CAS_OK)
        err = view_simulate(&playing->call->view,
                            &playing->shown,
                            &playing->call->reply->document,
                            &is_attention);
    playing->call->reply->exit = is_attention ? ASK_EXIT_ATTENTION : ASK_EXIT_OK;
    return err;
}

static enum cas_err of_draft(struct playing *playing, uint64_t seq)
{
    struct ask_call *call = playing->call;
    struct ask_draft draft;
    enum cas_err err = ask_draft_open(call, seq, &draft, &call->why);
    if (err != CAS_OK)
        return err;
    err = pace_of(playing, &draft.body);
    if (err == CAS_OK)
        err = waves_of_draft(playing, &draft.body);
    ask_draft_done(&draft);
    return err;
}

/* Those of its servers for whom the window it is armed for opens. */
static enum cas_err choose_scheduled(struct playing *playing,
                                     const struct store_schedule *schedule,
                                     size_t **ret_at,
                                     size_t *ret_n)
{
    struct ask_call *call = playing->call;
    if (schedule->is_paused || schedule->start_ms == 0)
        return cas_fail(&call->why,
                        CAS_ERR_GUARD,
                        "%s: no run is next, it is paused or its rule gives no window any more: "
                        "casfleet why %s",
                        schedule->name,
                        schedule->name);
    return store_schedule_choose(schedule,
                                 call->scene->inventory,
                                 schedule->site,
                                 call->scene->now.mono_ms,
                                 ret_at,
                                 ret_n,
                                 &call->why);
}

/* The plan that its next run would make of its servers as they stand now. */
static enum cas_err of_schedule(struct playing *playing, const struct store_schedule *schedule)
{
    struct ask_call *call = playing->call;
    struct rollout_wish wish = schedule->policy;
    struct rollout_draft draft = {.skip_n = 0};
    size_t *at = NULL, n = 0;
    wish.start_ms = schedule->start_ms;
    wish.until_ms = schedule->end_ms;
    playing->shown.schedule = schedule->name;
    enum cas_err err = choose_scheduled(playing, schedule, &at, &n);
    if (err == CAS_OK)
        err = rollout_draft(call->scene->inventory,
                            call->scene->book,
                            at,
                            n,
                            &wish,
                            0,
                            call->scene->now,
                            &draft,
                            &call->why);
    if (err == CAS_OK)
        err = pace_of(playing, &draft.body);
    if (err == CAS_OK)
        err = waves_of_draft(playing, &draft.body);
    rollout_draft_done(&draft);
    free(at);
    return err;
}

static enum cas_err of_plan(struct playing *playing)
{
    struct ask_call *call = playing->call;
    CAS_AUTO(rollout_book) old = NULL;
    const struct rollout *rollout = NULL;
    uint64_t seq = 0;
    enum cas_err err = ask_rollout_seq(call, &seq);
    if (err != CAS_OK)
        return err;
    err = ask_rollout(call, seq, &old, &rollout);
    if (err == CAS_ERR_NOT_FOUND) {
        call->why.text[0] = '\0';
        return of_draft(playing, seq);
    }
    if (err == CAS_OK)
        err = pace_of(playing, &rollout->body);
    return err == CAS_OK ? waves_of_rollout(playing, rollout) : err;
}

enum cas_err ask_recycle_simulate(struct ask_call *call)
{
    struct playing playing = {.call = call};
    struct store_schedule schedule;
    enum cas_err err = farm_of(&playing);
    enum cas_err named = err == CAS_OK ? ask_schedule_named(call, &schedule) : err;
    if (named == CAS_OK)
        err = of_schedule(&playing, &schedule);
    else if (named == CAS_ERR_NOT_FOUND)
        err = of_plan(&playing);
    else
        err = named;
    if (err == CAS_OK)
        err = simulate(&playing);
    playing_done(&playing);
    return err;
}
