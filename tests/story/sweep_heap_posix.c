#include "tests/story/sweep_heap.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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
    PAGE = 4096,
    LOOK = 256, /* bytes compared at a time */
    REGIONS = 4096,
    LEARN = 8,       /* goings back from which is learned what is written nearly always */
    WATCHED = 16384, /* pages that it is learned of */
    RUN_LEAST = 16   /* pages */
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
    const uint8_t *kept; /* in a mark: its bytes then */
};
struct heap_mark { /* what is put back, and where */
    struct range *range;
    size_t range_n, range_cap;
    bool *is_nothing; /* each LOOK bytes of what is kept, which lies in one piece: all zero */
    size_t heap_n;    /* the first of them, in order of address, are of the heap */
};

/* What <linux/fs.h> of kernels since 6.7 has. */
struct region {
    uint64_t from, to, kinds;
};
struct scan {
    uint64_t size, flags, from, to, walked_to, region, region_n, page_most, inverted, all_of,
        one_of, told;
};
#define SCAN_PAGES _IOWR('f', 16, struct scan)
enum {
    SCAN_PROTECTS = 1, /* what it tells is watched anew */
    SCAN_CHECKS = 2,
    KIND_WRITTEN = 2
};
#define WATCH_UNTOUCHED (1ULL << 13)
#define WATCH_BY_ITSELF (1ULL << 15)

struct outside { /* what stays */
    size_t used;
    struct range range[RANGES];
    size_t range_n;
    bool is_watched;
    int pages;                  /* /proc/self/pagemap, where it is watched */
    const struct heap_mark *at; /* watched since it went back there; NULL not */
    struct region region[REGIONS];
    size_t learned; /* goings back to it since */
    uint8_t written[WATCHED];
};

static const uint8_t nothing[LOOK];
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
    outside->range[outside->range_n++] = (struct range){.from = (uint8_t *)from, .size = to - from};
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
    mark->range[mark->range_n++] = (struct range){.from = from, .size = size};
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
    /* What is free now stays so: what is taken from here on lies behind all that is marked, and
     * need not go back. */
    memset(heap->free_piece, 0, sizeof heap->free_piece);
    mark_heap(mark);
    mark->heap_n = mark->range_n;
    for (size_t i = 0; i < outside->range_n; i++)
        mark_add(mark, outside->range[i].from, outside->range[i].size);
    size_t size = 0;
    for (size_t i = 0; i < mark->range_n; i++)
        size += mark->range[i].size;
    uint8_t *kept = heap_outside(size), *to = kept;
    for (size_t i = 0; i < mark->range_n; i++) {
        mark->range[i].kept = to;
        memcpy(to, mark->range[i].from, mark->range[i].size);
        to += mark->range[i].size;
    }
    mark->is_nothing = heap_outside(size / LOOK + 1);
    for (size_t at = 0; at < size; at += LOOK)
        mark->is_nothing[at / LOOK] =
            memcmp(kept + at, nothing, size - at < LOOK ? size - at : LOOK) == 0;
    return mark;
}

/* ---- going back ---- */

/* Pages of [from, to) written since they were last protected: how many runs of them are in
 * outside->region now; less than 0: the kernel cannot. */
static long scan_try(uint8_t *from, uint8_t *to, uint64_t flags, uint8_t **ret_walked_to)
{
    struct scan scan = {.size = sizeof scan,
                        .flags = flags,
                        .from = (uintptr_t)from,
                        .to = (uintptr_t)to,
                        .region = (uintptr_t)outside->region,
                        .region_n = REGIONS,
                        .all_of = KIND_WRITTEN,
                        .told = KIND_WRITTEN};
    long n = ioctl(outside->pages, SCAN_PAGES, &scan);
    if (n >= 0)
        *ret_walked_to = from + (scan.walked_to - (uintptr_t)from);
    return n;
}

static size_t scan(uint8_t *from, uint8_t *to, uint64_t flags, uint8_t **ret_walked_to)
{
    long n = scan_try(from, to, flags, ret_walked_to);
    if (n < 0)
        abort();
    return (size_t)n;
}

/* To be told of a page costs a good deal more than to copy it: those that nearly every story writes
 * are left as written. */
static bool is_hot(size_t page)
{
    return outside->learned >= LEARN && page < WATCHED && outside->written[page] > LEARN / 2;
}

/* A few others between such pages are taken for the like: each call protects one run of pages. */
static void hot_join(size_t page_n)
{
    size_t cold = 0; /* pages since the last hot one */
    for (size_t i = 0; i < page_n && i < WATCHED; i++) {
        if (!is_hot(i)) {
            cold++;
            continue;
        }
        if (cold < RUN_LEAST)
            memset(&outside->written[i - cold], LEARN, cold);
        cold = 0;
    }
}

