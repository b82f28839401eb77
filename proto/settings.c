/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/settings.h"

#include "base/bytes.h"

/* clang-format off */
const struct vy_config_key settings_keys[] = {
    { .name = "cluster.name", .type = VY_CONFIG_STRING, .default_text = "volary", .min = 1, .max = 100, .roles = SETTINGS_ALL, 
      .doc = "Name of the cluster; links between nodes of other clusters are refused." },
    { .name = "node.name", .type = VY_CONFIG_STRING, .min = 1, .max = 100, .roles = SETTINGS_ALL, .is_required = true, 
      .doc = "Name of this process in the cluster; the certificate of the node must carry it." },
    { .name = "node.pid_file", .type = VY_CONFIG_PATH, .roles = SETTINGS_ALL, 
      .doc = "Where the process writes its pid." },
    { .name = "node.certificate", .type = VY_CONFIG_PATH, .roles = SETTINGS_ALL, 
      .doc = "Certificate for links between nodes (PEM, subjectAltName spiffe://CLUSTER/ROLE/NODE)." },
    { .name = "node.key", .type = VY_CONFIG_PATH, .roles = SETTINGS_ALL, 
      .doc = "Private key of node.certificate; readable by its owner only." },
    { .name = "node.ca", .type = VY_CONFIG_PATH, .roles = SETTINGS_ALL, 
      .doc = "The cluster's own certificate authority." },
    { .name = "listen.host", .type = VY_CONFIG_STRING, .default_text = "127.0.0.1", .min = 1, .max = 64, .roles = SETTINGS_ALL, 
      .doc = "IP address that all ports are bound to." },
    { .name = "meta.members", .type = VY_CONFIG_RECORDS, .min = 1, .max = 9, .fields = "id node link raft?", .roles = SETTINGS_ALL, .is_required = true, 
      .doc = "Members of meta's group." },
    { .name = "group.id", .type = VY_CONFIG_U64, .min = 1, .max = 1000000, .roles = SETTINGS_SHARD, .is_required = true, 
      .doc = "Number of the replica group that this shard is a member of." },
    { .name = "group.members", .type = VY_CONFIG_RECORDS, .min = 1, .max = 9, .fields = "id node link raft?", .roles = SETTINGS_SHARD, .is_required = true, 
      .doc = "First members of the shard's group." },
    { .name = "bootstrap.groups", .type = VY_CONFIG_U64, .default_text = "1", .min = 1, .max = 64, .roles = SETTINGS_META, 
      .doc = "Replica groups of shards that a new cluster begins with." },
    { .name = "data.dir", .type = VY_CONFIG_PATH, .roles = SETTINGS_META | SETTINGS_SHARD, .is_required = true, 
      .doc = "Directory of everything that this process keeps; each role has its database in a folder of its name there (meta, shard)." },
    { .name = "data.key_file", .type = VY_CONFIG_PATH, .roles = SETTINGS_META | SETTINGS_SHARD, .is_required = true, 
      .doc = "The cluster key (64 hex digits, mode 0600), outside of the data directories." },
    { .name = "data.ticket", .type = VY_CONFIG_PATH, .roles = SETTINGS_META | SETTINGS_SHARD, 
      .doc = "One-use permission for an empty data directory to become a member." },
    { .name = "data.memory", .type = VY_CONFIG_SIZE, .bare_unit = 1, .default_text = "64MiB", .min = 16777216, .roles = SETTINGS_META | SETTINGS_SHARD, 
      .doc = "Caches and write buffers of the store." },
    { .name = "ports.smtp", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_FRONTEND, 
      .doc = "SMTP for mail from other servers (MX)." },
    { .name = "ports.lmtp", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_FRONTEND, 
      .doc = "LMTP for mail from trusted hosts." },
    { .name = "ports.submission", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_FRONTEND, 
      .doc = "Submission with STARTTLS." },
    { .name = "ports.submissions", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_FRONTEND, 
      .doc = "Submission over implicit TLS." },
    { .name = "ports.imap", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_FRONTEND, 
      .doc = "IMAP with STARTTLS." },
    { .name = "ports.imaps", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_FRONTEND, 
      .doc = "IMAP over implicit TLS." },
    { .name = "ports.ops", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_ALL, 
      .doc = "Metrics, health and readiness; for operators only." },
    { .name = "ports.admin", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_META, 
      .doc = "The admin API (gRPC)." },
    { .name = "ports.link", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_META | SETTINGS_SHARD, 
      .doc = "Links between nodes; as in the address of this node's member." },
    { .name = "ports.raft", .type = VY_CONFIG_U64, .default_text = "0", .max = 65535, .roles = SETTINGS_META | SETTINGS_SHARD, 
      .doc = "Raft messages; as in the address of this node's member." },
    { .name = "admin.socket", .type = VY_CONFIG_PATH, .roles = SETTINGS_META, 
      .doc = "Unix socket of the admin API for the machine's operator; data.dir/admin.sock when absent." },
    { .name = "admin.loopback_operator", .type = VY_CONFIG_BOOL, .default_text = "false", .roles = SETTINGS_META,
      .doc = "Whoever reaches ports.admin on loopback administers, without a certificate. For trying out: every user of the machine can." },
    { .name = "tls.certificate", .type = VY_CONFIG_PATH, .roles = SETTINGS_FRONTEND, 
      .doc = "Certificate chain shown to clients (PEM)." },
    { .name = "tls.key", .type = VY_CONFIG_PATH, .roles = SETTINGS_FRONTEND, 
      .doc = "Private key of tls.certificate." },
    { .name = "smtp.hostname", .type = VY_CONFIG_STRING, .min = 1, .max = 255, .roles = SETTINGS_FRONTEND, 
      .doc = "Name that SMTP and IMAP greet with; node.name when absent." },
    { .name = "smtp.message_bytes", .type = VY_CONFIG_SIZE, .bare_unit = 1, .default_text = "50MiB", .min = 1048576, .max = 52428800, .roles = SETTINGS_FRONTEND, 
      .doc = "Largest message that is taken." },
    { .name = "smtp.pipelining_policy", .type = VY_CONFIG_STRING, .min = 1, .max = 32, .choices = "ignore|reject_at_data|disconnect", .roles = SETTINGS_FRONTEND, 
      .doc = "What becomes of clients that send before they may; absent: disconnect. Clients that have signed in or are trusted are let be." },
    { .name = "smtp.greet_delay_ms", .type = VY_CONFIG_DURATION, .bare_unit = 1, .default_text = "0", .max = 60000, .roles = SETTINGS_FRONTEND, 
      .doc = "Pause before the greeting on the MX port." },
    { .name = "auth.plaintext_networks", .type = VY_CONFIG_LIST, .max = 64, .roles = SETTINGS_FRONTEND, 
      .doc = "Networks that may sign in without TLS." },
    { .name = "auth.tell_need_app_password", .type = VY_CONFIG_BOOL, .default_text = "false", .roles = SETTINGS_META, 
      .doc = "Answer 534 instead of 535 to the right main password where an app password is needed. Friendlier, and tells a guesser that the password is right." },
    { .name = "lmtp.networks", .type = VY_CONFIG_LIST, .max = 64, .roles = SETTINGS_FRONTEND, 
      .doc = "Networks besides loopback that may use LMTP." },
    { .name = "limits.auth_delay_ms", .type = VY_CONFIG_DURATION, .bare_unit = 1, .default_text = "2000", .max = 60000, .roles = SETTINGS_FRONTEND, 
      .doc = "Delay after a failed sign-in; 0 for none." },
    { .name = "limits.tarpit", .type = VY_CONFIG_U64, .default_text = "2000", .max = 1000000, .roles = SETTINGS_FRONTEND, 
      .doc = "Connections whose answer to a refused sign-in is held back, at once; further ones are closed." },
    { .name = "guess.address_per_min", .type = VY_CONFIG_U64, .default_text = "10", .max = 1000000, .roles = SETTINGS_META, 
      .doc = "Wrong passwords a minute from one IPv4 address or IPv6 /64, over all frontends; 0 for no limit. Not for auth.plaintext_networks." },
    { .name = "guess.network_per_min", .type = VY_CONFIG_U64, .default_text = "40", .max = 1000000, .roles = SETTINGS_META, 
      .doc = "The same from one IPv4 /24 or IPv6 /48." },
    { .name = "guess.account_per_h", .type = VY_CONFIG_U64, .default_text = "100", .max = 1000000, .roles = SETTINGS_META, 
      .doc = "Wrong passwords an hour for one name, from networks that have not signed in as it before." },
    { .name = "guess.pair_per_h", .type = VY_CONFIG_U64, .default_text = "20", .max = 1000000, .roles = SETTINGS_META, 
      .doc = "Wrong passwords an hour for one name from one IPv4 /24 or IPv6 /64. A network that has signed in as it before is still heard, every 15 s." },
    { .name = "limits.connections", .type = VY_CONFIG_U64, .default_text = "20000", .min = 1, .max = 1000000, .roles = SETTINGS_FRONTEND, 
      .doc = "Client connections at once." },
    { .name = "limits.connections_per_ip", .type = VY_CONFIG_U64, .default_text = "20", .min = 1, .max = 1000000, .roles = SETTINGS_FRONTEND, 
      .doc = "Client connections at once from one address." },
    { .name = "frontend.loops", .type = VY_CONFIG_U64, .default_text = "0", .max = 64, .roles = SETTINGS_FRONTEND, 
      .doc = "Event loops; 0: one a core." },
    { .name = "shard.workers", .type = VY_CONFIG_U64, .default_text = "0", .max = 256, .roles = SETTINGS_SHARD, 
      .doc = "Threads that parse, seal and read; 0: one a core and one more." },
    { .name = "raft.election_timeout_ms", .type = VY_CONFIG_DURATION, .bare_unit = 1, .default_text = "1000", .min = 100, .max = 60000, .roles = SETTINGS_META | SETTINGS_SHARD, 
      .doc = "Silence of a leader after which another is elected." },
    { .name = "raft.log_max_bytes", .type = VY_CONFIG_SIZE, .bare_unit = 1, .default_text = "256MiB", .min = 1048576, .max = 1099511627776, .roles = SETTINGS_META | SETTINGS_SHARD,
      .doc = "Log on disk that a member who is away is waited for; who lacks more gets a snapshot. While one is on its way the log may become twice as long." },
    { .name = "raft.log_max_entries", .type = VY_CONFIG_U64, .default_text = "1000000", .min = 100, .max = 100000000, .roles = SETTINGS_META | SETTINGS_SHARD,
      .doc = "The same in entries, whichever is less." },
    { .name = "raft.snapshot_bytes_per_second", .type = VY_CONFIG_SIZE, .bare_unit = 1, .default_text = "32MiB", .min = 65536, .max = 10737418240, .roles = SETTINGS_META | SETTINGS_SHARD,
      .doc = "Rate at which snapshots are sent, to all members together." },
    { .name = "raft.spread_after_s", .type = VY_CONFIG_DURATION, .bare_unit = 1000, .default_text = "30", .max = 86400000, .roles = SETTINGS_META,
      .doc = "A host that leads at least two groups of shards more than another hands one over, once nothing has changed for this long; 0: never." },
    { .name = "scrub.period_s", .type = VY_CONFIG_DURATION, .bare_unit = 1000, .default_text = "7d", .roles = SETTINGS_META | SETTINGS_SHARD,
      .doc = "All data is read back and compared between the members once in this time; 0: never." },
    { .name = "scrub.bytes_per_second", .type = VY_CONFIG_SIZE, .bare_unit = 1, .default_text = "8MiB", .min = 65536, .max = 10737418240, .roles = SETTINGS_META | SETTINGS_SHARD,
      .doc = "How fast it is read at most." },
    { .name = "delete.second_admin", .type = VY_CONFIG_BOOL, .default_text = "false", .roles = SETTINGS_META,
      .doc = "Erasing an account or a domain needs two administrators: the second asks for the same within a day. The same on all members of meta." },
    { .name = "delete.alert_s", .type = VY_CONFIG_DURATION, .bare_unit = 1000, .default_text = "24h", .min = 1000, .roles = SETTINGS_META,
      .doc = "An erasure that is not complete after this time is counted by volary_meta_erase_overdue." },
    { .name = "delete.quarantine_s", .type = VY_CONFIG_DURATION, .bare_unit = 1000, .default_text = "30d", .roles = SETTINGS_META, 
      .doc = "How long a deleted address stays out of use." },
    { .name = "delete.retention_s", .type = VY_CONFIG_DURATION, .bare_unit = 1000, .default_text = "30d", .roles = SETTINGS_META, 
      .doc = "How long a softly deleted account can be restored." },
    { .name = "outbound.mode", .type = VY_CONFIG_STRING, .default_text = "off", .min = 1, .max = 16, .choices = "off", .roles = SETTINGS_FRONTEND, 
      .doc = "Mail to other domains; this version delivers locally only." },
    { .name = "shutdown.drain_ms", .type = VY_CONFIG_DURATION, .bare_unit = 1, .default_text = "10000", .max = 600000, .roles = SETTINGS_ALL, 
      .doc = "How long a stop waits for what was accepted." },
    { .name = "log.level", .type = VY_CONFIG_STRING, .default_text = "info", .min = 1, .max = 8, .choices = "debug|info|warn|error", .is_reloadable = true,
     .roles = SETTINGS_ALL, 
      .doc = "Least severe events that are written." },
    { .name = "log.format", .type = VY_CONFIG_STRING, .default_text = "logfmt", .min = 1, .max = 8, .choices = "logfmt|json", .roles = SETTINGS_ALL, 
      .doc = "Form of the lines on stderr." },
};
/* clang-format on */
const size_t settings_key_count = sizeof(settings_keys) / sizeof(settings_keys[0]);

