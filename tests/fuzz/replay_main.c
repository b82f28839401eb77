/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds every file of the directories and files named to a fuzz target: the seeds run as ordinary
 * tests. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SEED_BYTES_MAX (16U * 1024U * 1024U)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(SEED_BYTES_MAX);
    if (file == NULL || data == NULL) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    const size_t size = fread(data, 1, SEED_BYTES_MAX, file);
    uint8_t *exact = malloc(size == 0 ? 1 : size); /* so that ASan sees a read past the end */
    if (exact == NULL) {
        exit(1);
    }
    for (size_t i = 0; i < size; i++) {
        exact[i] = data[i];
    }
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    free(data);
    (void)fclose(file);
    return 1;
}

static unsigned replay_directory(const char *path)
{
    DIR *directory = opendir(path);
    unsigned count = 0;
    if (directory == NULL) {
        (void)fprintf(stderr, "no corpus at %s\n", path);
        exit(1);
    }
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        char name[4096];
        if (entry->d_name[0] != '.') {
            (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
            count += replay_file(name);
        }
    }
    (void)closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        const int failed = stat(argv[i], &st);
        count +=
            failed == 0 && S_ISREG(st.st_mode) ? replay_file(argv[i]) : replay_directory(argv[i]);
    }
    (void)printf("%u seeds\n", count);
    return count > 0 ? 0 : 1;
}
