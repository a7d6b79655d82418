/* The media worker's meter: what it tells as load, and when it is full. */
#include "bgworker/media/control/meter.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "tap.h"

static void
burn(void)
{
	clock_t until = clock() + CLOCKS_PER_SEC / 5;

	while (clock() < until)
		continue;
}

static bool
is_full(const struct rt_meter *m, const char *why)
{
	const char *fault = rt_meter_fault(m, 3);

	return fault != NULL && strstr(fault, why) != NULL;
}

int
main(void)
{
	struct rt_meter m = {.capacity = 100, .max_cpu = 0.85};
	double used;

	rt_meter_read(&m, 0);
	ok(rt_meter_fault(&m, 150) == NULL && rt_meter_load(&m, 150) == 150,
	   "more objects than it serves well, which cost little");
	ok(rt_meter_fault(&m, 2000) != NULL, "but not any number");
	burn();
	rt_meter_read(&m, 500);
	ok(m.cpu > 0 && m.cpu <= 0.6, "its CPU, smoothed: %.2f", m.cpu);
	ok(m.packets_per_s > 0 && m.packets_per_s <= 2500, "its packets a second: %d", (int) m.packets_per_s);
	m.cpu = 0.4;
	ok(rt_meter_load(&m, 3) == 3, "little CPU is no load");
	m.cpu = 0.84;
	ok(rt_meter_load(&m, 3) >= 95 && rt_meter_fault(&m, 3) == NULL, "much is, though it has few objects");
	m.cpu = 0.9;
	ok(is_full(&m, "rt.media_max_cpu") && rt_meter_load(&m, 3) >= 100, "and then it is full");
	m.max_cpu = 0;
	ok(rt_meter_fault(&m, 3) == NULL && rt_meter_load(&m, 3) == 3, "but not without a limit of CPU");
	m.max_cpu = 0.85;
	m.cpu = 0.1;
	m.packets_per_s = 5000;
	ok(rt_meter_fault(&m, 3) == NULL && rt_meter_load(&m, 3) == 3, "packets without a limit are no load");
	m.max_packets_per_s = 10000;
	ok(rt_meter_fault(&m, 3) == NULL && rt_meter_load(&m, 3) == 50, "half of the packets are half of the load");
	m.packets_per_s = 10000;
	ok(is_full(&m, "rt.media_max_packets") && rt_meter_load(&m, 3) == 100, "all of them, and it is full");
	m = (struct rt_meter){.capacity = 100, .max_cpu = 0.5};
	ok(rt_meter_used(&m, 0) == 0, "of the first reading nothing is known");
	burn();
	used = rt_meter_used(&m, 100);
	ok(used > 0 && used < 1.5, "of its CPU, by half as much again: %.2f", used);
	m.max_packets_per_s = 10;
	burn();
	used = rt_meter_used(&m, 100000);
	ok(used > 100, "of its packets: %.0f", used);
	m.max_cpu = 0;
	m.max_packets_per_s = 0;
	burn();
	ok(rt_meter_used(&m, 200000) == 0, "without limits none");
	return tap_done();
}
