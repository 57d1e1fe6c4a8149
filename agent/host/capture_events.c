#include "agent/host/capture.h"

#include <stdlib.h>
#include <string.h>

#include <expat.h>

enum {
    SHOWN = 60,
    PIECE_BYTES = 4096,
    FRACTION_DIGITS = 9,
    BINARY_ID_AT = 12 /* where the record of a driver's event keeps the event's own id */
};

/* The part of an event that the parser is in. */
enum section {
    SECTION_NONE,
    SECTION_SYSTEM,
    SECTION_DATA
};
/* An element whose text is wanted. */
enum element {
    ELEMENT_NONE,
    ELEMENT_ID,
    ELEMENT_LEVEL,
    ELEMENT_RECORD,
    ELEMENT_CHANNEL,
    ELEMENT_COMPUTER,
    ELEMENT_DATA,
    ELEMENT_BINARY
};

struct capture_events {
    struct capture_input input;
    size_t at;
    size_t line_n;  /* of at, from 1 */
    size_t line_at; /* where that line begins */
    const char *encoding;
    XML_Parser parser;

    /* the event being read */
    struct capture_event event;
    size_t depth;
    bool is_done;
    bool has_id;
    bool has_time;
    enum section section;
    enum element element;
    struct cas_slice name; /* of the Data being read */
    size_t text_at;        /* where its text begins in store */
    char store[CAPTURE_EVENT_TEXT];
    size_t stored;
    enum cas_err refused; /* by a handler, with its words and place */
    size_t refused_at;    /* bytes from the event's begin */
    size_t stop_line, stop_column;
    char words[CAS_WHY_BYTES];
};

/* ---- what handlers do ---- */

static void note_place(struct capture_events *events)
{
    events->stop_line = (size_t)XML_GetCurrentLineNumber(events->parser);
    events->stop_column = (size_t)XML_GetCurrentColumnNumber(events->parser) + 1;
}

static void
refuse(struct capture_events *events, enum cas_err err, const char *what, struct cas_slice value)
{
    if (events->refused != CAS_OK)
        return;
    events->refused = err;
    events->refused_at = (size_t)XML_GetCurrentByteIndex(events->parser);
    note_place(events);
    struct cas_text words = CAS_TEXT(events->words);
    cas_text_clear(&words);
    int size = (int)(value.size > SHOWN ? SHOWN : value.size);
    if (size > 0)
        cas_text_add(&words, "\"%.*s\" %s", size, value.data, what);
    else
        cas_text_add(&words, "%s", what);
    (void)XML_StopParser(events->parser, XML_FALSE);
}

/* What does not fit is cut and said so: an unrelated event with much data is no error. */
static void store_text(struct capture_events *events, const char *text, size_t size)
{
    size_t room = sizeof events->store - events->stored;
    if (size > room) {
        size = room;
        events->event.is_cut = true;
    }
    if (size > 0)
        memcpy(events->store + events->stored, text, size);
    events->stored += size;
}

static const char *attribute(const char **pairs, const char *name)
{
    for (size_t i = 0; pairs[i] != NULL; i += 2) {
        if (strcmp(pairs[i], name) == 0)
            return pairs[i + 1];
    }
    return NULL;
}

static bool read_fraction(struct cas_slice digits, uint32_t *ret_ms)
{
    uint64_t ignored = 0;
    if (digits.size > FRACTION_DIGITS || !capture_digits(digits, UINT64_MAX, &ignored))
        return false;
    uint32_t ms = 0;
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < digits.size ? (uint32_t)(digits.data[i] - '0') : 0);
    *ret_ms = ms;
    return true;
}

