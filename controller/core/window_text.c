#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/window.h"
#include "controller/core/window_inside.h"

enum {
    WORDS_MOST = 12,
    DAYS = 7,
    TUESDAY = 1,
    DAY_MIN = 24 * 60,
    USUAL_START_MIN = 60, /* 01:00, when no time of day is said */
    SHOWN_BYTES = 60,
};

/* Words of the text, each with the column it begins at. */
struct reading {
    struct cas_slice text;
    struct cas_slice word[WORDS_MOST];
    size_t word_n;
    size_t at; /* word looked at */
    bool is_by_site;
    struct window_rule rule;
};

static const char *const day_names[DAYS] =
    {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
static const char *const day_codes[DAYS] = {"MO", "TU", "WE", "TH", "FR", "SA", "SU"};

static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool is_word(struct cas_slice word, const char *wanted)
{
    size_t size = strlen(wanted);
    bool is_same = word.size == size;
    for (size_t i = 0; i < size && is_same; i++)
        is_same = lower(word.data[i]) == lower(wanted[i]);
    return is_same;
}

static enum cas_err refuse(const struct reading *reading,
                           struct cas_slice word,
                           enum cas_err err,
                           const char *wanted,
                           struct cas_why *why)
{
    size_t column =
        word.data == NULL ? reading->text.size + 1 : (size_t)(word.data - reading->text.data) + 1;
    int size = (int)(word.size < SHOWN_BYTES ? word.size : SHOWN_BYTES);
    if (size == 0)
        return cas_fail(why, err, "column %zu: the window ends; %s", column, wanted);
    return cas_fail(why, err, "column %zu, \"%.*s\": %s", column, size, word.data, wanted);
}

static enum cas_err split(struct reading *reading, struct cas_why *why)
{
    struct cas_slice text = reading->text;
    size_t at = 0;
    while (at < text.size) {
        while (at < text.size && text.data[at] == ' ')
            at++;
        size_t from = at;
        while (at < text.size && text.data[at] != ' ')
            at++;
        if (at == from)
            break;
        struct cas_slice word = {text.data + from, at - from};
        if (reading->word_n == WORDS_MOST)
            return refuse(reading, word, CAS_ERR_TOO_LONG, "a window has at most 12 words", why);
        reading->word[reading->word_n++] = word;
    }
    return CAS_OK;
}

static struct cas_slice word_at(const struct reading *reading, size_t ahead)
{
    size_t at = reading->at + ahead;
    return at < reading->word_n ? reading->word[at] : (struct cas_slice){0};
}

/* "Sat", "saturday": three letters or all of them. -1: none. */
static int day_of(struct cas_slice word)
{
    for (int day = 0; day < DAYS; day++) {
        bool is_short = word.size == 3;
        for (size_t i = 0; i < 3 && is_short; i++)
            is_short = lower(word.data[i]) == day_names[day][i];
        if (is_short || is_word(word, day_names[day]))
            return day;
    }
    return -1;
}

/* One item of a list: a day or a range of days, which may go over the end of the week. */
static bool take_days(struct cas_slice item, bool is_in[DAYS])
{
    const char *dash = item.size == 0 ? NULL : memchr(item.data, '-', item.size);
    if (dash == NULL) {
        int day = day_of(item);
        if (day >= 0)
            is_in[day] = true;
        return day >= 0;
    }
    size_t before = (size_t)(dash - item.data);
    int first = day_of((struct cas_slice){item.data, before});
    int last = day_of((struct cas_slice){dash + 1, item.size - before - 1});
    if (first < 0 || last < 0)
        return false;
    for (int day = first; day != last; day = (day + 1) % DAYS)
        is_in[day] = true;
    is_in[last] = true;
    return true;
}

static bool take_list(struct cas_slice word, bool is_in[DAYS])
{
    size_t from = 0;
    if (word.size == 0)
        return false;
    for (size_t at = 0; at <= word.size; at++) {
        if (at < word.size && word.data[at] != ',')
            continue;
        if (!take_days((struct cas_slice){word.data + from, at - from}, is_in))
            return false;
        from = at + 1;
    }
    return true;
}

static void set_weekly(struct window_rule *rule, const bool is_in[DAYS])
{
    struct cas_text text = CAS_TEXT(rule->recur);
    cas_text_clear(&text);
    cas_text_add(&text, "FREQ=WEEKLY;BYDAY=");
    const char *comma = "";
    for (int day = 0; day < DAYS; day++) {
        if (is_in[day])
            cas_text_add(&text, "%s%s", comma, day_codes[day]);
        if (is_in[day])
            comma = ",";
    }
}

/* Patch Tuesday is the second one of a month, its 8th to 14th day; the next Saturday is four days
 * later, and no other Saturday is. */
static void set_patch(struct window_rule *rule, int day)
{
    int after = day < 0 ? 0 : (day - TUESDAY + DAYS) % DAYS;
    if (day == TUESDAY)
        after = DAYS;
    struct cas_text text = CAS_TEXT(rule->recur);
    cas_text_clear(&text);
    cas_text_add(&text, "FREQ=MONTHLY;BYDAY=%s;BYMONTHDAY=", day_codes[day < 0 ? TUESDAY : day]);
    for (int date = 8; date <= 14; date++)
        cas_text_add(&text, "%s%d", date > 8 ? "," : "", date + after);
}

static bool is_patch_tuesday(const struct reading *reading, size_t ahead)
{
    return is_word(word_at(reading, ahead), "patch") &&
           (is_word(word_at(reading, ahead + 1), "tuesday") ||
            is_word(word_at(reading, ahead + 1), "tue"));
}

static enum cas_err take_plain_days(struct reading *reading, struct cas_why *why)
{
    static const char wanted[] = "days are daily, weekdays, weekends, Sat, Mon,Wed, Mon-Fri, patch "
                                 "Tuesday, Sat after patch Tuesday, or FREQ=...";
    struct cas_slice word = word_at(reading, 0);
    bool is_in[DAYS] = {false};
    if (is_patch_tuesday(reading, 0)) {
        set_patch(&reading->rule, -1);
        reading->at += 2;
        return CAS_OK;
    }
    bool is_weekdays = is_word(word, "weekdays"), is_weekends = is_word(word, "weekends");
    for (int day = 0; day < DAYS; day++)
        is_in[day] = is_word(word, "daily") || (is_weekdays && day < 5) || (is_weekends && day > 4);
    bool is_list = !is_word(word, "daily") && !is_weekdays && !is_weekends;
    if (is_list && !take_list(word, is_in))
        return refuse(reading, word, CAS_ERR_FORMAT, wanted, why);
    reading->at++;
    if (!is_word(word_at(reading, 0), "after")) {
        if (is_word(word, "daily"))
            (void)snprintf(reading->rule.recur, sizeof reading->rule.recur, "FREQ=DAILY");
        else
            set_weekly(&reading->rule, is_in);
        return CAS_OK;
    }
    if (!is_patch_tuesday(reading, 1))
        return refuse(reading, word_at(reading, 1), CAS_ERR_FORMAT, "after patch Tuesday", why);
    if (day_of(word) < 0)
        return refuse(reading, word, CAS_ERR_FORMAT, "one day after patch Tuesday, as Sat", why);
    set_patch(&reading->rule, day_of(word));
    reading->at += 3;
    return CAS_OK;
}

static bool begins(struct cas_slice word, const char *wanted)
{
    size_t size = strlen(wanted);
    return word.size >= size && is_word((struct cas_slice){word.data, size}, wanted);
}

/* Recurrences of whole days only: the time of day stands behind, once, for people to read. */
static enum cas_err check_recur(struct reading *reading, struct cas_slice word, struct cas_why *why)
{
    struct icalrecurrencetype recur = icalrecurrencetype_from_string(reading->rule.recur);
    if (recur.rscale != NULL) {
        free(recur.rscale);
        return refuse(reading, word, CAS_ERR_FORMAT, "RSCALE: other calendars are not taken", why);
    }
    if (recur.freq == ICAL_NO_RECURRENCE)
        return refuse(reading, word, CAS_ERR_FORMAT, "no RRULE, as FREQ=WEEKLY;BYDAY=SA", why);
    if (recur.interval < 1 || recur.interval > WINDOW_INTERVAL_MOST)
        return refuse(reading, word, CAS_ERR_RANGE, "INTERVAL is 1 to 1000", why);
    bool is_daily = recur.freq == ICAL_DAILY_RECURRENCE || recur.freq == ICAL_WEEKLY_RECURRENCE ||
                    recur.freq == ICAL_MONTHLY_RECURRENCE || recur.freq == ICAL_YEARLY_RECURRENCE;
    bool has_clock = recur.by_hour[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                     recur.by_minute[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                     recur.by_second[0] != ICAL_RECURRENCE_ARRAY_MAX;
    if (!is_daily || has_clock)
        return refuse(reading,
                      word,
                      CAS_ERR_RANGE,
                      "an RRULE of days: FREQ is DAILY, WEEKLY, MONTHLY or YEARLY, and the time of "
                      "day stands behind it, as 01:00-05:00",
                      why);
    if (!icaltime_is_null_time(recur.until) && !recur.until.is_date)
        return refuse(reading, word, CAS_ERR_RANGE, "UNTIL is a day here, as UNTIL=20271231", why);
    bool is_said = recur.freq == ICAL_DAILY_RECURRENCE ||
                   recur.by_day[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                   recur.by_month_day[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                   recur.by_year_day[0] != ICAL_RECURRENCE_ARRAY_MAX;
    bool needs_from = !is_said || recur.count > 0 || recur.interval > 1;
    if (needs_from && !is_word(word_at(reading, 0), "from"))
        return refuse(reading,
                      word,
                      CAS_ERR_MISSING,
                      "say from which day it counts, behind it: from 2026-10-03",
                      why);
    return CAS_OK;
}

static enum cas_err take_recur(struct reading *reading, struct cas_why *why)
{
    struct cas_slice word = word_at(reading, 0), rule = word;
    if (begins(rule, "RRULE:"))
        rule = (struct cas_slice){word.data + 6, word.size - 6};
    if (cas_slice_copy(rule, reading->rule.recur, sizeof reading->rule.recur) != CAS_OK)
        return refuse(reading, word, CAS_ERR_TOO_LONG, "an RRULE has at most 159 bytes", why);
    reading->at++;
    return check_recur(reading, word, why);
}

static enum cas_err take_from(struct reading *reading, struct cas_why *why)
{
    struct cas_slice word = word_at(reading, 1);
    int64_t year = 0, month = 0, day = 0;
    bool is_date =
        word.size == 10 && word.data[4] == '-' && word.data[7] == '-' &&
        cas_parse_i64((struct cas_slice){word.data, 4}, 1970, 2199, &year, NULL) == CAS_OK &&
        cas_parse_i64((struct cas_slice){word.data + 5, 2}, 1, 12, &month, NULL) == CAS_OK &&
        cas_parse_i64((struct cas_slice){word.data + 8, 2}, 1, 31, &day, NULL) == CAS_OK;
    if (!is_date || day > icaltime_days_in_month((int)month, (int)year))
        return refuse(reading, word, CAS_ERR_FORMAT, "a day from 1970 to 2199, as 2026-10-03", why);
    reading->rule.from_day = (int32_t)(year * 10000 + month * 100 + day);
    reading->at += 2;
    return CAS_OK;
}

bool window_clock(struct cas_slice text, int32_t *ret_min)
{
    int64_t hour = 0, minute = 0;
    const char *colon = text.size == 0 ? NULL : memchr(text.data, ':', text.size);
    if (colon == NULL)
        return false;
    size_t before = (size_t)(colon - text.data);
    struct cas_slice hours = {text.data, before};
    struct cas_slice minutes = {colon + 1, text.size - before - 1};
    if (hours.size > 2 || minutes.size != 2 || cas_parse_i64(hours, 0, 23, &hour, NULL) != CAS_OK ||
        cas_parse_i64(minutes, 0, 59, &minute, NULL) != CAS_OK)
        return false;
    *ret_min = (int32_t)(hour * 60 + minute);
    return true;
}

static enum cas_err take_clock(struct reading *reading, struct cas_why *why)
{
    static const char wanted[] = "a time of day from 00:00 to 23:59, as 01:00 or 01:00-05:00";
    struct cas_slice word = word_at(reading, 0), start = word, end = {0};
    const char *dash = memchr(word.data, '-', word.size);
    if (dash != NULL) {
        start.size = (size_t)(dash - word.data);
        end = (struct cas_slice){dash + 1, word.size - start.size - 1};
    }
    int32_t end_min = 0;
    if (!window_clock(start, &reading->rule.start_min) ||
        (dash != NULL && !window_clock(end, &end_min)))
        return refuse(reading, word, CAS_ERR_FORMAT, wanted, why);
    reading->at++;
    if (dash == NULL)
        return CAS_OK;
    reading->rule.length_min = (end_min - reading->rule.start_min + DAY_MIN) % DAY_MIN;
    if (reading->rule.length_min == 0)
        return refuse(reading, word, CAS_ERR_RANGE, "it ends when it begins; 1 min to 23:59", why);
    return CAS_OK;
}

static enum cas_err take_zone(struct reading *reading, struct cas_why *why)
{
    struct cas_slice word = word_at(reading, 0);
    reading->is_by_site = is_word(word, "site");
    if (reading->is_by_site) {
        reading->at++;
        return CAS_OK;
    }
    if (cas_slice_copy(word, reading->rule.zone, sizeof reading->rule.zone) != CAS_OK)
        return refuse(reading, word, CAS_ERR_TOO_LONG, "a time zone has at most 63 bytes", why);
    if (is_word(word, "utc"))
        (void)snprintf(reading->rule.zone, sizeof reading->rule.zone, "UTC");
    if (window_zone(reading->rule.zone) == NULL)
        return refuse(
            reading,
            word,
            CAS_ERR_NOT_FOUND,
            "no time zone of this system (tzdata); they are written as Europe/London, or site "
            "for each site's own",
            why);
    reading->at++;
    return CAS_OK;
}

static bool is_clock(struct cas_slice word)
{
    return word.size > 0 && word.data[0] >= '0' && word.data[0] <= '9';
}

static enum cas_err read_all(struct reading *reading, struct cas_why *why)
{
    enum cas_err err = split(reading, why);
    struct cas_slice word = word_at(reading, 0);
    if (err == CAS_OK && is_clock(word))
        (void)snprintf(reading->rule.recur, sizeof reading->rule.recur, "FREQ=DAILY");
    else if (err == CAS_OK && (begins(word, "RRULE:") || begins(word, "FREQ=")))
        err = take_recur(reading, why);
    else if (err == CAS_OK)
        err = take_plain_days(reading, why);
    if (err == CAS_OK && is_word(word_at(reading, 0), "from"))
        err = take_from(reading, why);
    if (err == CAS_OK && is_clock(word_at(reading, 0)))
        err = take_clock(reading, why);
    if (err == CAS_OK && word_at(reading, 0).size > 0)
        err = take_zone(reading, why);
    if (err == CAS_OK && word_at(reading, 0).size > 0)
        err = refuse(reading,
                     word_at(reading, 0),
                     CAS_ERR_FORMAT,
                     "one too many: DAYS, then 01:00-05:00, then the time zone",
                     why);
    return err;
}

enum cas_err window_parse(struct cas_slice text, struct window_rule *ret_rule, struct cas_why *why)
{
    struct reading reading = {.text = text};
    reading.rule.start_min = USUAL_START_MIN;
    reading.rule.length_min = WINDOW_USUAL_MIN;
    (void)snprintf(reading.rule.zone, sizeof reading.rule.zone, "UTC");
    if (cas_slice_copy(text, reading.rule.text, sizeof reading.rule.text) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "the window has %zu bytes, at most %d",
                        text.size,
                        WINDOW_TEXT_BYTES - 1);
    if (!cas_is_clean_text(text))
        return cas_fail(why, CAS_ERR_FORMAT, "the window is no text");
    enum cas_err err = read_all(&reading, why);
    if (err != CAS_OK)
        return err;
    /* One that never comes is a mistake, not a schedule. */
    struct window_time time;
    size_t n = 0;
    err = window_next(&reading.rule, 0, 1, &time, &n, why);
    if (err == CAS_OK && n == 0)
        return cas_fail(why, CAS_ERR_RANGE, "\"%s\": no day is ever meant", reading.rule.text);
    if (err != CAS_OK)
        return err;
    if (reading.is_by_site)
        reading.rule.zone[0] = '\0';
    *ret_rule = reading.rule;
    return CAS_OK;
}
