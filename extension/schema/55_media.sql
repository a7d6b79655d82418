-- Media: which worker carries which meeting, and what is on it.
--
-- All of it is soft: a crash of the server ends the media workers too, so the tables are UNLOGGED and none of
-- them refers to a logged one (that would write WAL, and make signalling wait for the disk).  What belongs to a
-- participant is dropped by rt_private.media_participant_gone().

CREATE UNLOGGED TABLE rt_private.media_workers (
	id text PRIMARY KEY,
	slot text NOT NULL UNIQUE,
	addresses text[] NOT NULL,
	udp_port integer,
	tcp_port integer,
	capacity integer NOT NULL CHECK (capacity > 0),
	load integer NOT NULL DEFAULT 0 CHECK (load >= 0),
	fingerprint jsonb,
	can_record boolean NOT NULL DEFAULT false,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	totals jsonb NOT NULL DEFAULT '{}',
	ice_candidates jsonb NOT NULL DEFAULT '[]',
	host text,
	region text,
	own boolean NOT NULL DEFAULT false,
	pid integer,
	draining_since timestamptz
);
COMMENT ON TABLE rt_private.media_workers IS 'running media workers; one that has not reported for 3 s is considered dead';
COMMENT ON COLUMN rt_private.media_workers.id IS 'new at each start of the program';
COMMENT ON COLUMN rt_private.media_workers.slot IS 'host and number of the worker; a start replaces the previous worker of the slot';
COMMENT ON COLUMN rt_private.media_workers.capacity IS 'producers and consumers that it can carry';
COMMENT ON COLUMN rt_private.media_workers.load IS 'producers and consumers that it carries';
COMMENT ON COLUMN rt_private.media_workers.ice_candidates IS 'iceCandidates of its transports, as clients get them';
COMMENT ON COLUMN rt_private.media_workers.totals IS 'totals since its start, for metrics';
COMMENT ON COLUMN rt_private.media_workers.addresses IS 'the addresses it announces';
COMMENT ON COLUMN rt_private.media_workers.udp_port IS 'its UDP port';
COMMENT ON COLUMN rt_private.media_workers.tcp_port IS 'its TCP port';
COMMENT ON COLUMN rt_private.media_workers.fingerprint IS 'of its DTLS certificate';
COMMENT ON COLUMN rt_private.media_workers.can_record IS 'whether it can record';
COMMENT ON COLUMN rt_private.media_workers.started_at IS 'when it started to serve';
COMMENT ON COLUMN rt_private.media_workers.heartbeat_at IS 'when it last reported';
COMMENT ON COLUMN rt_private.media_workers.host IS 'the host that it runs on';
COMMENT ON COLUMN rt_private.media_workers.region IS 'the region of its host, from its configuration file; null: none';
COMMENT ON COLUMN rt_private.media_workers.own IS 'it runs on a host of its own, and the supervisor knows nothing of it';
COMMENT ON COLUMN rt_private.media_workers.pid IS 'its process';
COMMENT ON COLUMN rt_private.media_workers.draining_since IS 'when rt.drain_media() was called; null: it takes new meetings';

CREATE UNLOGGED TABLE rt_private.media_routers (
	id text PRIMARY KEY,
	meeting_id bigint NOT NULL UNIQUE,
	worker text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	region text,
	former text,
	former_worker text,
	former_until timestamptz
);
COMMENT ON COLUMN rt_private.media_routers.former IS 'the router that the meeting moves away from, which forwards on until clients have new transports; null: it does not move';
COMMENT ON COLUMN rt_private.media_routers.former_worker IS 'the worker of the former router';
COMMENT ON COLUMN rt_private.media_routers.former_until IS 'when the former router is closed at the latest';
COMMENT ON COLUMN rt_private.media_routers.id IS 'the router''s id as clients get it';
COMMENT ON COLUMN rt_private.media_routers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_routers.worker IS 'its media worker';
COMMENT ON COLUMN rt_private.media_routers.created_at IS 'when it was created';
COMMENT ON COLUMN rt_private.media_routers.region IS 'where its worker should be: the region of who came first; null: anywhere';
CREATE INDEX media_routers_worker ON rt_private.media_routers (worker);
CREATE INDEX media_routers_former ON rt_private.media_routers (former_worker) WHERE former IS NOT NULL;
COMMENT ON TABLE rt_private.media_routers IS 'the placement of meetings on media workers';
COMMENT ON INDEX rt_private.media_routers_worker IS 'finds what a dead media worker had';
COMMENT ON INDEX rt_private.media_routers_former IS 'finds meetings that move';

