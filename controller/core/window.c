#include "controller/core/window.h"

#include "controller/core/window_inside.h"

enum {
    DAY_S = 24 * 60 * 60,
    WEEK = 7,
    STEPS_MOST = 200000,  /* of one recurrence: more than 500 years of days */
    NEAR_PERIODS = 2,     /* before what is asked for, where a walk may begin anywhere */
    FIRST_DAY = 20240101, /* what a rule begins at that does not say */
};

icaltimezone *window_zone(const char *name)
{
    if (cas_slice_is(cas_slice_of(name), "UTC"))
        return icaltimezone_get_utc_timezone();
    return icaltimezone_get_builtin_timezone(name);
}

struct icaltimetype window_utc(int64_t second)
{
    return icaltime_from_timet_with_zone((time_t)second, 0, icaltimezone_get_utc_timezone());
}

int32_t window_day_of(struct icaltimetype time)
{
    return (int32_t)(time.year * 10000 + time.month * 100 + time.day);
}

struct icaltimetype window_day_time(int32_t day)
{
    struct icaltimetype time = icaltime_null_time();
    time.year = day / 10000;
    time.month = day / 100 % 100;
    time.day = day % 100;
    time.is_date = 1;
    return time;
}

static int32_t offset_at(icaltimezone *zone, int64_t second)
{
    int is_daylight = 0;
    struct icaltimetype at = window_utc(second);
    return (int32_t)icaltimezone_get_utc_offset_of_utc_time(zone, &at, &is_daylight);
}

/* The first second after before at which the zone has left its offset there. */
static int64_t change_after(icaltimezone *zone, int64_t before, int64_t after)
{
    int32_t left = offset_at(zone, before);
    while (after - before > 1) {
        int64_t middle = before + (after - before) / 2;
        if (offset_at(zone, middle) == left)
            before = middle;
        else
            after = middle;
    }
    return after;
}

int64_t window_instant(icaltimezone *zone,
                       int32_t day,
                       int32_t minute,
                       int32_t *ret_off_s,
                       enum window_shift *ret_shift)
{
    struct icaltimetype midnight = window_day_time(day);
    midnight.is_date = 0;
    int64_t local =
        (int64_t)icaltime_as_timet_with_zone(midnight, icaltimezone_get_utc_timezone()) +
        (int64_t)minute * 60;
    /* A day before and after, whatever the zone's offset: at most one change lies between. */
    int32_t off_before = offset_at(zone, local - DAY_S);
    int32_t off_after = offset_at(zone, local + DAY_S);
    int64_t by_before = local - off_before;
    int64_t by_after = local - off_after;
    bool is_before = offset_at(zone, by_before) == off_before;
    bool is_after = offset_at(zone, by_after) == off_after;

    *ret_shift = WINDOW_AS_SAID;
    if (is_before && is_after && by_before != by_after)
        *ret_shift = WINDOW_FIRST_OF_TWO;
    if (is_before || is_after) {
        bool takes_before = is_before && (!is_after || by_before <= by_after);
        *ret_off_s = takes_before ? off_before : off_after;
        return takes_before ? by_before : by_after;
    }
    *ret_shift = WINDOW_AFTER_GAP;
    int64_t second = change_after(zone, by_after, by_before);
    *ret_off_s = offset_at(zone, second);
    return second;
}

static struct window_time time_of(icaltimezone *zone, const struct window_rule *rule, int32_t day)
{
    struct window_time time = {.day = day};
    enum window_shift end_shift = WINDOW_AS_SAID;
    int32_t end_min = rule->start_min + rule->length_min;
    time.start_ms =
        1000 * window_instant(zone, day, rule->start_min, &time.start_off_s, &time.shift);
    time.end_ms = 1000 * window_instant(zone, day, end_min, &time.end_off_s, &end_shift);
    /* An end that comes twice is its first; before a start that comes twice it would be none. */
    if (time.end_ms <= time.start_ms) {
        time.end_ms = time.start_ms;
        time.shift = WINDOW_LEAPT_OVER;
    }
    return time;
}

const char *window_shift_words(enum window_shift shift)
{
    switch (shift) {
    case WINDOW_AS_SAID:
        return "";
    case WINDOW_AFTER_GAP:
        return "the clocks leap over its start: it begins at the first valid instant after";
    case WINDOW_FIRST_OF_TWO:
        return "its start comes twice: it begins at the first, once";
    case WINDOW_LEAPT_OVER:
        return "the clocks leap over all of it: it does not take place";
    }
    return "";
}

/* Days since the week's first one. */
static int week_day_of(struct icaltimetype day, int week_start)
{
    return (icaltime_day_of_week(day) - week_start + WEEK) % WEEK;
}

/* ---- recurrences that libical can be asked for ---- */

static bool is_in_months(const struct icalrecurrencetype *recur, int month)
{
    bool is_any = recur->by_month[0] == ICAL_RECURRENCE_ARRAY_MAX;
    for (size_t i = 0; i < ICAL_BY_MONTH_SIZE && recur->by_month[i] != ICAL_RECURRENCE_ARRAY_MAX;
         i++)
        is_any = is_any || recur->by_month[i] == month;
    return is_any;
}

