/* frame.h: one encoded Engine.IO message packet, built once, sent to many.
 *
 * Holds the packet's text as a WebSocket server frame (RFC 6455, section 5.2: FIN, text, unmasked), so a
 * websocket sends it as it lies there and polling takes the payload alone.  Counts references; the
 * one object in the programs that does. */
#ifndef RT_FRAME_H
#define RT_FRAME_H

#include <stdbool.h>
#include <stddef.h>

struct rt_frame;

/* The packet's text is the concatenation of the n parts, e.g. `42["name",` `{...}` `,"offset"]`. One reference. */
struct rt_frame_part
{
	const char *data;
	size_t len;
};
struct rt_frame *rt_frame_new(const struct rt_frame_part *parts, int n);
struct rt_frame *rt_frame_new_binary(const void *data, size_t len); /* an attachment */

struct rt_frame *rt_frame_ref(struct rt_frame *f);
void rt_frame_unref(struct rt_frame *f); /* NULL is fine */

/* Places in the text that whoever built the frame wants to find again.  They are set before it is given to anybody.
 */
#define RT_FRAME_MARKS 3
void rt_frame_set_mark(struct rt_frame *f, int mark, size_t at, size_t len);
void rt_frame_copy_marks(struct rt_frame *to,
						 const struct rt_frame *from); /* the texts are alike up to the last one */
const char *rt_frame_mark(const struct rt_frame *f, int mark, size_t *len); /* lent; NULL: it has not been set */

/* Another form of the same packet, which goes with it; takes the reference.  Lent; NULL: it has none. */
void rt_frame_set_plain(struct rt_frame *f, struct rt_frame *plain);
struct rt_frame *rt_frame_plain(const struct rt_frame *f);

bool rt_frame_is_binary(const struct rt_frame *f);
const char *rt_frame_text(const struct rt_frame *f, size_t *len); /* without the WebSocket header; lent */
const char *rt_frame_wire(const struct rt_frame *f, size_t *len); /* with it; lent */

#endif
