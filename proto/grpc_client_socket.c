/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/net.h"
#include "proto/grpc_client_private.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CIPHER_BYTES 16384U

struct grpc_socket {
    int fd;
    SSL *ssl;      /* owned; NULL: plain */
    BIO *incoming; /* of ssl */
    BIO *outgoing;
};

static void explain(struct vy_buf *why, const char *text)
{
    if (why != NULL) {
        vy_buf_append_cstr(why, text);
    }
}

/* ---- addresses ---- */

static bool copy_part(struct vy_bytes part, char *out, size_t size)
{
    if (part.len == 0 || part.len >= size || vy_bytes_find_byte(part, 0, 0) != SIZE_MAX) {
        return false;
    }
    memcpy(out, part.data, part.len);
    out[part.len] = '\0';
    return true;
}

struct vy_err grpc_socket_parse(const char *text, struct grpc_socket_address *out)
{
    struct grpc_socket_address address = {.is_unix = false};
    struct vy_bytes rest = vy_cstr(text);
    bool is_good = false;
    if (vy_bytes_starts_with(rest, VY_LIT("unix:"))) {
        rest = vy_bytes_from(rest, 5);
        rest = vy_bytes_starts_with(rest, VY_LIT("///")) ? vy_bytes_from(rest, 2) : rest;
        address.is_unix = true;
        is_good = copy_part(rest, address.host, GRPC_SOCKET_PATH_BYTES) && address.host[0] == '/';
    } else {
        const bool is_bracketed = vy_bytes_starts_with(rest, VY_LIT("["));
        rest = vy_bytes_from(rest, is_bracketed ? 1 : 0);
        const struct vy_bytes host = vy_bytes_cut(&rest, is_bracketed ? ']' : ':');
        const bool has_colon = !is_bracketed || vy_bytes_starts_with(rest, VY_LIT(":"));
        rest = vy_bytes_from(rest, is_bracketed ? 1 : 0);
        uint32_t port = 0;
        is_good = has_colon && vy_parse_u32(rest, &port) && port > 0 && port <= UINT16_MAX &&
                  copy_part(host, address.host, sizeof(address.host)) &&
                  copy_part(rest, address.port, sizeof(address.port));
    }
    if (!is_good) {
        return vy_error(VY_CODE_ARGUMENT, "address is neither unix:/path nor host:port");
    }
    *out = address;
    return vy_ok();
}

/* ---- waiting ---- */

static uint64_t now_ms(void)
{
    return vy_clock_mono_ms(vy_clock_system());
}

static struct vy_err wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        const uint64_t now = now_ms();
        if (now >= deadline_ms) {
            return vy_error(VY_CODE_UNKNOWN, "no answer in time");
        }
        struct pollfd poll_fd = {.fd = fd, .events = events};
        const int ready = poll(&poll_fd, 1, (int)VY_MIN(deadline_ms - now, 60000U));
        if (ready > 0) {
            return vy_ok();
        }
        if (ready < 0 && errno != EINTR) {
            return vy_error_sys(VY_CODE_IO, errno, "poll");
        }
    }
}

/* ---- raw bytes ---- */

static struct vy_err send_raw(int fd, struct vy_bytes bytes, uint64_t deadline_ms)
{
    while (bytes.len > 0) {
        const ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes = vy_bytes_from(bytes, (size_t)sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            VY_TRY(wait_for(fd, POLLOUT, deadline_ms));
        } else if (errno != EINTR) {
            return vy_error_sys(VY_CODE_CLOSED, errno, "connection lost");
        }
    }
    return vy_ok();
}

static struct vy_err receive_raw(int fd, uint8_t *out, size_t size, uint64_t deadline_ms,
                                 size_t *len)
{
    for (;;) {
        const ssize_t got = recv(fd, out, size, 0);
        if (got > 0) {
            *len = (size_t)got;
            return vy_ok();
        }
        if (got == 0) {
            return vy_error(VY_CODE_CLOSED, "connection closed");
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (deadline_ms == 0) {
                *len = 0;
                return vy_ok();
            }
            VY_TRY(wait_for(fd, POLLIN, deadline_ms));
        } else if (errno != EINTR) {
            return vy_error_sys(VY_CODE_CLOSED, errno, "connection lost");
        }
    }
}

/* ---- TLS ---- */

