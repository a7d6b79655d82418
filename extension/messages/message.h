/* message.h: the triggers of rt.messages: they number messages and emit them. */
#ifndef RT_MESSAGE_H
#define RT_MESSAGE_H

/* For _PG_init. */
extern void rt_message_install(void);

#endif
