/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/password.h"

#include "base/assert.h"
#include "base/secret.h"
#include "meta/scram.h"
#include <argon2.h>
#include <assert.h>
#include <openssl/evp.h>

static_assert(sizeof(PASSWORD_ALPHABET) - 1 == PASSWORD_ALPHABET_COUNT, "alphabet");

static const struct password_shape password_shape = {.group_count = PASSWORD_GROUP_COUNT,
                                                     .group_letters = PASSWORD_GROUP_LETTERS};

static void generate(struct vy_rng *rng, const struct password_shape *shape, char *out)
{
    const size_t wanted = (size_t)shape->group_count * shape->group_letters;
    size_t letters = 0;
    size_t at = 0;
    while (letters < wanted) {
        uint8_t byte = 0;
        vy_rng_fill(rng, &byte, 1);
        if (byte >= PASSWORD_BYTE_BOUND) {
            continue;
        }
        if (letters > 0 && letters % shape->group_letters == 0) {
            out[at++] = '-';
        }
        out[at++] = PASSWORD_ALPHABET[byte % PASSWORD_ALPHABET_COUNT];
        letters++;
    }
    VY_ASSERT(at == wanted + shape->group_count - 1);
    out[at] = '\0';
}

void password_generate(struct vy_rng *rng, char out[PASSWORD_SHOWN_BYTES + 1])
{
    generate(rng, &password_shape, out);
}

/* A stream of HMAC(key, seed || context || counter): as good as its seed and the cluster key. */
struct seeded_rng {
    struct vy_rng base;
    const struct cluster_key *key;
    struct vy_buf text; /* seed, context, then the counter */
    uint32_t counter;
    uint8_t block[32];
    size_t used;
};

static void seeded_fill(struct vy_rng *base, void *out, size_t len)
{
    struct seeded_rng *rng = VY_CONTAINER_OF(base, struct seeded_rng, base);
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++) {
        if (rng->used == sizeof(rng->block)) {
            const size_t bare = vy_buf_len(&rng->text);
            vy_buf_append_be32(&rng->text, rng->counter++);
            cluster_key_mac(rng->key, "generated-password", vy_buf_bytes(&rng->text), rng->block);
            vy_buf_truncate(&rng->text, bare);
            rng->used = 0;
        }
        bytes[i] = rng->block[rng->used++];
    }
}

void password_generate_from_seed(const struct cluster_key *key, struct vy_bytes seed,
                                 struct vy_bytes context, char out[PASSWORD_SHOWN_BYTES + 1])
{
    password_shape_from_seed(key, &password_shape, seed, context, out);
}

void password_shape_from_seed(const struct cluster_key *key, const struct password_shape *shape,
                              struct vy_bytes seed, struct vy_bytes context, char *out)
{
    struct seeded_rng rng = {.base = {.fill = seeded_fill}, .key = key, .used = 32};
    vy_buf_init(&rng.text, 4096);
    vy_buf_append_be32(&rng.text, (uint32_t)seed.len);
    vy_buf_append(&rng.text, seed);
    vy_buf_append(&rng.text, context);
    generate(&rng.base, shape, out);
    vy_wipe(rng.block, sizeof(rng.block));
    vy_buf_deinit(&rng.text);
}

void password_mac_hash(const struct cluster_key *key, struct vy_bytes hash, uint8_t out[32])
{
    cluster_key_mac(key, "credential", hash, out);
}

void password_mac_argon2(const struct cluster_key *key, struct vy_bytes tag, uint8_t out[32])
{
    cluster_key_mac(key, "argon2", tag, out);
}

void password_scram_salt(const struct cluster_key *key, struct vy_bytes name,
                         uint8_t out[PASSWORD_SALT_BYTES])
{
    uint8_t mac[32];
    cluster_key_mac(key, "scram-salt", name, mac);
    memcpy(out, mac, PASSWORD_SALT_BYTES);
}

/* Without its dashes, as it may be typed into a client that does SCRAM. */
static void bare_form(struct vy_bytes shown, uint8_t out[PASSWORD_LETTERS])
{
    const bool is_generated = password_is_generated_shape(shown, out);
    VY_ASSERT(is_generated);
}

