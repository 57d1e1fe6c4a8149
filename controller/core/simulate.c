#include "controller/core/simulate.h"

#include <stdlib.h>
#include <string.h>

/* The reading that counts for a server at an instant; NULL none. Cost: O(log reading_n). */
static const struct simulate_reading *
reading_at(const struct simulate_record *record, size_t server, int64_t at_ms)
{
    size_t low = 0, high = record->reading_n; /* the first that comes after it lies in low..high */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct simulate_reading *reading = &record->reading[middle];
        bool is_after =
            reading->server > server || (reading->server == server && reading->at_ms > at_ms);
        if (is_after)
            high = middle;
        else
            low = middle + 1;
    }
    const struct simulate_reading *last = low > 0 ? &record->reading[low - 1] : NULL;
    if (last == NULL || last->server != server || at_ms - last->at_ms > record->hold_ms)
        return NULL;
    return last;
}

static bool is_ordered(const struct simulate_record *record)
{
    for (size_t i = 0; i < record->reading_n; i++) {
        const struct simulate_reading *reading = &record->reading[i];
        if (reading->server >= record->server_n)
            return false;
        if (i == 0)
            continue;
        const struct simulate_reading *before = reading - 1;
        if (before->server > reading->server ||
            (before->server == reading->server && before->at_ms > reading->at_ms))
            return false;
    }
    return true;
}

struct named {
    const char *name;
    size_t at;
};

static int compare_named(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    int order = 0;
    if (a->name == NULL || b->name == NULL)
        order = (a->name == NULL) - (b->name == NULL);
    else
        order = strcmp(a->name, b->name);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

enum cas_err simulate_groups(const char *const *name, size_t n, uint32_t *ret_group)
{
    struct named *sorted = calloc(n + 1, sizeof *sorted);
    uint32_t group = 0;
    if (sorted == NULL)
        return CAS_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct named){.name = name[i], .at = i};
    qsort(sorted, n, sizeof *sorted, compare_named);
    for (size_t i = 0; i < n; i++) {
        bool is_same = i > 0 && sorted[i].name != NULL && sorted[i - 1].name != NULL &&
                       strcmp(sorted[i].name, sorted[i - 1].name) == 0;
        group += i > 0 && !is_same ? 1 : 0;
        ret_group[sorted[i].at] = group;
    }
    free(sorted);
    return CAS_OK;
}

int64_t simulate_moments(const struct simulate_pace *pace)
{
    if (pace->step_ms > pace->wave_ms)
        return 1;
    return (pace->wave_ms - 1) / pace->step_ms + 2;
}

/* Who is of which group, so that each moment costs no more than the servers it is about. */
struct playing {
    const struct simulate_record *record;
    size_t *member;  /* [server_n] servers, by group */
    size_t *from;    /* [server_n + 1] where each group's members begin */
    uint32_t *wave;  /* [server_n] by group: the last one that has a row */
    size_t *unknown; /* [server_n] */
};

/* One moment of one group: who of those that stay would have carried the most? */
static void judge(const struct playing *playing, struct simulate_row *row, int64_t at_ms)
{
    const struct simulate_record *record = playing->record;
    double moved = 0, most = 0;
    size_t part_n = 0, worst = 0;
    bool is_out_known = true;
    for (size_t i = playing->from[row->group]; i < playing->from[row->group + 1]; i++) {
        size_t s = playing->member[i];
        const struct simulate_reading *reading = reading_at(record, s, at_ms);
        bool is_out = record->server[s].wave == row->wave;
        playing->unknown[s] += reading == NULL ? 1 : 0;
        if (is_out)
            is_out_known = is_out_known && reading != NULL;
        if (reading == NULL)
            continue;
        if (is_out) {
            moved += reading->requests;
        } else if (part_n++ == 0 || reading->requests > most) {
            most = reading->requests;
            worst = s;
        }
    }
    row->moment_n++;
    if (!is_out_known || part_n == 0) {
        row->unjudged_n++;
        return;
    }
    double requests = most + moved / (double)part_n;
    if (row->is_known && requests <= row->requests)
        return;
    row->is_known = true;
    row->server = worst;
    row->at_ms = at_ms;
    row->requests = requests;
    row->was = most;
    row->part_n = part_n;
}

