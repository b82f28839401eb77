/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/role.h"

#include "base/assert.h"
#include "frontend/frontend.h"
#include "frontend/register.h"
#include "proto/settings.h"
#include <stdlib.h>
#include <unistd.h>

#define METRICS_MS 1000U
#define DRAIN_POLL_MS 20U
#define HANG_MS 10000U /* a loop turns once a second at least (edge.c) */
#define REPORT_BYTES_MAX 4096U

struct loop_watch {
    uint64_t turns;
    uint64_t moved_ms;
};

struct frontend_role {
    struct role base;
    const struct role_env *env; /* borrowed */
    struct rpc_config rpc;
    struct frontend *frontend;          /* owned */
    struct node_register *registration; /* owned */
    struct vy_metric *certificate;      /* gauge; borrowed */
    struct vy_metric *draining;
    struct vy_timer *metrics_timer; /* owned */
    struct loop_watch loops[FRONTEND_LOOPS_MAX];
    struct vy_timer *stop_timer; /* owned; while draining */
    uint64_t stop_deadline_ms;
    vy_loop_fn on_stopped;
    void *on_stopped_arg;
};

static struct frontend_role *role_of(struct role *base)
{
    return VY_CONTAINER_OF(base, struct frontend_role, base);
}

/* ---- settings ---- */

/* What settings are read into; borrowed by frontend_new. */
struct frontend_settings {
    struct frontend_port ports[FRONTEND_PORTS_MAX];
    size_t ports_count;
    struct vy_net trusted[FRONTEND_NETWORKS_MAX];
    size_t trusted_count;
    struct vy_net lmtp[FRONTEND_NETWORKS_MAX];
    size_t lmtp_count;
    struct rpc_group_member meta[SETTINGS_MEMBERS_MAX];
    size_t meta_count;
};

static const struct {
    const char *key;
    const char *name;
    enum frontend_protocol protocol;
    bool is_implicit_tls;
} port_keys[] = {
    {"ports.smtp",        "smtp",        FRONTEND_SMTP,       false},
    {"ports.lmtp",        "lmtp",        FRONTEND_LMTP,       false},
    {"ports.submission",  "submission",  FRONTEND_SUBMISSION, false},
    {"ports.submissions", "submissions", FRONTEND_SUBMISSION, true },
    {"ports.imap",        "imap",        FRONTEND_IMAP,       false},
    {"ports.imaps",       "imaps",       FRONTEND_IMAP,       true },
};

static void read_ports(const struct vy_config *config, struct frontend_settings *out)
{
    for (size_t i = 0; i < VY_COUNT_OF(port_keys); i++) {
        const uint64_t port = vy_config_u64(config, port_keys[i].key);
        if (port != 0) {
            out->ports[out->ports_count++] =
                (struct frontend_port){.name = port_keys[i].name,
                                       .protocol = port_keys[i].protocol,
                                       .is_implicit_tls = port_keys[i].is_implicit_tls,
                                       .port = (uint16_t)port};
        }
    }
}

static struct vy_err read_lists(const struct vy_config *config, struct frontend_settings *out,
                                struct vy_buf *report)
{
    struct settings_member members[SETTINGS_MEMBERS_MAX];
    VY_TRY(settings_members(config, "meta.members", members, &out->meta_count, report));
    for (size_t i = 0; i < out->meta_count; i++) {
        out->meta[i] =
            (struct rpc_group_member){.node = members[i].node, .address = members[i].link};
    }
    VY_TRY(settings_networks(config, "auth.plaintext_networks", out->trusted,
                             VY_COUNT_OF(out->trusted), &out->trusted_count, report));
    return settings_networks(config, "lmtp.networks", out->lmtp, VY_COUNT_OF(out->lmtp),
                             &out->lmtp_count, report);
}

static struct vy_err check_tls(const struct vy_config *config)
{
    const bool has_certificate = vy_config_text(config, "tls.certificate") != NULL;
    const bool has_key = vy_config_text(config, "tls.key") != NULL;
    if (has_certificate != has_key) {
        return vy_error(VY_CODE_ARGUMENT, "tls.certificate and tls.key belong together");
    }
    return vy_ok();
}

static struct vy_err read_settings(struct frontend_role *role, struct frontend_settings *out)
{
    const struct vy_config *config = role->env->config;
    struct vy_buf report;
    vy_buf_init(&report, REPORT_BYTES_MAX);
    struct vy_err err = read_lists(config, out, &report);
    if (vy_failed(err)) {
        vy_log(role->env->log, VY_LOG_ERROR, "frontend.settings.refused",
               VY_STR("sys.reason", vy_bytes_trim_crlf(vy_buf_bytes(&report))));
    }
    vy_buf_deinit(&report);
    VY_TRY(err);
    read_ports(config, out);
    return check_tls(config);
}

