/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/program.h"

#include "base/assert.h"
#include "proto/ops_server.h"
#include "proto/program_reload.h"
#include "proto/rpc_inproc.h"
#include "proto/rpc_tls.h"
#include "proto/settings.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PROGRAM_ROLES_MAX 3U
#define READY_POLL_MS 10U
#define WAITING_LOG_MS 5000U
#define ALIVE_WINDOW_MS 10000U
#define METRICS_BYTES_MAX (1024U * 1024U)
#define REPORT_BYTES_MAX (64U * 1024U)

enum program_state {
    PROGRAM_STARTING,  /* roles run, not all of them are ready */
    PROGRAM_PREPARING, /* ready; on_ready works (makes the first account) */
    PROGRAM_SERVING,
    PROGRAM_STOPPING
};

struct running {
    const struct program *program;
    enum program_state state;
    struct role_env env;
    struct vy_log log;
    struct vy_log_field log_context[1];
    struct role *roles[PROGRAM_ROLES_MAX];
    size_t role_count; /* started and not stopped yet */
    struct ops_server *ops;
    struct vy_timer *ready_timer;
    uint64_t last_waiting_ms;
    int exit_code;
};

void role_rpc_config(const struct role_env *env, const struct role_ops *ops, struct rpc_config *out)
{
    *out = (struct rpc_config){
        .loop = env->loop,
        .rng = env->rng,
        .log = env->log,
        .cluster = vy_config_text(env->config, "cluster.name"),
        .node = vy_config_text(env->config, "node.name"),
        .role = env->is_all_in_one ? RPC_ROLE_ALL : ops->rpc_role,
        .tls = env->tls,
        .inproc = env->inproc,
        .allow_plain_loopback = env->tls == NULL,
    };
}

/* ---- what the ops port asks ---- */

static void write_metrics(void *arg, struct vy_buf *out)
{
    const struct running *running = arg;
    vy_metrics_write(running->env.metrics, out);
}

static bool write_readiness(void *arg, struct vy_buf *out)
{
    struct running *running = arg;
    bool is_ready = true;
    for (size_t i = 0; i < running->role_count; i++) {
        is_ready = running->roles[i]->ops->write_readiness(running->roles[i], out) && is_ready;
    }
    if (running->state == PROGRAM_STOPPING) {
        vy_buf_append_cstr(out, "process: stopping\n");
        return false;
    }
    return is_ready && running->role_count == running->program->role_count;
}

static bool is_alive(void *arg)
{
    const struct running *running = arg;
    for (size_t i = 0; i < running->role_count; i++) {
        struct role *role = running->roles[i];
        if (role->ops->is_alive != NULL && !role->ops->is_alive(role)) {
            return false;
        }
    }
    return true;
}

static struct vy_err open_ops(struct running *running)
{
    const uint64_t port = vy_config_u64(running->env.config, "ports.ops");
    if (port == 0) {
        return vy_ok();
    }
    const struct ops_server_config config = {
        .loop = running->env.loop,
        .log = &running->log,
        .write_metrics = write_metrics,
        .write_readiness = write_readiness,
        .is_alive = is_alive,
        .arg = running,
    };
    VY_TRY(ops_server_new(&config, &running->ops));
    return ops_server_listen(running->ops, vy_config_text(running->env.config, "listen.host"),
                             (uint16_t)port);
}

/* ---- stopping ---- */

static void stop_next_role(void *arg)
{
    struct running *running = arg;
    if (running->role_count < running->program->role_count &&
        running->roles[running->role_count] != NULL) {
        struct role *stopped = running->roles[running->role_count];
        running->roles[running->role_count] = NULL;
        stopped->ops->free(stopped);
    }
    if (running->role_count == 0) {
        vy_loop_uv_stop(running->env.loop);
        return;
    }
    running->role_count--;
    struct role *role = running->roles[running->role_count];
    role->ops->stop(role, (uint32_t)vy_config_ms(running->env.config, "shutdown.drain_ms"),
                    stop_next_role, running);
}

static void stop_roles(struct running *running)
{
    running->state = PROGRAM_STOPPING;
    vy_timer_stop(running->ready_timer);
    stop_next_role(running);
}

static void reload(struct running *running)
{
    const struct program_reload reload = {
        .settings = running->program->settings,
        .path = running->program->config_path,
        .config = running->env.config,
        .tls = running->env.tls,
    };
    (void)program_reload(&reload, &running->log); /* it was logged */
}

