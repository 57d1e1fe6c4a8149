#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "proto/trust/keys.h"
#include "proto/trust/keys_seal.h"

/* Twice: as a file that lies there, which must not open; and as what the system's encryption gave,
 * in a file with the right tag, which comes apart as it was joined. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct keys_seal seal = {{7}};
    struct keys_seal_head head = {.scope = KEYS_SCOPE_USER, .host = "LON-CAS01"};
    struct cas_slice bytes = {(const char *)data, size};
    struct cas_slice inner;
    struct keys_rest file;
    struct keys_rest text;
    if (keys_start(NULL) != CAS_OK)
        abort();
    if (keys_seal_part("agent.key", bytes, &head, &inner, NULL) == CAS_OK &&
        keys_seal_check("agent.key", bytes, &head, &seal, head.host, NULL) == CAS_OK)
        abort();
    if (keys_seal_open("agent.key", &seal, bytes, &text, NULL) == CAS_OK)
        abort();
    keys_seal_id(&seal, head.id);
    if (keys_seal_join(&seal, &head, bytes, &file, NULL) != CAS_OK)
        return 0;
    struct cas_slice joined = {(const char *)file.byte, file.size};
    if (keys_seal_part("agent.key", joined, &head, &inner, NULL) != CAS_OK ||
        keys_seal_check("agent.key", joined, &head, &seal, head.host, NULL) != CAS_OK ||
        inner.size != size || (size > 0 && memcmp(inner.data, data, size) != 0))
        abort();
    return 0;
}
