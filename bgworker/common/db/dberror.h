/* dberror.h: from SQLSTATE to the codes of the wire contract; the table of docs/protocols.md. */
#ifndef RT_DBERROR_H
#define RT_DBERROR_H

#include <stdbool.h>
#include <stddef.h>

const char *rt_dberror_code(const char *sqlstate);     /* static */
bool rt_dberror_is_standby(const char *sqlstate);      /* the server is one, or not promoted yet */
bool rt_dberror_retry(const char *sqlstate);           /* worth one more try */
bool rt_dberror_is_lock_timeout(const char *sqlstate); /* worth more tries, with a pause */
bool rt_dberror_is_ours(const char *sqlstate);         /* raised for the client: its message may be shown */

/* What SQL raised as clients read it: "meeting not found" becomes "Meeting not found"; cut at size. */
void rt_dberror_show(char *out, size_t size, const char *message);
const char *rt_dberror_message(const char *code, const char *sqlstate); /* static; where the error's own stays here */

#endif
