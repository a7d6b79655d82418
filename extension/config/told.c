/* told.c: the settings that programs are told, for those that no supervisor has started; see rt_api.hello.
 *
 * What this session has in force: SIGHUP reaches every session, so it is what the supervisor has.  Takes no lock. */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "setting_values.h"
#include "settings.h"

PG_FUNCTION_INFO_V1(rt_program_settings);

Datum
rt_program_settings(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	rt_settings_json(&out, rt_port, rt_media_port, true);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
