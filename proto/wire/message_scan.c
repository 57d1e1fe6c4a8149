#include "proto/wire/message.h"

#include "proto/wire/message_rows.h"

/* What follows a lead byte of msgpack. */
enum scan_what {
    SCAN_VALUE,   /* width bytes of it */
    SCAN_BYTES,   /* a length of width bytes, then so many bytes */
    SCAN_ARRAY,   /* a count of width bytes, then so many objects */
    SCAN_MAP,     /* a count of width bytes, then twice as many objects */
    SCAN_REFUSED, /* ext types, and the byte msgpack never uses */
};
struct scan_lead {
    uint8_t what;
    uint8_t width;
};

/* Lead bytes 0xc0 to 0xdf; msgpack specification, section Formats. */
static const struct scan_lead leads[32] = {
    {SCAN_VALUE, 0},   {SCAN_REFUSED, 0}, {SCAN_VALUE, 0},   {SCAN_VALUE, 0}, /* nil - no yes */
    {SCAN_BYTES, 1},   {SCAN_BYTES, 2},   {SCAN_BYTES, 4},                    /* bin */
    {SCAN_REFUSED, 0}, {SCAN_REFUSED, 0}, {SCAN_REFUSED, 0},                  /* ext */
    {SCAN_VALUE, 4},   {SCAN_VALUE, 8},                                       /* float */
    {SCAN_VALUE, 1},   {SCAN_VALUE, 2},   {SCAN_VALUE, 4},   {SCAN_VALUE, 8}, /* uint */
    {SCAN_VALUE, 1},   {SCAN_VALUE, 2},   {SCAN_VALUE, 4},   {SCAN_VALUE, 8}, /* int */
    {SCAN_REFUSED, 0}, {SCAN_REFUSED, 0}, {SCAN_REFUSED, 0}, {SCAN_REFUSED, 0},
    {SCAN_REFUSED, 0},                                     /* fixext */
    {SCAN_BYTES, 1},   {SCAN_BYTES, 2},   {SCAN_BYTES, 4}, /* str */
    {SCAN_ARRAY, 2},   {SCAN_ARRAY, 4},                    /* array */
    {SCAN_MAP, 2},     {SCAN_MAP, 4},                      /* map */
};

struct scan {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    const char *what;
    size_t object_n;
    struct cas_why *why;
};

struct scan_head {
    enum scan_what what;
    uint64_t size; /* bytes that follow, or objects inside */
};

static size_t scan_left(const struct scan *scan)
{
    return (size_t)(scan->end - scan->at);
}

static size_t scan_place(const struct scan *scan)
{
    return (size_t)(scan->at - scan->start);
}

/* Steps over the lead byte and what says length or count. */
static enum cas_err scan_take_head(struct scan *scan, struct scan_head *ret_head)
{
    size_t place = scan_place(scan);
    if (scan_left(scan) == 0) {
        return cas_fail(scan->why,
                        CAS_ERR_FORMAT,
                        "%s: cut off at byte %zu, a value is missing",
                        scan->what,
                        place);
    }
    uint8_t lead = *scan->at++;
    if (lead < 0x80 || lead >= 0xe0) {
        *ret_head = (struct scan_head){SCAN_VALUE, 0};
    } else if (lead < 0x90) {
        *ret_head = (struct scan_head){SCAN_MAP, 2 * (uint64_t)(lead & 0x0f)};
    } else if (lead < 0xa0) {
        *ret_head = (struct scan_head){SCAN_ARRAY, lead & 0x0f};
    } else if (lead < 0xc0) {
        *ret_head = (struct scan_head){SCAN_BYTES, lead & 0x1f};
    } else {
        struct scan_lead row = leads[lead - 0xc0];
        if (row.what == SCAN_REFUSED) {
            return cas_fail(scan->why,
                            CAS_ERR_FORMAT,
                            "%s: byte %zu is 0x%02x, an ext type or no type at all",
                            scan->what,
                            place,
                            lead);
        }
        if (row.what == SCAN_VALUE) {
            *ret_head = (struct scan_head){SCAN_VALUE, row.width};
            return CAS_OK;
        }
        if (scan_left(scan) < row.width) {
            return cas_fail(scan->why,
                            CAS_ERR_FORMAT,
                            "%s: cut off in the length at byte %zu",
                            scan->what,
                            place);
        }
        uint64_t size = 0;
        for (size_t i = 0; i < row.width; i++)
            size = size << 8 | *scan->at++;
        *ret_head =
            (struct scan_head){(enum scan_what)row.what, row.what == SCAN_MAP ? 2 * size : size};
    }
    return CAS_OK;
}

