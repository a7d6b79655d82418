/* packet.h: looks into Socket.IO packets without decoding them.  Good for a sound gateway's answers only. */
#ifndef SWARM_PACKET_H
#define SWARM_PACKET_H

#include <stdbool.h>
#include <stddef.h>

bool packet_is_event(const char *text, size_t len, const char *name);
/* What is behind the first "key": the first character of a value, of a string that within; NULL if it is not there.
 */
const char *packet_value(const char *text, size_t len, const char *key);
long long packet_number(const char *text, size_t len, const char *key); /* or a string of digits; -1: not there */
bool packet_is_true(const char *text, size_t len, const char *key);
void packet_copy(char *to, size_t size, const char *text, size_t len, const char *key); /* a string; must be there */
void packet_check_success(const char *text, size_t len);                                /* of an acknowledgement */

#endif
