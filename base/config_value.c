/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/codec.h"
#include "base/config_private.h"

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit duration_units[] = {
    {"ms", 1       },
    {"s",  1000    },
    {"m",  60000   },
    {"h",  3600000 },
    {"d",  86400000},
    {NULL, 0       }
};
static const struct unit size_units[] = {
    {"B",   1         },
    {"KiB", 1ULL << 10},
    {"MiB", 1ULL << 20},
    {"GiB", 1ULL << 30},
    {"TiB", 1ULL << 40},
    {NULL,  0         }
};

static const struct vy_config_key *key_of(const struct config_loader *loader, size_t key)
{
    return &loader->config->spec.keys[key];
}

static void fault(struct config_loader *loader, size_t key, const char *what)
{
    config_fault(loader, vy_cstr(key_of(loader, key)->name), "%s", what);
}

/* ---- numbers ---- */

static bool split_number(struct vy_bytes text, struct vy_bytes *digits, struct vy_bytes *unit)
{
    size_t len = 0;
    while (len < text.len && vy_ascii_is_digit(text.data[len])) {
        len++;
    }
    *digits = vy_bytes_slice(text, 0, len);
    *unit = vy_bytes_trim(vy_bytes_from(text, len));
    return len > 0;
}

static const struct unit *units_of(enum vy_config_type type)
{
    return type == VY_CONFIG_DURATION ? duration_units : type == VY_CONFIG_SIZE ? size_units : NULL;
}

/* What one of the written number counts; 0: reported. */
static uint64_t unit_factor(struct config_loader *loader, size_t index, struct vy_bytes unit)
{
    const struct vy_config_key *key = key_of(loader, index);
    const struct unit *units = units_of(key->type);
    if (units == NULL) {
        if (unit.len > 0) {
            fault(loader, index, "is a whole number without unit");
        }
        return unit.len > 0 ? 0 : 1;
    }
    for (; unit.len > 0 && units->name != NULL; units++) {
        if (vy_bytes_equal(unit, vy_cstr(units->name))) {
            return units->factor;
        }
    }
    if (unit.len > 0 || key->bare_unit == 0) {
        config_fault(loader, vy_cstr(key->name), "%s: write a whole number with one of %s",
                     unit.len > 0 ? "unknown unit" : "needs a unit",
                     key->type == VY_CONFIG_SIZE ? "B KiB MiB GiB TiB" : "ms s m h d");
        return 0;
    }
    return key->bare_unit;
}

static bool parse_number(struct config_loader *loader, size_t index, struct vy_bytes text,
                         uint64_t *out)
{
    struct vy_bytes digits;
    struct vy_bytes unit;
    if (text.len > 0 && text.data[0] == '-') {
        fault(loader, index, "must not be negative");
        return false;
    }
    if (!split_number(text, &digits, &unit)) {
        fault(loader, index, "is not a whole number");
        return false;
    }
    const uint64_t factor = unit_factor(loader, index, unit);
    uint64_t value = 0;
    if (factor == 0) {
        return false;
    }
    if (!vy_parse_u64(digits, &value) || __builtin_mul_overflow(value, factor, &value)) {
        fault(loader, index, "is too large a number");
        return false;
    }
    *out = value;
    return true;
}

static void check_range(struct config_loader *loader, size_t index, uint64_t value,
                        const char *what)
{
    const struct vy_config_key *key = key_of(loader, index);
    if (value < key->min) {
        config_fault(loader, vy_cstr(key->name), "must be at least %llu%s",
                     (unsigned long long)key->min, what);
    } else if (key->max != 0 && value > key->max) {
        config_fault(loader, vy_cstr(key->name), "must be at most %llu%s",
                     (unsigned long long)key->max, what);
    }
}

static void set_number(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    const enum vy_config_type type = key_of(loader, index)->type;
    uint64_t value = 0;
    if (!parse_number(loader, index, text, &value)) {
        return;
    }
    check_range(loader, index, value,
                type == VY_CONFIG_DURATION ? " ms"
                : type == VY_CONFIG_SIZE   ? " bytes"
                                           : "");
    loader->config->values[index].number = value;
}

static void set_bool(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    const bool is_true = vy_bytes_equal(text, VY_LIT("true"));
    if (!is_true && !vy_bytes_equal(text, VY_LIT("false"))) {
        fault(loader, index, "must be true or false");
        return;
    }
    loader->config->values[index].number = is_true ? 1 : 0;
}

/* ---- texts ---- */

static bool check_text(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    if (text.len > VY_CONFIG_VALUE_BYTES_MAX) {
        fault(loader, index, "is too long a value");
        return false;
    }
    if (!vy_utf8_is_valid(text)) {
        fault(loader, index, "is not UTF-8");
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7F) {
            fault(loader, index, "has a control character");
            return false;
        }
    }
    return true;
}

static const char *keep(struct config_loader *loader, struct vy_bytes text)
{
    const char *copy = vy_arena_cstr(&loader->config->arena, text);
    loader->is_out_of_memory = loader->is_out_of_memory || copy == NULL;
    return copy;
}

static void check_choices(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    const struct vy_config_key *key = key_of(loader, index);
    struct vy_bytes rest = key->choices == NULL ? text : vy_cstr(key->choices);
    while (rest.len > 0) {
        if (key->choices == NULL || vy_bytes_equal(vy_bytes_cut(&rest, '|'), text)) {
            return;
        }
    }
    if (key->choices != NULL) {
        config_fault(loader, vy_cstr(key->name), "must be one of %s", key->choices);
    }
}

