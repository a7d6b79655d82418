/* result.c: see result.h.  Whoever drops, refuses or closes logs the name; whoever passes a code on is silent. */
#include "result.h"

const char *
rt_result_name(enum rt_result rc)
{
	switch (rc)
	{
		case RT_OK:
			return "ok";
		case RT_AGAIN:
			return "more input needed";
		case RT_BAD_INPUT:
			return "bad input";
		case RT_LIMIT:
			return "limit exceeded";
		case RT_GONE:
			return "peer gone";
		case RT_INTERNAL:
			return "internal error";
	}
	return "unknown result";
}
