/* expiry.h: rt.disconnect_on_token_expiry: clients whose token has expired since they connected are cut off.  With a
 * new one they come back by themselves, and their session is recovered; with the old one they are refused. */
#ifndef RT_EXPIRY_H
#define RT_EXPIRY_H

struct rt_app;
struct rt_expiry;

struct rt_expiry *rt_expiry_new(struct rt_app *app);
void rt_expiry_free(struct rt_expiry *e); /* NULL is fine */

#endif