/* "2021-04-01T09:25:03.024615800Z"; Windows writes 7 or 9 decimals. */
static bool read_time(struct cas_slice text, int64_t *ret_ms)
{
    static const struct {
        size_t at, size;
        char before; /* the byte that must stand in front */
    } piece[6] = {{0, 4, 0}, {5, 2, '-'}, {8, 2, '-'}, {11, 2, 'T'}, {14, 2, ':'}, {17, 2, ':'}};
    uint32_t value[6];
    if (text.size < 20 || text.data[text.size - 1] != 'Z')
        return false;
    for (size_t i = 0; i < 6; i++) {
        uint64_t number = 0;
        if ((i > 0 && text.data[piece[i].at - 1] != piece[i].before) ||
            !capture_digits(
                (struct cas_slice){.data = text.data + piece[i].at, .size = piece[i].size},
                9999,
                &number))
            return false;
        value[i] = (uint32_t)number;
    }
    struct capture_moment moment = {.year = value[0],
                                    .month = value[1],
                                    .day = value[2],
                                    .hour = value[3],
                                    .minute = value[4],
                                    .second = value[5]};
    if (text.size > 20 &&
        (text.data[19] != '.' ||
         !read_fraction((struct cas_slice){.data = text.data + 20, .size = text.size - 21},
                        &moment.ms)))
        return false;
    return capture_moment_ms(&moment, ret_ms);
}

static void begin_text(struct capture_events *events, enum element element)
{
    events->element = element;
    events->text_at = events->stored;
}

static void start_system(struct capture_events *events, const char *name, const char **pairs)
{
    struct capture_event *event = &events->event;
    if (strcmp(name, "Provider") == 0) {
        const char *provider = attribute(pairs, "Name");
        if (cas_slice_copy(cas_slice_of(provider), event->provider, sizeof event->provider) !=
            CAS_OK)
            refuse(events, CAS_ERR_TOO_LONG, "is too long a provider", cas_slice_of(provider));
    } else if (strcmp(name, "EventID") == 0) {
        struct cas_slice text = cas_slice_of(attribute(pairs, "Qualifiers"));
        uint64_t value = 0;
        event->has_qualifiers = text.size > 0;
        if (event->has_qualifiers && !capture_digits(text, UINT16_MAX, &value))
            refuse(events, CAS_ERR_RANGE, "is not 0..65535 (Qualifiers)", text);
        event->qualifiers = (uint16_t)value;
        begin_text(events, ELEMENT_ID);
    } else if (strcmp(name, "TimeCreated") == 0) {
        struct cas_slice text = cas_slice_of(attribute(pairs, "SystemTime"));
        events->has_time = read_time(text, &event->time_ms);
        if (!events->has_time)
            refuse(events,
                   CAS_ERR_FORMAT,
                   "is not a time such as 2021-04-01T09:25:03.0246158Z",
                   text);
    } else if (strcmp(name, "Level") == 0) {
        begin_text(events, ELEMENT_LEVEL);
    } else if (strcmp(name, "EventRecordID") == 0) {
        begin_text(events, ELEMENT_RECORD);
    } else if (strcmp(name, "Channel") == 0) {
        begin_text(events, ELEMENT_CHANNEL);
    } else if (strcmp(name, "Computer") == 0) {
        begin_text(events, ELEMENT_COMPUTER);
    }
}

static void start_data(struct capture_events *events, const char *name, const char **pairs)
{
    if (strcmp(name, "Data") == 0) {
        const char *data_name = attribute(pairs, "Name");
        size_t from = events->stored;
        if (data_name != NULL)
            store_text(events, data_name, strlen(data_name));
        events->name =
            (struct cas_slice){.data = events->store + from, .size = events->stored - from};
        begin_text(events, ELEMENT_DATA);
    } else if (strcmp(name, "Binary") == 0) {
        begin_text(events, ELEMENT_BINARY);
    }
}

