#include "agent/host/probe.h"

#include <string.h>

/* Errors of WinHTTP that have a meaning of their own here. Source: winhttp.h's documentation,
 * learn.microsoft.com/windows/win32/winhttp/error-messages, read 2026-11. */
enum {
    ERROR_TIMEOUT = 12002,
    ERROR_CANNOT_CONNECT = 12029,
    ERROR_CONNECTION_LOST = 12030,
    ERROR_CERTIFICATE_WANTED = 12044,
    ERROR_INVALID_ANSWER = 12152,
    ERROR_SECURE_CHANNEL = 12157,
    ERROR_SECURE_FAILURE = 12175,
};

static bool take(const char **at, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(*at, word, size) != 0)
        return false;
    *at += size;
    return true;
}

static bool take_host(const char **at, struct probe_url *url)
{
    static const struct {
        const char *written;
        const char *host;
    } own[] = {{"127.0.0.1", "127.0.0.1"}, {"[::1]", "::1"}, {"localhost", "localhost"}};
    for (size_t i = 0; i < CAS_COUNT(own); i++) {
        const char *behind = *at;
        if (!take(&behind, own[i].written) || (*behind != ':' && *behind != '/' && *behind != '\0'))
            continue;
        struct cas_text host = CAS_TEXT(url->host);
        cas_text_clear(&host);
        cas_text_add(&host, "%s", own[i].host);
        *at = behind;
        return true;
    }
    return false;
}

static enum cas_err
take_port(const char **at, const char *url, struct probe_url *ret_url, struct cas_why *why)
{
    ret_url->port = ret_url->is_tls ? 443 : 80;
    if (!take(at, ":"))
        return CAS_OK;
    struct cas_slice digits = {.data = *at, .size = strcspn(*at, "/")};
    int64_t port = 0;
    struct cas_why refused = {.text = ""};
    enum cas_err err = cas_parse_i64(digits, 1, UINT16_MAX, &port, &refused);
    if (err != CAS_OK)
        return cas_fail(why, err, "%.100s: port: %s", url, refused.text);
    ret_url->port = (uint16_t)port;
    *at += digits.size;
    return CAS_OK;
}

enum cas_err probe_url_parse(const char *url, struct probe_url *ret_url, struct cas_why *why)
{
    struct probe_url parsed = {.is_tls = false};
    const char *at = url;
    parsed.is_tls = take(&at, "https://");
    if (!parsed.is_tls && !take(&at, "http://"))
        return cas_fail(why, CAS_ERR_FORMAT, "%.100s: neither http:// nor https://", url);
    if (!take_host(&at, &parsed))
        return cas_fail(why,
                        CAS_ERR_DENIED,
                        "%.100s: only this machine is asked: 127.0.0.1, [::1], localhost",
                        url);
    enum cas_err err = take_port(&at, url, &parsed, why);
    if (err != CAS_OK)
        return err;
    if (*at != '/')
        return cas_fail(why, CAS_ERR_FORMAT, "%.100s: no path behind the host", url);
    if (!cas_is_clean_text(cas_slice_of(at)) || strpbrk(at, " \"#") != NULL)
        return cas_fail(why, CAS_ERR_FORMAT, "%.100s: not a path of an address", url);
    if (cas_slice_copy(cas_slice_of(at), parsed.path, sizeof parsed.path) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%.100s: a path of %zu bytes, at most %d",
                        url,
                        strlen(at),
                        PROBE_PATH_BYTES - 1);
    *ret_url = parsed;
    return CAS_OK;
}

size_t probe_body_room(const struct probe_body *body)
{
    return body->is_too_long ? 0 : sizeof body->text - body->used;
}

void probe_body_add(struct probe_body *body, const char *bytes, size_t size)
{
    body->piece_n++;
    if (size >= sizeof body->text - body->used || body->piece_n >= PROBE_PIECES) {
        body->is_too_long = true;
        return;
    }
    memcpy(body->text + body->used, bytes, size);
    body->used += size;
    body->text[body->used] = '\0';
}

static void error_say(const struct probe_end *end, const char *words, struct cas_text *reason)
{
    unsigned code = (unsigned)end->error;
    switch (end->error) {
    case ERROR_TIMEOUT:
        cas_text_add(reason, "timed out after %lld ms", (long long)end->spent_ms);
        break;
    case ERROR_CANNOT_CONNECT:
        cas_text_add(reason, "connection refused (%u)", code);
        break;
    case ERROR_CONNECTION_LOST:
        cas_text_add(reason, "connection ended before the answer (%u)", code);
        break;
    case ERROR_INVALID_ANSWER:
        cas_text_add(reason, "not an HTTP answer (%u)", code);
        break;
    case ERROR_CERTIFICATE_WANTED:
        cas_text_add(reason, "a client certificate is asked for (%u)", code);
        break;
    case ERROR_SECURE_CHANNEL:
    case ERROR_SECURE_FAILURE:
        cas_text_add(reason, "TLS error %u", code);
        if (end->tls != 0)
            cas_text_add(reason, ", certificate flags 0x%x", (unsigned)end->tls);
        break;
    default:
        if (words[0] == '\0')
            cas_text_add(reason, "error %u", code);
        else
            cas_text_add(reason, "%s", words);
        break;
    }
}

void probe_judge(const struct probe_end *end, const char *words, struct scene_probe *ret_probe)
{
    struct cas_text reason = CAS_TEXT(ret_probe->reason.text);
    cas_text_clear(&reason);
    ret_probe->status = 0;
    ret_probe->body[0] = '\0';
    if (end->is_late) {
        /* A page whose end does not come is no page, whatever its first line said. */
        cas_text_add(&reason, "timed out after %lld ms", (long long)end->spent_ms);
        return;
    }
    if (end->error != 0 || end->status == 0) {
        error_say(end, words, &reason);
        return;
    }
    ret_probe->status = end->status;
    if (end->body->is_too_long) {
        cas_text_add(&reason,
                     "HTTP %u, body too long: at most %d bytes in %d pieces",
                     (unsigned)end->status,
                     SCENE_BODY_BYTES - 1,
                     PROBE_PIECES - 1);
        return;
    }
    if (end->has_length && end->body->used < end->length) {
        cas_text_add(&reason,
                     "HTTP %u, body cut off: %zu of %u bytes",
                     (unsigned)end->status,
                     end->body->used,
                     (unsigned)end->length);
        return;
    }
    memcpy(ret_probe->body, end->body->text, end->body->used);
    ret_probe->body[end->body->used] = '\0';
    if (end->status != 200)
        cas_text_add(&reason, "HTTP %u", (unsigned)end->status);
}
