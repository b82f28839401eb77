/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/seal.h"
#include "base/assert.h"
#include "base/secret.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zstd.h>

#define SEAL_NONCE_BYTES 12U
#define SEAL_TAG_BYTES 16U
/* Below this zstd cannot win over its own frame. */
#define SEAL_SQUEEZE_MIN_BYTES 96U
#define SEAL_ZSTD_LEVEL 1
/* What a short text gains by its own entropy tables, a fifth, does not pay for reading them: rows
 * of emails are opened by the thousand. Negative levels write none. */
#define SEAL_SHORT_BYTES 4096U
#define SEAL_ZSTD_LEVEL_SHORT (-3)
/* The form byte and a row's key. */
#define SEAL_ASSOCIATED_BYTES_MAX (1U + SHARD_KEY_BYTES_MAX)

enum seal_form { SEAL_FORM_PLAIN = 0, SEAL_FORM_ZSTD = 1 };

/* Setting up a cipher costs more than sealing a kilobyte with it, so every thread keeps its own. */
struct seal_thread {
    EVP_CIPHER *aes;
    EVP_CIPHER_CTX *cipher;
    uint64_t serial; /* of the keys that cipher is set up for; 0: none */
    bool is_encrypting;
    ZSTD_CCtx *squeeze;
    ZSTD_DCtx *unsqueeze;
    uint8_t *text; /* SEAL_CHUNK_BYTES: squeezed text on its way */
};

/* Found by every thread; written once. */
static pthread_key_t thread_key;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

static void thread_free(void *arg)
{
    struct seal_thread *thread = arg;

    EVP_CIPHER_CTX_free(thread->cipher);
    EVP_CIPHER_free(thread->aes);
    ZSTD_freeCCtx(thread->squeeze);
    ZSTD_freeDCtx(thread->unsqueeze);
    free(thread->text);
    free(thread);
}

static void thread_key_make(void)
{
    VY_ASSERT(pthread_key_create(&thread_key, thread_free) == 0);
}

static struct seal_thread *thread_new(void)
{
    struct seal_thread *thread = calloc(1, sizeof(*thread));

    if (thread == NULL) {
        return NULL;
    }
    thread->aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    thread->cipher = EVP_CIPHER_CTX_new();
    thread->squeeze = ZSTD_createCCtx();
    thread->unsqueeze = ZSTD_createDCtx();
    thread->text = malloc(SEAL_CHUNK_BYTES);
    if (thread->aes == NULL || thread->cipher == NULL || thread->squeeze == NULL ||
        thread->unsqueeze == NULL || thread->text == NULL ||
        pthread_setspecific(thread_key, thread) != 0) {
        thread_free(thread);
        return NULL;
    }
    return thread;
}

static struct seal_thread *thread_get(void)
{
    VY_ASSERT(pthread_once(&thread_key_once, thread_key_make) == 0);
    struct seal_thread *thread = pthread_getspecific(thread_key);
    return thread == NULL ? thread_new() : thread;
}

void seal_keys_derive(const uint8_t account_key[SEAL_KEY_BYTES], struct seal_keys *out)
{
    static const char label[] = "volary account hash key 1";
    static atomic_uint_fast64_t serials;
    unsigned len = 0;

    out->serial = atomic_fetch_add(&serials, 1) + 1;
    memcpy(out->data, account_key, SEAL_KEY_BYTES);
    const uint8_t *done = HMAC(EVP_sha256(), account_key, SEAL_KEY_BYTES, (const uint8_t *)label,
                               sizeof(label) - 1, out->hash, &len);
    VY_ASSERT(done != NULL);
    VY_ASSERT(len == SEAL_KEY_BYTES);
}

/* With the keys of the call before, only the nonce is new: setting up a key costs as much as
 * sealing half a kilobyte. */
static bool cipher_set_key(struct seal_thread *thread, const struct seal_keys *keys,
                           const uint8_t *nonce, bool encrypt)
{
    const bool is_set =
        keys->serial != 0 && keys->serial == thread->serial && encrypt == thread->is_encrypting;

    thread->serial = 0; /* until it is known to be right */
    if (EVP_CipherInit_ex(thread->cipher, is_set ? NULL : thread->aes, NULL,
                          is_set ? NULL : keys->data, nonce, encrypt ? 1 : 0) != 1) {
        return false;
    }
    thread->serial = keys->serial;
    thread->is_encrypting = encrypt;
    return true;
}

/* The form byte and the row's key are authenticated with the text. */
static bool cipher_begin(struct seal_thread *thread, const struct seal_keys *keys,
                         const uint8_t *nonce, uint8_t form, struct vy_bytes row_key, bool encrypt)
{
    uint8_t associated[SEAL_ASSOCIATED_BYTES_MAX];
    int len = 0;

    VY_ASSERT(row_key.len < sizeof(associated));
    associated[0] = form;
    memcpy(associated + 1, row_key.data, row_key.len);
    return cipher_set_key(thread, keys, nonce, encrypt) &&
           EVP_CipherUpdate(thread->cipher, NULL, &len, associated, (int)row_key.len + 1) == 1;
}

static struct vy_bytes squeeze_text(struct seal_thread *thread, struct vy_bytes text, uint8_t *form)
{
    *form = SEAL_FORM_PLAIN;
    if (text.len < SEAL_SQUEEZE_MIN_BYTES) {
        return text;
    }
    const int level = text.len < SEAL_SHORT_BYTES ? SEAL_ZSTD_LEVEL_SHORT : SEAL_ZSTD_LEVEL;
    /* A target smaller than the text: no gain is an error, and the plain form it is. */
    const size_t len = ZSTD_compressCCtx(thread->squeeze, thread->text, text.len - text.len / 16,
                                         text.data, text.len, level);
    if (ZSTD_isError(len)) {
        return text;
    }
    *form = SEAL_FORM_ZSTD;
    return vy_bytes(thread->text, len);
}