static void XMLCALL on_start(void *user, const XML_Char *name, const XML_Char **pairs)
{
    struct capture_events *events = user;
    events->depth++;
    if (events->depth > CAPTURE_EVENT_DEPTH) {
        char words[64];
        struct cas_text text = CAS_TEXT(words);
        cas_text_clear(&text);
        cas_text_add(&text, "is nested deeper than %d elements", CAPTURE_EVENT_DEPTH);
        refuse(events, CAS_ERR_TOO_MANY, words, cas_slice_of(name));
        return;
    }
    if (events->depth > 1 && strcmp(name, "Event") == 0) {
        refuse(events,
               CAS_ERR_FORMAT,
               "begins within an event that has not ended",
               cas_slice_of(name));
        return;
    }
    if (events->depth == 2) {
        events->section = strcmp(name, "System") == 0      ? SECTION_SYSTEM
                          : strcmp(name, "EventData") == 0 ? SECTION_DATA
                                                           : SECTION_NONE;
    } else if (events->depth == 3 && events->section == SECTION_SYSTEM) {
        start_system(events, name, pairs);
    } else if (events->depth == 3 && events->section == SECTION_DATA) {
        start_data(events, name, pairs);
    }
}

static void XMLCALL on_text(void *user, const XML_Char *text, int size)
{
    struct capture_events *events = user;
    if (events->element != ELEMENT_NONE && events->depth == 3 && size > 0)
        store_text(events, text, (size_t)size);
}

static uint64_t
number_of(struct capture_events *events, struct cas_slice text, uint64_t most, const char *what)
{
    uint64_t value = 0;
    if (!capture_digits(text, most, &value))
        refuse(events, CAS_ERR_FORMAT, what, text);
    return value;
}

static void keep_data(struct capture_events *events, struct cas_slice text)
{
    struct capture_event *event = &events->event;
    if (event->data_n == CAPTURE_EVENT_DATA) {
        event->is_cut = true;
        return;
    }
    event->data[event->data_n++] = (struct capture_data){.name = events->name, .text = text};
}

static int nibble(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

static void keep_binary(struct capture_events *events, struct cas_slice text)
{
    struct capture_event *event = &events->event;
    if (text.size / 2 > CAPTURE_EVENT_BINARY) {
        text.size = (size_t)CAPTURE_EVENT_BINARY * 2;
        event->is_cut = true;
    }
    event->binary_n = 0;
    for (size_t i = 0; i + 1 < text.size; i += 2) {
        int high = nibble(text.data[i]);
        int low = nibble(text.data[i + 1]);
        if (high < 0 || low < 0) {
            refuse(events, CAS_ERR_FORMAT, "is not hexadecimal (Binary)", text);
            return;
        }
        event->binary[event->binary_n++] = (uint8_t)(high * 16 + low);
    }
    if (text.size % 2 != 0)
        refuse(events, CAS_ERR_FORMAT, "has half a byte (Binary)", text);
}

static void keep_text(struct capture_events *events, struct cas_slice text)
{
    struct capture_event *event = &events->event;
    switch (events->element) {
    case ELEMENT_ID:
        event->id = (uint32_t)number_of(events, text, UINT16_MAX, "is not an event id");
        events->has_id = true;
        break;
    case ELEMENT_LEVEL:
        event->level = (uint8_t)number_of(events, text, UINT8_MAX, "is not a level");
        break;
    case ELEMENT_RECORD:
        event->record_id = number_of(events, text, UINT64_MAX, "is not a record number");
        break;
    case ELEMENT_CHANNEL:
        if (cas_slice_copy(text, event->channel, sizeof event->channel) != CAS_OK)
            refuse(events, CAS_ERR_TOO_LONG, "is too long a channel", text);
        break;
    case ELEMENT_COMPUTER:
        if (cas_slice_copy(text, event->computer, sizeof event->computer) != CAS_OK)
            refuse(events, CAS_ERR_TOO_LONG, "is too long a computer", text);
        break;
    case ELEMENT_BINARY:
        keep_binary(events, text);
        break;
    case ELEMENT_DATA:
    case ELEMENT_NONE:
        break;
    }
}

static void XMLCALL on_end(void *user, const XML_Char *name)
{
    (void)name;
    struct capture_events *events = user;
    if (events->refused != CAS_OK)
        return;
    if (events->depth == 3 && events->element != ELEMENT_NONE) {
        struct cas_slice text = {.data = events->store + events->text_at,
                                 .size = events->stored - events->text_at};
        if (events->element == ELEMENT_DATA) {
            keep_data(events, text);
        } else {
            keep_text(events, capture_trim(text));
            events->stored = events->text_at;
        }
        events->element = ELEMENT_NONE;
    }
    if (events->depth == 2)
        events->section = SECTION_NONE;
    events->depth--;
    if (events->depth == 0) {
        events->is_done = true;
        (void)XML_StopParser(events->parser, XML_FALSE);
    }
}

/* ---- life ---- */

/* One odd byte makes the whole text Latin-1: cmd redirects in the console's code page. */
static bool is_utf8(struct cas_slice text)
{
    size_t at = 0;
    while (at < text.size) {
        uint8_t first = (uint8_t)text.data[at++];
        size_t more = first < 0x80 ? 0 : first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
        if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || more > text.size - at)
            return false;
        for (; more > 0; more--) {
            if (((uint8_t)text.data[at++] & 0xC0) != 0x80)
                return false;
        }
    }
    return true;
}