/* Every object takes at least one byte: a count beyond the bytes left cannot be true. */
static enum cas_err scan_count(struct scan *scan, size_t place, uint64_t count)
{
    if (count > scan_left(scan)) {
        return cas_fail(scan->why,
                        CAS_ERR_FORMAT,
                        "%s: byte %zu announces %llu values, %zu bytes are left",
                        scan->what,
                        place,
                        (unsigned long long)count,
                        scan_left(scan));
    }
    scan->object_n += (size_t)count;
    if (scan->object_n > WIRE_OBJECTS) {
        return cas_fail(scan->why,
                        CAS_ERR_TOO_MANY,
                        "%s: %zu values up to byte %zu, at most %d",
                        scan->what,
                        scan->object_n,
                        place,
                        WIRE_OBJECTS);
    }
    return CAS_OK;
}

static enum cas_err scan_all(struct scan *scan)
{
    uint64_t left[WIRE_DEPTH]; /* objects still to come in each container that is open */
    size_t depth = 0;
    do {
        size_t place = scan_place(scan);
        struct scan_head head = {SCAN_VALUE, 0};
        enum cas_err err = scan_take_head(scan, &head);
        if (err != CAS_OK)
            return err;

        if (head.what == SCAN_ARRAY || head.what == SCAN_MAP) {
            err = scan_count(scan, place, head.size);
            if (err != CAS_OK)
                return err;
            if (depth == WIRE_DEPTH) {
                return cas_fail(scan->why,
                                CAS_ERR_FORMAT,
                                "%s: nested deeper than %d at byte %zu",
                                scan->what,
                                WIRE_DEPTH,
                                place);
            }
            if (head.size > 0) {
                left[depth++] = head.size;
                continue;
            }
        } else if (head.size > scan_left(scan)) {
            return cas_fail(scan->why,
                            CAS_ERR_FORMAT,
                            "%s: byte %zu announces %llu bytes, %zu are left",
                            scan->what,
                            place,
                            (unsigned long long)head.size,
                            scan_left(scan));
        } else {
            scan->at += head.size;
        }
        while (depth > 0 && --left[depth - 1] == 0)
            depth--;
    } while (depth > 0);
    return CAS_OK;
}

enum cas_err
wire_scan(struct cas_slice bytes, const char *what, size_t *ret_object_n, struct cas_why *why)
{
    if (bytes.size == 0)
        return cas_fail(why, CAS_ERR_FORMAT, "%s: 0 bytes, nothing to read", what);
    if (bytes.size > WIRE_FRAME_BYTES) {
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: %zu bytes, at most %d",
                        what,
                        bytes.size,
                        WIRE_FRAME_BYTES);
    }
    const uint8_t *start = (const uint8_t *)bytes.data;
    struct scan scan = {
        .start = start,
        .at = start,
        .end = start + bytes.size,
        .what = what,
        .object_n = 1,
        .why = why,
    };
    enum cas_err err = scan_all(&scan);
    if (err != CAS_OK)
        return err;

    if (scan.at != scan.end) {
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s: ends at byte %zu, %zu more follow",
                        what,
                        scan_place(&scan),
                        scan_left(&scan));
    }
    *ret_object_n = scan.object_n;
    return CAS_OK;
}

enum cas_err message_scan(struct cas_slice frame, struct cas_why *why)
{
    size_t object_n;
    return wire_scan(frame, "frame", &object_n, why);
}
