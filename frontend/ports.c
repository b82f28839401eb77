/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/ports.h"

static struct vy_err new_imap(void *arg, const struct session_peer *peer, struct session **out)
{
    const struct port_service *service = arg;
    return imap_session_new(peer, &service->limits->imap, service->limits->hostname, out);
}

static struct vy_err new_smtp(void *arg, const struct session_peer *peer, struct session **out)
{
    const struct port_service *service = arg;
    return smtp_session_new(peer, &service->profile, out);
}

/* clang-format off */
static const struct {
    enum frontend_proto proto;
    enum smtp_service smtp; /* not of IMAP */
    struct vy_err (*session_new)(void *arg, const struct session_peer *peer, struct session **out);
    const char *over_limit; /* RFC 5321 section 3.1, RFC 3501 section 7.1.5 */
    const char *over_limit_per_ip;
} protocols[] = {
    [FRONTEND_SMTP] = {
        FRONTEND_PROTO_SMTP, SMTP_SERVICE_MX, new_smtp,
        "421 4.3.2 Too many connections, try again later\r\n",
        "421 4.7.0 Too many connections from your address\r\n" },
    [FRONTEND_LMTP] = {
        FRONTEND_PROTO_LMTP, SMTP_SERVICE_LMTP, new_smtp,
        "421 4.3.2 Too many connections, try again later\r\n",
        "421 4.7.0 Too many connections from your address\r\n" },
    [FRONTEND_SUBMISSION] = {
        FRONTEND_PROTO_SUBMISSION, SMTP_SERVICE_SUBMISSION, new_smtp,
        "421 4.3.2 Too many connections, try again later\r\n",
        "421 4.7.0 Too many connections from your address\r\n" },
    [FRONTEND_IMAP] = {
        FRONTEND_PROTO_IMAP, SMTP_SERVICE_MX, new_imap,
        "* BYE [UNAVAILABLE] Too many connections, try again later\r\n",
        "* BYE [LIMIT] Too many connections from your address\r\n" },
};
/* clang-format on */

struct vy_err port_limits_init(const struct frontend_config *config, struct vy_bytes hostname,
                               struct port_limits *out)
{
    *out = (struct port_limits){
        .imap = imap_limits_default(),
        .smtp = smtp_limits_default(),
        .hostname = hostname,
        .greet_delay_ms = config->smtp_greet_delay_ms,
        .has_policy = config->smtp_pipelining_policy != NULL,
    };
    out->imap.append_bytes_max = config->message_bytes_max;
    out->imap.auth_delay_ms = config->auth_delay_ms;
    out->smtp.message_bytes_max = config->message_bytes_max;
    out->smtp.auth_delay_ms = config->auth_delay_ms;
    if (out->has_policy &&
        !smtp_pipelining_policy_parse(vy_cstr(config->smtp_pipelining_policy), &out->policy)) {
        return vy_error(VY_CODE_ARGUMENT, "smtp.pipelining_policy");
    }
    return vy_ok();
}

void port_service_init(const struct frontend_port *port, const struct port_limits *limits,
                       uint64_t (*group_of)(void *arg, uint64_t account_id), void *group_of_arg,
                       struct port_service *out)
{
    *out = (struct port_service){
        .conn = {.name = port->name,
                 .proto = protocols[port->protocol].proto,
                 .is_implicit_tls = port->is_implicit_tls,
                 .session_new = protocols[port->protocol].session_new,
                 .arg = out},
        .limits = limits,
        .profile = smtp_profile_default(protocols[port->protocol].smtp),
    };
    out->profile.hostname = limits->hostname;
    out->profile.limits = &limits->smtp;
    out->profile.group_of = group_of;
    out->profile.group_of_arg = group_of_arg;
    if (limits->has_policy && port->protocol != FRONTEND_LMTP) {
        out->profile.pipelining_policy = limits->policy;
    }
    if (port->protocol == FRONTEND_SMTP) {
        out->profile.greet_delay_ms = limits->greet_delay_ms;
    }
}

enum frontend_proto port_proto(const struct frontend_port *port)
{
    return protocols[port->protocol].proto;
}

struct vy_bytes port_refusal(const struct frontend_port *port, enum frontend_refusal why)
{
    if (port->is_implicit_tls) {
        return vy_bytes(NULL, 0);
    }
    switch (why) {
    case FRONTEND_REFUSED_LIMIT:
        return vy_cstr(protocols[port->protocol].over_limit);
    case FRONTEND_REFUSED_LIMIT_PER_IP:
        return vy_cstr(protocols[port->protocol].over_limit_per_ip);
    case FRONTEND_REFUSED_NETWORK:
        return VY_LIT("554 5.7.1 LMTP is not for your address\r\n");
    case FRONTEND_REFUSED_COUNT:
        break;
    }
    return vy_bytes(NULL, 0);
}
