/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/data_dir.h"

#include <errno.h>
#include <sys/stat.h>

#include "proto/key_mark.h"

static struct vy_err load_key(const struct vy_config *config, const struct vy_log *log,
                              struct cluster_key **out)
{
    const char *path = vy_config_text(config, "data.key_file");
    struct cluster_key *key = NULL;
    struct vy_err err = cluster_key_load(path, &key);
    if (!vy_failed(err)) {
        err = key_mark_check(key, vy_config_text(config, "data.dir"));
    }
    if (vy_failed(err)) {
        vy_log(log, VY_LOG_ERROR, "data.key.refused", VY_CSTR("sys.path", path), VY_LOG_ERR(err));
        cluster_key_free(key);
        return err;
    }
    *out = key;
    return vy_ok();
}

static struct vy_err make_directory(const struct vy_config *config, const struct vy_log *log)
{
    const char *path = vy_config_text(config, "data.dir");
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        return vy_ok();
    }
    const struct vy_err err = vy_error_sys(VY_CODE_IO, errno, "data.dir cannot be made");
    vy_log(log, VY_LOG_ERROR, "data.directory.failed", VY_CSTR("sys.path", path), VY_LOG_ERR(err));
    return err;
}

struct vy_err data_dir_open(const struct vy_config *config, const struct vy_log *log,
                            struct cluster_key **out)
{
    struct cluster_key *key = NULL;
    VY_TRY(load_key(config, log, &key));
    const struct vy_err err = make_directory(config, log);
    if (vy_failed(err)) {
        cluster_key_free(key);
        return err;
    }
    *out = key;
    return vy_ok();
}
