/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Every method of the link, in one frozen table: X(NAME, id, request message, reply message,
 * allowed roles, stream). id = service << 16 | number: 1 shard, 2 meta, 3 raft. Never reuse an id.
 * Streams: body bytes that travel as DATA, to the server (UP) or from it (DOWN).
 */
#include <stdint.h>

/* Roles of the peer's certificate, as bits; the all-in-one's links carry RPC_ROLE_ALL. */
enum rpc_role {
    RPC_ROLE_FRONTEND = 1,
    RPC_ROLE_SHARD = 2,
    RPC_ROLE_META = 4,
    RPC_ROLE_ADMIN = 8,
    RPC_ROLE_ALL = 15
};

enum rpc_stream { RPC_STREAM_NONE, RPC_STREAM_UP, RPC_STREAM_DOWN };

/* clang-format off */
#define SHARD_METHODS(X)                                                                                             \
    X(SHARD_MAILBOX_LIST,      0x10001, mailbox_list_request,      mailbox_list_reply,      RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MAILBOX_CREATE,    0x10002, mailbox_create_request,    mailbox_create_reply,    RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MAILBOX_DELETE,    0x10003, mailbox_delete_request,    shard_empty_reply,       RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MAILBOX_RENAME,    0x10004, mailbox_rename_request,    shard_empty_reply,       RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MAILBOX_SUBSCRIBE, 0x10005, mailbox_subscribe_request, shard_empty_reply,       RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MAILBOX_OPEN,      0x10006, mailbox_open_request,      mailbox_open_reply,      RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MAILBOX_CLOSE,     0x10007, mailbox_close_request,     shard_empty_reply,       RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MAILBOX_SYNC,      0x10008, mailbox_sync_request,      mailbox_sync_reply,      RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MESSAGE_STORE,     0x10009, message_store_request,     message_store_reply,     RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MESSAGE_COPY,      0x1000A, message_copy_request,      message_copy_reply,      RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MESSAGE_EXPUNGE,   0x1000B, message_expunge_request,   message_expunge_reply,   RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MESSAGE_FETCH,     0x1000C, message_fetch_request,     shard_empty_reply,       RPC_ROLE_FRONTEND, DOWN) \
    X(SHARD_MESSAGE_SEARCH,    0x1000D, message_search_request,    message_search_reply,    RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_MESSAGE_APPEND,    0x1000E, message_append_request,    message_append_reply,    RPC_ROLE_FRONTEND, UP)   \
    X(SHARD_MESSAGE_DELIVER,   0x1000F, message_deliver_request,   message_deliver_reply,   RPC_ROLE_FRONTEND, UP)   \
    X(SHARD_QUOTA,             0x10010, quota_request,             quota_reply,             RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_ACCOUNT_WATCH,     0x10011, account_watch_request,     shard_empty_reply,       RPC_ROLE_FRONTEND, DOWN) \
    X(SHARD_ACCOUNT_FENCE,     0x10012, account_fence_request,     account_fence_reply,     RPC_ROLE_META,     NONE) \
    X(SHARD_STATUS,            0x10013, shard_status_request,      shard_status_reply,      RPC_ROLE_META,     NONE) \
    X(SHARD_DELIVERY_END,      0x10014, delivery_end_request,      delivery_end_reply,      RPC_ROLE_FRONTEND, NONE) \
    X(SHARD_DELIVERY_ASK,      0x10015, delivery_ask_request,      delivery_ask_reply,      RPC_ROLE_FRONTEND | RPC_ROLE_SHARD, NONE) \
    X(SHARD_ACCOUNT_EXPEL,     0x10016, account_expel_request,     account_expel_reply,     RPC_ROLE_META,     NONE)

#define META_METHODS(X)                                                                                              \
    X(META_LOGIN,         0x20001, login_request,         login_reply,         RPC_ROLE_FRONTEND,                  NONE) \
    X(META_RESOLVE,       0x20002, resolve_request,       resolve_reply,       RPC_ROLE_FRONTEND,                  NONE) \
    X(META_SENDER_CHECK,  0x20003, sender_check_request,  sender_check_reply,  RPC_ROLE_FRONTEND,                  NONE) \
    X(META_ACCOUNT_KEY,   0x20004, account_key_request,   account_key_reply,   RPC_ROLE_SHARD,                     NONE) \
    X(META_NODE_REGISTER, 0x20005, node_register_request, node_register_reply, RPC_ROLE_SHARD | RPC_ROLE_FRONTEND, NONE) \
    X(META_CLUSTER_MAP,   0x20006, cluster_map_request,   cluster_map_reply,   RPC_ROLE_SHARD | RPC_ROLE_FRONTEND, NONE) \
    X(META_WATCH,         0x20007, meta_watch_request,    meta_empty_reply,    RPC_ROLE_SHARD | RPC_ROLE_FRONTEND, DOWN) \
    X(META_ACCOUNT_EXPEL, 0x20008, account_expel_request, account_expel_reply, RPC_ROLE_META,                      NONE)

/* Answered by the leader of a group, shard or meta, whose members they are about. */
#define GROUP_METHODS(X)                                                                                             \
    X(GROUP_MEMBERS,      0x30002, group_members_request, group_members_reply, RPC_ROLE_META,                      NONE)

/* Raft messages: one unending call per peer and direction on a link of its own; each DATA is one message. */
#define RAFT_METHOD_MESSAGES 0x30001U
/* Pieces of snapshots, likewise and on another link, so that raft's messages never wait for them. */
#define RAFT_METHOD_BULK 0x30002U
/* clang-format on */

enum rpc_method {
#define X(name, id, request, reply, roles, stream) METHOD_##name = (id),
    SHARD_METHODS(X) META_METHODS(X) GROUP_METHODS(X)
#undef X
};
