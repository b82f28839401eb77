/* SPDX-License-Identifier: Apache-2.0 */
/* What two configurations or two names have in common, and the page of all keys. */
#include "base/assert.h"
#include "base/config_private.h"
#include "base/map.h"

/* ---- equal values ---- */

static bool text_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : vy_bytes_equal(vy_cstr(a), vy_cstr(b));
}

static bool secret_equal(const struct vy_secret *a, const struct vy_secret *b)
{
    return a == NULL || b == NULL ? a == b
                                  : vy_bytes_equal_secret(vy_secret_bytes(a), vy_secret_bytes(b));
}

static bool value_equal(const struct config_value *a, const struct config_value *b)
{
    if (a->is_set != b->is_set || a->number != b->number || a->count != b->count ||
        !text_equal(a->text, b->text) || !secret_equal(a->secret, b->secret)) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->items != NULL && !text_equal(a->items[i], b->items[i])) {
            return false;
        }
        for (size_t f = 0; a->records != NULL && f < VY_CONFIG_FIELDS_MAX; f++) {
            if (!text_equal(a->records[i].fields[f], b->records[i].fields[f])) {
                return false;
            }
        }
    }
    return true;
}

bool vy_config_needs_restart(const struct vy_config *before, const struct vy_config *after,
                             struct vy_buf *names)
{
    const struct vy_config_spec *spec = &before->spec;
    bool needs = false;
    VY_ASSERT(after->spec.keys == spec->keys);
    for (size_t i = 0; i < spec->count; i++) {
        const struct vy_config_key *key = &spec->keys[i];
        const bool is_ours = key->roles == 0 || (key->roles & spec->role) != 0;
        if (is_ours && !key->is_reloadable && !value_equal(&before->values[i], &after->values[i])) {
            vy_buf_append_cstr(names, key->name);
            vy_buf_append_byte(names, '\n');
            needs = true;
        }
    }
    return needs;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    return text == NULL ? vy_siphash(hash, VY_LIT("\xFF")) : vy_siphash(hash, vy_cstr(text));
}

static uint64_t mix_number(uint64_t hash, uint64_t number)
{
    uint8_t bytes[8];
    vy_put_be64(bytes, number);
    return vy_siphash(hash, vy_bytes(bytes, sizeof(bytes)));
}

static uint64_t mix_value(uint64_t hash, const struct config_value *value)
{
    hash = mix_text(hash, value->text);
    hash = mix_number(hash, value->number);
    hash = mix_number(hash, value->count);
    for (size_t i = 0; i < value->count; i++) {
        hash = value->items == NULL ? hash : mix_text(hash, value->items[i]);
        for (size_t f = 0; value->records != NULL && f < VY_CONFIG_FIELDS_MAX; f++) {
            hash = mix_text(hash, value->records[i].fields[f]);
        }
    }
    return hash;
}

uint64_t vy_config_hash(const struct vy_config *config)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < config->spec.count; i++) {
        hash = mix_text(hash, config->spec.keys[i].name);
        hash = mix_value(hash, &config->values[i]); /* a secret has no text */
    }
    return hash;
}

/* ---- near names ---- */

/* Levenshtein; both at most VY_CONFIG_NAME_BYTES_MAX. */
static size_t edit_distance(struct vy_bytes a, struct vy_bytes b)
{
    size_t row[VY_CONFIG_NAME_BYTES_MAX + 1];
    for (size_t i = 0; i <= b.len; i++) {
        row[i] = i;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            const size_t replace = diagonal + (a.data[i - 1] == b.data[k - 1] ? 0 : 1);
            diagonal = row[k];
            row[k] = VY_MIN(replace, VY_MIN(row[k], row[k - 1]) + 1);
        }
    }
    return row[b.len];
}

/* As many leading parts of `key` as `name` has: a wrong section is told by its own name. */
static struct vy_bytes leading_parts(struct vy_bytes key, struct vy_bytes name)
{
    size_t dots = 0;
    for (size_t i = 0; i < name.len; i++) {
        dots += name.data[i] == '.' ? 1 : 0;
    }
    for (size_t i = 0; i < key.len; i++) {
        if (key.data[i] == '.' && dots-- == 0) {
            return vy_bytes_slice(key, 0, i);
        }
    }
    return key;
}

static struct vy_bytes last_part(struct vy_bytes name)
{
    while (vy_bytes_find_byte(name, '.', 0) != SIZE_MAX) {
        (void)vy_bytes_cut(&name, '.');
    }
    return name;
}