static void judge_wave(const struct playing *playing,
                       const struct simulate_pace *pace,
                       struct simulate_row *row)
{
    for (size_t i = playing->from[row->group]; i < playing->from[row->group + 1]; i++) {
        bool is_out = playing->record->server[playing->member[i]].wave == row->wave;
        row->out_n += is_out ? 1 : 0;
        row->left_n += is_out ? 0 : 1;
    }
    int64_t at_ms = row->start_ms;
    for (int64_t left = simulate_moments(pace); left > 0; left--) {
        judge(playing, row, at_ms < row->end_ms ? at_ms : row->end_ms);
        at_ms += pace->step_ms;
    }
}

static void playing_done(struct playing *playing)
{
    free(playing->member);
    free(playing->from);
    free(playing->wave);
}

static enum cas_err
playing_begin(const struct simulate_record *record, size_t *unknown, struct playing *ret_playing)
{
    size_t n = record->server_n;
    struct playing playing = {.record = record,
                              .member = calloc(n + 1, sizeof *playing.member),
                              .from = calloc(n + 2, sizeof *playing.from),
                              .wave = calloc(n + 1, sizeof *playing.wave),
                              .unknown = unknown};
    if (playing.member == NULL || playing.from == NULL || playing.wave == NULL) {
        playing_done(&playing);
        return CAS_ERR_NOMEM;
    }
    for (size_t s = 0; s < n; s++) {
        unknown[s] = 0;
        playing.from[record->server[s].group + 2]++;
    }
    for (size_t g = 2; g < n + 2; g++)
        playing.from[g] += playing.from[g - 1];
    for (size_t s = 0; s < n; s++)
        playing.member[playing.from[record->server[s].group + 1]++] = s;
    *ret_playing = playing;
    return CAS_OK;
}

/* The rows of one wave: each group that has somebody in it. */
static enum cas_err play_wave(const struct playing *playing,
                              const struct simulate_pace *pace,
                              uint32_t wave,
                              size_t cap,
                              struct simulate_row *ret_row,
                              size_t *n)
{
    for (size_t s = 0; s < playing->record->server_n; s++) {
        const struct simulate_server *server = &playing->record->server[s];
        if (server->wave != wave || playing->wave[server->group] == wave)
            continue;
        if (*n == cap)
            return CAS_ERR_TOO_MANY;
        int64_t start_ms = pace->start_ms + (int64_t)(wave - 1) * (pace->wave_ms + pace->rest_ms);
        struct simulate_row *row = &ret_row[(*n)++];
        *row = (struct simulate_row){.wave = wave,
                                     .group = server->group,
                                     .first = playing->member[playing->from[server->group]],
                                     .start_ms = start_ms,
                                     .end_ms = start_ms + pace->wave_ms};
        playing->wave[server->group] = wave;
        judge_wave(playing, pace, row);
    }
    return CAS_OK;
}

static bool is_playable(const struct simulate_record *record, const struct simulate_pace *pace)
{
    for (size_t s = 0; s < record->server_n; s++) {
        if (record->server[s].group >= record->server_n)
            return false;
    }
    return pace->wave_ms > 0 && pace->step_ms > 0 && pace->rest_ms >= 0 && record->hold_ms >= 0 &&
           is_ordered(record);
}

enum cas_err simulate_play(const struct simulate_record *record,
                           const struct simulate_pace *pace,
                           size_t cap,
                           struct simulate_row *ret_row,
                           size_t *ret_n,
                           size_t *ret_unknown)
{
    struct playing playing = {.record = NULL};
    uint32_t wave_n = 0;
    size_t n = 0;
    if (!is_playable(record, pace))
        return CAS_ERR_RANGE;
    enum cas_err err = playing_begin(record, ret_unknown, &playing);
    if (err != CAS_OK)
        return err;
    for (size_t s = 0; s < record->server_n; s++)
        wave_n = record->server[s].wave > wave_n ? record->server[s].wave : wave_n;
    for (uint32_t wave = 1; wave <= wave_n && err == CAS_OK; wave++)
        err = play_wave(&playing, pace, wave, cap, ret_row, &n);
    playing_done(&playing);
    if (err == CAS_OK)
        *ret_n = n;
    return err;
}

void simulate_peaks(const struct simulate_record *record, const struct simulate_reading **ret_peak)
{
    for (size_t g = 0; g < record->server_n; g++)
        ret_peak[g] = NULL;
    for (size_t i = 0; i < record->reading_n; i++) {
        const struct simulate_reading *reading = &record->reading[i];
        uint32_t group = record->server[reading->server].group;
        if (ret_peak[group] == NULL || reading->requests > ret_peak[group]->requests)
            ret_peak[group] = reading;
    }
}