/* Has it a day in the year or month that begins there? After it libical is sent beyond the year
 * 20000, where it gives up. */
static bool has_day(struct icalrecurrencetype recur, struct icaltimetype period)
{
    recur.interval = INT16_MAX;
    recur.count = 0;
    recur.until = icaltime_null_time();
    icalrecur_iterator *days = icalrecur_iterator_new(recur, period);
    if (days == NULL)
        return false;
    icalrecur_iterator_free(days);
    return true;
}

/* Days and weeks are left out one by one: up to an end, or, with COUNT, which takes no other end,
 * for ever. */
static bool comes_by_day(struct icalrecurrencetype recur, struct icaltimetype begin)
{
    recur.count = 0;
    recur.until = begin;
    recur.until.year += WINDOW_SELDOM_YEARS;
    icalrecur_iterator *days = icalrecur_iterator_new(recur, begin);
    if (days == NULL)
        return false;
    bool comes = !icaltime_is_null_time(icalrecur_iterator_next(days));
    icalrecur_iterator_free(days);
    return comes;
}

bool window_recur_comes(const struct icalrecurrencetype *recur, struct icaltimetype begin)
{
    if (recur->freq != ICAL_MONTHLY_RECURRENCE && recur->freq != ICAL_YEARLY_RECURRENCE)
        return recur->count == 0 || comes_by_day(*recur, begin);
    bool is_monthly = recur->freq == ICAL_MONTHLY_RECURRENCE;
    bool has_days = recur->by_day[0] != ICAL_RECURRENCE_ARRAY_MAX ||
                    recur->by_month_day[0] != ICAL_RECURRENCE_ARRAY_MAX;
    int step = (recur->interval < 1 ? 1 : recur->interval) * (is_monthly ? 1 : 12);
    int first = begin.year * 12 + begin.month - 1;
    for (int month = first; month <= first + WINDOW_SELDOM_YEARS * 12; month += step) {
        struct icaltimetype period = begin;
        period.year = month / 12;
        period.month = month % 12 + 1;
        if (has_days)
            period.day = 1;
        if ((!is_monthly || is_in_months(recur, period.month)) && has_day(*recur, period))
            return true;
    }
    return false;
}

void window_recur_end(struct icalrecurrencetype *recur, struct icaltimetype end)
{
    if (icaltime_is_null_time(recur->until) || icaltime_compare(recur->until, end) > 0)
        recur->until = end;
}

/* Days of a rule, one after the other. */
struct day_walk {
    icalrecur_iterator *days;
    int32_t first;
    int64_t left; /* of COUNT */
    bool is_weekly;
    bool is_in[WEEK + 1]; /* by libical's numbers, 1 is Sunday */
};

/* Every third week is counted from the week of the beginning (RFC 5545). libical counts it from the
 * first day that fits, and takes a Sunday for one of the week before: so it is asked for all days
 * of such weeks, from the first one on, and those that are not meant are left out here. */
static void
walk_weeks(struct day_walk *walk, struct icalrecurrencetype *recur, struct icaltimetype *begin)
{
    int week_start =
        recur->week_start == ICAL_NO_WEEKDAY ? ICAL_MONDAY_WEEKDAY : (int)recur->week_start;
    walk->is_weekly = true;
    for (int i = 0; i < WEEK && recur->by_day[i] != ICAL_RECURRENCE_ARRAY_MAX; i++)
        walk->is_in[(int)icalrecurrencetype_day_day_of_week(recur->by_day[i])] = true;
    if (recur->by_day[0] == ICAL_RECURRENCE_ARRAY_MAX)
        walk->is_in[icaltime_day_of_week(*begin)] = true;
    for (int i = 0; i < WEEK; i++)
        recur->by_day[i] = (short)((week_start - 1 + i) % WEEK + 1);
    recur->by_day[WEEK] = ICAL_RECURRENCE_ARRAY_MAX;
    icaltime_adjust(begin, -week_day_of(*begin, week_start), 0, 0, 0);
}

/* A rule that need not say when it begins (it counts nothing) gives the same days from any of its
 * periods on: the walk begins shortly before what is asked for. */
static void begin_near(const struct icalrecurrencetype *recur,
                       struct icaltimetype after,
                       struct icaltimetype *begin)
{
    struct icaltimetype near = *begin;
    if (recur->freq == ICAL_YEARLY_RECURRENCE) {
        near.year = after.year - NEAR_PERIODS;
    } else if (recur->freq == ICAL_MONTHLY_RECURRENCE) {
        near.year = after.year;
        near.month = after.month - NEAR_PERIODS;
    } else if (recur->freq == ICAL_WEEKLY_RECURRENCE || recur->freq == ICAL_DAILY_RECURRENCE) {
        int days = icaltime_compare(after, *begin) > 0
                       ? icaldurationtype_as_int(icaltime_subtract(after, *begin)) / DAY_S
                       : 0;
        near.day += (days / WEEK - NEAR_PERIODS) * WEEK;
    } else {
        return;
    }
    near = icaltime_normalize(near);
    if (icaltime_compare(near, *begin) > 0)
        *begin = near;
}

