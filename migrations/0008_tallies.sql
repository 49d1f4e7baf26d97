-- Counters and token balances, exact for a known set of heights.
--
-- What live indexing commits is tallied in the same transaction and taken away again by the reorg that
-- drops it; history is tallied bucket by bucket, right behind its rows. `tally_state.blocks` says which
-- heights are in: what is not in yet is said in every answer, and never estimated.
--
-- Counters are kept per address and bucket of heights. A page sums a few hundred rows at most; and what
-- it also learns from them is where to look: a list opens only chunks in which the address occurs.

ALTER TABLE chain ADD COLUMN bucket_blocks bigint NOT NULL DEFAULT 50000 CHECK (bucket_blocks > 0);
COMMENT ON COLUMN chain.bucket_blocks IS 'Blocks of a bucket of address_totals: as many as of a chunk, where tables have chunks.';

CREATE TABLE tally_state (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    blocks        int8multirange NOT NULL DEFAULT '{}',
    pending       int8range,
    pending_stage smallint NOT NULL DEFAULT 0,
    pending_page  bigint   NOT NULL DEFAULT 0
);
COMMENT ON TABLE tally_state IS 'Which heights the counters and balances include; locked by whoever changes any of them.';
COMMENT ON COLUMN tally_state.pending IS 'History that is being added: some of its rows are in, up to a page of a stage.';

INSERT INTO tally_state DEFAULT VALUES;

CREATE TABLE address_totals (
    address        bytea   NOT NULL,
    bucket         bigint  NOT NULL,
    tx_count       bigint  NOT NULL,
    sent_count     bigint  NOT NULL,
    received_count bigint  NOT NULL,
    created_count  bigint  NOT NULL,
    transfer_count bigint  NOT NULL,
    emitted_count  bigint  NOT NULL,
    internal_count bigint  NOT NULL,
    PRIMARY KEY (address, bucket)
);
COMMENT ON TABLE address_totals IS 'What an address took part in, counted per bucket of heights; rows of nothing but zeros are not kept.';
COMMENT ON COLUMN address_totals.bucket IS 'Height ÷ chain.bucket_blocks.';
COMMENT ON COLUMN address_totals.tx_count IS 'Transactions it took part in: rows of address_activity.';
COMMENT ON COLUMN address_totals.created_count IS 'Transactions that created it.';
COMMENT ON COLUMN address_totals.transfer_count IS 'Token transfers from or to it; one to itself counts once.';
COMMENT ON COLUMN address_totals.emitted_count IS 'Token transfers of it, when it is a token.';
COMMENT ON COLUMN address_totals.internal_count IS 'Internal transfers from or to it; one to itself counts once.';

CREATE TABLE token_totals (
    token         bytea  PRIMARY KEY,
    erc20_count   bigint NOT NULL,
    erc721_count  bigint NOT NULL,
    erc1155_count bigint NOT NULL,
    wrap_count    bigint NOT NULL,
    holder_count  bigint NOT NULL,
    minted        numeric NOT NULL,
    burnt         numeric NOT NULL
);
CREATE INDEX token_totals_holders ON token_totals (holder_count, token);
COMMENT ON TABLE token_totals IS 'Transfers and holders of each token; rows of nothing but zeros are not kept.';
COMMENT ON COLUMN token_totals.wrap_count IS 'Deposits and withdrawals.';
COMMENT ON COLUMN token_totals.holder_count IS 'Addresses with a balance above zero.';
COMMENT ON COLUMN token_totals.minted IS 'Base units that came from the zero address; less burnt it is the supply as transfers tell it.';

CREATE TABLE token_balances (
    holder  bytea   NOT NULL,
    token   bytea   NOT NULL,
    balance numeric NOT NULL,
    PRIMARY KEY (holder, token)
);
CREATE INDEX token_balances_ranking ON token_balances (token, balance, holder) WHERE balance > 0;
-- Nearly always empty: what a change left at zero is found here, and deleted with it.
CREATE INDEX token_balances_zero ON token_balances (holder) WHERE balance = 0;
COMMENT ON TABLE token_balances IS 'What each holder has of each token, as transfers tell it; zeros are not kept, the zero address holds nothing.';
COMMENT ON COLUMN token_balances.balance IS 'Base units; pieces for ERC-721, units of all ids for ERC-1155. Below zero where a token moves what it never said it minted, and while history is incomplete.';

CREATE TABLE nft_balances (
    token    bytea   NOT NULL,
    token_id numeric(78, 0) NOT NULL,
    holder   bytea   NOT NULL,
    balance  numeric NOT NULL,
    PRIMARY KEY (token, token_id, holder)
);
CREATE INDEX nft_balances_holder ON nft_balances (holder, token, token_id) WHERE balance > 0;
CREATE INDEX nft_balances_zero ON nft_balances (holder) WHERE balance = 0;
COMMENT ON TABLE nft_balances IS 'Who has what of each ERC-721 or ERC-1155 id; zeros are not kept. The owner of an ERC-721 is the one with 1.';

CREATE TABLE token_instances (
    token          bytea   NOT NULL,
    token_id       numeric(78, 0) NOT NULL,
    transfer_count bigint  NOT NULL,
    holder_count   bigint  NOT NULL,
    minted         numeric NOT NULL,
    burnt          numeric NOT NULL,
    PRIMARY KEY (token, token_id)
);
COMMENT ON TABLE token_instances IS 'Each ERC-721 or ERC-1155 id that was ever moved.';
COMMENT ON COLUMN token_instances.minted IS 'Units that came from the zero address; less burnt it is the supply.';
