/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/check.h"

#include "replica/log.h"
#include "replica/replica_private.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define PROGRESS_BYTES (256ULL * 1024 * 1024)
#define CHECK_MEMORY_BYTES (64ULL * 1024 * 1024)
#define CHECK_PATH_BYTES_MAX 4096U

void check_problem(struct check *check, const char *format, ...)
{
    char text[CHECK_TEXT_BYTES_MAX];
    va_list args;
    check->problem_count++;
    if (check->problem_count > CHECK_PROBLEMS_TOLD_MAX) {
        return;
    }
    va_start(args, format);
    const int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    check->on_problem(check->arg, vy_bytes(text, VY_MIN((size_t)VY_MAX(len, 0), sizeof(text) - 1)));
}

void check_count_row(struct check *check, const char *what, size_t bytes)
{
    const uint64_t before = check->byte_count / PROGRESS_BYTES;
    check->row_count++;
    check->byte_count += bytes;
    if (check->byte_count / PROGRESS_BYTES != before) {
        check->on_progress(check->arg, check, what);
    }
}

/* What damage makes of a read is a finding; everything else ends the check. */
static struct vy_err note_damage(struct check *check, const char *where, struct vy_err err)
{
    if (err.code == VY_CODE_CORRUPT) {
        check_problem(check, "%s: %s", where, err.what);
        return vy_ok();
    }
    return err;
}

/* ---- the engine's rows ---- */

static struct vy_err check_entries(const struct store_reader *reader,
                                   const struct log_loaded *loaded, struct check *check)
{
    for (size_t i = 0; i < loaded->row_count; i++) {
        char where[64];
        struct entry *entry = NULL;
        const uint64_t index = loaded->base.index + 1 + i;
        const struct vy_err err = log_read_entry(reader, index, true, &entry);
        entry_unref(entry);
        (void)snprintf(where, sizeof(where), "entry %llu of the log", (unsigned long long)index);
        VY_TRY(note_damage(check, where, err));
    }
    return vy_ok();
}

static struct vy_err check_log(const struct store_reader *reader, struct check *check)
{
    struct log_spans spans;
    struct log_loaded loaded = {.rows = NULL};
    log_spans_init(&spans, 1, 1, 1, 1);
    const struct vy_err err = log_load(reader, &spans, &loaded);
    if (vy_failed(err)) {
        return note_damage(check, "log", err);
    }
    if (check->applied_index > log_loaded_last(&loaded)) {
        check_problem(check, "log: it ends at %llu, but %llu is applied",
                      (unsigned long long)log_loaded_last(&loaded),
                      (unsigned long long)check->applied_index);
    }
    if (check->applied_index < loaded.base.index) {
        check_problem(check, "log: it begins behind %llu, but only %llu is applied",
                      (unsigned long long)loaded.base.index,
                      (unsigned long long)check->applied_index);
    }
    const struct vy_err read = check_entries(reader, &loaded, check);
    log_loaded_deinit(&loaded);
    return read;
}

static struct vy_err check_engine(const struct store_reader *reader, struct check *check)
{
    bool is_found = false;
    struct writer_applied applied = {.index = 0};
    VY_TRY(note_damage(check, "identity", identity_read(reader, &check->identity, &is_found)));
    if (!is_found) {
        check_problem(check, "identity: the database belongs to no member");
    }
    VY_TRY(note_damage(check, "applied index", writer_load_applied(reader, &applied)));
    check->applied_index = applied.index;
    return check_log(reader, check);
}

/* ---- every row ---- */

static struct vy_err read_family(const struct store_reader *reader, unsigned family,
                                 const char *name, struct check *check)
{
    const struct store_range all = {.is_reverse = false};
    struct store_iter *iter = NULL;
    VY_TRY(store_iter_new(reader, family, &all, &iter));
    for (; iter->is_valid; store_iter_next(iter)) {
        check_count_row(check, name, iter->key.len + iter->value.len);
    }
    const struct vy_err err = store_iter_error(iter);
    store_iter_free(iter);
    return err;
}

