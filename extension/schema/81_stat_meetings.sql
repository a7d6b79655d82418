-- Live figures of meetings and media, as the pg_stat_* views are.

CREATE VIEW rt.stat_meetings AS
	SELECT m.id AS meeting_id, m.title, m.status, m.host_id, m.started_at,
		p.participants, p.in_grace, p.hands,
		o.transports, o.producers, o.consumers,
		r.worker AS media_worker, r.id AS router_id
	FROM rt.meetings AS m
	CROSS JOIN LATERAL (
		SELECT count(*) AS participants, count(t.disconnected_at) AS in_grace, count(t.hand_raised_at) AS hands
		FROM rt.meeting_participants AS t
		WHERE t.meeting_id = m.id AND t.left_at IS NULL) AS p
	CROSS JOIN LATERAL (
		SELECT (SELECT count(*) FROM rt_private.media_transports AS t WHERE t.meeting_id = m.id) AS transports,
			(SELECT count(*) FROM rt_private.media_producers AS d WHERE d.meeting_id = m.id) AS producers,
			(SELECT count(*) FROM rt_private.media_consumers AS c WHERE c.meeting_id = m.id) AS consumers) AS o
	LEFT JOIN rt_private.media_routers AS r ON r.meeting_id = m.id
	WHERE m.status = 'live';
COMMENT ON VIEW rt.stat_meetings IS 'live meetings, with numbers of participants and media streams';
COMMENT ON COLUMN rt.stat_meetings.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.stat_meetings.title IS 'its title';
COMMENT ON COLUMN rt.stat_meetings.status IS 'always live';
COMMENT ON COLUMN rt.stat_meetings.host_id IS 'the user it belongs to';
COMMENT ON COLUMN rt.stat_meetings.started_at IS 'when it became live';
COMMENT ON COLUMN rt.stat_meetings.participants IS 'participants, including those whose place is kept';
COMMENT ON COLUMN rt.stat_meetings.in_grace IS 'participants who dropped and whose place is kept, see rt.meeting_grace';
COMMENT ON COLUMN rt.stat_meetings.hands IS 'raised hands';
COMMENT ON COLUMN rt.stat_meetings.transports IS 'media transports';
COMMENT ON COLUMN rt.stat_meetings.producers IS 'incoming streams';
COMMENT ON COLUMN rt.stat_meetings.consumers IS 'outgoing streams';
COMMENT ON COLUMN rt.stat_meetings.media_worker IS 'its media worker; null if none';
COMMENT ON COLUMN rt.stat_meetings.router_id IS 'its router';

-- The figures that media workers report once a second; null where one does not apply.
CREATE VIEW rt.stat_media AS
	SELECT o.worker, o.meeting_id, o.participant_id, o.object, o.id, o.kind, o.source, o.type, o.state,
		(o.stats ->> 'packets')::bigint AS packets,
		(o.stats ->> 'bytes')::bigint AS bytes,
		(o.stats ->> 'lost')::bigint AS lost,
		(o.stats ->> 'jitterMs')::float8 AS jitter_ms,
		(o.stats ->> 'rttMs')::float8 AS rtt_ms,
		(o.stats ->> 'bitrateBps')::bigint AS bitrate_bps,
		(o.stats ->> 'estimateBps')::bigint AS estimate_bps,
		(o.stats ->> 'nacks')::bigint AS nacks,
		(o.stats ->> 'plis')::bigint AS plis,
		(o.stats ->> 'spatialLayer')::integer AS spatial_layer,
		(o.stats ->> 'temporalLayer')::integer AS temporal_layer,
		(o.stats ->> 'score')::integer AS score,
		o.stats ->> 'reason' AS reason,
		(o.stats ->> 'copiesPerSecond')::bigint AS copies_per_second,
		o.created_at
	FROM (
		SELECT t.worker, t.meeting_id, t.participant_id, 'transport' AS object, t.id, NULL AS kind, NULL AS source,
			t.direction AS type,
			coalesce(t.stats ->> 'dtlsState', t.stats ->> 'iceState', CASE WHEN t.connected THEN 'connecting' ELSE 'new' END) AS state,
			t.stats, t.created_at
		FROM rt_private.media_transports AS t
		UNION ALL
		SELECT d.worker, d.meeting_id, d.participant_id, 'producer', d.id, d.kind, d.source, d.type,
			CASE WHEN d.muted THEN 'muted' WHEN d.paused THEN 'paused' ELSE 'live' END, d.stats, d.created_at
		FROM rt_private.media_producers AS d
		UNION ALL
		SELECT c.worker, c.meeting_id, c.participant_id, 'consumer', c.id, c.kind, d.source, d.type,
			CASE WHEN c.paused THEN 'paused' WHEN d.paused OR d.muted THEN 'producer paused' ELSE 'live' END, c.stats, c.created_at
		FROM rt_private.media_consumers AS c
		JOIN rt_private.media_producers AS d ON d.id = c.producer_id) AS o;