-- Each second the figures of what is on a router are written anew: with room beside them, without touching an index.
CREATE UNLOGGED TABLE rt_private.media_transports (
	id text PRIMARY KEY,
	router_id text NOT NULL,
	worker text NOT NULL,
	meeting_id bigint NOT NULL,
	participant_id bigint NOT NULL,
	socket_id text NOT NULL,
	direction text NOT NULL CHECK (direction IN ('send', 'recv')),
	connected boolean NOT NULL DEFAULT false,
	stats jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 40);
COMMENT ON COLUMN rt_private.media_transports.id IS 'its id as clients get it';
COMMENT ON COLUMN rt_private.media_transports.router_id IS 'the router';
COMMENT ON COLUMN rt_private.media_transports.worker IS 'its media worker';
COMMENT ON COLUMN rt_private.media_transports.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_transports.participant_id IS 'the user it belongs to';
COMMENT ON COLUMN rt_private.media_transports.direction IS 'send: from the client; recv: to it';
COMMENT ON COLUMN rt_private.media_transports.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_transports.created_at IS 'when it was created';
CREATE INDEX media_transports_participant ON rt_private.media_transports (participant_id);
COMMENT ON INDEX rt_private.media_transports_participant IS 'finds what a participant has';
CREATE INDEX media_transports_meeting ON rt_private.media_transports (meeting_id);
COMMENT ON TABLE rt_private.media_transports IS 'transports: connections of peers to routers';
COMMENT ON COLUMN rt_private.media_transports.socket_id IS 'the socket that made it';
COMMENT ON COLUMN rt_private.media_transports.connected IS 'whether the client has sent its DTLS parameters';
COMMENT ON INDEX rt_private.media_transports_meeting IS 'finds what a meeting has';

CREATE UNLOGGED TABLE rt_private.media_producers (
	id text PRIMARY KEY,
	transport_id text NOT NULL REFERENCES rt_private.media_transports (id) ON DELETE CASCADE,
	worker text NOT NULL,
	meeting_id bigint NOT NULL,
	participant_id bigint NOT NULL,
	kind text NOT NULL CHECK (kind IN ('audio', 'video')),
	source text NOT NULL CHECK (source IN ('camera', 'microphone', 'screen', 'screen-audio')),
	type text NOT NULL DEFAULT 'simple',
	paused boolean NOT NULL DEFAULT false,
	muted boolean NOT NULL DEFAULT false,
	stats jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	paused_by bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 40);
COMMENT ON COLUMN rt_private.media_producers.id IS 'its id as clients get it';
COMMENT ON COLUMN rt_private.media_producers.transport_id IS 'its transport';
COMMENT ON COLUMN rt_private.media_producers.worker IS 'its media worker';
COMMENT ON COLUMN rt_private.media_producers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_producers.participant_id IS 'the user it belongs to';
COMMENT ON COLUMN rt_private.media_producers.kind IS 'audio or video';
COMMENT ON COLUMN rt_private.media_producers.source IS 'camera, microphone, screen or screen-audio';
COMMENT ON COLUMN rt_private.media_producers.type IS 'simple, simulcast or svc';
COMMENT ON COLUMN rt_private.media_producers.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_producers.created_at IS 'when it was created';
CREATE INDEX media_producers_transport ON rt_private.media_producers (transport_id);
COMMENT ON INDEX rt_private.media_producers_transport IS 'finds what a transport carries';
CREATE INDEX media_producers_participant ON rt_private.media_producers (participant_id);
COMMENT ON INDEX rt_private.media_producers_participant IS 'finds what a participant sends';
CREATE INDEX media_producers_meeting ON rt_private.media_producers (meeting_id);
COMMENT ON TABLE rt_private.media_producers IS 'incoming media streams';
COMMENT ON COLUMN rt_private.media_producers.paused IS 'paused by its owner';
COMMENT ON COLUMN rt_private.media_producers.muted IS 'muted by a host';
COMMENT ON COLUMN rt_private.media_producers.paused_by IS 'newest request that paused or resumed it; 0 if none has';
COMMENT ON INDEX rt_private.media_producers_meeting IS 'finds what a meeting has';

