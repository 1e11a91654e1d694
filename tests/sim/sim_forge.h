#pragma once
/*
 * sim_forge - answers that are odd, huge, endless or broken
 *
 * Pure functions on a packet just started, but for the last two, which
 * change a packet that is complete.
 */
#include "sim_data.h"
#include "sim_trick.h"

/*
 * An alias chain of `hops` CNAME records, hop1.chain.example and so on, and
 * unless `unfinished` the records of the last name.
 */
void sim_forge_chain(const struct sim_data *data, const struct sim_query *query, uint32_t hops,
                     bool unfinished, struct sim_packet *packet);

/* `hops` CNAME records that lead back to the question's name. */
void sim_forge_loop(const struct sim_data *data, const struct sim_query *query, uint32_t hops,
                    struct sim_packet *packet);

/*
 * A DNAME that moves the parent of the name to moved.example, the CNAME that
 * follows from it (RFC 6672) and, unless `unfinished`, the records there.
 */
void sim_forge_dname(const struct sim_data *data, const struct sim_query *query, bool unfinished,
                     struct sim_packet *packet);

/* That many records A or AAAA, as asked; of A for any other type. */
void sim_forge_many(const struct sim_data *data, const struct sim_query *query, uint32_t count,
                    struct sim_packet *packet);

/* One TXT record of that many KiB. */
void sim_forge_text(const struct sim_data *data, const struct sim_query *query, uint32_t kib,
                    struct sim_packet *packet);

/*
 * Add records nobody asked for to an answer without its OPT: in the answer
 * and the additional section www.bank.example A 192.0.2.66, in the authority
 * section bank.example NS ns.attacker.example, and that one's address.
 */
void sim_forge_foreign(const struct sim_data *data, enum sim_foreign where,
                       struct sim_packet *packet);

/* Break a complete message; false when there is nothing in it to break that way. */
bool sim_forge_malform(enum sim_malformed how, const struct sim_query *query,
                       struct sim_packet *packet);
