/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/store_fixture.h"

#include <ftw.h>
#include <unistd.h>

#define ROWS_TEXT_MAX 65536U

static const struct store_family families[STORE_FIXTURE_FAMILIES] = {
    [FAMILY_ROWS] = {.name = "rows"         },
    [FAMILY_BLOBS] = { .name = "blobs", .blob_min_bytes = 1024},
    [FAMILY_PREFIX] = { .name = "prefix",      .prefix_bytes = 4},
};

void store_fixture_init(struct store_fixture *f, enum store_fixture_engine engine)
{
    *f = (struct store_fixture){.engine = engine, .family_count = STORE_FIXTURE_FAMILIES};
    if (engine == STORE_FIXTURE_MEM) {
        assert_false(vy_failed(store_mem_disk_new(&f->disk)));
        return;
    }
    (void)snprintf(f->parent, sizeof(f->parent), "/tmp/volary-store-XXXXXX");
    assert_non_null(mkdtemp(f->parent));
    (void)snprintf(f->dir, sizeof(f->dir), "%s/db", f->parent);
}

struct vy_err store_fixture_try_open(struct store_fixture *f, bool must_exist)
{
    const struct store_options options = {.dir = f->dir,
                                          .families = families,
                                          .family_count = f->family_count,
                                          .must_exist = must_exist,
                                          .reason = f->reason};
    return f->engine == STORE_FIXTURE_MEM ? store_mem_open_as(f->disk, &options, &f->store)
                                          : store_rocks_open(&options, &f->store);
}

void store_fixture_open(struct store_fixture *f)
{
    const struct vy_err err = store_fixture_try_open(f, false);
    if (vy_failed(err)) {
        fail_msg("open: %s: %s", vy_code_name(err.code), err.what);
    }
}

void store_fixture_close(struct store_fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

void store_fixture_deinit(struct store_fixture *f)
{
    store_fixture_close(f);
    store_mem_disk_free(f->disk);
    if (f->engine == STORE_FIXTURE_ROCKS) {
        assert_int_equal(nftw(f->parent, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
    }
}

void store_fixture_put(struct store_fixture *f, unsigned family, const char *key, const char *value)
{
    struct store_batch *batch = NULL;
    assert_false(vy_failed(store_batch_new(f->store, &batch)));
    store_batch_put(batch, family, vy_cstr(key), vy_cstr(value));
    assert_false(vy_failed(store_write(f->store, batch, false)));
    store_batch_free(batch);
}

void store_fixture_check(struct store_fixture *f, unsigned family, const char *key,
                         const char *value)
{
    struct store_value found = {.is_found = false};
    assert_false(vy_failed(store_get(store_newest(f->store), family, vy_cstr(key), &found)));
    assert_int_equal(found.is_found, value != NULL);
    if (value != NULL) {
        assert_true(vy_bytes_equal(found.bytes, vy_cstr(value)));
    }
    store_value_release(&found);
}

const char *store_fixture_rows(const struct store_reader *reader, unsigned family, const char *from,
                               const char *to, bool is_reverse)
{
    static char text[ROWS_TEXT_MAX];
    size_t len = 0;
    const struct store_range range = {
        .from = vy_cstr(from), .to = vy_cstr(to), .is_reverse = is_reverse};
    struct store_iter *iter = NULL;
    assert_false(vy_failed(store_iter_new(reader, family, &range, &iter)));
    text[0] = '\0';
    for (; iter->is_valid; store_iter_next(iter)) {
        const int added = snprintf(text + len, sizeof(text) - len, "%.*s=%.*s ", VY_PRI(iter->key),
                                   VY_PRI(iter->value));
        assert_true(added > 0 && (size_t)added < sizeof(text) - len);
        len += (size_t)added;
    }
    assert_false(vy_failed(store_iter_error(iter)));
    store_iter_free(iter);
    return text;
}
