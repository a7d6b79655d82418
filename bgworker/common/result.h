/* result.h: result codes of the programs, and their names. */
#ifndef RT_RESULT_H
#define RT_RESULT_H

enum rt_result
{
	RT_OK,
	RT_AGAIN,     /* more input is needed, later */
	RT_BAD_INPUT, /* the peer's fault: not what the protocol allows */
	RT_LIMIT,     /* the peer's fault: more than we allow */
	RT_GONE,      /* the peer left */
	RT_INTERNAL   /* ours */
};

const char *rt_result_name(enum rt_result rc);

#endif
