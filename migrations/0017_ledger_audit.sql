-- What is wrong with the books, asked of the rows alone. The triggers allow none of it; this finds what
-- came around them: a restored backup, a superuser's hand, a damaged disk.

CREATE FUNCTION ledger.find_faults() RETURNS TABLE (fault text, tenant text, account text, transaction_id bigint, detail text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH chained AS (
        SELECT e.*, a.tenant, a.code, a.normal_side, row_number() OVER own AS expected,
               coalesce(lag(e.balance_after) OVER own, 0) AS continued
        FROM ledger.entries e JOIN ledger.accounts a USING (account_id)
        WINDOW own AS (PARTITION BY e.account_id ORDER BY e.sequence)
    ), sums AS (
        SELECT e.transaction_id, e.asset_id, count(*) AS lines,
               sum(CASE side WHEN 'debit' THEN amount ELSE -amount END) AS difference
        FROM ledger.entries e GROUP BY e.transaction_id, e.asset_id
    ), journal AS (
        SELECT t.*, coalesce(own.lines, 0) AS lines
        FROM ledger.transactions t LEFT JOIN (
            SELECT s.transaction_id, sum(s.lines) AS lines FROM sums s GROUP BY s.transaction_id
        ) AS own ON own.transaction_id = t.transaction_id
    )
    SELECT 'sequence', c.tenant, code, c.transaction_id, format('entry %s is number %s', sequence, expected)
    FROM chained c WHERE sequence <> expected
    UNION ALL
    SELECT 'balance', c.tenant, code, c.transaction_id,
           format('entry %s begins with %s after %s, and ends with %s', sequence, balance_before, continued, balance_after)
    FROM chained c
    WHERE balance_before <> continued
       OR balance_after - balance_before <> CASE WHEN side = normal_side THEN amount ELSE -amount END
    UNION ALL
    SELECT 'stray', NULL, NULL, e.transaction_id, format('an entry of account %s, of which one or the other is not there', account_id)
    FROM ledger.entries e
    WHERE NOT EXISTS (SELECT FROM ledger.transactions t WHERE t.transaction_id = e.transaction_id)
       OR NOT EXISTS (SELECT FROM ledger.accounts a WHERE a.account_id = e.account_id AND a.asset_id = e.asset_id)
    UNION ALL
    SELECT 'difference', j.tenant, NULL, j.transaction_id, format('debits exceed credits by %s of %s', difference, code)
    FROM sums s JOIN journal j USING (transaction_id) JOIN ledger.assets USING (asset_id) WHERE difference <> 0
    UNION ALL
    SELECT 'lines', j.tenant, NULL, j.transaction_id,
           format('%s, with %s entries for %s lines',
                  ledger.status_of(j.transaction_id, was_pending), lines, line_count)
    FROM journal j
    WHERE lines <> CASE WHEN NOT was_pending OR EXISTS (
        SELECT FROM ledger.transaction_events v WHERE v.transaction_id = j.transaction_id AND state = 'posted'
    ) THEN line_count ELSE 0 END
    UNION ALL
    SELECT 'void', j.tenant, NULL, j.transaction_id, 'it is void, it has entries, and nothing reverses it'
    FROM journal j
    WHERE lines > 0 AND ledger.status_of(j.transaction_id, was_pending) = 'void'
      AND NOT EXISTS (SELECT FROM ledger.transactions m WHERE m.reverses = j.transaction_id)
    UNION ALL
    SELECT 'reversal', j.tenant, NULL, j.transaction_id, format('it is not the mirror of %s, or that is not void', reverses)
    FROM journal j
    WHERE reverses IS NOT NULL AND (NOT ledger.is_mirror(j.transaction_id, reverses)
        OR ledger.status_of(reverses, false) <> 'void')
$$;
COMMENT ON FUNCTION ledger.find_faults IS 'What should not be possible, one row each; none in sound books.';