/* ---- starting ---- */

static unsigned count_loops(const struct vy_config *config)
{
    const uint64_t wanted = vy_config_u64(config, "frontend.loops");
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t count = wanted != 0 ? wanted : cores > 0 ? (uint64_t)cores : 1;
    return (unsigned)VY_MIN(count, (uint64_t)FRONTEND_LOOPS_MAX);
}

static struct vy_err open_frontend(struct frontend_role *role,
                                   const struct frontend_settings *settings)
{
    const struct role_env *env = role->env;
    const char *hostname = vy_config_text(env->config, "smtp.hostname");
    const struct frontend_config config = {
        .clock = env->clock,
        .rng = env->rng,
        .log = env->log,
        .metrics = env->metrics,
        .hostname = hostname != NULL ? hostname : vy_config_text(env->config, "node.name"),
        .listen_host = vy_config_text(env->config, "listen.host"),
        .ports = settings->ports,
        .ports_count = settings->ports_count,
        .loops_count = count_loops(env->config),
        .tls_certificate = vy_config_text(env->config, "tls.certificate"),
        .tls_key = vy_config_text(env->config, "tls.key"),
        .trusted = settings->trusted,
        .trusted_count = settings->trusted_count,
        .lmtp_networks = settings->lmtp,
        .lmtp_networks_count = settings->lmtp_count,
        .connections_max = (uint32_t)vy_config_u64(env->config, "limits.connections"),
        .connections_per_ip_max = (uint32_t)vy_config_u64(env->config, "limits.connections_per_ip"),
        .auth_delay_ms = (uint32_t)vy_config_ms(env->config, "limits.auth_delay_ms"),
        .tarpit_max = (uint32_t)vy_config_u64(env->config, "limits.tarpit"),
        .smtp_greet_delay_ms = (uint32_t)vy_config_ms(env->config, "smtp.greet_delay_ms"),
        .smtp_pipelining_policy = vy_config_text(env->config, "smtp.pipelining_policy"),
        .message_bytes_max = vy_config_size(env->config, "smtp.message_bytes"),
        .rpc = role->rpc,
        .meta_members = settings->meta,
        .meta_members_count = settings->meta_count,
    };
    return frontend_new(&config, &role->frontend);
}

static struct vy_err open_registration(struct frontend_role *role,
                                       const struct frontend_settings *settings)
{
    const struct node_register_config config = {
        .rpc = &role->rpc,
        .meta_members = settings->meta,
        .meta_members_count = settings->meta_count,
        .incarnation = vy_clock_wall_ms(role->env->clock),
        .version = VOLARY_VERSION,
    };
    return node_register_new(&config, &role->registration);
}

static void role_on_metrics(void *arg)
{
    struct frontend_role *role = arg;
    const uint64_t expiry_ms = frontend_certificate_expiry_ms(role->frontend);
    const uint64_t now_ms = vy_clock_wall_ms(role->env->clock);
    vy_metric_set(role->certificate, 0, expiry_ms == 0 ? 0 : (int64_t)expiry_ms - (int64_t)now_ms);
    vy_metric_set(role->draining, 0, frontend_is_draining(role->frontend) ? 1 : 0);
    vy_timer_start(role->metrics_timer, METRICS_MS);
}

static const struct vy_metric_spec certificate_spec = {
    .name = "volary_cert_expiry_seconds",
    .help = "Until the certificate shown to clients expires; 0 without one.",
    .kind = VY_METRIC_GAUGE,
    .is_ms = true};
static const struct vy_metric_spec draining_spec = {
    .name = "volary_draining",
    .help = "1 while the frontend says goodbye to its clients.",
    .kind = VY_METRIC_GAUGE};

static struct vy_err open_all(struct frontend_role *role)
{
    struct frontend_settings settings = {.ports_count = 0};
    VY_TRY(read_settings(role, &settings));
    VY_TRY(vy_metrics_add(role->env->metrics, &certificate_spec, &role->certificate));
    VY_TRY(vy_metrics_add(role->env->metrics, &draining_spec, &role->draining));
    VY_TRY(open_frontend(role, &settings));
    role->metrics_timer = vy_timer_new(role->env->loop, role_on_metrics, role);
    if (role->metrics_timer == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer");
    }
    VY_TRY(open_registration(role, &settings));
    role_on_metrics(role);
    return vy_ok();
}

