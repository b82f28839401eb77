/* SPDX-License-Identifier: Apache-2.0 */
/* volary-meta: one member of meta's group. */
#include "meta/role.h"
#include "proto/program.h"

int main(int argc, char **argv)
{
    return program_main(argc, argv, &meta_role);
}