static void set_secret(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    struct config_value *value = &loader->config->values[index];
    struct vy_secret *secret = NULL;
    if (loader->is_file_open_to_others && loader->line > 0) {
        fault(loader, index, "is a secret in a file that others may read: chmod 0600 it");
        return;
    }
    check_range(loader, index, text.len, " bytes");
    loader->is_out_of_memory = vy_failed(vy_secret_new(text, &secret)) || loader->is_out_of_memory;
    vy_secret_free(value->secret);
    value->secret = secret;
}

static void set_text(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    const struct vy_config_key *key = key_of(loader, index);
    if (!check_text(loader, index, text)) {
        return;
    }
    if (key->is_secret) {
        set_secret(loader, index, text);
        return;
    }
    if (key->type == VY_CONFIG_PATH && text.len == 0) {
        fault(loader, index, "must not be empty");
    }
    check_range(loader, index, text.len, " bytes");
    check_choices(loader, index, text);
    loader->config->values[index].text = keep(loader, text);
}

void config_set_scalar(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    switch (key_of(loader, index)->type) {
    case VY_CONFIG_STRING:
    case VY_CONFIG_PATH:
        set_text(loader, index, text);
        break;
    case VY_CONFIG_BOOL:
        set_bool(loader, index, text);
        break;
    case VY_CONFIG_U64:
    case VY_CONFIG_DURATION:
    case VY_CONFIG_SIZE:
        set_number(loader, index, text);
        break;
    case VY_CONFIG_LIST:
        fault(loader, index, "takes a list: write [a, b]");
        break;
    case VY_CONFIG_RECORDS:
        fault(loader, index, "takes a list of mappings");
        break;
    }
    loader->config->values[index].is_set = true;
}

/* ---- lists and records ---- */

void config_add_item(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    struct config_value *value = &loader->config->values[index];
    if (!check_text(loader, index, text)) {
        return;
    }
    if (text.len == 0) {
        fault(loader, index, "has an empty item");
        return;
    }
    if (value->items == NULL) {
        value->items = VY_ARENA_ARRAY(&loader->config->arena, VY_CONFIG_ITEMS_MAX, const char *);
    }
    if (value->items == NULL) {
        loader->is_out_of_memory = true;
        return;
    }
    if (value->count == VY_CONFIG_ITEMS_MAX) {
        fault(loader, index, "has too many items");
        return;
    }
    check_choices(loader, index, text);
    value->items[value->count++] = keep(loader, text);
}

void config_set_list(struct config_loader *loader, size_t index, struct vy_bytes text)
{
    struct config_value *value = &loader->config->values[index];
    struct vy_bytes rest = text;
    value->items = NULL;
    value->count = 0;
    value->is_set = true;
    while (rest.len > 0 && config_has_room_for_faults(loader)) {
        config_add_item(loader, index, vy_bytes_trim(vy_bytes_cut(&rest, ',')));
    }
    config_check_count(loader, index);
}

void config_check_count(struct config_loader *loader, size_t index)
{
    check_range(loader, index, loader->config->values[index].count, " items");
}

bool config_field_at(const struct vy_config_key *key, size_t index, struct vy_bytes *out_name,
                     bool *out_is_optional)
{
    struct vy_bytes rest = vy_cstr(key->fields);
    for (size_t i = 0; rest.len > 0; i++) {
        struct vy_bytes name = vy_bytes_cut(&rest, ' ');
        if (i == index) {
            *out_is_optional = vy_bytes_ends_with(name, VY_LIT("?"));
            name.len -= *out_is_optional ? 1 : 0;
            *out_name = name;
            return true;
        }
    }
    return false;
}

size_t config_field_index(const struct vy_config_key *key, struct vy_bytes field)
{
    struct vy_bytes name;
    bool is_optional = false;
    for (size_t i = 0; config_field_at(key, i, &name, &is_optional); i++) {
        if (vy_bytes_equal(name, field)) {
            return i;
        }
    }
    return SIZE_MAX;
}

struct config_record *config_add_record(struct config_loader *loader, size_t index)
{
    struct config_value *value = &loader->config->values[index];
    if (value->records == NULL) {
        value->records =
            VY_ARENA_ARRAY(&loader->config->arena, VY_CONFIG_ITEMS_MAX, struct config_record);
    }
    if (value->records == NULL) {
        loader->is_out_of_memory = true;
        return NULL;
    }
    if (value->count == VY_CONFIG_ITEMS_MAX) {
        fault(loader, index, "has too many entries");
        return NULL;
    }
    return &value->records[value->count++];
}

void config_set_field(struct config_loader *loader, size_t index, struct config_record *record,
                      struct vy_bytes field, struct vy_bytes text)
{
    const struct vy_config_key *key = key_of(loader, index);
    const size_t at = config_field_index(key, field);
    if (at == SIZE_MAX) {
        config_fault(loader, vy_cstr(key->name), "unknown field %.*s; there are: %s",
                     VY_PRI(vy_bytes_slice(field, 0, VY_CONFIG_NAME_BYTES_MAX)), key->fields);
        return;
    }
    if (record->fields[at] != NULL) {
        config_fault(loader, vy_cstr(key->name), "has the field %.*s twice", VY_PRI(field));
        return;
    }
    if (check_text(loader, index, text)) {
        record->fields[at] = keep(loader, text);
    }
}

void config_check_record(struct config_loader *loader, size_t index,
                         const struct config_record *record)
{
    const struct vy_config_key *key = key_of(loader, index);
    struct vy_bytes name;
    bool is_optional = false;
    for (size_t i = 0; config_field_at(key, i, &name, &is_optional); i++) {
        if (!is_optional && (record->fields[i] == NULL || record->fields[i][0] == '\0')) {
            config_fault(loader, vy_cstr(key->name), "an entry lacks the field %.*s", VY_PRI(name));
        }
    }
}
