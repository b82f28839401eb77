/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/password.h"

#include "base/assert.h"
#include "meta/scram.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/test.h"
#include <math.h>

/* Hands out the bytes it was given, one after the other. */
struct script_rng {
    struct vy_rng base;
    const uint8_t *bytes;
    size_t count;
    size_t used;
};

static void script_fill(struct vy_rng *base, void *out, size_t len)
{
    struct script_rng *rng = VY_CONTAINER_OF(base, struct script_rng, base);
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = rng->bytes[rng->used++ % rng->count];
    }
}

static struct cluster_key *new_key(uint8_t fill)
{
    uint8_t bytes[CLUSTER_KEY_BYTES];
    struct cluster_key *key = NULL;
    memset(bytes, fill, sizeof(bytes));
    assert_false(vy_failed(cluster_key_new(bytes, &key)));
    return key;
}

static void pol1_a_generated_password_has_at_least_120_bits(void **state)
{
    (void)state;
    assert_true((double)PASSWORD_LETTERS * log2((double)PASSWORD_ALPHABET_COUNT) >= 120.0);
}

static void pol1_it_is_five_groups_of_letters_that_are_not_mistaken(void **state)
{
    (void)state;
    struct fake_rng rng;
    char text[PASSWORD_SHOWN_BYTES + 1];
    fake_rng_init(&rng, 3);
    for (int round = 0; round < 200; round++) {
        password_generate(&rng.base, text);
        assert_int_equal(strlen(text), PASSWORD_SHOWN_BYTES);
        for (size_t i = 0; i < PASSWORD_SHOWN_BYTES; i++) {
            assert_int_equal(text[i] == '-', i % 6 == 5);
            assert_true(text[i] == '-' || strchr(PASSWORD_ALPHABET, text[i]) != NULL);
            assert_null(strchr("il01oO", text[i]));
        }
    }
}

static void pol1_bytes_at_the_bound_are_thrown_away(void **state)
{
    (void)state;
    assert_int_equal(PASSWORD_BYTE_BOUND % PASSWORD_ALPHABET_COUNT, 0);
    assert_true(256 - PASSWORD_BYTE_BOUND < PASSWORD_ALPHABET_COUNT);
    const uint8_t bytes[] = {PASSWORD_BYTE_BOUND - 1, PASSWORD_BYTE_BOUND, PASSWORD_BYTE_BOUND + 1,
                             255, 0};
    struct script_rng rng = {.base = {.fill = script_fill}, .bytes = bytes, .count = sizeof(bytes)};
    char text[PASSWORD_SHOWN_BYTES + 1];
    password_generate(&rng.base, text);
    /* The last letter for bound - 1, the first for 0, nothing for what lies between. */
    assert_string_equal(text, "9a9a9-a9a9a-9a9a9-a9a9a-9a9a9");
}

static void pol1_all_letters_are_equally_likely(void **state)
{
    (void)state;
    uint8_t bytes[256];
    unsigned seen[256] = {0};
    for (unsigned i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
    }
    struct script_rng rng = {.base = {.fill = script_fill}, .bytes = bytes, .count = 256};
    char text[PASSWORD_SHOWN_BYTES + 1];
    for (int round = 0; round < 31 * 8; round++) { /* whole cycles of 248 letters each */
        password_generate(&rng.base, text);
        for (size_t i = 0; i < PASSWORD_SHOWN_BYTES; i++) {
            seen[(uint8_t)text[i]]++;
        }
    }
    for (size_t i = 0; i < PASSWORD_ALPHABET_COUNT; i++) {
        assert_int_equal(seen[(uint8_t)PASSWORD_ALPHABET[i]], 31 * 8 * 25 / 31);
    }
}