static void on_signal(void *arg, int signal)
{
    struct running *running = arg;
    if (signal == SIGHUP) {
        reload(running);
        return;
    }
    if (running->state == PROGRAM_STOPPING) {
        vy_log(&running->log, VY_LOG_WARN, "program.stop.forced", VY_I64("sys.signal", signal));
        _exit(128 + signal);
    }
    vy_log(&running->log, VY_LOG_INFO, "program.stop.started", VY_I64("sys.signal", signal));
    stop_roles(running);
}

/* ---- becoming ready ---- */

/* The only line on stdout: where everything listens. Written once, whole. */
static void print_ready_line(struct running *running)
{
    const struct vy_config *config = running->env.config;
    struct vy_buf line;
    vy_buf_init(&line, REPORT_BYTES_MAX);
    vy_buf_printf(&line, "{\"event\":\"ready\",\"pid\":%ld,\"ports\":{", (long)getpid());
    bool is_first = true;
    unsigned roles = 0;
    for (size_t i = 0; i < running->program->role_count; i++) {
        roles |= running->program->roles[i]->settings;
    }
    for (size_t i = 0; i < settings_key_count; i++) {
        const struct vy_config_key *key = &settings_keys[i];
        const struct vy_bytes name = vy_cstr(key->name);
        if (!vy_bytes_starts_with(name, VY_LIT("ports.")) || (key->roles & roles) == 0 ||
            vy_config_u64(config, key->name) == 0) {
            continue;
        }
        vy_buf_printf(&line, "%s\"%s\":%lu", is_first ? "" : ",", key->name + sizeof("ports.") - 1,
                      (unsigned long)vy_config_u64(config, key->name));
        is_first = false;
    }
    vy_buf_append_cstr(&line, "}");
    const char *dir = vy_config_text(config, "data.dir");
    if (dir != NULL) {
        vy_buf_append_cstr(&line, ",\"data\":\"");
        for (const char *at = dir; *at != '\0'; at++) {
            const uint8_t byte = (uint8_t)*at;
            if (byte < 0x20 || byte == '"' || byte == '\\') {
                vy_buf_printf(&line, "\\u%04x", byte);
            } else {
                vy_buf_append_byte(&line, byte);
            }
        }
        vy_buf_append_cstr(&line, "\"");
    }
    vy_buf_append_cstr(&line, "}\n");
    const struct vy_bytes bytes = vy_buf_bytes(&line);
    if (fwrite(bytes.data, 1, bytes.len, stdout) != bytes.len || fflush(stdout) != 0) {
        vy_log(&running->log, VY_LOG_WARN, "program.ready.unread");
    }
    vy_buf_deinit(&line);
}

static void on_prepared(void *arg)
{
    struct running *running = arg;
    if (running->state == PROGRAM_STOPPING) {
        return;
    }
    running->state = PROGRAM_SERVING;
    vy_log(&running->log, VY_LOG_INFO, "program.ready.ok", VY_U64("sys.pid", getpid()));
    print_ready_line(running);
}

/* Tells from time to time what is waited for: peers that are absent, an election. */
static void log_waiting(struct running *running, struct vy_bytes readiness)
{
    const uint64_t now_ms = vy_loop_now_ms(running->env.loop);
    if (now_ms - running->last_waiting_ms < WAITING_LOG_MS) {
        return;
    }
    running->last_waiting_ms = now_ms;
    struct vy_bytes rest = readiness;
    while (rest.len > 0) {
        const struct vy_bytes line = vy_bytes_cut(&rest, '\n');
        if (!vy_bytes_ends_with(line, VY_LIT(": ok"))) {
            vy_log(&running->log, VY_LOG_INFO, "program.ready.waiting", VY_STR("sys.check", line));
        }
    }
}

static void on_ready_timer(void *arg)
{
    struct running *running = arg;
    struct vy_buf readiness;
    vy_buf_init(&readiness, REPORT_BYTES_MAX);
    const bool is_ready = write_readiness(running, &readiness);
    if (!is_ready) {
        log_waiting(running, vy_buf_bytes(&readiness));
        vy_timer_start(running->ready_timer, READY_POLL_MS);
    } else if (running->program->on_ready != NULL) {
        running->state = PROGRAM_PREPARING;
        running->program->on_ready(running->program->on_ready_arg, &running->env, on_prepared,
                                   running);
    } else {
        on_prepared(running);
    }
    vy_buf_deinit(&readiness);
}

/* ---- starting ---- */

/* Last of all: a second process on this data or these ports fails before, and must not put its pid
 * in the place of the one that serves. */
static struct vy_err write_pid_file(const struct running *running)
{
    const char *path = vy_config_text(running->env.config, "node.pid_file");
    if (path == NULL) {
        return vy_ok();
    }
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_IO, errno, "node.pid_file");
    }
    const int written = dprintf(fd, "%ld\n", (long)getpid());
    const int closed = close(fd);
    return written < 0 || closed != 0 ? vy_error_sys(VY_CODE_IO, errno, "node.pid_file") : vy_ok();
}

