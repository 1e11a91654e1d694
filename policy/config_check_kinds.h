#pragma once
/*
 * config_check_kinds - the readers of what each kind of check is told
 *
 * Each takes the map of its kind and fills the check, whose timing is read
 * already. What is wrong is reported. Control thread.
 */
#include "policy/config_context.h"
#include "policy/config_table.h"

typedef void config_check_reader(struct config_context *context, const struct config_item *kind,
                                 struct model_check *check);

/* config_check_dns.c */
extern const struct config_table config_check_dns_table;
config_check_reader config_check_read_dns;

/* config_check_stream.c */
extern const struct config_table config_check_tcp_table;
extern const struct config_table config_check_handshake_table;
extern const struct config_table config_check_icmp_table;
config_check_reader config_check_read_tcp;
config_check_reader config_check_read_handshake;
config_check_reader config_check_read_icmp;

/* config_check_http.c */
extern const struct config_table config_check_http_table;
extern const struct config_table config_check_https_table;
config_check_reader config_check_read_http;
config_check_reader config_check_read_https;

/* config_check_local.c */
extern const struct config_table config_check_exec_table;
extern const struct config_table config_check_push_table;
extern const struct config_table config_check_file_table;
config_check_reader config_check_read_exec;
config_check_reader config_check_read_push;
config_check_reader config_check_read_file;