static void a_seed_gives_the_same_secret_for_the_same_purpose_only(void **state)
{
    (void)state;
    struct cluster_key *key = new_key(1);
    struct cluster_key *other = new_key(2);
    char a[PASSWORD_SHOWN_BYTES + 1];
    char b[PASSWORD_SHOWN_BYTES + 1];
    password_generate_from_seed(key, VY_LIT("seed"), VY_LIT("op\0a@b"), a);
    password_generate_from_seed(key, VY_LIT("seed"), VY_LIT("op\0a@b"), b);
    assert_string_equal(a, b);
    password_generate_from_seed(key, VY_LIT("seed"), VY_LIT("op\0a@c"), b);
    assert_string_not_equal(a, b);
    password_generate_from_seed(key, VY_LIT("see"), VY_LIT("dop\0a@b"), b);
    assert_string_not_equal(a, b);
    password_generate_from_seed(other, VY_LIT("seed"), VY_LIT("op\0a@b"), b);
    assert_string_not_equal(a, b);
    cluster_key_free(key);
    cluster_key_free(other);
}

static void what_is_stored_of_a_generated_password_verifies_it_in_both_forms(void **state)
{
    (void)state;
    static const struct vy_bytes shown = VY_LIT("abcde-fghjk-mnpqr-stuvw-xyz23");
    struct cluster_key *key = new_key(1);
    struct password_verifier verifier = {.scram_salt = {1}};
    uint8_t hash[32];
    uint8_t mac[32];
    uint8_t stored[32];
    uint8_t server[32];
    assert_false(
        vy_failed(password_make_generated(key, shown, CREDENTIAL_KIND_GENERATED, 4096, &verifier)));
    password_hash(VY_LIT("abcdefghjkmnpqrstuvwxyz23"), hash);
    password_mac_hash(key, vy_bytes(hash, 32), mac);
    assert_true(vy_bytes_equal(verifier.row.mac, vy_bytes(mac, 32)));
    assert_int_equal(verifier.scram.iterations, 4096);
    assert_int_equal(verifier.scram.pairs_count, PASSWORD_SCRAM_PAIRS);
    const struct vy_bytes forms[] = {shown, VY_LIT("abcdefghjkmnpqrstuvwxyz23")};
    for (size_t i = 0; i < PASSWORD_SCRAM_PAIRS; i++) {
        assert_false(
            vy_failed(scram_make_keys(forms[i], verifier.scram.salt, 4096, stored, server)));
        assert_true(vy_bytes_equal(verifier.scram.pairs[i].stored_key, vy_bytes(stored, 32)));
        assert_true(vy_bytes_equal(verifier.scram.pairs[i].server_key, vy_bytes(server, 32)));
    }
    cluster_key_free(key);
}

static void pol1_a_chosen_password_is_not_the_name_it_is_for(void **state)
{
    static const struct {
        const char *password;
        bool is_good;
    } rows[] = {
        {"1234567",                          false}, /* 7 bytes */
        {"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", true }, /* 4 characters, 8 bytes */
        {"augusta.ada",                      false},
        {"Augusta.Ada",                      false},
        {"augusta.ada@mail.test",            false},
        {"mail.test",                        false},
        {"augusta.ada1",                     true },
        {"correct horse",                    true },
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        const struct vy_err err =
            password_check_chosen(vy_cstr(rows[i].password), VY_LIT("augusta.ada@mail.test"));
        assert_int_equal(!vy_failed(err), rows[i].is_good);
    }
}

static void pol1_a_chosen_password_has_at_least_8_bytes(void **state)
{
    (void)state;
    struct cluster_key *key = new_key(1);
    struct password_verifier verifier = {.argon2_salt = {1}};
    static const struct vy_bytes text = VY_LIT("123456789");
    for (size_t len = 7; len <= 9; len++) {
        const struct vy_bytes cut = vy_bytes_slice(text, 0, len);
        assert_int_equal(password_make_chosen(key, cut, cut, 4096, &verifier).code,
                         len < 8 ? VY_CODE_ARGUMENT : VY_CODE_OK);
    }
    assert_int_equal(verifier.row.kind, CREDENTIAL_KIND_CHOSEN);
    assert_int_equal(verifier.row.argon2_memory_kib, 19456);
    assert_int_equal(verifier.scram.pairs_count, 1); /* typed as it is prepared */
    assert_int_equal(verifier.row.scram_sealed.len, 0);
    cluster_key_free(key);
}