static struct vy_err refuse_file(struct vy_buf *why, const char *path, const char *what)
{
    ERR_clear_error();
    explain(why, path);
    explain(why, ": ");
    explain(why, what);
    return vy_error(VY_CODE_ARGUMENT, what);
}

static struct vy_err load_identity(SSL_CTX *tls, const struct grpc_client_tls *config,
                                   struct vy_buf *why)
{
    struct stat st;
    if (config->key_file == NULL) {
        return refuse_file(why, config->cert_file, "a certificate needs its key file");
    }
    if (stat(config->key_file, &st) != 0) {
        return refuse_file(why, config->key_file, "the key file cannot be read");
    }
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) { /* C2 */
        return refuse_file(why, config->key_file, "the key is readable by others: chmod 0600 it");
    }
    if (SSL_CTX_use_certificate_chain_file(tls, config->cert_file) != 1) {
        return refuse_file(why, config->cert_file, "not a readable PEM certificate");
    }
    if (SSL_CTX_use_PrivateKey_file(tls, config->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(tls) != 1) {
        return refuse_file(why, config->key_file, "not the PEM key of that certificate");
    }
    return vy_ok();
}

static struct vy_err configure_tls(SSL_CTX *tls, const struct grpc_client_tls *config,
                                   struct vy_buf *why)
{
    static const unsigned char alpn[] = "\x02h2";
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_alpn_protos(tls, alpn, sizeof(alpn) - 1) != 0) {
        ERR_clear_error();
        return vy_error(VY_CODE_NOMEM, "TLS settings");
    }
    if (config->ca_file == NULL || SSL_CTX_load_verify_file(tls, config->ca_file) != 1) {
        return refuse_file(why, config->ca_file == NULL ? "no CA file" : config->ca_file,
                           "not readable PEM certificates of authorities");
    }
    return config->cert_file == NULL ? vy_ok() : load_identity(tls, config, why);
}

struct vy_err grpc_socket_tls_new(const struct grpc_client_tls *config, SSL_CTX **out,
                                  struct vy_buf *why)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL) {
        ERR_clear_error();
        return vy_error(VY_CODE_NOMEM, "TLS");
    }
    const struct vy_err err = configure_tls(tls, config, why);
    if (vy_failed(err)) {
        SSL_CTX_free(tls);
        return err;
    }
    *out = tls;
    return vy_ok();
}

void grpc_socket_tls_free(SSL_CTX *tls)
{
    SSL_CTX_free(tls);
}

/* Sends what OpenSSL has for the peer. */
static struct vy_err flush_tls(struct grpc_socket *socket, uint64_t deadline_ms)
{
    uint8_t bytes[CIPHER_BYTES];
    for (;;) {
        const int len = BIO_read(socket->outgoing, bytes, sizeof(bytes));
        if (len <= 0) {
            return vy_ok();
        }
        VY_TRY(send_raw(socket->fd, vy_bytes(bytes, (size_t)len), deadline_ms));
    }
}

/* *is_idle: nothing came and the deadline was 0. */
static struct vy_err feed_tls(struct grpc_socket *socket, uint64_t deadline_ms, bool *is_idle)
{
    uint8_t bytes[CIPHER_BYTES];
    size_t len = 0;
    VY_TRY(receive_raw(socket->fd, bytes, sizeof(bytes), deadline_ms, &len));
    *is_idle = len == 0;
    if (len > 0 && BIO_write(socket->incoming, bytes, (int)len) != (int)len) {
        return vy_error(VY_CODE_NOMEM, "TLS input");
    }
    return vy_ok();
}

/* What an SSL call wants, after what it has to say was sent. ok: call it again. */
static struct vy_err go_on_tls(struct grpc_socket *socket, int result, uint64_t deadline_ms,
                               bool *is_idle)
{
    const int wants = SSL_get_error(socket->ssl, result);
    const unsigned long reason = ERR_peek_error();
    const struct vy_err sent = flush_tls(socket, deadline_ms == 0 ? now_ms() + 1000 : deadline_ms);
    ERR_clear_error();
    if (wants == SSL_ERROR_WANT_READ) {
        VY_TRY(sent);
        return feed_tls(socket, deadline_ms, is_idle);
    }
    if (wants == SSL_ERROR_ZERO_RETURN) {
        return vy_error(VY_CODE_CLOSED, "connection closed");
    }
    const bool is_alert = ERR_GET_REASON(reason) > SSL_AD_REASON_OFFSET;
    return is_alert ? vy_error(VY_CODE_AUTH, "the server refuses our certificate")
                    : vy_error(VY_CODE_CLOSED, "TLS failed");
}

