/* report.h: once a second the database is told the figures of this gateway, for the views rt.stat_*; which is also
 * the gateway's sign of life. */
#ifndef RT_REPORT_H
#define RT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct rt_bus;
struct rt_clients;
struct rt_conf;
struct rt_counters;
struct rt_db;
struct rt_dbclock;
struct rt_gauges_uses;
struct rt_host;
struct rt_loop;
struct rt_ready;
struct rt_report;
struct rt_rooms;
struct rt_self;
struct rt_network;

/* What it uses; all is lent, and must live as long. */
struct rt_report_uses
{
	struct rt_loop *loop;
	struct rt_db *db;
	struct rt_dbclock *clock;
	const struct rt_bus *bus;
	const struct rt_self *self;
	struct rt_network *network;
	struct rt_clients *clients;
	const struct rt_rooms *rooms;
	struct rt_counters *counters;
	struct rt_ready *ready; /* told whether the database knows this gateway */
	const struct rt_gauges_uses *gauges;
	struct rt_host *host; /* told of the stamp of the settings; NULL: the supervisor follows them */
	const struct rt_conf *conf;
	int port;
	void (*on_renewed)(
		void *arg); /* the database had given this gateway up and knows it again, without its connections */
	void *arg;
};

struct rt_report *rt_report_new(const struct rt_report_uses *uses);
void rt_report_free(struct rt_report *rp); /* NULL is fine */

/* Tells the database that this gateway is there, then reports; and that it goes. */
void rt_report_start(struct rt_report *rp);
void rt_report_stop(struct rt_report *rp);
bool rt_report_asking(const struct rt_report *rp); /* a call is under way */
/* One event is noted for each report, and the database tells how old it was: for rt_gateway_delivery_delay_seconds.
 */
void rt_report_note_event(struct rt_report *rp, uint64_t pos);

json_t *rt_report_relay(const struct rt_report *rp);   /* the relay's figures; lent; NULL before the first answer */
json_t *rt_report_locks(const struct rt_report *rp);   /* figures of rt.stat_locks; likewise */
json_t *rt_report_workers(const struct rt_report *rp); /* how long the server's workers hang; likewise */
json_t *rt_report_media(const struct rt_report *rp);   /* [{ slot, totals }], a media worker each; likewise */

#endif
