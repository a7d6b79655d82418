/* chat.h: the chat events of the wire contract (section 2). */
#ifndef RT_CHAT_H
#define RT_CHAT_H

void rt_chat_init(void); /* adds them to the table of events */

#endif
