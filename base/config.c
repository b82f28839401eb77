/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/config_private.h"
#include "base/map.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_ARENA_BYTES_MAX (8U * 1024U * 1024U)
#define FAULT_BYTES_MAX 512U

/* ---- the table ---- */

size_t config_find_key(const struct vy_config_spec *spec, struct vy_bytes name)
{
    for (size_t i = 0; i < spec->count; i++) {
        if (vy_bytes_equal(vy_cstr(spec->keys[i].name), name)) {
            return i;
        }
    }
    return CONFIG_NOT_FOUND;
}

bool config_is_section(const struct vy_config_spec *spec, struct vy_bytes name)
{
    for (size_t i = 0; i < spec->count; i++) {
        const struct vy_bytes key = vy_cstr(spec->keys[i].name);
        if (key.len > name.len && vy_bytes_starts_with(key, name) && key.data[name.len] == '.') {
            return true;
        }
    }
    return false;
}

/* ---- faults ---- */

bool config_has_room_for_faults(const struct config_loader *loader)
{
    return loader->error_count < VY_CONFIG_ERRORS_MAX;
}

/* The file's text may stand in a fault; a terminal must not obey it. */
static void append_printable(struct vy_buf *out, struct vy_bytes text)
{
    size_t at = 0;
    uint32_t codepoint = 0;
    while (vy_utf8_next(text, &at, &codepoint)) {
        const bool is_control = codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0) ||
                                (codepoint >= 0x2028 && codepoint <= 0x202E);
        vy_utf8_append(out, is_control ? '?' : codepoint);
    }
}

void config_fault(struct config_loader *loader, struct vy_bytes name, const char *format, ...)
{
    char what[FAULT_BYTES_MAX];
    va_list args;
    if (!config_has_room_for_faults(loader)) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    loader->error_count++;
    append_printable(loader->report, vy_cstr(loader->source));
    if (loader->line > 0) {
        vy_buf_printf(loader->report, ":%u", loader->line);
    }
    vy_buf_append_cstr(loader->report, ": ");
    if (name.len > 0) {
        append_printable(loader->report, vy_bytes_slice(name, 0, VY_CONFIG_NAME_BYTES_MAX));
        vy_buf_append_cstr(loader->report, ": ");
    }
    append_printable(loader->report, vy_cstr(what));
    vy_buf_append_byte(loader->report, '\n');
    if (!config_has_room_for_faults(loader)) {
        vy_buf_append_cstr(loader->report, "further faults are not shown\n");
    }
}

void config_fault_unknown(struct config_loader *loader, struct vy_bytes name)
{
    size_t len = 0;
    const char *nearest = vy_config_nearest(&loader->config->spec, name, &len);
    if (nearest == NULL) {
        config_fault(loader, name, "unknown key");
    } else {
        config_fault(loader, name, "unknown key; did you mean %.*s?", (int)len, nearest);
    }
}

/* ---- environment ---- */

/* "RAFT__ELECTION_TIMEOUT_MS" -> "raft.election_timeout_ms". False: too long to be a key. */
static bool name_from_variable(struct vy_bytes variable, uint8_t name[VY_CONFIG_NAME_BYTES_MAX],
                               size_t *out_len)
{
    size_t len = 0;
    for (size_t i = 0; i < variable.len; i++) {
        const bool is_dot =
            i > 0 && i + 2 < variable.len && variable.data[i] == '_' && variable.data[i + 1] == '_';
        if (len == VY_CONFIG_NAME_BYTES_MAX) {
            return false;
        }
        name[len++] = is_dot ? (uint8_t)'.' : vy_ascii_lower(variable.data[i]);
        i += is_dot ? 1 : 0;
    }
    *out_len = len;
    return true;
}

static void set_from_environment(struct config_loader *loader, size_t key, struct vy_bytes text)
{
    const enum vy_config_type type = loader->config->spec.keys[key].type;
    struct config_value *value = &loader->config->values[key];
    if (value->is_from_env) {
        config_fault(loader, vy_cstr(loader->config->spec.keys[key].name), "is set twice");
        return;
    }
    value->is_from_env = true;
    if (type == VY_CONFIG_LIST) {
        config_set_list(loader, key, text);
    } else {
        config_set_scalar(loader, key, text);
    }
}

/* VOLARY_X_FILE names a file with a secret (C2: only its owner may read it). */
static void set_from_secret_file(struct config_loader *loader, size_t key, struct vy_bytes path)
{
    const struct vy_bytes name = vy_cstr(loader->config->spec.keys[key].name);
    const char *file = vy_arena_cstr(&loader->config->arena, path);
    struct vy_secret *secret = NULL;
    if (file == NULL || vy_bytes_find_byte(path, 0, 0) != SIZE_MAX) {
        config_fault(loader, name, "file name is too long");
        return;
    }
    const struct vy_err err = vy_secret_read_file(file, &secret);
    if (vy_failed(err)) {
        config_fault(loader, name, "cannot read %s: %s%s%s", file, err.what,
                     err.sys == 0 ? "" : ": ", err.sys == 0 ? "" : strerrordesc_np(err.sys));
        return;
    }
    set_from_environment(loader, key, vy_secret_bytes(secret));
    vy_secret_free(secret);
}