static void explain_handshake(const struct grpc_socket *socket, struct vy_err err,
                              struct vy_buf *why)
{
    const long result = SSL_get_verify_result(socket->ssl);
    if (result != X509_V_OK) {
        explain(why, "the server's certificate: ");
        explain(why, X509_verify_cert_error_string(result));
    } else {
        explain(why, err.what);
    }
}

static bool expect_name(SSL *ssl, const char *name)
{
    uint8_t ip[16];
    const bool is_ip = inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
    if (is_ip) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static struct vy_err shake_hands(struct grpc_socket *socket, uint64_t deadline_ms)
{
    bool is_idle = false;
    int result = SSL_do_handshake(socket->ssl);
    while (result != 1) {
        VY_TRY(go_on_tls(socket, result, deadline_ms, &is_idle));
        result = SSL_do_handshake(socket->ssl);
    }
    VY_TRY(flush_tls(socket, deadline_ms));
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    SSL_get0_alpn_selected(socket->ssl, &alpn, &alpn_len);
    return vy_bytes_equal(vy_bytes(alpn, alpn_len), VY_LIT("h2"))
               ? vy_ok()
               : vy_error(VY_CODE_SYNTAX, "the server does not offer HTTP/2");
}

static struct vy_err start_tls(struct grpc_socket *socket, const struct grpc_socket_config *config,
                               struct vy_buf *why)
{
    socket->ssl = SSL_new(config->tls);
    socket->incoming = BIO_new(BIO_s_mem());
    socket->outgoing = BIO_new(BIO_s_mem());
    if (socket->ssl == NULL || socket->incoming == NULL || socket->outgoing == NULL) {
        BIO_free(socket->incoming);
        BIO_free(socket->outgoing);
        ERR_clear_error();
        return vy_error(VY_CODE_NOMEM, "TLS");
    }
    SSL_set_bio(socket->ssl, socket->incoming, socket->outgoing);
    SSL_set_connect_state(socket->ssl);
    if (!expect_name(socket->ssl, config->server_name)) {
        ERR_clear_error();
        return vy_error(VY_CODE_ARGUMENT, "server name");
    }
    const struct vy_err err = shake_hands(socket, config->deadline_ms);
    if (!vy_failed(err)) {
        return err;
    }
    explain_handshake(socket, err, why);
    if (SSL_get_verify_result(socket->ssl) != X509_V_OK) {
        return vy_error(VY_CODE_AUTH, "the server's certificate is not acceptable");
    }
    return err.code == VY_CODE_AUTH ? err : vy_error(VY_CODE_UNAVAILABLE, err.what);
}

/* ---- connecting ---- */

static struct vy_err connect_fd(int fd, const struct sockaddr *address, socklen_t len,
                                uint64_t deadline_ms)
{
    int failure = 0;
    socklen_t failure_len = sizeof(failure);
    if (connect(fd, address, len) == 0) {
        return vy_ok();
    }
    if (errno != EINPROGRESS) {
        return vy_error_sys(VY_CODE_UNAVAILABLE, errno, "connect");
    }
    if (vy_failed(wait_for(fd, POLLOUT, deadline_ms))) {
        return vy_error_sys(VY_CODE_UNAVAILABLE, ETIMEDOUT, "connect");
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &failure_len) != 0 || failure != 0) {
        return vy_error_sys(VY_CODE_UNAVAILABLE, failure, "connect");
    }
    return vy_ok();
}

static struct vy_err connect_address(int family, const struct sockaddr *address, socklen_t len,
                                     uint64_t deadline_ms, int *out)
{
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return vy_error_sys(VY_CODE_UNAVAILABLE, errno, "socket");
    }
    const struct vy_err err = connect_fd(fd, address, len, deadline_ms);
    if (vy_failed(err)) {
        (void)close(fd);
        return err;
    }
    if (family != AF_UNIX) {
        const int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    *out = fd;
    return vy_ok();
}

