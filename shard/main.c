/* SPDX-License-Identifier: Apache-2.0 */
/* volary-shard: one member of a group of shards. */
#include "proto/program.h"
#include "shard/role.h"

int main(int argc, char **argv)
{
    return program_main(argc, argv, &shard_role);
}
