#include "proto/base/nodeset.h"

#include <stdlib.h>
#include <string.h>

/* A name and the number in it that is folded: name[number_at .. number_at + digit_n). */
struct fold_item {
    const char *name;
    size_t size;
    size_t number_at;
    size_t digit_n;
    int64_t value;
    const struct fold_item *leader; /* first of its group; NULL while it has none */
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static int compare_bytes(const char *left, size_t left_size, const char *right, size_t right_size)
{
    int order = memcmp(left, right, left_size < right_size ? left_size : right_size);
    if (order != 0)
        return order;
    return (left_size > right_size) - (left_size < right_size);
}

/* Numbers by value, everything else by byte: CAS9 comes before CAS10. */
static int compare_names(const char *left, const char *right)
{
    const char *a = left;
    const char *b = right;
    while (*a != '\0' && *b != '\0') {
        if (!is_digit(*a) || !is_digit(*b)) {
            if (*a != *b)
                return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
            a++;
            b++;
            continue;
        }
        size_t a_zeros = strspn(a, "0");
        size_t b_zeros = strspn(b, "0");
        size_t a_digits = strspn(a + a_zeros, "0123456789");
        size_t b_digits = strspn(b + b_zeros, "0123456789");
        int order = (a_digits > b_digits) - (a_digits < b_digits);
        if (order == 0)
            order = memcmp(a + a_zeros, b + b_zeros, a_digits);
        if (order != 0)
            return order;
        a += a_zeros + a_digits;
        b += b_zeros + b_digits;
    }
    if (*a != *b)
        return *a == '\0' ? -1 : 1;
    return strcmp(left, right);
}

static int by_name(const void *left, const void *right)
{
    const struct fold_item *a = left;
    const struct fold_item *b = right;
    return compare_names(a->name, b->name);
}

/* Same text around the number side by side, then by number, then by padding. */
static int by_shape(const void *left, const void *right)
{
    const struct fold_item *a = *(struct fold_item *const *)left;
    const struct fold_item *b = *(struct fold_item *const *)right;
    int order = compare_bytes(a->name, a->number_at, b->name, b->number_at);
    if (order != 0)
        return order;
    size_t a_end = a->number_at + a->digit_n;
    size_t b_end = b->number_at + b->digit_n;
    order = compare_bytes(a->name + a_end, a->size - a_end, b->name + b_end, b->size - b_end);
    if (order != 0)
        return order;
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return (a->digit_n > b->digit_n) - (a->digit_n < b->digit_n);
}

static int by_leader(const void *left, const void *right)
{
    const struct fold_item *a = *(struct fold_item *const *)left;
    const struct fold_item *b = *(struct fold_item *const *)right;
    if (a->leader != b->leader)
        return compare_names(a->leader->name, b->leader->name);
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return (a->digit_n > b->digit_n) - (a->digit_n < b->digit_n);
}

static bool is_same_shape(const struct fold_item *a, const struct fold_item *b)
{
    size_t a_end = a->number_at + a->digit_n;
    size_t b_end = b->number_at + b->digit_n;
    return compare_bytes(a->name, a->number_at, b->name, b->number_at) == 0 &&
           compare_bytes(a->name + a_end, a->size - a_end, b->name + b_end, b->size - b_end) == 0;
}

/* Points the item at its number that is the skip-th from the end; false when it has none. */
static bool point_at_number(struct fold_item *item, size_t skip)
{
    for (size_t end = item->size; end > 0;) {
        if (!is_digit(item->name[end - 1])) {
            end--;
            continue;
        }
        size_t start = end;
        while (start > 0 && is_digit(item->name[start - 1]))
            start--;
        if (skip == 0) {
            struct cas_slice digits = {item->name + start, end - start};
            item->number_at = start;
            item->digit_n = digits.size;
            return digits.size <= NODESET_DIGITS &&
                   cas_parse_i64(digits, 0, INT64_MAX, &item->value, NULL) == CAS_OK;
        }
        skip--;
        end = start;
    }
    return false;
}

/* Groups what differs in one number only: first in the last number of the names, then in the one
 * before it. */
static void group(struct fold_item *items, struct fold_item **order, size_t item_n)
{
    for (size_t skip = 0; skip < NODESET_BRACKETS; skip++) {
        size_t open_n = 0;
        for (size_t i = 0; i < item_n; i++) {
            if (items[i].leader == NULL && point_at_number(&items[i], skip))
                order[open_n++] = &items[i];
        }
        if (open_n > 1)
            qsort(order, open_n, sizeof *order, by_shape);
        for (size_t i = 0; i < open_n;) {
            size_t end = i + 1;
            while (end < open_n && is_same_shape(order[i], order[end]))
                end++;
            for (size_t member = i; member < end && end - i > 1; member++)
                order[member]->leader = order[i];
            i = end;
        }
    }
    for (size_t i = 0; i < item_n; i++) {
        if (items[i].leader == NULL)
            items[i].leader = &items[i];
        order[i] = &items[i];
    }
    if (item_n > 1)
        qsort(order, item_n, sizeof *order, by_leader);
}

/* Whether b is what nodeset_expand prints after a, in a range that pads to width. */
static bool follows(const struct fold_item *a, const struct fold_item *b, size_t width)
{
    bool is_padded = b->digit_n > 1 && b->name[b->number_at] == '0';
    if (b->value - 1 != a->value)
        return false;
    return is_padded ? b->digit_n == width : b->digit_n >= width;
}

static void print_group(struct fold_item *const *order, size_t n, struct cas_text *out)
{
    const struct fold_item *first = order[0];
    if (n == 1) {
        cas_text_add(out, "%s", first->name);
        return;
    }
    cas_text_add(out, "%.*s[", (int)first->number_at, first->name);
    for (size_t i = 0; i < n;) {
        const struct fold_item *start = order[i];
        bool is_padded = start->digit_n > 1 && start->name[start->number_at] == '0';
        size_t width = is_padded ? start->digit_n : 0;
        size_t end = i + 1;
        while (end < n && follows(order[end - 1], order[end], width))
            end++;
        cas_text_add(out,
                     "%s%.*s",
                     i > 0 ? "," : "",
                     (int)start->digit_n,
                     start->name + start->number_at);
        if (end - i > 1) {
            const struct fold_item *last = order[end - 1];
            cas_text_add(out, "-%.*s", (int)last->digit_n, last->name + last->number_at);
        }
        i = end;
    }
    cas_text_add(out, "]%s", first->name + first->number_at + first->digit_n);
}

static enum cas_err
fold(struct fold_item *items, struct fold_item **order, size_t name_n, struct cas_text *out)
{
    if (name_n > 1)
        qsort(items, name_n, sizeof *items, by_name);
    size_t item_n = 0;
    for (size_t i = 0; i < name_n; i++) {
        if (item_n == 0 || strcmp(items[item_n - 1].name, items[i].name) != 0)
            items[item_n++] = items[i];
    }
    group(items, order, item_n);
    for (size_t i = 0; i < item_n;) {
        size_t end = i + 1;
        while (end < item_n && order[end]->leader == order[i]->leader)
            end++;
        if (i > 0)
            cas_text_add(out, ",");
        print_group(order + i, end - i, out);
        i = end;
    }
    return CAS_OK;
}

enum cas_err nodeset_fold(const char *const *names, size_t name_n, struct cas_text *out)
{
    if (name_n > FLEET_SERVERS)
        return CAS_ERR_TOO_MANY;
    if (name_n == 0)
        return CAS_OK;
    for (size_t i = 0; i < name_n; i++) {
        if (!cas_is_name(cas_slice_of(names[i])))
            return CAS_ERR_FORMAT;
    }
    struct fold_item *items = calloc(name_n, sizeof *items);
    struct fold_item **order = calloc(name_n, sizeof *order);
    enum cas_err err = CAS_ERR_NOMEM;
    if (items != NULL && order != NULL) {
        for (size_t i = 0; i < name_n; i++)
            items[i] = (struct fold_item){.name = names[i], .size = strlen(names[i])};
        err = fold(items, order, name_n, out);
    }
    free(items);
    free(order);
    return err;
}