static void take_variable(struct config_loader *loader, struct vy_bytes variable,
                          struct vy_bytes value)
{
    const struct vy_config_spec *spec = &loader->config->spec;
    const bool must_exist = vy_bytes_find(variable, VY_LIT("__"), 0) != SIZE_MAX;
    uint8_t bytes[VY_CONFIG_NAME_BYTES_MAX];
    struct vy_bytes name = {.data = bytes};
    if (!name_from_variable(variable, bytes, &name.len)) {
        if (must_exist) {
            config_fault(loader, variable, "is too long for a key");
        }
        return;
    }
    const size_t key = config_find_key(spec, name);
    if (key != CONFIG_NOT_FOUND) {
        set_from_environment(loader, key, value);
        return;
    }
    if (vy_bytes_ends_with(name, VY_LIT("_file"))) {
        const size_t secret = config_find_key(spec, vy_bytes_slice(name, 0, name.len - 5));
        if (secret != CONFIG_NOT_FOUND && spec->keys[secret].is_secret) {
            set_from_secret_file(loader, secret, value);
            return;
        }
    }
    if (must_exist) {
        config_fault_unknown(loader, name);
    }
}

void config_read_environment(struct config_loader *loader, const char *const *environment)
{
    const struct vy_bytes prefix = VY_LIT("VOLARY_");
    for (; *environment != NULL && config_has_room_for_faults(loader); environment++) {
        struct vy_bytes value = vy_cstr(*environment);
        const struct vy_bytes name = vy_bytes_cut(&value, '=');
        if (vy_bytes_starts_with(name, prefix)) {
            take_variable(loader, vy_bytes_from(name, prefix.len), value);
        }
    }
}

/* ---- loading ---- */

static void set_defaults(struct config_loader *loader)
{
    const struct vy_config_spec *spec = &loader->config->spec;
    loader->source = "built-in default";
    for (size_t i = 0; i < spec->count; i++) {
        const char *text = spec->keys[i].default_text;
        VY_ASSERT(strlen(spec->keys[i].name) <= VY_CONFIG_NAME_BYTES_MAX);
        if (text != NULL && spec->keys[i].type == VY_CONFIG_LIST) {
            config_set_list(loader, i, vy_cstr(text));
        } else if (text != NULL) {
            config_set_scalar(loader, i, vy_cstr(text));
        }
    }
    VY_ASSERT(loader->error_count == 0 || loader->is_out_of_memory); /* the table is ours */
}

static void check_required(struct config_loader *loader, const char *source)
{
    const struct vy_config_spec *spec = &loader->config->spec;
    loader->source = source;
    loader->line = 0;
    for (size_t i = 0; i < spec->count; i++) {
        const struct vy_config_key *key = &spec->keys[i];
        const bool is_ours = key->roles == 0 || (key->roles & spec->role) != 0;
        if (key->is_required && is_ours && !loader->config->values[i].is_set) {
            config_fault(loader, vy_cstr(key->name), "must be set");
        }
    }
}

static struct vy_config *config_new(const struct vy_config_spec *spec)
{
    struct vy_config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        return NULL;
    }
    config->spec = *spec;
    vy_arena_init(&config->arena, CONFIG_ARENA_BYTES_MAX);
    config->values = VY_ARENA_ARRAY(&config->arena, spec->count, struct config_value);
    if (config->values == NULL) {
        vy_config_free(config);
        return NULL;
    }
    return config;
}

void vy_config_free(struct vy_config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; config->values != NULL && i < config->spec.count; i++) {
        vy_secret_free(config->values[i].secret);
    }
    vy_arena_deinit(&config->arena);
    free(config);
}

struct source {
    const char *path;
    bool has_text;
    bool is_open_to_others;
    struct vy_bytes text;
};

static struct vy_err load(const struct vy_config_spec *spec, const struct source *source,
                          const char *const *environment, struct vy_buf *report,
                          struct vy_config **out)
{
    struct vy_config *config = config_new(spec);
    if (config == NULL) {
        return vy_error(VY_CODE_NOMEM, "configuration");
    }
    struct config_loader loader = {
        .config = config, .report = report, .is_file_open_to_others = source->is_open_to_others};
    set_defaults(&loader);
    loader.source = source->path;
    if (source->has_text) {
        config_read_yaml(&loader, source->text);
    }
    loader.source = "environment";
    loader.line = 0;
    if (environment != NULL) {
        config_read_environment(&loader, environment);
    }
    check_required(&loader, source->path == NULL ? "configuration" : source->path);
    if (loader.error_count > 0 || loader.is_out_of_memory) {
        vy_config_free(config);
        return loader.is_out_of_memory ? vy_error(VY_CODE_NOMEM, "configuration")
                                       : vy_error(VY_CODE_ARGUMENT, "configuration");
    }
    *out = config;
    return vy_ok();
}

