#include "tests/unit/test_heap.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define HEAP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_SANITIZED 1
#endif
#endif

static bool is_watched;
static struct test_heap seen;

static void heap_took(size_t asked_bytes, size_t got_bytes)
{
    if (!is_watched)
        return;
    seen.piece_n++;
    seen.left_bytes += got_bytes;
    if (asked_bytes > seen.biggest_bytes)
        seen.biggest_bytes = asked_bytes;
    if (seen.left_bytes > seen.most_bytes)
        seen.most_bytes = seen.left_bytes;
}

static void heap_gave(size_t bytes)
{
    if (is_watched)
        seen.left_bytes -= bytes < seen.left_bytes ? bytes : seen.left_bytes;
}

void test_heap_watch(void)
{
    seen = (struct test_heap){0};
    is_watched = true;
}

struct test_heap test_heap_seen(void)
{
    is_watched = false;
    return seen;
}

#ifdef HEAP_SANITIZED

/* The sanitizer's own, of <sanitizer/allocator_interface.h>, which not every compiler package has.
 */
int __sanitizer_install_malloc_and_free_hooks(void (*took)(const volatile void *piece,
                                                           size_t bytes),
                                              void (*gave)(const volatile void *piece));
size_t __sanitizer_get_allocated_size(const volatile void *piece);

static void hook_took(const volatile void *piece, size_t bytes)
{
    (void)piece;
    heap_took(bytes, bytes);
}

static void hook_gave(const volatile void *piece)
{
    if (is_watched && piece != NULL)
        heap_gave(__sanitizer_get_allocated_size(piece));
}

__attribute__((constructor)) static void hook_install(void)
{
    (void)__sanitizer_install_malloc_and_free_hooks(hook_took, hook_gave);
}

#else

#include <malloc.h>

/* glibc's own names for what these stand in front of. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *piece, size_t bytes);
void __libc_free(void *piece);

void *malloc(size_t bytes)
{
    void *piece = __libc_malloc(bytes);
    heap_took(bytes, piece != NULL ? malloc_usable_size(piece) : 0);
    return piece;
}

void *calloc(size_t count, size_t bytes)
{
    void *piece = __libc_calloc(count, bytes);
    size_t asked = bytes > 0 && count > SIZE_MAX / bytes ? SIZE_MAX : count * bytes;
    heap_took(asked, piece != NULL ? malloc_usable_size(piece) : 0);
    return piece;
}

void *realloc(void *piece, size_t bytes)
{
    size_t before = piece != NULL ? malloc_usable_size(piece) : 0;
    void *moved = __libc_realloc(piece, bytes);
    if (moved != NULL || bytes == 0)
        heap_gave(before);
    heap_took(bytes, moved != NULL ? malloc_usable_size(moved) : 0);
    return moved;
}

void free(void *piece)
{
    if (piece != NULL)
        heap_gave(malloc_usable_size(piece));
    __libc_free(piece);
}

#endif