void capture_events_free(struct capture_events *events)
{
    if (events == NULL)
        return;
    if (events->parser != NULL)
        XML_ParserFree(events->parser);
    free(events);
}

enum cas_err capture_events_open(struct capture_input input,
                                 struct capture_events **ret_events,
                                 struct cas_why *why)
{
    CAS_AUTO(capture_events) events = calloc(1, sizeof *events);
    if (events == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory to read events", input.file);
    events->input = input;
    events->line_n = 1;
    events->encoding = is_utf8(input.bytes) ? "UTF-8" : "ISO-8859-1";
    events->parser = XML_ParserCreate(events->encoding);
    if (events->parser == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory to read events", input.file);
    *ret_events = CAS_TAKE(events);
    return CAS_OK;
}

/* ---- from event to event ---- */

static void go_to(struct capture_events *events, size_t to)
{
    const char *data = events->input.bytes.data;
    while (events->at < to) {
        const char *end = memchr(data + events->at, '\n', to - events->at);
        if (end == NULL)
            break;
        events->at = (size_t)(end - data) + 1;
        events->line_at = events->at;
        events->line_n++;
    }
    events->at = to;
}

static bool is_tag(struct cas_slice rest, const char *tag)
{
    size_t size = strlen(tag);
    if (!capture_starts(rest, tag) || rest.size == size)
        return false;
    return strchr(" \t\r\n>/", rest.data[size]) != NULL && rest.data[size] != '\0';
}

/* Goes to the next "<Event"; what stands before it (root, prompts, text renderings) says nothing.
 */
static enum cas_err find_event(struct capture_events *events, struct cas_why *why)
{
    struct cas_slice bytes = events->input.bytes;
    size_t at = events->at;
    while (at < bytes.size) {
        const char *open = memchr(bytes.data + at, '<', bytes.size - at);
        if (open == NULL)
            break;
        at = (size_t)(open - bytes.data);
        struct cas_slice rest = {.data = open, .size = bytes.size - at};
        if (is_tag(rest, "<Event")) {
            go_to(events, at);
            return CAS_OK;
        }
        if (is_tag(rest, "<!DOCTYPE")) {
            go_to(events, at);
            size_t column = at - events->line_at + 1;
            events->at = bytes.size;
            return cas_fail(why,
                            CAS_ERR_DENIED,
                            "%s:%zu:%zu: a DOCTYPE: event files have none, nothing is read on",
                            events->input.file,
                            events->line_n,
                            column);
        }
        at++;
    }
    events->at = bytes.size;
    return cas_fail(why, CAS_ERR_NOT_FOUND, "%s: no further event", events->input.file);
}

static void begin_event(struct capture_events *events)
{
    events->event = (struct capture_event){.line_n = events->line_n};
    events->depth = 0;
    events->is_done = false;
    events->has_id = false;
    events->has_time = false;
    events->section = SECTION_NONE;
    events->element = ELEMENT_NONE;
    events->stored = 0;
    events->refused = CAS_OK;
    (void)XML_ParserReset(events->parser, events->encoding);
    XML_SetUserData(events->parser, events);
    XML_SetElementHandler(events->parser, on_start, on_end);
    XML_SetCharacterDataHandler(events->parser, on_text);
}

/* Where the parser stopped, as a person counts. */
static enum cas_err refuse_here(const struct capture_events *events,
                                enum cas_err err,
                                const char *words,
                                struct cas_why *why)
{
    size_t line = events->stop_line;
    size_t column = events->stop_column;
    if (line == 1)
        column += events->at - events->line_at;
    return cas_fail(why,
                    err,
                    "%s:%zu:%zu: event at line %zu: %s",
                    events->input.file,
                    events->line_n + line - 1,
                    column,
                    events->line_n,
                    words);
}

static enum cas_err check_event(const struct capture_events *events, struct cas_why *why)
{
    const char *missing = NULL;
    if (events->event.provider[0] == '\0')
        missing = "Provider";
    else if (!events->has_id)
        missing = "EventID";
    else if (!events->has_time)
        missing = "TimeCreated";
    if (missing == NULL)
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_MISSING,
                    "%s:%zu:%zu: event without %s",
                    events->input.file,
                    events->line_n,
                    events->at - events->line_at + 1,
                    missing);
}

/* Bytes of the piece that has been dealt with, so that no byte is read twice however bad the input
 * is. */
static size_t dealt_with(const struct capture_events *events, enum XML_Error error, size_t size)
{
    switch ((int)error) {
    case XML_ERROR_UNCLOSED_TOKEN:
    case XML_ERROR_UNCLOSED_CDATA_SECTION:
    case XML_ERROR_PARTIAL_CHAR:
    case XML_ERROR_NO_ELEMENTS:
    case XML_ERROR_NONE:
        return size;
    default:
        break;
    }
    if (events->refused != CAS_OK)
        return events->refused_at > 0 ? events->refused_at : 1;
    XML_Index index = XML_GetCurrentByteIndex(events->parser);
    size_t used = index > 0 ? (size_t)index : 0;
    if (events->is_done)
        used += (size_t)XML_GetCurrentByteCount(events->parser);
    if (used == 0)
        used = 1;
    return used > size ? size : used;
}

static enum cas_err refuse_long(const struct capture_events *events, struct cas_why *why)
{
    char words[64];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    cas_text_add(&text, "longer than %d bytes", CAPTURE_EVENT_BYTES);
    return refuse_here(events, CAS_ERR_TOO_LONG, words, why);
}

static enum cas_err parse_event(struct capture_events *events, struct cas_why *why)
{
    struct cas_slice bytes = events->input.bytes;
    size_t left = bytes.size - events->at;
    size_t size = left > CAPTURE_EVENT_BYTES ? CAPTURE_EVENT_BYTES : left;
    begin_event(events);
    /* In small pieces: the parser copies what it is given, and most events are short. */
    enum XML_Error error = XML_ERROR_NONE;
    for (size_t fed = 0; fed < size && error == XML_ERROR_NONE; fed += PIECE_BYTES) {
        size_t piece = size - fed < PIECE_BYTES ? size - fed : PIECE_BYTES;
        if (XML_Parse(events->parser,
                      bytes.data + events->at + fed,
                      (int)piece,
                      fed + piece == left) != XML_STATUS_OK)
            error = XML_GetErrorCode(events->parser);
    }
    if (events->refused == CAS_OK)
        note_place(events);
    size_t end = events->at + dealt_with(events, error, size);

