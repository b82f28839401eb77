/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by config*.c: the values while they are built, and the report of faults. */
#include "base/arena.h"
#include "base/config.h"

struct config_record {
    const char *fields[VY_CONFIG_FIELDS_MAX]; /* in the order of the key's `fields`; NULL: absent */
};
struct config_value {
    bool is_set;
    bool is_from_file; /* of this load; a second one is a duplicate */
    bool is_from_env;
    unsigned line;      /* in the file */
    const char *text;   /* STRING, PATH, and the spelling of numbers */
    uint64_t number;    /* BOOL, U64, DURATION, SIZE */
    const char **items; /* LIST */
    struct config_record *records;
    size_t count;             /* of items or records */
    struct vy_secret *secret; /* owned */
};
struct vy_config {
    struct vy_config_spec spec;  /* its keys are borrowed */
    struct vy_arena arena;       /* all texts */
    struct config_value *values; /* one per key, in the arena */
};

/* Where faults are said, and of what. */
struct config_loader {
    struct vy_config *config;
    struct vy_buf *report;
    const char *source; /* file name, or "environment" */
    unsigned line;      /* 0: none */
    unsigned error_count;
    bool is_out_of_memory;
    bool is_file_open_to_others;
};

#define CONFIG_NOT_FOUND SIZE_MAX
size_t config_find_key(const struct vy_config_spec *spec, struct vy_bytes name);
/* "raft" when there is raft.anything. */
bool config_is_section(const struct vy_config_spec *spec, struct vy_bytes name);

void config_fault(struct config_loader *loader, struct vy_bytes name, const char *format, ...)
    VY_PRINTF(3, 4);
void config_fault_unknown(struct config_loader *loader, struct vy_bytes name);
bool config_has_room_for_faults(const struct config_loader *loader);

/* Types and checks one scalar into the value of the key. Faults are reported. */
void config_set_scalar(struct config_loader *loader, size_t key, struct vy_bytes text);
/* Adds to LIST. */
void config_add_item(struct config_loader *loader, size_t key, struct vy_bytes text);
/* Splits at commas and sets a LIST. */
void config_set_list(struct config_loader *loader, size_t key, struct vy_bytes text);
/* A new empty record, or NULL (reported). */
struct config_record *config_add_record(struct config_loader *loader, size_t key);
void config_set_field(struct config_loader *loader, size_t key, struct config_record *record,
                      struct vy_bytes field, struct vy_bytes text);
void config_check_record(struct config_loader *loader, size_t key,
                         const struct config_record *record);
/* Number of items, required fields: once a list or the records are complete. */
void config_check_count(struct config_loader *loader, size_t key);
/* Index of a field in the key's `fields`, or SIZE_MAX. The i-th field; false behind the last. */
size_t config_field_index(const struct vy_config_key *key, struct vy_bytes field);
bool config_field_at(const struct vy_config_key *key, size_t index, struct vy_bytes *out_name,
                     bool *out_is_optional);

void config_read_yaml(struct config_loader *loader, struct vy_bytes text);
void config_read_environment(struct config_loader *loader, const char *const *environment);