static struct vy_err read_families(const struct store_reader *reader,
                                   const struct store_family *families, size_t count,
                                   struct check *check)
{
    for (unsigned i = 0; i < count; i++) {
        char where[64];
        (void)snprintf(where, sizeof(where), "family %s", families[i].name);
        check->on_progress(check->arg, check, families[i].name);
        VY_TRY(note_damage(check, where, read_family(reader, i, families[i].name, check)));
    }
    return vy_ok();
}

static struct vy_err check_store(const struct check_config *config,
                                 const struct store_family *families, size_t count,
                                 struct store *store, struct check *check)
{
    const struct store_reader *reader = store_newest(store);
    VY_TRY(check_engine(reader, check));
    VY_TRY(read_families(reader, families, count, check));
    if (config->check_tables == NULL) {
        return vy_ok();
    }
    check->on_progress(check->arg, check, "tables");
    return note_damage(check, "tables", config->check_tables(reader, check));
}

struct vy_err check_directory(const struct check_config *config, struct check *check)
{
    struct store_family families[STORE_FAMILIES_MAX];
    const struct replica_fsm fsm = {.families = config->families,
                                    .family_count = config->family_count};
    size_t count = 0;
    VY_TRY(identity_list_families(&fsm, families, &count));
    const struct store_options options = {.dir = config->dir,
                                          .families = families,
                                          .family_count = count,
                                          .memory_bytes = CHECK_MEMORY_BYTES,
                                          .is_read_only = true};
    struct store *store = NULL;
    const struct vy_err err = store_rocks_open(&options, &store);
    if (vy_failed(err)) {
        return note_damage(check, "database", err);
    }
    const struct vy_err checked = check_store(config, families, count, store, check);
    store_close(store);
    return checked;
}

/* ---- the command ---- */

static void print_problem(void *arg, struct vy_bytes text)
{
    (void)arg;
    printf("problem: %.*s\n", VY_PRI(text));
}

static void print_progress(void *arg, const struct check *check, const char *what)
{
    (void)arg;
    fprintf(stderr, "reading %s: %llu rows, %llu MiB so far\n", what,
            (unsigned long long)check->row_count, (unsigned long long)(check->byte_count >> 20));
}

/* DIR may be data.dir; a database has a file CURRENT. */
static const char *find_database(const char *dir, const char *inside, char *path, size_t path_bytes)
{
    (void)snprintf(path, path_bytes, "%s/%s/CURRENT", dir, inside);
    if (access(path, F_OK) != 0) {
        return dir;
    }
    (void)snprintf(path, path_bytes, "%s/%s", dir, inside);
    return path;
}

static int report_failure(const char *dir, struct vy_err err)
{
    switch (err.code) {
    case VY_CODE_NOT_FOUND:
        fprintf(stderr, "error: %s holds no database; give data.dir of the process\n", dir);
        return 3;
    case VY_CODE_BUSY:
        fprintf(stderr, "error: %s is in use; stop the process first\n", dir);
        return 1;
    default:
        fprintf(stderr, "error: %s cannot be checked: %s (%s)\n", dir, err.what,
                vy_code_text(err.code));
        return 1;
    }
}

int check_main(const char *dir, const char *inside, const struct check_config *config)
{
    char path[CHECK_PATH_BYTES_MAX];
    struct check_config found = *config;
    struct check check = {.on_problem = print_problem, .on_progress = print_progress};
    found.dir = find_database(dir, inside, path, sizeof(path));
    const struct vy_err err = check_directory(&found, &check);
    if (vy_failed(err)) {
        return report_failure(found.dir, err);
    }
    if (check.problem_count > CHECK_PROBLEMS_TOLD_MAX) {
        printf("and %llu more problems\n",
               (unsigned long long)(check.problem_count - CHECK_PROBLEMS_TOLD_MAX));
    }
    printf("%s: member %016llx, applied index %llu, %llu rows, %llu bytes: ", found.dir,
           (unsigned long long)check.identity.member_id, (unsigned long long)check.applied_index,
           (unsigned long long)check.row_count, (unsigned long long)check.byte_count);
    if (check.problem_count == 0) {
        printf("no problem found\n");
        return 0;
    }
    printf("%llu problems; replace this member: `volaryctl member replace --help`\n",
           (unsigned long long)check.problem_count);
    return 9;
}
