/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Configuration from one table of keys, which the caller supplies: a YAML file, then VOLARY_
 * variables over it, checked and typed. The result is immutable; a reload loads a new one and keeps
 * the old when that fails (promises C3). Every fault is reported with file, line and key (C1).
 *
 * File: nested mappings are dots ("raft: {election_timeout_ms: 500}" is raft.election_timeout_ms);
 * lists are sequences; records are sequences of flat mappings. Anchors, aliases and tags are
 * refused. Environment: VOLARY_RAFT__ELECTION_TIMEOUT_MS, two underscores for a dot; lists with
 * commas, no records; a secret may come from VOLARY_X__Y_FILE. A variable that has two underscores
 * and no key is an error; others are left alone (Kubernetes makes VOLARY_META_SERVICE_HOST).
 */
#include "base/buf.h"
#include "base/secret.h"

#define VY_CONFIG_FILE_BYTES_MAX (1024U * 1024U)
#define VY_CONFIG_NAME_BYTES_MAX 96U /* of a key with its dots */
#define VY_CONFIG_ITEMS_MAX 256U     /* of a list, records of a key */
#define VY_CONFIG_FIELDS_MAX 8U      /* of a record */
#define VY_CONFIG_DEPTH_MAX 8U       /* of nested mappings and sequences */
#define VY_CONFIG_ERRORS_MAX 20U     /* reported before giving up */
#define VY_CONFIG_VALUE_BYTES_MAX 65536U

enum vy_config_type {
    VY_CONFIG_STRING,
    VY_CONFIG_PATH, /* not empty */
    VY_CONFIG_BOOL, /* true, false */
    VY_CONFIG_U64,
    VY_CONFIG_DURATION, /* ms s m h d; milliseconds inside */
    VY_CONFIG_SIZE,     /* B KiB MiB GiB TiB; bytes inside */
    VY_CONFIG_LIST,     /* of strings */
    VY_CONFIG_RECORDS
};

struct vy_config_key {
    const char *name; /* "raft.election_timeout_ms" */
    enum vy_config_type type;
    /* DURATION in ms, SIZE in bytes: what a bare number counts; 0: a unit must be written. */
    uint64_t bare_unit;
    const char *default_text; /* as in the environment; NULL: absent */
    uint64_t min;             /* number; of texts the bytes, of lists and records the items */
    uint64_t max;             /* 0: no limit of its own */
    const char *choices;      /* "off|relay|mx", or NULL */
    const char *fields;       /* RECORDS: "id address role?"; ? marks those that may be absent */
    const char *doc;          /* one sentence, for docs */
    unsigned roles;           /* bits of the caller's; others may leave it in a shared file */
    bool is_reloadable;       /* else a change needs a restart */
    bool is_secret;           /* STRING only */
    bool is_required;
};
struct vy_config_spec {
    const struct vy_config_key *keys; /* borrowed, longer than any config made from it */
    size_t count;
    unsigned role; /* required keys of other roles are not asked for */
};

struct vy_config; /* opaque, immutable */

/*
 * Reads, checks and types.
 *
 * @path         file, or NULL for none
 * @environment  "NAME=value" entries and a NULL at the end, or NULL for none
 * @report       gets one line per fault: "FILE:LINE: KEY: what is wrong"; also when ok is returned
 *               it may hold nothing. The caller prints it.
 * @errors       ARGUMENT faults in the report; NOMEM
 */
VY_CHECKED struct vy_err vy_config_load(const struct vy_config_spec *spec, const char *path,
                                        const char *const *environment, struct vy_buf *report,
                                        struct vy_config **out);
/* The same from memory; `path` only names it in the report. */
VY_CHECKED struct vy_err vy_config_parse(const struct vy_config_spec *spec, const char *path,
                                         struct vy_bytes text, const char *const *environment,
                                         struct vy_buf *report, struct vy_config **out);
void vy_config_free(struct vy_config *config); /* NULL is allowed */

/* Typed reading; asking for a name or type that the table does not have is our bug (asserted). */
bool vy_config_is_set(const struct vy_config *config, const char *name); /* or has a default */
const char *vy_config_text(const struct vy_config *config,
                           const char *name); /* STRING, PATH; NULL: absent */
bool vy_config_bool(const struct vy_config *config, const char *name);
uint64_t vy_config_u64(const struct vy_config *config, const char *name);
uint64_t vy_config_ms(const struct vy_config *config, const char *name);
uint64_t vy_config_size(const struct vy_config *config, const char *name); /* bytes */
const char *const *vy_config_list(const struct vy_config *config, const char *name,
                                  size_t *out_count);
size_t vy_config_record_count(const struct vy_config *config, const char *name);
const char *vy_config_record_field(const struct vy_config *config, const char *name, size_t index,
                                   const char *field); /* NULL: absent */
const struct vy_secret *vy_config_secret(const struct vy_config *config,
                                         const char *name); /* NULL: absent */

/* Same for equal effective values; secrets left out. For the line printed at start. */
uint64_t vy_config_hash(const struct vy_config *config);
/* Appends the names of keys of this role that differ and need a restart, one a line. Both configs
 * are of one spec. True: there are any. */
bool vy_config_needs_restart(const struct vy_config *before, const struct vy_config *after,
                             struct vy_buf *names);
/* The key nearest to `name` by typing errors, or NULL. */
const char *vy_config_nearest(const struct vy_config_spec *spec, struct vy_bytes name,
                              size_t *out_len);
/* Markdown: one section per group, one table row per key, made from the table. */
void vy_config_write_reference(const struct vy_config_spec *spec, struct vy_buf *out);
