-- Storms: beginnings of one rule that one channel was told of within a minute of each other, be it in one message or in several.

-- The delivery that began the storm which this beginning belongs to (its own id, if it began one).
ALTER TABLE outbox ADD COLUMN storm TEXT;
UPDATE outbox SET storm = fold WHERE kind IN ('fired', 'nodata_start');
CREATE INDEX outbox_by_storm ON outbox (storm) WHERE storm IS NOT NULL;
-- What a channel was told of a rule last; an instance begins with the rule's id.
CREATE INDEX outbox_beginnings ON outbox (channel, kind, substr(instance, 1, 26), first_attempt_at) WHERE storm IS NOT NULL;