static void protect(size_t page_n)
{
    size_t at = 0;
    while (at < page_n) {
        size_t end = at;
        while (end < page_n && !is_hot(end))
            end++;
        uint8_t *to = (uint8_t *)heap + end * PAGE;
        for (uint8_t *from = (uint8_t *)heap + at * PAGE; from < to;)
            (void)scan(from, to, SCAN_PROTECTS | SCAN_CHECKS, &from);
        at = end + 1;
    }
}

static void learn(const struct region *region)
{
    size_t from = (size_t)(region->from - (uintptr_t)heap) / PAGE;
    size_t to = (size_t)(region->to - (uintptr_t)heap) / PAGE;
    for (size_t i = from; outside->learned < LEARN && i < to && i < WATCHED; i++)
        outside->written[i]++;
}

/* Most of it is as it was, and much of it nothing: to look first leaves what is at hand there as it
 * is, and asks for no more than must be at hand. */
static void bytes_back(const struct heap_mark *mark, uint8_t *to, const uint8_t *from, size_t size)
{
    const uint8_t *kept = mark->range[0].kept;
    for (size_t n = 0; size > 0; to += n, from += n, size -= n) {
        size_t at = (size_t)(from - kept), in = at % LOOK;
        n = LOOK - in < size ? LOOK - in : size;
        const uint8_t *was = mark->is_nothing[at / LOOK] ? nothing : from;
        if (memcmp(to, was, n) != 0)
            memcpy(to, was, n);
    }
}

/* What of the range is in [from, to). */
static void
part_back(const struct heap_mark *mark, const struct range *range, uintptr_t from, uintptr_t to)
{
    uintptr_t begin = (uintptr_t)range->from, end = begin + range->size;
    uintptr_t first = from > begin ? from : begin, last = to < end ? to : end;
    if (first < last)
        bytes_back(mark,
                   range->from + (first - begin),
                   range->kept + (first - begin),
                   last - first);
}

static void written_back(const struct heap_mark *mark, uint8_t *to)
{
    size_t at = 0;
    for (uint8_t *from = (uint8_t *)heap; from < to;) {
        size_t n = scan(from, to, SCAN_CHECKS, &from);
        for (size_t i = 0; i < n; i++) {
            const struct region *region = &outside->region[i];
            learn(region);
            while (at < mark->heap_n &&
                   (uintptr_t)mark->range[at].from + mark->range[at].size <= region->from)
                at++;
            for (size_t k = at; k < mark->heap_n && (uintptr_t)mark->range[k].from < region->to;
                 k++)
                part_back(mark, &mark->range[k], region->from, region->to);
        }
    }
}

static void all_back(const struct heap_mark *mark, size_t first)
{
    for (size_t i = first; i < mark->range_n; i++)
        bytes_back(mark, mark->range[i].from, mark->range[i].kept, mark->range[i].size);
}

void heap_back(const struct heap_mark *mark)
{
    const struct range *last = &mark->range[mark->heap_n - 1];
    size_t size = (size_t)(last->from + last->size - (uint8_t *)heap);
    size_t page_n = (size + PAGE - 1) / PAGE;
    bool is_same = outside->is_watched && outside->at == mark;
    if (is_same) {
        written_back(mark, (uint8_t *)heap + page_n * PAGE);
        if (outside->learned < LEARN && ++outside->learned == LEARN)
            hot_join(page_n);
    } else {
        outside->learned = 0;
        memset(outside->written, 0, sizeof outside->written);
    }
    all_back(mark, is_same ? mark->heap_n : 0);
    if (!outside->is_watched)
        return;
    outside->at = mark;
    protect(page_n);
}

/* Whether the kernel tells of one page; and its pages must be ours. */
static bool can_scan(void)
{
    uint8_t *first = (uint8_t *)heap, *walked_to = NULL;
    return sysconf(_SC_PAGESIZE) == PAGE &&
           scan_try(first, first + PAGE, SCAN_PROTECTS | SCAN_CHECKS, &walked_to) >= 0;
}

void heap_watch(void)
{
    int watch = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (watch < 0)
        return;
    struct uffdio_api api = {.api = UFFD_API, .features = WATCH_UNTOUCHED | WATCH_BY_ITSELF};
    struct uffdio_register whole = {.range = {(uintptr_t)heap, ARENA_BYTES},
                                    .mode = UFFDIO_REGISTER_MODE_WP};
    outside->at = NULL;
    outside->pages = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    outside->is_watched = outside->pages >= 0 && ioctl(watch, UFFDIO_API, &api) == 0 &&
                          ioctl(watch, UFFDIO_REGISTER, &whole) == 0 && can_scan();
    if (outside->is_watched)
        return; /* for as long as both are open: to the end of the process */
    (void)close(watch);
    if (outside->pages >= 0)
        (void)close(outside->pages);
}
