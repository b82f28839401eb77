/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files of any bytes: typed values or a report, never both or neither (C1). */
#include "base/assert.h"
#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vy_config_key keys[] = {
    {.name = "data_dir",          .type = VY_CONFIG_PATH      },
    {                        .name = "cluster.members",  .type = VY_CONFIG_RECORDS, .fields = "id address role?"},
    {                        .name = "cluster.key",   .type = VY_CONFIG_STRING,            .is_secret = true},
    {                        .name = "raft.tick", .type = VY_CONFIG_DURATION,                     .min = 1, .max = 60000},
    {            .name = "cache.size",        .type = VY_CONFIG_SIZE,       .bare_unit = 1},
    {.name = "log.level",         .type = VY_CONFIG_STRING,     .choices = "info|debug"},
    {   .name = "tls.required",      .type = VY_CONFIG_BOOL      },
    {                     .name = "lmtp.networks",     .type = VY_CONFIG_LIST,        .default_text = "::1"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vy_config_spec spec = {.keys = keys, .count = VY_COUNT_OF(keys)};
    struct vy_config *config = NULL;
    struct vy_buf report;
    vy_buf_init(&report, 65536);
    const struct vy_err err =
        vy_config_parse(&spec, "fuzz", vy_bytes(data, size), NULL, &report, &config);
    VY_ASSERT(!vy_failed(vy_buf_error(&report)));
    VY_ASSERT(vy_failed(err) == (vy_buf_len(&report) > 0));
    VY_ASSERT(vy_failed(err) == (config == NULL));
    vy_config_free(config);
    vy_buf_deinit(&report);
    return 0;
}