struct vy_err vy_config_parse(const struct vy_config_spec *spec, const char *path,
                              struct vy_bytes text, const char *const *environment,
                              struct vy_buf *report, struct vy_config **out)
{
    const struct source source = {.path = path, .has_text = true, .text = text};
    if (text.len > VY_CONFIG_FILE_BYTES_MAX) {
        vy_buf_printf(report, "%s: the file is larger than 1 MiB\n", path);
        return vy_error(VY_CODE_ARGUMENT, "configuration");
    }
    return load(spec, &source, environment, report, out);
}

static const char *read_file(const char *path, struct vy_buf *text, mode_t *mode)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0) {
        return strerrordesc_np(errno);
    }
    const char *fault = fstat(fd, &st) != 0    ? strerrordesc_np(errno)
                        : !S_ISREG(st.st_mode) ? "is not a file"
                        : st.st_size > (off_t)VY_CONFIG_FILE_BYTES_MAX
                            ? "the file is larger than 1 MiB"
                            : NULL;
    *mode = st.st_mode;
    while (fault == NULL) {
        uint8_t *room = vy_buf_reserve(text, 4096);
        const ssize_t got = room == NULL ? -1 : read(fd, room, 4096);
        fault = room == NULL ? "the file is larger than 1 MiB"
                : got < 0    ? strerrordesc_np(errno)
                             : NULL;
        if (got <= 0) {
            break;
        }
        vy_buf_added(text, (size_t)got);
    }
    (void)close(fd);
    return fault;
}

struct vy_err vy_config_load(const struct vy_config_spec *spec, const char *path,
                             const char *const *environment, struct vy_buf *report,
                             struct vy_config **out)
{
    struct vy_buf text;
    mode_t mode = 0;
    if (path == NULL) {
        return load(spec, &(struct source){.path = NULL}, environment, report, out);
    }
    vy_buf_init(&text, VY_CONFIG_FILE_BYTES_MAX + 8192);
    const char *fault = read_file(path, &text, &mode);
    struct vy_err err = vy_error(VY_CODE_ARGUMENT, "configuration");
    if (fault == NULL && vy_buf_len(&text) > VY_CONFIG_FILE_BYTES_MAX) {
        fault = "the file is larger than 1 MiB";
    }
    if (fault != NULL) {
        vy_buf_printf(report, "%s: %s\n", path, fault);
    } else {
        const struct source source = {.path = path,
                                      .has_text = true,
                                      .is_open_to_others = (mode & (S_IRWXG | S_IRWXO)) != 0,
                                      .text = vy_buf_bytes(&text)};
        err = load(spec, &source, environment, report, out);
    }
    vy_wipe(text.data, text.capacity); /* secrets may have stood there */
    vy_buf_deinit(&text);
    return err;
}

/* ---- reading ---- */

static const struct config_value *value_of(const struct vy_config *config, const char *name,
                                           unsigned types)
{
    const size_t key = config_find_key(&config->spec, vy_cstr(name));
    VY_ASSERT(key != CONFIG_NOT_FOUND);
    VY_ASSERT((1U << config->spec.keys[key].type & types) != 0);
    return &config->values[key];
}

bool vy_config_is_set(const struct vy_config *config, const char *name)
{
    return value_of(config, name, ~0U)->is_set;
}

const char *vy_config_text(const struct vy_config *config, const char *name)
{
    return value_of(config, name, 1U << VY_CONFIG_STRING | 1U << VY_CONFIG_PATH)->text;
}

bool vy_config_bool(const struct vy_config *config, const char *name)
{
    return value_of(config, name, 1U << VY_CONFIG_BOOL)->number != 0;
}

uint64_t vy_config_u64(const struct vy_config *config, const char *name)
{
    return value_of(config, name, 1U << VY_CONFIG_U64)->number;
}

uint64_t vy_config_ms(const struct vy_config *config, const char *name)
{
    return value_of(config, name, 1U << VY_CONFIG_DURATION)->number;
}

uint64_t vy_config_size(const struct vy_config *config, const char *name)
{
    return value_of(config, name, 1U << VY_CONFIG_SIZE)->number;
}

const char *const *vy_config_list(const struct vy_config *config, const char *name,
                                  size_t *out_count)
{
    const struct config_value *value = value_of(config, name, 1U << VY_CONFIG_LIST);
    *out_count = value->count;
    return value->items;
}

size_t vy_config_record_count(const struct vy_config *config, const char *name)
{
    return value_of(config, name, 1U << VY_CONFIG_RECORDS)->count;
}

const char *vy_config_record_field(const struct vy_config *config, const char *name, size_t index,
                                   const char *field)
{
    const struct config_value *value = value_of(config, name, 1U << VY_CONFIG_RECORDS);
    const size_t key = config_find_key(&config->spec, vy_cstr(name));
    const size_t at = config_field_index(&config->spec.keys[key], vy_cstr(field));
    VY_ASSERT(index < value->count);
    VY_ASSERT(at < VY_CONFIG_FIELDS_MAX);
    return value->records[index].fields[at];
}

const struct vy_secret *vy_config_secret(const struct vy_config *config, const char *name)
{
    return value_of(config, name, 1U << VY_CONFIG_STRING)->secret;
}