COMMENT ON VIEW rt.stat_media IS 'one row for each transport, producer and consumer';
COMMENT ON COLUMN rt.stat_media.worker IS 'media worker';
COMMENT ON COLUMN rt.stat_media.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.stat_media.participant_id IS 'the user it belongs to';
COMMENT ON COLUMN rt.stat_media.object IS 'transport, producer or consumer';
COMMENT ON COLUMN rt.stat_media.id IS 'its id, as clients know it';
COMMENT ON COLUMN rt.stat_media.kind IS 'audio or video; null for a transport';
COMMENT ON COLUMN rt.stat_media.source IS 'camera, microphone, screen or screen-audio; null for a transport';
COMMENT ON COLUMN rt.stat_media.type IS 'transports: send or recv; others: simple, simulcast or svc';
COMMENT ON COLUMN rt.stat_media.state IS 'transports: state of the connection; others: live, paused, muted or producer paused';
COMMENT ON COLUMN rt.stat_media.packets IS 'packets so far; this and the following columns are null where they do not apply';
COMMENT ON COLUMN rt.stat_media.bytes IS 'bytes so far';
COMMENT ON COLUMN rt.stat_media.lost IS 'packets lost so far';
COMMENT ON COLUMN rt.stat_media.jitter_ms IS 'jitter in milliseconds';
COMMENT ON COLUMN rt.stat_media.rtt_ms IS 'round trip in milliseconds';
COMMENT ON COLUMN rt.stat_media.bitrate_bps IS 'current bits per second';
COMMENT ON COLUMN rt.stat_media.estimate_bps IS 'estimated bandwidth to the client, in bits per second';
COMMENT ON COLUMN rt.stat_media.nacks IS 'NACKs: requests for retransmission';
COMMENT ON COLUMN rt.stat_media.plis IS 'PLIs: requests for a key frame';
COMMENT ON COLUMN rt.stat_media.spatial_layer IS 'current spatial layer of a consumer';
COMMENT ON COLUMN rt.stat_media.temporal_layer IS 'current temporal layer of a consumer';
COMMENT ON COLUMN rt.stat_media.score IS 'quality from 0 to 10';
COMMENT ON COLUMN rt.stat_media.reason IS 'why a consumer gets its current layer; why a producer is limited';
COMMENT ON COLUMN rt.stat_media.copies_per_second IS 'packets of a producer that its worker sends a second, to all receivers together';
COMMENT ON COLUMN rt.stat_media.created_at IS 'when it was created';

CREATE VIEW rt.stat_media_workers AS
	SELECT w.id AS worker, w.slot, w.addresses, w.udp_port, w.tcp_port, w.capacity, w.load,
		(SELECT count(*) FROM rt_private.media_routers AS r WHERE r.worker = w.id)
			+ (SELECT count(*) FROM rt_private.media_routers AS r WHERE r.former_worker = w.id AND r.former IS NOT NULL) AS meetings,
		w.heartbeat_at > clock_timestamp() - interval '3 seconds' AS alive, w.started_at, w.heartbeat_at,
		(w.totals ->> 'cpuPercent')::integer AS cpu_percent,
		(w.totals ->> 'packetsPerSecond')::bigint AS packets_per_second,
		w.draining_since
	FROM rt_private.media_workers AS w;
COMMENT ON VIEW rt.stat_media_workers IS 'media workers, with load and number of meetings';
COMMENT ON COLUMN rt.stat_media_workers.worker IS 'id of the process, new at each start';
COMMENT ON COLUMN rt.stat_media_workers.slot IS 'host and number of the worker';
COMMENT ON COLUMN rt.stat_media_workers.addresses IS 'addresses it announces to clients';
COMMENT ON COLUMN rt.stat_media_workers.udp_port IS 'its UDP port';
COMMENT ON COLUMN rt.stat_media_workers.tcp_port IS 'its TCP port';
COMMENT ON COLUMN rt.stat_media_workers.capacity IS 'maximum number of producers and consumers';
COMMENT ON COLUMN rt.stat_media_workers.load IS 'current number of producers and consumers';
COMMENT ON COLUMN rt.stat_media_workers.meetings IS 'number of meetings; one that moves counts on both workers';
COMMENT ON COLUMN rt.stat_media_workers.alive IS 'whether it has reported within 3 seconds';
COMMENT ON COLUMN rt.stat_media_workers.started_at IS 'when it started';
COMMENT ON COLUMN rt.stat_media_workers.heartbeat_at IS 'when it last reported';
COMMENT ON COLUMN rt.stat_media_workers.cpu_percent IS 'percent of a core that it uses; null until it has reported';
COMMENT ON COLUMN rt.stat_media_workers.packets_per_second IS 'packets that it sends a second; null until it has reported';
COMMENT ON COLUMN rt.stat_media_workers.draining_since IS 'when rt.drain_media() was called for it; null: it takes new meetings';