static void a_chosen_password_has_a_verifier_as_prepared_and_as_typed(void **state)
{
    (void)state;
    struct cluster_key *key = new_key(1);
    struct password_verifier verifier = {.argon2_salt = {1}, .scram_salt = {2}};
    const struct vy_bytes forms[] = {VY_LIT("caf\xc3\xa9 au lait"), VY_LIT("cafe\xcc\x81 au lait")};
    uint8_t stored[32];
    uint8_t server[32];
    assert_false(vy_failed(password_make_chosen(key, forms[0], forms[1], 4096, &verifier)));
    assert_int_equal(verifier.scram.pairs_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_false(
            vy_failed(scram_make_keys(forms[i], verifier.scram.salt, 4096, stored, server)));
        assert_true(vy_bytes_equal(verifier.scram.pairs[i].stored_key, vy_bytes(stored, 32)));
        assert_true(vy_bytes_equal(verifier.scram.pairs[i].server_key, vy_bytes(server, 32)));
    }
    cluster_key_free(key);
}

static void the_salt_of_scram_is_of_the_name_and_the_cluster(void **state)
{
    (void)state;
    struct cluster_key *key = new_key(1);
    struct cluster_key *other = new_key(2);
    uint8_t a[PASSWORD_SALT_BYTES];
    uint8_t b[PASSWORD_SALT_BYTES];
    password_scram_salt(key, VY_LIT("ada@d.test"), a);
    password_scram_salt(key, VY_LIT("ada@d.test"), b);
    assert_memory_equal(a, b, sizeof(a));
    password_scram_salt(key, VY_LIT("adb@d.test"), b);
    assert_memory_not_equal(a, b, sizeof(a));
    password_scram_salt(other, VY_LIT("ada@d.test"), b);
    assert_memory_not_equal(a, b, sizeof(a));
    cluster_key_free(key);
    cluster_key_free(other);
}

/* cyrus-sasl of Debian refuses more (mbsync, mutt), RFC 7677 less. */
static void the_count_of_scram_is_one_that_clients_accept(void **state)
{
    (void)state;
    assert_true(PASSWORD_SCRAM_ITERATIONS >= SCRAM_ITERATIONS_MIN);
    assert_true(PASSWORD_SCRAM_ITERATIONS <= 65536);
}

static void a_stored_mac_is_of_no_use_without_the_cluster_key(void **state)
{
    (void)state;
    struct cluster_key *key = new_key(1);
    struct cluster_key *other = new_key(2);
    uint8_t a[32];
    uint8_t b[32];
    password_mac_hash(key, VY_LIT("hash"), a);
    password_mac_hash(other, VY_LIT("hash"), b);
    assert_memory_not_equal(a, b, 32);
    password_mac_argon2(key, VY_LIT("hash"), b); /* a tag is no hash */
    assert_memory_not_equal(a, b, 32);
    cluster_key_free(key);
    cluster_key_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pol1_a_generated_password_has_at_least_120_bits),
        cmocka_unit_test(pol1_it_is_five_groups_of_letters_that_are_not_mistaken),
        cmocka_unit_test(pol1_bytes_at_the_bound_are_thrown_away),
        cmocka_unit_test(pol1_all_letters_are_equally_likely),
        cmocka_unit_test(a_seed_gives_the_same_secret_for_the_same_purpose_only),
        cmocka_unit_test(what_is_stored_of_a_generated_password_verifies_it_in_both_forms),
        cmocka_unit_test(pol1_a_chosen_password_has_at_least_8_bytes),
        cmocka_unit_test(pol1_a_chosen_password_is_not_the_name_it_is_for),
        cmocka_unit_test(a_chosen_password_has_a_verifier_as_prepared_and_as_typed),
        cmocka_unit_test(the_salt_of_scram_is_of_the_name_and_the_cluster),
        cmocka_unit_test(the_count_of_scram_is_one_that_clients_accept),
        cmocka_unit_test(a_stored_mac_is_of_no_use_without_the_cluster_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
