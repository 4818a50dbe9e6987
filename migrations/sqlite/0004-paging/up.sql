-- When and to whom: messages that carry several deliveries, what channels remember of their attempts, quiet hours, and silences
-- that come again.

-- The id of the delivery that leads the message a delivery travelled in (its own, if it travelled alone).
ALTER TABLE outbox ADD COLUMN fold TEXT;
-- What the channel wants remembered of earlier attempts (JSON object).
ALTER TABLE outbox ADD COLUMN progress TEXT;
CREATE INDEX outbox_by_message ON outbox (fold) WHERE fold IS NOT NULL;

-- When its people are not to be woken (JSON array).
ALTER TABLE channels ADD COLUMN quiet TEXT NOT NULL DEFAULT '[]';

-- A silence with a cron expression begins again and again between its start and its end.
ALTER TABLE silences ADD COLUMN cron TEXT;
ALTER TABLE silences ADD COLUMN timezone TEXT;
ALTER TABLE silences ADD COLUMN duration_ms INTEGER;
ALTER TABLE silences ADD COLUMN matchers TEXT NOT NULL DEFAULT '[]'; -- label, kind, value, …
