/* SPDX-License-Identifier: Apache-2.0 */
/* volary-frontend: the edge that clients talk to. */
#include "frontend/role.h"
#include "proto/program.h"

int main(int argc, char **argv)
{
    return program_main(argc, argv, &frontend_role);
}