struct vy_err settings_members(const struct vy_config *config, const char *key,
                               struct settings_member *out, size_t *out_count,
                               struct vy_buf *report)
{
    const size_t count = vy_config_record_count(config, key);
    if (count > SETTINGS_MEMBERS_MAX) {
        vy_buf_printf(report, "%s: more than %u members\n", key, SETTINGS_MEMBERS_MAX);
        return vy_error(VY_CODE_ARGUMENT, "too many members");
    }
    for (size_t i = 0; i < count; i++) {
        const char *id = vy_config_record_field(config, key, i, "id");
        out[i] = (struct settings_member){
            .node = vy_config_record_field(config, key, i, "node"),
            .link = vy_config_record_field(config, key, i, "link"),
            .raft = vy_config_record_field(config, key, i, "raft"),
        };
        if (!vy_parse_u64(vy_cstr(id), &out[i].id) || out[i].id == 0) {
            vy_buf_printf(report, "%s: '%.64s' is not the id of a member (a number from 1 on)\n",
                          key, id);
            return vy_error(VY_CODE_ARGUMENT, "member id");
        }
    }
    *out_count = count;
    return vy_ok();
}

struct vy_err settings_networks(const struct vy_config *config, const char *key, struct vy_net *out,
                                size_t max, size_t *out_count, struct vy_buf *report)
{
    size_t count = 0;
    const char *const *items = vy_config_list(config, key, &count);
    if (count > max) {
        vy_buf_printf(report, "%s: more than %zu networks\n", key, max);
        return vy_error(VY_CODE_LIMIT, "too many networks");
    }
    for (size_t i = 0; i < count; i++) {
        if (vy_failed(vy_net_parse(vy_cstr(items[i]), &out[i]))) {
            vy_buf_printf(report,
                          "%s: '%.64s' is not a network; write 10.0.0.0/8 or 2001:db8::/32\n", key,
                          items[i]);
            return vy_error(VY_CODE_ARGUMENT, "network");
        }
    }
    *out_count = count;
    return vy_ok();
}
