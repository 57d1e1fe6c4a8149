#include "agent/host/act.h"

#include <string.h>

/* ---- the pool's name ---- */

enum cas_err act_pool_check(const char *pool, struct cas_why *why)
{
    size_t character_n = 0;
    if (!cas_is_clean_text(cas_slice_of(pool)))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "pool \"%.100s\": a control character, or no UTF-8",
                        pool);
    const char *foreign = strpbrk(pool, "\"|<>&");
    if (foreign != NULL)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "pool \"%.100s\": IIS has no pool with %c in its name",
                        pool,
                        *foreign);
    for (const char *at = pool; *at != '\0'; at++)
        character_n += ((unsigned char)*at & 0xC0) == 0x80 ? 0 : 1;
    if (character_n == 0 || pool[0] == ' ')
        return cas_fail(why, CAS_ERR_FORMAT, "pool \"%.100s\": no name", pool);
    if (character_n > ACT_POOL_CHARACTERS)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "pool \"%.100s\": %zu characters, at most %d",
                        pool,
                        character_n,
                        ACT_POOL_CHARACTERS);
    return CAS_OK;
}

/* ---- what a tool said ---- */

static bool begins_with(struct cas_slice bytes, const char *mark)
{
    size_t size = strlen(mark);
    return bytes.size >= size && memcmp(bytes.data, mark, size) == 0;
}

/* Bytes of the character that begins here: 0 none does, or it is cut off. */
static size_t character_size(struct cas_slice text, size_t at)
{
    unsigned char first = (unsigned char)text.data[at];
    size_t size = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (size < 2)
        return size;
    if (size > text.size - at)
        return 0;
    static const char *const control = "\xC2"; /* of the Latin-1 half: 0x80 .. 0x9F */
    bool is_control = text.data[at] == control[0] && (unsigned char)text.data[at + 1] < 0xA0;
    /* Overlong forms, surrogates and the rest are the business of one judge. */
    return is_control || cas_is_clean_text((struct cas_slice){text.data + at, size}) ? size : 0;
}

static bool is_utf8(struct cas_slice bytes)
{
    size_t at = 0;
    while (at < bytes.size) {
        size_t size = character_size(bytes, at);
        if (size == 0)
            break;
        at += size;
    }
    if (at == bytes.size)
        return true;
    /* Cut off: a first byte and too few that follow it. */
    size_t left = bytes.size - at;
    unsigned char first = (unsigned char)bytes.data[at];
    bool is_cut = first >= 0xC2 && first < 0xF5 && left < 4 &&
                  left < (first < 0xE0   ? 2U
                          : first < 0xF0 ? 3U
                                         : 4U);
    for (size_t i = 1; i < left && is_cut; i++)
        is_cut = ((unsigned char)bytes.data[at + i] & 0xC0) == 0x80;
    return is_cut;
}

enum act_coding act_coding_of(struct cas_slice bytes)
{
    enum {
        LOOK_BYTES = 64
    };
    size_t zero_n = 0;
    size_t look = bytes.size < LOOK_BYTES ? bytes.size : LOOK_BYTES;
    if (begins_with(bytes, "\xFF\xFE") || begins_with(bytes, "\xFE\xFF"))
        return ACT_CODING_UTF16;
    for (size_t i = 1; i < look; i += 2)
        zero_n += bytes.data[i] == '\0' ? 1 : 0;
    if (look >= 4 && zero_n * 4 >= look)
        return ACT_CODING_UTF16;
    return is_utf8(bytes) ? ACT_CODING_UTF8 : ACT_CODING_OEM;
}

/* The words on one line: blanks and control characters in a row are one blank, bytes that are no
 * character a question mark. */
static void add_words(struct cas_text *text, struct cas_slice words)
{
    bool is_blank = true;
    for (size_t at = 0; at < words.size && !text->is_cut;) {
        size_t size = character_size(words, at);
        unsigned char byte = (unsigned char)words.data[at];
        bool is_gap = byte <= ' ' || byte == 0x7F ||
                      (size == 2 && byte == 0xC2 && (unsigned char)words.data[at + 1] < 0xA0);
        if (is_gap)
            cas_text_add(text, "%s", is_blank ? "" : " ");
        else if (size == 0)
            cas_text_add(text, "?");
        else
            cas_text_add(text, "%.*s", (int)size, words.data + at);
        is_blank = is_gap;
        at += size == 0 ? 1 : size;
    }
    while (text->used > 0 && text->data[text->used - 1] == ' ')
        text->data[--text->used] = '\0';
}

static void add_output(struct cas_text *text, const struct act_end *end)
{
    if (capture_trim(end->output).size == 0 && end->dropped_bytes == 0) {
        cas_text_add(text, " and said nothing");
        return;
    }
    if (end->dropped_bytes > 0)
        cas_text_add(text, " and said %llu bytes too many", (unsigned long long)end->dropped_bytes);
    cas_text_add(text, "%s", end->dropped_bytes > 0 ? ": " : " and said: ");
    add_words(text, end->output);
}

