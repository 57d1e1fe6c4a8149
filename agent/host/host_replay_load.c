#include "agent/host/host_replay.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/file.h"

static void reason_set(char reason[REASON_BYTES], const char *words)
{
    struct cas_text text = {.data = reason, .cap = REASON_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text, "%s", words);
}

/* A file that is not there is no error: it leaves its reason. */
static enum cas_err
load_file(const char *folder, const char *name, struct replay_file *file, struct cas_why *why)
{
    char path[640];
    struct cas_text path_text = CAS_TEXT(path);
    cas_text_clear(&path_text);
    cas_text_add(&path_text, "%s/%s", folder, name);
    char *raw = NULL;
    size_t raw_size = 0;
    enum cas_err err = file_read(path, CAPTURE_FILE_BYTES, FILE_PUBLIC, &raw, &raw_size, why);
    if (err == CAS_ERR_NOT_FOUND) {
        struct cas_text reason = CAS_TEXT(file->reason);
        cas_text_clear(&reason);
        cas_text_add(&reason, "%s is not in the capture", name);
        return CAS_OK;
    }
    if (err != CAS_OK)
        return err;
    struct capture_input input = {.file = name, .bytes = {.data = raw, .size = raw_size}};
    err = capture_decode(input, CAPTURE_FILE_BYTES, &file->text, &file->size, why);
    free(raw);
    return err;
}

static struct capture_input input_of(const struct replay_file *file, const char *name)
{
    return (struct capture_input){.file = name, .bytes = {.data = file->text, .size = file->size}};
}

/* ---- counters ---- */

void replay_track_next(struct replay_track *track)
{
    for (;;) {
        struct cas_why why = {""};
        enum cas_err err = capture_pdh_next(track->pdh, &track->next, &why);
        track->has_next = err == CAS_OK;
        if (err == CAS_OK || err == CAS_ERR_NOT_FOUND)
            return;
        if (track->refused_n++ == 0)
            reason_set(track->refused, why.text);
    }
}

/* Goes through the whole file once for its times, then back to its begin. */
static void scan_track(struct replay_track *track)
{
    for (replay_track_next(track); track->has_next; replay_track_next(track)) {
        int64_t at_ms = track->next.time_ms;
        if (track->row_n == 0 || at_ms < track->first_ms)
            track->first_ms = at_ms;
        if (track->row_n == 0 || at_ms > track->last_ms)
            track->last_ms = at_ms;
        track->row_n++;
    }
    if (track->row_n > 1)
        track->gap_ms = (track->last_ms - track->first_ms) / (int64_t)(track->row_n - 1);
    if (track->gap_ms < 1000)
        track->gap_ms = 1000;
    size_t refused_n = track->refused_n;
    capture_pdh_rewind(track->pdh);
    replay_track_next(track);
    track->refused_n = refused_n;
}

