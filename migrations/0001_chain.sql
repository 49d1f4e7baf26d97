-- Which chain this database holds, and how far it is.
--
-- One database holds one chain. `chain` is written once and compared with the node on every start;
-- `chain_state` is the row that every commit locks and compares before it changes anything, so that
-- at most one indexer can move the head and every move starts from the state its author saw.

CREATE TABLE chain (
    singleton        boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    chain_id         bigint      NOT NULL,
    genesis_hash     bytea       NOT NULL CHECK (octet_length(genesis_hash) = 32),
    finality_profile text        NOT NULL,
    start_block      bigint      NOT NULL CHECK (start_block >= 0),
    live_from        bigint      NOT NULL,
    instance         text        NOT NULL DEFAULT gen_random_uuid()::text,
    created_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE chain IS 'The one chain this database holds; written at first start; an operator may lower its start and change its finality profile later.';
COMMENT ON COLUMN chain.chain_id IS 'EIP-155 chain id.';
COMMENT ON COLUMN chain.genesis_hash IS 'Hash of block 0: two chains may share an id, not this.';
COMMENT ON COLUMN chain.finality_profile IS 'How blocks become final: tags, instant or depth:N.';
COMMENT ON COLUMN chain.start_block IS 'The first block that is indexed.';
COMMENT ON COLUMN chain.live_from IS 'First block that was not final at first start: from here on every block is announced, below is history.';
COMMENT ON COLUMN chain.instance IS 'Names this database, so that a cache filled from another one is never read.';

CREATE TABLE chain_state (
    singleton        boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    head_number      bigint,
    head_hash        bytea CHECK (octet_length(head_hash) = 32),
    head_timestamp   bigint,
    safe_number      bigint,
    finalized_number bigint,
    tx_count         bigint      NOT NULL DEFAULT 0,
    fork_epoch       bigint      NOT NULL DEFAULT 0,
    final_epoch      bigint      NOT NULL DEFAULT 0,
    history_epoch    bigint      NOT NULL DEFAULT 0,
    leader_token     bigint      NOT NULL DEFAULT 0,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((head_number IS NULL) = (head_hash IS NULL)),
    CHECK (finalized_number <= safe_number),
    CHECK (safe_number <= head_number)
);
COMMENT ON TABLE chain_state IS 'How far the canonical chain goes; locked and compared by every commit.';
COMMENT ON COLUMN chain_state.tx_count IS 'Canonical transactions in the database; moved by every commit and every reorg.';
COMMENT ON COLUMN chain_state.fork_epoch IS 'Rises with every reorg and every repair; answers about blocks that are not final are valid within one epoch.';
COMMENT ON COLUMN chain_state.final_epoch IS 'The last epoch that undid or repaired final blocks, which only an operator can order; answers about final blocks are valid within it.';
COMMENT ON COLUMN chain_state.history_epoch IS 'Rises whenever blocks below the head are filled in; lists and counts are as old as the one they were computed in.';
COMMENT ON COLUMN chain_state.leader_token IS 'Drawn by the indexer that took the lead last: an older one can no longer commit.';

INSERT INTO chain_state DEFAULT VALUES;

CREATE TABLE coverage (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    blocks    int8multirange NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE coverage IS 'Which heights are indexed: advanced in the same transaction as the rows, so that gaps are a subtraction.';

INSERT INTO coverage DEFAULT VALUES;

CREATE TABLE backfill_settings (
    singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    workers      integer CHECK (workers BETWEEN 0 AND 64),
    budget_bytes bigint  CHECK (budget_bytes > 0)
);
COMMENT ON TABLE backfill_settings IS 'What an operator asks of a running backfill; null leaves it as the indexer was started.';
COMMENT ON COLUMN backfill_settings.workers IS 'Connections that write history at the same time; 0 pauses it.';
COMMENT ON COLUMN backfill_settings.budget_bytes IS 'Bytes of replies that are fetched and not yet written, at most.';

INSERT INTO backfill_settings DEFAULT VALUES;

CREATE TABLE indexer_status (
    singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    node_head    bigint,
    node_seen_at timestamptz,
    heartbeat_at timestamptz,
    problem      text,
    history_problem text
);
COMMENT ON TABLE indexer_status IS 'What the indexer saw last, for health: no commit depends on it, so it is written outside of them.';
COMMENT ON COLUMN indexer_status.history_problem IS 'What holds up the blocks below the head that are still to be filled in; null while nothing does.';
COMMENT ON COLUMN indexer_status.problem IS 'Why the indexer cannot go on, in one sentence; null while it can.';

INSERT INTO indexer_status DEFAULT VALUES;
