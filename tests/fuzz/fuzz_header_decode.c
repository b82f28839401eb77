/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a header value: decoded text is UTF-8 without controls (M9), parameters are bounded
 * (M5). */
#include "base/assert.h"
#include "base/codec.h"
#include "mail/encoded_word.h"
#include "mail/param.h"
#include "mail/search_text.h"
#include "mail/subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clean(struct vy_bytes text)
{
    uint32_t codepoint = 0;
    VY_ASSERT(vy_utf8_is_valid(text));
    for (size_t at = 0; vy_utf8_next(text, &at, &codepoint);) {
        VY_ASSERT(codepoint == '\t' ||
                  (codepoint >= 0x20 && (codepoint < 0x7F || codepoint >= 0xA0)));
    }
}

static void fuzz_params(struct vy_bytes value)
{
    struct vy_arena arena;
    struct param_field field;
    struct vy_buf text;
    vy_arena_init(&arena, 16U * 1024U * 1024U);
    vy_buf_init(&text, 16U * 1024U * 1024U);
    if (!vy_failed(param_parse(&arena, value, &field))) {
        VY_ASSERT(field.params.count <= PARAM_COUNT_MAX);
        for (size_t i = 0; i < field.params.count; i++) {
            vy_buf_reset(&text);
            (void)param_append_decoded(&text, &field.params, field.params.items[i].name);
            check_clean(vy_buf_bytes(&text));
        }
        (void)param_append_decoded(&text, &field.params, VY_LIT("name"));
    }
    vy_buf_deinit(&text);
    vy_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vy_bytes value = vy_bytes(data, size);
    struct vy_buf text;
    struct vy_buf more;
    vy_buf_init(&text, 16U * 1024U * 1024U);
    vy_buf_init(&more, 256U * 1024U * 1024U);
    encoded_word_decode(&text, value);
    check_clean(vy_buf_bytes(&text));
    subject_append_base(&more, vy_buf_bytes(&text), NULL);
    VY_ASSERT(vy_buf_len(&more) <= vy_buf_len(&text));
    search_text_append_field(&more, value);
    search_text_strip_html(&more, vy_buf_bytes(&text));
    VY_ASSERT(vy_utf8_is_valid(vy_buf_bytes(&more)));
    vy_buf_deinit(&text);
    vy_buf_deinit(&more);
    fuzz_params(value);
    return 0;
}