/* No core files with keys in them, no new rights, as many descriptors as the system allows. */
static void limit_process(void)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit files = {0};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static struct vy_err open_tls(struct running *running)
{
    const struct vy_config *config = running->env.config;
    const struct rpc_tls_files files = {
        .certificate_path = vy_config_text(config, "node.certificate"),
        .key_path = vy_config_text(config, "node.key"),
        .ca_path = vy_config_text(config, "node.ca"),
    };
    if (files.certificate_path == NULL && files.key_path == NULL && files.ca_path == NULL) {
        return vy_ok();
    }
    if (files.certificate_path == NULL || files.key_path == NULL || files.ca_path == NULL) {
        return vy_error(VY_CODE_ARGUMENT, "node.certificate, node.key and node.ca belong together");
    }
    VY_TRY(rpc_tls_context_new(&files, &running->env.tls));
    return rpc_tls_context_check_own(running->env.tls, vy_config_text(config, "cluster.name"),
                                     vy_config_text(config, "node.name"));
}

static void set_log(struct running *running)
{
    const struct vy_config *config = running->env.config;
    running->log_context[0] = VY_CSTR("sys.node", vy_config_text(config, "node.name"));
    running->log = (struct vy_log){
        .sink = vy_log_sink_stderr(),
        .clock = vy_clock_system(),
        .level = VY_LOG_INFO,
        .context = running->log_context,
        .context_count = 1,
    };
    const char *format = vy_config_text(config, "log.format");
    running->log.format = strcmp(format, "json") == 0 ? VY_LOG_JSON : VY_LOG_LOGFMT;
    const bool is_level =
        vy_log_parse_level(vy_cstr(vy_config_text(config, "log.level")), &running->log.level);
    VY_ASSERT(is_level); /* one of the choices of the table */
}

static struct vy_err build(struct running *running)
{
    limit_process();
    VY_TRY(vy_loop_uv_new(&running->env.loop));
    VY_TRY(vy_loop_uv_on_signal(running->env.loop, on_signal, running));
    VY_TRY(vy_metrics_new(&running->env.metrics));
    running->ready_timer = vy_timer_new(running->env.loop, on_ready_timer, running);
    if (running->ready_timer == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer");
    }
    VY_TRY(open_tls(running));
    if (running->env.is_all_in_one) {
        VY_TRY(rpc_inproc_new(&running->env.inproc));
    }
    for (size_t i = 0; i < running->program->role_count; i++) {
        const struct vy_err err =
            running->program->roles[i]->start(&running->env, &running->roles[i]);
        if (vy_failed(err)) {
            vy_log(&running->log, VY_LOG_ERROR, "program.start.failed",
                   VY_CSTR("sys.role", running->program->roles[i]->name), VY_LOG_ERR(err));
            return err;
        }
        running->role_count++;
    }
    VY_TRY(open_ops(running));
    return write_pid_file(running);
}

static void tear_down(struct running *running)
{
    for (size_t i = PROGRAM_ROLES_MAX; i-- > 0;) {
        if (running->roles[i] != NULL) {
            running->roles[i]->ops->free(running->roles[i]);
        }
    }
    ops_server_free(running->ops);
    rpc_inproc_free(running->env.inproc);
    rpc_tls_context_free(running->env.tls);
    if (running->ready_timer != NULL) {
        vy_timer_free(running->ready_timer);
    }
    vy_metrics_free(running->env.metrics);
    if (running->env.loop != NULL) {
        vy_loop_uv_free(running->env.loop);
    }
}

/* The roles that started before the one that failed stop in order, as at any end. */
static void stop_after_failure(void *arg)
{
    stop_roles(arg);
}

/* C4: allowed for trying out, but nobody should be surprised. */
static void warn_of_memory_disk(const struct running *running)
{
    const char *path = vy_config_text(running->program->config, "data.dir");
    struct statfs info;
    if (path != NULL && statfs(path, &info) == 0 &&
        (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC)) {
        vy_log(&running->log, VY_LOG_WARN, "program.data.volatile", VY_CSTR("sys.path", path),
               VY_CSTR("sys.reason", "on a memory disk (tmpfs): all of it is gone after a restart "
                                     "of the machine; give data.dir a real disk"));
    }
}

