#include "tests/story/sweep_heap.h"

#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
    STEP = 16,
    HEAD = STEP,
    SMALL = 256,       /* sizes in steps of 16 bytes, up to 4 KiB */
    QUARTERS = 4 * 20, /* beyond, four to a doubling */
    SIZES = SMALL + 1 + QUARTERS,
    ARENA_BYTES = 1024 * 1024 * 1024, /* of addresses; what is not touched costs nothing */
    OUTSIDE_BYTES = 512 * 1024 * 1024,
    RANGES = 256,
    HOLE_BYTES = 512,
    PAGE = 4096
};

/* Before each piece; what is free keeps the next one in its place. */
struct piece {
    uint16_t size_at;
    bool is_free;
    uint32_t shift; /* from where the piece begins to this head, where more alignment was asked */
    union {
        struct piece *next;
        max_align_t align;
    } as;
};
struct heap { /* at the arena's begin, so that it goes back with it */
    size_t top;
    struct piece *free_piece[SIZES];
};

struct range {
    uint8_t *from;
    size_t size;
};
struct outside { /* what stays */
    size_t used;
    struct range range[RANGES];
    size_t range_n;
};
struct heap_mark { /* what is put back, and where */
    struct range *range;
    size_t range_n, range_cap;
    uint8_t *bytes; /* of all, one after another */
};

static struct heap *heap;
static struct outside *outside;

static void *addresses(size_t size)
{
    void *at = mmap(NULL,
                    size,
                    PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1,
                    0);
    if (at == MAP_FAILED)
        abort();
    return at;
}

/* ---- the heap ---- */

static size_t room_of(size_t size_at)
{
    if (size_at <= SMALL)
        return size_at * STEP;
    size_t over = size_at - SMALL - 1;
    size_t doubled = (size_t)SMALL * STEP << (over / 4);
    return doubled + doubled / 4 * (over % 4 + 1);
}

static size_t size_at_of(size_t size)
{
    size_t steps = (size + STEP - 1) / STEP;
    if (steps <= SMALL)
        return steps == 0 ? 1 : steps;
    size_t at = SMALL + 1;
    while (at < SIZES && room_of(at) < size)
        at++;
    return at;
}

static struct piece *head_of(void *bytes)
{
    return (struct piece *)(void *)((uint8_t *)bytes - HEAD);
}

static void *take(size_t size)
{
    if (heap == NULL) {
        heap = addresses(ARENA_BYTES);
        heap->top = (sizeof *heap + STEP - 1) / STEP * STEP;
    }
    size_t at = size_at_of(size);
    struct piece *piece = at < SIZES ? heap->free_piece[at] : NULL;
    if (piece != NULL) {
        heap->free_piece[at] = piece->as.next;
    } else {
        if (at >= SIZES || HEAD + room_of(at) > ARENA_BYTES - heap->top) {
            errno = ENOMEM;
            return NULL;
        }
        piece = (struct piece *)(void *)((uint8_t *)heap + heap->top);
        heap->top += HEAD + room_of(at);
    }
    piece->size_at = (uint16_t)at;
    piece->is_free = false;
    piece->shift = 0;
    return (uint8_t *)piece + HEAD;
}

static void drop(void *bytes)
{
    if (bytes == NULL)
        return;
    struct piece *head = head_of(bytes);
    size_t at = head->size_at;
    struct piece *piece = (struct piece *)(void *)((uint8_t *)head - head->shift);
    piece->is_free = true;
    piece->as.next = heap->free_piece[at];
    heap->free_piece[at] = piece;
}

static size_t room(void *bytes)
{
    return bytes == NULL ? 0 : room_of(head_of(bytes)->size_at) - head_of(bytes)->shift;
}

static void *take_at(size_t align, size_t size)
{
    uint8_t *bytes = take(align <= STEP ? size : size + align);
    if (bytes == NULL || align <= STEP)
        return bytes;
    size_t shift = (align - (uintptr_t)bytes % align) % align;
    uint16_t size_at = head_of(bytes)->size_at;
    struct piece *head = head_of(bytes + shift);
    head->size_at = size_at;
    head->shift = (uint32_t)shift;
    return bytes + shift;
}

/* ---- in place of libc's ---- */

void *malloc(size_t size)
{
    return take(size);
}

void free(void *bytes)
{
    drop(bytes);
}