static struct vy_err connect_unix(const struct grpc_socket_config *config, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t len = strlen(config->address->host);
    VY_ASSERT(len < sizeof(address.sun_path));
    memcpy(address.sun_path, config->address->host, len);
    return connect_address(AF_UNIX, (const struct sockaddr *)&address, sizeof(address),
                           config->deadline_ms, out);
}

/* Each address that the name has, in turn. */
static struct vy_err connect_tcp(const struct grpc_socket_config *config, int *out,
                                 struct vy_buf *why)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    const int failed = getaddrinfo(config->address->host, config->address->port, &hints, &found);
    if (failed != 0) {
        explain(why, gai_strerror(failed));
        return vy_error(VY_CODE_UNAVAILABLE, "host name");
    }
    struct vy_err err = vy_error(VY_CODE_UNAVAILABLE, "host name");
    for (const struct addrinfo *item = found; item != NULL; item = item->ai_next) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        memcpy(&address, item->ai_addr, VY_MIN(item->ai_addrlen, sizeof(address)));
        if (config->tls == NULL && !vy_net_is_loopback(&address)) {
            err = vy_error(VY_CODE_DENIED, "without TLS only this machine can be asked");
            continue;
        }
        err = connect_address(item->ai_family, item->ai_addr, item->ai_addrlen, config->deadline_ms,
                              out);
        if (!vy_failed(err)) {
            break;
        }
    }
    freeaddrinfo(found);
    return err;
}

struct vy_err grpc_socket_open(const struct grpc_socket_config *config, struct grpc_socket **out,
                               struct vy_buf *why)
{
    struct grpc_socket *opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        return vy_error(VY_CODE_NOMEM, "connection");
    }
    opened->fd = -1;
    struct vy_err err = config->address->is_unix ? connect_unix(config, &opened->fd)
                                                 : connect_tcp(config, &opened->fd, why);
    if (vy_failed(err) && (why == NULL || vy_buf_len(why) == 0)) {
        explain(why, err.sys == 0 ? err.what : strerror(err.sys));
    }
    if (!vy_failed(err) && config->tls != NULL) {
        err = start_tls(opened, config, why);
    }
    if (vy_failed(err)) {
        grpc_socket_free(opened);
        return err;
    }
    *out = opened;
    return vy_ok();
}

void grpc_socket_free(struct grpc_socket *socket)
{
    if (socket == NULL) {
        return;
    }
    SSL_free(socket->ssl);
    vy_net_close(socket->fd);
    free(socket);
}

/* ---- bytes ---- */

struct vy_err grpc_socket_receive(struct grpc_socket *socket, uint8_t *out, size_t size,
                                  uint64_t deadline_ms, size_t *len)
{
    if (socket->ssl == NULL) {
        return receive_raw(socket->fd, out, size, deadline_ms, len);
    }
    bool is_idle = false;
    int result = SSL_read_ex(socket->ssl, out, size, len);
    while (result != 1) {
        VY_TRY(go_on_tls(socket, result, deadline_ms, &is_idle));
        if (is_idle) {
            *len = 0;
            return vy_ok();
        }
        result = SSL_read_ex(socket->ssl, out, size, len);
    }
    return vy_ok();
}

/* A server that refuses our certificate says why and closes; what we send meanwhile fails first. */
static struct vy_err find_alert(struct grpc_socket *socket, struct vy_err lost)
{
    uint8_t ignored[512];
    size_t len = 1;
    struct vy_err err = vy_ok();
    while (!vy_failed(err) && len > 0) {
        err = grpc_socket_receive(socket, ignored, sizeof(ignored), 0, &len);
    }
    return err.code == VY_CODE_AUTH ? err : lost;
}

struct vy_err grpc_socket_send(struct grpc_socket *socket, struct vy_bytes bytes,
                               uint64_t deadline_ms)
{
    if (socket->ssl == NULL) {
        return send_raw(socket->fd, bytes, deadline_ms);
    }
    while (bytes.len > 0) {
        size_t taken = 0;
        if (SSL_write_ex(socket->ssl, bytes.data, VY_MIN(bytes.len, CIPHER_BYTES), &taken) != 1) {
            ERR_clear_error();
            return vy_error(VY_CODE_CLOSED, "TLS failed");
        }
        const struct vy_err err = flush_tls(socket, deadline_ms);
        if (vy_failed(err)) {
            return find_alert(socket, err);
        }
        bytes = vy_bytes_from(bytes, taken);
    }
    return vy_ok();
}
