/* SPDX-License-Identifier: Apache-2.0 */
/* An export of the audit chain from anywhere: checked, never believed further than it was read. */
#include "base/assert.h"
#include "meta/audit_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[32] = {1};
    struct vy_bytes rest = vy_bytes(data, size);
    struct audit_file *file = NULL;
    struct audit_file_result result;
    if (vy_failed(audit_file_new(&file))) {
        return 0;
    }
    while (rest.len > 0) {
        audit_file_line(file, vy_bytes_cut(&rest, '\n'));
    }
    audit_file_finish(file, vy_bytes(key, size % 2 == 0 ? sizeof(key) : 0), &result);
    VY_ASSERT(result.is_intact == (result.reason == NULL));
    VY_ASSERT(!result.is_intact || result.record_count > 0 || result.last_sequence == 0);
    VY_ASSERT(size % 2 != 0 || !result.is_intact); /* nobody has signed with that key */
    audit_file_free(file);
    return 0;
}