void *calloc(size_t n, size_t size)
{
    if (size > 0 && n > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    void *bytes = take(n * size);
    if (bytes != NULL)
        memset(bytes, 0, n * size);
    return bytes;
}

void *realloc(void *bytes, size_t size)
{
    size_t had = room(bytes);
    if (bytes != NULL && size <= had && size_at_of(size) == head_of(bytes)->size_at)
        return bytes;
    void *other = take(size);
    if (other == NULL || bytes == NULL)
        return other;
    memcpy(other, bytes, had < size ? had : size);
    drop(bytes);
    return other;
}

size_t malloc_usable_size(void *bytes)
{
    return room(bytes);
}

void *memalign(size_t align, size_t size)
{
    return take_at(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return take_at(align, size);
}

int posix_memalign(void **ret_bytes, size_t align, size_t size)
{
    void *bytes = take_at(align, size);
    if (bytes == NULL)
        return ENOMEM;
    *ret_bytes = bytes;
    return 0;
}

/* ---- the variables ---- */

static bool is_system(const char *path)
{
    static const char *const names[] = {"libc.so", "ld-linux", "linux-vdso", "libm.so"};
    for (size_t i = 0; i < CAS_COUNT(names); i++) {
        if (strstr(path, names[i]) != NULL)
            return true;
    }
    return false;
}

static void range_add(uintptr_t from, uintptr_t to)
{
    if (from >= to)
        return;
    CAS_ASSERT(outside->range_n < RANGES);
    outside->range[outside->range_n++] = (struct range){(uint8_t *)from, to - from};
}

/* What may be written of each object; not what the loader has closed again since. */
static int ranges_of(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size;
    (void)context;
    if (is_system(object->dlpi_name))
        return 0;
    uintptr_t closed_from = 0, closed_to = 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_GNU_RELRO)
            continue;
        closed_from = object->dlpi_addr + part->p_vaddr;
        closed_to = (closed_from + part->p_memsz) / PAGE * PAGE;
    }
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_W) == 0)
            continue;
        uintptr_t from = object->dlpi_addr + part->p_vaddr, to = from + part->p_memsz;
        if (closed_from >= from && closed_from < to) {
            range_add(from, closed_from);
            range_add(closed_to, to);
        } else {
            range_add(from, to);
        }
    }
    return 0;
}

/* ---- the door ---- */

void *heap_outside(size_t size)
{
    size_t whole = (size + PAGE - 1) / PAGE * PAGE;
    CAS_ASSERT(whole <= OUTSIDE_BYTES - outside->used);
    void *at = (uint8_t *)outside + outside->used;
    outside->used += whole;
    return at;
}

bool heap_begin(void)
{
    outside = addresses(OUTSIDE_BYTES);
    outside->used = (sizeof *outside + PAGE - 1) / PAGE * PAGE;
    tzset();
    (void)setvbuf(stdout, heap_outside(BUFSIZ), _IOFBF, BUFSIZ);
    (void)dl_iterate_phdr(ranges_of, NULL);
    return true;
}

static void mark_add(struct heap_mark *mark, uint8_t *from, size_t size)
{
    struct range *last = mark->range_n > 0 ? &mark->range[mark->range_n - 1] : NULL;
    if (last != NULL && last->from + last->size == from) {
        last->size += size;
        return;
    }
    CAS_ASSERT(mark->range_n < mark->range_cap);
    mark->range[mark->range_n++] = (struct range){from, size};
}

/* Of a piece that is free its head counts, unless a hole costs more than to copy it. */
static void mark_heap(struct heap_mark *mark)
{
    uint8_t *base = (uint8_t *)heap;
    size_t at = (sizeof *heap + STEP - 1) / STEP * STEP;
    mark_add(mark, base, at);
    while (at < heap->top) {
        const struct piece *piece = (const struct piece *)(void *)(base + at);
        size_t whole = HEAD + room_of(piece->size_at);
        mark_add(mark, base + at, piece->is_free && whole > HOLE_BYTES ? sizeof *piece : whole);
        at += whole;
    }
}

struct heap_mark *heap_mark(void)
{
    struct heap_mark *mark = heap_outside(sizeof *mark);
    mark->range_cap = heap->top / HOLE_BYTES + outside->range_n + 2;
    mark->range = heap_outside(mark->range_cap * sizeof(*mark->range));
    mark_heap(mark);
    for (size_t i = 0; i < outside->range_n; i++)
        mark_add(mark, outside->range[i].from, outside->range[i].size);
    size_t size = 0;
    for (size_t i = 0; i < mark->range_n; i++)
        size += mark->range[i].size;
    mark->bytes = heap_outside(size);
    uint8_t *to = mark->bytes;
    for (size_t i = 0; i < mark->range_n; i++) {
        memcpy(to, mark->range[i].from, mark->range[i].size);
        to += mark->range[i].size;
    }
    return mark;
}

void heap_back(const struct heap_mark *mark)
{
    const uint8_t *from = mark->bytes;
    for (size_t i = 0; i < mark->range_n; i++) {
        memcpy(mark->range[i].from, from, mark->range[i].size);
        from += mark->range[i].size;
    }
}