static struct vy_err add_scram(struct password_verifier *out, uint32_t iterations,
                               const struct vy_bytes *forms, size_t count)
{
    const struct vy_bytes salt = vy_bytes(out->scram_salt, sizeof(out->scram_salt));
    VY_ASSERT(count <= PASSWORD_SCRAM_PAIRS);
    for (size_t i = 0; i < count; i++) {
        VY_TRY(
            scram_make_keys(forms[i], salt, iterations, out->stored_keys[i], out->server_keys[i]));
        out->pairs[i] = (struct scram_pair){.stored_key = vy_bytes(out->stored_keys[i], 32),
                                            .server_key = vy_bytes(out->server_keys[i], 32)};
    }
    out->scram = (struct scram_keys){
        .salt = salt, .iterations = iterations, .pairs = out->pairs, .pairs_count = count};
    return vy_ok();
}

struct vy_err password_make_generated(const struct cluster_key *key, struct vy_bytes shown,
                                      enum credential_kind kind, uint32_t iterations,
                                      struct password_verifier *out)
{
    uint8_t bare[PASSWORD_LETTERS];
    uint8_t hash[32];
    bare_form(shown, bare);
    const struct vy_bytes forms[PASSWORD_SCRAM_PAIRS] = {shown, vy_bytes(bare, sizeof(bare))};
    password_hash(forms[1], hash);
    password_mac_hash(key, vy_bytes(hash, sizeof(hash)), out->mac);
    out->row = (struct new_credential){.kind = kind, .mac = vy_bytes(out->mac, sizeof(out->mac))};
    const struct vy_err err = add_scram(out, iterations, forms, VY_COUNT_OF(forms));
    vy_wipe(bare, sizeof(bare));
    vy_wipe(hash, sizeof(hash));
    return err;
}

struct vy_err password_argon2(struct vy_bytes prepared, struct vy_bytes salt,
                              uint8_t out[PASSWORD_TAG_BYTES])
{
    const int rc = argon2id_hash_raw(PASSWORD_ARGON2_PASSES, PASSWORD_ARGON2_MEMORY_KIB,
                                     PASSWORD_ARGON2_LANES, prepared.data, prepared.len, salt.data,
                                     salt.len, out, PASSWORD_TAG_BYTES);
    return rc == ARGON2_OK ? vy_ok() : vy_error(VY_CODE_NOMEM, "Argon2id");
}

struct vy_err password_check_chosen(struct vy_bytes prepared, struct vy_bytes address)
{
    struct vy_bytes domain = address;
    const struct vy_bytes local = vy_bytes_cut(&domain, '@');
    if (prepared.len < PASSWORD_CHOSEN_BYTES_MIN) {
        return vy_error(VY_CODE_ARGUMENT, "password is shorter than 8 bytes");
    }
    if (vy_bytes_equal_nocase(prepared, address) || vy_bytes_equal_nocase(prepared, local) ||
        vy_bytes_equal_nocase(prepared, domain)) {
        return vy_error(
            VY_CODE_ARGUMENT,
            "password is the account's own name: choose another, or have one generated");
    }
    return vy_ok();
}

struct vy_err password_make_chosen(const struct cluster_key *key, struct vy_bytes prepared,
                                   struct vy_bytes typed, uint32_t iterations,
                                   struct password_verifier *out)
{
    const struct vy_bytes forms[PASSWORD_SCRAM_PAIRS] = {prepared, typed};
    if (prepared.len < PASSWORD_CHOSEN_BYTES_MIN) {
        return vy_error(VY_CODE_ARGUMENT, "password is shorter than 8 bytes");
    }
    const struct vy_bytes salt = vy_bytes(out->argon2_salt, sizeof(out->argon2_salt));
    uint8_t tag[PASSWORD_TAG_BYTES];
    VY_TRY(password_argon2(prepared, salt, tag));
    password_mac_argon2(key, vy_bytes(tag, sizeof(tag)), out->mac);
    vy_wipe(tag, sizeof(tag));
    out->row = (struct new_credential){.kind = CREDENTIAL_KIND_CHOSEN,
                                       .mac = vy_bytes(out->mac, sizeof(out->mac)),
                                       .argon2_salt = salt,
                                       .argon2_memory_kib = PASSWORD_ARGON2_MEMORY_KIB,
                                       .argon2_passes = PASSWORD_ARGON2_PASSES,
                                       .argon2_lanes = PASSWORD_ARGON2_LANES};
    return add_scram(out, iterations, forms, vy_bytes_equal(prepared, typed) ? 1 : 2);
}
