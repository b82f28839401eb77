/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/program_reload.h"

#include "proto/settings.h"
#include <unistd.h>

#define REPORT_BYTES_MAX (64U * 1024U)

enum outcome { REFUSED, WAITING };
static const char *const events[] = {
    [REFUSED] = "program.reload.refused",
    [WAITING] = "program.reload.waiting",
};

static void log_lines(const struct vy_log *log, enum outcome outcome, struct vy_bytes lines)
{
    while (lines.len > 0) {
        const struct vy_bytes line = vy_bytes_cut(&lines, '\n');
        vy_log(log, VY_LOG_WARN, events[outcome], VY_STR("sys.check", line));
    }
}

/* Keys whose new value waits for a restart. */
static void log_restart_needed(const struct program_reload *reload, const struct vy_config *fresh,
                               const struct vy_log *log)
{
    struct vy_buf names;
    vy_buf_init(&names, REPORT_BYTES_MAX);
    if (vy_config_needs_restart(reload->config, fresh, &names)) {
        log_lines(log, WAITING, vy_buf_bytes(&names));
    }
    vy_buf_deinit(&names);
}

static bool take(const struct program_reload *reload, const struct vy_config *fresh,
                 struct vy_log *log)
{
    const struct vy_err err = reload->tls == NULL ? vy_ok() : rpc_tls_context_reload(reload->tls);
    if (vy_failed(err)) {
        vy_log(log, VY_LOG_WARN, "program.reload.refused",
               VY_CSTR("sys.check", "the node's certificate files"), VY_LOG_ERR(err));
        return false;
    }
    enum vy_log_level level = log->level;
    if (vy_log_parse_level(vy_cstr(vy_config_text(fresh, "log.level")), &level)) {
        vy_log_set_level(log, level);
    }
    log_restart_needed(reload, fresh, log);
    vy_log(log, VY_LOG_INFO, "program.reload.ok", VY_HEX("sys.config", vy_config_hash(fresh)));
    return true;
}

bool program_reload(const struct program_reload *reload, struct vy_log *log)
{
    const struct vy_config_spec spec = {
        .keys = settings_keys, .count = settings_key_count, .role = reload->settings};
    struct vy_config *fresh = NULL;
    struct vy_buf report;
    if (reload->path == NULL) {
        log_lines(log, REFUSED, VY_LIT("there is no configuration file to read again"));
        return false;
    }
    vy_buf_init(&report, REPORT_BYTES_MAX);
    const struct vy_err err =
        vy_config_load(&spec, reload->path, (const char *const *)environ, &report, &fresh);
    bool is_taken = false;
    if (vy_failed(err)) {
        log_lines(log, REFUSED,
                  vy_buf_len(&report) == 0 ? vy_cstr(vy_code_text(err.code))
                                           : vy_buf_bytes(&report));
    } else {
        is_taken = take(reload, fresh, log);
    }
    vy_config_free(fresh);
    vy_buf_deinit(&report);
    return is_taken;
}
