-- Events on their way to Redis. A commit writes its events here in its own transaction; the
-- publisher sends them in the order of their ids and deletes them: a crash between the two loses
-- nothing. Payloads are whole: what they announce may have been dropped again by the time they are
-- sent. Commits take turns on chain_state, so ids rise in commit order.

CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL CHECK (kind IN ('blocks', 'reorg', 'finality')),
    payload    json        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE outbox IS 'Events that were committed and not yet published, in order.';