int program_run(const struct program *program)
{
    VY_ASSERT(program->role_count <= PROGRAM_ROLES_MAX);
    struct running running = {
        .program = program,
        .env = {.clock = vy_clock_system(),
                .rng = vy_rng_system(),
                .config = program->config,
                .is_all_in_one = program->role_count > 1},
    };
    running.env.log = &running.log;
    set_log(&running);
    vy_log(&running.log, VY_LOG_INFO, "program.start.ok", VY_CSTR("sys.program", program->name),
           VY_CSTR("sys.version", VOLARY_VERSION),
           VY_HEX("sys.config", vy_config_hash(program->config)));
    const struct vy_err err = build(&running);
    if (vy_failed(err)) {
        vy_log(&running.log, VY_LOG_ERROR, "program.start.ended", VY_LOG_ERR(err));
        running.exit_code = 1;
        if (running.role_count > 0) {
            vy_loop_post(running.env.loop, stop_after_failure, &running);
            vy_loop_uv_run(running.env.loop);
        }
    } else {
        warn_of_memory_disk(&running);
        vy_timer_start(running.ready_timer, 0);
        vy_loop_uv_run(running.env.loop);
        vy_log(&running.log, VY_LOG_INFO, "program.stop.ok");
    }
    tear_down(&running);
    return running.exit_code;
}

/* ---- the command line of a role binary ---- */

struct arguments {
    const char *config;
    const char *check_dir; /* NULL: no check of a directory */
    bool check_only;
    bool is_done; /* --help, --version: all was said */
};

static void print_help(const struct role_ops *role)
{
    printf("Usage: volary-%s --config FILE [--check-config]\n", role->name);
    if (role->check != NULL) {
        printf("       volary-%s check DIR\n", role->name);
    }
    printf("\n"
           "  --config FILE    YAML; every key can also be a variable: "
           "VOLARY_RAFT__ELECTION_TIMEOUT_MS\n"
           "  --check-config   check the configuration and stop\n"
           "  --version        print the version and stop\n");
    if (role->check != NULL) {
        printf(
            "\n"
            "  check DIR        read all data of a stopped process and compare it with itself; DIR "
            "is its data.dir.\n"
            "                   Changes nothing. Exit code 0: nothing found, 9: problems, on "
            "stdout\n");
    }
    printf("\n"
           "Logs go to stderr. When it serves, one line of JSON with the ports goes to stdout.\n"
           "SIGTERM finishes what was accepted and ends the process; SIGHUP reads FILE again. "
           "`deploy/cluster config` writes\n"
           "configuration files that work together.\n");
}

static int parse_arguments(int argc, char **argv, const struct role_ops *role,
                           struct arguments *out)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(role);
            out->is_done = true;
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("volary-%s %s\n", role->name, VOLARY_VERSION);
            out->is_done = true;
        } else if (strcmp(argv[i], "--check-config") == 0) {
            out->check_only = true;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            out->config = argv[++i];
        } else if (i == 1 && strcmp(argv[i], "check") == 0 && role->check != NULL && argc == 3) {
            out->check_dir = argv[++i];
        } else {
            fprintf(stderr, "error: '%.100s' is not understood; try: volary-%s --help\n", argv[i],
                    role->name);
            return 2;
        }
    }
    return 0;
}

struct vy_config *program_load_config(unsigned roles, const char *path)
{
    const struct vy_config_spec spec = {
        .keys = settings_keys, .count = settings_key_count, .role = roles};
    struct vy_config *config = NULL;
    struct vy_buf report;
    vy_buf_init(&report, REPORT_BYTES_MAX);
    const struct vy_err err =
        vy_config_load(&spec, path, (const char *const *)environ, &report, &config);
    fprintf(stderr, "%.*s", VY_PRI(vy_buf_bytes(&report)));
    vy_buf_deinit(&report);
    if (vy_failed(err)) {
        fprintf(stderr, "error: the configuration cannot be used (%s)\n", vy_code_text(err.code));
        return NULL;
    }
    return config;
}

int program_main(int argc, char **argv, const struct role_ops *role)
{
    struct arguments arguments = {0};
    const int usage = parse_arguments(argc, argv, role, &arguments);
    if (usage != 0 || arguments.is_done) {
        return usage;
    }
    if (arguments.check_dir != NULL) {
        return role->check(arguments.check_dir);
    }
    struct vy_config *config = program_load_config(role->settings, arguments.config);
    if (config == NULL) {
        return 1;
    }
    int exit_code = 0;
    if (arguments.check_only) {
        printf("%s: ok\n", arguments.config == NULL ? "environment" : arguments.config);
    } else {
        char name[64];
        (void)snprintf(name, sizeof(name), "volary-%s", role->name);
        const struct program program = {.name = name,
                                        .roles = &role,
                                        .role_count = 1,
                                        .config = config,
                                        .config_path = arguments.config,
                                        .settings = role->settings};
        exit_code = program_run(&program);
    }
    vy_config_free(config);
    return exit_code;
}