static void role_free(struct role *base)
{
    if (base == NULL) {
        return;
    }
    struct frontend_role *role = role_of(base);
    node_register_free(role->registration);
    frontend_free(role->frontend);
    vy_timer_free(role->stop_timer);
    vy_timer_free(role->metrics_timer);
    free(role);
}

static struct vy_err role_start(const struct role_env *env, struct role **out)
{
    struct frontend_role *role = calloc(1, sizeof(*role));
    if (role == NULL) {
        return vy_error(VY_CODE_NOMEM, "frontend role");
    }
    role->base.ops = &frontend_role;
    role->env = env;
    role_rpc_config(env, &frontend_role, &role->rpc);
    const struct vy_err err = open_all(role);
    if (vy_failed(err)) {
        role_free(&role->base);
        return err;
    }
    *out = &role->base;
    return vy_ok();
}

/* ---- how it does ---- */

/* NULL: fine, or there is none. */
static const char *certificate_fault(const struct frontend_role *role)
{
    const uint64_t expiry_ms = frontend_certificate_expiry_ms(role->frontend);
    const bool has_one = vy_config_text(role->env->config, "tls.certificate") != NULL;
    return has_one && expiry_ms <= vy_clock_wall_ms(role->env->clock) ? "expired" : NULL;
}

static bool write_check(struct vy_buf *out, const char *name, const char *fault)
{
    vy_buf_printf(out, "frontend.%s: %s\n", name, fault == NULL ? "ok" : fault);
    return fault == NULL;
}

static bool role_write_readiness(struct role *base, struct vy_buf *out)
{
    const struct frontend_role *role = role_of(base);
    const bool knows_map = frontend_knows_map(role->frontend);
    const bool is_listed = node_register_is_done(role->registration);
    const bool is_draining = frontend_is_draining(role->frontend);
    bool is_ready = write_check(
        out, "map",
        knows_map ? NULL : "no cluster map yet: no meta member answers, or a group has no shards");
    is_ready &= write_check(out, "registration", is_listed ? NULL : "meta has not confirmed it");
    is_ready &= write_check(out, "certificate", certificate_fault(role));
    is_ready &= write_check(out, "process", is_draining ? "draining" : NULL);
    return is_ready;
}

static bool role_is_alive(struct role *base)
{
    struct frontend_role *role = role_of(base);
    const uint64_t now_ms = vy_loop_now_ms(role->env->loop);
    bool is_alive = true;
    for (unsigned i = 0; i < frontend_loop_count(role->frontend); i++) {
        struct loop_watch *watch = &role->loops[i];
        const uint64_t turns = frontend_turn_count(role->frontend, i);
        if (turns != watch->turns || watch->moved_ms == 0) {
            *watch = (struct loop_watch){.turns = turns, .moved_ms = now_ms};
        }
        is_alive = is_alive && now_ms - watch->moved_ms < HANG_MS;
    }
    return is_alive;
}

/* ---- stopping ---- */

static void role_on_stop_timer(void *arg)
{
    struct frontend_role *role = arg;
    const uint64_t left = frontend_connection_count(role->frontend);
    const uint64_t now_ms = vy_loop_now_ms(role->env->loop);
    if (left > 0 && now_ms < role->stop_deadline_ms) {
        vy_timer_start(role->stop_timer, DRAIN_POLL_MS);
        return;
    }
    vy_log(role->env->log, left == 0 ? VY_LOG_INFO : VY_LOG_WARN, "frontend.drain.ended",
           VY_U64("conn.left", left));
    role->on_stopped(role->on_stopped_arg);
}

static void role_stop(struct role *base, uint32_t deadline_ms, vy_loop_fn done, void *arg)
{
    struct frontend_role *role = role_of(base);
    role->on_stopped = done;
    role->on_stopped_arg = arg;
    role->stop_deadline_ms = vy_loop_now_ms(role->env->loop) + deadline_ms;
    role->stop_timer = vy_timer_new(role->env->loop, role_on_stop_timer, role);
    frontend_drain(role->frontend, deadline_ms);
    if (role->stop_timer == NULL) {
        vy_loop_post(role->env->loop, done, arg); /* no memory to wait for clients with */
        return;
    }
    vy_timer_start(role->stop_timer, DRAIN_POLL_MS);
}

const struct role_ops frontend_role = {
    .name = "frontend",
    .settings = SETTINGS_FRONTEND,
    .rpc_role = RPC_ROLE_FRONTEND,
    .start = role_start,
    .write_readiness = role_write_readiness,
    .is_alive = role_is_alive,
    .stop = role_stop,
    .free = role_free,
};