    enum cas_err err = CAS_OK;
    if (events->refused != CAS_OK)
        err = refuse_here(events, events->refused, events->words, why);
    else if (events->is_done)
        err = check_event(events, why);
    else if (error == XML_ERROR_NO_MEMORY)
        err = cas_fail(why, CAS_ERR_NOMEM, "%s: no memory to read events", events->input.file);
    else if (error == XML_ERROR_NONE)
        err = refuse_long(events, why);
    else
        err = refuse_here(events, CAS_ERR_FORMAT, XML_ErrorString(error), why);
    go_to(events, end);
    return err;
}

enum cas_err capture_events_next(struct capture_events *events,
                                 struct capture_event *ret_event,
                                 struct cas_why *why)
{
    enum cas_err err = find_event(events, why);
    if (err != CAS_OK)
        return err;
    err = parse_event(events, why);
    if (err != CAS_OK)
        return err;
    *ret_event = events->event;
    return CAS_OK;
}

/* ---- meaning ---- */

enum source {
    SOURCE_OTHER,
    SOURCE_TCPIP,
    SOURCE_WAS
};

static enum source source_of(const char *provider)
{
    if (strcmp(provider, "Tcpip") == 0)
        return SOURCE_TCPIP;
    if (strcmp(provider, "Microsoft-Windows-WAS") == 0 || strcmp(provider, "WAS") == 0)
        return SOURCE_WAS;
    return SOURCE_OTHER;
}

static enum capture_meaning look_up(enum source source, uint32_t id, const char **ret_words)
{
    static const struct {
        enum source source;
        uint32_t id;
        enum capture_meaning meaning;
        const char *words;
    } known[] = {
#define EVENT(source, id, meaning, words) \
    {SOURCE_##source, (id), CAPTURE_MEANING_##meaning, (words)},
#include "agent/host/capture_events.def"
#undef EVENT
    };
    for (size_t i = 0; i < CAS_COUNT(known); i++) {
        if (known[i].source == source && known[i].id == id) {
            *ret_words = known[i].words;
            return known[i].meaning;
        }
    }
    return CAPTURE_MEANING_NONE;
}

static enum cas_err check_binary(const struct capture_event *event, struct cas_why *why)
{
    if (event->binary_n < BINARY_ID_AT + 4)
        return CAS_OK;
    const uint8_t *at = event->binary + BINARY_ID_AT;
    uint32_t full =
        (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    if ((full & 0xFFFF) == event->id)
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_FORMAT,
                    "event at line %zu calls itself %u, its Binary says %u (0x%08x)",
                    event->line_n,
                    event->id,
                    full & 0xFFFF,
                    full);
}

static enum cas_err
read_pool(const struct capture_event *event, struct capture_told *told, struct cas_why *why)
{
    for (size_t i = 0; i < event->data_n; i++) {
        struct cas_slice name = event->data[i].name;
        struct cas_slice text = capture_trim(event->data[i].text);
        if (cas_slice_is(name, "AppPoolID") &&
            cas_slice_copy(text, told->pool, sizeof told->pool) != CAS_OK)
            return cas_fail(why,
                            CAS_ERR_TOO_LONG,
                            "event at line %zu: a pool's name of %zu bytes, at most %d",
                            event->line_n,
                            text.size,
                            POOL_BYTES - 1);
        uint64_t pid = 0;
        if (!cas_slice_is(name, "ProcessID"))
            continue;
        if (!capture_digits(text, UINT32_MAX, &pid))
            return cas_fail(why,
                            CAS_ERR_FORMAT,
                            "event at line %zu: \"%.*s\" is not a process id",
                            event->line_n,
                            (int)(text.size > SHOWN ? SHOWN : text.size),
                            text.data);
        told->pid = (uint32_t)pid;
    }
    return CAS_OK;
}

enum cas_err capture_event_meaning(const struct capture_event *event,
                                   struct capture_told *ret_told,
                                   struct cas_why *why)
{
    struct capture_told told = {.words = ""};
    enum source source = source_of(event->provider);
    told.meaning = look_up(source, event->id, &told.words);
    enum cas_err err = CAS_OK;
    if (told.meaning != CAPTURE_MEANING_NONE && source == SOURCE_TCPIP)
        err = check_binary(event, why);
    else if (told.meaning != CAPTURE_MEANING_NONE)
        err = read_pool(event, &told, why);
    if (err != CAS_OK)
        return err;
    *ret_told = told;
    return CAS_OK;
}