CREATE UNLOGGED TABLE rt_private.media_consumers (
	id text PRIMARY KEY,
	transport_id text NOT NULL REFERENCES rt_private.media_transports (id) ON DELETE CASCADE,
	producer_id text NOT NULL REFERENCES rt_private.media_producers (id) ON DELETE CASCADE,
	worker text NOT NULL,
	meeting_id bigint NOT NULL,
	participant_id bigint NOT NULL,
	kind text NOT NULL CHECK (kind IN ('audio', 'video')),
	paused boolean NOT NULL DEFAULT true,
	stats jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 40);
COMMENT ON COLUMN rt_private.media_consumers.id IS 'its id as clients get it';
COMMENT ON COLUMN rt_private.media_consumers.transport_id IS 'its transport';
COMMENT ON COLUMN rt_private.media_consumers.producer_id IS 'the stream that it forwards';
COMMENT ON COLUMN rt_private.media_consumers.worker IS 'its media worker';
COMMENT ON COLUMN rt_private.media_consumers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_consumers.participant_id IS 'the receiving participant';
COMMENT ON COLUMN rt_private.media_consumers.kind IS 'audio or video';
COMMENT ON COLUMN rt_private.media_consumers.paused IS 'paused by the receiver, as it is at first';
COMMENT ON COLUMN rt_private.media_consumers.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_consumers.created_at IS 'when it was created';
CREATE INDEX media_consumers_transport ON rt_private.media_consumers (transport_id);
COMMENT ON INDEX rt_private.media_consumers_transport IS 'finds what a transport carries';
CREATE INDEX media_consumers_producer ON rt_private.media_consumers (producer_id);
COMMENT ON INDEX rt_private.media_consumers_producer IS 'finds the receivers of a stream';
CREATE INDEX media_consumers_meeting ON rt_private.media_consumers (meeting_id);
COMMENT ON TABLE rt_private.media_consumers IS 'outgoing media streams, each to one participant';
COMMENT ON INDEX rt_private.media_consumers_meeting IS 'finds what a meeting has';

