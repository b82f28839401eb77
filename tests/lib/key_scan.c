/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the proof that an account's key is gone (F22): key_scan CLUSTER-KEY-FILE ACCOUNT-ID FILE...
 * tries every place of every file as a wrapped key of the account and prints the first that opens:
 * its wrapped and its raw form in hex. Exit 1: there is none.
 */
#include "proto/cluster_key.h"

#include "base/buf.h"
#include "base/codec.h"
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (64L * 1024 * 1024)

static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc((size_t)FILE_BYTES_MAX);
    *len = file == NULL || bytes == NULL ? 0 : fread(bytes, 1, (size_t)FILE_BYTES_MAX, file);
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

static void show(struct vy_bytes wrapped, struct vy_bytes raw)
{
    struct vy_buf text;
    vy_buf_init(&text, 1024);
    vy_hex_encode(&text, wrapped);
    vy_buf_append_byte(&text, ' ');
    vy_hex_encode(&text, raw);
    printf("%.*s\n", VY_PRI(vy_buf_bytes(&text)));
    vy_buf_deinit(&text);
}

static bool scan(const struct cluster_key *key, uint64_t account_id, const char *path)
{
    uint8_t raw[ACCOUNT_KEY_BYTES];
    size_t len = 0;
    bool is_found = false;
    uint8_t *bytes = read_file(path, &len);
    for (size_t at = 0; !is_found && at + WRAPPED_KEY_BYTES <= len; at++) {
        static const uint8_t nothing[4] = {0};
        const struct vy_bytes wrapped = vy_bytes(bytes + at, WRAPPED_KEY_BYTES);
        is_found = memcmp(bytes + at, nothing, sizeof(nothing)) != 0 &&
                   !vy_failed(cluster_key_unwrap(key, account_id, wrapped, raw));
        if (is_found) {
            show(wrapped, vy_bytes(raw, sizeof(raw)));
        }
    }
    free(bytes);
    return is_found;
}

int main(int argc, char **argv)
{
    struct cluster_key *key = NULL;
    uint64_t account_id = 0;
    bool is_found = false;
    if (argc < 4 || !vy_parse_u64(vy_cstr(argv[2]), &account_id) ||
        vy_failed(cluster_key_load(argv[1], &key))) {
        fprintf(stderr, "usage: key_scan CLUSTER-KEY-FILE ACCOUNT-ID FILE...\n");
        return 2;
    }
    for (int i = 3; i < argc && !is_found; i++) {
        is_found = scan(key, account_id, argv[i]);
    }
    cluster_key_free(key);
    return is_found ? 0 : 1;
}