static enum cas_err walk_begin(struct day_walk *walk,
                               const struct window_rule *rule,
                               struct icaltimetype after,
                               struct cas_why *why)
{
    struct icalrecurrencetype recur = icalrecurrencetype_from_string(rule->recur);
    *walk = (struct day_walk){.first = rule->from_day != 0 ? rule->from_day : FIRST_DAY};
    struct icaltimetype begin = window_day_time(walk->first);
    walk->left = recur.count > 0 ? recur.count : INT64_MAX;
    recur.count = 0;
    if (after.year > WINDOW_LAST_YEAR || !window_recur_comes(&recur, begin))
        return CAS_OK;
    struct icaltimetype end = icaltime_compare(begin, after) > 0 ? begin : after;
    end.year += WINDOW_SELDOM_YEARS;
    window_recur_end(&recur, end);
    if (rule->from_day == 0)
        begin_near(&recur, after, &begin);
    if (recur.freq == ICAL_WEEKLY_RECURRENCE && recur.by_set_pos[0] == ICAL_RECURRENCE_ARRAY_MAX)
        walk_weeks(walk, &recur, &begin);
    walk->days = icalrecur_iterator_new(recur, begin);
    if (walk->days == NULL)
        return cas_fail(why, CAS_ERR_FORMAT, "\"%s\" is no recurrence", rule->recur);
    return CAS_OK;
}

/* The next day of libical's; *ret_is_meant: it is one of the rule's. False: the rule has ended. */
static bool walk_on(struct day_walk *walk, struct icaltimetype *ret_day, bool *ret_is_meant)
{
    if (walk->days == NULL)
        return false;
    *ret_day = icalrecur_iterator_next(walk->days);
    if (icaltime_is_null_time(*ret_day))
        return false;
    *ret_is_meant = window_day_of(*ret_day) >= walk->first &&
                    (!walk->is_weekly || walk->is_in[icaltime_day_of_week(*ret_day)]);
    if (*ret_is_meant)
        walk->left--;
    return walk->left >= 0;
}

enum cas_err window_check_most(size_t most, struct cas_why *why)
{
    if (most < 1 || most > WINDOW_NEXT_MOST)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "%zu windows are asked for; 1 to %d",
                        most,
                        WINDOW_NEXT_MOST);
    return CAS_OK;
}

enum cas_err window_next(const struct window_rule *rule,
                         int64_t after_ms,
                         size_t most,
                         struct window_time *ret_time,
                         size_t *ret_n,
                         struct cas_why *why)
{
    enum cas_err err = window_check_most(most, why);
    if (err != CAS_OK)
        return err;
    icaltimezone *zone = window_zone(rule->zone);
    if (zone == NULL)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "the time zone \"%s\" is not known to this system: is tzdata installed?",
                        rule->zone);
    struct day_walk walk;
    struct icaltimetype after = window_day_time(window_day_of(window_utc(after_ms / 1000)));
    err = walk_begin(&walk, rule, after, why);
    if (err != CAS_OK)
        return err;

    size_t n = 0;
    struct icaltimetype day;
    bool is_meant = false;
    for (int step = 0; step < STEPS_MOST && n < most && walk_on(&walk, &day, &is_meant); step++) {
        /* Far enough before it, no zone need be asked. */
        int64_t second = (int64_t)icaltime_as_timet_with_zone(day, icaltimezone_get_utc_timezone());
        if (!is_meant || second + 3 * DAY_S < after_ms / 1000)
            continue;
        struct window_time time = time_of(zone, rule, window_day_of(day));
        if (time.start_ms > after_ms)
            ret_time[n++] = time;
    }
    if (walk.days != NULL)
        icalrecur_iterator_free(walk.days);
    *ret_n = n;
    return CAS_OK;
}

void window_text_time(struct cas_text *text, int64_t wall_ms, int32_t off_s)
{
    static const char *const days[] = {"?", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] =
        {"?", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct icaltimetype at = window_utc(wall_ms / 1000 + off_s);
    int day = icaltime_day_of_week(at);
    cas_text_add(text,
                 "%s %02d %s %d %02d:%02d",
                 days[day >= 1 && day <= 7 ? day : 0],
                 at.day,
                 months[at.month >= 1 && at.month <= 12 ? at.month : 0],
                 at.year,
                 at.hour,
                 at.minute);
    if (off_s == 0) {
        cas_text_add(text, " UTC");
        return;
    }
    int32_t minutes = (off_s < 0 ? -off_s : off_s) / 60;
    cas_text_add(text, " %c%02d:%02d", off_s < 0 ? '-' : '+', minutes / 60, minutes % 60);
}
