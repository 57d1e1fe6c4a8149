#include "agent/host/capture.h"

enum {
    PORT_MOST = 65535
};

/* The number behind the last colon; false when the line has none. */
static bool labelled_number(struct cas_slice line, struct cas_slice *ret_number)
{
    struct cas_slice label;
    struct cas_slice tail;
    if (!capture_cut_last(line, ':', &label, &tail))
        return false;
    *ret_number = capture_trim(tail);
    return ret_number->size > 0 && ret_number->data[0] >= '0' && ret_number->data[0] <= '9';
}

/* Protocol names are not translated. */
static bool speaks_of_udp(struct cas_slice line)
{
    struct cas_slice rest = line;
    for (struct cas_slice token = capture_token(&rest); token.size > 0;
         token = capture_token(&rest)) {
        if (capture_same(token, "udp") || capture_same(token, "(udp)"))
            return true;
    }
    return false;
}

static enum cas_err port_number(const struct capture_lines *lines,
                                struct cas_slice text,
                                uint64_t least,
                                uint32_t *ret_number,
                                struct cas_why *why)
{
    uint64_t number = 0;
    if (!capture_digits(text, UINT32_MAX, &number))
        return capture_refuse(lines,
                              text.data,
                              CAS_ERR_FORMAT,
                              why,
                              "\"%.*s\" is not a number of ports",
                              (int)(text.size > 40 ? 40 : text.size),
                              text.data);
    if (number < least || number > PORT_MOST)
        return capture_refuse(lines,
                              text.data,
                              CAS_ERR_RANGE,
                              why,
                              "port value %llu is outside %llu..%d",
                              (unsigned long long)number,
                              (unsigned long long)least,
                              PORT_MOST);
    *ret_number = (uint32_t)number;
    return CAS_OK;
}

enum cas_err capture_netsh_dynamic(struct capture_input input,
                                   struct capture_ports *ret_ports,
                                   struct cas_why *why)
{
    struct capture_lines lines;
    capture_lines_init(&lines, input);
    bool is_udp = false;
    uint32_t value[2] = {0, 0};
    size_t value_n = 0;
    while (value_n < 2 && capture_lines_next(&lines)) {
        if (lines.line.size > CAPTURE_LINE_BYTES)
            return capture_refuse(&lines,
                                  lines.line.data,
                                  CAS_ERR_TOO_LONG,
                                  why,
                                  "a line of %zu bytes, at most %d",
                                  lines.line.size,
                                  CAPTURE_LINE_BYTES);
        struct cas_slice number;
        if (!labelled_number(lines.line, &number)) {
            if (capture_trim(lines.line).size > 0 && value_n == 0 &&
                capture_trim(lines.line).data[0] != '-')
                is_udp = speaks_of_udp(lines.line);
            continue;
        }
        if (is_udp)
            continue;
        enum cas_err err = port_number(&lines, number, value_n == 0 ? 1 : 0, &value[value_n], why);
        if (err != CAS_OK)
            return err;
        value_n++;
    }
    if (value_n < 2)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "%s: no dynamic port range for TCP in %zu lines",
                        input.file,
                        lines.line_n);
    if (value[1] == 0 || value[0] + value[1] - 1 > PORT_MOST)
        return capture_refuse(&lines,
                              lines.line.data,
                              CAS_ERR_RANGE,
                              why,
                              "%u ports from %u on do not fit below %d",
                              value[1],
                              value[0],
                              PORT_MOST);
    *ret_ports = (struct capture_ports){.first = (uint16_t)value[0], .number = value[1]};
    return CAS_OK;
}

/* "8730  8829" or "50000  50059  *"; anything else is a heading. */
static bool two_numbers(struct cas_slice line, struct cas_slice ret_number[2], bool *ret_is_managed)
{
    struct cas_slice rest = line;
    uint64_t ignored = 0;
    for (size_t i = 0; i < 2; i++) {
        ret_number[i] = capture_token(&rest);
        if (!capture_digits(ret_number[i], UINT32_MAX, &ignored))
            return false;
    }
    struct cas_slice mark = capture_token(&rest);
    *ret_is_managed = cas_slice_is(mark, "*");
    return mark.size == 0 || *ret_is_managed;
}

enum cas_err capture_netsh_excluded(struct capture_input input,
                                    struct capture_excluded ret_range[CAPTURE_PORT_RANGES],
                                    size_t *ret_n,
                                    struct cas_why *why)
{
    struct capture_lines lines;
    capture_lines_init(&lines, input);
    struct capture_excluded range[CAPTURE_PORT_RANGES];
    size_t range_n = 0;
    while (capture_lines_next(&lines)) {
        struct cas_slice number[2];
        bool is_managed = false;
        if (lines.line.size > CAPTURE_LINE_BYTES || !two_numbers(lines.line, number, &is_managed))
            continue;
        if (range_n == CAPTURE_PORT_RANGES)
            return capture_refuse(&lines,
                                  lines.line.data,
                                  CAS_ERR_TOO_MANY,
                                  why,
                                  "more than %d excluded port ranges",
                                  CAPTURE_PORT_RANGES);
        uint32_t value[2] = {0, 0};
        for (size_t i = 0; i < 2; i++) {
            enum cas_err err = port_number(&lines, number[i], 1, &value[i], why);
            if (err != CAS_OK)
                return err;
        }
        if (value[1] < value[0])
            return capture_refuse(&lines,
                                  number[1].data,
                                  CAS_ERR_RANGE,
                                  why,
                                  "excluded range ends at %u, before its first port %u",
                                  value[1],
                                  value[0]);
        range[range_n++] = (struct capture_excluded){.first = (uint16_t)value[0],
                                                     .last = (uint16_t)value[1],
                                                     .is_managed = is_managed};
    }
    for (size_t i = 0; i < range_n; i++)
        ret_range[i] = range[i];
    *ret_n = range_n;
    return CAS_OK;
}
