/* SPDX-License-Identifier: Apache-2.0 */
/* LOGIN (draft-murchison-sasl-login): asks for the name, then for the password. Old, but still what
 * many phones and printers speak. An initial response is the name. */
#include "frontend/auth/sasl_private.h"

static struct sasl_step login_receive(struct sasl_exchange *x, struct vy_bytes message)
{
    if (x->has_name) {
        return sasl_password_check(x, vy_bytes(NULL, 0), x->name, message);
    }
    if (vy_failed(vy_arena_dup(&x->arena, message, &x->name))) {
        return sasl_step_done(x, SASL_RESULT_UNAVAILABLE);
    }
    x->has_name = true;
    return sasl_step_challenge(x, VY_LIT("Password:"));
}

const struct sasl_mechanism sasl_login = {
    .name = "LOGIN",
    .id = LOGIN_MECHANISM_LOGIN,
    .first_question = "Username:",
    .receive = login_receive,
    .resume = sasl_password_resume,
};
