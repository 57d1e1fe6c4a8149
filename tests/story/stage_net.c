#include <stdlib.h>
#include <string.h>

#include "tests/story/stage.h"

/* [1, number, {...}] : the number is below 128 and so one byte. */
enum message_type stage_type(struct cas_slice bytes)
{
    return bytes.size > 3 ? (enum message_type)(uint8_t)bytes.data[2] : MESSAGE_NONE;
}

/* ---- the frames on their way: a heap ---- */

static bool is_before(const struct stage_frame *a, const struct stage_frame *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct stage_frame **a, struct stage_frame **b)
{
    struct stage_frame *other = *a;
    *a = *b;
    *b = other;
}

static void rise(struct story *s, size_t at)
{
    while (at > 0 && is_before(s->frame[at], s->frame[(at - 1) / 2])) {
        swap(&s->frame[at], &s->frame[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void push(struct story *s, struct stage_frame *frame)
{
    if (s->frame_n == s->frame_cap) {
        s->frame_cap = s->frame_cap == 0 ? 256 : 2 * s->frame_cap;
        s->frame = realloc(s->frame, s->frame_cap * sizeof(*s->frame));
        CAS_ASSERT(s->frame != NULL);
    }
    s->frame[s->frame_n++] = frame;
    rise(s, s->frame_n - 1);
}

static struct stage_frame *pop(struct story *s)
{
    struct stage_frame *first = s->frame[0];
    s->frame[0] = s->frame[--s->frame_n];
    size_t at = 0;
    for (;;) {
        size_t least = at;
        for (size_t k = 2 * at + 1; k <= 2 * at + 2 && k < s->frame_n; k++) {
            if (is_before(s->frame[k], s->frame[least]))
                least = k;
        }
        if (least == at)
            return first;
        swap(&s->frame[at], &s->frame[least]);
        at = least;
    }
}

static void frame_free(struct stage_frame *frame)
{
    free(frame->bytes);
    free(frame);
}

void stage_net_free(struct story *s)
{
    for (size_t i = 0; i < s->frame_n; i++)
        frame_free(s->frame[i]);
    free(s->frame);
}

/* ---- sending ---- */

static struct stage_frame *
frame_of(struct stage_server *server, bool is_up, struct cas_slice bytes, int64_t at_ms)
{
    struct story *s = server->story;
    struct stage_frame *frame = calloc(1, sizeof *frame);
    CAS_ASSERT(frame != NULL);
    *frame = (struct stage_frame){.at_ms = at_ms,
                                  .order = ++s->frame_order,
                                  .is_up = is_up,
                                  .server = server->index,
                                  .route = server->route,
                                  .sent_ms = s->now_ms,
                                  .size = bytes.size};
    frame->bytes = malloc(bytes.size + 1);
    CAS_ASSERT(frame->bytes != NULL);
    memcpy(frame->bytes, bytes.data, bytes.size);
    if (is_up && stage_type(bytes) == MESSAGE_hb) {
        frame->echo_ms = server->tick_sent_ms;
        frame->is_good = server->seen_health == HEALTH_GOOD && server->seen_in_service;
    }
    return frame;
}

static bool is_cut(const struct stage_server *server, bool is_up)
{
    return ((unsigned)server->cut & (is_up ? WAY_UP : WAY_DOWN)) != 0;
}

static bool happens(struct story *s, unsigned per_thousand)
{
    return per_thousand > 0 && story_throw(s, 1000) < per_thousand;
}

static void send(struct stage_server *server, bool is_up, struct cas_slice bytes)
{
    struct story *s = server->story;
    enum message_type type = stage_type(bytes);
    if (is_cut(server, is_up))
        return;
    if (happens(s, s->net.drop_pm)) {
        stage_mark_fault(s, FAULT_drop);
        return;
    }
    int64_t delay_ms = s->net.delay_ms;
    if (s->net.spread_ms > 0)
        delay_ms += (int64_t)story_throw(s, (uint64_t)s->net.spread_ms + 1);
    if (happens(s, s->net.twice_pm)) {
        int64_t more_ms = (int64_t)story_throw(s, 30000);
        stage_mark_fault(s, FAULT_twice);
        push(s, frame_of(server, is_up, bytes, s->now_ms + delay_ms + more_ms));
    }
    if (s->net.late_ms > 0 && happens(s, s->net.late_pm))
        delay_ms += (int64_t)story_throw(s, (uint64_t)s->net.late_ms);
    if (delay_ms >= 60000)
        stage_mark_fault(s, FAULT_late);
    if (s->echo_type != MESSAGE_NONE && s->echo_type == type)
        push(s, frame_of(server, is_up, bytes, s->now_ms + delay_ms + s->echo_after_ms));
    struct stage_frame *frame = frame_of(server, is_up, bytes, s->now_ms + delay_ms);
    if (server->is_holding && (server->hold_type == MESSAGE_NONE || server->hold_type == type)) {
        frame->is_held = true;
        frame->at_ms = INT64_MAX;
    }
    push(s, frame);
}

void stage_send_up(struct stage_server *server, struct cas_slice bytes)
{
    stage_saw_up(server, bytes);
    if (server->is_up)
        send(server, true, bytes);
}

enum cas_err stage_send_down(void *context, struct channel_route route, struct cas_slice bytes)
{
    struct story *s = context;
    if (s->is_controller_dying)
        return CAS_OK;
    if (s->dies_after > 0 && s->controller != NULL && story_commits(s) >= s->dies_after) {
        s->is_controller_dying = true;
        return CAS_OK;
    }
    if (route.port == CHANNEL_OPERATORS) {
        stage_operator_frame(s, bytes);
        return CAS_OK;
    }
    for (size_t i = 0; i < s->server_n; i++) {
        struct stage_server *server = s->server[i];
        if (!server->is_up || server->route != route.id)
            continue;
        stage_saw_down(server, bytes);
        send(server, false, bytes);
        return CAS_OK;
    }
    return CAS_ERR_UNREACHABLE;
}

/* ---- arriving ---- */

static void arrive_up(struct stage_server *server, const struct stage_frame *frame)
{
    struct story *s = server->story;
    if (s->controller == NULL)
        return;
    if (stage_type((struct cas_slice){(const char *)frame->bytes, frame->size}) == MESSAGE_hb)
        stage_saw_heartbeat(server, frame);
    struct channel_frame in = {.route = {CHANNEL_AGENTS, frame->route},
                               .key = server->key,
                               .bytes = {(const char *)frame->bytes, frame->size}};
    stage_controller_frame(s, &in);
}

static void arrive_down(struct stage_server *server, const struct stage_frame *frame)
{
    struct cas_slice bytes = {(const char *)frame->bytes, frame->size};
    if (server->agent == NULL)
        return;
    if (stage_type(bytes) == MESSAGE_tick && frame->sent_ms > server->tick_sent_ms)
        server->tick_sent_ms = frame->sent_ms;
    server->frames_down++;
    stage_saw_delivered(server, bytes, frame->sent_ms);
    stage_agent_frame(server, bytes);
}

/* A process that is stopped takes nothing in; it waits in its socket. */
static bool is_waiting(struct story *s, struct stage_frame *frame)
{
    const struct stage_server *server = s->server[frame->server];
    int64_t until_ms = frame->is_up ? s->controller_stopped_until_ms : server->stopped_until_ms;
    if (until_ms <= s->now_ms)
        return false;
    frame->at_ms = until_ms;
    push(s, frame);
    return true;
}

static void
frame_trace(struct story *s, struct stage_server *server, const struct stage_frame *frame)
{
    uint64_t *newest = frame->is_up ? &server->order_up : &server->order_down;
    stage_trace_number(s, (uint64_t)s->now_ms);
    stage_trace_number(s, (uint64_t)frame->server << 1 | (frame->is_up ? 1 : 0));
    stage_trace(s, frame->bytes, frame->size);
    if (frame->order < *newest)
        stage_mark_fault(s, FAULT_overtake);
    else
        *newest = frame->order;
    if (s->now_ms - frame->sent_ms >= 3600000)
        stage_mark_fault(s, FAULT_hours);
}

static void frames_pass(struct story *s)
{
    while (s->frame_n > 0 && s->frame[0]->at_ms <= s->now_ms) {
        struct stage_frame *frame = pop(s);
        struct stage_server *server = s->server[frame->server];
        if (is_waiting(s, frame))
            continue;
        frame_trace(s, server, frame);
        if (is_cut(server, frame->is_up)) {
            /* lost on the way */
        } else if (frame->is_up) {
            arrive_up(server, frame);
        } else {
            arrive_down(server, frame);
        }
        frame_free(frame);
    }
}

/* ---- connections ---- */

void stage_net_lost(struct stage_server *server)
{
    server->is_up = false;
    server->dial_ms = server->story->now_ms + STAGE_REDIAL_MS + (int64_t)(server->index % 7) * 100;
}

static void dial(struct stage_server *server)
{
    struct story *s = server->story;
    struct cas_now now = stage_now(s, &s->controller_clock);
    server->dial_ms = s->now_ms + STAGE_REDIAL_MS;
    if (s->controller == NULL || server->cut != 0 || s->controller_stopped_until_ms > s->now_ms ||
        server->stopped_until_ms > s->now_ms)
        return;
    switch (controller_handshake(s->controller, CHANNEL_AGENTS, &server->key, "192.0.2.1", now)) {
    case CHANNEL_ADMIT:
        server->is_up = true;
        server->route = ++s->route_last;
        stage_agent_connected(server);
        return;
    case CHANNEL_WAIT:
        server->dial_ms = s->now_ms + 5000;
        return;
    case CHANNEL_REFUSE:
        server->dial_ms = s->now_ms + STAGE_REFUSED_MS;
        return;
    }
}

static bool is_torn(const struct stage_server *server)
{
    return server->cut != 0 && server->story->now_ms - server->cut_ms >= STAGE_TORN_MS;
}

void stage_net_pass(struct story *s)
{
    for (size_t i = 0; i < s->server_n; i++) {
        struct stage_server *server = s->server[i];
        if (server->is_up && is_torn(server))
            stage_net_lost(server);
        if (!server->is_up && server->agent != NULL && s->now_ms >= server->dial_ms)
            dial(server);
    }
    frames_pass(s);
}

int64_t stage_net_due(const struct story *s)
{
    int64_t due_ms = s->frame_n > 0 ? s->frame[0]->at_ms : INT64_MAX;
    for (size_t i = 0; i < s->server_n; i++) {
        const struct stage_server *server = s->server[i];
        int64_t next_ms = INT64_MAX;
        if (server->is_up && server->cut != 0)
            next_ms = server->cut_ms + STAGE_TORN_MS;
        else if (!server->is_up && server->agent != NULL)
            next_ms = server->dial_ms;
        if (next_ms < due_ms)
            due_ms = next_ms;
    }
    return due_ms;
}

/* ---- the door ---- */

void story_net(struct story *s, const struct story_net *net)
{
    s->net = *net;
}

void story_cut_cable(struct story *s, const char *name, enum story_way way)
{
    struct stage_server *server = stage_find(s, name);
    if (server->cut == 0)
        server->cut_ms = s->now_ms;
    server->cut = way;
}

void story_mend_cable(struct story *s, const char *name)
{
    struct stage_server *server = stage_find(s, name);
    server->cut = (enum story_way)0;
    if (!server->is_up)
        server->dial_ms = s->now_ms + STAGE_REDIAL_MS;
}

void story_hold(struct story *s, const char *name, enum message_type type)
{
    struct stage_server *server = stage_find(s, name);
    server->is_holding = true;
    server->hold_type = type;
}

void story_release(struct story *s, const char *name)
{
    struct stage_server *server = stage_find(s, name);
    server->is_holding = false;
    for (size_t i = 0; i < s->frame_n; i++) {
        struct stage_frame *frame = s->frame[i];
        if (!frame->is_held || frame->server != server->index)
            continue;
        frame->is_held = false;
        frame->at_ms = s->now_ms + 1;
        rise(s, i);
    }
}

void story_echo(struct story *s, enum message_type type, int64_t after_ms)
{
    s->echo_type = type;
    s->echo_after_ms = after_ms;
}

size_t story_frames_down(struct story *s, const char *name)
{
    return stage_find(s, name)->frames_down;
}