struct vy_err seal_text(const struct seal_keys *keys, struct vy_rng *rng, struct vy_bytes row_key,
                        enum seal_squeeze squeeze, struct vy_bytes text, struct vy_buf *out)
{
    struct seal_thread *thread = thread_get();
    uint8_t form = SEAL_FORM_PLAIN;
    int len = 0;

    if (thread == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate cipher");
    }
    if (text.len > SEAL_CHUNK_BYTES) {
        return vy_error(VY_CODE_LIMIT, "seal text over chunk size");
    }
    const struct vy_bytes body = squeeze == SEAL_SQUEEZE ? squeeze_text(thread, text, &form) : text;
    uint8_t *at = vy_buf_reserve(out, body.len + SEAL_OVERHEAD_BYTES);
    if (at == NULL) {
        return vy_error(VY_CODE_LIMIT, "seal text");
    }
    at[0] = form;
    vy_rng_fill(rng, at + 1, SEAL_NONCE_BYTES);
    uint8_t *cipher_text = at + 1 + SEAL_NONCE_BYTES;
    if (!cipher_begin(thread, keys, at + 1, form, row_key, true) ||
        EVP_CipherUpdate(thread->cipher, cipher_text, &len, body.data, (int)body.len) != 1 ||
        EVP_CipherFinal_ex(thread->cipher, cipher_text + len, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(thread->cipher, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES,
                            cipher_text + body.len) != 1) {
        return vy_error(VY_CODE_INTERNAL, "encrypt");
    }
    vy_buf_added(out, body.len + SEAL_OVERHEAD_BYTES);
    return vy_ok();
}

static struct vy_err unsqueeze_into(struct seal_thread *thread, struct vy_bytes squeezed,
                                    struct vy_buf *out)
{
    const unsigned long long size = ZSTD_getFrameContentSize(squeezed.data, squeezed.len);

    if (size > SEAL_CHUNK_BYTES) { /* also the two "unknown" values */
        return vy_error(VY_CODE_CORRUPT, "read size of sealed text");
    }
    uint8_t *at = vy_buf_reserve(out, (size_t)size);
    if (at == NULL) {
        return vy_error(VY_CODE_LIMIT, "unseal text");
    }
    const size_t len =
        ZSTD_decompressDCtx(thread->unsqueeze, at, (size_t)size, squeezed.data, squeezed.len);
    if (ZSTD_isError(len) || len != size) {
        return vy_error(VY_CODE_CORRUPT, "decompress sealed text");
    }
    vy_buf_added(out, len);
    return vy_ok();
}

static bool decrypt(struct seal_thread *thread, const struct seal_keys *keys,
                    struct vy_bytes row_key, struct vy_bytes sealed, uint8_t *text)
{
    const size_t text_len = sealed.len - SEAL_OVERHEAD_BYTES;
    const uint8_t *cipher_text = sealed.data + 1 + SEAL_NONCE_BYTES;
    uint8_t tag[SEAL_TAG_BYTES];
    int len = 0;

    memcpy(tag, cipher_text + text_len, sizeof(tag));
    return cipher_begin(thread, keys, sealed.data + 1, sealed.data[0], row_key, false) &&
           EVP_CipherUpdate(thread->cipher, text, &len, cipher_text, (int)text_len) == 1 &&
           EVP_CIPHER_CTX_ctrl(thread->cipher, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, tag) == 1 &&
           EVP_CipherFinal_ex(thread->cipher, text + len, &len) == 1;
}

struct vy_err seal_open(const struct seal_keys *keys, struct vy_bytes row_key,
                        struct vy_bytes sealed, struct vy_buf *out)
{
    struct seal_thread *thread = thread_get();

    if (thread == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate cipher");
    }
    if (sealed.len < SEAL_OVERHEAD_BYTES || sealed.len > SEAL_CHUNK_SEALED_MAX ||
        sealed.data[0] > SEAL_FORM_ZSTD) {
        return vy_error(VY_CODE_CORRUPT, "read sealed text");
    }
    const size_t len = sealed.len - SEAL_OVERHEAD_BYTES;
    const bool squeezed = sealed.data[0] == SEAL_FORM_ZSTD;
    uint8_t *at = squeezed ? thread->text : vy_buf_reserve(out, len);
    if (at == NULL) {
        return vy_error(VY_CODE_LIMIT, "unseal text");
    }
    if (!decrypt(thread, keys, row_key, sealed, at)) {
        return vy_error(VY_CODE_CORRUPT, "check sealed text");
    }
    if (squeezed) {
        return unsqueeze_into(thread, vy_bytes(at, len), out);
    }
    vy_buf_added(out, len);
    return vy_ok();
}

void seal_hash(const struct seal_keys *keys, enum seal_hash_kind kind, struct vy_bytes text,
               uint8_t out[SHARD_HASH_BYTES])
{
    uint8_t message[1024 + 1];
    uint8_t mac[32];
    unsigned mac_len = 0;

    /* Longer than any name may be: what stands behind 1,024 bytes does not tell names apart. */
    const size_t len = VY_MIN(text.len, sizeof(message) - 1);
    message[0] = (uint8_t)kind;
    if (len > 0) {
        memcpy(message + 1, text.data, len);
    }
    const uint8_t *done =
        HMAC(EVP_sha256(), keys->hash, SEAL_KEY_BYTES, message, len + 1, mac, &mac_len);
    VY_ASSERT(done != NULL);
    memcpy(out, mac, SHARD_HASH_BYTES);
}