CREATE UNLOGGED TABLE rt_private.media_requests (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	worker text NOT NULL,
	op text NOT NULL,
	meeting_id bigint NOT NULL,
	participant_id bigint,
	object_id text,
	body jsonb NOT NULL,
	gateway text,
	socket_id text,
	tag text,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	fetched boolean NOT NULL DEFAULT false,
	answer json
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON COLUMN rt_private.media_requests.id IS 'id, in order of execution';
COMMENT ON COLUMN rt_private.media_requests.worker IS 'the media worker it is for';
COMMENT ON COLUMN rt_private.media_requests.op IS 'the operation';
COMMENT ON COLUMN rt_private.media_requests.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_requests.participant_id IS 'the participant who asks, or who is concerned';
COMMENT ON COLUMN rt_private.media_requests.gateway IS 'the gateway that gets the answer; null: a command, which has none';
COMMENT ON COLUMN rt_private.media_requests.socket_id IS 'the socket that asked';
COMMENT ON COLUMN rt_private.media_requests.created_at IS 'when it was asked';
CREATE INDEX media_requests_waiting ON rt_private.media_requests (worker, id) WHERE NOT fetched;
COMMENT ON INDEX rt_private.media_requests_waiting IS 'finds requests that a media worker has to fetch';
CREATE INDEX media_requests_participant ON rt_private.media_requests (participant_id);
COMMENT ON INDEX rt_private.media_requests_participant IS 'finds the requests of a participant';
CREATE INDEX media_requests_handed ON rt_private.media_requests (worker) WHERE fetched AND gateway IS NULL;
COMMENT ON TABLE rt_private.media_requests IS 'work for media workers: requests of clients (with gateway) and commands (without)';
COMMENT ON SEQUENCE rt_private.media_requests_id_seq IS 'ids of requests';
COMMENT ON COLUMN rt_private.media_requests.object_id IS 'the transport, producer or consumer concerned';
COMMENT ON COLUMN rt_private.media_requests.body IS 'parameters of the operation';
COMMENT ON COLUMN rt_private.media_requests.tag IS 'the gateway''s id of the request';
COMMENT ON COLUMN rt_private.media_requests.fetched IS 'the worker has it, or the notification contains it';
COMMENT ON COLUMN rt_private.media_requests.answer IS 'an answer that the gateway has yet to fetch';
COMMENT ON INDEX rt_private.media_requests_handed IS 'finds commands that a media worker has';

-- ---- what a router can -----------------------------------------------------------------------------
--
-- One value for every meeting and every worker, so that a client can load its device before any worker is known.
-- Codecs are in the order in which clients prefer them; payload types rise from 100 and never reach 127 (the probator
-- of mediasoup-client); `direction` of an extension is the router's.

CREATE FUNCTION rt_private.router_rtp_capabilities() RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH media (n, kind, mime_type, clock_rate, channels, parameters) AS (
		VALUES
			(0, 'audio', 'audio/opus', 48000, 2, '{}'::jsonb),
			(1, 'video', 'video/VP8', 90000, NULL, '{}'),
			(2, 'video', 'video/VP9', 90000, NULL, '{"profile-id":0}'),
			(3, 'video', 'video/H264', 90000, NULL,
				'{"packetization-mode":1,"profile-level-id":"42e01f","level-asymmetry-allowed":1}'),
			(4, 'video', 'video/H264', 90000, NULL,
				'{"packetization-mode":0,"profile-level-id":"42e01f","level-asymmetry-allowed":1}'),
			(5, 'video', 'video/AV1', 90000, NULL, '{}')
	),
	-- Audio takes one payload type; each video codec takes two, its own and that of its retransmissions.
	codecs (payload_type, codec) AS (
		SELECT p.payload_type, json_strip_nulls(json_build_object('kind', m.kind, 'mimeType', m.mime_type,
			'preferredPayloadType', p.payload_type, 'clockRate', m.clock_rate, 'channels', m.channels,
			'parameters', m.parameters, 'rtcpFeedback', CASE m.kind
				WHEN 'audio' THEN '[{"type":"nack","parameter":""},{"type":"transport-cc","parameter":""}]'::json
				ELSE (
					SELECT json_agg(json_build_object('type', f[1], 'parameter', f[2]))
					FROM (VALUES (ARRAY['nack', '']), (ARRAY['nack', 'pli']), (ARRAY['ccm', 'fir']),
						(ARRAY['goog-remb', '']), (ARRAY['transport-cc', ''])) AS v (f))
			END))
		FROM media AS m
		CROSS JOIN LATERAL (SELECT CASE m.n WHEN 0 THEN 100 ELSE 99 + 2 * m.n END AS payload_type) AS p
		UNION ALL
		SELECT 100 + 2 * m.n, json_build_object('kind', 'video', 'mimeType', 'video/rtx',
			'preferredPayloadType', 100 + 2 * m.n, 'clockRate', m.clock_rate,
			'parameters', json_build_object('apt', 99 + 2 * m.n), 'rtcpFeedback', '[]'::json)
		FROM media AS m
		WHERE m.kind = 'video'
		UNION ALL
		-- Its parameter has no name: RFC 2198, section 5.
		SELECT 111, json_build_object('kind', 'audio', 'mimeType', 'audio/red', 'preferredPayloadType', 111,
			'clockRate', m.clock_rate, 'channels', m.channels, 'parameters', json_build_object('', '100/100'),
			'rtcpFeedback', '[]'::json)
		FROM media AS m
		WHERE m.n = 0
	),
	extensions (id, uri, audio, video) AS (
		VALUES
			(1, 'urn:ietf:params:rtp-hdrext:sdes:mid', 'sendrecv', 'sendrecv'),
			(2, 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id', NULL, 'recvonly'),
			(3, 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id', NULL, 'recvonly'),
			(4, 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time', 'sendrecv', 'sendrecv'),
			(5, 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01', 'recvonly', 'sendrecv'),
			(6, 'urn:ietf:params:rtp-hdrext:ssrc-audio-level', 'sendrecv', NULL),
			(7, 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension', NULL, 'sendrecv'),
			(8, 'urn:3gpp:video-orientation', NULL, 'sendrecv'),
			(9, 'urn:ietf:params:rtp-hdrext:toffset', NULL, 'sendrecv'),
			(10, 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time', 'sendrecv', 'sendrecv'),
			(11, 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay', 'sendrecv', 'sendrecv')
	)
	SELECT json_build_object(
		'codecs', (SELECT json_agg(c.codec ORDER BY c.payload_type) FROM codecs AS c),
		'headerExtensions', (
			SELECT json_agg(json_build_object('kind', k.kind, 'uri', e.uri, 'preferredId', e.id,
				'preferredEncrypt', false, 'direction', k.direction) ORDER BY e.id, k.kind)
			FROM extensions AS e
			CROSS JOIN LATERAL (VALUES ('audio', e.audio), ('video', e.video)) AS k (kind, direction)
			WHERE k.direction IS NOT NULL))
$$;
COMMENT ON FUNCTION rt_private.router_rtp_capabilities() IS 'routerRtpCapabilities for mediasoup-client; media/params_caps has the same table';