/* appcmd shows its codes signed where they are an HRESULT's. */
static int64_t code_of(uint32_t code)
{
    return code > INT32_MAX ? (int64_t)code - UINT32_MAX - 1 : (int64_t)code;
}

static bool names_another_pool(struct capture_input input, const char *pool)
{
    struct capture_appcmd appcmd;
    bool is_other = false;
    capture_appcmd_init(&appcmd, input);
    for (;;) {
        struct capture_item item;
        struct cas_why refused = {.text = ""};
        enum cas_err err = capture_appcmd_next(&appcmd, &item, &refused);
        if (err == CAS_ERR_NOT_FOUND)
            return is_other;
        if (err == CAS_OK && item.kind == CAPTURE_ITEM_RECYCLED)
            is_other = is_other || !capture_same(item.pool, pool);
    }
}

static void judge_killed(const struct act_end *end, struct host_act *act, struct cas_text *text)
{
    act->state = HOST_ACT_UNKNOWN;
    act->code = ACT_CODE_NONE;
    cas_text_add(text, "appcmd had not ended after ");
    cas_text_span(text, end->limit_ms);
    cas_text_add(text, " and was killed; the recycle may still have happened");
    if (capture_trim(end->output).size > 0) {
        cas_text_add(text, "; it said: ");
        add_words(text, end->output);
    }
}

void act_judge(const struct act_end *end, const char *pool, struct host_act *ret_act)
{
    struct capture_input input = {.file = "appcmd", .bytes = end->output};
    struct host_act act = {.state = HOST_ACT_FAILED, .code = code_of(end->code)};
    struct cas_text text = CAS_TEXT(act.text);
    char words[sizeof act.text];
    cas_text_clear(&text);
    enum capture_answer answer = capture_appcmd_answer(input, pool, words, sizeof words);

    if (end->is_killed) {
        judge_killed(end, &act, &text);
    } else if (answer == CAPTURE_ANSWER_REFUSED) {
        cas_text_add(&text, "appcmd (code %lld): ", (long long)act.code);
        add_words(&text, cas_slice_of(words));
    } else if (end->code != 0) {
        cas_text_add(&text, "appcmd ended with code %lld", (long long)act.code);
        add_output(&text, end);
    } else if (names_another_pool(input, pool)) {
        cas_text_add(&text, "appcmd spoke of another pool: ");
        add_words(&text, end->output);
    } else if (answer == CAPTURE_ANSWER_DONE) {
        act.state = HOST_ACT_DONE;
        cas_text_add(&text, "\"%s\" successfully recycled", pool);
    } else {
        act.state = HOST_ACT_DONE;
        cas_text_add(&text, "appcmd ended with code 0");
        add_output(&text, end);
    }
    *ret_act = act;
}

/* ---- drained by whom ---- */

static bool is_ours(const struct scene_state *row, int64_t drain_ms)
{
    return drain_ms != 0 && row->at_ms == drain_ms &&
           capture_same(cas_slice_of(row->requester), SCENE_REQUESTER);
}

static void say_holder(const struct scene_state *row, struct cas_text *who)
{
    cas_text_add(who,
                 "%s%s inactive by %s",
                 who->used == 0 ? "" : "; ",
                 row->component,
                 row->requester);
    if (row->at_ms != 0) {
        cas_text_add(who, " since ");
        cas_text_utc(who, row->at_ms);
    }
}

void act_hold_of(const struct scene_states *states, int64_t drain_ms, struct act_hold *ret_hold)
{
    struct act_hold hold = {.is_unknown = states->refused_n > 0};
    struct cas_text who = CAS_TEXT(hold.who);
    cas_text_clear(&who);
    for (size_t i = 0; i < states->row_n; i++) {
        const struct scene_state *row = &states->row[i];
        bool is_component = capture_same(cas_slice_of(row->component), SCENE_COMPONENT);
        bool is_wide = capture_same(cas_slice_of(row->component), SCENE_WIDE);
        if (row->is_active || (!is_component && !is_wide))
            continue;
        if (is_component && is_ours(row, drain_ms)) {
            hold.is_ours = true;
            continue;
        }
        hold.is_theirs = true;
        say_holder(row, &who);
    }
    if (hold.is_unknown)
        cas_text_add(&who, "%s%s", who.used == 0 ? "" : "; ", states->refused.text);
    *ret_hold = hold;
}

enum act_clear act_clear_of(const struct act_hold *hold)
{
    return hold->is_ours      ? ACT_CLEAR_OURS
           : hold->is_unknown ? ACT_CLEAR_UNKNOWN
           : hold->is_theirs  ? ACT_CLEAR_THEIRS
                              : ACT_CLEAR_NOTHING;
}

int64_t act_instant(const struct scene_states *states, int64_t wall_ms)
{
    int64_t instant = wall_ms;
    for (size_t i = 0; i < states->row_n; i++) {
        const struct scene_state *row = &states->row[i];
        bool is_same = capture_same(cas_slice_of(row->component), SCENE_COMPONENT) &&
                       capture_same(cas_slice_of(row->requester), SCENE_REQUESTER);
        if (is_same && row->at_ms >= instant && row->at_ms < INT64_MAX)
            instant = row->at_ms + 1;
    }
    return instant;
}
