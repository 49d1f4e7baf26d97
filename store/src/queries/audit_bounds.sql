-- What lies outside of the indexed range (the first block to the state's head): blocks and coverage;
-- and the time of the block that the state calls the head.
SELECT (SELECT count(*) FROM blocks, chain, chain_state
        WHERE number < start_block OR number > head_number),
       (SELECT (blocks - int8multirange(int8range(start_block, head_number, '[]')))::text
        FROM coverage, chain, chain_state),
       (SELECT "timestamp" FROM blocks JOIN chain_state ON number = head_number)
