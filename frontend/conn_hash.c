/* SPDX-License-Identifier: Apache-2.0 */
/* Argon2id for a connection's session, in the bounded pool of the frontend (E8), or from what it
 * said before of a right password. */
#include "base/assert.h"
#include "base/secret.h"
#include "frontend/conn_private.h"
#include <argon2.h>
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define HASH_TAG_BYTES 32U
#define HASH_SALT_BYTES_MAX 64U

struct conn_hash {
    struct conn *conn;       /* NULL: the connection is gone */
    atomic_bool is_unwanted; /* then its turn in the pool costs nothing */
    struct vy_loop *loop;
    uint64_t call_id;
    struct vy_secret *password; /* owned */
    uint8_t salt[HASH_SALT_BYTES_MAX];
    size_t salt_len;
    uint32_t memory_kib;
    uint32_t passes;
    uint32_t lanes;
    uint8_t tag[HASH_TAG_BYTES];
    struct hash_cache_key cache_key;
    struct vy_err err;
};

struct conn_tag {
    struct hash_cache_key cache_key;
    uint8_t tag[HASH_TAG_BYTES];
};
static_assert(HASH_TAG_BYTES == HASH_CACHE_TAG_BYTES, "what is computed can be remembered");

static void tag_free(struct conn *conn)
{
    if (conn->tag != NULL) {
        vy_wipe(conn->tag, sizeof(*conn->tag));
        free(conn->tag);
        conn->tag = NULL;
    }
}

/* Until meta has said whether it is right. Without memory it is not remembered. */
static void tag_hold(struct conn *conn, const struct conn_hash *hash)
{
    tag_free(conn);
    conn->tag = hash->cache_key.is_set && !vy_failed(hash->err) ? malloc(sizeof(*conn->tag)) : NULL;
    if (conn->tag != NULL) {
        conn->tag->cache_key = hash->cache_key;
        memcpy(conn->tag->tag, hash->tag, sizeof(conn->tag->tag));
    }
}

void conn_hash_keep(struct conn *conn)
{
    if (conn->tag != NULL) {
        hash_cache_put(conn->host->hash_cache, &conn->tag->cache_key,
                       vy_loop_now_ms(conn->host->loop), conn->tag->tag);
    }
    tag_free(conn);
}

static void hash_free(struct conn_hash *hash)
{
    vy_secret_free(hash->password);
    vy_wipe(hash->tag, sizeof(hash->tag));
    free(hash);
}

/* On a pool thread. */
static void hash_work(void *arg)
{
    struct conn_hash *hash = arg;
    if (atomic_load(&hash->is_unwanted)) {
        return;
    }
    const struct vy_bytes password = vy_secret_bytes(hash->password);
    const int result =
        argon2id_hash_raw(hash->passes, hash->memory_kib, hash->lanes, password.data, password.len,
                          hash->salt, hash->salt_len, hash->tag, sizeof(hash->tag));
    hash->err = result == ARGON2_OK ? vy_ok() : vy_error(VY_CODE_NOMEM, "Argon2id");
}

static void hash_done(void *arg)
{
    struct conn_hash *hash = arg;
    struct conn *conn = hash->conn;
    if (conn == NULL) {
        hash_free(hash);
        return;
    }
    conn->hash = NULL;
    tag_hold(conn, hash);
    conn_set_time(conn);
    conn->session->ops->hash_done(
        conn->session, hash->call_id, hash->err,
        vy_bytes(hash->tag, vy_failed(hash->err) ? 0 : sizeof(hash->tag)));
    hash_free(hash);
    conn_go_on(conn);
}

/* Answers without the pool, from the top of the loop as any other. */
static void hash_answer(struct conn_hash *hash, struct vy_err err)
{
    hash->err = err;
    vy_loop_post(hash->loop, hash_done, hash);
}

static bool find_tag(struct conn_hash *hash, struct hash_cache *cache,
                     const struct session_action *action)
{
    const struct hash_question question = {.meta_key = action->argon2_cache_key,
                                           .password = action->password,
                                           .salt = action->salt,
                                           .memory_kib = action->argon2_memory_kib,
                                           .passes = action->argon2_passes,
                                           .lanes = action->argon2_lanes};
    hash->cache_key = hash_cache_key_of(cache, &question);
    return hash_cache_find(cache, &hash->cache_key, vy_loop_now_ms(hash->loop), hash->tag);
}

void conn_hash_start(struct conn *conn, const struct session_action *action)
{
    VY_ASSERT(conn->hash == NULL);
    struct conn_hash *hash = calloc(1, sizeof(*hash));
    if (hash == NULL) {
        conn_abort(conn, "no memory for a hash");
        return;
    }
    hash->conn = conn;
    hash->loop = conn->host->loop;
    hash->call_id = action->call_id;
    hash->memory_kib = action->argon2_memory_kib;
    hash->passes = action->argon2_passes;
    hash->lanes = action->argon2_lanes;
    hash->salt_len = action->salt.len;
    conn->hash = hash;
    if (action->salt.len > sizeof(hash->salt)) {
        hash_answer(hash, vy_error(VY_CODE_LIMIT, "Argon2id salt"));
        return;
    }
    memcpy(hash->salt, action->salt.data, action->salt.len);
    if (find_tag(hash, conn->host->hash_cache, action)) {
        frontend_count_hash(conn->host->metrics, FRONTEND_HASH_REMEMBERED);
        hash_answer(hash, vy_ok());
        return;
    }
    struct vy_err err = vy_secret_new(action->password, &hash->password);
    if (!vy_failed(err)) {
        err = vy_workers_submit(conn->host->hash_workers, hash->loop, hash_work, hash_done, hash);
    }
    frontend_count_hash(conn->host->metrics,
                        vy_failed(err) ? FRONTEND_HASH_REFUSED : FRONTEND_HASH_COMPUTED);
    if (vy_failed(err)) {
        hash_answer(hash, err);
    }
}

void conn_hash_drop(struct conn *conn)
{
    tag_free(conn);
    if (conn->hash != NULL) {
        conn->hash->conn = NULL; /* freed when the pool has done with it */
        atomic_store(&conn->hash->is_unwanted, true);
        conn->hash = NULL;
    }
}
