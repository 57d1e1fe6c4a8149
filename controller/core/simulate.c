#include "controller/core/simulate.h"

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

/* One moment of one group: who of those that stay would have carried the most? */
static void judge(const struct simulate_record *record,
                  struct simulate_row *row,
                  int64_t at_ms,
                  size_t *unknown)
{
    double moved = 0, most = 0;
    size_t part_n = 0, worst = 0;
    bool is_out_known = true;
    for (size_t s = 0; s < record->server_n; s++) {
        const struct simulate_server *server = &record->server[s];
        if (strcmp(server->group, row->group) != 0)
            continue;
        const struct simulate_reading *reading = reading_at(record, s, at_ms);
        bool is_out = server->wave == row->wave;
        unknown[s] += reading == NULL ? 1 : 0;
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

static void
judge_wave(const struct simulate_record *record, struct simulate_row *row, size_t *unknown)
{
    for (size_t s = 0; s < record->server_n; s++) {
        if (strcmp(record->server[s].group, row->group) != 0)
            continue;
        row->out_n += record->server[s].wave == row->wave ? 1 : 0;
        row->left_n += record->server[s].wave == row->wave ? 0 : 1;
    }
    for (int64_t at_ms = row->start_ms; at_ms < row->end_ms; at_ms += SIMULATE_STEP_MS)
        judge(record, row, at_ms, unknown);
    judge(record, row, row->end_ms, unknown);
}

/* This group of this wave has a row. */
static bool has_row(const struct simulate_row *row, size_t n, uint32_t wave, const char *group)
{
    for (size_t i = n; i > 0 && row[i - 1].wave == wave; i--) {
        if (strcmp(row[i - 1].group, group) == 0)
            return true;
    }
    return false;
}

enum cas_err simulate_play(const struct simulate_record *record,
                           const struct simulate_pace *pace,
                           size_t cap,
                           struct simulate_row *ret_row,
                           size_t *ret_n,
                           size_t *ret_unknown)
{
    uint32_t wave_n = 0;
    size_t n = 0;
    if (pace->wave_ms <= 0 || pace->rest_ms < 0 || record->hold_ms < 0 || !is_ordered(record))
        return CAS_ERR_RANGE;
    for (size_t s = 0; s < record->server_n; s++) {
        ret_unknown[s] = 0;
        wave_n = record->server[s].wave > wave_n ? record->server[s].wave : wave_n;
    }
    for (uint32_t wave = 1; wave <= wave_n; wave++) {
        for (size_t s = 0; s < record->server_n; s++) {
            const struct simulate_server *server = &record->server[s];
            if (server->wave != wave || has_row(ret_row, n, wave, server->group))
                continue;
            if (n == cap)
                return CAS_ERR_TOO_MANY;
            int64_t start_ms =
                pace->start_ms + (int64_t)(wave - 1) * (pace->wave_ms + pace->rest_ms);
            struct simulate_row *row = &ret_row[n++];
            *row = (struct simulate_row){.wave = wave,
                                         .group = server->group,
                                         .start_ms = start_ms,
                                         .end_ms = start_ms + pace->wave_ms};
            judge_wave(record, row, ret_unknown);
        }
    }
    *ret_n = n;
    return CAS_OK;
}

bool simulate_peak(const struct simulate_record *record,
                   const char *group,
                   const struct simulate_reading **ret_peak)
{
    const struct simulate_reading *peak = NULL;
    for (size_t i = 0; i < record->reading_n; i++) {
        const struct simulate_reading *reading = &record->reading[i];
        if (strcmp(record->server[reading->server].group, group) != 0)
            continue;
        if (peak == NULL || reading->requests > peak->requests)
            peak = reading;
    }
    if (peak == NULL)
        return false;
    *ret_peak = peak;
    return true;
}