static enum cas_err load_track(struct host_replay *replay, size_t number, struct cas_why *why)
{
    struct replay_track *track = &replay->track[replay->track_n];
    struct cas_text name = CAS_TEXT(track->name);
    cas_text_clear(&name);
    if (number == 1)
        cas_text_add(&name, "counters.csv");
    else
        cas_text_add(&name, "counters-%zu.csv", number);
    enum cas_err err = load_file(replay->settings.folder, track->name, &track->file, why);
    if (err != CAS_OK || track->file.text == NULL)
        return err;
    replay->track_n++;
    struct cas_why refused = {""};
    err = capture_pdh_open(input_of(&track->file, track->name), 0, &track->pdh, &refused);
    if (err != CAS_OK) {
        reason_set(track->file.reason, refused.text);
        return err == CAS_ERR_NOMEM ? cas_fail(why, err, "%s", refused.text) : CAS_OK;
    }
    track->value = calloc(capture_pdh_head(track->pdh)->column_n + 1, sizeof *track->value);
    if (track->value == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for %s", track->name);
    scan_track(track);
    if (track->row_n == 0)
        reason_set(track->file.reason, track->refused_n > 0 ? track->refused : "no row in it");
    return CAS_OK;
}

/* ---- events ---- */

static int compare_events(const void *left, const void *right)
{
    const struct replay_event *a = left;
    const struct replay_event *b = right;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return a->record_id < b->record_id ? -1 : a->record_id > b->record_id;
}

static enum cas_err keep_event(struct host_replay *replay,
                               size_t *room,
                               const struct capture_event *event,
                               const struct capture_told *told)
{
    if (replay->event_n == REPLAY_EVENTS) {
        replay->event_dropped_n++;
        return CAS_OK;
    }
    if (replay->event_n == *room) {
        size_t more = *room == 0 ? 64 : *room * 2;
        struct replay_event *grown = realloc(replay->event, more * sizeof *grown);
        if (grown == NULL)
            return CAS_ERR_NOMEM;
        replay->event = grown;
        *room = more;
    }
    struct replay_event *kept = &replay->event[replay->event_n++];
    *kept = (struct replay_event){.at_ms = event->time_ms,
                                  .record_id = event->record_id,
                                  .id = event->id,
                                  .pid = told->pid,
                                  .words = told->words};
    struct cas_text provider = CAS_TEXT(kept->provider);
    struct cas_text pool = CAS_TEXT(kept->pool);
    cas_text_add(&provider, "%s", event->provider);
    cas_text_add(&pool, "%s", told->pool);
    return CAS_OK;
}

static enum cas_err read_event(struct host_replay *replay,
                               struct capture_events *events,
                               size_t *room,
                               struct cas_why *why)
{
    struct capture_event event;
    struct capture_told told;
    enum cas_err err = capture_events_next(events, &event, why);
    if (err != CAS_OK)
        return err;
    if (replay->computer[0] == '\0')
        memcpy(replay->computer, event.computer, sizeof replay->computer);
    err = capture_event_meaning(&event, &told, why);
    if (err != CAS_OK)
        return err;
    if (told.meaning == CAPTURE_MEANING_NONE)
        return CAS_OK;
    return keep_event(replay, room, &event, &told);
}

static enum cas_err load_events(struct host_replay *replay, struct cas_why *why)
{
    if (replay->events_file.text == NULL)
        return CAS_OK;
    CAS_AUTO(capture_events) events = NULL;
    enum cas_err err =
        capture_events_open(input_of(&replay->events_file, "events.xml"), &events, why);
    size_t room = 0;
    while (err == CAS_OK) {
        struct cas_why refused = {""};
        err = read_event(replay, events, &room, &refused);
        if (err == CAS_OK || err == CAS_ERR_NOT_FOUND)
            continue;
        if (err == CAS_ERR_NOMEM)
            return cas_fail(why, err, "no memory for the events of events.xml");
        if (replay->event_refused_n++ == 0)
            reason_set(replay->event_refused, refused.text);
        err = CAS_OK;
        if (replay->event_refused_n > REPLAY_REFUSED_MOST) {
            struct cas_text reason = CAS_TEXT(replay->events_file.reason);
            cas_text_clear(&reason);
            cas_text_add(&reason,
                         "more than %d events cannot be read, the first: %s",
                         REPLAY_REFUSED_MOST,
                         replay->event_refused);
            replay->event_n = 0;
            return CAS_OK;
        }
    }
    if (err != CAS_ERR_NOT_FOUND)
        return err;
    if (replay->event_n > 0)
        qsort(replay->event, replay->event_n, sizeof *replay->event, compare_events);
    return CAS_OK;
}

/* ---- the rest ---- */

static enum cas_err load_netstat(struct host_replay *replay, struct cas_why *why)
{
    struct cas_why refused = {""};
    if (replay->netsh.text != NULL &&
        capture_netsh_dynamic(input_of(&replay->netsh, "netsh.txt"), &replay->ports, &refused) !=
            CAS_OK)
        reason_set(replay->netsh.reason, refused.text);
    if (replay->netstat.text == NULL)
        return CAS_OK;
    replay->sum = calloc(1, sizeof *replay->sum);
    if (replay->sum == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the sums of netstat.txt");
    enum cas_err err = capture_netstat_sum(input_of(&replay->netstat, "netstat.txt"),
                                           replay->ports,
                                           0,
                                           replay->sum,
                                           &refused);
    if (err != CAS_OK)
        reason_set(replay->netstat.reason, refused.text);
    else if (replay->sum->row_n == 0)
        reason_set(replay->netstat.reason, "netstat.txt holds no row");
    return CAS_OK;
}

/* Counts what appcmd.txt has that cannot be read, for the facts. */
static void check_appcmd(struct host_replay *replay)
{
    if (replay->appcmd.text == NULL)
        return;
    struct capture_appcmd appcmd;
    capture_appcmd_init(&appcmd, input_of(&replay->appcmd, "appcmd.txt"));
    for (;;) {
        struct capture_item item;
        struct cas_why refused = {""};
        enum cas_err err = capture_appcmd_next(&appcmd, &item, &refused);
        if (err == CAS_ERR_NOT_FOUND)
            return;
        if (err != CAS_OK && replay->item_refused_n++ == 0)
            reason_set(replay->item_refused, refused.text);
    }
}

static void set_times(struct host_replay *replay)
{
    bool is_set = false;
    int64_t gap_ms = 1000;
    for (size_t i = 0; i < replay->track_n; i++) {
        const struct replay_track *track = &replay->track[i];
        if (track->row_n == 0)
            continue;
        if (!is_set || track->first_ms < replay->first_ms)
            replay->first_ms = track->first_ms;
        if (!is_set || track->last_ms > replay->end_ms)
            replay->end_ms = track->last_ms;
        if (!is_set || track->gap_ms > gap_ms)
            gap_ms = track->gap_ms;
        is_set = true;
    }
    if (!is_set) {
        /* Without counters the last event is the moment the capture shows. */
        replay->first_ms = replay->opened.wall_ms;
        if (replay->event_n > 0)
            replay->first_ms = replay->event[replay->event_n - 1].at_ms;
        replay->end_ms = replay->first_ms;
    }
    /* The log is often saved some time after the counters ended. */
    for (size_t i = 0; i < replay->event_n; i++) {
        int64_t at_ms = replay->event[i].at_ms;
        if (at_ms > replay->end_ms && at_ms - replay->end_ms < REPLAY_DAY_MS)
            replay->end_ms = at_ms;
    }
    replay->span_ms = replay->end_ms - replay->first_ms + gap_ms;
}

enum cas_err replay_load(struct host_replay *replay, struct cas_why *why)
{
    const char *folder = replay->settings.folder;
    struct {
        const char *name;
        struct replay_file *file;
    } plain[] = {
        {"netstat.txt", &replay->netstat},
        {"events.xml", &replay->events_file},
        {"appcmd.txt", &replay->appcmd},
        {"exsetup.txt", &replay->exsetup},
        {"netsh.txt", &replay->netsh},
        {"healthcheck.txt", &replay->health},
    };
    size_t found_n = 0;
    for (size_t i = 0; i < CAS_COUNT(plain); i++) {
        enum cas_err err = load_file(folder, plain[i].name, plain[i].file, why);
        if (err != CAS_OK)
            return err;
        found_n += plain[i].file->text != NULL ? 1 : 0;
    }
    for (size_t i = 0; i < REPLAY_TRACKS; i++) {
        enum cas_err err = load_track(replay, i + 1, why);
        if (err != CAS_OK)
            return err;
    }
    if (found_n + replay->track_n == 0)
        return cas_fail(
            why,
            CAS_ERR_NOT_FOUND,
            "%s: no capture: none of counters.csv, netstat.txt, events.xml, appcmd.txt, "
            "exsetup.txt, netsh.txt, healthcheck.txt is there",
            folder);
    enum cas_err err = load_events(replay, why);
    if (err == CAS_OK)
        err = load_netstat(replay, why);
    if (err != CAS_OK)
        return err;
    struct cas_why refused = {""};
    if (replay->exsetup.text != NULL &&
        capture_exchange_read(input_of(&replay->exsetup, "exsetup.txt"),
                              &replay->exchange,
                              &refused) != CAS_OK)
        reason_set(replay->exsetup.reason, refused.text);
    check_appcmd(replay);
    set_times(replay);
    return CAS_OK;
}

void replay_unload(struct host_replay *replay)
{
    struct replay_file *file[] = {&replay->netstat,
                                  &replay->events_file,
                                  &replay->appcmd,
                                  &replay->exsetup,
                                  &replay->netsh,
                                  &replay->health};
    for (size_t i = 0; i < CAS_COUNT(file); i++)
        free(file[i]->text);
    for (size_t i = 0; i < REPLAY_TRACKS; i++) {
        capture_pdh_free(replay->track[i].pdh);
        free(replay->track[i].file.text);
        free(replay->track[i].value);
    }
    free(replay->event);
    free(replay->sum);
}