const char *vy_config_nearest(const struct vy_config_spec *spec, struct vy_bytes name,
                              size_t *out_len)
{
    const char *best = NULL;
    const struct vy_bytes wanted = vy_bytes_slice(name, 0, VY_CONFIG_NAME_BYTES_MAX);
    size_t best_distance = VY_MAX(wanted.len / 3, (size_t)2) + 1;
    for (size_t i = 0; i < spec->count; i++) {
        const struct vy_bytes parts = leading_parts(vy_cstr(spec->keys[i].name), wanted);
        const size_t distance = edit_distance(wanted, parts);
        if (distance < best_distance) {
            best_distance = distance;
            best = spec->keys[i].name;
            *out_len = parts.len;
        }
    }
    for (size_t i = 0; best == NULL && i < spec->count; i++) { /* right key, wrong section */
        const struct vy_bytes key = vy_cstr(spec->keys[i].name);
        if (vy_bytes_equal(last_part(key), last_part(wanted))) {
            best = spec->keys[i].name;
            *out_len = key.len;
        }
    }
    return best;
}

/* ---- the page ---- */

static const char *type_name(const struct vy_config_key *key)
{
    switch (key->type) {
    case VY_CONFIG_STRING:
        return key->is_secret ? "secret" : key->choices != NULL ? "choice" : "text";
    case VY_CONFIG_PATH:
        return "path";
    case VY_CONFIG_BOOL:
        return "true or false";
    case VY_CONFIG_U64:
        return "number";
    case VY_CONFIG_DURATION:
        return "duration";
    case VY_CONFIG_SIZE:
        return "size";
    case VY_CONFIG_LIST:
        return "list";
    case VY_CONFIG_RECORDS:
        return "list of mappings";
    }
    return "";
}

static void write_range(const struct vy_config_key *key, struct vy_buf *out)
{
    const char *unit = key->type == VY_CONFIG_DURATION                                 ? " ms"
                       : key->type == VY_CONFIG_U64                                    ? ""
                       : key->type == VY_CONFIG_LIST || key->type == VY_CONFIG_RECORDS ? " items"
                                                                                       : " bytes";
    if (key->choices != NULL) {
        struct vy_bytes rest = vy_cstr(key->choices);
        for (const char *gap = ""; rest.len > 0; gap = ", ") {
            vy_buf_printf(out, "%s`%.*s`", gap, VY_PRI(vy_bytes_cut(&rest, '|')));
        }
    } else if (key->fields != NULL) {
        vy_buf_printf(out, "fields `%s`", key->fields);
    } else if (key->max != 0) {
        vy_buf_printf(out, "%llu to %llu%s", (unsigned long long)key->min,
                      (unsigned long long)key->max, unit);
    } else if (key->min != 0) {
        vy_buf_printf(out, "at least %llu%s", (unsigned long long)key->min, unit);
    }
}

static void write_row(const struct vy_config_key *key, struct vy_buf *out)
{
    vy_buf_printf(out, "| `%s` | %s | ", key->name, type_name(key));
    if (key->default_text != NULL) {
        vy_buf_printf(out, "`%s`", key->default_text);
    } else {
        vy_buf_append_cstr(out, key->is_required ? "required" : "none");
    }
    vy_buf_append_cstr(out, " | ");
    write_range(key, out);
    vy_buf_printf(out, " | %s | %s |\n", key->is_reloadable ? "reload" : "restart",
                  key->doc == NULL ? "" : key->doc);
}

static struct vy_bytes section_of(const char *name)
{
    struct vy_bytes rest = vy_cstr(name);
    const struct vy_bytes section = vy_bytes_cut(&rest, '.');
    return rest.len == 0 ? VY_LIT("") : section;
}

void vy_config_write_reference(const struct vy_config_spec *spec, struct vy_buf *out)
{
    vy_buf_append_cstr(out, "# Configuration keys\n\nMade from the table in the code; "
                            "`VOLARY_A__B` in the environment overrides `a.b`.\n");
    for (size_t i = 0; i < spec->count; i++) {
        const struct vy_bytes section = section_of(spec->keys[i].name);
        if (i == 0 || !vy_bytes_equal(section, section_of(spec->keys[i - 1].name))) {
            vy_buf_printf(out, "\n## %.*s\n\n",
                          VY_PRI(section.len == 0 ? VY_LIT("general") : section));
            vy_buf_append_cstr(out, "| key | type | default | range | change | meaning |\n"
                                    "|---|---|---|---|---|---|\n");
        }
        write_row(&spec->keys[i], out);
    }
}
