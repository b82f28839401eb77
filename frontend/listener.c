/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/listener.h"

#include "base/assert.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define LISTENERS_MAX 32U
#define ACCEPTS_PER_TURN 64U /* so that one busy port does not hold up the loop */
#define ACCEPT_PAUSE_MS 100U

struct listener {
    struct listener_set *set;
    int fd;
    struct vy_watch *watch;
    size_t port_index;
};

struct listener_set {
    struct listener_config config;
    struct listener listeners[LISTENERS_MAX];
    size_t count;
    struct vy_timer *pause; /* running: accepting is paused */
    uint32_t connections;
    struct vy_strmap per_ip; /* address bytes -> count, as a pointer-sized number */
};

/* The key of a client's address: IPv4 whole (mapped into IPv6 or not), IPv6 by /64, which is one
 * customer. */
static struct vy_bytes ip_key(const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET) {
        return vy_bytes(&((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    }
    const struct in6_addr *address = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    return IN6_IS_ADDR_V4MAPPED(address) ? vy_bytes(address->s6_addr + 12, 4)
                                         : vy_bytes(address->s6_addr, 8);
}

static bool is_exempt(const struct listener_set *set, const struct sockaddr_storage *peer)
{
    return set->config.limits.connections_per_ip_max == 0 ||
           vy_net_list_contains(set->config.trusted, set->config.trusted_count, peer);
}

enum admission { ADMITTED, OVER_LIMIT, OVER_LIMIT_PER_IP };

/* Counts a client in. */
static enum admission admit(struct listener_set *set, const struct sockaddr_storage *peer)
{
    if (set->connections >= set->config.limits.connections_max) {
        return OVER_LIMIT;
    }
    if (!is_exempt(set, peer)) {
        const uintptr_t count = (uintptr_t)vy_strmap_get(&set->per_ip, ip_key(peer));
        if (count >= set->config.limits.connections_per_ip_max ||
            vy_failed(vy_strmap_put(&set->per_ip, ip_key(peer), (void *)(count + 1)))) {
            return OVER_LIMIT_PER_IP;
        }
    }
    set->connections++;
    return ADMITTED;
}

void listener_client_gone(struct listener_set *set, const struct sockaddr_storage *peer)
{
    VY_ASSERT(set->connections > 0);
    set->connections--;
    if (is_exempt(set, peer)) {
        return;
    }
    const uintptr_t count = (uintptr_t)vy_strmap_remove(&set->per_ip, ip_key(peer));
    if (count > 1) {
        vy_ignore(vy_strmap_put(&set->per_ip, ip_key(peer), (void *)(count - 1)),
                  "the slot was just freed");
    }
}

static void pause_accepting(struct listener_set *set, int sys)
{
    vy_log(set->config.log, VY_LOG_WARN, "frontend.accept.paused", VY_I64("err.sys", sys));
    for (size_t i = 0; i < set->count; i++) {
        vy_watch_set(set->listeners[i].watch, 0);
    }
    vy_timer_start(set->pause, ACCEPT_PAUSE_MS);
}

static void listener_on_pause_over(void *arg)
{
    struct listener_set *set = arg;
    for (size_t i = 0; i < set->count; i++) {
        vy_watch_set(set->listeners[i].watch, VY_WATCH_READ);
    }
}

static void take_client(struct listener *listener, int fd, const struct sockaddr_storage *peer)
{
    struct listener_set *set = listener->set;
    const enum admission admission = admit(set, peer);
    if (admission == ADMITTED) {
        set->config.on_accept(set->config.arg, listener->port_index, fd, peer);
        return;
    }
    set->config.on_refuse(set->config.arg, listener->port_index, fd,
                          admission == OVER_LIMIT_PER_IP);
    char ip[VY_NET_IP_TEXT_BYTES];
    uint16_t port = 0;
    vy_net_ip_text(peer, ip, &port);
    vy_log(set->config.log, VY_LOG_INFO, "frontend.accept.refused", VY_CSTR("conn.ip", ip));
    (void)close(fd);
}

static void listener_on_ready(void *arg, int events)
{
    struct listener *listener = arg;
    (void)events;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer;
        const int fd = vy_net_accept(listener->fd, &peer);
        if (fd >= 0) {
            take_client(listener, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(listener->set, errno);
        }
        if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

struct vy_err listener_set_new(const struct listener_config *config, struct listener_set **out)
{
    struct listener_set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return vy_error(VY_CODE_NOMEM, "listeners");
    }
    set->config = *config;
    vy_strmap_init(&set->per_ip, config->seed);
    set->pause = vy_timer_new(config->loop, listener_on_pause_over, set);
    if (set->pause == NULL) {
        free(set);
        return vy_error(VY_CODE_NOMEM, "listeners");
    }
    *out = set;
    return vy_ok();
}

void listener_set_stop(struct listener_set *set)
{
    vy_timer_stop(set->pause);
    for (size_t i = 0; i < set->count; i++) {
        vy_watch_free(set->listeners[i].watch);
        (void)close(set->listeners[i].fd);
    }
    set->count = 0;
}

void listener_set_free(struct listener_set *set)
{
    if (set == NULL) {
        return;
    }
    listener_set_stop(set);
    vy_timer_free(set->pause);
    vy_strmap_deinit(&set->per_ip);
    free(set);
}

struct vy_err listener_add(struct listener_set *set, const char *host, uint16_t port,
                           size_t port_index, uint16_t *out_port)
{
    if (set->count == LISTENERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "listening ports");
    }
    struct listener *listener = &set->listeners[set->count];
    *listener = (struct listener){.set = set, .fd = -1, .port_index = port_index};
    VY_TRY(vy_net_listen(host, port, &listener->fd));
    listener->watch = vy_watch_new(set->config.loop, listener->fd, listener_on_ready, listener);
    if (listener->watch == NULL) {
        (void)close(listener->fd);
        return vy_error(VY_CODE_NOMEM, "listener");
    }
    vy_watch_set(listener->watch, VY_WATCH_READ);
    set->count++;
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    char ip[VY_NET_IP_TEXT_BYTES];
    *out_port = port;
    if (getsockname(listener->fd, (struct sockaddr *)&bound, &len) == 0) {
        vy_net_ip_text(&bound, ip, out_port);
    }
    return vy_ok();
}
