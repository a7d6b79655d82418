/* The media worker's meter: what it tells as load, and when it is full. */
#include "bgworker/media/control/meter.h"

#include <time.h>

#include "tap.h"

static void
burn(void)
{
	clock_t until = clock() + CLOCKS_PER_SEC / 5;

	while (clock() < until)
		continue;
}

int
main(void)
{
	struct rt_meter m = {.capacity = 100};

	rt_meter_read(&m, 0);
	ok(!rt_meter_is_full(&m, 150) && rt_meter_load(&m, 150) == 150,
	   "more objects than it serves well, which cost little");
	ok(rt_meter_is_full(&m, 2000), "but not any number");
	burn();
	rt_meter_read(&m, 500);
	ok(m.cpu > 0 && m.cpu <= 0.6, "its CPU, smoothed: %.2f", m.cpu);
	ok(m.packets_per_s > 0 && m.packets_per_s <= 2500, "its packets a second: %d", (int) m.packets_per_s);
	m.cpu = 0.4;
	ok(rt_meter_load(&m, 3) == 3, "little CPU is no load");
	m.cpu = 0.84;
	ok(rt_meter_load(&m, 3) >= 95 && !rt_meter_is_full(&m, 3), "much is, though it has few objects");
	m.cpu = 0.9;
	ok(rt_meter_is_full(&m, 3) && rt_meter_load(&m, 3) >= 100, "and then it is full");
	return tap_done();
}
